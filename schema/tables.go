package schema

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Table describes one table of the dataset.
type Table struct {
	Name    string
	Doc     string // what one row is
	Columns []Column
}

// Kind is the type of a column's values, as every engine that reads the
// dataset knows it.
type Kind uint8

const (
	Bool Kind = iota + 1
	Int32
	Int64
	Float64
	Timestamp // nanoseconds since the Unix epoch, UTC, in an INT64
	String    // UTF-8 text
	Bytes     // any bytes
	List      // of Column.Elem
	Struct    // of Column.Fields; only as the element of a list
)

// Encoding is how a column's values are laid out in a file, chosen where the
// column is defined because only there it is known what its values are like.
type Encoding uint8

const (
	Plain Encoding = iota
	Delta          // counters, durations, times: neighbours are close
	Dict           // enumerations, addresses, small numbers: values repeat
)

// Column describes one column, the element of a list, or a field of a struct.
// It is derived from the tags of a row struct (see the package comment), so
// that the struct stays the one place in which a column is defined.
type Column struct {
	Name     string
	Doc      string
	ID       int // field id; unique in the table, nested columns included
	Kind     Kind
	Nullable bool
	Encoding Encoding
	Random   bool // compressing the values is not worth the time
	Bloom    bool // people look up single values
	Elem     *Column
	Fields   []Column

	// Where the value stands in the row struct (Offset, Type), for writers.
	// A Nullable Bool, Int32, Int64, Float64 or Timestamp is a pointer; a
	// Nullable String is NULL where it is empty, a Nullable Bytes or List where it is nil.
	Offset uintptr
	Type   reflect.Type
}

// nestedIDs is the range of field ids that a nested column's parent leaves to
// it: the element of list n is nestedIDs·n, field m of its struct nestedIDs·n+m.
const nestedIDs = 1000

// TypeName returns the column's type in the words of SCHEMA.md.
func (c *Column) TypeName() string {
	switch c.Kind {
	case Bool:
		return "BOOLEAN"
	case Int32:
		return "INT32"
	case Int64:
		return "INT64"
	case Float64:
		return "DOUBLE"
	case Timestamp:
		return "TIMESTAMP_NS"
	case String:
		return "STRING"
	case Bytes:
		return "BYTES"
	case List:
		return "LIST<" + c.Elem.TypeName() + ">"
	case Struct:
		var b strings.Builder
		b.WriteString("STRUCT<")
		for i := range c.Fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(c.Fields[i].Name + " " + c.Fields[i].TypeName())
		}
		return b.String() + ">"
	}
	return ""
}

// Tables returns every table of the dataset, in the order in which a reader
// meets them.
func Tables() []Table {
	list := []Table{
		table[Flow]("flows", "One row per flow: a bidirectional exchange of packets between two ends, over any IP protocol."),
		table[HTTP]("http", "One row per HTTP exchange: a request with its response, or whichever of them was seen."),
		table[TLS]("tls", "One row per TLS handshake."),
		table[Certificate]("certificates", "One row per distinct certificate of the dataset."),
		table[DNS]("dns", "One row per DNS transaction: a query with its response, or whichever of them was seen; over UDP and TCP, mDNS and LLMNR included."),
	}
	for _, own := range Own() {
		list = append(list, own.Table())
	}
	return append(list, table[Capture]("captures", "The ledger, one row per input file: what it is, and what became of each of its packets."))
}

func table[T any](name, doc string) Table {
	columns, err := ColumnsOf(reflect.TypeFor[T]())
	if err != nil {
		panic("schema: table " + name + ": " + err.Error()) // a wrong tag, which every test of this package meets
	}
	return Table{Name: name, Doc: doc, Columns: columns}
}

// RowSource is what rows are made from where that is not the rows themselves.
// Its pointer's method tells what must be known of a row before it is made: its ts.
type RowSource interface{ RowTime() int64 }

// ColumnsOf returns the columns of a row struct in the order of its fields.
// Fields of embedded structs count as the struct's own.
func ColumnsOf(row reflect.Type) ([]Column, error) {
	columns, err := appendColumns(nil, row, 0, 0)
	if err != nil {
		return nil, err
	}
	return columns, checkUnique(columns)
}

// appendColumns appends the columns of struct t, which lies offset bytes into
// the row (or list element) and whose field ids begin above base.
func appendColumns(columns []Column, t reflect.Type, offset uintptr, base int) ([]Column, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			var err error
			if columns, err = appendColumns(columns, f.Type, offset+f.Offset, base); err != nil {
				return nil, err
			}
			continue
		}
		if !f.IsExported() || f.Tag.Get("parquet") == "-" {
			continue
		}
		c, err := columnOf(f, base)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		c.Offset += offset
		columns = append(columns, c)
	}
	return columns, nil
}

