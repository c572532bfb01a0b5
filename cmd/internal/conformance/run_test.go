package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// flowRow has the columns of the table flows that are compared.
type flowRow struct {
	Proto           string  `parquet:"proto,dict"`
	SrcIP           string  `parquet:"src_ip"`
	SrcPort         *int32  `parquet:"src_port,optional"`
	DstIP           string  `parquet:"dst_ip"`
	DstPort         *int32  `parquet:"dst_port,optional"`
	VLAN            *int32  `parquet:"vlan_id,optional"`
	InnerVLAN       *int32  `parquet:"inner_vlan_id,optional"`
	TS              int64   `parquet:"ts,timestamp(nanosecond:local)"`
	EndTS           int64   `parquet:"end_ts,timestamp(nanosecond:local)"`
	SrcPackets      int64   `parquet:"src_packets,delta"`
	SrcBytes        int64   `parquet:"src_bytes"`
	SrcPayloadBytes int64   `parquet:"src_payload_bytes"`
	SrcFragments    int64   `parquet:"src_fragments"`
	SrcFlags        string  `parquet:"src_tcp_flags,optional"`
	DstPackets      int64   `parquet:"dst_packets"`
	DstBytes        int64   `parquet:"dst_bytes"`
	DstPayloadBytes int64   `parquet:"dst_payload_bytes"`
	DstFragments    int64   `parquet:"dst_fragments"`
	DstFlags        string  `parquet:"dst_tcp_flags,optional"`
	Tunnel          string  `parquet:"tunnel,optional"`
	Sizes           []int64 `parquet:"sizes,optional,list"`
}

func port(n int32) *int32 { return &n }

// oneFlow and its row in the truth: the same exchange, by its two observers.
func oneFlow() flowRow {
	return flowRow{
		Proto: "tcp", SrcIP: "10.0.0.2", SrcPort: port(40000), DstIP: "10.0.0.1", DstPort: port(80), TS: 1e9, EndTS: 2500000001,
		SrcPackets: 5, SrcBytes: 500, SrcPayloadBytes: 300, SrcFlags: "FSPA", DstPackets: 4, DstBytes: 4000, DstPayloadBytes: 3840, DstFlags: "SA",
		VLAN: port(7),
	}
}

const (
	flowHead = "proto\tstream\tdepth\ta_ip\ta_port\tb_ip\tb_port\ta2b_pkts\ta2b_frame_bytes\ta2b_ip_bytes\ta2b_payload\ta2b_flags\tb2a_pkts\tb2a_frame_bytes\tb2a_ip_bytes\tb2a_payload\tb2a_flags\tfirst\tlast\tsyn\tfin\trst\tvlan\n"
	flowLine = "tcp\t0\t0\t10.0.0.2\t40000\t10.0.0.1\t80\t5\t570\t500\t300\t0x1b\t4\t4056\t4000\t3840\t0x12\t1.000000000\t2.500000001\t2\t1\t0\t7\n"
	httpHead = "seen\thdr_frame\thdr_time\tframe\ttime\ttransport\tstream\tsrc\tsport\tdst\tdport\tin_icmp\tmalformed\tfirst_segment_frame\tkind\tmethod\thost\turi\tversion\tstatus\treason\tuser_agent\treferer\tcontent_type\tcontent_length\ttransfer_encoding\tcontent_encoding\tbody_len\n"
	tlsHead  = "frame\ttime\ttransport\tstream\tsrc\tsport\tdst\tdport\tin_icmp\tmalformed\tlayer\tkind\ths_version\tsupported_versions\tsni\talpn\tciphers\textensions\tsession_id_len\tja3\tja3_full\tja4\tja4_r\tcert_sha256\n"
	dnsHead  = "frame\ttime\ttransport\tstream\tsrc\tsport\tdst\tdport\tin_icmp\tmalformed\tproto\tid\tresponse\topcode\trcode\tflags\tqdcount\tancount\tnscount\tarcount\tqname\tqtype\tqclass\tedns\tanswers\n"
)

