package parsers_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/dns"
	"github.com/caplake/caplake/parsers/http"
	"github.com/caplake/caplake/parsers/parsertest"
	"github.com/caplake/caplake/parsers/tls"
)

const captures = "../testdata/captures"

func httpText(f *flows.Flow, x *http.Exchange) string {
	return fmt.Sprintf("%s http %d %s %s %d %s %d", f, x.Depth, x.Request.Method, x.Request.Target, x.Response.Status, x.Outcome, x.Response.BodyBytes)
}

func tlsText(f *flows.Flow, h *tls.Handshake) string {
	return fmt.Sprintf("%s tls %s %x %s", f, h.Client.SNI, h.Server.Cipher, h.Outcome)
}

func dnsText(f *flows.Flow, t *dns.Transaction) string {
	return fmt.Sprintf("%s dns %s %s %d %s %d", f, t.Service, t.QName, t.QType, t.Outcome, len(t.Answers))
}

// TestShapes: callbacks, handlers, loops and loops over everything say the same.
func TestShapes(t *testing.T) {
	var callbacks, handlers, mixed []string
	err := parsers.Run(ingest.Packets(captures), parsers.Config{},
		parsers.On(http.Protocol(http.Config{}), http.Callbacks{Exchange: func(f *flows.Flow, x *http.Exchange) { callbacks = append(callbacks, httpText(f, x)) }}.Handle),
		parsers.On(tls.Protocol(tls.Config{}), tls.Callbacks{Handshake: func(f *flows.Flow, h *tls.Handshake) { callbacks = append(callbacks, tlsText(f, h)) }}.Handle),
		parsers.On(dns.Protocol(dns.Config{}), dns.Callbacks{Transaction: func(f *flows.Flow, x *dns.Transaction) { callbacks = append(callbacks, dnsText(f, x)) }}.Handle))
	if err != nil || len(callbacks) < 90 {
		t.Fatal(len(callbacks), err)
	}

	open := map[string]int{}
	started, ended, shapes := 0, 0, 0
	e := parsers.NewEngine(parsers.Config{Flows: flows.Config{PayloadBytes: 4}, Hooks: parsers.Hooks{
		Shape: func(f *flows.Flow, s *flows.Shape) {
			if len(s.Payload[0]) > 0 {
				shapes--
			}
		},
		FlowStarted: func(*flows.Flow, *flows.Packet) { started++ },
		FlowEnded: func(f *flows.Flow, tcp *flows.TCP) {
			ended++
			if f.Sides[0].PayloadBytes > 0 {
				shapes++
			}
			if (tcp != nil) != (f.Proto == flows.ProtoTCP) || f.End == flows.EndNone {
				t.Errorf("%s ended by %q, TCP %v", f, f.End, tcp != nil)
			}
		},
	}}, parsers.On(http.Protocol(http.Config{}), func(ev parsers.Event[http.Exchange]) {
		if session(t, open, ev) {
			handlers = append(handlers, httpText(ev.Flow, ev.Message))
		}
	}), parsers.On(tls.Protocol(tls.Config{}), func(ev parsers.Event[tls.Handshake]) {
		if session(t, open, ev) {
			handlers = append(handlers, tlsText(ev.Flow, ev.Message))
		}
	}), parsers.On(dns.Protocol(dns.Config{}), func(ev parsers.Event[dns.Transaction]) {
		if session(t, open, ev) {
			handlers = append(handlers, dnsText(ev.Flow, ev.Message))
		}
	}))
	if err := e.Run(ingest.Packets(captures)); err != nil {
		t.Fatal(err)
	}
	for name, n := range open {
		if n != 0 {
			t.Errorf("%s is open %d times at the end", name, n)
		}
	}
	if started != ended || uint64(started) != e.Tracker().Stats.Flows || len(e.Tracker().Live(nil)) != 0 {
		t.Errorf("%d flows started, %d ended, %d live", started, ended, len(e.Tracker().Live(nil)))
	}
	if shapes != 0 {
		t.Errorf("%d more flows with payload than shapes of them", shapes)
	}

	text := func(ev parsers.Event[any]) string {
		switch m := (*ev.Message).(type) {
		case *http.Exchange:
			return httpText(ev.Flow, m)
		case *tls.Handshake:
			return tlsText(ev.Flow, m)
		case *dns.Transaction:
			return dnsText(ev.Flow, m)
		}
		return ""
	}
	all := []parsers.Protocol[any]{parsers.Any(http.Protocol(http.Config{})), parsers.Any(tls.Protocol(tls.Config{})), parsers.Any(dns.Protocol(dns.Config{}))}
	for ev, err := range parsers.Messages(ingest.Packets(captures), parsers.Config{}, all...) {
		if err != nil {
			t.Fatal(err)
		}
		mixed = append(mixed, text(ev))
	}
	if !slices.Equal(callbacks, handlers) || !slices.Equal(callbacks, mixed) {
		t.Errorf("callbacks say\n%s\nhandlers\n%s\nthe loop\n%s", strings.Join(callbacks, "\n"), strings.Join(handlers, "\n"), strings.Join(mixed, "\n"))
	}
	var alone []string
	for ev, err := range parsers.Messages(ingest.Packets(captures), parsers.Config{}, tls.Protocol(tls.Config{})) {
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, tlsText(ev.Flow, ev.Message))
	}
	beside := slices.DeleteFunc(slices.Clone(callbacks), func(s string) bool { return !strings.Contains(s, " tls ") })
	if !slices.Equal(alone, beside) {
		t.Errorf("tls alone says\n%s\nbeside others\n%s", strings.Join(alone, "\n"), strings.Join(beside, "\n"))
	}

	// Breaking out gives what came before, and stops everything.
	goroutines := runtime.NumGoroutine()
	for _, n := range []int{1, 2, 17, len(mixed)} {
		k := 0
		for range parsers.Messages(ingest.Packets(captures), parsers.Config{}, all...) {
			if k++; k == n {
				break
			}
		}
		if k != n {
			t.Errorf("%d messages after a break at %d", k, n)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= goroutines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left, of %d", runtime.NumGoroutine(), goroutines)
}

// session keeps account of sessions and reports whether ev is a message.
func session[M any](t *testing.T, open map[string]int, ev parsers.Event[M]) bool {
	name := fmt.Sprint(ev.Protocol, " ", ev.Flow.ID())
	if (ev.Message != nil) != (ev.Kind == parsers.Message) {
		t.Errorf("%s: %s", name, ev.Kind)
	}
	switch ev.Kind {
	case parsers.Started:
		open[name]++
		if open[name] != 1 {
			t.Errorf("%s started twice", name)
		}
	case parsers.Ended:
		open[name]--
	}
	if open[name] < 0 || ev.Kind == parsers.Message && open[name] != 1 {
		t.Errorf("%s: %s while open %d times", name, ev.Kind, open[name])
	}
	return ev.Kind == parsers.Message
}

// TestConversations: what the sides said, read by http.Parser, is what the engine says.
func TestConversations(t *testing.T) {
	var want, got []string
	for ev, err := range parsers.Messages(ingest.Packets(captures), parsers.Config{}, http.Protocol(http.Config{})) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, httpText(ev.Flow, ev.Message))
	}
	bytes := 0
	for c, err := range parsers.Conversations(ingest.Packets(captures), parsers.ConversationConfig{}) {
		if err != nil {
			t.Fatal(err)
		}
		p := http.New(http.Config{})
		var m []http.Exchange
		take := func(m []http.Exchange) {
			for i := range m {
				got = append(got, httpText(&c.Flow, &m[i]))
			}
		}
		if len(c.Chunks[0].Data) > 0 && http.Probe(c.Chunks[0].Data, c.Chunks[0].Side) != parsers.No {
			for _, k := range c.Chunks {
				switch {
				case k.Fin:
					take(p.Fin(m, k.Side, k.At))
				case k.Rst:
					take(p.Rst(m, k.Side, k.At))
				case k.Gap > 0:
					take(p.Gap(m, k.Side, k.At, k.Gap))
				default:
					take(p.Feed(m, k.Side, k.At, k.Data))
				}
			}
			take(p.End(m))
		}
		for side := range flows.Side(2) {
			var all int
			r := c.Reader(side)
			for {
				b, err := io.ReadAll(r)
				all += len(b)
				var gap *parsers.GapError
				if errors.As(err, &gap) {
					all += int(gap.N)
				} else if err != nil {
					t.Fatal(err)
				} else {
					break
				}
			}
			bytes += all
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) || bytes == 0 {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	n := 0
	for c, err := range parsers.Conversations(ingest.Packets(captures), parsers.ConversationConfig{MaxBytes: 300}) {
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, k := range c.Chunks {
			kept += len(k.Data)
		}
		if _, err := io.ReadAll(c.Reader(0)); kept > 300 || (c.Dropped > 0) != (err == io.ErrUnexpectedEOF) && !errors.As(err, new(*parsers.GapError)) {
			t.Errorf("%s: %d bytes kept, %d dropped, %v", &c.Flow, kept, c.Dropped, err)
		}
		n++
	}
	if n < 5 {
		t.Errorf("%d conversations", n)
	}
}

// TestSourceError: what came before is told to its end, and then the error, once.
func TestSourceError(t *testing.T) {
	bad := errors.New("bad")
	n := 0
	src := func(yield func(flows.Captured, error) bool) {
		for c, err := range ingest.Packets(captures + "/dns-udp.pcap") {
			if n++; n == 20 {
				err = bad
			}
			if !yield(c, err) {
				return
			}
		}
	}
	var kinds []string
	for ev, err := range parsers.Sessions(src, parsers.Config{}, dns.Protocol(dns.Config{})) {
		if err != nil {
			kinds = append(kinds, err.Error())
		} else if ev.Kind != parsers.Message {
			kinds = append(kinds, ev.Kind.String())
		}
	}
	if n := len(kinds); n < 3 || n%2 == 0 || kinds[n-1] != "bad" || kinds[n-2] != "ended" {
		t.Errorf("%q", kinds)
	}
	if err := parsers.Run(src, parsers.Config{}); err != nil {
		t.Error("the source went on after its error:", err)
	}
	var damage *ingest.DamageError
	for _, err := range ingest.Packets("engine.go") {
		if !errors.As(err, &damage) {
			t.Errorf("a file that is no capture: %v", err)
		}
	}
	if damage == nil {
		t.Error("a file that is no capture gives no error")
	}
}

// noMessages is a parser that says nothing.
type noMessages struct{ parsers.Defaults[int] }

func (noMessages) Feed(dst []int, side flows.Side, at flows.Stamp, data []byte) []int { return dst }
func (noMessages) Reset()                                                             {}

func nothing(name string, ports ...uint16) parsers.Protocol[int] {
	return parsers.Protocol[int]{Name: name, Ports: ports, Stream: func() parsers.SessionParser[int] { return noMessages{} }}
}

func TestChoice(t *testing.T) {
	probe := func(v parsers.Verdict) parsers.Probe {
		return func(*flows.Flow, flows.Side, []byte) parsers.Verdict { return v }
	}
	with := func(p parsers.Protocol[int], probe parsers.Probe) parsers.Protocol[int] {
		p.Probe = probe
		return p
	}
	for _, tt := range []struct {
		name      string
		protocols []parsers.Protocol[int]
		want      string
	}{
		{"port", []parsers.Protocol[int]{nothing("other", 81), nothing("this", 80)}, "this true"},
		{"any", []parsers.Protocol[int]{nothing("other", 81), nothing("any")}, "any false"},
		{"first of two", []parsers.Protocol[int]{with(nothing("first"), probe(parsers.Yes)), nothing("this", 80)}, "first false"},
		{"hint", []parsers.Protocol[int]{with(nothing("first"), probe(parsers.Yes)), with(nothing("this", 80), probe(parsers.Yes))}, "this true"},
		{"hint refused", []parsers.Protocol[int]{with(nothing("this", 80), probe(parsers.No)), with(nothing("first"), probe(parsers.Yes))}, "first false"},
		{"never sure", []parsers.Protocol[int]{with(nothing("this"), probe(parsers.Maybe))}, " false"},
		{"datagrams only", []parsers.Protocol[int]{{Name: "udp"}}, " false"},
	} {
		var list []parsers.Registration
		for _, p := range tt.protocols {
			list = append(list, parsers.On(p, func(parsers.Event[int]) {}))
		}
		var got string
		var e *parsers.Engine
		e = parsers.NewEngine(parsers.Config{Hooks: parsers.Hooks{FlowEnded: func(f *flows.Flow, _ *flows.TCP) {
			name, byPort := e.Protocol(f)
			got = fmt.Sprint(name, " ", byPort)
		}}}, list...)
		s := segments(1)
		for range 50 {
			e.Add(s())
		}
		e.Finish()
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// segments returns a maker of in-order segments of 1,400 bytes, of n flows to port 80 in turn.
func segments(n int) func() flows.Captured {
	p := new(flows.Packet)
	*p = flows.Packet{Proto: flows.ProtoTCP, Flags: flows.HasPorts, DstPort: 80, TCPFlags: flows.ACK, TTL: 64,
		Payload: 40, PayloadLen: 1400, PayloadCaptured: 1400, IPLen: 1440, WireLen: 1440, Transport: 20, Time: 1e18}
	p.Src, p.Dst = flows.Addr{10: 0xff, 11: 0xff, 12: 10, 15: 1}, flows.Addr{10: 0xff, 11: 0xff, 12: 10, 15: 2}
	data := make([]byte, 1440)
	seqs, hashes := make([]uint32, n), make([]uint64, n)
	for i := range n {
		hashes[i] = flows.Hash(&p.Src, &p.Dst, uint16(i), 80, flows.ProtoTCP)
	}
	i := 0
	return func() flows.Captured {
		p.SrcPort, p.Hash, p.Seq = uint16(i), hashes[i], seqs[i]
		p.Time += 1000
		p.Pos++
		seqs[i] += 1400
		if i++; i == n {
			i = 0
		}
		return flows.Captured{Packet: p, Data: data}
	}
}

// TestAllocations: an in-order packet without a message allocates nothing, whatever runs over it.
func TestAllocations(t *testing.T) {
	e := parsers.NewEngine(parsers.Config{}, parsers.On(nothing("nothing", 80), func(parsers.Event[int]) {}))
	s := segments(10)
	for range 100 {
		e.Add(s())
	}
	if n := testing.AllocsPerRun(1000, func() { e.Add(s()) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

// TestLines holds the parser of the examples to the laws.
func TestLines(t *testing.T) {
	parsertest.Session[line]{
		New:  func() parsers.SessionParser[line] { return new(lines) },
		Text: func(l *line) string { return fmt.Sprintf("%s %q", l.side, l.text) },
		Scripts: []parsertest.Script{{Name: "two sides", Messages: 4, Calls: []parsertest.Call{
			parsertest.Feed(flows.Initiator, "one\r\ntwo\nthr"), parsertest.Feed(flows.Responder, "\r\n"),
			parsertest.Feed(flows.Initiator, "ee\r\n"+strings.Repeat("x", 2000)+"\n"), parsertest.Fin(flows.Initiator),
		}}},
		MaxHeld: 16 << 10,
	}.Test(t)
}

// BenchmarkLayerEngine is a segment, handed to a parser that does nothing. See the benchmarks of package flows.
func BenchmarkLayerEngine(b *testing.B) {
	for _, c := range []struct {
		flows  int
		theirs float64
	}{{1, 500}, {10_000, 800}} {
		n := c.flows
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			e := parsers.NewEngine(parsers.Config{}, parsers.On(nothing("nothing"), func(parsers.Event[int]) {}))
			s := segments(n)
			for range n {
				e.Add(s())
			}
			b.ResetTimer()
			for range b.N {
				e.Add(s())
			}
			b.ReportMetric(c.theirs, "published-ns")
		})
	}
}
