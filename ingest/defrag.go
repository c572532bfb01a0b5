package ingest

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// defragmenter puts IPv4 and IPv6 datagrams together from their fragments (RFC
// 791 section 3.2, RFC 8200 section 4.5) and decodes them. It takes
// fragments in the order of capture.
//
// Fragments belong together that have the same addresses and identification,
// for IPv4 protocol too, and came through the same VLANs and tunnels. Times
// are the packets' own: a fragment more than the timeout away from the first one seen begins
// another datagram. No other packet's time ends a datagram, so that one with
// an absurd time does no harm; memory is bounded by giving up what is oldest.
//
// Where IPv4 fragments overlap, the byte that came first stays. IPv6 datagrams
// with overlapping fragments are given up, whatever else comes of them (RFC
// 5722); an exact duplicate is no overlap. A fragment that contradicts what is
// known of the datagram's end is left out.
//
// A fragment that the snap length cut holds its place: the datagram is put
// together up to the first byte that is missing.
type defragmenter struct {
	timeout      int64
	maxBytes     int
	maxDatagrams int

	index      map[fragmentKey]int32 // looked up only, never walked
	assemblies []assembly
	free       []int32
	oldest     int32 // the list of those in use, in order of their first fragment's arrival
	newest     int32
	used       int // how many
	bytes      int // what they hold, by assembly.size

	limits   uint64
	overlaps uint64
	decoder  Decoder
}

const (
	// maxFragments bounds the fragments of one datagram.
	maxFragments = 1024
	// maxNested bounds how deep datagrams of fragments hold fragments.
	maxNested = 4
	// What one datagram and one fragment count against the bound on bytes
	// beside their data: about what is kept of them.
	assemblyOverhead = 512
	fragmentOverhead = 32
)

// newDefragmenter returns a defragmenter with the bounds of c.
func newDefragmenter(c Config) *defragmenter {
	c = c.WithDefaults()
	return &defragmenter{
		timeout:      c.FragmentTimeout,
		maxBytes:     c.MaxFragmentBytes,
		maxDatagrams: c.MaxFragmentDatagrams,
		index:        make(map[fragmentKey]int32),
		oldest:       -1,
		newest:       -1,
		decoder:      Decoder{Checksums: c.Checksums, NoDecap: c.NoDecap},
	}
}

// Add takes the packet b.Packets[i], whose outcome was OutcomeFragment, and
// reports whether it completed a datagram that belongs to a flow. If so, that has taken
// its place in b.Packets: Pos is the completing fragment's, Time the latest of all, WireLen the
// sum over its fragments' frames, VLAN and encapsulations those of the
// fragment at offset 0; its bytes are appended to b.Overflow, behind the
// MAC addresses of that fragment if it has any, and its encapsulations to
// b.Encaps. If not, the packet means nothing any more.
//
// For each fragment ever added settle is called exactly once, as soon as its
// fate is known, with its own position and OutcomeFragmentReassembled or
// OutcomeFragmentIncomplete.
func (f *defragmenter) Add(b *Batch, i int, settle func(flows.Position, Outcome)) bool {
	p := &b.Packets[i]
	// Of several datagrams of one packet the first stands for it.
	k := f.insert(b, p, settle, p.Pos.Part() == 0)
	f.decoder.rest.off = 0
	f.decoder.Overflow = &b.Overflow
	defer func() {
		f.limits += f.decoder.limits
		f.decoder.limits = 0
	}()
	for depth := 0; k >= 0; depth++ {
		switch f.complete(b, p, k, settle) {
		case OutcomeFlow:
			return true
		case OutcomeFragment:
			// What was put together is itself a fragment, inside of a tunnel. It
			// is no packet of the capture, and is not settled.
			if depth == maxNested {
				f.limits++
				return false
			}
			k = f.insert(b, p, settle, false)
		default:
			return false
		}
	}
	return false
}

// Next makes p the next of several datagrams in the one that Add completed, as Decoder.Next
// does, and reports false where none is left. Fragments in it mean nothing.
func (f *defragmenter) Next(b *Batch, p *flows.Packet) bool {
	for {
		o, ok := f.decoder.Next(b.Overflow, p, &b.Encaps)
		if !ok || o == OutcomeFlow {
			return ok
		}
	}
}

// Flush settles what is incomplete, at the end of a run, and forgets it.
func (f *defragmenter) Flush(settle func(flows.Position, Outcome)) {
	for f.oldest >= 0 {
		f.giveUp(f.oldest, settle)
	}
}

