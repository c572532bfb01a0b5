// Package proxy reads what proxies put before another protocol: SOCKS 4, 4a
// and 5 (RFC 1928, RFC 1929), and versions 1 and 2 of HAProxy's PROXY protocol. It
// finds where that ends; what follows is for another parser (Parser.Tunnel).
//
// A negotiation is short and each step waits for the last, so both sides'
// bytes are held until they tell: at most 16 KiB of each. The header of the PROXY
// protocol is all of one side's own and needs no answer.
package proxy

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Message is what was agreed: given out when the other protocol begins. Of what was refused or broke off there is none.
type Message struct {
	Kind   Kind
	Client flows.Side // who asked, or sent the header
	// Host and Port are of the destination that the client asked for (SOCKS) or
	// came to (PROXY): an address as four or sixteen bytes, or a name; empty and 0 where
	// a PROXY header names none (UNKNOWN, LOCAL). Host is valid until the next call of any method of the Parser.
	Host []byte
	Name bool // Host is a name
	Port uint16
}

// Kind is a protocol of this package.
type Kind uint8

const (
	SOCKS4 Kind = iota + 1 // and 4a
	SOCKS5                 // RFC 1928
	PROXY1                 // version 1 of HAProxy's PROXY protocol: a line of text
	PROXY2                 // version 2: binary
)

// Parser is the parser of one flow: a parsers.SessionParser[Message]. The
// zero Parser is ready.
type Parser struct {
	kind   Kind
	step   step
	client flows.Side
	begun  bool
	bufs   [2][]byte
	held   [2]int // memory of bufs, what was taken from their beginning included
	rest   [2][]byte
	skip   int // PROXY2: bytes of the header to come
	host   []byte
	name   bool
	port   uint16
}

type step uint8

const (
	start    step = iota
	method        // SOCKS5: the server's choice of how to authenticate
	login         // the client's name and password
	loginOK       // what the server says of it
	request       // the client's
	answer        // the server's
	tunnel        // the other protocol has begun
	hopeless      // refused, broken, or nothing that TCP carries on
)

const maxHeld = 16 << 10

var _ parsers.SessionParser[Message] = (*Parser)(nil)

// Feed implements parsers.SessionParser.
func (p *Parser) Feed(dst []Message, side flows.Side, at flows.Stamp, data []byte) []Message {
	p.rest[0], p.rest[1] = nil, nil
	switch p.step {
	case tunnel:
		p.rest[side] = data
		return dst
	case hopeless:
		return dst
	}
	if !p.begun {
		p.begun, p.client = true, side
	}
	if p.skip > 0 && side == p.client {
		n := min(p.skip, len(data))
		p.skip -= n
		if data = data[n:]; p.skip > 0 {
			return dst
		}
	}
	if len(p.bufs[side])+len(data) > maxHeld {
		p.giveUp()
		return dst
	}
	b := append(p.bufs[side], data...)
	if cap(b) != cap(p.bufs[side]) {
		p.held[side] = cap(b)
	}
	p.bufs[side] = b
	for p.next() {
	}
	if p.step == hopeless {
		p.giveUp()
	}
	if p.step != tunnel {
		return dst
	}
	p.rest[0], p.rest[1] = p.bufs[0], p.bufs[1]
	return append(dst, Message{Kind: p.kind, Client: p.client, Host: p.host, Name: p.name, Port: p.port})
}

// giveUp lets go of what is held.
func (p *Parser) giveUp() { p.step, p.bufs, p.held = hopeless, [2][]byte{}, [2]int{} }

// take takes n bytes of a side; nil: they are not there yet.
func (p *Parser) take(side flows.Side, n int) []byte {
	b := p.bufs[side]
	if len(b) < n {
		return nil
	}
	p.bufs[side] = b[n:]
	return b[:n]
}

// next goes one step on, if the bytes for it are there.
func (p *Parser) next() bool {
	c, s := p.bufs[p.client], p.bufs[p.client.Other()]
	switch p.step {
	case start:
		if p.skip > 0 {
			return false
		}
		if p.kind == PROXY2 { // the rest of the header was skipped
			p.step = tunnel
			return false
		}
		return p.first(c)
	case method:
		if b := p.take(p.client.Other(), 2); b != nil {
			switch b[1] {
			case 0:
				p.step = request
			case 2:
				p.step = login
			default: // GSS-API wraps what follows; 0xff: none of the client's
				p.step = hopeless
			}
			return true
		}
	case login: // RFC 1929 section 2
		if len(c) < 2 || len(c) < 3+int(c[1]) || len(c) < 3+int(c[1])+int(c[2+int(c[1])]) {
			return false
		}
		b := p.take(p.client, 3+int(c[1])+int(c[2+int(c[1])]))
		clear(b) // nobody's business, not even in memory
		p.step = loginOK
		return true
	case loginOK:
		if b := p.take(p.client.Other(), 2); b != nil {
			p.step = request
			if b[1] != 0 {
				p.step = hopeless
			}
			return true
		}
	case request: // RFC 1928 section 4
		n := addressEnd(c)
		if n == 0 {
			return false
		}
		if n < 0 || c[0] != 5 || c[1] != 1 {
			p.step = hopeless
			return false
		}
		p.name = c[3] == 3
		host := c[4 : n-2]
		if p.name {
			host = host[1:]
		}
		p.host = append(p.host[:0], host...)
		p.port = binary.BigEndian.Uint16(c[n-2:])
		p.take(p.client, n)
		p.step = answer
		return true
	case answer:
		n := 8
		if p.kind == SOCKS5 {
			n = addressEnd(s)
		}
		if n < 0 {
			p.step = hopeless
			return false
		}
		if n == 0 || len(s) < n {
			return false
		}
		b := p.take(p.client.Other(), n)
		p.step = hopeless
		if p.kind == SOCKS5 && b[0] == 5 && b[1] == 0 || p.kind == SOCKS4 && b[0] == 0 && b[1] == 90 {
			p.step = tunnel
		}
	}
	return false
}

