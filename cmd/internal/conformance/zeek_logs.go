package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var zeekHTTPKind = Kind{
	Name: "http",
	Main: []string{"method", "host", "uri", "status_code", "trans_depth", "user_agent", "request_body_len", "response_body_len"},
	More: []string{"originator", "referrer", "version", "origin", "status_msg", "info_code", "username"},
	Same: sameHTTPColumn,
}

// sameHTTPColumn allows for what Zeek does to values: it decodes %XX of a target, takes
// the port from a host, has none where a CONNECT has no field of that name, counts a
// body that is not there as 0, and the end of the last line of one that ends with the
// connection, be it there or not.
func sameHTTPColumn(column, t, o string, _, or *Record) bool {
	switch column {
	case "uri":
		return percentDecoded(o) == percentDecoded(t)
	case "status_code":
		return t == "0" && o == "" // a response without a status line, of HTTP/0.9
	case "status_msg":
		return t == "<empty>" && o == ""
	case "host":
		host, _, _ := strings.Cut(o, ":")
		return host == t || t == "" && or.Main[0] == "CONNECT" && o != "" && strings.HasPrefix(or.Main[2], o)
	case "request_body_len", "response_body_len":
		if or.Raw[column] != "" { // what it decoded, not what was sent
			return true
		}
		n, err := strconv.ParseInt(o, 10, 64)
		return t == "0" && o == "" || err == nil && column == or.Raw["until close"] && t == strconv.FormatInt(n+2, 10)
	}
	return canonicalText(t) == canonicalText(o)
}

// canonicalText puts U+FFFD for what is not UTF-8: all that our tables have.
func canonicalText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func percentDecoded(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return canonicalText(string(b))
}

func zeekHTTP(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekHTTPKind}
	for _, r := range l.rows {
		group, orig := r.group()
		x := func(c string) string { return zeekText(r.get(c)) }
		set.truth = append(set.truth, Record{
			Group: group, Label: r.label("http"), Raw: r,
			Main: []string{x("method"), x("host"), x("uri"), x("status_code"), x("trans_depth"), x("user_agent"), x("request_body_len"), x("response_body_len")},
			More: []string{orig, x("referrer"), x("version"), x("origin"), x("status_msg"), x("info_code"), x("username")},
		})
	}
	for i := range t.Len() {
		group, orig := l.ourGroup(t, i)
		info := list(t.Get(i, "informational"))
		last := ""
		if len(info) > 0 {
			last = info[len(info)-1]
		}
		untilClose := "" // RFC 9112 section 6.3
		if t.Get(i, "response_content_length") == "" && t.Get(i, "transfer_encoding") == "" && t.Get(i, "outcome") == "complete" {
			untilClose = "response_body_len"
		}
		set.ours = append(set.ours, Record{
			Group: group, Label: ourLabel(t, i, "http"), Row: i, Time: t.Int(i, "ts"), Raw: map[string]string{"request_body_len": t.Get(i, "request_content_encoding"), "response_body_len": t.Get(i, "content_encoding"), "until close": untilClose},
			Main: []string{t.Get(i, "method"), t.Get(i, "host"), t.Get(i, "target"), t.Get(i, "status"), t.Get(i, "trans_depth"), t.Get(i, "user_agent"),
				t.Get(i, "request_body_bytes"), t.Get(i, "response_body_bytes")},
			More: []string{orig, t.Get(i, "referer"), unless(t.Get(i, "response_version"), Unknown), t.Get(i, "origin"), t.Get(i, "reason"), last, t.Get(i, "username")},
		})
	}
	return set
}

