package parsertest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// lines is a parser of lines that keeps the laws, unless broken says otherwise.
type lines struct {
	broken string
	buf    [2][]byte
	kept   [][]byte
	fins   int
}

// Held says what p holds, unless it is one that says nothing.
func (p *lines) Held() int {
	if p.broken == "silent" {
		return 0
	}
	return int(unsafe.Sizeof(*p)) + cap(p.buf[0]) + cap(p.buf[1])
}

func (p *lines) GivenUp() int { return 0 }

// maxLine is what is kept of a line.
const maxLine = 1000

type line struct {
	text []byte
	at   flows.Stamp
}

func (p *lines) Feed(dst []line, side flows.Side, at flows.Stamp, data []byte) []line {
	switch p.broken {
	case "cut":
		if len(data) == 1 && data[0] == '\n' && len(p.buf[side]) > 0 {
			return dst
		}
	case "allocates":
		p.kept = append(p.kept[:0], bytes.Clone(data))
	case "holds":
		p.kept = append(p.kept, bytes.Clone(data))
	}
	for {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			if p.broken == "keeps" && len(p.buf[side]) == 0 {
				p.buf[side] = data
			} else {
				p.buf[side] = append(p.buf[side], data[:min(len(data), max(0, maxLine-len(p.buf[side])))]...)
			}
			return dst
		}
		dst = append(dst, line{append(p.buf[side], data[:min(i, max(0, maxLine-len(p.buf[side])))]...), at})
		p.buf[side], data = nil, data[i+1:]
	}
}

func (p *lines) Gap(dst []line, side flows.Side, at flows.Stamp, n int64) []line { return dst }
func (p *lines) Fin(dst []line, side flows.Side, at flows.Stamp) []line          { p.fins++; return dst }
func (p *lines) Rst(dst []line, side flows.Side, at flows.Stamp) []line          { return dst }
func (p *lines) End(dst []line) []line                                           { return dst }
func (p *lines) Done() bool                                                      { return p.broken == "done" && p.fins > 0 }
func (p *lines) Reset() {
	if p.broken != "reset" {
		*p = lines{broken: p.broken}
	}
}

// faults collects what the laws find.
type faults struct{ list []string }

func (f *faults) Helper()                        {}
func (f *faults) Logf(string, ...any)            {}
func (f *faults) Errorf(format string, a ...any) { f.list = append(f.list, fmt.Sprintf(format, a...)) }

// TestLawsBite: each law finds the parser that breaks it, and nothing in one that does not.
func TestLawsBite(t *testing.T) {
	for broken, want := range map[string]string{
		"":          "",
		"cut":       "byte by byte",
		"keeps":     "byte by byte",
		"done":      "no bytes after Done",
		"reset":     "truncated after",
		"allocates": "allocations a packet",
		"holds":     "more than 8192",
		"silent":    "bytes and says 0",
	} {
		s := Session[line]{
			New:  func() parsers.SessionParser[line] { return &lines{broken: broken} },
			Text: func(m *line) string { return fmt.Sprintf("%q %d", m.text, m.at.Pos.Packet()) },
			Scripts: []Script{{Name: "three", Messages: 4, Calls: []Call{
				Feed(0, "one\ntw"), Feed(1, "\n"), Fin(1), Feed(0, "o\nthree\n"),
			}}},
			MaxHeld: 8 << 10,
			Quiet:   []Call{Feed(0, "x"), Feed(0, strings.Repeat("x", 998))},
			Again:   Feed(0, "y"),
		}
		var f faults
		s.script(&f, s.Scripts[0])
		s.random(&f)
		s.memory(&f)
		s.quiet(&f)
		all := strings.Join(f.list, "\n")
		if (want == "") != (all == "") || !strings.Contains(all, want) {
			t.Errorf("%q: the laws say\n%s", broken, all)
		}
	}
}
