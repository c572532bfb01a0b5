// Package tls turns the bytes of a TLS session over TCP (TLS 1.0 to 1.3,
// SSLv3, and hellos in the form of SSLv2) into one message per session: its
// handshake, as far as it is in the clear.
//
// It decrypts nothing and verifies nothing. When both sides have gone
// opaque, it has said its message and wants no more bytes.
//
// Bytes arrive in records, records carry handshake messages, and neither
// respects the other's borders:
//
//	segments    |-----------|------|-------------------|-----|
//	records     [hdr| body      ][hdr| body ][hdr| body      ]
//	handshake        [hdr| message    |  message ][hdr| mess…
//
// A side is therefore two nested machines that take any cut of the bytes; a
// message that lies within one piece of data is read in place, any other is
// collected first. Only the messages that are read are collected.
package tls

import (
	"crypto/sha256"

	"github.com/caplake/caplake/flows"
)

// Handshake is what one session's handshake says. What it refers to is the
// parser's memory, by the rule of parsers.SessionParser.
type Handshake struct {
	First flows.Stamp // packet with the first byte
	Last  flows.Stamp // latest packet that was looked at
	Done  flows.Stamp // packet that completed it; zero unless Established is Yes

	Transport  Transport  // what it ran over
	ClientSide flows.Side // who has the client's role: nearly always the initiator
	Client     ClientHello
	Server     ServerHello

	// ClientHellos and ServerHellos count the hellos that were seen, those after
	// a retry and those sent again (which only DTLS does) included.
	ClientHellos, ServerHellos int

	// HelloRetry says whether the server asked for a second ClientHello. Client
	// is the first one then.
	HelloRetry Answer
	// Resumed says whether the session's keys come from an earlier one. TLS
	// 1.2 and before: the server went on to change_cipher_spec without a
	// full handshake. TLS 1.3: it chose a pre-shared key (external ones
	// look the same).
	Resumed Answer
	// ClientAuth says whether the server asked the client for a certificate or
	// the client sent one. TLS 1.3 encrypts that.
	ClientAuth Answer
	// Established says whether both sides went on to protected data: TLS 1.2
	// and before, change_cipher_spec and a protected record after it; TLS 1.3,
	// a protected record that is no alert by its length.
	Established Answer

	NewSessionTicket bool     // the server sent a ticket in the clear (TLS 1.2 and before)
	Alerts           [2]Alert // by flows.Side, in the clear: the first fatal one, else the first

	ServerChain, ClientChain     []RawCertificate // as sent, leaf first
	ServerChainAt, ClientChainAt flows.Stamp      // packet that completed it

	Outcome   Outcome
	AfterGap  bool   // bytes of the handshake were not captured
	Oversize  bool   // a message or chain beyond the configured bounds was read in part
	Malformed string // the first rule that the bytes broke; "" if none

	chainMem [2][]byte
}

// RawCertificate is a certificate as it was sent. ParseCertificate reads it.
type RawCertificate struct {
	DER    []byte
	SHA256 [sha256.Size]byte // of DER: the fingerprint
}

// Alert is an alert message (RFC 8446 section 6).
type Alert struct {
	Seen               bool
	Level, Description uint8
}

// Answer is a yes or a no, where the bytes say.
type Answer uint8

const (
	Unknown Answer = iota
	No
	Yes
)

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// Outcome says how the handshake ended.
type Outcome uint8

const (
	Incomplete     Outcome = iota // the flow was over first
	Established                   // see Handshake.Established
	Alerted                       // a fatal alert in the clear
	EncryptedAlert                // a protected alert in place of the last flight
	Closed                        // a side ended its stream
	Reset                         // a side reset the flow
	Gap                           // bytes that were not captured hide the end
	Broken                        // the bytes stopped making sense: see Malformed
)

func (o Outcome) String() string {
	return [...]string{"incomplete", "established", "alert", "encrypted_alert", "closed", "reset", "gap", "malformed"}[o]
}

// Config bounds what a parser holds. Its zero value is the defaults.
type Config struct {
	MaxMessage int // bytes of a handshake message that are read; 0: 65,536, of certificates over TCP 512 KiB
	MaxChain   int // certificates of a chain; 0: 32
}

func (c Config) maxMessage() int {
	if c.MaxMessage <= 0 {
		return defaultMessage
	}
	return c.MaxMessage
}

const defaultMessage = 64 << 10

