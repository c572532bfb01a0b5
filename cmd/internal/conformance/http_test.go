package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

type httpRow struct {
	SrcIP      string  `parquet:"src_ip"`
	SrcPort    int32   `parquet:"src_port"`
	DstIP      string  `parquet:"dst_ip"`
	DstPort    int32   `parquet:"dst_port"`
	RequestTS  *int64  `parquet:"request_ts,optional"`
	ResponseTS *int64  `parquet:"response_ts,optional"`
	Method     string  `parquet:"method,optional"`
	Target     string  `parquet:"target,optional"`
	Host       string  `parquet:"host,optional"`
	Status     *int32  `parquet:"status,optional"`
	Info       []int32 `parquet:"informational,optional,list"`
	UserAgent  string  `parquet:"user_agent,optional"`
}

func httpLine(frame int, kind string, fields map[string]string) string {
	src, dst := "1.1.1.1\t5000", "2.2.2.2\t80"
	if kind != "REQ" {
		src, dst = dst, src
	}
	row := []string{"AB", fmt.Sprint(frame), fmt.Sprintf("%d.0", frame), fmt.Sprint(frame), fmt.Sprintf("%d.0", frame), "tcp\t0", src, dst, "0\t0\t", kind}
	for _, c := range strings.Split("method host uri version status reason user_agent referer content_type content_length transfer_encoding content_encoding body_len", " ") {
		row = append(row, fields[c])
	}
	return strings.Join(row, "\t") + "\n"
}

func TestHTTP(t *testing.T) {
	ns := func(n int64) *int64 { n *= 1e9; return &n }
	code := func(n int32) *int32 { return &n }
	good := httpRow{"1.1.1.1", 5000, "2.2.2.2", 80, ns(1), ns(2), "GET", "/a?b", "example.org", code(200), nil, "curl"}
	truth := httpLine(1, "REQ", map[string]string{"method": "GET", "uri": "/a?b", "host": "example.org", "user_agent": "curl"}) +
		httpLine(2, "RESP", map[string]string{"status": "200"})
	for _, tt := range []struct {
		name  string
		truth string
		edit  func(*httpRow)
		want  string
	}{
		{"equal", truth, func(*httpRow) {}, "2 0 0 0 map[]"},
		{"turned", truth, func(r *httpRow) { r.SrcIP, r.DstIP, r.SrcPort, r.DstPort = r.DstIP, r.SrcIP, 80, 5000 }, "2 0 0 0 map[]"},
		{"text that is not ASCII", strings.Replace(truth, "example.org", "ex\ufffd\ufffd.org", 1), func(r *httpRow) { r.Host = "ex\u00e9.org" }, "2 0 0 0 map[]"},
		{"a byte that is no text", strings.Replace(truth, "example.org", "ex\ufffd.org", 1), func(r *httpRow) { r.Host = `ex\xe9.org` }, "2 0 0 0 map[]"},
		{"other text", strings.Replace(truth, "example.org", "ex\ufffd.org", 1), func(r *httpRow) { r.Host = "ex\u00e9.org" }, "1 1 0 0 map[host:1]"},
		{"method", truth, func(r *httpRow) { r.Method = "POST" }, "1 1 0 0 map[method:1]"},
		{"target", truth, func(r *httpRow) { r.Target = "/a" }, "1 1 0 0 map[target:1]"},
		{"host", truth, func(r *httpRow) { r.Host = "" }, "1 1 0 0 map[host:1]"},
		{"status", truth, func(r *httpRow) { r.Status = code(206) }, "1 1 0 0 map[status:1]"},
		{"no response", truth, func(r *httpRow) { r.ResponseTS, r.Status = nil, nil }, "1 0 1 0 map[]"},
		{"no request", truth, func(r *httpRow) { r.RequestTS = nil }, "1 0 1 0 map[]"},
		{"another flow", truth, func(r *httpRow) { r.DstIP = "2.2.2.3" }, "0 0 2 2 map[]"},
		{"seen whole and in part", truth + strings.Replace(httpLine(3, "RESP", map[string]string{"status": "200", "uri": "/a"}), "AB", "B", 1) +
			strings.Replace(httpLine(9, "RESP", map[string]string{"status": "200"}), "AB", "A", 1), func(*httpRow) {}, "2 0 1 0 map[]"},
		{"informational", truth + httpLine(2, "RESP", map[string]string{"status": "100"}), func(r *httpRow) { r.Info = []int32{100} }, "3 0 0 0 map[]"},
		{"informational not seen", truth + httpLine(2, "RESP", map[string]string{"status": "100"}), func(*httpRow) {}, "2 0 1 0 map[]"},
	} {
		row := good
		tt.edit(&row)
		r := runCorpus(t, corpusOf(t, map[string]string{"http": tt.truth}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "http", row) }})
		if got := tallyText(r); got != tt.want {
			t.Errorf("%s: %s, want %s: %+v %v", tt.name, got, tt.want, r.Diffs, r.Failures)
		}
	}
	row := good
	row.UserAgent = "wget"
	r := runCorpus(t, corpusOf(t, map[string]string{"http": truth}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "http", row) }})
	if got := fmt.Sprint(r.Lines[0].Equal, differing(&r.Lines[0].Tally, false)); got != "2 map[user_agent:1]" {
		t.Errorf("secondary columns %s", got)
	}
}

// What the truth or a row of ours says of the end of a message is compared only
// where both mean the same.
func TestHTTPBodies(t *testing.T) {
	truth := map[string]string{"kind": "RESP", "seen": "AB", "status": "200", "time": "3.0", "content_length": "7", "body_len": "7"}
	for _, tt := range []struct {
		field, value string
		end, length  string
	}{
		{"", "", "3000000000", "7"},
		{"seen", "B", Unknown, Unknown},
		{"status", "304", Unknown, Unknown},
		{"status", "101", Unknown, Unknown},
		{"content_length", "7 A", Unknown, Unknown},
		{"content_length", "", Unknown, "7"},
		{"transfer_encoding", "chunked", "3000000000", "7"},
		{"transfer_encoding", "chunkedx", Unknown, Unknown},
		{"content_encoding", "gzip", "3000000000", Unknown},
		{"kind", "REQ", "3000000000", "7"},
	} {
		r := maps.Clone(truth)
		r[tt.field] = tt.value
		if end, length := bodyEnd(r), bodyLength(r); end != tt.end || length != tt.length {
			t.Errorf("%s %q: %q %q, want %q %q", tt.field, tt.value, end, length, tt.end, tt.length)
		}
	}
	names := []string{"reason", "response_end_ts", "response_body_bytes"}
	for _, tt := range []struct {
		outcome, malformed, gap string
		compared                bool
	}{
		{"complete", "", "false", true},
		{"complete", "missing_host", "false", true},
		{"complete", "bad_chunk_size", "false", false},
		{"truncated", "", "false", false},
		{"tunnel", "", "false", false},
		{"complete", "", "true", false},
	} {
		row := NewTable([]string{"outcome", "malformed", "after_gap"}, [][]string{{tt.outcome, tt.malformed, tt.gap}})
		want := []string{"OK", Unknown, Unknown}
		if tt.compared {
			want = []string{"OK", "5", "6"}
		}
		if got := withoutBody(row, 0, names, []string{"OK", "5", "6"}); !slices.Equal(got, want) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
