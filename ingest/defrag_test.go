package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
)

// defragTest feeds frames to a defragmenter as a run does.
type defragTest struct {
	t       testing.TB
	decoder Decoder
	f       *defragmenter
	batch   *Batch
	pos     uint64
	input   uint32
	settled map[flows.Position]Outcome
	added   int
}

func newDefragTest(t testing.TB, c Config) *defragTest {
	return &defragTest{t: t, f: newDefragmenter(c), batch: &Batch{}, input: 1, settled: map[flows.Position]Outcome{}, decoder: Decoder{Checksums: c.Checksums, NoDecap: c.NoDecap}}
}

func (d *defragTest) settle(at flows.Position, o Outcome) {
	d.t.Helper()
	if _, ok := d.settled[at]; ok {
		d.t.Fatalf("packet %d settled twice", at.Packet())
	}
	if o != OutcomeFragmentReassembled && o != OutcomeFragmentIncomplete {
		d.t.Fatalf("settled as %s", o)
	}
	d.settled[at] = o
}

// add decodes a frame, of which captured bytes are there, at a time in
// seconds, and returns the packet that it completes, or nil.
func (d *defragTest) add(link uint32, frame []byte, captured int, seconds float64) *flows.Packet {
	d.t.Helper()
	// A batch holds one packet: the defragmenter must not rely on an older one.
	for i := range d.batch.Data {
		d.batch.Data[i] = 0xee
	}
	d.batch.Data = append(d.batch.Data[:0], frame[:captured]...)
	d.batch.Overflow = append(d.batch.Overflow[:0], "before"...)
	d.batch.Encaps = d.batch.Encaps[:0]
	d.pos++
	p := flows.Packet{Time: int64(seconds * 1e9), Pos: flows.NewPosition(d.input, d.pos), WireLen: uint32(len(frame))}
	r := Record{Time: p.Time, CapLen: uint32(captured), OrigLen: uint32(len(frame))}
	o := d.decoder.Decode(link, d.batch.Data, r, &p, &d.batch.Encaps)
	d.batch.Packets = append(d.batch.Packets[:0], p)
	switch o {
	case OutcomeFlow:
		return &d.batch.Packets[0]
	case OutcomeFragment:
		d.added++
		if !d.f.Add(d.batch, 0, d.settle) {
			return nil
		}
		q := &d.batch.Packets[0]
		if q.Flags&flows.InOverflow == 0 || q.Fragments == 0 {
			d.t.Fatalf("put together: %s", text(q, d.batch.Encaps))
		}
		checkPacket(d.t, q, d.batch.Encaps, d.batch.Overflow, Record{Offset: 6, CapLen: uint32(len(d.batch.Overflow) - 6), OrigLen: q.WireLen})
		return q
	}
	return nil
}

// text is the packet p with offsets from the start of what was put together.
func (d *defragTest) text(p *flows.Packet) string {
	if p == nil {
		return ""
	}
	q := shift(*p, 6)
	return text(&q, d.batch.Encaps)
}

func (d *defragTest) payload(p *flows.Packet) string {
	return string(d.batch.Bytes(p)[p.Payload:][:p.PayloadCaptured])
}

// end flushes, and checks that each fragment has been settled and nothing is kept.
func (d *defragTest) end() {
	d.t.Helper()
	d.f.Flush(d.settle)
	if len(d.settled) != d.added {
		d.t.Fatalf("%d of %d fragments settled", len(d.settled), d.added)
	}
	if d.f.bytes != 0 || d.f.used != 0 || len(d.f.index) != 0 || d.f.oldest != -1 || d.f.newest != -1 {
		d.t.Fatalf("after Flush: %d bytes, %d datagrams, %d in the index, %d…%d", d.f.bytes, d.f.used, len(d.f.index), d.f.oldest, d.f.newest)
	}
}

func (d *defragTest) outcomes() (reassembled, incomplete int) {
	for _, o := range d.settled {
		if o == OutcomeFragmentReassembled {
			reassembled++
		} else {
			incomplete++
		}
	}
	return
}

// frag4 is a fragment of the transport bytes [from, to) of an IPv4 datagram;
// frag6 of an IPv6 one.
func frag4(id int, b []byte, from, to int) []byte {
	more := 1
	if to == len(b) {
		more = 0
	}
	return ip4With(17, id, more, from, nil, b[from:to])
}

