package parsers

import "github.com/caplake/caplake/flows"

// Budget bounds what sessions hold: what their first bytes wait in, and their
// parsers. Of too much, the session that began first is given up: its parser
// says what it knows, and the rest of the flow's bytes is only counted. Which
// one that is depends on the packets of the budget's flows alone.
type Budget struct {
	Max int // bytes

	held           int
	oldest, newest *session
}

// DefaultBudget is the bytes that a Dispatcher's sessions may hold, unless it is told otherwise.
const DefaultBudget = 1 << 30

func (b *Budget) push(e *session) {
	e.budget, e.older, e.younger = b, b.newest, nil
	if b.newest != nil {
		b.newest.younger = e
	} else {
		b.oldest = e
	}
	b.newest = e
}

func (b *Budget) remove(e *session) {
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

// charge brings the budget of f's session up to date, if it has one, after it
// was given something by the packet at, and keeps the budget.
func (d *Dispatcher) charge(f *flows.Flow, at flows.Stamp) {
	ref := uint32(f.User[0])
	if ref == 0 {
		return
	}
	e := d.slab[ref-1]
	b := e.budget
	held := sessionBytes + cap(e.sides[0].buf) + cap(e.sides[1].buf)
	if e.bounded != nil {
		held += e.bounded.Held()
		if n := e.bounded.GivenUp(); n != e.givenUp {
			if d.hooks.GaveUp != nil && !d.stopped {
				d.hooks.GaveUp(f, at, n-e.givenUp)
			}
			e.givenUp = n
		}
	}
	b.held += held - e.charged
	e.charged = held
	for b.held > b.Max && b.oldest != nil {
		if d.hooks.GaveUp != nil && !d.stopped {
			d.hooks.GaveUp(b.oldest.flow, at, 0)
		}
		d.giveUp(b.oldest, at)
	}
}

// giveUp ends a session before its flow.
func (d *Dispatcher) giveUp(e *session, at flows.Stamp) {
	f := e.flow
	switch {
	case e.udp != nil:
		d.detachDatagram(f, e, at)
	case e.tcp != nil:
		d.detach(f, e, at)
		d.drop(f)
	default:
		d.drop(f)
	}
	f.Ignore()
}

// boundedOf returns what a parser says of what it holds; nil if it does not.
func boundedOf(parser any) Bounded {
	if a, ok := parser.(interface{ inner() any }); ok {
		parser = a.inner()
	}
	b, _ := parser.(Bounded)
	return b
}
