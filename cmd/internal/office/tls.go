package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"
)

// stack is a program's way to say hello: what fingerprints are made from.
type stack struct {
	versions   []uint16 // extension supported_versions; empty: TLS 1.2 and before
	legacy     uint16
	ciphers    []uint16
	extensions []uint16 // types in order; those not known here go empty
	groups     []uint16
	signatures []uint16
	alpn       []string
}

// The stacks of the office. They are like the programs that they are named for
// and are none of them.
func browserStack() stack {
	return stack{
		versions:   []uint16{0x0304, 0x0303},
		legacy:     0x0303,
		ciphers:    []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
		extensions: []uint16{0, 23, 65281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 21},
		groups:     []uint16{0x001d, 0x0017, 0x0018},
		signatures: []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
		alpn:       []string{"h2", "http/1.1"},
	}
}

func otherBrowserStack() stack {
	return stack{
		versions:   []uint16{0x0304, 0x0303},
		legacy:     0x0303,
		ciphers:    []uint16{0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013, 0xc014},
		extensions: []uint16{0, 23, 65281, 10, 11, 16, 5, 34, 51, 43, 13, 45, 28},
		groups:     []uint16{0x001d, 0x0017, 0x0018, 0x0019, 0x0100, 0x0101},
		signatures: []uint16{0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201},
		alpn:       []string{"h2", "http/1.1"},
	}
}

func agentStack() stack { // updates, monitoring, mail: a common library
	return stack{
		versions:   []uint16{0x0304, 0x0303},
		legacy:     0x0303,
		ciphers:    []uint16{0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0x009f, 0x009e, 0x00ff},
		extensions: []uint16{0, 11, 10, 35, 22, 23, 13, 43, 45, 51},
		groups:     []uint16{0x001d, 0x0017, 0x001e, 0x0019, 0x0018},
		signatures: []uint16{0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601},
	}
}

func implantStack() stack {
	return stack{
		legacy:     0x0303,
		ciphers:    []uint16{0xc02f, 0xc030, 0xc02b, 0xc02c, 0xcca8, 0xcca9, 0xc013, 0xc009, 0xc014, 0xc00a},
		extensions: []uint16{0, 5, 10, 11, 13, 65281, 18},
		groups:     []uint16{0x001d, 0x0017, 0x0018, 0x0019},
		signatures: []uint16{0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603},
	}
}

func printerStack() stack { // of an age when nobody knew better
	return stack{
		legacy:     0x0301,
		ciphers:    []uint16{0x0035, 0x002f, 0x000a, 0x0005, 0x0004},
		extensions: []uint16{0},
	}
}

// server is one end that speaks TLS: which version it takes, and the chain
// that it shows where the version lets it be seen.
type server struct {
	version uint16
	cipher  uint16
	chain   [][]byte
}

// handshake runs one over c, as far as application data.
func (c *conn) handshake(s stack, sni string, srv server) {

	c.send(0, c.clientHello(s, sni))
	c.wait(500 * micro)
	if srv.version == 0x0304 {
		flight := c.serverHello(srv)
		flight = append(flight, record(20, 0x0303, []byte{1})...)
		// Encrypted extensions, certificate and the rest: sealed.
		flight = append(flight, record(23, 0x0303, c.noiseOf(1900+c.r.IntN(1400)))...)
		c.send(1, flight)
		c.send(0, append(record(20, 0x0303, []byte{1}), record(23, 0x0303, c.noiseOf(53))...))
		return
	}
	flight := c.serverHello(srv)
	flight = append(flight, record(22, srv.version, handshake(11, certificates(srv.chain)))...)
	if srv.cipher>>8 == 0xc0 { // named curve, x25519, a point, a signature
		ske := append([]byte{3, 0, 29, 32}, c.noiseOf(32+4+64)...)
		flight = append(flight, record(22, srv.version, handshake(12, ske))...)
	}
	flight = append(flight, record(22, srv.version, handshake(14, nil))...)
	c.send(1, flight)
	cke := append([]byte{32}, c.noiseOf(32)...)
	reply := record(22, srv.version, handshake(16, cke))
	reply = append(reply, record(20, srv.version, []byte{1})...)
	reply = append(reply, record(22, srv.version, c.noiseOf(40))...)
	c.send(0, reply)
	c.send(1, append(record(20, srv.version, []byte{1}), record(22, srv.version, c.noiseOf(40))...))
}

// data sends n bytes of application data in records.
func (c *conn) data(side, n int) {
	var b []byte
	for n > 0 {
		k := min(n, 16000)
		b = append(b, record(23, 0x0303, c.noiseOf(k+17))...)
		n -= k
	}
	c.send(side, b)
}

func (c *conn) clientHello(s stack, sni string) []byte {
	b := be16(nil, s.legacy)
	b = append(b, c.noiseOf(32)...)
	if len(s.versions) > 0 { // a session id for those in the middle
		b = append(b, 32)
		b = append(b, c.noiseOf(32)...)
	} else {
		b = append(b, 0)
	}
	b = vector16(b, list16(s.ciphers))
	b = append(b, 1, 0)
	var e []byte
	for _, t := range s.extensions {
		e = be16(e, t)
		e = vector16(e, c.extension(s, t, sni))
	}
	b = vector16(b, e)
	outer := s.legacy
	if outer > 0x0301 {
		outer = 0x0301
	}
	return record(22, outer, handshake(1, b))
}

