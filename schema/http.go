package schema

import (
	"unicode"
	"unicode/utf8"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/http"
)

// HTTP is a row of the http table: one exchange of HTTP/1.x, or of HTTP/2 in clear text.
type HTTP struct {
	FlowID  int64  `parquet:"flow_id,uncompressed" id:"1" bloom:"yes" doc:"flow that carried the messages (table flows)"`
	TS      int64  `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"request_ts, or response_ts where the request was not seen; UTC"`
	SrcIP   string `parquet:"src_ip,dict" id:"3" bloom:"yes" doc:"address of the flow's initiator, which is the HTTP client unless client_side says dst"`
	SrcPort int32  `parquet:"src_port,delta" id:"4" doc:"port of the flow's initiator"`
	DstIP   string `parquet:"dst_ip,dict" id:"5" bloom:"yes" doc:"address of the flow's responder"`
	DstPort int32  `parquet:"dst_port,dict" id:"6" doc:"port of the flow's responder"`

	Outcome    string `parquet:"outcome,dict" id:"7" doc:"how the exchange ended: complete; no_response, no_request (the other message alone was seen); reset (the flow or the HTTP/2 stream was, before the end); truncated (a message was seen in part); upgraded (101) and tunnel (CONNECT): the flow goes on with another protocol"`
	ClientSide string `parquet:"client_side,dict" id:"8" doc:"which end sent the request, by content: src or dst"`
	TransDepth int32  `parquet:"trans_depth,delta" id:"9" doc:"number of the exchange in its flow, counted from 1"`
	StreamID   *int64 `parquet:"stream_id,optional" id:"50" doc:"HTTP/2: number of the stream, odd for what a client asked, even for what a server pushed; NULL: not HTTP/2. After an upgrade, stream 1 is the response to the request of the row with outcome upgraded"`
	AfterGap   bool   `parquet:"after_gap" id:"10" doc:"bytes of the exchange, or just before it, were not captured: values may be missing, and which request belongs to which response is inferred"`
	Malformed  string `parquet:"malformed,optional,dict" id:"11" doc:"rules that the messages broke, joined by commas: bad_request_line (white space in the target), bad_status_line, bad_version, bad_header_line (no colon), space_before_colon, obs_fold, missing_host, repeated_host, bad_content_length, repeated_content_length, conflicting_content_length (the first one counts), content_length_and_transfer_encoding (the latter counts), bad_transfer_encoding, bad_chunk_size (the line before a chunk), bad_chunk_end (no CR LF after it), short_body (the next message began before the claimed length), stray_bytes (before the message), header_too_large (fields beyond the bound are cut or left out), bare_cr (within a line of the head). HTTP/2: bad_frame (size or padding), bad_header_block (HPACK), bad_pseudo_header, bad_field_name, connection_field (of HTTP/1.1), wrong_body_length, stray_frame (after the end), and those of HTTP/1.x that apply"`

	RequestTS     *int64 `parquet:"request_ts,optional,timestamp(nanosecond:local)" id:"12" doc:"time of the packet with the request's first byte, UTC; NULL: no request seen"`
	RequestEndTS  *int64 `parquet:"request_end_ts,optional,timestamp(nanosecond:local)" id:"13" doc:"time of the packet with the request's last byte, body included; NULL: not seen"`
	ResponseTS    *int64 `parquet:"response_ts,optional,timestamp(nanosecond:local)" id:"14" doc:"time of the packet with the final response's first byte; NULL: no final response seen"`
	ResponseEndTS *int64 `parquet:"response_end_ts,optional,timestamp(nanosecond:local)" id:"15" doc:"time of the packet with the response's last byte, body included; NULL: not seen"`

	Method          string  `parquet:"method,optional,dict" id:"16" doc:"method, as sent"`
	Target          string  `parquet:"target,optional" id:"17" doc:"request target in the form sent: path and query, absolute URI, authority or asterisk; HTTP/2: :path, of CONNECT :authority; bytes that are not printable UTF-8 as \\xHH, as in all texts of this table"`
	Host            string  `parquet:"host,optional,dict" id:"18" bloom:"yes" doc:"field Host, as sent; where there is none, the authority of the target; HTTP/2: :authority, else field Host"`
	Version         string  `parquet:"version,optional,dict" id:"19" doc:"protocol version of the request, or of the response where the request was not seen: 0.9, 1.0, 1.1, 2"`
	ResponseVersion string  `parquet:"response_version,optional,dict" id:"20" doc:"protocol version of the response"`
	Status          *int32  `parquet:"status,optional,dict" id:"21" doc:"status code of the final response; NULL where it has none or it cannot be read"`
	Reason          string  `parquet:"reason,optional,dict" id:"22" doc:"reason phrase"`
	Informational   []int32 `parquet:"informational,optional,list" id:"23" doc:"status codes of the 1xx responses before the final one, at most eight"`

	UserAgent               string `parquet:"user_agent,optional,dict" id:"24" doc:"request field User-Agent"`
	Referer                 string `parquet:"referer,optional" id:"25" doc:"request field Referer"`
	Origin                  string `parquet:"origin,optional,dict" id:"26" doc:"request field Origin"`
	XForwardedFor           string `parquet:"x_forwarded_for,optional,dict" id:"27" doc:"request field X-Forwarded-For, repeated fields joined by a comma and a space"`
	Username                string `parquet:"username,optional,dict" id:"28" doc:"user of the request's Basic credentials (Authorization, else Proxy-Authorization)"`
	RequestContentType      string `parquet:"request_content_type,optional,dict" id:"29" doc:"request field Content-Type"`
	RequestContentEncoding  string `parquet:"request_content_encoding,optional,dict" id:"30" doc:"request field Content-Encoding"`
	RequestTransferEncoding string `parquet:"request_transfer_encoding,optional,dict" id:"31" doc:"request field Transfer-Encoding, repeated fields joined by a comma and a space"`
	Upgrade                 string `parquet:"upgrade,optional,dict" id:"32" doc:"field Upgrade of a 101 response, or of the request: the protocol offered or, where outcome is upgraded, the one in use; HTTP/2: :protocol of an extended CONNECT (RFC 8441)"`
	ResponseContentType     string `parquet:"response_content_type,optional,dict" id:"33" doc:"response field Content-Type"`
	ContentEncoding         string `parquet:"content_encoding,optional,dict" id:"34" doc:"response field Content-Encoding"`
	TransferEncoding        string `parquet:"transfer_encoding,optional,dict" id:"35" doc:"response field Transfer-Encoding, repeated fields joined by a comma and a space"`
	Location                string `parquet:"location,optional" id:"36" doc:"response field Location"`
	Server                  string `parquet:"server,optional,dict" id:"37" doc:"response field Server"`

	RequestHeaderBytes    *int64       `parquet:"request_header_bytes,optional" id:"38" doc:"bytes of the request's head: start line, fields, empty line; HTTP/2: of its header block as sent, compressed"`
	RequestContentLength  *int64       `parquet:"request_content_length,optional" id:"39" doc:"what field Content-Length of the request claims; NULL: no such field or not a number"`
	RequestBodyBytes      *int64       `parquet:"request_body_bytes,optional" id:"40" doc:"bytes of the request's body on the wire, chunked coding removed and content coding not, as far as seen; counts bytes that were not captured where their number is known"`
	ResponseHeaderBytes   *int64       `parquet:"response_header_bytes,optional" id:"41" doc:"bytes of the final response's head: start line, fields, empty line; HTTP/2: of its header block as sent, compressed"`
	ResponseContentLength *int64       `parquet:"response_content_length,optional" id:"42" doc:"what field Content-Length of the final response claims; NULL: no such field or not a number"`
	ResponseBodyBytes     *int64       `parquet:"response_body_bytes,optional" id:"43" doc:"bytes of the final response's body on the wire, chunked coding removed and content coding not, as far as seen; counts bytes that were not captured where their number is known"`
	RequestHeaders        []HTTPHeader `parquet:"request_headers,optional,list" id:"44" doc:"fields of the request in order; option"`
	ResponseHeaders       []HTTPHeader `parquet:"response_headers,optional,list" id:"45" doc:"fields of the final response in order; option"`

	RequestBodySHA256  string `parquet:"request_body_sha256,optional,uncompressed" id:"51" bloom:"yes" doc:"SHA-256 of the request's body in lower-case hex, chunked coding removed and content coding not; NULL: no body, not all of it was seen, or not asked for; option"`
	RequestBodyMIME    string `parquet:"request_body_mime,optional,dict" id:"52" doc:"media type of the request's body by its first 512 bytes alone (WHATWG MIME Sniffing), content coding not removed; NULL: no body, these bytes were not seen, or not asked for; option"`
	ResponseBodySHA256 string `parquet:"response_body_sha256,optional,uncompressed" id:"53" bloom:"yes" doc:"SHA-256 of the response's body in lower-case hex, chunked coding removed and content coding not; NULL: no body, not all of it was seen, or not asked for; option"`
	ResponseBodyMIME   string `parquet:"response_body_mime,optional,dict" id:"54" doc:"media type of the response's body by its first 512 bytes alone (WHATWG MIME Sniffing), content coding not removed; NULL: no body, these bytes were not seen, or not asked for; option"`

	CaptureID     int32 `parquet:"capture_id,delta" id:"46" doc:"input of the first packet of the exchange (table captures)"`
	FirstPacket   int64 `parquet:"first_packet,delta" id:"47" doc:"number of that packet in its input, counted from 1"`
	LastCaptureID int32 `parquet:"last_capture_id,delta" id:"48" doc:"input of the last packet of the exchange"`
	LastPacket    int64 `parquet:"last_packet,delta" id:"49" doc:"number of that packet in its input, counted from 1"`
}

