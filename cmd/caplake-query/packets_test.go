package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// This file reads testdata's captures a second time, as plainly as they can be
// read and by none of caplake's code, so that the tables are held against the
// bytes and not against caplake's own idea of them.

// packet is one packet of a capture.
type packet struct {
	n       int64 // number in its capture, counted from 1
	ns      int64 // time, nanoseconds since the Unix epoch
	proto   byte  // IP protocol; 0: not IP, or a fragment
	src     netip.AddrPort
	dst     netip.AddrPort
	ipBytes int64
	syn     bool
	payload []byte // of TCP or UDP
}

// read returns the packets of a pcap or pcapng file, compressed or not, of
// Ethernet and of little-endian machines: what testdata has.
func read(t *testing.T, file string) []packet {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	u32 := binary.LittleEndian.Uint32
	var packets []packet
	add := func(ns int64, frame []byte) {
		p := packet{n: int64(len(packets)) + 1, ns: ns}
		p.decode(frame)
		packets = append(packets, p)
	}
	switch magic := u32(b); magic {
	case 0xa1b2c3d4, 0xa1b23c4d:
		unit := int64(1000)
		if magic == 0xa1b23c4d {
			unit = 1
		}
		for b = b[24:]; len(b) > 0; {
			n := u32(b[8:])
			add(int64(u32(b))*1e9+int64(u32(b[4:]))*unit, b[16:16+n])
			b = b[16+n:]
		}
	case 0x0a0d0d0a:
		unit := int64(1000)
		for len(b) > 0 {
			body := b[8 : u32(b[4:])-4]
			switch u32(b) {
			case 1: // interface description; option 9 is the resolution
				for o := body[8:]; len(o) >= 4; {
					length := int(binary.LittleEndian.Uint16(o[2:]))
					if binary.LittleEndian.Uint16(o) == 9 && o[4] == 9 {
						unit = 1
					}
					o = o[4+(length+3)/4*4:]
				}
			case 6: // enhanced packet
				ticks := int64(u32(body[4:]))<<32 | int64(u32(body[8:]))
				add(ticks*unit, body[20:20+u32(body[12:])])
			}
			b = b[u32(b[4:]):]
		}
	default:
		t.Fatalf("%s: magic %#x", file, magic)
	}
	return packets
}

func (p *packet) decode(frame []byte) {
	u16 := binary.BigEndian.Uint16
	var src, dst netip.Addr
	var transport []byte
	var proto byte
	switch ip := frame[14:]; u16(frame[12:]) {
	case 0x0800:
		if u16(ip[6:])&0x3fff != 0 {
			return // a fragment
		}
		proto, transport = ip[9], ip[int(ip[0]&15)*4:u16(ip[2:])]
		src, dst = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		p.ipBytes = int64(u16(ip[2:]))
	case 0x86dd:
		if ip[6] == 44 {
			return // a fragment
		}
		proto, transport = ip[6], ip[40:40+u16(ip[4:])]
		src, dst = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		p.ipBytes = 40 + int64(u16(ip[4:]))
	default:
		return
	}
	p.proto = proto
	switch proto {
	case 6:
		p.payload = transport[int(transport[12]>>4)*4:]
		p.syn = transport[13]&0x12 == 2
	case 17:
		p.payload = transport[8:]
	default:
		p.src, p.dst = netip.AddrPortFrom(src, 0), netip.AddrPortFrom(dst, 0)
		return
	}
	p.src, p.dst = netip.AddrPortFrom(src, u16(transport)), netip.AddrPortFrom(dst, u16(transport[2:]))
}

// clientHello is what the tests want to know of one.
type clientHello struct {
	sessionID string
	ciphers   []int
	exts      []int
}

// hello decodes a payload that begins with a whole ClientHello.
func hello(b []byte) (h clientHello, ok bool) {
	if len(b) < 44 || b[0] != 22 || b[5] != 1 {
		return h, false
	}
	b = b[43:] // record header, handshake header, version, random
	h.sessionID = fmt.Sprintf("%x", b[1:1+b[0]])
	b = b[1+b[0]:]
	n := binary.BigEndian.Uint16(b)
	for i := uint16(0); i < n; i += 2 {
		h.ciphers = append(h.ciphers, int(binary.BigEndian.Uint16(b[2+i:])))
	}
	b = b[2+n:]
	b = b[1+b[0]:] // compression methods
	n = binary.BigEndian.Uint16(b)
	for e := b[2 : 2+n]; len(e) > 0; e = e[4+binary.BigEndian.Uint16(e[2:]):] {
		h.exts = append(h.exts, int(binary.BigEndian.Uint16(e)))
	}
	return h, true
}
