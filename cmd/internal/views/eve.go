package views

// Suricata's EVE records, as DuckDB's read_json gives them: nested objects
// are structs, times are TIMESTAMP (UTC, microseconds).

func eveHead(ts, event, proto, app string) []column {
	return []column{
		{"timestamp", ts + "::TIMESTAMP", "time of the event, UTC"},
		{"flow_id", "flow_id", "flow_id of our tables"},
		{"in_iface", "NULL::VARCHAR", "always NULL"},
		{"event_type", "'" + event + "'", "kind of the record"},
		{"vlan", "NULL::INTEGER[]", "always NULL: join flows for it"},
		{"src_ip", "src_ip", "initiator"},
		{"src_port", "src_port", "its port"},
		{"dest_ip", "dst_ip", "responder"},
		{"dest_port", "dst_port", "its port"},
		{"proto", proto, "IP protocol by name"},
		{"ip_v", "CASE WHEN contains(src_ip, ':') THEN 6 ELSE 4 END", "4 or 6"},
		{"app_proto", app, "application protocol"},
		{"pcap_cnt", "last_packet", "number of the last packet in its capture"},
	}
}

func eveFlow() view {
	columns := eveHead("end_ts", "flow", "CASE proto WHEN 'ipv6-icmp' THEN 'IPv6-ICMP' ELSE upper(proto) END", `CASE app_proto
		WHEN 'kerberos' THEN 'krb5' WHEN 'postgresql' THEN 'pgsql' WHEN 'vnc' THEN 'rfb' WHEN 'llmnr' THEN 'dns' WHEN 'dtls' THEN 'tls' WHEN 'dhcpv6' THEN 'dhcp' ELSE app_proto END`)
	columns[4] = column{"vlan", "CASE WHEN inner_vlan_id IS NOT NULL THEN [vlan_id, inner_vlan_id] WHEN vlan_id IS NOT NULL THEN [vlan_id] END", "VLANs, outer first"}
	return view{"eve_flow", "Suricata's EVE records of event_type flow", "FROM flows", append(columns,
		column{"icmp_type", "icmp_type", "ICMP type"},
		column{"icmp_code", "icmp_code", "ICMP code"},
		column{"community_id", "community_id", "Community ID"},
		column{"flow", `{
			'pkts_toserver': src_packets, 'pkts_toclient': dst_packets,
			'bytes_toserver': src_wire_bytes, 'bytes_toclient': dst_wire_bytes,
			'start': ts::TIMESTAMP, 'end': end_ts::TIMESTAMP,
			'age': epoch_ns(end_ts) // 1000000000 - epoch_ns(ts) // 1000000000,
			'state': CASE
				WHEN proto <> 'tcp' OR state IS NULL THEN if(src_packets > 0 AND dst_packets > 0, 'established', 'new')
				WHEN state IN ('S1', 'S2', 'S3') THEN 'established'
				WHEN state IN ('SF', 'REJ', 'RSTO', 'RSTR', 'RSTOS0', 'RSTRH') THEN 'closed'
				ELSE 'new' END,
			'reason': CASE end_reason WHEN 'end_of_input' THEN 'shutdown' WHEN 'evicted' THEN 'forced' WHEN 'tuple_reuse' THEN 'tcp_reuse' ELSE 'timeout' END,
			'alerted': false,
			'tx_cnt': http_rows + tls_rows + dns_rows}`, "packets, bytes (on the wire), times, age in seconds, state, reason of the end; alerted is always false"},
		column{"tcp", `CASE WHEN proto = 'tcp' THEN {
			'tcp_flags': format('{:02x}', caplake_flags(coalesce(src_tcp_flags, '') || coalesce(dst_tcp_flags, ''))),
			'tcp_flags_ts': format('{:02x}', caplake_flags(coalesce(src_tcp_flags, ''))),
			'tcp_flags_tc': format('{:02x}', caplake_flags(coalesce(dst_tcp_flags, ''))),
			'syn': src_syn_packets + dst_syn_packets > 0, 'fin': src_fin_packets + dst_fin_packets > 0,
			'rst': src_rst_packets + dst_rst_packets > 0, 'psh': src_psh_packets + dst_psh_packets > 0,
			'ack': src_ack_packets + dst_ack_packets > 0, 'urg': src_urg_packets + dst_urg_packets > 0,
			'ecn': src_ece_packets + dst_ece_packets > 0, 'cwr': src_cwr_packets + dst_cwr_packets > 0,
			'state': CASE state WHEN 'S0' THEN 'syn_sent' WHEN 'S1' THEN 'established' WHEN 'S2' THEN 'fin_wait2' WHEN 'S3' THEN 'close_wait' WHEN 'OTH' THEN 'none' WHEN 'SH' THEN 'syn_sent' WHEN 'SHR' THEN 'none' ELSE 'closed' END,
			'ts_gap': src_gaps > 0, 'tc_gap': dst_gaps > 0} END`, "TCP: flags of both sides, to the server (ts) and to the client (tc) in hexadecimal, each flag, state, gaps"},
	)}
}

