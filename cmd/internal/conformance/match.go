package conformance

// Record is one row of either side, in the columns of its Kind.
type Record struct {
	Group string   // records are paired within a group only
	Weak  string   // where not empty: unequal records are paired only when it is the same
	Main  []string // columns that decide whether two records are equal
	More  []string // columns that are compared and counted, but decide nothing
	Time  int64    // ns; between equal candidates one of the same time goes first
	Label string   // for people: where the record is from

	// What a Kind.same needs: of a flow, whether a direction had fragments and
	// its payload; of a client hello, that it is the second.
	frag    [2]bool
	payload [2]string
	again   bool
}

// Kind describes the records of one comparison.
type Kind struct {
	Name string
	Main []string // names of Record.Main
	More []string // names of Record.More

	// same compares a main column; nil is textual equality.
	same func(column int, truth, ours *Record) bool
}

// Unknown, as a column's text in the truth, is equal to anything: the other
// program does not say.
const Unknown = "\x00?"

func (k *Kind) equalColumn(c int, t, o *Record) bool {
	if t.Main[c] == Unknown || t.Main[c] == o.Main[c] {
		return true
	}
	return k.same != nil && k.same(c, t, o)
}

func (k *Kind) equal(t, o *Record) bool {
	for c := range k.Main {
		if !k.equalColumn(c, t, o) {
			return false
		}
	}
	return true
}

// Difference is one row that is not equal.
type Difference struct {
	Capture string   `json:"capture"`
	Table   string   `json:"table"`
	What    string   `json:"what"` // differ, missing, extra, or secondary
	Row     string   `json:"row"`
	Columns []Column `json:"columns,omitempty"`
}

// Column is a column in which a row differs.
type Column struct {
	Name  string `json:"name"`
	Truth string `json:"truth"`
	Ours  string `json:"ours"`
}

// Tally counts the outcome of comparisons.
type Tally struct {
	Truth   int            `json:"truth"`
	Equal   int            `json:"equal"`
	Differ  int            `json:"differ"`
	Missing int            `json:"missing"`
	Extra   int            `json:"extra"`
	Columns map[string]int `json:"columns"`   // main columns: rows that differ in them
	More    map[string]int `json:"secondary"` // secondary columns
}

// Percent returns the share of the truth's rows that are equal.
func (t *Tally) Percent() float64 {
	if t.Truth == 0 {
		return 100
	}
	return 100 * float64(t.Equal) / float64(t.Truth)
}

func (t *Tally) add(u *Tally) {
	t.Truth += u.Truth
	t.Equal += u.Equal
	t.Differ += u.Differ
	t.Missing += u.Missing
	t.Extra += u.Extra
	for c, n := range u.Columns {
		t.column(c, n)
	}
	for c, n := range u.More {
		t.more(c, n)
	}
}

func (t *Tally) column(c string, n int) {
	if t.Columns == nil {
		t.Columns = map[string]int{}
	}
	t.Columns[c] += n
}

func (t *Tally) more(c string, n int) {
	if t.More == nil {
		t.More = map[string]int{}
	}
	t.More[c] += n
}

// Match pairs the records of the two sides and counts. Within a group equal
// records are paired first (of the same time before others, then in order), so
// that one missing record does not shift all that follow; what is left is
// paired in order and differs; what is left of that is missing or extra.
func Match(k *Kind, truth, ours []Record) (Tally, []Difference) {
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
	take(func(t, o *Record) bool { return t.Time == o.Time && k.equal(t, o) })
	take(k.equal)
	take(func(t, o *Record) bool { return t.Weak == o.Weak && t.Time == o.Time })
	take(func(t, o *Record) bool { return t.Weak == o.Weak })

	for i := range truth {
		t := &truth[i]
		if pair[i] < 0 {
			tally.Missing++
			diffs = append(diffs, Difference{What: "missing", Row: t.describe(k)})
			continue
		}
		o := &ours[pair[i]]
		var main, more []Column
		for c, name := range k.Main {
			if !k.equalColumn(c, t, o) {
				tally.column(name, 1)
				main = append(main, Column{name, t.Main[c], o.Main[c]})
			}
		}
		for c, name := range k.More {
			if t.More[c] != Unknown && o.More[c] != Unknown && t.More[c] != o.More[c] {
				tally.more(name, 1)
				more = append(more, Column{name, t.More[c], o.More[c]})
			}
		}
		if len(main) == 0 {
			tally.Equal++
			if len(more) > 0 {
				diffs = append(diffs, Difference{What: "secondary", Row: t.Label, Columns: more})
			}
			continue
		}
		tally.Differ++
		diffs = append(diffs, Difference{What: "differ", Row: t.Label, Columns: append(main, more...)})
	}
	for j := range ours {
		if !used[j] {
			tally.Extra++
			diffs = append(diffs, Difference{What: "extra", Row: ours[j].describe(k)})
		}
	}
	return tally, diffs
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
