package writers

import (
	"encoding/base64"
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/caplake/caplake/schema"
)

// NDJSON is a JSON object a line. What is NULL is left out. Times are text in
// RFC 3339 with nine digits, UTC; bytes are text in base64; numbers that JSON does
// not have (NaN, infinities) are null. Integers are written in full: flow_id has
// 63 bits, more than a program keeps that takes every number for a double.

// ndjsonFormat makes the sinks and the encoders of an NDJSON table.
func ndjsonFormat[T any](columns []schema.Column) (func() sink, func() encoder[T], error) {
	fields := jsonFields(columns)
	buffers := &sync.Pool{New: func() any { return new([]byte) }}
	return func() sink { return textSink{} },
		func() encoder[T] { return &textEncoder[T]{fields: fields, buffers: buffers} }, nil
}

// jsonField is a column with its name as JSON has it, colon included.
type jsonField struct {
	column *schema.Column
	name   string
	fields []jsonField // of the elements, where they are structs
}

func jsonFields(columns []schema.Column) []jsonField {
	fields := make([]jsonField, len(columns))
	for i := range columns {
		c := &columns[i]
		fields[i] = jsonField{column: c, name: string(appendJSONString(nil, c.Name)) + ":"}
		if c.Elem != nil {
			fields[i].fields = jsonFields(c.Elem.Fields)
		}
	}
	return fields
}

type textEncoder[T any] struct {
	fields  []jsonField
	buf     *[]byte
	buffers *sync.Pool
}

func (e *textEncoder[T]) write(rows []T) error {
	if e.buf == nil {
		e.buf = e.buffers.Get().(*[]byte)
		*e.buf = (*e.buf)[:0]
	}
	b := *e.buf
	for i := range rows {
		b = appendJSONObject(b, e.fields, unsafe.Pointer(&rows[i]))
		b = append(b, '\n')
	}
	*e.buf = b
	return nil
}

func (e *textEncoder[T]) finish() (block, error) {
	b := &textBlock{e.buf, e.buffers}
	e.buf = nil
	return b, nil
}

type textBlock struct {
	text    *[]byte
	buffers *sync.Pool
}

func (b *textBlock) release() { b.buffers.Put(b.text) }

type textSink struct{}

func (textSink) append(out *outFile, b block) error {
	_, err := out.Write(*b.(*textBlock).text)
	return err
}

func (textSink) close(*outFile) error { return nil }

func appendJSONObject(b []byte, fields []jsonField, row unsafe.Pointer) []byte {
	b = append(b, '{')
	comma := false
	for i := range fields {
		f := &fields[i]
		at := len(b)
		if comma {
			b = append(b, ',')
		}
		b = append(b, f.name...)
		value := len(b)
		if b = appendJSON(b, f.column, f.fields, unsafe.Add(row, f.column.Offset)); len(b) == value {
			b = b[:at] // NULL
		} else {
			comma = true
		}
	}
	return append(b, '}')
}

// appendJSON appends the value at p, or nothing if it is NULL.
func appendJSON(b []byte, c *schema.Column, fields []jsonField, p unsafe.Pointer) []byte {
	if c.Type.Kind() == reflect.Pointer {
		if p = *(*unsafe.Pointer)(p); p == nil {
			return b
		}
	}
	switch c.Kind {
	case schema.Bool:
		return strconv.AppendBool(b, *(*bool)(p))
	case schema.Int32:
		return strconv.AppendInt(b, int64(*(*int32)(p)), 10)
	case schema.Int64:
		return strconv.AppendInt(b, *(*int64)(p), 10)
	case schema.Float64:
		f := *(*float64)(p)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	case schema.Timestamp:
		return time.Unix(0, *(*int64)(p)).UTC().AppendFormat(b, `"2006-01-02T15:04:05.000000000Z"`)
	case schema.String:
		s := *(*string)(p)
		if s == "" && c.Nullable {
			return b
		}
		return appendJSONString(b, s)
	case schema.Bytes:
		v := *(*[]byte)(p)
		if v == nil && c.Nullable {
			return b
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, '"')
	case schema.List:
		list := *(*[]struct{})(p) // the header of a slice is the same for every type of element
		if list == nil && c.Nullable {
			return b
		}
		b = append(b, '[')
		base := unsafe.Pointer(unsafe.SliceData(list))
		for i := range len(list) {
			if i > 0 {
				b = append(b, ',')
			}
			elem := unsafe.Add(base, uintptr(i)*c.Elem.Type.Size())
			if c.Elem.Kind == schema.Struct {
				b = appendJSONObject(b, fields, elem)
			} else {
				b = appendJSON(b, c.Elem, nil, elem)
			}
		}
		return append(b, ']')
	}
	panic("writers: column " + c.Name + " has no type") // the schema has seen to it
}

// appendJSONString appends s in quotes; what is not UTF-8 becomes U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), `\ufffd`...)
				start = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = append(b, `\u00`...)
				b = append(b, hex[c>>4], hex[c&15])
			}
			start = i + 1
		}
		i++
	}
	return append(append(b, s[start:]...), '"')
}
