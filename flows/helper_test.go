package flows

import (
	"fmt"
	"strings"
)

// log is a Consumer that writes down what it is told.
type log struct {
	lines []string
	ended []Flow
	tcp   []TCP
	data  [2][]byte // bytes delivered; a gap is that many 0xff… marks in gaps
	gaps  [2][]gapAt
}

type gapAt struct {
	at int // after so many bytes and gap bytes
	n  int64
}

func (l *log) add(format string, a ...any) { l.lines = append(l.lines, fmt.Sprintf(format, a...)) }

func (l *log) Started(f *Flow, p *Packet) { l.add("start %s", f.Basis) }
func (l *log) Data(f *Flow, side Side, at Stamp, data []byte) {
	l.add("data %d %q @%d", side, data, at.Pos.Packet())
	l.data[side] = append(l.data[side], data...)
}
func (l *log) Gap(f *Flow, side Side, at Stamp, n int64) {
	l.add("gap %d %d", side, n)
	l.gaps[side] = append(l.gaps[side], gapAt{len(l.data[side]), n})
	l.data[side] = append(l.data[side], make([]byte, n)...)
}
func (l *log) Fin(f *Flow, side Side, at Stamp) { l.add("fin %d", side) }
func (l *log) Rst(f *Flow, side Side, at Stamp) { l.add("rst %d", side) }
func (l *log) Datagram(f *Flow, side Side, at Stamp, data []byte) {
	l.add("datagram %d %q", side, data)
}
func (l *log) Ended(f *Flow, tcp *TCP) {
	l.add("end %s %s %s", f.End, f.State, f.History())
	l.ended = append(l.ended, *f)
	if tcp != nil {
		l.tcp = append(l.tcp, *tcp)
	}
}

func (l *log) String() string { return strings.Join(l.lines, "\n") }

// sim builds packets of one flow between 10.0.0.1:1000 and 10.0.0.2:80.
type sim struct {
	t   *Tracker
	now int64
	n   uint64
}

func newSim(cfg Config) (*sim, *log) {
	l := new(log)
	return &sim{t: NewTracker(cfg, l), now: 1_000_000 * second}, l
}

func addr(last byte) Addr { return Addr{10: 0xff, 11: 0xff, 12: 10, 15: last} }

// send adds a packet of side; TCP unless flags is negative.
func (s *sim) send(side Side, flags int, seq, ack uint32, payload string) {
	s.n++
	s.now += 1000
	p := Packet{Time: s.now, Pos: NewPosition(1, s.n), Src: addr(1), Dst: addr(2), SrcPort: 1000, DstPort: 80,
		Proto: ProtoTCP, TTL: 64, Flags: HasPorts, Seq: seq, Ack: ack, Window: 1000, ID: uint16(s.n)}
	if side == Responder {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
	}
	header := 20
	if flags < 0 {
		p.Proto, header = ProtoUDP, 8
	} else {
		p.TCPFlags = uint16(flags)
	}
	p.Hash = Hash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto)
	data := append(make([]byte, 20+header), payload...)
	p.Transport, p.Payload = 20, uint32(20+header)
	p.PayloadLen, p.PayloadCaptured = uint32(len(payload)), uint32(len(payload))
	p.IPLen, p.WireLen = uint32(len(data)), uint32(len(data)+14)
	s.t.Add(&p, data)
	for i := range data {
		data[i] = 0xdd // lent memory: whoever kept it sees this
	}
}

func (s *sim) finish() {
	for _, f := range s.t.Live(nil) {
		s.t.Finish(f, EndOfInput)
	}
}
