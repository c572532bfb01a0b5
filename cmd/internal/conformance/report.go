package conformance

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
)

// Goal is the least share of rows, in percent, that must be equal on a line of
// the report, in one column of it where Column is not empty, in each where it
// is "*", or in all of them together where it is "all". Rows that a class of accepted differences covers are left aside.
type Goal struct {
	Line, Column string
	Percent      float64
}

// MaxClass is the greatest share of a line's rows, in percent, that one class of
// accepted differences may touch: what is more is no exception.
const MaxClass = 3

// fewRows is how many rows a class may touch whatever their share is: of fifty rows two are 4 %.
const fewRows = 2

// Failed returns the goals that are not reached, the classes that cover too
// much, and what else makes a run fail.
func (r *Result) Failed(goals []Goal) []string {
	var failed []string
	for _, g := range goals {
		i := slices.IndexFunc(r.Lines, func(l Line) bool { return l.Name == g.Line })
		if i < 0 {
			continue // the corpus has none
		}
		l := &r.Lines[i]
		columns := []string{g.Column}
		if g.Column == "*" {
			columns = slices.Sorted(maps.Keys(l.Columns))
		}
		for _, c := range columns {
			got, of := l.Cleared(), ""
			switch c {
			case "":
			case "all":
				got, of = l.WholeCleared(), ", all columns together"
			default:
				if _, ok := l.Columns[c]; !ok {
					continue // nothing of it was compared
				}
				got, of = l.ColumnCleared(c), ", column "+c
			}
			if got < g.Percent {
				failed = append(failed, fmt.Sprintf("%s%s: %.2f %% of the rows are equal, %.2f are asked for", g.Line, of, got, g.Percent))
			}
		}
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		if l.Apart {
			continue
		}
		for _, class := range slices.Sorted(maps.Keys(l.Classes)) {
			if p := percent(l.Classes[class], l.Truth); p > MaxClass && l.Classes[class] > fewRows {
				failed = append(failed, fmt.Sprintf("%s: the accepted difference %q covers %.2f %% of the rows, more than %d", l.Name, class, p, MaxClass))
			}
		}
	}
	for _, f := range r.Failures {
		if strings.HasPrefix(f.What, "crash") {
			failed = append(failed, f.Capture+": "+f.What)
		}
	}
	return failed
}

const (
	worstShown   = 12 // captures of a table
	columnsShown = 12 // columns of a line
)

