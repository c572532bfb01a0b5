package openvpn

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
	"github.com/caplake/caplake/parsers/tls"
)

const (
	cl = flows.Initiator
	sv = flows.Responder
)

var (
	clientHello = unhex("16 0301 002d 01 000029 0303" + strings.Repeat("aa", 32) + "00 0002 c02f 01 00")
	serverHello = unhex("16 0303 002a 02 000026 0303" + strings.Repeat("bb", 32) + "00 c02f 00")
	ended       = unhex("14 0303 0001 01 16 0303 0004 01020304") // change_cipher_spec, Finished
)

// digests are the lengths in bytes of no HMAC, MD5, SHA1, and SHA2 of four sizes.
var digests = []int{0, 16, 20, 28, 32, 48, 64}

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// endpoint makes packets of one side.
type endpoint struct {
	id, other string
	mac       int
	replay    uint32
}

func (e *endpoint) packet(op, key byte, acks []uint32, number uint32, payload string) string {
	b := append([]byte{op<<3 | key}, e.id...)
	if e.mac > 0 {
		e.replay++
		b = append(b, strings.Repeat("\xa7", e.mac)...)
		b = binary.BigEndian.AppendUint32(b, e.replay)
		b = binary.BigEndian.AppendUint32(b, 0x577e73b3)
	}
	b = append(b, byte(len(acks)))
	for _, a := range acks {
		b = binary.BigEndian.AppendUint32(b, a)
	}
	if len(acks) > 0 {
		b = append(b, e.other...)
	}
	b = binary.BigEndian.AppendUint32(b, number)
	return string(b) + payload
}

func ends(mac int) (c, s *endpoint) {
	return &endpoint{id: "CLIENT01", other: "SERVER01", mac: mac}, &endpoint{id: "SERVER01", other: "CLIENT01", mac: mac}
}

type sent struct {
	side flows.Side
	data string
}

// transcript is a parser that says what it is fed, each call's bytes by themselves.
type transcript struct{ held strings.Builder }

func (p *transcript) add(format string, args ...any) { fmt.Fprintf(&p.held, format, args...) }

func (p *transcript) Feed(dst []string, side flows.Side, _ flows.Stamp, data []byte) []string {
	p.add("%s %s|", side, data)
	return dst
}
func (p *transcript) Gap(dst []string, side flows.Side, _ flows.Stamp, _ int64) []string {
	p.add("%s gap|", side)
	return dst
}
func (p *transcript) Fin(dst []string, side flows.Side, _ flows.Stamp) []string {
	p.add("%s fin|", side)
	return dst
}
func (p *transcript) Rst(dst []string, side flows.Side, _ flows.Stamp) []string {
	p.add("%s rst|", side)
	return dst
}
func (p *transcript) End(dst []string) []string { return append(dst, p.held.String()) }
func (p *transcript) Done() bool                { return false }
func (p *transcript) Reset()                    { p.held.Reset() }

func newTranscript() parsers.SessionParser[string] { return new(transcript) }

func stamp(i int) flows.Stamp {
	return flows.Stamp{Time: int64(i+1) * 1e6, Pos: flows.NewPosition(1, uint64(i+1))}
}

