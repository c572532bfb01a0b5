package proxy

import "github.com/caplake/caplake/parsers"

// SOCKS returns SOCKS 4 and 5 for an Engine. What comes behind their
// negotiation is found by the other protocols that are registered.
func SOCKS() parsers.Protocol[Message] {
	return parsers.Protocol[Message]{
		Name:   "socks",
		Stream: func() parsers.SessionParser[Message] { return new(Parser) },
		Probe:  parsers.ByPayload(ProbeSOCKS),
	}
}

// PROXY returns the PROXY protocol for an Engine. A flow is named after what
// comes behind its header, which is found by the other protocols that are registered.
func PROXY() parsers.Protocol[Message] {
	return parsers.Protocol[Message]{
		Name:     "proxy",
		Stream:   func() parsers.SessionParser[Message] { return new(Parser) },
		Probe:    parsers.ByPayload(ProbePROXY),
		Envelope: true,
	}
}
