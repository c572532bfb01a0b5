package tls

import "strconv"

// Protocol versions as on the wire.
const (
	VersionSSL2  = 0x0002
	VersionSSL3  = 0x0300
	VersionTLS10 = 0x0301
	VersionTLS11 = 0x0302
	VersionTLS12 = 0x0303
	VersionTLS13 = 0x0304
)

// VersionName returns a version's name: SSLv2, SSLv3, TLSv1.0 to TLSv1.3,
// TLSv1.3-draft18 for the drafts of TLS 1.3 (0x7f00 and the draft's number),
// DTLSv1.0 to DTLSv1.3, and the code in hex ("0x1a1a") for what has no name.
func VersionName(v uint16) string {
	switch v {
	case VersionSSL2:
		return "SSLv2"
	case VersionSSL3:
		return "SSLv3"
	case VersionTLS10:
		return "TLSv1.0"
	case VersionTLS11:
		return "TLSv1.1"
	case VersionTLS12:
		return "TLSv1.2"
	case VersionTLS13:
		return "TLSv1.3"
	case versionDTLS10:
		return "DTLSv1.0"
	case versionDTLS12:
		return "DTLSv1.2"
	case versionDTLS13:
		return "DTLSv1.3"
	}
	if v>>8 == 0x7f {
		return "TLSv1.3-draft" + strconv.Itoa(int(v&0xff))
	}
	return hex16(v)
}

// isTLS13 reports whether v works as TLS 1.3 does: the version itself, its
// drafts, and the experiments with it that browsers shipped (0x7e, 0xfb).
func isTLS13(v uint16) bool {
	return v == VersionTLS13 || v == versionDTLS13 || v>>8 == 0x7f || v>>8 == 0x7e || v>>8 == 0xfb
}

// IsGREASE reports whether a code point is one of those that RFC 8701 has
// clients offer so that servers learn to ignore what they do not know.
func IsGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

// GroupName returns the name of a group in the registry "TLS Supported
// Groups" of IANA, or the code in hex.
func GroupName(v uint16) string {
	if int(v) < len(lowGroups) && lowGroups[v] != "" {
		return lowGroups[v]
	}
	switch v {
	case 256:
		return "ffdhe2048"
	case 257:
		return "ffdhe3072"
	case 258:
		return "ffdhe4096"
	case 259:
		return "ffdhe6144"
	case 260:
		return "ffdhe8192"
	case 512:
		return "MLKEM512"
	case 513:
		return "MLKEM768"
	case 514:
		return "MLKEM1024"
	case 4587:
		return "SecP256r1MLKEM768"
	case 4588:
		return "X25519MLKEM768"
	case 4589:
		return "SecP384r1MLKEM1024"
	case 4590:
		return "curveSM2MLKEM768"
	case 25497:
		return "X25519Kyber768Draft00"
	case 25498:
		return "SecP256r1Kyber768Draft00"
	case 0xff01:
		return "arbitrary_explicit_prime_curves"
	case 0xff02:
		return "arbitrary_explicit_char2_curves"
	}
	return hex16(v)
}

var lowGroups = [...]string{
	"", "sect163k1", "sect163r1", "sect163r2", "sect193r1", "sect193r2", "sect233k1", "sect233r1", "sect239k1",
	"sect283k1", "sect283r1", "sect409k1", "sect409r1", "sect571k1", "sect571r1", "secp160k1", "secp160r1",
	"secp160r2", "secp192k1", "secp192r1", "secp224k1", "secp224r1", "secp256k1", "secp256r1", "secp384r1",
	"secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "x25519", "x448",
	"brainpoolP256r1tls13", "brainpoolP384r1tls13", "brainpoolP512r1tls13",
	"GC256A", "GC256B", "GC256C", "GC256D", "GC512A", "GC512B", "GC512C", "curveSM2",
}

// AlertName returns the name of an alert's description in the registry "TLS
// Alerts" of IANA, or the code in decimal.
func AlertName(description uint8) string {
	switch description {
	case 0:
		return "close_notify"
	case 10:
		return "unexpected_message"
	case 20:
		return "bad_record_mac"
	case 21:
		return "decryption_failed"
	case 22:
		return "record_overflow"
	case 30:
		return "decompression_failure"
	case 40:
		return "handshake_failure"
	case 41:
		return "no_certificate"
	case 42:
		return "bad_certificate"
	case 43:
		return "unsupported_certificate"
	case 44:
		return "certificate_revoked"
	case 45:
		return "certificate_expired"
	case 46:
		return "certificate_unknown"
	case 47:
		return "illegal_parameter"
	case 48:
		return "unknown_ca"
	case 49:
		return "access_denied"
	case 50:
		return "decode_error"
	case 51:
		return "decrypt_error"
	case 52:
		return "too_many_cids_requested"
	case 60:
		return "export_restriction"
	case 70:
		return "protocol_version"
	case 71:
		return "insufficient_security"
	case 80:
		return "internal_error"
	case 86:
		return "inappropriate_fallback"
	case 90:
		return "user_canceled"
	case 100:
		return "no_renegotiation"
	case 109:
		return "missing_extension"
	case 110:
		return "unsupported_extension"
	case 111:
		return "certificate_unobtainable"
	case 112:
		return "unrecognized_name"
	case 113:
		return "bad_certificate_status_response"
	case 114:
		return "bad_certificate_hash_value"
	case 115:
		return "unknown_psk_identity"
	case 116:
		return "certificate_required"
	case 117:
		return "general_error"
	case 120:
		return "no_application_protocol"
	case 121:
		return "ech_required"
	}
	return strconv.Itoa(int(description))
}

// Levels of an alert (RFC 8446 section 6).
const (
	AlertWarning = 1
	AlertFatal   = 2
)

// AlertLevelName returns "warning", "fatal", or the code in decimal.
func AlertLevelName(level uint8) string {
	switch level {
	case AlertWarning:
		return "warning"
	case AlertFatal:
		return "fatal"
	}
	return strconv.Itoa(int(level))
}

// CodeName returns a code point in hex ("0x1a1a"), as the tables have those
// without a name.
func CodeName(v uint16) string { return hex16(v) }

func hex16(v uint16) string {
	const digits = "0123456789abcdef"
	return string([]byte{'0', 'x', digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15]})
}
