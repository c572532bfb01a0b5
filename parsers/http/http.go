// Package http turns the two byte streams of a flow into HTTP/1.x exchanges
// (RFC 9110, RFC 9112; HTTP/0.9 as far as it can be told apart).
//
// An exchange is a request with its final response, or whichever of them was
// seen. Heads are read line by line, in place where a line lies in one
// segment; bodies are skipped by count and never held. What an exchange keeps
// is a copy of the fields that have a name here, so a flow costs about a
// kilobyte for each request that waits for its response.
//
// The parser frames as a tolerant recipient does, because a capture shows
// what was sent and not what should have been: a broken rule is recorded in
// Exchange.Malformed and reading goes on. Where the framing is lost (a gap in
// a head, bytes that are no message) it looks for the next line that can
// only be a request or status line, and goes on from there.
//
// It doesn't decode content, doesn't judge it, and doesn't read what follows
// an upgrade or a CONNECT: see Parser.Tunnel.
package http

import (
	"strings"

	"github.com/caplake/caplake/flows"
)

// Config bounds a Parser and selects what it keeps. The zero value is the
// documented default.
type Config struct {
	// MaxHeaderBytes bounds the head of one message: its start line and its
	// header fields, in bytes. What is beyond is read for its framing but not
	// kept, and the exchange is marked HeaderTooLarge. Zero: 64 KiB; the least
	// is 64 bytes.
	MaxHeaderBytes int
	// MaxPending bounds the requests that wait for a response. One more, and
	// the oldest is given out without one. Zero: 32.
	MaxPending int
	// Headers keeps every header field of both messages, in order.
	Headers bool
	// BodyHash and BodyType find out Message.BodySHA256 and Message.BodyType.
	BodyHash, BodyType bool
}

const (
	defaultHeaderBytes = 64 << 10
	defaultPending     = 32
	maxHeaders         = 4096 // fields in a list of Config.Headers
)

// Exchange is one request and its final response, or whichever was seen.
// Its slices are valid until the next call of any method of the Parser.
type Exchange struct {
	Client  flows.Side // the side that sends requests, by content
	Depth   int        // the exchange's number in its flow, counted from 1
	Outcome Outcome
	// AfterGap says that bytes of the exchange were never captured, or that
	// bytes before it were, so that its pairing is an inference.
	AfterGap  bool
	Malformed Malformed

	// First and Last are the first and last packet that carried bytes of it.
	First, Last flows.Stamp

	Request  Request
	Response Response
	// Informational are the codes of the 1xx responses before the final one,
	// at most eight, in order (RFC 9110 section 15.2).
	Informational []uint16
}

// HasRequest reports whether the request line was seen.
func (x *Exchange) HasRequest() bool { return x.Request.Start.Pos != 0 }

// HasResponse reports whether the final response's first line (HTTP/0.9: its
// first byte) was seen.
func (x *Exchange) HasResponse() bool { return x.Response.Start.Pos != 0 }

// Message is what requests and responses have in common. Field values are
// without the white space around them; empty: absent.
type Message struct {
	// Start is the packet of the first byte and End of the last byte, body
	// included. The zero Stamp: not seen.
	Start, End flows.Stamp
	Version    Version
	// HeaderBytes is the length of the head with the empty line that ends it.
	HeaderBytes int64
	// ContentLength is the claim of the field of that name; -1: none.
	ContentLength int64
	// BodyBytes is the length of the body on the wire, chunked coding removed,
	// content coding not; bytes lost in a gap count where their number is known.
	BodyBytes int64
	// BodySHA256 is that of the body, chunked coding removed, content coding not, in lower-case
	// hexadecimal; empty unless all of it was seen, and where it is empty.
	BodySHA256 string
	// BodyType is the media type that the body's first 512 bytes are of by
	// themselves (WHATWG MIME Sniffing), without parameters; empty unless these, or all there are, were seen.
	BodyType string

	ContentType      []byte
	ContentEncoding  []byte
	TransferEncoding []byte // repeated fields joined by ", "
	Upgrade          []byte
	Headers          []Header // where Config.Headers; trailers are left out
}

