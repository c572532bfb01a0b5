package ingest

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The pcap format (draft-ietf-opsawg-pcap). A file header, once:
//
//	0        4       6       8            12           16        20        24
//	┌────────┬───────┬───────┬────────────┬────────────┬─────────┬─────────┐
//	│ magic  │ major │ minor │ zone (0)   │ sigfigs(0) │ snaplen │ link    │
//	└────────┴───────┴───────┴────────────┴────────────┴─────────┴─────────┘
//
// then a record per packet, back to back, without marks to find them by: one
// wrong length, and all that follows is lost.
//
//	0         4                8         12        16
//	┌─────────┬────────────────┬─────────┬─────────┬──────────────────┐
//	│ seconds │ µs or ns of it │ caplen  │ origlen │ caplen bytes     │
//	└─────────┴────────────────┴─────────┴─────────┴──────────────────┘
//
// The magic's value gives the fraction's unit, its byte order that of all
// headers. Some systems wrote other things, which are read too:
//
//   - "modified" pcap of old Linux systems has eight more bytes in each record's header
//     (interface, protocol, packet type) after these, or twelve (and two
//     processors); the former was also written with the usual magic;
//   - Nokia's has four more, with the usual magic;
//   - Ixia's has four more bytes (length of all records) after the file header;
//     its fractions may be of either unit;
//   - Navtel's has nanoseconds;
//   - AIX writes version 2.2, nanoseconds, and interface types of RFC 1573 for link types.
//
// What the magic leaves open is decided by the first few records.
const (
	pcapMagicMicro    = 0xa1b2c3d4
	pcapMagicNano     = 0xa1b23c4d
	pcapMagicModified = 0xa1b2cd34
	pcapMagicNavtel   = 0xa12b3c4d
	pcapMagicIxiaHW   = 0x1c0001ac
	pcapMagicIxiaSW   = 0x1c0001ab

	pcapFileHeader      = 24
	pcapIxiaFileHeader  = 28
	pcapRecordHeader    = 16
	pcapNokiaHeader     = 20
	pcapModifiedHeader  = 24
	pcapModifiedHeader2 = 28

	// How many records decide what the magic leaves open.
	pcapTrial      = 3
	pcapTrialBytes = 8192

	// What a record may hold although the snap length says less: programs that
	// merge or rewrite captures do not all keep it right.
	pcapMaxSnaplen = 262144
)

// walker finds the records in the bytes of one input. It is given them in
// pieces, each of which begins where it stopped before.
type walker interface {
	// walk appends the records in buf[off:] to recs until there are max of
	// them or the next one is not all there. It returns where it stopped and
	// how many bytes the next record needs from there, as far as can be said yet; 0 if
	// it stopped for max. Damage is at the returned offset, and final.
	walk(buf []byte, off int, recs []Record, max int) (_ []Record, next, need int, _ *damage)

	// describe sets what c says of the format.
	describe(c *Capture)
}

// damage is why an input cannot be read further.
type damage struct {
	kind DamageKind
	text string
}

func damaged(kind DamageKind, format string, args ...any) *damage {
	return &damage{kind, fmt.Sprintf(format, args...)}
}

// newWalker returns the walker for a capture that begins with prefix; all is
// whether that is all of it. Where more of it must be seen to tell, need is how
// many bytes from its beginning; otherwise, with no walker, it is no capture.
func newWalker(prefix []byte, all bool, maxRecord int) (w walker, need int) {
	if len(prefix) < 4 {
		if all {
			return nil, 0
		}
		return nil, 4
	}
	m := binary.LittleEndian.Uint32(prefix)
	if m == ngSectionHeader {
		return &pcapngWalker{maxRecord: maxRecord}, 0
	}
	for _, swapped := range [...]bool{false, true} {
		if swapped {
			m = bits.ReverseBytes32(m)
		}
		w := &pcapWalker{swapped: swapped, fileHeader: pcapFileHeader, header: pcapRecordHeader, unit: 1000, maxRecord: maxRecord}
		switch m {
		case pcapMagicNano, pcapMagicNavtel:
			w.unit = 1
			return w, 0
		case pcapMagicMicro, pcapMagicModified:
		case pcapMagicIxiaHW, pcapMagicIxiaSW:
			w.fileHeader = pcapIxiaFileHeader
		default:
			continue
		}
		if need := w.try(m, prefix); need > len(prefix) && !all {
			return nil, need
		}
		return w, 0
	}
	if need, is := isSnoop(prefix); is {
		return &snoopWalker{maxRecord: maxRecord}, 0
	} else if need > len(prefix) && !all {
		return nil, need
	}
	if need, is := isERF(prefix, all); is {
		return &erfWalker{}, 0
	} else if need > len(prefix) && !all {
		return nil, need
	}
	return nil, 0
}

type pcapWalker struct {
	swapped    bool  // headers are big-endian
	unit       int64 // nanoseconds in a unit of a time's fraction
	fileHeader int   // length of the file's header
	header     int   // length of a record's header
	maxRecord  int

	began   bool
	link    uint16
	snaplen uint32
	limit   uint32        // of caplen
	lengths pcapLengthBug // order of caplen and origlen
}