// addressEnd returns the length of a request or answer of SOCKS5: four bytes
// of which the last is the kind of address, the address and a port. 0: it is
// not there yet; -1: it is none.
func addressEnd(b []byte) int {
	if len(b) < 5 {
		return 0
	}
	n := 0
	switch b[3] {
	case 1:
		n = 4 + 4 + 2
	case 3:
		n = 4 + 1 + int(b[4]) + 2
	case 4:
		n = 4 + 16 + 2
	default:
		return -1
	}
	if len(b) < n {
		return 0
	}
	return n
}

// first reads what the client begins with.
func (p *Parser) first(c []byte) bool {
	if len(c) == 0 {
		return false
	}
	switch c[0] {
	case 5:
		p.kind = SOCKS5
		if len(c) < 2 || len(c) < 2+int(c[1]) {
			return false
		}
		p.take(p.client, 2+int(c[1]))
		p.step = method
		return true
	case 4:
		p.kind = SOCKS4
		n, ok := socks4End(c)
		if n == 0 && ok {
			return false
		}
		if !ok || c[1] != 1 {
			p.step = hopeless
			return false
		}
		p.port = binary.BigEndian.Uint16(c[2:])
		p.host = append(p.host[:0], c[4:8]...)
		if p.name = isName(c); p.name {
			user := bytes.IndexByte(c[8:], 0)
			p.host = append(p.host[:0], c[8+user+1:n-1]...)
		}
		p.take(p.client, n)
		p.step = answer
		return true
	case 'P':
		p.kind = PROXY1
		i := bytes.IndexByte(c, '\n')
		if i < 0 {
			if len(c) > maxLine {
				p.step = hopeless
			}
			return false
		}
		p.line(c[:i])
		p.take(p.client, i+1)
		p.step = tunnel
		return false
	}
	if len(c) < 16 {
		return false
	}
	length, addresses := int(binary.BigEndian.Uint16(c[14:])), 0
	switch c[13] >> 4 {
	case 1:
		addresses = 4 + 4 + 2 + 2
	case 2:
		addresses = 16 + 16 + 2 + 2
	}
	if addresses > length {
		addresses = 0
	}
	if len(c) < 16+addresses {
		return false
	}
	p.kind = PROXY2
	if b := p.take(p.client, 16+addresses)[16:]; addresses > 0 {
		p.host = append(p.host[:0], b[(addresses-4)/2:addresses-4]...)
		p.port = binary.BigEndian.Uint16(b[addresses-2:])
	}
	p.skip = length - addresses
	n := min(p.skip, len(p.bufs[p.client]))
	p.skip -= n
	p.take(p.client, n)
	return p.skip == 0
}

// line reads the destination of PROXY1's line: PROXY, the family, two
// addresses, two ports.
func (p *Parser) line(b []byte) {
	f := strings.Fields(string(b))
	if len(f) != 6 {
		return
	}
	ip, err := netip.ParseAddr(f[3])
	port, err2 := strconv.ParseUint(f[5], 10, 16)
	if err == nil && err2 == nil {
		p.host, p.port = append(p.host[:0], ip.AsSlice()...), uint16(port)
	}
}

const maxLine = 107 // of PROXY1, by its specification

// socks4End returns the length of a SOCKS4 request: command, port, address, a
// user's name that a zero ends, and a host name likewise where the address is
// 0.0.0.x. 0: it is not there yet; not ok: it is none.
func socks4End(b []byte) (n int, ok bool) {
	if len(b) < 9 {
		return 0, true
	}
	n = 8
	for k := 0; k < 2; k++ {
		i := bytes.IndexByte(b[n:], 0)
		if i < 0 {
			return 0, len(b)-n < 256
		}
		if i > 255 {
			return 0, false
		}
		n += i + 1
		if !isName(b) {
			break
		}
	}
	return n, true
}

