package conformance

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A flow's records are oriented by their endpoints, not by who began: the
// forward direction is that of the endpoint which sorts first. Who began is
// a matter of rules (a SYN seen or not), how much each end sent is not.
var flowKind = Kind{
	Name: "flows",
	Main: []string{"fwd_packets", "fwd_bytes", "fwd_payload", "rev_packets", "rev_bytes", "rev_payload", "vlan", "tunneled"},
	More: []string{"fwd_wire_bytes", "rev_wire_bytes", "first", "last", "fwd_flags", "rev_flags", "syn_packets", "fin_packets", "rst_packets", "outer_ips"},
	Same: sameFlowColumn,
}

// Columns of the table flows without which nothing can be compared.
var flowColumns = []string{
	"proto", "src_ip", "src_port", "dst_ip", "dst_port", "ts", "end_ts",
	"src_packets", "dst_packets", "src_bytes", "dst_bytes", "src_payload_bytes", "dst_payload_bytes",
	"src_fragments", "dst_fragments", "src_tcp_flags", "dst_tcp_flags", "vlan_id", "inner_vlan_id",
}

// sameFlowColumn allows for datagrams that came in fragments. We count the
// datagram's own bytes; the other program shows the datagram in the frame of its
// last fragment and so has that fragment's length. It has the payload of the
// whole datagram, though, which then stands for the bytes.
func sameFlowColumn(column, _, _ string, t, o *Record) bool {
	switch column {
	case "fwd_bytes", "fwd_wire_bytes":
		return o.frag[0] && t.Main[2] == o.Main[2]
	case "rev_bytes", "rev_wire_bytes":
		return o.frag[1] && t.Main[5] == o.Main[5]
	}
	return false
}

type endpoint struct{ ip, port string }

func (e endpoint) String() string {
	if strings.Contains(e.ip, ":") {
		return "[" + e.ip + "]:" + e.port
	}
	return e.ip + ":" + e.port
}

// canonicalIP gives one text to an address, however a program writes it.
func canonicalIP(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.String()
}

// order returns the endpoints in the order of their text, and whether they
// were exchanged.
func order(a, b endpoint) (endpoint, endpoint, bool) {
	if b.ip < a.ip || b.ip == a.ip && b.port < a.port {
		return b, a, true
	}
	return a, b, false
}

// pairOf names two endpoints regardless of direction.
func pairOf(ip1, port1, ip2, port2 string) string {
	a, b, _ := order(endpoint{canonicalIP(ip1), port1}, endpoint{canonicalIP(ip2), port2})
	return a.String() + " " + b.String()
}

// flowSide is what one end sent.
type flowSide struct {
	packets, bytes, payload int64
	wire                    string
	flags                   string
	frag                    bool
}

// flowShape is what of a flow has no direction.
type flowShape struct {
	first, last   int64
	vlan          string
	tunneled      string // "true", "false" or Unknown
	outer         string // addresses of what carries it, sorted
	syn, fin, rst string
}

