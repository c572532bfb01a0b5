package schema

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

var update = flag.Bool("update", false, "write SCHEMA.md anew")

func fieldAt(row *Flow, offset uintptr) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(row), offset)
}

// TestTables checks what every table promises. That ids and names are unique
// and that every column has a document is checked by ColumnsOf.
func TestTables(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, table := range Tables() {
		if seen[table.Name] || !snake.MatchString(table.Name) || table.Doc == "" {
			t.Errorf("table %q: name or doc", table.Name)
		}
		seen[table.Name] = true
		var walk func(prefix string, columns []Column)
		walk = func(prefix string, columns []Column) {
			for i := range columns {
				c := &columns[i]
				if !snake.MatchString(c.Name) {
					t.Errorf("%s%s is not snake case", prefix, c.Name)
				}
				// The times of certificates go by the names that X.509 gives them.
				isTime := c.Name == "ts" || strings.HasSuffix(c.Name, "_ts") || slices.Contains([]string{"not_before", "not_after", "first_seen"}, c.Name)
				if isTime != (c.Kind == Timestamp) {
					t.Errorf("%s%s: %s", prefix, c.Name, c.TypeName())
				}
				if strings.HasSuffix(c.Name, "_ns") && c.TypeName() != "INT64" && c.TypeName() != "LIST<INT64>" {
					t.Errorf("%s%s: a duration is INT64", prefix, c.Name)
				}
				if strings.HasSuffix(c.Doc, ".") || strings.ContainsAny(c.Doc, "|\n") {
					t.Errorf("%s%s: doc %q", prefix, c.Name, c.Doc)
				}
				if c.Elem != nil {
					walk(prefix+c.Name+".", c.Elem.Fields)
				}
			}
		}
		walk(table.Name+".", table.Columns)
	}
}

// TestKeyColumns: every table of messages can be read without a join.
func TestKeyColumns(t *testing.T) {
	first := []string{"flow_id", "ts", "src_ip", "src_port", "dst_ip", "dst_port"}
	last := []string{"capture_id", "first_packet", "last_capture_id", "last_packet"}
	for _, table := range Tables() {
		if table.Name == "captures" || table.Name == "certificates" {
			continue
		}
		names := make([]string, len(table.Columns))
		for i := range table.Columns {
			names[i] = table.Columns[i].Name
		}
		if !reflect.DeepEqual(names[:len(first)], first) || !reflect.DeepEqual(names[len(names)-len(last):], last) {
			t.Errorf("table %s begins with %v and ends with %v", table.Name, names[:len(first)], names[len(names)-len(last):])
		}
		for i := range first {
			if table.Columns[i].ID != i+1 {
				t.Errorf("table %s: %s has id %d", table.Name, first[i], table.Columns[i].ID)
			}
		}
	}
}

func TestColumnsOfRejects(t *testing.T) {
	for _, c := range []struct {
		row  any
		want string
	}{
		{struct {
			A int64 `parquet:"a,optional" id:"1" doc:"d"`
		}{}, "zero as NULL"},
		{struct {
			A *int64 `parquet:"a" id:"1" doc:"d"`
		}{}, "needs the option optional"},
		{struct {
			A uint32 `parquet:"a" id:"1" doc:"d"`
		}{}, "type uint32"},
		{struct {
			A int64 `parquet:"a" id:"1"`
		}{}, "no doc"},
		{struct {
			A int64 `parquet:"a" doc:"d"`
		}{}, "id"},
		{struct {
			A []string `parquet:"a,optional" id:"1" doc:"d"`
		}{}, "option list"},
		{struct {
			A int64 `parquet:"a" id:"1" doc:"d"`
			B int64 `parquet:"b" id:"1" doc:"d"`
		}{}, "same id"},
		{struct {
			A int64 `parquet:"a" id:"1" doc:"d"`
			B int64 `parquet:"a" id:"2" doc:"d"`
		}{}, "two columns"},
		{struct {
			A int64 `parquet:"a,timestamp(nanosecond:utc)" id:"1" doc:"d"`
		}{}, "not in use"},
		{struct {
			A []struct {
				B uint8 `parquet:"b" id:"1" doc:"d"`
			} `parquet:"a,list" id:"1" doc:"d"`
		}{}, "type uint8"},
	} {
		_, err := ColumnsOf(reflect.TypeOf(c.row))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: error %v, want one with %q", c.row, err, c.want)
		}
	}
}

// TestSchemaFile: SCHEMA.md is what the code says. go test ./schema -update
// writes it.
func TestSchemaFile(t *testing.T) {
	want := Markdown()
	if *update {
		if err := os.WriteFile("SCHEMA.md", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("SCHEMA.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("SCHEMA.md is not what the code says: go test ./schema -update")
	}
}

// TestChangelog: a schema version has a paragraph in the change log.
func TestChangelog(t *testing.T) {
	log, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(log, []byte("\n## "+Version+"\n")) {
		t.Errorf("CHANGELOG.md has no paragraph on version %s", Version)
	}
}
