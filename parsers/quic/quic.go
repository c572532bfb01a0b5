// Package quic turns the datagrams of one UDP flow into one message per QUIC
// connection: its handshake, as far as it is in the clear. It knows version 1
// (RFC 9000, RFC 9001), version 2 (RFC 9369), drafts 22 to 34, and what used
// the drafts' packets under numbers of their own.
//
// In the clear is nearly the wrong word: Initial packets are encrypted, with
// keys that anyone can derive from the first packet's destination connection
// id (RFC 9001 section 5.2). They are opened here and, being authenticated,
// leave no doubt that the flow speaks QUIC.
//
//	datagram    |------------------------------|----------------|
//	packets     [Initial        ][0-RTT       ] [Initial       ]    coalesced
//	frames      CRYPTO 700… | PING | CRYPTO 0…   CRYPTO 300… ACK     in any order
//	CRYPTO      |ClientHello, from byte 0 on                   |    one stream a side
//
// The stream's bytes are handshake messages of TLS. This package does not
// read them: a message of it carries them, and who wants to know what they
// say gives them to a parser of TLS, which need not know of QUIC. Nothing
// else is decrypted: when the client has gone on to 1-RTT packets the message
// is said, and the flow holds no memory here any more.
package quic

import (
	"crypto/cipher"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/internal/pieces"
)

// Handshake is what one connection's handshake says. What it refers to is
// the parser's memory, by the rule of parsers.DatagramParser.
type Handshake struct {
	First flows.Stamp // packet with the first Initial that was opened
	Last  flows.Stamp // latest packet that was looked at
	Done  flows.Stamp // packet that completed it; zero unless Established

	ClientSide flows.Side // who sent the Initial whose connection id makes the keys
	Version    uint32     // of the server's Initial, where one was opened; else of the client's latest

	DCID       []byte // destination connection id of the client's first Initial, which it made up
	ClientSCID []byte // connection id that the client chose for itself; often empty
	ServerSCID []byte // connection id that the server chose for itself; nil: not known
	ServerSeen bool   // an Initial of the server was opened

	Retry       bool // the server answered with a Retry and the client obeyed
	Negotiation bool // the server answered with a Version Negotiation
	EarlyData   bool // the client sent 0-RTT packets

	// Established says that the client sent a 1-RTT packet, which it may only when
	// the handshake is complete (RFC 9001 section 5.7), and the server packets
	// beyond its Initials.
	Established bool

	// Crypto is the beginning of each side's CRYPTO stream of the Initial
	// packets, by flows.Side: TLS handshake messages, without records, up to
	// the first byte that was not seen.
	Crypto [2]Stream

	// Close is the first CONNECTION_CLOSE of each side that came in an Initial.
	Close [2]Close

	Oversize  bool   // CRYPTO bytes beyond the configured bounds were left out
	Malformed string // the first rule that the bytes broke; "" if none
}

// Stream is one side's beginning of the CRYPTO stream.
type Stream struct {
	Data  []byte
	Holes bool        // bytes after Data were seen, but not the next one
	At    flows.Stamp // the packet that made Data what it is; zero if there is none
}

// Close is a CONNECTION_CLOSE frame (RFC 9000 section 19.19).
type Close struct {
	Seen bool
	Code uint64 // 0x100 to 0x1ff: a TLS alert's description in the low byte
}

// Alert returns the description of the TLS alert that the close carries.
func (c Close) Alert() (description uint8, ok bool) {
	return uint8(c.Code), c.Seen && c.Code>>8 == 1
}

// Config bounds what a parser holds. Its zero value is the defaults.
type Config struct {
	MaxCrypto int // bytes of CRYPTO kept per side; 0: 16,384 (RFC 9000 section 7.5 asks for 4,096)
	MaxHeld   int // bytes of packets that wait for the keys; 0: 4,096
}

func (c Config) maxCrypto() int {
	if c.MaxCrypto <= 0 {
		return 16 << 10
	}
	return c.MaxCrypto
}

func (c Config) maxHeld() int {
	if c.MaxHeld <= 0 {
		return 4 << 10
	}
	return c.MaxHeld
}

const (
	// maxFailures is how many Initials in sequence that no key opens are tried:
	// each costs a derivation of keys.
	maxFailures = 16
	// maxPatience is how many datagrams a parser waits, after the client has
	// sent 1-RTT packets, for Initials that the network delayed.
	maxPatience = 8
	// maxCID is the longest connection id of the versions known.
	maxCID = 20
	// keepMemory is what Reset keeps of a buffer.
	keepMemory = 4 << 10
)

