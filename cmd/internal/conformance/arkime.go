package conformance

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// arkime is the peer whose sessions are in peer/arkime.tsv.
type arkime struct {
	rows map[string][]map[string]string // by capture
}

func (*arkime) tables() []string {
	return []string{"arkime community_id", "arkime flows", "arkime tls"}
}

// openArkime reads the file below dir, the folder of the peers.
func openArkime(dir string) (*arkime, error) {
	rows, err := byCapture(filepath.Join(dir, "arkime.tsv"))
	return &arkime{rows}, err
}

func (p *arkime) views(c *Capture) []view {
	rows := p.rows[c.ID()]
	if rows == nil {
		return nil
	}
	return []view{{Options{NoTimeouts: true}, func(d *Dataset) ([]recordSet, error) {
		flows, err := d.Table("flows")
		if err != nil {
			return nil, err
		}
		tls, err := d.Table("tls")
		if err != nil {
			return nil, err
		}
		ids, sessions := arkimeFlows(rows, flows)
		return []recordSet{ids, sessions, arkimeHellos(rows, tls)}, nil
	}}}
}

var (
	communityKind = Kind{Name: "tuple", Main: []string{"community_id"}}

	// Payload and VLAN decide nothing. Arkime counts what its reassembly handed out, once
	// each, and of a stream without a handshake nothing, or what came before it gave
	// up; its tags are those of all packets, ours those of the first.
	arkimeFlowKind = Kind{
		Name: "session",
		Main: []string{"fwd_packets", "fwd_wire_bytes", "rev_packets", "rev_wire_bytes"},
		More: []string{"fwd_payload", "rev_payload", "vlan"},
		Same: func(column, t, o string, _, or *Record) bool {
			switch column {
			case "fwd_payload", "rev_payload":
				return t == or.Raw[column] || t == "0" && or.Raw["begun"] == ""
			case "vlan":
				tags := strings.Fields(t)
				other := func(tag string) bool { return !slices.Contains(tags, tag) }
				return or.Raw["packets"] != "1" && !slices.ContainsFunc(strings.Fields(o), other)
			}
			return false
		},
	}

	arkimeHelloKind = Kind{
		Name: "hello",
		Main: []string{"ja3", "ja3s", "ja4", "ja4_r"},
		// A session has the fingerprints of all of its hellos.
		Same: func(_, t, o string, _, _ *Record) bool { return slices.Contains(strings.Split(t, ";"), o) },
	}
)

