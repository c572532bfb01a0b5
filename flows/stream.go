package flows

import (
	"bytes"
	"slices"
)

// Reassembly of one side of a TCP flow.
//
//	           next                     end of the last held segment
//	────────────┼────────┬───────┬──────┬──────┤
//	 delivered  │  hole  │ held  │ hole │ held │
//
// Bytes that begin at next are handed on at once, out of the packet itself.
// Bytes beyond it are held, copied, until the hole before them is filled or
// given up. Of bytes that come twice the first are kept, or the last of those held where Config.Overlap
// says so; where both copies are at hand they are compared.
//
// A hole is given up, as a gap, when the peer has acknowledged bytes behind it
// and it was not filled within gapPatience of packet time; when a bound on
// held bytes or segments is reached; or when the flow ends.

// stream is one side's state. Sequence numbers are compared by the sign
// of their difference (RFC 9293 section 3.4), so that wrapping needs no care.
type stream struct {
	state         endpoint
	begun         bool // next and first are valid
	hasISN        bool
	hasFin        bool
	finTold       bool
	hasAck        bool // ack and firstAck are valid
	holeAcked     bool // holeSince is valid: the hole at next lies below the peer's ack
	inGap         bool // the bytes before next were not captured
	isn           uint32
	first         uint32 // sequence number of the first byte seen or expected
	next          uint32 // sequence number of the next byte to hand on
	finSeq        uint32 // sequence number of the FIN
	firstAck, ack uint32 // what this side acknowledged: first, highest
	last          uint32 // highest sequence number behind a packet, be what is below it there or not
	held          int32  // bytes of buffers held
	heldRef       uint32 // 1 + index of the list of held segments in the pool; 0: none
	holeSince     int64
	finAt         Stamp
}

// untold reports whether the stream began without a SYN, and nothing of it has
// been handed on, held or given up.
func (st *stream) untold() bool {
	return !st.hasISN && !st.hasFin && st.next == st.first && st.heldRef == 0
}

// heldSegment is a run of bytes beyond a hole. buf is nil for bytes that the
// consumer does not want, and shorter than n where the capture cut the packet.
type heldSegment struct {
	seq  uint32
	n    uint32
	have uint32 // bytes of it that were captured
	at   Stamp
	buf  []byte
}

// maxAhead is the largest scaled window (RFC 7323 section 2.3). A segment that is
// further from what is expected is not of this stream's present.
const maxAhead = 1 << 30

// bytes takes n bytes at seq, of which data was captured.
func (t *Tracker) bytes(f *Flow, x *TCP, side Side, at Stamp, seq, n uint32, data []byte) {
	st, stats := &x.streams[side], &x.Sides[side]
	d := int32(seq - st.next)
	if d == 0 && st.heldRef == 0 { // as nearly always
		st.next += n
		t.deliver(f, x, side, at, n, data)
		return
	}
	if d > maxAhead || d < -maxAhead {
		if next := st.next; st.heldRef != 0 {
			// A hole that the peer has acknowledged for long is given up by now, and what comes is nearer.
			if t.acknowledged(f, x, side, at); st.next != next {
				t.bytes(f, x, side, at, seq, n, data)
				return
			}
		}
		if !t.copied {
			stats.OutOfOrder++
		}
		if peer := &x.streams[side.Other()]; d > 0 && peer.hasAck && int32(peer.ack-seq) >= 0 {
			t.skipTo(f, x, side, at, seq) // that much was lost: the peer is already there
			t.bytes(f, x, side, at, seq, n, data)
		}
		return
	}
	if d < 0 { // bytes from before next
		old := min(uint32(-d), n)
		if !t.copied {
			stats.RetransmitBytes += uint64(old)
		}
		if old == n {
			t.again(stats)
			return
		}
		seq, n = seq+old, n-old
		data = data[min(int(old), len(data)):]
		d = 0
	} else if !t.copied {
		stats.OutOfOrder++ // beyond a hole, or what fills one
	}
	if d == 0 && st.heldRef == 0 {
		st.next += n
		t.deliver(f, x, side, at, n, data)
		return
	}
	if !t.hold(f, x, side, at, seq, n, data) {
		t.again(stats)
	}
}

// again counts a segment that carried only bytes already seen.
func (t *Tracker) again(stats *TCPStats) {
	if !t.copied {
		stats.Retransmits++
	}
}

// deliver hands n bytes, of which data was captured, to the consumer. next is
// already behind them.
func (t *Tracker) deliver(f *Flow, x *TCP, side Side, at Stamp, n uint32, data []byte) {
	t.captured(f, x, side, n, uint32(len(data)))
	if f.ignore || x.streams[side].finTold {
		return
	}
	if len(data) > 0 {
		t.consumer.Data(f, side, at, data)
	}
	if uint32(len(data)) < n && !f.ignore {
		t.consumer.Gap(f, side, at, int64(n)-int64(len(data)))
	}
}

