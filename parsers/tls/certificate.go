package tls

import (
	"bytes"
	"crypto/x509"
	"math/bits"
	"net/netip"
	"strings"
)

// Certificate is what an X.509 certificate says (RFC 5280). Its strings are
// its own; none of them refers to the DER that it was parsed from, and all
// are valid UTF-8 (what is not, or not printable, is escaped as \xHH; in names
// by the rules of RFC 4514).
//
// Each field is read by itself, so that a certificate that breaks a rule
// still says the rest. What could not be read is zero.
type Certificate struct {
	Version    int    // 1 to 3
	Serial     string // upper-case hex of whole bytes, "-" before negative ones
	Subject    string // RFC 4514
	Issuer     string
	CommonName string // of the subject, unescaped but for what is not printable

	NotBefore, NotAfter       int64 // nanoseconds since the Unix epoch
	HasNotBefore, HasNotAfter bool  // false: not readable, or beyond what nanoseconds can say (1678 to 2261)

	KeyType            string // rsa, rsa_pss, dsa, dh, ec, ed25519, ed448, x25519, x448; else the OID
	KeyBits            int    // of the modulus, prime or field
	Curve              string // of an ec key, as TLS names it; else the OID
	SignatureAlgorithm string // as RFCs name it, else the OID

	HasSAN                 bool
	DNS, IPs, Emails, URIs []string // subject alternative names

	HasBasicConstraints bool
	IsCA                bool
	// HasIsCA: the certificate says whether it is an authority's: by basic
	// constraints, or as one of version 3 by having none (RFC 5280 section
	// 4.2.1.9). Of versions 1 and 2 that is agreed elsewhere (section 6.1.4 (k)).
	HasIsCA     bool
	PathLen     int // -1: no limit
	KeyUsage    []string
	ExtKeyUsage []string // names; OIDs of those that have none

	// SelfSigned: subject and issuer are the same, and key identifiers,
	// where present, too. The signature is not verified.
	SelfSigned bool

	// Malformed is what a strict reader has against the certificate: the
	// first fault found here, else what crypto/x509 says. "" for none.
	Malformed string
}

// maxNames bounds the alternative names of a certificate.
const maxNames = 1000

// ParseCertificate reads a certificate. It never fails: what it cannot read
// is missing, and Malformed says why.
func ParseCertificate(data []byte) Certificate {
	c := Certificate{PathLen: -1}
	c.Malformed = c.read(data)
	if c.Malformed == "" {
		// The fields are read the same way in every certificate, so that two that
		// differ in one fault differ in one column. crypto/x509 is the judge.
		if _, err := x509.ParseCertificate(data); err != nil {
			c.Malformed = cleanText(strings.TrimPrefix(err.Error(), "x509: "))
		}
	}
	return c
}

