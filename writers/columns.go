package writers

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"unsafe"

	"github.com/caplake/caplake/schema"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// Rows become columns a batch at a time, column by column: while a batch is in
// the cache, one tight loop for each column copies its values from the rows to
// the end of the column. Where a column's values lie in a row is known from the
// struct (schema.Column), so nothing is looked up for a row. A column holds the
// values of a whole row group before any page is made of them, because only
// then it is known what suits it: a column of NULLs costs next to nothing, one
// whose values are all the same is a count, and text that repeats is a
// dictionary.
//
// Parquet stores NULLs and lists as levels beside the values, which are only
// those that are there: a definition level says how much of the path to a value
// is present, a repetition level which of the lists around it goes on.

// leaf is a column of values in the making: a column of the table, or a part of
// the elements of a list.
type leaf struct {
	column *schema.Column
	path   []string
	lists  []listStep // around the value, outermost first
	offset uintptr    // of the value in the row, or in the element of the innermost list

	maxRep, maxDef byte
	nullWord       uintptr // within the value: this word is zero where it is NULL
	absent         uintptr // within the row: this word is zero where the row has NULL here

	values values
	def    []byte // a level for each value, NULL and empty list; as long as there is nothing but NULLs, it is
	rep    []byte // empty, and nulls counts them. Without lists there is no rep, without NULLs neither.
	nulls  int
}

// listStep is a list on the way to a value.
type listStep struct {
	offset   uintptr // of the slice
	size     uintptr // of an element
	nullable bool
}

// leavesOf returns the leaves of columns in the order of the file.
func leavesOf(columns []schema.Column) []*leaf {
	var leaves []*leaf
	var add func(c *schema.Column, l leaf)
	add = func(c *schema.Column, l leaf) {
		l.path = append(slices.Clip(l.path), c.Name)
		switch c.Kind {
		case schema.List:
			l.lists = append(slices.Clip(l.lists), listStep{c.Offset, c.Elem.Type.Size(), c.Nullable})
			l.path = append(l.path, "list")
			l.maxRep++
			l.maxDef++
			if c.Nullable {
				l.maxDef++
			}
			add(c.Elem, l)
		case schema.Struct:
			for i := range c.Fields {
				add(&c.Fields[i], l)
			}
		default:
			l.column, l.offset = c, c.Offset
			if c.Nullable {
				l.maxDef++
			}
			if c.Kind == schema.String {
				l.nullWord = unsafe.Sizeof(uintptr(0)) // the length: empty is NULL. A nil slice or pointer is a zero word itself.
			}
			l.absent = l.offset + l.nullWord
			if len(l.lists) > 0 {
				l.absent = l.lists[0].offset
			}
			l.values = newValues(c)
			leaves = append(leaves, &l)
		}
	}
	for i := range columns {
		add(&columns[i], leaf{})
	}
	return leaves
}

// append appends the column's part of n rows, the first of which is at p, each
// stride bytes after the one before. at is scratch for n numbers.
//
// Neither it nor what it calls makes a pointer past the last row, which the
// garbage collector would take for one into whatever is there.
func (l *leaf) append(p unsafe.Pointer, n int, stride uintptr, at []uint32) {
	if l.maxDef == 0 {
		l.values.appendAll(unsafe.Add(p, l.offset), n, stride)
		return
	}
	i := 0
	if len(l.def) == 0 && l.mayBeAbsent() {
		word := unsafe.Add(p, l.absent)
		for i < n && *(*uintptr)(unsafe.Add(word, uintptr(i)*stride)) == 0 {
			i++
		}
		l.nulls += i
		if i == n {
			return
		}
		l.def = appendRepeated(l.def, 0, l.nulls)
		if l.maxRep > 0 {
			l.rep = appendRepeated(l.rep, 0, l.nulls)
		}
	}
	if l.maxRep > 0 {
		for ; i < n; i++ {
			l.appendList(unsafe.Add(p, uintptr(i)*stride), 0, 0, 0)
		}
		return
	}
	first, k := i, 0
	word := unsafe.Add(p, l.absent)
	def := extend(&l.def, n-i)
	for ; i < n; i++ {
		at[k] = uint32(i)
		present := 0
		if *(*uintptr)(unsafe.Add(word, uintptr(i)*stride)) != 0 {
			present = 1
		}
		def[i-first] = byte(present)
		k += present
	}
	if k == n-first {
		l.values.appendAll(unsafe.Add(p, l.offset+uintptr(first)*stride), k, stride)
	} else {
		l.values.appendAt(unsafe.Add(p, l.offset), at[:k], stride)
	}
}

