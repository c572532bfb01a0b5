package conformance

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// eveEvent is an event as Suricata's eve.json would have it, made of a row of
// ours. A row of dns is one of the query and one of the response.
type eveEvent struct {
	d     *Dataset // for other tables
	t     *Table
	row   int
	event string
	part  string // of dns: query or response
}

// eveEvents returns the events of a kind that a table holds.
func eveEvents(d *Dataset, t *Table, event string) []eveEvent {
	var es []eveEvent
	for i := range t.Len() {
		e := eveEvent{d, t, i, event, ""}
		switch event {
		case "tls", "quic":
			if (t.Get(i, "transport") == "quic") != (event == "quic") {
				continue
			}
		case "dns", "mdns", "llmnr":
			if t.Get(i, "service") != event {
				continue
			}
			for _, part := range []string{"query", "response"} {
				if t.Get(i, part+"_ts") != "" {
					e.part = part
					es = append(es, e)
				}
			}
			continue
		}
		es = append(es, e)
	}
	return es
}

// eveKnows says whether our tables answer a field.
func eveKnows(event, field string) bool {
	_, ok := eveEvent{new(Dataset), NewTable(nil, [][]string{nil}), 0, event, "response"}.value(field)
	return ok
}

// eveWant brings an event's text of a field to the form of ours; false where it
// says nothing that can be compared.
func eveWant(event, field, want string) (string, bool) {
	switch field {
	case "event_type":
		return "", true
	case "src_ip", "dest_ip":
		return canonicalIP(want), true
	case "proto":
		return strings.ToUpper(want), true
	}
	_, field, ok := strings.Cut(field, ".")
	if !ok {
		field = event
	}
	switch {
	case event == "flow" && field == "flow": // app_proto and others of the event itself
		switch want {
		case "failed", "unknown": // it says that it looked, of what we may know by another rule
			return "", false
		case "krb5":
			return "kerberos", true
		case "ikev2":
			return "ike", true
		case "pgsql":
			return "postgresql", true
		}
	case field == "serial":
		return strings.TrimLeft(strings.ReplaceAll(want, ":", ""), "0"), true
	case field == "type" && want == "request":
		return "query", true
	case field == "type" && want == "answer":
		return "response", true
	case strings.HasSuffix(field, "rdata") || strings.HasPrefix(field, "grouped."):
		return canonicalIP(strings.ToLower(want)), true
	case strings.HasSuffix(field, "name"):
		return strings.ToLower(strings.TrimSuffix(want, ".")), true
	}
	switch want { // true and false, as JSONText has them
	case "T":
		return "true", true
	case "F":
		return "false", true
	}
	return want, true
}

// eveRecord is a field of a record in a section, eveList one of a list.
var (
	eveRecord = regexp.MustCompile(`^(answers|authorities|additionals)\[(\d+)\]\.(rrname|rrtype|ttl|rdata|(?:soa|srv)\.[a-z]+)$`)
	eveList   = regexp.MustCompile(`^(subjectaltname|client_alpns|grouped\.[A-Z]+)\[(\d+)\]$`)
)

// value returns the event's text of a field, Unknown where this one does not
// say, false where none does.
func (e eveEvent) value(field string) (string, bool) {
	is := func(column string) (string, bool) { return e.t.Get(e.row, column), true }
	if e.event == "flow" {
		if v, ok := e.flow(field); ok {
			return v, true
		}
	}
	switch field {
	case "event_type":
		return "", true
	case "src_ip", "dest_ip", "src_port", "dest_port":
		side, what, _ := strings.Cut(field, "_")
		other := "src"
		if side == "src" {
			other = "dst"
		}
		// An event is of who asks, of dns each of who sends it.
		role := map[string]string{"http": "client_side", "tls": "client_side", "quic": "client_side"}[e.event]
		if e.part != "" {
			role = "querier"
		}
		turned := e.t.Get(e.row, role) == "dst" != (e.part == "response")
		if side = strings.Replace(side, "dest", "dst", 1); turned {
			side = other
		}
		return is(side + "_" + what)
	case "proto":
		switch tr := e.t.Get(e.row, "transport"); {
		case e.event == "flow":
			return strings.ToUpper(e.t.Get(e.row, "proto")), true
		case e.part != "":
			return strings.ToUpper(tr), true
		case tr == "dtls" || tr == "quic":
			return "UDP", true
		}
		return "TCP", true
	}
	name, ok := strings.CutPrefix(field, e.event+".")
	if !ok {
		return "", false
	}
	switch e.event {
	case "http":
		return e.http(name)
	case "tls", "quic":
		return e.tls(name)
	case "dns", "mdns", "llmnr":
		return e.dns(name)
	}
	return "", false
}

