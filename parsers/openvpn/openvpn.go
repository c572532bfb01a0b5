// Package openvpn reads the control channel of OpenVPN: the bytes of the TLS
// session by which the two ends agree on keys, put in order. It is described in
// OpenVPN's "Network protocol" and in the draft openvpn-wire-protocol.
//
// What the bytes say is for another parser, which this package does not know:
// a parser here is made around it, and its messages are that parser's. The tunnel's
// own packets (P_DATA) are passed over; they are encrypted.
//
// A packet is a datagram, or in TCP follows its length:
//
//	length 2 (TCP) | opcode 5 bits, key id 3 | session id 8 | HMAC 16…64, replay id 4, time 4 (tls-auth)
//	   | number of acknowledgements 1 | 4 each | session id of the other side 8, if there is one
//	   | packet's number 4 | bytes of TLS
//
// A reset of either side begins a negotiation and has number 0; the packets of P_CONTROL_V1
// count on from there, each side's by itself, and are sent again until they are
// acknowledged. A tunnel that lives long negotiates again, under another key id
// and with a TLS session of its own. Whether there is a HMAC, and how long it is, is
// known to the two ends only: the length that makes sense of the first packet is
// taken (layouts). tls-crypt encrypts all of it; such a flow is not recognized here.
package openvpn

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Protocol returns OpenVPN for an Engine, recognized by its packets on any port, over UDP and
// TCP. inner makes the parsers of what the control channel carries; the messages are theirs.
func Protocol[M any](inner func() parsers.SessionParser[M]) parsers.Protocol[M] {
	return parsers.Protocol[M]{
		Name:     "openvpn",
		Stream:   func() parsers.SessionParser[M] { return NewStream(inner) },
		Datagram: func() parsers.DatagramParser[M] { return NewDatagrams(inner) },
		Probe:    Probe,
		Begins:   func(data []byte) bool { return len(data) >= minPacket && control(data[0]) },
	}
}

// Opcodes.
const (
	opSoftReset       = 3
	opControl         = 4
	opHardResetClient = 7 // version 2 of it, as of the server's; version 1 is from before OpenVPN 2
	opHardResetServer = 8
	maxOpcode         = 11
)

const (
	minPacket = 1 + 8 + 1 + 4
	// maxPacket is the longest packet that is put together or kept: none is sent that
	// does not fit into the link's datagrams.
	maxPacket = 4 << 10
	// maxAcks is how many acknowledgements a packet has at most.
	maxAcks = 8
	// window is how far a side may be ahead of what was acknowledged (the reliability
	// layer's capacity). What is further ahead proves that the other side has what we have not.
	window = 12
	// missing stands for bytes of which nobody knows how many there were.
	missing = 1 << 30
)

// control reports whether a packet's first byte is of one that is read.
func control(b byte) bool {
	op := b >> 3
	return op == opControl || op == opSoftReset && b&7 != 0 || (op == opHardResetClient || op == opHardResetServer) && b&7 == 0
}

// packet is a packet of the control channel that is no mere acknowledgement.
type packet struct {
	session, other []byte // session ids of the sender, and of the other side; nil: it was not named
	acked          uint32 // the first packet that is acknowledged
	number         uint32
	payload        []byte
}

// layouts are the lengths of the HMAC of tls-auth: none, and those of the digests
// that OpenVPN's --auth takes (MD5, SHA1, SHA224, SHA256, SHA384, SHA512).
var layouts = [...]int{0, 16, 20, 28, 32, 48, 64}

// decode reads a packet whose HMAC has so many bytes.
func decode(b []byte, mac int) (p packet, ok bool) {
	if len(b) < minPacket {
		return p, false
	}
	p.session = b[1:9]
	b = b[9:]
	if mac > 0 {
		if len(b) < mac+8 || binary.BigEndian.Uint32(b[mac:]) == 0 { // replay ids begin with 1
			return p, false
		}
		b = b[mac+8:]
	}
	if len(b) < 1 || b[0] > maxAcks {
		return p, false
	}
	acks := int(b[0])
	b = b[1:]
	if acks > 0 {
		if len(b) < 4*acks+8 {
			return p, false
		}
		p.acked = binary.BigEndian.Uint32(b)
		p.other = b[4*acks : 4*acks+8]
		b = b[4*acks+8:]
	}
	if len(b) < 4 {
		return p, false
	}
	p.number, p.payload = binary.BigEndian.Uint32(b), b[4:]
	return p, true
}

