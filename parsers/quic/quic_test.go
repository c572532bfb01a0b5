package quic

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
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