// captured counts the gap at the end of n bytes of which have were captured.
func (t *Tracker) captured(f *Flow, x *TCP, side Side, n, have uint32) {
	if have > 0 {
		x.streams[side].inGap = false
	}
	if have < n {
		t.countGap(f, x, side, uint64(n-have))
	}
}

// countGap counts n bytes that were not captured. What goes on where a gap ended is the same gap,
// as of segments that are cut to their headers.
func (t *Tracker) countGap(f *Flow, x *TCP, side Side, n uint64) {
	st, stats := &x.streams[side], &x.Sides[side]
	stats.GapBytes += n
	if st.inGap {
		return
	}
	st.inGap = true
	stats.Gaps++
	f.hist(side, 'g', stats.Gaps)
}

// hold keeps those of the n bytes at seq that are not yet held, and reports
// whether there were any.
func (t *Tracker) hold(f *Flow, x *TCP, side Side, at Stamp, seq, n uint32, data []byte) bool {
	st, stats := &x.streams[side], &x.Sides[side]
	list := t.pool.list(st)
	end := seq + n
	// i is the first held segment that ends behind seq.
	i, _ := slices.BinarySearchFunc(*list, seq, func(h heldSegment, seq uint32) int {
		if int32(h.seq+h.n-seq) <= 0 {
			return -1
		}
		return 1
	})
	fresh, differs := false, false
	for int32(end-seq) > 0 {
		if i < len(*list) {
			h := &(*list)[i]
			if int32(h.seq-seq) <= 0 { // the beginning is held already
				off := seq - h.seq
				k := min(h.n-off, end-seq)
				if !t.copied {
					stats.RetransmitBytes += uint64(k)
				}
				a, b := cut(h.buf, off, k), cut(data, 0, k) // either may have been cut by the capture
				if both := min(len(a), len(b)); !bytes.Equal(a[:both], b[:both]) {
					differs = true
					if t.cfg.Overlap == OverlapLast {
						copy(a, b)
					}
				}
				seq += k
				data = data[min(int(k), len(data)):]
				i++
				continue
			}
		}
		k := end - seq
		if i < len(*list) {
			k = min(k, (*list)[i].seq-seq)
		}
		there := cut(data, 0, k)
		h := heldSegment{seq: seq, n: k, have: uint32(len(there)), at: at}
		if !f.ignore {
			h.buf = t.pool.copy(there)
			st.held += int32(cap(h.buf))
		}
		*list = slices.Insert(*list, i, h)
		fresh = true
		seq += k
		data = data[min(int(k), len(data)):]
		i++
	}
	if differs {
		stats.OverlapMismatches++
	}
	if len(*list) == 0 {
		t.pool.drop(st)
	}
	return fresh
}

func cut(b []byte, off, n uint32) []byte {
	if int(off) >= len(b) {
		return nil
	}
	return b[off:min(int(off+n), len(b))]
}

// advance hands on what is held at next, tells of a FIN that is reached, and
// keeps the bounds.
func (t *Tracker) advance(f *Flow, x *TCP, side Side, at Stamp) {
	st := &x.streams[side]
	if st.heldRef != 0 {
		t.drain(f, x, side)
		for st.heldRef != 0 && (int(st.held) > t.cfg.MaxHeldPerSide || t.pool.bytes > t.cfg.MaxHeld ||
			len(*t.pool.list(st)) > t.cfg.MaxHeldSegments) {
			t.Stats.HeldLimitHits++
			t.giveUp(f, x, side, at, (*t.pool.list(st))[0].seq)
			t.drain(f, x, side)
		}
		t.Stats.PeakHeld = max(t.Stats.PeakHeld, t.pool.bytes)
	}
	if st.hasFin && !st.finTold && st.next == st.finSeq {
		st.finTold = true
		if !f.ignore {
			t.consumer.Fin(f, side, st.finAt)
		}
	}
}

// drain hands on the held segments that begin at next.
func (t *Tracker) drain(f *Flow, x *TCP, side Side) {
	st := &x.streams[side]
	list := t.pool.list(st)
	k := 0
	for k < len(*list) && (*list)[k].seq == st.next {
		h := &(*list)[k]
		k++
		st.next += h.n
		st.holeAcked = false
		buf := h.buf
		st.held -= int32(cap(buf))
		if f.ignore && buf == nil {
			t.captured(f, x, side, h.n, h.have)
			continue
		}
		t.deliver(f, x, side, h.at, h.n, buf)
		t.pool.free(buf)
		h.buf = nil
	}
	if k == len(*list) {
		*list = (*list)[:0]
		t.pool.drop(st)
	} else if k > 0 {
		*list = slices.Delete(*list, 0, k)
	}
}

// giveUp declares that the bytes from next up to seq will not come.
func (t *Tracker) giveUp(f *Flow, x *TCP, side Side, at Stamp, seq uint32) {
	st := &x.streams[side]
	n := seq - st.next
	st.next = seq
	st.holeAcked = false
	t.countGap(f, x, side, uint64(n))
	if !f.ignore && !st.finTold {
		t.consumer.Gap(f, side, at, int64(n))
	}
}

