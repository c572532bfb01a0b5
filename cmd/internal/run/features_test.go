package run_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// TestFeatures has, for what a protocol can do, a real capture and the row that
// shows it. What no capture of a corpus has (the PROXY protocol, TLS behind
// SOCKS, FTP's AUTH TLS) is in TestCarried.
//
// Compressed certificates (RFC 8879) show as extension 27 of the client hello
// and no further: the message that holds them is of TLS 1.3, which encrypts it.
func TestFeatures(t *testing.T) {
	corpus := os.Getenv("CAPLAKE_CORPUS")
	if corpus == "" {
		t.Skip("CAPLAKE_CORPUS names no corpus")
	}
	for _, c := range []struct{ name, capture, want string }{
		{"QUIC version 1", "FoxIO-LLC+ja4/chrome-cloudflare-quic-with-secrets.pcapng", `quic: quic 1 TLSv1.3 "cloudflare-quic.com" established ech=absent groups=[29] 27`},
		{"QUIC version 2", "ntop+nDPI/quic-v2.pcapng", `quic: quic 2 TLSv1.3 "test" established ech=absent groups=[23]`},
		{"QUIC draft 29", "ntop+nDPI/quic-29.pcap", `quic: quic draft-29 TLSv1.3 "localhost" established ech=absent groups=[23]`},
		{"QUIC draft 23", "ntop+nDPI/quic-23.pcap", `quic: quic draft-23 TLSv1.3`},
		{"QUIC, Google's", "ntop+nDPI/quic_t50.pcap", `quic: quic 0x54303530 TLSv1.3 "fonts.googleapis.com" established`},
		{"QUIC, Retry", "OISF+suricata-verify/quic-retry__input.pcap", `quic: quic 1 TLSv1.3 "www.gravatar.com" established ech=offered groups=[4588 29 23] retry`},
		{"QUIC, version negotiation", "the-tcpdump-group+tcpdump/quic_vn.pcap", `quic: quic 1 TLSv1.3 "localhost" established`},
		{"QUIC, a post-quantum hello over several packets", "stanford-esrg+retina/traces__quic_kyber.pcapng", `quic: quic 1 TLSv1.3 "encrypted-tbn0.gstatic.com" established ech=offered groups=[25497 29] 27`},
		{"DTLS 1.0 and the names in it", "zeek+zeek/tls__dtls1_0.pcap", `dtls: dtls DTLSv1.0`},
		{"DTLS 1.2", "zeek+zeek/tls__dtls1_2.pcap", `dtls: dtls DTLSv1.2 "" established`},
		{"DTLS 1.3", "zeek+zeek/tls__dtls13-cid.pcap", `dtls: dtls DTLSv1.3 "" established ech=absent groups=[23 256]`},
		{"STARTTLS of SMTP", "ntop+nDPI/smtp-starttls.pcap", `smtp: tcp TLSv1.2 "dovecot.weberlab.de" established`},
		{"STARTTLS of IMAP", "zeek+zeek/tls__imap-starttls.pcap", `imap: tcp TLSv1.2 "" established`},
		{"STLS of POP3", "ntop+nDPI/pop3_stls.pcap", `pop3: tcp TLSv1.0 "pop.lavabit.com" established`},
		{"StartTLS of LDAP", "zeek+zeek/ldap__ldap-starttls.pcap", `ldap: tcp TLSv1.3 "ubuntu-01.example.com" established`},
		{"STARTTLS of XMPP", "zeek+zeek/tls__xmpp-starttls.pcap", `xmpp: tcp TLSv1.2 "" established`},
		{"SSLRequest of PostgreSQL", "OISF+suricata-verify/pgsql__pgsql-upgrade-tls__input.pcap", `postgresql: tcp TLSv1.2 "" established`},
		{"SSL request of MySQL", "zeek+zeek/mysql__tls-13-amazon-rds.pcap", `mysql: tcp TLSv1.3 "" established`},
		{"ECH", "zeek+zeek/tls__tls13-ech.pcap", `tls: tcp TLSv1.3 "cloudflare-ech.com" established ech=offered groups=[6682 29] 27`},
		{"CONNECT", "OISF+suricata-verify/http-connect__http-connect-tls__input.pcap", `http: CONNECT abc:443 1.1 200 tunnel`},
		{"SOCKS", "zeek+zeek/socks-auth.pcap", `socks payload`},
		{"HTTP/2 by prior knowledge", "arkime+arkime/http2-nghttp2.pcap", `http2: GET / 2 200 complete stream=13`},
		{"HTTP/2 by upgrade", "OISF+suricata-verify/http2-range__http2-range.pcap", `http: GET /eicar 1.1 101 upgraded h2c`},
		{"HTTP/0.9", "zeek+zeek/http__http-09-content-length-confusion.pcap", `http: GET / 0.9 0 complete`},
		{"WebSocket", "zeek+zeek/websocket__broker-websocket.pcap", `http: GET /v1/messages/json 1.1 101 upgraded websocket`},
		{"mDNS", "zeek+zeek/dns__mdns.pcap", `dns: mdns _ipp._tcp.local PTR no_response`},
		{"LLMNR", "OISF+suricata-verify/llmnr__llmnr-hostname-match__input.pcap", `dns: llmnr malicious-c2.local A no_response`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, out := dataset(t, run.Config{Inputs: []string{filepath.Join(corpus, "captures", c.capture)}, Workers: 1, Shards: 4, NoHash: true})
			got := featureRows(t, out)
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.want) }) {
				t.Errorf("no row %s among\n%s", c.want, strings.Join(got, "\n"))
			}
		})
	}
}

// featureRows returns the rows of a dataset, each with its flow's app_proto,
// and the flows that have none.
func featureRows(t *testing.T, out string) (rows []string) {
	t.Helper()
	apps := map[int64]string{}
	for _, f := range read[schema.Flow](t, out, "flows") {
		apps[f.FlowID] = f.AppProto
		if f.HTTPRows+f.TLSRows+f.DNSRows == 0 && f.AppProto != "" {
			rows = append(rows, f.AppProto+" "+f.AppProtoBasis)
		}
	}
	for _, r := range read[schema.TLS](t, out, "tls") {
		s := apps[r.FlowID] + ": " + r.Transport
		if r.QUICVersion != "" {
			s += " " + r.QUICVersion
		}
		s += fmt.Sprintf(" %s %q %s ech=%s groups=%v", r.Version, r.SNI, r.Outcome, r.ECH, r.KeyShareGroups)
		if r.QUICRetry != nil && *r.QUICRetry {
			s += " retry"
		}
		if slices.Contains(r.ClientExtensions, 27) {
			s += " 27"
		}
		rows = append(rows, s)
	}
	for _, r := range read[schema.HTTP](t, out, "http") {
		status := int32(0)
		if r.Status != nil {
			status = *r.Status
		}
		s := fmt.Sprintf("%s: %s %s %s %d %s", apps[r.FlowID], r.Method, r.Target, r.Version, status, r.Outcome)
		if r.StreamID != nil {
			s += fmt.Sprintf(" stream=%d", *r.StreamID)
		}
		if r.Upgrade != "" {
			s += " " + r.Upgrade
		}
		rows = append(rows, s)
	}
	for _, r := range read[schema.DNS](t, out, "dns") {
		rows = append(rows, fmt.Sprintf("%s: %s %s %s %s", apps[r.FlowID], r.Service, r.QName, r.QType, r.Outcome))
	}
	return rows
}
