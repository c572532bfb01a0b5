package ident

import (
	"bytes"

	"github.com/caplake/caplake/parsers"
)

// textDatagram looks for protocols of lines.
func textDatagram(b []byte) Protocol {
	l, whole := line(b)
	switch {
	case starts(b, "M-SEARCH * HTTP/1.1\r") || starts(b, "NOTIFY * HTTP/1.1\r") || starts(b, "NOTIFY * HTTP/1.0\r") || starts(b, "HTTP/1.1 200 OK\r") && containsFold(head(b, 512), "\nST:"):
		return SSDP
	case b[0] == '<' && priority(b):
		return Syslog
	case starts(b, "d1:") && bencoded(b):
		return BitTorrent
	case starts(b, "BT-SEARCH * HTTP/1.1\r"):
		return BitTorrent
	case starts(b, "r6fnvWj8"): // the resolver's magic
		return DNSCrypt
	case starts(b, "{\"host_int\": ") || starts(b, "{\"version\": [") && has(head(b, 256), "\"host_int\""):
		return DropboxLAN
	case starts(b, "MEGACO/") || starts(b, "!/1 "):
		return Megaco
	case cups(b):
		return CUPS
	case starts(b, "ROUGHTIM"):
		return Roughtime
	case mgcp(l):
		return MGCP
	}
	return sipOrRTSP(l, whole)
}

// bencoded looks for the keys of KRPC (BEP 5).
func bencoded(b []byte) bool {
	if !(starts(b, "d1:ad2:id20:") || starts(b, "d1:rd2:id20:") || starts(b, "d1:eli") || starts(b, "d1:q") || starts(b, "d1:t") || starts(b, "d1:v4:")) {
		return false
	}
	return has(b, "1:y1:")
}

// cups looks for what a server tells of a printer: its type and state in hex, and its address.
func cups(b []byte) bool {
	for range 2 {
		n := 0
		for n < len(b) && n < 9 && (b[n]-'0' <= 9 || b[n]-'a' <= 5) {
			n++
		}
		if n == 0 || n == 9 || n == len(b) || b[n] != ' ' {
			return false
		}
		b = b[n+1:]
	}
	return starts(b, "ipp://") || starts(b, "ipps://")
}

func mgcp(l []byte) bool {
	if i := bytes.IndexByte(l, '\r'); i >= 0 { // some end lines with it alone
		l = l[:i]
	}
	if len(l) < 12 || l[4] != ' ' {
		return false
	}
	switch string(l[:4]) {
	case "AUEP", "AUCX", "CRCX", "MDCX", "DLCX", "NTFY", "RQNT", "RSIP", "EPCF":
		return has(l, " MGCP 1.0") || has(l, " MGCP 0.1")
	}
	return false
}

