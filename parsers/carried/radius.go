package carried

import (
	"encoding/binary"
	"unsafe"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// RADIUS returns RADIUS for an Engine where it carries EAP (RFC 3579), as the access to
// networks does, recognized by its packets on any port. inner makes the parsers of TLS, of which there is
// a session for each who asks for access with EAP-TLS (RFC 5216) or what is built on it: EAP-TTLS (RFC
// 5281), PEAP, EAP-FAST (RFC 4851) and TEAP (RFC 7170).
func RADIUS[M any](inner func() parsers.SessionParser[M]) parsers.Protocol[M] {
	return parsers.Protocol[M]{
		Name:     "radius",
		Datagram: func() parsers.DatagramParser[M] { return &radius[M]{make: inner} },
		Probe: parsers.ByPayload(func(data []byte, _ flows.Side) parsers.Verdict {
			if p, ok := radiusPacket(data); ok && p.eap > 0 {
				return parsers.Yes
			}
			return parsers.No
		}),
		Begins: func(data []byte) bool { return len(data) > radiusHeader && data[0] == accessChallenge },
	}
}

// Codes of RADIUS, and attributes (RFC 2865 sections 4 and 5, RFC 3579 section 3).
const (
	accessRequest   = 1
	accessAccept    = 2
	accessReject    = 3
	accessChallenge = 11

	radiusHeader  = 20
	attrState     = 24
	attrEAP       = 79
	attrSignature = 80

	// maxExchanges bounds those who ask for access at the same time through one flow.
	maxExchanges = 32
)

// radius is a parsers.DatagramParser. A challenge carries a State that the next request
// repeats, and has the identifier of the request that it answers: both tie packets to the
// exchange that they are of.
//
//	request 7 | challenge 7, State a | request 8, State a | challenge 8, State b | … | accept
type radius[M any] struct {
	make      func() parsers.SessionParser[M]
	exchanges []exchange[M]
	spare     parsers.SessionParser[M] // holds the latest message of an exchange that was given up
	asked     [256]uint8               // by identifier: the exchange of the latest request, and 1; 0: none that is known
	clock     uint64
	eap       []byte // of the packet at hand
	givenUp   int
}

type exchange[M any] struct {
	inner parsers.SessionParser[M]
	live  bool
	used  uint64
	state []byte
	seen  [2]int // EAP identifier of the latest packet of each side, and 1
}

type radiusAttrs struct {
	code, id byte
	state    []byte
	eap      int // bytes in attributes EAP-Message
}

// radiusPacket walks the attributes of a packet (RFC 2865 section 3).
func radiusPacket(b []byte) (p radiusAttrs, ok bool) {
	if len(b) < radiusHeader || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return p, false
	}
	switch p.code, p.id = b[0], b[1]; p.code {
	case accessRequest, accessAccept, accessReject, accessChallenge:
	default:
		return p, false
	}
	signed := false
	for a := b[radiusHeader:]; len(a) > 0; a = a[a[1]:] {
		if len(a) < 2 || a[0] == 0 || a[1] < 2 || int(a[1]) > len(a) {
			return p, false
		}
		switch a[0] {
		case attrState:
			p.state = a[2:a[1]]
		case attrEAP:
			p.eap += int(a[1]) - 2
		case attrSignature:
			signed = a[1] == 18
		}
	}
	return p, p.eap == 0 || signed // RFC 3579 section 3.2: no EAP without Message-Authenticator
}

// tlsOf returns what a packet of EAP carries of TLS (RFC 5216 section 3), and its identifier.
func tlsOf(b []byte) (data []byte, id int, ok bool) {
	if len(b) < 6 || int(binary.BigEndian.Uint16(b[2:])) != len(b) || b[0] != 1 && b[0] != 2 {
		return nil, 0, false
	}
	switch b[4] {
	case 13, 21, 25, 43, 55:
	default:
		return nil, 0, false
	}
	data = b[6:]
	if b[5]&0x80 != 0 { // the length of all fragments
		if len(data) < 4 {
			return nil, 0, false
		}
		data = data[4:]
	}
	if b[4] == 55 && b[5]&0x10 != 0 || b[5]&0x20 != 0 { // TEAP's outer TLVs, and a start with none or an authority's id
		data = nil
	}
	return data, int(b[1]), true
}

