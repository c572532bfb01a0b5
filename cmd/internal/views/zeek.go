package views

import (
	"fmt"
	"strings"

	"github.com/caplake/caplake/parsers/dns"
)

// Zeek's columns, in the order and with the names of its logs; times as in its
// JSON logs, seconds since 1970 in a DOUBLE. Some that its policy scripts add
// follow, and flow_id last, which leads back to our tables.

func macros() []macro {
	return []macro{
		{"caplake_uid", "flow_id", "format('C{:016x}', flow_id)"},
		{"caplake_seconds", "ts", "epoch_ns(ts) / 1e9"},
		// Special-purpose addresses (RFC 6890): what Zeek takes for local without being told.
		{"caplake_local", "ip", `regexp_matches(ip, '^(0\.|10\.|127\.|192\.168\.|169\.254\.|192\.0\.[02]\.|198\.1[89]\.|198\.51\.100\.|203\.0\.113\.|172\.(1[6-9]|2[0-9]|3[01])\.|100\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])\.|2[45][0-9]\.|224\.0\.0\.|2001:(:|[0-9a-f]{1,2}:|1[0-9a-f]{2}:)|f[cd][0-9a-f][0-9a-f]:|fe[89ab][0-9a-f]:|100::|2001:db8:|::1?$)')`},
		{"caplake_zeek_name", "name", `regexp_replace(name, '(^|,)STREET=', '\1street=', 'g')`},
		{"caplake_dns_type", "name", number("name", "TYPE", dns.TypeName)},
		{"caplake_dns_class", "name", number("name", "CLASS", dns.ClassName)},
		{"caplake_dns_rcode", "name", number("name", "RCODE", dns.RcodeName)},
		{"caplake_dns_opcode", "name", number("name", "OPCODE", func(n uint16) string {
			if n > 15 {
				return ""
			}
			return dns.OpcodeName(uint8(n))
		})},
		{"caplake_strings", "text", `regexp_extract_all(text, '"((?:[^"\\]|\\.)*)"', 1)`},
		{"caplake_zeek_answer", "r", `CASE r.type
    WHEN 'MX' THEN lower(split_part(r.data, ' ', 2))
    WHEN 'SRV' THEN lower(split_part(r.data, ' ', 4))
    WHEN 'SOA' THEN lower(split_part(r.data, ' ', 1))
    WHEN 'TXT' THEN array_to_string([format('TXT {} {}', length(s), s) for s in caplake_strings(r.data)], ' ')
    WHEN 'SPF' THEN array_to_string([format('SPF {} {}', length(s), s) for s in caplake_strings(r.data)], ' ')
    WHEN 'DNSKEY' THEN 'DNSKEY ' || split_part(r.data, ' ', 3)
    WHEN 'DS' THEN 'DS ' || split_part(r.data, ' ', 2) || ' ' || split_part(r.data, ' ', 3)
    WHEN 'RRSIG' THEN 'RRSIG ' || caplake_dns_type(split_part(r.data, ' ', 1)) || ' ' || lower(split_part(r.data, ' ', 8))
    WHEN 'SSHFP' THEN 'SSHFP: ' || lower(split_part(r.data, ' ', 3))
    WHEN 'NSEC' THEN 'NSEC ' || lower(r.name) || ' ' || lower(split_part(r.data, ' ', 1))
    WHEN 'NSEC3' THEN 'NSEC3'
    WHEN 'NSEC3PARAM' THEN 'NSEC3PARAM'
    WHEN 'CNAME' THEN lower(r.data) WHEN 'NS' THEN lower(r.data) WHEN 'PTR' THEN lower(r.data)
    ELSE r.data END`},
		{"caplake_flags", "letters", `list_sum([CASE WHEN contains(letters, f.l) THEN f.v ELSE 0 END for f in
    [{'l': 'F', 'v': 1}, {'l': 'S', 'v': 2}, {'l': 'R', 'v': 4}, {'l': 'P', 'v': 8}, {'l': 'A', 'v': 16}, {'l': 'U', 'v': 32}, {'l': 'E', 'v': 64}, {'l': 'C', 'v': 128}]])::INTEGER`},
		{"caplake_eve_name", "name", `array_to_string(list_reverse(regexp_extract_all(name, '(?:\\.|[^,\\])+')), ', ')`},
		{"caplake_colons", "hex", `rtrim(regexp_replace(CASE WHEN length(hex) % 2 = 1 THEN '0' ELSE '' END || hex, '(..)', '\1:', 'g'), ':')`},
		{"caplake_eve_records", "records", `[{'rrname': r.name, 'rrtype': r.type, 'ttl': r.ttl, 'rdata': r.data} for r in records]`},
	}
}

