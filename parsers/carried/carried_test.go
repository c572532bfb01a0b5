package carried

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
	"github.com/caplake/caplake/parsers/tls"
)

const (
	cl = flows.Initiator
	sv = flows.Responder
)

var (
	clientHello = unhex("16 0301 002d 01 000029 0303" + strings.Repeat("aa", 32) + "00 0002 c02f 01 00")
	serverHello = unhex("16 0303 002a 02 000026 0303" + strings.Repeat("bb", 32) + "00 c02f 00")
	ended       = unhex("14 0303 0001 01 16 0303 0004 01020304") // change_cipher_spec, Finished

	// VERSION, ENCRYPTION, INSTOPT, THREADID, MARS, the end, and what they point to
	options = unhex("00 001a 0006 01 0020 0001 02 0021 0001 03 0022 0004 04 0026 0001 ff 0b000c380000 01 00 00001234 00")
	answer  = unhex("00 000b 0006 01 0011 0001 ff 0b000c380000 01")
)

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func packet(typ byte, data string) string {
	n := tdsHeader + len(data)
	return string([]byte{typ, 1, byte(n >> 8), byte(n), 0, 0, 1, 0}) + data
}

// framed is a frame of WebSocket, masked where key is not 0.
func framed(first byte, key uint32, data string) string {
	b := []byte{first, byte(len(data))}
	if n := len(data); n > 125 {
		b = []byte{first, 126, byte(n >> 8), byte(n)}
	}
	if key == 0 {
		return string(b) + data
	}
	b[1] |= 0x80
	return string(unmask(binary.BigEndian.AppendUint32(b, key), []byte(data), &key))
}

func token(b string) string { return base64.StdEncoding.EncodeToString([]byte(b)) }

type part struct {
	side flows.Side
	data string
}

var scripts = []struct {
	name     string
	protocol parsers.Protocol[tls.Handshake]
	parts    []part
	outcome  tls.Outcome
	messages int
}{
	{"TDS", TDS(newTLS), []part{
		{cl, packet(tdsPrelogin, options)},
		{sv, packet(tdsReply, answer)},
		{cl, packet(tdsPrelogin, clientHello)},
		{sv, packet(tdsPrelogin, serverHello[:30]) + packet(tdsPrelogin, serverHello[30:])},
		{cl, packet(tdsPrelogin, ended)},
		{sv, packet(tdsPrelogin, ended)},
		{cl, unhex("17 0303 0003 010203")},
	}, tls.Established, 1},
	{"TDS, records alone from the first on that may", TDS(newTLS), []part{
		{cl, packet(tdsPrelogin, options)},
		{sv, packet(tdsReply, answer)},
		{cl, packet(tdsPrelogin, clientHello)},
		{sv, packet(tdsReply, serverHello+ended)},
		{cl, ended + unhex("17 0303 0003 010203")},
	}, tls.Established, 1},
	{"TDS without encryption", TDS(newTLS), []part{
		{cl, packet(tdsPrelogin, options)},
		{sv, packet(tdsReply, answer)},
		{cl, packet(0x10, clientHello)},
	}, 0, 0},
	{"TDS joined late", TDS(newTLS), []part{
		{cl, packet(tdsPrelogin, clientHello)},
		{sv, packet(tdsPrelogin, serverHello)},
	}, tls.Incomplete, 1},
	{"FTP", FTP(newTLS), []part{
		{cl, "ADAT " + token(clientHello) + "\r\n"},
		{sv, "335 ADAT=" + token(serverHello) + "\r\n"},
		{cl, "adat " + token(ended) + "\r\n"},
		{sv, "335-more to come\r\n335 ADAT=" + token(ended[:7]) + "\r\n"},
		{cl, "ADAT\r\n"},
		{sv, "235 ADAT=" + token(ended[7:]) + "\r\n"},
		{cl, "ENC " + token("anything") + "\r\n"},
	}, tls.Established, 1},
	{"WebSocket", WebSocket(tls.Protocol(tls.Config{})), []part{
		{cl, framed(0x82, 0x8eefaa40, clientHello)},
		{sv, framed(0x02, 0, serverHello[:30]) + framed(0x89, 0, "ping") + framed(0x80, 0, serverHello[30:])},
		{cl, framed(0x8a, 0x01020304, "ping") + framed(0x82, 0x80000000, ended[:5]) + framed(0x82, 0, ended[5:])},
		{sv, framed(0x81, 0, ended)},
		{cl, framed(0x82, 0, unhex("17 0303 0003 010203")) + framed(0x88, 0, "\x03\xe8")},
	}, tls.Established, 1},
	{"WebSocket, closed", WebSocket(tls.Protocol(tls.Config{})), []part{
		{cl, framed(0x82, 7, clientHello)},
		{sv, framed(0x82, 0, serverHello)},
		{cl, framed(0x88, 7, "\x03\xe8") + framed(0x82, 0, ended)},
		{sv, framed(0x88, 0, "\x03\xe8") + framed(0x82, 0, ended)},
	}, tls.Incomplete, 1},
	{"WebSocket, then compressed", WebSocket(tls.Protocol(tls.Config{})), []part{
		{cl, framed(0x82, 7, clientHello)},
		{sv, framed(0x82, 0, serverHello)},
		{sv, framed(0xc2, 0, ended)},
	}, tls.Incomplete, 1},
	{"FTP, broken tokens", FTP(newTLS), []part{
		{cl, "ADAT " + token(clientHello) + "\r\nADAT F*MB\r\nADAT =AAA\r\nADAT A=AA\r\nADAT AA=A\r\n"},
		{sv, "335 ADAT=" + token(serverHello) + "====\r\n"},
	}, tls.Incomplete, 1},
}

