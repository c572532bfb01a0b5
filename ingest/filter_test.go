package ingest

import (
	"encoding/binary"
	"testing"

	"github.com/caplake/caplake/flows"
)

// What is not kept is under an outcome of its own, fragments of a datagram
// that is not kept included, at any number of workers.
func TestFiltered(t *testing.T) {
	var le appender = binary.LittleEndian
	a1, a2 := fragmentFrames(1)
	lone, _ := fragmentFrames(3)
	s := func(at uint32, d []byte) packetSpec { return packetSpec{sec: at, data: d} }
	dir := writeFiles(t, map[string][]byte{
		"1": pcapFile(le, pcapMagicMicro, s(1, a1), s(2, udpFrame(9, 5)), s(3, lone)),
		"2": pcapFile(le, pcapMagicMicro, s(4, a2), s(5, udpFrame(9, 5)), s(6, append(make([]byte, 12), 8, 6, 0, 0))),
	})
	type outcomes struct{ flow, reassembled, incomplete, notIP, filtered uint64 }
	for name, c := range map[string]struct {
		cfg  Config
		want outcomes
	}{
		"all":        {Config{}, outcomes{2, 2, 1, 1, 0}},
		"no packet":  {Config{KeepPacket: func(*flows.Packet, []byte) bool { return false }}, outcomes{0, 0, 1, 1, 4}},
		"fragmented": {Config{KeepPacket: func(p *flows.Packet, b []byte) bool { return p.Fragments > 0 && len(b) > 0 }}, outcomes{0, 2, 1, 1, 2}},
		"early":      {Config{KeepRecord: func(r *Record) bool { return r.Time < 5e9 }}, outcomes{1, 2, 1, 0, 2}},
		"no end":     {Config{KeepRecord: func(r *Record) bool { return r.Time != 4e9 }}, outcomes{2, 0, 2, 1, 1}},
		"no record":  {Config{KeepRecord: func(*Record) bool { return false }}, outcomes{filtered: 6}},
	} {
		for _, workers := range []int{1, 3} {
			r, err := tryReadAll(planOf(t, dir), c.cfg, workers)
			if err != nil {
				t.Fatal(err)
			}
			var got outcomes
			for _, l := range r.captures {
				got.flow += l.InFlow
				got.reassembled += l.FragmentReassembled
				got.incomplete += l.FragmentIncomplete
				got.notIP += l.NotIP
				got.filtered += l.Filtered
			}
			packets := c.want.flow
			if c.want.reassembled > 0 {
				packets++
			}
			if got != c.want || uint64(len(r.flows)) != packets {
				t.Errorf("%s, %d workers: %+v and %d packets, want %+v and %d", name, workers, got, len(r.flows), c.want, packets)
			}
		}
	}
}
