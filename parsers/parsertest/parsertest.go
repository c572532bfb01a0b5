// Package parsertest holds every parser to the same laws. A parser's tests
// give it a constructor, a function that writes a message out whole, and a few
// exchanges; it compares what the parser says of them however their bytes are
// cut, and sees what the parser does with bytes that nobody should send:
//
//   - Any segmentation of the streams gives the same messages: every two-way
//     cut, byte by byte, random ones; also of exchanges with damaged bytes.
//   - A truncated exchange gives a prefix of the messages.
//   - Fed memory is overwritten after each call; messages do not change by it.
//   - A caller that stops feeding when the parser is Done misses nothing.
//   - After Reset a parser is as new, whatever it was fed before.
//   - Random bytes, gaps, ends and resets make it neither panic nor hold more
//     memory than it promises; one that is parsers.Bounded says what it holds,
//     parts of messages included.
//   - Calls, loops and loops over any messages of an Engine give the same messages, whole.
//   - What it calls quiet, bytes without a message, allocates nothing.
//
// A parser is held to them by
//
//	parsertest.Session[Message]{
//		New:  func() parsers.SessionParser[Message] { return new(Parser) },
//		Text: func(m *Message) string { return fmt.Sprintf("%+v", *m) },
//		Scripts: []parsertest.Script{{Name: "greeting", Messages: 1, Calls: []parsertest.Call{
//			parsertest.Feed(flows.Responder, "hello\r\n"), parsertest.Fin(flows.Responder),
//		}}},
//		MaxHeld: 64 << 10,
//	}.Test(t)
//
// The random choices are the same in every run.
package parsertest

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Call is one call of a parser: bytes of a side, or what befalls it. Each is
// of a packet of its own.
type Call struct {
	kind kind
	side flows.Side
	data []byte
	n    int64
}

type kind uint8

const (
	feed kind = iota
	gap
	fin
	rst
)

// Feed is the next bytes of side; for a datagram parser, a datagram.
func Feed[T string | []byte](side flows.Side, data T) Call {
	return Call{kind: feed, side: side, data: []byte(data)}
}

// Gap is n bytes of side that were not captured.
func Gap(side flows.Side, n int64) Call { return Call{kind: gap, side: side, n: n} }

// Fin is the end of side.
func Fin(side flows.Side) Call { return Call{kind: fin, side: side} }

// Rst is a reset by side.
func Rst(side flows.Side) Call { return Call{kind: rst, side: side} }

// Script is an exchange, in the order of its packets.
type Script struct {
	Name  string // of the subtest
	Calls []Call
	// Messages is how many messages the exchange gives at least, so that the laws
	// have something to hold for.
	Messages int
}

// Session is what the laws need to know of a SessionParser.
type Session[M any] struct {
	New func() parsers.SessionParser[M]
	// Text writes all of a message, stamps included. It is called while the
	// message is valid.
	Text    func(m *M) string
	Scripts []Script
	// MaxHeld bounds the bytes that one parser holds, whatever it is fed.
	MaxHeld int
	// Quiet, if not empty, is fed first; then Again, over and over, which gives no
	// message and must not allocate.
	Quiet []Call
	Again Call
}

// Datagram is what the laws need to know of a DatagramParser; its fields are as those of Session. Scripts are of Feeds.
type Datagram[M any] struct {
	New     func() parsers.DatagramParser[M]
	Text    func(m *M) string
	Scripts []Script
	MaxHeld int
	Again   []Call // datagrams that do not allocate, given over and over; nil: not tested
}

// Test tests s for the laws.
func (s Session[M]) Test(t *testing.T) {
	for _, script := range s.Scripts {
		t.Run(script.Name, func(t *testing.T) {
			s.script(t, script)
			s.engine(t, script)
		})
	}
	t.Run("random", func(t *testing.T) { s.random(t) })
	t.Run("memory", func(t *testing.T) { s.memory(t) })
	if len(s.Quiet) > 0 {
		t.Run("quiet", func(t *testing.T) { s.quiet(t) })
	}
}

// reporter is the part of testing.T that the laws speak to.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

// player feeds a parser and writes down its messages.
type player[M any] struct {
	parser parsers.SessionParser[M]
	text   func(*M) string
	got    []M
	out    []string
	buf    []byte
	lazy   bool // stops feeding once the parser is Done
}

