package schema

import (
	"bytes"
	"encoding/base64"

	"github.com/caplake/caplake/parsers/ssh"
	"github.com/caplake/caplake/parsers/tls"
)

// SSH is a row of the ssh table. The lists are what each side offers for what
// itself sends, in order.
type SSH struct {
	FlowID  int64  `parquet:"flow_id,uncompressed" id:"1" bloom:"yes" doc:"flow that the handshake is of (table flows)"`
	TS      int64  `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"capture time of the packet with the handshake's first byte, UTC"`
	SrcIP   string `parquet:"src_ip,dict" id:"3" bloom:"yes" doc:"address of the flow's initiator"`
	SrcPort int32  `parquet:"src_port" id:"4" doc:"port of the flow's initiator"`
	DstIP   string `parquet:"dst_ip,dict" id:"5" bloom:"yes" doc:"address of the flow's responder"`
	DstPort int32  `parquet:"dst_port,dict" id:"6" doc:"port of the flow's responder"`

	HandshakeNS *int64 `parquet:"handshake_ns,optional" id:"7" doc:"time from ts to the packet with the second side's NEWKEYS; NULL unless established"`
	ClientSide  string `parquet:"client_side,dict" id:"8" doc:"side that has the role of the client: src, or dst where the responder has it"`
	Outcome     string `parquet:"outcome,dict" id:"9" doc:"how the handshake ended: established (both sides went on to encrypt), version_1 (SSH 1, of which nothing more is read), disconnected (in the clear), closed, reset, gap (bytes not captured hide the end), malformed, incomplete (the flow was over first)"`
	Version     *int32 `parquet:"version,optional" id:"10" doc:"protocol version, 1 or 2"`

	Client      string `parquet:"client,optional,dict" id:"11" bloom:"yes" doc:"identification of the client, SSH-2.0-software comments; bytes that are not printable UTF-8 as \\xHH"`
	Server      string `parquet:"server,optional,dict" id:"12" bloom:"yes" doc:"identification of the server"`
	HASSH       string `parquet:"hassh,optional,dict" id:"13" bloom:"yes" doc:"HASSH fingerprint of the client's offer"`
	HASSHServer string `parquet:"hassh_server,optional,dict" id:"14" bloom:"yes" doc:"HASSHServer fingerprint of the server's offer"`

	KexAlgorithm     string `parquet:"kex_algorithm,optional,dict" id:"15" doc:"key exchange method that the two offers agree on"`
	HostKeyAlgorithm string `parquet:"host_key_algorithm,optional,dict" id:"16" doc:"host key algorithm that the two offers agree on"`
	ClientCipher     string `parquet:"client_cipher,optional,dict" id:"17" doc:"cipher of what the client sends"`
	ServerCipher     string `parquet:"server_cipher,optional,dict" id:"18" doc:"cipher of what the server sends"`
	ClientMAC        string `parquet:"client_mac,optional,dict" id:"19" doc:"integrity algorithm of what the client sends; NULL also where the cipher brings its own"`
	ServerMAC        string `parquet:"server_mac,optional,dict" id:"20" doc:"integrity algorithm of what the server sends; NULL also where the cipher brings its own"`
	ClientCompress   string `parquet:"client_compression,optional,dict" id:"21" doc:"compression of what the client sends"`
	ServerCompress   string `parquet:"server_compression,optional,dict" id:"22" doc:"compression of what the server sends"`
	HostKeyType      string `parquet:"host_key_type,optional,dict" id:"23" doc:"type of the server's host key, as sent"`
	HostKeySHA256    string `parquet:"host_key_sha256,optional,dict" id:"24" bloom:"yes" doc:"SHA-256 of the server's host key in base 64, as OpenSSH shows it"`

	ClientKex         []string `parquet:"client_kex,optional,list,dict" id:"25" doc:"key exchange methods and extensions that the client offers"`
	ServerKex         []string `parquet:"server_kex,optional,list,dict" id:"26" doc:"key exchange methods and extensions that the server offers"`
	ClientHostKeys    []string `parquet:"client_host_keys,optional,list,dict" id:"27" doc:"host key algorithms that the client takes"`
	ServerHostKeys    []string `parquet:"server_host_keys,optional,list,dict" id:"28" doc:"host key algorithms that the server has"`
	ClientCiphers     []string `parquet:"client_ciphers,optional,list,dict" id:"29" doc:"ciphers that the client offers for what it sends"`
	ServerCiphers     []string `parquet:"server_ciphers,optional,list,dict" id:"30" doc:"ciphers that the server offers for what it sends"`
	ClientMACs        []string `parquet:"client_macs,optional,list,dict" id:"31" doc:"integrity algorithms that the client offers for what it sends"`
	ServerMACs        []string `parquet:"server_macs,optional,list,dict" id:"32" doc:"integrity algorithms that the server offers for what it sends"`
	ClientCompression []string `parquet:"client_compressions,optional,list,dict" id:"33" doc:"compression algorithms that the client offers for what it sends"`
	ServerCompression []string `parquet:"server_compressions,optional,list,dict" id:"34" doc:"compression algorithms that the server offers for what it sends"`

	DisconnectReason *int32 `parquet:"disconnect_reason,optional" id:"35" doc:"reason code of a DISCONNECT in the clear (RFC 4253 section 11.1)"`
	DisconnectedBy   string `parquet:"disconnected_by,optional,dict" id:"36" doc:"side that sent it: src or dst"`
	AfterGap         bool   `parquet:"after_gap" id:"37" doc:"whether bytes of the handshake were not captured"`
	Malformed        string `parquet:"malformed,optional,dict" id:"38" doc:"first rule that the bytes broke: identification (none in the first 16 KiB), packet_length, message_type, kexinit"`

	CaptureID     int32 `parquet:"capture_id,delta" id:"39" doc:"input with the first packet (table captures)"`
	FirstPacket   int64 `parquet:"first_packet,delta" id:"40" doc:"number of the packet with the first byte in its input, counted from 1"`
	LastCaptureID int32 `parquet:"last_capture_id,delta" id:"41" doc:"input with the last packet of the handshake"`
	LastPacket    int64 `parquet:"last_packet,delta" id:"42" doc:"number of the last packet of the handshake in its input"`
}

