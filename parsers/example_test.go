package parsers_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	stdhttp "net/http"
	"strings"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/dns"
	"github.com/caplake/caplake/parsers/http"
	"github.com/caplake/caplake/parsers/tls"
)

// The lives of flows, without looking into them: layer 1.
func Example_lifecycle() {
	src := ingest.Packets("../testdata/captures/http-chunked.pcap.gz")
	for ev, err := range flows.Events(src, flows.EventConfig{}) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev.Kind {
		case flows.EventStarted:
			fmt.Println("started", ev.Flow)
		case flows.EventEstablished:
			fmt.Println("established")
		case flows.EventEnded:
			s := &ev.Flow.Sides
			fmt.Println("ended", ev.Flow.End, s[flows.Initiator].Packets, s[flows.Responder].Packets)
		}
	}
	// Output:
	// started 10.77.0.1:44672 > 10.77.0.2:80
	// established
	// started 10.77.0.1:44682 > 10.77.0.2:80
	// established
	// started 10.77.0.1:41758 > 10.77.0.2:8080
	// established
	// ended fin 26 13
	// ended fin 5 5
	// ended fin 6 4
}

// line is a message of the protocol below.
type line struct {
	side flows.Side
	text string
}

// lines is a whole parser of your own, for any protocol of lines: layer 4.
type lines struct {
	parsers.Defaults[line]
	begun [2][]byte
}

func (p *lines) Feed(dst []line, side flows.Side, at flows.Stamp, data []byte) []line {
	for {
		text, rest, ended := bytes.Cut(data, []byte("\n"))
		if room := 1000 - len(p.begun[side]); len(text) > room {
			text = text[:room] // whatever is sent, a flow holds no more
		}
		p.begun[side] = append(p.begun[side], text...) // data is lent
		if !ended {
			return dst
		}
		dst = append(dst, line{side, strings.TrimSuffix(string(p.begun[side]), "\r")})
		p.begun[side], data = p.begun[side][:0], rest
	}
}

func (p *lines) Reset() { p.begun = [2][]byte{} }

// A protocol of lines, in under 40 lines of code.
func Example_lines() {
	src := ingest.Packets("../testdata/captures/http-keepalive.pcap")
	mine := parsers.Protocol[line]{Name: "lines", Stream: func() parsers.SessionParser[line] { return new(lines) }, Ports: []uint16{80, 8080}}
	for ev, err := range parsers.Messages(src, parsers.Config{}, mine) {
		if err != nil {
			log.Fatal(err)
		}
		if l := ev.Message; strings.Contains(l.text, "HTTP/1.1") {
			fmt.Println(l.side, l.text)
		}
	}
	// Output:
	// initiator GET /index.html?first HTTP/1.1
	// responder HTTP/1.1 200 OK
	// initiator GET /index.html HTTP/1.1
	// responder HTTP/1.1 304 Not Modified
	// initiator HEAD /data.bin HTTP/1.1
	// responder HTTP/1.1 200 OK
	// initiator GET /data.bin HTTP/1.1
	// responder HTTP/1.1 206 Partial Content
	// initiator POST /form HTTP/1.1
	// initiator name=value&other=1GET /missing HTTP/1.1
	// responder HTTP/1.1 404 Not Found
	// initiator GET /empty HTTP/1.1
	// responder HTTP/1.1 204 No Content
	// initiator GET /moved HTTP/1.1
	// responder HTTP/1.1 302 Moved Temporarily
	// initiator OPTIONS /index.html HTTP/1.1
	// responder HTTP/1.1 405 Not Allowed
	// initiator GET /index.html HTTP/1.1
	// initiator GET /missing HTTP/1.1
	// initiator GET /empty HTTP/1.1
	// responder HTTP/1.1 200 OK
	// responder HTTP/1.1 404 Not Found
	// responder HTTP/1.1 204 No Content
}

