package tls

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/internal/pieces"
)

// Datagrams turns the datagrams of one UDP flow into one message per handshake of
// DTLS 1.0 (RFC 4347), 1.2 (RFC 6347) and 1.3 (RFC 9147). It is a
// parsers.DatagramParser[Handshake]; its zero value is ready.
//
// What DTLS says is what TLS says, so that it shares Handshake and the reading
// of messages with Parser. How it comes is another thing: each record has an
// epoch and a number and stands alone, a handshake message has a number and
// may come in fragments, again, and in any order, and a server may first make
// the client repeat its hello with a cookie.
//
//	record     | type 1 | version 2 | epoch 2 | number 6 | length 2 | body
//	fragment   | type 1 | length 3 | message number 2 | offset 3 | length 3 | bytes
//
// Messages are read when they are whole, not in the order of their numbers: a
// message that was not captured must not hide those after it. The records of
// an epoch above 0 are protected and only counted; so are those with the
// header of DTLS 1.3. Datagrams of other protocols that share the flow (STUN,
// TURN channels, SRTP; RFC 7983) are passed over by their first byte.
type Datagrams struct {
	Config Config

	// One parser reads the handshake at hand, the other holds the memory of the
	// latest message: one datagram can end a handshake and begin the next.
	tls   [2]Parser
	now   int
	begun bool
	sides [2]dtlsHalf
}

// dtlsHalf is one side of a handshake.
type dtlsHalf struct {
	read     [dtlsMessages]byte // type of the message of each number that was read; 0: none
	open     [dtlsOpen]dtlsMessage
	exchange []byte // the first bytes of ServerKeyExchange
}

const (
	dtlsHeader   = 13
	dtlsFragment = 12
	// dtlsMessages bounds the numbers of messages: a handshake with a retry and
	// certificates on both sides has less than 20.
	dtlsMessages = 32
	// dtlsOpen bounds how many messages of a side are put together at a time.
	dtlsOpen = 4

	recordCID           = 25 // RFC 9146
	recordACK           = 26 // RFC 9147
	typeHelloVerify     = 3  // HelloVerifyRequest, RFC 6347 section 4.2.1
	typeKeyExchange     = 16
	versionDTLS10       = 0xfeff
	versionDTLS12       = 0xfefd
	versionDTLS13       = 0xfefc
	versionDTLSOpenSSL  = 0x0100 // what Cisco's AnyConnect speaks, after an early OpenSSL
	unifiedMask         = 0xe0   // DTLS 1.3: 001CSLEE
	unifiedBits         = 0x20
	unifiedCID          = 0x10
	unifiedLongNumber   = 0x08
	unifiedHasLength    = 0x04
	protectedAlertBytes = 2 + 1 + 16 // level and description, content type, tag
)

// dtlsMessage is a message of which fragments have come.
type dtlsMessage struct {
	typ    byte // 0: none
	number int
	size   int
	buf    pieces.Buffer
}

// Datagram takes the next datagram of side.
func (d *Datagrams) Datagram(dst []Handshake, side flows.Side, at flows.Stamp, data []byte) []Handshake {
	before := len(dst)
	for len(data) > 0 {
		if data[0]&unifiedMask == unifiedBits {
			d.unified(side, at, data)
			break // what follows cannot be found where it has no length, and adds nothing
		}
		typ, epoch, body, rest, ok := dtlsRecord(data)
		if !ok {
			if d.begun && len(data) >= dtlsHeader && isDTLSRecord(data) {
				d.parser().h.AfterGap = true // cut by the capture
			}
			break
		}
		version := uint16(data[1])<<8 | uint16(data[2])
		data = rest
		switch {
		case typ == recordCID || epoch > 0:
			d.protected(side, at, typ == recordAlert)
		case typ == recordHandshake:
			dst = d.fragments(dst, side, at, version, body)
		case typ == recordChangeCipherSpec && d.begun:
			d.touch(at)
			d.parser().sides[side].ccs = true
		case typ == recordAlert && (d.begun || len(body) == 2):
			d.begin(at)
			d.parser().alerts(side, body)
		}
	}
	if len(dst) == before && d.settled() {
		dst = d.emit(dst, at)
	}
	return dst
}

