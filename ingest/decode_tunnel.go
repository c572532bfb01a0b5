package ingest

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// UDP ports (IANA) whose datagrams are looked at for a tunnel. The content
// decides.
const (
	portL2TP       = 1701
	portGTPU       = 2152
	portTeredo     = 3544
	portLISP       = 4341
	portGRE        = 4754
	portVXLAN      = 4789
	portVXLANGPE   = 4790
	portAYIYA      = 5072
	portCAPWAP     = 5247
	portGUE        = 6080
	portGeneve     = 6081
	portMPLS       = 6635
	portVXLANLinux = 8472 // before there was a number for it
	portLWAPP      = 12222
	portTZSP       = 37008
)

// tunnel decodes what an IP protocol that tunnels carries. It returns
// OutcomeFlow or OutcomeFragment for what is inside, or OutcomeNotIP, and then d and p
// are as they were: the packet is the carrier's.
func (d *Decoder) tunnel(buf []byte, off, wire int, proto uint8, p *flows.Packet) Outcome {
	if d.NoDecap {
		return OutcomeNotIP
	}
	carrier, n, depth := *p, d.n, d.depth
	o := OutcomeNotIP
	switch proto {
	case protoIPIP, protoIPv6:
		if d.push(over(flows.EncapIPIP, p)) {
			o = d.ip(buf, off, wire, p)
		}
	case protoGRE:
		o = d.gre(buf, off, wire, p)
	case protoMPLS: // RFC 4023
		o = d.mplsIn(over(flows.EncapMPLS, p), buf, off, wire, p)
	case protoEtherIP: // version 3 in the first half byte, reserved
		if len(buf)-off >= 2 && buf[off]>>4 == 3 && d.push(over(flows.EncapEtherIP, p)) {
			o = d.ethernet(buf, off+2, wire, p)
		}
	case protoL2TP:
		o = d.l2tp3(buf, off, wire, p)
	}
	return d.endTunnel(o, carrier, n, depth, p)
}

// udpTunnel does for the payload of a UDP datagram, at off, what tunnel does.
func (d *Decoder) udpTunnel(buf []byte, off, wire int, port uint16, p *flows.Packet) Outcome {
	if d.NoDecap {
		return OutcomeNotIP
	}
	carrier, n, depth := *p, d.n, d.depth
	o := OutcomeNotIP
	switch port {
	case portVXLAN, portVXLANLinux:
		o = d.vxlan(buf, off, wire, p)
	case portVXLANGPE:
		o = d.vxlanGPE(buf, off, wire, p)
	case portGTPU:
		o = d.gtpu(buf, off, wire, p)
	case portGeneve:
		o = d.geneve(buf, off, wire, p)
	case portTeredo:
		o = d.teredo(buf, off, wire, p)
	case portL2TP:
		o = d.l2tp(buf, off, wire, p)
	case portLISP:
		o = d.lisp(buf, off, wire, p)
	case portGRE: // RFC 8086
		o = d.gre(buf, off, wire, p)
	case portMPLS: // RFC 7510
		o = d.mplsIn(over(flows.EncapMPLS, p), buf, off, wire, p)
	case portAYIYA:
		o = d.ayiya(buf, off, wire, p)
	case portCAPWAP:
		o = d.capwap(buf, off, wire, p)
	case portLWAPP:
		o = d.lwapp(buf, off, wire, p)
	case portGUE:
		o = d.gue(buf, off, wire, p)
	case portTZSP:
		if d.push(over(flows.EncapTZSP, p)) {
			o = d.tzsp(buf, off, wire, p)
		}
	}
	return d.endTunnel(o, carrier, n, depth, p)
}

// endTunnel ends an attempt at a tunnel whose carrier was p's value before it.
func (d *Decoder) endTunnel(o Outcome, carrier flows.Packet, n, depth int, p *flows.Packet) Outcome {
	if o == OutcomeFlow || o == OutcomeFragment {
		return o
	}
	*p, d.n, d.depth = carrier, n, depth
	return OutcomeNotIP
}

// over returns an encapsulation over the IP datagram that p describes so far.
func over(kind flows.EncapKind, p *flows.Packet) flows.Encap {
	return flows.Encap{Kind: kind, HasOuter: true, Outer6: p.Flags&flows.IPv6 != 0, Src: p.Src, Dst: p.Dst}
}

// overID is over with an identifier.
func overID(kind flows.EncapKind, p *flows.Packet, id uint64) flows.Encap {
	e := over(kind, p)
	e.HasID, e.ID = true, id
	return e
}

