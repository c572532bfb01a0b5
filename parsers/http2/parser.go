package http2

import (
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/internal/body"
)

// Parser is the parser of one flow: a parsers.SessionParser[Exchange]. The
// zero Parser is ready and has the default Config. A Parser must not be copied
// after its first use.
//
// Each side is a small machine over its own frames (stream); what joins them
// are slots, one for each stream of HTTP/2 that is open.
type Parser struct {
	cfg     Config
	sides   [2]stream
	open    []*slot  // in the order of their beginnings
	ids     []uint32 // of open, for the search
	held    int      // bytes that the slots of open hold
	givenUp int      // exchanges given out for want of room
	done    []*slot
	free    []*slot
	depth   int
	client  flows.Side
	known   bool // client is
	reset   bool
	clear   bool // a side has another protocol; see Tunnel

	highest uint32 // number of a stream, of either side's
	closed  [64]uint32
	nclosed int

	block headBlock // being decoded
}

// stream is what is known of one side.
type stream struct {
	state state
	n     int // bytes of raw
	raw   [frameHeader]byte
	stamp [frameHeader]flows.Stamp // scanning: the packets of raw
	start flows.Stamp              // packet of the first byte of the frame

	// The frame being read. Its payload is
	//   fixed | content | padding
	// of which left bytes are to come, content of them before the padding.
	frame   header
	left    int64
	content int64
	fix     [8]byte
	nfix    int
	slot    *slot  // DATA: where it belongs
	direct  []byte // the block where it lies whole in the data at hand

	// The header block being put together.
	inBlock    bool
	blockFlags uint8
	blockID    uint32 // stream that it opens or continues; of PUSH_PROMISE the promised one
	frameID    uint32 // stream that its frames are of
	pushed     bool
	blockStart flows.Stamp
	blockBytes int64
	tooLarge   bool
	cut        bool // parts of it were not captured
	buf        []byte

	hpack   decoder
	gapped  bool // bytes were not captured
	garbage int64
	rest    []byte // first bytes that are of another protocol
}

type state uint8

const (
	begin   state = iota // before the first byte
	magic                // the preface
	framed               // a frame's header
	fixed                // a payload's fields of fixed length
	content              // a payload's part of varying length
	padding
	scanning // for a frame's header
	ended
)

// slot is an exchange in the making.
type slot struct {
	x          Exchange
	buf        []byte // what x refers to
	reqHeaders []Header
	resHeaders []Header
	info       [8]uint16
	req, res   phase
	pushed     bool
	reset      bool
	room       int // bytes that the head being decoded may still keep
	held       int
	bodies     [2]*body.Body // by Side; nil: nothing to find out, or no DATA
}

// phase is how far a message is.
type phase uint8

const (
	none   phase = iota
	inBody       // the head was seen
	over
)

const (
	maxFree      = 8
	maxFreeBytes = 8 << 10
	maxHeld      = 1 << 20  // bytes that the open streams of a flow hold
	maxGarbage   = 64 << 10 // bytes of no frame before the first exchange
)

var (
	_ parsers.SessionParser[Exchange] = (*Parser)(nil)
	_ parsers.Tunneler                = (*Parser)(nil)
)

// New returns a Parser with the given configuration.
func New(cfg Config) *Parser { return &Parser{cfg: cfg} }

// Feed implements parsers.SessionParser.
func (p *Parser) Feed(dst []Exchange, side flows.Side, at flows.Stamp, data []byte) []Exchange {
	p.recycle()
	s := p.ready(side)
	for len(data) > 0 && s.state != ended && !p.clear {
		var n int
		dst, n = p.step(dst, s, side, at, data)
		data = data[n:]
	}
	return dst
}

// Gap implements parsers.SessionParser. Inside a payload the missing bytes are
// subtracted and reading goes on exactly; elsewhere the next header of a frame
// is looked for that can hardly be anything else.
func (p *Parser) Gap(dst []Exchange, side flows.Side, at flows.Stamp, n int64) []Exchange {
	p.recycle()
	s := p.ready(side)
	if n <= 0 || s.state == ended {
		return dst
	}
	s.gapped = true
	switch s.state {
	case fixed, content, padding:
		k := min(n, s.left)
		n -= k
		dst = p.missed(dst, s, side, at, k)
		if n == 0 {
			return dst
		}
	}
	for _, sl := range p.open {
		sl.x.AfterGap = true
		sl.bodies[side].Gap()
	}
	s.lose()
	return dst
}

