package ingest

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"
)

// pcapFlavour builds a pcap file with what other programs put where the format
// has nothing.
type pcapFlavour struct {
	magic       uint32
	minor       uint16
	link        uint32
	afterHeader int // bytes after the file header
	inRecord    int // bytes at the end of each record's header
	swapped     bool
}

func (f pcapFlavour) file(o appender, packets ...packetSpec) []byte {
	b := pcapHeader(o, f.magic, f.minor, 65535, f.link)
	b = append(b, make([]byte, f.afterHeader)...)
	for _, p := range packets {
		r := pcapRecord(o, nil, p)
		h := bytes.Clone(r[:16])
		if f.swapped {
			copy(h[8:], r[12:16])
			copy(h[12:], r[8:12])
		}
		b = append(b, h...)
		b = append(b, []byte{1, 0, 0, 0, 8, 0, 4, 9, 9, 9, 9, 9}[:f.inRecord]...)
		b = append(b, r[16:]...)
	}
	return b
}

func TestPcapFlavours(t *testing.T) {
	micro := []packetSpec{
		{sec: 1_700_000_000, frac: 999_999, data: udpFrame(1, 5), orig: 900},
		{sec: 1_700_000_001, frac: 5, data: udpFrame(2, 50)},
		{sec: 1_700_000_001, frac: 7, data: udpFrame(3, 500)},
		{sec: 1_700_000_002, frac: 7, data: udpFrame(4, 0)},
	}
	nano := append([]packetSpec{{sec: 1_700_000_000, frac: 999_999_999, data: udpFrame(1, 5), orig: 900}}, micro[1:]...)
	for _, c := range []struct {
		name    string
		f       pcapFlavour
		packets []packetSpec
		unit    int64
		link    uint16
	}{
		{"usual", pcapFlavour{magic: pcapMagicMicro, minor: 4, link: 1}, micro, 1000, 1},
		{"modified", pcapFlavour{magic: pcapMagicModified, minor: 4, link: 1, inRecord: 8}, micro, 1000, 1},
		{"modified, longer", pcapFlavour{magic: pcapMagicModified, minor: 4, link: 1, inRecord: 12}, micro, 1000, 1},
		{"modified, usual magic", pcapFlavour{magic: pcapMagicMicro, minor: 4, link: 1, inRecord: 8}, micro, 1000, 1},
		{"Nokia", pcapFlavour{magic: pcapMagicMicro, minor: 4, link: 1, inRecord: 4}, micro, 1000, 1},
		{"Ixia hardware", pcapFlavour{magic: pcapMagicIxiaHW, minor: 4, link: 1, afterHeader: 4}, nano, 1, 1},
		{"Ixia software", pcapFlavour{magic: pcapMagicIxiaSW, minor: 4, link: 1, afterHeader: 4}, micro, 1000, 1},
		{"Navtel", pcapFlavour{magic: pcapMagicNavtel, minor: 4, link: 1}, nano, 1, 1},
		{"AIX", pcapFlavour{magic: pcapMagicMicro, minor: 2, link: 6, swapped: true}, nano, 1, 1},
		{"AIX loopback", pcapFlavour{magic: pcapMagicMicro, minor: 2, link: 24, swapped: true}, nano, 1, 0},
	} {
		for _, o := range []appender{binary.LittleEndian, binary.BigEndian} {
			data := c.f.file(o, c.packets...)
			for _, cfg := range []Config{{}, {BlockBytes: 64, MaxBlocks: 2}} {
				r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": data})), cfg)
				l := r.captures[0]
				if len(r.packets) != len(c.packets) || l.Damaged() || l.Format != "pcap" {
					t.Errorf("%s %v: %d packets, %s", c.name, o, len(r.packets), l.Err)
					continue
				}
				for i, p := range c.packets {
					at := int64(p.sec)*1e9 + int64(p.frac)*c.unit
					if s := r.packets[i]; s.time != at || s.data != string(p.data) || s.orig != p.origLen() || s.link != c.link {
						t.Errorf("%s %v: packet %d: %+v", c.name, o, i+1, s)
					}
				}
			}
		}
	}
}

