package schema

import (
	"bytes"
	"crypto/sha1"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/tls"
)

// Certificate is a row of the certificates table: one per distinct
// certificate of the dataset. Whoever collects the rows keeps, of those with
// one fingerprint, the one that is Before all others.
type Certificate struct {
	SHA256 string `parquet:"fingerprint_sha256,uncompressed" id:"1" bloom:"yes" doc:"SHA-256 of the certificate in hex"`
	SHA1   string `parquet:"fingerprint_sha1,uncompressed" id:"2" bloom:"yes" doc:"SHA-1 of the certificate in hex"`

	Version            *int32   `parquet:"version,optional,dict" id:"3" doc:"X.509 version, 1 to 3"`
	Serial             string   `parquet:"serial,optional" id:"4" bloom:"yes" doc:"serial number, upper-case hex"`
	Subject            string   `parquet:"subject,optional,dict" id:"5" doc:"subject (RFC 4514)"`
	Issuer             string   `parquet:"issuer,optional,dict" id:"6" doc:"issuer (RFC 4514)"`
	NotBefore          *int64   `parquet:"not_before,optional,timestamp(nanosecond:local)" id:"7" doc:"begin of the validity, UTC; NULL outside of 1678 to 2261"`
	NotAfter           *int64   `parquet:"not_after,optional,timestamp(nanosecond:local)" id:"8" doc:"end of the validity, UTC; NULL outside of 1678 to 2261"`
	KeyType            string   `parquet:"key_type,optional,dict" id:"9" doc:"public key: rsa, rsa_pss, dsa, dh, ec, ed25519, ed448, x25519, x448, else the OID of its algorithm"`
	KeyBits            *int32   `parquet:"key_bits,optional,dict" id:"10" doc:"length of the public key: of its modulus, prime or field"`
	KeyCurve           string   `parquet:"key_curve,optional,dict" id:"11" doc:"curve of an ec key, by its name in TLS, else its OID"`
	SignatureAlgorithm string   `parquet:"signature_algorithm,optional,dict" id:"12" doc:"algorithm of the signature as RFCs name it, else its OID"`
	SANDNS             []string `parquet:"san_dns,optional,list" id:"13" bloom:"yes" doc:"DNS names among the alternative names"`
	SANIP              []string `parquet:"san_ip,optional,list" id:"14" doc:"IP addresses among the alternative names"`
	SANEmail           []string `parquet:"san_email,optional,list" id:"15" doc:"mail addresses among the alternative names"`
	SANURI             []string `parquet:"san_uri,optional,list" id:"16" doc:"URIs among the alternative names"`
	IsCA               *bool    `parquet:"is_ca,optional" id:"17" doc:"whether it is a certificate authority's by its basic constraints; version 3 without them: false; NULL: of version 1 or 2, or not readable (RFC 5280)"`
	PathLen            *int32   `parquet:"path_len,optional,dict" id:"18" doc:"path length of the basic constraints; NULL: no limit"`
	KeyUsage           []string `parquet:"key_usage,optional,list,dict" id:"19" doc:"key usages (digital_signature, key_cert_sign and so on)"`
	ExtendedKeyUsage   []string `parquet:"extended_key_usage,optional,list,dict" id:"20" doc:"extended key usages (server_auth, client_auth and so on), else their OIDs"`
	SelfSigned         *bool    `parquet:"self_signed,optional" id:"21" doc:"whether subject and issuer, and key identifiers where present, are the same; the signature is not verified"`

	FirstSeen   int64  `parquet:"first_seen,timestamp(nanosecond:local),delta" id:"22" doc:"capture time of the packet that completed its first sighting, UTC"`
	FlowID      int64  `parquet:"flow_id,uncompressed" id:"23" bloom:"yes" doc:"flow of the first sighting (table flows)"`
	Malformed   string `parquet:"malformed,optional,dict" id:"24" doc:"what a strict reader has against it; the columns hold what could be read"`
	DER         []byte `parquet:"der,optional" id:"25" doc:"the certificate itself; option"`
	CaptureID   int32  `parquet:"capture_id,delta" id:"26" doc:"input of the first sighting's packet (table captures)"`
	FirstPacket int64  `parquet:"first_packet,delta" id:"27" doc:"number of that packet in its input, counted from 1"`

	// Position is the first sighting's packet.
	Position flows.Position `parquet:"-"`
}

