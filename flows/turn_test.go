package flows

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// turnPacket is a packet as a capture has it: its place in the list is its place there.
type turnPacket struct {
	from  byte // 'a' (10.0.0.1:1000) or 'b' (10.0.0.2:80)
	time  int64
	proto uint8
	flags uint16
	seq   uint32
	ack   uint32
	typ   uint8
}

func (s *turnPacket) packet(n int) Packet {
	p := Packet{Time: 1_000_000*second + s.time, Pos: NewPosition(1, uint64(n+1)), Src: addr(1), Dst: addr(2), SrcPort: 1000, DstPort: 80,
		Proto: s.proto, TTL: 64, Flags: HasPorts, TCPFlags: s.flags, Seq: s.seq, Ack: s.ack, ID: uint16(n + 100), Window: 1000, IPLen: 50, WireLen: 64,
		Transport: 20, Payload: 40, PayloadLen: 10, PayloadCaptured: 10}
	if s.proto == ProtoICMP {
		p.ICMPType = s.typ
		p.SrcPort, p.DstPort, _ = ICMPPorts(false, s.typ, 0)
		p.Flags = 0
	}
	if s.from == 'b' {
		p.Src, p.Dst = p.Dst, p.Src
		if s.proto != ProtoICMP {
			p.SrcPort, p.DstPort = p.DstPort, p.SrcPort
		}
	}
	if s.flags&(SYN|FIN|RST) != 0 {
		p.PayloadLen, p.PayloadCaptured = 0, 0
	}
	p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	return p
}

// turned runs the packets through a tracker and returns the flows, turned.
func turned(cfg Config, list []turnPacket) ([]Flow, []TCP, *shaped) {
	l := new(shaped)
	tr := NewTracker(cfg, l)
	data := make([]byte, 50)
	for i := range list {
		p := list[i].packet(i)
		tr.Add(&p, data)
	}
	for _, f := range tr.Live(nil) {
		tr.Finish(f, EndOfInput)
	}
	tcp := slices.Clone(l.tcp)
	for i := range l.ended {
		var x *TCP
		if l.ended[i].Proto == ProtoTCP {
			x, tcp = &tcp[0], tcp[1:]
		}
		var sh *Shape
		if len(l.shapes) > i {
			sh = l.shapes[i]
		}
		l.ended[i].Turn(x, sh)
	}
	return l.ended, l.tcp, l
}

