package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"
)

// Tables are the tables compared, in the order of the report.
var tables = [...]string{"flows", "http", "tls", "dns"}

// Conversion is what a Converter says of one capture.
type Conversion struct {
	Seconds float64  `json:"seconds"`
	Packets int64    `json:"packets"`
	Damaged []string `json:"damaged,omitempty"` // the faults of the file that were met and survived
	Error   string   `json:"error,omitempty"`   // the conversion failed
	Crash   string   `json:"crash,omitempty"`   // it died, or had to be stopped
}

// Converter converts the capture at path into a dataset below out.
type Converter interface {
	Convert(ctx context.Context, path, out string) Conversion
}

// Result is what a run found.
type Result struct {
	Captures map[Scope]int      `json:"captures"`
	Outside  map[string]int     `json:"outside"` // scope and detail: captures
	Refused  int                `json:"refused"` // compared, but the truth ends before the capture does
	Lines    []Line             `json:"lines"`
	Worst    map[string][]Worst `json:"worst"` // by table
	Failures []Failure          `json:"failures"`
	Slow     []Failure          `json:"slow"`
	Damaged  []Failure          `json:"damaged"` // files whose faults were met and survived
	Seconds  float64            `json:"seconds"`
	Diffs    []Difference       `json:"differences,omitempty"`
	NoColumn []string           `json:"columns_not_compared,omitempty"`
}

// Line is the tally of one table, or of a part of it that is counted apart.
type Line struct {
	Name  string `json:"name"`
	Table string `json:"table"`
	Apart bool   `json:"apart"` // does not count against the minimum
	Tally
}

// Worst is a capture with rows that are not equal.
type Worst struct {
	Capture string `json:"capture"`
	Tally
}

// Failure is a capture with something to say about it.
type Failure struct {
	Capture string  `json:"capture"`
	What    string  `json:"what"`
	Seconds float64 `json:"seconds"`
}

// SlowSeconds is from when on a capture is named as slow.
const SlowSeconds = 5

// Run converts every capture in scope, as many at a time as there are
// converters, and compares.
func Run(ctx context.Context, c *Corpus, converters []Converter) (*Result, error) {
	start := time.Now()
	tmp, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)

	res := &Result{Captures: map[Scope]int{}, Outside: map[string]int{}, Worst: map[string][]Worst{}}
	found := make([]*comparison, len(c.Captures))
	work := make(chan int)
	var wg sync.WaitGroup
	for w, conv := range converters {
		wg.Go(func() {
			for i := range work {
				out := filepath.Join(tmp, fmt.Sprint(w))
				found[i] = compareCapture(ctx, &c.Captures[i], c.Disputed[c.Captures[i].ID()], conv, out)
				os.RemoveAll(out)
			}
		})
	}
	for i := range c.Captures {
		k := &c.Captures[i]
		res.Captures[k.Scope]++
		if k.Scope != InScope {
			res.Outside[string(k.Scope)+" "+k.Detail]++
			continue
		}
		if k.Refused {
			res.Refused++
		}
		work <- i
	}
	close(work)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i, f := range found { // in the order of the captures, whoever was first
		if f != nil {
			res.take(c.Captures[i].ID(), f)
		}
	}
	for t := range res.Worst {
		sort.SliceStable(res.Worst[t], func(i, j int) bool {
			a, b := &res.Worst[t][i], &res.Worst[t][j]
			return a.Differ+a.Missing+a.Extra > b.Differ+b.Missing+b.Extra
		})
	}
	sort.SliceStable(res.Lines, func(i, j int) bool { return res.Lines[i].rank() < res.Lines[j].rank() })
	sort.Strings(res.NoColumn)
	res.Seconds = time.Since(start).Seconds()
	return res, nil
}

func (l *Line) rank() string {
	apart := "0"
	if l.Apart {
		apart = "1" + l.Name
	}
	return fmt.Sprint(slices.Index(tables[:], l.Table), apart)
}

// comparison is what was found of one capture.
type comparison struct {
	conv     Conversion
	errs     []string
	lines    []Line
	diffs    []Difference
	noColumn []string
}

