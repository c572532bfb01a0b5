package quic

import "github.com/caplake/caplake/parsers"

// Protocol returns QUIC for an Engine: recognized by its long headers, on any
// port. Its messages hold those of TLS as bytes, for tls.Parser.Messages.
func Protocol(cfg Config) parsers.Protocol[Handshake] {
	return parsers.Protocol[Handshake]{
		Name:     "quic",
		Datagram: func() parsers.DatagramParser[Handshake] { return &Parser{Config: cfg} },
		Probe:    parsers.ByPayload(Probe),
		Begins:   Begins,
	}
}
