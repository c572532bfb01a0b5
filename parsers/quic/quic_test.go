package quic

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

var _ parsers.DatagramParser[Handshake] = (*Parser)(nil)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

const sampleDCID = "8394c8f03e515708"

// The ClientHello and ServerHello of RFC 9001 appendix A.2 and A.3, which RFC
// 9369 appendix A uses too.
const (
	sampleClient = `010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c0
		00000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000
		003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403
		050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08011001048000
		75300901100f088394c8f03e51570806048000ffff`
	sampleServer = `020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c940d
		89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304`
)

// TestVectors: the keys and packets of RFC 9001 appendix A and RFC 9369 appendix A.
func TestVectors(t *testing.T) {
	for _, c := range []struct {
		name                         string
		version                      uint32
		key, iv, hp, skey, siv, shp  string
		clientHead, clientTail, resp string
	}{
		{"RFC 9001", Version1, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2",
			"cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314",
			"c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c",
			"e221af44860018ab0856972e194cd934",
			`cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec249
			3a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d
			20398c276456cbc42158407dd074ee`},
		{"RFC 9369", Version2, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9",
			"82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a",
			"d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c", "",
			`dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d8
			8965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a
			3e2c43edd9ce7ca84bed8521e2e140`},
	} {
		k := deriveKeys(c.version, unhex(sampleDCID))
		for i, want := range [][]string{{c.key, c.iv, c.hp}, {c.skey, c.siv, c.shp}} {
			label, names := []string{"client in", "server in"}[i], []string{"quic key", "quic iv", "quic hp"}
			if c.version == Version2 {
				names = []string{"quicv2 key", "quicv2 iv", "quicv2 hp"}
			}
			secret := expand(k.secret[:], label, 32)
			for j, n := range []int{16, 12, 16} {
				if got := hex.EncodeToString(expand(secret, names[j], n)); got != want[j] {
					t.Errorf("%s: %s %s: %s, want %s", c.name, label, names[j], got, want[j])
				}
			}
		}
		client := protect(c.version, unhex(sampleDCID), true, unhex(sampleDCID), nil, nil, 2, 4, crypto(0, unhex(sampleClient)), 1162)
		if !bytes.HasPrefix(client, unhex(c.clientHead)) || !bytes.HasSuffix(client, unhex(c.clientTail)) {
			t.Errorf("%s: client's Initial\n%x", c.name, client)
		}
		var p Parser
		out := p.Datagram(nil, flows.Responder, stamp(1), client)
		out = p.Datagram(out, flows.Initiator, stamp(2), unhex(c.resp))
		out = p.End(out)
		if len(out) != 1 {
			t.Fatalf("%s: %d messages", c.name, len(out))
		}
		m := out[0]
		if m.ClientSide != flows.Responder || m.Version != c.version || !bytes.Equal(m.DCID, unhex(sampleDCID)) || len(m.ClientSCID) != 0 ||
			!bytes.Equal(m.ServerSCID, unhex("f067a5502a4262b5")) || m.Established || m.Malformed != "" || m.First != stamp(1) || m.Last != stamp(2) {
			t.Errorf("%s: %+v", c.name, m)
		}
		if got := m.Crypto[flows.Responder]; !bytes.Equal(got.Data, unhex(sampleClient)) || got.Holes || got.At != stamp(1) {
			t.Errorf("%s: client's CRYPTO %x", c.name, got.Data)
		}
		if got := m.Crypto[flows.Initiator]; !bytes.Equal(got.Data, unhex(sampleServer)) || got.At != stamp(2) {
			t.Errorf("%s: server's CRYPTO %x", c.name, got.Data)
		}
	}
}

func stamp(n int) flows.Stamp {
	return flows.Stamp{Time: int64(n) * 10, Pos: flows.NewPosition(1, uint64(n))}
}

// crypto is a CRYPTO frame.
func crypto(off int, data []byte) []byte {
	b := []byte{frameCrypto}
	if off < 64 {
		b = append(b, byte(off))
	} else {
		b = append(b, 0x40|byte(off>>8), byte(off))
	}
	b = append(b, 0x40|byte(len(data)>>8), byte(len(data)))
	return append(b, data...)
}