// number returns an expression that turns a name of a registry, or prefix and
// number, into the number.
func number(arg, prefix string, name func(uint16) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CASE %s", arg)
	for n := range 1 << 16 {
		if s := name(uint16(n)); s != "" {
			fmt.Fprintf(&b, " WHEN '%s' THEN %d", s, n)
		}
	}
	fmt.Fprintf(&b, " ELSE TRY_CAST(substr(%s, %d) AS INTEGER) END", arg, len(prefix)+1)
	return b.String()
}

// zeekID returns the columns that all of Zeek's logs of traffic begin with.
func zeekID(ts string) []column {
	return []column{
		{"ts", "caplake_seconds(" + ts + ")", "seconds since 1970, as in JSON logs; to_timestamp(ts) makes a time of it"},
		{"uid", "caplake_uid(flow_id)", "C and flow_id in hexadecimal: stable, and of the same length in all rows"},
		{"id.orig_h", "src_ip", "initiator"},
		{"id.orig_p", "src_port", "its port"},
		{"id.resp_h", "dst_ip", "responder"},
		{"id.resp_p", "dst_port", "its port"},
	}
}

func flowID() column { return column{"flow_id", "flow_id", "not Zeek's: flow_id of our tables"} }

func zeekConn() view {
	return view{"zeek_conn", "Zeek's conn.log", "FROM flows", append(append(zeekID("ts")[:2],
		column{"id.orig_h", "src_ip", "initiator"},
		column{"id.orig_p", "CASE WHEN proto IN ('tcp', 'udp') THEN src_port ELSE coalesce(icmp_type, 0) END", "its port; ICMP: type; others: 0"},
		column{"id.resp_h", "dst_ip", "responder"},
		column{"id.resp_p", `coalesce(CASE
			WHEN proto IN ('tcp', 'udp') THEN dst_port
			WHEN ip_proto = 1 THEN CASE icmp_type WHEN 8 THEN 0 WHEN 0 THEN 8 WHEN 13 THEN 14 WHEN 14 THEN 13 WHEN 15 THEN 16 WHEN 16 THEN 15 WHEN 10 THEN 9 WHEN 9 THEN 10 WHEN 17 THEN 18 WHEN 18 THEN 17 ELSE icmp_code END
			WHEN ip_proto = 58 THEN CASE icmp_type WHEN 128 THEN 129 WHEN 129 THEN 128 WHEN 130 THEN 131 WHEN 131 THEN 130 WHEN 133 THEN 134 WHEN 134 THEN 133 WHEN 135 THEN 136 WHEN 136 THEN 135 WHEN 139 THEN 140 WHEN 140 THEN 139 WHEN 144 THEN 145 WHEN 145 THEN 144 ELSE icmp_code END
			END, 0)`, "its port; ICMP: type of the answer, or code where the type has none; others: 0"},
		column{"proto", "CASE WHEN proto IN ('tcp', 'udp') THEN proto WHEN ip_proto IN (1, 58) THEN 'icmp' ELSE 'unknown_transport' END", "tcp, udp, icmp or unknown_transport"},
		column{"service", `nullif(concat_ws(',',
			CASE WHEN http_rows > 0 AND app_proto NOT IN ('http', 'http2') THEN 'http' END,
			CASE app_proto
			WHEN 'tls' THEN 'ssl' WHEN 'quic' THEN 'quic,ssl' WHEN 'dtls' THEN 'ssl' WHEN 'mdns' THEN 'dns' WHEN 'llmnr' THEN 'dns' WHEN 'netbios_ns' THEN 'dns' WHEN 'kerberos' THEN if(proto = 'tcp', 'krb_tcp', 'krb')
			WHEN 'ldap' THEN if(proto = 'tcp', 'ldap_tcp', 'ldap_udp') WHEN 'cldap' THEN 'ldap_udp' WHEN 'gtp' THEN 'gtpv1' WHEN 'dcerpc' THEN 'dce_rpc' WHEN 'vnc' THEN 'rfb'
			ELSE app_proto END,
			CASE WHEN tls_rows > 0 AND app_proto NOT IN ('tls', 'quic', 'dtls') THEN 'ssl' END), '')`, "application protocols by Zeek's names, those that a table here or app_proto knows"},
		column{"duration", "CASE WHEN duration_ns > 0 THEN duration_ns / 1e9 END", "seconds; to the last packet, where Zeek leaves out trailing packets without payload"},
		column{"orig_bytes", "CASE WHEN duration_ns > 0 THEN src_payload_bytes - coalesce(src_retransmitted_bytes, 0) + coalesce(src_gap_bytes, 0) END", "payload of the initiator: counted once, bytes that were not captured included"},
		column{"resp_bytes", "CASE WHEN duration_ns > 0 THEN dst_payload_bytes - coalesce(dst_retransmitted_bytes, 0) + coalesce(dst_gap_bytes, 0) END", "same of the responder"},
		column{"conn_state", "state", "state at the end"},
		column{"local_orig", "caplake_local(src_ip)", "whether the initiator's address is a private one, which is what Zeek takes for local without being told"},
		column{"local_resp", "caplake_local(dst_ip)", "same of the responder"},
		column{"missed_bytes", "coalesce(src_gap_bytes, 0) + coalesce(dst_gap_bytes, 0)", "bytes of the streams that were not captured"},
		column{"history", "history", "what happened, in letters"},
		column{"orig_pkts", "src_packets", "packets of the initiator"},
		column{"orig_ip_bytes", "src_bytes", "their bytes by the IP headers"},
		column{"resp_pkts", "dst_packets", "packets of the responder"},
		column{"resp_ip_bytes", "dst_bytes", "their bytes by the IP headers"},
		column{"tunnel_parents", "NULL::VARCHAR[]", "always NULL: a tunnel is no flow here, see tunnel of table flows"},
		column{"ip_proto", "ip_proto", "IP protocol number"},
		column{"community_id", "community_id", "Community ID (policy script)"},
		column{"orig_l2_addr", "src_mac", "MAC address (policy script)"},
		column{"resp_l2_addr", "dst_mac", "MAC address (policy script)"},
		column{"vlan", "vlan_id", "VLAN (policy script)"},
		column{"inner_vlan", "inner_vlan_id", "inner VLAN (policy script)"},
		column{"ip_proto_name", "CASE WHEN ip_proto = 58 THEN 'icmp6' ELSE proto END", "IP protocol by name (policy script)"},
	), flowID())}
}

