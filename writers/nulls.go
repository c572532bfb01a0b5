package writers

import (
	"math/bits"
	"reflect"
	"unsafe"

	"github.com/caplake/caplake/schema"
)

// The Parquet library finds the NULLs among the plain strings (and byte
// slices) of a column by a bitmap of 64 rows a word, which it walks run by
// run. Where the last run of values of a word begins at bit y, is exactly y
// long and NULLs follow, it takes them for values: they come out as empty
// text (github.com/parquet-go/parquet-go v0.32.0, writeRowsFuncOfOptional).
// Words count from the first row of a Write, so a Write that ends with that
// run is right, and so is one that begins behind it.
//
// presence is where the columns concerned lie in a row: the offset of the word
// that is zero where the value is NULL.
type presence []uintptr

func presenceOf(columns []schema.Column) (p presence) {
	for i := range columns {
		c := &columns[i]
		if !c.Nullable || c.Type.Kind() == reflect.Pointer {
			continue
		}
		switch c.Kind {
		case schema.String: // pointer, length: empty is NULL
			p = append(p, c.Offset+unsafe.Sizeof(uintptr(0)))
		case schema.Bytes: // pointer, length, capacity: nil is NULL
			p = append(p, c.Offset)
		}
	}
	return p
}

// writable returns how many of n rows, the first at base and each size bytes
// long, may be written at once.
func (p presence) writable(base unsafe.Pointer, size uintptr, n int) int {
	for stable := false; !stable; {
		stable = true // a shorter Write may have the fault where a longer one has not
		for _, offset := range p {
			if m := writableColumn(unsafe.Add(base, offset), size, n); m < n {
				n, stable = m, false
			}
		}
	}
	return n
}

func writableColumn(p unsafe.Pointer, size uintptr, n int) int {
	for first := 0; first < n; first += 64 {
		word, rows := uint64(0), min(64, n-first)
		for i := range rows {
			if *(*uintptr)(p) != 0 {
				word |= 1 << i
			}
			if first+i+1 < n { // no pointer past the rows
				p = unsafe.Add(p, size)
			}
		}
		if end := lastRunFault(word); end > 0 && end < rows {
			return first + end
		}
	}
	return n
}

// lastRunFault returns where the last run of ones in word ends, if it begins
// where it is long: the library's fault. Otherwise it returns 0.
func lastRunFault(word uint64) int {
	end := bits.Len64(word)
	start := end - bits.LeadingZeros64(^(word << (64 - end)))
	if end == 0 || start != end-start {
		return 0
	}
	return end
}
