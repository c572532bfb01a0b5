package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// tally runs one peer's records of a capture through the comparison.
func tally(t *testing.T, p peer, c *Capture, tables map[string]*Table) string {
	t.Helper()
	var got []string
	for _, v := range p.views(c) {
		sets, err := v.records(&Dataset{tables: tables})
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range sets {
			if len(set.truth) == 0 {
				continue
			}
			n, diffs := Match(set.kind, set.truth, set.ours, func(*Evidence) string { return "" })
			s := fmt.Sprintf("%s %d/%d", set.table, n.Equal, n.Truth)
			for _, d := range diffs {
				for _, c := range d.Columns {
					s += fmt.Sprintf(" %s %s:%s", d.What, c.Name, c.Ours)
				}
				if d.Columns == nil && d.What == "missing" {
					s += " missing"
				}
			}
			got = append(got, s)
		}
	}
	return strings.Join(got, "; ")
}

// tableOf makes a table of one row: pairs of a column and its text.
func tableOf(pairs ...string) *Table {
	var columns, row []string
	for i := 0; i < len(pairs); i += 2 {
		columns, row = append(columns, pairs[i]), append(row, pairs[i+1])
	}
	return NewTable(columns, [][]string{row})
}

func with(m map[string]string, pairs ...string) map[string]string {
	n := map[string]string{}
	for k, v := range m {
		n[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		n[pairs[i]] = pairs[i+1]
	}
	return n
}

// TestPeers compares one flow and one handshake with what each peer says of
// them, first the same, then changed.
func TestPeers(t *testing.T) {
	c := &Capture{Source: communitySource, Name: "a.pcap"}
	tables := map[string]*Table{
		"flows": tableOf("ip_version", "4", "ip_proto", "6", "proto", "tcp", "src_ip", "10.0.0.2", "src_port", "4000", "dst_ip", "10.0.0.1", "dst_port", "443", "community_id", "1:x", "app_proto", "tls",
			"ts", "1500000000", "end_ts", "4100000000", "src_packets", "3", "src_wire_bytes", "300", "src_payload_bytes", "90", "dst_packets", "2", "dst_wire_bytes", "200", "dst_payload_bytes", "70", "src_tcp_flags", "SA", "dst_tcp_flags", "SPA", "vlan_id", "7"),
		"tls":  tableOf("src_ip", "10.0.0.2", "src_port", "4000", "dst_ip", "10.0.0.1", "dst_port", "443", "sni", "a.test", "ja3", "j3", "ja3s", "j3s", "ja4", "t13d0101h1_x_y", "ja4_r", "r4", "version", "TLSv1.0", "transport", "tcp"),
		"dns":  NewTable(nil, nil),
		"http": NewTable(nil, nil),
	}
	one := func(row map[string]string) map[string][]map[string]string {
		return map[string][]map[string]string{c.ID(): {row}}
	}
	nd := map[string]string{"proto": "TCP", "a_ip": "10.0.0.1", "a_port": "443", "b_ip": "10.0.0.2", "b_port": "4000", "ndpi_proto": "91.26/TLS.ntop", "hostname_sni": "a.test", "ja3": "j3", "ja3s": "j3s (INSECURE)", "ja4": "t13d0101ht_x_y"}
	ark := map[string]string{"ipproto": "6", "src": "10.0.0.1", "sport": "443", "dst": "10.0.0.2", "dport": "4000", "src_pkts": "2", "src_bytes": "200", "server_payload": "90", "dst_pkts": "3", "dst_bytes": "300", "client_payload": "70", "first_ms": "1500", "community_id": "1:x", "vlan": "7", "ja4": "z;t13d0101h1_x_y"}
	fox := map[string]string{"src": "10.0.0.2", "sport": "4000", "dst": "10.0.0.1", "dport": "443", "stream": "0", "ja4": "t13d0101h1_x_y", "sni": "a.test"}
	check := func(event, match, count string) peer {
		return &suricata{one(map[string]string{"event_type": event, "match_json": match, "count": count, "test": "t"})}
	}
	tuple := map[string]string{"proto": "6", "saddr": "10.0.0.2", "sport": "4000", "daddr": "10.0.0.1", "dport": "443", "community_id": "1:x"}
	for _, tt := range []struct {
		name string
		p    peer
		want string
	}{
		{"ndpi", &ndpi{one(nd)}, "ndpi app_proto 1/1; ndpi ja3 1/1"},
		{"ndpi, another name", &ndpi{one(with(nd, "ndpi_proto", "7/HTTP"))}, "ndpi app_proto 0/1 differ app_proto:tls; ndpi ja3 1/1"},
		{"ndpi, a name that says nothing", &ndpi{one(with(nd, "ndpi_proto", "0/Unknown"))}, "ndpi ja3 1/1"},
		{"ndpi, the wrong end of a JA4", &ndpi{one(with(nd, "ja4", "t13d0101ht_x_z"))}, "ndpi app_proto 1/1; ndpi ja3 0/1 differ ja4:t13d0101h1_x_y"},
		{"arkime", &arkime{one(ark)}, "arkime community_id 1/1; arkime flows 1/1; arkime tls 1/1"},
		{"arkime, another count", &arkime{one(with(ark, "dst_pkts", "4", "community_id", "1:y"))}, "arkime community_id 0/1 differ community_id:1:x; arkime flows 0/1 differ rev_packets:3; arkime tls 1/1"},
		{"ja4", &ja4{one(fox)}, "ja4 1/1"},
		{"ja4, another", &ja4{one(with(fox, "ja4", "t"))}, "ja4 0/1 differ ja4:t13d0101h1_x_y"},
		{"community id", &communityID{[]map[string]string{tuple}}, "community_id 1/1"},
		{"community id, another", &communityID{[]map[string]string{with(tuple, "community_id", "1:z")}}, "community_id 0/1 differ community_id:1:x"},
		{"suricata, flow", check("flow", `{"event_type":"flow","app_proto":"tls","flow.pkts_toserver":3,"flow.age":3,"tcp.syn":true,"tcp.fin":false,"tcp.tcp_flags":"1a","proto":"TCP"}`, "1"), "suricata checks 1/1"},
		{"suricata, none of them", check("flow", `{"event_type":"flow","flow.pkts_toserver":4}`, "0"), "suricata checks 1/1"},
		{"suricata, one too many", check("flow", `{"event_type":"flow"}`, "0"), "suricata checks 0/1 differ count:1"},
		{"suricata, tls", check("tls", `{"event_type":"tls","tls.version":"TLSv1","tls.sni":"a.test"}`, "1"), "suricata checks 1/1"},
		{"suricata, what we do not know", check("flow", `{"event_type":"flow","flow.alerted":true}`, "1"), ""},
		{"suricata, what we do not know of no row", check("http", `{"event_type":"http","http.xff":"x"}`, "0"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tally(t, tt.p, c, tables); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestNDPIProtocol(t *testing.T) {
	for s, want := range map[string][]string{"91.26/TLS.ntop": {"tls"}, "188.196/QUIC.DoH_DoT": {"quic", "tls", "http", "http2", "quic"}, "CAPWAP:91/TLS": {"tls"}, "0/Unknown": nil, "": nil} {
		if got := ndpiProtocol(s); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
}

func TestSplitByVLAN(t *testing.T) {
	check := func(json string) map[string]string {
		return map[string]string{"event_type": "flow", "count": "1", "match_json": json}
	}
	flow := func(dst string) *Table {
		return NewTable([]string{"src_ip", "dst_ip", "dst_packets"}, [][]string{{"1.0.0.1", "1.0.0.2", dst}})
	}
	a, b, same := check(`{"src_ip": "1.0.0.1", "vlan": [7]}`), check(`{"src_ip": "1.0.0.2", "vlan": [8]}`), check(`{"src_ip": "1.0.0.2", "vlan": [7]}`)
	for _, tt := range []struct {
		name   string
		flows  *Table
		checks []map[string]string
		want   int
	}{
		{"two", flow("1"), []map[string]string{a, b}, 1},
		{"one VLAN", flow("1"), []map[string]string{a, same}, 0},
		{"one end", flow("1"), []map[string]string{a}, 0},
		{"no answer", flow("0"), []map[string]string{a, b}, 0},
	} {
		if got := splitByVLAN(tt.flows, tt.checks); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
