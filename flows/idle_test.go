package flows

import "testing"

// TestIdleByFlow: a flow's own idle time decides when it ends, both where a later packet of
// its tuple comes and where a sweep finds it.
func TestIdleByFlow(t *testing.T) {
	udp := func(n uint64, ms int64, port uint16) Captured {
		c := captured(n, ms, Initiator, -1, 0, 0, "x")
		c.DstPort = port
		c.Hash = Hash(&c.Src, &c.Dst, c.SrcPort, c.DstPort, c.Proto)
		return c
	}
	idle := func(f *Flow) int64 {
		switch f.DstPort {
		case 1:
			return 2 * second
		case 2:
			return 600 * second
		case 3:
			return -1
		}
		return 0
	}
	list := []Captured{
		udp(1, 0, 1), udp(2, 0, 2), udp(3, 0, 3), udp(4, 0, 4), udp(5, 0, 1),
		udp(6, 2_500, 1), // over by itself
		udp(7, 10_000, 9), udp(8, 10_001, 9), udp(9, 10_002, 9),
		udp(10, 61_000, 4), // by the default
		udp(11, 300_000, 2),
		udp(12, 5_000_000, 9), udp(13, 5_000_001, 9), udp(14, 5_000_002, 9),
		udp(15, 5_000_003, 3),
	}
	type end struct {
		port    uint16
		reason  EndReason
		packets uint64
	}
	var got []end
	for ev, err := range Events(Packets(list...), EventConfig{Config: Config{Idle: idle}, Kinds: EventEnded}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Flow.DstPort != 9 {
			got = append(got, end{ev.Flow.DstPort, ev.Flow.End, ev.Flow.Sides[0].Packets})
		}
	}
	want := map[end]int{{1, EndIdleTimeout, 2}: 1, {1, EndIdleTimeout, 1}: 1, {2, EndIdleTimeout, 2}: 1, {3, EndOfInput, 2}: 1, {4, EndIdleTimeout, 1}: 2}
	for _, e := range got {
		want[e]--
	}
	for e, n := range want {
		if n != 0 {
			t.Errorf("%d more of %+v; got %+v", n, e, got)
		}
	}
}

// TestTrackerLaws: whatever the packets, both directions of a tuple are one flow, every flow that began
// ends once, and no more live than may.
func TestTrackerLaws(t *testing.T) {
	const most = 40
	r := uint64(1)
	below := func(n uint64) uint64 {
		r ^= r << 13
		r ^= r >> 7
		r ^= r << 17
		return r % n
	}
	l := new(lawLog)
	tr := NewTracker(Config{MaxFlows: most}, l)
	var over []*Flow
	now := int64(0)
	for n := range uint64(200_000) {
		now += int64(below(uint64(second) / 4))
		side, flags := Side(below(2)), int(below(64))
		if below(3) == 0 {
			flags = -1
		}
		c := captured(n+1, now/1e6, side, flags, uint32(below(2000)), uint32(below(2000)), "payload"[:below(8)])
		port := uint16(below(30) + 1)
		if side == Initiator {
			c.SrcPort = port
		} else {
			c.DstPort = port
		}
		c.Hash = Hash(&c.Src, &c.Dst, c.SrcPort, c.DstPort, c.Proto)
		tr.Add(c.Packet, c.Data)
		live := tr.Live(over[:0])
		if int64(len(live)) != l.started-l.ended || len(live) > most || int64(tr.Stats.Flows) != l.started {
			t.Fatalf("packet %d: %d live, %d started, %d ended", n, len(live), l.started, l.ended)
		}
		if n%64 == 0 { // no two live flows are of one tuple, in whatever direction
			seen := map[[3]uint16]bool{}
			for _, f := range live {
				k := [3]uint16{min(f.SrcPort, f.DstPort), max(f.SrcPort, f.DstPort), uint16(f.Proto)}
				if seen[k] {
					t.Fatalf("packet %d: two flows of %v", n, k)
				}
				seen[k] = true
			}
			for _, f := range tr.Expired(now, over[:0]) {
				tr.Finish(f, tr.ExpiredReason(f))
			}
		}
	}
	for _, f := range tr.Live(nil) {
		tr.Finish(f, EndOfInput)
	}
	if l.started != l.ended || l.started < 1000 {
		t.Errorf("%d started, %d ended", l.started, l.ended)
	}
}

// lawLog counts flows, and sees that bytes are only told of those that live.
type lawLog struct{ started, ended int64 }

func (l *lawLog) live(f *Flow) {
	if f.marks&markLive == 0 {
		panic("a flow that is over")
	}
}
func (l *lawLog) Started(f *Flow, _ *Packet)                  { l.started++; l.live(f) }
func (l *lawLog) Data(f *Flow, _ Side, _ Stamp, _ []byte)     { l.live(f) }
func (l *lawLog) Gap(f *Flow, _ Side, _ Stamp, n int64)       { l.live(f) }
func (l *lawLog) Fin(f *Flow, _ Side, _ Stamp)                { l.live(f) }
func (l *lawLog) Rst(f *Flow, _ Side, _ Stamp)                { l.live(f) }
func (l *lawLog) Datagram(f *Flow, _ Side, _ Stamp, _ []byte) { l.live(f) }
func (l *lawLog) Ended(f *Flow, _ *TCP)                       { l.ended++; l.live(f) }

// FuzzStream: two sides' segments of any order and content are told byte for byte as a map of
// bytes has them, first bytes first, and memory stays within its bound.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 0, 3, 0, 3, 3, 1, 0, 2})
	f.Add([]byte{0, 9, 3, 0, 3, 6, 0, 0, 3, 1, 200, 9, 1, 0, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, base := range []uint32{100, 0xffffffc0, 100, 0xffffffc0} {
			s, l := newSim(Config{MaxHeldPerSide: 4096, Overlap: Overlap(i / 2)})
			s.send(Initiator, SYN, base-1, 0, "")
			s.send(Responder, SYN|ACK, base-1, base, "")
			var seen [2][600]bool
			text := make([]byte, 600)
			for i := range text {
				text[i] = byte(i)
			}
			for d := data; len(d) >= 3; d = d[3:] {
				side, from, n := Side(d[0]&1), int(d[1]), int(d[2])
				for i := from; i < from+n; i++ {
					seen[side][i] = true
				}
				s.send(side, ACK, base+uint32(from), base, string(text[from:from+n]))
			}
			s.finish()
			for side := range seen {
				last := -1
				for i, ok := range seen[side] {
					if ok {
						last = i
					}
				}
				got := l.data[side]
				if len(got) > last+1 {
					t.Fatalf("side %d: %d bytes, of %d", side, len(got), last+1)
				}
				gap := make([]bool, len(got))
				for _, g := range l.gaps[side] {
					for i := g.at; i < g.at+int(g.n); i++ {
						gap[i] = true
					}
				}
				for i := range got {
					if !gap[i] && got[i] != text[i] || gap[i] && got[i] != 0 || !gap[i] && !seen[side][i] {
						t.Fatalf("side %d, byte %d: %d, gap %v, sent %v", side, i, got[i], gap[i], seen[side][i])
					}
				}
			}
			if p := s.t.pool.bytes; p != 0 {
				t.Fatalf("%d bytes held after the end", p)
			}
		}
	})
}
