package conformance

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
)

// Minimum is the share of equal rows, in percent, that each table must reach.
type Minimum map[string]float64

// Failed returns the tables whose share of equal rows is below the minimum,
// and what else makes a run fail.
func (r *Result) Failed(min Minimum) []string {
	var failed []string
	for _, t := range tables {
		for i := range r.Lines {
			l := &r.Lines[i]
			if l.Table == t && !l.Apart {
				if l.Percent() < min[t] {
					failed = append(failed, fmt.Sprintf("%s: %.2f %% of the rows are equal, %.2f are asked for", t, l.Percent(), min[t]))
				}
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

const worstShown = 12

// Print writes the report for people. With differences, every row that is not
// equal follows.
func (r *Result) Print(w io.Writer, min Minimum, differences bool) error {
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
	fmt.Fprintln(tw, "table\ttruth\tequal\tdiffer\tmissing\textra\tequal %\tminimum %\t")
	for i := range r.Lines {
		l := &r.Lines[i]
		m := "-"
		if !l.Apart {
			m = fmt.Sprintf("%.2f", min[l.Table])
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%.2f\t%s\t\n", l.Name, l.Truth, l.Equal, l.Differ, l.Missing, l.Extra, l.Percent(), m)
	}
	tw.Flush()
	b.WriteString("\nrows that differ, by column (secondary columns decide nothing)\n")
	for i := range r.Lines {
		l := &r.Lines[i]
		if len(l.Columns)+len(l.More) == 0 {
			continue
		}
		fmt.Fprintf(b, "  %s: %s; secondary: %s\n", l.Name, counts(l.Columns), counts(l.More))
	}
	for _, t := range tables {
		if len(r.Worst[t]) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%s: captures with most rows that are not equal (%d in all)\n", t, len(r.Worst[t]))
		for i, c := range r.Worst[t] {
			if i == worstShown {
				break
			}
			fmt.Fprintf(b, "  %-60s truth %d, differ %d, missing %d, extra %d\n", c.Capture, c.Truth, c.Differ, c.Missing, c.Extra)
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
	if len(r.NoColumn) > 0 {
		fmt.Fprintf(b, "\ncolumns not compared, since the table lacks them: %s\n", strings.Join(r.NoColumn, ", "))
	}
	fmt.Fprintf(b, "\ndamaged captures, read as far as they go: %d\n", len(r.Damaged))
	if differences {
		for _, d := range r.Damaged {
			fmt.Fprintf(b, "  %s: %s\n", d.Capture, d.What)
		}
		b.WriteString("\nrows that are not equal\n")
		for i := range r.Diffs {
			d := &r.Diffs[i]
			fmt.Fprintf(b, "%s\t%s\t%s\t%s", d.Capture, d.Table, d.What, d.Row)
			for _, c := range d.Columns {
				fmt.Fprintf(b, "\t%s: truth %q ours %q", c.Name, c.Truth, c.Ours)
			}
			b.WriteByte('\n')
		}
	}
	for _, f := range r.Failed(min) {
		fmt.Fprintf(b, "FAIL %s\n", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
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

// counts lists the columns, the greatest count first.
func counts(m map[string]int) string {
	if len(m) == 0 {
		return "none"
	}
	var cs []string
	for c := range m {
		cs = append(cs, c)
	}
	sort.Slice(cs, func(i, j int) bool {
		if m[cs[i]] != m[cs[j]] {
			return m[cs[i]] > m[cs[j]]
		}
		return cs[i] < cs[j]
	})
	for i, c := range cs {
		cs[i] = fmt.Sprintf("%s %d", c, m[c])
	}
	return strings.Join(cs, ", ")
}
