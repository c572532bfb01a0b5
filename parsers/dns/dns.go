// Package dns decodes DNS messages (RFC 1035 and what followed) and pairs
// queries with their responses: the datagrams of a flow by UDP, the messages
// in a flow's byte streams by TCP. Multicast DNS (RFC 6762) and LLMNR (RFC
// 4795) are the same messages under another Service.
//
// Decoding never fails. A message that breaks a rule is a Transaction that
// says which, with what was decoded before the damage. Only the first broken
// rule is told.
//
// # Text
//
// Names and record data are in the presentation format of zone files (RFC
// 1035 section 5.1 and the RFC of each type), as BIND's tools print them, but
// for one thing: a name has no final dot, save the root, which is ".". In a
// label the characters " $ ( ) . ; @ \ are escaped by a backslash; blanks and
// whatever is not printable ASCII is \DDD, so that the text is always ASCII
// and says exactly which bytes were on the wire. Hexadecimal is upper case.
// Data of a type that the registry gives no format, or that does not fit its
// format, is in the form of RFC 3597: \# LENGTH HEX.
//
// # Bounds
//
// A flow holds at most 256 queries (Config) that wait for a response, and 64 KiB of
// them; the oldest goes first. A query waits no longer than a minute of packet
// time. Nor does a response without query, of which there are at most 16 and 16 KiB: a capture
// whose packets are in a wrong order has its query behind it, with an earlier time. Of a stream at most one message a side is held. The text of
// one message is held to 4 KiB and 16 times the message's length.
package dns

import "github.com/caplake/caplake/flows"

// Service says which of the protocols that share DNS's messages a flow
// speaks. The bytes do not tell; the ports do.
type Service uint8

const (
	DNS   Service = iota
	MDNS          // multicast DNS, port 5353
	LLMNR         // link-local multicast name resolution, port 5355
)

func (s Service) String() string { return [...]string{"dns", "mdns", "llmnr"}[s] }

// ServiceOf returns the service of a flow with the two ports.
func ServiceOf(a, b uint16) Service {
	switch {
	case a == 53 || b == 53:
		return DNS
	case a == 5353 || b == 5353:
		return MDNS
	case a == 5355 || b == 5355:
		return LLMNR
	}
	return DNS
}

// Outcome says which messages of a transaction were seen.
type Outcome uint8

const (
	Answered   Outcome = iota // a query and its response
	NoResponse                // a query alone
	NoQuery                   // a response alone
)

func (o Outcome) String() string { return [...]string{"answered", "no_response", "no_query"}[o] }

// Malformed names the first rule that a message breaks.
type Malformed uint8

const (
	WellFormed     Malformed = iota
	BadHeader                // shorter than the header's 12 bytes
	Truncated                // ends inside a name, question or record
	BadCounts                // ends at a record's end, with fewer records than the header claims
	LabelType                // a label of a reserved type (RFC 1035 section 4.1.4, RFC 6891 section 5)
	NameTooLong              // more than 255 bytes
	PointerForward           // a compression pointer that does not point backwards
	PointerHeader            // a compression pointer into the header
	PointerLoop              // more than 127 compression pointers in one name
	BadRdata                 // record data that does not fit its type's format
	BadEDNS                  // an OPT record in the wrong place, a second one, or one that does not parse
	TextLimit                // its text exceeds what is kept of one message; the records from there on are missing
	Trailing                 // bytes after the last record
	TCPLength                // the stream's length prefix is shorter than a header
	StreamGap                // bytes inside the message were never captured
)

var malformedNames = [...]string{
	"", "header", "truncated", "counts", "label_type", "name_too_long", "pointer_forward",
	"pointer_header", "pointer_loop", "rdata", "edns", "text_limit", "trailing", "tcp_length", "gap",
}

func (m Malformed) String() string { return malformedNames[m] }

