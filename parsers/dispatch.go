package parsers

import (
	"bytes"
	"slices"

	"github.com/caplake/caplake/flows"
)

// Dispatcher is the flows.Consumer between trackers and parsers: it finds out
// which protocol each flow speaks, feeds that protocol's parsers and hands on
// what they say. An Engine has one; it is here by itself for programs that keep
// their own trackers, of which several may share it, by one goroutine at a time.
//
// It keeps its state of a flow in Flow.User[0]; the rest of User is free.
type Dispatcher struct {
	// Budget bounds what the sessions of the flows hold that the next packets are of. A program with
	// several trackers sets it to the one of the tracker at hand, before each
	// Add and Finish. It may be left alone: all flows then share DefaultBudget.
	Budget *Budget

	hooks     Hooks
	protocols []entry
	asked     [2]order // whom to ask about streams, about datagrams
	slab      []*session
	free      []uint32
	stopped   bool
}

// Hooks are told of every flow, of whatever protocol. A nil one is not wanted.
type Hooks struct {
	// FlowStarted is told before anything else of the flow. p is its first packet.
	FlowStarted func(f *flows.Flow, p *flows.Packet)
	// FlowEnded is told after everything else of it; f is complete. tcp is nil
	// but for TCP flows.
	FlowEnded func(f *flows.Flow, tcp *flows.TCP)
	// Shape is told once of every flow whose beginning the flows.Config asks to keep (its
	// first packets' sizes, each side's first bytes), when the flow ends. s is lent for the call.
	Shape func(f *flows.Flow, s *flows.Shape)
	// Unrecognized is told of payload, a datagram or a stream's next bytes, that is of no
	// protocol, or not for certain yet. data is lent for the call. Where it returns true for a stream it is told again
	// when more bytes have come, of these behind those before.
	Unrecognized func(f *flows.Flow, side flows.Side, data []byte) (again bool)
	// GaveUp is told of what a bound made be given up because of the packet at:
	// so many of f's messages were given out without what they waited for, or,
	// where messages is 0, f's session was ended.
	GaveUp func(f *flows.Flow, at flows.Stamp, messages int)
}

// Registration is a protocol and who is told of its sessions. See On.
type Registration struct {
	open func(d *Dispatcher) handler
}

// On registers a protocol: fn is called with every event of its sessions, in
// the order of the packets. The first protocol that recognizes a flow gets it,
// in the order of registration.
func On[M any](p Protocol[M], fn func(Event[M])) Registration {
	return Registration{open: func(d *Dispatcher) handler { return &handling[M]{d: d, p: p, fn: fn} }}
}

// NewDispatcher returns a Dispatcher for the registered protocols.
func NewDispatcher(hooks Hooks, list ...Registration) *Dispatcher {
	d := &Dispatcher{hooks: hooks, Budget: &Budget{Max: DefaultBudget}}
	for i, r := range list {
		h := r.open(d)
		t := h.traits()
		d.protocols = append(d.protocols, entry{t, h})
		for k, spoken := range [...]bool{t.stream, t.datagram} {
			if !spoken {
				continue
			}
			d.asked[k].all = append(d.asked[k].all, i)
			if t.probe != nil && len(t.ports) > 0 {
				d.asked[k].first = append(d.asked[k].first, i)
			}
		}
	}
	return d
}

// entry is a protocol without its message type.
type entry struct {
	traits
	handler
}

// order is whom to ask: by their ports, those that have a Probe too; then all the others.
type order struct{ first, all []int }

// Stop ends all calls of handlers and hooks, at once and for good.
func (d *Dispatcher) Stop() { d.stopped = true }

// Protocol returns the name of the protocol that f spoke first, "" while or if
// that is not known, and whether it is one of the protocol's own ports that f has.
func (d *Dispatcher) Protocol(f *flows.Flow) (name string, byPort bool) {
	i := f.User[0] >> protocolShift
	if i == 0 {
		return "", false
	}
	t := &d.protocols[i-1].traits
	return t.name, t.hasPort(f)
}

