package compare

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/caplake/caplake/cmd/internal/conformance"
)

// Left is lines of a log that were not compared.
type Left struct {
	Event string `json:"event"` // what they are: an event_type, or the name of a log
	Lines int64  `json:"lines"`
}

// Events is what a comparison found of the events of one kind.
type Events struct {
	Log       string `json:"log"`   // the program and the event: "zeek http", "suricata tls"
	Table     string `json:"table"` // whose rows they are
	Logged    int64  `json:"logged"`
	Pairs     int64  `json:"pairs"`     // events and rows, one to one
	Equal     int64  `json:"equal"`     // pairs that are the same in every field
	Explained int64  `json:"explained"` // other pairs of which each difference is explained
	Open      int64  `json:"open"`      // other pairs
	// Fields are those that differ without an explanation, and in how many pairs.
	Fields map[string]int64 `json:"fields,omitempty"`
}

// perEvent is how many flows the memory of an event and its row is worth.
const perEvent = 8

// countEvent takes an event in the first pass.
func (x *comparison) countEvent(kind eventKind, row map[string]string) {
	e := x.events[kind]
	if e == nil {
		e = &Events{Log: kind.program + " " + kind.event, Table: conformance.LogTable(kind.program, kind.event), Fields: map[string]int64{}}
		x.events[kind] = e
	}
	e.Logged++
	if at, err := seconds(row["ts"]); err == nil {
		if x.eventTimes.first == 0 || at < x.eventTimes.first {
			x.eventTimes.first = at
		}
		x.eventTimes.last = max(x.eventTimes.last, at)
	}
}

// allEvents compares the events of every kind, for a part of the endpoints at a
// time, so that no more than held are in memory.
func (x *comparison) allEvents(ctx context.Context, d *dataset, logs *logReader, held int64) error {
	if len(x.events) == 0 {
		return nil
	}
	var kinds []eventKind
	total := int64(0)
	for k, e := range x.events {
		kinds = append(kinds, k)
		total += e.Logged + d.others[e.Table].rows
	}
	slices.SortFunc(kinds, func(a, b eventKind) int {
		return cmp.Or(cmp.Compare(a.program, b.program), cmp.Compare(a.event, b.event))
	})
	if x.report.Logged == 0 {
		x.theirs = x.eventTimes
	} else {
		x.theirs.first, x.theirs.last = min(x.theirs.first, x.eventTimes.first), max(x.theirs.last, x.eventTimes.last)
	}
	certificates, err := conformance.ReadFiles(d.others["certificates"].files, conformance.LogColumns("certificates"), nil)
	if err != nil {
		return err
	}
	parts := uint32(1 + total*perEvent/held)
	for part := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows := map[eventKind][]map[string]string{}
		logs.onEvent = func(kind eventKind, row map[string]string) {
			src, sport, dst, dport := "src_ip", "src_port", "dest_ip", "dest_port"
			if kind.program == "zeek" {
				src, sport, dst, dport = "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"
			}
			if partOf(row[src], row[sport], row[dst], row[dport], parts) == part {
				rows[kind] = append(rows[kind], row)
			}
		}
		if err := logs.each(func(*flow) {}); err != nil {
			return err
		}
		tables := map[string]*conformance.Table{"certificates": certificates}
		for _, kind := range kinds {
			name := x.events[kind].Table
			if tables[name] != nil {
				continue
			}
			tables[name], err = conformance.ReadFiles(d.others[name].files, conformance.LogColumns(name), func(t *conformance.Table, i int) bool {
				return partOf(t.Get(i, "src_ip"), t.Get(i, "src_port"), t.Get(i, "dst_ip"), t.Get(i, "dst_port"), parts) == part
			})
			if err != nil {
				return err
			}
		}
		data := conformance.NewDataset(tables)
		for _, kind := range kinds {
			if err := x.ofKind(kind, rows[kind], data); err != nil {
				return err
			}
		}
	}
	logs.onEvent = nil
	for _, kind := range kinds {
		x.report.Events = append(x.report.Events, *x.events[kind])
	}
	return nil
}

