// Package views writes views.sql, which a dataset has beside its tables: the
// tables by name, and what Zeek, Suricata and NFStream would have said of the
// same traffic, in their own columns, for DuckDB.
//
// A view is a Go value, not a text to be edited by hand, because each of its
// columns has a documentation that goes into the file as a comment of the
// catalog, and because a test asks every column for its type.
package views

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/caplake/caplake/schema"
)

// File is the name of the file in a dataset.
const File = "views.sql"

// view is a system's table as a view of ours.
type view struct {
	name, doc string
	from      string // FROM clause and what follows
	columns   []column
}

// column is a column of a view.
type column struct {
	name string // as the system has it
	expr string // in SQL
	doc  string
}

// macro is a function that views share.
type macro struct{ name, args, body string }

func all() []view {
	return []view{zeekConn(), zeekHTTP(), zeekSSL(), zeekX509(), zeekDNS(), eveFlow(), eveHTTP(), eveTLS(), eveDNS(), nfstream()}
}

// Names returns the names of the views of other systems.
func Names() (names []string) {
	for _, v := range all() {
		names = append(names, v.name)
	}
	return names
}

// SQL returns the text for a dataset whose files are of the given format
// (parquet or arrow). A table for which rows is false has no file: it
// becomes an empty view. The text says nothing of where the dataset is, so
// that it may be moved.
func SQL(format string, files func(table string) bool) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	if format == "parquet" {
		b.WriteString(headParquet)
	} else {
		b.WriteString(headArrow)
	}
	tables := schema.Tables()
	for i := range tables {
		t := &tables[i]
		if format == "parquet" {
			writeTable(&b, t, files(t.Name))
		}
		writeComments(&b, t)
	}
	b.WriteString("\n-- What the views below share.\n")
	for _, m := range macros() {
		fmt.Fprintf(&b, "CREATE OR REPLACE MACRO %s(%s) AS %s;\n", m.name, m.args, m.body)
	}
	for _, v := range all() {
		v.write(&b)
	}
	return b.Bytes()
}

const head = `-- The tables of this dataset by name, for DuckDB, and views of them in the
-- columns of other systems (zeek_*, eve_*, nfstream), so that queries written
-- for these run here. A view has the system's columns first and in its order;
-- what caplake does not know is NULL. What each column says:
--
--   SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = 'zeek_conn';
--
`

const headParquet = `-- In the folder of the dataset:
--
--   duckdb -init views.sql
--
-- From elsewhere, say where it is first (in a program, run the same two statements):
--
--   duckdb -cmd "SET VARIABLE dataset = 'path/to/dataset'" -cmd ".read path/to/dataset/views.sql"
`

const headArrow = `-- DuckDB does not read Arrow files by itself. Make the tables known under their
-- names first (in Python: con.register('flows', pyarrow.dataset.dataset('flows', format='arrow'))),
-- then run this file.
`

func writeTable(b *bytes.Buffer, t *schema.Table, files bool) {
	fmt.Fprintf(b, "\nCREATE OR REPLACE VIEW %s AS ", t.Name)
	if files {
		fmt.Fprintf(b, "FROM read_parquet(coalesce(getvariable('dataset'), '.') || '/%s/**/*.parquet', hive_partitioning = true);\n", t.Name)
	} else {
		b.WriteString("SELECT")
		for i := range t.Columns {
			c := &t.Columns[i]
			comma := ","
			if i == len(t.Columns)-1 {
				comma = ""
			}
			fmt.Fprintf(b, "\n  NULL::%s AS %s%s", duckType(c), c.Name, comma)
		}
		b.WriteString("\nWHERE false;\n")
	}
	comment(b, "VIEW "+t.Name, t.Doc)
}

// writeComments says what the columns of a table are. It names the table only
// by them, because of Arrow files it may be a table and not a view.
func writeComments(b *bytes.Buffer, t *schema.Table) {
	for i := range t.Columns {
		comment(b, "COLUMN "+t.Name+"."+t.Columns[i].Name, t.Columns[i].Doc)
	}
}

func (v *view) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nCREATE OR REPLACE VIEW %s AS SELECT\n", v.name)
	for i, c := range v.columns {
		comma := ","
		if i == len(v.columns)-1 {
			comma = ""
		}
		fmt.Fprintf(b, "  %s AS \"%s\"%s\n", strings.Join(strings.Fields(c.expr), " "), c.name, comma)
	}
	fmt.Fprintf(b, "%s;\n", v.from)
	comment(b, "VIEW "+v.name, v.doc)
	for _, c := range v.columns {
		comment(b, fmt.Sprintf("COLUMN %s.%q", v.name, c.name), c.doc)
	}
}

func comment(b *bytes.Buffer, on, doc string) {
	fmt.Fprintf(b, "COMMENT ON %s IS '%s';\n", on, strings.ReplaceAll(doc, "'", "''"))
}

// duckType returns DuckDB's name of a column's type.
func duckType(c *schema.Column) string {
	switch c.Kind {
	case schema.Bool:
		return "BOOLEAN"
	case schema.Int32:
		return "INTEGER"
	case schema.Int64:
		return "BIGINT"
	case schema.Float64:
		return "DOUBLE"
	case schema.Timestamp:
		return "TIMESTAMP_NS"
	case schema.String:
		return "VARCHAR"
	case schema.Bytes:
		return "BLOB"
	case schema.List:
		return duckType(c.Elem) + "[]"
	}
	fields := make([]string, len(c.Fields))
	for i := range c.Fields {
		fields[i] = fmt.Sprintf("%q %s", c.Fields[i].Name, duckType(&c.Fields[i]))
	}
	return "STRUCT(" + strings.Join(fields, ", ") + ")"
}
