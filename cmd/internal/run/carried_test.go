package run_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// wire writes a capture of one flow over raw IPv4: its handshake unless it is
// picked up midway, and a packet for each payload.
type wire struct {
	b     bytes.Buffer
	proto byte
	dst   uint16
	seq   [2]uint32
	n     uint32
}

func newWire(proto byte, dst uint16, handshake bool) *wire {
	w := &wire{proto: proto, dst: dst, seq: [2]uint32{1000, 5000}}
	h := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0}
	w.b.Write(h)
	if proto == 6 && handshake {
		w.packet(0, 0x02, nil)
		w.seq[0]++
		w.packet(1, 0x12, nil)
		w.seq[1]++
		w.packet(0, 0x10, nil)
	}
	return w
}

func (w *wire) packet(side int, flags byte, payload []byte) {
	ports := [2]uint16{40000, w.dst}
	var seg []byte
	if w.proto == 6 {
		seg = binary.BigEndian.AppendUint16(seg, ports[side])
		seg = binary.BigEndian.AppendUint16(seg, ports[1-side])
		seg = binary.BigEndian.AppendUint32(seg, w.seq[side])
		seg = binary.BigEndian.AppendUint32(seg, w.seq[1-side])
		seg = append(seg, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	} else {
		seg = binary.BigEndian.AppendUint16(seg, ports[side])
		seg = binary.BigEndian.AppendUint16(seg, ports[1-side])
		seg = binary.BigEndian.AppendUint16(seg, uint16(8+len(payload)))
		seg = append(seg, 0, 0)
	}
	seg = append(seg, payload...)
	w.seq[side] += uint32(len(payload))
	addr := [2][]byte{{10, 0, 0, 1}, {10, 0, 0, 2}}
	pseudo := slices.Concat(addr[side], addr[1-side], []byte{0, w.proto, byte(len(seg) >> 8), byte(len(seg))}, seg)
	at := 16
	if w.proto == 17 {
		at = 6
	}
	binary.BigEndian.PutUint16(seg[at:], sum(pseudo))
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, w.proto, 0, 0}
	ip = append(append(ip, addr[side]...), addr[1-side]...)
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(seg)))
	binary.BigEndian.PutUint16(ip[10:], sum(ip))
	w.n++
	for _, v := range []uint32{1700000000, w.n * 1000, uint32(20 + len(seg)), uint32(20 + len(seg))} {
		binary.Write(&w.b, binary.LittleEndian, v)
	}
	w.b.Write(ip)
	w.b.Write(seg)
}

