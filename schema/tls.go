package schema

import (
	"encoding/hex"

	"github.com/caplake/caplake/parsers/tls"
)

// TLS is a row of the tls table. Lists of code points hold them as on the
// wire, in order, GREASE included; what was negotiated has names.
type TLS struct {
	FlowID  int64  `parquet:"flow_id,uncompressed" id:"1" bloom:"yes" doc:"flow that the handshake is of (table flows)"`
	TS      int64  `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"capture time of the packet with the handshake's first byte, UTC"`
	SrcIP   string `parquet:"src_ip,dict" id:"3" bloom:"yes" doc:"address of the flow's initiator"`
	SrcPort int32  `parquet:"src_port" id:"4" doc:"port of the flow's initiator"`
	DstIP   string `parquet:"dst_ip,dict" id:"5" bloom:"yes" doc:"address of the flow's responder"`
	DstPort int32  `parquet:"dst_port,dict" id:"6" doc:"port of the flow's responder"`

	Transport   string `parquet:"transport,dict" id:"7" doc:"what the handshake runs over: tcp, dtls (UDP), quic (UDP), or udp: within the packets of OpenVPN or RADIUS, of which the flow says (app_proto)"`
	HandshakeNS *int64 `parquet:"handshake_ns,optional" id:"8" doc:"time from ts to the packet that completed the handshake; NULL unless established"`
	ClientSide  string `parquet:"client_side,dict" id:"9" doc:"side that has the role of the client: src, or dst where the responder has it"`
	Outcome     string `parquet:"outcome,dict" id:"10" doc:"how the handshake ended: established, alert (fatal, in the clear), encrypted_alert (a protected alert in place of the last flight), closed, reset, gap (bytes not captured hide the end), malformed, incomplete (the flow was over first)"`
	Established *bool  `parquet:"established,optional" id:"11" doc:"whether both sides went on to protected data; NULL where the capture cannot say"`
	Resumed     *bool  `parquet:"resumed,optional" id:"12" doc:"whether an earlier session was resumed: abbreviated handshake, or in TLS 1.3 a chosen pre-shared key"`

	RecordVersion string   `parquet:"record_version,optional,dict" id:"13" doc:"version in the record header of the client hello; QUIC has no records"`
	ClientVersion string   `parquet:"client_version,optional,dict" id:"14" doc:"version in the client hello, which stays TLSv1.2 in TLS 1.3 and DTLSv1.2 in DTLS 1.3"`
	Version       string   `parquet:"version,optional,dict" id:"15" doc:"negotiated version: SSLv2, SSLv3, TLSv1.0 to TLSv1.3, TLSv1.3-draftN, DTLSv1.0, DTLSv1.2, DTLSv1.3, 0x and hex where it has no name"`
	SNI           string   `parquet:"sni,optional,dict" id:"16" bloom:"yes" doc:"host name that the client asked for, as sent; bytes that are not printable UTF-8 as \\xHH"`
	ALPNOffered   []string `parquet:"alpn_offered,optional,list,dict" id:"17" doc:"application protocols that the client offered"`
	ALPN          string   `parquet:"alpn,optional,dict" id:"18" doc:"application protocol that the server chose; TLS 1.3 encrypts it"`
	Cipher        string   `parquet:"cipher,optional,dict" id:"19" doc:"cipher suite that the server chose, by its IANA name; 0x and hex where it has none"`
	CipherID      *int32   `parquet:"cipher_id,optional,dict" id:"20" doc:"code point of cipher"`

	Ciphers             []int32 `parquet:"client_ciphers,optional,list,dict" id:"21" doc:"cipher suites that the client offered"`
	ClientExtensions    []int32 `parquet:"client_extensions,optional,list,dict" id:"22" doc:"types of the client hello's extensions"`
	SupportedVersions   []int32 `parquet:"supported_versions,optional,list,dict" id:"23" doc:"versions in the client's extension supported_versions"`
	Groups              []int32 `parquet:"groups,optional,list,dict" id:"24" doc:"groups (curves) that the client supports"`
	KeyShareGroups      []int32 `parquet:"key_share_groups,optional,list,dict" id:"25" doc:"groups of the client's key shares"`
	SignatureAlgorithms []int32 `parquet:"signature_algorithms,optional,list,dict" id:"26" doc:"signature algorithms that the client supports"`
	PointFormats        []int32 `parquet:"point_formats,optional,list,dict" id:"27" doc:"point formats that the client supports"`
	CompressionMethods  []int32 `parquet:"compression_methods,optional,list,dict" id:"28" doc:"compression methods that the client offered"`
	PSKModes            []int32 `parquet:"psk_modes,optional,list,dict" id:"29" doc:"pre-shared key exchange modes that the client offered"`
	ClientSessionID     string  `parquet:"client_session_id,optional,uncompressed" id:"30" doc:"session id that the client sent, hex"`
	SessionTicket       *bool   `parquet:"session_ticket,optional" id:"31" doc:"whether the client offers or asks for a session ticket (its extension session_ticket)"`
	PreSharedKey        *bool   `parquet:"pre_shared_key,optional" id:"32" doc:"whether the client offers a pre-shared key (TLS 1.3)"`
	EarlyData           *bool   `parquet:"early_data,optional" id:"33" doc:"whether the client announces early data"`
	ECH                 string  `parquet:"ech,optional,dict" id:"34" doc:"encrypted client hello: offered (which GREASE cannot be told from, by design) or absent"`

	ServerExtensions []int32 `parquet:"server_extensions,optional,list,dict" id:"35" doc:"types of the server hello's extensions"`
	SelectedGroup    string  `parquet:"selected_group,optional,dict" id:"36" doc:"group of the key exchange, by its IANA name; 0x and hex where it has none"`
	ServerSessionID  string  `parquet:"server_session_id,optional,uncompressed" id:"37" doc:"session id that the server sent, hex"`
	HelloRetry       *bool   `parquet:"hello_retry,optional" id:"38" doc:"whether the server asked for a second client hello, with other parameters or a cookie; the client's columns are of the first"`
	NewSessionTicket *bool   `parquet:"new_session_ticket,optional" id:"39" doc:"whether the server sent a session ticket in the clear (TLS 1.2 and before)"`
	ClientAuth       *bool   `parquet:"client_auth,optional" id:"40" doc:"whether the server asked for a client certificate or the client sent one; TLS 1.3 encrypts it"`

	ClientAlertLevel string `parquet:"client_alert_level,optional,dict" id:"41" doc:"level of client_alert: warning, fatal, or a number"`
	ClientAlert      string `parquet:"client_alert,optional,dict" id:"42" doc:"alert that the client sent in the clear, by its IANA name or number: the first fatal one, else the first"`
	ServerAlertLevel string `parquet:"server_alert_level,optional,dict" id:"43" doc:"level of server_alert: warning, fatal, or a number"`
	ServerAlert      string `parquet:"server_alert,optional,dict" id:"44" doc:"alert that the server sent in the clear, by its IANA name or number: the first fatal one, else the first"`

	JA3        string `parquet:"ja3,optional,dict" id:"45" bloom:"yes" doc:"JA3 fingerprint of the client hello"`
	JA3S       string `parquet:"ja3s,optional,dict" id:"46" bloom:"yes" doc:"JA3S fingerprint of the server hello"`
	JA4        string `parquet:"ja4,optional,dict" id:"47" bloom:"yes" doc:"JA4 fingerprint of the client hello"`
	JA3String  string `parquet:"ja3_string,optional,dict" id:"48" doc:"what ja3 is the MD5 of; option"`
	JA3SString string `parquet:"ja3s_string,optional,dict" id:"49" doc:"what ja3s is the MD5 of; option"`
	JA4R       string `parquet:"ja4_r,optional,dict" id:"50" doc:"raw form of ja4; option"`

	CertFingerprints       []string `parquet:"cert_fingerprints,optional,list,dict" id:"51" bloom:"yes" doc:"SHA-256 of the server's certificates in hex, leaf first (table certificates); TLS 1.3 encrypts them"`
	ClientCertFingerprints []string `parquet:"client_cert_fingerprints,optional,list,dict" id:"52" bloom:"yes" doc:"SHA-256 of the client's certificates in hex, leaf first"`
	Subject                string   `parquet:"subject,optional,dict" id:"53" doc:"subject of the server's leaf certificate (RFC 4514)"`
	Issuer                 string   `parquet:"issuer,optional,dict" id:"54" doc:"issuer of the server's leaf certificate (RFC 4514)"`
	Serial                 string   `parquet:"serial,optional,dict" id:"55" doc:"serial number of the server's leaf certificate, upper-case hex"`
	NotBefore              *int64   `parquet:"not_before,optional,timestamp(nanosecond:local)" id:"56" doc:"begin of the server's leaf certificate's validity, UTC; NULL outside of 1678 to 2261"`
	NotAfter               *int64   `parquet:"not_after,optional,timestamp(nanosecond:local)" id:"57" doc:"end of the server's leaf certificate's validity, UTC; NULL outside of 1678 to 2261"`
	SANDNS                 []string `parquet:"san_dns,optional,list,dict" id:"58" doc:"DNS names among the alternative names of the server's leaf certificate"`
	SelfSigned             *bool    `parquet:"self_signed,optional" id:"59" doc:"whether subject and issuer of the server's leaf certificate, and its key identifiers where present, are the same; the signature is not verified"`
	SNIMatchesCert         *bool    `parquet:"sni_matches_cert,optional" id:"60" doc:"whether the server's leaf certificate is for sni"`

	HelloComplete *bool  `parquet:"hello_complete,optional" id:"61" doc:"whether all bytes of the client hello were seen; NULL: none were"`
	AfterGap      bool   `parquet:"after_gap" id:"62" doc:"bytes of the handshake were not captured"`
	Oversize      bool   `parquet:"oversize" id:"63" doc:"a message or chain was beyond the parser's bounds and read in part"`
	Malformed     string `parquet:"malformed,optional,dict" id:"64" doc:"first rule that the bytes broke"`

	ClientHellos int32  `parquet:"client_hellos" id:"69" doc:"client hello messages seen, those after a retry and those sent again included"`
	ServerHellos int32  `parquet:"server_hellos" id:"70" doc:"server hello messages seen, likewise; a request for a retry is one in TLS 1.3"`
	QUICVersion  string `parquet:"quic_version,optional,dict" id:"71" doc:"QUIC version of the handshake: 1, 2, draft-N, or 0x and hex"`
	DCID         string `parquet:"dcid,optional,uncompressed" id:"72" bloom:"yes" doc:"destination connection id of the client's first QUIC packet, hex"`
	SCID         string `parquet:"scid,optional,uncompressed" id:"73" bloom:"yes" doc:"connection id that the client chose for itself, hex; NULL also where it is empty"`
	ServerSCID   string `parquet:"server_scid,optional,uncompressed" id:"74" bloom:"yes" doc:"connection id that the server chose for itself, hex; NULL also where it is empty"`
	QUICRetry    *bool  `parquet:"quic_retry,optional" id:"75" doc:"whether the server had the client begin again with a token (Retry)"`

	CaptureID     int32 `parquet:"capture_id,delta" id:"65" doc:"input of the packet with the handshake's first byte (table captures)"`
	FirstPacket   int64 `parquet:"first_packet,delta" id:"66" doc:"number of that packet in its input, counted from 1"`
	LastCaptureID int32 `parquet:"last_capture_id,delta" id:"67" doc:"input of the last packet that the row rests on"`
	LastPacket    int64 `parquet:"last_packet,delta" id:"68" doc:"number of that packet in its input, counted from 1"`
}

