package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// The pcapng format (draft-ietf-opsawg-pcapng): blocks, back to back.
//
//	0       4        8                    length-4   length
//	┌───────┬────────┬─────────────────────┬──────────┐
//	│ type  │ length │ body                │ length   │
//	└───────┴────────┴─────────────────────┴──────────┘
//
// A section header block begins a section, whose byte order its body tells
// and whose interfaces are numbered from 0 by their description blocks; packets name their
// interface, which gives their link type and the unit of their time. Only
// these blocks are read:
//
//	section header          magic u32, major u16, minor u16, section length i64, options
//	interface description   link u16, reserved u16, snaplen u32, options
//	enhanced packet         interface u32, time high u32, low u32, caplen u32, origlen u32, bytes, options
//	packet (obsolete)       interface u16, drops u16, then as the enhanced packet
//	simple packet           origlen u32, bytes; of interface 0, without a time
//	interface statistics    interface u32, time high u32, low u32, options
//
// all others (name resolution, secrets, custom, …) are stepped over: they are no packets.
const (
	ngSectionHeader  = 0x0a0d0d0a // the same in either byte order
	ngInterface      = 1
	ngPacket         = 2
	ngSimplePacket   = 3
	ngStatistics     = 5
	ngEnhancedPacket = 6

	ngByteOrderMagic = 0x1a2b3c4d

	ngMinBlock   = 12 // type and both lengths
	ngBody       = 8  // where the body begins
	ngPacketData = 28 // where an enhanced or obsolete packet's bytes begin
	ngSimpleData = 12

	ngOptionEnd      = 0
	ngOptionTSResol  = 9  // if_tsresol
	ngOptionTSOffset = 14 // if_tsoffset

	ngOptionFlags     = 2 // epb_flags, pack_flags
	ngOptionDropCount = 4 // epb_dropcount

	ngOptionIfReceived = 4 // isb_ifrecv
	ngOptionIfDropped  = 5 // isb_ifdrop
	ngOptionOSDropped  = 7 // isb_osdrop

	ngDropsUnknown = 0xffff // in an obsolete packet block
	ngLinkErrors   = 0xffff0000

	// Bounds what a file of nothing but interface descriptions can take.
	ngMaxInterfaces = 65536
	// Bounds what is listed in the ledger of interfaces that differ.
	ngMaxListed = 64
)

type pcapngWalker struct {
	maxRecord  int
	swapped    bool // the section is big-endian
	began      bool // some section header was read
	interfaces []ngInterfaceInfo
	last       int64 // time of the latest packet in file order, for those without

	statistics // of the sections before this one

	mixed       bool // sections differ in byte order
	firstOrder  bool // swapped, of the first section
	links       []uint16
	resolutions []uint8
	snaplen     uint32
}

type ngInterfaceInfo struct {
	link       uint16
	resolution uint8 // as if_tsresol
	snaplen    uint32
	offset     int64 // if_tsoffset, in seconds

	statistics        // the last that were given
	lost       uint64 // the sum of what packets say was dropped before them
	hasLost    bool
}

// statistics are those of an interface, or of several.
type statistics struct {
	received, dropped       uint64
	hasReceived, hasDropped bool
}

// add counts an interface. Its own statistics are cumulative and so the last
// ones stand for it; without them the packets' own counts do.
func (s *statistics) add(i *ngInterfaceInfo) {
	s.received += i.received
	s.hasReceived = s.hasReceived || i.hasReceived
	switch {
	case i.hasDropped:
		s.dropped += i.dropped
		s.hasDropped = true
	case i.hasLost:
		s.dropped += i.lost
		s.hasDropped = true
	}
}

func (s *statistics) describe(c *Capture) {
	c.Received, c.HasReceived = s.received, s.hasReceived
	c.Dropped, c.HasDropped = s.dropped, s.hasDropped
}