// mayBeAbsent reports whether a row may have NULL here.
func (l *leaf) mayBeAbsent() bool { return len(l.lists) == 0 || l.lists[0].nullable }

// appendList appends what the list at depth has, in the element (or row) at p.
// rep is the repetition level of the first of it, def what is defined so far.
func (l *leaf) appendList(p unsafe.Pointer, depth int, rep, def byte) {
	step := &l.lists[depth]
	list := *(*[]struct{})(unsafe.Add(p, step.offset)) // the header of a slice is the same for every type of element
	if step.nullable {
		if list == nil {
			l.level(rep, def)
			return
		}
		def++
	}
	if len(list) == 0 {
		l.level(rep, def)
		return
	}
	def++
	base := unsafe.Pointer(unsafe.SliceData(list))
	if depth+1 < len(l.lists) {
		for i := range len(list) {
			l.appendList(unsafe.Add(base, uintptr(i)*step.size), depth+1, rep, def)
			rep = byte(depth + 1)
		}
		return
	}
	base = unsafe.Add(base, l.offset)
	if !l.column.Nullable {
		l.level(rep, def)
		l.rep = appendRepeated(l.rep, byte(depth+1), len(list)-1)
		l.def = appendRepeated(l.def, def, len(list)-1)
		l.values.appendAll(base, len(list), step.size)
		return
	}
	for i := range len(list) {
		p := unsafe.Add(base, uintptr(i)*step.size)
		if *(*uintptr)(unsafe.Add(p, l.nullWord)) == 0 {
			l.level(rep, def)
		} else {
			l.level(rep, def+1)
			l.values.appendAll(p, 1, 0)
		}
		rep = byte(depth + 1)
	}
}

func (l *leaf) level(rep, def byte) {
	l.rep, l.def = append(l.rep, rep), append(l.def, def)
}

func (l *leaf) reset() {
	l.values.reset()
	l.def, l.rep, l.nulls = l.def[:0], l.rep[:0], 0
}

// extend makes s longer by n and returns the new part, which is in any state.
func extend[T any](s *[]T, n int) []T {
	k := len(*s)
	*s = slices.Grow(*s, n)[:k+n]
	return (*s)[k:]
}

func appendRepeated[T any](s []T, v T, n int) []T {
	k := len(s)
	s = slices.Grow(s, n)[:k+n]
	for i := k; i < len(s); i++ {
		s[i] = v
	}
	return s
}

// values are the values of a leaf that are there, those of one row group.
type values interface {
	// appendAll appends n values that are all there, appendAt those of the
	// rows at.
	appendAll(p unsafe.Pointer, n int, stride uintptr)
	appendAt(p unsafe.Pointer, at []uint32, stride uintptr)
	reset()

	len() int
	size() int // bytes that they take as they are

	// settle chooses the encoding when all values are there; the following
	// may be called after it.
	settle(s *scratch) format.Encoding
	// dictionary returns the entries of the dictionary, encoded, and their
	// number; 0: there is none.
	dictionary(dst []byte) ([]byte, int)
	// page returns values [from, to) encoded, in memory of s.
	page(from, to int, s *scratch) []byte
	// bounds appends the least and greatest of values [from, to) to dst as
	// statistics have them; ok says that there are any.
	bounds(from, to int) (low, high []byte, ok bool)
	// hashes returns the hashes of all values, as Bloom filters take them; of
	// those that repeat it may return one.
	hashes(dst []uint64) []uint64
}

// scratch is memory that the columns of an encoder share.
type scratch struct {
	page    []byte
	indexes []int32 // into the dictionary of the column at hand
	table   []int32 // indexes plus one by value, or hash
	lengths []int32
	delta   delta.BinaryPackedEncoding
	rle     rle.DictionaryEncoding
}

