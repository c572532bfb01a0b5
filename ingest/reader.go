package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// reader reads the inputs one after the other into batches: it fills blocks,
// walks the records' headers and keeps what the ledger says of an input as a
// whole. It looks at no packet.
//
// A block is filled to its end before it is walked, so that where a batch
// ends depends on the bytes alone:
//
//	0 ≤ len(carry) ≤ end of the last record ≤ end of what was read ≤ len(block)
//
// What is left after the last record is carried to the next block. A record larger
// than a block gets a block grown to its size.
type reader struct {
	cfg      Config
	free     chan *Batch // blocks to use
	emit     func(*Batch) error
	progress *Progress

	ordinal uint64 // packets of all inputs so far
	maxTime int64  // of all inputs so far
	carry   []byte
}

func newReader(cfg Config, progress *Progress, emit func(*Batch) error) *reader {
	r := &reader{
		cfg:      cfg,
		free:     make(chan *Batch, cfg.MaxBlocks),
		emit:     emit,
		progress: progress,
		maxTime:  math.MinInt64,
	}
	for range cfg.MaxBlocks {
		r.free <- &Batch{ready: make(chan struct{}, 1)}
	}
	return r
}

// read reads one input, the numberth, from src, which is closed; instead of
// that there may be the error of opening it. read's error is the context's or that of
// emit; what is wrong with the input is in the ledger's entry, which the last
// batch carries.
func (r *reader) read(ctx context.Context, in *Input, number uint32, src *source, err error) error {
	t := tally{Capture: Capture{Name: in.Name, Bytes: max(in.Size, 0)}, latest: math.MinInt64}
	if err != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		t.damaged(streamDamage(err), 0)
		b, err := r.next(ctx)
		if err != nil {
			return err
		}
		b.Input, b.First, b.MaxTime = number, 1, r.maxTime
		return r.last(b, &t)
	}
	defer func() {
		if p, ok := src.stream.(*pump); ok && in.peeked == nil {
			<-p.done // its reads do not wait for anybody
		}
		src.close()
	}()
	t.Compression = src.compression

	var (
		w     walker
		end   error // of the stream, io.EOF included
		need  = 4   // bytes without which there is nothing to be found
		base  int64 // where in the stream the block begins
		first = uint64(1)
	)
	r.carry = r.carry[:0]
	for {
		b, err := r.next(ctx)
		if err != nil {
			return err
		}
		b.Input, b.First = number, first
		if len(r.carry) > len(b.block) { // of a block that had grown
			if err := r.grow(ctx, b, len(r.carry)); err != nil {
				return err
			}
		}
		carried := copy(b.block, r.carry)
		n := carried
		if end == nil {
			n, end, err = r.fill(ctx, b, src.stream, n, need)
			if err != nil {
				return err
			}
		}
		var found *damage
		next := 0
		for w == nil && found == nil {
			switch w, need = newWalker(b.block[:n], end != nil, r.cfg.MaxRecordBytes); {
			case in.fault != nil:
				w, found = nil, in.fault
			case w != nil:
			case need > n && end == nil:
				n, end, err = r.fill(ctx, b, src.stream, n, need)
				if err != nil {
					return err
				}
			default:
				found = notCapture(end, b.block[:n])
			}
		}
		buf := b.block[:n]
		if !src.inline {
			b.raw, b.hash = buf[carried:], src.digest
		}
		if w != nil {
			quota := uint64(r.cfg.EpochPackets) - r.ordinal%uint64(r.cfg.EpochPackets)
			b.Records, next, need, found = w.walk(buf, 0, b.Records, int(quota))
			b.Data = buf[:next]
			b.EndOfEpoch = uint64(len(b.Records)) == quota
		}
		first += uint64(len(b.Records))
		r.ordinal += uint64(len(b.Records))
		t.count(b.Records)
		r.maxTime = max(r.maxTime, t.latest)
		b.MaxTime = r.maxTime

		atEnd := end != nil && !b.EndOfEpoch
		switch {
		case found != nil:
		case atEnd && end != io.EOF:
			found = streamDamage(end)
		case atEnd && n > next:
			found = damaged(DamageTruncated, "the input ends %d bytes into a record of at least %d", n-next, need)
		}
		if found == nil && !atEnd {
			r.carry = append(r.carry[:0], buf[next:]...)
			base += int64(next)
			if err := r.emit(b); err != nil {
				return err
			}
			continue
		}

		t.damaged(found, base+int64(next))
		if w != nil {
			w.describe(&t.Capture)
		}
		if p, ok := src.stream.(*pump); ok {
			p.finish(ctx)
			if err := ctx.Err(); err != nil {
				return err
			}
			t.digest = src.digest // taken by the pump, complete
			if found == nil {
				t.Warning = src.warning()
			}
		} else if src.digest != nil {
			// What cannot be understood is a part of the file's hash all the same.
			for end == nil {
				if err := r.emit(b); err != nil {
					return err
				}
				if b, err = r.next(ctx); err != nil {
					return err
				}
				b.Input, b.First, b.MaxTime = number, first, r.maxTime
				if n, end, err = r.fill(ctx, b, src.stream, 0, 0); err != nil {
					return err
				}
				b.raw, b.hash = b.block[:n], src.digest
			}
			b.hashComplete = end == io.EOF
			t.digest = src.digest
		}
		if in.Size < 0 {
			t.Bytes = src.raw.n.Load()
		}
		return r.last(b, &t)
	}
}

