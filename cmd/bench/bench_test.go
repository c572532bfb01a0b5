package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func TestCheckReportsEachDifference(t *testing.T) {
	truth := Truth{
		Packets: 1000, HTTPRequests: 300, HTTPReplies: 290, TLSClientHellos: 200,
		DNSQueries: 120, DNSReplies: 110,
	}
	ref := Reference{Packets: 1000, FlowsLeast: 400, FlowsMost: 402}
	good := rowCounts{
		flows: 401, packets: 1000, httpRequests: 300, httpResponses: 290,
		tlsHandshake: 200, dnsQueries: 115, dnsRetransmits: 5, dnsResponses: 110,
	}
	if bad := check(&truth, &ref, &good); len(bad) != 0 {
		t.Fatalf("equal counts: %q", bad)
	}
	for _, tt := range []struct {
		name string
		edit func(*Truth, *Reference, *rowCounts)
		want string // empty: nothing differs
	}{
		{"packet lost", func(_ *Truth, _ *Reference, c *rowCounts) { c.packets-- }, "packets: 999, generated 1000"},
		{"flows joined", func(_ *Truth, _ *Reference, c *rowCounts) { c.flows = 399 }, "flows: 399, generated 400 to 402"},
		{"flows split", func(_ *Truth, _ *Reference, c *rowCounts) { c.flows = 403 }, "flows: 403, generated 400 to 402"},
		{"request lost", func(_ *Truth, _ *Reference, c *rowCounts) { c.httpRequests-- }, "http requests: 299, generated 300"},
		{"request lost by the capture", func(tr *Truth, _ *Reference, c *rowCounts) { tr.NeverSeen = 1; c.httpRequests-- }, ""},
		{"more requests lost than the capture lost", func(tr *Truth, _ *Reference, c *rowCounts) { tr.NeverSeen = 1; c.httpRequests -= 6 }, "http requests: 294, generated 295 to 300"},
		{"request twice", func(tr *Truth, _ *Reference, c *rowCounts) { tr.NeverSeen = 1; c.httpRequests++ }, "http requests: 301, generated 295 to 300"},
		{"response lost", func(_ *Truth, _ *Reference, c *rowCounts) { c.httpResponses-- }, "http responses: 289, generated 290"},
		{"handshake twice", func(_ *Truth, _ *Reference, c *rowCounts) { c.tlsHandshake++ }, "tls handshakes: 201, generated 200"},
		{"query lost", func(_ *Truth, _ *Reference, c *rowCounts) { c.dnsQueries-- }, "dns queries: 119, generated 120"},
		{"response not paired", func(_ *Truth, _ *Reference, c *rowCounts) { c.dnsResponses++ }, "dns responses: 111, generated 110"},
		{"capture cut", func(_ *Truth, r *Reference, _ *rowCounts) { r.Packets = 7 }, "not whole"},
	} {
		tr, r, c := truth, ref, good
		tt.edit(&tr, &r, &c)
		bad := check(&tr, &r, &c)
		if tt.want == "" {
			if len(bad) != 0 {
				t.Errorf("%s: %q", tt.name, bad)
			}
			continue
		}
		if len(bad) != 1 || !strings.Contains(bad[0], tt.want) {
			t.Errorf("%s: %q, want one with %q", tt.name, bad, tt.want)
		}
	}
}

