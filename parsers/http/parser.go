package http

import (
	"bytes"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/internal/body"
)

// Parser is the parser of one flow: a parsers.SessionParser[Exchange]. The
// zero Parser is ready and has the default Config.
//
// Each side is a small machine over its own bytes (stream); what joins them
// is a queue of slots, one for each exchange that is not yet given out.
// Requests take slots in order and so do responses, so whichever side is
// ahead waits in the queue for the other:
//
//	queue   [ slot 0 | slot 1 | slot 2 | slot 3 ]
//	          └ responses ┘  nresp
//	          └─ requests ─────────────┘  nreq
type Parser struct {
	cfg     Config
	sides   [2]stream
	queue   []*slot
	nreq    int // slots from the head whose request was begun, or will never come
	nresp   int // slots from the head whose final response was begun, or will never come
	evicted int // requests given out for want of room, whose responses may still come
	givenUp int // all requests given out for want of room
	done    []*slot
	free    []*slot
	scratch []byte
	depth   int
	garbage int64 // bytes of no message before the first one

	tunnel    bool
	reset     bool
	pipelined bool // a response was seen to come after the request that follows its own
}

// stream is what is known of one side.
type stream struct {
	state state
	then  state // peek: where the bytes go unless they begin a message
	role  role
	lost  bool // bytes were lost since the last boundary between messages that is certain
	stray bool // bytes were passed over since then

	// Bytes held until the rest of their line comes; len(buf) ≤ lineLen,
	// which is the line's length so far.
	buf     []byte
	lineLen int
	lineEnd bool // held bytes end a line; the next byte says whether it is folded
	start   flows.Stamp
	marks   [4]mark // out of sync: where packets begin in the held bytes, the latest
	nmarks  int

	left      int64    // body, chunk: bytes to come
	digits    int      // chunk size: digits so far
	opaque    bool     // held: the bytes are not HTTP; trailer: the line is not empty
	transfer  transfer // of the head being read
	badLength bool
	cur       *slot       // the exchange whose message is being read
	wait      *slot       // held: the exchange whose response decides
	at        flows.Stamp // packet of the last byte of the message being read
	rest      []byte      // see Parser.Rest
	body      *body.Body  // of the message being read; nil: nothing to find out
}

// mark says which packet carried the held bytes from an offset on.
type mark struct {
	offset int
	at     flows.Stamp
}

type role uint8

const (
	unknown role = iota
	client
	server
)

type state uint8

const (
	between   state = iota // before a start line
	lostSync               // looking for a start line
	head                   // field lines
	peek                   // a body, unless a message begins here
	counted                // body of Content-Length
	untilEnd               // body up to the end of the stream
	chunkSize              // chunked body
	chunkExt
	chunkData
	chunkEnd
	trailer
	held  // client: after a CONNECT or an Upgrade, until the response says what follows
	ended // after Fin
)

// slot is an exchange in the making.
type slot struct {
	x           Exchange
	buf         []byte // what x refers to
	reqHeaders  []Header
	respHeaders []Header
	info        [8]uint16
	room        [2]int // bytes of the request's and the responses' heads that may still be kept

	reqDone, respDone bool // ended, or will never come
	reqCut, respCut   bool // not all of it was seen
	sawHost           bool
	expect            bool    // Expect: 100-continue
	switched          Outcome // Upgraded, Tunnel
}

// maxFree is the number of slots that a Parser keeps for later; maxFreeBytes
// the memory that each of them may keep.
const (
	maxFree      = 4
	maxFreeBytes = 8 << 10
	maxAhead     = 8       // responses that wait for a request
	maxGlued     = 8 << 10 // of a line in which a start line is looked for
	maxHeld      = 16 << 10
	maxGarbage   = 64 << 10
)

var _ parsers.SessionParser[Exchange] = (*Parser)(nil)

// New returns a Parser with the given configuration.
func New(cfg Config) *Parser { return &Parser{cfg: cfg} }

