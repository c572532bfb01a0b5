package http

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// TestCorpus compares the messages of every capture of a corpus that this
// test can read with what tshark says of them: each side's method, target and
// host, or status, without regard to order. It decodes by gopacket and has no
// fragments; the tool for conformance judges the whole.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("CAPLAKE_CORPUS")
	if dir == "" {
		t.Skip("CAPLAKE_CORPUS is not set: a folder with captures/ and truth/")
	}
	truths, err := filepath.Glob(filepath.Join(dir, "truth/*/*.http.tsv"))
	if err != nil || len(truths) == 0 {
		t.Fatal("no truth in", dir, err)
	}
	var want, missing, extra, captures int
	for _, path := range truths {
		truth := readTruth(t, path)
		rel, _ := filepath.Rel(filepath.Join(dir, "truth"), strings.TrimSuffix(path, ".http.tsv"))
		got, err := messages(filepath.Join(dir, "captures", rel))
		if err != nil {
			if len(truth) > 0 {
				t.Logf("%s: %v", rel, err)
			}
			continue
		}
		captures++
		want += len(truth)
		m, e := diff(truth, got), diff(got, truth)
		missing += len(m)
		extra += len(e)
		if len(m)+len(e) > 0 && testing.Verbose() {
			t.Logf("%s\n  missing %q\n  extra %q", rel, m[:min(len(m), 8)], e[:min(len(e), 8)])
		}
	}
	t.Logf("%d captures, %d messages: %d missing, %d extra", captures, want, missing, extra)
	if missing*20 > want {
		t.Errorf("%d of %d messages are missing", missing, want)
	}
}

// readTruth returns the messages of a truth file, sorted.
func readTruth(t *testing.T, path string) []string {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names, out []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		v := strings.Split(s.Text(), "\t")
		if names == nil {
			names = v
			continue
		}
		col := func(name string) string {
			if i := slices.Index(names, name); i >= 0 && i < len(v) {
				return v[i]
			}
			return ""
		}
		if col("in_icmp") == "1" {
			continue
		}
		if col("kind") == "REQ" {
			out = append(out, fmt.Sprintf("%s:%s %s %s %s", col("src"), col("sport"), col("method"), col("uri"), col("host")))
		} else {
			out = append(out, fmt.Sprintf("%s:%s %s", col("src"), col("sport"), col("status")))
		}
	}
	if s.Err() != nil {
		t.Fatal(path, s.Err())
	}
	slices.Sort(out)
	return out
}

// diff returns the elements of sorted a that sorted b lacks.
func diff(a, b []string) (out []string) {
	for _, s := range a {
		for len(b) > 0 && b[0] < s {
			b = b[1:]
		}
		if len(b) > 0 && b[0] == s {
			b = b[1:]
			continue
		}
		out = append(out, s)
	}
	return out
}

// session is a flow's parser, or what is held until the protocol is known.
type session struct {
	parser *Parser
	calls  []func()
	begun  [2][]byte
	no     int // sides that are not HTTP, as bits
	over   bool
}

// collector is a flows.Consumer that parses HTTP.
type collector struct {
	sessions []*session // by Flow.User[0]-1
	out      []string
	f        *flows.Flow
}

func (c *collector) Started(f *flows.Flow, p *flows.Packet) {
	c.sessions = append(c.sessions, &session{parser: New(Config{})})
	f.User[0] = uint64(len(c.sessions))
}

func (c *collector) session(f *flows.Flow) *session {
	c.f = f
	return c.sessions[f.User[0]-1]
}

func (c *collector) take(f *flows.Flow, m []Exchange) {
	for i := range m {
		x := &m[i]
		name := func(s flows.Side) string {
			a, p := f.Src, f.SrcPort
			if s == flows.Responder {
				a, p = f.Dst, f.DstPort
			}
			return fmt.Sprintf("%s:%d", ip(a, f.Flags&flows.IPv6 != 0), p)
		}
		if x.HasRequest() {
			c.out = append(c.out, fmt.Sprintf("%s %s %s %s", name(x.Client), x.Request.Method, x.Request.Target, x.Request.Host))
		}
		for _, code := range x.Informational {
			c.out = append(c.out, fmt.Sprintf("%s %d", name(x.Client.Other()), code))
		}
		if x.HasResponse() {
			c.out = append(c.out, fmt.Sprintf("%s %d", name(x.Client.Other()), x.Response.Status))
		}
	}
}

func ip(a flows.Addr, v6 bool) string {
	if v6 {
		return fmt.Sprint(gopacket.NewEndpoint(layers.EndpointIPv6, a[:]))
	}
	return fmt.Sprint(gopacket.NewEndpoint(layers.EndpointIPv4, a[12:]))
}