// partOf says which of so many parts two endpoints belong to, whichever is first.
func partOf(ip1, port1, ip2, port2 string, parts uint32) uint32 {
	if parts == 1 {
		return 0
	}
	sum := uint32(0)
	for _, e := range [][2]string{{ip1, port1}, {ip2, port2}} {
		h := fnv.New32a()
		if a, err := netip.ParseAddr(e[0]); err == nil {
			b := a.As16()
			h.Write(b[:])
		}
		h.Write([]byte(e[1]))
		sum += h.Sum32()
	}
	return sum % parts
}

// ofKind compares events of one kind.
func (x *comparison) ofKind(kind eventKind, rows []map[string]string, d *conformance.Dataset) error {
	e := x.events[kind]
	t, err := d.Table(e.Table)
	if err != nil {
		return err
	}
	_, diffs, err := conformance.MatchLog(kind.program, kind.event, rows, d, func(v *conformance.Evidence) string { return x.eventClass(kind, e.Table, t, v) })
	if err != nil {
		return err
	}
	pairs := int64(len(rows))
	for i := range diffs {
		f := &diffs[i]
		class := f.Accepted
		var what string
		switch f.What {
		case "missing":
			pairs--
			class, what = cmp.Or(class, "event_missing_here"), "no row of the table "+e.Table
		case "extra":
			class, what = cmp.Or(class, "event_missing_there"), "no event"
		default:
			open, said := false, map[string][]string{}
			for _, c := range f.Columns {
				class := cmp.Or(c.Accepted, "event_differs")
				if !explains(class) {
					open = true
					e.Fields[c.Name]++
				}
				said[class] = append(said[class], fmt.Sprintf("%s %q, there %q", c.Name, c.Ours, c.Truth))
			}
			for class, s := range said {
				x.noteEvent(class, e, f, strings.Join(s, "; "))
			}
			if open {
				e.Open++
			} else {
				e.Explained++
			}
			continue
		}
		x.noteEvent(class, e, f, what)
	}
	e.Pairs += pairs
	e.Equal = e.Pairs - e.Open - e.Explained
	return nil
}

// eventClass returns the class that explains a difference of an event, if one does.
func (x *comparison) eventClass(kind eventKind, table string, t *conformance.Table, v *conformance.Evidence) string {
	switch {
	case v.Ours == nil:
		if x.report.Flows == 0 || v.Truth.Time < x.ours.first-tolerance || v.Truth.Time > x.ours.last+tolerance {
			return "outside_dataset"
		}
	case v.Truth == nil:
		get := func(column string) string { return t.Get(v.Ours.Row, column) }
		switch {
		case v.Ours.Time < x.theirs.first-tolerance || v.Ours.Time > x.theirs.last+tolerance:
			return "outside_log"
		case kind.program == "zeek" && get("stream_id") != "":
			return "event_http2"
		case table == "http" && !slices.Contains([]string{"complete", "tunnel", "upgraded"}, get("outcome")), table == "tls" && get("established") != "true":
			return "event_unfinished"
		}
	case v.Column == "originator":
		return "direction"
	}
	return ""
}

// noteEvent counts a difference of an event and keeps the first as an example.
func (x *comparison) noteEvent(class string, e *Events, d *conformance.Difference, what string) {
	f := x.found[class]
	if f == nil {
		f = &Found{}
		x.found[class] = f
	}
	f.Count++
	what = e.Log + ": " + what
	example := Example{TS: d.Time, Row: d.Row, What: what}
	if f.Count == 1 || f.Example.Row != "" && cmp.Or(cmp.Compare(example.TS, f.Example.TS), cmp.Compare(example.Row, f.Example.Row), cmp.Compare(what, f.Example.What)) < 0 {
		f.Example = example
	}
}