func sum(b []byte) uint16 {
	s := uint32(0)
	for i, c := range b {
		if i%2 == 0 {
			s += uint32(c) << 8
		} else {
			s += uint32(c)
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// c and s send a payload, which may be longer than a packet.
func (w *wire) c(data string) *wire { return w.send(0, data) }
func (w *wire) s(data string) *wire { return w.send(1, data) }

func (w *wire) send(side int, data string) *wire {
	for len(data) > 0 {
		n := min(len(data), 1200)
		w.packet(side, 0x18, []byte(data[:n]))
		data = data[n:]
	}
	return w
}

// hello returns the records of a client hello.
func hello(t *testing.T) string {
	a, b := net.Pipe()
	defer a.Close()
	go tls.Client(b, &tls.Config{ServerName: "inner.test", InsecureSkipVerify: true}).Handshake()
	buf := make([]byte, 4096)
	n, err := a.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// frame is a frame of HTTP/2.
func frame(kind, flags byte, id uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}) + payload
}

func block(fields ...string) string {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.String()
}

func TestCarried(t *testing.T) {
	const get, ok = "GET /inner HTTP/1.1\r\nHost: inner.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	client := hello(t)
	const data, headers, settings, endStream, endHeaders = 0, 1, 4, 1, 4
	limit := frame(settings, 0, 0, "\x00\x03\x00\x00\x00\x64")
	asks := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + limit +
		frame(headers, endStream|endHeaders, 3, block(":method", "GET", ":scheme", "http", ":path", "/3", ":authority", "h2.test"))
	answers := limit + frame(settings, 1, 0, "") + frame(headers, endHeaders, 1, block(":status", "200")) +
		frame(headers, endHeaders|endStream, 3, block(":status", "404")) + frame(data, endStream, 1, "one")
	newTCP := func(port uint16) *wire { return newWire(6, port, true) }
	greeting := "\x4a\x00\x00\x00\x0a8.0.33\x00\x08\x00\x00\x00" + strings.Repeat("a", 8) + "\x00\xff\xff\xff\x02\x00\xff\xdf\x15" + strings.Repeat("\x00", 10) + strings.Repeat("b", 12) + "\x00caching_sha2_password\x00"
	request := "\x20\x00\x00\x01\x85\xae\xff\x19\x00\x00\x00\x01\xff" + strings.Repeat("\x00", 23)
	const rowGet = "1 complete GET /inner inner.test 1.1 200"
	for _, tt := range []struct {
		name  string
		w     *wire
		app   string
		http  []string
		hosts []string // of TLS
	}{
		{"http2, prior knowledge", newTCP(80).c(asks).s(answers), "http2 payload", []string{"1 #3 complete GET /3 h2.test 2 404", "2 #1 no_request    2 200"}, nil},
		{"http2, upgrade", newTCP(80).c("GET /1 HTTP/1.1\r\nHost: h2.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n").
			s("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + answers[:20]).c(asks).s(answers[20:]),
			"http payload", []string{"1 upgraded GET /1 h2.test 1.1 101", "2 #3 complete GET /3 h2.test 2 404", "3 #1 no_request    2 200"}, nil},
		{"http2 server, whose client does not know", newTCP(80).s(limit).c(get), "http2 payload", []string{"1 no_response GET /inner inner.test 1.1 0"}, nil},
		{"http2 server, a client whose method begins as the preface", newTCP(80).s(limit).c("PUT /inner HTTP/1.1\r\nHost: inner.test\r\nContent-Length: 0\r\n\r\n").s("HTTP/1.1 505 No\r\nContent-Length: 0\r\n\r\n"),
			"http2 payload", []string{"1 complete PUT /inner inner.test 1.1 505"}, nil},
		{"connect, http within", newTCP(3128).c("CONNECT inner.test:80 HTTP/1.1\r\nHost: inner.test\r\n\r\n").s("HTTP/1.1 200 Connection established\r\n\r\n").c(get).s(ok),
			"http payload", []string{"1 tunnel CONNECT inner.test:80 inner.test 1.1 200", "2 complete GET /inner inner.test 1.1 200"}, nil},
		{"connect, tls within", newTCP(3128).c("CONNECT inner.test:443 HTTP/1.1\r\nHost: inner.test\r\n\r\n").s("HTTP/1.1 200 Connection established\r\n\r\n").c(client),
			"http payload", []string{"1 tunnel CONNECT inner.test:443 inner.test 1.1 200"}, []string{"inner.test"}},
		{"socks5", newTCP(1080).c("\x05\x01\x00").s("\x05\x00").c("\x05\x01\x00\x03\x0ainner.test\x00\x50").s("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00").c(get).s(ok), "socks payload", []string{rowGet}, nil},
		{"socks5, tls, a client that does not wait", newTCP(1080).c("\x05\x01\x00").c("\x05\x01\x00\x03\x0ainner.test\x01\xbb").c(client).s("\x05\x00").s("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"), "socks payload", nil, []string{"inner.test"}},
		{"socks4", newTCP(1080).c("\x04\x01\x00\x50\x0a\x00\x00\x03me\x00").s("\x00\x5a\x00\x00\x00\x00\x00\x00").c(get).s(ok), "socks payload", []string{rowGet}, nil},
		{"proxy 1", newTCP(80).c("PROXY TCP4 10.1.1.1 10.0.0.2 1025 80\r\n" + get).s(ok), "http payload", []string{rowGet}, nil},
		{"proxy 1 and tls, in packets of their own", newTCP(443).c("PROXY TCP4 10.1.1.1 10.0.0.2 1025 443\r\n").c(client), "tls payload", nil, []string{"inner.test"}},
		{"proxy 2", newTCP(443).c("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x01\x01\x01\x0a\x00\x00\x02\x04\x01\x01\xbb" + client), "tls payload", nil, []string{"inner.test"}},
		{"proxy 1, then a protocol without a table", newTCP(25).c("PROXY TCP4 10.1.1.1 10.0.0.2 1025 25\r\n").s("220 mx.test ESMTP\r\n").c("EHLO me\r\n"), "smtp payload", nil, nil},
		{"a protocol without a table, then tls", newTCP(25).s("220 mx.test ESMTP\r\n").c("EHLO me\r\n").s("250 STARTTLS\r\n").c("STARTTLS\r\n").s("220 go\r\n").c(client), "smtp payload", nil, []string{"inner.test"}},
		{"ftp, AUTH TLS", newTCP(21).s("220 FTP server ready\r\n").c("AUTH TLS\r\n").s("234 go\r\n").c(client), "ftp payload", nil, []string{"inner.test"}},
		{"STARTTLS and a hello in pieces", newTCP(25).s("220 mx.test ESMTP\r\n").c("EHLO me\r\n").s("250 STARTTLS\r\n").c("STAR").c("TTLS\r\n").s("220 go\r\n").c(client[:5]).c(client[5:]), "smtp payload", nil, []string{"inner.test"}},
		{"a greeting in pieces", newTCP(10025).s("22").s("0 mx.test ES").s("MTP\r\n").c("EHLO me\r\n"), "smtp payload", nil, nil},
		{"a length before what it is of", newTCP(13306).s("\x4a\x00\x00\x00").s("\x0a8.0.33\x00\x08\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15" + strings.Repeat("\x00", 10) + "abcdefghijkl\x00mysql_native_password\x00"), "mysql payload", nil, nil},
		{"imap, STARTTLS", newTCP(143).s("* OK ready\r\n").c("a1 STARTTLS\r\n").s("a1 OK go\r\n").c(client), "imap payload", nil, []string{"inner.test"}},
		{"pop3, STLS", newTCP(110).s("+OK ready\r\n").c("STLS\r\n").s("+OK go\r\n").c(client), "pop3 payload", nil, []string{"inner.test"}},
		{"ldap, StartTLS (RFC 4511 section 4.14)", newTCP(389).c("\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037").
			s("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00").c(client), "ldap payload", nil, []string{"inner.test"}},
		{"xmpp, starttls", newTCP(5222).c("<?xml version='1.0'?><stream:stream to='inner.test' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>").
			s("<stream:stream from='inner.test' xmlns='jabber:client'><stream:features><starttls/></stream:features>").
			c("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").s("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").c(client), "xmpp payload", nil, []string{"inner.test"}},
		{"postgresql, SSLRequest", newTCP(5432).c("\x00\x00\x00\x08\x04\xd2\x16\x2f").s("S").c(client), "postgresql payload", nil, []string{"inner.test"}},
		{"postgresql, SSLRequest and hello in one segment", newTCP(5432).c("\x00\x00\x00\x08\x04\xd2\x16\x2f" + client).s("S"), "postgresql payload", nil, []string{"inner.test"}},
		{"mysql, SSL request", newTCP(3306).s(greeting).c(request).c(client), "mysql payload", nil, []string{"inner.test"}},
		{"mysql, SSL request and hello in one segment", newTCP(3306).s(greeting).c(request + client), "mysql payload", nil, []string{"inner.test"}},
		{"mysql, SSL request and hello in one segment and a half", newTCP(3306).s(greeting).c(request + client[:3]).c(client[3:]), "mysql payload", nil, []string{"inner.test"}},
		{"mysql, a login that does not ask for TLS", newTCP(3306).s(greeting).c(request[:5] + "\xa6" + request[6:] + client), "mysql payload", nil, nil},
		{"what two sides may be is certain", newTCP(4110).s("+OK\r\n").c("USER me\r\n"), "pop3 payload", nil, nil},
		{"what one side may be is not", newTCP(4110).s("+OK\r\n"), "", nil, nil},
		{"but its port may say it", newTCP(110).s("+OK\r\n"), "pop3 port", nil, nil},
		{"the port alone does not, where the beginning was seen", newTCP(110).s("what is this?\r\n").c("that?\r\n"), "", nil, nil},
		{"in the middle of a flow it does", newWire(6, 22, false).s("\x1f\x2e\x3d\x4c\x5b\x6a\x79\x88").c("\x99\xa8\xb7"), "ssh port", nil, nil},
		{"of what cannot be told by content", newTCP(43).c("example.test\r\n"), "whois port", nil, nil},
		{"a port without payload says nothing", newTCP(22), "", nil, nil},
		{"datagrams", newWire(17, 123, true).c("\x23" + strings.Repeat("\x00", 47)), "ntp payload", nil, nil},
		{"datagrams on a port that they do not fit", newWire(17, 123, true).c("hello"), "", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := filepath.Join(t.TempDir(), "in.pcap")
			if err := os.WriteFile(in, tt.w.b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			_, out := dataset(t, run.Config{Inputs: []string{in}})
			flows := read[schema.Flow](t, out, "flows")
			if len(flows) != 1 {
				t.Fatalf("%d flows", len(flows))
			}
			if got := strings.TrimSpace(flows[0].AppProto + " " + flows[0].AppProtoBasis); got != tt.app {
				t.Errorf("app_proto %q, want %q", got, tt.app)
			}
			var got []string
			for _, r := range read[schema.HTTP](t, out, "http") {
				id := ""
				if r.StreamID != nil {
					id = fmt.Sprintf("#%d ", *r.StreamID)
				}
				status := int32(0)
				if r.Status != nil {
					status = *r.Status
				}
				got = append(got, fmt.Sprintf("%d %s%s %s %s %s %s %d", r.TransDepth, id, r.Outcome, r.Method, r.Target, r.Host, r.Version, status))
			}
			slices.Sort(got)
			want := slices.Clone(tt.http)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("http\n%q\nwant\n%q", got, want)
			}
			got = nil
			for _, r := range read[schema.TLS](t, out, "tls") {
				got = append(got, r.SNI)
			}
			if !slices.Equal(got, tt.hosts) {
				t.Errorf("tls %q, want %q", got, tt.hosts)
			}
		})
	}
}
