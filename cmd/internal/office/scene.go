package main

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"
)

// The office is 10.20.0.0/16. What is outside has addresses that RFC 5737 and
// RFC 2544 set aside for examples and measurements, and names under .example.
var (
	router   = netip.AddrFrom4([4]byte{10, 20, 0, 1})
	resolver = netip.AddrFrom4([4]byte{10, 20, 0, 53})
	files    = netip.AddrFrom4([4]byte{10, 20, 0, 20})
	monitor  = netip.AddrFrom4([4]byte{10, 20, 0, 30})
	wiki     = netip.AddrFrom4([4]byte{10, 20, 0, 40})
	printer  = netip.AddrFrom4([4]byte{10, 20, 0, 90})
	payroll  = netip.AddrFrom4([4]byte{10, 20, 0, 60})
)

func inside(a netip.Addr) bool {
	q := a.As4()
	return q[0] == 10
}

// desk is the address of a workstation.
func desk(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 20, 1, byte(n)}) }

const (
	desks    = 24
	firstOne = 10
	beaconer = firstOne + 17 // 10.20.1.27
	tunneler = firstOne + 4  // 10.20.1.14
	dgaer    = firstOne + 9  // 10.20.1.19
)

// site is a place outside that people visit.
type site struct {
	name string
	addr netip.Addr
	srv  server
}

type office struct {
	*wire
	start, end int64
	sites      []site
	agents     []site // mail, updates, chat, weather
}

func nine() time.Time { return time.Date(2025, 3, 4, 9, 0, 0, 0, time.UTC) }

// hour plays the office from nine to ten.
func hour(seed uint64) *wire {
	w := &wire{seed: seed, ports: map[netip.Addr]uint16{}}
	o := &office{wire: w, start: nine().UnixNano(), end: nine().Add(time.Hour).UnixNano()}
	o.found()
	for n := firstOne; n < firstOne+desks; n++ {
		o.browsing(n)
		o.mail(n)
		o.monitoring(n)
		o.clock(n)
		o.chat(n)
	}
	for _, n := range []int{11, 12, 16, 18, 21, 26, 29, 30} {
		o.video(n)
	}
	for _, n := range []int{11, 18, 20, 25, 31} {
		o.weather(n)
	}
	o.calls()
	o.shells()
	o.backups()
	o.uploads()
	o.old()
	o.gone()
	o.antivirus()
	o.beacon()
	o.tunnel()
	o.generated()
	return w
}

// found sets up the places that are talked to.
func (o *office) found() {
	r := o.dice("sites")
	roots := []authority{
		newAuthority("Example Trust Root R1", nine().AddDate(-8, 0, 0), 20),
		newAuthority("Example Web CA G2", nine().AddDate(-3, 0, 0), 10),
	}
	words := []string{"harbor", "lumen", "quartz", "saffron", "meadow", "orbit", "pixel", "canvas", "ledger", "atlas",
		"copper", "violet", "summit", "timber", "ripple", "beacon", "mosaic", "falcon", "willow", "cobalt"}
	kinds := []string{"news", "shop", "docs", "maps", "cdn", "forum"}
	for i, word := range words {
		for j, kind := range kinds {
			if (i+j)%2 == 1 {
				continue
			}
			s := site{
				name: kind + "." + word + ".example",
				addr: netip.AddrFrom4([4]byte{198, 18, byte(i*7 + j), byte(20 + i + j)}),
				srv:  server{version: 0x0304, cipher: 0x1301},
			}
			if (i*len(kinds)+j)%5 == 0 {
				from := nine().AddDate(0, 0, -10-r.IntN(60)).Truncate(24 * time.Hour)
				chain := roots[i%2].leaf(s.name, []string{s.name, word + ".example"}, from, from.AddDate(0, 0, 90))
				s.srv = server{version: 0x0303, cipher: 0xc02f, chain: chain}
			}
			o.sites = append(o.sites, s)
		}
	}
	for i, n := range []string{"mail.post.example", "chat.team.example", "api.weather.example", "video.stream.example", "store.backup.example"} {
		o.agents = append(o.agents, site{n, netip.AddrFrom4([4]byte{198, 19, byte(10 * i), byte(40 + i)}), server{version: 0x0304, cipher: 0x1302}})
	}
}

