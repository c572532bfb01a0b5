package dns

import (
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

func TestLaws(t *testing.T) {
	const up, down = flows.Initiator, flows.Responder
	a := record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04")
	txt := record(toQuestion, typeTXT, classIN, 60, charString("some text")+charString(`with " and \`))
	opt := record("\x00", typeOPT, 1232, 0x8000, u16(10)+u16(8)+"abcdefgh")
	asked := header(7, FlagRD, 1, 0, 0, 1) + question("Mixed.Example.com", typeTXT) + opt
	answered := header(7, FlagQR|FlagRD|FlagRA, 1, 2, 0, 1) + question("Mixed.Example.com", typeTXT) + txt + a + opt

	t.Run("udp", func(t *testing.T) {
		parsertest.Datagram[Transaction]{
			New:  func() parsers.DatagramParser[Transaction] { return new(UDP) },
			Text: text,
			Scripts: []parsertest.Script{
				{Name: "answered", Messages: 2, Calls: []parsertest.Call{
					parsertest.Feed(up, query(1, "www.example.com", typeA)), parsertest.Feed(up, asked),
					parsertest.Feed(down, answered), parsertest.Feed(down, answer(1, "www.example.com", typeA, a)),
				}},
				{Name: "retransmitted", Messages: 2, Calls: []parsertest.Call{
					parsertest.Feed(up, query(2, "a.b", typeA)), parsertest.Feed(up, query(2, "a.b", typeA)),
					parsertest.Feed(down, answer(2, "a.b", typeA)), parsertest.Feed(down, answer(3, "never.asked", typeA, a)),
				}},
			},
			MaxHeld: 256 << 10,
			Again:   []parsertest.Call{parsertest.Feed(up, asked), parsertest.Feed(down, answered)},
		}.Test(t)
	})
	t.Run("tcp", func(t *testing.T) {
		parsertest.Session[Transaction]{
			New:  func() parsers.SessionParser[Transaction] { return new(TCP) },
			Text: text,
			Scripts: []parsertest.Script{
				{Name: "pipelined", Messages: 4, Calls: []parsertest.Call{
					parsertest.Feed(up, frames(query(1, "a.b", typeA), asked, query(3, "lost.example", typeMX))),
					parsertest.Feed(down, frames(answered, answer(1, "a.b", typeA, a))),
					parsertest.Feed(down, frames(answer(9, "never.asked", typeA))),
					parsertest.Fin(up), parsertest.Fin(down),
				}},
				{Name: "gap in a message", Messages: 2, Calls: []parsertest.Call{
					parsertest.Feed(up, frames(asked)+frames(query(4, "a.b", typeA))),
					parsertest.Feed(down, frames(answered)[:60]), parsertest.Gap(down, 10), parsertest.Feed(down, frames(answered)[70:]+frames(answer(4, "a.b", typeA, a))),
					parsertest.Rst(up),
				}},
				{Name: "cut", Messages: 1, Calls: []parsertest.Call{
					parsertest.Feed(up, u16(300)+asked), parsertest.Fin(up),
				}},
				{Name: "not DNS", Messages: 1, Calls: []parsertest.Call{
					parsertest.Feed(up, "\x00\x05hello"), parsertest.Feed(down, "\x00\x40"+string(make([]byte, 60))),
				}},
			},
			MaxHeld: 512 << 10,
			Quiet:   []parsertest.Call{parsertest.Feed(up, u16(0xffff)+asked), parsertest.Gap(up, 4)},
			Again:   parsertest.Feed(up, "some"),
		}.Test(t)
	})
}
