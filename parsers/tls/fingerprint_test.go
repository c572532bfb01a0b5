package tls

import (
	"slices"
	"testing"
)

// TestPublished: the examples of JA3's and JA4's own descriptions.
func TestPublished(t *testing.T) {
	c := ClientHello{
		Version: 769, Ciphers: []uint16{47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4},
		Extensions: []uint16{0, 10, 11}, Groups: []uint16{23, 24, 25}, PointFormats: []byte{0},
	}
	if got := string(c.AppendJA3(nil)); got != "ada70206e40642a3e4461f35503241d5" {
		t.Errorf("%s of %s", got, c.AppendJA3String(nil))
	}
	c = ClientHello{
		Version: 0x0303, HasSNI: true, ALPN: [][]byte{[]byte("h2"), []byte("http/1.1")},
		SupportedVersions: []uint16{0x1a1a, 0x0304, 0x0303},
		Ciphers:           []uint16{0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
		Extensions: []uint16{0xdada, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a,
			0x0015, 0xaaaa},
		SignatureAlgorithms: []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
	}
	if got := string(c.AppendJA4(nil, TCP)); got != "t13d1516h2_8daaf6152771_e5627efa2ab1" {
		t.Errorf("%s of %s", got, c.AppendJA4R(nil, TCP))
	}
	before := slices.Clone(c.Ciphers)
	c.AppendJA4R(nil, QUIC)
	if !slices.Equal(before, c.Ciphers) {
		t.Error("the hello's own list was sorted")
	}
}

func TestJA4Edges(t *testing.T) {
	for _, c := range []struct {
		hello ClientHello
		over  Transport
		want  string
	}{
		{ClientHello{Version: 0x0301}, TCP, "t10i000000_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{{0xab}}}, TCP, "t12i0000ab_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{{0xab, 0xcd}}}, TCP, "t12i0000ad_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{{0x30, 0xab}}}, TCP, "t12i00003b_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{{0x30, 0x31, 0xab, 0xcd}}}, TCP, "t12i00003d_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{{0x30, 0xab, 0xcd, 0x31}}}, TCP, "t12i000001_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{[]byte("h")}}, TCP, "t12i0000hh_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, ALPN: [][]byte{{}}}, TCP, "t12i000000_000000000000_000000000000"},
		{ClientHello{Version: 0xfefd, HasSNI: true, Extensions: []uint16{0}}, DTLS, "dd2d000100_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, SupportedVersions: []uint16{0x7f1c}}, QUIC, "q00i000000_000000000000_000000000000"},
		{ClientHello{Version: 0x0303, Ciphers: make([]uint16, 300)}, TCP, ""},
	} {
		got := string(c.hello.AppendJA4(nil, c.over))
		if c.want == "" {
			if got[:10] != "t12i990000" {
				t.Error(got)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	if !slices.IsSortedFunc(cipherNames[:], func(a, b cipherName) int { return int(a.code) - int(b.code) }) {
		t.Error("cipher suites are not sorted")
	}
	for _, c := range []struct{ got, want string }{
		{CipherName(0x0000), "TLS_NULL_WITH_NULL_NULL"},
		{CipherName(0xc02f), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
		{CipherName(0xd005), "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256"},
		{CipherName(0xffff), ""},
		{VersionName(0x0304), "TLSv1.3"},
		{VersionName(0x7f1c), "TLSv1.3-draft28"},
		{VersionName(0x1a1a), "0x1a1a"},
		{GroupName(29), "x25519"},
		{GroupName(23), "secp256r1"},
		{GroupName(41), "curveSM2"},
		{GroupName(4588), "X25519MLKEM768"},
		{GroupName(0), "0x0000"},
		{AlertName(40), "handshake_failure"},
		{AlertName(200), "200"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	n := 0
	for v := range 1 << 16 {
		if IsGREASE(uint16(v)) {
			n++
		}
	}
	if n != 16 || !IsGREASE(0xfafa) {
		t.Errorf("%d GREASE values", n)
	}
}
