package mutate

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
)

// look decodes a packet. encaps says how many encapsulations are around it.
func look(p *Packet) (d flows.Packet, encaps int, o ingest.Outcome) {
	var list []flows.Encap
	dec := ingest.Decoder{Checksums: true}
	o = dec.Decode(p.Link, p.Data, ingest.Record{CapLen: uint32(len(p.Data)), OrigLen: uint32(p.Orig)}, &d, &list)
	return d, len(list), o
}

// renumber gives the rows of want the packet numbers that number says; numbers count from 1.
func renumber(want Tables, number []int) {
	for _, name := range messagesAnd("flows", "certificates") {
		want.Each([]string{name}, func(_ string, r Row) bool {
			for _, c := range []string{"first_packet", "last_packet"} {
				if slices.Contains(r.table.Columns, c) {
					r.Set(c, number[r.Int(c)-1])
				}
			}
			return true
		})
	}
}

// fragment cuts the IP datagram of p in pieces, nil if it cannot be.
func fragment(p *Packet, r *rand.Rand, id uint32) []Packet {
	off, v := ipOf(p)
	if off < 0 {
		return nil
	}
	be := binary.BigEndian
	ip := p.Data[off:]
	var head, total int // length of what is in each piece, and of all
	var last int        // IPv6: offset of the field that names the payload's protocol
	if v == 4 {
		if len(ip) < 20 {
			return nil
		}
		head, total = int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
		if be.Uint16(ip[6:])&0x3fff != 0 {
			return nil
		}
	} else {
		if len(ip) < 40 {
			return nil
		}
		head, total, last = 40, 40+int(be.Uint16(ip[4:])), 6
		for next := ip[6]; ; next = ip[last] {
			if next == 44 {
				return nil
			}
			if next != 0 && next != 43 { // before the fragment header: hop-by-hop options and routes (RFC 8200 section 4.5)
				break
			}
			if len(ip) < head+8 {
				return nil
			}
			last = head
			head += (int(ip[head+1]) + 1) * 8
			if len(ip) < head {
				return nil
			}
		}
	}
	// What claims to be longer than its frame or leaves its length to the card cannot be cut where it says.
	if head < 20 || len(ip) < head || total > p.wire()-off || total-head <= 8 || v == 6 && total == 40 {
		return nil
	}
	data := ip[head:min(len(ip), total)] // captured
	n := total - head
	ends := []int{8 * (1 + r.IntN((n-1)/8)), n}
	if ends[0]+8 < n && r.IntN(2) == 0 {
		ends = []int{ends[0], ends[0] + 8*(1+r.IntN((n-ends[0]-1)/8)), n}
	}
	var pieces []Packet
	from := 0
	for _, to := range ends {
		h := join(p.Data[:off+head])
		q := h[off:]
		more := to < n
		if v == 4 {
			right := sum(0, q[:head]) == 0xffff
			be.PutUint16(q[2:], uint16(head+to-from))
			field := be.Uint16(q[6:]) | uint16(from/8)
			if more {
				field |= 0x2000
			}
			be.PutUint16(q[6:], field)
			if old := be.Uint16(q[10:]); right || old != 0 {
				be.PutUint16(q[10:], 0)
				c := ^sum(0, q[:head])
				if !right {
					c ^= 0x5555
				}
				be.PutUint16(q[10:], c)
			}
		} else {
			be.PutUint16(q[4:], uint16(head-40+8+to-from))
			field := uint16(from)
			if more {
				field |= 1
			}
			h = be.AppendUint16(append(h, q[last], 0), field)
			h = be.AppendUint32(h, id)
			h[off+last] = 44
		}
		part := data[min(from, len(data)):min(to, len(data))]
		pieces = append(pieces, Packet{p.Time, p.Link, len(h) + to - from, join(h, part)})
		from = to
	}
	return pieces
}

