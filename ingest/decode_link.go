package ingest

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// Link types that are decoded (LINKTYPE_ registry of the tcpdump group, https://www.tcpdump.org/linktypes.html).
const (
	linkNull         = 0
	linkEthernet     = 1
	link8025         = 6
	linkARCnetBSD    = 7
	linkSLIP         = 8
	linkPPP          = 9
	linkFDDI         = 10
	linkATM11        = 11 // DLT_ATM_RFC1483 of most systems; files should have 100
	linkRaw12        = 12 // DLT_RAW of most systems; files should have 101, some don't
	linkRaw14        = 14 // DLT_RAW of OpenBSD
	linkPPPHDLC      = 50
	linkPPPoE        = 51
	linkSymantec     = 99
	linkATM          = 100
	linkRaw          = 101
	linkCHDLC        = 104
	linkWLAN         = 105
	linkATMCLIP      = 106
	linkFrameRelay   = 107
	linkLoop         = 108
	linkENC          = 109
	linkSLL          = 113
	linkPFLOG        = 117
	linkPrism        = 119
	linkIPoverFC     = 122
	linkSunATM       = 123
	linkRadiotap     = 127
	linkTZSP         = 128
	linkARCnetLinux  = 129
	linkIEEE1394     = 138
	linkDOCSIS       = 143
	linkUser2        = 149 // Apple's PKTAP, where it looks so
	linkAVS          = 163
	linkPPPD         = 166
	linkMFR          = 182
	linkPPI          = 192
	linkERF          = 197
	linkPPPDir       = 204
	linkCHDLCDir     = 205
	linkFRDir        = 206
	linkMPLS         = 219
	linkIPNET        = 226
	linkIPv4         = 228
	linkIPv6         = 229
	linkNFLOG        = 239
	linkNetAnalyzer  = 240
	linkNetAnalyzerT = 241
	linkIPoIB        = 242
	linkPKTAP        = 258
	linkEPON         = 259
	linkMPacket      = 274
	linkSLL2         = 276
	linkBroadcom     = 281
	linkBroadcomPre  = 282
	linkDSA          = 284
	linkEDSA         = 285
)

// Decodes reports whether packets of link type link (a LINKTYPE_ number) are
// decoded. Those of others are counted as OutcomeUnsupportedLink.
func Decodes(link uint16) bool {
	var d Decoder
	return d.Decode(uint32(link), nil, Record{}, new(flows.Packet), nil) != OutcomeUnsupportedLink
}

