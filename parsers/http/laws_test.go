package http

import (
	"strings"
	"testing"

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
		New:     func() parsers.SessionParser[Exchange] { return New(Config{Headers: true}) },
		Text:    render,
		MaxHeld: 3 << 19,
		Quiet:   []parsertest.Call{parsertest.Feed(cl, get), parsertest.Feed(sv, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")},
		Again:   parsertest.Feed(sv, body),
	}
	for _, x := range exchanges {
		laws.Scripts = append(laws.Scripts, script(x.name, x.steps))
	}
	laws.Test(t)
}
