package schema

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/dns"
)

// dnsRow writes a row's columns that are not NULL, but those of the flow.
func dnsRow(r *DNS) string {
	var b strings.Builder
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("parquet"), ",")
		f := v.Field(i)
		if i >= 1 && i <= 5 || strings.Contains(options, "optional") && f.IsZero() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		fmt.Fprintf(&b, "%s=%v\n", name, f)
	}
	return b.String()
}

func wire(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

const (
	// 4660, RD AD, Example.com MX; OPT 1232 DO: subnet 192.0.2.0/24, cookie.
	dnsQuery = "1234 0120 0001 0000 0000 0001 074578616d706c6503636f6d00 000f 0001" +
		"00 0029 04d0 00008000 0017 0008 0007 0001 18 00 c00002 000a 0008 0102030405060708"
	// QR RD RA AA, the question; two answers, an authority of no known type
	// and class, an additional; OPT 512: extended error 18 "no", NSID "ns1", subnet with scope 16.
	dnsResponse = "1234 8580 0001 0002 0001 0002 076578616d706c6503636f6d00 000f 0001" +
		"c00c 000f 0001 0000003c 0006 000a 016d c00c" + // m.example.com at 43
		"c00c 000f 0001 0000003c 0004 0014 c00c" +
		"c00c fff0 0009 ffffffff 0001 ab" +
		"c02b 0001 0001 0000003c 0004 c0000201" +
		"00 0029 0200 00000000 001a 000f 0004 0012 6e6f 0003 0003 6e7331 0008 0007 0001 18 10 c00002"
)

func TestAppendDNS(t *testing.T) {
	stamp := func(n int) flows.Stamp {
		return flows.Stamp{Time: int64(n) * 1000, Pos: flows.NewPosition(uint32(n), uint64(10*n))}
	}
	session := Session{FlowID: 7, SrcIP: "192.0.2.1", DstIP: "192.0.2.2", SrcPort: 40000, DstPort: 53}
	for _, tt := range []struct {
		name     string
		query    string
		response string
		side     flows.Side // of the query
		tcp      bool
		want     string
	}{
		{"answered", dnsQuery, dnsResponse, flows.Initiator, false, `
flow_id=7
transport=udp
service=dns
outcome=answered
querier=src
query_ts=1000
response_ts=3000
rtt_ns=2000
query_bytes=63
response_bytes=129
query_retransmits=1
id=4660
opcode=QUERY
qname=example.com
qname_raw=Example.com
qtype=MX
qclass=IN
rcode=NOERROR
aa=true
tc=false
rd=true
ra=true
ad=false
cd=false
z=false
question_count=1
answer_count=2
authority_count=1
additional_count=2
answers=[{example.com MX IN 60 10 m.example.com} {example.com MX IN 60 20 example.com}]
authorities=[{example.com TYPE65520 CLASS9 4294967295 \# 1 AB}]
additionals=[{m.example.com A IN 60 192.0.2.1}]
edns_version=0
edns_udp_bytes=1232
edns_do=true
edns_options=[8 10]
edns_cookie=0102030405060708
edns_client_subnet=192.0.2.0/24
edns_response_version=0
edns_response_udp_bytes=512
edns_response_do=false
edns_response_options=[15 3 8]
edns_client_subnet_scope=16
edns_nsid=ns1
edns_errors=[{18 Prohibited no}]
capture_id=1
first_packet=10
last_capture_id=3
last_packet=30
`},
		{"no response", dnsQuery, "", flows.Initiator, true, `
flow_id=7
transport=tcp
service=dns
outcome=no_response
querier=src
after_gap=false
query_ts=1000
query_bytes=63
query_retransmits=1
id=4660
opcode=QUERY
qname=example.com
qname_raw=Example.com
qtype=MX
qclass=IN
tc=false
rd=true
ad=true
cd=false
z=false
question_count=1
answer_count=0
authority_count=0
additional_count=1
edns_version=0
edns_udp_bytes=1232
edns_do=true
edns_options=[8 10]
edns_cookie=0102030405060708
edns_client_subnet=192.0.2.0/24
capture_id=1
first_packet=10
last_capture_id=2
last_packet=20
`},
		{"no query, unknown codes, cut", "", "1234 cc4d 0001 0000 0000 0000 0161", flows.Initiator, false, `
flow_id=7
transport=udp
service=dns
outcome=no_query
querier=src
malformed=truncated
response_ts=3000
response_bytes=14
id=4660
opcode=OPCODE9
qname=a
rcode=RCODE13
aa=true
tc=false
rd=false
ra=false
ad=false
cd=false
z=true
question_count=1
answer_count=0
authority_count=0
additional_count=0
capture_id=3
first_packet=30
last_capture_id=3
last_packet=30
`},
		{"no header", "12", "", flows.Responder, false, `
flow_id=7
transport=udp
service=dns
outcome=no_query
querier=src
malformed=header
response_ts=1000
response_bytes=1
capture_id=1
first_packet=10
last_capture_id=1
last_packet=10
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p dns.UDP
			var a Arena
			var rows []DNS
			s := session
			s.TCP = tt.tcp
			add := func(ms []dns.Transaction) {
				for i := range ms {
					rows = AppendDNS(rows, &ms[i], &s, &a)
				}
			}
			if tt.query != "" {
				q := wire(tt.query)
				add(p.Datagram(nil, tt.side, stamp(1), q))
				if len(q) >= 12 {
					add(p.Datagram(nil, tt.side, stamp(2), q))
				}
			}
			if tt.response != "" {
				add(p.Datagram(nil, tt.side.Other(), stamp(3), wire(tt.response)))
			}
			add(p.End(nil))
			// The parser's memory is its own again.
			p.Datagram(nil, flows.Responder, stamp(9), wire(strings.ReplaceAll(dnsResponse, "65", "7a")))
			if len(rows) != 1 {
				t.Fatalf("%d rows", len(rows))
			}
			got := "\n" + dnsRow(&rows[0])
			if got != tt.want {
				t.Errorf("got%s\nwant%s", got, tt.want)
			}
			ts := rows[0].QueryTS
			if ts == nil {
				ts = rows[0].ResponseTS
			}
			if rows[0].TS != *ts || rows[0].SrcIP != "192.0.2.1" || rows[0].DstPort != 53 {
				t.Errorf("ts %d, %s:%d > %s:%d", rows[0].TS, rows[0].SrcIP, rows[0].SrcPort, rows[0].DstIP, rows[0].DstPort)
			}
		})
	}
}

func BenchmarkAppendDNS(b *testing.B) {
	var p dns.UDP
	p.Datagram(nil, flows.Initiator, flows.Stamp{Time: 1, Pos: 1}, wire(dnsQuery))
	ms := p.Datagram(nil, flows.Responder, flows.Stamp{Time: 2, Pos: 2}, wire(dnsResponse))
	if len(ms) != 1 {
		b.Fatalf("%d transactions", len(ms))
	}
	var a Arena
	var rows []DNS
	s := Session{FlowID: 7}
	b.ReportAllocs()
	for b.Loop() {
		rows = AppendDNS(rows[:0], &ms[0], &s, &a)
	}
}

func (r DNSRecord) String() string {
	return fmt.Sprintf("{%s %s %s %d %s}", r.Name, r.Type, r.Class, r.TTL, r.Data)
}

func (e DNSError) String() string {
	return fmt.Sprintf("{%d %s %s}", e.Code, e.Name, e.Text)
}
