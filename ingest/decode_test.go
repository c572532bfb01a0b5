package ingest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
)

// Frames are put together from the inside out.

func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func be16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func eth(typ int, payload []byte) []byte {
	return cat(unhex("020000000002 020000000001"), be16(typ), payload)
}

// onesSum is the Internet checksum's sum as RFC 1071 section 4.1 has it.
func onesSum(parts ...[]byte) uint16 {
	b := cat(parts...)
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

var (
	addrA4 = []byte{10, 0, 0, 1}
	addrB4 = []byte{10, 0, 0, 2}
	addrA6 = netip.MustParseAddr("2001:db8::1").AsSlice()
	addrB6 = netip.MustParseAddr("2001:db8::2").AsSlice()
)

// ip4With is a datagram with identification, flags and fragment offset (in bytes), and options.
func ip4With(proto, id, flags, offset int, options, payload []byte) []byte {
	h := cat([]byte{byte(0x45 + len(options)/4), 0x28}, be16(20+len(options)+len(payload)), be16(id), be16(flags<<13|offset/8),
		[]byte{64, byte(proto), 0, 0}, addrA4, addrB4, options)
	binary.BigEndian.PutUint16(h[10:], ^onesSum(h))
	return cat(h, payload)
}

func ip4(proto int, payload []byte) []byte { return ip4With(proto, 1, 2, 0, nil, payload) }

func ip6(next int, payload []byte) []byte {
	return cat(unhex("62800000"), be16(len(payload)), []byte{byte(next), 63}, addrA6, addrB6, payload)
}

// pseudo is a pseudo-header of the addresses above.
func pseudo(v6 bool, proto, n int) []byte {
	if v6 {
		return cat(addrA6, addrB6, be32(uint32(n)), be32(uint32(proto)))
	}
	return cat(addrA4, addrB4, be16(proto), be16(n))
}

func tcp(v6 bool, options, payload []byte) []byte {
	b := cat(be16(1000), be16(80), be32(7), be32(9), be16((5+len(options)/4)<<12|0x018), be16(512), be16(0), be16(0), options, payload)
	binary.BigEndian.PutUint16(b[16:], ^onesSum(pseudo(v6, 6, len(b)), b))
	return b
}

func udpPorts(v6 bool, src, dst int, payload []byte) []byte {
	b := cat(be16(src), be16(dst), be16(8+len(payload)), be16(0), payload)
	binary.BigEndian.PutUint16(b[6:], ^onesSum(pseudo(v6, 17, len(b)), b))
	return b
}

func udp(v6 bool, payload []byte) []byte { return udpPorts(v6, 1000, 53, payload) }

// icmp4 and icmp6 are messages with a rest of header that is zero.
func icmp4(typ, code int, payload []byte) []byte {
	b := cat([]byte{byte(typ), byte(code), 0, 0, 0, 0, 0, 0}, payload)
	binary.BigEndian.PutUint16(b[2:], ^onesSum(b))
	return b
}

func icmp6(typ, code int, payload []byte) []byte {
	b := cat([]byte{byte(typ), byte(code), 0, 0, 0, 0, 0, 0}, payload)
	binary.BigEndian.PutUint16(b[2:], ^onesSum(pseudo(true, 58, len(b)), b))
	return b
}

func vxlan(vni uint32, frame []byte) []byte {
	return udpPorts(false, 40000, 4789, cat(be32(0x08000000), be32(vni<<8), frame))
}

func pad(b []byte, n int) []byte { return cat(b, make([]byte, n)) }

func edit(b []byte, at int, v ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], v)
	return b
}

const hello = "hello"

// text is a packet and its encapsulations in one line.
func text(p *flows.Packet, encaps []flows.Encap) string {
	addr := func(a flows.Addr, v6 bool) string {
		if v6 {
			return netip.AddrFrom16(a).String()
		}
		return netip.AddrFrom16(a).Unmap().String()
	}
	v6 := p.Flags&flows.IPv6 != 0
	s := fmt.Sprintf("%s.%d > %s.%d proto %d ttl %d tos %d ip %d+%d transport %d payload %d+%d/%d",
		addr(p.Src, v6), p.SrcPort, addr(p.Dst, v6), p.DstPort, p.Proto, p.TTL, p.TOS, p.Network, p.IPLen,
		p.Transport, p.Payload, p.PayloadCaptured, p.PayloadLen)
	if p.Flags&flows.HasVLAN != 0 {
		s += fmt.Sprintf(" vlan %d", p.VLAN)
	}
	if p.Flags&flows.HasInnerVLAN != 0 {
		s += fmt.Sprintf(" inner %d", p.InnerVLAN)
	}
	if p.Flags&flows.HasEthernet != 0 {
		s += fmt.Sprintf(" %s %d", [...]string{"eth", "tods", "fromds", "wds"}[p.MACs], p.Link)
	}
	if p.TCPFlags != 0 {
		s += fmt.Sprintf(" tcp %#x seq %d ack %d win %d", p.TCPFlags, p.Seq, p.Ack, p.Window)
	}
	if p.Proto == flows.ProtoICMP || p.Proto == flows.ProtoICMPv6 {
		s += fmt.Sprintf(" icmp %d/%d", p.ICMPType, p.ICMPCode)
	}
	if p.Fragments != 0 {
		s += fmt.Sprintf(" fragments %d", p.Fragments)
	}
	for _, f := range []struct {
		flag flows.PacketFlags
		name string
	}{{flows.HasPorts, "ports"}, {flows.BadIPChecksum, "badip"}, {flows.BadChecksum, "badsum"}, {flows.ICMPError, "error"},
		{flows.QuoteReversed, "reversed"}, {flows.PayloadCut, "cut"}, {flows.InOverflow, "overflow"}} {
		if p.Flags&f.flag != 0 {
			s += " " + f.name
		}
	}
	for i := p.Encap; i != 0; i = encaps[i-1].Inner {
		e := encaps[i-1]
		s += " in " + e.Kind.String()
		if e.HasID {
			s += fmt.Sprintf("(%d)", e.ID)
		}
		if e.HasOuter {
			s += fmt.Sprintf("[%s > %s]", addr(e.Src, e.Outer6), addr(e.Dst, e.Outer6))
		}
	}
	return s
}

// decodeAt decodes a frame of which captured bytes are there, from the middle
// of a block whose other bytes would show if they were read.
func decodeAt(d *Decoder, link uint32, frame []byte, captured int) (Outcome, flows.Packet, []flows.Encap, []byte) {
	const before = 3
	data := cat(bytes.Repeat([]byte{0x45}, before), frame[:captured], bytes.Repeat([]byte{0x45}, 80))
	r := Record{Time: 5, Offset: before, CapLen: uint32(captured), OrigLen: uint32(len(frame))}
	p := flows.Packet{Time: r.Time, WireLen: r.OrigLen, Link: r.Offset, Pos: flows.NewPosition(1, 1)}
	encaps := make([]flows.Encap, 2, 16) // others' of the batch
	o := d.Decode(link, data, r, &p, &encaps)
	return o, p, encaps, data
}