func (c *Certificate) read(data []byte) (fault string) {
	d := der(data)
	cert, ok := d.take(tagSequence)
	if !ok {
		return "certificate: no sequence of its length"
	}
	if len(d) != 0 {
		fault = "certificate: bytes after it"
	}
	tbs, ok := cert.take(tagSequence)
	if !ok {
		return "tbs_certificate"
	}
	c.Version = 1
	if v, ok := tbs.take(0xa0); ok {
		n, ok := v.take(tagInteger)
		if !ok || len(n) != 1 || n[0] > 2 {
			fault = firstOf(fault, "version")
		} else {
			c.Version = int(n[0]) + 1
		}
	}
	serial, ok := tbs.take(tagInteger)
	if !ok {
		return firstOf(fault, "serial")
	}
	c.Serial = serialText(serial)
	algorithm, ok := tbs.take(tagSequence)
	if !ok {
		return firstOf(fault, "signature algorithm")
	}
	if oid, ok := algorithm.take(tagOID); ok {
		c.SignatureAlgorithm = signatureName(oidText(oid))
	}
	issuer, ok := tbs.take(tagSequence)
	if !ok {
		return firstOf(fault, "issuer")
	}
	if c.Issuer, ok = nameText(issuer); !ok {
		fault = firstOf(fault, "issuer")
	}
	validity, ok := tbs.take(tagSequence)
	if !ok {
		return firstOf(fault, "validity")
	}
	tag, text, _, _ := validity.next()
	var valid bool
	if c.NotBefore, valid, c.HasNotBefore = derTime(tag, text); !valid {
		fault = firstOf(fault, "not_before")
	}
	tag, text, _, _ = validity.next()
	if c.NotAfter, valid, c.HasNotAfter = derTime(tag, text); !valid {
		fault = firstOf(fault, "not_after")
	}
	subject, ok := tbs.take(tagSequence)
	if !ok {
		return firstOf(fault, "subject")
	}
	if c.Subject, ok = nameText(subject); !ok {
		fault = firstOf(fault, "subject")
	}
	c.CommonName = commonName(subject)
	spki, ok := tbs.take(tagSequence)
	if !ok || !c.key(spki) {
		fault = firstOf(fault, "public key")
	}
	if !ok {
		return fault
	}
	tbs.take(0x81) // issuerUniqueID and subjectUniqueID
	tbs.take(0x82)
	tbs.take(0xa1)
	tbs.take(0xa2)
	var subjectKey, authorityKey []byte
	c.HasIsCA = c.Version == 3
	if exts, ok := tbs.take(0xa3); ok {
		list, ok := exts.take(tagSequence)
		if !ok {
			fault = firstOf(fault, "extensions")
			c.HasIsCA = false
		}
		for len(list) > 0 {
			ext, ok := list.take(tagSequence)
			if !ok {
				fault = firstOf(fault, "extensions")
				c.HasIsCA = c.HasBasicConstraints
				break
			}
			oid, _ := ext.take(tagOID)
			ext.take(tagBoolean)
			value, ok := ext.take(tagOctetString)
			if !ok {
				fault = firstOf(fault, "extensions")
				continue
			}
			if len(oid) == 3 && oid[0] == 0x55 && oid[1] == 0x1d { // 2.5.29
				fault = firstOf(fault, c.extension(oid[2], value))
				switch oid[2] {
				case 14:
					subjectKey, _ = value.take(tagOctetString)
				case 35:
					aki, _ := value.take(tagSequence)
					authorityKey, _ = aki.take(0x80)
				}
			}
		}
	}
	c.SelfSigned = bytes.Equal(subject, issuer) &&
		(len(subjectKey) == 0 || len(authorityKey) == 0 || bytes.Equal(subjectKey, authorityKey))
	return fault
}