func (c Config) maxChain() int {
	if c.MaxChain <= 0 {
		return 32
	}
	return c.MaxChain
}

// Record content types (RFC 8446 section 5.1).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplicationData  = 23
	recordHeartbeat        = 24 // RFC 6520
)

// maxRecord is the most a record may hold: 2^14 and what protection may add
// (RFC 5246 section 6.2.3; TLS 1.3 adds less).
const maxRecord = 1<<14 + 2048

// Handshake message types (IANA registry "TLS HandshakeType").
const (
	typeClientHello        = 1
	typeServerHello        = 2
	typeNewSessionTicket   = 4
	typeHelloRetryRequest  = 6 // drafts of TLS 1.3 up to 21
	typeCertificate        = 11
	typeServerKeyExchange  = 12
	typeCertificateRequest = 13
	typeServerHelloDone    = 14
)

// Parser is a parsers.SessionParser[Handshake]. Its zero value is ready, with
// the default bounds.
type Parser struct {
	Config Config

	h       Handshake
	sides   [2]half
	begun   bool // some byte was seen
	roles   bool // h.ClientSide is known, not assumed
	reset   bool // a side reset the flow
	settled bool // the message was said, or there is none
	dtls    bool // messages come from Datagrams
	clear   bool // a side answers the hello in the clear; see Tunnel

	clientRandom [32]byte // of the ClientHello that was read; DTLS needs it to tell handshakes apart
}

// half is the machine of one side.
type half struct {
	state state
	seen  bool // some byte was seen

	// Record layer.
	rec    [5]byte // header, as far as it was seen
	recVer uint16  // version of the latest record; 0: there was none
	nrec   int
	left   int // bytes of the body to come
	mode   recordMode

	// Handshake layer.
	hdr     [4]byte // message header, as far as it was seen
	nhdr    int
	need    int    // bytes of the message to come that are wanted
	skip    int    // and after them, that are not
	buf     []byte // wanted bytes, where they came in pieces
	msgVer  uint16 // version of the record that the message began in
	broken  bool   // bytes of the message are missing
	hsLost  bool   // no message's beginning is known any more
	alert   [2]byte
	nalert  int
	ccs     bool // change_cipher_spec was seen
	done    bool // server_hello_done or a Certificate was seen
	secured bool // a protected record that completes the side's part was seen
	refused bool // a protected alert was seen instead
}

// state is how far a side can be read.
type state uint8

const (
	readable state = iota
	opaque         // encrypted from here
	lost           // record borders are not known any more
	closed         // fatal alert or FIN
)

// recordMode says what becomes of a record's body.
type recordMode uint8

const (
	modeSkip recordMode = iota
	modeHandshake
	modeAlert
	modeSSLv2 // a hello in the form of SSLv2
)

// Feed takes the next bytes of side.
func (p *Parser) Feed(dst []Handshake, side flows.Side, at flows.Stamp, data []byte) []Handshake {
	h := &p.sides[side]
	if p.settled || h.state != readable || len(data) == 0 {
		return dst
	}
	p.touch(at)
	h.seen = true
	for len(data) > 0 && h.state == readable {
		if h.left == 0 {
			rest := p.header(side, at, data)
			if p.clear {
				h.buf = append(append(h.buf[:0], h.rec[:]...), rest...)
				break
			}
			data = rest
			continue
		}
		n := min(h.left, len(data))
		body := data[:n]
		data = data[n:]
		h.left -= n
		switch h.mode {
		case modeHandshake:
			p.messages(side, at, body)
		case modeAlert:
			p.alerts(side, body)
		case modeSSLv2:
			p.sslv2(side, at, body)
		}
	}
	return p.settle(dst, at)
}

// Messages takes handshake bytes of side that come without records, as the
// CRYPTO frames of QUIC carry them (RFC 9001 section 4.1.3): what Feed does for
// TCP. The message that End yields is of the hellos alone; how the handshake
// went is for who knows the transport to say.
func (p *Parser) Messages(side flows.Side, at flows.Stamp, data []byte) {
	if p.settled || len(data) == 0 {
		return
	}
	p.touch(at)
	p.h.Transport = QUIC // after touch, which takes TCP for granted
	p.sides[side].seen = true
	p.messages(side, at, data)
}