// shift returns p with offsets as if its packet began at 0.
func shift(p flows.Packet, n uint32) flows.Packet {
	p.Link, p.Network, p.Transport, p.Payload = p.Link-n, p.Network-n, p.Transport-n, p.Payload-n
	return p
}

// checkPacket tests what must be true of each packet that was decoded from
// data[r.Offset:][:r.CapLen], whatever was in it.
func checkPacket(t testing.TB, p *flows.Packet, encaps []flows.Encap, data []byte, r Record) {
	t.Helper()
	end := r.Offset + r.CapLen
	if !(r.Offset <= p.Link && p.Link <= p.Network && p.Network < p.Transport && p.Transport <= p.Payload &&
		p.Payload <= end && p.PayloadCaptured <= end-p.Payload) {
		t.Fatalf("offsets: %d ≤ %d ≤ %d < %d ≤ %d, +%d ≤ %d", r.Offset, p.Link, p.Network, p.Transport, p.Payload, p.PayloadCaptured, end)
	}
	if p.PayloadCaptured > p.PayloadLen || p.PayloadLen > p.IPLen || p.PayloadLen > max(r.OrigLen, r.CapLen) {
		t.Fatalf("payload %d of %d, IP %d, wire %d", p.PayloadCaptured, p.PayloadLen, p.IPLen, r.OrigLen)
	}
	if (p.Flags&flows.PayloadCut != 0) != (p.PayloadCaptured < p.PayloadLen) {
		t.Fatalf("PayloadCut with %d of %d", p.PayloadCaptured, p.PayloadLen)
	}
	if p.Flags&flows.HasEthernet != 0 && p.Link+uint32(p.MACs.Len()) > p.Network {
		t.Fatalf("MAC addresses at %d (%d), IP at %d", p.Link, p.MACs, p.Network)
	}
	h := data[p.Network:end]
	if v6 := p.Flags&flows.IPv6 != 0; v6 {
		if h[0]>>4 != 6 || p.Transport-p.Network < 40 || !bytes.Equal(p.Src[:], h[8:24]) || !bytes.Equal(p.Dst[:], h[24:40]) {
			t.Fatalf("not the IPv6 header of %s", text(p, encaps))
		}
	} else if h[0]>>4 != 4 || p.Transport-p.Network < 20 || !p.Src.Is4() || !bytes.Equal(p.Src[12:], h[12:16]) || !bytes.Equal(p.Dst[12:], h[16:20]) {
		t.Fatalf("not the IPv4 header of %s", text(p, encaps))
	}
	if p.Flags&flows.HasPorts != 0 {
		h := data[p.Transport:p.Payload]
		if len(h) < 8 || binary.BigEndian.Uint16(h) != p.SrcPort || binary.BigEndian.Uint16(h[2:]) != p.DstPort {
			t.Fatalf("not the ports of %s", text(p, encaps))
		}
	}
	if (p.Flags&flows.ICMPError != 0) != (p.Quote != 0) {
		t.Fatalf("quote %d of %s", p.Quote, text(p, encaps))
	}
	n := 0
	for i := p.Encap; i != 0; i = encaps[i-1].Inner {
		if n++; int(i) > len(encaps) || n > maxEncaps {
			t.Fatalf("encapsulations of %s", text(p, encaps))
		}
	}
}

const (
	l4 = "10.0.0.1.1000 > 10.0.0.2.80 proto 6 ttl 64 tos 40"
	u4 = "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40"
	l6 = "2001:db8::1.1000 > 2001:db8::2.80 proto 6 ttl 63 tos 40"
	u6 = "2001:db8::1.1000 > 2001:db8::2.53 proto 17 ttl 63 tos 40"
	ts = " tcp 0x18 seq 7 ack 9 win 512"
)

type decodeTest struct {
	name  string
	link  uint32
	frame []byte
	want  string // of a packet of a flow, or of a fragment, or the outcome's name
}