// corpusOf makes a corpus of one capture.
func corpusOf(t *testing.T, truth map[string]string, extra map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"captures/src/a.pcap":        string(pcapHeader(binary.LittleEndian, 0xa1b2c3d4, 1)),
		"truth/src/a.pcap.meta.json": `{"rc1": 0}`,
	}
	for table, head := range map[string]string{"flows": flowHead, "http": httpHead, "tls": tlsHead, "dns": dnsHead} {
		files["truth/src/a.pcap."+table+".tsv"] = head + truth[table]
	}
	for p, s := range extra {
		files[p] = s
	}
	for p, s := range files {
		p = filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// writer is a Converter that writes tables of the test's own.
type writer struct {
	t      *testing.T
	write  func(t *testing.T, out string)
	answer Conversion
	asked  []string
}

func (w *writer) Convert(_ context.Context, path, out string, _ Options) Conversion {
	w.asked = append(w.asked, filepath.Base(path))
	if w.write != nil {
		w.write(w.t, out)
	}
	return w.answer
}

func writeRows[T any](t *testing.T, out, table string, rows ...T) {
	t.Helper()
	p := filepath.Join(out, table, "part-00000.parquet")
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := parquet.WriteFile(p, rows); err != nil {
		t.Fatal(err)
	}
}

func runCorpus(t *testing.T, dir string, w *writer) *Result {
	t.Helper()
	w.t = t
	c, err := OpenCorpus(dir, "", "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), c, []Converter{w})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func runFlows(t *testing.T, truth string, rows ...flowRow) *Result {
	t.Helper()
	return runCorpus(t, corpusOf(t, map[string]string{"flows": truth}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "flows", rows...) }})
}

func TestFlowsEqual(t *testing.T) {
	f := oneFlow()
	other := flowRow{Proto: "icmp", SrcIP: "10.0.0.1", DstIP: "10.0.0.2"} // the truth has no ICMP
	r := runFlows(t, flowLine, f, other)
	if len(r.Lines) != 1 || r.Lines[0].Equal != 1 || len(r.Diffs) != 0 || r.Failed([]Goal{{Line: "flows", Percent: 100}}) != nil {
		t.Errorf("%+v", r)
	}

	// Who is the initiator decides nothing.
	f.SrcIP, f.DstIP, f.SrcPort, f.DstPort = f.DstIP, f.SrcIP, f.DstPort, f.SrcPort
	f.SrcPackets, f.DstPackets, f.SrcBytes, f.DstBytes = f.DstPackets, f.SrcPackets, f.DstBytes, f.SrcBytes
	f.SrcPayloadBytes, f.DstPayloadBytes, f.SrcFlags, f.DstFlags = f.DstPayloadBytes, f.SrcPayloadBytes, f.DstFlags, f.SrcFlags
	if r := runFlows(t, flowLine, f); r.Lines[0].Equal != 1 || len(r.Diffs) != 0 {
		t.Errorf("turned: %+v", r.Diffs)
	}
}

func TestFlowsDiffer(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*flowRow)
		want string // differ missing extra; main columns; secondary columns
	}{
		{"packets", func(f *flowRow) { f.SrcPackets++ }, "1 0 0 map[rev_packets:1] map[]"},
		{"packets back", func(f *flowRow) { f.DstPackets-- }, "1 0 0 map[fwd_packets:1] map[]"},
		{"bytes", func(f *flowRow) { f.SrcBytes++ }, "1 0 0 map[rev_bytes:1] map[]"},
		{"bytes back", func(f *flowRow) { f.DstBytes++ }, "1 0 0 map[fwd_bytes:1] map[]"},
		{"tunnel of what is neither TCP nor UDP", func(f *flowRow) { f.Tunnel = "gre" }, "0 0 0 map[] map[]"},
		{"sides exchanged", func(f *flowRow) {
			f.SrcPackets, f.DstPackets, f.SrcBytes, f.DstBytes = f.DstPackets, f.SrcPackets, f.DstBytes, f.SrcBytes
		}, "1 0 0 map[fwd_bytes:1 fwd_packets:1 rev_bytes:1 rev_packets:1] map[]"},
		{"port", func(f *flowRow) { f.SrcPort = port(40001) }, "0 1 1 map[] map[]"},
		{"address", func(f *flowRow) { f.SrcIP = "10.0.0.3" }, "0 1 1 map[] map[]"},
		{"protocol", func(f *flowRow) { f.Proto = "udp" }, "0 1 1 map[] map[]"},
		{"payload", func(f *flowRow) { f.SrcPayloadBytes = 0 }, "1 0 0 map[rev_payload:1] map[]"},
		{"first", func(f *flowRow) { f.TS++ }, "0 0 0 map[] map[first:1]"},
		{"last", func(f *flowRow) { f.EndTS++ }, "0 0 0 map[] map[last:1]"},
		{"flags", func(f *flowRow) { f.DstFlags = "SAU" }, "0 0 0 map[] map[fwd_flags:1]"},
		{"vlan", func(f *flowRow) { f.VLAN = nil }, "1 0 0 map[vlan:1] map[]"},
	} {
		f := oneFlow()
		tt.edit(&f)
		r := runFlows(t, flowLine, f)
		tally := Tally{}
		for _, l := range r.Lines {
			tally.add(&l.Tally)
		}
		more := differing(&tally, false)
		if strings.Count(tt.want, "map[]") == 1 && tally.Differ > 0 {
			more = map[string]int{} // not this test's concern
		}
		if got := fmt.Sprint(tally.Differ, tally.Missing, tally.Extra, differing(&tally, true), more); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if failed := r.Failed([]Goal{{Line: "flows", Percent: 98}}); (failed != nil) != (tally.Equal == 0) {
			t.Errorf("%s: failed %q", tt.name, failed)
		}
	}
}

