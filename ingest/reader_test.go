package ingest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/caplake/caplake/flows"
)

// A capture of packets of many lengths, some larger than the blocks that the
// tests use.
func mixedPackets() []packetSpec {
	var s []packetSpec
	for i := range 60 {
		n := (i * 37) % 400
		if i%17 == 3 {
			n = 3000
		}
		s = append(s, packetSpec{sec: 1_700_000_000 + uint32(i), frac: uint32(i) * 1001, data: udpFrame(byte(i), n)})
	}
	return s
}

func mixedNG(o appender) []byte {
	b := ngSection(o)
	b = append(b, ngIDB(o, 1, 65535, nil)...)
	b = append(b, ngBlock(o, 0x0bad, make([]byte, 700))...)
	for i, p := range mixedPackets() {
		ticks := uint64(p.sec)*1e6 + uint64(p.frac)
		switch i % 3 {
		case 0:
			b = append(b, ngEPB(o, 0, ticks, p)...)
		case 1:
			b = append(b, ngPB(o, 0, 9, ticks, p)...)
		case 2:
			b = append(b, ngEPB(o, 0, ticks, p)...)
			b = append(b, ngBlock(o, 4, []byte("names"))...)
		}
	}
	return b
}

func TestPcapVariants(t *testing.T) {
	p := packetSpec{sec: 0xfedcba98, frac: 123456, data: udpFrame(1, 5), orig: 900}
	var le, be appender = binary.LittleEndian, binary.BigEndian
	modified := func(o appender) []byte {
		b := pcapHeader(o, pcapMagicModified, 4, 65535, 1)
		r := pcapRecord(o, nil, p)
		b = append(b, r[:16]...)
		b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
		return append(b, r[16:]...)
	}
	old := func(minor uint16, swap bool) []byte {
		b := pcapHeader(le, pcapMagicMicro, minor, 65535, 1)
		r := pcapRecord(le, nil, p)
		if swap {
			r = append(r[:8:8], append(bytes.Clone(r[12:16]), append(bytes.Clone(r[8:12]), r[16:]...)...)...)
		}
		return append(b, r...)
	}
	micro, nano := int64(0xfedcba98)*1e9+123456000, int64(0xfedcba98)*1e9+123456
	for _, c := range []struct {
		name       string
		data       []byte
		time       int64
		order, res string
	}{
		{"micro little", pcapFile(le, pcapMagicMicro, p), micro, "little", "1us"},
		{"micro big", pcapFile(be, pcapMagicMicro, p), micro, "big", "1us"},
		{"nano little", pcapFile(le, pcapMagicNano, p), nano, "little", "1ns"},
		{"nano big", pcapFile(be, pcapMagicNano, p), nano, "big", "1ns"},
		{"modified little", modified(le), micro, "little", "1us"},
		{"modified big", modified(be), micro, "big", "1us"},
		{"2.2", old(2, true), micro, "little", "1us"},
		{"2.3 swapped", old(3, true), micro, "little", "1us"},
		{"2.3", old(3, false), micro, "little", "1us"},
	} {
		r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": c.data})), Config{})
		if len(r.packets) != 1 {
			t.Fatalf("%s: %d packets, %s", c.name, len(r.packets), r.captures[0].Err)
		}
		got, l := r.packets[0], r.captures[0]
		if got.time != c.time || got.orig != 900 || got.data != string(p.data) || got.link != 1 || !got.decoded {
			t.Errorf("%s: got %+v", c.name, got)
		}
		if l.Format != "pcap" || l.ByteOrder != c.order || l.TimestampResolution != c.res || l.Snaplen != 65535 ||
			!reflect.DeepEqual(l.LinkTypes, []string{"ethernet"}) || l.FirstTime != c.time || l.LastTime != c.time ||
			l.Packets != 1 || l.InFlow != 1 || l.Bytes != int64(len(c.data)) || l.Damaged() {
			t.Errorf("%s: ledger %+v", c.name, l)
		}
	}
}

