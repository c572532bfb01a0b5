package flows

import "testing"

// Positions sort by input, then packet, then part, and give each back.
func TestPosition(t *testing.T) {
	const packets = 1<<38 - 1
	var last Position
	for _, tt := range []struct {
		input  uint32
		packet uint64
		part   int
	}{
		{1, 1, 0}, {1, 1, 1}, {1, 1, MaxParts - 1}, {1, 2, 0}, {1, packets, 0}, {1, packets, 15}, {2, 1, 0}, {MaxInputs, packets, MaxParts - 1},
	} {
		p := NewPosition(tt.input, tt.packet)
		if p.Part() != 0 || p.At(3).At(tt.part) != p.At(tt.part) || p.At(tt.part).At(0) != p {
			t.Errorf("%+v: %x, %x", tt, p, p.At(tt.part))
		}
		p = p.At(tt.part)
		if p.Input() != tt.input || p.Packet() != tt.packet || p.Part() != tt.part || p <= last {
			t.Errorf("%+v: %x is %d %d %d, after %x", tt, p, p.Input(), p.Packet(), p.Part(), last)
		}
		last = p
	}
}