func flowRecord(proto string, a, b endpoint, s [2]flowSide, f flowShape, label string) Record {
	a.ip, b.ip = canonicalIP(a.ip), canonicalIP(b.ip)
	same := a == b
	a, b, swapped := order(a, b)
	if swapped {
		s[0], s[1] = s[1], s[0]
	}
	if same { // one end talks to itself: there is one direction
		s[0] = flowSide{s[0].packets + s[1].packets, s[0].bytes + s[1].bytes, s[0].payload + s[1].payload, Unknown, Unknown, s[0].frag || s[1].frag}
		s[1] = flowSide{wire: Unknown, flags: Unknown}
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	r := Record{
		Group: proto + " " + a.String() + " " + b.String(),
		Main:  []string{n(s[0].packets), n(s[0].bytes), n(s[0].payload), n(s[1].packets), n(s[1].bytes), n(s[1].payload), f.vlan, f.tunneled},
		More:  []string{s[0].wire, s[1].wire, n(f.first), n(f.last), s[0].flags, s[1].flags, f.syn, f.fin, f.rst, f.outer},
		Time:  f.first,
		frag:  [2]bool{s[0].frag, s[1].frag},
	}
	r.Label = r.Group
	if label != "" {
		r.Label += " (" + label + ")"
	}
	return r
}

// tunnelPorts are UDP ports whose payload is another network's packets: VXLAN,
// GTP-U, Geneve, CAPWAP data, L2TP, VXLAN-GPE, Linux's old VXLAN, AYIYA, GUE, LWAPP, MPLS,
// GRE, LISP, TZSP.
var tunnelPorts = map[string]bool{"4789": true, "2152": true, "6081": true, "5247": true, "1701": true, "4790": true, "8472": true, "5072": true, "6080": true, "12222": true, "12223": true,
	"6635": true, "4754": true, "4341": true, "37008": true}

// teredoPort is apart: the other program does not look into Teredo, so that it
// has the carriers alone.
const teredoPort = "3544"

// truthFlows returns the TCP and UDP flows of the innermost depth, and the
// groups of the tunnels that carry them, which have no record.
//
// The truth does not say what is carried by what. A row is a carrier when its
// port is a tunnel's and a flow one deeper lives while it does.
func truthFlows(rows []map[string]string) (rs []Record, carriers map[string]bool) {
	carriers = map[string]bool{}
	carries := func(r map[string]string) bool {
		if r["proto"] != "udp" {
			return false
		}
		if r["a_port"] == teredoPort || r["b_port"] == teredoPort {
			return true
		}
		if !tunnelPorts[r["a_port"]] && !tunnelPorts[r["b_port"]] {
			return false
		}
		d, _ := strconv.Atoi(r["depth"])
		first, last := nanoseconds(r["first"]), nanoseconds(r["last"])
		for _, q := range rows {
			if e, _ := strconv.Atoi(q["depth"]); e == d+1 && nanoseconds(q["first"]) <= last && first <= nanoseconds(q["last"]) {
				return true
			}
		}
		return false
	}
	num := func(r map[string]string, c string) int64 { n, _ := strconv.ParseInt(r[c], 10, 64); return n }
	for _, r := range rows {
		if r["proto"] != "tcp" && r["proto"] != "udp" || r["a_ip"] == "" || r["b_ip"] == "" {
			continue // not over IP
		}
		// Depth counts carriers that are TCP or UDP: at 0 there may be another.
		tunneled := Unknown
		if r["depth"] != "0" {
			tunneled = "true"
		}
		tcp := func(c string) string {
			if r["proto"] != "tcp" {
				return Unknown
			}
			return unless(r[c], Unknown)
		}
		rec := flowRecord(r["proto"], endpoint{r["a_ip"], r["a_port"]}, endpoint{r["b_ip"], r["b_port"]}, [2]flowSide{
			{num(r, "a2b_pkts"), num(r, "a2b_ip_bytes"), num(r, "a2b_payload"), r["a2b_frame_bytes"], tcpFlags(r["proto"], r["a2b_flags"]), false},
			{num(r, "b2a_pkts"), num(r, "b2a_ip_bytes"), num(r, "b2a_payload"), r["b2a_frame_bytes"], tcpFlags(r["proto"], r["b2a_flags"]), false},
		}, flowShape{nanoseconds(r["first"]), nanoseconds(r["last"]), vlanOf(r["vlan"]), tunneled, outerOf(rows, r), tcp("syn"), tcp("fin"), tcp("rst")}, "stream "+r["stream"])
		rec.Raw = r
		if carries(r) {
			carriers[rec.Group] = true
			continue
		}
		rs = append(rs, rec)
	}
	return rs, carriers
}

// outerOf returns the addresses of the datagrams that carry a flow of depth 1:
// those of the rows of depth 0 that live while it does, where they agree.
func outerOf(rows []map[string]string, r map[string]string) string {
	pair := Unknown
	if r["depth"] != "1" {
		return pair
	}
	first, last := nanoseconds(r["first"]), nanoseconds(r["last"])
	for _, q := range rows {
		if q["depth"] != "0" || nanoseconds(q["first"]) > first || last > nanoseconds(q["last"]) {
			continue
		}
		p := pairOf(q["a_ip"], "", q["b_ip"], "")
		if pair != Unknown && pair != p {
			return Unknown
		}
		pair = p
	}
	return pair
}

func vlanOf(s string) string { return strings.ReplaceAll(s, ",", " ") }

// flagLetters are the letters of the lower nine bits of a TCP header's flags,
// lowest first, as the column tcp_flags has them.
const flagLetters = "FSRPAUECN"

// tcpFlags brings a union of TCP flags, a hexadecimal number, to letters.
func tcpFlags(proto, s string) string {
	if proto != "tcp" {
		return ""
	}
	n, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return Unknown
	}
	var b []byte
	for i := range len(flagLetters) {
		if n>>i&1 == 1 {
			b = append(b, flagLetters[i])
		}
	}
	return string(b)
}

// ourFlows returns the TCP and UDP rows of the table flows, without those of
// the groups in without.
func ourFlows(t *Table, without map[string]bool) ([]Record, error) {
	if t.Len() == 0 {
		return nil, nil
	}
	if m := t.Missing(flowColumns...); m != nil {
		return nil, fmt.Errorf("flows lacks columns %v", m)
	}
	var rs []Record
	for i := range t.Len() {
		proto := t.Get(i, "proto")
		if proto != "tcp" && proto != "udp" {
			continue
		}
		var s [2]flowSide
		for d, side := range []string{"src_", "dst_"} {
			s[d] = flowSide{
				packets: t.Int(i, side+"packets"), bytes: t.Int(i, side+"bytes"), payload: t.Int(i, side+"payload_bytes"),
				wire: t.more(i, []string{side + "wire_bytes"})[0], flags: t.Get(i, side+"tcp_flags"), frag: t.Int(i, side+"fragments") > 0,
			}
		}
		both := func(c string) string {
			if !t.Has("src_"+c) || proto != "tcp" {
				return Unknown
			}
			return strconv.FormatInt(t.Int(i, "src_"+c)+t.Int(i, "dst_"+c), 10)
		}
		f := flowShape{
			t.Int(i, "ts"), t.Int(i, "end_ts"), strings.TrimSpace(t.Get(i, "vlan_id") + " " + t.Get(i, "inner_vlan_id")),
			strconv.FormatBool(t.Get(i, "tunnel") != ""),
			pairOf(t.Get(i, "outer_src_ip"), "", t.Get(i, "outer_dst_ip"), ""), both("syn_packets"), both("fin_packets"), both("rst_packets"),
		}
		r := flowRecord(proto, endpoint{t.Get(i, "src_ip"), t.Get(i, "src_port")}, endpoint{t.Get(i, "dst_ip"), t.Get(i, "dst_port")}, s, f,
			"row "+strconv.Itoa(i+1))
		r.Row = i
		if !without[r.Group] {
			rs = append(rs, r)
		}
	}
	return rs, nil
}
