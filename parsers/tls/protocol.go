package tls

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Protocol returns TLS over TCP for an Engine: recognized by its first bytes, on any
// port, also where a flow changes to it.
func Protocol(cfg Config) parsers.Protocol[Handshake] {
	return parsers.Protocol[Handshake]{
		Name:   "tls",
		Stream: func() parsers.SessionParser[Handshake] { return &Parser{Config: cfg} },
		Probe:  parsers.ByPayload(Probe),
	}
}

// DatagramProtocol returns DTLS for an Engine: recognized by its records, on any port, also behind STUN. Its
// messages are those of Protocol.
func DatagramProtocol(cfg Config) parsers.Protocol[Handshake] {
	return parsers.Protocol[Handshake]{
		Name:     "dtls",
		Datagram: func() parsers.DatagramParser[Handshake] { return &Datagrams{Config: cfg} },
		Probe: parsers.ByPayload(func(data []byte, side flows.Side) parsers.Verdict {
			if stun(data) {
				return parsers.Maybe
			}
			return ProbeDatagram(data, side)
		}),
		Begins: BeginsDatagram,
	}
}

// stun reports whether a datagram is a message of STUN (RFC 8489 section 5),
// which finds the way for a handshake of DTLS that follows in the same flow.
func stun(data []byte) bool {
	return len(data) >= 20 && data[0] < 4 && data[4] == 0x21 && data[5] == 0x12 && data[6] == 0xa4 && data[7] == 0x42
}

// Callbacks is told of a session's hellos and of the whole handshake, in this
// order, when that is over. A nil one is not wanted. What it is given is lent
// for the call.
type Callbacks struct {
	ClientHello func(f *flows.Flow, h *ClientHello)
	ServerHello func(f *flows.Flow, h *ServerHello)
	Handshake   func(f *flows.Flow, h *Handshake)
}

// Handle calls the callbacks that ev is for.
func (c Callbacks) Handle(ev parsers.Event[Handshake]) {
	if ev.Kind != parsers.Message {
		return
	}
	h := ev.Message
	if c.ClientHello != nil && h.Client.Seen {
		c.ClientHello(ev.Flow, &h.Client)
	}
	if c.ServerHello != nil && h.Server.Seen {
		c.ServerHello(ev.Flow, &h.Server)
	}
	if c.Handshake != nil {
		c.Handshake(ev.Flow, h)
	}
}
