package flows

import (
	"bytes"
	"encoding/binary"
)

// endpoint is the state of one end of a TCP flow, after Zeek's endpoint
// states: it follows what the end sent, whatever the other end made of it.
type endpoint uint8

const (
	epInactive    endpoint = iota // sent nothing
	epSYNSent                     // sent a SYN
	epSYNACKSent                  // sent a SYN-ACK to a SYN that was not seen
	epPartial                     // sent something, but no SYN
	epEstablished                 // took part in a handshake
	epClosed                      // sent a FIN
	epReset                       // sent a RST
)

// closed reports whether nothing but late packets can come: both ends have
// ended their side, or one has reset the flow.
func (x *TCP) closed() bool {
	a, b := x.streams[0].state, x.streams[1].state
	return a == epReset || b == epReset || a == epClosed && b == epClosed
}

func (x *TCP) closeReason() EndReason {
	a, b := x.streams[0].state, x.streams[1].state
	switch {
	case a == epReset || b == epReset:
		return EndRST
	case a == epClosed && b == epClosed:
		return EndFIN
	}
	return EndNone
}

// reusedBy reports whether p, a SYN of side, begins another flow of the same
// tuple: this one is closed, or the side began with another sequence number.
// A client that was refused, or reset a leftover of the flow before, tries again with the
// same number.
func (x *TCP) reusedBy(side Side, p *Packet) bool {
	st, peer := &x.streams[side], &x.streams[side.Other()]
	switch {
	case x.closed():
		return true
	case st.hasISN:
		return st.isn != p.Seq
	case st.begun:
		// Its first segment came without a SYN, unless this is that SYN, late.
		return st.first != p.Seq+1
	case peer.hasAck:
		// The peer has answered something of this side that was not captured.
		return peer.firstAck != p.Seq+1
	}
	return false
}

// begunBy reports whether p, a SYN of side with an earlier time than all packets of the flow, may
// have begun it: nothing of what the flow has lies before its number.
func (x *TCP) begunBy(side Side, p *Packet) bool {
	st, peer := &x.streams[side], &x.streams[side.Other()]
	from := p.Seq + 1
	switch {
	case st.hasISN:
		return st.isn == p.Seq
	case st.begun:
		return st.first-from < maxAhead
	case peer.hasAck:
		return peer.firstAck-from < maxAhead
	}
	return true
}

// connState returns Zeek's conn_state of a flow that is not TCP.
func (f *Flow) connState() ConnState {
	i := f.initiator()
	switch {
	case f.Proto != ProtoUDP:
		return OTH
	case f.Sides[i.Other()].Packets == 0:
		return S0
	case f.Sides[i].Packets == 0:
		return SHR
	}
	return SF
}

// connState returns Zeek's conn_state of f, whose x is. An end that sent something, but no
// SYN, has begun nothing: to the states it is as one that sent nothing.
func (x *TCP) connState(f *Flow) ConnState {
	i := f.initiator()
	o, r := x.streams[i].state, x.streams[i.Other()].state
	noOrigin, noAnswer := o == epInactive || o == epPartial, r == epInactive || r == epPartial
	switch {
	case r == epReset:
		switch {
		case o == epSYNSent, o == epSYNACKSent, o == epReset && f.Sides[0].PayloadBytes == 0 && f.Sides[1].PayloadBytes == 0:
			return REJ
		case noOrigin:
			return RSTRH
		}
		return RSTR
	case o == epReset:
		switch {
		case !noAnswer:
			return RSTO
		case f.synThenRST():
			return RSTOS0
		}
		return OTH
	case o == epClosed && r == epClosed:
		return SF
	case o == epClosed:
		if noAnswer {
			return SH
		}
		return S2
	case r == epClosed:
		if noOrigin {
			return SHR
		}
		return S3
	case o == epSYNSent && r == epInactive:
		return S0
	case o == epEstablished && r == epEstablished:
		return S1
	}
	return OTH
}

// synThenRST reports whether the initiator began with a SYN and went on to a RST without
// anything that takes part in a connection.
func (f *Flow) synThenRST() bool {
	h := bytes.TrimPrefix(f.HistoryBuf[:f.NHistory], []byte{'^'})
	syn, rst, others := byte('S'), byte('R'), "HAFGIQ"
	if f.Turned() {
		syn, rst, others = 's', 'r', "hafgiq"
	}
	if len(h) == 0 || h[0] != syn {
		return false
	}
	r := bytes.IndexByte(h, rst)
	return r > 0 && !bytes.ContainsAny(h[:r], others)
}