// first reads a packet that begins a negotiation, or the first of it that was
// captured: by itself it has to tell how long the HMAC is. A reset has number 0
// and nothing behind it; packets with bytes of TLS begin with a hello.
func first(b []byte) (p packet, mac int, ok bool) {
	if len(b) < minPacket || !control(b[0]) {
		return p, 0, false
	}
	for _, mac := range layouts {
		p, ok := decode(b, mac)
		switch {
		case !ok, zero(p.session):
		case b[0]>>3 == opControl:
			if p.number < 1<<16 && hello(p.payload) {
				return p, mac, true
			}
		case p.number == 0 && len(p.payload) == 0 && p.acked == 0 && (b[0]>>3 != opHardResetClient || p.other == nil):
			if mac == 0 || binary.BigEndian.Uint32(b[9+mac:]) < 1<<20 {
				return p, mac, true
			}
		}
	}
	return p, 0, false
}

func zero(b []byte) bool { return binary.BigEndian.Uint64(b) == 0 }

// hello reports whether b begins with a record of TLS that begins with a hello
// (RFC 8446 sections 4 and 5.1).
func hello(b []byte) bool {
	return len(b) >= 7 && b[0] == 22 && b[1] == 3 && b[2] <= 4 && (b[5] == 1 || b[5] == 2) && b[6] == 0
}

// Probe looks at the first bytes of a side. They are OpenVPN if they are a reset, to the
// last byte, or a packet with a hello of TLS.
func Probe(f *flows.Flow, _ flows.Side, data []byte) parsers.Verdict {
	if f.Proto != flows.ProtoTCP {
		if _, _, ok := first(data); ok {
			return parsers.Yes
		}
		return parsers.No
	}
	if len(data) >= 2 {
		if n := int(binary.BigEndian.Uint16(data)); n < minPacket || n > maxPacket {
			return parsers.No
		} else if len(data) >= 2+n {
			if _, _, ok := first(data[2 : 2+n]); ok {
				return parsers.Yes
			}
			return parsers.No
		}
	}
	if len(data) >= 1 && data[0] > maxPacket>>8 || len(data) >= 3 && !control(data[2]) {
		return parsers.No
	}
	return parsers.Maybe
}

// session is what both forms of the protocol have in common: the negotiation at hand.
type session[M any] struct {
	inner   parsers.SessionParser[M]
	other   parsers.SessionParser[M] // holds the latest message of the negotiation before; nil until there was one
	make    func() parsers.SessionParser[M]
	begun   bool
	fed     bool // inner was
	swapped bool // in the call at hand
	refused bool // there is no parser for the negotiation
	key     byte
	mac     int
	at      flows.Stamp // the latest packet
	sides   [2]half
	givenUp int
}

// half is one side of a negotiation.
type half struct {
	known bool
	lost  bool // bytes are missing, and with them the order of what follows
	id    [8]byte
	next  uint32 // number of the packet whose turn it is

	// held are the packets ahead of next, by number modulo window.
	held [window]piece
}

type piece struct {
	full bool
	data []byte
}

// packet takes a packet of side.
func (s *session[M]) packet(dst []M, side flows.Side, at flows.Stamp, b []byte) []M {
	if len(b) < minPacket || !control(b[0]) {
		return dst
	}
	key := b[0] & 7
	reset := b[0]>>3 != opControl
	h := &s.sides[side]
	p, ok := packet{}, false
	if s.begun {
		p, ok = decode(b, s.mac)
	} else {
		p, s.mac, ok = first(b)
	}
	if !ok || reset && (p.number != 0 || len(p.payload) > 0) {
		return dst
	}
	if o := &s.sides[side.Other()]; p.other != nil && o.known && string(o.id[:]) != string(p.other) {
		return dst // the answer to another session
	}
	s.at = at
	same := s.begun && key == s.key && h.known && string(h.id[:]) == string(p.session)
	if !same {
		if !reset && !hello(p.payload) {
			return dst
		}
		if s.begun && (key != s.key || h.known) {
			dst = s.renew(dst)
		}
		s.begun, s.key = true, key
		h.known, h.next = true, p.number
		copy(h.id[:], p.session)
	}
	return s.deliver(dst, side, p.number, p.payload)
}

