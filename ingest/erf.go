package ingest

import (
	"encoding/binary"
	"slices"
)

// The Extensible Record Format of Endace's cards: records back to back, with
// no file header. Times are little-endian, the rest is big-endian.
//
//	0                8      9       10       12     14     16
//	┌────────────────┬──────┬───────┬────────┬──────┬──────┬────────────┬──────┐
//	│ 2^-32 s, u64   │ type │ flags │ length │ lost │ wlen │ extensions │ data │
//	└────────────────┴──────┴───────┴────────┴──────┴──────┴────────────┴──────┘
//
// length is that of all of the record, wlen that on the wire. An extension has
// eight bytes and is there when the top bit of the type, or of the extension before it, is set. An
// Ethernet frame has two bytes before it. Where a type has a colour, it stands in place of lost.
// Padding and records about the card (provenance) are no packets.
const (
	erfHeader = 16
	erfTrial  = 3 // records that must make sense

	erfHDLC      = 1
	erfEthernet  = 2
	erfMaxType   = 32 // of those with a meaning of their own
	erfIPv4      = 22
	erfIPv6      = 23
	erfMeta      = 27
	erfPad       = 48
	erfFlagRx    = 0x10 // received with an error
	erfMoreBit   = 0x80
	erfLinkERF   = 197
	erfMaxListed = 64
)

// isERF reports whether b, all of the file if all is set, begins an ERF file. There
// is no mark to tell by: its first records must make sense.
func isERF(b []byte, all bool) (need int, is bool) {
	next := 0
	var first uint32
	for n := range erfTrial {
		if len(b)-next < erfHeader {
			// What there is fits; few bytes are enough for a file that ends here.
			if all {
				return 0, n > 0
			}
			return next + erfHeader, false
		}
		h := b[next:]
		sec, typ := binary.LittleEndian.Uint32(h[4:]), h[8]&^erfMoreBit
		length, wire := int(binary.BigEndian.Uint16(h[10:])), int(binary.BigEndian.Uint16(h[14:]))
		if n == 0 {
			first = sec
		}
		const day = 86400
		switch {
		case typ == 0 || typ > erfMaxType && typ != erfPad,
			length < erfHeader+erfPayload(h[:erfHeader]),
			typ != erfPad && wire == 0,
			length > erfHeader+erfPayload(h[:erfHeader])+8*16+wire+16, // extensions, padding
			sec < 631152000, // 1990: before there were any
			int64(sec) < int64(first)-day || int64(sec) > int64(first)+30*day:
			return 0, false
		}
		next += length
		if all && next > len(b) {
			return 0, n > 0
		}
	}
	return 0, true
}

// erfPayload returns how many bytes stand between the header (and its
// extensions) and the packet.
func erfPayload(h []byte) int {
	switch h[8] &^ erfMoreBit {
	case erfEthernet, 11, 16, 20:
		return 2
	}
	return 0
}

type erfWalker struct {
	dropped uint64
	counted bool
	links   []uint16
}

func (w *erfWalker) walk(buf []byte, off int, recs []Record, max int) ([]Record, int, int, *damage) {
	for len(recs) < max {
		if len(buf)-off < erfHeader {
			return recs, off, erfHeader, nil
		}
		h := buf[off : off+erfHeader]
		length := int(binary.BigEndian.Uint16(h[10:]))
		if length < erfHeader {
			return recs, off, 0, damaged(DamageMalformed, "the record claims %d bytes", length)
		}
		if len(buf)-off < length {
			return recs, off, length, nil
		}
		typ := h[8] &^ erfMoreBit
		begin := erfHeader
		for more := h[8]&erfMoreBit != 0; more; begin += 8 {
			if length-begin < 8 {
				return recs, off, 0, damaged(DamageMalformed, "the record's extensions run past its end")
			}
			more = buf[off+begin]&erfMoreBit != 0
		}
		var link uint16
		switch typ {
		case erfPad, erfMeta:
			off += length
			continue
		case erfEthernet, 11, 16, 20: // with colour, with colour and hash
			link = linkEthernet
		case erfHDLC, 10, 15, 19:
			link = linkCHDLC
		case erfIPv4:
			link = linkIPv4
		case erfIPv6:
			link = linkIPv6
		default:
			link, begin = erfLinkERF, 0 // the whole record, as that link type has it
		}
		switch typ {
		case 10, 11, 15, 16, 17, 19, 20:
		default:
			w.dropped, w.counted = w.dropped+uint64(binary.BigEndian.Uint16(h[12:])), true
		}
		if link != erfLinkERF {
			begin += erfPayload(h)
		}
		if begin > length {
			return recs, off, 0, damaged(DamageMalformed, "the record of %d bytes is too short for its type", length)
		}
		wire := int(binary.BigEndian.Uint16(h[14:]))
		capLen := length - begin
		if link != erfLinkERF {
			capLen = min(capLen, wire) // the rest is padding
		}
		if len(w.links) < erfMaxListed && !slices.Contains(w.links, link) {
			w.links = append(w.links, link)
		}
		var flags RecordFlags
		if h[9]&erfFlagRx != 0 {
			flags = LinkError
		}
		ticks := binary.LittleEndian.Uint64(h)
		recs = append(recs, Record{
			Time:    int64(ticks>>32)*1e9 + int64(ticks&0xffffffff*1e9>>32),
			Offset:  uint32(off + begin),
			CapLen:  uint32(capLen),
			OrigLen: uint32(wire),
			Link:    link,
			Flags:   flags,
		})
		off += length
	}
	return recs, off, 0, nil
}

func (w *erfWalker) describe(c *Capture) {
	c.Format = "erf"
	c.ByteOrder = byteOrderName(true)
	c.TimestampResolution = "2^-32s"
	for _, l := range w.links {
		c.LinkTypes = append(c.LinkTypes, LinkTypeName(l))
	}
	c.Dropped, c.HasDropped = w.dropped, w.counted
}
