package run

import (
	"bytes"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/schema"
)

// sessions is a worker's consumer of flow events: it finds out which protocol a
// flow speaks, feeds that protocol's parser, and collects the rows. A
// worker has one for all of its shards.
type sessions struct {
	protocols []protocol
	arena     schema.Arena
	names     schema.Arena // of session.row alone, which lives longer than rows and would keep their memory
	certs     *schema.CertCache
	sightings *sightings
	budget    *budget // of the shard whose packet or flow is at hand
	acts      ledger

	slab  []*session // by reference-1
	free  []uint32
	idle  [][]streamSession // by protocol
	idleD [][]datagramSession

	encaps     [][]flows.Encap // by Flow.Encap-1
	freeEncaps []uint32

	batchEncaps []flows.Encap  // of the batch at hand
	shape       *flows.Shape   // of the flow that ends now
	at          flows.Position // key of the rows that come about now
	out         *output
}

// What Flow.User holds.
const (
	userSession = iota // reference of the flow's session, 1+protocol<<32, basis<<40
	userHTTP           // rows: HTTP in the low half, TLS in the high
	userDNS            // rows of DNS in the low half; what its first bytes say in the high, see identify
)

// session is what is known of a flow that carries payload.
type session struct {
	flow    *flows.Flow
	row     schema.Session
	named   bool // row is filled in
	index   int  // of the protocol
	tcp     streamSession
	udp     datagramSession
	bounded parsers.Bounded // the parser; nil: there is none, or it does not say
	sides   [2]probing
	tries   int

	budget         *budget
	older, younger *session // of the same budget
	charged        int      // to it
	givenUp        int      // by the parser, as far as it was counted

	// rowsBefore is the number of HTTP exchanges that the flow gave before its
	// present parser: an upgrade goes on counting.
	rowsBefore int
}

