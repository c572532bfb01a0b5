package conformance

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the child.
func TestMain(m *testing.M) {
	if os.Getenv("CONFORMANCE_TEST_CHILD") != "" {
		Serve(os.Stdin, os.Stdout, func(path, out string, o Options) Conversion {
			switch path {
			case "panic":
				panic("at the disco")
			case "sleep":
				time.Sleep(time.Hour)
			}
			if o.NoTimeouts {
				out += " told"
			}
			return Conversion{Packets: int64(len(path)), Error: out}
		})
		return
	}
	os.Exit(m.Run())
}

func TestChild(t *testing.T) {
	t.Setenv("CONFORMANCE_TEST_CHILD", "yes")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &Child{Command: []string{self}, Timeout: time.Minute}
	defer c.Close()
	ctx := context.Background()
	if got := c.Convert(ctx, "four", "said", Options{NoTimeouts: true}); got.Packets != 4 || got.Error != "said told" || got.Crash != "" {
		t.Errorf("%+v", got)
	}
	if got := c.Convert(ctx, "panic", "", Options{}); !strings.Contains(got.Crash, "panic: at the disco") || !strings.Contains(got.Crash, "child_test.go:") {
		t.Errorf("%+v", got)
	}
	if got := c.Convert(ctx, "after", "", Options{}); got.Packets != 5 || got.Crash != "" {
		t.Errorf("after a crash: %+v", got)
	}
	c.Timeout = 50 * time.Millisecond
	if got := c.Convert(ctx, "sleep", "", Options{}); !strings.Contains(got.Crash, "not done after 50ms") {
		t.Errorf("%+v", got)
	}
	c.Timeout = time.Minute
	if got := c.Convert(ctx, "again", "", Options{}); got.Packets != 5 {
		t.Errorf("after a stop: %+v", got)
	}
	c = &Child{Command: []string{self + "-not-there"}, Timeout: time.Minute}
	if got := c.Convert(ctx, "x", "", Options{}); got.Crash == "" {
		t.Errorf("%+v", got)
	}
}
