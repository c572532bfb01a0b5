package dns

import (
	"encoding/binary"

	"github.com/caplake/caplake/parsers"
)

// Probe says whether data, the first datagram or the first bytes of one side's
// stream, is DNS.
//
// On a port of DNS (port53ish: 53, 5353, 5355) two of three suffice: a known
// opcode; counts that the message has room for; a first question that reads,
// in a stream one of a registered class.
// On any other port the whole message must be well-formed and ordinary: a
// query of one question for a registered type, or its response, with flags
// that fit, every record in place and the end where it should be.
//
// A datagram is never Maybe. A stream is, where more bytes of its first
// message, at most 273 on a port of DNS, would decide.
func Probe(data []byte, tcp, port53ish bool) parsers.Verdict {
	size := len(data)
	if tcp {
		if len(data) < prefixLen {
			return parsers.Maybe
		}
		size = int(binary.BigEndian.Uint16(data))
		data = data[prefixLen:]
		if size < headerLen {
			return parsers.No
		}
		if len(data) > size {
			data = data[:size]
		}
		if len(data) < headerLen {
			return parsers.Maybe
		}
		if 5*int(binary.BigEndian.Uint16(data[4:])) > size-headerLen { // text, most likely
			return parsers.No
		}
	}
	if !plausible(data, size, tcp) {
		if tcp && port53ish && hopeful(data, size) {
			return parsers.Maybe
		}
		return parsers.No
	}
	if port53ish {
		return parsers.Yes
	}
	return ordinary(data, size)
}

// plausible says whether a message of size bytes that begins with data could
// be DNS, well-formed or not.
func plausible(data []byte, size int, tcp bool) bool {
	opcode, room, question := signs(data, size, tcp)
	return opcode && room || opcode && question || room && question
}

// hopeful says whether a message of which more comes is plausible once its
// first question is whole.
func hopeful(data []byte, size int) bool {
	questions := int(binary.BigEndian.Uint16(data[4:]))
	opcode, room, _ := signs(data, size, true)
	if len(data) == size || questions == 0 || !opcode && !room {
		return false
	}
	off := headerLen
	for off < len(data) && data[off] > 0 && data[off] < 0x40 {
		off += 1 + int(data[off])
	}
	if off-headerLen >= maxName || off == headerLen && off < len(data) && data[off] >= 0xc0 {
		return false
	}
	switch {
	case off >= len(data):
		return true
	case data[off] == 0:
		return off+5 > len(data) // else plausible has seen the type and the class
	}
	return data[off] >= 0xc0 && off+6 > len(data)
}

func signs(data []byte, size int, tcp bool) (opcode, room, question bool) {
	o := readOutline(data)
	if !o.header {
		return
	}
	// The shortest question is 5 bytes, the shortest record 11.
	least := headerLen + 5*int(o.counts[0]) + 11*(int(o.counts[1])+int(o.counts[2])+int(o.counts[3]))
	// A datagram on the port is DNS, if damaged. A stream may be anything: there a
	// first name that points (nothing precedes it) and a class that is none of
	// the five registered (RFC 6895 section 3.2) are no signs of DNS.
	question = o.questionEnd > 0 && (!tcp || data[headerLen] < 0xc0 &&
		ClassName(binary.BigEndian.Uint16(data[o.questionEnd-2:])) != "")
	return OpcodeName(o.opcode()) != "", least <= size, question
}

// ordinary says whether data is DNS beyond doubt.
func ordinary(data []byte, size int) parsers.Verdict {
	o := readOutline(data)
	if o.opcode() != opcodeQuery && o.opcode() != opcodeNotify && o.opcode() != opcodeUpdate ||
		o.counts[0] != 1 || o.flags&FlagZ != 0 {
		return parsers.No
	}
	records := int(o.counts[1]) + int(o.counts[2]) + int(o.counts[3])
	if !o.response() {
		if o.flags&(FlagRA|FlagAA|FlagTC|15) != 0 && o.opcode() == opcodeQuery {
			return parsers.No
		}
		if o.opcode() == opcodeQuery && (o.counts[1] != 0 || o.counts[2] > 1 || o.counts[3] > 2) {
			return parsers.No
		}
	} else if RcodeName(o.flags&15) == "" {
		return parsers.No
	}
	if headerLen+5+11*records > size {
		return parsers.No
	}
	if o.questionEnd == 0 {
		if len(data) < size && len(data) < headerLen+maxName+4 {
			return parsers.Maybe
		}
		return parsers.No
	}
	q := data[headerLen:o.questionEnd]
	if netBIOS(q) || q[0] >= 0xc0 {
		return parsers.No
	}
	var text [4 * maxName]byte
	if _, next, rule := appendName(text[:0], data, headerLen); rule != WellFormed || next != o.questionEnd-4 {
		return parsers.No
	}
	typ := binary.BigEndian.Uint16(q[len(q)-4:])
	class := binary.BigEndian.Uint16(q[len(q)-2:])
	if TypeName(typ) == "" || typ == typeOPT || ClassName(class) == "" {
		return parsers.No
	}
	if len(data) < size {
		return parsers.Maybe
	}
	off := o.questionEnd
	for range records {
		_, next, rule := appendName(text[:0], data, off)
		if rule != WellFormed || next+10 > len(data) {
			return parsers.No
		}
		t, class := binary.BigEndian.Uint16(data[next:]), binary.BigEndian.Uint16(data[next+2:])
		padding := t == 0 && class == 0 && data[off] == 0 // of DNSCrypt's queries for certificates
		if t != typeOPT && !padding && ClassName(class) == "" {
			return parsers.No
		}
		if off = next + 10 + int(binary.BigEndian.Uint16(data[next+8:])); off > len(data) {
			return parsers.No
		}
	}
	if off != len(data) {
		return parsers.No
	}
	return parsers.Yes
}

// netBIOS recognizes the names of NetBIOS (RFC 1001 section 14.1), whose
// messages are otherwise like DNS's: 32 letters from A to P.
func netBIOS(question []byte) bool {
	if len(question) < 33 || question[0] != 32 {
		return false
	}
	for _, c := range question[1:33] {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}