var zeekSSLKind = Kind{
	Name: "ssl",
	Main: []string{"version", "cipher", "server_name", "resumed", "established", "cert_chain_fps", "client_cert_chain_fps"},
	More: []string{"originator", "curve", "next_protocol", "last_alert", "subject", "issuer", "sni_matches_cert"},
	Same: func(column, t, o string, tr, or *Record) bool {
		switch column {
		case "resumed":
			if strings.HasPrefix(tr.Raw["version"], "unknown-") {
				// Zeek goes by a session ID that is said again, as it is until TLS 1.2. TLS 1.3 and the
				// experiments before it always do (RFC 8446 section 4.1.3).
				return t == or.Raw["echo"] && !slices.Contains(strings.Fields(or.Raw["server_extensions"]), "41")
			}
			return t == "false" && (o == "" || or.Raw["transport"] == "quic")
		case "established": // of QUIC Zeek sees the hellos alone
			return t == "false" && (o == "" || or.Raw["transport"] == "quic")
		case "last_alert":
			return strings.Contains(" "+o+" ", " "+t+" ") || t == "" && o == " "
		}
		return false
	},
}

// zeekVersion is our name of a version.
func zeekVersion(s string) string {
	if n, ok := strings.CutPrefix(s, "unknown-"); ok {
		if v, err := strconv.ParseUint(n, 10, 16); err == nil {
			return fmt.Sprintf("0x%04x", v)
		}
	}
	for _, p := range []string{"TLSv", "DTLSv"} {
		if v, ok := strings.CutPrefix(s, p); ok && len(v) >= 2 && v[1] != '.' {
			return p + v[:1] + "." + v[1:]
		}
	}
	return s
}

func zeekSSL(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekSSLKind}
	for _, r := range l.rows {
		group, orig := r.group()
		fps := func(c string) string {
			v := r.get(c)
			if v == Unknown {
				return v
			}
			return strings.ReplaceAll(v, ",", " ")
		}
		set.truth = append(set.truth, Record{
			Group: group, Label: r.label("ssl"), Raw: r,
			Main: []string{zeekVersion(r.get("version")), r.get("cipher"), zeekText(r.get("server_name")), zeekBool(r.get("resumed")), zeekBool(r.get("established")),
				fps("cert_chain_fps"), fps("client_cert_chain_fps")},
			More: []string{orig, r.get("curve"), zeekText(r.get("next_protocol")), r.get("last_alert"), dnText(r.get("subject")), dnText(r.get("issuer")),
				zeekBool(r.get("sni_matches_cert"))},
		})
	}
	for i := range t.Len() {
		group, orig := l.ourGroup(t, i)
		fps := func(c string) string { return strings.ReplaceAll(t.Get(i, c), "\x1f", " ") }
		set.ours = append(set.ours, Record{
			Group: group, Label: ourLabel(t, i, "tls"), Row: i, Time: t.Int(i, "ts"), Raw: map[string]string{
				"transport": t.Get(i, "transport"), "server_extensions": strings.ReplaceAll(t.Get(i, "server_extensions"), "\x1f", " "),
				"echo": strconv.FormatBool(t.Get(i, "server_session_id") != "" && t.Get(i, "server_session_id") == t.Get(i, "client_session_id")),
			},
			Main: []string{t.Get(i, "version"), t.Get(i, "cipher"), t.Get(i, "sni"), t.Get(i, "resumed"), t.Get(i, "established"), fps("cert_fingerprints"),
				fps("client_cert_fingerprints")},
			More: []string{orig, t.Get(i, "selected_group"), t.Get(i, "alpn"), t.Get(i, "client_alert") + " " + t.Get(i, "server_alert"), dnText(t.Get(i, "subject")),
				dnText(t.Get(i, "issuer")), t.Get(i, "sni_matches_cert")},
		})
	}
	return set
}

var zeekQUICKind = Kind{
	Name: "quic",
	Main: []string{"version", "client_initial_dcid", "client_scid", "server_scid", "server_name", "client_protocol"},
	More: []string{"originator", "retry"},
	Same: func(column, t, o string, _, _ *Record) bool { return column == "version" && t == "quicv"+o },
}

