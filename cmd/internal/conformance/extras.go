package conformance

import (
	"slices"
	"strconv"
	"strings"
)

// Extra rows lower nothing: a program that sees more is not wrong for it. But a
// row of what was not there would be one too. So each is asked for its cause, and
// those without one are shown.

// causes returns by which facts of our own row, or of its flow, the truth has
// none. Those of http, tls and dns were each looked at in the bytes.
func causes() []class {
	messages := []string{"http", "tls", "dns"}
	return []class{
		{"after a gap", messages, flowFact("src_gaps", "dst_gaps")},
		{"a stream picked up in its middle", []string{"dns", "zeek http"}, func(e *Evidence) bool { return e.flow("proto") == "tcp" && e.flow("direction_basis") == "first_packet" }},
		{"a second SYN-ACK of the same stream", messages, func(e *Evidence) bool { return e.flowNumber("dst_syn_packets") > 1 }},
		{"a hello of SSL 2", []string{"tls"}, func(e *Evidence) bool {
			return e.ours("tls", "client_hellos") == "0" && e.ours("tls", "client_version") != "" && e.ours("tls", "ja3") == ""
		}},
		{"in a protocol from which tshark takes no TLS", []string{"tls"}, func(e *Evidence) bool {
			return slices.Contains([]string{"ftp", "openvpn", "tds"}, e.flow("app_proto"))
		}},
		{"a port that tshark gives to another protocol", []string{"http", "tls"}, otherPort},
		{"HTTP/0.9", []string{"http"}, func(e *Evidence) bool { return e.ours("http", "version") == "0.9" }},
		{"a method of which tshark does not know", []string{"http"}, func(e *Evidence) bool { return !slices.Contains(knownMethods, e.ours("http", "method")) }},
		{"a message that breaks the grammar", []string{"http", "dns"}, func(e *Evidence) bool { return e.ours(e.Kind.table(), "malformed") != "" }},
		{"a message without its end", []string{"http", "tls"}, unended},
		{"in a tunnel that tshark does not follow", []string{"flows", "http"}, func(e *Evidence) bool { return e.flow("tunnel") != "" }},
		{"calls joined to one conversation", []string{"flows"}, joinedExtra},
	}
}

// causeOf returns the first cause of an extra row, or nothing.
func causeOf(table string, e *Evidence) string {
	for _, c := range causes() {
		if slices.Contains(c.tables, table) && e.Ours != nil && e.View != nil && c.explains(e) {
			return c.name
		}
	}
	return ""
}

// table returns the table of ours that the records of k come from.
func (k *Kind) table() string {
	switch k {
	case &httpRequestKind, &httpResponseKind, &zeekHTTPKind:
		return "http"
	case &clientHelloKind, &serverHelloKind, &certificateKind:
		return "tls"
	case &dnsKind:
		return "dns"
	}
	return "flows"
}

// flow returns a column of the flow of our row.
func (e *Evidence) flow(column string) string {
	if e.Kind.table() == "flows" {
		return e.ours("flows", column)
	}
	t, _ := e.View.Table("flows")
	id := e.ours(e.Kind.table(), "flow_id")
	for i := range t.Len() {
		if t.Get(i, "flow_id") == id {
			return t.Get(i, column)
		}
	}
	return ""
}

func (e *Evidence) flowNumber(column string) int64 {
	n, _ := strconv.ParseInt(e.flow(column), 10, 64)
	return n
}

func flowFact(columns ...string) func(*Evidence) bool {
	return func(e *Evidence) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return e.flowNumber(c) > 0 })
	}
}

// otherPort: SSH's and DNS's for HTTP, HTTP's for TLS.
func otherPort(e *Evidence) bool {
	ports := []string{"22", "53"}
	if e.Kind.table() == "tls" {
		ports = []string{"80", "8080"}
	}
	return slices.Contains(ports, e.flow("src_port")) || slices.Contains(ports, e.flow("dst_port"))
}

// knownMethods are those of HTTP (RFC 9110) and WebDAV (RFC 4918), of which tshark does.
var knownMethods = strings.Fields("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK")

// unended: the truth has heads that are whole, client hellos that are, and of a server those in records that are.
func unended(e *Evidence) bool {
	switch e.Kind {
	case &httpRequestKind:
		return e.ours("http", "request_end_ts") == "" || e.ours("http", "outcome") == "no_response" || e.ours("http", "outcome") == "truncated"
	case &httpResponseKind:
		return e.ours("http", "response_end_ts") == "" || e.ours("http", "outcome") == "truncated"
	}
	return e.ours("tls", "outcome") == "incomplete" && (e.Kind != &clientHelloKind || e.ours("tls", "ja3") == "")
}

// joinedExtra: a flow of those that a row of the truth is the sum of.
func joinedExtra(e *Evidence) bool {
	ours := pairOf(e.ours("flows", "src_ip"), "", e.ours("flows", "dst_ip"), "")
	for i := range e.All.Truth {
		t := &e.All.Truth[i]
		if pairOf(t.Raw["a_ip"], "", t.Raw["b_ip"], "") == ours && joinedCalls(&Evidence{Kind: e.Kind, View: e.View, Truth: t, Ours: e.Ours}) {
			return true
		}
	}
	return false
}
