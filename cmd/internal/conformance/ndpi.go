package conformance

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// ndpi is the peer whose flows are in peer/ndpi.tsv: its name of each flow's
// application protocol, and the JA3 that it computed. Of its JA4 only those of
// hellos with a server name are taken: it counts the others' wrong.
type ndpi struct {
	rows map[string][]map[string]string // by capture
}

func (*ndpi) tables() []string { return []string{"ndpi app_proto", "ndpi ja3"} }

// openNDPI reads the file below dir, the folder of the peers.
func openNDPI(dir string) (*ndpi, error) {
	rows, err := byCapture(filepath.Join(dir, "ndpi.tsv"))
	return &ndpi{rows}, err
}

// byCapture reads a file of the corpus that need not be there, and whose column
// name is the capture.
func byCapture(p string) (map[string][]map[string]string, error) {
	rows, err := optionalTSV(p)
	m := map[string][]map[string]string{}
	for _, r := range rows {
		m[r["name"]] = append(m[r["name"]], r)
	}
	return m, err
}

func (p *ndpi) views(c *Capture) []view {
	rows := p.rows[c.ID()]
	if rows == nil {
		return nil
	}
	return []view{{Options{NoTimeouts: true}, func(d *Dataset) ([]recordSet, error) {
		flows, err := d.Table("flows")
		if err != nil {
			return nil, err
		}
		tls, err := d.Table("tls")
		if err != nil {
			return nil, err
		}
		return []recordSet{ndpiNames(rows, flows), ndpiHellos(rows, tls)}, nil
	}}}
}

var ndpiNameKind = Kind{
	Name: "flow",
	Main: []string{"app_proto"},
	// A flow has several names where a protocol is within another, or a tuple was used twice.
	Same: func(_, t, o string, _, _ *Record) bool {
		for n := range strings.SplitSeq(t, "|") {
			if slices.Contains(strings.Split(o, "|"), n) {
				return true
			}
		}
		return false
	},
}

// ndpiNames lays the names of each tuple side by side. Of a flow that nDPI gave
// no name, or that of a service which it told by its address, it says nothing.
// Nor of a tuple without a byte of payload: there nDPI names a port, while
// app_proto is by definition what the payload is of. The names are counted apart:
// those of a port, where nDPI knows nothing of the payload, cannot be told from others.
func ndpiNames(rows []map[string]string, t *Table) recordSet {
	set := recordSet{table: "ndpi app_proto", kind: &ndpiNameKind, apart: true, partial: true}
	byGroup := func() (func(group, label string, names []string, raw map[string]string), func() []Record) {
		at := map[string]int{}
		var rs []Record
		return func(group, label string, names []string, raw map[string]string) {
			i, ok := at[group]
			if !ok {
				i = len(rs)
				at[group] = i
				rs = append(rs, Record{Group: group, Label: label, Main: []string{""}, Raw: raw})
			}
			for _, n := range names {
				if have := strings.Split(rs[i].Main[0], "|"); rs[i].Main[0] == "" {
					rs[i].Main[0] = n
				} else if !slices.Contains(have, n) {
					rs[i].Main[0] += "|" + n
				}
			}
		}, func() []Record { return rs }
	}
	spoke := map[string]bool{} // tuples with payload; false: without
	for i := range t.Len() {
		spoke[ourTuple(t, i)] = spoke[ourTuple(t, i)] || t.Int(i, "src_payload_bytes")+t.Int(i, "dst_payload_bytes") > 0
	}
	add, records := byGroup()
	for _, r := range rows {
		if !isIP(r["a_ip"]) || !isIP(r["b_ip"]) {
			continue // it shortens IPv6 addresses twice ("2600::5999::19::"): nobody knows which one it is
		}
		proto := strings.ToLower(r["proto"])
		tuple := proto + " " + pairOf(r["a_ip"], r["a_port"], r["b_ip"], r["b_port"])
		if v, ok := spoke[tuple]; ok && !v {
			continue
		}
		if names := ndpiProtocol(r["ndpi_proto"]); names != nil && (proto == "tcp" || proto == "udp") {
			add(tuple, r["ndpi_proto"], names, r)
		}
	}
	set.truth = records()
	add, records = byGroup()
	for i := range t.Len() {
		var names []string
		if n := t.Get(i, "app_proto"); n != "" {
			names = []string{n}
		}
		add(ourTuple(t, i), ourLabel(t, i, "flow"), names, nil)
	}
	set.ours = records()
	return set
}