// mpls decodes an MPLS label stack (RFC 3032 section 2.1) and what is below it.
func (d *Decoder) mpls(buf []byte, off, wire int, p *flows.Packet) Outcome {
	return d.mplsIn(flows.Encap{Kind: flows.EncapMPLS}, buf, off, wire, p)
}

// mplsIn takes the encapsulation as which the stack is recorded: one, with the
// label at the bottom, which is the one that tells services apart.
func (d *Decoder) mplsIn(e flows.Encap, buf []byte, off, wire int, p *flows.Packet) Outcome {
	for {
		if len(buf)-off < 4 {
			return short(off+4, wire, OutcomeMalformedLink)
		}
		label := binary.BigEndian.Uint32(buf[off:])
		off += 4
		if label&0x100 != 0 { // bottom of the stack
			e.HasID, e.ID = true, uint64(label>>12)
			break
		}
	}
	if !d.push(e) {
		return OutcomeNotIP
	}
	if off >= len(buf) {
		return short(off+1, wire, OutcomeMalformedLink)
	}
	// Nothing says what is below. IP shows its version there; a pseudo-wire
	// with a control word (RFC 4385) zero; one without, the first half byte of
	// a MAC address.
	switch buf[off] >> 4 {
	case 4, 6:
		return d.ip(buf, off, wire, p)
	case 0:
		if len(buf)-off < 18 {
			return short(off+18, wire, OutcomeNotIP)
		}
		switch binary.BigEndian.Uint16(buf[off+16:]) {
		case etherIPv4, etherIPv6, etherVLAN, etherQinQ, etherMPLS, etherPPPoE, etherPBB, etherNSH, etherCMD, etherVNTag, etherETag,
			etherHSR, etherTRILL, etherMACsec, etherFabric:
			off += 4
		}
	}
	switch o := d.ethernet(buf, off, wire, p); o {
	case OutcomeFlow, OutcomeFragment, OutcomeCut:
		return o
	}
	return OutcomeNotIP // it was no Ethernet, which was a guess
}

// pppoe decodes a PPPoE session frame (RFC 2516 section 4).
func (d *Decoder) pppoe(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 6 {
		return short(off+6, wire, OutcomeMalformedLink)
	}
	if b[0] != 0x11 || b[1] != 0 { // version and type; session data
		return OutcomeNotIP
	}
	if !d.push(flows.Encap{Kind: flows.EncapPPPoE, HasID: true, ID: uint64(binary.BigEndian.Uint16(b[2:]))}) {
		return OutcomeNotIP
	}
	off += 6
	wire = min(wire, off+int(binary.BigEndian.Uint16(b[4:])))
	return d.ppp(buf[:min(len(buf), wire)], off, wire, p)
}

// gre decodes Generic Routing Encapsulation (RFC 2784, RFC 2890; version 1 is
// PPTP's, RFC 2637 section 4.1), ERSPAN and Aruba's IEEE 802.11 frames in it. NVGRE (RFC 7637) is
// GRE whose key has the virtual subnet above the low eight bits; nothing tells it from
// another key.
func (d *Decoder) gre(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const (
		hasChecksum = 0x8000
		hasRouting  = 0x4000
		hasKey      = 0x2000
		hasSequence = 0x1000
		hasAck      = 0x0080 // version 1
	)
	b := buf[off:]
	if len(b) < 4 {
		return OutcomeNotIP
	}
	flags, typ := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	version := flags & 7
	if version > 1 || flags&hasRouting != 0 { // source routes (RFC 1701) are out of use
		return OutcomeNotIP
	}
	n := 4
	if flags&hasChecksum != 0 {
		n += 4
	}
	e := over(flows.EncapGRE, p)
	if flags&hasKey != 0 {
		if len(b) < n+4 {
			return OutcomeNotIP
		}
		key := binary.BigEndian.Uint32(b[n:])
		n += 4
		e.HasID, e.ID = true, uint64(key)
		if version == 1 { // payload length, call
			e.ID = uint64(key & 0xffff)
		}
	}
	if flags&hasSequence != 0 {
		n += 4
	}
	if version == 1 && flags&hasAck != 0 {
		n += 4
	}
	if len(b) <= n {
		return OutcomeNotIP
	}
	off, b = off+n, b[n:]

	switch {
	case typ == 0x88be && flags&hasSequence == 0: // ERSPAN type I: no header
		e.Kind = flows.EncapERSPAN
		if !d.push(e) {
			return OutcomeNotIP
		}
		return d.ethernet(buf, off, wire, p)
	case typ == 0x88be && len(b) >= 8: // type II: session in the low ten bits of bytes 2-3
		e.Kind, e.HasID, e.ID = flows.EncapERSPAN, true, uint64(binary.BigEndian.Uint16(b[2:])&0x3ff)
		if !d.push(e) {
			return OutcomeNotIP
		}
		return d.ethernet(buf, off+8, wire, p)
	case typ == 0x22eb && len(b) >= 12: // type III: and an optional subheader
		e.Kind, e.HasID, e.ID = flows.EncapERSPAN, true, uint64(binary.BigEndian.Uint16(b[2:])&0x3ff)
		if !d.push(e) {
			return OutcomeNotIP
		}
		off += 12
		if b[11]&1 != 0 {
			off += 8
		}
		if off > len(buf) {
			return OutcomeNotIP
		}
		if b[10]>>2&0x1f == 2 { // frame type: IP
			return d.ip(buf, off, wire, p)
		}
		return d.ethernet(buf, off, wire, p)
	}

	if !d.push(e) {
		return OutcomeNotIP
	}
	switch typ {
	case 0x880b:
		return d.ppp(buf, off, wire, p)
	case 0x883e: // WCCP: version 2 has a redirect header of four bytes first
		if b[0]>>4 != 4 && len(b) > 4 {
			off += 4
		}
		return d.ip(buf, off, wire, p)
	}
	if kind := typ >> 8; kind == 0x82 || kind == 0x83 || kind == 0x90 { // between Aruba's access points and controllers
		return d.wlan(buf, off, wire, 0, p)
	}
	return d.etherType(buf, off, wire, noLength(typ), p)
}

