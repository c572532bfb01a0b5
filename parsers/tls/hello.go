package tls

// Extension types (IANA registry "TLS ExtensionType Values") that are read.
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extPointFormats        = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSessionTicket       = 35
	extPreSharedKey        = 41
	extEarlyData           = 42
	extSupportedVersions   = 43
	extPSKModes            = 45
	extKeyShareDraft       = 40 // key_share until draft 22 of TLS 1.3
	extKeyShare            = 51
	extECH                 = 0xfe0d
)

// maxALPN bounds the list of offered protocols, each of which costs more
// memory here than on the wire.
const maxALPN = 256

// ClientHello is what a ClientHello says (RFC 8446 section 4.1.2; RFC 5246
// section 7.4.1.2; its SSLv2 form, RFC 5246 appendix E.2). Code points are as
// on the wire, in order, GREASE and repetitions included.
//
// Lists and bytes are the parser's memory, by the rule of
// parsers.SessionParser.
type ClientHello struct {
	Seen     bool // some of it was seen
	Complete bool // all its bytes were; otherwise what comes after the cut is missing
	SSLv2    bool // it has the form of SSLv2, whatever version it offers
	walked   bool // ciphers and extensions were read to the end: fingerprints are known
	dtls     bool // it has the cookie of DTLS

	RecordVersion uint16 // of the record that it begins in; 0 in SSLv2
	Version       uint16 // client_version, called legacy_version since TLS 1.3
	SessionID     []byte
	Ciphers       []uint16 // without those of SSLv2 (three bytes with a non-zero first)
	Compression   []byte

	Extensions          []uint16 // types
	HasSNI              bool     // there is a server_name extension, whatever is in it
	SNI                 []byte   // first host_name
	ALPN                [][]byte
	SupportedVersions   []uint16
	Groups              []uint16
	KeyShares           []uint16 // groups of the key shares
	SignatureAlgorithms []uint16
	PointFormats        []byte
	PSKModes            []byte
	SessionTicket       bool // offers or asks for a session ticket (RFC 5077)
	EarlyData           bool
	PreSharedKey        bool
	ECH                 bool // has an encrypted_client_hello of the outer kind; GREASE looks the same by design

	mem []byte // what SessionID, SNI and ALPN are parts of
}

func (c *ClientHello) reset() {
	*c = ClientHello{
		SessionID: c.SessionID[:0], Ciphers: c.Ciphers[:0], Compression: c.Compression[:0], Extensions: c.Extensions[:0],
		ALPN: c.ALPN[:0], SupportedVersions: c.SupportedVersions[:0], Groups: c.Groups[:0], KeyShares: c.KeyShares[:0],
		SignatureAlgorithms: c.SignatureAlgorithms[:0], PointFormats: c.PointFormats[:0], PSKModes: c.PSKModes[:0], mem: c.mem[:0],
	}
}

func (c *ClientHello) keep(b []byte) []byte {
	n := len(c.mem)
	c.mem = append(c.mem, b...)
	return c.mem[n:len(c.mem):len(c.mem)]
}

