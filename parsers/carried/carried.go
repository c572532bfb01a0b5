// Package carried reads protocols that carry the bytes of another in their own messages, and
// hands those on: TDS, the protocol of Microsoft's SQL Server, whose sessions begin with TLS
// in TDS packets; FTP, where GSS-API has tokens that may be TLS; RADIUS, where those
// who want access to a network prove themselves by EAP with TLS; WebSocket, whose frames may carry
// the stream of any other.
//
// What the bytes say is for another parser, which this package does not know:
// a parser here is made around it, and its messages are that parser's. Of the
// carrying protocol nothing else is read, and nothing once what it carried is over.
package carried

import (
	"encoding/binary"
	"unsafe"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// TDS returns TDS for an Engine, recognized by the packet that a session begins with
// (PRELOGIN). inner makes the parsers of TLS.
func TDS[M any](inner func() parsers.SessionParser[M]) parsers.Protocol[M] {
	return parsers.Protocol[M]{
		Name: "tds",
		Stream: func() parsers.SessionParser[M] {
			return &stream[M]{inner: inner(), read: [2]reader{new(tds), new(tds)}}
		},
		Probe: parsers.ByPayload(probeTDS),
	}
}

// FTP returns FTP for an Engine where it goes on with tokens of TLS (command ADAT, RFC 2228
// section 3), as GridFTP does. inner makes the parsers of TLS.
func FTP[M any](inner func() parsers.SessionParser[M]) parsers.Protocol[M] {
	return parsers.Protocol[M]{
		Name: "ftp",
		Stream: func() parsers.SessionParser[M] {
			return &stream[M]{inner: inner(), read: [2]reader{new(adat), new(adat)}}
		},
		Probe: parsers.ByPayload(probeADAT),
	}
}

// reader finds in the bytes of a side those that it carries.
type reader interface {
	// next returns the carried bytes at the beginning of data, which may be none, and
	// what was not looked at yet. They are in data or in the reader's memory, until the next
	// call. more false: nothing is carried any more.
	next(data []byte) (carried, rest []byte, more bool)
	// skip passes over n bytes that were not captured. ok: the reader knows where it is, and
	// none of them were carried.
	skip(n int64) (ok bool)
	reset()
	held() int
}

// stream is a parsers.SessionParser.
type stream[M any] struct {
	inner parsers.SessionParser[M]
	read  [2]reader
	over  [2]bool // a side carries nothing any more
	fed   bool    // inner was
}

// missing stands for bytes of which nobody knows how many there were.
const missing = 1 << 30

// Feed implements parsers.SessionParser.
func (p *stream[M]) Feed(dst []M, side flows.Side, at flows.Stamp, data []byte) []M {
	for len(data) > 0 && !p.Done() && !p.over[side] {
		b, rest, more := p.read[side].next(data)
		if len(b) > 0 {
			p.fed = true
			dst = p.inner.Feed(dst, side, at, b)
		}
		data, p.over[side] = rest, !more
	}
	return dst
}

// Gap implements parsers.SessionParser.
func (p *stream[M]) Gap(dst []M, side flows.Side, at flows.Stamp, n int64) []M {
	if p.over[side] || p.Done() || n <= 0 || p.read[side].skip(n) {
		return dst
	}
	p.over[side] = true
	if !p.fed {
		return dst
	}
	return p.inner.Gap(dst, side, at, missing)
}

// Fin implements parsers.SessionParser.
func (p *stream[M]) Fin(dst []M, side flows.Side, at flows.Stamp) []M {
	if !p.fed {
		return dst
	}
	return p.inner.Fin(dst, side, at)
}

// Rst implements parsers.SessionParser.
func (p *stream[M]) Rst(dst []M, side flows.Side, at flows.Stamp) []M {
	if !p.fed {
		return dst
	}
	return p.inner.Rst(dst, side, at)
}

// End implements parsers.SessionParser.
func (p *stream[M]) End(dst []M) []M {
	if !p.fed {
		return dst
	}
	return p.inner.End(dst)
}

// Done implements parsers.SessionParser.
func (p *stream[M]) Done() bool {
	return p.over[0] && p.over[1] || !p.fed && (p.over[0] || p.over[1]) || p.inner.Done()
}

// Reset implements parsers.SessionParser.
func (p *stream[M]) Reset() {
	p.inner.Reset()
	for _, r := range p.read {
		r.reset()
	}
	*p = stream[M]{inner: p.inner, read: p.read}
}

// Held implements parsers.Bounded.
func (p *stream[M]) Held() int {
	n := int(unsafe.Sizeof(*p)) + p.read[0].held() + p.read[1].held()
	if b, ok := p.inner.(parsers.Bounded); ok {
		n += b.Held()
	}
	return n
}

// GivenUp implements parsers.Bounded.
func (p *stream[M]) GivenUp() int {
	if b, ok := p.inner.(parsers.Bounded); ok {
		return b.GivenUp()
	}
	return 0
}

// hello reports whether b, as far as it goes, begins with a record of TLS that begins with a
// client's or server's hello (RFC 8446 sections 4 and 5.1).
func hello(b []byte) bool {
	for i, c := range b[:min(len(b), 7)] {
		if i == 0 && c != 22 || i == 1 && c != 3 || i == 2 && c > 4 || i == 5 && c != 1 && c != 2 || i == 6 && c != 0 {
			return false
		}
	}
	return true
}

// tds reads the packets of a side ([MS-TDS] section 2.2.3.1):
//
//	type 1 | status 1 | length of all 2 | SPID 2 | packet id 1 | window 1 | data
//
// PRELOGIN packets hold options first, and, where both ends want encryption, TLS in the
// packets that follow, until the handshake is over: then records stand alone (sections 2.2.6.5 and 2.2.6.6).
type tds struct {
	hdr   [tdsHeader]byte
	nhdr  int
	left  int  // bytes of the packet to come
	begin bool // and none has
	tls   bool // a packet with TLS has come
	take  bool // this one is of TLS
	raw   bool // no packets any more
}

const (
	tdsHeader   = 8
	tdsReply    = 4 // what the server answers PRELOGIN with
	tdsPrelogin = 0x12
)

func (r *tds) next(data []byte) (carried, rest []byte, more bool) {
	if r.raw {
		return data, nil, true
	}
	if r.left == 0 {
		if r.nhdr == 0 && r.tls && data[0] >= 20 && data[0] <= 23 { // no types of TDS, all those of TLS records
			r.raw = true
			return data, nil, true
		}
		n := copy(r.hdr[r.nhdr:], data)
		r.nhdr += n
		if data = data[n:]; r.nhdr < tdsHeader {
			return nil, data, true
		}
		r.nhdr, r.left, r.begin = 0, int(binary.BigEndian.Uint16(r.hdr[2:]))-tdsHeader, true
		// Anything else is a login in the clear, or what comes behind it.
		return nil, data, r.left > 0 && (r.hdr[0] == tdsPrelogin || r.hdr[0] == tdsReply)
	}
	if r.begin {
		r.begin = false
		r.tls = r.tls || data[0] == 22 // options begin with 0
		r.take = r.tls
	}
	part := data[:min(r.left, len(data))]
	r.left -= len(part)
	if !r.take {
		return nil, data[len(part):], true
	}
	return part, data[len(part):], true
}

func (r *tds) skip(n int64) bool {
	if r.raw || r.take || n > int64(r.left) {
		return false
	}
	r.left -= int(n)
	r.begin = false
	return true
}

func (r *tds) reset()    { *r = tds{} }
func (r *tds) held() int { return int(unsafe.Sizeof(*r)) }

// probeTDS says whether data begins with a PRELOGIN packet: options of which each has its type, where
// it is and how long, VERSION with its six bytes first ([MS-TDS] section 2.2.6.5); or, in a
// capture that begins late, with one that holds a hello of TLS.
func probeTDS(data []byte, _ flows.Side) parsers.Verdict {
	if len(data) > 0 && data[0] != tdsPrelogin || len(data) > 1 && data[1] > 1 {
		return parsers.No
	}
	if len(data) < tdsHeader {
		return parsers.Maybe
	}
	n := int(binary.BigEndian.Uint16(data[2:])) - tdsHeader
	if n < 12 || data[7] != 0 {
		return parsers.No
	}
	b := data[tdsHeader:]
	if b = b[:min(n, len(b))]; hello(b) {
		if len(b) < 7 {
			return parsers.Maybe
		}
		return parsers.Yes
	}
	for i := 0; ; i += 5 {
		if i >= n || i > 5*32 {
			return parsers.No
		}
		if i >= len(b) {
			return parsers.Maybe
		}
		if b[i] == 0xff {
			if i == 0 {
				return parsers.No
			}
			return parsers.Yes
		}
		if i == 0 && b[0] != 0 {
			return parsers.No
		}
		if i+5 > len(b) {
			return parsers.Maybe
		}
		off, size := int(binary.BigEndian.Uint16(b[i+1:])), int(binary.BigEndian.Uint16(b[i+3:]))
		if off+size > n || i == 0 && size != 6 {
			return parsers.No
		}
	}
}

// adat reads the lines of a side of FTP for those with tokens: a command ADAT, or a reply
// that begins with ADAT= (RFC 2228 section 3 and 5.2), and then Base64 (RFC 4648).
type adat struct {
	line  lineState
	begin [9]byte // of a line, as far as it was seen
	n     int
	quad  [4]byte
	nquad int
	out   []byte
}

type lineState uint8

const (
	atStart lineState = iota
	inToken
	inRest // of no interest
)

func (r *adat) next(data []byte) (carried, rest []byte, more bool) {
	r.out = r.out[:0]
	for i, c := range data {
		if c == '\n' {
			r.line, r.n, r.nquad = atStart, 0, 0
			if len(r.out) > 0 {
				return r.out, data[i+1:], true
			}
			continue
		}
		switch r.line {
		case atStart:
			r.begin[r.n] = c
			r.n++
			if b := r.begin[:r.n]; !prefix(b, command) && !prefix(b, reply) {
				r.line = inRest
			} else if r.n == len(command) && prefix(b, command) || r.n == len(reply) {
				r.line = inToken
			}
		case inToken:
			v := sixBits(c)
			if v == bad {
				r.line = inRest
				continue
			}
			r.quad[r.nquad] = v
			if r.nquad++; r.nquad < 4 {
				continue
			}
			r.nquad = 0
			r.decode()
		}
	}
	return r.out, nil, true
}

// decode appends what a group of four characters stands for.
func (r *adat) decode() {
	q := &r.quad
	n := 3
	for n > 0 && q[n] == padding {
		n--
	}
	if n == 0 || q[0] == padding || q[1] == padding || q[2] == padding && q[3] != padding {
		r.line = inRest
		return
	}
	v := uint32(q[0])<<18 | uint32(q[1])<<12 | uint32(q[2]&63)<<6 | uint32(q[3]&63)
	b := [3]byte{byte(v >> 16), byte(v >> 8), byte(v)}
	r.out = append(r.out, b[:n]...)
	if n < 3 {
		r.line = inRest
	}
}

const (
	padding = 64
	bad     = 65
)

func sixBits(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	case c == '=':
		return padding
	}
	return bad
}