// HTTPHeader is an element of the field lists of an http row.
type HTTPHeader struct {
	Name  string `parquet:"name,dict" id:"1" doc:"field name in the case of the wire"`
	Value string `parquet:"value" id:"2" doc:"field value without white space around it; a folded one joined by single spaces"`
}

// HTTPOptions turn on what a row of the http table does not have by default.
type HTTPOptions struct {
	Headers bool // request_headers, response_headers, where the parser kept them
}

// AppendHTTP appends the row of an exchange.
func AppendHTTP(dst []HTTP, m *http.Exchange, s *Session, a *Arena, options HTTPOptions) []HTTP {
	dst = append(dst, HTTP{})
	r := &dst[len(dst)-1]
	r.FlowID, r.TS = s.FlowID, m.First.Time
	r.SrcIP, r.SrcPort, r.DstIP, r.DstPort = s.SrcIP, int32(s.SrcPort), s.DstIP, int32(s.DstPort)
	r.CaptureID, r.FirstPacket = int32(m.First.Pos.Input()), int64(m.First.Pos.Packet())
	r.LastCaptureID, r.LastPacket = int32(m.Last.Pos.Input()), int64(m.Last.Pos.Packet())

	r.Outcome = m.Outcome.String()
	r.ClientSide = s.Side(m.Client)
	r.TransDepth, r.AfterGap, r.Malformed = int32(m.Depth), m.AfterGap, m.Malformed.String()
	if n := len(m.Informational); n > 0 {
		r.Informational = Slice(&a.i32, n)
		for i, code := range m.Informational {
			r.Informational[i] = int32(code)
		}
	}
	// From the last to the first, so that ts is the request's where there is one.
	if m.HasResponse() {
		r.response(&m.Response, a, options)
	}
	if m.HasRequest() {
		r.request(&m.Request, a, options)
	}
	if m.Response.Status == 101 && len(m.Response.Upgrade) > 0 {
		r.Upgrade = a.httpText(m.Response.Upgrade)
	}
	return dst
}

