package quic

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	n := int(unsafe.Sizeof(*p)) + cap(p.held) + cap(p.work)
	for i := range p.sides {
		n += p.sides[i].buf.Held() + p.said.bufs[i].Held()
		if p.sides[i].opener.ok {
			n += openerBytes
		}
	}
	return n
}

// openerBytes is about what the two ciphers of an opener take.
const openerBytes = 2 << 10

// GivenUp implements parsers.Bounded: no message of QUIC waits for another.
func (p *Parser) GivenUp() int { return 0 }