func frag6(id uint32, b []byte, from, to int) []byte {
	more := 1
	if to == len(b) {
		more = 0
	}
	return ip6(44, cat([]byte{17, 0}, be16(from|more), be32(id), b[from:to]))
}

var long = strings.Repeat("0123456789abcde", 20) // 300 bytes

func TestDefragment(t *testing.T) {
	u4, u6 := udp(false, []byte(long)), udp(true, []byte(long))
	cut4 := func(id int, at ...int) (frames [][]byte) {
		from := 0
		for _, to := range append(at, len(u4)) {
			frames = append(frames, frag4(id, u4, from, to))
			from = to
		}
		return
	}
	const want4 = "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 0+328 transport 20 payload 28+300/300"
	const want6 = "2001:db8::1.1000 > 2001:db8::2.53 proto 17 ttl 63 tos 40 ip 0+348 transport 40 payload 48+300/300"
	ext := func(b []byte) []byte { // a hop-by-hop header before the fragment header
		return ip6(0, cat([]byte{44, 0, 5, 2, 0, 0, 1, 0}, b[40:]))
	}
	ah := func(b []byte) []byte {
		return ip6(51, cat(unhex("2c04 0000 00000102 00000001"), make([]byte, 12), b[40:]))
	}
	atomic := func(b []byte) []byte { // an atomic fragment header and destination options before it
		return ip6(44, cat(unhex("3cff 0000 00000009 2c00 0104 00000000"), b[40:]))
	}
	inner := vxlan(5, eth(0x0800, ip4(17, u4)))
	mapEach := func(frames [][]byte, f func([]byte) []byte) (out [][]byte) {
		for _, b := range frames {
			out = append(out, f(b))
		}
		return
	}
	ethernet := func(b []byte) []byte {
		if b[0]>>4 == 6 {
			return eth(0x86dd, b)
		}
		return eth(0x0800, b)
	}
	vlan := func(b []byte) []byte { return eth(0x8100, cat(be16(9), be16(0x0800), b)) }
	tunnel := func(b []byte) []byte { return ip4(17, vxlan(5, eth(0x0800, b))) }

	for _, test := range []struct {
		name   string
		link   uint32
		frames [][]byte
		want   string
	}{
		{"two", 101, cut4(1, 160), want4 + " fragments 2 ports overflow"},
		{"three in reverse", 101, reverse(cut4(1, 8, 160)), want4 + " fragments 3 ports overflow"},
		{"first twice", 101, slices.Insert(cut4(1, 160), 0, cut4(1, 160)[0]), want4 + " fragments 3 ports overflow"},
		{"header split", 101, cut4(1, 8), want4 + " fragments 2 ports overflow"},
		{"ethernet", 1, mapEach(cut4(1, 160), ethernet), "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 14+328 transport 34 payload 42+300/300 eth 0 fragments 2 ports overflow"},
		{"ethernet padding", 1, mapEach(cut4(1, 304), func(b []byte) []byte { return pad(ethernet(b), 20) }), "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 14+328 transport 34 payload 42+300/300 eth 0 fragments 2 ports overflow"},
		{"vlan", 1, mapEach(cut4(1, 160), vlan), "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 14+328 transport 34 payload 42+300/300 vlan 9 eth 0 fragments 2 ports overflow"},
		{"another vlan", 1, [][]byte{ethernet(cut4(1, 160)[0]), vlan(cut4(1, 160)[1])}, ""},
		{"another tunnel", 101, [][]byte{cut4(1, 160)[0], tunnel(cut4(1, 160)[1])}, ""},
		{"inside a tunnel", 101, mapEach(cut4(1, 160), tunnel), "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 14+328 transport 34 payload 42+300/300 eth 0 fragments 2 ports overflow in vxlan(5)[10.0.0.1 > 10.0.0.2]"},
		{"a tunnel's carrier", 101, [][]byte{ip4With(17, 1, 1, 0, nil, inner[:64]), ip4With(17, 1, 0, 64, nil, inner[64:])},
			"10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 50+328 transport 70 payload 78+300/300 eth 36 fragments 2 ports overflow in vxlan(5)[10.0.0.1 > 10.0.0.2]"},
		{"options", 101, [][]byte{ip4With(17, 1, 1, 0, unhex("94040000"), u4[:8]), ip4With(17, 1, 0, 8, nil, u4[8:])},
			"10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 0+332 transport 24 payload 32+300/300 fragments 2 ports overflow"},
		{"another protocol", 101, [][]byte{ip4With(17, 1, 1, 0, nil, u4[:8]), ip4With(6, 1, 0, 8, nil, u4[8:])}, ""},
		{"another identification", 101, [][]byte{cut4(1, 160)[0], cut4(2, 160)[1]}, ""},
		{"nothing between", 101, [][]byte{frag4(1, u4, 0, 8), frag4(1, u4, 16, 308)}, ""},
		{"no end", 101, [][]byte{frag4(1, u4, 0, 160), frag4(1, u4, 160, 304)}, ""},
		{"empty", 101, [][]byte{ip4With(17, 1, 1, 8, nil, nil), ip4With(17, 1, 0, 8, nil, nil)}, ""},
		{"beyond 65535", 101, [][]byte{ip4With(17, 1, 0, 65528, nil, make([]byte, 8))}, ""},
		{"not a multiple of eight", 101, [][]byte{ip4With(17, 1, 1, 0, nil, u4[:13]), ip4With(17, 1, 0, 8, nil, u4[8:])}, want4 + " fragments 2 ports overflow"},
		{"other end later", 101, [][]byte{frag4(1, u4, 160, 308), ip4With(17, 1, 0, 304, nil, u4[:100]), frag4(1, u4, 0, 160)}, want4 + " fragments 2 ports overflow"},
		{"end before what is there", 101, [][]byte{frag4(1, u4, 160, 304), ip4With(17, 1, 0, 8, nil, u4[:8]), frag4(1, u4, 304, 308), frag4(1, u4, 0, 160)}, want4 + " fragments 3 ports overflow"},
		{"more beyond the end", 101, [][]byte{frag4(1, u4, 160, 308), ip4With(17, 1, 1, 304, nil, u4[:8]), frag4(1, u4, 0, 160)}, want4 + " fragments 2 ports overflow"},
		{"overlap", 101, [][]byte{frag4(1, u4, 0, 160), ip4With(17, 1, 0, 80, nil, cat(make([]byte, 80), u4[160:]))}, want4 + " fragments 2 ports overflow"},
		{"bad header checksum", 101, mapEach(cut4(1, 160), func(b []byte) []byte { return edit(b, 10, 1, 1) }), want4 + " fragments 2 ports overflow badip"},
		{"bad checksum", 101, [][]byte{frag4(1, u4, 0, 160), frag4(1, edit(u4, 300, 1), 160, 308)}, want4 + " fragments 2 ports overflow badsum"},
		{"malformed whole", 101, [][]byte{ip4With(6, 1, 1, 0, nil, make([]byte, 16)), ip4With(6, 1, 0, 16, nil, make([]byte, 8))}, ""},
		{"ipv6", 101, [][]byte{frag6(1, u6, 0, 160), frag6(1, u6, 160, 308)}, want6 + " fragments 2 ports overflow"},
		{"ipv6 ethernet in reverse", 1, reverse([][]byte{eth(0x86dd, frag6(1, u6, 0, 160)), eth(0x86dd, frag6(1, u6, 160, 308))}),
			"2001:db8::1.1000 > 2001:db8::2.53 proto 17 ttl 63 tos 40 ip 14+348 transport 54 payload 62+300/300 eth 0 fragments 2 ports overflow"},
		{"ipv6 hop-by-hop", 101, [][]byte{ext(frag6(1, u6, 0, 160)), ext(frag6(1, u6, 160, 308))},
			"2001:db8::1.1000 > 2001:db8::2.53 proto 17 ttl 63 tos 40 ip 0+356 transport 48 payload 56+300/300 fragments 2 ports overflow"},
		{"ipv6 authentication header", 101, [][]byte{ah(frag6(1, u6, 0, 160)), ah(frag6(1, u6, 160, 308))},
			"2001:db8::1.1000 > 2001:db8::2.53 proto 17 ttl 63 tos 40 ip 0+372 transport 64 payload 72+300/300 fragments 2 ports overflow in ah(258)"},
		{"ipv6 atomic and fragment", 101, [][]byte{atomic(frag6(1, u6, 0, 160)), atomic(frag6(1, u6, 160, 308))},
			"2001:db8::1.1000 > 2001:db8::2.53 proto 17 ttl 63 tos 40 ip 0+364 transport 56 payload 64+300/300 fragments 2 ports overflow"},
		{"ipv6 duplicate", 101, [][]byte{frag6(1, u6, 0, 160), frag6(1, u6, 0, 160), frag6(1, u6, 160, 308)}, want6 + " fragments 3 ports overflow"},
		{"ipv6 overlap", 101, [][]byte{frag6(1, u6, 0, 160), frag6(1, u6, 152, 304), frag6(1, u6, 160, 308)}, ""},
		{"ipv6 contradicted end", 101, [][]byte{frag6(1, u6, 160, 308), ip6(44, cat(unhex("1100"), be16(304), be32(1), u6[:100])), frag6(1, u6, 0, 160)}, ""},
		{"ipv6 other identification", 101, [][]byte{frag6(1, u6, 0, 160), frag6(2, u6, 160, 308)}, ""},
		{"ipv6 next header of the first counts", 101, [][]byte{edit(frag6(1, u6, 160, 308), 40, 6), frag6(1, u6, 0, 160)}, want6 + " fragments 2 ports overflow"},
		{"ipv6 not a multiple of eight", 101, [][]byte{ip6(44, cat(unhex("1100 0001 00000001"), u6[:13])), frag6(1, u6, 0, 160), frag6(1, u6, 160, 308)}, want6 + " fragments 2 ports overflow"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDefragTest(t, Config{Checksums: true})
			var got string
			var wire uint32
			for i, b := range test.frames {
				wire += uint32(len(b))
				p := d.add(test.link, b, len(b), float64(i))
				if p == nil {
					continue
				}
				if got != "" {
					t.Fatal("completed twice")
				}
				got = d.text(p)
				if i != len(test.frames)-1 || p.Pos.Packet() != d.pos || p.Time != int64(i)*1e9 {
					t.Errorf("completed by fragment %d: %d at %d", i, p.Pos.Packet(), p.Time)
				}
				if int(p.Fragments) == len(test.frames) && p.WireLen != wire {
					t.Errorf("wire %d, want %d", p.WireLen, wire)
				}
				if s := d.payload(p); s != long && test.name != "bad checksum" {
					t.Errorf("payload %q", s)
				}
				if h := p.Hash; h != flows.Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto) {
					t.Errorf("hash %x", h)
				}
			}
			if normal(got) != normal(test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			d.end()
			if r, _ := d.outcomes(); (r > 0) != (test.want != "" || test.name == "malformed whole") {
				t.Errorf("%d fragments put together", r)
			}
		})
	}
}

