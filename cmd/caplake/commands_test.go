package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/caplake/caplake/cmd/internal/compare"
	"github.com/caplake/caplake/cmd/internal/run"
)

const captures = "../../testdata/captures"

func TestInspect(t *testing.T) {
	code, stdout, stderr := caplake(t, "inspect", captures)
	if code != exitOK || stderr != "" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	golden(t, "inspection", stdout)

	code, stdout, _ = caplake(t, "inspect", "--json", "--no-hash", captures+"/tls13.pcapng")
	var found run.Inspection
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != exitOK {
		t.Fatal(code, err)
	}
	if c := found.Captures[0]; c.Packets != 142 || c.Format != "pcapng" || c.SHA256 != "" || c.LinkTypes[0] != "ethernet" || c.Damage != nil {
		t.Errorf("%+v", c)
	}
}

func TestInspectDamage(t *testing.T) {
	whole, err := os.ReadFile(captures + "/http-keepalive.pcap")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cut := write("cut.pcap", whole[:24+16+74+20])
	none := write("none.pcap", whole[:24])
	other := write("other", []byte("no capture at all"))
	for _, c := range []struct {
		path string
		code int
		want []string
	}{
		{cut, exitDamaged, []string{"damage         packet 2 at byte 114: "}},
		{none, exitOK, []string{"packets  0\n"}},
		{other, exitDamaged, []string{"damage  packet 1 at byte 0: "}},
		{dir, exitDamaged, []string{"1 file skipped, being no capture\n", "2 captures, 158 B, 1 damaged\n"}},
	} {
		code, stdout, _ := caplake(t, "inspect", c.path)
		if code != c.code {
			t.Errorf("%s: code %d, want %d", c.path, code, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: no %q in\n%s", c.path, want, stdout)
			}
		}
	}
	if code, stdout, stderr := caplake(t, "inspect", filepath.Join(dir, "nosuch")); code != exitFailed || stdout != "" || !strings.HasSuffix(stderr, "nosuch: no such file or directory\n") {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
}

// Without the program that has the database, query says how to get it, before
// it converts anything. What it answers is tested where that program is.
func TestQueryWithoutProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	code, stdout, stderr := caplake(t, "query", captures, "FROM flows")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "go install") || !strings.Contains(stderr, "make query") {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
	for _, args := range [][]string{{"query"}, {"query", "a", "b", "c"}, {"query", "--csv", "--json", "a", "b"}, {"query", "-"}, {"query", "--max-rows", "-1", "a", "b"}} {
		if code, _, _ := caplake(t, args...); code != exitUsage {
			t.Errorf("%q: code %d", args, code)
		}
	}
}

func TestDryRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	code, stdout, stderr := caplake(t, "convert", "--dry-run", captures, "-o", out)
	if code != exitOK || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"12 captures, 342 kB, in the order of their first packets:\n", " 8  2026-11-23T01:51:10.614078457Z  69.9 kB  tls13.pcapng\n", "Estimated by converting all of it:\n", "~790 packets"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
	code, stdout, _ = caplake(t, "convert", "-n", "--json", "--proto", "udp", captures)
	var f run.Forecast
	if err := json.Unmarshal([]byte(stdout), &f); err != nil || code != exitOK || len(f.Inputs) != 12 || f.Estimate == nil {
		t.Fatalf("code %d, %v, %s", code, err, stdout)
	}
	for _, table := range f.Estimate.Tables {
		if (table.Name == "http" || table.Name == "tls" || table.Name == "ssh") != (table.Rows == 0) && table.Name != "certificates" {
			t.Errorf("of UDP alone: %+v", table)
		}
	}
}

func TestRounded(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 9: 9, 99: 99, 104: 100, 105: 110, 995: 1000, 12345678: 12000000} {
		if got := rounded(n); got != want {
			t.Errorf("rounded(%d) = %d, want %d", n, got, want)
		}
	}
}

