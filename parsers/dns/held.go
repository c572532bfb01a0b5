package dns

import "unsafe"

// Held implements parsers.Bounded.
func (p *UDP) Held() int { return int(unsafe.Sizeof(*p)) + p.pairer.held() }

// GivenUp implements parsers.Bounded.
func (p *UDP) GivenUp() int { return p.givenUp }

// Held implements parsers.Bounded.
func (p *TCP) Held() int {
	return int(unsafe.Sizeof(*p)) + p.pairer.held() + cap(p.sides[0].buf) + cap(p.sides[1].buf)
}

// GivenUp implements parsers.Bounded.
func (p *TCP) GivenUp() int { return p.givenUp }

func (p *pairer) held() int {
	return p.bytes + p.earlyBytes + (cap(p.entries)+cap(p.early))*int(unsafe.Sizeof(entry{})) + cap(p.text) + cap(p.records)*int(unsafe.Sizeof(Record{}))
}
