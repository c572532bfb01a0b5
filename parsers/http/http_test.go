package http

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// step is one call: bytes of a side, or what befalls it.
type step struct {
	side flows.Side
	data string
	call byte // 0: Feed, 'g': Gap of n, 'f': Fin, 'r': Rst
	n    int64
}

func c(data string) step { return step{data: data} }
func s(data string) step { return step{side: flows.Responder, data: data} }

func gap(side flows.Side, n int64) step { return step{side: side, call: 'g', n: n} }
func fin(side flows.Side) step          { return step{side: side, call: 'f'} }
func rst(side flows.Side) step          { return step{side: side, call: 'r'} }

const (
	cl = flows.Initiator
	sv = flows.Responder
)

// run makes the calls, the packet of each numbered from 1, and splits what is
// fed by split (nil: not at all). Every message is rendered at once, and the
// lent bytes are scribbled over after each call.
func run(t testing.TB, p *Parser, steps []step, split func(n int) int) string {
	var b strings.Builder
	var got []Exchange
	take := func(m []Exchange) {
		for i := range m {
			b.WriteString(render(&m[i]))
			b.WriteByte('\n')
		}
		got = m[:0]
	}
	rest := [2][]byte{}
	note := func() {
		for i := range rest {
			rest[i] = append(rest[i], p.Rest(flows.Side(i))...)
		}
	}
	for i, st := range steps {
		at := flows.Stamp{Time: int64(i+1) * 1000, Pos: flows.NewPosition(1, uint64(i+1))}
		switch st.call {
		case 'g':
			take(p.Gap(got, st.side, at, st.n))
		case 'f':
			take(p.Fin(got, st.side, at))
		case 'r':
			take(p.Rst(got, st.side, at))
		default:
			for d := []byte(st.data); len(d) > 0; {
				n := len(d)
				if split != nil {
					n = min(n, max(1, split(n)))
				}
				part := bytes.Clone(d[:n])
				take(p.Feed(got, st.side, at, part))
				note()
				for j := range part {
					part[j] = '#'
				}
				d = d[n:]
			}
		}
	}
	take(p.End(got))
	if p.Tunnel() {
		fmt.Fprintf(&b, "rest %q %q\n", rest[0], rest[1])
	}
	return b.String()
}

func stamp(s flows.Stamp) string {
	if s.Pos == 0 {
		return "-"
	}
	return fmt.Sprint(s.Pos.Packet())
}

// render writes an exchange as one line, absent fields left out.
func render(x *Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %v", x.Depth, x.Outcome)
	if x.Client != cl {
		b.WriteString(" reversed")
	}
	if x.AfterGap {
		b.WriteString(" after_gap")
	}
	if x.Malformed != 0 {
		fmt.Fprintf(&b, " !%v", x.Malformed)
	}
	fmt.Fprintf(&b, " [%s-%s]", stamp(x.First), stamp(x.Last))
	kv := func(k string, v []byte) {
		if len(v) > 0 {
			fmt.Fprintf(&b, " %s=%s", k, v)
		}
	}
	msg := func(m *Message) {
		fmt.Fprintf(&b, " %s-%s v%s head=%d", stamp(m.Start), stamp(m.End), m.Version, m.HeaderBytes)
		if m.ContentLength >= 0 {
			fmt.Fprintf(&b, " cl=%d", m.ContentLength)
		}
		if m.BodyBytes > 0 {
			fmt.Fprintf(&b, " body=%d", m.BodyBytes)
		}
		kv("type", m.ContentType)
		kv("enc", m.ContentEncoding)
		kv("te", m.TransferEncoding)
		kv("upgrade", m.Upgrade)
		for _, h := range m.Headers {
			fmt.Fprintf(&b, " {%s:%s}", h.Name, h.Value)
		}
	}
	if x.HasRequest() {
		r := &x.Request
		fmt.Fprintf(&b, " | %s %s", r.Method, r.Target)
		msg(&r.Message)
		kv("host", r.Host)
		kv("ua", r.UserAgent)
		kv("referer", r.Referer)
		kv("origin", r.Origin)
		kv("xff", r.ForwardedFor)
		kv("user", r.Username)
	}
	if len(x.Informational) > 0 {
		fmt.Fprintf(&b, " | %v", x.Informational)
	}
	if x.HasResponse() {
		r := &x.Response
		fmt.Fprintf(&b, " | %d %s", r.Status, r.Reason)
		msg(&r.Message)
		kv("location", r.Location)
		kv("server", r.Server)
	}
	return b.String()
}

