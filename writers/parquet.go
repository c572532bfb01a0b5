package writers

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"

	"github.com/caplake/caplake/schema"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/deprecated"
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
// An encoder makes a whole row group in memory, as it would be at the beginning
// of a file. The sink appends its bytes to the table's file, moves the offsets
// by the difference, and keeps indexes and metadata for the end.

const (
	magic = "PAR1"
	// maxRowGroups is what their ordinals have room for.
	maxRowGroups = 1<<15 - 1
)

// parquetFormat makes the sinks and the encoders of a Parquet table.
func parquetFormat[T any](dir *Dir, name string, columns []schema.Column) (func() sink, func() encoder[T], error) {
	elements, err := schemaElements(nil, columns)
	if err != nil {
		return nil, nil, err
	}
	root := format.SchemaElement{Name: name, NumChildren: thrift.New(int32(len(columns)))}
	meta := format.FileMetaData{
		Version:   2,
		Schema:    append([]format.SchemaElement{root}, elements...),
		CreatedBy: "caplake version " + dir.opts.Version,
	}
	for _, kv := range dir.metadata(name) {
		meta.KeyValueMetadata = append(meta.KeyValueMetadata, format.KeyValue{Key: kv[0], Value: kv[1]})
	}
	for range leavesOf(columns) {
		meta.ColumnOrders = append(meta.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
	}
	buffers := &sync.Pool{New: func() any { return new([]byte) }}
	newSink := func() sink { return &parquetSink{meta: meta} }
	newEncoder := func() encoder[T] {
		e := &parquetEncoder[T]{leaves: leavesOf(columns), buffers: buffers}
		e.codec, e.pageRows = codecOf(dir.opts.Codec), dir.opts.pageRows
		if e.codec == format.Zstd {
			// Pages have checksums of their own.
			e.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(dir.opts.ZstdLevel)), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		}
		return e
	}
	return newSink, newEncoder, nil
}

func codecOf(c Codec) format.CompressionCodec {
	switch c {
	case Snappy:
		return format.Snappy
	case Uncompressed:
		return format.Uncompressed
	}
	return format.Zstd
}

// schemaElements appends the columns as the footer describes them, each before
// what is in it.
func schemaElements(elements []format.SchemaElement, columns []schema.Column) (_ []format.SchemaElement, err error) {
	for i := range columns {
		if elements, err = schemaElement(elements, &columns[i]); err != nil {
			return nil, err
		}
	}
	return elements, nil
}

func schemaElement(elements []format.SchemaElement, c *schema.Column) ([]format.SchemaElement, error) {
	e := format.SchemaElement{Name: c.Name, FieldID: int32(c.ID), RepetitionType: thrift.New(format.Required)}
	if c.Nullable {
		e.RepetitionType = thrift.New(format.Optional)
	}
	switch c.Kind {
	case schema.List: // optional group name (LIST) { repeated group list { element } }
		e.NumChildren = thrift.New[int32](1)
		e.ConvertedType = thrift.New(deprecated.List)
		e.LogicalType.Value = new(format.ListType)
		list := format.SchemaElement{Name: "list", RepetitionType: thrift.New(format.Repeated), NumChildren: thrift.New[int32](1)}
		return schemaElement(append(elements, e, list), c.Elem)
	case schema.Struct:
		e.NumChildren = thrift.New(int32(len(c.Fields)))
		return schemaElements(append(elements, e), c.Fields)
	case schema.Int32:
		e.ConvertedType = thrift.New(deprecated.Int32)
		e.LogicalType.Value = &format.IntType{BitWidth: 32, IsSigned: true}
	case schema.Int64:
		e.ConvertedType = thrift.New(deprecated.Int64)
		e.LogicalType.Value = &format.IntType{BitWidth: 64, IsSigned: true}
	case schema.Timestamp:
		e.LogicalType.Value = &format.TimestampType{Unit: format.TimeUnit{Value: new(format.NanoSeconds)}}
	case schema.String:
		e.ConvertedType = thrift.New(deprecated.UTF8)
		e.LogicalType.Value = new(format.StringType)
	case schema.Bool, schema.Float64, schema.Bytes:
	default:
		return nil, fmt.Errorf("column %s has no type", c.Name)
	}
	e.Type = thrift.New(physicalType(c.Kind))
	return append(elements, e), nil
}

