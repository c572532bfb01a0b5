package flows

import (
	"cmp"
	"iter"
	"slices"
)

// Captured is one packet with the bytes that its offsets count in. What comes
// from a Source is lent until the source's next packet.
type Captured struct {
	*Packet
	Data   []byte
	Encaps []Encap // what Packet.Encap and Encap.Inner index, counted from 1
}

// Source gives packets in the order of their capture. An error is the last
// that it gives. Package ingest makes sources of capture files and of frames
// from anywhere; Packets makes one of what is in memory. Those of files and of memory can be
// looped over again, from the start; standard input and interfaces only once.
type Source = iter.Seq2[Captured, error]

// Packets is a source of packets in memory.
func Packets(list ...Captured) Source {
	return func(yield func(Captured, error) bool) {
		for _, c := range list {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// Driver runs a Tracker over packets in the order of their capture. It keeps
// the tracker's Clock, ends the flows that are over as the packets' time goes on, and
// at Finish all others, in the order in which they began.
type Driver struct {
	tracker *Tracker
	clock   Clock
	latest  [5]int64 // times of the latest packets
	now     int64
	over    []*Flow
}

// NewDriver returns a Driver that tells c what it finds.
func NewDriver(cfg Config, c Consumer) *Driver {
	d := &Driver{tracker: NewTracker(cfg, c)}
	d.clock.MaxTime = minTime
	d.now = minTime
	d.tracker.Clock = &d.clock
	return d
}

const minTime = -1 << 63

// Tracker returns the tracker, for what it knows of flows that live.
func (d *Driver) Tracker() *Tracker { return d.tracker }

// Now returns the time at which the packets have arrived: the median of the
// latest five packets' times, so that one wrong time does not end all flows,
// and never less than before. Without packets it is the least int64.
func (d *Driver) Now() int64 { return d.now }

// Add takes the next packet. data is what its offsets count in.
func (d *Driver) Add(p *Packet, data []byte) {
	d.clock.Packets++
	d.clock.MaxTime = max(d.clock.MaxTime, p.Time)
	d.tracker.Add(p, data)
	d.latest[d.clock.Packets%uint64(len(d.latest))] = p.Time
	if p.Time > d.now { // as the median cannot have grown otherwise
		d.sweep()
	}
}

func (d *Driver) sweep() {
	t := d.latest
	if n := d.clock.Packets; n < uint64(len(t)) {
		for i := range t {
			if uint64(i) > n || i == 0 {
				t[i] = d.latest[1] // the first packet's
			}
		}
	}
	before := d.now
	d.now = max(d.now, median(t))
	if floorSecond(d.now) == floorSecond(before) {
		return
	}
	d.over = d.tracker.Expired(d.now, d.over[:0])
	byBeginning(d.over)
	for _, f := range d.over {
		d.tracker.Finish(f, d.tracker.ExpiredReason(f))
	}
}

// median returns the middle one of five, by the fewest comparisons.
func median(t [5]int64) int64 {
	a, b, c, d, e := t[0], t[1], t[2], t[3], t[4]
	a, b = min(a, b), max(a, b)
	c, d = min(c, d), max(c, d)
	c = max(a, c) // the lower one is none: two or more are above it
	b = min(b, d) // nor is the higher: two or more are below it
	return max(min(b, c), min(max(b, c), e))
}

// Finish ends all flows: there are no more packets. The Driver goes on with
// the next packet, if there is one after all, as with a first one.
func (d *Driver) Finish() {
	d.over = d.tracker.Live(d.over[:0])
	byBeginning(d.over)
	for _, f := range d.over {
		reason := EndOfInput
		if d.tracker.Over(f, d.now) {
			reason = d.tracker.ExpiredReason(f)
		}
		d.tracker.Finish(f, reason)
	}
	clear(d.over)
}

func byBeginning(list []*Flow) {
	slices.SortFunc(list, func(a, b *Flow) int {
		return cmp.Or(cmp.Compare(a.First.Pos, b.First.Pos), cmp.Compare(a.First.Time, b.First.Time), cmp.Compare(a.ref, b.ref))
	})
}
