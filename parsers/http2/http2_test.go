package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

const (
	cl = flows.Initiator
	sv = flows.Responder
)

func stamp(s flows.Stamp) string {
	if s.Pos == 0 {
		return "-"
	}
	return fmt.Sprint(s.Pos.Packet())
}

// render writes an exchange as one line, absent fields left out.
func render(x *Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d #%d %v", x.Depth, x.StreamID, x.Outcome)
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
		fmt.Fprintf(&b, " %s-%s", stamp(m.Start), stamp(m.End))
		if m.ContentLength >= 0 {
			fmt.Fprintf(&b, " cl=%d", m.ContentLength)
		}
		if m.BodyBytes > 0 {
			fmt.Fprintf(&b, " body=%d", m.BodyBytes)
		}
		kv("type", m.ContentType)
		kv("enc", m.ContentEncoding)
		for _, h := range m.Headers {
			fmt.Fprintf(&b, " {%s=%s}", h.Name, h.Value)
		}
	}
	if x.HasRequest() {
		r := &x.Request
		fmt.Fprintf(&b, " | %s %s", r.Method, r.Target)
		msg(&r.Message)
		kv("host", r.Host)
		kv("protocol", r.Protocol)
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
		fmt.Fprintf(&b, " | %d", r.Status)
		msg(&r.Message)
		kv("location", r.Location)
		kv("server", r.Server)
	}
	return b.String()
}

// step is one call: bytes of a side, or what befalls it.
type step struct {
	side flows.Side
	data string
	call byte // 0: Feed, 'g': Gap of n, 'f': Fin, 'r': Rst
	n    int64
}

func c(parts ...string) step { return step{side: cl, data: strings.Join(parts, "")} }
func s(parts ...string) step { return step{side: sv, data: strings.Join(parts, "")} }

func gap(side flows.Side, n int) step { return step{side: side, call: 'g', n: int64(n)} }

func run(p *Parser, steps []step) string {
	var b strings.Builder
	var got []Exchange
	take := func(m []Exchange) {
		for i := range m {
			b.WriteString(render(&m[i]))
			b.WriteByte('\n')
		}
		got = m[:0]
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
			data := []byte(st.data)
			take(p.Feed(got, st.side, at, data))
			for j := range data {
				data[j] = '#'
			}
		}
	}
	take(p.End(got))
	return b.String()
}

func frame(kind, flags byte, id uint32, payload ...string) string {
	p := strings.Join(payload, "")
	n := len(p)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}) + p
}

// block encodes fields without any reference: literals that are not added.
func block(fields ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(fields); i += 2 {
		b.WriteByte(0)
		for _, f := range fields[i : i+2] {
			if len(f) >= 0x7f {
				b.WriteByte(0x7f)
				n := len(f) - 0x7f
				for ; n >= 0x80; n >>= 7 {
					b.WriteByte(byte(n) | 0x80)
				}
				b.WriteByte(byte(n))
			} else {
				b.WriteByte(byte(len(f)))
			}
			b.WriteString(f)
		}
	}
	return b.String()
}

