//go:build duckdb_arrow

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/duckdb/duckdb-go/v2"
)

// loadArrow makes a table in memory of a dataset's Arrow files. DuckDB reads
// these itself only with an extension from the network, so they are opened by
// Arrow's own library, and DuckDB takes the record batches through the Arrow C
// data interface. A view of them could be read once only, hence a table.
func (s *session) loadArrow(ctx context.Context, table string) error {
	a, err := duckdb.NewArrowFromConn(s.conn)
	if err != nil {
		return err
	}
	files, err := arrowFiles(filepath.Join(s.dir, table))
	if err != nil {
		return err
	}
	for i, file := range files {
		reader, closeFile, err := openArrow(file)
		if err != nil {
			return err
		}
		err = func() error {
			defer closeFile()
			defer reader.Release()
			release, err := a.RegisterView(reader, "reader")
			if err != nil {
				return err
			}
			defer release()
			into := fmt.Sprintf("CREATE TABLE %q AS FROM reader", table)
			if i > 0 {
				into = fmt.Sprintf("INSERT INTO %q FROM reader", table)
			}
			if err := s.exec(ctx, into); err != nil {
				return err
			}
			return s.exec(ctx, "DROP VIEW reader")
		}()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func arrowFiles(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(path) == ".arrow" {
			files = append(files, path)
		}
		return err
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no Arrow files in %s", dir)
	}
	return files, err
}

// openArrow returns the record batches of a file.
func openArrow(name string) (array.RecordReader, func(), error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	r, err := ipc.NewFileReader(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	done := func() { r.Close(); f.Close() }
	var batches []arrow.RecordBatch
	for i := range r.NumRecords() {
		b, err := r.RecordBatchAt(i)
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("batch %d: %w", i, err)
		}
		batches = append(batches, b)
	}
	reader, err := array.NewRecordReader(r.Schema(), batches)
	if err != nil {
		done()
		return nil, nil, err
	}
	return reader, done, nil
}