func fragments(name, doc string, arrange func(pieces []Packet)) Relation {
	return Relation{name, "IP datagrams in two or three fragments" + doc + `: rows are the same but for fragments and wire bytes. The header of a wrong
checksum is counted for each fragment in the ledger. What is in tunnels is cut with its carrier.`, func(in Input) *Case {
		var out []Packet
		number := make([]int, len(in.Packets))
		cut, whole := 0, 0
		for i := range in.Packets {
			pieces := fragment(&in.Packets[i], in.Rand, uint32(i)+1)
			if pieces == nil {
				out = append(out, in.Packets[i])
			} else if _, _, o := look(&in.Packets[i]); o != ingest.OutcomeFlow { // put together, it is what it was
				out = append(out, in.Packets[i])
			} else {
				arrange(pieces)
				out = append(out, pieces...)
				cut += len(pieces)
				whole++
			}
			number[i] = len(out)
		}
		if cut == 0 {
			return nil
		}
		return &Case{Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			renumber(want, number)
			want.Each([]string{ledger}, func(_ string, r Row) bool {
				r.Set("packets", r.Int("packets")+int64(cut-whole))
				r.Set("flow_packets", r.Int("flow_packets")-int64(whole))
				r.Set("fragments_reassembled", r.Int("fragments_reassembled")+int64(cut))
				return true
			})
			for _, t := range []Tables{want, got} {
				t.Forget("src_fragments", "dst_fragments", "src_wire_bytes", "dst_wire_bytes")
				t[ledger].forget("bad_checksums", "offload_checksums", "out_of_order_packets")
			}
		}}
	}}
}

func (t *Table) forget(columns ...string) { Tables{"": t}.Forget(columns...) }

// segment cuts a TCP segment in pieces, nil if it cannot be.
func segment(p *Packet, r *rand.Rand) []Packet {
	d, encaps, o := look(p)
	off, v := ipOf(p)
	if o != ingest.OutcomeFlow || d.Proto != flows.ProtoTCP || encaps > 0 || off != int(d.Network) || d.PayloadLen < 2 ||
		d.TCPFlags&(flows.SYN|flows.RST|flows.URG) != 0 {
		return nil
	}
	be := binary.BigEndian
	head, n := int(d.Payload), int(d.PayloadLen)
	if d.IPLen != uint32(head-off+n) || v == 4 && be.Uint16(p.Data[off+2:]) == 0 || v == 6 && be.Uint16(p.Data[off+4:]) == 0 {
		return nil
	}
	data := p.Data[head:][:d.PayloadCaptured]
	ends := []int{1 + r.IntN(n-1), n}
	if r.IntN(3) == 0 {
		ends[0] = min(n-1, 1+r.IntN(8)) // where the heads of messages are
	}
	if ends[0]+1 < n && r.IntN(2) == 0 {
		ends = []int{ends[0], ends[0] + 1 + r.IntN(n-ends[0]-1), n}
	}
	var pieces []Packet
	from := 0
	for _, to := range ends {
		h := join(p.Data[:head])
		q := h[off:]
		if v == 4 {
			be.PutUint16(q[2:], uint16(head-off+to-from))
			be.PutUint16(q[10:], 0)
			be.PutUint16(q[10:], ^sum(0, q[:int(q[0]&15)*4]))
		} else {
			be.PutUint16(q[4:], uint16(head-off-40+to-from))
		}
		tcp := h[d.Transport:]
		be.PutUint32(tcp[4:], d.Seq+uint32(from))
		if to < n {
			tcp[13] &^= flows.FIN | flows.PSH
		}
		be.PutUint16(tcp[16:], 0) // left to the card
		pieces = append(pieces, Packet{p.Time, p.Link, head + to - from, join(h, data[min(from, len(data)):min(to, len(data))])})
		from = to
	}
	return pieces
}

// streams are what tells of a flow's bytes, whatever packets they came in.
func streams(t Tables) {
	t.Forget("*_packet", "*_packets", "*_checksums", "src_size*", "dst_size*", "*_bytes_", "src_iat*", "dst_iat*")
	if f := t["flows"]; f != nil {
		f.forget("src_bytes", "dst_bytes", "src_wire_bytes", "dst_wire_bytes", "src_retransmitted*", "dst_retransmitted*", "src_duplicate*", "dst_duplicate*", "history", "src_zero_windows", "dst_zero_windows", "src_overlap*", "dst_overlap*")
	}
	t[ledger].forget("packets", "flow_packets")
}