// Print writes the report for people. With differences, every row that is not
// equal follows.
func (r *Result) Print(w io.Writer, goals []Goal, differences bool) error {
	b := &strings.Builder{}
	total := 0
	for _, n := range r.Captures {
		total += n
	}
	fmt.Fprintf(b, "captures: %d\n  compared: %d (of %d the truth ends before the capture does)\n", total, r.Captures[InScope], r.Refused)
	for _, s := range []Scope{LinkType, FileFormat, Unreadable} {
		if r.Captures[s] == 0 {
			continue
		}
		fmt.Fprintf(b, "  not compared, %s: %d (%s)\n", s, r.Captures[s], r.details(s))
	}
	b.WriteByte('\n')
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "table\ttruth\tequal\tdiffer\tmissing\textra\tequal %\taccepted\twithout them %\tgoal %\tall columns %\t")
	for i := range r.Lines {
		l := &r.Lines[i]
		m := "-"
		for _, g := range goals {
			if g.Line == l.Name && g.Column == "" {
				m = fmt.Sprintf("%.2f", g.Percent)
			}
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%.2f\t%d\t%.2f\t%s\t%.2f\t\n", l.Name, l.Truth, l.Equal, l.Differ, l.Missing, l.Extra, l.Percent(),
			l.AcceptedDiffer+l.AcceptedMissing, l.Cleared(), m, l.WholeCleared())
	}
	tw.Flush()

	b.WriteString("\nworst columns (of paired rows; * decides whether rows are equal; the share counts missing rows as unequal, and accepted ones not at all)\n")
	tw = tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "table\tcolumn\tcompared\tequal\tdiffer\taccepted\twithout them %\t")
	for i := range r.Lines {
		l := &r.Lines[i]
		for n, c := range l.worstColumns() {
			k := l.Columns[c]
			if k.Differ == 0 || n == columnsShown {
				break
			}
			name := c
			if k.Main {
				name = "*" + name
			}
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%.2f\t\n", l.Name, name, k.Compared, k.Compared-k.Differ, k.Differ, k.Accepted, l.ColumnCleared(c))
		}
	}
	tw.Flush()
	b.WriteString("\ncolumns compared\n")
	for i := range r.Lines {
		l := &r.Lines[i]
		fmt.Fprintf(b, "  %s: %s\n", l.Name, strings.Join(slices.Sorted(maps.Keys(l.Columns)), " "))
	}
	r.printClasses(b)

	for _, t := range r.Tables {
		if len(r.Worst[t]) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%s: captures with most rows that want looking into (%d in all)\n", t, len(r.Worst[t]))
		for i, c := range r.Worst[t] {
			if i == worstShown {
				break
			}
			fmt.Fprintf(b, "  %-60s truth %d, differ %d, missing %d, extra %d, accepted %d\n", c.Capture, c.Truth, c.Differ, c.Missing, c.Extra,
				c.AcceptedDiffer+c.AcceptedMissing)
		}
	}
	list := func(title string, fs []Failure) {
		if len(fs) == 0 {
			return
		}
		fmt.Fprintf(b, "\n%s\n", title)
		for _, f := range fs {
			fmt.Fprintf(b, "  %s: %s (%.1f s)\n", f.Capture, f.What, f.Seconds)
		}
	}
	list("failures", r.Failures)
	list("slower than 5 s", r.Slow)
	fmt.Fprintf(b, "\ndamaged captures, read as far as they go: %d\n", len(r.Damaged))
	if differences {
		for _, d := range r.Damaged {
			fmt.Fprintf(b, "  %s: %s\n", d.Capture, d.What)
		}
		b.WriteString("\nrows that are not equal\n")
		for i := range r.Diffs {
			d := &r.Diffs[i]
			class := classOf(d.Accepted)
			if d.What == "extra" && d.Accepted != "" {
				class = " (cause: " + d.Accepted + ")"
			}
			fmt.Fprintf(b, "%s\t%s\t%s\t%s%s", d.Capture, d.Table, d.What, d.Row, class)
			for _, c := range d.Columns {
				fmt.Fprintf(b, "\t%s: truth %q ours %q%s", c.Name, c.Truth, c.Ours, classOf(c.Accepted))
			}
			b.WriteByte('\n')
		}
	}
	for _, f := range r.Failed(goals) {
		fmt.Fprintf(b, "FAIL %s\n", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintGroups writes how the tables compare in captures of the same link types and
// encapsulations; the flows of a capture name the latter.
func (r *Result) PrintGroups(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "links and encapsulations\ttable\ttruth\tequal\tdiffer\tmissing\textra\tequal %\twithout accepted %")
	for _, group := range slices.Sorted(maps.Keys(r.Groups)) {
		for i := range r.Groups[group] {
			l := &r.Groups[group][i]
			fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\n", group, l.Name, l.Truth, l.Equal, l.Differ, l.Missing, l.Extra, l.Percent(), l.Cleared())
		}
	}
	return tw.Flush()
}

func classOf(name string) string {
	if name == "" {
		return ""
	}
	return " (accepted: " + name + ")"
}

func (r *Result) printClasses(b *strings.Builder) {
	b.WriteString("\naccepted differences, rows of each class\n")
	for i := range r.Lines {
		l := &r.Lines[i]
		for _, class := range slices.Sorted(maps.Keys(l.Classes)) {
			fmt.Fprintf(b, "  %s: %s: %d rows, %.2f %%\n", l.Name, class, l.Classes[class], percent(l.Classes[class], l.Truth))
		}
		if l.Covered > 0 {
			fmt.Fprintf(b, "  %s: together: %d rows, %.2f %%\n", l.Name, l.Covered, percent(l.Covered, l.Truth))
		}
	}
	b.WriteString("\nextra rows by cause\n")
	for i := range r.Lines {
		l := &r.Lines[i]
		rest := l.Extra
		for _, cause := range slices.Sorted(maps.Keys(l.ExtraClasses)) {
			fmt.Fprintf(b, "  %s: %s: %d rows\n", l.Name, cause, l.ExtraClasses[cause])
			rest -= l.ExtraClasses[cause]
		}
		if rest > 0 {
			fmt.Fprintf(b, "  %s: of no known cause: %d rows\n", l.Name, rest)
		}
	}
}

// worstColumns returns the columns with differences, the most open ones first.
func (t *Tally) worstColumns() []string {
	names := slices.Sorted(maps.Keys(t.Columns))
	sort.SliceStable(names, func(i, j int) bool {
		a, b := t.Columns[names[i]], t.Columns[names[j]]
		if x, y := a.Differ-a.Accepted, b.Differ-b.Accepted; x != y {
			return x > y
		}
		return a.Differ > b.Differ
	})
	return names
}

func (r *Result) details(s Scope) string {
	var ds []string
	for d, n := range r.Outside {
		if rest, ok := strings.CutPrefix(d, string(s)+" "); ok {
			ds = append(ds, fmt.Sprintf("%s: %d", rest, n))
		}
	}
	sort.Strings(ds)
	return strings.Join(ds, ", ")
}
