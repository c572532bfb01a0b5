package dns

import "github.com/caplake/caplake/flows"

// UDP pairs the messages of a flow of datagrams, one message each. It is a
// parsers.DatagramParser[Transaction]; the zero value is ready for Service
// DNS.
//
// Multicast DNS has no transactions: each message is a Transaction of its
// own. So is each response after the first to one query. An LLMNR query to
// the multicast address and its response are in different flows and do not
// meet.
type UDP struct {
	Service Service // set it before the first datagram; Reset keeps it
	Config  Config  // Reset keeps it
	pairer
}

// Datagram takes one datagram, of which data may be only a prefix.
func (p *UDP) Datagram(dst []Transaction, side flows.Side, at flows.Stamp, data []byte) []Transaction {
	p.rewind()
	if len(data) == 0 {
		return dst
	}
	return p.take(dst, p.Service, p.Config.maxPending(), &message{side: side, start: at, end: at, data: data, size: len(data)})
}

// Idle reports that no query waits for its response, and no response for a query that the capture may have behind it.
func (p *UDP) Idle() bool { return len(p.ids)+len(p.early) == 0 }

// End yields the queries that have no response, then the responses that have no query.
func (p *UDP) End(dst []Transaction) []Transaction {
	p.rewind()
	return p.flush(dst, p.Service)
}

// Reset makes the parser as new, but for its Service.
func (p *UDP) Reset() { p.reset() }