// missed subtracts k lost bytes from the payload being read.
func (p *Parser) missed(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, k int64) []Exchange {
	if s.state == fixed { // the length of the padding may be among them: none is assumed
		s.content = s.left
	}
	lost := min(k, s.content)
	s.content -= lost
	s.left -= k
	switch s.frame.kind {
	case typeData:
		if sl := s.slot; sl != nil {
			p.message(sl, side).BodyBytes += lost
			sl.bodies[side].Gap()
			sl.x.AfterGap = true
			sl.seen(at)
		}
	case typeHeaders, typePushPromise, typeContinuation:
		if lost > 0 || s.state == fixed {
			s.cut = true
		}
	default: // of a frame that was not seen whole nothing follows
		s.frame.kind = typePing
	}
	s.state = content
	return p.ends(dst, s, side, at)
}

// lose says that it is not known where the next frame begins, nor what the
// header blocks were.
func (s *stream) lose() {
	s.hpack.lose()
	s.inBlock, s.slot, s.direct = false, nil, nil
	s.buf = s.buf[:0]
	s.state, s.n = scanning, 0
}

// Fin implements parsers.SessionParser.
func (p *Parser) Fin(dst []Exchange, side flows.Side, at flows.Stamp) []Exchange {
	p.recycle()
	p.sides[side].state = ended
	return dst
}

// Rst implements parsers.SessionParser. What is open at the end then ends as
// Reset.
func (p *Parser) Rst(dst []Exchange, side flows.Side, at flows.Stamp) []Exchange {
	p.recycle()
	p.reset = true
	return dst
}

// End implements parsers.SessionParser.
func (p *Parser) End(dst []Exchange) []Exchange {
	p.recycle()
	for _, sl := range p.open {
		dst = p.give(dst, sl)
	}
	clear(p.open)
	p.open, p.ids, p.held = p.open[:0], p.ids[:0], 0
	p.sides[0].state, p.sides[1].state = ended, ended
	return dst
}

// Done implements parsers.SessionParser.
func (p *Parser) Done() bool {
	a, b := &p.sides[0], &p.sides[1]
	return len(p.open) == 0 && (a.state == ended && b.state == ended || p.depth == 0 && a.garbage+b.garbage > maxGarbage)
}

// Tunnel implements parsers.Tunneler: a server of HTTP/2 began, but its client speaks HTTP/1.x.
func (p *Parser) Tunnel() bool { return p.clear }

// Rest implements parsers.Tunneler.
func (p *Parser) Rest(side flows.Side) []byte { return p.sides[side].rest }

// Reset implements parsers.SessionParser.
func (p *Parser) Reset() {
	p.recycle()
	p.done = append(p.done, p.open...)
	p.recycle()
	clear(p.open)
	q := Parser{cfg: p.cfg, open: p.open[:0], ids: p.ids[:0], done: p.done, free: p.free}
	for i := range q.sides {
		from, to := &p.sides[i], &q.sides[i]
		if to.buf = from.buf[:0]; cap(to.buf) > maxFreeBytes {
			to.buf = nil
		}
		if from.hpack.max == defaultTable { // a larger table's memory is given back
			to.hpack = from.hpack
			to.hpack.reset(from.hpack.bound)
		}
	}
	*p = q
}

func (p *Parser) recycle() {
	for i, sl := range p.done {
		if len(p.free) < maxFree && cap(sl.buf) <= maxFreeBytes && cap(sl.reqHeaders)+cap(sl.resHeaders) <= 256 {
			*sl = slot{buf: sl.buf[:0], reqHeaders: sl.reqHeaders[:0], resHeaders: sl.resHeaders[:0]}
			p.free = append(p.free, sl)
		}
		p.done[i] = nil
	}
	p.done = p.done[:0]
}

func (p *Parser) ready(side flows.Side) *stream {
	s := &p.sides[side]
	if s.hpack.emit == nil {
		s.hpack.emit = p.field
		s.hpack.reset(uint32(p.cfg.maxTable()))
	}
	return s
}

