package ingest

import (
	"bytes"
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// transport decodes what an IP header says is above it. buf and wire end where
// the datagram does.
func (d *Decoder) transport(buf []byte, off, wire int, proto uint8, p *flows.Packet) Outcome {
	p.Transport, p.Proto = uint32(off), proto
	switch proto {
	case flows.ProtoTCP:
		return d.tcp(buf, off, wire, p)
	case flows.ProtoUDP:
		return d.udp(buf, off, wire, p)
	case protoUDPLite: // RFC 3828: its length field is the checksum's coverage
		if len(buf)-off < 8 {
			return short(off+8, wire, OutcomeMalformedTransport)
		}
		return ports(buf, off, off+8, wire, p)
	case flows.ProtoSCTP: // RFC 9260 section 3.1
		if len(buf)-off < 12 {
			return short(off+12, wire, OutcomeMalformedTransport)
		}
		return ports(buf, off, off+12, wire, p)
	case flows.ProtoICMP:
		return d.icmp(buf, off, wire, false, p)
	case flows.ProtoICMPv6:
		return d.icmp(buf, off, wire, true, p)
	case protoAH: // over IPv4; over IPv6 it is an extension header
		n, o := d.ah(buf, off, wire)
		if o != OutcomeFlow {
			return o
		}
		return d.transport(buf, off+n, wire, buf[off], p)
	case protoIPComp:
		if o := d.ipcomp(buf, off, wire, p); o != OutcomeNotIP {
			return o
		}
	case protoIPIP, protoIPv6, protoGRE, protoMPLS, protoEtherIP, protoL2TP:
		if o := d.tunnel(buf, off, wire, proto, p); o != OutcomeNotIP {
			return o
		}
	}
	setPayload(buf, off, wire, p)
	p.Hash = flows.Hash(&p.Src, &p.Dst, 0, 0, proto)
	return OutcomeFlow
}

// ports finishes a packet whose transport begins with two ports.
func ports(buf []byte, off, payload, wire int, p *flows.Packet) Outcome {
	p.SrcPort, p.DstPort = binary.BigEndian.Uint16(buf[off:]), binary.BigEndian.Uint16(buf[off+2:])
	p.Flags |= flows.HasPorts
	setPayload(buf, payload, wire, p)
	p.Hash = flows.Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	return OutcomeFlow
}

// tcp decodes a TCP segment (RFC 9293 section 3.1). Options that are cut leave
// it a packet of its flow, as do options that a frame shorter than its IP
// header claims has lost.
func (d *Decoder) tcp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 20 {
		return short(off+20, wire, OutcomeMalformedTransport)
	}
	h := (*[20]byte)(buf[off:])
	payload := off + int(h[12]>>4)*4
	if payload < off+20 || payload > wire && uint64(payload) > uint64(p.Network)+uint64(p.IPLen) {
		return OutcomeMalformedTransport
	}
	p.Seq, p.Ack = binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:])
	p.TCPFlags = binary.BigEndian.Uint16(h[12:]) & 0x0fff
	p.Window, p.Checksum = binary.BigEndian.Uint16(h[14:]), binary.BigEndian.Uint16(h[16:])
	if d.Checksums && d.whole(buf, wire, p) {
		d.verify(buf, off, p.Checksum, p)
	}
	return ports(buf, off, payload, wire, p)
}

// udp decodes a UDP datagram (RFC 768), and what it tunnels.
func (d *Decoder) udp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	if len(buf)-off < 8 {
		return short(off+8, wire, OutcomeMalformedTransport)
	}
	h := (*[8]byte)(buf[off:])
	whole := d.Checksums && d.whole(buf, wire, p)
	if n := int(binary.BigEndian.Uint16(h[4:])); n >= 8 && off+n <= wire {
		wire = off + n
		buf = buf[:min(len(buf), wire)]
	} else {
		whole = false // nobody can say what the sum covers
	}
	src, dst := binary.BigEndian.Uint16(h[0:]), binary.BigEndian.Uint16(h[2:])
	var port uint16 // that makes it worth to look for a tunnel
	switch dst {
	case portVXLAN, portVXLANGPE, portVXLANLinux, portGTPU, portGeneve, portTeredo, portL2TP, portLISP, portGRE, portMPLS,
		portAYIYA, portCAPWAP, portTZSP, portGUE, portLWAPP:
		port = dst
	default:
		switch src {
		case portGTPU, portTeredo, portL2TP, portAYIYA, portCAPWAP, portLWAPP: // answer from it; the others send from any
			port = src
		default:
			// Between Teredo's clients and relays neither port is fixed, but an address is of its prefix (RFC 4380 section 2.6).
			if b := buf[off+8:]; len(b) >= 40 && b[0]>>4 == 6 &&
				(binary.BigEndian.Uint32(b[8:]) == 0x20010000 || binary.BigEndian.Uint32(b[24:]) == 0x20010000) {
				port = portTeredo
			}
		}
	}
	if port != 0 {
		if o := d.udpTunnel(buf, off+8, wire, port, p); o != OutcomeNotIP {
			return o
		}
	}
	p.Checksum = binary.BigEndian.Uint16(h[6:])
	if whole {
		d.verify(buf, off, p.Checksum, p)
	}
	return ports(buf, off, off+8, wire, p)
}

