package proxy

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	return int(unsafe.Sizeof(*p)) + p.held[0] + p.held[1] + cap(p.host)
}

// GivenUp implements parsers.Bounded: no message of a proxy waits for another.
func (p *Parser) GivenUp() int { return 0 }