func binaryDatagram(b []byte) (Protocol, parsers.Verdict) {
	n := len(b)
	switch {
	case stun(b) && be16(b[2:]) == n-20 || classicSTUN(b):
		return STUN, yes
	case n >= 80 && b[0] == 4 && b[1] <= 10 && (b[4] == 0x10 || b[4] == 0) && b[5]|b[6] == 0 && (b[4] == 0x10 && le16(b[74:]) == n-80 || b[4] == 0 && be16(b[74:]) == n-80): // DCE 1.1 RPC section 12.5
		return DCERPC, yes
	case dhcp(b):
		return DHCP, yes
	case snmp(b):
		return SNMP, yes
	case ldap(b):
		return CLDAP, yes
	case kerberos(b):
		return Kerberos, yes
	case netbiosName(b):
		return NBNS, yes
	case n >= 14 && b[0] >= 0x10 && b[0] <= 0x16 && b[1] <= 0x0f && be16(b[8:]) == 138: // RFC 1002 section 4.4.1
		return NBDGM, yes
	case ike(b):
		return IKE, yes
	case wireGuard(b):
		return WireGuard, yes
	case openVPN(b):
		return OpenVPN, yes
	case tftp(b):
		return TFTP, yes
	case radius(b):
		return RADIUS, yes
	case starts(b, "\x00\x00\x04\x17\x27\x10\x19\x80") && n >= 16: // BEP 15
		return BitTorrent, yes
	case dhcpv6(b):
		return DHCPv6, yes
	case starts(b, "\x06\x00") && n >= 8 && (b[3] == 7 || b[3] == 6) && (b[2] == 0xff || b[2] < 0x80) && n >= 12: // RMCP
		return IPMI, yes
	case n >= 10 && b[0] == 0x81 && b[1] <= 0x0c && be16(b[2:]) == n && (b[4] == 1 || b[1] != 0x0a && b[1] != 0x0b):
		return BACnet, yes
	case n >= 8 && b[0] == 6 && b[1] == 0x10 && be16(b[4:]) == n && b[2] >= 2 && b[2] <= 9:
		return KNX, yes
	case someIP(b):
		return SOMEIP, yes
	case n >= 34 && b[1]&0x0f == 2 && (be16(b[2:]) == n || be16(b[2:]) == n-2) && b[0]&0x0f <= 13 && (b[0]&0x0f <= 3 || b[0]&0x0f >= 8) && b[5] <= 1 && b[32] <= 5: // IEEE 1588-2008 section 13.3
		return PTP, yes
	case gtp(b):
		return GTP, yes
	case rip(b):
		return RIP, yes
	case n == 20 && b[0] == 0 && b[1] <= 3 && (b[2] == 0 || b[2]&(b[2]-1) == 0 && b[2] <= 16) && starts(b[8:], "cisco\x00"), // RFC 2281 section 5.1
		n >= 42 && starts(b, "\x01\x28\x02"): // version 2, in elements
		return HSRP, yes
	case netFlow(b):
		return NetFlow, yes
	case n >= 20 && be16(b) == 10 && be16(b[2:]) == n && (be16(b[16:]) == 2 || be16(b[16:]) == 3 || be16(b[16:]) >= 256) && be16(b[18:]) >= 4: // RFC 7011 section 3
		return IPFIX, yes
	case n >= 28 && be32(b) == 5 && (be32(b[4:]) == 1 || be32(b[4:]) == 2):
		return SFlow, yes
	case n >= 14 && b[0] == 2 && b[1] >= 1 && b[1] <= 11 && be24(b[2:]) == n && be16(b[12:]) <= 16 && b[7] == 0 && b[8] == 0: // RFC 2608 section 8
		return SLP, yes
	case starts(b, "\x2e\xa7\xd9\x0b") || starts(b, "\x9f\x79\xbc\x40"):
		return Syncthing, yes
	case starts(b, "\x00\x00\x55\xaa") && n >= 20 && starts(b[n-4:], "\x00\x00\xaa\x55"):
		return Tuya, yes
	case starts(b, "\xff\xff\xff\xffTSource Engine Query\x00"):
		return SourceQuery, yes
	case n >= 12 && b[0] == 1 && b[1] >= 1 && b[1] <= 10 && be16(b[2:]) == n && b[5] == 0 && identifier(b[6:8]): // RFC 2165 section 4
		return SLP, yes
	case hartIP(b):
		return HARTIP, yes
	case n >= 64 && be32(b) == 0x02000000 && starts(b[8:], "NONC"), n >= 64 && be32(b) == 0x05000000 && starts(b[20:], "SIG\x00PATH"):
		return Roughtime, yes
	case thriftCompact(b):
		return Thrift, yes
	case dnp3(b):
		return DNP3, yes
	case n >= 30 && be16(b) == 1 && be16(b[2:]) == n-4 && be16(b[8:]) == 0 && be16(b[10:]) == 0x100: // RFC 5036 section 3.5.2
		return LDP, yes
	case synchrophasor(b) && b[0] == 0xaa:
		return Synchrophasor, yes
	case rtcp(b):
		return RTCP, yes
	case enip(b):
		return EtherNetIP, yes
	case babel(b):
		return Babel, yes
	case bfd(b):
		return BFD, yes
	case pfcp(b):
		return PFCP, yes
	case teredo(b):
		return Teredo, yes
	case n >= 26 && starts(b, "\x01\x00") && b[20]|b[21] == 0 && b[24] == 20 && b[25] <= 32 && b[12] == 0: // uTP's data (BEP 29): an extended message (BEP 10)
		return BitTorrent, yes
	case n >= 16 && b[0] >= 0x80 && b[2]|b[3] == 0 && starts(b[8:], "\x00\x00\x06\x01") && has(head(b, 128), "\x0b\x02\x00\x02"): // NEW, with its version (RFC 5456 section 6.2.2)
		return IAX, yes
	}
	if p := sunRPC(b, false); p != None {
		return p, yes
	}
	if v := ntp(b); v != no {
		return NTP, v
	}
	if v := coap(b); v != no {
		return CoAP, v
	}
	if v := rtp(b); v != no {
		return RTP, v
	}
	if n == 20 && b[0] == 0x41 && b[1] <= 2 && be32(b[8:]) == 0 || n >= 20 && b[0] == 0x21 && b[1] <= 2 && (n == 20 || b[1] > 0) { // uTP (BEP 29): SYN, STATE
		return BitTorrent, maybe
	}
	if n >= 32 && n%16 == 0 && starts(b, "\x04\x00\x00\x00") && le32(b[12:]) == 0 { // transport data, whose counter is not beyond 2^32
		return WireGuard, maybe
	}
	return makerDatagram(b)
}

