package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestStatements(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
		done bool
	}{
		{"", nil, true},
		{" ; ;", nil, true},
		{"-- a note\n", nil, true},
		{"select 1", []string{"select 1"}, false},
		{"select 1;", []string{"select 1"}, true},
		{"select 1; -- ; end\n", []string{"select 1"}, true},
		{"-- title; really\nselect 1;\nselect 2", []string{"-- title; really\nselect 1", "select 2"}, false},
		{`select ';', "a;b", 'it''s;';`, []string{`select ';', "a;b", 'it''s;'`}, true},
		{`select E'a\';b';`, []string{`select E'a\';b'`}, true},
		{`select 'a\'; select 2;`, []string{`select 'a\'`, "select 2"}, true},
		{"select $$;$$, $x$ $$; $x$;", []string{"select $$;$$, $x$ $$; $x$"}, true},
		{"select a$1 from t$; select 2;", []string{"select a$1 from t$", "select 2"}, true},
		{"select /* ; /* ; */ ; */ 1;", []string{"select /* ; /* ; */ ; */ 1"}, true},
		{"select 'open; select 2;", []string{"select 'open; select 2;"}, false},
	} {
		if got := slices.Collect(statements(c.text)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
		if got := complete(c.text); got != c.done {
			t.Errorf("%q: complete %t", c.text, got)
		}
	}
}

func FuzzStatements(f *testing.F) {
	for _, s := range []string{"select 1;", "'", "$a$ ; $a$", "/*/", "--", "E'\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		for s := range statements(text) {
			n += len(s)
		}
		if n > len(text) {
			t.Errorf("%d bytes of %d", n, len(text))
		}
		complete(text)
		explained(text)
	})
}

func TestExplained(t *testing.T) {
	for text, want := range map[string]string{
		"EXPLAIN ANALYZE copy a to 'b'":                 "copy a to 'b'",
		"-- x\n explain /* y */ analyze\ncopy a to 'b'": "copy a to 'b'",
		"explain (analyze, format json) copy a to 'b'":  "copy a to 'b'",
		"explain (select 1)":                            "(select 1)",
		"explain analyzer":                              "analyzer",
	} {
		if got, ok := explained(text); strings.TrimSpace(got) != want || !ok {
			t.Errorf("%q: %q, %t", text, got, ok)
		}
	}
	if _, ok := explained("explained"); ok {
		t.Error("explained is no EXPLAIN")
	}
}

