package filter

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
)

func TestParseTime(t *testing.T) {
	for in, want := range map[string]int64{
		"2024-05-06T07:08:09Z":           1714979289e9,
		"2024-05-06T07:08:09.123456789Z": 1714979289_123456789,
		"2024-05-06T09:08:09.5+02:00":    1714979289_500000000,
		"2024-05-06T07:08:09":            1714979289e9,
		"2024-05-06 07:08:09.000000001":  1714979289_000000001,
		"2024-05-06":                     1714953600e9,
		"0":                              0,
		"1714979289":                     1714979289e9,
		"1714979289.123456789":           1714979289_123456789,
		"1714979289.1":                   1714979289_100000000,
		"1714979289123456789":            1714979289_123456789,
		"9223372035.999999999":           9223372035_999999999,
		"1969-12-31T23:59:59Z":           -1e9,
		"1678-01-01T00:00:00Z":           -9214560000e9,
	} {
		if got, err := ParseTime(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "yesterday", "1.", ".5", "1.1234567890", "2024-05-06T07:08:09.1234567891Z", "1714979289123", "1714979289123456",
		"9223372036", "99999999999999999999", "-1", "1e9", "2024-13-01", "1500-01-01T00:00:00Z", "3000-01-01", "2024-05-06T07:08"} {
		if got, err := ParseTime(in); err == nil || got != 0 {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	host := func(s string) string { v, err := ParseHost(s); return text(v, err) }
	net := func(s string) string { v, err := ParseNet(s); return text(v, err) }
	ports := func(s string) string { v, err := ParsePorts(s); return text(v, err) }
	proto := func(s string) string { v, err := ParseProto(s); return text(number(v), err) }
	for _, c := range []struct {
		parse    func(string) string
		in, want string // "": an error
	}{
		{host, "192.0.2.1", "192.0.2.1"}, {host, "::ffff:192.0.2.1", "192.0.2.1"}, {host, "2001:DB8::1", "2001:db8::1"},
		{host, "192.0.2", ""}, {host, "fe80::1%eth0", ""}, {host, "example.com", ""}, {host, "192.0.2.0/24", ""},
		{net, "192.0.2.0/24", "192.0.2.0/24"}, {net, "::/0", "::/0"}, {net, "::ffff:192.0.2.0/120", "192.0.2.0/24"},
		{net, "192.0.2.1/24", ""}, {net, "192.0.2.1", ""}, {net, "192.0.2.0/33", ""}, {net, "::ffff:0:0/90", ""},
		{ports, "443", "443"}, {ports, "0-65535", "0-65535"}, {ports, "7-7", "7"},
		{ports, "65536", ""}, {ports, "9-8", ""}, {ports, "-1", ""}, {ports, "1-", ""}, {ports, "http", ""}, {ports, "", ""},
		{proto, "tcp", "6"}, {proto, "UDP", "17"}, {proto, "icmp6", "58"}, {proto, "ipv6-icmp", "58"}, {proto, "255", "255"},
		{proto, "256", ""}, {proto, "http", ""}, {proto, "", ""},
	} {
		if got := c.parse(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

type number uint8

func (n number) String() string { return Ports{uint16(n), uint16(n)}.String() }

func text(v interface{ String() string }, err error) string {
	if err != nil {
		return ""
	}
	return v.String()
}

func packet(src, dst string, srcPort, dstPort uint16, proto uint8) flows.Packet {
	p := flows.Packet{Src: netip.MustParseAddr(src).As16(), Dst: netip.MustParseAddr(dst).As16(), SrcPort: srcPort, DstPort: dstPort, Proto: proto}
	if proto == 6 || proto == 17 {
		p.Flags |= flows.HasPorts
	}
	return p
}

func TestKeep(t *testing.T) {
	hosts := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	web := []Ports{{80, 80}, {8000, 8999}}
	for name, c := range map[string]struct {
		filter Match
		packet flows.Packet
		want   bool
	}{
		"source":            {Match{Hosts: hosts}, packet("192.0.2.1", "198.51.100.1", 1, 2, 6), true},
		"destination":       {Match{Hosts: hosts}, packet("2001:db8::2", "2001:db8::1", 1, 2, 6), true},
		"neither":           {Match{Hosts: hosts}, packet("192.0.2.2", "198.51.100.1", 1, 2, 6), false},
		"port":              {Match{Ports: web}, packet("192.0.2.2", "198.51.100.1", 80, 2, 17), true},
		"end of range":      {Match{Ports: web}, packet("192.0.2.2", "198.51.100.1", 2, 8999, 6), true},
		"after range":       {Match{Ports: web}, packet("192.0.2.2", "198.51.100.1", 2, 9000, 6), false},
		"no ports":          {Match{Ports: web}, packet("192.0.2.2", "198.51.100.1", 8, 80, 1), false},
		"port, not host":    {Match{Ports: web, Hosts: hosts}, packet("192.0.2.2", "198.51.100.1", 80, 2, 6), false},
		"port and host":     {Match{Ports: web, Hosts: hosts}, packet("192.0.2.1", "198.51.100.1", 80, 2, 6), true},
		"protocol":          {Match{Protos: []uint8{6, 1}}, packet("192.0.2.1", "198.51.100.1", 8, 0, 1), true},
		"other protocol":    {Match{Protos: []uint8{6, 1}}, packet("192.0.2.1", "198.51.100.1", 80, 2, 17), false},
		"net":               {Match{Nets: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/23")}}, packet("192.0.2.1", "198.51.101.1", 80, 2, 17), true},
		"beside net":        {Match{Nets: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/23")}}, packet("192.0.2.1", "198.51.102.1", 80, 2, 17), false},
		"IPv4 is no IPv6":   {Match{Nets: []netip.Prefix{netip.MustParsePrefix("2000::/3")}}, packet("192.0.2.1", "198.51.102.1", 80, 2, 17), false},
		"all IPv4":          {Match{Nets: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, packet("192.0.2.1", "198.51.102.1", 80, 2, 17), true},
		"IPv6, of all IPv4": {Match{Nets: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, packet("2001:db8::2", "2001:db8::1", 1, 2, 6), false},
	} {
		if got := c.filter.compile().keep(&c.packet, nil); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is named by any entry of Not is left out, whatever passes it otherwise; and nothing else is.
func TestNot(t *testing.T) {
	host := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	dns, ssh := []Ports{{53, 53}}, []Ports{{22, 22}}
	for name, c := range map[string]struct {
		filter Filter
		packet flows.Packet
		want   bool
	}{
		"not the port":            {Filter{Not: Match{Ports: dns}}, packet("192.0.2.1", "198.51.100.1", 1, 53, 17), false},
		"another port":            {Filter{Not: Match{Ports: dns}}, packet("192.0.2.1", "198.51.100.1", 1, 54, 17), true},
		"no ports at all":         {Filter{Not: Match{Ports: dns}}, packet("192.0.2.1", "198.51.100.1", 53, 0, 1), true},
		"one of two":              {Filter{Not: Match{Ports: ssh, Hosts: host}}, packet("192.0.2.1", "198.51.100.1", 1, 53, 17), false},
		"the other":               {Filter{Not: Match{Ports: ssh, Hosts: host}}, packet("192.0.2.2", "198.51.100.1", 1, 22, 6), false},
		"neither":                 {Filter{Not: Match{Ports: ssh, Hosts: host}}, packet("192.0.2.2", "198.51.100.1", 1, 53, 17), true},
		"wanted":                  {Filter{Match: Match{Hosts: host}, Not: Match{Ports: ssh}}, packet("192.0.2.1", "198.51.100.1", 1, 53, 17), true},
		"wanted, but for a port":  {Filter{Match: Match{Hosts: host}, Not: Match{Ports: ssh}}, packet("192.0.2.1", "198.51.100.1", 1, 22, 6), false},
		"not wanted in the first": {Filter{Match: Match{Hosts: host}, Not: Match{Ports: ssh}}, packet("192.0.2.2", "198.51.100.1", 1, 53, 17), false},
		"protocol":                {Filter{Not: Match{Protos: []uint8{17}}}, packet("192.0.2.2", "198.51.100.1", 1, 53, 17), false},
		"net":                     {Filter{Not: Match{Nets: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}}, packet("192.0.2.2", "198.51.100.1", 1, 53, 17), false},
	} {
		var cfg ingest.Config
		c.filter.Apply(&cfg)
		if got := cfg.KeepPacket(&c.packet, nil); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An ICMP error passes by what it quotes, and by its own addresses.
func TestQuoted(t *testing.T) {
	quoted := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1, 0x10, 0, 0, 53, 0, 8, 0, 0}
	data := append(make([]byte, 42), quoted...)
	p := packet("203.0.113.1", "192.0.2.1", 3, 3, 1)
	p.Flags |= flows.ICMPError
	p.Payload, p.PayloadCaptured = 42, uint32(len(quoted))
	for name, c := range map[string]struct {
		filter Match
		want   bool
	}{
		"quoted host":       {Match{Hosts: []netip.Addr{netip.MustParseAddr("198.51.100.1")}}, true},
		"router":            {Match{Hosts: []netip.Addr{netip.MustParseAddr("203.0.113.1")}}, true},
		"quoted port":       {Match{Ports: []Ports{{53, 53}}, Protos: []uint8{17}}, true},
		"other port":        {Match{Ports: []Ports{{54, 54}}}, false},
		"quoted and router": {Match{Ports: []Ports{{53, 53}}, Hosts: []netip.Addr{netip.MustParseAddr("203.0.113.1")}}, false},
	} {
		if got := c.filter.compile().keep(&p, data); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	p.PayloadCaptured = 19 // too little of it to tell
	f := Match{Ports: []Ports{{53, 53}}}
	if f.compile().keep(&p, data) {
		t.Error("passed by what was not captured")
	}
}

// The masks are those of netip.
func TestNetOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() netip.Addr {
		var b [16]byte
		for i := range b {
			b[i] = byte(r.IntN(3)) // near to each other
		}
		if r.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		return netip.AddrFrom16(b)
	}
	inside := 0
	for range 20000 {
		a, b := random(), random()
		n, err := a.Prefix(r.IntN(a.BitLen() + 1))
		if err != nil {
			t.Fatal(err)
		}
		f := Match{Nets: []netip.Prefix{n}}
		p := flows.Packet{Src: b.As16(), Dst: b.As16()}
		got := f.compile().keep(&p, nil)
		if got != n.Contains(b) {
			t.Fatalf("%v in %v: %v", b, n, got)
		}
		if got {
			inside++
		}
	}
	if inside < 100 {
		t.Errorf("only %d inside", inside)
	}
}

func TestSettings(t *testing.T) {
	var c ingest.Config
	var none Filter
	none.Apply(&c)
	if c.KeepPacket != nil || c.KeepRecord != nil || len(none.Settings()) > 0 {
		t.Error("a filter that passes all is one")
	}
	after, before := int64(1714979289_123456789), int64(1714979290e9)
	f := Filter{After: &after, Before: &before, Match: Match{Hosts: []netip.Addr{netip.MustParseAddr("::1")}, Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Ports: []Ports{{1, 1}, {2, 3}}, Protos: []uint8{6}}, Not: Match{Ports: []Ports{{22, 22}}}}
	f.Apply(&c)
	for at, want := range map[int64]bool{after: true, after - 1: false, before: false, before - 1: true} {
		if got := c.KeepRecord(&ingest.Record{Time: at}); got != want {
			t.Errorf("at %d: %v", at, got)
		}
	}
	want := map[string]string{"after": "2024-05-06T07:08:09.123456789Z", "before": "2024-05-06T07:08:10Z", "host": "::1", "net": "10.0.0.0/8", "port": "1,2-3", "proto": "6", "not_port": "22"}
	if got := f.Settings(); !maps.Equal(got, want) {
		t.Errorf("settings %v", got)
	}
	if f.Validate() != nil {
		t.Error("refused")
	}
	f.Before = f.After
	if f.Validate() == nil {
		t.Error("an empty span of time passes")
	}
}
