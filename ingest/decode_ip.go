package ingest

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// IP protocol numbers and IPv6 extension headers (IANA protocol-numbers) that
// are decoded, besides those that package flows names.
const (
	protoHopByHop = 0
	protoIPIP     = 4
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoAH       = 51
	protoNone     = 59
	protoDestOpts = 60
	protoEtherIP  = 97
	protoIPComp   = 108
	protoL2TP     = 115
	protoUDPLite  = 136
	protoMPLS     = 137
)

// ip decodes an IP datagram by the version in its first byte, whatever
// announced it.
func (d *Decoder) ip(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if off >= len(buf) {
		return short(off+1, wire, OutcomeMalformedNetwork)
	}
	p.Network = uint32(off)
	switch buf[off] >> 4 {
	case 4:
		return d.ipv4(buf, off, wire, p)
	case 6:
		return d.ipv6(buf, off, wire, p)
	}
	return OutcomeMalformedNetwork
}

// ipv4 decodes an IPv4 datagram (RFC 791 section 3.1).
func (d *Decoder) ipv4(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 20 {
		return short(off+20, wire, OutcomeMalformedNetwork)
	}
	h := (*[20]byte)(buf[off:])
	header := int(h[0]&0x0f) * 4
	if header < 20 {
		return OutcomeMalformedNetwork
	}
	payload := off + header
	if payload > len(buf) {
		return short(payload, wire, OutcomeMalformedNetwork)
	}
	total := int(binary.BigEndian.Uint16(h[2:]))
	if total == 0 { // left to the network card
		total = wire - off
	} else if total < header {
		return OutcomeMalformedNetwork
	}
	if end := off + total; end < wire {
		wire = end
		if end < len(buf) {
			buf = buf[:max(end, payload)]
		}
	}

	p.IPLen = uint32(total)
	p.TOS, p.TTL, p.Proto = h[1], h[8], h[9]
	putIPv4(&p.Src, binary.LittleEndian.Uint32(h[12:]))
	putIPv4(&p.Dst, binary.LittleEndian.Uint32(h[16:]))
	p.Flags &^= flows.IPv6 | flows.BadIPChecksum | flows.ChecksumOffload | flows.Rewritten
	p.ID = binary.BigEndian.Uint16(h[4:])
	if d.Checksums {
		d.noSum = false
		if fold(sum(0, buf[off:payload])) != 0xffff {
			if binary.BigEndian.Uint16(h[10:]) != 0 {
				p.Flags |= flows.BadIPChecksum
			} else {
				p.Flags |= flows.ChecksumOffload
			}
		}
	}
	if binary.BigEndian.Uint16(h[6:])&0x3fff != 0 { // more fragments, or an offset
		return fragment(buf, payload, payload, wire, p)
	}
	return d.transport(buf, payload, wire, h[9], p)
}

// putIPv4 writes the IPv4-mapped form of an address whose first byte is the
// lowest of v.
func putIPv4(a *flows.Addr, v uint32) {
	binary.LittleEndian.PutUint64(a[:8], 0)
	binary.LittleEndian.PutUint64(a[8:], 0xffff0000|uint64(v)<<32)
}

// ipv6 decodes an IPv6 datagram with its extension headers (RFC 8200 sections
// 3 and 4).
func (d *Decoder) ipv6(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 40 {
		return short(off+40, wire, OutcomeMalformedNetwork)
	}
	h := (*[40]byte)(buf[off:])
	total := 40 + int(binary.BigEndian.Uint16(h[4:]))
	next := h[6]
	if total == 40 && lengthLeft(next) {
		// A jumbogram, or left to the network card.
		total = wire - off
		if n := jumboLength(buf[off+40:]); next == protoHopByHop && n > 0 {
			total = 40 + n
		}
	}
	if end := off + total; end < wire {
		wire = end
		if end < len(buf) {
			buf = buf[:end]
		}
	}

	p.IPLen = uint32(min(total, 1<<32-1))
	p.TOS, p.TTL = h[0]<<4|h[1]>>4, h[7]
	p.Src, p.Dst = flows.Addr(h[8:24]), flows.Addr(h[24:40])
	p.Flags = p.Flags&^(flows.BadIPChecksum|flows.ChecksumOffload|flows.Rewritten) | flows.IPv6
	p.ID = 0
	d.noSum = false
	return d.headers(buf, off+40, wire, next, p)
}

