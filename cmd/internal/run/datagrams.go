package run

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers/quic"
	"github.com/caplake/caplake/parsers/tls"
	"github.com/caplake/caplake/schema"
)

// quicProtocol is the entry of QUIC. Its messages hold TLS messages as bytes,
// since no parser may know of another: here, and in schema.AppendQUIC, the two
// meet.
func quicProtocol(options schema.TLSOptions) protocol {
	return protocol{
		name:     "quic",
		datagram: byPayload(quic.Probe),
		begins:   quic.Begins,
		newDatagram: func() datagramSession {
			hellos := new(tls.Parser)
			return &datagram[quic.Handshake]{
				parser: new(quic.Parser),
				row: func(s *sessions, f *flows.Flow, row *schema.Session, m *quic.Handshake) {
					n := len(s.out.tls.rows)
					s.out.tls.rows = schema.AppendQUIC(s.out.tls.rows, m, hellos, row, &s.arena, options)
					if len(s.out.tls.rows) > n {
						s.out.tls.key(s.at)
						f.User[userHTTP] += 1 << 32
					}
				},
			}
		},
	}
}

// dtlsProtocol is the entry of DTLS.
func dtlsProtocol(options schema.TLSOptions) protocol {
	return protocol{
		name:     "dtls",
		datagram: byPayload(tls.ProbeDatagram),
		begins:   tls.BeginsDatagram,
		newDatagram: func() datagramSession {
			return &datagram[tls.Handshake]{
				parser: new(tls.Datagrams),
				row: func(s *sessions, f *flows.Flow, row *schema.Session, m *tls.Handshake) {
					s.out.tls.rows = schema.AppendTLS(s.out.tls.rows, m, row, &s.arena, s.certs, options)
					s.out.tls.key(s.at)
					s.sightings.note(m, row, s.certs)
					f.User[userHTTP] += 1 << 32
				},
			}
		},
	}
}

// stun reports whether a datagram is a message of STUN (RFC 8489 section 5),
// which finds the way for a handshake of DTLS that follows in the same flow.
func stun(data []byte) bool {
	return len(data) >= 20 && data[0] < 4 && data[4] == 0x21 && data[5] == 0x12 && data[6] == 0xa4 && data[7] == 0x42
}
