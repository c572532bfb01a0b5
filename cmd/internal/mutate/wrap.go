package mutate

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// wrap puts packets into something else.
type wrap struct {
	name, doc string
	link      uint32 // that comes of it
	// head returns what takes the place of the packet's first strip bytes, of which rest follow on the wire.
	frame bool // of Ethernet frames; otherwise of IP datagrams, alone or right in such a frame
	head  func(p *Packet, strip, rest int, typ uint16) []byte
	strip int      // of a frame
	kinds []string // what column tunnel has more, outermost first
	id    int64    // what tunnel_id has where there was none; -1: none
	outer bool     // there are outer addresses
	vlans []int
	guess bool // what is not sound is not IP
	macs  bool // MAC addresses are no longer the same
}

// Carriers' addresses are of the networks for benchmarks (RFC 2544, RFC 5180), so that no capture has them.

func outer4(proto byte, rest int) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0, 198, 18, 77, 1, 198, 18, 77, 2}
	binary.BigEndian.PutUint16(b[2:], uint16(20+rest))
	binary.BigEndian.PutUint16(b[10:], ^sum(0, b))
	return b
}

func outer6(next byte, rest int) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, next, 64,
		0x20, 1, 0, 2, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 1, 0, 2, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 2}
	binary.BigEndian.PutUint16(b[4:], uint16(rest))
	return b
}

func sum(s uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func udp(port uint16, rest int) []byte {
	be := binary.BigEndian
	return append(be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, 49999), port), uint16(8+rest)), 0, 0)
}

// ether is an Ethernet header of the carrier's.
func ether(typ uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, typ)
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// over4 is a wrap's head over Ethernet, IPv4 and proto; over6 is over IPv6, and udp4 and udp6 over UDP besides.
func over4(proto byte, h func(typ uint16) []byte) func(p *Packet, strip, rest int, typ uint16) []byte {
	return func(_ *Packet, _, rest int, typ uint16) []byte {
		b := h(typ)
		return join(ether(0x0800), outer4(proto, len(b)+rest), b)
	}
}

func over6(next byte, h func(typ uint16) []byte) func(p *Packet, strip, rest int, typ uint16) []byte {
	return func(_ *Packet, _, rest int, typ uint16) []byte {
		b := h(typ)
		return join(ether(0x86dd), outer6(next, len(b)+rest), b)
	}
}

func udp4(port uint16, h func(typ uint16) []byte) func(p *Packet, strip, rest int, typ uint16) []byte {
	return func(_ *Packet, _, rest int, typ uint16) []byte {
		b := h(typ)
		return join(ether(0x0800), outer4(17, 8+len(b)+rest), udp(port, len(b)+rest), b)
	}
}

func udp6(port uint16, h func(typ uint16) []byte) func(p *Packet, strip, rest int, typ uint16) []byte {
	return func(_ *Packet, _, rest int, typ uint16) []byte {
		b := h(typ)
		return join(ether(0x86dd), outer6(17, 8+len(b)+rest), udp(port, len(b)+rest), b)
	}
}

func fixed(b ...byte) func(typ uint16) []byte { return func(uint16) []byte { return b } }

// typed has the EtherType between two parts.
func typed(before []byte, after ...byte) func(typ uint16) []byte {
	return func(typ uint16) []byte { return append(binary.BigEndian.AppendUint16(join(before), typ), after...) }
}

// link is a head that is the same for all but the EtherType.
func link(h func(typ uint16) []byte) func(p *Packet, strip, rest int, typ uint16) []byte {
	return func(_ *Packet, _, _ int, typ uint16) []byte { return h(typ) }
}

// tags keeps a frame's addresses and puts tags behind them.
func tags(b ...byte) func(p *Packet, strip, rest int, typ uint16) []byte {
	return func(p *Packet, _, _ int, _ uint16) []byte { return join(p.Data[:12], b) }
}