// link decodes what is not Ethernet.
func (d *Decoder) link(link uint32, buf []byte, off, wire int, p *flows.Packet) Outcome {
	switch link {
	case linkRaw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		return d.ip(buf, off, wire, p)
	case linkNull, linkLoop:
		return d.family(buf, off, wire, 4, p)
	case linkSLL: // packet type, ARPHRD_ type, address length, address, protocol
		return d.cooked(buf, off, wire, 16, 2, 14, p)
	case linkSLL2: // protocol, reserved, interface, ARPHRD_ type, …
		return d.cooked(buf, off, wire, 20, 8, 0, p)
	case linkWLAN:
		return d.wlan(buf, off, wire, 0, p)
	case linkRadiotap:
		return d.radiotap(buf, off, wire, p)
	case linkPrism, linkAVS:
		return d.prism(buf, off, wire, p)
	case linkPPI:
		return d.ppi(buf, off, wire, p)
	case linkPPP, linkPPPHDLC:
		if b := buf[off:]; len(b) > 0 && (b[0] == 0x0f || b[0] == 0x8f) { // Cisco HDLC framing, which uses the same types
			return d.typed(buf, off, wire, 4, 2, p)
		}
		return d.ppp(buf, off, wire, p)
	case linkPPPDir: // a byte of direction first
		return d.after(1, (*Decoder).ppp, buf, off, wire, p)
	case linkPPPD: // a byte of direction in place of the address, control
		return d.after(2, (*Decoder).ppp, buf, off, wire, p)
	case linkPPPoE:
		return d.pppoe(buf, off, wire, p)
	case linkCHDLC: // address, control, EtherType
		return d.typed(buf, off, wire, 4, 2, p)
	case linkCHDLCDir: // after a byte of direction
		return d.typed(buf, off, wire, 5, 3, p)
	case linkFrameRelay:
		return d.frameRelay(buf, off, wire, p)
	case linkFRDir: // a byte of direction first
		return d.after(1, (*Decoder).frameRelay, buf, off, wire, p)
	case linkMFR:
		return d.multilinkFR(buf, off, wire, p)
	case linkFDDI: // frame control, two addresses
		return d.after(13, (*Decoder).llc, buf, off, wire, p)
	case link8025: // Token Ring
		return d.tokenRing(buf, off, wire, p)
	case linkARCnetBSD: // source, destination
		return d.arcnet(buf, off, wire, 2, p)
	case linkARCnetLinux: // source, destination, offset
		return d.arcnet(buf, off, wire, 4, p)
	case linkIPoverFC: // RFC 4338: two addresses of eight bytes
		return d.after(16, (*Decoder).llc, buf, off, wire, p)
	case linkATM, linkATM11:
		return d.llc(buf, off, wire, p)
	case linkATMCLIP: // RFC 2225: an 802.2 header unless the two ends agreed on none
		if b := buf[off:]; len(b) > 0 && b[0] != 0xaa {
			return d.ip(buf, off, wire, p)
		}
		return d.llc(buf, off, wire, p)
	case linkSunATM:
		return d.sunATM(buf, off, wire, p)
	case linkSLIP: // BSD's: direction, the compressed header; the datagram is whole
		return d.after(16, (*Decoder).ip, buf, off, wire, p)
	case linkSymantec:
		return d.typed(buf, off, wire, 44, 6, p)
	case linkIEEE1394: // RFC 2734's packets as Darwin has them: two EUI-64, EtherType
		return d.typed(buf, off, wire, 18, 16, p)
	case linkIPoIB: // global route header, EtherType, reserved (RFC 4391 section 6)
		return d.typed(buf, off, wire, 44, 40, p)
	case linkENC: // address family, security parameter index, flags
		return d.family(buf, off, wire, 12, p)
	case linkPFLOG:
		return d.pflog(buf, off, wire, p)
	case linkIPNET:
		return d.ipnet(buf, off, wire, p)
	case linkNFLOG:
		return d.nflog(buf, off, wire, p)
	case linkMPLS:
		return d.mpls(buf, off, wire, p)
	case linkDOCSIS:
		return d.docsis(buf, off, wire, p)
	case linkPKTAP:
		return d.pktap(buf, off, wire, p)
	case linkUser2:
		if looksPKTAP(buf[off:]) {
			return d.pktap(buf, off, wire, p)
		}
	case linkERF:
		return d.erf(buf, off, wire, p)
	case linkTZSP:
		return d.tzsp(buf, off, wire, p)
	case linkNetAnalyzer:
		return d.after(4, (*Decoder).ethernet, buf, off, wire, p)
	case linkNetAnalyzerT: // and a preamble
		return d.after(12, (*Decoder).ethernet, buf, off, wire, p)
	case linkEPON: // a preamble with the logical link's identifier
		return d.after(8, (*Decoder).ethernet, buf, off, wire, p)
	case linkMPacket:
		return d.mPacket(buf, off, wire, p)
	case linkBroadcom: // the tag is between addresses and EtherType
		return d.tagged(buf, off, wire, 16, p)
	case linkBroadcomPre: // the tag is before the frame
		return d.after(4, (*Decoder).ethernet, buf, off, wire, p)
	case linkDSA:
		return d.dsa(buf, off, wire, 12, p)
	case linkEDSA: // EtherType and two reserved bytes before the tag
		return d.dsa(buf, off, wire, 16, p)
	}
	if o, ok := d.juniper(link, buf, off, wire, p); ok {
		return o
	}
	return OutcomeUnsupportedLink
}

