package ingest

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/caplake/caplake/flows"
)

// deflated is b compressed.
func deflated(b []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 9)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// ipcomp is an IPComp header and payload compressed.
func ipcomp(next, how int, payload []byte) []byte {
	return cat([]byte{byte(next), 0}, be16(how), deflated(payload))
}

// What is compressed is the packet of whoever sent it; what cannot be inflated
// is a packet of IPComp.
func TestIPComp(t *testing.T) {
	u, s := udp(false, []byte(hello)), tcp(false, nil, []byte(hello))
	left := func(n int) string {
		return "10.0.0.1.0 > 10.0.0.2.0 proto 108 ttl 64 tos 40 ip 0+" + strconv.Itoa(n) + " transport 20 payload 20+" + strconv.Itoa(n-20) + "/" + strconv.Itoa(n-20)
	}
	ah := func(next int, rest []byte) []byte {
		return cat([]byte{byte(next), 4, 0, 0}, be32(9), make([]byte, 16), rest)
	}
	rest := func(v6 bool, n int) []byte { return udpPorts(v6, 1000, 53, bytes.Repeat([]byte("ab"), n/2)) }
	noise := make([]byte, 1400)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	good := ip4(108, ipcomp(17, 2, u))
	for _, tt := range []struct {
		name   string
		link   uint32
		frame  []byte
		want   string
		limits uint64
	}{
		{"udp", linkRaw, good, u4 + " ip 0+33 transport 20 payload 28+5/5 ports overflow in ipcomp", 0},
		{"tcp", linkRaw, ip4(108, ipcomp(6, 2, s)), l4 + " ip 0+45 transport 20 payload 40+5/5" + ts + " ports overflow in ipcomp", 0},
		{"agreed on", linkRaw, ip4(108, ipcomp(17, 300, u)), u4 + " ip 0+33 transport 20 payload 28+5/5 ports overflow in ipcomp", 0},
		{"ethernet", linkEthernet, eth(0x0800, good), u4 + " ip 14+33 transport 34 payload 42+5/5 eth 0 ports overflow in ipcomp", 0},
		{"vlan", linkEthernet, eth(0x8100, cat(be16(7), be16(0x0800), good)), u4 + " ip 14+33 transport 34 payload 42+5/5 vlan 7 eth 0 ports overflow in ipcomp", 0},
		{"ah", linkRaw, ip4(51, ah(108, ipcomp(17, 2, u))), u4 + " ip 0+57 transport 44 payload 52+5/5 ports overflow in ah(9) in ipcomp", 0},
		{"ipv6", linkRaw, ip6(108, ipcomp(17, 2, udp(true, []byte(hello)))), u6 + " ip 0+53 transport 40 payload 48+5/5 ports overflow in ipcomp", 0},
		{"ipv6 options", linkRaw, ip6(0, cat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, []byte{108, 0, 1, 4, 0, 0, 0, 0}, ipcomp(60, 2, cat([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp(true, []byte(hello)))))),
			u6 + " ip 0+77 transport 64 payload 72+5/5 ports overflow in ipcomp", 0},
		{"tunnel", linkRaw, ip6(108, ipcomp(41, 2, ip6(17, udp(true, []byte(hello))))), u6 + " ip 40+53 transport 80 payload 88+5/5 ports overflow in ipcomp in ipip[2001:db8::1 > 2001:db8::2]", 0},
		{"twice", linkRaw, ip4(108, ipcomp(108, 2, ipcomp(17, 2, u))), u4 + " ip 40+33 transport 60 payload 68+5/5 ports overflow in ipcomp in ipcomp", 0},
		{"a page of one byte", linkRaw, ip4(108, ipcomp(17, 2, rest(false, 2000))), u4 + " ip 0+2028 transport 20 payload 28+2000/2000 ports overflow in ipcomp", 0},
		{"noise", linkRaw, ip4(108, ipcomp(17, 2, udp(false, noise))), u4 + " ip 0+1428 transport 20 payload 28+1400/1400 ports overflow in ipcomp", 0},

		{"lzs", linkRaw, ip4(108, ipcomp(17, 3, u)), left(20 + len(ipcomp(17, 3, u))), 0},
		{"nothing", linkRaw, ip4(108, ipcomp(17, 2, nil)), left(20 + len(ipcomp(17, 2, nil))), 0},
		{"header alone", linkRaw, ip4(108, []byte{17, 0, 0, 2}), left(24), 0},
		{"more behind", linkRaw, ip4(108, cat(ipcomp(17, 2, u), []byte{0})), left(21 + len(ipcomp(17, 2, u))), 0},
		{"less", linkRaw, ip4(108, ipcomp(17, 2, u)[:12]), left(32), 0},
		{"no deflate", linkRaw, ip4(108, cat([]byte{17, 0, 0, 2}, []byte(strings.Repeat("\xff", 9)))), left(33), 0},
		{"unsound inside", linkRaw, ip4(108, ipcomp(17, 2, u[:7])), left(20 + len(ipcomp(17, 2, u[:7]))), 0},
		{"a bomb", linkRaw, ip4(108, ipcomp(17, 2, rest(false, 60000))), left(20 + len(ipcomp(17, 2, rest(false, 60000)))), 1},
		{"more than a datagram", linkRaw, ip4(108, ipcomp(17, 2, cat(u, bytes.Repeat(noise, 60)))), left(20 + len(ipcomp(17, 2, cat(u, bytes.Repeat(noise, 60))))), 1},
	} {
		over := []byte("before")
		d := &Decoder{Checksums: true, Overflow: &over}
		o, p, encaps, data := decodeAt(d, tt.link, tt.frame, len(tt.frame))
		base := 3
		if p.Flags&flows.InOverflow != 0 {
			base, data = 6, over
			n := uint32(len(over) - 6)
			checkPacket(t, &p, encaps, over, Record{Offset: 6, CapLen: n, OrigLen: n})
		} else if len(over) != 6 {
			t.Errorf("%s: %d bytes left", tt.name, len(over)-6)
		}
		q := shift(p, uint32(base))
		if got := text(&q, encaps); o != OutcomeFlow || normal(got) != normal(tt.want) || d.limits != tt.limits {
			t.Errorf("%s: %s %s, %d limits\nwant %s, %d", tt.name, o, got, d.limits, tt.want, tt.limits)
		}
		if payload := data[p.Payload:][:p.PayloadCaptured]; p.PayloadLen == uint32(len(hello)) && string(payload) != hello {
			t.Errorf("%s: payload %q", tt.name, payload)
		}
		if p.Flags&(flows.BadChecksum|flows.BadIPChecksum|flows.ChecksumOffload) != 0 {
			t.Errorf("%s: checksums", tt.name)
		}
	}

	for n := range good { // of a datagram that was cut nothing is inflated
		over := []byte{}
		if _, p, _, _ := decodeAt(&Decoder{Overflow: &over}, linkRaw, good, n); p.Flags&flows.InOverflow != 0 {
			t.Errorf("%d of %d bytes are inflated", n, len(good))
		}
	}
	if _, p, _, _ := decodeAt(&Decoder{}, linkRaw, good, len(good)); p.Proto != protoIPComp {
		t.Errorf("protocol %d with nowhere to go", p.Proto)
	}
}