func (c *conn) extension(s stack, t uint16, sni string) []byte {
	switch t {
	case 0:
		return vector16(nil, vector16([]byte{0}, []byte(sni)))
	case 5:
		return []byte{1, 0, 0, 0, 0}
	case 10:
		return vector16(nil, list16(s.groups))
	case 11:
		return []byte{1, 0}
	case 13:
		return vector16(nil, list16(s.signatures))
	case 16:
		var l []byte
		for _, p := range s.alpn {
			l = append(append(l, byte(len(p))), p...)
		}
		return vector16(nil, l)
	case 21:
		return make([]byte, 16)
	case 27: // compression of certificates: brotli
		return []byte{2, 0, 2}
	case 28:
		return []byte{0x40, 0x01}
	case 34:
		return vector16(nil, list16(s.signatures[:3]))
	case 43:
		l := list16(s.versions)
		return append([]byte{byte(len(l))}, l...)
	case 45:
		return []byte{1, 1}
	case 51:
		return vector16(nil, vector16(be16(nil, 0x001d), c.noiseOf(32)))
	case 65281:
		return []byte{0}
	}
	return nil
}

func (c *conn) serverHello(srv server) []byte {
	b := be16(nil, min(srv.version, 0x0303))
	b = append(b, c.noiseOf(32)...)
	b = append(b, 32)
	b = append(b, c.noiseOf(32)...)
	b = be16(b, srv.cipher)
	b = append(b, 0)
	var e []byte
	if srv.version == 0x0304 {
		e = append(e, 0, 43, 0, 2, 3, 4)
		e = be16(be16(e, 51), 36)
		e = vector16(be16(e, 0x001d), c.noiseOf(32))
	} else if srv.version == 0x0303 {
		e = append(e, 0xff, 0x01, 0, 1, 0)
	}
	b = vector16(b, e)
	return record(22, min(srv.version, 0x0303), handshake(2, b))
}

func record(kind byte, version uint16, b []byte) []byte {
	return vector16(be16([]byte{kind}, version), b)
}

func handshake(kind byte, b []byte) []byte {
	return append([]byte{kind, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

func certificates(chain [][]byte) []byte {
	var l []byte
	for _, c := range chain {
		l = append(l, byte(len(c)>>16), byte(len(c)>>8), byte(len(c)))
		l = append(l, c...)
	}
	return append([]byte{byte(len(l) >> 16), byte(len(l) >> 8), byte(len(l))}, l...)
}

func be16(b []byte, v uint16) []byte { return append(b, byte(v>>8), byte(v)) }

func vector16(b, v []byte) []byte { return append(be16(b, uint16(len(v))), v...) }

func list16(l []uint16) []byte {
	var b []byte
	for _, v := range l {
		b = be16(b, v)
	}
	return b
}

// authority signs certificates. The same name gives the same keys, and ECDSA
// without randomness is that of RFC 6979, so the same certificates come out of
// every run.
type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
	der  []byte
}

func newAuthority(cn string, from time.Time, years int) authority {
	seed := sha256.Sum256([]byte(cn))
	key := ed25519.NewKeyFromSeed(seed[:])
	t := template(cn, from, from.AddDate(years, 0, 0))
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der := must(x509.CreateCertificate(nil, t, t, key.Public(), key))
	return authority{key, must(x509.ParseCertificate(der)), der}
}

// leaf makes a server's chain: its certificate and the authority's.
func (a authority) leaf(cn string, names []string, from, to time.Time) [][]byte {
	t := template(cn, from, to)
	t.DNSNames = names
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return [][]byte{must(x509.CreateCertificate(nil, t, a.cert, &keyOf(cn).PublicKey, a.key)), a.der}
}

// weakLeaf is one over an RSA key of 1024 bits, whose private half nobody has.
func (a authority) weakLeaf(cn string, from, to time.Time) [][]byte {
	var n []byte
	for i := range 4 {
		s := sha256.Sum256(fmt.Appendf(nil, "%s %d", cn, i))
		n = append(n, s[:]...)
	}
	n[0] |= 0x80
	n[127] |= 1
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	return [][]byte{must(x509.CreateCertificate(nil, template(cn, from, to), a.cert, pub, a.key)), a.der}
}

// selfSigned makes the chain of a server that vouches for itself.
func selfSigned(cn string, from, to time.Time) [][]byte {
	key := keyOf(cn)
	t := template(cn, from, to)
	return [][]byte{must(x509.CreateCertificate(nil, t, t, &key.PublicKey, key))}
}

func template(cn string, from, to time.Time) *x509.Certificate {
	s := sha256.Sum256([]byte("serial " + cn))
	s[0] &= 0x7f
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(s[:12]),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    from, NotAfter: to,
	}
}

func keyOf(name string) *ecdsa.PrivateKey {
	seed := sha256.Sum256([]byte("key " + name))
	seed[0] = 0 // below the order of the curve
	return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:]))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