func zeekHTTP() view {
	return view{"zeek_http", "Zeek's http.log", "FROM http", append(append(zeekID("ts"),
		column{"trans_depth", "trans_depth", "number of the exchange in its connection"},
		column{"method", "method", "request method"},
		column{"host", "host", "field Host"},
		column{"uri", "url_decode(target)", "request target, percent-decoded"},
		column{"referrer", "referer", "field Referer"},
		column{"version", "coalesce(response_version, version)", "version of the response, or else of the request"},
		column{"user_agent", "user_agent", "field User-Agent"},
		column{"origin", "origin", "field Origin"},
		column{"request_body_len", "coalesce(request_body_bytes, 0)", "bytes of the request's body, content coding not removed, which Zeek removes"},
		column{"response_body_len", "coalesce(response_body_bytes, 0)", "bytes of the response's body, content coding not removed, which Zeek removes"},
		column{"status_code", "status", "status code"},
		column{"status_msg", "reason", "reason phrase"},
		column{"info_code", "informational[-1]", "last status code of 1xx"},
		column{"info_msg", "NULL::VARCHAR", "always NULL: not kept"},
		column{"tags", "[]::VARCHAR[]", "always empty"},
		column{"username", "username", "user of Basic credentials"},
		column{"password", "NULL::VARCHAR", "always NULL: passwords are not kept"},
		column{"proxied", `CASE WHEN request_headers IS NOT NULL THEN nullif([upper(h.name) || ' -> ' || h.value for h in request_headers if upper(h.name) IN ('FORWARDED', 'X-FORWARDED-FOR', 'X-FORWARDED-FROM', 'CLIENT-IP', 'VIA', 'XROXY-CONNECTION', 'PROXY-CONNECTION')], [])
			WHEN x_forwarded_for IS NOT NULL THEN ['X-FORWARDED-FOR -> ' || x_forwarded_for] END`, "fields of proxies; without convert --headers, X-Forwarded-For alone"},
		column{"orig_fuids", "NULL::VARCHAR[]", "always NULL: bodies are not kept"},
		column{"orig_filenames", "NULL::VARCHAR[]", "always NULL"},
		column{"orig_mime_types", "NULL::VARCHAR[]", "always NULL: Zeek tells them by content; see request_content_type of table http"},
		column{"resp_fuids", "NULL::VARCHAR[]", "always NULL"},
		column{"resp_filenames", "NULL::VARCHAR[]", "always NULL"},
		column{"resp_mime_types", "NULL::VARCHAR[]", "always NULL: Zeek tells them by content; see response_content_type of table http"},
		column{"client_header_names", "[upper(h.name) for h in request_headers]", "names of the request's fields (policy script); needs convert --headers"},
		column{"server_header_names", "[upper(h.name) for h in response_headers]", "names of the response's fields (policy script); needs convert --headers"},
	), flowID())}
}

