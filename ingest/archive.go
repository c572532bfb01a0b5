package ingest

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Archives, tar (plain or compressed) and zip, are read as directories: each
// regular file in one is looked at and, where it is a capture, an input of
// its own, named after the archive and its path in it. Archives in archives
// are not opened.
//
// A plain tar file and a zip file can be read anywhere. A compressed tar file
// can only be read from its beginning: one pass finds the members, and a run
// reads on from member to member; for members whose packets are not in the order in which they are stored
// it begins again.

// tarBlock is the unit of a tar file.
const tarBlock = 512

// isTar reports whether b begins a tar file: a header with the right
// checksum, which all variants of the format have at the same place.
func isTar(b []byte) bool {
	if len(b) < tarBlock || b[0] == 0 {
		return false
	}
	want, err := strconv.ParseUint(strings.Trim(string(b[148:156]), " \x00"), 8, 32)
	if err != nil {
		return false
	}
	sum := uint64(8 * ' ')
	for i, c := range b[:tarBlock] {
		if i < 148 || i >= 156 {
			sum += uint64(c)
		}
	}
	return sum == want
}

// isZip reports whether b begins a zip file.
func isZip(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	m := binary.LittleEndian.Uint32(b)
	return m == 0x04034b50 || m == 0x06054b50 // a member, or the end of an empty archive
}

// member opens a file in an archive.
type member interface {
	// reserve says that the member is to be opened next of those in its
	// archive. The function that it returns opens it, and may wait until those before it have been
	// closed.
	reserve() func(ctx context.Context) (io.ReadCloser, error)
	// reset forgets what an earlier run left.
	reset()
}

