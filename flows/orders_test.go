package flows

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// byteMap is the obvious reassembler: a byte for each offset, 0 where there is none.
type byteMap struct {
	b          []byte
	next       int // so many were told, and stand
	policy     Overlap
	mismatches uint64 // segments that differ from what is held
}

func (m *byteMap) put(from int, data []byte) {
	differs := false
	for i, c := range data {
		k := from + i
		if k < m.next {
			continue
		}
		if m.b[k] != 0 && m.b[k] != c {
			differs = true
		}
		if m.b[k] == 0 || m.policy == OverlapLast {
			m.b[k] = c
		}
	}
	if differs {
		m.mismatches++
	}
	for m.next < len(m.b) && m.b[m.next] != 0 {
		m.next++
	}
}

// TestOverlapRandom does the same with long streams in random orders, of segments that disagree.
func TestOverlapRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	differ := 0
	for round := range 2000 {
		size := 100 + rng.IntN(2000)
		isn := rng.Uint32()
		if round%3 == 0 {
			isn = -uint32(rng.IntN(size) + 1)
		}
		type seg struct {
			from int
			data []byte
		}
		var segs []seg
		add := func(from, n int, noise int) {
			d := make([]byte, n)
			for i := range d {
				if d[i] = byte(1 + (from+i)%255); noise > 0 && rng.IntN(noise) == 0 {
					d[i] = byte(1 + rng.IntN(255))
				}
			}
			segs = append(segs, seg{from, d})
		}
		for at := 0; at < size; {
			n := min(size-at, 1+rng.IntN(size/8))
			add(at, n, 0)
			at += n
		}
		for range rng.IntN(20) {
			a := rng.IntN(size)
			add(a, 1+rng.IntN(size-a), rng.IntN(200))
		}
		rng.Shuffle(len(segs), func(a, b int) { segs[a], segs[b] = segs[b], segs[a] })
		var told [2][]byte
		for policy := range OverlapLast + 1 {
			want := byteMap{b: make([]byte, size), policy: policy}
			s, l := newSim(Config{Overlap: policy})
			s.send(Initiator, SYN, isn, 0, "")
			for _, g := range segs {
				want.put(g.from, g.data)
				s.send(Initiator, ACK, isn+1+uint32(g.from), 0, string(g.data))
			}
			s.finish()
			if !slices.Equal(l.data[0], want.b) || l.tcp[0].Sides[0].OverlapMismatches != want.mismatches {
				t.Fatalf("round %d, %s bytes: %d mismatches, want %d", round, policy, l.tcp[0].Sides[0].OverlapMismatches, want.mismatches)
			}
			if s.t.pool.bytes != 0 {
				t.Fatalf("round %d: %d bytes still held", round, s.t.pool.bytes)
			}
			told[policy] = l.data[0]
		}
		if !slices.Equal(told[0], told[1]) {
			differ++
		}
	}
	if differ < 100 {
		t.Errorf("the policies differ in %d rounds", differ)
	}
}

// TestOverlapCut: of copies that the capture cut short, what only one has stands.
func TestOverlapCut(t *testing.T) {
	for policy, want := range [...]string{"..abcdgh..", "..ABcdgh.."} {
		s, l := newSim(Config{Overlap: Overlap(policy)})
		s.send(Initiator, SYN, 99, 0, "")
		f := s.t.Live(nil)[0]
		x := s.t.TCP(f)
		s.t.bytes(f, x, Initiator, Stamp{}, 102, 4, []byte("abcd"))
		s.t.bytes(f, x, Initiator, Stamp{}, 102, 4, []byte("AB"))
		s.t.bytes(f, x, Initiator, Stamp{}, 106, 4, []byte("gh"))
		s.t.bytes(f, x, Initiator, Stamp{}, 106, 4, []byte("ghij"))
		s.finish()
		if got := strings.ReplaceAll(string(l.data[0]), "\x00", "."); got != want {
			t.Errorf("%s bytes: %q, want %q", Overlap(policy), got, want)
		}
	}
}

