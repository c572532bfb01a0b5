package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// caplake runs the program and returns what it printed.
func caplake(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	c := command{stdin: strings.NewReader(""), stdout: &o, stderr: &e}
	code = c.run(t.Context(), args)
	return code, o.String(), e.String()
}

func TestUsageErrors(t *testing.T) {
	hint := `Run "caplake help" for usage.` + "\n"
	convert := `Run "caplake convert --help" for usage.` + "\n"
	for _, c := range []struct {
		args string
		want string // all of stderr
	}{
		{"convrt x", `caplake: unknown command "convrt"; did you mean "convert"?` + "\n" + hint},
		{"caplake_test.go", `caplake: unknown command "caplake_test.go"; to convert it: caplake convert caplake_test.go -o OUT` + "\n" + hint},
		{"xyzzy", `caplake: unknown command "xyzzy"` + "\n" + hint},
		{"-o out convert", "caplake: a command must come before -o\n" + hint},
		{"version now", `caplake: version takes no arguments, got "now"` + "\n" + hint},
		{"convert", "caplake: no captures given\ncaplake: no output directory given (-o DIR)\n" + convert},
		{"convert x --format csv -o out --shards 5000", `caplake: --format "csv": must be parquet, arrow or ndjson` + "\ncaplake: --shards 5000: must be 1 to 4096\n" + convert},
		{"convert x -o -", "caplake: -o - writes one table to standard output: say with --table which (" + strings.Join(tableNames(), ", ") + ")\n" + convert},
		{"convert x -o - --table flow", `caplake: --table "flow": must be one of ` + strings.Join(tableNames(), ", ") + "\n" + convert},
		{"convert x -o out --table dns", "caplake: --table dns is for standard output (-o -): a dataset has all tables\n" + convert},
		{"convert x -o - --table dns --partition-by hour", "caplake: --partition-by makes folders, which standard output (-o -) has not\n" + convert},
		{"convert x -o out --partition-by week --zstd-level 23", `caplake: --partition-by "week": must be date or hour` + "\ncaplake: --zstd-level 23: must be 1 to 22\n" + convert},
		{"convert --worker 2 x", "caplake: unknown flag: --worker; did you mean --workers?\n" + convert},
		{"convert --zebra x", "caplake: unknown flag: --zebra\n" + convert},
		{"convert -z x", "caplake: unknown shorthand flag: 'z' in -z\n" + convert},
		{"convert x -o", "caplake: flag needs an argument: 'o' in -o\n" + convert},
		{"convert --workers 0 x", `caplake: invalid argument "0" for "--workers" flag: want a positive number` + "\n" + convert},
		{"convert --tcp-idle 0s x", `caplake: invalid argument "0s" for "--tcp-idle" flag: want a duration such as 90s or 5m, or "never"` + "\n" + convert},
		{"convert --max-held 1.5GiB x", `caplake: invalid argument "1.5GiB" for "--max-held" flag: want a positive number of bytes such as 64MiB` + "\n" + convert},
		{"convert x -o y -q -v", "caplake: --quiet and --verbose contradict each other\n" + convert},
		{"convert x -o y --log-format xml", `caplake: --log-format "xml": must be text or json` + "\n" + convert},
		{"convert x -o y --prot tcp", "caplake: unknown flag: --prot; did you mean --proto?\n" + convert},
		{"convert x -o y --proto http", `caplake: invalid argument "http" for "--proto" flag: want an IP protocol such as tcp, udp, icmp, icmp6, sctp, gre or esp, or its number` + "\n" + convert},
		{"convert x -o y --port 80,https", `caplake: invalid argument "80,https" for "--port" flag: want a port such as 443 or a range such as 8000-8999` + "\n" + convert},
		{"convert x -o y --net 10.1.2.3/8", `caplake: invalid argument "10.1.2.3/8" for "--net" flag: it has bits set after the prefix: did you mean 10.0.0.0/8?` + "\n" + convert},
		{"convert x -o y --host localhost", `caplake: invalid argument "localhost" for "--host" flag: want an IP address such as 192.0.2.1 or 2001:db8::1` + "\n" + convert},
		{"convert x -o y --after noon", `caplake: invalid argument "noon" for "--after" flag: want a time such as 2024-05-06T07:08:09.123456789Z, or seconds since 1970 such as 1714979289.123456789` + "\n" + convert},
		{"convert x -o y --after 2024-05-07 --before 2024-05-06", "caplake: --after must be earlier than --before\n" + convert},
		{"convert x -o y --config nosuch.toml", "caplake: --config: open nosuch.toml: no such file or directory\n" + convert},
		{"convert -n", "caplake: no captures given\n" + convert},
		{"inspect", "caplake: no captures given\n" + `Run "caplake inspect --help" for usage.` + "\n"},
		{"inspect --jsno x", "caplake: unknown flag: --jsno; did you mean --json?\n" + `Run "caplake inspect --help" for usage.` + "\n"},
		{"completion", "caplake: completion wants one shell: bash, zsh or fish\n" + `Run "caplake completion --help" for usage.` + "\n"},
		{"completion tcsh", `caplake: no completion for "tcsh"; there is one for bash, zsh and fish` + "\n" + `Run "caplake completion --help" for usage.` + "\n"},
		{"man 1", `caplake: man takes no arguments, got "1"` + "\n" + `Run "caplake man --help" for usage.` + "\n"},
		{"help convrt", `caplake: unknown command "convrt"` + "\n" + hint},
		{"schema flow", `caplake: no table "flow"; there are flows, http, tls, certificates, dns, ssh, captures` + "\n" + `Run "caplake schema --help" for usage.` + "\n"},
		{"schema --format xml", `caplake: --format "xml": must be text, markdown or json` + "\n" + `Run "caplake schema --help" for usage.` + "\n"},
		{"schema --json --format text", "caplake: --json and --format text contradict each other\n" + `Run "caplake schema --help" for usage.` + "\n"},
	} {
		code, stdout, stderr := caplake(t, strings.Fields(c.args)...)
		if code != exitUsage || stdout != "" || stderr != c.want {
			t.Errorf("%s: code %d, stdout %q, stderr\n%swant\n%s", c.args, code, stdout, stderr, c.want)
		}
	}
	if code, stdout, stderr := caplake(t); code != exitUsage || stdout != "" || stderr != helpText() {
		t.Errorf("without arguments: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string]string{"help": "help", "convert": "convert --help", "schema": "help schema", "inspect": "inspect -h", "compare": "compare --help", "completion": "completion --help", "man": "help man"} {
		code, got, stderr := caplake(t, strings.Fields(args)...)
		if code != exitOK || stderr != "" {
			t.Errorf("%s: code %d, stderr %q", args, code, stderr)
		}
		for line := range strings.SplitSeq(got, "\n") {
			if n := utf8.RuneCountInString(line); n > 79 {
				t.Errorf("%s: line of %d columns: %s", args, n, line)
			}
		}
		golden(t, name, got)
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not what is in %s (go test -update writes it anew):\n%s", file, got)
	}
}

// TestDefaults: the flags' defaults are the wiring's, and every flag reaches it.
func TestDefaults(t *testing.T) {
	var o options
	for _, g := range o.groups() {
		if err := g.flags.Parse(nil); err != nil {
			t.Fatal(err)
		}
	}
	got, want := o.config(), run.Default()
	want.Version, want.Workers = version, 0
	if a, b := asJSON(t, got), asJSON(t, want); a != b {
		t.Errorf("config\n%s\nwant\n%s", a, b)
	}
}

func asJSON(t *testing.T, c run.Config) string {
	t.Helper()
	c.Stdin, c.Logger = nil, nil
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestConvert(t *testing.T) {
	const captures = "../../testdata/captures"
	out := filepath.Join(t.TempDir(), "out")
	code, stdout, stderr := caplake(t, "convert", captures, "-o", out, "--json")
	if code != exitOK {
		t.Fatalf("code %d: %s", code, stderr)
	}
	var r run.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, x := range r.Tables {
		rows[x.Name] = x.Rows
	}
	for name, want := range expected(t) {
		got, ok := rows[name]
		if name == "packets" {
			got, ok = r.Packets, true
		}
		if !ok || got != want {
			t.Errorf("%s: %d, testdata/expected.tsv says %d", name, got, want)
		}
	}
	if !strings.Contains(stderr, "msg=started") || !strings.Contains(stderr, "msg=finished") {
		t.Errorf("log without beginning or end:\n%s", stderr)
	}

	if code, _, stderr := caplake(t, "convert", captures, "-o", out, "-q"); code != exitFailed || !strings.HasPrefix(stderr, "caplake: ") {
		t.Errorf("into a dataset: code %d, %q", code, stderr)
	}
	code, stdout, stderr = caplake(t, "convert", captures, "-o", out, "--overwrite", "-q")
	if code != exitOK || stdout != "" || stderr != "" {
		t.Errorf("--quiet: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// expected returns the sums of testdata/expected.tsv's columns.
func expected(t *testing.T) map[string]int64 {
	t.Helper()
	b, err := os.ReadFile("../../testdata/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	var names []string
	for line := range strings.Lines(string(b)) {
		cells := strings.Fields(line)
		if names == nil {
			names = cells
			continue
		}
		for i := 1; i < len(cells); i++ {
			var n json.Number = json.Number(cells[i])
			v, err := n.Int64()
			if err != nil {
				t.Fatal(err)
			}
			sums[names[i]] += v
		}
	}
	return sums
}

func TestDamagedInput(t *testing.T) {
	whole, err := os.ReadFile("../../testdata/captures/http-keepalive.pcap")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cut := filepath.Join(dir, "cut.pcap")
	// The first record's header begins at byte 24 and says 74 bytes; the second
	// is cut inside of its own.
	if err := os.WriteFile(cut, whole[:24+16+74+20], 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := caplake(t, "convert", cut, "-o", filepath.Join(dir, "out"), "-q")
	if code != exitDamaged || !strings.HasPrefix(stderr, "caplake: cut.pcap: packet 2 at byte 114: ") || strings.Count(stderr, "\n") != 1 || strings.Count(stderr, "cut.pcap") != 1 {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := filepath.Join(t.TempDir(), "out")
	var o, e bytes.Buffer
	c := command{stdin: strings.NewReader(""), stdout: &o, stderr: &e}
	code := c.run(ctx, []string{"convert", "../../testdata/captures", "-o", out, "-q"})
	if code != exitInterrupted || e.String() != "caplake: interrupted; no dataset was written, nothing is left of it\n" {
		t.Errorf("code %d, stderr %q", code, e.String())
	}
	if _, err := os.Stat(filepath.Join(out, "manifest.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a manifest is there: %v", err)
	}
}

func TestSchema(t *testing.T) {
	_, all, _ := caplake(t, "schema", "--format", "markdown")
	if all != string(schema.Markdown()) {
		t.Error("markdown is not that of package schema")
	}
	for _, table := range schema.Tables() {
		_, text, _ := caplake(t, "schema", table.Name)
		_, md, _ := caplake(t, "schema", "--format", "markdown", table.Name)
		_, js, _ := caplake(t, "schema", "--json", table.Name)
		if !strings.Contains(all, md) || !strings.HasPrefix(md, "## "+table.Name+"\n") || strings.Count(md, "\n## ") > 0 {
			t.Errorf("%s: markdown is not its section", table.Name)
		}
		var doc struct{ Tables []jsonTable }
		if err := json.Unmarshal([]byte(js), &doc); err != nil || len(doc.Tables) != 1 || len(doc.Tables[0].Columns) != len(table.Columns) {
			t.Errorf("%s: json: %v", table.Name, err)
		}
		for _, c := range table.Columns {
			if !strings.Contains(text, "  "+c.Name+" ") || !strings.Contains(text, c.Doc) || !strings.Contains(md, "| "+c.Name+" |") {
				t.Errorf("%s: column %s is missing", table.Name, c.Name)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	var b bytes.Buffer
	err := writeSummary(&b, &run.Report{
		Inputs: 1, Packets: 1234567, Bytes: 1_500_000_000, Duration: 2.5, PeakMemory: 123_456_789,
		Tables:   []run.TableReport{{Name: "flows", File: "flows/part-00000.parquet", Rows: 98765, Bytes: 4321}},
		Outcomes: []run.Count{{Name: "in_flow", N: 1234000}, {Name: "not_ip", N: 567}, {Name: "cut_by_snaplen", N: 0}},
		Flags:    []run.Count{{Name: "bad_checksum", N: 3}},
		Skipped:  []string{"a", "b"},
		Damaged:  []run.Damage{{File: "x"}},
		Out:      "out",
	})
	want := `1 capture, 1.50 GB in 2.5s: 600 MB/s, 123 MB of memory

table    rows     size  file
flows  98,765  4.32 kB  flows/part-00000.parquet

packets         1,234,567
  in flow       1,234,000  100.0%
  not IP              567    0.0%
counted beside
  bad checksum          3

2 files skipped, being no capture

1 capture damaged: what came before the damage was kept

dataset in out
`
	if err != nil || b.String() != want {
		t.Errorf("%v, got\n%s", err, b.String())
	}
}

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		elapsed              time.Duration
		read, total, packets int64
		want                 string
	}{
		{500 * time.Millisecond, 50e6, 1e9, 70000, "  5%  50.0 MB of 1.00 GB  70,000 packets  100 MB/s"},
		{2 * time.Second, 200e6, 1e9, 1234567, " 20%  200 MB of 1.00 GB  1,234,567 packets  100 MB/s  8s left"},
		{2 * time.Second, 200e6, 0, 10, "200 MB  10 packets  100 MB/s"},
		{2 * time.Second, 1e9, 1e9, 10, "100%  1.00 GB of 1.00 GB  10 packets  500 MB/s  writing"},
		{400 * time.Hour, 987654321e9, 999999999e9, 123456789012345, ""},
	} {
		got := progressText(c.elapsed, c.read, c.total, c.packets)
		if c.want != "" && got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
		if len(got) > 79 {
			t.Errorf("%d columns: %q", len(got), got)
		}
	}
}

func TestProgressLine(t *testing.T) {
	var b bytes.Buffer
	began := time.Unix(0, 0)
	p := progressLine{w: &b, began: began}
	p.show(began.Add(time.Second), 0, 100, 0) // nothing read: nothing drawn
	p.clear()
	if b.Len() > 0 {
		t.Errorf("drawn too early: %q", b.String())
	}
	p.show(began.Add(time.Second), 50, 100, 1)
	p.clear()
	if want := "\r\x1b[K 50%  50 B of 100 B  1 packets  50 B/s\r\x1b[K"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestValues(t *testing.T) {
	for in, want := range map[string]int64{"1": 1, "64MiB": 64 << 20, "64M": 64 << 20, "2 gb": 2e9, "3k": 3 << 10, "10B": 10} {
		var v size
		if err := v.Set(in); err != nil || int64(v) != want {
			t.Errorf("size %q: %d, %v", in, v, err)
		}
	}
	for _, in := range []string{"", "0", "-1", "MiB", "9999999999GiB", "1e3"} {
		v := size(7)
		if err := v.Set(in); err == nil || v != 7 {
			t.Errorf("size %q: %d, %v", in, v, err)
		}
	}
	for in, want := range map[string]string{"5m": "5m", "90s": "1m30s", "never": "never", "1h": "1h0m"} {
		var v timeout
		if err := v.Set(in); err != nil || v.String() != want {
			t.Errorf("timeout %q: %s, %v", in, v.String(), err)
		}
	}
	for _, in := range []string{"", "0", "0s", "-5s", "5"} {
		v := timeout(7)
		if err := v.Set(in); err == nil || v != 7 {
			t.Errorf("timeout %q: %v", in, err)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.00 kB", 9994: "9.99 kB", 9999: "10.0 kB", 99949: "99.9 kB", 123456: "123 kB", 999499: "999 kB", 999500: "1.00 MB", 1 << 62: "4.61 EB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := humanCount(n); got != want {
			t.Errorf("humanCount(%d) = %q, want %q", n, got, want)
		}
	}
}
