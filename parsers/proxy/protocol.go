package proxy

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Protocol returns SOCKS and the PROXY protocol for an Engine. What comes
// behind them is found by the other protocols that are registered.
func Protocol() parsers.Protocol[Message] {
	return parsers.Protocol[Message]{
		Name:   "proxy",
		Stream: func() parsers.SessionParser[Message] { return new(Parser) },
		Probe: parsers.ByPayload(func(data []byte, side flows.Side) parsers.Verdict {
			return max(ProbeSOCKS(data, side), ProbePROXY(data, side))
		}),
	}
}
