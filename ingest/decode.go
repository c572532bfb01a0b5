package ingest

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// Decoder turns captured packets into flows.Packet: it finds the innermost IP
// datagram and its transport, through whatever encapsulates them.
//
// A packet is looked at between two ends. What is captured ends first; what was on
// the wire may go on. Each header that states a length moves both ends in,
// never out, so that padding, check sequences and trailers are nobody's
// payload. A header beyond the first end is cut (OutcomeCut), one beyond the second
// contradicts itself (one of the malformed outcomes).
//
// A tunnel's payload that does not decode to an IP datagram with a sound
// transport is no tunnel: the packet then belongs to the flow of the carrier.
//
// A Decoder holds scratch memory only; it is for one goroutine at a time. It
// does not allocate, except to grow the list of encapsulations and what is inflated.
type Decoder struct {
	// Checksums has the checksums of IPv4, TCP, UDP and ICMP verified and
	// flagged (flows.BadIPChecksum, flows.BadChecksum). A transport checksum
	// is looked at only where the capture holds the whole datagram. One that
	// is zero, or the sum of the pseudo-header alone, passes as not computed:
	// so network stacks leave it to the network card. Some leave other values: in
	// a capture of one's own traffic a bad checksum need not have been bad
	// on the wire. Nor need those of a packet whose checksums are right for other
	// addresses (flows.Rewritten).
	Checksums bool

	// NoDecap leaves datagrams in tunnels over IP to the flow of their
	// carrier. What is below IP (tags, MPLS, PPPoE, …) is looked through all
	// the same, for without that there would be no flow; so is AH, which
	// carries nothing but the datagram's own payload.
	NoDecap bool

	// Overflow is where datagrams go that were compressed (IPComp), once they are
	// whole again: appended, and the packet has flows.InOverflow. nil leaves them as they are.
	Overflow *[]byte

	chain [maxEncaps]flows.Encap // encapsulations so far, outermost first
	n     int                    // how many
	depth int                    // Ethernet headers so far
	noSum bool                   // the pseudo-header is not that of the addresses in the IP header
	rest  rest                   // of an aggregate

	inflater *inflater // nil until something is compressed
	limits   uint64    // datagrams that were left compressed because of what they would take
}

const (
	maxEncaps     = 8  // encapsulations of one packet that are followed
	maxEthernets  = 10 // Ethernet headers of one packet that are followed
	maxExtensions = 16 // IPv6 extension headers of one datagram
)

// Decode decodes the packet data[r.Offset:r.Offset+r.CapLen] of link type link
// (a LINKTYPE_ number) into p, whose offsets then count from the start of data.
// On entry p is zero but for Time, Pos, WireLen and Link, which is r.Offset.
// What OutcomeFlow and OutcomeFragment leave in p is described at
// flows.Packet, with these precisions:
//
//   - Link is the innermost Ethernet header where there is one, for inner addresses belong to the
//     inner hosts; VLAN and InnerVLAN are the packet's first two tags from the outside.
//   - IPLen is what the innermost IP header claims. One that claims nothing
//     (zero, as segmentation offload leaves it) or less than is possible has what was on the wire.
//   - PayloadLen ends where the wire ended, should the header claim more. A UDP
//     length that is zero or beyond the datagram's end gives way to the IP length.
//   - ICMP has a header of eight bytes, and ICMPPorts in SrcPort and DstPort.
//   - UDP-Lite has ports. Protocols that are not known have no header and no ports.
//   - Of an IPv6 datagram Proto is what the last extension header names; 59 is a protocol.
//   - OutcomeFragment: Transport is the fragment header (IPv4: the end of the IP header), Payload the
//     fragment's data, and Hash and ports are zero.
//
// Encapsulations are appended to encaps for these two outcomes only. Whatever
// the outcome, Decode reads no byte outside of the packet.
func (d *Decoder) Decode(link uint32, data []byte, r Record, p *flows.Packet, encaps *[]flows.Encap) Outcome {
	off := int(r.Offset)
	buf := data[:off+int(r.CapLen)]
	wire := off + int(max(r.CapLen, r.OrigLen))
	d.n, d.depth, d.noSum, d.rest.off = 0, 0, false, 0

	var o Outcome
	if link == linkEthernet {
		o = d.ethernet(buf, off, wire, p)
	} else {
		o = d.link(link, buf, off, wire, p)
	}
	if d.n > 0 && (o == OutcomeFlow || o == OutcomeFragment) {
		d.record(p, encaps)
	}
	return o
}

