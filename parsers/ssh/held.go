package ssh

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	n := int(unsafe.Sizeof(*p))
	for i := range p.sides {
		s := &p.sides[i]
		n += cap(s.buf) + cap(s.id) + cap(s.offer) + cap(s.hostKey)
	}
	return n
}

// GivenUp implements parsers.Bounded: no message of SSH waits for another.
func (p *Parser) GivenUp() int { return 0 }
