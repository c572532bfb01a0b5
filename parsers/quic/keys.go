package quic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// era is a family of versions whose packets look alike.
type era uint8

const (
	unknown era = iota
	first       // version 1 and drafts from 22 on
	second      // version 2
)

// version is what of a version matters to its Initial packets.
type version struct {
	era  era
	salt *[20]byte
}

// Version numbers (IANA registry "QUIC Versions").
const (
	Version1 = 0x00000001
	Version2 = 0x6b3343cf
	draft    = 0xff000000 // and the draft's number

	facebook22 = 0xfaceb001 // draft 22 under another number, and so on
	facebook27 = 0xfaceb002
	google50   = 0x51303530 // Q050: the same packets, but no TLS in them
	googleT50  = 0x54303530
	googleT51  = 0x54303531
)

// Salts of the Initial keys. They are written once here, and never changed.
var (
	salt1   = [20]byte{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}
	salt2   = [20]byte{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}
	salt29  = [20]byte{0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}
	salt23  = [20]byte{0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02}
	salt22  = [20]byte{0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x2a, 0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a, 0x90}
	saltT50 = [20]byte{0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80, 0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83, 0x10}
	saltT51 = [20]byte{0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50, 0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d}
)

// versionOf returns what is known of a version; its era is unknown for one
// that is not parsed.
func versionOf(v uint32) version {
	switch v {
	case Version1:
		return version{first, &salt1}
	case Version2:
		return version{second, &salt2}
	case facebook22:
		return version{first, &salt22}
	case facebook27:
		return version{first, &salt23}
	case googleT50:
		return version{first, &saltT50}
	case googleT51:
		return version{first, &saltT51}
	}
	switch {
	case v < draft+22 || v > draft+34:
		return version{}
	case v >= draft+33:
		return version{first, &salt1}
	case v >= draft+29:
		return version{first, &salt29}
	case v >= draft+23:
		return version{first, &salt23}
	}
	return version{first, &salt22}
}

func google(v uint32) bool { return v == googleT50 || v == googleT51 }

// keys is what the keys of both sides' Initials come from.
type keys struct {
	version uint32
	ok      bool
	secret  [sha256.Size]byte
}

// deriveKeys extracts the Initial secret from a client's destination
// connection id (RFC 9001 section 5.2).
func deriveKeys(v uint32, dcid []byte) (k keys) {
	known := versionOf(v)
	if known.era == unknown {
		return k
	}
	secret, err := hkdf.Extract(sha256.New, dcid, known.salt[:])
	if err != nil {
		return k
	}
	k.version, k.ok = v, true
	copy(k.secret[:], secret)
	return k
}

// opener returns what takes the protection off the client's packets, or the
// server's.
func (k *keys) opener(client bool) (o opener) {
	if !k.ok {
		return o
	}
	label := "server in"
	if client {
		label = "client in"
	}
	names := [3]string{"quic key", "quic iv", "quic hp"}
	if versionOf(k.version).era == second {
		names = [3]string{"quicv2 key", "quicv2 iv", "quicv2 hp"}
	}
	secret := expand(k.secret[:], label, sha256.Size)
	key, hp := expand(secret, names[0], 16), expand(secret, names[2], 16)
	copy(o.iv[:], expand(secret, names[1], len(o.iv)))
	block, err := aes.NewCipher(key)
	if err != nil {
		return o
	}
	if o.aead, err = cipher.NewGCM(block); err != nil {
		return o
	}
	if o.hp, err = aes.NewCipher(hp); err != nil {
		return o
	}
	o.version, o.ok = k.version, true
	return o
}

// expand is HKDF-Expand-Label with no context (RFC 8446 section 7.1).
func expand(secret []byte, label string, n int) []byte {
	info := make([]byte, 0, 32)
	info = binary.BigEndian.AppendUint16(info, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(info, 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		return make([]byte, n) // not with these lengths
	}
	return out
}

// open takes header and packet protection off (RFC 9001 sections 5.3 and
// 5.4). next is the packet number expected. The payload is in work's memory.
func (o *opener) open(work *[]byte, packet []byte, h *header, next uint64) (payload []byte, number uint64, ok bool) {
	if !o.ok || len(packet) != h.end || h.end-h.number < 4+16 {
		return nil, 0, false
	}
	var mask [aes.BlockSize]byte
	o.hp.Encrypt(mask[:], packet[h.number+4:h.number+4+aes.BlockSize])
	*work = append((*work)[:0], packet...)
	w := *work
	w[0] ^= mask[0] & 0x0f
	n := int(w[0]&3) + 1
	var truncated uint64
	for i := range n {
		w[h.number+i] ^= mask[1+i]
		truncated = truncated<<8 | uint64(w[h.number+i])
	}
	number = wholeNumber(next, truncated, uint(8*n))
	nonce := o.iv
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(number >> (8 * i))
	}
	head := h.number + n
	payload, err := o.aead.Open(w[head:head], nonce[:], w[head:], w[:head])
	return payload, number, err == nil
}

// wholeNumber returns the packet number nearest to next whose lowest bits are
// truncated (RFC 9000 appendix A.3).
func wholeNumber(next, truncated uint64, bits uint) uint64 {
	window := uint64(1) << bits
	candidate := next&^(window-1) | truncated
	switch {
	case candidate+window/2 <= next && candidate < 1<<62-window:
		return candidate + window
	case candidate > next+window/2 && candidate >= window:
		return candidate - window
	}
	return candidate
}
