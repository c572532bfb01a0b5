package mutate

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
)

func addresses() Relation {
	return Relation{"addresses", `the host part of each address becomes its complement, which turns their order around, and checksums follow: rows have other addresses, and
flow_id and community_id that are made of them. Addresses outside of a tunnel, multicast, broadcast and the unspecified one stay.`, func(in Input) *Case {
		var base, out []Packet
		for i := range in.Packets {
			if q, ok := readdress(&in.Packets[i]); ok {
				base, out = append(base, in.Packets[i]), append(out, q)
			}
		}
		if len(out) == 0 {
			return nil
		}
		if len(out) == len(in.Packets) {
			base = nil
		}
		inside := false // a tunnel's fragments: the address in them is nowhere in one packet
		in.Tables.clone().Each([]string{"flows"}, func(_ string, r Row) bool {
			inside = inside || r.Get("tunnel") != null && r.Int("src_fragments")+r.Int("dst_fragments") > 0
			return true
		})
		if inside || in.Tables.several() {
			return nil
		}
		return &Case{Base: base, Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			want.Each(messagesAnd("flows"), func(_ string, r Row) bool {
				for _, c := range []string{"src_ip", "dst_ip"} {
					a, err := netip.ParseAddr(r.Get(c))
					if err != nil {
						panic(err)
					}
					b, _ := netip.AddrFromSlice(other(a.AsSlice()))
					r.Set(c, b)
				}
				return true
			})
			want.Forget("flow_id", "community_id")
			got.Forget("flow_id", "community_id")
		}}
	}}
}

// several says whether a packet held several datagrams (an IEEE 802.11 A-MSDU), of which look sees the first.
func (t Tables) several() bool {
	packets, inFlow := int64(0), int64(0)
	c := t.clone()
	c.Each([]string{"flows"}, func(_ string, r Row) bool {
		packets += r.Int("src_packets") + r.Int("dst_packets")
		if r.Int("src_fragments")+r.Int("dst_fragments") > 0 {
			packets = -1 << 62
		}
		return true
	})
	c.Each([]string{ledger}, func(_ string, r Row) bool { inFlow += r.Int("flow_packets"); return true })
	return packets > inFlow
}

// times returns the columns that are times of packets.
func times() map[string][]string {
	m := map[string][]string{}
	for _, t := range schema.Tables() {
		for _, c := range t.Columns {
			if c.Kind == schema.Timestamp && c.Name != "not_before" && c.Name != "not_after" {
				m[t.Name] = append(m[t.Name], c.Name)
			}
		}
	}
	delete(m, ledger)
	return m
}

// shift adds to all times.
func (t Tables) shift(by int64) {
	for name, columns := range times() {
		t.Each([]string{name}, func(_ string, r Row) bool {
			for _, c := range columns {
				if r.Get(c) != null {
					r.Set(c, r.Int(c)+by)
				}
			}
			return true
		})
	}
}

func later() Relation {
	const day = 86400e9
	return Relation{"later", "all packets a day later: so are all times, and nothing else changes but flow_id, which is made of one", func(in Input) *Case {
		out := slices.Clone(in.Packets)
		for i := range out {
			out[i].Time += day
		}
		if !fitsPCAP(out) {
			return nil
		}
		return &Case{Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			want.shift(day)
			want.Forget("flow_id")
			got.Forget("flow_id")
		}}
	}}
}