func segments() Relation {
	return Relation{"segments", `TCP segments in two or three, all at the time of the one: what the flow's bytes say is the same, times included. Counts of packets,
sizes, times between packets and what is told by them (history's letters of retransmission, duplicates) are not. Messages only of flows with a handshake and
without gaps or copies that differ: elsewhere a segment's beginning is where a message is looked for.`, func(in Input) *Case {
		var out []Packet
		for i := range in.Packets {
			if pieces := segment(&in.Packets[i], in.Rand); pieces != nil {
				out = append(out, pieces...)
			} else {
				out = append(out, in.Packets[i])
			}
		}
		if len(out) == len(in.Packets) || backwards(in.Packets) {
			return nil
		}
		return &Case{Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			fit := want.sound()
			for _, t := range []Tables{want, got} {
				t.Each(messages(), func(_ string, r Row) bool { return fit[r.Get("flow_id")] })
				t.Each([]string{"flows"}, func(_ string, r Row) bool {
					if !fit[r.Get("flow_id")] {
						for _, c := range []string{"app_proto", "app_proto_basis", "http_rows", "tls_rows", "dns_rows"} {
							r.Set(c, "-")
						}
					}
					return true
				})
				delete(t, "certificates")
				streams(t)
			}
		}}
	}}
}

type tuple struct {
	a, b  flows.Addr
	p, q  uint16
	proto uint8
}

// tupleOf returns a packet's tuple with its ends in order, and which end sent it.
func tupleOf(d *flows.Packet) (t tuple, swapped bool) {
	t = tuple{d.Src, d.Dst, d.SrcPort, d.DstPort, d.Proto}
	if c := slices.Compare(t.a[:], t.b[:]); c > 0 || c == 0 && t.p > t.q {
		return tuple{t.b, t.a, t.q, t.p, t.proto}, true
	}
	return t, false
}

// sound returns the flows with a handshake and without gaps or copies that differ.
func (t Tables) sound() map[string]bool {
	fit := map[string]bool{}
	t.Each([]string{"flows"}, func(_ string, r Row) bool {
		ok := r.Get("direction_basis") != "first_packet"
		for _, s := range []string{"src_", "dst_"} {
			ok = ok && r.Int(s+"gaps") == 0 && r.Int(s+"overlap_mismatches") == 0
		}
		fit[r.Get("flow_id")] = ok
		return true
	})
	return fit
}

// backwards says whether time goes back by more than a little: then flow_id counts packets.
func backwards(packets []Packet) bool {
	latest := packets[0].Time
	for i := range packets {
		if latest = max(latest, packets[i].Time); packets[i].Time < latest-1e8 {
			return true
		}
	}
	return false
}

