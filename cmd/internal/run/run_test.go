package run_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

var update = flag.Bool("update", false, "write the golden rows anew")

const captures = "../../../testdata/captures"

func dataset(t *testing.T, cfg run.Config) (*run.Report, string) {
	t.Helper()
	cfg.Out = filepath.Join(t.TempDir(), "out")
	r, err := run.Convert(context.Background(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, cfg.Out
}

func read[T any](t *testing.T, out, table string) []T {
	t.Helper()
	r, err := parquet.ReadFile[T](filepath.Join(out, table, "part-00000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// text writes rows with their values by column name; what is NULL or zero is
// left out.
func text[T any](b *strings.Builder, table string, rows []T) {
	fmt.Fprintf(b, "# %s: %d rows\n", table, len(rows))
	for i := range rows {
		b.WriteString("-\n")
		textFields(b, "  ", reflect.ValueOf(&rows[i]).Elem())
	}
}

func textFields(b *strings.Builder, indent string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			textFields(b, indent, v.Field(i))
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		if x := v.Field(i); name != "-" && !x.IsZero() {
			textValue(b, indent, name, x)
		}
	}
}

func textValue(b *strings.Builder, indent, name string, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Pointer:
		textValue(b, indent, name, v.Elem())
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			fmt.Fprintf(b, "%s%s[%d]\n", indent, name, i)
			textFields(b, indent+"  ", v.Index(i))
		}
	case v.Kind() == reflect.String:
		fmt.Fprintf(b, "%s%s %q\n", indent, name, v.String())
	default:
		fmt.Fprintf(b, "%s%s %v\n", indent, name, v.Interface())
	}
}

// TestGolden holds every row of the captures of testdata in place.
func TestGolden(t *testing.T) {
	_, out := dataset(t, run.Config{Inputs: []string{captures}, Headers: true, Fingerprints: true, SPLT: 6, FirstBytes: 8, Entropy: true, BodyHash: true, BodyMIME: true})
	golden := func(table string, write func(*strings.Builder)) {
		t.Run(table, func(t *testing.T) {
			var b strings.Builder
			write(&b)
			path := filepath.Join("testdata", table+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, wanted := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
			for i := range max(len(got), len(wanted)) {
				if i >= len(got) || i >= len(wanted) || got[i] != wanted[i] {
					t.Fatalf("line %d of %s differs: got\n%s\nwant\n%s\n(-update writes the rows anew)", i+1, path,
						strings.Join(got[min(i, len(got)):min(i+5, len(got))], "\n"),
						strings.Join(wanted[min(i, len(wanted)):min(i+5, len(wanted))], "\n"))
				}
			}
		})
	}
	golden("flows", func(b *strings.Builder) { text(b, "flows", read[schema.Flow](t, out, "flows")) })
	golden("http", func(b *strings.Builder) { text(b, "http", read[schema.HTTP](t, out, "http")) })
	golden("tls", func(b *strings.Builder) { text(b, "tls", read[schema.TLS](t, out, "tls")) })
	golden("certificates", func(b *strings.Builder) { text(b, "certificates", read[schema.Certificate](t, out, "certificates")) })
	golden("dns", func(b *strings.Builder) { text(b, "dns", read[schema.DNS](t, out, "dns")) })
	golden("captures", func(b *strings.Builder) { text(b, "captures", read[schema.Capture](t, out, "captures")) })
}

// TestJoins checks what holds between the tables of any dataset.
func TestJoins(t *testing.T) {
	in := captures
	if c := os.Getenv("CAPLAKE_CORPUS"); c != "" {
		in = filepath.Join(c, "captures")
	}
	report, out := dataset(t, run.Config{Inputs: []string{in}})
	byID := make(map[int64]*schema.Flow)
	flowRows := read[schema.Flow](t, out, "flows")
	for i := range flowRows {
		f := &flowRows[i]
		if byID[f.FlowID] != nil {
			t.Errorf("flow_id %d of %s %s and of %s %s", f.FlowID, f.SrcIP, f.DstIP, byID[f.FlowID].SrcIP, byID[f.FlowID].DstIP)
		}
		byID[f.FlowID] = f
	}
	type counts struct{ http, tls, dns int64 }
	seen := make(map[int64]*counts)
	joined := func(table string, id int64, srcIP, dstIP string, srcPort, dstPort int32, ts int64) *counts {
		f := byID[id]
		if f == nil {
			t.Errorf("%s: flow %d is not in flows", table, id)
			return new(counts)
		}
		if f.SrcIP != srcIP || f.DstIP != dstIP || *f.SrcPort != srcPort || *f.DstPort != dstPort {
			t.Errorf("%s: flow %d is of %s:%d %s:%d there", table, id, srcIP, srcPort, dstIP, dstPort)
		}
		if ts > f.EndTS || ts < f.TS && in == captures {
			t.Errorf("%s: a row of flow %d has the time %d, outside of %d to %d", table, id, ts, f.TS, f.EndTS)
		}
		if seen[id] == nil {
			seen[id] = new(counts)
		}
		return seen[id]
	}
	for _, r := range read[schema.HTTP](t, out, "http") {
		joined("http", r.FlowID, r.SrcIP, r.DstIP, r.SrcPort, r.DstPort, r.TS).http++
	}
	for _, r := range read[schema.TLS](t, out, "tls") {
		joined("tls", r.FlowID, r.SrcIP, r.DstIP, r.SrcPort, r.DstPort, r.TS).tls++
	}
	for _, r := range read[schema.DNS](t, out, "dns") {
		joined("dns", r.FlowID, r.SrcIP, r.DstIP, r.SrcPort, r.DstPort, r.TS).dns++
	}
	for id, f := range byID {
		var c counts
		if s := seen[id]; s != nil {
			c = *s
		}
		if c != (counts{f.HTTPRows, f.TLSRows, f.DNSRows}) {
			t.Errorf("flow %d says %d http, %d tls, %d dns rows; there are %+v", id, f.HTTPRows, f.TLSRows, f.DNSRows, c)
		}
	}

	var inFlows, packets, ledger int64
	for _, f := range flowRows {
		inFlows += f.FlowSrc.Packets + f.FlowDst.Packets
	}
	for _, c := range read[schema.Capture](t, out, "captures") {
		if c.Outcomes() != c.Packets {
			t.Errorf("%s: outcomes of %d packets, %d packets", c.Path, c.Outcomes(), c.Packets)
		}
		packets += c.Packets
		ledger += c.FlowPackets
	}
	if packets != report.Packets {
		t.Errorf("the report counts %d packets, the ledger %d", report.Packets, packets)
	}
	if inFlows < ledger { // and the datagrams put together from fragments on top
		t.Errorf("the flows have %d packets, the ledger says %d", inFlows, ledger)
	}
}

func TestStandardInput(t *testing.T) {
	path := filepath.Join(captures, "http-keepalive.pcap")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(data)
	z.Close()
	_, want := dataset(t, run.Config{Inputs: []string{path}})
	for name, in := range map[string]io.Reader{"plain": bytes.NewReader(data), "gzip": &zipped} {
		_, out := dataset(t, run.Config{Inputs: []string{"-"}, Stdin: in})
		for _, table := range []string{"flows", "http"} {
			a, err := os.ReadFile(filepath.Join(want, table, "part-00000.parquet"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(out, table, "part-00000.parquet"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a, b) {
				t.Errorf("%s: table %s differs from that of the file", name, table)
			}
		}
	}
}

// TestDamaged cuts a capture at every 97th byte: what came before is kept, and
// the ledger says where reading ended.
func TestDamaged(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(captures, "http-keepalive.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	_, out := dataset(t, run.Config{Inputs: []string{filepath.Join(captures, "http-keepalive.pcap")}})
	whole := read[schema.Capture](t, out, "captures")[0].Packets
	last := int64(0)
	for n := 24; n < len(data); n += 97 {
		path := filepath.Join(t.TempDir(), "cut.pcap")
		if err := os.WriteFile(path, data[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		r, out := dataset(t, run.Config{Inputs: []string{path}, Workers: 1})
		c := read[schema.Capture](t, out, "captures")[0]
		if c.Packets < last || c.Packets > whole || c.Outcomes() != c.Packets {
			t.Fatalf("cut at %d: %d packets after %d, outcomes of %d", n, c.Packets, last, c.Outcomes())
		}
		last = c.Packets
		if len(r.Damaged) == 0 {
			continue // cut between two records
		}
		d := r.Damaged[0]
		if d.File != "cut.pcap" || d.Packet != c.Packets+1 || d.Offset > int64(n) || *c.ErrorOffset != d.Offset ||
			!strings.Contains(d.Error, fmt.Sprintf("packet %d at byte %d", d.Packet, d.Offset)) {
			t.Fatalf("cut at %d: %+v", n, d)
		}
	}
}

// TestCancelled stops a run at ever later moments: nothing that looks like a
// dataset is left.
func TestCancelled(t *testing.T) {
	for wait := time.Duration(0); wait < 40*time.Millisecond; wait += 4 * time.Millisecond {
		out := filepath.Join(t.TempDir(), "out")
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		_, err := run.Convert(ctx, run.Config{Inputs: []string{captures}, Out: out}, nil)
		cancel()
		if err == nil {
			continue // it was faster
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", wait, err)
		}
		if left, _ := filepath.Glob(filepath.Join(out, "*")); len(left) > 0 {
			t.Errorf("after %v: left %v", wait, left)
		}
	}
}

func TestValidate(t *testing.T) {
	err := (&run.Config{Format: "csv", Shards: -1}).Validate()
	for _, want := range []string{"no captures", "no output", `--format "csv"`, "--shards -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
