package main

import (
	"context"
	"database/sql/driver"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"
)

// form is how answers are printed.
type form uint8

const (
	formTable form = iota
	formCSV
	formJSON
	formParquet
)

// output prints answers.
type output struct {
	session *session
	w       io.Writer
	form    form
	parquet string // file, of formParquet
	maxRows int    // of a table; 0: all
	width   func() int
	echo    bool
	answers int
}

// answer runs the statements of text one after another, up to the first that fails.
func (o *output) answer(ctx context.Context, text string) error {
	some := false
	for s := range statements(text) {
		some = true
		if err := o.one(ctx, s); err != nil {
			return err
		}
	}
	if !some {
		return errors.New("no SQL was given")
	}
	return nil
}

func (o *output) one(ctx context.Context, text string) error {
	stmt, err := o.session.prepare(ctx, text)
	if err != nil {
		return err
	}
	defer stmt.Close()
	t, err := stmt.StatementType()
	if err != nil {
		return err
	}
	if err := o.session.readOnly(ctx, text, t); err != nil {
		return err
	}
	if o.echo {
		if o.answers > 0 {
			fmt.Fprintln(o.w)
		}
		fmt.Fprintf(o.w, "%s;\n\n", text)
	}
	o.answers++
	if t != duckdb.STATEMENT_TYPE_SELECT {
		if o.form == formParquet {
			return errors.New("--parquet writes the answer of a SELECT, which this is not")
		}
		return o.direct(ctx, stmt, t)
	}
	first := uncommented(text)
	for _, word := range []string{"SHOW", "DESCRIBE", "DESC", "SUMMARIZE"} {
		if _, ok := keyword(first, word); ok {
			text = "FROM (\n" + text + "\n)" // COPY takes these within a query only
		}
	}
	switch o.form {
	case formCSV:
		return o.stream(ctx, text, "FORMAT csv, HEADER")
	case formJSON:
		return o.stream(ctx, text, "FORMAT json")
	case formParquet:
		return o.toParquet(ctx, text)
	}
	return o.table(ctx, text, stmt)
}

// stream lets DuckDB write a query's answer, through a pipe: so a stalled or
// gone reader of ours can neither hold up an interrupt nor be written past.
func (o *output) stream(ctx context.Context, text, format string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	defer context.AfterFunc(ctx, func() { r.Close() })()
	go func() {
		_, err := io.Copy(o.w, r)
		r.Close() // if it was ours that failed, DuckDB's fails too
		written <- err
	}()
	err = o.session.exec(ctx, fmt.Sprintf("COPY (\n%s\n) TO '/dev/fd/%d' (%s, USE_TMP_FILE false)", text, w.Fd(), format))
	w.Close()
	if werr := <-written; werr != nil && ctx.Err() == nil {
		return werr
	}
	return err
}

// toParquet writes a query's answer to a file, which is not one of the dataset.
func (o *output) toParquet(ctx context.Context, text string) error {
	if o.answers > 1 {
		return errors.New("--parquet takes the answer of one query")
	}
	dir, err := filepath.Abs(o.session.dir)
	if err != nil {
		return err
	}
	file, err := filepath.Abs(o.parquet)
	if err != nil {
		return err
	}
	if in, err := filepath.Rel(dir, file); err == nil && filepath.IsLocal(in) {
		return fmt.Errorf("%s: nothing is written to the dataset", o.parquet)
	}
	return o.session.exec(ctx, fmt.Sprintf("COPY (\n%s\n) TO %s (FORMAT parquet, COMPRESSION zstd)", text, literal(file)))
}