func wraps() []wrap {
	family := func(v4, v6 []byte) func(typ uint16) []byte {
		return func(typ uint16) []byte {
			if typ == 0x86dd {
				return v6
			}
			return v4
		}
	}
	ipip := family([]byte{4}, []byte{41})
	return []wrap{
		{name: "vlan", doc: "an 802.1Q tag", link: 1, frame: true, strip: 12, head: tags(0x81, 0, 0, 100), vlans: []int{100}, id: -1},
		{name: "qinq", doc: "an 802.1ad and an 802.1Q tag", link: 1, frame: true, strip: 12, head: tags(0x88, 0xa8, 0, 200, 0x81, 0, 0, 100), vlans: []int{200, 100}, id: -1},
		{name: "pbb", doc: "a provider backbone's header", link: 1, frame: true, head: link(fixed(join(ether(0x88e7), []byte{0, 0, 0, 9})...)), kinds: []string{"pbb"}, id: 9},
		{name: "pseudowire", doc: "MPLS with a control word, which makes them a guess (what they hold is not IP unless it is sound),", guess: true, link: 1, frame: true, head: link(fixed(join(ether(0x8847), []byte{0, 1, 0, 64, 0, 0, 0x21, 64, 0, 0, 0, 0})...)), kinds: []string{"mpls"}, id: 2},
		{name: "gre-ethernet", doc: "GRE with checksum, key and sequence number", link: 1, frame: true, head: over4(47, fixed(0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1)), kinds: []string{"gre"}, id: 7, outer: true},
		{name: "vxlan", doc: "VXLAN over IPv4", link: 1, frame: true, head: udp4(4789, fixed(8, 0, 0, 0, 0, 0, 5, 0)), kinds: []string{"vxlan"}, id: 5, outer: true},
		{name: "vxlan6", doc: "VXLAN over IPv6", link: 1, frame: true, head: udp6(4789, fixed(8, 0, 0, 0, 0, 0, 5, 0)), kinds: []string{"vxlan"}, id: 5, outer: true},
		{name: "geneve", doc: "GENEVE with options", link: 1, frame: true, head: udp4(6081, fixed(2, 0, 0x65, 0x58, 0, 0, 6, 0, 1, 2, 3, 1, 9, 9, 9, 9)), kinds: []string{"geneve"}, id: 6, outer: true},
		{name: "erspan", doc: "ERSPAN type II", link: 1, frame: true, head: over4(47, fixed(0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 8, 0, 0, 0, 0)), kinds: []string{"erspan"}, id: 8, outer: true},
		{name: "etherip", doc: "EtherIP", link: 1, frame: true, head: over4(97, fixed(0x30, 0)), kinds: []string{"etherip"}, id: -1, outer: true},
		{name: "tzsp", doc: "TZSP", link: 1, frame: true, head: udp4(37008, fixed(1, 0, 0, 1, 1)), kinds: []string{"tzsp"}, id: -1, outer: true},
		{name: "ppp-bridged", doc: "PPP that carries frames", link: 9, frame: true, head: link(fixed(0xff, 3, 0, 0x31, 0, 1)), id: -1},

		{name: "mpls", doc: "two MPLS labels", link: 1, head: link(fixed(join(ether(0x8847), []byte{0, 1, 0, 64, 0, 0, 0x31, 64})...)), kinds: []string{"mpls"}, id: 3, macs: true},
		{name: "pppoe", doc: "PPPoE", link: 1, head: func(_ *Packet, _, rest int, typ uint16) []byte {
			return join(ether(0x8864), []byte{0x11, 0, 0, 4}, binary.BigEndian.AppendUint16(nil, uint16(2+rest)), family([]byte{0, 0x21}, []byte{0, 0x57})(typ))
		}, kinds: []string{"pppoe"}, id: 4, macs: true},
		{name: "gre", doc: "GRE over IPv4", link: 1, head: over4(47, typed([]byte{0, 0})), kinds: []string{"gre"}, id: -1, outer: true, macs: true},
		{name: "gre6", doc: "GRE over IPv6, with a key", link: 1, head: over6(47, typed([]byte{0x20, 0}, 0, 0, 0, 7)), kinds: []string{"gre"}, id: 7, outer: true, macs: true},
		{name: "in4", doc: "IPv4 or IPv6 in IPv4", link: 1, head: func(p *Packet, s, rest int, typ uint16) []byte {
			return over4(ipip(typ)[0], fixed())(p, s, rest, typ)
		}, kinds: []string{"ipip"}, id: -1, outer: true, macs: true},
		{name: "in6", doc: "IPv4 or IPv6 in IPv6", link: 1, head: func(p *Packet, s, rest int, typ uint16) []byte {
			return over6(ipip(typ)[0], fixed())(p, s, rest, typ)
		}, kinds: []string{"ipip"}, id: -1, outer: true, macs: true},
		{name: "gtpu", doc: "GTP-U with an extension header", link: 1, head: func(_ *Packet, _, rest int, _ uint16) []byte {
			return join(ether(0x0800), outer4(17, 24+rest), udp(2152, 16+rest), []byte{0x34, 0xff}, binary.BigEndian.AppendUint16(nil, uint16(8+rest)), []byte{0, 0, 0, 10, 0, 0, 0, 0x85, 1, 0, 0, 0})
		}, kinds: []string{"gtpu"}, id: 10, outer: true, macs: true},
		{name: "gue", doc: "GUE, version 0", link: 1, head: func(p *Packet, s, rest int, typ uint16) []byte {
			return udp4(6080, fixed(0, ipip(typ)[0], 0, 0))(p, s, rest, typ)
		}, kinds: []string{"gue"}, id: -1, outer: true, macs: true},
		{name: "nsh", doc: "NSH", link: 1, head: link(func(typ uint16) []byte {
			return join(ether(0x894f), []byte{0, 0x02, 2}, family([]byte{1}, []byte{2})(typ), []byte{0, 0, 11, 255})
		}), kinds: []string{"nsh"}, id: 11, macs: true},
		{name: "snap", doc: "an 802.3 length with 802.2 SNAP", link: 1, head: func(_ *Packet, _, rest int, typ uint16) []byte {
			if rest+8 > 1500 {
				return nil
			}
			return join(ether(uint16(8+rest)), []byte{0xaa, 0xaa, 3, 0, 0, 0}, binary.BigEndian.AppendUint16(nil, typ))
		}, id: -1, macs: true},
		{name: "sll", doc: "Linux cooked capture", link: 113, head: link(typed([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0})), id: -1, macs: true},
		{name: "sll2", doc: "Linux cooked capture, version 2", link: 276, head: link(func(typ uint16) []byte {
			return append(binary.BigEndian.AppendUint16(nil, typ), 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0)
		}), id: -1, macs: true},
		{name: "raw", doc: "nothing", link: 101, head: link(fixed()), id: -1, macs: true},
		{name: "null", doc: "BSD loopback", link: 0, head: link(family([]byte{2, 0, 0, 0}, []byte{30, 0, 0, 0})), id: -1, macs: true},
		{name: "loop", doc: "OpenBSD loopback", link: 108, head: link(family([]byte{0, 0, 0, 2}, []byte{0, 0, 0, 24})), id: -1, macs: true},
		{name: "ppp", doc: "PPP", link: 9, head: link(family([]byte{0xff, 3, 0, 0x21}, []byte{0xff, 3, 0, 0x57})), id: -1, macs: true},
		{name: "hdlc", doc: "Cisco HDLC", link: 104, head: link(typed([]byte{0x0f, 0})), id: -1, macs: true},
		{name: "frame-relay", doc: "Frame Relay", link: 107, head: link(family([]byte{0x18, 0x41, 3, 0xcc}, []byte{0x18, 0x41, 3, 0x8e})), id: -1, macs: true},
		{name: "wlan", doc: "a Wi-Fi frame from the distribution system behind a radio header", link: 127, head: link(typed([]byte{0, 0, 8, 0, 0, 0, 0, 0,
			0x08, 0x02, 0, 0, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 1, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0})), id: -1, macs: true},
	}
}

