package ingest

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
)

// wlan decodes an IEEE 802.11 frame (section 9.2): control, duration, three
// addresses, sequence, a fourth address between access points, quality of
// service, high throughput control.
//
//	to   from  address 1    address 2    address 3    address 4
//	no   no    destination  source       network
//	no   yes   destination  network      source
//	yes  no    network      source       destination
//	yes  yes   receiver     transmitter  destination  source
//
// Of several datagrams in one frame (A-MSDU) the first is decoded, and the others by Next.
func (d *Decoder) wlan(buf []byte, off, wire int, how wlanForm, p *flows.Packet) Outcome {
	const (
		toDS      = 0x01
		fromDS    = 0x02
		moreFrags = 0x04
		protected = 0x40
		order     = 0x80
	)
	b := buf[off:]
	if len(b) < 2 {
		return short(off+2, wire, OutcomeMalformedLink)
	}
	control, flags := b[0], b[1]
	part := 22 // the byte whose low half numbers the fragment
	if how&wlanSwapped != 0 {
		control, flags, part = flags, control, 23
	}
	if control&0x03 != 0 { // protocol version
		return OutcomeMalformedLink
	}
	if control&0x0c != 0x08 || control&0x40 != 0 { // no data frame, or one without data
		return OutcomeNotIP
	}
	n, layout := 24, flows.MACsEthernet
	switch flags & (toDS | fromDS) {
	case toDS:
		layout = flows.MACsToDS
	case fromDS:
		layout = flows.MACsFromDS
	case toDS | fromDS:
		layout = flows.MACsWDS
		n += 6
	}
	qos := 0 // its offset
	if control&0x80 != 0 {
		qos = n
		n += 2
		if flags&order != 0 {
			n += 4
		}
	}
	if how&wlanPadded != 0 {
		n = (n + 3) &^ 3
	}
	if len(b) < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	if flags&protected != 0 {
		return OutcomeNotIP
	}
	if flags&moreFrags != 0 || b[part]&0x0f != 0 {
		return OutcomeFragmentIncomplete
	}
	p.Link, p.MACs, p.Flags = uint32(off+4), layout, p.Flags|flows.HasEthernet
	if qos != 0 {
		// In a mesh a header of 6, 12 or 18 bytes comes next. The bit that announces
		// it means something else in other networks.
		if b[qos+1]&0x01 != 0 {
			if len(b) < n+6 {
				return short(off+n+6, wire, OutcomeMalformedLink)
			}
			if m := n + 6 + 6*int(b[n]&0x03); isSNAP(b[n:]) {
				// of another network
			} else if len(b) >= m+6 {
				if isSNAP(b[m:]) {
					n = m
				}
			} else if off+m+6 <= wire {
				return OutcomeCut
			}
		}
		if b[qos]&0x80 != 0 {
			return d.aggregate(buf, off+n, wire, p)
		}
	}
	return d.llc(buf, off+n, wire, p)
}

// rest is what is left of an aggregate after the datagram that was decoded
// last, with everything as it was before its first.
type rest struct {
	off       int // of the next subframe; 0: none is left
	end, wire int
	n, depth  int
	p         flows.Packet
}

// aggregate decodes an A-MSDU (IEEE 802.11 section 9.3.2.2) up to the first datagram of
// a flow, and notes the rest for Next. Where there is none the outcome is the first subframe's.
func (d *Decoder) aggregate(buf []byte, off, wire int, p *flows.Packet) Outcome {
	carrier, n, depth := *p, d.n, d.depth
	o, next := d.subframe(buf, off, wire, p)
	for last := o; ; {
		if last == OutcomeFlow || last == OutcomeFragment {
			if next > 0 {
				d.rest = rest{off: next, end: len(buf), wire: wire, n: n, depth: depth, p: carrier}
			}
			return last
		}
		if next == 0 {
			return o
		}
		*p, d.n, d.depth = carrier, n, depth
		last, next = d.subframe(buf, next, wire, p)
	}
}