// Slot returns a small number that f's session has to itself while it lasts; 0: it has none.
// Numbers are used again.
func (d *Dispatcher) Slot(f *flows.Flow) uint32 { return uint32(f.User[0]) }

const protocolShift = 32

// session is what is known of a flow that carries payload.
type session struct {
	flow    *flows.Flow
	handler int
	tcp     streamSession
	udp     datagramSession
	bounded Bounded // the parser; nil: there is none, or it does not say
	sides   [2]probing
	tries   int

	budget         *Budget
	older, younger *session // of the same budget
	charged        int      // to it
	givenUp        int      // by the parser, as far as it was told
}

// probing is a side whose first bytes may yet turn out to be of a protocol.
type probing struct {
	buf   []byte
	at    flows.Stamp // of its first segment
	later []segment   // where the others begin
	again bool        // Unrecognized wants to see buf with what follows
}

type segment struct {
	from int
	at   flows.Stamp
}

// A side's first bytes are looked at until a parser is sure; a flow's segments
// until maxTries of them were of no protocol: captures begin in the middle of
// flows, and protocols change to TLS.
const (
	maxProbe = 4096
	maxTries = 32

	keepProbe = 512  // bytes of a buffer that waits for another flow
	keepIdle  = 4096 // parsers of a protocol that wait for another flow
)

func (d *Dispatcher) session(f *flows.Flow) *session {
	if ref := uint32(f.User[0]); ref != 0 {
		return d.slab[ref-1]
	}
	var ref uint32
	if n := len(d.free); n > 0 {
		ref = d.free[n-1]
		d.free = d.free[:n-1]
	} else {
		d.slab = append(d.slab, new(session))
		ref = uint32(len(d.slab))
	}
	f.User[0] |= uint64(ref) // a Flow keeps the reference, and stays free of pointers
	e := d.slab[ref-1]
	e.flow = f
	d.Budget.push(e)
	return e
}

func (d *Dispatcher) drop(f *flows.Flow) {
	ref := uint32(f.User[0])
	e := d.slab[ref-1]
	e.budget.remove(e)
	for side := range e.sides {
		e.sides[side].clear()
		if cap(e.sides[side].buf) > keepProbe {
			e.sides[side].buf = nil
		}
	}
	*e = session{sides: e.sides}
	d.free = append(d.free, ref)
	f.User[0] &^= 0xffffffff
}

// Started implements flows.Consumer.
func (d *Dispatcher) Started(f *flows.Flow, p *flows.Packet) {
	if len(d.protocols) == 0 {
		f.Ignore()
	}
	if d.hooks.FlowStarted != nil && !d.stopped {
		d.hooks.FlowStarted(f, p)
	}
}

// Data implements flows.Consumer.
func (d *Dispatcher) Data(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	d.data(f, side, at, data)
	d.charge(f, at)
}

func (d *Dispatcher) data(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	e := d.session(f)
	if e.tcp == nil {
		d.probe(f, e, side, at, data)
		return
	}
	e.tcp.feed(f, side, at, data)
	d.afterwards(f, e, at)
}

// ask returns what the protocols say of the first bytes of a stream or of a
// datagram: the first that is sure, else whether one of them may be.
func (d *Dispatcher) ask(f *flows.Flow, side flows.Side, data []byte) (index int, v Verdict) {
	o := &d.asked[0]
	if f.Proto != flows.ProtoTCP {
		o = &d.asked[1]
	}
	for _, i := range o.first {
		t := &d.protocols[i].traits
		if !t.hasPort(f) {
			continue
		}
		switch t.probe(f, side, data) {
		case Yes:
			return i, Yes
		case Maybe:
			v = Maybe
		}
	}
	for _, i := range o.all {
		t := &d.protocols[i].traits
		if t.probe == nil {
			if len(t.ports) == 0 || t.hasPort(f) {
				return i, Yes
			}
			continue
		}
		if t.hasPort(f) {
			continue // was asked
		}
		switch t.probe(f, side, data) {
		case Yes:
			return i, Yes
		case Maybe:
			v = Maybe
		}
	}
	return -1, v
}

