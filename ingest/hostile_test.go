package ingest

import (
	"encoding/binary"
	"path/filepath"
	"runtime"
	"testing"
)

// TestManyInterfaces reads a section of 65,535 interfaces, with a packet of the
// first, of the last, and of one that is not there.
func TestManyInterfaces(t *testing.T) {
	o := binary.LittleEndian
	b := ngSection(o)
	for range 65535 {
		b = append(b, ngIDB(o, 1, 0, nil)...)
	}
	p := packetSpec{data: udpFrame(1, 20)}
	b = append(b, ngEPB(o, 0, 1, p)...)
	b = append(b, ngEPB(o, 65534, 2, p)...)
	b = append(b, ngEPB(o, 65535, 3, p)...)
	dir := writeFiles(t, map[string][]byte{"many.pcapng": b})
	got := readAll(t, planOf(t, filepath.Join(dir, "many.pcapng")), Config{})
	c := got.captures[0]
	if c.Packets != 2 || c.ErrPacket != 3 || c.ErrKind != DamageMalformed {
		t.Errorf("%d packets, then %q at packet %d", c.Packets, c.Err, c.ErrPacket)
	}
}

// TestLyingLengths gives every block of a pcapng every kind of wrong length:
// reading ends there, with what came before, and takes no memory for it.
func TestLyingLengths(t *testing.T) {
	o := binary.LittleEndian
	p := packetSpec{data: udpFrame(1, 20)}
	blocks := [][]byte{ngSection(o), ngIDB(o, 1, 0, nil), ngEPB(o, 0, 1, p), ngEPB(o, 0, 2, p), ngBlock(o, 0xbad, make([]byte, 8))}
	for k := range blocks {
		for _, length := range []uint32{0, 1, 8, 11, 12, 13, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff} {
			var b []byte
			for i, block := range blocks {
				block = append([]byte(nil), block...)
				if i == k {
					if length == uint32(len(block)) {
						continue
					}
					o.PutUint32(block[4:], length)
				}
				b = append(b, block...)
			}
			dir := writeFiles(t, map[string][]byte{"x.pcapng": b})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := readAll(t, planOf(t, filepath.Join(dir, "x.pcapng")), Config{})
			runtime.ReadMemStats(&after)
			if grew := after.TotalAlloc - before.TotalAlloc; grew > 64<<20 {
				t.Errorf("block %d of length %d: %d bytes were allocated", k, length, grew)
			}
			c := got.captures[0]
			if want := uint64(max(0, min(k-2, 2))); k < 4 && c.Packets > want {
				t.Errorf("block %d of length %d: %d packets, want at most %d", k, length, c.Packets, want)
			}
			if err := c.Balanced(); err != nil {
				t.Error(err)
			}
		}
	}
}