func reverse(frames [][]byte) [][]byte {
	slices.Reverse(frames)
	return frames
}

// A fragment that is cut holds its place; what is put together ends there.
func TestDefragmentCut(t *testing.T) {
	u4 := udp(false, []byte(long))
	a, b, c := frag4(1, u4, 0, 104), frag4(1, u4, 104, 208), frag4(1, u4, 208, 308)
	d := newDefragTest(t, Config{Checksums: true})
	d.add(101, c, len(c), 0)
	d.add(101, b, 30, 0)
	p := d.add(101, a, len(a), 0)
	const want = "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 0+328 transport 20 payload 28+106/300 fragments 3 ports overflow cut"
	if got := d.text(p); normal(got) != normal(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := d.payload(p); got != long[:106] {
		t.Errorf("payload %q", got)
	}
	d.end()
}

// Fragments of fragments, inside of tunnels, are put together at every depth
// up to the bound.
func TestDefragmentNested(t *testing.T) {
	for depth := 1; depth <= maxNested+2; depth++ {
		frames := [][]byte{ip4(17, udp(false, []byte(long)))}
		for range depth {
			var next [][]byte
			for i, b := range frames {
				b = ip4(4, b)[20:] // what ip-in-ip carries
				k := len(b) / 16 * 8
				next = append(next, ip4With(4, 100*depth+i, 1, 0, nil, b[:k]), ip4With(4, 100*depth+i, 0, k, nil, b[k:]))
			}
			frames = next
		}
		d := newDefragTest(t, Config{Checksums: true})
		var wire, n int
		for i, b := range frames {
			wire += len(b)
			if p := d.add(101, b, len(b), 0); p != nil {
				n++
				if i != len(frames)-1 || int(p.WireLen) != wire || d.payload(p) != long || p.Flags&flows.BadChecksum != 0 {
					t.Errorf("depth %d: fragment %d: %s, wire %d", depth, i, d.text(p), p.WireLen)
				}
			}
		}
		if want := depth <= maxNested+1; (n == 1) != want {
			t.Errorf("depth %d: %d datagrams", depth, n)
		}
		if got := d.f.LimitsHit() > 0; got != (depth > maxNested+1) {
			t.Errorf("depth %d: limit hit %v", depth, got)
		}
		d.end()
	}
}

// What a datagram of fragments tunnels is its carrier's without decapsulation,
// and the MAC addresses of IEEE 802.11 come along.
func TestDefragmentDecap(t *testing.T) {
	inner := vxlan(5, eth(0x0800, ip4(17, udp(false, []byte(hello)))))
	first, last := ip4With(17, 1, 1, 0, nil, inner[:40]), ip4With(17, 1, 0, 40, nil, inner[40:])
	for _, test := range []struct {
		noDecap bool
		want    string
	}{
		{false, "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 76+33 transport 96 payload 104+5/5 eth 62 fragments 2 ports overflow in vxlan(5)[10.0.0.1 > 10.0.0.2]"},
		{true, "10.0.0.1.40000 > 10.0.0.2.4789 proto 17 ttl 64 tos 40 ip 26+83 transport 46 payload 54+55/55 tods 0 fragments 2 ports overflow"},
	} {
		d := newDefragTest(t, Config{Checksums: true, NoDecap: test.noDecap})
		var p *flows.Packet
		for _, b := range [][]byte{first, last} {
			b = dot11(0x08, 1, snap(0x0800, b))
			p = d.add(linkWLAN, b, len(b), 1)
		}
		if got := d.text(p); normal(got) != normal(test.want) {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if test.noDecap && p != nil {
			to, from := p.MACs.Offsets()
			if at := d.batch.Overflow[p.Link:]; at[to+5] != 0x0c || at[from+5] != 0x0b {
				t.Errorf("MAC addresses % x", at[:26])
			}
		}
	}
}

func TestDefragmentTimeout(t *testing.T) {
	u4 := udp(false, []byte(long))
	a, b := frag4(1, u4, 0, 160), frag4(1, u4, 160, 308)
	for _, test := range []struct {
		first, second float64
		want          bool
	}{{0, 30, true}, {0, 30.001, false}, {100, 70, true}, {100, 69.999, false}} {
		d := newDefragTest(t, Config{})
		d.add(101, a, len(a), test.first)
		if got := d.add(101, b, len(b), test.second) != nil; got != test.want {
			t.Errorf("%v, %v: completed %v", test.first, test.second, got)
		}
		d.end()
		if d.f.LimitsHit() != 0 {
			t.Error("a timeout is no limit")
		}
	}
	// Another packet's time ends nothing.
	d := newDefragTest(t, Config{})
	other := frag4(2, u4, 0, 160)
	d.add(101, a, len(a), 0)
	d.add(101, other, len(other), 1e9)
	if d.add(101, b, len(b), 1) == nil {
		t.Error("given up because of another datagram's time")
	}
	d.end()
}

func TestDefragmentBounds(t *testing.T) {
	u4 := udp(false, []byte(long))
	t.Run("datagrams", func(t *testing.T) {
		d := newDefragTest(t, Config{MaxFragmentDatagrams: 10})
		for id := range 15 {
			b := frag4(id, u4, 0, 160)
			d.add(101, b, len(b), 0)
		}
		if d.f.used != 10 || d.f.LimitsHit() != 5 || d.f.LimitsHit() != 0 || len(d.settled) != 5 {
			t.Errorf("%d kept, %d settled", d.f.used, len(d.settled))
		}
		d.end()
	})
	t.Run("oldest first", func(t *testing.T) {
		d := newDefragTest(t, Config{MaxFragmentDatagrams: 3})
		for id := range 4 {
			b := frag4(id, u4, 0, 160)
			d.add(101, b, len(b), 0)
		}
		for _, id := range []int{3, 2, 1} {
			b := frag4(id, u4, 160, 308)
			if d.add(101, b, len(b), 0) == nil {
				t.Errorf("datagram %d was not completed", id)
			}
		}
		b := frag4(0, u4, 160, 308)
		if d.add(101, b, len(b), 0) != nil {
			t.Error("the oldest was kept")
		}
		d.end()
	})
	t.Run("old ones are no limit", func(t *testing.T) {
		d := newDefragTest(t, Config{MaxFragmentDatagrams: 3})
		for id := range 6 {
			b := frag4(id, u4, 0, 160)
			d.add(101, b, len(b), float64(id)*20)
		}
		if n := d.f.LimitsHit(); n != 0 {
			t.Errorf("%d limits hit", n)
		}
		d.end()
	})
	t.Run("bytes", func(t *testing.T) {
		const bound = 64 << 10
		d := newDefragTest(t, Config{MaxFragmentBytes: bound})
		frame := ip4With(17, 0, 1, 0, nil, make([]byte, 1400))
		for id := range 200 {
			binary.BigEndian.PutUint16(frame[4:], uint16(id))
			d.add(101, frame, len(frame), 0)
			if d.f.bytes > bound {
				t.Fatalf("%d bytes kept", d.f.bytes)
			}
		}
		if d.f.used < 25 || d.f.LimitsHit() == 0 {
			t.Errorf("%d kept", d.f.used)
		}
		d.end()
	})
	t.Run("bytes of one", func(t *testing.T) { // may be as large as the bound, and then has to go
		d := newDefragTest(t, Config{MaxFragmentBytes: 64 << 10})
		for from := 8; from < 65000; from += 1400 {
			b := ip4With(17, 1, 1, from, nil, make([]byte, 1400))
			d.add(101, b, len(b), 0)
		}
		if d.f.LimitsHit() == 0 {
			t.Error("no limit hit")
		}
		d.end()
	})
	t.Run("fragments", func(t *testing.T) {
		d := newDefragTest(t, Config{})
		for i := range 2000 {
			b := ip4With(17, 1, 1, 8*(i+1), nil, make([]byte, 8))
			d.add(101, b, len(b), 0)
		}
		if d.f.LimitsHit() != 1 || d.f.bytes > 2*assemblyOverhead || len(d.settled) != 2000 {
			t.Errorf("%d bytes kept, %d settled", d.f.bytes, len(d.settled))
		}
		d.end()
	})
}

// Fragments settle with the input that they came from.
func TestDefragmentInputs(t *testing.T) {
	u4 := udp(false, []byte(long))
	d := newDefragTest(t, Config{})
	for i, at := range []int{0, 104, 208} {
		d.input = uint32(i/2 + 1)
		b := frag4(1, u4, at, min(at+104, len(u4)))
		d.add(101, b, len(b), 0)
	}
	want := map[flows.Position]Outcome{}
	for i := range 3 {
		want[flows.NewPosition(uint32(i/2+1), uint64(i+1))] = OutcomeFragmentReassembled
	}
	if fmt.Sprint(d.settled) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", d.settled, want)
	}
	d.end()
}

// The defragmenter agrees with a map of bytes, whatever the order of fragments,
// their overlaps, duplicates and cuts.
func TestDefragmentRandom(t *testing.T) {
	completed, overlapped := 0, 0
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		v6 := seed%3 == 0
		total := 72 + rnd.IntN(400)
		original := make([]byte, total)
		for i := range original {
			original[i] = byte(rnd.Uint32())
		}
		copy(original, cat(be16(1), be16(2), be16(total), be16(0)))

		// Cut points, each piece once; then some more with other bytes.
		type fragment struct {
			from, to int
			data     []byte
		}
		var fragments []fragment
		for from := 0; from < total; {
			to := min(total, from+8*(1+rnd.IntN(8)))
			fragments = append(fragments, fragment{from, to, original[from:to]})
			from = to
		}
		for n := rnd.IntN(4) * rnd.IntN(3); n > 0; n-- {
			if rnd.IntN(3) == 0 {
				fragments = append(fragments, fragments[rnd.IntN(len(fragments))])
				continue
			}
			from := rnd.IntN((total+7)/8) * 8
			to := min(total, from+8*(1+rnd.IntN(20)))
			if from == 0 && to == total {
				continue // that would be no fragment
			}
			other := bytes.Clone(original[from:to])
			for i := range other {
				if from+i >= 8 { // keep the UDP header
					other[i] ^= byte(rnd.Uint32())
				}
			}
			fragments = append(fragments, fragment{from, to, other})
		}
		rnd.Shuffle(len(fragments), func(i, j int) { fragments[i], fragments[j] = fragments[j], fragments[i] })
		if rnd.IntN(10) == 0 {
			fragments = fragments[:len(fragments)-1]
		}

		// The oracle: the first byte at each place; IPv6 knows no overlap but
		// that of the same range.
		place := make([]int, total)
		have, dead, done := 0, false, -1
		seen := map[[2]int]bool{}
		for i, g := range fragments {
			if done >= 0 {
				break
			}
			same := seen[[2]int{g.from, g.to}]
			seen[[2]int{g.from, g.to}] = true
			for k := g.from; k < g.to; k++ {
				if place[k] == 0 {
					place[k] = 1 + int(g.data[k-g.from])
					have++
				} else if v6 && !same {
					dead = true
				}
			}
			if have == total && !dead {
				done = i
			}
		}
		if dead {
			overlapped++
		}

		d := newDefragTest(t, Config{})
		for i, g := range fragments {
			more := 1
			if g.to == total {
				more = 0
			}
			b := ip4With(17, 7, more, g.from, nil, g.data)
			if v6 {
				b = ip6(44, cat([]byte{17, 0}, be16(g.from|more), be32(7), g.data))
			}
			p := d.add(101, b, len(b), 0)
			if (p != nil) != (i == done) {
				t.Fatalf("seed %d: fragment %d of %d: completed %v, want %v", seed, i, len(fragments), p != nil, i == done)
			}
			if p == nil {
				continue
			}
			completed++
			got := d.batch.Overflow[p.Transport:]
			for k := range place {
				if int(got[k])+1 != place[k] {
					t.Fatalf("seed %d: byte %d is %d, want %d", seed, k, got[k], place[k]-1)
				}
			}
			if len(got) != total || int(p.Fragments) != done+1 {
				t.Fatalf("seed %d: %d bytes of %d fragments, want %d of %d", seed, len(got), p.Fragments, total, done+1)
			}
			break // what follows begins another datagram
		}
		d.end()
	}
	if completed < 1000 || overlapped < 100 {
		t.Errorf("%d completed, %d with overlaps", completed, overlapped)
	}
}