func (p *player[M]) take(m []M) {
	for i := range m {
		p.out = append(p.out, p.text(&m[i]))
	}
	p.got = m[:0]
}

func stamp(i int) flows.Stamp {
	return flows.Stamp{Time: int64(i+1) * 1e6, Pos: flows.NewPosition(1, uint64(i+1))}
}

// call makes one call of packet i; the bytes go in pieces that next says the lengths of.
func (p *player[M]) call(i int, c Call, next func(left int) int) {
	if p.lazy && p.parser.Done() {
		return
	}
	switch c.kind {
	case gap:
		p.take(p.parser.Gap(p.got, c.side, stamp(i), c.n))
	case fin:
		p.take(p.parser.Fin(p.got, c.side, stamp(i)))
	case rst:
		p.take(p.parser.Rst(p.got, c.side, stamp(i)))
	case feed:
		for data := c.data; len(data) > 0; {
			n := len(data)
			if next != nil {
				n = min(n, max(1, next(n)))
			}
			p.buf = append(p.buf[:0], data[:n]...)
			lent := p.buf[:n:n]
			p.take(p.parser.Feed(p.got, c.side, stamp(i), lent))
			for j := range lent {
				lent[j] = 0xdd
			}
			data = data[n:]
		}
	}
}

func (p *player[M]) end() []string {
	p.take(p.parser.End(p.got))
	return p.out
}

func (s Session[M]) player() *player[M] { return &player[M]{parser: s.New(), text: s.Text} }

// Play returns the text of all messages of a script, each call's bytes fed at once.
func (s Session[M]) Play(script Script) []string { return s.play(script.Calls, nil) }

// play runs calls whole.
func (s Session[M]) play(calls []Call, next func(left int) int) []string {
	p := s.player()
	for i, c := range calls {
		p.call(i, c, next)
	}
	return p.end()
}