func columnOf(f reflect.StructField, base int) (Column, error) {
	name, options, _ := strings.Cut(f.Tag.Get("parquet"), ",")
	c := Column{
		Name:   name,
		Doc:    f.Tag.Get("doc"),
		Bloom:  f.Tag.Get("bloom") == "yes",
		Offset: f.Offset,
		Type:   f.Type,
	}
	if c.Name == "" {
		return c, fmt.Errorf("no column name")
	}
	if c.Doc == "" {
		return c, fmt.Errorf("column %s has no doc", c.Name)
	}
	id, err := strconv.Atoi(f.Tag.Get("id"))
	if err != nil || id < 1 || id >= nestedIDs {
		return c, fmt.Errorf("column %s: id %q is not from 1 to %d", c.Name, f.Tag.Get("id"), nestedIDs-1)
	}
	c.ID = base + id

	list, timestamp, encoded := false, false, false
	for options != "" {
		var option string
		option, options, _ = strings.Cut(options, ",")
		switch option {
		case "optional":
			c.Nullable = true
		case "list":
			list = true
		case "timestamp(nanosecond:local)":
			timestamp = true
		case "delta":
			c.Encoding, encoded = Delta, true
		case "dict":
			c.Encoding, encoded = Dict, true
		case "plain":
			encoded = true
		case "uncompressed":
			c.Random = true
		default:
			return c, fmt.Errorf("column %s: option %q is not in use here", c.Name, option)
		}
	}

	t := f.Type
	if t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		if !list {
			return c, fmt.Errorf("column %s: a slice needs the option list", c.Name)
		}
		return listOf(c, t.Elem())
	}
	if list {
		return c, fmt.Errorf("column %s: the option list needs a slice", c.Name)
	}
	if t.Kind() == reflect.Pointer {
		if !c.Nullable {
			return c, fmt.Errorf("column %s: a pointer needs the option optional", c.Name)
		}
		if t = t.Elem(); t.Kind() == reflect.String {
			return c, fmt.Errorf("column %s: an optional string is plain: empty text is NULL", c.Name)
		}
	} else if c.Nullable && t.Kind() != reflect.String && t.Kind() != reflect.Slice {
		return c, fmt.Errorf("column %s: optional %s would write zero as NULL; use a pointer", c.Name, t)
	}
	if c.Kind, err = kindOf(t); err != nil {
		return c, fmt.Errorf("column %s: %w", c.Name, err)
	}
	if timestamp {
		if c.Kind != Int64 {
			return c, fmt.Errorf("column %s: a timestamp is an int64", c.Name)
		}
		c.Kind = Timestamp
	}
	if c.Nullable && !encoded && (c.Kind == Int32 || c.Kind == Int64 || c.Kind == Timestamp) {
		c.Encoding = Delta // of an optional number there is no tag for it
	}
	return c, nil
}

// listOf completes list column c, whose options for the values go to its element.
func listOf(c Column, t reflect.Type) (Column, error) {
	elem := Column{
		Name:     "element",
		ID:       c.ID * nestedIDs,
		Encoding: c.Encoding,
		Random:   c.Random,
		Bloom:    c.Bloom,
		Type:     t,
	}
	var err error
	if t.Kind() == reflect.Struct {
		elem.Kind = Struct
		elem.Fields, err = appendColumns(nil, t, 0, elem.ID)
	} else {
		elem.Kind, err = kindOf(t)
	}
	if err != nil {
		return c, fmt.Errorf("column %s: %w", c.Name, err)
	}
	c.Kind, c.Elem = List, &elem
	c.Encoding, c.Random, c.Bloom = Plain, false, false
	return c, nil
}

func kindOf(t reflect.Type) (Kind, error) {
	switch t.Kind() {
	case reflect.Bool:
		return Bool, nil
	case reflect.Int32:
		return Int32, nil
	case reflect.Int64:
		return Int64, nil
	case reflect.Float64:
		return Float64, nil
	case reflect.String:
		return String, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Bytes, nil
		}
	}
	return 0, fmt.Errorf("type %s is not in use here", t)
}

func checkUnique(columns []Column) error {
	names, ids := map[string]bool{}, map[int]string{}
	for i := range columns {
		c := &columns[i]
		if names[c.Name] {
			return fmt.Errorf("two columns are called %s", c.Name)
		}
		if other, ok := ids[c.ID]; ok {
			return fmt.Errorf("columns %s and %s have the same id %d", other, c.Name, c.ID)
		}
		names[c.Name], ids[c.ID] = true, c.Name
		if c.Elem != nil {
			if err := checkUnique(c.Elem.Fields); err != nil {
				return fmt.Errorf("column %s: %w", c.Name, err)
			}
		}
	}
	return nil
}