// A packet longer than the snap length, and snap lengths that mean nothing.
func TestBadSnaplen(t *testing.T) {
	le := binary.LittleEndian
	p := packetSpec{sec: 1, data: udpFrame(1, 3000)}
	for _, snaplen := range []uint32{0, 1, 96, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		data := pcapRecord(le, pcapRecord(le, pcapHeader(le, pcapMagicMicro, 4, snaplen, 1), p), p)
		r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": data})), Config{})
		if len(r.packets) != 2 || r.captures[0].Damaged() || r.captures[0].Snaplen != snaplen {
			t.Errorf("snap length %d: %d packets, %+v", snaplen, len(r.packets), r.captures[0])
		}
	}
}

func snoopFile(datalink uint32, packets ...packetSpec) []byte {
	be := binary.BigEndian
	b := append([]byte(snoopMagic), 0, 0, 0, 2)
	b = be.AppendUint32(b, datalink)
	for i, p := range packets {
		pad := -len(p.data) & 3
		b = be.AppendUint32(b, p.origLen())
		b = be.AppendUint32(b, uint32(len(p.data)))
		b = be.AppendUint32(b, uint32(24+len(p.data)+pad))
		b = be.AppendUint32(b, uint32(10*i)) // drops so far
		b = be.AppendUint32(b, p.sec)
		b = be.AppendUint32(b, p.frac)
		b = append(append(b, p.data...), make([]byte, pad)...)
	}
	return b
}

func TestSnoop(t *testing.T) {
	p := packetSpec{sec: 1_700_000_000, frac: 123456, data: udpFrame(1, 5), orig: 900}
	for datalink, want := range map[uint32]struct {
		link uint16
		name string
	}{0: {1, "ethernet"}, 4: {1, "ethernet"}, 8: {10, "fddi"}, 2: {6, "ieee802_5"}, 18: {linkNone, "snoop_18"}} {
		data := snoopFile(datalink, p, p, packetSpec{sec: 3, data: udpFrame(2, 0)})
		r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": data})), Config{BlockBytes: 64, MaxBlocks: 2})
		l := r.captures[0]
		if len(r.packets) != 3 || l.Damaged() {
			t.Fatalf("%d packets, %s", len(r.packets), l.Err)
		}
		if s := r.packets[1]; s.time != 1_700_000_000_123_456_000 || s.data != string(p.data) || s.orig != 900 || s.link != want.link {
			t.Errorf("got %+v", s)
		}
		if l.Format != "snoop" || l.ByteOrder != "big" || !reflect.DeepEqual(l.LinkTypes, []string{want.name}) || !l.HasDropped || l.Dropped != 20 ||
			want.link == linkNone && l.UnsupportedLink != 3 || want.link == 1 && l.InFlow != 3 {
			t.Errorf("ledger %+v", l)
		}
	}
	for _, c := range []struct {
		at   int
		v    byte
		kind DamageKind
	}{{11, 9, DamageUnsupported}, {16 + 7, 255, DamageMalformed}, {16 + 11, 20, DamageMalformed}, {16 + 8, 0x7f, DamageMalformed}} {
		data := snoopFile(4, p)
		data[c.at] = c.v
		if l := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": data})), Config{}).captures[0]; l.ErrKind != c.kind {
			t.Errorf("byte %d: %+v", c.at, l)
		}
	}
}

// erfRecord appends a record; more are its extensions.
func erfRecord(b []byte, typ, flags byte, lost uint16, ticks uint64, wire int, data []byte, more ...uint64) []byte {
	be := binary.BigEndian
	b = binary.LittleEndian.AppendUint64(b, ticks)
	if len(more) > 0 {
		typ |= erfMoreBit
	}
	length := erfHeader + 8*len(more) + len(data)
	pad := -length & 7
	b = append(b, typ, flags)
	b = be.AppendUint16(b, uint16(length+pad))
	b = be.AppendUint16(b, lost)
	b = be.AppendUint16(b, uint16(wire))
	for i, m := range more {
		m &^= erfMoreBit << 56
		if i+1 < len(more) {
			m |= erfMoreBit << 56
		}
		b = be.AppendUint64(b, m)
	}
	return append(append(b, data...), make([]byte, pad)...)
}

