package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/caplake/caplake/ingest"
)

// Scope says whether a capture is compared.
type Scope string

const (
	InScope    Scope = "compared"
	LinkType   Scope = "link type"         // one that is not decoded
	FileFormat Scope = "file format"       // not pcap or pcapng, plain, gzip or zstd
	Unreadable Scope = "truth unavailable" // the other program did not make a table
)

// Capture is one capture of a corpus.
type Capture struct {
	Source, Name string
	Path         string
	truth        string // path of the truth's files without their ending
	Scope        Scope
	Detail       string // of the scope: which link type, which format
	Links        string // names of the link types, joined
	// Refused says that the other program stopped before the end of the file,
	// so that rows beyond its own say nothing.
	Refused bool
}

// ID names the capture within the corpus.
func (c *Capture) ID() string { return c.Source + "/" + c.Name }

// Corpus is a folder of captures with the truth of each.
type Corpus struct {
	Captures []Capture           // sorted
	Disputed map[string][]string // capture to tables in which others contradict the truth
	peers    []peer
}

// OpenCorpus lists dir, which holds captures/SOURCE/NAME and
// truth/SOURCE/NAME.{flows,http,tls,dns}.tsv, keeping the captures whose source
// and name match the patterns of path.Match (empty: all).
func OpenCorpus(dir, source, name string) (*Corpus, error) {
	for _, p := range []string{source, name} {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	c := &Corpus{Disputed: map[string][]string{}}
	root := filepath.Join(dir, "captures")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		s, n, ok := strings.Cut(filepath.ToSlash(rel), "/")
		if !ok || !matches(source, s) || !matches(name, n) {
			return nil
		}
		k := Capture{Source: s, Name: n, Path: p, truth: filepath.Join(dir, "truth", s, n)}
		k.Scope, k.Detail, k.Links = scopeOf(p)
		meta := struct{ RC1 int }{-1}
		if b, err := os.ReadFile(k.truth + ".meta.json"); err != nil {
			k.Scope, k.Detail = Unreadable, "no meta.json"
		} else if err := json.Unmarshal(b, &meta); err != nil {
			return fmt.Errorf("%s.meta.json: %w", k.ID(), err)
		}
		k.Refused = meta.RC1 != 0
		c.Captures = append(c.Captures, k)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(c.Captures, func(i, j int) bool { return c.Captures[i].ID() < c.Captures[j].ID() })
	rows, err := optionalTSV(filepath.Join(dir, "disputed.tsv"))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		table := r["table"]
		if table == "ssl" {
			table = "tls"
		}
		c.Disputed[r["name"]] = append(c.Disputed[r["name"]], table)
	}
	if c.peers, err = peers(dir, c.Disputed); err != nil {
		return nil, err
	}
	return c, nil
}

func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, _ := path.Match(pattern, s)
	return ok
}

// Truth reads one table of the capture's truth.
func (c *Capture) Truth(table string) ([]map[string]string, error) {
	return readTSV(c.truth + "." + table + ".tsv")
}

// readTSV reads a file of tab-separated values with a header, in which \t,
// \n, \r and \\ stand for the characters. A field that a row lacks is absent.
func readTSV(p string) ([]map[string]string, error) {
	b, err := os.ReadFile(p)
	if err != nil {
		return nil, err
	}
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, len(b)+1)
	s.Split(func(data []byte, eof bool) (int, []byte, error) { // lines end in \n alone
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if eof && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	var names []string
	var rows []map[string]string
	for s.Scan() {
		f := strings.Split(s.Text(), "\t")
		if names == nil {
			names = f
			continue
		}
		if len(f) > len(names) {
			return nil, fmt.Errorf("%s: row %d has %d fields for %d columns", filepath.Base(p), len(rows)+1, len(f), len(names))
		}
		m := make(map[string]string, len(f))
		for i, v := range f {
			m[names[i]] = unescape(v)
		}
		rows = append(rows, m)
	}
	return rows, s.Err()
}

func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\r`, "\r").Replace(s)
}

// nanoseconds reads a decimal number of seconds exactly.
func nanoseconds(s string) int64 {
	sec, frac, _ := strings.Cut(s, ".")
	neg := strings.HasPrefix(sec, "-")
	n, err := strconv.ParseInt(strings.TrimPrefix(sec, "-"), 10, 64)
	if err != nil {
		return 0
	}
	f, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	n = n*1e9 + f
	if neg {
		n = -n
	}
	return n
}

// scopeOf looks at a capture's own bytes, independently of package ingest:
// what ingest misreads must not leave the comparison by that.
func scopeOf(p string) (_ Scope, detail, links string) {
	f, err := os.Open(p)
	if err != nil {
		return FileFormat, err.Error(), ""
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	head, _ := r.(*bufio.Reader).Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		if r, err = gzip.NewReader(r); err != nil {
			return FileFormat, "gzip: " + err.Error(), ""
		}
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r)
		if err != nil {
			return FileFormat, "zstd: " + err.Error(), ""
		}
		defer z.Close()
		r = z
	case bytes.HasPrefix(head, []byte("\xfd7zXZ")):
		if r, err = xz.NewReader(r); err != nil {
			return FileFormat, "xz: " + err.Error(), ""
		}
	}
	b, _ := io.ReadAll(io.LimitReader(r, 256<<20)) // damaged: as far as it goes
	if len(b) < 24 {
		return FileFormat, "too short", ""
	}
	set := map[uint32]bool{}
	switch m := binary.LittleEndian.Uint32(b); m {
	case 0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34:
		set[binary.LittleEndian.Uint32(b[20:])&0xffff] = true
	case 0xd4c3b2a1, 0x4d3cb2a1, 0x34cdb2a1:
		set[binary.BigEndian.Uint32(b[20:])&0xffff] = true
	case 0x0a0d0d0a:
		pcapngLinks(b, set)
	default:
		return FileFormat, fmt.Sprintf("magic %#08x", m), ""
	}
	var bad []int
	var names []string
	for l := range set {
		names = append(names, ingest.LinkTypeName(uint16(l)))
		if !ingest.Decodes(uint16(l)) {
			bad = append(bad, int(l))
		}
	}
	sort.Strings(names)
	if len(bad) > 0 {
		sort.Ints(bad)
		return LinkType, fmt.Sprint(bad), strings.Join(names, "+")
	}
	return InScope, "", strings.Join(names, "+")
}

// pcapngLinks collects the link types of the interface description blocks
// (draft-ietf-opsawg-pcapng section 4.2) of b, as far as its blocks are whole.
func pcapngLinks(b []byte, links map[uint32]bool) {
	var o binary.ByteOrder = binary.LittleEndian
	for len(b) >= 12 {
		if binary.LittleEndian.Uint32(b) == 0x0a0d0d0a {
			o = binary.LittleEndian
			if binary.BigEndian.Uint32(b[8:]) == 0x1a2b3c4d {
				o = binary.BigEndian
			}
		}
		n := int(o.Uint32(b[4:]))
		if n < 12 || n > len(b) {
			return
		}
		if o.Uint32(b) == 1 && n >= 20 {
			links[uint32(o.Uint16(b[8:]))] = true
		}
		b = b[min((n+3)&^3, len(b)):]
	}
}