func cut(length int, name string) Relation {
	return Relation{name, `packets are cut to so many bytes, of those whose headers are no longer: flows have the same packets, bytes, states and options, and nothing that was
cut is taken for malformed, but what is in datagrams that do not tell their length: DNS messages, as truncated, and TLS in OpenVPN.`, func(in Input) *Case {
		var base, out []Packet
		shorter := false
		for i := range in.Packets {
			p := in.Packets[i]
			q := p
			q.Orig = p.wire()
			q.Data = p.Data[:min(len(p.Data), length)]
			d, n, o := look(&p)
			e, m, u := look(&q)
			if d.Proto == protoIPComp || o != u || n != m || d.Hash != e.Hash || d.Transport != e.Transport || o == ingest.OutcomeFlow && (d.Payload != e.Payload || d.Quote != e.Quote) {
				continue
			}
			shorter = shorter || len(q.Data) < len(p.Data)
			base, out = append(base, p), append(out, q)
		}
		if !shorter || in.Tables.several() {
			return nil
		}
		return &Case{Base: base, Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			sound := map[string]bool{}
			for _, name := range messages() {
				want.Each([]string{name}, func(table string, r Row) bool { sound[table+r.Get("flow_id")] = true; return true })
				want.Each([]string{name}, func(table string, r Row) bool {
					if r.Get("malformed") != null {
						sound[table+r.Get("flow_id")] = false
					}
					return true
				})
				// Of messages only those are left that claim to be malformed where the whole ones were not. In a datagram that
				// ends inside a name, DNS cannot tell the capture's end from the sender's, nor can TLS in OpenVPN.
				delete(want, name)
				got.Each([]string{name}, func(table string, r Row) bool {
					m := r.Get("malformed")
					if table == "tls" && r.Get("transport") == "udp" { // OpenVPN's, whose packets do not tell their length either
						return false
					}
					return sound[table+r.Get("flow_id")] && m != null && (table != "dns" || m != "truncated" && m != "gap" && m != "counts")
				})
			}
			for _, t := range []Tables{want, got} {
				t.Each([]string{"flows"}, func(_ string, r Row) bool {
					if h := r.Get("history"); h != null { // what was cut is a gap, and has no checksum
						if h = strings.NewReplacer("g", "", "G", "", "c", "", "C", "").Replace(h); h == "" {
							h = null
						}
						r.Set("history", h)
					}
					return true
				})
			}
			for _, t := range []Tables{want, got} {
				delete(t, "certificates")
				t.Forget("*_checksums", "fragment_overlaps")
				if f := t["flows"]; f != nil {
					f.forget("app_proto*", "http_rows", "tls_rows", "dns_rows", "*_gaps", "*_gap_bytes", "*_overlap_mismatches", "tunnel_id")
				}
			}
		}}
	}}
}

func interleave() Relation {
	return Relation{"interleaved", `two captures of other hosts, moved to one time and merged by it: the rows are those of both, but for packet numbers, flow_id, which counts packets where time goes
back, and certificates, of which there is one each.`, func(in Input) *Case {
		if in.Other == nil || !fitsPCAP(in.Packets) || !fitsPCAP(in.Other) {
			return nil
		}
		by := in.Packets[0].Time - in.Other[0].Time
		moved := slices.Clone(in.Other)
		for i := range moved {
			moved[i].Time += by
		}
		if !fitsPCAP(moved) {
			return nil
		}
		second, err := convertPackets(moved)
		if err != nil {
			return nil
		}
		if overlap(in.Tables.hosts(), second.hosts()) {
			return nil
		}
		var out []Packet
		for a, b := in.Packets, moved; len(a)+len(b) > 0; {
			if len(b) == 0 || len(a) > 0 && a[0].Time <= b[0].Time {
				out, a = append(out, a[0]), a[1:]
			} else {
				out, b = append(out, b[0]), b[1:]
			}
		}
		return &Case{Files: [][]byte{plain(out)}, Expect: func(want, got Tables) {
			for name, t := range second {
				if want[name] == nil {
					want[name] = &Table{Columns: t.Columns}
				}
				if name == ledger {
					w := Row{want[name], want[name].Rows[0]}
					for _, c := range t.Columns {
						if strings.HasPrefix(c, "error") {
							continue
						}
						w.Set(c, w.Int(c)+Row{t, t.Rows[0]}.Int(c))
					}
					continue
				}
				want[name].Rows = append(want[name].Rows, t.Rows...)
			}
			for _, t := range []Tables{want, got} {
				t.longer()
				delete(t, "certificates")
				for _, name := range messagesAnd("flows") {
					if t[name] != nil {
						t[name].forget("flow_id", "first_packet", "last_packet")
					}
				}
				t[ledger].forget("out_of_order_packets")
			}
		}}
	}}
}