// after decodes with decode what follows n bytes of no interest.
func (d *Decoder) after(n int, decode func(*Decoder, []byte, int, int, *flows.Packet) Outcome, buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	return decode(d, buf, off+n, wire, p)
}

// typed decodes what follows a header of n bytes that has its EtherType at
// byte at.
func (d *Decoder) typed(buf []byte, off, wire, n, at int, p *flows.Packet) Outcome {
	if len(buf)-off < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	return d.etherType(buf, off+n, wire, noLength(binary.BigEndian.Uint16(buf[off+at:])), p)
}

// noLength returns an EtherType that stands where no 802.3 length can.
func noLength(typ uint16) uint16 { return max(typ, 0x600) }

// tagged decodes an Ethernet frame that has its EtherType, or length, at byte at.
func (d *Decoder) tagged(buf []byte, off, wire, at int, p *flows.Packet) Outcome {
	if len(buf)-off < at+2 {
		return short(off+at+2, wire, OutcomeMalformedLink)
	}
	p.Link, p.MACs = uint32(off), flows.MACsEthernet
	p.Flags |= flows.HasEthernet
	return d.etherType(buf, off+at+2, wire, binary.BigEndian.Uint16(buf[off+at:]), p)
}

// family decodes what follows a header of n bytes that begins with an address family, in the byte order
// of the machine that captured or the network's. Families are small numbers,
// so that the order shows; and LOOP is mistaken for NULL often enough.
func (d *Decoder) family(buf []byte, off, wire, n int, p *flows.Packet) Outcome {
	if len(buf)-off < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	family := binary.BigEndian.Uint32(buf[off:])
	if family&0xffff == 0 {
		family = binary.LittleEndian.Uint32(buf[off:])
	}
	if !isIPFamily(family) {
		return OutcomeNotIP
	}
	return d.ip(buf, off+n, wire, p)
}

// isIPFamily reports whether an address family of some system is IP's.
func isIPFamily(family uint32) bool {
	switch family {
	case 2, 10, 24, 26, 28, 30: // AF_INET; AF_INET6 of Linux, NetBSD and OpenBSD, Solaris, FreeBSD, Darwin
		return true
	}
	return false
}

// cooked decodes a Linux cooked capture, whose header has n bytes, the device's
// ARPHRD_ type at byte hardware, and a protocol at byte at that is an EtherType or one
// of Linux' own numbers, depending on the device.
func (d *Decoder) cooked(buf []byte, off, wire, n, hardware, at int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	proto := binary.BigEndian.Uint16(b[at:])
	off += n
	switch binary.BigEndian.Uint16(b[hardware:]) {
	case 824: // netlink: a netlink family
		return OutcomeNotIP
	case 801: // 802.11: the field means nothing
		return d.wlan(buf, off, wire, 0, p)
	case 802:
		return d.prism(buf, off, wire, p)
	case 803:
		return d.radiotap(buf, off, wire, p)
	case 770: // Frame Relay: the same
		return d.frameRelay(buf, off, wire, p)
	}
	switch proto {
	case 0x0004: // 802.2 header
		return d.llc(buf, off, wire, p)
	case 0x0008, 0x000c: // PPP, CAN: no EtherTypes below 0x600 are IP
		return OutcomeNotIP
	}
	return d.etherType(buf, off, wire, noLength(proto), p)
}

// llc decodes an IEEE 802.2 header: IP is SAP 6, or an EtherType in a
// Subnetwork Access Protocol header (RFC 1042); bridged frames and what ISO
// identifies are as RFC 2684 section 5 has them.
func (d *Decoder) llc(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 3 {
		return short(off+3, wire, OutcomeMalformedLink)
	}
	switch {
	case b[0] == 0x06 && b[1] == 0x06 && b[2] == 0x03:
		return d.ip(buf, off+3, wire, p)
	case b[0] == 0xaa && b[1] == 0xaa && b[2] == 0x03:
		return d.snap(buf, off+3, wire, 2, p)
	case b[0] == 0xfe && b[1] == 0xfe && b[2] == 0x03:
		if len(b) < 4 {
			return short(off+4, wire, OutcomeMalformedLink)
		}
		if b[3] == nlpidIPv4 || b[3] == nlpidIPv6 {
			return d.ip(buf, off+4, wire, p)
		}
	}
	return OutcomeNotIP
}

