package http2

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// preface is what a client begins with (RFC 9113 section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Probe says whether data, the first bytes of a side, begin a connection of
// HTTP/2: the preface, or the SETTINGS frame that a server begins with. Either
// may come of either side: which side opened a flow is not always known.
func Probe(data []byte, _ flows.Side) parsers.Verdict {
	n := min(len(data), len(preface))
	if string(data[:n]) == preface[:n] {
		if n == len(preface) {
			return parsers.Yes
		}
		return parsers.Maybe
	}
	return probeSettings(data)
}

// probeSettings looks for a SETTINGS frame with settings that exist, or an empty
// one with another frame behind it that connections begin with.
func probeSettings(b []byte) parsers.Verdict {
	var h [frameHeader]byte
	n := copy(h[:], b)
	for i, c := range [...]byte{0, 0, h[2], typeSettings, 0, 0, 0, 0, 0} {
		if i < n && h[i] != c {
			return parsers.No
		}
	}
	if n > 2 && (h[2]%6 != 0 || h[2] > 16*6) {
		return parsers.No
	}
	if n < len(h) {
		return parsers.Maybe
	}
	length := int(h[2])
	b = b[n:]
	for i := 0; i+6 <= min(length, len(b)); i += 6 {
		id := int(b[i])<<8 | int(b[i+1])
		if !(id >= 1 && id <= 9 || id == 0x10 || id&0x0f0f == 0x0a0a) { // IANA; GREASE (draft-bishop-httpbis-grease)
			return parsers.No
		}
	}
	if len(b) < length {
		return parsers.Maybe
	}
	if length > 0 {
		return parsers.Yes
	}
	if len(b) < frameHeader {
		return parsers.Maybe
	}
	f := parseHeader(b)
	if f.id>>31 == 0 && f.flags&^1 == 0 && f.sizeOK() && (f.kind == typeSettings && (f.flags == 0) == (f.length > 0) || f.kind == typeWindowUpdate && f.flags == 0 && f.id == 0) {
		return parsers.Yes
	}
	return parsers.No
}
