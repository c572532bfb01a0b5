package conformance

import (
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
func sameConnColumn(column, t, o string, _, or *Record) bool {
	switch column {
	case "duration_us":
		// Zeek's ends with what closes the connection, without the last acknowledgements.
		x, _ := strconv.ParseInt(t, 10, 64)
		y, _ := strconv.ParseInt(o, 10, 64)
		return closeTo(t, o, 2) || y > x && strings.ContainsAny(or.Main[2], "FfRr")
	case "service":
		for _, s := range strings.Split(t, ",") {
			if serviceNames[s] == o || s == o {
				return true
			}
		}
	}
	return false
}

// serviceNames are Zeek's names of what is called otherwise here.
var serviceNames = map[string]string{
	"ssl": "tls", "ldap_tcp": "ldap", "ldap_udp": "ldap", "krb": "kerberos", "krb_tcp": "kerberos", "syslog_tcp": "syslog", "syslog_udp": "syslog",
	"dhcp": "dhcp", "smb": "smb", "gssapi": "smb", "dce_rpc": "smb", "ntlm": "smb", "rdpeudp": "rdp", "postgresql": "postgres",
}

// said returns a value, Unknown where it is unset: Zeek sets no sizes on
// connections of one packet, and none where a test takes the counting away.
func (r zeekRow) said(column string) string { return unless(r.get(column), Unknown) }

// connCarriers returns the connections that carry others, which have no row of
// ours: those that a tunnel's own connections name as parents, and, where the
// log does not say, those to a tunnel's port between its outer addresses.
func connCarriers(l *zeekLog, t *Table) func(r zeekRow) bool {
	parents, outer := map[string]bool{}, map[string]bool{}
	for _, r := range l.rows {
		for _, uid := range zeekList(r["tunnel_parents"]) {
			parents[uid] = true
		}
	}
	for i := range t.Len() {
		if o := t.Get(i, "outer_src_ip"); o != "" {
			outer[pairOf(o, "", t.Get(i, "outer_dst_ip"), "")] = true
		}
	}
	return func(r zeekRow) bool {
		port := r["id.resp_p"]
		return parents[r["uid"]] || (tunnelPorts[port] || port == teredoPort || tunnelPorts[r["id.orig_p"]]) &&
			outer[pairOf(canonicalIP(r["id.orig_h"]), "", canonicalIP(r["id.resp_h"]), "")]
	}
}

// turned is the row of a flow as who does not turn it around has it: without
// its usual scripts Zeek takes the sender of the first packet for the originator,
// whatever that packet is.
func turned(r *Record) {
	m := r.Main
	m[2] = strings.Map(func(c rune) rune {
		switch {
		case c == '^':
			return -1
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return c
	}, m[2])
	if s, ok := turnedStates[m[1]]; ok {
		m[1] = s
	}
	m[3], m[4], m[5], m[6] = m[5], m[6], m[3], m[4]
	r.More[1], r.More[2] = r.More[2], r.More[1]
}

var turnedStates = map[string]string{"RSTO": "RSTR", "RSTR": "RSTO", "SH": "SHR", "SHR": "SH", "S2": "S3", "S3": "S2", "RSTOS0": "RSTRH", "RSTRH": "RSTOS0"}

// zeekConn: ports of ICMP are its type and code (or the type of the answer).
func zeekConn(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekConnKind}
	carries := connCarriers(l, t)
	carriers, flipped := map[string]bool{}, map[string]bool{}
	for _, r := range l.rows {
		group, orig := r.group()
		if (r["proto"] == "icmp" || r["proto"] == "unknown_transport") && r.whole() {
			group, orig = portless(r["proto"], r["id.orig_h"], r["id.resp_h"]), Unknown
		} else if p, ok := r["proto"]; ok {
			group = p + " " + group
		}
		if carries(r) {
			carriers[group] = true
			continue
		}
		flipped[group] = flipped[group] || strings.HasPrefix(r["history"], "^")
		tunneled := Unknown // MPLS and the like are no tunnels to Zeek
		if r.said("tunnel_parents") != Unknown {
			tunneled = "true"
		}
		history := r.get("history")
		if history != Unknown { // X says that Zeek stopped analyzing, by its own bounds
			history = strings.ReplaceAll(history, "X", "")
		}
		set.truth = append(set.truth, Record{
			Group: group, Label: r.label("conn"), Raw: r,
			Main: []string{orig, r.get("conn_state"), history, r.said("orig_pkts"), r.said("orig_ip_bytes"), r.said("resp_pkts"), r.said("resp_ip_bytes")},
			More: []string{microseconds(r.said("duration")), r.said("orig_bytes"), r.said("resp_bytes"), r.get("missed_bytes"), r.said("service"), r.get("vlan"), r.get("inner_vlan"),
				r.get("orig_l2_addr"), r.get("resp_l2_addr"), tunneled},
		})
	}
	for i := range t.Len() {
		group, orig := l.ourGroup(t, i)
		proto := t.Get(i, "proto")
		switch {
		case strings.Contains(proto, "icmp"):
			proto = "icmp"
		case proto != "tcp" && proto != "udp":
			proto = "unknown_transport"
		}
		if len(l.rows) > 0 && l.rows[0].get("proto") != Unknown {
			group = proto + " " + group
			if proto != "tcp" && proto != "udp" && l.rows[0].whole() {
				group, orig = portless(proto, t.Get(i, "src_ip"), t.Get(i, "dst_ip")), Unknown
			}
		}
		if carriers[group] {
			continue
		}
		unique := func(side string) string { // payload by sequence number: once each, gaps included
			n := t.Int(i, side+"payload_bytes") - t.Int(i, side+"retransmitted_bytes") + t.Int(i, side+"gap_bytes")
			if proto == "tcp" {
				n -= t.Int(i, side+"duplicate_payload_bytes")
			}
			return strconv.FormatInt(n, 10)
		}
		service := unless(t.Get(i, "app_proto"), Unknown)
		if service == "dtls" {
			service = "tls"
		}
		rec := Record{
			Group: group, Label: ourLabel(t, i, "flow"), Row: i, Time: t.Int(i, "ts"),
			Main: []string{orig, t.Get(i, "state"), t.Get(i, "history"), t.Get(i, "src_packets"), t.Get(i, "src_bytes"), t.Get(i, "dst_packets"), t.Get(i, "dst_bytes")},
			More: []string{nanosToMicros(t.Get(i, "duration_ns")), unique("src_"), unique("dst_"), strconv.FormatInt(t.Int(i, "src_gap_bytes")+t.Int(i, "dst_gap_bytes"), 10),
				service, t.Get(i, "vlan_id"), t.Get(i, "inner_vlan_id"), t.Get(i, "src_mac"), t.Get(i, "dst_mac"), strconv.FormatBool(t.Get(i, "tunnel") != "")},
		}
		if l.bare && !flipped[group] && strings.HasPrefix(rec.Main[2], "^") {
			turned(&rec)
			if rec.Main[0] != Unknown {
				rec.Main[0] = endpoint{canonicalIP(t.Get(i, "dst_ip")), t.Get(i, "dst_port")}.String()
			}
		}
		set.ours = append(set.ours, rec)
	}
	return set
}

func portless(proto, a, b string) string { return proto + " " + pairOf(a, "", b, "") }
