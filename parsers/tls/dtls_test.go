package tls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

var _ parsers.DatagramParser[Handshake] = (*Datagrams)(nil)

// dtlsMessages for tests: one handshake message with its number.
type numbered struct {
	side   flows.Side
	number int
	typ    byte
	body   []byte
}

func (m *numbered) fragment(from, to int) []byte {
	n := len(m.body)
	b := []byte{m.typ, byte(n >> 16), byte(n >> 8), byte(n), byte(m.number >> 8), byte(m.number), byte(from >> 16), byte(from >> 8), byte(from),
		byte((to - from) >> 16), byte((to - from) >> 8), byte(to - from)}
	return append(b, m.body[from:to]...)
}

func dtlsOf(typ byte, epoch, number int, body []byte) []byte {
	b := []byte{typ, 0xfe, 0xfd, byte(epoch >> 8), byte(epoch), 0, 0, 0, 0, byte(number >> 8), byte(number)}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

const (
	cli = flows.Initiator
	srv = flows.Responder
)

// dtlsHello is a ClientHello with a cookie of n bytes.
func dtlsHello(random byte, n int) []byte {
	b := append([]byte{0xfe, 0xfd}, bytes.Repeat([]byte{random}, 32)...)
	b = append(b, 0, byte(n))
	b = append(b, make([]byte, n)...)
	b = append(b, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0)
	name := "a.example.org"
	ext := []byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}
	ext = append(append(ext, name...), 0, 10, 0, 4, 0, 2, 0, 29)
	return append(append(b, 0, byte(len(ext))), ext...)
}

func dtlsServerHello(extensions ...byte) []byte {
	b := append([]byte{0xfe, 0xfd}, bytes.Repeat([]byte{9}, 32)...)
	b = append(b, 0, 0xc0, 0x2b, 0)
	if len(extensions) > 0 {
		b = append(append(b, 0, byte(len(extensions))), extensions...)
	}
	return b
}

// dtlsHandshake is a full handshake, with a cookie and a chain of n bytes.
func dtlsHandshake(n int) []numbered {
	der := bytes.Repeat([]byte{0x30, 0x82, 7}, n)
	chain := append([]byte{0, 0, 0, 0, 0, 0}, der...)
	for i, v := range []int{len(der) + 3, len(der)} {
		chain[3*i], chain[3*i+1], chain[3*i+2] = byte(v>>16), byte(v>>8), byte(v)
	}
	return []numbered{
		{cli, 0, typeClientHello, dtlsHello(1, 0)},
		{srv, 0, typeHelloVerify, append([]byte{0xfe, 0xff, 20}, make([]byte, 20)...)},
		{cli, 1, typeClientHello, dtlsHello(1, 20)},
		{srv, 1, typeServerHello, dtlsServerHello()},
		{srv, 2, typeCertificate, chain},
		{srv, 3, typeServerKeyExchange, append([]byte{3, 0, 29, 32}, make([]byte, 100)...)},
		{srv, 4, typeServerHelloDone, nil},
		{cli, 2, typeKeyExchange, make([]byte, 33)},
	}
}

// finished is how both sides go on to protected data.
func finished() []chunk {
	last := append(dtlsOf(recordChangeCipherSpec, 0, 50, []byte{1}), dtlsOf(recordHandshake, 1, 0, make([]byte, 40))...)
	return []chunk{{cli, last}, {srv, last}, {cli, dtlsOf(recordApplicationData, 1, 1, make([]byte, 100))}}
}

// datagramsOf puts messages in datagrams, in fragments of n bytes.
func datagramsOf(messages []numbered, n int) (all []chunk) {
	number := 0
	for i := range messages {
		m := &messages[i]
		for from := 0; from == 0 || from < len(m.body); from += n {
			all = append(all, chunk{m.side, dtlsOf(recordHandshake, 0, number, m.fragment(from, min(from+n, len(m.body))))})
			number++
		}
	}
	return all
}

