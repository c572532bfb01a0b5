package conformance

import "testing"

func TestCauses(t *testing.T) {
	flow := func(more ...string) []string { return append([]string{"flow_id", "7", "proto", "tcp"}, more...) }
	row := func(more ...string) []string { return append([]string{"flow_id", "7"}, more...) }
	for _, tt := range []struct {
		name  string
		table string
		kind  *Kind
		view  map[string][]string
		want  string
	}{
		{"gap", "http", &httpResponseKind, map[string][]string{"flows": flow("src_gaps", "0", "dst_gaps", "2"), "http": row("method", "GET", "response_end_ts", "1")}, "after a gap"},
		{"no gap", "http", &httpResponseKind, map[string][]string{"flows": flow("src_gaps", "0", "dst_gaps", "0"), "http": row("method", "GET", "response_end_ts", "1")}, ""},
		{"another flow's gap", "http", &httpResponseKind, map[string][]string{"flows": {"flow_id", "8", "dst_gaps", "2"}, "http": row("method", "GET", "response_end_ts", "1")}, ""},
		{"port 22", "http", &httpRequestKind, map[string][]string{"flows": flow("dst_port", "22"), "http": row("method", "GET", "request_end_ts", "1")}, "a port that tshark gives to another protocol"},
		{"QUERY", "http", &httpRequestKind, map[string][]string{"flows": flow(), "http": row("method", "QUERY", "request_end_ts", "1")}, "a method of which tshark does not know"},
		{"malformed", "http", &httpResponseKind, map[string][]string{"flows": flow(), "http": row("method", "GET", "malformed", "bare_cr", "response_end_ts", "1")}, "a message that breaks the grammar"},
		{"cut", "http", &httpResponseKind, map[string][]string{"flows": flow(), "http": row("method", "GET")}, "a message without its end"},
		{"SSL 2", "tls", &clientHelloKind, map[string][]string{"flows": flow(), "tls": row("client_hellos", "0", "client_version", "TLSv1.0")}, "a hello of SSL 2"},
		{"TLS", "tls", &clientHelloKind, map[string][]string{"flows": flow(), "tls": row("client_hellos", "1", "client_version", "TLSv1.0", "ja3", "x")}, ""},
		{"hello of an incomplete handshake", "tls", &clientHelloKind, map[string][]string{"flows": flow(), "tls": row("outcome", "incomplete", "client_hellos", "1", "ja3", "x")}, ""},
		{"its server's", "tls", &serverHelloKind, map[string][]string{"flows": flow(), "tls": row("outcome", "incomplete", "client_hellos", "1", "ja3", "x")}, "a message without its end"},
		{"mid-stream", "dns", &dnsKind, map[string][]string{"flows": flow("direction_basis", "first_packet"), "dns": row()}, "a stream picked up in its middle"},
		{"from its start", "dns", &dnsKind, map[string][]string{"flows": flow("direction_basis", "syn"), "dns": row()}, ""},
		{"tunnel", "flows", &flowKind, map[string][]string{"flows": flow("tunnel", "lwapp")}, "in a tunnel that tshark does not follow"},
		{"a flow", "flows", &flowKind, map[string][]string{"flows": flow()}, ""},
	} {
		d := datasetOf(tt.view)
		_, diffs := Match(tt.kind, nil, []Record{mainOf(tt.kind, "a b")}, func(e *Evidence) string {
			e.View = d
			return causeOf(tt.table, e)
		})
		if len(diffs) != 1 || diffs[0].What != "extra" || diffs[0].Accepted != tt.want {
			t.Errorf("%s: %+v, want %q", tt.name, diffs, tt.want)
		}
	}
}
