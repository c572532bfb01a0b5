package dns

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// TCP pairs the messages of a flow of two streams, in which each message
// stands behind its length in 16 bits (RFC 1035 section 4.2.2, RFC 7766). It
// is a parsers.SessionParser[Transaction]; the zero value is ready for Service
// DNS. The messages of a zone transfer after the first are Transactions of
// their own, without query.
//
// A stream that lost more than the rest of a message has no mark to find the
// next one by. It is taken up where the bytes of a packet begin with a length
// and a whole message that Probe accepts anywhere, as they do where the sender
// writes one message at a time. A gap inside one message costs that message's
// tail alone.
type TCP struct {
	// Service is to be set before the first bytes; Reset keeps it. MDNS is
	// taken for DNS: multicast has no streams.
	Service Service
	Config  Config // Reset keeps it
	pairer
	sides [2]stream
}

// stream is one side. At most one of buf and skip is in use.
type stream struct {
	state stateOf
	gap   bool        // bytes are missing since the last message
	skip  int         // bytes of a cut message that still come
	buf   []byte      // length prefix and the message's bytes so far
	start flows.Stamp // packet of buf's first byte
	end   flows.Stamp // packet of its last
}

type stateOf uint8

const (
	framed stateOf = iota // the next byte's place in a message is known
	lost                  // it is not
	over                  // nothing more can come of it
)

const (
	prefixLen  = 2
	keepStream = 4 << 10
)

// Feed takes the next bytes of side.
func (p *TCP) Feed(dst []Transaction, side flows.Side, at flows.Stamp, data []byte) []Transaction {
	p.rewind()
	s := &p.sides[side]
	if s.state == lost && Probe(data, true, false) == parsers.Yes {
		s.state = framed
	}
	for len(data) > 0 && s.state == framed {
		if s.skip > 0 {
			n := min(s.skip, len(data))
			s.skip -= n
			data = data[n:]
			continue
		}
		if len(s.buf) == 0 && len(data) >= prefixLen {
			if n := prefixLen + int(binary.BigEndian.Uint16(data)); n <= len(data) {
				dst = p.message(dst, side, &message{
					side: side, start: at, end: at, data: data[prefixLen:n], size: n - prefixLen,
				})
				data = data[n:]
				continue
			}
		}
		if len(s.buf) == 0 {
			s.start = at
		}
		need := prefixLen - len(s.buf)
		if need <= 0 {
			need = prefixLen + int(binary.BigEndian.Uint16(s.buf)) - len(s.buf)
		}
		n := min(need, len(data))
		s.buf = append(s.buf, data[:n]...)
		s.end = at
		data = data[n:]
		if len(s.buf) >= prefixLen && len(s.buf) == prefixLen+int(binary.BigEndian.Uint16(s.buf)) {
			dst = p.message(dst, side, &message{
				side: side, start: s.start, end: at, data: s.buf[prefixLen:], size: len(s.buf) - prefixLen,
			})
			s.buf = s.buf[:0]
		}
	}
	return dst
}

// message takes one framed message. One that cannot be DNS ends its side:
// the stream is of another protocol, or the framing is wrong for good.
func (p *TCP) message(dst []Transaction, side flows.Side, m *message) []Transaction {
	if m.size < headerLen {
		m.cut = TCPLength
		p.sides[side].close()
	} else if !plausible(m.data, m.size, true) {
		p.sides[side].close()
	}
	s := &p.sides[side]
	m.afterGap, s.gap = s.gap, false
	return p.take(dst, p.service(), p.Config.maxPending(), m)
}

// Gap says that n bytes of side will never come.
func (p *TCP) Gap(dst []Transaction, side flows.Side, at flows.Stamp, n int64) []Transaction {
	p.rewind()
	s := &p.sides[side]
	if s.state != framed || n <= 0 {
		if s.state == lost && n > 0 {
			p.missed(side)
		}
		return dst
	}
	rest := int64(s.skip)
	if len(s.buf) >= prefixLen {
		rest = int64(prefixLen + int(binary.BigEndian.Uint16(s.buf)) - len(s.buf))
	}
	p.missed(side)
	s.gap = s.gap || n > rest || len(s.buf) > 0 && len(s.buf) < prefixLen+headerLen
	dst = p.partial(dst, side, StreamGap)
	s.skip = int(max(rest-n, 0))
	if n > rest {
		s.state = lost
	}
	return dst
}

// Fin says that side ended its stream: what it began is cut.
func (p *TCP) Fin(dst []Transaction, side flows.Side, at flows.Stamp) []Transaction {
	p.rewind()
	dst = p.partial(dst, side, Truncated)
	p.sides[side].close()
	return dst
}

// Rst says that side reset the flow.
func (p *TCP) Rst(dst []Transaction, side flows.Side, at flows.Stamp) []Transaction {
	return p.Fin(dst, side, at)
}

// End yields what is still pending: messages begun, queries without response, then responses without query.
func (p *TCP) End(dst []Transaction) []Transaction {
	p.rewind()
	dst = p.partial(dst, flows.Initiator, Truncated)
	dst = p.partial(dst, flows.Responder, Truncated)
	p.sides[flows.Initiator].close()
	p.sides[flows.Responder].close()
	return p.flush(dst, p.service())
}

// Done reports that both streams ended or are not DNS.
func (p *TCP) Done() bool { return p.sides[0].state == over && p.sides[1].state == over }

// Reset makes the parser as new, but for its Service.
func (p *TCP) Reset() {
	for i := range p.sides {
		buf := p.sides[i].buf
		if cap(buf) > keepStream {
			buf = nil
		}
		p.sides[i] = stream{buf: buf[:0]}
	}
	p.reset()
}

func (p *TCP) service() Service {
	if p.Service == MDNS {
		return DNS
	}
	return p.Service
}

// partial takes what there is of the message that side began, if that is a
// header at least.
func (p *TCP) partial(dst []Transaction, side flows.Side, why Malformed) []Transaction {
	s := &p.sides[side]
	if len(s.buf) >= prefixLen+headerLen {
		dst = p.take(dst, p.service(), p.Config.maxPending(), &message{
			side: side, start: s.start, end: s.end, data: s.buf[prefixLen:],
			size: int(binary.BigEndian.Uint16(s.buf)), cut: why, afterGap: s.gap || why == StreamGap,
		})
	}
	s.buf = s.buf[:0]
	return dst
}

func (s *stream) close() {
	s.state, s.skip = over, 0
	s.buf = s.buf[:0]
}
