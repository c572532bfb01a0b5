// Package filter decides which packets a run looks at: those within a span of
// time, and those with wanted addresses, ports and protocols.
//
// It works on decoded packets, not on bytes as a filter of tcpdump does, and
// that on purpose. A flow's packets are the innermost ones, so that the filter
// must look inside of VLANs and tunnels without being told to; and it must
// come after fragments were put together, since only the first one has
// ports. A filter of tcpdump would lose both. Nor is there a compiler of its
// language in Go to rely on: github.com/packetcap/go-pcap has had no release
// since 2024 and is known to compile some expressions to wrong programs (its
// issue 59; jschwinger233/skbdump gave it up for that reason), and the ones that
// wrap libpcap need cgo or are younger than a year.
package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
)

// Filter says which packets are wanted: those that pass each of its fields. A
// field that is nil passes all; of a list, one entry is enough. What an entry
// of Not fits does not pass, whatever else.
//
// An address or port is looked for at both ends, so that both sides of a flow
// pass. An ICMP error also passes by the packet that it quotes, and so is left out.
type Filter struct {
	After  *int64 // earliest time, nanoseconds since 1970
	Before *int64 // the first time that is too late

	Match
	Not Match
}

// Match is a set of properties of packets.
type Match struct {
	Hosts  []netip.Addr
	Nets   []netip.Prefix
	Ports  []Ports
	Protos []uint8 // IP protocol numbers
}

// Ports is a range of ports, both ends included.
type Ports struct{ Low, High uint16 }

func (p Ports) String() string {
	if p.Low == p.High {
		return strconv.Itoa(int(p.Low))
	}
	return fmt.Sprintf("%d-%d", p.Low, p.High)
}

// Apply has c keep only what f wants.
func (f *Filter) Apply(c *ingest.Config) {
	if f.After != nil || f.Before != nil {
		after, before := f.After, f.Before
		c.KeepRecord = func(r *ingest.Record) bool {
			return (after == nil || r.Time >= *after) && (before == nil || r.Time < *before)
		}
	}
	wanted, not := f.Match.compile(), f.Not.each()
	if wanted == nil && len(not) == 0 {
		return
	}
	c.KeepPacket = func(p *flows.Packet, data []byte) bool {
		for _, m := range not {
			if m.keep(p, data) {
				return false
			}
		}
		return wanted == nil || wanted.keep(p, data)
	}
}

// Settings returns what f is set to, by the names of the flags, for the
// metadata of a dataset. It is empty for a filter that passes all.
func (f *Filter) Settings() map[string]string {
	s := map[string]string{}
	moment := func(name string, t *int64) {
		if t != nil {
			s[name] = time.Unix(0, *t).UTC().Format(time.RFC3339Nano)
		}
	}
	moment("after", f.After)
	moment("before", f.Before)
	f.Match.settings(s, "")
	f.Not.settings(s, "not_")
	return s
}

func (m *Match) settings(s map[string]string, prefix string) {
	list(s, prefix+"host", m.Hosts, netip.Addr.String)
	list(s, prefix+"net", m.Nets, netip.Prefix.String)
	list(s, prefix+"port", m.Ports, Ports.String)
	list(s, prefix+"proto", m.Protos, func(n uint8) string { return strconv.Itoa(int(n)) })
}

func list[T any](s map[string]string, name string, values []T, text func(T) string) {
	if len(values) == 0 {
		return
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = text(v)
	}
	s[name] = strings.Join(words, ",")
}

// Validate reports what no packet can pass.
func (f *Filter) Validate() error {
	if f.After != nil && f.Before != nil && *f.After >= *f.Before {
		return errors.New("--after must be earlier than --before")
	}
	return nil
}

// matcher is a Filter's addresses, ports and protocols in the form in which
// packets have them.
type matcher struct {
	hosts  []flows.Addr // sorted
	nets   []block
	ports  []Ports
	protos *[256]bool
}

// block is a network: the bits of an address under mask are those of base. No
// IPv4 address is in a network of IPv6, although ::/0 would have them all as they are held.
type block struct {
	base, mask flows.Addr
	is4        bool
}

// each returns a matcher for each list of m alone.
func (f *Match) each() (all []*matcher) {
	for _, m := range [...]Match{{Hosts: f.Hosts}, {Nets: f.Nets}, {Ports: f.Ports}, {Protos: f.Protos}} {
		if c := m.compile(); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// compile returns nil if every packet matches.
func (f *Match) compile() *matcher {
	if len(f.Hosts)+len(f.Nets)+len(f.Ports)+len(f.Protos) == 0 {
		return nil
	}
	m := &matcher{ports: f.Ports}
	for _, h := range f.Hosts {
		m.hosts = append(m.hosts, h.As16())
	}
	slices.SortFunc(m.hosts, compare)
	for _, n := range f.Nets {
		bits := n.Bits()
		if n.Addr().Is4() {
			bits += 96 // an IPv4 address is held as ::ffff:a.b.c.d
		}
		var mask flows.Addr
		for i := range bits {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		m.nets = append(m.nets, block{n.Masked().Addr().As16(), mask, n.Addr().Is4()})
	}
	if len(f.Protos) > 0 {
		m.protos = new([256]bool)
		for _, n := range f.Protos {
			m.protos[n] = true
		}
	}
	return m
}

func (m *matcher) keep(p *flows.Packet, data []byte) bool {
	if m.tuple(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, p.Flags&flows.HasPorts != 0) {
		return true
	}
	if p.Flags&flows.ICMPError == 0 {
		return false
	}
	q, ok := ingest.QuoteOf(p, data)
	hasPorts := q.Proto != flows.ProtoICMP && q.Proto != flows.ProtoICMPv6
	return ok && m.tuple(&q.Src, &q.Dst, q.SrcPort, q.DstPort, q.Proto, hasPorts)
}

func (m *matcher) tuple(src, dst *flows.Addr, srcPort, dstPort uint16, proto uint8, hasPorts bool) bool {
	if m.protos != nil && !m.protos[proto] {
		return false
	}
	if m.ports != nil && (!hasPorts || !m.port(srcPort) && !m.port(dstPort)) {
		return false
	}
	if m.hosts != nil && !m.host(src) && !m.host(dst) {
		return false
	}
	return m.nets == nil || m.net(src) || m.net(dst)
}

func (m *matcher) port(n uint16) bool {
	for _, p := range m.ports {
		if p.Low <= n && n <= p.High {
			return true
		}
	}
	return false
}

func (m *matcher) host(a *flows.Addr) bool {
	_, found := slices.BinarySearchFunc(m.hosts, *a, compare)
	return found
}

func (m *matcher) net(a *flows.Addr) bool {
	for i := range m.nets {
		n := &m.nets[i]
		inside := n.is4 == a.Is4()
		for j := range a {
			inside = inside && a[j]&n.mask[j] == n.base[j]
		}
		if inside {
			return true
		}
	}
	return false
}

func compare(a, b flows.Addr) int { return slices.Compare(a[:], b[:]) }
