package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

const testdata = "../../testdata"

// caplake is the program, built once for all tests. Beside it is caplake-query,
// which is the test binary itself.
var caplake string

const asProgram = "CAPLAKE_QUERY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "duck")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		caplake = filepath.Join(dir, "caplake")
		build := exec.Command("go", "build", "-o", caplake, "./cmd/caplake")
		build.Dir = "../.."
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building caplake: %v\n%s", err, out)
			return 1
		}
		self, err := os.Executable()
		if err == nil {
			err = os.Symlink(self, filepath.Join(dir, "caplake-query"))
		}
		if err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// dataset returns the folder of a dataset of testdata: the one that a
// variable of the environment names, or a new one.
func dataset(t *testing.T, format string) string {
	t.Helper()
	if dir := os.Getenv("CAPLAKE_DATASET_" + strings.ToUpper(format)); dir != "" {
		return dir
	}
	out := filepath.Join(t.TempDir(), format)
	cmd := exec.Command(caplake, "convert", "-q", "--headers", "--fingerprints", "--format", format, "-o", out, filepath.Join(testdata, "captures"))
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("caplake convert: %v\n%s", err, msg)
	}
	return out
}

// database is a DuckDB with a dataset's tables.
type database struct {
	t  *testing.T
	db *sql.DB
}

// newDatabase opens the dataset in dir.
func newDatabase(t *testing.T, dir string) database {
	t.Helper()
	s, err := open(context.Background(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	db := sql.OpenDB(s.connector)
	t.Cleanup(func() { db.Close() })
	return database{t, db}
}

// rows returns the rows of a query as text, columns separated by "|".
func (d database) rows(query string, args ...any) []string {
	d.t.Helper()
	rows, err := d.db.QueryContext(d.t.Context(), query, args...)
	if err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			d.t.Fatalf("%s: %v", query, err)
		}
		text := make([]string, len(names))
		for i, c := range cells {
			text[i] = c.String
			if !c.Valid {
				text[i] = "NULL"
			}
		}
		out = append(out, strings.Join(text, "|"))
	}
	if err := rows.Err(); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return out
}