// ourTuple names the tuple of flow i, whichever way round.
func ourTuple(t *Table, i int) string {
	return t.Get(i, "proto") + " " + pairOf(t.Get(i, "src_ip"), t.Get(i, "src_port"), t.Get(i, "dst_ip"), t.Get(i, "dst_port"))
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// ndpiProtocol returns what a name of nDPI ("91.26/TLS.ntop": a protocol, and
// the service that was found in it) is in app_proto, nil where it says nothing.
func ndpiProtocol(s string) []string {
	_, s, _ = strings.Cut(s, "/")
	var names []string
	for part := range strings.SplitSeq(s, ".") {
		if n := ndpiProtocols()[part]; n != "" {
			names = append(names, strings.Split(n, "|")...)
		}
	}
	return names
}

// ndpiProtocols maps nDPI's names of protocols that app_proto knows. FTP_DATA is not among
// them: it is told by the shape of a listing, or by another flow's commands. Nor is Teredo, which carries
// flows that are ours in its place.
func ndpiProtocols() map[string]string {
	return map[string]string{
		"AJP": "ajp13", "AMQP": "amqp", "BACnet": "bacnet", "BGP": "bgp", "BITCOIN": "bitcoin", "BitTorrent": "bittorrent",
		"CIP": "enip", "COAP": "coap", "CoAP": "coap", "Cassandra": "cassandra", "Ceph": "ceph", "DCERPC": "dcerpc", "DHCP": "dhcp",
		"DHCPV6": "dhcpv6", "DNP3": "dnp3", "DNS": "dns", "DNScrypt": "dnscrypt|dns", "DTLS": "dtls|stun", "Diameter": "diameter",
		"DoH_DoT": "tls|http|http2|quic", "Dropbox": "dropbox_lan_sync", "Elasticsearch": "elasticsearch", "FIX": "fix",
		"FTP_CONTROL": "ftp", "FTPS": "ftp|tls", "FastCGI": "fastcgi", "GTP": "gtp", "GTP_U": "gtp", "GTP_C": "gtp", "GTP_PRIME": "gtp", "Git": "git",
		"H323": "h323", "HART-IP": "hart_ip", "HSRP": "hsrp", "HTTP": "http|http2", "HTTP2": "http2", "HTTP_Connect": "http", "HTTP_Proxy": "http",
		"IEC60870": "iec104", "IMAP": "imap", "IMAPS": "tls|imap", "IPSec": "ike", "IRC": "irc", "JSON-RPC": "json_rpc",
		"KNXnet_IP": "knxnet_ip", "Kafka": "kafka", "Kerberos": "kerberos", "LDAP": "ldap|cldap", "LDP": "ldp", "LLMNR": "dns", "MDNS": "dns",
		"MGCP": "mgcp", "MQTT": "mqtt", "Megaco": "megaco", "Memcached": "memcached", "Mining": "stratum|json_rpc|bitcoin", "Modbus": "modbus",
		"MongoDB": "mongodb", "Monero": "monero", "MsSQL-TDS": "tds", "Munin": "munin", "MySQL": "mysql", "NFS": "nfs|sunrpc|portmap", "NTP": "ntp",
		"Nats": "nats", "NetBIOS": "netbios_ns|netbios_dgm|netbios_ssn|smb", "NetFlow": "netflow", "OPC-UA": "opcua", "OpenVPN": "openvpn",
		"Oracle": "oracle_tns", "POP3": "pop3", "POPS": "tls|pop3", "PPTP": "pptp", "PTPv2": "ptp", "PostgreSQL": "postgresql", "QUIC": "quic",
		"RADIUS": "radius", "RDP": "rdp", "RESP": "redis", "RMCP": "ipmi", "RSYNC": "rsync", "RTCP": "rtcp", "RTMP": "rtmp", "RTP": "rtp|stun",
		"RTSP": "rtsp", "Radius": "radius", "Redis": "redis", "Roughtime": "roughtime", "S7Comm": "s7comm", "S7CommPlus": "s7comm", "SIP": "sip",
		"SMBv1": "smb|netbios_ssn", "SMBv23": "smb|netbios_ssn", "SMPP": "smpp", "SMTP": "smtp", "SMTPS": "tls|smtp", "SNMP": "snmp", "SOCKS": "socks",
		"SOMEIP": "someip", "SRTP": "rtp|stun", "SSDP": "ssdp", "SSH": "ssh", "STOMP": "stomp", "STUN": "stun|dtls|rtp", "Service_Location_Protocol": "slp",
		"Source_Engine": "source_query", "Syncthing": "syncthing", "Syslog": "syslog", "TFTP": "tftp", "TLS": "tls", "TPLINK_SHP": "tplink_smart_home",
		"Telnet": "telnet", "Thrift": "thrift", "TuyaLP": "tuya", "Usenet": "nntp", "VNC": "vnc", "WebSocket": "http", "WhatsApp": "whatsapp|tls|quic",
		"Whois-DAS": "whois", "WireGuard": "wireguard", "XMPP": "xmpp", "Jabber": "xmpp", "Zabbix": "zabbix", "iSCSI": "iscsi",

		"BFD": "bfd", "Babel": "babel", "DoIP": "doip", "Finger": "finger", "Gnutella": "gnutella", "Lustre": "lustre", "NAT-PMP": "nat_pmp",
		"OpenFlow": "openflow", "PFCP": "pfcp",

		"ApplePush": "tls", "BeckhoffADS": "ads", "Controller_Area_Network": "can", "DRDA": "drda", "EtherSIO": "ether_sio", "IAX": "iax2",
		"LISP": "lisp", "NestLogSink": "weave", "OICQ": "oicq", "Spotify": "spotify|tls|http", "TRDP": "trdp", "Tailscale": "tailscale",
		"Telegram": "telegram|tls|http|stun", "WorldOfWarcraft": "world_of_warcraft", "Z3950": "z39.50", "ZUG": "zug", "eDonkey": "edonkey",
	}
}

var ndpiHelloKind = Kind{
	Name: "hello", Main: []string{"ja3", "ja3s", "ja4"}, More: []string{"sni"},
	// Of the ALPN, JA4 has the first and the last character (FoxIO's JA4.md,
	// "ALPN Extension Value"); nDPI has the first two, or 00. All else is compared.
	Same: func(column, t, o string, _, _ *Record) bool {
		const alpn = len("t13d1516")
		return column == "ja4" && len(t) == len(o) && len(t) > alpn+2 && t[:alpn] == o[:alpn] && t[alpn+2:] == o[alpn+2:]
	},
}

// ndpiHellos lays the fingerprints side by side. nDPI has those of a flow's
// first handshake, and leaves out what it did not see.
func ndpiHellos(rows []map[string]string, t *Table) recordSet {
	set := recordSet{table: "ndpi ja3", kind: &ndpiHelloKind, partial: true}
	known := func(s string) string {
		if s == "" {
			return Unknown
		}
		return s
	}
	for _, r := range rows {
		// A chosen cipher suite that it thinks weak is said behind the fingerprint.
		ja3s := strings.TrimSuffix(r["ja3s"], " (INSECURE)")
		if r["ja3"] == "" && ja3s == "" {
			continue
		}
		ja4, sni := known(r["ja4"]), known(strings.ToLower(r["hostname_sni"]))
		name := ndpiProtocol(r["ndpi_proto"])
		if r["hostname_sni"] == "" || len(name) == 0 || name[0] != "tls" && name[0] != "dtls" && name[0] != "quic" || strings.Contains(r["ndpi_proto"], "SMTP") {
			ja4, sni = Unknown, Unknown // the name may be another protocol's, as that in a greeting of SMTP
		}
		set.truth = append(set.truth, Record{
			Group: pairOf(r["a_ip"], r["a_port"], r["b_ip"], r["b_port"]), Label: r["ndpi_proto"], Raw: r,
			Main: []string{known(r["ja3"]), known(ja3s), ja4}, More: []string{sni},
		})
	}
	for i := range t.Len() {
		set.ours = append(set.ours, Record{
			Group: pairOf(t.Get(i, "src_ip"), t.Get(i, "src_port"), t.Get(i, "dst_ip"), t.Get(i, "dst_port")), Label: ourLabel(t, i, "handshake"), Row: i, Time: t.Int(i, "ts"),
			Main: []string{t.Get(i, "ja3"), t.Get(i, "ja3s"), t.Get(i, "ja4")}, More: []string{strings.ToLower(t.Get(i, "sni"))},
		})
	}
	return set
}