// snap decodes a SNAP header: an organization and a number of its own. Bridged
// Ethernet has pad bytes before the frame.
func (d *Decoder) snap(buf []byte, off, wire, pad int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 5 {
		return short(off+5, wire, OutcomeMalformedLink)
	}
	typ := binary.BigEndian.Uint16(b[3:])
	switch {
	case b[0] == 0 && b[1] == 0 && (b[2] == 0 || b[2] == 0xf8): // RFC 1042; 802.1H
		if typ >= 0x600 {
			return d.etherType(buf, off+5, wire, typ, p)
		}
	case b[0] == 0 && b[1] == 0x80 && b[2] == 0xc2 && (typ == 1 || typ == 7): // 802.1: Ethernet with and without check sequence
		return d.after(5+pad, (*Decoder).ethernet, buf, off, wire, p)
	}
	return OutcomeNotIP
}

// Network layer protocol identifiers (ISO/IEC TR 9577).
const (
	nlpidSNAP = 0x80
	nlpidIPv6 = 0x8e
	nlpidIPv4 = 0xcc
	nlpidPPP  = 0xcf
)

// frameRelay decodes RFC 2427: an address whose last byte is odd, control, a
// network layer protocol identifier. Cisco's encapsulation has an EtherType after
// the address.
func (d *Decoder) frameRelay(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	n := 1
	for {
		if n > 4 {
			return OutcomeMalformedLink
		}
		if len(b) < n {
			return short(off+n, wire, OutcomeMalformedLink)
		}
		if b[n-1]&1 != 0 {
			break
		}
		n++
	}
	if n < 2 {
		return OutcomeMalformedLink
	}
	if len(b) < n+2 {
		return short(off+n+2, wire, OutcomeMalformedLink)
	}
	if b[n] != 0x03 {
		return d.etherType(buf, off+n+2, wire, noLength(binary.BigEndian.Uint16(b[n:])), p)
	}
	n++
	if b[n] == 0 { // aligns what follows
		n++
		if len(b) < n+1 {
			return short(off+n+1, wire, OutcomeMalformedLink)
		}
	}
	switch off += n + 1; b[n] {
	case nlpidIPv4, nlpidIPv6:
		return d.ip(buf, off, wire, p)
	case nlpidSNAP:
		return d.snap(buf, off, wire, 0, p)
	case nlpidPPP: // RFC 1973
		return d.ppp(buf, off, wire, p)
	}
	return OutcomeNotIP
}

// multilinkFR decodes FRF.16's header of two bytes: what begins and ends in one
// frame is one of Frame Relay.
func (d *Decoder) multilinkFR(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 2 {
		return short(off+2, wire, OutcomeMalformedLink)
	}
	switch buf[off] & 0xe0 {
	case 0xc0:
		return d.frameRelay(buf, off+2, wire, p)
	case 0xe0, 0x20, 0x60, 0xa0: // control
		return OutcomeNotIP
	}
	return OutcomeFragmentIncomplete
}

