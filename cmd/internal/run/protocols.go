package run

import (
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/dns"
	"github.com/caplake/caplake/parsers/http"
	"github.com/caplake/caplake/parsers/http2"
	"github.com/caplake/caplake/parsers/proxy"
	"github.com/caplake/caplake/parsers/ssh"
	"github.com/caplake/caplake/parsers/tls"
	"github.com/caplake/caplake/schema"
)

// protocol is one entry of the list of protocols: how to tell it, how to
// parse it, and how its messages become rows.
type protocol struct {
	// name is what a flow is called that begins with the protocol. Empty: it
	// is called after what comes behind.
	name string
	// stream and datagram look at the first bytes of a side; nil: the protocol
	// is not spoken that way.
	stream   func(f *flows.Flow, side flows.Side, data []byte) (parsers.Verdict, schema.AppBasis)
	datagram func(f *flows.Flow, side flows.Side, data []byte) (parsers.Verdict, schema.AppBasis)

	newStream   func() streamSession
	newDatagram func() datagramSession

	// begins reports whether a datagram of a flow that speaks the protocol may
	// have something for a parser that knows nothing of the flow (yet, or any
	// more). It keeps protected traffic away from the parsers. nil: every datagram.
	begins func(data []byte) bool

	own ownTable // the protocol's own table; nil: its rows go to others
}

// protocols returns the protocols in the order in which they are asked. A
// protocol is added here, with its folder under parsers and its table in schema.
func protocols(c *Config) []protocol {
	httpOptions := schema.HTTPOptions{Headers: c.Headers}
	tlsOptions := schema.TLSOptions{Strings: c.Fingerprints}
	return []protocol{
		{
			name:   "tls",
			stream: byPayload(tls.Probe),
			newStream: func() streamSession {
				return &stream[tls.Handshake]{
					parser: new(tls.Parser),
					row: func(s *sessions, f *flows.Flow, row *schema.Session, m *tls.Handshake) {
						s.out.tls.rows = schema.AppendTLS(s.out.tls.rows, m, row, &s.arena, s.certs, tlsOptions)
						s.out.tls.key(s.at)
						s.sightings.note(m, row, s.certs)
						f.User[userHTTP] += 1 << 32
					},
				}
			},
		},
		{
			name:   "http",
			stream: byPayload(http.Probe),
			newStream: func() streamSession {
				return &stream[http.Exchange]{
					parser: http.New(http.Config{Headers: c.Headers, MaxPending: c.MaxPending, BodyHash: c.BodyHash, BodyType: c.BodyMIME}),
					row: func(s *sessions, f *flows.Flow, row *schema.Session, m *http.Exchange) {
						m.Depth += s.session(f).rowsBefore
						s.out.http.rows = schema.AppendHTTP(s.out.http.rows, m, row, &s.arena, httpOptions)
						s.out.http.key(s.at)
						f.User[userHTTP]++
					},
				}
			},
		},
		{
			name:   "http2",
			stream: byPayload(http2.Probe),
			newStream: func() streamSession {
				return &stream[http2.Exchange]{
					parser: http2.New(http2.Config{Headers: c.Headers, MaxStreams: c.MaxPending, BodyHash: c.BodyHash, BodyType: c.BodyMIME}),
					row: func(s *sessions, f *flows.Flow, row *schema.Session, m *http2.Exchange) {
						m.Depth += s.session(f).rowsBefore
						s.out.http.rows = schema.AppendHTTP2(s.out.http.rows, m, row, &s.arena, httpOptions)
						s.out.http.key(s.at)
						f.User[userHTTP]++
					},
				}
			},
		},
		{name: "socks", stream: byPayload(proxy.ProbeSOCKS), newStream: newProxy},
		{stream: byPayload(proxy.ProbePROXY), newStream: newProxy},
		{
			name: "dns",
			stream: func(f *flows.Flow, _ flows.Side, data []byte) (parsers.Verdict, schema.AppBasis) {
				return probeDNS(f, data, true)
			},
			datagram: func(f *flows.Flow, _ flows.Side, data []byte) (parsers.Verdict, schema.AppBasis) {
				return probeDNS(f, data, false)
			},
			newStream: func() streamSession {
				return &stream[dns.Transaction]{parser: &dns.TCP{Config: dns.Config{MaxPending: c.MaxPending}}, row: dnsRow}
			},
			newDatagram: func() datagramSession {
				return &datagram[dns.Transaction]{parser: &dns.UDP{Config: dns.Config{MaxPending: c.MaxPending}}, row: dnsRow,
					begin: func(p parsers.DatagramParser[dns.Transaction], f *flows.Flow) {
						p.(*dns.UDP).Service = dns.ServiceOf(f.SrcPort, f.DstPort)
					}}
			},
		},
		quicProtocol(tlsOptions),
		dtlsProtocol(tlsOptions),
		withTable(ssh.Protocol(), schema.AppendSSH),
	}
}

