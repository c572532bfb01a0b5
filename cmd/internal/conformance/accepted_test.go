package conformance

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every class says why it is one, and nothing else is said.
func TestAcceptedIsExplained(t *testing.T) {
	sections := acceptedSections()
	for _, c := range classes() {
		if len(sections[c.name]) < 100 {
			t.Errorf("accepted.md does not say why %q is accepted", c.name)
		}
		delete(sections, c.name)
		if len(c.tables) == 0 {
			t.Errorf("%q is of no table", c.name)
		}
	}
	for name := range sections {
		t.Errorf("accepted.md explains %q, which is no class", name)
	}
}

// view makes a dataset of one row per table: columns and values, alternating.
func datasetOf(tables map[string][]string) *Dataset {
	d := &Dataset{tables: map[string]*Table{}}
	for name, cells := range tables {
		var columns, row []string
		for i := 0; i < len(cells); i += 2 {
			columns, row = append(columns, cells[i]), append(row, cells[i+1])
		}
		d.tables[name] = NewTable(columns, [][]string{row})
	}
	for _, name := range []string{"flows", "http", "tls", "dns", "captures", "certificates"} {
		if d.tables[name] == nil {
			d.tables[name] = NewTable(nil, nil)
		}
	}
	return d
}

// mainOf makes a record with the main columns named; the others are 0.
func mainOf(k *Kind, group string, cells ...string) Record {
	r := Record{Group: group, Main: make([]string, len(k.Main)), More: make([]string, len(k.More))}
	for i, name := range k.Main {
		r.Main[i] = "0"
		for c := 0; c < len(cells); c += 2 {
			if cells[c] == name {
				r.Main[i] = cells[c+1]
			}
		}
	}
	for i, name := range k.More {
		for c := 0; c < len(cells); c += 2 {
			if cells[c] == name {
				r.More[i] = cells[c+1]
			}
		}
	}
	return r
}

