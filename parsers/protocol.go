package parsers

import "github.com/caplake/caplake/flows"

// Protocol is all that an Engine needs to know of a protocol: how to tell it
// and how to make its parser. It is a plain value; the packages below return
// theirs from a function named Protocol, and a protocol of your own is a
// literal of one line.
//
// Without Probe and Ports every flow is of the protocol. With Ports alone it
// is a flow that has one of them, at either end. With Probe, that decides, and
// Ports only say whom to ask first.
type Protocol[M any] struct {
	Name string
	// Stream makes a parser for a TCP flow, Datagram one for a UDP flow; nil:
	// the protocol is not spoken that way. An Engine takes parsers again after a
	// Reset.
	Stream   func() SessionParser[M]
	Datagram func() DatagramParser[M]
	Probe    Probe
	Ports    []uint16
	// Begins reports whether a datagram of a flow that speaks the protocol may
	// have something for a parser that knows nothing of the flow (yet, or any
	// more). It keeps protected traffic away from the parsers. nil: every datagram.
	Begins func(data []byte) bool
	// Envelope: what matters comes behind it, as behind a proxy's header. A flow
	// is not named after it.
	Envelope bool
}

// Probe looks at data, the first bytes of a side of a TCP flow or a UDP datagram; f.Proto says which.
// A stream that is Maybe is asked about again when more bytes have come. A datagram that is
// Maybe is passed over, but those after it are asked about, however many there are.
type Probe func(f *flows.Flow, side flows.Side, data []byte) Verdict

// ByPayload makes a Probe of one that looks at bytes alone.
func ByPayload(probe func(data []byte, side flows.Side) Verdict) Probe {
	return func(_ *flows.Flow, side flows.Side, data []byte) Verdict { return probe(data, side) }
}

// Beginner is a parser that wants to know its flow: Begin is called before the
// first bytes, also after each Reset.
type Beginner interface {
	Begin(f *flows.Flow)
}

// Tunneler is a SessionParser whose protocol can hand the flow over to
// another, as HTTP does after CONNECT.
type Tunneler interface {
	// Tunnel reports that it has: what comes is of the other protocol.
	Tunnel() bool
	// Rest returns the bytes of a side that came after the protocol's own and
	// were fed with them. Once Tunnel says yes it is asked at once.
	Rest(side flows.Side) []byte
}

// Finisher is a DatagramParser that can tell that no datagram of its flow can yield a message any
// more, as Done of a SessionParser does.
type Finisher interface {
	Done() bool
}

// Defaults is embedded in a SessionParser that has nothing to do when bytes are
// missing or a side or the flow ends. Feed and Reset are its own to write.
type Defaults[M any] struct{}

func (Defaults[M]) Gap(dst []M, side flows.Side, at flows.Stamp, n int64) []M { return dst }
func (Defaults[M]) Fin(dst []M, side flows.Side, at flows.Stamp) []M          { return dst }
func (Defaults[M]) Rst(dst []M, side flows.Side, at flows.Stamp) []M          { return dst }
func (Defaults[M]) End(dst []M) []M                                           { return dst }
func (Defaults[M]) Done() bool                                                { return false }

// Kind says what an Event is.
type Kind uint8

const (
	Started Kind = iota + 1 // a flow turned out to be of the protocol
	Message                 // its parser gave a message
	Ended                   // no more messages come: Flow.End says why, or is EndNone if the flow goes on
)

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return ""
}

var kindNames = [...]string{"", "started", "message", "ended"}

// Event is a fact of a session: of one protocol on one flow. Every session has one Started and
// one Ended, and its messages in between. Sessions and flows have lives of their own: a parser
// may be done long before its flow is, and a flow may change to another protocol.
//
// What an Event refers to is lent until the handler returns, or the loop comes round.
type Event[M any] struct {
	Kind     Kind
	Side     flows.Side // whose packet brought it about; Ended: the initiator
	Protocol string     // name of the protocol
	At       flows.Stamp
	Flow     *flows.Flow // with its statistics up to now
	Message  *M          // Kind Message
}

