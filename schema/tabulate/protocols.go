package tabulate

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/carried"
	"github.com/caplake/caplake/parsers/dns"
	"github.com/caplake/caplake/parsers/http"
	"github.com/caplake/caplake/parsers/http2"
	"github.com/caplake/caplake/parsers/openvpn"
	"github.com/caplake/caplake/parsers/proxy"
	"github.com/caplake/caplake/parsers/quic"
	"github.com/caplake/caplake/parsers/tls"
	"github.com/caplake/caplake/schema"
)

// protocols returns the protocols in the order in which they are asked. Those
// that share a table, or that flows count, are here; those with a table of their own
// are in schema.Own and Config.Own.
func (c *Collector) protocols() []parsers.Registration {
	httpOptions := schema.HTTPOptions{Headers: c.cfg.Headers}
	tlsOptions := schema.TLSOptions{Strings: c.cfg.Fingerprints}

	handshake := func(ev parsers.Event[tls.Handshake]) {
		if ev.Kind != parsers.Message {
			return
		}
		row := c.row(ev.Flow)
		c.Out.TLS.Rows = schema.AppendTLS(c.Out.TLS.Rows, ev.Message, row, &c.arena, c.certs, tlsOptions)
		c.Out.TLS.key(c.At)
		c.cfg.Certificates(ev.Message, row, c.certs)
		ev.Flow.User[userHTTP] += 1 << 32
	}
	hellos := new(tls.Parser)
	quicHandshake := func(ev parsers.Event[quic.Handshake]) {
		if ev.Kind != parsers.Message {
			return
		}
		n := len(c.Out.TLS.Rows)
		c.Out.TLS.Rows = schema.AppendQUIC(c.Out.TLS.Rows, ev.Message, hellos, c.row(ev.Flow), &c.arena, tlsOptions)
		if len(c.Out.TLS.Rows) > n {
			c.Out.TLS.key(c.At)
			ev.Flow.User[userHTTP] += 1 << 32
		}
	}
	exchange := func(ev parsers.Event[http.Exchange]) {
		s := c.http(ev.Flow, ev.Kind)
		if ev.Kind != parsers.Message {
			return
		}
		ev.Message.Depth += s.rowsBefore
		c.Out.HTTP.Rows = schema.AppendHTTP(c.Out.HTTP.Rows, ev.Message, &s.row, &c.arena, httpOptions)
		c.Out.HTTP.key(c.At)
	}
	exchange2 := func(ev parsers.Event[http2.Exchange]) {
		s := c.http(ev.Flow, ev.Kind)
		if ev.Kind != parsers.Message {
			return
		}
		ev.Message.Depth += s.rowsBefore
		c.Out.HTTP.Rows = schema.AppendHTTP2(c.Out.HTTP.Rows, ev.Message, &s.row, &c.arena, httpOptions)
		c.Out.HTTP.key(c.At)
	}
	transaction := func(ev parsers.Event[dns.Transaction]) {
		if ev.Kind != parsers.Message {
			return
		}
		c.Out.DNS.Rows = schema.AppendDNS(c.Out.DNS.Rows, ev.Message, c.row(ev.Flow), &c.arena)
		c.Out.DNS.key(c.At)
		ev.Flow.User[userDNS]++
	}
	nothing := func(parsers.Event[proxy.Message]) {} // it gives no rows

	overTCP := tls.Protocol(tls.Config{})
	web := http.Protocol(http.Config{Headers: c.cfg.Headers, MaxPending: c.cfg.MaxPending, BodyHash: c.cfg.BodyHash, BodyType: c.cfg.BodyType})
	list := []parsers.Registration{
		parsers.On(overTCP, handshake),
		parsers.On(web, exchange),
		parsers.On(http2.Protocol(http2.Config{Headers: c.cfg.Headers, MaxStreams: c.cfg.MaxPending, BodyHash: c.cfg.BodyHash, BodyType: c.cfg.BodyType}), exchange2),
		parsers.On(proxy.SOCKS(), nothing),
		parsers.On(proxy.PROXY(), nothing),
		parsers.On(dns.Protocol(dns.Config{MaxPending: c.cfg.MaxPending}), transaction),
		parsers.On(quic.Protocol(quic.Config{}), quicHandshake),
		parsers.On(tls.DatagramProtocol(tls.Config{}), handshake),
		parsers.On(openvpn.Protocol(overTCP.Stream), handshake),
		parsers.On(carried.TDS(overTCP.Stream), handshake),
		parsers.On(carried.FTP(overTCP.Stream), handshake),
		parsers.On(carried.RADIUS(overTCP.Stream), handshake),
		parsers.On(carried.WebSocket(overTCP), handshake),
		parsers.On(carried.WebSocket(web), exchange),
	}
	for i, t := range c.own {
		list = append(list, t.On(func(f *flows.Flow, message any) {
			l := &c.Out.Own[i]
			t.Append(l.RowList, message, c.row(f), &c.arena)
			l.key(c.At)
		}))
	}
	return list
}

// http counts the exchanges of a flow: where a session starts, those before it.
func (c *Collector) http(f *flows.Flow, kind parsers.Kind) *session {
	s := c.session(f)
	switch kind {
	case parsers.Started:
		s.rowsBefore = int(uint32(f.User[userHTTP]))
	case parsers.Message:
		f.User[userHTTP]++
		f.Settle()
	}
	return s
}
