package ingest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The xz format (https://tukaani.org/xz/xz-file-format.txt): streams, back to
// back, with any number of zero bytes in fours between and after them.
//
//	stream  header, blocks, index, footer
//	header  fd '7' 'z' 'X' 'Z' 00, flags 00 and check type, CRC-32 of the flags
//	block   header (its size/4-1, flags, sizes where given, filters, padding, CRC-32),
//	        data, zeros to a multiple of four, check
//	index   00, number of records, their sizes, zeros, CRC-32
//	footer  CRC-32, index size, flags, 'Y' 'Z'
//
// The container is read here, and LZMA2 by the lzma package: a header may ask
// for a dictionary of 4 GiB, which has to be refused before it is made.
const (
	xzMaxDictionary = 128 << 20 // the highest level of the reference program asks for 64 MiB
	xzMaxHeader     = 1024
	xzFilterLZMA2   = 0x21
)

const xzMagic = "\xfd7zXZ\x00"

// xzCheckSizes has the length of a block's check by its type.
var xzCheckSizes = [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}

type xzReader struct {
	r     *bufio.Reader
	flags byte // check type of the stream

	in      bool // a stream has begun
	block   io.Reader
	counted countingByteReader // what block reads from
	check   hash.Hash          // nil: of a type that is not verified
	records uint64             // blocks of the stream
	out     int64              // bytes of the block so far
	want    int64              // bytes of the block as its header says; -1: not said
	buf     [xzMaxHeader]byte
}

// countingByteReader is a reader that knows how much was read from it.
type countingByteReader struct {
	r *bufio.Reader
	n int64
}

func (c *countingByteReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingByteReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

func newXZReader(r *bufio.Reader) *xzReader { return &xzReader{r: r} }

var errXZ = errors.New("it contradicts itself")

func (x *xzReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if x.block != nil {
			n, err := x.block.Read(p)
			if x.out += int64(n); x.want >= 0 && x.out > x.want {
				return 0, fmt.Errorf("%w: a block is longer than its header says", errXZ)
			}
			if x.check != nil {
				x.check.Write(p[:n])
			}
			if err == io.EOF {
				err = x.endBlock()
			}
			if n > 0 || err != nil {
				return n, noEOF(err)
			}
			continue
		}
		if !x.in {
			if err := x.begin(); err != nil {
				return 0, err
			}
		}
		if err := x.next(); err != nil {
			return 0, noEOF(err)
		}
	}
}

// noEOF makes an end where there must be none an error.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// begin reads a stream's header. Its error is io.EOF where the input ends, and
// errTrailing where something else than a stream begins.
func (x *xzReader) begin() error {
	for {
		b, err := x.r.Peek(len(xzMagic))
		switch {
		case len(b) >= 4 && b[0]|b[1]|b[2]|b[3] == 0:
			x.r.Discard(4)
			continue
		case len(b) == 0:
			return err
		case string(b) != xzMagic:
			if err != nil && err != io.EOF {
				return err
			}
			return errTrailing
		}
		break
	}
	h := x.buf[:12]
	if _, err := io.ReadFull(x.r, h); err != nil {
		return noEOF(err)
	}
	if crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) || h[6] != 0 || h[7] > 15 {
		return fmt.Errorf("%w: stream header", errXZ)
	}
	x.flags, x.records, x.in = h[7], 0, true
	return nil
}

