package ingest

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/caplake/caplake/flows"
)

// amsdu is an IEEE 802.11 frame with an A-MSDU of 802.2 frames.
func amsdu(frames ...[]byte) []byte {
	var b []byte
	for i, f := range frames {
		b = cat(b, eth(len(f), f))
		if i+1 < len(frames) {
			b = pad(b, -len(b)&3)
		}
	}
	return dot11(0x88, 2, cat(unhex("8000"), b))
}

// Each datagram of an aggregate is a packet of its own, in its order and at a
// position of its own; the ledger has the captured packet once.
func TestAggregates(t *testing.T) {
	to := func(port int, payload string) []byte {
		return snap(0x0800, ip4(17, udpPorts(false, 1000, port, []byte(payload))))
	}
	arp := snap(0x0806, make([]byte, 28))
	whole := udpPorts(false, 1000, 9, make([]byte, 64))
	piece := func(id, from, to int) []byte { return snap(0x0800, frag4(id, whole, from, to)) }
	var twenty [][]byte
	for i := range 20 {
		twenty = append(twenty, to(i+1, "x"))
	}
	// Aruba's access points send such frames over GRE, in datagrams of which the network makes fragments.
	gre := cat(be16(0), be16(0x8240), amsdu(to(1, "a"), to(2, "b"), to(3, "c")))
	carried, begin, end := ip4(47, gre), ip4With(47, 5, 1, 0, nil, gre[:80]), ip4With(47, 5, 0, 80, nil, gre[80:])

	type ledger struct{ flow, notIP, cut, reassembled, incomplete, filtered, limits uint64 }
	for _, tt := range []struct {
		name   string
		link   uint32
		frames []packetSpec
		cfg    Config
		want   string // packet.part:port of each
		ledger ledger
	}{
		{"two", linkWLAN, []packetSpec{{data: amsdu(to(1, "abc"), to(2, "d"))}}, Config{}, "[1.0:1 1.1:2]", ledger{flow: 1}},
		{"one", linkWLAN, []packetSpec{{data: amsdu(to(1, "abc"))}}, Config{}, "[1.0:1]", ledger{flow: 1}},
		{"of one flow, padded", linkWLAN, []packetSpec{{data: amsdu(to(1, "abc"), to(1, "de"), to(1, "f"))}}, Config{}, "[1.0:1 1.1:1 1.2:1]", ledger{flow: 1}},
		{"the first is none", linkWLAN, []packetSpec{{data: amsdu(arp, to(2, "d"), arp, to(3, "e"))}}, Config{}, "[1.0:2 1.1:3]", ledger{flow: 1}},
		{"none is one", linkWLAN, []packetSpec{{data: amsdu(arp, arp)}}, Config{}, "[]", ledger{notIP: 1}},
		{"cut in the second", linkWLAN, []packetSpec{{data: amsdu(to(1, "abc"), to(2, "d"))[:110], orig: 135}}, Config{}, "[1.0:1]", ledger{flow: 1}},
		{"cut in the first", linkWLAN, []packetSpec{{data: amsdu(to(1, "abc"), to(2, "d"))[:60], orig: 135}}, Config{}, "[]", ledger{cut: 1}},
		{"many", linkWLAN, []packetSpec{{data: amsdu(twenty...)}, {data: amsdu(twenty[:16]...)}}, Config{},
			"[1.0:1 1.1:2 1.2:3 1.3:4 1.4:5 1.5:6 1.6:7 1.7:8 1.8:9 1.9:10 1.10:11 1.11:12 1.12:13 1.13:14 1.14:15 1.15:16" +
				" 2.0:1 2.1:2 2.2:3 2.3:4 2.4:5 2.5:6 2.6:7 2.7:8 2.8:9 2.9:10 2.10:11 2.11:12 2.12:13 2.13:14 2.14:15 2.15:16]", ledger{flow: 2, limits: 1}},
		{"fragments behind a datagram", linkWLAN, []packetSpec{{data: amsdu(to(1, "a"), piece(7, 0, 32))}, {data: amsdu(to(2, "a"), piece(7, 32, 72), to(3, "b"))}}, Config{},
			"[1.0:1 2.0:2 2.1:9 2.2:3]", ledger{flow: 2}},
		{"fragments before a datagram", linkWLAN, []packetSpec{{data: amsdu(piece(7, 0, 32), to(1, "a"))}, {data: amsdu(piece(8, 0, 32), to(2, "a"))}, {data: amsdu(piece(7, 32, 72))}}, Config{},
			"[1.1:1 2.1:2 3.0:9]", ledger{reassembled: 2, incomplete: 1}},
		{"in fragments", linkRaw, []packetSpec{{data: begin}, {data: end}, {data: to(4, "d")[8:]}}, Config{},
			"[2.0:1 2.1:2 2.2:3 3.0:4]", ledger{flow: 1, reassembled: 2}},
		{"filtered", linkWLAN, []packetSpec{{data: amsdu(to(1, "abc"), to(2, "d"), to(3, "d"))}, {data: amsdu(to(1, "abc"), to(1, "d"))}},
			Config{KeepPacket: func(p *flows.Packet, _ []byte) bool { return p.DstPort > 1 }}, "[1.0:2 1.1:3]", ledger{flow: 1, filtered: 1}},
		{"filtered in fragments", linkRaw, []packetSpec{{data: begin}, {data: end}},
			Config{KeepPacket: func(p *flows.Packet, _ []byte) bool { return p.DstPort > 9 }}, "[]", ledger{filtered: 2}},
		{"not decapsulated", linkRaw, []packetSpec{{data: carried}}, Config{NoDecap: true}, "[1.0:0]", ledger{flow: 1}},
	} {
		file := pcapHeader(binary.LittleEndian, pcapMagicMicro, 4, 65535, tt.link)
		for _, p := range tt.frames {
			file = pcapRecord(binary.LittleEndian, file, p)
		}
		dir := writeFiles(t, map[string][]byte{"x.pcap": file})
		for _, workers := range []int{1, 3} {
			r, err := tryReadAll(planOf(t, dir), tt.cfg, workers)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			got := []string{}
			var wire []uint32
			for _, p := range r.flows {
				got = append(got, fmt.Sprintf("%d.%d:%d", p.Pos.Packet(), p.Pos.Part(), p.DstPort))
				wire = append(wire, p.WireLen)
			}
			c := r.captures[0]
			l := ledger{c.InFlow, c.NotIP, c.CutBySnaplen, c.FragmentReassembled, c.FragmentIncomplete, c.Filtered, c.LimitsHit}
			if fmt.Sprint(got) != tt.want || l != tt.ledger {
				t.Errorf("%s, %d workers: %v %+v\nwant %s %+v", tt.name, workers, got, l, tt.want, tt.ledger)
			}
			if slices.Contains(wire, 0) {
				t.Errorf("%s: lengths on the wire %d", tt.name, wire)
			}
		}

		// Frames from elsewhere give the same.
		frames := func(yield func(Frame, error) bool) {
			for _, p := range tt.frames {
				if !yield(Frame{Link: uint16(tt.link), Data: p.data, OrigLen: int(p.orig)}, nil) {
					return
				}
			}
		}
		got := []string{}
		for p, err := range Decode(tt.cfg, frames) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%d.%d:%d", p.Pos.Packet(), p.Pos.Part(), p.DstPort))
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%s: frames give %v, want %s", tt.name, got, tt.want)
		}
	}
}
