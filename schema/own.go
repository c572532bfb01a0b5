package schema

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/ssh"
)

// Own returns the shipped protocols that have a table of their own, in the order in which they are
// asked. A new one is a folder under parsers, a file of this package, and a line here; then go generate ./...
func Own() []OwnTable {
	return []OwnTable{
		TableOf(ssh.Protocol(), AppendSSH, "One row per SSH handshake."),
	}
}

// OwnTable is a table whose rows come of one protocol alone, with the types of its messages and rows
// out of sight. TableOf makes one.
type OwnTable interface {
	Table() Table
	// On registers the protocol: fn is given every message, as a *M.
	On(fn func(f *flows.Flow, message any)) parsers.Registration
	// NewRows returns an empty list of rows, a *Rows[R].
	NewRows() RowList
	// Append appends the rows of a message to a list that NewRows made.
	Append(rows RowList, message any, s *Session, a *Arena)
}

// RowList is a *Rows[R] with the type of the rows out of sight.
type RowList interface {
	Len() int
	Slice() any // the rows, a []R
	Reset()     // empties the list, whose memory is used again
}

// Rows is a list of rows.
type Rows[R any] struct{ Rows []R }

// Len returns the number of rows.
func (r *Rows[R]) Len() int { return len(r.Rows) }

// Slice returns the rows, a []R.
func (r *Rows[R]) Slice() any { return r.Rows }

// Reset empties the list, and lets go of what the rows refer to.
func (r *Rows[R]) Reset() {
	clear(r.Rows)
	r.Rows = r.Rows[:0]
}

// TableOf returns the table of protocol p, which is named like it: every message
// becomes the rows that appendRows appends, as a rule one. R is a struct with
// the tags that the package comment explains; if they describe no table, TableOf
// panics, as regexp.MustCompile does. doc says what one row is.
//
// What a message refers to is lent for the call: appendRows copies it to the arena.
func TableOf[M, R any](p parsers.Protocol[M], appendRows func(dst []R, m *M, s *Session, a *Arena) []R, doc string) OwnTable {
	return &ownTable[M, R]{p, appendRows, table[R](p.Name, doc)}
}

type ownTable[M, R any] struct {
	p          parsers.Protocol[M]
	appendRows func(dst []R, m *M, s *Session, a *Arena) []R
	table      Table
}

func (t *ownTable[M, R]) Table() Table     { return t.table }
func (t *ownTable[M, R]) NewRows() RowList { return new(Rows[R]) }

func (t *ownTable[M, R]) On(fn func(f *flows.Flow, message any)) parsers.Registration {
	return parsers.On(t.p, func(ev parsers.Event[M]) {
		if ev.Kind == parsers.Message {
			fn(ev.Flow, ev.Message)
		}
	})
}

func (t *ownTable[M, R]) Append(rows RowList, message any, s *Session, a *Arena) {
	r := rows.(*Rows[R])
	r.Rows = t.appendRows(r.Rows, message.(*M), s, a)
}
