package run_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// capture writes a capture of raw IPv4 packets.
type capture struct {
	w    *bufio.Writer
	time int64 // nanoseconds
	buf  []byte
}

func newCapture(w io.Writer) *capture {
	c := &capture{w: bufio.NewWriter(w), time: 1_700_000_000_000_000_000}
	c.w.Write([]byte{0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0})
	return c
}

func (c *capture) record(packet []byte) {
	var h [16]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(c.time/1e9))
	binary.LittleEndian.PutUint32(h[4:], uint32(c.time%1e9))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(packet)))
	binary.LittleEndian.PutUint32(h[12:], uint32(len(packet)))
	c.w.Write(h[:])
	c.w.Write(packet)
}

const (
	fin = 1
	syn = 2
	ack = 16
)

// tcp writes a segment from the first to the second of two addresses.
func (c *capture) tcp(src, dst uint32, sport, dport uint16, flags byte, seq, ackno uint32, payload string) {
	b := c.ip(6, src, dst, 20+len(payload))
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ackno)
	b = append(b, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	b = append(b, payload...)
	c.buf = b
	c.record(b)
}

func (c *capture) udp(src, dst uint32, sport, dport uint16, payload string) {
	b := c.ip(17, src, dst, 8+len(payload))
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	c.buf = append(b, payload...)
	c.record(c.buf)
}

func (c *capture) ip(proto byte, src, dst uint32, n int) []byte {
	b := append(c.buf[:0], 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+n))
	b = append(b, 0, 0, 0x40, 0, 64, proto, 0, 0)
	b = binary.BigEndian.AppendUint32(b, src)
	return binary.BigEndian.AppendUint32(b, dst)
}

// open opens a connection from 10.0.0.1:1000 to 10.0.0.2:port. Sequence numbers of data
// begin at 1 on both sides.
func (c *capture) open(port uint16) {
	c.tcp(a, b, 1000, port, syn, 0, 0, "")
	c.tcp(b, a, port, 1000, syn|ack, 0, 1, "")
	c.tcp(a, b, 1000, port, ack, 1, 1, "")
}

const a, b = 0x0a000001, 0x0a000002

// adversary is a capture that is made to hurt.
type adversary struct {
	name   string
	config run.Config
	write  func(c *capture)
	heap   uint64 // bound
	check  func(t *testing.T, r *run.Report, out string)
}

const mib = 1 << 20

