package ingest

import "iter"

// LiveConfig says how to listen to an interface. Its zero value is the defaults.
type LiveConfig struct {
	Config           // Checksums, NoDecap, the Keep functions, and the bounds on fragments
	Promiscuous bool // also what is for others
	Snaplen     int  // bytes of a frame that are captured; 0: 262,144
}

// LiveStats counts an interface's packets since it was opened.
type LiveStats struct {
	Received uint64 // by the kernel for us; what was dropped is in it
	Dropped  uint64 // by the kernel, because we were not fast enough
}

// Frames is frames in memory, for Decode.
func Frames(list ...Frame) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		for _, f := range list {
			if !yield(f, nil) {
				return
			}
		}
	}
}