func TestCountRows(t *testing.T) {
	type row struct {
		QueryTS          *int64 `parquet:"query_ts,optional"`
		ResponseTS       *int64 `parquet:"response_ts,optional"`
		QueryRetransmits int64  `parquet:"query_retransmits"`
	}
	at := int64(0) // zero is a value
	rows := []row{{&at, &at, 2}, {&at, nil, 0}, {nil, &at, 0}, {&at, nil, 1}}
	dir := t.TempDir()
	for _, part := range []string{"part-00000.parquet", "part-00001.parquet"} {
		writeRows(t, filepath.Join(dir, "dns", part), rows)
	}
	c, err := countRows(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.dnsQueries != 6 || c.dnsResponses != 4 || c.dnsRetransmits != 6 || !slices.Equal(c.tables, []Rows{{"dns", 8}}) {
		t.Errorf("%+v", *c)
	}

	writeRows(t, filepath.Join(dir, "http", "part-00000.parquet"), rows) // without http's columns
	if _, err := countRows(dir); err == nil || !strings.Contains(err.Error(), "no column request_ts") {
		t.Errorf("error %v", err)
	}
	if _, err := countRows(t.TempDir()); err == nil {
		t.Error("a folder without tables is no error")
	}
}

func writeRows[T any](t *testing.T, path string, rows []T) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(path, rows); err != nil {
		t.Fatal(err)
	}
}

func TestReference(t *testing.T) {
	p := &pcap{}
	const udp, tcp, syn = 17, 6, 2
	p.add(0, ipFrame(1, 2, 1000, 53, udp, 0))
	p.add(1, ipFrame(2, 1, 53, 1000, udp, 0)) // the answer: the same flow
	p.add(61, ipFrame(1, 2, 1000, 53, udp, 0))
	p.add(122, ipFrame(1, 2, 1000, 53, udp, 0)) // after 61 s of silence: another
	p.add(123, ipFrame(1, 2, 1001, 53, udp, 0)) // another port
	p.add(124, ipFrame(1, 2, 1000, 53, tcp, syn))
	p.add(125, ipFrame(1, 2, 1000, 53, tcp, syn)) // used again, or retransmitted
	arp := make([]byte, 60)
	copy(arp[12:], "\x08\x06")
	p.add(126, arp)
	r, err := readReference(bytes.NewReader(p.bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Reference{Packets: 8, FlowsLeast: 4, FlowsMost: 5}); *r != want {
		t.Errorf("%+v, want %+v", *r, want)
	}
	b := p.bytes()
	if _, err := readReference(bytes.NewReader(b[:len(b)-1])); err == nil {
		t.Error("a cut capture is no error")
	}
	if _, err := readReference(strings.NewReader("not a capture, but of the length of its header")); err == nil {
		t.Error("another file is no error")
	}
}

type pcap struct{ b []byte }

func (p *pcap) add(sec int, frame []byte) {
	if p.b == nil {
		p.b = binary.LittleEndian.AppendUint32(p.b, 0xa1b2c3d4)
		p.b = append(p.b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0)
	}
	for _, v := range []int{sec, 0, len(frame), len(frame)} {
		p.b = binary.LittleEndian.AppendUint32(p.b, uint32(v))
	}
	p.b = append(p.b, frame...)
}

func (p *pcap) bytes() []byte { return p.b }

func ipFrame(src, dst byte, sport, dport uint16, proto, flags byte) []byte {
	b := make([]byte, 60)
	b[12], b[14], b[23] = 8, 0x45, proto
	b[29], b[33] = src, dst
	binary.BigEndian.PutUint16(b[34:], sport)
	binary.BigEndian.PutUint16(b[36:], dport)
	b[47] = flags
	return b
}

func TestWithoutGenerator(t *testing.T) {
	dir := t.TempDir()
	_, err := bench(context.Background(), []string{"-pcapgen", dir}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "there is no generator in "+dir) {
		t.Errorf("error %v", err)
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	err := printTable(&b, []Measurement{{
		Profile: "small", Bytes: 2e6, Packets: 1000, Workers: 2, Seconds: 0.5, CPU: 0.75, PeakBytes: 3 << 20,
		Rows: []Rows{{"flows", 10}, {"dns", 4}}, Mismatches: []string{"flows: 10, generated 11"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"small", "2000", "flows 10, dns 4", "MISMATCH small, 2 workers: flows: 10, generated 11"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if fields := strings.Fields(strings.Split(b.String(), "\n")[1]); !slices.Equal(fields[:9], []string{"small", "2", "1000", "2", "0.50", "0.75", "4", "2000", "3"}) {
		t.Errorf("fields %q", fields)
	}
}
