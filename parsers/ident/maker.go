package ident

import "github.com/caplake/caplake/parsers"

// Protocols of one maker, one game or one trade. Each is told by a magic
// number of its own, or by lengths that are exact.

// makerStream looks for those over TCP.
func makerStream(b []byte) (Protocol, parsers.Verdict) {
	n := len(b)
	switch {
	case starts(b, "0\x00WORLD OF WARCRAFT CONNECTION"):
		return WorldOfWarcraft, yes
	case n >= 16 && b[2]&^0x10 == 0 && b[3] == 0x13 && starts(b[13:], "\x30\xb4\x18"): // behind its length; the sender's node has Nest's OUI, 18b430
		return Weave, yes
	case n >= 10 && b[2] == 0xd0 && b[3]&0x0f >= 1 && b[3]&0x0f <= 5 && be16(b) <= n && be16(b) == be16(b[6:])+6 && (b[8] == 0x10 || b[8] == 0x14): // a DSS, and the command or reply in it (DDM)
		return DRDA, yes
	case n >= 38 && b[0]|b[1] == 0 && int(le32(b[2:])) == n-6 && int(le32(b[26:])) == n-38 && le16(b[22:]) >= 1 && le16(b[22:]) <= 9 && b[24]&^1 == 4: // AMS: command and flags
		return ADS, yes
	case n >= 12 && (b[0] == 0xb4 || b[0] == 0xb5) && z3950(b):
		return Z3950, yes
	case n >= 22 && b[0] == 0xe3 && int(le32(b[1:])) == n-5 && b[5] == 1 && b[6] == 16: // hello, with a hash
		return EDonkey, yes
	case trdp(b):
		return TRDP, yes
	case starts(b, "\x00\x71\xce\xac\x01\x00\x00\x00"), starts(b, "cirE\x03\x00\x00\x00"), n >= 88 && starts(b, lnetMessage): // LNet's acceptor, and its socket driver, in the order of most machines
		return Lustre, yes
	case starts(b, "1QTV0"): // Zero protocol, after QUIC's crypto
		return FBZero, yes
	case n >= 10 && b[0] == '*' && b[1] == 1 && be16(b[4:]) >= 4 && be16(b[4:]) <= n-6 && be32(b[6:]) == 1: // FLAP: a frame on channel 1, with the version
		return OSCAR, yes
	case n >= 12 && be16(b) >= 16 && be16(b) < 64 && be16(b[2:]) >= 12 && be16(b[2:]) <= n && be32(b[be16(b[2:])-4:]) == 0x9facade9: // reliable transport, with the marker that ends a message
		return LISP, yes
	case doip(b, false):
		return DoIP, yes
	case n >= 8 && b[0] >= 1 && b[0] <= 6 && b[1] == 0 && be16(b[2:]) >= 8 && be16(b[2:]) <= n && be16(b[2:]) <= 64 && (be16(b[2:]) == n || b[be16(b[2:])] == b[0]): // OFPT_HELLO
		return OpenFlow, maybe
	case n == 7 && starts(b, "\x15\x00\x00\x00\x02") && (b[5] == 1 || b[5] == 2): // an alert before there is a version
		return TLS, yes
	case n >= 22 && be16(b) >= 20 && be16(b) <= n-2 && stun(b[2:]): // framed, beside RTP (RFC 4571)
		return STUN, yes
	}
	return tlsRecords(b)
}

