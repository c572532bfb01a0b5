package flows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// captured returns a packet as sim builds them, at a time in milliseconds.
func captured(n uint64, ms int64, side Side, flags int, seq, ack uint32, payload string) Captured {
	p := &Packet{Time: ms * 1e6, Pos: NewPosition(1, n), Src: addr(1), Dst: addr(2), SrcPort: 1000, DstPort: 80,
		Proto: ProtoTCP, TTL: 64, Flags: HasPorts | HasEthernet, Seq: seq, Ack: ack, Window: 1000}
	if side == Responder {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	header := 20
	if flags < 0 {
		p.Proto, header = ProtoUDP, 8
	} else {
		p.TCPFlags = uint16(flags)
	}
	p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	data := make([]byte, 14+20+header, 14+20+header+len(payload))
	data[5], data[11] = byte(p.Dst[15]), byte(p.Src[15])
	data = append(data, payload...)
	p.Network, p.Transport, p.Payload = 14, 34, uint32(34+header)
	p.PayloadLen, p.PayloadCaptured = uint32(len(payload)), uint32(len(payload))
	p.IPLen, p.WireLen = uint32(len(data)-14), uint32(len(data))
	return Captured{Packet: p, Data: data}
}

func exchange() []Captured {
	return []Captured{
		captured(1, 0, Initiator, SYN, 99, 0, ""),
		captured(2, 10, Responder, SYN|ACK, 499, 100, ""),
		captured(3, 20, Initiator, ACK, 100, 500, "abc"),
		captured(4, 30, Initiator, -1, 0, 0, "query"),
		captured(5, 40, Responder, ACK, 503, 103, "late"),
		captured(6, 50, Responder, ACK, 500, 103, "and"),
		captured(7, 60, Initiator, ACK|FIN, 103, 507, ""),
		captured(8, 70, Responder, ACK|FIN, 507, 104, ""),
		captured(9, 90_000, Initiator, ACK|SYN, 7, 7, ""),
	}
}

func write(ev *Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", ev.Kind)
	if ev.Flow == nil {
		return fmt.Sprintf("%s %d", ev.Kind, ev.At.Time/1e6)
	}
	fmt.Fprintf(&b, " %d %s @%d", ev.Flow.Proto, ev.Side, ev.At.Pos.Packet())
	switch ev.Kind {
	case EventData, EventDatagram:
		fmt.Fprintf(&b, " %q", ev.Bytes)
	case EventGap:
		fmt.Fprintf(&b, " %d", ev.N)
	case EventState:
		fmt.Fprintf(&b, " %s", ev.Flow.State)
	case EventEnded:
		fmt.Fprintf(&b, " %s %s", ev.Flow.End, ev.Flow.State)
	}
	if (ev.TCP != nil) != (ev.Flow.Proto == ProtoTCP) {
		b.WriteString(" TCP?")
	}
	return b.String()
}

func TestEvents(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  EventConfig
		want string
	}{
		{"lifecycle", EventConfig{}, `started 6 initiator @1
state 6 initiator @1 S0
state 6 responder @2 S1
established 6 responder @2
started 17 initiator @4
state 17 initiator @4 S0
state 6 initiator @7 S2
state 6 responder @8 SF
ended 6 initiator @8 fin SF
started 6 initiator @9
state 6 responder @9 OTH
ended 17 initiator @4 end_of_input S0
ended 6 initiator @9 end_of_input OTH`},
		{"bytes", EventConfig{Kinds: EventStream | EventDatagram}, `data 6 initiator @3 "abc"
datagram 17 initiator @4 "query"
data 6 responder @6 "and"
data 6 responder @5 "late"
fin 6 initiator @7
fin 6 responder @8`},
		{"tick", EventConfig{Kinds: EventTick | EventEnded, Every: 20e6, Key: IPPair}, `tick 20
tick 40
ended 0 initiator @8 idle_timeout OTH
tick 60
ended 0 initiator @9 end_of_input OTH`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for ev, err := range Events(Packets(exchange()...), tt.cfg) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, write(&ev))
			}
			if all := strings.Join(got, "\n"); all != tt.want {
				t.Errorf("got\n%s\nwant\n%s", all, tt.want)
			}
			// Breaking out anywhere gives what came before, and nothing more.
			for n := range got {
				k := 0
				for range Events(Packets(exchange()...), tt.cfg) {
					if k++; k > n {
						break
					}
				}
				if k != n+1 {
					t.Errorf("%d events after a break at %d", k, n+1)
				}
			}
		})
	}
}