func (r *HTTP) request(q *http.Request, a *Arena, options HTTPOptions) {
	r.TS = q.Start.Time
	r.RequestTS, r.RequestEndTS = a.httpTime(q.Start), a.httpTime(q.End)
	r.Method, r.Target, r.Host = a.httpText(q.Method), a.httpText(q.Target), a.httpText(q.Host)
	r.Version = q.Version.String()
	r.UserAgent, r.Referer, r.Origin = a.httpText(q.UserAgent), a.httpText(q.Referer), a.httpText(q.Origin)
	r.XForwardedFor, r.Username = a.httpText(q.ForwardedFor), a.httpText(q.Username)
	r.RequestContentType = a.httpText(q.ContentType)
	r.RequestContentEncoding = a.httpText(q.ContentEncoding)
	r.RequestTransferEncoding = a.httpText(q.TransferEncoding)
	r.Upgrade = a.httpText(q.Upgrade)
	r.RequestHeaderBytes, r.RequestBodyBytes = a.Int64(q.HeaderBytes), a.Int64(q.BodyBytes)
	if q.ContentLength >= 0 {
		r.RequestContentLength = a.Int64(q.ContentLength)
	}
	r.RequestBodySHA256, r.RequestBodyMIME = q.BodySHA256, q.BodyType
	if options.Headers {
		r.RequestHeaders = a.httpList(q.Headers)
	}
}

