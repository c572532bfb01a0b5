package flows

// Flow is all that is known of one flow. A Tracker owns it: what a Consumer
// is handed is valid during the call, and a copy of the value (it holds no
// pointers) is valid for good.
//
// Sides are named when the first packet of the capture comes, and keep their
// names for as long as the flow lives, because what was told cannot be told
// again. If it turns out that the capture had its packets in another order than
// the network, Turned says so, and Turn names the sides of a copy anew.
type Flow struct {
	// Identity. Src is the initiator, as far as was known at the first packet: see Turned.
	Src, Dst         Addr
	SrcPort, DstPort uint16
	Proto            uint8
	ICMPType         uint8 // of the earliest packet, where Proto is ICMP
	ICMPCode         uint8
	Basis            DirectionBasis
	Flags            PacketFlags // of the first packet: IPv6, HasPorts, HasEthernet, HasVLAN, HasInnerVLAN, ICMPError
	VLAN, InnerVLAN  uint16      // of the first packet
	SrcMAC, DstMAC   [6]byte     // of the first packet, turned to the flow's direction
	State            ConnState   // of a flow that has ended; where EventState is asked for, up to date always; with the initiator that Basis says
	End              EndReason
	Encap            uint32 // consumer's reference to the first packet's encapsulation; 0: none
	Quote            uint64 // ICMP error: hash of the quoted packet's tuple and direction
	hash             uint64
	tie              uint64 // tells apart flows of the same tuple and first time; see Tracker.tie

	First, Last Stamp // first and last packet in capture order
	FirstTime   int64 // earliest packet time, which is First.Time unless packets are out of order
	LastTime    int64 // latest packet time, likewise

	Sides [2]SideStats

	ICMPErrors    uint32 // ICMP errors that quoted a packet of this flow
	ICMPErrorType uint8  // type and code of the last of them
	ICMPErrorCode uint8
	FirstSide     Side // that sent the first packet in capture order
	NHistory      uint8
	HistoryBuf    [32]byte // Zeek's history: the first NHistory letters

	// User is for the consumer. The tracker keeps it and never reads it.
	User [3]uint64

	private // what only the tracker reads
}

// SideStats counts what one side sent.
type SideStats struct {
	Packets      uint64
	Bytes        uint64 // IP datagrams by their own length, IP header included
	PayloadBytes uint64 // transport payload by the headers' claim, captured or not
	WireBytes    uint64 // frames, link header included

	SizeMin, SizeMax uint32 // IP bytes of a packet
	SizeSumSquares   float64
	FirstTime        int64 // earliest and latest packet time of this side
	LastTime         int64
	IATMin, IATMax   int64 // nanoseconds between packets of this side in capture order; valid from the second packet on
	IATSumSquares    float64
	prevTime         int64 // of this side's latest packet in capture order

	TTLMin, TTLMax uint8
	TOS            uint8  // of the side's first packet; DSCP is its upper six bits
	Rewritten      uint32 // of BadChecksums: those that are right for other addresses, which were changed after the capture
	Fragments      uint64 // IP fragments that this side's datagrams were put together from
	BadChecksums   uint64 // transport checksums; IPv4 header checksums too
	Offloaded      uint64 // packets with a checksum that was left to the network card

	Duplicates            uint64 // packets of this side that were captured before, told by their identification or sequence numbers and their time; they count above too, unless Config.Dedup
	DuplicateBytes        uint64 // their IP bytes
	DuplicatePayloadBytes uint64 // their transport payload
}

// TCP is what is known of a TCP flow beyond what Flow has for all protocols. It is
// kept apart because most flows of a busy network are not TCP.
type TCP struct {
	Sides [2]TCPStats

	SYNTime          int64 // handshake: SYN, SYN-ACK and its ACK, those that Handshake says were seen
	SYNACKTime       int64
	HandshakeACKTime int64
	Handshake        HandshakePackets

	streams [2]stream
}

// HandshakePackets says which packets of a handshake were seen.
type HandshakePackets uint8

const (
	SeenSYN HandshakePackets = 1 << iota
	SeenSYNACK
	SeenHandshakeACK
)

// TCPStats are of one side of a TCP flow.
type TCPStats struct {
	FlagsSeen   uint16    // union of the packets' flags
	FlagCounts  [9]uint32 // packets with FIN, SYN, RST, PSH, ACK, URG, ECE, CWR, AE
	Window      uint16    // first window, unscaled
	MSS         uint16    // where OptMSS
	WindowScale uint8     // where OptWindowScale
	Options     TCPOptions

	ZeroWindows       uint32
	Retransmits       uint64 // segments that carried only bytes already seen
	RetransmitBytes   uint64
	OutOfOrder        uint64 // segments beyond the next expected byte, or that filled such a hole
	Gaps              uint64 // runs of bytes that were never captured
	GapBytes          uint64
	OverlapMismatches uint64 // segments whose overlap with held bytes differs from them

	late uint64 // segments with payload that end at or below what was sent before: Zeek's t
}

