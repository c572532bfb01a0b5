package flows

import (
	"hash/maphash"
	"math"
)

// Config bounds and times a Tracker. The zero value of a field is its
// documented default; a negative duration means never. Times are
// nanoseconds of packet time.
type Config struct {
	TCPIdle     int64 // an open TCP flow without packets ends; default 5 min
	UDPIdle     int64 // default 1 min
	ICMPIdle    int64 // default 1 min
	OtherIdle   int64 // other protocols; default 1 min
	Attempt     int64 // a TCP flow that has one SYN's sender and no answer; default 5 s
	CloseLinger int64 // how long after its last packet a closed TCP flow takes late ones; default 5 s
	Active      int64 // a flow of this age is ended and begun anew; default never

	// Idle, if not nil, is asked after how long without packets f ends, in place
	// of TCPIdle, UDPIdle, ICMPIdle or OtherIdle; 0 is what these say, a
	// negative duration never. It is a pure function of what identifies a flow: addresses,
	// ports, protocol, VLANs. It is asked for every packet.
	Idle func(f *Flow) int64

	MaxFlows        int // live flows; the one due first is evicted; default 1<<20
	MaxHeldPerSide  int // bytes of one side held for reassembly; default 1 MiB
	MaxHeld         int // bytes held in all; default 64 MiB
	MaxHeldSegments int // segments of one side held; default 1024

	// Overlap says which bytes stand where segments beyond a hole disagree. In order, what came first always stands.
	Overlap Overlap

	// Dedup leaves out packets that were captured before: they count as Duplicates and nowhere else.
	Dedup bool

	// What to keep of a flow's beginning, for a ShapeConsumer (or parsers.Hooks.Shape). Zero: nothing, which costs nothing.
	Packets      int  // so many packets' sizes and times, at most 255
	PayloadBytes int  // so many bytes of each side's payload, at most 65535
	Entropy      bool // entropy of each side's payload
}

// Overlap is what reassembly does with bytes of a TCP side that come again with another content. Hosts
// differ in this, and so does what a program that listens in should follow. It is of bytes that are held behind a hole:
// what has been told to the Consumer is never told again. Either way TCPStats.OverlapMismatches counts.
type Overlap uint8

const (
	OverlapFirst Overlap = iota // those that came first stand
	OverlapLast                 // those that came last stand, with the Stamp of the first
)

func (o Overlap) String() string { return [...]string{"first", "last"}[o] }

const (
	second = int64(1e9)
	// gapPatience is how long after its acknowledgement a hole may still be
	// filled: captures by several queues or taps show an acknowledgement before
	// the data that it is for.
	gapPatience = second / 20
)

// WithDefaults returns c with its defaults filled in.
func (c Config) WithDefaults() Config {
	idle := func(v *int64, d int64) {
		switch {
		case *v == 0:
			*v = d
		case *v < 0:
			*v = never
		}
	}
	idle(&c.TCPIdle, 300*second)
	idle(&c.UDPIdle, 60*second)
	idle(&c.ICMPIdle, 60*second)
	idle(&c.OtherIdle, 60*second)
	idle(&c.Attempt, 5*second)
	idle(&c.CloseLinger, 5*second)
	idle(&c.Active, never)
	if c.MaxFlows <= 0 {
		c.MaxFlows = 1 << 20
	}
	if c.MaxHeldPerSide <= 0 {
		c.MaxHeldPerSide = 1 << 20
	}
	if c.MaxHeld <= 0 {
		c.MaxHeld = 64 << 20
	}
	if c.MaxHeldSegments <= 0 {
		c.MaxHeldSegments = 1024
	}
	return c
}

// Consumer takes what a Tracker finds, in the order of the packets. The flow
// and all bytes are lent for the call. A Consumer may set f.User and
// f.Encap, call f.Ignore and f.Settle, and must change nothing else.
type Consumer interface {
	// Started begins a flow. p is its first packet.
	Started(f *Flow, p *Packet)
	// Data is the next bytes of a TCP side, in order, each byte once.
	Data(f *Flow, side Side, at Stamp, data []byte)
	// Gap says that the next n bytes of a TCP side will not come.
	Gap(f *Flow, side Side, at Stamp, n int64)
	// Fin says that a TCP side has ended its bytes.
	Fin(f *Flow, side Side, at Stamp)
	// Rst says that a TCP side has reset the flow.
	Rst(f *Flow, side Side, at Stamp)
	// Datagram is the captured payload of a UDP packet.
	Datagram(f *Flow, side Side, at Stamp, data []byte)
	// Ended ends a flow; f is complete and f.End says why. tcp is nil but for
	// TCP flows.
	Ended(f *Flow, tcp *TCP)
}

