package dns

import "github.com/caplake/caplake/flows"

// Config bounds what a parser holds. Its zero value is the defaults.
type Config struct {
	MaxPending int // queries that wait for a response; 0: 256; at most 65,536
}

func (c Config) maxPending() int {
	if c.MaxPending <= 0 {
		return maxPending
	}
	return min(c.MaxPending, 1<<16)
}

const (
	maxPending      = 256 // by default
	maxPendingBytes = 64 << 10
	maxWait         = 60e9 // nanoseconds

	keepQuery = 512 // a pending query's memory beyond this is not kept

	maxEarly      = 16 // responses that wait for a query
	maxEarlyBytes = 16 << 10
)

// pairer matches the responses of a flow with its queries.
//
// A query waits as its bytes: they are decoded once, with the response.
type pairer struct {
	memory
	// Parallel and in order of arrival: identifiers, so that the search
	// reads little, and places in entries.
	ids, places []uint16
	entries     []entry
	free        []uint16 // places without a query
	bytes       int      // held by waiting queries
	givenUp     int      // queries given out for want of room

	// Responses without a query, the oldest first. Merged captures, and those of several
	// interfaces, may have the query behind it, with an earlier time.
	early      []entry
	earlyBytes int
}

// entry is a message that waits.
type entry struct {
	buf              []byte // the message
	size             int
	cut              Malformed // why buf is not the whole message
	afterGap         bool
	side             flows.Side
	retransmits      uint32
	start, end, last flows.Stamp
	outline          outline
}

// message is one message of a flow. data may be cut short of size bytes for
// the reason given.
type message struct {
	side       flows.Side
	start, end flows.Stamp
	data       []byte
	size       int
	cut        Malformed
	afterGap   bool
}

func (p *pairer) reset() {
	p.rewind()
	p.shrink()
	p.ids, p.places, p.free, p.bytes = p.ids[:0], p.places[:0], p.free[:0], 0
	p.givenUp = 0
	for len(p.early) > 0 {
		p.removeEarly(len(p.early) - 1)
	}
	// All places are free, and the lowest is taken first.
	for i := len(p.entries) - 1; i >= 0; i-- {
		if e := &p.entries[i]; cap(e.buf) > keepQuery {
			e.buf = nil
		}
		p.free = append(p.free, uint16(i))
	}
}

// take pairs m and appends what that completes. At most most queries wait.
func (p *pairer) take(dst []Transaction, service Service, most int, m *message) []Transaction {
	for len(p.ids) > 0 && m.start.Time-p.entries[p.places[0]].last.Time > maxWait {
		dst = p.expire(dst, service)
	}
	for len(p.early) > 0 && m.start.Time-p.early[0].start.Time > maxWait {
		dst = p.release(dst, service)
	}
	o := readOutline(m.data)
	query := !o.response()
	if !o.header {
		query = m.side == flows.Initiator
	}
	switch {
	case !query:
		if service != MDNS && o.header {
			if i := p.find(m, &o); i >= 0 {
				e := &p.entries[p.places[i]]
				dst = p.emit(dst, service, e, m, &o)
				p.remove(i)
				return dst
			}
			if len(m.data) <= maxEarlyBytes {
				return p.hold(dst, service, m, &o)
			}
		}
		return p.emit(dst, service, nil, m, &o)
	case service == MDNS || !o.header:
		e := entry{buf: m.data, size: m.size, cut: m.cut, afterGap: m.afterGap, side: m.side, start: m.start, end: m.end, last: m.end, outline: o}
		return p.emit(dst, service, &e, nil, nil)
	}
	if i := p.findEarly(m, &o); i >= 0 {
		q := entry{buf: m.data, size: m.size, cut: m.cut, afterGap: m.afterGap, side: m.side, start: m.start, end: m.end, last: m.end, outline: o}
		dst = p.emit(dst, service, &q, p.early[i].message(), &p.early[i].outline)
		p.removeEarly(i)
		return dst
	}
	if i := p.findQuery(m, &o); i >= 0 {
		e := &p.entries[p.places[i]]
		e.retransmits++
		e.last = m.end
		return dst
	}
	for len(p.ids) > 0 && (len(p.ids) >= most || p.bytes+len(m.data) > maxPendingBytes) {
		p.givenUp++
		dst = p.expire(dst, service)
	}
	p.wait(m, &o)
	return dst
}