// ppp decodes a PPP frame (RFC 1661, RFC 1662): address and control, which may be left out, and a
// protocol of two bytes, or of one that is odd.
func (d *Decoder) ppp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if b := buf[off:]; len(b) > 0 && b[0] == 0xff { // no protocol of one byte
		if len(b) < 2 {
			return short(off+2, wire, OutcomeMalformedLink)
		}
		if b[1] == 0x03 {
			off += 2
		}
	}
	for {
		b := buf[off:]
		if len(b) < 1 {
			return short(off+1, wire, OutcomeMalformedLink)
		}
		var proto uint16
		if b[0]&1 != 0 {
			proto = uint16(b[0])
			off++
		} else {
			if len(b) < 2 {
				return short(off+2, wire, OutcomeMalformedLink)
			}
			proto = binary.BigEndian.Uint16(b)
			off += 2
		}
		switch proto {
		case 0x0021, 0x0057: // RFC 1332, RFC 5072
			return d.ip(buf, off, wire, p)
		case 0x0281, 0x0283: // RFC 3032
			return d.mpls(buf, off, wire, p)
		case 0x0031: // RFC 3518 section 4.2: flags and pads, MAC type
			if len(buf)-off < 2 {
				return short(off+2, wire, OutcomeMalformedLink)
			}
			if buf[off+1] != 1 { // Ethernet
				return OutcomeNotIP
			}
			return d.ethernet(buf, off+2, wire, p)
		case 0x003d: // RFC 1990 section 3, with the long sequence number
			if len(buf)-off < 4 {
				return short(off+4, wire, OutcomeMalformedLink)
			}
			if buf[off]&0xc0 != 0xc0 {
				return OutcomeFragmentIncomplete
			}
			off += 4
		default:
			return OutcomeNotIP
		}
	}
}

// tokenRing decodes IEEE 802.5: access control, frame control, two addresses;
// the first bit of the source says that a route follows.
func (d *Decoder) tokenRing(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 14 {
		return short(off+14, wire, OutcomeMalformedLink)
	}
	if b[1]&0xc0 != 0x40 { // no frame of the logical link
		return OutcomeNotIP
	}
	n := 14
	if b[8]&0x80 != 0 {
		if len(b) < 16 {
			return short(off+16, wire, OutcomeMalformedLink)
		}
		route := int(b[14] & 0x1f)
		if route < 2 {
			return OutcomeMalformedLink
		}
		n += route
	}
	return d.after(n, (*Decoder).llc, buf, off, wire, p)
}

// arcnet decodes ARCNET, whose packet type is at byte at: those of RFC 1051 are
// followed by the datagram, those of RFC 1201 by a split flag and a sequence number.
func (d *Decoder) arcnet(buf []byte, off, wire, at int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < at+1 {
		return short(off+at+1, wire, OutcomeMalformedLink)
	}
	switch b[at] {
	case 240: // IPv4, RFC 1051
		return d.ip(buf, off+at+1, wire, p)
	case 212, 196: // IPv4, RFC 1201; IPv6, RFC 2497
		n := at + 4
		if len(b) < n {
			return short(off+n, wire, OutcomeMalformedLink)
		}
		flag := b[at+1]
		if flag == 0xff { // an exception packet, padded because of its length
			if n += 4; len(b) < n {
				return short(off+n, wire, OutcomeMalformedLink)
			}
			flag = b[at+5]
		}
		if flag != 0 {
			return OutcomeFragmentIncomplete
		}
		return d.ip(buf, off+n, wire, p)
	}
	return OutcomeNotIP
}

// sunATM decodes SunATM's header: flags with the kind of traffic, path, channel.
func (d *Decoder) sunATM(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 4 {
		return short(off+4, wire, OutcomeMalformedLink)
	}
	switch buf[off] & 0x0f {
	case 1: // LAN emulation: client, Ethernet
		if b := buf[off+4:]; len(b) >= 2 && b[0] == 0xff && b[1] == 0 { // control
			return OutcomeNotIP
		}
		return d.after(6, (*Decoder).ethernet, buf, off, wire, p)
	case 2:
		return d.llc(buf, off+4, wire, p)
	}
	return OutcomeNotIP
}

// pflog decodes what OpenBSD's and FreeBSD's packet filter logs: a header that
// begins with its length, which is padded to four bytes, and the address family.
func (d *Decoder) pflog(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 2 {
		return short(off+2, wire, OutcomeMalformedLink)
	}
	n := (int(b[0]) + 3) &^ 3
	if n < 48 { // of the first version of the format
		return OutcomeMalformedLink
	}
	if len(b) < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	if !isIPFamily(uint32(b[1])) {
		return OutcomeNotIP
	}
	return d.ip(buf, off+n, wire, p)
}

