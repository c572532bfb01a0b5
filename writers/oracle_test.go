package writers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caplake/caplake/schema"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// The oracle: the same rows written by the library's own writer of structs,
// slow and independent of how this package makes columns.

// parquetOptions returns the options that all writers of a table share.
func parquetOptions[T any](dir *Dir, name string, columns []schema.Column) (options []parquet.WriterOption, err error) {
	defer func() {
		if r := recover(); r != nil { // the library's answer to tags that it does not know
			err = fmt.Errorf("%v", r)
		}
	}()
	tags, err := tagReplacements(reflect.TypeFor[T](), nil, map[string]bool{})
	if err != nil {
		return nil, err
	}
	var schemaOptions []parquet.SchemaOption
	for _, t := range tags {
		schemaOptions = append(schemaOptions, t)
		options = append(options, t)
	}
	base := parquet.SchemaOf(new(T), schemaOptions...)
	fields, err := columnNodes(base.Fields(), columns)
	if err != nil {
		return nil, err
	}
	options = append(options,
		parquet.NewSchema(name, &groupNode{Node: base, fields: fields}),
		parquet.Compression(libraryCodec(dir.opts.Codec)),
		parquet.CreatedBy("caplake", dir.opts.Version, ""),
		parquet.DataPageStatistics(true),
		parquet.MaxRowsPerRowGroup(int64(dir.opts.RowGroupRows)),
		parquet.WriteBufferSize(0),
	)
	var filters []parquet.BloomFilterColumn
	for i := range columns {
		c := &columns[i]
		switch {
		case c.Bloom:
			filters = append(filters, parquet.SplitBlockFilter(bloomBits, c.Name))
		case c.Elem != nil && c.Elem.Bloom && c.Elem.Kind != schema.Struct:
			filters = append(filters, parquet.SplitBlockFilter(bloomBits, c.Name, "list", "element"))
		}
	}
	return append(options, parquet.BloomFilters(filters...)), nil
}

// tagReplacements returns the tags of struct t in words that the library
// takes: it rejects delta on optional numbers and on lists, where
// columnNode says it instead.
//
// The library tells fields by the names of the columns above them and their
// own Go name, which path and seen are for.
func tagReplacements(t reflect.Type, path []string, seen map[string]bool) (tags []*parquet.StructTagOption, err error) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			inner, err := tagReplacements(f.Type, path, seen)
			if err != nil {
				return nil, err
			}
			tags = append(tags, inner...)
			continue
		}
		tag := f.Tag.Get("parquet")
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			name, _, _ := strings.Cut(tag, ",")
			inner, err := tagReplacements(f.Type.Elem(), append(path[:len(path):len(path)], name, "list", "element"), map[string]bool{})
			if err != nil {
				return nil, err
			}
			tags = append(tags, inner...)
		}
		kept := strings.ReplaceAll(tag, ",delta", "")
		if kept == tag || f.Type.Kind() != reflect.Pointer && (f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() == reflect.Uint8) {
			continue
		}
		if seen[f.Name] {
			return nil, fmt.Errorf("field %s of %s: two embedded fields of this name have the option delta", f.Name, t)
		}
		seen[f.Name] = true
		tags = append(tags, &parquet.StructTagOption{
			StructTag:  reflect.StructTag(`parquet:"` + kept + `"`),
			ColumnPath: append(path[:len(path):len(path)], f.Name),
		})
	}
	return tags, nil
}

func libraryCodec(c Codec) compress.Codec {
	switch c {
	case Snappy:
		return &parquet.Snappy
	case Uncompressed:
		return &parquet.Uncompressed
	default:
		return &zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}
	}
}