// The command line wins over the environment, which wins over the file.
func TestSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "caplake.toml")
	parsed := func(content string, env map[string]string, args ...string) (options, error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		var o options
		fs := flagsOf("convert", o.groups())
		if _, err := parse(fs, args); err != nil {
			t.Fatal(err)
		}
		return o, settings(fs, func(name string) string { return env[name] })
	}
	const content = `# a comment
out = "file"
headers = true
workers = 3
tcp-idle = "10m"
max-held = "1GiB"
port = [80, "8000-8999"]
host = "192.0.2.1,192.0.2.2"
after = 2024-05-06T07:08:09.000000001Z
before = 2024-05-07 00:00:00
no-hash = true
`
	env := map[string]string{"CAPLAKE_OUT": "env", "CAPLAKE_WORKERS": "2", "CAPLAKE_PORT": "443,53", "CAPLAKE_CONFIG": file, "CAPLAKE_CORPUS": "not ours", "CAPLAKE_HEADERS": ""}
	o, err := parsed(content, env, "-o", "line", "--no-hash=false")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"out": o.out, "workers": o.workers.String(), "tcp-idle": o.tcpIdle.String(), "max-held": o.maxHeld.String()}
	if o.headers {
		got["headers"] = "true"
	}
	if o.noHash {
		got["no-hash"] = "true"
	}
	maps.Copy(got, o.filter.Settings())
	want := map[string]string{"out": "line", "workers": "2", "tcp-idle": "10m", "max-held": "1GiB", "headers": "true", "port": "443,53",
		"host": "192.0.2.1,192.0.2.2", "after": "2024-05-06T07:08:09.000000001Z", "before": "2024-05-07T00:00:00Z"}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	for _, c := range []struct {
		content string
		env     map[string]string
		want    string
	}{
		{"outt = 1", nil, file + `: unknown setting "outt"; did you mean "out"?`},
		{"config = 'x'", nil, file + `: unknown setting "config"`},
		{"[convert]\nout = 'x'", nil, file + `: unknown setting "convert"`},
		{"workers = 0", nil, file + ": workers: want a positive number"},
		{"headers = 'perhaps'", nil, file + ": headers: want true or false"},
		{"after = 1714979289.5", nil, file + ": after: put numbers with decimals in quotes, they are kept exactly then"},
		{"out = {a = 1}", nil, file + ": out: want a word in quotes, a number, true, false or a list of these"},
		{"after = 07:08:09", nil, file + ": after: a time needs a date"},
		{"workers = 1\nshards", nil, file + ": line 2: "},
		{"workers = 0\nshards = 0", nil, file + ": shards: want a positive number\n" + file + ": workers: want a positive number"},
		{"", map[string]string{"CAPLAKE_WORKERS": "0", "CAPLAKE_JSON": "maybe"}, "CAPLAKE_WORKERS=0: want a positive number\nCAPLAKE_JSON=maybe: want true or false"},
	} {
		_, err := parsed(c.content, c.env, "--config", file)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got  %v\nwant %s", c.content, err, c.want)
		}
	}

	// Of --quiet and --verbose the one on the command line wins.
	o, err = parsed("quiet = true", nil, "--config", file, "-v")
	if err != nil || !o.quiet || !o.verbose {
		t.Fatal(o, err)
	}
	fs := flagsOf("convert", new(options).groups())
	if _, err := parse(fs, []string{"-v"}); err != nil {
		t.Fatal(err)
	}
	if err := o.validate(fs); err != nil || o.quiet || !o.verbose {
		t.Errorf("quiet %v, verbose %v, %v", o.quiet, o.verbose, err)
	}
}

