package conformance

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// suricata is the peer whose checks are in peer/suricata-expect.tsv: how many
// events of a kind have certain fields. A check is made where it can be told
// from our tables: of flows, http, tls, dns and quic, by fields that we have.
// Tests with a configuration of their own (suricata-map.tsv says which) are left
// out: they check what it is like to drop packets or not to look at a protocol.
type suricata struct {
	rows map[string][]map[string]string // by capture
}

func (*suricata) tables() []string { return []string{"suricata checks"} }

// openSuricata reads the file below dir, the folder of the peers.
func openSuricata(dir string) (*suricata, error) {
	tests, err := optionalTSV(filepath.Join(dir, "suricata-map.tsv"))
	if err != nil {
		return nil, err
	}
	configured := map[string]bool{}
	for _, t := range tests {
		configured[t["test"]] = configured[t["test"]] || t["own_yaml"] != ""
	}
	rows, err := byCapture(filepath.Join(dir, "suricata-expect.tsv"))
	for name := range rows {
		rows[name] = slices.DeleteFunc(rows[name], func(r map[string]string) bool { return configured[r["test"]] })
	}
	return &suricata{rows}, err
}

var suricataKind = Kind{Name: "check", Main: []string{"count"}}

func (p *suricata) views(c *Capture) []view {
	rows := p.rows[c.ID()]
	if rows == nil {
		return nil
	}
	return []view{{Options{NoTimeouts: true}, func(d *Dataset) ([]recordSet, error) {
		set := recordSet{table: "suricata checks", kind: &suricataKind}
		seen := map[string]bool{}
		for _, r := range rows {
			var match map[string]any
			if err := json.Unmarshal([]byte(r["match_json"]), &match); err != nil {
				continue
			}
			table := suricataTable(r["event_type"])
			key := r["event_type"] + " " + r["match_json"] + " " + r["count"]
			if table == "" || seen[key] {
				continue
			}
			seen[key] = true // many tests make one check of one capture
			t, err := d.Table(table)
			if err != nil {
				return nil, err
			}
			n, ok := countMatches(d, t, r["event_type"], match)
			if !ok || carrierCheck(t, match) {
				continue
			}
			raw := map[string]string{}
			if r["event_type"] == "flow" && strconv.Itoa(n) != r["count"] {
				turned, _ := countMatches(d, turnedAround(t), "flow", match)
				raw["turned"] = strconv.Itoa(turned)
				if split := splitByVLAN(t, rows); len(match) == 1 { // all flows
					raw["split"] = strconv.Itoa(n + split)
				} else if _, ok := match["vlan"]; ok && split > 0 { // the other end's half
					rest := maps.Clone(match)
					delete(rest, "vlan")
					half, _ := countMatches(d, turnedAround(t), "flow", rest)
					raw["split"] = strconv.Itoa(n + half)
				}
			}
			group := r["test"] + " " + key
			if ja4, _ := match["tls.ja4"].(string); r["event_type"] == "tls" && ja4 != "" && strconv.Itoa(n) != r["count"] {
				raw["unsigned"] = strconv.Itoa(unsignedJA4(t, ja4))
			}
			set.truth = append(set.truth, Record{Group: group, Label: group, Raw: r, Main: []string{r["count"]}})
			set.ours = append(set.ours, Record{Group: group, Label: "count", Raw: raw, Main: []string{strconv.Itoa(n)}})
		}
		return []recordSet{set}, nil
	}}}
}

// splitByVLAN returns how many of the flows have two ends that the checks know as
// initiators of flows on different VLANs.
func splitByVLAN(t *Table, checks []map[string]string) int {
	vlans := map[string]string{} // by initiator
	for _, r := range checks {
		var match map[string]any
		if json.Unmarshal([]byte(r["match_json"]), &match) == nil && r["event_type"] == "flow" && r["count"] == "1" && match["vlan"] != nil {
			vlans[canonicalIP(JSONText(match["src_ip"]))] = JSONText(match["vlan"])
		}
	}
	n := 0
	for i := range t.Len() {
		src, dst := vlans[t.Get(i, "src_ip")], vlans[t.Get(i, "dst_ip")]
		if src != "" && dst != "" && src != dst && t.Int(i, "dst_packets") > 0 {
			n++
		}
	}
	return n
}

// unsignedJA4 returns how many rows have a hello without signature algorithms and
// the JA4, but for its last part.
func unsignedJA4(t *Table, ja4 string) int {
	n := 0
	head := ja4[:strings.LastIndexByte(ja4, '_')+1]
	for i := range t.Len() {
		if head != "" && t.Get(i, "signature_algorithms") == "" && strings.HasPrefix(t.Get(i, "ja4"), head) {
			n++
		}
	}
	return n
}

// carrierCheck reports whether a check is of flows to a port that carries our
// flows: Suricata has a flow for each of the carriers, while they are columns of ours.
func carrierCheck(t *Table, match map[string]any) bool {
	if p := JSONText(match["dest_port"]); match["dest_port"] == nil || !tunnelPorts[p] {
		return false
	}
	for i := range t.Len() {
		if t.Get(i, "outer_src_ip") != "" {
			return true
		}
	}
	return false
}

// turnedAround returns the flows, with those turned around of which nobody saw
// who began.
func turnedAround(t *Table) *Table {
	rows := make([][]string, t.Len())
	for i, r := range t.rows {
		rows[i] = r
		if !nobodySaw(t.Get(i, "direction_basis")) {
			continue
		}
		rows[i] = slices.Clone(r)
		for c, name := range t.Columns {
			if rest, ok := strings.CutPrefix(name, "src_"); ok {
				if d := slices.Index(t.Columns, "dst_"+rest); d >= 0 {
					rows[i][c], rows[i][d] = r[d], r[c]
				}
			}
		}
	}
	return NewTable(t.Columns, rows)
}

func suricataTable(event string) string {
	switch event {
	case "flow":
		return "flows"
	case "http":
		return "http"
	case "tls", "quic":
		return "tls"
	case "dns", "mdns", "llmnr":
		return "dns"
	}
	return ""
}

// countMatches returns how many events a check finds, false where it asks for
// what the tables do not say.
func countMatches(d *Dataset, t *Table, event string, match map[string]any) (int, bool) {
	want := map[string]string{}
	for k, v := range match {
		text, ok := eveWant(event, k, JSONText(v))
		if !ok || !eveKnows(event, k) {
			return 0, false
		}
		want[k] = text
	}
	n := 0
	for _, e := range eveEvents(d, t, event) {
		all := true
		for k, w := range want {
			v, _ := e.value(k)
			all = all && (v == Unknown || v == w)
		}
		if all {
			n++
		}
	}
	return n, true
}