const (
	get  = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
	getB = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
	ok2  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
)

var exchanges = []struct {
	name  string
	cfg   Config
	steps []step
	want  string
}{
	{"keep-alive", Config{}, []step{
		c("GET / HTTP/1.1\r\nhost: example.org:8080\r\nUser-Agent:  curl/8 \r\nReferer: http://r/\r\nOrigin: http://o\r\nX-Forwarded-For: 1.1.1.1\r\nX-FORWARDED-FOR: 2.2.2.2\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n"),
		s("HTTP/1.1 301 Moved Permanently\r\nServer: nginx\r\nLocation: /x\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhe"), s("llo"),
		c("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
		s("HTTP/1.1 204 No Content\r\n\r\n"),
	}, `1 complete [1-3] | GET / 1-1 v1.1 head=189 host=example.org:8080 ua=curl/8 referer=http://r/ origin=http://o xff=1.1.1.1, 2.2.2.2 user=user | 301 Moved Permanently 2-3 v1.1 head=131 cl=5 body=5 type=text/html enc=gzip location=/x server=nginx
2 complete [4-5] | POST /b 4-4 v1.1 head=48 cl=3 body=3 host=h | 204 No Content 5-5 v1.1 head=27
`},
	{"pipelining", Config{}, []step{c(get + getB), s(ok2 + ok2)},
		`1 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
2 complete [1-2] | GET /b 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
`},
	{"chunked with extensions and trailers", Config{}, []step{
		c("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\ntransfer-encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n 0A \r\n0123456789\r\n0\r\nX: y\r\nZ: z\r\n\r\n"),
		s("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n000\n\n"),
	}, `1 complete !bad_chunk_size,bad_chunk_end [1-2] | POST / 1-1 v1.1 head=81 body=13 te=gzip, Chunked host=h | 200 OK 2-2 v1.1 head=44 body=5 te=chunked
`},
	{"a CR within a chunk's line", Config{}, []step{
		c(get + getB), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\r\nab\r\n0\r\n\r\n" + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nab\r\n0\r\n\r\n"),
	}, `1 complete !bad_chunk_size [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=47 body=2 te=chunked
2 complete [1-2] | GET /b 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=47 body=2 te=chunked
`},
	{"responses without a body", Config{}, []step{
		c("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + get + get),
		s("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n" + ok2),
	}, `1 complete [1-2] | HEAD / 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=40 cl=100
2 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 304 Not Modified 2-2 v1.1 head=48 cl=7
3 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
`},
	{"informational", Config{Headers: true}, []step{
		c("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
		s("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
		c("ab"), s("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
	}, `1 complete [1-4] | PUT / 1-3 v1.1 head=68 cl=2 body=2 {Host:h} {Expect:100-continue} {Content-Length:2} host=h | [103 100] | 201 Created 4-4 v1.1 head=43 cl=0 {Content-Length:0}
`},
	{"refused before the body", Config{}, []step{
		c("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n"),
		s("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"), c(get), s(ok2),
	}, `1 complete [1-2] | POST / 1-1 v1.1 head=71 cl=200 host=h | 401 No 2-2 v1.1 head=38 cl=0
2 complete [3-4] | GET /a 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"refused, body sent all the same", Config{}, []step{
		c("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"),
		s("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"), c("GET"), c(get), s(ok2),
	}, `1 complete [1-3] | POST / 1-3 v1.1 head=69 cl=3 body=3 host=h | 401 No 2-2 v1.1 head=38 cl=0
2 complete [4-5] | GET /a 4-4 v1.1 head=28 host=h | 200 OK 5-5 v1.1 head=38 cl=2 body=2
`},
	{"until the end", Config{}, []step{c("GET / HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\n\r\nhello"), s(" world"), fin(sv)},
		`1 complete [1-3] | GET / 1-1 v1.0 head=18 | 200 OK 2-3 v1.0 head=19 body=11
`},
	{"until the end, which is not captured", Config{}, []step{c("GET / HTTP/1.0\r\n\r\n"), s("HTTP/1.0 200 OK\r\n\r\nhello")},
		`1 truncated [1-2] | GET / 1-1 v1.0 head=18 | 200 OK 2-- v1.0 head=19 body=5
`},
	{"no length, yet not until the end", Config{}, []step{c(get), s("HTTP/1.1 302 Found\r\n\r\n"), c(getB), s(ok2)},
		`1 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 302 Found 2-2 v1.1 head=22
2 complete [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"shorter than claimed", Config{}, []step{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), c(getB), s(ok2)},
		`1 truncated !short_body [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-- v1.1 head=38 cl=9 body=5
2 complete [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"longer than claimed", Config{}, []step{c(get), s(ok2 + " there\nyou"), c(getB), s(ok2)},
		`1 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
2 complete !stray_bytes [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"upgrade", Config{}, []step{
		c("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		c("\x81\x00"), s("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x82\x00"), c("more"), s("MORE"),
	}, `1 upgraded [1-3] | GET /ws 1-1 v1.1 head=70 upgrade=websocket host=h | 101 Switching Protocols 3-3 v1.1 head=56 upgrade=websocket
rest "\x81\x00more" "\x82\x00MORE"
`},
	{"upgrade ignored", Config{}, []step{
		c("GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n"), s(ok2), c(getB), s(ok2),
	}, `1 complete [1-2] | GET /a 1-1 v1.1 head=42 upgrade=h2c host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
2 complete [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"connect", Config{}, []step{
		c("CONNECT example.org:443 HTTP/1.1\r\n\r\n"), c("GET / HTTP/1.1\r\n"),
		s("HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n\x16\x03"), c("x"),
	}, `1 tunnel !missing_host [1-3] | CONNECT example.org:443 1-1 v1.1 head=36 host=example.org:443 | 200 Connection established 3-3 v1.1 head=58 cl=5
rest "GET / HTTP/1.1\r\nx" "\x16\x03"
`},
	{"connect refused, tried again", Config{}, []step{
		c("CONNECT e:443 HTTP/1.1\r\nHost: e:443\r\n\r\n"), s("HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n"),
		c("CONNECT e:443 HTTP/1.1\r\nHost: e:443\r\nProxy-Authorization: basic YTpi\r\n\r\n"), s("HTTP/1.1 200 OK\r\n\r\n"),
	}, `1 complete [1-2] | CONNECT e:443 1-1 v1.1 head=39 host=e:443 | 407 Auth 2-2 v1.1 head=40 cl=0
2 tunnel [3-4] | CONNECT e:443 3-3 v1.1 head=72 host=e:443 user=a | 200 OK 4-4 v1.1 head=19
rest "" ""
`},
	{"gap in a body", Config{}, []step{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012"), gap(sv, 4), s("789" + ok2), c(getB)},
		`1 complete after_gap [1-4] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-4 v1.1 head=39 cl=10 body=10
2 no_request [4-4] | 200 OK 4-4 v1.1 head=38 cl=2 body=2
3 no_response [5-5] | GET /b 5-5 v1.1 head=28 host=h
`},
	{"gap that ends a body", Config{}, []step{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n012"), gap(sv, 1), c(getB), s(ok2)},
		`1 complete after_gap [1-3] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-3 v1.1 head=38 cl=4 body=4
2 complete [4-5] | GET /b 4-4 v1.1 head=28 host=h | 200 OK 5-5 v1.1 head=38 cl=2 body=2
`},
	{"gap in a chunk", Config{}, []step{c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n012"), gap(sv, 7), s("\r\n0\r\n\r\n" + ok2), c(getB)},
		`1 complete after_gap [1-4] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-4 v1.1 head=47 body=10 te=chunked
2 no_request [4-4] | 200 OK 4-4 v1.1 head=38 cl=2 body=2
3 no_response [5-5] | GET /b 5-5 v1.1 head=28 host=h
`},
	{"gap in a head", Config{}, []step{c("GET /a HTTP/1.1\r\nHost: h\r\nUser-Ag"), gap(cl, 20), c("x: y\r\n\r\n"), s(ok2), c(getB), s(ok2)},
		`1 truncated after_gap [1-4] | GET /a 1-- v1.1 head=26 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
2 complete after_gap [5-6] | GET /b 5-5 v1.1 head=28 host=h | 200 OK 6-6 v1.1 head=38 cl=2 body=2
`},
	{"CR within lines", Config{}, []step{c(get), s("HTTP/1.1 200 OK\r\nA: b\rContent-Length: 9\r\nContent-Length: 0\r\n\r\n"), c(getB), s("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n")},
		`1 complete !bare_cr [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=62 cl=0
2 complete !obs_fold [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=48 cl=0
`},
	{"gap in the first line", Config{}, []step{c("GET /images/a.gif HTT"), gap(cl, 466), s(ok2), c("GET /b HTTP/1.1"), gap(cl, 20), s(ok2)},
		`1 truncated after_gap [1-3] | GET /images/a.gif 1-- v head=21 | 200 OK 3-3 v1.1 head=38 cl=2 body=2
2 truncated after_gap [4-6] | GET /b 4-- v1.1 head=15 | 200 OK 6-6 v1.1 head=38 cl=2 body=2
`},
	{"gap in the first line, before its version", Config{}, []step{c("GET /images/a.g"), gap(cl, 466), s(ok2), c("GET /b"), gap(cl, 400), s(ok2), c("FOO /b"), gap(cl, 400), s(ok2)},
		`1 truncated after_gap [1-3] | GET  1-- v head=15 | 200 OK 3-3 v1.1 head=38 cl=2 body=2
2 truncated after_gap [4-6] | GET  4-- v head=6 | 200 OK 6-6 v1.1 head=38 cl=2 body=2
3 no_request [9-9] | 200 OK 9-9 v1.1 head=38 cl=2 body=2
`},
	{"gaps in status lines", Config{}, []step{c(get), s("HTTP/1.1 200 O"), gap(sv, 466), c(getB), s("HTTP/1.1 100 C"), gap(sv, 11), s("HTTP/1.1 404"), gap(sv, 300), c(get), s("HTTP/1.1 30"), gap(sv, 300)},
		`1 truncated after_gap [1-3] | GET /a 1-1 v1.1 head=28 host=h | 200  2-- v1.1 head=14
2 truncated after_gap [4-8] | GET /b 4-4 v1.1 head=28 host=h | [100] | 404  7-- v1.1 head=12
3 no_response [9-9] | GET /a 9-9 v1.1 head=28 host=h
`},
	{"gap in a line that is not HTTP's", Config{}, []step{c("GET me the TV"), gap(cl, 466), c(getB), s(ok2)},
		`1 complete after_gap [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"gap before a line of an odd version", Config{}, []step{c(get), gap(cl, 466), c("more\r\nPOST /b HTTP/d.1\r\nHost: h\r\n\r\n"), s(ok2), s(ok2)},
		`1 complete [1-4] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
2 complete after_gap !bad_version [3-5] | POST /b 3-3 v head=29 host=h | 200 OK 5-5 v1.1 head=38 cl=2 body=2
`},
	{"gap before a line that is none", Config{}, []step{c(get), gap(cl, 466), c("say POST /b HTTP/d.1\r\nHost: h\r\n\r\n"), s(ok2)},
		`1 complete [1-4] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"gap over responses", Config{}, []step{c(get), c(getB), gap(sv, 500), s("tail of a bodyHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
		`1 no_response after_gap [1-1] | GET /a 1-1 v1.1 head=28 host=h
2 complete after_gap [2-4] | GET /b 2-2 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=0
`},
	{"gap over requests", Config{}, []step{c(get), s(ok2), gap(cl, 28), s(ok2), c("fooPOST /c HTTP/1.1\r\nHost: h\r\n\r\n"), s(ok2)},
		`1 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
2 no_request [4-4] | 200 OK 4-4 v1.1 head=38 cl=2 body=2
3 complete after_gap [5-6] | POST /c 5-5 v1.1 head=29 host=h | 200 OK 6-6 v1.1 head=38 cl=2 body=2
`},
	{"requests only", Config{}, []step{c(get), c(getB), fin(cl)},
		`1 no_response [1-1] | GET /a 1-1 v1.1 head=28 host=h
2 no_response [2-2] | GET /b 2-2 v1.1 head=28 host=h
`},
	{"responses only, one to HEAD", Config{}, []step{s("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"), s(ok2), s("HTTP/1.1 200 OK\r\n\r\nHTTP"), fin(sv)},
		`1 no_request [1-1] | 200 OK 1-1 v1.1 head=40 cl=400
2 no_request [2-2] | 200 OK 2-2 v1.1 head=38 cl=2 body=2
3 no_request [3-3] | 200 OK 3-3 v1.1 head=19 body=4
`},
	{"initiator responds", Config{}, []step{{side: sv, data: get}, {side: cl, data: ok2}},
		`1 complete reversed [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
`},
	{"reset", Config{}, []step{c(get), s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), c(getB), rst(sv)},
		`1 reset [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-- v1.1 head=38 cl=9 body=2
2 reset [3-3] | GET /b 3-3 v1.1 head=28 host=h
`},
	{"ended in the middle", Config{}, []step{c(get + getB), s("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), fin(sv), fin(cl)},
		`1 truncated [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-- v1.1 head=38 cl=9 body=2
2 no_response [1-1] | GET /b 1-1 v1.1 head=28 host=h
`},
	{"HTTP/0.9", Config{}, []step{c("GET /x\r\n"), s("<html>\nHTTP/1.1 is not here"), fin(sv)},
		`1 complete [1-2] | GET /x 1-1 v0.9 head=8 | 0  2-2 v0.9 head=0 body=27
`},
	{"HTTP/0.9 asked, 1.0 answered", Config{}, []step{c("GET /x\r\n\r\n"), s("HTTP/1.0 400 Bad\r\n\r\n"), fin(sv)},
		`1 complete [1-2] | GET /x 1-1 v0.9 head=10 | 400 Bad 2-2 v1.0 head=20
`},
	{"folds, odd spaces, LF only", Config{Headers: true}, []step{
		c("\r\n\nGET  /a b  HTTP/1.1\nHost : h\nUser-Agent: a\n\t b\r\n  c\nno colon\n: no name\n\n"), s("HTTP/1.1  200\n\n"), fin(sv),
	}, `1 complete !bad_request_line,bad_header_line,space_before_colon,obs_fold [1-2] | GET /a b 1-1 v1.1 head=72 {Host:h} {User-Agent:a b c} host=h ua=a b c | 200  2-2 v1.1 head=15
`},
	{"targets", Config{}, []step{
		c("GET http://u:p@ex.org:81?q HTTP/1.0\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\nMYTOKEN /#x HTTP/1.1\r\nhost:\r\n\r\n"),
	}, `1 no_response [1-1] | GET http://u:p@ex.org:81?q 1-1 v1.0 head=39 host=ex.org:81
2 no_response !repeated_host [1-1] | OPTIONS * 1-1 v1.1 head=40 host=a
3 no_response [1-1] | MYTOKEN /#x 1-1 v1.1 head=31
`},
	{"content length", Config{}, []step{
		c("POST / HTTP/1.0\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab" + "POST / HTTP/1.0\r\nContent-Length: 1, 7\r\n\r\nx" +
			"POST / HTTP/1.0\r\nContent-Length: -1\r\n\r\n" + "POST / HTTP/1.0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
	}, `1 no_response !repeated_content_length [1-1] | POST / 1-1 v1.0 head=57 cl=2 body=2
2 no_response !conflicting_content_length [1-1] | POST / 1-1 v1.0 head=41 cl=1 body=1
3 no_response !bad_content_length [1-1] | POST / 1-1 v1.0 head=39
4 no_response !content_length_and_transfer_encoding [1-1] | POST / 1-1 v1.0 head=66 cl=9 te=chunked
`},
	{"bad chunk", Config{}, []step{
		c(get), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello"), c(getB),
		s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc"), fin(sv),
	}, `1 complete !bad_chunk_size [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=47 body=5 te=chunked
2 complete !bad_chunk_end [3-4] | GET /b 3-3 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=47 body=3 te=chunked
`},
	{"unknown coding", Config{}, []step{
		c("POST / HTTP/1.0\r\nTransfer-Encoding: chunked, gzip\r\n\r\n???\n" + getB), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx"), fin(sv),
	}, `1 complete !bad_transfer_encoding [1-2] | POST / 1-1 v1.0 head=53 te=chunked, gzip | 200 OK 2-2 v1.1 head=44 body=2 te=gzip
2 no_response !stray_bytes [1-1] | GET /b 1-1 v1.1 head=28 host=h
`},
	{"bad status lines", Config{}, []step{
		c(get + get), s("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n" + "HTTP/x 200 OK\r\nContent-Length: 0\r\n\r\n"),
	}, `1 complete !bad_status_line [1-2] | GET /a 1-1 v1.1 head=28 host=h | 0 20 OK 2-2 v1.1 head=37 cl=0
2 complete !bad_version [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v head=36 cl=0
`},
	{"versions and spaces of status lines", Config{}, []step{
		c(get + get + get), s("HTTP/1.01 200 ok\r\nContent-Length: 0\r\n\r\n" + "HTTP/1.1 \t201 ok\r\nContent-Length: 0\r\n\r\n" + "HTTP/1.1\r 202 ok\r\nContent-Length: 0\r\n\r\n"),
	}, `1 complete !bad_version [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 ok 2-2 v head=39 cl=0
2 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 201 ok 2-2 v1.1 head=39 cl=0
3 complete !bare_cr [1-2] | GET /a 1-1 v1.1 head=28 host=h | 202 ok 2-2 v1.1 head=39 cl=0
`},
	{"identity behind chunked", Config{}, []step{c("POST / HTTP/1.0\r\nTransfer-Encoding: chunked, identity\r\n\r\n" + get)},
		`1 no_response !bad_transfer_encoding [1-1] | POST / 1-1 v1.0 head=57 te=chunked, identity
2 no_response [1-1] | GET /a 1-1 v1.1 head=28 host=h
`},
	{"shoutcast", Config{}, []step{c("GET / HTTP/1.0\r\n\r\n"), s("ICY 200 OK\r\nicy-br:128\r\n\r\nmmm"), fin(sv)},
		`1 complete [1-2] | GET / 1-1 v1.0 head=18 | 200 OK 2-2 v head=26 body=3
`},
	{"head too large", Config{MaxHeaderBytes: 64}, []step{
		c("GET /0123456789012345678901234567890123456789012345678901234567890123 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" + get), s(ok2 + ok2),
	}, `1 complete !header_too_large [1-2] | GET /01234567890123456789012345678901234567890123456789012345678 1-1 v head=110 cl=1 body=1 | 200 OK 2-2 v1.1 head=38 cl=2 body=2
2 complete [1-2] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 2-2 v1.1 head=38 cl=2 body=2
`},
	{"more pending than allowed", Config{MaxPending: 2}, []step{c(get + getB + get), s(ok2), s(ok2), s(ok2)},
		`1 no_response [1-1] | GET /a 1-1 v1.1 head=28 host=h
4 no_request [2-2] | 200 OK 2-2 v1.1 head=38 cl=2 body=2
2 complete [1-3] | GET /b 1-1 v1.1 head=28 host=h | 200 OK 3-3 v1.1 head=38 cl=2 body=2
3 complete [1-4] | GET /a 1-1 v1.1 head=28 host=h | 200 OK 4-4 v1.1 head=38 cl=2 body=2
`},
	{"not HTTP", Config{}, []step{c("OPTIONS rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n"), s("RTSP/1.0 200 OK\r\n\r\n"), c("\x16\x03\x01\n")}, ""},
}

func TestExchanges(t *testing.T) {
	for _, tt := range exchanges {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			p := New(tt.cfg)
			if got := run(t, p, tt.steps, nil); got != want {
				t.Fatalf("whole:\n%swant:\n%s", got, want)
			}
			// However the bytes are cut, and in used memory too.
			p.Reset()
			if got := run(t, p, tt.steps, func(int) int { return 1 }); got != want {
				t.Errorf("byte by byte:\n%swant:\n%s", got, want)
			}
			for seed := range uint64(20) {
				r := rand.New(rand.NewPCG(seed, 1))
				p.Reset()
				if got := run(t, p, tt.steps, func(n int) int { return 1 + r.IntN(n) }); got != want {
					t.Fatalf("seed %d:\n%swant:\n%s", seed, got, want)
				}
			}
		})
	}
}

// A response that is fed before its request, because reassembly waited for a
// lost segment, is still its response.
func TestResponseFirst(t *testing.T) {
	p := New(Config{})
	at := func(n uint64) flows.Stamp { return flows.Stamp{Time: int64(n), Pos: flows.NewPosition(1, n)} }
	m := p.Feed(nil, sv, at(3), []byte(ok2))
	m = p.Feed(m, cl, at(2), []byte(get))
	if len(m) != 1 || m[0].Outcome != Complete || m[0].First != at(2) || m[0].Last != at(3) {
		t.Errorf("got %+v", m)
	}
}

func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		data string
		want parsers.Verdict
	}{
		{"", parsers.Maybe}, {"\r\n", parsers.Maybe}, {"G", parsers.Maybe}, {"GET", parsers.Maybe}, {"GET ", parsers.Maybe},
		{"GET /", parsers.Yes}, {"\r\nGET /", parsers.Yes}, {"CONNECT x", parsers.Yes}, {"GET http:", parsers.Maybe},
		{"GET http://x/ HTTP/1.1\r\n", parsers.Yes}, {"GET /\r\n", parsers.Yes}, {"GET x y\r\n", parsers.No},
		{"FOO /", parsers.Maybe}, {"FOO / HTTP/1.1\n", parsers.Yes}, {"FOO /\n", parsers.No}, {"ng tool</a> for HTTP/2\n", parsers.No},
		{"OPTIONS rtsp://x RTSP/1.0\r\n", parsers.No}, {"OPTIONS sip:a@b SIP/2.0\r\n", parsers.No},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", parsers.No}, {"HTT", parsers.Maybe}, {"HTTP/1.1", parsers.Yes}, {"HTTP/2", parsers.No},
		{"ICY 200", parsers.Yes}, {"ICY x", parsers.Maybe}, {"RTSP/1.0 200 OK\r\n", parsers.No}, {"SSH-2.0-x\r\n", parsers.No},
		{"220 mail ESMTP\r\n", parsers.No}, {"USER anonymous\r\n", parsers.No}, {"\x16\x03\x01", parsers.No},
	} {
		if got := Probe([]byte(tt.data), cl); got != tt.want {
			t.Errorf("Probe(%q) = %d, want %d", tt.data, got, tt.want)
		}
	}
}

// TestBounds feeds without end what a parser might be tempted to keep.
func TestBounds(t *testing.T) {
	for _, tt := range []struct {
		name        string
		side        flows.Side
		begin, more string
	}{
		{"start line", cl, "GET /", "x"},
		{"field", cl, "GET / HTTP/1.1\r\nX: ", "x"},
		{"fields", cl, "GET / HTTP/1.1\r\n", "Host: h\r\nX-Forwarded-For: 1\r\n"},
		{"fold", cl, "GET / HTTP/1.1\r\nHost: h", "\r\n x"},
		{"pending", cl, "", get},
		{"held", cl, "CONNECT h:1 HTTP/1.1\r\n\r\n", "\x00"},
		{"responses", sv, "", ok2},
		{"informational", sv, "", "HTTP/1.1 100 Continue\r\nServer: x\r\n\r\n"},
		{"garbage", sv, "", "x"},
		{"chunk size", sv, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0"},
		{"chunk extension", sv, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x"},
		{"trailers", sv, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n"},
	} {
		p := New(Config{Headers: true})
		at := flows.Stamp{Pos: 1}
		dst := p.Feed(nil, tt.side, at, []byte(tt.begin))
		more := []byte(strings.Repeat(tt.more, 1400/len(tt.more)))
		for range 2000 {
			dst = p.Feed(dst[:0], tt.side, at, more)
		}
		if n := p.memory(); n > 1<<20 {
			t.Errorf("%s: %d bytes held", tt.name, n)
		}
		p.End(nil)
	}
}

// memory is the bytes that a parser holds, roughly.
func (p *Parser) memory() int {
	n := cap(p.scratch) + cap(p.queue)*8
	for i := range p.sides {
		n += cap(p.sides[i].buf)
	}
	for _, l := range [][]*slot{p.queue, p.done, p.free} {
		for _, sl := range l {
			n += 1024 + cap(sl.buf) + 48*(cap(sl.reqHeaders)+cap(sl.respHeaders))
		}
	}
	return n
}

func TestNoAllocation(t *testing.T) {
	p := New(Config{Headers: true})
	req, resp := []byte(get), []byte(ok2)
	var dst []Exchange
	pos := flows.Position(1)
	f := func() {
		at := flows.Stamp{Pos: pos}
		pos++
		dst = p.Feed(dst[:0], cl, at, req[:10])
		dst = p.Feed(dst, cl, at, req[10:])
		dst = p.Feed(dst, sv, at, resp)
	}
	f()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%v allocations per exchange", n)
	}
}

// FuzzParser checks that nothing panics and that segmentation changes nothing.
// The input is a script: each line is a byte for the call and its data.
func FuzzParser(f *testing.F) {
	for _, tt := range exchanges {
		var b []byte
		for _, st := range tt.steps {
			b = append(b, byte(st.side)<<4|map[byte]byte{0: 0, 'g': 1, 'f': 2, 'r': 3}[st.call], byte(len(st.data)+int(st.n)))
			b = append(b, st.data...)
		}
		f.Add(b, uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var steps []step
		for len(b) > 2 {
			st := step{side: flows.Side(b[0] >> 4 & 1)}
			n := int(b[1])
			switch op := b[0] & 15; op {
			case 1:
				st.call, st.n, n = 'g', int64(n), 0
			case 2:
				st.call, n = 'f', 0
			case 3:
				st.call, n = 'r', 0
			}
			b = b[2:]
			n = min(n, len(b))
			st.data, b = string(b[:n]), b[n:]
			steps = append(steps, st)
		}
		cfg := Config{Headers: seed&1 != 0, MaxPending: int(seed >> 1 & 3), MaxHeaderBytes: int(seed >> 3 & 127)}
		want := run(t, New(cfg), steps, nil)
		r := rand.New(rand.NewPCG(seed, 2))
		if got := run(t, New(cfg), steps, func(n int) int { return 1 + r.IntN(n) }); got != want {
			t.Fatalf("whole:\n%ssplit:\n%s", want, got)
		}
		if got := run(t, New(cfg), steps, func(n int) int { return 1 }); got != want {
			t.Fatalf("whole:\n%sbyte by byte:\n%s", want, got)
		}
	})
}

// FuzzProbe checks that a verdict, once given, stands when more bytes come.
func FuzzProbe(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte("HTTP/1.1 200"))
	f.Fuzz(func(t *testing.T, b []byte) {
		final := Probe(b, cl)
		for i := range b {
			if v := Probe(b[:i], cl); v == parsers.No && final != parsers.No {
				t.Fatalf("No to %q, %d to %q", b[:i], final, b)
			}
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	req := []byte("GET /wiki/Main_Page?id=17 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:31.0) Gecko/20100101\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: http://www.example.org/\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\n\r\n")
	resp := []byte("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: Apache/2.4\r\nLast-Modified: Sun, 31 Dec 2023 00:00:00 GMT\r\nETag: \"abc-123\"\r\nAccept-Ranges: bytes\r\nContent-Length: 300\r\nContent-Type: text/html; charset=UTF-8\r\nKeep-Alive: timeout=5\r\nConnection: Keep-Alive\r\n\r\n" + strings.Repeat("x", 300))
	p := New(Config{})
	var dst []Exchange
	b.ReportAllocs()
	b.SetBytes(int64(len(req) + len(resp)))
	for i := 0; b.Loop(); i++ {
		at := flows.Stamp{Time: int64(i), Pos: flows.Position(i + 1)}
		dst = p.Feed(dst[:0], cl, at, req)
		dst = p.Feed(dst, sv, at, resp)
		if len(dst) != 1 {
			b.Fatal(len(dst))
		}
	}
}

func BenchmarkBody(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
	seg := make([]byte, 1460)
	p := New(Config{})
	at := flows.Stamp{Pos: 1}
	p.Feed(nil, sv, at, head)
	b.SetBytes(int64(len(seg)))
	for b.Loop() {
		p.Feed(nil, sv, at, seg)
	}
}

func BenchmarkChunked(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := []byte("1000\r\n" + strings.Repeat("x", 4096) + "\r\n")
	body := bytes.Repeat(chunk, 64)
	p := New(Config{})
	at := flows.Stamp{Pos: 1}
	p.Feed(nil, sv, at, head)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		for d := body; len(d) > 0; {
			n := min(1460, len(d))
			p.Feed(nil, sv, at, d[:n])
			d = d[n:]
		}
	}
}

// A gap behind a line of which the beginning, and where its packet began, is held no more.
func TestGapBehindLongLine(t *testing.T) {
	for _, size := range []int{100, maxGlued - 1, maxGlued, maxGlued + 1, 2*maxGlued + 1, 5 * maxGlued} {
		for _, packet := range []int{100, 1460, maxGlued + 100, 1 << 20} {
			for _, end := range []string{"", "\n", "\r\nGET /", "\r\n\r\nHTTP/1.1 200"} {
				p := New(Config{})
				at := flows.Stamp{Time: 1}
				out := p.Gap(nil, flows.Responder, at, 10)
				for data := []byte(strings.Repeat("x", size) + end); len(data) > 0; data = data[min(packet, len(data)):] {
					at.Time++
					out = p.Feed(out, flows.Responder, at, data[:min(packet, len(data))])
				}
				at.Time++
				out = p.Gap(out, flows.Responder, at, 10)
				p.End(out)
			}
		}
	}
}
