package schema

import (
	"github.com/caplake/caplake/parsers/http2"
)

// AppendHTTP2 appends the row of an exchange of HTTP/2.
func AppendHTTP2(dst []HTTP, m *http2.Exchange, s *Session, a *Arena, options HTTPOptions) []HTTP {
	dst = append(dst, HTTP{})
	r := &dst[len(dst)-1]
	r.FlowID, r.TS = s.FlowID, m.First.Time
	r.SrcIP, r.SrcPort, r.DstIP, r.DstPort = s.SrcIP, int32(s.SrcPort), s.DstIP, int32(s.DstPort)
	r.CaptureID, r.FirstPacket = int32(m.First.Pos.Input()), int64(m.First.Pos.Packet())
	r.LastCaptureID, r.LastPacket = int32(m.Last.Pos.Input()), int64(m.Last.Pos.Packet())

	r.Outcome = m.Outcome.String()
	r.ClientSide = s.Side(m.Client)
	r.TransDepth, r.AfterGap, r.Malformed = int32(m.Depth), m.AfterGap, m.Malformed.String()
	r.StreamID = a.Int64(int64(m.StreamID))
	if n := len(m.Informational); n > 0 {
		r.Informational = Slice(&a.i32, n)
		for i, code := range m.Informational {
			r.Informational[i] = int32(code)
		}
	}
	r.Version = "2"
	if m.HasResponse() {
		r.response2(&m.Response, a, options)
	}
	if m.HasRequest() { // after the response, so that ts is the request's
		r.request2(&m.Request, a, options)
	}
	return dst
}

func (r *HTTP) request2(q *http2.Request, a *Arena, options HTTPOptions) {
	r.TS = q.Start.Time
	r.RequestTS, r.RequestEndTS = a.httpTime(q.Start), a.httpTime(q.End)
	r.Method, r.Target, r.Host = a.httpText(q.Method), a.httpText(q.Target), a.httpText(q.Host)
	r.UserAgent, r.Referer, r.Origin = a.httpText(q.UserAgent), a.httpText(q.Referer), a.httpText(q.Origin)
	r.XForwardedFor, r.Username = a.httpText(q.ForwardedFor), a.httpText(q.Username)
	r.RequestContentType, r.RequestContentEncoding = a.httpText(q.ContentType), a.httpText(q.ContentEncoding)
	r.Upgrade = a.httpText(q.Protocol)
	r.RequestHeaderBytes, r.RequestBodyBytes = a.Int64(q.HeaderBytes), a.Int64(q.BodyBytes)
	if q.ContentLength >= 0 {
		r.RequestContentLength = a.Int64(q.ContentLength)
	}
	r.RequestBodySHA256, r.RequestBodyMIME = q.BodySHA256, q.BodyType
	if options.Headers {
		r.RequestHeaders = a.http2List(q.Headers)
	}
}

func (r *HTTP) response2(p *http2.Response, a *Arena, options HTTPOptions) {
	r.TS = p.Start.Time
	r.ResponseTS, r.ResponseEndTS = a.httpTime(p.Start), a.httpTime(p.End)
	r.ResponseVersion = "2"
	if p.Status != 0 {
		r.Status = a.Int32(int32(p.Status))
	}
	r.ResponseContentType, r.ContentEncoding = a.httpText(p.ContentType), a.httpText(p.ContentEncoding)
	r.Location, r.Server = a.httpText(p.Location), a.httpText(p.Server)
	r.ResponseHeaderBytes, r.ResponseBodyBytes = a.Int64(p.HeaderBytes), a.Int64(p.BodyBytes)
	if p.ContentLength >= 0 {
		r.ResponseContentLength = a.Int64(p.ContentLength)
	}
	r.ResponseBodySHA256, r.ResponseBodyMIME = p.BodySHA256, p.BodyType
	if options.Headers {
		r.ResponseHeaders = a.http2List(p.Headers)
	}
}

func (a *Arena) http2List(list []http2.Header) []HTTPHeader {
	if len(list) == 0 {
		return nil
	}
	out := Slice(&a.httpHeaders, len(list))
	for i := range list {
		out[i] = HTTPHeader{a.httpText(list[i].Name), a.httpText(list[i].Value)}
	}
	return out
}
