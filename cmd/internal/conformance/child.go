package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// job is what a child is asked: convert Path into a dataset in Out, by Options.
type job struct {
	Path    string  `json:"path"`
	Out     string  `json:"out"`
	Options Options `json:"options"`
}

// Serve is a child's loop: it answers each job that it reads from r on w.
func Serve(r io.Reader, w io.Writer, convert func(path, out string, o Options) Conversion) error {
	dec, enc := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var j job
		if err := dec.Decode(&j); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		start := time.Now()
		c := convert(j.Path, j.Out, j.Options)
		c.Seconds = time.Since(start).Seconds()
		if err := enc.Encode(c); err != nil {
			return err
		}
	}
}

// Child converts in another process, which runs Serve: a crash or an endless
// loop costs one capture, not the run. The process is kept from one capture to
// the next and started again after it died.
type Child struct {
	Command []string      // with arguments
	Timeout time.Duration // for one capture

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
}

// Convert implements Converter.
func (c *Child) Convert(ctx context.Context, path, out string, o Options) Conversion {
	if c.cmd == nil {
		if err := c.start(); err != nil {
			return Conversion{Crash: err.Error()}
		}
	}
	start := time.Now()
	cmd := c.cmd
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()

	b, err := json.Marshal(job{path, out, o})
	if err == nil {
		_, err = c.in.Write(append(b, '\n'))
	}
	var answer Conversion
	if err == nil {
		var line []byte
		if line, err = c.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &answer)
		}
	}
	if err == nil {
		return answer
	}
	timedOut := ctx.Err() != nil
	c.in.Close()
	cmd.Process.Kill()
	err = cmd.Wait()
	c.cmd = nil
	answer = Conversion{Seconds: time.Since(start).Seconds()}
	if timedOut {
		answer.Crash = fmt.Sprintf("not done after %v", c.Timeout)
	} else {
		answer.Crash = strings.TrimSpace(fmt.Sprintf("%v: %s", err, c.stderr.firstLines()))
	}
	return answer
}

// Close ends the child.
func (c *Child) Close() {
	if c.cmd != nil {
		c.in.Close()
		c.cmd.Wait()
		c.cmd = nil
	}
}

func (c *Child) start() error {
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.stderr = &tail{}
	cmd.Stderr = c.stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	c.cmd, c.in, c.out = cmd, in, bufio.NewReader(out)
	return nil
}

// tail keeps the beginning of what a child says before it dies: a panic's
// message and its first frames.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), 8192-len(t.b))]...)
	return len(p), nil
}

// firstLines returns the panic and its first frames.
func (t *tail) firstLines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var keep []string
	for l := range strings.Lines(string(t.b)) {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:") ||
			len(keep) > 0 && len(keep) < 4 && strings.Contains(l, ".go:") && !strings.Contains(l, "/src/runtime/") {
			keep = append(keep, l)
		}
	}
	if keep == nil {
		return strings.TrimSpace(string(t.b[:min(len(t.b), 300)]))
	}
	return strings.Join(keep, " | ")
}
