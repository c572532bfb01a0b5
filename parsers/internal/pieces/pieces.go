// Package pieces puts together the pieces of a byte string that come in any
// order, again, and overlapping: the CRYPTO frames of QUIC and the handshake
// fragments of DTLS. It hides under parsers because no parser may import
// another, and two need it; it knows of no protocol.
package pieces

import "unsafe"

// MaxSpans is how many runs of bytes with holes between them a Buffer
// remembers; a piece that would make one more is refused.
const MaxSpans = 128

// Buffer holds the bytes from 0 on of which some have come. Where pieces
// overlap, the bytes that came first stay. Its zero value is empty.
//
//	0 <= spans[0].from < spans[0].to < spans[1].from < … <= len(data)
type Buffer struct {
	data  []byte // bytes outside of the spans are not defined
	spans []span
}

type span struct{ from, to int }

// Add puts piece at off, as far as it is below limit. It reports whether all
// of the piece is held now; a piece that is refused changes nothing.
func (b *Buffer) Add(off int, piece []byte, limit int) bool {
	if off < 0 || off >= limit {
		return len(piece) == 0 && off == limit
	}
	whole := true
	if len(piece) > limit-off {
		piece, whole = piece[:limit-off], false
	}
	if len(piece) == 0 {
		return whole
	}
	end := off + len(piece)

	// spans[i:j] are those that the piece touches.
	i := 0
	for i < len(b.spans) && b.spans[i].to < off {
		i++
	}
	j := i
	for j < len(b.spans) && b.spans[j].from <= end {
		j++
	}
	if i == j && len(b.spans) == MaxSpans {
		return false
	}
	if n := end - len(b.data); n > 0 {
		if end <= cap(b.data) {
			b.data = b.data[:end]
		} else {
			b.data = append(b.data, make([]byte, n)...)
		}
	}
	at := off
	for _, s := range b.spans[i:j] {
		if s.from > at {
			copy(b.data[at:s.from], piece[at-off:])
		}
		at = max(at, s.to)
	}
	if at < end {
		copy(b.data[at:end], piece[at-off:])
	}
	if i == j {
		b.spans = append(b.spans, span{})
		copy(b.spans[i+1:], b.spans[i:])
		b.spans[i] = span{off, end}
		return whole
	}
	b.spans[i] = span{min(off, b.spans[i].from), max(end, b.spans[j-1].to)}
	b.spans = append(b.spans[:i+1], b.spans[j:]...)
	return whole
}

// Prefix returns the bytes from 0 up to the first hole, in b's memory: valid
// until the next Add or Reset.
func (b *Buffer) Prefix() []byte {
	if len(b.spans) == 0 || b.spans[0].from != 0 {
		return nil
	}
	return b.data[:b.spans[0].to:b.spans[0].to]
}

// Holes reports whether there are bytes beyond a hole.
func (b *Buffer) Holes() bool {
	return len(b.spans) > 1 || len(b.spans) == 1 && b.spans[0].from != 0
}

// Empty reports whether nothing has come.
func (b *Buffer) Empty() bool { return len(b.spans) == 0 }

// Held returns the bytes of memory that b takes.
func (b *Buffer) Held() int { return cap(b.data) + cap(b.spans)*int(unsafe.Sizeof(span{})) }

// Reset empties b. It keeps at most keep bytes of memory.
func (b *Buffer) Reset(keep int) {
	b.spans = b.spans[:0]
	b.data = b.data[:0]
	if cap(b.data) > keep {
		b.data = nil
	}
}
