package pieces

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestOracle: any pieces in any order are what a map from offset to byte says.
func TestOracle(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var b Buffer
		have := map[int]byte{}
		limit := 1 + rnd.IntN(64)
		for range 1 + rnd.IntN(30) {
			off := rnd.IntN(limit + 4)
			piece := make([]byte, rnd.IntN(12))
			for i := range piece {
				piece[i] = byte(rnd.Uint32())
			}
			whole := b.Add(off, piece, limit)
			if want := off+len(piece) <= limit; whole != want {
				t.Fatalf("Add(%d, %d bytes, limit %d) = %v", off, len(piece), limit, whole)
			}
			for i, v := range piece {
				if _, ok := have[off+i]; !ok && off+i < limit {
					have[off+i] = v
				}
			}
			var want []byte
			for i := 0; ; i++ {
				v, ok := have[i]
				if !ok {
					break
				}
				want = append(want, v)
			}
			if got := b.Prefix(); !bytes.Equal(got, want) {
				t.Fatalf("prefix %x, want %x", got, want)
			}
			if b.Holes() != (len(have) > len(want)) || b.Empty() != (len(have) == 0) {
				t.Fatalf("holes %v, empty %v; %d of %d", b.Holes(), b.Empty(), len(want), len(have))
			}
			if rnd.IntN(20) == 0 {
				b.Reset(16)
				clear(have)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	var b Buffer
	for i := range MaxSpans {
		if !b.Add(2*i+1, []byte{1}, 1<<20) {
			t.Fatalf("span %d refused", i)
		}
	}
	if b.Add(1<<19, []byte{1}, 1<<20) || len(b.data) > 2*MaxSpans {
		t.Error("one span too many was taken")
	}
	if !b.Add(0, []byte{1}, 1<<20) || len(b.Prefix()) != 2 {
		t.Error("a piece that makes no span was refused")
	}
	b.Reset(10)
	if cap(b.data) != 0 || !b.Empty() {
		t.Error("Reset keeps more than it may")
	}
	if b.Add(-1, []byte{1}, 10) || b.Add(10, []byte{1}, 10) || b.Add(8, []byte{1, 2, 3}, 10) {
		t.Error("took what is outside of the limit")
	}
	if string(b.Prefix()) != "" || !b.Holes() {
		t.Error("what is within the limit was not taken")
	}
}