func playDatagrams(p *Datagrams, chunks []chunk) (messages []string, last Handshake) {
	var out []Handshake
	take := func() {
		for i := range out {
			messages = append(messages, describeDatagrams(&out[i]))
			last = out[i]
		}
		out = out[:0]
	}
	for i, c := range chunks {
		lent := bytes.Clone(c.data)
		out = p.Datagram(out, c.side, flows.Stamp{Time: int64(i + 1), Pos: flows.NewPosition(1, uint64(i+1))}, lent)
		for j := range lent {
			lent[j] = 0xee
		}
		take()
	}
	out = p.End(out)
	take()
	return messages, last
}

// describeDatagrams leaves out how often a hello was seen.
func describeDatagrams(m *Handshake) string {
	return fmt.Sprintf("%c %s", m.Transport, describe(m))
}

// TestDatagrams: a handshake in whole messages, and the same in fragments of
// every size, in any order, twice.
func TestDatagrams(t *testing.T) {
	messages := dtlsHandshake(200)
	var p Datagrams
	got, m := playDatagrams(&p, slices.Concat(datagramsOf(messages, 1<<14), finished()))
	if len(got) != 1 || m.Transport != DTLS || m.Outcome != Established || m.Established != Yes || m.HelloRetry != Yes || m.Resumed != No ||
		string(m.Client.SNI) != "a.example.org" || m.Client.RecordVersion != 0xfefd || len(m.ServerChain) != 1 || len(m.ServerChain[0].DER) != 600 ||
		m.Server.Group != 29 || m.ClientHellos != 2 || m.ServerHellos != 1 || m.Malformed != "" || m.Done.Time != 10 || m.ServerChainAt.Time != 5 || m.ClientAuth != No {
		t.Fatalf("%s %+v", got, m)
	}
	if ja4 := string(m.Client.AppendJA4(nil, m.Transport)); !strings.HasPrefix(ja4, "dd2d020200_") {
		t.Errorf("ja4 %s", ja4)
	}
	want := got[0]
	if !p.Idle() {
		t.Error("holds something after the handshake")
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := 1; n < 700; n += 1 + n/8 {
		all := datagramsOf(messages, n)
		if n > 20 {
			all = append(all, all...) // sent again
			head := len(datagramsOf(messages[:1], n))
			// The order within the flights is free, but for who speaks first.
			rest := all[head:]
			rnd.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		}
		p.Reset()
		got, m := playDatagrams(&p, append(all, finished()...))
		if len(got) != 1 || got[0] != want {
			t.Fatalf("fragments of %d: %s\nwant %s", n, got, want)
		}
		// A last fragment that comes twice before the others counts once.
		if n > 20 && (m.ClientHellos < 3 || m.ClientHellos > 4) {
			t.Errorf("fragments of %d: %d client hellos", n, m.ClientHellos)
		}
	}
}

func TestDatagramOutcomes(t *testing.T) {
	full := datagramsOf(dtlsHandshake(10), 1<<14)
	hello := full[:1]
	stunBinding := chunk{cli, append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)}
	srtp := chunk{srv, append([]byte{0x90, 0x6f}, make([]byte, 60)...)}
	another := chunk{cli, dtlsOf(recordHandshake, 0, 0, (&numbered{cli, 0, typeClientHello, dtlsHello(2, 0)}).fragment(0, len(dtlsHello(2, 0))))}
	resumed := datagramsOf([]numbered{{cli, 0, typeClientHello, dtlsHello(1, 0)}, {srv, 0, typeServerHello, dtlsServerHello()}}, 1<<14)
	v13 := datagramsOf([]numbered{{cli, 0, typeClientHello, dtlsHello(1, 0)}, {srv, 0, typeServerHello, dtlsServerHello(0, 43, 0, 2, 0xfe, 0xfc)}}, 1<<14)
	secret := func(side flows.Side, n int) chunk {
		return chunk{side, append([]byte{0x2e, 0, 1, byte(n >> 8), byte(n)}, make([]byte, n)...)}
	}
	for _, c := range []struct {
		name string
		all  []chunk
		want string // of each message: outcome, established, resumed, hellos, chain, malformed
	}{
		{"whole", slices.Concat(full, finished()), "established 2 1 2+1 1 "},
		{"other protocols between", slices.Concat([]chunk{stunBinding}, full[:3], []chunk{stunBinding, srtp}, full[3:], []chunk{srtp}, finished(), []chunk{srtp}), "established 2 1 2+1 1 "},
		{"hello alone", hello, "incomplete 0 0 1+0 0 "},
		{"hello again", slices.Concat(hello, hello), "incomplete 0 0 2+0 0 "},
		{"two hellos", slices.Concat(hello, []chunk{another}), "incomplete 0 0 1+0 0 ;incomplete 0 0 1+0 0 "},
		{"two handshakes", slices.Concat(full, finished(), []chunk{another}), "established 2 1 2+1 1 ;incomplete 0 0 1+0 0 "},
		{"resumed", slices.Concat(resumed, finished()), "established 2 2 1+1 0 "},
		{"alert", slices.Concat(hello, []chunk{{srv, dtlsOf(recordAlert, 0, 0, []byte{2, 40})}}), "alert 1 0 1+0 0 "},
		{"protected alert", slices.Concat(full, finished()[:1], []chunk{{srv, dtlsOf(recordAlert, 1, 0, make([]byte, 40))}}), "encrypted_alert 1 0 2+1 1 "},
		{"1.3", slices.Concat(v13, []chunk{secret(srv, 100), secret(srv, 900), secret(cli, 60)}), "established 2 1 1+1 0 "},
		{"1.3, protected alert", slices.Concat(v13, []chunk{secret(srv, 100), secret(cli, 19)}), "encrypted_alert 1 1 1+1 0 "},
		{"server alone", full[3:7], "incomplete 0 0 0+1 1 "},
		{"protected data alone", finished()[2:], ""},
		{"lengths of a fragment", slices.Concat(hello, []chunk{{srv, dtlsOf(recordHandshake, 0, 0, []byte{2, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0})}}), "incomplete 0 0 1+0 0 handshake: lengths of a fragment"},
	} {
		var p Datagrams
		var out []Handshake
		for i, d := range c.all {
			out = p.Datagram(out, d.side, flows.Stamp{Time: int64(i + 1), Pos: flows.NewPosition(1, uint64(i+1))}, d.data)
		}
		out = p.End(out)
		var got []string
		for _, m := range out {
			got = append(got, fmt.Sprintf("%v %d %d %d+%d %d %s", m.Outcome, m.Established, m.Resumed, m.ClientHellos, m.ServerHellos, len(m.ServerChain), m.Malformed))
		}
		if s := strings.Join(got, ";"); s != c.want {
			t.Errorf("%s: %q, want %q", c.name, s, c.want)
		}
	}
}

