package compare_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/caplake/caplake/cmd/internal/compare"
	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

func convert(t *testing.T, capture string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if _, err := run.Convert(context.Background(), run.Config{Inputs: []string{capture}, Out: out, Workers: 1, Shards: 4}, nil); err != nil {
		t.Fatal(err)
	}
	return out
}

// timed returns a log of Zeek's own tests, in which times are blanked out, with
// the times of the dataset's flows of the same tuple, in order.
func timed(t *testing.T, log, dataset string) string {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.ReadFile[schema.Flow](filepath.Join(dataset, "flows", "part-00000.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	times := map[string][]int64{}
	number := func(a, b *int32) string {
		if a == nil {
			a = b
		}
		if a == nil {
			return "0"
		}
		return strconv.Itoa(int(*a))
	}
	for i := range rows {
		r := &rows[i]
		src, dst := r.SrcIP+" "+number(r.SrcPort, r.ICMPType), r.DstIP+" "+number(r.DstPort, r.ICMPCode)
		times[src+" "+dst] = append(times[src+" "+dst], r.TS)
		times[dst+" "+src] = append(times[dst+" "+src], r.TS)
	}
	var out strings.Builder
	at := map[string]int{}
	for line := range strings.Lines(string(b)) {
		v := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if v[0] == "#fields" {
			for i, f := range v[1:] {
				at[f] = i
			}
		}
		if !strings.HasPrefix(line, "#") {
			key := v[at["id.orig_h"]] + " " + v[at["id.orig_p"]] + " " + v[at["id.resp_h"]] + " " + v[at["id.resp_p"]]
			ts := int64(0)
			if q := times[key]; len(q) > 0 {
				ts, times[key] = q[0], q[1:]
			}
			v[at["ts"]] = fmt.Sprintf("%d.%06d", ts/1e9, ts%1e9/1e3)
		}
		out.WriteString(strings.Join(v, "\t") + "\n")
	}
	p := filepath.Join(t.TempDir(), "conn.log")
	if err := os.WriteFile(p, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestZeekBaselines compares with logs of Zeek's own tests. Zeek's flags are C
// (checksums are not verified) and b (without its default scripts, so that it
// does not look at every protocol).
func TestZeekBaselines(t *testing.T) {
	corpus := os.Getenv("CAPLAKE_CORPUS")
	if corpus == "" {
		t.Skip("CAPLAKE_CORPUS names no corpus")
	}
	for _, c := range []struct {
		capture, log string
		pairs        int64
		want         string // classes and how often; history and services aside
	}{
		{"wikipedia.pcap", "opt.basic/conn.log", 34, ""},
		{"wikipedia.pcap", "core.pcap.read-trace-with-filter/conn.log", 1, "missing_there 6, protocol_not_logged 24, outside_log 3"}, // it was run with a filter on port 50000
		{"ftp__bigtransfer.pcap", "core.tcp.large-file-reassembly/conn.log", 3, "duration_definition 3, payload_by_sequence 1"},      // 40 packets captured of 5.4 GB: the rest is a gap
		{"mixed-vlan-mpls.pcap", "core.vlan-mpls/conn.log", 3, "duration_definition 2, checksum 1"},
		{"ldap__simpleauth.pcap", "scripts.base.protocols.ldap.basic/conn.log", 1, "checksum 1"},
		{"pop3__pop3.pcap", "scripts.base.protocols.pop3.basic/conn.log", 11, "duration_definition 5"},
		{"http__concurrent-range-requests.pcap", "scripts.base.protocols.http.concurrent-range-requests/conn.log", 3, "duration_definition 3"},
	} {
		t.Run(c.log, func(t *testing.T) {
			d := convert(t, filepath.Join(corpus, "captures", "zeek+zeek", c.capture))
			log := timed(t, filepath.Join(corpus, "peer", "zeek", filepath.FromSlash(c.log)), d)
			r, err := compare.Run(t.Context(), compare.Config{Dataset: d, Logs: []string{log}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range r.Classes {
				if f.Name == "history" || strings.HasPrefix(f.Name, "service") {
					continue
				}
				got = append(got, fmt.Sprint(f.Name, " ", f.Count))
				t.Logf("%s: %s", f.Name, f.Example.What)
			}
			if s := strings.Join(got, ", "); s != c.want || r.Pairs != c.pairs || r.Logs[0].Kind != compare.Zeek {
				t.Errorf("%d pairs, %s; want %d, %s", r.Pairs, s, c.pairs, c.want)
			}
		})
	}
}