func decodeTests() []decodeTest {
	t4, t6 := tcp(false, nil, []byte(hello)), tcp(true, nil, []byte(hello))
	d4, d6 := ip4(6, t4), ip6(6, t6)
	q4, q6 := ip4(17, udp(false, []byte(hello))), ip6(17, udp(true, []byte(hello)))
	hbh := unhex("0600 0502 0000 0100") // router alert; next header TCP
	jumbo := func(next byte, payload []byte) []byte {
		return cat([]byte{next, 0, 0xc2, 4}, be32(uint32(8+len(payload))), payload)
	}
	big := make([]byte, 70000)
	gre := func(flags, typ int, rest []byte) []byte { return ip4(47, cat(be16(flags), be16(typ), rest)) }
	gtp := func(flags byte, rest []byte) []byte {
		return ip4(17, udpPorts(false, 2152, 2152, cat([]byte{flags, 0xff}, be16(len(rest)), be32(77), rest)))
	}
	nested := func(n int) []byte {
		b := d4
		for range n {
			b = ip4(4, b)
		}
		return b
	}
	labels := func(payload []byte) []byte { return cat(be32(16<<12|64), be32(17<<12|0x100|64), payload) }
	wide := func(b []byte, n int) []byte { return cat(b[:4], be16(n), b[6:]) } // another UDP length

	return append(moreDecodeTests(), []decodeTest{
		// Link types.
		{"ethernet ipv4 tcp", 1, eth(0x0800, d4), l4 + " ip 14+45 transport 34 payload 54+5/5 eth 0" + ts + " ports"},
		{"ethernet ipv6 udp", 1, eth(0x86dd, q6), u6 + " ip 14+53 transport 54 payload 62+5/5 eth 0 ports"},
		{"ethernet type of the other version", 1, eth(0x0800, d6), l6 + " ip 14+65 transport 54 payload 74+5/5 eth 0" + ts + " ports"},
		{"ethernet padding and check sequence", 1, pad(eth(0x0800, q4), 17), u4 + " ip 14+33 transport 34 payload 42+5/5 eth 0 ports"},
		{"ethernet arp", 1, eth(0x0806, make([]byte, 28)), "not_ip"},
		{"ethernet lldp", 1, eth(0x88cc, make([]byte, 28)), "not_ip"},
		{"ethernet too short", 1, make([]byte, 13), "malformed_link"},
		{"ethernet empty", 1, nil, "malformed_link"},
		{"802.3 spanning tree", 1, eth(38, unhex("424203")), "not_ip"},
		{"802.3 snap", 1, pad(eth(8+33, cat(unhex("aaaa03000000 0800"), q4)), 9), u4 + " ip 22+33 transport 42 payload 50+5/5 eth 0 ports"},
		{"802.3 snap cisco", 1, eth(8+33, cat(unhex("aaaa0300000c 2000"), q4)), "not_ip"},
		{"802.3 llc ip", 1, eth(3+33, cat(unhex("060603"), q4)), u4 + " ip 17+33 transport 37 payload 45+5/5 eth 0 ports"},
		{"802.3 length before ip", 1, eth(3+20, cat(unhex("060603"), q4)), "malformed_transport"},
		{"length of no meaning", 1, eth(1501, q4), "not_ip"},
		{"vlan", 1, eth(0x8100, cat(be16(0xe064), be16(0x0800), q4)), u4 + " ip 18+33 transport 38 payload 46+5/5 vlan 100 eth 0 ports"},
		{"vlan 0", 1, eth(0x8100, cat(be16(0), be16(0x0800), q4)), u4 + " ip 18+33 transport 38 payload 46+5/5 vlan 0 eth 0 ports"},
		{"qinq", 1, eth(0x88a8, cat(be16(5), be16(0x8100), be16(6), be16(0x0800), q4)), u4 + " ip 22+33 transport 42 payload 50+5/5 vlan 5 inner 6 eth 0 ports"},
		{"three tags", 1, eth(0x9100, cat(be16(5), be16(0x8100), be16(6), be16(0x8100), be16(7), be16(0x0800), q4)), u4 + " ip 26+33 transport 46 payload 54+5/5 vlan 5 inner 6 eth 0 ports"},
		{"vlan then 802.3", 1, eth(0x8100, cat(be16(5), be16(8+33), unhex("aaaa03000000 0800"), q4)), u4 + " ip 26+33 transport 46 payload 54+5/5 vlan 5 eth 0 ports"},
		{"vlan cut off", 1, eth(0x8100, be16(5)), "malformed_link"},
		{"provider backbone", 1, eth(0x88e7, cat(be32(9), eth(0x0800, q4))), u4 + " ip 32+33 transport 52 payload 60+5/5 eth 18 ports in pbb(9)"},
		{"provider backbone many times", 1, bytes.Join([][]byte{bytes.Repeat(eth(0x88e7, be32(9)), 40), eth(0x0800, q4)}, nil), u4 + " ip 734+33 transport 754 payload 762+5/5 eth 720 ports" + strings.Repeat(" in pbb(9)", 8)},
		{"fabricpath", 1, eth(0x8903, cat(be16(9), eth(0x0800, q4))), u4 + " ip 30+33 transport 50 payload 58+5/5 eth 16 ports"},
		{"vn-tag", 1, eth(0x8926, cat(be32(9), be16(0x0800), q4)), u4 + " ip 20+33 transport 40 payload 48+5/5 eth 0 ports"},
		{"security group tag", 1, eth(0x8909, cat(unhex("01010001 0002"), be16(0x0800), q4)), u4 + " ip 22+33 transport 42 payload 50+5/5 eth 0 ports"},
		{"macsec authenticated", 1, pad(eth(0x88e5, cat(unhex("2000 00000042"), make([]byte, 8), be16(0x0800), q4)), 16), u4 + " ip 30+33 transport 50 payload 58+5/5 eth 0 ports"},
		{"macsec short", 1, pad(eth(0x88e5, cat(unhex("0023 00000042"), be16(0x0800), edit(q4, 2, 0, 0))), 16), u4 + " ip 22+33 transport 42 payload 50+5/5 eth 0 ports badip"},
		{"macsec encrypted", 1, pad(eth(0x88e5, cat(unhex("2c00 00000042"), make([]byte, 8), be16(0x0800), q4)), 16), "not_ip"},
		{"service header", 1, eth(0x894f, cat(unhex("0002 0101 00000309"), q4)), u4 + " ip 22+33 transport 42 payload 50+5/5 eth 0 ports in nsh(3)"},
		{"service header ethernet", 1, eth(0x894f, cat(unhex("0003 0103 00000309 00000000"), eth(0x0800, q4))), u4 + " ip 40+33 transport 60 payload 68+5/5 eth 26 ports in nsh(3)"},
		{"service header too short", 1, eth(0x894f, cat(unhex("0001 0101 00000309"), q4)), "malformed_link"},
		{"fddi", 10, cat(unhex("50 020000000002 020000000001 aaaa03000000 0800"), q4), u4 + " ip 21+33 transport 41 payload 49+5/5 ports"},
		{"cooked", 113, cat(unhex("0000 0001 0006 0200000000010000"), be16(0x0800), q4), u4 + " ip 16+33 transport 36 payload 44+5/5 ports"},
		{"cooked ipv6", 113, cat(make([]byte, 14), be16(0x86dd), q6), u6 + " ip 16+53 transport 56 payload 64+5/5 ports"},
		{"cooked vlan", 113, cat(make([]byte, 14), be16(0x8100), be16(5), be16(0x0800), q4), u4 + " ip 20+33 transport 40 payload 48+5/5 vlan 5 ports"},
		{"cooked 802.2", 113, cat(make([]byte, 14), be16(4), unhex("aaaa03000000 0800"), q4), u4 + " ip 24+33 transport 44 payload 52+5/5 ports"},
		{"cooked arp", 113, cat(make([]byte, 14), be16(0x0806), make([]byte, 28)), "not_ip"},
		{"cooked CAN", 113, cat(make([]byte, 14), be16(0x000c), make([]byte, 28)), "not_ip"},
		{"cooked too short", 113, make([]byte, 15), "malformed_link"},
		{"cooked 2", 276, cat(be16(0x0800), make([]byte, 18), q4), u4 + " ip 20+33 transport 40 payload 48+5/5 ports"},
		{"cooked 2 too short", 276, make([]byte, 19), "malformed_link"},
		{"raw 101", 101, q4, u4 + " ip 0+33 transport 20 payload 28+5/5 ports"},
		{"raw 12", 12, q6, u6 + " ip 0+53 transport 40 payload 48+5/5 ports"},
		{"raw 14", 14, q4, u4 + " ip 0+33 transport 20 payload 28+5/5 ports"},
		{"ipv4", 228, q4, u4 + " ip 0+33 transport 20 payload 28+5/5 ports"},
		{"ipv6", 229, q6, u6 + " ip 0+53 transport 40 payload 48+5/5 ports"},
		{"null little", 0, cat(unhex("02000000"), q4), u4 + " ip 4+33 transport 24 payload 32+5/5 ports"},
		{"null big", 0, cat(unhex("00000002"), q4), u4 + " ip 4+33 transport 24 payload 32+5/5 ports"},
		{"null 24", 0, cat(unhex("18000000"), q6), u6 + " ip 4+53 transport 44 payload 52+5/5 ports"},
		{"null 28", 0, cat(unhex("1c000000"), q6), u6 + " ip 4+53 transport 44 payload 52+5/5 ports"},
		{"null 30", 0, cat(unhex("0000001e"), q6), u6 + " ip 4+53 transport 44 payload 52+5/5 ports"},
		{"null other", 0, cat(unhex("07000000"), q4), "not_ip"},
		{"null too short", 0, unhex("0200"), "malformed_link"},
		{"loop", 108, cat(unhex("0000000a"), q6), u6 + " ip 4+53 transport 44 payload 52+5/5 ports"},
		{"ppp", 9, cat(unhex("ff03 0021"), q4), u4 + " ip 4+33 transport 24 payload 32+5/5 ports"},
		{"ppp compressed", 9, cat(unhex("21"), q4), u4 + " ip 1+33 transport 21 payload 29+5/5 ports"},
		{"ppp ipv6", 50, cat(unhex("ff03 0057"), q6), u6 + " ip 4+53 transport 44 payload 52+5/5 ports"},
		{"ppp lcp", 9, unhex("ff03 c021 0101 0004"), "not_ip"},
		{"ppp direction", 204, cat(unhex("01 ff03 0021"), q4), u4 + " ip 5+33 transport 25 payload 33+5/5 ports"},
		{"cisco hdlc", 104, cat(unhex("0f00 0800"), q4), u4 + " ip 4+33 transport 24 payload 32+5/5 ports"},
		{"cisco hdlc as ppp", 50, cat(unhex("0f00 0800"), q4), u4 + " ip 4+33 transport 24 payload 32+5/5 ports"},
		{"bluetooth", 201, make([]byte, 60), "unsupported_link"},
		{"pppoe", 1, pad(eth(0x8864, cat(unhex("1100 0007"), be16(2+33), be16(0x0021), q4)), 4),
			u4 + " ip 22+33 transport 42 payload 50+5/5 eth 0 ports in pppoe(7)"},
		{"pppoe lcp", 1, eth(0x8864, unhex("1100 0007 0006 c021 0101 0004")), "not_ip"},
		{"pppoe discovery", 1, eth(0x8863, unhex("1109 0000 0000")), "not_ip"},

		// IPv4.
		{"ipv4 options", 101, ip4With(6, 1, 2, 0, unhex("01010101 94040000"), t4), l4 + " ip 0+53 transport 28 payload 48+5/5" + ts + " ports"},
		{"ipv4 header length 4", 101, edit(d4, 0, 0x44), "malformed_network"},
		{"ipv4 header beyond the end", 101, edit(d4[:24], 0, 0x4f), "malformed_network"},
		{"ipv4 total below header", 101, edit(d4, 2, 0, 19), "malformed_network"},
		{"ipv4 total of header alone", 101, edit(d4, 2, 0, 20), "malformed_transport"},
		{"ipv4 total zero", 101, edit(d4, 2, 0, 0), l4 + " ip 0+45 transport 20 payload 40+5/5" + ts + " badip ports"},
		{"ipv4 total beyond the wire", 101, edit(d4, 2, 0, 50), l4 + " ip 0+50 transport 20 payload 40+5/5" + ts + " badip ports"},
		{"ipv4 too short", 101, d4[:19], "malformed_network"},
		{"ip version", 101, edit(d4, 0, 0x55), "malformed_network"},
		{"ip empty", 1, eth(0x0800, nil), "malformed_network"},
		{"ipv4 bad checksum", 101, edit(d4, 8, 65), strings.Replace(l4, "64", "65", 1) + " ip 0+45 transport 20 payload 40+5/5" + ts + " ports badip"},
		{"ipv4 no checksum", 101, edit(d4, 8, 65, 6, 0, 0), strings.Replace(l4, "64", "65", 1) + " ip 0+45 transport 20 payload 40+5/5" + ts + " ports"},
		{"ipv4 first fragment", 101, ip4With(6, 1, 1, 0, nil, t4[:24]), "10.0.0.1.0 > 10.0.0.2.0 proto 6 ttl 64 tos 40 ip 0+44 transport 20 payload 20+24/24"},
		{"ipv4 last fragment", 101, ip4With(6, 1, 0, 24, nil, t4[24:]), "10.0.0.1.0 > 10.0.0.2.0 proto 6 ttl 64 tos 40 ip 0+21 transport 20 payload 20+1/1"},

		// IPv6.
		{"ipv6 extension headers", 101, ip6(0, cat(unhex("3c00 0502 0000 0100"), unhex("2b01 0104 00000000 0000000000000000"), unhex("0602 0000 00000000"), make([]byte, 16), t6)),
			l6 + " ip 0+113 transport 88 payload 108+5/5" + ts + " ports"},
		{"ipv6 many headers", 101, ip6(60, cat(bytes.Repeat(unhex("3c00 0104 0000 0000"), 14), unhex("0600 0104 0000 0000"), t6)),
			l6 + " ip 0+185 transport 160 payload 180+5/5" + ts + " ports"},
		{"ipv6 too many headers", 101, ip6(60, cat(bytes.Repeat(unhex("3c00 0104 0000 0000"), 15), unhex("0600 0104 0000 0000"), t6)), "malformed_network"},
		{"ipv6 header beyond the end", 101, ip6(0, edit(hbh, 1, 9)), "malformed_network"},
		{"ipv6 header missing", 101, ip6(43, nil), "malformed_network"},
		{"ipv6 atomic fragment", 101, ip6(44, cat(unhex("0600 0000 12345678"), t6)), l6 + " ip 0+73 transport 48 payload 68+5/5" + ts + " ports"},
		{"ipv6 first fragment", 101, ip6(44, cat(unhex("0600 0001 12345678"), t6[:24])), "2001:db8::1.0 > 2001:db8::2.0 proto 6 ttl 63 tos 40 ip 0+72 transport 40 payload 48+24/24"},
		{"ipv6 last fragment", 101, ip6(0, cat(unhex("2c00 0502 0000 0100"), unhex("0600 0018 12345678"), t6[24:])), "2001:db8::1.0 > 2001:db8::2.0 proto 6 ttl 63 tos 40 ip 0+57 transport 48 payload 56+1/1"},
		{"ipv6 source route on its way", 101, ip6(43, cat(unhex("0602 0001 00000000"), make([]byte, 16), edit(t6, 16, 9, 9))), l6 + " ip 0+89 transport 64 payload 84+5/5" + ts + " ports"},
		{"ipv6 source route at its end", 101, ip6(43, cat(unhex("0602 0000 00000000"), make([]byte, 16), edit(t6, 16, 9, 9))), l6 + " ip 0+89 transport 64 payload 84+5/5" + ts + " ports badsum"},
		{"ipv6 home address", 101, ip6(60, cat(unhex("0602 0104 00000000 c910"), make([]byte, 14), edit(t6, 16, 9, 9))), l6 + " ip 0+89 transport 64 payload 84+5/5" + ts + " ports"},
		{"ipv6 no next header", 101, ip6(59, []byte(hello)), "2001:db8::1.0 > 2001:db8::2.0 proto 59 ttl 63 tos 40 ip 0+45 transport 40 payload 40+5/5"},
		{"ipv6 length 0 of what no card segments", 101, edit(ip6(99, []byte(hello)), 4, 0, 0), "2001:db8::1.0 > 2001:db8::2.0 proto 99 ttl 63 tos 40 ip 0+40 transport 40 payload 40+0/0"},
		{"ipv6 length 0 left to the card", 101, edit(ip6(6, t6), 4, 0, 0), l6 + " ip 0+65 transport 40 payload 60+5/5" + ts + " ports"},
		{"ipv6 nothing at all", 101, ip6(59, nil), "2001:db8::1.0 > 2001:db8::2.0 proto 59 ttl 63 tos 40 ip 0+40 transport 40 payload 40+0/0"},
		{"ipv6 jumbogram", 101, edit(ip6(0, jumbo(17, cat(be16(1), be16(2), be16(0), be16(0), big))), 4, 0, 0),
			"2001:db8::1.1 > 2001:db8::2.2 proto 17 ttl 63 tos 40 ip 0+70056 transport 48 payload 56+70000/70000 ports"},
		{"ipv6 jumbogram beyond the wire", 101, edit(ip6(0, cat(unhex("0600 c204 fffffff0"), t6)), 4, 0, 0), l6 + " ip 0+4294967295 transport 48 payload 68+5/5" + ts + " ports"},
		{"ipv6 jumbogram that is none", 101, edit(ip6(0, cat(unhex("0600 c204 00000001"), t6)), 4, 0, 0), l6 + " ip 0+73 transport 48 payload 68+5/5" + ts + " ports"},
		{"ipv6 length zero", 101, edit(d6, 4, 0, 0), l6 + " ip 0+65 transport 40 payload 60+5/5" + ts + " ports"},
		{"ipv6 length beyond the wire", 101, edit(d6, 4, 0, 99), l6 + " ip 0+139 transport 40 payload 60+5/5" + ts + " ports"},
		{"ipv6 too short", 101, d6[:39], "malformed_network"},
		{"authentication header", 101, ip4(51, cat(unhex("0604 0000 00000102 00000001"), make([]byte, 12), t4)), l4 + " ip 0+69 transport 44 payload 64+5/5" + ts + " ports in ah(258)"},
		{"authentication header ipv6", 101, ip6(51, cat(unhex("3c04 0000 00000102 00000001"), make([]byte, 12), unhex("0600 0104 0000 0000"), t6)), l6 + " ip 0+97 transport 72 payload 92+5/5" + ts + " ports in ah(258)"},
		{"authentication header too short", 101, ip6(51, cat(unhex("0600 0000 00000102 00000001"), t6)), "malformed_network"},
		{"esp", 101, ip6(50, []byte(hello)), "2001:db8::1.0 > 2001:db8::2.0 proto 50 ttl 63 tos 40 ip 0+45 transport 40 payload 40+5/5"},

		// Transports.
		{"tcp options", 101, ip4(6, tcp(false, unhex("020405b4 01010402"), []byte(hello))), l4 + " ip 0+53 transport 20 payload 48+5/5" + ts + " ports"},
		{"tcp bits", 101, ip4(6, edit(tcp(false, nil, nil), 12, 0x5f, 0xff, 0, 1, 0, 0)), l4 + " ip 0+40 transport 20 payload 40+0/0 tcp 0xfff seq 7 ack 9 win 1 ports"},
		{"tcp data offset 4", 101, ip4(6, edit(t4, 12, 0x40)), "malformed_transport"},
		{"tcp data offset beyond the end", 101, ip4(6, edit(t4, 12, 0x70)), "malformed_transport"},
		{"tcp too short", 101, ip4(6, t4[:19]), "malformed_transport"},
		{"tcp bad checksum", 101, ip4(6, edit(t4, 24, 'x')), l4 + " ip 0+45 transport 20 payload 40+5/5" + ts + " ports badsum"},
		{"tcp offloaded", 101, ip4(6, edit(t4, 16, be16(int(onesSum(pseudo(false, 6, 25))))...)), l4 + " ip 0+45 transport 20 payload 40+5/5" + ts + " ports"},
		{"tcp offloaded with segmentation", 101, ip4(6, edit(t4, 16, be16(int(onesSum(pseudo(false, 6, 0))))...)), l4 + " ip 0+45 transport 20 payload 40+5/5" + ts + " ports"},
		{"tcp checksum zero", 101, ip6(6, edit(t6, 16, 0, 0)), l6 + " ip 0+65 transport 40 payload 60+5/5" + ts + " ports"},
		{"udp empty", 101, ip4(17, udp(false, nil)), u4 + " ip 0+28 transport 20 payload 28+0/0 ports"},
		{"udp odd checksum", 101, ip6(17, udp(true, []byte("odd"))), u6 + " ip 0+51 transport 40 payload 48+3/3 ports"},
		{"udp bad checksum", 101, ip6(17, edit(udp(true, []byte("odd")), 10, 'D')), u6 + " ip 0+51 transport 40 payload 48+3/3 ports badsum"},
		{"udp no checksum", 101, ip4(17, edit(udp(false, []byte("odd")), 6, 0, 0)), u4 + " ip 0+31 transport 20 payload 28+3/3 ports"},
		{"udp length below ip", 101, ip4(17, wide(udp(false, []byte(hello)), 10)), u4 + " ip 0+33 transport 20 payload 28+2/2 ports badsum"},
		{"udp length 0", 101, ip4(17, wide(udp(false, []byte(hello)), 0)), u4 + " ip 0+33 transport 20 payload 28+5/5 ports"},
		{"udp length 7", 101, ip4(17, wide(udp(false, []byte(hello)), 7)), u4 + " ip 0+33 transport 20 payload 28+5/5 ports"},
		{"udp length beyond ip", 101, ip4(17, wide(udp(false, []byte(hello)), 14)), u4 + " ip 0+33 transport 20 payload 28+5/5 ports"},
		{"udp too short", 101, ip4(17, make([]byte, 7)), "malformed_transport"},
		{"udp-lite", 101, ip4(136, udp(false, []byte(hello))), "10.0.0.1.1000 > 10.0.0.2.53 proto 136 ttl 64 tos 40 ip 0+33 transport 20 payload 28+5/5 ports"},
		{"sctp", 101, ip4(132, cat(be16(5), be16(6), make([]byte, 8), []byte(hello))), "10.0.0.1.5 > 10.0.0.2.6 proto 132 ttl 64 tos 40 ip 0+37 transport 20 payload 32+5/5 ports"},
		{"sctp too short", 101, ip4(132, make([]byte, 11)), "malformed_transport"},
		{"other protocol", 101, ip4(89, []byte(hello)), "10.0.0.1.0 > 10.0.0.2.0 proto 89 ttl 64 tos 40 ip 0+25 transport 20 payload 20+5/5"},
		{"other protocol empty", 101, ip4(255, nil), "10.0.0.1.0 > 10.0.0.2.0 proto 255 ttl 64 tos 40 ip 0+20 transport 20 payload 20+0/0"},

		// ICMP.
		{"echo", 101, ip4(1, icmp4(8, 0, []byte(hello))), "10.0.0.1.8 > 10.0.0.2.0 proto 1 ttl 64 tos 40 ip 0+33 transport 20 payload 28+5/5 icmp 8/0"},
		{"echo bad checksum", 101, ip4(1, edit(icmp4(8, 0, []byte(hello)), 4, 1)), "10.0.0.1.8 > 10.0.0.2.0 proto 1 ttl 64 tos 40 ip 0+33 transport 20 payload 28+5/5 icmp 8/0 badsum"},
		{"echo without checksum", 101, ip4(1, edit(icmp4(8, 0, []byte(hello)), 2, 0, 0)), "10.0.0.1.8 > 10.0.0.2.0 proto 1 ttl 64 tos 40 ip 0+33 transport 20 payload 28+5/5 icmp 8/0"},
		{"echo6", 101, ip6(58, icmp6(128, 0, []byte(hello))), "2001:db8::1.128 > 2001:db8::2.129 proto 58 ttl 63 tos 40 ip 0+53 transport 40 payload 48+5/5 icmp 128/0"},
		{"echo6 bad checksum", 101, ip6(58, edit(icmp6(128, 0, []byte(hello)), 9, 1)), "2001:db8::1.128 > 2001:db8::2.129 proto 58 ttl 63 tos 40 ip 0+53 transport 40 payload 48+5/5 icmp 128/0 badsum"},
		{"icmp of four bytes", 101, ip4(1, icmp4(8, 0, nil)[:4]), "10.0.0.1.8 > 10.0.0.2.0 proto 1 ttl 64 tos 40 ip 0+24 transport 20 payload 24+0/0 icmp 8/0"},
		{"icmp too short", 101, ip4(1, make([]byte, 3)), "malformed_transport"},
		{"unreachable", 101, ip4(1, icmp4(3, 3, q4[:28])), "10.0.0.1.3 > 10.0.0.2.3 proto 1 ttl 64 tos 40 ip 0+56 transport 20 payload 28+28/28 icmp 3/3 error"},
		{"unreachable without ports", 101, ip4(1, icmp4(3, 3, q4[:23])), "10.0.0.1.3 > 10.0.0.2.3 proto 1 ttl 64 tos 40 ip 0+51 transport 20 payload 28+23/23 icmp 3/3"},
		{"unreachable of a fragment", 101, ip4(1, icmp4(3, 3, ip4With(17, 1, 0, 8, nil, make([]byte, 8)))), "10.0.0.1.3 > 10.0.0.2.3 proto 1 ttl 64 tos 40 ip 0+56 transport 20 payload 28+28/28 icmp 3/3"},
		{"unreachable of an error", 101, ip4(1, icmp4(3, 3, ip4(1, icmp4(3, 3, q4)))), "10.0.0.1.3 > 10.0.0.2.3 proto 1 ttl 64 tos 40 ip 0+89 transport 20 payload 28+61/61 icmp 3/3"},
		{"time exceeded for another protocol", 101, ip4(1, icmp4(11, 0, ip4(89, nil))), "10.0.0.1.11 > 10.0.0.2.0 proto 1 ttl 64 tos 40 ip 0+48 transport 20 payload 28+20/20 icmp 11/0 error"},
		{"too big, reversed", 101, ip6(58, icmp6(2, 0, edit(q6, 8, cat(addrB6, addrA6)...))), "2001:db8::1.2 > 2001:db8::2.0 proto 58 ttl 63 tos 40 ip 0+101 transport 40 payload 48+53/53 icmp 2/0 error reversed"},

		// Tunnels.
		{"ip in ip", 101, ip4(4, q4), u4 + " ip 20+33 transport 40 payload 48+5/5 ports in ipip[10.0.0.1 > 10.0.0.2]"},
		{"6in4", 101, ip4(41, q6), u6 + " ip 20+53 transport 60 payload 68+5/5 ports in ipip[10.0.0.1 > 10.0.0.2]"},
		{"4in6", 101, ip6(4, q4), u4 + " ip 40+33 transport 60 payload 68+5/5 ports in ipip[2001:db8::1 > 2001:db8::2]"},
		{"ip in ip of nothing", 101, ip4(4, []byte(hello)), "10.0.0.1.0 > 10.0.0.2.0 proto 4 ttl 64 tos 40 ip 0+25 transport 20 payload 20+5/5"},
		{"ip in ip, transport malformed", 101, ip4(4, ip4(6, nil)), "10.0.0.1.0 > 10.0.0.2.0 proto 4 ttl 64 tos 40 ip 0+40 transport 20 payload 20+20/20"},
		{"eight deep", 101, nested(8), l4 + " ip 160+45 transport 180 payload 200+5/5" + ts + " ports" + strings.Repeat(" in ipip[10.0.0.1 > 10.0.0.2]", 8)},
		{"nine deep", 101, nested(9), "10.0.0.1.0 > 10.0.0.2.0 proto 4 ttl 64 tos 40 ip 160+65 transport 180 payload 180+45/45" + strings.Repeat(" in ipip[10.0.0.1 > 10.0.0.2]", 8)},
		{"gre", 101, gre(0, 0x0800, q4), u4 + " ip 24+33 transport 44 payload 52+5/5 ports in gre[10.0.0.1 > 10.0.0.2]"},
		{"gre all fields", 101, gre(0xb000, 0x86dd, cat(be32(0), be32(99), be32(1), q6)), u6 + " ip 36+53 transport 76 payload 84+5/5 ports in gre(99)[10.0.0.1 > 10.0.0.2]"},
		{"gre ethernet vlan", 101, gre(0x2000, 0x6558, cat(be32(99), eth(0x8100, cat(be16(7), be16(0x0800), q4)))), u4 + " ip 46+33 transport 66 payload 74+5/5 vlan 7 eth 28 ports in gre(99)[10.0.0.1 > 10.0.0.2]"},
		{"gre ppp of pptp", 101, gre(0x3081, 0x880b, cat(be16(37), be16(3), be32(1), be32(1), unhex("ff03 0021"), q4)), u4 + " ip 40+33 transport 60 payload 68+5/5 ports in gre(3)[10.0.0.1 > 10.0.0.2]"},
		{"gre mpls", 101, gre(0, 0x8847, labels(q4)), u4 + " ip 32+33 transport 52 payload 60+5/5 ports in gre[10.0.0.1 > 10.0.0.2] in mpls(17)"},
		{"gre arp", 101, gre(0, 0x0806, make([]byte, 28)), "10.0.0.1.0 > 10.0.0.2.0 proto 47 ttl 64 tos 40 ip 0+52 transport 20 payload 20+32/32"},
		{"erspan 1", 101, gre(0, 0x88be, eth(0x0800, q4)), u4 + " ip 38+33 transport 58 payload 66+5/5 eth 24 ports in erspan[10.0.0.1 > 10.0.0.2]"},
		{"erspan 2", 101, gre(0x1000, 0x88be, cat(be32(1), unhex("1001 0064 00000000"), eth(0x0800, q4))), u4 + " ip 50+33 transport 70 payload 78+5/5 eth 36 ports in erspan(100)[10.0.0.1 > 10.0.0.2]"},
		{"erspan 3", 101, gre(0x1000, 0x22eb, cat(be32(1), unhex("2001 0064 00000000 00000001 0000000000000000"), eth(0x0800, q4))), u4 + " ip 62+33 transport 82 payload 90+5/5 eth 48 ports in erspan(100)[10.0.0.1 > 10.0.0.2]"},
		{"vxlan", 1, eth(0x0800, ip4(17, vxlan(4096, eth(0x86dd, q6)))), u6 + " ip 64+53 transport 104 payload 112+5/5 eth 50 ports in vxlan(4096)[10.0.0.1 > 10.0.0.2]"},
		{"vxlan of arp", 101, ip4(17, vxlan(4096, eth(0x0806, make([]byte, 28)))), "10.0.0.1.40000 > 10.0.0.2.4789 proto 17 ttl 64 tos 40 ip 0+78 transport 20 payload 28+50/50 ports"},
		{"vxlan of vlan of nothing", 101, ip4(17, vxlan(4096, eth(0x8100, cat(be16(7), be16(0x0800), []byte{0x45})))), "10.0.0.1.40000 > 10.0.0.2.4789 proto 17 ttl 64 tos 40 ip 0+55 transport 20 payload 28+27/27 ports"},
		{"vxlan in vxlan", 101, ip4(17, vxlan(1, eth(0x0800, ip4(17, vxlan(2, eth(0x0800, q4)))))), u4 + " ip 100+33 transport 120 payload 128+5/5 eth 86 ports in vxlan(1)[10.0.0.1 > 10.0.0.2] in vxlan(2)[10.0.0.1 > 10.0.0.2]"},
		{"vxlan of a fragment", 101, ip4(17, vxlan(1, eth(0x0800, ip4With(17, 1, 1, 0, nil, make([]byte, 8))))), "10.0.0.1.0 > 10.0.0.2.0 proto 17 ttl 64 tos 40 ip 50+28 transport 70 payload 70+8/8 eth 36 in vxlan(1)[10.0.0.1 > 10.0.0.2]"},
		{"gtp", 101, gtp(0x30, q4), u4 + " ip 36+33 transport 56 payload 64+5/5 ports in gtpu(77)[10.0.0.1 > 10.0.0.2]"},
		{"gtp with extension", 101, gtp(0x34, cat(unhex("0000 00 85 01 0000 00"), q6)), u6 + " ip 44+53 transport 84 payload 92+5/5 ports in gtpu(77)[10.0.0.1 > 10.0.0.2]"},
		{"gtp with endless extension", 101, gtp(0x34, cat(unhex("0000 00 85 00 0000 85"), q4)), "10.0.0.1.2152 > 10.0.0.2.2152 proto 17 ttl 64 tos 40 ip 0+77 transport 20 payload 28+49/49 ports"},
		{"geneve", 101, ip4(17, udpPorts(false, 1, 6081, cat(unhex("0200 6558"), be32(5<<8), make([]byte, 8), eth(0x0800, q4)))), u4 + " ip 58+33 transport 78 payload 86+5/5 eth 44 ports in geneve(5)[10.0.0.1 > 10.0.0.2]"},
		{"geneve ip", 101, ip4(17, udpPorts(false, 1, 6081, cat(unhex("0000 86dd"), be32(5<<8), q6))), u6 + " ip 36+53 transport 76 payload 84+5/5 ports in geneve(5)[10.0.0.1 > 10.0.0.2]"},
		{"teredo", 101, ip4(17, udpPorts(false, 3544, 9, cat(unhex("0001 0000 0000000000000000 00"), unhex("0000 1234 01020304"), q6))), u6 + " ip 49+53 transport 89 payload 97+5/5 ports in teredo[10.0.0.1 > 10.0.0.2]"},
		{"teredo bubble", 101, ip4(17, udpPorts(false, 9, 3544, ip6(59, nil))), "10.0.0.1.9 > 10.0.0.2.3544 proto 17 ttl 64 tos 40 ip 0+68 transport 20 payload 28+40/40 ports"},
		{"l2tp", 101, ip4(17, udpPorts(false, 1701, 1701, cat(unhex("4002 0000 0001 0002 ff03 0021"), q4))), u4 + " ip 40+33 transport 60 payload 68+5/5 ports in l2tp(65538)[10.0.0.1 > 10.0.0.2]"},
		{"mpls", 1, eth(0x8847, labels(q4)), u4 + " ip 22+33 transport 42 payload 50+5/5 eth 0 ports in mpls(17)"},
		{"mpls pseudo-wire", 1, eth(0x8848, labels(cat(be32(0), eth(0x0800, q4)))), u4 + " ip 40+33 transport 60 payload 68+5/5 eth 26 ports in mpls(17)"},
		{"mpls pseudo-wire without control word", 1, eth(0x8847, labels(eth(0x0800, q4))), u4 + " ip 36+33 transport 56 payload 64+5/5 eth 22 ports in mpls(17)"},
		{"mpls without bottom", 1, eth(0x8847, be32(16<<12)), "malformed_link"},
		{"mpls of nothing", 1, eth(0x8847, be32(16<<12|0x100)), "malformed_link"},
		{"mpls of other", 1, eth(0x8847, labels([]byte("xyz"))), "not_ip"},
		{"mpls in ip", 101, ip4(137, labels(q4)), u4 + " ip 28+33 transport 48 payload 56+5/5 ports in mpls(17)[10.0.0.1 > 10.0.0.2]"},
	}...)
}

