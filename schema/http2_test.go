package schema

import (
	"reflect"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/http2"
)

func TestAppendHTTP2(t *testing.T) {
	p64 := func(v int64) *int64 { return &v }
	p32 := func(v int32) *int32 { return &v }
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frame := func(kind, flags, id byte, payload string) string {
		return string([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, id}) + payload
	}
	field := func(name, value string) string {
		return "\x00" + string(rune(len(name))) + name + string(rune(len(value))) + value
	}
	base := HTTP{FlowID: 7, SrcIP: "10.0.0.1", SrcPort: 1025, DstIP: "10.0.0.2", DstPort: 80, CaptureID: 3, LastCaptureID: 3, Version: "2"}
	for _, tt := range []struct {
		name     string
		from, to string
		want     func(r *HTTP)
	}{
		{"exchange", preface + frame(1, 4, 1, "\x83\x86"+field(":path", "/\xe9")+field(":authority", "h")+field("x-forwarded-for", "a")+field("content-length", "2")) + frame(0, 1, 1, "hi"),
			frame(1, 4, 1, field(":status", "103")) + frame(1, 5, 1, "\x88"+field("server", "s")+field("content-length", "0")), func(r *HTTP) {
				r.TS, r.FirstPacket, r.LastPacket, r.TransDepth, r.StreamID = 1000, 1, 2, 1, p64(1)
				r.Outcome, r.ClientSide = "complete", "src"
				r.RequestTS, r.RequestEndTS, r.ResponseTS, r.ResponseEndTS = p64(1000), p64(1000), p64(2000), p64(2000)
				r.Method, r.Target, r.Host, r.XForwardedFor = "POST", "/\\xE9", "h", "a"
				r.Status, r.ResponseVersion, r.Informational, r.Server = p32(200), "2", []int32{103}, "s"
				r.RequestHeaderBytes, r.RequestContentLength, r.RequestBodyBytes = p64(63), p64(2), p64(2)
				r.ResponseHeaderBytes, r.ResponseContentLength, r.ResponseBodyBytes = p64(29), p64(0), p64(0)
				r.RequestHeaders = []HTTPHeader{{":method", "POST"}, {":scheme", "http"}, {":path", "/\\xE9"}, {":authority", "h"}, {"x-forwarded-for", "a"}, {"content-length", "2"}}
				r.ResponseHeaders = []HTTPHeader{{":status", "200"}, {"server", "s"}, {"content-length", "0"}}
			}},
		{"response alone, of the initiator", frame(1, 4, 1, "\x8d"), "", func(r *HTTP) {
			r.TS, r.FirstPacket, r.LastPacket, r.TransDepth, r.StreamID = 1000, 1, 1, 1, p64(1)
			r.Outcome, r.ClientSide = "no_request", "dst"
			r.ResponseTS, r.ResponseVersion, r.Status = p64(1000), "2", p32(404)
			r.ResponseHeaderBytes, r.ResponseBodyBytes = p64(1), p64(0)
			r.ResponseHeaders = []HTTPHeader{{":status", "404"}}
		}},
	} {
		s := Session{FlowID: 7, SrcIP: "10.0.0.1", SrcPort: 1025, DstIP: "10.0.0.2", DstPort: 80, TCP: true}
		p, a := http2.New(http2.Config{Headers: true}), new(Arena)
		var rows []HTTP
		take := func(messages []http2.Exchange) {
			for i := range messages {
				rows = AppendHTTP2(rows, &messages[i], &s, a, HTTPOptions{Headers: true})
			}
		}
		take(p.Feed(nil, flows.Initiator, at(1), []byte(tt.from)))
		take(p.Feed(nil, flows.Responder, at(2), []byte(tt.to)))
		take(p.End(nil))
		p.Reset() // what the parser lent is used again: rows must not notice
		p.Feed(nil, flows.Initiator, at(3), []byte(preface+frame(1, 4, 1, field(":path", "/XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"))))
		want := base
		tt.want(&want)
		if len(rows) != 1 || !reflect.DeepEqual(rows[0], want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, rows, want)
		}
	}
}