// encoder is an encoder with its memory.
func encoder() func(fields ...string) string {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	return func(fields ...string) string {
		buf.Reset()
		for i := 0; i+1 < len(fields); i += 2 {
			e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return buf.String()
	}
}

const (
	endStream  = flagEndStream
	endHeaders = flagEndHeaders
)

var (
	settings = frame(typeSettings, 0, 0, "\x00\x03\x00\x00\x00\x64")
	ack      = frame(typeSettings, flagAck, 0)
	get      = block(":method", "GET", ":scheme", "http", ":path", "/a", ":authority", "h")
	ok200    = "\x88" // the static table's ":status: 200"
	get1     = frame(typeHeaders, endStream|endHeaders, 1, get)
	get3     = frame(typeHeaders, endStream|endHeaders, 3, get)
)

type example struct {
	name  string
	cfg   Config
	steps []step
	want  string
}

func examples() []example {
	ce, se := encoder(), encoder()
	req := func(path string) string {
		return ce(":method", "GET", ":scheme", "http", ":path", path, ":authority", "example.test", "user-agent", "curl/8", "x-a", "b")
	}
	res := func(n string) string { return se(":status", "200", "content-length", n, "server", "nginx") }
	r1, r2, r3, r4 := req("/1"), req("/2"), req("/3"), req("/4")
	a1, a2, a3, a4 := res("1"), res("2"), res("3"), res("4")
	lost := frame(typeHeaders, endStream|endHeaders, 1, r1)
	lostAnswer := frame(typeHeaders, endHeaders, 1, a1) + frame(typeData, endStream, 1, "x")
	large := strings.Repeat("v", 300)
	return []example{
		{"prior knowledge", Config{Headers: true}, []step{
			c(preface, settings, frame(typeWindowUpdate, 0, 0, "\x00\x00\xff\xff")),
			s(settings, ack), c(ack, frame(typePriority, 0, 9, "12345")),
			c(frame(typeHeaders, endHeaders, 1, block(":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "h:80", "user-agent", "u",
				"referer", "r", "origin", "o", "x-forwarded-for", "1", "x-forwarded-for", "2", "authorization", "Basic dXNlcjpwYXNz", "content-type", "t", "content-length", "3"))),
			c(frame(typeData, 0, 1, "ab"), frame(typeData, endStream, 1, "c")),
			s(frame(typeHeaders, endHeaders, 1, ok200, block("server", "n", "content-encoding", "gzip"))),
			s(frame(typeData, 0, 1, "hello"), frame(typeHeaders, endStream|endHeaders, 1, block("grpc-status", "0"))),
		}, "1 #1 complete [4-7] | POST /x 4-5 cl=3 body=3 type=t {:method=POST} {:scheme=http} {:path=/x} {:authority=h:80} {user-agent=u} {referer=r} {origin=o} {x-forwarded-for=1} {x-forwarded-for=2} {authorization=Basic dXNlcjpwYXNz} {content-type=t} {content-length=3} host=h:80 ua=u referer=r origin=o xff=1, 2 user=user | 200 6-7 body=5 enc=gzip {:status=200} {server=n} {content-encoding=gzip} server=n\n"},
		{"interleaved, in the order of their ends", Config{}, []step{
			c(preface, settings, get1, get3), s(settings),
			s(frame(typeHeaders, endHeaders, 1, ok200), frame(typeHeaders, endHeaders, 3, ok200)),
			s(frame(typeData, 0, 1, "aaaa")), s(frame(typeData, endStream, 3, "bb")), s(frame(typeData, endStream, 1, "a")),
		}, "2 #3 complete [1-5] | GET /a 1-1 host=h | 200 3-5 body=2\n1 #1 complete [1-6] | GET /a 1-1 host=h | 200 3-6 body=5\n"},
		{"continuation and padding", Config{}, []step{
			c(preface, settings, frame(typeHeaders, endStream|flagPadded|flagPriority, 1, "\x03", "\x00\x00\x00\x00\x10", get[:5], "ppp")),
			c(frame(typeContinuation, 0, 1, get[5:9])), c(frame(typeContinuation, endHeaders, 1, get[9:])),
			s(settings, frame(typeHeaders, endHeaders|flagPadded, 1, "\x02", ok200, "pp"), frame(typeData, endStream|flagPadded, 1, "\x05hipppp", "p")),
		}, "1 #1 complete [1-4] | GET /a 1-3 host=h | 200 4-4 body=2\n"},
		{"informational, head only", Config{}, []step{
			c(preface, settings, frame(typeHeaders, endStream|endHeaders, 1, block(":method", "HEAD", ":path", "/", ":scheme", "http", "host", "h"))),
			s(settings, frame(typeHeaders, endHeaders, 1, block(":status", "103", "link", "x")), frame(typeHeaders, endStream|endHeaders, 1, block(":status", "204", "content-length", "9"))),
		}, "1 #1 complete [1-2] | HEAD / 1-1 host=h | [103] | 204 2-2 cl=9\n"},
		{"push", Config{}, []step{
			c(preface, settings, get1),
			s(settings, frame(typePushPromise, flagPadded|endHeaders, 1, "\x01\x00\x00\x00\x02", get, "p")),
			s(frame(typeHeaders, endStream|endHeaders, 1, ok200)),
			s(frame(typeHeaders, endHeaders, 2, ok200)), s(frame(typeData, endStream, 2, "css")),
		}, "1 #1 complete [1-3] | GET /a 1-1 host=h | 200 3-3\n2 #2 complete [2-5] | GET /a 2-2 host=h | 200 4-5 body=3\n"},
		{"resets and going away", Config{}, []step{
			c(preface, settings, get1, get3), c(frame(typeHeaders, endStream|endHeaders, 5, get)), s(settings, frame(typeHeaders, endHeaders, 1, ok200)),
			c(frame(typeRSTStream, 0, 1, "\x00\x00\x00\x08")), s(frame(typeData, 0, 1, "late")),
			s(frame(typeGoAway, 0, 0, "\x00\x00\x00\x03", "\x00\x00\x00\x00", "debug")),
			s(frame(typeHeaders, endStream|endHeaders, 3, ok200)),
		}, "1 #1 reset [1-4] | GET /a 1-1 host=h | 200 3-\x2d\n3 #5 no_response [2-2] | GET /a 2-2 host=h\n2 #3 complete [1-7] | GET /a 1-1 host=h | 200 7-7\n"},
		{"the flow is reset", Config{}, []step{
			c(preface, settings, get1), s(settings, frame(typeHeaders, endHeaders, 1, ok200)), {side: sv, call: 'r'},
		}, "1 #1 reset [1-2] | GET /a 1-1 host=h | 200 2--\n"},
		{"the flow ends", Config{}, []step{
			c(preface, settings, get1), c(get3), s(settings, frame(typeHeaders, endHeaders, 1, ok200), frame(typeData, 0, 1, "aaa")), {side: sv, call: 'f'}, {side: cl, call: 'f'},
		}, "1 #1 truncated [1-3] | GET /a 1-1 host=h | 200 3-- body=3\n2 #3 no_response [2-2] | GET /a 2-2 host=h\n"},
		{"connect", Config{}, []step{
			c(preface, settings, frame(typeHeaders, endHeaders, 1, block(":method", "CONNECT", ":authority", "t:443"))),
			s(settings, frame(typeHeaders, endHeaders, 1, ok200)), c(frame(typeData, 0, 1, "tls")), s(frame(typeData, 0, 1, "tls!")),
			c(frame(typeHeaders, endHeaders, 3, block(":method", "CONNECT", ":protocol", "websocket", ":path", "/chat", ":scheme", "http", ":authority", "w"))),
			s(frame(typeHeaders, endHeaders, 3, ok200)),
		}, "1 #1 tunnel [1-4] | CONNECT t:443 1-- body=3 host=t:443 | 200 2-- body=4\n2 #3 tunnel [5-6] | CONNECT /chat 5-- host=w protocol=websocket | 200 6--\n"},
		{"after an upgrade", Config{}, []step{ // the preface comes after the 101, the server's answer to the HTTP/1.1 request on stream 1
			s(settings), c(preface, settings), s(frame(typeHeaders, endHeaders, 1, ok200), frame(typeData, endStream, 1, "x")), {side: sv, call: 'f'},
		}, "1 #1 no_request [3-3] | 200 3-3 body=1\n"},
		{"the client is the responder", Config{}, []step{s(preface, settings, get1), c(settings, frame(typeHeaders, endStream|endHeaders, 1, ok200))},
			"1 #1 complete reversed [1-2] | GET /a 1-1 host=h | 200 2-2\n"},
		{"one side alone", Config{}, []step{c(settings, frame(typeHeaders, endHeaders|endStream, 1, ok200))},
			"1 #1 no_request reversed [1-1] | 200 1-1\n"},
		{"references", Config{}, []step{
			c(preface, settings, frame(typeHeaders, endStream|endHeaders, 1, r1)), s(settings, lostAnswer),
			c(frame(typeHeaders, endStream|endHeaders, 3, r2)), s(frame(typeHeaders, endHeaders, 3, a2), frame(typeData, endStream, 3, "xx")),
		}, "1 #1 complete [1-2] | GET /1 1-1 host=example.test ua=curl/8 | 200 2-2 cl=1 body=1 server=nginx\n2 #3 complete [3-4] | GET /2 3-3 host=example.test ua=curl/8 | 200 4-4 cl=2 body=2 server=nginx\n"},
		{"a gap over both heads, references to them", Config{}, []step{
			c(preface, settings), gap(cl, len(lost)), s(settings), gap(sv, len(lostAnswer)),
			c(frame(typeHeaders, endStream|endHeaders, 3, r2)), s(frame(typeHeaders, endHeaders, 3, a2), frame(typeData, endStream, 3, "xx")),
			c(frame(typeHeaders, endStream|endHeaders, 5, r3)), s(frame(typeHeaders, endHeaders, 5, a3), frame(typeData, endStream, 5, "xxx")),
			c(frame(typeHeaders, endStream|endHeaders, 7, r4)), s(frame(typeHeaders, endHeaders, 7, a4), frame(typeData, endStream, 7, "xxxx")),
		}, "1 #3 complete after_gap [5-6] | GET /2 5-5 | 200 6-6 cl=2 body=2\n" +
			"2 #5 complete after_gap [7-8] | GET /3 7-7 | 200 8-8 cl=3 body=3\n" +
			"3 #7 complete after_gap [9-10] | GET /4 9-9 | 200 10-10 cl=4 body=4\n"},
		{"a gap within DATA costs nothing", Config{}, []step{
			c(preface, settings, get1), s(settings, frame(typeHeaders, endHeaders, 1, ok200), frame(typeData, endStream, 1, strings.Repeat("x", 500))[:109]),
			gap(sv, 300), s(strings.Repeat("x", 100)), c(get3), s(frame(typeHeaders, endStream|endHeaders, 3, ok200)),
		}, "1 #1 complete after_gap [1-4] | GET /a 1-1 host=h | 200 2-4 body=500\n2 #3 complete [5-6] | GET /a 5-5 host=h | 200 6-6\n"},
		{"a gap from DATA into the next frames", Config{}, []step{
			c(preface, settings, get1, get3), s(settings, frame(typeHeaders, endHeaders, 1, ok200), frame(typeData, 0, 1, strings.Repeat("x", 500))[:109]),
			gap(sv, 800), s(strings.Repeat("x", 100), frame(typeData, 0, 1, "yyy"), frame(typeHeaders, endStream|endHeaders, 3, ok200), frame(typeData, endStream, 1, "z")),
		}, "2 #3 complete after_gap [1-4] | GET /a 1-1 host=h | 200 4-4\n1 #1 complete after_gap [1-4] | GET /a 1-1 host=h | 200 2-4 body=504\n"},
		{"a gap within a head", Config{}, []step{
			c(preface, settings, frame(typeHeaders, endStream|endHeaders, 1, get)[:15]), gap(cl, len(get)-10), c(get[len(get)-4:]),
			s(settings, frame(typeHeaders, endStream|endHeaders, 1, ok200)),
		}, "1 #1 complete after_gap [1-4] |   1-3 | 200 4-4\n"},
		{"bounds", Config{MaxHeaderBytes: 200, MaxStreams: 1}, []step{
			c(preface, settings, frame(typeHeaders, endStream|endHeaders, 1, get, block("x", large))), c(frame(typeHeaders, endStream|endHeaders, 3, get)),
		}, "1 #1 no_response !header_too_large [1-1] |   1-1\n2 #3 no_response [2-2] | GET /a 2-2 host=h\n"},
		{"malformed", Config{}, []step{
			c(preface, settings, frame(typeHeaders, endStream|endHeaders, 1, block("X-A", "b", ":method", "GET", ":path", "/", ":path", "/2", "connection", "close", "content-length", "x"))),
			c(frame(typeHeaders, endHeaders, 3, block(":method", "PUT", "content-length", "1", "content-length", "2")), frame(typeData, endStream, 3, "abc"), frame(typeData, endStream, 3, "abc")),
			c(frame(typeHeaders, endStream|endHeaders, 5, "\xff\xff\xff\xff\xff\x0f")),
			c(frame(typeHeaders, endHeaders, 7, get), frame(typeData, flagPadded, 7, "\x09ab")),
			c(frame(typeHeaders, 0, 9, get), frame(typePing, 0, 0, "12345678")), c(frame(typeHeaders, endStream|endHeaders, 11, get)),
		}, "1 #1 no_response !bad_pseudo_header,bad_field_name,connection_field,bad_content_length [1-1] | GET / 1-1\n" +
			"2 #3 no_response !conflicting_content_length,wrong_body_length,stray_frame [2-2] | PUT  2-2 cl=1 body=3\n" +
			"3 #5 no_response !bad_header_block [3-3] |   3-3\n4 #7 no_response !bad_frame [4-4] | GET /a 4-- host=h\n5 #11 no_response [6-6] | GET /a 6-6 host=h\n"},
	}
}

func TestExchanges(t *testing.T) {
	for _, x := range examples() {
		t.Run(x.name, func(t *testing.T) {
			p := New(x.cfg)
			if got := run(p, x.steps); got != x.want {
				t.Errorf("got\n%swant\n%s", got, x.want)
			}
		})
	}
}

func script(x example) parsertest.Script {
	out := parsertest.Script{Name: x.name}
	for _, s := range x.steps {
		switch s.call {
		case 'g':
			out.Calls = append(out.Calls, parsertest.Gap(s.side, s.n))
		case 'f':
			out.Calls = append(out.Calls, parsertest.Fin(s.side))
		case 'r':
			out.Calls = append(out.Calls, parsertest.Rst(s.side))
		default:
			out.Calls = append(out.Calls, parsertest.Feed(s.side, s.data))
		}
	}
	return out
}

func TestLaws(t *testing.T) {
	ce, se := encoder(), encoder()
	quiet := []parsertest.Call{
		parsertest.Feed(cl, preface+settings+frame(typeHeaders, endHeaders, 1, ce(":method", "POST", ":path", "/x", ":authority", "h"))),
		parsertest.Feed(sv, settings+frame(typeHeaders, endHeaders, 1, se(":status", "200", "server", "n"))),
	}
	laws := parsertest.Session[Exchange]{
		New: func() parsers.SessionParser[Exchange] {
			return New(Config{Headers: true, BodyHash: true, BodyType: true})
		},
		Text: func(x *Exchange) string {
			return render(x) + " " + x.Request.BodySHA256 + " " + x.Request.BodyType + " " + x.Response.BodySHA256 + " " + x.Response.BodyType
		},
		MaxHeld: 3 << 20,
		Quiet:   quiet,
		Again:   parsertest.Feed(sv, frame(typeData, 0, 1, strings.Repeat("b", 1391))+frame(typePing, 0, 0, "12345678")),
	}
	for _, x := range examples() {
		laws.Scripts = append(laws.Scripts, script(x))
	}
	laws.Test(t)
}

// Heads whose fields are all references cost no memory.
func TestNoAllocations(t *testing.T) {
	ce, se := encoder(), encoder()
	heads := func(id uint32) (a, b []byte) {
		return []byte(frame(typeHeaders, endStream|endHeaders, id, ce(":method", "GET", ":path", "/x", ":authority", "h", "user-agent", "u"))),
			[]byte(frame(typeHeaders, endStream|endHeaders, id, se(":status", "200", "server", "n")))
	}
	p := new(Parser)
	var got []Exchange
	at := flows.Stamp{Pos: flows.NewPosition(1, 1)}
	p.Feed(nil, cl, at, []byte(preface+settings))
	p.Feed(nil, sv, at, []byte(settings))
	a, b := heads(1)
	p.Feed(nil, cl, at, a)
	p.Feed(nil, sv, at, b)
	a, b = heads(1)
	n, id := 0, uint32(3)
	if avg := testing.AllocsPerRun(200, func() {
		for _, h := range [][]byte{a, b} {
			h[5], h[6], h[7], h[8] = byte(id>>24), byte(id>>16), byte(id>>8), byte(id)
		}
		got = p.Feed(got[:0], cl, at, a)
		got = p.Feed(got[:0], sv, at, b)
		n += len(got)
		id += 2
	}); avg != 0 || n != 201 {
		t.Errorf("%v allocations for an exchange, %d exchanges", avg, n)
	}
}

// What the decoder says after a loss is what an undamaged one says, less the
// fields that it cannot know.
func TestLossyDecoder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{":method", ":path", ":status", "server", "x-a", "x-b", "cookie", "content-length", "user-agent"}
	values := []string{"GET", "/", "200", "a", "b", strings.Repeat("long", 100), "1", ""}
	known := 0
	for range 300 {
		var buf bytes.Buffer
		enc := hpack.NewEncoder(&buf)
		var got, want []hpack.HeaderField
		whole := hpack.NewDecoder(defaultTable, func(f hpack.HeaderField) { want = append(want, f) })
		lossy := decoder{emit: func(f hpack.HeaderField) { got = append(got, f) }}
		lossy.reset(64 << 10)
		loss := rng.IntN(5)
		for i := range 12 {
			buf.Reset()
			if rng.IntN(8) == 0 {
				enc.SetMaxDynamicTableSize(uint32(rng.IntN(defaultTable)))
			}
			for range 1 + rng.IntN(8) {
				enc.WriteField(hpack.HeaderField{Name: names[rng.IntN(len(names))], Value: values[rng.IntN(len(values))], Sensitive: rng.IntN(5) == 0})
			}
			got, want = got[:0], want[:0]
			if _, err := whole.Write(buf.Bytes()); err != nil {
				t.Fatal(err)
			}
			whole.Close()
			if i < loss {
				lossy.lose()
				continue
			}
			unknown, ok := lossy.block(buf.Bytes())
			if ok && !unknown && len(got) != len(want) {
				t.Fatalf("block %d: %d of %d fields, nothing unknown", i, len(got), len(want))
			}
			j := 0
			for _, g := range got {
				if g.Name == unknownName {
					continue
				}
				for j < len(want) && want[j] != g {
					j++
				}
				if j == len(want) {
					t.Fatalf("block %d: %v is not in %v", i, g, want)
				}
				j++
				known++
			}
		}
	}
	if known < 5000 {
		t.Errorf("%d fields were known", known)
	}
}

