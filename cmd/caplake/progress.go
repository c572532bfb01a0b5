package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/caplake/caplake/cmd/internal/run"
)

// watch does work and shows on a terminal how far it is.
func (c *command) watch(quiet bool, work func(*run.Progress) error) error {
	if quiet || !c.terminal {
		return work(nil)
	}
	var progress run.Progress
	line := progressLine{w: c.stderr, began: time.Now()}
	stop := every(200*time.Millisecond, func(now time.Time) {
		read, total, packets := progress.Snapshot()
		line.show(now, read, total, packets)
	})
	err := work(&progress)
	stop()
	line.clear()
	return err
}

// every calls f at intervals until stop is called; when stop returns, f is not
// running.
func every(interval time.Duration, f func(now time.Time)) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				f(now)
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// progressLine is one line of a terminal that says how far a conversion is.
type progressLine struct {
	w     io.Writer
	began time.Time
	drawn bool
}

// show draws the line anew. total is 0 where it is not known.
func (p *progressLine) show(now time.Time, read, total, packets int64) {
	if read == 0 {
		return // still looking for captures
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", progressText(now.Sub(p.began), read, total, packets))
	p.drawn = true
}

// clear removes the line.
func (p *progressLine) clear() {
	if p.drawn {
		io.WriteString(p.w, "\r\x1b[K")
	}
}

// progressText fits a line of 79 columns: a longer one would wrap, and what
// wraps cannot be drawn anew.
func progressText(elapsed time.Duration, read, total, packets int64) string {
	seconds := max(elapsed.Seconds(), 1e-3)
	rate := float64(read) / seconds
	s := humanBytes(read)
	if total > 0 {
		s = fmt.Sprintf("%3.0f%%  %s of %s", min(100, 100*float64(read)/float64(total)), s, humanBytes(total))
	}
	s += fmt.Sprintf("  %s packets  %s/s", humanCount(packets), humanBytes(int64(rate)))
	switch left := total - read; {
	case total > 0 && left <= 0:
		s += "  writing" // all read; flows that are still open are being ended
	case total > 0 && elapsed > time.Second:
		s += "  " + humanDuration((time.Duration(float64(left) / rate * float64(time.Second))).Round(time.Second)) + " left"
	}
	return s
}
