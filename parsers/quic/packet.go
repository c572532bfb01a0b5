package quic

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// packetType is what a long header says the packet is, whatever the version.
type packetType uint8

const (
	typeInitial packetType = iota
	typeZeroRTT
	typeHandshake
	typeRetry
	typeNegotiation
)

// header is a long header (RFC 9000 section 17.2), in the datagram's memory.
//
//	1         4        1+n     1+n     Initial: varint+n   varint    1..4
//	|flags    |version |dcid   |scid   |token              |length   |number, payload…
//	                                                                 ^ number       ^ end
type header struct {
	typ        packetType
	version    uint32
	dcid, scid []byte
	number     int // where the packet number begins
	end        int // where the packet ends
}

// parseLong reads the long header at the beginning of data. It reports false
// where data holds none of a known version, or not all of its packet. Once the
// client has said that it does not mind, the bit that version 1 fixes may be
// anything (RFC 9287): greased allows for that.
func parseLong(data []byte, greased bool) (h header, ok bool) {
	if len(data) < 7 || data[0]&0x80 == 0 {
		return h, false
	}
	h.version = binary.BigEndian.Uint32(data[1:])
	v := versionOf(h.version)
	if h.version != 0 && (v.era == unknown || data[0]&0x40 == 0 && !greased) {
		return h, false
	}
	r := reader(data[5:])
	var ok1, ok2 bool
	h.dcid, ok1 = r.vec8()
	h.scid, ok2 = r.vec8()
	if !ok1 || !ok2 || len(h.dcid) > maxCID || len(h.scid) > maxCID {
		return h, false
	}
	if h.version == 0 {
		h.typ = typeNegotiation
		return h, len(r) >= 4 && len(r)%4 == 0
	}
	h.typ = packetType(data[0] >> 4 & 3)
	if v.era == second { // RFC 9369 section 3.2: Retry, Initial, 0-RTT, Handshake
		h.typ = (h.typ - 1) & 3
	}
	if h.typ == typeRetry {
		h.end = len(data)
		return h, len(r) >= 1
	}
	if h.typ == typeInitial {
		n, ok := r.varint()
		if _, ok2 := r.take(n); !ok || !ok2 {
			return h, false
		}
	}
	n, ok := r.varint()
	h.number = len(data) - len(r)
	if !ok || n > uint64(len(r)) || n < 4+16 {
		return h, false // the sample of header protection is of at least this length
	}
	h.end = h.number + int(n)
	return h, true
}

// reader reads from front to back and cannot overrun: a read that asks for
// more than there is returns ok false.
type reader []byte

// varint reads a variable-length integer (RFC 9000 section 16).
func (r *reader) varint() (uint64, bool) {
	if len(*r) == 0 {
		return 0, false
	}
	n := 1 << ((*r)[0] >> 6)
	if len(*r) < n {
		*r = nil
		return 0, false
	}
	v := uint64((*r)[0] & 0x3f)
	for _, b := range (*r)[1:n] {
		v = v<<8 | uint64(b)
	}
	*r = (*r)[n:]
	return v, true
}

func (r *reader) take(n uint64) ([]byte, bool) {
	if uint64(len(*r)) < n {
		return nil, false
	}
	v := (*r)[:n:n]
	*r = (*r)[n:]
	return v, true
}

func (r *reader) vec8() ([]byte, bool) {
	if len(*r) == 0 {
		return nil, false
	}
	n := uint64((*r)[0])
	*r = (*r)[1:]
	return r.take(n)
}

// ack passes over an ACK frame's fields (RFC 9000 section 19.3).
func (r *reader) ack(ecn bool) bool {
	_, ok1 := r.varint() // largest acknowledged
	_, ok2 := r.varint() // delay
	ranges, ok3 := r.varint()
	_, ok := r.varint() // first range
	if !ok1 || !ok2 || !ok3 || !ok {
		return false
	}
	numbers := 2 * ranges
	if ranges > uint64(len(*r)) {
		return false
	}
	if ecn {
		numbers += 3
	}
	for range numbers {
		if _, ok := r.varint(); !ok {
			return false
		}
	}
	return true
}

// Held packets wait for the keys that a client's Initial brings, which the
// network or the capture put after them:
//
//	| side 1 | time 8 | position 8 | length 2 | packet |
const heldHead = 1 + 8 + 8 + 2

func (p *Parser) hold(side flows.Side, at flows.Stamp, packet []byte) {
	if p.begun && side == p.h.ClientSide || len(p.held)+heldHead+len(packet) > p.Config.maxHeld() || len(packet) > 0xffff {
		return
	}
	p.held = append(p.held, byte(side))
	p.held = binary.BigEndian.AppendUint64(p.held, uint64(at.Time))
	p.held = binary.BigEndian.AppendUint64(p.held, uint64(at.Pos))
	p.held = binary.BigEndian.AppendUint16(p.held, uint16(len(packet)))
	p.held = append(p.held, packet...)
}

// release tries the packets held.
func (p *Parser) release() {
	held := p.held
	p.held = p.held[:0]
	for len(held) > 0 {
		side := flows.Side(held[0])
		at := flows.Stamp{Time: int64(binary.BigEndian.Uint64(held[1:])), Pos: flows.Position(binary.BigEndian.Uint64(held[9:]))}
		n := int(binary.BigEndian.Uint16(held[17:]))
		packet := held[heldHead : heldHead+n]
		held = held[heldHead+n:]
		h, ok := parseLong(packet, true)
		if !ok || side == p.h.ClientSide {
			continue
		}
		if payload, ok := p.open(side, packet, &h); ok {
			p.opened(side, at, &h, payload)
		}
	}
}