// TestOrder: what the packets carry comes once and in order, over UDP and TCP alike.
func TestOrder(t *testing.T) {
	many := func(e *endpoint, from, to uint32) (list []sent) {
		for n := from; n <= to; n++ {
			list = append(list, sent{cl, e.packet(opControl, 0, nil, n, fmt.Sprint(n, ","))})
		}
		return list
	}
	for _, mac := range digests {
		for _, x := range []struct {
			name string
			list func(c, s *endpoint) []sent
			want []string
		}{
			{"in order", func(c, s *endpoint) []sent {
				return []sent{
					{cl, c.packet(opHardResetClient, 0, nil, 0, "")},
					{sv, s.packet(opHardResetServer, 0, []uint32{0}, 0, "")},
					{cl, c.packet(opControl, 0, []uint32{0}, 1, "one")},
					{sv, s.packet(opControl, 0, []uint32{1}, 1, "uno")},
					{cl, c.packet(opControl, 0, []uint32{1}, 2, "two")},
				}
			}, []string{"initiator one|responder uno|initiator two|"}},
			{"out of order, again, and late", func(c, s *endpoint) []sent {
				return []sent{
					{cl, c.packet(opHardResetClient, 0, nil, 0, "")},
					{cl, c.packet(opControl, 0, nil, 3, "three")},
					{cl, c.packet(opControl, 0, nil, 2, "two")},
					{cl, c.packet(opControl, 0, nil, 3, "other")},
					{cl, c.packet(opHardResetClient, 0, nil, 0, "")},
					{cl, c.packet(opControl, 0, nil, 1, "one")},
					{cl, c.packet(opControl, 0, nil, 1, "one")},
					{cl, c.packet(opControl, 0, nil, 4, "four")},
				}
			}, []string{"initiator one|initiator two|initiator three|initiator four|"}},
			{"never captured", func(c, s *endpoint) []sent {
				list := []sent{{cl, c.packet(opHardResetClient, 0, nil, 0, "")}, {sv, s.packet(opHardResetServer, 0, []uint32{0}, 0, "")}}
				list = append(list, many(c, 1, 2)...)
				list = append(list, many(c, 4, 16)...) // 15 is ahead of 3 by as much as no side may be
				return append(list, sent{sv, s.packet(opControl, 0, nil, 1, "uno")})
			}, []string{"initiator 1,|initiator 2,|initiator gap|responder uno|"}},
			{"waiting at the end", func(c, s *endpoint) []sent {
				return []sent{{cl, c.packet(opHardResetClient, 0, nil, 0, "")}, {cl, c.packet(opControl, 0, nil, 2, "two")}}
			}, []string{"initiator gap|"}},
			{"another key", func(c, s *endpoint) []sent {
				return []sent{
					{cl, c.packet(opHardResetClient, 0, nil, 0, "")},
					{sv, s.packet(opHardResetServer, 0, []uint32{0}, 0, "")},
					{cl, c.packet(opControl, 0, nil, 1, "one")},
					{sv, s.packet(opSoftReset, 1, nil, 0, "")},
					{cl, c.packet(opSoftReset, 1, []uint32{0}, 0, "")},
					{cl, c.packet(opControl, 0, nil, 2, "of the key before")},
					{cl, c.packet(opControl, 1, nil, 1, "eins")},
					{sv, s.packet(opControl, 1, nil, 1, "un")},
				}
			}, []string{"initiator one|", "initiator eins|responder un|"}},
			{"another session", func(c, s *endpoint) []sent {
				d := *c
				d.id = "CLIENT02"
				return []sent{
					{cl, c.packet(opHardResetClient, 0, nil, 0, "")},
					{sv, s.packet(opHardResetServer, 0, []uint32{0}, 0, "")},
					{cl, c.packet(opControl, 0, nil, 1, "one")},
					{cl, d.packet(opHardResetClient, 0, nil, 0, "")},
					{sv, s.packet(opControl, 0, []uint32{1}, 1, "to the session before")},
					{cl, c.packet(opControl, 0, nil, 2, "of the session before")},
					{cl, d.packet(opControl, 0, nil, 1, "eins")},
				}
			}, []string{"initiator one|", "initiator eins|"}},
			{"joined late", func(c, s *endpoint) []sent {
				return []sent{
					{cl, c.packet(opControl, 0, []uint32{0}, 1, clientHello)},
					{sv, s.packet(6, 0, nil, 0, "tunnel")},
					{sv, s.packet(opControl, 0, []uint32{1}, 2, "nobody knows what")},
					{sv, s.packet(opControl, 0, []uint32{1}, 1, serverHello)},
				}
			}, []string{"initiator " + clientHello + "|responder " + serverHello + "|"}},
			{"nothing but resets", func(c, s *endpoint) []sent {
				return []sent{{cl, c.packet(opHardResetClient, 0, nil, 0, "")}, {sv, s.packet(opHardResetServer, 0, []uint32{0}, 0, "")}}
			}, nil},
		} {
			list := x.list(ends(mac))
			d := NewDatagrams(newTranscript)
			var got []string
			for i, p := range list {
				got = append(got, d.Datagram(nil, p.side, stamp(i), []byte(p.data))...)
			}
			if got = d.End(got); !slices.Equal(got, x.want) {
				t.Errorf("HMAC of %d, %s: over UDP\n%q, want\n%q", mac, x.name, got, x.want)
			}
			p := NewStream(newTranscript)
			got = nil
			for i, l := range list {
				framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(l.data))), l.data...)
				got = append(got, p.Feed(nil, l.side, stamp(i), framed)...)
			}
			if got = p.End(got); !slices.Equal(got, x.want) {
				t.Errorf("HMAC of %d, %s: over TCP\n%q, want\n%q", mac, x.name, got, x.want)
			}
			// Who joins at the first packet knows what they are from it alone.
			for proto, data := range map[uint8]string{flows.ProtoUDP: list[0].data, flows.ProtoTCP: string(binary.BigEndian.AppendUint16(nil, uint16(len(list[0].data)))) + list[0].data} {
				f := &flows.Flow{}
				f.Proto = proto
				if v := Probe(f, cl, []byte(data)); v != parsers.Yes {
					t.Errorf("HMAC of %d, %s: protocol %d: probe says %d", mac, x.name, proto, v)
				}
				if proto == flows.ProtoTCP {
					for i := range data {
						if v := Probe(f, cl, []byte(data[:i])); v != parsers.Maybe {
							t.Errorf("HMAC of %d, %s: probe of %d bytes says %d", mac, x.name, i, v)
						}
					}
				}
			}
		}
	}
}

