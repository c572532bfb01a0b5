// Package body says of the body of an HTTP message what its bytes alone say:
// their SHA-256, and a media type by content. It sees them as they go by and
// keeps no more than the first 512. It hides under parsers because no parser
// may import another, and both versions of HTTP need it.
package body

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
)

// Config says what to find out. The zero value is nothing.
type Config struct {
	Hash bool // SHA-256
	Type bool // media type
}

// New returns an empty Body, nil if there is nothing to find out.
func (c Config) New() *Body {
	if !c.Hash && !c.Type {
		return nil
	}
	b := &Body{sniff: c.Type}
	if c.Hash {
		b.hash = sha256.New()
	}
	return b
}

// Body is one message's body in the making. All methods of a nil Body do nothing.
type Body struct {
	hash    hash.Hash // nil: not asked for
	sniff   bool
	n       int64
	gap     bool
	early   bool // the gap is among the bytes that a type is told by
	head    [sniffLen]byte
	headLen int
}

// Reset begins anew.
func (b *Body) Reset() {
	if b == nil {
		return
	}
	if b.hash != nil && b.n > 0 {
		b.hash.Reset()
	}
	b.n, b.gap, b.early, b.headLen = 0, false, false, 0
}

// Write takes the next bytes.
func (b *Body) Write(data []byte) {
	if b == nil || len(data) == 0 {
		return
	}
	b.n += int64(len(data))
	if b.hash != nil && !b.gap {
		b.hash.Write(data)
	}
	if b.sniff && !b.early && b.headLen < len(b.head) {
		b.headLen += copy(b.head[b.headLen:], data)
	}
}

// Gap says that bytes are missing.
func (b *Body) Gap() {
	if b != nil {
		b.gap = true
		b.early = b.early || b.headLen < len(b.head)
	}
}

// End returns the SHA-256 in lower-case hexadecimal, empty unless complete says
// that this is all of the body and none of it is missing, and the media type
// without parameters, empty unless all bytes that it is told by are there. Of
// an empty body both are empty.
func (b *Body) End(complete bool) (sum, mediaType string) {
	if b == nil || b.n == 0 {
		return "", ""
	}
	if b.hash != nil && complete && !b.gap {
		var out [sha256.Size]byte
		sum = hex.EncodeToString(b.hash.Sum(out[:0]))
	}
	if b.sniff && !b.early && (complete || b.headLen == len(b.head)) {
		mediaType = Sniff(b.head[:b.headLen])
	}
	return sum, mediaType
}
