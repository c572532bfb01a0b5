package main

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// documented is a view's columns as the documentation of its system has them,
// with the types of that system, in their order; after "+", what its optional
// scripts, packages or settings add. What follows in a view is ours.
type documented struct{ view, columns, source string }

const zeekHead = "ts time, uid string, id.orig_h addr, id.orig_p port, id.resp_h addr, id.resp_p port, "

func documentation() []documented {
	return []documented{
		{"zeek_conn", zeekHead + `proto enum, service string, duration interval, orig_bytes count, resp_bytes count, conn_state string, local_orig bool, local_resp bool,
			missed_bytes count, history string, orig_pkts count, orig_ip_bytes count, resp_pkts count, resp_ip_bytes count, tunnel_parents set[string], ip_proto count,
			+ community_id string, orig_l2_addr string, resp_l2_addr string, vlan int, inner_vlan int, ip_proto_name string`,
			"Zeek 9.1, scripts/base/protocols/conn/main.zeek; policy/protocols/conn: community-id-logging, mac-logging, vlan-logging, ip-proto-name-logging"},
		{"zeek_http", zeekHead + `trans_depth count, method string, host string, uri string, referrer string, version string, user_agent string, origin string,
			request_body_len count, response_body_len count, status_code count, status_msg string, info_code count, info_msg string, tags set[enum],
			username string, password string, proxied set[string], orig_fuids vector[string], orig_filenames vector[string], orig_mime_types vector[string],
			resp_fuids vector[string], resp_filenames vector[string], resp_mime_types vector[string],
			+ client_header_names vector[string], server_header_names vector[string]`,
			"Zeek 9.1, scripts/base/protocols/http/main.zeek, entities.zeek; policy/protocols/http/header-names"},
		{"zeek_ssl", zeekHead + `version string, cipher string, curve string, server_name string, resumed bool, last_alert string, next_protocol string, established bool,
			ssl_history string, cert_chain_fps vector[string], client_cert_chain_fps vector[string], subject string, issuer string, client_subject string, client_issuer string,
			sni_matches_cert bool, + ja3 string, ja3s string, ja4 string`,
			"Zeek 9.1, scripts/base/protocols/ssl/main.zeek, files.zeek; packages ja3 and ja4"},
		{"zeek_x509", `ts time, fingerprint string, certificate.version count, certificate.serial string, certificate.subject string, certificate.issuer string,
			certificate.not_valid_before time, certificate.not_valid_after time, certificate.key_alg string, certificate.sig_alg string, certificate.key_type string,
			certificate.key_length count, certificate.exponent string, certificate.curve string, san.dns vector[string], san.uri vector[string], san.email vector[string],
			san.ip vector[addr], basic_constraints.ca bool, basic_constraints.path_len count, host_cert bool, client_cert bool`,
			"Zeek 9.1, scripts/base/files/x509/main.zeek, init-bare.zeek"},
		{"zeek_dns", zeekHead + `proto enum, trans_id count, rtt interval, query string, qclass count, qclass_name string, qtype count, qtype_name string, rcode count,
			rcode_name string, AA bool, TC bool, RD bool, RA bool, Z count, answers vector[string], TTLs vector[interval], rejected bool, opcode count, opcode_name string,
			+ original_query string`,
			"Zeek 9.1, scripts/base/protocols/dns/main.zeek; policy/protocols/dns/log-original-query-case"},
		{"nfstream", nfstreamColumns(), "NFStream 6.6, NFlow of its documentation, with statistical_analysis and splt_analysis"},
	}
}

func nfstreamColumns() string {
	var list []string
	add := func(typ string, names ...string) {
		for _, n := range names {
			list = append(list, n+" "+typ)
		}
	}
	add("int", "id", "expiration_id")
	for _, side := range []string{"src", "dst"} {
		add("str", side+"_ip", side+"_mac", side+"_oui")
		add("int", side+"_port")
	}
	add("int", "protocol", "ip_version", "vlan_id", "tunnel_id")
	ways := []string{"bidirectional", "src2dst", "dst2src"}
	for _, way := range ways {
		add("int", way+"_first_seen_ms", way+"_last_seen_ms", way+"_duration_ms", way+"_packets", way+"_bytes")
	}
	for _, unit := range []string{"ps", "piat_ms"} {
		for _, way := range ways {
			for _, s := range []string{"min", "mean", "stddev", "max"} {
				add("number", way+"_"+s+"_"+unit)
			}
		}
	}
	for _, way := range ways {
		for _, flag := range []string{"syn", "cwr", "ece", "urg", "ack", "psh", "rst", "fin"} {
			add("int", way+"_"+flag+"_packets")
		}
	}
	add("list", "splt_direction", "splt_ps", "splt_piat_ms")
	add("str", "application_name", "application_category_name")
	add("int", "application_is_guessed", "application_confidence")
	add("str", "requested_server_name", "client_fingerprint", "server_fingerprint", "user_agent", "content_type")
	return strings.Join(list, ", ")
}