// next waits for a free batch.
func (r *reader) next(ctx context.Context) (*Batch, error) {
	select {
	case b := <-r.free:
		if b.block == nil {
			b.block = make([]byte, r.cfg.BlockBytes)
		}
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// last emits an input's last batch.
func (r *reader) last(b *Batch, t *tally) error {
	b.EndOfInput, b.end = true, t
	return r.emit(b)
}

// fill reads into b's block from n on, to its end, or to need if that is
// more, for which the block grows. It returns where reading got to and what ended the stream;
// err is the context's.
func (r *reader) fill(ctx context.Context, b *Batch, s stream, n, need int) (_ int, end, err error) {
	for {
		var m int
		m, end = s.fill(ctx, b.block[n:])
		n += m
		if err := ctx.Err(); err != nil {
			return n, nil, err
		}
		if end != nil || n >= need {
			return n, end, nil
		}
		// By doubling, so that a length that is a lie costs no more than the
		// input is long.
		if err := r.grow(ctx, b, min(2*len(b.block), need)); err != nil {
			return n, nil, err
		}
	}
}

// grow gives b a larger block and takes as many others out of circulation as
// keeps the sum within bounds, all of them at most.
func (r *reader) grow(ctx context.Context, b *Batch, size int) error {
	blocks := min((size+r.cfg.BlockBytes-1)/r.cfg.BlockBytes, r.cfg.MaxBlocks)
	for len(b.extra)+1 < blocks {
		x, err := r.next(ctx)
		if err != nil {
			return err
		}
		b.extra = append(b.extra, x)
	}
	grown := make([]byte, size)
	copy(grown, b.block)
	b.block = grown
	return nil
}

// recycle makes b ready for the next block.
func (r *reader) recycle(b *Batch, scribble bool) {
	if scribble {
		b.scribble()
	}
	extra := b.extra
	if len(b.block) > r.cfg.BlockBytes {
		b.block = nil
	}
	if cap(b.Overflow) > r.cfg.BlockBytes {
		b.Overflow = nil
	}
	*b = Batch{
		block: b.block, ready: b.ready, extra: extra[:0],
		Packets: b.Packets[:0], Encaps: b.Encaps[:0], Records: b.Records[:0],
		Overflow: b.Overflow[:0], fragments: b.fragments[:0],
	}
	for i, x := range extra {
		extra[i] = nil
		r.free <- x
	}
	r.free <- b
}

// tally is a Capture in the making.
type tally struct {
	Capture
	latest int64 // time so far; math.MinInt64 before there is one
	digest *digest
}

// count adds the records' times.
func (t *tally) count(recs []Record) {
	t.Packets += uint64(len(recs))
	latest, earliest, disorder := t.latest, t.FirstTime, uint64(0)
	if !t.HasTime {
		earliest = math.MaxInt64
	}
	for i := range recs {
		if recs[i].Flags&NoTime != 0 {
			continue
		}
		if recs[i].Flags&LinkError != 0 {
			t.LinkErrors++
		}
		at := recs[i].Time
		if at < latest {
			disorder++
		} else {
			latest = at
		}
		earliest = min(earliest, at)
		t.HasTime = true
	}
	t.OutOfOrder += disorder
	if t.latest = latest; t.HasTime {
		t.FirstTime, t.LastTime = earliest, latest
	}
}

// damaged notes why reading ended; offset is in the stream. Nothing is noted
// for nil.
func (t *tally) damaged(d *damage, offset int64) {
	if d == nil {
		return
	}
	t.ErrKind, t.ErrOffset, t.ErrPacket = d.kind, offset, t.Packets+1
	where := ""
	if t.Compression != compressionNone {
		where = " after decompression"
	}
	t.Err = fmt.Sprintf("%s: packet %d at byte %d%s: %s", t.Name, t.ErrPacket, offset, where, d.text)
}

// notCapture says what is wrong with a stream that does not begin like a
// capture: head is what was read of it, then it ended with end unless that is
// nil. How it ended matters only if that hid its first four bytes: whether the
// end of a longer one was met by now depends on the size of blocks.
func notCapture(end error, head []byte) *damage {
	switch n := len(head); {
	case n < 4 && end != nil && end != io.EOF:
		return streamDamage(end)
	case n == 0:
		return damaged(DamageNotCapture, "it is empty")
	}
	for _, f := range foreignFormats {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return damaged(DamageNotCapture, "it is %s, a format that is not read: convert it to pcapng (editcap of Wireshark does)", f.name)
		}
	}
	return damaged(DamageNotCapture, "it is neither pcap, pcapng, snoop nor ERF, nor one of these compressed by gzip, zstd, lz4, xz or bzip2")
}

// foreignFormats are formats of captures that are told apart only to be named.
// None is longer than the least that newWalker asks to see.
var foreignFormats = [...]struct{ magic, name string }{
	{"RTSS", "a capture of Microsoft Network Monitor 1"},
	{"GMBU", "a capture of Microsoft Network Monitor"},
	{"TRSN", "a capture of a DOS-based Sniffer"},
	{"XCP\x00", "a capture of NetXRay or a Windows-based Sniffer"},
	{"btsn", "a Bluetooth capture (btsnoop)"},
	{"iptr", "a capture of AIX's iptrace"},
	{"\x7fver", "a capture of EtherPeek or OmniPeek"},
	{"\x05VNF", "a capture of Visual Networks"},
	{"\x54\x52\x00\x64", "a trace of HP-UX's nettl"},
	{"\xaa\xaa\xaa\xaa", "a capture of 5View"},
}

// streamDamage words an error of a stream or of opening it, without the paths
// that the system's errors carry.
func streamDamage(err error) *damage {
	var c *compressionError
	if errors.As(err, &c) {
		return &damage{DamageCompression, c.Error()}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return damaged(DamageRead, "%s: %v", p.Op, p.Err)
	}
	return &damage{DamageRead, err.Error()}
}

// scribble overwrites what a handler must no longer look at.
func (b *Batch) scribble() {
	for i := range b.block {
		b.block[i] = 0xdb
	}
	for i := range b.Overflow {
		b.Overflow[i] = 0xdb
	}
	clear(b.Packets)
	clear(b.Encaps)
	clear(b.Records)
}
