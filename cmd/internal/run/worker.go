package run

import (
	"cmp"
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/schema/tabulate"
)

// worker owns the shards whose number is its own modulo the workers: it alone
// tracks their flows, packet by packet in capture order.
type worker struct {
	number   int
	workers  uint64
	shards   uint64
	trackers []*flows.Tracker // by shard / workers
	budgets  []parsers.Budget // as trackers
	counted  acts             // what of the trackers' is in acts
	rows     *tabulate.Collector
	acts     ledger
	merger   *merger

	sightings *sightings
	expired   []due
	scratch   []*flows.Flow
	latest    [5]int64    // times of the latest packets
	noted     uint64      // times put there so far
	clock     flows.Clock // shared by the trackers

	duplicates []uint64 // found, by input-1
}

// due is a flow that is over, and whose it is.
type due struct {
	flow  *flows.Flow
	shard int // index of its tracker
}

func newWorker(number int, c *Config, m *merger) *worker {
	w := &worker{number: number, workers: uint64(c.Workers), shards: uint64(c.Shards), merger: m, acts: make(ledger)}
	w.sightings = newSightings(c.MaxCertificateBytes/int64(c.Workers), c.CertificateDER)
	rows := c.tabulate()
	rows.Certificates = w.sightings.note
	rows.GaveUp = func(_ *flows.Flow, at flows.Stamp, messages int) {
		a := acts{pending: uint64(messages)}
		if messages == 0 {
			a.parsers = 1
		}
		w.acts.add(at.Pos.Input(), a)
	}
	w.rows = tabulate.NewCollector(rows)
	for s := number; s < c.Shards; s += c.Workers {
		t := flows.NewTracker(c.tracking(), w.rows)
		t.Clock = &w.clock
		w.trackers = append(w.trackers, t)
		w.budgets = append(w.budgets, parsers.Budget{Max: max(1, int(c.MaxParserBytes/int64(c.Shards)))})
	}
	return w
}

// shardOf maps a hash to one of n shards by its upper half; the lower finds
// the flow within its shard.
func shardOf(hash, n uint64) uint64 { return hash >> 32 * n >> 32 }

// batch tracks the packets of the worker's shards.
func (w *worker) batch(b *ingest.Batch) error {
	w.rows.Encaps = b.Encaps
	before := w.clock.Packets
	for i := range b.Packets {
		p := &b.Packets[i]
		w.clock.MaxTime = max(w.clock.MaxTime, p.Time)
		shard := shardOf(p.Hash, w.shards)
		if shard%w.workers != uint64(w.number) {
			continue
		}
		w.rows.At, w.rows.Budget = p.Pos, &w.budgets[shard/w.workers]
		w.clock.Packets = before + p.Pos.Packet() - b.First + 1
		w.trackers[shard/w.workers].Add(p, b.Bytes(p))
	}
	w.noteDuplicates(b.Input)
	w.note(b.Records)
	w.clock.Packets = before + uint64(len(b.Records))
	w.count(b.Input)
	if !b.EndOfEpoch {
		return nil
	}
	w.rows.Out.Mark()
	w.expired = w.expired[:0]
	for shard, t := range w.trackers {
		w.scratch = t.Expired(w.now(), w.scratch[:0])
		w.queue(shard)
	}
	w.sort()
	for _, d := range w.expired {
		t := w.trackers[d.shard]
		w.rows.At, w.rows.Budget = d.flow.First.Pos, &w.budgets[d.shard]
		t.Finish(d.flow, t.ExpiredReason(d.flow))
	}
	return w.deliver()
}

// noteDuplicates counts for an input the duplicates that were found since the last call.
func (w *worker) noteDuplicates(input uint32) {
	for len(w.duplicates) < int(input) {
		w.duplicates = append(w.duplicates, 0)
	}
	for _, t := range w.trackers {
		w.duplicates[input-1] += t.Stats.Duplicates
		t.Stats.Duplicates = 0
	}
}

// note keeps the times of the last records that the run's time filter lets
// through: flows end as they would had the captures been cut to that time.
func (w *worker) note(records []ingest.Record) {
	i := len(records)
	for kept := 0; i > 0 && kept < len(w.latest); i-- {
		if records[i-1].Flags&ingest.Filtered == 0 {
			kept++
		}
	}
	for ; i < len(records); i++ {
		if records[i].Flags&ingest.Filtered == 0 {
			w.latest[w.noted%uint64(len(w.latest))] = records[i].Time
			w.noted++
		}
	}
}

// now is the time at which the captures have arrived: the median of the
// latest packets', so that one wrong time does not end all flows.
func (w *worker) now() int64 {
	t := w.latest
	n := t[:min(w.noted, uint64(len(t)))]
	if len(n) == 0 {
		return 0
	}
	slices.Sort(n)
	return n[len(n)/2]
}

// count puts down what the trackers gave up since the last time as done for packets of input.
func (w *worker) count(input uint32) {
	var now acts
	for _, t := range w.trackers {
		now.flows += t.Stats.Evicted
		now.holes += t.Stats.HeldLimitHits
	}
	w.acts.add(input, acts{flows: now.flows - w.counted.flows, holes: now.holes - w.counted.holes})
	w.counted = now
}

func (w *worker) queue(shard int) {
	for _, f := range w.scratch {
		w.expired = append(w.expired, due{f, shard})
	}
}

// sort puts the flows that are over in the order of their first packets.
func (w *worker) sort() {
	slices.SortFunc(w.expired, func(a, b due) int { return cmp.Compare(a.flow.First.Pos, b.flow.First.Pos) })
}

func (w *worker) deliver() (err error) {
	if err := w.sightings.err; err != nil {
		return err
	}
	w.rows.Out, err = w.merger.deliver(w.number, w.rows.Out)
	return err
}

// begin begins the end of the run: it delivers the rows of the last packets
// and lines up the flows that still live.
func (w *worker) begin() error {
	w.expired = w.expired[:0]
	for shard, t := range w.trackers {
		w.scratch = t.Live(w.scratch[:0])
		w.queue(shard)
	}
	w.sort()
	w.rows.Out.Mark()
	return w.deliver()
}

// finish ends those flows in line that began at or before limit.
func (w *worker) finish(limit flows.Position, now int64) error {
	w.rows.Out.Mark()
	n := 0
	for _, d := range w.expired {
		if d.flow.First.Pos > limit {
			break
		}
		n++
		t := w.trackers[d.shard]
		w.rows.At, w.rows.Budget = d.flow.First.Pos, &w.budgets[d.shard]
		reason := flows.EndOfInput
		if t.Over(d.flow, now) {
			reason = t.ExpiredReason(d.flow)
		}
		t.Finish(d.flow, reason)
	}
	w.expired = w.expired[n:]
	return w.deliver()
}

// end ends all flows, in rounds, so that the rows of millions of flows do
// not wait in memory at a time. Where the rounds are cut does not show.
func end(workers []*worker, parallel func(func(*worker) error) error) error {
	now := workers[0].now()
	if err := parallel((*worker).begin); err != nil {
		return err
	}
	const round = 8192
	for {
		longest := slices.MaxFunc(workers, func(a, b *worker) int { return cmp.Compare(len(a.expired), len(b.expired)) }).expired
		if len(longest) == 0 {
			return nil
		}
		limit := ^flows.Position(0)
		if len(longest) > round {
			limit = longest[round].flow.First.Pos
		}
		if err := parallel(func(w *worker) error { return w.finish(limit, now) }); err != nil {
			return err
		}
	}
}