// protect is the sender's half of what this package does: an Initial of
// padded frames.
func protect(version uint32, keyID []byte, client bool, dcid, scid, token []byte, number uint64, numberLen int, frames []byte, size int) []byte {
	if n := size - len(frames); n > 0 {
		frames = append(bytes.Clone(frames), make([]byte, n)...)
	}
	k := deriveKeys(version, keyID)
	o := k.opener(client)
	first := byte(0xc0) | byte(numberLen-1)
	if version == Version2 {
		first |= 0x10
	}
	b := []byte{first, byte(version >> 24), byte(version >> 16), byte(version >> 8), byte(version), byte(len(dcid))}
	b = append(append(b, dcid...), byte(len(scid)))
	b = append(append(b, scid...), byte(len(token)))
	b = append(b, token...)
	n := numberLen + len(frames) + 16
	b = append(b, 0x40|byte(n>>8), byte(n))
	at := len(b)
	for i := numberLen - 1; i >= 0; i-- {
		b = append(b, byte(number>>(8*i)))
	}
	nonce := o.iv
	for i := range 8 {
		nonce[11-i] ^= byte(number >> (8 * i))
	}
	b = o.aead.Seal(b, nonce[:], frames, b)
	var mask [16]byte
	o.hp.Encrypt(mask[:], b[at+4:at+20])
	b[0] ^= mask[0] & 0x0f
	for i := range numberLen {
		b[at+i] ^= mask[1+i]
	}
	return b
}

// datagram is one of a connection's.
type datagram struct {
	side flows.Side
	data []byte
}

const (
	client = flows.Initiator
	server = flows.Responder
)

var (
	clientSCID = unhex("c1c1c1c1")
	serverSCID = unhex("5e5e5e5e5e5e5e5e")
	retrySCID  = unhex("7777777777")
)

// long is a packet of a type that is not opened: Handshake, 0-RTT, or a Retry.
func long(version uint32, typ packetType, dcid, scid []byte, n int) []byte {
	bits := byte(typ)
	if version == Version2 {
		bits = (bits + 1) & 3
	}
	b := []byte{0xc0 | bits<<4, byte(version >> 24), byte(version >> 16), byte(version >> 8), byte(version), byte(len(dcid))}
	b = append(append(b, dcid...), byte(len(scid)))
	b = append(b, scid...)
	if typ != typeRetry {
		b = append(b, 0x40|byte(n>>8), byte(n))
	}
	return append(b, bytes.Repeat([]byte{0x5a}, n)...)
}

func short(n int) []byte { return append([]byte{0x40}, bytes.Repeat([]byte{0xa5}, n)...) }

// connection is a whole handshake, its ClientHello in pieces of n bytes, each
// in a packet, the last first.
func connection(version uint32, n int) (all []datagram) {
	key, hello, answer := unhex(sampleDCID), unhex(sampleClient), unhex(sampleServer)
	number := uint64(0)
	for off := (len(hello) - 1) / n * n; off >= 0; off -= n {
		all = append(all, datagram{client, protect(version, key, true, key, clientSCID, nil, number, 1, crypto(off, hello[off:min(off+n, len(hello))]), 1000)})
		number++
	}
	first := protect(version, key, false, clientSCID, serverSCID, nil, 0, 2, append(unhex("0200000000"), crypto(0, answer)...), 0)
	return append(all,
		datagram{server, append(first, long(version, typeHandshake, clientSCID, serverSCID, 900)...)},
		datagram{client, append(protect(version, key, true, serverSCID, clientSCID, nil, number, 1, unhex("0200000000"), 1100), long(version, typeHandshake, serverSCID, clientSCID, 60)...)},
		datagram{client, short(40)},
		datagram{server, short(400)})
}

// run feeds datagrams to p and returns its messages as text, without stamps
// that depend on the order.
func run(p *Parser, all []datagram) (out []string) {
	var got []Handshake
	take := func() {
		for i := range got {
			out = append(out, describe(&got[i]))
		}
		got = got[:0]
	}
	for i, d := range all {
		lent := bytes.Clone(d.data)
		got = p.Datagram(got, d.side, stamp(i+1), lent)
		for j := range lent {
			lent[j] = 0xee
		}
		take()
	}
	got = p.End(got)
	take()
	p.Reset()
	return out
}

func describe(m *Handshake) string {
	return fmt.Sprintf("client %v version %x dcid %x scid %x server %x seen %v retry %v negotiation %v early %v established %v crypto %x %v %x %v close %v oversize %v malformed %q",
		m.ClientSide, m.Version, m.DCID, m.ClientSCID, m.ServerSCID, m.ServerSeen, m.Retry, m.Negotiation, m.EarlyData, m.Established,
		m.Crypto[0].Data, m.Crypto[0].Holes, m.Crypto[1].Data, m.Crypto[1].Holes, m.Close, m.Oversize, m.Malformed)
}