// segment takes a TCP packet: state and history, then its bytes.
func (t *Tracker) segment(f *Flow, side Side, p *Packet, data []byte) {
	x := t.tcps.at(f.tcp)
	var (
		st    = &x.streams[side]
		peer  = &x.streams[side.Other()]
		stats = &x.Sides[side]
		at    = Stamp{p.Time, p.Pos}
		fl    = p.TCPFlags
	)
	fl &^= 0xe00
	first := stats.FlagsSeen == 0 && !st.begun
	if first {
		stats.Window = p.Window
	}
	stats.FlagsSeen |= fl
	for b, v := 0, fl; v != 0; b, v = b+1, v>>1 {
		if v&1 != 0 {
			stats.FlagCounts[b]++
		}
	}
	if p.Window == 0 && fl&(RST|SYN|FIN) == 0 {
		stats.ZeroWindows++
		f.hist(side, 'w', uint64(stats.ZeroWindows))
	}

	wasClosed := x.closed()
	if fl&SYN != 0 {
		t.synPacket(f, x, side, p, data)
	} else if st.state == epInactive && fl&(FIN|RST) == 0 {
		st.state = epPartial
		if peer.state == epSYNACKSent && fl&ACK != 0 { // the SYN was missed, not the handshake
			st.state, peer.state = epEstablished, epEstablished
		}
	}

	if fl&ACK != 0 {
		if !st.hasAck {
			st.hasAck, st.firstAck, st.ack = true, p.Ack, p.Ack
		} else if d := int32(p.Ack - st.ack); d > 0 {
			if ahead := int32(st.ack - peer.next); d > maxAhead && peer.begun && 0 < ahead && ahead <= maxAhead {
				t.skipTo(f, x, side.Other(), at, st.ack) // while the number can still be told from one below
			}
			st.ack = p.Ack
		}
		if x.Handshake&(SeenSYNACK|SeenHandshakeACK) == SeenSYNACK && side == f.initiator() && fl&(SYN|RST) == 0 &&
			peer.hasISN && p.Ack == peer.isn+1 {
			x.HandshakeACKTime, x.Handshake = p.Time, x.Handshake|SeenHandshakeACK
		}
	}

	seq := p.Seq
	if fl&SYN != 0 {
		seq++
	}
	n := p.PayloadLen
	if n > 0 && fl&RST != 0 {
		n = 0 // a RST may explain itself (RFC 9293 section 3.5.3); that is no part of the stream
	}
	switch {
	case n > 0:
		f.hist(side, 'd', 0)
	case fl&(SYN|FIN|RST) == 0 && fl&ACK != 0:
		f.hist(side, 'a', 0)
	}
	st.sent(f, side, stats, fl, seq, n, first)
	// A FIN in answer to a SYN is no answer (RFC 9293 section 3.10.7.3): its sender's stream begins
	// with the SYN-ACK, which may yet come.
	early := !st.begun && fl&(SYN|FIN) == FIN && n == 0 && peer.hasISN && peer.state != epEstablished && fl&ACK != 0 && p.Ack == peer.isn+1
	if !st.begun && fl&RST == 0 && !early {
		st.begun, st.next, st.first = true, seq, seq
		if fl&SYN == 0 && n == 0 && fl&FIN == 0 && peer.hasAck && int32(seq-peer.ack) == -1 {
			st.next, st.first = peer.ack, peer.ack // a keep-alive opens the capture
		}
		if d := int32(seq - peer.firstAck); side == f.initiator() && x.Handshake&(SeenSYN|SeenSYNACK) == SeenSYNACK && d > 0 && d < farAhead {
			st.next, st.first = peer.firstAck, peer.firstAck // the SYN was not seen, but where it ended was said
		}
	}
	if n > 1 && st.begun && int32(seq-st.next) < 0 && st.untold() {
		// A packet without bytes began the stream, and what comes is from before it: of those bytes
		// none has been seen. One byte is a keep-alive (RFC 9293 section 3.8.4).
		st.next, st.first = seq, seq
	}
	if n > 0 {
		captured := min(p.PayloadCaptured, n)
		t.bytes(f, x, side, at, seq, n, data[p.Payload:p.Payload+captured])
	}
	if fl&FIN != 0 && fl&RST == 0 {
		f.hist(side, 'f', 0)
		if st.state != epReset {
			st.state = epClosed
		}
		if !st.hasFin && !early {
			st.hasFin, st.finSeq, st.finAt = true, seq+n, at
		}
	}
	t.advance(f, x, side, at)
	if st.heldRef != 0 {
		t.acknowledged(f, x, side, at)
	}
	if fl&ACK != 0 {
		t.acknowledged(f, x, side.Other(), at)
	}
	if fl&RST != 0 && fl&SYN == 0 {
		f.hist(side, 'r', 0)
		// After both sides have closed a RST says only that late packets are not welcome.
		if st.state != epReset && !(st.state == epClosed && peer.state == epClosed) {
			st.state = epReset
			if !f.ignore {
				t.flush(f, x, side)
				t.flush(f, x, side.Other())
				t.consumer.Rst(f, side, at)
			}
		}
	}
	if !wasClosed && x.closed() && t.cfg.CloseLinger != never {
		t.wheel.remove(f, &t.slab)
		t.wheel.add(f, f.ref, t.deadline(f), &t.slab)
	}
}