func TestPcapngSectionsAndInterfaces(t *testing.T) {
	var le, be appender = binary.LittleEndian, binary.BigEndian
	var b []byte
	add := func(blocks ...[]byte) {
		for _, x := range blocks {
			b = append(b, x...)
		}
	}
	nano := ngOption(le, nil, ngOptionTSResol, []byte{9})
	binary10 := ngOption(le, nil, ngOptionTSResol, []byte{0x80 | 10})
	offset := ngOption(be, nil, ngOptionTSOffset, be.AppendUint64(nil, uint64(1000)))
	before := ngOption(be, nil, ngOptionTSOffset, be.AppendUint64(nil, math.MaxUint64-4)) // -5
	p := packetSpec{data: udpFrame(3, 10)}
	add(ngSection(le), ngIDB(le, 1, 0, nano), ngIDB(le, 101, 60, binary10),
		ngSPB(le, p),                // before any time
		ngEPB(le, 1, 1024*5+512, p), // 5.5 s
		ngEPB(le, 0, 1_700_000_000_000_000_001, p),
		ngSPB(le, p),
		ngPB(le, 1, 3, 1, p),
		ngSection(be), ngIDB(be, 113, 96, offset), ngIDB(be, 1, 0, before), // numbered anew
		ngEPB(be, 0, 7, p), ngEPB(be, 1, 6_000_000, p),
		ngBlock(be, 10, []byte("secrets!")))
	r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": b})), Config{})
	type brief struct {
		time  int64
		link  uint16
		flags RecordFlags
	}
	want := []brief{
		{0, 1, NoTime}, {5_500_000_000, 101, 0}, {1_700_000_000_000_000_001, 1, 0}, {1_700_000_000_000_000_001, 1, NoTime}, {976_562, 101, 0},
		{1000_000_007_000, 113, 0}, {1_000_000_000, 1, 0},
	}
	var got []brief
	for _, s := range r.packets {
		got = append(got, brief{s.time, s.link, s.flags})
		if s.data != string(p.data) {
			t.Errorf("packet %d: data %x", s.pos.Packet(), s.data)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	l := r.captures[0]
	if l.Format != "pcapng" || l.ByteOrder != "mixed" || l.TimestampResolution != "1ns,2^-10s,1us" || l.Snaplen != 96 ||
		!reflect.DeepEqual(l.LinkTypes, []string{"ethernet", "raw", "linux_sll"}) || l.OutOfOrder != 3 ||
		l.FirstTime != 976_562 || l.LastTime != 1_700_000_000_000_000_001 || l.Damaged() {
		t.Errorf("ledger %+v", l)
	}
}

func TestSimplePacketSnaplen(t *testing.T) {
	o := binary.LittleEndian
	data := udpFrame(1, 30)
	b := append(ngSection(o), ngIDB(o, 1, 50, nil)...)
	b = append(b, ngSPB(o, packetSpec{data: data[:50], orig: 72})...)
	r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"a": b})), Config{})
	if len(r.packets) != 1 || r.packets[0].data != string(data[:50]) || r.packets[0].orig != 72 {
		t.Errorf("got %+v", r.packets) // padding would make it 52
	}
}

// Exact conversion against arithmetic without bounds.
func TestTicksToNanoseconds(t *testing.T) {
	ticks := []uint64{0, 1, 2, 999, 1e6 + 1, 1<<32 - 1, 1 << 32, 1_700_000_000_123_456_789, 1<<63 - 1, 1 << 63, math.MaxUint64}
	for r := range 256 {
		for _, v := range ticks {
			x := new(big.Int).Mul(new(big.Int).SetUint64(v), big.NewInt(1e9))
			n := int64(r & 0x7f)
			if r&0x80 != 0 {
				x.Rsh(x, uint(n))
			} else {
				x.Quo(x, new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil))
			}
			want := int64(math.MaxInt64)
			if x.IsInt64() {
				want = x.Int64()
			}
			if got := ticksToNanoseconds(v, uint8(r)); got != want {
				t.Fatalf("%d ticks, if_tsresol %#x: got %d, want %d", v, r, got, want)
			}
		}
	}
}

