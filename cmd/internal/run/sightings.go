package run

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/caplake/caplake/parsers/tls"
	"github.com/caplake/caplake/schema"
)

// sightings keeps a worker's earliest sighting of each certificate. When those
// in memory reach the bound, they are sorted by fingerprint and written to a
// file, as one more run of it; at the end the runs of all workers are merged.
// So the table is exact and the same whatever the bound and the workers.
type sightings struct {
	max     int64 // bytes in memory
	der     bool  // keep the bytes of certificates
	scratch func() (*os.File, error)

	certs map[string]schema.Certificate // by fingerprint
	bytes int64
	rows  []schema.Certificate
	arena schema.Arena // of certs alone, which live longer than other rows

	file *os.File // nil: none yet
	end  int64    // of file
	runs []int64  // where each begins
	err  error
}

func newSightings(max int64, der bool) *sightings {
	return &sightings{max: max, der: der, certs: make(map[string]schema.Certificate)}
}

// note takes the certificates of a handshake.
func (s *sightings) note(m *tls.Handshake, row *schema.Session, cache *schema.CertCache) {
	if len(m.ServerChain)+len(m.ClientChain) == 0 {
		return
	}
	s.rows = schema.AppendCertificates(s.rows[:0], m, row, &s.arena, cache, schema.CertificateOptions{DER: s.der})
	for i := range s.rows {
		c := &s.rows[i]
		old, known := s.certs[c.SHA256]
		if known && !c.Before(&old) {
			continue
		}
		if !known {
			s.bytes += certificateBytes(c)
		}
		s.certs[c.SHA256] = *c
	}
	if s.bytes > s.max && s.err == nil {
		s.err = s.spill()
	}
}

// certificateBytes is about what a row takes in memory.
func certificateBytes(c *schema.Certificate) int64 {
	n := 2*int(unsafe.Sizeof(*c)) + len(c.SHA256) + len(c.SHA1) + len(c.Serial) + len(c.Subject) + len(c.Issuer) + len(c.DER)
	for _, list := range [...][]string{c.SANDNS, c.SANIP, c.SANEmail, c.SANURI, c.KeyUsage, c.ExtendedKeyUsage} {
		for _, t := range list {
			n += int(unsafe.Sizeof(t)) + len(t)
		}
	}
	return int64(n)
}

// sorted returns what is in memory by fingerprint.
func (s *sightings) sorted() []schema.Certificate {
	rows := make([]schema.Certificate, 0, len(s.certs))
	for _, c := range s.certs {
		rows = append(rows, c)
	}
	slices.SortFunc(rows, func(a, b schema.Certificate) int { return strings.Compare(a.SHA256, b.SHA256) })
	return rows
}

// spill writes what is in memory to the file and forgets it. A run is a
// sequence of rows, each its length and what appendValue makes of it.
func (s *sightings) spill() (err error) {
	if s.file == nil {
		if s.file, err = s.scratch(); err != nil {
			return err
		}
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.end), 256<<10)
	var length, row []byte
	s.runs = append(s.runs, s.end)
	for _, c := range s.sorted() {
		row = appendValue(row[:0], reflect.ValueOf(&c).Elem())
		length = binary.AppendUvarint(length[:0], uint64(len(row)))
		w.Write(length)
		w.Write(row)
		s.end += int64(len(length) + len(row))
	}
	clear(s.certs)
	s.bytes, s.arena = 0, schema.Arena{}
	return w.Flush() // has the error of any Write
}

func (s *sightings) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name()) // where the system did not let it go while it was open
	}
}

