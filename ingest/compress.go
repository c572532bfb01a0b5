package ingest

import (
	"bufio"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression is recognized by its first bytes and undone while reading: gzip
// (RFC 1952), Zstandard (RFC 8878), LZ4 frames, xz and bzip2; any number of members, frames or
// streams of one kind, back to back. What comes after the last of them and
// is none is not read, which is noted: errTrailing.
const (
	compressionNone  = ""
	compressionGzip  = "gzip"
	compressionZstd  = "zstd"
	compressionLZ4   = "lz4"
	compressionXZ    = "xz"
	compressionBzip2 = "bzip2"

	// A Zstandard frame may ask for a window of any size; this is what the
	// highest level of the reference program asks for.
	zstdMaxWindow = 128 << 20

	pumpChunk  = 256 << 10
	pumpChunks = 4

	// How many bytes compressionOf wants to see.
	compressionMagic = 10
)

// errTrailing is io.EOF with something behind it.
var errTrailing = errors.New("something follows that is no such data")

// compressionOf returns the compression whose magic b begins with.
func compressionOf(b []byte) string {
	has := func(magic string) bool { return len(b) >= len(magic) && string(b[:len(magic)]) == magic }
	switch {
	case has("\x1f\x8b"):
		return compressionGzip
	case has("\x28\xb5\x2f\xfd"),
		len(b) >= 4 && b[0]&0xf0 == 0x50 && string(b[1:4]) == "\x2a\x4d\x18": // skippable frame
		return compressionZstd
	case has("\x04\x22\x4d\x18"), has("\x02\x21\x4c\x18"): // the latter is the older framing
		return compressionLZ4
	case has(xzMagic):
		return compressionXZ
	case has("BZh") && len(b) >= 10 && b[3] >= '1' && b[3] <= '9' &&
		(string(b[4:10]) == "\x31\x41\x59\x26\x53\x59" || string(b[4:10]) == "\x17\x72\x45\x38\x50\x90"):
		return compressionBzip2
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

	opened   bool
	r        io.Reader // nil: could not be opened
	err      error     // of opening
	free     func()
	read     bool // some bytes came out
	trailing bool // at the end: something followed the compressed data
}

// open begins decompression. It reads, and so is left to the first Read.
func (d *decompressor) open() {
	d.opened = true
	switch d.compression {
	case compressionGzip:
		z := &gzipReader{in: bufio.NewReaderSize(d.raw, 64<<10)}
		if z.z, d.err = gzip.NewReader(z.in); d.err != nil {
			return
		}
		z.z.Multistream(false)
		d.r = z
	case compressionZstd:
		// Concurrency 1 decodes in the goroutine that reads, which is ours.
		z, err := zstd.NewReader(d.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMaxWindow))
		if err != nil {
			d.err = err
			return
		}
		d.r, d.free = z, z.Close
	case compressionLZ4:
		d.r = lz4.NewReader(bufio.NewReaderSize(d.raw, 64<<10))
	case compressionXZ:
		d.r = newXZReader(bufio.NewReaderSize(d.raw, 64<<10))
	case compressionBzip2:
		d.r = bzip2.NewReader(bufio.NewReaderSize(d.raw, 64<<10))
	default:
		d.r = d.raw
	}
}

// gzipReader reads members one by one, so that what follows the last one can
// be told from a damaged one.
type gzipReader struct {
	in *bufio.Reader
	z  *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := g.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		switch b, err := g.in.Peek(2); {
		case len(b) == 0:
			return 0, err
		case err != nil && err != io.EOF:
			return 0, err
		case string(b) != "\x1f\x8b":
			return 0, errTrailing
		}
		if err := g.z.Reset(g.in); err != nil {
			return 0, noEOF(err)
		}
		g.z.Multistream(false)
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
	d.read = d.read || n > 0
	var re *readError
	switch {
	case err == nil, err == io.EOF && d.r != nil:
	case errors.As(err, &re):
		err = re
	case err == io.EOF: // the end came while opening
		err = &compressionError{d.compression, io.ErrUnexpectedEOF}
	case d.trails(err):
		d.trailing, err = true, io.EOF
	default:
		err = &compressionError{d.compression, err}
	}
	return n, err
}

// trails reports whether err says that something follows the compressed data.
func (d *decompressor) trails(err error) bool {
	if err == errTrailing {
		return true
	}
	if !d.read { // the first frame itself
		return false
	}
	switch d.compression {
	case compressionZstd:
		return errors.Is(err, zstd.ErrMagicMismatch)
	case compressionLZ4:
		return errors.Is(err, lz4.ErrInvalidFrame)
	case compressionBzip2:
		return err == bzip2.StructuralError("bad magic value in continuation file")
	}
	return false
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
//
// It has a few chunks of its own. While its input is not yet the one being
// read, it may take more from a store that all pumps of a run share, so that several
// inputs are decompressed at a time; once it is, it does without, since what waits
// in memory for long is out of the processor's cache by then.
type pump struct {
	full    chan chunk
	empty   chan []byte // its own
	shared  *chunkStore // nil: none
	behind  atomic.Bool // the input is not yet being read
	err     error       // valid once full is closed
	rest    []byte
	current chunk
	stopped chan struct{} // closed by finish: the rest of the decompressed bytes is not wanted
	done    chan struct{} // closed when the goroutine has ended
}

type chunk struct {
	b      []byte
	shared bool // comes from the store
}

// chunkStore is a fixed number of chunks, made when first asked for.
type chunkStore struct{ free chan []byte }

func newChunkStore(n int) *chunkStore {
	s := &chunkStore{make(chan []byte, n)}
	for range n {
		s.free <- nil
	}
	return s
}

// newPump starts reading from r. When r has ended or is no longer wanted, the
// goroutine calls after as its last act.
func newPump(ctx context.Context, r io.Reader, shared *chunkStore, after func()) *pump {
	p := &pump{
		empty:   make(chan []byte, pumpChunks),
		shared:  shared,
		stopped: make(chan struct{}),
		done:    make(chan struct{}),
	}
	room := pumpChunks
	if shared != nil {
		room += cap(shared.free)
		p.behind.Store(true)
	}
	p.full = make(chan chunk, room)
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
		var c chunk
		select {
		case c.b = <-p.empty:
		default:
			var store chan []byte
			if p.shared != nil && p.behind.Load() {
				store = p.shared.free
			}
			select {
			case c.b = <-p.empty:
			case c.b = <-store:
				c.shared = true
			case <-ctx.Done():
				p.err = ctx.Err()
				return
			case <-p.stopped:
				return
			}
		}
		if c.b == nil {
			c.b = make([]byte, pumpChunk)
		}
		n, err := direct{r}.fill(ctx, c.b[:pumpChunk])
		if n > 0 {
			c.b = c.b[:n]
			p.full <- c // never waits: there are as many chunks as room
		} else if c.shared {
			p.shared.free <- c.b
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// begin says that the input is being read from now on.
func (p *pump) begin() { p.behind.Store(false) }

func (p *pump) fill(ctx context.Context, b []byte) (int, error) {
	n := 0
	for {
		c := copy(b[n:], p.rest)
		n, p.rest = n+c, p.rest[c:]
		if n == len(b) {
			return n, nil
		}
		p.giveBack()
		select {
		case c, ok := <-p.full:
			if !ok {
				return n, p.err
			}
			p.current, p.rest = c, c.b
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// giveBack returns the chunk that has been read.
func (p *pump) giveBack() {
	switch c := p.current; {
	case c.b == nil:
		return
	case c.shared:
		p.shared.free <- c.b
	default:
		p.empty <- c.b
	}
	p.current = chunk{}
}

// finish says that no more will be read from the stream, and waits for the
// goroutine to end or ctx to be done.
func (p *pump) finish(ctx context.Context) {
	close(p.stopped)
	select {
	case <-p.done:
	case <-ctx.Done():
		return
	}
	p.giveBack()
	for p.current = range p.full {
		p.giveBack()
	}
}
