package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

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
	Convert(ctx context.Context, path, out string, o Options) Conversion
}

// Result is what a run found.
type Result struct {
	Captures map[Scope]int      `json:"captures"`
	Outside  map[string]int     `json:"outside"` // scope and detail: captures
	Refused  int                `json:"refused"` // compared, but the truth ends before the capture does
	Tables   []string           `json:"tables"`  // of every peer
	Lines    []Line             `json:"lines"`
	Worst    map[string][]Worst `json:"worst"`  // by table
	Groups   map[string][]Line  `json:"groups"` // by link types and encapsulations of the captures
	Failures []Failure          `json:"failures"`
	Slow     []Failure          `json:"slow"`
	Damaged  []Failure          `json:"damaged"` // files whose faults were met and survived
	Seconds  float64            `json:"seconds"`
	Diffs    []Difference       `json:"differences,omitempty"`
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

	res := &Result{Captures: map[Scope]int{}, Outside: map[string]int{}, Worst: map[string][]Worst{}, Groups: map[string][]Line{}}
	for _, p := range c.peers {
		res.Tables = append(res.Tables, p.tables()...)
	}
	found := make([]*comparison, len(c.Captures))
	work := make(chan int)
	var wg sync.WaitGroup
	for w, conv := range converters {
		wg.Go(func() {
			for i := range work {
				out := filepath.Join(tmp, fmt.Sprint(w))
				found[i] = c.compare(ctx, &c.Captures[i], conv, out)
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
			group := c.Captures[i].Links
			if len(f.tunnels) > 0 {
				group += " in " + strings.Join(f.tunnels, ", ")
			}
			for _, l := range f.lines {
				if !l.Apart {
					res.Groups[group] = addLine(res.Groups[group], l)
				}
			}
		}
	}
	for t := range res.Worst {
		sort.SliceStable(res.Worst[t], func(i, j int) bool {
			return res.Worst[t][i].open() > res.Worst[t][j].open()
		})
	}
	sort.SliceStable(res.Lines, func(i, j int) bool {
		a, b := &res.Lines[i], &res.Lines[j]
		if x, y := slices.Index(res.Tables, a.Table), slices.Index(res.Tables, b.Table); x != y {
			return x < y
		}
		if a.Apart != b.Apart {
			return b.Apart
		}
		return a.Name < b.Name
	})
	res.Seconds = time.Since(start).Seconds()
	return res, nil
}

// open is how many rows want looking into.
func (t *Tally) open() int {
	extra := t.Extra
	for _, n := range t.ExtraClasses {
		extra -= n
	}
	return t.Differ + t.Missing - t.AcceptedDiffer - t.AcceptedMissing + extra
}

// comparison is what was found of one capture.
type comparison struct {
	convs []Conversion
	errs  []string
	lines []Line
	diffs []Difference

	tunnels []string // of the capture's flows, sorted
}

func (r *Result) take(id string, f *comparison) {
	for i := range f.convs {
		conv := &f.convs[i]
		if conv.Crash != "" {
			r.Failures = append(r.Failures, Failure{id, "crash: " + conv.Crash, conv.Seconds})
		}
		if conv.Error != "" {
			r.Failures = append(r.Failures, Failure{id, "error: " + conv.Error, conv.Seconds})
		}
		if conv.Seconds > SlowSeconds {
			r.Slow = append(r.Slow, Failure{id, "slow", conv.Seconds})
		}
	}
	for _, e := range f.errs {
		r.Failures = append(r.Failures, Failure{id, "comparison: " + e, 0})
	}
	if len(f.convs) > 0 { // a fault of the file is the same however it is converted
		for _, d := range f.convs[0].Damaged {
			r.Damaged = append(r.Damaged, Failure{id, d, f.convs[0].Seconds})
		}
	}
	for _, l := range f.lines {
		r.Lines = addLine(r.Lines, l)
		if !l.Apart && l.open() > 0 {
			r.Worst[l.Table] = append(r.Worst[l.Table], Worst{id, l.Tally})
		}
	}
	r.Diffs = append(r.Diffs, f.diffs...)
}

// addLine adds l to the line of its name.
func addLine(lines []Line, l Line) []Line {
	i := slices.IndexFunc(lines, func(m Line) bool { return m.Name == l.Name })
	if i < 0 {
		i = len(lines)
		lines = append(lines, Line{Name: l.Name, Table: l.Table, Apart: l.Apart})
	}
	lines[i].add(&l.Tally)
	return lines
}

// compare converts one capture alone, once for each way that a peer asks for,
// and compares each table. Where the conversion fails, every row of the peers
// counts as missing.
func (c *Corpus) compare(ctx context.Context, k *Capture, conv Converter, out string) *comparison {
	f := &comparison{}
	var views []view
	for _, p := range c.peers {
		views = append(views, p.views(k)...)
	}
	for len(views) > 0 {
		o := views[0].options
		answer := conv.Convert(ctx, k.Path, out, o)
		f.convs = append(f.convs, answer)
		d := &Dataset{dir: out, capture: k.Path}
		if answer.Crash != "" || answer.Error != "" {
			if _, err := os.Stat(out); err != nil || answer.Crash != "" {
				d.dir = ""
			}
		}
		if f.tunnels == nil {
			f.tunnels = d.tunnels()
		}
		rest := views[:0:0]
		for _, v := range views {
			if v.options != o {
				rest = append(rest, v)
				continue
			}
			sets, err := v.records(d)
			if err != nil && answer.Error == "" {
				f.errs = append(f.errs, err.Error())
			}
			for _, set := range sets {
				f.match(k, set, d)
			}
		}
		os.RemoveAll(out)
		views = rest
	}
	return f
}

func (f *comparison) match(k *Capture, set recordSet, d *Dataset) {
	if len(set.truth)+len(set.ours) == 0 {
		return
	}
	if set.name == "" {
		set.name = set.table
	}
	tally, diffs := Match(set.kind, set.truth, set.ours, func(e *Evidence) string {
		if e.View = d; e.Truth == nil {
			return causeOf(set.table, e)
		}
		return accept(set.table, e)
	})
	if set.partial {
		tally.Extra, tally.ExtraClasses = 0, nil
		diffs = slices.DeleteFunc(diffs, func(d Difference) bool { return d.What == "extra" })
	}
	for i := range diffs {
		diffs[i].Capture, diffs[i].Table = k.ID(), set.name
	}
	f.diffs = append(f.diffs, diffs...)
	for i := range f.lines {
		if f.lines[i].Name == set.name {
			f.lines[i].add(&tally)
			return
		}
	}
	f.lines = append(f.lines, Line{Name: set.name, Table: set.table, Apart: set.apart, Tally: tally})
}
