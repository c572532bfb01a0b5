package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// more returns the values of secondary columns; what the table does not have
// is not compared.
func (t *Table) more(i int, columns []string) []string {
	vs := make([]string, len(columns))
	for c, name := range columns {
		vs[c] = Unknown
		if t.Has(name) {
			vs[c] = t.Get(i, name)
		}
	}
	return vs
}

// unless returns what stands for an empty text of the truth.
func unless(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}

func truthLabel(r map[string]string, kind string) string {
	return fmt.Sprintf("%s frame %s %s > %s", kind, r["frame"], endpoint{r["src"], r["sport"]}, endpoint{r["dst"], r["dport"]})
}

func ourLabel(t *Table, i int, kind string) string {
	return fmt.Sprintf("%s packets %s-%s %s > %s", kind, t.Get(i, "first_packet"), t.Get(i, "last_packet"),
		endpoint{t.Get(i, "src_ip"), t.Get(i, "src_port")}, endpoint{t.Get(i, "dst_ip"), t.Get(i, "dst_port")})
}

func ourPair(t *Table, i int) string {
	return pairOf(t.Get(i, "src_ip"), t.Get(i, "src_port"), t.Get(i, "dst_ip"), t.Get(i, "dst_port"))
}

func truthPair(r map[string]string) string { return pairOf(r["src"], r["sport"], r["dst"], r["dport"]) }

// HTTP: the truth has messages, our rows are exchanges, which come apart into
// the request, the informational responses and the response.
var (
	httpRequestKind  = Kind{Name: "http request", Main: []string{"method", "target", "host"}, More: []string{"version", "user_agent", "referer", "request_content_type", "request_content_length", "first_packet", "request_end_ts", "request_body_bytes"}, Same: sameHTTPText}
	httpResponseKind = Kind{Name: "http response", Main: []string{"status"}, More: []string{"response_version", "reason", "response_content_type", "content_encoding", "response_content_length", "transfer_encoding", "response_ts", "response_end_ts", "response_body_bytes", "target_answered"}, Same: sameHTTPText}
	httpColumns      = []string{"method", "target", "host", "status", "informational", "request_ts", "response_ts"}
)

func httpRecords(truth []map[string]string, t *Table) ([]recordSet, error) {
	req := recordSet{kind: &httpRequestKind}
	resp := recordSet{kind: &httpResponseKind}
	again := seenAgain(truth)
	for i, r := range truth {
		if again[i] {
			continue
		}
		rec := Record{Group: truthPair(r), Time: nanoseconds(r["time"]), Label: truthLabel(r, r["kind"]) + " seen " + r["seen"], Raw: r}
		if r["kind"] == "REQ" {
			rec.Main = []string{r["method"], r["uri"], r["host"]}
			rec.More = []string{httpVersion(r["version"]), r["user_agent"], r["referer"], r["content_type"], r["content_length"], unless(r["first_segment_frame"], r["frame"]),
				bodyEnd(r), bodyLength(r)}
			req.truth = append(req.truth, rec)
		} else {
			rec.Main = []string{r["status"]}
			rec.More = []string{httpVersion(r["version"]), r["reason"], r["content_type"], r["content_encoding"], r["content_length"], r["transfer_encoding"], Unknown,
				bodyEnd(r), bodyLength(r), unless(r["uri"], Unknown)}
			if r["first_segment_frame"] == "" { // else its number is all there is
				rec.More[6] = strconv.FormatInt(rec.Time, 10)
			}
			resp.truth = append(resp.truth, rec)
		}
	}
	sets := func() []recordSet { return []recordSet{req, resp} }
	if t.Len() == 0 {
		return sets(), nil
	}
	if m := t.Missing(httpColumns...); m != nil {
		return sets(), fmt.Errorf("http lacks columns %v", m)
	}
	for i := range t.Len() {
		if t.Has("stream_id") && t.Get(i, "stream_id") != "" {
			continue // the truth has HTTP/1.x alone
		}
		if t.Get(i, "request_ts") != "" {
			req.ours = append(req.ours, Record{
				Group: ourPair(t, i), Time: t.Int(i, "request_ts"), Label: ourLabel(t, i, "REQ"), Row: i,
				Main: []string{t.Get(i, "method"), t.Get(i, "target"), t.Get(i, "host")},
				More: withoutBody(t, i, httpRequestKind.More, t.more(i, httpRequestKind.More)),
			})
		}
		rec := Record{Group: ourPair(t, i), Time: t.Int(i, "response_ts"), Label: ourLabel(t, i, "RESP"), Row: i}
		for _, code := range list(t.Get(i, "informational")) {
			inf := rec
			inf.Main = []string{code}
			inf.More = slices.Repeat([]string{Unknown}, len(httpResponseKind.More))
			resp.ours = append(resp.ours, inf)
		}
		if t.Get(i, "response_ts") != "" {
			rec.Main = []string{t.Get(i, "status")}
			rec.More = withoutBody(t, i, httpResponseKind.More, t.more(i, httpResponseKind.More))
			if rec.More[len(rec.More)-1] = Unknown; t.Get(i, "request_ts") != "" {
				rec.More[len(rec.More)-1] = t.Get(i, "target")
			}
			if rec.Main[0] != "" {
				resp.ours = append(resp.ours, rec)
			}
		}
	}
	return sets(), nil
}

