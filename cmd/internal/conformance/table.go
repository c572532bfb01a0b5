package conformance

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Table is one table of a dataset as text, whatever its columns are: it is
// read by column name, so that it outlives changes of the row types.
type Table struct {
	Columns []string // leaf columns by dotted path, in file order
	index   map[string]int
	rows    [][]string
}

// NewTable makes a Table from text. A NULL is the text Null.
func NewTable(columns []string, rows [][]string) *Table {
	t := &Table{Columns: columns, index: map[string]int{}, rows: rows}
	for i, c := range columns {
		t.index[c] = i
	}
	return t
}

// Null is how a NULL reads in a Table. It holds a byte that no text in a
// table holds, so that it cannot be taken for a value.
const Null = "\x00NULL"

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Has reports whether the table has the column.
func (t *Table) Has(column string) bool { _, ok := t.index[column]; return ok }

// Missing returns those of the columns that the table does not have.
func (t *Table) Missing(columns ...string) []string {
	var m []string
	for _, c := range columns {
		if !t.Has(c) {
			m = append(m, c)
		}
	}
	return m
}

// Get returns the text of a column of row i: decimal numbers, true and false,
// bytes as they are. It is empty for NULL and for a column that the table does
// not have. The values of a list are joined by U+001F.
func (t *Table) Get(i int, column string) string {
	c, ok := t.index[column]
	if !ok || t.rows[i][c] == Null {
		return ""
	}
	return t.rows[i][c]
}

// Int returns a numeric column of row i, 0 where there is none.
func (t *Table) Int(i int, column string) int64 {
	n, _ := strconv.ParseInt(t.Get(i, column), 10, 64)
	return n
}

// Lines returns every row as canonical text, one name=value per column, but
// for the columns named, sorted. Two datasets hold the same set of rows when
// their lines are the same.
func (t *Table) Lines(without ...string) []string {
	skip := map[string]bool{}
	for _, w := range without {
		skip[w] = true
	}
	lines := make([]string, len(t.rows))
	var b strings.Builder
	for i, row := range t.rows {
		b.Reset()
		for c, name := range t.Columns {
			if skip[name] {
				continue
			}
			v := strconv.Quote(row[c])
			if row[c] == Null {
				v = "NULL"
			}
			fmt.Fprintf(&b, "%s=%s ", name, v)
		}
		lines[i] = b.String()
	}
	sort.Strings(lines)
	return lines
}

// ReadTable reads the Parquet parts of table name in the dataset at dir. A
// dataset without a part of that name has no rows.
func ReadTable(dir, name string) (*Table, error) {
	parts, err := filepath.Glob(filepath.Join(dir, name, "*.parquet"))
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		if _, err := os.Stat(dir); err != nil {
			return nil, err
		}
		return NewTable(nil, nil), nil
	}
	return ReadFiles(parts, nil, nil) // Glob sorts
}

// ReadFiles reads Parquet files of one table, in order: those of the columns, or
// all where there are none, of the rows that keep wants, or all.
func ReadFiles(files, columns []string, keep func(t *Table, row int) bool) (*Table, error) {
	var t *Table
	for _, p := range files {
		u, err := readFile(p, columns, keep)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(filepath.Base(filepath.Dir(p)), filepath.Base(p)), err)
		}
		if t == nil {
			t = u
			continue
		}
		if strings.Join(t.Columns, " ") != strings.Join(u.Columns, " ") {
			return nil, fmt.Errorf("%s: columns differ from the first part's", filepath.Base(p))
		}
		t.rows = append(t.rows, u.rows...)
	}
	if t == nil {
		t = NewTable(nil, nil)
	}
	return t, nil
}

func readFile(path string, wanted []string, keep func(*Table, int) bool) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pf, err := parquet.OpenFile(f, st.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, err
	}
	var columns []string
	var leaves []leafColumn
	n := 0
	for _, p := range pf.Schema().Columns() {
		// The two inner names of a list (list.element) carry nothing.
		name := strings.ReplaceAll(strings.Join(p, "."), ".list.element", "")
		leaf, _ := pf.Schema().Lookup(p...)
		at := -1
		if wanted == nil || slices.Contains(wanted, name) {
			at = n
			n++
			columns = append(columns, name)
		}
		leaves = append(leaves, leafColumn{at, leaf.MaxRepetitionLevel > 0})
	}
	t := NewTable(columns, nil)
	buf := make([]parquet.Row, 256)
	for _, g := range pf.RowGroups() {
		rows := g.Rows()
		for {
			n, err := rows.ReadRows(buf)
			for _, r := range buf[:n] {
				t.rows = append(t.rows, textRow(len(columns), leaves, r))
				if keep != nil && !keep(t, len(t.rows)-1) {
					t.rows = t.rows[:len(t.rows)-1]
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				rows.Close()
				return nil, err
			}
			if n == 0 {
				break
			}
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// leafColumn is a column of a file: where in a row it stands, -1 where it is not
// wanted, and whether it is a list.
type leafColumn struct {
	at     int
	listed bool
}

func textRow(columns int, leaves []leafColumn, r parquet.Row) []string {
	row := make([]string, columns)
	for i := range row {
		row[i] = Null
	}
	r.Range(func(leaf int, vs []parquet.Value) bool {
		c := leaves[leaf].at
		if c < 0 {
			return true
		}
		if !leaves[leaf].listed {
			row[c] = text(vs[0])
			return true
		}
		if len(vs) == 1 && vs[0].IsNull() {
			// No list, or a list without elements: told apart by level.
			if vs[0].DefinitionLevel() > 0 {
				row[c] = ""
			}
			return true
		}
		var b strings.Builder
		for i, v := range vs {
			if i > 0 {
				b.WriteByte(0x1f)
			}
			b.WriteString(text(v))
		}
		row[c] = b.String()
		return true
	})
	return row
}

func text(v parquet.Value) string {
	if v.IsNull() {
		return Null
	}
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.FormatBool(v.Boolean())
	case parquet.Int32:
		return strconv.FormatInt(int64(v.Int32()), 10)
	case parquet.Int64:
		return strconv.FormatInt(v.Int64(), 10)
	case parquet.Float:
		return strconv.FormatFloat(float64(v.Float()), 'g', -1, 32)
	case parquet.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	default:
		return string(v.ByteArray())
	}
}
