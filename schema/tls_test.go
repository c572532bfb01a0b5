package schema

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/tls"
)

func TestTLSColumns(t *testing.T) {
	for _, row := range []any{TLS{}, Certificate{}} {
		columns, err := ColumnsOf(reflect.TypeOf(row))
		if err != nil {
			t.Fatal(err)
		}
		for i := range columns {
			if columns[i].Kind == List && !columns[i].Nullable {
				t.Errorf("%s: a list is NULL where there is none", columns[i].Name)
			}
			if doc := columns[i].Doc; strings.HasSuffix(doc, ".") || strings.ContainsAny(doc, "|\n") {
				t.Errorf("%s: doc %q", columns[i].Name, doc)
			}
		}
	}
}

// certificates makes n certificates, each of which says one name.
func certificates(t *testing.T, n int) (list []tls.RawCertificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		name := string(rune('a'+i%26)) + ".example.com"
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1800000000, 0),
		}, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, tls.RawCertificate{DER: der, SHA256: sha256.Sum256(der)})
	}
	return list
}

// clientHello is a ClientHello that asks for a.example.com, with its record.
func clientHello() []byte {
	ext := "0000" + "0012" + "0010" + "00" + "000d" + hex.EncodeToString([]byte("a.example.com")) +
		"0010" + "0005" + "0003" + "02" + "6832" + "002b" + "0003" + "02" + "0304" + "000a" + "0004" + "0002" + "001d"
	body := "0303" + strings.Repeat("11", 32) + "02abcd" + "0004" + "1301c02f" + "0100"
	e, _ := hex.DecodeString(ext)
	b, _ := hex.DecodeString(body)
	b = append(append(b, 0, byte(len(e))), e...)
	b = append([]byte{1, 0, 0, byte(len(b))}, b...)
	return append([]byte{0x16, 3, 1, 0, byte(len(b))}, b...)
}

func TestAppendTLS(t *testing.T) {
	var p tls.Parser
	out := p.Feed(nil, flows.Initiator, flows.Stamp{Time: 100, Pos: flows.NewPosition(2, 7)}, clientHello())
	answer, _ := hex.DecodeString("16" + "0303002a020000260303" + strings.Repeat("22", 32) + "00c02f00")
	out = p.Feed(out, flows.Responder, flows.Stamp{Time: 150, Pos: flows.NewPosition(2, 8)}, answer)
	out = p.Feed(out, flows.Responder, flows.Stamp{Time: 170, Pos: flows.NewPosition(3, 1)}, []byte{0x15, 3, 3, 0, 2, 2, 40})
	out = p.End(out)
	if len(out) != 1 {
		t.Fatalf("%d messages", len(out))
	}
	out[0].ServerChain = certificates(t, 2)
	out[0].ServerChainAt = flows.Stamp{Time: 150, Pos: flows.NewPosition(2, 8)}
	s := Session{FlowID: 42, SrcIP: "192.0.2.1", DstIP: "192.0.2.2", SrcPort: 40000, DstPort: 443, TCP: true}
	var a Arena
	var cache CertCache
	rows := AppendTLS(nil, &out[0], &s, &a, &cache, TLSOptions{Strings: true})
	if over := AppendTLS(nil, &out[0], &Session{}, &a, &cache, TLSOptions{})[0].Transport; over != "udp" { // in OpenVPN
		t.Errorf("transport %q of a flow over UDP", over)
	}
	p.Reset() // scribble over the parser's memory
	p.Feed(nil, flows.Initiator, flows.Stamp{}, slices.Repeat([]byte{0x16, 3, 1, 0, 1, 0xff}, 200))
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	r := rows[0]
	yes, no := true, false
	cipher := int32(0xc02f)
	notBefore, notAfter := int64(1700000000)*1e9, int64(1800000000)*1e9
	want := TLS{
		FlowID: 42, TS: 100, SrcIP: "192.0.2.1", SrcPort: 40000, DstIP: "192.0.2.2", DstPort: 443,
		Transport: "tcp", ClientSide: "src", Outcome: "alert", Established: &no, HelloRetry: &no,
		RecordVersion: "TLSv1.0", ClientVersion: "TLSv1.2", Version: "TLSv1.2", SNI: "a.example.com",
		ALPNOffered: []string{"h2"}, Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherID: &cipher,
		Ciphers: []int32{0x1301, 0xc02f}, ClientExtensions: []int32{0, 16, 43, 10}, SupportedVersions: []int32{0x0304}, Groups: []int32{29},
		CompressionMethods: []int32{0}, ClientSessionID: "abcd", SessionTicket: &no, PreSharedKey: &no, EarlyData: &no, ECH: "absent",
		ServerAlertLevel: "fatal", ServerAlert: "handshake_failure",
		JA3: r.JA3, JA3S: r.JA3S, JA4: r.JA4, JA3String: "771,4865-49199,0-16-43-10,29,", JA3SString: "771,49199,",
		JA4R:             "t13d0204h2_1301,c02f_000a,002b",
		CertFingerprints: []string{hex.EncodeToString(out[0].ServerChain[0].SHA256[:]), hex.EncodeToString(out[0].ServerChain[1].SHA256[:])},
		Subject:          "CN=a.example.com", Issuer: "CN=CA", Serial: "01", NotBefore: &notBefore, NotAfter: &notAfter, SANDNS: []string{"a.example.com"},
		SelfSigned: &no, SNIMatchesCert: &yes, HelloComplete: &yes,
		ClientHellos: 1, ServerHellos: 1, CaptureID: 2, FirstPacket: 7, LastCaptureID: 3, LastPacket: 1,
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\nwant\n%+v", r, want)
	}
	if len(r.JA3) != 32 || len(r.JA3S) != 32 || !strings.HasPrefix(r.JA4, "t13d0204h2_") {
		t.Errorf("ja3 %q ja3s %q ja4 %q", r.JA3, r.JA3S, r.JA4)
	}
}

