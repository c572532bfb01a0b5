package tls

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxName bounds the text of a distinguished name: escapes make it up to
// four times its bytes.
const maxName = 64 << 10

// nameText returns a Name (contents of its SEQUENCE) as RFC 4514 text: the
// last component first, values escaped, what has no short name as its
// OID with the value in hex. ok is false where it breaks off.
func nameText(name der) (text string, ok bool) {
	var rdns []der
	rest := name
	for len(rest) > 0 {
		rdn, good := rest.take(tagSet)
		if !good {
			break
		}
		rdns = append(rdns, rdn)
	}
	ok = len(rest) == 0
	var out []byte
	for i := len(rdns) - 1; i >= 0 && len(out) < maxName; i-- {
		if len(out) > 0 {
			out = append(out, ',')
		}
		rdn := rdns[i]
		for first := true; len(rdn) > 0; first = false {
			pair, good := rdn.take(tagSequence)
			oid, good2 := pair.take(tagOID)
			tag, value, whole, good3 := pair.next()
			if !good || !good2 || !good3 {
				ok = false
				break
			}
			if !first {
				out = append(out, '+')
			}
			out = appendAttribute(out, oid, tag, value, whole)
		}
	}
	return string(out), ok
}

// commonName returns the text of the first CN of a name.
func commonName(name der) string {
	for len(name) > 0 {
		rdn, ok := name.take(tagSet)
		if !ok {
			return ""
		}
		for len(rdn) > 0 {
			pair, _ := rdn.take(tagSequence)
			oid, _ := pair.take(tagOID)
			tag, value, _, ok := pair.next()
			if !ok {
				return ""
			}
			if string(oid) == "\x55\x04\x03" {
				text, _ := stringText(tag, value)
				return cleanText(text)
			}
		}
	}
	return ""
}

func appendAttribute(out []byte, oid der, tag byte, value, whole der) []byte {
	const digits = "0123456789abcdef"
	name := attributeName(oid)
	text, isText := stringText(tag, value)
	if name == "" || !isText {
		if name == "" {
			name = oidText(oid)
		}
		out = append(append(out, name...), '=', '#')
		for _, c := range whole {
			out = append(out, digits[c>>4], digits[c&15])
		}
		return out
	}
	out = append(append(out, name...), '=')
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		c := text[i]
		switch {
		case r == utf8.RuneError && n <= 1 || c < 0x20 || c == 0x7f:
			out = append(out, '\\', digits[c>>4], digits[c&15])
			n = 1
		case c == '"' || c == '+' || c == ',' || c == ';' || c == '<' || c == '>' || c == '\\',
			c == ' ' && (i == 0 || i == len(text)-1), c == '#' && i == 0:
			out = append(out, '\\', c)
		default:
			out = append(out, text[i:i+n]...)
		}
		i += n
	}
	return out
}

// attributeName returns the short name of an attribute type: those of RFC
// 4514 section 3, and those that the field's tools write for other common ones.
func attributeName(oid []byte) string {
	if len(oid) == 3 && oid[0] == 0x55 && oid[1] == 4 { // 2.5.4
		switch oid[2] {
		case 3:
			return "CN"
		case 4:
			return "SN"
		case 5:
			return "serialNumber"
		case 6:
			return "C"
		case 7:
			return "L"
		case 8:
			return "ST"
		case 9:
			return "STREET"
		case 10:
			return "O"
		case 11:
			return "OU"
		case 12:
			return "title"
		case 13:
			return "description"
		case 15:
			return "businessCategory"
		case 16:
			return "postalAddress"
		case 17:
			return "postalCode"
		case 20:
			return "telephoneNumber"
		case 41:
			return "name"
		case 42:
			return "GN"
		case 43:
			return "initials"
		case 44:
			return "generationQualifier"
		case 45:
			return "x500UniqueIdentifier"
		case 46:
			return "dnQualifier"
		case 65:
			return "pseudonym"
		case 97:
			return "organizationIdentifier"
		}
		return ""
	}
	switch oidText(oid) {
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	case "1.2.840.113549.1.9.2":
		return "unstructuredName"
	case "0.9.2342.19200300.100.1.1":
		return "UID"
	case "0.9.2342.19200300.100.1.3":
		return "mail"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "1.3.6.1.4.1.311.60.2.1.1":
		return "jurisdictionL"
	case "1.3.6.1.4.1.311.60.2.1.2":
		return "jurisdictionST"
	case "1.3.6.1.4.1.311.60.2.1.3":
		return "jurisdictionC"
	}
	return ""
}

// stringText returns the text of an ASN.1 string; the bytes of those that
// are not in the form their type says are returned as they are.
func stringText(tag byte, b []byte) (string, bool) {
	switch tag {
	case tagUTF8String, tagPrintableString, tagIA5String, tagNumericString, tagVisibleString:
		return string(b), true
	case tagT61String: // in practice ISO 8859-1, or UTF-8
		if utf8.Valid(b) {
			return string(b), true
		}
		var out []byte
		for _, c := range b {
			out = utf8.AppendRune(out, rune(c))
		}
		return string(out), true
	case tagBMPString:
		if len(b)%2 != 0 {
			return string(b), true
		}
		units := make([]uint16, 0, len(b)/2)
		return string(utf16.Decode(appendU16s(units, b))), true
	case tagUniversalString:
		if len(b)%4 != 0 {
			return string(b), true
		}
		var out []byte
		for ; len(b) > 0; b = b[4:] {
			out = utf8.AppendRune(out, rune(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3])))
		}
		return string(out), true
	}
	return "", false
}

// cleanText returns s with what is not printable UTF-8 as \xHH.
func cleanText(s string) string {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 || s[i] < 0x20 || s[i] == 0x7f {
			return string(AppendText(nil, s))
		}
		i += n
	}
	return s
}

// AppendText appends b as text: bytes that are no UTF-8 and control
// characters as \xHH, all else as it is.
func AppendText[T string | []byte](dst []byte, b T) []byte {
	const digits = "0123456789abcdef"
	s := []byte(b)
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n <= 1 || s[0] < 0x20 || s[0] == 0x7f {
			dst = append(dst, '\\', 'x', digits[s[0]>>4], digits[s[0]&15])
			n = 1
		} else {
			dst = append(dst, s[:n]...)
		}
		s = s[n:]
	}
	return dst
}