// deliver takes the bytes of packet number of side, each once and in order.
func (s *session[M]) deliver(dst []M, side flows.Side, number uint32, b []byte) []M {
	h := &s.sides[side]
	ahead := number - h.next
	switch {
	case h.lost || s.refused || ahead >= 1<<31: // it came before
		return dst
	case ahead >= window:
		return s.lose(dst, side)
	case ahead > 0:
		if p := &h.held[number%window]; !p.full && len(b) <= maxPacket {
			p.full, p.data = true, append(p.data[:0], b...)
		}
		return dst
	}
	for {
		if len(b) > 0 {
			s.fed = true
			dst = s.inner.Feed(dst, side, s.at, b)
		}
		h.next++
		p := &h.held[h.next%window]
		if !p.full {
			return dst
		}
		p.full, b = false, p.data
	}
}

// lose says that the next bytes of side were not captured.
func (s *session[M]) lose(dst []M, side flows.Side) []M {
	h := &s.sides[side]
	if h.lost {
		return dst
	}
	h.lost = true
	for i := range h.held {
		h.held[i].full = false
	}
	if s.refused {
		return dst
	}
	s.fed = true
	return s.inner.Gap(dst, side, s.at, missing)
}

// flush says what is known of the negotiation, without the packets that wait for others.
func (s *session[M]) flush(dst []M) []M {
	for side := range s.sides {
		for i := range s.sides[side].held {
			if s.sides[side].held[i].full {
				dst = s.lose(dst, flows.Side(side))
			}
		}
	}
	if !s.fed || s.refused {
		return dst
	}
	return s.inner.End(dst)
}

// renew makes room for another negotiation.
func (s *session[M]) renew(dst []M) []M {
	dst = s.flush(dst)
	for side := range s.sides {
		s.sides[side].clear()
	}
	if !s.fed {
		return dst
	}
	if s.swapped {
		// Three negotiations within one segment: both parsers hold messages that are
		// lent until the call returns. Nobody does that but to see what happens.
		s.refused = true
		s.givenUp++
		return dst
	}
	if s.other == nil {
		s.other = s.make()
	}
	s.inner, s.other = s.other, s.inner
	if b, ok := s.inner.(parsers.Bounded); ok {
		s.givenUp += b.GivenUp()
	}
	s.inner.Reset()
	s.fed, s.swapped, s.refused = false, true, false
	return dst
}

func (h *half) clear() {
	held := h.held
	for i := range held {
		held[i].full = false
	}
	*h = half{held: held}
}

func (s *session[M]) reset() {
	s.inner.Reset()
	if s.other != nil {
		s.other.Reset()
	}
	n := 0
	for side := range s.sides {
		h := &s.sides[side]
		h.clear()
		for i := range h.held {
			if n += cap(h.held[i].data); n > maxPacket {
				h.held[i].data = nil
			}
		}
	}
	*s = session[M]{inner: s.inner, other: s.other, make: s.make, sides: s.sides}
}

// Datagrams is a parsers.DatagramParser for OpenVPN over UDP.
type Datagrams[M any] struct{ s session[M] }

// NewDatagrams returns a parser around those that inner makes.
func NewDatagrams[M any](inner func() parsers.SessionParser[M]) *Datagrams[M] {
	return &Datagrams[M]{session[M]{inner: inner(), make: inner}}
}

// Datagram implements parsers.DatagramParser.
func (d *Datagrams[M]) Datagram(dst []M, side flows.Side, at flows.Stamp, data []byte) []M {
	d.s.swapped = false
	return d.s.packet(dst, side, at, data)
}

