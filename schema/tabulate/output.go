package tabulate

import (
	"cmp"
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

// Output is rows in the order in which they came about.
type Output struct {
	Flows List[schema.FlowSource]
	HTTP  List[schema.HTTP]
	TLS   List[schema.TLS]
	DNS   List[schema.DNS]
	Own   []OwnList // of schema.Own, then of Config.Own
}

// List is one table's rows, each with its key: Collector.At when it came about.
type List[R any] struct {
	Rows   []R
	Keys   []flows.Position
	Marked int // number of rows when Output.Mark was last called
}

// OwnList is a List with the type of the rows out of sight.
type OwnList struct {
	schema.RowList
	Keys   []flows.Position
	Marked int
}

// NewOutput returns an empty Output.
func NewOutput(cfg Config) *Output {
	o := new(Output)
	for _, t := range cfg.own() {
		o.Own = append(o.Own, OwnList{RowList: t.NewRows()})
	}
	return o
}

// Mark sets Marked of every list.
func (o *Output) Mark() {
	o.Flows.Marked = len(o.Flows.Rows)
	o.HTTP.Marked = len(o.HTTP.Rows)
	o.TLS.Marked = len(o.TLS.Rows)
	o.DNS.Marked = len(o.DNS.Rows)
	for i := range o.Own {
		o.Own[i].Marked = o.Own[i].Len()
	}
}

// Reset empties all lists and keeps their memory. It lets go of what the rows refer to.
func (o *Output) Reset() {
	o.Flows.reset()
	o.HTTP.reset()
	o.TLS.reset()
	o.DNS.reset()
	for i := range o.Own {
		l := &o.Own[i]
		l.RowList.Reset()
		l.Keys, l.Marked = l.Keys[:0], 0
	}
}

// OwnRows returns the rows of a table of Own, with their keys, if R is the type of its rows.
func OwnRows[R any](o *Output, place int) (List[R], bool) {
	l := &o.Own[place]
	rows, ok := l.RowList.(*schema.Rows[R])
	if !ok {
		return List[R]{}, false
	}
	return List[R]{rows.Rows, l.Keys, l.Marked}, true
}

func (l *List[R]) key(k flows.Position) {
	for len(l.Keys) < len(l.Rows) {
		l.Keys = append(l.Keys, k)
	}
}

func (l *List[R]) reset() {
	clear(l.Rows)
	l.Rows, l.Keys, l.Marked = l.Rows[:0], l.Keys[:0], 0
}

func (l *OwnList) key(k flows.Position) {
	for len(l.Keys) < l.Len() {
		l.Keys = append(l.Keys, k)
	}
}

// Certificates returns a row for each distinct certificate that the collectors met, at its earliest
// sighting, in the order of sightings.
func Certificates(collectors ...*Collector) []schema.Certificate {
	all := make(map[string]schema.Certificate)
	for _, c := range collectors {
		for _, r := range c.sightings {
			keepEarliest(all, r)
		}
	}
	rows := make([]schema.Certificate, 0, len(all))
	for _, r := range all {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b schema.Certificate) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.SHA256, b.SHA256))
	})
	return rows
}

func keepEarliest(sightings map[string]schema.Certificate, c schema.Certificate) {
	if old, ok := sightings[c.SHA256]; !ok || c.Before(&old) {
		sightings[c.SHA256] = c
	}
}