// subframe decodes one subframe: destination, source, length, the frame, padding up
// to four bytes. It returns where the next begins, 0 if there is none.
func (d *Decoder) subframe(buf []byte, off, wire int, p *flows.Packet) (o Outcome, next int) {
	const header = 14
	b := buf[off:]
	if len(b) < header {
		return short(off+header, wire, OutcomeMalformedLink), 0
	}
	p.Link, p.MACs = uint32(off), flows.MACsEthernet
	n := header + int(binary.BigEndian.Uint16(b[12:]))
	if next = off + (n+3)&^3; next+header > len(buf) {
		next = 0
	}
	wire = min(wire, off+n)
	return d.llc(buf[:min(len(buf), wire)], off+header, wire, p), next
}

// wlanForm says what is unusual about an IEEE 802.11 frame.
type wlanForm uint8

const (
	wlanPadded  wlanForm = 1 << iota // the header is filled up to four bytes
	wlanSwapped                      // frame and sequence control are big-endian
)

// isSNAP reports whether b begins with a SNAP header for an EtherType.
func isSNAP(b []byte) bool {
	return len(b) >= 6 && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 && b[3] == 0 && b[4] == 0 && (b[5] == 0 || b[5] == 0xf8)
}

// radiotap decodes a radiotap header (https://www.radiotap.org): version, length, words of flags that
// say which fields follow, little-endian; the frame.
func (d *Decoder) radiotap(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const (
		hasTime  = 1 << 0
		hasFlags = 1 << 1
		more     = 1 << 31 // words

		hasCheck = 0x10 // the frame has its check sequence
		isPadded = 0x20
	)
	b := buf[off:]
	if len(b) < 8 {
		return short(off+8, wire, OutcomeMalformedLink)
	}
	if b[0] != 0 {
		return OutcomeMalformedLink
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n < 8 {
		return OutcomeMalformedLink
	}
	if len(b) < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	present := binary.LittleEndian.Uint32(b[4:])
	at := 8
	for word := present; word&more != 0; at += 4 {
		if at+4 > n {
			return OutcomeMalformedLink
		}
		word = binary.LittleEndian.Uint32(b[at:])
	}
	if present&hasTime != 0 { // eight bytes, aligned
		at = (at+7)&^7 + 8
	}
	var how wlanForm
	if present&hasFlags != 0 && at < n {
		if b[at]&isPadded != 0 {
			how = wlanPadded
		}
		if b[at]&hasCheck != 0 {
			wire = max(wire-4, off+n)
			buf = buf[:min(len(buf), wire)]
		}
	}
	return d.wlan(buf, off+n, wire, how, p)
}

// prism decodes the header of the Prism monitor mode, whose length is in bytes 4-7 in the byte order of the machine, or
// the AVS header, which has a magic number and is big-endian.
func (d *Decoder) prism(buf []byte, off, wire int, p *flows.Packet) Outcome {
	b := buf[off:]
	if len(b) < 8 {
		return short(off+8, wire, OutcomeMalformedLink)
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > 0xffff || binary.BigEndian.Uint32(b)&0xfffff000 == 0x80211000 {
		n = binary.BigEndian.Uint32(b[4:])
	}
	if n < 8 || n > 0xffff {
		return OutcomeMalformedLink
	}
	return d.after(int(n), (*Decoder).wlanPlain, buf, off, wire, p)
}

func (d *Decoder) wlanPlain(buf []byte, off, wire int, p *flows.Packet) Outcome {
	return d.wlan(buf, off, wire, 0, p)
}

// ppi decodes a Per-Packet Information header: version, flags, length, link type, fields, all
// little-endian; the frame.
func (d *Decoder) ppi(buf []byte, off, wire int, p *flows.Packet) Outcome {
	const common = 2 // the field that says whether an 802.11 frame has its check sequence
	b := buf[off:]
	if len(b) < 8 {
		return short(off+8, wire, OutcomeMalformedLink)
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if b[0] != 0 || n < 8 {
		return OutcomeMalformedLink
	}
	link := binary.LittleEndian.Uint32(b[4:])
	if len(b) < n {
		return short(off+n, wire, OutcomeMalformedLink)
	}
	if b = b[8:n]; len(b) >= 14 && binary.LittleEndian.Uint16(b) == common && link == linkWLAN && b[12]&1 != 0 {
		wire = max(wire-4, off+n)
		buf = buf[:min(len(buf), wire)]
	}
	return d.inside(link, n, buf, off, wire, p)
}
