package writers

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
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

	period  int64                          // nanoseconds of ts that a folder is for; 0: the table is one folder
	timeOf  func(row unsafe.Pointer) int64 // ts of what Append is given
	parts   map[int64]*partition[S]        // by the number of its period; those whose files are open
	uses    int64                          // of parts, in order
	waiting int64                          // bytes of rows in the groups of parts
	dropped bool                           // what is appended: the dataset is a pipe for another table
	closed  bool
	info    TableInfo

	mu       sync.Mutex
	written  sync.Cond // queue became shorter
	queue    []*group[S]
	err      error               // the first; everything after it is dropped
	folders  map[string]int      // number of files begun in each
	opened   map[*tableFile]bool // whose ends are to come
	encoders []*worker[T]        // idle
	free     [][]S               // chunks to use again

	maxFiles   int
	newEncoder func() encoder[T]
	newSink    func() sink
}

// worker is an encoder with the memory that it fills rows into.
type worker[T any] struct {
	encoder encoder[T]
	rows    []T
}

// partition is a folder of the table whose file is open.
type partition[S any] struct {
	key     int64
	folder  string
	current *group[S] // being filled
	used    int64     // when last
	file    *tableFile
}

// tableFile is a file of the table. Only who holds the table's lock may touch it.
type tableFile struct {
	out  *outFile // nil: there is none yet, or it is closed
	sink sink
	rows int64
}

const (
	// maxParts is the number of folders whose files are open at a time. Rows come
	// nearly in order of time, so few are needed; where they do not, a folder
	// gets several files.
	maxParts = 16
	// maxFiles bounds what a capture of wild times makes of a table.
	maxFiles = 1 << 15
)

// group is a row group on its way.
type group[S any] struct {
	part    *partition[S]
	last    bool // the part's file ends with it
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
		dir:     dir,
		name:    name,
		fill:    fill,
		size:    sizerOf(reflect.TypeFor[S]()),
		batch:   min(max(256<<10/int(rowType.Size()), 64), 2048),
		parts:   map[int64]*partition[S]{},
		folders: map[string]int{},
		opened:  map[*tableFile]bool{},

		maxFiles: maxFiles,
	}
	t.written.L = &t.mu
	if t.newSink, t.newEncoder, err = newFormat[T](dir, name, columns); err != nil {
		return nil, fmt.Errorf("writers: table %s: %w", name, err)
	}
	if t.dropped = dir.pipe != nil && dir.only != name; t.dropped {
		return t, nil
	}
	if t.timeOf = timeOf[S](columns); t.timeOf != nil {
		t.period = int64(dir.opts.PartitionBy.period())
	}
	if t.period == 0 { // and if it gets no rows, the table is there
		p := t.part(0)
		t.mu.Lock()
		defer t.mu.Unlock()
		if err := t.open(p); err != nil {
			return nil, err
		}
	}
	dir.tables = append(dir.tables, t)
	return t, nil
}

// timeOf returns what tells the ts of an S, or nil if a table of the columns has no ts.
func timeOf[S any](columns []schema.Column) func(unsafe.Pointer) int64 {
	for i := range columns {
		c := &columns[i]
		if c.Name != "ts" || c.Kind != schema.Timestamp || c.Nullable {
			continue
		}
		if _, ok := any(new(S)).(schema.RowSource); ok {
			return func(row unsafe.Pointer) int64 { return any((*S)(row)).(schema.RowSource).RowTime() }
		}
		return func(row unsafe.Pointer) int64 { return *(*int64)(unsafe.Add(row, c.Offset)) }
	}
	return nil
}