func zeekSSL() view {
	version := `CASE
			WHEN %[1]s LIKE '0x%%' THEN 'unknown-' || (%[1]s::INTEGER)
			ELSE replace(replace(%[1]s, 'v1.', 'v1'), 'v10-', 'v1.0-') END`
	return view{"zeek_ssl", "Zeek's ssl.log", "FROM tls LEFT JOIN (SELECT fingerprint_sha256, subject, issuer FROM certificates) AS client ON client.fingerprint_sha256 = client_cert_fingerprints[1]", append(append(zeekID("ts"),
		column{"version", fmt.Sprintf(version, "version"), "negotiated version"},
		column{"cipher", "cipher", "chosen cipher suite"},
		column{"curve", "selected_group", "chosen group"},
		column{"server_name", "sni", "name that the client asked for"},
		column{"resumed", "coalesce(resumed, false)", "whether a session was resumed"},
		column{"last_alert", "coalesce(server_alert, client_alert)", "alert that was sent in the clear"},
		column{"next_protocol", "alpn", "application protocol that the server chose"},
		column{"established", "coalesce(established, false)", "whether the handshake came to its end; false also where the capture cannot say"},
		column{"ssl_history", "NULL::VARCHAR", "always NULL: not kept"},
		column{"cert_chain_fps", "cert_fingerprints", "SHA-256 of the server's certificates"},
		column{"client_cert_chain_fps", "CASE WHEN cert_fingerprints IS NOT NULL THEN coalesce(client_cert_fingerprints, []) ELSE client_cert_fingerprints END", "SHA-256 of the client's certificates; empty where the server alone sent some"},
		column{"subject", "caplake_zeek_name(tls.subject)", "subject of the server's certificate"},
		column{"issuer", "caplake_zeek_name(tls.issuer)", "its issuer"},
		column{"client_subject", "caplake_zeek_name(client.subject)", "subject of the client's certificate"},
		column{"client_issuer", "caplake_zeek_name(client.issuer)", "its issuer"},
		column{"sni_matches_cert", "sni_matches_cert", "whether the name asked for is one of the certificate's"},
		column{"ja3", "ja3", "JA3 (package)"},
		column{"ja3s", "ja3s", "JA3S (package)"},
		column{"ja4", "ja4", "JA4 (package)"},
	), flowID())}
}