func TestTurned(t *testing.T) {
	const udp, tcp, icmp, sctp = ProtoUDP, ProtoTCP, ProtoICMP, ProtoSCTP
	u := func(from byte, ms int64) turnPacket { return turnPacket{from: from, time: ms * 1e6, proto: udp} }
	c := func(from byte, ms int64, flags uint16, seq, ack uint32) turnPacket {
		return turnPacket{from: from, time: ms * 1e6, proto: tcp, flags: flags, seq: seq, ack: ack}
	}
	for _, tt := range []struct {
		name string
		list []turnPacket
		want string // initiator, basis, state, history, packets of each side, milliseconds; of each flow
	}{
		{"in order", []turnPacket{u('a', 0), u('b', 5)}, "a first_packet SF Dd 1+1 5ms"},
		{"the answer first", []turnPacket{u('b', 5), u('a', 0)}, "a earliest_packet SF ^dD 1+1 5ms"},
		{"the answer first, by half an hour", []turnPacket{u('b', 1_800_000), u('b', 1_800_001), u('a', 0)}, "a earliest_packet SF ^dD 1+2 1800001ms"},
		{"the answer first, later packets in order", []turnPacket{u('b', 5), u('a', 0), u('b', 8), u('b', 9)}, "a earliest_packet SF ^dD 1+3 9ms"},
		{"an earlier packet of the same side", []turnPacket{u('a', 5), u('a', 0), u('b', 2)}, "a first_packet SF Dd 2+1 5ms"},
		{"turned, and back", []turnPacket{u('b', 5), u('a', 3), u('b', 0)}, "b first_packet SF Dd 2+1 5ms"},
		{"at the same time", []turnPacket{u('b', 5), u('a', 5)}, "b first_packet SF Dd 1+1 0ms"},
		{"an echo's reply first", []turnPacket{{from: 'b', time: 5e6, proto: icmp}, {from: 'a', proto: icmp, typ: 8}}, "a earliest_packet OTH ^ 1+1 5ms type 8"},
		{"neither TCP nor UDP", []turnPacket{{from: 'b', time: 5e6, proto: sctp}, {from: 'a', proto: sctp}}, "a earliest_packet OTH ^ 1+1 5ms"},

		{"in the middle of a TCP flow", []turnPacket{c('b', 5, ACK, 500, 110), c('a', 0, ACK, 100, 500)}, "a earliest_packet OTH ^dD 1+1 5ms"},
		{"a handshake decides, whatever the times", []turnPacket{c('a', 5, SYN, 99, 0), c('b', 0, SYN|ACK, 499, 100)}, "a syn S1 Sh 1+1 5ms"},
		{"the SYN-ACK first", []turnPacket{c('b', 5, SYN|ACK, 499, 100), c('a', 0, SYN, 99, 0)}, "a syn_ack S1 ^hS 1+1 5ms"},
		{"the SYN behind data", []turnPacket{c('b', 9, ACK, 500, 110), c('a', 0, SYN, 99, 0), c('b', 5, SYN|ACK, 499, 100), c('a', 6, ACK, 100, 500)},
			"a syn S1 ^dShD 2+2 9ms"},
		{"the SYN behind data of its own side", []turnPacket{c('a', 9, ACK, 100, 500), c('a', 0, SYN, 99, 0)}, "a syn S0 DS 2+0 9ms"},
		{"the SYN-ACK behind data", []turnPacket{c('b', 9, ACK, 500, 110), c('b', 5, SYN|ACK, 499, 100)}, "a syn_ack OTH ^dh 0+2 4ms"},
		{"one side's capture behind the other's, which was reset", []turnPacket{c('b', 5, SYN|ACK, 499, 100), c('b', 9, RST|ACK, 500, 110), c('a', 0, SYN, 99, 0), c('a', 6, ACK, 100, 500)},
			"a syn_ack RSTR ^hrSD 2+2 9ms"},
		{"an earlier SYN of another flow", []turnPacket{c('a', 5, SYN, 99, 0), c('b', 6, RST|ACK, 0, 100), c('a', 0, SYN, 7777, 0)}, "a syn REJ Sr 1+1 1ms; a syn S0 S 1+0 0ms"},
		{"a later SYN is of another flow", []turnPacket{c('b', 0, ACK, 500, 5000), c('a', 5, SYN, 99, 0)}, "b first_packet OTH D 1+0 0ms; a syn S0 S 1+0 0ms"},
	} {
		list, _, _ := turned(Config{TCPIdle: never}, tt.list)
		got := ""
		for i := range list {
			f := &list[i]
			who := "a"
			if f.Src != addr(1) {
				who = "b"
			}
			if i > 0 {
				got += "; "
			}
			got += fmt.Sprintf("%s %s %s %s %d+%d %dms", who, f.Basis, f.State, f.History(), f.Sides[0].Packets, f.Sides[1].Packets, (f.LastTime-f.FirstTime)/ms)
			if f.Proto == ProtoICMP {
				got += fmt.Sprintf(" type %d", f.ICMPType)
			}
		}
		if got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

// TestTurnedHandshake: the round trips are of the side that turns out to have begun.
func TestTurnedHandshake(t *testing.T) {
	_, x, _ := turned(Config{}, []turnPacket{
		{from: 'b', time: 9, proto: ProtoTCP, flags: ACK, seq: 500, ack: 110}, {from: 'a', time: 0, proto: ProtoTCP, flags: SYN, seq: 99},
		{from: 'b', time: 5, proto: ProtoTCP, flags: SYN | ACK, seq: 499, ack: 100}, {from: 'a', time: 7, proto: ProtoTCP, flags: ACK, seq: 100, ack: 500},
	})
	if x[0].SYNACKTime-x[0].SYNTime != 5 || x[0].HandshakeACKTime-x[0].SYNACKTime != 2 || x[0].Sides[Initiator].FlagCounts[1] != 1 || x[0].Sides[Initiator].FlagsSeen != SYN|ACK {
		t.Errorf("%+v", x[0])
	}
}

// TestSettled: what was told to others stays so.
func TestSettled(t *testing.T) {
	l := new(log)
	tr := NewTracker(Config{}, l)
	data := make([]byte, 50)
	for i, s := range []turnPacket{{from: 'b', time: 5, proto: ProtoUDP}, {from: 'a', time: 0, proto: ProtoUDP}} {
		p := s.packet(i)
		tr.Add(&p, data)
		for _, f := range tr.Live(nil) {
			f.Settle()
		}
	}
	f := tr.Live(nil)[0]
	if f.Turned() || f.Basis != ByFirstPacket || f.LastTime-f.FirstTime != 5 {
		t.Errorf("%+v", f)
	}
}

// TestShuffled: flows whose packets come in any order are those of their times, for as much as does not hang on the
// order itself: who began, when, for how long, and what each side sent; and a Turn exchanges all of it.
func TestShuffled(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for round := range 2000 {
		proto := []uint8{ProtoUDP, ProtoTCP, ProtoICMP, ProtoSCTP}[rnd.IntN(4)]
		var list []turnPacket
		now, seq := int64(0), [2]uint32{100, 500}
		for range 2 + rnd.IntN(8) {
			side := rnd.IntN(2)
			p := turnPacket{from: "ab"[side], time: now, proto: proto}
			switch proto {
			case ProtoTCP:
				p.flags, p.seq, p.ack = ACK, seq[side], seq[1-side]
				seq[side] += 10
			case ProtoICMP:
				p.typ = []uint8{8, 0}[side]
			}
			list = append(list, p)
			now += 1 + rnd.Int64N(20*ms)
		}
		cfg := Config{Packets: 20}
		want, _, wantShape := turned(cfg, list)
		mixed := slices.Clone(list)
		window := 1 + rnd.IntN(len(mixed))
		for at := 0; at+window <= len(mixed); at += window {
			w := mixed[at : at+window]
			rnd.Shuffle(len(w), func(i, j int) { w[i], w[j] = w[j], w[i] })
		}
		got, _, gotShape := turned(cfg, mixed)
		if len(want) != 1 || len(got) != 1 {
			t.Fatalf("round %d: %d flows of %d", round, len(got), len(want))
		}
		a, b := &want[0], &got[0]
		same := a.Src == b.Src && a.Dst == b.Dst && a.SrcPort == b.SrcPort && a.DstPort == b.DstPort && a.FirstTime == b.FirstTime && a.LastTime == b.LastTime &&
			a.ICMPType == b.ICMPType && a.State == b.State && (b.Basis == ByEarliestPacket || b.Basis == ByFirstPacket) &&
			slices.Equal(wantShape.shapes[0].Packets, gotShape.shapes[0].Packets)
		for i := range a.Sides {
			p, q := &a.Sides[i], &b.Sides[i]
			same = same && p.Packets == q.Packets && p.Bytes == q.Bytes && p.FirstTime == q.FirstTime && p.LastTime == q.LastTime
		}
		if !same {
			t.Fatalf("round %d: %v\ngives %+v\nwant %+v", round, mixed, b, a)
		}
	}
}
