package conformance

import (
	"encoding/json"
	"fmt"
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
			n, ok := countMatches(t, r["event_type"], match)
			if !ok || carrierCheck(t, match) {
				continue
			}
			raw := map[string]string{}
			if r["event_type"] == "flow" && strconv.Itoa(n) != r["count"] {
				turned, _ := countMatches(turnedAround(t), "flow", match)
				raw["turned"] = strconv.Itoa(turned)
				if len(match) == 1 { // all flows
					raw["split"] = strconv.Itoa(n + splitByVLAN(t, rows))
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
			vlans[canonicalIP(jsonText(match["src_ip"]))] = jsonText(match["vlan"])
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
	if p := jsonText(match["dest_port"]); match["dest_port"] == nil || !tunnelPorts[p] {
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

// countMatches returns how many rows a check finds, false where it asks for
// what the table does not say.
func countMatches(t *Table, event string, match map[string]any) (int, bool) {
	names := make([]string, 0, len(match))
	for k := range match {
		names = append(names, k)
	}
	slices.Sort(names)
	n := 0
	// Without rows, the fields still have to be known.
	if t.Len() == 0 {
		for _, k := range names {
			if _, ok := suricataField(NewTable(nil, [][]string{nil}), 0, event, k, jsonText(match[k])); !ok {
				return 0, false
			}
		}
		return 0, true
	}
	for i := range t.Len() {
		all := true
		switch event {
		case "tls":
			all = t.Get(i, "transport") != "quic"
		case "quic":
			all = t.Get(i, "transport") == "quic"
		case "dns", "mdns", "llmnr":
			all = t.Get(i, "service") == event
		}
		for _, k := range names {
			same, ok := suricataField(t, i, event, k, jsonText(match[k]))
			if !ok {
				return 0, false
			}
			all = all && same
		}
		if !all {
			continue
		}
		n++
		// A query and its response are an event each.
		if match["dns.type"] == nil && match["dns.rcode"] == nil && event == "dns" && t.Get(i, "query_ts") != "" && t.Get(i, "response_ts") != "" {
			n++
		}
	}
	return n, true
}

// suricataField reports whether row i has the field as wanted; ok is false
// where we do not have the field.
func suricataField(t *Table, i int, event, field, want string) (same, ok bool) {
	is := func(column string) (bool, bool) { return t.Get(i, column) == want, true }
	if event != "flow" && (strings.HasPrefix(field, "src_") || strings.HasPrefix(field, "dest_")) {
		return false, false // those of the message, while a row has those of the flow
	}
	switch field {
	case "event_type":
		return true, true
	case "src_ip", "dest_ip", "src_port", "dest_port":
		column := strings.Replace(field, "dest", "dst", 1)
		if strings.HasSuffix(field, "ip") {
			return t.Get(i, column) == canonicalIP(want), true
		}
		return is(column)
	case "proto":
		if event != "flow" {
			return false, false
		}
		return strings.EqualFold(t.Get(i, "proto"), want), true
	}
	switch event + " " + field {
	case "flow flow.pkts_toserver":
		return is("src_packets")
	case "flow flow.pkts_toclient":
		return is("dst_packets")
	case "flow flow.bytes_toserver":
		return is("src_wire_bytes")
	case "flow flow.bytes_toclient":
		return is("dst_wire_bytes")
	case "flow flow.age":
		return strconv.FormatInt(t.Int(i, "end_ts")/1e9-t.Int(i, "ts")/1e9, 10) == want, true
	case "flow app_proto":
		app := t.Get(i, "app_proto")
		switch want {
		case "failed", "unknown":
			return false, false // it says that it looked, of what we may know by another rule
		case "krb5":
			want = "kerberos"
		case "ikev2":
			want = "ike"
		case "pgsql":
			want = "postgresql"
		}
		return app == want, true
	case "flow icmp_type", "flow icmp_code":
		return is(field)
	case "flow tcp.syn", "flow tcp.fin", "flow tcp.rst", "flow tcp.ack", "flow tcp.psh":
		flag := strings.ToUpper(strings.TrimPrefix(field, "tcp.")[:1])
		return strings.Contains(t.Get(i, "src_tcp_flags")+t.Get(i, "dst_tcp_flags"), flag) == (want == jsonText(true)), true
	case "flow tcp.tcp_flags", "flow tcp.tcp_flags_ts", "flow tcp.tcp_flags_tc":
		letters := ""
		if field != "tcp.tcp_flags_tc" {
			letters += t.Get(i, "src_tcp_flags")
		}
		if field != "tcp.tcp_flags_ts" {
			letters += t.Get(i, "dst_tcp_flags")
		}
		bits := 0
		for b := range 8 {
			if strings.IndexByte(letters, flagLetters[b]) >= 0 {
				bits |= 1 << b
			}
		}
		return fmt.Sprintf("%02x", bits) == want, true

	case "http http.status":
		return is("status")
	case "http http.http_method":
		return is("method")
	case "http http.url":
		return is("target")
	case "http http.hostname":
		host, _, _ := strings.Cut(t.Get(i, "host"), ":")
		return host == want, true
	case "http http.http_user_agent":
		return is("user_agent")
	case "http http.redirect":
		return is("location")
	case "http http.http_content_type":
		kind, _, _ := strings.Cut(t.Get(i, "response_content_type"), ";")
		return kind == want, true
	case "http http.protocol":
		return "HTTP/"+t.Get(i, "version") == want, true
	case "http http.http2.stream_id":
		return is("stream_id")

	case "tls tls.sni", "quic quic.sni":
		return is("sni")
	case "tls tls.version":
		version := t.Get(i, "version")
		if version == "" { // of a server that did not answer
			version = t.Get(i, "client_version")
		}
		return suricataVersion(version) == want, true
	case "tls tls.ja3.hash":
		return is("ja3")
	case "tls tls.ja3.string":
		return is("ja3_string")
	case "tls tls.ja3s.hash":
		return is("ja3s")
	case "tls tls.ja4", "quic quic.ja4":
		return is("ja4")
	case "quic quic.version":
		return t.Get(i, "quic_version") == strings.TrimPrefix(want, "v"), true
	case "tls tls.serial":
		return strings.TrimLeft(strings.ReplaceAll(want, ":", ""), "0") == strings.TrimLeft(t.Get(i, "serial"), "0"), true

	case "dns dns.type", "mdns mdns.type", "llmnr llmnr.type":
		switch want {
		case "query", "request":
			return t.Get(i, "query_ts") != "", true
		case "answer", "response":
			return t.Get(i, "response_ts") != "", true
		}
	case "dns dns.id":
		return is("id")
	case "dns dns.rrname", "dns dns.queries[0].rrname":
		return strings.EqualFold(strings.TrimSuffix(t.Get(i, "qname"), "."), want), true
	case "dns dns.rrtype", "dns dns.queries[0].rrtype":
		return is("qtype")
	case "dns dns.rcode":
		return is("rcode")
	case "dns dns.version", "dns dns.tx_id":
		return true, true // of the event's form
	}
	return false, false
}

// suricataVersion returns a version in Suricata's words.
func suricataVersion(s string) string {
	switch s {
	case "TLSv1.0":
		return "TLSv1"
	case "TLSv1.3-draft14":
		return "TLS 1.3 draft-<16"
	}
	s = strings.Replace(s, "TLSv", "TLS ", 1)
	return strings.Replace(s, "-draft", " draft-", 1)
}