// skipTo gives up all holes below seq, which is ahead, and hands on what is held between them.
func (t *Tracker) skipTo(f *Flow, x *TCP, side Side, at Stamp, seq uint32) {
	st := &x.streams[side]
	for st.heldRef != 0 {
		first := (*t.pool.list(st))[0].seq
		if first-st.next >= seq-st.next {
			break
		}
		t.giveUp(f, x, side, at, first)
		t.drain(f, x, side)
		if int32(seq-st.next) <= 0 {
			return
		}
	}
	t.giveUp(f, x, side, at, seq)
	if st.heldRef != 0 {
		t.drain(f, x, side)
	}
}

// acknowledged looks at the hole of side after its peer acknowledged bytes: a
// packet of the peer arrived at at.
func (t *Tracker) acknowledged(f *Flow, x *TCP, side Side, at Stamp) {
	st, peer := &x.streams[side], &x.streams[side.Other()]
	if !st.begun {
		// The peer acknowledges bytes of a side of which nothing was seen. Where
		// its bytes would begin is known, but not what they were: a capture of one side.
		return
	}
	for {
		lost := int32(peer.ack - st.next)
		if st.hasFin && peer.ack == st.finSeq+1 {
			lost-- // the FIN takes a number
		}
		if lost <= 0 || lost > maxAhead {
			st.holeAcked = false
			return
		}
		if !st.holeAcked {
			st.holeAcked, st.holeSince = true, at.Time
			return
		}
		if at.Time-st.holeSince < gapPatience {
			return
		}
		to := st.next + uint32(lost)
		if st.heldRef != 0 {
			if first := (*t.pool.list(st))[0].seq; int32(first-to) < 0 {
				to = first
			}
		} else if !st.hasFin {
			// Nothing behind it was seen: bytes may still come late, or the
			// acknowledged number may be that of a FIN not captured. Data will tell.
			return
		}
		t.giveUp(f, x, side, at, to)
		if st.heldRef != 0 {
			t.drain(f, x, side)
		}
		t.advance(f, x, side, at)
	}
}

// flush gives up all holes of side and hands on what is held: nothing more
// will come.
func (t *Tracker) flush(f *Flow, x *TCP, side Side) {
	st := &x.streams[side]
	for st.heldRef != 0 {
		list := *t.pool.list(st)
		h := &list[0]
		t.giveUp(f, x, side, h.at, h.seq)
		t.drain(f, x, side)
	}
	if st.hasFin && !st.finTold {
		if d := int32(st.finSeq - st.next); st.begun && d > 0 && d < maxAhead {
			t.giveUp(f, x, side, st.finAt, st.finSeq)
		}
		st.finTold = true
		if !f.ignore {
			t.consumer.Fin(f, side, st.finAt)
		}
	}
}

// segmentPool lends lists and buffers for held segments.
type segmentPool struct {
	lists     [][]heldSegment
	freeLists []uint32
	buffers   [len(bufferSizes)][][]byte
	bytes     int // capacity of all buffers lent
}

var bufferSizes = [...]int{64, 512, 2048, 16384, 65536}

func (p *segmentPool) list(st *stream) *[]heldSegment {
	if st.heldRef == 0 {
		if n := len(p.freeLists); n > 0 {
			st.heldRef = p.freeLists[n-1]
			p.freeLists = p.freeLists[:n-1]
		} else {
			p.lists = append(p.lists, nil)
			st.heldRef = uint32(len(p.lists))
		}
	}
	return &p.lists[st.heldRef-1]
}

func (p *segmentPool) drop(st *stream) {
	if cap(p.lists[st.heldRef-1]) > 64 {
		p.lists[st.heldRef-1] = nil
	}
	p.freeLists = append(p.freeLists, st.heldRef)
	st.heldRef = 0
}

func (p *segmentPool) copy(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	for c, size := range bufferSizes {
		if len(b) <= size {
			p.bytes += size
			if n := len(p.buffers[c]); n > 0 {
				buf := p.buffers[c][n-1]
				p.buffers[c] = p.buffers[c][:n-1]
				return append(buf, b...)
			}
			return append(make([]byte, 0, size), b...)
		}
	}
	p.bytes += len(b)
	return bytes.Clone(b)[:len(b):len(b)]
}

func (p *segmentPool) free(b []byte) {
	if cap(b) == 0 {
		return
	}
	p.bytes -= cap(b)
	for c, size := range bufferSizes {
		// A few thousand of each suffice; a burst's rest goes to the collector.
		if cap(b) == size && len(p.buffers[c]) < 1<<22/size {
			p.buffers[c] = append(p.buffers[c], b[:0])
			return
		}
	}
}

func (p *segmentPool) releaseAll(st *stream) {
	if st.heldRef == 0 {
		return
	}
	list := p.list(st)
	for i := range *list {
		p.free((*list)[i].buf)
		(*list)[i].buf = nil
	}
	*list = (*list)[:0]
	p.drop(st)
}
