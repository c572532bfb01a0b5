package tls

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// Fingerprints of hellos. JA3 and JA3S are MD5 over decimal code points in
// the order of the wire; JA4 is SHA-256 over sorted ones in hex, with a
// readable head. None of them counts GREASE.

// Transport is the first letter of a JA4: what the handshake ran over.
type Transport byte

const (
	TCP  Transport = 't'
	DTLS Transport = 'd'
	QUIC Transport = 'q'
)

// Fingerprinted reports whether the hello was seen so far that the
// fingerprints of it are right. The rest of these methods need that.
func (c *ClientHello) Fingerprinted() bool { return c.walked }

// AppendJA3String appends what JA3 is the MD5 of:
// version,ciphers,extensions,groups,point formats.
func (c *ClientHello) AppendJA3String(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(c.Version), 10)
	dst = appendDecimals(append(dst, ','), c.Ciphers)
	dst = appendDecimals(append(dst, ','), c.Extensions)
	dst = appendDecimals(append(dst, ','), c.Groups)
	dst = append(dst, ',')
	for i, f := range c.PointFormats {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = strconv.AppendUint(dst, uint64(f), 10)
	}
	return dst
}

// AppendJA3 appends the JA3: an MD5 in lower-case hex.
func (c *ClientHello) AppendJA3(dst []byte) []byte {
	n := len(dst)
	dst = c.AppendJA3String(dst)
	sum := md5.Sum(dst[n:])
	return hex.AppendEncode(dst[:n], sum[:])
}

// Fingerprinted reports whether the hello was seen so far that its JA3S is
// right.
func (s *ServerHello) Fingerprinted() bool { return s.walked }

// AppendJA3SString appends what JA3S is the MD5 of: version,cipher,extensions.
func (s *ServerHello) AppendJA3SString(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(s.Version), 10)
	dst = strconv.AppendUint(append(dst, ','), uint64(s.Cipher), 10)
	return appendDecimals(append(dst, ','), s.Extensions)
}

// AppendJA3S appends the JA3S: an MD5 in lower-case hex.
func (s *ServerHello) AppendJA3S(dst []byte) []byte {
	n := len(dst)
	dst = s.AppendJA3SString(dst)
	sum := md5.Sum(dst[n:])
	return hex.AppendEncode(dst[:n], sum[:])
}

func appendDecimals(dst []byte, codes []uint16) []byte {
	first := true
	for _, v := range codes {
		if IsGREASE(v) {
			continue
		}
		if !first {
			dst = append(dst, '-')
		}
		first = false
		dst = strconv.AppendUint(dst, uint64(v), 10)
	}
	return dst
}

// AppendJA4 appends the JA4 of the hello, as t13d1516h2_8daaf6152771_02713d6af862.
func (c *ClientHello) AppendJA4(dst []byte, over Transport) []byte {
	dst = append(c.appendJA4a(dst, over), '_')
	dst = appendSHA12(dst, c.appendJA4b)
	return appendSHA12(append(dst, '_'), c.appendJA4c)
}

// AppendJA4R appends the raw form of the hello's JA4, with the lists in place
// of their hashes.
func (c *ClientHello) AppendJA4R(dst []byte, over Transport) []byte {
	dst = append(c.appendJA4a(dst, over), '_')
	dst = append(c.appendJA4b(dst), '_')
	return c.appendJA4c(dst)
}

// appendSHA12 replaces what f appends by the first 12 digits of its SHA-256,
// or by zeros where f appends nothing.
func appendSHA12(dst []byte, f func([]byte) []byte) []byte {
	n := len(dst)
	dst = f(dst)
	if len(dst) == n {
		return append(dst, "000000000000"...)
	}
	sum := sha256.Sum256(dst[n:])
	return hex.AppendEncode(dst[:n], sum[:6])
}

func (c *ClientHello) appendJA4a(dst []byte, over Transport) []byte {
	version := c.Version
	if len(c.SupportedVersions) > 0 {
		version = 0
		for _, v := range c.SupportedVersions {
			if !IsGREASE(v) {
				version = max(version, v)
			}
		}
	}
	dst = append(append(dst, byte(over)), ja4Version(version)...)
	if c.HasSNI {
		dst = append(dst, 'd')
	} else {
		dst = append(dst, 'i')
	}
	dst = appendCount(dst, c.Ciphers)
	dst = appendCount(dst, c.Extensions)
	if len(c.ALPN) == 0 || len(c.ALPN[0]) == 0 {
		return append(dst, "00"...)
	}
	p := c.ALPN[0]
	first, last := p[0], p[len(p)-1]
	if alphanumeric(first) && alphanumeric(last) {
		return append(dst, first, last)
	}
	const digits = "0123456789abcdef"
	return append(dst, digits[first>>4], digits[last&15])
}

func (c *ClientHello) appendJA4b(dst []byte) []byte {
	return appendSorted(dst, c.Ciphers, func(uint16) bool { return true })
}

func (c *ClientHello) appendJA4c(dst []byte) []byte {
	n := len(dst)
	dst = appendSorted(dst, c.Extensions, func(v uint16) bool { return v != extServerName && v != extALPN })
	if len(dst) == n {
		return dst
	}
	sep := byte('_')
	for _, v := range c.SignatureAlgorithms {
		if !IsGREASE(v) {
			dst = appendHex16(append(dst, sep), v)
			sep = ','
		}
	}
	return dst
}

// ja4Version is the two characters of a version; of drafts it knows nothing.
func ja4Version(v uint16) string {
	switch v {
	case VersionTLS13:
		return "13"
	case VersionTLS12:
		return "12"
	case VersionTLS11:
		return "11"
	case VersionTLS10:
		return "10"
	case VersionSSL3:
		return "s3"
	case VersionSSL2:
		return "s2"
	case 0xfeff:
		return "d1"
	case 0xfefd:
		return "d2"
	case 0xfefc:
		return "d3"
	}
	return "00"
}

func appendCount(dst []byte, codes []uint16) []byte {
	n := 0
	for _, v := range codes {
		if !IsGREASE(v) {
			n++
		}
	}
	n = min(n, 99)
	return append(dst, '0'+byte(n/10), '0'+byte(n%10))
}

func appendSorted(dst []byte, codes []uint16, want func(uint16) bool) []byte {
	var space [128]uint16
	sorted := space[:0]
	for _, v := range codes {
		if !IsGREASE(v) && want(v) {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	for i, v := range sorted {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendHex16(dst, v)
	}
	return dst
}

func appendHex16(dst []byte, v uint16) []byte {
	const digits = "0123456789abcdef"
	return append(dst, digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15])
}

func alphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}