// Gap says that n bytes of side will never come. Inside a record, the record
// layer lives on; inside a handshake message, so do the messages after it.
func (p *Parser) Gap(dst []Handshake, side flows.Side, at flows.Stamp, n int64) []Handshake {
	h := &p.sides[side]
	if p.settled || h.state != readable || n <= 0 {
		return dst
	}
	p.h.AfterGap = true
	switch {
	case h.nrec != 0 || n > int64(h.left) || h.mode == modeSSLv2:
		p.lose(side, at)
	case h.mode == modeHandshake:
		h.left -= int(n)
		p.messageGap(side, at, int(n))
	default:
		h.left -= int(n)
		h.mode = modeSkip // half an alert says nothing
		h.nalert = 0
	}
	return p.settle(dst, at)
}

// Fin says that side ended its stream.
func (p *Parser) Fin(dst []Handshake, side flows.Side, at flows.Stamp) []Handshake {
	h := &p.sides[side]
	if p.settled {
		return dst
	}
	if h.state == readable {
		p.touch(at)
		p.partial(side, at)
		h.state = closed
	}
	return p.settle(dst, at)
}

// Rst says that side reset the flow. What the other side has sent meanwhile may still come: a
// browser that gives up resets its end while the server's certificates are on their way.
func (p *Parser) Rst(dst []Handshake, side flows.Side, at flows.Stamp) []Handshake {
	if p.settled {
		return dst
	}
	p.touch(at)
	p.reset = true
	p.partial(side, at)
	if p.sides[side].state == readable {
		p.sides[side].state = closed
	}
	return p.settle(dst, at)
}

// Tunnel reports that a hello was answered in the clear: whoever listens
// does not speak TLS, and says so in a protocol of its own. Rest has its first
// bytes, and End yields what there was of the handshake.
func (p *Parser) Tunnel() bool { return p.clear }

// Rest returns the bytes of side that are not TLS, valid until Reset.
func (p *Parser) Rest(side flows.Side) []byte {
	if !p.clear || p.sides[side].state != lost {
		return nil
	}
	return p.sides[side].buf
}

// End says that the flow is over.
func (p *Parser) End(dst []Handshake) []Handshake {
	if p.settled {
		return dst
	}
	return p.emit(dst, p.h.Last)
}

// Done reports that no bytes can add anything.
func (p *Parser) Done() bool { return p.settled }

// keepMemory is what Reset keeps of a buffer; larger ones are rare.
const keepMemory = 16 << 10

// Reset makes the parser as new. It keeps Config and memory.
func (p *Parser) Reset() {
	h := &p.h
	if cap(h.chainMem[0])+cap(h.chainMem[1]) > keepMemory {
		h.chainMem = [2][]byte{}
	}
	// Every list is at most as long as the message that it is from.
	if cap(h.Client.mem)+2*cap(h.Client.Ciphers)+2*cap(h.Client.Extensions)+2*cap(h.Client.Groups)+
		2*cap(h.Client.KeyShares)+2*cap(h.Client.SignatureAlgorithms)+24*cap(h.Client.ALPN) > keepMemory {
		h.Client = ClientHello{}
	}
	if cap(h.Server.mem)+2*cap(h.Server.Extensions) > keepMemory {
		h.Server = ServerHello{}
	}
	h.Client.reset()
	h.Server.reset()
	*h = Handshake{
		Client: h.Client, Server: h.Server,
		ServerChain: h.ServerChain[:0], ClientChain: h.ClientChain[:0],
		chainMem: [2][]byte{h.chainMem[0][:0], h.chainMem[1][:0]},
	}
	for i := range p.sides {
		buf := p.sides[i].buf
		if cap(buf) > keepMemory {
			buf = nil
		}
		p.sides[i] = half{buf: buf[:0]}
	}
	p.begun, p.roles, p.reset, p.settled, p.dtls, p.clear = false, false, false, false, false, false
}

func (p *Parser) touch(at flows.Stamp) {
	if !p.begun {
		p.begun = true
		p.h.First = at
		p.h.Transport = TCP
	}
	p.h.Last = at
}

func (p *Parser) fault(rule string) {
	if p.h.Malformed == "" {
		p.h.Malformed = rule
	}
}

// lose gives a side up: its record borders are not known any more.
func (p *Parser) lose(side flows.Side, at flows.Stamp) {
	p.partial(side, at)
	p.sides[side].state = lost
}