// End says that the flow is over.
func (d *Datagrams) End(dst []Handshake) []Handshake { return d.emit(dst, d.parser().h.Last) }

// Idle reports that the parser holds nothing of the flow.
func (d *Datagrams) Idle() bool { return !d.begun }

// Reset makes the parser as new. It keeps Config and memory.
func (d *Datagrams) Reset() {
	for i := range d.tls {
		d.tls[i].Reset()
	}
	d.forget()
}

func (d *Datagrams) parser() *Parser { return &d.tls[d.now] }

func (d *Datagrams) begin(at flows.Stamp) {
	if !d.begun {
		d.begun = true
		p := d.parser()
		p.Config = d.Config
		p.Reset()
		p.dtls = true
		p.touch(at)
		p.h.Transport = DTLS
	}
	d.touch(at)
}

func (d *Datagrams) touch(at flows.Stamp) { d.parser().touch(at) }

// forget makes room for another handshake.
func (d *Datagrams) forget() {
	d.begun = false
	for i := range d.sides {
		s := &d.sides[i]
		for j := range s.open {
			s.open[j].typ = 0
			s.open[j].buf.Reset(keepMemory / dtlsOpen)
		}
		s.read, s.exchange = [dtlsMessages]byte{}, s.exchange[:0]
	}
}

// settled reports whether the handshake is over.
func (d *Datagrams) settled() bool {
	if !d.begun {
		return false
	}
	a, b := &d.parser().sides[0], &d.parser().sides[1]
	return (a.secured || a.refused) && (b.secured || b.refused) || a.state == closed || b.state == closed
}

// emit says what is known of the handshake.
func (d *Datagrams) emit(dst []Handshake, at flows.Stamp) []Handshake {
	if !d.begun {
		return dst
	}
	p := d.parser()
	for side := range d.sides {
		d.partial(flows.Side(side), p.h.Last)
		if s := &d.sides[side]; len(s.exchange) > 0 && flows.Side(side) != p.h.ClientSide {
			d.message(flows.Side(side), at, typeServerKeyExchange, s.exchange, true)
		}
	}
	client, server := &p.sides[p.h.ClientSide], &p.sides[p.h.ClientSide.Other()]
	if p.roles && server.ccs && p.h.Server.Complete && !p.is13() {
		// Nothing but the hello came before it: no certificate, no key exchange.
		p.h.Resumed = answer(!server.done && !client.done)
		if p.h.Resumed == Yes {
			p.h.ClientAuth = No
		}
	}
	if client.secured && server.secured {
		p.h.Done = at
	}
	dst = p.emit(dst, at)
	d.now ^= 1
	d.forget()
	return dst
}

// partial reads what there is of a client's hello that never became whole.
func (d *Datagrams) partial(side flows.Side, at flows.Stamp) {
	s := &d.sides[side]
	for i := range s.open {
		m := &s.open[i]
		if m.typ == typeClientHello && !d.parser().h.Client.Seen && len(m.buf.Prefix()) > 0 {
			d.message(side, at, m.typ, m.buf.Prefix(), false)
		}
	}
}

// protected notes a record that nobody else can read.
func (d *Datagrams) protected(side flows.Side, at flows.Stamp, alert bool) {
	if !d.begun {
		return
	}
	d.touch(at)
	h := &d.parser().sides[side]
	if alert {
		h.refused = h.refused || !h.secured
		return
	}
	if !h.refused {
		h.secured = true
	}
}

// unified notes a record with the header of DTLS 1.3 (RFC 9147 section 4).
func (d *Datagrams) unified(side flows.Side, at flows.Stamp, data []byte) {
	if !d.begun || !d.parser().h.Client.Seen {
		return
	}
	n := len(data) - 2
	if data[0]&unifiedLongNumber != 0 {
		n--
	}
	if data[0]&unifiedHasLength != 0 {
		n -= 2
		at := len(data) - n - 2
		if n < 0 {
			return
		}
		n = int(data[at])<<8 | int(data[at+1])
	}
	// An alert can be told by its length, but not behind a connection id, whose
	// length only the two know.
	d.protected(side, at, data[0]&unifiedCID == 0 && n == protectedAlertBytes)
}

