package http2

import "github.com/caplake/caplake/parsers"

// Protocol returns HTTP/2 in clear text for an Engine: recognized by its first
// bytes, on any port, also after an upgrade from HTTP/1.1 if that is registered too.
func Protocol(cfg Config) parsers.Protocol[Exchange] {
	return parsers.Protocol[Exchange]{
		Name:   "http2",
		Stream: func() parsers.SessionParser[Exchange] { return New(cfg) },
		Probe:  parsers.ByPayload(Probe),
	}
}