// Before reports whether c was sighted before o. Of two equal certificates in
// one packet neither is.
func (c *Certificate) Before(o *Certificate) bool { return c.Position < o.Position }

// CertificateOptions turn on what a row of the certificates table does not
// have by default.
type CertificateOptions struct {
	DER bool // der
}

// AppendCertificates appends a row for each certificate of a handshake that
// this cache has not handed out before, or only from a later packet. The cache
// forgets, so the same certificate can come again: rows are candidates, of
// which the earliest of each fingerprint counts.
func AppendCertificates(dst []Certificate, m *tls.Handshake, s *Session, a *Arena, cache *CertCache, options CertificateOptions) []Certificate {
	for i := range m.ServerChain {
		dst = appendCertificate(dst, &m.ServerChain[i], m.ServerChainAt, s, a, cache, options)
	}
	for i := range m.ClientChain {
		dst = appendCertificate(dst, &m.ClientChain[i], m.ClientChainAt, s, a, cache, options)
	}
	return dst
}

func appendCertificate(dst []Certificate, raw *tls.RawCertificate, at flows.Stamp, s *Session, a *Arena, cache *CertCache, options CertificateOptions) []Certificate {
	e := cache.get(raw)
	if e.handedOut && e.first <= at.Pos {
		return dst
	}
	e.handedOut, e.first = true, at.Pos
	sum := sha1.Sum(raw.DER)
	c := &e.Certificate
	r := Certificate{
		SHA256: tlsHex(a, raw.SHA256[:]), SHA1: tlsHex(a, sum[:]),
		Serial: c.Serial, Subject: c.Subject, Issuer: c.Issuer,
		KeyType: c.KeyType, KeyCurve: c.Curve, SignatureAlgorithm: c.SignatureAlgorithm,
		SANDNS: c.DNS, SANIP: c.IPs, SANEmail: c.Emails, SANURI: c.URIs,
		KeyUsage: c.KeyUsage, ExtendedKeyUsage: c.ExtKeyUsage,
		FirstSeen: at.Time, FlowID: s.FlowID, Malformed: c.Malformed,
		CaptureID: int32(at.Pos.Input()), FirstPacket: int64(at.Pos.Packet()),
		Position: at.Pos,
	}
	if c.Version != 0 {
		r.Version = a.Int32(int32(c.Version))
	}
	if c.HasNotBefore {
		r.NotBefore = a.Int64(c.NotBefore)
	}
	if c.HasNotAfter {
		r.NotAfter = a.Int64(c.NotAfter)
	}
	if c.KeyBits != 0 {
		r.KeyBits = a.Int32(int32(c.KeyBits))
	}
	if c.KeyType != "" { // read up to the key, and so past the names
		r.SelfSigned = a.Bool(c.SelfSigned)
	}
	if c.HasIsCA {
		r.IsCA = a.Bool(c.IsCA)
	}
	if c.PathLen >= 0 {
		r.PathLen = a.Int32(int32(c.PathLen))
	}
	if options.DER {
		r.DER = bytes.Clone(raw.DER)
	}
	return append(dst, r)
}

// CertCache remembers parsed certificates by fingerprint, because the same
// few come again and again. It is bounded, and rows are the same whatever it
// has forgotten. The zero CertCache is ready. It is not safe for concurrent
// use: each worker has its own.
type CertCache struct {
	MaxBytes int // of certificates, as sent, that it remembers; 0: 8 MiB

	// Two generations: what is used moves to the young one; when that is full
	// it becomes the old one, and the old one is forgotten.
	young, old map[[32]byte]*certEntry
	bytes      int // in young
}

type certEntry struct {
	tls.Certificate
	handedOut bool
	first     flows.Position // of the row that was handed out
}

// certOverhead is what an entry costs beside its certificate's bytes, roughly.
const certOverhead = 1 << 10

func (c *CertCache) get(raw *tls.RawCertificate) *certEntry {
	e := c.young[raw.SHA256]
	if e != nil {
		return e
	}
	limit := c.MaxBytes
	if limit <= 0 {
		limit = 8 << 20
	}
	if c.young == nil || c.bytes > limit/2 {
		c.old, c.young, c.bytes = c.young, make(map[[32]byte]*certEntry), 0
	}
	if e = c.old[raw.SHA256]; e == nil {
		e = &certEntry{Certificate: tls.ParseCertificate(raw.DER)}
	}
	c.young[raw.SHA256] = e
	c.bytes += len(raw.DER) + certOverhead
	return e
}