// serialText returns an integer as whole bytes in upper-case hex.
func serialText(b []byte) string {
	const digits = "0123456789ABCDEF"
	if len(b) == 0 {
		return ""
	}
	var out []byte
	magnitude := b
	if b[0]&0x80 != 0 { // two's complement
		out = append(out, '-')
		magnitude = bytes.Clone(b)
		carry := true
		for i := len(magnitude) - 1; i >= 0; i-- {
			magnitude[i] = ^magnitude[i]
			if carry {
				magnitude[i]++
				carry = magnitude[i] == 0
			}
		}
	}
	for len(magnitude) > 1 && magnitude[0] == 0 {
		magnitude = magnitude[1:]
	}
	for _, c := range magnitude {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// key reads a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, RFC 3279,
// RFC 5480, RFC 8410).
func (c *Certificate) key(spki der) bool {
	algorithm, ok := spki.take(tagSequence)
	oidBytes, ok2 := algorithm.take(tagOID)
	keyBits, ok3 := spki.take(tagBitString)
	if !ok || !ok2 {
		return false
	}
	oid := oidText(oidBytes)
	key, ok4 := parseBitString(keyBits)
	ok = ok3 && ok4
	switch oid {
	case "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10":
		c.KeyType = "rsa"
		if oid != "1.2.840.113549.1.1.1" {
			c.KeyType = "rsa_pss"
		}
		k := der(key)
		seq, good := k.take(tagSequence)
		modulus, good2 := seq.take(tagInteger)
		c.KeyBits = bitLen(modulus)
		ok = ok && good && good2
	case "1.2.840.10040.4.1", "1.2.840.10046.2.1":
		c.KeyType = "dsa"
		if oid != "1.2.840.10040.4.1" {
			c.KeyType = "dh"
		}
		// The parameters may be those of the issuer, and absent.
		params, _ := algorithm.take(tagSequence)
		prime, _ := params.take(tagInteger)
		c.KeyBits = bitLen(prime)
	case "1.2.840.10045.2.1":
		c.KeyType = "ec"
		if curve, good := algorithm.take(tagOID); good {
			c.Curve, c.KeyBits = curveName(oidText(curve))
		}
		if c.KeyBits == 0 && len(key) > 1 { // from the size of the point (SEC 1 section 2.3.3)
			c.KeyBits = (len(key) - 1) * 8
			if key[0] == 4 {
				c.KeyBits /= 2
			}
		}
	case "1.3.101.110":
		c.KeyType, c.KeyBits = "x25519", 256
	case "1.3.101.111":
		c.KeyType, c.KeyBits = "x448", 448
	case "1.3.101.112":
		c.KeyType, c.KeyBits = "ed25519", 256
	case "1.3.101.113":
		c.KeyType, c.KeyBits = "ed448", 456
	default:
		c.KeyType = oid
	}
	return ok
}

func bitLen(integer []byte) int {
	for len(integer) > 0 && integer[0] == 0 {
		integer = integer[1:]
	}
	if len(integer) == 0 {
		return 0
	}
	return (len(integer)-1)*8 + bits.Len8(integer[0])
}

func curveName(oid string) (name string, bits int) {
	switch oid {
	case "1.2.840.10045.3.1.1":
		return "secp192r1", 192
	case "1.3.132.0.33":
		return "secp224r1", 224
	case "1.2.840.10045.3.1.7":
		return "secp256r1", 256
	case "1.3.132.0.34":
		return "secp384r1", 384
	case "1.3.132.0.35":
		return "secp521r1", 521
	case "1.3.132.0.10":
		return "secp256k1", 256
	case "1.3.36.3.3.2.8.1.1.7":
		return "brainpoolP256r1", 256
	case "1.3.36.3.3.2.8.1.1.11":
		return "brainpoolP384r1", 384
	case "1.3.36.3.3.2.8.1.1.13":
		return "brainpoolP512r1", 512
	case "1.2.156.10197.1.301":
		return "curveSM2", 256
	}
	return oid, 0
}

func signatureName(oid string) string {
	switch oid {
	case "1.2.840.113549.1.1.2":
		return "md2WithRSAEncryption"
	case "1.2.840.113549.1.1.3":
		return "md4WithRSAEncryption"
	case "1.2.840.113549.1.1.4":
		return "md5WithRSAEncryption"
	case "1.2.840.113549.1.1.5", "1.3.14.3.2.29":
		return "sha1WithRSAEncryption"
	case "1.2.840.113549.1.1.10":
		return "rsassaPss"
	case "1.2.840.113549.1.1.11":
		return "sha256WithRSAEncryption"
	case "1.2.840.113549.1.1.12":
		return "sha384WithRSAEncryption"
	case "1.2.840.113549.1.1.13":
		return "sha512WithRSAEncryption"
	case "1.2.840.113549.1.1.14":
		return "sha224WithRSAEncryption"
	case "1.2.840.10040.4.3":
		return "dsa-with-sha1"
	case "2.16.840.1.101.3.4.3.1":
		return "dsa-with-sha224"
	case "2.16.840.1.101.3.4.3.2":
		return "dsa-with-sha256"
	case "1.2.840.10045.4.1":
		return "ecdsa-with-SHA1"
	case "1.2.840.10045.4.3.1":
		return "ecdsa-with-SHA224"
	case "1.2.840.10045.4.3.2":
		return "ecdsa-with-SHA256"
	case "1.2.840.10045.4.3.3":
		return "ecdsa-with-SHA384"
	case "1.2.840.10045.4.3.4":
		return "ecdsa-with-SHA512"
	case "1.3.101.112":
		return "Ed25519"
	case "1.3.101.113":
		return "Ed448"
	case "1.2.156.10197.1.501":
		return "SM2-with-SM3"
	case "2.16.840.1.101.3.4.3.17":
		return "ML-DSA-44"
	case "2.16.840.1.101.3.4.3.18":
		return "ML-DSA-65"
	case "2.16.840.1.101.3.4.3.19":
		return "ML-DSA-87"
	}
	return oid
}

// extension reads an extension of arc 2.5.29.
func (c *Certificate) extension(arc byte, value der) (fault string) {
	switch arc {
	case 15: // keyUsage, RFC 5280 section 4.2.1.3
		s, ok := value.take(tagBitString)
		b, ok2 := parseBitString(s)
		if !ok || !ok2 {
			return "key_usage"
		}
		if len(c.KeyUsage) > 0 {
			return ""
		}
		for i, name := range keyUsages {
			if bit(b, i) {
				c.KeyUsage = append(c.KeyUsage, name)
			}
		}
	case 17: // subjectAltName, section 4.2.1.6
		names, ok := value.take(tagSequence)
		if !ok {
			return "subject_alt_name"
		}
		c.HasSAN = true
		for len(names) > 0 {
			tag, name, _, ok := names.next()
			if !ok {
				return "subject_alt_name"
			}
			if len(c.DNS)+len(c.IPs)+len(c.Emails)+len(c.URIs) == maxNames {
				return "subject_alt_name: too many"
			}
			switch tag {
			case 0x81:
				c.Emails = append(c.Emails, cleanText(string(name)))
			case 0x82:
				c.DNS = append(c.DNS, cleanText(string(name)))
			case 0x86:
				c.URIs = append(c.URIs, cleanText(string(name)))
			case 0x87:
				if ip, ok := netip.AddrFromSlice(name); ok {
					c.IPs = append(c.IPs, ip.String())
				} else {
					fault = "subject_alt_name: ip address"
				}
			}
		}
	case 19: // basicConstraints, section 4.2.1.9
		s, ok := value.take(tagSequence)
		if !ok {
			c.HasIsCA = false
			return "basic_constraints"
		}
		c.HasBasicConstraints, c.HasIsCA = true, true
		if ca, ok := s.take(tagBoolean); ok {
			c.IsCA = len(ca) == 1 && ca[0] != 0
		}
		if n, ok := s.take(tagInteger); ok {
			if len(n) == 0 || len(n) > 3 || n[0]&0x80 != 0 {
				return "basic_constraints: path length"
			}
			c.PathLen = 0
			for _, b := range n {
				c.PathLen = c.PathLen<<8 | int(b)
			}
		}
	case 37: // extKeyUsage, section 4.2.1.12
		s, ok := value.take(tagSequence)
		if !ok {
			return "ext_key_usage"
		}
		for len(s) > 0 {
			oid, ok := s.take(tagOID)
			if !ok || len(c.ExtKeyUsage) == maxNames {
				return "ext_key_usage"
			}
			if name := extKeyUsageName(oidText(oid)); name != "" {
				c.ExtKeyUsage = append(c.ExtKeyUsage, name)
			}
		}
	}
	return fault
}

var keyUsages = [...]string{
	"digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
	"key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
}

func extKeyUsageName(oid string) string {
	switch oid {
	case "2.5.29.37.0":
		return "any"
	case "1.3.6.1.5.5.7.3.1":
		return "server_auth"
	case "1.3.6.1.5.5.7.3.2":
		return "client_auth"
	case "1.3.6.1.5.5.7.3.3":
		return "code_signing"
	case "1.3.6.1.5.5.7.3.4":
		return "email_protection"
	case "1.3.6.1.5.5.7.3.5":
		return "ipsec_end_system"
	case "1.3.6.1.5.5.7.3.6":
		return "ipsec_tunnel"
	case "1.3.6.1.5.5.7.3.7":
		return "ipsec_user"
	case "1.3.6.1.5.5.7.3.8":
		return "time_stamping"
	case "1.3.6.1.5.5.7.3.9":
		return "ocsp_signing"
	case "1.3.6.1.4.1.311.10.3.3":
		return "microsoft_sgc"
	case "2.16.840.1.113730.4.1":
		return "netscape_sgc"
	}
	return oid
}

// MatchesName reports whether the certificate is for name, a host name or an
// IP address in text (RFC 9525 section 6): one of its alternative names
// equals it, a wildcard standing for the whole left-most label. Without an
// extension of alternative names, the common name stands for them.
func (c *Certificate) MatchesName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return false
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		text := ip.String()
		for _, s := range c.IPs {
			if s == text {
				return true
			}
		}
		return !c.HasSAN && c.CommonName == name
	}
	for _, s := range c.DNS {
		if matchDNS(s, name) {
			return true
		}
	}
	return !c.HasSAN && matchDNS(c.CommonName, name)
}

func matchDNS(pattern, name string) bool {
	pattern = strings.TrimSuffix(pattern, ".")
	if rest, ok := strings.CutPrefix(pattern, "*."); ok {
		i := strings.IndexByte(name, '.')
		return i > 0 && rest != "" && strings.EqualFold(rest, name[i+1:])
	}
	return pattern != "" && strings.EqualFold(pattern, name)
}