func newValues(c *schema.Column) values {
	pointer := c.Type.Kind() == reflect.Pointer
	switch c.Kind {
	case schema.Bool:
		return &numbers[byte]{pointer: pointer, encoding: format.Plain}
	case schema.Int32:
		return &numbers[int32]{pointer: pointer, encoding: numberEncoding(c)}
	case schema.Int64, schema.Timestamp:
		return &numbers[int64]{pointer: pointer, encoding: numberEncoding(c)}
	case schema.Float64:
		n := &numbers[float64]{pointer: pointer, encoding: format.Plain}
		if !c.Random {
			n.encoding = format.RLEDictionary
		}
		return n
	case schema.String, schema.Bytes:
		t := &texts{seed: maphash.MakeSeed(), never: c.Random || c.Encoding == schema.Delta}
		if c.Encoding == schema.Delta {
			t.otherwise = format.DeltaLengthByteArray
		}
		return t
	}
	panic("writers: column " + c.Name + " has no type") // the schema has seen to it
}

func numberEncoding(c *schema.Column) format.Encoding {
	switch c.Encoding {
	case schema.Dict:
		return format.RLEDictionary
	case schema.Delta:
		return format.DeltaBinaryPacked
	}
	return format.Plain
}

type number interface {
	byte | int32 | int64 | float64 // byte: a bool
}

// numbers are values of a fixed size. As long as all of them are the same,
// they are a count.
type numbers[V number] struct {
	pointer  bool            // rows have pointers to them
	encoding format.Encoding // wanted; for a dictionary, if it is worth it

	vals  []V // empty as long as all n are first
	n     int
	first V

	dict    []V     // as settled
	indexes []int32 // of all values, in scratch
}

func (c *numbers[V]) len() int  { return c.n }
func (c *numbers[V]) size() int { return c.n * int(unsafe.Sizeof(c.first)) }

func (c *numbers[V]) reset() {
	c.vals, c.n, c.dict, c.indexes = c.vals[:0], 0, c.dict[:0], nil
}

func (c *numbers[V]) appendAll(p unsafe.Pointer, n int, stride uintptr) {
	if n == 0 {
		return
	}
	i := 0
	if len(c.vals) == 0 {
		if c.n == 0 {
			c.first = c.load(p)
		}
		same := bitsOf(c.first) // which tells zeros apart, and knows NaN again
		if c.pointer {
			for i < n && bitsOf(**(**V)(unsafe.Add(p, uintptr(i)*stride))) == same {
				i++
			}
		} else {
			for i < n && bitsOf(*(*V)(unsafe.Add(p, uintptr(i)*stride))) == same {
				i++
			}
		}
		c.n += i
		if i == n {
			return
		}
		c.vals = appendRepeated(c.vals, c.first, c.n)
	}
	c.n += n - i
	dst := extend(&c.vals, n-i)
	p = unsafe.Add(p, uintptr(i)*stride)
	if c.pointer {
		for i := range dst {
			dst[i] = **(**V)(unsafe.Add(p, uintptr(i)*stride))
		}
		return
	}
	for i := range dst {
		dst[i] = *(*V)(unsafe.Add(p, uintptr(i)*stride))
	}
}

// appendAt is for pointers: a number that may be NULL is one.
func (c *numbers[V]) appendAt(p unsafe.Pointer, at []uint32, stride uintptr) {
	if len(at) == 0 {
		return
	}
	if len(c.vals) == 0 {
		if c.n == 0 {
			c.first = **(**V)(unsafe.Add(p, uintptr(at[0])*stride))
		}
		i, same := 0, bitsOf(c.first)
		for i < len(at) && bitsOf(**(**V)(unsafe.Add(p, uintptr(at[i])*stride))) == same {
			i++
		}
		c.n += i
		if at = at[i:]; len(at) == 0 {
			return
		}
		c.vals = appendRepeated(c.vals, c.first, c.n)
	}
	c.n += len(at)
	dst := extend(&c.vals, len(at))
	for i := range dst {
		dst[i] = **(**V)(unsafe.Add(p, uintptr(at[i])*stride))
	}
}

func (c *numbers[V]) load(p unsafe.Pointer) V {
	if c.pointer {
		p = *(*unsafe.Pointer)(p)
	}
	return *(*V)(p)
}

func (c *numbers[V]) settle(s *scratch) format.Encoding {
	if unsafe.Sizeof(c.first) == 1 || c.n == 0 {
		if len(c.vals) == 0 {
			c.vals = appendRepeated(c.vals, c.first, c.n)
		}
		return format.Plain
	}
	if len(c.vals) == 0 { // all are the same
		c.dict = append(c.dict, c.first)
		return format.RLEDictionary
	}
	if c.encoding != format.RLEDictionary {
		return c.encoding
	}
	if c.index(s) {
		return format.RLEDictionary
	}
	c.dict = c.dict[:0]
	if _, ok := any(c.first).(float64); ok {
		return format.Plain
	}
	return format.DeltaBinaryPacked
}

