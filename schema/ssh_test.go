package schema

import (
	"reflect"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/ssh"
)

// TestAppendSSH: what was seen is in the row, copied; what was not is NULL.
func TestAppendSSH(t *testing.T) {
	at := func(n int) flows.Stamp {
		return flows.Stamp{Time: int64(n) * 1e9, Pos: flows.NewPosition(2, uint64(n))}
	}
	offer := []byte("curve25519-sha256,ext-info-c")
	m := ssh.Handshake{
		First: at(3), Last: at(9), Done: at(8), ClientSide: flows.Responder, Outcome: ssh.Established,
		Client: ssh.Peer{Identification: []byte("SSH-2.0-c \xff"), KEX: true, KexAlgorithms: offer, HostKeyAlgorithms: []byte("ssh-rsa"),
			CiphersOut: []byte("aes128-gcm@openssh.com,aes128-ctr"), CiphersIn: []byte("aes128-ctr"), MACsOut: []byte("hmac-sha2-256"), MACsIn: []byte("hmac-sha1,hmac-sha2-256"),
			CompressionOut: []byte("none"), CompressionIn: []byte("none,zlib")},
		Server: ssh.Peer{Identification: []byte("SSH-2.0-s"), KEX: true, KexAlgorithms: []byte("ext-info-s,curve25519-sha256"), HostKeyAlgorithms: []byte("ssh-rsa,ssh-ed25519"),
			CiphersOut: []byte("aes128-ctr,aes128-gcm@openssh.com"), CiphersIn: []byte("aes128-ctr"), MACsOut: []byte("hmac-sha2-256"), MACsIn: []byte("hmac-sha2-256"),
			CompressionOut: []byte("none"), CompressionIn: []byte("zlib,none")},
		HostKey: []byte("\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x01k"),
	}
	var a Arena
	row := AppendSSH(nil, &m, &Session{FlowID: 7, SrcIP: "10.0.0.1", DstIP: "10.0.0.2", SrcPort: 22, DstPort: 40000, TCP: true}, &a)[0]
	for i := range offer {
		offer[i] = '#'
	}
	ns, version := int64(5e9), int32(2)
	want := SSH{
		FlowID: 7, TS: 3e9, SrcIP: "10.0.0.1", SrcPort: 22, DstIP: "10.0.0.2", DstPort: 40000,
		HandshakeNS: &ns, ClientSide: "dst", Outcome: "established", Version: &version,
		Client: `SSH-2.0-c \xff`, Server: "SSH-2.0-s", HASSH: row.HASSH, HASSHServer: row.HASSHServer,
		KexAlgorithm: "curve25519-sha256", HostKeyAlgorithm: "ssh-rsa", ClientCipher: "aes128-gcm@openssh.com", ServerCipher: "aes128-ctr",
		ServerMAC: "hmac-sha2-256", ClientCompress: "none", ServerCompress: "none",
		HostKeyType: "ssh-rsa", HostKeySHA256: row.HostKeySHA256,
		ClientKex: []string{"curve25519-sha256", "ext-info-c"}, ServerKex: []string{"ext-info-s", "curve25519-sha256"},
		ClientHostKeys: []string{"ssh-rsa"}, ServerHostKeys: []string{"ssh-rsa", "ssh-ed25519"},
		ClientCiphers: []string{"aes128-gcm@openssh.com", "aes128-ctr"}, ServerCiphers: []string{"aes128-ctr"},
		ClientMACs: []string{"hmac-sha2-256"}, ServerMACs: []string{"hmac-sha2-256"},
		ClientCompression: []string{"none"}, ServerCompression: []string{"zlib", "none"},
		CaptureID: 2, FirstPacket: 3, LastCaptureID: 2, LastPacket: 9,
	}
	if !reflect.DeepEqual(row, want) {
		t.Errorf("got\n%+v\nwant\n%+v", row, want)
	}
	if len(row.HASSH) != 32 || len(row.HASSHServer) != 32 || row.HASSH == row.HASSHServer || len(row.HostKeySHA256) != 43 {
		t.Errorf("%q %q %q", row.HASSH, row.HASSHServer, row.HostKeySHA256)
	}
	bare := AppendSSH(nil, &ssh.Handshake{First: at(1), Last: at(1), Server: ssh.Peer{Identification: []byte("SSH-2.0-x")}}, &Session{}, &a)[0]
	if bare.HandshakeNS != nil || bare.Client != "" || bare.HASSHServer != "" || bare.ClientKex != nil || bare.DisconnectReason != nil || bare.Outcome != "incomplete" {
		t.Errorf("%+v", bare)
	}
}
