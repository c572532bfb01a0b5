package carried

import (
	"encoding/binary"
	"unsafe"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// WebSocket returns WebSocket for an Engine where its frames carry the stream of inner, from its first byte
// on, as tunnels do that look like a web site. It is for what follows an upgrade (RFC 6455
// section 4), which HTTP hands over; extensions, as compression, are not undone.
func WebSocket[M any](inner parsers.Protocol[M]) parsers.Protocol[M] {
	return parsers.Protocol[M]{
		Name: "websocket",
		Stream: func() parsers.SessionParser[M] {
			return &stream[M]{inner: inner.Stream(), read: [2]reader{new(frames), new(frames)}}
		},
		Probe: func(f *flows.Flow, side flows.Side, data []byte) parsers.Verdict {
			return probeFrames(f, side, data, inner.Probe)
		},
	}
}

// frames reads the frames of a side (RFC 6455 section 5.2):
//
//	FIN 1 bit | RSV 3 | opcode 4 | MASK 1 | length 7, then 0, 16 or 64 | key 0 or 32 | payload
//
// What messages there are does not matter: their bytes are one stream. Frames of control
// stand between them and carry nothing.
type frames struct {
	hdr    [maxFrameHeader]byte
	nhdr   int
	left   uint64 // bytes of the frame to come
	key    uint32 // of which the next byte's part is first; 0: no mask, or one that changes nothing
	take   bool   // the frame carries
	closed bool   // it is Close
	out    []byte
}

const (
	maxFrameHeader = 14
	maxUnmasked    = 4 << 10 // bytes that are unmasked at a time
	maxProbed      = 1 << 10 // and of a first frame
)

// Opcodes (RFC 6455 section 11.8).
const (
	opContinuation = 0
	opBinary       = 2
	opClose        = 8
	opPong         = 10
)

// frame is the header of a frame.
type frame struct {
	op     byte
	header int // bytes of the header
	n      uint64
	key    uint32
}

// frameHeader reads the header that b begins with. It may need more; ok false: there is none.
func frameHeader(b []byte) (h frame, more, ok bool) {
	if len(b) > 0 {
		h.op = b[0] & 15
		if b[0]&0x70 != 0 || h.op > opBinary && h.op < opClose || h.op > opPong || h.op >= opClose && b[0]&0x80 == 0 {
			return h, false, false
		}
	}
	if len(b) < 2 {
		return h, true, true
	}
	h.header, h.n = 2, uint64(b[1]&0x7f)
	switch h.n {
	case 126:
		h.header += 2
	case 127:
		h.header += 8
	}
	size := h.header
	if b[1]&0x80 != 0 {
		h.header += 4
	}
	if h.op >= opClose && h.n > 125 {
		return h, false, false
	}
	if len(b) < h.header {
		return h, true, true
	}
	switch h.n {
	case 126:
		h.n = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.n = binary.BigEndian.Uint64(b[2:])
	}
	if h.header > size {
		h.key = binary.BigEndian.Uint32(b[size:])
	}
	return h, false, h.n>>63 == 0
}

// unmask appends b without its mask to dst; key is turned on to the byte behind it.
func unmask(dst, b []byte, key *uint32) []byte {
	k := *key
	for _, c := range b {
		dst = append(dst, c^byte(k>>24))
		k = k<<8 | k>>24
	}
	*key = k
	return dst
}

func (r *frames) next(data []byte) (carried, rest []byte, more bool) {
	if r.left == 0 {
		if r.closed {
			return nil, nil, false
		}
		// A byte at a time: how long the header is stands in it.
		r.hdr[r.nhdr] = data[0]
		r.nhdr++
		data = data[1:]
		h, more, ok := frameHeader(r.hdr[:r.nhdr])
		if !ok || more {
			return nil, data, ok
		}
		r.nhdr, r.left, r.key, r.take, r.closed = 0, h.n, h.key, h.op <= opBinary, h.op == opClose
		return nil, data, !r.closed || r.left > 0
	}
	part := data[:min(uint64(len(data)), r.left)]
	if r.take && r.key != 0 {
		part = part[:min(len(part), maxUnmasked)]
		r.out = unmask(r.out[:0], part, &r.key)
	}
	r.left -= uint64(len(part))
	rest, more = data[len(part):], !r.closed || r.left > 0
	switch {
	case !r.take:
		return nil, rest, more
	case r.key != 0:
		return r.out, rest, more
	}
	return part, rest, more
}

func (r *frames) skip(n int64) bool {
	if r.take || uint64(n) > r.left {
		return false
	}
	r.left -= uint64(n)
	return true
}

func (r *frames) reset()    { *r = frames{out: r.out[:0]} }
func (r *frames) held() int { return int(unsafe.Sizeof(*r)) + cap(r.out) }

// probeFrames says whether data begins with a frame of text or binary data, the first of its
// message, which begins as inner asks.
func probeFrames(f *flows.Flow, side flows.Side, data []byte, inner parsers.Probe) parsers.Verdict {
	h, more, ok := frameHeader(data)
	switch {
	case !ok || len(data) > 0 && (h.op == opContinuation || h.op > opBinary):
		return parsers.No
	case more:
		return parsers.Maybe
	case h.n == 0:
		return parsers.No
	}
	b := data[h.header:]
	b = b[:min(uint64(len(b)), h.n)]
	whole := uint64(len(b)) == h.n
	if h.key != 0 {
		b = b[:min(len(b), maxProbed)]
		b = unmask(make([]byte, 0, len(b)), b, &h.key)
	}
	v := inner(f, side, b)
	if v == parsers.Maybe && whole && len(b) < 7 {
		return parsers.No // too little to tell, and what follows is another frame
	}
	return v
}
