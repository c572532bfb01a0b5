package http

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Protocol returns HTTP/1 for an Engine: recognized by its first bytes, on any port.
func Protocol(cfg Config) parsers.Protocol[Exchange] {
	return parsers.Protocol[Exchange]{
		Name:   "http",
		Stream: func() parsers.SessionParser[Exchange] { return New(cfg) },
		Probe:  parsers.ByPayload(Probe),
	}
}

// Callbacks is told of messages when their exchange is complete or given up:
// first the request, then the response, then both. A nil one is not wanted.
// What it is given is lent for the call.
//
//	parsers.Run(src, parsers.Config{}, parsers.On(http.Protocol(http.Config{}), http.Callbacks{Request: …}.Handle))
type Callbacks struct {
	Request  func(f *flows.Flow, r *Request)
	Response func(f *flows.Flow, r *Response)
	Exchange func(f *flows.Flow, x *Exchange)
}

// Handle calls the callbacks that ev is for.
func (c Callbacks) Handle(ev parsers.Event[Exchange]) {
	if ev.Kind != parsers.Message {
		return
	}
	x := ev.Message
	if c.Request != nil && x.HasRequest() {
		c.Request(ev.Flow, &x.Request)
	}
	if c.Response != nil && x.HasResponse() {
		c.Response(ev.Flow, &x.Response)
	}
	if c.Exchange != nil {
		c.Exchange(ev.Flow, x)
	}
}
