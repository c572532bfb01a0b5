package tls

import "unsafe"

// Held implements parsers.Bounded.
func (p *Parser) Held() int {
	h := &p.h
	return int(unsafe.Sizeof(*p)) + cap(p.sides[0].buf) + cap(p.sides[1].buf) +
		cap(h.chainMem[0]) + cap(h.chainMem[1]) +
		(cap(h.ServerChain)+cap(h.ClientChain))*int(unsafe.Sizeof(RawCertificate{})) +
		cap(h.Client.mem) + 2*(cap(h.Client.Ciphers)+cap(h.Client.Extensions)+cap(h.Client.Groups)+
		cap(h.Client.KeyShares)+cap(h.Client.SignatureAlgorithms)) + 24*cap(h.Client.ALPN) +
		cap(h.Server.mem) + 2*cap(h.Server.Extensions)
}

// GivenUp implements parsers.Bounded: no message of TLS waits for another.
func (p *Parser) GivenUp() int { return 0 }

// Held implements parsers.Bounded.
func (d *Datagrams) Held() int {
	n := int(unsafe.Sizeof(*d)-2*unsafe.Sizeof(d.tls[0])) + d.tls[0].Held() + d.tls[1].Held()
	for i := range d.sides {
		s := &d.sides[i]
		n += cap(s.exchange)
		for j := range s.open {
			n += s.open[j].buf.Held()
		}
	}
	return n
}

// GivenUp implements parsers.Bounded.
func (d *Datagrams) GivenUp() int { return 0 }
