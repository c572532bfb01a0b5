package schema

import "github.com/caplake/caplake/flows"

// Session is what every row of a flow's messages repeats from the flow, so
// that it can be read without a join.
type Session struct {
	FlowID           int64
	SrcIP, DstIP     string // canonical text (RFC 5952); memory that outlives the row
	SrcPort, DstPort uint16
	TCP              bool
	Turned           bool // src is the side that flows and parsers name the responder; see flows.Flow.Turned
}

// SessionOf returns what the rows of f's messages repeat, as far as it is known now.
func SessionOf(f *flows.Flow, a *Arena) Session {
	v6 := f.Flags&flows.IPv6 != 0
	s := Session{
		FlowID:  f.ID(),
		SrcIP:   a.addr(&f.Src, v6),
		DstIP:   a.addr(&f.Dst, v6),
		SrcPort: f.SrcPort,
		DstPort: f.DstPort,
		TCP:     f.Proto == flows.ProtoTCP,
		Turned:  f.Turned(),
	}
	if f.Turned() {
		s.SrcIP, s.DstIP = s.DstIP, s.SrcIP
		s.SrcPort, s.DstPort = s.DstPort, s.SrcPort
	}
	return s
}

// Side returns what the rows call a side, src or dst.
func (s *Session) Side(side flows.Side) string {
	if side == flows.Responder != s.Turned {
		return "dst"
	}
	return "src"
}
