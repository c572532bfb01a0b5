package conformance

import (
	"fmt"
	"slices"
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

// What of a row's columns is of which message, and each difference found.
func TestDNSMore(t *testing.T) {
	columns := []string{"src_ip", "src_port", "dst_ip", "dst_port", "transport", "query_ts", "response_ts", "id", "qname", "qtype", "rcode", "service", "opcode", "qclass",
		"aa", "tc", "rd", "ra", "z", "ad", "cd", "question_count", "answer_count", "authority_count", "additional_count", "edns_udp_bytes", "edns_do", "edns_version",
		"edns_response_udp_bytes", "edns_response_do", "edns_response_version",
		"answers.name", "answers.type", "answers.ttl", "answers.data", "authorities.name", "authorities.type", "authorities.ttl", "authorities.data",
		"query_retransmits", "additionals.type"}
	good := []string{"1.1.1.1", "5000", "2.2.2.2", "53", "udp", "1000000000", "2000000000", "7", "a.nl", "MX", "NOERROR", "dns", "QUERY", "IN",
		"true", "false", "true", "false", "false", "true", "false", "1", "2", "1", "1", "1232", "true", "0", "512", "false", "0",
		"a.nl\x1fa.nl", "MX\x1fTXT", "60\x1f61", "5 b.nl\x1f\"x;y\" \"z\"", "nl", "SOA", "9", "ns.nl host.nl 1 2 3 4 5", "", ""}
	line := func(response, flags, counts, edns, answers string) string {
		src, dst := "1.1.1.1\t5000", "2.2.2.2\t53"
		if response == "1" {
			src, dst = dst, src
		}
		return "1\t" + string('1'+response[0]-'0') + ".0\tudp\t0\t" + src + "\t" + dst + "\t0\t0\tdns\t7\t" + response + "\t0\t0\t" + flags + "\t" + counts + "\ta.nl\t15\t1\t" + edns + "\t" + answers + "\n"
	}
	truth := line("0", "0x0100", "1\t0\t0\t1", "udp=0x04d0,do=1,ver=0", "") +
		line("1", "0x8520", "1\t2\t1\t1", "udp=512,do=0,ver=0", "a.nl 15 60 B.nl;a.nl 16 61 x;y|z;nl 6 9 ns.nl")
	header := strings.Fields("frame time transport stream src sport dst dport in_icmp malformed proto id response opcode rcode flags qdcount ancount nscount arcount qname qtype qclass edns answers")
	var rows []map[string]string
	for l := range strings.Lines(truth) {
		r := map[string]string{}
		for i, v := range strings.Split(strings.TrimSuffix(l, "\n"), "\t") {
			r[header[i]] = v
		}
		rows = append(rows, r)
	}
	for _, tt := range []struct{ column, value, want string }{
		{"service", "dns", "map[]"},
		{"service", "mdns", "map[service:2]"},
		{"opcode", "NOTIFY", "map[opcode:1]"}, // of the query
		{"qclass", "CH", "map[qclass:2]"},
		{"aa", "false", "map[aa:1]"},
		{"rd", "false", "map[rd:1]"},
		{"ad", "false", "map[ad:1]"},
		{"answer_count", "3", "map[answer_count:1]"},
		{"edns_udp_bytes", "1233", "map[edns_udp_bytes:1]"},
		{"edns_response_do", "true", "map[edns_do:1]"},
		{"answers.ttl", "60\x1f60", "map[records:1]"},
		{"answers.data", "5 c.nl\x1f\"x;y\" \"z\"", "map[records:1]"},
		{"authorities.type", "NS", "map[records:1]"},
	} {
		row := slices.Clone(good)
		row[slices.Index(columns, tt.column)] = tt.value
		if tt.column == "opcode" { // whose sections are those of the query
			rows[0]["ancount"], rows[0]["nscount"], rows[0]["answers"] = "2", "1", rows[1]["answers"]
		} else {
			rows[0]["ancount"], rows[0]["nscount"], rows[0]["answers"] = "0", "0", ""
		}
		sets, err := dnsRecords(rows, NewTable(columns, [][]string{row}))
		if err != nil {
			t.Fatal(err)
		}
		tally, diffs := Match(&dnsKind, sets[0].truth, sets[0].ours, nil)
		if got := fmt.Sprint(differing(&tally, false)); got != tt.want || tally.Equal != 2 {
			t.Errorf("%s %q: %s, want %s: %+v", tt.column, tt.value, got, tt.want, diffs)
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

func TestUnquoted(t *testing.T) {
	type raw = map[string]string
	message := func(frame, src, sport, dst, dport, id string) raw {
		return raw{"frame": frame, "transport": "udp", "src": src, "sport": sport, "dst": dst, "dport": dport, "id": id, "response": "0", "qname": "a", "qtype": "1"}
	}
	flow := func(packets string) []raw {
		return []raw{{"proto": "udp", "a_ip": "1.0.0.1", "a_port": "5", "b_ip": "1.0.0.2", "b_port": "53", "a2b_pkts": packets, "b2a_pkts": "0"}}
	}
	ask := func(frame, id string) raw { return message(frame, "1.0.0.1", "5", "1.0.0.2", "53", id) }
	for _, tt := range []struct {
		name    string
		packets string
		truth   []raw
		want    string
	}{
		{"sent again", "2", []raw{ask("1", "7"), ask("2", "7")}, "1 2"},
		{"quoted", "1", []raw{ask("1", "7"), ask("2", "7")}, "1"},
		{"sent again and quoted", "2", []raw{ask("1", "7"), ask("2", "7"), ask("3", "7")}, "1 3"},
		{"another message", "1", []raw{ask("1", "7"), ask("2", "8")}, "1 2"},
		{"another direction", "1", []raw{ask("1", "7"), message("2", "1.0.0.2", "53", "1.0.0.1", "5", "7"), message("3", "1.0.0.2", "53", "1.0.0.1", "5", "7")}, "1 2 3"},
	} {
		var got []string
		for _, r := range unquoted(tt.truth, flow(tt.packets)) {
			got = append(got, r["frame"])
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: rows %s, want %s", tt.name, s, tt.want)
		}
	}
}

// The truth has each byte that is not ASCII as U+FFFD, ours as far as it is no UTF-8.
func TestASCIIText(t *testing.T) {
	for _, tt := range []struct{ ours, want string }{
		{"caf\u00e9", "caf\ufffd\ufffd"}, {"caf\ufffd", "caf\ufffd"}, {"plain", "plain"}, {"\u2713", "\ufffd\ufffd\ufffd"},
	} {
		if got := asciiText(tt.ours); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.ours, got, tt.want)
		}
	}
}
