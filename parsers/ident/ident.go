// Package ident tells by its first bytes which protocol a flow speaks that has
// no parser: the name alone, no messages.
//
// A verdict of Yes rests on content that another protocol would not have by
// accident: a magic number, a greeting with its words, a length that is exact
// along with fields that are in range. What is less is Maybe, and becomes a
// name only where the other side is as likely of the same protocol (Join), or
// where the caller says openly that a port decided (Port).
//
// Nothing is kept and nothing allocated: the caller asks with the first payload
// of a side, and again, if it wants, with the next.
package ident

import (
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// Protocol is an application protocol; the zero value is none.
type Protocol uint8

// The protocols. Those that are unexported stand for a choice among some,
// which the other side may settle.
const (
	None Protocol = iota
	ADB
	AJP
	AMQP
	Babel
	BACnet
	BFD
	BGP
	Bitcoin
	BitTorrent
	Cassandra
	Ceph
	CLDAP
	CoAP
	CUPS
	DCERPC
	DHCP
	DHCPv6
	Diameter
	DNP3
	DNSCrypt
	DoIP
	DropboxLAN
	Elasticsearch
	EtherNetIP
	FastCGI
	Finger
	FIX
	FTP
	FTPData
	Git
	Gnutella
	GTP
	H323
	HARTIP
	HSRP
	IEC104
	IKE
	IMAP
	IPFIX
	IPMI
	IRC
	ISCSI
	JSONRPC
	Kafka
	Kerberos
	KNX
	LDAP
	LDP
	Lustre
	Megaco
	Memcached
	MGCP
	Modbus
	Monero
	MongoDB
	MQTT
	Munin
	MySQL
	NATPMP
	NATS
	NBDGM
	NBNS
	NBSSN
	NetFlow
	NFS
	NNTP
	NTP
	OPCUA
	OpenFlow
	OpenVPN
	Oracle
	OSCAR
	PFCP
	POP3
	Portmap
	PostgreSQL
	PPTP
	PTP
	QUIC
	RADIUS
	RDP
	Redis
	RIP
	Roughtime
	Rsync
	RTCP
	RTMP
	RTP
	RTSP
	S7comm
	SFlow
	SIP
	SLP
	SMB
	SMPP
	SMTP
	SNMP
	SOMEIP
	SourceQuery
	SSDP
	SSH
	STOMP
	Stratum
	STUN
	SunRPC
	Synchrophasor
	Syncthing
	Syslog
	TACACS
	TDS
	Telnet
	Teredo
	TFTP
	Thrift
	Tuya
	VNC
	WhatsApp
	Whois
	WireGuard
	XMPP
	Zabbix
	ADS
	CAN
	DRDA
	EDonkey
	EtherSIO
	FBZero
	IAX
	LISP
	OICQ
	Spotify
	Tailscale
	Telegram
	TLS
	TRDP
	Weave
	WorldOfWarcraft
	Z3950
	ZUG

	ftpOrSMTP
	ftpOrPOP3
	quits // of all that are ended by the command QUIT
	quicAnswer
	numProtocols
)

var names = [numProtocols]string{
	ADB: "adb", AJP: "ajp13", AMQP: "amqp", BACnet: "bacnet", BGP: "bgp", Bitcoin: "bitcoin", BitTorrent: "bittorrent",
	Cassandra: "cassandra", Ceph: "ceph", CLDAP: "cldap", CoAP: "coap", DCERPC: "dcerpc", DHCP: "dhcp", DHCPv6: "dhcpv6", Diameter: "diameter",
	DNP3: "dnp3", DNSCrypt: "dnscrypt", DropboxLAN: "dropbox_lan_sync", Elasticsearch: "elasticsearch", EtherNetIP: "enip",
	FastCGI: "fastcgi", FIX: "fix", FTP: "ftp", Git: "git", GTP: "gtp", H323: "h323", HARTIP: "hart_ip", HSRP: "hsrp",
	IEC104: "iec104", IKE: "ike", IMAP: "imap", IPFIX: "ipfix", IPMI: "ipmi", IRC: "irc", ISCSI: "iscsi", JSONRPC: "json_rpc", Kafka: "kafka",
	Kerberos: "kerberos", KNX: "knxnet_ip", LDAP: "ldap", LDP: "ldp", Megaco: "megaco", Memcached: "memcached", MGCP: "mgcp",
	Modbus: "modbus", Monero: "monero", MongoDB: "mongodb", MQTT: "mqtt", Munin: "munin", MySQL: "mysql", NATS: "nats", NBDGM: "netbios_dgm",
	NBNS: "netbios_ns", NBSSN: "netbios_ssn", NetFlow: "netflow", NFS: "nfs", NNTP: "nntp", NTP: "ntp", OPCUA: "opcua",
	OpenVPN: "openvpn", Oracle: "oracle_tns", POP3: "pop3", Portmap: "portmap", PostgreSQL: "postgresql", PPTP: "pptp", PTP: "ptp",
	RADIUS: "radius", RDP: "rdp", Redis: "redis", RIP: "rip", Roughtime: "roughtime", Rsync: "rsync", RTCP: "rtcp", RTMP: "rtmp",
	RTP: "rtp", RTSP: "rtsp", S7comm: "s7comm", SFlow: "sflow", SIP: "sip", SLP: "slp", SMB: "smb", SMPP: "smpp", SMTP: "smtp",
	SNMP: "snmp", SOMEIP: "someip", SourceQuery: "source_query", SSDP: "ssdp", SSH: "ssh", STOMP: "stomp", Stratum: "stratum",
	STUN: "stun", SunRPC: "sunrpc", Synchrophasor: "synchrophasor", Syncthing: "syncthing", Syslog: "syslog", TACACS: "tacacs",
	TDS: "tds", Telnet: "telnet", TFTP: "tftp", Thrift: "thrift", Tuya: "tuya", VNC: "vnc", WhatsApp: "whatsapp", Whois: "whois",
	WireGuard: "wireguard", XMPP: "xmpp", Zabbix: "zabbix",

	Babel: "babel", BFD: "bfd", CUPS: "cups", DoIP: "doip", FBZero: "fb_zero", Finger: "finger", FTPData: "ftp_data", Gnutella: "gnutella",
	Lustre: "lustre", NATPMP: "nat_pmp", OpenFlow: "openflow", OSCAR: "oscar", PFCP: "pfcp", QUIC: "quic", Teredo: "teredo",

	ADS: "ads", CAN: "can", DRDA: "drda", EDonkey: "edonkey", EtherSIO: "ether_sio", IAX: "iax2", LISP: "lisp", OICQ: "oicq",
	Spotify: "spotify", Tailscale: "tailscale", Telegram: "telegram", TLS: "tls", TRDP: "trdp", Weave: "weave",
	WorldOfWarcraft: "world_of_warcraft", Z3950: "z39.50", ZUG: "zug",
}

// String returns the protocol's name in lower case, "" for None.
func (p Protocol) String() string { return names[p] }

// Stream names the protocol that a TCP stream speaks whose first bytes, or the
// first that were captured, are data. A protocol comes with Yes or Maybe. side
// is not much of a help, as which side opened a flow is not always known; both are asked about.
func Stream(data []byte, side flows.Side) (Protocol, parsers.Verdict) {
	if len(data) < 2 {
		return None, parsers.No
	}
	if c := data[0]; c >= 0x20 && c < 0x7f || c == '\r' || c == '\n' {
		if p, v := textStream(data); v != parsers.No {
			return p, v
		}
	}
	return binaryStream(data)
}

// Datagram names the protocol of a UDP datagram.
func Datagram(data []byte, side flows.Side) (Protocol, parsers.Verdict) {
	if len(data) < 4 {
		return None, parsers.No
	}
	if c := data[0]; c >= 0x20 && c < 0x7f {
		if p := textDatagram(data); p != None {
			return p, parsers.Yes
		}
	}
	return binaryDatagram(data)
}

// Join settles what the two sides of a flow say that are each Maybe of a
// protocol; None: nothing.
func Join(a, b Protocol) Protocol {
	if a > b {
		a, b = b, a
	}
	switch {
	case a == None:
		return None
	case a == b && b < ftpOrSMTP && !weak(a):
		return a
	case b == ftpOrSMTP && (a == FTP || a == SMTP):
		return a
	case b == ftpOrPOP3 && (a == FTP || a == POP3):
		return a
	case b == ftpOrPOP3 && a == ftpOrSMTP: // "220 ready", "USER me"
		return FTP
	case b == quits && (a == FTP || a == SMTP || a == POP3 || a == NNTP):
		return a
	}
	return None
}

// weak reports whether a Maybe of p is no more than a few bits, which two
// sides of anything else may have too.
func weak(p Protocol) bool {
	return p == NTP || p == CoAP || p == HSRP || p == LISP || p == QUIC
}

// Suits reports whether the sides of a flow, of which a and b are Maybe, can be of p, which a
// port is assigned to; both: payload of both was seen. One side is enough, but for
// QUIC, of whose packets behind the handshake two bits are all that can be told.
func Suits(p, a, b Protocol, both bool) bool {
	if p == QUIC && both {
		return (a == QUIC || b == QUIC) && (a == QUIC || a == quicAnswer) && (b == QUIC || b == quicAnswer)
	}
	return Fits(a, p) || Fits(b, p)
}

// Fits reports whether p, which may be a choice among some, can be q.
func Fits(p, q Protocol) bool { return q != None && (p == q || p != None && Join(q, p) == q) }
