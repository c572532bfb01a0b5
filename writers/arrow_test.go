package writers

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/caplake/caplake/schema"
)

// TestArrowRoundTrip reads every kind of column back, with the library's
// reader, and compares value by value.
func TestArrowRoundTrip(t *testing.T) {
	out := t.TempDir()
	d := mustDir(t, out, Options{Format: Arrow, Workers: 2, RowGroupRows: 300})
	rows := kindsRows(1000)
	appendAll(t, mustTable[kinds, kinds](t, d, "kinds", nil), rows)
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(out, "kinds", "part-00000.arrow"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ipc.NewFileReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	columns, _ := schema.ColumnsOf(reflect.TypeFor[kinds]())
	if r.NumRecords() != 4 || r.Schema().NumFields() != len(columns) {
		t.Fatalf("%d records, %d fields", r.NumRecords(), r.Schema().NumFields())
	}
	for i, f := range r.Schema().Fields() {
		if f.Name != columns[i].Name || f.Nullable != columns[i].Nullable {
			t.Errorf("field %s, nullable %v", f.Name, f.Nullable)
		}
	}
	if ts := r.Schema().Field(1).Type.(*arrow.TimestampType); ts.TimeZone != "" || ts.Unit != arrow.Nanosecond {
		t.Errorf("timestamps are %v", ts)
	}
	if name, _ := r.Schema().Metadata().GetValue("caplake.table"); name != "kinds" {
		t.Errorf("metadata: table %q", name)
	}
	next := 0
	for i := range r.NumRecords() {
		rec, err := r.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		for j := range int(rec.NumRows()) {
			for k := range columns {
				c := &columns[k]
				want := goValue(c, unsafe.Add(unsafe.Pointer(&rows[next]), c.Offset))
				if got := arrowValue(rec.Column(k), j); !reflect.DeepEqual(got, want) {
					t.Fatalf("row %d, column %s: got %#v, want %#v", next, c.Name, got, want)
				}
			}
			next++
		}
	}
	if next != len(rows) {
		t.Errorf("%d rows", next)
	}
}

// goValue returns the value of a column at p: nil where it is NULL.
func goValue(c *schema.Column, p unsafe.Pointer) any {
	v := reflect.NewAt(c.Type, p).Elem()
	if c.Nullable && v.IsZero() {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch c.Kind {
	case schema.List:
		list := []any{}
		for i := range v.Len() {
			list = append(list, goValue(c.Elem, v.Index(i).Addr().UnsafePointer()))
		}
		return list
	case schema.Struct:
		list := []any{}
		for i := range c.Fields {
			list = append(list, goValue(&c.Fields[i], unsafe.Add(p, c.Fields[i].Offset)))
		}
		return list
	}
	return v.Interface()
}

func arrowValue(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return a.Value(i)
	case *array.Int64:
		return a.Value(i)
	case *array.Float64:
		return a.Value(i)
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.String:
		return a.Value(i)
	case *array.Binary:
		return a.Value(i)
	case *array.List:
		list := []any{}
		from, to := a.ValueOffsets(i)
		for j := from; j < to; j++ {
			list = append(list, arrowValue(a.ListValues(), int(j)))
		}
		return list
	case *array.Struct:
		list := []any{}
		for j := range a.NumField() {
			list = append(list, arrowValue(a.Field(j), i))
		}
		return list
	}
	panic(a.DataType())
}
