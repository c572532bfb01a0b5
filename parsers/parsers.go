// Package parsers holds the two contracts that every protocol parser meets,
// and what is common to their use. A protocol is a folder below: it turns one
// flow's bytes (SessionParser) or datagrams (DatagramParser) into messages,
// values of one Go type per protocol.
//
// Parsers are pure, as package flows is: time is an argument. They never
// fail: what is malformed on the wire becomes a message that says so.
// They hold no more than their configured bounds.
//
// Programs take one of these, each over any flows.Source:
//
//   - Messages and Sessions: loops over what one or several protocols say (Any joins their types).
//   - Engine with On: the same as calls, in a packet loop of the caller's.
//   - Conversations: both sides of a TCP flow in their order.
//   - Dispatcher: for who keeps trackers of their own.
//
// A protocol of your own is a parser and a literal of Protocol. README.md in this
// folder is the guide; package parsertest holds a parser to the laws.
package parsers

import "github.com/caplake/caplake/flows"

// Verdict is what a look at the first bytes of a side says about a protocol.
type Verdict uint8

const (
	No    Verdict = iota // the bytes are not of the protocol
	Maybe                // a prefix of it: ask again with more bytes
	Yes                  // they are
)

// SessionParser turns the two ordered byte streams of one flow into messages
// of type M. Bytes, gap and end of a side are separate calls, made in the
// order in which the tracker delivers them.
//
// Every method appends the messages that the call completed to dst and
// returns the extended slice; "need more bytes" is not an error but an empty
// result. What a message refers to (strings, slices) is valid until the next
// call of any method of the parser. The data is lent: a parser keeps no
// reference to it after it returned, and messages point into the parser's own
// memory or into data, which outlives them by the same rule.
type SessionParser[M any] interface {
	// Feed takes the next bytes of side, carried by the packet at.
	Feed(dst []M, side flows.Side, at flows.Stamp, data []byte) []M
	// Gap says that n bytes of side were never captured and none of them
	// will come. at is the packet that made this known.
	Gap(dst []M, side flows.Side, at flows.Stamp, n int64) []M
	// Fin says that side ended its stream in order.
	Fin(dst []M, side flows.Side, at flows.Stamp) []M
	// Rst says that side reset the flow.
	Rst(dst []M, side flows.Side, at flows.Stamp) []M
	// End says that the flow is over (also after Fin and Rst: exactly one End
	// ends every session) and yields what is still pending.
	End(dst []M) []M
	// Done reports that no further bytes can yield a message (encrypted,
	// hopeless, another protocol): the caller may stop feeding. Until End, that is.
	Done() bool
	// Reset makes the parser as new, keeping its memory.
	Reset()
}

// Bounded is a parser that says what it holds, for a caller that bounds what
// the parsers of all flows hold together. Both methods may be called at any time.
type Bounded interface {
	// Held returns about how many bytes of memory the parser takes, what it
	// keeps for later flows included.
	Held() int
	// GivenUp returns how many messages the parser gave out since Reset without
	// what they waited for, because a bound of its own left no room for more.
	GivenUp() int
}

// DatagramParser turns the datagrams of one flow into messages of type M.
// The rules of SessionParser on dst, lent data and the life of messages hold.
type DatagramParser[M any] interface {
	Datagram(dst []M, side flows.Side, at flows.Stamp, data []byte) []M
	// Idle reports that the parser holds nothing of the flow: the caller may
	// reset it and lend it to another, and begin anew with the next datagram.
	Idle() bool
	// End says that the flow is over and yields what is still pending.
	End(dst []M) []M
	Reset()
}