// sent follows the highest number that side has used, and notes what ends below
// it: a retransmission or what is late, which Zeek's letter t does not tell apart.
func (st *stream) sent(f *Flow, side Side, stats *TCPStats, fl uint16, seq, n uint32, first bool) {
	past := seq + n
	if fl&FIN != 0 {
		past++
	}
	switch d := int32(past - st.last); {
	case first, d > 0 && st.state != epReset:
		st.last = past
	case fl&(SYN|RST) != 0 && d < -farBelow: // a sequence begun anew
		st.last = past
	case n > 0 && st.state != epReset:
		stats.late++
		f.hist(side, 't', stats.late)
	}
}

// farAhead is how far behind its SYN-ACK's acknowledgement a side that was not seen before may go on: the window of a
// SYN, which is never scaled (RFC 7323 section 2.2).
const farAhead = 1 << 16

// farBelow is by how much a SYN or RST is below what was sent before and of
// another sequence.
const farBelow = 1 << 20

// synPacket takes what is particular to a packet with SYN.
func (t *Tracker) synPacket(f *Flow, x *TCP, side Side, p *Packet, data []byte) {
	st, peer := &x.streams[side], &x.streams[side.Other()]
	stats := &x.Sides[side]
	switch fl := p.TCPFlags; {
	case fl&RST != 0:
		f.hist(side, 'i', 0)
		return
	case fl&FIN != 0:
		f.hist(side, 'q', 0)
	case fl&ACK != 0:
		f.hist(side, 'h', 0)
	default:
		f.hist(side, 's', 0)
	}
	if p.TCPFlags&ACK == 0 { // late in the capture, or Basis says so already
		f.turn(BySYN, side)
	} else {
		f.turn(BySYNACK, side.Other())
	}
	if !st.hasISN {
		st.hasISN, st.isn = true, p.Seq
		stats.Window = p.Window
		readOptions(stats, data[p.Transport+20:p.Payload])
	}
	if p.TCPFlags&ACK == 0 {
		if st.state == epInactive || st.state == epPartial {
			st.state = epSYNSent
			if x.Handshake&SeenSYN == 0 && side == f.initiator() {
				x.SYNTime, x.Handshake = p.Time, x.Handshake|SeenSYN
			}
			if peer.state == epSYNACKSent { // captured before the SYN that it answers
				st.state, peer.state = epEstablished, epEstablished
			} else if peer.state == epReset && x.Handshake&SeenSYNACK != 0 {
				st.state = epEstablished
			}
		}
		return
	}
	if side != f.initiator() && x.Handshake&SeenSYNACK == 0 {
		x.SYNACKTime, x.Handshake = p.Time, x.Handshake|SeenSYNACK
	}
	switch {
	case peer.state == epSYNSent || peer.state == epEstablished:
		if st.state < epEstablished {
			st.state = epEstablished
		}
		peer.state = epEstablished
	case st.state == epInactive:
		st.state = epSYNACKSent
	}
}

// readOptions takes what a SYN's options announce (RFC 9293 section 3.2, RFC 7323, RFC 2018).
func readOptions(s *TCPStats, opt []byte) {
	s.Options |= OptSYNSeen
	for len(opt) > 0 {
		kind := opt[0]
		if kind == 0 {
			return
		}
		if kind == 1 {
			opt = opt[1:]
			continue
		}
		if len(opt) < 2 || opt[1] < 2 || int(opt[1]) > len(opt) {
			return
		}
		v := opt[2:opt[1]]
		switch {
		case kind == 2 && len(v) == 2:
			s.MSS = binary.BigEndian.Uint16(v)
			s.Options |= OptMSS
		case kind == 3 && len(v) == 1:
			s.WindowScale = v[0]
			s.Options |= OptWindowScale
		case kind == 4:
			s.Options |= OptSACKPermitted
		case kind == 8 && len(v) == 8:
			s.Options |= OptTimestamps
		}
		opt = opt[opt[1]:]
	}
}
