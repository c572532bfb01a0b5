package mutate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema/tabulate"
)

// Tables are the rows of a conversion as text, by table. Table ledger has a row for each file.
type Tables map[string]*Table

const ledger = "captures"

// Table is rows of as many texts as it has columns.
type Table struct {
	Columns []string
	Rows    [][]string
}

// null is how a NULL reads: no text in a table holds such a byte.
const null = "\x00NULL"

// Row is a row of a table, to be changed.
type Row struct {
	table  *Table
	values []string
}

// Get returns a column; null if it is.
func (r Row) Get(column string) string { return r.values[r.table.column(column)] }

// Int returns a number, 0 for null.
func (r Row) Int(column string) int64 {
	n, _ := strconv.ParseInt(r.Get(column), 10, 64)
	return n
}

// Set changes a column.
func (r Row) Set(column string, v any) { r.values[r.table.column(column)] = fmt.Sprint(v) }

func (t *Table) column(name string) int {
	i := slices.Index(t.Columns, name)
	if i < 0 {
		panic("no column " + name)
	}
	return i
}

// Each calls f for each row of the tables named, those that there are, and keeps those for which it returns true.
func (t Tables) Each(names []string, f func(table string, r Row) bool) {
	for _, name := range names {
		if table := t[name]; table != nil {
			table.Rows = slices.DeleteFunc(table.Rows, func(v []string) bool { return !f(name, Row{table, v}) })
		}
	}
}

// Forget makes the columns that match a pattern the same everywhere: name, *suffix or prefix*.
func (t Tables) Forget(patterns ...string) {
	for _, table := range t {
		for i, c := range table.Columns {
			if slices.ContainsFunc(patterns, func(p string) bool {
				if s, ok := strings.CutPrefix(p, "*"); ok {
					return strings.HasSuffix(c, s)
				}
				if s, ok := strings.CutSuffix(p, "*"); ok {
					return strings.HasPrefix(c, s)
				}
				return c == p
			}) {
				for _, r := range table.Rows {
					r[i] = "-"
				}
			}
		}
	}
}

// convert returns the tables of captures that are given as the bytes of their files.
func convert(cfg tabulate.Config, files ...[]byte) (Tables, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for i, f := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.pcap", i)), f, 0o600); err != nil {
			return nil, err
		}
	}
	plan, err := ingest.NewPlan(context.Background(), ingest.Config{}, []string{dir}, nil)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	t := Tables{ledger: {}}
	source := func(yield func(flows.Captured, error) bool) {
		err := plan.Run(context.Background(), ingest.Config{Checksums: true, NoHash: true}, 1, func(_ int, b *ingest.Batch) error {
			for i := range b.Packets {
				p := &b.Packets[i]
				yield(flows.Captured{Packet: p, Data: b.Bytes(p), Encaps: b.Encaps}, nil)
			}
			return nil
		}, func(_ uint32, c *ingest.Capture) {
			t[ledger].add(outcomes{c.Packets, c.InFlow, c.NotIP, c.UnsupportedLink, c.MalformedLink, c.MalformedNetwork, c.MalformedTransport,
				c.CutBySnaplen, c.FragmentReassembled, c.FragmentIncomplete, c.OutOfOrder, c.BadChecksums, c.Offloaded, c.FragmentOverlaps, c.Err, c.ErrPacket, c.ErrOffset})
		})
		if err != nil {
			yield(flows.Captured{}, err)
		}
	}
	all, err := tabulate.All(source, cfg)
	if err != nil {
		return nil, err
	}
	for table, rows := range all.Tables() { // all but the ledger
		out := &Table{}
		v := reflect.ValueOf(rows)
		for i := range v.Len() {
			out.add(v.Index(i).Interface())
		}
		if len(out.Rows) > 0 {
			t[table.Name] = out
		}
	}
	return t, nil
}

