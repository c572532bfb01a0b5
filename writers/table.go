package writers

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/caplake/caplake/schema"
)

// Table writes the rows of one table. Rows wait as S, in which form they are
// small, and become rows of type T (see package schema) when they are encoded,
// a batch at a time. Its methods are for one goroutine at a time.
type Table[S, T any] struct {
	dir   *Dir
	name  string
	fill  func(dst *T, src *S, a *schema.Arena)
	size  sizer
	batch int // rows of a chunk, chosen so that the rows made of one stay in the cache

	current *group[S] // being filled
	closed  bool
	info    FileInfo

	mu       sync.Mutex
	written  sync.Cond // queue became shorter
	queue    []*group[S]
	err      error // the first; everything after it is dropped
	out      *outFile
	sink     sink
	rows     int64
	encoders []*worker[T] // idle
	free     [][]S        // chunks to use again

	newEncoder func() encoder[T]
	newSink    func() sink
}

// worker is an encoder with the memory that it fills rows into.
type worker[T any] struct {
	encoder encoder[T]
	rows    []T
}

// group is a row group on its way.
type group[S any] struct {
	chunks  [][]S
	rows    int
	bytes   int64
	encoded block
	err     error
	done    bool
}

// encoder turns rows into the bytes of one row group after another. It copies
// what it is given.
type encoder[T any] interface {
	write(rows []T) error
	finish() (block, error)
}

// block is an encoded row group. release gives its memory back.
type block interface{ release() }

// sink puts blocks into a file, in order.
type sink interface {
	append(out *outFile, b block) error
	close(out *outFile) error
}

// NewTable begins a table of dir. fill sets a row, which it finds in any
// state, from what Append was given; what the row refers to may be in the
// arena, and is no longer needed once the batch has been encoded. A nil fill says that S is T: Append
// is given rows.
//
// Strings and lists of what Append is given are not copied: they must stay as
// they are.
func NewTable[S, T any](dir *Dir, name string, fill func(dst *T, src *S, a *schema.Arena)) (*Table[S, T], error) {
	rowType := reflect.TypeFor[T]()
	if fill == nil && reflect.TypeFor[S]() != rowType {
		return nil, fmt.Errorf("writers: table %s needs a function from %s to %s", name, reflect.TypeFor[S](), rowType)
	}
	columns, err := schema.ColumnsOf(rowType)
	if err != nil {
		return nil, fmt.Errorf("writers: table %s: %w", name, err)
	}
	t := &Table[S, T]{
		dir:   dir,
		name:  name,
		fill:  fill,
		size:  sizerOf(reflect.TypeFor[S]()),
		batch: min(max(256<<10/int(rowType.Size()), 64), 2048),
	}
	t.written.L = &t.mu
	if t.newSink, t.newEncoder, err = newFormat[T](dir, name, columns); err != nil {
		return nil, fmt.Errorf("writers: table %s: %w", name, err)
	}
	t.sink = t.newSink()
	if t.out, err = dir.create(name); err != nil {
		return nil, err
	}
	dir.tables = append(dir.tables, t)
	return t, nil
}

// Append adds rows to the table, in order. It copies src. It waits while too
// many row groups are in the works. After an error the table takes no more.
func (t *Table[S, T]) Append(src []S) error {
	if t.closed {
		return errors.New("writers: table " + t.name + ": Append after Close")
	}
	for len(src) > 0 {
		if t.current == nil {
			if err := t.failed(); err != nil {
				return err
			}
			t.current = new(group[S])
		}
		g := t.current
		chunk := t.lastChunk(g)
		n := min(len(src), cap(*chunk)-len(*chunk), t.dir.opts.RowGroupRows-g.rows)
		n, bytes := t.size.prefix(unsafe.Pointer(unsafe.SliceData(src)), n, t.dir.opts.RowGroupBytes-g.bytes)
		*chunk = append(*chunk, src[:n]...)
		src = src[n:]
		g.rows += n
		g.bytes += bytes
		if g.rows == t.dir.opts.RowGroupRows || g.bytes >= t.dir.opts.RowGroupBytes {
			t.dispatch()
		}
	}
	return t.failed()
}

