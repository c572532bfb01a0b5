package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

var _ parsers.SessionParser[Handshake] = (*Parser)(nil)

// chunk is what one side wrote at once.
type chunk struct {
	side flows.Side
	data []byte
}

// line is one direction of a connection in memory: what is written waits to
// be read, as it does in a network (and not in a net.Pipe, in which two
// writers wait for each other for good).
type line struct {
	sync.Mutex
	sync.Cond
	held   []byte
	closed bool
}

func newLine() *line {
	l := &line{}
	l.Cond.L = &l.Mutex
	return l
}

// recorder keeps what both ends write, in order.
type recorder struct {
	sync.Mutex
	chunks []chunk
}

// end is one end of a recorded connection.
type end struct {
	net.Conn // not there: only what crypto/tls calls is
	side     flows.Side
	in, out  *line
	to       *recorder
}

func (c end) Write(b []byte) (int, error) {
	c.to.Lock()
	defer c.to.Unlock()
	c.out.Lock()
	defer c.out.Unlock()
	if c.out.closed {
		return 0, io.ErrClosedPipe
	}
	c.to.chunks = append(c.to.chunks, chunk{c.side, bytes.Clone(b)})
	c.out.held = append(c.out.held, b...)
	c.out.Broadcast()
	return len(b), nil
}

func (c end) Read(b []byte) (int, error) {
	c.in.Lock()
	defer c.in.Unlock()
	for len(c.in.held) == 0 {
		if c.in.closed {
			return 0, io.EOF
		}
		c.in.Wait()
	}
	n := copy(b, c.in.held)
	c.in.held = c.in.held[n:]
	return n, nil
}

func (c end) Close() error {
	for _, l := range []*line{c.in, c.out} {
		l.Lock()
		l.closed = true
		l.Broadcast()
		l.Unlock()
	}
	return nil
}

// session runs a real handshake and one line of data each way, and returns
// what was written.
func session(t testing.TB, client, server *stdtls.Config) []chunk {
	t.Helper()
	var rec recorder
	up, down := newLine(), newLine()
	a := end{side: flows.Initiator, in: down, out: up, to: &rec}
	b := end{side: flows.Responder, in: up, out: down, to: &rec}
	c, s := stdtls.Client(a, client), stdtls.Server(b, server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		buf := make([]byte, 5)
		if _, err := io.ReadFull(s, buf); err == nil {
			s.Write(buf)
			io.ReadFull(s, buf)
		}
	}()
	buf := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err == nil {
		if _, err := io.ReadFull(c, buf); err == nil {
			c.Write([]byte("again"))
		}
	} else {
		io.Copy(io.Discard, a) // let the server say why
	}
	<-done
	a.Close()
	return rec.chunks
}

// authority makes certificates for a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA", Organization: []string{"caplake"}},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1900000000, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{key, cert}
}

func (a *authority) issue(t testing.TB, name string) stdtls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabcdef), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1900000000, 0),
		DNSNames: []string{name, "*." + name}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return stdtls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

func (a *authority) configs(t testing.TB) (client, server *stdtls.Config) {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	client = &stdtls.Config{RootCAs: roots, ServerName: "www.example.com", NextProtos: []string{"h2", "http/1.1"},
		Time: func() time.Time { return time.Unix(1800000000, 0) }}
	server = &stdtls.Config{Certificates: []stdtls.Certificate{a.issue(t, "www.example.com")}, NextProtos: []string{"http/1.1"}, Time: client.Time}
	return client, server
}

// play feeds chunks to a new parser and returns each message as text. The
// stamps are the chunks' numbers.
func play(chunks []chunk) (messages []string, last Handshake) {
	var p Parser
	var out []Handshake
	take := func() {
		for i := range out {
			messages = append(messages, describe(&out[i]))
			last = out[i]
		}
		out = out[:0]
	}
	for i, c := range chunks {
		at := flows.Stamp{Time: int64(i + 1), Pos: flows.NewPosition(1, uint64(i+1))}
		lent := bytes.Clone(c.data)
		out = p.Feed(out, c.side, at, lent)
		take()
		for j := range lent { // what was lent must not be kept
			lent[j] = 0xee
		}
	}
	out = p.End(out)
	take()
	return messages, last
}