func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		data string
		want parsers.Verdict
	}{
		{preface, parsers.Yes}, {preface + settings, parsers.Yes}, {preface[:10], parsers.Maybe}, {"PRI * HTTP/1.1\r\n", parsers.No},
		{settings, parsers.Yes}, {settings[:12], parsers.Maybe}, {settings[:4], parsers.Maybe},
		{frame(typeSettings, 0, 0), parsers.Maybe}, {frame(typeSettings, 0, 0) + ack, parsers.Yes},
		{frame(typeSettings, 0, 0) + frame(typeWindowUpdate, 0, 0, "\x00\x00\x10\x00"), parsers.Yes},
		{frame(typeSettings, 0, 0) + "GET / HTTP/1.1\r\n", parsers.No},
		{frame(typeSettings, 0, 0, "\x00\x63\x00\x00\x00\x64"), parsers.No},
		{ack, parsers.No}, {"GET / HTTP/1.1\r\n", parsers.No}, {"\x16\x03\x01", parsers.No}, {strings.Repeat("\x00", 64), parsers.No},
	} {
		if got := Probe([]byte(tt.data), cl); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.data, got, tt.want)
		}
	}
}

func FuzzProbe(f *testing.F) {
	f.Add([]byte(preface + settings))
	f.Add([]byte(settings))
	f.Fuzz(func(t *testing.T, b []byte) {
		// More bytes make a verdict certain and never turn it.
		last := parsers.Maybe
		for i := range len(b) + 1 {
			v := Probe(b[:i], cl)
			if last != parsers.Maybe && v != last {
				t.Fatalf("%q: %v after %v", b[:i], v, last)
			}
			last = v
		}
	})
}