func TestDecode(t *testing.T) {
	for _, test := range decodeTests() {
		t.Run(test.name, func(t *testing.T) {
			d := &Decoder{Checksums: true}
			o, p, encaps, data := decodeAt(d, test.link, test.frame, len(test.frame))
			got := o.String()
			if o == OutcomeFlow || o == OutcomeFragment {
				checkPacket(t, &p, encaps, data, Record{Offset: 3, CapLen: uint32(len(test.frame)), OrigLen: uint32(len(test.frame))})
				q := shift(p, 3)
				got = text(&q, encaps)
			}
			if normal(got) != normal(test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if (o == OutcomeFragment) != (strings.Contains(test.name, "fragment") && !strings.Contains(test.name, "atomic") && !strings.Contains(test.name, "unreachable") && o != OutcomeFragmentIncomplete) {
				t.Errorf("outcome %s", o)
			}
			// A decoder that has seen another packet must not remember.
			again, q, _, _ := decodeAt(d, test.link, test.frame, len(test.frame))
			if again != o || (o == OutcomeFlow || o == OutcomeFragment) && q != p {
				t.Errorf("second time %s\n%s", again, text(&q, encaps))
			}
		})
	}
}

// normal sorts the words that are flags to the end, so that tests may name them
// in any order.
func normal(s string) string {
	var flags []string
	var rest []string
	for _, w := range strings.Fields(s) {
		switch w {
		case "ports", "badip", "badsum", "error", "reversed", "cut":
			flags = append(flags, w)
		default:
			rest = append(rest, w)
		}
	}
	for i := range flags {
		for j := range i {
			if flags[i] < flags[j] {
				flags[i], flags[j] = flags[j], flags[i]
			}
		}
	}
	return strings.Join(append(rest, flags...), " ")
}

// However much of a frame is captured, what is decoded agrees with the whole.
func TestDecodeCut(t *testing.T) {
	outcomes := map[Outcome]int{}
	for _, test := range decodeTests() {
		d := &Decoder{Checksums: true}
		full, want, wantEncaps, _ := decodeAt(d, test.link, test.frame, len(test.frame))
		for captured := range min(len(test.frame), 300) {
			o, p, encaps, data := decodeAt(d, test.link, test.frame, captured)
			outcomes[o]++
			if o != OutcomeFlow && o != OutcomeFragment {
				if o != full && o != OutcomeCut && (test.link != linkUser2 || o != OutcomeUnsupportedLink) {
					t.Fatalf("%s, %d bytes: %s, whole: %s", test.name, captured, o, full)
				}
				continue
			}
			checkPacket(t, &p, encaps, data, Record{Offset: 3, CapLen: uint32(captured), OrigLen: uint32(len(test.frame))})
			if p.Flags&flows.BadChecksum != 0 && want.Flags&flows.BadChecksum == 0 {
				t.Fatalf("%s, %d bytes: bad checksum of what is not there", test.name, captured)
			}
			if o != full || p.Network != want.Network || p.Src != want.Src {
				// The inside of a tunnel is cut: the carrier has the packet.
				if want.Encap == 0 || wantEncaps == nil {
					t.Fatalf("%s, %d bytes: %s, whole: %s", test.name, captured, text(&p, encaps), text(&want, wantEncaps))
				}
				continue
			}
			if p.Transport != want.Transport || p.SrcPort != want.SrcPort || p.DstPort != want.DstPort || p.Proto != want.Proto ||
				p.IPLen != want.IPLen || p.PayloadLen != want.PayloadLen || p.Seq != want.Seq {
				t.Fatalf("%s, %d bytes: %s, whole: %s", test.name, captured, text(&p, encaps), text(&want, wantEncaps))
			}
		}
	}
	for _, o := range []Outcome{OutcomeFlow, OutcomeCut, OutcomeFragment} {
		if outcomes[o] == 0 {
			t.Errorf("no outcome %s", o)
		}
	}
}

// A frame that ends early on the wire is malformed, not cut.
func TestDecodeShortOnWire(t *testing.T) {
	for _, test := range decodeTests() {
		for n := range min(len(test.frame), 300) {
			o, p, encaps, data := decodeAt(&Decoder{}, test.link, test.frame[:n], n)
			if o == OutcomeCut {
				t.Fatalf("%s, %d bytes: cut", test.name, n)
			}
			if o == OutcomeFlow || o == OutcomeFragment {
				checkPacket(t, &p, encaps, data, Record{Offset: 3, CapLen: uint32(n), OrigLen: uint32(n)})
			}
		}
	}
}

// An ICMP error has the hash of the flow that it quotes, from either side.
func TestDecodeQuote(t *testing.T) {
	for _, test := range []struct {
		name string
		flow []byte
		err  func(quote []byte) []byte
	}{
		{"udp", ip4(17, udp(false, []byte(hello))), func(q []byte) []byte { return ip4(1, icmp4(3, 3, q)) }},
		{"tcp", ip4(6, tcp(false, nil, nil)), func(q []byte) []byte { return ip4(1, icmp4(11, 0, q)) }},
		{"echo", ip4(1, icmp4(8, 0, nil)), func(q []byte) []byte { return ip4(1, icmp4(5, 0, q)) }},
		{"other", ip4(89, nil), func(q []byte) []byte { return ip4(1, icmp4(12, 0, q)) }},
		{"udp6", ip6(17, udp(true, []byte(hello))), func(q []byte) []byte { return ip6(58, icmp6(1, 4, q)) }},
		{"echo6", ip6(58, icmp6(128, 0, nil)), func(q []byte) []byte { return ip6(58, icmp6(3, 0, q)) }},
		{"extension headers", ip6(0, cat(unhex("2c00 0502 0000 0100"), unhex("1100 0001 12345678"), udp(true, nil))), func(q []byte) []byte { return ip6(58, icmp6(4, 0, q)) }},
	} {
		_, p, _, _ := decodeAt(&Decoder{}, 101, test.flow, len(test.flow))
		if test.name == "extension headers" { // a first fragment, whose flow shows when it is put together
			p.Hash = flows.Hash(&p.Src, &p.Dst, 1000, 53, 17)
		}
		b := test.err(test.flow)
		_, e, _, _ := decodeAt(&Decoder{Checksums: true}, 101, b, len(b))
		if e.Flags&(flows.ICMPError|flows.QuoteReversed|flows.BadChecksum) != flows.ICMPError {
			t.Errorf("%s: %s", test.name, text(&e, nil))
		}
		if e.Hash != p.Hash || e.Quote != p.Hash {
			t.Errorf("%s: hash %x, quote %x, want %x", test.name, e.Hash, e.Quote, p.Hash)
		}
	}
}

func TestSum(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 200)
	for range 20000 {
		for i := range b {
			b[i] = byte(rnd.Uint32())
			if rnd.IntN(3) == 0 {
				b[i] = 0xff
			}
		}
		c := b[:rnd.IntN(len(b))]
		got := fold(sum(0, c))
		if want := onesSum(c); got>>8|got<<8 != want {
			t.Fatalf("%x: %04x, want %04x", c, got>>8|got<<8, want)
		}
		// In parts of even length the same.
		if k := len(c) / 4 * 2; fold(sum(sum(0, c[:k]), c[k:])) != got {
			t.Fatalf("%x: in two parts %04x, want %04x", c, fold(sum(sum(0, c[:k]), c[k:])), got)
		}
	}
}