func TestGrid(t *testing.T) {
	g := grids{
		names: []string{"name", "n", "text"},
		right: []bool{false, true, false},
		whole: []bool{false, true, false},
		rows:  [][]string{{"a\x1b[31m\nb", "7", "日本"}, {"long long long long", "12345", "x"}},
	}
	for width, want := range map[int]string{
		0:  "name                     n  text\n" + "───────────────────  ─────  ────\n" + `a\x1B[31m\nb             7  日本` + "\n" + "long long long long  12345  x\n(3 rows, 2 shown)\n",
		25: "name              n  text\n" + "────────────  ─────  ────\n" + `a\x1B[31m\nb      7  日本` + "\n" + "long long l…  12345  x\n(3 rows, 2 shown)\n",
		21: "name          …  text\n" + "────────────  …  ────\n" + `a\x1B[31m\nb  …  日本` + "\n" + "long long l…  …  x\n(3 rows, 2 shown; 3 columns, 2 shown)\n",
	} {
		if got := g.text(width, 3); got != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestHistory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "history")
	h := newHistory(file)
	for _, line := range []string{"one", " ", "two", "two"} {
		h.Add(line)
	}
	h = newHistory(file)
	if h.Len() != 2 || h.At(0) != "two" || h.At(1) != "one" {
		t.Errorf("%q", h.lines)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	for range mostHistory {
		h.Add("x")
		h.Add("y")
	}
	if h = newHistory(file); h.Len() != mostHistory {
		t.Error(h.Len())
	}
	if b, _ := os.ReadFile(file); bytes.Count(b, []byte("\n")) != mostHistory {
		t.Error("the file grows for good")
	}
}

func TestComplete(t *testing.T) {
	p := prompt{words: []string{".tables", "dns", "response_bytes", "response_ts", "zeek_conn"}}
	for in, want := range map[string]string{"from zee": "from zeek_conn", "select resp": "select response_", "select x": "select x", ".t": ".tables", "d.res": "d.response_", "": ""} {
		if got, pos, ok := p.complete(in, len(in), '\t'); got != want || pos != len(want) || !ok {
			t.Errorf("%q: %q, %d, %t", in, got, pos, ok)
		}
	}
	if _, _, ok := p.complete("a", 1, 'b'); ok {
		t.Error("b completes")
	}
}

// query runs "caplake query".
func query(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(caplake, append([]string{"query"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	cmd.Wait()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestQuery(t *testing.T) {
	dir := dataset(t, "parquet")
	parquet := filepath.Join(t.TempDir(), "answer.parquet")
	file := filepath.Join(t.TempDir(), "q.sql")
	if err := os.WriteFile(file, []byte("-- two\nSELECT 1 AS a;\nSELECT 'x;y' AS b;"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stdin  string
		args   []string
		stdout string
		stderr string // a part
		code   int
	}{
		{"", []string{dir, "FROM dns SELECT qname, rcode, rtt_ns WHERE qname = 'nobody.example.test'"}, "qname,rcode,rtt_ns\nnobody.example.test,,\n", "", 0},
		{"SELECT 1 AS a, 2 AS a", []string{dir}, "a,a_1\n1,2\n", "", 0},
		{"", []string{"-f", file, dir}, "a\n1\nb\nx;y\n", "", 0},
		{"SELECT 3 AS c", []string{"--file", "-", dir}, "c\n3\n", "", 0},
		{"", []string{"--json", dir, "SELECT ts, [1, NULL] AS l, {'b': 1, 'a': 'ä'} AS s FROM flows ORDER BY ts LIMIT 1"}, `{"ts":"2026-11-23 01:51:00.516771","l":[1,null],"s":{"b":1,"a":"ä"}}` + "\n", "", 0},
		{"", []string{"--table", dir, "SELECT n, NULL AS x FROM range(100) t(n) ORDER BY n DESC"}, "", "", 0},
		{"", []string{"--table", "--max-rows", "2", dir, "SELECT n, NULL AS x FROM range(100) t(n) ORDER BY n DESC"}, " n     x\n──  ────\n99  NULL\n98  NULL\n(100 rows, 2 shown)\n", "", 0},
		{"", []string{"--echo", "--table", dir, "DESCRIBE SELECT 1 AS a"}, "DESCRIBE SELECT 1 AS a;\n\ncolumn_name  column_type  null  key   default  extra\n───────────  ───────────  ────  ────  ───────  ─────\na            INTEGER      YES   NULL  NULL     NULL\n(1 row)\n", "", 0},
		{"", []string{dir, "SET threads = 1; CREATE TABLE t AS SELECT 5 AS n; FROM t"}, "n\n5\n", "", 0},
		{"", []string{"--parquet", parquet, dir, "SELECT count(*) AS n FROM flows"}, "", "", 0},
		{"", []string{dir, "FROM '" + parquet + "'"}, "n\n77\n", "", 0},
		{"", []string{filepath.Join(testdata, "captures", "dns-udp.pcap"), "SELECT count(*) AS n, count(DISTINCT capture_id) AS c FROM dns"}, "n,c\n43,1\n", "", 0},
		{"", []string{filepath.Join(testdata, "captures"), "SELECT count(request_headers) > 0 AS h, (FROM captures SELECT count(*)) AS n FROM http"}, "h,n\ntrue,12\n", "", 0},

		{"", []string{dir, "SELECT comment FROM duckdb_columns() WHERE table_name = 'dns' AND column_name = 'transport'"}, "comment\nudp or tcp\n", "", 0},

		{"", []string{dir, "SELEC 1"}, "", "syntax error at or near \"SELEC\"", 1},
		{"", []string{dir, "SELECT 1 AS a; FROM nosuch; SELECT 2"}, "a\n1\n", "Table with name nosuch does not exist", 1},
		{"", []string{dir, " -- nothing"}, "", "no SQL was given", 1},
		{"", []string{dir, "COPY flows TO 'x.csv'"}, "", "nothing is written by SQL here", 1},
		{"", []string{dir, "EXPLAIN ANALYZE COPY flows TO 'x.csv'"}, "", "nothing is written by SQL here", 1},
		{"", []string{dir, "EXPORT DATABASE 'x'"}, "", "nothing is written by SQL here", 1},
		{"", []string{dir, "ATTACH 'x.db'"}, "", "not here", 1},
		{"", []string{dir, "INSTALL httpfs"}, "", "not here", 1},
		{"", []string{dir, "PREPARE p AS COPY flows TO 'x.csv'"}, "", "not here", 1},
		{"", []string{dir, "FROM 'https://example.test/x.parquet'"}, "", "httpfs", 1},
		{"", []string{"--parquet", filepath.Join(dir, "x.parquet"), dir, "FROM flows"}, "", "nothing is written to the dataset", 1},
		{"", []string{t.TempDir() + "/nosuch", "FROM flows"}, "", "nosuch: no such file or directory", 1},
		{"", []string{"--csv", "--json", dir, "FROM flows"}, "", "one at most", 2},
		{"", []string{dir, "FROM", "flows"}, "", "in quotes", 2},
		{"", nil, "", "no dataset or capture given", 2},
		{"", []string{"-f", file, dir, "FROM flows"}, "", "contradict", 2},
	} {
		stdout, stderr, code := query(t, c.stdin, c.args...)
		if code != c.code || !strings.Contains(stderr, c.stderr) || c.stderr == "" && stderr != "" {
			t.Errorf("%q: code %d, stderr %q", c.args, code, stderr)
		}
		if slices.Contains(c.args, "--table") && c.stdout == "" {
			if n := strings.Count(stdout, "\n"); n != 43 || !strings.HasSuffix(stdout, "\n(100 rows, 40 shown)\n") {
				t.Errorf("%q: %d lines\n%s", c.args, n, stdout)
			}
		} else if stdout != c.stdout {
			t.Errorf("%q:\n%s\nwant\n%s", c.args, stdout, c.stdout)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 9 {
		t.Errorf("the dataset has %q", left)
	}
}

// The temporary dataset of a capture goes whatever ends the query.
func TestQueryInterrupted(t *testing.T) {
	tmp := t.TempDir()
	cmd := exec.Command(caplake, "query", filepath.Join(testdata, "captures", "dns-udp.pcap"), "SELECT sum(a.n * b.n % 7) FROM range(10000000) a(n), range(1000000) b(n)")
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+tmp)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	for range 3000 { // until caplake-query is there, with its own temporary folder
		if dirs, _ := filepath.Glob(filepath.Join(tmp, "caplake-query-*")); len(dirs) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("code %d, stderr %q", code, stderr.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A dataset's views.sql defines; it does nothing else to whoever opens it.
func TestHostileViews(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(dataset(t, "parquet"))); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "written")
	for _, sql := range []string{
		"COPY (SELECT 1) TO '" + target + "' (FORMAT csv);",
		"EXPLAIN ANALYZE COPY (SELECT 1) TO '" + target + "' (FORMAT csv);",
		"ATTACH '" + target + "';",
		"SET autoload_known_extensions = true;",
	} {
		if err := os.WriteFile(filepath.Join(dir, "views.sql"), []byte(sql), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err := open(t.Context(), dir, false); err == nil {
			s.close()
			t.Errorf("%s: done", sql)
		}
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("something was written")
	}
	// A dataset from before there was such a file has its tables.
	if err := os.Remove(filepath.Join(dir, "views.sql")); err != nil {
		t.Fatal(err)
	}
	newDatabase(t, dir).want("SELECT count(*) FROM dns", "53")
}

// Every question of the examples has an answer.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile("questions.sql")
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := query(t, "", "--table", "--echo", "-f", "questions.sql", dataset(t, "parquet"))
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, %s", code, stderr)
	}
	if n, want := strings.Count(stdout, " shown)")+strings.Count(stdout, " rows)\n")+strings.Count(stdout, "(1 row)\n"), len(slices.Collect(statements(string(text)))); n != want || want < 9 || strings.Contains(stdout, "(0 rows)") {
		t.Errorf("%d answers to %d questions:\n%s", n, want, stdout)
	}
}
