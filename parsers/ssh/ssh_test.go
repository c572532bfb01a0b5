package ssh

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/parsertest"
)

const (
	up   = flows.Initiator
	down = flows.Responder
)

func str(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }

// packet returns a payload as a packet.
func packet(payload string) string {
	pad := 8 - (5+len(payload))%8
	if pad < 4 {
		pad += 8
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+pad))) + string([]byte{byte(pad)}) + payload + strings.Repeat("\x00", pad)
}

func kexinit(kex string, lists ...string) string {
	b := "\x14" + strings.Repeat("c", 16) + str(kex)
	for i := range 9 {
		if i < len(lists) {
			b += str(lists[i])
		} else {
			b += str("")
		}
	}
	return b + "\x00\x00\x00\x00\x00"
}

var (
	clientOffer = kexinit("sntrup761x25519-sha512@openssh.com,curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
		"ssh-ed25519,rsa-sha2-512", "chacha20-poly1305@openssh.com,aes128-ctr", "aes128-ctr,aes256-ctr", "hmac-sha2-256", "hmac-sha2-512,hmac-sha2-256", "none,zlib@openssh.com", "none")
	serverOffer = kexinit("curve25519-sha256,sntrup761x25519-sha512@openssh.com,kex-strict-s-v00@openssh.com",
		"rsa-sha2-512,ssh-ed25519", "aes128-ctr,chacha20-poly1305@openssh.com", "aes256-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none")
	hostKey = str("ssh-ed25519") + str(strings.Repeat("k", 32))
	reply   = "\x1f" + str(hostKey) + str("f") + str("signature")
)

const (
	clientID = "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3"
	serverID = "SSH-2.0-dropbear_2022.83"
)

func text(m *Handshake) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s v%d client %s %d-%d/%d", m.Outcome, m.Version(), m.ClientSide, m.First.Pos.Packet(), m.Last.Pos.Packet(), m.Done.Pos.Packet())
	for i, p := range []*Peer{&m.Client, &m.Server} {
		fmt.Fprintf(&b, " | %q %s %s %s,%s %s,%s %s,%s %v %s", p.Identification, p.KexAlgorithms, p.HostKeyAlgorithms,
			p.CiphersOut, p.CiphersIn, p.MACsOut, p.MACsIn, p.CompressionOut, p.CompressionIn, p.NewKey, p.AppendHASSH(nil, i == 0))
	}
	if m.HostKey != nil {
		sum := m.HostKeySHA256()
		fmt.Fprintf(&b, " | %s %s", m.HostKeyType(), base64.RawStdEncoding.EncodeToString(sum[:]))
	}
	fmt.Fprintf(&b, " %d %v %q", m.DisconnectReason, m.AfterGap, m.Malformed)
	return b.String()
}

func feed(side flows.Side, data ...string) parsertest.Call {
	return parsertest.Feed(side, strings.Join(data, ""))
}