// PacketConsumer is a Consumer that wants every packet too, after it was counted and all that it
// brought about was told. It is lent as to a Consumer.
type PacketConsumer interface {
	Consumer
	Packet(f *Flow, side Side, p *Packet, data []byte)
}

// Stats counts what a Tracker did that no flow tells.
type Stats struct {
	Flows         uint64 // started
	Evicted       uint64 // ended because MaxFlows were live, or too many of one hash
	HeldLimitHits uint64 // times a hole was given up because a bound on held bytes or segments was reached
	Duplicates    uint64 // packets that were captured before
	PeakLive      int    // most flows that lived at a time
	PeakHeld      int    // most bytes that were held for reassembly at a time
}

// Clock says how far a run has come, over all of its shards. It is what flows
// that begin in the past are told apart by; see Flow.ID.
type Clock struct {
	MaxTime int64  // latest time of all packets so far
	Packets uint64 // number of the packet at hand, counted over all inputs
}

// A Tracker follows the flows of one shard. It is not safe for concurrent use.
type Tracker struct {
	// Clock, if not nil, is kept by the caller, who brings it up to date before each Add. Trackers
	// of several shards may share it.
	Clock *Clock

	cfg      Config
	shortest int64 // of the times after which a flow ends
	consumer Consumer
	packets  PacketConsumer // the same, or nil
	table    table
	slab     slab
	tcps     pool[TCP]
	wheel    wheel
	pool     segmentPool
	crowd    int     // flows that the latest find walked over for their hash alone
	shapes   *shapes // nil: nothing is kept
	seen     seenPackets
	copied   bool // the packet at hand is a duplicate
	Stats    Stats
}

// NewTracker returns a tracker that tells c what it finds.
func NewTracker(cfg Config, c Consumer) *Tracker {
	t := &Tracker{cfg: cfg.WithDefaults(), consumer: c}
	t.packets, _ = c.(PacketConsumer)
	t.shapes = newShapes(&t.cfg, c)
	t.shortest = min(t.cfg.TCPIdle, t.cfg.UDPIdle, t.cfg.ICMPIdle, t.cfg.OtherIdle, t.cfg.Attempt, t.cfg.CloseLinger, t.cfg.Active)
	if t.cfg.Idle != nil {
		t.shortest = min(t.shortest, second) // what it says is not known before
	}
	t.table.slots = make([]slot, minTable)
	t.table.secret = maphash.Bytes(maphash.MakeSeed(), nil)
	return t
}

// private is the part of a Flow that only its tracker reads.
type private struct {
	ref        uint32
	next, prev uint32 // wheel list or free list
	slot       uint16
	marks      uint8
	ignore     bool      // the consumer wants no more bytes
	noted      [2]uint32 // history letters by side, bit 0 is 'a'
	tcp        uint32    // reference of its TCP
	shape      uint32    // reference of its Shape; 0: none
	recent     [2]recent // by side
}

// Marks of a flow.
const (
	markLive    = 1 << iota
	markSettled // the sides are not turned any more
	markTurned  // see Turned
)

// Ignore says that the consumer wants no more of the flow's bytes: the tracker
// goes on counting but calls Data, Gap, Fin and Rst no more. What
// it holds for reassembly is let go.
func (f *Flow) Ignore() { f.ignore = true }

// Settle says that it was told to others who f's initiator is: it stays so,
// whatever comes.
func (f *Flow) Settle() { f.marks |= markSettled }