// merge hands each distinct certificate of all workers, at its earliest
// sighting, to yield, by fingerprint.
func mergeSightings(all []*sightings, yield func([]schema.Certificate) error) error {
	var h runHeap
	add := func(r *certRun) error {
		ok, err := r.next()
		if ok {
			h = append(h, r)
		}
		return err
	}
	for _, s := range all {
		if s.err != nil {
			return s.err
		}
		if err := add(&certRun{rows: s.sorted()}); err != nil {
			return err
		}
		for i, begin := range s.runs {
			end := s.end
			if i+1 < len(s.runs) {
				end = s.runs[i+1]
			}
			r := bufio.NewReaderSize(io.NewSectionReader(s.file, begin, end-begin), 64<<10)
			if err := add(&certRun{r: r}); err != nil {
				return err
			}
		}
	}
	heap.Init(&h)
	var rows []schema.Certificate
	for len(h) > 0 {
		r := h[0]
		if n := len(rows); n == 0 || rows[n-1].SHA256 != r.row.SHA256 { // else a later sighting, by the heap's order
			if n >= 1024 {
				if err := yield(rows); err != nil {
					return err
				}
				rows = rows[:0]
			}
			rows = append(rows, r.row)
		}
		ok, err := r.next()
		switch {
		case err != nil:
			return err
		case ok:
			heap.Fix(&h, 0)
		default:
			heap.Pop(&h)
		}
	}
	return yield(rows)
}

// certRun is a sequence of certificates by fingerprint, in memory or in a file.
type certRun struct {
	row  schema.Certificate
	rows []schema.Certificate
	r    *bufio.Reader // nil: in rows
	buf  []byte
}

func (r *certRun) next() (bool, error) {
	if r.r == nil {
		if len(r.rows) == 0 {
			return false, nil
		}
		r.row, r.rows = r.rows[0], r.rows[1:]
		return true, nil
	}
	n, err := binary.ReadUvarint(r.r)
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.buf = slices.Grow(r.buf[:0], int(n))[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return false, err
	}
	r.row = schema.Certificate{}
	rest, err := readValue(r.buf, reflect.ValueOf(&r.row).Elem())
	if err == nil && len(rest) > 0 {
		err = errSpilled
	}
	return err == nil, err
}

type runHeap []*certRun

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(i, j int) bool {
	return cmp.Or(strings.Compare(h[i].row.SHA256, h[j].row.SHA256), cmp.Compare(h[i].row.Position, h[j].row.Position)) < 0
}
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(*certRun)) }
func (h *runHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	*h = old[:len(old)-1]
	return r
}

var errSpilled = errors.New("a temporary file does not hold what was written to it")

// appendValue appends the bytes of a row's value, its fields in their order.
func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			b = appendValue(b, v.Field(i))
		}
	case reflect.String:
		b = append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...)
	case reflect.Slice:
		if v.IsNil() {
			return append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(v.Len())+1)
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		b = appendValue(append(b, 1), v.Elem())
	case reflect.Bool:
		n := byte(0)
		if v.Bool() {
			n = 1
		}
		b = append(b, n)
	case reflect.Int32, reflect.Int64:
		b = binary.AppendVarint(b, v.Int())
	case reflect.Uint8, reflect.Uint64:
		b = binary.AppendUvarint(b, v.Uint())
	default:
		panic("a row with a " + v.Kind().String())
	}
	return b
}

// readValue sets v, which is zero, to what appendValue made of it and returns
// the bytes after that.
func readValue(b []byte, v reflect.Value) (_ []byte, err error) {
	number := func() (n uint64) {
		var k int
		if n, k = binary.Uvarint(b); k <= 0 {
			err = errSpilled
			return 0
		}
		b = b[k:]
		return n
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if b, err = readValue(b, v.Field(i)); err != nil {
				return nil, err
			}
		}
	case reflect.String:
		n := number()
		if n > uint64(len(b)) {
			return nil, errSpilled
		}
		v.SetString(string(b[:n]))
		b = b[n:]
	case reflect.Slice:
		n := number()
		if n == 0 || n-1 > uint64(len(b)) {
			break
		}
		v.Set(reflect.MakeSlice(v.Type(), int(n-1), int(n-1)))
		for i := range v.Len() {
			if b, err = readValue(b, v.Index(i)); err != nil {
				return nil, err
			}
		}
	case reflect.Pointer:
		if number() == 1 {
			v.Set(reflect.New(v.Type().Elem()))
			return readValue(b, v.Elem())
		}
	case reflect.Bool:
		v.SetBool(number() == 1)
	case reflect.Int32, reflect.Int64:
		n, k := binary.Varint(b)
		if k <= 0 {
			return nil, errSpilled
		}
		v.SetInt(n)
		b = b[k:]
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(number())
	}
	return b, err
}
