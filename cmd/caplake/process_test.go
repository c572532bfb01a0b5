//go:build unix

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the program itself where a test asks for that.
func TestMain(m *testing.M) {
	if os.Getenv("CAPLAKE_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "CAPLAKE_TEST_AS_PROGRAM=1")
	return cmd
}

// Whoever stops reading the output gets no noise.
func TestBrokenPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	var stderr bytes.Buffer
	cmd := program(t, "schema")
	cmd.Stdout, cmd.Stderr = w, &stderr
	err = cmd.Run()
	w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
		t.Errorf("%v, stderr %q", err, stderr.String())
	}
}

// An interrupt ends a run that waits for its input, and says what is left.
func TestInterrupt(t *testing.T) {
	start, err := os.ReadFile(captures + "/http-keepalive.pcap")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	run := func() (string, int) {
		cmd := program(t, "convert", "-", "-o", out, "--overwrite", "--quiet")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() }).Stop()
		if _, err := io.Copy(stdin, bytes.NewReader(start)); err != nil {
			t.Error(err)
		}
		for range 200 { // until the output is begun
			if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
				time.Sleep(100 * time.Millisecond)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		return stderr.String(), cmd.ProcessState.ExitCode()
	}
	if stderr, code := run(); code != exitInterrupted || stderr != "caplake: interrupted; no dataset was written, nothing is left of it\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}

	if code, _, stderr := caplake(t, "convert", captures, "-o", out, "-q"); code != exitOK {
		t.Fatal(stderr)
	}
	before, err := os.ReadFile(filepath.Join(out, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if stderr, code := run(); code != exitInterrupted || !strings.HasSuffix(stderr, "; the dataset that was in "+out+" is as it was\n") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	if after, err := os.ReadFile(filepath.Join(out, "manifest.json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the dataset has changed: %v", err)
	}
}