// withTable is the entry of a protocol that has a table of its own, named like it: all that there is
// to say of it is in its packages.
func withTable[M, R any](p parsers.Protocol[M], appendRows func([]R, *M, *schema.Session, *schema.Arena) []R) protocol {
	own := &rowsOf[R]{name: p.Name}
	row := func(s *sessions, _ *flows.Flow, row *schema.Session, m *M) {
		l := own.list(s.out)
		l.rows = appendRows(l.rows, m, row, &s.arena)
		l.key(s.at)
	}
	probe := func(f *flows.Flow, side flows.Side, data []byte) (parsers.Verdict, schema.AppBasis) {
		onPort := slices.Contains(p.Ports, f.SrcPort) || slices.Contains(p.Ports, f.DstPort)
		switch {
		case p.Probe == nil && onPort:
			return parsers.Yes, schema.AppByPort
		case p.Probe == nil:
			return parsers.No, schema.AppByPort
		case onPort:
			return p.Probe(f, side, data), schema.AppByPort
		}
		return p.Probe(f, side, data), schema.AppByPayload
	}
	out := protocol{name: p.Name, own: own}
	if p.Stream != nil {
		out.stream = probe
		out.newStream = func() streamSession { return &stream[M]{parser: p.Stream(), row: row} }
	}
	if p.Datagram != nil {
		out.datagram = probe
		out.newDatagram = func() datagramSession {
			return &datagram[M]{parser: p.Datagram(), row: row, begin: func(q parsers.DatagramParser[M], f *flows.Flow) {
				if b, ok := q.(parsers.Beginner); ok {
					b.Begin(f)
				}
			}}
		}
	}
	return out
}

// ownTables returns the protocols' own tables, each with its place.
func ownTables(list []protocol) (own []ownTable) {
	for i := range list {
		if t := list[i].own; t != nil {
			t.settle(len(own))
			own = append(own, t)
		}
	}
	return own
}

// newProxy makes a parser of what comes before another protocol: it gives no rows.
func newProxy() streamSession {
	return &stream[proxy.Message]{
		parser: new(proxy.Parser),
		row:    func(*sessions, *flows.Flow, *schema.Session, *proxy.Message) {},
	}
}

func byPayload(probe func([]byte, flows.Side) parsers.Verdict) func(*flows.Flow, flows.Side, []byte) (parsers.Verdict, schema.AppBasis) {
	return func(_ *flows.Flow, side flows.Side, data []byte) (parsers.Verdict, schema.AppBasis) {
		return probe(data, side), schema.AppByPayload
	}
}

func probeDNS(f *flows.Flow, data []byte, tcp bool) (parsers.Verdict, schema.AppBasis) {
	if dnsPort(f.SrcPort) || dnsPort(f.DstPort) {
		return dns.Probe(data, tcp, true), schema.AppByPort
	}
	return dns.Probe(data, tcp, false), schema.AppByPayload
}

func dnsPort(p uint16) bool { return p == 53 || p == 5353 || p == 5355 }