type parquetEncoder[T any] struct {
	pager
	leaves  []*leaf
	rows    int
	at      []uint32
	buffers *sync.Pool
}

func (e *parquetEncoder[T]) write(rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	if len(e.at) < len(rows) {
		e.at = make([]uint32, len(rows))
	}
	p := unsafe.Pointer(unsafe.SliceData(rows))
	for _, l := range e.leaves {
		l.append(p, len(rows), unsafe.Sizeof(rows[0]), e.at)
	}
	e.rows += len(rows)
	return nil
}

func (e *parquetEncoder[T]) finish() (block, error) {
	buf := e.buffers.Get().(*[]byte)
	b := &parquetBlock{buf: buf, buffers: e.buffers}
	e.out = append((*buf)[:0], magic...)
	b.group = format.RowGroup{NumRows: int64(e.rows), FileOffset: int64(len(e.out)), Columns: make([]format.ColumnChunk, len(e.leaves))}
	for i, l := range e.leaves {
		c := &b.group.Columns[i]
		var places []format.PageLocation
		var index []byte
		c.MetaData, places, index = e.column(l, e.rows)
		b.places, b.indexes = append(b.places, places), append(b.indexes, index)
		b.group.TotalByteSize += c.MetaData.TotalUncompressedSize
		b.group.TotalCompressedSize += c.MetaData.TotalCompressedSize
		if !l.column.Bloom {
			l.reset()
		}
	}
	for i, l := range e.leaves {
		if l.column.Bloom {
			if err := e.filter(l, &b.group.Columns[i].MetaData); err != nil {
				return nil, err
			}
			l.reset()
		}
	}
	*buf, e.out, e.rows = e.out, nil, 0
	return b, nil
}

// parquetBlock is a row group, at the beginning of a file.
type parquetBlock struct {
	buf     *[]byte
	buffers *sync.Pool
	group   format.RowGroup
	places  [][]format.PageLocation // by column: of its data pages
	indexes [][]byte                // by column: its column index, encoded, or nil
}

func (b *parquetBlock) release() { b.buffers.Put(b.buf) }

type parquetSink struct {
	meta          format.FileMetaData // of the file so far
	columnIndexes []byte              // of all row groups, ready to be written
	offsetIndexes []byte
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
	if len(s.meta.RowGroups) == maxRowGroups {
		return fmt.Errorf("more than %d row groups", maxRowGroups)
	}
	block := b.(*parquetBlock)
	group := &block.group
	move := out.offset - int64(len(magic))
	for i := range group.Columns {
		c := &group.Columns[i]
		// Places of indexes are relative to the first index until the end, when it is known.
		if index := block.indexes[i]; index != nil {
			c.ColumnIndexOffset, c.ColumnIndexLength = int64(len(s.columnIndexes)), int32(len(index))
			s.columnIndexes = append(s.columnIndexes, index...)
		}
		c.OffsetIndexOffset = int64(len(s.offsetIndexes))
		s.offsetIndexes = appendOffsetIndex(s.offsetIndexes, block.places[i], move)
		c.OffsetIndexLength = int32(int64(len(s.offsetIndexes)) - c.OffsetIndexOffset)

		m := &c.MetaData
		moveOffset(&m.DataPageOffset, move)
		moveOffset(&m.DictionaryPageOffset, move)
		moveOffset(&m.BloomFilterOffset, move)
	}
	moveOffset(&group.FileOffset, move)
	group.Ordinal = int16(len(s.meta.RowGroups))
	s.meta.RowGroups = append(s.meta.RowGroups, *group)
	s.meta.NumRows += group.NumRows
	_, err := out.Write((*block.buf)[len(magic):])
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
			if columns[j].ColumnIndexLength > 0 {
				columns[j].ColumnIndexOffset += columnBase
			}
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
