package http2

import (
	"unsafe"

	"golang.org/x/net/http2/hpack"
)

// decoder decodes one side's header blocks, each whole, in order. What makes it
// more than hpack.Decoder is lose: it goes on with what is known.
//
// The dynamic table is counted from its newest entry. Entries added after
// a loss are therefore at the right places of an empty table; a reference
// beyond them is to an entry that is not known.
type decoder struct {
	d     *hpack.Decoder
	emit  func(hpack.HeaderField)
	max   uint32 // size of the table as the other side set it
	bound uint32
	lossy bool
	known int // lossy: entries added since
	told  int // sizes of all fields so far, of which the table has the latest
}

const (
	defaultTable  = 4096 // RFC 9113 section 6.5.2, SETTINGS_HEADER_TABLE_SIZE
	staticEntries = 61   // RFC 7541 appendix A
	unknownName   = "?"  // stands for a name that is not known; no field can have it
)

func (t *decoder) reset(bound uint32) {
	if t.d != nil {
		t.d.SetMaxDynamicTableSize(0) // forgets all
		t.d.SetMaxDynamicTableSize(defaultTable)
		t.d.SetAllowedMaxDynamicTableSize(bound)
	}
	t.max, t.bound, t.lossy, t.known, t.told = defaultTable, bound, false, 0, 0
}

// lose says that blocks, or parts of them, will not come.
func (t *decoder) lose() {
	t.d, t.lossy, t.known, t.told = nil, true, 0, 0
}

// held returns about what the table takes: the size that RFC 7541 section 4.1 gives it is near its memory.
func (t *decoder) held() int {
	if t.d == nil {
		return 0
	}
	return int(unsafe.Sizeof(*t.d)) + min(t.told, int(t.max))
}

// block decodes a whole block. unknown: a field was left out that refers to
// what was lost. Where ok is false the block is broken, and all that it might
// have added to the table is lost.
func (t *decoder) block(b []byte) (unknown, ok bool) {
	if t.d == nil {
		t.d = hpack.NewDecoder(t.max, func(f hpack.HeaderField) {
			t.told += int(f.Size())
			t.emit(f)
		})
		t.d.SetAllowedMaxDynamicTableSize(t.bound)
	}
	// Changes of the table's size come first, and there may be several, which
	// hpack.Decoder does not take (RFC 7541 section 4.2). A size beyond the bound
	// is cut to it: a reference to what is then not there ends in a loss.
	for len(b) > 0 && b[0]&0xe0 == 0x20 {
		size, n := varint(b, 5)
		if n == 0 {
			break
		}
		t.max = uint32(min(size, uint64(t.bound)))
		t.d.SetMaxDynamicTableSize(t.max)
		b = b[n:]
	}
	if t.lossy {
		unknown, ok = t.walk(b)
	} else {
		_, err := t.d.Write(b)
		ok = err == nil
	}
	if ok {
		ok = t.d.Close() == nil
	}
	if !ok {
		t.lose()
	}
	return unknown, ok
}

// walk gives the decoder one representation after the other (RFC 7541 section
// 6), but none that refers to what is not known.
func (t *decoder) walk(b []byte) (unknown, ok bool) {
	for len(b) > 0 {
		c := b[0]
		var n int
		var index uint64
		literal, added := true, false
		switch {
		case c&0x80 != 0:
			index, n = varint(b, 7)
			literal = false
		case c&0xc0 == 0x40:
			index, n = varint(b, 6)
			added = true
		case c&0xe0 == 0x20:
			if _, n = varint(b, 5); n == 0 {
				return unknown, false
			}
			if _, err := t.d.Write(b[:n]); err != nil {
				return unknown, false
			}
			b = b[n:]
			continue
		default:
			index, n = varint(b, 4)
		}
		if n == 0 || index == 0 && !literal {
			return unknown, false
		}
		value := n
		if literal {
			if index == 0 {
				if value = skipString(b, n); value == 0 {
					return unknown, false
				}
			}
			if n = skipString(b, value); n == 0 {
				return unknown, false
			}
		}
		var err error
		switch {
		case index <= uint64(staticEntries+t.known):
			_, err = t.d.Write(b[:n])
		case added:
			unknown = true
			if _, err = t.d.Write([]byte("\x40\x01" + unknownName)); err == nil {
				_, err = t.d.Write(b[value:n])
			}
		default:
			unknown = true
		}
		if err != nil {
			return unknown, false
		}
		if added {
			t.known++
		}
		b = b[n:]
	}
	return unknown, true
}

// varint reads an integer with a prefix of the given bits (RFC 7541 section
// 5.1) and returns its length; 0: it is cut short or too large.
func varint(b []byte, bits uint) (v uint64, n int) {
	mask := uint64(1)<<bits - 1
	v = uint64(b[0]) & mask
	if v < mask {
		return v, 1
	}
	for n, shift := 1, uint(0); n < len(b) && shift < 35; n, shift = n+1, shift+7 {
		v += uint64(b[n]&0x7f) << shift
		if b[n]&0x80 == 0 {
			return v, n + 1
		}
	}
	return 0, 0
}

// skipString returns the offset behind the string at offset n of b (RFC 7541
// section 5.2); 0: it is cut short.
func skipString(b []byte, n int) int {
	if n >= len(b) {
		return 0
	}
	l, k := varint(b[n:], 7)
	if k == 0 || l > uint64(len(b)-n-k) {
		return 0
	}
	return n + k + int(l)
}