// index makes a dictionary, of values in the order in which they first came. It
// gives up where that is not worth it: half of the values, or more, are new.
func (c *numbers[V]) index(s *scratch) bool {
	n := len(c.vals)
	s.indexes = slices.Grow(s.indexes[:0], n)[:n]
	limit := func(i int) int { return max(1024, i/2) }
	low, high := c.vals[0], c.vals[0]
	for _, v := range c.vals {
		low, high = min(low, v), max(high, v)
	}
	_, float := any(c.first).(float64)
	if span := uint64(int64(high)) - uint64(int64(low)); !float && span < 1<<16 {
		s.table = slices.Grow(s.table[:0], int(span)+1)[:span+1]
		clear(s.table)
		for i, v := range c.vals {
			d := &s.table[uint64(int64(v))-uint64(int64(low))]
			if *d == 0 {
				c.dict = append(c.dict, v)
				*d = int32(len(c.dict))
			}
			s.indexes[i] = *d - 1
		}
	} else {
		const size = 1 << 17 // row groups that are larger get no dictionary of more
		s.table = slices.Grow(s.table[:0], size)[:size]
		clear(s.table)
		for i, v := range c.vals {
			key := bitsOf(v)
			at := key * 0x9e3779b97f4a7c15 >> (64 - 17)
			for s.table[at] != 0 && bitsOf(c.dict[s.table[at]-1]) != key {
				at = (at + 1) % size
			}
			if s.table[at] == 0 {
				if c.dict = append(c.dict, v); len(c.dict) > min(limit(i), size/2) {
					return false
				}
				s.table[at] = int32(len(c.dict))
			}
			s.indexes[i] = s.table[at] - 1
		}
	}
	if len(c.dict) > n/2 {
		return false
	}
	c.indexes = s.indexes
	return true
}

func bitsOf[V number](v V) uint64 {
	switch unsafe.Sizeof(v) {
	case 8:
		return *(*uint64)(unsafe.Pointer(&v))
	case 4:
		return uint64(*(*uint32)(unsafe.Pointer(&v)))
	}
	return uint64(*(*byte)(unsafe.Pointer(&v)))
}

func (c *numbers[V]) dictionary(dst []byte) ([]byte, int) {
	return appendPlain(dst, c.dict), len(c.dict)
}

// appendPlain appends numbers, each in its own bytes, least significant first.
func appendPlain[V number](dst []byte, vals []V) []byte {
	dst = slices.Grow(dst, 8*len(vals))
	for _, v := range vals {
		switch b := bitsOf(v); unsafe.Sizeof(v) {
		case 8:
			dst = binary.LittleEndian.AppendUint64(dst, b)
		case 4:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(b))
		default:
			dst = append(dst, byte(b))
		}
	}
	return dst
}

func (c *numbers[V]) page(from, to int, s *scratch) []byte {
	if len(c.dict) == 1 {
		s.page = appendSameIndex(s.page[:0], to-from)
		return s.page
	}
	if len(c.dict) > 0 {
		s.page, _ = s.rle.EncodeInt32(s.page[:0], c.indexes[from:to]) // whose errors are of widths that there are not
		return s.page
	}
	switch vals := any(c.vals[from:to]).(type) {
	case []byte:
		s.page = appendBits(s.page[:0], vals)
	case []int32:
		if c.encoding == format.Plain {
			s.page = appendPlain(s.page[:0], vals)
		} else {
			s.page, _ = s.delta.EncodeInt32(s.page[:0], vals)
		}
	case []int64:
		if c.encoding == format.Plain {
			s.page = appendPlain(s.page[:0], vals)
		} else {
			s.page, _ = s.delta.EncodeInt64(s.page[:0], vals)
		}
	case []float64:
		s.page = appendPlain(s.page[:0], vals)
	}
	return s.page
}

// appendSameIndex appends n times index 0, one bit wide: readers have not all
// been made for indexes of no bits.
func appendSameIndex(dst []byte, n int) []byte {
	dst = append(dst, 1)
	if n == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	return append(dst, 0)
}