// TLSOptions turn on what a row of the tls table does not have by default.
type TLSOptions struct {
	Strings bool // ja3_string, ja3s_string, ja4_r
}

// AppendTLS appends the row of a handshake. cache saves parsing certificates
// again that it has seen; it never changes the row.
func AppendTLS(dst []TLS, m *tls.Handshake, s *Session, a *Arena, cache *CertCache, options TLSOptions) []TLS {
	dst = append(dst, TLS{})
	r := &dst[len(dst)-1]
	r.FlowID, r.TS = s.FlowID, m.First.Time
	r.SrcIP, r.SrcPort, r.DstIP, r.DstPort = s.SrcIP, int32(s.SrcPort), s.DstIP, int32(s.DstPort)
	r.CaptureID, r.FirstPacket = int32(m.First.Pos.Input()), int64(m.First.Pos.Packet())
	r.LastCaptureID, r.LastPacket = int32(m.Last.Pos.Input()), int64(m.Last.Pos.Packet())

	r.Transport = "udp"
	if s.TCP {
		r.Transport = "tcp"
	}
	switch m.Transport {
	case tls.DTLS:
		r.Transport = "dtls"
	case tls.QUIC:
		r.Transport = "quic"
	}
	r.ClientHellos, r.ServerHellos = int32(m.ClientHellos), int32(m.ServerHellos)
	if m.Established == tls.Yes {
		r.HandshakeNS = a.Int64(m.Done.Time - m.First.Time)
	}
	r.ClientSide = s.Side(m.ClientSide)
	r.Outcome = m.Outcome.String()
	r.Established = tlsAnswer(a, m.Established)
	r.Resumed = tlsAnswer(a, m.Resumed)
	r.HelloRetry = tlsAnswer(a, m.HelloRetry)
	r.ClientAuth = tlsAnswer(a, m.ClientAuth)
	r.AfterGap, r.Oversize, r.Malformed = m.AfterGap, m.Oversize, m.Malformed

	if m.Client.Seen {
		r.client(&m.Client, a, m.Transport, options)
	}
	if m.Server.Seen {
		r.server(m, a, options)
	}
	if alert := m.Alerts[m.ClientSide]; alert.Seen {
		r.ClientAlertLevel, r.ClientAlert = tls.AlertLevelName(alert.Level), tls.AlertName(alert.Description)
	}
	if alert := m.Alerts[m.ClientSide.Other()]; alert.Seen {
		r.ServerAlertLevel, r.ServerAlert = tls.AlertLevelName(alert.Level), tls.AlertName(alert.Description)
	}
	r.CertFingerprints = tlsFingerprints(a, m.ServerChain)
	r.ClientCertFingerprints = tlsFingerprints(a, m.ClientChain)
	if len(m.ServerChain) > 0 {
		r.leaf(&cache.get(&m.ServerChain[0]).Certificate, string(m.Client.SNI), a)
	}
	return dst
}

