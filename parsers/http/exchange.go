package http

import (
	"bytes"
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/internal/body"
)

// message is the message that the side is reading.
func (s *stream) message() *Message {
	if s.role == client {
		return &s.cur.x.Request.Message
	}
	return &s.cur.x.Response.Message
}

// seen notes the packet of bytes of the message being read.
func (s *stream) seen(at flows.Stamp) {
	s.at = at
	if x := &s.cur.x; at.Pos > x.Last.Pos {
		x.Last = at
	}
}

// begin makes sl the side's current exchange.
func (p *Parser) begin(s *stream, side flows.Side, sl *slot, start, at flows.Stamp) {
	if s.lost {
		sl.x.AfterGap = true
	} else if s.stray {
		sl.x.Malformed |= StrayBytes
	}
	s.lost, s.stray = false, false
	s.transfer, s.badLength = plain, false
	s.state, s.cur = head, sl
	if s.body != nil {
		s.body.Reset()
	} else {
		s.body = body.Config{Hash: p.cfg.BodyHash, Type: p.cfg.BodyType}.New()
	}
	if start.Pos < sl.x.First.Pos {
		sl.x.First = start
	}
	s.seen(at)
	if s.role == unknown {
		return
	}
	if s.role == client {
		sl.x.Client = side
	} else {
		sl.x.Client = side.Other()
	}
}

// setRole says what side sends; the other side sends the other.
func (p *Parser) setRole(side flows.Side, r role) {
	if p.sides[side].role == unknown {
		p.sides[side].role = r
		if o := &p.sides[side.Other()]; o.role == unknown {
			o.role = client + server - r
		}
	}
}

func (p *Parser) beginRequest(dst []Exchange, s *stream, side flows.Side, start, at flows.Stamp, r requestLine, total int) []Exchange {
	p.setRole(side, client)
	// The server may be ahead, because the capture or the reassembly was: its
	// response is taken if it was captured after this request.
	var sl *slot
	for p.nreq < len(p.queue) && sl == nil {
		if o := p.queue[p.nreq]; start.Pos <= o.x.First.Pos {
			sl = o
		} else {
			o.reqDone = true
		}
		p.nreq++
	}
	dst = p.flush(dst)
	if sl == nil {
		limit := p.cfg.MaxPending
		if limit <= 0 {
			limit = defaultPending
		}
		if p.nreq-p.nresp >= limit {
			dst = p.evict(dst)
		}
		sl = p.newSlot(start)
		p.queue = append(p.queue, sl)
		p.nreq++
	}
	p.begin(s, side, sl, start, at)
	x := &sl.x.Request
	x.Start, x.Version, x.HeaderBytes = start, r.version, int64(total)
	sl.x.Malformed |= r.malformed
	if total > p.maxHeader() {
		sl.x.Malformed |= HeaderTooLarge
	}
	x.Method = sl.put(inRequest, r.method)
	x.Target = sl.put(inRequest, r.target)

	// A client that asks again has most often got its answer: see whether the
	// response that is being read really goes on.
	if o := &p.sides[side.Other()]; o.role == server && o.cur != nil && o.cur != sl &&
		(o.state == counted || o.state == untilEnd || o.state == chunkSize && o.digits == 0) {
		o.then, o.state = o.state, peek
	}
	return dst
}

// evict gives out the oldest request that has no response.
func (p *Parser) evict(dst []Exchange) []Exchange {
	sl := p.queue[p.nresp]
	sl.reqDone, sl.respDone = true, true
	p.evicted++
	p.givenUp++
	i := p.nresp
	p.queue = slices.Delete(p.queue, i, i+1)
	p.nreq--
	return p.give(dst, sl)
}

func (p *Parser) beginResponse(dst []Exchange, s *stream, side flows.Side, start, at flows.Stamp, r statusLine, total int) []Exchange {
	p.setRole(side, server)
	if s.lost {
		p.skipLost(start)
	}
	var sl *slot
	switch {
	case p.evicted > 0 || s.lost && p.nresp < p.nreq && p.queue[p.nresp].x.Request.Start.Pos > start.Pos:
		// The response to a request that is gone, or that was never seen.
		p.evicted = max(0, p.evicted-1)
		sl = p.newSlot(start)
		sl.reqDone = true
		p.queue = slices.Insert(p.queue, p.nresp, sl)
		p.nreq++
	case p.nresp < len(p.queue):
		sl = p.queue[p.nresp]
		if p.nresp+1 < p.nreq {
			p.pipelined = p.pipelined || !s.lost && p.queue[p.nresp+1].x.Request.Start.Pos < start.Pos
		}
	default:
		sl = p.newSlot(start)
		p.queue = append(p.queue, sl)
		if len(p.queue)-p.nreq > maxAhead {
			p.queue[p.nreq].reqDone = true
			p.nreq++
		}
	}
	p.nresp++
	dst = p.flush(dst)

	if c := &p.sides[side.Other()]; c.cur == sl && c.state == head && sl.x.Request.Version == V09 {
		dst = p.end(dst, c) // its head ends where the client stops
	}
	p.begin(s, side, sl, start, at)
	x := &sl.x.Response
	x.Start, x.Version, x.HeaderBytes, x.Status = start, r.version, int64(total), r.status
	sl.x.Malformed |= r.malformed
	if total > p.maxHeader() {
		sl.x.Malformed |= HeaderTooLarge
	}
	x.Reason = sl.put(inResponse, r.reason)
	return dst
}

