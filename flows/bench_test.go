package flows

import (
	"fmt"
	"testing"
)

// segments returns packets of n TCP flows in turn, in order, of size bytes of payload.
func segments(n, size int) func() (*Packet, []byte) {
	list := make([]Packet, n)
	data := make([]byte, 40+size)
	for i := range list {
		p := &list[i]
		*p = Packet{Src: addr(1), Dst: addr(2), SrcPort: uint16(i), DstPort: 80, Proto: ProtoTCP, TTL: 64, Flags: HasPorts,
			TCPFlags: ACK, Transport: 20, Payload: 40, PayloadLen: uint32(size), PayloadCaptured: uint32(size), IPLen: uint32(40 + size), Time: 1e18}
		p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	}
	i, now := 0, int64(1e18)
	return func() (*Packet, []byte) {
		p := &list[i]
		if i++; i == n {
			i = 0
		}
		now += 1000
		p.Time = now
		p.Pos++
		p.Seq += uint32(size)
		return p, data
	}
}

// The benchmarks named Layer, here and in packages ingest and parsers, are of a packet in each layer:
//
//	go test -run '^$' -bench Layer ./flows ./ingest ./parsers
//
// published-ns is what flowscope 0.3 says of the same work of its own, on a workstation that it does not name: five-tuple
// extraction 115, tracker 315 to 450 from 1 to 10,000 flows, reassembler 87 for 1,500 bytes in
// order, session driver with a parser that does nothing 500 to 800.
const published = "published-ns"

// BenchmarkLayerTracker is a packet without payload, found and counted.
func BenchmarkLayerTracker(b *testing.B) {
	for _, c := range []struct {
		flows  int
		theirs float64
	}{{1, 315}, {100, 340}, {10_000, 450}} {
		n := c.flows
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := NewTracker(Config{}, nothing{})
			next := segments(n, 0)
			for range 2 * n {
				t.Add(next())
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				t.Add(next())
			}
			b.ReportMetric(c.theirs, published)
		})
	}
}

// BenchmarkLayerReassembler is a segment of 1,460 bytes in order, told to a Consumer.
func BenchmarkLayerReassembler(b *testing.B) {
	t := NewTracker(Config{}, nothing{})
	next := segments(1, 1460)
	p, data := next()
	t.Add(p, data)
	f := t.Live(nil)[0]
	x := t.TCP(f)
	seq := x.streams[0].next
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		t.bytes(f, x, Initiator, Stamp{p.Time, p.Pos}, seq, 1460, data[40:])
		seq += 1460
	}
	b.ReportMetric(87, published)
}