// describe is all of a message but its stamps, which depend on the cut.
func describe(m *Handshake) string {
	c, s := &m.Client, &m.Server
	var b strings.Builder
	fmt.Fprintf(&b, "client %v seen %v complete %v rec %04x ver %04x sid %x ciphers %x comp %x ext %d sni %q alpn %q versions %x groups %d shares %d sigs %x points %x psk %x ticket %v early %v psk %v ech %v\n",
		m.ClientSide, c.Seen, c.Complete, c.RecordVersion, c.Version, c.SessionID, c.Ciphers, c.Compression, c.Extensions, c.SNI, c.ALPN, c.SupportedVersions,
		c.Groups, c.KeyShares, c.SignatureAlgorithms, c.PointFormats, c.PSKModes, c.SessionTicket, c.EarlyData, c.PreSharedKey, c.ECH)
	if c.Fingerprinted() {
		fmt.Fprintf(&b, "%s %s\n", c.AppendJA3(nil), c.AppendJA4R(c.AppendJA4(nil, TCP), TCP))
	}
	fmt.Fprintf(&b, "server seen %v complete %v retry %v rec %04x ver %04x %04x sid %x cipher %04x ext %d alpn %q group %d psk %v ticket %v\n",
		s.Seen, s.Complete, s.Retry, s.RecordVersion, s.Version, s.SelectedVersion, s.SessionID, s.Cipher, s.Extensions, s.ALPN, s.Group, s.PreSharedKey, s.SessionTicket)
	if s.Fingerprinted() {
		fmt.Fprintf(&b, "%s\n", s.AppendJA3S(nil))
	}
	for _, chain := range [][]RawCertificate{m.ServerChain, m.ClientChain} {
		for _, cert := range chain {
			fmt.Fprintf(&b, "cert %x of %d\n", cert.SHA256, len(cert.DER))
			if cert.SHA256 != sha256.Sum256(cert.DER) {
				b.WriteString("fingerprint is not of the certificate\n")
			}
		}
	}
	fmt.Fprintf(&b, "retry %d resumed %d auth %d established %d ticket %v alerts %v outcome %v gap %v over %v malformed %q\n",
		m.HelloRetry, m.Resumed, m.ClientAuth, m.Established, m.NewSessionTicket, m.Alerts, m.Outcome, m.AfterGap, m.Oversize, m.Malformed)
	return b.String()
}

// sessions are real handshakes of every kind that crypto/tls speaks.
func sessions(t testing.TB) map[string][]chunk {
	ca := newAuthority(t)
	all := map[string][]chunk{}
	for name, version := range map[string]uint16{"1.0": stdtls.VersionTLS10, "1.1": stdtls.VersionTLS11, "1.2": stdtls.VersionTLS12, "1.3": stdtls.VersionTLS13} {
		client, server := ca.configs(t)
		for _, c := range []*stdtls.Config{client, server} {
			c.MinVersion, c.MaxVersion = version, version
		}
		client.ClientSessionCache = stdtls.NewLRUClientSessionCache(4)
		all[name] = session(t, client, server)
		all[name+" resumed"] = session(t, client, server)

		server = server.Clone()
		server.ClientAuth = stdtls.RequireAnyClientCert
		client = client.Clone()
		client.ClientSessionCache = nil
		client.Certificates = []stdtls.Certificate{ca.issue(t, "client.example.com")}
		all[name+" client auth"] = session(t, client, server)

		client, server = ca.configs(t)
		client.MinVersion, client.MaxVersion, server.MaxVersion = version, version, version
		client.RootCAs = x509.NewCertPool()
		all[name+" unknown ca"] = session(t, client, server)
	}
	client, server := ca.configs(t)
	client.CurvePreferences = []stdtls.CurveID{stdtls.X25519, stdtls.CurveP384}
	server.CurvePreferences = []stdtls.CurveID{stdtls.CurveP384}
	all["1.3 retry"] = session(t, client, server)
	client, server = ca.configs(t)
	client.MaxVersion, server.MinVersion = stdtls.VersionTLS12, stdtls.VersionTLS13
	all["version alert"] = session(t, client, server)
	return all
}

