package ident

import (
	"bytes"
	"encoding/binary"

	"github.com/caplake/caplake/parsers"
)

const (
	yes   = parsers.Yes
	maybe = parsers.Maybe
	no    = parsers.No
)

func be16(b []byte) int    { return int(binary.BigEndian.Uint16(b)) }
func be24(b []byte) int    { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func le16(b []byte) int    { return int(binary.LittleEndian.Uint16(b)) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

func starts(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// startsFold is starts for a prefix in upper case that may come in any.
func startsFold(b []byte, upper string) bool {
	if len(b) < len(upper) {
		return false
	}
	for i := 0; i < len(upper); i++ {
		c := b[i]
		if c-'a' < 26 {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// containsFold says whether b has the text, which is in upper case, in any case.
func containsFold(b []byte, upper string) bool {
	for len(b) >= len(upper) {
		if startsFold(b, upper) {
			return true
		}
		b = b[1:]
	}
	return false
}

func has(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

func head(b []byte, n int) []byte { return b[:min(n, len(b))] }

// line returns the first line, at most 512 bytes, without its end; ok: it has one.
func line(b []byte) (l []byte, ok bool) {
	b = head(b, 512)
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, false
	}
	l = b[:i]
	if i > 0 && l[i-1] == '\r' {
		l = l[:i-1]
	}
	return l, true
}

func printable(b []byte) bool {
	for _, c := range b {
		if (c < 0x20 || c == 0x7f) && c != '\t' {
			return false
		}
	}
	return true
}

func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n]-'0' <= 9 {
		n++
	}
	return n
}

// textStream looks for protocols of lines, and others whose magic is text.
func textStream(b []byte) (Protocol, parsers.Verdict) {
	switch b[0] {
	case '1', '2', '3', '4', '5', '6', '7', '8', '9', '0':
		return numberedText(b)
	case '*':
		// IMAP's greeting (RFC 9051 section 7.1); an array of RESP.
		if starts(b, "* OK ") || starts(b, "* OK\r") || starts(b, "* PREAUTH ") || starts(b, "* BYE ") {
			return IMAP, yes
		}
		if n := digits(b[1:]); n > 0 && n < 8 && starts(b[1+n:], "\r\n$") {
			return Redis, yes
		}
	case '+':
		if starts(b, "+OK") && len(b) > 3 && (b[3] == ' ' || b[3] == '\r') { // RFC 1939 section 3
			if l, _ := line(b); containsFold(l, "POP3") {
				return POP3, yes
			}
			return POP3, maybe
		}
		if starts(b, "+PONG\r\n") {
			return Redis, yes
		}
	case '-':
		if starts(b, "-ERR ") {
			return POP3, maybe
		}
		if starts(b, "-NOAUTH ") || starts(b, "-DENIED ") || starts(b, "-WRONGPASS ") {
			return Redis, yes
		}
	case '@':
		if starts(b, "@RSYNCD: ") {
			return Rsync, yes
		}
	case '#':
		if starts(b, "# munin node at ") {
			return Munin, yes
		}
	case ':':
		return ircLine(b)
	case '<':
		if h := head(b, 512); has(h, "<stream:stream") || has(h, "jabber:") && starts(h, "<?xml") || starts(h, "<open xmlns=\"urn:ietf:params:xml:ns:xmpp-") {
			return XMPP, yes
		}
		if priority(b) {
			return Syslog, yes
		}
	case '{':
		if h := head(b, 512); has(h, "\"method\"") && (has(h, "\"mining.") || has(h, "\"eth_submitLogin\"") || has(h, "\"login\"") && has(h, "\"agent\"")) {
			return Stratum, yes
		}
		if has(head(b, 512), "\"jsonrpc\"") {
			return JSONRPC, yes
		}
	case '!':
		if starts(b, "!/1 ") {
			return Megaco, yes
		}
	case 0x43:
		if len(b) >= 48 && has(head(b, 512), "InitiatorName=") { // RFC 7143 section 11.12
			return ISCSI, yes
		}
	}
	return wordText(b)
}

// numberedText looks at lines that begin with a number.
func numberedText(b []byte) (Protocol, parsers.Verdict) {
	if starts(b, "8=FIX") {
		return FIX, yes
	}
	if len(b) >= 8 && hex4(b) { // pkt-line
		if h := b[4:]; starts(h, "git-upload-pack ") || starts(h, "git-receive-pack ") || starts(h, "git-upload-archive ") {
			return Git, yes
		}
		if starts(b[4:], "host:") || starts(b[4:], "host-serial:") || starts(b[4:], "shell:") && len(b) > 10 {
			return ADB, yes
		}
	}
	// Octet counting of syslog (RFC 6587 section 3.4.1).
	if n := digits(b); n > 0 && n < 6 && len(b) > n+5 && b[n] == ' ' && priority(b[n+1:]) {
		return Syslog, yes
	}
	l, _ := line(b)
	if len(l) < 4 || digits(l) != 3 || l[3] != ' ' && l[3] != '-' || !printable(l) {
		return None, no
	}
	switch code := int(l[0]-'0')*100 + int(l[1]-'0')*10 + int(l[2]-'0'); code {
	case 220, 120, 421, 554, 530, 521:
		switch text := head(b, 512)[4:]; {
		case containsFold(text, "SMTP") || containsFold(text, "LMTP"):
			return SMTP, yes
		case containsFold(text, "FTP") || containsFold(text, "FILEZILLA"):
			return FTP, yes
		}
		return ftpOrSMTP, maybe
	case 200, 201:
		if containsFold(l, "NNTP") || containsFold(l, "INTERNETNEWS") || containsFold(l, "POSTING") && containsFold(l, "NEWS") {
			return NNTP, yes
		}
		if containsFold(l, "POSTING") {
			return NNTP, maybe
		}
	}
	return None, no
}

func hex4(b []byte) bool {
	for _, c := range b[:4] {
		if c-'0' > 9 && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

// priority says whether b begins as a message of syslog: <0> to <191>, and text.
func priority(b []byte) bool {
	if len(b) < 6 || b[0] != '<' {
		return false
	}
	n := digits(b[1:])
	if n == 0 || n > 3 || b[1+n] != '>' {
		return false
	}
	v := 0
	for _, c := range b[1 : 1+n] {
		v = v*10 + int(c-'0')
	}
	rest := head(b[2+n:], 12)
	return v <= 191 && len(rest) > 1 && printable(bytes.TrimRight(rest, "\r\n\x00")) && rest[0] != '<'
}

// ircLine looks at a line with a prefix (RFC 2812 section 2.3.1).
func ircLine(b []byte) (Protocol, parsers.Verdict) {
	l, _ := line(b)
	i := bytes.IndexByte(l, ' ')
	if i < 2 {
		return None, no
	}
	rest := l[i+1:]
	if starts(rest, "NOTICE ") || starts(rest, "PRIVMSG ") || starts(rest, "CAP ") || starts(rest, "JOIN ") || starts(rest, "NICK ") || starts(rest, "MODE ") {
		return IRC, yes
	}
	if digits(rest) == 3 && len(rest) > 4 && rest[3] == ' ' {
		return IRC, yes
	}
	return None, no
}

// wordText looks at what begins with a word.
func wordText(b []byte) (Protocol, parsers.Verdict) {
	l, whole := line(b)
	upper := func(s string) bool { return startsFold(l, s) }
	switch b[0] | 0x20 {
	case 'a':
		switch {
		case starts(b, "AMQP") && len(b) >= 8 && b[4] <= 3 && b[5] <= 1:
			return AMQP, yes
		case starts(b, "ACKF") && len(b) >= 8 && int(le32(b[4:])) == len(b):
			return OPCUA, yes
		case upper("AUTH TLS") || upper("AUTH SSL") || upper("AUTH GSSAPI"):
			return FTP, maybe
		case upper("APOP ") || upper("AUTH") && whole:
			return POP3, maybe
		}
	case 'c':
		switch {
		case starts(b, "CNXN") && len(b) >= 24 && be32(b[20:]) == ^be32(b)&0xffffffff:
			return ADB, yes
		case starts(b, "CAP LS") || starts(b, "CAP REQ "):
			return IRC, yes
		case starts(b, "CONNECT\n") && has(head(b, 256), ":"):
			return STOMP, yes
		case starts(b, "CONNECTED\n") && has(head(b, 256), "version:"):
			return STOMP, yes
		case starts(b, "CONNECT {\""):
			return NATS, yes
		case upper("CAPA") && whole && len(l) == 4:
			return POP3, maybe
		case starts(b, "ceph v"):
			return Ceph, yes
		}
	case 'e':
		switch {
		case starts(b, "ED\x00\x01") && (len(b) == 4 || len(b) > 12 && b[4]|b[5] == 0): // a length, then "WA"
			return WhatsApp, yes
		case (upper("EHLO ") || upper("EHLO")) && whole && len(l) != 0:
			return SMTP, yes
		case starts(b, "ES") && len(b) >= 6 && be32(b[2:]) < 1<<24 && int(be32(b[2:])) == len(b)-6:
			return Elasticsearch, yes
		case starts(b, "END\r\n") || starts(b, "ERROR\r\n"):
			return Memcached, maybe
		}
	case 'f':
		if whole && (upper("FEAT") && len(l) == 4) {
			return FTP, maybe
		}
	case 'g':
		if starts(b, "GNUTELLA CONNECT/") || starts(b, "GNUTELLA/0.") {
			return Gnutella, yes
		}
		if whole && (starts(b, "get ") || starts(b, "gets ")) && printable(l) {
			return Memcached, maybe
		}
	case 'h':
		switch {
		case upper("HELO ") && whole:
			return SMTP, yes
		case starts(b, "HELF") && len(b) >= 32 && int(le32(b[4:])) == len(b):
			return OPCUA, yes
		}
	case 'i':
		if starts(b, "INFO {\"") {
			return NATS, yes
		}
	case 'l':
		if upper("LHLO ") && whole {
			return SMTP, yes
		}
	case 'm':
		if starts(b, "MEGACO/") {
			return Megaco, yes
		}
	case 'n':
		switch {
		case starts(b, "NICK ") && whole && has(head(b, 256), "\nUSER "):
			return IRC, yes
		case starts(b, "NICK ") && whole:
			return IRC, maybe
		case starts(b, "NOTICE AUTH :") || starts(b, "NOTICE * :"):
			return IRC, yes
		}
	case 'o':
		if (starts(b, "OPNF") || starts(b, "OPNC")) && len(b) >= 12 && int(le32(b[4:])) == len(b) {
			return OPCUA, yes
		}
	case 'p':
		switch {
		case starts(b, "PASS ") && has(head(b, 256), "\nNICK "):
			return IRC, yes
		}
	case 'q':
		if whole && upper("QUIT") && len(l) == 4 { // RFC 959, RFC 1939, RFC 3977, RFC 5321
			return quits, maybe
		}
	case 'r':
		if starts(b, "RFB 00") && len(b) >= 12 && b[7] == '.' && b[11] == '\n' { // RFC 6143 section 7.1.1
			return VNC, yes
		}
		if starts(b, "ROUGHTIM") {
			return Roughtime, yes
		}
	case 's':
		switch {
		case starts(b, "SSH-1.") || starts(b, "SSH-2.0"): // RFC 4253 section 4.2
			return SSH, yes
		case starts(b, "STOMP\n"):
			return STOMP, yes
		case whole && (starts(b, "stats\r\n") || starts(b, "set ")) && printable(l):
			return Memcached, maybe
		case starts(b, "STAT ") || starts(b, "STORED\r\n"):
			return Memcached, maybe
		case whole && upper("SYST") && len(l) == 4:
			return FTP, maybe
		case whole && upper("STLS") && len(l) == 4:
			return POP3, maybe
		}
	case 'u':
		if upper("USER ") && whole {
			if f := l[5:]; bytes.Count(f, []byte(" ")) >= 3 && bytes.Contains(f, []byte(" :")) {
				return IRC, yes
			}
			return ftpOrPOP3, maybe
		}
	case 'v':
		switch {
		case starts(b, "version\r\n") || starts(b, "VERSION ") && whole || starts(b, "VALUE ") && whole:
			return Memcached, maybe
		}
	case 'w':
		if starts(b, "WA") && len(b) > 8 && b[2] >= 1 && b[2] <= 6 && b[3] <= 5 {
			return WhatsApp, yes
		}
	case 'z':
		if starts(b, "ZBXD\x01") || starts(b, "ZBXD\x03") {
			return Zabbix, yes
		}
	}
	if p := sipOrRTSP(l, whole); p != None {
		return p, yes
	}
	return imapCommand(l, whole)
}

// sipOrRTSP looks at a start line of SIP (RFC 3261 section 7) or RTSP (RFC 7826 section 20).
func sipOrRTSP(l []byte, whole bool) Protocol {
	switch {
	case starts(l, "SIP/2.0 ") && digits(l[8:]) == 3:
		return SIP
	case (starts(l, "RTSP/1.0 ") || starts(l, "RTSP/2.0 ")) && digits(l[9:]) == 3:
		return RTSP
	case !whole:
		return None
	}
	i := bytes.IndexByte(l, ' ')
	if i < 3 || i > 16 {
		return None
	}
	for _, c := range l[:i] {
		if c-'A' > 25 && c != '_' {
			return None
		}
	}
	switch {
	case bytes.HasSuffix(l, []byte(" SIP/2.0")):
		return SIP
	case bytes.HasSuffix(l, []byte(" RTSP/1.0")) || bytes.HasSuffix(l, []byte(" RTSP/2.0")):
		return RTSP
	}
	return None
}

// imapCommand looks at a tag and a command that a session begins with (RFC
// 9051 section 6).
func imapCommand(l []byte, whole bool) (Protocol, parsers.Verdict) {
	i := bytes.IndexByte(l, ' ')
	if !whole || i < 1 || i > 12 {
		return None, no
	}
	for _, c := range l[:i] {
		if c-'0' > 9 && (c|0x20)-'a' > 25 && c != '.' {
			return None, no
		}
	}
	switch c := l[i+1:]; {
	case startsFold(c, "CAPABILITY") && len(c) == 10, startsFold(c, "AUTHENTICATE "), startsFold(c, "ID ("), startsFold(c, "ID NIL"):
		return IMAP, yes
	case startsFold(c, "LOGIN ") || startsFold(c, "STARTTLS") && len(c) == 8 || startsFold(c, "NOOP") && len(c) == 4:
		return IMAP, maybe
	}
	return None, no
}

// binaryStream looks for protocols of binary messages.
func binaryStream(b []byte) (Protocol, parsers.Verdict) {
	n := len(b)
	switch b[0] {
	case 0x00:
		if n >= 9 && b[1] <= 1 && (starts(b[4:], "\xffSMB") || starts(b[4:], "\xfeSMB") || starts(b[4:], "\xfdSMB") || starts(b[4:], "\xfcSMB")) && be24(b[1:]) < 1<<20 {
			return SMB, yes
		}
		if p := postgres(b); p != None {
			return p, yes
		}
		if p := lengthFirst(b); p != None {
			return p, yes
		}
		if n >= 16 && b[1] == 0x9c && starts(b[2:], "\x00\x01\x1a\x2b\x3c\x4d") { // RFC 2637 section 2.1
			return PPTP, yes
		}
	case 0x01:
		if n >= 16 && starts(b, "\x01\x01\x00\x01\x00\x08\x00\x00\x00") {
			return FastCGI, yes
		}
		if p := diameter(b); p != None {
			return p, yes
		}
		if starts(b, "\x01\x21\x01\x01\x01\x01\x01\x01") { // Levin's signature
			return Monero, yes
		}
		if hartIP(b) {
			return HARTIP, yes
		}
	case 0x03:
		if p := tpkt(b); p != None {
			return p, yes
		}
		// A time, and zeros or a version of the player.
		if (n == 1537 || n >= 1300) && (be32(b[5:]) == 0 || b[5] > 0 && b[5] <= 0x0d) {
			return RTMP, maybe
		}
	case 0x04, 0x05:
		if p := cassandra(b); p != None {
			return p, yes
		}
		if b[0] == 5 && n >= 16 && b[1] <= 1 && b[2] <= 19 && (b[4] == 0x10 || b[4] == 0) && b[5] == 0 && b[6] == 0 && b[7] == 0 && le16(b[8:]) >= 16 && (le16(b[8:]) == n || le16(b[8:]) < n && b[3]&^0x83 == 0) {
			return DCERPC, yes
		}
		if b[0] == 5 && dnp3(b) {
			return DNP3, yes
		}
	case 0x06:
		if n >= 6 && b[1] == 0x10 && b[2] >= 2 && b[2] <= 9 && be16(b[4:]) >= 6 && be16(b[4:]) <= n && (be16(b[4:]) == n || b[be16(b[4:])] == 6) {
			return KNX, yes
		}
	case 0x10:
		if p, v := mqtt(b); v != no {
			return p, v
		}
		if n >= 8 && b[1] == 1 && be16(b[2:]) == n && b[6] <= 1 && b[7] == 0 && n >= 94 && le32(b[8:]) == uint32(n-8) {
			return TDS, yes
		}
	case 0x12, 0x04 | 0x80:
		if tdsPrelogin(b) {
			return TDS, yes
		}
		if n >= 5 && starts(b, "\x12\x34") && be16(b[2:]) == n-4 && b[4] <= 15 {
			return AJP, yes
		}
	case 0x13:
		if starts(b, "\x13BitTorrent protocol") {
			return BitTorrent, yes
		}
	case 0x20:
		if n == 4 && b[1] == 2 && b[2] <= 1 && b[3] <= 5 {
			return MQTT, maybe
		}
	case 0x30:
		if ldap(b) {
			return LDAP, yes
		}
	case 0x41:
		if starts(b, "AB") && n >= 5 && be16(b[2:]) == n-4 && b[4] >= 3 && b[4] <= 9 {
			return AJP, yes
		}
	case 0x68:
		if n >= 6 && b[1] == 4 && n%6 == 0 && (b[2] == 0x07 || b[2] == 0x0b || b[2] == 0x43 || b[2] == 0x83) && b[3]|b[4]|b[5] == 0 {
			return IEC104, yes
		}
		if n >= 6 && b[1] >= 14 && int(b[1])+2 == n && b[2]&1 == 0 && b[4]&1 == 0 && (b[6] <= 45 || b[6] >= 58 && b[6] <= 69 || b[6] >= 100 && b[6] <= 127) {
			return IEC104, maybe
		}
	case 0x80:
		if n >= 24 && b[1] <= 0x25 && b[5] == 0 && int(be32(b[8:])) == n-24 && be16(b[2:])+int(b[4]) <= n-24 {
			return Memcached, yes
		}
		if p := sunRPC(b, true); p != None {
			return p, yes
		}
		if thrift(b) {
			return Thrift, yes
		}
	case 0x81:
		if n >= 72 && be16(b[2:]) == 68 && b[1] == 0 && b[4] == 0x20 && b[37] == 0 && encodedName(b[5:]) {
			return NBSSN, yes
		}
	case 0x82:
		if n == 4 && b[1]|b[2]|b[3] == 0 {
			return NBSSN, maybe
		}
	case 0xaa:
		if synchrophasor(b) {
			return Synchrophasor, yes
		}
	case 0xc0, 0xc1:
		if n >= 12 && b[1] >= 1 && b[1] <= 3 && b[2] <= 2 && b[3] <= 5 && int(be32(b[8:])) == n-12 {
			return TACACS, yes
		}
	case 0xf9, 0xfa, 0x0b:
		if n >= 24 && (starts(b, "\xf9\xbe\xb4\xd9") || starts(b, "\xfa\xbf\xb5\xda") || starts(b, "\x0b\x11\x09\x07")) && (starts(b[4:], "version\x00") || starts(b[4:], "ping\x00") || starts(b[4:], "getaddr\x00") || starts(b[4:], "inv\x00")) {
			return Bitcoin, yes
		}
	case 0xff:
		if telnet(b) {
			return Telnet, yes
		}
		if n >= 19 && bytes.Equal(b[:16], ones[:]) && be16(b[16:]) >= 19 && be16(b[16:]) <= 4096 && b[18] >= 1 && b[18] <= 5 { // RFC 4271 section 4.1
			return BGP, yes
		}
	}
	switch {
	case mysql(b):
		return MySQL, yes
	case mongo(b):
		return MongoDB, yes
	case oracle(b):
		return Oracle, yes
	case enip(b):
		return EtherNetIP, yes
	case openVPNStream(b):
		return OpenVPN, yes
	case stun(b):
		return STUN, yes
	case kerberosStream(b):
		return Kerberos, yes
	case thriftCompact(b):
		return Thrift, yes
	}
	if p, v := modbus(b); v != no {
		return p, v
	}
	return makerStream(b)
}

var ones = [16]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// postgres looks for the messages that a session begins with: SSLRequest,
// GSSENCRequest, CancelRequest, StartupMessage of version 3.
func postgres(b []byte) Protocol {
	if len(b) < 8 || be32(b) > 1<<14 || int(be32(b)) != len(b) {
		return None
	}
	switch v := be32(b[4:]); {
	case len(b) == 8 && (v == 80877103 || v == 80877104), len(b) == 16 && v == 80877102:
		return PostgreSQL
	case v>>16 == 3 && len(b) > 13 && has(head(b, 256), "user\x00") && b[len(b)-1] == 0:
		return PostgreSQL
	}
	return None
}

// lengthFirst looks at messages that begin with their length in four bytes.
func lengthFirst(b []byte) Protocol {
	n := len(b)
	if n < 14 {
		return None
	}
	if be16(b) == 1 && be16(b[2:]) == n-4 && n >= 18 { // LDP: RFC 5036 section 3.1
		if t := be16(b[10:]) & 0x7fff; (t == 0x100 || t == 0x200 || t == 0x201 || t == 1) && be16(b[12:]) <= n-14 && be16(b[8:]) == 0 {
			return LDP
		}
	}
	if be32(b) > 1<<16 {
		return None
	}
	length := int(be32(b))
	if length == n && n >= 16 { // SMPP 3.4 section 3.2
		if c := be32(b[4:]); (c == 1 || c == 2 || c == 9 || c == 0x15) && be32(b[8:]) == 0 && be32(b[12:]) != 0 && be32(b[12:]) < 1<<20 {
			return SMPP
		}
	}
	if length == n-4 {
		// Kafka: key and version of the request, its number, the client's name.
		if key, version, name := be16(b[4:]), be16(b[6:]), be16(b[12:]); key <= 75 && version <= 17 && name > 0 && name < 256 && 14+name <= n && printable(b[14:14+name]) || key <= 75 && version <= 17 && name == 0xffff { // or no name
			return Kafka
		}
		if thrift(b[4:]) {
			return Thrift
		}
	}
	return None
}

// tpkt looks inside TPKT (RFC 1006 section 6) and COTP (X.224 section 13).
func tpkt(b []byte) Protocol {
	n := len(b)
	if n < 7 || b[1] != 0 || be16(b[2:]) > n || be16(b[2:]) < 7 {
		return None
	}
	exact := be16(b[2:]) == n
	body := b[4:]
	switch li := int(body[0]); {
	case exact && body[1] == 0xe0 && li == n-5 && n >= 11: // connection request
		rest := body[7:]
		if starts(rest, "Cookie: ms") || len(rest) >= 8 && starts(rest[len(rest)-8:], "\x01\x00\x08\x00") || len(rest) >= 8 && starts(rest, "\x01") && starts(rest[2:], "\x08\x00") {
			return RDP
		}
		if s7Parameters(rest) {
			return S7comm
		}
	case exact && body[1] == 0xd0 && li == n-5 && n >= 11:
		rest := body[7:]
		if len(rest) == 8 && (rest[0] == 2 || rest[0] == 3) && rest[2] == 8 && rest[3] == 0 {
			return RDP
		}
		if s7Parameters(rest) {
			return S7comm
		}
	case starts(body, "\x02\xf0\x80") && len(body) > 4 && (body[3] == 0x32 && body[4] >= 1 && body[4] <= 7 || body[3] == 0x72 && body[4] <= 3):
		return S7comm
	case starts(body, "\x08\x02") && n > 12 && (body[4] == 5 || body[4] == 2 || body[4] == 3 || body[4] == 7 || body[4] == 0x5a): // Q.931: SETUP and so on
		return H323
	}
	return None
}

// s7Parameters: the sizes and the two-byte selectors of S7's connection.
func s7Parameters(p []byte) bool {
	seen := 0
	for len(p) >= 3 {
		switch {
		case p[0] == 0xc0 && p[1] == 1:
			seen |= 1
		case p[0] == 0xc1 && p[1] == 2:
			seen |= 2
		case p[0] == 0xc2 && (p[1] == 2 || starts(p[2:], "SIMATIC-ROOT-")):
			seen |= 4
		default:
			return false
		}
		p = p[min(2+int(p[1]), len(p)):]
	}
	return seen == 7 && len(p) == 0
}

// mqtt looks for CONNECT (MQTT 5.0 section 3.1).
func mqtt(b []byte) (Protocol, parsers.Verdict) {
	length, i := 0, 1
	for shift := 0; ; shift += 7 {
		if i >= len(b) || i > 4 {
			return None, no
		}
		length |= int(b[i]&0x7f) << shift
		i++
		if b[i-1]&0x80 == 0 {
			break
		}
	}
	if v := b[i:]; length >= 10 && (starts(v, "\x00\x04MQTT") && len(v) > 6 && v[6] >= 3 && v[6] <= 5 || starts(v, "\x00\x06MQIsdp")) {
		return MQTT, yes
	}
	return None, no
}

func tdsPrelogin(b []byte) bool {
	n := len(b)
	if n < 20 || b[0] != 0x12 || b[1]&^1 != 0 || be16(b[2:]) != n || b[7] != 0 {
		return false
	}
	// Options of five bytes: a type, where it is, how long it is.
	return b[8] == 0 && be16(b[9:]) < n-8 && be16(b[11:]) == 6
}

func cassandra(b []byte) Protocol {
	n := len(b)
	if n < 9 || b[1]&^0x10 != 0 || b[0] < 3 || b[0] > 5 || int(be32(b[5:])) != n-9 {
		return None
	}
	if b[4] == 5 && n == 9 || b[4] == 1 && has(head(b, 64), "CQL_VERSION") {
		return Cassandra
	}
	return None
}

func diameter(b []byte) Protocol {
	n := len(b)
	if n < 32 || be24(b[1:]) < 32 || be24(b[1:]) > n || be24(b[1:])%4 != 0 || b[4]&0x0f != 0 || b[4]&0xc0 == 0 && b[4] != 0 {
		return None
	}
	if code, app := be24(b[5:]), be32(b[8:]); (code >= 257 && code <= 282 || code >= 300 && code <= 325 || code >= 8388607) && (app < 1<<16 || app>>24 == 1 || app == 0xffffffff) {
		if avp := be24(b[25:]); avp >= 8 && avp <= n-20 && be32(b[20:]) < 1<<16 {
			return Diameter
		}
	}
	return None
}

// dnp3 checks the first block of a link frame with its CRC (IEEE 1815 section 9.2).
func dnp3(b []byte) bool {
	if len(b) < 10 || b[0] != 5 || b[1] != 0x64 || b[2] < 5 {
		return false
	}
	crc := uint16(0)
	for _, c := range b[:8] {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa6bc
			} else {
				crc >>= 1
			}
		}
	}
	return ^crc == uint16(le16(b[8:]))
}

// ber returns the length of a BER element's content and where that begins; n 0: it is none.
func ber(b []byte) (length, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	l := int(b[1])
	if l < 0x80 {
		return l, 2
	}
	k := l & 0x7f
	if k == 0 || k > 4 || len(b) < 2+k {
		return 0, 0
	}
	l = 0
	for _, c := range b[2 : 2+k] {
		l = l<<8 | int(c)
	}
	return l, 2 + k
}

// ldap looks for a message with a number and an operation (RFC 4511 section 4.1.1).
func ldap(b []byte) bool {
	if b[0] != 0x30 {
		return false
	}
	length, n := ber(b)
	if n == 0 || length < 5 || length > 1<<20 {
		return false
	}
	b = b[n:]
	if len(b) < 5 || b[0] != 2 || b[1] < 1 || b[1] > 4 || len(b) < 4+int(b[1]) || b[2]&0x80 != 0 {
		return false
	}
	id := 2 + int(b[1])
	op := b[id:]
	switch op[0] {
	case 0x60: // bind: version
		l, k := ber(op)
		return k != 0 && l <= length && len(op) >= k+3 && op[k] == 2 && op[k+1] == 1 && op[k+2] >= 2 && op[k+2] <= 3
	case 0x61, 0x65, 0x6b, 0x6d, 0x69, 0x67, 0x6f, 0x78: // results: code
		l, k := ber(op)
		return k != 0 && l <= length && len(op) >= k+3 && op[k] == 0x0a && op[k+1] == 1
	case 0x63: // search: base, scope
		l, k := ber(op)
		return k != 0 && l <= length && len(op) >= k+2 && op[k] == 4
	case 0x64, 0x73: // entry, reference
		l, k := ber(op)
		return k != 0 && l <= length && len(op) >= k+2 && op[k] == 4
	case 0x66, 0x68, 0x6c, 0x6e:
		l, k := ber(op)
		return k != 0 && l <= length && len(op) >= k+2 && op[k] == 4
	case 0x77: // extended
		l, k := ber(op)
		return k != 0 && l <= length && len(op) >= k+2 && op[k] == 0x80
	case 0x42: // unbind
		return len(op) >= 2 && op[1] == 0
	}
	return false
}

// kerberos looks for a message with pvno 5 (RFC 4120 section 5).
func kerberos(b []byte) bool {
	switch b[0] {
	case 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x74, 0x75, 0x76, 0x7e:
	default:
		return false
	}
	l, n := ber(b)
	if n == 0 || l < 8 || len(b) < n+2 || b[n] != 0x30 {
		return false
	}
	_, k := ber(b[n:])
	v := b[min(n+k, len(b)):]
	return k != 0 && len(v) >= 5 && (v[0] == 0xa0 || v[0] == 0xa1) && starts(v[1:], "\x03\x02\x01\x05")
}

func kerberosStream(b []byte) bool {
	return len(b) >= 14 && be32(b) < 1<<20 && be32(b) >= 10 && int(be32(b)) >= len(b)-4 && kerberos(b[4:])
}

func mysql(b []byte) bool {
	n := len(b)
	if n < 20 || b[3] != 0 {
		return false
	}
	if length := int(b[0]) | int(b[1])<<8 | int(b[2])<<16; length != n-4 && (length > n-4 || length < 30) {
		return false
	}
	if b[4] != 10 && b[4] != 9 {
		return b[4] == 0xff && (starts(b[7:], "Host '") || starts(b[7:], "#") && n > 14)
	}
	v := b[5:]
	i := bytes.IndexByte(head(v, 64), 0)
	return i >= 3 && v[0]-'0' <= 9 && bytes.IndexByte(v[:i], '.') > 0 && printable(v[:i]) && len(v) > i+13 && (b[4] == 9 || v[i+13] == 0)
}

func mongo(b []byte) bool {
	if len(b) < 16 || int(le32(b)) < len(b) && int(le32(b)) < 16 || le32(b) > 48<<20 || int(le32(b)) < len(b) {
		return false
	}
	switch le32(b[12:]) {
	case 2004:
		return len(b) >= 28 && (has(head(b[20:], 64), ".$cmd\x00") || int(le32(b)) == len(b) && le32(b[8:]) == 0)
	case 2013:
		return len(b) >= 26 && le32(b[16:])&^0x10003 == 0 && b[20] <= 1
	case 2012:
		return len(b) >= 25 && le32(b[16:]) == 2013 || len(b) >= 25 && le32(b[16:]) == 2004
	case 1:
		return int(le32(b)) == len(b) && len(b) >= 36 && le32(b[16:])&^0xf == 0 && le32(b[8:]) != 0
	}
	return false
}

func oracle(b []byte) bool {
	return len(b) >= 34 && be16(b) == len(b) && b[2]|b[3] == 0 && b[4] == 1 && b[5]&^0xb0 == 0 && b[6]|b[7] == 0 && be16(b[8:]) >= 300 && be16(b[8:]) <= 330
}

// enip looks for the encapsulation header of EtherNet/IP.
func enip(b []byte) bool {
	if len(b) < 24 || le16(b[2:]) != len(b)-24 || le32(b[8:]) != 0 && le32(b[8:]) > 0x69 || le32(b[20:]) != 0 {
		return false
	}
	switch le16(b) {
	case 0x65:
		return le16(b[2:]) == 4 && le16(b[24:]) == 1
	case 0x63, 0x64, 0x04:
		return true
	case 0x6f, 0x70:
		return len(b) >= 32 && le32(b[4:]) != 0
	}
	return false
}

// modbus looks for a request or response of the common functions whose lengths
// are exact (MODBUS over TCP/IP section 3.1.3).
func modbus(b []byte) (Protocol, parsers.Verdict) {
	n := len(b)
	if n < 8 || b[2]|b[3] != 0 || be16(b[4:]) != n-6 || n > 260 {
		return None, no
	}
	switch f := b[7]; {
	case f >= 1 && f <= 4 && n == 12 && be16(b[10:]) > 0 && be16(b[10:]) <= 2000,
		f >= 1 && f <= 4 && n > 9 && int(b[8]) == n-9,
		f == 5 && n == 12 && (b[10] == 0 || b[10] == 0xff) && b[11] == 0,
		f == 15 && n > 13 && int(b[12]) == n-13, f == 16 && n > 13 && int(b[12]) == n-13,
		f == 0x2b && n >= 11 && b[8] == 0x0e,
		f >= 0x81 && f <= 0x98 && n == 9 && b[8] >= 1 && b[8] <= 11:
		return Modbus, yes
	case f == 0x5a, f == 6 && n == 12, (f == 15 || f == 16) && n == 12, f >= 1 && f <= 0x2b:
		return Modbus, maybe
	}
	return None, no
}

func telnet(b []byte) bool {
	n := 0
	for len(b) >= 3 && b[0] == 0xff {
		switch {
		case b[1] >= 0xfb && b[1] <= 0xfe && (b[2] <= 49 || b[2] >= 0x8a && b[2] <= 0x8d || b[2] == 0xff):
			b = b[3:]
		case b[1] == 0xfa && n > 0:
			return true
		default:
			return false
		}
		n++
	}
	return n > 1 || n == 1 && (len(b) == 0 || printable(head(b, 1)) || b[0] == '\r')
}

// thriftCompact looks for a message in the compact protocol.
func thriftCompact(b []byte) bool {
	if len(b) < 8 || b[0] != 0x82 || b[1]&0x1f != 1 || b[1]>>5 < 1 || b[1]>>5 > 4 {
		return false
	}
	i := 2
	for i < 7 && i < len(b)-2 && b[i]&0x80 != 0 {
		i++
	}
	n := int(b[i+1])
	i += 2
	return n >= 3 && n < 64 && i+n <= len(b) && identifier(b[i:i+n])
}

// identifier says whether b is one of a programming language.
func identifier(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 && (c|0x20)-'a' > 25 && c != '_' && c != ':' && c != '.' {
			return false
		}
	}
	return true
}

func hartIP(b []byte) bool {
	return len(b) >= 8 && b[0] == 1 && b[1] <= 2 && b[2] <= 4 && b[3] == 0 && be16(b[6:]) == len(b)
}

func thrift(b []byte) bool {
	if len(b) < 12 || b[0] != 0x80 || b[1] != 1 || b[2] != 0 || b[3] < 1 || b[3] > 4 {
		return false
	}
	n := int(be32(b[4:]))
	return n > 0 && n < 128 && len(b) >= 12+n && identifier(b[8:8+n])
}

// synchrophasor checks a frame of IEEE C37.118 with its CRC.
func synchrophasor(b []byte) bool {
	n := len(b)
	if n < 18 || b[1]&0x80 != 0 || b[1]>>4 > 5 || b[1]&0xf < 1 || b[1]&0xf > 2 || be16(b[2:]) < 18 || be16(b[2:]) > n {
		return false
	}
	f := b[:be16(b[2:])]
	crc := uint16(0xffff)
	for _, c := range f[:len(f)-2] {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) == be16(f[len(f)-2:])
}

// sunRPC looks for a call (RFC 5531 section 9), in a stream behind the mark of a
// record.
func sunRPC(b []byte, stream bool) Protocol {
	if stream {
		if len(b) < 4 || int(be32(b)&0x7fffffff) < 40 || int(be32(b)&0x7fffffff) > 1<<20 {
			return None
		}
		b = b[4:]
	}
	if len(b) < 40 || be32(b[4:]) != 0 || be32(b[8:]) != 2 || be32(b[16:]) > 16 || be32(b[24:]) > 6 || be32(b[28:]) > 400 {
		return None
	}
	switch p := be32(b[12:]); {
	case p == 100000:
		return Portmap
	case p == 100003 || p == 100005 || p == 100021 || p == 100227:
		return NFS
	case p >= 100000 && p < 400000:
		return SunRPC
	}
	return None
}

// encodedName says whether b begins with a NetBIOS name: 32 letters from A to
// P (RFC 1001 section 14.1).
func encodedName(b []byte) bool {
	if len(b) < 32 {
		return false
	}
	for _, c := range b[:32] {
		if c-'A' > 15 {
			return false
		}
	}
	return true
}

func openVPNStream(b []byte) bool {
	return len(b) >= 16 && be16(b) == len(b)-2 && openVPN(b[2:])
}

// openVPN looks for a packet that resets a session and is encrypted (tls-crypt): opcode, the
// sender's session, and the packet's number, which begins with 1, or in version 2 of
// it with 0x0f000001. Those in the clear have a parser (package openvpn).
func openVPN(b []byte) bool {
	n := len(b)
	if n < 54 {
		return false
	}
	op, key := b[0]>>3, b[0]&7
	if key != 0 || op != 7 && op != 8 && op != 10 || be32(b[1:])|be32(b[5:]) == 0 {
		return false
	}
	return (be32(b[9:]) == 1 || be32(b[9:]) == 0x0f000001) && (n == 54 || op != 7)
}

// stun looks for a message with the magic cookie (RFC 8489 section 5).
func stun(b []byte) bool {
	return len(b) >= 20 && b[0] < 0x40 && be32(b[4:]) == 0x2112a442 && be16(b[2:])&3 == 0 && be16(b[2:]) <= len(b)-20
}
