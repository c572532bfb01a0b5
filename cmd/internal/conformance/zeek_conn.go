package conformance

import (
	"fmt"
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
	"dhcp": "dhcp", "dns": "netbios_ns", // one analyzer of both "smb": "smb", "gssapi": "smb", "dce_rpc": "smb", "ntlm": "smb", "rdpeudp": "rdp", "postgresql": "postgres",
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
	nested := false
	for i := range t.Len() {
		nested = nested || strings.Contains(t.Get(i, "tunnel"), "\x1f")
	}
	return func(r zeekRow) bool {
		port := r["id.resp_p"]
		if nested && tunnelPorts[port] && r.said("tunnel_parents") != Unknown {
			return true // a tunnel in a tunnel, of which our rows name the outermost
		}
		return parents[r["uid"]] || (tunnelPorts[port] || port == teredoPort || tunnelPorts[r["id.orig_p"]]) &&
			outer[pairOf(canonicalIP(r["id.orig_h"]), "", canonicalIP(r["id.resp_h"]), "")]
	}
}

// turned is the row of a flow as who takes the other end for the originator has it.
func turned(r *Record, udp bool) {
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
	switch s := turnedStates[m[1]]; {
	case udp && m[1] == "SHR":
		m[1] = "S0"
	case m[1] == "RSTRH" && !strings.HasPrefix(m[2], "S"):
		m[1] = "OTH" // RSTOS0 is of a SYN
	case s != "":
		m[1] = s
	}
	m[3], m[4], m[5], m[6] = m[5], m[6], m[3], m[4]
	r.More[1], r.More[2] = r.More[2], r.More[1]
}

var turnedStates = map[string]string{"RSTO": "RSTR", "RSTR": "RSTO", "SH": "SHR", "SHR": "SH", "S2": "S3", "S3": "S2", "RSTOS0": "RSTRH", "RSTRH": "RSTOS0"}

// turnBack turns those rows of Zeek's that Zeek has turned around by its list of servers' ports
// (its history begins with ^), where our row goes by the sender of its first packet,
// which is the other end. Everything else of the row is compared as it is.
func turnBack(set *recordSet) {
	ours := map[string][]*Record{}
	for i := range set.ours {
		if r := &set.ours[i]; nobodySaw(r.Raw["direction_basis"]) && r.Main[0] != Unknown {
			ours[r.Group] = append(ours[r.Group], r)
		}
	}
	for i := range set.truth {
		t := &set.truth[i]
		if t.Main[0] == Unknown || !strings.HasPrefix(t.Main[2], "^") {
			continue
		}
		for k, o := range ours[t.Group] {
			if o.Main[0] != t.Main[0] {
				t.Main[0] = o.Main[0]
				turned(t, t.Raw["proto"] == "udp")
				ours[t.Group] = slices.Delete(slices.Clone(ours[t.Group]), k, k+1)
				break
			}
		}
	}
}

// joinSplit puts the rows of one five-tuple together, on both sides, where they add up to the
// same packets and bytes and no more than one of either side begins with a handshake: the two
// end a silent or closed session by other times (Zeek one of DNS after 10 s, one half closed after
// 3 s), which each documents. What is left to compare is who sent how much, and
// the letters of each end.
func joinSplit(set *recordSet) {
	groups := lazyGroups(set.truth, set.ours)
	join := map[string]bool{}
	for _, t := range set.truth {
		if _, asked := join[t.Group]; !asked {
			g := groups(t.Group)
			join[t.Group] = splitApart(g.Truth, g.Ours)
		}
	}
	joined := func(records []Record) []Record {
		var kept []Record
		done := map[string]bool{}
		for _, r := range records {
			if !join[r.Group] {
				kept = append(kept, r)
			} else if !done[r.Group] {
				done[r.Group] = true
				var all []*Record
				for i := range records {
					if records[i].Group == r.Group {
						all = append(all, &records[i])
					}
				}
				kept = append(kept, joinRows(all))
			}
		}
		return kept
	}
	set.truth, set.ours = joined(set.truth), joined(set.ours)
}

