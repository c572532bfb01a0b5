package dns

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

func seeds(f *testing.F) {
	a := record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04")
	f.Add([]byte(query(1, "www.example.com", typeA)))
	f.Add([]byte(answer(1, "www.example.com", typeA, a, a)))
	f.Add([]byte(header(1, FlagRD, 1, 0, 0, 1) + question("a.b", typeA) + record("\x00", typeOPT, 1232, 0x8000, "\x00\x08\x00\x07\x00\x01\x18\x00\xc0\x00\x02")))
	f.Add([]byte(header(1, FlagQR, 1) + "\xc0\x0c\x00\x01\x00\x01"))
	for _, tt := range rdataTests {
		for n := range 1 << 16 {
			if TypeName(uint16(n)) == tt.typ {
				f.Add([]byte(answer(1, "a.b", n, record(toQuestion, n, classIN, 60, tt.wire))))
			}
		}
	}
}

// check holds a transaction to what is true of each.
func check(t *testing.T, m *Transaction, size int) {
	n := len(m.QName) + len(m.QNameRaw)
	for _, list := range [][]Record{m.Answers, m.Authorities, m.Additionals} {
		for i := range list {
			n += len(list[i].Data)
			for _, b := range [][]byte{list[i].Name, list[i].Data} {
				for _, c := range b {
					if c < ' ' || c > '~' {
						t.Fatalf("text %q is not printable", b)
					}
				}
			}
		}
	}
	for _, c := range m.QName {
		if c <= ' ' || c > '~' || 'A' <= c && c <= 'Z' {
			t.Fatalf("name %q", m.QName)
		}
	}
	if limit := 3*textBudget(size) + 4*maxName; n > limit {
		t.Fatalf("%d bytes became %d", size, n)
	}
	if len(m.Answers) > int(m.Counts[1]) || len(m.Authorities) > int(m.Counts[2]) || len(m.Additionals) > int(m.Counts[3]) {
		t.Fatalf("more records than %v", m.Counts)
	}
}

func FuzzUDP(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for service := DNS; service <= LLMNR; service++ {
			p := UDP{Service: service}
			var got []Transaction
			got = p.Datagram(got, flows.Initiator, at(1), data)
			reply := bytes.Clone(data)
			if len(reply) > 2 {
				reply[2] ^= 0x80
			}
			for i := range got {
				check(t, &got[i], len(data))
			}
			got = p.Datagram(got[:0], flows.Responder, at(2), reply)
			got = p.End(got)
			for i := range got {
				check(t, &got[i], 2*len(data))
			}
		}
	})
}

func FuzzTCP(f *testing.F) {
	f.Add([]byte(frames(query(1, "a.b", typeA), query(2, "c.d", typeMX))), uint16(5))
	f.Add([]byte(frames(answer(1, "a.b", typeA, record(toQuestion, typeA, classIN, 60, "\x01\x02\x03\x04")))+"\x00\x20abc"), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		whole := func() []string {
			var p TCP
			all := texts(p.Feed(nil, flows.Initiator, at(1), data))
			return append(all, texts(p.End(nil))...)
		}
		var p TCP
		var all []string
		for rest := data; len(rest) > 0; {
			n := min(1+int(cut), len(rest))
			got := p.Feed(nil, flows.Initiator, at(1), rest[:n])
			for i := range got {
				check(t, &got[i], len(data))
			}
			all = append(all, texts(got)...)
			rest = rest[n:]
		}
		all = append(all, texts(p.End(nil))...)
		want := whole()
		if len(all) != len(want) {
			t.Fatalf("%d transactions, uncut %d", len(all), len(want))
		}
		for i := range all {
			if all[i] != want[i] {
				t.Fatalf("got %s\nuncut %s", all[i], want[i])
			}
		}
		// Gaps of any length, anywhere: only the memory is held to account.
		p.Reset()
		for rest, n := data, 0; len(rest) > 0; n++ {
			k := min(1+int(cut), len(rest))
			p.Feed(nil, flows.Side(n&1), at(n), rest[:k])
			p.Gap(nil, flows.Side(n&1), at(n), int64(n%7))
			rest = rest[k:]
			for i := range p.sides {
				if len(p.sides[i].buf) > 1<<16+prefixLen {
					t.Fatalf("holds %d bytes", len(p.sides[i].buf))
				}
			}
		}
		p.Rst(nil, flows.Responder, at(9))
		p.End(nil)
	})
}

// FuzzProbe: what Probe accepts of a datagram anywhere decodes without damage
// to its structure, and a stream's verdict is only ever put off, not turned.
func FuzzProbe(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		strict, lax := Probe(data, false, false), Probe(data, false, true)
		if strict == parsers.Maybe {
			t.Fatal("a datagram is all there is")
		}
		if strict == parsers.Yes && lax != parsers.Yes {
			t.Fatal("accepted elsewhere, refused on the port")
		}
		if strict == parsers.Yes {
			var p UDP
			got := append(p.Datagram(nil, flows.Initiator, at(1), data), p.End(nil)...)
			if len(got) != 1 || !got[0].HasQuestion || got[0].Malformed != WellFormed && got[0].Malformed != BadRdata && got[0].Malformed != BadEDNS && got[0].Malformed != TextLimit {
				t.Fatalf("accepted: %v", texts(got))
			}
		}
		if len(data) > 600 {
			return
		}
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
		for _, port := range []bool{false, true} {
			final := Probe(framed, true, port)
			for n := range framed {
				if v := Probe(framed[:n], true, port); v != parsers.Maybe && v != final {
					t.Fatalf("%d of %d bytes give %d, all of them %d", n, len(framed), v, final)
				}
			}
		}
	})
}
