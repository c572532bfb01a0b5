package writers

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/schema"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

func TestParquetRoundTrip(t *testing.T) {
	for _, codec := range []Codec{Zstd, Snappy, Uncompressed} {
		out := t.TempDir()
		d := mustDir(t, out, Options{Workers: 2, RowGroupRows: 300, Codec: codec})
		rows := kindsRows(1000)
		appendAll(t, mustTable[kinds, kinds](t, d, "kinds", nil), rows)
		if _, err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		got := readParquet[kinds](t, filepath.Join(out, "kinds", "part-00000.parquet"))
		if len(got) != len(rows) {
			t.Fatalf("%d rows instead of %d", len(got), len(rows))
		}
		for i := range rows {
			if g, w := rowText(&got[i]), rowText(&rows[i]); g != w {
				t.Fatalf("row %d:\n got %s\nwant %s", i, g, w)
			}
		}
	}
}

// readParquet reads all rows of a file.
func readParquet[T any](t testing.TB, path string) (rows []T) {
	tags, err := tagReplacements(reflect.TypeFor[T](), nil, map[string]bool{})
	if err != nil {
		t.Fatal(err)
	}
	var options []parquet.SchemaOption
	for _, tag := range tags {
		options = append(options, tag)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rowSchema := parquet.SchemaOf(new(T), options...)
	r := parquet.NewReader(f)
	defer r.Close()
	buf := make([]parquet.Row, 64)
	for {
		n, err := r.ReadRows(buf)
		for _, values := range buf[:n] {
			var row T
			if err := rowSchema.Reconstruct(&row, values); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if err == io.EOF {
			return rows
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// rowText prints a row with its pointers followed, and NULL told from zero. An
// empty list of a required list column is a nil one to some readers.
func rowText(row any) string {
	var b strings.Builder
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				b.WriteString("NULL")
				return
			}
			walk(v.Elem())
		case reflect.Struct:
			b.WriteString("{")
			for i := range v.NumField() {
				fmt.Fprintf(&b, "%s:", v.Type().Field(i).Name)
				walk(v.Field(i))
				b.WriteString(" ")
			}
			b.WriteString("}")
		case reflect.Slice:
			if v.IsNil() && v.Type() != reflect.TypeFor[[]int64]() {
				b.WriteString("NULL")
				return
			}
			b.WriteString("[")
			for i := range v.Len() {
				walk(v.Index(i))
				b.WriteString(" ")
			}
			b.WriteString("]")
		case reflect.String:
			fmt.Fprintf(&b, "%q", v.String())
		case reflect.Int32, reflect.Int64:
			fmt.Fprintf(&b, "%d", v.Int())
		case reflect.Float64:
			fmt.Fprintf(&b, "%b", v.Float())
		case reflect.Bool:
			fmt.Fprint(&b, v.Bool())
		case reflect.Uint8:
			fmt.Fprintf(&b, "%02x", v.Uint())
		default:
			panic(v.Kind())
		}
	}
	walk(reflect.ValueOf(row).Elem())
	return b.String()
}

// TestParquetFile looks at what readers go by: types, ids, encodings, filters,
// indexes, metadata.
func TestParquetFile(t *testing.T) {
	out := t.TempDir()
	d := mustDir(t, out, Options{RowGroupRows: 400, Version: "1.2.3", Config: map[string]string{"shards": "64", "a": "<b>"}})
	appendAll(t, mustTable[kinds, kinds](t, d, "kinds", nil), kindsRows(1000))
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(out, "kinds", "part-00000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata()
	if meta.CreatedBy != "caplake version 1.2.3" {
		t.Errorf("created by %q", meta.CreatedBy)
	}
	for key, want := range map[string]string{"caplake.version": "1.2.3", "caplake.schema_version": schema.Version, "caplake.table": "kinds", "caplake.config": `{"a":"\u003cb\u003e","shards":"64"}`} {
		if got, _ := f.Lookup(key); got != want {
			t.Errorf("metadata %s = %s, want %s", key, got, want)
		}
	}
	ids := map[string]int32{}
	var schemaText strings.Builder
	for _, e := range meta.Schema {
		ids[e.Name] = e.FieldID
		fmt.Fprintf(&schemaText, "%s %d %v %v\n", e.Name, e.FieldID, e.Type, e.LogicalType.Value)
		switch l := e.LogicalType.Value.(type) {
		case *format.TimestampType:
			if _, nanos := l.Unit.Value.(*format.NanoSeconds); l.IsAdjustedToUTC || !nanos {
				t.Errorf("%s: %v", e.Name, l)
			}
		case *format.IntType:
			if !l.IsSigned {
				t.Errorf("%s is unsigned", e.Name)
			}
		}
	}
	if ids["id"] != 1 || ids["inner"] != 14 || ids["pairs"] != 17 || ids["name"] != 17001 || ids["deep"] != 17004 {
		t.Errorf("field ids:\n%s", schemaText.String())
	}
	if elements := strings.Count(schemaText.String(), "element "); elements != 5 {
		t.Errorf("%d list elements", elements)
	}
	for _, want := range []string{"element 15000 ", "element 16000 ", "element 17000 ", "element 17004000 ", "element 18000 "} {
		if !strings.Contains(schemaText.String(), want) {
			t.Errorf("no %q in\n%s", want, schemaText.String())
		}
	}
	if len(f.RowGroups()) != 3 {
		t.Fatalf("%d row groups", len(f.RowGroups()))
	}
	encodings := map[string]format.Encoding{"id": format.Plain, "ts": format.DeltaBinaryPacked, "opt_ts": format.DeltaBinaryPacked, "text": format.RLEDictionary,
		"opt_int32": format.RLEDictionary, "opt_int64": format.DeltaBinaryPacked, "inner": format.DeltaLengthByteArray, "strings.list.element": format.RLEDictionary}
	next := int64(4)
	for i, group := range meta.RowGroups {
		if int(group.Ordinal) != i || group.FileOffset != next {
			t.Errorf("row group %d: ordinal %d, offset %d after %d", i, group.Ordinal, group.FileOffset, next)
		}
		for _, c := range group.Columns {
			m := c.MetaData
			path := strings.Join(m.PathInSchema, ".")
			if want, ok := encodings[path]; ok && !slices.Contains(m.Encoding, want) {
				t.Errorf("%s: encodings %v, want %v", path, m.Encoding, want)
			}
			if (path == "id") != (m.Codec == format.Uncompressed) {
				t.Errorf("%s: codec %v", path, m.Codec)
			}
			if c.ColumnIndexOffset == 0 || c.OffsetIndexOffset == 0 {
				t.Errorf("%s has no page index", path)
			}
			if bloom := path == "id" || path == "text" || path == "strings.list.element"; bloom != (m.BloomFilterOffset != 0) {
				t.Errorf("%s: Bloom filter %v", path, !bloom)
			}
			next = max(next, m.DataPageOffset, m.BloomFilterOffset+int64(m.BloomFilterLength))
		}
		next = group.FileOffset + rowGroupLength(group)
	}
	// A filter knows each value that is there, and nearly none that is not.
	chunk := f.RowGroups()[1].ColumnChunks()[3]
	false_ := 0
	for i := range 1000 {
		if ok, err := chunk.BloomFilter().Check(parquet.ValueOf(fmt.Sprint("other", i))); err != nil {
			t.Fatal(err)
		} else if ok {
			false_++
		}
	}
	if ok, _ := chunk.BloomFilter().Check(parquet.ValueOf(kindsRows(500)[450].Text)); !ok || false_ > 100 {
		t.Errorf("Bloom filter: present %v, %d false in 1000", ok, false_)
	}
}

// rowGroupLength returns the bytes that the pages and filters of a row group take.
func rowGroupLength(g format.RowGroup) (n int64) {
	for _, c := range g.Columns {
		n += c.MetaData.TotalCompressedSize + int64(c.MetaData.BloomFilterLength)
	}
	return n
}
