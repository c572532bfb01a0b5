package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// grids is an answer to be printed as a table.
type grids struct {
	names []string
	right []bool // numbers
	whole []bool // of no use when cut: numbers and times
	rows  [][]string
}

const (
	gap      = "  "
	leastCut = 12 // a text is not cut to less
	mostCell = 500
)

// text returns the table, fitted to a width (0: any), and a line that counts
// the rows, of which there are total.
func (g *grids) text(width int, total int64) string {
	cells := make([][]string, len(g.rows)+1)
	cells[0] = make([]string, len(g.names))
	for i, name := range g.names {
		cells[0][i] = clean(name)
	}
	for n, row := range g.rows {
		cells[n+1] = make([]string, len(row))
		for i, c := range row {
			cells[n+1][i] = clean(c)
		}
	}
	widths := make([]int, len(g.names))
	for _, row := range cells {
		for i, c := range row {
			widths[i] = max(widths[i], columns(c))
		}
	}
	least := make([]int, len(widths))
	for i, w := range widths {
		if least[i] = w; !g.whole[i] {
			least[i] = min(w, leastCut)
		}
	}
	shown := fit(widths, least, width)

	var b strings.Builder
	line := func(row []string, right bool) {
		var l strings.Builder
		for k, i := range shown {
			if k > 0 {
				l.WriteString(gap)
			}
			if i < 0 {
				l.WriteString("…")
				continue
			}
			c := cut(row[i], widths[i])
			pad := strings.Repeat(" ", widths[i]-columns(c))
			if right && g.right[i] {
				l.WriteString(pad + c)
			} else {
				l.WriteString(c + pad)
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(cells[0], true)
	rule := make([]string, len(widths))
	for i, w := range widths {
		rule[i] = strings.Repeat("─", w)
	}
	line(rule, false)
	for _, row := range cells[1:] {
		line(row, true)
	}

	fmt.Fprintf(&b, "(%s", plural(total, "row"))
	if int64(len(g.rows)) < total {
		fmt.Fprintf(&b, ", %d shown", len(g.rows))
	}
	hidden := len(g.names)
	for _, i := range shown {
		if i >= 0 {
			hidden--
		}
	}
	if hidden > 0 {
		fmt.Fprintf(&b, "; %s, %d shown", plural(int64(len(g.names)), "column"), len(g.names)-hidden)
	}
	b.WriteString(")\n")
	return b.String()
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// fit cuts the widest of the widths, down to the least, until all have room,
// and says which columns are shown: all or, where even cut ones have no room,
// those at both ends with -1 for what is between.
func fit(widths, least []int, width int) (shown []int) {
	for i := range widths {
		shown = append(shown, i)
	}
	if width <= 0 {
		return shown
	}
	taken := func(most int) (n int) {
		for _, i := range shown {
			n += len(gap) + 1
			if i >= 0 {
				n += max(least[i], min(widths[i], most)) - 1
			}
		}
		return n - len(gap)
	}
	if taken(0) > width {
		var left, right []int
		for a, b, room := 0, len(widths)-1, width-1; a <= b; {
			i := a
			if len(left) > len(right) {
				i = b
			}
			if room -= least[i] + len(gap); room < 0 && len(left) > 0 {
				break
			}
			if i == a {
				left, a = append(left, i), a+1
			} else {
				right, b = append(right, i), b-1
			}
		}
		slices.Reverse(right)
		shown = append(append(left, -1), right...)
	}
	most := 0
	for _, i := range shown {
		if i >= 0 {
			most = max(most, widths[i])
		}
	}
	for most > 0 && taken(most) > width {
		most--
	}
	for i := range widths {
		widths[i] = max(least[i], min(widths[i], most))
	}
	return shown
}

// clean returns a value on one line, without what a terminal would obey.
func clean(s string) string {
	plain := len(s) <= mostCell
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f
	}
	if plain {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > mostCell {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02X`, r)
		case unicode.Is(unicode.C, r) || r == utf8.RuneError:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cut shortens a text to a width.
func cut(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// columns returns how many columns of a terminal a text takes.
func columns(s string) (n int) {
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}