// appendBits appends booleans, eight a byte.
func appendBits(dst, vals []byte) []byte {
	for len(vals) >= 8 {
		// The lowest bit of each of eight bytes comes to the top byte, in order.
		word := binary.LittleEndian.Uint64(vals)
		dst = append(dst, byte(word*0x0102040810204080>>56))
		vals = vals[8:]
	}
	if len(vals) > 0 {
		var b byte
		for i, v := range vals {
			b |= v << i
		}
		dst = append(dst, b)
	}
	return dst
}

func (c *numbers[V]) bounds(from, to int) (lowest, highest []byte, ok bool) {
	if from == to {
		return nil, nil, false
	}
	vals := []V{c.first}
	if len(c.vals) > 0 {
		vals = c.vals[from:to]
	}
	for len(vals) > 0 && vals[0] != vals[0] { // NaN is beyond all bounds
		vals = vals[1:]
	}
	if len(vals) == 0 {
		return nil, nil, false
	}
	low, high := vals[0], vals[0]
	for _, v := range vals {
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	if f, ok := any(low).(float64); ok { // zeros of either sign are equal, so the bounds cover both
		g := any(high).(float64)
		if f == 0 {
			f = math.Copysign(0, -1)
		}
		if g == 0 {
			g = 0
		}
		return appendPlain(nil, []float64{f}), appendPlain(nil, []float64{g}), true
	}
	return appendPlain(nil, []V{low}), appendPlain(nil, []V{high}), true
}

func (c *numbers[V]) hashes(dst []uint64) []uint64 {
	vals := c.vals
	if len(c.dict) > 0 {
		vals = c.dict
	}
	for _, v := range vals {
		if unsafe.Sizeof(v) == 8 {
			dst = append(dst, xxhash.Sum64Uint64(bitsOf(v)))
		} else {
			dst = append(dst, xxhash.Sum64Uint32(uint32(bitsOf(v))))
		}
	}
	return dst
}

// texts are strings or byte slices. Each distinct one is kept once, until it
// turns out that hardly any comes twice.
type texts struct {
	never     bool            // a dictionary is not worth trying
	otherwise format.Encoding // without dictionary

	plain   bool     // no dictionary: the entries are the values
	bytes   []byte   // of the entries, one after another
	ends    []uint32 // of the entries in bytes
	indexes []int32  // of the values; empty if plain
	total   int      // bytes of all values

	seed  maphash.Seed // so that nobody can send texts that collide; no byte of the output depends on it
	slots []uint64     // index of an entry plus one, and above it 32 bits of its hash; 0: free
	seen  []uint32     // by entry: the last look for bounds that met it
	look  uint32
}

func (t *texts) len() int {
	if t.plain || t.never {
		return len(t.ends)
	}
	return len(t.indexes)
}

func (t *texts) size() int { return t.total + 4*t.len() }

func (t *texts) reset() {
	t.plain = false
	t.bytes, t.ends, t.indexes, t.total = t.bytes[:0], t.ends[:0], t.indexes[:0], 0
	clear(t.slots)
	clear(t.seen)
	t.look = 0
}

func (t *texts) entry(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.bytes[from:t.ends[i]]
}

func (t *texts) appendAll(p unsafe.Pointer, n int, stride uintptr) {
	for i := range n { // a string, or the same two words of a slice of bytes
		t.append(*(*string)(unsafe.Add(p, uintptr(i)*stride)))
	}
	t.reconsider()
}

func (t *texts) appendAt(p unsafe.Pointer, at []uint32, stride uintptr) {
	for _, i := range at {
		t.append(*(*string)(unsafe.Add(p, uintptr(i)*stride)))
	}
	t.reconsider()
}

func (t *texts) append(s string) {
	t.total += len(s)
	if t.plain || t.never {
		t.bytes = append(t.bytes, s...)
		t.ends = append(t.ends, uint32(len(t.bytes)))
		return
	}
	if n := len(t.indexes); n > 0 && string(t.entry(int(t.indexes[n-1]))) == s {
		t.indexes = append(t.indexes, t.indexes[n-1])
		return
	}
	if 2*len(t.ends) >= len(t.slots) {
		t.grow()
	}
	hash := maphash.String(t.seed, s)
	mask := uint64(len(t.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		slot := t.slots[at]
		if slot == 0 {
			t.bytes = append(t.bytes, s...)
			t.ends = append(t.ends, uint32(len(t.bytes)))
			t.slots[at] = hash>>32<<32 | uint64(len(t.ends))
			t.indexes = append(t.indexes, int32(len(t.ends)-1))
			return
		}
		if slot>>32 == hash>>32 {
			if i := int(uint32(slot)) - 1; string(t.entry(i)) == s {
				t.indexes = append(t.indexes, int32(i))
				return
			}
		}
	}
}

func (t *texts) grow() {
	t.slots = make([]uint64, max(64, 4*len(t.slots)))
	mask := uint64(len(t.slots) - 1)
	for i := range t.ends {
		hash := maphash.Bytes(t.seed, t.entry(i))
		at := hash & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = hash>>32<<32 | uint64(i+1)
	}
}

// reconsider gives the dictionary up if of many values most are new.
func (t *texts) reconsider() {
	if t.plain || t.never || len(t.ends) < 4096 || 4*len(t.ends) < 3*len(t.indexes) {
		return
	}
	t.spell()
}

// spell puts the values in the place of the entries of the dictionary.
func (t *texts) spell() {
	all := make([]byte, 0, t.total+t.total/2)
	ends := make([]uint32, 0, cap(t.indexes))
	for _, i := range t.indexes {
		all = append(all, t.entry(int(i))...)
		ends = append(ends, uint32(len(all)))
	}
	t.bytes, t.ends, t.indexes, t.plain = all, ends, t.indexes[:0], true
}

func (t *texts) settle(*scratch) format.Encoding {
	if !t.plain && !t.never {
		n, distinct := len(t.indexes), len(t.ends)
		width := bits.Len(uint(max(distinct-1, 1)))
		if len(t.bytes)+4*distinct+n*width/8 < t.total+4*n {
			return format.RLEDictionary
		}
		t.spell()
	}
	return t.otherwise
}

func (t *texts) dictionary(dst []byte) ([]byte, int) {
	if t.plain || t.never {
		return dst, 0
	}
	return t.appendEntries(dst, 0, len(t.ends)), len(t.ends)
}

func (t *texts) appendEntries(dst []byte, from, to int) []byte {
	for i := from; i < to; i++ {
		e := t.entry(i)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e)))
		dst = append(dst, e...)
	}
	return dst
}