// longer says of flows that were open at the end the same, whether or not their time was over by then.
func (t Tables) longer() {
	t.Each([]string{"flows"}, func(_ string, r Row) bool {
		if r.Get("end_reason") == "end_of_input" {
			r.Set("end_reason", "idle_timeout")
		}
		return true
	})
}

func (t Tables) hosts() map[string]bool {
	m := map[string]bool{}
	t.Each([]string{"flows"}, func(_ string, r Row) bool {
		m[r.Get("src_ip")], m[r.Get("dst_ip")] = true, true
		return true
	})
	return m
}

func overlap(a, b map[string]bool) bool {
	for k := range a {
		if b[k] {
			return true
		}
	}
	return false
}

func convertPackets(p []Packet) (Tables, error) { return convert(tabulate.Config{}, plain(p)) }

func split() Relation {
	return Relation{"two-files", "the capture in two files: the rows are the same but for provenance, flow_id included", func(in Input) *Case {
		n := len(in.Packets)
		if n < 2 {
			return nil
		}
		at := 1 + in.Rand.IntN(n-1)
		if in.Packets[at].Time <= in.Packets[0].Time { // the second file would be read first
			return nil
		}
		return &Case{Files: [][]byte{plain(in.Packets[:at]), plain(in.Packets[at:])}, Expect: func(want, got Tables) {
			for _, t := range []Tables{want, got} {
				t.Forget("capture_id", "last_capture_id", "first_packet", "last_packet")
				delete(t, ledger)
			}
		}}
	}}
}

// damaged are files that end in the middle of a record, or in what is none.
func damaged() []Relation {
	le := binary.LittleEndian
	truncated := func(name, doc string, ng bool) Relation {
		return Relation{name, doc, func(in Input) *Case {
			if !ng && !fitsPCAP(in.Packets) {
				return nil
			}
			write := func(p []Packet) []byte {
				if ng {
					return pcapng{}.file(p)
				}
				return pcap(p, le, 1)
			}
			all := write(in.Packets)
			k := in.Rand.IntN(len(in.Packets))                       // packets that are whole
			if k == 0 || !sameLinks(in.Packets[:k], in.Packets[k]) { // an interface is before it
				return nil
			}
			begin, end := len(write(in.Packets[:k])), len(write(in.Packets[:k+1]))
			at := begin + 1 + in.Rand.IntN(end-begin-1)
			return &Case{Base: in.Packets[:k], Files: [][]byte{all[:at]}, Expect: func(want, got Tables) {
				endsAt(want, got, k+1, begin)
			}}
		}}
	}
	return []Relation{
		truncated("truncated", "a pcap that ends within a record: rows are those of the packets before it, and the ledger names the packet and where its record begins", false),
		truncated("truncated-ng", "the same of a pcapng", true),
		{"garbage", "bytes that are no record at the end of a pcap: the rows are those of the packets before, and the ledger says where it ends", func(in Input) *Case {
			if !fitsPCAP(in.Packets) {
				return nil
			}
			file := pcap(in.Packets, le, 1)
			end := len(file)
			for range 1024 {
				file = append(file, 0xff)
			}
			return &Case{Files: [][]byte{file}, Expect: func(want, got Tables) {
				endsAt(want, got, len(in.Packets)+1, end)
			}}
		}},
	}
}

func sameLinks(list []Packet, p Packet) bool {
	return slices.ContainsFunc(list, func(q Packet) bool { return q.Link == p.Link })
}

// endsAt has the ledger say that a file ends with an error at a packet, at an offset.
func endsAt(want, got Tables, packet, offset int) {
	want.Each([]string{ledger}, func(_ string, r Row) bool {
		r.Set("error_packet", packet)
		r.Set("error_offset", offset)
		r.Set("error", "-")
		return true
	})
	got.Each([]string{ledger}, func(_ string, r Row) bool {
		if r.Get("error") != "" {
			r.Set("error", "-")
		}
		return true
	})
}
