package conformance

import "slices"

// Record is one row of either side, in the columns of its Kind.
type Record struct {
	Group string   // records are paired within a group only
	Weak  string   // where not empty: unequal records are paired only when it is the same
	Main  []string // columns that decide whether two records are equal
	More  []string // columns that are compared and counted, but decide nothing
	Time  int64    // ns; between equal candidates one of the same time goes first
	Label string   // for people: where the record is from

	// What the row was, for rules: of ours its index in the table, of theirs the
	// fields as they stand in the file.
	Row int
	Raw map[string]string

	again bool    // of a client hello: it is the second
	frag  [2]bool // of a flow: a direction had fragments
}

// Kind describes the records of one comparison.
type Kind struct {
	Name string
	Main []string // names of Record.Main
	More []string // names of Record.More

	// Same is asked of a column whose texts t and o differ: whether the two
	// nevertheless say the same, by a rule that is known to differ. nil is never.
	Same func(column, t, o string, truth, ours *Record) bool
}

// Unknown, as a column's text in the truth, is equal to anything: the other
// program does not say. In a secondary column of ours it says that we do not.
const Unknown = "\x00?"

func (k *Kind) equalText(column, t, o string, truth, ours *Record) bool {
	return t == Unknown || t == o || k.Same != nil && k.Same(column, t, o, truth, ours)
}

func (k *Kind) equal(t, o *Record) bool {
	for c, name := range k.Main {
		if !k.equalText(name, t.Main[c], o.Main[c], t, o) {
			return false
		}
	}
	return true
}

// distance is in how many columns two records differ, the main ones first.
func (k *Kind) distance(t, o *Record) int {
	n := 0
	for c, name := range k.Main {
		if !k.equalText(name, t.Main[c], o.Main[c], t, o) {
			n += len(k.More) + 1
		}
	}
	for c, name := range k.More {
		if !k.equalText(name, t.More[c], o.More[c], t, o) {
			n++
		}
	}
	return n
}

// Difference is one row that is not equal.
type Difference struct {
	Capture  string   `json:"capture"`
	Table    string   `json:"table"`
	What     string   `json:"what"` // differ, missing, extra, or secondary
	Row      string   `json:"row"`
	Accepted string   `json:"accepted,omitempty"` // of a missing or extra row: the class
	Columns  []Column `json:"columns,omitempty"`

	Time int64 `json:"-"` // of the row, or of ours where there is no other
}

// Column is a column in which a row differs.
type Column struct {
	Name     string `json:"name"`
	Truth    string `json:"truth"`
	Ours     string `json:"ours"`
	Accepted string `json:"accepted,omitempty"` // the class
}

// Evidence is a difference with all that a rule may look at before it accepts
// it. Truth is nil of an extra row, Ours of a missing one, whose Column is empty.
type Evidence struct {
	Column, TruthText, OursText string
	Truth, Ours                 *Record
	Kind                        *Kind
	Group                       Group // every record of the same group
	All                         struct{ Truth, Ours []Record }
	View                        *Dataset
}

// Group is the records of one group.
type Group struct{ Truth, Ours []*Record }

// Count is what became of one column.
type Count struct {
	Main     bool `json:"main"`     // the column decides whether rows are equal
	Compared int  `json:"compared"` // paired rows in which both sides say something
	Differ   int  `json:"differ"`
	Accepted int  `json:"accepted"` // of those that differ
	Missing  int  `json:"missing"`  // missing rows that have the column and that no class covers
}

// Tally counts the outcome of comparisons.
type Tally struct {
	Truth   int `json:"truth"`
	Equal   int `json:"equal"`
	Differ  int `json:"differ"`
	Missing int `json:"missing"`
	Extra   int `json:"extra"`
	// Whole is how many paired rows are equal in every column that is compared, but
	// for what a class covers.
	Whole int `json:"whole"`
	// Of the rows that differ and are missing: those that a class of accepted
	// differences covers.
	AcceptedDiffer  int `json:"accepted_differ"`
	AcceptedMissing int `json:"accepted_missing"`
	Covered         int `json:"covered"` // rows that any class touches, in whatever column
	// Rows that a class touches, in whatever column; extra rows by their causes apart,
	// since they lower nothing.
	Classes      map[string]int   `json:"classes"`
	ExtraClasses map[string]int   `json:"extra_classes"`
	Columns      map[string]Count `json:"columns"`
}