// Feed implements parsers.SessionParser.
func (p *Parser) Feed(dst []Exchange, side flows.Side, at flows.Stamp, data []byte) []Exchange {
	p.recycle()
	return p.feed(dst, &p.sides[side], side, at, data)
}

// Gap implements parsers.SessionParser. Inside a counted body or chunk
// the missing bytes are subtracted and reading goes on exactly; elsewhere the
// next line that can only be a start line is looked for.
func (p *Parser) Gap(dst []Exchange, side flows.Side, at flows.Stamp, n int64) []Exchange {
	p.recycle()
	s := &p.sides[side]
	if n <= 0 || p.tunnel || s.state == ended {
		return dst
	}
	if s.state == peek {
		dst = p.unpeek(dst, s, side)
	}
	dst = p.cutLine(dst, s, side, at)
	s.lost = true
	s.body.Gap()
	if sl := s.cur; sl != nil {
		sl.x.AfterGap = true
		s.seen(at)
	}
	switch s.state {
	case counted, chunkData:
		k := min(n, s.left)
		s.message().BodyBytes += k
		s.left -= k
		n -= k
		switch {
		case s.state == counted && s.left == 0:
			dst = p.end(dst, s)
		case s.state == chunkData && s.left == 0:
			s.state = chunkEnd
		}
		if n == 0 {
			// Framing was never lost: what follows the message is certain.
			s.lost = false
			return dst
		}
	case untilEnd:
		s.message().BodyBytes += n
		return dst
	case held:
		s.hold(nil)
		return dst
	}
	if s.cur != nil {
		dst = p.cut(dst, s)
	}
	s.hold(nil)
	s.state = lostSync
	return dst
}

// cutLine begins a message whose first line the gap at hand cuts: packets may be captured
// to a length that ends there. It must say as much as only a first line does: of a request
// the method and where a target begins; of a response the status. Out of sync the line must
// begin a packet, and a request must say that it is HTTP's or come from the client.
func (p *Parser) cutLine(dst []Exchange, s *stream, side flows.Side, at flows.Stamp) []Exchange {
	line, start := s.buf, s.start
	if s.lineLen != len(s.buf) {
		return dst
	}
	certain := s.role == client
	switch {
	case s.state == lostSync && s.nmarks > 0:
		m := s.marks[s.nmarks-1]
		if m.offset < 0 || m.offset > len(line) {
			return dst // the packet began before what is held, or its bytes are taken
		}
		line, start = line[m.offset:], m.at
		certain = certain || bytes.Contains(line, []byte(" HTTP/"))
	case s.state == between:
		certain = true
	default:
		return dst
	}
	if s.role != client {
		if r, ok := parseCutStatusLine(line); ok {
			s.cur = nil
			return p.beginResponse(dst, s, side, start, at, r, len(line))
		}
	}
	if s.role != server && certain {
		if r, ok := parseCutRequestLine(line); ok {
			s.cur = nil
			return p.beginRequest(dst, s, side, start, at, r, len(line))
		}
	}
	return dst
}

// Fin implements parsers.SessionParser.
func (p *Parser) Fin(dst []Exchange, side flows.Side, at flows.Stamp) []Exchange {
	p.recycle()
	s := &p.sides[side]
	if p.tunnel || s.state == ended {
		return dst
	}
	if s.state == peek {
		dst = p.unpeek(dst, s, side)
	}
	switch {
	case s.cur == nil:
	case s.state == untilEnd || s.state == head && s.cur.x.Request.Version == V09 && s.role == client:
		dst = p.end(dst, s)
	default:
		dst = p.cut(dst, s)
	}
	s.state, s.cur, s.wait = ended, nil, nil
	s.hold(nil)
	if s.role == server { // whoever still waits, waits in vain
		for p.nresp < p.nreq && p.queue[p.nresp].reqDone {
			p.queue[p.nresp].respDone = true
			p.nresp++
		}
		dst = p.flush(dst)
	}
	return dst
}

// Rst implements parsers.SessionParser. What is open then ends as Reset, unless
// bytes that complete it still come: a capture may show them late, and a
// forged reset doesn't end anything.
func (p *Parser) Rst(dst []Exchange, side flows.Side, at flows.Stamp) []Exchange {
	p.recycle()
	p.reset = p.reset || !p.tunnel
	return dst
}