// ipnet decodes Solaris' header of the IP layer: version, family, ….
func (d *Decoder) ipnet(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 24 {
		return short(off+24, wire, OutcomeMalformedLink)
	}
	if b[0] != 1 {
		return OutcomeMalformedLink
	}
	if !isIPFamily(uint32(b[1])) {
		return OutcomeNotIP
	}
	return d.ip(buf, off+24, wire, p)
}

// nflog decodes what Linux' packet filter logs: family, version, resource, and attributes
// of length and type in the byte order of the machine, padded to four bytes. One of
// them is the datagram, another the frame's header.
func (d *Decoder) nflog(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const payload, hardwareHeader = 9, 16
	b := buf[off:]
	if len(b) < 4 {
		return short(off+4, wire, OutcomeMalformedLink)
	}
	if b[1] != 0 {
		return OutcomeMalformedLink
	}
	family := b[0]
	var order binary.ByteOrder = binary.LittleEndian
	if len(b) >= 8 && b[6] == 0 && b[7] != 0 {
		order = binary.BigEndian
	}
	for off += 4; ; {
		b = buf[off:]
		if len(b) < 4 {
			if off >= wire { // no datagram
				return OutcomeNotIP
			}
			return short(off+4, wire, OutcomeMalformedLink)
		}
		n, typ := int(order.Uint16(b)), order.Uint16(b[2:])
		if n < 4 {
			return OutcomeMalformedLink
		}
		switch typ & 0x7fff {
		case hardwareHeader:
			if n == 18 && len(b) >= n {
				p.Link, p.Flags = uint32(off+4), p.Flags|flows.HasEthernet
			}
		case payload:
			if end := off + n; end < wire {
				wire = end
				buf = buf[:min(len(buf), wire)]
			}
			if off += 4; off < len(buf) && !isIPFamily(uint32(family)) {
				if v := buf[off] >> 4; family != 7 || v != 4 && v != 6 { // a bridge's may be anything
					return OutcomeNotIP
				}
			}
			return d.ip(buf, off, wire, p)
		}
		n = (n + 3) &^ 3
		if len(b) < n {
			return short(off+n, wire, OutcomeMalformedLink)
		}
		off += n
	}
}

// docsis decodes the MAC frame of a cable modem network (DOCSIS MULPI section 6.2): control, parameter, length,
// extended headers, check sequence, Ethernet.
func (d *Decoder) docsis(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 6 {
		return short(off+6, wire, OutcomeMalformedLink)
	}
	if b[0]&0xfe != 0 { // no packet PDU
		return OutcomeNotIP
	}
	n := 6
	if b[0]&1 != 0 { // extended headers, in bytes
		if n += int(b[1]); len(b) < n {
			return short(off+n, wire, OutcomeMalformedLink)
		}
		// The privacy elements come first: type and length in a half byte each, key and version,
		// whether encrypted.
		if typ := b[4] >> 4; b[1] >= 3 && (typ == 3 || typ == 4 || typ == 7) && b[6]&0x80 != 0 {
			return OutcomeNotIP
		}
	}
	return d.ethernet(buf, off+n, wire, p)
}

