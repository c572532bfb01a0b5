package dns

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Protocol returns DNS for an Engine, over UDP and TCP, multicast DNS and LLMNR
// included: recognized by its messages, with less doubt on its own ports. Who wants only
// one of the transports sets the other constructor to nil.
func Protocol(cfg Config) parsers.Protocol[Transaction] {
	return parsers.Protocol[Transaction]{
		Name:     "dns",
		Stream:   func() parsers.SessionParser[Transaction] { return &TCP{Config: cfg} },
		Datagram: func() parsers.DatagramParser[Transaction] { return &UDP{Config: cfg} },
		Probe: func(f *flows.Flow, _ flows.Side, data []byte) parsers.Verdict {
			return Probe(data, f.Proto == flows.ProtoTCP, ownPort(f.SrcPort) || ownPort(f.DstPort))
		},
		Ports: []uint16{53, 5353, 5355},
	}
}

func ownPort(p uint16) bool { return p == 53 || p == 5353 || p == 5355 }

// Begin sets the Service by f's ports.
func (p *UDP) Begin(f *flows.Flow) { p.Service = ServiceOf(f.SrcPort, f.DstPort) }

// Begin sets the Service by f's ports.
func (p *TCP) Begin(f *flows.Flow) { p.Service = ServiceOf(f.SrcPort, f.DstPort) }

// Callbacks is told of messages when their transaction is complete or given
// up: first the query, where it was seen, then the response, where it was, then
// both. A nil one is not wanted. What it is given is lent for the call.
type Callbacks struct {
	Query       func(f *flows.Flow, t *Transaction)
	Response    func(f *flows.Flow, t *Transaction)
	Transaction func(f *flows.Flow, t *Transaction)
}

// Handle calls the callbacks that ev is for.
func (c Callbacks) Handle(ev parsers.Event[Transaction]) {
	if ev.Kind != parsers.Message {
		return
	}
	t := ev.Message
	if c.Query != nil && t.Outcome != NoQuery {
		c.Query(ev.Flow, t)
	}
	if c.Response != nil && t.Outcome != NoResponse {
		c.Response(ev.Flow, t)
	}
	if c.Transaction != nil {
		c.Transaction(ev.Flow, t)
	}
}