// want checks the rows of a query.
func (d database) want(query string, want ...string) {
	d.t.Helper()
	if got := d.rows(query); !reflect.DeepEqual(got, want) {
		d.t.Errorf("%s\ngot\n  %s\nwant\n  %s", query, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestParquet(t *testing.T) {
	check(t, newDatabase(t, dataset(t, "parquet")))
}

// check holds the tables of testdata's dataset, in whatever format they came,
// against what is known of the captures.
func check(t *testing.T, d database) {
	part := func(name string, f func(*testing.T, database)) {
		t.Run(name, func(t *testing.T) { f(t, database{t, d.db}) })
	}
	part("types", checkTypes)
	part("counts", checkCounts)
	part("captures", checkCaptures)
	part("flows", checkFlows)
	part("http", checkHTTP)
	part("tls", checkTLS)
	part("certificates", checkCertificates)
	part("dns", checkDNS)
	part("null", checkNULL)
	part("joins", checkJoins)
}

// column is what "caplake schema --json" says of one.
type column struct {
	Name     string
	Type     string
	Nullable bool
}

// checkTypes: every column that the schema lists is there, in its order, and
// has the type that the schema says, in DuckDB's words.
func checkTypes(t *testing.T, d database) {
	out, err := exec.Command(caplake, "schema", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Tables []struct {
			Name    string
			Columns []column
		}
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	for _, table := range doc.Tables {
		var got, want []string
		for _, row := range d.rows("SELECT column_name, column_type FROM (DESCRIBE " + table.Name + ")") {
			got = append(got, strings.ReplaceAll(row, `"`, ""))
		}
		for _, c := range table.Columns {
			want = append(want, c.Name+"|"+duckType(c.Type))
			if !c.Nullable {
				d.want("SELECT count(*) FROM "+table.Name+" WHERE "+c.Name+" IS NULL", "0")
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", table.Name, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	// What the schema does not know is a view in another system's columns.
	d.want("SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL", "0")
}

// duckType returns DuckDB's name of a type in the words of caplake schema.
func duckType(s string) string {
	if in, ok := strings.CutPrefix(s, "LIST<"); ok {
		return duckType(strings.TrimSuffix(in, ">")) + "[]"
	}
	if in, ok := strings.CutPrefix(s, "STRUCT<"); ok {
		fields := strings.Split(strings.TrimSuffix(in, ">"), ", ")
		for i, f := range fields {
			name, typ, _ := strings.Cut(f, " ")
			fields[i] = name + " " + duckType(typ)
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")"
	}
	switch s {
	case "INT32":
		return "INTEGER"
	case "INT64":
		return "BIGINT"
	case "STRING":
		return "VARCHAR"
	case "BYTES":
		return "BLOB"
	}
	return s // BOOLEAN, DOUBLE, TIMESTAMP_NS
}

// checkCounts: the rows of each capture are as many as what the programs did
// that were recorded.
func checkCounts(t *testing.T, d database) {
	b, err := os.ReadFile(filepath.Join(testdata, "expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(b)) {
		// Of a rotated capture, rows count where they begin: that is its own test.
		if !strings.HasPrefix(line, "file") && !strings.Contains(line, "rotated") {
			want = append(want, strings.ReplaceAll(strings.TrimSpace(line), "\t", "|"))
		}
	}
	var got []string
	for _, w := range want {
		file, _, _ := strings.Cut(w, "|")
		got = append(got, d.rows(`SELECT ?, c.packets,
			(SELECT count(*) FROM flows WHERE capture_id = c.capture_id), (SELECT count(*) FROM http WHERE capture_id = c.capture_id),
			(SELECT count(*) FROM tls WHERE capture_id = c.capture_id), (SELECT count(*) FROM dns WHERE capture_id = c.capture_id)
			FROM captures c WHERE c.path LIKE '%'||?`, file, file)...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// One connection in two files: one flow, which begins in the one and ends in the other.
	d.want(`SELECT a.path LIKE '%rotated-1.pcap', b.path LIKE '%rotated-2.pcap', f.http_rows, f.state, f.src_packets + f.dst_packets = a.packets + b.packets
		FROM flows f JOIN captures a USING (capture_id) JOIN captures b ON b.capture_id = f.last_capture_id WHERE a.capture_id <> b.capture_id`,
		"true|true|3|SF|true")
}

// captures returns the names of testdata's captures.
func captures(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata, "captures", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no captures", err)
	}
	return files
}

// id returns the capture_id of a file.
func (d database) id(file string) string {
	d.t.Helper()
	ids := d.rows("SELECT capture_id FROM captures WHERE path LIKE '%'||?", filepath.Base(file))
	if len(ids) != 1 {
		d.t.Fatalf("captures has %d rows of %s", len(ids), file)
	}
	return ids[0]
}

// checkCaptures: the ledger says of each file what it is, to the nanosecond.
func checkCaptures(t *testing.T, d database) {
	for _, file := range captures(t) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		packets := read(t, file)
		first, last := packets[0].ns, packets[0].ns
		for _, p := range packets {
			first, last = min(first, p.ns), max(last, p.ns)
		}
		format, compression := "pcap", "NULL"
		if strings.Contains(file, "pcapng") {
			format = "pcapng"
		}
		if strings.HasSuffix(file, ".gz") {
			compression = "gzip"
		}
		d.want(`SELECT bytes, sha256, format, compression, packets, epoch_ns(first_ts), epoch_ns(last_ts), error,
				flow_packets + not_ip_packets + unsupported_link_packets + malformed_link_packets + malformed_network_packets
				+ malformed_transport_packets + cut_packets + fragments_reassembled + fragments_incomplete + filtered_packets = packets
			FROM captures WHERE capture_id = `+d.id(file),
			fmt.Sprintf("%d|%s|%s|%s|%d|%d|%d|NULL|true", len(b), hex.EncodeToString(sum[:]), format, compression, len(packets), first, last))
	}
}

// flowKey is a five-tuple from the initiator's side.
type flowKey struct {
	proto    byte
	src, dst netip.AddrPort
}

// checkFlows: packets, bytes and times of every TCP and UDP flow that has no
// fragments are those of the bytes. No tuple of testdata is used twice in a
// capture.
func checkFlows(t *testing.T, d database) {
	type counts struct {
		packets, bytes, payload [2]int64
		first, last, n          int64
	}
	checked := 0
	for _, file := range captures(t) {
		if strings.Contains(file, "rotated") {
			continue
		}
		flows := map[flowKey]*counts{}
		var order []flowKey
		for _, p := range read(t, file) {
			if p.proto != 6 && p.proto != 17 {
				continue
			}
			key, side := flowKey{p.proto, p.src, p.dst}, 0
			if flows[key] == nil {
				if back := (flowKey{p.proto, p.dst, p.src}); flows[back] != nil {
					key, side = back, 1
				} else {
					flows[key] = &counts{first: p.ns, n: p.n}
					order = append(order, key)
				}
			}
			f := flows[key]
			f.packets[side]++
			f.bytes[side] += p.ipBytes
			f.payload[side] += int64(len(p.payload))
			f.last = max(f.last, p.ns)
		}
		id := d.id(file)
		for _, key := range order {
			f := flows[key]
			got := d.rows(`SELECT src_packets, dst_packets, src_bytes, dst_bytes, src_payload_bytes, dst_payload_bytes,
					epoch_ns(ts), epoch_ns(end_ts), duration_ns, first_packet, src_fragments + dst_fragments
				FROM flows WHERE ip_proto = ? AND src_ip = ? AND src_port = ? AND dst_ip = ? AND dst_port = ? AND capture_id = ?`,
				int32(key.proto), key.src.Addr().String(), int32(key.src.Port()), key.dst.Addr().String(), int32(key.dst.Port()), id)
			want := fmt.Sprintf("%d|%d|%d|%d|%d|%d|%d|%d|%d|%d|0", f.packets[0], f.packets[1], f.bytes[0], f.bytes[1],
				f.payload[0], f.payload[1], f.first, f.last, f.last-f.first, f.n)
			if len(got) == 1 && !strings.HasSuffix(got[0], "|0") {
				continue // fragments, which this test does not put together
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("%s: %v:\ngot  %v\nwant %s", filepath.Base(file), key, got, want)
			}
			checked++
		}
	}
	if checked < 65 {
		t.Errorf("only %d flows were looked at", checked)
	}
	// The two packets left out of http-gap.pcap, and what losing them did not do.
	d.want(`SELECT dst_gaps, dst_gap_bytes, src_gaps, state FROM flows WHERE dst_gaps > 0`, "1|2896|0|SF")
	d.want(`SELECT dst_gaps, dst_retransmitted_packets > 0, dst_out_of_order_packets > 0 FROM flows WHERE src_ip = '10.78.0.1'`, "0|true|true")
	// The handshake's round trip is the time between two packets of the bytes.
	p := read(t, filepath.Join(testdata, "captures", "http-keepalive.pcap"))
	d.want(`SELECT syn_to_synack_ns, synack_to_ack_ns, state, history, src_mac, dst_mac FROM flows
		WHERE first_packet = 1 AND capture_id = `+d.id("http-keepalive.pcap"),
		fmt.Sprintf("%d|%d|SF|ShADadFf|02:00:00:00:00:01|02:00:00:00:00:02", p[1].ns-p[0].ns, p[2].ns-p[1].ns))
}

// checkHTTP: each request that begins a segment is a row at that packet's
// time, and the exchanges of a connection are the ones that curl made.
func checkHTTP(t *testing.T, d database) {
	checked := 0
	for _, file := range captures(t) {
		seen := map[string]bool{}
		for _, p := range read(t, file) {
			line, _, ok := bytes.Cut(p.payload, []byte("\r\n"))
			words := strings.Fields(string(line))
			if !ok || p.proto != 6 || len(words) != 3 || !strings.HasPrefix(words[2], "HTTP/1") || strings.HasPrefix(words[0], "HTTP/") {
				continue
			}
			key := p.src.String() + string(line)
			if seen[key] {
				continue // sent again
			}
			seen[key] = true
			d.want(fmt.Sprintf(`SELECT method, target, version, epoch_ns(ts), epoch_ns(request_ts), src_ip, dst_port FROM http
				WHERE capture_id = %s AND first_packet = %d AND method = '%s' AND target = '%s'`, d.id(file), p.n, words[0], words[1]),
				fmt.Sprintf("%s|%s|%s|%d|%d|%s|%d", words[0], words[1], strings.TrimPrefix(words[2], "HTTP/"), p.ns, p.ns, p.src.Addr(), p.dst.Port()))
			checked++
		}
	}
	if checked < 23 {
		t.Errorf("only %d requests were looked at", checked)
	}
	d.want(`SELECT trans_depth, method, target, status, request_body_bytes, response_content_length, response_body_bytes, username
		FROM http WHERE capture_id = `+d.id("http-keepalive.pcap")+` AND host = 'www.example.test' ORDER BY trans_depth`,
		"1|GET|/index.html?first|200|0|NULL|61|NULL",
		"2|GET|/index.html|304|0|NULL|0|NULL",
		"3|HEAD|/data.bin|200|0|60000|0|NULL",
		"4|GET|/data.bin|206|0|1000|1000|NULL",
		"5|POST|/form|200|18|10|10|NULL",
		"6|GET|/missing|404|0|NULL|153|NULL",
		"7|GET|/empty|204|0|NULL|0|NULL",
		"8|GET|/moved|302|0|NULL|145|user",
		"9|OPTIONS|/index.html|405|0|NULL|157|NULL")
	chunked := d.id("http-chunked.pcap.gz")
	d.want(`SELECT target, transfer_encoding, content_encoding, request_transfer_encoding, informational::VARCHAR, version, request_body_bytes FROM http
		WHERE capture_id = `+chunked+` ORDER BY ts`,
		"/page.shtml|chunked|NULL|NULL|NULL|1.1|0",
		"/text.txt|chunked|gzip|NULL|NULL|1.1|0",
		"/form|NULL|NULL|chunked|NULL|1.1|20890",
		"/form|NULL|NULL|NULL|[100]|1.1|61",
		"/page.shtml|NULL|NULL|NULL|NULL|1.0|0",
		"/index.html|chunked|NULL|NULL|NULL|1.1|0")
	// Lists of structs, in the order of the wire.
	d.want(`SELECT request_headers::VARCHAR, len(response_headers), response_headers[1].name, response_headers[4].value
		FROM http WHERE capture_id = `+chunked+` AND target = '/page.shtml' AND version = '1.1'`,
		"[{'name': Host, 'value': www.example.test}, {'name': User-Agent, 'value': curl/7.88.1}, {'name': Accept, 'value': */*}]|5|Server|chunked")
	d.want(`SELECT after_gap, response_body_bytes, outcome FROM http WHERE capture_id = `+d.id("http-gap.pcap")+` ORDER BY ts`,
		"true|60000|complete", "false|61|complete")
}

// checkTLS: every ClientHello that is whole in one segment is in its row, at
// its time, with its lists in order.
func checkTLS(t *testing.T, d database) {
	checked := 0
	for _, file := range captures(t) {
		flows := map[netip.AddrPort]bool{}
		for _, p := range read(t, file) {
			h, ok := hello(p.payload)
			if !ok || flows[p.src] {
				continue // of a repeated hello the first counts
			}
			flows[p.src] = true
			d.want(fmt.Sprintf(`SELECT epoch_ns(ts), dst_ip, coalesce(client_session_id, ''), client_ciphers::VARCHAR, client_extensions::VARCHAR
				FROM tls WHERE capture_id = %s AND first_packet = %d`, d.id(file), p.n),
				fmt.Sprintf("%d|%s|%s|%s|%s", p.ns, p.dst.Addr(), h.sessionID, list(h.ciphers), list(h.exts)))
			checked++
		}
	}
	if checked != 15 {
		t.Errorf("%d ClientHellos were looked at, testdata has 15", checked)
	}
	d.want(`SELECT version, sni, cipher, resumed, established, alpn, client_auth, coalesce(client_alert, server_alert), outcome
		FROM tls WHERE capture_id = `+d.id("tls12.pcap")+` ORDER BY ts`,
		"TLSv1.2|www.example.test|TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|false|true|http/1.1|false|NULL|established",
		"TLSv1.2|www.example.test|TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|true|true|http/1.1|false|NULL|established",
		"TLSv1.2|www.example.test|TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|false|true|NULL|false|NULL|established",
		"TLSv1.2|www.example.test|TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|true|true|NULL|false|NULL|established",
		"TLSv1.2|ec.example.test|TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384|false|true|h2|false|NULL|established",
		"TLSv1.2|NULL|TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|false|true|NULL|true|NULL|established",
		"NULL|www.example.test|NULL|NULL|false|NULL|NULL|handshake_failure|alert",
		"TLSv1.2|wrong.example.test|TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|NULL|false|http/1.1|false|unknown_ca|alert")
	d.want(`SELECT version, sni, cipher, resumed, hello_retry, selected_group FROM tls WHERE capture_id = `+d.id("tls13.pcapng")+` ORDER BY ts LIMIT 3`,
		"TLSv1.3|www.example.test|TLS_AES_256_GCM_SHA384|false|false|x25519",
		"TLSv1.3|www.example.test|TLS_AES_256_GCM_SHA384|true|false|x25519",
		"TLSv1.3|a.ec.example.test|TLS_AES_256_GCM_SHA384|false|true|secp256r1")
}

// list writes numbers as DuckDB does.
func list(v []int) string {
	s := make([]string, len(v))
	for i := range v {
		s[i] = strconv.Itoa(v[i])
	}
	return "[" + strings.Join(s, ", ") + "]"
}

func checkCertificates(t *testing.T, d database) {
	d.want(`SELECT subject, issuer, serial, version, key_type, key_bits, is_ca, san_dns::VARCHAR, san_ip::VARCHAR, san_email::VARCHAR
		FROM certificates ORDER BY subject`,
		"CN=caplake test CA,O=caplake test,C=XX|CN=caplake test CA,O=caplake test,C=XX|"+
			d.rows("SELECT serial FROM certificates WHERE is_ca")[0]+"|3|rsa|2048|true|NULL|NULL|NULL",
		"CN=client,O=caplake test|CN=caplake test CA,O=caplake test,C=XX|1003|3|ec|256|false|NULL|NULL|[client@example.test]",
		"CN=ec.example.test,O=caplake test|CN=caplake test CA,O=caplake test,C=XX|1002|3|ec|256|false|[ec.example.test, *.ec.example.test]|NULL|NULL",
		"CN=www.example.test,O=caplake test|CN=caplake test CA,O=caplake test,C=XX|1001|3|rsa|2048|false|[www.example.test, example.test]|[10.77.0.2, '::1']|NULL")
	// The DER of a certificate is in the bytes, and its digest is its name.
	for _, row := range d.rows("SELECT fingerprint_sha256, epoch_ns(not_before), epoch_ns(not_after) - epoch_ns(not_before) FROM certificates") {
		cells := strings.Split(row, "|")
		if days := strconv.Itoa(36500*24*3600) + "000000000"; cells[2] != days || !strings.HasSuffix(cells[1], "000000000") {
			t.Errorf("certificate valid for %s ns from %s, made for %s", cells[2], cells[1], days)
		}
		if !certificateInBytes(t, cells[0]) {
			t.Errorf("no certificate in the captures has the SHA-256 %s", cells[0])
		}
	}
}

// certificateInBytes looks for a DER sequence with the digest in the server's
// first flight of TLS 1.2 handshakes and the client's answer to it.
func certificateInBytes(t *testing.T, digest string) bool {
	streams := map[netip.AddrPort][]byte{}
	for _, p := range read(t, filepath.Join(testdata, "captures", "tls12.pcap")) {
		if p.proto == 6 {
			key := netip.AddrPortFrom(p.dst.Addr(), p.src.Port()^p.dst.Port()<<1)
			streams[key] = append(streams[key], p.payload...)
		}
	}
	for _, b := range streams {
		for i := 0; i+4 < len(b); i++ {
			if b[i] != 0x30 || b[i+1] != 0x82 {
				continue
			}
			n := 4 + int(b[i+2])<<8 + int(b[i+3])
			if i+n > len(b) {
				continue
			}
			if sum := sha256.Sum256(b[i : i+n]); hex.EncodeToString(sum[:]) == digest {
				return true
			}
		}
	}
	return false
}

// checkDNS: each query over UDP is a row with its identifier and time, and
// its response's time, flags and counts where that is whole in one datagram.
func checkDNS(t *testing.T, d database) {
	checked := 0
	for _, file := range captures(t) {
		packets := read(t, file)
		for i, p := range packets {
			if p.proto != 17 || p.dst.Port() != 53 || len(p.payload) < 12 {
				continue
			}
			q := p.payload
			want := fmt.Sprintf("%d|%d|%d|%d", p.ns, int(q[0])<<8|int(q[1]), len(q), p.n)
			where := fmt.Sprintf(` FROM dns WHERE transport = 'udp' AND capture_id = %s AND src_port = %d`, d.id(file), p.src.Port())
			d.want(`SELECT epoch_ns(query_ts), id, query_bytes, first_packet`+where, want)
			checked++
			for _, r := range packets[i:] {
				if r.proto != 17 || r.dst != p.src || r.src != p.dst {
					continue
				}
				b := r.payload
				d.want(`SELECT epoch_ns(response_ts), rtt_ns, aa, tc, answer_count, coalesce(len(answers), 0), authority_count, coalesce(len(authorities), 0), last_packet`+where,
					fmt.Sprintf("%d|%d|%t|%t|%d|%d|%d|%d|%d", r.ns, r.ns-p.ns, b[2]&4 != 0, b[2]&2 != 0, b[7], b[7], b[9], b[9], r.n))
			}
		}
	}
	if checked != 46 {
		t.Errorf("%d queries were looked at, testdata has 46", checked)
	}
	udp := "FROM dns WHERE capture_id = " + d.id("dns-udp.pcap") + " AND "
	d.want("SELECT answers::VARCHAR "+udp+"qtype = 'MX' AND qname = 'example.test'",
		"[{'name': example.test, 'type': MX, 'class': IN, 'ttl': 3600, 'data': 10 mail.example.test}, {'name': example.test, 'type': MX, 'class': IN, 'ttl': 3600, 'data': 20 mail.example.net}]")
	d.want("SELECT answers[1].data, answers[2].type, answers[2].data "+udp+"qname_raw = 'WwW.eXaMpLe.TeSt'", "web.eXaMpLe.TeSt|A|10.77.0.2")
	d.want("SELECT answers[1].data "+udp+"qtype = 'TYPE65300'", `\# 4 DEADBEEF`)
	d.want("SELECT qtype, answers[1].data "+udp+"qtype IN ('CAA', 'SRV', 'HTTPS', 'LOC', 'TXT') AND qname <> 'big.example.test' AND qclass = 'IN' ORDER BY qtype",
		`CAA|0 issue "ca.example.net"`, `HTTPS|1 . alpn="h2,h3" port=8443 ipv4hint=10.77.0.2`, `LOC|52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m`,
		`SRV|5 10 80 web.example.test`, `TXT|"v=spf1 -all" "two strings"`)
	d.want("SELECT rcode, count(*) "+udp+"rcode <> 'NOERROR' GROUP BY rcode ORDER BY rcode", "BADVERS|1", "NOTIMP|1", "NXDOMAIN|2", "REFUSED|1")
	d.want("SELECT edns_client_subnet "+udp+"edns_client_subnet IS NOT NULL", "192.0.2.0/24")
	d.want("SELECT edns_nsid "+udp+"edns_nsid IS NOT NULL", "one")
	d.want("SELECT edns_errors[1].code, len(edns_errors) "+udp+"rcode = 'REFUSED'", "20|1")
	// A fragmented answer is put together; the same over TCP and IPv6.
	d.want("SELECT transport, len(answers), tc FROM dns WHERE qname = 'big.example.test' ORDER BY ts",
		"udp|12|false", "udp|NULL|true", "tcp|12|false", "udp|NULL|true", "tcp|12|false", "udp|12|false")
}

// checkNULL: what a capture does not say is NULL, and nothing else is.
func checkNULL(t *testing.T, d database) {
	d.want(`SELECT count(*), count(src_port), count(icmp_type), count(state) FILTER (state = 'OTH') FROM flows WHERE proto = 'icmp'`, "2|0|2|2")
	d.want(`SELECT count(*) FILTER (proto IN ('tcp', 'udp') AND src_port IS NULL), count(vlan_id), count(tunnel), count(icmp_type) FILTER (proto = 'tcp') FROM flows`, "0|0|0|0")
	d.want(`SELECT count(DISTINCT src_mss_bytes) > 0, count(src_mss_bytes) FILTER (proto = 'udp') FROM flows`, "true|0")
	// The query that nobody answered: a responder that sent nothing sent 0 packets.
	d.want(`SELECT rcode, response_ts, rtt_ns, response_bytes, aa, answers, outcome FROM dns WHERE qname = 'nobody.example.test'`, "NULL|NULL|NULL|NULL|NULL|NULL|no_response")
	d.want(`SELECT dst_packets, dst_bytes, dst_size_min_bytes, icmp_errors, icmp_error_type, icmp_error_code FROM flows f JOIN dns USING (flow_id) WHERE qname = 'nobody.example.test'`, "0|0|NULL|1|3|3")
	d.want(`SELECT count(*) FROM http WHERE host = '' OR user_agent = '' OR referer = '' OR location = ''`, "0")
	d.want(`SELECT count(*), count(user_agent), count(location) FROM http WHERE host = 'pipelined.example.test'`, "3|0|0")
	d.want(`SELECT count(*) FROM flows WHERE app_proto IS NULL AND proto <> 'icmp'`, "1") // the refused connection
}

// checkJoins: flow_id joins every row to one flow, whose tuple and counts are
// the rows' own.
func checkJoins(t *testing.T, d database) {
	d.want(`SELECT count(*) - count(DISTINCT flow_id), min(flow_id) > 0 FROM flows`, "0|true")
	for _, table := range []string{"http", "tls", "dns"} {
		d.want(fmt.Sprintf(`SELECT count(*) - (SELECT count(*) FROM %[1]s) FROM %[1]s x JOIN flows f USING (flow_id)
			WHERE x.src_ip = f.src_ip AND x.src_port = f.src_port AND x.dst_ip = f.dst_ip AND x.dst_port = f.dst_port
			  AND x.ts BETWEEN f.ts AND f.end_ts AND f.app_proto = '%[1]s'`, table), "0")
		d.want(fmt.Sprintf(`SELECT count(*) FROM flows f LEFT JOIN (SELECT flow_id, count(*) AS n FROM %[1]s GROUP BY 1) x USING (flow_id)
			WHERE f.%[1]s_rows <> coalesce(x.n, 0)`, table), "0")
	}
	d.want(`SELECT count(*), count(f.flow_id), count(*) FILTER (c.first_seen BETWEEN f.ts AND f.end_ts) FROM certificates c LEFT JOIN flows f USING (flow_id)`, "4|4|4")
	d.want(`SELECT count(*) FROM (SELECT unnest(cert_fingerprints || coalesce(client_cert_fingerprints, [])) AS fp FROM tls) WHERE fp NOT IN (SELECT fingerprint_sha256 FROM certificates)`, "0")
	d.want(`SELECT t.subject = c.subject, t.serial, t.not_after = c.not_after, t.san_dns = c.san_dns, t.sni_matches_cert
		FROM tls t JOIN certificates c ON c.fingerprint_sha256 = t.cert_fingerprints[1] WHERE t.sni = 'wrong.example.test'`, "true|1001|true|true|false")
}
