package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The views of Zeek's logs are held against logs that Zeek itself wrote of a
// corpus of captures: rows are joined by tuple and what else names a row, and
// compared column by column.

// zeekLog is a log of the corpus.
type zeekLog struct {
	kind, capture, file, flags string
}

// zeekLogs returns the logs that belong to one capture and have all of their
// columns, one of each kind for a capture.
func zeekLogs(t *testing.T, corpus string) (logs []zeekLog) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(corpus, "peer", "zeek-map.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var head []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if head == nil {
			head = cells
			continue
		}
		get := func(name string) string { return cells[slices.Index(head, name)] }
		kind, test := get("log_kind"), get("test")
		if !slices.Contains([]string{"conn", "http", "ssl", "x509", "dns"}, kind) || get("form") != "full" || get("mapping") != "one" || !strings.HasPrefix(get("baseline"), kind+".log") {
			continue
		}
		// Tests of filters and of the form of logs, whose rows or columns are others.
		if slices.ContainsFunc([]string{"field-", "scope_sep", "writer-path", "dynamic-filter", "with-filter", "checksums_ignore", "cluster", "disable-certificate", "decryption", "init-in-anon"}, func(s string) bool { return strings.Contains(test, s) }) {
			continue
		}
		if key := kind + get("name"); !seen[key] {
			seen[key] = true
			source, name, _ := strings.Cut(get("name"), "/")
			logs = append(logs, zeekLog{kind, filepath.Join(corpus, "captures", source, name), filepath.Join(corpus, "peer", "zeek", test, get("baseline")), get("zeek_flags(C=no-checksums,b=bare)")})
		}
	}
	return logs
}