// TestCertCache: what a cache has forgotten never shows in the rows.
func TestCertCache(t *testing.T) {
	chain := certificates(t, 50)
	s := Session{FlowID: 1}
	collect := func(cache *CertCache, order []int) map[string]Certificate {
		var a Arena
		earliest := map[string]Certificate{}
		for _, i := range order {
			m := tls.Handshake{ServerChain: chain[i%50 : i%50+1], ServerChainAt: flows.Stamp{Time: int64(i), Pos: flows.NewPosition(1, uint64(i+1))}}
			s.FlowID = int64(i)
			for _, row := range AppendCertificates(nil, &m, &s, &a, cache, CertificateOptions{DER: true}) {
				if old, ok := earliest[row.SHA256]; !ok || row.Before(&old) {
					earliest[row.SHA256] = row
				}
			}
			if held := len(cache.young) + len(cache.old); cache.MaxBytes > 0 && held > 12 {
				t.Fatalf("holds %d certificates", held)
			}
		}
		return earliest
	}
	var forwards, backwards []int
	for i := range 500 {
		forwards = append(forwards, i)
		backwards = append([]int{i}, backwards...)
	}
	want := collect(&CertCache{}, forwards)
	if len(want) != 50 {
		t.Fatalf("%d certificates", len(want))
	}
	for _, order := range [][]int{forwards, backwards} {
		for _, most := range []int{0, 10 << 10} {
			if got := collect(&CertCache{MaxBytes: most}, order); !reflect.DeepEqual(got, want) {
				t.Errorf("cache of %d bytes: other rows", most)
			}
		}
	}
	for i := range chain {
		row := want[hex.EncodeToString(chain[i].SHA256[:])]
		if row.FlowID != int64(i) || row.FirstSeen != int64(i) || row.FirstPacket != int64(i+1) || !slices.Equal(row.DER, chain[i].DER) || len(row.SHA1) != 40 ||
			row.KeyType != "ec" || *row.KeyBits != 256 || *row.IsCA || row.PathLen != nil || row.Issuer != "CN=CA" {
			t.Fatalf("%d: %+v", i, row)
		}
	}
	// The same handshake again has nothing new.
	var a Arena
	var cache CertCache
	m := tls.Handshake{ServerChain: chain[:3], ClientChain: chain[2:4]}
	if n := len(AppendCertificates(nil, &m, &s, &a, &cache, CertificateOptions{})); n != 4 {
		t.Errorf("%d rows", n)
	}
	if n := len(AppendCertificates(nil, &m, &s, &a, &cache, CertificateOptions{})); n != 0 {
		t.Errorf("%d rows again", n)
	}
}

func BenchmarkAppendTLS(b *testing.B) {
	var p tls.Parser
	out := p.Feed(nil, flows.Initiator, flows.Stamp{Time: 100}, clientHello())
	out = p.End(out)
	s := Session{FlowID: 42, SrcIP: "192.0.2.1", DstIP: "192.0.2.2"}
	var a Arena
	var cache CertCache
	var rows []TLS
	b.ReportAllocs()
	for b.Loop() {
		rows = AppendTLS(rows[:0], &out[0], &s, &a, &cache, TLSOptions{})
	}
}