// Percent returns the share of the truth's rows that are equal.
func (t *Tally) Percent() float64 { return percent(t.Equal, t.Truth) }

// Cleared returns the share of equal rows among those that no class covers.
func (t *Tally) Cleared() float64 {
	return percent(t.Equal, t.Truth-t.AcceptedDiffer-t.AcceptedMissing)
}

// WholeCleared returns the share of rows that are equal in every column, among
// those that are not missing with a reason.
func (t *Tally) WholeCleared() float64 { return percent(t.Whole, t.Truth-t.AcceptedMissing) }

// ColumnCleared returns the share of rows in which the column is equal, among
// those in which it is compared and no class covers it. A missing row is not
// equal in any column.
func (t *Tally) ColumnCleared(name string) float64 {
	c := t.Columns[name]
	return percent(c.Compared-c.Differ, c.Compared-c.Accepted+c.Missing)
}

func percent(n, of int) float64 {
	if of <= 0 {
		return 100
	}
	return 100 * float64(n) / float64(of)
}

func (t *Tally) add(u *Tally) {
	t.Truth += u.Truth
	t.Equal += u.Equal
	t.Differ += u.Differ
	t.Missing += u.Missing
	t.Extra += u.Extra
	t.Whole += u.Whole
	t.AcceptedDiffer += u.AcceptedDiffer
	t.AcceptedMissing += u.AcceptedMissing
	t.Covered += u.Covered
	addCounts(&t.Classes, u.Classes)
	addCounts(&t.ExtraClasses, u.ExtraClasses)
	for name, n := range u.Columns {
		c := t.column(name)
		c.Main = c.Main || n.Main
		c.Compared += n.Compared
		c.Differ += n.Differ
		c.Accepted += n.Accepted
		c.Missing += n.Missing
		t.Columns[name] = c
	}
}

func (t *Tally) column(name string) Count {
	if t.Columns == nil {
		t.Columns = map[string]Count{}
	}
	return t.Columns[name]
}

// missing counts a missing row in the columns in which it says something.
func (t *Tally) missing(names, values []string) {
	for i, name := range names {
		if values[i] != Unknown {
			c := t.column(name)
			c.Missing++
			t.Columns[name] = c
		}
	}
}

func addCounts(to *map[string]int, from map[string]int) {
	for name, n := range from {
		if *to == nil {
			*to = map[string]int{}
		}
		(*to)[name] += n
	}
}

// maxDistances bounds the pairs of unequal records that are weighed against each
// other in one group; beyond it the order decides.
const maxDistances = 1 << 16

