//go:build duckdb_arrow

package main

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestArrow(t *testing.T) {
	check(t, newDatabase(t, dataset(t, "arrow")))
}

// TestArrowEqualsParquet: both formats hold the same rows in the same order.
func TestArrowEqualsParquet(t *testing.T) {
	d := newDatabase(t, dataset(t, "arrow"))
	parquet := dataset(t, "parquet")
	tables := d.rows("SELECT table_name FROM duckdb_tables()")
	if len(tables) < 7 {
		t.Fatal(tables)
	}
	for _, table := range tables {
		const numbered = "(SELECT row_number() OVER () AS row, * FROM %s)"
		other := "read_parquet(" + literal(filepath.Join(parquet, table, "*.parquet")) + ")"
		a, b := fmt.Sprintf(numbered, table), fmt.Sprintf(numbered, other)
		d.want(fmt.Sprintf("SELECT count(*) FROM ((FROM %s EXCEPT ALL FROM %s) UNION ALL (FROM %s EXCEPT ALL FROM %s))", a, b, b, a), "0")
		d.want(fmt.Sprintf("SELECT (SELECT count(*) FROM %s) = (SELECT count(*) FROM %s)", table, other), "true")
	}
}
