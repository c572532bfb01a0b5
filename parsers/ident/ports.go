package ident

import "github.com/caplake/caplake/flows"

// Port returns the protocol that IANA assigned a well-known port to, or None,
// and whether its content is looked at: then bytes that are not of it speak
// against it.
//
// https://www.iana.org/assignments/service-names-port-numbers
func Port(proto uint8, port uint16) (p Protocol, looked bool) {
	if proto == flows.ProtoTCP {
		p = tcpPort(port)
	} else if proto == flows.ProtoUDP {
		p = udpPort(port)
	}
	return p, p != None && p != Whois && p != Finger && p != FTPData
}

func tcpPort(port uint16) Protocol {
	switch port {
	case 20:
		return FTPData
	case 21:
		return FTP
	case 22:
		return SSH
	case 23:
		return Telnet
	case 25, 587:
		return SMTP
	case 43:
		return Whois
	case 79:
		return Finger
	case 88:
		return Kerberos
	case 102:
		return S7comm
	case 110:
		return POP3
	case 111:
		return Portmap
	case 119:
		return NNTP
	case 139:
		return NBSSN
	case 143:
		return IMAP
	case 179:
		return BGP
	case 389:
		return LDAP
	case 445:
		return SMB
	case 502:
		return Modbus
	case 554:
		return RTSP
	case 646:
		return LDP
	case 873:
		return Rsync
	case 1433:
		return TDS
	case 1723:
		return PPTP
	case 1883:
		return MQTT
	case 1935:
		return RTMP
	case 2049:
		return NFS
	case 2404:
		return IEC104
	case 3260:
		return ISCSI
	case 3306:
		return MySQL
	case 3389:
		return RDP
	case 5060:
		return SIP
	case 5222, 5269:
		return XMPP
	case 5432:
		return PostgreSQL
	case 5672:
		return AMQP
	case 5900:
		return VNC
	case 6379:
		return Redis
	case 6667:
		return IRC
	case 6633, 6653: // the first is what it had before it was assigned one
		return OpenFlow
	case 9418:
		return Git
	case 11211:
		return Memcached
	case 20000:
		return DNP3
	case 44818:
		return EtherNetIP
	}
	return None
}

func udpPort(port uint16) Protocol {
	switch port {
	case 67, 68:
		return DHCP
	case 69:
		return TFTP
	case 88:
		return Kerberos
	case 111:
		return Portmap
	case 123:
		return NTP
	case 137:
		return NBNS
	case 138:
		return NBDGM
	case 161, 162:
		return SNMP
	case 319, 320:
		return PTP
	case 443:
		return QUIC
	case 500:
		return IKE
	case 514:
		return Syslog
	case 520:
		return RIP
	case 546, 547:
		return DHCPv6
	case 1194:
		return OpenVPN
	case 1812, 1813:
		return RADIUS
	case 1900:
		return SSDP
	case 1985:
		return HSRP
	case 2029:
		return HSRP
	case 3478:
		return STUN
	case 4342:
		return LISP
	case 5060:
		return SIP
	case 5683:
		return CoAP
	case 6343:
		return SFlow
	case 6881, 6882, 6883, 6884, 6885, 6886, 6887, 6888, 6889: // not assigned, but BEP 3 says so
		return BitTorrent
	case 47808:
		return BACnet
	}
	return None
}