func TestERF(t *testing.T) {
	frame := udpFrame(1, 5)
	eth := append([]byte{0, 0}, frame...)
	at := uint64(1_700_000_000)<<32 | 1<<31
	var b []byte
	b = erfRecord(b, erfEthernet, 4, 2, at, len(frame), eth)
	b = erfRecord(b, 20, 4, 999, at, len(frame), eth, 5, 6) // colour: not lost packets
	b = erfRecord(b, erfPad, 4, 0, at, 0, make([]byte, 40))
	b = erfRecord(b, erfIPv4, 4|erfFlagRx, 3, at, 900, frame[14:])
	b = erfRecord(b, erfMeta, 4, 0, at, 24, make([]byte, 24))
	b = erfRecord(b, erfIPv6, 4, 0, at, 40, make([]byte, 40))
	b = erfRecord(b, 3, 4, 0, at, 52, make([]byte, 52)) // ATM
	for _, cfg := range []Config{{}, {BlockBytes: 64, MaxBlocks: 2}} {
		r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": b})), cfg)
		l := r.captures[0]
		if len(r.packets) != 5 || l.Damaged() {
			t.Fatalf("%d packets, %s", len(r.packets), l.Err)
		}
		for i, want := range []struct {
			link  uint16
			orig  uint32
			data  string
			flags RecordFlags
		}{{1, uint32(len(frame)), string(frame), 0}, {1, uint32(len(frame)), string(frame), 0}, {228, 900, string(frame[14:]), LinkError}, {229, 40, string(make([]byte, 40)), 0}, {197, 52, "", 0}} {
			s := r.packets[i]
			if want.data == "" {
				want.data = s.data
			}
			if s.link == 228 {
				s.data = s.data[:len(want.data)] // padding cannot be told: the packet was cut
			}
			if s.link != want.link || s.orig != want.orig || s.data != want.data || s.flags != want.flags || s.time != 1_700_000_000_500_000_000 {
				t.Errorf("packet %d: %+v", i+1, s)
			}
		}
		if l.Format != "erf" || !reflect.DeepEqual(l.LinkTypes, []string{"ethernet", "ipv4", "ipv6", "erf"}) || l.Dropped != 5 || !l.HasDropped || l.LinkErrors != 1 {
			t.Errorf("ledger %+v", l)
		}
	}

	// One record, a cut one, and what is no ERF file.
	one := erfRecord(nil, erfEthernet, 4, 0, at, len(frame), eth)
	for name, c := range map[string]struct {
		data    []byte
		packets int
		kind    DamageKind
	}{
		"one":  {one, 1, DamageNone},
		"cut":  {b[:len(one)+20], 1, DamageTruncated},
		"text": {[]byte(strings.Repeat("Not a capture, as every line of it says.\n", 100)), 0, DamageNotCapture},
		"zero": {make([]byte, 5000), 0, DamageNotCapture},
		"type": {erfRecord(nil, 33, 4, 0, at, len(frame), eth), 0, DamageNotCapture},
		"old":  {erfRecord(nil, erfEthernet, 4, 0, 5, len(frame), eth), 0, DamageNotCapture},
		"more": {append(b[:len(b):len(b)], 1, 2, 3), 5, DamageTruncated},
		"less": {append(b[:len(b):len(b)], make([]byte, 16)...), 5, DamageMalformed},
	} {
		r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"x.erf": c.data})), Config{})
		if l := r.captures[0]; len(r.packets) != c.packets || l.ErrKind != c.kind {
			t.Errorf("%s: %d packets, %q %s", name, len(r.packets), l.ErrKind, l.Err)
		}
	}
}

