package conformance

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadTable(t *testing.T) {
	type pair struct {
		Name  string `parquet:"name"`
		Value string `parquet:"value,optional"`
	}
	type row struct {
		N     int64    `parquet:"n"`
		Opt   *int32   `parquet:"opt,optional"`
		Text  string   `parquet:"text,optional"`
		Yes   *bool    `parquet:"yes,optional"`
		F     float64  `parquet:"f"`
		Names []string `parquet:"names,optional,list"`
		Pairs []pair   `parquet:"pairs,optional,list"`
	}
	zero, yes := int32(0), true
	dir := t.TempDir()
	writeRows(t, dir, "t",
		row{N: 1, Opt: &zero, Text: "x", Yes: &yes, F: 0.1, Names: []string{"a", "b"}, Pairs: []pair{{"k", "v"}, {"l", ""}}},
		row{N: -2})
	tab, err := ReadTable(dir, "t")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tab.Columns); got != "[n opt text yes f names pairs.name pairs.value]" {
		t.Errorf("columns %s", got)
	}
	want := []string{
		`n="-2" opt=NULL text=NULL yes=NULL f="0" names=NULL pairs.name=NULL pairs.value=NULL `,
		`n="1" opt="0" text="x" yes="true" f="0.1" names="a\x1fb" pairs.name="k\x1fl" pairs.value="v\x1f\x00NULL" `,
	}
	if got := tab.Lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := tab.Lines("n", "f", "names", "pairs.name", "pairs.value")[0]; got != `opt="0" text="x" yes="true" ` {
		t.Errorf("without columns: %s", got)
	}
	if tab.Int(0, "n") != 1 || tab.Get(1, "opt") != "" || tab.Get(0, "none") != "" || tab.Missing("n", "none")[0] != "none" {
		t.Error("accessors")
	}
	if u, err := ReadTable(dir, "other"); err != nil || u.Len() != 0 {
		t.Errorf("a table without parts: %v", err)
	}
	if _, err := ReadTable(dir+"/nowhere", "t"); err == nil {
		t.Error("a dataset that is not there is no error")
	}
}