// Once there is memory for it, inflating takes none.
func TestIPCompAllocates(t *testing.T) {
	frame := ip4(108, ipcomp(17, 2, udp(false, []byte(strings.Repeat(hello, 100)))))
	over := make([]byte, 0, 4096)
	d := &Decoder{Checksums: true, Overflow: &over}
	encaps := make([]flows.Encap, 0, 4)
	var p flows.Packet
	r := Record{CapLen: uint32(len(frame)), OrigLen: uint32(len(frame))}
	if n := testing.AllocsPerRun(20, func() {
		p, encaps, over = flows.Packet{}, encaps[:0], over[:0]
		if d.Decode(linkRaw, frame, r, &p, &encaps); p.Proto != flows.ProtoUDP {
			t.Fatal(p.Proto)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A datagram is compressed before it is cut into fragments.
func TestIPCompFragments(t *testing.T) {
	d := newDefragTest(t, Config{Checksums: true})
	whole := ipcomp(17, 2, udp(false, []byte("0123456789abcdefghijklmnopqrstuvwxyz")))
	d.add(linkRaw, ip4With(108, 1, 1, 0, nil, whole[:16]), 36, 0)
	p := d.add(linkRaw, ip4With(108, 1, 0, 16, nil, whole[16:]), 20+len(whole)-16, 0)
	if p == nil || p.Proto != flows.ProtoUDP || d.payload(p) != "0123456789abcdefghijklmnopqrstuvwxyz" || p.Fragments != 2 {
		t.Fatalf("%+v", p)
	}
	d.end()
}