// fragments takes the body of a handshake record in the clear.
func (d *Datagrams) fragments(dst []Handshake, side flows.Side, at flows.Stamp, version uint16, body []byte) []Handshake {
	for len(body) > 0 {
		typ, size, number, off, part, rest, ok := dtlsFragmentOf(body)
		if !ok {
			if d.begun {
				d.parser().fault("handshake: lengths of a fragment")
			}
			return dst
		}
		body = rest
		s := &d.sides[side]
		if typ == typeClientHello && d.begun && off == 0 && len(part) >= 34 && number == 0 && s.read[0] == typ {
			// The hello again, or another: it has a random value of its own, which
			// stays the same when it is repeated with a cookie.
			if string(part[2:34]) != string(d.parser().clientRandom[:]) {
				if len(dst) > 0 && d.tls[d.now^1].settled {
					return dst // a message of this datagram is still in that memory
				}
				dst = d.emit(dst, at)
			}
		}
		d.begin(at)
		d.fragment(side, at, version, typ, size, number, off, part)
	}
	return dst
}

func (d *Datagrams) fragment(side flows.Side, at flows.Stamp, version uint16, typ byte, size, number, off int, part []byte) {
	p, s := d.parser(), &d.sides[side]
	p.sides[side].seen = true
	if number >= dtlsMessages {
		p.fault("handshake: message number")
		return
	}
	if s.read[number] == typ {
		if off+len(part) == size {
			d.count(typ) // its last fragment again
		}
		return
	}
	p.sides[side].msgVer = version
	switch typ {
	case typeClientHello, typeServerHello, typeCertificate, typeServerKeyExchange:
	case typeHelloVerify:
		s.read[number] = typ
		if p.role(side.Other()) {
			p.h.HelloRetry = Yes
		}
		return
	case typeKeyExchange:
		s.read[number] = typ
		p.sides[side].done = true
		return
	case typeCertificateRequest, typeServerHelloDone, typeNewSessionTicket:
		s.read[number] = typ
		d.message(side, at, typ, nil, false)
		return
	default:
		return
	}
	limit := min(size, p.wanted(typ))
	if off == 0 && len(part) >= limit {
		d.whole(side, at, typ, number, size, part[:limit])
		return
	}
	if off >= limit {
		p.h.Oversize = p.h.Oversize || typ != typeServerKeyExchange
		return
	}
	m := s.slot(typ, number, size)
	if m == nil {
		p.h.Oversize = true
		return
	}
	m.buf.Add(off, part, limit)
	if b := m.buf.Prefix(); len(b) == limit {
		d.whole(side, at, typ, number, size, b)
		m.typ = 0
	}
}

// slot returns where a message is put together, nil where there is no room.
func (s *dtlsHalf) slot(typ byte, number, size int) *dtlsMessage {
	var free *dtlsMessage
	for i := range s.open {
		m := &s.open[i]
		if m.typ == typ && m.number == number {
			if m.size != size {
				return nil
			}
			return m
		}
		if m.typ == 0 && free == nil {
			free = m
		}
	}
	if free != nil {
		free.typ, free.number, free.size = typ, number, size
		free.buf.Reset(keepMemory)
	}
	return free
}

// whole takes a message of which all bytes that are wanted are there.
func (d *Datagrams) whole(side flows.Side, at flows.Stamp, typ byte, number, size int, body []byte) {
	s := &d.sides[side]
	s.read[number] = typ
	p := d.parser()
	if typ == typeServerKeyExchange {
		// What it means depends on the cipher suite, whose message may come later.
		s.exchange = append(s.exchange[:0], body...)
		p.sides[side].done = true
		return
	}
	if len(body) < size {
		p.h.Oversize = true
	}
	if typ == typeClientHello && len(body) >= 34 && !p.h.Client.Seen {
		p.clientRandom = [32]byte(body[2:34])
	}
	if len(p.h.ServerChain)+len(p.h.ClientChain) > 0 && typ == typeCertificate {
		chain := p.h.ServerChain
		if side == p.h.ClientSide {
			chain = p.h.ClientChain
		}
		if len(chain) > 0 {
			return
		}
	}
	d.message(side, at, typ, body, len(body) == size)
}