// next reads what follows in a stream: a block's header, or the index and the
// footer.
func (x *xzReader) next() error {
	size, err := x.r.ReadByte()
	if err != nil {
		return err
	}
	if size == 0 {
		return x.end()
	}
	h := x.buf[:(int(size)+1)*4]
	h[0] = size
	if _, err := io.ReadFull(x.r, h[1:]); err != nil {
		return err
	}
	body := h[:len(h)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(h[len(body):]) {
		return fmt.Errorf("%w: block header", errXZ)
	}
	flags := body[1]
	b := bytes.NewReader(body[2:])
	number := func() uint64 {
		v, e := binary.ReadUvarint(b)
		if e != nil {
			err = fmt.Errorf("%w: block header", errXZ)
		}
		return v
	}
	x.want = -1
	if flags&0x40 != 0 {
		number() // of compressed bytes
	}
	if flags&0x80 != 0 {
		x.want = int64(number())
	}
	filter, properties := number(), number()
	code, e := b.ReadByte()
	switch {
	case err != nil:
		return err
	case flags&0x3f != 0 || filter != xzFilterLZMA2:
		return errors.New("it uses a filter other than LZMA2")
	case properties != 1 || e != nil || code > 40:
		return fmt.Errorf("%w: block header", errXZ)
	}
	dictionary, err := lzma.DecodeDictCap(code)
	if err != nil {
		return err
	}
	if x.want >= 0 {
		dictionary = min(dictionary, x.want)
	}
	if dictionary > xzMaxDictionary {
		return fmt.Errorf("it asks for a dictionary of %d bytes, the limit is %d", dictionary, xzMaxDictionary)
	}
	x.counted = countingByteReader{r: x.r}
	x.out = 0
	x.records++
	switch x.flags {
	case 1:
		x.check = crc32.NewIEEE()
	case 4:
		x.check = crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		x.check = sha256.New()
	default:
		x.check = nil
	}
	x.block, err = lzma.Reader2Config{DictCap: int(max(dictionary, 4096))}.NewReader2(&x.counted)
	return err
}

// endBlock reads what follows a block's data.
func (x *xzReader) endBlock() error {
	x.block = nil
	pad := int(-x.counted.n & 3)
	b := x.buf[:pad+xzCheckSizes[x.flags]]
	if _, err := io.ReadFull(x.r, b); err != nil {
		return err
	}
	if x.want >= 0 && x.out != x.want {
		return fmt.Errorf("%w: a block is shorter than its header says", errXZ)
	}
	if x.check != nil {
		sum, want := x.check.Sum(nil), b[pad:]
		if x.flags != 10 { // these are stored little-endian
			for i := range len(sum) / 2 {
				sum[i], sum[len(sum)-1-i] = sum[len(sum)-1-i], sum[i]
			}
		}
		if !bytes.Equal(sum, want) {
			return fmt.Errorf("%w: checksum", errXZ)
		}
	}
	return nil
}

// end reads the index, whose first byte has been read, and the footer.
func (x *xzReader) end() error {
	n := int64(1)
	sum := crc32.NewIEEE()
	sum.Write([]byte{0})
	var one [1]byte
	next := func() (byte, error) {
		b, err := x.r.ReadByte()
		one[0] = b
		if err == nil {
			n++
			sum.Write(one[:])
		}
		return b, err
	}
	records, err := binary.ReadUvarint(byteReaderFunc(next))
	if err != nil {
		return err
	}
	if records != x.records {
		return fmt.Errorf("%w: index", errXZ)
	}
	for range 2 * records {
		if _, err := binary.ReadUvarint(byteReaderFunc(next)); err != nil {
			return err
		}
	}
	for n%4 != 0 {
		if b, err := next(); err != nil || b != 0 {
			return cmpError(err, fmt.Errorf("%w: index", errXZ))
		}
	}
	b := x.buf[:4+12]
	if _, err := io.ReadFull(x.r, b); err != nil {
		return err
	}
	footer := b[4:]
	if binary.LittleEndian.Uint32(b) != sum.Sum32() || string(footer[10:]) != "YZ" ||
		crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) ||
		footer[8] != 0 || footer[9] != x.flags {
		return fmt.Errorf("%w: index or footer", errXZ)
	}
	x.in = false
	return nil
}

type byteReaderFunc func() (byte, error)

func (f byteReaderFunc) ReadByte() (byte, error) { return f() }

// cmpError returns the first of a and b that is one.
func cmpError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
