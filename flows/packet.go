package flows

// Packet is one decoded packet, after decapsulation and defragmentation: what
// a Tracker needs to know of it. It holds no pointers, so that a batch of a
// million is nothing to the garbage collector; the bytes that its offsets
// point into travel beside it.
//
// Offsets count from the start of those bytes:
//
//	Link ≤ Network ≤ Transport ≤ Payload ≤ Payload+PayloadCaptured ≤ len(data)
type Packet struct {
	Time int64    // capture time, nanoseconds since the Unix epoch
	Pos  Position // where it was captured
	Hash uint64   // Hash of the canonical tuple; for an ICMP error, of the quoted packet's

	// The five-tuple as on the wire. Without ports (other protocols) both are
	// zero. ICMP: see ICMPPorts.
	Src, Dst         Addr
	SrcPort, DstPort uint16
	Proto            uint8 // IP protocol number of the transport
	TTL              uint8 // or IPv6 hop limit
	TOS              uint8 // or IPv6 traffic class
	MACs             MACs  // where the MAC addresses are, with HasEthernet

	Flags    PacketFlags
	TCPFlags uint16 // TCP: the low 12 bits of bytes 12-13 (RFC 9293 section 3.1), AE CWR ECE URG ACK PSH RST SYN FIN
	Seq, Ack uint32 // TCP
	Window   uint16 // TCP, as on the wire (unscaled)
	Checksum uint16 // TCP, UDP, ICMP, as on the wire

	WireLen uint32 // length of the frame on the wire, all headers
	IPLen   uint32 // length of the IP datagram by its own header, that header included

	Link      uint32 // offset of the link-layer header
	Network   uint32 // offset of the innermost IP header
	Transport uint32 // offset of the transport header
	Payload   uint32 // offset of the transport's payload

	PayloadLen      uint32 // bytes of payload that the IP header claims, captured or not
	PayloadCaptured uint32 // bytes of it that are in the capture

	VLAN, InnerVLAN uint16 // VLAN identifiers where HasVLAN, HasInnerVLAN
	Fragments       uint16 // number of IP fragments that this datagram was put together from; 0: it was whole
	ICMPType        uint8
	ICMPCode        uint8
	Quote           uint64 // ICMP error: hash of the quoted packet's tuple and direction; otherwise 0, unless SetApart
	Encap           uint32 // 1 + index into the batch's encapsulations; 0: none
	ID              uint16 // identification of the IPv4 datagram; 0 for IPv6
	_               uint16
}

// PacketFlags are facts of one packet.
type PacketFlags uint16

const (
	IPv6            PacketFlags = 1 << iota // addresses are IPv6
	HasEthernet                             // there are MAC addresses at Link, laid out as MACs says
	HasVLAN                                 // VLAN is set
	HasInnerVLAN                            // InnerVLAN is set
	HasPorts                                // SrcPort and DstPort are transport ports
	BadIPChecksum                           // the IPv4 header checksum is wrong
	BadChecksum                             // the transport checksum is wrong (whole datagram captured, not offloaded as 0)
	ICMPError                               // an ICMP error that quotes a packet: Hash and Quote are of that packet
	QuoteReversed                           // ICMP error: the quoted packet's source sorts after its destination
	PayloadCut                              // PayloadCaptured < PayloadLen
	InOverflow                              // offsets point into the batch's overflow (fragments put together, datagrams inflated), not its block
	ChecksumOffload                         // a checksum was left to the network card: it is not computed yet, and neither right nor wrong
	Rewritten                               // BadIPChecksum, and BadChecksum or ChecksumOffload: the checksums are right for other addresses, which were changed after the capture
)

// MACs says where at Packet.Link the MAC addresses of a packet's hosts are.
type MACs uint8

const (
	MACsEthernet MACs = iota // destination, source (IEEE 802.3)
	MACsToDS                 // Link is at address 1 of an IEEE 802.11 frame to the distribution system,
	MACsFromDS               // from it,
	MACsWDS                  // or within it
)