func newTLS() parsers.SessionParser[tls.Handshake] { return new(tls.Parser) }

func text(m *tls.Handshake) string {
	return fmt.Sprint(m.First, m.Last, m.Done, m.Outcome, m.ClientHellos, m.ServerHellos, m.Client.Ciphers, m.Server.Cipher, m.AfterGap, m.Malformed)
}

func TestScripts(t *testing.T) {
	for _, x := range scripts {
		p := x.protocol.Stream()
		var got []string
		for i, c := range x.parts {
			for _, m := range p.Feed(nil, c.side, flows.Stamp{Time: int64(i), Pos: flows.NewPosition(1, uint64(i+1))}, []byte(c.data)) {
				got = append(got, fmt.Sprint(m.Outcome, m.Client.Complete, m.Server.Complete, m.Malformed))
			}
		}
		done := p.Done()
		for _, m := range p.End(nil) {
			got = append(got, fmt.Sprint(m.Outcome, m.Client.Complete, m.Server.Complete, m.Malformed))
		}
		if x.messages == 0 && (len(got) > 0 || !done) || x.messages == 1 && fmt.Sprint(got) != fmt.Sprintf("[%v true true]", x.outcome) {
			t.Errorf("%s: %q, done %v", x.name, got, done)
		}
		// All but the first script's first packet are told from the first bytes.
		data := []byte(x.parts[0].data)
		f := &flows.Flow{}
		if v := x.protocol.Probe(f, cl, data); v != parsers.Yes {
			t.Errorf("%s: probe says %d", x.name, v)
		}
		for i := range data {
			if v := x.protocol.Probe(f, cl, data[:i]); v == parsers.No {
				t.Errorf("%s: probe of %d bytes says no", x.name, i)
			}
		}
		if n := testing.AllocsPerRun(10, func() { x.protocol.Probe(f, cl, data) }); n > 1 || n > 0 && x.protocol.Name != "websocket" { // to unmask
			t.Errorf("%s: probe: %v allocations", x.name, n)
		}
	}
}

func TestProbe(t *testing.T) {
	for _, b := range []string{
		packet(0x10, options), packet(tdsPrelogin, "GET / HTTP/1.1\r\n"), packet(tdsPrelogin, options[:26]), packet(tdsPrelogin, "\xff"+options),
		packet(tdsPrelogin, ended+serverHello), packet(tdsPrelogin, strings.Replace(options, "\x00\x06", "\x00\x07", 1)),
		"ADAT YIIC", "ADAT FgMFAAAA", "335 ADAT=YII", "335 ADAT YII", "ADATA FgM", "\x12\x34\x00\x10", "220 ADAT ready\r\n", "Hello",
	} {
		if v := max(probeTDS([]byte(b), cl), probeADAT([]byte(b), cl)); v != parsers.No {
			t.Errorf("%q: %v", b, v)
		}
	}
}