// duckTypes returns the types that may stand for another system's.
func duckTypes(theirs string) []string {
	switch theirs {
	case "time", "interval":
		return []string{"DOUBLE"}
	case "string", "addr", "enum", "str":
		return []string{"VARCHAR"}
	case "port", "count", "int":
		return []string{"INTEGER", "BIGINT"}
	case "list":
		return []string{"INTEGER[]", "BIGINT[]"}
	case "number":
		return []string{"INTEGER", "BIGINT", "DOUBLE"}
	case "bool":
		return []string{"BOOLEAN"}
	case "set[string]", "set[enum]", "vector[string]", "vector[addr]":
		return []string{"VARCHAR[]"}
	case "vector[interval]":
		return []string{"DOUBLE[]"}
	}
	return nil
}

// TestViewColumns: each view begins with its system's columns, in their order
// and of their types.
func TestViewColumns(t *testing.T) {
	d := newDatabase(t, dataset(t, "parquet"))
	for _, doc := range documentation() {
		got := d.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = " + literal(doc.view) + " ORDER BY column_index")
		n := 0
		for c := range strings.SplitSeq(doc.columns, ",") {
			name, typ, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(c), "+")), " ")
			if n >= len(got) {
				t.Fatalf("%s: no column %s", doc.view, name)
			}
			gotName, gotType, _ := strings.Cut(got[n], "|")
			if gotName != name || !slices.Contains(duckTypes(typ), gotType) {
				t.Errorf("%s: column %d is %s %s; %s has %s %s", doc.view, n+1, gotName, gotType, doc.source, name, typ)
			}
			n++
		}
		if extra := got[n:]; len(extra) > 0 && !slices.Equal(extra, []string{"flow_id|BIGINT"}) {
			t.Errorf("%s: %q besides", doc.view, extra)
		}
	}

	// EVE's records, nested as in JSON: Suricata, etc/schema.json, and dns of version 3.
	for view, fields := range map[string]string{
		"eve_flow": `timestamp, flow_id, in_iface, event_type, vlan, src_ip, src_port, dest_ip, dest_port, proto, ip_v, app_proto, pcap_cnt, icmp_type, icmp_code, community_id,
			flow.pkts_toserver, flow.pkts_toclient, flow.bytes_toserver, flow.bytes_toclient, flow.start, flow.end, flow.age, flow.state, flow.reason, flow.alerted, flow.tx_cnt,
			tcp.tcp_flags, tcp.tcp_flags_ts, tcp.tcp_flags_tc, tcp.syn, tcp.fin, tcp.rst, tcp.psh, tcp.ack, tcp.urg, tcp.ecn, tcp.cwr, tcp.state, tcp.ts_gap, tcp.tc_gap`,
		"eve_http": `timestamp, flow_id, event_type, src_ip, dest_ip, tx_id, http.hostname, http.http_port, http.url, http.http_user_agent, http.http_content_type, http.http_refer,
			http.http_method, http.protocol, http.status, http.redirect, http.length, http.xff, http.http2.stream_id, http.request_headers[1].name, http.response_headers[1].value`,
		"eve_tls": `timestamp, flow_id, event_type, tls.subject, tls.issuerdn, tls.serial, tls.fingerprint, tls.sni, tls.version, tls.notbefore, tls.notafter, tls.subjectaltname[1],
			tls.session_resumed, tls.client_alpns[1], tls.server_alpns[1], tls.ja3.hash, tls.ja3.string, tls.ja3s.hash, tls.ja3s.string, tls.ja4,
			tls.client_handshake.version, len(tls.client_handshake.ciphers), len(tls.client_handshake.exts), len(tls.client_handshake.sig_algs),
			tls.server_handshake.version, tls.server_handshake.cipher, len(tls.server_handshake.exts)`,
		"eve_dns": `timestamp, flow_id, event_type, dns.version, dns.type, dns.id, dns.tx_id, dns.flags, dns.qr, dns.aa, dns.tc, dns.rd, dns.ra, dns.z, dns.opcode, dns.rcode,
			dns.queries[1].rrname, dns.queries[1].rrtype, dns.answers[1].rrname, dns.answers[1].rrtype, dns.answers[1].ttl, dns.answers[1].rdata,
			dns.authorities[1].rdata, dns.additionals[1].rdata, len(dns.grouped.A), len(dns.grouped.CNAME)`,
	} {
		d.rows("SELECT " + strings.ReplaceAll(fields, "flow.end", `flow."end"`) + " FROM " + view)
	}
}