// pktap decodes Darwin's header of a packet of any interface: length, what follows, link type, all
// little-endian, and more.
func (d *Decoder) pktap(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 12 {
		return short(off+12, wire, OutcomeMalformedLink)
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < 12 || n > 1<<16 {
		return OutcomeMalformedLink
	}
	if binary.LittleEndian.Uint32(b[4:]) != 1 { // no packet follows
		return OutcomeNotIP
	}
	return d.inside(binary.LittleEndian.Uint32(b[8:]), n, buf, off, wire, p)
}

// looksPKTAP reports whether b may be pktap's. User-defined numbers mean
// whatever a user wants.
func looksPKTAP(b []byte) bool {
	if len(b) < 108 {
		return false
	}
	n := binary.LittleEndian.Uint32(b)
	return n >= 108 && n <= 512 && int(n) <= len(b) && binary.LittleEndian.Uint32(b[4:]) == 1 && binary.LittleEndian.Uint32(b[8:]) < 300
}

// inside decodes what follows n bytes of a header that states the link type.
// There is one such header.
func (d *Decoder) inside(link uint32, n int, buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	switch off += n; link {
	case linkEthernet:
		return d.ethernet(buf, off, wire, p)
	case linkPKTAP, linkUser2, linkPPI, linkTZSP, linkERF:
		return OutcomeUnsupportedLink
	}
	return d.link(link, buf, off, wire, p)
}

// erf decodes Endace's extensible record format: time, type, flags, lengths;
// headers that say whether another follows; the packet.
func (d *Decoder) erf(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 16 {
		return short(off+16, wire, OutcomeMalformedLink)
	}
	typ := b[8]
	n := 16
	for more := typ & 0x80; more != 0; n += 8 {
		if len(b) < n+8 {
			return short(off+n+8, wire, OutcomeMalformedLink)
		}
		more = b[n] & 0x80
	}
	if off += n; off > wire {
		return OutcomeMalformedLink
	}
	switch typ & 0x7f {
	case 2, 11, 16, 20: // Ethernet, after offset and pad
		return d.after(2, (*Decoder).ethernet, buf, off, wire, p)
	case 1, 5, 9, 15, 17: // packet over SONET: PPP or Cisco HDLC
		return d.link(linkPPPHDLC, buf, off, wire, p)
	case 22, 23:
		return d.ip(buf, off, wire, p)
	}
	return OutcomeNotIP
}

// tzsp decodes TaZmen Sniffer Protocol: version, type, protocol, fields of
// a length each up to the end's, the frame.
func (d *Decoder) tzsp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const pad, end = 0, 1
	b := buf[off:]
	if len(b) < 4 {
		return short(off+4, wire, OutcomeMalformedLink)
	}
	if b[0] != 1 || b[1] > 1 { // a received packet, or one to be sent
		return OutcomeNotIP
	}
	proto := binary.BigEndian.Uint16(b[2:])
	for off += 4; ; {
		if off >= len(buf) {
			return short(off+1, wire, OutcomeMalformedLink)
		}
		tag := buf[off]
		off++
		if tag == end {
			break
		}
		if tag == pad {
			continue
		}
		if off >= len(buf) {
			return short(off+1, wire, OutcomeMalformedLink)
		}
		off += 1 + int(buf[off])
	}
	if off > len(buf) {
		return short(off, wire, OutcomeMalformedLink)
	}
	switch proto {
	case 1:
		return d.ethernet(buf, off, wire, p)
	case 18:
		return d.wlan(buf, off, wire, 0, p)
	case 119, 127: // Prism's header, AVS's
		return d.prism(buf, off, wire, p)
	}
	return OutcomeNotIP
}

// mPacket decodes a frame with its preamble, which may be interrupted (IEEE
// 802.3 clause 99): the last byte of the preamble tells which.
func (d *Decoder) mPacket(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 8 {
		return short(off+8, wire, OutcomeMalformedLink)
	}
	switch buf[off+7] {
	case 0xd5, 0xe6, 0x4c, 0x7f, 0xb3: // express; the beginning of one that can be interrupted
		return d.ethernet(buf, off+8, wire, p)
	}
	return OutcomeNotIP
}

// dsa decodes an Ethernet frame with the tag of a Marvell switch, four bytes before the
// EtherType at byte at+4. The tag stands in for that of the VLAN, if the frame had one.
func (d *Decoder) dsa(buf []byte, off, wire, at int, p *flows.Packet) Outcome {
	if b := buf[off:]; len(b) >= at+4 && b[at]&0x20 != 0 {
		p.VLAN, p.Flags = binary.BigEndian.Uint16(b[at+2:])&0x0fff, p.Flags|flows.HasVLAN
	}
	return d.tagged(buf, off, wire, at+4, p)
}

