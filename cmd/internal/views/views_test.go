package views

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/caplake/caplake/schema"
)

func TestSQL(t *testing.T) {
	none := func(string) bool { return false }
	every := func(string) bool { return true }
	parquet := SQL("parquet", every)
	if !bytes.Equal(parquet, SQL("parquet", every)) {
		t.Error("two texts for one dataset")
	}
	if n := bytes.Count(parquet, []byte("FROM read_parquet(")); n != len(schema.Tables()) {
		t.Errorf("%d tables are read, the schema has %d", n, len(schema.Tables()))
	}
	if n := bytes.Count(SQL("parquet", none), []byte("WHERE false;")); n != len(schema.Tables()) {
		t.Errorf("%d tables are empty, of %d", n, len(schema.Tables()))
	}
	if s := SQL("arrow", every); bytes.Contains(s, []byte("VIEW flows")) || !bytes.Contains(s, []byte("VIEW zeek_conn")) {
		t.Error("of Arrow files the views alone are wanted")
	}
}

// Every column of a view has its documentation, a name of its own, and a doc
// and an expression that keep to their line.
func TestColumns(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range all() {
		names := map[string]bool{}
		for _, c := range v.columns {
			if names[strings.ToLower(c.name)] {
				t.Errorf("%s: two columns are called %s", v.name, c.name)
			}
			names[strings.ToLower(c.name)] = true
			if c.doc == "" || strings.Contains(c.doc, "\n") {
				t.Errorf("%s.%s: doc %q", v.name, c.name, c.doc)
			}
		}
		if seen[v.name] || v.doc == "" {
			t.Errorf("%s: there already, or without doc", v.name)
		}
		seen[v.name] = true
	}
}

func TestNumber(t *testing.T) {
	name := func(n uint16) string {
		if n == 28 {
			return "AAAA"
		}
		return ""
	}
	const want = `^CASE x WHEN 'AAAA' THEN 28 ELSE TRY_CAST\(substr\(x, 5\) AS INTEGER\) END$`
	if got := number("x", "TYPE", name); !regexp.MustCompile(want).MatchString(got) {
		t.Error(got)
	}
}
