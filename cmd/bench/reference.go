package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
)

// Reference is what a plain reading of a generated capture gives: how many
// flows its tuples make. The generator counts what it started, but draws tuples
// at random and so may start a flow on the tuple of another.
type Reference struct {
	Packets               int64
	FlowsLeast, FlowsMost int64
}

// udpIdle is after how many nanoseconds of silence a UDP or ICMP flow is over,
// by caplake's default.
const udpIdle = 60e9

// readReference reads a pcap file of microseconds, little endian, Ethernet: what
// the generator writes. Flows of UDP and ICMP are split by silence alone; TCP
// connections on one tuple are one flow at the least and as many as there are
// SYN at the most.
func readReference(r io.Reader) (*Reference, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	var head [24]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint32(head[:]) != 0xa1b2c3d4 || binary.LittleEndian.Uint32(head[20:]) != 1 {
		return nil, errors.New("not a pcap of the generator's kind")
	}
	type state struct {
		last int64
		syns int32
	}
	tuples := map[uint64]state{} // by hash: at 64 bits a collision among millions is one in a million
	seed := maphash.MakeSeed()
	ref := &Reference{}
	frame := make([]byte, 1<<18)
	for {
		if _, err := io.ReadFull(b, head[:16]); err == io.EOF {
			return ref, nil
		} else if err != nil {
			return nil, err
		}
		n := int(binary.LittleEndian.Uint32(head[8:]))
		if n > len(frame) {
			return nil, fmt.Errorf("packet %d has %d bytes", ref.Packets+1, n)
		}
		p := frame[:n]
		if _, err := io.ReadFull(b, p); err != nil {
			return nil, err
		}
		ref.Packets++
		key, proto, syn, ok := tuple(p)
		if !ok {
			continue // ARP
		}
		t := int64(binary.LittleEndian.Uint32(head[:]))*1e9 + int64(binary.LittleEndian.Uint32(head[4:]))*1e3
		h := maphash.Bytes(seed, key[:])
		s, seen := tuples[h]
		switch {
		case !seen, proto != 6 && t-s.last > udpIdle:
			ref.FlowsLeast++
			ref.FlowsMost++
		}
		if proto == 6 && syn {
			if s.syns > 0 || seen { // a mid-stream start has no SYN of its own
				ref.FlowsMost++
			}
			s.syns++
		}
		s.last = t
		tuples[h] = s
	}
}

// tuple returns the frame's addresses, ports and protocol, the lower end first.
func tuple(p []byte) (key [37]byte, proto byte, syn, ok bool) {
	if len(p) < 14 {
		return
	}
	typ, p := binary.BigEndian.Uint16(p[12:]), p[14:]
	if typ == 0x8100 && len(p) >= 4 {
		typ, p = binary.BigEndian.Uint16(p[2:]), p[4:]
	}
	var a, b [18]byte // address and port
	switch {
	case typ == 0x0800 && len(p) >= 28:
		proto = p[9]
		copy(a[:], p[12:16])
		copy(b[:], p[16:20])
		p = p[20:]
	case typ == 0x86dd && len(p) >= 48:
		proto = p[6]
		copy(a[:], p[8:24])
		copy(b[:], p[24:40])
		p = p[40:]
	default:
		return
	}
	switch proto {
	case 6:
		if len(p) < 20 {
			return
		}
		syn = p[13]&0x12 == 2
		fallthrough
	case 17:
		copy(a[16:], p[:2])
		copy(b[16:], p[2:4])
	}
	if string(b[:]) < string(a[:]) {
		a, b = b, a
	}
	copy(key[:18], a[:])
	copy(key[18:36], b[:])
	key[36] = proto
	return key, proto, syn, true
}
