package proxy

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	return int(unsafe.Sizeof(*p)) + cap(p.bufs[0]) + cap(p.bufs[1]) + cap(p.host)
}

// GivenUp implements parsers.Bounded: no message of a proxy waits for another.
func (p *Parser) GivenUp() int { return 0 }