func (r *TLS) client(c *tls.ClientHello, a *Arena, over tls.Transport, options TLSOptions) {
	r.HelloComplete = a.Bool(c.Complete)
	if over == 0 {
		over = tls.TCP
	}
	if c.RecordVersion != 0 {
		r.RecordVersion = tls.VersionName(c.RecordVersion)
	}
	if c.Version != 0 {
		r.ClientVersion = tls.VersionName(c.Version)
	}
	r.SNI = tlsText(a, c.SNI)
	if n := len(c.ALPN); n > 0 {
		r.ALPNOffered = a.Strings(n)
		for i, name := range c.ALPN {
			r.ALPNOffered[i] = tlsText(a, name)
		}
	}
	r.Ciphers = tlsCodes(a, c.Ciphers)
	r.ClientExtensions = tlsCodes(a, c.Extensions)
	r.SupportedVersions = tlsCodes(a, c.SupportedVersions)
	r.Groups = tlsCodes(a, c.Groups)
	r.KeyShareGroups = tlsCodes(a, c.KeyShares)
	r.SignatureAlgorithms = tlsCodes(a, c.SignatureAlgorithms)
	r.PointFormats = tlsCodes(a, c.PointFormats)
	r.CompressionMethods = tlsCodes(a, c.Compression)
	r.PSKModes = tlsCodes(a, c.PSKModes)
	r.ClientSessionID = tlsHex(a, c.SessionID)
	if !c.Fingerprinted() && !c.SSLv2 {
		// Extensions may be behind the cut: only those seen are known.
		if c.SessionTicket {
			r.SessionTicket = a.Bool(true)
		}
		if c.EarlyData {
			r.EarlyData = a.Bool(true)
		}
		if c.ECH {
			r.ECH = "offered"
		}
		return
	}
	r.SessionTicket = a.Bool(c.SessionTicket)
	r.PreSharedKey = a.Bool(c.PreSharedKey)
	r.EarlyData = a.Bool(c.EarlyData)
	r.ECH = "absent"
	if c.ECH {
		r.ECH = "offered"
	}
	if !c.Fingerprinted() {
		return
	}
	var space [1024]byte
	r.JA3 = a.String(c.AppendJA3(space[:0]))
	r.JA4 = a.String(c.AppendJA4(space[:0], over))
	if options.Strings {
		r.JA3String = a.String(c.AppendJA3String(space[:0]))
		r.JA4R = a.String(c.AppendJA4R(space[:0], over))
	}
}

