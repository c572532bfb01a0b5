package conformance

import (
	"fmt"
	"testing"
)

func rec(group, time string, main ...string) Record {
	return Record{Group: group, Main: main, More: []string{""}, Time: nanoseconds(time)}
}

func TestMatch(t *testing.T) {
	k := &Kind{Name: "k", Main: []string{"a", "b"}, More: []string{"m"}}
	for _, tt := range []struct {
		name        string
		truth, ours []Record
		want        string // equal differ missing extra, columns
	}{
		{"nothing", nil, nil, "0 0 0 0 map[]"},
		{"equal", []Record{rec("g", "1", "x", "y")}, []Record{rec("g", "1", "x", "y")}, "1 0 0 0 map[]"},
		{"one column", []Record{rec("g", "1", "x", "y")}, []Record{rec("g", "1", "x", "z")}, "0 1 0 0 map[b:1]"},
		{"both columns", []Record{rec("g", "1", "x", "y")}, []Record{rec("g", "1", "y", "x")}, "0 1 0 0 map[a:1 b:1]"},
		{"another group", []Record{rec("g", "1", "x", "y")}, []Record{rec("h", "1", "x", "y")}, "0 0 1 1 map[]"},
		{"missing", []Record{rec("g", "1", "x", "y")}, nil, "0 0 1 0 map[]"},
		{"extra", nil, []Record{rec("g", "1", "x", "y")}, "0 0 0 1 map[]"},
		{"one row stands for one row", []Record{rec("g", "1", "x", "y"), rec("g", "2", "x", "y")}, []Record{rec("g", "1", "x", "y")}, "1 0 1 0 map[]"},
		{"a missing row shifts nothing", []Record{rec("g", "1", "1", ""), rec("g", "2", "2", ""), rec("g", "3", "3", "")},
			[]Record{rec("g", "2", "2", ""), rec("g", "3", "3", "")}, "2 0 1 0 map[]"},
		{"an equal row is not spent on an unequal one", []Record{rec("g", "1", "x", "1"), rec("g", "2", "x", "2")},
			[]Record{rec("g", "1", "x", "2")}, "1 0 1 0 map[]"},
		{"the truth does not say", []Record{rec("g", "1", Unknown, "y")}, []Record{rec("g", "1", "x", "y")}, "1 0 0 0 map[]"},
		{"ours must say", []Record{rec("g", "1", "x", "y")}, []Record{rec("g", "1", Unknown, "y")}, "0 1 0 0 map[a:1]"},
	} {
		tally, diffs := Match(k, tt.truth, tt.ours, nil)
		columns := differing(&tally, true)
		if got := fmt.Sprint(tally.Equal, tally.Differ, tally.Missing, tally.Extra, columns); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if tally.Truth != len(tt.truth) || len(diffs) != tally.Differ+tally.Missing+tally.Extra {
			t.Errorf("%s: truth %d, %d differences told", tt.name, tally.Truth, len(diffs))
		}
	}
}

func TestMatchWeak(t *testing.T) {
	k := &Kind{Main: []string{"a"}}
	truth := []Record{{Weak: "1", Main: []string{"x"}}, {Weak: "2", Main: []string{"y"}}}
	ours := []Record{{Weak: "2", Main: []string{"z"}}, {Weak: "3", Main: []string{"w"}}}
	tally, _ := Match(k, truth, ours, nil)
	if tally.Differ != 1 || tally.Missing != 1 || tally.Extra != 1 {
		t.Errorf("%+v: unequal records with another weak key were paired", tally)
	}
}

func TestMatchSecondary(t *testing.T) {
	k := &Kind{Main: []string{"a"}, More: []string{"m", "n"}}
	truth := []Record{{Main: []string{"x"}, More: []string{"1", "2"}}}
	ours := []Record{{Main: []string{"x"}, More: []string{"1", "3"}}}
	tally, diffs := Match(k, truth, ours, nil)
	if tally.Equal != 1 || tally.Columns["n"].Differ != 1 || tally.Columns["m"].Differ != 0 {
		t.Errorf("%+v", tally)
	}
	if len(diffs) != 1 || diffs[0].What != "secondary" || fmt.Sprint(diffs[0].Columns) != "[{n 2 3 }]" {
		t.Errorf("%+v", diffs)
	}
}

// The least unlike are paired, however they are ordered.
func TestMatchLeastUnlike(t *testing.T) {
	k := &Kind{Main: []string{"a", "b", "c"}}
	truth := []Record{{Main: []string{"1", "1", "x"}}, {Main: []string{"2", "2", "x"}}}
	ours := []Record{{Main: []string{"2", "2", "y"}}, {Main: []string{"1", "1", "y"}}}
	if tally, _ := Match(k, truth, ours, nil); fmt.Sprint(tally.Differ, differing(&tally, true)) != "2 map[c:2]" {
		t.Errorf("%+v", tally)
	}
}

// What a class covers leaves the score without accepted differences, a row only
// when it is all covered, and one class counts once for a row.
func TestMatchAccepted(t *testing.T) {
	k := &Kind{Main: []string{"a", "b"}, More: []string{"m"}}
	r := func(group, a, b, m string) Record {
		return Record{Group: group, Main: []string{a, b}, More: []string{m}}
	}
	truth := []Record{r("1", "x", "x", ""), r("2", "x", "x", ""), r("3", "x", "x", ""), r("4", "x", "x", "x"), r("5", "x", "x", ""), r("gone", "", "", "")}
	ours := []Record{r("1", "x", "x", ""), r("2", "y", "y", ""), r("3", "z", "y", ""), r("4", "x", "x", "y"), r("5", "x", "z", ""), r("more", "", "", "")}
	tally, diffs := Match(k, truth, ours, func(e *Evidence) string {
		if e.Truth == nil && e.Ours.Group != "more" || e.Ours == nil && e.Truth.Group != "gone" {
			t.Errorf("%+v", e)
		}
		if e.OursText == "z" || len(e.Group.Truth)+len(e.Group.Ours) == 0 {
			return ""
		}
		return "class"
	})
	if got := fmt.Sprint(tally.Equal, tally.Differ, tally.AcceptedDiffer, tally.Missing, tally.AcceptedMissing, tally.Classes, tally.ExtraClasses); got != "2 3 1 1 1 map[class:4] map[class:1]" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%.1f %.1f %.1f", tally.Percent(), tally.Cleared(), tally.ColumnCleared("b")); got != "33.3 50.0 66.7" {
		t.Error(got, tally.Columns)
	}
	if len(diffs) != 6 {
		t.Errorf("%+v", diffs)
	}
}
