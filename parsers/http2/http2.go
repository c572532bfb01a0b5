// Package http2 turns the two byte streams of a flow that speaks HTTP/2 in
// clear text (RFC 9113) into exchanges: begun with the preface (prior
// knowledge) or after an upgrade from HTTP/1.1.
//
// A connection carries many streams at once, cut into frames:
//
//	+-----------+------+-------+----------------+~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~+
//	| length 24 | type | flags | R | stream 31  | payload of length bytes      |
//	+-----------+------+-------+----------------+~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~+
//
// Payloads are skipped by count, but for header blocks, which are put together
// (HEADERS or PUSH_PROMISE, and CONTINUATION) and decoded by
// golang.org/x/net/http2/hpack. An exchange is a stream: its request with its
// final response, or whichever of them was seen, and is given out when both
// have ended, so exchanges come in the order of their ends.
//
// HPACK has a memory: a field may be a reference to a field sent before. Bytes
// that were never captured may have filled it. What is read after that is still
// right where it refers to the table of the standard or to fields seen since;
// what refers to anything else is left out, and the exchange is marked
// AfterGap. So is the framing found again: see Parser.Gap.
//
// It doesn't read what a CONNECT carries, and doesn't keep trailers.
package http2

import (
	"strings"

	"github.com/caplake/caplake/flows"
)

// Config bounds a Parser and selects what it keeps. The zero value is the
// documented default.
type Config struct {
	// MaxHeaderBytes bounds a header block as sent and, apart from that, what
	// an exchange keeps of each decoded one, in bytes. A block beyond it is not
	// decoded, which is the same to HPACK as a gap. Zero: 64 KiB.
	MaxHeaderBytes int
	// MaxTableBytes bounds the dynamic table of HPACK of each side, whatever
	// the other side's SETTINGS permit. Zero: 64 KiB.
	MaxTableBytes int
	// MaxStreams bounds the streams that are open at a time. One more, and the
	// oldest is given out as it is. Zero: 256.
	MaxStreams int
	// Headers keeps every field of both messages, in order, pseudo-header
	// fields included.
	Headers bool
	// BodyHash and BodyType find out Message.BodySHA256 and Message.BodyType.
	BodyHash, BodyType bool
}

func (c *Config) maxHeader() int  { return orDefault(c.MaxHeaderBytes, 64<<10) }
func (c *Config) maxTable() int   { return orDefault(c.MaxTableBytes, 64<<10) }
func (c *Config) maxStreams() int { return orDefault(c.MaxStreams, 256) }

func orDefault(v, d int) int {
	if v > 0 {
		return v
	}
	return d
}

const maxHeaders = 4096 // fields in a list of Config.Headers

// Exchange is one request and its final response, or whichever was seen.
// Its slices are valid until the next call of any method of the Parser.
type Exchange struct {
	Client flows.Side // the side that sends requests
	// StreamID is the stream's number: odd for a client's request, even for a
	// pushed one (section 5.1.1). Number 1 after an upgrade is the response to
	// the request that was sent as HTTP/1.1.
	StreamID uint32
	Depth    int // the exchange's number in its flow in the order of the beginnings, counted from 1
	Outcome  Outcome
	// AfterGap says that bytes of the exchange were never captured, or bytes
	// before it that fields refer to.
	AfterGap  bool
	Malformed Malformed

	// First and Last are the first and last packet that carried bytes of it.
	First, Last flows.Stamp

	Request  Request
	Response Response
	// Informational are the codes of the 1xx responses before the final one,
	// at most eight, in order.
	Informational []uint16
}

// HasRequest reports whether the request's header section was seen.
func (x *Exchange) HasRequest() bool { return x.Request.Start.Pos != 0 }

// HasResponse reports whether the final response's header section was seen.
func (x *Exchange) HasResponse() bool { return x.Response.Start.Pos != 0 }

// Message is what requests and responses have in common.
type Message struct {
	// Start is the packet of the first byte of the first frame and End that of
	// the last byte of the frame that ends the stream. The zero Stamp: not seen.
	Start, End flows.Stamp
	// HeaderBytes is the length of the header block as sent, compressed.
	HeaderBytes int64
	// ContentLength is the claim of the field of that name; -1: none.
	ContentLength int64
	// BodyBytes is what DATA frames carried, padding left out; bytes lost in a
	// gap count where their number is known.
	BodyBytes int64
	// BodySHA256 is that of the body, content coding not removed, in lower-case
	// hexadecimal; empty unless all of it was seen, and where it is empty.
	BodySHA256 string
	// BodyType is the media type that the body's first 512 bytes are of by
	// themselves (WHATWG MIME Sniffing), without parameters; empty unless these, or all there are, were seen.
	BodyType string

	ContentType     []byte
	ContentEncoding []byte
	Headers         []Header // where Config.Headers; trailers are left out
}

// Request is a request message (section 8.3.1).
type Request struct {
	Message
	Method []byte
	Target []byte // :path; of CONNECT :authority
	Host   []byte // :authority, else the field Host
	// Protocol is :protocol of an extended CONNECT (RFC 8441).
	Protocol     []byte
	UserAgent    []byte
	Referer      []byte
	Origin       []byte
	ForwardedFor []byte // X-Forwarded-For, repeated fields joined by ", "
	Username     []byte // of Basic credentials (RFC 7617), also of a proxy's; never the password
}

// Response is a response message (section 8.3.2).
type Response struct {
	Message
	Status   int // 0: none, or not to be read
	Location []byte
	Server   []byte
}

// Header is one field line.
type Header struct{ Name, Value []byte }

// Outcome says how an exchange ended.
type Outcome uint8

const (
	Complete   Outcome = iota // both messages, to their ends
	NoResponse                // the request only
	NoRequest                 // the response only
	Reset                     // the stream (RST_STREAM) or the flow was reset before both had ended
	Truncated                 // a message was seen in part
	Tunnel                    // CONNECT succeeded: DATA frames carry another protocol
)

// String returns the outcome's name in the http table.
func (o Outcome) String() string {
	return [...]string{"complete", "no_response", "no_request", "reset", "truncated", "tunnel"}[o]
}

// Malformed is the set of rules that an exchange broke. Sections are of RFC 9113.
type Malformed uint32

const (
	BadFrame                 Malformed = 1 << iota // a size or padding that its type forbids (section 6)
	BadHeaderBlock                                 // HPACK cannot decode it, or another frame came amid it (section 4.3)
	BadPseudoHeader                                // unknown, repeated, missing or behind other fields (section 8.3)
	BadFieldName                                   // upper case, or no name (section 8.2.1)
	ConnectionField                                // a field of HTTP/1.1's connections (section 8.2.2)
	BadContentLength                               // not a decimal number
	ConflictingContentLength                       // another number; the first one counts here
	WrongBodyLength                                // DATA frames carried more or less than Content-Length (section 8.1.1)
	StrayFrame                                     // HEADERS or DATA of a message that had ended (section 5.1)
	HeaderTooLarge                                 // the head exceeds Config.MaxHeaderBytes: fields are cut or left out
)

var malformedNames = [...]string{
	"bad_frame", "bad_header_block", "bad_pseudo_header", "bad_field_name", "connection_field", "bad_content_length",
	"conflicting_content_length", "wrong_body_length", "stray_frame", "header_too_large",
}

// String returns the names of the broken rules, joined by commas; "" where
// none was broken.
func (m Malformed) String() string {
	if m == 0 {
		return ""
	}
	var b strings.Builder
	for i, s := range malformedNames {
		if m&(1<<i) != 0 {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(s)
		}
	}
	return b.String()
}
