package conformance

import "testing"

// Every class says why it is one, and nothing else is said.
func TestAcceptedIsExplained(t *testing.T) {
	sections := acceptedSections()
	for _, c := range classes() {
		if len(sections[c.name]) < 100 {
			t.Errorf("accepted.md does not say why %q is accepted", c.name)
		}
		delete(sections, c.name)
		if len(c.tables) == 0 {
			t.Errorf("%q is of no table", c.name)
		}
	}
	for name := range sections {
		t.Errorf("accepted.md explains %q, which is no class", name)
	}
}
