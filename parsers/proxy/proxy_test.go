package proxy

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

const (
	cl = flows.Initiator
	sv = flows.Responder
)

func render(m *Message) string {
	host := string(m.Host)
	if ip, ok := netip.AddrFromSlice(m.Host); ok && !m.Name {
		host = ip.String()
	}
	return fmt.Sprintf("%d client %d %s %d", m.Kind, m.Client, host, m.Port)
}

type part struct {
	side flows.Side
	data string
}

func c(data string) part { return part{cl, data} }
func s(data string) part { return part{sv, data} }

var scripts = []struct {
	name  string
	parts []part
	want  string    // message
	rest  [2]string // what is left to the other protocol
	probe parsers.Verdict
}{
	{"socks5", []part{c("\x05\x02\x00\x02"), s("\x05\x00"), c("\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb"), s("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"), c("GET"), s("HTTP")},
		"2 client 0 10.0.0.1 443", [2]string{"GET", "HTTP"}, parsers.Yes},
	{"socks5 with a name and a password, a client that does not wait", []part{c("\x05\x01\x02"), s("\x05\x02"), c("\x01\x02me\x02pw\x05\x01\x00\x03\x04h.te\x00\x50GET"), s("\x01\x00\x05\x00\x00\x03\x01h\x00\x50"), s("HTTP")},
		"2 client 0 h.te 80", [2]string{"GET", "HTTP"}, parsers.Yes},
	{"socks5 refused", []part{c("\x05\x01\x00"), s("\x05\x00"), c("\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb"), s("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")}, "", [2]string{}, parsers.Yes},
	{"socks5, none of its methods", []part{c("\x05\x01\x01"), s("\x05\xff")}, "", [2]string{}, parsers.Maybe},
	{"socks4", []part{c("\x04\x01\x00\x50\x0a\x00\x00\x01me\x00"), s("\x00\x5a\x00\x00\x00\x00\x00\x00HTTP"), c("GET")}, "1 client 0 10.0.0.1 80", [2]string{"GET", "HTTP"}, parsers.Yes},
	{"socks4a", []part{c("\x04\x01\x00\x50\x00\x00\x00\x01\x00h.te\x00"), s("\x00\x5a\x00\x00\x00\x00\x00\x00"), c("GET")}, "1 client 0 h.te 80", [2]string{"GET", ""}, parsers.Yes},
	{"socks4 refused", []part{c("\x04\x01\x00\x50\x0a\x00\x00\x01\x00"), s("\x00\x5b\x00\x00\x00\x00\x00\x00")}, "", [2]string{}, parsers.Yes},
	{"proxy 1", []part{c("PROXY TCP4 10.1.1.1 10.2.2.2 1025 443\r\n\x16\x03\x01"), s("\x16\x03\x03")}, "3 client 0 10.2.2.2 443", [2]string{"\x16\x03\x01", "\x16\x03\x03"}, parsers.Yes},
	{"proxy 1 unknown", []part{c("PROXY UNKNOWN\r\n"), c("GET")}, "3 client 0  0", [2]string{"GET", ""}, parsers.Yes},
	{"proxy 2", []part{c(signature2 + "\x21\x11\x00\x10\x0a\x01\x01\x01\x0a\x02\x02\x02\x04\x01\x01\xbbTLV!GET")}, "4 client 0 10.2.2.2 443", [2]string{"GET", ""}, parsers.Yes},
	{"proxy 2 local", []part{c(signature2 + "\x20\x00\x00\x00"), c("GET")}, "4 client 0  0", [2]string{"GET", ""}, parsers.Yes},
}