// try sets what the magic m leaves open by the first records in b. It returns
// how many bytes it wants to see; it decides by what there is.
func (w *pcapWalker) try(m uint32, b []byte) (need int) {
	if len(b) < w.fileHeader {
		return w.fileHeader
	}
	headers := [...]int{pcapRecordHeader, pcapModifiedHeader, pcapNokiaHeader}
	fraction := uint32(1e6)
	tries := headers[:]
	switch m {
	case pcapMagicModified:
		headers[0], headers[1] = pcapModifiedHeader, pcapModifiedHeader2
		tries = headers[:2]
	case pcapMagicIxiaHW, pcapMagicIxiaSW:
		tries, fraction = headers[:1], 1e9
	}
	w.header = tries[0]
	if version := b[4:8]; m == pcapMagicMicro && w.u16(version) == 2 && w.u16(version[2:]) != 4 {
		return 0 // older than any of these
	}
	limit := max(w.u32(b[16:]), pcapMaxSnaplen)
	for i, header := range tries {
		if i == 1 {
			// The others are judged by a fixed part of the file.
			need = w.fileHeader + pcapTrialBytes
			b = b[:min(len(b), need)]
		}
		next, records, largest, fits := w.fileHeader, 0, uint32(0), true
		var first uint32
		for records < pcapTrial && fits {
			if i == 0 && next > pcapMaxSnaplen {
				break // enough
			}
			if len(b)-next < pcapRecordHeader {
				if i == 0 {
					need = next + pcapRecordHeader
				}
				break
			}
			h := b[next:]
			sec, frac, capLen, origLen := w.u32(h), w.u32(h[4:]), w.u32(h[8:]), w.u32(h[12:])
			if records == 0 {
				first = sec
			}
			const day = 86400
			fits = frac < fraction && capLen <= limit && capLen <= origLen && int(capLen) <= w.maxRecord-header &&
				int64(sec) > int64(first)-day && int64(sec) < int64(first)+365*day
			if !fits {
				break
			}
			largest = max(largest, frac)
			records++
			next += header + int(capLen)
		}
		switch {
		case i == 0 && fits:
			if largest >= 1e6 {
				w.unit = 1
			}
			return need
		case i > 0 && fits && records >= 2:
			w.header = header
			return need
		}
	}
	return need
}

func (w *pcapWalker) u16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if w.swapped {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (w *pcapWalker) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if w.swapped {
		v = bits.ReverseBytes32(v)
	}
	return v
}

// Before version 2.4 some programs wrote the two lengths the other way round.
type pcapLengthBug uint8

const (
	lengthsRight pcapLengthBug = iota
	lengthsMaybeSwapped
	lengthsSwapped
)

func (w *pcapWalker) walk(buf []byte, off int, recs []Record, max int) ([]Record, int, int, *damage) {
	if !w.began {
		if len(buf)-off < w.fileHeader {
			return recs, off, w.fileHeader, nil
		}
		if d := w.begin(buf[off:]); d != nil {
			return recs, off, 0, d
		}
		off += w.fileHeader
	}
	header, unit, limit := w.header, w.unit, w.limit
	for len(recs) < max {
		if len(buf)-off < header {
			return recs, off, header, nil
		}
		h := buf[off : off+pcapRecordHeader]
		sec := binary.LittleEndian.Uint32(h[0:])
		frac := binary.LittleEndian.Uint32(h[4:])
		capLen := binary.LittleEndian.Uint32(h[8:])
		origLen := binary.LittleEndian.Uint32(h[12:])
		if w.swapped {
			sec, frac = bits.ReverseBytes32(sec), bits.ReverseBytes32(frac)
			capLen, origLen = bits.ReverseBytes32(capLen), bits.ReverseBytes32(origLen)
		}
		if w.lengths == lengthsSwapped || w.lengths == lengthsMaybeSwapped && capLen > origLen {
			capLen, origLen = origLen, capLen
		}
		if capLen > limit {
			return recs, off, 0, damaged(DamageMalformed, "the record claims %d captured bytes, at most %d are possible", capLen, limit)
		}
		total := header + int(capLen)
		if len(buf)-off < total {
			return recs, off, total, nil
		}
		recs = append(recs, Record{
			Time:    int64(sec)*1e9 + int64(frac)*unit,
			Offset:  uint32(off + header),
			CapLen:  capLen,
			OrigLen: origLen,
			Link:    w.link,
		})
		off += total
	}
	return recs, off, 0, nil
}

// begin reads the file header.
func (w *pcapWalker) begin(h []byte) *damage {
	major, minor := w.u16(h[4:]), w.u16(h[6:])
	switch {
	case major == 543, major == 2 && minor < 3:
		w.lengths = lengthsSwapped
	case major == 2 && minor == 3:
		w.lengths = lengthsMaybeSwapped
	case major != 2:
		return damaged(DamageUnsupported, "pcap version %d.%d is not known", major, minor)
	}
	w.snaplen = w.u32(h[16:])
	w.link = uint16(w.u32(h[20:])) // the upper half tells of the frame check sequence
	if major == 2 && minor == 2 {
		switch aix := w.link; aix { // numbers that libpcap of that age did not write
		case 6:
			w.link, w.unit = linkEthernet, 1
		case 9:
			w.link, w.unit = linkTokenRing, 1
		case 15:
			w.link, w.unit = linkFDDI, 1
		case 24:
			w.link, w.unit = linkNull, 1
		}
	}
	most := uint32(w.maxRecord - w.header)
	switch w.link {
	case linkUSBLinux, linkUSBLinuxMmapped, linkUSBPcap, linkUSBDarwin, linkDBus: // one transfer or message, of any length
		w.limit = most
	default:
		w.limit = min(max(w.snaplen, pcapMaxSnaplen), most)
	}
	w.began = true
	return nil
}

func (w *pcapWalker) describe(c *Capture) {
	c.Format = "pcap"
	c.ByteOrder = byteOrderName(w.swapped)
	if !w.began {
		return
	}
	c.TimestampResolution = "1us"
	if w.unit == 1 {
		c.TimestampResolution = "1ns"
	}
	c.LinkTypes = []string{LinkTypeName(w.link)}
	c.Snaplen = w.snaplen
}

func byteOrderName(big bool) string {
	if big {
		return "big"
	}
	return "little"
}