// End implements parsers.SessionParser.
func (p *Parser) End(dst []Exchange) []Exchange {
	p.recycle()
	for i := range p.sides {
		s := &p.sides[i]
		if s.state == peek && s.cur != nil {
			dst = p.unpeek(dst, s, flows.Side(i))
		}
		if s.cur != nil {
			s.describe(false)
		}
		s.state, s.cur, s.wait = ended, nil, nil
		s.hold(nil)
	}
	for len(p.queue) > 0 {
		dst = p.emit(dst)
	}
	return dst
}

// Done implements parsers.SessionParser.
func (p *Parser) Done() bool {
	return p.tunnel || p.depth == 0 && p.garbage > maxGarbage ||
		p.sides[0].state == ended && p.sides[1].state == ended && len(p.queue) == 0
}

// Reset implements parsers.SessionParser.
func (p *Parser) Reset() {
	p.recycle()
	p.done = append(p.done, p.queue...)
	p.recycle()
	q := p.queue[:0]
	clear(q[:cap(q)])
	a, b := trimmed(p.sides[0].buf), trimmed(p.sides[1].buf)
	x, y := p.sides[0].body, p.sides[1].body
	*p = Parser{cfg: p.cfg, queue: q, done: p.done, free: p.free, scratch: trimmed(p.scratch)}
	p.sides[0].buf, p.sides[1].buf = a, b
	p.sides[0].body, p.sides[1].body = x, y
}

func trimmed(b []byte) []byte {
	if cap(b) > maxFreeBytes {
		return nil
	}
	return b[:0]
}

// Tunnel reports that HTTP is over: an upgrade or a CONNECT was answered with
// success, and the bytes of both sides now belong to another protocol. The
// last exchange given out says which it was. Rest has the bytes that the
// call which brought this about did not take; every later Feed takes none.
func (p *Parser) Tunnel() bool { return p.tunnel }

// Rest returns the bytes of side that the last call left to the tunnelled
// protocol: after the call that began the tunnel, what of its data follows
// the response's head, and what the client had sent before that (to be read
// first); after a later Feed, all its data. Valid until the next call.
// Of what a client sends before the response, the first 16 KiB are held.
func (p *Parser) Rest(side flows.Side) []byte { return p.sides[side].rest }

// recycle takes back what the last call gave out.
func (p *Parser) recycle() {
	for i := range p.sides {
		p.sides[i].rest = nil
	}
	for i, sl := range p.done {
		if len(p.free) < maxFree && cap(sl.buf) <= maxFreeBytes && cap(sl.reqHeaders)+cap(sl.respHeaders) <= 256 {
			*sl = slot{buf: sl.buf[:0], reqHeaders: sl.reqHeaders[:0], respHeaders: sl.respHeaders[:0]}
			p.free = append(p.free, sl)
		}
		p.done[i] = nil
	}
	p.done = p.done[:0]
}

func (p *Parser) newSlot(at flows.Stamp) *slot {
	var sl *slot
	if n := len(p.free); n > 0 {
		sl, p.free = p.free[n-1], p.free[:n-1]
	} else {
		sl = &slot{buf: make([]byte, 0, 512)}
	}
	p.depth++
	sl.x.Depth = p.depth
	sl.x.First, sl.x.Last = at, at
	sl.room = [2]int{p.maxHeader(), p.maxHeader()}
	sl.x.Request.ContentLength, sl.x.Response.ContentLength = -1, -1
	return sl
}

