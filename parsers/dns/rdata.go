package dns

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// rdata reads one record's data, and cannot read past its end: what would
// makes it bad, and yields zeros.
type rdata struct {
	msg      []byte // the whole message, for compression pointers
	off, end int    // off ≤ end ≤ len(msg)
	text     int    // length that the text may grow to
	bad      bool
}

// appendRdata appends the presentation form of msg[off:end], the data of a
// record of the type and class. ok is false where it does not fit its type's
// format and is therefore in the unknown form.
func appendRdata(dst, msg []byte, off, end int, typ, class uint16) (out []byte, ok bool) {
	if off == end && (class == classAny || class == classNone) {
		return dst, true // UPDATE (RFC 2136 section 2.4, 2.5): no data
	}
	r := rdata{msg: msg, off: off, end: end, text: len(dst) + textBudget(end-off)}
	from := len(dst)
	out, known := r.append(dst, typ, class)
	if known && !r.bad && r.off == r.end && len(out) <= r.text {
		return out, true
	}
	return appendUnknown(out[:from], msg[off:end]), !known || !r.bad && r.off == r.end
}

// textBudget is how long the text of n bytes may get. Honest text takes about
// four times its bytes; compression pointers and bitmaps make a hundred possible.
func textBudget(n int) int { return 4<<10 + 16*n }

// appendUnknown appends data in the form of RFC 3597 section 5.
func appendUnknown(dst, data []byte) []byte {
	dst = strconv.AppendUint(append(dst, `\# `...), uint64(len(data)), 10)
	if len(data) > 0 {
		dst = appendHex(append(dst, ' '), data)
	}
	return dst
}

