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

// verify checks the checksum of the segment buf[off:], all bytes of one transport header and
// payload, with the pseudo-header of p (RFC 9293 section 3.1, RFC 8200 section
// 8.1). field is the checksum in it.
//
// The sum is over 16-bit words with end-around carry, so bytes may be added
// eight at a time; and because adding 0xffff changes nothing, an IPv4-mapped
// address sums to what its last four bytes do.
//
// Where addresses were changed after the capture, to make it anonymous, both the sum of the IPv4
// header and that of the pseudo-header are out by as much as the addresses differ (RFC
// 1624 section 3). Damage does not do that but in one of 65,535 cases.
func (d *Decoder) verify(buf []byte, off int, field uint16, p *flows.Packet) {
	if field == 0 && p.Proto != flows.ProtoTCP {
		return // not computed, which TCP does not allow
	}
	segment := buf[off:]
	pseudo := sum(sum(0, p.Src[:]), p.Dst[:])
	pseudo = add(pseudo, bits.ReverseBytes64(uint64(p.Proto)))
	withLen := add(pseudo, bits.ReverseBytes64(uint64(len(segment))))
	total := fold(sum(withLen, segment))
	if total == 0xffff {
		return
	}
	w := bits.ReverseBytes16(field)
	switch {
	case leftToCard(w, withLen, pseudo) || field == 0:
		p.Flags |= flows.ChecksumOffload
		return
	case p.Flags&flows.BadIPChecksum != 0:
		out := fold(sum(0, buf[p.Network:int(p.Network)+int(buf[p.Network]&0x0f)*4]))
		if back := uint64(^out); leftToCard(w, add(withLen, back), add(pseudo, back)) {
			p.Flags |= flows.ChecksumOffload | flows.Rewritten
			return
		}
		if out == total {
			p.Flags |= flows.Rewritten
		}
	}
	p.Flags |= flows.BadChecksum
}

// leftToCard reports whether a checksum is what a stack writes that leaves it to the card: the
// pseudo-header's sum; or that without the length, where the segmentation is left to it too.
func leftToCard(w uint16, withLen, pseudo uint64) bool {
	return w == fold(withLen) || w == fold(pseudo)
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
