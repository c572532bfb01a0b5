package parsers

import (
	"fmt"
	"io"
	"iter"

	"github.com/caplake/caplake/flows"
)

// Conversation is what the two sides of a TCP flow said, from its beginning to
// its end. It belongs to whoever got it.
type Conversation struct {
	Flow   flows.Flow
	TCP    flows.TCP
	Chunks []Chunk // of both sides, in the order of the packets
	// Dropped is how many bytes came after a bound of ConversationConfig was
	// reached. They are not in Chunks.
	Dropped int64

	held int
}

// Chunk is what one packet added to a side's bytes, or what became of the side.
type Chunk struct {
	Side flows.Side
	At   flows.Stamp
	Data []byte
	Gap  int64 // instead of Data: so many bytes were not captured
	Fin  bool  // instead: the side has ended its bytes
	Rst  bool  // instead: the side has reset the flow
}

// ConversationConfig bounds what Conversations holds. A field that is zero stands for its
// default.
type ConversationConfig struct {
	Flows    flows.Config
	Key      flows.Key
	MaxBytes int // of one conversation, some more for each chunk included; default 1 MiB
	MaxHeld  int // of all conversations that have not ended; default 256 MiB
}

// chunkCost is what a chunk takes besides its bytes.
const chunkCost = 64

// Conversations returns each TCP flow of src that carried bytes, when it ends. The
// end of src ends all flows, and then an error of src, if it had one, is given last. Breaking
// out of the loop frees everything.
//
// Conversations wait in memory for their ends, within the bounds of cfg. Where
// that is too much, flows.Events gives the same chunks as they come.
func Conversations(src flows.Source, cfg ConversationConfig) iter.Seq2[*Conversation, error] {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 1 << 20
	}
	if cfg.MaxHeld <= 0 {
		cfg.MaxHeld = 256 << 20
	}
	return func(yield func(*Conversation, error) bool) {
		var (
			live []*Conversation // by Flow.User[0]-1
			free []uint64
			held int
		)
		events := flows.Events(src, flows.EventConfig{Config: cfg.Flows, Key: cfg.Key, Kinds: flows.EventStream | flows.EventEnded})
		for ev, err := range events {
			if err != nil {
				yield(nil, err)
				return
			}
			f := ev.Flow
			if f.Proto != flows.ProtoTCP {
				continue
			}
			if ev.Kind == flows.EventEnded {
				if f.User[0] == 0 {
					continue
				}
				c := live[f.User[0]-1]
				live[f.User[0]-1] = nil
				free = append(free, f.User[0])
				held -= c.held
				if c.Flow, c.TCP = *f, *ev.TCP; !c.said() {
					continue
				}
				if !yield(c, nil) {
					return
				}
				continue
			}
			if f.User[0] == 0 {
				if n := len(free); n > 0 {
					f.User[0] = free[n-1]
					free = free[:n-1]
				} else {
					live = append(live, nil)
					f.User[0] = uint64(len(live))
				}
				live[f.User[0]-1] = new(Conversation)
			}
			c := live[f.User[0]-1]
			cost := chunkCost + len(ev.Bytes)
			if ends := ev.Kind == flows.EventFin || ev.Kind == flows.EventRst; !ends && // of which there are few
				(c.Dropped > 0 || c.held+cost > cfg.MaxBytes || held+cost > cfg.MaxHeld) {
				c.Dropped += int64(len(ev.Bytes)) + ev.N
				continue
			}
			c.held += cost
			held += cost
			chunk := Chunk{Side: ev.Side, At: ev.At, Gap: ev.N, Fin: ev.Kind == flows.EventFin, Rst: ev.Kind == flows.EventRst}
			if len(ev.Bytes) > 0 {
				chunk.Data = append([]byte(nil), ev.Bytes...)
			}
			c.Chunks = append(c.Chunks, chunk)
		}
	}
}

// said reports whether there are bytes in c, or were.
func (c *Conversation) said() bool {
	for i := range c.Chunks {
		if len(c.Chunks[i].Data) > 0 || c.Chunks[i].Gap > 0 {
			return true
		}
	}
	return c.Dropped > 0
}

// Reader reads the bytes of one side. Where bytes were not captured Read returns a
// *GapError, once, and then goes on behind them. Where they were not kept it ends with
// io.ErrUnexpectedEOF instead of io.EOF.
func (c *Conversation) Reader(side flows.Side) io.Reader {
	return &sideReader{c: c, side: side}
}

// GapError says that N bytes of a side were not captured.
type GapError struct{ N int64 }

func (e *GapError) Error() string { return fmt.Sprintf("%d bytes were not captured", e.N) }

type sideReader struct {
	c    *Conversation
	side flows.Side
	next int // chunk
	off  int // in it
}

func (r *sideReader) Read(b []byte) (int, error) {
	for ; r.next < len(r.c.Chunks); r.next++ {
		k := &r.c.Chunks[r.next]
		if k.Side != r.side {
			continue
		}
		if k.Gap > 0 {
			r.next++
			return 0, &GapError{k.Gap}
		}
		if r.off < len(k.Data) {
			n := copy(b, k.Data[r.off:])
			r.off += n
			return n, nil
		}
		r.off = 0
	}
	if r.c.Dropped > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, io.EOF
}