func TestDecodeAllocates(t *testing.T) {
	d := &Decoder{Checksums: true}
	encaps := make([]flows.Encap, 0, 16)
	var p flows.Packet
	for _, test := range decodeTests() {
		r := Record{CapLen: uint32(len(test.frame)), OrigLen: uint32(len(test.frame))}
		if n := testing.AllocsPerRun(10, func() {
			p, encaps = flows.Packet{}, encaps[:0]
			d.Decode(test.link, test.frame, r, &p, &encaps)
		}); n != 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, test := range decodeTests() {
		if len(test.frame) < 2000 {
			f.Add(uint16(test.link), test.frame, uint16(len(test.frame)))
		}
	}
	s4 := snap(0x0800, ip4(17, udp(false, []byte(hello))))
	for _, frame := range [][]byte{amsdu(s4, s4), amsdu(snap(0x0800, ip4(47, cat(be16(0), be16(0x8240), amsdu(s4, s4)))), s4)} {
		f.Add(uint16(linkWLAN), frame, uint16(len(frame)))
	}
	for _, frame := range [][]byte{
		ip4(108, ipcomp(17, 2, udp(false, []byte(hello)))), ip6(108, ipcomp(41, 2, ip6(6, tcp(true, nil, []byte(hello))))),
		ip4(108, ipcomp(108, 2, ipcomp(47, 300, cat(be16(0), be16(0x8240), amsdu(s4, s4))))),
	} {
		f.Add(uint16(linkRaw), frame, uint16(len(frame)))
	}
	f.Fuzz(func(t *testing.T, link uint16, frame []byte, orig uint16) {
		data := cat([]byte{1}, frame, []byte{1})
		r := Record{Offset: 1, CapLen: uint32(len(frame)), OrigLen: uint32(orig)}
		var encaps []flows.Encap
		p := flows.Packet{Link: 1, WireLen: r.OrigLen}
		inflated := []byte{1}
		d := &Decoder{Checksums: true, Overflow: &inflated}
		check := func() {
			t.Helper()
			if p.Flags&flows.InOverflow == 0 {
				checkPacket(t, &p, encaps, data, r)
				return
			}
			n := uint32(len(inflated))
			checkPacket(t, &p, encaps, inflated, Record{Offset: 1, CapLen: n - 1, OrigLen: n - 1})
		}
		o := d.Decode(uint32(link), data, r, &p, &encaps)
		if o == OutcomeFlow || o == OutcomeFragment {
			check()
			for {
				if _, more := d.Next(data, &p, &encaps); !more {
					return
				}
				check()
			}
		}
		if o >= NumOutcomes || o == OutcomeFragmentReassembled {
			t.Fatalf("outcome %d", o)
		}
		if o == OutcomeCut && int(orig) <= len(frame) {
			t.Fatal("cut, but it is all there")
		}
		if len(encaps) != 0 {
			t.Fatal("encapsulations of no packet")
		}
	})
}
