package run

import (
	"sync"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/writers"
)

// Order of rows
//
// Every row has a key: the position of the packet that completed it or, for what
// a sweep ends, of the first packet of its flow. An epoch is a fixed
// number of packets; its rows come in two runs, first those that its packets
// completed, then those of the sweep at its end, each in the order of their
// keys. One worker's rows come about in that order by themselves, so the rows
// of an epoch are put together by merging the workers' lists. All packets of a
// flow, and so all rows of one key, are of one worker. Therefore the order of
// rows depends on the packets alone: not on the workers, and not on the shards.

// output is what one worker adds in one epoch. The tables that several protocols share, or
// that flows count, have fields; a protocol's own table has a place in own.
type output struct {
	flows list[schema.FlowSource]
	http  list[schema.HTTP]
	tls   list[schema.TLS]
	dns   list[schema.DNS]
	own   []rowList // by ownTable.place
	all   []rowList // all of these
}

// rowList is a list of any rows.
type rowList interface {
	beginSweep()
	reset()
}

func newOutput(own []ownTable) *output {
	o := new(output)
	for _, t := range own {
		o.own = append(o.own, t.newList())
	}
	o.all = append([]rowList{&o.flows, &o.http, &o.tls, &o.dns}, o.own...)
	return o
}

// ownTable is a table whose rows come of one protocol alone, with the type of its rows out of sight.
type ownTable interface {
	settle(place int) // gives it its place in output.own
	newList() rowList
	open(dir *writers.Dir) (merge func(parts []*output) error, err error)
}

// rowsOf is an ownTable of rows R.
type rowsOf[R any] struct {
	name  string
	place int
}

func (t *rowsOf[R]) settle(place int)        { t.place = place }
func (t *rowsOf[R]) newList() rowList        { return new(list[R]) }
func (t *rowsOf[R]) list(o *output) *list[R] { return o.own[t.place].(*list[R]) }

func (t *rowsOf[R]) open(dir *writers.Dir) (func(parts []*output) error, error) {
	w, err := writers.NewTable[R, R](dir, t.name, nil)
	return func(parts []*output) error { return mergeLists(w, parts, t.list) }, err
}

// list is one table's rows with their keys.
type list[T any] struct {
	rows  []T
	keys  []flows.Position
	sweep int // rows[sweep:] are the sweep's
}

func (l *list[T]) key(k flows.Position) {
	for len(l.keys) < len(l.rows) {
		l.keys = append(l.keys, k)
	}
}

func (l *list[T]) beginSweep() { l.sweep = len(l.rows) }

func (l *list[T]) reset() {
	clear(l.rows) // let go of what the rows refer to
	l.rows, l.keys, l.sweep = l.rows[:0], l.keys[:0], 0
}

func (o *output) beginSweep() {
	for _, l := range o.all {
		l.beginSweep()
	}
}

func (o *output) reset() {
	for _, l := range o.all {
		l.reset()
	}
}

// sink takes rows in their final order.
type sink[T any] interface{ Append(rows []T) error }

// merger puts the workers' outputs together, epoch by epoch.
type merger struct {
	workers int
	tables  *tables

	mu      sync.Mutex
	err     error
	waiting [][]*output // by worker: outputs of epochs that others have not finished
	free    []*output
}

func newMerger(workers int, t *tables) *merger {
	return &merger{workers: workers, tables: t, waiting: make([][]*output, workers)}
}

// deliver takes the worker's output of its next epoch and returns an empty one
// for the one after. It writes what is complete.
func (m *merger) deliver(worker int, o *output) (*output, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[worker] = append(m.waiting[worker], o)
	for m.err == nil && m.complete() {
		parts := make([]*output, m.workers)
		for w := range parts {
			parts[w] = m.waiting[w][0]
			m.waiting[w] = m.waiting[w][1:]
		}
		m.err = m.write(parts)
		for _, p := range parts {
			p.reset()
			m.free = append(m.free, p)
		}
	}
	if n := len(m.free); n > 0 {
		o = m.free[n-1]
		m.free = m.free[:n-1]
	} else {
		o = newOutput(m.tables.own)
	}
	return o, m.err
}

func (m *merger) complete() bool {
	for _, q := range m.waiting {
		if len(q) == 0 {
			return false
		}
	}
	return true
}

func (m *merger) write(parts []*output) error {
	if err := mergeLists(m.tables.flows, parts, func(o *output) *list[schema.FlowSource] { return &o.flows }); err != nil {
		return err
	}
	if err := mergeLists(m.tables.http, parts, func(o *output) *list[schema.HTTP] { return &o.http }); err != nil {
		return err
	}
	if err := mergeLists(m.tables.tls, parts, func(o *output) *list[schema.TLS] { return &o.tls }); err != nil {
		return err
	}
	if err := mergeLists(m.tables.dns, parts, func(o *output) *list[schema.DNS] { return &o.dns }); err != nil {
		return err
	}
	for _, merge := range m.tables.mergeOwn {
		if err := merge(parts); err != nil {
			return err
		}
	}
	return nil
}

// mergeLists appends the workers' rows to dst in the order of their keys.
func mergeLists[T any](dst sink[T], parts []*output, of func(*output) *list[T]) error {
	type cursor struct {
		rows []T
		keys []flows.Position
	}
	cursors := make([]cursor, 0, len(parts))
	for phase := range 2 {
		cursors = cursors[:0]
		for _, p := range parts {
			l := of(p)
			c := cursor{l.rows[:l.sweep], l.keys[:l.sweep]}
			if phase == 1 {
				c = cursor{l.rows[l.sweep:], l.keys[l.sweep:]}
			}
			if len(c.rows) > 0 {
				cursors = append(cursors, c)
			}
		}
		for len(cursors) > 0 {
			// The cursor with the lowest key gives all its rows below the
			// lowest key of the others.
			best := 0
			for i := range cursors {
				if cursors[i].keys[0] < cursors[best].keys[0] {
					best = i
				}
			}
			limit := ^flows.Position(0)
			for i := range cursors {
				if i != best {
					limit = min(limit, cursors[i].keys[0])
				}
			}
			c := &cursors[best]
			n := 1
			for n < len(c.keys) && c.keys[n] < limit {
				n++
			}
			if err := dst.Append(c.rows[:n]); err != nil {
				return err
			}
			c.rows, c.keys = c.rows[n:], c.keys[n:]
			if len(c.rows) == 0 {
				cursors = append(cursors[:best], cursors[best+1:]...)
			}
		}
	}
	return nil
}