// icmp decodes an ICMP message (RFC 792, RFC 4443) and, of an error, the tuple
// of the packet it quotes.
func (d *Decoder) icmp(buf []byte, off, wire int, v6 bool, p *flows.Packet) Outcome {
	if len(buf)-off < 4 {
		return short(off+4, wire, OutcomeMalformedTransport)
	}
	b := buf[off:]
	p.ICMPType, p.ICMPCode = b[0], b[1]
	p.SrcPort, p.DstPort, _ = flows.ICMPPorts(v6, b[0], b[1])
	p.Checksum = binary.BigEndian.Uint16(b[2:])
	if d.Checksums && d.whole(buf, wire, p) {
		if v6 {
			d.verify(buf, off, p.Checksum, p)
		} else if fold(sum(0, b)) != 0xffff && p.Checksum != 0 {
			p.Flags |= flows.BadChecksum
		}
	}
	setPayload(buf, min(off+8, wire), wire, p)
	if isICMPError(v6, b[0]) && len(b) > 8 {
		var q quoted
		if q.parse(b[8:]) {
			p.Hash = flows.Hash(&q.src, &q.dst, q.srcPort, q.dstPort, q.proto)
			p.Quote = max(p.Hash, 1)
			p.Flags |= flows.ICMPError
			if c := bytes.Compare(q.src[:], q.dst[:]); c > 0 || c == 0 && q.srcPort > q.dstPort {
				p.Flags |= flows.QuoteReversed
			}
			return OutcomeFlow
		}
	}
	p.Hash = flows.Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	return OutcomeFlow
}

// isICMPError reports whether a message of the type quotes a packet.
func isICMPError(v6 bool, typ uint8) bool {
	if v6 {
		return typ >= 1 && typ <= 4 // unreachable, too big, time exceeded, parameter problem
	}
	switch typ {
	case 3, 4, 5, 11, 12: // unreachable, source quench, redirect, time exceeded, parameter problem
		return true
	}
	return false
}

// quoted is the tuple of a packet that an ICMP error quotes: of its outermost
// IP header, because more of it is rarely quoted.
type quoted struct {
	src, dst         flows.Addr
	srcPort, dstPort uint16
	proto            uint8
}

// parse reads the beginning of a datagram. It reports false unless the tuple
// is all there.
func (q *quoted) parse(b []byte) bool {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		header := int(b[0]&0x0f) * 4
		if header < 20 || len(b) < header || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return false
		}
		q.proto = b[9]
		putIPv4(&q.src, binary.LittleEndian.Uint32(b[12:]))
		putIPv4(&q.dst, binary.LittleEndian.Uint32(b[16:]))
		b = b[header:]
	case len(b) >= 40 && b[0]>>4 == 6:
		q.proto = b[6]
		q.src, q.dst = flows.Addr(b[8:24]), flows.Addr(b[24:40])
		if b = skipExtensions(b[40:], &q.proto); b == nil {
			return false
		}
	default:
		return false
	}
	switch q.proto {
	case flows.ProtoTCP, flows.ProtoUDP, flows.ProtoSCTP, protoUDPLite:
		if len(b) < 4 {
			return false
		}
		q.srcPort, q.dstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	case flows.ProtoICMP, flows.ProtoICMPv6:
		v6 := q.proto == flows.ProtoICMPv6
		if len(b) < 2 || isICMPError(v6, b[0]) { // nobody answers an error with an error (RFC 1122 section 3.2.2)
			return false
		}
		q.srcPort, q.dstPort, _ = flows.ICMPPorts(v6, b[0], b[1])
	}
	return true
}

// skipExtensions returns what follows IPv6 extension headers, and sets next to
// its protocol; nil if that cannot be told.
func skipExtensions(b []byte, next *uint8) []byte {
	for range maxExtensions {
		var n int
		switch *next {
		case protoHopByHop, protoRouting, protoDestOpts:
			if len(b) < 8 {
				return nil
			}
			n = (int(b[1]) + 1) * 8
		case protoFragment:
			if len(b) < 8 || binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
				return nil
			}
			n = 8
		case protoAH:
			if len(b) < 12 {
				return nil
			}
			n = (int(b[1]) + 2) * 4
		default:
			return b
		}
		if len(b) < n {
			return nil
		}
		*next = b[0]
		b = b[n:]
	}
	return nil
}
