// Package mutate changes captures in ways whose effect on the tables is known
// beforehand, converts them before and after, and compares the rows. Where
// nobody can say what the rows of a capture should be, one can still say what
// must not change in them when the same traffic is told differently.
package mutate

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema/tabulate"
)

// Relation is one way to change a capture, and what that does to its rows.
type Relation struct {
	Name string
	Doc  string // what is changed, what stays, and why what may differ does
	// Make returns a case of packets, nil where the relation says nothing of them.
	Make func(in Input) *Case
}

// Input is a capture to be changed.
type Input struct {
	Packets []Packet
	Other   []Packet   // another capture
	Rand    *rand.Rand // the same for a capture and a relation in every run
	Tables  Tables     // of Packets; read only
}

// Case is two conversions and what their rows have in common.
type Case struct {
	Base  []Packet // those that the relation speaks of; nil: all
	Files [][]byte // of the changed capture
	Dedup bool     // leave out what was captured twice of the changed capture
	// Expect makes of the rows of Base what the changed capture should give, and in both makes equal what may
	// differ. Nil: nothing changes.
	Expect func(want, got Tables)
}

// Line is what became of a relation.
type Line struct {
	Relation           string
	Captures, Rows     int
	Broken, Violations int // captures, rows
}

// Violation is a difference in a capture.
type Violation struct {
	Relation, Capture string
	Difference
	Fault string // the conversion failed or crashed
}

// Run checks relations over captures, which are given by name and path. The changed files of those that do not hold are
// left in the folder keep, if that is not empty.
func Run(relations []Relation, names, paths []string, keep string, each func(v Violation)) ([]Line, error) {
	lines := make([]Line, len(relations))
	for i := range relations {
		lines[i].Relation = relations[i].Name
	}
	var other []Packet
	for i := range paths {
		packets, err := Read(paths[i])
		if err != nil {
			return nil, err
		}
		if len(packets) == 0 {
			continue
		}
		base, err := convert(tabulate.Config{}, plain(packets))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", names[i], err)
		}
		for k := range relations {
			r := &relations[k]
			h := fnv.New64a()
			io.WriteString(h, r.Name+" "+names[i])
			in := Input{packets, other, rand.New(rand.NewPCG(h.Sum64(), 1)), base}
			rows, diffs, fault, files := check(r, in)
			if rows < 0 {
				continue
			}
			lines[k].Captures++
			lines[k].Rows += rows
			if fault != "" {
				each(Violation{Relation: r.Name, Capture: names[i], Fault: fault})
			}
			for _, d := range diffs {
				each(Violation{r.Name, names[i], d, ""})
			}
			lines[k].Violations += len(diffs)
			if len(diffs) > 0 || fault != "" {
				lines[k].Broken++
				for n, b := range files {
					if keep == "" {
						break
					}
					if err := os.WriteFile(filepath.Join(keep, fmt.Sprintf("%s-%s-%d", r.Name, path.Base(names[i]), n)), b, 0o644); err != nil {
						return nil, err
					}
				}
			}
		}
		other = packets
	}
	return lines, nil
}

// check checks one relation; rows is -1 where it says nothing.
func check(r *Relation, in Input) (rows int, diffs []Difference, fault string, files [][]byte) {
	defer func() {
		if p := recover(); p != nil {
			fault = fmt.Sprintf("%v\n%s", p, debug.Stack())
		}
	}()
	c := r.Make(in)
	if c == nil {
		return -1, nil, "", nil
	}
	want := in.Tables.clone()
	if c.Base != nil {
		if len(c.Base) == 0 {
			return -1, nil, "", nil
		}
		var err error
		if want, err = convert(tabulate.Config{}, plain(c.Base)); err != nil {
			return 0, nil, err.Error(), c.Files
		}
	}
	got, err := convert(tabulate.Config{Flows: flows.Config{Dedup: c.Dedup}}, c.Files...)
	if err != nil {
		return 0, nil, err.Error(), c.Files
	}
	if c.Expect != nil {
		c.Expect(want, got)
	}
	diffs, rows = compare(want, got)
	return rows, diffs, "", c.Files
}

func (t Tables) clone() Tables {
	c := Tables{}
	for name, table := range t {
		rows := make([][]string, len(table.Rows))
		for i, r := range table.Rows {
			rows[i] = slices.Clone(r)
		}
		c[name] = &Table{table.Columns, rows}
	}
	return c
}

// Print writes what became of the relations.
func Print(w io.Writer, lines []Line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "relation\tcaptures\trows\tbroken captures\trows that differ\t")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t\n", l.Relation, l.Captures, l.Rows, l.Broken, l.Violations)
	}
	return t.Flush()
}

// String says what differs, in a few lines.
func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", v.Relation, v.Capture)
	switch {
	case v.Fault != "":
		fmt.Fprintf(&b, ": %s", v.Fault)
	case v.Want == nil:
		fmt.Fprintf(&b, " %s: a row too many: %q", v.Table, v.Got)
	case v.Got == nil:
		fmt.Fprintf(&b, " %s: a row is missing: %q", v.Table, v.Want)
	default:
		fmt.Fprintf(&b, " %s (%s %s)", v.Table, v.Want[0], strings.Join(v.Want[2:min(6, len(v.Want))], " "))
		sort.Strings(v.Columns)
		for _, c := range v.Columns {
			fmt.Fprintf(&b, "\n    %s", c)
		}
	}
	return b.String()
}