func zeekX509() view {
	return view{"zeek_x509", "Zeek's x509.log, one row per certificate", "FROM certificates", []column{
		{"ts", "caplake_seconds(first_seen)", "seconds since 1970: first sighting"},
		{"fingerprint", "fingerprint_sha256", "SHA-256"},
		{"certificate.version", "version", "X.509 version"},
		{"certificate.serial", "serial", "serial number"},
		{"certificate.subject", "caplake_zeek_name(subject)", "subject"},
		{"certificate.issuer", "caplake_zeek_name(issuer)", "issuer"},
		{"certificate.not_valid_before", "caplake_seconds(not_before)", "begin of validity, seconds since 1970"},
		{"certificate.not_valid_after", "caplake_seconds(not_after)", "end of validity, seconds since 1970"},
		{"certificate.key_alg", "CASE key_type WHEN 'rsa' THEN 'rsaEncryption' WHEN 'ec' THEN 'id-ecPublicKey' WHEN 'rsa_pss' THEN 'rsassaPss' WHEN 'dsa' THEN 'dsaEncryption' WHEN 'ed25519' THEN 'ED25519' WHEN 'ed448' THEN 'ED448' WHEN 'dh' THEN 'dhKeyAgreement' ELSE key_type END", "algorithm of the key, by OpenSSL's name"},
		{"certificate.sig_alg", "signature_algorithm", "algorithm of the signature"},
		{"certificate.key_type", "CASE key_type WHEN 'ec' THEN 'ecdsa' WHEN 'rsa' THEN 'rsa' WHEN 'dsa' THEN 'dsa' WHEN 'rsa_pss' THEN 'rsa' ELSE 'unknown' END", "rsa, dsa, ecdsa or unknown"},
		{"certificate.key_length", "key_bits", "length of the key"},
		{"certificate.exponent", "NULL::VARCHAR", "always NULL: not kept"},
		{"certificate.curve", "CASE key_curve WHEN 'secp256r1' THEN 'prime256v1' WHEN 'secp192r1' THEN 'prime192v1' ELSE key_curve END", "curve, by OpenSSL's name"},
		{"san.dns", "san_dns", "alternative names"},
		{"san.uri", "san_uri", "URIs"},
		{"san.email", "san_email", "mail addresses"},
		{"san.ip", "san_ip", "addresses"},
		{"basic_constraints.ca", "is_ca", "whether it is an authority's; NULL: a certificate of version 1 or 2 does not say"},
		{"basic_constraints.path_len", "path_len", "path length"},
		{"host_cert", "fingerprint_sha256 IN (SELECT cert_fingerprints[1] FROM tls WHERE cert_fingerprints IS NOT NULL)", "whether a server sent it as its own"},
		{"client_cert", "fingerprint_sha256 IN (SELECT unnest(client_cert_fingerprints) FROM tls WHERE client_cert_fingerprints IS NOT NULL)", "whether a client sent it"},
		{"flow_id", "flow_id", "not Zeek's: flow_id of our tables"},
	}}
}

func zeekDNS() view {
	return view{"zeek_dns", "Zeek's dns.log", "FROM dns", append(append(zeekID("ts"),
		column{"proto", "transport", "udp or tcp"},
		column{"trans_id", "id", "identifier"},
		column{"rtt", "rtt_ns / 1e9", "seconds from query to response"},
		column{"query", "coalesce(qname, lower(answers[1].name))", "name asked for; of a response without question, that of its first answer"},
		column{"qclass", "CASE WHEN query_ts IS NOT NULL THEN caplake_dns_class(qclass) END", "class of the question, as a number; as with qtype, NULL where the query was not seen"},
		column{"qclass_name", "CASE WHEN query_ts IS NOT NULL THEN CASE qclass WHEN 'IN' THEN 'C_INTERNET' WHEN 'ANY' THEN 'C_ANY' WHEN 'NONE' THEN 'C_NONE' WHEN 'CH' THEN 'C_CHAOS' WHEN 'HS' THEN 'C_HESIOD' ELSE 'qclass-' || caplake_dns_class(qclass) END END", "class by Zeek's name"},
		column{"qtype", "CASE WHEN query_ts IS NOT NULL THEN caplake_dns_type(qtype) END", "type of the question, as a number"},
		column{"qtype_name", "CASE WHEN query_ts IS NOT NULL THEN CASE WHEN qtype = 'ANY' THEN '*' WHEN qtype LIKE 'TYPE%' THEN 'query-' || substr(qtype, 5) ELSE qtype END END", "type by name"},
		column{"rcode", "caplake_dns_rcode(rcode)", "response code; with the bits of EDNS, which Zeek leaves out"},
		column{"rcode_name", "rcode", "response code by name"},
		column{"AA", "coalesce(aa, false)", "authoritative answer"},
		column{"TC", "coalesce(tc, false)", "truncated"},
		column{"RD", "coalesce(rd, false)", "recursion desired"},
		column{"RA", "coalesce(ra, false)", "recursion available"},
		column{"Z", "coalesce(z, false)::INTEGER * 4 + coalesce(ad, false)::INTEGER * 2 + coalesce(cd, false)::INTEGER", "the reserved bit and what AD and CD took of the field since: 4, 2, 1"},
		column{"answers", "[caplake_zeek_answer(r) for r in answers]", "answers, as Zeek writes them"},
		column{"TTLs", "[r.ttl::DOUBLE for r in answers]", "their times to live, seconds"},
		column{"rejected", "coalesce(response_ts IS NOT NULL AND answer_count + authority_count + additional_count = 0, false)", "whether the response has no record at all"},
		column{"opcode", "caplake_dns_opcode(opcode)", "operation, as a number"},
		column{"opcode_name", "lower(opcode)", "operation by name"},
		column{"original_query", "coalesce(qname_raw, qname)", "name in the case of the wire (policy script)"},
	), flowID())}
}
