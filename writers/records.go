package writers

import (
	"fmt"
	"iter"
	"reflect"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/caplake/caplake/schema"
)

// Record is rows of one table as an Arrow record batch. It is valid until the
// loop comes round: Retain it to keep it, and Release it then.
type Record struct {
	Table string
	arrow.Record
}

// Batch is rows of several tables; a tabulate.Batch is one. Tables returns
// each table with its rows, a slice of the struct that its columns are of.
type Batch interface {
	Tables() iter.Seq2[schema.Table, any]
}

// Records turns batches of rows into Arrow record batches, without files. Each Batch gives one for
// every table that has rows in it, with the schema that the table has in an Arrow file. An
// error of batches is given and ends the loop.
//
//	for record, err := range writers.Records(tabulate.Batches(src, tabulate.Config{})) { … }
func Records[B Batch](batches iter.Seq2[B, error]) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		builders := make(map[string]*recordBuilder)
		defer func() {
			for _, b := range builders {
				b.encoder.builder.Release()
			}
		}()
		for batch, err := range batches {
			if err != nil {
				yield(Record{}, err)
				return
			}
			for table, rows := range batch.Tables() {
				b := builders[table.Name]
				if b == nil {
					if b, err = newRecordBuilder(&table, reflect.TypeOf(rows)); err != nil {
						yield(Record{}, err)
						return
					}
					builders[table.Name] = b
				}
				r, err := b.record(reflect.ValueOf(rows))
				if err != nil {
					yield(Record{}, err)
					return
				}
				if r == nil {
					continue
				}
				more := yield(Record{table.Name, r}, nil)
				r.Release()
				if !more {
					return
				}
			}
		}
	}
}

// recordBuilder makes record batches of slices of one type.
type recordBuilder struct {
	slice   reflect.Type
	encoder *arrowEncoder[struct{}] // whose rows are not written as such
}

func newRecordBuilder(table *schema.Table, slice reflect.Type) (*recordBuilder, error) {
	fault := func(err error) (*recordBuilder, error) {
		return nil, fmt.Errorf("writers: table %s: %w", table.Name, err)
	}
	if slice == nil || slice.Kind() != reflect.Slice {
		return fault(fmt.Errorf("its rows are a %v, not a slice", slice))
	}
	columns, err := schema.ColumnsOf(slice.Elem()) // where these rows have them, whatever table says
	if err != nil {
		return fault(err)
	}
	fields, err := arrowFields(columns)
	if err != nil {
		return fault(err)
	}
	return &recordBuilder{slice, newArrowEncoder[struct{}](arrow.NewSchema(fields, nil), columns)}, nil
}

// record returns the rows of a slice, nil if there are none.
func (b *recordBuilder) record(rows reflect.Value) (arrow.Record, error) {
	if rows.Type() != b.slice {
		return nil, fmt.Errorf("writers: rows of a table are a %s and a %s", b.slice, rows.Type())
	}
	n := rows.Len()
	if n == 0 {
		return nil, nil
	}
	for _, at := range b.encoder.appends {
		at(rows.UnsafePointer(), n, b.slice.Elem().Size())
	}
	return b.encoder.builder.NewRecord(), nil
}