// LimitsHit returns how often since the last call fragments were given up
// because of a bound: on bytes, on datagrams, or on the fragments of one datagram.
func (f *defragmenter) LimitsHit() uint64 {
	n := f.limits
	f.limits = 0
	return n
}

// Overlaps returns how many fragments since the last call overlapped others of
// their datagram without being duplicates, or contradicted its end.
func (f *defragmenter) Overlaps() uint64 {
	n := f.overlaps
	f.overlaps = 0
	return n
}

// fragmentKey is what fragments of one datagram have in common.
type fragmentKey struct {
	src, dst flows.Addr
	id       uint32
	proto    uint16 // IPv4 only
	v6       uint16
	vlans    uint32 // and which of the two there are, above
	_        uint32
	tunnel   uint64 // hash of the encapsulations' kinds and identifiers
}

// assembly is one incomplete datagram, or one that was given up
// and whose further fragments are to be too.
type assembly struct {
	key        fragmentKey
	prev, next int32
	time       int64 // of the first fragment seen
	latest     int64 // of those so far
	dead       bool

	pieces []piece // disjoint, sorted by offset
	data   []byte  // their bytes, in order of arrival
	have   int     // bytes that pieces cover
	total  int     // bytes of the datagram above its header; -1: its end is not known
	end    int     // highest end of a piece

	head  []byte       // of the fragment at offset 0: MAC addresses, IP header, IPv6 extension headers
	first flows.Packet // that fragment; meaningful with a head
	last  int          // IPv6: offset in head of the next header field that names the fragment header
	chain []flows.Encap

	fragments uint32 // that were accepted
	wire      uint32 // their frames' lengths
	flags     flows.PacketFlags
	positions []flows.Position // of those to settle
}

// piece is a range of a datagram, counted from the end of its header.
type piece struct {
	from, to int32 // claimed by the fragment
	n        int32 // bytes of it that are captured, from the front
	at       int32 // where in the assembly's data
}

func (a *assembly) size() int {
	if a.dead {
		return assemblyOverhead
	}
	return assemblyOverhead + int(a.fragments)*fragmentOverhead + len(a.data) + len(a.head)
}

// insert adds the fragment p to its datagram. If that is complete now, it
// returns its index, otherwise -1. direct says that p is a packet of the
// capture, to be settled.
func (f *defragmenter) insert(b *Batch, p *flows.Packet, settle func(flows.Position, Outcome), direct bool) int32 {
	reject := func() int32 {
		if direct {
			settle(p.Pos, OutcomeFragmentIncomplete)
		}
		return -1
	}

	data := b.Bytes(p)
	v6 := p.Flags&flows.IPv6 != 0
	key := fragmentKey{src: p.Src, dst: p.Dst, tunnel: chainHash(b.Encaps, p.Encap)}
	key.vlans = uint32(p.VLAN)<<16 | uint32(p.InnerVLAN) | uint32(p.Flags&flows.HasVLAN)<<26 | uint32(p.Flags&flows.HasInnerVLAN)<<12
	n, captured := int(p.PayloadLen), int(p.PayloadCaptured)
	var from int
	var more bool
	if v6 {
		h := data[p.Transport:]
		field := binary.BigEndian.Uint16(h[2:])
		from, more = int(field&0xfff8), field&1 != 0
		key.id, key.v6 = binary.BigEndian.Uint32(h[4:]), 1
		if more && n%8 != 0 {
			return reject()
		}
	} else {
		h := data[p.Network:]
		field := binary.BigEndian.Uint16(h[6:])
		from, more = int(field&0x1fff)*8, field&0x2000 != 0
		key.id, key.proto = uint32(binary.BigEndian.Uint16(h[4:])), uint16(p.Proto)
		if more {
			n &^= 7 // what is left over overlaps the next fragment, or should
			captured = min(captured, n)
		}
	}
	to := from + n
	if n <= 0 || to > 0xffff {
		return reject()
	}

	k, ok := f.index[key]
	if ok {
		if age := p.Time - f.assemblies[k].time; age > f.timeout || age < -f.timeout {
			f.giveUp(k, settle)
			ok = false
		}
	}
	if !ok {
		for f.used >= f.maxDatagrams {
			f.evict(p.Time, settle)
		}
		k = f.start(key, p.Time)
	}
	a := &f.assemblies[k]
	switch {
	case a.dead:
		return reject()
	case a.fragments == maxFragments:
		f.limits++
		f.kill(k, settle)
		return reject()
	case a.total >= 0 && (to > a.total || !more && to != a.total), a.total < 0 && !more && to < a.end:
		f.overlaps++
		if v6 {
			f.kill(k, settle)
		}
		return reject()
	}

	before := a.size()
	overlaps, duplicate := a.place(from, to, data[p.Payload:][:captured])
	if overlaps && !duplicate {
		f.overlaps++
		if v6 {
			f.bytes += a.size() - before
			f.kill(k, settle)
			return reject()
		}
	}
	a.end = max(a.end, to)
	if !more {
		a.total = to
	}
	if from == 0 && len(a.head) == 0 {
		a.begin(b, p, data)
	}
	a.fragments++
	a.latest = max(a.latest, p.Time)
	a.wire += p.WireLen
	a.flags |= p.Flags & (flows.BadIPChecksum | flows.ChecksumOffload)
	if direct {
		a.positions = append(a.positions, p.Pos)
	}
	f.bytes += a.size() - before
	if a.have == a.total {
		return k
	}
	for f.bytes > f.maxBytes {
		f.evict(p.Time, settle) // which may be k
	}
	return -1
}