func reorder() Relation {
	return Relation{"reorder", `TCP segments of one side that no other packet of the flow is between change places, three at a time: what the flow's bytes say is the same, but
not the times. Only of flows with a handshake and without gaps or copies that differ: else nobody knows where the bytes begin, or which stand.`, func(in Input) *Case {
		out := slices.Clone(in.Packets)
		runs := map[tuple][]int{}
		side := map[tuple]bool{}
		moved := false
		flush := func(t tuple) {
			for group := range slices.Chunk(runs[t], 3) {
				if first, last := in.Packets[group[0]], in.Packets[group[len(group)-1]]; len(group) > 1 && last.Time-first.Time < 1e8 && first.Time <= last.Time {
					for k, j := range in.Rand.Perm(len(group)) {
						q := in.Packets[group[j]]
						q.Time = in.Packets[group[k]].Time
						out[group[k]] = q
						moved = moved || k != j
					}
				}
			}
			runs[t] = runs[t][:0]
		}
		for i := range in.Packets {
			d, _, o := look(&in.Packets[i])
			if o != ingest.OutcomeFlow || d.Proto != flows.ProtoTCP {
				continue
			}
			t, swapped := tupleOf(&d)
			if swapped != side[t] || d.TCPFlags&(flows.SYN|flows.RST) != 0 || d.PayloadLen == 0 {
				flush(t)
				side[t] = swapped
			}
			if d.TCPFlags&(flows.SYN|flows.RST) == 0 && d.PayloadLen > 0 {
				runs[t] = append(runs[t], i)
			}
		}
		for t := range runs {
			flush(t)
		}
		if !moved || backwards(in.Packets) {
			return nil
		}
		return &Case{Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			fit := want.sound()
			for _, t := range []Tables{want, got} {
				t.Each(messagesAnd("flows"), func(_ string, r Row) bool { return fit[r.Get("flow_id")] })
				delete(t, "certificates")
				delete(t, ledger)
				for _, name := range messages() {
					if t[name] != nil {
						t[name].forget("*ts", "*_ns", "*_packet")
					}
				}
				if f := t["flows"]; f != nil {
					f.forget("*_packet", "src_iat*", "dst_iat*", "history", "src_retransmitted*", "dst_retransmitted*", "*_out_of_order_packets", "*_window_bytes", "*_dscp", "src_duplicate*", "dst_duplicate*")
				}
			}
		}}
	}}
}

func duplicates(dedup bool) Relation {
	r := Relation{Name: "twice", Doc: "each packet is captured twice, at the same time: what TCP flows say in messages is the same"}
	if dedup {
		r = Relation{Name: "twice-dedup", Doc: `each packet is captured twice, at the same time, and copies are left out. Flows whose copies were all told, which
those of IPv4 with identifications and TCP's are, are the same but for the count of copies, and so is what they say`}
	}
	r.Make = func(in Input) *Case {
		if backwards(in.Packets) {
			return nil
		}
		var out []Packet
		number := make([]int, len(in.Packets))
		for i, p := range in.Packets {
			number[i] = len(out) + 1
			out = append(out, p, p)
		}
		return &Case{Files: [][]byte{plain(out)}, Dedup: dedup, Expect: func(want, got Tables) {
			fit := map[string]bool{}
			renumber(want, number)
			sent := map[string]int64{}
			want.Each([]string{"flows"}, func(_ string, r Row) bool {
				id := r.Get("flow_id")
				sent[id] = r.Int("src_packets") + r.Int("dst_packets")
				fit[id] = r.Get("proto") == "tcp"
				if r.Int("src_duplicate_packets")+r.Int("dst_duplicate_packets")+r.Int("src_fragments")+r.Int("dst_fragments") > 0 {
					sent[id] = -1
					fit[id] = false
				}
				return true
			})
			if dedup {
				got.Each([]string{"flows"}, func(_ string, r Row) bool {
					id := r.Get("flow_id")
					fit[id] = r.Int("src_duplicate_packets")+r.Int("dst_duplicate_packets") == sent[id]
					return true
				})
			}
			for _, t := range []Tables{want, got} {
				t.Each(messagesAnd("flows"), func(_ string, r Row) bool { return fit[r.Get("flow_id")] })
				t.Forget("src_duplicate*", "dst_duplicate*", "icmp_errors") // of an error over IPv6 a copy cannot be told
				t.longer()                                                  // twice as many packets have come when the last are read
				delete(t, "certificates")
				delete(t, ledger)
				if !dedup {
					delete(t, "flows")
					t.Forget("*_packet")
				}
			}
		}}
	}
	return r
}

// patch replaces bytes at an even offset from a checksum's beginning and brings the checksum, at
// sum in b, up to date (RFC 1624), unless it is not computed.
func patch(b []byte, at int, with []byte, sums ...int) {
	for _, s := range sums {
		if s < 0 || s+2 > len(b) {
			continue
		}
		old := binary.BigEndian.Uint16(b[s:])
		v := uint32(^old)
		for i := 0; i < len(with); i += 2 {
			v += uint32(^binary.BigEndian.Uint16(b[at+i:])) & 0xffff
			v += uint32(binary.BigEndian.Uint16(with[i:]))
		}
		for v > 0xffff {
			v = v>>16 + v&0xffff
		}
		if v = uint32(^uint16(v)); v == 0 {
			v = 0xffff
		}
		binary.BigEndian.PutUint16(b[s:], uint16(v))
	}
	copy(b[at:], with)
}