// header collects a record's header and decides what becomes of its body. It
// returns what it did not take of data.
func (p *Parser) header(side flows.Side, at flows.Stamp, data []byte) []byte {
	h := &p.sides[side]
	first := h.recVer == 0
	if first && h.nrec < 3 {
		n := copy(h.rec[h.nrec:3], data)
		h.nrec += n
		data = data[n:]
		if h.nrec == 3 && h.rec[0]&0x80 != 0 && (h.rec[2] == 1 || h.rec[2] == 4) {
			h.nrec = 0
			h.recVer = VersionSSL2
			h.mode = modeSSLv2
			h.left = int(h.rec[0]&0x7f)<<8 | int(h.rec[1])
			h.left-- // the type is of the body, and was taken
			if h.left < 8 {
				p.fault("record: SSLv2 length")
				h.state = lost
				return data
			}
			h.need, h.buf = h.left, h.buf[:0]
			return data
		}
		if h.nrec < 3 {
			return data
		}
	}
	n := copy(h.rec[h.nrec:], data)
	h.nrec += n
	data = data[n:]
	if h.nrec == len(h.rec) {
		h.nrec = 0
		p.record(side, at)
	}
	return data
}

// record looks at the record whose header is complete.
func (p *Parser) record(side flows.Side, at flows.Stamp) {
	h := &p.sides[side]
	version := uint16(h.rec[1])<<8 | uint16(h.rec[2])
	n := int(h.rec[3])<<8 | int(h.rec[4])
	rule := ""
	switch {
	case h.rec[0] < recordChangeCipherSpec || h.rec[0] > recordHeartbeat:
		rule = "record: content type"
	case version>>8 != 3:
		rule = "record: version"
	case n > maxRecord:
		rule = "record: length"
	}
	if rule != "" {
		p.fault(rule)
		first := h.recVer == 0
		p.lose(side, at)
		p.clear = first && p.h.Client.Seen && p.roles && side != p.h.ClientSide && printable(h.rec[:])
		return
	}
	h.recVer, h.left, h.mode = version, n, modeSkip

	v13 := p.is13()
	client := p.roles && side == p.h.ClientSide
	switch h.rec[0] {
	case recordChangeCipherSpec:
		// TLS 1.3 has it for the sake of middleboxes, and it says nothing.
		if v13 || h.ccs {
			return
		}
		h.ccs = true
		if h.nhdr != 0 && !h.hsLost {
			p.fault("change_cipher_spec within a handshake message")
		}
		if p.roles && !client && p.h.Server.Complete && !h.hsLost && !h.broken {
			p.h.Resumed = answer(!h.done)
			if !h.done {
				p.h.ClientAuth = No
			}
		}
	case recordAlert:
		if h.ccs && !v13 {
			h.refused = true
			h.state = opaque
			return
		}
		h.mode = modeAlert
		if n == 0 {
			p.fault("alert: empty record")
		}
	case recordHandshake:
		if h.ccs && !v13 {
			p.secure(side)
			return
		}
		if n == 0 {
			p.fault("record: empty handshake record") // RFC 8446 section 5.1
		}
		h.mode = modeHandshake
	case recordApplicationData:
		p.applicationData(side, client, v13, n)
	}
}

func printable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// applicationData looks at a record that is protected by its type.
func (p *Parser) applicationData(side flows.Side, client, v13 bool, n int) {
	h := &p.sides[side]
	unanswered := !p.h.Server.Complete || p.h.Server.Retry // as far as was seen
	switch {
	case v13 && !p.h.Server.Retry:
		// A protected alert is two bytes, one of content type, and the tag.
		tag := 16
		if p.h.Server.Cipher == 0x1305 { // TLS_AES_128_CCM_8_SHA256
			tag = 8
		}
		if client && p.h.Client.EarlyData {
			// Early data may still come. What is shorter than a Finished is not it.
			if n >= 4+32+1+tag {
				p.secure(side)
			}
			return
		}
		if n == 2+1+tag {
			h.refused = true
			h.state = opaque
			return
		}
		p.secure(side)
	case client && p.h.Client.EarlyData && unanswered:
		// Early data: the hello's answer was not seen yet.
	case h.ccs:
		p.secure(side)
	case client && unanswered:
		// The client finished a TLS 1.3 handshake whose other side was not seen (yet).
		p.secure(side)
	case unanswered:
		h.state = opaque
	default:
		p.fault("application_data before change_cipher_spec")
		h.state = opaque
	}
}