// vxlan decodes RFC 7348 section 5: flags, reserved bytes, VNI.
func (d *Decoder) vxlan(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 8 || b[0]&0x08 == 0 || !d.push(overID(flows.EncapVXLAN, p, uint64(binary.BigEndian.Uint32(b[4:])>>8))) {
		return OutcomeNotIP
	}
	return d.ethernet(buf, off+8, wire, p)
}

// vxlanGPE decodes VXLAN's generic protocol extension
// (draft-ietf-nvo3-vxlan-gpe section 3): flags, of which one says that the fourth byte names a protocol.
func (d *Decoder) vxlanGPE(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 8 || b[0]&0x08 == 0 || !d.push(overID(flows.EncapVXLAN, p, uint64(binary.BigEndian.Uint32(b[4:])>>8))) {
		return OutcomeNotIP
	}
	off += 8
	if b[0]&0x04 == 0 {
		return d.ethernet(buf, off, wire, p)
	}
	switch b[3] {
	case 1, 2:
		return d.ip(buf, off, wire, p)
	case 3:
		return d.ethernet(buf, off, wire, p)
	case 4:
		return d.etherType(buf, off, wire, etherNSH, p)
	case 5:
		return d.mpls(buf, off, wire, p)
	}
	return OutcomeNotIP
}

// geneve decodes RFC 8926 section 3.4: version and length of the options in
// four bytes, flags, EtherType, VNI, options.
func (d *Decoder) geneve(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 8 || b[0]>>6 != 0 {
		return OutcomeNotIP
	}
	n := 8 + int(b[0]&0x3f)*4
	if len(b) < n || !d.push(overID(flows.EncapGeneve, p, uint64(binary.BigEndian.Uint32(b[4:])>>8))) {
		return OutcomeNotIP
	}
	return d.etherType(buf, off+n, wire, noLength(binary.BigEndian.Uint16(b[2:])), p)
}

// gtpu decodes GTP-U version 1 (3GPP TS 29.281 section 5): flags, message type,
// length of what follows the first eight bytes, tunnel endpoint.
func (d *Decoder) gtpu(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 8 || b[0]>>4 != 3 || b[1] != 0xff { // version 1, GTP not GTP'; G-PDU
		return OutcomeNotIP
	}
	end := off + 8 + int(binary.BigEndian.Uint16(b[2:]))
	if end > wire || !d.push(overID(flows.EncapGTPU, p, uint64(binary.BigEndian.Uint32(b[4:])))) {
		return OutcomeNotIP
	}
	wire = end
	buf = buf[:min(len(buf), wire)]
	off += 8
	if b[0]&0x07 != 0 { // sequence number, N-PDU number, next extension header: all or none
		if len(buf)-off < 4 {
			return OutcomeNotIP
		}
		next := buf[off+3]
		off += 4
		for next != 0 { // length in four bytes, content, next
			if off >= len(buf) {
				return OutcomeNotIP
			}
			n := int(buf[off]) * 4
			if n == 0 || len(buf)-off < n {
				return OutcomeNotIP
			}
			next = buf[off+n-1]
			off += n
		}
	}
	return d.ip(buf, off, wire, p)
}

