package ingest

import (
	"encoding/binary"
	"math/bits"

	"github.com/caplake/caplake/flows"
)

// whole reports whether all of the IP datagram is in the capture.
func (d *Decoder) whole(buf []byte, wire int, p *flows.Packet) bool {
	return !d.noSum && len(buf) == wire && uint64(wire) == uint64(p.Network)+uint64(p.IPLen)
}

// verify checks the checksum of segment, all bytes of one transport header and
// payload, with the pseudo-header of p (RFC 9293 section 3.1, RFC 8200 section
// 8.1). field is the checksum in it.
//
// The sum is over 16-bit words with end-around carry, so bytes may be added
// eight at a time; and because adding 0xffff changes nothing, an IPv4-mapped
// address sums to what its last four bytes do.
func (d *Decoder) verify(segment []byte, field uint16, p *flows.Packet) {
	if field == 0 && p.Proto != flows.ProtoTCP {
		return // not computed, which TCP does not allow
	}
	pseudo := sum(sum(0, p.Src[:]), p.Dst[:])
	pseudo = add(pseudo, bits.ReverseBytes64(uint64(p.Proto)))
	withLen := add(pseudo, bits.ReverseBytes64(uint64(len(segment))))
	if fold(sum(withLen, segment)) == 0xffff {
		return
	}
	// A stack that leaves the checksum to the card writes the pseudo-header's
	// sum; one that leaves it the segmentation too may leave the length out. Some write nothing.
	if w := bits.ReverseBytes16(field); w == fold(withLen) || w == fold(pseudo) || field == 0 {
		p.Flags |= flows.ChecksumOffload
		return
	}
	p.Flags |= flows.BadChecksum
}

// sum adds the 16-bit words of b to s in one's complement, 64 bits at a time and in the
// byte order of memory (little-endian), which commutes with the sum (RFC
// 1071 section 2). An odd last byte counts as if a zero byte followed.
func sum(s uint64, b []byte) uint64 {
	var c uint64
	for len(b) >= 32 {
		q := (*[32]byte)(b)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(q[0:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(q[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(q[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(q[24:]), c)
		b = b[32:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	if len(b) > 0 {
		var last uint64
		if len(b) >= 4 {
			last = uint64(binary.LittleEndian.Uint32(b))
			b = b[4:]
			for i, v := range b {
				last |= uint64(v) << (32 + 8*i)
			}
		} else {
			for i, v := range b {
				last |= uint64(v) << (8 * i)
			}
		}
		s, c = bits.Add64(s, last, c)
	}
	return add(s, c)
}

// add adds in one's complement.
func add(s, v uint64) uint64 {
	s, c := bits.Add64(s, v, 0)
	return s + c // cannot overflow: a sum that carried is less than all ones
}

// fold reduces a sum to 16 bits, in the byte order of memory.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}
