package http2

import (
	"bytes"
	"encoding/base64"
	"slices"

	"golang.org/x/net/http2/hpack"

	"github.com/caplake/caplake/flows"
)

// headBlock is the header block being decoded.
type headBlock struct {
	s       *stream
	side    flows.Side
	sl      *slot // nil: its fields are for nobody
	decided bool
	request bool
	head    bool // not trailers
	pseudo  uint8
	fields  bool // others were seen
}

// Bits of headBlock.pseudo.
const (
	pseudoMethod = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
	pseudoStatus
)

// endBlock decodes a header block after its last byte.
func (p *Parser) endBlock(dst []Exchange, s *stream, side flows.Side, at flows.Stamp) []Exchange {
	block := s.direct
	if block == nil {
		block = s.buf
	}
	sl := p.find(s.blockID)
	fresh := sl == nil
	if fresh && !slices.Contains(p.closed[:], s.blockID) && s.blockID != 0 {
		dst, sl = p.newSlot(dst, s.blockID, s.blockStart)
		sl.pushed = s.pushed
	}
	b := &p.block
	*b = headBlock{s: s, side: side, sl: sl}
	if s.pushed {
		p.setClient(side.Other())
	}
	if sl != nil {
		sl.seen(at)
		sl.room = p.cfg.maxHeader()
	}
	var unknown, ok bool
	switch {
	case s.cut:
		s.hpack.lose()
		unknown, ok = true, true
	case s.tooLarge:
		s.hpack.lose()
		ok = true
	default:
		unknown, ok = s.hpack.block(block)
	}
	s.buf, s.direct = s.buf[:0], nil
	if sl == nil {
		return dst
	}
	p.decide("")
	if unknown {
		if s.gapped {
			sl.x.AfterGap = true
		} else {
			sl.x.Malformed |= BadHeaderBlock
		}
	}
	if !ok {
		sl.x.Malformed |= BadHeaderBlock
	}
	if s.tooLarge {
		sl.x.Malformed |= HeaderTooLarge
	}
	if fresh && !b.request && !sl.pushed && p.sides[side.Other()].gapped {
		sl.x.AfterGap = true // its request was among what is missing
	}
	if b.head {
		p.endHead(sl, ok && !unknown && !s.tooLarge)
		if fresh && b.pseudo == 0 && s.hpack.lossy && !b.request && s.blockFlags&flagEndStream != 0 {
			// Trailers of a response whose head was lost, most likely.
			p.unlist(sl)
			p.done = append(p.done, sl)
			p.depth--
			return dst
		}
	}
	if n := len(sl.buf) + 48*(len(sl.reqHeaders)+len(sl.resHeaders)); n > sl.held {
		p.held += n - sl.held
		sl.held = n
	}
	switch {
	case s.blockFlags&flagEndStream != 0 && !s.pushed:
		dst = p.endMessage(dst, sl, side, at)
	case s.pushed && b.head: // a promise is a request whole (section 8.4)
		sl.req = over
		sl.x.Request.End = at
	}
	for p.held > maxHeld && len(p.open) > 1 {
		p.givenUp++
		dst = p.remove(dst, p.open[0])
	}
	return dst
}

// decide finds out, by the first field if that helps, what the block is the
// head of.
func (p *Parser) decide(name string) {
	b := &p.block
	if b.decided {
		return
	}
	b.decided = true
	if len(name) > 0 && name[0] == ':' {
		if name == ":status" {
			p.setClient(b.side.Other())
		} else {
			p.setClient(b.side)
		}
	}
	if b.sl == nil {
		return
	}
	b.request = p.requests(b.side) || b.s.pushed
	m, ph := &b.sl.x.Response.Message, &b.sl.res
	if b.request {
		m, ph = &b.sl.x.Request.Message, &b.sl.req
	}
	switch *ph {
	case over:
		b.sl.x.Malformed |= StrayFrame
	case none:
		*ph = inBody
		b.head = true
		m.Start, m.HeaderBytes = b.s.blockStart, b.s.blockBytes
	}
}

// endHead does what follows when all fields of a head are known; whole: they
// are.
func (p *Parser) endHead(sl *slot, whole bool) {
	b := &p.block
	if b.request {
		q := &sl.x.Request
		if string(q.Method) == "CONNECT" && b.pseudo&pseudoPath == 0 {
			q.Target = q.Host
		}
		if whole && b.pseudo&pseudoMethod == 0 {
			sl.x.Malformed |= BadPseudoHeader
		}
		return
	}
	r := &sl.x.Response
	if whole && r.Status == 0 {
		sl.x.Malformed |= BadPseudoHeader
	}
	if r.Status >= 100 && r.Status < 200 { // not the final response: forget all but its code
		if n := len(sl.x.Informational); n < len(sl.info) {
			sl.info[n] = uint16(r.Status)
			sl.x.Informational = sl.info[:n+1]
		}
		*r = Response{Message: Message{ContentLength: -1}}
		sl.resHeaders = sl.resHeaders[:0]
		sl.res = none
	}
}