// bodyEnd returns the time of the packet with the last byte of a message that
// the truth has whole.
func bodyEnd(r map[string]string) string {
	if !bounded(r) || r["kind"] == "RESP" && r["content_length"] == "" && r["transfer_encoding"] == "" {
		return Unknown // a body until the connection ends: the truth has the FIN, which need not have a byte of it
	}
	return strconv.FormatInt(nanoseconds(r["time"]), 10)
}

// bodyLength returns the length of a whole message's body. Of one with a content
// coding the truth has the length without it.
func bodyLength(r map[string]string) string {
	if !bounded(r) || r["content_encoding"] != "" || r["body_len"] == "" {
		return Unknown
	}
	return r["body_len"]
}

// bounded reports whether the truth's idea of where a message ends is that of RFC
// 9112 section 6.3. It takes the length of what has no body (a 101, 204 or 304
// with Content-Length), reads a number as far as it goes, and tells the chunked
// coding by how the field begins, in lower case.
func bounded(r map[string]string) bool {
	if !strings.Contains(r["seen"], "A") {
		return false // not seen whole
	}
	if s := r["status"]; strings.HasPrefix(s, "1") || s == "204" || s == "304" {
		return false
	}
	if _, err := strconv.ParseUint(r["content_length"], 10, 63); err != nil && r["content_length"] != "" {
		return false
	}
	return r["transfer_encoding"] == "" || r["transfer_encoding"] == "chunked"
}

// unbounded are the rules by which a message of ours has no end that the
// grammar tells (RFC 9112 sections 2.2, 5 and 6.3 leave it to the recipient).
var unbounded = []string{"bare_cr", "space_before_colon", "obs_fold", "bad_header_line", "bad_content_length", "conflicting_content_length", "bad_transfer_encoding", "bad_chunk"}

// withoutBody takes the ends and lengths of bodies out of a record of ours of which the
// row says that it has no end, or that it was not seen, or that what follows is a tunnel.
func withoutBody(t *Table, i int, names, more []string) []string {
	outcome, broken := t.Get(i, "outcome"), t.Get(i, "malformed")
	if outcome != "truncated" && outcome != "tunnel" && t.Get(i, "after_gap") != "true" &&
		!slices.ContainsFunc(unbounded, func(rule string) bool { return strings.Contains(broken, rule) }) {
		return more
	}
	for c, name := range names {
		if strings.HasSuffix(name, "_end_ts") || strings.HasSuffix(name, "_body_bytes") {
			more[c] = Unknown
		}
	}
	return more
}

// seenAgain finds the rows of messages that the truth has twice. Its two passes,
// with and without the reassembly of bodies (A and B), are joined by the target
// too, which the other program can give a response in one of them only. What is
// left of each is one message when stream, sender and start line are the same.
func seenAgain(truth []map[string]string) []bool {
	again := make([]bool, len(truth))
	key := func(r map[string]string) string {
		k := strings.Join([]string{r["stream"], r["src"], r["sport"], r["kind"], r["method"], r["status"]}, " ")
		if r["kind"] == "REQ" {
			k += " " + r["uri"]
		}
		return k
	}
	headOnly := map[string]int{}
	for _, r := range truth {
		if r["seen"] == "B" {
			headOnly[key(r)]++
		}
	}
	for i, r := range truth {
		if r["seen"] == "A" && headOnly[key(r)] > 0 {
			headOnly[key(r)]--
			again[i] = true
		}
	}
	return again
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\x1f")
}

// sameHTTPText allows for how the two write what is not ASCII: tshark \xh and
// U+FFFD for each byte, our tables \xhh, and UTF-8 as it is.
func sameHTTPText(column, t, o string, _, _ *Record) bool {
	switch column {
	case "transfer_encoding", "content_encoding":
		// Of a field that is there twice the truth has the first; we have the list.
		first, _, _ := strings.Cut(o, ", ")
		if strings.EqualFold(t, o) || strings.EqualFold(t, first) {
			return true
		}
	}
	return t == tsharkText(o)
}

func tsharkText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				if v < 0x80 {
					b.WriteString("\\x" + strconv.FormatUint(v, 16))
				} else {
					b.WriteRune(utf8.RuneError)
				}
				i += 3
				continue
			}
		}
		if s[i] >= 0x80 {
			b.WriteRune(utf8.RuneError)
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func httpVersion(s string) string { return strings.TrimPrefix(s, "HTTP/") }