// Match pairs the records of the two sides and counts. Within a group equal
// records are paired first (of the same time before others, then in order), so
// that one missing record does not shift all that follow; what is left is
// paired with the least unlike, the earlier first, and differs; what is left of
// that is missing or extra. accept names the class that covers a difference; nil
// covers none.
func Match(k *Kind, truth, ours []Record, accept func(*Evidence) string) (Tally, []Difference) {
	tally := Tally{Truth: len(truth)}
	var diffs []Difference
	groups := map[string][]int{}
	for i := range ours {
		groups[ours[i].Group] = append(groups[ours[i].Group], i)
	}
	pair := make([]int, len(truth)) // index into ours, -1: none
	used := make([]bool, len(ours))
	for i := range pair {
		pair[i] = -1
	}
	take := func(ok func(t, o *Record) bool) {
		for i := range truth {
			if pair[i] >= 0 {
				continue
			}
			g := groups[truth[i].Group]
			for len(g) > 0 && used[g[0]] {
				g = g[1:]
			}
			groups[truth[i].Group] = g
			for _, j := range g {
				if !used[j] && ok(&truth[i], &ours[j]) {
					pair[i], used[j] = j, true
					break
				}
			}
		}
	}
	take(func(t, o *Record) bool { return t.Time == o.Time && k.equal(t, o) && k.distance(t, o) == 0 })
	take(func(t, o *Record) bool { return t.Time == o.Time && k.equal(t, o) })
	take(func(t, o *Record) bool { return k.equal(t, o) && k.distance(t, o) == 0 })
	take(k.equal)
	take(func(t, o *Record) bool { return t.Weak == o.Weak && t.Time == o.Time && t.Time != 0 })
	for i := range truth { // the least unlike
		if pair[i] >= 0 {
			continue
		}
		best, least := -1, 0
		for n, j := range groups[truth[i].Group] {
			if used[j] || truth[i].Weak != ours[j].Weak {
				continue
			}
			d := k.distance(&truth[i], &ours[j])
			if best < 0 || d < least {
				best, least = j, d
			}
			if n > maxDistances/len(truth) {
				break
			}
		}
		if best >= 0 {
			pair[i], used[best] = best, true
		}
	}

	groupOf := lazyGroups(truth, ours)
	ask := func(e Evidence) string {
		if accept == nil {
			return ""
		}
		e.Kind = k
		e.All.Truth, e.All.Ours = truth, ours
		if e.Truth != nil {
			e.Group = groupOf(e.Truth.Group)
		} else {
			e.Group = groupOf(e.Ours.Group)
		}
		return accept(&e)
	}
	for i := range truth {
		t := &truth[i]
		if pair[i] < 0 {
			tally.Missing++
			class := ask(Evidence{Truth: t})
			if class != "" {
				tally.AcceptedMissing++
				tally.Covered++
				addCounts(&tally.Classes, map[string]int{class: 1})
			} else {
				tally.missing(k.Main, t.Main)
				tally.missing(k.More, t.More)
			}
			diffs = append(diffs, Difference{What: "missing", Row: t.describe(k), Accepted: class, Time: t.Time})
			continue
		}
		o := &ours[pair[i]]
		var columns []Column
		classes := map[string]int{}
		main, mainAccepted := 0, 0
		compare := func(name, tv, ov string, decides bool) {
			if tv == Unknown || ov == Unknown && !decides {
				return
			}
			c := tally.column(name)
			c.Main = decides
			c.Compared++
			if !k.equalText(name, tv, ov, t, o) {
				class := ask(Evidence{Column: name, TruthText: tv, OursText: ov, Truth: t, Ours: o})
				c.Differ++
				if class != "" {
					c.Accepted++
					classes[class] = 1
				}
				if decides {
					main++
					if class != "" {
						mainAccepted++
					}
				}
				columns = append(columns, Column{name, tv, ov, class})
			}
			tally.Columns[name] = c
		}
		for c, name := range k.Main {
			compare(name, t.Main[c], o.Main[c], true)
		}
		for c, name := range k.More {
			compare(name, t.More[c], o.More[c], false)
		}
		addCounts(&tally.Classes, classes)
		if len(classes) > 0 {
			tally.Covered++
		}
		if !slices.ContainsFunc(columns, func(c Column) bool { return c.Accepted == "" }) {
			tally.Whole++
		}
		switch {
		case main > 0:
			tally.Differ++
			if mainAccepted == main {
				tally.AcceptedDiffer++
			}
			diffs = append(diffs, Difference{What: "differ", Row: t.Label, Columns: columns, Time: t.Time})
		default:
			tally.Equal++
			if len(columns) > 0 {
				diffs = append(diffs, Difference{What: "secondary", Row: t.Label, Columns: columns, Time: t.Time})
			}
		}
	}
	for j := range ours {
		if !used[j] {
			tally.Extra++
			class := ask(Evidence{Ours: &ours[j]})
			if class != "" {
				addCounts(&tally.ExtraClasses, map[string]int{class: 1})
			}
			diffs = append(diffs, Difference{What: "extra", Row: ours[j].describe(k), Accepted: class, Time: ours[j].Time})
		}
	}
	return tally, diffs
}

// lazyGroups returns what looks a group up; most comparisons never ask.
func lazyGroups(truth, ours []Record) func(string) Group {
	var groups map[string]*Group
	return func(name string) Group {
		if groups == nil {
			groups = map[string]*Group{}
			at := func(g string) *Group {
				if groups[g] == nil {
					groups[g] = &Group{}
				}
				return groups[g]
			}
			for i := range truth {
				g := at(truth[i].Group)
				g.Truth = append(g.Truth, &truth[i])
			}
			for i := range ours {
				g := at(ours[i].Group)
				g.Ours = append(g.Ours, &ours[i])
			}
		}
		if g := groups[name]; g != nil {
			return *g
		}
		return Group{}
	}
}

func (r *Record) describe(k *Kind) string {
	s := r.Label
	for c, name := range k.Main {
		v := r.Main[c]
		if v == Unknown {
			v = "?"
		}
		s += " " + name + "=" + v
	}
	return s
}
