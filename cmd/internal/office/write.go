package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// inOrder sorts the packets by time. What passes at the same nanosecond stays
// in the order in which it was said.
func (w *wire) inOrder() {
	slices.SortStableFunc(w.packets, func(a, b packet) int {
		switch {
		case a.ts < b.ts:
			return -1
		case a.ts > b.ts:
			return 1
		}
		return 0
	})
}

// within returns the packets of [from, to).
func within(packets []packet, from, to int64) []packet {
	i, _ := slices.BinarySearchFunc(packets, from, func(p packet, t int64) int { return int(min(max(p.ts-t, -1), 1)) })
	j, _ := slices.BinarySearchFunc(packets, to, func(p packet, t int64) int { return int(min(max(p.ts-t, -1), 1)) })
	return packets[i:j]
}

// mirror is a switch's port that gets copies of all packets and carries fewer:
// rate bytes a second, with a buffer before it. What does not fit is dropped,
// and nobody is told.
func mirror(packets []packet, rate, buffer int64) []packet {
	var kept []packet
	var queued int64
	last := packets[0].ts
	for _, p := range packets {
		queued = max(0, queued-(p.ts-last)*rate/second)
		last = p.ts
		if n := int64(len(p.data)); queued+n <= buffer {
			queued += n
			kept = append(kept, p)
		}
	}
	return kept
}

// pcap is a capture with times in nanoseconds.
func pcap(packets []packet, snaplen int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(snaplen))
	b = binary.LittleEndian.AppendUint32(b, 1) // Ethernet
	for _, p := range packets {
		n := min(len(p.data), snaplen)
		b = binary.LittleEndian.AppendUint32(b, uint32(p.ts/second))
		b = binary.LittleEndian.AppendUint32(b, uint32(p.ts%second))
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p.data)))
		b = append(b, p.data[:n]...)
	}
	return b
}

// pcapng is a capture of one interface, which says at the end that it got all
// these packets and dropped none.
func pcapng(packets []packet) []byte {
	le := binary.LittleEndian
	block := func(b []byte, kind uint32, body []byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		n := uint32(12 + len(body))
		b = le.AppendUint32(le.AppendUint32(b, kind), n)
		return le.AppendUint32(append(b, body...), n)
	}
	option := func(b []byte, code uint16, v uint64) []byte {
		b = le.AppendUint16(le.AppendUint16(b, code), 8)
		return le.AppendUint64(b, v)
	}
	b := block(nil, 0x0a0d0d0a, append([]byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0}, 255, 255, 255, 255, 255, 255, 255, 255))
	b = block(b, 1, []byte{1, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0}) // snaplen 256 KiB, if_tsresol: 10^-9
	stamp := func(b []byte, ts int64) []byte {
		return le.AppendUint32(le.AppendUint32(b, uint32(ts>>32)), uint32(ts))
	}
	var body []byte
	for _, p := range packets {
		body = stamp(le.AppendUint32(body[:0], 0), p.ts)
		body = le.AppendUint32(le.AppendUint32(body, uint32(len(p.data))), uint32(len(p.data)))
		b = block(b, 6, append(body, p.data...))
	}
	body = stamp(le.AppendUint32(nil, 0), packets[len(packets)-1].ts)
	body = option(option(body, 4, uint64(len(packets))), 5, 0) // isb_ifrecv, isb_ifdrop
	return block(b, 5, append(body, 0, 0, 0, 0))
}

// write makes the files, and hands each to put.
func (w *wire) write(put func(name string, b []byte) error) error {
	const ten = 600 * second
	for t, i := nine().UnixNano(), 0; i < 6; t, i = t+ten, i+1 {
		to := t + ten
		if i == 5 {
			to += ten // what is said after the hour is over
		}
		if err := put(fmt.Sprintf("office/09%d0.pcap", i), pcap(within(w.packets, t, to), 262144)); err != nil {
			return err
		}
	}
	from := nine().UnixNano() + 2*ten
	part := within(w.packets, from, from+ten)
	torn := pcap(part, 262144)
	for _, f := range []struct {
		name string
		b    []byte
	}{
		{"damaged/mirror.pcapng", pcapng(mirror(part, 12.5e6, 24<<10))}, // 100 Mbit/s
		{"damaged/short.pcap", pcap(part, 96)},
		{"damaged/torn.pcap", torn[:len(torn)*7/10]},
	} {
		if err := put(f.name, f.b); err != nil {
			return err
		}
	}
	var l strings.Builder
	b := bufio.NewWriter(&l)
	fmt.Fprintln(b, "src_ip,src_port,dst_ip,dst_port,proto,activity")
	for _, x := range w.labels {
		fmt.Fprintf(b, "%s,%d,%s,%d,%s,%s\n", x.src.Addr(), x.src.Port(), x.dst.Addr(), x.dst.Port(), x.proto, x.activity)
	}
	b.Flush()
	return put("labels.csv", []byte(l.String()))
}
