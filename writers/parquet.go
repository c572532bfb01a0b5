package writers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unsafe"

	"github.com/caplake/caplake/schema"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A Parquet file is
//
//	"PAR1"
//	for each row group: for each column, its dictionary page and data pages;
//	                    then the Bloom filters of its columns
//	for each row group and column: the column index (bounds of each page)
//	for each row group and column: the offset index (place of each page)
//	footer: schema, metadata, and for each row group and column the places of all that
//	length of the footer (4 bytes), "PAR1"
//
// An encoder writes a whole file of one row group in memory. The sink copies
// the bytes of the row group to the end of the table's file, moves the
// offsets by the difference, and keeps indexes and metadata for the end.
// The result is, byte for byte, what one writer would have written in
// sequence; a test holds it to that. The library's own way to put row groups
// together decodes and encodes the group anew where a column has both a
// dictionary and a Bloom filter, so it is not used.

const magic = "PAR1"

// bloomBits is the number of bits of Bloom filter for each value: one false
// positive in a hundred.
const bloomBits = 10

// parquetFormat makes the sink and the encoders of a Parquet table.
func parquetFormat[T any](dir *Dir, name string, columns []schema.Column) (*parquetSink, func() encoder[T], error) {
	options, err := parquetOptions[T](dir, name, columns)
	if err != nil {
		return nil, nil, err
	}
	// The schema of the footer is taken from an empty file.
	var empty bytes.Buffer
	w := parquet.NewGenericWriter[T](&empty, options...)
	if err := w.Close(); err != nil {
		return nil, nil, err
	}
	sink := &parquetSink{buffers: &sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	if sink.meta, err = readFooter(empty.Bytes()); err != nil {
		return nil, nil, err
	}
	sink.paths = append(sink.paths, w.Schema().Columns()...)
	sink.meta.CreatedBy = "caplake version " + dir.opts.Version
	sink.meta.KeyValueMetadata = nil
	for _, kv := range dir.metadata(name) {
		sink.meta.KeyValueMetadata = append(sink.meta.KeyValueMetadata, format.KeyValue{Key: kv[0], Value: kv[1]})
	}
	optional := presenceOf(columns)
	return sink, func() encoder[T] {
		return &parquetEncoder[T]{w: parquet.NewGenericWriter[T](nil, options...), buffers: sink.buffers, optional: optional}
	}, nil
}

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
		parquet.Compression(codecOf(dir.opts.Codec)),
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

func codecOf(c Codec) compress.Codec {
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

type parquetEncoder[T any] struct {
	w       *parquet.GenericWriter[T]
	buf     *bytes.Buffer // nil between row groups
	buffers *sync.Pool

	optional presence
}

func (e *parquetEncoder[T]) write(rows []T) error {
	if e.buf == nil {
		e.buf = e.buffers.Get().(*bytes.Buffer)
		e.buf.Reset()
		e.w.Reset(e.buf)
	}
	for len(rows) > 0 {
		n := e.optional.writable(unsafe.Pointer(&rows[0]), unsafe.Sizeof(rows[0]), len(rows))
		if _, err := e.w.Write(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (e *parquetEncoder[T]) finish() (block, error) {
	if err := e.w.Close(); err != nil {
		return nil, err
	}
	b := &parquetBlock{buf: e.buf, buffers: e.buffers}
	e.buf = nil
	var err error
	b.meta, err = readFooter(b.buf.Bytes())
	if err == nil && len(b.meta.RowGroups) != 1 {
		err = fmt.Errorf("%d row groups instead of one", len(b.meta.RowGroups))
	}
	return b, err
}

// parquetBlock is a file of one row group.
type parquetBlock struct {
	buf     *bytes.Buffer
	buffers *sync.Pool
	meta    format.FileMetaData
}

func (b *parquetBlock) release() { b.buffers.Put(b.buf) }

func readFooter(file []byte) (meta format.FileMetaData, err error) {
	if len(file) < 12 {
		return meta, fmt.Errorf("a Parquet file of %d bytes", len(file))
	}
	end := len(file) - 8
	start := end - int(binary.LittleEndian.Uint32(file[end:]))
	return meta, thrift.Unmarshal(new(thrift.CompactProtocol), file[start:end], &meta)
}

type parquetSink struct {
	meta          format.FileMetaData // of the file so far
	columnIndexes []byte              // of all row groups, ready to be written
	offsetIndexes []byte
	paths         [][]string // of the leaf columns
	buffers       *sync.Pool
}

// begin writes the head of the file, where it has none.
func (s *parquetSink) begin(out *outFile) error {
	if out.offset > 0 {
		return nil
	}
	_, err := out.Write([]byte(magic))
	return err
}

func (s *parquetSink) append(out *outFile, b block) error {
	if err := s.begin(out); err != nil {
		return err
	}
	if len(s.meta.RowGroups) == parquet.MaxRowGroups {
		return fmt.Errorf("more than %d row groups", parquet.MaxRowGroups)
	}
	block := b.(*parquetBlock)
	file := block.buf.Bytes()
	group := &block.meta.RowGroups[0]
	move := out.offset - int64(len(magic))
	end := group.Columns[0].ColumnIndexOffset // where the indexes begin, the row group ends

	for i := range group.Columns {
		c := &group.Columns[i]
		// Places of indexes are relative to the first index until the end, when it is known.
		from, length := c.ColumnIndexOffset, int64(c.ColumnIndexLength)
		c.ColumnIndexOffset = int64(len(s.columnIndexes))
		s.columnIndexes = append(s.columnIndexes, file[from:from+length]...)

		var index format.OffsetIndex
		from, length = c.OffsetIndexOffset, int64(c.OffsetIndexLength)
		if err := thrift.Unmarshal(new(thrift.CompactProtocol), file[from:from+length], &index); err != nil {
			return err
		}
		for j := range index.PageLocations {
			index.PageLocations[j].Offset += move
		}
		text, err := thrift.Marshal(new(thrift.CompactProtocol), &index)
		if err != nil {
			return err
		}
		c.OffsetIndexOffset = int64(len(s.offsetIndexes))
		c.OffsetIndexLength = int32(len(text))
		s.offsetIndexes = append(s.offsetIndexes, text...)

		m := &c.MetaData
		m.PathInSchema = s.paths[i] // which a library's writer forgets when it is used again
		moveOffset(&m.DataPageOffset, move)
		moveOffset(&m.DictionaryPageOffset, move)
		moveOffset(&m.IndexPageOffset, move)
		moveOffset(&m.BloomFilterOffset, move)
	}
	moveOffset(&group.FileOffset, move)
	group.Ordinal = int16(len(s.meta.RowGroups))
	s.meta.RowGroups = append(s.meta.RowGroups, *group)
	s.meta.NumRows += group.NumRows
	_, err := out.Write(file[len(magic):end])
	return err
}

// moveOffset moves an offset; zero says that there is none.
func moveOffset(offset *int64, by int64) {
	if *offset != 0 {
		*offset += by
	}
}

func (s *parquetSink) close(out *outFile) error {
	if err := s.begin(out); err != nil {
		return err
	}
	columnBase := out.offset
	offsetBase := columnBase + int64(len(s.columnIndexes))
	for i := range s.meta.RowGroups {
		columns := s.meta.RowGroups[i].Columns
		for j := range columns {
			columns[j].ColumnIndexOffset += columnBase
			columns[j].OffsetIndexOffset += offsetBase
		}
	}
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), &s.meta)
	if err != nil {
		return err
	}
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(footer)))
	tail = append(tail, magic...)
	for _, b := range [][]byte{s.columnIndexes, s.offsetIndexes, footer, tail} {
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	return nil
}