// direct prints the answer of a statement that is no query: EXPLAIN, PRAGMA, CALL.
func (o *output) direct(ctx context.Context, stmt *duckdb.Stmt, t duckdb.StmtType) error {
	rows, err := stmt.QueryContext(ctx, nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	names := rows.Columns()
	var grid [][]string
	values := make([]driver.Value, len(names))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		cells := make([]string, len(names))
		for i, v := range values {
			cells[i] = "NULL"
			if t, ok := v.(time.Time); ok {
				cells[i] = t.UTC().Format("2006-01-02 15:04:05.999999999")
			} else if v != nil {
				cells[i] = fmt.Sprint(v)
			}
		}
		grid = append(grid, cells)
	}
	switch {
	case t == duckdb.STATEMENT_TYPE_EXPLAIN: // plans are drawn already
		for _, cells := range grid {
			if _, err := fmt.Fprintln(o.w, strings.TrimRight(cells[len(cells)-1], "\n")); err != nil {
				return err
			}
		}
		return nil
	case t != duckdb.STATEMENT_TYPE_PRAGMA && t != duckdb.STATEMENT_TYPE_CALL && t != duckdb.STATEMENT_TYPE_MULTI: // SET, CREATE and so on
		return nil
	case o.form == formCSV:
		w := csv.NewWriter(o.w)
		return w.WriteAll(append([][]string{names}, grid...))
	case o.form == formJSON:
		e := json.NewEncoder(o.w)
		for _, cells := range grid {
			object := make(map[string]string, len(names))
			for i, c := range cells {
				object[names[i]] = c
			}
			if err := e.Encode(object); err != nil {
				return err
			}
		}
		return nil
	}
	g := grids{names: names, right: make([]bool, len(names)), whole: make([]bool, len(names)), rows: grid}
	_, err = io.WriteString(o.w, g.text(o.width(), int64(len(grid))))
	return err
}

// table prints a query's answer as a table.
func (o *output) table(ctx context.Context, text string, stmt *duckdb.Stmt) error {
	n, err := stmt.ColumnCount()
	if err != nil {
		return err
	}
	g := grids{names: make([]string, n), right: make([]bool, n), whole: make([]bool, n)}
	for i := range n {
		if g.names[i], err = stmt.ColumnName(i); err != nil {
			return err
		}
		t, err := stmt.ColumnType(i)
		if err != nil {
			return err
		}
		g.right[i] = number(t)
		g.whole[i] = g.right[i] || t == duckdb.TYPE_TIMESTAMP_NS || t == duckdb.TYPE_TIMESTAMP || t == duckdb.TYPE_DATE
	}
	// DuckDB turns values to text as it does everywhere.
	cast := "SELECT COLUMNS(*)::VARCHAR FROM (\n" + text + "\n)"
	if o.maxRows > 0 {
		cast += fmt.Sprintf(" LIMIT %d", o.maxRows+1)
	}
	err = o.session.query(ctx, cast, func(values []driver.Value) error {
		cells := make([]string, n)
		for i, v := range values {
			if s, ok := v.(string); ok {
				cells[i] = s
			} else {
				cells[i] = "NULL"
			}
		}
		g.rows = append(g.rows, cells)
		return nil
	})
	if err != nil {
		return err
	}
	total := int64(len(g.rows))
	if o.maxRows > 0 && len(g.rows) > o.maxRows {
		g.rows = g.rows[:o.maxRows]
		err := o.session.query(ctx, "SELECT count(*) FROM (\n"+text+"\n)", func(values []driver.Value) error {
			total, _ = values[0].(int64)
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err = io.WriteString(o.w, g.text(o.width(), total))
	return err
}

func number(t duckdb.Type) bool {
	switch t {
	case duckdb.TYPE_TINYINT, duckdb.TYPE_SMALLINT, duckdb.TYPE_INTEGER, duckdb.TYPE_BIGINT, duckdb.TYPE_HUGEINT,
		duckdb.TYPE_UTINYINT, duckdb.TYPE_USMALLINT, duckdb.TYPE_UINTEGER, duckdb.TYPE_UBIGINT, duckdb.TYPE_UHUGEINT,
		duckdb.TYPE_FLOAT, duckdb.TYPE_DOUBLE, duckdb.TYPE_DECIMAL:
		return true
	}
	return false
}