// unrecognized tells of payload that is of no protocol yet.
func (d *Dispatcher) unrecognized(f *flows.Flow, side flows.Side, data []byte) (again bool) {
	return d.hooks.Unrecognized != nil && !d.stopped && d.hooks.Unrecognized(f, side, data)
}

func (d *Dispatcher) probe(f *flows.Flow, e *session, side flows.Side, at flows.Stamp, data []byte) {
	p := &e.sides[side]
	if len(p.buf) > 0 {
		p.add(at, data)
	}
	for told := false; ; told = true {
		first, whole := at, data
		if len(p.buf) > 0 {
			first, whole = p.at, p.buf
		}
		i, v := d.ask(f, side, whole)
		if v == Yes {
			d.attach(f, e, i, side, first)
			other := &e.sides[side.Other()]
			if probe := d.protocols[i].probe; len(other.buf) > 0 && probe != nil && probe(f, side.Other(), other.buf) == No {
				// It may have been an answer in the protocol before, as PostgreSQL's S is.
				other.clear()
			}
			before := other.at.Pos < first.Pos
			if before {
				other.feed(f, e, side.Other())
			}
			if len(p.buf) > 0 {
				p.feed(f, e, side)
			} else {
				e.tcp.feed(f, side, at, data)
			}
			if !before {
				other.feed(f, e, side.Other())
			}
			p.clear()
			other.clear()
			d.afterwards(f, e, at)
			return
		}
		if n := sslRequest(whole); 0 < n && n < len(whole) {
			rest := bytes.Clone(whole[n:])
			if known := len(whole) - len(data); n > known && !told {
				d.unrecognized(f, side, data[:n-known])
			}
			p.clear()
			d.probe(f, e, side, at, rest)
			return
		}
		again := false
		if !told {
			if p.again {
				again = d.unrecognized(f, side, whole)
			} else {
				again = d.unrecognized(f, side, data)
			}
			p.again = again
		}
		if (v == Maybe || again) && len(whole) < maxProbe {
			if len(p.buf) == 0 {
				p.add(at, data)
			}
			return
		}
		if !told {
			if e.tries++; e.tries >= maxTries {
				d.drop(f)
				f.Ignore()
				return
			}
		}
		// From its first byte on it is of no protocol, but a later segment may begin one: STARTTLS and what follows it.
		if !p.next() {
			return
		}
	}
}

// add adds a segment.
func (p *probing) add(at flows.Stamp, data []byte) {
	if len(p.buf) == 0 {
		p.at = at
	} else {
		if len(p.later) == maxTries {
			p.later = p.later[:maxTries-1] // the one before is part of what is before it
		}
		p.later = append(p.later, segment{len(p.buf), at})
	}
	p.buf = append(p.buf, data...)
}

// next lets go of the first segment. It reports false if there is no other.
func (p *probing) next() bool {
	if len(p.later) == 0 {
		p.clear()
		return false
	}
	n := p.later[0].from
	p.at = p.later[0].at
	p.buf = p.buf[:copy(p.buf, p.buf[n:])]
	p.later = p.later[:copy(p.later, p.later[1:])]
	for i := range p.later {
		p.later[i].from -= n
	}
	return true
}

// feed gives a parser the segments.
func (p *probing) feed(f *flows.Flow, e *session, side flows.Side) {
	at, from := p.at, 0
	for _, s := range p.later {
		e.tcp.feed(f, side, at, p.buf[from:s.from])
		at, from = s.at, s.from
	}
	if from < len(p.buf) {
		e.tcp.feed(f, side, at, p.buf[from:])
	}
}

func (p *probing) clear() { p.buf, p.later, p.again = p.buf[:0], p.later[:0], false }