// step takes some bytes, at least one unless it changes the state.
func (p *Parser) step(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) ([]Exchange, int) {
	switch s.state {
	case begin:
		s.state = framed
		switch {
		case data[0] == preface[0]: // else a frame of five million bytes
			s.state = magic
		case p.other(s, data):
			return dst, len(data)
		}
		return p.step(dst, s, side, at, data)
	case magic:
		n := 0
		for n < len(data) && s.n < len(preface) && data[n] == preface[s.n] {
			n++
			s.n++
		}
		switch {
		case s.n == len(preface):
			p.setClient(side)
			s.state, s.n = framed, 0
		case n < len(data):
			if s.n < len(preface)-len("\r\nSM\r\n\r\n") && p.other(s, append([]byte(preface[:s.n]), data[n:]...)) {
				return dst, len(data)
			}
			s.lose()
		}
		return dst, n
	case framed:
		if s.n == 0 {
			s.start = at
		}
		n := copy(s.raw[s.n:], data)
		if s.n += n; s.n == frameHeader {
			dst = p.begins(dst, s, side, at)
		}
		return dst, n
	case fixed:
		n := copy(s.fix[s.nfix:s.frame.fixed()], data)
		s.nfix += n
		s.left -= int64(n)
		return p.ends(dst, s, side, at), n
	case content:
		n := int(min(int64(len(data)), s.content))
		s.content -= int64(n)
		s.left -= int64(n)
		p.takes(s, side, at, data[:n])
		return p.ends(dst, s, side, at), n
	case padding:
		n := int(min(int64(len(data)), s.left))
		s.left -= int64(n)
		return p.ends(dst, s, side, at), n
	}
	return p.scan(dst, s, side, at, data)
}

// other says whether data, the first bytes of a side, are a method of HTTP/1.x,
// of a client that had not been told what it is that it talks to. The server has begun already: it need not wait (RFC 9113 section 3.4).
func (p *Parser) other(s *stream, data []byte) bool {
	if p.depth > 0 || len(p.open) > 0 || p.known || s.gapped {
		return false
	}
	for i, c := range data {
		if c == ' ' && i >= len("GET") {
			break
		}
		if c < 'A' || c > 'Z' || i > 16 {
			return false
		}
	}
	p.clear = true
	s.rest = data // lent: Rest is asked for at once
	return true
}

// setClient says which side the client is.
func (p *Parser) setClient(side flows.Side) {
	if !p.known {
		p.known, p.client = true, side
	}
}

// begins takes the header of a frame.
func (p *Parser) begins(dst []Exchange, s *stream, side flows.Side, at flows.Stamp) []Exchange {
	f := parseHeader(s.raw[:])
	s.n = 0
	if !f.sizeOK() {
		if sl := p.find(f.id &^ (1 << 31)); sl != nil {
			sl.x.Malformed |= BadFrame
		}
		s.lose() // to a receiver the connection ends here
		return dst
	}
	f.id &^= 1 << 31
	s.frame, s.left, s.nfix, s.slot, s.direct = f, int64(f.length), 0, nil, nil
	s.state = fixed
	if s.inBlock && (f.kind != typeContinuation || f.id != s.frameID) {
		// Nothing may come amid a block (section 6.10).
		if sl := p.find(s.blockID); sl != nil {
			sl.x.Malformed |= BadHeaderBlock
		}
		s.inBlock = false
		s.hpack.lose()
	}
	switch f.kind {
	case typeData:
		if sl := p.find(f.id); sl != nil {
			if ph := *p.phase(sl, side); ph == over {
				sl.x.Malformed |= StrayFrame
			} else {
				s.slot = sl
			}
		}
	case typeHeaders, typePushPromise:
		s.inBlock, s.pushed, s.tooLarge, s.cut = true, f.kind == typePushPromise, false, false
		s.blockFlags, s.blockID, s.frameID = f.flags, f.id, f.id
		s.blockStart, s.blockBytes = s.start, 0
		s.buf = s.buf[:0]
	case typeContinuation:
		if !s.inBlock {
			s.hpack.lose() // what came before is missing, and it may be that this follows it
		}
	}
	return p.ends(dst, s, side, at)
}

// takes takes bytes of a frame's content.
func (p *Parser) takes(s *stream, side flows.Side, at flows.Stamp, b []byte) {
	switch s.frame.kind {
	case typeData:
		if sl := s.slot; sl != nil {
			p.message(sl, side).BodyBytes += int64(len(b))
			if p.cfg.BodyHash || p.cfg.BodyType {
				if sl.bodies[side] == nil {
					sl.bodies[side] = body.Config{Hash: p.cfg.BodyHash, Type: p.cfg.BodyType}.New()
				}
				sl.bodies[side].Write(b)
			}
			sl.seen(at)
		}
	case typeHeaders, typePushPromise, typeContinuation:
		if !s.inBlock {
			return
		}
		s.blockBytes += int64(len(b))
		switch {
		case s.left == 0 && s.content == 0 && s.blockBytes == int64(len(b)) && s.frame.flags&flagEndHeaders != 0 && len(b) <= p.cfg.maxHeader():
			s.direct = b
		case s.blockBytes > int64(p.cfg.maxHeader()):
			s.tooLarge = true
			s.buf = s.buf[:0]
		case len(b) > 0:
			s.buf = append(s.buf, b...)
		}
	}
}

