package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/caplake/caplake/flows"
)

// appender is binary.ByteOrder with what appends.
type appender interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// packetSpec is a packet to be written into a capture.
type packetSpec struct {
	sec, frac uint32
	data      []byte
	orig      uint32 // 0: len(data)
}

func (p packetSpec) origLen() uint32 {
	if p.orig != 0 {
		return p.orig
	}
	return uint32(len(p.data))
}

func pcapHeader(o appender, magic uint32, minor uint16, snaplen, link uint32) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, minor)
	b = o.AppendUint32(b, 0)
	b = o.AppendUint32(b, 0)
	b = o.AppendUint32(b, snaplen)
	return o.AppendUint32(b, link)
}

func pcapRecord(o appender, b []byte, p packetSpec) []byte {
	b = o.AppendUint32(b, p.sec)
	b = o.AppendUint32(b, p.frac)
	b = o.AppendUint32(b, uint32(len(p.data)))
	b = o.AppendUint32(b, p.origLen())
	return append(b, p.data...)
}

func pcapFile(o appender, magic uint32, packets ...packetSpec) []byte {
	b := pcapHeader(o, magic, 4, 65535, 1)
	for _, p := range packets {
		b = pcapRecord(o, b, p)
	}
	return b
}

// ngBlock returns a pcapng block around body, padded.
func ngBlock(o appender, typ uint32, body []byte) []byte {
	body = append(body[:len(body):len(body)], make([]byte, -len(body)&3)...)
	n := uint32(len(body) + 12)
	b := o.AppendUint32(nil, typ)
	b = o.AppendUint32(b, n)
	b = append(b, body...)
	return o.AppendUint32(b, n)
}

func ngSection(o appender) []byte {
	b := o.AppendUint32(nil, ngByteOrderMagic)
	b = o.AppendUint16(b, 1)
	b = o.AppendUint16(b, 0)
	b = o.AppendUint64(b, ^uint64(0))
	return ngBlock(o, ngSectionHeader, b)
}

func ngOption(o appender, b []byte, code uint16, value []byte) []byte {
	b = o.AppendUint16(b, code)
	b = o.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func ngIDB(o appender, link uint16, snaplen uint32, options []byte) []byte {
	b := o.AppendUint16(nil, link)
	b = o.AppendUint16(b, 0)
	b = o.AppendUint32(b, snaplen)
	b = append(b, options...)
	if options != nil {
		b = ngOption(o, b, ngOptionEnd, nil)
	}
	return ngBlock(o, ngInterface, b)
}

func ngEPB(o appender, id uint32, ticks uint64, p packetSpec) []byte {
	b := o.AppendUint32(nil, id)
	b = o.AppendUint32(b, uint32(ticks>>32))
	b = o.AppendUint32(b, uint32(ticks))
	b = o.AppendUint32(b, uint32(len(p.data)))
	b = o.AppendUint32(b, p.origLen())
	b = append(b, p.data...)
	b = append(b, make([]byte, -len(p.data)&3)...)
	b = ngOption(o, b, 2, o.AppendUint32(nil, 1)) // epb_flags: inbound
	return ngBlock(o, ngEnhancedPacket, ngOption(o, b, ngOptionEnd, nil))
}

func ngPB(o appender, id, drops uint16, ticks uint64, p packetSpec) []byte {
	b := o.AppendUint16(nil, id)
	b = o.AppendUint16(b, drops)
	b = o.AppendUint32(b, uint32(ticks>>32))
	b = o.AppendUint32(b, uint32(ticks))
	b = o.AppendUint32(b, uint32(len(p.data)))
	b = o.AppendUint32(b, p.origLen())
	return ngBlock(o, ngPacket, append(b, p.data...))
}

func ngSPB(o appender, p packetSpec) []byte {
	return ngBlock(o, ngSimplePacket, append(o.AppendUint32(nil, p.origLen()), p.data...))
}

// udpFrame returns an Ethernet frame with n bytes of UDP payload, made distinct by
// seed.
func udpFrame(seed byte, n int) []byte {
	b := append(make([]byte, 0, 42+n), 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+n))
	b = append(b, 0, seed, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, seed)
	b = binary.BigEndian.AppendUint16(b, 4000)
	b = binary.BigEndian.AppendUint16(b, 53)
	b = binary.BigEndian.AppendUint16(b, uint16(8+n))
	b = append(b, 0, 0)
	for i := range n {
		b = append(b, seed+byte(i))
	}
	return b
}