// A setting in the environment reaches the run, and one file serves both commands.
func TestSettingsReachTheRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "caplake.toml")
	if err := os.WriteFile(file, []byte("json = true\nformat = 'arrow'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"CAPLAKE_CONFIG": file, "CAPLAKE_LOG_FORMAT": "json"}
	do := func(args ...string) (int, string, string) {
		var o, e bytes.Buffer
		c := command{stdin: strings.NewReader(""), stdout: &o, stderr: &e, getenv: func(n string) string { return env[n] }}
		return c.run(t.Context(), args), o.String(), e.String()
	}
	code, stdout, stderr := do("convert", captures+"/dns-udp.pcap", "-o", filepath.Join(t.TempDir(), "out"))
	var r run.Report
	if err := json.Unmarshal([]byte(stdout), &r); code != exitOK || err != nil || !strings.HasSuffix(r.Tables[0].File, ".arrow") {
		t.Errorf("code %d, %v, %s", code, err, stdout)
	}
	for line := range strings.Lines(stderr) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is no JSON: %s", line)
		}
	}
	code, _, stderr = do("convert", "nosuch", "-o", t.TempDir())
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	var last struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != exitFailed || last.Level != "ERROR" || last.Msg != "nosuch: no such file or directory" {
		t.Errorf("code %d, %+v, %v", code, last, err)
	}
	if code, stdout, _ := do("inspect", captures+"/dns-udp.pcap"); code != exitOK || !json.Valid([]byte(stdout)) {
		t.Errorf("inspect: code %d, %s", code, stdout)
	}
}

func TestVerbose(t *testing.T) {
	_, _, plain := caplake(t, "convert", captures+"/dns-udp.pcap", "-o", filepath.Join(t.TempDir(), "out"))
	_, _, verbose := caplake(t, "convert", captures+"/dns-udp.pcap", "-v", "-o", filepath.Join(t.TempDir(), "out"))
	if strings.Contains(plain, "dns-udp.pcap") || !strings.Contains(verbose, "msg=input number=1 file=dns-udp.pcap") || !strings.Contains(verbose, "msg=read file=dns-udp.pcap") {
		t.Errorf("plain\n%s\nverbose\n%s", plain, verbose)
	}
}

func TestColor(t *testing.T) {
	for color, want := range map[bool]string{false: "caplake: x\ncaplake: warning: y\n", true: "\x1b[31mcaplake:\x1b[m x\n\x1b[33mcaplake: warning:\x1b[m y\n"} {
		var e bytes.Buffer
		c := command{stderr: &e, color: color}
		c.errorf("x")
		c.warnf("y")
		if e.String() != want {
			t.Errorf("%v: %q", color, e.String())
		}
	}
}

// Every flag of every command is in the manual and in each completion.
func TestGeneratedHasEveryFlag(t *testing.T) {
	for _, args := range []string{"man", "completion bash", "completion zsh", "completion fish"} {
		code, stdout, stderr := caplake(t, strings.Fields(args)...)
		if code != exitOK || stderr != "" {
			t.Fatalf("%s: code %d, %s", args, code, stderr)
		}
		for _, s := range specs() {
			s.visit(func(f *pflag.Flag) {
				spelled := "--" + f.Name
				switch args {
				case "man":
					spelled = `\fB` + strings.ReplaceAll(spelled, "-", `\-`) + `\fR`
				case "completion fish":
					spelled = "'__fish_seen_subcommand_from " + s.name + "'"
					if f.Shorthand != "" {
						spelled += " -s " + f.Shorthand
					}
					spelled += " -l " + f.Name + " "
				}
				if !strings.Contains(stdout, spelled) {
					t.Errorf("%s: no %s", args, spelled)
				}
			})
		}
	}
	golden(t, "caplake.1", manPage())
}

func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for words, want := range map[string]string{
		"caplake in":                         "inspect",
		"caplake convert --for":              "--format",
		"caplake convert --format p":         "parquet",
		"caplake convert --format = a":       "arrow",
		"caplake convert x --log-format =":   "text json",
		"caplake convert --proto ic":         "icmp icmp6",
		"caplake convert --max-flows 1":      "",
		"caplake convert ../../testdata/cap": "../../testdata/captures",
		"caplake convert -o ../../testd":     "../../testdata",
		"caplake schema cert":                "certificates",
		"caplake completion z":               "zsh",
		"caplake inspect --j":                "--json",
	} {
		script := bashCompletion() + "\nCOMP_WORDS=(" + words + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_caplake\necho \"${COMPREPLY[*]}\"\n"
		out, err := exec.Command(bash, "--norc", "-c", script).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", words, got, err, want)
		}
	}
}