func eveHTTP() view {
	return view{"eve_http", "Suricata's EVE records of event_type http", "FROM http", append(eveHead("ts", "http", "'TCP'", "if(version = '2', 'http2', 'http')"),
		column{"tx_id", "trans_depth - 1", "number of the exchange in its flow, from 0"},
		column{"http", `{
			'hostname': lower(regexp_replace(host, ':[0-9]+$', '')),
			'http_port': TRY_CAST(regexp_extract(host, ':([0-9]+)$', 1) AS INTEGER),
			'url': target, 'http_user_agent': user_agent,
			'http_content_type': trim(split_part(response_content_type, ';', 1)),
			'http_refer': referer, 'http_method': method,
			'protocol': 'HTTP/' || coalesce(version, response_version),
			'status': status, 'redirect': location, 'length': coalesce(response_body_bytes, 0), 'xff': x_forwarded_for,
			'http2': CASE WHEN stream_id IS NOT NULL THEN {'stream_id': stream_id} END,
			'request_headers': request_headers, 'response_headers': response_headers}`, "the exchange; length is the response body's, header lists need convert --headers"},
	)}
}

func eveTLS() view {
	return view{"eve_tls", "Suricata's EVE records of event_type tls", "FROM tls LEFT JOIN (SELECT fingerprint_sha256, fingerprint_sha1 FROM certificates) ON fingerprint_sha256 = cert_fingerprints[1]",
		append(eveHead("ts", "tls", "if(transport = 'tcp', 'TCP', 'UDP')", "if(transport = 'quic', 'quic', 'tls')"),
			column{"tls", `{
			'subject': caplake_eve_name(subject), 'issuerdn': caplake_eve_name(issuer),
			'serial': caplake_colons(serial), 'fingerprint': caplake_colons(fingerprint_sha1),
			'sni': sni,
			'version': CASE
				WHEN version = 'TLSv1.0' THEN 'TLSv1'
				WHEN version LIKE 'TLSv1.3-draft%' THEN 'TLS 1.3 draft-' || substr(version, 14)
				WHEN version LIKE 'TLSv1.%' THEN 'TLS ' || substr(version, 5)
				WHEN version LIKE 'SSL%' THEN version
				WHEN version LIKE 'DTLSv%' THEN 'DTLS ' || substr(version, 6)
				ELSE 'UNDETERMINED' END,
			'notbefore': not_before::TIMESTAMP, 'notafter': not_after::TIMESTAMP,
			'subjectaltname': san_dns,
			'session_resumed': resumed, 
			'client_alpns': alpn_offered, 'server_alpns': CASE WHEN alpn IS NOT NULL THEN [alpn] END,
			'ja3': {'hash': ja3, 'string': ja3_string}, 'ja3s': {'hash': ja3s, 'string': ja3s_string}, 'ja4': ja4,
			'client_handshake': {'version': client_version, 'ciphers': client_ciphers, 'exts': client_extensions, 'sig_algs': signature_algorithms},
			'server_handshake': {'version': version, 'cipher': cipher_id, 'exts': server_extensions}}`, "the handshake; the strings of JA3 and JA3S need convert --fingerprints"},
		)}
}

func eveDNS() view {
	flags := `(is_response::INTEGER << 15) + (caplake_dns_opcode(opcode) << 11) + ((is_response AND aa)::INTEGER << 10) + ((is_response AND tc)::INTEGER << 9)
		+ (rd::INTEGER << 8) + ((is_response AND ra)::INTEGER << 7) + (z::INTEGER << 6) + ((ad)::INTEGER << 5) + (cd::INTEGER << 4)
		+ CASE WHEN is_response THEN caplake_dns_rcode(rcode) & 15 ELSE 0 END`
	return view{"eve_dns", "Suricata's EVE records of event_type dns, version 3: requests and responses are rows of their own", `FROM (
  SELECT *, false AS is_response FROM dns WHERE query_ts IS NOT NULL
  UNION ALL
  SELECT *, true FROM dns WHERE response_ts IS NOT NULL)`,
		append(eveHead("(CASE WHEN is_response THEN response_ts ELSE query_ts END)", "dns", "upper(transport)", "if(service = 'mdns', 'mdns', 'dns')"),
			column{"dns", `{
			'version': 3, 'type': if(is_response, 'response', 'request'), 'id': id, 'tx_id': NULL::BIGINT,
			'flags': format('{:x}', ` + flags + `),
			'qr': is_response, 'aa': is_response AND aa, 'tc': is_response AND tc, 'rd': rd, 'ra': is_response AND ra, 'z': z,
			'opcode': caplake_dns_opcode(opcode), 'rcode': if(is_response, rcode, NULL),
			'queries': CASE WHEN qname IS NOT NULL THEN [{'rrname': coalesce(qname_raw, qname), 'rrtype': qtype}] END,
			'answers': if(is_response, caplake_eve_records(answers), NULL),
			'authorities': if(is_response, caplake_eve_records(authorities), NULL),
			'additionals': if(is_response, caplake_eve_records(additionals), NULL),
			'grouped': if(is_response, {
				'A': [r.data for r in answers if r.type = 'A'], 'AAAA': [r.data for r in answers if r.type = 'AAAA'],
				'CNAME': [r.data for r in answers if r.type = 'CNAME'], 'MX': [r.data for r in answers if r.type = 'MX'],
				'NS': [r.data for r in answers if r.type = 'NS'], 'PTR': [r.data for r in answers if r.type = 'PTR'],
				'TXT': [r.data for r in answers if r.type = 'TXT']}, NULL)}`, "the message; flags are put together from the transaction's"},
		)}
}