func TestSaturatingAdd(t *testing.T) {
	for _, c := range []struct{ ns, s, want int64 }{
		{5, 0, 5}, {5, 1, 1_000_000_005}, {5, -1, -999_999_995}, {math.MaxInt64, 1, math.MaxInt64},
		{math.MaxInt64, -1, math.MaxInt64 - 1_000_000_000}, {1, math.MaxInt64, 9_223_372_036_000_000_001}, {0, math.MinInt64, -9_223_372_036_000_000_000},
		{1e9, math.MaxInt64, math.MaxInt64},
	} {
		if got := saturatingAdd(c.ns, c.s); got != c.want {
			t.Errorf("%d ns + %d s = %d, want %d", c.ns, c.s, got, c.want)
		}
	}
}

func TestResolutionName(t *testing.T) {
	for r, want := range map[uint8]string{0: "1s", 1: "100ms", 3: "1ms", 4: "100us", 6: "1us", 9: "1ns", 12: "1ps", 19: "10^-19s", 127: "10^-127s", 0x80: "2^-0s", 0x80 | 30: "2^-30s"} {
		if got := resolutionName(r); got != want {
			t.Errorf("%#x: %s, want %s", r, got, want)
		}
	}
}

// shapes are the ways in which a reader may return the same bytes.
var shapes = map[string]func(io.Reader) io.Reader{
	"whole":    func(r io.Reader) io.Reader { return r },
	"one byte": iotest.OneByteReader,
	"half":     iotest.HalfReader,
	"data err": iotest.DataErrReader,
}

// Where batches end depends on the bytes alone: not on the sizes of reads, the
// kind of input, its compression or the number of workers.
func TestBatchesIndependentOfReads(t *testing.T) {
	cfg := Config{BlockBytes: 1024, MaxBlocks: 3, EpochPackets: 7, MaxRecordBytes: 1 << 16}
	for name, data := range map[string][]byte{
		"pcap":       pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...),
		"pcapng":     mixedNG(binary.LittleEndian),
		"pcapng big": mixedNG(binary.BigEndian),
	} {
		dir := writeFiles(t, map[string][]byte{"a": data})
		want := readAll(t, planOf(t, filepath.Join(dir, "a")), cfg)
		if len(want.packets) != len(mixedPackets()) || len(want.epochs) != len(mixedPackets())/7 {
			t.Fatalf("%s: %d packets, %d epochs: %s", name, len(want.packets), len(want.epochs), want.captures[0].Err)
		}
		for i, s := range want.packets {
			p := mixedPackets()[i]
			if s.data != string(p.data) || s.time != int64(p.sec)*1e9+int64(p.frac)*1000 || s.pos != flows.NewPosition(1, uint64(i+1)) || !s.decoded {
				t.Fatalf("%s: packet %d differs: %+v", name, i+1, s)
			}
		}
		for _, e := range want.epochs {
			if e.Packet()%7 != 0 {
				t.Errorf("%s: epoch ends at %d", name, e.Packet())
			}
		}

		check := func(what string, p *Plan, workers int) {
			t.Helper()
			got, err := tryReadAll(p, cfg, workers)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, what, err)
			}
			for i := range got.captures {
				c, w := &got.captures[i], &want.captures[i]
				if c.Compression == "" && c.SHA256 != w.SHA256 {
					t.Errorf("%s, %s: hash %s, want %s", name, what, c.SHA256, w.SHA256)
				}
				c.Name, c.Bytes, c.Compression, c.SHA256 = w.Name, w.Bytes, w.Compression, w.SHA256
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: the run differs\ngot  %v %+v\nwant %v %+v", name, what, got.cuts, got.captures, want.cuts, want.captures)
			}
		}
		for what, shape := range shapes {
			p := planOf(t, dir)
			p.Inputs[0].open = func() (io.ReadCloser, error) { return io.NopCloser(shape(bytes.NewReader(data))), nil }
			check("file, "+what, p, 1)
			for form, stored := range map[string][]byte{
				"plain": data,
				"gzip":  gzipped(t, data[:len(data)/3], data[len(data)/3:]),
				"zstd":  zstandard(t, data),
			} {
				p, err := NewPlan(context.Background(), Config{}, []string{"-"}, shape(bytes.NewReader(stored)))
				if err != nil {
					t.Fatal(err)
				}
				check("stdin, "+form+", "+what, p, 1)
			}
		}
		for _, workers := range []int{2, 5} {
			check("workers", planOf(t, dir), workers)
		}
		check("gzip file", planOf(t, writeFiles(t, map[string][]byte{"a": gzipped(t, data)})), 2)
		check("zstd file", planOf(t, writeFiles(t, map[string][]byte{"a": zstandard(t, data)})), 2)
	}
}

