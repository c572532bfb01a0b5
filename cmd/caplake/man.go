package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// man prints the manual page, made from specs.
func (c *command) man(args []string) int {
	fs := flagsOf("man", nil)
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("man")
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("man takes no arguments, got %q", fs.Arg(0))
	}
	if err != nil {
		return c.usage("man", err)
	}
	return c.print(manPage())
}

func manPage() string {
	var m roff
	m.line(`.TH CAPLAKE 1 "" "caplake %s" "User Commands"`, version)
	m.line(".nh\n.ad l") // names of flags are not to be hyphenated
	m.title("NAME")
	m.line(`caplake \- convert packet captures to tables`)
	m.title("SYNOPSIS")
	for i, s := range specs() {
		if i > 0 {
			m.line(".br")
		}
		m.line(`.B caplake %s`, roffText(s.name))
		if s.synopsis != "" {
			m.text(s.synopsis)
		}
	}
	m.title("DESCRIPTION")
	m.paragraph(strings.ReplaceAll(tagline, "\n", " "))
	m.paragraph("A dataset is a directory with a folder per table and the file manifest.json, which is written last: a directory without it is no dataset.")
	for _, s := range specs() {
		if s.about == "" {
			continue
		}
		m.title("caplake " + s.name)
		for part := range strings.SplitSeq(strings.TrimSpace(s.about), "\n\n") {
			m.paragraph(strings.ReplaceAll(part, "\n", " "))
		}
		if s.groups != nil {
			for _, g := range s.groups() {
				if g.title != "Flags" {
					m.line(".SS %s", roffText(g.title))
				}
				g.flags.VisitAll(m.flag)
			}
		}
		if s.examples != "" {
			m.line(".SS Examples\n.nf")
			for line := range strings.Lines(s.examples) {
				m.text(line)
			}
			m.line(".fi")
		}
		if s.exits != "" {
			m.line(".SS Exit status")
			m.codes(s.exits)
		}
	}
	m.title("EXIT STATUS")
	m.codes(exitCodes)
	m.title("ENVIRONMENT AND CONFIGURATION FILE")
	m.paragraph(strings.ReplaceAll(origins, "\n", " "))
	m.line(".TP\n.B CAPLAKE_FLAG")
	m.text("The value of the flag of that name, in capitals and with _ for -, where the command line does not give it. Values of a list are separated by commas.")
	m.line(".TP\n.B NO_COLOR")
	m.text("If it is set to anything, errors are not colored on a terminal.")
	m.line(".TP\n.B TERM")
	m.text("If it is dumb, no line shows how far a run is.")
	m.line(".TP\n.B TMPDIR")
	m.text("Where a dry run keeps its sample, and query the dataset of a capture, while they run.")
	return m.b.String()
}

// roff is a manual page in the making.
type roff struct{ b strings.Builder }

func (m *roff) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }
func (m *roff) text(s string)                   { m.line("%s", roffText(strings.TrimRight(s, "\n"))) }
func (m *roff) paragraph(s string)              { m.line(".PP"); m.text(strings.TrimSpace(s)) }
func (m *roff) title(s string)                  { m.line(".SH %s", roffText(s)) }

func (m *roff) flag(f *pflag.Flag) {
	placeholder, text := describe(f)
	var names []string
	for _, s := range spellings(f) {
		names = append(names, `\fB`+roffText(s)+`\fR`)
	}
	head := strings.Join(names, ", ")
	if placeholder != "" {
		head += ` \fI` + roffText(placeholder) + `\fR`
	}
	m.line(".TP\n%s", head)
	m.text(text)
}

// codes writes a list of exit codes, some of which go over several lines.
func (m *roff) codes(s string) {
	for line := range strings.Lines(s) {
		code, text, _ := strings.Cut(line, " ")
		if code != "" {
			m.line(".TP\n.B %s", code)
		}
		m.text(strings.TrimSpace(text))
	}
}

// roffText escapes what roff would read as a request.
func roffText(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\(ga", "^", `\(ha`, "~", `\(ti`, "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
