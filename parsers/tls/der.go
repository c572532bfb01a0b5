package tls

import "encoding/asn1"

// Certificates in the wild break DER's rules (serials below zero, lengths in
// more bytes than needed, times without seconds), and a reader that refuses a
// whole certificate for one fault says nothing of it. This one reads each
// element by itself.

// ASN.1 tags (X.690 section 8.1.2) in their one-byte form.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagUTF8String      = 0x0c
	tagNumericString   = 0x12
	tagPrintableString = 0x13
	tagT61String       = 0x14
	tagIA5String       = 0x16
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagVisibleString   = 0x1a
	tagUniversalString = 0x1c
	tagBMPString       = 0x1e
	tagSequence        = 0x30
	tagSet             = 0x31
)

// der is a run of DER elements.
type der []byte

// next takes the first element: its tag, its contents, and all its bytes. It
// returns ok false, and takes nothing, where there is no whole element with a
// definite length.
func (d *der) next() (tag byte, contents, whole der, ok bool) {
	b := *d
	if len(b) < 2 || b[0]&0x1f == 0x1f { // tags of several bytes: certificates have none
		return 0, nil, nil, false
	}
	n, head := int(b[1]), 2
	if n&0x80 != 0 {
		k := n & 0x7f
		if k == 0 || k > 4 || len(b) < 2+k {
			return 0, nil, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+k] {
			n = n<<8 | int(c)
		}
		head += k
	}
	if n > len(b)-head {
		return 0, nil, nil, false
	}
	*d = b[head+n:]
	return b[0], b[head : head+n : head+n], b[: head+n : head+n], true
}

// take takes the first element if it has tag.
func (d *der) take(tag byte) (contents der, ok bool) {
	rest := *d
	t, contents, _, ok := rest.next()
	if !ok || t != tag {
		return nil, false
	}
	*d = rest
	return contents, true
}

// oidText returns an object identifier in dotted form, "" where it is none.
// Arcs beyond 63 bits make it none.
func oidText(contents []byte) string {
	if len(contents) == 0 || len(contents) > 64 || contents[len(contents)-1]&0x80 != 0 {
		return ""
	}
	var space [128]byte
	out := space[:0]
	var arc uint64
	first := true
	for _, c := range contents {
		if arc > 1<<55 {
			return ""
		}
		arc = arc<<7 | uint64(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if first {
			first = false
			top := min(arc/40, 2)
			out = appendArc(out, top)
			arc -= top * 40
		}
		out = appendArc(out, arc)
		arc = 0
	}
	return string(out)
}

func appendArc(out []byte, arc uint64) []byte {
	if len(out) > 0 {
		out = append(out, '.')
	}
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = '0' + byte(arc%10)
		if arc /= 10; arc == 0 {
			return append(out, digits[i:]...)
		}
	}
}

// derTime reads a UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5), with
// or without seconds, with Z or an offset. It returns nanoseconds since the
// Unix epoch; ok is false for what is no time, or beyond what they can say
// (years 1678 to 2261).
func derTime(tag byte, b []byte) (ns int64, valid, ok bool) {
	digits := func(n int) (v int, ok bool) {
		if len(b) < n {
			return 0, false
		}
		for _, c := range b[:n] {
			if c < '0' || c > '9' {
				return 0, false
			}
			v = v*10 + int(c-'0')
		}
		b = b[n:]
		return v, true
	}
	var year int
	switch tag {
	case tagUTCTime:
		if year, ok = digits(2); !ok {
			return 0, false, false
		}
		if year += 1900; year < 1950 {
			year += 100
		}
	case tagGeneralizedTime:
		if year, ok = digits(4); !ok {
			return 0, false, false
		}
	default:
		return 0, false, false
	}
	var f [4]int // month, day, hour, minute
	for i := range f {
		if f[i], ok = digits(2); !ok {
			return 0, false, false
		}
	}
	second, withSeconds := digits(2)
	if !withSeconds {
		second = 0
	}
	if len(b) > 1 && (b[0] == '.' || b[0] == ',') { // fractions: certificates have none by rule
		b = b[1:]
		for len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
			b = b[1:]
		}
	}
	offset := 0
	switch {
	case len(b) == 1 && b[0] == 'Z':
	case len(b) == 5 && (b[0] == '+' || b[0] == '-'):
		sign := 1
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
		hh, ok1 := digits(2)
		mm, ok2 := digits(2)
		if !ok1 || !ok2 || hh > 23 || mm > 59 {
			return 0, false, false
		}
		offset = sign * (hh*60 + mm) * 60
	default:
		return 0, false, false
	}
	month, day, hour, minute := f[0], f[1], f[2], f[3]
	if month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false, false
	}
	seconds := daysSinceEpoch(year, month, day)*86400 + int64(hour*3600+minute*60+second-offset)
	const most = (1<<63 - 1) / 1_000_000_000
	if seconds > most-1 || seconds < -most+1 {
		return 0, true, false
	}
	return seconds * 1_000_000_000, true, true
}

func daysOf(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts the days from 1970-01-01 in the Gregorian calendar:
// whole years as if they began in March, so that the leap day is the last.
func daysSinceEpoch(year, month, day int) int64 {
	y, m := int64(year), int64(month)
	if m <= 2 {
		y, m = y-1, m+12
	}
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + int64(day) - 719469
}

// parseBitString returns the bits' bytes.
func parseBitString(contents der) ([]byte, bool) {
	if len(contents) == 0 || contents[0] > 7 {
		return nil, false
	}
	return contents[1:], true
}

// bit reports whether named bit i of a bit string's bytes is set.
func bit(b []byte, i int) bool {
	s := asn1.BitString{Bytes: b, BitLength: len(b) * 8}
	return s.At(i) == 1
}
