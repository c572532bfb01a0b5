package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// zeek is the peer whose logs lie in peer/zeek/TEST/LOG. zeek-map.tsv says which
// capture a log is of, whether of it alone ("one"), and by which flags:
//
//	C  checksums were not verified
//	b  without the usual scripts: services are named only where a test loads what names them
//
// Logs have no times (they are blanked), and may have been cut to some columns
// or rows. What a log does not have is not compared, and what it lacks is extra
// only where it is a whole log under its own name.
type zeek struct {
	logs map[string][]zeekLog // by capture
}

// zeekLog is one log of one capture.
type zeekLog struct {
	kind      string // conn, http, ssl, x509, dns, quic
	test      string
	unchecked bool // flag C
	bare      bool // flag b
	partial   bool // some rows may be left out
	rows      []zeekRow
}

// zeekRow is a row by column. An unset value is empty, a column that the log
// does not have is absent.
type zeekRow map[string]string

// get returns a column's value, or Unknown where the log does not have it.
func (r zeekRow) get(column string) string {
	if v, ok := r[column]; ok {
		return v
	}
	return Unknown
}

// zeekKinds are the kinds of logs that are compared, each with the table of ours
// beside which it is laid.
var zeekKinds = [...]struct {
	kind, table string
	records     func(l *zeekLog, t *Table) recordSet
}{
	{"conn", "flows", zeekConn},
	{"http", "http", zeekHTTP},
	{"ssl", "tls", zeekSSL},
	{"quic", "tls", zeekQUIC},
	{"x509", "certificates", zeekX509},
	{"dns", "dns", zeekDNS},
}

func (*zeek) tables() []string {
	var names []string
	for _, k := range zeekKinds {
		names = append(names, "zeek "+k.kind)
	}
	return names
}

// openZeek reads the logs below dir, the folder of the peers.
func openZeek(dir string) (*zeek, error) {
	z := &zeek{logs: map[string][]zeekLog{}}
	rows, err := optionalTSV(filepath.Join(dir, "zeek-map.tsv"))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if r["mapping"] != "one" || !slices.Contains(z.tables(), "zeek "+r["log_kind"]) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "zeek", r["test"], r["baseline"]))
		if os.IsNotExist(err) {
			continue // not every log is part of the corpus
		} else if err != nil {
			return nil, err
		}
		flags := ""
		for name, v := range r {
			if strings.HasPrefix(name, "zeek_flags") {
				flags = v
			}
		}
		l := zeekLog{
			kind: r["log_kind"], test: r["test"],
			unchecked: strings.Contains(flags, "C"), bare: strings.Contains(flags, "b"),
			partial: r["form"] != "full" || r["baseline"] != r["log_kind"]+".log",
		}
		if l.rows, err = parseZeekLog(string(b)); err != nil {
			return nil, fmt.Errorf("zeek log %s/%s: %w", r["test"], r["baseline"], err)
		}
		// Many tests run on one capture; what says the same again counts once.
		key := fmt.Sprint(r["name"], l.kind, l.unchecked, withoutUID(l.rows))
		if len(l.rows) == 0 || seen[key] {
			continue
		}
		seen[key] = true
		z.logs[r["name"]] = append(z.logs[r["name"]], l)
	}
	for _, logs := range z.logs {
		lookElsewhere(logs)
		// Of several tests' logs of one capture, those with fewer rows are of tests that filter.
		most := map[string]int{}
		for i := range logs {
			most[logs[i].kind] = max(most[logs[i].kind], len(logs[i].rows))
		}
		for i := range logs {
			logs[i].partial = logs[i].partial || len(logs[i].rows) < most[logs[i].kind]
		}
	}
	return z, nil
}

// elsewhere is a column of ours in a log of connections: what Zeek counts of the same
// connection in the logs of other tests on the capture.
const elsewhere = "#elsewhere"

// lookElsewhere fills the column. A test may look at a part of the packets.
func lookElsewhere(logs []zeekLog) {
	type key struct{ group, originator, proto string }
	said := map[key][]string{}
	each := func(do func(key, zeekRow)) {
		for _, l := range logs {
			for _, r := range l.rows {
				if l.kind == "conn" && r.whole() && r.said("orig_pkts") != Unknown {
					group, originator := r.group()
					do(key{group, originator, r["proto"]}, r)
				}
			}
		}
	}
	each(func(k key, r zeekRow) {
		if c := countsText(r.get); !slices.Contains(said[k], c) {
			said[k] = append(said[k], c)
		}
	})
	each(func(k key, r zeekRow) { r[elsewhere] = strings.Join(said[k], " ") })
}

