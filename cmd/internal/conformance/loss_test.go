package conformance_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/caplake/caplake/cmd/internal/conformance"
	"github.com/caplake/caplake/cmd/internal/run"
)

// TestLoss: of the captures of testdata, with packets missing, the rows whose packets are all there are there again.
func TestLoss(t *testing.T) {
	paths, err := filepath.Glob("../../../testdata/captures/*cap*")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	var c conformance.Corpus
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			c.Captures = append(c.Captures, conformance.Capture{Name: filepath.Base(p), Path: p, Scope: conformance.InScope})
		}
	}
	l := conformance.Loss{Percent: 4, Seeds: 3, Convert: func(path, out string, drop conformance.Drop) error {
		_, err := run.Convert(context.Background(), run.Config{Inputs: []string{path}, Out: out, Overwrite: true, Workers: 1, Shards: 1, NoHash: true, Drop: drop}, nil)
		return err
	}}
	lines, lost, err := l.Run(context.Background(), &c)
	if err != nil {
		t.Fatal(err)
	}
	rows, damaged := 0, 0
	for _, line := range lines {
		rows += line.Whole
		damaged += line.Rows - line.Equal
		if 10*line.WholeEqual < 9*line.Whole {
			t.Errorf("%s: of %d wholly present rows %d survive", line.Table, line.Whole, line.WholeEqual)
		}
		t.Logf("%+v", line)
	}
	if rows == 0 || damaged == 0 {
		t.Errorf("%d rows are wholly present, %d are damaged: nothing was measured", rows, damaged)
	}
	for _, r := range lost {
		t.Logf("%s of %s, packets %d to %d without %v:\nwant %s\ngot  %s", r.Table, r.Capture, r.First, r.Last, r.Dropped, r.Want, r.Got)
	}
}
