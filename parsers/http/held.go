package http

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	n := int(unsafe.Sizeof(*p)) + cap(p.scratch) + cap(p.sides[0].buf) + cap(p.sides[1].buf)
	for _, list := range [...][]*slot{p.queue, p.done, p.free} {
		for _, sl := range list {
			n += int(unsafe.Sizeof(*sl)) + cap(sl.buf) + (cap(sl.reqHeaders)+cap(sl.respHeaders))*int(unsafe.Sizeof(Header{}))
		}
	}
	return n
}

// GivenUp implements parsers.Bounded.
func (p *Parser) GivenUp() int { return p.givenUp }
