package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is recognized by its first bytes and undone while reading:
// gzip (RFC 1952, any number of members) and Zstandard (RFC 8878, any number of frames).
const (
	compressionNone = ""
	compressionGzip = "gzip"
	compressionZstd = "zstd"

	// A Zstandard frame may ask for a window of any size; this is what the
	// highest level of the reference program asks for.
	zstdMaxWindow = 128 << 20

	pumpChunk  = 256 << 10
	pumpChunks = 4
)

// compressionOf returns the compression whose magic b begins with.
func compressionOf(b []byte) string {
	switch {
	case len(b) >= 2 && b[0] == 0x1f && b[1] == 0x8b:
		return compressionGzip
	case len(b) >= 4 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd,
		len(b) >= 4 && b[0]&0xf0 == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18: // skippable frame
		return compressionZstd
	}
	return compressionNone
}

// compressionError is what decompression says of the data, as opposed to what
// the system says of reading it.
type compressionError struct {
	compression string
	err         error
}

func (e *compressionError) Error() string {
	if errors.Is(e.err, io.ErrUnexpectedEOF) {
		return e.compression + " data ends early"
	}
	return fmt.Sprintf("%s data is damaged: %v", e.compression, e.err)
}

func (e *compressionError) Unwrap() error { return e.err }

// readError is an error of the reader below decompression.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// markedReader marks the errors of r, so that they can be told from those of
// a decompressor on top of it.
type markedReader struct{ r io.Reader }

func (m markedReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// decompressor undoes a compression. Its errors are io.EOF, *readError or
// *compressionError.
type decompressor struct {
	compression string
	raw         io.Reader

	opened bool
	r      io.Reader // nil: could not be opened
	err    error     // of opening
	free   func()
}

// open begins decompression. It reads, and so is left to the first Read.
func (d *decompressor) open() {
	d.opened = true
	switch d.compression {
	case compressionGzip:
		z, err := gzip.NewReader(bufio.NewReaderSize(d.raw, 64<<10))
		if err != nil {
			d.err = err
			return
		}
		d.r = z
	case compressionZstd:
		// Concurrency 1 decodes in the goroutine that reads, which is ours.
		z, err := zstd.NewReader(d.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow))
		if err != nil {
			d.err = err
			return
		}
		d.r, d.free = z, z.Close
	default:
		d.r = d.raw
	}
}

func (d *decompressor) close() {
	if d.free != nil {
		d.free()
	}
}

func (d *decompressor) Read(p []byte) (int, error) {
	if !d.opened {
		d.open()
	}
	n, err := 0, d.err
	if d.r != nil {
		n, err = d.r.Read(p)
	}
	var re *readError
	switch {
	case err == nil, err == io.EOF && d.r != nil:
	case errors.As(err, &re):
		err = re
	case err == io.EOF: // the end came while opening
		err = &compressionError{d.compression, io.ErrUnexpectedEOF}
	default:
		err = &compressionError{d.compression, err}
	}
	return n, err
}

// stream is the bytes of one input, decompressed.
type stream interface {
	// fill reads len(p) bytes; fewer only with an error, which is io.EOF at
	// the end, the context's, *readError or *compressionError.
	fill(ctx context.Context, p []byte) (int, error)
}

// direct is a stream without a goroutine.
type direct struct{ r io.Reader }

func (d direct) fill(ctx context.Context, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := d.r.Read(p[n:])
		n += m
		if err != nil && n < len(p) {
			return n, err
		}
	}
	return n, nil
}

// pump is a stream that a goroutine reads ahead: decompression, which takes
// its time, and standard input, whose reads cannot be interrupted.
type pump struct {
	full, empty chan []byte
	err         error // valid once full is closed
	rest        []byte
	current     []byte
	stopped     chan struct{} // closed by finish: the rest of the decompressed bytes is not wanted
	done        chan struct{} // closed when the goroutine has ended
}

// newPump starts reading from r. When r has ended or is no longer wanted, the
// goroutine calls after as its last act.
func newPump(ctx context.Context, r io.Reader, after func()) *pump {
	p := &pump{
		full:    make(chan []byte, pumpChunks),
		empty:   make(chan []byte, pumpChunks),
		stopped: make(chan struct{}),
		done:    make(chan struct{}),
	}
	for range pumpChunks {
		p.empty <- nil
	}
	go func() {
		defer close(p.done)
		defer after()
		p.run(ctx, r)
	}()
	return p
}

func (p *pump) run(ctx context.Context, r io.Reader) {
	defer close(p.full)
	for {
		var chunk []byte
		select {
		case chunk = <-p.empty:
		case <-ctx.Done():
			p.err = ctx.Err()
			return
		case <-p.stopped:
			return
		}
		if chunk == nil {
			chunk = make([]byte, pumpChunk)
		}
		n, err := direct{r}.fill(ctx, chunk[:pumpChunk])
		if n > 0 {
			p.full <- chunk[:n] // never waits: there are as many chunks as room
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

func (p *pump) fill(ctx context.Context, b []byte) (int, error) {
	n := 0
	for {
		c := copy(b[n:], p.rest)
		n, p.rest = n+c, p.rest[c:]
		if n == len(b) {
			return n, nil
		}
		if p.current != nil {
			p.empty <- p.current
			p.current = nil
		}
		select {
		case chunk, ok := <-p.full:
			if !ok {
				return n, p.err
			}
			p.current, p.rest = chunk, chunk
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// finish says that no more will be read from the stream, and waits for the
// goroutine to end or ctx to be done.
func (p *pump) finish(ctx context.Context) {
	close(p.stopped)
	select {
	case <-p.done:
	case <-ctx.Done():
	}
}
