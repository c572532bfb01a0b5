package quic

import (
	"encoding/binary"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Probe looks at a datagram. It is QUIC if it begins with a long header of a
// known version whose lengths agree with the datagram's, is a Version
// Negotiation, or is of Google's versions before the standard, which are named
// and not parsed. A capture that begins after the handshake holds nothing that
// could be told from noise.
func Probe(data []byte, _ flows.Side) parsers.Verdict {
	if len(data) < 14 {
		return parsers.No
	}
	if data[0]&0x80 == 0 {
		if isGoogle(data) {
			return parsers.Yes
		}
		return parsers.No
	}
	v := binary.BigEndian.Uint32(data[1:])
	if h, ok := parseLong(data, false); ok {
		if h.typ == typeNegotiation && !plausible(&h, data) {
			return parsers.No
		}
		return parsers.Yes
	}
	if isGoogle(data) {
		return parsers.Yes
	}
	// A client that forces a Version Negotiation, with a version of those that
	// are kept for it (RFC 9000 section 15). Its first datagram is at least this long.
	if reserved(v) && data[0]&0x40 != 0 && len(data) >= 1200 && data[5] >= 8 && data[5] <= maxCID {
		return parsers.Yes
	}
	return parsers.No
}

// Begins reports whether a datagram can begin a connection, in a flow that is
// known to speak QUIC: whether its first packet is an Initial, or what a server
// answers in place of one. It
// costs a look at one byte for nearly all datagrams.
func Begins(data []byte) bool {
	if len(data) < 7 || data[0]&0x80 == 0 {
		return false
	}
	h, ok := parseLong(data, false)
	return ok && h.typ != typeZeroRTT && h.typ != typeHandshake
}

func reserved(v uint32) bool { return v&0x0f0f0f0f == 0x0a0a0a0a }

// plausible reports whether all versions of a Version Negotiation could be some.
func plausible(h *header, data []byte) bool {
	list := data[7+len(h.dcid)+len(h.scid):]
	known := 0
	for ; len(list) >= 4; list = list[4:] {
		v := binary.BigEndian.Uint32(list)
		switch {
		case versionOf(v).era != unknown || v == google50:
			known++
		case reserved(v), v>>8 == draft>>8, v>>24 == 'Q', v>>24 == 'T', v>>8 == facebook22>>8:
		}
	}
	return known > 0
}

// isGoogle reports whether data begins with a packet of Google's versions
// before the standard: a long header from Q046 on, or until Q043 a public
// header with a connection id of 8 bytes and a version, as a client's first
// packets have it.
func isGoogle(data []byte) bool {
	digits := func(b []byte) bool {
		return b[0] == 'Q' && b[1] == '0' && b[2] >= '0' && b[2] <= '9' && b[3] >= '0' && b[3] <= '9'
	}
	if len(data) < 14 {
		return false
	}
	if data[0]&0xc0 == 0xc0 {
		return digits(data[1:])
	}
	return data[0]&0xc9 == 0x09 && digits(data[9:])
}