// classicSTUN walks the attributes of a message without the cookie (RFC 3489 section 11).
func classicSTUN(b []byte) bool {
	if len(b) < 28 || be16(b)&^0x0113 != 0 || b[1]&3 == 0 || be16(b[2:]) != len(b)-20 {
		return false
	}
	a := b[20:]
	for len(a) >= 4 {
		t, n := be16(a), (be16(a[2:])+3)&^3
		if t == 0 || t > 0x0020 && t < 0x8000 || t > 0x80ff || n > len(a)-4 {
			return false
		}
		a = a[4+n:]
	}
	return len(a) == 0
}

// dhcp looks for the magic cookie behind BOOTP's fields (RFC 2131 section 3).
func dhcp(b []byte) bool {
	return len(b) >= 240 && (b[0] == 1 || b[0] == 2) && b[2] <= 16 && be32(b[236:]) == 0x63825363
}

// dhcpv6 walks the options of a message (RFC 8415 section 8).
func dhcpv6(b []byte) bool {
	if b[0] == 0 || b[0] > 13 {
		return false
	}
	o := b[4:]
	if b[0] >= 12 { // relayed: hops, two addresses
		if len(b) < 38 {
			return false
		}
		o = b[34:]
	}
	told := false
	for len(o) >= 4 {
		code, n := be16(o), be16(o[2:])
		if code == 0 || code > 150 || n > len(o)-4 {
			return false
		}
		told = told || (code == 1 || code == 2) && n >= 8 && be16(o[4:]) <= 4 || code == 9 && n > 4
		o = o[4+n:]
	}
	return told && len(o) == 0
}

// snmp looks for a version, and what that version has next: a community and a
// PDU (RFC 1157 section 4, RFC 1901 section 3) or global data (RFC 3412 section 6).
func snmp(b []byte) bool {
	if b[0] != 0x30 {
		return false
	}
	length, n := ber(b)
	if n == 0 || length != len(b)-n || length < 8 {
		return false
	}
	b = b[n:]
	if b[0] != 2 || b[1] != 1 {
		return false
	}
	switch v := b[2]; {
	case v <= 1 && b[3] == 4:
		l, k := ber(b[3:])
		if k == 0 || l > len(b)-3-k-2 {
			return false
		}
		pdu := b[3+k+l:]
		return pdu[0] >= 0xa0 && pdu[0] <= 0xa8
	case v == 3:
		return b[3] == 0x30 && len(b) > 8 && b[5] == 2
	}
	return false
}

// netbiosName looks for a name service packet: counts, and an encoded name
// (RFC 1002 section 4.2.1).
func netbiosName(b []byte) bool {
	return len(b) >= 50 && be16(b[4:])+be16(b[6:]) >= 1 && be16(b[4:]) <= 1 && be16(b[6:]) <= 4 && b[12] == 0x20 && encodedName(b[13:]) && (b[45] == 0 || b[45] < 64)
}