func TestParser(t *testing.T) {
	for _, tt := range scripts {
		for split := 0; split < 3; split++ { // whole, byte by byte, all of a kind at once
			p := new(Parser)
			var out []string
			var rest [2][]byte
			for i, x := range tt.parts {
				at := flows.Stamp{Pos: flows.NewPosition(1, uint64(i+1))}
				n := len(x.data)
				if split == 1 {
					n = 1
				}
				for d := []byte(x.data); len(d) > 0; d = d[min(n, len(d)):] {
					part := bytes.Clone(d[:min(n, len(d))])
					got := p.Feed(nil, x.side, at, part)
					for i := range got {
						out = append(out, render(&got[i]))
					}
					for i := range rest {
						rest[i] = append(rest[i], p.Rest(flows.Side(i))...)
					}
					for i := range part {
						part[i] = '#'
					}
				}
			}
			if got := strings.Join(out, "\n"); got != tt.want || p.Tunnel() != (tt.want != "") || p.Done() != (tt.want == "") {
				t.Errorf("%s: %q, tunnel %v, done %v", tt.name, got, p.Tunnel(), p.Done())
			}
			if string(rest[0]) != tt.rest[0] || string(rest[1]) != tt.rest[1] {
				t.Errorf("%s: rest %q", tt.name, rest)
			}
		}
		var first []byte
		for _, x := range tt.parts {
			if x.side == cl {
				first = append(first, x.data...)
			}
		}
		v := max(ProbeSOCKS(first, cl), ProbePROXY(first, cl))
		if v != tt.probe {
			t.Errorf("%s: probe of %q says %v", tt.name, first, v)
		}
	}
}

func TestProbeRefuses(t *testing.T) {
	for _, b := range []string{"\x05\x00\x0b\x03\x10\x00\x00\x00", "\x05\x64\x05\xc0", "\x04\x00\x00\x00abcdefgh", "\x04\x02\x00\x50\x0a\x00\x00\x01\x00", "PROXY\r\n",
		"PROXY / HTTP/1.1\r\n", "\r\n\r\nGET", "\x05\x01\x00\x16\x03\x01", "\x04\x01\x00\x00\x0a\x00\x00\x01\x00", "\x04\x01\x00\x50\x0a\x00\x00\x01\x01\x02\x00", "GET / HTTP/1.1\r\n"} {
		if v := max(ProbeSOCKS([]byte(b), cl), ProbePROXY([]byte(b), cl)); v != parsers.No {
			t.Errorf("%q: %v", b, v)
		}
	}
}

func TestLaws(t *testing.T) {
	laws := parsertest.Session[Message]{
		New:     func() parsers.SessionParser[Message] { return new(Parser) },
		Text:    render,
		MaxHeld: 128 << 10,
		Quiet:   []parsertest.Call{parsertest.Feed(cl, "PROXY UNKNOWN\r\n")},
		Again:   parsertest.Feed(cl, "what the tunnel carries"),
	}
	for _, x := range scripts {
		out := parsertest.Script{Name: x.name}
		for _, p := range x.parts {
			out.Calls = append(out.Calls, parsertest.Feed(p.side, p.data))
		}
		laws.Scripts = append(laws.Scripts, out)
	}
	laws.Test(t)
}

func FuzzProbe(f *testing.F) {
	for _, x := range scripts {
		f.Add([]byte(x.parts[0].data))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i := range len(b) + 1 {
			ProbeSOCKS(b[:i], cl)
			ProbePROXY(b[:i], cl)
		}
	})
}

func FuzzParser(f *testing.F) {
	for _, x := range scripts {
		var a, b string
		for _, p := range x.parts {
			if p.side == cl {
				a += p.data
			} else {
				b += p.data
			}
		}
		f.Add([]byte(a), []byte(b))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := new(Parser)
		p.Feed(nil, cl, flows.Stamp{}, a)
		p.Feed(nil, sv, flows.Stamp{}, b)
		// Nothing is lost and nothing comes twice.
		if n := len(p.Rest(cl)) + len(p.Rest(sv)); n > len(a)+len(b) {
			t.Errorf("%d bytes left of %d", n, len(a)+len(b))
		}
	})
}
