package ingest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/caplake/caplake/flows"
)

// TestRewritten: a datagram whose addresses were exchanged for others, and whose checksums were not, is told from
// one that is damaged, whether the sender had computed the transport's or left it to the card.
func TestRewritten(t *testing.T) {
	const sums = flows.BadIPChecksum | flows.BadChecksum | flows.ChecksumOffload | flows.Rewritten
	rnd := rand.New(rand.NewPCG(7, 8))
	bytesOf := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	decode := func(b []byte) flows.PacketFlags {
		d := Decoder{Checksums: true}
		var p flows.Packet
		var encaps []flows.Encap
		if o := d.Decode(101, b, Record{CapLen: uint32(len(b)), OrigLen: uint32(len(b))}, &p, &encaps); o != OutcomeFlow {
			t.Fatalf("%x: %s", b, o)
		}
		return p.Flags & sums
	}
	left := func(b []byte, at, proto, n int) []byte {
		return edit(b, at, be16(int(onesSum(pseudo(false, proto, n))))...)
	}
	byChance := 0
	for range 3000 {
		payload := bytesOf(1 + rnd.IntN(60))
		tb, ub := tcp(false, nil, payload), udp(false, payload)
		for _, tt := range []struct {
			name      string
			datagram  []byte
			right     flows.PacketFlags // as it was sent
			rewritten flows.PacketFlags
		}{
			{"tcp", ip4(6, tb), 0, flows.BadIPChecksum | flows.BadChecksum | flows.Rewritten},
			{"udp", ip4(17, ub), 0, flows.BadIPChecksum | flows.BadChecksum | flows.Rewritten},
			{"udp behind options", ip4With(17, 1, 2, 0, unhex("01010100"), ub), 0, flows.BadIPChecksum | flows.BadChecksum | flows.Rewritten},
			{"tcp, left to the card", ip4(6, left(tb, 16, 6, len(tb))), flows.ChecksumOffload, flows.BadIPChecksum | flows.ChecksumOffload | flows.Rewritten},
			{"tcp, with segmentation", ip4(6, left(tb, 16, 6, 0)), flows.ChecksumOffload, flows.BadIPChecksum | flows.ChecksumOffload | flows.Rewritten},
			{"udp, left to the card", ip4(17, left(ub, 6, 17, len(ub))), flows.ChecksumOffload, flows.BadIPChecksum | flows.ChecksumOffload | flows.Rewritten},
			{"udp, not computed", ip4(17, edit(ub, 6, 0, 0)), 0, flows.BadIPChecksum},
			{"icmp, whose sum has no addresses", ip4(1, icmp4(8, 0, payload)), 0, flows.BadIPChecksum},
		} {
			if got := decode(tt.datagram); got != tt.right {
				t.Fatalf("%s: %#x, want %#x: %x", tt.name, got, tt.right, tt.datagram)
			}
			other := bytesOf(8)
			want := tt.rewritten
			if a, b := onesSum(tt.datagram[12:20]), onesSum(other); a%0xffff == b%0xffff {
				want = tt.right // the sums cannot tell
			}
			if got := decode(edit(tt.datagram, 12, other...)); got != want {
				t.Fatalf("%s, addresses %v: %#x, want %#x: %x", tt.name, other, got, want, tt.datagram)
			}
			// Damage to the header and to the payload is no new address.
			broken := bytes.Clone(tt.datagram)
			broken[8] ^= byte(1 + rnd.IntN(255))
			broken[len(broken)-1] ^= byte(1 + rnd.IntN(255))
			if decode(broken)&flows.Rewritten != 0 {
				byChance++
			}
		}
	}
	if byChance > 60 { // 24,000 of damage in two bytes, which happen to be the same or opposite now and then
		t.Errorf("%d damaged datagrams pass for ones with other addresses", byChance)
	}
}

// TestCutIsNotBad: a checksum is judged only where all bytes are there that it is of.
func TestCutIsNotBad(t *testing.T) {
	d := Decoder{Checksums: true}
	for _, b := range [][]byte{ip4(6, tcp(false, nil, make([]byte, 100))), ip4(17, udp(false, make([]byte, 100))), ip6(6, tcp(true, nil, make([]byte, 100))), ip6(17, udp(true, make([]byte, 100))),
		ip4(1, icmp4(8, 0, make([]byte, 100))), ip6(58, icmp6(128, 0, make([]byte, 100)))} {
		b[len(b)-50] = 1 // all are wrong
		for captured := len(b) - 90; captured <= len(b); captured++ {
			var p flows.Packet
			var encaps []flows.Encap
			if o := d.Decode(101, b, Record{CapLen: uint32(captured), OrigLen: uint32(len(b))}, &p, &encaps); o != OutcomeFlow {
				t.Fatalf("%d bytes of %x: %s", captured, b, o)
			}
			if bad := p.Flags&flows.BadChecksum != 0; bad != (captured == len(b)) {
				t.Errorf("%d bytes of %d: bad is %v", captured, len(b), bad)
			}
		}
	}
}