func (t *Table[S, T]) failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// lastChunk returns a chunk of g that has room.
func (t *Table[S, T]) lastChunk(g *group[S]) *[]S {
	if n := len(g.chunks); n > 0 && len(g.chunks[n-1]) < cap(g.chunks[n-1]) {
		return &g.chunks[n-1]
	}
	var chunk []S
	t.mu.Lock()
	if n := len(t.free); n > 0 {
		chunk, t.free = t.free[n-1], t.free[:n-1]
	}
	t.mu.Unlock()
	if chunk == nil {
		chunk = make([]S, 0, min(t.batch, t.dir.opts.RowGroupRows))
	}
	g.chunks = append(g.chunks, chunk)
	return &g.chunks[len(g.chunks)-1]
}

// dispatch hands the current row group to the encoders.
func (t *Table[S, T]) dispatch() {
	g := t.current
	t.current = nil
	p := t.dir.pool
	// A place is free in the end: the row group that has waited longest for its
	// file holds one, and waits for nobody but an encoder.
	p.groups <- struct{}{}
	t.mu.Lock()
	t.queue = append(t.queue, g)
	t.mu.Unlock()
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		p.encoders <- struct{}{}
		g.encoded, g.err = t.encode(g)
		<-p.encoders
		t.deliver(g)
	}()
}

// encode makes a row group of g's rows.
func (t *Table[S, T]) encode(g *group[S]) (block, error) {
	w, err := t.worker()
	if err != nil {
		return nil, err
	}
	for _, chunk := range g.chunks {
		rows, same := any(chunk).([]T)
		if !same || t.fill != nil {
			var a schema.Arena
			rows = w.rows[:len(chunk)]
			for i := range chunk {
				t.fill(&rows[i], &chunk[i], &a)
			}
		}
		if err := w.encoder.write(rows); err != nil {
			return nil, err
		}
	}
	clear(w.rows) // let go of the arenas
	b, err := w.encoder.finish()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.encoders = append(t.encoders, w)
	t.mu.Unlock()
	return b, nil
}

// worker returns an idle worker, or a new one.
func (t *Table[S, T]) worker() (*worker[T], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil, t.err
	}
	if n := len(t.encoders); n > 0 {
		w := t.encoders[n-1]
		t.encoders = t.encoders[:n-1]
		return w, nil
	}
	w := &worker[T]{encoder: t.newEncoder()}
	if t.fill != nil {
		w.rows = make([]T, t.batch)
	}
	return w, nil
}

// deliver says that g is encoded, and writes the row groups whose turn it is.
func (t *Table[S, T]) deliver(g *group[S]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.done = true
	for _, chunk := range g.chunks {
		clear(chunk) // what the rows refer to is garbage now
		t.free = append(t.free, chunk[:0])
	}
	g.chunks = nil
	for len(t.queue) > 0 && t.queue[0].done {
		head := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		if t.err == nil {
			t.err = head.err
		}
		if t.err == nil {
			if err := t.sink.append(t.out, head.encoded); err != nil {
				t.err = fmt.Errorf("writing table %s: %w", t.name, err)
			}
		}
		if t.err == nil {
			t.rows += int64(head.rows)
		}
		if head.encoded != nil {
			head.encoded.release()
		}
		<-t.dir.pool.groups
	}
	t.written.Broadcast()
}

// Close writes what is left and the end of the file, and makes it durable. It
// is called by Commit; calling it before gives the memory back early.
func (t *Table[S, T]) Close() (FileInfo, error) {
	if t.closed {
		return t.info, t.err
	}
	t.closed = true
	if t.current != nil {
		t.dispatch()
	}
	t.drain()
	t.free, t.encoders = nil, nil
	if t.err == nil {
		if err := t.sink.close(t.out); err != nil {
			t.err = fmt.Errorf("writing table %s: %w", t.name, err)
		}
	}
	info, err := t.out.finish(t.rows)
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("writing table %s: %w", t.name, err)
	}
	t.info = info
	return t.info, t.err
}

func (t *Table[S, T]) drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) > 0 {
		t.written.Wait()
	}
}

func (t *Table[S, T]) abort() {
	if t.closed {
		return
	}
	t.closed = true
	t.mu.Lock()
	if t.err == nil {
		t.err = errors.New("writers: aborted")
	}
	t.mu.Unlock()
	t.current = nil
	t.drain()
	t.free, t.encoders = nil, nil
	t.out.f.Close()
}