// lnetMessage begins a message of LNet's socket driver without checksum and cookies.
const lnetMessage = "\xc1\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// makerDatagram looks for those over UDP.
func makerDatagram(b []byte) (Protocol, parsers.Verdict) {
	n := len(b)
	switch {
	case starts(b, "SpotUdp0"):
		return Spotify, yes
	case starts(b, "ISO11898") && n >= 20: // the standard of the bus
		return CAN, yes
	case starts(b, "ESIO\x00"):
		return EtherSIO, yes
	case starts(b, "TS\xf0\x9f\x92\xac") && n >= 62: // a key and a nonce follow
		return Tailscale, yes
	case starts(b, "\x00zUG\x10"):
		return ZUG, yes
	case n >= 28 && starts(b[16:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") && be32(b) != 0xffffffff && be32(b) != 0: // a call's tag, to the relay
		return Telegram, yes
	case n >= 12 && b[0] == 2 && b[n-1] == 3 && b[1] >= 0x10 && b[1] < 0x40 && b[3] == 0 && b[4] != 0 && be32(b[7:]) > 10000: // a version, a command, and the number of an account between STX and ETX
		return OICQ, yes
	case n >= 18 && starts(b, "\x02\x00\x02\x80\x08\x00") && (starts(b[14:], "\xb1\x00") || starts(b[14:], "\xb0\x00")): // two items: a sequenced address, and data
		return EtherNetIP, yes
	case n >= 6 && b[0]>>5 == 1 && b[0]&0x10 == 0 && b[0]&0x0e == 0x0e && be16(b[2:]) == n-6 && (b[1] <= 7 && b[1] != 0 || b[1] == 240 || b[1] == 241): // GTP' (TS 32.295 section 6)
		return GTP, yes
	case trdp(b):
		return TRDP, yes
	case doip(b, true):
		return DoIP, yes
	case n == 12 && b[0] == 0 && (b[1] == 1 || b[1] == 2) && b[2]|b[3] == 0 && be16(b[4:]) != 0 && b[8] == 0: // RFC 6886 section 3.3: a port, and for how long
		return NATPMP, yes
	case starts(b, "\x02\x04\x00\x00"): // HSRP for IPv6: the state of an interface
		return HSRP, maybe
	case n >= 24 && (b[0]>>4 >= 1 && b[0]>>4 <= 4) && b[1]&0x3f == 0 && b[3] >= 1 && b[3] <= 8: // a control message and its number of records (RFC 9301 section 5)
		return LISP, maybe
	}
	switch {
	case n >= 21 && b[0]&0xc0 == 0x40, n >= 22 && b[0] == 0x0c: // a short header (RFC 9000 section 17.3); of Google's versions, a client's
		return QUIC, maybe
	case n >= 14 && b[0]&^0x30 == 0: // a server's: the packet's number alone
		return quicAnswer, maybe
	}
	return None, no
}

// doip looks at a header of ISO 13400-2: a version and its complement, the type
// of what follows, and its length.
func doip(b []byte, exact bool) bool {
	if len(b) < 8 || b[0] < 1 || b[0] > 4 && b[0] != 0xff || b[1] != ^b[0] || be32(b[4:]) > 1<<20 || exact && int(be32(b[4:])) != len(b)-8 {
		return false
	}
	t := be16(b[2:])
	return t <= 8 || t >= 0x4001 && t <= 0x4004 || t >= 0x8001 && t <= 0x8003
}

// trdp looks at a header of IEC 61375-2-3: version 1, a message type and a
// length within the packet.
func trdp(b []byte) bool {
	if len(b) < 40 || b[4] != 1 || b[5] > 1 || int(be32(b[20:])) > len(b)-40 {
		return false
	}
	switch string(b[6:8]) {
	case "Pd", "Pp", "Pr", "Pe", "Mn", "Mr", "Mp", "Mq", "Mc", "Me":
		return true
	}
	return false
}

// z3950 looks at an InitializeRequest or its response (ISO 23950): one
// element of BER, in it the versions in two bytes and the options.
func z3950(b []byte) bool {
	length, n := ber(b)
	if n == 0 || length > len(b)-n || length < 8 {
		return false
	}
	b = b[n:]
	if i := 2 + int(b[1]); b[0] == 0x82 && i < len(b) { // a reference before them
		b = b[i:]
	}
	return starts(b, "\x83\x02") && len(b) > 4 && b[4] == 0x84
}

// tlsRecords looks at a stream of TLS that was joined in its middle, which the
// parser leaves: records with a version and a possible length, end to end (RFC
// 8446 section 5.1). One that ends within b, and what follows it does, is
// certain; one that does not is for the other side to say.
func tlsRecords(b []byte) (Protocol, parsers.Verdict) {
	whole := 0
	for len(b) > 0 {
		if b[0] < 20 || b[0] > 23 || len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
			return None, no
		}
		if len(b) < 5 {
			break
		}
		n := be16(b[3:])
		if n == 0 || n > 1<<14+2048 || b[0] == 22 && whole == 0 && len(b) > 5 && b[5] <= 2 {
			return None, no
		}
		if n > len(b)-5 {
			break
		}
		whole++
		b = b[5+n:]
	}
	if whole > 0 {
		return TLS, yes
	}
	return TLS, maybe
}
