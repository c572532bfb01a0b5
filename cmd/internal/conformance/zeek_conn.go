package conformance

import (
	"slices"
	"strconv"
	"strings"
)

var zeekConnKind = Kind{
	Name: "conn",
	Main: []string{"originator", "conn_state", "history", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes"},
	More: []string{"duration_us", "orig_bytes", "resp_bytes", "missed_bytes", "service", "vlan", "inner_vlan", "orig_l2_addr", "resp_l2_addr", "tunneled"},
	Same: sameConnColumn,
}

// sameConnColumn allows for what the two logs define apart.
func sameConnColumn(column, t, o string, _, _ *Record) bool {
	switch column {
	case "duration_us":
		// Unset is a connection of one packet.
		return closeTo(t, o, 2) || t == "" && o == "0"
	case "service":
		return slices.Contains(strings.Split(t, ","), o)
	case "orig_bytes", "resp_bytes":
		return t == "" && o == "0"
	}
	return false
}

// zeekConn: ports of ICMP are its type and code (or the type of the answer).
func zeekConn(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekConnKind}
	for _, r := range l.rows {
		group, orig := r.group()
		if r["proto"] == "icmp" && r.whole() {
			group, orig = icmpGroup(r["id.orig_h"], r["id.resp_h"]), Unknown
		} else if p, ok := r["proto"]; ok {
			group = p + " " + group
		}
		service := r.get("service")
		if service == "" {
			service = Unknown // not named: by default, or since nothing names it
		}
		tunneled := r.get("tunnel_parents")
		if tunneled != Unknown {
			tunneled = strconv.FormatBool(tunneled != "")
		}
		set.truth = append(set.truth, Record{
			Group: group, Label: r.label("conn"), Raw: r,
			Main: []string{orig, r.get("conn_state"), r.get("history"), r.get("orig_pkts"), r.get("orig_ip_bytes"), r.get("resp_pkts"), r.get("resp_ip_bytes")},
			More: []string{microseconds(r.get("duration")), r.get("orig_bytes"), r.get("resp_bytes"), r.get("missed_bytes"), service, r.get("vlan"), r.get("inner_vlan"),
				r.get("orig_l2_addr"), r.get("resp_l2_addr"), tunneled},
		})
	}
	for i := range t.Len() {
		group, orig := l.ourGroup(t, i)
		proto := t.Get(i, "proto")
		switch {
		case strings.HasPrefix(proto, "icmp"):
			if len(l.rows) > 0 && l.rows[0].whole() {
				group, orig = icmpGroup(t.Get(i, "src_ip"), t.Get(i, "dst_ip")), Unknown
				break
			}
			proto = "icmp"
			fallthrough
		default:
			if len(l.rows) > 0 && l.rows[0].get("proto") != Unknown {
				if proto != "tcp" && proto != "udp" && proto != "icmp" {
					proto = "unknown_transport"
				}
				group = proto + " " + group
			}
		}
		unique := func(side string) string { // payload by sequence number: once each, gaps included
			n := t.Int(i, side+"payload_bytes") - t.Int(i, side+"retransmitted_bytes") + t.Int(i, side+"gap_bytes")
			return strconv.FormatInt(n, 10)
		}
		service := t.Get(i, "app_proto")
		switch service {
		case "":
			service = Unknown
		case "tls", "dtls":
			service = "ssl"
		case "dhcpv4":
			service = "dhcp"
		}
		set.ours = append(set.ours, Record{
			Group: group, Label: ourLabel(t, i, "flow"), Row: i, Time: t.Int(i, "ts"),
			Main: []string{orig, t.Get(i, "state"), t.Get(i, "history"), t.Get(i, "src_packets"), t.Get(i, "src_bytes"), t.Get(i, "dst_packets"), t.Get(i, "dst_bytes")},
			More: []string{nanosToMicros(t.Get(i, "duration_ns")), unique("src_"), unique("dst_"), strconv.FormatInt(t.Int(i, "src_gap_bytes")+t.Int(i, "dst_gap_bytes"), 10),
				service, t.Get(i, "vlan_id"), t.Get(i, "inner_vlan_id"), t.Get(i, "src_mac"), t.Get(i, "dst_mac"), strconv.FormatBool(t.Get(i, "tunnel") != "")},
		})
	}
	return set
}

func icmpGroup(a, b string) string { return "icmp " + pairOf(a, "", b, "") }