// secure notes that a side's part of the handshake is complete.
func (p *Parser) secure(side flows.Side) {
	h := &p.sides[side]
	h.secured = true
	h.state = opaque
}

// is13 reports whether the server is known to have chosen TLS 1.3.
func (p *Parser) is13() bool { return p.h.Server.TLS13() }

func (p *Parser) alerts(side flows.Side, body []byte) {
	h := &p.sides[side]
	for _, b := range body {
		h.alert[h.nalert] = b
		h.nalert++
		if h.nalert < 2 {
			continue
		}
		h.nalert = 0
		a := Alert{Seen: true, Level: h.alert[0], Description: h.alert[1]}
		if a.Level != AlertWarning && a.Level != AlertFatal {
			p.fault("alert: level")
			h.state = lost // it was no alert in the clear
			return
		}
		if old := p.h.Alerts[side]; !old.Seen || old.Level != AlertFatal && a.Level == AlertFatal {
			p.h.Alerts[side] = a
		}
		if a.Level == AlertFatal {
			h.state = closed
			return
		}
	}
}

// messages takes bytes of a record of the handshake.
func (p *Parser) messages(side flows.Side, at flows.Stamp, body []byte) {
	h := &p.sides[side]
	for len(body) > 0 && !h.hsLost {
		if h.nhdr < len(h.hdr) {
			if h.nhdr == 0 {
				h.buf, h.broken, h.msgVer = h.buf[:0], false, h.recVer
			}
			n := copy(h.hdr[h.nhdr:], body)
			h.nhdr += n
			body = body[n:]
			if h.nhdr < len(h.hdr) {
				return
			}
			size := int(h.hdr[1])<<16 | int(h.hdr[2])<<8 | int(h.hdr[3])
			h.need = min(size, p.wanted(h.hdr[0]))
			h.skip = size - h.need
			if h.need == 0 {
				p.message(side, at, nil)
			}
		}
		if h.need > 0 {
			n := min(h.need, len(body))
			part := body[:n]
			body = body[n:]
			h.need -= n
			if len(h.buf) > 0 || h.need > 0 {
				h.buf = append(h.buf, part...)
				part = h.buf
			}
			if h.need > 0 {
				return
			}
			p.message(side, at, part)
			if cap(h.buf) > 2*defaultMessage {
				h.buf = nil
			}
		}
		n := min(h.skip, len(body))
		h.skip -= n
		body = body[n:]
		if h.skip > 0 {
			return
		}
		h.nhdr = 0
	}
}

// messageGap passes over n missing bytes of a handshake record.
func (p *Parser) messageGap(side flows.Side, at flows.Stamp, n int) {
	h := &p.sides[side]
	if h.hsLost {
		return
	}
	if h.nhdr < len(h.hdr) || n > h.need+h.skip {
		p.partial(side, at)
		h.hsLost = true
		return
	}
	p.partial(side, at)
	k := min(n, h.need)
	h.need -= k
	h.skip -= n - k
	// What is left of the message is of no use.
	h.skip += h.need
	h.need = 0
	h.broken = true
	if h.skip == 0 {
		h.nhdr = 0
	}
}

// partial reads what there is of a message that will never be whole.
func (p *Parser) partial(side flows.Side, at flows.Stamp) {
	h := &p.sides[side]
	if h.mode == modeSSLv2 {
		if h.need > 0 {
			h.need = 0
			p.sslv2Message(side, at, h.buf, false)
		}
		return
	}
	if h.nhdr == len(h.hdr) && h.need > 0 && !h.broken && !h.hsLost {
		h.broken = true
		p.read(side, at, h.buf, false)
	}
}

// wanted returns how many bytes of a message of type typ are read.
func (p *Parser) wanted(typ byte) int {
	switch typ {
	case typeCertificate:
		if p.Config.MaxMessage <= 0 {
			return 512 << 10 // a certificate of 339,618 bytes was seen
		}
		return p.Config.MaxMessage
	case typeClientHello, typeServerHello:
		return p.Config.maxMessage()
	case typeServerKeyExchange:
		return 3
	}
	return 0
}

// message takes a message of which all wanted bytes are there.
func (p *Parser) message(side flows.Side, at flows.Stamp, body []byte) {
	h := &p.sides[side]
	whole := h.skip == 0
	if !whole && h.hdr[0] != typeServerKeyExchange && len(body) > 0 {
		p.h.Oversize = true
	}
	if !h.broken {
		p.read(side, at, body, whole)
	}
}