func (r *Result) take(id string, f *comparison) {
	if f.conv.Crash != "" {
		r.Failures = append(r.Failures, Failure{id, "crash: " + f.conv.Crash, f.conv.Seconds})
	}
	if f.conv.Error != "" {
		r.Failures = append(r.Failures, Failure{id, "error: " + f.conv.Error, f.conv.Seconds})
	}
	for _, e := range f.errs {
		r.Failures = append(r.Failures, Failure{id, "comparison: " + e, f.conv.Seconds})
	}
	for _, d := range f.conv.Damaged {
		r.Damaged = append(r.Damaged, Failure{id, d, f.conv.Seconds})
	}
	if f.conv.Seconds > SlowSeconds {
		r.Slow = append(r.Slow, Failure{id, "slow", f.conv.Seconds})
	}
	for _, l := range f.lines {
		i := slices.IndexFunc(r.Lines, func(m Line) bool { return m.Name == l.Name })
		if i < 0 {
			i = len(r.Lines)
			r.Lines = append(r.Lines, Line{Name: l.Name, Table: l.Table, Apart: l.Apart})
		}
		r.Lines[i].add(&l.Tally)
		if !l.Apart && l.Differ+l.Missing+l.Extra > 0 {
			r.Worst[l.Table] = append(r.Worst[l.Table], Worst{id, l.Tally})
		}
	}
	r.Diffs = append(r.Diffs, f.diffs...)
	for _, n := range f.noColumn {
		if !slices.Contains(r.NoColumn, n) {
			r.NoColumn = append(r.NoColumn, n)
		}
	}
}

// compareCapture converts one capture alone and compares each table. Where the
// conversion fails, the truth's rows count as missing.
func compareCapture(ctx context.Context, k *Capture, disputed []string, conv Converter, out string) *comparison {
	f := &comparison{}
	f.conv = conv.Convert(ctx, k.Path, out)
	var carriers map[string]bool
	for _, table := range tables {
		truth, err := k.Truth(table)
		if err != nil {
			f.errs = append(f.errs, err.Error())
			continue
		}
		t := NewTable(nil, nil)
		if f.conv.Crash == "" {
			if u, err := ReadTable(out, table); err == nil {
				t = u
			} else if f.conv.Error == "" {
				f.errs = append(f.errs, err.Error())
			}
		}
		var sets []recordSet
		switch table {
		case "flows":
			var set recordSet
			set.kind, set.name = &flowKind, "flows"
			set.truth, carriers = truthFlows(truth)
			set.ours, err = ourFlows(t, carriers)
			sets = append(sets, set)
		case "http":
			sets, err = httpRecords(truth, t)
		case "tls":
			sets, err = tlsRecords(truth, t)
		case "dns":
			sets, err = dnsRecords(truth, t)
		}
		if err != nil {
			f.errs = append(f.errs, err.Error())
		}
		for _, set := range sets {
			f.compare(k, table, set, slices.Contains(disputed, table))
		}
	}
	return f
}

// recordSet is what one comparison is made of. A table may have several: its
// kinds of messages (kind.Name), and what is counted apart.
type recordSet struct {
	name        string
	kind        *Kind
	apart       bool
	truth, ours []Record
}

func (f *comparison) compare(k *Capture, table string, set recordSet, disputed bool) {
	if len(set.truth)+len(set.ours) == 0 {
		return
	}
	tally, diffs := Match(set.kind, set.truth, set.ours)
	if k.Refused { // the truth ends early: what we have beyond it says nothing
		tally.Extra = 0
		diffs = slices.DeleteFunc(diffs, func(d Difference) bool { return d.What == "extra" })
	}
	name, apart := set.name, set.apart
	if disputed {
		name, apart = table+" (disputed)", true
	}
	for i := range diffs {
		diffs[i].Capture, diffs[i].Table = k.ID(), name
	}
	f.diffs = append(f.diffs, diffs...)
	for i := range f.lines {
		if f.lines[i].Name == name {
			f.lines[i].add(&tally)
			return
		}
	}
	f.lines = append(f.lines, Line{Name: name, Table: table, Apart: apart, Tally: tally})
}
