package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	for s, want := range map[string]string{`a\x09b`: "a\tb", `a\\x09\\`: `a\x09\`, `\x5c\xff`: "\\\xff", `\x4`: `\x4`, `\xzz`: `\xzz`, Unknown: Unknown} {
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
	if err != nil || len(z.logs["src/a.pcap"]) != 1 || z.logs["src/a.pcap"][0].partial {
		t.Errorf("%+v %v", z, err)
	}

	// Of what another test has more, nothing is extra.
	extra["peer/zeek-map.tsv"] += line("two", "conn", "one")
	extra["peer/zeek/two/conn.log"] = log + "C3\tS\n"
	z, err = openZeek(filepath.Join(corpusOf(t, nil, extra), "peer"))
	if logs := z.logs["src/a.pcap"]; err != nil || len(logs) != 2 || !logs[0].partial || logs[1].partial {
		t.Errorf("%+v %v", logs, err)
	}
}

// Rows of Zeek's beside ours of the same packets, where the two have other rules.
func TestZeekConnRules(t *testing.T) {
	columns := strings.Fields("src_ip src_port dst_ip dst_port proto direction_basis state history src_packets src_bytes dst_packets dst_bytes tunnel")
	table := func(rows ...string) *Table {
		var cells [][]string
		for _, r := range rows {
			f := strings.Split(r, " ")
			for len(f) < len(columns) {
				f = append(f, "")
			}
			cells = append(cells, f)
		}
		return NewTable(columns, cells)
	}
	const head = "uid id.orig_h id.orig_p id.resp_h id.resp_p proto conn_state history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents\n"
	for _, tt := range []struct {
		name, log string
		ours      *Table
		bare      bool
		want      string // equal/truth, and what differs
	}{
		// A FIN of port 80 alone (tunnels__Teredo.pcap, 50 11 at frame 2), turned by Zeek.
		{"turned by the port", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp SHR ^fA 1 40 2 80 -\n", table("10.0.0.2 80 10.0.0.1 1000 tcp first_packet SH Fa 2 80 1 40"), false, "1/1"},
		{"turned, a packet less", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp SHR ^fA 1 40 2 80 -\n", table("10.0.0.2 80 10.0.0.1 1000 tcp first_packet SH Fa 1 40 1 40"), false, "0/1 orig_pkts orig_ip_bytes"},
		{"turned against our SYN-ACK", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp SHR ^fA 1 40 2 80 -\n", table("10.0.0.2 80 10.0.0.1 1000 tcp syn_ack SH Fa 2 80 1 40"), false, "0/1 originator conn_state history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes"},
		{"turned datagram", head + "C 10.0.0.1 1000 10.0.0.2 3544 udp SHR ^d 0 0 1 84 -\n", table("10.0.0.2 3544 10.0.0.1 1000 udp first_packet S0 D 1 84 0 0"), false, "1/1"},
		{"turned RST", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp RSTRH ^r 0 0 1 40 -\n", table("10.0.0.2 80 10.0.0.1 1000 tcp first_packet OTH R 1 40 0 0"), false, "1/1"},
		{"never turned", head + "C 10.0.0.2 80 10.0.0.1 1000 tcp OTH H 1 48 0 0 -\n", table("10.0.0.1 1000 10.0.0.2 80 tcp syn_ack OTH ^h 0 0 1 48"), true, "1/1"},
		{"never turned, without ports", "id.orig_h id.resp_h\n10.0.0.2 10.0.0.1\n", table("10.0.0.1 1000 10.0.0.2 80 tcp syn_ack OTH ^h 0 0 1 48"), true, "1/1"},
		{"two sessions of DNS", head + "C 10.0.0.1 1000 10.0.0.2 53 udp SF Dd 2 80 2 90 -\nD 10.0.0.1 1000 10.0.0.2 53 udp SF Dd 3 120 3 130 -\n",
			table("10.0.0.1 1000 10.0.0.2 53 udp first_packet SF Dd 5 200 5 220"), false, "1/1"},
		{"two sessions, a packet less", head + "C 10.0.0.1 1000 10.0.0.2 53 udp SF Dd 2 80 2 90 -\nD 10.0.0.1 1000 10.0.0.2 53 udp SF Dd 3 120 3 130 -\n",
			table("10.0.0.1 1000 10.0.0.2 53 udp first_packet SF Dd 5 200 4 180"), false, "0/2 orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes missing"},
		{"two sessions, of which one is the other way", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp SHR ^fA 1 40 1 40 -\nD 10.0.0.1 1000 10.0.0.2 80 tcp OTH R 1 40 0 0 -\n",
			table("10.0.0.2 80 10.0.0.1 1000 tcp first_packet RSTR Far 1 40 2 80"), false, "1/1"},
		{"two sessions, another letter", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp SHR ^fA 1 40 1 40 -\nD 10.0.0.1 1000 10.0.0.2 80 tcp OTH R 1 40 0 0 -\n",
			table("10.0.0.2 80 10.0.0.1 1000 tcp first_packet SF Faf 1 40 2 80"), false, "0/1 history"},
		{"two handshakes", head + "C 10.0.0.1 1000 10.0.0.2 80 tcp SF ShFf 3 120 2 80 -\nD 10.0.0.1 1000 10.0.0.2 80 tcp SF ShFf 3 120 2 80 -\n",
			table("10.0.0.1 1000 10.0.0.2 80 tcp syn SF ShFf 6 240 4 160"), false, "0/2 orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes missing"},
		{"a tunnel in a tunnel", head + "C 3.0.0.1 4789 3.0.0.2 4789 udp S0 DX 1 90 0 0 B\nD 4.0.0.1 7 4.0.0.2 53 udp S0 D 1 50 0 0 E\n",
			table("4.0.0.1 7 4.0.0.2 53 udp first_packet S0 D 1 50 0 0 vxlan\x1fvxlan"), false, "1/1"},
		{"a tunnel that is not looked into", head + "C 3.0.0.1 4789 3.0.0.2 4789 udp S0 D 1 90 0 0 B\n", table("4.0.0.1 7 4.0.0.2 53 udp first_packet S0 D 1 50 0 0 vxlan"), false, "0/1 missing"},
	} {
		rows, err := parseZeekLog(strings.ReplaceAll(tt.log, " ", "\t"))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r["tunnel_parents"] == "-" {
				r["tunnel_parents"] = ""
			}
		}
		set := zeekConn(&zeekLog{kind: "conn", bare: tt.bare, rows: rows}, tt.ours)
		n, diffs := Match(set.kind, set.truth, set.ours, nil)
		got := fmt.Sprintf("%d/%d", n.Equal, n.Truth)
		for _, d := range diffs {
			for _, c := range d.Columns {
				if slices.Contains(set.kind.Main, c.Name) {
					got += " " + c.Name
				}
			}
			if d.What == "missing" {
				got += " missing"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s: %+v", tt.name, got, tt.want, diffs)
		}
	}
}

// What Zeek writes of HTTP, TLS and QUIC in its own way.
func TestZeekSays(t *testing.T) {
	type raw = map[string]string
	rec := func(k *Kind, m raw, cells ...string) *Record { r := mainOf(k, "a", cells...); r.Raw = m; return &r }
	for _, tt := range []struct {
		kind         *Kind
		column, t, o string
		truth, ours  raw
		target       string
		want         bool
	}{
		// http__http-single-conn-22.pcap: "Hello World!" and 12,618 bytes, no line end.
		{&zeekHTTPKind, "response_body_len", "12632", "12630", nil, raw{"until close": "response_body_len"}, "/", true},
		{&zeekHTTPKind, "response_body_len", "12631", "12630", nil, raw{"until close": "response_body_len"}, "/", false},
		{&zeekHTTPKind, "response_body_len", "12632", "12630", nil, raw{}, "/", false},
		{&zeekHTTPKind, "request_body_len", "57", "80", nil, raw{"request_body_len": "gzip"}, "/", true},
		{&zeekHTTPKind, "request_body_len", "57", "80", nil, raw{"response_body_len": "gzip"}, "/", false},
		{&zeekHTTPKind, "host", "", "h:25", nil, raw{}, "h:25", true},
		{&zeekHTTPKind, "host", "", "i:25", nil, raw{}, "h:25", false},
		// tls__chrome-63.0.3211.0-canary-tls_experiment.pcap: version 7e 01, the client's session ID, extensions 28 and 2b.
		{&zeekSSLKind, "resumed", "true", "false", raw{"version": "unknown-32257"}, raw{"echo": "true", "server_extensions": "40 43"}, "", true},
		{&zeekSSLKind, "resumed", "true", "false", raw{"version": "unknown-32257"}, raw{"echo": "false", "server_extensions": "40 43"}, "", false},
		{&zeekSSLKind, "resumed", "true", "false", raw{"version": "unknown-32257"}, raw{"echo": "true", "server_extensions": "40 41 43"}, "", false},
		{&zeekSSLKind, "resumed", "true", "false", raw{"version": "TLSv13"}, raw{"echo": "true", "server_extensions": "51"}, "", false},
		{&arkimeFlowKind, "fwd_payload", "409", "2454", nil, raw{"fwd_payload": "409", "begun": "true"}, "", true},
		{&arkimeFlowKind, "fwd_payload", "0", "2454", nil, raw{"fwd_payload": "409", "begun": "true"}, "", false},
		{&arkimeFlowKind, "fwd_payload", "0", "19", nil, raw{"fwd_payload": "19"}, "", true},
		{&arkimeFlowKind, "vlan", "300 50", "300", nil, raw{"packets": "4"}, "", true},
		{&arkimeFlowKind, "vlan", "300 50", "301", nil, raw{"packets": "4"}, "", false},
		{&arkimeFlowKind, "vlan", "500", "", nil, raw{"packets": "1"}, "", false},
	} {
		ours := rec(tt.kind, tt.ours, "method", "CONNECT", "uri", tt.target)
		if got := tt.kind.equalText(tt.column, tt.t, tt.o, rec(tt.kind, tt.truth), ours); got != tt.want {
			t.Errorf("%s %q %q %v %v: %v", tt.column, tt.t, tt.o, tt.truth, tt.ours, got)
		}
	}
}

// A Retry (history r) makes two rows of Zeek's and one of ours.
func TestZeekQUICRetry(t *testing.T) {
	head := "id.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tversion\tclient_initial_dcid\tclient_scid\tserver_scid\tserver_name\tclient_protocol\thistory\n"
	first, second := "1.0.0.1\t9\t1.0.0.2\t443\t1\t4a82\t\t\tn\th3\tISr\n", "1.0.0.1\t9\t1.0.0.2\t443\t1\t1b03\t\tfc67\tn\th3\tISish\n"
	for log, want := range map[string]string{head + first + second: "1/1 0", head + first: "0/1 1", head + second: "0/1 2", head + first + first: "0/2 1"} {
		rows, err := parseZeekLog(log)
		if err != nil {
			t.Fatal(err)
		}
		ours := tableOf("src_ip", "1.0.0.1", "src_port", "9", "dst_ip", "1.0.0.2", "dst_port", "443", "transport", "quic", "quic_version", "1", "dcid", "4a82", "server_scid", "fc67",
			"sni", "n", "alpn_offered", "h3", "quic_retry", "true")
		set := zeekQUIC(&zeekLog{kind: "quic", rows: rows}, ours)
		n, diffs := Match(set.kind, set.truth, set.ours, nil)
		columns := 0
		for _, d := range diffs {
			columns += len(d.Columns)
		}
		if got := fmt.Sprintf("%d/%d %d", n.Equal, n.Truth, columns); got != want {
			t.Errorf("%q: %s, want %s: %+v", log, got, want, diffs)
		}
	}
}

// A log of HTTP of which the capture has nothing is none of the capture.
func TestZeekMade(t *testing.T) {
	p := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(p, []byte("....GET /a%20b HTTP/1.1\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	row := func(method, uri string) zeekRow { return zeekRow{"method": method, "uri": uri} }
	for _, tt := range []struct {
		kind string
		rows []zeekRow
		want bool
	}{
		{"http", []zeekRow{row("GET", "/a b")}, false},
		{"http", []zeekRow{row("GET", "/etc/passwd")}, true},
		{"http", []zeekRow{row("GET", "/etc/passwd"), row("GET", "/a")}, false},
		{"http", []zeekRow{row("POST", "/a")}, true},
		{"http", []zeekRow{row("", "")}, false}, // a response alone
		{"conn", []zeekRow{row("POST", "/a")}, false},
	} {
		if got := (&zeekLog{kind: tt.kind, rows: tt.rows}).made(&Capture{Path: p}); got != tt.want {
			t.Errorf("%s %v: %v", tt.kind, tt.rows, got)
		}
	}
}
