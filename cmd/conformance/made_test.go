package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
)

// made returns conversions for the columns that no recording fills: bytes put
// together here, or a recording converted in a way of its own.
func made(t *testing.T, name string) (cfg run.Config) {
	t.Helper()
	write := func(b []byte) {
		p := filepath.Join(t.TempDir(), filepath.Base(name))
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg.Inputs = []string{p}
	}
	const misc = "../../testdata/captures/misc.pcap"
	cfg.Inputs = []string{misc}
	cfg.NoChecksums = true // the packets made here have none
	switch name {
	case "made/filtered": // misc.pcap has ICMP and TCP
		cfg.Filter.Protos = []uint8{6}
	case "made/limited": // first fragments of a hundred datagrams, which are more than may be held
		var packets [][]byte
		for i := range 100 {
			p := ipPacket(17, false, make([]byte, 1400))
			p[5], p[6] = byte(i), 0x20
			packets = append(packets, p)
		}
		write(pcapOf(packets...))
		cfg.MaxFragmentBytes = 1 << 16
	case "made/evicted": // many flows live, of which one may be
		cfg.Inputs = []string{"../../testdata/captures/dns-udp.pcap"}
		cfg.MaxFlows, cfg.Shards = 1, 1
	case "made/holes": // lost segments, behind which one may be held
		cfg.Inputs = []string{"../../testdata/captures/http-loss.pcap"}
		cfg.MaxHeldSegments = 1
	case "made/pending": // three requests before the first response, of which one may wait
		cfg.Inputs = []string{"../../testdata/captures/http-keepalive.pcap"}
		cfg.MaxPending = 1
	case "made/parsers": // a hundred requests that never end
		var packets [][]byte
		for i := range 100 {
			b := []byte{0x9c, byte(i), 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0}
			packets = append(packets, ipPacket(6, false, append(b, "GET /"+strings.Repeat("x", 1300)...)))
		}
		write(pcapOf(packets...))
		cfg.MaxParserBytes, cfg.Shards = 64<<10, 1
	case "made/overlap": // two fragments that are both of the first bytes
		first, second := ipPacket(17, false, make([]byte, 16)), ipPacket(17, false, make([]byte, 24))
		first[6], second[6] = 0x20, 0x20
		write(pcapOf(first, second))
	case "made/duplicate": // every packet twice, as from a port that mirrors both ways
		b, err := os.ReadFile(misc)
		if err != nil {
			t.Fatal(err)
		}
		twice := b[:24:24]
		for r := b[24:]; len(r) > 16; {
			n := 16 + int(binary.LittleEndian.Uint32(r[8:]))
			twice = append(append(twice, r[:n]...), r[:n]...)
			r = r[n:]
		}
		write(twice)
	case "made/warning": // bytes after the end of compressed data
		b, err := os.ReadFile("../../testdata/captures/http-chunked.pcap.gz")
		if err != nil {
			t.Fatal(err)
		}
		write(append(b, "no gzip member"...))
	case "made/link-error": // a packet that was received with a wrong checksum of the frame
		write(linkErrorCapture())
	case "made/forwarded":
		write(tcpCapture(80, 0, "GET / HTTP/1.1\r\nHost: www.test\r\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n\r\n"))
	case "made/ssh-disconnect": // RFC 4253 section 11.1: SSH_MSG_DISCONNECT, PROTOCOL_ERROR, in the clear
		write(tcpCapture(22, 0, "SSH-2.0-a\r\n", "SSH-2.0-b\r\n", sshPacket("\x01\x00\x00\x00\x02\x00\x00\x00\x02no\x00\x00\x00\x00")))
	case "made/ssh-gap":
		write(tcpCapture(22, 40, "SSH-2.0-a\r\n", "SSH-2.0-b\r\n", sshPacket("\x02\x00\x00\x00\x00")))
	case "made/ssh-malformed": // a packet of no length
		write(tcpCapture(22, 0, "SSH-2.0-a\r\n", "SSH-2.0-b\r\n", strings.Repeat("\x00", 40)))
	case "made/dns-error-text": // RFC 8914: an answer with the option extended error, code 18 and text
		write(dnsErrorCapture())
	case "made/tls-oversize": // a client's hello, and a server's message certificate of 600,000 bytes in 50 records
		hello := "\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x00\x2f\x01\x00"
		payloads := []string{"\x16\x03\x01\x00\x2d\x01\x00\x00\x29" + hello, "\x16\x03\x03\x00\x2a\x02\x00\x00\x26" + hello[:35] + "\x00\x2f\x00"}
		chain := "\x0b\x09\x27\xc0" + strings.Repeat("\x00", 600_000)
		for ; chain != ""; chain = chain[min(12_000, len(chain)):] {
			part := chain[:min(12_000, len(chain))]
			payloads = append(payloads, "", "\x16\x03\x03"+string(binary.BigEndian.AppendUint16(nil, uint16(len(part))))+part)
		}
		write(tcpCapture(443, 0, payloads...))
	default:
		t.Fatalf("nothing is made under the name of %s", name)
	}
	return cfg
}