// Callbacks in a packet loop of one's own, several protocols at once: layer 3.
func Example_callbacks() {
	engine := parsers.NewEngine(parsers.Config{},
		parsers.On(http.Protocol(http.Config{}), http.Callbacks{
			Request:  func(f *flows.Flow, r *http.Request) { fmt.Printf("> %s %s\n", r.Method, r.Target) },
			Response: func(f *flows.Flow, r *http.Response) { fmt.Printf("< %d %s\n", r.Status, r.Reason) },
		}.Handle),
		parsers.On(tls.Protocol(tls.Config{}), tls.Callbacks{
			ClientHello: func(f *flows.Flow, h *tls.ClientHello) { fmt.Printf("> hello for %q\n", h.SNI) },
		}.Handle),
	)
	for packet, err := range ingest.Packets("../testdata/captures/http-keepalive.pcap", "../testdata/captures/tls12.pcap") {
		if err != nil {
			log.Fatal(err)
		}
		engine.Add(packet)
	}
	engine.Finish()
	// Output:
	// > GET /index.html?first
	// < 200 OK
	// > GET /index.html
	// < 304 Not Modified
	// > HEAD /data.bin
	// < 200 OK
	// > GET /data.bin
	// < 206 Partial Content
	// > POST /form
	// < 200 OK
	// > GET /missing
	// < 404 Not Found
	// > GET /empty
	// < 204 No Content
	// > GET /moved
	// < 302 Moved Temporarily
	// > OPTIONS /index.html
	// < 405 Not Allowed
	// > GET /index.html
	// < 200 OK
	// > GET /missing
	// < 404 Not Found
	// > GET /empty
	// < 204 No Content
	// > hello for "www.example.test"
	// > hello for "www.example.test"
	// > hello for "www.example.test"
	// > hello for "www.example.test"
	// > hello for "ec.example.test"
	// > hello for ""
	// > hello for "www.example.test"
	// > hello for "wrong.example.test"
}

// Typed messages in a loop: layer 4.
func Example_typed() {
	src := ingest.Packets("../testdata/captures/http-keepalive.pcap")
	for ev, err := range parsers.Sessions(src, parsers.Config{}, http.Protocol(http.Config{})) {
		if err != nil {
			log.Fatal(err)
		}
		switch ev.Kind {
		case parsers.Started:
			fmt.Println("session", ev.Flow)
		case parsers.Message:
			x := ev.Message
			fmt.Printf("%d %s %s: %d, %d bytes\n", x.Depth, x.Request.Method, x.Request.Target, x.Response.Status, x.Response.BodyBytes)
		case parsers.Ended:
			fmt.Println("ended")
		}
	}
	// Output:
	// session 10.77.0.1:44650 > 10.77.0.2:80
	// 1 GET /index.html?first: 200, 61 bytes
	// 2 GET /index.html: 304, 0 bytes
	// 3 HEAD /data.bin: 200, 0 bytes
	// 4 GET /data.bin: 206, 1000 bytes
	// 5 POST /form: 200, 10 bytes
	// 6 GET /missing: 404, 153 bytes
	// 7 GET /empty: 204, 0 bytes
	// 8 GET /moved: 302, 145 bytes
	// 9 OPTIONS /index.html: 405, 157 bytes
	// ended
	// session 10.77.0.1:44662 > 10.77.0.2:80
	// 1 GET /index.html: 200, 61 bytes
	// 2 GET /missing: 404, 153 bytes
	// 3 GET /empty: 204, 0 bytes
	// ended
}

// DNS over UDP only.
func Example_dnsUDP() {
	udp := dns.Protocol(dns.Config{})
	udp.Stream = nil
	for ev, err := range parsers.Messages(ingest.Packets("../testdata/captures/dns-udp.pcap"), parsers.Config{}, udp) {
		if err != nil {
			log.Fatal(err)
		}
		if t := ev.Message; t.Outcome != dns.Answered || t.Rcode != 0 || len(t.Answers) > 3 {
			fmt.Printf("%s %s %s %s, %d answers\n", t.QName, dns.TypeName(t.QType), t.Outcome, dns.RcodeName(t.Rcode), len(t.Answers))
		}
	}
	// Output:
	// nothing.example.test A answered NXDOMAIN, 0 answers
	// nothing.example.test A answered NXDOMAIN, 0 answers
	// www.example.net A answered REFUSED, 0 answers
	// example.test A answered BADVERS, 0 answers
	// example.test A answered NOTIMP, 0 answers
	// big.example.test TXT answered NOERROR, 12 answers
	// nobody.example.test A no_response NOERROR, 0 answers
}

