package main

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
)

const (
	second = int64(1e9)
	milli  = int64(1e6)
	micro  = int64(1e3)
)

// packet is one frame and when it passes the capture point, in nanoseconds
// since 1970.
type packet struct {
	ts   int64
	data []byte
}

// wire collects the frames of all conversations. They are put in order of time
// when everything has been said.
type wire struct {
	seed    uint64
	packets []packet
	labels  []label
	ports   map[netip.Addr]uint16 // last port that a host began a flow from
	block   []byte                // the rest of the block that frames are cut from
	ids     uint16
}

// label says what a flow is, which no column of a dataset does.
type label struct {
	src, dst netip.AddrPort
	proto    string
	activity string
}

// dice returns the random numbers of one activity. Each has its own, so that
// one that is altered leaves the others as they were.
func (w *wire) dice(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// from returns the address and a port, not used before, that a host begins a
// flow from.
func (w *wire) from(host netip.Addr) netip.AddrPort {
	p := w.ports[host]
	if p == 0 {
		p = 32768
	}
	w.ports[host] = p + 1
	return netip.AddrPortFrom(host, p)
}

func (w *wire) label(src, dst netip.AddrPort, proto, activity string) {
	w.labels = append(w.labels, label{src, dst, proto, activity})
}

func (w *wire) frame(n int) []byte {
	if len(w.block) < n {
		w.block = make([]byte, 1<<20)
	}
	b := w.block[:n:n]
	w.block = w.block[n:]
	return b
}

const ethernet, ipv4 = 14, 20

// ip makes a frame with room for n bytes of transport, which it returns too,
// and files it.
func (w *wire) ip(ts int64, src, dst netip.Addr, ttl, proto uint8, n int) []byte {
	b := w.frame(ethernet + ipv4 + n)
	copy(b[0:], mac(dst))
	copy(b[6:], mac(src))
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	h := b[ethernet:]
	w.ids++
	h[0] = 0x45
	binary.BigEndian.PutUint16(h[2:], uint16(ipv4+n))
	binary.BigEndian.PutUint16(h[4:], w.ids)
	h[6] = 0x40 // don't fragment
	h[8], h[9] = ttl, proto
	s, d := src.As4(), dst.As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	binary.BigEndian.PutUint16(h[10:], ^fold(sum(0, h[:ipv4])))
	w.packets = append(w.packets, packet{ts, b})
	return h[ipv4:]
}

// udp files a datagram.
func (w *wire) udp(ts int64, src, dst netip.AddrPort, payload []byte) {
	b := w.ip(ts, src.Addr(), dst.Addr(), ttl(src.Addr()), 17, 8+len(payload))
	binary.BigEndian.PutUint16(b[0:], src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	copy(b[8:], payload)
	check := ^fold(sum(pseudo(src.Addr(), dst.Addr(), 17, len(b)), b))
	if check == 0 {
		check = 0xffff // RFC 768: zero is "not computed"
	}
	binary.BigEndian.PutUint16(b[6:], check)
}

// segment is what differs between the TCP packets of a side.
type segment struct {
	seq, ack uint32
	flags    uint8
	window   uint16
	options  []byte // of a length that four divides
	payload  []byte
}

func (w *wire) tcp(ts int64, src, dst netip.AddrPort, s segment) {
	head := 20 + len(s.options)
	b := w.ip(ts, src.Addr(), dst.Addr(), ttl(src.Addr()), 6, head+len(s.payload))
	binary.BigEndian.PutUint16(b[0:], src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint32(b[4:], s.seq)
	binary.BigEndian.PutUint32(b[8:], s.ack)
	b[12] = uint8(head/4) << 4
	b[13] = s.flags
	binary.BigEndian.PutUint16(b[14:], s.window)
	copy(b[20:], s.options)
	copy(b[head:], s.payload)
	binary.BigEndian.PutUint16(b[16:], ^fold(sum(pseudo(src.Addr(), dst.Addr(), 6, len(b)), b)))
}

// mac is the address that a host, or for those outside the router, has on the
// office's cable: locally administered, made from the host's own.
func mac(a netip.Addr) []byte {
	if !inside(a) {
		a = router
	}
	q := a.As4()
	return []byte{0x02, 0x00, q[0], q[1], q[2], q[3]}
}

// ttl is what is left of a packet's time to live at the capture point, which
// is in front of the office's router.
func ttl(a netip.Addr) uint8 {
	if inside(a) {
		return 64
	}
	q := a.As4()
	return 64 - 6 - q[3]%9
}

func pseudo(src, dst netip.Addr, proto uint8, n int) uint32 {
	s, d := src.As4(), dst.As4()
	return sum(sum(uint32(proto)+uint32(n), s[:]), d[:])
}

// sum adds b to a checksum of RFC 1071.
func sum(c uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		c += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		c += uint32(b[0]) << 8
	}
	return c
}

func fold(c uint32) uint16 {
	for c > 0xffff {
		c = c>>16 + c&0xffff
	}
	return uint16(c)
}
