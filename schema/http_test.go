package schema

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/http"
)

func httpRows(t testing.TB, a *Arena, headers bool, feed func(p *http.Parser, dst []http.Exchange) []http.Exchange) []HTTP {
	s := Session{FlowID: 7, SrcIP: "10.0.0.1", SrcPort: 1025, DstIP: "10.0.0.2", DstPort: 80, TCP: true}
	p := http.New(http.Config{Headers: headers})
	var rows []HTTP
	take := func(messages []http.Exchange) {
		for i := range messages {
			rows = AppendHTTP(rows, &messages[i], &s, a, HTTPOptions{Headers: headers})
		}
	}
	take(feed(p, nil))
	take(p.End(nil))
	p.Reset()
	// What the parser lent is used again: rows must not notice.
	p.Feed(nil, flows.Initiator, flows.Stamp{Pos: 9}, []byte("XXXXXXXX /XXXXXXXXXXXXXXXXXXXXXX HTTP/1.1\r\nXXXX: XXXXXXXXXXXXXXXXXXXXXX\r\n\r\n"))
	return rows
}

func at(packet uint64) flows.Stamp {
	return flows.Stamp{Time: int64(packet) * 1000, Pos: flows.NewPosition(3, packet)}
}

func TestAppendHTTP(t *testing.T) {
	p64 := func(v int64) *int64 { return &v }
	p32 := func(v int32) *int32 { return &v }
	base := HTTP{FlowID: 7, SrcIP: "10.0.0.1", SrcPort: 1025, DstIP: "10.0.0.2", DstPort: 80, CaptureID: 3, LastCaptureID: 3}
	for _, tt := range []struct {
		name    string
		headers bool
		feed    func(p *http.Parser, dst []http.Exchange) []http.Exchange
		want    func(r *HTTP)
	}{
		{"exchange", true, func(p *http.Parser, dst []http.Exchange) []http.Exchange {
			dst = p.Feed(dst, flows.Initiator, at(1), []byte("POST /\xc3\xa9\xe9 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na"))
			dst = p.Feed(dst, flows.Initiator, at(2), []byte("b"))
			return p.Feed(dst, flows.Responder, at(3), []byte("HTTP/1.0 100 \r\n\r\nHTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"))
		}, func(r *HTTP) {
			r.TS, r.FirstPacket, r.LastPacket, r.TransDepth = 1000, 1, 3, 1
			r.Outcome, r.ClientSide = "complete", "src"
			r.RequestTS, r.RequestEndTS, r.ResponseTS, r.ResponseEndTS = p64(1000), p64(2000), p64(3000), p64(3000)
			r.Method, r.Target, r.Host, r.Version = "POST", "/é\\xE9", "h", "1.1"
			r.Status, r.Reason, r.ResponseVersion, r.Informational = p32(200), "OK", "1.0", []int32{100}
			r.RequestHeaderBytes, r.RequestContentLength, r.RequestBodyBytes = p64(50), p64(2), p64(2)
			r.ResponseHeaderBytes, r.ResponseContentLength, r.ResponseBodyBytes = p64(38), p64(0), p64(0)
			r.RequestHeaders = []HTTPHeader{{"Host", "h"}, {"Content-Length", "2"}}
			r.ResponseHeaders = []HTTPHeader{{"Content-Length", "0"}}
		}},
		{"response alone, of the initiator", false, func(p *http.Parser, dst []http.Exchange) []http.Exchange {
			return p.Feed(dst, flows.Initiator, at(5), []byte("HTTP/1.1 x\r\n\r\nabc"))
		}, func(r *HTTP) {
			r.TS, r.FirstPacket, r.LastPacket, r.TransDepth = 5000, 5, 5, 1
			r.Outcome, r.ClientSide, r.Malformed = "no_request", "dst", "bad_status_line"
			r.ResponseTS, r.Version, r.ResponseVersion, r.Reason = p64(5000), "1.1", "1.1", "x"
			r.ResponseHeaderBytes, r.ResponseBodyBytes = p64(14), p64(3)
		}},
		{"request alone", false, func(p *http.Parser, dst []http.Exchange) []http.Exchange {
			return p.Feed(dst, flows.Initiator, at(5), []byte("GET / HTTP/1.0\r\nUpgrade: x\r\n\r\n"))
		}, func(r *HTTP) {
			r.TS, r.FirstPacket, r.LastPacket, r.TransDepth = 5000, 5, 5, 1
			r.Outcome, r.ClientSide = "no_response", "src"
			r.RequestTS, r.RequestEndTS, r.Version, r.Method, r.Target = p64(5000), p64(5000), "1.0", "GET", "/"
			r.Upgrade, r.RequestHeaderBytes, r.RequestBodyBytes = "x", p64(30), p64(0)
		}},
	} {
		want := base
		tt.want(&want)
		rows := httpRows(t, new(Arena), tt.headers, tt.feed)
		if len(rows) != 1 || !reflect.DeepEqual(rows[0], want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, rows, want)
		}
	}
}

func TestHTTPColumns(t *testing.T) {
	columns, err := ColumnsOf(reflect.TypeFor[HTTP]())
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	for i, c := range columns {
		// These came later.
		if id := map[string]int{"stream_id": 50, "request_body_sha256": 51, "request_body_mime": 52, "response_body_sha256": 53, "response_body_mime": 54}[c.Name]; id != 0 {
			if c.ID != id {
				t.Errorf("%s has id %d", c.Name, c.ID)
			}
			continue
		}
		if c.ID != next {
			t.Errorf("column %s has id %d in place %d", c.Name, c.ID, i+1)
		}
		next++
	}
}

// Whatever bytes are on the wire, text columns are UTF-8.
func FuzzAppendHTTP(f *testing.F) {
	f.Add([]byte("GET /\xff HTTP/1.1\r\nHost: \x00\xc3\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range httpRows(t, new(Arena), true, func(p *http.Parser, dst []http.Exchange) []http.Exchange {
			p.Feed(nil, flows.Initiator, at(1), b)
			return p.Feed(dst, flows.Responder, at(2), b)
		}) {
			v := reflect.ValueOf(r)
			for i := range v.NumField() {
				if f := v.Field(i); f.Kind() == reflect.String && (!utf8.ValidString(f.String()) || strings.ContainsAny(f.String(), "\x00\r\n")) {
					t.Errorf("%s is %q", v.Type().Field(i).Name, f.String())
				}
			}
			for _, h := range append(r.RequestHeaders, r.ResponseHeaders...) {
				if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Value) {
					t.Errorf("header %q", h)
				}
			}
		}
	})
}

func BenchmarkAppendHTTP(b *testing.B) {
	p := http.New(http.Config{})
	m := p.Feed(nil, flows.Initiator, at(1), []byte("GET /wiki/Main_Page HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nReferer: http://www.example.org/\r\n\r\n"))
	m = p.Feed(m, flows.Responder, at(2), []byte("HTTP/1.1 200 OK\r\nServer: Apache/2.4\r\nContent-Length: 0\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n"))
	var a Arena
	s := Session{SrcIP: "10.0.0.1", DstIP: "10.0.0.2"}
	var rows []HTTP
	b.ReportAllocs()
	for b.Loop() {
		rows = AppendHTTP(rows[:0], &m[0], &s, &a, HTTPOptions{})
	}
}