// apply wraps a packet. It reports false where the wrap is not for it.
func (w *wrap) apply(p *Packet) (Packet, bool) {
	strip, typ := w.strip, uint16(0)
	if w.frame {
		if p.Link != 1 || len(p.Data) < 14 {
			return Packet{}, false
		}
		if b := p.Data; b[0]&^2 == 1 && b[1] == 0 && b[2] == 0x0c && b[3]|b[4] == 0 { // ISL has no EtherType
			return Packet{}, false
		}
	} else {
		off, v := ipOf(p)
		if off < 0 {
			return Packet{}, false
		}
		strip, typ = off, 0x0800
		if v == 6 {
			typ = 0x86dd
		}
	}
	rest := p.wire() - strip
	if rest > math.MaxUint16-100 {
		return Packet{}, false
	}
	h := w.head(p, strip, rest, typ)
	if h == nil && w.name != "raw" {
		return Packet{}, false
	}
	return Packet{p.Time, w.link, len(h) + rest, join(h, p.Data[strip:])}, true
}

// ipOf returns where the IP datagram begins that is all that a packet has, -1 if there
// is none, and its version.
func ipOf(p *Packet) (off, version int) {
	off, want := 0, 0
	switch p.Link {
	case 1:
		if len(p.Data) < 14 {
			return -1, 0
		}
		switch off = 14; binary.BigEndian.Uint16(p.Data[12:]) {
		case 0x0800:
			want = 4
		case 0x86dd:
			want = 6
		default:
			return -1, 0
		}
	case 101, 12, 14, 228, 229:
	default:
		return -1, 0
	}
	if off >= len(p.Data) {
		return -1, 0
	}
	version = int(p.Data[off] >> 4)
	if version != 4 && version != 6 || want != 0 && want != version {
		return -1, 0
	}
	return off, version
}

