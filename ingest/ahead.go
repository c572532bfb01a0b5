package ingest

import "context"

// ahead opens the inputs of a run before it is their turn: compressed ones are
// decompressed meanwhile, as far as memory allows, and opening the next of many small files
// does not hold up the one before. Inputs are taken in their order.
type ahead struct {
	ctx    context.Context
	cancel context.CancelFunc
	inputs []Input
	option sourceOptions
	depth  int
	next   int // the first input that has not been launched
	queue  []launched
}

type launched struct {
	in *Input
	c  chan opened // capacity 1
}

type opened struct {
	src *source
	err error
}

func newAhead(ctx context.Context, inputs []Input, cfg Config, progress *Progress) *ahead {
	a := &ahead{inputs: inputs, depth: max(cfg.ReadAhead, 0), option: sourceOptions{hash: !cfg.NoHash, progress: progress}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	if n := cfg.ReadAheadBytes / pumpChunk; n > 0 {
		a.option.shared = newChunkStore(n)
	}
	a.reset()
	return a
}

// reset makes archives ready to be read from their beginning.
func (a *ahead) reset() {
	for i := range a.inputs {
		if m := a.inputs[i].member; m != nil {
			m.reset()
		}
	}
}

// take returns the next input's source, or why it could not be opened. The
// error is also that of the context.
func (a *ahead) take() (*source, error) {
	for a.next < len(a.inputs) && len(a.queue) <= a.depth {
		in := &a.inputs[a.next]
		if in.peeked != nil && len(a.queue) > 0 {
			break // it has been opened, and reading may wait
		}
		o := a.option
		if in.member != nil {
			o.open = in.member.reserve()
		}
		l := launched{in, make(chan opened, 1)}
		open := func() {
			src, err := openSource(a.ctx, in, o)
			l.c <- opened{src, err}
		}
		if len(a.queue) == 0 && a.depth == 0 {
			open()
		} else {
			go open()
		}
		a.queue = append(a.queue, l)
		a.next++
	}
	l := a.queue[0]
	a.queue = append(a.queue[:0], a.queue[1:]...)
	select {
	case o := <-l.c:
		if o.src != nil {
			if p, ok := o.src.stream.(*pump); ok {
				p.begin()
			}
		}
		return o.src, o.err
	case <-a.ctx.Done():
		a.queue = append(a.queue, l)
		return nil, a.ctx.Err()
	}
}

// close gives up what has been opened and not been taken, and waits for that unless
// reading from it may take for ever.
func (a *ahead) close() {
	a.cancel()
	for _, l := range a.queue {
		free := func() {
			if o := <-l.c; o.src != nil {
				if p, ok := o.src.stream.(*pump); ok {
					<-p.done
				}
				o.src.close()
			}
		}
		if l.in.peeked != nil {
			go free()
		} else {
			free()
		}
	}
	a.reset()
}