func (p *Parser) read(side flows.Side, at flows.Stamp, body []byte, whole bool) {
	h := &p.sides[side]
	m := &p.h
	switch h.hdr[0] {
	case typeClientHello:
		if !p.role(side) {
			return
		}
		m.ClientHellos++
		if !m.Client.Seen { // the answer to a retry repeats the first
			m.Client.RecordVersion, m.Client.dtls = h.msgVer, p.dtls
			p.fault2(m.Client.decode(body, whole))
		}
	case typeServerHello:
		if !p.role(side.Other()) {
			return
		}
		m.ServerHellos++
		var version uint16
		if m.Server.Seen {
			if !m.Server.Retry {
				p.fault("server_hello: a second one")
				return
			}
			version = m.Server.SelectedVersion
			m.Server.reset()
		}
		m.Server.RecordVersion = h.msgVer
		p.fault2(m.Server.decode(body, whole))
		if !m.Server.Complete && m.Server.SelectedVersion == 0 {
			m.Server.SelectedVersion = version // a retry's holds (RFC 8446 section 4.1.4)
		}
		switch {
		case m.Server.Retry:
			m.HelloRetry = Yes
		case m.HelloRetry == Unknown && m.Server.Complete:
			m.HelloRetry = No
		}
		if m.Server.Complete && !m.Server.Retry && p.is13() {
			m.Resumed = answer(m.Server.PreSharedKey)
		}
	case typeHelloRetryRequest:
		if p.role(side.Other()) {
			m.HelloRetry = Yes
		}
	case typeCertificate:
		if !p.roles && !m.Server.Seen && !m.Client.Seen {
			// Neither hello was seen: a client sends its chain only after the server's.
			p.role(side.Other())
		}
		h.done = true
		p.chain(side, at, body, whole)
	case typeServerKeyExchange:
		// A named curve (RFC 8422 section 5.4). Other exchanges begin with a
		// length, whose first byte would be 3 only in groups of 768 bits or more
		// up to 1023: the cipher suite decides.
		if len(body) == 3 && body[0] == 3 && ellipticExchange(m.Server.Cipher) {
			m.Server.Group = uint16(body[1])<<8 | uint16(body[2])
		}
		h.done = true
	case typeCertificateRequest:
		m.ClientAuth = Yes
	case typeServerHelloDone:
		h.done = true
		if m.ClientAuth == Unknown && !m.AfterGap {
			m.ClientAuth = No
		}
	case typeNewSessionTicket:
		m.NewSessionTicket = true
	}
}

func (p *Parser) fault2(rule string) {
	if rule != "" {
		p.fault(rule)
	}
}

// role notes who is the client, and reports whether that agrees with what is
// known of it.
func (p *Parser) role(client flows.Side) bool {
	if p.roles && p.h.ClientSide != client {
		p.fault("both sides play the same role")
		return false
	}
	p.roles = true
	p.h.ClientSide = client
	return true
}

// chain reads a Certificate message (RFC 5246 section 7.4.2).
func (p *Parser) chain(side flows.Side, at flows.Stamp, body []byte, whole bool) {
	m := &p.h
	dst, stamp := &m.ServerChain, &m.ServerChainAt
	if side == m.ClientSide {
		dst, stamp = &m.ClientChain, &m.ClientChainAt
	}
	if len(*dst) > 0 {
		p.fault("certificate: a second message")
		return
	}
	list := cursor(body)
	n, ok := list.u24()
	if whole && n != len(list) {
		p.fault("certificate: length of the list")
	}
	if !ok {
		return
	}
	list = list[:min(n, len(list))]
	for len(list) > 0 {
		der, ok := list.vec24()
		if !ok {
			if whole {
				p.fault("certificate: length")
			}
			break
		}
		if len(der) == 0 {
			p.fault("certificate: empty")
			continue
		}
		if len(*dst) == p.Config.maxChain() {
			m.Oversize = true
			break
		}
		p.addCertificate(side, dst, der)
	}
	if len(*dst) > 0 {
		*stamp = at
		if side == m.ClientSide {
			m.ClientAuth = Yes
		}
	}
}

func (p *Parser) addCertificate(side flows.Side, dst *[]RawCertificate, der []byte) {
	mem := &p.h.chainMem[side]
	n := len(*mem)
	*mem = append(*mem, der...)
	*dst = append(*dst, RawCertificate{DER: (*mem)[n:len(*mem):len(*mem)], SHA256: sha256.Sum256(der)})
}