// DNS over TCP only.
func Example_dnsTCP() {
	tcp := dns.Protocol(dns.Config{})
	tcp.Datagram = nil
	for ev, err := range parsers.Messages(ingest.Packets("../testdata/captures/dns-tcp.pcap"), parsers.Config{}, tcp) {
		if err != nil {
			log.Fatal(err)
		}
		t := ev.Message
		fmt.Printf("%s %s %s, %d answers\n", t.QName, dns.TypeName(t.QType), t.Outcome, len(t.Answers))
	}
	// Output:
	// example.test SOA answered, 1 answers
	// www.example.test A answered, 2 answers
	// big.example.test TXT answered, 12 answers
	// nothing.example.test A answered, 0 answers
	// example.test AXFR answered, 107 answers
	// big.example.test TXT answered, 12 answers
}

// Several protocols in one loop, over one flow table.
func Example_several() {
	src := ingest.Packets("../testdata/captures")
	seen := map[string]int{}
	for ev, err := range parsers.Messages(src, parsers.Config{},
		parsers.Any(http.Protocol(http.Config{})), parsers.Any(tls.Protocol(tls.Config{})), parsers.Any(dns.Protocol(dns.Config{}))) {
		if err != nil {
			log.Fatal(err)
		}
		switch (*ev.Message).(type) {
		case *http.Exchange:
			seen["exchanges"]++
		case *tls.Handshake:
			seen["handshakes"]++
		case *dns.Transaction:
			seen["transactions"]++
		}
	}
	fmt.Println(seen)
	// Output:
	// map[exchanges:27 handshakes:15 transactions:53]
}

// Both sides of a flow as one transcript, and each as an io.Reader.
func Example_conversation() {
	src := ingest.Packets("../testdata/captures/http-keepalive.pcap")
	for c, err := range parsers.Conversations(src, parsers.ConversationConfig{}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, chunk := range c.Chunks {
			first, _, _ := bytes.Cut(chunk.Data, []byte("\r\n"))
			fmt.Printf("%s %q\n", chunk.Side, first)
		}
		requests := bufio.NewReader(c.Reader(flows.Initiator))
		for {
			r, err := stdhttp.ReadRequest(requests)
			if err != nil {
				break
			}
			io.Copy(io.Discard, r.Body)
			fmt.Println("asked for", r.URL)
		}
	}
	// Output:
	// initiator "GET /index.html?first HTTP/1.1"
	// responder "HTTP/1.1 200 OK"
	// initiator "GET /index.html HTTP/1.1"
	// responder "HTTP/1.1 304 Not Modified"
	// initiator "HEAD /data.bin HTTP/1.1"
	// responder "HTTP/1.1 200 OK"
	// initiator "GET /data.bin HTTP/1.1"
	// responder "HTTP/1.1 206 Partial Content"
	// initiator "POST /form HTTP/1.1"
	// responder "HTTP/1.1 200 OK"
	// initiator "GET /missing HTTP/1.1"
	// responder "HTTP/1.1 404 Not Found"
	// initiator "GET /empty HTTP/1.1"
	// responder "HTTP/1.1 204 No Content"
	// initiator "GET /moved HTTP/1.1"
	// responder "HTTP/1.1 302 Moved Temporarily"
	// initiator "OPTIONS /index.html HTTP/1.1"
	// responder "HTTP/1.1 405 Not Allowed"
	// initiator ""
	// responder ""
	// asked for /index.html?first
	// asked for /index.html
	// asked for /data.bin
	// asked for /data.bin
	// asked for /form
	// asked for /missing
	// asked for /empty
	// asked for /moved
	// asked for /index.html
	// initiator "GET /index.html HTTP/1.1"
	// responder "HTTP/1.1 200 OK"
	// responder "HTTP/1.1 404 Not Found"
	// responder "HTTP/1.1 204 No Content"
	// initiator ""
	// asked for /index.html
	// asked for /missing
	// asked for /empty
}
