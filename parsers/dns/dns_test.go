package dns

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

var (
	_ parsers.DatagramParser[Transaction] = (*UDP)(nil)
	_ parsers.SessionParser[Transaction]  = (*TCP)(nil)
)

// header returns a message's header.
func header(id, flags uint16, counts ...uint16) string {
	b := make([]byte, headerLen)
	binary.BigEndian.PutUint16(b, id)
	binary.BigEndian.PutUint16(b[2:], flags)
	for i, c := range counts {
		binary.BigEndian.PutUint16(b[4+2*i:], c)
	}
	return string(b)
}

func u16(v int) string { return string([]byte{byte(v >> 8), byte(v)}) }

func question(name string, typ int) string { return wireName(name) + u16(typ) + u16(classIN) }

// record returns a record whose owner's wire form is given.
func record(owner string, typ, class int, ttl uint32, data string) string {
	return owner + u16(typ) + u16(class) + string(binary.BigEndian.AppendUint32(nil, ttl)) + u16(len(data)) + data
}

const toQuestion = "\xc0\x0c"

func query(id uint16, name string, typ int) string {
	return header(id, FlagRD, 1) + question(name, typ)
}

func answer(id uint16, name string, typ int, records ...string) string {
	return header(id, FlagQR|FlagRD|FlagRA, 1, uint16(len(records))) + question(name, typ) + strings.Join(records, "")
}

func at(n int) flows.Stamp {
	return flows.Stamp{Time: int64(n) * 1e6, Pos: flows.NewPosition(1, uint64(n))}
}

// text writes all of a transaction but its stamps' times.
func text(m *Transaction) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", m.Service, m.Outcome, m.Querier)
	if m.Outcome != NoQuery {
		fmt.Fprintf(&b, " q=%d-%d/%d:%d", m.Query.Pos.Packet(), m.QueryEnd.Pos.Packet(), m.LastQuery.Pos.Packet(), m.QueryBytes)
	}
	if m.Outcome != NoResponse {
		fmt.Fprintf(&b, " r=%d-%d:%d", m.Response.Pos.Packet(), m.ResponseEnd.Pos.Packet(), m.ResponseBytes)
	}
	if m.QueryRetransmits > 0 {
		fmt.Fprintf(&b, " retransmits=%d", m.QueryRetransmits)
	}
	if m.Malformed != WellFormed {
		fmt.Fprintf(&b, " malformed=%s", m.Malformed)
	}
	if !m.HasHeader {
		return b.String()
	}
	fmt.Fprintf(&b, " id=%d %s %04x/%04x %s %v", m.ID, AppendOpcode(nil, m.Opcode), m.QueryFlags, m.ResponseFlags, AppendRcode(nil, m.Rcode), m.Counts)
	if len(m.QName) > 0 {
		fmt.Fprintf(&b, " %s", m.QName)
	}
	if len(m.QNameRaw) > 0 {
		fmt.Fprintf(&b, " raw(%s)", m.QNameRaw)
	}
	if m.HasQuestion {
		fmt.Fprintf(&b, " %s %s", AppendType(nil, m.QType), AppendClass(nil, m.QClass))
	}
	if m.UnicastResponse {
		b.WriteString(" QU")
	}
	for i, list := range [][]Record{m.Answers, m.Authorities, m.Additionals} {
		for _, r := range list {
			fmt.Fprintf(&b, " %c(%s %d %s %s %s)", "aux"[i], r.Name, r.TTL, AppendClass(nil, r.Class), AppendType(nil, r.Type), r.Data)
		}
	}
	for i, e := range []*EDNS{m.QueryEDNS, m.ResponseEDNS} {
		if e != nil {
			fmt.Fprintf(&b, " %cedns(%d %v %d %v %s/%d %s %s", "qr"[i], e.Version, e.DO, e.UDPSize, e.Options, e.ClientSubnet, e.Scope, e.Cookie, e.NSID)
			for _, x := range e.Errors {
				fmt.Fprintf(&b, " %d:%s", x.Code, x.Text)
			}
			b.WriteByte(')')
		}
	}
	return b.String()
}

func texts(ms []Transaction) (all []string) {
	for i := range ms {
		all = append(all, text(&ms[i]))
	}
	return all
}

// step is one datagram: '>' by the initiator, '<' by the responder.
type step struct {
	side byte
	data string
}

func runUDP(service Service, steps []step) []string {
	p := UDP{Service: service}
	var all []string
	for i, s := range steps {
		side := flows.Initiator
		if s.side == '<' {
			side = flows.Responder
		}
		all = append(all, texts(p.Datagram(nil, side, at(i+1), []byte(s.data)))...)
	}
	return append(all, texts(p.End(nil))...)
}

