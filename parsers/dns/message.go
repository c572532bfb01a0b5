package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// memory is what the transactions of one call refer to. Slices of it that a
// transaction holds stay good when it grows: growing copies, and what was
// written is not written again until the next call.
type memory struct {
	text    []byte
	records []Record
	edns    []EDNS
	codes   []uint16
	errors  []ExtendedError
}

// Memory of more than these sizes is not kept from one flow to the next.
const (
	keepText    = 64 << 10
	keepRecords = 1 << 10
)

func (m *memory) rewind() {
	m.text = m.text[:0]
	m.records = m.records[:0]
	m.edns = m.edns[:0]
	m.codes = m.codes[:0]
	m.errors = m.errors[:0]
}

func (m *memory) shrink() {
	if cap(m.text) > keepText {
		m.text = nil
	}
	if cap(m.records) > keepRecords {
		m.records = nil
	}
	if cap(m.edns)+cap(m.codes)+cap(m.errors) > keepRecords {
		m.edns, m.codes, m.errors = nil, nil, nil
	}
}

// outline is where the parts of a message are that pairing needs.
//
//	12 ≤ nameEnd, nameEnd+4 = questionEnd ≤ len(message)
type outline struct {
	id, flags   uint16
	counts      [4]uint16
	header      bool
	questionEnd int // behind the first question; 0: there is none, or it is damaged
}

func readOutline(data []byte) (o outline) {
	if len(data) < headerLen {
		return o
	}
	o.header = true
	o.id = binary.BigEndian.Uint16(data)
	o.flags = binary.BigEndian.Uint16(data[2:])
	for i := range o.counts {
		o.counts[i] = binary.BigEndian.Uint16(data[4+2*i:])
	}
	if o.counts[0] > 0 {
		if end := skipName(data, headerLen); end > 0 && end+4 <= len(data) {
			o.questionEnd = end + 4
		}
	}
	return o
}

func (o *outline) response() bool { return o.flags&FlagQR != 0 }
func (o *outline) opcode() uint8  { return uint8(o.flags >> 11 & 15) }