func adversaries() []adversary {
	return []adversary{
		{"SYN flood", run.Config{MaxFlows: 20000}, func(c *capture) {
			for n := range uint32(400_000) {
				c.time += 1000
				c.tcp(n*2654435761, b, uint16(n), 80, syn, n, 0, "")
			}
		}, 700 * mib, func(t *testing.T, r *run.Report, out string) {
			wantRows(t, r, "flows", 400_000)
			wantWarning(t, r, "flows were ended early")
		}},
		{"UDP flood over one shard's worth of memory", run.Config{MaxFlows: 6400, Shards: 64}, func(c *capture) {
			for n := range uint32(200_000) {
				c.udp(n, b, 1, 9999, "x")
			}
		}, 700 * mib, func(t *testing.T, r *run.Report, out string) { wantRows(t, r, "flows", 200_000) }},
		{"one-byte segments in reverse", run.Config{}, func(c *capture) {
			c.open(80)
			for n := uint32(1 << 19); n > 0; n-- {
				c.tcp(a, b, 1000, 80, ack, n+1, 1, "x")
			}
		}, 200 * mib, func(t *testing.T, r *run.Report, out string) {
			f := read[schema.Flow](t, out, "flows")[0]
			if f.FlowSrc.PayloadBytes != 1<<19 {
				t.Errorf("%d payload bytes", f.FlowSrc.PayloadBytes)
			}
			wantWarning(t, r, "in a TCP stream")
		}},
		{"every other byte, for ever", run.Config{MaxHeld: 1 << 20}, func(c *capture) {
			for f := range uint16(50) {
				c.open(f + 1)
				for n := range uint32(2000) {
					c.tcp(a, b, 1000, f+1, ack, 3+2*n, 1, "x")
				}
			}
		}, 200 * mib, func(t *testing.T, r *run.Report, out string) {
			for _, f := range read[schema.Flow](t, out, "flows") {
				if *f.FlowSrc.Gaps != 2000 || *f.FlowSrc.GapBytes != 2001 { // the first hole is of two
					t.Fatalf("%d gaps of %d bytes", *f.FlowSrc.Gaps, *f.FlowSrc.GapBytes)
				}
			}
		}},
		{"a header line without end", run.Config{Headers: true}, func(c *capture) {
			c.open(80)
			line := "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 60000)
			seq := uint32(1)
			for range int(headerLineMB() * 1e6 / 60000) {
				c.tcp(a, b, 1000, 80, ack, seq, 1, line)
				seq += uint32(len(line))
				line = strings.Repeat("x", 60000)
			}
		}, 250 * mib, func(t *testing.T, r *run.Report, out string) { wantRows(t, r, "http", 1) }},
		{"ten thousand headers, a hundred times", run.Config{Headers: true}, func(c *capture) {
			c.open(80)
			head := "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", 10000) + "\r\n"
			seq := uint32(1)
			for range 100 {
				for rest := head; len(rest) > 0; {
					n := min(len(rest), 1400)
					c.tcp(a, b, 1000, 80, ack, seq, 1, rest[:n])
					rest = rest[n:]
					seq += uint32(n)
				}
			}
		}, 400 * mib, func(t *testing.T, r *run.Report, out string) { wantRows(t, r, "http", 100) }},
		{"a certificate chain of ten megabytes", run.Config{}, func(c *capture) {
			c.open(443)
			hello := "\x16\x03\x03\x00\x2d\x01\x00\x00\x29\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x00\x2f\x01\x00"
			c.tcp(a, b, 1000, 443, ack, 1, 1, hello)
			server := "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x2f\x00"
			c.tcp(b, a, 443, 1000, ack, 1, uint32(1+len(hello)), server)
			seq := uint32(1 + len(server))
			body := "\x0b\xa0\x00\x00\x9f\xff\xfd" + strings.Repeat("c", 10<<20)
			for len(body) > 0 {
				n := min(len(body), 16000)
				record := "\x16\x03\x03" + string([]byte{byte(n >> 8), byte(n)}) + body[:n]
				c.tcp(b, a, 443, 1000, ack, seq, 1, record)
				seq += uint32(len(record))
				body = body[n:]
			}
		}, 200 * mib, func(t *testing.T, r *run.Report, out string) { wantRows(t, r, "tls", 1) }},
		{"DNS names that point at each other", run.Config{}, func(c *capture) {
			m := "\x00\x01\x81\x80\x00\x01\x00\xff\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01" + strings.Repeat("\xc0\x0c", 500)
			for n := range uint16(20000) {
				c.udp(b, a, 53, n, m)
			}
		}, 300 * mib, func(t *testing.T, r *run.Report, out string) {
			wantRows(t, r, "dns", 20000)
			for _, d := range read[schema.DNS](t, out, "dns")[:100] {
				if d.Malformed == "" {
					t.Fatal("a loop is not malformed")
				}
			}
		}},
		{"times that go backwards, jump a century and stand still", run.Config{}, func(c *capture) {
			for n := range uint32(200_000) {
				switch n % 4 {
				case 0:
					c.time -= 3_600_000_000_000
				case 1:
					c.time = 1_700_000_000_000_000_000 + 2_400_000_000_000_000_000*int64(n%8/4)
				}
				c.udp(n/10, b, 5, 6, "x")
			}
		}, 300 * mib, func(t *testing.T, r *run.Report, out string) {
			ids := make(map[int64]bool)
			for _, f := range read[schema.Flow](t, out, "flows") {
				if f.Duration < 0 {
					t.Fatalf("a flow of %d ns", f.Duration)
				}
				if ids[f.FlowID] {
					t.Fatalf("two flows with the identifier %d", f.FlowID)
				}
				ids[f.FlowID] = true
			}
		}},
		{"tuples of one hash", run.Config{}, func(c *capture) {
			for n := range uint64(100_000) {
				c.collide(n)
			}
		}, 500 * mib, func(t *testing.T, r *run.Report, out string) {
			wantRows(t, r, "flows", 100_000)
			wantWarning(t, r, "flows were ended early")
		}},
		{"segments that overlap in every way", run.Config{}, func(c *capture) {
			for f := range uint16(40) {
				c.open(f + 1)
				for n := range uint32(2000) {
					at, size := n*7919%20000, 1+n*31%1400
					c.tcp(a, b, 1000, f+1, ack, 2+at, 1, strings.Repeat(string(rune('a'+n%26)), int(size)))
				}
			}
		}, 300 * mib, func(t *testing.T, r *run.Report, out string) {
			for _, f := range read[schema.Flow](t, out, "flows") {
				if *f.FlowSrc.OverlapMismatches == 0 {
					t.Fatal("no overlap has been noticed")
				}
			}
		}},
		{"fragments that overlap in every way", run.Config{}, func(c *capture) {
			for id := range uint16(2000) {
				for n := range 40 {
					c.fragment(id, (n*7919+int(id))%8000&^7, 8+n*31%1400&^7, n != 20)
				}
			}
		}, 300 * mib, func(t *testing.T, r *run.Report, out string) {
			if c := read[schema.Capture](t, out, "captures")[0]; c.FragmentOverlaps < 2000 {
				t.Errorf("%d fragments overlap", c.FragmentOverlaps)
			}
		}},
		{"fragments of datagrams that never end", run.Config{}, func(c *capture) {
			for n := range 100_000 {
				c.fragment(uint16(n), n/65536*8, 8, true)
			}
		}, 300 * mib, func(t *testing.T, r *run.Report, out string) { wantWarning(t, r, "datagrams were given up") }},
		{"requests that are never answered", run.Config{MaxParserBytes: 64 << 20}, func(c *capture) {
			for n := range uint32(50_000) {
				c.tcp(n, b, uint16(n), 80, syn, 0, 0, "")
				c.tcp(n, b, uint16(n), 80, ack, 1, 1, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 1300))
			}
		}, 500 * mib, func(t *testing.T, r *run.Report, out string) { wantWarning(t, r, "messages were given up") }},
	}
}