func TestClasses(t *testing.T) {
	type raw = map[string]string
	with := func(r Record, m raw) Record { r.Raw = m; return r }
	flow := func(group string, cells ...string) Record { return mainOf(&flowKind, group, cells...) }
	conn := func(cells ...string) Record { return mainOf(&zeekConnKind, "tcp a b", cells...) }
	request := func(cells ...string) Record { return mainOf(&httpRequestKind, "a b", cells...) }
	response := func(cells ...string) Record { return mainOf(&httpResponseKind, "a b", cells...) }
	const tcp, udp, udp6 = "tcp 1.0.0.1:5 1.0.0.2:6", "udp 1.0.0.1:5 1.0.0.2:6", "udp [1::]:5 [2::]:6"
	ends := raw{"src": "1.0.0.2", "sport": "80", "dst": "1.0.0.1", "dport": "9"}
	ours := []string{"src_ip", "1.0.0.1", "src_port", "9", "dst_ip", "1.0.0.2", "dst_port", "80"}
	for _, tt := range []struct {
		name        string
		table       string
		kind        *Kind
		truth, ours []Record
		view        map[string][]string
		want        string // the class that covers everything, or nothing is covered
	}{
		{"two streams of one flow", "flows", &flowKind, []Record{flow(tcp, "fwd_packets", "2", "fwd_bytes", "80"), flow(tcp, "fwd_packets", "3", "fwd_bytes", "120")},
			[]Record{flow(tcp, "fwd_packets", "5", "fwd_bytes", "200")}, nil, "a stream begun anew"},
		{"two streams, a packet lost", "flows", &flowKind, []Record{flow(tcp, "fwd_packets", "2", "fwd_bytes", "80"), flow(tcp, "fwd_packets", "3", "fwd_bytes", "120")},
			[]Record{flow(tcp, "fwd_packets", "4", "fwd_bytes", "160")}, nil, ""},
		{"one stream, other bytes", "flows", &flowKind, []Record{flow(tcp, "fwd_bytes", "80")}, []Record{flow(tcp, "fwd_bytes", "81")}, nil, ""},
		{"UDP too long", "flows", &flowKind, []Record{flow(udp, "fwd_packets", "1", "fwd_bytes", "100", "fwd_payload", "73")},
			[]Record{flow(udp, "fwd_packets", "1", "fwd_bytes", "100", "fwd_payload", "72")}, nil, "UDP longer than its datagram"},
		{"UDP that fits", "flows", &flowKind, []Record{flow(udp, "fwd_packets", "1", "fwd_bytes", "100", "fwd_payload", "72")},
			[]Record{flow(udp, "fwd_packets", "1", "fwd_bytes", "100", "fwd_payload", "71")}, nil, ""},
		{"UDP too long for its frame", "flows", &flowKind, []Record{flow(udp, "fwd_packets", "1", "fwd_bytes", "100", "fwd_payload", "72", "fwd_wire_bytes", "110")},
			[]Record{flow(udp, "fwd_packets", "1", "fwd_bytes", "100", "fwd_payload", "68", "fwd_wire_bytes", "110")}, nil, "UDP longer than its datagram"},
		{"jumbogram", "flows", &flowKind, []Record{flow(udp6, "rev_packets", "1", "rev_bytes", "40", "rev_payload", "80000")},
			[]Record{flow(udp6, "rev_packets", "1", "rev_bytes", "80056", "rev_payload", "80000")}, nil, "a jumbogram"},
		{"jumbogram without its option", "flows", &flowKind, []Record{flow(udp6, "rev_packets", "1", "rev_bytes", "40", "rev_payload", "80000")},
			[]Record{flow(udp6, "rev_packets", "1", "rev_bytes", "80048", "rev_payload", "80000")}, nil, ""},
		{"seventy thousand bytes of two packets", "flows", &flowKind, []Record{flow(udp6, "rev_packets", "2", "rev_bytes", "80", "rev_payload", "70000")},
			[]Record{flow(udp6, "rev_packets", "2", "rev_bytes", "70112", "rev_payload", "70000")}, nil, ""},
		{"802.1ad", "flows", &flowKind, []Record{flow(tcp, "vlan", "101")}, []Record{flow(tcp, "vlan", "200 101")}, nil, "tags of a provider"},
		{"802.1ad and two more", "flows", &flowKind, []Record{flow(tcp, "vlan", "101 7")}, []Record{flow(tcp, "vlan", "200 101")}, nil, "tags of a provider"},
		{"another tag", "flows", &flowKind, []Record{flow(tcp, "vlan", "10")}, []Record{flow(tcp, "vlan", "200 101")}, nil, ""},
		{"no jumbogram", "flows", &flowKind, []Record{flow(udp6, "rev_packets", "1", "rev_bytes", "40", "rev_payload", "800")},
			[]Record{flow(udp6, "rev_packets", "1", "rev_bytes", "848", "rev_payload", "800")}, nil, ""},
		{"in the ledger", "flows", &flowKind, []Record{flow(tcp, "fwd_packets", "2")}, nil, map[string][]string{"captures": {"malformed_transport_packets", "2"}}, "a TCP header that cannot be"},
		{"more than in the ledger", "flows", &flowKind, []Record{flow(tcp, "fwd_packets", "3")}, nil, map[string][]string{"captures": {"malformed_transport_packets", "2"}}, ""},
		{"incomplete", "flows", &flowKind, []Record{flow(udp, "fwd_packets", "1")}, nil, map[string][]string{"captures": {"fragments_incomplete", "2"}}, "fragments never put together"},
		{"missing", "flows", &flowKind, []Record{flow(udp, "fwd_packets", "1")}, nil, nil, ""},
		{"back in time", "flows", &flowKind, []Record{flow(tcp, "last", "5")}, []Record{flow(tcp, "last", "6")},
			map[string][]string{"captures": {"out_of_order_packets", "1"}, "flows": {"ts", "4", "end_ts", "6", "src_packets", "2", "dst_packets", "0", "src_iat_min_ns", "-1"}}, "times that go back"},
		{"back in time, in order", "flows", &flowKind, []Record{flow(tcp, "last", "5")}, []Record{flow(tcp, "last", "6")},
			map[string][]string{"captures": {"out_of_order_packets", "1"}, "flows": {"ts", "4", "end_ts", "6", "src_packets", "2", "dst_packets", "0", "src_iat_min_ns", "1"}}, ""},
		{"back in time, of no packet", "flows", &flowKind, []Record{flow(tcp, "last", "3")}, []Record{flow(tcp, "last", "6")},
			map[string][]string{"captures": {"out_of_order_packets", "1"}, "flows": {"ts", "4", "end_ts", "6", "src_packets", "2", "dst_packets", "1", "src_iat_min_ns", "-1"}}, ""},
		{"microseconds", "flows", &flowKind, []Record{flow(tcp, "first", "1147551795325305408")}, []Record{flow(tcp, "first", "1147551795558494000")},
			map[string][]string{"flows": {"ts", "1147551795558494000", "end_ts", "1147551803915240000"}}, "a fraction of more than a second"},
		{"microseconds that turn the sign", "flows", &flowKind, []Record{flow(tcp, "last", "-1953631157000000000")}, []Record{flow(tcp, "last", "1953635450562680000")},
			map[string][]string{"flows": {"ts", "1953635450562680000", "end_ts", "1953635450562680000"}}, "a fraction of more than a second"},
		{"microseconds that do not", "flows", &flowKind, []Record{flow(tcp, "last", "-1953631157000000000")}, []Record{flow(tcp, "last", "1953631158000000000")},
			map[string][]string{"flows": {"ts", "1953631158000000000", "end_ts", "1953631158000000000"}}, ""},
		{"without a time", "flows", &flowKind, []Record{flow(tcp, "last", "0")}, []Record{flow(tcp, "last", "6")}, map[string][]string{"flows": {"ts", "4", "end_ts", "6"}}, "a packet without a time"},
		{"at the time 0", "flows", &flowKind, []Record{flow(tcp, "last", "0")}, []Record{flow(tcp, "last", "6")}, map[string][]string{"flows": {"ts", "0", "end_ts", "6", "src_iat_min_ns", "-6"}}, ""},
		{"without a time, from 0", "flows", &flowKind, []Record{flow(tcp, "last", "0")}, []Record{flow(tcp, "last", "6")}, map[string][]string{"flows": {"ts", "0", "end_ts", "6", "src_iat_min_ns", "0"}}, "a packet without a time"},
		{"a long length", "flows", &flowKind, []Record{flow(tcp, "fwd_wire_bytes", "2147483647")}, []Record{flow(tcp, "fwd_wire_bytes", "4093509168")}, nil, "lengths beyond 31 bits"},
		{"another length", "flows", &flowKind, []Record{flow(tcp, "fwd_wire_bytes", "2147483647")}, []Record{flow(tcp, "fwd_wire_bytes", "60")}, nil, ""},
		{"carriers", "flows", &flowKind, []Record{with(flow(udp, "fwd_packets", "4"), raw{"proto": "udp", "a_ip": "1.0.0.1", "a_port": "5", "b_ip": "1.0.0.2", "b_port": "6081"})}, nil,
			map[string][]string{"flows": {"outer_src_ip", "1.0.0.2", "outer_dst_ip", "1.0.0.1", "src_packets", "3", "dst_packets", "1"}}, "a carrier of what tshark does not list"},
		{"more carriers", "flows", &flowKind, []Record{with(flow(udp, "fwd_packets", "5"), raw{"proto": "udp", "a_ip": "1.0.0.1", "a_port": "5", "b_ip": "1.0.0.2", "b_port": "6081"})}, nil,
			map[string][]string{"flows": {"outer_src_ip", "1.0.0.2", "outer_dst_ip", "1.0.0.1", "src_packets", "3", "dst_packets", "1"}}, ""},
		{"another time", "flows", &flowKind, []Record{flow(tcp, "last", "5")}, []Record{flow(tcp, "last", "6")}, nil, ""},
		{"CONNECT", "http", &httpRequestKind, []Record{request("method", "CONNECT", "target", "h:1", "host", "")},
			[]Record{request("method", "CONNECT", "target", "h:1", "host", "h:1")}, nil, "the host of a CONNECT"},
		{"GET", "http", &httpRequestKind, []Record{request("method", "GET", "target", "/", "host", "")}, []Record{request("method", "GET", "target", "/", "host", "h")}, nil, ""},
		{"a space in the target", "http", &httpRequestKind, []Record{with(request("target", "/a"), raw{"uri": "/a", "version": "b HTTP/1.1"})}, []Record{request("target", "/a b")},
			map[string][]string{"http": {"malformed", "bad_request_line"}}, "spaces in a request line"},
		{"several spaces", "http", &httpRequestKind, []Record{with(request("target", ""), raw{"uri": "", "version": "/  HTTP/1.1"})}, []Record{request("target", "/")},
			map[string][]string{"http": {"malformed", "bad_request_line"}}, "spaces in a request line"},
		{"another target", "http", &httpRequestKind, []Record{with(request("target", "/a"), raw{"uri": "/a", "version": "b HTTP/1.1"})}, []Record{request("target", "/a c")},
			map[string][]string{"http": {"malformed", "bad_request_line"}}, ""},
		{"cut", "http", &httpRequestKind, []Record{request("host", "198.")}, []Record{request("host", "")}, map[string][]string{"http": {"after_gap", "true"}}, "text that the capture cuts"},
		{"not cut", "http", &httpRequestKind, []Record{request("host", "198.")}, []Record{request("host", "")}, map[string][]string{"http": {"after_gap", "false"}}, ""},
		{"NUL", "http", &httpRequestKind, []Record{request("host", "ab")}, []Record{request("host", `ab\x00c`)}, nil, "text that ends at NUL"},
		{"no NUL", "http", &httpRequestKind, []Record{request("host", "ab")}, []Record{request("host", `abc`)}, nil, ""},
		{"status", "http", &httpResponseKind, []Record{response("status", "2")}, nil, nil, "a status that is no three digits"},
		{"version", "http", &httpResponseKind, []Record{with(response("status", "200"), raw{"version": "HTTP/5.?2"})}, nil, nil, "no version of HTTP"},
		{"response", "http", &httpResponseKind, []Record{with(response("status", "200"), raw{"version": "HTTP/1.1"})}, nil, nil, ""},
		{"from the server", "http", &httpRequestKind, []Record{with(request("method", "POST"), ends)}, nil,
			map[string][]string{"http": append([]string{"client_side", "src", "response_ts", "1"}, ours...)}, "a body taken for a request"},
		{"from the client", "http", &httpRequestKind, []Record{with(request("method", "POST"), ends)}, nil,
			map[string][]string{"http": append([]string{"client_side", "dst", "response_ts", "1"}, ours...)}, ""},
		{"broken field", "http", &httpResponseKind, []Record{with(response("status", "200", "content_encoding", ""), raw{"version": "1.1"})}, []Record{response("status", "200", "content_encoding", "gzip")},
			map[string][]string{"http": {"malformed", "space_before_colon"}}, "field lines that break the grammar"},
		{"two requests", "http", &httpResponseKind, []Record{response("target_answered", "/foo/")}, []Record{response("target_answered", "/bar/")},
			map[string][]string{"http": {"flow_id", "5", "first_packet", "4", "target", "/foo/"}}, "requests in one packet"},
		{"two requests, neither the truth's", "http", &httpResponseKind, []Record{response("target_answered", "/baz/")}, []Record{response("target_answered", "/bar/")},
			map[string][]string{"http": {"flow_id", "5", "first_packet", "4", "target", "/foo/"}}, ""},
		{"a hole", "http", &httpRequestKind, []Record{request("request_end_ts", "3")}, []Record{request("request_end_ts", "2")},
			map[string][]string{"http": {"flow_id", "5"}, "flows": {"flow_id", "5", "dst_out_of_order_packets", "1"}}, "a hole that is filled late"},
		{"a hole in another flow", "http", &httpRequestKind, []Record{request("request_end_ts", "3")}, []Record{request("request_end_ts", "2")},
			map[string][]string{"http": {"flow_id", "5"}, "flows": {"flow_id", "6", "dst_out_of_order_packets", "1"}}, ""},
		{"sound field", "http", &httpResponseKind, []Record{with(response("status", "200", "content_encoding", ""), raw{"version": "1.1"})}, []Record{response("status", "200", "content_encoding", "gzip")},
			map[string][]string{"http": {"malformed", ""}}, ""},
		{"OpenVPN", "tls", &clientHelloKind, []Record{with(mainOf(&clientHelloKind, "a b"), raw{"src": "1.0.0.2", "sport": "80", "dst": "1.0.0.1", "dport": "9", "malformed": "1", "transport": "udp"})}, nil, map[string][]string{"tls": append([]string{"transport", "udp"}, ours...)}, "a packet of OpenVPN sent again"},
		{"OpenVPN once", "tls", &clientHelloKind, []Record{with(mainOf(&clientHelloKind, "a b"), raw{"src": "1.0.0.2", "sport": "80", "dst": "1.0.0.1", "dport": "9", "malformed": "0", "transport": "udp"})}, nil, map[string][]string{"tls": append([]string{"transport", "udp"}, ours...)}, ""},
		{"TLS", "tls", &certificateKind, []Record{with(mainOf(&certificateKind, "a b", "cert_fingerprints", "x"), ends)}, nil, map[string][]string{"flows": append([]string{"app_proto", "tls"}, ours...)}, ""},
		{"hello of the server", "tls", &clientHelloKind, []Record{with(mainOf(&clientHelloKind, "a b"), ends)}, nil,
			map[string][]string{"tls": append([]string{"transport", "dtls", "client_side", "src", "client_hellos", "1"}, ours...)}, "both ends send a client hello"},
		{"hello of the client", "tls", &clientHelloKind, []Record{with(mainOf(&clientHelloKind, "a b"), ends)}, nil,
			map[string][]string{"tls": append([]string{"transport", "dtls", "client_side", "dst", "client_hellos", "1"}, ours...)}, ""},
		{"port", "ndpi app_proto", &ndpiNameKind, []Record{with(mainOf(&ndpiNameKind, "a b", "app_proto", "tls"), raw{"a_port": "443", "b_port": "9"})},
			[]Record{mainOf(&ndpiNameKind, "a b", "app_proto", "")}, nil, "a name by port"},
		{"port and content", "ndpi app_proto", &ndpiNameKind, []Record{with(mainOf(&ndpiNameKind, "a b", "app_proto", "tls"), raw{"a_port": "443", "b_port": "9", "ja4": "t"})},
			[]Record{mainOf(&ndpiNameKind, "a b", "app_proto", "")}, nil, ""},
		{"another port", "ndpi app_proto", &ndpiNameKind, []Record{with(mainOf(&ndpiNameKind, "a b", "app_proto", "tls"), raw{"a_port": "444", "b_port": "9"})},
			[]Record{mainOf(&ndpiNameKind, "a b", "app_proto", "")}, nil, ""},
		{"retry", "ndpi ja3", &ndpiHelloKind, []Record{mainOf(&ndpiHelloKind, "a b", "ja3s", "1")}, []Record{mainOf(&ndpiHelloKind, "a b", "ja3s", "2")},
			map[string][]string{"tls": {"hello_retry", "true"}}, "a request for a retry"},
		{"no retry", "ndpi ja3", &ndpiHelloKind, []Record{mainOf(&ndpiHelloKind, "a b", "ja3s", "1")}, []Record{mainOf(&ndpiHelloKind, "a b", "ja3s", "2")},
			map[string][]string{"tls": {"hello_retry", "false"}}, ""},
		{"address", "ndpi ja3", &ndpiHelloKind, []Record{mainOf(&ndpiHelloKind, "a b", "ja4", "t12i13")}, []Record{mainOf(&ndpiHelloKind, "a b", "ja4", "t12d13")},
			map[string][]string{"tls": {"sni", "1.2.3.4"}}, "a server name that is an address"},
		{"name", "ndpi ja3", &ndpiHelloKind, []Record{mainOf(&ndpiHelloKind, "a b", "ja4", "t12i13")}, []Record{mainOf(&ndpiHelloKind, "a b", "ja4", "t12d13")},
			map[string][]string{"tls": {"sni", "a.example"}}, ""},
		{"VLANs", "ndpi ja3", &ndpiHelloKind, []Record{with(mainOf(&ndpiHelloKind, "a b"), raw{"vlan": "3"}), with(mainOf(&ndpiHelloKind, "a b"), raw{"vlan": "4"})},
			[]Record{mainOf(&ndpiHelloKind, "a b")}, nil, "one tuple on several VLANs"},
		{"one VLAN", "ndpi ja3", &ndpiHelloKind, []Record{with(mainOf(&ndpiHelloKind, "a b"), raw{"vlan": "3"}), with(mainOf(&ndpiHelloKind, "a b"), raw{"vlan": "3"})},
			[]Record{mainOf(&ndpiHelloKind, "a b")}, nil, ""},
		{"DHCPv6", "arkime flows", &arkimeFlowKind, []Record{with(mainOf(&arkimeFlowKind, "a b"), raw{"protocols": "dhcpv6;udp"})}, nil, nil, "a transaction of DHCPv6"},
		{"DHCPv6 with an id", "arkime flows", &arkimeFlowKind, []Record{with(mainOf(&arkimeFlowKind, "a b"), raw{"protocols": "dhcpv6;udp", "community_id": "1:"})}, nil, nil, ""},
		{"turned in Arkime", "arkime flows", &arkimeFlowKind, []Record{mainOf(&arkimeFlowKind, "a b", "fwd_packets", "1")}, []Record{mainOf(&arkimeFlowKind, "a b", "rev_packets", "1")},
			map[string][]string{"flows": {"direction_basis", "first_packet"}}, "who began without a handshake"},
		{"the same both ways in Arkime", "arkime flows", &arkimeFlowKind, []Record{mainOf(&arkimeFlowKind, "a b", "fwd_payload", "1")}, []Record{mainOf(&arkimeFlowKind, "a b", "fwd_payload", "2")},
			map[string][]string{"flows": {"direction_basis", "first_packet"}}, ""},
		{"turned in Arkime against a SYN", "arkime flows", &arkimeFlowKind, []Record{mainOf(&arkimeFlowKind, "a b", "fwd_packets", "1")}, []Record{mainOf(&arkimeFlowKind, "a b", "rev_packets", "1")},
			map[string][]string{"flows": {"direction_basis", "syn"}}, ""},
		{"turned in Suricata", "suricata checks", &suricataKind, []Record{mainOf(&suricataKind, "a", "count", "1")}, []Record{with(mainOf(&suricataKind, "a", "count", "0"), raw{"turned": "1"})}, nil,
			"who began without a handshake"},
		{"VLANs in Suricata", "suricata checks", &suricataKind, []Record{mainOf(&suricataKind, "a", "count", "2")}, []Record{with(mainOf(&suricataKind, "a", "count", "1"), raw{"split": "2", "turned": "1"})}, nil,
			"one tuple on several VLANs"},
		{"one VLAN in Suricata", "suricata checks", &suricataKind, []Record{mainOf(&suricataKind, "a", "count", "2")}, []Record{with(mainOf(&suricataKind, "a", "count", "1"), raw{"split": "1", "turned": "1"})}, nil, ""},
		{"JA4 without signatures", "suricata checks", &suricataKind, []Record{mainOf(&suricataKind, "a", "count", "1")}, []Record{with(mainOf(&suricataKind, "a", "count", "0"), raw{"unsigned": "1"})}, nil,
			"JA4 of a hello without signature algorithms"},
		{"not in Suricata", "suricata checks", &suricataKind, []Record{mainOf(&suricataKind, "a", "count", "1")}, []Record{with(mainOf(&suricataKind, "a", "count", "0"), raw{"turned": "0"})}, nil, ""},
		{"no header", "dns", &dnsKind, []Record{with(mainOf(&dnsKind, "query tcp a b"), raw{"malformed": "1"})}, nil, nil, "nothing of a message reads"},
		{"a name reads", "dns", &dnsKind, []Record{with(mainOf(&dnsKind, "query tcp a b"), raw{"malformed": "1", "qname": "a", "qtype": "1"})}, nil, nil, ""},
		{"another history", "zeek conn", &zeekConnKind, []Record{conn("history", "ShADadFf")}, []Record{conn("history", "ShADad")}, nil, ""},
		{"checksums", "zeek conn", &zeekConnKind, []Record{conn("history", "C", "conn_state", "OTH")}, []Record{conn("history", "S", "conn_state", "S0", "orig_pkts", "1")},
			map[string][]string{"flows": {"src_bad_checksums", "1"}}, "wrong checksums"},
		{"checksums, one good", "zeek conn", &zeekConnKind, []Record{conn("history", "C", "conn_state", "OTH")}, []Record{conn("history", "S", "conn_state", "S0", "orig_pkts", "2")},
			map[string][]string{"flows": {"src_bad_checksums", "1"}}, ""},
		{"turned amid", "zeek conn", &zeekConnKind, []Record{conn("originator", "a", "history", "D^", "orig_pkts", "2")}, []Record{conn("originator", "b", "history", "Dd", "orig_pkts", "1", "resp_pkts", "1")},
			map[string][]string{"flows": {"direction_basis", "first_packet"}}, "who began without a handshake"},
		{"turned amid, one lost", "zeek conn", &zeekConnKind, []Record{conn("originator", "a", "history", "D^", "orig_pkts", "3")}, []Record{conn("originator", "b", "history", "Dd", "orig_pkts", "1", "resp_pkts", "1")},
			map[string][]string{"flows": {"direction_basis", "first_packet"}}, ""},
		{"turned around against a SYN", "zeek conn", &zeekConnKind, []Record{conn("originator", "a", "history", "^fA")}, []Record{conn("originator", "b", "history", "Fa")},
			map[string][]string{"flows": {"direction_basis", "syn"}}, ""},
		{"GridFTP", "zeek conn", &zeekConnKind, []Record{with(conn("history", "ShAD", "orig_pkts", "3"), raw{"service": "gridftp-data,ssl"})}, []Record{conn("history", "ShADfF", "orig_pkts", "5")}, nil, "what Zeek stops looking at"},
		{"GridFTP, more in Zeek", "zeek conn", &zeekConnKind, []Record{with(conn("history", "ShAD", "orig_pkts", "6"), raw{"service": "gridftp-data"})}, []Record{conn("history", "ShADfF", "orig_pkts", "5")}, nil, ""},
		{"FTP", "zeek conn", &zeekConnKind, []Record{with(conn("history", "ShAD", "orig_pkts", "3"), raw{"service": "ftp"})}, []Record{conn("history", "ShADfF", "orig_pkts", "5")}, nil, ""},
		{"less than payload", "zeek conn", &zeekConnKind, []Record{with(conn("orig_pkts", "2", "orig_ip_bytes", "140"), raw{"orig_bytes": "90", "missed_bytes": "0"})},
			[]Record{conn("orig_pkts", "2", "orig_ip_bytes", "170")}, nil, "less bytes than their payload"},
		{"as much as payload", "zeek conn", &zeekConnKind, []Record{with(conn("orig_pkts", "2", "orig_ip_bytes", "170"), raw{"orig_bytes": "90", "missed_bytes": "0"})},
			[]Record{conn("orig_pkts", "2", "orig_ip_bytes", "180")}, nil, ""},
		{"no packet", "zeek conn", &zeekConnKind, []Record{conn("history", "", "conn_state", "OTH")}, []Record{conn("history", "H", "conn_state", "OTH", "orig_pkts", "1")}, nil, "a connection of no packet"},
		{"a letter", "zeek conn", &zeekConnKind, []Record{conn("history", "H", "conn_state", "OTH")}, []Record{conn("history", "H", "conn_state", "OTH", "orig_pkts", "1")}, nil, ""},
		{"a part", "zeek conn", &zeekConnKind, []Record{with(conn("orig_pkts", "1", "orig_ip_bytes", "50"), raw{elsewhere: "1/50/0/0 2/90/0/0"})}, []Record{conn("orig_pkts", "2", "orig_ip_bytes", "90")}, nil, "part of the packets"},
		{"a part that nobody else has whole", "zeek conn", &zeekConnKind, []Record{with(conn("orig_pkts", "1", "orig_ip_bytes", "50"), raw{elsewhere: "1/50/0/0"})}, []Record{conn("orig_pkts", "2", "orig_ip_bytes", "90")}, nil, ""},
		{"claimed", "zeek http", &zeekHTTPKind, []Record{mainOf(&zeekHTTPKind, "a b", "response_body_len", "0")}, []Record{mainOf(&zeekHTTPKind, "a b", "response_body_len", "4")},
			map[string][]string{"http": {"response_content_length", "4"}}, "a body of the claimed length"},
		{"claimed otherwise", "zeek http", &zeekHTTPKind, []Record{mainOf(&zeekHTTPKind, "a b", "response_body_len", "0")}, []Record{mainOf(&zeekHTTPKind, "a b", "response_body_len", "4")},
			map[string][]string{"http": {"response_content_length", "5"}}, ""},
		{"no answer of a WebSocket", "zeek http", &zeekHTTPKind, []Record{mainOf(&zeekHTTPKind, "", "status_code", "301")}, []Record{mainOf(&zeekHTTPKind, "", "status_code", "101")},
			map[string][]string{"http": {"outcome", "upgraded", "upgrade", "websocket"}}, ""},
	} {
		d := datasetOf(tt.view)
		var got, uncovered []string
		_, diffs := Match(tt.kind, tt.truth, tt.ours, func(e *Evidence) string {
			e.View = d
			c := accept(tt.table, e)
			if c == "" {
				uncovered = append(uncovered, e.Column)
			} else if len(got) == 0 || got[len(got)-1] != c {
				got = append(got, c)
			}
			return c
		})
		if len(diffs) == 0 {
			t.Errorf("%s: nothing differs", tt.name)
		}
		if strings.Join(got, ", ") != tt.want || (tt.want == "") != (len(uncovered) > 0) {
			t.Errorf("%s: %q, uncovered %q, want %q", tt.name, got, uncovered, tt.want)
		}
	}
}