// Append adds rows to the table, in order. It copies src. It waits while too
// many row groups are in the works. After an error the table takes no more.
func (t *Table[S, T]) Append(src []S) error {
	if t.closed {
		return errors.New("writers: table " + t.name + ": Append after Close")
	}
	if t.dropped {
		return nil
	}
	for len(src) > 0 {
		p, n := t.partOf(src)
		if p.current == nil {
			if err := t.failed(); err != nil {
				return err
			}
			p.current = &group[S]{part: p}
		}
		g := p.current
		chunk := t.lastChunk(g)
		n = min(n, cap(*chunk)-len(*chunk), t.dir.opts.RowGroupRows-g.rows)
		n, bytes := t.size.prefix(unsafe.Pointer(unsafe.SliceData(src)), n, t.dir.opts.RowGroupBytes-g.bytes)
		*chunk = append(*chunk, src[:n]...)
		src = src[n:]
		g.rows += n
		g.bytes += bytes
		t.waiting += bytes
		if g.rows == t.dir.opts.RowGroupRows || g.bytes >= t.dir.opts.RowGroupBytes {
			t.dispatch(p, false)
		} else if t.waiting >= t.dir.opts.RowGroupBytes { // of several parts
			t.dispatch(t.choose(func(a, b *partition[S]) bool { return a.waits() > b.waits() }), false)
		}
	}
	return t.failed()
}

// partOf returns the part of the first row of src, and how many rows in
// succession are of it.
func (t *Table[S, T]) partOf(src []S) (*partition[S], int) {
	if t.period == 0 {
		return t.parts[0], len(src)
	}
	key := t.keyOf(&src[0])
	n := 1
	for n < len(src) && t.keyOf(&src[n]) == key {
		n++
	}
	return t.part(key), n
}

// keyOf returns the number of the row's period, counted from 1970.
func (t *Table[S, T]) keyOf(row *S) int64 {
	ts := t.timeOf(unsafe.Pointer(row))
	key := ts / t.period
	if ts%t.period < 0 {
		key--
	}
	return key
}

func (t *Table[S, T]) part(key int64) *partition[S] {
	p := t.parts[key]
	if p == nil {
		if len(t.parts) == maxParts {
			t.end(t.choose(func(a, b *partition[S]) bool { return a.used < b.used }))
		}
		p = &partition[S]{key: key, folder: t.name, file: new(tableFile)}
		if t.period != 0 {
			p.folder += "/" + t.dir.opts.PartitionBy.folder(key*t.period)
		}
		t.parts[key] = p
	}
	t.uses++
	p.used = t.uses
	return p
}

// choose returns the open part that comes before all others. Which it is depends on
// the rows alone.
func (t *Table[S, T]) choose(before func(a, b *partition[S]) bool) (best *partition[S]) {
	for _, p := range t.parts {
		if best == nil || before(p, best) || !before(best, p) && p.key < best.key {
			best = p
		}
	}
	return best
}

// end ends the part's file.
func (t *Table[S, T]) end(p *partition[S]) {
	t.dispatch(p, true)
	delete(t.parts, p.key)
}