// memberName is the name of an input in an archive. It cannot lead out of it.
func memberName(archive, name string) string {
	name = strings.ToValidUTF8(strings.ReplaceAll(name, `\`, "/"), "\uFFFD")
	return archive + path.Clean("/"+name)
}

// part is a member that is a part of a file, as stored.
type part struct {
	path         string
	offset, size int64
}

func (p *part) reset() {}

func (p *part) reserve() func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		f, err := os.Open(p.path)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.NewSectionReader(f, p.offset, p.size), f}, nil
	}
}

// tarStream is a tar file that is read from its beginning.
type tarStream struct {
	archive Input

	tail chan struct{} // closed when the last member reserved has been closed

	// Of whoever's turn it is.
	src *source
	tar *tar.Reader
	at  int // the member that tar.Next would return
}

func (t *tarStream) reset() {
	t.tail = nil
	t.close()
}

func (t *tarStream) close() {
	if t.src != nil {
		t.src.close()
	}
	t.src, t.tar, t.at = nil, nil, 0
}

func (t *tarStream) begin(ctx context.Context) error {
	t.close()
	src, err := openSource(ctx, &t.archive, sourceOptions{plan: true})
	if err != nil {
		return err
	}
	t.src = src
	t.tar = tar.NewReader(bufio.NewReaderSize(streamReader{ctx, src.stream}, 64<<10))
	return nil
}

// streamReader is a stream as a reader.
type streamReader struct {
	ctx context.Context
	s   stream
}

func (r streamReader) Read(p []byte) (int, error) { return r.s.fill(r.ctx, p) }

// tarMember is the nth member of a tarStream, counted from 0.
type tarMember struct {
	t *tarStream
	n int
}

func (m tarMember) reset() { m.t.reset() }

func (m tarMember) reserve() func(context.Context) (io.ReadCloser, error) {
	t := m.t
	before, mine := t.tail, make(chan struct{})
	t.tail = mine
	return func(ctx context.Context) (io.ReadCloser, error) {
		if before != nil {
			select {
			case <-before:
			case <-ctx.Done():
				close(mine)
				return nil, ctx.Err()
			}
		}
		if err := t.seek(ctx, m.n); err != nil {
			t.close()
			close(mine)
			return nil, err
		}
		return &tarReader{t.tar, mine}, nil
	}
}

func (t *tarStream) seek(ctx context.Context, n int) error {
	if t.tar == nil || t.at > n {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	for {
		if _, err := t.tar.Next(); err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return noEOF(err)
		}
		if t.at++; t.at > n {
			return nil
		}
	}
}

type tarReader struct {
	r    *tar.Reader
	done chan struct{}
}

func (r *tarReader) Read(p []byte) (int, error) { return r.r.Read(p) }

func (r *tarReader) Close() error {
	close(r.done)
	return nil
}

// zipFile is a zip archive, open while any of its members is.
type zipFile struct {
	path string

	mu    sync.Mutex
	f     *os.File
	users int
}

func (z *zipFile) ReadAt(p []byte, off int64) (int, error) { return z.f.ReadAt(p, off) }

func (z *zipFile) open() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.users == 0 {
		f, err := os.Open(z.path)
		if err != nil {
			return err
		}
		z.f = f
	}
	z.users++
	return nil
}

func (z *zipFile) Close() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.users--; z.users == 0 {
		return z.f.Close()
	}
	return nil
}

type zipMember struct {
	z *zipFile
	f *zip.File
}

func (m zipMember) reset() {}

func (m zipMember) reserve() func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) {
		if m.f.Flags&1 != 0 {
			return nil, &compressionError{"zip", errors.New("it is encrypted")}
		}
		if err := m.z.open(); err != nil {
			return nil, err
		}
		r, err := m.f.Open()
		if err != nil {
			m.z.Close()
			return nil, &compressionError{"zip", err}
		}
		return &zipReader{r, m.z}, nil
	}
}

type zipReader struct {
	r io.ReadCloser
	z *zipFile
}

func (r *zipReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	var sys *os.PathError
	if err != nil && err != io.EOF && !errors.As(err, &sys) {
		err = &compressionError{"zip", err}
	}
	return n, err
}

func (r *zipReader) Close() error {
	r.r.Close()
	return r.z.Close()
}

// tar finds the captures in a tar file. One that cannot be read to its end is an input
// itself, for the ledger.
func (b *planner) tar(c *candidate, compression string) error {
	stream := &tarStream{archive: c.in}
	defer stream.close()
	var plain *os.File
	var t *tar.Reader
	var err error
	if compression == compressionNone {
		// Seeks over what is not looked at.
		if plain, err = os.Open(c.in.Path); err == nil {
			defer plain.Close()
			t = tar.NewReader(plain)
		}
	} else if err = stream.begin(b.ctx); err == nil {
		t = stream.tar
	}
	for n := 0; err == nil; n++ {
		var h *tar.Header
		if h, err = t.Next(); errors.Is(err, tar.ErrInsecurePath) {
			err = nil // the name is only a name
		} else if err != nil {
			break
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse || strings.HasSuffix(h.Name, "/") {
			continue
		}
		in := Input{Path: c.in.Path, Name: memberName(c.in.Name, h.Name), Size: h.Size, member: tarMember{stream, n}}
		in.open = func() (io.ReadCloser, error) { return io.NopCloser(t), nil }
		if plain != nil && !sparse(h) {
			at, e := plain.Seek(0, io.SeekCurrent)
			if e != nil {
				err = e
				break
			}
			in.member = &part{c.in.Path, at, h.Size}
		}
		if err := b.member(c, in); err != nil {
			return err
		}
	}
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if err != io.EOF {
		b.damagedArchive(c, "tar", err)
	}
	return nil
}

// sparse reports whether a member is not stored as it is.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// zip finds the captures in a zip file.
func (b *planner) zip(c *candidate) error {
	z := &zipFile{path: c.in.Path}
	if err := z.open(); err != nil {
		b.damagedArchive(c, "zip", err)
		return nil
	}
	defer z.Close()
	r, err := zip.NewReader(z, c.in.Size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		b.damagedArchive(c, "zip", err)
		return nil
	}
	for _, f := range r.File {
		if !f.Mode().IsRegular() || strings.HasSuffix(f.Name, "/") {
			continue
		}
		in := Input{Path: c.in.Path, Name: memberName(c.in.Name, f.Name), Size: int64(f.UncompressedSize64), member: zipMember{z, f}}
		if err := b.member(c, in); err != nil {
			return err
		}
	}
	return nil
}

// member looks at a file in an archive.
func (b *planner) member(c *candidate, in Input) error {
	kind, err := b.look(&in)
	in.open = nil
	switch {
	case err != nil:
		return err
	case kind == isCapture || expected(&in):
		c.inputs = append(c.inputs, in)
	default:
		c.skipped = append(c.skipped, in.Name)
	}
	return nil
}

func (b *planner) damagedArchive(c *candidate, kind string, err error) {
	in := c.in
	var sys *os.PathError
	var re *compressionError
	switch {
	case errors.As(err, &sys), errors.As(err, &re):
		in.fault = streamDamage(err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		in.fault = damaged(DamageTruncated, "the %s archive ends early", kind)
	default:
		in.fault = damaged(DamageMalformed, "the %s archive is damaged: %v", kind, err)
	}
	c.inputs = append(c.inputs, in)
}
