package conformance

// Goals are what a run must reach on a corpus, whatever its captures are. Rows
// that a class of accepted differences covers are left aside.
func Goals() []Goal {
	goals := []Goal{
		{Line: "flows", Percent: 99.9}, // packets, bytes and payload of each side, VLAN, tunnel
		{Line: "flows", Column: "*", Percent: 99.9},
		{Line: "http", Percent: 99.5},
		{Line: "http", Column: "*", Percent: 99.5},
		{Line: "http", Column: "all", Percent: 99.5},
		{Line: "tls", Percent: 99.5},
		{Line: "tls", Column: "*", Percent: 99.5},
		{Line: "tls", Column: "all", Percent: 99.5},
		{Line: "tls", Column: "ja3", Percent: 100},
		{Line: "tls", Column: "ja3s", Percent: 100},
		{Line: "tls", Column: "ja4", Percent: 100},
		{Line: "tls (certificate messages)", Percent: 100}, // fingerprints
		{Line: "tls (dtls)", Percent: 95},
		{Line: "tls (quic)", Percent: 99.5},
		{Line: "ja4", Percent: 100},
		{Line: "community_id", Percent: 100},
		{Line: "arkime community_id", Percent: 100},
		{Line: "dns", Percent: 99.5},
		{Line: "dns", Column: "*", Percent: 99.5},
		{Line: "dns", Column: "all", Percent: 99.5},
		{Line: "zeek conn", Column: "conn_state", Percent: 97},
		{Line: "zeek conn", Column: "history", Percent: 97},
	}
	for _, c := range []string{"subject", "issuer", "not_valid_before", "not_valid_after", "san_dns", "san_ip", "san_email", "san_uri"} {
		goals = append(goals, Goal{Line: "zeek x509", Column: c, Percent: 100})
	}
	for _, c := range []string{"ja3", "ja3s", "ja4"} {
		goals = append(goals, Goal{Line: "ndpi ja3", Column: c, Percent: 100}, Goal{Line: "arkime tls", Column: c, Percent: 100})
	}
	return goals
}
