package conformance

import (
	_ "embed"
	"strings"
)

// acceptedText says of every class of accepted differences why it is one: a
// capture that shows it, the bytes, and the document that decides.
//
//go:embed accepted.md
var acceptedText string

// class is a rule by which a difference is no fault of ours.
type class struct {
	name     string   // its heading in accepted.md
	tables   []string // which tables of the peers it is for
	explains func(*Evidence) bool
}

// accept returns the name of the first class that explains a difference of the
// table, or nothing.
func accept(table string, e *Evidence) string {
	for _, c := range classes() {
		for _, t := range c.tables {
			if t == table && c.explains(e) {
				return c.name
			}
		}
	}
	return ""
}

// classes returns every class of accepted differences.
func classes() []class {
	return []class{}
}

// acceptedSections returns the headings of accepted.md with their text.
func acceptedSections() map[string]string {
	m := map[string]string{}
	for _, s := range strings.Split(acceptedText, "\n## ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		m[name] = strings.TrimSpace(text)
	}
	return m
}
