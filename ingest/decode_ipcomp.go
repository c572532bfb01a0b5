package ingest

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/caplake/caplake/flows"
)

// ipcomp decodes a datagram whose payload is compressed (RFC 3173 section 3: next header,
// flags, how; the rest), and restores it in d.Overflow. It returns what
// decoding that gives, or OutcomeNotIP, and then everything is as it was: the packet is one of IPComp.
//
// How is DEFLATE (RFC 2394) or a number that the two ends agreed on, of which
// nothing else is likely; a datagram of another method does not inflate.
func (d *Decoder) ipcomp(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const header, deflate, agreed = 4, 2, 256
	b := buf[off:]
	if d.Overflow == nil || len(b) <= header || len(buf) < wire {
		return OutcomeNotIP
	}
	if how := binary.BigEndian.Uint16(b[2:]); how != deflate && how < agreed {
		return OutcomeNotIP
	}
	carrier, n, depth := *p, d.n, d.depth
	if !d.push(flows.Encap{Kind: flows.EncapIPComp}) {
		return OutcomeNotIP
	}

	start := len(*d.Overflow)
	out := *d.Overflow
	if p.Flags&flows.HasEthernet != 0 {
		out = append(out, buf[p.Link:][:p.MACs.Len()]...)
	}
	p.Link, p.Network, p.Flags = uint32(start), uint32(len(out)), p.Flags|flows.InOverflow
	out = append(out, buf[carrier.Network:off]...)
	payload := len(out)
	out, ok := d.inflate(out, b[header:], 0xffff-(off-int(carrier.Network)))
	*d.Overflow = out

	// What the header says of the rest is as it was before.
	h, total := out[p.Network:payload], len(out)-int(p.Network)
	v6 := p.Flags&flows.IPv6 != 0
	if v6 {
		binary.BigEndian.PutUint16(h[4:], uint16(total-40))
		h[lastNext(h, 0)] = b[0]
	} else {
		binary.BigEndian.PutUint16(h[2:], uint16(total))
		h[9], h[10], h[11] = b[0], 0, 0
		binary.LittleEndian.PutUint16(h[10:], ^fold(sum(0, h)))
	}
	p.IPLen = uint32(total)
	o := OutcomeNotIP
	switch {
	case !ok:
	case v6:
		o = d.headers(out, payload, len(out), b[0], p)
	default:
		o = d.transport(out, payload, len(out), b[0], p)
	}
	if o = d.endTunnel(o, carrier, n, depth, p); o == OutcomeNotIP {
		*d.Overflow = (*d.Overflow)[:start]
	}
	return o
}

// inflater undoes DEFLATE with memory of its own.
type inflater struct {
	in  bytes.Reader
	out io.ReadCloser
}

// inflate appends what b holds compressed to dst, of at most room bytes, and reports
// whether b was that to its end. What grows beyond all measure is
// not inflated, and counted: a block of such packets would fill the memory.
func (d *Decoder) inflate(dst, b []byte, room int) ([]byte, bool) {
	const always, ratio = 2048, 32
	room = min(room, always+ratio*len(b))
	if d.inflater == nil {
		d.inflater = new(inflater)
		d.inflater.out = flate.NewReader(&d.inflater.in)
	}
	f := d.inflater
	f.in.Reset(b)
	f.out.(flate.Resetter).Reset(&f.in, nil)
	start := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := f.out.Read(dst[len(dst):min(cap(dst), start+room+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > start+room:
			d.limits++
			return dst[:start], false
		case err == io.EOF && f.in.Len() == 0:
			return dst, len(dst) > start
		case err != nil:
			return dst[:start], false
		}
	}
}