func (t *texts) page(from, to int, s *scratch) []byte {
	switch {
	case !t.plain && !t.never && len(t.ends) == 1:
		s.page = appendSameIndex(s.page[:0], to-from)
	case !t.plain && !t.never:
		s.page, _ = s.rle.EncodeInt32(s.page[:0], t.indexes[from:to])
	case t.otherwise == format.DeltaLengthByteArray:
		s.lengths = s.lengths[:0]
		start := 0
		if from > 0 {
			start = int(t.ends[from-1])
		}
		at := start // and of no values, the end
		for _, end := range t.ends[from:to] {
			s.lengths = append(s.lengths, int32(int(end)-at))
			at = int(end)
		}
		s.page, _ = s.delta.EncodeInt32(s.page[:0], s.lengths)
		s.page = append(s.page, t.bytes[start:at]...)
	default:
		s.page = t.appendEntries(s.page[:0], from, to)
	}
	return s.page
}

func (t *texts) bounds(from, to int) (low, high []byte, ok bool) {
	if from == to {
		return nil, nil, false
	}
	if t.plain || t.never {
		low = t.entry(from)
		high = low
		for i := from + 1; i < to; i++ {
			e := t.entry(i)
			if bytes.Compare(e, low) < 0 {
				low = e
			} else if bytes.Compare(e, high) > 0 {
				high = e
			}
		}
	} else {
		t.look++
		if n := len(t.ends) - len(t.seen); n > 0 {
			t.seen = append(t.seen, make([]uint32, n)...)
		}
		low = t.entry(int(t.indexes[from]))
		high = low
		for _, i := range t.indexes[from:to] {
			if t.seen[i] == t.look {
				continue
			}
			t.seen[i] = t.look
			e := t.entry(int(i))
			if bytes.Compare(e, low) < 0 {
				low = e
			} else if bytes.Compare(e, high) > 0 {
				high = e
			}
		}
	}
	return low, high, true
}

func (t *texts) hashes(dst []uint64) []uint64 {
	for i := range t.ends {
		dst = append(dst, xxhash.Sum64(t.entry(i)))
	}
	return dst
}
