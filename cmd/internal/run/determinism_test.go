package run_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"

	"github.com/caplake/caplake/cmd/internal/conformance"
	"github.com/caplake/caplake/cmd/internal/run"
)

// corpusCaptures are of different kinds: many flows, HTTP, TLS, DNS over both
// transports, multicast, fragments, a tunnel, packets back in time, SLL2, pcapng
// and gzip.
var corpusCaptures = []string{
	"gopacket+gopacket/cip.pcap",
	"ntop+nDPI/synscan.pcap",
	"zeek+zeek/http__1000-requests-one-dropped-response.pcap.gz",
	"ntop+nDPI/netflix.pcap",
	"ntop+nDPI/reddit.pcap",
	"ntop+nDPI/alexa-app.pcapng",
	"ntop+nDPI/dns_fragmented.pcap",
	"ntop+nDPI/dnscrypt-v1-and-resolver-pings.pcap",
	"SIDN+entrada2/sidnlabs-test-tcp-stream-retransmision.pcap.gz",
	"cisco+mercury/mdns_capture.pcap",
	"OISF+suricata-verify/tls__tls-subjectaltname__input.pcap",
	"OISF+suricata-verify/decode-sll2-02__input.pcap",
	"stratosphereips+StratosphereLinuxIPS/dataset__test7-malicious.pcap",
	"zeek+zeek/tunnels__gre-aruba.pcap",
}

// provenance are the columns that say where in the inputs something was. They
// alone may differ when the same packets come in other files.
var provenance = []string{"capture_id", "first_packet", "last_capture_id", "last_packet"}

// ledger is the table whose rows are about the files.
const ledger = "captures"

