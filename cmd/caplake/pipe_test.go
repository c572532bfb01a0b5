package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipe: what goes to standard output is the table as a dataset has it, and nothing
// else goes there.
func TestPipe(t *testing.T) {
	capture := captures + "/http-keepalive.pcap"
	out := filepath.Join(t.TempDir(), "out")
	if code, _, stderr := caplake(t, "convert", "-q", capture, "-o", out); code != exitOK {
		t.Fatal(stderr)
	}
	want, err := os.ReadFile(filepath.Join(out, "http", "part-00000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := caplake(t, "convert", capture, "-o", "-", "--table", "http")
	if code != exitOK || stdout != string(want) || !strings.Contains(stderr, "http") || strings.Contains(stderr, "dataset in") {
		t.Errorf("parquet: code %d, %d bytes of %d; %s", code, len(stdout), len(want), stderr)
	}
	code, stdout, stderr = caplake(t, "convert", "-q", capture, "-o", "-", "--table", "http", "--format", "ndjson")
	if code != exitOK || stderr != "" {
		t.Fatalf("ndjson: code %d; %s", code, stderr)
	}
	lines := bufio.NewScanner(strings.NewReader(stdout))
	n := 0
	for ; lines.Scan(); n++ {
		var row struct {
			FlowID int64 `json:"flow_id"`
			TS     string
			Method string
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil || row.FlowID == 0 || row.Method == "" || len(row.TS) != len("2006-01-02T15:04:05.000000000Z") {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
	}
	if n == 0 {
		t.Error("ndjson: no rows")
	}
	code, stdout, stderr = caplake(t, "convert", "-q", capture, "-o", "-", "--table", "http", "--format", "arrow")
	if code != exitOK || !strings.HasPrefix(stdout, "\xff\xff\xff\xff") {
		t.Errorf("arrow: code %d; %s", code, stderr)
	}
	code, stdout, stderr = caplake(t, "convert", "--json", "-q", capture, "-o", "-", "--table", "ssh", "--format", "ndjson")
	if code != exitOK || stdout != "" || !json.Valid([]byte(stderr)) {
		t.Errorf("no rows: code %d, %q; %s", code, stdout, stderr)
	}
}

// TestPipeToTerminal: bytes are not for the eye.
func TestPipeToTerminal(t *testing.T) {
	for format, want := range map[string]int{"parquet": exitUsage, "arrow": exitUsage, "ndjson": exitOK} {
		var o, e bytes.Buffer
		c := command{stdin: strings.NewReader(""), stdout: &o, stderr: &e, stdoutTerminal: true}
		if code := c.run(t.Context(), []string{"convert", "-q", captures + "/http-keepalive.pcap", "-o", "-", "--table", "http", "--format", format}); code != want {
			t.Errorf("%s: code %d; %s", format, code, &e)
		}
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// TestClosedPipe: that the reader has enough is no error.
func TestClosedPipe(t *testing.T) {
	var e bytes.Buffer
	c := command{stdin: strings.NewReader(""), stdout: closedPipe{}, stderr: &e}
	if code := c.run(t.Context(), []string{"convert", "-q", captures + "/http-keepalive.pcap", "-o", "-", "--table", "http"}); code != exitOK || e.Len() > 0 {
		t.Errorf("code %d; %s", code, &e)
	}
}