// arkimeFlows lays sessions of TCP, UDP and SCTP side by side. A session of
// ICMP is both directions of any type between two hosts, of which we have one
// for each kind of question; its bytes are those of the frames.
func arkimeFlows(rows []map[string]string, t *Table) (ids, sessions recordSet) {
	ids = recordSet{table: "arkime community_id", kind: &communityKind, partial: true}
	sessions = recordSet{table: "arkime flows", kind: &arkimeFlowKind, partial: true}
	ports := map[string]bool{"6": true, "17": true, "132": true}
	seen := map[string]bool{}
	for _, r := range rows {
		if !ports[r["ipproto"]] {
			continue
		}
		a, b := endpoint{canonicalIP(r["src"]), r["sport"]}, endpoint{canonicalIP(r["dst"]), r["dport"]}
		s := [2][]string{{r["src_pkts"], r["src_bytes"], r["client_payload"]}, {r["dst_pkts"], r["dst_bytes"], r["server_payload"]}}
		a, b, turned := order(a, b)
		if turned {
			s[0], s[1] = s[1], s[0]
		}
		group := r["ipproto"] + " " + a.String() + " " + b.String()
		if id := r["community_id"]; id != "" && !seen[group] {
			seen[group] = true
			ids.truth = append(ids.truth, Record{Group: group, Label: group, Main: []string{id}, Raw: r})
		}
		ms, _ := strconv.ParseInt(r["first_ms"], 10, 64)
		sessions.truth = append(sessions.truth, Record{
			Group: group, Label: group, Raw: r, Time: ms * 1e6, Main: slices.Concat(s[0][:2], s[1][:2]), More: []string{s[0][2], s[1][2], strings.ReplaceAll(r["vlan"], ";", " ")},
		})
	}
	clear(seen)
	for i := range t.Len() {
		a, b := endpoint{canonicalIP(t.Get(i, "src_ip")), t.Get(i, "src_port")}, endpoint{canonicalIP(t.Get(i, "dst_ip")), t.Get(i, "dst_port")}
		side := func(p string) []string {
			return []string{t.Get(i, p+"packets"), t.Get(i, p+"wire_bytes"), t.Get(i, p+"payload_bytes")}
		}
		s := [2][]string{side("src_"), side("dst_")}
		once := func(p string) string {
			return strconv.FormatInt(t.Int(i, p+"payload_bytes")-t.Int(i, p+"retransmitted_bytes")-t.Int(i, p+"duplicate_payload_bytes"), 10)
		}
		payload := [2]string{once("src_"), once("dst_")}
		a, b, turned := order(a, b)
		if turned {
			s[0], s[1] = s[1], s[0]
			payload[0], payload[1] = payload[1], payload[0]
		}
		raw := map[string]string{"fwd_payload": payload[0], "rev_payload": payload[1], "packets": strconv.FormatInt(t.Int(i, "src_packets")+t.Int(i, "dst_packets"), 10)}
		if t.Get(i, "ip_proto") != "6" || strings.ContainsAny(t.Get(i, "history"), "hH") {
			raw["begun"] = "true"
		}
		group := t.Get(i, "ip_proto") + " " + a.String() + " " + b.String()
		if !seen[group] {
			seen[group] = true
			ids.ours = append(ids.ours, Record{Group: group, Label: ourLabel(t, i, "flow"), Row: i, Main: []string{t.Get(i, "community_id")}})
		}
		sessions.ours = append(sessions.ours, Record{
			Group: group, Label: ourLabel(t, i, "flow"), Row: i, Time: t.Int(i, "ts") / 1e6 * 1e6, Raw: raw, Main: slices.Concat(s[0][:2], s[1][:2]),
			More: []string{s[0][2], s[1][2], strings.TrimSpace(t.Get(i, "vlan_id") + " " + t.Get(i, "inner_vlan_id"))},
		})
	}
	return ids, sessions
}

// arkimeHellos lays the fingerprints of TLS side by side. The JA4 of a hello in the control
// channel of OpenVPN over UDP begins with q in Arkime; FoxIO's JA4.md keeps that letter for
// QUIC, and t is "normal TLS". Those are not compared.
func arkimeHellos(rows []map[string]string, t *Table) recordSet {
	set := recordSet{table: "arkime tls", kind: &arkimeHelloKind, partial: true}
	for _, r := range rows {
		openvpn := slices.Contains(strings.Split(r["protocols"], ";"), "openvpn")
		var main []string
		any := false
		for _, c := range arkimeHelloKind.Main {
			v := r[c]
			any = any || v != ""
			if v == "" || openvpn && v[0] == 'q' {
				v = Unknown
			}
			main = append(main, v)
		}
		if any {
			set.truth = append(set.truth, Record{Group: pairOf(r["src"], r["sport"], r["dst"], r["dport"]), Label: "session", Raw: r, Main: main})
		}
	}
	for i := range t.Len() {
		set.ours = append(set.ours, Record{
			Group: pairOf(t.Get(i, "src_ip"), t.Get(i, "src_port"), t.Get(i, "dst_ip"), t.Get(i, "dst_port")), Label: ourLabel(t, i, "handshake"), Row: i, Time: t.Int(i, "ts"),
			Main: []string{t.Get(i, "ja3"), t.Get(i, "ja3s"), t.Get(i, "ja4"), t.Get(i, "ja4_r")},
		})
	}
	return set
}