func (r *TLS) server(m *tls.Handshake, a *Arena, options TLSOptions) {
	s := &m.Server
	if v := s.Negotiated(); v != 0 {
		r.Version = tls.VersionName(v)
	}
	if s.HasCipher() {
		r.CipherID = a.Int32(int32(s.Cipher))
		if r.Cipher = tls.CipherName(s.Cipher); r.Cipher == "" {
			r.Cipher = tls.CodeName(s.Cipher)
		}
	}
	r.ALPN = tlsText(a, s.ALPN)
	r.ServerExtensions = tlsCodes(a, s.Extensions)
	if s.Group != 0 {
		r.SelectedGroup = tls.GroupName(s.Group)
	}
	r.ServerSessionID = tlsHex(a, s.SessionID)
	// In TLS 1.3 tickets come encrypted; before, they come in the handshake.
	if m.NewSessionTicket {
		r.NewSessionTicket = a.Bool(true)
	} else if m.Established == tls.Yes && !m.AfterGap && !s.TLS13() {
		r.NewSessionTicket = a.Bool(false)
	}
	if s.Fingerprinted() {
		var space [256]byte
		r.JA3S = a.String(s.AppendJA3S(space[:0]))
		if options.Strings {
			r.JA3SString = a.String(s.AppendJA3SString(space[:0]))
		}
	}
}

