package flows

import (
	"slices"
	"strings"
	"testing"
)

// TestAllArrivalOrders sends every arrangement of a few segments, which overlap and
// disagree, from sequence numbers near the wrap and far from it. The bytes told are those that came
// first, as a map of bytes has them.
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
			want := make([]byte, end)
			for _, g := range segs {
				for i := g.from; i < g.to; i++ {
					if want[i] == 0 {
						want[i] = g.letter[0]
					}
				}
			}
			for _, isn := range []uint32{1000, -uint32(end / 2), 0xffffffff} {
				s, l := newSim(Config{})
				s.send(Initiator, SYN, isn, 0, "")
				for _, g := range segs {
					s.send(Initiator, ACK, isn+1+uint32(g.from), 0, strings.Repeat(g.letter, g.to-g.from))
				}
				s.finish()
				if !slices.Equal(l.data[0], want) { // a gap is told as zeros
					t.Fatalf("from %#x, %v: %q, want %q", isn, segs, l.data[0], want)
				}
			}
		}
		arrange(0)
		if n < 100 {
			t.Errorf("%d orders", n)
		}
	}
}