// feed runs a side's machine over data. Each step takes at least a byte or
// leaves its state for one that does.
func (p *Parser) feed(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) []Exchange {
	for len(data) > 0 {
		if p.tunnel {
			s.rest = data
			return dst
		}
		n := 0
		switch s.state {
		case counted, chunkData:
			n = int(min(int64(len(data)), s.left))
			s.left -= int64(n)
			s.body.Write(data[:n])
			s.message().BodyBytes += int64(n)
			s.seen(at)
			if s.left == 0 {
				if s.state == counted {
					dst = p.end(dst, s)
				} else {
					s.state = chunkEnd
				}
			}
		case untilEnd:
			n = len(data)
			s.body.Write(data)
			s.message().BodyBytes += int64(n)
			s.seen(at)
		case between:
			dst, n = p.between(dst, s, side, at, data)
		case lostSync:
			dst, n = p.lostSync(dst, s, side, at, data)
		case head:
			dst, n = p.head(dst, s, side, at, data)
		case peek:
			dst, n = p.peek(dst, s, side, at, data)
		case chunkSize, chunkExt, chunkEnd, trailer:
			dst, n = p.chunk(dst, s, at, data)
		case held:
			n = p.held(s, at, data)
		case ended:
			return dst
		}
		data = data[n:]
	}
	return dst
}

// between takes bytes before a start line, and the start line.
func (p *Parser) between(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) ([]Exchange, int) {
	n := 0
	if s.lineLen == 0 {
		// RFC 9112 section 2.2: empty lines before a message are nothing.
		for n < len(data) && (data[n] == '\r' || data[n] == '\n') {
			n++
		}
		if n == len(data) {
			return dst, n
		}
		s.start = at
	}
	if !s.plausible(data[n:]) {
		if s.role == server && p.nresp < p.nreq && p.queue[p.nresp].x.Request.Version == V09 {
			// An answer to HTTP/0.9 is a body and nothing else.
			start, k := s.start, s.lineLen
			dst = p.beginResponse(dst, s, side, start, start, statusLine{version: V09}, 0)
			s.body.Write(s.buf)
			if len(s.buf) < k {
				s.body.Gap()
			}
			s.hold(nil)
			s.message().BodyBytes = int64(k)
			s.state = untilEnd
			return dst, n
		}
		s.state, s.stray = lostSync, true
		return dst, n
	}
	line, k, total, ok := s.line(data[n:], false, p.maxHeader())
	n += k
	if !ok {
		return dst, n
	}
	if s.role != client {
		if r, ok := parseStatusLine(line); ok {
			return p.beginResponse(dst, s, side, s.start, at, r, total), n
		}
	}
	if s.role != server {
		if r, ok := parseRequestLine(line, total > len(line)); ok {
			return p.beginRequest(dst, s, side, s.start, at, r, total), n
		}
	}
	s.stray, s.state = true, lostSync
	return p.scan(dst, s, side, s.start, at, line), n
}

// plausible says whether the line that begins with the held bytes and goes on
// with data may be a start line, so that a body out of place isn't held.
func (s *stream) plausible(data []byte) bool {
	var a [5]byte
	n := copy(a[:], s.buf)
	n += copy(a[n:], data)
	if s.role == server {
		return hasPrefix(a[:n], "HTTP/") != parsers.No || hasPrefix(a[:n], "ICY ") != parsers.No
	}
	return isToken(a[0])
}

// lostSync takes bytes of which none is known to begin a message.
func (p *Parser) lostSync(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) ([]Exchange, int) {
	before := len(s.buf)
	s.mark(before, at)
	i := bytes.IndexByte(data, '\n')
	if p.depth == 0 {
		p.garbage += int64(i + 1)
		if i < 0 {
			p.garbage += int64(len(data))
		}
	}
	if i < 0 {
		s.buf = append(s.buf, data...)
		if k := len(s.buf) - maxGlued; k > maxGlued {
			s.buf = s.buf[:copy(s.buf, s.buf[k:])]
			for j := range s.marks[:s.nmarks] {
				s.marks[j].offset -= k
			}
		}
		s.lineLen = len(s.buf)
		return dst, len(data)
	}
	line := data[:i+1]
	if before > 0 {
		line = append(s.buf, line...)
		s.buf = line
	}
	k := max(0, len(line)-maxGlued)
	line = line[k:]
	start := at
	if before > 0 {
		start = s.markOf(k + max(0, findAny(line, s.role)))
	}
	s.hold(nil)
	return p.scan(dst, s, side, start, at, line), i + 1
}

