package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// keepMemoryLow has the garbage collector run more often when much is live.
// By default a heap grows to twice what is live before it is collected. What
// makes a heap of ours large are flows, millions of them in a few arrays
// without pointers, which a collection passes over: it costs little, and
// waiting for it would cost as much memory as the flows.
func keepMemoryLow(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return // somebody knows better
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		set := 100
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			metrics.Read(live)
			if want := gcPercent(live[0].Value.Uint64()); want != set {
				debug.SetGCPercent(want)
				set = want
			}
		}
	}()
}

// gcPercent returns by how much a heap of which so many bytes are live may
// grow: to twice its size as usual, but by no more than 128 MiB and an eighth.
func gcPercent(live uint64) int {
	const mib = 1 << 20
	if live <= 146*mib { // where the two meet
		return 100
	}
	return int((128*mib + live/8) * 100 / live)
}