func TestProbeWebSocket(t *testing.T) {
	for b, want := range map[string]parsers.Verdict{
		framed(0x82, 1, clientHello):                              parsers.Yes,
		framed(0x01, 0, serverHello):                              parsers.Yes,
		"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + clientHello:  parsers.Yes,
		"\x82\x7f\xff\x00\x00\x00\x00\x01\x00\x00" + clientHello:  parsers.No, // RFC 6455: the first bit is 0
		framed(0x82, 1, clientHello)[:8]:                          parsers.Maybe,
		framed(0x80, 0, clientHello):                              parsers.No, // goes on with what is not known
		framed(0x83, 0, clientHello):                              parsers.No,
		framed(0xc2, 0, clientHello):                              parsers.No,
		framed(0x89, 0, "ping"):                                   parsers.No,
		framed(0x82, 0, "GET / HTTP/1.1"):                         parsers.No,
		framed(0x82, 0, ""):                                       parsers.No,
		framed(0x82, 0, clientHello[:3]) + framed(0x80, 0, "..."): parsers.No,
	} {
		if v := overWebSocket.Probe(nil, cl, []byte(b)); v != want {
			t.Errorf("%q: %v, want %v", b, v, want)
		}
	}
}

var overWebSocket = WebSocket(tls.Protocol(tls.Config{}))

func TestGap(t *testing.T) {
	for _, x := range []struct {
		name  string
		parts []part // a gap stands where data is ""
		after bool
	}{
		{"in options", []part{{cl, packet(tdsPrelogin, options)[:20]}, {cl, ""}, {cl, packet(tdsPrelogin, options)[30:] + packet(tdsPrelogin, clientHello)}}, false},
		{"in TLS", []part{{cl, packet(tdsPrelogin, options) + packet(tdsPrelogin, clientHello)}, {sv, packet(tdsPrelogin, serverHello)[:30]}, {sv, ""}, {sv, ended}}, true},
	} {
		p := TDS(newTLS).Stream()
		for i, c := range x.parts {
			at := flows.Stamp{Time: int64(i), Pos: flows.NewPosition(1, uint64(i+1))}
			if c.data == "" {
				p.Gap(nil, c.side, at, 10)
			} else {
				p.Feed(nil, c.side, at, []byte(c.data))
			}
		}
		got := p.End(nil)
		if len(got) != 1 || !got[0].Client.Complete || got[0].AfterGap != x.after {
			t.Errorf("%s: %+v", x.name, got)
		}
	}
}

func TestLaws(t *testing.T) {
	for _, x := range scripts {
		script := parsertest.Script{Name: "it", Messages: x.messages}
		for _, c := range x.parts {
			script.Calls = append(script.Calls, parsertest.Feed(c.side, c.data))
		}
		laws := parsertest.Session[tls.Handshake]{New: x.protocol.Stream, Text: text, Scripts: []parsertest.Script{script}, MaxHeld: 512 << 10}
		if x.name == "TDS" {
			laws.Quiet = script.Calls
			laws.Again = parsertest.Feed(cl, unhex("17 0303 0003 010203"))
		}
		t.Run(x.name, laws.Test)
	}
}

func Fuzz(f *testing.F) {
	for _, x := range scripts {
		var b [2]string
		for _, c := range x.parts {
			b[c.side] += c.data
		}
		f.Add([]byte(b[cl]), []byte(b[sv]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, p := range []parsers.SessionParser[tls.Handshake]{TDS(newTLS).Stream(), FTP(newTLS).Stream(), overWebSocket.Stream()} {
			p.Feed(nil, cl, flows.Stamp{}, a)
			p.Feed(nil, sv, flows.Stamp{}, b)
			p.End(nil)
			p.Reset()
		}
		for i := range min(len(a), 64) {
			probeTDS(a[:i], cl)
			probeADAT(a[:i], cl)
			overWebSocket.Probe(nil, cl, a[:i])
		}
	})
}