// fragmentFrames returns the two IPv4 fragments of a UDP datagram of 24 bytes.
func fragmentFrames(id byte) (first, last []byte) {
	f := udpFrame(7, 16)
	eth, ip, rest := f[:14], bytes.Clone(f[14:34]), f[34:]
	ip[5] = id
	cut := func(from, to int, field uint16) []byte {
		h := bytes.Clone(ip)
		binary.BigEndian.PutUint16(h[2:], uint16(20+to-from))
		binary.BigEndian.PutUint16(h[6:], field)
		return bytes.Join([][]byte{eth, h, rest[from:to]}, nil)
	}
	return cut(0, 16, 0x2000), cut(16, 24, 2)
}

func gzipped(t testing.TB, members ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, m := range members {
		w := gzip.NewWriter(&b)
		if _, err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zstandard(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

// writeFiles puts files into a new directory and returns its path.
func writeFiles(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// seen is a packet as a handler got it.
type seen struct {
	pos     flows.Position
	time    int64
	offset  uint32
	orig    uint32
	link    uint16
	flags   RecordFlags
	data    string
	decoded bool
}

// result is all that came of a run.
type result struct {
	packets  []seen
	cuts     []flows.Position // last packet of each batch
	epochs   []flows.Position
	maxTimes []int64
	flows    []flows.Packet
	captures []Capture
}

// readAll runs p with one worker and keeps everything.
func readAll(t testing.TB, p *Plan, cfg Config) result {
	t.Helper()
	r, err := tryReadAll(p, cfg, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tryReadAll runs p and keeps what the last worker saw.
func tryReadAll(p *Plan, cfg Config, workers int) (result, error) {
	var r result
	p.scribble = true
	err := p.Run(context.Background(), cfg, workers, func(w int, b *Batch) error {
		if w == workers-1 {
			r.add(b)
		}
		return nil
	}, func(_ uint32, c *Capture) { r.captures = append(r.captures, *c) })
	return r, err
}

func (r *result) add(b *Batch) {
	decoded := map[flows.Position]bool{}
	for i := range b.Packets {
		p := b.Packets[i]
		decoded[p.Pos] = true
		data := b.Bytes(&p)
		_ = data[p.Payload:][:p.PayloadCaptured]
		p.Link, p.Network, p.Transport, p.Payload, p.Encap = 0, p.Network-p.Link, p.Transport-p.Link, p.Payload-p.Link, 0
		r.flows = append(r.flows, p)
	}
	for i := range b.Records {
		rec := &b.Records[i]
		pos := flows.NewPosition(b.Input, b.First+uint64(i))
		r.packets = append(r.packets, seen{
			pos: pos, time: rec.Time, offset: rec.Offset, orig: rec.OrigLen, link: rec.Link, flags: rec.Flags,
			data: string(b.Data[rec.Offset:][:rec.CapLen]), decoded: decoded[pos],
		})
	}
	last := flows.NewPosition(b.Input, b.First+uint64(len(b.Records))-1)
	r.cuts = append(r.cuts, last)
	r.maxTimes = append(r.maxTimes, b.MaxTime)
	if b.EndOfEpoch {
		r.epochs = append(r.epochs, last)
	}
}

// planOf plans the arguments.
func planOf(t testing.TB, args ...string) *Plan {
	t.Helper()
	p, err := NewPlan(context.Background(), Config{}, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func hashOf(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
