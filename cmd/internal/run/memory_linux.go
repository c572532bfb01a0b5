package run

import "golang.org/x/sys/unix"

// peakMemory returns the most bytes that were resident at a time.
func peakMemory() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return int64(u.Maxrss) << 10
}