// TestAllArrivalOrders sends every arrangement of a few segments, which overlap and
// disagree, from sequence numbers near the wrap and far from it. The bytes told are those of a byte map, by
// either policy.
func TestAllArrivalOrders(t *testing.T) {
	type seg struct {
		from, to int
		letter   string
	}
	for _, segs := range [][]seg{
		{{0, 4, "a"}, {4, 8, "b"}, {8, 12, "c"}, {2, 6, "d"}, {6, 10, "e"}, {0, 12, "f"}},
		{{0, 1, "a"}, {1, 2, "b"}, {2, 3, "c"}, {3, 4, "d"}, {4, 5, "e"}, {5, 6, "f"}},
		{{0, 3, "a"}, {5, 8, "b"}, {6, 7, "c"}, {4, 9, "d"}, {2, 5, "e"}},
		{{2, 3, "a"}, {2, 5, "b"}, {4, 6, "c"}, {8, 9, "d"}, {0, 1, "e"}, {8, 9, "f"}}, // a hole for good
	} {
		end := 0
		for _, g := range segs {
			end = max(end, g.to)
		}
		n := 0
		var arrange func(k int)
		arrange = func(k int) {
			if k < len(segs) {
				for i := k; i < len(segs); i++ {
					segs[k], segs[i] = segs[i], segs[k]
					arrange(k + 1)
					segs[k], segs[i] = segs[i], segs[k]
				}
				return
			}
			n++
			for policy := range OverlapLast + 1 {
				want := byteMap{b: make([]byte, end), policy: policy}
				for _, g := range segs {
					want.put(g.from, bytes.Repeat([]byte(g.letter), g.to-g.from))
				}
				for _, isn := range []uint32{1000, -uint32(end / 2), 0xffffffff} {
					s, l := newSim(Config{Overlap: policy})
					s.send(Initiator, SYN, isn, 0, "")
					for _, g := range segs {
						s.send(Initiator, ACK, isn+1+uint32(g.from), 0, strings.Repeat(g.letter, g.to-g.from))
					}
					s.finish()
					if !slices.Equal(l.data[0], want.b) { // a gap is told as zeros
						t.Fatalf("%s bytes, from %#x, %v: %q, want %q", policy, isn, segs, l.data[0], want.b)
					}
					if got := l.tcp[0].Sides[0].OverlapMismatches; got != want.mismatches {
						t.Fatalf("%s bytes, from %#x, %v: %d mismatches, want %d", policy, isn, segs, got, want.mismatches)
					}
				}
			}
		}
		arrange(0)
		if n < 100 {
			t.Errorf("%d orders", n)
		}
	}
}

// TestGapRuns: bytes that were not captured are one gap however many segments they came in, in order or
// not, whether or not the consumer still wants the flow's bytes.
func TestGapRuns(t *testing.T) {
	type seg struct {
		seq, n uint32
		data   string
	}
	segs := []seg{{100, 10, ""}, {110, 10, ""}, {120, 10, "ab"}, {130, 10, ""}, {140, 2, "cd"}, {150, 10, ""}, {142, 8, ""}, {160, 2, "ef"}}
	for _, ignored := range []bool{false, true} {
		for _, order := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7}, {0, 7, 6, 5, 4, 3, 2, 1}, {3, 1, 2, 0, 5, 4, 7, 6}} {
			s, l := newSim(Config{})
			s.send(Initiator, SYN, 99, 0, "")
			f := s.t.Live(nil)[0]
			if ignored {
				f.Ignore()
			}
			x := s.t.TCP(f)
			for _, i := range order {
				s.t.bytes(f, x, Initiator, Stamp{}, segs[i].seq, segs[i].n, []byte(segs[i].data))
				s.t.advance(f, x, Initiator, Stamp{})
			}
			s.finish()
			if got := l.tcp[0].Sides[0]; got.Gaps != 3 || got.GapBytes != 56 {
				t.Errorf("ignored %t, order %v: %d gaps of %d bytes, want 3 of 56", ignored, order, got.Gaps, got.GapBytes)
			}
		}
	}
}