// find returns the index of the oldest query that m answers: same identifier
// and question, sent by the other side. A response without a question, as
// servers send that could not read it, answers by its identifier alone.
func (p *pairer) find(m *message, o *outline) int {
	for i, id := range p.ids {
		if id != o.id {
			continue
		}
		e := &p.entries[p.places[i]]
		if e.side == m.side {
			continue
		}
		if o.questionEnd == 0 || sameQuestion(e.buf, m.data, e.outline.questionEnd, o.questionEnd) {
			return i
		}
	}
	return -1
}

// findEarly returns the index of the oldest response that answers m, which was sent before it.
func (p *pairer) findEarly(m *message, o *outline) int {
	for i := range p.early {
		r := &p.early[i]
		if r.outline.id == o.id && r.side != m.side && m.end.Time < r.start.Time &&
			(r.outline.questionEnd == 0 || sameQuestion(m.data, r.buf, o.questionEnd, r.outline.questionEnd)) {
			return i
		}
	}
	return -1
}

// findQuery returns the index of the waiting query that m repeats.
func (p *pairer) findQuery(m *message, o *outline) int {
	for i, id := range p.ids {
		if id != o.id {
			continue
		}
		e := &p.entries[p.places[i]]
		if e.side == m.side && sameQuestion(e.buf, m.data, e.outline.questionEnd, o.questionEnd) {
			return i
		}
	}
	return -1
}

// missed says that bytes of side are missing: what waits for it may wait in vain.
func (p *pairer) missed(side flows.Side) {
	for _, i := range p.places {
		if e := &p.entries[i]; e.side != side {
			e.afterGap = true
		}
	}
}

func (p *pairer) wait(m *message, o *outline) {
	var place uint16
	if n := len(p.free); n > 0 {
		place = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		place = uint16(len(p.entries))
		p.entries = append(p.entries, entry{})
	}
	e := &p.entries[place]
	*e = entry{
		buf: append(e.buf[:0], m.data...), size: m.size, cut: m.cut, afterGap: m.afterGap, side: m.side,
		start: m.start, end: m.end, last: m.end, outline: *o,
	}
	p.bytes += len(e.buf)
	p.ids = append(p.ids, o.id)
	p.places = append(p.places, place)
}

// hold has a response wait. Those for which there is no room any more are given out, which nobody
// would miss: it is rare that a query follows.
func (p *pairer) hold(dst []Transaction, service Service, m *message, o *outline) []Transaction {
	for len(p.early) == maxEarly || p.earlyBytes+len(m.data) > maxEarlyBytes {
		dst = p.release(dst, service)
	}
	var buf []byte
	if n := len(p.early); n < cap(p.early) {
		buf = p.early[:n+1][n].buf
	}
	p.early = append(p.early, entry{
		buf: append(buf[:0], m.data...), size: m.size, cut: m.cut, afterGap: m.afterGap, side: m.side,
		start: m.start, end: m.end, outline: *o,
	})
	p.earlyBytes += len(m.data)
	return dst
}

// message returns what was made an entry.
func (e *entry) message() *message {
	return &message{side: e.side, start: e.start, end: e.end, data: e.buf, size: e.size, cut: e.cut, afterGap: e.afterGap}
}

// release emits the oldest response that waits, without query.
func (p *pairer) release(dst []Transaction, service Service) []Transaction {
	dst = p.emit(dst, service, nil, p.early[0].message(), &p.early[0].outline)
	p.removeEarly(0)
	return dst
}