func dnsRow(s *sessions, f *flows.Flow, row *schema.Session, m *dns.Transaction) {
	s.out.dns.rows = schema.AppendDNS(s.out.dns.rows, m, row, &s.arena)
	s.out.dns.key(s.at)
	f.User[userDNS]++
}

// streamSession is one TCP flow's parser with its message type out of sight.
type streamSession interface {
	feed(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp, data []byte)
	gap(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp, n int64)
	fin(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp)
	rst(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp)
	end(s *sessions, f *flows.Flow, row *schema.Session)
	done() bool
	bounded() parsers.Bounded // nil: the parser does not say what it holds
	tunnel() tunneler         // nil unless the bytes from now on are of another protocol
}

// datagramSession is the like for a UDP flow.
type datagramSession interface {
	start(f *flows.Flow)
	idle() bool
	done() bool // no datagram of the flow can yield a message
	bounded() parsers.Bounded
	datagram(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp, data []byte)
	end(s *sessions, f *flows.Flow, row *schema.Session)
}

// tunneler is a parser whose protocol can hand the flow over to another.
type tunneler interface {
	Tunnel() bool
	Rest(side flows.Side) []byte
}

type stream[M any] struct {
	parser   parsers.SessionParser[M]
	row      func(*sessions, *flows.Flow, *schema.Session, *M)
	messages []M
}

func (t *stream[M]) emit(s *sessions, f *flows.Flow, row *schema.Session) {
	for i := range t.messages {
		t.row(s, f, row, &t.messages[i])
	}
	t.messages = t.messages[:0]
}

func (t *stream[M]) feed(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp, data []byte) {
	t.messages = t.parser.Feed(t.messages, side, at, data)
	t.emit(s, f, row)
}

func (t *stream[M]) gap(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp, n int64) {
	t.messages = t.parser.Gap(t.messages, side, at, n)
	t.emit(s, f, row)
}

func (t *stream[M]) fin(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp) {
	t.messages = t.parser.Fin(t.messages, side, at)
	t.emit(s, f, row)
}

func (t *stream[M]) rst(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp) {
	t.messages = t.parser.Rst(t.messages, side, at)
	t.emit(s, f, row)
}

func (t *stream[M]) end(s *sessions, f *flows.Flow, row *schema.Session) {
	t.messages = t.parser.End(t.messages)
	t.emit(s, f, row)
	t.parser.Reset()
}

func (t *stream[M]) done() bool { return t.parser.Done() }

func (t *stream[M]) bounded() parsers.Bounded { return bounded(t.parser) }

func (t *stream[M]) tunnel() tunneler {
	if u, ok := t.parser.(tunneler); ok && u.Tunnel() {
		return u
	}
	return nil
}

type datagram[M any] struct {
	parser   parsers.DatagramParser[M]
	begin    func(parsers.DatagramParser[M], *flows.Flow)
	row      func(*sessions, *flows.Flow, *schema.Session, *M)
	messages []M
}

func (t *datagram[M]) idle() bool { return t.parser.Idle() }

func (t *datagram[M]) bounded() parsers.Bounded { return bounded(t.parser) }

func (t *datagram[M]) done() bool {
	d, ok := t.parser.(interface{ Done() bool })
	return ok && d.Done()
}

func (t *datagram[M]) start(f *flows.Flow) {
	if t.begin != nil {
		t.begin(t.parser, f)
	}
}

func (t *datagram[M]) datagram(s *sessions, f *flows.Flow, row *schema.Session, side flows.Side, at flows.Stamp, data []byte) {
	t.messages = t.parser.Datagram(t.messages, side, at, data)
	t.emit(s, f, row)
}

func (t *datagram[M]) end(s *sessions, f *flows.Flow, row *schema.Session) {
	t.messages = t.parser.End(t.messages)
	t.emit(s, f, row)
	t.parser.Reset()
}

func (t *datagram[M]) emit(s *sessions, f *flows.Flow, row *schema.Session) {
	for i := range t.messages {
		t.row(s, f, row, &t.messages[i])
	}
	t.messages = t.messages[:0]
}
