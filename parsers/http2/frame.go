package http2

// Types of frames (RFC 9113 section 6).
const (
	typeData         = 0x0
	typeHeaders      = 0x1
	typePriority     = 0x2
	typeRSTStream    = 0x3
	typeSettings     = 0x4
	typePushPromise  = 0x5
	typePing         = 0x6
	typeGoAway       = 0x7
	typeWindowUpdate = 0x8
	typeContinuation = 0x9
)

// Flags of frames.
const (
	flagEndStream  = 0x01
	flagAck        = 0x01
	flagEndHeaders = 0x04
	flagPadded     = 0x08
	flagPriority   = 0x20
)

const (
	frameHeader  = 9
	defaultFrame = 16384 // SETTINGS_MAX_FRAME_SIZE (section 6.5.2)
)

// header is a frame's header (section 4.1).
type header struct {
	length uint32
	kind   uint8
	flags  uint8
	id     uint32 // with the reserved bit
}

func parseHeader(b []byte) header {
	_ = b[frameHeader-1]
	return header{
		length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		kind:   b[3],
		flags:  b[4],
		id:     uint32(b[5])<<24 | uint32(b[6])<<16 | uint32(b[7])<<8 | uint32(b[8]),
	}
}

// fixed returns the length of the fields before the part of a payload whose
// length varies.
func (h *header) fixed() uint32 {
	n := uint32(0)
	switch h.kind {
	case typeData:
	case typeHeaders:
		if h.flags&flagPriority != 0 {
			n = 5
		}
	case typePushPromise:
		n = 4
	case typeRSTStream:
		return 4
	case typeGoAway:
		return 8
	default:
		return 0
	}
	if h.flags&flagPadded != 0 {
		n++
	}
	return n
}

// sizeOK says whether length and stream are what the type demands. A frame of
// which they are not ends the connection (sections 4.2 and 6).
func (h *header) sizeOK() bool {
	id := h.id &^ (1 << 31)
	switch h.kind {
	case typeData, typeHeaders, typePushPromise:
		return id != 0 && h.length >= h.fixed()
	case typeContinuation:
		return id != 0
	case typePriority:
		return id != 0 && h.length == 5
	case typeRSTStream:
		return id != 0 && h.length == 4
	case typeSettings:
		return id == 0 && h.length%6 == 0 && (h.flags&flagAck == 0 || h.length == 0)
	case typePing:
		return id == 0 && h.length == 8
	case typeGoAway:
		return id == 0 && h.length >= 8
	case typeWindowUpdate:
		return h.length == 4
	}
	return true
}