func (c *collector) Data(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {
	s := c.session(f)
	if s.over {
		return
	}
	data = append([]byte(nil), data...)
	call := func() { c.take(f, s.parser.Feed(nil, side, at, data)) }
	if s.calls == nil && s.begun[0] == nil && s.begun[1] == nil || s.calls != nil {
		s.calls = append(s.calls, call)
		if s.no&(1<<side) != 0 {
			return
		}
		s.begun[side] = append(s.begun[side], data...)
		switch v := Probe(s.begun[side], side); {
		case v == parsers.Yes:
			for _, call := range s.calls {
				call()
			}
			s.calls = nil
		case v == parsers.No:
			if s.no |= 1 << side; s.no == 3 {
				s.over, s.calls = true, nil
			}
		}
		return
	}
	call()
}

func (c *collector) other(f *flows.Flow, call func(s *session) []Exchange) {
	s := c.session(f)
	g := func() { c.take(f, call(s)) }
	switch {
	case s.over:
	case s.calls != nil:
		s.calls = append(s.calls, g)
	default:
		g()
	}
}

func (c *collector) Gap(f *flows.Flow, side flows.Side, at flows.Stamp, n int64) {
	c.other(f, func(s *session) []Exchange { return s.parser.Gap(nil, side, at, n) })
}

func (c *collector) Fin(f *flows.Flow, side flows.Side, at flows.Stamp) {
	c.other(f, func(s *session) []Exchange { return s.parser.Fin(nil, side, at) })
}

func (c *collector) Rst(f *flows.Flow, side flows.Side, at flows.Stamp) {
	c.other(f, func(s *session) []Exchange { return s.parser.Rst(nil, side, at) })
}

func (c *collector) Datagram(f *flows.Flow, side flows.Side, at flows.Stamp, data []byte) {}

func (c *collector) Ended(f *flows.Flow) {
	if s := c.session(f); s.calls == nil {
		c.take(f, s.parser.End(nil))
	}
}

// messages returns the HTTP messages of a capture, sorted.
func messages(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var src gopacket.PacketDataSource
	var link func() layers.LinkType
	if r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions); err == nil {
		src, link = r, r.LinkType
	} else {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		r, err := pcapgo.NewReader(f)
		if err != nil {
			return nil, err
		}
		src, link = r, r.LinkType
	}
	c := &collector{}
	t := flows.NewTracker(flows.Config{}, c)
	for n := uint64(1); ; n++ {
		data, ci, err := src.ReadPacketData()
		if err != nil {
			break
		}
		pk := gopacket.NewPacket(data, link(), gopacket.NoCopy)
		var p flows.Packet
		for _, l := range pk.Layers() {
			switch l := l.(type) {
			case *layers.IPv4:
				p = flows.Packet{}
				p.Src, p.Dst = flows.Addr{10: 0xff, 11: 0xff}, flows.Addr{10: 0xff, 11: 0xff}
				copy(p.Src[12:], l.SrcIP.To4())
				copy(p.Dst[12:], l.DstIP.To4())
				p.PayloadLen = uint32(max(0, int(l.Length)-4*int(l.IHL)))
			case *layers.IPv6:
				p = flows.Packet{Flags: flows.IPv6}
				copy(p.Src[:], l.SrcIP.To16())
				copy(p.Dst[:], l.DstIP.To16())
				p.PayloadLen = uint32(l.Length)
			case *layers.TCP:
				p.Proto = flows.ProtoTCP
				p.SrcPort, p.DstPort, p.Seq, p.Ack = uint16(l.SrcPort), uint16(l.DstPort), l.Seq, l.Ack
				for i, b := range []bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG} {
					if b {
						p.TCPFlags |= 1 << i
					}
				}
				p.Flags |= flows.HasPorts
				p.PayloadLen = uint32(max(0, int(p.PayloadLen)-4*int(l.DataOffset)))
				p.PayloadCaptured = min(p.PayloadLen, uint32(len(l.Payload)))
				p.Payload = uint32(len(l.Contents))
				data = append(l.Contents[:len(l.Contents):len(l.Contents)], l.Payload...)
			}
		}
		if p.Proto != flows.ProtoTCP {
			continue
		}
		p.Hash = flows.Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
		p.Time, p.Pos = ci.Timestamp.UnixNano(), flows.NewPosition(1, n)
		if p.PayloadCaptured < p.PayloadLen {
			p.Flags |= flows.PayloadCut
		}
		t.Add(&p, data)
	}
	for _, f := range t.Live(nil) {
		t.Finish(f, flows.EndOfInput)
	}
	slices.Sort(c.out)
	return c.out, nil
}