func whole(version string, more string) string {
	hello, answer := strings.Join(strings.Fields(sampleClient), ""), strings.Join(strings.Fields(sampleServer), "")
	s := "client initiator version " + version + " dcid " + sampleDCID + " scid c1c1c1c1 server 5e5e5e5e5e5e5e5e seen true retry false negotiation false early false established true crypto " +
		hello + " false " + answer + " false close [{false 0} {false 0}] oversize false malformed \"\""
	for _, m := range strings.Fields(more) {
		name, value, _ := strings.Cut(m, "=")
		s = regexp.MustCompile(name+" [^ ]*").ReplaceAllString(s, name+" "+value)
	}
	return s
}

func TestConnections(t *testing.T) {
	key, hello := unhex(sampleDCID), unhex(sampleClient)
	plain := connection(Version1, 400)
	retry := []datagram{
		plain[0],
		{server, long(Version1, typeRetry, clientSCID, retrySCID, 60)},
		{server, long(Version1, typeRetry, clientSCID, serverSCID, 60)}, // a client obeys one
		{client, protect(Version1, retrySCID, true, retrySCID, clientSCID, []byte("token"), 1, 1, crypto(0, hello), 1000)},
		{server, protect(Version1, retrySCID, false, clientSCID, serverSCID, nil, 0, 1, crypto(0, unhex(sampleServer)), 900)},
		{server, long(Version1, typeHandshake, clientSCID, serverSCID, 900)},
		{client, short(40)},
	}
	negotiation := slices.Concat([]datagram{
		{client, protect(draft+29, key, true, key, clientSCID, nil, 0, 1, crypto(0, hello[:100]), 1100)},
		{server, append(append([]byte{0x80, 0, 0, 0, 0, 4}, clientSCID...), unhex("08"+sampleDCID+"00000001"+"1a2a3a4a")...)},
	}, connection(Version1, 100))
	compatible := slices.Clone(connection(Version1, 400))
	compatible[1] = connection(Version2, 400)[1]
	held := slices.Clone(plain)
	held[0], held[1] = held[1], held[0]
	early := slices.Clone(plain)
	early[0].data = append(bytes.Clone(early[0].data), long(Version1, typeZeroRTT, key, clientSCID, 100)...)
	refused := []datagram{plain[0], {server, protect(Version1, key, false, clientSCID, serverSCID, nil, 0, 1, unhex("1c41280600"), 30)}}
	for _, c := range []struct {
		name string
		all  []datagram
		want []string
	}{
		{"plain", plain, []string{whole("1", "")}},
		{"pieces in reverse", connection(Version1, 7), []string{whole("1", "")}},
		{"version 2", connection(Version2, 50), []string{whole("6b3343cf", "")}},
		{"draft 29", connection(draft+29, 400), []string{whole("ff00001d", "")}},
		{"draft 22", connection(draft+22, 400), []string{whole("ff000016", "")}},
		{"server's Initial first", held, []string{whole("1", "")}},
		{"retry", retry, []string{whole("1", "retry=true")}},
		{"retry, captured late", retry[1:], []string{whole("1", "retry=true dcid="+hex.EncodeToString(retrySCID))}},
		{"version negotiation", negotiation, []string{whole("1", "negotiation=true")}},
		{"server chooses version 2", compatible, []string{whole("6b3343cf", "")}},
		{"early data", early, []string{whole("1", "early=true")}},
		{"hello sent twice", slices.Concat(plain[:1], plain), []string{whole("1", "")}},
		{"two connections", slices.Concat(plain, plain), []string{whole("1", ""), whole("1", "")}},
		{"client alone", plain[:1], []string{strings.Replace(whole("1", "server= seen=false established=false"), strings.Join(strings.Fields(sampleServer), ""), "", 1)}},
		{"server alone", plain[1:2], nil},
		{"beginning not captured", plain[1:], nil},
		{"refused", refused, []string{strings.Replace(strings.Replace(whole("1", "established=false"), strings.Join(strings.Fields(sampleServer), ""), "", 1),
			"{false 0}]", "{true 296}]", 1)}},
	} {
		var p Parser
		got := run(&p, c.all)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		if len(c.want) > 0 && c.name != "two connections" && Probe(c.all[0].data, 0) != parsers.Yes {
			t.Errorf("%s: not told", c.name)
		}
	}
	if d, ok := (Close{true, 296}).Alert(); !ok || d != 40 {
		t.Error("a TLS alert is not seen in a CONNECTION_CLOSE")
	}
}

