package dns

import "strconv"

// The names are the mnemonics of the IANA registry "Domain Name System (DNS)
// Parameters", as zone files write them.

// Resource record types that the code treats by name.
const (
	typeA          = 1
	typeNS         = 2
	typeMD         = 3
	typeMF         = 4
	typeCNAME      = 5
	typeSOA        = 6
	typeMB         = 7
	typeMG         = 8
	typeMR         = 9
	typeNULL       = 10
	typeWKS        = 11
	typePTR        = 12
	typeHINFO      = 13
	typeMINFO      = 14
	typeMX         = 15
	typeTXT        = 16
	typeRP         = 17
	typeAFSDB      = 18
	typeX25        = 19
	typeISDN       = 20
	typeRT         = 21
	typeNSAP       = 22
	typeNSAPPTR    = 23
	typeSIG        = 24
	typeKEY        = 25
	typePX         = 26
	typeGPOS       = 27
	typeAAAA       = 28
	typeLOC        = 29
	typeNXT        = 30
	typeEID        = 31
	typeNIMLOC     = 32
	typeSRV        = 33
	typeATMA       = 34
	typeNAPTR      = 35
	typeKX         = 36
	typeCERT       = 37
	typeA6         = 38
	typeDNAME      = 39
	typeSINK       = 40
	typeOPT        = 41
	typeAPL        = 42
	typeDS         = 43
	typeSSHFP      = 44
	typeIPSECKEY   = 45
	typeRRSIG      = 46
	typeNSEC       = 47
	typeDNSKEY     = 48
	typeDHCID      = 49
	typeNSEC3      = 50
	typeNSEC3PARAM = 51
	typeTLSA       = 52
	typeSMIMEA     = 53
	typeHIP        = 55
	typeNINFO      = 56
	typeRKEY       = 57
	typeTALINK     = 58
	typeCDS        = 59
	typeCDNSKEY    = 60
	typeOPENPGPKEY = 61
	typeCSYNC      = 62
	typeZONEMD     = 63
	typeSVCB       = 64
	typeHTTPS      = 65
	typeDSYNC      = 66
	typeHHIT       = 67
	typeBRID       = 68
	typeSPF        = 99
	typeNID        = 104
	typeL32        = 105
	typeL64        = 106
	typeLP         = 107
	typeEUI48      = 108
	typeEUI64      = 109
	typeNXNAME     = 128
	typeTKEY       = 249
	typeTSIG       = 250
	typeURI        = 256
	typeCAA        = 257
	typeAVC        = 258
	typeDOA        = 259
	typeAMTRELAY   = 260
	typeRESINFO    = 261
	typeWALLET     = 262
	typeCLA        = 263
	typeIPN        = 264
	typeTA         = 32768
	typeDLV        = 32769
)

var typeNames = [...]string{
	1: "A", 2: "NS", 3: "MD", 4: "MF", 5: "CNAME", 6: "SOA", 7: "MB", 8: "MG", 9: "MR", 10: "NULL",
	11: "WKS", 12: "PTR", 13: "HINFO", 14: "MINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB",
	19: "X25", 20: "ISDN", 21: "RT", 22: "NSAP", 23: "NSAP-PTR", 24: "SIG", 25: "KEY", 26: "PX",
	27: "GPOS", 28: "AAAA", 29: "LOC", 30: "NXT", 31: "EID", 32: "NIMLOC", 33: "SRV", 34: "ATMA",
	35: "NAPTR", 36: "KX", 37: "CERT", 38: "A6", 39: "DNAME", 40: "SINK", 41: "OPT", 42: "APL",
	43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID",
	50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 56: "NINFO", 57: "RKEY",
	58: "TALINK", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC", 63: "ZONEMD",
	64: "SVCB", 65: "HTTPS", 66: "DSYNC", 67: "HHIT", 68: "BRID",
	99: "SPF", 100: "UINFO", 101: "UID", 102: "GID", 103: "UNSPEC",
	104: "NID", 105: "L32", 106: "L64", 107: "LP", 108: "EUI48", 109: "EUI64", 128: "NXNAME",
	249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB", 254: "MAILA", 255: "ANY",
	256: "URI", 257: "CAA", 258: "AVC", 259: "DOA", 260: "AMTRELAY", 261: "RESINFO",
	262: "WALLET", 263: "CLA", 264: "IPN",
}

// TypeName returns the registry's name of a resource record type or query
// type, "ANY" for 255, and "" where it has none.
func TypeName(t uint16) string {
	switch {
	case int(t) < len(typeNames):
		return typeNames[t]
	case t == typeTA:
		return "TA"
	case t == typeDLV:
		return "DLV"
	}
	return ""
}