// ike looks for a header with an exact length, behind the marker of port 4500
// or not (RFC 2408 section 3.1, RFC 7296 section 3.1).
func ike(b []byte) bool {
	if len(b) >= 32 && be32(b) == 0 {
		b = b[4:]
	}
	if len(b) < 28 || int(be32(b[24:])) != len(b) || be32(b)|be32(b[4:]) == 0 {
		return false
	}
	switch {
	case b[17] == 0x10:
		return (b[18] >= 1 && b[18] <= 6 || b[18] == 32 || b[18] == 33 || b[18] == 243) && b[19]&^7 == 0
	case b[17]>>4 == 2:
		return b[18] >= 34 && b[18] <= 44 && b[19]&^0x38 == 0
	}
	return false
}

// wireGuard looks for a handshake: its messages have one length each.
func wireGuard(b []byte) bool {
	if len(b) < 4 || b[1]|b[2]|b[3] != 0 {
		return false
	}
	return b[0] == 1 && len(b) == 148 || b[0] == 2 && len(b) == 92 || b[0] == 3 && len(b) == 64
}

// tftp looks for a request: a name and a mode (RFC 1350 section 5).
func tftp(b []byte) bool {
	if b[0] != 0 || b[1] != 1 && b[1] != 2 {
		return false
	}
	name := head(b[2:], 256)
	i := bytes.IndexByte(name, 0)
	if i < 1 || !printable(name[:i]) {
		return false
	}
	mode := b[3+i:]
	return startsFold(mode, "OCTET\x00") || startsFold(mode, "NETASCII\x00") || startsFold(mode, "MAIL\x00")
}

// radius walks the attributes of a packet (RFC 2865 section 3).
func radius(b []byte) bool {
	if len(b) < 20 || be16(b[2:]) != len(b) || !(b[0] >= 1 && b[0] <= 5 || b[0] >= 11 && b[0] <= 13 || b[0] >= 40 && b[0] <= 45) {
		return false
	}
	a := b[20:]
	for len(a) >= 2 {
		n := int(a[1])
		if a[0] == 0 || n < 2 || n > len(a) {
			return false
		}
		a = a[n:]
	}
	return len(a) == 0 && len(b) > 20 || len(b) == 20 && b[0] != 1
}

func someIP(b []byte) bool {
	if len(b) < 16 || be32(b[4:]) < 8 || int(be32(b[4:])) > len(b)-8 || b[12] != 1 || b[15] > 0x0a {
		return false
	}
	return (b[14]&^0x20 <= 2 || b[14]&^0x20 == 0x80 || b[14]&^0x20 == 0x81) && (be32(b) == 0xffff8100 || int(be32(b[4:])) == len(b)-8)
}

// gtp looks for a control message of version 1 or 2 with an exact length (TS
// 29.060 section 6, TS 29.274 section 5).
func gtp(b []byte) bool {
	if len(b) < 12 {
		return false
	}
	switch {
	case b[0]&0xe8 == 0x40 && b[0]&7 == 0 && (b[1] <= 3 || b[1] >= 32) && be16(b[2:]) == len(b)-4 || b[0]&0xef == 0x48 && b[1] >= 25 && be16(b[2:]) == len(b)-4:
		return true
	case b[0]&0xf8 == 0x30 && b[1] != 255 && be16(b[2:]) == len(b)-8 && (b[1] <= 31 || b[1] == 254):
		return b[1] != 0
	}
	return false
}

func rip(b []byte) bool {
	if len(b) < 24 || b[0] != 1 && b[0] != 2 || b[1] != 1 && b[1] != 2 || (len(b)-4)%20 != 0 {
		return false
	}
	af := be16(b[4:])
	return (b[2]|b[3] == 0) && (af == 2 || af == 0xffff || af == 0 && be32(b[20:]) == 16)
}

