package dns

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	headerLen   = 12
	maxName     = 255 // bytes on the wire, with the root label (RFC 1035 section 2.3.4)
	maxPointers = 127 // a name has at most 127 labels
)

// Classes of a label's bytes.
const (
	plain     = iota
	escaped   // printable, but special in a zone file
	unescaped // not printable: \DDD
)

var byteClass = func() (t [256]uint8) {
	for i := range t {
		if i <= ' ' || i > '~' {
			t[i] = unescaped
		}
	}
	for _, c := range []byte(`"$().;@\`) {
		t[c] = escaped
	}
	return t
}()

// appendName appends the presentation form of the name at msg[off:]. next is
// the offset behind the name where it stands, or -1 where the damage that
// rule names hides it; dst then has what came before the damage.
func appendName(dst, msg []byte, off int) (out []byte, next int, rule Malformed) {
	next = -1
	run := off // where the labels read now began: what a pointer must lie before
	length, pointers := 1, 0
	for {
		if off >= len(msg) {
			return dst, next, Truncated
		}
		c := int(msg[off])
		switch c & 0xc0 {
		case 0x00:
			if c == 0 {
				if length == 1 {
					dst = append(dst, '.')
				}
				if next < 0 {
					next = off + 1
				}
				return dst, next, WellFormed
			}
			if off+1+c > len(msg) {
				return dst, next, Truncated
			}
			if length += 1 + c; length > maxName {
				if next < 0 {
					next = nameEnd(msg, off, len(msg))
				}
				return dst, next, NameTooLong
			}
			if length > 2+c {
				dst = append(dst, '.')
			}
			dst = appendLabel(dst, msg[off+1:off+1+c])
			off += 1 + c
		case 0xc0:
			if off+2 > len(msg) {
				return dst, next, Truncated
			}
			to := int(binary.BigEndian.Uint16(msg[off:]) & 0x3fff)
			if next < 0 {
				next = off + 2
			}
			if pointers++; pointers > maxPointers {
				return dst, next, PointerLoop
			}
			if to >= run {
				return dst, next, PointerForward
			}
			if to < headerLen {
				return dst, next, PointerHeader
			}
			off, run = to, to
		default:
			return dst, next, LabelType
		}
	}
}

func appendLabel(dst, label []byte) []byte {
	for i, c := range label {
		if byteClass[c] != plain {
			return appendSpecialLabel(append(dst, label[:i]...), label[i:])
		}
	}
	return append(dst, label...)
}

func appendSpecialLabel(dst, label []byte) []byte {
	for _, c := range label {
		switch byteClass[c] {
		case plain:
			dst = append(dst, c)
		case escaped:
			dst = append(dst, '\\', c)
		default:
			dst = appendDDD(dst, c)
		}
	}
	return dst
}

func appendDDD(dst []byte, c byte) []byte {
	return append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
}

// skipName returns the offset behind the name at msg[off:], or -1 where it
// does not end or is too long. It does not follow pointers.
func skipName(msg []byte, off int) int { return nameEnd(msg, off, maxName) }

// nameEnd is skipName with another limit on the length.
func nameEnd(msg []byte, off, limit int) int {
	for length := 1; off < len(msg); {
		c := int(msg[off])
		switch {
		case c == 0:
			return off + 1
		case c >= 0xc0:
			if off+2 > len(msg) {
				return -1
			}
			return off + 2
		case c >= 0x40:
			return -1
		}
		off += 1 + c
		if length += 1 + c; length > limit {
			return -1
		}
	}
	return -1
}

// appendQName splits the presentation form of a question's name, text[from:],
// into its lower-case form, which stays there, and the form of the wire, which
// is appended where it differs.
func appendQName(text []byte, from int) (out, name, raw []byte) {
	end := len(text)
	name = text[from:end:end]
	upper, special := false, false
	for _, c := range name {
		upper = upper || c-'A' < 26
		special = special || c == '\\'
	}
	if !upper && !special {
		return text, name, nil
	}
	text = appendWire(text, name)
	// The text may have moved; the name may be changed only where it is now.
	name = text[from:end:end]
	raw = text[end:len(text):len(text)]
	for i, c := range name {
		if c-'A' < 26 {
			name[i] = c + 'a' - 'A'
		}
	}
	if string(raw) == string(name) {
		return text[:end], name, nil
	}
	return text, name, raw
}

// appendWire appends the text that the presentation form name stands for,
// with only the escapes without which it could not be read as labels, or as text.
func appendWire(dst, name []byte) []byte {
	from := len(dst)
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = name[i]; {
		case c == '.' || c == '\\':
			dst = append(dst, '\\', c)
		case c < '0' || c > '9':
			dst = append(dst, c)
		default:
			dst = append(dst, (c-'0')*100+(name[i+1]-'0')*10+name[i+2]-'0')
			i += 2
		}
	}
	for i := from; i < len(dst); { // almost always all text: look before working
		r, n := utf8.DecodeRune(dst[i:])
		if r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1 {
			var tail [2 * maxName]byte
			return appendText(dst[:i], tail[:copy(tail[:], dst[i:])])
		}
		i += n
	}
	return dst
}

// appendText appends b, with control characters and what is not UTF-8 as \DDD.
func appendText(dst, b []byte) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1 {
			dst = appendDDD(dst, b[0])
			n = 1
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}