// waits returns the bytes of the rows that wait in the part.
func (p *partition[S]) waits() int64 {
	if p.current == nil {
		return 0
	}
	return p.current.bytes
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

// dispatch hands the part's row group to the encoders. If it is the last, the
// part's file ends with it, and it may have no rows.
func (t *Table[S, T]) dispatch(p *partition[S], last bool) {
	g := p.current
	p.current = nil
	if g == nil {
		g = &group[S]{part: p}
	}
	g.last = last
	t.waiting -= g.bytes
	pool := t.dir.pool
	// A place is free in the end: the row group that has waited longest for its
	// file holds one, and waits for nobody but an encoder.
	pool.groups <- struct{}{}
	t.mu.Lock()
	t.queue = append(t.queue, g)
	t.mu.Unlock()
	if g.rows == 0 {
		t.deliver(g)
		return
	}
	pool.wg.Add(1)
	go func() {
		defer pool.wg.Done()
		pool.encoders <- struct{}{}
		g.encoded, g.err = t.encode(g)
		<-pool.encoders
		t.deliver(g)
	}()
}

// encode makes a row group of g's rows.
func (t *Table[S, T]) encode(g *group[S]) (block, error) {
	w, err := t.worker()
	if err != nil {
		return nil, err
	}
	for i, chunk := range g.chunks {
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
		g.chunks[i] = nil
		t.recycle(chunk)
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

// recycle takes back a chunk whose rows are encoded.
func (t *Table[S, T]) recycle(chunk []S) {
	clear(chunk) // what the rows refer to is garbage now
	t.mu.Lock()
	t.free = append(t.free, chunk[:0])
	t.mu.Unlock()
}

// deliver says that g is encoded, and writes the row groups whose turn it is.
func (t *Table[S, T]) deliver(g *group[S]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.done, g.chunks = true, nil
	for len(t.queue) > 0 && t.queue[0].done {
		head := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		if t.err == nil {
			t.err = head.err
		}
		if t.err == nil {
			if err := t.write(head); err != nil {
				t.err = fmt.Errorf("writing table %s: %w", t.name, err)
			}
		}
		if head.encoded != nil {
			head.encoded.release()
		}
		<-t.dir.pool.groups
	}
	t.written.Broadcast()
}

// write puts a row group into its part's file, and begins and ends files as needed.
// The caller holds the lock.
func (t *Table[S, T]) write(g *group[S]) error {
	f := g.part.file
	if g.encoded != nil {
		if f.out == nil {
			if err := t.open(g.part); err != nil {
				return err
			}
		}
		if err := f.sink.append(f.out, g.encoded); err != nil {
			return err
		}
		f.rows += int64(g.rows)
		if t.dir.pipe != nil { // somebody waits at its end
			if err := f.out.w.Flush(); err != nil {
				return err
			}
		}
		if f.out.offset >= t.dir.opts.FileBytes {
			return t.finish(f)
		}
	}
	if g.last {
		return t.finish(f)
	}
	return nil
}

// open begins the next file of p. The caller holds the lock.
func (t *Table[S, T]) open(p *partition[S]) error {
	if len(t.info.Files) >= t.maxFiles {
		return fmt.Errorf("more than %d files: the times of the rows are too many for folders by %s", t.maxFiles, t.dir.opts.PartitionBy)
	}
	out, err := t.dir.create(fmt.Sprintf("%s/part-%05d.%s", p.folder, t.folders[p.folder], t.dir.opts.Format))
	if err != nil {
		return err
	}
	t.folders[p.folder]++
	*p.file = tableFile{out: out, sink: t.newSink()}
	t.opened[p.file] = true
	return nil
}

// finish ends a file, if there is one. The caller holds the lock.
func (t *Table[S, T]) finish(f *tableFile) error {
	if f.out == nil {
		return nil
	}
	err := f.sink.close(f.out)
	info, ferr := f.out.finish(f.rows)
	t.info.Rows += f.rows
	t.info.Files = append(t.info.Files, info)
	*f = tableFile{}
	delete(t.opened, f)
	if err == nil {
		err = ferr
	}
	return err
}

// giveUp closes the files that are not finished, after an error.
func (t *Table[S, T]) giveUp() {
	for f := range t.opened {
		f.out.f.Close()
	}
	clear(t.opened)
}

// Close writes what is left and the end of the files, and makes them durable. It
// is called by Commit; calling it before gives the memory back early.
func (t *Table[S, T]) Close() (TableInfo, error) {
	if t.closed {
		return t.info, t.err
	}
	t.closed = true
	if t.dropped {
		return t.info, nil
	}
	for len(t.parts) > 0 {
		t.end(t.choose(func(a, b *partition[S]) bool { return a.key < b.key }))
	}
	t.drain()
	t.free, t.encoders = nil, nil
	t.info.Name = t.name
	if t.err == nil && len(t.info.Files) == 0 { // no rows at all: the columns at least
		p := &partition[S]{folder: t.name, file: new(tableFile)}
		if err := t.open(p); err != nil {
			t.err = err
		} else if err := t.finish(p.file); err != nil {
			t.err = fmt.Errorf("writing table %s: %w", t.name, err)
		}
	}
	if t.err != nil {
		t.giveUp()
	}
	slices.SortFunc(t.info.Files, func(a, b FileInfo) int { return strings.Compare(a.Name, b.Name) })
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
	t.drain()
	t.free, t.encoders = nil, nil
	t.parts = nil
	t.giveUp()
}