// outcomes are the columns of the ledger that are of packets, and where reading ended.
type outcomes struct {
	Packets            uint64 `parquet:"packets"`
	Flow               uint64 `parquet:"flow_packets"`
	NotIP              uint64 `parquet:"not_ip_packets"`
	UnsupportedLink    uint64 `parquet:"unsupported_link_packets"`
	MalformedLink      uint64 `parquet:"malformed_link_packets"`
	MalformedNetwork   uint64 `parquet:"malformed_network_packets"`
	MalformedTransport uint64 `parquet:"malformed_transport_packets"`
	Cut                uint64 `parquet:"cut_packets"`
	Reassembled        uint64 `parquet:"fragments_reassembled"`
	Incomplete         uint64 `parquet:"fragments_incomplete"`
	OutOfOrder         uint64 `parquet:"out_of_order_packets"`
	BadChecksums       uint64 `parquet:"bad_checksums"`
	Offloaded          uint64 `parquet:"offload_checksums"`
	Overlaps           uint64 `parquet:"fragment_overlaps"`
	Error              string `parquet:"error"`
	ErrorPacket        uint64 `parquet:"error_packet"`
	ErrorOffset        int64  `parquet:"error_offset"`
}

// add adds a row, given as a struct.
func (t *Table) add(row any) {
	var values []string
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Anonymous {
				walk(v.Field(i))
				continue
			}
			name, optional := f.Name, false
			if tag := f.Tag.Get("parquet"); tag == "-" {
				continue
			} else if tag != "" {
				name, _, _ = strings.Cut(tag, ",")
				optional = strings.Contains(tag, ",optional")
			}
			if len(t.Rows) == 0 {
				t.Columns = append(t.Columns, name)
			}
			values = append(values, valueText(v.Field(i), optional))
		}
	}
	walk(reflect.ValueOf(row))
	t.Rows = append(t.Rows, values)
}

func valueText(v reflect.Value, optional bool) string {
	if optional && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil() || optional && v.Kind() == reflect.String && v.Len() == 0 {
		return null
	}
	switch v.Kind() {
	case reflect.Pointer:
		return valueText(v.Elem(), false)
	case reflect.String:
		return v.String()
	case reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Slice:
		b, err := json.Marshal(v.Interface())
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	return fmt.Sprint(v.Interface())
}

// Difference is a row that only one of two conversions has, or one that both
// have with other values.
type Difference struct {
	Table   string
	Want    []string // nil: none
	Got     []string // nil: none
	Columns []string // those that differ, as name: want → got
}

// compare returns what differs, but for the order of the rows.
func compare(want, got Tables) (diffs []Difference, rows int) {
	names := slices.Sorted(maps.Keys(want))
	for name := range got {
		if want[name] == nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		w, g := want[name], got[name]
		if w == nil {
			w = &Table{Columns: g.Columns}
		}
		if g == nil {
			g = &Table{Columns: w.Columns}
		}
		rows += len(w.Rows)
		a, b := minus(w.Rows, g.Rows), minus(g.Rows, w.Rows)
		for _, x := range a {
			d := Difference{Table: name, Want: x}
			// The row that is most like it is what became of it.
			best, at := len(x)/2, -1
			for i, y := range b {
				n := 0
				for k := range x {
					if x[k] != y[k] {
						n++
					}
				}
				if n < best {
					best, at = n, i
				}
			}
			if at >= 0 {
				d.Got = b[at]
				b = slices.Delete(b, at, at+1)
				for k, c := range w.Columns {
					if x[k] != d.Got[k] {
						d.Columns = append(d.Columns, fmt.Sprintf("%s: %q → %q", c, x[k], d.Got[k]))
					}
				}
			}
			diffs = append(diffs, d)
		}
		for _, y := range b {
			diffs = append(diffs, Difference{Table: name, Got: y})
		}
	}
	return diffs, rows
}

// minus returns the rows of a that b does not have.
func minus(a, b [][]string) [][]string {
	has := map[string]int{}
	key := func(r []string) string { return strings.Join(r, "\x1f") }
	for _, r := range b {
		has[key(r)]++
	}
	var out [][]string
	for _, r := range a {
		if k := key(r); has[k] > 0 {
			has[k]--
		} else {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(x, y []string) int { return cmp.Compare(key(x), key(y)) })
	return out
}
