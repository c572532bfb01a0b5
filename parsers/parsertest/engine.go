package parsertest

import (
	"fmt"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// The law of the engine: packets that carry a script give, by calls of a
// handler, in a loop, and in a loop over any messages, the same messages, whole;
// and where nothing is missing, those that the parser gives by itself.

// packets returns the script's calls as packets: one each, at its stamp, after
// a handshake that is before them all.
func packets(calls []Call, proto uint8) flows.Source {
	return func(yield func(flows.Captured, error) bool) {
		var seq [2]uint32
		send := func(side flows.Side, at flows.Stamp, flags uint16, data []byte) bool {
			p := flows.Packet{Time: at.Time, Pos: at.Pos, SrcPort: 40000, DstPort: 40001, Proto: proto, TTL: 64, Flags: flows.HasPorts,
				TCPFlags: flags, Seq: seq[side], Ack: seq[side.Other()], Window: 65535, Transport: 20, Payload: 40,
				PayloadLen: uint32(len(data)), PayloadCaptured: uint32(len(data)), IPLen: uint32(40 + len(data)), WireLen: uint32(54 + len(data))}
			p.Src, p.Dst = flows.Addr{10: 0xff, 11: 0xff, 12: 10, 15: 1}, flows.Addr{10: 0xff, 11: 0xff, 12: 10, 15: 2}
			if side == flows.Responder {
				p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
			}
			p.Hash = flows.Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
			seq[side] += uint32(len(data))
			if flags&(flows.SYN|flows.FIN) != 0 {
				seq[side]++
			}
			frame := append(make([]byte, 40), data...)
			ok := yield(flows.Captured{Packet: &p, Data: frame}, nil)
			for i := range frame {
				frame[i] = 0xdd // it was lent
			}
			return ok
		}
		if proto == flows.ProtoTCP {
			early := flows.Stamp{Time: 1, Pos: flows.NewPosition(2, 1)}
			if !send(flows.Initiator, early, flows.SYN, nil) || !send(flows.Responder, early, flows.SYN|flows.ACK, nil) {
				return
			}
		}
		for i, c := range calls {
			flags := uint16(flows.ACK)
			switch c.kind {
			case gap:
				seq[c.side] += uint32(c.n)
				continue
			case fin:
				flags |= flows.FIN
			case rst:
				flags |= flows.RST
			}
			if !send(c.side, stamp(i), flags, c.data) {
				return
			}
		}
	}
}

// plain reports whether calls are bytes and their ends, as packets can tell them one by one.
func plain(calls []Call) bool {
	ended := [2]bool{}
	for i, c := range calls {
		if c.kind == gap || c.kind == rst && i != len(calls)-1 || ended[c.side] || c.kind == feed && len(c.data) == 0 {
			return false
		}
		ended[c.side] = c.kind == fin
	}
	return true
}

// engine compares what calls give through p in every way, and returns it.
func engine[M any](t reporter, p parsers.Protocol[M], text func(*M) string, calls []Call, proto uint8) []string {
	var called, looped, boxed []string
	sessions := 0
	parsers.Run(packets(calls, proto), parsers.Config{}, parsers.On(p, func(ev parsers.Event[M]) {
		switch ev.Kind {
		case parsers.Started:
			sessions++
		case parsers.Message:
			called = append(called, text(ev.Message))
		case parsers.Ended:
			sessions--
		}
	}))
	if sessions != 0 {
		t.Errorf("%d more sessions started than ended", sessions)
	}
	for ev := range parsers.Messages(packets(calls, proto), parsers.Config{}, p) {
		looped = append(looped, text(ev.Message))
	}
	for ev := range parsers.Messages(packets(calls, proto), parsers.Config{}, parsers.Any(p)) {
		boxed = append(boxed, text((*ev.Message).(*M)))
	}
	same(t, "a loop, against calls", looped, called)
	same(t, "a loop over any messages, against calls", boxed, called)
	for n := range min(len(called), 3) { // breaking out gives what came before
		got := 0
		for range parsers.Messages(packets(calls, proto), parsers.Config{}, p) {
			if got++; got == n+1 {
				break
			}
		}
		if got != n+1 {
			t.Errorf("%s", fmt.Sprint(got, " messages after a break at ", n+1))
		}
	}
	return called
}

func (s Session[M]) engine(t reporter, script Script) {
	p := parsers.Protocol[M]{Name: "it", Stream: s.New}
	got := engine(t, p, s.Text, script.Calls, flows.ProtoTCP)
	alone := s.player()
	for i, c := range script.Calls {
		alone.call(i, c, nil)
	}
	if u, ok := alone.parser.(parsers.Tunneler); ok && u.Tunnel() {
		return // what follows is a session of its own
	}
	if want := alone.end(); plain(script.Calls) {
		same(t, "the engine, against the parser by itself", got, want)
	}
}

func (d Datagram[M]) engine(t reporter, script Script) {
	p := parsers.Protocol[M]{Name: "it", Datagram: d.New}
	engine(t, p, d.Text, script.Calls, flows.ProtoUDP)
}