// Add takes the next packet. data is what the packet's offsets point into.
func (t *Tracker) Add(p *Packet, data []byte) {
	f, side := t.find(p)
	var before started // the flow of this tuple that p ended
	t.copied = f != nil && t.duplicate(f, side, p, data)
	if t.copied {
		t.countCopy(f, side, p)
		if t.cfg.Dedup {
			return
		}
	} else if f != nil {
		if reason := t.endsBefore(f, side, p); reason != EndNone {
			before = started{true, f.First.Time, f.tie}
			t.Finish(f, reason)
			f = nil
		}
	}
	if f == nil {
		f, side = t.start(p, data)
		f.tie = t.tie(f, before)
		t.duplicate(f, side, p, data)
		t.consumer.Started(f, p)
	}
	t.count(f, side, p)
	switch p.Proto {
	case ProtoTCP:
		t.segment(f, side, p, data)
	case ProtoUDP:
		f.hist(side, 'd', 0)
		if p.PayloadLen > 0 && !f.ignore {
			t.consumer.Datagram(f, side, Stamp{p.Time, p.Pos}, data[p.Payload:p.Payload+p.PayloadCaptured])
		}
	}
	if p.Flags&ICMPError != 0 {
		t.noteQuoted(p)
	}
	if t.shapes != nil {
		t.shapes.add(t, f, side, p, data)
	}
	if t.packets != nil {
		t.packets.Packet(f, side, p, data)
	}
}

// find returns the live flow of p's tuple and the side that sent p.
func (t *Tracker) find(p *Packet) (*Flow, Side) {
	mask := uint32(len(t.table.slots) - 1)
	tag := uint32(p.Hash >> 32)
	t.crowd = 0
	for i := t.table.home(p.Hash); ; i = (i + 1) & mask {
		s := t.table.slots[i]
		if s.ref == 0 {
			return nil, 0
		}
		if s.tag != tag {
			continue
		}
		f := t.slab.at(s.ref)
		if f.Proto != p.Proto || f.Quote != p.Quote {
			continue
		}
		if f.SrcPort == p.SrcPort && f.DstPort == p.DstPort && f.Src == p.Src && f.Dst == p.Dst {
			return f, Initiator
		}
		if f.SrcPort == p.DstPort && f.DstPort == p.SrcPort && f.Src == p.Dst && f.Dst == p.Src {
			return f, Responder
		}
		t.crowd++
	}
}

// maxCrowd is how many live flows may have the hash of one that begins. Those
// of honest tuples are different, but for ICMP errors, which hash as what they
// quote; but whoever knows the hash can make tuples by the million that have
// the same, and a look-up walks over all.
const maxCrowd = 256

// thin ends, of the flows with a hash, the one that began first.
func (t *Tracker) thin(hash uint64) {
	var first *Flow
	mask := uint32(len(t.table.slots) - 1)
	for i := t.table.home(hash); t.table.slots[i].ref != 0; i = (i + 1) & mask {
		// Which one is the first does not depend on where they lie, which nobody can foresee.
		if f := t.slab.at(t.table.slots[i].ref); f.hash == hash && (first == nil || f.First.Pos < first.First.Pos) {
			first = f
		}
	}
	if first != nil {
		t.Stats.Evicted++
		t.Finish(first, EndEvicted)
	}
}

// started is what is remembered of a flow that ended.
type started struct {
	known bool
	time  int64
	tie   uint64
}

// tie returns what tells f apart from flows of the same tuple that began at the
// same time, of which before, if not nil, has just ended. Time went back if
// there was another that is forgotten: two captures have the same packets.
func (t *Tracker) tie(f *Flow, before started) uint64 {
	switch {
	case before.known && before.time == f.First.Time:
		return before.tie + 1
	case t.Clock == nil:
		return 0
	case before.known && before.time > f.First.Time,
		before.known && before.tie >= 1<<16 && f.First.Time <= t.Clock.MaxTime,
		f.First.Time < t.Clock.MaxTime && t.Clock.MaxTime-f.First.Time > t.shortest:
		return t.Clock.Packets << 16
	}
	return 0
}

// noteQuoted marks the flow that an ICMP error quotes, if it lives. An error
// hashes as what it quotes, so the flow is in this shard.
func (t *Tracker) noteQuoted(p *Packet) {
	mask := uint32(len(t.table.slots) - 1)
	for i := t.table.home(p.Hash); ; i = (i + 1) & mask {
		s := t.table.slots[i]
		if s.ref == 0 {
			return
		}
		if f := t.slab.at(s.ref); f.hash == p.Hash && f.Quote == 0 {
			f.ICMPErrors++
			f.ICMPErrorType, f.ICMPErrorCode = p.ICMPType, p.ICMPCode
			return
		}
	}
}

