package schema

import (
	"strconv"

	"github.com/caplake/caplake/parsers/quic"
	"github.com/caplake/caplake/parsers/tls"
)

// AppendQUIC appends the row of a QUIC connection's handshake to the rows of
// the tls table. It brings two parsers together that know nothing of each
// other: q says what QUIC says and holds the bytes of the TLS messages, which
// hellos reads. hellos is the caller's, to be used again; nothing of it is
// kept. There is no row where no message of TLS was seen.
func AppendQUIC(dst []TLS, q *quic.Handshake, hellos *tls.Parser, s *Session, a *Arena, options TLSOptions) []TLS {
	var space [1]tls.Handshake
	client := q.ClientSide
	hellos.Messages(client, q.First, q.Crypto[client].Data)
	hellos.Messages(client.Other(), q.First, q.Crypto[client.Other()].Data)
	out := hellos.End(space[:0])
	if len(out) == 0 {
		hellos.Reset()
		return dst
	}
	m := &out[0]
	m.Transport, m.ClientSide = tls.QUIC, client
	m.First, m.Last, m.Done = q.First, q.Last, q.Done
	m.Oversize = m.Oversize || q.Oversize
	m.AfterGap = q.Crypto[0].Holes || q.Crypto[1].Holes
	if m.Malformed == "" {
		m.Malformed = q.Malformed
	}
	m.Outcome = tls.Incomplete
	closed := false
	for side := range q.Close {
		if description, ok := q.Close[side].Alert(); ok {
			// RFC 9001 section 4.8: the frame is in place of the alert, always fatal.
			m.Alerts[side] = tls.Alert{Seen: true, Level: tls.AlertFatal, Description: description}
			m.Outcome, m.Established = tls.Alerted, tls.No
		}
		closed = closed || q.Close[side].Seen
	}
	switch {
	case m.Outcome == tls.Alerted:
	case q.Established:
		m.Outcome, m.Established = tls.Established, tls.Yes
	case closed:
		m.Outcome, m.Established = tls.Closed, tls.No
	}
	dst = AppendTLS(dst, m, s, a, nil, options)
	hellos.Reset()

	r := &dst[len(dst)-1]
	var text [16]byte
	r.QUICVersion = a.String(appendQUICVersion(text[:0], q.Version))
	r.DCID, r.SCID, r.ServerSCID = tlsHex(a, q.DCID), tlsHex(a, q.ClientSCID), tlsHex(a, q.ServerSCID)
	r.QUICRetry = a.Bool(q.Retry)
	return dst
}

// appendQUICVersion appends a version as the tables name it.
func appendQUICVersion(dst []byte, v uint32) []byte {
	switch {
	case v == quic.Version1:
		return append(dst, '1')
	case v == quic.Version2:
		return append(dst, '2')
	case v>>8 == 0xff0000:
		return strconv.AppendUint(append(dst, "draft-"...), uint64(v&0xff), 10)
	}
	const digits = "0123456789abcdef"
	dst = append(dst, "0x"...)
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}
