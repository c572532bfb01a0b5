package conformance

import (
	"fmt"
	"strings"
	"testing"
)

type dnsRow struct {
	SrcIP            string `parquet:"src_ip"`
	SrcPort          int32  `parquet:"src_port"`
	DstIP            string `parquet:"dst_ip"`
	DstPort          int32  `parquet:"dst_port"`
	Transport        string `parquet:"transport"`
	QueryTS          *int64 `parquet:"query_ts,optional"`
	ResponseTS       *int64 `parquet:"response_ts,optional"`
	QueryRetransmits *int64 `parquet:"query_retransmits,optional"`
	ID               *int32 `parquet:"id,optional"`
	QName            string `parquet:"qname,optional"`
	QType            string `parquet:"qtype,optional"`
	Rcode            string `parquet:"rcode,optional"`
}

func dnsLine(frame int, response, id, rcode, qname, qtype string) string {
	src, dst := "1.1.1.1\t5000", "2.2.2.2\t53"
	if response == "1" {
		src, dst = dst, src
	}
	qd := "1"
	if qname == "" {
		qd = "0"
	}
	return fmt.Sprintf("%d\t%d.0\tudp\t0\t%s\t%s\t0\t0\tdns\t%s\t%s\t0\t%s\t0x0\t%s\t0\t0\t0\t%s\t%s\t1\t\t\n", frame, frame, src, dst, id, response, rcode, qd, qname, qtype)
}

func TestDNS(t *testing.T) {
	ns := func(n int64) *int64 { n *= 1e9; return &n }
	one := int64(1)
	id := int32(7)
	good := dnsRow{"1.1.1.1", 5000, "2.2.2.2", 53, "udp", ns(1), ns(3), &one, &id, "www.example.org", "AAAA", "NXDOMAIN"}
	truth := dnsLine(1, "0", "7", "", "WWW.example.org", "28") + dnsLine(2, "0", "7", "", "WWW.example.org", "28") + dnsLine(3, "1", "7", "3", "WWW.example.org", "28")
	two := int32(8)
	for _, tt := range []struct {
		name  string
		truth string
		edit  func(*dnsRow)
		want  string // equal differ missing extra columns
	}{
		{"equal", truth, func(*dnsRow) {}, "3 0 0 0 map[]"},
		{"turned", truth, func(r *dnsRow) { r.SrcIP, r.DstIP, r.SrcPort, r.DstPort = r.DstIP, r.SrcIP, 53, 5000 }, "3 0 0 0 map[]"},
		{"quoted in ICMP", strings.ReplaceAll(truth, "\t0\t0\tdns", "\t1\t0\tdns"), func(*dnsRow) {}, "0 0 0 3 map[]"},
		{"retransmission not seen", truth, func(r *dnsRow) { r.QueryRetransmits = nil }, "2 0 1 0 map[]"},
		{"no response", truth, func(r *dnsRow) { r.ResponseTS = nil }, "2 0 1 0 map[]"},
		{"id", truth, func(r *dnsRow) { r.ID = &two }, "0 0 3 3 map[]"},
		{"qname", truth, func(r *dnsRow) { r.QName = "www.example.com" }, "0 3 0 0 map[qname:3]"},
		{"qtype", truth, func(r *dnsRow) { r.QType = "A" }, "0 3 0 0 map[qtype:3]"},
		{"qtype by number", truth, func(r *dnsRow) { r.QType = "TYPE28" }, "3 0 0 0 map[]"},
		{"rcode", truth, func(r *dnsRow) { r.Rcode = "NOERROR" }, "2 1 0 0 map[rcode:1]"},
		{"rcode of EDNS", dnsLine(3, "1", "7", "0", "www.example.org", "28"), func(r *dnsRow) { r.Rcode, r.QueryTS = "BADVERS", nil }, "1 0 0 0 map[]"},
		{"transport", truth, func(r *dnsRow) { r.Transport = "tcp" }, "0 0 3 3 map[]"},
		{"response without question", dnsLine(3, "1", "7", "3", "", ""), func(r *dnsRow) { r.QueryTS = nil }, "1 0 0 0 map[]"},
		{"malformed for the other program", strings.ReplaceAll(dnsLine(1, "0", "7", "", "", ""), "\t0\t0\tdns", "\t0\t1\tdns"), func(r *dnsRow) { r.ResponseTS, r.QueryRetransmits = nil, nil }, "1 0 0 0 map[]"},
		{"query without question", dnsLine(1, "0", "7", "", "", ""), func(r *dnsRow) { r.ResponseTS, r.QueryRetransmits = nil, nil }, "0 1 0 0 map[qname:1 qtype:1]"},
	} {
		row := good
		tt.edit(&row)
		r := runCorpus(t, corpusOf(t, map[string]string{"dns": tt.truth}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "dns", row) }})
		if got := tallyText(r); got != tt.want {
			t.Errorf("%s: %s, want %s: %+v %v", tt.name, got, tt.want, r.Diffs, r.Failures)
		}
	}
}

// tallyText sums up all lines of a result: equal differ missing extra columns.
func tallyText(r *Result) string {
	tally := Tally{}
	for _, l := range r.Lines {
		tally.add(&l.Tally)
	}
	return fmt.Sprint(tally.Equal, tally.Differ, tally.Missing, tally.Extra, differing(&tally, true))
}

// differing returns the main or the secondary columns that differ, and in how
// many rows.
func differing(t *Tally, main bool) map[string]int {
	m := map[string]int{}
	for name, c := range t.Columns {
		if c.Main == main && c.Differ > 0 {
			m[name] = c.Differ
		}
	}
	return m
}

func TestDNSNames(t *testing.T) {
	for _, tt := range []struct{ truth, ours string }{
		{"<Root>", "."},
		{"Example.ORG", "example.org"},
		{`\000.nl`, `\000.nl`},
		{"'", "'"},
		{`\\`, `\\`},
		{`\a\b` + "\ufffd" + `\tusen@nl`, `\007\008\200\009usen\@nl`},
		{"skynet [1a:83]._tcp", `skynet\032[1a:83]._tcp`},
		{"小佛", `\229\176\143\228\189\155`},
		{`\004\005`, `\004\005`},
	} {
		if a, b := truthDNSName(tt.truth), ourDNSName(tt.ours); a != b {
			t.Errorf("%q is %q, %q is %q", tt.truth, a, tt.ours, b)
		}
	}
	if truthDNSName("<Name too long>") != Unknown || truthDNSName("a") == ourDNSName("b") || truthDNSName(`\010`) == ourDNSName(`\010`) {
		t.Error("different names are equal")
	}
}