func (r *HTTP) response(p *http.Response, a *Arena, options HTTPOptions) {
	r.TS = p.Start.Time
	r.ResponseTS, r.ResponseEndTS = a.httpTime(p.Start), a.httpTime(p.End)
	r.ResponseVersion = p.Version.String()
	r.Version = r.ResponseVersion
	if p.Status != 0 {
		r.Status = a.Int32(int32(p.Status))
	}
	r.Reason = a.httpText(p.Reason)
	r.ResponseContentType = a.httpText(p.ContentType)
	r.ContentEncoding, r.TransferEncoding = a.httpText(p.ContentEncoding), a.httpText(p.TransferEncoding)
	r.Location, r.Server = a.httpText(p.Location), a.httpText(p.Server)
	r.ResponseHeaderBytes, r.ResponseBodyBytes = a.Int64(p.HeaderBytes), a.Int64(p.BodyBytes)
	if p.ContentLength >= 0 {
		r.ResponseContentLength = a.Int64(p.ContentLength)
	}
	r.ResponseBodySHA256, r.ResponseBodyMIME = p.BodySHA256, p.BodyType
	if options.Headers {
		r.ResponseHeaders = a.httpList(p.Headers)
	}
}

// httpTime returns the time of a packet, nil for none.
func (a *Arena) httpTime(at flows.Stamp) *int64 {
	if at.Pos == 0 {
		return nil
	}
	return a.Int64(at.Time)
}

func (a *Arena) httpList(list []http.Header) []HTTPHeader {
	if len(list) == 0 {
		return nil
	}
	out := Slice(&a.httpHeaders, len(list))
	for i := range list {
		out[i] = HTTPHeader{a.httpText(list[i].Name), a.httpText(list[i].Value)}
	}
	return out
}

// httpText returns b as printable UTF-8. HTTP allows any byte in values and
// says nothing of their charset (RFC 9110 section 5.5).
func (a *Arena) httpText(b []byte) string {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return a.String(appendHTTPText(make([]byte, 0, 4*len(b)), b))
		}
	}
	return a.String(b)
}

func appendHTTPText(dst, b []byte) []byte {
	for len(b) > 0 {
		c, n := utf8.DecodeRune(b)
		if c == utf8.RuneError && n == 1 || !unicode.IsPrint(c) {
			for _, v := range b[:n] {
				dst = append(dst, '\\', 'x', upperHex[v>>4], upperHex[v&15])
			}
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

const upperHex = "0123456789ABCDEF"