// headers decodes what follows the header of an IPv6 datagram, of which the first is next.
func (d *Decoder) headers(buf []byte, off, wire int, next uint8, p *flows.Packet) Outcome {
	for range maxExtensions {
		switch next {
		case flows.ProtoTCP, flows.ProtoUDP:
			return d.transport(buf, off, wire, next, p)
		case protoHopByHop, protoRouting, protoDestOpts: // next header, length in 8 bytes less the first 8
			b := buf[off:]
			if len(b) < 8 {
				return short(off+8, wire, OutcomeMalformedNetwork)
			}
			n := (int(b[1]) + 1) * 8
			if len(b) < n {
				return short(off+n, wire, OutcomeMalformedNetwork)
			}
			// A datagram still on its way by a source route, or from a mobile node's
			// home address, has its checksum made with another
			// address than the one in the header (RFC 8200 section 8.1, RFC 6275 section 6.3).
			if next == protoRouting && b[3] != 0 || next == protoDestOpts && hasHomeAddress(b[2:n]) {
				d.noSum = true
			}
			next = b[0]
			off += n
		case protoFragment:
			b := buf[off:]
			if len(b) < 8 {
				return short(off+8, wire, OutcomeMalformedNetwork)
			}
			p.Proto = b[0]
			if binary.BigEndian.Uint16(b[2:])&0xfff9 != 0 {
				return fragment(buf, off, off+8, wire, p)
			}
			next = b[0] // an atomic fragment is whole (RFC 6946)
			off += 8
		case protoAH:
			n, o := d.ah(buf, off, wire)
			if o != OutcomeFlow {
				return o
			}
			next = buf[off]
			off += n
		default:
			return d.transport(buf, off, wire, next, p)
		}
	}
	return OutcomeMalformedNetwork
}

// lastNext returns the offset in data of the field that names what follows the IPv6 datagram
// that begins at off and whose headers end with data.
func lastNext(data []byte, off int) int {
	last := off + 6
	for at := off + 40; at < len(data); {
		n := (int(data[at+1]) + 1) * 8
		switch data[last] {
		case protoAH:
			n = (int(data[at+1]) + 2) * 4
		case protoFragment: // an atomic one
			n = 8
		}
		last = at
		at += n
	}
	return last
}

// lengthLeft says whether an IPv6 length of 0 before the header next may stand for another: where
// a jumbo payload option can follow, or what network cards cut into segments. Of anything else
// the frame's rest is padding.
func lengthLeft(next byte) bool {
	switch next {
	case protoHopByHop, flows.ProtoTCP, flows.ProtoUDP, protoRouting, protoFragment, protoDestOpts, protoAH, protoIPIP, protoIPv6, protoGRE:
		return true
	}
	return false
}

// jumboLength returns the payload length in a hop-by-hop options header (RFC
// 2675), or 0 where it has none.
func jumboLength(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	b = b[2:min(len(b), (int(b[1])+1)*8)]
	for len(b) >= 2 {
		if b[0] == 0 { // Pad1
			b = b[1:]
			continue
		}
		if b[0] == 0xc2 && b[1] == 4 && len(b) >= 6 {
			if n := binary.BigEndian.Uint32(b[2:]); n > 0xffff {
				return int(n)
			}
			return 0
		}
		b = b[min(len(b), 2+int(b[1])):]
	}
	return 0
}

// hasHomeAddress reports whether options of a destination options header
// contain a home address.
func hasHomeAddress(b []byte) bool {
	for len(b) >= 2 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		if b[0] == 0xc9 {
			return true
		}
		b = b[min(len(b), 2+int(b[1])):]
	}
	return false
}

// ah reads an authentication header (RFC 4302 section 2), which begins with
// the next header, and returns its length.
func (d *Decoder) ah(buf []byte, off, wire int) (int, Outcome) {
	b := buf[off:]
	if len(b) < 12 {
		return 0, short(off+12, wire, OutcomeMalformedNetwork)
	}
	n := (int(b[1]) + 2) * 4
	if n < 12 {
		return 0, OutcomeMalformedNetwork
	}
	if len(b) < n {
		return 0, short(off+n, wire, OutcomeMalformedNetwork)
	}
	if !d.push(flows.Encap{Kind: flows.EncapAH, HasID: true, ID: uint64(binary.BigEndian.Uint32(b[4:]))}) {
		return 0, OutcomeMalformedNetwork
	}
	return n, OutcomeFlow
}

// fragment ends the decoding of a fragment.
func fragment(buf []byte, transport, payload, wire int, p *flows.Packet) Outcome {
	p.Transport = uint32(transport)
	setPayload(buf, payload, wire, p)
	return OutcomeFragment
}

// setPayload sets p's payload to what is between off and the two ends. off may
// be beyond either.
func setPayload(buf []byte, off, wire int, p *flows.Packet) {
	p.PayloadLen = uint32(max(wire-off, 0))
	off = min(off, len(buf))
	p.Payload = uint32(off)
	p.PayloadCaptured = uint32(len(buf) - off)
	if p.PayloadCaptured < p.PayloadLen {
		p.Flags |= flows.PayloadCut
	}
}