func netFlow(b []byte) bool {
	if len(b) < 24 {
		return false
	}
	count := be16(b[2:])
	switch be16(b) {
	case 1:
		return count > 0 && len(b) == 16+52*count
	case 5:
		return count > 0 && len(b) == 24+48*count
	case 7:
		return count > 0 && len(b) == 24+52*count
	case 9: // sets up to the end
		if count == 0 {
			return false
		}
		for s := b[20:]; len(s) > 0; {
			if len(s) < 4 || be16(s[2:]) < 4 || be16(s[2:]) > len(s) || be16(s) > 1 && be16(s) < 256 {
				return false
			}
			s = s[be16(s[2:]):]
		}
		return true
	}
	return false
}

// ntp looks for a packet of RFC 5905 section 7.3.
func ntp(b []byte) parsers.Verdict {
	n := len(b)
	version, mode := b[0]>>3&7, b[0]&7
	if version < 1 || version > 4 {
		return no
	}
	switch {
	case mode >= 1 && mode <= 5:
		if n < 48 || (n-48)%4 != 0 || n > 1024 || b[1] > 16 && b[1] != 0xe3 && b[1] != 0xfa {
			return no
		}
		// Root delay and dispersion are seconds in the upper half, and few; a
		// dispersion may be without end as long as there is no stratum.
		if b[4] != 0 && b[4] != 0xff || b[8] != 0 && b[1] != 0 && b[1] != 16 {
			return no
		}
		if n != 48 && n != 68 && n != 72 { // fields behind it: a type and a length
			if be16(b[50:]) > n-48 || be16(b[50:]) < 4 {
				return no
			}
		}
		if int8(b[2]) > 17 || int8(b[2]) < -6 && b[2] != 0xe3 {
			return no
		}
		if mode < 3 || mode == 5 && version < 3 { // hardly anybody's, and two bits of anything
			return maybe
		}
		return yes
	case mode == 6 && b[0]>>6 == 0 && n >= 12 && version >= 2 && be16(b[10:]) <= n-12:
		return maybe
	case mode == 7 && b[0]>>6 != 1 && n >= 8: // only answers have more
		return maybe
	}
	return no
}

// coap walks the options of a message (RFC 7252 section 3).
func coap(b []byte) parsers.Verdict {
	if b[0]>>6 != 1 || b[0]&0xf > 8 {
		return no
	}
	class, detail := b[1]>>5, b[1]&0x1f
	if !(class == 0 && detail <= 7 || class == 2 && detail >= 1 && detail <= 5 || class == 2 && detail == 31 || class == 4 && detail <= 15 || class == 5 && detail <= 5) {
		return no
	}
	if b[1] == 0 {
		if len(b) == 4 {
			return maybe
		}
		return no
	}
	o := b[min(4+int(b[0]&0xf), len(b)):]
	option, path := 0, false
	for len(o) > 0 && o[0] != 0xff {
		delta, n := int(o[0]>>4), int(o[0]&0xf)
		o = o[1:]
		for _, v := range []*int{&delta, &n} {
			switch {
			case *v == 13 && len(o) >= 1:
				*v = 13 + int(o[0])
				o = o[1:]
			case *v == 14 && len(o) >= 2:
				*v = 269 + be16(o)
				o = o[2:]
			case *v > 12:
				return no
			}
		}
		option += delta
		if n > len(o) || option > 2053 {
			return no
		}
		path = path || (option == 11 || option == 3 || option == 15) && n > 0 && printable(o[:n])
		o = o[n:]
	}
	if path {
		return yes
	}
	return maybe
}

// rtp says yes to a packet of G.711 of a usual length, and maybe to others: it
// has no more than a version (RFC 3550 section 5.1).
func rtp(b []byte) parsers.Verdict {
	if len(b) < 20 || b[0] != 0x80 {
		return no
	}
	switch t, n := b[1]&0x7f, len(b)-12; {
	case (t == 0 || t == 8) && (n == 80 || n == 160 || n == 240 || n == 320), t == 18 && (n == 10 || n == 20 || n == 40), t == 3 && n == 33:
		return yes
	case t <= 34 || t >= 96 && t <= 127:
		return maybe
	}
	return no
}