// TestViewValues: what the views say of testdata's captures.
func TestViewValues(t *testing.T) {
	d := newDatabase(t, dataset(t, "parquet"))
	http := " AND flow_id IN (SELECT flow_id FROM flows WHERE capture_id = " + d.id("http-keepalive.pcap") + ")"
	d.want(`SELECT ts, "id.orig_p", service, duration, orig_bytes, resp_bytes, conn_state, local_orig, missed_bytes, history, orig_pkts, resp_ip_bytes FROM zeek_conn WHERE "id.orig_p" = 44650`+http,
		"1.795398660516771e+09|44650|http|0.006552|1043|3243|SF|true|0|ShADadFf|14|3875")
	d.want(`SELECT count(*), count(DISTINCT uid), bool_and(length(uid) = 17 AND ('0x' || uid[2:])::BIGINT = flow_id) FROM zeek_conn`, "77|77|true")
	d.want(`SELECT "id.orig_p", "id.resp_p", proto FROM zeek_conn WHERE proto = 'icmp' ORDER BY ALL`, "3|3|icmp", "8|0|icmp")
	d.want(`SELECT uri, status_code, response_body_len FROM zeek_http WHERE trans_depth = 1 AND "id.orig_p" = 44650`, "/index.html?first|200|61")
	d.want(`SELECT version, cipher, resumed, server_name, established, len(cert_chain_fps), len(client_cert_chain_fps) FROM zeek_ssl WHERE server_name = 'ec.example.test'`,
		"TLSv12|TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384|false|ec.example.test|true|2|0")
	d.want(`SELECT "certificate.key_alg", "certificate.key_type", "certificate.curve", host_cert, client_cert FROM zeek_x509 WHERE "certificate.serial" IN ('1002', '1003') ORDER BY "certificate.serial"`,
		"id-ecPublicKey|ecdsa|prime256v1|true|false", "id-ecPublicKey|ecdsa|prime256v1|false|true")
	d.want(`SELECT DISTINCT query, qtype, qtype_name, rcode, answers::VARCHAR, TTLs::VARCHAR FROM zeek_dns WHERE qtype_name IN ('MX', 'SRV') AND query NOT LIKE 'web%' ORDER BY qtype`,
		"example.test|15|MX|0|[mail.example.test, mail.example.net]|[3600.0, 3600.0]", "_http._tcp.example.test|33|SRV|0|[web.example.test]|[3600.0]")
	d.want(`SELECT DISTINCT qtype, qtype_name FROM zeek_dns WHERE original_query <> query OR qtype = 65300 ORDER BY qtype`, "1|A", "65300|query-65300")

	d.want(`SELECT flow.state, flow.reason, tcp.tcp_flags, tcp.tcp_flags_tc, tcp.syn, tcp.rst, flow.bytes_toserver, proto, app_proto, flow.start::VARCHAR FROM eve_flow WHERE src_port = 44650`+http,
		"closed|timeout|1b|1b|true|false|1975|TCP|http|2026-11-23 01:51:00.516771")
	d.want(`SELECT DISTINCT http.hostname, http.http_port, http.protocol, http.http_content_type FROM eve_http WHERE http.url = '/index.html?first'`, "www.example.test|NULL|HTTP/1.1|text/html")
	sha1 := d.rows("SELECT fingerprint_sha1 FROM certificates WHERE serial = '1002'")[0]
	colons := make([]string, 0, 20)
	for i := 0; i < len(sha1); i += 2 {
		colons = append(colons, sha1[i:i+2])
	}
	d.want(`SELECT tls.version, tls.subject, tls.issuerdn, tls.serial, tls.fingerprint, tls.notbefore::VARCHAR FROM eve_tls WHERE tls.sni = 'ec.example.test'`,
		"TLS 1.2|O=caplake test, CN=ec.example.test|C=XX, O=caplake test, CN=caplake test CA|10:02|"+strings.Join(colons, ":")+"|2026-11-23 01:50:56")
	d.want(`SELECT count(*) FILTER (dns.type = 'request') - (SELECT count(query_ts) FROM dns), count(*) FILTER (dns.type = 'response') - (SELECT count(response_ts) FROM dns) FROM eve_dns`, "0|0")
	// The flags of a message are those of its bytes.
	checked := 0
	for _, p := range read(t, filepath.Join(testdata, "captures", "dns-udp.pcap")) {
		if p.proto == 17 && len(p.payload) >= 12 && (p.dst.Port() == 53 || p.src.Port() == 53) && p.payload[3]&0x70 == 0 {
			b := p.payload
			kind := "request"
			if b[2]&0x80 != 0 {
				kind = "response"
				if p.n == 52 { // whose query had CD, which is kept of the query
					continue
				}
			}
			flags := strings.TrimLeft(hex.EncodeToString(b[2:4]), "0")
			if flags == "" {
				flags = "0"
			}
			port := max(p.dst.Port(), p.src.Port())
			got := d.rows(`SELECT DISTINCT dns.flags FROM eve_dns WHERE dns.type = ? AND src_port = ? AND dns.id = ? AND timestamp = make_timestamp_ns(?)::TIMESTAMP`, kind, int(port), int(b[0])<<8|int(b[1]), p.ns)
			if len(got) != 1 || got[0] != flags {
				t.Errorf("packet %d, %s: flags %q, want %s", p.n, kind, got, flags)
			}
			checked++
		}
	}
	if checked < 40 {
		t.Errorf("%d messages were looked at", checked)
	}

	d.want(`SELECT count(*), count(*) FILTER (bidirectional_packets = src2dst_packets + dst2src_packets), count(*) FILTER (abs(bidirectional_mean_ps * bidirectional_packets - bidirectional_bytes) < 0.01) FROM nfstream`, "77|77|77")
	d.want(`SELECT src2dst_packets, src2dst_bytes, bidirectional_min_ps, bidirectional_max_ps, bidirectional_syn_packets, application_name, requested_server_name, user_agent
		FROM nfstream WHERE src_port = 44650 AND id IN (SELECT flow_id FROM flows WHERE capture_id = `+d.id("http-keepalive.pcap")+`)`, "14|1779|52|1335|2|HTTP|www.example.test|caplake-test/1")
	// The standard deviation over both sides is that of all packets' sizes.
	sizes := make([]string, 0, 26)
	for _, p := range read(t, filepath.Join(testdata, "captures", "http-keepalive.pcap")) {
		if p.src.Port() == 44650 || p.dst.Port() == 44650 {
			sizes = append(sizes, d.rows("SELECT ?::BIGINT", p.ipBytes)[0])
		}
	}
	d.want(`SELECT abs(bidirectional_stddev_ps - (SELECT stddev_samp(n) FROM unnest([`+strings.Join(sizes, ",")+`]) t(n))) < 1e-6 FROM nfstream WHERE src_port = 44650 AND bidirectional_packets = 26`, "true")
}

