package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"

	"github.com/caplake/caplake/flows"
)

// DamageError says that an input could not be read to its end, and where. What
// came before was given.
type DamageError struct {
	Name   string
	Packet uint64 // that could not be read, counted from 1
	Offset int64  // of its record, after decompression
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s: packet %d at offset %d: %s", e.Name, e.Packet, e.Offset, e.Reason)
}

// Packets is a source of the packets of captures: files, directories, patterns,
// or "-" for stdin, as NewPlan takes them and in its order. Packets that
// are of no flow are passed over. Inputs that are damaged give what comes before the
// damage; a DamageError for each of them, joined to one error, comes last.
func Packets(paths ...string) flows.Source {
	return ReadPackets(context.Background(), Config{NoHash: true}, os.Stdin, paths...)
}

// ReadPackets is Packets with a configuration, and ends early when ctx is done. Reading and decoding
// run ahead of the loop, in goroutines that end with it.
func ReadPackets(ctx context.Context, cfg Config, stdin io.Reader, paths ...string) flows.Source {
	return func(yield func(flows.Captured, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		plan, err := NewPlan(ctx, cfg, paths, stdin)
		if err != nil {
			yield(flows.Captured{}, err)
			return
		}
		defer plan.Close()

		// The loop's body runs in its own goroutine, so a batch changes hands twice.
		var damage []error
		batches, used, result := make(chan *Batch), make(chan struct{}), make(chan error, 1)
		handle := func(_ int, b *Batch) error {
			select {
			case batches <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case <-used: // b is lent
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		done := func(_ uint32, c *Capture) {
			if c.Damaged() {
				damage = append(damage, &DamageError{c.Name, c.ErrPacket, c.ErrOffset, c.Err})
			}
		}
		go func() {
			err := plan.Run(ctx, cfg, 1, handle, done)
			close(batches)
			result <- err
		}()
		for b := range batches {
			for i := range b.Packets {
				p := &b.Packets[i]
				if !yield(flows.Captured{Packet: p, Data: b.Bytes(p), Encaps: b.Encaps}, nil) {
					cancel()
					<-result
					return
				}
			}
			select {
			case used <- struct{}{}:
			case <-ctx.Done():
			}
		}
		if err := <-result; err != nil {
			yield(flows.Captured{}, err)
		} else if len(damage) > 0 {
			yield(flows.Captured{}, errors.Join(damage...))
		}
	}
}

// Frame is one frame from elsewhere than a capture file: a live interface,
// memory, another library's reader. Data is lent.
type Frame struct {
	Time    int64  // nanoseconds since the Unix epoch
	Link    uint16 // LINKTYPE_ number; 1 is Ethernet
	Data    []byte
	OrigLen int // bytes on the wire; 0: len(Data)
}

// Decode is a source of the packets of frames, decapsulated and defragmented
// as those of a capture are. An error of frames is given and ends it.
func Decode(cfg Config, frames iter.Seq2[Frame, error]) flows.Source {
	return func(yield func(flows.Captured, error) bool) {
		if err := cfg.Validate(); err != nil {
			yield(flows.Captured{}, err)
			return
		}
		b := &Batch{Input: 1}
		d := Decoder{Checksums: cfg.Checksums, NoDecap: cfg.NoDecap}
		r := run{cfg: cfg, fragment: newDefragmenter(cfg), ledger: make([]entry, 1)}
		for f, err := range frames {
			if err != nil {
				yield(flows.Captured{}, err)
				return
			}
			if f.OrigLen <= 0 {
				f.OrigLen = len(f.Data)
			}
			rec := Record{Time: f.Time, CapLen: uint32(len(f.Data)), OrigLen: uint32(min(f.OrigLen, math.MaxUint32)), Link: f.Link}
			b.First, b.Data, b.MaxTime, b.Records = b.First+1, f.Data, f.Time, append(b.Records[:0], rec)
			b.Packets, b.Encaps, b.Overflow, b.fragments = b.Packets[:0], b.Encaps[:0], b.Overflow[:0], b.fragments[:0]
			r.decode(&d, b)
			if len(b.fragments) > 0 {
				r.defragment(b)
			}
			for i := range b.Packets {
				p := &b.Packets[i]
				if !yield(flows.Captured{Packet: p, Data: b.Bytes(p), Encaps: b.Encaps}, nil) {
					return
				}
			}
		}
	}
}