// AppendType appends the type's name, or TYPE and its number (RFC 3597
// section 5).
func AppendType(dst []byte, t uint16) []byte {
	if s := TypeName(t); s != "" {
		return append(dst, s...)
	}
	return strconv.AppendUint(append(dst, "TYPE"...), uint64(t), 10)
}

const (
	classIN   = 1
	classCH   = 3
	classHS   = 4
	classNone = 254
	classAny  = 255
)

// ClassName returns the name of a class, and "" where it has none.
func ClassName(c uint16) string {
	switch c {
	case classIN:
		return "IN"
	case classCH:
		return "CH"
	case classHS:
		return "HS"
	case classNone:
		return "NONE"
	case classAny:
		return "ANY"
	}
	return ""
}

// AppendClass appends the class's name, or CLASS and its number (RFC 3597
// section 5).
func AppendClass(dst []byte, c uint16) []byte {
	if s := ClassName(c); s != "" {
		return append(dst, s...)
	}
	return strconv.AppendUint(append(dst, "CLASS"...), uint64(c), 10)
}

const (
	opcodeQuery  = 0
	opcodeNotify = 4
	opcodeUpdate = 5
	opcodeDSO    = 6
)

var opcodeNames = [...]string{0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

// OpcodeName returns the name of an opcode, and "" where it has none.
func OpcodeName(op uint8) string {
	if int(op) < len(opcodeNames) {
		return opcodeNames[op]
	}
	return ""
}

// AppendOpcode appends the opcode's name, or OPCODE and its number.
func AppendOpcode(dst []byte, op uint8) []byte {
	if s := OpcodeName(op); s != "" {
		return append(dst, s...)
	}
	return strconv.AppendUint(append(dst, "OPCODE"...), uint64(op), 10)
}

var rcodeNames = [...]string{
	0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
	6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
	16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
	22: "BADTRUNC", 23: "BADCOOKIE",
}

// RcodeName returns the name of a response code, and "" where it has none. 16
// is BADVERS, as in a message; in a TSIG record the number means BADSIG.
func RcodeName(r uint16) string {
	if int(r) < len(rcodeNames) {
		return rcodeNames[r]
	}
	return ""
}

// AppendRcode appends the response code's name, or RCODE and its number.
func AppendRcode(dst []byte, r uint16) []byte {
	if s := RcodeName(r); s != "" {
		return append(dst, s...)
	}
	return strconv.AppendUint(append(dst, "RCODE"...), uint64(r), 10)
}

var extendedErrorNames = [...]string{
	"Other Error", "Unsupported DNSKEY Algorithm", "Unsupported DS Digest Type", "Stale Answer",
	"Forged Answer", "DNSSEC Indeterminate", "DNSSEC Bogus", "Signature Expired",
	"Signature Not Yet Valid", "DNSKEY Missing", "RRSIGs Missing", "No Zone Key Bit Set",
	"NSEC Missing", "Cached Error", "Not Ready", "Blocked", "Censored", "Filtered", "Prohibited",
	"Stale NXDomain Answer", "Not Authoritative", "Not Supported", "No Reachable Authority",
	"Network Error", "Invalid Data", "Signature Expired before Valid", "Too Early",
	"Unsupported NSEC3 Iterations Value", "Unable to conform to policy", "Synthesized",
	"Invalid Query Type",
}

// ExtendedErrorName returns the registry's name of an extended DNS error (RFC
// 8914), and "" where it has none.
func ExtendedErrorName(code uint16) string {
	if int(code) < len(extendedErrorNames) {
		return extendedErrorNames[code]
	}
	return ""
}

// Keys of service parameters (RFC 9460 section 14.3.2).
const (
	svcMandatory     = 0
	svcALPN          = 1
	svcNoDefaultALPN = 2
	svcPort          = 3
	svcIPv4Hint      = 4
	svcECH           = 5
	svcIPv6Hint      = 6
	svcDoHPath       = 7
	svcOHTTP         = 8
	svcGroups        = 9
	svcDoCPath       = 10
)

var svcNames = [...]string{
	"mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath",
	"ohttp", "tls-supported-groups", "docpath",
}

func appendSvcKey(dst []byte, key uint16) []byte {
	if int(key) < len(svcNames) {
		return append(dst, svcNames[key]...)
	}
	return strconv.AppendUint(append(dst, "key"...), uint64(key), 10)
}

// certTypes are the certificate types of RFC 4398 section 2.1.
var certTypes = [...]string{
	1: "PKIX", 2: "SPKI", 3: "PGP", 4: "IPKIX", 5: "ISPKI", 6: "IPGP", 7: "ACPKIX", 8: "IACPKIX",
	253: "URI", 254: "OID",
}