// sslRequest returns the length of a packet at the beginning of b by which a client of MySQL
// or MariaDB goes over to TLS, 0 if there is none. The client does not wait for an answer, so
// that its hello may be in the same segment. PostgreSQL's has to wait for one; a client that
// does not is understood as well.
func sslRequest(b []byte) int {
	const clientProtocol41, clientSSL = 0x02, 0x08 // of the second byte of the capabilities
	switch {
	case len(b) >= 8 && string(b[:8]) == "\x00\x00\x00\x08\x04\xd2\x16\x2f":
		return 8
	case len(b) >= 36 && string(b[:3]) == "\x20\x00\x00" && b[5]&(clientProtocol41|clientSSL) == clientProtocol41|clientSSL &&
		len(bytes.Trim(b[13:32], "\x00")) == 0: // then MariaDB has further capabilities
		return 36
	}
	return 0
}

func (d *Dispatcher) attach(f *flows.Flow, e *session, index int, side flows.Side, at flows.Stamp) {
	e.handler = index
	if f.User[0]>>protocolShift == 0 && !d.protocols[index].envelope { // a flow is named after the protocol that it spoke first
		f.User[0] |= uint64(index+1) << protocolShift
	}
	e.tcp = d.protocols[index].newStream(f, side, at)
	e.bounded, e.givenUp = e.tcp.bounded(), 0
}

// afterwards sees whether the parser is through with its flow.
func (d *Dispatcher) afterwards(f *flows.Flow, e *session, at flows.Stamp) {
	if t := e.tcp.tunnel(); t != nil {
		rest := [2][]byte{bytes.Clone(t.Rest(flows.Initiator)), bytes.Clone(t.Rest(flows.Responder))}
		d.detach(f, e, at)
		e.tries = 0
		for side, b := range rest {
			if len(b) > 0 && uint32(f.User[0]) != 0 {
				d.data(f, flows.Side(side), at, b)
			}
		}
		return
	}
	if e.tcp.done() {
		d.detach(f, e, at)
		d.drop(f)
		f.Ignore()
	}
}

func (d *Dispatcher) detach(f *flows.Flow, e *session, at flows.Stamp) {
	tcp := e.tcp
	e.tcp, e.bounded = nil, nil
	tcp.end(f, at)
}

// Gap implements flows.Consumer.
func (d *Dispatcher) Gap(f *flows.Flow, side flows.Side, at flows.Stamp, n int64) {
	e := d.session(f)
	if e.tcp == nil {
		e.sides[side].clear()
		return
	}
	e.tcp.gap(f, side, at, n)
	d.afterwards(f, e, at)
	d.charge(f, at)
}

// Fin implements flows.Consumer.
func (d *Dispatcher) Fin(f *flows.Flow, side flows.Side, at flows.Stamp) {
	if uint32(f.User[0]) == 0 {
		return
	}
	if e := d.session(f); e.tcp != nil {
		e.tcp.fin(f, side, at)
		d.afterwards(f, e, at)
	}
}

// Rst implements flows.Consumer.
func (d *Dispatcher) Rst(f *flows.Flow, side flows.Side, at flows.Stamp) {
	if uint32(f.User[0]) == 0 {
		return
	}
	if e := d.session(f); e.tcp != nil {
		e.tcp.rst(f, side, at)
		d.afterwards(f, e, at)
	}
}

