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

// connection is a TCP connection with its parser, or with what is held until
// it is known to speak HTTP.
type connection struct {
	ends   [2]string
	parser *Parser
	sides  [2]sequence
	calls  []func() []Exchange
	begun  [2][]byte
	no     int // sides that are not HTTP, as bits
	known  bool
	out    []string
}

// sequence puts one side's segments in order, as simply as can be: a hole is
// given up when much is held behind it.
type sequence struct {
	begun bool
	next  uint32
	held  []segment
}

type segment struct {
	seq  uint32
	at   flows.Stamp
	data []byte
	fin  bool
}

func (c *connection) segment(side flows.Side, g segment, syn bool) {
	q := &c.sides[side]
	if syn {
		g.seq++
	}
	if !q.begun {
		q.begun, q.next = true, g.seq
	}
	if len(g.data) > 0 || g.fin {
		q.held = append(q.held, g)
		slices.SortStableFunc(q.held, func(a, b segment) int { return int(int32(a.seq - b.seq)) })
	}
	c.deliver(side, 64)
}

// deliver feeds what is in order, and gives up holes while more than limit
// segments are held.
func (c *connection) deliver(side flows.Side, limit int) {
	q := &c.sides[side]
	for len(q.held) > 0 {
		g := q.held[0]
		hole := int32(g.seq - q.next)
		if hole > 0 {
			if len(q.held) <= limit {
				return
			}
			c.call(func() []Exchange { return c.parser.Gap(nil, side, g.at, int64(hole)) })
			q.next, hole = g.seq, 0
		}
		q.held = q.held[1:]
		if fresh := g.data[min(len(g.data), int(-hole)):]; len(fresh) > 0 {
			q.next += uint32(len(fresh))
			c.call(func() []Exchange { return c.parser.Feed(nil, side, g.at, fresh) })
			c.probe(side, fresh)
		}
		if g.fin {
			c.call(func() []Exchange { return c.parser.Fin(nil, side, g.at) })
		}
	}
}

func (c *connection) call(f func() []Exchange) {
	if c.known {
		c.take(f())
	} else if c.no != 3 {
		c.calls = append(c.calls, f)
	}
}

func (c *connection) probe(side flows.Side, data []byte) {
	if c.known || c.no&(1<<side) != 0 {
		return
	}
	c.begun[side] = append(c.begun[side], data...)
	switch Probe(c.begun[side], side) {
	case parsers.Yes:
		c.known = true
		for _, f := range c.calls {
			c.take(f())
		}
	case parsers.No:
		c.no |= 1 << side
	}
}

func (c *connection) end() {
	c.deliver(0, 0)
	c.deliver(1, 0)
	if c.known {
		c.take(c.parser.End(nil))
	}
}

func (c *connection) take(m []Exchange) {
	for i := range m {
		x := &m[i]
		if x.HasRequest() {
			c.out = append(c.out, fmt.Sprintf("%s %s %s %s", c.ends[x.Client], x.Request.Method, x.Request.Target, x.Request.Host))
		}
		for _, code := range x.Informational {
			c.out = append(c.out, fmt.Sprintf("%s %d", c.ends[x.Client.Other()], code))
		}
		if x.HasResponse() {
			c.out = append(c.out, fmt.Sprintf("%s %d", c.ends[x.Client.Other()], x.Response.Status))
		}
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
	live := map[[2]string]*connection{}
	var all []*connection
	for n := uint64(1); ; n++ {
		data, ci, err := src.ReadPacketData()
		if err != nil {
			break
		}
		var from, to string
		for _, l := range gopacket.NewPacket(data, link(), gopacket.NoCopy).Layers() {
			switch l := l.(type) {
			case *layers.IPv4:
				from, to = l.SrcIP.String(), l.DstIP.String()
			case *layers.IPv6:
				from, to = l.SrcIP.String(), l.DstIP.String()
			case *layers.TCP:
				a, b := fmt.Sprintf("%s:%d", from, l.SrcPort), fmt.Sprintf("%s:%d", to, l.DstPort)
				c, side := live[[2]string{a, b}], flows.Initiator
				if o := live[[2]string{b, a}]; o != nil {
					c, side = o, flows.Responder
				}
				if c == nil || l.SYN && !l.ACK && c.sides[side].begun && l.Seq+1 != c.sides[side].next {
					delete(live, [2]string{b, a})
					c, side = &connection{ends: [2]string{a, b}, parser: New(Config{})}, flows.Initiator
					live[[2]string{a, b}] = c
					all = append(all, c)
				}
				at := flows.Stamp{Time: ci.Timestamp.UnixNano(), Pos: flows.NewPosition(1, n)}
				c.segment(side, segment{seq: l.Seq, at: at, data: slices.Clone(l.Payload), fin: l.FIN}, l.SYN)
			}
		}
	}
	var out []string
	for _, c := range all {
		c.end()
		out = append(out, c.out...)
	}
	slices.Sort(out)
	return out, nil
}