// ends goes on to the next part of the payload that has bytes, and after its
// last byte does what the frame says.
func (p *Parser) ends(dst []Exchange, s *stream, side flows.Side, at flows.Stamp) []Exchange {
	if s.state == fixed {
		if n := int(s.frame.fixed()); s.nfix < n {
			return dst
		}
		s.state, s.content = content, s.left
		if pad := int64(s.fix[0]); s.frame.padded() {
			if pad > s.left {
				if sl := p.find(s.frame.id); sl != nil {
					sl.x.Malformed |= BadFrame
				}
				pad = s.left
			}
			s.content = s.left - pad
		}
	}
	if s.state == content && s.content == 0 {
		s.state = padding
	}
	if s.state != padding || s.left > 0 {
		return dst
	}
	s.state = framed
	f := &s.frame
	switch f.kind {
	case typeData:
		if sl := s.slot; sl != nil {
			sl.seen(at)
			if f.flags&flagEndStream != 0 {
				dst = p.endMessage(dst, sl, side, at)
			}
		}
		s.slot = nil
	case typeHeaders, typePushPromise, typeContinuation:
		if f.kind == typePushPromise {
			promised := s.fix[:4]
			if f.flags&flagPadded != 0 {
				promised = s.fix[1:5]
			}
			s.blockID = (uint32(promised[0])<<24 | uint32(promised[1])<<16 | uint32(promised[2])<<8 | uint32(promised[3])) &^ (1 << 31)
		}
		if s.inBlock && f.flags&flagEndHeaders != 0 {
			s.inBlock = false
			dst = p.endBlock(dst, s, side, at)
		}
	case typeRSTStream:
		if sl := p.find(f.id); sl != nil {
			sl.seen(at)
			sl.reset = true
			dst = p.close(dst, sl)
		}
	case typeGoAway:
		if p.known && side != p.client {
			dst = p.goAway(dst, (uint32(s.fix[0])<<24|uint32(s.fix[1])<<16|uint32(s.fix[2])<<8|uint32(s.fix[3]))&^(1<<31))
		}
	}
	return dst
}

func (h *header) padded() bool {
	return h.flags&flagPadded != 0 && (h.kind == typeData || h.kind == typeHeaders || h.kind == typePushPromise)
}

// goAway ends the requests that the server says it will not see to: all
// behind last (section 6.8).
func (p *Parser) goAway(dst []Exchange, last uint32) []Exchange {
	for i := 0; i < len(p.open); {
		if sl := p.open[i]; sl.x.StreamID > last && sl.x.StreamID&1 == 1 && sl.res == none {
			dst = p.close(dst, sl)
		} else {
			i++
		}
	}
	return dst
}

// scan takes bytes of which none is known to begin a frame.
func (p *Parser) scan(dst []Exchange, s *stream, side flows.Side, at flows.Stamp, data []byte) ([]Exchange, int) {
	for n, c := range data {
		s.raw[s.n], s.stamp[s.n] = c, at
		if s.n++; s.n < frameHeader {
			continue
		}
		if f := parseHeader(s.raw[:]); p.certain(&f, side) {
			s.start, s.state = s.stamp[0], framed
			return p.begins(dst, s, side, at), n + 1
		}
		copy(s.raw[:], s.raw[1:])
		copy(s.stamp[:], s.stamp[1:])
		s.n--
		s.garbage++
	}
	return dst, len(data)
}

// certain says whether f can hardly be anything but a frame of the connection.
func (p *Parser) certain(f *header, side flows.Side) bool {
	if f.length > defaultFrame || !f.sizeOK() || f.id>>31 != 0 || f.id > p.highest+256 {
		return false
	}
	switch f.kind {
	case typeData:
		return f.flags&^(flagEndStream|flagPadded) == 0 && p.find(f.id) != nil
	case typeHeaders:
		return f.flags&^(flagEndStream|flagEndHeaders|flagPadded|flagPriority) == 0 && f.length > f.fixed() &&
			(f.id&1 == 1 || p.find(f.id) != nil)
	case typeRSTStream:
		return f.flags == 0 && p.find(f.id) != nil
	case typeSettings:
		return f.flags == flagAck || f.flags == 0 && f.length > 0 && f.length <= 16*6
	case typePing:
		return f.flags&^flagAck == 0
	case typeGoAway:
		return f.flags == 0 && f.length <= 1<<10
	case typeWindowUpdate:
		return f.flags == 0 && (f.id == 0 || p.find(f.id) != nil)
	}
	return false
}