// rows returns the rows of the log. What is unset is missing; what is masked, as
// times are in most logs, begins with XXXX, and so does a column that the log
// has not.
func (l *zeekLog) rows(t *testing.T, columns []string) (rows []map[string]string) {
	t.Helper()
	text, err := os.ReadFile(l.file)
	if err != nil {
		t.Fatal(err)
	}
	var fields []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if cells[0] == "#fields" {
			fields = cells[1:]
		}
		if strings.HasPrefix(line, "#") || len(cells) != len(fields) {
			continue
		}
		row := map[string]string{}
		for _, c := range columns {
			if !slices.Contains(fields, c) {
				row[c] = "XXXX"
			}
		}
		for i, c := range cells {
			switch c {
			case "-":
			case "(empty)":
				row[fields[i]] = ""
			default:
				row[fields[i]] = strings.ReplaceAll(c, `\x09`, "\t")
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// zeekAgree is how many of a hundred joined rows agree at least, for each view
// and column, and under "" how many of the log's rows have one of ours. What is
// not here must agree in all rows; what is -1 is not compared, because it is
// not kept. The differences were looked at:
//
//   - A tunnel's carrier is a flow of Zeek's with all its packets; here only
//     packets that are not looked into are its own (Teredo, AYIYA, GTP). Zeek
//     turns flows without handshake around by their ports.
//   - Zeek's duration ends before trailing packets without payload.
//   - service: Zeek names the tunnels, NTLM, GSSAPI, ftp-data and what it saw
//     fail; here are names by first bytes for what it does not know.
//   - response_body_len is after the content coding there, before it here.
//   - HTTP/0.9 has status 0 there, NULL here.
//   - QUIC is never established there. A certificate in FTP's own coding of
//     TLS (GSSAPI) is not seen here.
//   - rtt, AA, RA are of answers alone there; here they are of every response.
//     Z is the query's there, the response's here.
//   - NetBIOS names have no table here, and a query sent again is one row.
//   - basic_constraints.ca is false here where a certificate has none.
func zeekAgree() map[string]map[string]int {
	return map[string]map[string]int{
		"zeek_conn": {"": 86, "uid": -1, "tunnel_parents": -1, "service": 86, "duration": 79, "orig_bytes": 93, "resp_bytes": 96, "conn_state": 97,
			"local_resp": 99, "missed_bytes": 99, "history": 95, "orig_pkts": 96, "orig_ip_bytes": 90, "resp_pkts": 97, "resp_ip_bytes": 97, "ip_proto": 97},
		"zeek_http": {"": 94, "uid": -1, "info_msg": -1, "password": -1, "orig_fuids": -1, "orig_filenames": -1, "orig_mime_types": -1, "resp_fuids": -1, "resp_mime_types": -1,
			"host": 98, "uri": 96, "version": 98, "response_body_len": 76, "status_code": 96, "status_msg": 94},
		"zeek_ssl": {"": 96, "uid": -1, "ts": -1, "ssl_history": -1, "resumed": 95, "established": 66, "cert_chain_fps": 95, "client_cert_chain_fps": 95,
			"subject": 66, "issuer": 66, "sni_matches_cert": 95},
		"zeek_x509": {"": 76, "certificate.exponent": -1, "basic_constraints.ca": 84, "host_cert": 96, "client_cert": 96},
		"zeek_dns": {"": 79, "uid": -1, "rtt": 72, "qclass": 96, "qclass_name": 96, "qtype": 96, "qtype_name": 96, "AA": 86, "RD": 96, "RA": 82, "Z": 90,
			"answers": 98, "TTLs": 98},
	}
}

func TestZeekViews(t *testing.T) {
	corpus := os.Getenv("CAPLAKE_CORPUS")
	if corpus == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures with Zeek's logs")
	}
	logs := zeekLogs(t, corpus)
	root := t.TempDir()
	lake := func(capture string) string {
		return filepath.Join(root, strings.NewReplacer("/", "_", "+", "_").Replace(strings.TrimPrefix(capture, corpus)))
	}
	flags := map[string]string{}
	for _, l := range logs {
		flags[l.capture] = l.flags
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, 2)
	for capture, f := range flags {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			args := []string{"convert", "-q", "--no-hash", "--headers", "--workers", "1", capture, "-o", lake(capture)}
			if strings.Contains(f, "C") {
				args = append(args, "--no-checksums")
			}
			if out, err := exec.Command(caplake, args...).CombinedOutput(); err != nil && !strings.Contains(err.Error(), "exit status 3") {
				t.Errorf("%s: %v\n%s", capture, err, out)
			}
		})
	}
	wait.Wait()
	if t.Failed() || len(flags) < 50 {
		t.Fatalf("%d captures", len(flags))
	}

	// All datasets at once: the views' files are a pattern, and flow_id says which capture.
	views, err := os.ReadFile(filepath.Join(lake(logs[0].capture), "views.sql"))
	if err != nil {
		t.Fatal(err)
	}
	d := newDatabase(t, lake(logs[0].capture))
	d.db.SetMaxOpenConns(1)
	run := func(query string) {
		t.Helper()
		if _, err := d.db.ExecContext(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	run("SET VARIABLE dataset = " + literal(filepath.Join(root, "*")))
	for text := range statements(string(views)) {
		if !strings.HasPrefix(text, "COMMENT") {
			run(text)
		}
	}
	run("CREATE TABLE capture_of AS SELECT DISTINCT flow_id, split_part(filename, '/', -3) AS capture FROM read_parquet(" + literal(filepath.Join(root, "*/flows/*.parquet")) + ", filename = true)")

	const id = `"id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"`
	for _, v := range []struct{ view, key string }{
		{"zeek_conn", id + ", proto"}, {"zeek_http", id + ", trans_depth"}, {"zeek_ssl", id}, {"zeek_x509", "fingerprint"}, {"zeek_dns", id + ", trans_id, query"},
	} {
		t.Run(v.view, func(t *testing.T) {
			database{t, d.db}.compareZeek(v.view, v.key, logs, lake)
		})
	}
}

func (d database) compareZeek(view, key string, logs []zeekLog, lake func(string) string) {
	t := d.t
	var columns, types []string
	for _, row := range d.rows("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = " + literal(view) + " ORDER BY column_index") {
		name, typ, _ := strings.Cut(row, "|")
		columns, types = append(columns, name), append(types, typ)
	}
	file := filepath.Join(t.TempDir(), "log.json")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	e, n := json.NewEncoder(f), 0
	for _, l := range logs {
		if "zeek_"+l.kind != view {
			continue
		}
		for _, row := range l.rows(t, columns) {
			n++
			row["capture"], row["line"] = filepath.Base(lake(l.capture)), strconv.Itoa(n)
			if err := e.Encode(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.Close()
	if n < 15 {
		t.Fatalf("%d rows", n)
	}
	declared := make([]string, len(columns))
	for i, c := range columns {
		declared[i] = literal(c) + ": 'VARCHAR'"
	}
	number := func(order string) string {
		return fmt.Sprintf("row_number() OVER (PARTITION BY capture, %s ORDER BY %s) AS nth", key, order)
	}
	join := "USING (capture, nth, " + key + ")"
	casts := "" // the key's columns as the log has them
	for part := range strings.SplitSeq(key, ", ") {
		casts += fmt.Sprintf("%s::VARCHAR AS %s, ", part, part)
	}
	query := fmt.Sprintf(`CREATE OR REPLACE TABLE joined AS SELECT capture, l.line IS NOT NULL AS logged, v.nth IS NOT NULL AS ours, l.log, v.row FROM
		(SELECT %[1]s, line, capture, %[2]s, l AS log FROM read_json(%[3]s, format = 'newline_delimited', columns = {'capture': 'VARCHAR', 'line': 'BIGINT', %[4]s}) l) l
		FULL JOIN (SELECT %[5]s capture, %[6]s, v AS row FROM %[7]s v JOIN capture_of USING (flow_id)
			WHERE capture IN (SELECT capture FROM read_json(%[3]s, format = 'newline_delimited', columns = {'capture': 'VARCHAR'}))) v %[8]s`,
		key, number("line"), literal(file), strings.Join(declared, ", "), casts, number("ts"), view, join)
	if _, err := d.db.ExecContext(t.Context(), query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	counts := d.rows("SELECT count(*) FILTER (logged), count(*) FILTER (ours), count(*) FILTER (logged AND ours) FROM joined")[0]
	want := zeekAgree()[view]
	var theirs, own, both int
	if _, err := fmt.Sscanf(counts, "%d|%d|%d", &theirs, &own, &both); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d rows of Zeek, %d of ours, %d in both", view, theirs, own, both)
	if 100*both/theirs < want[""] {
		t.Errorf("%s: fewer than %d %% of Zeek's rows have one of ours", view, want[""])
	}
	for _, row := range d.rows("SELECT capture, if(logged, 'Zeek alone', 'ours alone'), coalesce(log::VARCHAR, row::VARCHAR) FROM joined WHERE logged <> ours ORDER BY ALL") {
		t.Logf("    %.400s", row)
	}
	for i, c := range columns {
		if c == "flow_id" || want[c] < 0 {
			continue
		}
		ours, theirs := fmt.Sprintf("row.%q", c), fmt.Sprintf("log.%q", c)
		text := ours + "::VARCHAR"
		switch types[i] {
		case "BOOLEAN":
			text = "left(upper(" + text + "), 1)"
		case "VARCHAR[]":
			text = "array_to_string(" + ours + ", ',')"
		case "DOUBLE[]":
			text = "array_to_string([format('{:.6f}', x) for x in " + ours + "], ',')"
		case "DOUBLE":
			text = fmt.Sprintf("CASE WHEN abs(%s - TRY_CAST(%s AS DOUBLE)) <= 2e-6 THEN %s ELSE format('{:.6f}', %s) END", ours, theirs, theirs, ours)
		}
		said := "log IS NOT NULL AND " + theirs + " IS NOT NULL"
		cells := strings.Split(d.rows(fmt.Sprintf("SELECT count(*) FILTER (%[1]s), count(*) FILTER (%[2]s IS NOT DISTINCT FROM %[3]s), count(*) FROM joined WHERE logged AND ours AND NOT coalesce(%[3]s LIKE 'XXXX%%', false)", said, text, theirs))[0], "|")
		logged, _ := strconv.Atoi(cells[0])
		equal, _ := strconv.Atoi(cells[1])
		all, _ := strconv.Atoi(cells[2])
		share := 100 * equal / max(all, 1)
		if logged == 0 {
			continue
		}
		t.Logf("  %-28s %4d of %4d equal, %3d %%; Zeek has %d", c, equal, all, share, logged)
		least, ok := want[c]
		if !ok {
			least = 100
		}
		if share < least {
			t.Errorf("%s.%s: %d of %d rows agree, fewer than %d %%: %s", view, c, equal, all, least, strings.Join(d.rows(fmt.Sprintf(
				"SELECT capture, %[1]s AS ours, %[2]s AS theirs, count(*) FROM joined WHERE logged AND ours AND NOT coalesce(%[2]s LIKE 'XXXX%%', false) AND %[1]s IS DISTINCT FROM %[2]s GROUP BY ALL ORDER BY ALL LIMIT 60", text, theirs)), "\n    "))
		}
	}
}