func TestSessions(t *testing.T) {
	all := sessions(t)
	h2 := "h2 http/1.1"
	for _, c := range []struct {
		name                 string
		version              uint16
		resumed, auth, retry Answer
		established          Answer
		outcome              Outcome
		chain, clientChain   int
		alert                string // side, level, name
	}{
		{"1.0", VersionTLS10, No, No, No, Yes, Established, 2, 0, ""},
		{"1.1", VersionTLS11, No, No, No, Yes, Established, 2, 0, ""},
		{"1.2", VersionTLS12, No, No, No, Yes, Established, 2, 0, ""},
		{"1.3", VersionTLS13, No, Unknown, No, Yes, Established, 0, 0, ""},
		{"1.0 resumed", VersionTLS10, Yes, No, No, Yes, Established, 0, 0, ""},
		{"1.2 resumed", VersionTLS12, Yes, No, No, Yes, Established, 0, 0, ""},
		{"1.3 resumed", VersionTLS13, Yes, Unknown, No, Yes, Established, 0, 0, ""},
		{"1.0 client auth", VersionTLS10, No, Yes, No, Yes, Established, 2, 2, ""},
		{"1.2 client auth", VersionTLS12, No, Yes, No, Yes, Established, 2, 2, ""},
		{"1.3 client auth", VersionTLS13, No, Unknown, No, Yes, Established, 0, 0, ""},
		{"1.2 unknown ca", VersionTLS12, Unknown, No, No, No, Alerted, 2, 0, "initiator fatal bad_certificate"},
		{"1.3 unknown ca", VersionTLS13, No, Unknown, No, No, EncryptedAlert, 0, 0, ""},
		{"1.3 retry", VersionTLS13, No, Unknown, Yes, Yes, Established, 0, 0, ""},
		{"version alert", 0, Unknown, Unknown, Unknown, No, Alerted, 0, 0, "responder fatal protocol_version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			messages, m := play(all[c.name])
			if len(messages) != 1 {
				t.Fatalf("%d messages", len(messages))
			}
			if got := m.Server.Negotiated(); got != c.version {
				t.Errorf("version %04x", got)
			}
			if m.Resumed != c.resumed || m.ClientAuth != c.auth || m.HelloRetry != c.retry || m.Established != c.established || m.Outcome != c.outcome {
				t.Errorf("resumed %v auth %v retry %v established %v outcome %v", m.Resumed, m.ClientAuth, m.HelloRetry, m.Established, m.Outcome)
			}
			if len(m.ServerChain) != c.chain || len(m.ClientChain) != c.clientChain {
				t.Errorf("chains of %d and %d", len(m.ServerChain), len(m.ClientChain))
			}
			if m.Malformed != "" || m.AfterGap || m.Oversize {
				t.Errorf("malformed %q gap %v oversize %v", m.Malformed, m.AfterGap, m.Oversize)
			}
			if string(m.Client.SNI) != "www.example.com" || string(bytes.Join(m.Client.ALPN, []byte(" "))) != h2 || !m.Client.Complete {
				t.Errorf("sni %q alpn %q", m.Client.SNI, m.Client.ALPN)
			}
			if m.Server.Seen && !m.Server.TLS13() && string(m.Server.ALPN) != "http/1.1" {
				t.Errorf("chosen alpn %q", m.Server.ALPN)
			}
			alert := ""
			for side, a := range m.Alerts {
				if a.Seen {
					alert += fmt.Sprintf("%v %s %s", flows.Side(side), AlertLevelName(a.Level), AlertName(a.Description))
				}
			}
			if alert != c.alert {
				t.Errorf("alert %q", alert)
			}
			if (m.Done.Time > 0) != (c.established == Yes) || m.First.Time != 1 {
				t.Errorf("first %v done %v", m.First, m.Done)
			}
		})
	}
}