// Any beginning of a capture gives a beginning of its packets, and says where
// and why it ends.
func TestTruncationEverywhere(t *testing.T) {
	packets := mixedPackets()[:6]
	ng := append(ngSection(binary.BigEndian), ngIDB(binary.BigEndian, 1, 0, nil)...)
	for _, p := range packets {
		ng = append(ng, ngEPB(binary.BigEndian, 0, uint64(p.sec)*1e6, p)...)
	}
	for name, data := range map[string][]byte{"pcap": pcapFile(binary.BigEndian, pcapMagicNano, packets...), "pcapng": ng} {
		whole := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"x": data})), Config{})
		for n := range data {
			if n > 700 && n < len(data)-300 && n%13 != 0 {
				continue // within one packet's bytes all is alike
			}
			p := &Plan{Inputs: []Input{{Name: "x", Size: int64(n), open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(data[:n])), nil
			}}}}
			r := readAll(t, p, Config{BlockBytes: 512, MaxBlocks: 2})
			k := len(r.packets)
			if k > len(whole.packets) {
				t.Fatalf("%s cut at %d: %d packets", name, n, k)
			}
			for i := range k {
				if r.packets[i].data != whole.packets[i].data || r.packets[i].time != whole.packets[i].time {
					t.Fatalf("%s cut at %d: packet %d differs", name, n, i+1)
				}
			}
			c := r.captures[0]
			switch {
			case !c.Damaged(): // between two records
				if n < 24 || c.Err != "" {
					t.Fatalf("%s cut at %d: undamaged: %+v", name, n, c)
				}
			case n < 4:
				if c.ErrKind != DamageNotCapture {
					t.Fatalf("%s cut at %d: %s", name, n, c.Err)
				}
			case c.ErrKind != DamageTruncated || c.ErrPacket != uint64(k+1) || c.ErrOffset > int64(n) || !strings.HasPrefix(c.Err, "x: packet "):
				t.Fatalf("%s cut at %d: %+v", name, n, c)
			}
			if c.Packets != uint64(k) || len(c.SHA256) != 64 {
				t.Fatalf("%s cut at %d: %+v", name, n, c)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	var le appender = binary.LittleEndian
	p := packetSpec{sec: 1, data: udpFrame(1, 1000)}
	head := append(ngSection(le), ngIDB(le, 1, 0, nil)...)
	pcap := pcapFile(le, pcapMagicMicro, p, p)
	with := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	cat := func(bs ...[]byte) []byte { return bytes.Join(bs, nil) }
	second := int64(24 + 16 + len(p.data))
	gz := gzipped(t, pcap)
	var noise []byte // does not compress: packets that come out before the damage
	for x := uint32(1); len(noise) < 200_000; x = x*1664525 + 1013904223 {
		noise = append(noise, byte(x>>24))
	}
	long := pcapFile(le, pcapMagicMicro, p, packetSpec{sec: 2, data: noise[:60000]}, packetSpec{sec: 2, data: noise[60000:120000]}, packetSpec{sec: 2, data: noise[120000:180000]})
	for _, c := range []struct {
		name    string
		data    []byte
		packets uint64 // -1: some
		kind    DamageKind
		offset  int64
		text    string
	}{
		{"empty", nil, 0, DamageNotCapture, 0, "empty"},
		{"text", []byte("hello, world"), 0, DamageNotCapture, 0, "neither pcap"},
		{"of another program", []byte("GMBU\x00\x02 and more"), 0, DamageNotCapture, 0, "Microsoft Network Monitor"},
		{"gzip text", gzipped(t, []byte("hello, world")), 0, DamageNotCapture, 0, "neither pcap"},
		{"pcap version", with(pcap, 4, 9), 0, DamageUnsupported, 0, "version 9.4"},
		{"pcap caplen", with(pcap, int(second)+8, 0, 0, 0x10), 1, DamageMalformed, second, "1048576 captured bytes"},
		{"pcap caplen beyond limit", with(with(pcap, 16, 0xff, 0xff, 0xff, 0x7f), int(second)+8, 0xff, 0xff, 0xff, 0xff), 1, DamageMalformed, second, "4294967295"},
		{"pcapng no interface", cat(ngSection(le), ngEPB(le, 0, 1, p)), 0, DamageMalformed, 28, "interface 0"},
		{"pcapng simple without interface", cat(ngSection(le), ngSPB(le, p)), 0, DamageMalformed, 28, "before any interface"},
		{"pcapng version", with(head, 12, 2), 0, DamageUnsupported, 0, "version 2.0"},
		{"pcapng magic", with(head, 8, 0), 0, DamageMalformed, 0, "byte-order magic"},
		{"pcapng trailer", cat(head, with(ngEPB(le, 0, 1, p), len(ngEPB(le, 0, 1, p))-4, 8)), 0, DamageMalformed, int64(len(head)), "at its end"},
		{"pcapng length", cat(head, ngEPB(le, 0, 1, p), []byte{1, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0}), 1, DamageMalformed, int64(len(head) + len(ngEPB(le, 0, 1, p))), "impossible length"},
		{"pcapng length limit", cat(head, []byte{1, 0, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0}), 0, DamageMalformed, int64(len(head)), "the limit is"},
		{"pcapng caplen", cat(head, with(ngEPB(le, 0, 1, p), 21, 0xff)), 0, DamageMalformed, int64(len(head)), "has room for"},
		{"pcapng option", cat(ngSection(le), ngBlock(le, ngInterface, []byte{1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 99, 0})), 0, DamageMalformed, 28, "runs past"},
		{"pcapng short packet", cat(head, ngBlock(le, ngEnhancedPacket, nil)), 0, DamageMalformed, int64(len(head)), "packet block of 12 bytes"},
		{"gzip cut", gz[:len(gz)-12], 1, DamageCompression, 0, "gzip data ends early"},
		{"gzip header cut", gz[:5], 0, DamageCompression, 0, "gzip data ends early"},
		{"gzip damaged", with(gz, len(gz)-8, 1, 2, 3), 2, DamageCompression, int64(len(pcap)), "gzip data is damaged"},
		{"gzip then a damaged member", cat(gz, []byte("\x1f\x8bno header")), 2, DamageCompression, int64(len(pcap)), "gzip data is damaged"},
		{"gzip caplen", gzipped(t, with(pcap, int(second)+8, 0, 0, 0x10)), 1, DamageMalformed, second, "after decompression"},
		{"zstd cut", zstandard(t, long)[:150_000], 3, DamageCompression, 0, "zstd data ends early"},
		{"zstd damaged", with(zstandard(t, pcap), 30, 1, 2, 3, 4, 5, 6, 7), 0, DamageCompression, 0, "zstd data is damaged"},
	} {
		path := filepath.Join(writeFiles(t, map[string][]byte{"x": c.data}), "x")
		for _, cfg := range []Config{{}, {NoHash: true}, {BlockBytes: 64, MaxBlocks: 2}} {
			r := readAll(t, planOf(t, path), cfg)
			l := r.captures[0]
			if l.ErrKind != c.kind || !strings.Contains(l.Err, c.text) || !strings.HasPrefix(l.Err, "x: packet ") || l.ErrPacket != l.Packets+1 {
				t.Errorf("%s: got %q %q packet %d", c.name, l.ErrKind, l.Err, l.ErrPacket)
			}
			if c.offset != 0 && l.ErrOffset != c.offset {
				t.Errorf("%s: at %d, want %d", c.name, l.ErrOffset, c.offset)
			}
			if c.kind != DamageCompression && l.Packets != c.packets || l.Packets > c.packets {
				t.Errorf("%s: %d packets, want %d", c.name, l.Packets, c.packets)
			}
			if want := hashOf(c.data); !cfg.NoHash && l.SHA256 != want || cfg.NoHash && l.SHA256 != "" {
				t.Errorf("%s: hash %s, want %s", c.name, l.SHA256, want)
			}
		}
	}

	// What decompression gave before the damage is kept.
	for name, stored := range map[string][]byte{"gzip": gzipped(t, long), "zstd": zstandard(t, long)} {
		r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"x": stored[:len(stored)*9/10]})), Config{})
		if l := r.captures[0]; l.Packets < 1 || l.Packets > 3 || l.ErrKind != DamageCompression {
			t.Errorf("%s cut: %+v", name, l)
		}
	}
}

