package compare

import (
	"slices"
	"strings"
)

// Class is a kind of difference.
type Class struct {
	Name string `json:"class"`
	// Explained: both sides are right by their own documented rules.
	Explained bool   `json:"explained"`
	Meaning   string `json:"meaning"`
}

// Classes returns every class, in the order of the report.
func Classes() []Class {
	return []Class{
		{"missing_here", false, "a flow of the log that the dataset does not have"},
		{"missing_there", false, "a flow of the dataset that the log does not have"},
		{"other_time", false, "a flow that one side alone has at that time, though the other has the tuple at another: a clock, or packets that one did not see"},
		{"packets", false, "another number of packets, for no reason known here"},
		{"bytes", false, "as many packets but other bytes, for no reason known here"},
		{"payload", false, "as many packets but another number of payload bytes, for no reason known here"},
		{"time", false, "as many packets but another first or last time"},
		{"state", false, "as many packets but another state (conn_state)"},
		{"history", false, "as many packets but another history"},
		{"vlan", false, "another VLAN"},
		{"service", false, "both name an application protocol, and not the same"},
		{"service_only_there", false, "the log names an application protocol, the dataset none"},
		{"event_missing_here", false, "an event of the log (of HTTP, TLS, DNS) that no row of the dataset is"},
		{"event_missing_there", false, "a row of the dataset of a kind that the log has, without an event"},
		{"event_differs", false, "an event and its row, of which a field differs"},
		{"event_unfinished", true, "a row of the dataset that says that the exchange or handshake was not finished, without an event: logs leave it out"},
		{"event_http2", true, "a row of HTTP/2, of which Zeek's http.log has nothing"},
		{"service_only_here", true, "the dataset names an application protocol, the log none"},
		{"timeout", true, "one side has several flows where the other has one: it was cut where nothing came for some time. Here: end_reason is idle_timeout or active_timeout. There: reason is timeout, or the next flow began a second or more after the last packet"},
		{"split", true, "one side has several flows where the other has one, cut at no pause: a close, a reused tuple, a bound of memory"},
		{"direction", true, "the two sides of the flow are the other way round: its first packets are missing, or came late"},
		{"duration_definition", true, "as many packets of TCP, but the log's flow ends earlier: Zeek's duration leaves out what follows the close"},
		{"payload_by_sequence", true, "the log counts payload by TCP sequence numbers: bytes sent again once, bytes that were not captured too; the dataset counts what the packets carry"},
		{"checksum", true, "packets with a wrong checksum, which the log leaves out: as many as are missing there, or its history has a C; or a log that did not look at them, whose history lacks the C alone. On a machine that sends, the network card computes it after the capture (checksum offload)"},
		{"fragments", true, "the log counts IP fragments, the dataset the datagrams that they make"},
		{"link_layer", true, "bytes with more or fewer of the headers below IP, padding and tunnels included"},
		{"community_id", true, "the log's Community ID is not that of its tuple with seed 0; flows are joined by the one that is"},
		{"protocol_not_logged", true, "a flow of the dataset of an IP protocol of which the log has no flow at all"},
		{"outside_log", true, "a flow or row of the dataset before the log begins or after it ends"},
		{"outside_dataset", true, "a flow or event of the log before the dataset begins or after it ends"},
	}
}

func explains(name string) bool {
	all := Classes()
	return all[slices.IndexFunc(all, func(c Class) bool { return c.Name == name })].Explained
}

// appNames returns what a log's name of application protocols, with commas
// where there are several, is in app_proto.
func appNames(s string) (names []string) {
	if s == "" {
		return nil
	}
	for n := range strings.SplitSeq(s, ",") {
		switch n {
		case "ssl":
			names = append(names, "tls", "dtls")
		case "krb", "krb_tcp", "krb5":
			names = append(names, "kerberos")
		case "dce_rpc", "dcerpc":
			names = append(names, "dcerpc")
		case "ikev2", "ipsec":
			names = append(names, "ike")
		case "spicy_ldap_tcp", "ldap_tcp", "spicy_ldap_udp", "ldap_udp":
			names = append(names, "ldap")
		case "bittorrent-dht":
			names = append(names, "bittorrent")
		case "enip_tcp", "enip_udp":
			names = append(names, "enip")
		case "http2":
			names = append(names, "http2", "http")
		default:
			names = append(names, n)
		}
	}
	return names
}
