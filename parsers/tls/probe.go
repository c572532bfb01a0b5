package tls

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// probeRecords bounds how many records Probe follows to see the first bytes
// of a hello that is cut into tiny ones.
const probeRecords = 8

// Probe looks at the first bytes of a side. They are TLS if they begin with
// a record that holds a ClientHello, a ServerHello or an alert, with versions
// and lengths that agree; with a Certificate whose lengths do, where the capture
// begins behind the hellos; or with a hello in the form of SSLv2 whose lengths
// add up. Ports and side play no part, as either side can be the client.
func Probe(data []byte, side flows.Side) parsers.Verdict {
	if len(data) == 0 {
		return parsers.Maybe
	}
	switch data[0] {
	case recordHandshake:
		return probeHandshake(data)
	case recordAlert:
		return probeAlert(data)
	}
	if data[0]&0x80 != 0 {
		return probeSSLv2(data)
	}
	return parsers.No
}

// probeHeader checks a record header as far as data goes.
func probeHeader(data []byte, typ byte, most int) (n int, v parsers.Verdict) {
	for i, b := range data[:min(len(data), 3)] {
		if i == 0 && b != typ || i == 1 && b != 3 || i == 2 && b > 4 {
			return 0, parsers.No
		}
	}
	if len(data) < 5 {
		return 0, parsers.Maybe
	}
	n = int(data[3])<<8 | int(data[4])
	if n == 0 || n > most {
		return 0, parsers.No
	}
	return n, parsers.Yes
}

func probeAlert(data []byte) parsers.Verdict {
	n, v := probeHeader(data, recordAlert, 2)
	if v != parsers.Yes {
		return v
	}
	if n != 2 || len(data) > 5 && data[5] != AlertWarning && data[5] != AlertFatal {
		return parsers.No
	}
	if len(data) < 7 {
		return parsers.Maybe
	}
	if name := AlertName(data[6]); name[0] < 'a' { // a number: not registered
		return parsers.No
	}
	return parsers.Yes
}

func probeHandshake(data []byte) parsers.Verdict {
	if len(data) > 5 && data[5] == typeCertificate {
		return probeCertificate(data)
	}
	var hello [6]byte // type, length and version of the message
	have := 0
	for range probeRecords {
		n, v := probeHeader(data, recordHandshake, maxRecord)
		if v != parsers.Yes {
			return v
		}
		body := data[5:min(len(data), 5+n)]
		have += copy(hello[have:], body)
		if !plausibleHello(hello[:have]) {
			return parsers.No
		}
		if have == len(hello) {
			return parsers.Yes
		}
		if len(body) < n {
			return parsers.Maybe
		}
		data = data[5+n:]
	}
	return parsers.No
}

// probeCertificate checks a Certificate message that a record begins with (RFC
// 5246 section 7.4.2): the lengths of message, list and first certificate nest,
// and the certificate is a DER sequence of just its length.
func probeCertificate(data []byte) parsers.Verdict {
	const most = 1 << 17
	n, v := probeHeader(data, recordHandshake, maxRecord)
	if v != parsers.Yes || n < 14 {
		return v
	}
	b := data[5:]
	if len(b) < 14 {
		return parsers.Maybe
	}
	u24 := func(i int) int { return int(b[i])<<16 | int(b[i+1])<<8 | int(b[i+2]) }
	message, list, cert := u24(1), u24(4), u24(7)
	if message > most || list != message-3 || cert > list-3 || cert < 4 ||
		b[10] != 0x30 || b[11] != 0x82 || int(b[12])<<8|int(b[13]) != cert-4 {
		return parsers.No
	}
	return parsers.Yes
}

// plausibleHello checks the beginning of a ClientHello or ServerHello.
func plausibleHello(b []byte) bool {
	if len(b) >= 1 && b[0] != typeClientHello && b[0] != typeServerHello {
		return false
	}
	if len(b) >= 4 {
		// At least version, random and the smallest of what follows; at most
		// what no real hello comes near.
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if n < 38 || n > 1<<17 {
			return false
		}
	}
	if len(b) >= 5 && b[4] != 3 && b[4] != 0x7f {
		return false
	}
	return len(b) < 6 || b[4] == 0x7f || b[5] <= 4
}

// probeSSLv2 checks the lengths of an SSLv2 hello's head against each other.
func probeSSLv2(data []byte) parsers.Verdict {
	if len(data) < 3 {
		return parsers.Maybe
	}
	n := int(data[0]&0x7f)<<8 | int(data[1])
	if data[2] != 1 && data[2] != 4 {
		return parsers.No
	}
	if len(data) < 11 {
		return parsers.Maybe
	}
	u16 := func(i int) int { return int(data[i])<<8 | int(data[i+1]) }
	if data[2] == 1 { // version, lengths of ciphers, session id, challenge
		version, ciphers, session, challenge := u16(3), u16(5), u16(7), u16(9)
		if version != VersionSSL2 && (version < VersionSSL3 || version > VersionTLS13) ||
			ciphers == 0 || ciphers%3 != 0 || session != 0 && session != 16 ||
			challenge < 16 || challenge > 32 || n != 9+ciphers+session+challenge {
			return parsers.No
		}
		return parsers.Yes
	}
	// Session id hit, certificate type, version, lengths of certificate,
	// ciphers, connection id.
	if data[3] > 1 || u16(5) != VersionSSL2 {
		return parsers.No
	}
	if len(data) < 13 {
		return parsers.Maybe
	}
	if n != 11+u16(7)+u16(9)+u16(11) || u16(9)%3 != 0 || u16(11) > 32 {
		return parsers.No
	}
	return parsers.Yes
}