// ellipticExchange reports whether a cipher suite's key exchange is an
// ephemeral one over elliptic curves.
func ellipticExchange(cipher uint16) bool {
	name := CipherName(cipher)
	switch {
	case len(name) > 10 && name[:10] == "TLS_ECDHE_":
		return true
	case len(name) > 13 && name[:13] == "TLS_ECDH_anon":
		return true
	}
	return name == "" && cipher >= 0xcc13 && cipher <= 0xcc14 // drafts of the ChaCha20 suites
}

// sslv2 collects a hello in the form of SSLv2.
func (p *Parser) sslv2(side flows.Side, at flows.Stamp, part []byte) {
	h := &p.sides[side]
	h.need -= len(part)
	if len(h.buf) > 0 || h.need > 0 {
		h.buf = append(h.buf, part...)
		part = h.buf
	}
	if h.need == 0 {
		p.sslv2Message(side, at, part, true)
		h.buf = h.buf[:0]
	}
}

func (p *Parser) sslv2Message(side flows.Side, at flows.Stamp, body []byte, whole bool) {
	h := &p.sides[side]
	m := &p.h
	if h.rec[2] == 1 {
		if !p.role(side) {
			h.state = lost
			return
		}
		p.fault2(m.Client.decodeSSLv2(body, whole))
		if m.Client.Version>>8 != 3 {
			h.state = opaque // SSLv2 to the end
		}
		return
	}
	h.state = opaque
	if !p.role(side.Other()) {
		return
	}
	// SERVER-HELLO of SSLv2: session id hit, certificate type, version, lengths
	// of certificate, ciphers and connection id, and these.
	m.Server.Seen, m.Server.Complete = true, whole
	r := cursor(body)
	hit, _ := r.u8()
	r.u8()
	m.Server.Version, _ = r.u16()
	ncert, _ := r.u16()
	r.u16()
	_, ok := r.u16()
	if !ok {
		p.fault("server_hello: lengths of its SSLv2 form")
		return
	}
	m.Resumed = answer(hit != 0)
	if der, ok := r.take(int(ncert)); ok && len(der) > 0 && len(m.ServerChain) == 0 {
		p.addCertificate(side, &m.ServerChain, der)
		m.ServerChainAt = at
	}
}

// settle says the message once nothing more can be learned.
func (p *Parser) settle(dst []Handshake, at flows.Stamp) []Handshake {
	if p.sides[0].secured && p.sides[1].secured && p.h.Done.Pos == 0 && p.h.Done.Time == 0 {
		p.h.Done = at
	}
	if p.sides[0].state == readable || p.sides[1].state == readable {
		return dst
	}
	return p.emit(dst, at)
}

func (p *Parser) emit(dst []Handshake, at flows.Stamp) []Handshake {
	p.partial(flows.Initiator, at)
	p.partial(flows.Responder, at)
	p.settled = true
	m := &p.h
	if !m.Client.Seen && !m.Server.Seen && !m.Alerts[0].Seen && !m.Alerts[1].Seen && len(m.ServerChain)+len(m.ClientChain) == 0 {
		return dst // not TLS, or nothing of a handshake
	}
	a, b := &p.sides[0], &p.sides[1]
	fatal := m.Alerts[0].Level == AlertFatal || m.Alerts[1].Level == AlertFatal
	switch {
	case fatal:
		m.Outcome = Alerted
	case a.secured && b.secured:
		m.Outcome = Established
	case a.refused || b.refused:
		m.Outcome = EncryptedAlert
	case m.AfterGap && (a.state == lost || b.state == lost):
		m.Outcome = Gap
	case a.state == lost || b.state == lost:
		m.Outcome = Broken
	case p.reset:
		m.Outcome = Reset
	case a.state == closed || b.state == closed:
		m.Outcome = Closed
	}
	switch m.Outcome {
	case Established:
		m.Established = Yes
	case Alerted, EncryptedAlert:
		m.Established = No
	case Closed, Reset:
		// One side's protected data without the other's bytes is half a capture.
		if !(a.secured && !b.seen || b.secured && !a.seen) {
			m.Established = No
		}
	}
	if m.Established != Yes {
		m.Done = flows.Stamp{}
	}
	return append(dst, *m)
}