const (
	pcapHead  = "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x65\x00\x00\x00" // raw IP
	addresses = "\x0a\x00\x00\x01\x0a\x00\x00\x02"
)

// ipPacket returns an IPv4 packet without checksums.
func ipPacket(proto byte, fromResponder bool, transport []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, proto, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(transport)))
	if fromResponder {
		b = append(append(b, addresses[4:]...), addresses[:4]...)
	} else {
		b = append(b, addresses...)
	}
	return append(b, transport...)
}

func pcapOf(packets ...[]byte) []byte {
	b := []byte(pcapHead)
	for i, p := range packets {
		for _, v := range []int{1700000000, i * 1000, len(p), len(p)} {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		b = append(b, p...)
	}
	return b
}

// tcpCapture returns a capture of a connection to a port: its handshake, then
// payloads of the two sides by turns. gap bytes are missing before the last.
func tcpCapture(port uint16, gap int, payloads ...string) []byte {
	seq := [2]int{1000, 5000}
	ports := [2]uint16{40000, port}
	var packets [][]byte
	packet := func(side int, flags byte, payload string) {
		var b []byte
		b = binary.BigEndian.AppendUint16(b, ports[side])
		b = binary.BigEndian.AppendUint16(b, ports[1-side])
		b = binary.BigEndian.AppendUint32(b, uint32(seq[side]))
		b = binary.BigEndian.AppendUint32(b, uint32(seq[1-side]))
		b = append(b, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
		packets = append(packets, ipPacket(6, side == 1, append(b, payload...)))
		seq[side] += len(payload)
	}
	packet(0, 0x02, "")
	seq[0]++
	packet(1, 0x12, "")
	seq[1]++
	packet(0, 0x10, "")
	for i, p := range payloads {
		if i == len(payloads)-1 {
			seq[i%2] += gap
		}
		packet(i%2, 0x18, p)
	}
	packet(0, 0x10, "")
	return pcapOf(packets...)
}

// sshPacket returns a binary packet (RFC 4253 section 6) around a message.
func sshPacket(message string) string {
	padding := 8 - (5+len(message))%8 + 8
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(message)+padding))
	return string(append(b, byte(padding))) + message + strings.Repeat("\x00", padding)
}

func dnsErrorCapture() []byte {
	udp := func(src, dst uint16, payload string) []byte {
		var b []byte
		b = binary.BigEndian.AppendUint16(b, src)
		b = binary.BigEndian.AppendUint16(b, dst)
		b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
		return append(append(b, 0, 0), payload...)
	}
	const question = "\x04test\x00\x00\x01\x00\x01"
	const text = "filtered by order"
	option := "\x00\x0f\x00" + string(rune(2+len(text))) + "\x00\x12" + text
	answer := "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x01" + question + "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00" + string(rune(len(option))) + option
	return pcapOf(
		ipPacket(17, false, udp(40000, 53, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"+question)),
		ipPacket(17, true, udp(53, 40000, answer)))
}

// linkErrorCapture returns a pcapng whose packet has the flag "CRC error"
// (draft-ietf-opsawg-pcapng section 4.3.1, epb_flags bit 24).
func linkErrorCapture() []byte {
	le := binary.LittleEndian
	block := func(typ uint32, body []byte) []byte {
		n := uint32(12 + len(body))
		b := le.AppendUint32(le.AppendUint32(nil, typ), n)
		return le.AppendUint32(append(b, body...), n)
	}
	section := append(le.AppendUint32(nil, 0x1a2b3c4d), 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	packet := ipPacket(17, false, []byte{0x9c, 0x40, 0, 9, 0, 8, 0, 0})
	var body []byte
	for _, v := range []int{0, 0x60000, 0, len(packet), len(packet)} {
		body = le.AppendUint32(body, uint32(v))
	}
	body = append(body, packet...)
	body = append(body, 2, 0, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	return bytes.Join([][]byte{block(0x0a0d0d0a, section), block(1, []byte{101, 0, 0, 0, 0, 0, 4, 0}), block(6, body)}, nil)
}
