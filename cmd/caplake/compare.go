package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/caplake/caplake/cmd/internal/compare"
)

// compareOptions are the flags of compare.
type compareOptions struct {
	json       bool
	held       count
	configFile string
}

func (o *compareOptions) groups() (groups []group) {
	fs := newGroup(&groups, "Flags")
	fs.BoolVar(&o.json, "json", false, "print JSON; times are nanoseconds since 1970")
	o.held = 1 << 20
	fs.Var(&o.held, "max-held-flows", "flows in memory at a time; with more, the files are read several times")
	fs.StringVar(&o.configFile, "config", "", "take flags that are not given from `FILE`")
	note(fs, "config", notePath, "file")
	return groups
}

func (c *command) compare(ctx context.Context, args []string) int {
	var o compareOptions
	fs := flagsOf("compare", o.groups())
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("compare")
	}
	if err == nil {
		err = settings(fs, c.env)
	}
	if err == nil && fs.NArg() < 2 {
		err = errors.New("a dataset and at least one log must be given")
	}
	if err != nil {
		return c.usage("compare", err)
	}
	r, err := compare.Run(ctx, compare.Config{Dataset: fs.Arg(0), Logs: fs.Args()[1:], Held: int(o.held)})
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		c.errorf("interrupted")
		return exitInterrupted
	case err != nil:
		return c.failed(err)
	}
	if o.json {
		err = c.printJSON(r)
	} else {
		err = writeComparison(c.stdout, r)
	}
	if err != nil {
		return c.failed(err)
	}
	if r.OpenDifferences() > 0 {
		return exitDiffers
	}
	return exitOK
}

// writeComparison writes what was found, for people.
func writeComparison(w io.Writer, r *compare.Report) error {
	var b bytes.Buffer
	t := [][]string{{"dataset", humanCount(r.Flows), "flows"}, {"log", humanCount(r.Logged), "flows, by " + kindsOf(r.Logs)}}
	if r.Logged > 0 || len(r.Events) == 0 {
		t = append(t, []string{"pairs", humanCount(r.Pairs), "one flow in both"},
			[]string{"  equal", humanCount(r.Equal), ""},
			[]string{"  explained", humanCount(r.Explained), "different by definition alone"},
			[]string{"  open", humanCount(r.Open), "different"})
	} else {
		t = append(t, []string{"", "", "flows are not compared: the log has none"})
	}
	for i := range r.Events {
		e := &r.Events[i]
		t = append(t, []string{e.Log, humanCount(e.Logged), "events, of the table " + e.Table},
			[]string{"  pairs", humanCount(e.Pairs), "one event and one row"},
			[]string{"  equal", humanCount(e.Equal), ""},
			[]string{"  explained", humanCount(e.Explained), "different by definition alone"},
			[]string{"  open", humanCount(e.Open), "different" + fieldsOf(e.Fields)})
	}
	for i, l := range r.Left {
		first := ""
		if i == 0 {
			first = "not compared"
		}
		t = append(t, []string{first, humanCount(l.Lines), l.Event})
	}
	writeTable(&b, t, "lrl")
	for _, explained := range []bool{false, true} {
		title := "Open: differences that no rule explains"
		if explained {
			title = "Explained: both are right by their own rules"
		}
		for i := range r.Classes {
			f := &r.Classes[i]
			if f.Explained != explained {
				continue
			}
			if title != "" {
				b.WriteString("\n" + title + "\n")
				title = ""
			}
			fmt.Fprintf(&b, "\n%s  %s\n", f.Name, humanCount(f.Count))
			b.WriteString(indented(f.Meaning, 4))
			e := &f.Example
			if e.Row != "" {
				b.WriteString("    e.g. " + humanTime(e.TS) + "  " + e.Row + "\n      " + e.What + "\n")
				continue
			}
			line := fmt.Sprintf("e.g. %s  %s > %s  protocol %d", humanTime(e.TS), e.Src, e.Dst, e.Proto)
			for _, id := range e.FlowIDs {
				line += fmt.Sprintf("  flow_id %d", id)
			}
			for _, id := range e.LogIDs {
				line += "  there " + id
			}
			b.WriteString("    " + line + "\n      " + e.What + "\n")
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// fieldsOf lists the fields that differ, the most frequent first.
func fieldsOf(fields map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(fields), func(a, b string) int { return cmp.Or(cmp.Compare(fields[b], fields[a]), cmp.Compare(a, b)) })
	for i, n := range names {
		names[i] = fmt.Sprintf("%s in %s", n, humanCount(fields[n]))
	}
	if names == nil {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

func kindsOf(logs []compare.Log) string {
	var kinds []string
	for _, l := range logs {
		if k := string(l.Kind); !strings.Contains(strings.Join(kinds, " and "), k) {
			kinds = append(kinds, k)
		}
	}
	return strings.Join(kinds, " and ")
}

// indented breaks text into lines that begin with blanks.
func indented(text string, blanks int) string {
	const width = 79
	var b strings.Builder
	line := strings.Repeat(" ", blanks-1)
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", blanks-1)
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// classesHelp lists the classes for the help.
func classesHelp() string {
	var b strings.Builder
	for _, explained := range []bool{false, true} {
		title := "Differences that stay open, and make the exit code 3:\n"
		if explained {
			title = "\nDifferences that the rules of both explain:\n"
		}
		b.WriteString(title)
		for _, class := range compare.Classes() {
			if class.Explained == explained {
				b.WriteString("  " + class.Name + "\n" + indented(class.Meaning, 6))
			}
		}
	}
	return b.String()
}