func TestTransactions(t *testing.T) {
	a := record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04")
	for _, tt := range []struct {
		name    string
		service Service
		steps   []step
		want    []string
	}{
		{"answered", DNS, []step{{'>', query(1, "www.Example.com", typeA)}, {'<', answer(1, "wWw.eXample.com", typeA, a)}}, []string{
			"dns answered initiator q=1-1/1:33 r=2-2:49 id=1 QUERY 0100/8180 NOERROR [1 1 0 0] www.example.com raw(www.Example.com) A IN a(wWw.eXample.com 60 IN A 1.2.3.4)",
		}},
		{"no response", DNS, []step{{'>', query(1, "a.b", typeA)}, {'>', query(2, "a.b", typeAAAA)}}, []string{
			"dns no_response initiator q=1-1/1:21 id=1 QUERY 0100/0000 NOERROR [1 0 0 0] a.b A IN",
			"dns no_response initiator q=2-2/2:21 id=2 QUERY 0100/0000 NOERROR [1 0 0 0] a.b AAAA IN",
		}},
		{"response alone", DNS, []step{{'>', answer(9, "a.b", typeA, a)}}, []string{
			"dns no_query responder r=1-1:37 id=9 QUERY 0000/8180 NOERROR [1 1 0 0] a.b A IN a(a.b 60 IN A 1.2.3.4)",
		}},
		{"same identifier, two questions", DNS, []step{{'>', query(1, "a.b", typeA)}, {'>', query(1, "a.b", typeAAAA)}, {'<', answer(1, "a.b", typeAAAA)}, {'<', answer(1, "a.b", typeA)}}, []string{
			"dns answered initiator q=2-2/2:21 r=3-3:21 id=1 QUERY 0100/8180 NOERROR [1 0 0 0] a.b AAAA IN",
			"dns answered initiator q=1-1/1:21 r=4-4:21 id=1 QUERY 0100/8180 NOERROR [1 0 0 0] a.b A IN",
		}},
		{"types that differ by the case bit", DNS, []step{{'>', query(1, "a.b", 65)}, {'<', answer(1, "a.b", 97)}}, []string{
			"dns no_response initiator q=1-1/1:21 id=1 QUERY 0100/0000 NOERROR [1 0 0 0] a.b HTTPS IN",
			"dns no_query initiator r=2-2:21 id=1 QUERY 0000/8180 NOERROR [1 0 0 0] a.b TYPE97 IN",
		}},
		{"names that differ by the case bit of no letter", DNS, []step{{'>', query(1, "a[", 1)}, {'<', answer(1, "a{", 1)}}, []string{
			"dns no_response initiator q=1-1/1:20 id=1 QUERY 0100/0000 NOERROR [1 0 0 0] a[ A IN",
			"dns no_query initiator r=2-2:20 id=1 QUERY 0000/8180 NOERROR [1 0 0 0] a{ A IN",
		}},
		{"repeated, answered twice", DNS, []step{{'>', query(1, "a.b", typeA)}, {'>', query(1, "A.b", typeA)}, {'>', query(1, "a.b", typeA)}, {'<', answer(1, "a.b", typeA)}, {'<', answer(1, "a.b", typeA)}}, []string{
			"dns answered initiator q=1-1/3:21 r=4-4:21 retransmits=2 id=1 QUERY 0100/8180 NOERROR [1 0 0 0] a.b A IN",
			"dns no_query initiator r=5-5:21 id=1 QUERY 0000/8180 NOERROR [1 0 0 0] a.b A IN",
		}},
		{"response without question", DNS, []step{{'>', query(1, "a.b", typeA)}, {'<', header(1, FlagQR|1)}}, []string{
			"dns answered initiator q=1-1/1:21 r=2-2:12 id=1 QUERY 0100/8001 FORMERR [0 0 0 0] a.b A IN",
		}},
		{"response by the querier itself", DNS, []step{{'>', query(1, "a.b", typeA)}, {'>', answer(1, "a.b", typeA)}}, []string{
			"dns no_response initiator q=1-1/1:21 id=1 QUERY 0100/0000 NOERROR [1 0 0 0] a.b A IN",
			"dns no_query responder r=2-2:21 id=1 QUERY 0000/8180 NOERROR [1 0 0 0] a.b A IN",
		}},
		{"mdns", MDNS, []step{
			{'>', header(0, 0, 1) + "\x02My\x05local\x00" + u16(typePTR) + u16(0x8001)},
			{'<', header(0, 0x8400, 0, 1, 0, 1) + record("\x06B\xc3\xbcr o\x05local\x00", typeA, 0x8001, 120, "\x01\x02\x03\x04") + record("\x00", typeOPT, 1440, 0, "")}}, []string{
			"mdns no_response initiator q=1-1/1:26 id=0 QUERY 0000/0000 NOERROR [1 0 0 0] my.local raw(My.local) PTR IN QU",
			`mdns no_query initiator r=2-2:51 id=0 QUERY 0000/8400 NOERROR [0 1 0 1] a(B\195\188r\032o.local 120 IN A 1.2.3.4) redns(0 false 1440 [] /0  )`,
		}},
		{"edns", DNS, []step{
			{'>', header(1, FlagRD|FlagAD, 1, 0, 0, 1) + question("a.b", typeA) + record("\x00", typeOPT, 1232, 0x8000,
				"\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02"+"\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08"+"\x00\x03\x00\x00")},
			{'<', header(1, FlagQR, 1, 0, 0, 1) + question("a.b", typeA) + record("\x00", typeOPT, 512, 0x01000000,
				"\x00\x0f\x00\x06\x00\x12no\xff\x00"+"\x00\x03\x00\x03ns1"+"\x00\x08\x00\x07\x00\x01\x18\x10\xc0\x00\x02")}}, []string{
			`dns answered initiator q=1-1/1:59 r=2-2:60 id=1 QUERY 0120/8000 BADVERS [1 0 0 1] a.b A IN qedns(0 true 1232 [8 10 3] 192.0.2.0/24/0 0102030405060708 ) redns(0 false 512 [15 3 8] 192.0.2.0/24/16  ns1 18:no\255)`,
		}},
		{"update: the query's records", DNS, []step{
			{'>', header(1, 5<<11, 1, 0, 2) + question("b", typeSOA) + record("\x01a\xc0\x0c", typeA, classAny, 0, "") + record("\xc0\x13", typeA, classIN, 5, "\x01\x02\x03\x04")},
			{'<', header(1, FlagQR|5<<11)}}, []string{
			"dns answered initiator q=1-1/1:49 r=2-2:12 id=1 UPDATE 2800/a800 NOERROR [1 0 2 0] b SOA IN u(a.b 0 ANY A ) u(a.b 5 IN A 1.2.3.4)",
		}},
		{"root, unknown type and class", DNS, []step{{'>', header(1, 3<<11, 1) + "\x00" + u16(700) + u16(9)}}, []string{
			"dns no_response initiator q=1-1/1:17 id=1 OPCODE3 1800/0000 NOERROR [1 0 0 0] . TYPE700 CLASS9",
		}},
		{"names of every kind", DNS, []step{{'>', header(1, 0, 1) + "\x05A.\\ \x01\x02\xc3\xa4\x03a;b\x00" + u16(1) + u16(1)}}, []string{
			`dns no_response initiator q=1-1/1:30 id=1 QUERY 0000/0000 NOERROR [1 0 0 0] a\.\\\032\001.\195\164.a\;b raw(A\.\\ \001.ä.a;b) A IN`,
		}},
		{"name that is not text", DNS, []step{{'>', header(1, 0, 1) + "\x02x\xff\x00" + u16(1) + u16(1)}}, []string{
			`dns no_response initiator q=1-1/1:20 id=1 QUERY 0000/0000 NOERROR [1 0 0 0] x\255 A IN`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runUDP(tt.service, tt.steps)
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestResponseBeforeQuery: a capture that has a response before its query gives one transaction, if
// the query was sent first.
func TestResponseBeforeQuery(t *testing.T) {
	const one = int64(1e9)
	a, b := query(1, "a.b", typeA), query(2, "a.b", typeA)
	ra, rb := answer(1, "a.b", typeA), answer(2, "a.b", typeA)
	type packet struct {
		side byte
		time int64
		data string
	}
	for _, tt := range []struct {
		name    string
		packets []packet
		want    []string // outcome, querier, response's time less the query's
	}{
		{"in order", []packet{{'>', 0, a}, {'<', 5, ra}}, []string{"answered initiator 5"}},
		{"the query is late", []packet{{'<', 5, ra}, {'>', 0, a}}, []string{"answered responder 5"}},
		{"the query is late by a minute", []packet{{'<', 60 * one, ra}, {'>', 0, a}}, []string{"answered responder 60000000000"}},
		{"two", []packet{{'<', 5, ra}, {'<', 6, rb}, {'>', 0, b}, {'>', 1, a}}, []string{"answered responder 6", "answered responder 4"}},
		{"the query was sent later", []packet{{'<', 5, ra}, {'>', 6, a}}, []string{"no_response responder 0", "no_query responder 0"}},
		{"at the same time, in whatever unit", []packet{{'<', 5, ra}, {'>', 5, a}}, []string{"no_response responder 0", "no_query responder 0"}},
		{"of the same side", []packet{{'<', 5, ra}, {'<', 0, a}}, []string{"no_response initiator 0", "no_query responder 0"}},
		{"another question", []packet{{'<', 5, ra}, {'>', 0, query(1, "b.b", typeA)}}, []string{"no_response responder 0", "no_query responder 0"}},
		{"a repeated query, after the response", []packet{{'<', 5, ra}, {'>', 0, a}, {'>', 7, a}}, []string{"answered responder 5", "no_response responder 0"}},
		{"a response without question", []packet{{'<', 5, header(1, FlagQR|1)}, {'>', 0, a}}, []string{"answered responder 5"}},
		{"given out after a minute", []packet{{'<', 5, ra}, {'<', 5 + 60*one + 1, rb}, {'>', 0, a}}, []string{"no_query responder 0", "no_response responder 0", "no_query responder 0"}},
	} {
		for _, tcp := range []bool{false, true} {
			var u UDP
			var s TCP
			var got []string
			tell := func(ms []Transaction) {
				for i := range ms {
					m, rtt := &ms[i], int64(0)
					if m.Outcome == Answered {
						rtt = m.Response.Time - m.Query.Time
					}
					got = append(got, fmt.Sprintf("%s %s %d", m.Outcome, [...]string{"initiator", "responder"}[m.Querier], rtt))
				}
			}
			first := tt.packets[0].side
			for i, p := range tt.packets {
				side, at := flows.Initiator, flows.Stamp{Time: p.time, Pos: flows.NewPosition(1, uint64(i+1))}
				if p.side != first {
					side = flows.Responder
				}
				if tcp {
					tell(s.Feed(nil, side, at, []byte(frames(p.data))))
				} else {
					tell(u.Datagram(nil, side, at, []byte(p.data)))
				}
			}
			if u.Idle() != (tcp || len(got) == len(tt.want)) {
				t.Errorf("%s: idle: %v", tt.name, u.Idle())
			}
			tell(u.End(nil))
			tell(s.End(nil))
			want := tt.want
			if !slices.Equal(got, want) {
				t.Errorf("%s (tcp %v): %q, want %q", tt.name, tcp, got, want)
			}
			if n := u.earlyBytes + s.earlyBytes + u.bytes + s.bytes; n != 0 {
				t.Errorf("%s: %d bytes are still held", tt.name, n)
			}
		}
	}
}

// TestEarlyIsBounded: responses that nobody asked for do not pile up, and none is lost.
func TestEarlyIsBounded(t *testing.T) {
	var p UDP
	n := 0
	for i := range 1000 {
		data := answer(uint16(i), "a.b", typeA) + strings.Repeat("x", i%300*100)
		for _, m := range p.Datagram(nil, flows.Responder, at(i+1), []byte(data)) {
			if n++; m.Outcome != NoQuery {
				t.Fatalf("%s", text(&m))
			}
		}
		if len(p.early) > maxEarly || p.earlyBytes > maxEarlyBytes || p.Held() > 128<<10 {
			t.Fatalf("%d responses of %d bytes wait, %d bytes held", len(p.early), p.earlyBytes, p.Held())
		}
	}
	if n += len(p.End(nil)); n != 1000 || p.GivenUp() != 0 {
		t.Errorf("%d rows of 1000 responses, %d given up", n, p.GivenUp())
	}
}

func TestMalformed(t *testing.T) {
	a := record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04")
	good := answer(1, "www.example.com", typeA, a)
	var long strings.Builder // a name of 256 bytes
	for range 4 {
		long.WriteString("\x3e" + strings.Repeat("x", 62))
	}
	long.WriteString("\x02yy\x00")
	// Pointers to pointers, 130 of them, in the data of a first record; the second's owner is the last.
	const chainAt = headerLen + 11
	chain := "\x01a\x00" + u16(0xc000|chainAt)
	for i := range 129 {
		chain += u16(0xc000 | chainAt + 3 + 2*i)
	}
	loop := header(1, FlagQR, 0, 2) + record("\x00", typeNULL, classIN, 0, chain) +
		record(u16(0xc000|chainAt+len(chain)-2), typeA, classIN, 1, "\x01\x02\x03\x04")

	for _, tt := range []struct {
		name string
		data string
		want Malformed
		have string // what must have been decoded all the same
	}{
		{"well-formed", good, WellFormed, "a(www.example.com 60 IN A 1.2.3.4)"},
		{"header", good[:11], BadHeader, ""},
		{"cut in the question's name", good[:20], Truncated, "id=1"},
		{"cut in the question's type", good[:31], Truncated, "www.example.com"},
		{"cut in a record's head", good[:40], Truncated, "www.example.com A IN"},
		{"cut in a record's data", good[:len(good)-1], Truncated, "www.example.com A IN a(www.example.com 60 IN A )"},
		{"fewer records", good[:33], BadCounts, "www.example.com A IN"},
		{"no question", header(1, FlagQR, 1), BadCounts, "id=1"},
		{"reserved label", header(1, FlagQR, 1) + "\x01a\x41b\x00\x00\x01\x00\x01", LabelType, " a"},
		{"name of 256 bytes", header(1, FlagQR, 1) + long.String() + "\x00\x01\x00\x01", NameTooLong, "xxx"},
		{"a name too long among the questions", header(1, FlagQR, 2, 1) + question("a.b", typeA) + long.String() + "\x00\x01\x00\x01" + record(toQuestion, typeA, 1, 5, "\x01\x02\x03\x04"), NameTooLong, "a.b A IN a(a.b 5 IN A 1.2.3.4)"},
		{"name of 255 bytes", header(1, FlagQR, 1) + strings.Replace(long.String(), "\x02yy", "\x01y", 1) + "\x00\x01\x00\x01", WellFormed, ".y A IN"},
		{"pointer to itself", header(1, FlagQR, 1) + "\xc0\x0c\x00\x01\x00\x01", PointerForward, "id=1"},
		{"pointer to the name it ends", header(1, FlagQR, 1) + "\x01a\xc0\x0c\x00\x01\x00\x01", PointerForward, " a"},
		{"pointer forward", header(1, FlagQR, 1) + "\xc0\x20\x00\x01\x00\x01" + strings.Repeat("\x00", 20), PointerForward, "id=1"},
		{"pointer into the header", header(1, FlagQR, 1) + "\xc0\x04\x00\x01\x00\x01", PointerHeader, "id=1"},
		{"pointers without end", loop, PointerLoop, "IN NULL"},
		{"data of another length", answer(1, "a.b", typeA, record(toQuestion, typeA, classIN, 60, "\x01\x02\x03"), a), BadRdata, `a(a.b 60 IN A \# 3 010203) a(a.b 60 IN A 1.2.3.4)`},
		{"OPT with its options cut", header(1, FlagQR, 0, 0, 0, 1) + record("\x00", typeOPT, 512, 0x8000, "\x00\x03\x00\x02ab")[:16], Truncated, "redns(0 true 512 [3] /0  )"},
		{"two OPT", header(1, FlagQR, 0, 0, 0, 2) + record("\x00", typeOPT, 512, 0, "") + record("\x00", typeOPT, 99, 0, ""), BadEDNS, "redns(0 false 512"},
		{"OPT among the answers", header(1, FlagQR, 0, 1) + record("\x00", typeOPT, 512, 0, ""), BadEDNS, "redns(0 false 512"},
		{"OPT with an owner", header(1, FlagQR, 0, 0, 0, 1) + record("\x01a\x00", typeOPT, 512, 0, ""), BadEDNS, "redns"},
		{"option cut", header(1, FlagQR, 0, 0, 0, 1) + record("\x00", typeOPT, 512, 0, "\x00\x0a\x00\x09xx"), BadEDNS, "[10]"},
		{"cookie of a wrong length", header(1, FlagQR, 0, 0, 0, 1) + record("\x00", typeOPT, 512, 0, "\x00\x0a\x00\x02xx"), BadEDNS, "[10]"},
		{"subnet of a wrong length", header(1, FlagQR, 0, 0, 0, 1) + record("\x00", typeOPT, 512, 0, "\x00\x08\x00\x06\x00\x01\x18\x00\x01\x02"), BadEDNS, "[8] /0"},
		{"trailing", good + "x", Trailing, "a(www.example.com 60 IN A 1.2.3.4)"},
		{"DSO has its own after the header", header(1, FlagQR|6<<11) + "\x00\x01\x00\x00", WellFormed, "DSO"},
		{"counts beyond reason", header(1, FlagQR, 0xffff, 0xffff, 0xffff, 0xffff) + question("a.b", 1), BadCounts, "a.b A IN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p UDP
			got := p.Datagram(nil, flows.Responder, at(1), []byte(tt.data))
			if len(got) == 0 { // its query may be behind it
				got = p.End(nil)
			}
			if len(got) != 1 {
				t.Fatalf("%d transactions", len(got))
			}
			if m := &got[0]; m.Malformed != tt.want || !strings.Contains(text(m), tt.have) {
				t.Errorf("got %q, want %q and %s\n%s", m.Malformed, tt.want, tt.have, text(m))
			}
		})
	}
}

// TestBomb: compression can say in 64 KiB what would fill megabytes.
func TestBomb(t *testing.T) {
	var name strings.Builder
	for range 4 {
		name.WriteString("\x3c" + strings.Repeat("\x00", 60))
	}
	name.WriteByte(0)
	b := header(1, FlagQR, 1) + name.String() + "\x00\x01\x00\x01"
	n := 0
	for len(b) < 65500 {
		b += record(toQuestion, typeNS, classIN, 1, toQuestion)
		n++
	}
	data := []byte(b)
	binary.BigEndian.PutUint16(data[6:], uint16(n))
	var p UDP
	got := p.Datagram(nil, flows.Responder, at(1), data)
	if len(got) != 1 || got[0].Malformed != TextLimit || len(got[0].Answers) == 0 || len(got[0].Answers) == n {
		t.Fatalf("%d transactions, %s, %d of %d records", len(got), got[0].Malformed, len(got[0].Answers), n)
	}
	if limit := 2*textBudget(len(data)) + 64<<10; len(p.text) > limit {
		t.Errorf("%d bytes of text", len(p.text))
	}
	p.Reset()
	if cap(p.text) > keepText || cap(p.records) > keepRecords {
		t.Errorf("keeps %d bytes of text and %d records", cap(p.text), cap(p.records))
	}
}

func TestPendingIsBounded(t *testing.T) {
	var p UDP
	var got []Transaction
	for i := range 1000 {
		got = append(got, cloneStamps(p.Datagram(nil, flows.Initiator, at(i+1), []byte(query(uint16(i), "a.b", typeA))))...)
		if len(p.ids) > maxPending || len(p.entries) > maxPending {
			t.Fatalf("%d queries wait", len(p.ids))
		}
	}
	if len(got) != 1000-maxPending {
		t.Errorf("%d were given up, want %d", len(got), 1000-maxPending)
	}
	got = append(got, cloneStamps(p.End(nil))...)
	for i := range got {
		if got[i].ID != uint16(i) || got[i].Outcome != NoResponse {
			t.Fatalf("row %d is of query %d, %s", i, got[i].ID, got[i].Outcome)
		}
	}
	if len(got) != 1000 {
		t.Errorf("%d rows of 1000 queries", len(got))
	}

	p.Reset()
	big := header(1, FlagRD, 1) + question("a.b", typeA) + strings.Repeat("x", 20<<10)
	for i := range 50 {
		data := []byte(big)
		binary.BigEndian.PutUint16(data, uint16(i))
		p.Datagram(nil, flows.Initiator, at(i+1), data)
		if p.bytes > maxPendingBytes {
			t.Fatalf("%d bytes wait", p.bytes)
		}
	}
	p.Reset()
	for _, e := range p.entries {
		if cap(e.buf) > keepQuery {
			t.Errorf("a free place keeps %d bytes", cap(e.buf))
		}
	}

	// And by time.
	p.Datagram(nil, flows.Initiator, flows.Stamp{Time: 0, Pos: 1}, []byte(query(1, "a.b", typeA)))
	late := texts(p.Datagram(nil, flows.Responder, flows.Stamp{Time: maxWait + 1, Pos: 2}, []byte(answer(1, "a.b", typeA))))
	late = append(late, texts(p.End(nil))...)
	if len(late) != 2 || !strings.HasPrefix(late[0], "dns no_response") || !strings.HasPrefix(late[1], "dns no_query") {
		t.Errorf("a response after a minute: %v", late)
	}
}

func cloneStamps(ms []Transaction) []Transaction {
	for i := range ms {
		ms[i].QName, ms[i].QNameRaw = nil, nil
	}
	return ms
}

// stream is both sides' bytes as (side, bytes) runs.
func frames(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(u16(len(m)) + m)
	}
	return b.String()
}

// TestSegmentation: however the streams are cut, the messages are the same but
// for the packets that carried them.
func TestSegmentation(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, record(toQuestion, typeTXT, classIN, uint32(i), charString(strings.Repeat("x", 200))))
	}
	up := frames(query(1, "a.b", typeA), query(2, "Big.example", typeTXT), query(3, "lost.example", typeMX), query(4, "a.b", typeAAAA)) + u16(300) + query(5, "cut.example", typeA)
	down := frames(answer(2, "big.example", typeTXT, many...), answer(1, "a.b", typeA), answer(4, "a.b", typeAAAA), answer(9, "never.asked", typeA))
	random := rand.New(rand.NewSource(1))
	run := func(size func() int) []string {
		var p TCP
		var all []string
		n := 0
		for side, data := range []string{up, down} {
			for len(data) > 0 {
				k := min(size(), len(data))
				segment := []byte(data[:k])
				n++
				all = append(all, strip(texts(p.Feed(nil, flows.Side(side), at(n), segment)))...)
				for i := range segment {
					segment[i] = 0xaa // lent: it may change after the call
				}
				data = data[k:]
			}
		}
		all = append(all, strip(texts(p.Fin(nil, flows.Initiator, at(n+1))))...)
		return append(all, strip(texts(p.End(nil)))...)
	}
	want := run(func() int { return 1 << 20 })
	if len(want) != 6 || !strings.Contains(want[len(want)-2], "cut.example") || !strings.Contains(want[len(want)-2], "truncated") {
		t.Fatalf("%d transactions:\n%s", len(want), strings.Join(want, "\n"))
	}
	for round := range 200 {
		limit := 1 + round
		got := run(func() int { return 1 + random.Intn(limit) })
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("segments of up to %d bytes give\n%s\nwant\n%s", limit, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// strip takes the packet numbers out.
func strip(all []string) []string {
	for i, s := range all {
		fields := strings.Fields(s)
		for j, f := range fields {
			if strings.HasPrefix(f, "q=") || strings.HasPrefix(f, "r=") {
				_, size, _ := strings.Cut(f, ":")
				fields[j] = f[:2] + size
			}
		}
		all[i] = strings.Join(fields, " ")
	}
	return all
}

func TestStreamPackets(t *testing.T) {
	p := TCP{Service: MDNS} // by its port: on a stream it is DNS, and pairs
	q, r := frames(query(1, "a.b", typeA)), frames(answer(1, "a.b", typeA))
	p.Feed(nil, flows.Initiator, at(1), []byte(q[:1]))
	p.Feed(nil, flows.Initiator, at(2), []byte(q[1:5]))
	p.Feed(nil, flows.Initiator, at(3), []byte(q[5:]))
	p.Feed(nil, flows.Responder, at(4), []byte(r[:9]))
	got := texts(p.Feed(nil, flows.Responder, at(5), []byte(r[9:])))
	want := "dns answered initiator q=1-3/3:21 r=4-5:21 id=1 QUERY 0100/8180 NOERROR [1 0 0 0] a.b A IN"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestGaps(t *testing.T) {
	first, second, third := frames(answer(1, "a.b", typeA)), frames(answer(2, "c.d", typeA)), frames(answer(3, "e.f", typeA))
	ids := func(ms []Transaction) (s string) {
		for i := range ms {
			s += fmt.Sprintf("%d%s", ms[i].ID, strings.Replace(ms[i].Malformed.String(), "gap", "!", 1))
			if ms[i].AfterGap {
				s += "~"
			}
			s += " "
		}
		return s
	}
	for _, tt := range []struct {
		name         string
		before, rest string
		gap          int64
		want         string
	}{
		{"inside a message", first + second[:20], second[22:] + third, 2, "1 2!~ 3 "},
		{"to a message's end", first + second[:20], third, int64(len(second) - 20), "1 2!~ 3 "},
		{"beyond it, taken up at a message", first + second[:20], third, 999, "1 2!~ 3~ "},
		{"beyond it, taken up nowhere", first + second[:20], third[1:], 999, "1 2!~ "},
		{"between messages", first, third, int64(len(second)), "1 3~ "},
		{"in a length", first + second[:1], third, 999, "1 3~ "},
		{"before a header is there", first + second[:10], third, 999, "1 3~ "},
		{"none", first, second, 0, "1 2 "},
	} {
		var p TCP
		got := ids(p.Feed(nil, flows.Responder, at(1), []byte(tt.before)))
		got += ids(p.Gap(nil, flows.Responder, at(2), tt.gap))
		got += ids(p.Feed(nil, flows.Responder, at(2), []byte(tt.rest)))
		got += ids(p.End(nil))
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDone(t *testing.T) {
	var p TCP
	if p.Done() {
		t.Error("a new parser is done")
	}
	if got := p.Feed(nil, flows.Initiator, at(1), []byte("\x00\x05hello, this is not DNS")); len(got) != 1 || got[0].Malformed != TCPLength {
		t.Errorf("a length of 5: %v", texts(got))
	}
	if p.Done() {
		t.Error("one side is not DNS, and the other is given up")
	}
	http := frames("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n")
	p.Feed(nil, flows.Responder, at(2), []byte(http))
	if !p.Done() {
		t.Error("not done with two sides that are not DNS")
	}
	if got := p.Feed(nil, flows.Responder, at(3), []byte(frames(answer(1, "a.b", typeA)))); len(got) != 0 {
		t.Errorf("rows after it is done: %v", texts(got))
	}
	p.Reset()
	if p.Feed(nil, flows.Responder, at(3), []byte(frames(answer(1, "a.b", typeA)))); p.Done() || len(p.End(nil)) != 1 {
		t.Error("a reset parser is not as new")
	}
}

// TestReset: a used parser gives what a new one gives.
func TestReset(t *testing.T) {
	p := UDP{Service: LLMNR}
	for i := range 20 {
		p.Datagram(nil, flows.Initiator, at(i+1), []byte(query(uint16(i), "a.b", typeA)))
	}
	p.Reset()
	if got := p.End(nil); len(got) != 0 {
		t.Errorf("%d rows after Reset", len(got))
	}
	p.Datagram(nil, flows.Responder, at(1), []byte(answer(3, "a.b", typeA)))
	if p.Reset(); len(p.End(nil)) != 0 || !p.Idle() {
		t.Error("a response is left after Reset")
	}
	p.Datagram(nil, flows.Responder, at(1), []byte(answer(3, "a.b", typeA)))
	got := texts(p.End(nil))
	if len(got) != 1 || !strings.HasPrefix(got[0], "llmnr no_query") {
		t.Errorf("got %v", got)
	}
}

func TestNoAllocation(t *testing.T) {
	q := []byte(query(1, "www.Example.com", typeA))
	r := []byte(answer(1, "www.Example.com", typeA, record(toQuestion, typeCNAME, classIN, 60, "\x01a"+toQuestion), record("\xc0\x2d", typeA, classIN, 60, "\x01\x02\x03\x04")))
	tcpQ, tcpR := []byte(frames(string(q))), []byte(frames(string(r)))
	var udp UDP
	var tcp TCP
	var dst []Transaction
	n := testing.AllocsPerRun(1000, func() {
		dst = udp.Datagram(dst[:0], flows.Initiator, at(1), q)
		dst = udp.Datagram(dst[:0], flows.Responder, at(2), r)
		dst = tcp.Feed(dst[:0], flows.Initiator, at(1), tcpQ)
		dst = tcp.Feed(dst[:0], flows.Responder, at(2), tcpR[:30])
		dst = tcp.Feed(dst[:0], flows.Responder, at(3), tcpR[30:])
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(dst) != 1 || dst[0].Malformed != WellFormed || len(dst[0].Answers) != 2 {
		t.Errorf("got %v", texts(dst))
	}
}

func TestProbe(t *testing.T) {
	q := query(1, "www.example.com", typeA)
	r := answer(1, "www.example.com", typeA, record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04"))
	padded := header(1, FlagRD, 1, 0, 0, 1) + question("2.dnscrypt-cert.example", typeTXT) + record("\x00", 0, 0, 0, strings.Repeat("\x00", 100))
	netbios := header(1, 0x0110, 1) + question("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 33)
	for _, tt := range []struct {
		name      string
		data      string
		tcp       bool
		onPort    parsers.Verdict
		elsewhere parsers.Verdict
	}{
		{"query", q, false, parsers.Yes, parsers.Yes},
		{"response", r, false, parsers.Yes, parsers.Yes},
		{"DNSCrypt's padding", padded, false, parsers.Yes, parsers.Yes},
		{"empty", "", false, parsers.No, parsers.No},
		{"short", q[:11], false, parsers.No, parsers.No},
		{"cut", q[:20], false, parsers.Yes, parsers.No},
		{"trailing", q + "x", false, parsers.Yes, parsers.No},
		{"more counts than bytes, but a question", header(1, 0, 1, 500) + question("a.b", 1), false, parsers.Yes, parsers.No},
		{"nothing but counts", header(1, 0, 0, 500), false, parsers.No, parsers.No},
		{"unknown opcode", header(1, 9<<11, 1) + question("a.b", 1), false, parsers.Yes, parsers.No},
		{"unknown opcode, nothing else", header(1, 9<<11), false, parsers.No, parsers.No},
		{"unregistered type", query(1, "a.b", 700), false, parsers.Yes, parsers.No},
		{"rcode in a query", header(1, 3, 1) + question("a.b", 1), false, parsers.Yes, parsers.No},
		{"NetBIOS", netbios, false, parsers.Yes, parsers.No},
		{"zeros", strings.Repeat("\x00", 100), false, parsers.Yes, parsers.No},
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, parsers.No, parsers.No},
		{"stream", frames(q, q), true, parsers.Yes, parsers.Yes},
		{"stream, response", frames(r), true, parsers.Yes, parsers.Yes},
		{"stream, nothing", "", true, parsers.Maybe, parsers.Maybe},
		{"stream, a byte", "\x00", true, parsers.Maybe, parsers.Maybe},
		{"stream, header", frames(q)[:14], true, parsers.Yes, parsers.Maybe},
		{"stream, cut", frames(q)[:30], true, parsers.Yes, parsers.Maybe},
		{"stream, all but a byte", frames(r)[:len(r)+1], true, parsers.Yes, parsers.Maybe},
		{"stream, HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, parsers.No, parsers.No},
		{"stream, TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaa", true, parsers.No, parsers.No},
		{"stream, an executable", "MZ\xe8\x00\x00\x00\x00[REU\x89\xe5\x81\xc3\xd6B\x00\x00\xff\xd3\x81\xc3#i", true, parsers.No, parsers.No},
		{"more counts than bytes, and a question that points", header(1, 0, 1, 500) + "\xc0\x0c\x00\x01\x00\x01", false, parsers.Yes, parsers.No},
		{"stream, code behind a length", "\xff\x75\x18\x68\x00\x40\x10\x00\xff\x75\x10\xe8\xe1\x3a\x00\x00\x8b\xf8\x83\xc4\x0c", true, parsers.No, parsers.No},
		{"class of no registry", header(1, 0, 1, 500) + question("a.b", 1)[:5] + "\x00\x01\xf8\x83", false, parsers.Yes, parsers.No},
		{"stream, SSH", "SSH-2.0-OpenSSH_9.6\r\n", true, parsers.No, parsers.No},
	} {
		if got := Probe([]byte(tt.data), tt.tcp, true); got != tt.onPort {
			t.Errorf("%s, on a port of DNS: %d, want %d", tt.name, got, tt.onPort)
		}
		if got := Probe([]byte(tt.data), tt.tcp, false); got != tt.elsewhere {
			t.Errorf("%s, elsewhere: %d, want %d", tt.name, got, tt.elsewhere)
		}
	}
}

func TestServiceOf(t *testing.T) {
	for _, tt := range []struct {
		a, b uint16
		want Service
	}{{40000, 53, DNS}, {5353, 5353, MDNS}, {5355, 40000, LLMNR}, {5353, 53, DNS}, {443, 8443, DNS}} {
		if got := ServiceOf(tt.a, tt.b); got != tt.want {
			t.Errorf("%d %d: %s", tt.a, tt.b, got)
		}
	}
}

func BenchmarkPair(b *testing.B) {
	a := record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04")
	opt := record("\x00", typeOPT, 1232, 0x8000, "\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08")
	q := []byte(query(1, "www.example.com", typeA))
	for _, bb := range []struct {
		name string
		q, r []byte
	}{
		{"bare", q, []byte(answer(1, "www.example.com", typeA))},
		{"answers", q, []byte(answer(1, "www.example.com", typeA, a, a, a, a))},
		{"cname", q, []byte(answer(1, "www.example.com", typeA, record(toQuestion, typeCNAME, classIN, 60, wireName("e1234.dscb.akamaiedge.example")), record("\xc0\x2d", typeA, classIN, 60, "\x01\x02\x03\x04")))},
		{"edns", []byte(header(1, FlagRD, 1, 0, 0, 1) + question("www.example.com", typeA) + opt),
			[]byte(header(1, FlagQR|FlagRD, 1, 1, 0, 1) + question("www.example.com", typeA) + a + opt)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var p UDP
			var dst []Transaction
			b.ReportAllocs()
			for i := range b.N {
				dst = p.Datagram(dst[:0], flows.Initiator, at(i), bb.q)
				dst = p.Datagram(dst[:0], flows.Responder, at(i), bb.r)
			}
		})
	}
}