// splitApart says whether the same packets are cut into other rows.
func splitApart(truth, ours []*Record) bool {
	if len(truth) == 0 || len(ours) == 0 || len(truth)+len(ours) < 3 {
		return false
	}
	var sums [2][4]int64
	for i, records := range [][]*Record{truth, ours} {
		begun := 0
		for _, r := range records {
			s, ok := byEnd(r)
			if !ok {
				return false
			}
			for k := range s {
				sums[i][k] += s[k]
			}
			if h := strings.TrimPrefix(r.Main[2], "^"); h != "" && strings.Contains("SsHh", h[:1]) {
				begun++
			}
		}
		if begun > 1 {
			return false
		}
	}
	same := len(truth) == len(ours)
	for i := 0; same && i < len(truth); i++ {
		same = slices.Equal(truth[i].Main[3:], ours[i].Main[3:])
	}
	return !same && sums[0] == sums[1]
}

// byEnd returns the packets and bytes of a row's ends, that first which comes first in the
// name of its group. It fails where the log does not say.
func byEnd(r *Record) (n [4]int64, ok bool) {
	for i := range n {
		v, err := strconv.ParseInt(r.Main[3+i], 10, 64)
		if err != nil {
			return n, false
		}
		n[i] = v
	}
	if r.Main[0] == Unknown {
		return n, false
	}
	if !strings.Contains(r.Group+" ", " "+r.Main[0]+" ") {
		return n, false
	}
	if strings.HasSuffix(r.Group, " "+r.Main[0]) {
		n[0], n[1], n[2], n[3] = n[2], n[3], n[0], n[1]
	}
	return n, true
}

// joinRows is the row of several, of which there are no times to put them in order by.
func joinRows(rows []*Record) Record {
	j := *rows[0]
	j.Main, j.More = slices.Clone(j.Main), slices.Clone(j.More)
	var sum [4]int64
	var letters [2]string
	for _, r := range rows {
		n, _ := byEnd(r)
		for k := range sum {
			sum[k] += n[k]
		}
		second := strings.HasSuffix(r.Group, " "+r.Main[0])
		for _, c := range r.Main[2] {
			upper := c >= 'A' && c <= 'Z'
			end := 0
			if upper == second {
				end = 1
			}
			if l := strings.ToUpper(string(c)); c != '^' && !strings.Contains(letters[end], l) {
				letters[end] += l
			}
		}
	}
	for end, l := range letters {
		b := []byte(l)
		slices.Sort(b)
		letters[end] = string(b)
	}
	j.Main[0], j.Main[1], j.Main[2] = Unknown, Unknown, letters[0]+" "+strings.ToLower(letters[1])
	for k := range sum {
		j.Main[3+k] = strconv.FormatInt(sum[k], 10)
	}
	for i := range j.More { // of the columns of a row nothing is left that both would say
		j.More[i] = Unknown
	}
	j.Label = fmt.Sprintf("%s (%d rows)", j.Label, len(rows))
	return j
}

// zeekConn: ports of ICMP are its type and code (or the type of the answer). Without its
// usual scripts Zeek takes the sender of the first packet for the originator, whatever that
// packet is.
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
		name, proto := group, t.Get(i, "proto")
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
		back := l.bare && strings.HasPrefix(t.Get(i, "history"), "^") && !flipped[group]
		if back && orig != Unknown {
			orig = endpoint{canonicalIP(t.Get(i, "dst_ip")), t.Get(i, "dst_port")}.String()
		} else if back && !l.rows[0].whole() {
			group = strings.Replace(group, name, l.ourGroupBack(t, i), 1)
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
			Group: group, Label: ourLabel(t, i, "flow"), Row: i, Time: t.Int(i, "ts"), Raw: map[string]string{"direction_basis": t.Get(i, "direction_basis")},
			Main: []string{orig, t.Get(i, "state"), t.Get(i, "history"), t.Get(i, "src_packets"), t.Get(i, "src_bytes"), t.Get(i, "dst_packets"), t.Get(i, "dst_bytes")},
			More: []string{nanosToMicros(t.Get(i, "duration_ns")), unique("src_"), unique("dst_"), strconv.FormatInt(t.Int(i, "src_gap_bytes")+t.Int(i, "dst_gap_bytes"), 10),
				service, t.Get(i, "vlan_id"), t.Get(i, "inner_vlan_id"), t.Get(i, "src_mac"), t.Get(i, "dst_mac"), strconv.FormatBool(t.Get(i, "tunnel") != "")},
		}
		if back {
			turned(&rec, proto == "udp")
		}
		set.ours = append(set.ours, rec)
	}
	turnBack(&set)
	joinSplit(&set)
	return set
}

func portless(proto, a, b string) string { return proto + " " + pairOf(a, "", b, "") }