func TestGaps(t *testing.T) {
	c, _ := ends(0)
	frame := func(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }
	begin := func() *Stream[string] {
		p := NewStream(newTranscript)
		p.Feed(nil, cl, stamp(0), frame(c.packet(opHardResetClient, 0, nil, 0, "")))
		p.Feed(nil, cl, stamp(1), frame(c.packet(opControl, 0, nil, 1, "one")))
		return p
	}
	p := begin()
	data := frame("\x30" + strings.Repeat("tunnel ", 100)) // P_DATA_V1
	p.Feed(nil, cl, stamp(2), data[:50])
	p.Gap(nil, cl, stamp(3), int64(len(data)-60))
	p.Feed(nil, cl, stamp(4), append(data[len(data)-10:], frame(c.packet(opControl, 0, nil, 2, "two"))...))
	if got := p.End(nil); fmt.Sprint(got) != "[initiator one|initiator two|]" {
		t.Errorf("a gap within a packet of the tunnel: %q", got)
	}
	p = begin()
	p.Gap(nil, cl, stamp(2), 1)
	p.Feed(nil, cl, stamp(3), frame(c.packet(opControl, 0, nil, 2, "two")))
	p.Fin(nil, sv, stamp(4))
	if got := p.End(nil); fmt.Sprint(got) != "[initiator one|initiator gap|responder fin|]" {
		t.Errorf("a gap between packets: %q", got)
	}
	if p.Done() {
		t.Error("one side is still readable")
	}
	p.Feed(nil, sv, stamp(5), []byte("\x00\x20\x00 no packet"))
	if !p.Done() {
		t.Error("opcodes that there are not")
	}
}