// teredo decodes RFC 4380 section 5.1.1. Because any datagram may come from
// that port, the IPv6 datagram must fill it. A bubble, which only keeps address
// translators open, is the carrier's.
func (d *Decoder) teredo(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) >= 4 && b[0] == 0 && b[1] == 1 { // authentication: identifier, value, nonce, confirmation
		n := 4 + int(b[2]) + int(b[3]) + 8 + 1
		if len(b) < n {
			return OutcomeNotIP
		}
		off, b = off+n, b[n:]
	}
	if len(b) >= 8 && b[0] == 0 && b[1] == 0 { // origin: port, address
		off, b = off+8, b[8:]
	}
	if len(b) < 40 || b[0]>>4 != 6 || b[6] == protoNone || 40+int(binary.BigEndian.Uint16(b[4:])) != wire-off {
		return OutcomeNotIP
	}
	if !d.push(over(flows.EncapTeredo, p)) {
		return OutcomeNotIP
	}
	return d.ip(buf, off, wire, p)
}

// l2tp decodes a data message of L2TP over UDP, of version 2 (RFC 2661 section 3.1), which
// carries PPP. Its identifier is that of the tunnel, then that of the session.
func (d *Decoder) l2tp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const (
		control     = 0x8000
		hasLength   = 0x4000
		hasSequence = 0x0800
		hasOffset   = 0x0200
	)
	b := buf[off:]
	if len(b) < 6 {
		return OutcomeNotIP
	}
	flags := binary.BigEndian.Uint16(b)
	if flags&control != 0 {
		return OutcomeNotIP
	}
	switch flags & 0x0f {
	case 2:
	case 3: // RFC 3931 section 4.1.2.1: and two reserved bytes
		return d.l2tp3(buf, off+4, wire, p)
	default:
		return OutcomeNotIP
	}
	n := 2
	if flags&hasLength != 0 {
		n += 2
	}
	if len(b) < n+4 {
		return OutcomeNotIP
	}
	id := binary.BigEndian.Uint32(b[n:])
	n += 4
	if flags&hasSequence != 0 {
		n += 4
	}
	if flags&hasOffset != 0 {
		if len(b) < n+2 {
			return OutcomeNotIP
		}
		n += 2 + int(binary.BigEndian.Uint16(b[n:]))
	}
	if len(b) < n || !d.push(overID(flows.EncapL2TP, p, uint64(id))) {
		return OutcomeNotIP
	}
	return d.ppp(buf, off+n, wire, p)
}

// l2tp3 decodes a data message of L2TP version 3 from its session on (RFC 3931 section 4.1): what the
// session carries and how long its cookie is was agreed on elsewhere, so that
// it is told by the frame.
func (d *Decoder) l2tp3(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 4 {
		return OutcomeNotIP
	}
	session := binary.BigEndian.Uint32(buf[off:])
	if session == 0 || !d.push(overID(flows.EncapL2TP, p, uint64(session))) { // control
		return OutcomeNotIP
	}
	off += 4
	for range 4 { // no cookie, or four or eight bytes of it, and four of a sublayer
		b := buf[min(off, len(buf)):]
		switch {
		case len(b) < 4:
			return OutcomeNotIP
		case looksEthernet(b):
			return d.ethernet(buf, off, wire, p)
		case b[0] == 0xff && b[1] == 0x03:
			return d.ppp(buf, off, wire, p)
		case looksIP(b, wire-off):
			return d.ip(buf, off, wire, p)
		}
		off += 4
	}
	return OutcomeNotIP
}

// looksEthernet reports whether b may be an Ethernet frame with an IP datagram.
func looksEthernet(b []byte) bool {
	if len(b) < 15 {
		return false
	}
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherIPv4:
		return b[14]>>4 == 4
	case etherIPv6:
		return b[14]>>4 == 6
	case etherVLAN, etherQinQ:
		return true
	}
	return false
}

// looksIP reports whether b may be an IP datagram of wire bytes.
func looksIP(b []byte, wire int) bool {
	if len(b) < 20 {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		return b[0]&0x0f >= 5 && int(binary.BigEndian.Uint16(b[2:])) == wire
	case 6:
		return 40+int(binary.BigEndian.Uint16(b[4:])) == wire
	}
	return false
}