// TCPOptions says which options a side's SYN carried.
type TCPOptions uint8

const (
	OptMSS TCPOptions = 1 << iota
	OptWindowScale
	OptSACKPermitted
	OptTimestamps
	OptSYNSeen // a SYN of this side was seen, so that the absence of an option is known
)

// ID returns the flow's identifier: derived from its tuple, protocol and first
// time, so that it is the same whatever the shard count, the number of workers
// or the cut of the packets into files. Where captures overlap, so that packets
// come again after their time, the number of the flow's first packet in the run
// joins in: flows that differ have different identifiers.
func (f *Flow) ID() int64 {
	v := Hash(&f.Src, &f.Dst, f.SrcPort, f.DstPort, f.Proto)
	v = mix(v^uint64(f.First.Time), 0x8ebc6af09c88c6e3^f.tie*0x9e3779b97f4a7c15^f.Quote)
	return int64(v >> 1) // positive: the sign carries nothing and jars in a shell
}

// Turned reports whether Basis says, as far as is known, that the side that was named Responder is the initiator.
func (f *Flow) Turned() bool { return f.marks&markTurned != 0 }

// initiator returns the side that began the flow, as far as is known.
func (f *Flow) initiator() Side {
	if f.Turned() {
		return Responder
	}
	return Initiator
}

// Turn exchanges the sides of f, and of tcp and shape where they are not nil, if
// f is Turned; afterwards it is not. It is for copies, of flows that ended: sides that
// a Tracker named before keep those names with it. See Settle too.
func (f *Flow) Turn(tcp *TCP, shape *Shape) {
	if !f.Turned() {
		return
	}
	f.marks &^= markTurned
	f.Src, f.Dst = f.Dst, f.Src
	f.SrcPort, f.DstPort = f.DstPort, f.SrcPort
	f.SrcMAC, f.DstMAC = f.DstMAC, f.SrcMAC
	f.FirstSide = f.FirstSide.Other()
	f.Sides[0], f.Sides[1] = f.Sides[1], f.Sides[0]
	f.turnHistory()
	if tcp != nil {
		tcp.Sides[0], tcp.Sides[1] = tcp.Sides[1], tcp.Sides[0]
		tcp.streams[0], tcp.streams[1] = tcp.streams[1], tcp.streams[0]
	}
	if shape != nil {
		for i := range shape.Packets {
			p := &shape.Packets[i]
			p.Side = p.Side.Other()
		}
		shape.Payload[0], shape.Payload[1] = shape.Payload[1], shape.Payload[0]
		shape.Entropy[0], shape.Entropy[1] = shape.Entropy[1], shape.Entropy[0]
	}
}

// turnHistory exchanges upper and lower case, and puts Zeek's letter for a flow that
// was turned around before the others.
func (f *Flow) turnHistory() {
	h := f.History()
	for i := range h {
		h[i] ^= 0x20
	}
	f.NHistory = uint8(min(len(h)+1, len(f.HistoryBuf)))
	copy(f.HistoryBuf[1:], h)
	f.HistoryBuf[0] = '^'
}

// History returns Zeek's history letters, in memory of f.
func (f *Flow) History() []byte { return f.HistoryBuf[:f.NHistory] }

// DirectionBasis says what decided who the initiator is.
type DirectionBasis uint8

const (
	ByFirstPacket    DirectionBasis = iota // the sender of the first packet seen
	BySYN                                  // the sender of the SYN
	BySYNACK                               // the receiver of the SYN-ACK
	ByEarliestPacket                       // the sender of the earliest packet, which the capture has behind one of the other side
)

func (b DirectionBasis) String() string {
	return [...]string{"first_packet", "syn", "syn_ack", "earliest_packet"}[b]
}

// EndReason says why a flow ended.
type EndReason uint8

const (
	EndNone EndReason = iota
	EndFIN
	EndRST
	EndIdleTimeout
	EndActiveTimeout
	EndTupleReuse
	EndEvicted
	EndOfInput
)

func (r EndReason) String() string {
	return [...]string{"", "fin", "rst", "idle_timeout", "active_timeout", "tuple_reuse", "evicted", "end_of_input"}[r]
}

// ConnState is Zeek's conn_state.
type ConnState uint8

const (
	StateNone ConnState = iota
	S0                  // SYN, no answer
	S1                  // established, not ended
	SF                  // established and ended by both
	REJ                 // SYN answered by RST
	S2                  // established, initiator closed, responder did not
	S3                  // established, responder closed, initiator did not
	RSTO                // established, initiator reset
	RSTR                // established, responder reset
	RSTOS0              // SYN then RST by the initiator, no SYN-ACK
	RSTRH               // SYN-ACK then RST by the responder, no SYN seen
	SH                  // SYN then FIN by the initiator, no SYN-ACK
	SHR                 // SYN-ACK then FIN by the responder, no SYN seen
	OTH                 // no SYN seen
)

func (s ConnState) String() string {
	return [...]string{"", "S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"}[s]
}