// same reports an error, and says where, if got is not want.
func same(t reporter, what string, got, want []string) bool {
	t.Helper()
	if slices.Equal(got, want) {
		return true
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	at := func(l []string) string {
		if i < len(l) {
			return l[i]
		}
		return "(none)"
	}
	t.Errorf("%s: %d messages, want %d; message %d is\n%s\nwant\n%s", what, len(got), len(want), i, at(got), at(want))
	return false
}

// maxCuts bounds the cuts that are tried of one exchange: all, if it is short.
const maxCuts = 3000

func (s Session[M]) script(t reporter, script Script) {
	want := s.play(script.Calls, nil)
	if len(want) < script.Messages {
		t.Errorf("%d messages, want %d at least:\n%s", len(want), script.Messages, strings.Join(want, "\n"))
	}
	if !same(t, "byte by byte", s.play(script.Calls, func(int) int { return 1 }), want) {
		return
	}
	r := random(1)
	for range 50 {
		most := 1 + r.below(200)
		if !same(t, fmt.Sprintf("pieces of up to %d bytes", most), s.play(script.Calls, func(int) int { return 1 + r.below(most) }), want) {
			return
		}
	}
	lazy := s.player()
	lazy.lazy = true
	for i, c := range script.Calls {
		lazy.call(i, c, nil)
	}
	same(t, "no bytes after Done", lazy.end(), want)

	total := 0
	for _, c := range script.Calls {
		total += len(c.data)
	}
	step := 1 + total/maxCuts
	used := s.player() // and Reset after every truncated exchange
	passed := 0
	for k, c := range script.Calls {
		for cut := 1; cut < len(c.data); cut += step {
			first := true
			p := s.player()
			for i, d := range script.Calls {
				if i != k {
					p.call(i, d, nil)
					continue
				}
				p.call(i, d, func(left int) int {
					if first {
						first = false
						return cut
					}
					return left
				})
			}
			if !same(t, fmt.Sprintf("packet %d cut after %d bytes", k+1, cut), p.end(), want) {
				return
			}
			// The truncated exchange: what it gives before the end is a prefix.
			used.out = used.out[:0]
			for i, d := range script.Calls[:k] {
				used.call(i, d, nil)
			}
			d := c
			d.data = c.data[:cut]
			used.call(k, d, nil)
			if len(used.out) > len(want) || !same(t, fmt.Sprintf("packet %d truncated after %d bytes", k+1, cut), used.out, want[:len(used.out)]) {
				return
			}
			used.end()
			used.parser.Reset()
			if passed++; passed%16 == 0 {
				used.out = used.out[:0]
				for i, d := range script.Calls {
					used.call(i, d, nil)
				}
				if !same(t, fmt.Sprintf("Reset after packet %d truncated after %d bytes", k+1, cut), used.end(), want) {
					return
				}
				used.parser.Reset()
			}
		}
	}
}

// random makes exchanges with damaged bytes, which must not depend on their
// segmentation either, and then anything at all, which must not panic.
func (s Session[M]) random(t reporter) {
	r := random(2)
	for n := range 400 {
		calls := damage(r, s.calls(r))
		want := s.play(calls, nil)
		most := 1 + r.below(100)
		if !same(t, fmt.Sprintf("damaged exchange %d in pieces of up to %d bytes", n, most),
			s.play(calls, func(int) int { return 1 + r.below(most) }), want) {
			for i, c := range calls {
				t.Logf("packet %d: %d %s %d %q", i+1, c.kind, c.side, c.n, c.data)
			}
			return
		}
	}
	p := s.player()
	for n := range 400 {
		p.out = p.out[:0]
		calls := s.calls(r)
		if n%2 == 0 {
			calls = damage(r, calls)
		}
		for i := range calls {
			if r.below(4) == 0 {
				c := Call{kind: kind(1 + r.below(3)), side: flows.Side(r.below(2)), n: int64(r.below(3000))}
				if r.below(20) == 0 {
					c.n <<= r.below(50)
				}
				calls = slices.Insert(calls, i, c)
			}
			if r.below(8) == 0 {
				calls[i].side = calls[i].side.Other()
			}
		}
		for i, c := range calls {
			p.call(i, c, nil)
		}
		p.end()
		p.parser.Reset()
	}
}

// calls returns one of the scripts, or random bytes.
func (s Session[M]) calls(r *rng) []Call {
	if len(s.Scripts) == 0 || r.below(8) == 0 {
		var calls []Call
		for range 1 + r.below(10) {
			calls = append(calls, Call{side: flows.Side(r.below(2)), data: r.bytes(1 + r.below(600))})
		}
		return calls
	}
	return slices.Clone(s.Scripts[r.below(len(s.Scripts))].Calls)
}

// damage changes, drops or repeats some bytes of calls.
func damage(r *rng, calls []Call) []Call {
	for range 1 + r.below(4) {
		k := r.below(len(calls))
		c := &calls[k]
		if c.kind != feed || len(c.data) == 0 {
			continue
		}
		i := r.below(len(c.data))
		c.data = bytes.Clone(c.data)
		switch r.below(4) {
		case 0:
			c.data[i] = byte(r.next())
		case 1:
			c.data[i] ^= 1 << r.below(8)
		case 2:
			c.data = slices.Delete(c.data, i, min(len(c.data), i+1+r.below(20)))
		case 3:
			c.data = slices.Insert(c.data, i, c.data[i:min(len(c.data), i+1+r.below(20))]...)
		}
	}
	return calls
}

// attackBytes is what an attack on memory feeds, maxAttacked how many exchanges
// it is tried with.
const (
	attackBytes = 2 << 20
	maxAttacked = 6
)

// memory feeds the parser much of one kind and sees what it holds.
func (s Session[M]) memory(t reporter) {
	attacks := make(map[string]func(r *rng, yield func(Call) bool))
	add := func(name string, begin []Call, again func(r *rng) Call) {
		attacks[name] = func(r *rng, yield func(Call) bool) {
			for _, c := range begin {
				if !yield(c) {
					return
				}
			}
			for {
				if !yield(again(r)) {
					return
				}
			}
		}
	}
	add("random bytes", nil, func(r *rng) Call { return Call{side: flows.Side(r.below(2)), data: r.bytes(1400)} })
	for k, script := range s.Scripts {
		// Some of them, and the last: a test puts its largest there.
		calls := script.Calls
		if len(calls) == 0 || k*maxAttacked/len(s.Scripts) == (k-1)*maxAttacked/len(s.Scripts) && 0 < k && k < len(s.Scripts)-1 {
			continue
		}
		i := -1
		add("over and over: "+script.Name, nil, func(*rng) Call { i++; return calls[i%len(calls)] })
		for side := range flows.Side(2) {
			only := slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.kind != feed || c.side != side })
			if len(only) == 0 {
				continue
			}
			j := -1
			add(fmt.Sprintf("the %s alone: %s", side, script.Name), nil, func(*rng) Call { j++; return only[j%len(only)] })
			// All of a side until the middle of its largest piece: what is put together waits.
			k := 0
			for i, c := range only {
				if len(c.data) > len(only[k].data) {
					k = i
				}
			}
			half := slices.Clone(only[:k+1])
			half[k].data = half[k].data[:len(half[k].data)/2]
			add(fmt.Sprintf("the %s until the middle of its largest piece, then a byte at a time: %s", side, script.Name), half,
				func(*rng) Call { return Call{side: side, data: []byte{'A'}} })
			first := only[0]
			for name, with := range map[string][]byte{"zeros": make([]byte, 1400), "letters": bytes.Repeat([]byte("A"), 1400), "lines": bytes.Repeat([]byte("a: b\r\n"), 200)} {
				for _, part := range []int{1, 2, 3} {
					first.data = only[0].data[:len(only[0].data)*part/4]
					add(fmt.Sprintf("%d/4 of %s's first bytes, then %s: %s", part, side, name, script.Name), []Call{first},
						func(*rng) Call { return Call{side: side, data: with} })
				}
			}
		}
	}
	names := make([]string, 0, len(attacks))
	for name := range attacks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := &player[M]{text: func(*M) string { return "" }}
		w := weigh(s.New, s.MaxHeld)
		i := 0
		attacks[name](random(3), func(c Call) bool {
			for _, parser := range w.parsers {
				p.parser = parser
				p.call(i, c, nil)
				p.out = p.out[:0]
			}
			i++
			if w.due(len(c.data) + 1) {
				p.parser, p.got, p.out, p.buf = nil, nil, nil, nil
				w.compare(t, name)
			}
			return w.fed < attackBytes
		})
	}
}