func corpus(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("CAPLAKE_CORPUS")
	if dir == "" {
		t.Skip("CAPLAKE_CORPUS does not name a corpus")
	}
	var paths []string
	for _, c := range corpusCaptures {
		p := filepath.Join(dir, "captures", filepath.FromSlash(c))
		if _, err := os.Stat(p); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// convert returns the folder of a new dataset.
func convert(t *testing.T, workers, shards int, inputs ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	cfg := run.Default()
	cfg.Inputs, cfg.Out = inputs, out
	cfg.Workers, cfg.Shards = workers, shards
	cfg.RowGroupRows = 500 // several row groups
	r, err := run.Convert(context.Background(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Packets == 0 {
		t.Fatal("no packets")
	}
	return out
}

// files returns the hash of every file of a dataset.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		m[rel] = fmt.Sprintf("%d bytes, %x", len(b), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func sameFiles(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for p := range want {
		if got[p] != want[p] {
			t.Errorf("%s: %s is %q, want %q", what, p, got[p], want[p])
		}
	}
	for p := range got {
		if want[p] == "" {
			t.Errorf("%s: %s should not be there", what, p)
		}
	}
}

// rows returns the rows of every table as canonical text, without some columns.
func rows(t *testing.T, dir string, without ...string) map[string][]string {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*", "part-00000.parquet"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables in %s: %v", dir, err)
	}
	m := map[string][]string{}
	for _, p := range tables {
		name := filepath.Base(filepath.Dir(p))
		tab, err := conformance.ReadTable(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		m[name] = tab.Lines(without...)
	}
	return m
}

func sameRows(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	for table := range want {
		a, b := got[table], want[table]
		if slices.Equal(a, b) {
			continue
		}
		t.Errorf("%s: table %s differs: %d rows, want %d", what, table, len(a), len(b))
		shown := 0
		report := func(sign string, x, y []string) {
			for _, l := range x {
				if _, ok := slices.BinarySearch(y, l); !ok && shown < 4 {
					shown++
					t.Logf("%s %s", sign, l)
				}
			}
		}
		report("got", a, b)
		report("want", b, a)
	}
	for table := range got {
		if _, ok := want[table]; !ok {
			t.Errorf("%s: table %s should not be there", what, table)
		}
	}
}

// The same input and configuration give the same bytes at any number of workers;
// another number of shards gives the same set of rows.
func TestWorkersAndShards(t *testing.T) {
	inputs := corpus(t)
	var want map[string][]string
	for _, shards := range []int{1, 2, 4, 16, 64} {
		one := convert(t, 1, shards, inputs...)
		wantFiles := files(t, one)
		for _, workers := range []int{2, 5} {
			sameFiles(t, fmt.Sprintf("%d shards, %d workers", shards, workers), files(t, convert(t, workers, shards, inputs...)), wantFiles)
		}
		got := rows(t, one)
		if want == nil {
			want = got
			for table, least := range map[string]int{"flows": 5000, "http": 1000, "tls": 100, "dns": 2000, ledger: len(inputs)} {
				if len(got[table]) < least {
					t.Errorf("%d rows of %s: too few for the comparison to say anything", len(got[table]), table)
				}
			}
			continue
		}
		sameRows(t, fmt.Sprintf("%d shards", shards), got, want)
	}
}

// A capture cut into rotated files gives the same rows, but for provenance.
func TestSplit(t *testing.T) {
	for _, input := range corpus(t) {
		name := filepath.Base(input)
		whole := readCapture(t, input)
		dir := t.TempDir()
		write(t, filepath.Join(dir, "whole.pcap"), whole.file(whole.records))
		want := rows(t, convert(t, 2, 16, filepath.Join(dir, "whole.pcap")), provenance...)
		delete(want, ledger)
		for _, n := range []int{2, 7, 40} {
			pieces := whole.split(n)
			if len(pieces) < 2 {
				t.Errorf("%s: cannot be cut", name)
				continue
			}
			var paths []string
			sub := t.TempDir()
			for i, p := range pieces {
				paths = append(paths, filepath.Join(sub, fmt.Sprintf("rotated-%03d.pcap", i)))
				write(t, paths[i], whole.file(p))
			}
			slices.Reverse(paths) // their order is found, not given
			got := rows(t, convert(t, 2, 16, paths...), provenance...)
			if len(got[ledger]) != len(pieces) {
				t.Errorf("%s in %d pieces: the ledger has %d rows", name, len(pieces), len(got[ledger]))
			}
			delete(got, ledger)
			sameRows(t, fmt.Sprintf("%s in %d pieces", name, len(pieces)), got, want)
		}
	}
}

// Captures of different times put into one file give the same rows, but for
// provenance.
func TestMerge(t *testing.T) {
	var captures []*rawCapture
	var paths []string
	for _, input := range corpus(t) {
		if c := readCapture(t, input); c.link == 1 {
			c.path = input
			captures = append(captures, c)
		}
	}
	slices.SortFunc(captures, func(a, b *rawCapture) int { return int(min(max(a.first()-b.first(), -1), 1)) })
	merged := &rawCapture{link: 1}
	last := int64(-1)
	for _, c := range captures {
		if c.first() <= last {
			continue // it overlaps with the one before
		}
		for _, r := range c.records {
			last = max(last, r.time)
		}
		merged.records = append(merged.records, c.records...)
		paths = append(paths, c.path)
	}
	if len(paths) < 4 {
		t.Fatalf("only %d captures can be merged", len(paths))
	}
	p := filepath.Join(t.TempDir(), "merged.pcap")
	write(t, p, merged.file(merged.records))
	want := rows(t, convert(t, 2, 16, paths...), provenance...)
	got := rows(t, convert(t, 2, 16, p), provenance...)
	delete(want, ledger)
	delete(got, ledger)
	sameRows(t, fmt.Sprintf("%d captures merged", len(paths)), got, want)
}

// Compression changes nothing, not even provenance.
func TestRecompressed(t *testing.T) {
	for _, input := range corpus(t) {
		name := strings.TrimSuffix(filepath.Base(input), ".gz")
		plain := readFile(t, input)
		dir := t.TempDir()
		var gz, gzParts, zst bytes.Buffer
		g := gzip.NewWriter(&gz)
		g.Write(plain)
		g.Close()
		for half := range slices.Chunk(plain, len(plain)/2+1) { // several members: RFC 1952 section 2.2
			g := gzip.NewWriter(&gzParts)
			g.Write(half)
			g.Close()
		}
		z, err := zstd.NewWriter(&zst)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(plain)
		z.Close()
		write(t, filepath.Join(dir, "plain"), plain)
		want := rows(t, convert(t, 2, 16, filepath.Join(dir, "plain")))
		delete(want, ledger)
		for kind, b := range map[string][]byte{"gz": gz.Bytes(), "members.gz": gzParts.Bytes(), "zst": zst.Bytes()} {
			p := filepath.Join(dir, "c."+kind)
			write(t, p, b)
			got := rows(t, convert(t, 2, 16, p))
			delete(got, ledger)
			sameRows(t, name+" as "+kind, got, want)
		}
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// readFile returns a file's bytes, decompressed.
func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return b
}

// rawCapture is a capture as records: what pcap says of a packet.
type rawCapture struct {
	path    string
	link    uint32
	records []record
}

type record struct {
	time int64 // ns
	wire int   // length on the wire
	data []byte
}

// readCapture reads a pcap or pcapng by gopacket's reader, not ours.
func readCapture(t *testing.T, path string) *rawCapture {
	t.Helper()
	c := &rawCapture{}
	b := readFile(t, path)
	ng := binary.LittleEndian.Uint32(b) == 0x0a0d0d0a
	var next func() error
	if ng {
		r, err := pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.DefaultNgReaderOptions)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		c.link = uint32(r.LinkType())
		next = func() error {
			data, ci, err := r.ReadPacketData()
			if err == nil {
				c.records = append(c.records, record{ci.Timestamp.UnixNano(), ci.Length, data})
			}
			return err
		}
	} else {
		r, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		c.link = uint32(r.LinkType())
		next = func() error {
			data, ci, err := r.ReadPacketData()
			if err == nil {
				c.records = append(c.records, record{ci.Timestamp.UnixNano(), ci.Length, data})
			}
			return err
		}
	}
	for {
		if err := next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: packet %d: %v", path, len(c.records)+1, err)
		}
	}
	if len(c.records) == 0 {
		t.Fatalf("%s: no packets", path)
	}
	return c
}