// Any is p with messages of any type: each is a *M. Protocols of
// different types can so be in one loop:
//
//	for ev, err := range parsers.Messages(src, parsers.Config{}, parsers.Any(http.Protocol(http.Config{})), parsers.Any(tls.Protocol(tls.Config{}))) {
//		switch m := (*ev.Message).(type) {
//		case *http.Exchange: …
func Any[M any](p Protocol[M]) Protocol[any] {
	q := Protocol[any]{Name: p.Name, Probe: p.Probe, Ports: p.Ports, Begins: p.Begins, Envelope: p.Envelope}
	if p.Stream != nil {
		q.Stream = func() SessionParser[any] { return &anyStream[M]{parser: p.Stream()} }
	}
	if p.Datagram != nil {
		q.Datagram = func() DatagramParser[any] { return &anyDatagram[M]{parser: p.Datagram()} }
	}
	return q
}

type anyStream[M any] struct {
	parser SessionParser[M]
	got    []M
}

func (p *anyStream[M]) take(dst []any, got []M) []any {
	p.got = got
	return appendAny(dst, got)
}

func appendAny[M any](dst []any, got []M) []any {
	for i := range got {
		dst = append(dst, &got[i])
	}
	return dst
}

func (p *anyStream[M]) Feed(dst []any, side flows.Side, at flows.Stamp, data []byte) []any {
	return p.take(dst, p.parser.Feed(p.got[:0], side, at, data))
}
func (p *anyStream[M]) Gap(dst []any, side flows.Side, at flows.Stamp, n int64) []any {
	return p.take(dst, p.parser.Gap(p.got[:0], side, at, n))
}
func (p *anyStream[M]) Fin(dst []any, side flows.Side, at flows.Stamp) []any {
	return p.take(dst, p.parser.Fin(p.got[:0], side, at))
}
func (p *anyStream[M]) Rst(dst []any, side flows.Side, at flows.Stamp) []any {
	return p.take(dst, p.parser.Rst(p.got[:0], side, at))
}
func (p *anyStream[M]) End(dst []any) []any { return p.take(dst, p.parser.End(p.got[:0])) }
func (p *anyStream[M]) Done() bool          { return p.parser.Done() }
func (p *anyStream[M]) Reset()              { p.parser.Reset() }

func (p *anyStream[M]) inner() any          { return p.parser }
func (p *anyStream[M]) Begin(f *flows.Flow) { begin(p.parser, f) }
func (p *anyStream[M]) Tunnel() bool {
	t, ok := p.parser.(Tunneler)
	return ok && t.Tunnel()
}
func (p *anyStream[M]) Rest(side flows.Side) []byte { return p.parser.(Tunneler).Rest(side) }

type anyDatagram[M any] struct {
	parser DatagramParser[M]
	got    []M
}

func (p *anyDatagram[M]) Datagram(dst []any, side flows.Side, at flows.Stamp, data []byte) []any {
	p.got = p.parser.Datagram(p.got[:0], side, at, data)
	return appendAny(dst, p.got)
}
func (p *anyDatagram[M]) End(dst []any) []any {
	p.got = p.parser.End(p.got[:0])
	return appendAny(dst, p.got)
}
func (p *anyDatagram[M]) Idle() bool          { return p.parser.Idle() }
func (p *anyDatagram[M]) Done() bool          { return finished(p.parser) }
func (p *anyDatagram[M]) Reset()              { p.parser.Reset() }
func (p *anyDatagram[M]) inner() any          { return p.parser }
func (p *anyDatagram[M]) Begin(f *flows.Flow) { begin(p.parser, f) }

func finished(parser any) bool {
	d, ok := parser.(Finisher)
	return ok && d.Done()
}

func begin(parser any, f *flows.Flow) {
	if b, ok := parser.(Beginner); ok {
		b.Begin(f)
	}
}
