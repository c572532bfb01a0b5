package openvpn

import (
	"unsafe"

	"github.com/caplake/caplake/parsers"
)

func (s *session[M]) held() int {
	n := int(unsafe.Sizeof(*s))
	for side := range s.sides {
		for i := range s.sides[side].held {
			n += cap(s.sides[side].held[i].data)
		}
	}
	for _, p := range [...]parsers.SessionParser[M]{s.inner, s.other} {
		if b, ok := p.(parsers.Bounded); ok {
			n += b.Held()
		}
	}
	return n
}

func (s *session[M]) gaveUp() int {
	n := s.givenUp
	for _, p := range [...]parsers.SessionParser[M]{s.inner, s.other} {
		if b, ok := p.(parsers.Bounded); ok {
			n += b.GivenUp()
		}
	}
	return n
}

// Held implements parsers.Bounded.
func (d *Datagrams[M]) Held() int { return d.s.held() }

// GivenUp implements parsers.Bounded.
func (d *Datagrams[M]) GivenUp() int { return d.s.gaveUp() }

// Held implements parsers.Bounded.
func (p *Stream[M]) Held() int {
	return p.s.held() + int(unsafe.Sizeof(p.sides)) + cap(p.sides[0].buf) + cap(p.sides[1].buf)
}

// GivenUp implements parsers.Bounded.
func (p *Stream[M]) GivenUp() int { return p.s.gaveUp() }