// zeekQUIC: of a handshake with a Retry (r in Zeek's history) Zeek has a row to the Retry and one
// from it. It is one (RFC 9000 section 8.1.2), whose first destination ID is the
// client's own choice, and all else what came of it.
func zeekQUIC(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekQUICKind}
	retried := map[string]int{} // group: 1 + index of the row that ended with a Retry
	for _, r := range l.rows {
		group, orig := r.group()
		retry := Unknown
		if h := r.get("history"); h != Unknown {
			retry = strconv.FormatBool(strings.Contains(h, "r"))
		}
		if i := retried[group]; i > 0 && r.get("server_scid") != "" {
			first := &set.truth[i-1]
			first.Main[2], first.Main[3] = r.get("client_scid"), r.get("server_scid")
			retried[group] = 0
			continue
		}
		if retry == "true" && r.get("server_scid") == "" {
			retried[group] = len(set.truth) + 1
		}
		set.truth = append(set.truth, Record{
			Group: group, Label: r.label("quic"), Raw: r,
			Main: []string{r.get("version"), r.get("client_initial_dcid"), r.get("client_scid"), r.get("server_scid"), zeekText(r.get("server_name")),
				zeekText(r.get("client_protocol"))},
			More: []string{orig, retry},
		})
	}
	for i := range t.Len() {
		if t.Get(i, "transport") != "quic" {
			continue
		}
		group, orig := l.ourGroup(t, i)
		first, _, _ := strings.Cut(t.Get(i, "alpn_offered"), "\x1f")
		set.ours = append(set.ours, Record{
			Group: group, Label: ourLabel(t, i, "quic"), Row: i, Time: t.Int(i, "ts"),
			Main: []string{t.Get(i, "quic_version"), t.Get(i, "dcid"), t.Get(i, "scid"), t.Get(i, "server_scid"), t.Get(i, "sni"), first},
			More: []string{orig, t.Get(i, "quic_retry")},
		})
	}
	return set
}

var zeekX509Kind = Kind{
	Name: "x509",
	Main: []string{"version", "serial", "subject", "issuer", "not_valid_before", "not_valid_after", "key_type", "key_length", "san_dns", "san_uri", "san_email", "san_ip"},
	More: []string{"sig_alg", "curve", "ca", "path_len"},
	Same: func(column, t, o string, _, _ *Record) bool {
		switch column {
		case "key_type":
			return t == "ecdsa" && o == "ec"
		case "curve": // two names of one curve (RFC 5480 section 2.1.1.1, X9.62)
			return t == "prime256v1" && o == "secp256r1" || t == "prime192v1" && o == "secp192r1"
		case "ca":
			return t == "" && o == "false" // no basic constraints: no CA (RFC 5280 section 4.2.1.9)
		}
		return false
	},
}