func TestReadErrors(t *testing.T) {
	data := pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...)
	boom := errors.New("input/output error")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open": func() (io.ReadCloser, error) { return nil, &os.PathError{Op: "open", Path: "/some/where", Err: boom} },
		"read": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(data[:5000]), iotest.ErrReader(&os.PathError{Op: "read", Path: "/some/where", Err: boom}))), nil
		},
		"gzip": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(gzipped(t, data)[:500]), iotest.ErrReader(&os.PathError{Op: "read", Path: "/some/where", Err: boom}))), nil
		},
	} {
		p := &Plan{Inputs: []Input{{Name: "x", Size: int64(len(data)), open: open}}}
		l := readAll(t, p, Config{}).captures[0]
		if l.ErrKind != DamageRead || !strings.Contains(l.Err, "input/output error") || strings.Contains(l.Err, "/some") || l.SHA256 != "" {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// Fragments are put together across batches and inputs, in place, and each is
// settled in the ledger of its own input.
func TestFragments(t *testing.T) {
	var le appender = binary.LittleEndian
	a1, a2 := fragmentFrames(1)
	b1, b2 := fragmentFrames(2)
	lone, _ := fragmentFrames(3)
	s := func(at uint32, d []byte) packetSpec { return packetSpec{sec: at, data: d} }
	dir := writeFiles(t, map[string][]byte{
		"1": pcapFile(le, pcapMagicMicro, s(1, a1), s(2, udpFrame(9, 5)), s(3, a2), s(4, udpFrame(9, 5)), s(5, b1)),
		"2": pcapFile(le, pcapMagicMicro, s(6, lone), s(7, b2), s(8, []byte("short")), s(9, append(make([]byte, 12), 8, 6, 0, 0))),
	})
	for _, workers := range []int{1, 3} {
		for _, cfg := range []Config{{}, {BlockBytes: 64, MaxBlocks: 2}, {EpochPackets: 1}} {
			r, err := tryReadAll(planOf(t, dir), cfg, workers)
			if err != nil {
				t.Fatal(err)
			}
			var at []flows.Position
			for _, p := range r.flows {
				at = append(at, p.Pos)
				if whole := p.Fragments == 0; whole != (p.Flags&flows.InOverflow == 0) || p.SrcPort != 4000 {
					t.Errorf("packet %d: %+v", p.Pos.Packet(), p)
				}
			}
			if want := []flows.Position{flows.NewPosition(1, 2), flows.NewPosition(1, 3), flows.NewPosition(1, 4), flows.NewPosition(2, 2)}; !reflect.DeepEqual(at, want) {
				t.Errorf("packets at %v, want %v", at, want)
			}
			one, two := r.captures[0], r.captures[1]
			if one.InFlow != 2 || one.FragmentReassembled != 3 || one.FragmentIncomplete != 0 || one.Packets != 5 ||
				two.FragmentReassembled != 1 || two.FragmentIncomplete != 1 || two.NotIP != 1 || two.MalformedLink+two.CutBySnaplen != 1 {
				t.Errorf("ledger %+v\n%+v", one, two)
			}
		}
	}
}

func TestMaxTimeIsInOrder(t *testing.T) {
	var le appender = binary.LittleEndian
	dir := writeFiles(t, map[string][]byte{
		"1": pcapFile(le, pcapMagicMicro, packetSpec{sec: 5, data: udpFrame(1, 1)}, packetSpec{sec: 9, data: udpFrame(1, 1)}, packetSpec{sec: 7, data: udpFrame(1, 1)}),
		"2": pcapFile(le, pcapMagicMicro, packetSpec{sec: 6, data: udpFrame(1, 1)}, packetSpec{sec: 10, data: udpFrame(1, 1)}),
	})
	r := readAll(t, planOf(t, dir), Config{EpochPackets: 1})
	if want := []int64{5e9, 9e9, 9e9, 9e9, 10e9}; !reflect.DeepEqual(r.maxTimes, want) {
		t.Errorf("got %v, want %v", r.maxTimes, want)
	}
	if a, b := r.captures[0], r.captures[1]; a.OutOfOrder != 1 || b.OutOfOrder != 0 || a.FirstTime != 5e9 || a.LastTime != 9e9 {
		t.Errorf("ledger %+v %+v", a, b)
	}
}

// stuck is standard input on which nothing ever comes.
type stuck struct{ first io.Reader }

func (s stuck) Read(p []byte) (int, error) {
	if n, err := s.first.Read(p); err == nil {
		return n, nil
	}
	select {}
}

func TestCancel(t *testing.T) {
	before := runtime.NumGoroutine()
	data := pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...)
	files := map[string][]byte{"a": data, "b.gz": gzipped(t, data), "c.zst": zstandard(t, data)}
	dir := writeFiles(t, files)
	boom := errors.New("boom")
	for _, workers := range []int{1, 2, 5} {
		for stop := range 6 {
			calls := 0
			cfg := Config{BlockBytes: 512, MaxBlocks: 4}
			err := planOf(t, dir).Run(context.Background(), cfg, workers, func(w int, b *Batch) error {
				if w == 0 {
					if calls == stop {
						return boom
					}
					calls++
				}
				return nil
			}, func(uint32, *Capture) { t.Error("done was called") })
			if !errors.Is(err, boom) {
				t.Errorf("%d workers: got %v", workers, err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			calls = 0
			err = planOf(t, dir).Run(ctx, cfg, workers, func(w int, b *Batch) error {
				if w == 0 {
					if calls++; calls == stop+1 {
						cancel()
					}
				}
				return nil
			}, nil)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%d workers: got %v", workers, err)
			}
			cancel()
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}

	// Standard input that never ends cannot hold a run, or a plan, back. The
	// goroutine that reads from it can only be left behind.
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewPlan(ctx, Config{}, []string{"-"}, stuck{bytes.NewReader(data[:100])}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("plan: got %v", err)
	}
	p, err := NewPlan(context.Background(), Config{}, []string{"-"}, stuck{bytes.NewReader(bytes.Repeat(data, 3))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := p.Run(ctx, Config{}, 2, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("run: got %v", err)
	}
}

// A slow handler must not make the run hold more blocks than there are, and a
// record that takes all of them must get through.
func TestBlocksAreBounded(t *testing.T) {
	var le appender = binary.LittleEndian
	var s []packetSpec
	for i := range 40 {
		n := 100
		if i%10 == 5 {
			n = 30_000
		}
		s = append(s, packetSpec{sec: uint32(i), data: udpFrame(byte(i), n)})
	}
	dir := writeFiles(t, map[string][]byte{"a": pcapFile(le, pcapMagicMicro, s...)})
	for _, blocks := range []int{2, 3, 8} {
		for _, workers := range []int{1, 2, 4} {
			r, err := tryReadAll(planOf(t, dir), Config{BlockBytes: 1000, MaxBlocks: blocks}, workers)
			if err != nil || len(r.packets) != len(s) {
				t.Fatalf("%d blocks, %d workers: %d packets, %v", blocks, workers, len(r.packets), err)
			}
		}
	}
}

func TestNoAllocationPerPacket(t *testing.T) {
	var s []packetSpec
	for i := range 20_000 {
		s = append(s, packetSpec{sec: uint32(i), data: udpFrame(byte(i), 20)})
	}
	dir := writeFiles(t, map[string][]byte{"a": pcapFile(binary.LittleEndian, pcapMagicMicro, s...)})
	p := planOf(t, dir)
	n := testing.AllocsPerRun(2, func() {
		if err := p.Run(context.Background(), Config{}, 1, nil, nil); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2000 {
		t.Errorf("%.0f allocations for %d packets", n, len(s))
	}
}

func TestProgress(t *testing.T) {
	data := pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...)
	gz := gzipped(t, data)
	p := planOf(t, writeFiles(t, map[string][]byte{"a": data, "b": gz}))
	for range 2 { // a plan of files can be run again
		readAll(t, p, Config{})
		total, known := p.Progress().Total()
		if want := int64(len(data) + len(gz)); p.Progress().Bytes() != want || total != want || !known {
			t.Errorf("%d of %d bytes, want %d", p.Progress().Bytes(), total, want)
		}
		if p.Progress().Packets() != 120 || p.Progress().Inputs() != 2 {
			t.Errorf("%d packets, %d inputs", p.Progress().Packets(), p.Progress().Inputs())
		}
	}
	p, err := NewPlan(context.Background(), Config{}, []string{"-"}, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if r := readAll(t, p, Config{}); r.captures[0].Bytes != int64(len(data)) || r.captures[0].Name != "-" || r.captures[0].SHA256 != hashOf(data) {
		t.Errorf("%+v", r.captures[0])
	}
	if _, known := p.Progress().Total(); known {
		t.Error("the size of standard input is known")
	}
	if r := readAll(t, p, Config{}); r.captures[0].ErrKind != DamageRead {
		t.Errorf("read twice: %+v", r.captures[0])
	}
}

func TestBalanced(t *testing.T) {
	c := Capture{Name: "x", Packets: uint64(NumOutcomes)}
	for o := range NumOutcomes {
		if err := c.Balanced(); !errors.Is(err, errUnbalanced) {
			t.Fatalf("before %s: %v", o, err)
		}
		*c.outcome(o)++
	}
	if err := c.Balanced(); err != nil {
		t.Error(err)
	}
	c.InFlow++
	if c.Balanced() == nil {
		t.Error("one too many is balanced")
	}
}

func TestConfigValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Error(err)
	}
	err := Config{BlockBytes: 1, MaxBlocks: 1, EpochPackets: -1}.Validate()
	for _, want := range []string{"BlockBytes is 1", "MaxBlocks is 1", "EpochPackets is -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %s is missing", err, want)
		}
	}
}

func TestLinkTypesAreSorted(t *testing.T) {
	for i := 1; i < len(linkTypes); i++ {
		if cmp.Compare(linkTypes[i-1].number, linkTypes[i].number) >= 0 {
			t.Errorf("%d comes after %d", linkTypes[i].number, linkTypes[i-1].number)
		}
	}
	for n, want := range map[uint16]string{0: "null", 1: "ethernet", 276: "linux_sll2", 2: "linktype_2", 65535: "linktype_65535"} {
		if got := LinkTypeName(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