func (w *pcapngWalker) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if w.swapped {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (w *pcapngWalker) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if w.swapped {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (w *pcapngWalker) u64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if w.swapped {
		v = bits.ReverseBytes64(v)
	}
	return v
}

func (w *pcapngWalker) walk(buf []byte, off int, recs []Record, max int) ([]Record, int, int, *damage) {
	for len(recs) < max {
		if len(buf)-off < ngMinBlock {
			return recs, off, ngMinBlock, nil
		}
		h := buf[off : off+ngMinBlock]
		typ := binary.LittleEndian.Uint32(h)
		if typ == ngSectionHeader {
			switch binary.LittleEndian.Uint32(h[8:]) {
			case ngByteOrderMagic:
				w.swapped = false
			case bits.ReverseBytes32(ngByteOrderMagic):
				w.swapped = true
			default:
				return recs, off, 0, damaged(DamageMalformed, "the section header's byte-order magic is %#08x", binary.LittleEndian.Uint32(h[8:]))
			}
		} else {
			typ = w.u32(h)
		}
		length := w.u32(h[4:])
		switch {
		case length < ngMinBlock || length%4 != 0:
			return recs, off, 0, damaged(DamageMalformed, "block of type %#x claims an impossible length of %d bytes", typ, length)
		case uint64(length) > uint64(w.maxRecord):
			return recs, off, 0, damaged(DamageMalformed, "block of type %#x claims %d bytes, the limit is %d", typ, length, w.maxRecord)
		case len(buf)-off < int(length):
			return recs, off, int(length), nil
		}
		block := buf[off : off+int(length)]
		if again := w.u32(block[length-4:]); again != length {
			return recs, off, 0, damaged(DamageMalformed, "block of type %#x has the length %d at its beginning and %d at its end", typ, length, again)
		}
		var d *damage
		switch typ {
		case ngEnhancedPacket, ngPacket:
			recs, d = w.packet(block, typ, off, recs)
		case ngSimplePacket:
			recs, d = w.simplePacket(block, off, recs)
		case ngSectionHeader:
			d = w.section(block)
		case ngInterface:
			d = w.describeInterface(block)
		case ngStatistics:
			w.interfaceStatistics(block)
		}
		if d != nil {
			return recs, off, 0, d
		}
		off += int(length)
	}
	return recs, off, 0, nil
}

func (w *pcapngWalker) section(block []byte) *damage {
	if len(block) < 28 {
		return damaged(DamageMalformed, "section header of %d bytes", len(block))
	}
	if major := w.u16(block[12:]); major != 1 {
		return damaged(DamageUnsupported, "pcapng version %d.%d is not known", major, w.u16(block[14:]))
	}
	if !w.began {
		w.firstOrder = w.swapped
	}
	w.began = true
	w.mixed = w.mixed || w.swapped != w.firstOrder
	for i := range w.interfaces {
		w.statistics.add(&w.interfaces[i])
	}
	w.interfaces = w.interfaces[:0]
	return nil
}

func (w *pcapngWalker) describeInterface(block []byte) *damage {
	if len(block) < 20 {
		return damaged(DamageMalformed, "interface description of %d bytes", len(block))
	}
	if len(w.interfaces) == ngMaxInterfaces {
		return damaged(DamageMalformed, "more than %d interfaces in a section", ngMaxInterfaces)
	}
	i := ngInterfaceInfo{link: w.u16(block[8:]), snaplen: w.u32(block[12:]), resolution: 6}
	for o := block[16 : len(block)-4]; len(o) >= 4; {
		code, n := w.u16(o), int(w.u16(o[2:]))
		padded := (n + 3) &^ 3
		if code == ngOptionEnd {
			break
		}
		if padded > len(o)-4 {
			return damaged(DamageMalformed, "option %d of an interface description runs past its end", code)
		}
		switch v := o[4 : 4+n]; {
		case code == ngOptionTSResol && n == 1:
			i.resolution = v[0]
		case code == ngOptionTSOffset && n == 8:
			i.offset = int64(w.u64(v))
		}
		o = o[4+padded:]
	}
	w.interfaces = append(w.interfaces, i)
	w.snaplen = max(w.snaplen, i.snaplen)
	if len(w.links) < ngMaxListed && !slices.Contains(w.links, i.link) {
		w.links = append(w.links, i.link)
	}
	if len(w.resolutions) < ngMaxListed && !slices.Contains(w.resolutions, i.resolution) {
		w.resolutions = append(w.resolutions, i.resolution)
	}
	return nil
}

func (w *pcapngWalker) packet(block []byte, typ uint32, off int, recs []Record) ([]Record, *damage) {
	if len(block) < ngPacketData+4 {
		return recs, damaged(DamageMalformed, "packet block of %d bytes", len(block))
	}
	id := w.u32(block[ngBody:])
	if typ == ngPacket {
		id = uint32(w.u16(block[ngBody:]))
	}
	if uint64(id) >= uint64(len(w.interfaces)) {
		return recs, damaged(DamageMalformed, "packet of interface %d, but the section has described %d so far", id, len(w.interfaces))
	}
	i := &w.interfaces[id]
	ticks := uint64(w.u32(block[12:]))<<32 | uint64(w.u32(block[16:]))
	capLen, origLen := w.u32(block[20:]), w.u32(block[24:])
	if room := len(block) - 4 - ngPacketData; uint64(capLen) > uint64(room) {
		return recs, damaged(DamageMalformed, "packet block claims %d captured bytes but has room for %d", capLen, room)
	}
	w.last = saturatingAdd(ticksToNanoseconds(ticks, i.resolution), i.offset)
	if typ == ngPacket {
		if drops := w.u16(block[ngBody+2:]); drops != ngDropsUnknown {
			i.lost, i.hasLost = i.lost+uint64(drops), true
		}
	}
	var flags RecordFlags
	if padded := ngPacketData + (int(capLen)+3)&^3; len(block)-4-padded > 4 {
		flags = w.packetOptions(block[padded:len(block)-4], i, typ)
	}
	return append(recs, Record{
		Time:    w.last,
		Offset:  uint32(off + ngPacketData),
		CapLen:  capLen,
		OrigLen: origLen,
		Link:    i.link,
		Flags:   flags,
	}), nil
}

// packetOptions reads a packet's options as far as they can be read: the
// packet has been found by then, and what is wrong behind it does no harm.
func (w *pcapngWalker) packetOptions(o []byte, i *ngInterfaceInfo, typ uint32) (flags RecordFlags) {
	for {
		code, v, rest := w.option(o)
		switch {
		case rest == nil:
			return flags
		case code == ngOptionFlags && len(v) == 4 && w.u32(v)&ngLinkErrors != 0:
			flags |= LinkError
		case code == ngOptionDropCount && len(v) == 8 && typ == ngEnhancedPacket:
			i.lost, i.hasLost = i.lost+w.u64(v), true
		}
		o = rest
	}
}

// option splits an option off o. rest is nil where there is none.
func (w *pcapngWalker) option(o []byte) (code uint16, v, rest []byte) {
	if len(o) < 4 {
		return 0, nil, nil
	}
	code, n := w.u16(o), int(w.u16(o[2:]))
	padded := (n + 3) &^ 3
	if code == ngOptionEnd || padded > len(o)-4 {
		return 0, nil, nil
	}
	return code, o[4 : 4+n], o[4+padded:]
}

// interfaceStatistics notes an interface's counters. A block that contradicts
// itself is not worth losing the packets after it.
func (w *pcapngWalker) interfaceStatistics(block []byte) {
	if len(block) < 24 {
		return
	}
	id := w.u32(block[ngBody:])
	if uint64(id) >= uint64(len(w.interfaces)) {
		return
	}
	var s statistics
	for o := block[20 : len(block)-4]; ; {
		code, v, rest := w.option(o)
		if rest == nil {
			break
		}
		if len(v) == 8 {
			switch code {
			case ngOptionIfReceived:
				s.received, s.hasReceived = w.u64(v), true
			case ngOptionIfDropped, ngOptionOSDropped:
				s.dropped, s.hasDropped = s.dropped+w.u64(v), true
			}
		}
		o = rest
	}
	w.interfaces[id].statistics = s
}

func (w *pcapngWalker) simplePacket(block []byte, off int, recs []Record) ([]Record, *damage) {
	if len(block) < ngSimpleData+4 {
		return recs, damaged(DamageMalformed, "simple packet block of %d bytes", len(block))
	}
	if len(w.interfaces) == 0 {
		return recs, damaged(DamageMalformed, "simple packet block before any interface description")
	}
	i := &w.interfaces[0]
	origLen := w.u32(block[ngBody:])
	capLen := origLen
	if i.snaplen != 0 {
		capLen = min(capLen, i.snaplen)
	}
	capLen = min(capLen, uint32(len(block)-4-ngSimpleData))
	return append(recs, Record{
		Time:    w.last,
		Offset:  uint32(off + ngSimpleData),
		CapLen:  capLen,
		OrigLen: origLen,
		Link:    i.link,
		Flags:   NoTime,
	}), nil
}

func (w *pcapngWalker) describe(c *Capture) {
	c.Format = "pcapng"
	if !w.began {
		return
	}
	c.ByteOrder = byteOrderName(w.firstOrder)
	if w.mixed {
		c.ByteOrder = "mixed"
	}
	c.Snaplen = w.snaplen
	s := w.statistics
	for i := range w.interfaces {
		s.add(&w.interfaces[i])
	}
	s.describe(c)
	for _, l := range w.links {
		c.LinkTypes = append(c.LinkTypes, LinkTypeName(l))
	}
	for i, r := range w.resolutions {
		if i > 0 {
			c.TimestampResolution += ","
		}
		c.TimestampResolution += resolutionName(r)
	}
}

var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// ticksToNanoseconds converts a time in ticks of the length that an
// if_tsresol option gives: 10^-n s, or 2^-n s where its top bit is set. What is less
// than a nanosecond is dropped; what does not fit becomes the largest time.
func ticksToNanoseconds(ticks uint64, resolution uint8) int64 {
	n := uint(resolution & 0x7f)
	var ns uint64
	switch {
	case resolution&0x80 != 0 && n < 64:
		// Seconds and fraction apart, as ticks × 10^9 has up to 94 bits.
		hi, s := bits.Mul64(ticks>>n, 1e9)
		if hi != 0 {
			return math.MaxInt64
		}
		fhi, flo := bits.Mul64(ticks&(1<<n-1), 1e9)
		var carry uint64
		ns, carry = bits.Add64(s, fhi<<(64-n)|flo>>n, 0) // n = 0: both shifts give 0, as the fraction is
		if carry != 0 {
			return math.MaxInt64
		}
	case resolution&0x80 != 0:
		hi, _ := bits.Mul64(ticks, 1e9)
		ns = hi >> (n - 64)
	case n <= 9:
		var hi uint64
		hi, ns = bits.Mul64(ticks, pow10[9-n])
		if hi != 0 {
			return math.MaxInt64
		}
	case n-9 < uint(len(pow10)):
		ns = ticks / pow10[n-9]
	}
	return int64(min(ns, math.MaxInt64))
}

// saturatingAdd adds seconds to a time, stopping at the ends of what fits.
func saturatingAdd(ns, seconds int64) int64 {
	if seconds == 0 {
		return ns
	}
	const limit = math.MaxInt64 / 1_000_000_000
	seconds = max(-limit, min(seconds, limit))
	sum := ns + seconds*1_000_000_000
	if ns > 0 && seconds > 0 && sum < 0 {
		return math.MaxInt64
	}
	return sum // ns is never negative, so there is no other way to overflow
}

// resolutionName spells an if_tsresol option as the length of a tick.
func resolutionName(r uint8) string {
	n := int(r & 0x7f)
	if r&0x80 != 0 {
		return "2^-" + strconv.Itoa(n) + "s"
	}
	units := [...]string{"s", "ms", "us", "ns", "ps", "fs", "as"}
	if u := (n + 2) / 3; u < len(units) {
		return fmt.Sprintf("%d%s", pow10[u*3-n], units[u])
	}
	return "10^-" + strconv.Itoa(n) + "s"
}