// dnText is a name with its attribute types in upper case: they have none of
// their own (RFC 4514 section 3).
func dnText(s string) string {
	b := []byte(s)
	for i, key := 0, true; i < len(b); i++ {
		switch {
		case b[i] == '\\':
			i++
		case b[i] == ',' || b[i] == '+':
			key = true
		case b[i] == '=':
			key = false
		case key && b[i] >= 'a' && b[i] <= 'z':
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}

func zeekX509(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekX509Kind}
	seen := map[string]bool{}
	for _, r := range l.rows {
		if seen[r["fingerprint"]] { // a test logs every sighting; our table has each certificate once
			continue
		}
		seen[r["fingerprint"]] = true
		x := func(c string) string { return zeekText(r.get(c)) }
		seconds := func(c string) string {
			v := r.get(c)
			if v == Unknown || v == "" {
				return v
			}
			return strconv.FormatInt(nanoseconds(v), 10)
		}
		names := func(c string) string {
			if r.get(c) == Unknown {
				return Unknown
			}
			return strings.Join(zeekList(r[c]), " ")
		}
		set.truth = append(set.truth, Record{
			Group: r["fingerprint"], Label: "x509 " + r["fingerprint"], Raw: r,
			Main: []string{x("certificate.version"), strings.ToLower(x("certificate.serial")), dnText(x("certificate.subject")), dnText(x("certificate.issuer")),
				seconds("certificate.not_valid_before"), seconds("certificate.not_valid_after"), x("certificate.key_type"), x("certificate.key_length"),
				names("san.dns"), names("san.uri"), names("san.email"), names("san.ip")},
			More: []string{x("certificate.sig_alg"), x("certificate.curve"), zeekBool(x("basic_constraints.ca")), x("basic_constraints.path_len")},
		})
	}
	for i := range t.Len() {
		names := func(c string) string { return strings.Join(list(t.Get(i, c)), " ") }
		fp := t.Get(i, "fingerprint_sha256")
		set.ours = append(set.ours, Record{
			Group: fp, Label: "certificate " + fp, Row: i, Time: t.Int(i, "first_seen"),
			Main: []string{t.Get(i, "version"), strings.ToLower(t.Get(i, "serial")), dnText(t.Get(i, "subject")), dnText(t.Get(i, "issuer")), t.Get(i, "not_before"),
				t.Get(i, "not_after"), t.Get(i, "key_type"), t.Get(i, "key_bits"), names("san_dns"), names("san_uri"), names("san_email"), names("san_ip")},
			More: []string{t.Get(i, "signature_algorithm"), t.Get(i, "key_curve"), t.Get(i, "is_ca"), t.Get(i, "path_len")},
		})
	}
	return set
}

var zeekDNSKind = Kind{
	Name: "dns",
	Main: []string{"trans_id", "query", "qtype", "rcode", "aa", "tc", "rd", "ra", "answers", "ttls"},
	More: []string{"originator", "proto", "qclass", "opcode", "rtt_us"},
	Same: func(column, t, o string, _, or *Record) bool {
		switch column {
		case "rtt_us": // Zeek takes time and flags from what is answered: of no answer none
			return closeTo(t, o, 2) || t == "" && or.Raw["answers"] == ""
		case "aa", "tc", "rd", "ra":
			return t == "false" && (o == "" || or.Raw["answers"] == "")
		case "ttls":
			return t == "" && or.Main[8] == ""
		case "query": // of a response that repeats no question, the first answer's name
			return o == "" && t == or.Raw["name"]
		}
		return false
	},
}

func zeekDNS(l *zeekLog, t *Table) recordSet {
	set := recordSet{kind: &zeekDNSKind}
	for _, r := range l.rows {
		if r["id.resp_p"] == "137" || r["id.orig_p"] == "137" {
			continue // NetBIOS names, which are no domain names, have no row of ours
		}
		group, orig := r.group()
		ttls := r.get("TTLs")
		if ttls != Unknown {
			var s []string
			for _, v := range zeekList(ttls) {
				s = append(s, strconv.FormatInt(nanoseconds(v)/1e9, 10))
			}
			ttls = strings.Join(s, " ")
		}
		answers := r.get("answers")
		if answers != Unknown {
			answers = canonicalText(strings.ToLower(strings.Join(zeekList(answers), " | ")))
		}
		qtype, qclass, rd, rtt := r.get("qtype"), r.get("qclass"), zeekBool(r.get("RD")), microseconds(r.get("rtt"))
		if qtype == "" { // a row that Zeek made of a reply alone: it says nothing of the question
			qtype, qclass, rd, rtt = Unknown, Unknown, Unknown, Unknown
		}
		set.truth = append(set.truth, Record{
			Group: group, Label: r.label("dns"), Raw: r,
			Main: []string{r.get("trans_id"), zeekDNSName(r.get("query")), qtype, r.get("rcode"), zeekBool(r.get("AA")), zeekBool(r.get("TC")), rd,
				zeekBool(r.get("RA")), answers, ttls},
			More: []string{orig, r.get("proto"), qclass, r.get("opcode"), rtt},
		})
	}
	for i := range t.Len() {
		group, orig := l.ourGroup(t, i)
		name, _, _ := strings.Cut(t.Get(i, "answers.name"), "\x1f")
		rec := Record{
			Group: group, Label: ourLabel(t, i, "dns"), Row: i, Time: t.Int(i, "ts"),
			Raw: map[string]string{"answers": t.Get(i, "answers.name"), "name": ourDNSName(name)},
			Main: []string{t.Get(i, "id"), ourDNSName(t.Get(i, "qname")), dnsTypeNumber(t.Get(i, "qtype")), rcodeOrNone(t.Get(i, "rcode")), t.Get(i, "aa"), t.Get(i, "tc"),
				t.Get(i, "rd"), t.Get(i, "ra"), zeekAnswers(t, i), strings.Join(list(t.Get(i, "answers.ttl")), " ")},
			More: []string{orig, t.Get(i, "transport"), classNumber(t.Get(i, "qclass")), Unknown, nanosToMicros(t.Get(i, "rtt_ns"))},
		}
		set.ours = append(set.ours, rec)
		// A query that is sent again is another row of Zeek's, without an answer.
		rec.Raw = nil
		rec.Main = slices.Clone(rec.Main)
		rec.Main[3], rec.Main[8], rec.Main[9] = "", "", ""
		rec.More = slices.Clone(rec.More)
		rec.More[4] = ""
		for range t.Int(i, "query_retransmits") {
			set.ours = append(set.ours, rec)
		}
	}
	return set
}

func rcodeOrNone(s string) string {
	if s == "" {
		return ""
	}
	return dnsRcodeNumber(s)
}

func zeekDNSName(s string) string {
	if s == Unknown {
		return s
	}
	return canonicalName([]byte(zeekText(s)))
}

func classNumber(s string) string {
	switch s {
	case "IN":
		return "1"
	case "CH":
		return "3"
	case "HS":
		return "4"
	case "NONE":
		return "254"
	case "ANY":
		return "255"
	}
	return strings.TrimPrefix(s, "CLASS")
}

// zeekAnswers writes our answers as Zeek does, where the type is one whose form
// is the data itself.
func zeekAnswers(t *Table, i int) string {
	types, data := list(t.Get(i, "answers.type")), list(t.Get(i, "answers.data"))
	var s []string
	for k := range min(len(types), len(data)) {
		d := data[k]
		switch types[k] {
		case "A", "AAAA":
		case "CNAME", "NS", "PTR", "DNAME":
			d = ourDNSName(d)
		case "MX":
			_, d, _ = strings.Cut(d, " ")
			d = ourDNSName(d)
		case "TXT", "SPF":
			var parts []string
			for _, part := range presentationStrings(data[k]) {
				parts = append(parts, types[k]+" "+strconv.Itoa(len(part))+" "+part)
			}
			d = strings.Join(parts, " ")
			if d == "TXT 0 " { // an empty text has no place in its list
				continue
			}
		case "SRV":
			d = ourDNSName(d[strings.LastIndexByte(d, ' ')+1:])
		case "RRSIG":
			if f := strings.Fields(d); len(f) > 7 {
				d = "RRSIG " + dnsTypeNumber(f[0]) + " " + ourDNSName(f[7])
			}
		case "DNSKEY":
			if f := strings.Fields(d); len(f) > 2 {
				d = "DNSKEY " + f[2]
			}
		case "DS":
			if f := strings.Fields(d); len(f) > 2 {
				d = "DS " + f[1] + " " + f[2]
			}
		case "SSHFP":
			d = "SSHFP: " + d[strings.LastIndexByte(d, ' ')+1:]
		case "NSEC3PARAM":
			d = "NSEC3PARAM"
		}
		s = append(s, d)
	}
	return canonicalText(strings.ToLower(strings.Join(s, " | ")))
}

// presentationStrings reads the quoted strings of a TXT record.
func presentationStrings(s string) []string {
	var parts []string
	var b []byte
	in := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			if in {
				parts = append(parts, string(b))
				b = b[:0]
			}
			in = !in
		case s[i] == '\\' && i+1 < len(s):
			i++
			if n, err := strconv.ParseUint(s[i:min(i+3, len(s))], 10, 8); err == nil && i+3 <= len(s) {
				b = append(b, byte(n))
				i += 2
			} else {
				b = append(b, s[i])
			}
		case in:
			b = append(b, s[i])
		}
	}
	return parts
}