func scripts() []parsertest.Script {
	whole := []parsertest.Call{
		feed(down, "Welcome to the bastion\r\nMind the gap\n", serverID, "\r\n"),
		feed(up, clientID, "\r\n", packet(clientOffer)),
		feed(down, packet(serverOffer)),
		feed(up, packet("\x1e"+str("e"))),
		feed(down, packet(reply), packet("\x15"), "encrypted"),
		feed(up, packet("\x15")), feed(up, "encrypted too"),
	}
	return []parsertest.Script{
		{Name: "whole", Messages: 1, Calls: whole},
		{Name: "group exchange, server first, reset", Messages: 1, Calls: []parsertest.Call{
			feed(up, serverID, "\n"), feed(down, clientID, "\n"), feed(up, packet(kexinit("diffie-hellman-group-exchange-sha256", "ssh-rsa"))),
			feed(down, packet(kexinit("diffie-hellman-group-exchange-sha256", "ssh-rsa"))), feed(down, packet("\x22\x00\x00\x04\x00")),
			feed(up, packet("\x1f"+str(strings.Repeat("\xff", 128))+str("\x02"))), feed(down, packet("\x20"+str("e"))),
			feed(up, packet("\x21"+str(hostKey)+str("f")+str("s")), packet("\x15")), parsertest.Rst(down),
		}},
		{Name: "version 1", Messages: 1, Calls: []parsertest.Call{feed(down, "SSH-1.5-old\n"), feed(up, "SSH-1.5-older\n"), feed(down, "\x00\x00\x01\x0a")}},
		{Name: "both versions", Messages: 1, Calls: []parsertest.Call{feed(down, "SSH-1.99-old\n"), feed(up, clientID, "\r\n"), parsertest.Fin(down), parsertest.Fin(up)}},
		{Name: "gap in the offer", Messages: 1, Calls: []parsertest.Call{
			feed(up, clientID, "\r\n", packet(clientOffer)[:100]), parsertest.Gap(up, 50), feed(up, packet(clientOffer)[150:], packet("\x15")),
			feed(down, serverID, "\r\n", packet(serverOffer)), feed(down, packet("\x15")),
		}},
		{Name: "gap over the padding", Messages: 1, Calls: []parsertest.Call{
			feed(up, clientID, "\r\n", packet(clientOffer)[:len(packet(clientOffer))-9]), parsertest.Gap(up, 8), feed(up, "\x00", packet("\x15")),
			feed(down, serverID, "\r\n"), parsertest.Gap(down, 1000), feed(down, packet("\x15")),
		}},
		{Name: "disconnected", Messages: 1, Calls: []parsertest.Call{
			feed(up, clientID, "\r\n"), feed(down, serverID, "\r\n", packet("\x01\x00\x00\x00\x02"+str("bye")+str(""))),
		}},
		{Name: "not SSH after all", Messages: 1, Calls: []parsertest.Call{
			feed(up, clientID, "\r\n", "GET / HTTP/1.1\r\n\r\n"), feed(down, strings.Repeat("no line ", 3000)),
		}},
		{Name: "a long offer", Messages: 1, Calls: []parsertest.Call{
			feed(up, clientID, "\r\n", packet(kexinit(strings.Repeat("k,", 9000), strings.Repeat("h,", 6000)))), feed(down, serverID, "\r\n"),
		}},
	}
}

func TestLaws(t *testing.T) {
	parsertest.Session[Handshake]{
		New:     func() parsers.SessionParser[Handshake] { return new(Parser) },
		Text:    text,
		Scripts: scripts(),
		MaxHeld: 512 << 10,
		Quiet:   []parsertest.Call{feed(up, clientID, "\r\n"), feed(up, packet(clientOffer))},
		Again:   feed(up, packet("\x02"+str("ignored"))),
	}.Test(t)
}