// rtcp walks the packets of a compound (RFC 3550 section 6.1). Of an encrypted
// one, the first packet's head alone is in clear (RFC 3711 section 3.4): there a
// report whose length is that of its blocks has to do.
func rtcp(b []byte) bool {
	if len(b) >= 28 && b[0]>>6 == 2 && (b[1] == 200 || b[1] == 201) && be16(b[2:]) > 1 {
		if n := 4 * (be16(b[2:]) + 1); n <= len(b) && n == 8+24*int(b[0]&0x1f)+20*(201-int(b[1])) {
			return true
		}
	}
	// Or one of which that is all: the bit E and a small index are before the tag of ten bytes, or at the end (RFC 7714 section 9.2).
	if n := len(b); n >= 22 && b[0]>>6 == 2 && (b[1] == 200 || b[1] == 201) && be16(b[2:]) >= 1 && 4*(be16(b[2:])+1) <= n &&
		(be16(b[n-14:]) == 0x8000 || be16(b[n-4:]) == 0x8000) {
		return true
	}
	for i := 0; len(b) > 0; i++ {
		if len(b) < 8 || b[0]>>6 != 2 || b[1] < 200 || b[1] > 207 {
			return false
		}
		n := 4 * (be16(b[2:]) + 1)
		if n < 8 || n > len(b) {
			return i > 0 // encrypted, or with a profile's own behind
		}
		b = b[n:]
	}
	return true
}

// babel walks the TLVs of a packet (RFC 8966 section 4.2).
func babel(b []byte) bool {
	if !starts(b, "\x2a\x02") || be16(b[2:]) > len(b)-4 {
		return false
	}
	told := false
	for b = b[4 : 4+be16(b[2:])]; len(b) > 0; {
		if b[0] == 0 { // Pad1
			b = b[1:]
			continue
		}
		if len(b) < 2 || int(b[1]) > len(b)-2 {
			return false
		}
		told = told || b[0] >= 2 && b[0] <= 18
		b = b[2+int(b[1]):]
	}
	return told
}

// bfd looks at a control packet with its exact length, that of its authentication
// included, and times of less than five minutes (RFC 5880 section 4.1).
func bfd(b []byte) bool {
	n := len(b)
	if n < 24 || int(b[3]) != n || b[0]>>5 != 1 || b[0]&0x1f > 9 || b[1]&1 != 0 || b[2] == 0 || be32(b[4:]) == 0 {
		return false
	}
	for i := 12; i < 24; i += 4 {
		if be32(b[i:]) > 300e6 {
			return false
		}
	}
	auth := b[1]&4 != 0
	return !auth && n == 24 && be32(b[12:]) > 0 || auth && n >= 28 && b[24] >= 1 && b[24] <= 5 && int(b[25]) == n-24
}

// pfcp walks the elements of a message (TS 29.244 sections 7.2.2 and 8.1.1).
func pfcp(b []byte) bool {
	if len(b) < 12 || b[0]&^7 != 0x20 || be16(b[2:]) != len(b)-4 || !(b[1] >= 1 && b[1] <= 15 || b[1] >= 50 && b[1] <= 57) {
		return false
	}
	o := 8
	if b[0]&1 != 0 {
		o = 16
	}
	if len(b) < o+4 {
		return false
	}
	for b = b[o:]; len(b) >= 4; {
		t, n := be16(b), be16(b[2:])
		if t == 0 || t > 400 && t < 1<<15 || n > len(b)-4 {
			return false
		}
		b = b[4+n:]
	}
	return len(b) == 0
}

// teredo looks for an IPv6 packet, behind Teredo's indications or not, with an address of
// Teredo's (RFC 4380 sections 2.6 and 5.1.1). Those that carry another flow are not seen here.
func teredo(b []byte) bool {
	if starts(b, "\x00\x01") && len(b) > 13+int(b[2])+int(b[3]) {
		b = b[13+int(b[2])+int(b[3]):]
	}
	if starts(b, "\x00\x00") && len(b) > 8 {
		b = b[8:]
	}
	return len(b) >= 40 && b[0]>>4 == 6 && be16(b[4:]) == len(b)-40 && (be32(b[8:]) == 0x20010000 || be32(b[24:]) == 0x20010000)
}
