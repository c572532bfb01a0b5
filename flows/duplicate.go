package flows

import "encoding/binary"

// Duplicates: the same packet captured more than once.
//
// A port mirror that copies what comes in and what goes out, two taps whose captures were
// merged, an "any" interface, a routing loop: each shows a packet twice, and it
// was sent once. A packet that was sent twice looks much the same, so what tells
// them apart is what only a sender changes:
//
//   - IPv4 with an identification. A sender gives each datagram its own
//     (RFC 791 section 3.2, RFC 6864), a retransmission included, and who copies a packet
//     keeps it. A packet is a duplicate if one of the side's latest packets, at most
//     100 ms ago, has the same identification and the same transport header and
//     length. It does not count from a side that gives all its packets the same one.
//   - No identification: IPv6, and IPv4 where it is 0, or the 1 that packet generators write. Only a TCP segment that takes
//     sequence numbers can be judged: it is a duplicate if the side sent the same
//     one, timestamps and checksum included, at most a millisecond ago, and its
//     peer has said nothing since that could have asked for it. No timer of
//     TCP is that fast (RFC 6298 section 2.4, RFC 8985 section 7.2). Two acknowledgements that are alike, and
//     two datagrams, may well both have been sent: nothing is said of those.
//
// The hop limit, the traffic class, the header checksum, and all of the link
// layer may differ, as they do between two points of a path.
//
// Only the flow's own packets are looked at, so that what is found depends on
// neither shards nor workers.

const (
	fewPackets     = 4      // of a side, among which the original is looked for; of one that has sent more,
	manyPackets    = 16     // so many: copies may follow a whole burst
	duplicateTicks = 97_657 // 100 ms
	copiedTicks    = 977    // 1 ms
)

// recent is what is remembered of the packets that a side sent last. Most flows are short, and a flood's are
// of one packet: the first packet needs nothing but this, more are kept beside, few or many.
type recent struct {
	latest uint32 // mark of the latest
	ref    uint32 // reference of the seenPackets beside; 0: the latest is all there are
	id     uint16 // identification of the latest
	n      uint8  // packets so far; from manyPackets on it goes round, in 16..31
	fresh  uint8  // so many of the latest came after the peer's last packet; with the sameID bit
}

// sameID, in recent.fresh, says that the latest two packets that differ have the same identification.
const sameID = 0x80

type seenPacket struct {
	mark uint32 // 0: none
	tick uint32 // its time in units of 1024 ns; it wraps
}

func tick(time int64) uint32 { return uint32(uint64(time) >> 10) }

// seenPackets are those of the sides that have sent more than one packet.
type seenPackets struct {
	few  pool[[fewPackets]seenPacket]
	many pool[[manyPackets]seenPacket]
}

// of returns those of r, with room for one more. Which of them is the k-th is k modulo their number.
func (s *seenPackets) of(r *recent) []seenPacket {
	if r.n > fewPackets {
		return s.many.at(r.ref)[:]
	}
	return s.few.at(r.ref)[:]
}

// duplicate reports whether p, of side, is a packet of f that was seen before, and remembers p.
func (t *Tracker) duplicate(f *Flow, side Side, p *Packet, data []byte) bool {
	r := &f.recent[side]
	f.recent[side.Other()].fresh &= sameID
	m, now := p.mark(data), tick(p.Time)
	if r.n == 0 {
		*r = recent{latest: m, id: p.ID, n: 1, fresh: 1}
		return false
	}
	if r.ref == 0 {
		r.ref = t.seen.few.alloc()
		t.seen.few.at(r.ref)[0] = seenPacket{r.latest, tick(f.Sides[side].prevTime)}
	}
	seen := t.seen.of(r)
	mask := uint8(len(seen) - 1)
	n := uint8(len(seen))
	if p.Proto == ProtoTCP && t.tcps.at(f.tcp).advancedBy(side, p) {
		n = 0
	}
	for k := range n {
		q := &seen[(r.n-1-k)&mask] // from the latest on
		if q.mark != m {
			continue
		}
		age := int32(now - q.tick)
		age = max(age, -age) // merged captures may disagree by a little
		if p.ID > 1 && r.fresh&sameID == 0 {
			if age >= 0 && age <= duplicateTicks {
				return true
			}
		} else if p.Proto == ProtoTCP && (p.PayloadLen > 0 || p.TCPFlags&(SYN|FIN) != 0) &&
			k < r.fresh&^sameID && age >= 0 && age <= copiedTicks {
			return true
		}
		break
	}
	if r.latest != m {
		r.fresh &^= sameID
		if r.id == p.ID {
			r.fresh |= sameID
		}
	}
	if r.n == fewPackets {
		ref := t.seen.many.alloc()
		many := t.seen.many.at(ref)
		copy(many[:], seen)
		t.seen.few.release(r.ref)
		r.ref, seen, mask = ref, many[:], manyPackets-1
	}
	seen[r.n&mask], r.id, r.latest = seenPacket{m, now}, p.ID, m
	if r.n++; r.n == 2*manyPackets {
		r.n = manyPackets
	}
	if r.fresh&^sameID < manyPackets {
		r.fresh++
	}
	return false
}

// advancedBy reports whether p brings bytes, or acknowledges some, that no packet of side did before:
// then it is no copy, and this is nearly always so.
func (x *TCP) advancedBy(side Side, p *Packet) bool {
	st := &x.streams[side]
	if p.PayloadLen > 0 {
		return st.begun && st.heldRef == 0 && int32(p.Seq-st.next) >= 0 && p.TCPFlags&SYN == 0
	}
	return st.hasAck && p.TCPFlags&ACK != 0 && int32(p.Ack-st.ack) > 0
}

// forget lets go of what is remembered of f, which ends.
func (t *Tracker) forget(f *Flow) {
	for i := range f.recent {
		switch r := &f.recent[i]; {
		case r.ref == 0:
		case r.n > fewPackets:
			t.seen.many.release(r.ref)
		default:
			t.seen.few.release(r.ref)
		}
	}
}

// mark returns a number for what a packet and its copies have in common.
func (p *Packet) mark(data []byte) uint32 {
	v, rest := uint64(p.Seq)<<32|uint64(p.Ack), uint64(p.Window)
	switch p.Proto {
	case ProtoTCP:
		if p.ID <= 1 { // otherwise a card may have filled in the checksum between two points
			rest |= uint64(p.Checksum) << 16
		}
	case ProtoUDP, ProtoICMP, ProtoICMPv6:
		rest |= uint64(p.Checksum) << 16
	default: // an association's tag and checksum, or a sequence number
		if b := data[p.Transport:]; len(b) >= 16 {
			v, rest = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		}
	}
	v = mix(v, uint64(p.PayloadLen)<<32|uint64(p.ID)<<16|uint64(p.TCPFlags))
	return uint32(mix(v^0x9e3779b97f4a7c15, rest^0xa0761d6478bd642f)) | 1
}