// TestSelected: what the server chose is what crypto/tls says it chose.
func TestSelected(t *testing.T) {
	ca := newAuthority(t)
	client, server := ca.configs(t)
	server.MaxVersion = stdtls.VersionTLS12
	server.CipherSuites = []uint16{stdtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	server.CurvePreferences = []stdtls.CurveID{stdtls.CurveP384}
	_, m := play(session(t, client, server))
	if CipherName(m.Server.Cipher) != "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" || GroupName(m.Server.Group) != "secp384r1" {
		t.Errorf("%s %s", CipherName(m.Server.Cipher), GroupName(m.Server.Group))
	}
	all := sessions(t)
	if _, m = play(all["1.2"]); !m.Client.SessionTicket || !m.NewSessionTicket || !m.Server.SessionTicket {
		t.Errorf("ticket %v %v %v", m.Client.SessionTicket, m.Server.SessionTicket, m.NewSessionTicket)
	}
	_, m = play(all["1.3 retry"])
	if GroupName(m.Server.Group) != "secp384r1" || !slices.Equal(m.Client.KeyShares, []uint16{29}) {
		t.Errorf("retry: %s, key shares %v", GroupName(m.Server.Group), m.Client.KeyShares)
	}
}

// TestSegmentation: any cut of the bytes gives the same messages.
func TestSegmentation(t *testing.T) {
	rng := mrand.New(mrand.NewPCG(1, 2))
	for name, chunks := range sessions(t) {
		want, _ := play(chunks)
		if len(want) != 1 {
			t.Fatalf("%s: %d messages", name, len(want))
		}
		for _, most := range []int{1, 2, 3, 7, 100, 1500} {
			var cut []chunk
			for _, c := range chunks {
				for data := c.data; len(data) > 0; {
					n := min(len(data), 1+rng.IntN(most))
					cut = append(cut, chunk{c.side, data[:n]})
					data = data[n:]
				}
			}
			if got, _ := play(cut); !slices.Equal(got, want) {
				t.Errorf("%s in pieces of up to %d:\n%s\nwant\n%s", name, most, got, want)
			}
		}
	}
}

// TestPrefixes: a conversation that breaks off anywhere gives one message,
// which says nothing that the whole does not.
func TestPrefixes(t *testing.T) {
	for name, chunks := range sessions(t) {
		_, whole := play(chunks)
		total := 0
		for _, c := range chunks {
			total += len(c.data)
		}
		for n := 0; n <= total; n += 1 + n/50 {
			var prefix []chunk
			for left, i := n, 0; left > 0; i++ {
				k := min(left, len(chunks[i].data))
				prefix = append(prefix, chunk{chunks[i].side, chunks[i].data[:k]})
				left -= k
			}
			messages, m := play(prefix)
			if len(messages) > 1 || n >= 9 && len(messages) != 1 {
				t.Fatalf("%s, %d bytes: %d messages", name, n, len(messages))
			}
			if len(messages) == 0 {
				continue
			}
			if m.Malformed != "" {
				t.Errorf("%s, %d bytes: malformed %q", name, n, m.Malformed)
			}
			if m.Client.Complete && string(m.Client.SNI) != string(whole.Client.SNI) ||
				!m.Client.Complete && m.Client.Fingerprinted() ||
				m.Server.Complete && !m.Server.Retry && m.Server.Cipher != whole.Server.Cipher ||
				len(m.ServerChain) > len(whole.ServerChain) || m.Established == Yes && whole.Established != Yes {
				t.Errorf("%s, %d bytes:\n%s", name, n, messages[0])
			}
			for i := range m.ServerChain {
				if m.ServerChain[i].SHA256 != whole.ServerChain[i].SHA256 {
					t.Errorf("%s, %d bytes: certificate %d differs", name, n, i)
				}
			}
		}
	}
}

// TestGaps: a gap of any place and size gives one message that owns up to it.
func TestGaps(t *testing.T) {
	rng := mrand.New(mrand.NewPCG(3, 4))
	all := sessions(t)
	for name, chunks := range all {
		for range 200 {
			victim := rng.IntN(len(chunks))
			data := chunks[victim].data
			from := rng.IntN(len(data))
			n := 1 + rng.IntN(len(data)-from)
			var p Parser
			var out []Handshake
			gap := false
			for i, c := range chunks {
				at := flows.Stamp{Time: int64(i + 1)}
				if i != victim {
					out = p.Feed(out, c.side, at, c.data)
					continue
				}
				out = p.Feed(out, c.side, at, data[:from])
				gap = !p.Done() && p.sides[c.side].state == readable
				out = p.Gap(out, c.side, at, int64(n))
				out = p.Feed(out, c.side, at, data[from+n:])
			}
			out = p.End(out)
			if len(out) > 1 {
				t.Fatalf("%s: %d messages", name, len(out))
			}
			for i := range out {
				if out[i].AfterGap != gap || out[i].Malformed != "" {
					t.Errorf("%s, %d bytes missing at %d of chunk %d: gap %v, malformed %q", name, n, from, victim, out[i].AfterGap, out[i].Malformed)
				}
			}
		}
	}
	// Inside a certificate, all around it is still known.
	chunks := all["1.2"]
	_, whole := play(chunks)
	at := bytes.Index(chunks[1].data, whole.ServerChain[0].DER[100:200])
	if at < 0 {
		t.Fatal("no certificate in the server's flight")
	}
	var p Parser
	out := p.Feed(nil, chunks[0].side, flows.Stamp{Time: 1}, chunks[0].data)
	out = p.Feed(out, chunks[1].side, flows.Stamp{Time: 2}, chunks[1].data[:at])
	out = p.Gap(out, chunks[1].side, flows.Stamp{Time: 3}, 50)
	out = p.Feed(out, chunks[1].side, flows.Stamp{Time: 3}, chunks[1].data[at+50:])
	for _, c := range chunks[2:] {
		out = p.Feed(out, c.side, flows.Stamp{Time: 4}, c.data)
	}
	if len(out) != 1 || len(out[0].ServerChain) != 0 || out[0].Established != Yes || !out[0].AfterGap || out[0].Server.Group == 0 {
		t.Fatalf("%d messages: %s", len(out), describe(&out[0]))
	}
}

// TestOneSide: a capture of one direction says what that direction says.
func TestOneSide(t *testing.T) {
	all := sessions(t)
	for _, name := range []string{"1.2", "1.3"} {
		for side := range flows.Side(2) {
			var half []chunk
			for _, c := range all[name] {
				if c.side == side {
					half = append(half, c)
				}
			}
			messages, m := play(half)
			if len(messages) != 1 || m.Established != Unknown || m.Malformed != "" || m.Outcome != Incomplete {
				t.Fatalf("%s %v: %v", name, side, messages)
			}
			if m.ClientSide != flows.Initiator || m.Client.Seen != (side == 0) || m.Server.Seen != (side == 1) {
				t.Errorf("%s %v: client %v", name, side, m.ClientSide)
			}
		}
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// hello is a small ClientHello of TLS 1.2 in a record.
var hello = unhex("16 0301 002d 01 000029 0303" + strings.Repeat("aa", 32) + "00 0002 c02f 01 00")

func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		name      string
		chunks    []chunk
		want      string // Malformed
		outcome   Outcome
		noMessage bool
	}{
		{"not TLS", []chunk{{0, []byte("GET / HTTP/1.1\r\n")}, {1, []byte("HTTP/1.1 200 OK\r\n")}}, "", 0, true},
		{"plain answer", []chunk{{0, hello[:len(hello)-2]}, {0, hello[len(hello)-2:]}, {1, []byte("HTTP/1.1 400 Bad Request\r\n")}}, "record: content type", Broken, false},
		{"record version", []chunk{{0, hello}, {1, unhex("16 0203 0004 02000000")}}, "record: version", Broken, false},
		{"record length", []chunk{{0, hello}, {1, unhex("16 0303 ffff 02")}}, "record: length", Broken, false},
		{"empty record", []chunk{{0, hello}, {1, unhex("16 0303 0000")}}, "record: empty handshake record", Incomplete, false},
		{"short server hello", []chunk{{0, hello}, {1, unhex("16 0303 0006 02 000002 0303")}}, "server_hello: random", Incomplete, false},
		{"two clients", []chunk{{0, hello}, {1, hello}}, "both sides play the same role", Incomplete, false},
		{"early data of none", []chunk{{0, hello}, {1, unhex("16 0303 002a 02 000026 0303" + strings.Repeat("bb", 32) + "00 c02f 00")}, {1, unhex("17 0303 0001 00")}},
			"application_data before change_cipher_spec", Incomplete, false},
		{"odd ciphers", []chunk{{0, unhex("16 0301 002e 01 00002a 0303" + strings.Repeat("aa", 32) + "00 0003 c02f00 01 00")}}, "client_hello: cipher_suites", Incomplete, false},
		{"extensions too long", []chunk{{0, unhex("16 0301 0031 01 00002d 0303" + strings.Repeat("aa", 32) + "00 0002 c02f 01 00 0006 0000")}}, "client_hello: extensions", Incomplete, false},
		{"alert level", []chunk{{0, hello}, {1, unhex("15 0303 0002 0728")}}, "alert: level", Broken, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			messages, m := play(c.chunks)
			if c.noMessage {
				if len(messages) != 0 {
					t.Fatal(messages)
				}
				return
			}
			if len(messages) != 1 || m.Malformed != c.want || m.Outcome != c.outcome {
				t.Errorf("%d messages, malformed %q, outcome %v", len(messages), m.Malformed, m.Outcome)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	at := func(n int64) flows.Stamp { return flows.Stamp{Time: n, Pos: flows.Position(n)} }
	var p Parser
	out := p.Feed(nil, 0, at(1), hello)
	out = p.Rst(out, 1, at(2))
	if out = p.End(out); len(out) != 1 || out[0].Outcome != Reset || out[0].Established != No || out[0].Last != at(2) || !p.Done() {
		t.Fatalf("reset: %+v", out)
	}
	if out = p.End(out); len(out) != 1 {
		t.Fatal("a second message")
	}
	p.Reset()
	if p.Done() {
		t.Fatal("done after Reset")
	}
	out = p.Feed(out[:0], 0, at(1), hello)
	out = p.Fin(out, 0, at(2))
	if len(out) != 0 {
		t.Fatal("message before the server had its say")
	}
	out = p.Feed(out, 1, at(3), unhex("15 0303 0002 0228"))
	if len(out) != 1 || out[0].Outcome != Alerted || AlertName(out[0].Alerts[1].Description) != "handshake_failure" {
		t.Fatalf("alert: %+v", out)
	}
}

// TestAfterReset: a side resets the flow while the other's flight is on its way.
func TestAfterReset(t *testing.T) {
	at := func(n int64) flows.Stamp { return flows.Stamp{Time: n, Pos: flows.Position(n)} }
	serverHello := unhex("16 0303 002a 02 000026 0303" + strings.Repeat("bb", 32) + "00 c02f 00")
	certificate := unhex("16 0303 0010 0b 00000c 000009 000006 3082 00021234")
	var p Parser
	out := p.Feed(nil, 0, at(1), hello)
	out = p.Feed(out, 1, at(2), serverHello)
	out = p.Rst(out, 0, at(3))
	if len(out) != 0 || p.Done() {
		t.Fatal("the other side had not ended")
	}
	out = p.Feed(out, 1, at(4), certificate)
	out = p.End(out)
	if len(out) != 1 || len(out[0].ServerChain) != 1 || out[0].Outcome != Reset || out[0].Established != No || out[0].Last != at(4) {
		t.Errorf("%+v", out)
	}
}

// TestClearAnswer: a server that does not speak TLS says so in its own words,
// which are for another parser.
func TestClearAnswer(t *testing.T) {
	at := flows.Stamp{Time: 1}
	answer := []byte("HTTP/1.1 400 Bad Request\r\n\r\n")
	for _, tt := range []struct {
		name   string
		first  []byte // what the client sends
		answer []byte
		want   bool
	}{
		{"HTTP", hello, answer, true},
		{"no text", hello, unhex("16 0203 0004 02000000"), false},
		{"text without a hello", unhex("15 0301 0002 0228"), answer, false},
	} {
		for _, step := range []int{1, len(tt.answer)} {
			var p Parser
			out := p.Feed(nil, 0, at, tt.first)
			var rest []byte
			for i, n := 0, 0; i < len(tt.answer) && !p.Tunnel(); i += n {
				n = min(step, len(tt.answer)-i)
				out = p.Feed(out, 1, at, tt.answer[i:i+n])
				if p.Tunnel() {
					rest = append(rest, tt.answer[i+n:]...)
				}
			}
			if p.Tunnel() != tt.want {
				t.Errorf("%s: tunnel %v", tt.name, p.Tunnel())
			}
			if !tt.want {
				continue
			}
			if got := string(p.Rest(1)) + string(rest); got != string(answer) || len(p.Rest(0)) != 0 {
				t.Errorf("%s: rest %q", tt.name, got)
			}
			if out = p.End(out); len(out) != 1 || out[0].Outcome != Broken {
				t.Errorf("%s: %+v", tt.name, out)
			}
			if p.Reset(); p.Tunnel() || p.Rest(1) != nil {
				t.Errorf("%s: after Reset", tt.name)
			}
		}
	}
}

// TestProbeCertificate: the capture begins behind the hellos.
func TestProbeCertificate(t *testing.T) {
	whole := "16 0303 0fcb 0b 000fc7 000fc4 000758 3082 0754 3082063c"
	b := unhex(whole)
	for n := 1; n <= len(b); n++ {
		want := parsers.Maybe
		if n >= 19 {
			want = parsers.Yes
		}
		if v := Probe(b[:n], 1); v != want {
			t.Errorf("%d bytes: %v, want %v", n, v, want)
		}
	}
	for _, not := range []string{
		"16 0303 0fcb 0b 000fc7 000fc5 000758 3082 0754 30", "16 0303 0fcb 0b 000fc7 000fc4 000fc4 3082 0fc0 30", "16 0303 0fcb 0b 000fc7 000fc4 000758 3182 0754 30",
		"16 0303 0fcb 0b 000fc7 000fc4 000758 3082 0755 30",
	} {
		if v := Probe(unhex(not), 1); v != parsers.No {
			t.Errorf("%s: %v", not, v)
		}
	}
}

// TestTinyRecords: a hello in records of one byte each, and one whose records
// share segments with others.
func TestTinyRecords(t *testing.T) {
	var b []byte
	for _, c := range hello[5:] {
		b = append(b, 0x16, 3, 1, 0, 1, c)
	}
	want, _ := play([]chunk{{0, hello}})
	if got, _ := play([]chunk{{0, b}}); !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestSSLv2Hello(t *testing.T) {
	// Version 3.1, two ciphers of which one is SSLv2's own, a challenge of 16.
	b := unhex("801f 01 0301 0006 0000 0010 00002f 010080" + strings.Repeat("cc", 16))
	messages, m := play([]chunk{{0, b[:4]}, {0, b[4:]}})
	if len(messages) != 1 || !m.Client.SSLv2 || m.Client.Version != VersionTLS10 || !slices.Equal(m.Client.Ciphers, []uint16{0x2f}) || m.Malformed != "" || m.Client.Fingerprinted() {
		t.Errorf("%v", messages)
	}
	if v := Probe(b, 0); v != parsers.Yes {
		t.Errorf("probe says %d", v)
	}
}

func TestBounds(t *testing.T) {
	// A Certificate of 1 MB: what fits is read, the rest is passed over.
	der := bytes.Repeat([]byte{0x30}, 1000)
	var list []byte
	for range 1000 {
		list = append(append(list, 0, byte(len(der)>>8), byte(len(der)&0xff)), der...)
	}
	message := append([]byte{11, byte((len(list) + 3) >> 16), byte((len(list) + 3) >> 8), byte(len(list) + 3), byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}, list...)
	var p Parser
	out := p.Feed(nil, 0, flows.Stamp{Time: 1}, hello)
	most := 0
	for len(message) > 0 {
		n := min(len(message), 1<<14)
		out = p.Feed(out, 1, flows.Stamp{Time: 2}, append([]byte{0x16, 3, 3, byte(n >> 8), byte(n)}, message[:n]...))
		message = message[n:]
		most = max(most, cap(p.sides[1].buf)+cap(p.h.chainMem[1]))
	}
	if most > 768<<10 {
		t.Errorf("holds %d bytes", most)
	}
	out = p.Feed(out, 1, flows.Stamp{Time: 3}, unhex("16 0303 0004 0e000000"))
	if !p.sides[1].done {
		t.Error("what follows the oversize message is lost")
	}
	out = p.End(out)
	if len(out) != 1 || !out[0].Oversize || len(out[0].ServerChain) != 32 {
		t.Fatalf("oversize %v, chain of %d", out[0].Oversize, len(out[0].ServerChain))
	}
	p.Reset()
	if held := cap(p.sides[1].buf) + cap(p.h.chainMem[1]); held > keepMemory {
		t.Errorf("holds %d bytes after Reset", held)
	}
}

// TestLargeCertificate: a certificate beyond what is read of other messages is read whole, and
// its memory goes with the message.
func TestLargeCertificate(t *testing.T) {
	der := bytes.Repeat([]byte{0x30, 0x83, 5}, 339618/3)
	u24 := func(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }
	message := slices.Concat([]byte{11}, u24(len(der)+6), u24(len(der)+3), u24(len(der)), der)
	var p Parser
	out := p.Feed(nil, 0, flows.Stamp{Time: 1}, hello)
	for part := range slices.Chunk(message, 1<<14) {
		out = p.Feed(out, 1, flows.Stamp{Time: 2}, append([]byte{0x16, 3, 3, byte(len(part) >> 8), byte(len(part))}, part...))
	}
	if held := cap(p.sides[1].buf); held > 2*defaultMessage {
		t.Errorf("holds %d bytes", held)
	}
	out = p.End(out)
	if len(out) != 1 || out[0].Oversize || len(out[0].ServerChain) != 1 || out[0].ServerChain[0].SHA256 != sha256.Sum256(der) {
		t.Errorf("%+v", out)
	}
}

// TestNoAllocation: a parser that is used again allocates nothing.
func TestNoAllocation(t *testing.T) {
	chunks := sessions(t)["1.2"]
	var p Parser
	var out []Handshake
	run := func() {
		p.Reset()
		out = out[:0]
		for _, c := range chunks {
			out = p.Feed(out, c.side, flows.Stamp{Time: 1}, c.data)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHandshake(b *testing.B) {
	all := sessions(b)
	for _, name := range []string{"1.2", "1.3"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var p Parser
			var out []Handshake
			for b.Loop() {
				p.Reset()
				out = out[:0]
				for _, c := range all[name] {
					out = p.Feed(out, c.side, flows.Stamp{Time: 1}, c.data)
				}
			}
		})
	}
}

func FuzzFeed(f *testing.F) {
	for _, chunks := range sessions(f) {
		var b []byte
		for _, c := range chunks {
			for data := c.data; len(data) > 0; {
				n := min(len(data), 255)
				b = append(append(b, byte(c.side), byte(n)), data[:n]...)
				data = data[n:]
			}
		}
		f.Add(b)
	}
	// Operations: side and kind, length, data.
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Parser
		p.Config = Config{MaxMessage: 1 << 12, MaxChain: 4}
		var out []Handshake
		ended := false
		for len(b) >= 2 {
			side, kind, n := flows.Side(b[0]&1), b[0]>>1&7, int(b[1])
			b = b[2:]
			at := flows.Stamp{Time: int64(len(b))}
			switch kind {
			case 5:
				out = p.Gap(out, side, at, int64(n))
			case 6:
				out = p.Fin(out, side, at)
			case 7:
				out = p.Rst(out, side, at)
			default:
				n = min(n, len(b))
				out = p.Feed(out, side, at, b[:n])
				b = b[n:]
			}
		}
		if !ended {
			out = p.End(out)
		}
		if len(out) > 1 {
			t.Fatalf("%d messages", len(out))
		}
		for i := range out {
			m := &out[i]
			describe(m)
			if len(m.ServerChain) > 4 || len(m.ClientChain) > 4 {
				t.Fatal("chain beyond its bound")
			}
		}
		if held := cap(p.sides[0].buf) + cap(p.sides[1].buf); held > 1<<15 {
			t.Fatalf("holds %d bytes", held)
		}
		p.Reset()
	})
}

func TestProbe(t *testing.T) {
	for name, chunks := range sessions(t) {
		for side := range flows.Side(2) {
			var first []byte
			for _, c := range chunks {
				if c.side == side {
					first = c.data
					break
				}
			}
			if v := Probe(first, side); v != parsers.Yes {
				t.Errorf("%s %v: %d", name, side, v)
			}
			// Never No on the way to Yes, never anything else after it.
			yes := false
			for n := range len(first) {
				switch v := Probe(first[:n], side); {
				case v == parsers.No, yes && v != parsers.Yes:
					t.Fatalf("%s %v, %d bytes: %d", name, side, n, v)
				case v == parsers.Yes:
					yes = true
				}
			}
		}
	}
	for _, not := range []string{
		"GET / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n", "220 mail ESMTP\r\n", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x02\x00\x03\x00\x01\xfc\x03\x03",
		"\x16\x03\x01\x02\x00\x01\x00\x00\x00\x03\x03", "\x16\x03\x05", "\x15\x03\x01\x00\x02\x02\xff", "\x15\x03\x01\x00\x05", "\x17\x03\x03\x00\x10",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x11", "\x00\x00\x00\x20ftypisom",
	} {
		if v := Probe([]byte(not), 0); v != parsers.No {
			t.Errorf("%q: %d", not, v)
		}
	}
	rng := mrand.New(mrand.NewPCG(5, 6))
	b := make([]byte, 64)
	for range 200000 {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		if Probe(b, 0) == parsers.Yes {
			t.Fatalf("noise is TLS: %x", b)
		}
	}
}

func FuzzProbe(f *testing.F) {
	f.Add(hello)
	f.Add([]byte("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"))
	f.Add([]byte("\x15\x03\x01\x00\x02\x02\x28"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A verdict is final: more bytes change Maybe alone.
		last := parsers.Maybe
		for n := range min(len(b), 64) + 1 {
			v := Probe(b[:n], 0)
			if last != parsers.Maybe && v != last {
				t.Fatalf("%x: %d after %d", b[:n], v, last)
			}
			last = v
		}
	})
}
