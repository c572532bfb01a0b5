package main

import (
	"context"
	"os"
	"testing"

	"github.com/caplake/caplake/cmd/internal/conformance"
)

type inProcess struct{}

func (inProcess) Convert(_ context.Context, path, out string, o conformance.Options) conformance.Conversion {
	return convert(path, out, o)
}

// TestSample compares a part of a corpus; the command compares all of it.
func TestSample(t *testing.T) {
	dir := os.Getenv("CAPLAKE_CORPUS")
	if dir == "" {
		t.Skip("CAPLAKE_CORPUS names no corpus")
	}
	const every = 25
	c, err := conformance.OpenCorpus(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	all := c.Captures
	c.Captures = nil
	for i := 0; i < len(all); i += every {
		c.Captures = append(c.Captures, all[i])
	}
	r, err := conformance.Run(context.Background(), c, []conformance.Converter{inProcess{}, inProcess{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		t.Errorf("%s: %s", f.Capture, f.What)
	}
	compared := 0
	for i := range r.Lines {
		l := &r.Lines[i]
		compared += l.Truth
		// Of few rows one is much: the goals are for a whole corpus.
		if open := l.Truth - l.Equal - l.AcceptedDiffer - l.AcceptedMissing; !l.Apart && open > 2+l.Truth/200 {
			t.Errorf("%s: %d of %d rows are not equal and not accepted", l.Name, open, l.Truth)
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}