func FuzzParser(f *testing.F) {
	for _, x := range examples() {
		var a, b string
		for _, s := range x.steps {
			if s.side == cl {
				a += s.data
			} else {
				b += s.data
			}
		}
		f.Add([]byte(a), []byte(b), uint16(0))
		f.Add([]byte(a), []byte(b), uint16(40))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, lost uint16) {
		p := New(Config{Headers: true, MaxStreams: 16})
		play := func() string {
			var out strings.Builder
			take := func(got []Exchange) {
				for i := range got {
					out.WriteString(render(&got[i]) + "\n")
				}
			}
			at := func(i int) flows.Stamp { return flows.Stamp{Time: int64(i), Pos: flows.NewPosition(1, uint64(i))} }
			n := min(int(lost), len(a))
			take(p.Feed(nil, cl, at(1), a[:n]))
			take(p.Gap(nil, cl, at(2), int64(lost%7)))
			take(p.Feed(nil, sv, at(3), b))
			take(p.Feed(nil, cl, at(4), a[n:]))
			take(p.End(nil))
			return out.String()
		}
		first := play()
		if p.held != 0 || len(p.open) != 0 || len(p.ids) != 0 {
			t.Errorf("%d bytes, %d streams left", p.held, len(p.open))
		}
		p.Reset()
		if again := play(); again != first {
			t.Errorf("after Reset\n%s\nbefore\n%s", again, first)
		}
	})
}

