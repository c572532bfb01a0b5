//go:build duckdb_arrow

package main

import (
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/duckdb/duckdb-go/v2"
)

// DuckDB reads Arrow files itself only with an extension from the network. So
// the files are opened by Arrow's own library, and DuckDB takes the record
// batches through the Arrow C data interface, as any program may do.

func TestArrow(t *testing.T) {
	d := newDatabase(t)
	openArrow(t, d, dataset(t, "arrow"), "")
	check(t, d)
}

// TestArrowEqualsParquet: both formats hold the same rows in the same order.
func TestArrowEqualsParquet(t *testing.T) {
	d := newDatabase(t)
	if err := openParquet(t.Context(), d.db, dataset(t, "parquet")); err != nil {
		t.Fatal(err)
	}
	openArrow(t, d, dataset(t, "arrow"), "arrow_")
	for _, table := range tables() {
		const numbered = "(SELECT row_number() OVER () AS row, * FROM %s)"
		a, b := fmt.Sprintf(numbered, table), fmt.Sprintf(numbered, "arrow_"+table)
		d.want(fmt.Sprintf("SELECT count(*) FROM ((FROM %s EXCEPT ALL FROM %s) UNION ALL (FROM %s EXCEPT ALL FROM %s))", a, b, b, a), "0")
		d.want(fmt.Sprintf("SELECT (SELECT count(*) FROM %s) = (SELECT count(*) FROM arrow_%s)", table, table), "true")
	}
}

// openArrow makes tables of a dataset's Arrow files. A view of a record
// reader can be read once, hence tables.
func openArrow(t *testing.T, d database, dir, prefix string) {
	t.Helper()
	conn, err := d.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		a, err := duckdb.NewArrowFromConn(c.(driver.Conn))
		if err != nil {
			return err
		}
		for _, table := range tables() {
			reader, err := openFiles(dir, table)
			if err != nil {
				return err
			}
			release, err := a.RegisterView(reader, "reader_"+table)
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			for _, q := range []string{
				"CREATE TABLE " + prefix + table + " AS FROM reader_" + table,
				"DROP VIEW reader_" + table,
			} {
				s, err := c.(driver.ConnPrepareContext).PrepareContext(t.Context(), q)
				if err != nil {
					return fmt.Errorf("%s: %w", q, err)
				}
				_, err = s.(driver.StmtExecContext).ExecContext(t.Context(), nil)
				s.Close()
				if err != nil {
					return fmt.Errorf("%s: %w", q, err)
				}
			}
			release()
			reader.Release()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// openFiles returns the record batches of a table's files.
func openFiles(dir, table string) (array.RecordReader, error) {
	files, err := filepath.Glob(filepath.Join(dir, table, "*.arrow"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no Arrow files of %s in %s (%v)", table, dir, err)
	}
	var schema *arrow.Schema
	var batches []arrow.RecordBatch
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r, err := ipc.NewFileReader(f, ipc.WithAllocator(memory.DefaultAllocator))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer r.Close()
		schema = r.Schema()
		for i := range r.NumRecords() {
			b, err := r.RecordBatchAt(i)
			if err != nil {
				return nil, fmt.Errorf("%s: batch %d: %w", name, i, err)
			}
			batches = append(batches, b)
		}
	}
	return array.NewRecordReader(schema, batches)
}