// find returns the open stream of that number, or nil.
func (p *Parser) find(id uint32) *slot {
	for i := len(p.ids) - 1; i >= 0; i-- {
		if p.ids[i] == id {
			return p.open[i]
		}
	}
	return nil
}

func (p *Parser) newSlot(dst []Exchange, id uint32, start flows.Stamp) ([]Exchange, *slot) {
	if len(p.open) >= p.cfg.maxStreams() {
		p.givenUp++
		dst = p.remove(dst, p.open[0])
	}
	var sl *slot
	if n := len(p.free); n > 0 {
		sl, p.free = p.free[n-1], p.free[:n-1]
	} else {
		sl = &slot{buf: make([]byte, 0, 512)}
	}
	p.depth++
	p.highest = max(p.highest, id)
	sl.x.Depth, sl.x.StreamID = p.depth, id
	sl.x.First, sl.x.Last = start, start
	sl.x.Request.ContentLength, sl.x.Response.ContentLength = -1, -1
	p.open, p.ids = append(p.open, sl), append(p.ids, id)
	return dst, sl
}

// close gives out the exchange of a stream that will not be heard of again.
func (p *Parser) close(dst []Exchange, sl *slot) []Exchange {
	p.closed[p.nclosed%len(p.closed)] = sl.x.StreamID
	p.nclosed++
	return p.remove(dst, sl)
}

// remove gives out an exchange.
func (p *Parser) remove(dst []Exchange, sl *slot) []Exchange {
	p.unlist(sl)
	return p.give(dst, sl)
}

func (p *Parser) unlist(sl *slot) {
	i := slices.Index(p.open, sl)
	p.open, p.ids = slices.Delete(p.open, i, i+1), slices.Delete(p.ids, i, i+1)
	p.held -= sl.held
	for i := range p.sides {
		if s := &p.sides[i]; s.slot == sl {
			s.slot = nil
		}
	}
}

// give appends the exchange of sl, which is no longer open.
func (p *Parser) give(dst []Exchange, sl *slot) []Exchange {
	x := &sl.x
	x.Client = p.client
	if len(sl.reqHeaders) > 0 {
		x.Request.Headers = sl.reqHeaders
	}
	if len(sl.resHeaders) > 0 {
		x.Response.Headers = sl.resHeaders
	}
	for side, b := range sl.bodies {
		if b != nil {
			m := p.message(sl, flows.Side(side))
			m.BodySHA256, m.BodyType = b.End(*p.phase(sl, flows.Side(side)) == over)
		}
	}
	whole := sl.req == over && sl.res == over
	switch {
	case string(x.Request.Method) == "CONNECT" && x.Response.Status/100 == 2:
		x.Outcome = Tunnel
	case !x.HasRequest():
		x.Outcome = NoRequest
	case !whole && (sl.reset || p.reset):
		x.Outcome = Reset
	case !x.HasResponse():
		x.Outcome = NoResponse
	case !whole:
		x.Outcome = Truncated
	}
	p.done = append(p.done, sl)
	return append(dst, *x)
}

func (sl *slot) seen(at flows.Stamp) {
	if at.Pos > sl.x.Last.Pos {
		sl.x.Last = at
	}
}

// requests says whether side sends requests.
func (p *Parser) requests(side flows.Side) bool { return side == p.client }

func (p *Parser) message(sl *slot, side flows.Side) *Message {
	if p.requests(side) {
		return &sl.x.Request.Message
	}
	return &sl.x.Response.Message
}

func (p *Parser) phase(sl *slot, side flows.Side) *phase {
	if p.requests(side) {
		return &sl.req
	}
	return &sl.res
}

// endMessage ends the message of side in the stream of sl.
func (p *Parser) endMessage(dst []Exchange, sl *slot, side flows.Side, at flows.Stamp) []Exchange {
	m, ph := p.message(sl, side), p.phase(sl, side)
	if *ph != inBody { // its head was not seen
		return dst
	}
	*ph = over
	m.End = at
	if m.ContentLength >= 0 && m.ContentLength != m.BodyBytes && !p.bodyless(sl, side) {
		sl.x.Malformed |= WrongBodyLength
	}
	if sl.req == over && sl.res == over {
		return p.close(dst, sl)
	}
	return dst
}

// bodyless says whether a response has no body whatever its fields say (RFC
// 9110 section 6.4.1).
func (p *Parser) bodyless(sl *slot, side flows.Side) bool {
	return !p.requests(side) && (sl.x.Response.Status == 304 || string(sl.x.Request.Method) == "HEAD" || sl.req == none)
}
