package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/caplake/caplake/flows"
)

// Run reads the plan's inputs and hands every batch, in order, to handle once
// for each worker, counted from 0: the batches that a worker is given are the same and
// come in the same order for each; different workers get them at different
// times. A worker picks the packets that are its own, by their hash. A batch is lent: see Batch.
//
// At the end, when every handler has returned, done is called for each input
// in order with its entry of the ledger. A Capture that is not Balanced is an
// error of Run. If ctx is done or a handler returns an error, Run stops, does not call done and returns that
// error; of several errors, which one is returned is open. When Run returns,
// no handler is running or will be called.
//
// With one worker everything but reading ahead happens in one goroutine.
// Either of handle and done may be nil.
func (p *Plan) Run(ctx context.Context, cfg Config, workers int,
	handle func(worker int, b *Batch) error, done func(input uint32, c *Capture)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if workers < 1 {
		return fmt.Errorf("workers is %d: it must be at least 1", workers)
	}
	if uint64(len(p.Inputs)) > flows.MaxInputs {
		return fmt.Errorf("%d inputs are more than %d", len(p.Inputs), flows.MaxInputs)
	}
	if handle == nil {
		handle = func(int, *Batch) error { return nil }
	}
	r := run{plan: p, cfg: cfg.WithDefaults(), workers: workers, handle: handle}
	if err := r.run(ctx); err != nil {
		return err
	}
	return r.report(done)
}

type run struct {
	plan    *Plan
	cfg     Config
	workers int
	handle  func(worker int, b *Batch) error

	reader   *reader
	ledger   []entry // by input
	fragment *defragmenter

	spare     []flows.Packet   // for packets that make room for others
	completed []flows.Position // fragments settled as reassembled by the latest Add; kept for KeepPacket only
}

// entry is what is known of one input.
type entry struct {
	tally  *tally // from the reader, at the input's end
	counts counts
}