// Juniper's link types.
const (
	linkJuniperMLPPP    = 130
	linkJuniperMLFR     = 131
	linkJuniperES       = 132
	linkJuniperGGSN     = 133
	linkJuniperMFR      = 134
	linkJuniperATM2     = 135
	linkJuniperServices = 136
	linkJuniperATM1     = 137
	linkJuniperMonitor  = 164
	linkJuniperPPPoE    = 167
	linkJuniperPPPoEATM = 168
	linkJuniperEther    = 178
	linkJuniperPPP      = 179
	linkJuniperFR       = 180
	linkJuniperCHDLC    = 181
)

// juniper decodes what a Juniper router captures of itself: a magic number, flags, extensions if a flag
// says so, the link layer unless another flag says that there is none. It reports false for other link types.
func (d *Decoder) juniper(link uint32, buf []byte, off, wire int, p *flows.Packet) (Outcome, bool) {
	const noLink, extended = 0x02, 0x80
	switch link {
	case linkJuniperMLPPP, linkJuniperMLFR, linkJuniperES, linkJuniperGGSN, linkJuniperMFR, linkJuniperATM2, linkJuniperServices,
		linkJuniperATM1, linkJuniperMonitor, linkJuniperPPPoE, linkJuniperPPPoEATM, linkJuniperEther, linkJuniperPPP,
		linkJuniperFR, linkJuniperCHDLC:
	default:
		return OutcomeUnsupportedLink, false
	}
	b := buf[off:]
	if len(b) < 4 {
		return short(off+4, wire, OutcomeMalformedLink), true
	}
	if b[0] != 'M' || b[1] != 'G' || b[2] != 'C' {
		return OutcomeMalformedLink, true
	}
	n, flags := 4, b[3]
	if flags&extended != 0 {
		if len(b) < 6 {
			return short(off+6, wire, OutcomeMalformedLink), true
		}
		n = 6 + int(binary.BigEndian.Uint16(b[4:]))
	}
	if flags&noLink != 0 { // four bytes, the datagram
		return d.after(n+4, (*Decoder).ip, buf, off, wire, p), true
	}
	switch link {
	case linkJuniperEther, linkJuniperPPPoE:
		return d.after(n, (*Decoder).ethernet, buf, off, wire, p), true
	case linkJuniperPPP:
		return d.after(n, (*Decoder).ppp, buf, off, wire, p), true
	case linkJuniperFR:
		return d.after(n, (*Decoder).frameRelay, buf, off, wire, p), true
	case linkJuniperCHDLC:
		return d.typed(buf, off, wire, n+4, n+2, p), true
	case linkJuniperPPPoEATM: // EtherType
		return d.typed(buf, off, wire, n+2, n, p), true
	case linkJuniperATM1: // a cookie; what RFC 2684 has
		return d.after(n+4, (*Decoder).atmGuess, buf, off, wire, p), true
	case linkJuniperATM2:
		return d.after(n+8, (*Decoder).atmGuess, buf, off, wire, p), true
	case linkJuniperGGSN, linkJuniperMonitor, linkJuniperServices: // service, interface
		return d.after(n+8, (*Decoder).ipGuess, buf, off, wire, p), true
	}
	return OutcomeUnsupportedLink, true
}

// atmGuess decodes a payload of ATM, whose virtual channel alone says which.
func (d *Decoder) atmGuess(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if b := buf[off:]; len(b) > 0 && (b[0] == 0xaa || b[0] == 0xfe) {
		return d.llc(buf, off, wire, p)
	}
	return d.ipGuess(buf, off, wire, p)
}

// ipGuess decodes an IP datagram if it begins like one.
func (d *Decoder) ipGuess(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if off >= len(buf) {
		return short(off+1, wire, OutcomeMalformedLink)
	}
	if v := buf[off] >> 4; v != 4 && v != 6 {
		return OutcomeNotIP
	}
	return d.ip(buf, off, wire, p)
}