// AppendSSH appends the row of m, which it copies to a.
func AppendSSH(dst []SSH, m *ssh.Handshake, session *Session, a *Arena) []SSH {
	dst = append(dst, SSH{
		FlowID: session.FlowID, TS: m.First.Time,
		SrcIP: session.SrcIP, SrcPort: int32(session.SrcPort), DstIP: session.DstIP, DstPort: int32(session.DstPort),
		ClientSide: session.Side(m.ClientSide), Outcome: m.Outcome.String(), AfterGap: m.AfterGap, Malformed: m.Malformed,
		CaptureID: int32(m.First.Pos.Input()), FirstPacket: int64(m.First.Pos.Packet()),
		LastCaptureID: int32(m.Last.Pos.Input()), LastPacket: int64(m.Last.Pos.Packet()),
	})
	r := &dst[len(dst)-1]
	if m.Outcome == ssh.Established {
		r.HandshakeNS = a.Int64(m.Done.Time - m.First.Time)
	}
	if v := m.Version(); v != 0 {
		r.Version = a.Int32(int32(v))
	}
	var space [256]byte
	text := func(b []byte) string { return a.String(tls.AppendText(space[:0], b)) }
	c, s := &m.Client, &m.Server
	r.Client, r.Server = text(c.Identification), text(s.Identification)
	r.HASSH = a.String(c.AppendHASSH(space[:0], true))
	r.HASSHServer = a.String(s.AppendHASSH(space[:0], false))
	if c.KEX && s.KEX {
		r.KexAlgorithm = text(ssh.Choose(c.KexAlgorithms, s.KexAlgorithms))
		r.HostKeyAlgorithm = text(ssh.Choose(c.HostKeyAlgorithms, s.HostKeyAlgorithms))
		out, in := ssh.Choose(c.CiphersOut, s.CiphersOut), ssh.Choose(c.CiphersIn, s.CiphersIn)
		r.ClientCipher, r.ServerCipher = text(out), text(in)
		if !ssh.Authenticates(out) {
			r.ClientMAC = text(ssh.Choose(c.MACsOut, s.MACsOut))
		}
		if !ssh.Authenticates(in) {
			r.ServerMAC = text(ssh.Choose(c.MACsIn, s.MACsIn))
		}
		r.ClientCompress = text(ssh.Choose(c.CompressionOut, s.CompressionOut))
		r.ServerCompress = text(ssh.Choose(c.CompressionIn, s.CompressionIn))
	}
	if len(m.HostKey) > 0 {
		r.HostKeyType = text(m.HostKeyType())
		sum := m.HostKeySHA256()
		r.HostKeySHA256 = a.String(base64.RawStdEncoding.AppendEncode(space[:0], sum[:]))
	}
	r.ClientKex, r.ServerKex = sshNames(a, c.KexAlgorithms), sshNames(a, s.KexAlgorithms)
	r.ClientHostKeys, r.ServerHostKeys = sshNames(a, c.HostKeyAlgorithms), sshNames(a, s.HostKeyAlgorithms)
	r.ClientCiphers, r.ServerCiphers = sshNames(a, c.CiphersOut), sshNames(a, s.CiphersIn)
	r.ClientMACs, r.ServerMACs = sshNames(a, c.MACsOut), sshNames(a, s.MACsIn)
	r.ClientCompression, r.ServerCompression = sshNames(a, c.CompressionOut), sshNames(a, s.CompressionIn)
	if m.DisconnectReason != 0 {
		r.DisconnectReason = a.Int32(int32(min(m.DisconnectReason, 1<<31-1)))
		r.DisconnectedBy = session.Side(m.DisconnectedBy)
	}
	return dst
}

// sshNames splits a list of names; nil for none.
func sshNames(a *Arena, list []byte) []string {
	if len(list) == 0 {
		return nil
	}
	out := a.Strings(bytes.Count(list, []byte(",")) + 1)
	var space [64]byte
	for i := range out {
		var name []byte
		name, list, _ = bytes.Cut(list, []byte(","))
		out[i] = a.String(tls.AppendText(space[:0], name))
	}
	return out
}