// Offsets returns where from Packet.Link on the six bytes of the destination's
// and of the source's address are.
func (m MACs) Offsets() (dst, src int) {
	switch m {
	case MACsToDS:
		return 12, 6
	case MACsFromDS:
		return 0, 12
	case MACsWDS:
		return 12, 20
	}
	return 0, 6
}

// Len returns how many bytes from Packet.Link on hold the addresses. They are
// all before Packet.Network.
func (m MACs) Len() int {
	if m == MACsEthernet {
		return 14
	}
	return 26
}

// Encap is one layer of encapsulation around a packet, outermost first in a
// batch's list. Layers of one packet are chained by Inner.
type Encap struct {
	Kind     EncapKind
	HasID    bool
	Outer6   bool
	ID       uint64 // VNI, TEID, GRE key, session; where HasID
	Src, Dst Addr   // outer addresses, where the encapsulation is over IP
	HasOuter bool
	Inner    uint32 // 1 + index of the next layer inwards; 0: none
}

// EncapKind names an encapsulation.
type EncapKind uint8

const (
	EncapNone   EncapKind = iota
	EncapIPIP             // IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, RFC 2473, RFC 4213)
	EncapGRE              // RFC 2784, RFC 2890
	EncapVXLAN            // RFC 7348
	EncapGTPU             // 3GPP TS 29.281
	EncapMPLS             // RFC 3032
	EncapPPPoE            // RFC 2516
	EncapTeredo           // RFC 4380
	EncapGeneve           // RFC 8926
	EncapERSPAN
	EncapL2TP
	EncapAH      // RFC 4302; the packet's own transport follows it
	EncapAYIYA   // draft-massar-v6ops-ayiya
	EncapCAPWAP  // RFC 5415, data
	EncapEtherIP // RFC 3378
	EncapPBB     // IEEE 802.1ah
	EncapNSH     // RFC 8300
	EncapLISP    // RFC 9300, data
	EncapTZSP    // TaZmen Sniffer Protocol
	EncapGUE     // draft-ietf-intarea-gue
	EncapLWAPP   // RFC 5412, data
	EncapISL     // Cisco's Inter-Switch Link
	EncapIPComp  // RFC 3173; the packet's own transport follows it, inflated
)

var encapNames = [...]string{"", "ipip", "gre", "vxlan", "gtpu", "mpls", "pppoe", "teredo", "geneve", "erspan", "l2tp", "ah",
	"ayiya", "capwap", "etherip", "pbb", "nsh", "lisp", "tzsp", "gue", "lwapp", "isl", "ipcomp"}

func (k EncapKind) String() string {
	if int(k) < len(encapNames) {
		return encapNames[k]
	}
	return ""
}

// TCP header flags, as in Packet.TCPFlags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE // RFC 9768 (formerly NS)
)

// ICMPPorts returns the pair that stands for ports in the tuple of an ICMP
// packet, so that an answer has its question's pair reversed: (type, type of
// the counterpart) where the type has one, (type, code) otherwise. It is the
// rule of Community ID v1 and of Zeek. oneWay says that the type has no
// counterpart.
func ICMPPorts(v6 bool, typ, code uint8) (src, dst uint16, oneWay bool) {
	var peer uint8
	if v6 {
		switch typ {
		case 128, 129, 133, 134, 135, 136, 144, 145: // echo, router, neighbour, home agent discovery
			switch {
			case typ == 133 || typ == 135:
				peer = typ + 1
			case typ == 134 || typ == 136:
				peer = typ - 1
			default:
				peer = typ ^ 1
			}
		case 130:
			peer = 131
		case 131:
			peer = 130
		case 139:
			peer = 140
		case 140:
			peer = 139
		default:
			return uint16(typ), uint16(code), true
		}
	} else {
		switch typ {
		case 0:
			peer = 8
		case 8:
			peer = 0
		case 13:
			peer = 14
		case 14:
			peer = 13
		case 15:
			peer = 16
		case 16:
			peer = 15
		case 17:
			peer = 18
		case 18:
			peer = 17
		case 10:
			peer = 9
		case 9:
			peer = 10
		default:
			return uint16(typ), uint16(code), true
		}
	}
	return uint16(typ), uint16(peer), false
}