// other is the address that takes an address's place: its host part in the complement. Addresses that mean something stay.
func other(a []byte) []byte {
	b := slices.Clone(a)
	switch {
	case len(a) == 4 && (a[0] >= 224 || a[0] == 0), len(a) == 16 && (a[0] == 0xff || slices.Max(a[:15]) == 0):
		return b
	}
	for i := len(a) / 2; i < len(a); i++ {
		b[i] = ^b[i]
	}
	return b
}

// protoIPComp is of what is compressed: what is in it cannot be changed in place, and once cut is not there.
const protoIPComp = 108

// readdress changes the addresses of p's innermost datagram, and of what it quotes.
func readdress(p *Packet) (Packet, bool) {
	d, _, o := look(p)
	if o != ingest.OutcomeFlow && o != ingest.OutcomeFragment {
		return *p, true
	}
	if d.Proto == protoIPComp {
		return *p, false
	}
	q := *p
	q.Data = slices.Clone(p.Data)
	b := q.Data
	change := func(ip int, sums ...int) {
		at, n := ip+12, 4
		if b[ip]>>4 == 6 {
			at, n = ip+8, 16
		} else if s := ip + 10; s+2 <= len(b) && (b[s] != 0 || b[s+1] != 0) {
			sums = append(sums, s)
		}
		for range 2 {
			if at+n <= len(b) {
				patch(b, at, other(b[at:at+n]), sums...)
			}
			at += n
		}
	}
	at := -1
	first := o == ingest.OutcomeFlow || d.Flags&flows.IPv6 == 0 && binary.BigEndian.Uint16(b[d.Network+6:])&0x1fff == 0 ||
		d.Flags&flows.IPv6 != 0 && binary.BigEndian.Uint16(b[d.Transport+2:])&0xfff8 == 0
	if first {
		transport := int(d.Transport)
		if o == ingest.OutcomeFragment {
			transport = int(d.Payload)
		}
		switch d.Proto {
		case flows.ProtoTCP:
			at = transport + 16
		case flows.ProtoUDP:
			at = transport + 6
		case flows.ProtoICMPv6:
			at = transport + 2
		}
		if at >= 0 && at+2 <= len(b) {
			old := binary.BigEndian.Uint16(b[at:])
			if old == 0 {
				at = -1
			} else if d.Flags&flows.ChecksumOffload != 0 { // left to the card: the sum of the addresses and more
				n, ip := 4, b[d.Network+12:]
				if d.Flags&flows.IPv6 != 0 {
					n, ip = 16, b[d.Network+8:]
				}
				length := d.IPLen - (d.Transport - d.Network) // of the transport
				s := uint32(d.Proto) + length&0xffff + length>>16
				for _, v := range []uint32{s, uint32(d.Proto)} {
					if sum(v, ip[:2*n]) == old {
						change(int(d.Network))
						binary.BigEndian.PutUint16(b[at:], sum(v, ip[:2*n]))
						return q, true
					}
				}
			}
		}
	}
	quoted := -1
	if d.Flags&flows.ICMPError != 0 {
		quoted = int(d.Transport) + 8
		if quoted+20 > len(b) || b[quoted]>>4 == 6 && quoted+40 > len(b) {
			return q, false
		}
	}
	change(int(d.Network), at)
	if quoted >= 0 {
		// The quote's own checksums are left as they are: nothing reads them.
		n, from := 4, quoted+12
		if b[quoted]>>4 == 6 {
			n, from = 16, quoted+8
		}
		for range 2 {
			patch(b, from, other(b[from:from+n]), int(d.Transport)+2)
			from += n
		}
	}
	return q, true
}