// chainHash returns a number for the kinds and identifiers of the encapsulations
// from index first on, counted from 1.
func chainHash(encaps []flows.Encap, first uint32) uint64 {
	var h uint64
	for i := first; i != 0; i = encaps[i-1].Inner {
		e := &encaps[i-1]
		h = (h ^ uint64(e.Kind)<<56 ^ e.ID) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return h
}

// place adds the range [from, to), of which the bytes captured begin it,
// where nothing is yet. It reports whether something was there, and
// whether that was the same range.
func (a *assembly) place(from, to int, captured []byte) (overlaps, duplicate bool) {
	// The pieces that touch the range are [low, high).
	low, high := 0, len(a.pieces)
	for low < high {
		m := int(uint(low+high) / 2)
		if int(a.pieces[m].to) <= from {
			low = m + 1
		} else {
			high = m
		}
	}
	for high < len(a.pieces) && int(a.pieces[high].from) < to {
		high++
	}
	if overlaps = high > low; overlaps {
		duplicate = high == low+1 && int(a.pieces[low].from) == from && int(a.pieces[low].to) == to
		if duplicate {
			return
		}
	}
	// Fill the gaps between them, from the right so that indices stay valid.
	end := to
	for i := high; i >= low; i-- {
		begin := from
		if i > low {
			begin = max(from, int(a.pieces[i-1].to))
		}
		if begin < end {
			c := captured[min(begin-from, len(captured)):min(end-from, len(captured))]
			np := piece{int32(begin), int32(end), int32(len(c)), int32(len(a.data))}
			a.data = append(a.data, c...)
			a.pieces = append(a.pieces, piece{})
			copy(a.pieces[i+1:], a.pieces[i:])
			a.pieces[i] = np
			a.have += end - begin
		}
		if i > low {
			end = min(end, int(a.pieces[i-1].from))
		}
	}
	return
}

// begin keeps what the fragment at offset 0 says of the whole.
func (a *assembly) begin(b *Batch, p *flows.Packet, data []byte) {
	a.first = *p
	if p.Flags&flows.HasEthernet != 0 {
		a.head = append(a.head, data[p.Link:][:p.MACs.Len()]...)
	}
	ip := len(a.head)
	a.head = append(a.head, data[p.Network:p.Transport]...)
	a.first.Network = uint32(ip)
	if p.Flags&flows.IPv6 != 0 {
		// The header before the fragment header names it; in the whole it
		// names what the fragment header does.
		a.last = lastNext(a.head, ip)
	}
	for i := p.Encap; i != 0; i = b.Encaps[i-1].Inner {
		a.chain = append(a.chain, b.Encaps[i-1])
	}
	// Authentication headers come back when the whole is decoded.
	for len(a.chain) > 0 && a.chain[len(a.chain)-1].Kind == flows.EncapAH && p.Flags&flows.IPv6 != 0 {
		a.chain = a.chain[:len(a.chain)-1]
	}
}

// complete puts the complete datagram k together, decodes it into p, and
// forgets it.
func (f *defragmenter) complete(b *Batch, p *flows.Packet, k int32, settle func(flows.Position, Outcome)) Outcome {
	a := &f.assemblies[k]
	ip := int(a.first.Network)
	v6 := a.first.Flags&flows.IPv6 != 0
	length := len(a.head) - ip + a.total // of the IP datagram
	if !v6 && length > 0xffff || v6 && length-40 > 0xffff {
		f.giveUp(k, settle)
		return OutcomeMalformedNetwork
	}
	for _, at := range a.positions {
		settle(at, OutcomeFragmentReassembled)
	}

	start := len(b.Overflow)
	b.Overflow = append(b.Overflow, a.head...)
	h := b.Overflow[start+ip:]
	if v6 {
		binary.BigEndian.PutUint16(h[4:], uint16(length-40))
		b.Overflow[start+a.last] = a.first.Proto
	} else {
		binary.BigEndian.PutUint16(h[2:], uint16(length))
		h[6], h[7] = h[6]&0xc0, 0 // neither more fragments nor an offset
		h[10], h[11] = 0, 0
		binary.LittleEndian.PutUint16(h[10:], ^fold(sum(0, h)))
	}
	for _, c := range a.pieces {
		b.Overflow = append(b.Overflow, a.data[c.at:][:c.n]...)
		if c.n < c.to-c.from {
			break // cut
		}
	}

	const keep = flows.HasEthernet | flows.HasVLAN | flows.HasInnerVLAN
	*p = flows.Packet{
		Time: a.latest, Pos: p.Pos, WireLen: a.wire, Link: uint32(start),
		Flags: a.first.Flags&keep | flows.InOverflow, VLAN: a.first.VLAN, InnerVLAN: a.first.InnerVLAN, MACs: a.first.MACs,
		Fragments: uint16(a.fragments),
	}
	o := f.decoder.datagram(b.Overflow, start+ip, length, a.chain, p, &b.Encaps)
	p.Flags |= a.flags
	f.forget(k)
	return o
}

// start begins an assembly and returns its index.
func (f *defragmenter) start(key fragmentKey, time int64) int32 {
	var k int32
	if n := len(f.free); n > 0 {
		k = f.free[n-1]
		f.free = f.free[:n-1]
	} else {
		k = int32(len(f.assemblies))
		f.assemblies = append(f.assemblies, assembly{})
	}
	a := &f.assemblies[k]
	*a = assembly{
		key: key, time: time, latest: time, total: -1, prev: f.newest, next: -1,
		pieces: a.pieces[:0], data: a.data[:0], head: a.head[:0], chain: a.chain[:0], positions: a.positions[:0],
	}
	if f.newest >= 0 {
		f.assemblies[f.newest].next = k
	} else {
		f.oldest = k
	}
	f.newest = k
	f.index[key] = k
	f.used++
	f.bytes += a.size()
	return k
}

// evict gives up the oldest assembly to make room. That counts as a limit hit
// unless it could not have been completed any more.
func (f *defragmenter) evict(now int64, settle func(flows.Position, Outcome)) {
	if a := &f.assemblies[f.oldest]; !a.dead && now-a.time <= f.timeout {
		f.limits++
	}
	f.giveUp(f.oldest, settle)
}

// giveUp settles the fragments of an assembly as incomplete and forgets it.
func (f *defragmenter) giveUp(k int32, settle func(flows.Position, Outcome)) {
	for _, at := range f.assemblies[k].positions {
		settle(at, OutcomeFragmentIncomplete)
	}
	f.forget(k)
}

// kill gives up an assembly but remembers that, so that what comes of it later
// does not look like another datagram.
func (f *defragmenter) kill(k int32, settle func(flows.Position, Outcome)) {
	a := &f.assemblies[k]
	for _, at := range a.positions {
		settle(at, OutcomeFragmentIncomplete)
	}
	f.bytes -= a.size()
	a.dead = true
	a.release()
	f.bytes += a.size()
}

// forget takes an assembly out of use.
func (f *defragmenter) forget(k int32) {
	a := &f.assemblies[k]
	f.bytes -= a.size()
	f.used--
	delete(f.index, a.key)
	if a.prev >= 0 {
		f.assemblies[a.prev].next = a.next
	} else {
		f.oldest = a.next
	}
	if a.next >= 0 {
		f.assemblies[a.next].prev = a.prev
	} else {
		f.newest = a.prev
	}
	a.release()
	f.free = append(f.free, k)
}

// release empties an assembly, keeping little memory.
func (a *assembly) release() {
	a.pieces, a.head, a.chain, a.positions = a.pieces[:0], a.head[:0], a.chain[:0], a.positions[:0]
	a.data = a.data[:0]
	if cap(a.data) > 4<<10 {
		a.data = nil
	}
	if cap(a.pieces) > 16 {
		a.pieces, a.positions = nil, nil
	}
}