func TestFlowsFragments(t *testing.T) {
	f := oneFlow()
	f.SrcBytes += 2960 // the whole datagram, where the truth has the last fragment's length
	if r := runFlows(t, flowLine, f); r.Lines[0].Equal != 0 {
		t.Error("bytes may differ without fragments")
	}
	f.SrcFragments = 3
	if r := runFlows(t, flowLine, f); r.Lines[0].Equal != 1 {
		t.Errorf("%+v", r.Diffs)
	}
	f.SrcPayloadBytes++
	if r := runFlows(t, flowLine, f); r.Lines[0].Equal != 0 {
		t.Error("payload may differ")
	}
}

func TestFlowsTunnel(t *testing.T) {
	carrier := "udp\t0\t0\t1.0.0.1\t5000\t1.0.0.2\t4789\t9\t0\t900\t0\t0x0\t0\t0\t0\t0\t0x0\t0.500000000\t3.000000000\t0\t0\t0\t\n"
	inner := strings.Replace(flowLine, "tcp\t0\t0", "tcp\t0\t1", 1)
	decapsulated := oneFlow()
	decapsulated.Tunnel = "vxlan"
	control := flowRow{Proto: "udp", SrcIP: "1.0.0.1", SrcPort: port(5000), DstIP: "1.0.0.2", DstPort: port(4789), SrcPackets: 1}
	for name, rows := range map[string][]flowRow{"inner": {decapsulated}, "inner and what else the tunnel carries": {decapsulated, control}} {
		if r := runFlows(t, carrier+inner, rows...); r.Lines[0].Truth != 1 || r.Lines[0].Equal != 1 || r.Lines[0].Extra != 0 {
			t.Errorf("%s: %+v", name, r.Diffs)
		}
	}
	if r := runFlows(t, carrier+inner, oneFlow()); r.Lines[0].Columns["tunneled"].Differ != 1 {
		t.Errorf("not told: %+v", r.Lines[0])
	}
	if r := runFlows(t, carrier+inner, control); r.Lines[0].Missing != 1 {
		t.Errorf("not decapsulated: %+v", r.Lines[0])
	}
	early := strings.Replace(carrier, "0.500000000\t3.000000000", "0.100000000\t0.200000000", 1)
	if r := runFlows(t, early+inner, oneFlow()); r.Lines[0].Missing != 1 {
		t.Errorf("a flow that was over before is none of the carriers: %+v", r.Lines[0])
	}
	teredo := strings.Replace(carrier, "4789", "3544", 1)
	if r := runFlows(t, teredo+flowLine, oneFlow()); r.Lines[0].Truth != 1 || r.Lines[0].Equal != 1 {
		t.Errorf("Teredo: %+v", r.Diffs)
	}
	if r := runFlows(t, carrier+flowLine, oneFlow()); r.Lines[0].Missing != 1 {
		t.Errorf("a flow to the port that carries nothing is one of its own: %+v", r.Lines[0])
	}
}

func TestFlowsLackColumn(t *testing.T) {
	type row struct {
		Proto string `parquet:"proto"`
	}
	r := runCorpus(t, corpusOf(t, map[string]string{"flows": flowLine}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "flows", row{"tcp"}) }})
	if len(r.Failures) != 1 || !strings.Contains(r.Failures[0].What, "flows lacks columns [src_ip") || r.Lines[0].Missing != 1 {
		t.Errorf("%+v", r)
	}
}

