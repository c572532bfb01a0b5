package flows

// table finds flows by tuple. It is open addressing with linear probing over
// references into a slab, so that it is free of pointers and a look-up that
// misses touches one cache line. A reference is 1 + the flow's index in the
// slab; 0 marks a free slot.
//
// Where a flow lies depends on a secret of the process, so that nobody can choose tuples
// whose flows all lie in one place. What is found does not: the secret never
// reaches output.
type table struct {
	slots  []slot // length a power of two
	n      int
	secret uint64
}

type slot struct {
	tag uint32 // upper half of the hash
	ref uint32
}

const minTable = 64

func (t *table) home(hash uint64) uint32 {
	return uint32(mix(hash, t.secret)>>20) & uint32(len(t.slots)-1)
}

func (t *table) insert(hash uint64, ref uint32, s *slab) {
	if 2*(t.n+1) > len(t.slots) {
		t.grow(s)
	}
	mask := uint32(len(t.slots) - 1)
	i := t.home(hash)
	for t.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = slot{uint32(hash >> 32), ref}
	t.n++
}

// remove takes out ref and closes the run of slots behind it, so that the
// table needs no tombstones.
func (t *table) remove(hash uint64, ref uint32, s *slab) {
	mask := uint32(len(t.slots) - 1)
	i := t.home(hash)
	for t.slots[i].ref != ref {
		i = (i + 1) & mask
	}
	t.n--
	for j := i; ; {
		j = (j + 1) & mask
		if t.slots[j].ref == 0 {
			break
		}
		// The entry at j may move to i unless its home lies after i.
		home := t.home(s.at(t.slots[j].ref).hash)
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
}

func (t *table) grow(s *slab) {
	old := t.slots
	t.slots = make([]slot, max(minTable, 2*len(old)))
	mask := uint32(len(t.slots) - 1)
	for _, e := range old {
		if e.ref == 0 {
			continue
		}
		i := t.home(s.at(e.ref).hash)
		for t.slots[i].ref != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = e
	}
}

// slab holds the flows in chunks that never move, and hands out references.
type slab struct {
	chunks [][]Flow
	free   uint32 // chained by Flow.next
	used   uint32
}

const slabChunk = 128

func (s *slab) at(ref uint32) *Flow {
	return &s.chunks[(ref-1)/slabChunk][(ref-1)%slabChunk]
}

// alloc returns a zero flow and its reference.
func (s *slab) alloc() (*Flow, uint32) {
	if s.free != 0 {
		ref := s.free
		f := s.at(ref)
		s.free = f.next
		f.next = 0
		return f, ref
	}
	if int(s.used) == len(s.chunks)*slabChunk {
		s.chunks = append(s.chunks, make([]Flow, slabChunk))
	}
	s.used++
	return s.at(s.used), s.used
}

func (s *slab) release(f *Flow, ref uint32) {
	*f = Flow{}
	f.next = s.free
	s.free = ref
}

// pool holds what not every flow needs in chunks that never move, and hands out references, 1 and up.
type pool[T any] struct {
	chunks [][]T
	free   []uint32
	used   uint32
}

func (s *pool[T]) at(ref uint32) *T {
	return &s.chunks[(ref-1)/slabChunk][(ref-1)%slabChunk]
}

// alloc returns the reference of a zero T.
func (s *pool[T]) alloc() uint32 {
	if n := len(s.free); n > 0 {
		ref := s.free[n-1]
		s.free = s.free[:n-1]
		*s.at(ref) = *new(T)
		return ref
	}
	if int(s.used) == len(s.chunks)*slabChunk {
		s.chunks = append(s.chunks, make([]T, slabChunk))
	}
	s.used++
	return s.used
}

func (s *pool[T]) release(ref uint32) { s.free = append(s.free, ref) }

// wheel sorts flows by the second in which they expire, so that a sweep
// looks only at those that may have. A flow that was active since it was put
// in is moved on when its second comes.
type wheel struct {
	slots [wheelSlots + 1]uint32 // heads of lists by Flow.next and prev; the last is for flows that never expire
	now   int64                  // second up to which slots were swept
	begun bool
}

const (
	wheelSlots = 1024
	never      = int64(^uint64(0) >> 1)
)

// slotOf returns the slot of a deadline in nanoseconds. Deadlines beyond the
// wheel's span go to its far end and are looked at early.
func (w *wheel) slotOf(deadline int64) uint16 {
	if deadline == never {
		return wheelSlots
	}
	sec := floorSecond(deadline)
	if sec <= w.now {
		sec = w.now + 1
	}
	if sec >= w.now+wheelSlots {
		sec = w.now + wheelSlots - 1
	}
	return uint16(uint64(sec) % wheelSlots)
}

func floorSecond(ns int64) int64 {
	s := ns / 1e9
	if ns%1e9 < 0 {
		s--
	}
	return s
}

func (w *wheel) add(f *Flow, ref uint32, deadline int64, s *slab) {
	k := w.slotOf(deadline)
	f.slot, f.prev, f.next = k, 0, w.slots[k]
	if f.next != 0 {
		s.at(f.next).prev = ref
	}
	w.slots[k] = ref
}

func (w *wheel) remove(f *Flow, s *slab) {
	if f.prev != 0 {
		s.at(f.prev).next = f.next
	} else {
		w.slots[f.slot] = f.next
	}
	if f.next != 0 {
		s.at(f.next).prev = f.prev
	}
	f.prev, f.next = 0, 0
}
