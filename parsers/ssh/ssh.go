// Package ssh reads the part of an SSH session that is in the clear (RFC 4253):
// both sides' identification, their offers of algorithms, and the key
// exchange up to the point where both sides encrypt. It gives one message per
// session and wants no more bytes then.
//
// It decrypts and verifies nothing. Of SSH 1 it reads the identification only.
//
//	line feeds   [any text CR LF]… SSH-2.0-software comments CR LF
//	packets      [length 4 | padding length 1 | payload | padding] …
//	             KEXINIT … NEWKEYS, and what follows is encrypted
package ssh

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Handshake is what a session says before it is encrypted. What it refers to is
// valid until the parser's next call.
type Handshake struct {
	// First is the packet with the first byte, Last the latest that was looked
	// at, Done the one with the second NEWKEYS; zero unless Outcome is
	// Established.
	First, Last, Done flows.Stamp

	// ClientSide is the side that has the client's role, by what the two sides
	// sent; where that does not tell, the initiator.
	ClientSide     flows.Side
	Client, Server Peer

	// HostKey is the server's public key as sent (RFC 4253 section 6.6), nil where it was
	// not seen.
	HostKey []byte

	// DisconnectReason is the code of a DISCONNECT in the clear (RFC 4253
	// section 11.1), which By sent; 0: there was none.
	DisconnectReason uint32
	DisconnectedBy   flows.Side

	Outcome   Outcome
	AfterGap  bool   // bytes of it were not captured
	Malformed string // the first rule that was broken; ""
}

// Peer is what one side says of itself.
type Peer struct {
	// Identification is the line of that name, without its end, "SSH-2.0-…"; nil: not seen.
	// It is cut at 255 bytes.
	Identification []byte
	// KEX says that an offer of algorithms was seen, and the lists are what it says,
	// in order, each separated by commas, as sent (RFC 4253 section 7.1). In and out are as seen from
	// the client: to the server, to the client.
	KEX                        bool
	KexAlgorithms              []byte
	HostKeyAlgorithms          []byte
	CiphersOut, CiphersIn      []byte
	MACsOut, MACsIn            []byte
	CompressionOut             []byte
	CompressionIn              []byte
	LanguagesOut, LanguagesIn  []byte
	FirstPacketFollows, NewKey bool // a guess follows; NEWKEYS was seen
}

// Outcome says how the handshake ended.
type Outcome uint8

const (
	Incomplete   Outcome = iota // the flow was over first
	Established                 // both sides sent NEWKEYS
	Version1                    // a side speaks SSH 1
	Disconnected                // a DISCONNECT in the clear
	Closed                      // a side ended its stream
	Reset                       // a side reset the flow
	Gap                         // bytes that were not captured hide the end
	Broken                      // the bytes stopped making sense: see Malformed
)

func (o Outcome) String() string {
	return [...]string{"incomplete", "established", "version_1", "disconnected", "closed", "reset", "gap", "malformed"}[o]
}

// AppendHASSH appends the HASSH fingerprint of a client's Peer, and of a server's its
// HASSHServer: the MD5, in lower-case hex, of the algorithms that it offers for what it
// sends. client says which of the two p is. Without KEX nothing is appended.
func (p *Peer) AppendHASSH(b []byte, client bool) []byte {
	if !p.KEX {
		return b
	}
	var space [1024]byte
	sum := md5.Sum(p.AppendHASSHString(space[:0], client))
	return hex.AppendEncode(b, sum[:])
}

// AppendHASSHString appends what AppendHASSH is the MD5 of.
func (p *Peer) AppendHASSHString(b []byte, client bool) []byte {
	if !p.KEX {
		return b
	}
	lists := [...][]byte{p.KexAlgorithms, p.CiphersOut, p.MACsOut, p.CompressionOut}
	if !client {
		lists = [...][]byte{p.KexAlgorithms, p.CiphersIn, p.MACsIn, p.CompressionIn}
	}
	for i, l := range lists {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, l...)
	}
	return b
}

// Choose returns the algorithm that two offers agree on: the first of the
// client's that the server has (RFC 4253 section 7.1); nil if there is none.
// Names that only signal an extension are no algorithms.
func Choose(client, server []byte) []byte {
	for len(client) > 0 {
		var name []byte
		name, client, _ = bytes.Cut(client, []byte(","))
		if bytes.HasPrefix(name, []byte("ext-info-")) || bytes.HasPrefix(name, []byte("kex-strict-")) || len(name) == 0 {
			continue
		}
		for rest := server; len(rest) > 0; {
			var other []byte
			other, rest, _ = bytes.Cut(rest, []byte(","))
			if bytes.Equal(name, other) {
				return name
			}
		}
	}
	return nil
}

// HostKeyType returns the type of h.HostKey, as "ssh-ed25519".
func (h *Handshake) HostKeyType() []byte {
	name, _, _ := cutString(h.HostKey)
	return name
}

// HostKeySHA256 returns the SHA-256 of h.HostKey: the fingerprint that OpenSSH
// shows in base 64.
func (h *Handshake) HostKeySHA256() [sha256.Size]byte { return sha256.Sum256(h.HostKey) }

// Version returns the protocol version that the two sides settle on: 2, 1, or 0
// where it is not known. Version 1.99 is a server that speaks both (RFC 4253 section 5.1).
func (h *Handshake) Version() int {
	v := 0
	for _, p := range []*Peer{&h.Client, &h.Server} {
		if p.Identification == nil {
			continue
		}
		if isVersion1(p.Identification) {
			return 1
		}
		v = 2
	}
	return v
}

func isVersion1(id []byte) bool {
	return bytes.HasPrefix(id, []byte("SSH-1.")) && !bytes.HasPrefix(id, []byte("SSH-1.99-"))
}

// Probe looks at the first bytes of a side: they are SSH if they begin with
// an identification. A server may send other lines before it; its client does
// not.
func Probe(data []byte, side flows.Side) parsers.Verdict {
	const one, two = "SSH-1.", "SSH-2."
	n := min(len(data), len(one))
	if string(data[:n]) != one[:n] && string(data[:n]) != two[:n] {
		return parsers.No
	}
	if n < len(one) {
		return parsers.Maybe
	}
	return parsers.Yes
}

// Protocol returns SSH for an Engine: recognized by its first bytes, on any port.
func Protocol() parsers.Protocol[Handshake] {
	return parsers.Protocol[Handshake]{
		Name:   "ssh",
		Stream: func() parsers.SessionParser[Handshake] { return new(Parser) },
		Probe:  parsers.ByPayload(Probe),
	}
}

// cutString returns the string at the beginning of b, and what follows it (RFC
// 4251 section 5).
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// Authenticates says whether a cipher protects what it encrypts by itself, so
// that no MAC is used beside it (RFC 5647, OpenSSH's PROTOCOL).
func Authenticates(cipher []byte) bool {
	return bytes.HasPrefix(cipher, []byte("AEAD_")) || bytes.HasPrefix(cipher, []byte("chacha20-poly1305")) ||
		bytes.Contains(cipher, []byte("-gcm@")) || bytes.HasSuffix(cipher, []byte("-gcm"))
}
