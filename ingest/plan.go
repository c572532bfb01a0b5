package ingest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Plan is what a run will read, in the order in which it will.
type Plan struct {
	// Inputs are in the order of their first packet's time, then name. Those without a packet that has a time,
	// damaged ones among them, come first. An input's number is its index
	// plus one.
	Inputs []Input

	// Skipped are the names of files below directory arguments that are no
	// captures, sorted.
	Skipped []string

	temporary []string // copies of archives that can be read only once

	progress Progress
	scribble bool // tests: overwrite what goes out of date
}

// Input is one capture file.
type Input struct {
	// Path is what to open; "-" is standard input.
	Path string

	// Name is what output calls it, with slashes: for a file below a directory argument the
	// path from that directory; for a file argument the path as given if that
	// is relative and does not lead upwards, otherwise its last element. It
	// does not depend on where the captures are kept, and need not be unique.
	Name string

	Size      int64 // in bytes, as stored; -1 if that is not known before the end
	FirstTime int64 // of the first packet that has a time; where HasTime
	HasTime   bool

	peeked      *peeked                       // of what can be read only once
	member      member                        // of what is in an archive
	compression string                        // as planning found it
	fault       *damage                       // why there is nothing to read: a damaged archive
	open        func() (io.ReadCloser, error) // tests: instead of os.Open
}

// Standard input, pipes and the like can be read only once: what planning
// reads is kept for the run.
type peeked struct {
	prefix []byte
	open   func() (io.Reader, error) // of r, which may wait for a writer
	r      io.Reader
	close  func() error
	used   bool
	size   int64 // of a copy of it
}

func (p *peeked) Read(b []byte) (int, error) {
	if p.r == nil {
		r, err := p.open()
		if p.r = r; err != nil {
			p.r = failing{err}
		}
	}
	n, err := p.r.Read(b)
	p.prefix = append(p.prefix, b[:n]...)
	return n, err
}

// failing is a reader that could not be opened.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// planBytes bounds how far, after decompression, planning looks for the first
// packet that has a time. It only bounds captures that begin with megabytes
// of something else.
const planBytes = 16 << 20

// planLooks is how many files planning looks at at a time: enough to hide what
// a disk or network takes to answer, few enough for what their
// decompressors may take of memory.
const planLooks = 4

// NewPlan finds the inputs that args name, recognizes captures by their
// content and puts them in order. An argument is a file, a directory (with
// all below it, symbolic links to files included, to directories not), a
// pattern of filepath.Glob where no file has that name, or "-" for stdin.
// Archives (tar, compressed tar, zip) are directories too; one on standard
// input or a pipe is copied to a temporary file first, since what is in it is
// read in the order of time, and a zip file has its directory at its end.
//
// A file named by itself is an input even if it is no capture or cannot be
// read, and so is one in a directory whose name ends like a capture's: reading it then leaves an entry in
// the ledger. A path that does not exist is an error. A file reached twice is read once.
//
// Close frees what a plan holds if it is not run.
func NewPlan(ctx context.Context, cfg Config, args []string, stdin io.Reader) (*Plan, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := planner{ctx: ctx, cfg: cfg.WithDefaults(), plan: &Plan{}, seen: map[fileStamp][]os.FileInfo{}}
	for _, arg := range args {
		if err := b.argument(arg, stdin); err != nil {
			b.plan.Close()
			return nil, err
		}
	}
	if err := b.lookAll(); err != nil {
		b.plan.Close()
		return nil, err
	}
	p := b.plan
	slices.SortStableFunc(p.Inputs, func(x, y Input) int {
		if x.HasTime != y.HasTime {
			if y.HasTime {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.FirstTime, y.FirstTime), strings.Compare(x.Name, y.Name))
	})
	slices.Sort(p.Skipped)
	for i := range p.Inputs {
		if s := p.Inputs[i].Size; s < 0 {
			p.progress.unknown = true
		} else {
			p.progress.total += s
		}
	}
	return p, nil
}

// Close closes what the plan keeps open of inputs that can be read only once.
func (p *Plan) Close() error {
	var errs []error
	for i := range p.Inputs {
		if k := p.Inputs[i].peeked; k != nil && k.close != nil {
			errs = append(errs, k.close())
			k.close = nil
		}
	}
	for _, path := range p.temporary {
		errs = append(errs, os.Remove(path))
	}
	p.temporary = nil
	return errors.Join(errs...)
}

// Progress returns the run's counters; they may be read at any time.
func (p *Plan) Progress() *Progress { return &p.progress }

// Progress counts what a run has done so far.
type Progress struct {
	bytes, packets atomic.Int64
	inputs         atomic.Int64
	total          int64
	unknown        bool
}