// deadline returns the time after which f is over if no packet comes.
func (t *Tracker) deadline(f *Flow) int64 {
	d := t.idle(f)
	if d == never {
		if t.cfg.Active == never {
			return never
		}
		return satAdd(f.First.Time, t.cfg.Active)
	}
	return satAdd(f.LastTime, d)
}

func satAdd(a, b int64) int64 {
	if b == never || b > 0 && a > math.MaxInt64-b {
		return never
	}
	return a + b
}

func (t *Tracker) idle(f *Flow) int64 {
	if f.Proto == ProtoTCP {
		x := t.tcps.at(f.tcp)
		switch {
		case x.closed():
			return t.cfg.CloseLinger
		case x.streams[0].state == epSYNSent && x.streams[1].state == epInactive:
			return min(t.cfg.Attempt, t.idleOpen(f))
		}
	}
	return t.idleOpen(f)
}

// idleOpen is idle for a flow that nothing is known of.
func (t *Tracker) idleOpen(f *Flow) int64 {
	if t.cfg.Idle != nil {
		switch d := t.cfg.Idle(f); {
		case d < 0:
			return never
		case d > 0:
			return d
		}
	}
	switch f.Proto {
	case ProtoTCP:
		return t.cfg.TCPIdle
	case ProtoUDP:
		return t.cfg.UDPIdle
	case ProtoICMP, ProtoICMPv6:
		return t.cfg.ICMPIdle
	}
	return t.cfg.OtherIdle
}

// endsBefore says whether, and why, f was over when p came.
func (t *Tracker) endsBefore(f *Flow, side Side, p *Packet) EndReason {
	if d := t.idle(f); d != never && p.Time > satAdd(f.LastTime, d) {
		return EndIdleTimeout
	}
	if t.cfg.Active != never && p.Time > satAdd(f.First.Time, t.cfg.Active) {
		return EndActiveTimeout
	}
	if p.Proto == ProtoTCP && p.TCPFlags&(SYN|ACK|RST|FIN) == SYN {
		if x := t.tcps.at(f.tcp); x.reusedBy(side, p) && !(p.Time < f.FirstTime && x.begunBy(side, p)) {
			return EndTupleReuse
		}
	}
	return EndNone
}