// skipLost gives up requests whose responses were lost in a gap that ends at
// a response begun at start. Clients that don't pipeline wait for one response
// before they ask again, so that the last request before start is the one.
// With pipelining nothing tells how many were lost; none is assumed.
func (p *Parser) skipLost(start flows.Stamp) {
	if p.pipelined {
		return
	}
	n := 0
	for _, sl := range p.queue[min(p.nresp, p.nreq):p.nreq] {
		if sl.x.Request.Start.Pos > start.Pos {
			break
		}
		n++
	}
	for ; n > 1; n-- {
		sl := p.queue[p.nresp]
		sl.respDone, sl.x.AfterGap = true, true
		p.nresp++
	}
}

// head takes field lines up to the empty line.
func (p *Parser) head(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) ([]Exchange, int) {
	sl, m, limit := s.cur, s.message(), p.maxHeader()
	request := s.role == client
	n := 0
	for n < len(data) {
		line, k, total, ok := s.line(data[n:], true, limit)
		n += k
		if !ok {
			break
		}
		s.seen(at)
		m.HeaderBytes += int64(total)
		if len(line) <= 2 && (line[0] == '\n' || line[0] == '\r') {
			return p.endHead(dst, s, side), n
		}
		if m.HeaderBytes > int64(limit) {
			sl.x.Malformed |= HeaderTooLarge
			if request {
				sl.room[inRequest] = 0
			} else {
				sl.room[inResponse] = 0
			}
		}
		s.field(line, p)
	}
	return dst, n
}

// endHead decides what follows a head (RFC 9112 section 6.3).
func (p *Parser) endHead(dst []Exchange, s *stream, side flows.Side) []Exchange {
	sl, m := s.cur, s.message()
	if s.transfer != plain && (m.ContentLength >= 0 || s.badLength) {
		sl.x.Malformed |= ContentLengthAndTransfer
	}
	s.left, s.digits = 0, 0
	if s.role == client {
		return p.endRequestHead(dst, s)
	}
	return p.endResponseHead(dst, s, side)
}

func (p *Parser) endRequestHead(dst []Exchange, s *stream) []Exchange {
	sl, x := s.cur, &s.cur.x.Request
	connect := string(x.Method) == "CONNECT"
	if !sl.sawHost && x.Version >= 0x11 {
		sl.x.Malformed |= MissingHost
	}
	if len(x.Host) == 0 {
		if connect {
			x.Host = x.Target
			if i := bytes.IndexByte(x.Host, ' '); i >= 0 {
				x.Host = x.Host[:i]
			}
		} else {
			x.Host = authority(x.Target)
		}
	}
	switch {
	case connect:
	case s.transfer == chunked:
		s.state = chunkSize
	case s.transfer == otherCoding:
		// The length is unknowable; a server must refuse it.
		sl.x.Malformed |= BadTransferEncoding
		dst = p.end(dst, s)
		s.state = lostSync
		return dst
	case x.ContentLength > 0:
		s.state, s.left = counted, x.ContentLength
	}
	if s.state != head {
		if sl.expect {
			s.then, s.state = s.state, peek
		}
		return dst
	}
	wait := connect || len(x.Upgrade) > 0
	dst = p.end(dst, s)
	if wait && !sl.respDone {
		s.state, s.wait, s.opaque = held, sl, false
	}
	return dst
}

