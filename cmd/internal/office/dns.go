package main

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

const (
	typeA    = 1
	typePTR  = 12
	typeTXT  = 16
	typeAAAA = 28
)

// answer is one record under the name that was asked for.
type answer struct {
	kind uint16
	ttl  uint32
	data []byte
}

// lookup is one query at the office's resolver and what came back.
type lookup struct {
	qname   string
	qtype   uint16
	rcode   uint8
	answers []answer
	delay   int64 // until the answer; 0: from the resolver's cache
}

// ask files a lookup of host at t and returns when its answer is there.
func (w *wire) ask(t int64, host netip.Addr, l lookup) int64 {
	src := w.from(host)
	dst := netip.AddrPortFrom(resolver, 53)
	w.label(src, dst, "udp", "dns")
	q := make([]byte, 12)
	w.ids++
	binary.BigEndian.PutUint16(q, w.ids*40503)
	q[2] = 0x01 // recursion desired
	q[5] = 1
	q = append(q, wireName(l.qname)...)
	q = be16(be16(q, l.qtype), 1)
	r := append([]byte(nil), q...)
	q[11] = 1
	edns := []byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0} // 1232 bytes
	q = append(q, edns...)
	w.udp(t, src, dst, q)

	r[2], r[3] = 0x81, 0x80|l.rcode
	binary.BigEndian.PutUint16(r[6:], uint16(len(l.answers)))
	r[11] = 1
	for _, a := range l.answers {
		r = be16(be16(append(r, 0xc0, 12), a.kind), 1)
		r = binary.BigEndian.AppendUint32(r, a.ttl)
		r = vector16(r, a.data)
	}
	r = append(r, edns...)
	t += 250*micro + l.delay
	w.udp(t, dst, src, r)
	return t
}

func wireName(s string) []byte {
	var b []byte
	for l := range strings.SplitSeq(s, ".") {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

func address(a netip.Addr) answer {
	q := a.As4()
	return answer{typeA, 300, q[:]}
}

// text is a TXT record of one string.
func text(s string) answer {
	return answer{typeTXT, 0, append([]byte{byte(len(s))}, s...)}
}
