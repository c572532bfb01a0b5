package flows

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// shaped is a log that keeps the shapes, as they were lent, too.
type shaped struct {
	log
	shapes []*Shape
}

func (s *shaped) Shape(_ *Flow, sh *Shape) { s.shapes = append(s.shapes, sh.Clone()) }

func TestShape(t *testing.T) {
	l := new(shaped)
	s := &sim{t: NewTracker(Config{Packets: 4, PayloadBytes: 6, Entropy: true}, l), now: 1_000_000 * second}
	s.send(Initiator, SYN, 99, 0, "")
	s.send(Responder, SYN|ACK, 499, 100, "")
	s.send(Initiator, ACK, 104, 500, "efgh") // before what it follows
	s.send(Initiator, ACK, 100, 500, "abcd")
	s.send(Initiator, ACK, 100, 500, "XXXX")
	s.send(Responder, ACK, 502, 108, "\x02\x03\x04") // its first two bytes never come
	s.send(Responder, RST, 505, 0, "why")
	s.finish()
	s.send(Initiator, -1, 0, 0, "first")
	s.send(Initiator, -1, 0, 0, "second")
	s.finish()
	if len(l.shapes) != 2 {
		t.Fatalf("%d shapes", len(l.shapes))
	}
	tcp, udp := l.shapes[0], l.shapes[1]
	want := []ShapePacket{{Initiator, 40, 0, 0}, {Responder, 40, 0, 1000}, {Initiator, 44, 4, 1000}, {Initiator, 44, 4, 1000}}
	if !slices.Equal(tcp.Packets, want) {
		t.Errorf("packets %v, want %v", tcp.Packets, want)
	}
	if string(tcp.Payload[0]) != "abcdef" || len(tcp.Payload[1]) != 0 || string(udp.Payload[0]) != "first" || udp.Payload[1] != nil {
		t.Errorf("payload %q, %q", tcp.Payload, udp.Payload)
	}
	if tcp.Entropy[1] != 1.585 || udp.Entropy[1] >= 0 || len(udp.Packets) != 2 { // log2 of three values
		t.Errorf("entropy %v, %v", tcp.Entropy, udp.Entropy)
	}
}

// TestShapePayload: in whatever order segments come, the first bytes are those of the stream.
func TestShapePayload(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	stream := make([]byte, 300)
	for i := range stream {
		stream[i] = byte(rnd.Uint32())
	}
	for range 300 {
		l, limit := new(shaped), 1+rnd.IntN(200)
		s := &sim{t: NewTracker(Config{PayloadBytes: limit}, l), now: 1_000_000 * second}
		isn := uint32(rnd.Uint32())
		s.send(Initiator, SYN, isn, 0, "")
		type part struct{ from, to int }
		var parts []part
		for at := 0; at < len(stream); {
			to := min(len(stream), at+1+rnd.IntN(60))
			parts = append(parts, part{max(0, at-rnd.IntN(9)), to})
			at = to
		}
		missing := -1
		if rnd.IntN(2) == 0 && len(parts) > 1 {
			missing = rnd.IntN(len(parts))
		}
		covered := make([]bool, len(stream))
		order := rnd.Perm(len(parts))
		for _, i := range order {
			if i == missing {
				continue
			}
			s.send(Initiator, ACK, isn+1+uint32(parts[i].from), 0, string(stream[parts[i].from:parts[i].to]))
			for k := parts[i].from; k < parts[i].to; k++ {
				covered[k] = true
			}
		}
		s.finish()
		want := stream[:limit]
		if i := slices.Index(covered, false); i >= 0 && i < limit {
			want = stream[:i]
		}
		if got := l.shapes[0].Payload[0]; !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, want %d", len(got), len(want))
		}
	}
}

// TestShapeOff: without an option, or a consumer that takes it, nothing is kept.
func TestShapeOff(t *testing.T) {
	if newShapes(&Config{}, new(shaped)) != nil || newShapes(&Config{Packets: 1}, new(log)) != nil || newShapes(&Config{Packets: 1}, new(shaped)) == nil {
		t.Error("shapes are kept where nobody wants them, or not where somebody does")
	}
}
