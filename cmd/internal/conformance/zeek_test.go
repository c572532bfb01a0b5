package conformance

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const zeekMapHead = "name\ttrace\ttest\tlog_kind\tbaseline\tform\trows\tzeek_flags(C=no-checksums,b=bare)\tmapping\n"

func TestParseZeekLog(t *testing.T) {
	for _, tt := range []struct{ name, log, want string }{
		{"whole", "#separator \\x09\n#unset_field\t-\n#empty_field\t(empty)\n#fields\tuid\thistory\tx\n#types\tstring\tstring\tstring\nC1\t-\t(empty)\n#close\t1\n", "[map[history: uid:C1 x:]]"},
		{"cut", "### BTest baseline\nuid\tservice\thistory\nC1\thttp\tShADaFf\n", "[map[history:ShADaFf service:http uid:C1]]"},
		{"cut without names", "### BTest baseline\nC1\t10.0.0.1\n", "[]"},
		{"other unset", "#unset_field\tNIL\n#fields\tuid\ta\nC1\tNIL\n", "[map[a: uid:C1]]"},
		{"json", "{\"id.orig_h\":\"::1\",\"id_orig_p\":80,\"l\":[\"a\",\"b\"],\"f\":false}\n", "[map[f:F id.orig_h:::1 id.orig_p:80 l:a,b]]"},
		{"no log at all", "{ what\n", "[]"},
		{"a row cut short", "#fields\tuid\ta\nC1\n", "[]"},
	} {
		rows, err := parseZeekLog(tt.log)
		if got := fmt.Sprint(rows); got != tt.want || err != nil {
			t.Errorf("%s: %s %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestZeekText(t *testing.T) {
	for s, want := range map[string]string{`a\x09b`: "a\tb", `\x5c\xff`: "\\\xff", `\x4`: `\x4`, `\xzz`: `\xzz`, Unknown: Unknown} {
		if got := zeekText(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestZeekConn(t *testing.T) {
	type row struct {
		Proto      string `parquet:"proto"`
		SrcIP      string `parquet:"src_ip"`
		SrcPort    int32  `parquet:"src_port"`
		DstIP      string `parquet:"dst_ip"`
		DstPort    int32  `parquet:"dst_port"`
		State      string `parquet:"state,optional"`
		History    string `parquet:"history,optional"`
		SrcPackets int64  `parquet:"src_packets"`
		SrcBytes   int64  `parquet:"src_bytes"`
		DstPackets int64  `parquet:"dst_packets"`
		DstBytes   int64  `parquet:"dst_bytes"`
		Duration   int64  `parquet:"duration_ns"`
	}
	good := row{"tcp", "10.0.0.1", 1000, "10.0.0.2", 80, "SF", "ShADaFf", 5, 300, 4, 400, 1500000}
	head := "#fields\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n"
	line := "10.0.0.1\t1000\t10.0.0.2\t80\ttcp\t0.001500\tSF\tShADaFf\t5\t300\t4\t400\n"
	for _, tt := range []struct {
		name, log, file, form string
		edit                  func(*row)
		want                  string // equal differ missing extra, main columns, secondary columns
	}{
		{"equal", head + line, "conn.log", "full", func(*row) {}, "1 0 0 0 map[] map[]"},
		{"state", head + line, "conn.log", "full", func(r *row) { r.State = "S1" }, "0 1 0 0 map[conn_state:1] map[]"},
		{"history", head + line, "conn.log", "full", func(r *row) { r.History = "Sh" }, "0 1 0 0 map[history:1] map[]"},
		{"packets", head + line, "conn.log", "full", func(r *row) { r.DstPackets = 5 }, "0 1 0 0 map[resp_pkts:1] map[]"},
		{"who began", head + line, "conn.log", "full", func(r *row) { r.SrcIP, r.SrcPort, r.DstIP, r.DstPort = r.DstIP, r.DstPort, r.SrcIP, r.SrcPort }, "0 1 0 0 map[originator:1] map[]"},
		{"duration", head + strings.Replace(line, "ShADaFf", "ShADa", 1), "conn.log", "full", func(r *row) { r.History, r.Duration = "ShADa", r.Duration+3000 }, "1 0 0 0 map[] map[duration_us:1]"},
		{"duration without the last acknowledgement", head + line, "conn.log", "full", func(r *row) { r.Duration += 3000 }, "1 0 0 0 map[] map[]"},
		{"duration, rounded", head + line, "conn.log", "full", func(r *row) { r.Duration += 1999 }, "1 0 0 0 map[] map[]"},
		{"port", head + line, "conn.log", "full", func(r *row) { r.SrcPort++ }, "0 0 1 1 map[] map[]"},
		{"part of a log", head + line, "conn.log.cut", "cut", func(r *row) { r.SrcPort++ }, "0 0 1 0 map[] map[]"},
		{"few columns", "uid\thistory\nC1\tShADaFf\n", "conn.log", "cut", func(r *row) { r.State = "S1" }, "1 0 0 0 map[] map[]"},
		{"few columns differ", "uid\thistory\nC1\tSh\n", "conn.log", "cut", func(*row) {}, "0 1 0 0 map[history:1] map[]"},
	} {
		r := good
		tt.edit(&r)
		extra := map[string]string{
			"peer/zeek-map.tsv":          zeekMapHead + "src/a.pcap\ta.pcap\tt.one\tconn\t" + tt.file + "\t" + tt.form + "\t1\tC\tone\n",
			"peer/zeek/t.one/" + tt.file: tt.log,
		}
		w := &writer{write: func(t *testing.T, out string) { writeRows(t, out, "flows", r) }}
		w.t = t
		res := runCorpus(t, corpusOf(t, nil, extra), w)
		got := "none"
		for i := range res.Lines {
			if l := &res.Lines[i]; l.Name == "zeek conn" {
				got = fmt.Sprint(l.Equal, l.Differ, l.Missing, l.Extra, differing(&l.Tally, true), differing(&l.Tally, false))
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s: %+v %v", tt.name, got, tt.want, res.Diffs, res.Failures)
		}
		if len(w.asked) != 2 { // once for the truth, once without checksums
			t.Errorf("converted %v", w.asked)
		}
	}
}

// A log of several captures, of another kind, or said twice is not compared.
func TestZeekMap(t *testing.T) {
	line := func(test, kind, mapping string) string {
		return "src/a.pcap\ta.pcap\t" + test + "\t" + kind + "\t" + kind + ".log\tfull\t1\t-\t" + mapping + "\n"
	}
	log := "#fields\tuid\thistory\nC1\tSh\n"
	extra := map[string]string{
		"peer/zeek-map.tsv": zeekMapHead + line("one", "conn", "one") + line("again", "conn", "one") + line("many", "conn", "last-of-2") +
			line("not.there", "conn", "one") + line("weird", "weird", "one"),
		"peer/zeek/one/conn.log":    log,
		"peer/zeek/again/conn.log":  strings.Replace(log, "C1", "C2", 1),
		"peer/zeek/many/conn.log":   log,
		"peer/zeek/weird/weird.log": log,
	}
	z, err := openZeek(filepath.Join(corpusOf(t, nil, extra), "peer"))
	if err != nil || len(z.logs["src/a.pcap"]) != 1 {
		t.Errorf("%+v %v", z, err)
	}
}