// headerLineMB is the length of the header line without end: 60 MB unless
// CAPLAKE_HEADER_MB, for a longer look at it, says otherwise.
func headerLineMB() float64 {
	if mb, err := strconv.ParseFloat(os.Getenv("CAPLAKE_HEADER_MB"), 64); err == nil {
		return mb
	}
	return 60
}

// TestAdversaries gives a run what is made to hurt it. Each must end with its
// rows and counts, within a bound on memory. BenchmarkAdversaries says how long they take.
func TestAdversaries(t *testing.T) {
	for _, tt := range adversaries() {
		t.Run(tt.name, func(t *testing.T) {
			r, w := io.Pipe()
			go func() {
				c := newCapture(w)
				tt.write(c)
				c.w.Flush()
				w.Close()
			}()
			tt.config.Inputs, tt.config.Stdin, tt.config.NoHash = []string{"-"}, r, true
			// What is measured is to be what is held, not what the collector has not yet come to,
			// and of this run, not of the one before.
			defer debug.SetGCPercent(debug.SetGCPercent(10))
			runtime.GC()
			runtime.GC()
			heap := watchHeap()
			began := time.Now()
			report, out := dataset(t, tt.config)
			peak := heap()
			if peak > tt.heap {
				t.Errorf("heap of %d MiB, bound %d", peak/mib, tt.heap/mib)
			}
			t.Logf("%d packets in %v, heap up to %d MiB", report.Packets, time.Since(began).Round(time.Millisecond), peak/mib)
			tt.check(t, report, out)
		})
	}
}

