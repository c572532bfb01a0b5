//go:build !unix

package run_test

import "time"

var began = time.Now()

// cpuTime stands in with the time on the clock.
func cpuTime() time.Duration { return time.Since(began) }