// A scale compares what parsers hold with what they may hold and with what they say. It has several of
// them, which are fed the same, because what the runtime does meanwhile weighs as much as a small parser;
// and it weighs early and often, because a parser lets go of all it held once it is Done.
type scale[P any] struct {
	parsers []P
	max     int
	before  int64
	fed     int
	next    int // fed by then: weigh
}

// weighedBytes is what all the parsers of a scale are fed; one alone goes on.
const weighedBytes = 128 << 10

func weigh[P any](make func() P, max int) *scale[P] {
	runtime.GC() // what is in pools goes with the second one, in heap
	w := &scale[P]{max: max, next: 1 << 10, before: heap()}
	for range 16 {
		w.parsers = append(w.parsers, make())
	}
	return w
}

// due counts n bytes as fed, and reports whether to compare.
func (w *scale[P]) due(n int) bool {
	w.fed += n
	return w.fed >= w.next || w.fed >= attackBytes
}

func (w *scale[P]) compare(t reporter, what string) {
	t.Helper()
	n, held, said, bounded := len(w.parsers), int(heap()-w.before), 0, false
	for _, p := range w.parsers {
		var b parsers.Bounded
		if b, bounded = any(p).(parsers.Bounded); bounded {
			said += b.Held()
		}
	}
	what = fmt.Sprintf("%s: after %d bytes", what, w.fed)
	if held > n*w.max {
		t.Errorf("%s the parser holds %d bytes, more than %d", what, held/n, w.max)
	}
	// What is said may be half or double, beside what is too little to matter and what the runtime takes.
	if bounded && held > 2*said+16<<10 {
		t.Errorf("%s the parser holds %d bytes and says %d", what, held/n, said/n)
	}
	if bounded && said > 2*held+16<<10 {
		t.Errorf("%s the parser says %d bytes and holds %d", what, said/n, held/n)
	}
	w.next *= 6
	if n > 1 && w.fed >= weighedBytes {
		clear(w.parsers[1:])
		w.parsers = w.parsers[:1]
		w.before = heap() - int64(held/n)
	}
	runtime.KeepAlive(w)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func (s Session[M]) quiet(t reporter) {
	p := &player[M]{parser: s.New(), text: func(*M) string { return "" }}
	for i, c := range s.Quiet {
		p.call(i, c, nil)
	}
	p.out = p.out[:0]
	i := len(s.Quiet)
	if n := testing.AllocsPerRun(1000, func() {
		p.got = p.parser.Feed(p.got[:0], s.Again.side, stamp(i), s.Again.data)
		i++
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if len(p.got) > 0 {
		t.Errorf("the quiet bytes give a message: %s", s.Text(&p.got[0]))
	}
}

// Test tests d for the laws.
func (d Datagram[M]) Test(t *testing.T) {
	for _, script := range d.Scripts {
		t.Run(script.Name, func(t *testing.T) {
			want := d.play(d.New(), script.Calls, true)
			if len(want) < script.Messages {
				t.Errorf("%d messages, want %d at least", len(want), script.Messages)
			}
			d.engine(t, script)
			used := d.New()
			for k := range script.Calls {
				got := d.play(used, script.Calls[:k], false)
				if len(got) > len(want) || !same(t, fmt.Sprintf("the first %d datagrams", k), got, want[:len(got)]) {
					return
				}
				used.End(nil)
				used.Reset()
				for cut := range len(script.Calls[k].data) { // a datagram that is cut is one of another length, of the same flow
					calls := slices.Clone(script.Calls[:k+1])
					calls[k].data = calls[k].data[:cut]
					got := d.play(used, calls, true)
					used.Reset()
					if fresh := d.play(d.New(), calls, true); !same(t, "Reset", got, fresh) {
						return
					}
				}
			}
		})
	}
	t.Run("random", func(t *testing.T) {
		r := random(4)
		p := d.New()
		for range 2000 {
			var calls []Call
			if len(d.Scripts) > 0 && r.below(8) > 0 {
				calls = damage(r, slices.Clone(d.Scripts[r.below(len(d.Scripts))].Calls))
			} else {
				calls = []Call{{data: r.bytes(1 + r.below(1400))}}
			}
			d.play(p, calls, r.below(2) == 0)
			p.Reset()
		}
	})
	t.Run("memory", func(t *testing.T) {
		for _, script := range d.Scripts {
			for side := range flows.Side(2) {
				r := random(5)
				var got []M
				w := weigh(d.New, d.MaxHeld)
				for i := 0; w.fed < attackBytes; i++ {
					c := script.Calls[i%len(script.Calls)]
					if c.side == side { // the other's is what is never answered
						data := bytes.Clone(c.data)
						if len(data) >= 2 { // identifiers are there, as a rule
							data[0], data[1] = byte(r.next()), byte(r.next())
						}
						for _, p := range w.parsers {
							got = p.Datagram(got[:0], c.side, stamp(i), data)
						}
					} else {
						c.data = nil
					}
					if w.due(len(c.data) + 1) {
						got = nil
						w.compare(t, fmt.Sprintf("the %s alone of %s", side, script.Name))
					}
				}
			}
		}
	})
	if d.Again != nil {
		t.Run("quiet", func(t *testing.T) {
			p := d.New()
			var got []M
			i := 0
			if n := testing.AllocsPerRun(1000, func() {
				for _, c := range d.Again {
					got = p.Datagram(got[:0], c.side, stamp(i), c.data)
					i++
				}
			}); n != 0 {
				t.Errorf("%v allocations a round", n)
			}
		})
	}
}

// play gives the datagrams to p, each cleared after its call.
func (d Datagram[M]) play(p parsers.DatagramParser[M], calls []Call, end bool) (out []string) {
	var got []M
	take := func(m []M) {
		for i := range m {
			out = append(out, d.Text(&m[i]))
		}
		got = m[:0]
	}
	for i, c := range calls {
		lent := bytes.Clone(c.data)
		take(p.Datagram(got, c.side, stamp(i), lent))
		for j := range lent {
			lent[j] = 0xdd
		}
	}
	if end {
		take(p.End(got))
	}
	return out
}

// rng is a small generator (splitmix64), the same in every run.
type rng struct{ s uint64 }

func random(seed uint64) *rng { return &rng{seed} }

func (r *rng) next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n-1.
func (r *rng) below(n int) int { return int(r.next() % uint64(n)) }

func (r *rng) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.next() >> 32)
	}
	return b
}