// Next decodes the next datagram of the packet that was decoded last, for a packet may hold several: an
// IEEE 802.11 A-MSDU does. It reports false where none is left that belongs
// to a flow; the outcome is OutcomeFlow or OutcomeFragment. data and encaps
// are those of Decode, and p is overwritten: its Time, Pos and WireLen are those of the packet.
func (d *Decoder) Next(data []byte, p *flows.Packet, encaps *[]flows.Encap) (Outcome, bool) {
	for d.rest.off > 0 {
		r := &d.rest
		*p, d.n, d.depth, d.noSum = r.p, r.n, r.depth, false
		if p.Flags&flows.InOverflow != 0 {
			data = *d.Overflow
		}
		var o Outcome
		o, r.off = d.subframe(data[:r.end], r.off, r.wire, p)
		if o == OutcomeFlow || o == OutcomeFragment {
			if d.n > 0 {
				d.record(p, encaps)
			}
			return o, true
		}
	}
	return OutcomeNotIP, false
}

// datagram decodes the IP datagram data[off:], of which total bytes were sent, as
// one that was carried in chain and whose fields of the link layer p already has.
func (d *Decoder) datagram(data []byte, off, total int, chain []flows.Encap, p *flows.Packet, encaps *[]flows.Encap) Outcome {
	d.n, d.depth, d.noSum, d.rest.off = copy(d.chain[:], chain), 0, false, 0
	o := d.ip(data, off, max(off+total, len(data)), p)
	if d.n > 0 && (o == OutcomeFlow || o == OutcomeFragment) {
		d.record(p, encaps)
	}
	return o
}

// record appends the encapsulations of p to encaps.
func (d *Decoder) record(p *flows.Packet, encaps *[]flows.Encap) {
	first := uint32(len(*encaps))
	p.Encap = first + 1
	for i := range d.chain[:d.n] {
		e := &d.chain[i]
		e.Inner = 0
		if i+1 < d.n {
			e.Inner = first + uint32(i) + 2
		}
		*encaps = append(*encaps, *e)
	}
}

// push adds an encapsulation inside of those so far. It reports false if there
// are too many.
func (d *Decoder) push(e flows.Encap) bool {
	if d.n == maxEncaps {
		return false
	}
	d.chain[d.n] = e
	d.n++
	return true
}

// short returns the outcome for a header that ends at end, which is beyond
// what was captured: cut, or malformed if it is beyond the wire's end too.
func short(end, wire int, malformed Outcome) Outcome {
	if end > wire {
		return malformed
	}
	return OutcomeCut
}

// EtherTypes (IEEE registry).
const (
	etherIPv4      = 0x0800
	etherTEB       = 0x6558 // transparent Ethernet bridging
	etherVLAN      = 0x8100
	etherIPv6      = 0x86dd
	etherMPLS      = 0x8847
	etherMPLSMulti = 0x8848
	etherPPPoE     = 0x8864
	etherFabric    = 0x8903 // Cisco FabricPath
	etherCMD       = 0x8909 // Cisco metadata: security group tags
	etherVNTag     = 0x8926 // IEEE 802.1BR's predecessor
	etherETag      = 0x893f // IEEE 802.1BR
	etherHSR       = 0x892f // high-availability seamless redundancy (IEC 62439-3)
	etherTRILL     = 0x22f3
	etherNSH       = 0x894f // network service header
	etherMACsec    = 0x88e5
	etherQinQ      = 0x88a8
	etherPBB       = 0x88e7
	etherQinQOld   = 0x9100
	etherQinQOld2  = 0x9200
	etherQinQOld3  = 0x9300
)

// ethernet decodes an Ethernet frame (IEEE 802.3 clause 3).
func (d *Decoder) ethernet(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 14 {
		return short(off+14, wire, OutcomeMalformedLink)
	}
	if d.depth++; d.depth > maxEthernets {
		return OutcomeNotIP
	}
	p.Link, p.MACs = uint32(off), flows.MACsEthernet
	p.Flags |= flows.HasEthernet
	typ := binary.BigEndian.Uint16(buf[off+12:])
	if typ == etherIPv4 || typ == etherIPv6 {
		return d.ip(buf, off+14, wire, p)
	}
	if b := buf[off:]; b[0]&^0x02 == 0x01 && b[1] == 0 && b[2] == 0x0c && b[3]|b[4] == 0 {
		return d.isl(buf, off, wire, p)
	}
	return d.etherType(buf, off+14, wire, typ, p)
}

// isl decodes a frame of Cisco's Inter-Switch Link, which old switches put around those of
// trunks: an address of five bytes, type and user, source, length, a SNAP header, half of an address,
// VLAN and a flag, index, reserved; the frame with its check sequence.
func (d *Decoder) isl(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 26 {
		return short(off+26, wire, OutcomeMalformedLink)
	}
	if b[5]>>4 != 0 || b[14] != 0xaa || b[15] != 0xaa || b[16] != 0x03 { // type: Ethernet
		return OutcomeNotIP
	}
	vlan := binary.BigEndian.Uint16(b[20:])
	if vlan&1 != 0 || !d.push(flows.Encap{Kind: flows.EncapISL, HasID: true, ID: uint64(vlan >> 1 & 0x3ff)}) { // a bridge's own
		return OutcomeNotIP
	}
	return d.ethernet(buf, off+26, wire, p)
}