// TestAnswerInWebSocket: an exchange that went over to WebSocket, and one within.
func TestAnswerInWebSocket(t *testing.T) {
	row := func(uri, status string, i int) Record {
		r := mainOf(&zeekHTTPKind, "", "uri", uri, "status_code", status)
		r.Row = i
		return r
	}
	for _, tt := range []struct {
		upgrade string
		theirs  [2]string
		ours    [2]string
		want    string
	}{
		{"websocket", [2]string{"301", ""}, [2]string{"101", "301"}, "the answer within a WebSocket, the answer within a WebSocket"},
		{"h2c", [2]string{"301", ""}, [2]string{"101", "301"}, ", "},
		{"websocket", [2]string{"301", ""}, [2]string{"101", "302"}, ", "},
		{"websocket", [2]string{"101", ""}, [2]string{"101", "301"}, ""},
	} {
		d := datasetOf(nil)
		d.tables["http"] = NewTable([]string{"outcome", "upgrade"}, [][]string{{"upgraded", tt.upgrade}, {"complete", ""}})
		var got []string
		Match(&zeekHTTPKind, []Record{row("/a", tt.theirs[0], 0), row("/b", tt.theirs[1], 0)}, []Record{row("/a", tt.ours[0], 0), row("/b", tt.ours[1], 1)}, func(e *Evidence) string {
			e.View = d
			got = append(got, accept("zeek http", e))
			return ""
		})
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%+v: %q", tt, s)
		}
	}
}