// TestDatagramHole: a hello whose end was not captured is told as far as it was.
func TestDatagramHole(t *testing.T) {
	m := numbered{cli, 0, typeClientHello, dtlsHello(1, 0)}
	var p Datagrams
	_, h := playDatagrams(&p, []chunk{{cli, dtlsOf(recordHandshake, 0, 0, m.fragment(0, 50))}})
	if !h.Client.Seen || h.Client.Complete || len(h.Client.Ciphers) != 2 || h.Client.Fingerprinted() {
		t.Errorf("%+v", h.Client)
	}
}

// TestDatagramBounds: no more is held than some messages of bounded size.
func TestDatagramBounds(t *testing.T) {
	p := Datagrams{Config: Config{MaxMessage: 1000}}
	for number := range dtlsMessages + 5 {
		m := numbered{srv, number, typeCertificate, make([]byte, 60000)}
		for from := 40; from < 60000; from += 997 {
			p.Datagram(nil, srv, flows.Stamp{Time: 1}, dtlsOf(recordHandshake, 0, 0, m.fragment(from, min(from+900, 60000))))
		}
	}
	held := 0
	for i := range p.sides {
		for j := range p.sides[i].open {
			m := &p.sides[i].open[j]
			if m.buf.Add(999, []byte{1}, 1000); m.typ != 0 {
				held++
			}
		}
	}
	if held != dtlsOpen || !p.parser().h.Oversize || p.parser().h.Malformed == "" {
		t.Errorf("%d messages held, oversize %v, malformed %q", held, p.parser().h.Oversize, p.parser().h.Malformed)
	}
}