// etherType decodes what an EtherType, or a length in its place, announces.
func (d *Decoder) etherType(buf []byte, off, wire int, typ uint16, p *flows.Packet) Outcome {
	for {
		switch typ {
		case etherIPv4, etherIPv6:
			return d.ip(buf, off, wire, p)
		case etherVLAN, etherQinQ, etherQinQOld, etherQinQOld2, etherQinQOld3: // IEEE 802.1Q: tag, EtherType
			if len(buf)-off < 4 {
				return short(off+4, wire, OutcomeMalformedLink)
			}
			id := binary.BigEndian.Uint16(buf[off:]) & 0x0fff
			switch {
			case p.Flags&flows.HasVLAN == 0:
				p.VLAN, p.Flags = id, p.Flags|flows.HasVLAN
			case p.Flags&flows.HasInnerVLAN == 0:
				p.InnerVLAN, p.Flags = id, p.Flags|flows.HasInnerVLAN
			}
			typ = binary.BigEndian.Uint16(buf[off+2:])
			off += 4
		case etherMPLS, etherMPLSMulti:
			return d.mpls(buf, off, wire, p)
		case etherTEB:
			return d.ethernet(buf, off, wire, p)
		case etherPPPoE:
			return d.pppoe(buf, off, wire, p)
		case etherPBB: // IEEE 802.1ah: priority and flags, service instance, the customer's frame
			if len(buf)-off < 4 {
				return short(off+4, wire, OutcomeMalformedLink)
			}
			// However many there are, the end is found in this loop; as many as there is room for are recorded.
			d.push(flows.Encap{Kind: flows.EncapPBB, HasID: true, ID: uint64(binary.BigEndian.Uint32(buf[off:]) & 0xffffff)})
			off += 4
			if len(buf)-off < 14 {
				return short(off+14, wire, OutcomeMalformedLink)
			}
			p.Link, p.MACs, p.Flags = uint32(off), flows.MACsEthernet, p.Flags|flows.HasEthernet
			typ = binary.BigEndian.Uint16(buf[off+12:])
			off += 14
		case etherFabric: // two bytes of FTAG, the frame
			return d.after(2, (*Decoder).ethernet, buf, off, wire, p)
		case etherTRILL: // RFC 6325 section 3.2: version, length of options in four bytes, hops; egress, ingress; the frame
			if len(buf)-off < 6 {
				return short(off+6, wire, OutcomeMalformedLink)
			}
			options := int(binary.BigEndian.Uint16(buf[off:])>>6&0x1f) * 4
			return d.after(6+options, (*Decoder).ethernet, buf, off, wire, p)
		case etherVNTag, etherHSR, etherCMD, etherETag: // four or six bytes, EtherType
			if off += 4; typ == etherCMD || typ == etherETag {
				off += 2
			}
			if len(buf)-off < 2 {
				return short(off+2, wire, OutcomeMalformedLink)
			}
			typ = binary.BigEndian.Uint16(buf[off:])
			off += 2
		case etherMACsec: // IEEE 802.1AE: flags, length if it is below 48, number, …, EtherType; read where it is only authenticated
			if len(buf)-off < 2 {
				return short(off+2, wire, OutcomeMalformedLink)
			}
			flags, n := buf[off], int(buf[off+1]&0x3f)
			if flags&0x0c != 0 { // encrypted, or changed
				return OutcomeNotIP
			}
			if off += 6; flags&0x20 != 0 { // channel identifier
				off += 8
			}
			if n > 0 {
				wire = min(wire, off+n)
				buf = buf[:min(len(buf), wire)]
			}
			if len(buf)-off < 2 {
				return short(off+2, wire, OutcomeMalformedLink)
			}
			typ = binary.BigEndian.Uint16(buf[off:])
			off += 2
		case etherNSH: // RFC 8300 section 2.2: length in four bytes in byte 1, next protocol in byte 3
			if len(buf)-off < 8 {
				return short(off+8, wire, OutcomeMalformedLink)
			}
			n, next, path := int(buf[off+1]&0x3f)*4, buf[off+3], binary.BigEndian.Uint32(buf[off+4:])>>8
			if n < 8 {
				return OutcomeMalformedLink
			}
			if off += n; off > len(buf) {
				return short(off, wire, OutcomeMalformedLink)
			}
			if !d.push(flows.Encap{Kind: flows.EncapNSH, HasID: true, ID: uint64(path)}) {
				return OutcomeNotIP
			}
			switch next {
			case 1, 2:
				return d.ip(buf, off, wire, p)
			case 3:
				return d.ethernet(buf, off, wire, p)
			case 4:
				typ = etherNSH
			case 5:
				return d.mpls(buf, off, wire, p)
			default:
				return OutcomeNotIP
			}
		default:
			if typ > 1500 { // of another protocol, or neither type nor length
				return OutcomeNotIP
			}
			// An 802.3 length. What it does not cover is padding.
			wire = min(wire, off+int(typ))
			return d.llc(buf[:min(len(buf), wire)], off, wire, p)
		}
	}
}
