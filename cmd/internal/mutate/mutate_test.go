package mutate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelations: all relations hold over the captures of testdata, and each applies to some. With
// CAPLAKE_CORPUS, see the command conformance -mutate.
func TestRelations(t *testing.T) {
	names, err := filepath.Glob("../../../testdata/captures/*cap*")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	lines, err := Run(Relations(), names, names, "", func(v Violation) { t.Error(v) })
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if l.Rows == 0 {
			t.Errorf("%s: nothing was compared", l.Relation)
		}
	}
	var b strings.Builder
	if err := Print(&b, lines); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
}

// TestViolations: a relation that does not hold is told.
func TestViolations(t *testing.T) {
	path := "../../../testdata/captures/http-keepalive.pcap"
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	without := Relation{Name: "without", Make: func(in Input) *Case { return &Case{Files: [][]byte{plain(in.Packets[1:])}} }}
	panics := Relation{Name: "panics", Make: func(in Input) *Case { panic("broken") }}
	told := map[string]int{}
	lines, err := Run([]Relation{without, panics}, []string{path}, []string{path}, "", func(v Violation) { told[v.Relation+" "+v.Table]++ })
	if err != nil {
		t.Fatal(err)
	}
	if told["without flows"] == 0 || told["without captures"] != 1 || told["panics "] != 1 || lines[0].Broken != 1 || lines[1].Broken != 1 {
		t.Error(told, lines)
	}
}
