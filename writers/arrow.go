package writers

import (
	"fmt"
	"reflect"
	"strconv"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/caplake/caplake/schema"
)

// An Arrow file, or stream, has one record batch for each row group. Workers build the
// batches from the rows, column by column; the sink writes them in order.

// arrowFormat makes the sinks and the encoders of an Arrow table.
func arrowFormat[T any](dir *Dir, name string, columns []schema.Column) (func() sink, func() encoder[T], error) {
	fields, err := arrowFields(columns)
	if err != nil {
		return nil, nil, err
	}
	var keys, values []string
	for _, kv := range dir.metadata(name) {
		keys, values = append(keys, kv[0]), append(values, kv[1])
	}
	meta := arrow.NewMetadata(keys, values)
	s := arrow.NewSchema(fields, &meta)
	return func() sink { return &arrowSink{schema: s, stream: dir.pipe != nil} }, func() encoder[T] { return newArrowEncoder[T](s, columns) }, nil
}

func arrowFields(columns []schema.Column) ([]arrow.Field, error) {
	fields := make([]arrow.Field, len(columns))
	for i := range columns {
		var err error
		if fields[i], err = arrowField(&columns[i]); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func arrowField(c *schema.Column) (arrow.Field, error) {
	f := arrow.Field{
		Name:     c.Name,
		Nullable: c.Nullable,
		Metadata: arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(c.ID)}),
	}
	switch c.Kind {
	case schema.Bool:
		f.Type = arrow.FixedWidthTypes.Boolean
	case schema.Int32:
		f.Type = arrow.PrimitiveTypes.Int32
	case schema.Int64:
		f.Type = arrow.PrimitiveTypes.Int64
	case schema.Float64:
		f.Type = arrow.PrimitiveTypes.Float64
	case schema.Timestamp:
		f.Type = &arrow.TimestampType{Unit: arrow.Nanosecond} // without a zone, as in Parquet
	case schema.String:
		f.Type = arrow.BinaryTypes.String
	case schema.Bytes:
		f.Type = arrow.BinaryTypes.Binary
	case schema.List:
		elem, err := arrowField(c.Elem)
		if err != nil {
			return f, err
		}
		f.Type = arrow.ListOfField(elem)
	case schema.Struct:
		fields, err := arrowFields(c.Fields)
		if err != nil {
			return f, err
		}
		f.Type = arrow.StructOf(fields...)
	default:
		return f, fmt.Errorf("column %s has no type", c.Name)
	}
	return f, nil
}

type arrowEncoder[T any] struct {
	schema  *arrow.Schema
	builder *array.RecordBuilder
	appends []appendFunc
}

// appendFunc appends the values of one column: of n rows, the first of which
// has it at p, each stride bytes after the one before.
// It makes no pointer past the last value, which the garbage collector would
// take for one into whatever is there.
type appendFunc func(p unsafe.Pointer, n int, stride uintptr)

func newArrowEncoder[T any](s *arrow.Schema, columns []schema.Column) *arrowEncoder[T] {
	e := &arrowEncoder[T]{
		schema:  s,
		builder: array.NewRecordBuilder(memory.DefaultAllocator, s),
	}
	for i := range columns {
		c := &columns[i]
		at := appender(e.builder.Field(i), c)
		e.appends = append(e.appends, func(p unsafe.Pointer, n int, stride uintptr) {
			at(unsafe.Add(p, c.Offset), n, stride)
		})
	}
	return e
}

func (e *arrowEncoder[T]) write(rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(rows))
	for _, at := range e.appends {
		at(p, len(rows), reflect.TypeFor[T]().Size())
	}
	return nil
}

func (e *arrowEncoder[T]) finish() (block, error) {
	return &arrowBlock{e.builder.NewRecord()}, nil
}

type arrowBlock struct{ record arrow.Record }

func (b *arrowBlock) release() { b.record.Release() }

