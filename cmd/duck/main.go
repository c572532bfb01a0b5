// Command duck opens a dataset that caplake wrote with an embedded DuckDB and
// prints the answers to a few questions: a place to start from.
//
//	go run . DATASET
//
// It reads Parquet. (DuckDB reads Arrow files with an extension from the
// network; duck_test.go shows how a program hands them over instead.)
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	_ "github.com/duckdb/duckdb-go/v2"
)

func main() {
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: duck DATASET")
		os.Exit(2)
	}
	if err := demo(context.Background(), os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "duck:", err)
		os.Exit(1)
	}
}

// tables are the folders of a dataset.
func tables() []string {
	return []string{"flows", "http", "tls", "certificates", "dns", "ssh", "captures"}
}

// question is a query and what it answers.
type question struct{ title, sql string }

func questions() []question {
	return []question{
		{"What was read, and what became of the packets", `
SELECT path, format, packets, flow_packets AS in_flow, not_ip_packets AS not_ip,
       fragments_reassembled AS fragments, first_ts, error
FROM captures ORDER BY capture_id`},
		{"Who talks most", `
SELECT src_ip, dst_ip, app_proto, count(*) AS flows,
       sum(src_bytes) AS sent, sum(dst_bytes) AS received,
       sum(src_retransmitted_packets + dst_retransmitted_packets) AS retransmitted
FROM flows GROUP BY ALL ORDER BY sent + received DESC, src_ip, app_proto LIMIT 8`},
		{"How TCP connections ended, and their round trips", `
SELECT state, end_reason, count(*) AS flows,
       median(syn_to_synack_ns) / 1e3 AS rtt_us, min(history) AS history
FROM flows WHERE proto = 'tcp' GROUP BY ALL ORDER BY flows DESC, state`},
		{"HTTP by host and status", `
SELECT host, method, status, count(*) AS exchanges,
       sum(response_body_bytes) AS body_bytes, min(target) AS target
FROM http GROUP BY ALL ORDER BY exchanges DESC, host, method, status LIMIT 12`},
		{"HTTP exchanges of flows that lost packets (a join by flow_id)", `
SELECT h.ts, h.target, h.status, h.outcome, h.after_gap,
       f.dst_out_of_order_packets AS out_of_order, f.dst_gap_bytes AS gap_bytes
FROM http h JOIN flows f USING (flow_id)
WHERE f.dst_retransmitted_packets > 0 OR f.dst_gap_bytes > 0 ORDER BY h.ts`},
		{"TLS: versions, ciphers, clients", `
SELECT version, cipher, resumed, outcome, count(*) AS handshakes,
       count(DISTINCT ja4) AS clients, min(ja4) AS ja4
FROM tls GROUP BY ALL ORDER BY handshakes DESC, version, cipher, resumed, outcome`},
		{"Certificates, and the names they were asked by (a join by a list's elements)", `
SELECT c.subject, c.key_type, c.key_bits, c.not_after, list(DISTINCT t.sni ORDER BY t.sni) AS sni
FROM certificates c LEFT JOIN (SELECT sni, unnest(cert_fingerprints) AS fp FROM tls) t
     ON t.fp = c.fingerprint_sha256
GROUP BY ALL ORDER BY c.subject`},
		{"DNS: what was asked for", `
SELECT qname, count(*) AS queries, list(DISTINCT qtype ORDER BY qtype) AS types,
       list(DISTINCT rcode ORDER BY rcode) AS rcodes, median(rtt_ns) / 1e3 AS rtt_us
FROM dns GROUP BY qname ORDER BY queries DESC, qname LIMIT 10`},
		{"DNS answers, one a row (a list of structs, unnested)", `
SELECT qname, a.type, a.ttl, a.data
FROM (SELECT qname, unnest(answers) AS a FROM dns WHERE qtype IN ('MX', 'HTTPS', 'SRV', 'CAA'))
GROUP BY ALL ORDER BY ALL LIMIT 8`},
	}
}

// demo prints the answers of the dataset in dir.
func demo(ctx context.Context, w io.Writer, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		return fmt.Errorf("%s is no finished dataset: %w", dir, err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := openParquet(ctx, db, dir); err != nil {
		return err
	}
	for _, q := range questions() {
		if err := answer(ctx, w, db, q); err != nil {
			return fmt.Errorf("%s: %w", q.title, err)
		}
	}
	return nil
}

// openParquet makes the tables of a dataset in dir known by their names.
func openParquet(ctx context.Context, db *sql.DB, dir string) error {
	for _, table := range tables() {
		files, err := filepath.Glob(filepath.Join(dir, table, "*.parquet"))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return errors.New("no Parquet files in " + filepath.Join(dir, table))
		}
		for i, f := range files {
			files[i] = "'" + strings.ReplaceAll(f, "'", "''") + "'"
		}
		view := fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM read_parquet([%s])", table, strings.Join(files, ", "))
		if _, err := db.ExecContext(ctx, view); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	return nil
}

func answer(ctx context.Context, w io.Writer, db *sql.DB, q question) error {
	rows, err := db.QueryContext(ctx, q.sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	lines := [][]string{names}
	right := make([]bool, len(names)) // numbers
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		cells := make([]string, len(names))
		for i, v := range values {
			cells[i] = cell(v)
			switch v.(type) {
			case nil, string, bool, time.Time, []any:
			default:
				right[i] = true
			}
		}
		lines = append(lines, cells)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n== %s\n%s\n\n", q.title, indent(strings.TrimSpace(q.sql)))
	for _, line := range align(lines, right) {
		fmt.Fprintln(w, line)
	}
	return nil
}

// cell returns a value as text, on one line and not too long.
func cell(v any) string {
	s := ""
	switch v := v.(type) {
	case nil:
		return "·" // NULL
	case float64:
		s = fmt.Sprintf("%.1f", v)
	case time.Time:
		s = v.UTC().Format("2006-01-02 15:04:05.000000000")
		s = strings.TrimSuffix(s, ".000000000")
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			if e != nil {
				parts = append(parts, cell(e))
			}
		}
		s = strings.Join(parts, " ")
	default:
		s = fmt.Sprint(v)
	}
	const most = 44
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}

func indent(s string) string { return "   " + strings.ReplaceAll(s, "\n", "\n   ") }

// align pads cells to columns; the first line is the heading.
func align(lines [][]string, right []bool) []string {
	width := make([]int, len(right))
	for _, line := range lines {
		for i, c := range line {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	rule := make([]string, len(right))
	for i := range rule {
		rule[i] = strings.Repeat("─", width[i])
	}
	all := append([][]string{lines[0], rule}, lines[1:]...)
	out := make([]string, len(all))
	for n, line := range all {
		padded := make([]string, len(line))
		for i, c := range line {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if right[i] {
				padded[i] = pad + c
			} else {
				padded[i] = c + pad
			}
		}
		out[n] = strings.TrimRight(strings.Join(padded, "  "), " ")
	}
	return out
}