func isName(b []byte) bool { return b[4]|b[5]|b[6] == 0 && b[7] != 0 }

// Gap implements parsers.SessionParser.
func (p *Parser) Gap(dst []Message, side flows.Side, at flows.Stamp, n int64) []Message {
	p.rest[0], p.rest[1] = nil, nil
	if p.step != tunnel {
		p.step = hopeless
	}
	return dst
}

// Fin implements parsers.SessionParser.
func (p *Parser) Fin(dst []Message, side flows.Side, at flows.Stamp) []Message { return dst }

// Rst implements parsers.SessionParser.
func (p *Parser) Rst(dst []Message, side flows.Side, at flows.Stamp) []Message { return dst }

// End implements parsers.SessionParser.
func (p *Parser) End(dst []Message) []Message { return dst }

// Done implements parsers.SessionParser.
func (p *Parser) Done() bool { return p.step == hopeless }

// Tunnel reports that the other protocol has begun.
func (p *Parser) Tunnel() bool { return p.step == tunnel }

// Rest returns the bytes of side that the last call left to the other
// protocol: after the call that began it, all that were held; after a later
// Feed, its data. Valid until the next call.
func (p *Parser) Rest(side flows.Side) []byte { return p.rest[side] }

// Reset implements parsers.SessionParser.
func (p *Parser) Reset() {
	q := Parser{host: p.host[:0]}
	*p = q
}

// ProbeSOCKS says whether data, the first bytes of a side, begin a negotiation
// of SOCKS. Three bytes are a greeting of SOCKS5 and prove little: it is sure
// with the request behind them.
func ProbeSOCKS(data []byte, _ flows.Side) parsers.Verdict {
	if len(data) == 0 {
		return parsers.Maybe
	}
	switch data[0] {
	case 4:
		return probe4(data)
	case 5:
		return probe5(data)
	}
	return parsers.No
}

func probe4(b []byte) parsers.Verdict {
	if len(b) > 1 && b[1] != 1 {
		return parsers.No
	}
	if len(b) < 9 {
		return parsers.Maybe
	}
	n, ok := socks4End(b)
	if !ok || binary.BigEndian.Uint16(b[2:]) == 0 || b[4] == 0 && !isName(b) || b[4] >= 224 {
		return parsers.No
	}
	for i, c := range b[8:max(n-1, 8)] {
		if c < 0x20 && c != 0 || c >= 0x7f || c == 0 && (i == 0) != (b[8] == 0) {
			return parsers.No
		}
	}
	if n == 0 {
		if len(b) > 600 {
			return parsers.No
		}
		return parsers.Maybe
	}
	if len(b) != n && b[n] != 0x16 && b[n] < 0x20 { // a client that does not wait, with text or TLS
		return parsers.No
	}
	return parsers.Yes
}

func probe5(b []byte) parsers.Verdict {
	if len(b) < 2 {
		return parsers.Maybe
	}
	n := int(b[1])
	if n == 0 || n > 8 { // or a server's choice, which proves nothing
		if len(b) == 2 && n == 0 {
			return parsers.Maybe
		}
		return parsers.No
	}
	for _, m := range b[2:min(2+n, len(b))] {
		if m > 9 && m < 0x80 {
			return parsers.No
		}
	}
	if len(b) <= 2+n {
		return parsers.Maybe
	}
	b = b[2+n:]
	if b[0] == 1 { // name and password
		if len(b) < 2 || len(b) < 3+int(b[1]) {
			return parsers.Maybe
		}
		k := 3 + int(b[1]) + int(b[2+int(b[1])])
		if b[1] == 0 {
			return parsers.No
		}
		if len(b) <= k {
			return parsers.Maybe
		}
		b = b[k:]
	}
	for i, c := range b[:min(len(b), 4)] {
		if i == 0 && c != 5 || i == 1 && (c == 0 || c > 3) || i == 2 && c != 0 || i == 3 && c != 1 && c != 3 && c != 4 {
			return parsers.No
		}
	}
	k := addressEnd(b)
	if k == 0 {
		return parsers.Maybe
	}
	return parsers.Yes
}

const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// ProbePROXY says whether data, the first bytes of a side, begin a header of
// the PROXY protocol.
func ProbePROXY(data []byte, _ flows.Side) parsers.Verdict {
	v := prefix(data, signature2)
	switch {
	case v == parsers.Yes && len(data) > 12:
		if data[12]&^1 != 0x20 {
			return parsers.No
		}
		return parsers.Yes
	case v != parsers.No:
		return parsers.Maybe
	}
	for _, s := range [...]string{"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"} {
		if v := prefix(data, s); v != parsers.No {
			return v
		}
	}
	return parsers.No
}

func prefix(b []byte, s string) parsers.Verdict {
	n := min(len(b), len(s))
	if string(b[:n]) != s[:n] {
		return parsers.No
	}
	if n < len(s) {
		return parsers.Maybe
	}
	return parsers.Yes
}
