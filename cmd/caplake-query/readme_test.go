package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is one fenced block of the README.
type block struct {
	line       int
	kind, text string
}

func blocksOf(text string) (all []block) {
	var in *block
	for i, line := range strings.Split(text, "\n") {
		switch {
		case in == nil && strings.HasPrefix(line, "```"):
			in = &block{line: i + 1, kind: strings.TrimPrefix(line, "```")}
		case in != nil && line == "```":
			all = append(all, *in)
			in = nil
		case in != nil:
			in.text += line + "\n"
		}
	}
	return all
}

// notRun are the commands of the README that no test runs, by how they begin,
// and why.
func notRun() [][2]string {
	return [][2]string{
		{"git clone ", "the network"},
		{"CGO_ENABLED=0 go install ", "the network"},
		{"CGO_ENABLED=1 go install ", "the network"},
		{"make ", "builds in the checkout, beside what runs this test; .ci/run is for those"},
		{"export PATH=", "what it is for is what this test does"},
		{"tcpdump ", "root, and an interface"},
	}
}

// Each command of the README runs, and prints what the README says.
func TestREADME(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(checkout, "testdata"), filepath.Join(dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+filepath.Dir(caplake)+":"+os.Getenv("PATH"), asProgram+"=1", "GOFLAGS=-buildvcs=false")
	bash := func(b block, command string) string {
		t.Helper()
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", command)
		cmd.Dir, cmd.Env = dir, env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("README.md:%d: %s\n%v\n%s%s", b.line, command, err, out, stderr.String())
		}
		return string(out)
	}
	// In a pipe, query writes CSV. The README shows a terminal.
	onTerminal := regexp.MustCompile(`^caplake query `)
	ran := map[string]int{}
	skipped := map[string]bool{}
	for _, b := range blocksOf(string(text)) {
		switch b.kind {
		case "sh":
		lines:
			for line := range strings.Lines(b.text) {
				for _, n := range notRun() {
					if strings.HasPrefix(line, n[0]) {
						skipped[n[0]] = true
						continue lines
					}
				}
				bash(b, line)
				ran[b.kind]++
			}
		case "console":
			command, want, _ := strings.Cut(strings.TrimPrefix(b.text, "$ "), "\n")
			if got := bash(b, onTerminal.ReplaceAllString(command, "caplake query --table ")); got != want {
				t.Errorf("README.md:%d: %s\nprints\n%s\nand not\n%s", b.line, command, got, want)
			}
			ran[b.kind]++
		case "sql":
			if err := os.WriteFile(filepath.Join(dir, "block.sql"), []byte(b.text), 0o666); err != nil {
				t.Fatal(err)
			}
			bash(b, "caplake query -f block.sql out")
			ran[b.kind]++
		case "toml":
			if err := os.WriteFile(filepath.Join(dir, "block.toml"), []byte(b.text), 0o666); err != nil {
				t.Fatal(err)
			}
			bash(b, "caplake convert --config block.toml --dry-run testdata/captures")
			ran[b.kind]++
		case "go":
			if !strings.HasPrefix(b.text, "package main") {
				t.Errorf("README.md:%d: a program begins with its package", b.line)
			}
			file := filepath.Join(dir, "main.go")
			if err := os.WriteFile(file, []byte(b.text), 0o666); err != nil {
				t.Fatal(err)
			}
			if out := bash(b, "cd '"+checkout+"' && go run '"+file+"'"); out == "" {
				t.Errorf("README.md:%d: the program prints nothing", b.line)
			}
			ran[b.kind]++
		case "text":
		default:
			t.Errorf("README.md:%d: a block of kind %q, which nobody runs: sh, console, sql, toml, go, or text", b.line, b.kind)
		}
	}
	for _, kind := range []string{"sh", "console", "sql", "toml", "go"} {
		if ran[kind] == 0 {
			t.Errorf("the README has no %s that is run", kind)
		}
	}
	for _, n := range notRun() {
		if !skipped[n[0]] {
			t.Errorf("nothing in the README begins with %q", n[0])
		}
	}
}