func TestHandshakes(t *testing.T) {
	sum := sha256.Sum256([]byte(hostKey))
	key := "ssh-ed25519 " + base64.RawStdEncoding.EncodeToString(sum[:])
	for i, want := range []string{
		"established v2 client initiator 1-6/6 | \"" + clientID + `" sntrup761x25519-sha512@openssh.com,curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com ssh-ed25519,rsa-sha2-512 chacha20-poly1305@openssh.com,aes128-ctr,aes128-ctr,aes256-ctr hmac-sha2-256,hmac-sha2-512,hmac-sha2-256 none,zlib@openssh.com,none true HASSH | "` +
			serverID + `" curve25519-sha256,sntrup761x25519-sha512@openssh.com,kex-strict-s-v00@openssh.com rsa-sha2-512,ssh-ed25519 aes128-ctr,chacha20-poly1305@openssh.com,aes256-ctr hmac-sha2-256,hmac-sha2-256 none,none true HASSH | ` + key + ` 0 false ""`,
		"reset v2 client responder 1-8/0 | \"" + clientID + `" diffie-hellman-group-exchange-sha256 ssh-rsa , , , false HASSH | "` + serverID + `" diffie-hellman-group-exchange-sha256 ssh-rsa , , , true HASSH | ` + key + ` 0 false ""`,
		`version_1 v1 client initiator 1-2/0 | "SSH-1.5-older"   , , , false  | "SSH-1.5-old"   , , , false  0 false ""`,
		"closed v2 client initiator 1-2/0 | \"" + clientID + `"   , , , false  | "SSH-1.99-old"   , , , false  0 false ""`,
		"established v2 client initiator 1-5/5 | \"" + clientID + `"   , , , true  | "` + serverID + `" curve25519-sha256,sntrup761x25519-sha512@openssh.com,kex-strict-s-v00@openssh.com rsa-sha2-512,ssh-ed25519 aes128-ctr,chacha20-poly1305@openssh.com,aes256-ctr hmac-sha2-256,hmac-sha2-256 none,none true HASSH 0 true ""`,
		"gap v2 client initiator 1-5/0 | \"" + clientID + `" sntrup761x25519-sha512@openssh.com,curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com ssh-ed25519,rsa-sha2-512 chacha20-poly1305@openssh.com,aes128-ctr,aes128-ctr,aes256-ctr hmac-sha2-256,hmac-sha2-512,hmac-sha2-256 none,zlib@openssh.com,none true HASSH | "` + serverID + `"   , , , false  0 true ""`,
		"disconnected v2 client initiator 1-2/0 | \"" + clientID + `"   , , , false  | "` + serverID + `"   , , , false  2 false ""`,
		"malformed v2 client initiator 1-2/0 | \"" + clientID + `"   , , , false  | ""   , , , false  0 false "packet_length"`,
	} {
		script := scripts()[i]
		got := parsertest.Session[Handshake]{New: func() parsers.SessionParser[Handshake] { return new(Parser) }, Text: text}.Play(script)
		if len(got) != 1 {
			t.Errorf("%s: %q", script.Name, got)
			continue
		}
		fields := strings.Fields(got[0])
		for i, f := range fields {
			if len(f) == 32 && strings.Trim(f, "0123456789abcdef") == "" {
				fields[i] = "HASSH"
			}
		}
		if a, b := strings.Join(fields, " "), strings.Join(strings.Fields(want), " "); a != b {
			t.Errorf("%s:\n%s\nwant\n%s", script.Name, a, b)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct{ client, server, want string }{
		{"a,b", "b,a", "a"}, {"a", "b", ""}, {"", "a", ""}, {"ext-info-c,b", "ext-info-c,b", "b"}, {"ab,c", "a,b,c", "c"}, {",a", ",a", "a"},
	} {
		if got := Choose([]byte(tt.client), []byte(tt.server)); string(got) != tt.want {
			t.Errorf("%q and %q choose %q, want %q", tt.client, tt.server, got, tt.want)
		}
	}
	for cipher, want := range map[string]bool{"chacha20-poly1305@openssh.com": true, "aes128-gcm@openssh.com": true, "AEAD_AES_128_GCM": true, "aes128-ctr": false, "": false} {
		if Authenticates([]byte(cipher)) != want {
			t.Errorf("%s", cipher)
		}
	}
}

func TestProbe(t *testing.T) {
	for data, want := range map[string]parsers.Verdict{
		"": parsers.Maybe, "SSH": parsers.Maybe, "SSH-2": parsers.Maybe, "SSH-2.": parsers.Yes, "SSH-1.99-x\r\n": parsers.Yes,
		"SSH-3.": parsers.No, "ssh-2.0": parsers.No, "GET": parsers.No,
	} {
		if got := Probe([]byte(data), 0); got != want {
			t.Errorf("%q: %d", data, got)
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add([]byte(clientID+"\r\n"+packet(clientOffer)+packet("\x15")), []byte("hi\n"+serverID+"\r\n"+packet(serverOffer)+packet(reply)+packet("\x15")), 10)
	f.Add([]byte("SSH-1.5-x\n"), []byte("SSH-2.0-x\n\x00\x00\x00\x0c\x0a\x14"), 3)
	f.Fuzz(func(t *testing.T, a, b []byte, cut int) {
		whole := parsertest.Session[Handshake]{New: func() parsers.SessionParser[Handshake] { return new(Parser) }, Text: text}
		want := whole.Play(parsertest.Script{Calls: []parsertest.Call{parsertest.Feed(up, a), parsertest.Feed(down, b)}})
		p := new(Parser)
		var got []string
		for side, data := range [][]byte{a, b} {
			at := flows.Stamp{Time: int64(side+1) * 1e6, Pos: flows.NewPosition(1, uint64(side+1))}
			for len(data) > 0 {
				n := min(len(data), max(1, cut))
				for _, m := range p.Feed(nil, flows.Side(side), at, data[:n]) {
					got = append(got, text(&m))
				}
				data = data[n:]
			}
		}
		for _, m := range p.End(nil) {
			got = append(got, text(&m))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q\nwant\n%q", got, want)
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	c, s := []byte(clientID+"\r\n"+packet(clientOffer)+packet("\x1ee")+packet("\x15")), []byte(serverID+"\r\n"+packet(serverOffer)+packet(reply)+packet("\x15"))
	p := new(Parser)
	var out []Handshake
	at := flows.Stamp{Pos: 1}
	for range b.N {
		out = p.Feed(out[:0], up, at, c)
		out = p.Feed(out, down, at, s)
		if len(out) != 1 || out[0].Outcome != Established {
			b.Fatal(len(out))
		}
		p.Reset()
	}
}
