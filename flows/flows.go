// Package flows turns decoded packets into flows: bidirectional exchanges
// with a life (state, history, end), statistics per side, and each side's
// bytes in order.
//
// It is pure. It opens nothing, reads no clock and starts no goroutine: time
// is what the packets say, so the same packets in the same order always give
// the same flows. It imports the standard library alone, so that whoever
// has packets from elsewhere can use it without what reads captures.
//
// A program begins with Events, a loop over what happens to the flows of a Source: their
// lives, their packets, their bytes in order, as EventConfig asks. A Key of its own says what a
// flow is. Below it are a Driver, which runs a Tracker over packets and ends flows as time
// goes on, and the Tracker itself, which tells a Consumer: for who calls with packets, or has many shards.
//
// Times are nanoseconds since the Unix epoch, durations nanoseconds; sizes are bytes.
package flows

// Side is one end of a flow, and the direction of what that end sends.
type Side uint8

const (
	Initiator Side = 0 // the end that opened the flow
	Responder Side = 1 // the other end
)

// Other returns the opposite side.
func (s Side) Other() Side { return s ^ 1 }

func (s Side) String() string {
	if s == Initiator {
		return "initiator"
	}
	return "responder"
}

// Position says where a packet was captured: the input (capture file) and the
// packet's number in it, both counted from 1, as one number that sorts in
// the order in which a run reads packets. The zero Position is no packet.
//
//	input 22 bits | packet 38 bits | part 4 bits
//
// A captured packet may hold several datagrams (the subframes of an IEEE 802.11 A-MSDU). Each of them is a
// Packet of its own, and the part, counted from 0, tells them apart.
type Position uint64

const (
	positionPartBits   = 4
	positionPacketBits = 38
	positionInputShift = positionPacketBits + positionPartBits
)

// Bounds of what positions tell apart.
const (
	MaxInputs = 1<<(64-positionInputShift) - 1 // inputs of a run
	MaxParts  = 1 << positionPartBits          // datagrams of a captured packet
)

// NewPosition returns the position of packet number packet of input number
// input, both counted from 1.
func NewPosition(input uint32, packet uint64) Position {
	return Position(uint64(input)<<positionInputShift | packet&(1<<positionPacketBits-1)<<positionPartBits)
}

// At returns the position of datagram number part, counted from 0 and less than
// MaxParts, of the packet at p.
func (p Position) At(part int) Position {
	return p&^(MaxParts-1) | Position(part)&(MaxParts-1)
}

// Input returns the input's number, counted from 1.
func (p Position) Input() uint32 { return uint32(p >> positionInputShift) }

// Packet returns the packet's number within its input, counted from 1, as
// Wireshark numbers frames.
func (p Position) Packet() uint64 { return uint64(p) >> positionPartBits & (1<<positionPacketBits - 1) }

// Part returns which of the packet's datagrams is meant, counted from 0.
func (p Position) Part() int { return int(p & (MaxParts - 1)) }

// Stamp says when and where something was seen: the capture time in
// nanoseconds since the Unix epoch (UTC), and the packet that carried it.
type Stamp struct {
	Time int64
	Pos  Position
}

// Addr is an IP address in 16 bytes; an IPv4 address is IPv4-mapped
// (::ffff:a.b.c.d). Packet and Flow say of which version their addresses are.
type Addr [16]byte

// Is4 reports whether a has the form of an IPv4-mapped address.
func (a *Addr) Is4() bool {
	return a[0] == 0 && a[1] == 0 && a[2] == 0 && a[3] == 0 && a[4] == 0 && a[5] == 0 &&
		a[6] == 0 && a[7] == 0 && a[8] == 0 && a[9] == 0 && a[10] == 0xff && a[11] == 0xff
}

// IP protocol numbers (IANA protocol-numbers) that this package treats apart.
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
	ProtoSCTP   = 132
)