// append appends the presentation form by type; known is false where the type
// has none.
func (r *rdata) append(dst []byte, typ, class uint16) (out []byte, known bool) {
	switch typ {
	case typeA:
		if class == classCH { // a network's name and a host number, in octal (RFC 1034 section 3.6 leaves it to Chaos)
			dst = r.name(dst)
			return strconv.AppendUint(append(dst, ' '), uint64(r.u16()), 8), true
		}
		return r.ip4(dst), true
	case typeAAAA:
		return r.ip6(dst), true
	case typeNS, typeMD, typeMF, typeCNAME, typeMB, typeMG, typeMR, typePTR, typeNSAPPTR, typeDNAME:
		return r.name(dst), true
	case typeSOA:
		dst = r.name(dst)
		dst = r.name(append(dst, ' '))
		for range 5 {
			dst = r.dec32(append(dst, ' '))
		}
		return dst, true
	case typeMINFO, typeRP, typeTALINK:
		return r.name(append(r.name(dst), ' ')), true
	case typeMX, typeAFSDB, typeRT, typeKX, typeLP:
		return r.name(append(r.dec16(dst), ' ')), true
	case typePX:
		dst = r.name(append(r.dec16(dst), ' '))
		return r.name(append(dst, ' ')), true
	case typeSRV:
		for range 3 {
			dst = append(r.dec16(dst), ' ')
		}
		return r.name(dst), true
	case typeTXT, typeSPF, typeNINFO, typeAVC, typeRESINFO, typeWALLET, typeCLA:
		return r.texts(dst, 1<<16), true
	case typeHINFO:
		return r.quoted(append(r.quoted(dst), ' ')), true
	case typeX25:
		return r.quoted(dst), true
	case typeISDN:
		return r.texts(dst, 2), true
	case typeGPOS:
		dst = r.quoted(append(r.quoted(dst), ' '))
		return r.quoted(append(dst, ' ')), true
	case typeWKS:
		return r.wks(dst), true
	case typeNSAP:
		return r.hex(append(dst, "0x"...)), true
	case typeSIG, typeRRSIG:
		return r.signature(dst), true
	case typeKEY, typeDNSKEY, typeCDNSKEY, typeRKEY:
		dst = append(r.dec16(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		dst = r.dec8(dst)
		if r.off < r.end { // a KEY may say that there is none (RFC 2535 section 3.1.2)
			dst = r.base64(append(dst, ' '))
		}
		return dst, true
	case typeLOC:
		return r.loc(dst)
	case typeNXT:
		return r.nxt(r.name(dst)), true
	case typeEID, typeNIMLOC:
		return r.hex(dst), true
	case typeATMA:
		return r.atma(dst)
	case typeNAPTR:
		dst = append(r.dec16(dst), ' ')
		dst = append(r.dec16(dst), ' ')
		for range 3 {
			dst = append(r.quoted(dst), ' ')
		}
		return r.name(dst), true
	case typeCERT:
		if t := int(r.u16()); t < len(certTypes) && certTypes[t] != "" {
			dst = append(dst, certTypes[t]...)
		} else {
			dst = strconv.AppendUint(dst, uint64(t), 10)
		}
		dst = r.dec16(append(dst, ' '))
		dst = r.dec8(append(dst, ' '))
		return r.base64(append(dst, ' ')), true
	case typeA6:
		return r.a6(dst), true
	case typeSINK:
		dst = append(r.dec8(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		dst = r.dec8(dst)
		if r.off < r.end {
			dst = r.base64(append(dst, ' '))
		}
		return dst, true
	case typeAPL:
		return r.apl(dst)
	case typeDS, typeCDS, typeDLV, typeTA:
		dst = append(r.dec16(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		return r.hex(dst), true
	case typeSSHFP:
		dst = append(r.dec8(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		return r.hex(dst), true
	case typeIPSECKEY:
		dst = append(r.dec8(dst), ' ')
		kind := r.u8()
		dst = strconv.AppendUint(dst, uint64(kind), 10)
		dst = append(r.dec8(append(dst, ' ')), ' ')
		dst = r.gateway(dst, kind)
		if r.off < r.end {
			dst = r.base64(append(dst, ' '))
		}
		return dst, true
	case typeNSEC:
		return r.bitmap(r.name(dst)), true
	case typeDHCID, typeOPENPGPKEY, typeHHIT, typeBRID:
		return r.base64(dst), true
	case typeNSEC3, typeNSEC3PARAM:
		dst = append(r.dec8(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		dst = append(r.dec16(dst), ' ')
		if salt := r.counted(); len(salt) > 0 {
			dst = appendHex(dst, salt)
		} else {
			dst = append(dst, '-')
		}
		if typ == typeNSEC3 {
			dst = base32Hex.AppendEncode(append(dst, ' '), r.counted())
			dst = r.bitmap(dst)
		}
		return dst, true
	case typeTLSA, typeSMIMEA:
		for range 3 {
			dst = append(r.dec8(dst), ' ')
		}
		return r.hex(dst), true
	case typeHIP:
		return r.hip(dst), true
	case typeCSYNC:
		dst = append(r.dec32(dst), ' ')
		return r.bitmap(r.dec16(dst)), true
	case typeZONEMD:
		dst = append(r.dec32(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		return r.hex(dst), true
	case typeSVCB, typeHTTPS:
		return r.svcb(dst), true
	case typeDSYNC: // RFC 9859
		dst = AppendType(dst, r.u16())
		if scheme := r.u8(); scheme == 1 {
			dst = append(dst, " NOTIFY "...)
		} else {
			dst = append(strconv.AppendUint(append(dst, ' '), uint64(scheme), 10), ' ')
		}
		return r.name(append(r.dec16(dst), ' ')), true
	case typeNID, typeL64:
		dst = append(r.dec16(dst), ' ')
		for i := range 4 {
			if i > 0 {
				dst = append(dst, ':')
			}
			v := r.u16()
			dst = append(dst, hexLower[v>>12], hexLower[v>>8&15], hexLower[v>>4&15], hexLower[v&15])
		}
		return dst, true
	case typeL32:
		return r.ip4(append(r.dec16(dst), ' ')), true
	case typeEUI48:
		return r.eui(dst, 6), true
	case typeEUI64:
		return r.eui(dst, 8), true
	case typeTKEY:
		return r.tkey(dst), true
	case typeTSIG:
		return r.tsig(dst), true
	case typeURI:
		dst = append(r.dec16(dst), ' ')
		dst = append(r.dec16(dst), ' ')
		return appendQuoted(dst, r.rest()), true
	case typeCAA:
		dst = append(r.dec8(dst), ' ')
		tag := r.counted()
		for _, c := range tag { // RFC 8659 section 4.1
			r.bad = r.bad || !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9')
		}
		r.bad = r.bad || len(tag) == 0
		dst = append(append(dst, tag...), ' ')
		return appendQuoted(dst, r.rest()), true
	case typeDOA: // draft-durand-doa-over-dns section 3
		dst = append(r.dec32(dst), ' ')
		dst = append(r.dec32(dst), ' ')
		dst = append(r.dec8(dst), ' ')
		dst = append(r.quoted(dst), ' ')
		if r.off == r.end {
			return append(dst, '-'), true
		}
		return r.base64(dst), true
	case typeAMTRELAY: // RFC 8777 section 4.3
		dst = append(r.dec8(dst), ' ')
		b := r.u8()
		dst = append(dst, '0'+b>>7, ' ')
		dst = strconv.AppendUint(dst, uint64(b&0x7f), 10)
		return r.gateway(append(dst, ' '), b&0x7f), true
	case typeIPN:
		hi := r.u32()
		return strconv.AppendUint(dst, uint64(hi)<<32|uint64(r.u32()), 10), true
	case typeNXNAME:
		r.bad = true // only ever in bitmaps (RFC 9824 section 3.3)
		return dst, true
	}
	r.off = r.end
	return dst, false
}

// bytes returns the next n bytes.
func (r *rdata) bytes(n int) []byte {
	if n > r.end-r.off {
		r.bad, r.off = true, r.end
		return nil
	}
	b := r.msg[r.off : r.off+n]
	r.off += n
	return b
}

func (r *rdata) rest() []byte { return r.bytes(r.end - r.off) }

// counted returns what a length byte counts.
func (r *rdata) counted() []byte { return r.bytes(int(r.u8())) }

func (r *rdata) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *rdata) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *rdata) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *rdata) dec8(dst []byte) []byte  { return strconv.AppendUint(dst, uint64(r.u8()), 10) }
func (r *rdata) dec16(dst []byte) []byte { return strconv.AppendUint(dst, uint64(r.u16()), 10) }
func (r *rdata) dec32(dst []byte) []byte { return strconv.AppendUint(dst, uint64(r.u32()), 10) }

// name appends a name. Compression is allowed in every type, though RFC 3597
// section 4 forbids it in new ones: multicast DNS uses it (RFC 6762 section 18.14).
func (r *rdata) name(dst []byte) []byte {
	if r.off >= r.end {
		r.bad = true
		return dst
	}
	dst, next, rule := appendName(dst, r.msg, r.off)
	if rule != WellFormed || next > r.end {
		r.bad, r.off = true, r.end
		return dst
	}
	r.off = next
	return dst
}

func (r *rdata) hex(dst []byte) []byte    { return appendHex(dst, r.rest()) }
func (r *rdata) base64(dst []byte) []byte { return base64.StdEncoding.AppendEncode(dst, r.rest()) }

// base32Hex is what NSEC3 writes hashes in (RFC 5155 section 3.3).
var base32Hex = base32.HexEncoding.WithPadding(base32.NoPadding)

const (
	hexUpper = "0123456789ABCDEF"
	hexLower = "0123456789abcdef"
)

func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, hexUpper[c>>4], hexUpper[c&15])
	}
	return dst
}

func (r *rdata) ip4(dst []byte) []byte {
	b := r.bytes(4)
	if b == nil {
		return dst
	}
	return appendIP4(dst, b)
}

func appendIP4(dst, b []byte) []byte {
	for i, c := range b[:4] {
		if i > 0 {
			dst = append(dst, '.')
		}
		if c >= 100 {
			dst = append(dst, '0'+c/100)
		}
		if c >= 10 {
			dst = append(dst, '0'+c/10%10)
		}
		dst = append(dst, '0'+c%10)
	}
	return dst
}

func (r *rdata) ip6(dst []byte) []byte {
	b := r.bytes(16)
	if b == nil {
		return dst
	}
	return netip.AddrFrom16([16]byte(b)).AppendTo(dst)
}

// quoted appends one character-string (RFC 1035 section 3.3) in quotes.
func (r *rdata) quoted(dst []byte) []byte { return appendQuoted(dst, r.counted()) }

// texts appends one to limit character-strings.
func (r *rdata) texts(dst []byte, limit int) []byte {
	dst = r.quoted(dst)
	for ; limit > 1 && r.off < r.end; limit-- {
		dst = r.quoted(append(dst, ' '))
	}
	return dst
}

func appendQuoted(dst, b []byte) []byte {
	dst = append(dst, '"')
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c > '~':
			dst = appendDDD(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// wks appends well-known services (RFC 1035 section 3.4.2), protocol and
// ports as numbers.
func (r *rdata) wks(dst []byte) []byte {
	dst = r.dec8(append(r.ip4(dst), ' '))
	for i, b := range r.rest() {
		if len(dst) > r.text {
			break
		}
		for bit := range 8 {
			if b&(0x80>>bit) != 0 {
				dst = strconv.AppendUint(append(dst, ' '), uint64(i*8+bit), 10)
			}
		}
	}
	return dst
}

// signature appends SIG and RRSIG (RFC 4034 section 3.2).
func (r *rdata) signature(dst []byte) []byte {
	dst = append(AppendType(dst, r.u16()), ' ')
	dst = append(r.dec8(dst), ' ')
	dst = append(r.dec8(dst), ' ')
	dst = append(r.dec32(dst), ' ')
	dst = append(appendDate(dst, r.u32()), ' ')
	dst = append(appendDate(dst, r.u32()), ' ')
	dst = append(r.dec16(dst), ' ')
	dst = append(r.name(dst), ' ')
	return r.base64(dst)
}

// appendDate appends YYYYMMDDHHMMSS of seconds since the Unix epoch.
func appendDate(dst []byte, t uint32) []byte {
	// Days are counted from 1 March of year 0, so that leap days end years.
	days := t/86400 + 719468
	era := days / 146097
	ofEra := days % 146097
	year := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*year + year/4 - year/100)
	mp := (5*ofYear + 2) / 153
	day := ofYear - (153*mp+2)/5 + 1
	month := mp + 3
	year += era * 400
	if month > 12 {
		month -= 12
		year++
	}
	dst = append2(append2(dst, year/100), year%100)
	dst = append2(append2(dst, month), day)
	s := t % 86400
	return append2(append2(append2(dst, s/3600), s/60%60), s%60)
}

func append2(dst []byte, v uint32) []byte { return append(dst, '0'+byte(v/10), '0'+byte(v%10)) }

// bitmap appends the types of NSEC's windows (RFC 4034 section 4.1.2).
func (r *rdata) bitmap(dst []byte) []byte {
	last := -1
	for r.off < r.end {
		window := int(r.u8())
		bits := r.counted()
		if window <= last || len(bits) == 0 || len(bits) > 32 {
			r.bad = true
			return dst
		}
		last = window
		if len(dst) > r.text {
			continue
		}
		for i, b := range bits {
			for bit := 0; b != 0; bit, b = bit+1, b<<1 {
				if b&0x80 != 0 {
					dst = AppendType(append(dst, ' '), uint16(window<<8|i<<3|bit))
				}
			}
		}
	}
	return dst
}

// nxt appends the types of NXT's bitmap (RFC 2535 section 5.2).
func (r *rdata) nxt(dst []byte) []byte {
	bits := r.rest()
	r.bad = r.bad || len(bits) > 16
	for i, b := range bits[:min(len(bits), 16)] {
		for bit := range 8 {
			if b&(0x80>>bit) != 0 {
				dst = AppendType(append(dst, ' '), uint16(i<<3|bit))
			}
		}
	}
	return dst
}

// loc appends a location (RFC 1876 section 3). Only version 0 has a format.
func (r *rdata) loc(dst []byte) (out []byte, known bool) {
	if r.u8() != 0 {
		r.off = r.end
		return dst, false
	}
	size, horizontal, vertical := r.u8(), r.u8(), r.u8()
	dst = r.degrees(dst, 90, "N S ")
	dst = r.degrees(dst, 180, "E W ")
	altitude := int64(r.u32()) - 10_000_000 // centimetres above 100 km below the spheroid
	if altitude < 0 {
		dst = append(dst, '-')
		altitude = -altitude
	}
	dst = strconv.AppendInt(dst, altitude/100, 10)
	dst = append2(append(dst, '.'), uint32(altitude%100))
	dst = append(dst, 'm')
	for _, v := range [...]uint8{size, horizontal, vertical} {
		mantissa, exponent := uint64(v>>4), v&15
		if mantissa > 9 || exponent > 9 {
			r.bad = true
			return dst, true
		}
		for range exponent {
			mantissa *= 10
		}
		dst = strconv.AppendUint(append(dst, ' '), mantissa/100, 10)
		if exponent < 2 {
			dst = append2(append(dst, '.'), uint32(mantissa%100))
		}
		dst = append(dst, 'm')
	}
	return dst, true
}

// degrees appends an angle, which is in thousandths of a second around 2^31.
func (r *rdata) degrees(dst []byte, limit int64, letters string) []byte {
	v := int64(r.u32()) - 1<<31
	if v < 0 {
		v = -v
		letters = letters[2:]
	}
	r.bad = r.bad || v > limit*3_600_000
	dst = append(strconv.AppendInt(dst, v/3_600_000, 10), ' ')
	dst = append(strconv.AppendInt(dst, v/60_000%60, 10), ' ')
	dst = append(strconv.AppendInt(dst, v/1000%60, 10), '.', '0'+byte(v/100%10), '0'+byte(v/10%10), '0'+byte(v%10), ' ')
	return append(dst, letters[:2]...)
}

// atma appends an ATM address: format 0 in hexadecimal, 1 as an E.164 number.
func (r *rdata) atma(dst []byte) (out []byte, known bool) {
	switch r.u8() {
	case 0:
		return r.hex(dst), true
	case 1:
		dst = append(dst, '+')
		for _, c := range r.rest() {
			r.bad = r.bad || c < '0' || c > '9'
			dst = append(dst, c)
		}
		return dst, true
	}
	r.off = r.end
	return dst, false
}

// a6 appends an A6 record (RFC 2874 section 3.1).
func (r *rdata) a6(dst []byte) []byte {
	prefix := int(r.u8())
	dst = strconv.AppendUint(dst, uint64(prefix), 10)
	if prefix > 128 {
		r.bad = true
		return dst
	}
	if prefix < 128 {
		var a [16]byte
		n := (128 - prefix + 7) / 8
		copy(a[16-n:], r.bytes(n))
		if prefix%8 != 0 {
			a[16-n] &= 0xff >> (prefix % 8) // padding
		}
		dst = netip.AddrFrom16(a).AppendTo(append(dst, ' '))
	}
	if prefix > 0 {
		dst = r.name(append(dst, ' '))
	}
	return dst
}

// apl appends address prefixes (RFC 3123 section 4), known of IPv4 and IPv6.
func (r *rdata) apl(dst []byte) (out []byte, known bool) {
	for first := true; r.off < r.end; first = false {
		if !first {
			dst = append(dst, ' ')
		}
		family, prefix, n := r.u16(), r.u8(), r.u8()
		b := r.bytes(int(n & 0x7f))
		if n&0x80 != 0 {
			dst = append(dst, '!')
		}
		var a [16]byte
		switch family {
		case 1:
			r.bad = r.bad || len(b) > 4 || prefix > 32
			copy(a[:4], b)
			dst = appendIP4(append(dst, "1:"...), a[:])
		case 2:
			r.bad = r.bad || len(b) > 16 || prefix > 128
			copy(a[:], b)
			dst = netip.AddrFrom16(a).AppendTo(append(dst, "2:"...))
		default:
			r.off = r.end
			return dst, false
		}
		dst = strconv.AppendUint(append(dst, '/'), uint64(prefix), 10)
	}
	return dst, true
}

// gateway appends the gateway of IPSECKEY (RFC 4025 section 2.5) and the relay
// of AMTRELAY.
func (r *rdata) gateway(dst []byte, kind uint8) []byte {
	switch kind {
	case 0:
		return append(dst, '.')
	case 1:
		return r.ip4(dst)
	case 2:
		return r.ip6(dst)
	case 3:
		return r.name(dst)
	}
	r.bad = true
	return dst
}

// hip appends a HIP record (RFC 8005 section 5).
func (r *rdata) hip(dst []byte) []byte {
	n := int(r.u8())
	dst = append(r.dec8(dst), ' ')
	keyLen := int(r.u16())
	dst = append(appendHex(dst, r.bytes(n)), ' ')
	dst = base64.StdEncoding.AppendEncode(dst, r.bytes(keyLen))
	// The servers' names must not be compressed: as many as there can be,
	// they would be a bomb.
	for r.off < r.end && !r.bad && len(dst) <= r.text {
		own := *r
		for c := own.u8(); c != 0 && !own.bad; c = own.u8() {
			own.bytes(int(c))
			own.bad = own.bad || c >= 0x40
		}
		r.bad = own.bad
		dst = r.name(append(dst, ' '))
	}
	return dst
}

// svcb appends a service binding (RFC 9460 section 2.1, appendix A).
func (r *rdata) svcb(dst []byte) []byte {
	dst = r.name(append(r.dec16(dst), ' '))
	last := -1
	for r.off < r.end && !r.bad {
		key := r.u16()
		value := rdata{msg: r.msg, off: r.off + 2}
		r.bytes(int(r.u16()))
		value.end = r.off
		if r.bad || int(key) <= last {
			r.bad = true
			return dst
		}
		last = int(key)
		dst = value.svcParam(appendSvcKey(append(dst, ' '), key), key)
		r.bad = value.bad || value.off != value.end
	}
	return dst
}

func (r *rdata) svcParam(dst []byte, key uint16) []byte {
	n := r.end - r.off
	switch key {
	case svcNoDefaultALPN, svcOHTTP:
		return dst // has no value
	case svcPort:
		return r.dec16(append(dst, '='))
	case svcECH:
		return r.base64(append(dst, '='))
	case svcALPN, svcDoCPath:
		dst = append(dst, '=', '"')
		for r.bad = n == 0 && key == svcALPN; r.off < r.end; {
			b := r.counted()
			r.bad = r.bad || len(b) == 0
			for _, c := range b { // escaped for the list, then for the quotes
				switch {
				case c == ',':
					dst = append(dst, `\\,`...)
				case c == '\\':
					dst = append(dst, `\\\\`...)
				case c == '"':
					dst = append(dst, '\\', c)
				case c < ' ' || c > '~':
					dst = appendDDD(dst, c)
				default:
					dst = append(dst, c)
				}
			}
			if r.off < r.end {
				dst = append(dst, ',')
			}
		}
		return append(dst, '"')
	case svcMandatory, svcIPv4Hint, svcIPv6Hint, svcGroups:
		r.bad = n == 0
		for sep := byte('='); r.off < r.end; sep = ',' {
			dst = append(dst, sep)
			switch key {
			case svcMandatory:
				dst = appendSvcKey(dst, r.u16())
			case svcIPv4Hint:
				dst = r.ip4(dst)
			case svcIPv6Hint:
				dst = r.ip6(dst)
			default:
				dst = r.dec16(dst)
			}
		}
		return dst
	}
	if n == 0 {
		return dst
	}
	return appendQuoted(append(dst, '='), r.rest())
}

func (r *rdata) eui(dst []byte, n int) []byte {
	for i, c := range r.bytes(n) {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexLower[c>>4], hexLower[c&15])
	}
	return dst
}

// tkey appends a TKEY record (RFC 2930 section 2), times in seconds.
func (r *rdata) tkey(dst []byte) []byte {
	dst = append(r.name(dst), ' ')
	dst = append(r.dec32(dst), ' ')
	dst = append(r.dec32(dst), ' ')
	dst = append(r.dec16(dst), ' ')
	dst = append(appendTSIGError(dst, r.u16()), ' ')
	dst = append(r.sized64(dst), ' ')
	return r.sized64(dst)
}

// tsig appends a TSIG record (RFC 8945 section 4.2): algorithm, time, fudge,
// MAC, original identifier, error, other data.
func (r *rdata) tsig(dst []byte) []byte {
	dst = append(r.name(dst), ' ')
	hi := r.u16()
	dst = append(strconv.AppendUint(dst, uint64(hi)<<32|uint64(r.u32()), 10), ' ')
	dst = append(r.dec16(dst), ' ')
	dst = append(r.sized64(dst), ' ')
	dst = append(r.dec16(dst), ' ')
	dst = append(appendTSIGError(dst, r.u16()), ' ')
	return r.sized64(dst)
}

// appendTSIGError appends a response code as TSIG and TKEY mean it.
func appendTSIGError(dst []byte, code uint16) []byte {
	if code == 16 {
		return append(dst, "BADSIG"...)
	}
	return AppendRcode(dst, code)
}

// sized64 appends the length and the base64 of what a 16-bit length counts.
func (r *rdata) sized64(dst []byte) []byte {
	b := r.bytes(int(r.u16()))
	dst = strconv.AppendInt(dst, int64(len(b)), 10)
	if len(b) > 0 {
		dst = base64.StdEncoding.AppendEncode(append(dst, ' '), b)
	}
	return dst
}