func (w *wrap) relation() Relation {
	doc := w.doc + " around IP datagrams"
	if w.frame {
		doc = w.doc + " around Ethernet frames"
	}
	doc += ": rows are the same but for tunnel, its addresses and number, VLANs and wire bytes, which grow by the header for each packet (of fragments, each)."
	if w.outer {
		doc += " What was no sound datagram is now the carrier's."
	}
	return Relation{"in-" + w.name, doc, func(in Input) *Case {
		var base, out []Packet
		growth := int64(math.MaxInt64)
		for i := range in.Packets {
			p := &in.Packets[i]
			q, ok := w.apply(p)
			if !ok {
				continue
			}
			if g := int64(q.Orig - p.wire()); growth == math.MaxInt64 {
				growth = g
			} else if g != growth {
				continue // of another link type
			}
			base, out = append(base, *p), append(out, q)
		}
		if len(out) == 0 {
			return nil
		}
		return &Case{Base: base, Files: [][]byte{plain(out)}, Expect: func(want, got Tables) { w.expect(want, got, growth) }}
	}}
}

func (w *wrap) expect(want, got Tables, growth int64) {
	want.Each([]string{"flows"}, func(_ string, r Row) bool {
		var kinds []string
		if t := r.Get("tunnel"); t != null {
			if err := json.Unmarshal([]byte(t), &kinds); err != nil {
				panic(err)
			}
		}
		if kinds = append(append([]string{}, w.kinds...), kinds...); len(kinds) > 0 {
			b, _ := json.Marshal(kinds[:min(len(kinds), 8)]) // so many are told
			r.Set("tunnel", string(b))
		}
		if w.id >= 0 && r.Get("tunnel_id") == null {
			r.Set("tunnel_id", w.id)
		}
		vlans := append([]int{}, w.vlans...)
		for _, c := range []string{"vlan_id", "inner_vlan_id"} {
			if v := r.Get(c); v != null {
				vlans = append(vlans, int(r.Int(c)))
			}
		}
		for i, c := range []string{"vlan_id", "inner_vlan_id"} {
			if i < len(vlans) {
				r.Set(c, vlans[i])
			}
		}
		return true
	})
	if w.outer {
		carried := map[string]bool{"198.18.77.1": true, "198.18.77.2": true, "2001:2:0:77::1": true, "2001:2:0:77::2": true}
		carrier := int64(0)
		got.Each(messagesAnd("flows"), func(table string, r Row) bool {
			if !carried[r.Get("src_ip")] {
				return true
			}
			if table == "flows" {
				carrier += r.Int("src_packets") + r.Int("dst_packets")
			}
			return false
		})
		want.Each([]string{"flows"}, func(_ string, r Row) bool { r.Set("outer_src_ip", "-"); r.Set("outer_dst_ip", "-"); return true })
		got.Each([]string{"flows"}, func(_ string, r Row) bool {
			for _, c := range []string{"outer_src_ip", "outer_dst_ip"} {
				if carried[r.Get(c)] {
					r.Set(c, "-")
				}
			}
			return true
		})
		want.Each([]string{ledger}, func(_ string, r Row) bool {
			lost := int64(0)
			for _, c := range []string{"not_ip_packets", "malformed_link_packets", "malformed_network_packets", "malformed_transport_packets", "cut_packets"} {
				lost += r.Int(c)
				r.Set(c, 0)
			}
			r.Set("flow_packets", r.Int("flow_packets")+lost)
			if lost > 0 { // whose checksums are no longer looked at
				want[ledger].forget("bad_checksums", "offload_checksums")
				got[ledger].forget("bad_checksums", "offload_checksums")
			}
			if lost != carrier {
				r.Set("error", fmt.Sprintf("%d packets are the carrier's, and %d should be", carrier, lost))
			}
			return true
		})
	}
	if w.guess {
		want.Each([]string{ledger}, func(_ string, r Row) bool {
			for _, c := range []string{"malformed_link_packets", "malformed_network_packets", "malformed_transport_packets"} {
				r.Set("not_ip_packets", r.Int("not_ip_packets")+r.Int(c))
				r.Set(c, 0)
			}
			return true
		})
	}
	for _, t := range []Tables{want, got} {
		g := growth
		if t["flows"] == got["flows"] {
			g = 0
		}
		t.Each([]string{"flows"}, func(_ string, r Row) bool {
			for _, side := range []string{"src", "dst"} {
				if r.Int(side+"_fragments") > 0 {
					r.Set(side+"_wire_bytes", "-") // who knows how many of its packets were fragments
				} else {
					r.Set(side+"_wire_bytes", r.Int(side+"_wire_bytes")+g*r.Int(side+"_packets"))
				}
			}
			return true
		})
		if w.macs {
			t.Forget("src_mac", "dst_mac")
		}
	}
}