// watchHeap looks at the heap every few milliseconds, until the returned function is called,
// which says how large it was at most.
func watchHeap() (peak func() uint64) {
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var m runtime.MemStats
		for high := uint64(0); ; high = max(high, m.HeapAlloc) {
			select {
			case <-stop:
				most <- high
				return
			case <-time.After(10 * time.Millisecond):
				runtime.ReadMemStats(&m)
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-most
	}
}

// collide writes a datagram of a tuple that has the same hash as those of any other n.
func (c *capture) collide(n uint64) {
	p := binary.BigEndian.AppendUint32(c.buf[:0], 6<<28)
	p = append(p, 0, 8, 17, 64)
	p = binary.LittleEndian.AppendUint64(p, 0x9e3779b97f4a7c15^0xa0761d6478bd642f^1)
	p = binary.LittleEndian.AppendUint64(p, n<<32|n)
	p = append(p, make([]byte, 14)...)
	c.buf = append(p, 0, 1, 0, 0, 0, 0, 0, 8, 0, 0)
	c.record(c.buf)
}

// normal is what the adversaries are held against: requests with responses of some length, and
// names asked for.
func normal(c *capture) {
	const get = "GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n\r\n"
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 14000\r\n\r\n"
	body := strings.Repeat("x", 1400)
	for n := range uint32(5000) {
		c.time += 1e6
		src, port := a+n, uint16(1024+n)
		c.udp(src, b, port, 53, query(uint16(n)))
		c.udp(b, src, 53, port, query(uint16(n))[:2]+"\x81\x80"+query(uint16(n))[4:])
		c.tcp(src, b, port, 80, syn, 0, 0, "")
		c.tcp(b, src, 80, port, syn|ack, 0, 1, "")
		c.tcp(src, b, port, 80, ack, 1, 1, get)
		c.tcp(b, src, 80, port, ack, 1, uint32(1+len(get)), head)
		for k := range uint32(10) {
			c.tcp(b, src, 80, port, ack, uint32(1+len(head))+1400*k, uint32(1+len(get)), body)
		}
		c.tcp(src, b, port, 80, fin|ack, uint32(1+len(get)), uint32(14001+len(head)), "")
		c.tcp(b, src, 80, port, fin|ack, uint32(14001+len(head)), uint32(2+len(get)), "")
	}
}

// names is normal traffic of small packets: names asked for and answered.
func names(c *capture) {
	for n := range uint32(100_000) {
		c.time += 1e6
		q := query(uint16(n))
		c.udp(a+n, b, uint16(1024+n), 53, q)
		c.udp(b, a+n, 53, uint16(1024+n), q[:2]+"\x81\x80"+q[4:])
	}
}

// BenchmarkAdversaries says what each takes of the processor for a byte of capture, and how much
// that is of what traffic of large and of small packets takes.
//
//	go test -run '^$' -bench Adversaries -benchtime 1x ./cmd/internal/run
func BenchmarkAdversaries(b *testing.B) {
	var large, small float64
	list := append([]adversary{{name: "normal, large packets", write: normal}, {name: "normal, small packets", write: names}}, adversaries()...)
	for i, tt := range list {
		b.Run(tt.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "x.pcap")
			f, err := os.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			c := newCapture(f)
			tt.write(c)
			c.w.Flush()
			info, _ := f.Stat()
			f.Close()
			cfg := tt.config
			cfg.Inputs, cfg.NoHash, cfg.Overwrite, cfg.Out = []string{path}, true, true, filepath.Join(b.TempDir(), "out")
			best := time.Duration(1 << 62)
			var packets int64
			for b.Loop() {
				began := cpuTime()
				r, err := run.Convert(b.Context(), cfg, nil)
				if err != nil {
					b.Fatal(err)
				}
				best, packets = min(best, cpuTime()-began), r.Packets
			}
			perByte := float64(best) / float64(info.Size())
			switch i {
			case 0:
				large = perByte
			case 1:
				small = perByte
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(perByte, "ns/B")
			b.ReportMetric(float64(best)/float64(packets), "ns/packet")
			b.ReportMetric(perByte/large, "x-large")
			if small > 0 {
				b.ReportMetric(perByte/small, "x-small")
			}
		})
	}
}