func BenchmarkData(b *testing.B) {
	p := new(Parser)
	at := flows.Stamp{Pos: flows.NewPosition(1, 1)}
	p.Feed(nil, cl, at, []byte(preface+settings+get1))
	p.Feed(nil, sv, at, []byte(settings+frame(typeHeaders, endHeaders, 1, ok200)))
	data := []byte(frame(typeData, 0, 1, strings.Repeat("b", 1391)))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p.Feed(nil, sv, at, data)
	}
}

func BenchmarkExchange(b *testing.B) {
	ce, se := encoder(), encoder()
	p := new(Parser)
	at := flows.Stamp{Pos: flows.NewPosition(1, 1)}
	p.Feed(nil, cl, at, []byte(preface+settings))
	p.Feed(nil, sv, at, []byte(settings))
	var got []Exchange
	i := uint32(1)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		q := []byte(frame(typeHeaders, endStream|endHeaders, i, ce(":method", "GET", ":path", "/x", ":authority", "h", "x-request", fmt.Sprint(i))))
		r := []byte(frame(typeHeaders, endStream|endHeaders, i, se(":status", "200", "server", "n", "etag", fmt.Sprint(i))))
		i += 2
		b.StartTimer()
		got = p.Feed(got[:0], cl, at, q)
		got = p.Feed(got[:0], sv, at, r)
	}
}