// TestProbe: bytes that are not, among them what other protocols begin with.
func TestProbe(t *testing.T) {
	c, s := ends(0)
	for _, b := range []string{
		"", "\x38", c.packet(opHardResetClient, 0, nil, 1, ""), c.packet(opHardResetClient, 1, nil, 0, ""), c.packet(opHardResetClient, 0, nil, 0, "x"),
		c.packet(opHardResetServer, 0, []uint32{1}, 0, ""), s.packet(opControl, 0, nil, 1, "GET / HTTP/1.1\r\n"), s.packet(opControl, 0, nil, 1, ended),
		s.packet(5, 0, []uint32{0}, 0, ""), s.packet(6, 0, nil, 0, clientHello), "\x38" + strings.Repeat("\x00", 13),
		"\x38abcdefgh\x00\x00\x00\x01\x57\x7e\x73\xb3" + strings.Repeat("\x9c", 37), // tls-crypt
		unhex("0001 0000 2112a442 0102030405060708090a0b0c"), unhex("3801 0100 0001 0000 0000 0000 00 0001 0001"), strings.Repeat("\x00", 54), clientHello,
	} {
		f := &flows.Flow{}
		f.Proto = flows.ProtoUDP
		if v := Probe(f, cl, []byte(b)); v != parsers.No {
			t.Errorf("UDP %q: %v", b, v)
		}
		f.Proto = flows.ProtoTCP
		if v := Probe(f, cl, append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); v != parsers.No {
			t.Errorf("TCP %q: %v", b, v)
		}
		if v := Probe(f, cl, []byte(b)); v != parsers.No && len(b) > 1 {
			t.Errorf("TCP without a length %q: %v", b, v)
		}
	}
	f := &flows.Flow{}
	f.Proto = flows.ProtoUDP
	c, _ = ends(64)
	data := []byte(c.packet(opControl, 0, []uint32{0}, 1, clientHello))
	if n := testing.AllocsPerRun(100, func() { Probe(f, cl, data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// handshake is what a tunnel that negotiates twice sends, with TLS in it.
func handshake(mac int) (list []sent) {
	c, s := ends(mac)
	for key := range byte(2) {
		first, answer := byte(opHardResetClient), byte(opHardResetServer)
		if key > 0 {
			first, answer = opSoftReset, opSoftReset
		}
		list = append(list,
			sent{cl, c.packet(first, key, nil, 0, "")},
			sent{sv, s.packet(answer, key, []uint32{0}, 0, "")},
			sent{cl, c.packet(5, key, []uint32{0}, 0, "")[:len(c.packet(5, key, []uint32{0}, 0, ""))-4]},
			sent{cl, c.packet(opControl, key, nil, 2, clientHello[20:])},
			sent{cl, c.packet(opControl, key, []uint32{0}, 1, clientHello[:20])},
			sent{sv, s.packet(opControl, key, []uint32{1, 2}, 1, serverHello)},
			sent{cl, c.packet(opControl, key, nil, 1, clientHello[:20])},
			sent{cl, c.packet(opControl, key, []uint32{1}, 3, ended)},
			sent{sv, s.packet(opControl, key, []uint32{3}, 2, ended)},
			sent{cl, "\x30" + strings.Repeat("tunnel ", 20)},
			sent{sv, "\x30" + strings.Repeat("tunnel ", 20)})
	}
	return list
}

func newTLS() parsers.SessionParser[tls.Handshake] { return new(tls.Parser) }

func text(m *tls.Handshake) string {
	return fmt.Sprint(m.First, m.Last, m.Done, m.Outcome, m.ClientHellos, m.ServerHellos, m.Client.Ciphers, m.Server.Cipher, m.AfterGap, m.Malformed)
}

func TestLaws(t *testing.T) {
	stream := parsertest.Session[tls.Handshake]{
		New:     func() parsers.SessionParser[tls.Handshake] { return NewStream(newTLS) },
		Text:    text,
		MaxHeld: 512 << 10,
	}
	datagrams := parsertest.Datagram[tls.Handshake]{
		New:     func() parsers.DatagramParser[tls.Handshake] { return NewDatagrams(newTLS) },
		Text:    text,
		MaxHeld: 512 << 10,
		Again:   []parsertest.Call{parsertest.Feed(cl, "\x30tunnel tunnel tunnel tunnel")},
	}
	for _, mac := range []int{0, 20, 64} {
		s := parsertest.Script{Name: fmt.Sprint("HMAC of ", mac), Messages: 2}
		d := s
		for _, p := range handshake(mac) {
			d.Calls = append(d.Calls, parsertest.Feed(p.side, p.data))
			framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(p.data))), p.data...)
			s.Calls = append(s.Calls, parsertest.Feed(p.side, framed))
			if mac == 0 {
				stream.Quiet = append(stream.Quiet, parsertest.Feed(p.side, framed))
			}
		}
		stream.Scripts, datagrams.Scripts = append(stream.Scripts, s), append(datagrams.Scripts, d)
	}
	stream.Again = parsertest.Feed(cl, "\x00\x1c\x30tunnel tunnel tunnel tunnel")
	t.Run("stream", stream.Test)
	t.Run("datagrams", datagrams.Test)
}

// TestEstablished: both handshakes of a tunnel are told whole.
func TestEstablished(t *testing.T) {
	for _, mac := range digests {
		d := NewDatagrams(newTLS)
		var got []tls.Outcome
		for i, p := range handshake(mac) {
			for _, m := range d.Datagram(nil, p.side, stamp(i), []byte(p.data)) {
				got = append(got, m.Outcome)
			}
		}
		if !slices.Equal(got, []tls.Outcome{tls.Established, tls.Established}) || len(d.End(nil)) != 0 {
			t.Errorf("HMAC of %d: %v", mac, got)
		}
	}
}

func FuzzDatagrams(f *testing.F) {
	for _, mac := range layouts {
		for _, p := range handshake(mac) {
			f.Add([]byte(p.data), []byte(clientHello))
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		d := NewDatagrams(newTLS)
		fl := &flows.Flow{}
		fl.Proto = flows.ProtoUDP
		for i := range 4 {
			Probe(fl, cl, a)
			d.Datagram(nil, flows.Side(i&1), stamp(i), a)
			d.Datagram(nil, flows.Side(i>>1), stamp(i), b)
		}
		if n := d.Held(); n > 512<<10 {
			t.Errorf("%d bytes held", n)
		}
		d.End(nil)
		d.Reset()
	})
}

func FuzzStream(f *testing.F) {
	var a, b []byte
	for _, p := range handshake(20) {
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(p.data))), p.data...)
		if p.side == cl {
			a = append(a, framed...)
		} else {
			b = append(b, framed...)
		}
	}
	f.Add(a, b)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		p := NewStream(newTLS)
		p.Feed(nil, cl, stamp(0), a)
		p.Feed(nil, sv, stamp(1), b)
		if n := p.Held(); n > 512<<10 {
			t.Errorf("%d bytes held", n)
		}
		p.End(nil)
		p.Reset()
	})
}
