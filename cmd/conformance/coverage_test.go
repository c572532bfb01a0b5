package main

import (
	"bufio"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/conformance"
	"github.com/caplake/caplake/cmd/internal/run"
)

var update = flag.Bool("update", false, "name a capture for columns without one, from those that the list has")

const coverageList = "testdata/coverage.tsv"

// TestCoverage holds a capture against every column of every table: one in
// which the column says something. The columns are those of the schema, so
// that a new one asks for a capture.
func TestCoverage(t *testing.T) {
	listed := readCoverage(t)
	corpus := os.Getenv("CAPLAKE_CORPUS")
	filled := map[string]map[string]string{} // by capture; nil: it is not here
	for _, capture := range listed {
		if _, ok := filled[capture]; ok {
			continue
		}
		filled[capture] = nil
		cfg := run.Config{}
		switch {
		case strings.HasPrefix(capture, "testdata/"):
			cfg.Inputs = []string{filepath.Join("../..", capture)}
		case strings.HasPrefix(capture, "made/"):
			cfg = made(t, capture)
		case corpus != "":
			cfg.Inputs = []string{filepath.Join(corpus, "captures", capture)}
		default:
			continue
		}
		out := filepath.Join(t.TempDir(), "out")
		if err := convertWith(cfg, out); err != nil {
			t.Fatalf("%s: %v", capture, err)
		}
		filled[capture] = conformance.Filled(out)
	}
	var lines []string
	skipped := 0
	for _, c := range conformance.Columns() {
		name := c.Name()
		capture, ok := listed[name]
		delete(listed, name)
		if !ok && *update {
			var from []string
			for k, f := range filled {
				if _, ok := f[name]; ok {
					from = append(from, k)
				}
			}
			if len(from) > 0 {
				capture, ok = slices.Min(from), true
			}
		}
		switch _, says := filled[capture][name]; {
		case !ok:
			t.Errorf("%s: no capture is listed in %s; try -update, or look for one by conformance -coverage", name, coverageList)
		case ok && filled[capture] == nil:
			skipped++
		case ok && !says:
			t.Errorf("%s: %s does not fill it", name, capture)
		}
		if ok {
			lines = append(lines, name+"\t"+capture)
		}
	}
	for name := range listed {
		t.Errorf("%s: %s lists a column that there is not", name, coverageList)
	}
	if *update {
		text := "# column\tcapture: one that fills it; of testdata, of the corpus, or made by made_test.go\n" + strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(coverageList, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if skipped > 0 {
		t.Logf("%d columns not looked at: their captures are of the corpus, which CAPLAKE_CORPUS does not name", skipped)
	}
}

func readCoverage(t *testing.T) map[string]string {
	f, err := os.Open(coverageList)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := map[string]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		column, capture, ok := strings.Cut(s.Text(), "\t")
		if _, twice := listed[column]; !ok || twice {
			t.Fatalf("%s: %q", coverageList, s.Text())
		}
		listed[column] = capture
	}
	return listed
}