// TestOrder: whatever the order of the client's first datagrams, and with all of
// them twice, the message is the same.
func TestOrder(t *testing.T) {
	all := connection(Version1, 60)
	n := (len(unhex(sampleClient)) + 59) / 60
	rnd := rand.New(rand.NewPCG(3, 4))
	var p Parser
	for range 100 {
		shuffled := slices.Concat(all[:n], all[:n])
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got := run(&p, append(shuffled, all[n:]...))
		if len(got) != 1 || got[0] != whole("1", "") {
			t.Fatalf("%s", got)
		}
	}
}

// TestHole: a lost datagram leaves the hello's beginning.
func TestHole(t *testing.T) {
	all := connection(Version1, 100)
	lost := slices.Delete(slices.Clone(all), 1, 2) // bytes 100 to 199 of 241
	var p Parser
	var out []Handshake
	for i, d := range lost {
		out = p.Datagram(out, d.side, stamp(i+1), d.data)
	}
	for range maxPatience {
		out = p.Datagram(out, server, stamp(50), short(100))
	}
	if len(out) != 1 || len(out[0].Crypto[0].Data) != 100 || !out[0].Crypto[0].Holes || !out[0].Established || !p.Idle() {
		t.Fatalf("%d messages: %+v", len(out), out)
	}
}

// TestBounds: what a parser holds of a flow has bounds, and Initials that
// nothing opens are tried no more than so often.
func TestBounds(t *testing.T) {
	key := unhex(sampleDCID)
	var p Parser
	for i := range 100 {
		bad := long(Version1, typeHandshake, append(key[:7], byte(i)), serverSCID, 500)
		bad[0] = 0xc0
		bad = append(bad[:5+1+8+1+8], append([]byte{0}, bad[5+1+8+1+8:]...)...) // no token
		if Probe(bad, 0) != parsers.Yes {
			t.Fatal("not an Initial")
		}
		p.Datagram(nil, client, stamp(i+1), bad)
	}
	if !p.Done() || len(p.held) > 4<<10 || len(p.held) == 0 {
		t.Errorf("done %v, %d bytes held", p.Done(), len(p.held))
	}
	p.Reset()
	if p.Done() || !p.Idle() {
		t.Error("Reset leaves something")
	}
	p.Config.MaxCrypto = 150
	out := p.Datagram(nil, client, stamp(1), protect(Version1, key, true, key, nil, nil, 0, 1, crypto(0, unhex(sampleClient)), 1100))
	out = p.Datagram(out, client, stamp(1), protect(Version1, key, true, key, nil, nil, 0, 1, crypto(9000, unhex(sampleClient)), 1100))
	if out = p.End(out); len(out) != 1 || len(out[0].Crypto[0].Data) != 150 || !out[0].Oversize {
		t.Errorf("%+v", out)
	}
}

func TestMalformed(t *testing.T) {
	key := unhex(sampleDCID)
	for frames, want := range map[string]string{
		"06004100" + "11":         "crypto: lengths",
		"0605":                    "crypto: lengths",
		"0200003f00":              "ack: lengths",
		"02000040" + "ff":         "ack: lengths",
		"0300000000" + "0000":     "ack: lengths",
		"1c":                      "connection_close: lengths",
		"08000400000000":          "initial: type of frame",
		"3f":                      "initial: type of frame",
		"0300000000000000" + "01": "",
	} {
		var p Parser
		out := p.Datagram(nil, client, stamp(1), protect(Version1, key, true, key, nil, nil, 0, 4, unhex(frames), 0))
		if out = p.End(out); len(out) != 1 || out[0].Malformed != want {
			t.Errorf("%s: %+v, want %q", frames, out, want)
		}
	}
}

