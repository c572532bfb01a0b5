package carried

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
	"github.com/caplake/caplake/parsers/tls"
)

// access makes a packet of RADIUS with a packet of EAP, if there is one, in attributes of
// at most 40 bytes, and a State, if there is one.
func access(code, id byte, state, eap string) string {
	attrs := "\x01\x03u"
	for len(eap) > 0 {
		n := min(40, len(eap))
		attrs += string([]byte{attrEAP, byte(2 + n)}) + eap[:n]
		eap = eap[n:]
	}
	attrs += string([]byte{attrSignature, 18}) + strings.Repeat("s", 16)
	if state != "" {
		attrs += string([]byte{attrState, byte(2 + len(state))}) + state
	}
	n := radiusHeader + len(attrs)
	return string([]byte{code, id, byte(n >> 8), byte(n)}) + strings.Repeat("a", 16) + attrs
}

func eapTLS(code, id, typ, flags byte, data string) string {
	n := 6 + len(data)
	return string([]byte{code, id, byte(n >> 8), byte(n), typ, flags}) + data
}

// authentication is what one who asks for access and the server say, by requests from id on.
func authentication(id, typ byte, who string) []part {
	return []part{
		{cl, access(accessRequest, id, "", string([]byte{2, 1, 0, 6, 1, 'u'}))},
		{sv, access(accessChallenge, id, who+"1", eapTLS(1, 2, typ, 0x20, ""))},
		{cl, access(accessRequest, id+1, who+"1", eapTLS(2, 2, typ, 0xc0, "\x00\x00\x00\x32"+clientHello[:20]))},
		{sv, access(accessChallenge, id+1, who+"2", eapTLS(1, 3, typ, 0, ""))},
		{cl, access(accessRequest, id+2, who+"2", eapTLS(2, 3, typ, 0, clientHello[20:]))},
		{cl, access(accessRequest, id+2, who+"2", eapTLS(2, 3, typ, 0, clientHello[20:]))}, // again
		{sv, access(accessChallenge, id+2, who+"3", eapTLS(1, 4, typ, 0, serverHello))},
		{cl, access(accessRequest, id+3, who+"3", eapTLS(2, 4, typ, 0, ended))},
		{sv, access(accessChallenge, id+3, who+"4", eapTLS(1, 5, typ, 0, ended))},
		{cl, access(accessRequest, id+4, who+"4", eapTLS(2, 5, typ, 0, ""))},
		{sv, access(accessAccept, id+4, "", string([]byte{3, 5, 0, 4}))},
	}
}

func newRADIUS() parsers.DatagramParser[tls.Handshake] { return RADIUS(newTLS).Datagram() }

func play(p parsers.DatagramParser[tls.Handshake], parts []part) (got []string) {
	say := func(list []tls.Handshake) {
		for i := range list {
			m := &list[i]
			got = append(got, fmt.Sprint(m.Outcome, m.ClientHellos, m.Client.Complete, m.Server.Complete, m.Malformed))
		}
	}
	for i, c := range parts {
		say(p.Datagram(nil, c.side, flows.Stamp{Time: int64(i), Pos: flows.NewPosition(1, uint64(i+1))}, []byte(c.data)))
	}
	say(p.End(nil))
	return got
}

func TestRADIUS(t *testing.T) {
	whole := "established 1 true true"
	for _, typ := range []byte{13, 21, 25, 43, 55} {
		if got := play(newRADIUS(), authentication(7, typ, "A")); !slices.Equal(got, []string{whole}) {
			t.Errorf("EAP type %d: %q", typ, got)
		}
	}
	if got := play(newRADIUS(), authentication(7, 26, "A")); got != nil {
		t.Errorf("EAP-MSCHAPv2: %q", got)
	}
	// Two at a time, packet by packet.
	var both []part
	a, b := authentication(7, 13, "A"), authentication(200, 25, "B")
	for i := range a {
		both = append(both, a[i], b[i])
	}
	if got := play(newRADIUS(), both); !slices.Equal(got, []string{whole, whole}) {
		t.Errorf("two at a time: %q", got)
	}
	// An identifier that is used again is of another exchange.
	again := append(a[:7:7], b...)
	again = append(again, authentication(9, 13, "C")...)
	if got := play(newRADIUS(), again); !slices.Equal(got, []string{whole, whole, "incomplete 1 true true"}) {
		t.Errorf("an identifier again: %q", got)
	}
	// Refused, and given up.
	if got := play(newRADIUS(), append(a[:7:7], part{sv, access(accessReject, 9, "", "")})); !slices.Equal(got, []string{"incomplete 1 true true"}) {
		t.Errorf("refused: %q", got)
	}
	p := newRADIUS().(*radius[tls.Handshake])
	var many []part
	for i := range maxExchanges + 3 {
		many = append(many, authentication(byte(5*i), 13, fmt.Sprint("user ", i, " "))[:5]...)
	}
	if got := play(p, many); len(got) != maxExchanges+3 || p.GivenUp() != 3 {
		t.Errorf("%d messages, %d given up", len(got), p.GivenUp())
	}
	if p.Reset(); !p.Idle() || len(p.exchanges) > 2 {
		t.Error("after Reset")
	}
	// What the flow is recognized by.
	probe := RADIUS(newTLS).Probe
	for i, c := range a {
		if v := probe(nil, c.side, []byte(c.data)); v != parsers.Yes {
			t.Errorf("packet %d: probe says %d", i, v)
		}
		data := []byte(c.data)
		data[3]++
		if v := probe(nil, c.side, data); v != parsers.No {
			t.Errorf("packet %d with another length: probe says %d", i, v)
		}
	}
	if v := probe(nil, cl, []byte(access(accessRequest, 1, "s", ""))); v != parsers.No {
		t.Errorf("no EAP: probe says %d", v)
	}
	data := []byte(a[2].data)
	if n := testing.AllocsPerRun(10, func() { probe(nil, cl, data) }); n != 0 {
		t.Errorf("probe: %v allocations", n)
	}
}

func TestRADIUSLaws(t *testing.T) {
	script := parsertest.Script{Name: "two", Messages: 2}
	for _, c := range slices.Concat(authentication(7, 13, "A"), authentication(17, 25, "B")) {
		script.Calls = append(script.Calls, parsertest.Feed(c.side, c.data))
	}
	parsertest.Datagram[tls.Handshake]{New: newRADIUS, Text: text, Scripts: []parsertest.Script{script}, MaxHeld: 4 << 20,
		Again: []parsertest.Call{parsertest.Feed(cl, access(accessRequest, 1, "", "")), parsertest.Feed(sv, access(accessAccept, 1, "", ""))}}.Test(t)
}

func FuzzRADIUS(f *testing.F) {
	for _, c := range authentication(7, 13, "A") {
		f.Add([]byte(c.data), []byte(access(accessChallenge, 7, "A1", eapTLS(1, 2, 13, 0x20, ""))))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := newRADIUS()
		for _, d := range [][]byte{a, b, a} {
			p.Datagram(nil, cl, flows.Stamp{}, d)
			p.Datagram(nil, sv, flows.Stamp{}, d)
		}
		p.End(nil)
		p.Reset()
	})
}