// lisp decodes the data plane of RFC 9300 section 5.1: flags, nonce, instance if a flag says so.
func (d *Decoder) lisp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 9 || b[8]>>4 != 4 && b[8]>>4 != 6 {
		return OutcomeNotIP
	}
	e := over(flows.EncapLISP, p)
	if b[0]&0x08 != 0 {
		e.HasID, e.ID = true, uint64(binary.BigEndian.Uint32(b[4:])>>8)
	}
	if !d.push(e) {
		return OutcomeNotIP
	}
	return d.ip(buf, off+8, wire, p)
}

// ayiya decodes Anything In Anything (draft-massar-v6ops-ayiya-02 section 3): lengths of the
// identity and of the signature, operation, next header, time; both; the datagram.
func (d *Decoder) ayiya(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 8 {
		return OutcomeNotIP
	}
	if op := b[2] & 0x0f; op != 1 && op != 3 { // forward, with or without an echo
		return OutcomeNotIP
	}
	if b[3] != protoIPIP && b[3] != protoIPv6 {
		return OutcomeNotIP
	}
	n := 8 + 1<<(b[0]>>4) + int(b[1]>>4)*4
	if len(b) < n || !d.push(over(flows.EncapAYIYA, p)) {
		return OutcomeNotIP
	}
	return d.ip(buf, off+n, wire, p)
}

// capwap decodes the data channel between access points and their controller (RFC 5415 section
// 4.3): version and type; length in four bytes, radio, binding, flags; …; the frame.
// Cisco's have IEEE 802.11 frames with two fields big-endian.
func (d *Decoder) capwap(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const (
		native    = 0x100 // the frame is of the binding's kind, otherwise of Ethernet
		fragment  = 0x080
		keepalive = 0x008
	)
	b := buf[off:]
	if len(b) < 8 || b[0] != 0 { // encrypted
		return OutcomeNotIP
	}
	h := binary.BigEndian.Uint32(b)
	n := int(h>>19&0x1f) * 4
	if n < 8 || len(b) < n+2 || h&(fragment|keepalive) != 0 || !d.push(over(flows.EncapCAPWAP, p)) {
		return OutcomeNotIP
	}
	switch off += n; {
	case h&native == 0:
		return d.ethernet(buf, off, wire, p)
	case h>>9&0x1f != 1: // IEEE 802.11
		return OutcomeNotIP
	case b[n]&0x0f != 0x08 && b[n+1]&0x0f == 0x08:
		return d.wlan(buf, off, wire, wlanSwapped, p)
	}
	return d.wlan(buf, off, wire, 0, p)
}

// lwapp decodes the data of what came before CAPWAP (RFC 5412 section 3.1): version,
// radio, kind and fragment in the first byte, fragment number, length, two bytes of the
// radio; an IEEE 802.11 frame whose frame control is in the other order.
func (d *Decoder) lwapp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const control, fragment = 0x04, 0x02
	b := buf[off:]
	if len(b) < 8 || b[0]>>6 != 0 || b[0]&(control|fragment) != 0 || int(binary.BigEndian.Uint16(b[2:])) > wire-off-6 || !d.push(over(flows.EncapLWAPP, p)) {
		return OutcomeNotIP
	}
	if b[6]&0x0f != 0x08 && b[7]&0x0f == 0x08 {
		return d.wlan(buf, off+6, wire, wlanSwapped, p)
	}
	return d.wlan(buf, off+6, wire, 0, p)
}

// gue decodes Generic UDP Encapsulation (draft-ietf-intarea-gue section 3): version, control flag and length
// of the header's rest in four bytes, the protocol, flags. In version 1 the datagram of IP begins at once.
func (d *Decoder) gue(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 4 {
		return OutcomeNotIP
	}
	if looksIP(b, wire-off) {
		if !d.push(over(flows.EncapGUE, p)) {
			return OutcomeNotIP
		}
		return d.ip(buf, off, wire, p)
	}
	n := 4 + int(b[0]&0x1f)*4
	if b[0]>>5 != 0 || len(b) <= n || !d.push(over(flows.EncapGUE, p)) { // of version 0, with data
		return OutcomeNotIP
	}
	switch off += n; b[1] {
	case protoIPIP, protoIPv6:
		return d.ip(buf, off, wire, p)
	case protoGRE, protoMPLS, protoEtherIP:
		return d.tunnel(buf, off, wire, b[1], p)
	}
	return OutcomeNotIP
}