// mark notes that the held bytes from offset on come with the packet at.
func (s *stream) mark(offset int, at flows.Stamp) {
	if offset == 0 {
		s.nmarks = 0
	} else if s.nmarks == 0 {
		s.marks[0], s.nmarks = mark{0, s.start}, 1 // held before the sync was lost
	}
	if s.nmarks > 0 && s.marks[s.nmarks-1].at == at {
		return
	}
	if s.nmarks == len(s.marks) {
		copy(s.marks[:], s.marks[1:])
		s.nmarks--
	}
	s.marks[s.nmarks] = mark{offset, at}
	s.nmarks++
}

// markOf returns the packet of the held byte at offset; where that is
// forgotten, the earliest known.
func (s *stream) markOf(offset int) flows.Stamp {
	at := s.marks[0].at
	for _, m := range s.marks[:s.nmarks] {
		if m.offset <= offset {
			at = m.at
		}
	}
	return at
}

func findAny(line []byte, r role) int {
	if r != client {
		if o := findStatus(line); o >= 0 {
			return o
		}
	}
	if r != server {
		return findRequest(line)
	}
	return -1
}

// scan looks for a start line in a whole line and begins its message.
func (p *Parser) scan(dst []Exchange, s *stream, side flows.Side, start, at flows.Stamp, line []byte) []Exchange {
	if s.role != client {
		if o := findStatus(line); o >= 0 {
			if r, ok := parseStatusLine(line[o:]); ok {
				s.stray = s.stray || o > 0
				return p.beginResponse(dst, s, side, start, at, r, len(line)-o)
			}
		}
	}
	if s.role != server {
		if o := findRequest(line); o >= 0 {
			if r, ok := parseRequestLine(line[o:], false); ok {
				s.stray = s.stray || o > 0
				return p.beginRequest(dst, s, side, start, at, r, len(line)-o)
			}
		}
	}
	s.stray = true
	return dst
}

func (p *Parser) maxHeader() int {
	if p.cfg.MaxHeaderBytes > 0 {
		return max(p.cfg.MaxHeaderBytes, 64) // what tells messages apart must fit
	}
	return defaultHeaderBytes
}

// hold replaces the bytes held.
func (s *stream) hold(b []byte) {
	s.buf = append(s.buf[:0], b...)
	s.lineLen, s.lineEnd, s.nmarks = len(s.buf), false, 0
	if cap(s.buf) > maxFreeBytes && len(b) == 0 {
		s.buf = nil
	}
}

// line takes one line with its end, or, where fold is set, one logical line:
// with all lines after it that begin with white space (RFC 9112 section 5.2).
// Only the byte after such a line says that it is whole. n bytes of data are
// taken; if ok is false, that is all of them. At most limit bytes of the line
// are returned, valid until bytes are held again; total is its whole length.
func (s *stream) line(data []byte, fold bool, limit int) (line []byte, n, total int, ok bool) {
	for {
		if s.lineEnd {
			if n == len(data) {
				break
			}
			if c := data[n]; c != ' ' && c != '\t' {
				ok = true
				break
			}
			s.lineEnd = false
		}
		i := bytes.IndexByte(data[n:], '\n')
		if i < 0 {
			n = len(data)
			break
		}
		n += i + 1
		if t := s.lineLen + n; !fold || t == 1 || t == 2 && (n == 2 && data[0] == '\r' || n == 1 && s.buf[0] == '\r') {
			ok = true
			break
		}
		s.lineEnd = true
	}
	total = s.lineLen + n
	if ok && s.lineLen == 0 {
		s.lineEnd = false
		return data[:min(n, limit)], n, total, true
	}
	if room := limit - len(s.buf); room > 0 {
		s.buf = append(s.buf, data[:min(n, room)]...)
	}
	s.lineLen = total
	if !ok {
		return nil, n, total, false
	}
	line = s.buf[:min(len(s.buf), limit)] // more may be held from a peek at a body
	s.buf, s.lineLen, s.lineEnd = s.buf[:0], 0, false
	return line, n, total, true
}