// Bits of a message header's second 16 bits (RFC 1035 section 4.1.1, RFC 4035
// section 3).
const (
	FlagQR = 0x8000 // response
	FlagAA = 0x0400 // authoritative answer
	FlagTC = 0x0200 // truncated
	FlagRD = 0x0100 // recursion desired
	FlagRA = 0x0080 // recursion available
	FlagZ  = 0x0040 // reserved
	FlagAD = 0x0020 // authentic data
	FlagCD = 0x0010 // checking disabled
)

// Transaction is a query with its response, or whichever was seen. The
// slices are in memory of the parser, valid until its next call.
type Transaction struct {
	Service Service
	Outcome Outcome
	// Querier is the side that sent the query, or to which a lone response
	// was sent.
	Querier   flows.Side
	Malformed Malformed // of the query; of the response where the query is well-formed
	// AfterGap says that bytes of a message of it, or of the stream just before, were never captured; or,
	// of a query without response, of the stream in which that would have come.
	AfterGap bool

	// First and last packet of each message; zero where it was not seen. A
	// datagram has one. LastQuery is the packet of the last retransmission.
	Query, QueryEnd, LastQuery flows.Stamp
	Response, ResponseEnd      flows.Stamp

	QueryRetransmits uint32
	// Bytes of the messages, without a stream's length prefix. Of a message
	// that was cut by the stream's end or a gap, what its prefix claims.
	QueryBytes, ResponseBytes int32

	// HasHeader says that what follows is known: a message of less than 12
	// bytes has none of it.
	HasHeader     bool
	Opcode        uint8 // of the query, else of the response
	ID            uint16
	QueryFlags    uint16 // header bits, Flag*; 0 without query
	ResponseFlags uint16 // 0 without response
	Rcode         uint16 // of the response, extended by its OPT record (RFC 6891 section 6.1.3)

	// The first question, of the query, else of the response.
	HasQuestion     bool
	UnicastResponse bool   // mDNS: the class's top bit, by which the sender wants a unicast response (RFC 6762 section 5.4)
	QType, QClass   uint16 // QClass without that bit
	// QName is the name in presentation format and lower case: text in bytes, for string(t.QName) or %s. QNameRaw is
	// nil unless it differs: the name in the case of the wire, with blanks
	// and valid UTF-8 as they are (escaped are only \ and . inside a label, and
	// what is not text).
	QName, QNameRaw []byte

	// Records are those of the response; those of the query where there is no
	// response, and where the opcode is UPDATE or NOTIFY, whose queries carry
	// the records. OPT records are not among them. Counts are what
	// the same message's header claims: questions, answers, authorities,
	// additionals.
	Counts                            [4]uint16
	Answers, Authorities, Additionals []Record

	// The OPT records of both messages; nil: none. They live as long as the slices.
	QueryEDNS, ResponseEDNS *EDNS
}

// Record is one resource record. Name and Data are text in bytes, as Transaction.QName.
type Record struct {
	Name  []byte // presentation format, in the case of the wire
	Data  []byte // presentation format; empty where the record has no data (UPDATE) or the message is cut inside it
	TTL   uint32 // seconds
	Type  uint16
	Class uint16 // mDNS: without the cache-flush bit
}

// EDNS is what an OPT record says (RFC 6891).
type EDNS struct {
	Version uint8
	DO      bool   // DNSSEC OK (RFC 3225)
	UDPSize uint16 // the sender's largest datagram, bytes
	// Options are the option codes, in order.
	Options []uint16
	// ClientSubnet is ADDRESS/PREFIX (RFC 7871), nil where absent.
	ClientSubnet []byte
	Scope        uint8  // the client subnet's scope prefix length
	Cookie       []byte // lower-case hexadecimal (RFC 7873)
	NSID         []byte // text, what is no valid UTF-8 or a control character as \DDD (RFC 5001)
	Errors       []ExtendedError
}

// ExtendedError is an extended DNS error (RFC 8914).
type ExtendedError struct {
	Code uint16
	Text []byte // as NSID; nil where absent
}