// columnNodes returns the fields with what the library's tags cannot say of
// every column: field ids, and encodings of optional numbers.
func columnNodes(fields []parquet.Field, columns []schema.Column) ([]parquet.Field, error) {
	if len(fields) != len(columns) {
		return nil, fmt.Errorf("%d columns, but %d fields", len(columns), len(fields))
	}
	nodes := make([]parquet.Field, len(fields))
	for i, f := range fields {
		if f.Name() != columns[i].Name {
			return nil, fmt.Errorf("column %s is field %s", columns[i].Name, f.Name())
		}
		var err error
		if nodes[i], err = columnNode(f, &columns[i]); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func columnNode(f parquet.Field, c *schema.Column) (parquet.Field, error) {
	n := &fieldNode{Field: f, id: c.ID}
	if f.Optional() != c.Nullable {
		return nil, fmt.Errorf("column %s: optional is %v", c.Name, f.Optional())
	}
	var err error
	switch c.Kind {
	case schema.List: // optional group name (LIST) { repeated group list { element } }
		list := f.Fields()[0]
		elem, err := columnNode(list.Fields()[0], c.Elem)
		if err != nil {
			return nil, err
		}
		n.fields = []parquet.Field{&fieldNode{Field: list, fields: []parquet.Field{elem}}}
		return n, nil
	case schema.Struct:
		n.fields, err = columnNodes(f.Fields(), c.Fields)
		return n, err
	}
	switch {
	case c.Encoding == schema.Dict && c.Kind != schema.Bool:
		n.encoding = &parquet.RLEDictionary
	case c.Encoding == schema.Delta && (c.Kind == schema.Int32 || c.Kind == schema.Int64 || c.Kind == schema.Timestamp):
		n.encoding = &parquet.DeltaBinaryPacked
	case c.Encoding == schema.Delta && (c.Kind == schema.String || c.Kind == schema.Bytes):
		n.encoding = &parquet.DeltaLengthByteArray
	default:
		n.encoding = &parquet.Plain
	}
	if c.Random {
		n.compression = &parquet.Uncompressed
	}
	return n, nil
}

// groupNode is the root, with other fields.
type groupNode struct {
	parquet.Node
	fields []parquet.Field
}

func (n *groupNode) Fields() []parquet.Field { return n.fields }

// fieldNode is a field with an id, an encoding and a compression.
type fieldNode struct {
	parquet.Field
	id          int
	encoding    encoding.Encoding
	compression compress.Codec
	fields      []parquet.Field
}

func (n *fieldNode) ID() int                     { return n.id }
func (n *fieldNode) Encoding() encoding.Encoding { return n.encoding }
func (n *fieldNode) Compression() compress.Codec { return n.compression }
func (n *fieldNode) Fields() []parquet.Field {
	if n.fields != nil {
		return n.fields
	}
	return n.Field.Fields()
}
func (n *fieldNode) GoType() reflect.Type { return n.Field.GoType() }

func readFooter(file []byte) (meta format.FileMetaData, err error) {
	if len(file) < 12 {
		return meta, fmt.Errorf("a Parquet file of %d bytes", len(file))
	}
	end := len(file) - 8
	start := end - int(binary.LittleEndian.Uint32(file[end:]))
	return meta, thrift.Unmarshal(new(thrift.CompactProtocol), file[start:end], &meta)
}

// libraryFile returns rows written by the library. It is given one row at a
// time: in a longer Write it takes some empty texts for values (v0.32.0,
// writeRowsFuncOfOptional, where the last run of 64 rows begins where it is long).
func libraryFile[T any](t testing.TB, rows []T, o Options) []byte {
	t.Helper()
	columns, err := schema.ColumnsOf(reflect.TypeFor[T]())
	if err != nil {
		t.Fatal(err)
	}
	options, err := parquetOptions[T](&Dir{opts: o.withDefaults()}, "rows", columns)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out, options...)
	for i := range rows {
		if _, err := w.Write(rows[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// ourFile returns rows written by this package.
func ourFile[T any](t testing.TB, rows []T, o Options) []byte {
	t.Helper()
	out := t.TempDir()
	d := mustDir(t, out, o)
	appendAll(t, mustTable[T, T](t, d, "rows", nil), rows)
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, "rows", "part-00000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// valuesOf returns each row of a file as text: the values of its columns with
// their levels.
func valuesOf(t testing.TB, file []byte) (rows []string) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.RowGroups() {
		r := g.Rows()
		buf := make([]parquet.Row, 64)
		for {
			n, err := r.ReadRows(buf)
			for _, row := range buf[:n] {
				var b strings.Builder
				for _, v := range row {
					fmt.Fprintf(&b, "%d/%d/%d ", v.Column(), v.RepetitionLevel(), v.DefinitionLevel())
					if v.IsNull() {
						b.WriteString("NULL ")
					} else if v.Kind() == parquet.Double {
						fmt.Fprintf(&b, "%x ", math.Float64bits(v.Double()))
					} else {
						fmt.Fprintf(&b, "%q ", v.String())
					}
				}
				rows = append(rows, b.String())
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
	}
	return rows
}

var emptyPairValue = regexp.MustCompile(`\b(17/\d)/3 "" `)

func sameFile[T any](t *testing.T, rows []T, o Options) []byte {
	t.Helper()
	ours, theirs := ourFile(t, rows, o), libraryFile(t, rows, o)
	got, want := valuesOf(t, ours), valuesOf(t, theirs)
	for i := range want { // the same fault within lists: pairs.value is NULL where it is empty
		want[i] = emptyPairValue.ReplaceAllString(want[i], "$1/2 NULL ")
	}
	if len(got) != len(want) {
		t.Fatalf("%d rows instead of %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("row %d of %d:\n got %s\nwant %s", i, len(rows), got[i], want[i])
		}
	}
	meta, err := readFooter(ours)
	if err != nil {
		t.Fatal(err)
	}
	library, err := readFooter(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range library.Schema {
		library.Schema[i].TypeLength = thrift.Null[int32]{} // the library sets it for numbers, where it means nothing
	}
	if !reflect.DeepEqual(meta.Schema, library.Schema) || !reflect.DeepEqual(meta.ColumnOrders, library.ColumnOrders) {
		t.Fatalf("schema:\n%+v\nwant\n%+v", meta.Schema, library.Schema)
	}
	return ours
}

// TestSameAsLibrary: rows of all sorts come out of our files as they come out
// of the library's, which turns them into columns in its own way.
func TestSameAsLibrary(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 63, 64, 65, 700, 5000} {
		for _, codec := range []Codec{Zstd, Snappy, Uncompressed} {
			sameFile(t, kindsRows(n), Options{Workers: 2, RowGroupRows: 3000, Codec: codec, pageRows: 200})
		}
	}
}

// TestSameAsLibraryRandom draws rows in which every column has its own mood:
// NULL throughout, never, in runs; the same value throughout, few, many;
// short, long.
func TestSameAsLibraryRandom(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 11))
		rows := make([]kinds, 1+r.IntN(3000))
		fillRandom(r, reflect.ValueOf(rows))
		o := Options{Workers: 2, RowGroupRows: 1 + r.IntN(4000), Codec: []Codec{Zstd, Uncompressed}[r.IntN(2)], pageRows: []int{0, 1, 7, 64}[r.IntN(4)]}
		sameFile(t, rows, o)
	}
}

// fillRandom sets the fields of rows, each in its own mood.
func fillRandom(r *rand.Rand, rows reflect.Value) {
	for f := range rows.Type().Elem().NumField() {
		field := rows.Type().Elem().Field(f)
		if field.Anonymous {
			for i := range rows.Len() {
				v := rows.Index(i)
				reflect.NewAt(field.Type, v.Field(f).Addr().UnsafePointer()).Elem().Field(0).SetString(fmt.Sprint(r.IntN(10)))
			}
			continue
		}
		nulls := []int{0, 1, 50, 100, 99}[r.IntN(5)] // percent
		sticky := []int{0, 0, 90}[r.IntN(3)]         // percent
		distinct := []uint64{1, 2, 40, 1 << 20, 1 << 62}[r.IntN(5)]
		long := r.IntN(10) == 0
		null := false
		for i := range rows.Len() {
			if r.IntN(100) >= sticky {
				null = r.IntN(100) < nulls
			}
			setRandom(r, rows.Index(i).Field(f), null, distinct, long, !strings.Contains(field.Tag.Get("parquet"), "optional"))
		}
	}
}

func setRandom(r *rand.Rand, v reflect.Value, null bool, distinct uint64, long, required bool) {
	n := r.Uint64N(distinct)
	switch v.Kind() {
	case reflect.Pointer:
		if !null {
			p := reflect.New(v.Type().Elem())
			setRandom(r, p.Elem(), false, distinct, long, required)
			v.Set(p)
		}
	case reflect.Bool:
		v.SetBool(n%2 == 0)
	case reflect.Int32:
		v.SetInt(int64(int32(n * 2654435761)))
	case reflect.Int64:
		v.SetInt(int64(n*0x9e3779b97f4a7c15) >> (n % 64))
	case reflect.Float64:
		v.SetFloat([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), float64(n), -float64(n), 0.1 * float64(n)}[n%7])
	case reflect.String:
		s := fmt.Sprint(n)
		if long {
			s = strings.Repeat("é"+s, 100)
		}
		if !null {
			v.SetString(s)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if !null {
				v.SetBytes([]byte(fmt.Sprint(n))[:n%2])
			}
			return
		}
		if null && !required {
			return
		}
		list := reflect.MakeSlice(v.Type(), r.IntN(4)*r.IntN(3), 10)
		if v.Type().Elem().Kind() == reflect.Struct {
			fillRandom(r, list)
		} else {
			for i := range list.Len() {
				setRandom(r, list.Index(i), false, distinct, long, true)
			}
		}
		v.Set(list)
	default:
		panic(v.Kind())
	}
}