func (p *Parser) endResponseHead(dst []Exchange, s *stream, side flows.Side) []Exchange {
	sl, x, c := s.cur, &s.cur.x.Response, &p.sides[side.Other()]
	known := sl.x.HasRequest()
	if x.informational() {
		p.informational(s)
		return dst
	}
	connect := string(sl.x.Request.Method) == "CONNECT"
	if x.Status == 101 || connect && x.Status >= 200 && x.Status < 300 {
		sl.switched = Upgraded
		if x.Status != 101 {
			sl.switched = Tunnel
		}
		if c.wait == sl {
			c.rest = c.buf
		}
		c.wait, c.cur, sl.reqDone = nil, nil, true
		p.tunnel = true
		return p.end(dst, s)
	}
	if c.wait == sl {
		// The client's bytes were meant for HTTP after all.
		c.wait, c.state = nil, between
		if c.opaque {
			c.hold(nil)
			c.state, c.stray = lostSync, true
		}
	}
	switch {
	case x.Status == 204 || x.Status == 304 || string(sl.x.Request.Method) == "HEAD":
		return p.end(dst, s)
	case s.transfer == chunked:
		s.state = chunkSize
	case s.transfer == plain && x.ContentLength >= 0:
		if s.left = x.ContentLength; s.left == 0 {
			return p.end(dst, s)
		}
		s.state = counted
	default:
		s.state = untilEnd
	}
	// Without its request, a response to HEAD looks like any other; and not
	// all that lack a length last until the end.
	if !known || s.state == untilEnd && p.nresp < p.nreq {
		s.then, s.state = s.state, peek
	}
	return dst
}

func (x *Response) informational() bool {
	return x.Status >= 100 && x.Status < 200 && x.Status != 101
}

// informational ends a response that is not the final one: of it the code is kept.
func (p *Parser) informational(s *stream) {
	sl, x := s.cur, &s.cur.x.Response
	if n := len(sl.x.Informational); n < len(sl.info) {
		sl.info[n] = uint16(x.Status)
		sl.x.Informational = sl.info[:n+1]
	}
	*x = Response{Message: Message{ContentLength: -1}}
	sl.respHeaders = sl.respHeaders[:0]
	s.state, s.cur = between, nil
	p.nresp--
}

// peek takes the first bytes of a body that may not be there.
func (p *Parser) peek(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) ([]Exchange, int) {
	if s.role == client && !s.cur.respDone && s.lineLen == 0 {
		s.state = s.then // no final response yet: what comes is the body
		return dst, 0
	}
	var a [24]byte
	n := copy(a[:], s.buf)
	n += copy(a[n:], data)
	v := startsStatus(a[:n])
	if s.role == client {
		v = startsRequest(a[:n])
	}
	if s.lineLen == 0 {
		s.start = at
	}
	switch v {
	case parsers.Maybe:
		s.buf = append(s.buf, data...)
		s.lineLen = len(s.buf)
		return dst, len(data)
	case parsers.No:
		return p.unpeek(dst, s, side), 0
	}
	if s.role == server && s.then != untilEnd && s.cur.x.HasRequest() {
		s.cur.x.Malformed |= ShortBody
		dst = p.cut(dst, s)
	} else {
		dst = p.end(dst, s)
	}
	s.state = between // which finds the held bytes at the beginning of its line
	return dst, 0
}

// unpeek gives the bytes that peek held to the body.
func (p *Parser) unpeek(dst []Exchange, s *stream, side flows.Side) []Exchange {
	var a [24]byte
	n := copy(a[:], s.buf)
	s.hold(nil)
	s.state = s.then
	return p.feed(dst, s, side, s.start, a[:n])
}

// chunk takes what surrounds the data of chunks (RFC 9112 section 7.1).
func (p *Parser) chunk(dst []Exchange, s *stream, at flows.Stamp, data []byte) ([]Exchange, int) {
	s.seen(at)
	switch s.state {
	case chunkSize:
		for n, c := range data {
			d := int64(-1)
			switch {
			case isDigit(c):
				d = int64(c - '0')
			case c|0x20 >= 'a' && c|0x20 <= 'f':
				d = int64(c|0x20-'a') + 10
			case s.digits > 0 && (c == '\r' || c == '\n' || c == ';' || c == ' ' || c == '\t'):
				s.state, s.opaque = chunkExt, false
				return dst, n
			case s.digits == 0 && (c == ' ' || c == '\t'):
				continue
			}
			if d < 0 || s.left >= 1<<58 || s.digits >= 64 {
				return p.badChunk(dst, s, BadChunkSize), n
			}
			s.left = s.left<<4 | d
			s.digits++
		}
		return dst, len(data)
	case chunkExt:
		i := bytes.IndexByte(data, '\n')
		line := data
		if i >= 0 {
			line = data[:i]
		}
		for _, c := range line { // opaque: the last byte was a CR
			if s.opaque {
				s.cur.x.Malformed |= BadChunkSize
			}
			s.opaque = c == '\r'
		}
		if i < 0 {
			return dst, len(data)
		}
		if !s.opaque { // section 2.2 allows the LF alone in the head only
			s.cur.x.Malformed |= BadChunkSize
		}
		s.digits, s.opaque = 0, false
		if s.state = chunkData; s.left == 0 {
			s.state = trailer
		}
		return dst, i + 1
	case chunkEnd:
		switch data[0] {
		case '\r':
			s.opaque = true
		case '\n':
			if !s.opaque {
				s.cur.x.Malformed |= BadChunkEnd
			}
			s.state, s.opaque = chunkSize, false
		default:
			return p.badChunk(dst, s, BadChunkEnd), 0
		}
		return dst, 1
	}
	// trailer: lines up to an empty one
	i := bytes.IndexByte(data, '\n')
	line := data
	if i >= 0 {
		line = data[:i]
	}
	for _, c := range line {
		if c != '\r' {
			s.opaque = true
			break
		}
	}
	if i < 0 {
		return dst, len(data)
	}
	if !s.opaque {
		return p.end(dst, s), i + 1
	}
	s.opaque = false
	return dst, i + 1
}