// decode reads the message's body, or, where whole is false, its beginning.
// It returns the rule that the message breaks, "" for none.
func (c *ClientHello) decode(body []byte, whole bool) (fault string) {
	c.Seen, c.Complete = true, whole
	cut := func(what string) string {
		if whole {
			return what
		}
		return ""
	}
	r := cursor(body)
	var ok bool
	if c.Version, ok = r.u16(); !ok {
		return cut("client_hello: version")
	}
	if _, ok = r.take(32); !ok {
		return cut("client_hello: random")
	}
	sid, ok := r.vec8()
	if !ok {
		return cut("client_hello: session_id")
	}
	if len(sid) > 32 {
		fault = "client_hello: session_id longer than 32"
	}
	c.SessionID = c.keep(sid)
	if c.dtls { // RFC 6347 section 4.2.1
		if _, ok = r.vec8(); !ok {
			return firstOf(fault, cut("client_hello: cookie"))
		}
	}
	ciphers, ok := r.vec16()
	if !ok {
		return firstOf(fault, cut("client_hello: cipher_suites"))
	}
	if len(ciphers)%2 != 0 || len(ciphers) == 0 {
		fault = firstOf(fault, "client_hello: cipher_suites")
	}
	c.Ciphers = appendU16s(c.Ciphers[:0], ciphers)
	compression, ok := r.vec8()
	if !ok {
		return firstOf(fault, cut("client_hello: compression_methods"))
	}
	c.Compression = append(c.Compression[:0], compression...)
	if len(r) == 0 {
		c.walked = whole // no extensions: allowed before TLS 1.3
		return fault
	}
	exts, ok := r.vec16()
	switch {
	case !ok && whole:
		return firstOf(fault, "client_hello: extensions")
	case !ok: // cut within: what there is of them
		if _, ok = r.u16(); !ok {
			return fault
		}
		exts = r
	case len(r) != 0:
		fault = firstOf(fault, "client_hello: bytes after the extensions")
	}
	for len(exts) > 0 {
		typ, ok := exts.u16()
		if !ok {
			return firstOf(fault, cut("client_hello: extensions"))
		}
		data, ok := exts.vec16()
		if !ok {
			return firstOf(fault, cut("client_hello: extensions"))
		}
		c.Extensions = append(c.Extensions, typ)
		if f := c.extension(typ, data); f != "" {
			fault = firstOf(fault, f)
		}
	}
	c.walked = whole
	return fault
}

func (c *ClientHello) extension(typ uint16, r cursor) (fault string) {
	switch typ {
	case extServerName: // RFC 6066 section 3
		if c.HasSNI {
			return ""
		}
		c.HasSNI = true
		names, ok := r.vec16()
		if !ok || len(r) != 0 {
			return "client_hello: server_name"
		}
		for len(names) > 0 {
			t, _ := names.u8()
			name, ok := names.vec16()
			if !ok {
				return "client_hello: server_name"
			}
			if t == 0 && len(c.SNI) == 0 {
				c.SNI = c.keep(name)
			}
		}
	case extALPN: // RFC 7301 section 3.1
		if len(c.ALPN) > 0 {
			return ""
		}
		list, ok := r.vec16()
		if !ok || len(r) != 0 {
			return "client_hello: application_layer_protocol_negotiation"
		}
		for len(list) > 0 {
			name, ok := list.vec8()
			if !ok {
				return "client_hello: application_layer_protocol_negotiation"
			}
			if len(c.ALPN) < maxALPN {
				c.ALPN = append(c.ALPN, c.keep(name))
			}
		}
	case extSupportedGroups:
		return list16(&c.Groups, r, "client_hello: supported_groups")
	case extSignatureAlgorithms:
		return list16(&c.SignatureAlgorithms, r, "client_hello: signature_algorithms")
	case extPointFormats:
		return list8(&c.PointFormats, r, "client_hello: ec_point_formats")
	case extPSKModes:
		return list8(&c.PSKModes, r, "client_hello: psk_key_exchange_modes")
	case extSupportedVersions:
		if len(c.SupportedVersions) > 0 {
			return ""
		}
		v, ok := r.vec8()
		if !ok || len(v)%2 != 0 || len(r) != 0 {
			return "client_hello: supported_versions"
		}
		c.SupportedVersions = appendU16s(c.SupportedVersions, v)
	case extKeyShare, extKeyShareDraft:
		if len(c.KeyShares) > 0 {
			return ""
		}
		shares, ok := r.vec16()
		if !ok {
			if typ == extKeyShareDraft {
				return "" // the number has other uses
			}
			return "client_hello: key_share"
		}
		for len(shares) > 0 {
			g, _ := shares.u16()
			if _, ok := shares.vec16(); !ok {
				return "client_hello: key_share"
			}
			c.KeyShares = append(c.KeyShares, g)
		}
	case extSessionTicket:
		c.SessionTicket = true
	case extEarlyData:
		c.EarlyData = true
	case extPreSharedKey:
		c.PreSharedKey = true
	case extECH: // RFC 9849 section 5: the outer kind is 0
		if len(r) == 0 || r[0] > 1 {
			return "client_hello: encrypted_client_hello"
		}
		c.ECH = r[0] == 0
	}
	return ""
}