// Parser is a parsers.DatagramParser[Handshake]. Its zero value is ready,
// with the default bounds.
type Parser struct {
	Config Config

	h        Handshake
	begun    bool // an Initial of a client was opened; what is below is of its connection
	keys     keys // of the client's Initials' version and connection id
	sides    [2]half
	greased  bool // the bit that is fixed to 1 in version 1 was 0: it is no sign any more (RFC 9287)
	late     int  // datagrams since the client's first 1-RTT packet
	retryCID [maxCID]byte
	retryLen int // of the connection id that a Retry gave, and 1; 0: none did
	failures int
	foreign  bool // the flow is of a version that is not parsed

	ids  [3][maxCID]byte // DCID, ClientSCID, ServerSCID
	said said            // what the latest message points into
	held []byte          // packets: side, time, position and length before each
	work []byte          // a packet with its protection taken off
}

// half is one side of the connection.
type half struct {
	buf       pieces.Buffer
	at        flows.Stamp
	largest   uint64 // packet number of the Initials, and 1
	handshake bool   // Handshake packets were seen
	oneRTT    bool   // packets with short headers were seen
	opener    opener // of the packets that the side sends
}

// said is the memory of a message. It is not the connection's own because one
// datagram can end a connection and begin the next.
type said struct {
	bufs [2]pieces.Buffer
	ids  [3][maxCID]byte
}

// opener takes the protection off one side's Initials.
type opener struct {
	ok      bool
	version uint32
	hp      cipher.Block
	aead    cipher.AEAD
	iv      [12]byte
}

// Datagram takes the next datagram of side.
func (p *Parser) Datagram(dst []Handshake, side flows.Side, at flows.Stamp, data []byte) []Handshake {
	if p.begun {
		p.h.Last = at
	}
	before := len(dst)
	var first []byte // connection id of the datagram's first packet
	for whole := data; len(data) > 0; {
		if data[0]&0x80 == 0 {
			p.foreign = p.foreign || !p.begun && isGoogle(data)
			p.oneRTT(side, at, data)
			break
		}
		h, ok := parseLong(data, p.begun)
		if !ok {
			p.foreign = p.foreign || !p.begun && isGoogle(data)
			break // padding, or of no version that is known
		}
		if len(data) == len(whole) {
			first = h.dcid
		} else if string(first) != string(h.dcid) {
			break // RFC 9000 section 12.2: coalesced packets are of one connection
		}
		p.greased = p.greased || data[0]&0x40 == 0
		if h.typ == typeNegotiation || h.typ == typeRetry {
			p.answer(side, &h)
			break // neither is ever coalesced
		}
		packet := data[:h.end]
		data = data[h.end:]
		switch h.typ {
		case typeInitial:
			dst = p.initial(dst, side, at, packet, &h)
		case typeHandshake:
			p.sides[side].handshake = true
		case typeZeroRTT:
			if p.begun && side == p.h.ClientSide {
				p.h.EarlyData = true
			}
		}
	}
	if len(dst) == before && p.settled() {
		dst = p.emit(dst)
		p.failures, p.held = 0, p.held[:0]
	}
	return dst
}

// settled reports whether the connection will show nothing more.
func (p *Parser) settled() bool {
	if !p.begun {
		return false
	}
	c, s := &p.sides[p.h.ClientSide], &p.sides[p.h.ClientSide.Other()]
	if (p.h.Close[0].Seen || p.h.Close[1].Seen) && messages(c.buf.Prefix()) {
		return true
	}
	if !c.oneRTT {
		return false
	}
	// The server leaves its Initials behind when it has said its hello, and its
	// Handshake packets come after that.
	if messages(c.buf.Prefix()) && messages(s.buf.Prefix()) && !s.buf.Holes() && (s.handshake || s.oneRTT) {
		return true
	}
	p.late++
	return p.late > maxPatience
}