// TestBombs decompress to 128 MiB of empty packets, from kilobytes. Memory is that of any
// other capture, and each of the packets is in the ledger.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	const size = 128 << 20
	bombs := []struct {
		name  string
		most  int // bytes of the bomb
		begin func(w io.Writer) (io.WriteCloser, error)
	}{
		{"gzip", size / 500, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }},
		{"zstd", size / 5000, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }},
		{"lz4", size / 100, func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil }},
		{"xz", size / 1000, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }},
	}
	for _, tt := range bombs {
		t.Run(tt.name, func(t *testing.T) {
			var small bytes.Buffer
			z, err := tt.begin(&small)
			if err != nil {
				t.Fatal(err)
			}
			unpacked(z, size)
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			explode(t, small.Bytes(), "bomb", tt.most, size)
		})
	}
	t.Run("zip", func(t *testing.T) {
		var small bytes.Buffer
		z := zip.NewWriter(&small)
		w, err := z.Create("x.pcap")
		if err != nil {
			t.Fatal(err)
		}
		unpacked(w, size)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		explode(t, small.Bytes(), "bomb.zip", size/500, size)
	})
	// The standard library does not write bzip2: two streams that its program made, of the header
	// of a capture and of a MiB of zeros, the second of them as often as it takes.
	t.Run("bzip2", func(t *testing.T) {
		bomb, _ := hex.DecodeString(bzip2Header)
		zeros, err := hex.DecodeString(bzip2Zeros)
		if err != nil {
			t.Fatal(err)
		}
		bomb = append(bomb, bytes.Repeat(zeros, size>>20)...)
		explode(t, bomb, "bomb", size/5000, size)
	})
}

const (
	bzip2Header = "425a6839314159265359d49551ac0000074d18548000040002020020001000200031064c40d3d4d01260989ecd9a2eef177245385090d49551ac"
	bzip2Zeros  = "425a683931415926535938571ce50008084000c0040008200030cc0529a60806c4201e2ee48a70a12070ae39ca"
)

// unpacked writes what a bomb holds: the header of a capture, and zeros.
func unpacked(w io.Writer, size int) {
	newCapture(w).w.Flush()
	zero := make([]byte, 1<<20)
	for ; size > 0; size -= len(zero) {
		w.Write(zero)
	}
}

func explode(t *testing.T, bomb []byte, name string, most, size int) {
	t.Helper()
	if len(bomb) > most {
		t.Fatalf("%d bytes are no bomb", len(bomb))
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bomb, 0o644); err != nil {
		t.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	heap := watchHeap()
	began := time.Now()
	r, out := dataset(t, run.Config{Inputs: []string{path}})
	peak := heap()
	t.Logf("%d bytes, %v, heap up to %d MiB", len(bomb), time.Since(began).Round(time.Millisecond), peak/mib)
	if peak > 96*mib {
		t.Errorf("heap of %d MiB", peak/mib)
	}
	c := read[schema.Capture](t, out, "captures")[0]
	if r.Packets != int64(size)/16 || c.CutPackets+c.MalformedNetwork != r.Packets {
		t.Errorf("%d packets, ledger %+v", r.Packets, c)
	}
}

func wantRows(t *testing.T, r *run.Report, table string, n int64) {
	t.Helper()
	for _, x := range r.Tables {
		if x.Name == table && x.Rows != n {
			t.Errorf("%d rows of %s, want %d", x.Rows, table, n)
		}
	}
}

func wantWarning(t *testing.T, r *run.Report, text string) {
	t.Helper()
	if !strings.Contains(strings.Join(r.Warnings, "\n"), text) {
		t.Errorf("warnings %q do not say %q", r.Warnings, text)
	}
}