// A class that covers too much fails the run, whatever it says.
func TestFailed(t *testing.T) {
	line := Line{Name: "flows", Table: "flows", Tally: Tally{Truth: 100, Equal: 95, Whole: 99, Differ: 5, AcceptedDiffer: 4, Classes: map[string]int{"c": 4},
		Columns: map[string]Count{"a": {Compared: 100, Differ: 5, Accepted: 4}, "b": {Compared: 100}}}}
	r := &Result{Tables: []string{"flows"}, Lines: []Line{line}}
	for _, tt := range []struct {
		goals []Goal
		want  int
	}{
		{nil, 1}, // the class
		{[]Goal{{Line: "flows", Percent: 98.9}, {Line: "flows", Column: "*", Percent: 98.9}, {Line: "dns", Percent: 100}, {Line: "flows", Column: "z", Percent: 100}}, 1},
		{[]Goal{{Line: "flows", Percent: 99}}, 2},
		{[]Goal{{Line: "flows", Column: "*", Percent: 99}}, 2},
		{[]Goal{{Line: "flows", Column: "b", Percent: 100}}, 1},
		{[]Goal{{Line: "flows", Column: "all", Percent: 99}}, 1},
		{[]Goal{{Line: "flows", Column: "all", Percent: 99.5}}, 2},
	} {
		if failed := r.Failed(tt.goals); len(failed) != tt.want {
			t.Errorf("%v: %q", tt.goals, failed)
		}
	}
	r.Lines[0].Classes["c"] = 3
	if failed := r.Failed(nil); failed != nil {
		t.Errorf("%q", failed)
	}
}