// list16 reads an extension that is one vector of 16-bit code points. Where
// a type is repeated the first counts.
func list16(dst *[]uint16, r cursor, name string) (fault string) {
	if len(*dst) > 0 {
		return ""
	}
	v, ok := r.vec16()
	if !ok || len(v)%2 != 0 || len(r) != 0 {
		return name
	}
	*dst = appendU16s(*dst, v)
	return ""
}

func list8(dst *[]byte, r cursor, name string) (fault string) {
	if len(*dst) > 0 {
		return ""
	}
	v, ok := r.vec8()
	if !ok || len(r) != 0 {
		return name
	}
	*dst = append(*dst, v...)
	return ""
}

// decodeSSLv2 reads a ClientHello in the form of SSLv2, behind its record
// header and type (RFC 5246 appendix E.2).
func (c *ClientHello) decodeSSLv2(body []byte, whole bool) (fault string) {
	c.Seen, c.Complete, c.SSLv2 = true, whole, true
	const name = "client_hello: lengths of its SSLv2 form"
	r := cursor(body)
	version, _ := r.u16()
	nciphers, _ := r.u16()
	nsession, _ := r.u16()
	nchallenge, ok := r.u16()
	if !ok {
		if whole {
			return name
		}
		return ""
	}
	c.Version = version
	ciphers, ok := r.take(int(nciphers))
	if !ok || nciphers%3 != 0 {
		if whole {
			return name
		}
		return ""
	}
	for ; len(ciphers) > 0; ciphers = ciphers[3:] {
		if ciphers[0] == 0 {
			c.Ciphers = append(c.Ciphers, uint16(ciphers[1])<<8|uint16(ciphers[2]))
		}
	}
	sid, ok := r.take(int(nsession))
	if ok {
		c.SessionID = c.keep(sid)
	}
	if _, ok = r.take(int(nchallenge)); whole && (!ok || len(r) != 0) {
		return name
	}
	return ""
}

// ServerHello is what a ServerHello says (RFC 8446 section 4.1.3), and what
// the server's later messages add to it. Of a HelloRetryRequest and the
// ServerHello that follows, it is the latter. Memory is as ClientHello's.
type ServerHello struct {
	Seen     bool
	Complete bool // all its bytes were seen
	Retry    bool // it is a HelloRetryRequest, and no ServerHello was seen after it

	RecordVersion   uint16
	Version         uint16 // server_version, called legacy_version since TLS 1.3
	SelectedVersion uint16 // of supported_versions; 0 without
	SessionID       []byte
	Cipher          uint16
	Compression     uint8
	Extensions      []uint16
	ALPN            []byte // TLS 1.3 encrypts it
	Group           uint16 // selected: of the key share, or of the ServerKeyExchange's named curve; 0: not known
	PreSharedKey    bool   // chose a pre-shared key
	SessionTicket   bool   // will send a session ticket (TLS 1.2 and before)

	haveCipher bool
	walked     bool
	mem        []byte
}

func (s *ServerHello) reset() {
	*s = ServerHello{SessionID: s.SessionID[:0], Extensions: s.Extensions[:0], ALPN: s.ALPN[:0], mem: s.mem[:0]}
}

func (s *ServerHello) keep(b []byte) []byte {
	n := len(s.mem)
	s.mem = append(s.mem, b...)
	return s.mem[n:len(s.mem):len(s.mem)]
}

