package flows

import "math"

// Shape is what the beginning of a flow looks like, as far as the Config asks
// for it: what classifiers of traffic that cannot be read go by.
type Shape struct {
	// Packets are the flow's first packets in the capture, at most Config.Packets, in the order of their times.
	Packets []ShapePacket
	// Payload is the first payload that each side sent, at most
	// Config.PayloadBytes, up to the first byte that was not captured: TCP's in the order of
	// its stream, that of the first datagram with payload otherwise.
	Payload [2][]byte
	// Entropy is that of each side's payload in bits per byte, 0 to 8; negative
	// where none was captured. It is of the first 65535 captured bytes, in the order of
	// the packets, and what came twice counts twice.
	Entropy [2]float64
}

// ShapePacket is one of a flow's first packets.
type ShapePacket struct {
	Side    Side
	Size    uint32 // IP bytes, as Packet.IPLen
	Payload uint32 // transport payload, as Packet.PayloadLen
	IAT     int64  // nanoseconds since the one before it, of either side; 0 for the first
}

// Clone returns a copy of s that is valid for good.
func (s *Shape) Clone() *Shape {
	c := *s
	c.Packets = append([]ShapePacket(nil), s.Packets...)
	for i := range c.Payload {
		c.Payload[i] = append([]byte(nil), s.Payload[i]...)
	}
	return &c
}

// ShapeConsumer is a Consumer that wants the Shape of flows. It is told right
// before Ended, where the Config has something kept. s is lent for the call.
type ShapeConsumer interface {
	Consumer
	Shape(f *Flow, s *Shape)
}

// Bounds of Config.Packets and Config.PayloadBytes.
const (
	MaxShapePackets = 255
	MaxShapeBytes   = 65535
)

// entropyBytes is how many bytes of a side Shape.Entropy is of.
const entropyBytes = 65535

// shapes keeps the shapes of a tracker's live flows. They are apart from the
// flows, so that nothing is spent on them where nobody wants them.
type shapes struct {
	packets, bytes int
	entropy        bool
	consumer       ShapeConsumer
	list           []*shaping // by reference-1
	free           []uint32
	told           Shape
}

// shaping is a shape in the making.
type shaping struct {
	packets []ShapePacket // with their times as IAT
	sides   [2]sideShape
}

type sideShape struct {
	payload []byte   // Config.PayloadBytes, once there is one
	have    []uint64 // bit set: which of them came
	counts  *[256]uint16
	counted int
	done    bool // payload takes no more
}

func newShapes(c *Config, consumer Consumer) *shapes {
	s := &shapes{packets: min(max(c.Packets, 0), MaxShapePackets), bytes: min(max(c.PayloadBytes, 0), MaxShapeBytes), entropy: c.Entropy}
	s.consumer, _ = consumer.(ShapeConsumer)
	if s.consumer == nil || s.packets == 0 && s.bytes == 0 && !s.entropy {
		return nil
	}
	return s
}

// add takes p, which was counted to f.
func (s *shapes) add(t *Tracker, f *Flow, side Side, p *Packet, data []byte) {
	if f.shape == 0 {
		if n := len(s.free); n > 0 {
			f.shape = s.free[n-1]
			s.free = s.free[:n-1]
		} else {
			s.list = append(s.list, new(shaping))
			f.shape = uint32(len(s.list))
		}
	}
	g := s.list[f.shape-1]
	if len(g.packets) < s.packets {
		g.packets = append(g.packets, ShapePacket{side, p.IPLen, p.PayloadLen, p.Time})
		for i := len(g.packets) - 1; i > 0 && g.packets[i-1].IAT > g.packets[i].IAT; i-- { // captures have packets late
			g.packets[i-1], g.packets[i] = g.packets[i], g.packets[i-1]
		}
	}
	payload := data[p.Payload : p.Payload+p.PayloadCaptured]
	if len(payload) == 0 || p.Proto == ProtoTCP && p.TCPFlags&RST != 0 {
		return
	}
	h := &g.sides[side]
	if s.entropy && h.counted < entropyBytes {
		h.count(payload)
	}
	if s.bytes == 0 || h.done {
		return
	}
	at := uint32(0)
	if p.Proto == ProtoTCP {
		at = p.Seq - t.tcps.at(f.tcp).streams[side].first
		if p.TCPFlags&SYN != 0 {
			at++
		}
	} else {
		h.done = true
	}
	if at < uint32(s.bytes) { // what lies before the first byte seen is far beyond it
		h.place(s.bytes, int(at), payload)
	}
}

func (h *sideShape) count(b []byte) {
	if h.counts == nil {
		h.counts = new([256]uint16)
	}
	b = b[:min(len(b), entropyBytes-h.counted)]
	h.counted += len(b)
	for _, c := range b {
		h.counts[c]++
	}
}

// place puts b at offset of the side's payload, where nothing is yet: of bytes
// that come twice the first are kept.
func (h *sideShape) place(size, offset int, b []byte) {
	if cap(h.payload) < size {
		h.payload, h.have = make([]byte, size), make([]uint64, (size+63)/64)
	}
	h.payload = h.payload[:size]
	for i, c := range b[:min(len(b), size-offset)] {
		k := offset + i
		if h.have[k/64]&(1<<(k%64)) == 0 {
			h.have[k/64] |= 1 << (k % 64)
			h.payload[k] = c
		}
	}
	h.done = h.done || h.prefix() == size
}

// prefix returns how many of the first bytes there are without a hole.
func (h *sideShape) prefix() int {
	for k := range h.payload {
		if h.have[k/64]&(1<<(k%64)) == 0 {
			return k
		}
	}
	return len(h.payload)
}

// bits returns the entropy of the bytes counted. It is rounded, so that
// machines that multiply and add in one step do not say otherwise.
func (h *sideShape) bits() float64 {
	if h.counted == 0 {
		return -1
	}
	var sum float64
	for _, n := range h.counts {
		if n > 0 {
			sum += float64(n) * math.Log2(float64(n))
		}
	}
	n := float64(h.counted)
	return math.Abs(math.Round((math.Log2(n)-sum/n)*1e4) / 1e4)
}

// tellShape tells the consumer the shape of f, which ends, and lets go of it.
func (t *Tracker) tellShape(f *Flow) {
	s := t.shapes
	if s == nil || f.shape == 0 {
		return
	}
	g := s.list[f.shape-1]
	s.told.Packets = g.packets
	for i := len(g.packets) - 1; i >= 0; i-- {
		g.packets[i].IAT -= g.packets[max(i-1, 0)].IAT
	}
	for i := range g.sides {
		h := &g.sides[i]
		s.told.Payload[i] = h.payload[:h.prefix()]
		s.told.Entropy[i] = h.bits()
	}
	s.consumer.Shape(f, &s.told)
	s.free = append(s.free, f.shape)
	f.shape = 0
	g.packets = g.packets[:0]
	for i := range g.sides {
		h := &g.sides[i]
		clear(h.have)
		h.payload, h.counted, h.done = h.payload[:0], 0, false
		if h.counts != nil {
			clear(h.counts[:])
		}
	}
}