func (e eveEvent) flow(field string) (string, bool) {
	t, i := e.t, e.row
	is := func(column string) (string, bool) { return t.Get(i, column), true }
	switch field {
	case "flow.pkts_toserver":
		return is("src_packets")
	case "flow.pkts_toclient":
		return is("dst_packets")
	case "flow.bytes_toserver":
		return is("src_wire_bytes")
	case "flow.bytes_toclient":
		return is("dst_wire_bytes")
	case "flow.age":
		return strconv.FormatInt(t.Int(i, "end_ts")/1e9-t.Int(i, "ts")/1e9, 10), true
	case "app_proto", "icmp_type", "icmp_code", "community_id":
		return is(field)
	case "ip_v":
		return is("ip_version")
	case "vlan":
		return strings.TrimSuffix(t.Get(i, "vlan_id")+","+t.Get(i, "inner_vlan_id"), ","), true
	case "tcp.syn", "tcp.fin", "tcp.rst", "tcp.ack", "tcp.psh":
		flag := strings.ToUpper(strings.TrimPrefix(field, "tcp.")[:1])
		return strconv.FormatBool(strings.Contains(t.Get(i, "src_tcp_flags")+t.Get(i, "dst_tcp_flags"), flag)), true
	case "tcp.tcp_flags", "tcp.tcp_flags_ts", "tcp.tcp_flags_tc":
		letters := ""
		if field != "tcp.tcp_flags_tc" {
			letters += t.Get(i, "src_tcp_flags")
		}
		if field != "tcp.tcp_flags_ts" {
			letters += t.Get(i, "dst_tcp_flags")
		}
		bits := 0
		for b := range 8 {
			if strings.IndexByte(letters, flagLetters[b]) >= 0 {
				bits |= 1 << b
			}
		}
		return fmt.Sprintf("%02x", bits), true
	}
	return "", false
}

func (e eveEvent) http(name string) (string, bool) {
	t, i := e.t, e.row
	switch name {
	case "status":
		return t.Get(i, "status"), true
	case "http_method":
		return t.Get(i, "method"), true
	case "url":
		return t.Get(i, "target"), true
	case "hostname":
		host, _, _ := strings.Cut(t.Get(i, "host"), ":")
		return strings.ToLower(host), true
	case "http_user_agent":
		return t.Get(i, "user_agent"), true
	case "http_refer":
		return t.Get(i, "referer"), true
	case "redirect":
		return t.Get(i, "location"), true
	case "http_content_type":
		kind, _, _ := strings.Cut(t.Get(i, "response_content_type"), ";")
		return kind, true
	case "protocol":
		return "HTTP/" + t.Get(i, "version"), true
	case "http2.stream_id":
		return t.Get(i, "stream_id"), true
	case "length":
		if t.Get(i, "content_encoding") != "" {
			return Unknown, true // it counts what it decoded
		}
		return unless(t.Get(i, "response_body_bytes"), "0"), true
	}
	return "", false
}

func (e eveEvent) tls(name string) (string, bool) {
	t, i := e.t, e.row
	if m := eveList.FindStringSubmatch(name); m != nil {
		column := map[string]string{"subjectaltname": "san_dns", "client_alpns": "alpn_offered"}[m[1]]
		return element(t.Get(i, column), m[2]), column != ""
	}
	switch name {
	case "sni", "ja4":
		return t.Get(i, name), true
	case "version":
		if e.event == "quic" {
			return "v" + t.Get(i, "quic_version"), true
		}
		// Of a server that did not answer, the client's.
		return suricataVersion(unless(t.Get(i, "version"), t.Get(i, "client_version"))), true
	case "ja3.hash":
		return t.Get(i, "ja3"), true
	case "ja3.string":
		return t.Get(i, "ja3_string"), true
	case "ja3s.hash":
		return t.Get(i, "ja3s"), true
	case "ja3s.string":
		return t.Get(i, "ja3s_string"), true
	case "serial":
		return strings.TrimLeft(t.Get(i, "serial"), "0"), true
	case "subject":
		return suricataName(t.Get(i, "subject")), true
	case "issuerdn":
		return suricataName(t.Get(i, "issuer")), true
	case "notbefore", "notafter":
		column := "not_" + strings.TrimPrefix(name, "not")
		if t.Get(i, column) == "" {
			return "", true
		}
		return time.Unix(0, t.Int(i, column)).UTC().Format("2006-01-02T15:04:05"), true
	case "fingerprint":
		leaf, _, _ := strings.Cut(t.Get(i, "cert_fingerprints"), "\x1f")
		return e.d.sha1Of(leaf), true
	}
	return "", false
}