// Request is a request message (RFC 9112 section 3).
type Request struct {
	Message
	Method []byte
	Target []byte // as sent, in whichever form
	// Host is the Host field; where there is none, the authority of an
	// absolute-form or authority-form target.
	Host         []byte
	UserAgent    []byte
	Referer      []byte
	Origin       []byte
	ForwardedFor []byte // X-Forwarded-For, repeated fields joined by ", "
	Username     []byte // of Basic credentials (RFC 7617), also of a proxy's; never the password
}

// Response is a response message (RFC 9112 section 4).
type Response struct {
	Message
	Status   int // 0: none (HTTP/0.9) or unreadable
	Reason   []byte
	Location []byte
	Server   []byte
}

// Header is one field line. A folded value is joined by single spaces.
type Header struct{ Name, Value []byte }

// Version is a protocol version: 0x11 is HTTP/1.1. Zero is unknown.
type Version uint8

// V09 is the version of a request without one, and of its response.
const V09 Version = 0x09

// String returns the version as "1.1", or "" where it is unknown.
func (v Version) String() string {
	switch v {
	case 0:
		return ""
	case V09:
		return "0.9"
	case 0x10:
		return "1.0"
	case 0x11:
		return "1.1"
	}
	return string([]byte{'0' + byte(v>>4), '.', '0' + byte(v&15)})
}

// Outcome says how an exchange ended.
type Outcome uint8

const (
	Complete   Outcome = iota // both messages, to their ends
	NoResponse                // the request only
	NoRequest                 // the response only
	Reset                     // the flow was reset before the exchange was complete
	Truncated                 // a message was seen in part
	Upgraded                  // 101: the flow goes on with another protocol
	Tunnel                    // CONNECT succeeded: the flow goes on as a tunnel
)

// String returns the outcome's name in the http table.
func (o Outcome) String() string {
	return [...]string{"complete", "no_response", "no_request", "reset", "truncated", "upgraded", "tunnel"}[o]
}

// Malformed is the set of rules that an exchange broke.
type Malformed uint32

const (
	BadRequestLine           Malformed = 1 << iota // white space in or around the target (RFC 9112 section 3)
	BadStatusLine                                  // no readable status code (section 4)
	BadVersion                                     // not HTTP/digit.digit (section 2.3)
	BadHeaderLine                                  // no colon, or no name before it (section 5)
	SpaceBeforeColon                               // section 5.1
	ObsFold                                        // a value over several lines (section 5.2)
	MissingHost                                    // HTTP/1.1 without Host (section 3.2)
	RepeatedHost                                   // section 3.2
	BadContentLength                               // not a decimal number (section 6.3)
	RepeatedContentLength                          // the same number again (section 6.3)
	ConflictingContentLength                       // another number; the first one counts here (section 6.3)
	ContentLengthAndTransfer                       // Content-Length beside Transfer-Encoding, which counts (section 6.3)
	BadTransferEncoding                            // chunked is not the last coding of a request (section 6.3)
	BadChunkSize                                   // the line before a chunk is not of the grammar (section 7.1)
	BadChunkEnd                                    // no CR LF after a chunk's data (section 7.1)
	ShortBody                                      // another message began before the claimed length
	StrayBytes                                     // bytes before the message that belong to none
	HeaderTooLarge                                 // the head exceeds Config.MaxHeaderBytes: fields are cut or left out
	BareCR                                         // a CR within a line of the head (section 2.2)
)

var malformedNames = [...]string{
	"bad_request_line", "bad_status_line", "bad_version", "bad_header_line", "space_before_colon", "obs_fold",
	"missing_host", "repeated_host", "bad_content_length", "repeated_content_length", "conflicting_content_length",
	"content_length_and_transfer_encoding", "bad_transfer_encoding", "bad_chunk_size", "bad_chunk_end", "short_body",
	"stray_bytes", "header_too_large", "bare_cr",
}

// String returns the names of the broken rules, joined by commas; "" where
// none was broken.
func (m Malformed) String() string {
	if m == 0 {
		return ""
	}
	if m&(m-1) == 0 { // the usual case, without an allocation
		for i, s := range malformedNames {
			if m == 1<<i {
				return s
			}
		}
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