// The stages, each in goroutines of its own, and the channels between them:
//
//	reader ─┬─ decoding ─► decoder (any of them) ─ b.ready ─► sequence ─► handed[w] ─► handler w
//	        ├─ ordered ─────────────────────────────────────►
//	        └─ hashing ─► hasher
//
// Each channel has room for every batch there is, so that only waiting for a
// free batch, for a batch to be ready or for an input ever blocks, and the
// number of batches bounds everything.
func (r *run) run(parent context.Context) error {
	g, ctx := errgroup.WithContext(parent)
	n := r.cfg.MaxBlocks
	ordered := make(chan *Batch, n)
	decoding := make(chan *Batch, n)
	hashing := make(chan *Batch, n)

	refs := int32(r.workers)
	if !r.cfg.NoHash {
		refs++
	}
	progress := &r.plan.progress
	progress.bytes.Store(0)
	progress.packets.Store(0)
	progress.inputs.Store(0)
	r.reader = newReader(r.cfg, progress, func(b *Batch) error {
		b.refs.Store(refs)
		if r.workers > 1 {
			decoding <- b
		}
		if !r.cfg.NoHash {
			hashing <- b
		}
		ordered <- b
		return ctx.Err()
	})
	r.ledger = make([]entry, len(r.plan.Inputs))
	r.fragment = newDefragmenter(r.cfg)

	g.Go(func() error {
		defer close(ordered)
		defer close(decoding)
		defer close(hashing)
		ahead := newAhead(ctx, r.plan.Inputs, r.cfg, progress)
		defer ahead.close()
		for i := range r.plan.Inputs {
			src, err := ahead.take()
			if err := r.reader.read(ahead.ctx, &r.plan.Inputs[i], uint32(i+1), src, err); err != nil {
				return err
			}
		}
		return nil
	})
	if !r.cfg.NoHash {
		g.Go(func() error {
			for b := range hashing {
				if err := ctx.Err(); err != nil {
					return err
				}
				if b.hash != nil {
					b.hash.hash.Write(b.raw)
					if b.EndOfInput {
						b.hash.end(b.hashComplete)
					}
				}
				r.release(b, 1)
			}
			return nil
		})
	}
	if r.workers == 1 {
		g.Go(func() error {
			d := Decoder{Checksums: r.cfg.Checksums, NoDecap: r.cfg.NoDecap}
			for b := range ordered {
				if err := ctx.Err(); err != nil {
					return err
				}
				r.decode(&d, b)
				r.sequence(b)
				if len(b.Records) > 0 {
					if err := r.handle(0, b); err != nil {
						return err
					}
				}
				r.release(b, 1)
			}
			return nil
		})
	} else {
		r.parallel(ctx, g, ordered, decoding)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.fragment.Flush(r.settle)
	return parent.Err()
}

// parallel starts the stages between reading and the end for more than one
// worker.
func (r *run) parallel(ctx context.Context, g *errgroup.Group, ordered, decoding <-chan *Batch) {
	handed := make([]chan *Batch, r.workers)
	for w := range handed {
		handed[w] = make(chan *Batch, r.cfg.MaxBlocks)
		g.Go(func() error {
			d := Decoder{Checksums: r.cfg.Checksums, NoDecap: r.cfg.NoDecap}
			for b := range decoding {
				if err := ctx.Err(); err != nil {
					return err
				}
				r.decode(&d, b)
				b.ready <- struct{}{}
			}
			return nil
		})
		g.Go(func() error {
			for b := range handed[w] {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := r.handle(w, b); err != nil {
					return err
				}
				r.release(b, 1)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer func() {
			for _, c := range handed {
				close(c)
			}
		}()
		for b := range ordered {
			select {
			case <-b.ready:
			case <-ctx.Done():
				return ctx.Err()
			}
			r.sequence(b)
			if len(b.Records) == 0 {
				r.release(b, int32(r.workers))
				continue
			}
			for _, c := range handed {
				c <- b
			}
		}
		return nil
	})
}

// release gives back n of the references to b; the last one frees it.
func (r *run) release(b *Batch, n int32) {
	if b.refs.Add(-n) == 0 {
		r.reader.recycle(b, r.plan.scribble)
	}
}

// decode fills in b's packets. It depends on b and the configuration alone.
func (r *run) decode(d *Decoder, b *Batch) {
	c := &b.counts
	d.Overflow = &b.Overflow
	for i := range b.Records {
		rec := &b.Records[i]
		if r.cfg.KeepRecord != nil && !r.cfg.KeepRecord(rec) {
			rec.Flags |= Filtered
			c.outcomes[OutcomeFiltered]++
			continue
		}
		p := b.packet()
		*p = flows.Packet{
			Time:    rec.Time,
			Pos:     flows.NewPosition(b.Input, b.First+uint64(i)),
			WireLen: rec.OrigLen,
			Link:    rec.Offset,
		}
		outcome := d.Decode(uint32(rec.Link), b.Data, *rec, p, &b.Encaps)
		flags := p.Flags
		if flags&flows.ChecksumOffload != 0 {
			c.noteOffloader(&p.Src)
		}
		outcome, kept := r.keep(b, outcome)
		if d.rest.off > 0 {
			outcome, flags = r.others(d, b, outcome, flags, kept)
		}
		if flags&(flows.BadIPChecksum|flows.BadChecksum) != 0 {
			c.badChecksums++
		}
		if flags&flows.Rewritten != 0 {
			c.rewritten++
		}
		if flags&flows.ChecksumOffload != 0 {
			c.offloaded++
		}
		if outcome != OutcomeFragment {
			c.outcomes[outcome]++
		}
	}
	c.limitsHit += d.limits
	d.limits = 0
}

// keep leaves the last of b's packets in its place if its outcome, and the
// configuration, are for it.
func (r *run) keep(b *Batch, o Outcome) (Outcome, bool) {
	n := len(b.Packets) - 1
	switch o {
	case OutcomeFlow:
		if r.cfg.KeepPacket == nil || r.cfg.KeepPacket(&b.Packets[n], b.Bytes(&b.Packets[n])) {
			return o, true
		}
		o = OutcomeFiltered
	case OutcomeFragment:
		b.fragments = append(b.fragments, int32(n))
		return o, true
	}
	b.Packets = b.Packets[:n]
	return o, false
}

// others adds the further datagrams of a packet to b. The packet's outcome is that of the first of its datagrams
// that is kept, whose position is the packet's own.
func (r *run) others(d *Decoder, b *Batch, outcome Outcome, flags flows.PacketFlags, kept bool) (Outcome, flows.PacketFlags) {
	parts := 0
	if kept {
		parts = 1
	}
	for {
		p := b.packet()
		o, more := d.Next(b.Data, p, &b.Encaps)
		if !more || parts == flows.MaxParts {
			if more {
				b.counts.limitsHit++
			}
			b.Packets = b.Packets[:len(b.Packets)-1]
			return outcome, flags
		}
		p.Pos = p.Pos.At(parts)
		flags |= p.Flags
		if o, kept = r.keep(b, o); kept {
			if parts == 0 {
				outcome = o
			}
			parts++
		}
	}
}

// sequence does to b what depends on the batches before it: it puts fragments
// together and keeps the ledger.
func (r *run) sequence(b *Batch) {
	e := &r.ledger[b.Input-1]
	if len(b.fragments) > 0 {
		r.defragment(b)
	}
	e.counts.add(&b.counts)
	r.plan.progress.packets.Add(int64(len(b.Records)))
	if b.EndOfInput {
		e.tally = b.end
		r.plan.progress.inputs.Add(1)
	}
}

// defragment replaces the fragments in b.Packets by the datagrams that they
// complete, where they do.
func (r *run) defragment(b *Batch) {
	const bad = flows.BadIPChecksum | flows.BadChecksum
	in, next := b.Packets, 0
	out := in[:b.fragments[0]]
	moved := false // out is not in any more
	for i := len(out); i < len(in); i++ {
		if next == len(b.fragments) || i != int(b.fragments[next]) {
			out = append(out, in[i])
			continue
		}
		next++
		counted := in[i].Flags&bad != 0
		r.completed = r.completed[:0]
		if !r.fragment.Add(b, i, r.settle) {
			continue
		}
		p, kept := in[i], false
		for part := p.Pos.Part(); ; {
			if r.cfg.KeepPacket == nil || r.cfg.KeepPacket(&p, b.Bytes(&p)) {
				kept = true
				if !counted && p.Flags&flows.BadChecksum != 0 {
					counted = true
					b.counts.badChecksums++
				}
				if !moved && len(out) > i {
					out, moved = append(r.spare[:0], out...), true
				}
				out = append(out, p)
				part++
			}
			at := p.Pos
			if !r.fragment.Next(b, &p) {
				break
			}
			if part == flows.MaxParts || p.Pos.Part() > 0 || i+1 < len(in) && in[i+1].Pos.Packet() == at.Packet() {
				b.counts.limitsHit++
				break
			}
			p.Pos = p.Pos.At(part)
		}
		if !kept {
			r.unsettle()
		}
	}
	b.Packets = out
	if moved {
		r.spare = in
	}
	b.counts.limitsHit += r.fragment.LimitsHit()
	b.counts.overlaps += r.fragment.Overlaps()
}

// settle counts the fate of a fragment in the ledger of the input that it came
// from.
func (r *run) settle(at flows.Position, o Outcome) {
	r.ledger[at.Input()-1].counts.outcomes[o]++
	if o == OutcomeFragmentReassembled && r.cfg.KeepPacket != nil {
		r.completed = append(r.completed, at)
	}
}

// unsettle counts as filtered the fragments of the datagram that was just put
// together.
func (r *run) unsettle() {
	for _, at := range r.completed {
		c := &r.ledger[at.Input()-1].counts
		c.outcomes[OutcomeFragmentReassembled]--
		c.outcomes[OutcomeFiltered]++
	}
}

// report completes the ledger's entries and passes them on.
func (r *run) report(done func(input uint32, c *Capture)) error {
	var errs []error
	for i := range r.ledger {
		e := &r.ledger[i]
		c := e.tally.Capture
		if e.tally.digest != nil {
			c.SHA256 = e.tally.digest.sum
		}
		c.add(&e.counts)
		if err := c.Balanced(); err != nil {
			errs = append(errs, err)
		}
		if done != nil {
			done(uint32(i+1), &c)
		}
	}
	return errors.Join(errs...)
}

// NoPacketTime is Batch.MaxTime before any packet with a time.
const NoPacketTime = math.MinInt64