// removeEarly frees the response at index i.
func (p *pairer) removeEarly(i int) {
	buf, last := p.early[i].buf, len(p.early)-1
	p.earlyBytes -= len(buf)
	if cap(buf) > keepQuery {
		buf = nil
	}
	copy(p.early[i:], p.early[i+1:])
	p.early[last] = entry{buf: buf[:0]}
	p.early = p.early[:last]
}

// remove frees the query at index i. What was emitted of it is in memory.
func (p *pairer) remove(i int) {
	place := p.places[i]
	e := &p.entries[place]
	p.bytes -= len(e.buf)
	if cap(e.buf) > keepQuery {
		e.buf = nil
	}
	p.ids = append(p.ids[:i], p.ids[i+1:]...)
	p.places = append(p.places[:i], p.places[i+1:]...)
	p.free = append(p.free, place)
}

// expire emits the oldest query, unanswered.
func (p *pairer) expire(dst []Transaction, service Service) []Transaction {
	dst = p.emit(dst, service, &p.entries[p.places[0]], nil, nil)
	p.remove(0)
	return dst
}

// flush emits all that wait.
func (p *pairer) flush(dst []Transaction, service Service) []Transaction {
	for i := range p.places {
		dst = p.emit(dst, service, &p.entries[p.places[i]], nil, nil)
	}
	for len(p.ids) > 0 {
		p.remove(len(p.ids) - 1)
	}
	for len(p.early) > 0 {
		dst = p.release(dst, service)
	}
	return dst
}

// emit appends the transaction of a query, a response, or both.
func (p *pairer) emit(dst []Transaction, service Service, q *entry, r *message, o *outline) []Transaction {
	if len(dst) < cap(dst) {
		dst = dst[:len(dst)+1]
		dst[len(dst)-1] = Transaction{}
	} else {
		dst = append(dst, Transaction{})
	}
	t := &dst[len(dst)-1]
	t.Service = service
	if q != nil {
		t.Outcome = NoResponse
		t.Querier, t.AfterGap = q.side, q.afterGap
		t.Query, t.QueryEnd, t.LastQuery = q.start, q.end, q.last
		t.QueryRetransmits = q.retransmits
		t.QueryBytes = int32(q.size)
		t.QueryFlags = q.outline.flags
		t.HasHeader = q.outline.header
		t.ID, t.Opcode = q.outline.id, q.outline.opcode()
		take := uint8(takeQuestion)
		if r == nil || t.Opcode == opcodeUpdate || t.Opcode == opcodeNotify {
			take |= takeSections
		}
		t.QueryEDNS, _, t.Malformed = p.decode(t, q.buf, &q.outline, take)
		if q.cut != WellFormed {
			t.Malformed = q.cut
		}
	}
	if r == nil {
		return dst
	}
	take := uint8(takeQuestion | takeSections)
	if q != nil {
		t.Outcome = Answered
		take = takeSections
		if t.Opcode == opcodeUpdate || t.Opcode == opcodeNotify {
			take = 0
		}
		if !t.HasQuestion {
			take |= takeQuestion
		}
	} else {
		t.Outcome = NoQuery
		t.Querier = r.side.Other()
		t.HasHeader = o.header
		t.ID, t.Opcode = o.id, o.opcode()
	}
	t.AfterGap = t.AfterGap || r.afterGap
	t.Response, t.ResponseEnd = r.start, r.end
	t.ResponseBytes = int32(r.size)
	t.ResponseFlags = o.flags
	var rule Malformed
	var upper uint16
	t.ResponseEDNS, upper, rule = p.decode(t, r.data, o, take)
	t.Rcode = upper | o.flags&15
	if r.cut != WellFormed {
		rule = r.cut
	}
	t.Malformed = firstOf(t.Malformed, rule)
	return dst
}