// resolve looks a site up, from the resolver's cache more often than not.
func (o *office) resolve(t int64, r *rand.Rand, host netip.Addr, s site) int64 {
	l := lookup{qname: s.name, qtype: typeA, answers: []answer{address(s.addr)}}
	if r.IntN(3) == 0 {
		l.delay = 8*milli + r.Int64N(40*milli)
	}
	if r.IntN(2) == 0 {
		o.ask(t-20*micro, host, lookup{qname: s.name, qtype: typeAAAA, delay: l.delay})
	}
	return o.ask(t, host, l)
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// between is a time in the hour.
func (o *office) between(r *rand.Rand) int64 { return o.start + r.Int64N(o.end-o.start) }

// size is a number of bytes about mean, of a distribution with a long tail.
func size(r *rand.Rand, mean, most float64) int {
	return int(min(most, mean*math.Exp(r.NormFloat64()*0.9-0.4)))
}

// browsing: pages, each from a site or three, after which somebody reads.
func (o *office) browsing(n int) {
	r := o.dice(fmt.Sprint("browsing", n))
	host, s := desk(n), browserStack()
	if n%3 == 0 {
		s = otherBrowserStack()
	}
	for t := o.start + r.Int64N(200*second); t < o.end-60*second; t += 40*second + int64(r.ExpFloat64()*float64(150*second)) {
		if r.IntN(40) == 0 { // a name mistyped
			wrong := o.sites[r.IntN(len(o.sites))].name
			o.ask(t, host, lookup{qname: strings.Replace(wrong, ".", "-.", 1), qtype: typeA, rcode: 3, delay: 20 * milli})
			t += 3 * second
		}
		if r.IntN(6) == 0 {
			o.wikiPage(t, r, host)
			continue
		}
		for i := range 1 + r.IntN(3) {
			p := o.sites[int(math.Abs(r.NormFloat64())*6)%len(o.sites)]
			begin := o.resolve(t+int64(i)*120*milli, r, host, p) + milli
			c := o.dial(begin, r, o.from(host), at(p.addr, 443), "browse")
			c.handshake(s, p.name, p.srv)
			for range r.IntN(6) {
				c.data(0, 300+r.IntN(700))
				c.wait(5*milli + r.Int64N(60*milli))
				c.data(1, size(r, 18000, 300000))
				c.think(900 * milli)
			}
			switch r.IntN(16) { // not all pages are pages
			case 0, 1: // a form with a picture
				c.data(0, size(r, 25000, 300000))
				c.data(1, 200+r.IntN(400))
			case 2: // a film, short
				for range 2 + r.IntN(4) {
					c.data(0, 400+r.IntN(100))
					c.data(1, 40000+r.IntN(60000))
					c.wait(3*second + r.Int64N(2*second))
				}
			case 3: // a page that goes on asking
				for range 5 + r.IntN(20) {
					c.data(0, 80+r.IntN(200))
					c.data(1, 60+r.IntN(900))
					c.think(8 * second)
				}
			case 4, 5: // nothing new
				c.data(0, 300+r.IntN(200))
				c.data(1, 180+r.IntN(60))
			}
			if r.IntN(3) > 0 {
				c.wait(5 * second)
			}
			if r.IntN(15) == 0 {
				c.reset(0) // the window was closed
				continue
			}
			c.close(r.IntN(2))
		}
	}
}

// wikiPage is one that is not encrypted.
func (o *office) wikiPage(t int64, r *rand.Rand, host netip.Addr) {
	begin := o.ask(t, host, lookup{qname: "wiki.office.test", qtype: typeA, answers: []answer{address(wiki)}}) + milli
	c := o.dial(begin, r, o.from(host), at(wiki, 80), "wiki")
	for i := range 1 + r.IntN(4) {
		path := fmt.Sprintf("/page/%d", r.IntN(90))
		if i > 0 {
			path = fmt.Sprintf("/static/%d.png", r.IntN(30))
		}
		c.send(0, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: wiki.office.test\r\nUser-Agent: Mozilla/5.0 (office)\r\nAccept: */*\r\n\r\n", path))
		c.wait(3*milli + r.Int64N(20*milli))
		n := size(r, 15000, 200000)
		status, kind := "200 OK", "text/html"
		if i > 0 {
			kind = "image/png"
		}
		if r.IntN(12) == 0 {
			status, n = "404 Not Found", 300
		}
		head := fmt.Appendf(nil, "HTTP/1.1 %s\r\nServer: nginx\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", status, kind, n)
		c.send(1, append(head, c.noiseOf(n)...))
		c.think(200 * milli)
	}
	c.close(0)
}

// mail: every five minutes, more or less, and now and then there is some.
func (o *office) mail(n int) {
	r := o.dice(fmt.Sprint("mail", n))
	p := o.agents[0]
	for t := o.start + r.Int64N(300*second); t < o.end-20*second; t += 290*second + r.Int64N(20*second) {
		c := o.dial(o.resolve(t, r, desk(n), p)+milli, r, o.from(desk(n)), at(p.addr, 443), "mail")
		c.handshake(agentStack(), p.name, p.srv)
		c.data(0, 250+r.IntN(80))
		c.data(1, 400+r.IntN(300))
		for range r.IntN(3) {
			c.data(0, 120+r.IntN(60))
			c.data(1, size(r, 9000, 400000))
			c.think(60 * milli)
		}
		c.close(0)
	}
}

// monitoring: every thirty seconds to the second, and nobody minds.
func (o *office) monitoring(n int) {
	r := o.dice(fmt.Sprint("monitoring", n))
	srv := server{version: 0x0304, cipher: 0x1302}
	for t := o.start + r.Int64N(30*second); t < o.end-5*second; t += 30*second + r.Int64N(20*milli) {
		c := o.dial(t, r, o.from(desk(n)), at(monitor, 8443), "monitoring")
		c.handshake(agentStack(), "monitor.office.test", srv)
		c.data(0, 900+r.IntN(200))
		c.data(1, 40)
		c.close(0)
	}
}

// clock: NTP, every 64 seconds.
func (o *office) clock(n int) {
	r := o.dice(fmt.Sprint("clock", n))
	src, dst := at(desk(n), 123), at(router, 123)
	o.label(src, dst, "udp", "clock")
	for t := o.start + r.Int64N(64*second); t < o.end; t += 64 * second {
		b := make([]byte, 48)
		b[0] = 0x23
		o.udp(t, src, dst, b)
		b[0], b[1] = 0x24, 2
		o.udp(t+300*micro, dst, src, b)
	}
}

// chat: one connection that stays open, a line now and then.
func (o *office) chat(n int) {
	r := o.dice(fmt.Sprint("chat", n))
	p := o.agents[1]
	t := o.start + r.Int64N(900*second)
	for t < o.end-200*second {
		c := o.dial(o.resolve(t, r, desk(n), p)+milli, r, o.from(desk(n)), at(p.addr, 443), "chat")
		c.handshake(browserStack(), p.name, p.srv)
		for last := c.t + 20*second + r.Int64N(1400*second); c.t < min(last, o.end-20*second); {
			c.data(r.IntN(2), 60+r.IntN(500))
			if r.IntN(40) == 0 { // somebody shows a picture
				c.data(r.IntN(2), size(r, 40000, 300000))
			}
			c.wait(min(int64(r.ExpFloat64()*float64(25*second)), 110*second))
		}
		c.close(r.IntN(2))
		t = c.t + r.Int64N(300*second)
	}
}

// weather: three lines of a widget, every two minutes exactly, from a few desks.
func (o *office) weather(n int) {
	r := o.dice(fmt.Sprint("weather", n))
	p := o.agents[2]
	for t := o.start + r.Int64N(120*second); t < o.end-5*second; t += 120*second + r.Int64N(300*milli) {
		c := o.dial(o.resolve(t, r, desk(n), p)+milli, r, o.from(desk(n)), at(p.addr, 443), "weather")
		c.handshake(agentStack(), p.name, p.srv)
		c.data(0, 210)
		c.data(1, 2100+r.IntN(400))
		c.close(0)
	}
}

// video: a film in chunks, ahead of who watches it.
func (o *office) video(n int) {
	r := o.dice(fmt.Sprint("video", n))
	p := o.agents[3]
	for range 4 {
		t := o.start + r.Int64N(3300*second)
		c := o.dial(o.resolve(t, r, desk(n), p)+milli, r, o.from(desk(n)), at(p.addr, 443), "video")
		c.handshake(browserStack(), p.name, p.srv)
		for range 2 + r.IntN(11) {
			c.data(0, 400+r.IntN(100))
			c.wait(10 * milli)
			c.data(1, 40000+r.IntN(90000))
			c.wait(3*second + r.Int64N(2*second))
		}
		c.close(0)
	}
}

// calls: voices over UDP, fifty packets a second in each direction.
func (o *office) calls() {
	r := o.dice("calls")
	for _, n := range []int{13, 22} {
		src, dst := o.from(desk(n)), at(netip.AddrFrom4([4]byte{198, 51, 100, 24}), 3478)
		o.label(src, dst, "udp", "call")
		begin := o.start + 600*second + r.Int64N(1500*second)
		var b [200]byte
		b[0], b[1] = 0x80, 111
		for t := begin; t < begin+240*second; t += 20 * milli {
			o.udp(t+r.Int64N(2*milli), src, dst, b[:120+r.IntN(70)])
			o.udp(t+r.Int64N(9*milli), dst, src, b[:120+r.IntN(70)])
		}
	}
}

// shells: SSH to the file server, somebody typing.
func (o *office) shells() {
	r := o.dice("shells")
	for _, n := range []int{15, 23, 32} {
		c := o.dial(o.start+300*second+r.Int64N(900*second), r, o.from(desk(n)), at(files, 22), "shell")
		c.keys()
		for range 300 + r.IntN(500) {
			c.send(0, c.noiseOf(36))
			c.send(1, c.noiseOf(36+44*r.IntN(2)))
			c.think(700 * milli)
		}
		c.close(0)
	}
}

// backups: to the file server, one desk after the other: more than the mirror
// port of the second capture carries.
func (o *office) backups() {
	r := o.dice("backups")
	for i, n := range []int{10, 17, 24, 33} {
		c := o.dial(o.start+1200*second+int64(i)*150*second+r.Int64N(30*second), r, o.from(desk(n)), at(files, 8730), "backup")
		for range 5 {
			c.send(0, c.noiseOf(700000+r.IntN(500000)))
			c.wait(2 * second)
		}
		c.close(0)
	}
}

// uploads: desks that send files out.
func (o *office) uploads() {
	r := o.dice("uploads")
	p := o.agents[4]
	for range 60 {
		host := desk(firstOne + r.IntN(desks))
		t := min(o.between(r), o.end-120*second)
		c := o.dial(o.resolve(t, r, host, p)+milli, r, o.from(host), at(p.addr, 443), "upload")
		c.handshake(agentStack(), p.name, p.srv)
		for range 1 + r.IntN(4) {
			c.data(0, size(r, 60000, 900000))
			c.wait(30*milli + r.Int64N(80*milli))
			c.data(1, 90+r.IntN(60))
			c.think(400 * milli)
		}
		c.close(0)
	}
}

// old: a printer and a payroll server that nobody looked after.
func (o *office) old() {
	r := o.dice("old")
	ca := newAuthority("Office CA 2014", time.Date(2014, 5, 1, 0, 0, 0, 0, time.UTC), 15)
	cups := server{0x0301, 0x002f, ca.weakLeaf("printer.office.test", time.Date(2014, 5, 2, 0, 0, 0, 0, time.UTC), time.Date(2027, 5, 2, 0, 0, 0, 0, time.UTC))}
	pay := server{0x0303, 0xc02f, ca.leaf("payroll.office.test", []string{"payroll.office.test"}, time.Date(2023, 2, 20, 0, 0, 0, 0, time.UTC), time.Date(2025, 2, 19, 23, 59, 59, 0, time.UTC))}
	moved := server{0x0303, 0xc02f, ca.leaf("intranet-old.office.test", []string{"intranet-old.office.test"}, time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))}
	talk := func(n int, dst netip.Addr, port uint16, s stack, sni string, srv server) {
		c := o.dial(o.between(r)-40*second, r, o.from(desk(n)), at(dst, port), "internal")
		c.handshake(s, sni, srv)
		c.data(0, 500+r.IntN(3000))
		c.data(1, 300+r.IntN(4000))
		c.close(0)
	}
	for n := firstOne; n < firstOne+desks; n += 2 {
		talk(n, printer, 631, printerStack(), "printer.office.test", cups)
	}
	for n := firstOne; n < firstOne+6; n++ {
		talk(n, payroll, 443, browserStack(), "payroll.office.test", pay)
		talk(n, wiki, 443, browserStack(), "intranet.office.test", moved)
	}
}

// gone: a share that was switched off, and a port that nobody listens on any
// more. Some desks still try.
func (o *office) gone() {
	r := o.dice("gone")
	share := netip.AddrFrom4([4]byte{10, 20, 0, 25})
	for n := firstOne; n < firstOne+desks; n += 3 {
		for range 6 {
			o.knock(o.between(r)-10*second, r, o.from(desk(n)), at(share, 445), false, "gone")
		}
		o.knock(o.between(r), r, o.from(desk(n)), at(files, 139), true, "gone")
	}
}

// antivirus: long names that mean well. Each desk asks what is known of the
// hash of a file, in the DNS.
func (o *office) antivirus() {
	r := o.dice("antivirus")
	for n := firstOne; n < firstOne+desks; n++ {
		for range 18 {
			var h [16]byte
			for i := range h {
				h[i] = byte(r.Uint32())
			}
			verdict := netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + r.IntN(2))})
			o.ask(o.between(r), desk(n), lookup{qname: hex.EncodeToString(h[:]) + ".hash.avcloud.example", qtype: typeA, answers: []answer{address(verdict)}, delay: 15 * milli})
		}
		for range 4 {
			o.ask(o.between(r), desk(n), lookup{qname: "wpad.office.test", qtype: typeA, rcode: 3})
			o.ask(o.between(r), desk(n), lookup{qname: fmt.Sprintf("%d.1.20.10.in-addr.arpa", firstOne+r.IntN(desks)), qtype: typePTR, rcode: 3})
		}
	}
}

// beacon: an implant that asks for orders each minute, give or take a tenth,
// gets some at 9:41, and has something to tell at 9:44.
func (o *office) beacon() {
	r := o.dice("beacon")
	home := site{"status-cdn.example", netip.AddrFrom4([4]byte{203, 0, 113, 77}), server{
		version: 0x0303, cipher: 0xc02f,
		chain: selfSigned("localhost", nine().AddDate(0, 0, -1), nine().AddDate(10, 0, -1)),
	}}
	host := desk(beaconer)
	for t := o.start + 33*second; t < o.end-10*second; t += 54*second + r.Int64N(12*second) {
		begin := t + 3*milli
		if r.IntN(5) == 0 {
			begin = o.resolve(t, r, host, home) + milli
		}
		c := o.dial(begin, r, o.from(host), at(home.addr, 443), "beacon")
		c.handshake(implantStack(), home.name, home.srv)
		c.data(0, 172+r.IntN(9))
		switch minute := (t - o.start) / (60 * second); minute {
		case 41:
			c.data(1, 41000)
		case 44:
			c.data(1, 64)
			c.data(0, 2200000)
			c.data(1, 32)
		default:
			c.data(1, 64)
		}
		c.close(0)
	}
}

// tunnel: what leaves the house in questions and comes back in answers.
func (o *office) tunnel() {
	r := o.dice("tunnel")
	code := base32.StdEncoding.WithPadding(base32.NoPadding)
	var up, down [32]byte
	for i, t := 0, o.start+1230*second; i < 1400; i++ {
		for j := range up {
			up[j], down[j] = byte(r.Uint32()), byte(r.Uint32())
		}
		q := strings.ToLower(code.EncodeToString(up[:30]))
		t = o.ask(t, desk(tunneler), lookup{
			qname: fmt.Sprintf("%x.%s.t.parcel-trace.example", i, q), qtype: typeTXT,
			answers: []answer{text(strings.Repeat(code.EncodeToString(down[:]), 3))}, delay: 30*milli + r.Int64N(25*milli),
		}) + int64(r.ExpFloat64()*float64(900*milli))
	}
}

// generated: names from a generator, of which whoever wrote it registered one.
func (o *office) generated() {
	r := o.dice("generated")
	host := desk(dgaer)
	for _, begin := range []int64{12 * 60, 42 * 60} {
		t := o.start + begin*second
		for i := range 140 {
			b := make([]byte, 11+r.IntN(8))
			for j := range b {
				b[j] = byte('a' + r.IntN(26))
			}
			l := lookup{qname: string(b) + ".example", qtype: typeA, rcode: 3, delay: 12*milli + r.Int64N(30*milli)}
			if i == 139 && begin > 40*60 {
				l.rcode, l.answers = 0, []answer{address(netip.AddrFrom4([4]byte{203, 0, 113, 140}))}
			}
			t = o.ask(t, host, l) + 150*milli + r.Int64N(400*milli)
		}
	}
}