// Datagram implements flows.Consumer.
func (d *Dispatcher) Datagram(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	var e *session
	switch i := f.User[0] >> protocolShift; {
	case uint32(f.User[0]) != 0:
		e = d.session(f)
	case i != 0:
		if begins := d.protocols[i-1].begins; begins != nil && !begins(data) {
			return
		}
		e = d.attachDatagram(f, int(i-1))
	default:
		i, v := d.ask(f, side, data)
		if v != Yes {
			d.unrecognized(f, side, data)
			a, b := f.Sides[0].Packets, f.Sides[1].Packets
			if v == No && (a+b >= maxTries || a+b >= maxTries/4 && a > 0 && b > 0) { // an answer may tell what the question does not
				f.Ignore()
			}
			return
		}
		f.User[0] |= uint64(i+1) << protocolShift
		d.protocols[i].tell(Started, f, side, at)
		e = d.attachDatagram(f, i)
	}
	e.udp.datagram(f, side, at, data)
	if e.udp.done() {
		d.detachDatagram(f, e, at)
		f.Ignore()
	} else if e.udp.idle() { // as after nearly every answer: a million flows need few parsers
		d.detachDatagram(f, e, at)
	} else {
		d.charge(f, at)
	}
}

func (d *Dispatcher) detachDatagram(f *flows.Flow, e *session, at flows.Stamp) {
	e.udp.end(f, at)
	d.drop(f)
}

func (d *Dispatcher) attachDatagram(f *flows.Flow, index int) *session {
	e := d.session(f)
	e.handler = index
	e.udp = d.protocols[index].newDatagram(f)
	e.bounded, e.givenUp = e.udp.bounded(), 0
	return e
}

// Ended implements flows.Consumer.
func (d *Dispatcher) Ended(f *flows.Flow, tcp *flows.TCP) {
	if uint32(f.User[0]) != 0 {
		e := d.session(f)
		if e.udp != nil {
			d.detachDatagram(f, e, f.Last)
		} else {
			if e.tcp != nil {
				d.detach(f, e, f.Last)
			}
			d.drop(f)
		}
	}
	if i := f.User[0] >> protocolShift; i != 0 && f.Proto == flows.ProtoUDP {
		d.protocols[i-1].tell(Ended, f, flows.Initiator, f.Last)
	}
	if d.hooks.FlowEnded != nil && !d.stopped {
		d.hooks.FlowEnded(f, tcp)
	}
}

// Shape implements flows.ShapeConsumer.
func (d *Dispatcher) Shape(f *flows.Flow, s *flows.Shape) {
	if d.hooks.Shape != nil && !d.stopped {
		d.hooks.Shape(f, s)
	}
}

// traits are a protocol without its message type.
type traits struct {
	name             string
	probe            Probe
	ports            []uint16
	begins           func(data []byte) bool
	stream, datagram bool
	envelope         bool
}

func (t *traits) hasPort(f *flows.Flow) bool {
	return len(t.ports) > 0 && (slices.Contains(t.ports, f.DstPort) || slices.Contains(t.ports, f.SrcPort))
}

// handler is a handling with its message type out of sight.
type handler interface {
	traits() traits
	newStream(f *flows.Flow, side flows.Side, at flows.Stamp) streamSession
	newDatagram(f *flows.Flow) datagramSession
	tell(k Kind, f *flows.Flow, side flows.Side, at flows.Stamp)
}

type streamSession interface {
	feed(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte)
	gap(f *flows.Flow, side flows.Side, at flows.Stamp, n int64)
	fin(f *flows.Flow, side flows.Side, at flows.Stamp)
	rst(f *flows.Flow, side flows.Side, at flows.Stamp)
	end(f *flows.Flow, at flows.Stamp) // and the session is given back
	done() bool
	bounded() Bounded // nil: the parser does not say what it holds
	tunnel() Tunneler // nil unless the bytes from now on are of another protocol
}

type datagramSession interface {
	datagram(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte)
	idle() bool
	done() bool // no datagram of the flow can yield a message
	bounded() Bounded
	end(f *flows.Flow, at flows.Stamp)
}

// handling is a registered protocol with the parsers that wait for a flow.
type handling[M any] struct {
	d         *Dispatcher
	p         Protocol[M]
	fn        func(Event[M])
	streams   []*stream[M]
	datagrams []*datagram[M]
}

func (h *handling[M]) traits() traits {
	p := &h.p
	return traits{p.Name, p.Probe, p.Ports, p.Begins, p.Stream != nil, p.Datagram != nil, p.Envelope}
}