// probing is a side whose first bytes may yet turn out to be of a protocol.
type probing struct {
	buf []byte
	at  flows.Stamp
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

func newSessions(c *Config) *sessions {
	list := protocols(c)
	s := &sessions{
		protocols: list,
		certs:     new(schema.CertCache),
		sightings: newSightings(c.MaxCertificateBytes / int64(c.Workers)),
		acts:      make(ledger),
		out:       newOutput(ownTables(list)),
	}
	s.idle = make([][]streamSession, len(s.protocols))
	s.idleD = make([][]datagramSession, len(s.protocols))
	return s
}

func (s *sessions) session(f *flows.Flow) *session {
	if ref := uint32(f.User[userSession]); ref != 0 {
		return s.slab[ref-1]
	}
	var ref uint32
	if n := len(s.free); n > 0 {
		ref = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		s.slab = append(s.slab, new(session))
		ref = uint32(len(s.slab))
	}
	f.User[userSession] |= uint64(ref)
	e := s.slab[ref-1] // a Flow keeps the reference, and stays free of pointers
	e.flow = f
	s.budget.push(e)
	return e
}

// name fills in what the rows of f repeat.
func (s *sessions) name(f *flows.Flow, e *session) *schema.Session {
	if !e.named {
		e.named = true
		e.row = schema.SessionOf(f, &s.names)
	}
	return &e.row
}

func (s *sessions) drop(f *flows.Flow) {
	ref := uint32(f.User[userSession])
	e := s.slab[ref-1]
	e.budget.remove(e)
	for side := range e.sides {
		e.sides[side].buf = e.sides[side].buf[:0]
		if cap(e.sides[side].buf) > keepProbe {
			e.sides[side].buf = nil
		}
	}
	*e = session{sides: e.sides}
	s.free = append(s.free, ref)
	f.User[userSession] &^= 0xffffffff
}

// Started implements flows.Consumer.
func (s *sessions) Started(f *flows.Flow, p *flows.Packet) {
	if p.Encap == 0 {
		return
	}
	var ref uint32
	if n := len(s.freeEncaps); n > 0 {
		ref = s.freeEncaps[n-1]
		s.freeEncaps = s.freeEncaps[:n-1]
	} else {
		s.encaps = append(s.encaps, nil)
		ref = uint32(len(s.encaps))
	}
	list := make([]flows.Encap, 0, 2) // it goes into the flow's row
	for i := p.Encap; i != 0; {
		e := s.batchEncaps[i-1]
		i = e.Inner
		e.Inner = 0
		list = append(list, e)
	}
	s.encaps[ref-1] = list
	f.Encap = ref
}

// Data implements flows.Consumer.
func (s *sessions) Data(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	s.data(f, side, at, data)
	s.charge(f, at)
}

func (s *sessions) data(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	e := s.session(f)
	if e.tcp == nil {
		s.probe(f, e, side, at, data)
		return
	}
	e.tcp.feed(s, f, &e.row, side, at, data)
	s.afterwards(f, e, at)
}

func (s *sessions) probe(f *flows.Flow, e *session, side flows.Side, at flows.Stamp, data []byte) {
	p := &e.sides[side]
	first, whole := at, data
	if len(p.buf) > 0 {
		p.buf = append(p.buf, data...)
		first, whole = p.at, p.buf
	}
	maybe := false
	for i := range s.protocols {
		if s.protocols[i].stream == nil {
			continue
		}
		switch v, basis := s.protocols[i].stream(f, side, whole); v {
		case parsers.Yes:
			s.attach(f, e, i, basis)
			other := &e.sides[side.Other()]
			if len(other.buf) > 0 {
				// It may have been an answer in the protocol before, as PostgreSQL's S is.
				if v, _ := s.protocols[i].stream(f, side.Other(), other.buf); v == parsers.No {
					other.buf = other.buf[:0]
				}
			}
			if len(other.buf) > 0 && other.at.Pos < first.Pos {
				e.tcp.feed(s, f, &e.row, side.Other(), other.at, other.buf)
			}
			e.tcp.feed(s, f, &e.row, side, first, whole[:len(whole)-len(data)])
			e.tcp.feed(s, f, &e.row, side, at, data)
			if len(other.buf) > 0 && other.at.Pos > first.Pos {
				e.tcp.feed(s, f, &e.row, side.Other(), other.at, other.buf)
			}
			p.buf, other.buf = p.buf[:0], other.buf[:0]
			s.afterwards(f, e, at)
			return
		case parsers.Maybe:
			maybe = true
		}
	}
	if unlooked(f, side) {
		identify(f, side, data)
	}
	if maybe && len(whole) < maxProbe {
		if len(p.buf) == 0 {
			p.buf, p.at = append(p.buf, data...), at
		}
		return
	}
	began := len(p.buf) == 0 || len(whole) == len(data)
	p.buf = p.buf[:0]
	if e.tries++; e.tries >= maxTries {
		s.drop(f)
		f.Ignore()
		return
	}
	if !began { // what came before was of no protocol, but this may begin one: STARTTLS and what follows it
		s.probe(f, e, side, at, data)
	}
}

func (s *sessions) attach(f *flows.Flow, e *session, index int, basis schema.AppBasis) {
	s.name(f, e)
	e.index, e.rowsBefore = index, int(uint32(f.User[userHTTP]))
	if f.User[userSession]>>32 == 0 && s.protocols[index].name != "" { // a flow is named after the protocol that it spoke first
		f.User[userSession] |= uint64(index+1)<<32 | uint64(basis)<<40
	}
	if n := len(s.idle[index]); n > 0 {
		e.tcp = s.idle[index][n-1]
		s.idle[index] = s.idle[index][:n-1]
	} else {
		e.tcp = s.protocols[index].newStream()
	}
	e.bounded, e.givenUp = e.tcp.bounded(), 0
}

// afterwards sees whether the parser is through with its flow.
func (s *sessions) afterwards(f *flows.Flow, e *session, at flows.Stamp) {
	if t := e.tcp.tunnel(); t != nil {
		rest := [2][]byte{bytes.Clone(t.Rest(flows.Initiator)), bytes.Clone(t.Rest(flows.Responder))}
		s.detach(f, e)
		e.tries = 0
		for side, b := range rest {
			if len(b) > 0 && uint32(f.User[userSession]) != 0 {
				s.data(f, flows.Side(side), at, b)
			}
		}
		return
	}
	if e.tcp.done() {
		s.detach(f, e)
		s.drop(f)
		f.Ignore()
	}
}

func (s *sessions) detach(f *flows.Flow, e *session) {
	e.tcp.end(s, f, &e.row)
	if len(s.idle[e.index]) < keepIdle {
		s.idle[e.index] = append(s.idle[e.index], e.tcp)
	}
	e.tcp, e.bounded = nil, nil
}

// Gap implements flows.Consumer.
func (s *sessions) Gap(f *flows.Flow, side flows.Side, at flows.Stamp, n int64) {
	e := s.session(f)
	if e.tcp == nil {
		e.sides[side].buf = e.sides[side].buf[:0]
		return
	}
	e.tcp.gap(s, f, &e.row, side, at, n)
	s.afterwards(f, e, at)
	s.charge(f, at)
}

// Fin implements flows.Consumer.
func (s *sessions) Fin(f *flows.Flow, side flows.Side, at flows.Stamp) {
	if uint32(f.User[userSession]) == 0 {
		return
	}
	if e := s.session(f); e.tcp != nil {
		e.tcp.fin(s, f, &e.row, side, at)
		s.afterwards(f, e, at)
	}
}

// Rst implements flows.Consumer.
func (s *sessions) Rst(f *flows.Flow, side flows.Side, at flows.Stamp) {
	if uint32(f.User[userSession]) == 0 {
		return
	}
	if e := s.session(f); e.tcp != nil {
		e.tcp.rst(s, f, &e.row, side, at)
		s.afterwards(f, e, at)
	}
}

// Datagram implements flows.Consumer.
func (s *sessions) Datagram(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	var e *session
	if uint32(f.User[userSession]) != 0 {
		e = s.session(f)
	} else if i := f.User[userSession] >> 32 & 0xff; i != 0 {
		if begins := s.protocols[i-1].begins; begins != nil && !begins(data) {
			return
		}
		e = s.attachDatagram(f, int(i-1))
	} else if i, basis := s.probeDatagram(f, side, data); i >= 0 {
		f.User[userSession] |= uint64(i+1)<<32 | uint64(basis)<<40
		e = s.attachDatagram(f, i)
	} else {
		if unlooked(f, side) {
			identify(f, side, data)
		}
		if f.Sides[0].Packets+f.Sides[1].Packets >= maxTries/4 && !stun(data) {
			f.Ignore()
		}
		return
	}
	e.udp.datagram(s, f, &e.row, side, at, data)
	if e.udp.done() {
		s.detachDatagram(f, e)
		f.Ignore()
	} else if e.udp.idle() { // as after nearly every answer: a million flows need few parsers
		s.detachDatagram(f, e)
	} else {
		s.charge(f, at)
	}
}

func (s *sessions) probeDatagram(f *flows.Flow, side flows.Side, data []byte) (int, schema.AppBasis) {
	for i := range s.protocols {
		if s.protocols[i].datagram == nil {
			continue
		}
		if v, basis := s.protocols[i].datagram(f, side, data); v == parsers.Yes {
			return i, basis
		}
	}
	return -1, 0
}

func (s *sessions) attachDatagram(f *flows.Flow, index int) *session {
	e := s.session(f)
	s.name(f, e)
	e.index = index
	if n := len(s.idleD[index]); n > 0 {
		e.udp = s.idleD[index][n-1]
		s.idleD[index] = s.idleD[index][:n-1]
	} else {
		e.udp = s.protocols[index].newDatagram()
	}
	e.bounded, e.givenUp = e.udp.bounded(), 0
	e.udp.start(f)
	return e
}

func (s *sessions) detachDatagram(f *flows.Flow, e *session) {
	e.udp.end(s, f, &e.row)
	if len(s.idleD[e.index]) < keepIdle {
		s.idleD[e.index] = append(s.idleD[e.index], e.udp)
	}
	s.drop(f)
}

// Shape implements flows.ShapeConsumer.
func (s *sessions) Shape(_ *flows.Flow, shape *flows.Shape) { s.shape = shape.Clone() }

// Ended implements flows.Consumer.
func (s *sessions) Ended(f *flows.Flow, tcp *flows.TCP) {
	if uint32(f.User[userSession]) != 0 {
		e := s.session(f)
		if e.udp != nil {
			s.detachDatagram(f, e)
		} else {
			if e.tcp != nil {
				s.detach(f, e)
			}
			s.drop(f)
		}
	}
	l := &s.out.flows
	l.rows = append(l.rows, schema.FlowSource{})
	src := &l.rows[len(l.rows)-1]
	src.Flow = *f
	if tcp != nil {
		src.TCP = *tcp
	}
	if i := f.User[userSession] >> 32 & 0xff; i != 0 && !identified(f) {
		src.App.Proto = s.protocols[i-1].name
		src.App.Basis = schema.AppBasis(f.User[userSession] >> 40)
	} else {
		src.App.Proto, src.App.Basis = appOf(f)
	}
	src.App.HTTP = uint32(f.User[userHTTP])
	src.App.TLS = uint32(f.User[userHTTP] >> 32)
	src.App.DNS = uint32(f.User[userDNS])
	src.Shape, s.shape = s.shape, nil
	if f.Encap != 0 {
		src.Encaps = s.encaps[f.Encap-1]
		s.encaps[f.Encap-1] = nil
		s.freeEncaps = append(s.freeEncaps, f.Encap)
	}
	l.key(s.at)
}