// appender returns the function that appends values of column c to builder b.
func appender(b array.Builder, c *schema.Column) appendFunc {
	switch c.Kind {
	case schema.Bool:
		return scalars[bool](b, b.(*array.BooleanBuilder).UnsafeAppend, c.Nullable)
	case schema.Int32:
		return scalars[int32](b, b.(*array.Int32Builder).UnsafeAppend, c.Nullable)
	case schema.Int64:
		return scalars[int64](b, b.(*array.Int64Builder).UnsafeAppend, c.Nullable)
	case schema.Timestamp:
		return scalars[arrow.Timestamp](b, b.(*array.TimestampBuilder).UnsafeAppend, c.Nullable)
	case schema.Float64:
		return scalars[float64](b, b.(*array.Float64Builder).UnsafeAppend, c.Nullable)
	case schema.String:
		b := b.(*array.StringBuilder)
		return func(p unsafe.Pointer, n int, stride uintptr) {
			b.Reserve(n)
			for i := range n {
				if s := *(*string)(unsafe.Add(p, uintptr(i)*stride)); s == "" && c.Nullable {
					b.AppendNull()
				} else {
					b.Append(s)
				}
			}
		}
	case schema.Bytes:
		b := b.(*array.BinaryBuilder)
		return func(p unsafe.Pointer, n int, stride uintptr) {
			b.Reserve(n)
			for i := range n {
				p := unsafe.Add(p, uintptr(i)*stride)
				if v := *(*[]byte)(p); v == nil && c.Nullable {
					b.AppendNull()
				} else {
					b.Append(v)
				}
			}
		}
	case schema.List:
		b := b.(*array.ListBuilder)
		elem, size := appender(b.ValueBuilder(), c.Elem), c.Elem.Type.Size()
		return func(p unsafe.Pointer, n int, stride uintptr) {
			b.Reserve(n)
			for i := range n {
				p := unsafe.Add(p, uintptr(i)*stride)
				// The header of a slice is the same for every type of element.
				list := *(*[]struct{})(p)
				b.Append(list != nil || !c.Nullable)
				if len(list) > 0 {
					elem(unsafe.Pointer(unsafe.SliceData(list)), len(list), size)
				}
			}
		}
	case schema.Struct:
		b := b.(*array.StructBuilder)
		fields := make([]appendFunc, len(c.Fields))
		for i := range c.Fields {
			fields[i] = appender(b.FieldBuilder(i), &c.Fields[i])
		}
		return func(p unsafe.Pointer, n int, stride uintptr) {
			b.Reserve(n)
			for range n {
				b.Append(true)
			}
			for i := range fields {
				fields[i](unsafe.Add(p, c.Fields[i].Offset), n, stride)
			}
		}
	}
	panic("writers: column " + c.Name + " has no type") // arrowField has seen to it
}

// scalars returns the function that appends values of type V, or pointers to
// them where they may be NULL. UnsafeAppend needs room, and nothing else.
func scalars[V any](b array.Builder, add func(V), nullable bool) appendFunc {
	if !nullable {
		return func(p unsafe.Pointer, n int, stride uintptr) {
			b.Reserve(n)
			for i := range n {
				p := unsafe.Add(p, uintptr(i)*stride)
				add(*(*V)(p))
			}
		}
	}
	return func(p unsafe.Pointer, n int, stride uintptr) {
		b.Reserve(n)
		for i := range n {
			p := unsafe.Add(p, uintptr(i)*stride)
			if v := *(**V)(p); v != nil {
				add(*v)
			} else {
				b.AppendNull()
			}
		}
	}
}

type arrowSink struct {
	schema *arrow.Schema
	stream bool
	w      interface {
		Write(arrow.Record) error
		Close() error
	}
}

// begin writes the head of the file, where it has none.
func (s *arrowSink) begin(out *outFile) (err error) {
	if s.w == nil && s.stream {
		s.w = ipc.NewWriter(out, ipc.WithSchema(s.schema), ipc.WithAllocator(memory.DefaultAllocator))
	} else if s.w == nil {
		s.w, err = ipc.NewFileWriter(out, ipc.WithSchema(s.schema), ipc.WithAllocator(memory.DefaultAllocator))
	}
	return err
}

func (s *arrowSink) append(out *outFile, b block) error {
	if err := s.begin(out); err != nil {
		return err
	}
	return s.w.Write(b.(*arrowBlock).record)
}

func (s *arrowSink) close(out *outFile) error {
	if err := s.begin(out); err != nil {
		return err
	}
	return s.w.Close()
}