// countsText is the counts of a connection in one word.
func countsText(get func(column string) string) string {
	var s []string
	for _, c := range counts {
		s = append(s, get(c))
	}
	return strings.Join(s, "/")
}

func withoutUID(rows []zeekRow) string {
	var b strings.Builder
	for _, r := range rows {
		names := make([]string, 0, len(r))
		for n := range r {
			if !strings.Contains(n, "uid") {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		for _, n := range names {
			fmt.Fprintf(&b, "%s=%q ", n, r[n])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (z *zeek) views(c *Capture) []view {
	var vs []view
	for _, unchecked := range []bool{false, true} {
		var logs []*zeekLog
		for i := range z.logs[c.ID()] {
			if l := &z.logs[c.ID()][i]; l.unchecked == unchecked && !l.anonymous(c) && !l.made(c) {
				logs = append(logs, l)
			}
		}
		if logs == nil {
			continue
		}
		vs = append(vs, view{Options{NoChecksums: unchecked}, func(d *Dataset) ([]recordSet, error) {
			var sets []recordSet
			var firstErr error
			for _, l := range logs {
				for _, k := range zeekKinds {
					if k.kind != l.kind {
						continue
					}
					t, err := d.Table(k.table)
					if err != nil && firstErr == nil {
						firstErr = err
					}
					set := k.records(l, t)
					set.table = "zeek " + l.kind
					set.partial = l.partial
					sets = append(sets, set)
				}
			}
			return sets, firstErr
		}})
	}
	return vs
}

// anonymous says whether a test has changed the addresses on their way into the
// log: a flow's originator occurs in none of the truth's.
func (l *zeekLog) anonymous(c *Capture) bool {
	if l.kind == "conn" || l.kind == "x509" {
		return false // of more than TCP and UDP, or of no flow
	}
	truth, err := c.Truth("flows")
	if err != nil || len(truth) == 0 {
		return false
	}
	addresses := map[string]bool{}
	for _, r := range truth {
		addresses[canonicalIP(r["a_ip"])], addresses[canonicalIP(r["b_ip"])] = true, true
	}
	for _, r := range l.rows {
		if a := r["id.orig_h"]; a != "" && !addresses[canonicalIP(a)] {
			return true
		}
	}
	return false
}

// made says whether nothing of a log of HTTP is in the capture: the test hands bytes of its own
// to Zeek, or keys that decrypt. Such a log says nothing of what the packets hold.
func (l *zeekLog) made(c *Capture) bool {
	var lines [][]byte
	for _, r := range l.rows {
		method, uri := zeekText(r["method"]), zeekText(r["uri"])
		if l.kind != "http" || method == "" || uri == "" {
			return false
		}
		plain := strings.IndexFunc(uri, func(c rune) bool { return !strings.ContainsRune(unreserved, c) })
		if plain >= 0 { // what follows may have been sent with an escape
			uri = uri[:plain]
		}
		lines = append(lines, []byte(method+" "+uri))
	}
	b, err := os.ReadFile(c.Path)
	if err != nil {
		return false
	}
	if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		b, _ = io.ReadAll(io.LimitReader(z, 1<<28)) // what there is of it
	}
	return !slices.ContainsFunc(lines, func(line []byte) bool { return bytes.Contains(b, line) })
}

// unreserved are the characters of a path that are sent as they are (RFC 3986 section 2.3).
const unreserved = "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// parseZeekLog reads a log in Zeek's own format, what zeek-cut made of one
// (a line of column names, then values), or JSON, one object a line.
func parseZeekLog(s string) ([]zeekRow, error) {
	var names []string
	var rows []zeekRow
	unset, empty := "-", "(empty)"
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#fields\t"):
			names = strings.Split(line, "\t")[1:]
		case strings.HasPrefix(line, "#unset_field\t"):
			_, unset, _ = strings.Cut(line, "\t")
		case strings.HasPrefix(line, "#empty_field\t"):
			_, empty, _ = strings.Cut(line, "\t")
		case strings.HasPrefix(line, "#") || line == "":
		case strings.HasPrefix(line, "{"):
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				return rows, nil // a part of a log, or of something else
			}
			r := zeekRow{}
			for k, v := range m {
				r[zeekName(k)] = JSONText(v)
			}
			rows = append(rows, r)
		default:
			f := strings.Split(line, "\t")
			if names == nil {
				if !isZeekHeader(f) {
					return nil, nil // cut without names: what is what is anyone's guess
				}
				names = f
				continue
			}
			if len(f) != len(names) {
				return rows, nil
			}
			r := zeekRow{}
			for i, v := range f {
				switch v {
				case unset:
					v = ""
				case empty:
					v = ""
				}
				r[zeekName(names[i])] = v
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// JSONText returns a value of JSON as the logs compared have it: T and F, numbers
// in decimal, lists with commas.
func JSONText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		if v {
			return "T"
		}
		return "F"
	case []any:
		var s []string
		for _, e := range v {
			s = append(s, JSONText(e))
		}
		return strings.Join(s, ",")
	}
	return ""
}

// zeekName returns a column's usual name: a test may have another separator
// between a record and its field.
func zeekName(s string) string {
	for _, id := range []string{"orig_h", "orig_p", "resp_h", "resp_p"} {
		if s == "id_"+id {
			return "id." + id
		}
	}
	return s
}

// isZeekHeader says whether fields are names of columns and not values.
func isZeekHeader(f []string) bool {
	for _, s := range f {
		for _, c := range s {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '.' && (c < '0' || c > '9') {
				return false
			}
		}
	}
	known := 0
	for _, s := range f {
		switch s {
		case "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "service", "history", "host", "uri", "method", "query",
			"fingerprint", "server_name", "version", "duration", "conn_state":
			known++
		}
	}
	return known > 0
}

// zeekText undoes the escapes of a log: \xNN stands for a byte, \\ for a backslash.
func zeekText(s string) string {
	if s == Unknown || !strings.Contains(s, `\`) {
		return s
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\\`) {
			b = append(b, '\\')
			i++
			continue
		}
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// zeekList reads a set or vector.
func zeekList(s string) []string {
	if s == "" || s == Unknown {
		return nil
	}
	l := strings.Split(s, ",")
	for i := range l {
		l[i] = zeekText(l[i])
	}
	return l
}

// zeekIDs are the columns that name a row's endpoints, and ours.
var zeekIDs = [4][2]string{{"id.orig_h", "src_ip"}, {"id.orig_p", "src_port"}, {"id.resp_h", "dst_ip"}, {"id.resp_p", "dst_port"}}

// group names a row's flow, by those columns that the log has, and who is its
// originator.
func (r zeekRow) group() (group, originator string) {
	if r.whole() {
		orig := endpoint{canonicalIP(r["id.orig_h"]), r["id.orig_p"]}
		return pairOf(r["id.orig_h"], r["id.orig_p"], r["id.resp_h"], r["id.resp_p"]), orig.String()
	}
	for _, id := range zeekIDs {
		if v, ok := r[id[0]]; ok {
			group += canonicalIP(v) + " "
		}
	}
	return group, Unknown
}

func (r zeekRow) whole() bool {
	for _, id := range zeekIDs {
		if _, ok := r[id[0]]; !ok {
			return false
		}
	}
	return true
}

// ourGroup names row i of a table of ours as l's rows are named.
func (l *zeekLog) ourGroup(t *Table, i int) (group, originator string) {
	ours := zeekRow{}
	for _, id := range zeekIDs {
		if len(l.rows) == 0 {
			break
		}
		if _, ok := l.rows[0][id[0]]; ok {
			ours[id[0]] = t.Get(i, id[1])
		}
	}
	return ours.group()
}

// ourGroupBack is the name of ourGroup for the row turned around.
func (l *zeekLog) ourGroupBack(t *Table, i int) string {
	ours := zeekRow{}
	for k, id := range zeekIDs {
		if _, ok := l.rows[0][id[0]]; ok {
			ours[id[0]] = t.Get(i, zeekIDs[(k+2)%len(zeekIDs)][1])
		}
	}
	group, _ := ours.group()
	return group
}

func (r zeekRow) label(kind string) string {
	return fmt.Sprintf("%s %s > %s", kind, endpoint{r["id.orig_h"], r["id.orig_p"]}, endpoint{r["id.resp_h"], r["id.resp_p"]})
}

// zeekBool brings T and F to our words.
func zeekBool(s string) string {
	switch s {
	case "T":
		return "true"
	case "F":
		return "false"
	}
	return s
}

// microseconds brings a decimal number of seconds to whole microseconds.
func microseconds(s string) string {
	if s == "" || s == Unknown {
		return s
	}
	return strconv.FormatInt((nanoseconds(s)+500)/1000, 10)
}

// nanosToMicros brings a column of ours in nanoseconds to microseconds.
func nanosToMicros(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatInt((n+500)/1000, 10)
}

// closeTo says whether two whole numbers differ by at most d: times of other
// programs are floating point.
func closeTo(a, b string, d int64) bool {
	x, err1 := strconv.ParseInt(a, 10, 64)
	y, err2 := strconv.ParseInt(b, 10, 64)
	return err1 == nil && err2 == nil && max(x-y, y-x) <= d
}