func TestProbe(t *testing.T) {
	v1 := connection(Version1, 400)[0].data
	edit := func(b []byte, i int, v byte) []byte { b = bytes.Clone(b); b[i] = v; return b }
	negotiation := unhex("80000000000008" + sampleDCID + "00000001")
	for _, c := range []struct {
		name string
		data []byte
		want parsers.Verdict
	}{
		{"Initial", v1, parsers.Yes},
		{"Initial of version 2", connection(Version2, 400)[0].data, parsers.Yes},
		{"Initial cut", v1[:500], parsers.No},
		{"no fixed bit", edit(v1, 0, v1[0]&^0x40), parsers.No},
		{"unknown version", edit(v1, 4, 7), parsers.No},
		{"connection id too long", edit(v1, 5, 21), parsers.No},
		{"version kept for negotiation", append(unhex("c01a2a3a4a08"+sampleDCID), make([]byte, 1200)...), parsers.Yes},
		{"negotiation", negotiation, parsers.Yes},
		{"negotiation of what nobody knows", edit(negotiation, len(negotiation)-1, 77), parsers.No},
		{"Handshake", long(Version1, typeHandshake, clientSCID, serverSCID, 100), parsers.Yes},
		{"1-RTT", short(100), parsers.No},
		{"Q043", append(unhex("09"+sampleDCID+"51303433"), make([]byte, 30)...), parsers.Yes},
		{"Q046", append(unhex("c35130343650"+sampleDCID), make([]byte, 30)...), parsers.Yes},
		{"DNS", unhex("c000000000010000000000000377777700000100"), parsers.No},
		{"nothing", nil, parsers.No},
	} {
		if got := Probe(c.data, 0); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !Begins(v1) || !Begins(negotiation) || Begins(short(100)) || Begins(long(Version1, typeHandshake, nil, nil, 100)) || Begins(nil) {
		t.Error("Begins")
	}
	var p Parser
	p.Datagram(nil, client, stamp(1), append(unhex("09"+sampleDCID+"51303433"), make([]byte, 30)...))
	if !p.Done() {
		t.Error("waits for more of a version that is not parsed")
	}
}

func TestLaws(t *testing.T) {
	script := func(name string, messages int, all []datagram) parsertest.Script {
		s := parsertest.Script{Name: name, Messages: messages}
		for _, d := range all {
			s.Calls = append(s.Calls, parsertest.Feed(d.side, d.data))
		}
		return s
	}
	plain := connection(Version1, 150)
	parsertest.Datagram[Handshake]{
		New:     func() parsers.DatagramParser[Handshake] { return new(Parser) },
		Text:    func(m *Handshake) string { return fmt.Sprint(m.First, m.Last, m.Done, describe(m)) },
		Scripts: []parsertest.Script{script("version 1", 1, plain[len(plain)-5:])},
		MaxHeld: 64 << 10,
		Again:   []parsertest.Call{parsertest.Feed(server, short(1000))},
	}.Test(t)
}

// TestWholeNumber: the decoding of packet numbers against the definition: of all
// numbers with these low bits, the nearest to the one expected.
func TestWholeNumber(t *testing.T) {
	if got := wholeNumber(0xa82f30eb, 0x9b32, 16); got != 0xa82f9b32 { // RFC 9000 appendix A.3
		t.Errorf("%x", got)
	}
	for next := range uint64(1200) {
		for truncated := range uint64(256) {
			best := truncated
			for n := truncated; n < 2000; n += 256 {
				if d, e := distance(n, next), distance(best, next); d < e || d == e && n > best {
					best = n
				}
			}
			if got := wholeNumber(next, truncated, 8); got != best {
				t.Fatalf("wholeNumber(%d, %d) = %d, want %d", next, truncated, got, best)
			}
		}
	}
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

func FuzzDatagram(f *testing.F) {
	for _, all := range [][]datagram{connection(Version1, 100), connection(Version2, 400)} {
		for _, d := range all {
			f.Add(all[0].data, d.data, d.side == server)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte, side bool) {
		p := Parser{Config: Config{MaxCrypto: 2048, MaxHeld: 2048}}
		var out []Handshake
		for i, data := range [][]byte{first, second, first} {
			Probe(data, 0)
			Begins(data)
			s := client
			if side && i == 1 {
				s = server
			}
			for range p.Datagram(out[:0], s, stamp(i), data) {
			}
		}
		for _, m := range p.End(nil) {
			if len(m.Crypto[0].Data)+len(m.Crypto[1].Data) > 4096 || len(m.DCID) > maxCID {
				t.Fatalf("holds %+v", m)
			}
		}
		if len(p.held) > 2048 {
			t.Fatal("holds too much")
		}
	})
}

// FuzzFrames reaches what is behind the encryption.
func FuzzFrames(f *testing.F) {
	f.Add(crypto(0, unhex(sampleClient)))
	f.Add(unhex("0200000000060003010203011c41280600"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		p := Parser{Config: Config{MaxCrypto: 2048}}
		p.begun = true
		for range 3 {
			p.frames(client, stamp(1), payload, Version1)
		}
		for _, m := range p.End(nil) {
			if len(m.Crypto[0].Data) > 2048 {
				t.Fatalf("holds %+v", m)
			}
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	all := connection(Version1, 400)
	var p Parser
	var out []Handshake
	b.ReportAllocs()
	for b.Loop() {
		for i, d := range all {
			out = p.Datagram(out[:0], d.side, stamp(i+1), d.data)
		}
		p.Reset()
	}
}