// A frame that is shorter than its datagram may hide behind one that is padded.
func TestLongInFrames(t *testing.T) {
	udp := func(frame, ip, length int) []byte {
		b := make([]byte, frame)
		b[14-2], b[14] = 0x08, 0x45
		binary.BigEndian.PutUint16(b[16:], uint16(ip))
		b[22], b[23] = 64, 17
		copy(b[26:], []byte{1, 0, 0, 1, 1, 0, 0, 2, 0, 5, 0, 6})
		binary.BigEndian.PutUint16(b[38:], uint16(length))
		return b
	}
	file := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0}
	for _, b := range [][]byte{udp(314, 200, 180), udp(114, 200, 180)} { // 100 bytes longer and 100 shorter
		file = append(file, 1, 0, 0, 0, 0, 0, 0, 0)
		file = binary.LittleEndian.AppendUint32(file, uint32(len(b)))
		file = binary.LittleEndian.AppendUint32(file, uint32(len(b)))
		file = append(file, b...)
	}
	path := filepath.Join(t.TempDir(), "x.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	d := datasetOf(map[string][]string{"flows": {"src_ip", "1.0.0.1", "src_port", "5", "dst_ip", "1.0.0.2", "dst_port", "6"}})
	d.capture = path
	record := func(payload string) []Record {
		return []Record{mainOf(&flowKind, "udp 1.0.0.1:5 1.0.0.2:6", "fwd_packets", "2", "fwd_bytes", "400", "fwd_payload", payload)}
	}
	for _, tt := range []struct{ truth, ours, want string }{
		{"344", "244", "UDP longer than its datagram"}, {"344", "243", ""}, {"343", "244", ""},
	} {
		got := ""
		Match(&flowKind, record(tt.truth), record(tt.ours), func(e *Evidence) string {
			e.View = d
			got = accept("flows", e)
			return got
		})
		if got != tt.want {
			t.Errorf("%s and %s: %q, want %q", tt.truth, tt.ours, got, tt.want)
		}
	}
}