// Every flag of convert that is about the rows changes the configuration.
func TestFlagsReachTheConfiguration(t *testing.T) {
	values := map[string]string{"bool": "true", "string": "x", "N": "7", "SIZE": "7MiB", "DURATION": "7s",
		"TIME": "2024-05-06", "ADDR": "192.0.2.1", "NET": "192.0.2.0/24", "PORT": "7", "PROTO": "tcp"}
	here := []string{"dry-run", "json", "quiet", "verbose", "log-format", "config"} // the command line's own
	var plain options
	plain.groups()
	before := asJSON(t, plain.config())
	for _, g := range new(options).groups() {
		g.flags.VisitAll(func(f *pflag.Flag) {
			var o options
			fs := flagsOf("convert", o.groups())
			value, ok := values[f.Value.Type()]
			if !ok {
				t.Fatalf("--%s: no value of type %s", f.Name, f.Value.Type())
			}
			if err := fs.Set(f.Name, value); err != nil {
				t.Fatal(err)
			}
			if changed := asJSON(t, o.config()) != before; changed == slices.Contains(here, f.Name) {
				t.Errorf("--%s: configuration changed: %v", f.Name, changed)
			}
		})
	}
}

// TestCompare holds a conversion against a log that has one flow of it as it
// is, one with a packet less, and one that was never there.
func TestCompare(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := caplake(t, "convert", "-q", captures+"/http-keepalive.pcap", "-o", out); code != exitOK {
		t.Fatal(stderr)
	}
	log := filepath.Join(t.TempDir(), "eve.json")
	if err := os.WriteFile(log, []byte(`{"event_type":"stats"}
{"event_type":"flow","flow_id":1,"src_ip":"10.77.0.1","src_port":46216,"dest_ip":"10.77.0.2","dest_port":80,"proto":"TCP","app_proto":"http","flow":{"start":"2026-11-23T01:51:00.600000+0000","pkts_toserver":1,"pkts_toclient":1}}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := caplake(t, "compare", out, log)
	if code != exitDiffers || stderr != "" {
		t.Fatalf("code %d, %q", code, stderr)
	}
	for _, want := range []string{"2  flows\n", "1  flows, by suricata eve.json\n", "not compared  1  stats\n", "Open: differences that no rule explains\n", "\nmissing_here  1\n", " there 1\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	code, stdout, _ = caplake(t, "compare", "--json", out, log)
	var r compare.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != exitDiffers || r.Flows != 2 || len(r.Classes) == 0 {
		t.Errorf("code %d, %v, %s", code, err, stdout)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{out}, exitUsage, "a dataset and at least one log must be given"},
		{[]string{out, out + "x"}, exitFailed, "no such file"},
		{[]string{log, log}, exitFailed, "manifest.json"},
	} {
		if code, _, stderr := caplake(t, append([]string{"compare"}, c.args...)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: code %d, %q", c.args, code, stderr)
		}
	}
}

func TestGCPercent(t *testing.T) {
	last := uint64(0)
	for live := uint64(1 << 20); live < 1<<40; live += live / 7 {
		grown := live + live*uint64(gcPercent(live))/100
		if grown > 2*live || grown > live+live/8+128<<20 || grown < live+live/9 || grown < last {
			t.Errorf("%d bytes may grow to %d", live, grown)
		}
		last = grown - grown/50 // percents are whole
	}
}

func TestHumanSpan(t *testing.T) {
	for _, tt := range []struct {
		first, last int64
		want        string
	}{
		{0, 1, "1ns"}, {5, 5, "0s"}, {0, 90e9, "1m30s"}, {0, 2*86400e9 - 1, "47h59m59.999999999s"}, {0, 2 * 86400e9, "2 days 0s"},
		{84e9, 1715347228e9, "19,853 days 13h19m4s"}, {-1 << 63, 1<<63 - 1, "213504 days"},
	} {
		if got := humanSpan(tt.first, tt.last); got != tt.want {
			t.Errorf("%d to %d: %q, want %q", tt.first, tt.last, got, tt.want)
		}
	}
}
