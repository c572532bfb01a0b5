package writers

import (
	"reflect"
	"unsafe"
)

// sizer tells how much memory values of a type take, the strings and lists
// that they refer to included. Optional numbers count as present: a row group
// must not depend on more than it has to.
type sizer struct {
	stride uintptr // bytes from one value to the next
	fixed  int64   // what each takes at least
	parts  []part
}

// part is a string or a slice within a value.
type part struct {
	offset uintptr
	elem   *sizer // nil: a string
}

func sizerOf(t reflect.Type) sizer {
	s := sizer{stride: t.Size(), fixed: int64(t.Size())}
	s.add(t, 0)
	return s
}

func (s *sizer) add(t reflect.Type, offset uintptr) {
	switch t.Kind() {
	case reflect.String:
		s.parts = append(s.parts, part{offset: offset})
	case reflect.Slice:
		elem := sizerOf(t.Elem())
		s.parts = append(s.parts, part{offset: offset, elem: &elem})
	case reflect.Pointer:
		s.fixed += int64(t.Elem().Size())
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			s.add(f.Type, offset+f.Offset)
		}
	}
}

// prefix returns how many of the n values at p it takes to reach limit bytes,
// or n where they do not, and what these values take.
func (s *sizer) prefix(p unsafe.Pointer, n int, limit int64) (int, int64) {
	if len(s.parts) == 0 {
		n = int(min(int64(n), max((limit+s.fixed-1)/s.fixed, 1)))
		return n, int64(n) * s.fixed
	}
	var bytes int64
	for i := range n {
		bytes += s.of(unsafe.Add(p, uintptr(i)*s.stride))
		if bytes >= limit {
			return i + 1, bytes
		}
	}
	return n, bytes
}

func (s *sizer) of(p unsafe.Pointer) int64 {
	bytes := s.fixed
	for i := range s.parts {
		part := &s.parts[i]
		if part.elem == nil {
			bytes += int64(len(*(*string)(unsafe.Add(p, part.offset))))
			continue
		}
		list := *(*[]byte)(unsafe.Add(p, part.offset)) // of any element: the header is the same
		if len(part.elem.parts) == 0 {
			bytes += int64(len(list)) * part.elem.fixed
			continue
		}
		base := unsafe.Pointer(unsafe.SliceData(list))
		for j := range len(list) {
			bytes += part.elem.of(unsafe.Add(base, uintptr(j)*part.elem.stride))
		}
	}
	return bytes
}