// message hands a message to what reads those of TLS.
func (d *Datagrams) message(side flows.Side, at flows.Stamp, typ byte, body []byte, whole bool) {
	p := d.parser()
	p.sides[side].hdr[0] = typ
	p.read(side, at, body, whole)
}

// count counts a hello that came again.
func (d *Datagrams) count(typ byte) {
	switch typ {
	case typeClientHello:
		d.parser().h.ClientHellos++
	case typeServerHello:
		d.parser().h.ServerHellos++
	}
}

// isDTLSRecord reports whether data, of 3 bytes at least, begins with a
// record's type and version.
func isDTLSRecord(data []byte) bool {
	if data[0] < recordChangeCipherSpec || data[0] > recordACK {
		return false
	}
	v := uint16(data[1])<<8 | uint16(data[2])
	return v == versionDTLS10 || v == versionDTLS12 || v == versionDTLS13 || v == versionDTLSOpenSSL
}

// dtlsRecord takes the record at the beginning of data.
func dtlsRecord(data []byte) (typ byte, epoch int, body, rest []byte, ok bool) {
	if len(data) < dtlsHeader || !isDTLSRecord(data) {
		return 0, 0, nil, nil, false
	}
	typ, epoch = data[0], int(data[3])<<8|int(data[4])
	if typ == recordCID {
		return typ, epoch, nil, nil, epoch > 0 // where its length is depends on the connection id
	}
	n := int(data[11])<<8 | int(data[12])
	if n > maxRecord || n > len(data)-dtlsHeader {
		return 0, 0, nil, nil, false
	}
	return typ, epoch, data[dtlsHeader : dtlsHeader+n], data[dtlsHeader+n:], true
}

// dtlsFragmentOf takes the fragment at the beginning of a record's body.
func dtlsFragmentOf(b []byte) (typ byte, size, number, off int, part, rest []byte, ok bool) {
	r := cursor(b)
	typ, _ = r.u8()
	size, _ = r.u24()
	n16, _ := r.u16()
	off, _ = r.u24()
	n, ok := r.u24()
	part, ok2 := r.take(n)
	if !ok || !ok2 || off+n > size {
		return 0, 0, 0, 0, nil, nil, false
	}
	return typ, size, int(n16), off, part, r, true
}

// ProbeDatagram looks at a datagram. It is DTLS if it begins with a record in
// the clear that holds a fragment of a handshake or an alert, with versions
// and lengths that agree, or is nothing but protected records, as in a capture
// that begins late.
func ProbeDatagram(data []byte, _ flows.Side) parsers.Verdict {
	if len(data) < dtlsHeader || data[0] < recordChangeCipherSpec || data[0] > recordACK {
		return parsers.No
	}
	typ, epoch, body, rest, ok := dtlsRecord(data)
	if !ok {
		return parsers.No
	}
	if epoch > 0 {
		// Records of an epoch that can be, to the datagram's last byte.
		for ok && epoch > 0 && epoch < 64 && typ != recordCID && len(body) > 8 {
			if len(rest) == 0 {
				return parsers.Yes
			}
			typ, epoch, body, rest, ok = dtlsRecord(rest)
		}
		return parsers.No
	}
	switch typ {
	case recordHandshake:
		typ, size, number, _, _, _, ok := dtlsFragmentOf(body)
		if !ok || number >= dtlsMessages || size > 1<<17 {
			return parsers.No
		}
		switch typ {
		case typeClientHello, typeServerHello:
			if size >= 38 {
				return parsers.Yes
			}
		case typeHelloVerify, typeCertificate, typeServerKeyExchange, typeCertificateRequest, typeKeyExchange:
			return parsers.Yes
		}
	case recordAlert:
		if len(body) == 2 && (body[0] == AlertWarning || body[0] == AlertFatal) && AlertName(body[1])[0] >= 'a' {
			return parsers.Yes
		}
	}
	return parsers.No
}

// BeginsDatagram reports whether a datagram can begin a handshake, in a flow
// that is known to speak DTLS: a client's hello does. It costs a look at one
// byte for nearly all others.
func BeginsDatagram(data []byte) bool {
	return len(data) > dtlsHeader && data[0] == recordHandshake && data[dtlsHeader] == typeClientHello && data[3] == 0 && data[4] == 0
}