// Of a line with a token, in upper case; 3 stands for a digit and '-' for a blank, too.
const (
	command = "ADAT "
	reply   = "333-ADAT="
)

// prefix reports whether b begins as the line's pattern does.
func prefix(b []byte, pattern string) bool {
	if len(b) > len(pattern) {
		return false
	}
	for i, c := range b {
		switch p := pattern[i]; {
		case p == '3' && c >= '0' && c <= '9', p == '-' && c == ' ', c == p, p >= 'A' && p <= 'Z' && c == p+'a'-'A':
		default:
			return false
		}
	}
	return true
}

func (r *adat) skip(int64) bool { return false }

func (r *adat) reset() {
	out := r.out[:0]
	if cap(out) > 4<<10 {
		out = nil
	}
	*r = adat{out: out}
}

func (r *adat) held() int { return int(unsafe.Sizeof(*r)) + cap(r.out) }

// probeADAT says whether data begins with a token that is a hello of TLS: a record of the
// handshake's type and a version of 3.0 to 3.4 is FgMA to FgME in Base64.
func probeADAT(data []byte, _ flows.Side) parsers.Verdict {
	for _, pattern := range [...]string{command, reply} {
		b := data[:min(len(data), len(pattern))]
		if !prefix(b, pattern) {
			continue
		}
		token := data[len(b):]
		for i, c := range token[:min(len(token), 4)] {
			if i < 3 && c != "FgM"[i] || i == 3 && (c < 'A' || c > 'E') {
				return parsers.No
			}
		}
		if len(token) < 4 {
			return parsers.Maybe
		}
		return parsers.Yes
	}
	return parsers.No
}