func (r *TLS) leaf(c *tls.Certificate, sni string, a *Arena) {
	// The certificate's strings are its own and outlive the cache.
	r.Subject, r.Issuer, r.Serial, r.SANDNS = c.Subject, c.Issuer, c.Serial, c.DNS
	if c.HasNotBefore {
		r.NotBefore = a.Int64(c.NotBefore)
	}
	if c.HasNotAfter {
		r.NotAfter = a.Int64(c.NotAfter)
	}
	if c.KeyType == "" {
		return // it could not be read up to its names
	}
	r.SelfSigned = a.Bool(c.SelfSigned)
	if sni != "" {
		r.SNIMatchesCert = a.Bool(c.MatchesName(sni))
	}
}

func tlsAnswer(a *Arena, v tls.Answer) *bool {
	if v == tls.Unknown {
		return nil
	}
	return a.Bool(v == tls.Yes)
}

// tlsCodes returns a list of code points, nil for none.
func tlsCodes[T uint8 | uint16](a *Arena, list []T) []int32 {
	if len(list) == 0 {
		return nil
	}
	out := Slice(&a.i32, len(list))
	for i, v := range list {
		out[i] = int32(v)
	}
	return out
}

// tlsText returns b as printable UTF-8, in a.
func tlsText(a *Arena, b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var space [256]byte
	return a.String(tls.AppendText(space[:0], b))
}

// tlsHex returns b in hex, in a.
func tlsHex(a *Arena, b []byte) string {
	var space [64]byte
	return a.String(hex.AppendEncode(space[:0], b))
}

func tlsFingerprints(a *Arena, chain []tls.RawCertificate) []string {
	if len(chain) == 0 {
		return nil
	}
	list := a.Strings(len(chain))
	for i := range chain {
		list[i] = tlsHex(a, chain[i].SHA256[:])
	}
	return list
}