// Datagram implements parsers.DatagramParser.
func (r *radius[M]) Datagram(dst []M, side flows.Side, at flows.Stamp, b []byte) []M {
	p, ok := radiusPacket(b)
	if !ok {
		return dst
	}
	r.clock++
	if p.code == accessAccept || p.code == accessReject {
		if i := r.asked[p.id]; i > 0 {
			dst = r.end(dst, &r.exchanges[i-1])
		}
		return dst
	}
	r.eap = r.eap[:0]
	for a := b[radiusHeader:]; len(a) > 0; a = a[a[1]:] {
		if a[0] == attrEAP {
			r.eap = append(r.eap, a[2:a[1]]...)
		}
	}
	data, id, ok := tlsOf(r.eap)
	if p.code == accessRequest {
		r.asked[p.id] = 0
		if len(p.state) == 0 {
			return dst
		}
		for i := range r.exchanges {
			if x := &r.exchanges[i]; x.live && string(x.state) == string(p.state) {
				r.asked[p.id] = uint8(i + 1)
			}
		}
	}
	i := r.asked[p.id]
	if i == 0 && ok && p.code == accessChallenge && len(p.state) > 0 {
		dst, i = r.begin(dst)
		r.asked[p.id] = i
	}
	if i == 0 {
		return dst
	}
	x := &r.exchanges[i-1]
	if !x.live {
		return dst
	}
	x.used = r.clock
	if p.code == accessChallenge {
		x.state = append(x.state[:0], p.state...)
	}
	if !ok || x.seen[side] == id+1 || len(data) == 0 {
		return dst // another method, the same again, or nothing but "go on"
	}
	x.seen[side] = id + 1
	return x.inner.Feed(dst, side, at, data)
}

// begin makes room for an exchange: its number, and 1.
func (r *radius[M]) begin(dst []M) ([]M, uint8) {
	at := -1
	for i := range r.exchanges {
		if x := &r.exchanges[i]; !x.live || at < 0 || r.exchanges[at].live && x.used < r.exchanges[at].used {
			if at < 0 || r.exchanges[at].live {
				at = i
			}
		}
	}
	if (at < 0 || r.exchanges[at].live) && len(r.exchanges) < maxExchanges {
		r.exchanges = append(r.exchanges, exchange[M]{inner: r.make()})
		at = len(r.exchanges) - 1
	}
	x := &r.exchanges[at]
	if x.live {
		r.givenUp++
		dst = r.end(dst, x)
	}
	// Its latest message may be lent: another parser takes over.
	if r.spare == nil {
		r.spare = r.make()
	}
	x.inner, r.spare = r.spare, x.inner
	x.inner.Reset()
	x.live, x.state, x.seen = true, x.state[:0], [2]int{}
	return dst, uint8(at + 1)
}

// end says what is known of an exchange.
func (r *radius[M]) end(dst []M, x *exchange[M]) []M {
	if !x.live {
		return dst
	}
	x.live = false
	return x.inner.End(dst)
}

// Idle implements parsers.DatagramParser.
func (r *radius[M]) Idle() bool {
	for i := range r.exchanges {
		if r.exchanges[i].live {
			return false
		}
	}
	return true
}

// End implements parsers.DatagramParser.
func (r *radius[M]) End(dst []M) []M {
	for i := range r.exchanges {
		dst = r.end(dst, &r.exchanges[i])
	}
	return dst
}

// Reset implements parsers.DatagramParser.
func (r *radius[M]) Reset() {
	exchanges := r.exchanges
	if len(exchanges) > 2 {
		clear(exchanges[2:])
		exchanges = exchanges[:2]
	}
	for i := range exchanges {
		x := &exchanges[i]
		x.inner.Reset()
		exchanges[i] = exchange[M]{inner: x.inner, state: x.state[:0]}
	}
	if r.spare != nil {
		r.spare.Reset()
	}
	*r = radius[M]{make: r.make, exchanges: exchanges, spare: r.spare, eap: r.eap[:0]}
}

// Held implements parsers.Bounded.
func (r *radius[M]) Held() int {
	n := int(unsafe.Sizeof(*r)) + cap(r.eap) + cap(r.exchanges)*int(unsafe.Sizeof(exchange[M]{}))
	if b, ok := r.spare.(parsers.Bounded); ok {
		n += b.Held()
	}
	for i := range r.exchanges {
		n += cap(r.exchanges[i].state)
		if b, ok := r.exchanges[i].inner.(parsers.Bounded); ok {
			n += b.Held()
		}
	}
	return n
}

// GivenUp implements parsers.Bounded.
func (r *radius[M]) GivenUp() int { return r.givenUp }
