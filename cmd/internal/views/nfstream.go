package views

import "fmt"

// nfstream returns NFStream's columns, those of statistical_analysis and
// splt_analysis included, with bytes as of accounting_mode 1 (IP).
func nfstream() view {
	columns := []column{
		{"id", "f.flow_id", "flow_id of our tables, not a number in order"},
		{"expiration_id", "if(end_reason = 'active_timeout', 1, 0)", "0: idle or over; 1: active timeout"},
		{"src_ip", "src_ip", "initiator"},
		{"src_mac", "src_mac", "its MAC address"},
		{"src_oui", "left(src_mac, 8)", "its vendor's part"},
		{"src_port", "coalesce(src_port, 0)", "port; 0: none"},
		{"dst_ip", "dst_ip", "responder"},
		{"dst_mac", "dst_mac", "its MAC address"},
		{"dst_oui", "left(dst_mac, 8)", "its vendor's part"},
		{"dst_port", "coalesce(dst_port, 0)", "port; 0: none"},
		{"protocol", "ip_proto", "IP protocol number"},
		{"ip_version", "ip_version", "4 or 6"},
		{"vlan_id", "coalesce(vlan_id, 0)", "VLAN; 0: none"},
		{"tunnel_id", "CASE WHEN tunnel IS NULL THEN 0 WHEN tunnel[1] = 'gtpu' THEN 1 WHEN tunnel[1] = 'capwap' THEN 2 WHEN tunnel[1] = 'tzsp' THEN 3 ELSE 0 END", "0: none or another; 1: GTP; 2: CAPWAP; 3: TZSP"},
	}
	ms := func(ns string) string { return "(" + ns + ") // 1000000" }
	add := func(name, expr, doc string) { columns = append(columns, column{name, expr, doc}) }

	const both = "src_packets + dst_packets"
	add("bidirectional_first_seen_ms", "epoch_ms(ts)", "milliseconds since 1970")
	add("bidirectional_last_seen_ms", "epoch_ms(end_ts)", "milliseconds since 1970")
	add("bidirectional_duration_ms", "epoch_ms(end_ts) - epoch_ms(ts)", "milliseconds")
	add("bidirectional_packets", both, "packets")
	add("bidirectional_bytes", "src_bytes + dst_bytes", "IP bytes")
	// A side's span is the sum of the times between its packets. Where it begins is known
	// of who sent first, and of the SYN-ACK.
	for _, side := range []struct{ name, p, first string }{
		{"src2dst", "src", "CASE WHEN direction_basis <> 'syn_ack' THEN epoch_ns(ts) END"},
		{"dst2src", "dst", "CASE WHEN direction_basis = 'syn_ack' THEN epoch_ns(ts) ELSE epoch_ns(ts) + syn_to_synack_ns END"},
	} {
		span := fmt.Sprintf("coalesce(%[1]s_iat_mean_ns * (%[1]s_packets - 1), 0)", side.p)
		none := "CASE WHEN " + side.p + "_packets = 0 THEN 0 ELSE %s END"
		add(side.name+"_first_seen_ms", fmt.Sprintf(none, ms(side.first)), "milliseconds since 1970; 0: no packet; NULL: not kept")
		add(side.name+"_last_seen_ms", fmt.Sprintf(none, ms("("+side.first+") + "+span)), "milliseconds since 1970; 0: no packet; NULL: not kept")
		add(side.name+"_duration_ms", ms(span), "milliseconds")
		add(side.name+"_packets", side.p+"_packets", "packets")
		add(side.name+"_bytes", side.p+"_bytes", "IP bytes")
	}
	add("bidirectional_min_ps", "least(src_size_min_bytes, dst_size_min_bytes)", "IP bytes of the smallest packet")
	add("bidirectional_mean_ps", "(src_bytes + dst_bytes) / ("+both+")", "mean of IP bytes")
	// Both sides' sums of squares about their own means, moved to the common mean.
	const mean = "((src_bytes + dst_bytes) / (" + both + "))"
	add("bidirectional_stddev_ps", fmt.Sprintf(`CASE WHEN %[1]s > 1 THEN sqrt((
		coalesce(src_size_stddev_bytes ^ 2 * (src_packets - 1), 0) + coalesce(src_packets * (src_size_mean_bytes - %[2]s) ^ 2, 0) +
		coalesce(dst_size_stddev_bytes ^ 2 * (dst_packets - 1), 0) + coalesce(dst_packets * (dst_size_mean_bytes - %[2]s) ^ 2, 0)) / (%[1]s - 1)) ELSE 0 END`, both, mean), "sample standard deviation of IP bytes")
	add("bidirectional_max_ps", "greatest(src_size_max_bytes, dst_size_max_bytes)", "IP bytes of the largest packet")
	for _, side := range [][2]string{{"src2dst", "src"}, {"dst2src", "dst"}} {
		add(side[0]+"_min_ps", "coalesce("+side[1]+"_size_min_bytes, 0)", "IP bytes of the smallest packet")
		add(side[0]+"_mean_ps", "coalesce("+side[1]+"_size_mean_bytes, 0)", "mean of IP bytes")
		add(side[0]+"_stddev_ps", "coalesce("+side[1]+"_size_stddev_bytes, 0)", "sample standard deviation of IP bytes")
		add(side[0]+"_max_ps", "coalesce("+side[1]+"_size_max_bytes, 0)", "IP bytes of the largest packet")
	}
	add("bidirectional_min_piat_ms", "NULL::DOUBLE", "always NULL: kept for each side only")
	add("bidirectional_mean_piat_ms", "CASE WHEN "+both+" > 1 THEN duration_ns / 1e6 / ("+both+" - 1) ELSE 0 END", "mean time between packets")
	add("bidirectional_stddev_piat_ms", "NULL::DOUBLE", "always NULL: kept for each side only")
	add("bidirectional_max_piat_ms", "NULL::DOUBLE", "always NULL: kept for each side only")
	for _, side := range [][2]string{{"src2dst", "src"}, {"dst2src", "dst"}} {
		for _, s := range []string{"min", "mean", "stddev", "max"} {
			add(side[0]+"_"+s+"_piat_ms", "coalesce("+side[1]+"_iat_"+s+"_ns / 1e6, 0)", "time between packets of this side, "+s)
		}
	}
	flags := []string{"syn", "cwr", "ece", "urg", "ack", "psh", "rst", "fin"}
	for _, f := range flags {
		add("bidirectional_"+f+"_packets", fmt.Sprintf("coalesce(src_%[1]s_packets, 0) + coalesce(dst_%[1]s_packets, 0)", f), "packets with the flag")
	}
	for _, side := range [][2]string{{"src2dst", "src"}, {"dst2src", "dst"}} {
		for _, f := range flags {
			add(side[0]+"_"+f+"_packets", "coalesce("+side[1]+"_"+f+"_packets, 0)", "packets with the flag")
		}
	}
	add("splt_direction", "splt_direction", "first packets: 0 from src, 1 from dst; needs convert --splt, and is not filled up with -1")
	add("splt_ps", "splt_size_bytes", "their IP bytes")
	add("splt_piat_ms", "[ns // 1000000 for ns in splt_iat_ns]", "time since the packet before")
	add("application_name", "CASE app_proto WHEN 'kerberos' THEN 'Kerberos' WHEN 'netflow' THEN 'NetFlow' WHEN 'postgresql' THEN 'PostgreSQL' WHEN 'mysql' THEN 'MySQL' ELSE coalesce(upper(app_proto), 'Unknown') END", "protocol by nDPI's name, without the service behind it; Unknown")
	add("application_category_name", "NULL::VARCHAR", "always NULL")
	add("application_is_guessed", "if(app_proto_basis = 'port', 1, 0)", "1: by the port")
	add("application_confidence", "CASE app_proto_basis WHEN 'payload' THEN 6 WHEN 'port' THEN 1 ELSE 0 END", "6: by content; 1: by port; 0: not known")
	add("requested_server_name", "coalesce(t.sni, h.host, d.qname)", "name asked for first: by TLS, HTTP or DNS")
	add("client_fingerprint", "t.ja3", "JA3")
	add("server_fingerprint", "t.ja3s", "JA3S")
	add("user_agent", "h.user_agent", "of the first HTTP request")
	add("content_type", "h.content_type", "of the first HTTP response")
	return view{"nfstream", "NFStream's flows", `FROM flows AS f
LEFT JOIN (SELECT flow_id, min_by(sni, ts) AS sni, min_by(ja3, ts) AS ja3, min_by(ja3s, ts) AS ja3s FROM tls GROUP BY flow_id) AS t ON t.flow_id = f.flow_id
LEFT JOIN (SELECT flow_id, min_by(host, ts) AS host, min_by(user_agent, ts) AS user_agent, min_by(response_content_type, ts) AS content_type FROM http GROUP BY flow_id) AS h ON h.flow_id = f.flow_id
LEFT JOIN (SELECT flow_id, min_by(qname, ts) AS qname FROM dns GROUP BY flow_id) AS d ON d.flow_id = f.flow_id`, columns}
}
