package flows

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

const ms = int64(1e6)

// TestDuplicates: what was captured twice is told from what was sent twice.
func TestDuplicates(t *testing.T) {
	tcp := func(seq uint32, n int) func(*Packet) {
		return func(p *Packet) { p.Seq, p.PayloadLen = seq, uint32(n) }
	}
	id := func(v uint16) func(*Packet) { return func(p *Packet) { p.ID = v } }
	udp := func(p *Packet) { p.Proto, p.TCPFlags = ProtoUDP, 0 }
	ack := func(p *Packet) { p.PayloadLen = 0 }
	sum := func(v uint16) func(*Packet) { return func(p *Packet) { p.Checksum = v } }
	answer := func(p *Packet) {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	type packet struct {
		wait int64
		with []func(*Packet)
	}
	with := func(wait int64, f ...func(*Packet)) packet { return packet{wait, f} }
	for _, tt := range []struct {
		name    string
		packets []packet
		want    uint64
	}{
		{"a copy at once", []packet{with(0, id(7)), with(10, id(7))}, 1},
		{"a copy at another interface, with another hop limit, class, VLAN and frame", []packet{with(0, id(7), func(p *Packet) { p.TTL, p.VLAN, p.Flags = 64, 1, p.Flags|HasVLAN }),
			with(10, id(7), func(p *Packet) { p.TTL, p.TOS, p.WireLen, p.Flags = 63, 4, 90, p.Flags|HasEthernet })}, 1},
		{"a copy behind a router, later and by another checksum", []packet{with(0, id(7), sum(1)), with(50*ms, id(7), sum(2))}, 1},
		{"a copy captured by a clock that is behind", []packet{with(0, id(7)), with(-ms, id(7))}, 1},
		{"a copy among others", []packet{with(0, id(7), tcp(1, 10)), with(1, id(8), tcp(11, 10)), with(1, id(7), tcp(1, 10)), with(1, id(8), tcp(11, 10))}, 2},
		{"a retransmission has an identification of its own", []packet{with(0, id(7)), with(10, id(8))}, 0},
		{"too late for a copy", []packet{with(0, id(7)), with(200*ms, id(7))}, 0},
		{"a side that gives all packets the same identification", []packet{with(0, id(7), tcp(1, 10)), with(1, id(7), tcp(11, 10)), with(1, id(7), tcp(11, 10), ack), with(1, id(7), tcp(11, 10), ack)}, 0},
		{"what packet generators write is none", []packet{with(0, id(1), udp), with(10, id(1), udp)}, 0},
		{"without identification, a segment at once", []packet{with(0), with(10)}, 1},
		{"without identification, a segment after what may be a timer", []packet{with(0), with(2 * ms)}, 0},
		{"without identification, a segment that the peer may have asked for", []packet{with(0), with(10, answer, ack), with(10)}, 0},
		{"without identification, other timestamps", []packet{with(0, sum(1)), with(10, sum(2))}, 0},
		{"without identification, acknowledgements may be alike", []packet{with(0, ack), with(10, ack)}, 0},
		{"without identification, datagrams may be alike", []packet{with(0, udp), with(10, udp)}, 0},
		{"a datagram", []packet{with(0, id(7), udp, sum(3)), with(10, id(7), udp, sum(3))}, 1},
		{"other sides have identifications of their own", []packet{with(0, id(7)), with(10, id(7), answer)}, 0},
	} {
		for _, dedup := range []bool{false, true} {
			l := new(log)
			tr := NewTracker(Config{Dedup: dedup}, l)
			now, data := 1000*second, make([]byte, 50)
			for i, step := range tt.packets {
				now += step.wait
				p := Packet{Time: now, Pos: NewPosition(1, uint64(i+1)), Src: addr(1), Dst: addr(2), SrcPort: 1000, DstPort: 80, Proto: ProtoTCP,
					TCPFlags: ACK, Flags: HasPorts, Seq: 1, Ack: 1, Window: 10, IPLen: 50, Transport: 20, Payload: 40, PayloadLen: 10}
				for _, f := range step.with {
					f(&p)
				}
				p.PayloadCaptured = p.PayloadLen
				p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
				tr.Add(&p, data)
			}
			for _, f := range tr.Live(nil) {
				tr.Finish(f, EndOfInput)
			}
			if len(l.ended) != 1 {
				t.Fatalf("%s: %d flows", tt.name, len(l.ended))
			}
			f := &l.ended[0]
			got, packets := f.Sides[0].Duplicates+f.Sides[1].Duplicates, f.Sides[0].Packets+f.Sides[1].Packets
			want := uint64(len(tt.packets))
			if dedup {
				want -= tt.want
			}
			if got != tt.want || packets != want || tr.Stats.Duplicates != tt.want {
				t.Errorf("%s (dedup %v): %d duplicates of %d packets, want %d of %d", tt.name, dedup, got, packets, tt.want, want)
			}
		}
	}
}

// TestDuplicatesAreNotRetransmissions: a whole flow, every packet of which was captured twice, counts as one that was not, and twice the packets.
func TestDuplicatesAreNotRetransmissions(t *testing.T) {
	run := func(copies int, dedup bool) (Flow, TCP) {
		l := new(log)
		s := &sim{t: NewTracker(Config{Dedup: dedup}, l), now: 1_000_000 * second}
		rnd := rand.New(rand.NewPCG(1, 1))
		seq := uint32(100)
		for i := range 50 {
			at, n := s.now+20*ms, uint64(i)
			size := 1 + rnd.IntN(50)
			if i%7 == 6 { // a real retransmission
				seq -= 10
				size = 10
			}
			payload := string(make([]byte, size))
			for range copies {
				s.now, s.n = at, n
				s.send(Initiator, ACK, seq, 0, payload)
			}
			seq += uint32(size)
		}
		s.finish()
		return l.ended[0], l.tcp[0]
	}
	one, oneTCP := run(1, false)
	for _, dedup := range []bool{false, true} {
		f, x := run(2, dedup)
		a, b := &f.Sides[0], &one.Sides[0]
		if a.Duplicates != b.Packets || a.DuplicateBytes != b.Bytes || a.DuplicatePayloadBytes != b.PayloadBytes {
			t.Errorf("dedup %v: %d duplicates of %d packets", dedup, a.Duplicates, b.Packets)
		}
		raw := b.Packets
		if !dedup {
			raw *= 2
		}
		if a.Packets != raw || x.Sides[0].Retransmits != oneTCP.Sides[0].Retransmits || x.Sides[0].RetransmitBytes != oneTCP.Sides[0].RetransmitBytes ||
			x.Sides[0].OutOfOrder != oneTCP.Sides[0].OutOfOrder || oneTCP.Sides[0].Retransmits == 0 {
			t.Errorf("dedup %v: %d packets, %+v, want %+v", dedup, a.Packets, x.Sides[0], oneTCP.Sides[0])
		}
	}
}

// TestFlowMemory: a flow of one packet a side, of which a flood has millions, is a Flow and no more.
func TestFlowMemory(t *testing.T) {
	if n := unsafe.Sizeof(Flow{}); n > 568 {
		t.Errorf("a Flow takes %d bytes", n)
	}
	tr := NewTracker(Config{}, nothing{})
	send := func(src, dst byte, id uint16) {
		p := Packet{Time: second, Src: addr(src), Dst: addr(dst), SrcPort: 53, DstPort: 53, Proto: ProtoUDP, Flags: HasPorts, ID: id}
		p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
		tr.Add(&p, nil)
	}
	for i := range byte(100) {
		send(200, i, 7)
		send(i, 200, 7)
	}
	if tr.seen.few.used != 0 || tr.seen.many.used != 0 {
		t.Errorf("flows of a packet a side take %d and %d of what is for more", tr.seen.few.used, tr.seen.many.used)
	}
	for id := range uint16(20) {
		send(200, 1, 100+id)
	}
	if tr.seen.few.used != 1 || len(tr.seen.few.free) != 1 || tr.seen.many.used != 1 {
		t.Errorf("a side of 21 packets takes %d, and %d of many", tr.seen.few.used, tr.seen.many.used)
	}
	for _, f := range tr.Live(nil) {
		tr.Finish(f, EndOfInput)
	}
	if len(tr.seen.many.free) != 1 {
		t.Errorf("%d are free in the end", len(tr.seen.many.free))
	}
}
