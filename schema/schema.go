// Package schema defines the tables: the columns with their documentation,
// and how messages and flows become rows. It knows neither Parquet nor Arrow;
// package writers derives both from the same struct tags:
//
//	parquet  the column's name, presence and encoding
//	id       the column's field id: never changed, never used again
//	doc      what the column says, for people
//	bloom    "yes": people look up single values of the column
//
// A program that wants rows begins in package tabulate, below, which makes them of packets;
// here are their types (Flow, HTTP, DNS and so on), and TableOf, by which a protocol of one's own
// fills a table of its own. Times are nanoseconds since the Unix epoch, UTC.
//
// A column is NULL when the capture does not say. An optional number is a
// pointer, because its zero is a value; an optional string is plain, because
// empty text is never a value.
package schema

import "unsafe"

// Arena lends the memory that rows refer to: strings, lists and optional
// numbers. It hands out parts of large chunks and never takes one back: the
// garbage collector frees a chunk when no row refers to it.
// The zero Arena is ready. It is not safe for concurrent use.
type Arena struct {
	bytes []byte
	i64   []int64
	i32   []int32
	f64   []float64
	bools []bool
	strs  []string

	dnsRecords []DNSRecord
	dnsErrors  []DNSError

	httpHeaders []HTTPHeader
}

const arenaChunk = 32 << 10

// String returns a string with the bytes of b, which it copies.
func (a *Arena) String(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > cap(a.bytes)-len(a.bytes) {
		if len(b) > arenaChunk/4 {
			return string(b)
		}
		a.bytes = make([]byte, 0, arenaChunk)
	}
	n := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return unsafe.String(&a.bytes[n], len(b))
}

// Copy returns s, or a copy of it where s is memory lent by a parser.
func (a *Arena) Copy(s string) string {
	return a.String(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// Int64 returns a pointer to v.
func (a *Arena) Int64(v int64) *int64 {
	if len(a.i64) == cap(a.i64) {
		a.i64 = make([]int64, 0, 512)
	}
	a.i64 = append(a.i64, v)
	return &a.i64[len(a.i64)-1]
}

// Int32 returns a pointer to v.
func (a *Arena) Int32(v int32) *int32 {
	if len(a.i32) == cap(a.i32) {
		a.i32 = make([]int32, 0, 512)
	}
	a.i32 = append(a.i32, v)
	return &a.i32[len(a.i32)-1]
}

// Float64 returns a pointer to v.
func (a *Arena) Float64(v float64) *float64 {
	p := &Slice(&a.f64, 1)[0]
	*p = v
	return p
}

// int64s returns n zero numbers.
func (a *Arena) int64s(n int) []int64 { return Slice(&a.i64, n) }

// Bool returns a pointer to v.
func (a *Arena) Bool(v bool) *bool {
	if len(a.bools) == cap(a.bools) {
		a.bools = make([]bool, 0, 512)
	}
	a.bools = append(a.bools, v)
	return &a.bools[len(a.bools)-1]
}

// Strings returns a list of n empty strings to fill in.
func (a *Arena) Strings(n int) []string { return Slice(&a.strs, n) }

// Slice returns n zero values out of the chunk that slab points to, which it
// replaces when it is used up. It is for the lists of rows, whose element
// types an Arena cannot know.
func Slice[T any](slab *[]T, n int) []T {
	if n > cap(*slab)-len(*slab) {
		*slab = make([]T, 0, max(n, 256))
	}
	m := len(*slab)
	*slab = (*slab)[:m+n]
	return (*slab)[m : m+n : m+n]
}