// HasCipher reports whether the hello was seen up to its cipher suite, whose
// code may be 0.
func (s *ServerHello) HasCipher() bool { return s.haveCipher }

// Negotiated returns the version that the server chose, 0 if not known.
func (s *ServerHello) Negotiated() uint16 {
	if s.SelectedVersion != 0 {
		return s.SelectedVersion
	}
	if !s.Complete && (s.Version == VersionTLS12 || s.Version == versionDTLS12) {
		return 0 // supported_versions may be behind the cut
	}
	return s.Version
}

// TLS13 reports whether the server is known to have chosen TLS 1.3.
func (s *ServerHello) TLS13() bool { return s.Seen && isTLS13(s.Negotiated()) }

// retryRandom is the random value that makes a ServerHello a
// HelloRetryRequest: the SHA-256 of "HelloRetryRequest".
var retryRandom = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// decode reads the message's body, or its beginning.
func (s *ServerHello) decode(body []byte, whole bool) (fault string) {
	s.Seen, s.Complete = true, whole
	cut := func(what string) string {
		if whole {
			return what
		}
		return ""
	}
	r := cursor(body)
	var ok bool
	if s.Version, ok = r.u16(); !ok {
		return cut("server_hello: version")
	}
	random, ok := r.take(32)
	if !ok {
		return cut("server_hello: random")
	}
	s.Retry = [32]byte(random) == retryRandom
	// Up to draft 21, TLS 1.3 had neither session_id nor compression here, and
	// its version, which no later ServerHello has in this place.
	early := s.Version == VersionTLS13 || s.Version>>8 == 0x7f && s.Version&0xff <= 21
	if !early {
		sid, ok := r.vec8()
		if !ok {
			return cut("server_hello: session_id")
		}
		if len(sid) > 32 {
			fault = "server_hello: session_id longer than 32"
		}
		s.SessionID = s.keep(sid)
	}
	if s.Cipher, s.haveCipher = r.u16(); !s.haveCipher {
		return firstOf(fault, cut("server_hello: cipher_suite"))
	}
	if !early {
		if s.Compression, ok = r.u8(); !ok {
			return firstOf(fault, cut("server_hello: compression_method"))
		}
	}
	return firstOf(fault, s.extensions(r, whole))
}

func (s *ServerHello) extensions(r cursor, whole bool) (fault string) {
	if len(r) == 0 {
		s.walked = whole
		return ""
	}
	exts, ok := r.vec16()
	switch {
	case !ok && whole:
		return "server_hello: extensions"
	case !ok:
		if _, ok = r.u16(); !ok {
			return ""
		}
		exts = r
	case len(r) != 0:
		fault = "server_hello: bytes after the extensions"
	}
	for len(exts) > 0 {
		typ, _ := exts.u16()
		data, ok := exts.vec16()
		if !ok {
			if whole {
				fault = firstOf(fault, "server_hello: extensions")
			}
			return fault
		}
		s.Extensions = append(s.Extensions, typ)
		if f := s.extension(typ, data); f != "" {
			fault = firstOf(fault, f)
		}
	}
	s.walked = whole
	return fault
}

func (s *ServerHello) extension(typ uint16, r cursor) (fault string) {
	var ok bool
	switch typ {
	case extALPN:
		list, ok := r.vec16()
		name, ok2 := list.vec8()
		if !ok || !ok2 || len(list) != 0 {
			return "server_hello: application_layer_protocol_negotiation"
		}
		s.ALPN = s.keep(name)
	case extSupportedVersions:
		if s.SelectedVersion, ok = r.u16(); !ok || len(r) != 0 {
			return "server_hello: supported_versions"
		}
	case extKeyShare, extKeyShareDraft: // a retry has the group alone
		if s.Group, ok = r.u16(); !ok && typ == extKeyShare {
			return "server_hello: key_share"
		}
	case extPreSharedKey:
		s.PreSharedKey = true
	case extSessionTicket:
		s.SessionTicket = true
	}
	return ""
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