func (c *rawCapture) first() int64 { return c.records[0].time }

// file writes records as a pcap of nanoseconds, little endian.
func (c *rawCapture) file(records []record) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b23c4d)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(b, 262144)
	b = le.AppendUint32(b, c.link)
	for _, r := range records {
		b = le.AppendUint32(b, uint32(r.time/1e9))
		b = le.AppendUint32(b, uint32(r.time%1e9))
		b = le.AppendUint32(b, uint32(len(r.data)))
		b = le.AppendUint32(b, uint32(r.wire))
		b = append(b, r.data...)
	}
	return b
}

// split cuts the capture into about n pieces whose first times do not fall, so that
// the order of the inputs (by first time, then path) is the order of the packets.
func (c *rawCapture) split(n int) [][]record {
	var pieces [][]record
	size := max(1, len(c.records)/n)
	start := 0
	for i := 1; i < len(c.records); i++ {
		if i-start >= size && c.records[i].time >= c.records[start].time {
			pieces = append(pieces, c.records[start:i])
			start = i
		}
	}
	return append(pieces, c.records[start:])
}

// The rows of several datagrams of one frame have the same order at any number of
// workers, as do flows that begin with them.
func TestAggregateOrder(t *testing.T) {
	path := captureFile(t, func(c *capture) {
		inner := newCapture(io.Discard)
		for frame := range uint16(50) {
			// IEEE 802.11 from an access point over GRE, quality of service with an A-MSDU in it.
			gre := append([]byte{0, 0, 0x82, 0x40, 0x88, 2}, make([]byte, 22)...)
			gre = append(gre, 0x80, 0)
			for port := range uint16(8) {
				inner.udp(a, b, 1000+frame*8+(port*5)%8, 53, query(frame))
				gre = append(gre, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, byte(8+len(inner.buf)))
				gre = append(gre, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0)
				gre = append(gre, inner.buf...)
				for len(gre)%4 != 2 { // the first begins at 30
					gre = append(gre, 0)
				}
			}
			c.buf = append(c.ip(47, 0x0b000001, 0x0b000002, len(gre)), gre...)
			c.record(c.buf)
		}
	})
	one := convert(t, 1, 64, path)
	if n := len(rows(t, one)["dns"]); n != 400 {
		t.Fatalf("%d rows of dns", n)
	}
	for _, workers := range []int{2, 3} {
		sameFiles(t, fmt.Sprintf("%d workers", workers), files(t, convert(t, workers, 64, path)), files(t, one))
	}
}
