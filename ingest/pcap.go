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
// headers. "Modified" pcap, written by some old Linux systems, has eight more bytes in
// each record's header (interface, protocol, packet type) after these.
const (
	pcapMagicMicro    = 0xa1b2c3d4
	pcapMagicNano     = 0xa1b23c4d
	pcapMagicModified = 0xa1b2cd34

	pcapFileHeader     = 24
	pcapRecordHeader   = 16
	pcapModifiedHeader = 24

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

// newWalker returns the walker for a capture that begins with magic, its first four bytes, nil if
// that is none.
func newWalker(magic []byte, maxRecord int) walker {
	if len(magic) < 4 {
		return nil
	}
	m := binary.LittleEndian.Uint32(magic)
	if m == ngSectionHeader {
		return &pcapngWalker{maxRecord: maxRecord}
	}
	for _, swapped := range [...]bool{false, true} {
		if swapped {
			m = bits.ReverseBytes32(m)
		}
		w := &pcapWalker{swapped: swapped, header: pcapRecordHeader, unit: 1000, maxRecord: maxRecord}
		switch m {
		case pcapMagicMicro:
			return w
		case pcapMagicNano:
			w.unit = 1
			return w
		case pcapMagicModified:
			w.header = pcapModifiedHeader
			return w
		}
	}
	return nil
}

type pcapWalker struct {
	swapped   bool  // headers are big-endian
	unit      int64 // nanoseconds in a unit of a time's fraction
	header    int   // length of a record's header
	maxRecord int

	began   bool
	link    uint16
	snaplen uint32
	limit   uint32        // of caplen
	lengths pcapLengthBug // order of caplen and origlen
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
		if len(buf)-off < pcapFileHeader {
			return recs, off, pcapFileHeader, nil
		}
		if d := w.begin(buf[off:]); d != nil {
			return recs, off, 0, d
		}
		off += pcapFileHeader
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
	var order binary.ByteOrder = binary.LittleEndian
	if w.swapped {
		order = binary.BigEndian
	}
	major, minor := order.Uint16(h[4:]), order.Uint16(h[6:])
	switch {
	case major == 543, major == 2 && minor < 3:
		w.lengths = lengthsSwapped
	case major == 2 && minor == 3:
		w.lengths = lengthsMaybeSwapped
	case major != 2:
		return damaged(DamageUnsupported, "pcap version %d.%d is not known", major, minor)
	}
	w.snaplen = order.Uint32(h[16:])
	w.link = uint16(order.Uint32(h[20:])) // the upper half tells of the frame check sequence
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
