package mutate

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/caplake/caplake/ingest"
)

// Packet is a packet as a capture records it.
type Packet struct {
	Time int64 // nanoseconds since the Unix epoch
	Link uint32
	Orig int // bytes on the wire, as recorded
	Data []byte
}

// wire returns how many bytes were on the wire: a record that claims less than it holds is wrong.
func (p *Packet) wire() int { return max(p.Orig, len(p.Data)) }

// Read returns the packets of a capture, up to where it is damaged.
func Read(path string) ([]Packet, error) {
	plan, err := ingest.NewPlan(context.Background(), ingest.Config{}, []string{path}, nil)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	var list []Packet
	err = plan.Run(context.Background(), ingest.Config{NoHash: true}, 1, func(_ int, b *ingest.Batch) error {
		for _, r := range b.Records {
			data := append([]byte(nil), b.Data[r.Offset:][:r.CapLen]...)
			list = append(list, Packet{r.Time, uint32(r.Link), int(r.OrigLen), data})
		}
		return nil
	}, nil)
	return list, err
}

// plain returns a file of the packets: a pcap with nanoseconds, or a pcapng where that
// cannot hold them.
func plain(packets []Packet) []byte {
	if !fitsPCAP(packets) {
		return pcapng{}.file(packets)
	}
	return pcap(packets, binary.LittleEndian, 1)
}

// fitsPCAP says whether packets have one link type, and times that 32 bits hold.
func fitsPCAP(packets []Packet) bool {
	for i := range packets {
		if p := &packets[i]; p.Link != packets[0].Link || p.Time < 0 || p.Time/1e9 > math.MaxUint32 {
			return false
		}
	}
	return true
}

// order is a byte order that appends too.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

const snaplen = 262144

// pcap returns a pcap whose ticks are so many nanoseconds.
func pcap(packets []Packet, o order, tick int64) []byte {
	magic := uint32(0xa1b2c3d4)
	if tick == 1 {
		magic = 0xa1b23c4d
	}
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(o.AppendUint16(b, 2), 4)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = o.AppendUint32(o.AppendUint32(b, snaplen), packets[0].Link)
	for i := range packets {
		p := &packets[i]
		b = o.AppendUint32(b, uint32(p.Time/1e9))
		b = o.AppendUint32(b, uint32(p.Time%1e9/tick))
		b = o.AppendUint32(b, uint32(len(p.Data)))
		b = o.AppendUint32(b, uint32(p.Orig))
		b = append(b, p.Data...)
	}
	return b
}

// pcapng says how a pcapng is written. The zero value is the plainest.
type pcapng struct {
	sections   int  // of as many packets each; their byte orders take turns
	interfaces int  // for each link type, which packets use by turns; each has another resolution
	options    bool // options of all blocks, and blocks that mean nothing
}

// resolution returns an if_tsresol by turns, and how many of its ticks a nanosecond has.
func resolution(k int) (code byte, ticks uint64) {
	return [...]byte{9, 10, 11}[k%3], [...]uint64{1, 10, 100}[k%3]
}

func (w pcapng) file(packets []Packet) []byte {
	w.sections, w.interfaces = max(w.sections, 1), max(w.interfaces, 1)
	var b []byte
	each := (len(packets) + w.sections - 1) / w.sections
	for s := range w.sections {
		part := packets[min(s*each, len(packets)):min((s+1)*each, len(packets))]
		if s%2 == 0 {
			b = w.section(b, part, binary.LittleEndian)
		} else {
			b = w.section(b, part, binary.BigEndian)
		}
	}
	return b
}

func (w pcapng) section(b []byte, packets []Packet, o order) []byte {
	block := func(kind uint32, body []byte) {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		n := uint32(12 + len(body))
		b = o.AppendUint32(o.AppendUint32(b, kind), n)
		b = o.AppendUint32(append(b, body...), n)
	}
	option := func(body []byte, code uint16, v ...byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		body = o.AppendUint16(o.AppendUint16(body, code), uint16(len(v)))
		body = append(body, v...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		return body
	}
	end := func(body []byte) []byte { return option(body, 0) }
	head := o.AppendUint32(nil, 0x1a2b3c4d)
	head = o.AppendUint16(o.AppendUint16(head, 1), 0)
	head = o.AppendUint64(head, math.MaxUint64)
	if w.options {
		head = end(option(option(head, 1, []byte("of no use")...), 3, []byte("none")...))
	}
	block(0x0a0d0d0a, head)
	base := int64(math.MaxInt64) // a second from which times count, so that any resolution can tell them
	for i := range packets {
		base = min(base, packets[i].Time/1e9*1e9)
	}
	if base < 0 {
		base -= 1e9
	}
	ids := map[uint32]int{} // first interface of a link type
	n := 0
	for i := range packets {
		p := &packets[i]
		if _, ok := ids[p.Link]; !ok {
			ids[p.Link] = n
			for k := range w.interfaces {
				body := o.AppendUint16(o.AppendUint16(nil, uint16(p.Link)), 0)
				body = option(o.AppendUint32(body, snaplen), 9, first(resolution(k)))
				if w.options {
					body = option(body, 2, []byte("eth0")...)
				}
				body = option(body, 14, o.AppendUint64(nil, uint64(base/1e9))...) // if_tsoffset
				block(1, end(body))
				n++
			}
		}
		k := i % w.interfaces
		_, ticks := resolution(k)
		t := uint64(p.Time-base) * ticks
		body := o.AppendUint32(nil, uint32(ids[p.Link]+k))
		body = o.AppendUint32(o.AppendUint32(body, uint32(t>>32)), uint32(t))
		body = o.AppendUint32(o.AppendUint32(body, uint32(len(p.Data))), uint32(p.Orig))
		body = append(body, p.Data...)
		if w.options {
			body = end(option(option(body, 1, []byte("a comment")...), 2, 0, 0, 0, 1))
			if i%3 == 0 {
				block(0x0bad, []byte("a block of a kind that nobody knows"))
				block(4, o.AppendUint32(nil, 0)) // names, of which there are none
			}
		}
		block(6, body)
	}
	return b
}

func first[A, B any](a A, _ B) A { return a }
