package http

import (
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

// script turns the steps of an exchange into what parsertest takes.
func script(name string, steps []step) parsertest.Script {
	out := parsertest.Script{Name: name}
	for _, s := range steps {
		switch s.call {
		case 'g':
			out.Calls = append(out.Calls, parsertest.Gap(s.side, s.n))
		case 'f':
			out.Calls = append(out.Calls, parsertest.Fin(s.side))
		case 'r':
			out.Calls = append(out.Calls, parsertest.Rst(s.side))
		default:
			out.Calls = append(out.Calls, parsertest.Feed(s.side, s.data))
		}
	}
	return out
}

func TestLaws(t *testing.T) {
	body := strings.Repeat("b", 1400)
	laws := parsertest.Session[Exchange]{
		New: func() parsers.SessionParser[Exchange] {
			return New(Config{Headers: true, BodyHash: true, BodyType: true})
		},
		Text:    func(x *Exchange) string { return render(x) + bodies(x) },
		MaxHeld: 3 << 19,
		Quiet:   []parsertest.Call{parsertest.Feed(cl, get), parsertest.Feed(sv, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")},
		Again:   parsertest.Feed(sv, body),
	}
	for _, x := range exchanges {
		laws.Scripts = append(laws.Scripts, script(x.name, x.steps))
	}
	laws.Test(t)
}

func bodies(x *Exchange) string {
	return " " + x.Request.BodySHA256 + " " + x.Request.BodyType + " " + x.Response.BodySHA256 + " " + x.Response.BodyType
}

// TestBodies: the hash is of what the framing carries, and there is none unless that is all there.
func TestBodies(t *testing.T) {
	const page, pageSum = "<html>hello</html>", "7e537e903df5bfa9c9de2dc590d2646f8b4aa71dd14877bd3e2eceda829a4618"
	const head = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"counted", []step{c(get), s(head + "Content-Length: 18\r\n\r\n" + page)}, "   " + pageSum + " text/html"},
		{"chunked", []step{c(get), s(head + "Transfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\nc;x=y\r\nhello</html>\r\n0\r\nT: x\r\n\r\n")}, "   " + pageSum + " text/html"},
		{"until the end", []step{c(get), s(head + "\r\n" + page), fin(sv)}, "   " + pageSum + " text/html"},
		{"reset before the end", []step{c(get), s(head + "\r\n" + page), rst(sv)}, "    "},
		{"cut", []step{c(get), s(head + "Content-Length: 19\r\n\r\n" + page), fin(sv)}, "    "},
		{"gap", []step{c(get), s(head + "Content-Length: 18\r\n\r\n<html>"), gap(sv, 5), s("</html>")}, "    "},
		{"empty", []step{c(get), s(head + "Content-Length: 0\r\n\r\n")}, "    "},
		{"request", []step{c("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18\r\n\r\n" + page), s(head + "Content-Length: 1\r\n\r\n\x00")},
			" " + pageSum + " text/html 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d application/octet-stream"},
	} {
		p := New(Config{BodyHash: true, BodyType: true})
		var got []Exchange
		for i, st := range tt.steps {
			at := flows.Stamp{Time: int64(i + 1), Pos: flows.NewPosition(1, uint64(i+1))}
			switch st.call {
			case 'g':
				got = p.Gap(got, st.side, at, st.n)
			case 'f':
				got = p.Fin(got, st.side, at)
			case 'r':
				got = p.Rst(got, st.side, at)
			default:
				got = p.Feed(got, st.side, at, []byte(st.data))
			}
		}
		got = p.End(got)
		if len(got) != 1 || bodies(&got[0]) != tt.want {
			t.Errorf("%s: %d exchanges, %q, want %q", tt.name, len(got), bodies(&got[0]), tt.want)
		}
	}
}
