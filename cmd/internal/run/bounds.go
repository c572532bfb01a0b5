package run

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// acts counts what bounds of memory made the run give up, for the ledger of
// the input whose packet it was done for.
type acts struct {
	flows   uint64 // ended early, since --max-flows were live
	holes   uint64 // in TCP streams, since a bound on held bytes was reached
	parsers uint64 // ended early, since --max-parser-bytes were held
	pending uint64 // requests and queries, since --max-pending of their flow waited
}

func (a *acts) add(b acts) {
	a.flows += b.flows
	a.holes += b.holes
	a.parsers += b.parsers
	a.pending += b.pending
}

func (a acts) total() uint64 { return a.flows + a.holes + a.parsers + a.pending }

// ledger is acts by input.
type ledger map[uint32]acts

func (l ledger) add(input uint32, a acts) {
	if a != (acts{}) {
		b := l[input]
		b.add(a)
		l[input] = b
	}
}

// budget bounds what the sessions of one shard hold: what their first bytes
// wait in, and their parsers. Of too much, the session that began first is
// given up: its parser says what it knows, and the rest of the flow's bytes is
// only counted. Which one that is depends on the packets of the shard alone.
type budget struct {
	max, held      int
	oldest, newest *session
}

func (b *budget) push(e *session) {
	e.budget, e.older, e.younger = b, b.newest, nil
	if b.newest != nil {
		b.newest.younger = e
	} else {
		b.oldest = e
	}
	b.newest = e
}

func (b *budget) remove(e *session) {
	b.held -= e.charged
	if e.older != nil {
		e.older.younger = e.younger
	} else {
		b.oldest = e.younger
	}
	if e.younger != nil {
		e.younger.older = e.older
	} else {
		b.newest = e.older
	}
}

// sessionBytes is about what a session takes beside its buffers and its parser.
const sessionBytes = 512

// charge brings the shard's budget up to date after the session of f, if it
// has one, was given something by the packet at, and keeps the budget.
func (s *sessions) charge(f *flows.Flow, at flows.Stamp) {
	ref := uint32(f.User[userSession])
	if ref == 0 {
		return
	}
	e := s.slab[ref-1]
	b := e.budget
	held := sessionBytes + cap(e.sides[0].buf) + cap(e.sides[1].buf)
	if e.bounded != nil {
		held += e.bounded.Held()
		if n := e.bounded.GivenUp(); n != e.givenUp {
			s.acts.add(at.Pos.Input(), acts{pending: uint64(n - e.givenUp)})
			e.givenUp = n
		}
	}
	b.held += held - e.charged
	e.charged = held
	for b.held > b.max && b.oldest != nil {
		s.acts.add(at.Pos.Input(), acts{parsers: 1})
		s.giveUp(b.oldest)
	}
}

// giveUp ends a session before its flow.
func (s *sessions) giveUp(e *session) {
	f := e.flow
	switch {
	case e.udp != nil:
		s.detachDatagram(f, e)
	case e.tcp != nil:
		s.detach(f, e)
		s.drop(f)
	default:
		s.drop(f)
	}
	f.Ignore()
}

// bounded returns what a parser says of itself, nil if it does not.
func bounded(parser any) parsers.Bounded {
	b, _ := parser.(parsers.Bounded)
	return b
}