// TestEventsError: what came before the error is flushed, and it comes once, last.
func TestEventsError(t *testing.T) {
	bad := errors.New("bad")
	src := func(yield func(Captured, error) bool) {
		_ = yield(exchange()[0], nil) && yield(Captured{}, bad)
	}
	var got []string
	for ev, err := range Events(src, EventConfig{Kinds: EventEnded}) {
		got = append(got, fmt.Sprint(ev.Kind, " ", err))
	}
	if want := []string{"ended <nil>", " bad"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestKeys(t *testing.T) {
	vlan := func(c Captured, id uint16) Captured {
		c.Flags |= HasVLAN
		c.VLAN = id
		return c
	}
	tunnel := func(c Captured, id uint64, out, in byte) Captured {
		c.Encap, c.Encaps = 1, []Encap{{Kind: EncapVXLAN, HasID: true, ID: id, Src: addr(out), Dst: addr(in)}}
		return c
	}
	quote := func(c Captured) Captured {
		c.Proto, c.Flags, c.Quote = ProtoICMP, c.Flags&^HasPorts|ICMPError, 77
		return c
	}
	wifi := func(c Captured) Captured {
		data := make([]byte, 18, 18+len(c.Data)) // of the access point, the source, the destination
		copy(data[6:], c.Data[6:12])
		copy(data[12:], c.Data[:6])
		c.MACs, c.Data = MACsToDS, append(data, c.Data[14:]...)
		c.Network, c.Transport, c.Payload = c.Network+4, c.Transport+4, c.Payload+4
		return c
	}
	list := []Captured{
		captured(1, 0, Initiator, -1, 0, 0, "a"),
		captured(2, 1, Responder, -1, 0, 0, "b"),
		vlan(captured(3, 2, Initiator, -1, 0, 0, "c"), 7),
		vlan(captured(4, 3, Responder, -1, 0, 0, "d"), 7),
		vlan(captured(5, 4, Initiator, -1, 0, 0, "e"), 8),
		tunnel(captured(6, 5, Initiator, -1, 0, 0, "f"), 1, 3, 4),
		tunnel(captured(7, 6, Responder, -1, 0, 0, "g"), 1, 4, 3),
		tunnel(captured(8, 7, Initiator, -1, 0, 0, "h"), 2, 3, 4),
		wifi(captured(9, 8, Initiator, ACK, 0, 0, "i")),
		quote(captured(10, 9, Responder, -1, 0, 0, "j")),
	}
	for _, tt := range []struct {
		name string
		key  Key
		want string // packets of each side of each flow
	}{
		{"default", nil, "[5 3] [1 0] [1 0]"},
		{"five-tuple", FiveTuple, "[5 3] [1 0] [1 0]"},
		{"one way", OneWay, "[5 0] [3 0] [1 0] [1 0]"},
		{"ip pair", IPPair, "[6 4]"},
		{"mac pair", MACPair, "[6 4]"},
		{"vlan", WithVLAN(nil), "[3 2] [1 1] [1 0] [1 0] [1 0]"},
		{"vlan, one way", WithVLAN(OneWay), "[3 0] [2 0] [1 0] [1 0] [1 0] [1 0] [1 0]"},
		{"tunnel", WithTunnel(FiveTuple), "[3 2] [1 1] [1 0] [1 0] [1 0]"},
		{"tunnel and vlan, ip pair", WithTunnel(WithVLAN(IPPair)), "[2 2] [1 1] [1 0] [1 1] [1 0]"},
		{"custom", func(p *Packet, data []byte, _ []Encap) { p.SetApart(uint64(data[p.Payload] & 1)) }, "[3 1] [2 2] [1 0] [1 0]"},
	} {
		var got []string
		for ev, err := range Events(Packets(list...), EventConfig{Kinds: EventEnded, Key: tt.key}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint([2]uint64{ev.Flow.Sides[0].Packets, ev.Flow.Sides[1].Packets}))
		}
		if all := strings.Join(got, " "); all != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, all, tt.want)
		}
	}
}

func TestMedian(t *testing.T) {
	r := uint64(1)
	for range 2000 {
		var v [5]int64
		for i := range v {
			r = r*6364136223846793005 + 1442695040888963407
			v[i] = int64(r >> 61)
		}
		s := slices.Sorted(slices.Values(v[:]))
		if m := median(v); m != s[2] {
			t.Fatalf("median of %v is %d", v, m)
		}
	}
}

// TestEventsAllocate: a packet that brings about nothing allocates nothing.
func TestEventsAllocate(t *testing.T) {
	list := exchange()[:3]
	d := NewDriver(Config{}, &teller{})
	for _, c := range list {
		d.Add(c.Packet, c.Data)
	}
	p := *list[2].Packet
	seq := p.Seq
	if n := testing.AllocsPerRun(1000, func() {
		p.Time += 1000
		seq += 3
		p.Seq = seq
		d.Add(&p, list[2].Data)
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkEvents(b *testing.B) {
	for _, flows := range []int{1, 100, 10_000} {
		for name, kinds := range map[string]EventKind{"lifecycle": EventLifecycle, "packets": EventPacket, "bytes": EventStream} {
			b.Run(fmt.Sprintf("%s/%d", name, flows), func(b *testing.B) {
				b.ReportAllocs()
				payload := strings.Repeat("x", 1400)
				one := captured(1, 0, Initiator, ACK, 0, 0, payload)
				seqs := make([]uint32, flows)
				src := func(yield func(Captured, error) bool) {
					for i := range b.N {
						p := *one.Packet
						p.SrcPort = uint16(i % flows)
						p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
						p.Time += int64(i)
						p.Seq = seqs[i%flows]
						seqs[i%flows] += p.PayloadLen
						if !yield(Captured{&p, one.Data, nil}, nil) {
							return
						}
					}
				}
				n := 0
				b.ResetTimer()
				for range Events(src, EventConfig{Kinds: kinds}) {
					n++
				}
			})
		}
	}
}
