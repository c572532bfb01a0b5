package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/caplake/caplake/schema"
)

// Cover says which captures fill a column, or a field of a list's structs.
type Cover struct {
	Table    string   `json:"table"`
	Column   string   `json:"column"` // a field of a list by its path: answers.name
	Captures []string `json:"captures"`
	Example  string   `json:"example,omitempty"` // a value, from the first of them
}

// Name returns how the column is called in lists: table.column.
func (c *Cover) Name() string { return c.Table + "." + c.Column }

// Columns returns the columns of every table, those without captures: what a
// coverage begins with.
func Columns() []Cover {
	var all []Cover
	for _, t := range schema.Tables() {
		for _, c := range t.Columns {
			if c.Elem != nil && c.Elem.Kind == schema.Struct {
				for _, f := range c.Elem.Fields {
					all = append(all, Cover{Table: t.Name, Column: c.Name + "." + f.Name})
				}
				continue
			}
			all = append(all, Cover{Table: t.Name, Column: c.Name})
		}
	}
	return all
}

// Coverage converts the captures, as many at a time as there are converters,
// and says which of them fill each column of each table. Names are the
// captures' names in the answer, paths where they are.
func Coverage(ctx context.Context, names, paths []string, converters []Converter) ([]Cover, error) {
	tmp, err := os.MkdirTemp("", "coverage")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	found := make([]map[string]string, len(paths))
	work := make(chan int)
	var wg sync.WaitGroup
	for w, conv := range converters {
		wg.Go(func() {
			for i := range work {
				out := filepath.Join(tmp, fmt.Sprint(w))
				if conv.Convert(ctx, paths[i], out, Options{}).Crash == "" {
					found[i] = Filled(out)
				}
				os.RemoveAll(out)
			}
		})
	}
	for i := range paths {
		work <- i
	}
	close(work)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := Columns()
	for i := range all {
		c := &all[i]
		for k, f := range found {
			if v, ok := f[c.Name()]; ok {
				if len(c.Captures) == 0 {
					c.Example = v
				}
				c.Captures = append(c.Captures, names[k])
			}
		}
	}
	return all, nil
}

// Filled returns the columns of the dataset at dir that say something in at
// least one row, as table.column, each with a value. A NULL says nothing; nor
// does the zero of a column that cannot be NULL, as every row has it. A table
// that cannot be read fills nothing.
func Filled(dir string) map[string]string {
	filled := map[string]string{}
	for _, s := range schema.Tables() {
		t, err := ReadTable(dir, s.Name)
		if err != nil {
			continue
		}
		nullable := map[string]bool{}
		for _, c := range s.Columns {
			nullable[c.Name] = c.Nullable
		}
		for c, name := range t.Columns {
			for _, row := range t.rows {
				if v, ok := says(row[c], nullable[name]); ok {
					filled[s.Name+"."+name] = v
					break
				}
			}
		}
	}
	return filled
}

// says returns a value's text, the first of a list's that is one.
func says(v string, nullable bool) (string, bool) {
	for e := range strings.SplitSeq(v, "\x1f") {
		if e != Null && e != "" && (nullable || e != "0" && e != "false") {
			return e, true
		}
	}
	return "", false
}

// PrintCoverage writes a line for each column: how many of the captures fill
// it, one of them, and a value. Columns that none fills come again at the end.
func PrintCoverage(w io.Writer, all []Cover, captures int) error {
	b := &strings.Builder{}
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	var none []string
	for i := range all {
		c := &all[i]
		example := ""
		if len(c.Captures) == 0 {
			none = append(none, c.Name())
		} else {
			example = c.Captures[0] + "\t" + short(c.Example)
		}
		fmt.Fprintf(tw, "%s\t%d\t%s\n", c.Name(), len(c.Captures), example)
	}
	tw.Flush()
	fmt.Fprintf(b, "\n%d of %d columns are filled by at least one of %d captures\n", len(all)-len(none), len(all), captures)
	for _, n := range none {
		fmt.Fprintf(b, "  not filled: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// short returns a value fit for a line.
func short(v string) string {
	const most = 60
	v = strings.ToValidUTF8(v, "\ufffd")
	if r := []rune(v); len(r) > most {
		v = string(r[:most-1]) + "…"
	}
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(v)
}