// TestViewsOfNothing: a dataset without a row has all views, and they are empty.
func TestViewsOfNothing(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "none.pcap")
	whole, err := os.ReadFile(filepath.Join(testdata, "captures", "dns-udp.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(capture, whole[:24], 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if msg, err := exec.Command(caplake, "convert", "-q", capture, "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	d := newDatabase(t, out)
	views := d.rows("SELECT view_name FROM duckdb_views() WHERE NOT internal")
	if len(views) != 17 {
		t.Errorf("%d views: %q", len(views), views)
	}
	for _, v := range views {
		if v != "captures" {
			d.want("SELECT count(*) FROM "+v, "0")
		}
	}
}

// TestViewsFromElsewhere: views.sql says nothing of where the dataset is.
func TestViewsFromElsewhere(t *testing.T) {
	from := dataset(t, "parquet")
	dir := filepath.Join(t.TempDir(), "it's elsewhere")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	newDatabase(t, dir).want("SELECT count(*) FROM zeek_conn", "77")
	text, err := os.ReadFile(filepath.Join(dir, "views.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), filepath.Dir(from)) {
		t.Error("views.sql has a path of this machine")
	}
}

// TestViewsOfPartitions: the files of a table may be in folders by time.
func TestViewsOfPartitions(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if msg, err := exec.Command(caplake, "convert", "-q", "--partition-by", "hour", "--splt", "4", filepath.Join(testdata, "captures"), "-o", out).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	d := newDatabase(t, out)
	d.want("SELECT date, hour, count(*) FROM flows GROUP BY ALL", "2026-11-23T00:00:00Z|01|77")
	d.want("SELECT count(*) FROM zeek_conn", "77")
	d.want("SELECT (SELECT count(*) FROM eve_dns) = (SELECT count(query_ts) + count(response_ts) FROM dns), (SELECT count(*) FROM zeek_x509)", "true|4")
	d.want("SELECT splt_direction::VARCHAR, splt_ps::VARCHAR, len(splt_piat_ms) FROM nfstream WHERE src_port = 44650", "[0, 1, 0, 0]|[60, 60, 52, 151]|4")
}