// badChunk goes on as well as can be: a response may be not chunked at all
// and then lasts until the end; after a request the next one is looked for.
func (p *Parser) badChunk(dst []Exchange, s *stream, m Malformed) []Exchange {
	s.cur.x.Malformed |= m
	s.left, s.digits = 0, 0
	if s.role == server {
		s.state = untilEnd
		s.body.Gap() // what of it is body is not known
		return dst
	}
	dst = p.cut(dst, s)
	s.state = lostSync
	return dst
}

// held takes a client's bytes whose meaning the response will tell, unless
// they are plainly a next request.
func (p *Parser) held(s *stream, at flows.Stamp, data []byte) int {
	if s.lineLen == 0 {
		s.start = at
	}
	if !s.opaque {
		var a [24]byte
		n := copy(a[:], s.buf)
		n += copy(a[n:], data)
		v := startsRequest(a[:n])
		if string(s.wait.x.Request.Method) == "CONNECT" {
			v = hasPrefix(a[:n], "CONNECT ") // any other may be what the tunnel carries
		}
		if v == parsers.Yes {
			s.state, s.wait = between, nil
			return 0
		}
		s.opaque = v == parsers.No
	}
	if room := maxHeld - len(s.buf); room > 0 {
		s.buf = append(s.buf, data[:min(room, len(data))]...)
	}
	s.lineLen = len(s.buf)
	return len(data)
}

// end ends the message that the side is reading, at its last byte.
func (p *Parser) end(dst []Exchange, s *stream) []Exchange {
	s.message().End = s.at
	s.describe(true)
	return p.finish(dst, s)
}

// describe notes what the body says of itself; whole: it is all there.
func (s *stream) describe(whole bool) {
	if s.body != nil {
		m := s.message()
		m.BodySHA256, m.BodyType = s.body.End(whole)
	}
}

// cut ends the message that the side is reading before its end.
func (p *Parser) cut(dst []Exchange, s *stream) []Exchange {
	if s.role == server && s.state == head && s.cur.x.Response.informational() {
		p.informational(s)
		return dst
	}
	s.describe(false)
	if s.role == client {
		s.cur.reqCut = true
		if len(s.cur.x.Request.Host) == 0 && s.state == head {
			s.cur.x.Request.Host = authority(s.cur.x.Request.Target)
		}
	} else {
		s.cur.respCut = true
	}
	return p.finish(dst, s)
}

func (p *Parser) finish(dst []Exchange, s *stream) []Exchange {
	if s.role == client {
		s.cur.reqDone = true
	} else {
		s.cur.respDone = true
	}
	s.state, s.cur = between, nil
	return p.flush(dst)
}

// flush gives out what is complete at the head of the queue.
func (p *Parser) flush(dst []Exchange) []Exchange {
	for len(p.queue) > 0 && p.queue[0].reqDone && p.queue[0].respDone {
		dst = p.emit(dst)
	}
	return dst
}

// emit gives out the head of the queue.
func (p *Parser) emit(dst []Exchange) []Exchange {
	sl := p.queue[0]
	n := copy(p.queue, p.queue[1:])
	p.queue[n] = nil
	p.queue = p.queue[:n]
	p.nreq, p.nresp = max(0, p.nreq-1), max(0, p.nresp-1)
	return p.give(dst, sl)
}

func (p *Parser) give(dst []Exchange, sl *slot) []Exchange {
	for i := range p.sides {
		if s := &p.sides[i]; s.wait == sl {
			s.wait, s.state, s.stray = nil, lostSync, true
			s.hold(nil)
		}
	}
	x := &sl.x
	if len(sl.reqHeaders) > 0 {
		x.Request.Headers = sl.reqHeaders
	}
	if len(sl.respHeaders) > 0 {
		x.Response.Headers = sl.respHeaders
	}
	whole := sl.reqDone && sl.respDone
	switch {
	case sl.switched != Complete:
		x.Outcome = sl.switched
	case !x.HasRequest():
		x.Outcome = NoRequest
	case !whole && p.reset:
		x.Outcome = Reset
	case !x.HasResponse():
		x.Outcome = NoResponse
	case !whole || sl.reqCut || sl.respCut:
		x.Outcome = Truncated
	}
	p.done = append(p.done, sl)
	return append(dst, *x)
}