// Idle reports that no negotiation has begun. One that is over still says which
// packets are not of the next.
func (d *Datagrams[M]) Idle() bool { return !d.s.begun }

// End implements parsers.DatagramParser.
func (d *Datagrams[M]) End(dst []M) []M { return d.s.flush(dst) }

// Reset makes the parser as new. It keeps memory.
func (d *Datagrams[M]) Reset() { d.s.reset() }

// Stream is a parsers.SessionParser for OpenVPN over TCP.
type Stream[M any] struct {
	s     session[M]
	sides [2]framing
}

// framing finds the packets of a side.
type framing struct {
	hopeless bool // where the next packet begins is not known any more
	hdr      [2]byte
	nhdr     int
	left     int    // bytes of the packet to come
	first    bool   // and none has
	keep     bool   // it is read
	buf      []byte // its beginning, where it came in pieces
}

// NewStream returns a parser around those that inner makes.
func NewStream[M any](inner func() parsers.SessionParser[M]) *Stream[M] {
	return &Stream[M]{s: session[M]{inner: inner(), make: inner}}
}

// Feed implements parsers.SessionParser.
func (p *Stream[M]) Feed(dst []M, side flows.Side, at flows.Stamp, data []byte) []M {
	p.s.swapped = false
	f := &p.sides[side]
	for len(data) > 0 && !f.hopeless {
		if f.left == 0 {
			n := copy(f.hdr[f.nhdr:], data)
			f.nhdr += n
			data = data[n:]
			if f.nhdr < len(f.hdr) {
				return dst
			}
			f.nhdr, f.left, f.first = 0, int(binary.BigEndian.Uint16(f.hdr[:])), true
			f.hopeless = f.left == 0
			continue
		}
		part := data[:min(f.left, len(data))]
		data = data[len(part):]
		if f.first {
			f.first = false
			op := part[0] >> 3
			f.hopeless = op == 0 || op > maxOpcode
			f.keep = control(part[0]) && f.left <= maxPacket
		}
		f.left -= len(part)
		if !f.keep {
			continue
		}
		if f.left > 0 || len(f.buf) > 0 {
			f.buf = append(f.buf, part...)
			part = f.buf
		}
		if f.left == 0 {
			dst = p.s.packet(dst, side, at, part)
			f.buf = f.buf[:0]
		}
	}
	return dst
}

// Gap implements parsers.SessionParser. Within a packet, that one is lost; else
// all that follows is.
func (p *Stream[M]) Gap(dst []M, side flows.Side, at flows.Stamp, n int64) []M {
	p.s.swapped = false
	f := &p.sides[side]
	if f.hopeless || n <= 0 {
		return dst
	}
	f.first, f.keep, f.buf = false, false, f.buf[:0]
	if n <= int64(f.left) {
		f.left -= int(n)
		return dst
	}
	f.hopeless = true
	if !p.s.sides[side].known {
		return dst
	}
	p.s.at = at
	return p.s.lose(dst, side)
}

// Fin implements parsers.SessionParser.
func (p *Stream[M]) Fin(dst []M, side flows.Side, at flows.Stamp) []M {
	if !p.s.fed || p.s.refused {
		return dst
	}
	return p.s.inner.Fin(dst, side, at)
}

// Rst implements parsers.SessionParser.
func (p *Stream[M]) Rst(dst []M, side flows.Side, at flows.Stamp) []M {
	if !p.s.fed || p.s.refused {
		return dst
	}
	return p.s.inner.Rst(dst, side, at)
}

// End implements parsers.SessionParser.
func (p *Stream[M]) End(dst []M) []M { return p.s.flush(dst) }

// Done reports that no packets can be found any more.
func (p *Stream[M]) Done() bool { return p.sides[0].hopeless && p.sides[1].hopeless }

// Reset makes the parser as new. It keeps memory.
func (p *Stream[M]) Reset() {
	p.s.reset()
	for side := range p.sides {
		p.sides[side] = framing{buf: p.sides[side].buf[:0]}
	}
}
