package ssh

import (
	"bytes"
	"encoding/binary"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Bounds. A side holds one line, or one payload, and its offer.
const (
	maxIdentification = 255      // bytes of an identification that are kept (RFC 4253 section 4.2, CR LF included)
	maxPreamble       = 16 << 10 // bytes before the identification
	maxPacket         = 256 << 10
	maxPayload        = 64 << 10 // of a payload that is read; RFC 4253 section 6.1 asks for 32,768, and larger offers are seen
	keepMemory        = 8 << 10  // that a side keeps after Reset
)

// Messages that are read (RFC 4253 section 12, RFC 4419 section 5, RFC 5656).
const (
	msgDisconnect = 1
	msgKexInit    = 20
	msgNewKeys    = 21
	msgKexFirst   = 30 // 30 to 49: of the key exchange method
	msgKexLast    = 49
)

// Parser is a parsers.SessionParser[Handshake]. Its zero value is ready.
type Parser struct {
	h       Handshake
	sides   [2]half
	begun   bool // some byte was seen
	roles   bool // h.ClientSide is known, not assumed
	reset   bool // a side reset the flow
	settled bool // the message was said
}

var _ parsers.SessionParser[Handshake] = (*Parser)(nil)

// half is the machine of one side.
type half struct {
	state state
	read  int // bytes before the identification; then of the packet: header, type, payload
	size  int // of the packet's payload
	tail  int // padding, or what else is to be passed over before the next packet
	typ   byte

	buf     []byte // the line, or the packet's header and wanted payload
	id      []byte
	offer   []byte // payload of the KEXINIT
	hostKey []byte
}

type state uint8

const (
	lines  state = iota // before and in the identification
	header              // of a packet
	payload
	padding
	opaque // encrypted
	lost   // packets' borders are not known
	closed
)

// Feed takes the next bytes of side.
func (p *Parser) Feed(dst []Handshake, side flows.Side, at flows.Stamp, data []byte) []Handshake {
	s := &p.sides[side]
	if p.settled || s.state >= opaque || len(data) == 0 {
		return dst
	}
	p.touch(at)
	for len(data) > 0 && s.state < opaque && !p.settled {
		switch s.state {
		case lines:
			data = p.line(s, data)
		case header:
			n := min(6-len(s.buf), len(data))
			s.buf = append(s.buf, data[:n]...)
			data = data[n:]
			if len(s.buf) == 6 {
				p.header(side, s, at)
			}
		case payload:
			n := min(s.size-s.read, len(data))
			if s.wanted() {
				s.buf = append(s.buf, data[:min(n, maxPayload-len(s.buf))]...)
			}
			s.read += n
			data = data[n:]
			if s.read == s.size {
				s.state = padding
				p.endPadding(side, s, at)
			}
		case padding:
			n := min(s.tail, len(data))
			s.tail -= n
			data = data[n:]
			p.endPadding(side, s, at)
		}
	}
	return p.settle(dst)
}

func (p *Parser) touch(at flows.Stamp) {
	if !p.begun {
		p.begun, p.h.First = true, at
	}
	p.h.Last = at
}

// line takes bytes up to the identification's end.
func (p *Parser) line(s *half, data []byte) []byte {
	line, rest, ended := bytes.Cut(data, []byte("\n"))
	s.buf = append(s.buf, line[:min(len(line), max(0, maxIdentification-len(s.buf)))]...)
	s.read += len(line)
	if ended {
		s.read++
	}
	if s.read > maxPreamble {
		p.broken(s, "identification")
		return nil
	}
	if !ended {
		return nil
	}
	if !bytes.HasPrefix(s.buf, []byte("SSH-")) {
		s.buf = s.buf[:0]
		return rest
	}
	s.id = append(s.id[:0], bytes.TrimSuffix(s.buf, []byte("\r"))...)
	s.buf, s.read = s.buf[:0], 0
	s.state = header
	if isVersion1(s.id) {
		s.state = opaque
	}
	return rest
}

// header takes a packet's header and the type of its payload.
func (p *Parser) header(side flows.Side, s *half, at flows.Stamp) {
	length, pad := int64(binary.BigEndian.Uint32(s.buf)), int64(s.buf[4])
	if length > maxPacket || length < pad+2 {
		p.broken(s, "packet_length")
		return
	}
	s.typ = s.buf[5]
	s.size, s.tail, s.read = int(length-1-pad), int(pad), 1
	s.buf = append(s.buf[:0], s.typ)
	s.state = payload
	if s.typ == 0 || s.typ >= 80 { // no number of the transport layer
		p.broken(s, "message_type")
		return
	}
	if s.size == 1 {
		s.state = padding
		p.endPadding(side, s, at)
	}
}

func (s *half) wanted() bool {
	return s.typ == msgKexInit || s.typ == msgDisconnect || s.typ >= msgKexFirst && s.typ <= msgKexLast
}

// endPadding ends the packet if its padding is over. A padding of no bytes, which no
// packet should have, ends with the payload.
func (p *Parser) endPadding(side flows.Side, s *half, at flows.Stamp) {
	if s.tail > 0 {
		return
	}
	s.state = header
	p.message(side, s, at)
	s.buf, s.read = s.buf[:0], 0
}

// message takes a payload that is complete.
func (p *Parser) message(side flows.Side, s *half, at flows.Stamp) {
	whole := len(s.buf) == s.size
	switch typ := s.typ; {
	case typ == msgKexInit:
		if len(s.offer) > 0 {
			return
		}
		if !whole && p.h.AfterGap {
			return // what was not captured breaks no rule
		}
		var peer Peer
		if !whole || !peer.parse(s.buf) {
			p.malformed("kexinit")
			return
		}
		s.offer = append(s.offer[:0], s.buf...)
		// Names that only one of the roles sends (RFC 8308 section 2.1; strict key exchange).
		if n := peer.KexAlgorithms; has(n, "ext-info-c") || has(n, "kex-strict-c-v00@openssh.com") {
			p.role(side)
		} else if has(n, "ext-info-s") || has(n, "kex-strict-s-v00@openssh.com") {
			p.role(side.Other())
		}
	case typ == msgNewKeys:
		s.state = opaque
		if p.sides[side.Other()].state == opaque {
			p.h.Done = at
		}
	case typ == msgDisconnect:
		if whole && len(s.buf) >= 5 && p.h.DisconnectReason == 0 {
			p.h.DisconnectReason, p.h.DisconnectedBy = binary.BigEndian.Uint32(s.buf[1:]), side
		}
		s.state = closed
	case typ == 30 || typ == 32 || typ == 34: // of all methods so far, what the client sends is even
		p.role(side)
	case typ == 31 || typ == 33:
		p.role(side.Other())
		key, _, ok := cutString(s.buf[1:])
		if name, _, named := cutString(key); ok && named && whole && len(s.hostKey) == 0 && plainName(name) {
			s.hostKey = append(s.hostKey[:0], key...)
		}
	}
}

// role notes that client is the client's side.
func (p *Parser) role(client flows.Side) {
	if !p.roles {
		p.roles, p.h.ClientSide = true, client
	}
}

// plainName says whether b could be a key's type: the same method's number
// also carries the primes of a group.
func plainName(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c == ',' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}

func has(list []byte, name string) bool {
	for len(list) > 0 {
		var n []byte
		n, list, _ = bytes.Cut(list, []byte(","))
		if string(n) == name {
			return true
		}
	}
	return false
}

// parse reads a KEXINIT (RFC 4253 section 7.1).
func (q *Peer) parse(b []byte) bool {
	const cookie = 16
	if len(b) < 1+cookie {
		return false
	}
	b = b[1+cookie:]
	for _, list := range []*[]byte{&q.KexAlgorithms, &q.HostKeyAlgorithms, &q.CiphersOut, &q.CiphersIn,
		&q.MACsOut, &q.MACsIn, &q.CompressionOut, &q.CompressionIn, &q.LanguagesOut, &q.LanguagesIn} {
		var ok bool
		if *list, b, ok = cutString(b); !ok {
			return false
		}
	}
	if len(b) < 1 {
		return false
	}
	q.KEX, q.FirstPacketFollows = true, b[0] != 0
	return true
}

func (p *Parser) malformed(rule string) {
	if p.h.Malformed == "" {
		p.h.Malformed = rule
	}
}

func (p *Parser) broken(s *half, rule string) {
	p.malformed(rule)
	s.state = lost
	s.buf = s.buf[:0]
}

// Gap says that n bytes of side will never come. Inside of a payload or its padding the
// packets' borders stay known.
func (p *Parser) Gap(dst []Handshake, side flows.Side, at flows.Stamp, n int64) []Handshake {
	s := &p.sides[side]
	if p.settled || s.state >= opaque || n <= 0 {
		return dst
	}
	p.touch(at)
	p.h.AfterGap = true
	if s.state == payload && n <= int64(s.size-s.read) {
		s.read += int(n)
		if s.read == s.size {
			s.state = padding
			p.endPadding(side, s, at)
		}
		return p.settle(dst)
	}
	if s.state == padding && n <= int64(s.tail) || s.state == payload && n < int64(s.size-s.read+s.tail) {
		if s.state == payload {
			n -= int64(s.size - s.read)
			s.state = padding
		}
		s.tail -= int(n)
		p.endPadding(side, s, at)
		return p.settle(dst)
	}
	s.state = lost
	s.buf = s.buf[:0]
	return p.settle(dst)
}

// Fin says that side ended its stream.
func (p *Parser) Fin(dst []Handshake, side flows.Side, at flows.Stamp) []Handshake {
	s := &p.sides[side]
	if p.settled || s.state == opaque || s.state == closed {
		return dst
	}
	s.state = closed
	return p.settle(dst)
}

// Rst says that side reset the flow.
func (p *Parser) Rst(dst []Handshake, side flows.Side, at flows.Stamp) []Handshake {
	if p.settled || !p.begun {
		return dst
	}
	p.reset = true
	for i := range p.sides {
		if s := &p.sides[i]; s.state < opaque {
			s.state = closed
		}
	}
	return p.settle(dst)
}

// End yields the handshake if it was not said yet.
func (p *Parser) End(dst []Handshake) []Handshake {
	if p.settled {
		return dst
	}
	return p.say(dst)
}

// settle says the message once no side has more to add.
func (p *Parser) settle(dst []Handshake) []Handshake {
	if p.settled || p.sides[0].state < opaque && p.h.DisconnectReason == 0 || p.sides[1].state < opaque && p.h.DisconnectReason == 0 {
		return dst
	}
	return p.say(dst)
}

func (p *Parser) say(dst []Handshake) []Handshake {
	p.settled = true
	a, b := &p.sides[0], &p.sides[1]
	if len(a.id) == 0 && len(b.id) == 0 {
		return dst // whatever it was
	}
	h := &p.h
	for side, peer := range [2]*Peer{&h.Client, &h.Server} {
		s := &p.sides[h.ClientSide^flows.Side(side)]
		*peer = Peer{}
		if len(s.offer) > 0 {
			peer.parse(s.offer)
		}
		if len(s.id) > 0 {
			peer.Identification = s.id
		}
		peer.NewKey = s.state == opaque && !isVersion1(s.id)
	}
	h.HostKey = nil
	if s := &p.sides[h.ClientSide.Other()]; len(s.hostKey) > 0 {
		h.HostKey = s.hostKey
	}
	switch {
	case isVersion1(a.id) || isVersion1(b.id):
		h.Outcome = Version1
	case h.Done.Pos != 0:
		h.Outcome = Established
	case h.DisconnectReason != 0:
		h.Outcome = Disconnected
	case p.reset:
		h.Outcome = Reset
	case a.state == lost || b.state == lost:
		h.Outcome = Gap
		if h.Malformed != "" {
			h.Outcome = Broken
		}
	case a.state == closed || b.state == closed:
		h.Outcome = Closed
	}
	return append(dst, *h)
}

// Done reports that the message was said.
func (p *Parser) Done() bool { return p.settled }

// Reset makes the parser as new.
func (p *Parser) Reset() {
	sides := p.sides
	*p = Parser{}
	for i := range sides {
		keep := func(b []byte) []byte {
			if cap(b) > keepMemory {
				return nil
			}
			return b[:0]
		}
		p.sides[i] = half{buf: keep(sides[i].buf), id: keep(sides[i].id), offer: keep(sides[i].offer), hostKey: keep(sides[i].hostKey)}
	}
}
