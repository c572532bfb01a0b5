package run_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// captureFile writes a capture.
func captureFile(t *testing.T, write func(c *capture)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := newCapture(f)
	write(c)
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// fragment writes a fragment of a datagram.
func (c *capture) fragment(id uint16, offset, n int, more bool) {
	p := c.ip(17, a, b, n)
	binary.BigEndian.PutUint16(p[4:], id)
	field := uint16(offset / 8)
	if more {
		field |= 0x2000
	}
	binary.BigEndian.PutUint16(p[6:], field)
	c.buf = append(p, make([]byte, n)...)
	c.record(c.buf)
}

// TestBounds presses on each bound of memory: what it gives up is counted in the ledger of
// the input that pressed and of no other, and the report warns of it.
func TestBounds(t *testing.T) {
	quiet := func(c *capture) { // what touches none of them
		c.open(80)
		c.tcp(a, b, 1000, 80, ack, 1, 1, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		c.tcp(b, a, 80, 1000, ack, 1, 28, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.udp(a, b, 3, 53, query(1))
		c.fragment(1, 0, 800, true)
		c.fragment(1, 800, 800, false)
	}
	holes := func(c *capture) {
		c.open(81)
		for n := range uint32(20) {
			c.tcp(a, b, 1000, 81, ack, 2+200*n, 1, strings.Repeat("x", 100))
		}
	}
	tests := []struct {
		name    string
		config  run.Config
		press   func(c *capture)
		counter func(c *schema.Capture) int64
		want    int64
		warning string
	}{
		{"flows", run.Config{MaxFlows: 64, Shards: 1}, func(c *capture) {
			for n := range uint32(100) {
				c.udp(n, b, 1, 9999, "x")
			}
		}, func(c *schema.Capture) int64 { return c.FlowsEvicted }, 39, "--max-flows"}, // three live when they come
		{"held", run.Config{MaxHeld: 1024, Shards: 1}, holes,
			func(c *schema.Capture) int64 { return c.HolesGivenUp }, 18, "--max-held"},
		{"held by a side", run.Config{MaxHeldPerSide: 1024}, holes,
			func(c *schema.Capture) int64 { return c.HolesGivenUp }, 18, "--max-held-per-side"},
		{"segments held", run.Config{MaxHeldSegments: 5}, holes,
			func(c *schema.Capture) int64 { return c.HolesGivenUp }, 15, "--max-held-segments"},
		{"fragmented datagrams", run.Config{MaxFragmented: 4}, func(c *capture) {
			for n := range uint16(10) {
				c.fragment(100+n, 0, 8, true)
			}
		}, func(c *schema.Capture) int64 { return c.DatagramsGivenUp }, 6, "--max-fragmented"},
		{"bytes of fragments", run.Config{MaxFragmentBytes: 64 << 10}, func(c *capture) {
			for n := range uint16(10) {
				c.fragment(100+n, 0, 16000, true)
			}
		}, func(c *schema.Capture) int64 { return c.DatagramsGivenUp }, 7, "--max-fragment-bytes"},
		{"parsers", run.Config{MaxParserBytes: 64 << 10, Shards: 1}, func(c *capture) {
			for n := range uint16(100) {
				c.open(2000 + n)
				c.tcp(a, b, 1000, 2000+n, ack, 1, 1, "GET / HTTP/1.1\r\n")
			}
		}, func(c *schema.Capture) int64 { return c.ParsersGivenUp }, -1, "--max-parser-bytes"},
		{"what may be of a protocol yet", run.Config{MaxParserBytes: 64 << 10, Shards: 1}, func(c *capture) {
			for n := range uint16(100) {
				c.open(2000 + n)
				c.tcp(a, b, 1000, 2000+n, ack, 1, 1, "GET /"+strings.Repeat("x", 1400))
			}
		}, func(c *schema.Capture) int64 { return c.ParsersGivenUp }, -1, "--max-parser-bytes"},
		{"pending queries", run.Config{MaxPending: 8}, func(c *capture) {
			for n := range uint16(20) {
				c.udp(a, b, 9, 53, query(n))
			}
		}, func(c *schema.Capture) int64 { return c.PendingGivenUp }, 12, "--max-pending"},
		{"pending requests", run.Config{MaxPending: 8}, func(c *capture) {
			c.open(82)
			const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
			for n := range uint32(20) {
				c.tcp(a, b, 1000, 82, ack, 1+n*uint32(len(get)), 1, get)
			}
		}, func(c *schema.Capture) int64 { return c.PendingGivenUp }, 12, "--max-pending"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var rows [2]schema.Capture
			for i, workers := range []int{1, 2} {
				cfg := tt.config
				cfg.Workers = workers
				cfg.Inputs = []string{captureFile(t, quiet), captureFile(t, func(c *capture) {
					c.time += 1e9
					tt.press(c)
				})}
				report, out := dataset(t, cfg)
				captures := read[schema.Capture](t, out, "captures")
				if n := captures[0].LimitHits; n != 0 {
					t.Errorf("%d limit hits of a capture that presses on nothing", n)
				}
				rows[i] = captures[1]
				got := tt.counter(&rows[i])
				if got != rows[i].LimitHits || got == 0 || tt.want >= 0 && got != tt.want {
					t.Errorf("counted %d of %d limit hits, want %d", got, rows[i].LimitHits, tt.want)
				}
				wantWarning(t, report, tt.warning)
			}
			rows[0].SHA256, rows[1].SHA256 = "", ""
			if !reflect.DeepEqual(rows[0], rows[1]) {
				t.Errorf("one worker\n%+v\ntwo\n%+v", rows[0], rows[1])
			}
		})
	}
}

// query is a DNS query for the address of a name.
func query(id uint16) string {
	return string([]byte{byte(id >> 8), byte(id)}) + "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01" +
		string([]byte{'a' + byte(id%26)}) + "\x00\x00\x01\x00\x01"
}

// TestBoundsThatLoseNothing: beyond these bounds something waits or goes to
// disk, and the rows are the same.
func TestBoundsThatLoseNothing(t *testing.T) {
	_, want := dataset(t, run.Config{Inputs: []string{captures}})
	for _, tt := range []struct {
		name   string
		config run.Config
	}{
		{"buffers", run.Config{BufferBytes: 512 << 10}},
		{"no reading ahead", run.Config{ReadAhead: -1}},
		{"little reading ahead", run.Config{ReadAhead: 8, ReadAheadBytes: 1}},
		{"row groups", run.Config{RowGroupBytes: 1}},
		{"certificates on disk", run.Config{MaxCertificateBytes: 1}},
		{"certificates on disk, of two workers", run.Config{MaxCertificateBytes: 1, Workers: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Inputs = []string{captures}
			report, out := dataset(t, tt.config)
			if len(report.Warnings) > 0 {
				t.Errorf("warnings: %q", report.Warnings)
			}
			same[schema.Flow](t, want, out, "flows")
			same[schema.TLS](t, want, out, "tls")
			same[schema.Certificate](t, want, out, "certificates")
			same[schema.Capture](t, want, out, "captures")
			if left, err := filepath.Glob(filepath.Join(out, ".*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
}

func same[T any](t *testing.T, want, got, table string) {
	t.Helper()
	a, b := read[T](t, want, table), read[T](t, got, table)
	if len(a) == 0 || !reflect.DeepEqual(a, b) {
		t.Errorf("%s: %d rows, which differ from the %d wanted", table, len(b), len(a))
	}
}

// TestRecordBound: a record beyond the bound is damage.
func TestRecordBound(t *testing.T) {
	packet := make([]byte, 100_000)
	path := captureFile(t, func(c *capture) { c.record(packet); c.record(packet) })
	for bound, damaged := range map[int64]int{64 << 10: 1, 128 << 10: 0} {
		report, _ := dataset(t, run.Config{Inputs: []string{path}, MaxRecordBytes: bound})
		if len(report.Damaged) != damaged {
			t.Errorf("bound %d: damaged %+v", bound, report.Damaged)
		}
	}
}