func (h *handling[M]) tell(k Kind, f *flows.Flow, side flows.Side, at flows.Stamp) {
	if !h.d.stopped {
		h.fn(Event[M]{Kind: k, Side: side, Protocol: h.p.Name, At: at, Flow: f})
	}
}

// emit hands on the messages and returns the empty slice.
func (h *handling[M]) emit(f *flows.Flow, side flows.Side, at flows.Stamp, messages []M) []M {
	for i := range messages {
		if h.d.stopped {
			break
		}
		h.fn(Event[M]{Kind: Message, Side: side, Protocol: h.p.Name, At: at, Flow: f, Message: &messages[i]})
	}
	return messages[:0]
}

func (h *handling[M]) newStream(f *flows.Flow, side flows.Side, at flows.Stamp) streamSession {
	h.tell(Started, f, side, at)
	var s *stream[M]
	if n := len(h.streams); n > 0 {
		s = h.streams[n-1]
		h.streams = h.streams[:n-1]
	} else {
		s = &stream[M]{h: h, parser: h.p.Stream()}
	}
	begin(s.parser, f)
	return s
}

func (h *handling[M]) newDatagram(f *flows.Flow) datagramSession {
	var s *datagram[M]
	if n := len(h.datagrams); n > 0 {
		s = h.datagrams[n-1]
		h.datagrams = h.datagrams[:n-1]
	} else {
		s = &datagram[M]{h: h, parser: h.p.Datagram()}
	}
	begin(s.parser, f)
	return s
}

type stream[M any] struct {
	h        *handling[M]
	parser   SessionParser[M]
	messages []M
}

func (s *stream[M]) feed(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	if m := s.parser.Feed(s.messages, side, at, data); len(m) > 0 {
		s.messages = s.h.emit(f, side, at, m)
	}
}

func (s *stream[M]) gap(f *flows.Flow, side flows.Side, at flows.Stamp, n int64) {
	s.messages = s.h.emit(f, side, at, s.parser.Gap(s.messages, side, at, n))
}

func (s *stream[M]) fin(f *flows.Flow, side flows.Side, at flows.Stamp) {
	s.messages = s.h.emit(f, side, at, s.parser.Fin(s.messages, side, at))
}

func (s *stream[M]) rst(f *flows.Flow, side flows.Side, at flows.Stamp) {
	s.messages = s.h.emit(f, side, at, s.parser.Rst(s.messages, side, at))
}

func (s *stream[M]) end(f *flows.Flow, at flows.Stamp) {
	s.messages = s.h.emit(f, flows.Initiator, at, s.parser.End(s.messages))
	s.h.tell(Ended, f, flows.Initiator, at)
	s.parser.Reset()
	if len(s.h.streams) < keepIdle {
		s.h.streams = append(s.h.streams, s)
	}
}

func (s *stream[M]) done() bool { return s.parser.Done() }

func (s *stream[M]) bounded() Bounded { return boundedOf(s.parser) }

func (s *stream[M]) tunnel() Tunneler {
	if t, ok := s.parser.(Tunneler); ok && t.Tunnel() {
		return t
	}
	return nil
}

type datagram[M any] struct {
	h        *handling[M]
	parser   DatagramParser[M]
	messages []M
}

func (s *datagram[M]) idle() bool { return s.parser.Idle() }

func (s *datagram[M]) done() bool { return finished(s.parser) }

func (s *datagram[M]) bounded() Bounded { return boundedOf(s.parser) }

func (s *datagram[M]) datagram(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	s.messages = s.h.emit(f, side, at, s.parser.Datagram(s.messages, side, at, data))
}

func (s *datagram[M]) end(f *flows.Flow, at flows.Stamp) {
	s.messages = s.h.emit(f, flows.Initiator, at, s.parser.End(s.messages))
	s.parser.Reset()
	if len(s.h.datagrams) < keepIdle {
		s.h.datagrams = append(s.h.datagrams, s)
	}
}
