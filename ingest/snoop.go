package ingest

import (
	"encoding/binary"
	"strconv"
)

// The snoop format (RFC 1761), all of it big-endian. A file header:
//
//	0                    8         12         16
//	┌────────────────────┬─────────┬──────────┐
//	│ "snoop\0\0\0"      │ version │ datalink │
//	└────────────────────┴─────────┴──────────┘
//
// then a record per packet:
//
//	0         4        8        12      16        20   24
//	┌─────────┬────────┬────────┬───────┬─────────┬────┬──────────────┬─────┐
//	│ origlen │ caplen │ length │ drops │ seconds │ µs │ caplen bytes │ pad │
//	└─────────┴────────┴────────┴───────┴─────────┴────┴──────────────┴─────┘
//
// length is that of all of the record; drops are all packets lost since the
// capture began.
const (
	snoopMagic        = "snoop\x00\x00\x00"
	snoopFileHeader   = 16
	snoopRecordHeader = 24
)

// isSnoop reports whether b begins a snoop file, or how much of it must be
// seen to tell.
func isSnoop(b []byte) (need int, is bool) {
	if n := min(len(b), len(snoopMagic)); string(b[:n]) != snoopMagic[:n] {
		return 0, false
	}
	return len(snoopMagic), len(b) >= len(snoopMagic)
}

type snoopWalker struct {
	maxRecord int
	began     bool
	datalink  uint32
	link      uint16
	dropped   uint32
	records   bool
}

func (w *snoopWalker) walk(buf []byte, off int, recs []Record, max int) ([]Record, int, int, *damage) {
	if !w.began {
		if len(buf)-off < snoopFileHeader {
			return recs, off, snoopFileHeader, nil
		}
		h := buf[off:]
		if v := binary.BigEndian.Uint32(h[8:]); v != 2 {
			return recs, off, 0, damaged(DamageUnsupported, "snoop version %d is not known", v)
		}
		w.datalink = binary.BigEndian.Uint32(h[12:])
		switch w.datalink {
		case 0, 4: // IEEE 802.3, Ethernet
			w.link = linkEthernet
		case 2:
			w.link = linkTokenRing
		case 8:
			w.link = linkFDDI
		default:
			w.link = linkNone
		}
		w.began = true
		off += snoopFileHeader
	}
	for len(recs) < max {
		if len(buf)-off < snoopRecordHeader {
			return recs, off, snoopRecordHeader, nil
		}
		h := buf[off : off+snoopRecordHeader]
		origLen, capLen := binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:])
		length := binary.BigEndian.Uint32(h[8:])
		switch {
		case uint64(length) > uint64(w.maxRecord):
			return recs, off, 0, damaged(DamageMalformed, "the record claims %d bytes, the limit is %d", length, w.maxRecord)
		case length < snoopRecordHeader || capLen > length-snoopRecordHeader:
			return recs, off, 0, damaged(DamageMalformed, "the record claims %d bytes with %d captured ones", length, capLen)
		case len(buf)-off < int(length):
			return recs, off, int(length), nil
		}
		w.dropped, w.records = binary.BigEndian.Uint32(h[12:]), true
		recs = append(recs, Record{
			Time:    int64(binary.BigEndian.Uint32(h[16:]))*1e9 + int64(binary.BigEndian.Uint32(h[20:]))*1000,
			Offset:  uint32(off + snoopRecordHeader),
			CapLen:  capLen,
			OrigLen: origLen,
			Link:    w.link,
		})
		off += int(length)
	}
	return recs, off, 0, nil
}

func (w *snoopWalker) describe(c *Capture) {
	c.Format = "snoop"
	c.ByteOrder = byteOrderName(true)
	if !w.began {
		return
	}
	c.TimestampResolution = "1us"
	c.LinkTypes = []string{"snoop_" + strconv.FormatUint(uint64(w.datalink), 10)}
	if w.link != linkNone {
		c.LinkTypes[0] = LinkTypeName(w.link)
	}
	c.Dropped, c.HasDropped = uint64(w.dropped), w.records
}