func TestScopesAndFailures(t *testing.T) {
	extra := map[string]string{
		"captures/src/usb.pcap":        string(pcapHeader(binary.LittleEndian, 0xa1b2c3d4, 189)),
		"truth/src/usb.pcap.meta.json": `{"rc1": 0}`,
		"captures/src/odd.bin":         "no capture of a format that we read, of some length",
		"truth/src/odd.bin.meta.json":  `{"rc1": 2}`,
		"captures/src/new.pcap":        string(pcapHeader(binary.LittleEndian, 0xa1b2c3d4, 1)),
		"truth/src/a.pcap.meta.json":   `{"rc1": 3}`,
	}
	f := oneFlow()
	f.SrcPort = port(1) // extra, beyond where the truth ends
	w := &writer{answer: Conversion{Packets: 9, Damaged: []string{"packet 10: cut"}}, write: func(t *testing.T, out string) { writeRows(t, out, "flows", f) }}
	r := runCorpus(t, corpusOf(t, map[string]string{"flows": flowLine}, extra), w)
	want := map[Scope]int{InScope: 1, LinkType: 1, FileFormat: 1, Unreadable: 1}
	if fmt.Sprint(r.Captures) != fmt.Sprint(want) || fmt.Sprint(w.asked) != "[a.pcap]" {
		t.Errorf("%v, converted %q", r.Captures, w.asked)
	}
	if r.Refused != 1 || r.Lines[0].Missing != 1 || r.Lines[0].Extra != 0 || len(r.Damaged) != 1 {
		t.Errorf("%+v", r)
	}

	crash := &writer{answer: Conversion{Crash: "panic: oops"}}
	r = runCorpus(t, corpusOf(t, map[string]string{"flows": flowLine}, nil), crash)
	if r.Lines[0].Missing != 1 || len(r.Failed(nil)) != 1 {
		t.Errorf("a crash is no failure: %+v", r)
	}
}

func TestDisputed(t *testing.T) {
	extra := map[string]string{"disputed.tsv": "name\ttable\tpeer\nsrc/a.pcap\tflows\tz\nsrc/a.pcap\tssl\tz\n"}
	f := oneFlow()
	f.SrcBytes++
	r := runCorpus(t, corpusOf(t, map[string]string{"flows": flowLine}, extra), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "flows", f) }})
	if len(r.Lines) != 1 || r.Lines[0].Name != "flows (disputed)" || !r.Lines[0].Apart || r.Lines[0].Differ != 1 || r.Failed([]Goal{{Line: "flows", Percent: 100}}) != nil {
		t.Errorf("%+v", r.Lines)
	}
}

func TestPrint(t *testing.T) {
	f := oneFlow()
	f.SrcBytes++
	r := runFlows(t, flowLine, f)
	r.Seconds = 1
	var a, b bytes.Buffer
	if err := r.Print(&a, []Goal{{Line: "flows", Percent: 98}}, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"captures: 1", "flows      1      0       1        0      0     0.00         0            0.00   98.00",
		"flows  *rev_bytes         1      0       1         0            0.00",
		"src/a.pcap\tflows\tdiffer\ttcp 10.0.0.1:80 10.0.0.2:40000 (stream 0)\trev_bytes: truth \"500\" ours \"501\"",
		"FAIL flows: 0.00 % of the rows are equal, 98.00 are asked for",
	} {
		if !strings.Contains(a.String(), want) {
			t.Errorf("no %q in\n%s", want, a.String())
		}
	}
	r.Print(&b, []Goal{{Line: "flows", Percent: 98}}, true)
	if a.String() != b.String() {
		t.Error("printed twice, it differs")
	}
}

func TestOpenCorpusSelects(t *testing.T) {
	dir := corpusOf(t, nil, map[string]string{"captures/other/b.pcap": "", "captures/other/c.cap": ""})
	for _, tt := range []struct{ source, name, want string }{
		{"", "", "[other/b.pcap other/c.cap src/a.pcap]"},
		{"other", "", "[other/b.pcap other/c.cap]"},
		{"", "*.pcap", "[other/b.pcap src/a.pcap]"},
		{"o*", "b*", "[other/b.pcap]"},
	} {
		c, err := OpenCorpus(dir, tt.source, tt.name)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i := range c.Captures {
			ids = append(ids, c.Captures[i].ID())
		}
		if fmt.Sprint(ids) != tt.want {
			t.Errorf("%q %q: %v", tt.source, tt.name, ids)
		}
	}
	if _, err := OpenCorpus(dir, "[", ""); err == nil {
		t.Error("a broken pattern is no error")
	}
}