func FuzzDefragment(f *testing.F) {
	u4, u6 := udp(false, []byte(long)), udp(true, []byte(long))
	join := func(frames ...[]byte) (b []byte) {
		for _, x := range frames {
			b = cat(b, be16(len(x)), x)
		}
		return
	}
	f.Add(join(frag4(1, u4, 0, 160), frag4(1, u4, 160, 308)))
	f.Add(join(frag4(1, u4, 160, 308), frag4(1, u4, 80, 240), frag4(1, u4, 0, 160)))
	f.Add(join(frag6(1, u6, 0, 160), frag6(1, u6, 160, 308)))
	inner := cat(ip4With(4, 5, 1, 0, nil, frag4(1, u4, 0, 160)[:96]))
	f.Add(join(inner, ip4With(4, 5, 0, 96, nil, frag4(1, u4, 0, 160)[96:]), frag4(1, u4, 160, 308)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDefragTest(t, Config{MaxFragmentBytes: 64 << 10, MaxFragmentDatagrams: 4, Checksums: true})
		seconds := 0.0
		for len(b) >= 2 {
			n := int(b[0])<<8 | int(b[1])
			captured := min(n&0x7ff, len(b)-2)
			frame := b[2 : 2+captured]
			b = b[2+captured:]
			if n&0x8000 != 0 { // cut
				captured = captured / 2
			}
			seconds += float64(n >> 11 & 0xf)
			d.add(101, frame, captured, seconds)
			if d.f.bytes > 64<<10 || d.f.used > 4 {
				t.Fatalf("%d bytes, %d datagrams", d.f.bytes, d.f.used)
			}
		}
		d.end()
	})
}
