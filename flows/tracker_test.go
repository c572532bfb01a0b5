package flows

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
)

type step struct {
	side     Side
	flags    int
	seq, ack uint32
	payload  string
	wait     int64 // before it
}

func TestLife(t *testing.T) {
	const i, r = Initiator, Responder
	tests := []struct {
		name  string
		steps []step
		want  string
	}{
		{"whole", []step{
			{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {i, ACK, 100, 500, "", 0},
			{i, ACK | PSH, 100, 500, "ask", 0}, {r, ACK, 500, 103, "", 0}, {r, ACK, 500, 103, "answer", 0},
			{i, FIN | ACK, 103, 506, "", 0}, {r, FIN | ACK, 506, 104, "", 0}, {i, ACK, 104, 507, "", 0},
		}, `start syn
data 0 "ask" @4
data 1 "answer" @6
fin 0
fin 1
end fin SF ShADadFf`},
		{"SYN without answer", []step{{i, SYN, 99, 0, "", 0}, {i, SYN, 99, 0, "", 3 * second}}, `start syn
end end_of_input S0 S`},
		{"half-open expires by the attempt's time", []step{{i, SYN, 99, 0, "", 0}, {i, SYN, 99, 0, "", 6 * second}}, `start syn
end idle_timeout S0 S
start syn
end end_of_input S0 S`},
		{"rejected", []step{{i, SYN, 99, 0, "", 0}, {r, RST | ACK, 0, 100, "", 0}}, `start syn
rst 1
end rst REJ Sr`},
		{"SYN then RST of the same side", []step{{i, SYN, 99, 0, "", 0}, {i, RST, 100, 0, "", 0}}, `start syn
rst 0
end rst RSTOS0 SR`},
		{"SYN-ACK then RST of the same side", []step{{r, SYN | ACK, 499, 100, "", 0}, {r, RST, 500, 0, "", 0}}, `start syn_ack
rst 1
end rst RSTRH ^hr`},
		{"reset by the initiator", []step{
			{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {i, ACK, 100, 500, "", 0}, {i, RST, 100, 0, "", 0},
		}, `start syn
rst 0
end rst RSTO ShAR`},
		{"SYN and FIN, no answer", []step{{i, SYN, 99, 0, "", 0}, {i, FIN | ACK, 100, 0, "", 0}}, `start syn
fin 0
end end_of_input SH SF`},
		{"SYN-ACK, then out of order", []step{
			{r, SYN | ACK, 499, 100, "", 0}, {i, ACK, 103, 500, "later", 0}, {i, ACK, 100, 500, "ask", 0}, {r, ACK, 500, 108, "answer", 0},
		}, `start syn_ack
data 0 "ask" @3
data 0 "later" @2
data 1 "answer" @4
end end_of_input S1 ^hDTd`},
		{"SYN-ACK, then a hole", []step{
			{r, SYN | ACK, 499, 100, "", 0}, {i, ACK, 103, 500, "later", 0}, {r, ACK, 500, 108, "answer", second},
		}, `start syn_ack
data 1 "answer" @3
gap 0 3
data 0 "later" @2
end end_of_input S1 ^hDdG`},
		{"SYN-ACK and FIN, no SYN", []step{{r, SYN | ACK, 499, 100, "", 0}, {r, FIN | ACK, 500, 100, "", 0}}, `start syn_ack
fin 1
end end_of_input SHR ^hf`},
		{"established only", []step{{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}}, `start syn
end end_of_input S1 Sh`},
		{"initiator closed", []step{{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {i, FIN | ACK, 100, 500, "", 0}}, `start syn
fin 0
end end_of_input S2 ShF`},
		{"responder closed", []step{{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {r, FIN | ACK, 500, 100, "", 0}}, `start syn
fin 1
end end_of_input S3 Shf`},
		{"picked up mid-stream", []step{{i, ACK, 100, 500, "ab", 0}, {i, ACK, 102, 500, "cd", 0}, {r, ACK, 500, 104, "e", 0}}, `start first_packet
data 0 "ab" @1
data 0 "cd" @2
data 1 "e" @3
end end_of_input OTH Dd`},
		{"picked up at an acknowledgement, before which bytes are sent again", []step{
			{r, ACK, 500, 104, "", 0}, {r, ACK, 490, 104, "abcdefgh", 0}, {r, ACK, 498, 104, "ij", 0}, {r, ACK, 490, 104, "ab", 0}, {r, ACK, 500, 104, "k", 0},
		}, `start first_packet
data 0 "abcdefgh" @2
data 0 "ij" @3
data 0 "k" @5
end end_of_input OTH ADT`},
		{"picked up at an acknowledgement, before which there is a keep-alive", []step{
			{i, ACK, 500, 104, "", 0}, {i, ACK, 499, 104, "\x00", 0}, {i, ACK, 500, 104, "k", 0},
		}, `start first_packet
data 0 "k" @3
end end_of_input OTH ADT`},
		{"SYN-ACK captured before its SYN", []step{{r, SYN | ACK, 499, 100, "", 0}, {i, SYN, 99, 0, "", 0}}, `start syn_ack
end end_of_input S1 ^hS`},
		{"the SYN missed, not the handshake", []step{{r, SYN | ACK, 499, 100, "", 0}, {i, ACK, 100, 500, "ask", 0}}, `start syn_ack
data 0 "ask" @2
end end_of_input S1 ^hD`},
		{"RST after both have closed", []step{
			{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {i, FIN | ACK, 100, 500, "", 0},
			{r, FIN | ACK, 500, 101, "", 0}, {i, RST, 101, 0, "", 0},
		}, `start syn
fin 0
fin 1
end fin SF ShFfR`},
		{"tuple reused after close", []step{
			{i, SYN, 99, 0, "", 0}, {r, RST | ACK, 0, 100, "", 0}, {i, SYN, 7, 0, "", 0},
		}, `start syn
rst 1
end rst REJ Sr
start syn
end end_of_input S0 S`},
		{"the same SYN again after a reset is another attempt", []step{
			{i, SYN, 99, 0, "", 0}, {r, ACK, 700, 9, "", 0}, {i, RST, 9, 0, "", 0}, {i, SYN, 99, 0, "", second},
		}, `start syn
rst 0
end rst RSTOS0 SaR
start syn
end end_of_input S0 S`},
		{"tuple reused by the other side while open", []step{
			{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {r, SYN, 900, 0, "", 0},
		}, `start syn
end tuple_reuse S1 Sh
start syn
end end_of_input S0 S`},
		{"late packets within the linger belong to the flow, later ones do not", []step{
			{i, SYN, 99, 0, "", 0}, {r, RST | ACK, 0, 100, "", 0}, {i, ACK, 100, 0, "", 4 * second}, {i, ACK, 100, 0, "", 6 * second},
		}, `start syn
rst 1
end rst REJ SrA
start first_packet
end end_of_input OTH A`},
		{"data with the SYN", []step{{i, SYN, 99, 0, "early", 0}, {r, SYN | ACK, 499, 105, "", 0}, {i, ACK, 105, 500, "x", 0}}, `start syn
data 0 "early" @1
data 0 "x" @3
end end_of_input S1 SDh`},
		{"reordered", []step{{i, SYN, 99, 0, "", 0}, {i, ACK, 103, 0, "def", 0}, {i, ACK, 100, 0, "abc", 0}}, `start syn
data 0 "abc" @3
data 0 "def" @2
end end_of_input S0 SDT`},
		{"FIN before the bytes that it ends", []step{{i, SYN, 99, 0, "", 0}, {i, FIN | ACK, 103, 0, "", 0}, {i, ACK, 100, 0, "abc", 0}}, `start syn
data 0 "abc" @3
fin 0
end end_of_input SH SFDT`},
		{"a hole that the peer acknowledged is given up after a while", []step{
			{i, SYN, 99, 0, "", 0}, {r, SYN | ACK, 499, 100, "", 0}, {i, ACK, 103, 500, "def", 0}, {r, ACK, 500, 106, "", 0},
			{r, ACK, 500, 106, "", second}, {i, ACK, 100, 500, "abc", 0},
		}, `start syn
gap 0 3
data 0 "def" @3
end end_of_input S1 ShDaGT`},
		{"a hole that nobody acknowledged is given up at the end", []step{
			{i, SYN, 99, 0, "", 0}, {i, ACK, 103, 0, "def", 0}, {i, ACK, 103, 0, "def", second},
		}, `start syn
gap 0 3
data 0 "def" @2
end end_of_input S0 SDTG`},
		{"sequence numbers wrap", []step{
			{i, SYN, 0xfffffffd, 0, "", 0}, {i, ACK, 1, 0, "def", 0}, {i, ACK, 0xfffffffe, 0, "abc", 0}, {i, ACK, 0, 0, "cdefg", 0},
		}, `start syn
data 0 "abc" @3
data 0 "def" @2
data 0 "g" @4
end end_of_input S0 SDT`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, l := newSim(Config{})
			for _, st := range tt.steps {
				s.now += st.wait
				s.send(st.side, st.flags, st.seq, st.ack, st.payload)
			}
			s.finish()
			if got := l.String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// States and letters as Zeek's conn script and its endpoints have them. An end without a SYN
// has begun nothing, and t is what ends below what was sent, be it new or not.
func TestStates(t *testing.T) {
	const i, r = Initiator, Responder
	syn, synACK, ack := step{i, SYN, 99, 0, "", 0}, step{r, SYN | ACK, 499, 100, "", 0}, step{i, ACK, 100, 500, "", 0}
	for _, tt := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"a RST alone", []step{{i, RST, 100, 0, "", 0}}, "OTH R"},
		{"SYN, acknowledgement, RST", []step{syn, ack, {i, RST, 100, 0, "", 0}}, "OTH SAR"},
		{"SYN, data, RST", []step{syn, {i, 0, 100, 0, "x", 0}, {i, RST, 101, 0, "", 0}}, "RSTOS0 SDR"},
		{"RST amid bytes", []step{{i, ACK, 100, 500, "ab", 0}, {r, ACK, 500, 102, "", 0}, {i, RST, 102, 0, "", 0}}, "OTH DaR"},
		{"RST of the other end amid bytes", []step{{i, ACK, 100, 500, "ab", 0}, {r, RST, 500, 0, "", 0}}, "RSTRH Dr"},
		{"FIN amid bytes", []step{{i, FIN | ACK, 100, 500, "", 0}, {r, ACK, 500, 101, "", 0}}, "SH Fa"},
		{"FIN of the other end amid bytes", []step{{i, ACK, 100, 500, "", 0}, {r, FIN | ACK, 500, 100, "", 0}}, "SHR Af"},
		{"both FINs amid bytes", []step{{i, FIN | ACK, 100, 500, "", 0}, {r, FIN | ACK, 500, 101, "", 0}}, "SF Ff"},
		{"both reset, nothing sent", []step{syn, synACK, {i, RST, 100, 0, "", 0}, {r, RST, 500, 0, "", 0}}, "REJ ShRr"},
		{"both reset, something sent", []step{syn, synACK, {i, ACK, 100, 500, "a", 0}, {i, RST, 101, 0, "", 0}, {r, RST, 500, 0, "", 0}}, "RSTR ShDRr"},
		{"sent again", []step{syn, synACK, {i, ACK, 100, 500, "abc", 0}, {i, ACK, 100, 500, "abc", 0}}, "S1 ShDT"},
		{"a hole that is filled", []step{syn, synACK, {r, ACK, 503, 100, "def", 0}, {r, ACK, 500, 100, "abc", 0}}, "S1 Shdt"},
		{"more behind what was sent", []step{syn, synACK, {i, ACK, 100, 500, "abc", 0}, {i, ACK, 101, 500, "bcd", 0}}, "S1 ShD"},
		{"before an acknowledgement's number", []step{syn, synACK, {i, ACK, 104, 500, "", 0}, {i, ACK, 100, 500, "abcd", 0}}, "S1 ShADT"},
		{"behind its FIN", []step{syn, synACK, {i, FIN | ACK, 103, 500, "", 0}, {i, ACK, 100, 500, "abc", 0}}, "S2 ShFDT"},
	} {
		s, l := newSim(Config{})
		for _, st := range tt.steps {
			s.send(st.side, st.flags, st.seq, st.ack, st.payload)
		}
		s.finish()
		if got := l.String(); !strings.HasSuffix(got, " "+tt.want) || strings.Count(got, "end ") != 1 {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// gapCount is a consumer that adds the gaps up and keeps nothing.
type gapCount struct {
	*log
	n int64
}

func (*gapCount) Data(*Flow, Side, Stamp, []byte)         {}
func (g *gapCount) Gap(_ *Flow, _ Side, _ Stamp, n int64) { g.n += n }

// TestFarApart: a transfer of 5.4 GB of which few packets were captured, as in Zeek's
// bigtransfer.pcap: sequence numbers wrap, and holes are wider than a window can be.
func TestFarApart(t *testing.T) {
	const i, r = Initiator, Responder
	const ms = second / 1000
	g := &gapCount{log: new(log)}
	s := &sim{t: NewTracker(Config{}, g), now: 1_000_000 * second}
	for _, x := range []struct {
		wait     int64
		side     Side
		fl       int
		seq, ack uint32
		payload  string
	}{
		{0, i, SYN, 99, 0, ""}, {0, r, SYN | ACK, 3914442133, 100, ""}, {0, i, ACK, 100, 3914442134, ""},
		{0, r, ACK, 3914442134, 100, "0123456789"}, {0, i, ACK, 100, 3914442144, ""},
		{10000 * ms, r, ACK, 4294812326, 100, "abcd"}, {0, i, ACK, 100, 4294812326, ""},
		{12 * ms, i, ACK, 100, 238246, ""}, {0, r, ACK, 238246, 100, "abcd"},
		{50000 * ms, i, ACK, 100, 1912709798, ""}, {2 * ms, r, ACK, 1912709798, 100, "abcd"},
		{1000 * ms, r, ACK, 1958191782, 100, "abcd"}, {0, i, ACK, 100, 1958191782, ""},
		{52000 * ms, i, ACK, 100, 3880231590, ""}, {0, r, ACK, 3880231590, 100, "abcd"},
		{1200 * ms, r, ACK, 3922564950, 100, "abcd"}, {0, i, ACK, 100, 3922564950, ""},
		{13000 * ms, i, ACK, 100, 4294943398, ""}, {0, r, ACK, 4294943398, 100, "abcd"},
		{12 * ms, i, ACK, 100, 238246, ""}, {0, r, ACK, 238246, 100, "abcd"},
		{20000 * ms, r, ACK | FIN, 741173030, 100, "abcd"}, {0, i, ACK, 100, 741173030, ""}, {0, i, ACK | FIN, 100, 741173035, ""}, {0, r, ACK, 741173035, 101, ""},
	} {
		s.now += x.wait
		s.send(x.side, x.fl, x.seq, x.ack, x.payload)
	}
	s.finish()
	// The stream wraps twice.
	const sent, seen = 2<<32 + 741173034 - 3914442134, 10 + 9*4
	if g.n != sent-seen || int64(g.tcp[0].Sides[r].GapBytes) != sent-seen {
		t.Errorf("gaps of %d bytes, %d counted, want %d: %s", g.n, g.tcp[0].Sides[r].GapBytes, sent-seen, g)
	}
}

func TestUDP(t *testing.T) {
	s, l := newSim(Config{})
	s.send(Initiator, -1, 0, 0, "q")
	s.send(Responder, -1, 0, 0, "a")
	s.now += 61 * second
	s.send(Responder, -1, 0, 0, "late")
	s.finish()
	want := `start first_packet
datagram 0 "q"
datagram 1 "a"
end idle_timeout SF Dd
start first_packet
datagram 0 "late"
end end_of_input S0 D`
	if got := l.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestHandshakeAtZero: a time of 0, as simulators have it, is a time.
func TestHandshakeAtZero(t *testing.T) {
	s, l := newSim(Config{})
	s.now = -1000
	s.send(Initiator, SYN, 99, 0, "")
	s.send(Responder, SYN|ACK, 499, 100, "")
	s.send(Initiator, ACK, 100, 500, "")
	s.finish()
	x := l.tcp[0]
	if x.Handshake != SeenSYN|SeenSYNACK|SeenHandshakeACK || x.SYNTime != 0 || x.SYNACKTime != 1000 || x.HandshakeACKTime != 2000 {
		t.Errorf("%b at %d, %d, %d", x.Handshake, x.SYNTime, x.SYNACKTime, x.HandshakeACKTime)
	}
}

func TestStatistics(t *testing.T) {
	s, l := newSim(Config{})
	s.send(Initiator, SYN, 99, 0, "")
	s.send(Responder, SYN|ACK, 499, 100, "")
	s.send(Initiator, ACK, 100, 500, "")
	s.send(Initiator, ACK, 100, 500, "abc")
	s.send(Initiator, ACK, 100, 500, "abcde") // three again, two new
	s.send(Initiator, ACK, 100, 500, "abcde") // all again
	s.send(Initiator, ACK, 110, 500, "xyz")
	s.send(Initiator, ACK, 110, 500, "xyZ") // again, other bytes
	s.send(Initiator, ACK, 105, 500, "fghij")
	s.finish()
	f := l.ended[0]
	got := l.tcp[0].Sides[0]
	if got.Retransmits != 2 || got.RetransmitBytes != 3+5+3 || got.OutOfOrder != 3 || got.OverlapMismatches != 1 || got.Gaps != 0 {
		t.Errorf("got %+v", got)
	}
	if x := l.tcp[0]; x.SYNACKTime-x.SYNTime != 1000 || x.HandshakeACKTime-x.SYNACKTime != 1000 {
		t.Errorf("handshake times %d %d %d", x.SYNTime, x.SYNACKTime, x.HandshakeACKTime)
	}
	if p := f.Sides[0]; p.Packets != 8 || p.PayloadBytes != 3+5+5+3+3+5 || p.IATMin != 1000 || p.IATMax != 2000 {
		t.Errorf("got %+v", p)
	}
	if string(l.data[0]) != "abcdefghijxyz" {
		t.Errorf("data %q", l.data[0])
	}
}

// TestReassemblyOracle compares the reassembler with the obvious one: a map
// from offset to the byte that came first, over random cuts, orders,
// repetitions, losses and starting points of the sequence numbers.
func TestReassemblyOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 3000 {
		size := 1 + rng.IntN(200)
		stream := make([]byte, size)
		for k := range stream {
			stream[k] = byte(rng.IntN(256))
		}
		isn := rng.Uint32()
		if round%3 == 0 {
			isn = -uint32(rng.IntN(size) + 1)
		}
		type seg struct{ from, to int }
		var segs []seg
		for at := 0; at < size; {
			n := min(size-at, 1+rng.IntN(30))
			segs = append(segs, seg{at, at + n})
			at += n
		}
		for range rng.IntN(8) { // repeated, with other cuts
			a := rng.IntN(size)
			segs = append(segs, seg{a, a + 1 + rng.IntN(size-a)})
		}
		rng.Shuffle(len(segs), func(a, b int) { segs[a], segs[b] = segs[b], segs[a] })
		if rng.IntN(2) == 0 {
			segs = segs[:1+rng.IntN(len(segs))] // lost
		}
		s, l := newSim(Config{})
		s.send(Initiator, SYN, isn, 0, "")
		seen := make([]bool, size)
		end := 0
		for _, g := range segs {
			for k := g.from; k < g.to; k++ {
				seen[k] = true
			}
			end = max(end, g.to)
			s.send(Initiator, ACK, isn+1+uint32(g.from), 0, string(stream[g.from:g.to]))
		}
		s.finish()
		if len(l.data[0]) != end {
			t.Fatalf("round %d: %d bytes, want %d", round, len(l.data[0]), end)
		}
		lost := make([]bool, size)
		var gapBytes uint64
		for _, g := range l.gaps[0] {
			gapBytes += uint64(g.n)
			for k := range int(g.n) {
				lost[g.at+k] = true
			}
		}
		for k := range end {
			if lost[k] == seen[k] {
				t.Fatalf("round %d: byte %d lost %t, seen %t", round, k, lost[k], seen[k])
			}
			if seen[k] && l.data[0][k] != stream[k] {
				t.Fatalf("round %d: byte %d differs", round, k)
			}
		}
		st := l.tcp[0].Sides[0]
		if st.GapBytes != gapBytes || st.Gaps != uint64(len(l.gaps[0])) || st.OverlapMismatches != 0 {
			t.Fatalf("round %d: %+v, gaps %v", round, st, l.gaps[0])
		}
		if s.t.pool.bytes != 0 {
			t.Fatalf("round %d: %d bytes still held", round, s.t.pool.bytes)
		}
	}
}

// TestHeldBounds sends one-byte segments in reverse, which is what costs a
// reassembler most.
func TestHeldBounds(t *testing.T) {
	cfg := Config{MaxHeldPerSide: 1 << 14, MaxHeldSegments: 100, MaxHeld: 1 << 15}
	s, l := newSim(cfg)
	s.send(Initiator, SYN, 0, 0, "")
	for k := range uint32(50000) {
		s.send(Initiator, ACK, 100001-k, 0, "x")
		if s.t.pool.bytes > cfg.MaxHeld+64 || len(s.t.pool.lists[0]) > cfg.MaxHeldSegments+1 {
			t.Fatalf("after %d segments %d bytes are held", k, s.t.pool.bytes)
		}
	}
	s.finish()
	if s.t.Stats.HeldLimitHits == 0 {
		t.Error("no limit was counted")
	}
	if f := l.ended[0]; f.Sides[0].PayloadBytes != 50000 {
		t.Errorf("%d payload bytes counted", f.Sides[0].PayloadBytes)
	}
}

// TestManyFlows presses on the table, the slab and the wheel, with sweeps at
// random times, and compares what each flow says with a run without sweeps.
func TestManyFlows(t *testing.T) {
	run := func(sweeps bool) (map[int64]string, *Tracker) {
		rng := rand.New(rand.NewPCG(7, 7))
		l := new(log)
		tr := NewTracker(Config{}, l)
		now := int64(5e18) / second * second / 4
		for n := range uint64(60000) {
			now += rng.Int64N(200_000_000)
			p := Packet{Time: now, Pos: NewPosition(1, n+1), Src: addr(byte(rng.IntN(16))), Dst: addr(byte(100 + rng.IntN(4))),
				SrcPort: uint16(rng.IntN(20)), DstPort: 53, Proto: ProtoUDP, Flags: HasPorts}
			p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
			tr.Add(&p, nil)
			if sweeps && n%777 == 0 {
				for _, f := range tr.Expired(now, nil) {
					tr.Finish(f, tr.ExpiredReason(f))
				}
			}
		}
		for _, f := range tr.Live(nil) {
			r := EndOfInput
			if now > f.LastTime+60*second {
				r = EndIdleTimeout
			}
			tr.Finish(f, r)
		}
		got := make(map[int64]string)
		for k := range l.ended {
			f := &l.ended[k]
			got[f.ID()] = strings.Join([]string{f.End.String(), f.State.String(), string(rune(f.Sides[0].Packets))}, " ")
		}
		if len(got) != len(l.ended) {
			t.Errorf("%d flows, %d identifiers", len(l.ended), len(got))
		}
		return got, tr
	}
	with, tr := run(true)
	without, _ := run(false)
	if len(with) != len(without) {
		t.Fatalf("%d flows with sweeps, %d without", len(with), len(without))
	}
	for id, v := range without {
		if with[id] != v {
			t.Fatalf("flow %d: %q with sweeps, %q without", id, with[id], v)
		}
	}
	if tr.table.n != 0 {
		t.Errorf("%d flows left in the table", tr.table.n)
	}
	if len(with) < 5000 {
		t.Errorf("only %d flows: the test does not press", len(with))
	}
}

func TestMaxFlows(t *testing.T) {
	l := new(log)
	tr := NewTracker(Config{MaxFlows: 10, UDPIdle: -1}, l)
	for n := range uint64(100) {
		p := Packet{Time: int64(n), Pos: NewPosition(1, n+1), Src: addr(1), Dst: addr(2), SrcPort: uint16(n), Proto: ProtoUDP}
		p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
		tr.Add(&p, nil)
		if tr.table.n > 10 {
			t.Fatal("more flows than allowed")
		}
	}
	if tr.Stats.Evicted != 90 || tr.Stats.PeakLive != 10 {
		t.Errorf("%+v", tr.Stats)
	}
}

// TestFlowsOutOfTime gives a tracker the same packets again, as overlapping
// captures do: their flows have identifiers of their own.
func TestFlowsOutOfTime(t *testing.T) {
	for _, again := range []struct {
		name  string
		sweep bool
	}{{"swept", true}, {"in the table", false}} {
		s, l := newSim(Config{})
		clock := new(Clock)
		s.t.Clock = clock
		begin := s.now
		for range 3 {
			s.now = begin
			for _, isn := range []uint32{99, 7099, 9} { // reused twice
				s.now += second
				s.send(Initiator, SYN, isn, 0, "")
				s.send(Responder, RST|ACK, 0, isn+1, "")
				clock.Packets = s.n + 1
				clock.MaxTime = max(clock.MaxTime, s.now)
			}
			if again.sweep {
				clock.MaxTime += 100 * second
				for _, f := range s.t.Expired(clock.MaxTime, nil) {
					s.t.Finish(f, EndIdleTimeout)
				}
			}
		}
		s.finish()
		ids := make(map[int64]bool)
		for i := range l.ended {
			ids[l.ended[i].ID()] = true
		}
		if len(l.ended) != 9 || len(ids) != 9 {
			t.Errorf("%s: %d flows, %d identifiers", again.name, len(l.ended), len(ids))
		}
	}
}

// TestHashVectors pins the hash: another value would move flows between shards.
func TestHashVectors(t *testing.T) {
	v6a, v6b := Addr{0x20, 0x01, 0x0d, 0xb8, 15: 1}, Addr{0x20, 0x01, 0x0d, 0xb8, 15: 2}
	a, b := addr(1), addr(2)
	for _, tt := range []struct {
		src, dst     Addr
		sport, dport uint16
		proto        uint8
		want         uint64
	}{
		{a, b, 1000, 80, 6, 0xd67f128dac978d91},
		{a, b, 80, 1000, 6, 0x2fc8bd299e068cc9},
		{v6a, v6b, 5353, 5353, 17, 0x6e16595024b3c3a4},
		{a, a, 0, 0, 0, 0x1d00c5b20ff34d82},
	} {
		got := Hash(&tt.src, &tt.dst, tt.sport, tt.dport, tt.proto)
		if got != tt.want {
			t.Errorf("Hash(%v %v %d %d %d) = %#x, want %#x", tt.src, tt.dst, tt.sport, tt.dport, tt.proto, got, tt.want)
		}
		if rev := Hash(&tt.dst, &tt.src, tt.dport, tt.sport, tt.proto); rev != got {
			t.Errorf("reversed: %#x, not %#x", rev, got)
		}
	}
}

// TestCollisions gives the tracker tuples that an attacker would choose: with
// unkeyed placement, or with a hash in which one operand can hide the other,
// all of them lie in one place and each look-up walks over all.
func TestCollisions(t *testing.T) {
	tr := NewTracker(Config{MaxFlows: 1 << 20}, nothing{})
	mask := uint64(1<<14 - 1)
	var chosen []Packet
	for n := uint64(0); len(chosen) < 20000; n++ {
		p := Packet{Time: 1, Src: addr(1), Dst: Addr{0x20, 1, 8: byte(n >> 40), 9: byte(n >> 32), 10: byte(n >> 24), 11: byte(n >> 16), 12: byte(n >> 8), 13: byte(n)}, Proto: ProtoUDP}
		p.Hash = Hash(&p.Src, &p.Dst, 0, 0, ProtoUDP) &^ mask // as if brute force had found it
		chosen = append(chosen, p)
	}
	longest := 0
	for i := range chosen {
		tr.Add(&chosen[i], nil)
	}
	run := 0
	for _, s := range tr.table.slots {
		if s.ref == 0 {
			run = 0
		} else if run++; run > longest {
			longest = run
		}
	}
	if longest > 200 {
		t.Errorf("%d flows lie side by side", longest)
	}
	// Real ones: where one operand of the first product is 1, each half of the other's bits is exclusive-ored
	// to the other half, so that billions of addresses of one network have one hash.
	tr = NewTracker(Config{MaxFlows: 1 << 20}, nothing{})
	const colliding = 50_000
	for n := range uint64(colliding) {
		p := Packet{Time: 1, Pos: NewPosition(1, n+1), Dst: addr(1), Proto: ProtoUDP}
		binary.LittleEndian.PutUint64(p.Src[:8], 0x9e3779b97f4a7c15^0xa0761d6478bd642f^1)
		binary.LittleEndian.PutUint64(p.Src[8:], n<<32|n)
		if p.Hash = Hash(&p.Src, &p.Dst, 0, 0, ProtoUDP); n > 0 && p.Hash != chosen[0].Hash {
			t.Fatal("these tuples do not collide any more: find others")
		}
		chosen[0] = p
		tr.Add(&p, nil)
	}
	if tr.table.n != maxCrowd || tr.Stats.Evicted != colliding-maxCrowd {
		t.Errorf("%d flows of one hash live, %d were ended", tr.table.n, tr.Stats.Evicted)
	}
	for _, f := range tr.Live(nil) {
		if f.First.Pos.Packet() <= colliding-maxCrowd {
			t.Fatalf("the flow that began with packet %d was kept", f.First.Pos.Packet())
		}
	}
	// Addresses whose first half makes one operand of the product zero.
	blind := Addr{}
	binary.LittleEndian.PutUint64(blind[:8], 0x9e3779b97f4a7c15^0xa0761d6478bd642f)
	seen := make(map[uint64]bool)
	for n := range 1000 {
		blind[15], blind[14] = byte(n), byte(n>>8)
		dst := addr(2)
		seen[Hash(&blind, &dst, 1, 2, ProtoTCP)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 tuples have %d hashes", len(seen))
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	s, _ := newSim(Config{})
	s.t.consumer = nothing{}
	s.send(Initiator, SYN, 99, 0, "")
	seq := uint32(100)
	p := Packet{Time: s.now, Src: addr(1), Dst: addr(2), SrcPort: 1000, DstPort: 80, Proto: ProtoTCP, TCPFlags: ACK, Payload: 40, Transport: 20}
	p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	data := make([]byte, 140)
	p.PayloadLen, p.PayloadCaptured = 100, 100
	if n := testing.AllocsPerRun(1000, func() {
		p.Seq = seq
		seq += 100
		s.t.Add(&p, data)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// TestReassemblyAllocatesNothing: of two segments that come in the wrong order, over and over, the one that is held is
// held in memory that is used again; both policies.
func TestReassemblyAllocatesNothing(t *testing.T) {
	for policy := range OverlapLast + 1 {
		told := 0
		s, _ := newSim(Config{Overlap: policy})
		s.t.consumer = &lengths{n: &told}
		s.send(Initiator, SYN, 99, 0, "")
		seq := uint32(100)
		p := Packet{Time: s.now, Src: addr(1), Dst: addr(2), SrcPort: 1000, DstPort: 80, Proto: ProtoTCP, TCPFlags: ACK, Payload: 40, Transport: 20}
		p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
		data := make([]byte, 140)
		p.PayloadLen, p.PayloadCaptured = 100, 100
		if n := testing.AllocsPerRun(1000, func() {
			for _, d := range [...]uint32{100, 100, 0} {
				p.Seq = seq + d
				data[139]++
				s.t.Add(&p, data)
			}
			seq += 200
		}); n != 0 || told != 1001*200 {
			t.Errorf("%s bytes: %v allocations, %d bytes told", policy, n, told)
		}
	}
}

// lengths counts bytes.
type lengths struct {
	nothing
	n *int
}

func (l *lengths) Data(_ *Flow, _ Side, _ Stamp, data []byte) { *l.n += len(data) }

type nothing struct{}

func (nothing) Started(*Flow, *Packet)              {}
func (nothing) Data(*Flow, Side, Stamp, []byte)     {}
func (nothing) Gap(*Flow, Side, Stamp, int64)       {}
func (nothing) Fin(*Flow, Side, Stamp)              {}
func (nothing) Rst(*Flow, Side, Stamp)              {}
func (nothing) Datagram(*Flow, Side, Stamp, []byte) {}
func (nothing) Ended(*Flow, *TCP)                   {}

// A RST and a FIN come between a SYN and its SYN-ACK, to fool who follows: the
// responder's stream begins with the SYN-ACK.
func TestFINBeforeSYNACK(t *testing.T) {
	s, l := newSim(Config{})
	s.send(Initiator, SYN, 100, 0, "")
	s.send(Responder, RST|ACK, 5000, 101, "")
	s.send(Responder, FIN|ACK, 5000, 101, "")
	s.send(Responder, SYN|ACK, 900, 101, "")
	s.send(Initiator, ACK, 101, 901, "")
	s.send(Initiator, ACK, 101, 901, "question")
	s.send(Responder, ACK, 901, 109, "answer")
	s.send(Responder, FIN|ACK, 907, 109, "")
	s.finish()
	if got := string(l.data[Responder]); got != "answer" || len(l.gaps[Responder]) != 0 || string(l.data[Initiator]) != "question" {
		t.Errorf("%q\n%s", got, l)
	}
	if n := strings.Count(l.String(), "fin 1"); n != 1 {
		t.Errorf("told %d times that the responder ended\n%s", n, l)
	}
}
