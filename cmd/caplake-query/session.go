package main

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// session is an in-memory database that has a dataset's tables and views.
type session struct {
	connector *duckdb.Connector
	conn      *duckdb.Conn
	dir       string // of the dataset
	spill     string // where DuckDB puts what does not fit into memory
}

// manifest is what is of use here in a dataset's manifest.json.
type manifest struct {
	Format     string `json:"format"`
	FileFormat string `json:"file_format"`
	Tables     []struct {
		Name string `json:"name"`
	} `json:"tables"`
}

// open opens the dataset in folder dir. Whether the columns' documentation is
// wanted is asked because to load it takes longer than all else.
func open(ctx context.Context, dir string, documented bool) (_ *session, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, fmt.Errorf("%s is no dataset: it has no manifest.json", dir)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Format != "caplake dataset" {
		return nil, fmt.Errorf("%s is no dataset: its manifest.json is not caplake's", dir)
	}
	s := &session{dir: dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.spill, err = os.MkdirTemp("", "caplake-query-"); err != nil {
		return nil, err
	}
	// What is asked for is here or nowhere: no extension comes from the network.
	const settings = "?autoinstall_known_extensions=false&autoload_known_extensions=false&allow_community_extensions=false&allow_persistent_secrets=false"
	s.connector, err = duckdb.NewConnector(settings, func(conn driver.ExecerContext) error {
		_, err := conn.ExecContext(ctx, "SET VARIABLE dataset = "+literal(dir), nil) // which views.sql asks for
		return err
	})
	if err != nil {
		return nil, err
	}
	conn, err := s.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s.conn = conn.(*duckdb.Conn)
	if err := s.exec(ctx, "SET temp_directory = "+literal(s.spill)); err != nil {
		return nil, err
	}
	return s, s.load(ctx, &m, documented)
}

func (s *session) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.connector != nil {
		s.connector.Close()
	}
	if s.spill != "" {
		os.RemoveAll(s.spill)
	}
}

// load makes a dataset's tables and views known.
func (s *session) load(ctx context.Context, m *manifest, documented bool) error {
	if m.FileFormat == "arrow" {
		for _, t := range m.Tables {
			if err := s.loadArrow(ctx, t.Name); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
	} else if m.FileFormat != "parquet" {
		return fmt.Errorf("%s: files of the format %q", s.dir, m.FileFormat)
	}
	views, err := os.ReadFile(filepath.Join(s.dir, "views.sql"))
	if errors.Is(err, os.ErrNotExist) && m.FileFormat == "parquet" {
		return s.plainViews(ctx, m) // a dataset of an older version
	} else if err != nil {
		return err
	}
	for text := range statements(string(views)) {
		if strings.HasPrefix(text, "COMMENT ") && !documented {
			continue
		}
		// The file came with the dataset, from wherever: it may define, and no more.
		if err := s.execOnly(ctx, text, duckdb.STATEMENT_TYPE_CREATE, duckdb.STATEMENT_TYPE_ALTER); err != nil {
			return fmt.Errorf("views.sql: %w", err)
		}
	}
	return nil
}

// plainViews makes the tables known by their names alone.
func (s *session) plainViews(ctx context.Context, m *manifest) error {
	for _, t := range m.Tables {
		files := filepath.Join(s.dir, t.Name, "**", "*.parquet")
		if err := s.exec(ctx, fmt.Sprintf("CREATE VIEW %q AS FROM read_parquet(%s, hive_partitioning = true)", t.Name, literal(files))); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	return nil
}

// literal returns s as SQL has it.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// prepare prepares one statement.
func (s *session) prepare(ctx context.Context, text string) (*duckdb.Stmt, error) {
	stmt, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.(*duckdb.Stmt), nil
}

// exec runs a statement of our own.
func (s *session) exec(ctx context.Context, text string) error { return s.execOnly(ctx, text) }

// execOnly runs a statement if it is of one of the types, or if there are none.
func (s *session) execOnly(ctx context.Context, text string, types ...duckdb.StmtType) error {
	stmt, err := s.prepare(ctx, text)
	if err != nil {
		return err
	}
	defer stmt.Close()
	if t, err := stmt.StatementType(); err != nil {
		return err
	} else if len(types) > 0 && !slices.Contains(types, t) {
		return fmt.Errorf("a statement that has no place there: %.60q", text)
	}
	_, err = stmt.ExecContext(ctx, nil)
	return err
}

// query calls each with the rows of a statement; the values are valid during the call.
func (s *session) query(ctx context.Context, text string, each func([]driver.Value) error) error {
	stmt, err := s.prepare(ctx, text)
	if err != nil {
		return err
	}
	defer stmt.Close()
	rows, err := stmt.QueryContext(ctx, nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
}

// texts returns the rows of a statement whose columns are all text or NULL.
func (s *session) texts(ctx context.Context, text string) (all [][]string, err error) {
	err = s.query(ctx, text, func(values []driver.Value) error {
		row := make([]string, len(values))
		for i, v := range values {
			row[i], _ = v.(string)
		}
		all = append(all, row)
		return nil
	})
	return all, err
}

// readOnly refuses statements that write files or load code. It keeps from
// accidents: whoever types SQL may do with files what they may do anyway.
func (s *session) readOnly(ctx context.Context, text string, t duckdb.StmtType) error {
	switch t {
	case duckdb.STATEMENT_TYPE_COPY, duckdb.STATEMENT_TYPE_EXPORT:
		return errors.New("nothing is written by SQL here; use --parquet FILE, or --csv or --json and > FILE")
	case duckdb.STATEMENT_TYPE_ATTACH, duckdb.STATEMENT_TYPE_DETACH, duckdb.STATEMENT_TYPE_LOAD, duckdb.STATEMENT_TYPE_EXTENSION,
		duckdb.STATEMENT_TYPE_PREPARE, duckdb.STATEMENT_TYPE_EXECUTE:
		return errors.New("not here: other databases, extensions, and prepared statements")
	case duckdb.STATEMENT_TYPE_EXPLAIN:
		inner, ok := explained(text)
		if !ok {
			return nil
		}
		stmt, err := s.prepare(ctx, inner)
		if err != nil {
			return err
		}
		defer stmt.Close()
		if t, err = stmt.StatementType(); err != nil {
			return err
		}
		return s.readOnly(ctx, inner, t)
	}
	return nil
}
