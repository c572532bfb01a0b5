package flows

import "testing"

// BenchmarkShape adds packets of 4096 TCP flows in turn: of each ten, one acknowledges.
func BenchmarkShape(b *testing.B) {
	for _, bb := range []struct {
		name string
		cfg  Config
	}{
		{"plain", Config{}},
		{"packets", Config{Packets: 16}},
		{"bytes", Config{PayloadBytes: 64}},
		{"entropy", Config{Entropy: true}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			const flows = 4096
			packets := make([]Packet, flows)
			for i := range packets {
				p := &packets[i]
				*p = Packet{Time: 1, Pos: NewPosition(1, 1), Src: addr(1), Dst: addr(2), SrcPort: uint16(i), DstPort: 80,
					Proto: ProtoTCP, TCPFlags: ACK, TTL: 64, Flags: HasPorts, Seq: 1, Ack: 1, Window: 1000,
					WireLen: 1014, IPLen: 1000, Transport: 20, Payload: 40, PayloadLen: 960, PayloadCaptured: 960}
				p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
			}
			data := make([]byte, 1000)
			for i := range data {
				data[i] = byte(i * 7)
			}
			t := NewTracker(bb.cfg, shapeless{})
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				p := &packets[i%flows]
				if i/flows%10 == 9 {
					q := *p
					q.Src, q.Dst, q.SrcPort, q.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
					q.Seq, q.Ack, q.PayloadLen, q.PayloadCaptured, q.IPLen = 1, p.Seq, 0, 0, 40
					t.Add(&q, data)
					continue
				}
				t.Add(p, data)
				p.Seq += p.PayloadLen
				p.Time += 1000
			}
		})
	}
}

// shapeless is a ShapeConsumer that wants nothing.
type shapeless struct{ nothing }

func (shapeless) Shape(*Flow, *Shape) {}