// sameQuestion compares the first questions of two messages: names without
// regard to case, types and classes.
func sameQuestion(a, b []byte, aEnd, bEnd int) bool {
	if aEnd != bEnd || aEnd == 0 {
		return false
	}
	a, b = a[headerLen:aEnd], b[headerLen:bEnd]
	if bytes.Equal(a, b) {
		return true
	}
	n := len(a) - 4
	for i, c := range a[:n] {
		// Length bytes are below the letters and compare as they are.
		if c != b[i] && (c|0x20 != b[i]|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return bytes.Equal(a[n:], b[n:])
}

// What decode takes from a message.
const (
	takeQuestion = 1 << iota
	takeSections
)

// decode puts what the message says into t, and returns what is of this
// message alone: its OPT record, the response code's upper bits, and the
// first rule broken.
func (m *memory) decode(t *Transaction, data []byte, o *outline, take uint8) (opt *EDNS, rcode uint16, rule Malformed) {
	if !o.header {
		return nil, 0, BadHeader
	}
	if take&takeSections != 0 {
		t.Counts = o.counts
	}
	off := headerLen
	nameAt, name := -1, []byte(nil) // the last owner name that was a pointer: where to, and its text
	for i := range int(o.counts[0]) {
		if off == len(data) {
			return nil, 0, BadCounts
		}
		next, damage := -1, WellFormed
		if i == 0 && take&takeQuestion != 0 {
			from := len(m.text)
			m.text, next, damage = appendName(m.text, data, off)
			if damage == WellFormed && next+4 > len(data) {
				damage = Truncated
			}
			if len(m.text) > from || damage == WellFormed {
				if damage == WellFormed {
					nameAt = off
					t.HasQuestion = true
					t.QType = binary.BigEndian.Uint16(data[next:])
					t.QClass = binary.BigEndian.Uint16(data[next+2:])
					if t.Service == MDNS {
						t.UnicastResponse = t.QClass&0x8000 != 0
						t.QClass &= 0x7fff
					}
				}
				m.text, t.QName, t.QNameRaw = appendQName(m.text, from)
			}
		} else if next, damage = m.skip(data, off); damage == WellFormed && next+4 > len(data) {
			damage = Truncated
		}
		rule = firstOf(rule, damage)
		if next < 0 || next+4 > len(data) { // a name that breaks a rule may yet have an end
			return nil, 0, rule
		}
		off = next + 4
	}
	if nameAt >= 0 && t.QNameRaw == nil {
		name = t.QName // every answer to an honest question begins with its name
	} else {
		nameAt = -1
	}

	textLimit := len(m.text) + textBudget(len(data))
	first := len(m.records)
	var n [3]int // records of each section
	keep := take&takeSections != 0
sections:
	for section := range 3 {
		for range o.counts[1+section] {
			if off >= len(data) {
				rule = firstOf(rule, BadCounts)
				break sections
			}
			// The owner's name, read only if it is kept.
			var owner []byte
			next := -1
			if !keep {
				var damage Malformed
				if next, damage = m.skip(data, off); damage != WellFormed {
					rule = firstOf(rule, damage)
					break sections
				}
			} else if to := pointerAt(data, off); to >= 0 && to == nameAt {
				owner, next = name, off+2
			} else {
				from := len(m.text)
				var damage Malformed
				m.text, next, damage = appendName(m.text, data, off)
				owner = m.text[from:len(m.text):len(m.text)]
				if damage != WellFormed {
					rule = firstOf(rule, damage)
					if next < 0 {
						break sections
					}
				} else if to >= 0 {
					nameAt, name = to, owner
				}
			}
			if next+10 > len(data) {
				rule = firstOf(rule, Truncated)
				break sections
			}
			typ := binary.BigEndian.Uint16(data[next:])
			class := binary.BigEndian.Uint16(data[next+2:])
			ttl := binary.BigEndian.Uint32(data[next+4:])
			end := next + 10 + int(binary.BigEndian.Uint16(data[next+8:]))
			if t.Service == MDNS && typ != typeOPT {
				class &= 0x7fff
			}
			if end > len(data) {
				rule = firstOf(rule, Truncated)
				switch {
				case typ == typeOPT && opt == nil: // its fixed part is whole
					opt, _ = m.opt(class, ttl, data[next+10:])
					rcode = uint16(ttl >> 24 << 4)
				case keep && typ != typeOPT:
					m.records = append(m.records, Record{Name: owner, TTL: ttl, Type: typ, Class: class})
					n[section]++
				}
				break sections
			}
			body := next + 10
			owned := off
			off = end
			if typ == typeOPT {
				if opt != nil {
					rule = firstOf(rule, BadEDNS)
					continue
				}
				var fine bool
				if opt, fine = m.opt(class, ttl, data[body:end]); !fine || section != 2 || data[owned] != 0 {
					rule = firstOf(rule, BadEDNS)
				}
				rcode = uint16(ttl >> 24 << 4)
				continue
			}
			if !keep {
				continue
			}
			if len(m.text) > textLimit {
				rule = firstOf(rule, TextLimit)
				keep = false
				continue
			}
			from := len(m.text)
			var fine bool
			if m.text, fine = appendRdata(m.text, data, body, end, typ, class); !fine {
				rule = firstOf(rule, BadRdata)
			}
			m.records = append(m.records, Record{
				Name: owner, Data: m.text[from:len(m.text):len(m.text)],
				TTL: ttl, Type: typ, Class: class,
			})
			n[section]++
		}
	}
	if off < len(data) && rule == WellFormed && o.opcode() != opcodeDSO { // DSO's TLVs stand there (RFC 8490 section 5.4)
		rule = Trailing
	}
	if take&takeSections != 0 {
		r := m.records[first:len(m.records):len(m.records)]
		a, b := n[0], n[0]+n[1]
		t.Answers, t.Authorities, t.Additionals = r[:a:a], r[a:b:b], r[b:]
	}
	return opt, rcode, rule
}

func firstOf(rule, next Malformed) Malformed {
	if rule != WellFormed {
		return rule
	}
	return next
}

// skip passes over a name that is not kept, finding what appendName finds.
func (m *memory) skip(data []byte, off int) (next int, rule Malformed) {
	if next = skipName(data, off); next > 0 {
		return next, WellFormed
	}
	from := len(m.text)
	m.text, next, rule = appendName(m.text, data, off)
	m.text = m.text[:from]
	return next, rule
}

// pointerAt returns where the name at off points if it is a pointer alone,
// or -1.
func pointerAt(data []byte, off int) int {
	if data[off] < 0xc0 || off+1 >= len(data) {
		return -1
	}
	to := int(binary.BigEndian.Uint16(data[off:]) & 0x3fff)
	if to >= off {
		return -1
	}
	return to
}

// Option codes that are looked into (registry "DNS EDNS0 Option Codes").
const (
	optNSID          = 3
	optClientSubnet  = 8
	optCookie        = 10
	optExtendedError = 15
)

// opt reads an OPT record; fine is false where options do not parse, of which
// those that do are kept.
func (m *memory) opt(class uint16, ttl uint32, data []byte) (opt *EDNS, fine bool) {
	m.edns = append(m.edns, EDNS{Version: uint8(ttl >> 16), DO: ttl&0x8000 != 0, UDPSize: class})
	opt = &m.edns[len(m.edns)-1]
	fine = true
	codes, errors := len(m.codes), len(m.errors)
	for len(data) > 0 {
		if len(data) < 4 {
			fine = false
			break
		}
		code, n := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		m.codes = append(m.codes, code)
		if n > len(data)-4 {
			fine = false
			break
		}
		value := data[4 : 4+n]
		data = data[4+n:]
		from := len(m.text)
		switch code {
		case optNSID:
			if opt.NSID == nil {
				m.text = appendText(m.text, value)
				opt.NSID = m.since(from)
			}
		case optClientSubnet:
			if opt.ClientSubnet != nil {
				break
			}
			var good bool
			if m.text, good = appendSubnet(m.text, value); good {
				opt.ClientSubnet, opt.Scope = m.since(from), value[3]
			}
			fine = fine && good
		case optCookie: // RFC 7873 section 4: 8 bytes of the client, 8 to 32 of the server
			if n != 8 && (n < 16 || n > 40) {
				fine = false
			} else if opt.Cookie == nil {
				for _, c := range value {
					m.text = append(m.text, hexLower[c>>4], hexLower[c&15])
				}
				opt.Cookie = m.since(from)
			}
		case optExtendedError:
			if n < 2 {
				fine = false
				break
			}
			e := ExtendedError{Code: binary.BigEndian.Uint16(value)}
			if n > 2 {
				m.text = appendText(m.text, bytes.TrimRight(value[2:], "\x00")) // a final NUL is allowed
				e.Text = m.since(from)
			}
			m.errors = append(m.errors, e)
		}
	}
	opt.Options = m.codes[codes:len(m.codes):len(m.codes)]
	opt.Errors = m.errors[errors:len(m.errors):len(m.errors)]
	return opt, fine
}

func (m *memory) since(from int) []byte {
	if from == len(m.text) {
		return nil
	}
	return m.text[from:len(m.text):len(m.text)]
}

// appendSubnet appends the client subnet option's ADDRESS/PREFIX (RFC 7871
// section 6).
func appendSubnet(dst, v []byte) (out []byte, fine bool) {
	if len(v) < 4 {
		return dst, false
	}
	family, prefix, addr := binary.BigEndian.Uint16(v), int(v[2]), v[4:]
	var a [16]byte
	if len(addr) != (prefix+7)/8 || copy(a[:], addr) != len(addr) {
		return dst, false
	}
	switch {
	case family == 1 && prefix <= 32 && v[3] <= 32:
		dst = appendIP4(dst, a[:])
	case family == 2 && prefix <= 128 && v[3] <= 128:
		dst = netip.AddrFrom16(a).AppendTo(dst)
	default:
		return dst, false
	}
	return strconv.AppendInt(append(dst, '/'), int64(prefix), 10), true
}
