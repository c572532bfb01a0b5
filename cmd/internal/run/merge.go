package run

import (
	"sync"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
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

// sink takes rows in their final order.
type sink[T any] interface{ Append(rows []T) error }

// merger puts the workers' outputs together, epoch by epoch.
type merger struct {
	workers int
	tables  *tables

	mu      sync.Mutex
	err     error
	waiting [][]*tabulate.Output // by worker: outputs of epochs that others have not finished
	free    []*tabulate.Output
}

func newMerger(workers int, t *tables) *merger {
	return &merger{workers: workers, tables: t, waiting: make([][]*tabulate.Output, workers)}
}

// deliver takes the worker's output of its next epoch and returns an empty one
// for the one after. It writes what is complete.
func (m *merger) deliver(worker int, o *tabulate.Output) (*tabulate.Output, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting[worker] = append(m.waiting[worker], o)
	for m.err == nil && m.complete() {
		parts := make([]*tabulate.Output, m.workers)
		for w := range parts {
			parts[w] = m.waiting[w][0]
			m.waiting[w] = m.waiting[w][1:]
		}
		m.err = m.write(parts)
		for _, p := range parts {
			p.Reset()
			m.free = append(m.free, p)
		}
	}
	if n := len(m.free); n > 0 {
		o = m.free[n-1]
		m.free = m.free[:n-1]
	} else {
		o = tabulate.NewOutput(m.tables.config)
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

func (m *merger) write(parts []*tabulate.Output) error {
	if err := mergeLists(m.tables.flows, parts, func(o *tabulate.Output) tabulate.List[schema.FlowSource] { return o.Flows }); err != nil {
		return err
	}
	if err := mergeLists(m.tables.http, parts, func(o *tabulate.Output) tabulate.List[schema.HTTP] { return o.HTTP }); err != nil {
		return err
	}
	if err := mergeLists(m.tables.tls, parts, func(o *tabulate.Output) tabulate.List[schema.TLS] { return o.TLS }); err != nil {
		return err
	}
	if err := mergeLists(m.tables.dns, parts, func(o *tabulate.Output) tabulate.List[schema.DNS] { return o.DNS }); err != nil {
		return err
	}
	for _, merge := range m.tables.own {
		if err := merge(parts); err != nil {
			return err
		}
	}
	return nil
}

// mergeLists appends the workers' rows to dst in the order of their keys.
func mergeLists[T any](dst sink[T], parts []*tabulate.Output, of func(*tabulate.Output) tabulate.List[T]) error {
	type cursor struct {
		rows []T
		keys []flows.Position
	}
	cursors := make([]cursor, 0, len(parts))
	for phase := range 2 {
		cursors = cursors[:0]
		for _, p := range parts {
			l := of(p)
			c := cursor{l.Rows[:l.Marked], l.Keys[:l.Marked]}
			if phase == 1 {
				c = cursor{l.Rows[l.Marked:], l.Keys[l.Marked:]}
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
