package schema

import (
	"reflect"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/quic"
	"github.com/caplake/caplake/parsers/tls"
)

func TestAppendQUIC(t *testing.T) {
	hello := clientHello()[5:] // without its record
	answer := append([]byte{2, 0, 0, 46, 3, 3}, make([]byte, 32)...)
	answer = append(answer, 0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4)
	q := quic.Handshake{
		First: flows.Stamp{Time: 100, Pos: flows.NewPosition(1, 1)}, Last: flows.Stamp{Time: 170, Pos: flows.NewPosition(1, 9)},
		Done: flows.Stamp{Time: 160, Pos: flows.NewPosition(1, 8)}, ClientSide: flows.Responder, Version: quic.Version2,
		DCID: []byte{1, 2}, ClientSCID: nil, ServerSCID: []byte{0xab}, ServerSeen: true, Retry: true, Established: true,
	}
	q.Crypto[flows.Responder].Data = hello
	q.Crypto[flows.Initiator].Data = answer
	s := Session{FlowID: 42, SrcIP: "192.0.2.1", DstIP: "192.0.2.2", SrcPort: 443, DstPort: 40000}
	var p tls.Parser
	var a Arena
	for _, c := range []struct {
		name string
		edit func(*quic.Handshake)
		want func(*TLS)
	}{
		{"whole", func(*quic.Handshake) {}, func(*TLS) {}},
		{"incomplete", func(q *quic.Handshake) { q.Established = false },
			func(r *TLS) { r.Outcome, r.Established, r.HandshakeNS = "incomplete", nil, nil }},
		{"draft", func(q *quic.Handshake) { q.Version = 0xff00001d }, func(r *TLS) { r.QUICVersion = "draft-29" }},
		{"other", func(q *quic.Handshake) { q.Version = 0x54303530 }, func(r *TLS) { r.QUICVersion = "0x54303530" }},
		{"alert", func(q *quic.Handshake) { q.Close[flows.Initiator] = quic.Close{Seen: true, Code: 0x128} }, func(r *TLS) {
			no := false
			r.Outcome, r.Established, r.HandshakeNS, r.ServerAlert, r.ServerAlertLevel = "alert", &no, nil, "handshake_failure", "fatal"
		}},
		{"closed", func(q *quic.Handshake) {
			q.Established = false
			q.Close[flows.Initiator] = quic.Close{Seen: true, Code: 2}
		}, func(r *TLS) { no := false; r.Outcome, r.Established, r.HandshakeNS = "closed", &no, nil }},
		{"hole", func(q *quic.Handshake) {
			q.Crypto[flows.Responder] = quic.Stream{Data: hello[:60], Holes: true}
			q.Malformed = "x"
		}, func(r *TLS) {
			no := false
			*r = TLS{FlowID: r.FlowID, TS: r.TS, SrcIP: r.SrcIP, SrcPort: r.SrcPort, DstIP: r.DstIP, DstPort: r.DstPort, Transport: "quic",
				HandshakeNS: r.HandshakeNS, ClientSide: "dst", Outcome: r.Outcome, Established: r.Established, Resumed: r.Resumed, ClientVersion: "TLSv1.2",
				Version: r.Version, Cipher: r.Cipher, CipherID: r.CipherID, Ciphers: r.Ciphers, CompressionMethods: r.CompressionMethods, ClientSessionID: "abcd",
				ServerExtensions: r.ServerExtensions, HelloRetry: r.HelloRetry, JA3S: r.JA3S,
				HelloComplete: &no, AfterGap: true, Malformed: "x", ClientHellos: 1, ServerHellos: 1, QUICVersion: "2", DCID: "0102", ServerSCID: "ab",
				QUICRetry: r.QUICRetry, CaptureID: 1, FirstPacket: 1, LastCaptureID: 1, LastPacket: 9}
		}},
	} {
		one := q
		c.edit(&one)
		rows := AppendQUIC(nil, &one, &p, &s, &a, TLSOptions{})
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows", c.name, len(rows))
		}
		yes, no, ns, cipher := true, false, int64(60), int32(0x1301)
		want := TLS{
			FlowID: 42, TS: 100, SrcIP: "192.0.2.1", SrcPort: 443, DstIP: "192.0.2.2", DstPort: 40000, Transport: "quic", HandshakeNS: &ns,
			ClientSide: "dst", Outcome: "established", Established: &yes, ClientVersion: "TLSv1.2", Version: "TLSv1.3", Resumed: &no, SNI: "a.example.com",
			ALPNOffered: []string{"h2"}, Cipher: "TLS_AES_128_GCM_SHA256", CipherID: &cipher, Ciphers: []int32{0x1301, 0xc02f},
			ClientExtensions: []int32{0, 16, 43, 10}, SupportedVersions: []int32{0x0304}, Groups: []int32{29}, CompressionMethods: []int32{0},
			ClientSessionID: "abcd", SessionTicket: &no, PreSharedKey: &no, EarlyData: &no, ECH: "absent", ServerExtensions: []int32{43},
			HelloRetry: &no, JA3: rows[0].JA3, JA3S: rows[0].JA3S, JA4: rows[0].JA4, HelloComplete: &yes,
			ClientHellos: 1, ServerHellos: 1, QUICVersion: "2", DCID: "0102", ServerSCID: "ab", QUICRetry: &yes,
			CaptureID: 1, FirstPacket: 1, LastCaptureID: 1, LastPacket: 9,
		}
		c.want(&want)
		if !reflect.DeepEqual(rows[0], want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", c.name, rows[0], want)
		}
		if c.name == "whole" && (rows[0].JA4[:4] != "q13d" || len(rows[0].JA3) != 32) {
			t.Errorf("ja4 %s", rows[0].JA4)
		}
	}
	if rows := AppendQUIC(nil, &quic.Handshake{}, &p, &s, &a, TLSOptions{}); len(rows) != 0 {
		t.Error("a row of no hello")
	}
}