// field takes one decoded field. HPACK's strings are memory of their own.
func (p *Parser) field(f hpack.HeaderField) {
	p.decide(f.Name)
	b := &p.block
	if b.sl == nil || !b.head || f.Name == unknownName {
		return
	}
	sl := b.sl
	q, r := &sl.x.Request, &sl.x.Response
	m, list := &r.Message, &sl.resHeaders
	if b.request {
		m, list = &q.Message, &sl.reqHeaders
	}
	var value []byte
	if p.cfg.Headers {
		if len(*list) < maxHeaders && len(f.Name)+len(f.Value) <= sl.room {
			h := Header{sl.put(f.Name), sl.put(f.Value)}
			*list = append(*list, h)
			value = h.Value
		} else {
			sl.x.Malformed |= HeaderTooLarge
		}
	}
	if len(f.Name) > 0 && f.Name[0] == ':' {
		p.pseudo(f.Name, f.Value)
		return
	}
	b.fields = true
	for i := 0; i < len(f.Name); i++ {
		if c := f.Name[i]; c-'A' < 26 {
			sl.x.Malformed |= BadFieldName
			break
		}
	}
	var to *[]byte
	switch f.Name {
	case "":
		sl.x.Malformed |= BadFieldName
	case "host":
		if b.request && b.pseudo&pseudoAuthority == 0 {
			to = &q.Host
		}
	case "user-agent":
		if b.request {
			to = &q.UserAgent
		}
	case "referer":
		if b.request {
			to = &q.Referer
		}
	case "origin":
		if b.request {
			to = &q.Origin
		}
	case "x-forwarded-for":
		if b.request {
			if to = &q.ForwardedFor; len(*to) > 0 {
				*to = sl.join(*to, f.Value)
				return
			}
		}
	case "authorization":
		if b.request {
			sl.basic(f.Value, true)
		}
	case "proxy-authorization":
		if b.request {
			sl.basic(f.Value, false)
		}
	case "location":
		if !b.request {
			to = &r.Location
		}
	case "server":
		if !b.request {
			to = &r.Server
		}
	case "content-type":
		to = &m.ContentType
	case "content-encoding":
		to = &m.ContentEncoding
	case "content-length":
		n, ok := decimal(f.Value)
		switch {
		case !ok:
			sl.x.Malformed |= BadContentLength
		case m.ContentLength >= 0 && m.ContentLength != n:
			sl.x.Malformed |= ConflictingContentLength
		default:
			m.ContentLength = n
		}
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		sl.x.Malformed |= ConnectionField
	}
	if to != nil && len(*to) == 0 { // of a repeated field the first one counts
		if value == nil {
			value = sl.put(f.Value)
		}
		*to = value
	}
}

// pseudo takes a pseudo-header field (section 8.3).
func (p *Parser) pseudo(name, value string) {
	b := &p.block
	q, r := &b.sl.x.Request, &b.sl.x.Response
	var bit uint8
	var to *[]byte
	switch name {
	case ":method":
		bit, to = pseudoMethod, &q.Method
	case ":scheme":
		bit = pseudoScheme
	case ":authority":
		bit, to = pseudoAuthority, &q.Host
	case ":path":
		bit, to = pseudoPath, &q.Target
	case ":protocol":
		bit, to = pseudoProtocol, &q.Protocol
	case ":status":
		bit = pseudoStatus
	}
	if bit == 0 || b.pseudo&bit != 0 || b.fields || b.request == (bit == pseudoStatus) {
		b.sl.x.Malformed |= BadPseudoHeader
		if bit == 0 || b.pseudo&bit != 0 || b.request == (bit == pseudoStatus) {
			return
		}
	}
	b.pseudo |= bit
	switch {
	case bit == pseudoStatus:
		if n, ok := decimal(value); ok && len(value) == 3 {
			r.Status = int(n)
		} else {
			b.sl.x.Malformed |= BadPseudoHeader
		}
	case to != nil:
		*to = b.sl.put(value)
	}
}

// put copies s into the slot's memory, as far as the head's bound allows.
func (sl *slot) put(s string) []byte {
	if len(s) > sl.room {
		s = s[:sl.room]
		sl.x.Malformed |= HeaderTooLarge
	}
	if len(s) == 0 {
		return nil
	}
	sl.room -= len(s)
	n := len(sl.buf)
	sl.buf = append(sl.buf, s...)
	return sl.buf[n:len(sl.buf):len(sl.buf)]
}

// join returns a copy of "old, s".
func (sl *slot) join(old []byte, s string) []byte {
	n := len(old) + 2 + len(s)
	if n > sl.room {
		sl.x.Malformed |= HeaderTooLarge
		return old
	}
	sl.room -= n
	o := len(sl.buf)
	sl.buf = append(append(append(sl.buf, old...), ", "...), s...)
	return sl.buf[o:len(sl.buf):len(sl.buf)]
}

// basic takes the user of Basic credentials (RFC 7617). The origin server's
// count more than the proxy's.
func (sl *slot) basic(v string, origin bool) {
	const scheme = "basic "
	if len(v) <= len(scheme) || len(sl.x.Request.Username) > 0 && !origin {
		return
	}
	for i := range scheme {
		if v[i]|0x20 != scheme[i] {
			return
		}
	}
	b := bytes.Trim([]byte(v[len(scheme):]), " =")
	if base64.RawStdEncoding.DecodedLen(len(b)) > sl.room {
		sl.x.Malformed |= HeaderTooLarge
		return
	}
	n, err := base64.RawStdEncoding.Decode(b, b)
	i := bytes.IndexByte(b[:n], ':')
	if err == nil && i >= 0 {
		sl.x.Request.Username = sl.put(string(b[:i]))
	}
	clear(b) // the password is nobody's business, not even in memory
}

func decimal(s string) (n int64, ok bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}