// Bytes returns how many bytes of the inputs, as stored, have been read.
func (p *Progress) Bytes() int64 { return p.bytes.Load() }

// Packets returns how many packets have been decoded and put in order.
func (p *Progress) Packets() int64 { return p.packets.Load() }

// Inputs returns how many inputs have been read to their end.
func (p *Progress) Inputs() int64 { return p.inputs.Load() }

// Total returns the size of all inputs, and whether it is known: with
// standard input it is not.
func (p *Progress) Total() (bytes int64, known bool) { return p.total, !p.unknown }

// planner collects the inputs.
type planner struct {
	ctx   context.Context
	cfg   Config
	plan  *Plan
	seen  map[fileStamp][]os.FileInfo
	stdin bool

	candidates []*candidate // files to be looked at
}

// candidate is a file, and the inputs that it turned out to be.
type candidate struct {
	in      Input
	named   bool // by an argument
	inputs  []Input
	skipped []string
}

// fileStamp is what the same file has the same of; it spares comparing every
// file with every other.
type fileStamp struct {
	size     int64
	modified time.Time
}

func (b *planner) argument(arg string, stdin io.Reader) error {
	if arg == "-" {
		if b.stdin {
			return nil
		}
		b.stdin = true
		if stdin == nil {
			return errors.New("-: there is no standard input")
		}
		return b.once(Input{Path: "-", Name: "-", Size: -1, peeked: &peeked{r: stdin}})
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, `*?[`) {
		paths, globErr := filepath.Glob(arg)
		if globErr != nil {
			return fmt.Errorf("%s: %w", arg, globErr)
		}
		if len(paths) == 0 {
			return fmt.Errorf("%s: no file matches", arg)
		}
		for _, path := range paths { // sorted
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := b.path(path, info); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	return b.path(arg, info)
}

func (b *planner) path(path string, info os.FileInfo) error {
	if info.IsDir() {
		return b.directory(path)
	}
	name := filepath.ToSlash(filepath.Clean(path))
	if filepath.IsAbs(path) || !filepath.IsLocal(path) {
		name = filepath.Base(path)
	}
	in := Input{Path: path, Name: name, Size: info.Size()}
	if !info.Mode().IsRegular() {
		in.Size = -1
		var opened atomic.Pointer[os.File]
		in.peeked = &peeked{
			open: func() (io.Reader, error) {
				f, err := os.Open(path)
				opened.Store(f)
				return f, err
			},
			close: func() error {
				if f := opened.Load(); f != nil {
					return f.Close()
				}
				return nil
			},
		}
		return b.once(in)
	}
	if !b.known(info) {
		b.candidates = append(b.candidates, &candidate{in: in, named: true})
	}
	return nil
}

// lookAll looks at the candidates, several at a time, and adds what they are
// in their order.
func (b *planner) lookAll() error {
	var g errgroup.Group
	g.SetLimit(planLooks)
	for _, c := range b.candidates {
		if b.ctx.Err() != nil {
			break
		}
		g.Go(func() error { return b.identify(c) })
	}
	if err := cmpError(g.Wait(), b.ctx.Err()); err != nil {
		return err
	}
	for _, c := range b.candidates {
		b.plan.Inputs = append(b.plan.Inputs, c.inputs...)
		b.plan.Skipped = append(b.plan.Skipped, c.skipped...)
	}
	return nil
}

// identify finds out what a candidate is.
func (b *planner) identify(c *candidate) error {
	kind, err := b.look(&c.in)
	switch {
	case err != nil:
		return err
	case kind == isTarFile || kind == isZipFile:
		return b.archive(c, kind)
	case kind == isCapture || c.named || expected(&c.in):
		c.inputs = append(c.inputs, c.in)
	default:
		c.skipped = append(c.skipped, c.in.Name)
	}
	return nil
}

// expected reports whether a file's name is that of a capture. If it is none,
// then that is not to go unnoticed: an empty one was to hold packets.
func expected(in *Input) bool {
	name := strings.ToLower(in.Name)
	for _, e := range [...]string{".gz", ".zst", ".lz4", ".xz", ".bz2"} {
		name = strings.TrimSuffix(name, e)
	}
	switch path.Ext(name) {
	case ".pcap", ".pcapng", ".cap", ".snoop", ".erf", ".ntar":
		return true
	}
	return false
}

// once adds an input that can be read only once. Such an input may keep its
// reader waiting, so the look at it is given up with the context.
func (b *planner) once(in Input) error {
	type result struct {
		kind looksLike
		copy string
		err  error
	}
	looked := make(chan result, 1)
	go func() {
		var r result
		r.kind, r.err = b.look(&in)
		if r.err == nil && (r.kind == isTarFile || r.kind == isZipFile) {
			r.copy, r.err = b.spool(in.peeked)
		}
		looked <- r
		if b.ctx.Err() != nil && r.copy != "" {
			os.Remove(r.copy) // nobody may be there to see it
		}
	}()
	select {
	case r := <-looked:
		if r.copy == "" {
			b.plan.Inputs = append(b.plan.Inputs, in) // also on error, to be closed
			return r.err
		}
		b.plan.temporary = append(b.plan.temporary, r.copy)
		c := candidate{in: Input{Path: r.copy, Name: in.Name, Size: in.peeked.size, compression: in.compression}}
		err := b.archive(&c, r.kind)
		if in.peeked.close != nil {
			in.peeked.close()
		}
		b.plan.Inputs = append(b.plan.Inputs, c.inputs...)
		b.plan.Skipped = append(b.plan.Skipped, c.skipped...)
		return err
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
}

// spool copies what can be read only once to a temporary file and returns its path.
func (b *planner) spool(k *peeked) (path string, err error) {
	f, err := os.CreateTemp("", "caplake-")
	if err != nil {
		return "", err
	}
	prefix := k.prefix
	n, err := f.Write(prefix)
	k.size = int64(n)
	buf := make([]byte, pumpChunk)
	for err == nil && b.ctx.Err() == nil {
		var m int
		var end error
		if m, end = k.r.Read(buf); m > 0 {
			_, err = f.Write(buf[:m])
			k.size += int64(m)
		}
		if end == io.EOF {
			break
		}
		err = cmpError(err, end)
	}
	if err = cmpError(cmpError(err, b.ctx.Err()), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("copying an archive to a temporary file: %w", err)
	}
	return f.Name(), nil
}

// archive finds the captures in a candidate that is an archive.
func (b *planner) archive(c *candidate, kind looksLike) error {
	if kind == isTarFile {
		return b.tar(c, c.in.compression)
	}
	return b.zip(c)
}

func (b *planner) directory(root string) error {
	real, err := filepath.EvalSymlinks(root) // WalkDir does not follow it
	if err != nil {
		return err
	}
	return filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(real, path)
		if err != nil {
			return err
		}
		in := Input{Path: path, Name: filepath.ToSlash(rel)}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() { // a link to nowhere or to a directory, a socket, …
			b.plan.Skipped = append(b.plan.Skipped, in.Name)
			return b.ctx.Err()
		}
		if b.known(info) {
			return nil
		}
		in.Size = info.Size()
		b.candidates = append(b.candidates, &candidate{in: in})
		return b.ctx.Err()
	})
}

// known reports whether the file was met before, and notes it if not.
func (b *planner) known(info os.FileInfo) bool {
	k := fileStamp{info.Size(), info.ModTime()}
	for _, o := range b.seen[k] {
		if os.SameFile(o, info) {
			return true
		}
	}
	b.seen[k] = append(b.seen[k], info)
	return false
}

// What a look at a file finds.
type looksLike uint8

const (
	isNothing looksLike = iota
	isCapture           // or cannot be read, which is not to go unnoticed
	isTarFile
	isZipFile
)

// look opens the input, reports what it is to be treated as and sets its
// first time and compression. The error is the context's.
func (b *planner) look(in *Input) (looksLike, error) {
	o := sourceOptions{plan: true}
	if in.member != nil && in.open == nil {
		o.open = in.member.reserve()
	}
	s, err := openSource(b.ctx, in, o)
	if err != nil {
		return isCapture, b.ctx.Err()
	}
	defer s.close()
	in.compression = s.compression

	buf := make([]byte, 0, 16<<10)
	var w walker
	var streamErr error
	var recs [1]Record
	for looked, need := 0, 4; looked < planBytes; {
		if need > planBytes {
			break
		}
		if need > cap(buf) {
			buf = slices.Grow(buf, need-len(buf))
		}
		if streamErr == nil {
			var n int
			n, streamErr = s.stream.fill(b.ctx, buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
			if err := b.ctx.Err(); err != nil {
				return isNothing, err
			}
		}
		if w == nil {
			if w, need = newWalker(buf, streamErr != nil, b.cfg.MaxRecordBytes); w == nil {
				if need > len(buf) && streamErr == nil {
					continue
				}
				var re *readError
				switch single := in.member != nil; {
				case errors.As(streamErr, &re):
					return isCapture, nil
				case !single && isTar(buf):
					return isTarFile, nil
				case !single && s.compression == compressionNone && isZip(buf):
					return isZipFile, nil
				}
				return isNothing, nil
			}
		}
		found, next, n, d := w.walk(buf, 0, recs[:0], 1)
		if len(found) == 1 && found[0].Flags&NoTime == 0 {
			in.FirstTime, in.HasTime = found[0].Time, true
			break
		}
		if d != nil || len(found) == 0 && streamErr != nil {
			break
		}
		need = n
		looked += next
		buf = buf[:copy(buf, buf[next:])]
	}
	return isCapture, nil
}

// source is an opened input.
type source struct {
	stream      stream
	compression string
	digest      *digest // nil: not hashed
	inline      bool    // the digest is taken below the stream, not by whoever reads from it
	raw         *countedReader
	unpacked    *decompressor // nil: there is nothing to undo
	closers     []func()
}

// warning says what is odd of an input that has been read to its end.
func (s *source) warning() string {
	if s.unpacked != nil && s.unpacked.trailing {
		return "what follows the " + s.compression + " data is none and was not read"
	}
	return ""
}

type sourceOptions struct {
	plan     bool // only a look: no goroutine, nothing counted, no hash
	hash     bool
	progress *Progress
	shared   *chunkStore                                      // for reading ahead
	open     func(ctx context.Context) (io.ReadCloser, error) // instead of os.Open
}

// openSource opens an input and finds out its compression. A plain file is
// read where the caller stands; standard input and decompression read ahead in a
// goroutine of their own, which ends with ctx at the latest (a read of
// standard input that waits for data ends with that read).
func openSource(ctx context.Context, in *Input, o sourceOptions) (*source, error) {
	s := &source{}
	var raw io.Reader
	switch k := in.peeked; {
	case k != nil && o.plan:
		raw = k
	case k != nil && k.used:
		return nil, errors.New("it can be read only once")
	case k != nil:
		k.used = true
		raw = bytes.NewReader(k.prefix)
		if k.r != nil {
			raw = io.MultiReader(raw, k.r)
		}
		if closing := k.close; closing != nil {
			s.closers = append(s.closers, func() { closing() })
			k.close = nil
		}
	default:
		open := o.open
		switch {
		case in.open != nil:
			open = func(context.Context) (io.ReadCloser, error) { return in.open() }
		case open == nil:
			open = func(context.Context) (io.ReadCloser, error) { return os.Open(in.Path) }
		}
		f, err := open(ctx)
		if err != nil {
			return nil, err
		}
		raw = f
		s.closers = append(s.closers, func() { f.Close() })
	}

	if o.hash {
		s.digest = &digest{hash: sha256.New()}
	}
	s.raw = &countedReader{r: markedReader{raw}, progress: o.progress}
	var magic [compressionMagic]byte
	n, err := direct{s.raw}.fill(ctx, magic[:])
	if err != nil && err != io.EOF {
		s.close()
		return nil, err
	}
	s.compression = compressionOf(magic[:n])
	plain := io.MultiReader(bytes.NewReader(magic[:n]), s.raw)
	switch {
	case o.plan:
		d := &decompressor{compression: s.compression, raw: plain}
		s.closers = append(s.closers, d.close)
		s.stream = direct{d}
	case in.fault != nil:
		s.stream = direct{plain}
	case s.compression == compressionNone && in.peeked == nil && stored(in):
		s.stream = direct{plain}
	default:
		s.inline = true
		if s.digest != nil {
			plain = io.TeeReader(plain, s.digest.hash)
		}
		d := &decompressor{compression: s.compression, raw: plain}
		s.unpacked = d
		s.stream = newPump(ctx, d, o.shared, func() {
			d.close()
			if s.digest != nil {
				// What was not wanted is a part of the file's hash all the same.
				s.digest.end(drain(ctx, plain) == nil)
			}
		})
	}
	return s, nil
}

// stored reports whether an input's bytes are in a file as they are.
func stored(in *Input) bool {
	_, is := in.member.(*part)
	return is || in.member == nil
}

// close frees the source. A pump must have been finished before, or its
// context be done.
func (s *source) close() {
	for _, c := range s.closers {
		c()
	}
}

// drain reads r to its end.
func drain(ctx context.Context, r io.Reader) error {
	buf := make([]byte, pumpChunk)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := r.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// digest is the content hash of an input in the making.
type digest struct {
	hash hash.Hash
	sum  string // set by end; empty if the input could not be read to its end
}

func (d *digest) end(complete bool) {
	if complete {
		d.sum = hex.EncodeToString(d.hash.Sum(nil))
	}
}

// countedReader counts what is read.
type countedReader struct {
	r        io.Reader
	progress *Progress
	n        atomic.Int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	if c.progress != nil {
		c.progress.bytes.Add(int64(n))
	}
	return n, err
}
