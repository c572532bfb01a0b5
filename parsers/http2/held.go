package http2

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	n := int(unsafe.Sizeof(*p)) + p.held + len(p.open)*(int(unsafe.Sizeof(slot{}))+512)
	for _, list := range [...][]*slot{p.done, p.free} {
		for _, sl := range list {
			n += int(unsafe.Sizeof(*sl)) + cap(sl.buf)
		}
	}
	for i := range p.sides {
		s := &p.sides[i]
		n += cap(s.buf) + s.hpack.held()
	}
	return n
}

// GivenUp implements parsers.Bounded.
func (p *Parser) GivenUp() int { return p.givenUp }
