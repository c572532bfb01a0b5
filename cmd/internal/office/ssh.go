package main

import "crypto/sha256"

// keys begins an SSH session: both say who they are and what they can do, and
// agree on keys (RFC 4253, RFC 8731).
func (c *conn) keys() {
	c.send(0, []byte("SSH-2.0-OpenSSH_9.2\r\n"))
	c.send(1, []byte("SSH-2.0-OpenSSH_9.2p1 office\r\n"))
	offer := []string{
		"curve25519-sha256,ecdh-sha2-nistp256,diffie-hellman-group14-sha256",
		"ssh-ed25519,rsa-sha2-512",
		"chacha20-poly1305@openssh.com,aes256-ctr", "chacha20-poly1305@openssh.com,aes256-ctr",
		"hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
	}
	for side := range 2 {
		b := append([]byte{20}, c.noiseOf(16)...)
		for _, l := range offer {
			b = vector32(b, []byte(l))
		}
		c.send(side, sshPacket(append(b, 0, 0, 0, 0, 0)))
	}
	host := sha256.Sum256([]byte("host key of the file server"))
	key := vector32(vector32(nil, []byte("ssh-ed25519")), host[:])
	c.send(0, sshPacket(vector32([]byte{30}, c.noiseOf(32))))
	reply := vector32(vector32([]byte{31}, key), c.noiseOf(32))
	reply = vector32(reply, vector32(vector32(nil, []byte("ssh-ed25519")), c.noiseOf(64)))
	c.send(1, append(sshPacket(reply), sshPacket([]byte{21})...))
	c.send(0, sshPacket([]byte{21}))
}

// sshPacket is one in the clear: filled up to eight bytes, with four at least.
func sshPacket(b []byte) []byte {
	fill := 8 - (5+len(b))%8
	if fill < 4 {
		fill += 8
	}
	p := vector32(nil, append([]byte{byte(fill)}, b...))
	p[2], p[3] = byte((1+len(b)+fill)>>8), byte(1+len(b)+fill)
	return append(p, make([]byte, fill)...)
}

func vector32(b, v []byte) []byte {
	return append(append(b, 0, 0, byte(len(v)>>8), byte(len(v))), v...)
}