func TestProbeDatagram(t *testing.T) {
	full := datagramsOf(dtlsHandshake(10), 1<<14)
	edit := func(b []byte, i int, v byte) []byte { b = bytes.Clone(b); b[i] = v; return b }
	hello := full[0].data
	for _, c := range []struct {
		name string
		data []byte
		want parsers.Verdict
	}{
		{"ClientHello", hello, parsers.Yes},
		{"HelloVerifyRequest", full[1].data, parsers.Yes},
		{"fragment", datagramsOf(dtlsHandshake(10), 30)[1].data, parsers.Yes},
		{"alert", dtlsOf(recordAlert, 0, 0, []byte{2, 40}), parsers.Yes},
		{"alert nobody knows", dtlsOf(recordAlert, 0, 0, []byte{2, 99}), parsers.No},
		{"protected", finished()[2].data, parsers.Yes},
		{"protected and more", append(finished()[2].data, 1), parsers.No},
		{"ChangeCipherSpec alone", dtlsOf(recordChangeCipherSpec, 0, 0, []byte{1}), parsers.No},
		{"TLS over UDP", edit(hello, 1, 3), parsers.No},
		{"cut", hello[:40], parsers.No},
		{"type nobody knows", edit(hello, dtlsHeader, 99), parsers.No},
		{"nothing", nil, parsers.No},
	} {
		if got := ProbeDatagram(c.data, cli); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !BeginsDatagram(hello) || BeginsDatagram(full[3].data) || BeginsDatagram(finished()[2].data) || BeginsDatagram(nil) {
		t.Error("BeginsDatagram")
	}
}

func TestDatagramLaws(t *testing.T) {
	script := parsertest.Script{Name: "full", Messages: 1}
	for _, c := range append(datagramsOf(dtlsHandshake(20), 90), finished()...) {
		script.Calls = append(script.Calls, parsertest.Feed(c.side, c.data))
	}
	parsertest.Datagram[Handshake]{
		New:     func() parsers.DatagramParser[Handshake] { return new(Datagrams) },
		Text:    func(m *Handshake) string { return fmt.Sprint(m.First, m.Last, m.Done, describeDatagrams(m)) },
		Scripts: []parsertest.Script{script},
		MaxHeld: 256 << 10,
		Again:   []parsertest.Call{parsertest.Feed(srv, finished()[2].data)},
	}.Test(t)
}

// TestMessages: hellos without records are read as those with.
func TestMessages(t *testing.T) {
	for name, chunks := range sessions(t) {
		var p, q Parser
		for _, c := range chunks {
			for data := c.data; len(data) >= 5 && data[0] == recordHandshake; {
				n := 5 + int(data[3])<<8 + int(data[4])
				if typ := data[5]; typ == typeClientHello || typ == typeServerHello {
					for _, b := range data[5:n] { // any cut
						p.Messages(c.side, flows.Stamp{Time: 1}, []byte{b})
					}
					q.Feed(nil, c.side, flows.Stamp{Time: 1}, data[:n])
				}
				data = data[n:]
			}
		}
		got, want := p.End(nil), q.End(nil)
		if len(got) != 1 || len(want) != 1 {
			t.Fatalf("%s: %d and %d messages", name, len(got), len(want))
		}
		want[0].Client.RecordVersion, want[0].Server.RecordVersion = 0, 0
		if got[0].Transport != QUIC || want[0].Transport != TCP || describe(&got[0]) != describe(&want[0]) {
			t.Errorf("%s:\n%s\nwant\n%s", name, describe(&got[0]), describe(&want[0]))
		}
	}
}

func FuzzDatagrams(f *testing.F) {
	for _, c := range append(datagramsOf(dtlsHandshake(20), 90), finished()...) {
		f.Add(c.data, c.data)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := Datagrams{Config: Config{MaxMessage: 4096, MaxChain: 4}}
		var out []Handshake
		for i, data := range [][]byte{a, b, b, a} {
			ProbeDatagram(data, cli)
			BeginsDatagram(data)
			out = p.Datagram(out[:0], flows.Side(i&1), flows.Stamp{Time: int64(i)}, data)
			for j := range out {
				describe(&out[j])
			}
		}
		for _, m := range p.End(out[:0]) {
			if len(m.ServerChain) > 4 {
				t.Fatal("holds too many certificates")
			}
		}
	})
}