func TestPcapngStatistics(t *testing.T) {
	for _, o := range []appender{binary.LittleEndian, binary.BigEndian} {
		p := packetSpec{data: udpFrame(3, 10)}
		u64 := func(b []byte, code uint16, v uint64) []byte { return ngOption(o, b, code, o.AppendUint64(nil, v)) }
		isb := func(id uint32, options []byte) []byte {
			return ngBlock(o, ngStatistics, append(append(o.AppendUint32(nil, id), make([]byte, 8)...), options...))
		}
		epb := func(id uint32, options []byte) []byte {
			b := o.AppendUint32(nil, id)
			b = append(b, make([]byte, 8)...)
			b = o.AppendUint32(b, uint32(len(p.data)))
			b = o.AppendUint32(b, uint32(len(p.data)))
			b = append(append(b, p.data...), make([]byte, -len(p.data)&3)...)
			return ngBlock(o, ngEnhancedPacket, append(b, options...))
		}
		head := append(ngSection(o), ngIDB(o, 1, 0, nil)...)
		for name, c := range map[string]struct {
			blocks [][]byte
			want   statistics
			errors uint64
		}{
			"nothing":          {[][]byte{epb(0, nil)}, statistics{}, 0},
			"the last counts":  {[][]byte{isb(0, u64(u64(nil, 4, 5), 5, 1)), isb(0, u64(u64(u64(nil, 4, 50), 5, 7), 7, 3))}, statistics{50, 10, true, true}, 0},
			"nothing dropped":  {[][]byte{isb(0, u64(nil, 5, 0))}, statistics{0, 0, false, true}, 0},
			"unknown":          {[][]byte{isb(3, u64(nil, 5, 9)), isb(0, u64(nil, 8, 9))}, statistics{}, 0},
			"packets":          {[][]byte{epb(0, u64(nil, 4, 3)), epb(0, u64(nil, 4, 4)), ngPB(o, 0, 5, 0, p), ngPB(o, 0, 0xffff, 0, p)}, statistics{0, 12, false, true}, 0},
			"not twice":        {[][]byte{epb(0, u64(nil, 4, 3)), isb(0, u64(nil, 5, 9))}, statistics{0, 9, false, true}, 0},
			"sections":         {[][]byte{isb(0, u64(nil, 5, 9)), head, isb(0, u64(nil, 5, 1))}, statistics{0, 10, false, true}, 0},
			"interfaces":       {[][]byte{ngIDB(o, 1, 0, nil), isb(0, u64(nil, 5, 9)), epb(1, u64(nil, 4, 2))}, statistics{0, 11, false, true}, 0},
			"errors":           {[][]byte{epb(0, ngOption(o, nil, 2, o.AppendUint32(nil, 1<<24|2))), epb(0, ngOption(o, nil, 2, o.AppendUint32(nil, 0xffff)))}, statistics{}, 1},
			"short option":     {[][]byte{epb(0, ngOption(o, nil, 4, []byte{1})), isb(0, ngOption(o, nil, 5, []byte{1}))}, statistics{}, 0},
			"option past end":  {[][]byte{epb(0, o.AppendUint32(o.AppendUint32(nil, 0x00400040), 7)), isb(0, o.AppendUint32(nil, 0x00400040))}, statistics{}, 0},
			"short statistics": {[][]byte{ngBlock(o, ngStatistics, nil), ngBlock(o, ngStatistics, make([]byte, 12))}, statistics{}, 0},
		} {
			r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": append(bytes.Clone(head), bytes.Join(c.blocks, nil)...)})), Config{})
			l := r.captures[0]
			if got := (statistics{l.Received, l.Dropped, l.HasReceived, l.HasDropped}); got != c.want || l.LinkErrors != c.errors || l.Damaged() {
				t.Errorf("%v %s: %+v, %d errors, want %+v, %d; %s", o, name, got, l.LinkErrors, c.want, c.errors, l.Err)
			}
		}
	}
}

// Blocks that are no packets do no harm, whatever is in them.
func TestPcapngOtherBlocks(t *testing.T) {
	o := binary.LittleEndian
	p := packetSpec{data: udpFrame(3, 10)}
	b := append(ngSection(o), ngIDB(o, 1, 0, nil)...)
	for _, typ := range []uint32{4, 5, 7, 8, 9, 10, 11, 0xbad, 0x40000bad, 0x80000001, 0xffffffff} {
		for _, body := range []int{0, 3, 4, 1000} {
			b = append(b, ngBlock(o, typ, bytes.Repeat([]byte{0xff}, body))...)
		}
		b = append(b, ngEPB(o, 0, 5, p)...)
	}
	if r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": b})), Config{}); len(r.packets) != 11 || r.captures[0].Damaged() {
		t.Errorf("%d packets, %s", len(r.packets), r.captures[0].Err)
	}
}