func (e eveEvent) dns(name string) (string, bool) {
	t, i := e.t, e.row
	both := t.Get(i, "query_ts") != "" && t.Get(i, "response_ts") != ""
	of := func(column, part string) (string, bool) {
		if both && part != e.part {
			return Unknown, true
		}
		return t.Get(i, column), true
	}
	if m := eveRecord.FindStringSubmatch(name); m != nil {
		if e.part != "response" {
			return "", true // what it answers is in the response
		}
		return eveRecordField(t, i, m[1], m[2], m[3])
	}
	if m := eveList.FindStringSubmatch(name); m != nil && strings.HasPrefix(m[1], "grouped.") {
		var of []string
		for k, typ := range list(t.Get(i, "answers.type")) {
			if "grouped."+typ == m[1] && e.part == "response" {
				v, _ := eveRecordField(t, i, "answers", strconv.Itoa(k), "rdata")
				of = append(of, v)
			}
		}
		return element(strings.Join(of, "\x1f"), m[2]), true
	}
	switch name {
	case "type":
		return e.part, true
	case "qr":
		return strconv.FormatBool(e.part == "response"), true
	case "id":
		return t.Get(i, "id"), true
	case "opcode":
		return opcodeNumber(t.Get(i, "opcode")), true
	case "rrname", "queries[0].rrname":
		return strings.ToLower(strings.TrimSuffix(t.Get(i, "qname"), ".")), true
	case "rrtype", "queries[0].rrtype":
		return t.Get(i, "qtype"), true
	case "rcode":
		if e.part == "query" {
			return "", true
		}
		return t.Get(i, "rcode"), true
	case "aa", "ra", "tc", "z":
		if name == "tc" || name == "z" {
			return of(name, "response")
		}
		if e.part == "query" {
			return Unknown, true
		}
		return t.Get(i, name), true
	case "rd":
		return t.Get(i, name), true // a response repeats it
	case "flags":
		if e.part == "query" {
			return Unknown, true
		}
		flags, _ := strconv.ParseUint(opcodeNumber(t.Get(i, "opcode")), 10, 8)
		flags = 0x8000 | flags<<11
		for _, f := range dnsFlags {
			if t.Get(i, f.column) == "true" {
				flags |= f.bit
			}
		}
		rcode, _ := strconv.ParseUint(dnsRcodeNumber(t.Get(i, "rcode")), 10, 8)
		return fmt.Sprintf("%x", flags|rcode), true
	case "version", "tx_id":
		return Unknown, true // of the event's form
	}
	return "", false
}

// eveRecordField returns a field of record n of a section.
func eveRecordField(t *Table, i int, section, n, field string) (string, bool) {
	if field, ok := strings.CutPrefix(field, "rr"); ok {
		v := element(t.Get(i, section+"."+field), n)
		if field == "name" {
			v = ourDNSName(v)
		}
		return v, true
	}
	if field == "ttl" {
		return element(t.Get(i, section+".ttl"), n), true
	}
	data := element(t.Get(i, section+".data"), n)
	kind, part, ok := strings.Cut(field, ".")
	if !ok {
		switch element(t.Get(i, section+".type"), n) {
		case "A", "AAAA":
			return data, true
		case "CNAME", "NS", "PTR":
			return ourDNSName(data), true
		}
		return Unknown, true
	}
	parts := map[string][]string{
		"soa": {"mname", "rname", "serial", "refresh", "retry", "expire", "minimum"},
		"srv": {"priority", "weight", "port", "name"},
	}[kind]
	k, values := slices.Index(parts, part), strings.Fields(data)
	if k < 0 {
		return "", false
	}
	if k >= len(values) {
		return "", true
	}
	return values[k], true
}

// element returns element n of a list, empty where it is shorter.
func element(s, n string) string {
	l := strings.Split(s, "\x1f")
	if k, err := strconv.Atoi(n); err == nil && k < len(l) {
		return l[k]
	}
	return ""
}

// suricataVersion returns a version in Suricata's words.
func suricataVersion(s string) string {
	switch s {
	case "TLSv1.0":
		return "TLSv1"
	case "TLSv1.3-draft14":
		return "TLS 1.3 draft-<16"
	}
	s = strings.Replace(s, "TLSv", "TLS ", 1)
	return strings.Replace(s, "-draft", " draft-", 1)
}

// suricataName writes a distinguished name (RFC 4514) as Suricata does: in the
// order of the certificate.
func suricataName(s string) string {
	var parts []string
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case s[i] == ',' || s[i] == '+':
			parts = append(parts, string(b))
			b = b[:0]
		default:
			b = append(b, s[i])
		}
	}
	parts = append(parts, string(b))
	slices.Reverse(parts)
	for k, p := range parts {
		if v, ok := strings.CutPrefix(p, "emailAddress="); ok {
			parts[k] = "Email=" + v
		}
	}
	return strings.Join(parts, ", ")
}

// eveFields are the fields of an event that are compared one by one where a
// whole log is, by kind of event; those before the bar tell which event it is.
var eveFields = []struct{ event, table, key, more string }{
	{"http", "http", "http.http_method http.hostname http.url http.status", "http.protocol http.http_user_agent http.http_refer http.http_content_type http.redirect"},
	{"tls", "tls", "tls.sni tls.version tls.ja3.hash tls.ja3s.hash tls.ja4 tls.fingerprint", "tls.subject tls.issuerdn tls.serial tls.notbefore tls.notafter"},
	{"quic", "tls", "quic.sni quic.version quic.ja4", ""},
	{"dns", "dns", "dns.type dns.id dns.rrname dns.rrtype dns.rcode", "dns.aa dns.rd dns.ra dns.tc"},
	{"mdns", "dns", "mdns.type mdns.id mdns.rrname mdns.rrtype mdns.rcode", ""},
}