// messages reports whether b is one handshake message or more, all whole. A
// type and a length of three bytes is what TLS 1.3 has before each.
func messages(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) >= 4 {
		n := 4 + (int(b[1])<<16 | int(b[2])<<8 | int(b[3]))
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// End says that the flow is over.
func (p *Parser) End(dst []Handshake) []Handshake { return p.emit(dst) }

// Idle reports that the parser holds nothing of the flow.
func (p *Parser) Idle() bool {
	return !p.begun && len(p.held) == 0 && p.failures == 0 && !p.foreign && p.retryLen == 0 && !p.h.Negotiation
}

// Done reports that no datagram of the flow will yield a message.
func (p *Parser) Done() bool { return !p.begun && (p.foreign || p.failures >= maxFailures) }

// Reset makes the parser as new. It keeps Config and memory.
func (p *Parser) Reset() {
	p.clear()
	p.failures, p.foreign = 0, false
	p.held = p.held[:0]
	if cap(p.work) > keepMemory {
		p.work = nil
	}
	for i := range p.said.bufs {
		p.said.bufs[i].Reset(keepMemory)
	}
}

// clear forgets the connection.
func (p *Parser) clear() {
	p.h = Handshake{}
	p.begun, p.late, p.retryLen, p.greased = false, 0, 0, false
	p.keys = keys{}
	for i := range p.sides {
		buf := p.sides[i].buf
		buf.Reset(keepMemory)
		p.sides[i] = half{buf: buf}
	}
}

// emit says what is known of the connection and forgets it. The memory that
// the message points into stays as it is until the next call.
func (p *Parser) emit(dst []Handshake) []Handshake {
	if !p.begun {
		return dst
	}
	m := p.h
	for i := range p.sides {
		s := &p.sides[i]
		p.said.bufs[i], s.buf = s.buf, p.said.bufs[i]
		buf := &p.said.bufs[i]
		m.Crypto[i] = Stream{Data: buf.Prefix(), Holes: buf.Holes(), At: s.at}
	}
	p.said.ids = p.ids
	for i, id := range []*[]byte{&m.DCID, &m.ClientSCID, &m.ServerSCID} {
		if *id != nil {
			*id = p.said.ids[i][:len(*id)]
		}
	}
	c, s := &p.sides[m.ClientSide], &p.sides[m.ClientSide.Other()]
	m.Established = c.oneRTT && (s.handshake || s.oneRTT)
	if !m.Established {
		m.Done = flows.Stamp{}
	}
	p.clear()
	return append(dst, m)
}

// oneRTT notes a packet with a short header.
func (p *Parser) oneRTT(side flows.Side, at flows.Stamp, data []byte) {
	// First byte, packet number, and the sample of 16 bytes: shorter is none.
	if data[0]&0x40 == 0 && !p.greased || len(data) < 1+4+16 || !p.begun {
		return
	}
	s := &p.sides[side]
	if !s.oneRTT {
		s.oneRTT = true
		if side == p.h.ClientSide {
			p.h.Done = at
		}
	}
}

// answer takes a Retry or a Version Negotiation.
func (p *Parser) answer(side flows.Side, h *header) {
	if p.begun && side == p.h.ClientSide || p.begun && p.h.ServerSeen || p.retryLen > 0 {
		return // only a server sends them, only before all else, and a client obeys one Retry
	}
	if h.typ == typeNegotiation {
		p.h.Negotiation = true
		return
	}
	p.retryLen = 1 + copy(p.retryCID[:], h.scid)
}

// initial takes an Initial packet.
func (p *Parser) initial(dst []Handshake, side flows.Side, at flows.Stamp, packet []byte, h *header) []Handshake {
	if p.begun {
		if payload, ok := p.open(side, packet, h); ok {
			p.opened(side, at, h, payload)
			return dst
		}
		if side == p.h.ClientSide.Other() {
			// The server may have gone over to another version (RFC 9368 section 2.3):
			// its keys are the first connection id's with that version's salt.
			s := &p.sides[side]
			if h.version != p.keys.version && !p.h.ServerSeen {
				k := deriveKeys(h.version, p.h.DCID)
				if o := k.opener(false); o.ok {
					old := s.opener
					s.opener = o
					if payload, ok := p.open(side, packet, h); ok {
						p.opened(side, at, h, payload)
						return dst
					}
					s.opener = old
				}
			}
		}
	}
	if p.failures >= maxFailures {
		return dst
	}
	// It may be the first of a connection, or the first after a Retry: then its
	// own connection id makes the key.
	k := deriveKeys(h.version, h.dcid)
	o := k.opener(true)
	payload, number, ok := o.open(&p.work, packet, h, 0)
	if !ok {
		p.failures++
		p.hold(side, at, packet)
		return dst
	}
	p.failures = 0
	follows := p.begun && side == p.h.ClientSide && !p.h.ServerSeen
	switch {
	case follows && p.retryLen > 0 && string(h.dcid) == string(p.retryCID[:p.retryLen-1]):
		// The same hello again, for the server's new connection id.
		p.h.Retry = true
	case follows && p.h.Negotiation:
		p.sides[side].buf.Reset(keepMemory) // another hello, in another version
		p.h.DCID = append(p.ids[0][:0], h.dcid...)
	case follows && h.version != p.keys.version && string(h.dcid) == string(p.h.DCID):
		// RFC 9369 section 4: the client, too, goes over to the version that the
		// server chose.
	default:
		negotiation, retry := p.h.Negotiation && !p.begun, 0
		if !p.begun {
			retry = p.retryLen
		}
		dst = p.emit(dst)
		p.clear()
		p.begun = true
		p.h.Negotiation, p.retryLen = negotiation, retry
		p.h.First, p.h.Last, p.h.ClientSide = at, at, side
		p.h.DCID = append(p.ids[0][:0], h.dcid...)
		p.h.ClientSCID = append(p.ids[1][:0], h.scid...)
		if retry > 0 && string(h.dcid) == string(p.retryCID[:retry-1]) {
			p.h.Retry = true // the first attempt was not captured, or not whole
		}
	}
	p.h.Version = h.version
	p.keys = k
	p.sides[side].opener = o
	p.sides[side].largest = 0
	p.sides[side.Other()].opener = k.opener(false)
	p.number(side, number)
	p.opened(side, at, h, payload)
	p.release()
	return dst
}

// open takes the protection off a packet of the connection. The payload is
// valid until the next packet.
func (p *Parser) open(side flows.Side, packet []byte, h *header) ([]byte, bool) {
	s := &p.sides[side]
	if !s.opener.ok || s.opener.version != h.version {
		return nil, false
	}
	payload, number, ok := s.opener.open(&p.work, packet, h, s.largest)
	if ok {
		p.number(side, number)
	}
	return payload, ok
}

func (p *Parser) number(side flows.Side, number uint64) {
	s := &p.sides[side]
	s.largest = max(s.largest, number+1)
}

// opened takes what was in an Initial.
func (p *Parser) opened(side flows.Side, at flows.Stamp, h *header, payload []byte) {
	if side != p.h.ClientSide && !p.h.ServerSeen {
		p.h.ServerSeen = true
		p.h.Version = h.version
		p.h.ServerSCID = append(p.ids[2][:0], h.scid...)
	}
	p.h.Last = later(p.h.Last, at)
	p.frames(side, at, payload, h.version)
}

func (p *Parser) fault(rule string) {
	if p.h.Malformed == "" {
		p.h.Malformed = rule
	}
}

// Frame types that an Initial may hold (RFC 9000 section 12.4).
const (
	framePadding = 0x00
	framePing    = 0x01
	frameACK     = 0x02
	frameACKECN  = 0x03
	frameCrypto  = 0x06
	frameClose   = 0x1c

	// In the packets of Google's own versions.
	frameGoogleCrypto = 0x08
)

func (p *Parser) frames(side flows.Side, at flows.Stamp, payload []byte, version uint32) {
	r := reader(payload)
	if len(r) == 0 {
		p.fault("initial: no frames") // RFC 9000 section 12.4
	}
	for len(r) > 0 {
		typ, _ := r.varint()
		switch typ {
		case framePadding, framePing:
		case frameACK, frameACKECN:
			if !r.ack(typ == frameACKECN) {
				p.fault("ack: lengths")
				return
			}
		case frameCrypto, frameGoogleCrypto:
			if typ == frameGoogleCrypto && !google(version) {
				p.fault("initial: type of frame")
				return
			}
			off, ok1 := r.varint()
			n, ok2 := r.varint()
			data, ok3 := r.take(n)
			if !ok1 || !ok2 || !ok3 {
				p.fault("crypto: lengths")
				return
			}
			p.crypto(side, at, off, data)
		case frameClose:
			code, ok1 := r.varint()
			_, ok2 := r.varint() // type of the frame that was at fault
			n, ok3 := r.varint()
			_, ok4 := r.take(n)
			if !ok1 || !ok2 || !ok3 || !ok4 {
				p.fault("connection_close: lengths")
				return
			}
			if c := &p.h.Close[side]; !c.Seen {
				*c = Close{true, code}
			}
		default:
			p.fault("initial: type of frame")
			return
		}
	}
}

func (p *Parser) crypto(side flows.Side, at flows.Stamp, off uint64, data []byte) {
	s := &p.sides[side]
	limit := p.Config.maxCrypto()
	n := len(s.buf.Prefix())
	if !s.buf.Add(int(min(off, uint64(limit)+1)), data, limit) {
		p.h.Oversize = true
	}
	if len(s.buf.Prefix()) > n {
		s.at = at
	}
}

// later returns the later of two packets.
func later(a, b flows.Stamp) flows.Stamp {
	if b.Pos > a.Pos {
		return b
	}
	return a
}