func (t *Tracker) start(p *Packet, data []byte) (*Flow, Side) {
	if t.crowd >= maxCrowd {
		t.thin(p.Hash)
	}
	if live := t.table.n; live >= t.cfg.MaxFlows {
		t.evict()
	} else if live >= t.Stats.PeakLive {
		t.Stats.PeakLive = live + 1
	}
	t.Stats.Flows++
	f, ref := t.slab.alloc()
	f.ref, f.marks, f.hash = ref, markLive, p.Hash
	f.First = Stamp{p.Time, p.Pos}
	f.FirstTime, f.LastTime = p.Time, p.Time
	f.Proto, f.ICMPType, f.ICMPCode, f.Quote = p.Proto, p.ICMPType, p.ICMPCode, p.Quote
	f.Flags = p.Flags & (IPv6 | HasPorts | HasEthernet | HasVLAN | HasInnerVLAN | ICMPError)
	f.VLAN, f.InnerVLAN = p.VLAN, p.InnerVLAN
	side := Initiator
	if p.Proto == ProtoTCP {
		f.tcp = t.tcps.alloc()
		if p.TCPFlags&SYN != 0 {
			f.Basis = BySYN
			if p.TCPFlags&ACK != 0 {
				f.Basis, side = BySYNACK, Responder
				f.HistoryBuf[0], f.NHistory = '^', 1 // turned around
			}
		}
	}
	var macs [2][6]byte
	if p.Flags&HasEthernet != 0 {
		to, from := p.MACs.Offsets()
		copy(macs[side.Other()][:], data[int(p.Link)+to:])
		copy(macs[side][:], data[int(p.Link)+from:])
	}
	f.SrcMAC, f.DstMAC = macs[0], macs[1]
	if side == Initiator {
		f.Src, f.Dst, f.SrcPort, f.DstPort = p.Src, p.Dst, p.SrcPort, p.DstPort
	} else {
		f.Src, f.Dst, f.SrcPort, f.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	f.FirstSide = side
	t.table.insert(p.Hash, ref, &t.slab)
	if !t.wheel.begun {
		t.wheel.begun, t.wheel.now = true, floorSecond(p.Time)
	}
	// Its idle time is known once p has been counted; a slot too early does no harm.
	idle := t.idleOpen(f)
	if p.Proto == ProtoTCP {
		idle = min(idle, t.cfg.Attempt)
	}
	t.wheel.add(f, ref, satAdd(p.Time, min(idle, t.cfg.Active)), &t.slab)
	return f, side
}

// evict ends the flow that is due first, or, where none is ever due, one of
// those. Which one depends on the shard's packets alone.
func (t *Tracker) evict() {
	for k := int64(0); k < wheelSlots; k++ {
		if ref := t.wheel.slots[uint64(t.wheel.now+1+k)%wheelSlots]; ref != 0 {
			t.evictTail(ref)
			return
		}
	}
	if ref := t.wheel.slots[wheelSlots]; ref != 0 {
		t.evictTail(ref)
	}
}

func (t *Tracker) evictTail(ref uint32) {
	t.Stats.Evicted++
	t.Finish(t.slab.at(ref), EndEvicted)
}

// count adds p to what f and its side count for every protocol.
func (t *Tracker) count(f *Flow, side Side, p *Packet) {
	f.Last = Stamp{p.Time, p.Pos}
	f.LastTime = max(f.LastTime, p.Time)
	if p.Time < f.FirstTime {
		f.earliest(side, p)
	}
	s := &f.Sides[side]
	if s.Packets == 0 {
		s.FirstTime, s.LastTime, s.TTLMin, s.TTLMax, s.TOS = p.Time, p.Time, p.TTL, p.TTL, p.TOS
		s.SizeMin, s.SizeMax = p.IPLen, p.IPLen
	} else {
		d := p.Time - s.prevTime
		if s.Packets == 1 {
			s.IATMin, s.IATMax = d, d
		} else {
			s.IATMin, s.IATMax = min(s.IATMin, d), max(s.IATMax, d)
		}
		s.IATSumSquares += float64(d) * float64(d)
		s.TTLMin, s.TTLMax = min(s.TTLMin, p.TTL), max(s.TTLMax, p.TTL)
		s.SizeMin, s.SizeMax = min(s.SizeMin, p.IPLen), max(s.SizeMax, p.IPLen)
		s.FirstTime, s.LastTime = min(s.FirstTime, p.Time), max(s.LastTime, p.Time)
	}
	s.prevTime = p.Time
	s.Packets++
	s.Bytes += uint64(p.IPLen)
	s.PayloadBytes += uint64(p.PayloadLen)
	s.WireBytes += uint64(p.WireLen)
	s.SizeSumSquares += float64(p.IPLen) * float64(p.IPLen)
	s.Fragments += uint64(p.Fragments)
	if p.Flags&(BadChecksum|BadIPChecksum|ChecksumOffload) != 0 {
		if p.Flags&ChecksumOffload != 0 {
			s.Offloaded++
		}
		if p.Flags&(BadChecksum|BadIPChecksum) != 0 {
			if p.Flags&Rewritten != 0 {
				s.Rewritten++
			}
			s.BadChecksums++
			f.hist(side, 'c', s.BadChecksums)
		}
	}
}

// earliest notes that p was sent before all packets of f that came yet. Who
// begins a flow without a handshake is the sender of its earliest packet: merged
// captures, and those of several interfaces, may have an answer before its question. How far
// time goes back does not matter: between the files of two taps that were put
// together it is all of their time, and a clock that is set back within the
// milliseconds of a flow's first two packets is rarer by far.
func (f *Flow) earliest(side Side, p *Packet) {
	f.FirstTime = p.Time
	f.ICMPType, f.ICMPCode = p.ICMPType, p.ICMPCode
	if side == Responder {
		f.turn(ByEarliestPacket, side)
	} else {
		f.turn(ByFirstPacket, side)
	}
}

// turn has it that f began with side, for the reason given, unless a better one is known or it was settled.
func (f *Flow) turn(basis DirectionBasis, side Side) {
	if f.marks&markSettled != 0 || f.Basis != ByFirstPacket && f.Basis != ByEarliestPacket {
		return
	}
	f.Basis = basis
	f.marks &^= markTurned
	if side == Responder {
		f.marks |= markTurned
	}
}

// countCopy counts p, which is a duplicate.
func (t *Tracker) countCopy(f *Flow, side Side, p *Packet) {
	s := &f.Sides[side]
	s.Duplicates++
	s.DuplicateBytes += uint64(p.IPLen)
	s.DuplicatePayloadBytes += uint64(p.PayloadLen)
	t.Stats.Duplicates++
}

// hist appends a letter of Zeek's history: upper case for the initiator. With
// n == 0 a letter is noted once a side; otherwise n is how often it
// has come, and it is noted at 1, 10, 100 and so on.
func (f *Flow) hist(side Side, letter byte, n uint64) {
	if n == 0 {
		bit := uint32(1) << (letter - 'a')
		if f.noted[side]&bit != 0 {
			return
		}
		f.noted[side] |= bit
	} else if !powerOfTen(n) {
		return
	}
	if int(f.NHistory) < len(f.HistoryBuf) {
		if side == Initiator {
			letter -= 'a' - 'A'
		}
		f.HistoryBuf[f.NHistory] = letter
		f.NHistory++
	}
}

func powerOfTen(n uint64) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// Finish ends f, whatever is pending: holes that nobody filled are gaps.
// A flow that was closed by its own FINs or RST ends for that reason.
func (t *Tracker) Finish(f *Flow, reason EndReason) {
	if f.marks&markLive == 0 {
		return
	}
	f.End = reason
	if f.Proto == ProtoTCP {
		x := t.tcps.at(f.tcp)
		t.flush(f, x, Initiator)
		t.flush(f, x, Responder)
		if r := x.closeReason(); r != EndNone {
			f.End = r
		}
		f.State = x.connState(f)
		t.tellShape(f)
		t.consumer.Ended(f, x)
		t.pool.releaseAll(&x.streams[0])
		t.pool.releaseAll(&x.streams[1])
		t.tcps.release(f.tcp)
	} else {
		f.State = f.connState()
		t.tellShape(f)
		t.consumer.Ended(f, nil)
	}
	t.forget(f)
	f.marks &^= markLive
	t.wheel.remove(f, &t.slab)
	t.table.remove(f.hash, f.ref, &t.slab)
	t.slab.release(f, f.ref)
}

// Expired appends to dst the flows that are over at the packet time now, in no
// particular order, and returns the extended slice. They stay live until the
// caller has Finished them; it must do so before the next Add.
// It only ever finds what a later packet of the same tuple would find too.
func (t *Tracker) Expired(now int64, dst []*Flow) []*Flow {
	w := &t.wheel
	sec := floorSecond(now)
	if !w.begun || sec <= w.now {
		return dst
	}
	from, n := w.now+1, min(sec-w.now, wheelSlots)
	w.now = sec
	for k := int64(0); k < n; k++ {
		i := uint64(from+k) % wheelSlots
		ref := w.slots[i]
		w.slots[i] = 0
		for ref != 0 {
			f := t.slab.at(ref)
			next := f.next
			d := t.deadline(f)
			w.add(f, ref, d, &t.slab)
			if d < now {
				dst = append(dst, f)
			}
			ref = next
		}
	}
	return dst
}

// Over reports whether f is over at the packet time now.
func (t *Tracker) Over(f *Flow, now int64) bool { return t.deadline(f) < now }

// ExpiredReason returns why a flow that Expired listed is over.
func (t *Tracker) ExpiredReason(f *Flow) EndReason {
	if t.idle(f) == never {
		return EndActiveTimeout
	}
	return EndIdleTimeout
}

// TCP returns what is known of a live TCP flow beyond f; nil for others.
func (t *Tracker) TCP(f *Flow) *TCP {
	if f.tcp == 0 || f.marks&markLive == 0 {
		return nil
	}
	return t.tcps.at(f.tcp)
}

// Live appends to dst all live flows in no particular order.
func (t *Tracker) Live(dst []*Flow) []*Flow {
	for i := range t.slab.chunks {
		c := t.slab.chunks[i]
		for j := range c {
			if c[j].marks&markLive != 0 {
				dst = append(dst, &c[j])
			}
		}
	}
	return dst
}
