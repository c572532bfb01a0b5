package ident

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
)

// h is bytes in hex, spaces ignored.
func h(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func zeros(n int) string { return strings.Repeat("\x00", n) }

// withLength puts the length of s, plus add, into the n bytes at offset o.
func withLength(s string, o, n, add int, order binary.AppendByteOrder) string {
	b := []byte(s)
	v := order.AppendUint64(nil, uint64(len(s)+add))
	if order == binary.LittleEndian {
		copy(b[o:o+n], v)
	} else {
		copy(b[o:o+n], v[8-n:])
	}
	return string(b)
}

func be(s string, o, n, add int) string { return withLength(s, o, n, add, binary.BigEndian) }
func le(s string, o, n, add int) string { return withLength(s, o, n, add, binary.LittleEndian) }

type sample struct {
	want    Protocol
	verdict parsers.Verdict
	data    string
}

func streams() []sample {
	const y, m = parsers.Yes, parsers.Maybe
	return []sample{
		{ADS, y, "\x00\x00" + h("20000000 050d75600101 1027 c0a801630101 0180 0100 0400 00000000 00000000 01000000")},
		{DoIP, y, h("02fd 0005 0000000b 0e80 00 00000000 00000000")},
		{FBZero, y, "1QTV0" + h("c6000000") + "CHLO"},
		{Gnutella, y, "GNUTELLA CONNECT/0.6\r\nUser-Agent: x\r\n\r\n"},
		{Kafka, y, be(h("00000000 0002 0000 00000000 ffff ffffffff 00000001"), 0, 4, -4)},
		{LISP, y, h("0014 000f 00000000 000000 9facade9")},
		{Lustre, y, h("0071ceac 01000000 8358a8c0 00000200")},
		{Lustre, y, "cirE" + h("03000000 8458a8c0 00000200")},
		{Lustre, y, h("c1000000") + zeros(20) + h("7758a8c0 00000200 7658a8c0 00000200") + zeros(48)},
		{OpenFlow, m, h("01 00 0008 0000004c")},
		{OpenFlow, m, h("04 00 0010 00000001 0001 0008 00000012")},
		{OSCAR, y, "*\x01" + h("198a 0004 00000001")},
		{TLS, y, h("15 0000 0002 01 00")},
		{Weave, y, h("3c00 1013 06000000 369e27000030b418 0300")},
		{None, parsers.No, h("15 0000 0002 03 00")},
		{None, parsers.No, h("02fd 0005 0200000b 0e80 00 00000000 00000000")},
		{None, parsers.No, h("02fc 0005 0000000b 0e80 00 00000000 00000000")},
		{None, parsers.No, h("0014 000f 00000000 000000 9facade8")},
		{None, parsers.No, "*\x01" + h("198a 0005 00000001")},
		{DRDA, y, h("0019 d041 0001 0013 1041 000f 115e 8482 f291 e2c1 d4d7 d3c5 00 00")},
		{EDonkey, y, "\xe3" + h("14000000 01 10") + strings.Repeat("h", 18)},
		{STUN, y, h("0014 0001 0000 2112a442 f3439453b698fb29f3439453")},
		{TLS, y, h("15 0301 0016") + strings.Repeat("x", 22)},
		{TLS, y, h("17 0303 0004") + "xxxx" + h("17 0303 0100") + "x"},
		{TLS, y, h("14 0303 0001 01 16 0303 0028") + strings.Repeat("x", 40)},
		{TLS, m, h("17 0303 0fe0 22e4d392")},
		{TRDP, y, h("00000000 0100 4d72 000003e9 00000000 00000000 00000000") + zeros(16)},
		{Weave, y, h("1102 0013 08030000 369e27000030b418 0400")},
		{WorldOfWarcraft, y, "0\x00WORLD OF WARCRAFT CONNECTION - SERVER TO CLIENT\x00"},
		{Z3950, y, h("b4 12 8302 00e0 8403 00c1a2 8504 04000000 8601 01")},
		{ADB, y, "CNXN\x00\x00\x00\x01\x00\x00\x04\x00\x07\x00\x00\x00\x32\x02\x00\x00" + h("bcb1a7b1") + "host::\x00"},
		{ADB, y, "000chost:version"},
		{AJP, y, be(h("1234 0000 02 02")+"\x00\x08HTTP/1.1", 2, 2, -4)},
		{AJP, y, be("AB\x00\x00\x04\x00\xc8\x00\x02OK", 2, 2, -4)},
		{AMQP, y, "AMQP\x00\x00\x09\x01"},
		{BGP, y, strings.Repeat("\xff", 16) + "\x00\x1d\x01\x04\xfd\xe8\x00\xb4\x0a\x00\x00\x01\x00"},
		{Bitcoin, y, "\xf9\xbe\xb4\xd9version\x00\x00\x00\x00\x00" + zeros(20)},
		{BitTorrent, y, "\x13BitTorrent protocol" + zeros(48)},
		{Cassandra, y, h("04 00 0001 05 00000000")},
		{Ceph, y, "ceph v027"},
		{DCERPC, y, le(h("05 00 0b 03 10000000 0000 0000 01000000")+zeros(56), 8, 2, 0)},
		{Diameter, y, be(h("01 000000 80 000101 00000000 00000001 00000002")+be(h("00000108 40 000000")+"client.test.", 5, 3, 0), 1, 3, 0)},
		{DNP3, y, h("0564 05c0 0100 0004 e921")},
		{Elasticsearch, y, be("ES\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", 2, 4, -6)},
		{EtherNetIP, y, h("6500 0400 00000000 00000000 0000000000000000 00000000 0100 0000")},
		{FastCGI, y, h("01 01 0001 0008 00 00 0001 00 0000000000")},
		{FIX, y, "8=FIX.4.2\x019=65\x0135=A\x01"},
		{FTP, y, "220 (vsFTPd 3.0.3)\r\n"},
		{FTP, y, "220-FileZilla Server\r\n220 x\r\n"},
		{FTP, m, "AUTH TLS\r\n"},
		{Git, y, "0032git-upload-pack /project.git\x00host=myserver.test\x00"},
		{H323, y, be(h("0300 0000 08 02 0001 05 04 03 88 93 a5"), 2, 2, 0)},
		{HARTIP, y, h("01 00 00 00 0002 000d 01 00007530")},
		{IEC104, y, h("68 04 07 00 00 00")},
		{IMAP, y, "* OK ready\r\n"},
		{IMAP, y, "a1 CAPABILITY\r\n"},
		{IMAP, m, "a1 LOGIN me pw\r\n"},
		{IRC, y, "NICK me\r\nUSER me 0 * :Me\r\n"},
		{IRC, y, ":irc.test 001 me :Welcome\r\n"},
		{IRC, m, "NICK me\r\n"},
		{ISCSI, y, "\x43\x87\x00\x00" + zeros(44) + "InitiatorName=iqn.1993-08.test\x00"},
		{JSONRPC, y, `{"jsonrpc": "2.0", "method": "echo", "id": 1}`},
		{Kafka, y, be(h("00000000 0012 0003 00000001 0004")+"test\x00", 0, 4, -4)},
		{Kerberos, y, be(h("00000000 6a 2c 30 2a a1 03 020105 a2 03 02010a")+zeros(32), 0, 4, -4)},
		{KNX, y, h("0610 0423 000e 04010200 06001087")},
		{LDAP, y, h("30 0c 020101 60 07 020103 0400 8000")},
		{LDP, y, be(h("0001 0000 0a000001 0000 0200 0010 00000001")+zeros(12), 2, 2, -4)},
		{Megaco, y, "MEGACO/1 [10.0.0.1]:2944 Transaction = 1 {"},
		{Memcached, y, h("80 00 0005 00 00 0000 00000005 00000000 0000000000000000") + "Hello"},
		{Memcached, m, "get key\r\n"},
		{Modbus, y, h("0001 0000 0006 01 03 0000 000a")},
		{Modbus, y, h("0001 0000 0007 01 03 04 00010002")},
		{Modbus, m, h("0001 0000 0006 01 06 0001 0003")},
		{Monero, y, h("0121010101010101 0600000000000000")},
		{MongoDB, y, le(h("00000000 01000000 00000000 d4070000 00000000")+"admin.$cmd\x00"+zeros(13), 0, 4, 0)},
		{MongoDB, y, le(h("00000000 01000000 00000000 dd070000 00000000 00")+zeros(13), 0, 4, 0)},
		{MQTT, y, h("10 10 0004 4d515454 04 02 003c 0004") + "test"},
		{MQTT, m, h("20 02 00 00")},
		{Munin, y, "# munin node at host.test\n"},
		{MySQL, y, le("\x00\x00\x00\x00\x0a8.0.35\x00\x07\x00\x00\x00abcdefgh\x00\xff\xff"+zeros(40), 0, 3, -4)},
		{NATS, y, `INFO {"server_id":"x"}` + "\r\n"},
		{NBSSN, y, "\x81\x00\x00\x44\x20" + strings.Repeat("CA", 16) + "\x00\x20" + strings.Repeat("CA", 16) + "\x00"},
		{NBSSN, m, h("82 00 00 00")},
		{NFS, y, be(h("80000000 00000001 00000000 00000002 000186a3 00000003 00000000")+zeros(16), 1, 3, -4)},
		{NNTP, y, "200 news.test InterNetNews NNRP server ready (posting ok)\r\n"},
		{OPCUA, y, le("HELF\x00\x00\x00\x00"+zeros(20)+"\x10\x00\x00\x00opc.tcp://h.test", 4, 4, 0)},
		{OpenVPN, y, be("\x00\x00\x38abcdefgh"+h("00000001 577e73b3")+strings.Repeat("x", 37), 0, 2, -2)},
		{Oracle, y, be(h("0000 0000 01 00 0000 0138 012c")+zeros(22)+"(DESCRIPTION=)", 0, 2, 0)},
		{POP3, y, "+OK POP3 ready\r\n"},
		{POP3, m, "+OK\r\n"},
		{Portmap, y, be(h("80000000 00000001 00000000 00000002 000186a0 00000002 00000003")+zeros(16), 1, 3, -4)},
		{PostgreSQL, y, h("00000008 04d2162f")},
		{PostgreSQL, y, be(h("00000000 00030000")+"user\x00me\x00\x00", 0, 4, 0)},
		{PPTP, y, h("009c 0001 1a2b3c4d 0001 0000") + zeros(144)},
		{RDP, y, be(h("0300 0000 0e e0 0000 0000 00 01 00 0800 03000000"), 2, 2, 0)},
		{RDP, y, be(h("0300 0013 0e d0 0000 1234 00 02 00 0800 02000000"), 2, 2, 0)},
		{Redis, y, "*1\r\n$4\r\nPING\r\n"},
		{Roughtime, y, "ROUGHTIM" + zeros(8)},
		{Rsync, y, "@RSYNCD: 31.0\n"},
		{RTMP, m, "\x03" + zeros(1536)},
		{RTSP, y, "OPTIONS rtsp://h.test/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"},
		{RTSP, y, "RTSP/1.0 200 OK\r\n"},
		{S7comm, y, h("0300 0016 11 e0 0000 0001 00 c0 01 0a c1 02 0100 c2 02 0102")},
		{S7comm, y, h("0300 0019 02 f0 80 32 01 0000 0001 0008 0000 f0 00 0001 0001 01e0")},
		{SIP, y, "OPTIONS sip:h.test SIP/2.0\r\n"},
		{SMB, y, "\x00\x00\x00\x40\xfeSMB" + zeros(60)},
		{SMPP, y, be(h("00000000 00000002 00000000 00000001")+"id\x00pw\x00", 0, 4, 0)},
		{SMTP, y, "220 mx.test ESMTP ready\r\n"},
		{SMTP, y, "EHLO me.test\r\n"},
		{SSH, y, "SSH-2.0-OpenSSH_9.6\r\n"},
		{STOMP, y, "CONNECT\naccept-version:1.2\nhost:h.test\n\n\x00"},
		{Stratum, y, `{"id":1,"method":"mining.subscribe","params":[]}` + "\n"},
		{STUN, y, h("0001 0000 2112a442 0102030405060708090a0b0c")},
		{SunRPC, y, be(h("80000000 00000001 00000000 00000002 000186a4 00000002 00000003")+zeros(16), 1, 3, -4)},
		{Synchrophasor, y, h("aa41 0012 0001 48000000 00000000 0001 9d3d")},
		{Syslog, y, "<34>1 2024-01-01T00:00:00Z h app - - - text"},
		{Syslog, y, "43 <34>1 2024-01-01T00:00:00Z h app - - - text"},
		{TACACS, y, be(h("c0 01 01 00 12345678 00000000")+zeros(20), 8, 4, -12)},
		{TDS, y, be(h("12 01 0000 0000 01 00 00 001a 0006 01 0020 0001 02 0021 0001 ff")+zeros(20), 2, 2, 0)},
		{Telnet, y, h("fffd18 fffd20")},
		{Thrift, y, be(h("80010001 00000004")+"ping"+h("00000001 00"), 7, 1, -13)},
		{VNC, y, "RFB 003.008\n"},
		{WhatsApp, y, h("45440001 00000408 0805 02 5741")},
		{XMPP, y, "<?xml version='1.0'?><stream:stream xmlns='jabber:client'>"},
		{Zabbix, y, "ZBXD\x01" + zeros(8)},
		{ftpOrSMTP, m, "220 ready\r\n"},
		{ftpOrPOP3, m, "USER me\r\n"},
		{quits, m, "QUIT\r\n"},
		{None, parsers.No, "QUIT\r\nQUIT\r\n"[:4]},
		{None, parsers.No, "QUITE so\r\n"},
		{None, parsers.No, "Hello, this is text of no protocol.\r\n"},
		{None, parsers.No, "220"},
		{None, parsers.No, "USER me"},
		{None, parsers.No, "<html>"},
		{None, parsers.No, h("ff41 ff41")},
	}
}

func datagrams() []sample {
	const y, m = parsers.Yes, parsers.Maybe
	return []sample{
		{CAN, y, "ISO11898\x01\x02" + h("6a12f109083b20d60000")},
		{EtherNetIP, y, h("0200 0280 0800 787b3a00 e8cb5e04 b100 0400 01020304")},
		{EtherSIO, y, "ESIO" + h("0001 0000 00317616")},
		{GTP, y, h("2e f0 0004 0001 7e01fc00")},
		{HSRP, m, h("02040000 00010010 aabbcc00")},
		{IAX, y, h("8004 0000 00000001 0000 06 01 0b02 0002 010c")},
		{LISP, m, h("32000101 7b0336b18e10a8c4 00010014") + zeros(20)},
		{OICQ, y, h("02 3b0b 0001 0022 561f0c7b 00000000 03")},
		{RTCP, y, h("81c90007 549aa5da") + zeros(24) + h("5743a1b2 80000001 1122334455667788990a")},
		{Spotify, y, "SpotUdp0" + h("a55adb27bedd97cf0001")},
		{Tailscale, y, "TS\xf0\x9f\x92\xac" + strings.Repeat("k", 56)},
		{Telegram, y, h("2fe49fa76c4eb433cbcd82a1bbea621e") + strings.Repeat("\xff", 12) + zeros(4)},
		{TRDP, y, h("00000000 0100 5064 000003e9 00000000 00000000 00000004") + zeros(16) + "data"},
		{WireGuard, m, h("04000000 be40698d 6b00000000000000") + strings.Repeat("x", 16)},
		{ZUG, y, "\x00zUG\x10" + h("99aabc006ee2dd06")},
		{BACnet, y, h("81 0b 000c 01 20 ffff 00 ff 10 08")},
		{BitTorrent, y, "d1:ad2:id20:" + strings.Repeat("x", 20) + "e1:q4:ping1:t2:aa1:y1:qe"},
		{BitTorrent, y, h("0000041727101980 00000000 12345678")},
		{Babel, y, h("2a02 000e 040c 0000 e5b5 0190 0304 847f 994b")},
		{BFD, y, h("20 60 03 18 0de60837 00000000 000f4240 000493e0 000493e0")},
		{BFD, y, h("20 44 05 30 00000001 00000000 000f4240 000f4240 00000000 02 18 02 00 00000005") + zeros(16)},
		{BitTorrent, y, h("0100 efcb c0d91a2a c89f62fa 00100000 5c12 5d66 00000639 14 01")},
		{CUPS, y, "480b05c 3 ipp://192.168.1.10:631/printers/x \"\" \"x\"\n"},
		{DoIP, y, h("02fd 4001 00000000")},
		{IAX, y, h("8004 0000 00000001 00 00 06 01 0b020002 010c") + "442828085155"},
		{NATPMP, y, h("00 01 0000 32dd 32dd 00000e10")},
		{PFCP, y, h("21 06 001f 0000000000000083 00000400 0062 000a 0006 227e 9232 2785 014d 008c 0001 00")},
		{PFCP, y, h("20 01 000c 00000100 0060 0004 12345678")},
		{QUIC, m, h("0c 8f9375d7886be353 09") + strings.Repeat("x", 20)},
		{QUIC, m, "\x57" + strings.Repeat("x", 30)},
		{quicAnswer, m, h("0007 59e77a373be1983962cb1e75")},
		{RTCP, y, h("80c9 0001 734e7b28 80000005 1150ddd7bafeb9cbd7ce")},
		{RTCP, y, h("81c9 0001 734e7b28") + strings.Repeat("x", 16) + h("80000005")},
		{Teredo, y, h("60000000 0000 3b 15 20010000 5ef50000 0000000000000000 fe800000 00000000 0000000000000000")},
		{Teredo, y, h("0001 0000 0102030405060708 00 0000 f4d2 3ffffffe 60000000 0000 3b 15 fe800000 00000000 0000000000000000 20010000 5ef50000 0000000000000000")},
		{None, parsers.No, h("2a02 000f 040c 0000 e5b5 0190 0304 847f 994b")},
		{None, parsers.No, h("2a02 000e 040d 0000 e5b5 0190 0304 847f 994b")},
		{quicAnswer, m, h("20 60 03 19 0de60837 00000000 000f4240 000493e0 000493e0")},
		{quicAnswer, m, h("20 60 03 18 0de60837 00000000 7f0f4240 000493e0 000493e0")},
		{None, parsers.No, h("21 06 001f 0000000000000083 00000400 0062 000b 0006 227e 9232 2785 014d 008c 0001 00")},
		{None, parsers.No, "480b05c 3 http://192.168.1.10/"},
		{BitTorrent, m, h("4100 4567 ed639296 00000000 00100000 0001 0000")},
		{CLDAP, y, h("30 0c 020101 63 07 0400 0a0100 0a01")},
		{CoAP, y, h("40 01 0001 b4") + "test"},
		{CoAP, m, h("60 45 0001 ff 31")},
		{DCERPC, y, le(h("04 00 28 00 100000 00")+zeros(72)+zeros(16), 74, 2, -80)},
		{DHCP, y, h("01 01 06 00") + zeros(232) + h("63825363 350101 ff")},
		{DHCPv6, y, h("01 123456 0001 000e 0001 0001 12345678 001122334455 0008 0002 0000")},
		{DNP3, y, h("0564 05c0 0100 0004 e921")},
		{DNSCrypt, y, "r6fnvWj8" + zeros(40)},
		{DropboxLAN, y, `{"host_int": 1, "version": [2, 0], "displayname": ""}`},
		{EtherNetIP, y, h("6300 0000 00000000 00000000 0000000000000000 00000000")},
		{GTP, y, h("48 20 0008 00000000 00000100")},
		{GTP, y, h("32 10 0004 00000000 0001 0000")},
		{HARTIP, y, h("01 00 00 00 0002 000d 01 00007530")},
		{HSRP, y, h("00 00 10 03 0a 78 01 00") + "cisco\x00\x00\x00\x0a\x00\x00\x01"},
		{IKE, y, be(h("0102030405060708 0000000000000000 21 20 22 08 00000000 00000000")+zeros(20), 24, 4, 0)},
		{IKE, y, zeros(4) + be(h("0102030405060708 0000000000000000 01 10 02 00 00000000 00000000")+zeros(20), 24, 4, 0)},
		{IPFIX, y, h("000a 0014 12345678 00000001 00000000 0002 0004")},
		{IPMI, y, h("06 00 ff 07 00 000000000000000000 09")},
		{Kerberos, y, h("6a 0c 30 0a a1 03 020105 a2 03 02010a")},
		{KNX, y, h("0610 0201 000e 0801 c0a80101 0e57")},
		{LDP, y, be(h("0001 0000 0a000001 0000 0100 0014 00000001 0400 0004 000f 0000 0401 0004 0a000001"), 2, 2, -4)},
		{Megaco, y, "!/1 [10.0.0.1]:2944\nT=1{"},
		{MGCP, y, "RQNT 1 *@h.test MGCP 0.1\rR: l/hd(n)\rX: 1\r"},
		{NBDGM, y, h("11 02 0001 0a000001 008a 00bb 0000") + zeros(30)},
		{NBNS, y, h("0001 0110 0001 0000 0000 0000 20") + strings.Repeat("CA", 16) + h("00 0020 0001")},
		{NetFlow, y, h("0005 0001") + zeros(20+48)},
		{NetFlow, y, h("0009 0001 00000000 00000000 00000000 00000000 0000 0008 01000000")},
		{NFS, y, h("00000001 00000000 00000002 000186a3 00000003 00000000") + zeros(16)},
		{NTP, y, "\x23" + zeros(47)},
		{NTP, m, h("16 02 0001 0000 0000 0000 0000")},
		{OpenVPN, y, "\x50abcdefgh" + h("0f000001 577e73b3") + strings.Repeat("x", 300)},
		{Portmap, y, h("00000001 00000000 00000002 000186a0 00000002 00000003") + zeros(16)},
		{PTP, y, be(h("00 02 0000 00 00 0200")+zeros(26)+zeros(10), 2, 2, 0)},
		{RADIUS, y, be(h("01 07 0000")+zeros(16)+h("01 04 6d65"), 2, 2, 0)},
		{RIP, y, h("02 02 0000 0002 0000 0a000000 ff000000 00000000 00000001")},
		{Roughtime, y, h("02000000 40000000") + "NONCPAD\xff" + zeros(64)},
		{RTCP, y, h("80 c9 0001 12345678")},
		{RTP, y, h("80 00 0001 000000a0 12345678") + zeros(160)},
		{RTP, m, h("80 60 0001 000000a0 12345678") + zeros(90)},
		{SFlow, y, h("00000005 00000001 0a000001") + zeros(16)},
		{SIP, y, "SIP/2.0 200 OK\r\n"},
		{SLP, y, be(h("02 01 000000 0000 000000 0001 0002")+"en"+zeros(10), 2, 3, 0)},
		{SNMP, y, h("30 26 020101 04 06 7075626c6963 a0 19 020101 020100 020100 300e 300c 0608 2b06010201010100 0500")},
		{SOMEIP, y, be(h("ffff8100 00000000 00000001 01 01 02 00")+zeros(12), 4, 4, -8)},
		{SourceQuery, y, "\xff\xff\xff\xffTSource Engine Query\x00"},
		{SSDP, y, "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n"},
		{STUN, y, h("0001 0000 2112a442 0102030405060708090a0b0c")},
		{STUN, y, h("0001 0008 0102030405060708090a0b0c0d0e0f10 0003 0004 00000000")},
		{SunRPC, y, h("00000001 00000000 00000002 000186a4 00000003 00000000") + zeros(16)},
		{Synchrophasor, y, h("aa41 0012 0001 48000000 00000000 0001 9d3d")},
		{Syncthing, y, h("2ea7d90b 0a20") + zeros(32)},
		{Syslog, y, "<13>Jan  1 00:00:00 host app: text"},
		{TFTP, y, "\x00\x01file.txt\x00octet\x00"},
		{Thrift, y, "\x82\x81\x01\x09emitBatch\x1c"},
		{Tuya, y, h("000055aa 00000000 00000013 0000000c 00000000 01020304 0000aa55")},
		{WireGuard, y, h("01000000") + strings.Repeat("x", 144)},
		{None, parsers.No, "some text"},
		{None, parsers.No, strings.Repeat("\xff", 40)},
	}
}

func TestSamples(t *testing.T) {
	seen := map[Protocol]bool{}
	for kind, list := range map[string][]sample{"stream": streams(), "datagram": datagrams()} {
		for _, x := range list {
			ask := Stream
			if kind == "datagram" {
				ask = Datagram
			}
			p, v := ask([]byte(x.data), flows.Initiator)
			if p != x.want || v != x.verdict {
				t.Errorf("%s %q: %v %v, want %v %v", kind, x.data[:min(len(x.data), 40)], p, v, x.want, x.verdict)
			}
			seen[p] = true
		}
	}
	for p := None + 1; p < numProtocols; p++ {
		if !seen[p] && p != Whois && p != Finger && p != FTPData { // which has nothing to be told by
			t.Errorf("no sample of %v", p)
		}
		if (p.String() == "") != (p >= ftpOrSMTP) {
			t.Errorf("protocol %d is called %q", p, p.String())
		}
	}
}

// A sample cut short, or with a byte changed, makes nothing panic, and what is
// cut to a few bytes is nothing for certain that it was not.
func TestDamagedSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, list := range [][]sample{streams(), datagrams()} {
		for _, x := range list {
			for i := range len(x.data) {
				Stream([]byte(x.data[:i]), flows.Initiator)
				Datagram([]byte(x.data[:i]), flows.Initiator)
				b := []byte(x.data)
				b[i] ^= byte(1 + rng.IntN(255))
				Stream(b, flows.Initiator)
				Datagram(b, flows.Initiator)
			}
		}
	}
}

// Random bytes have no name but by accident, and text none at all.
func TestFalsePositives(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 400_000
	stream, datagram := 0, 0
	var b [1500]byte
	for range rounds {
		n := 4 + rng.IntN(len(b)-4)
		if rng.IntN(2) == 0 {
			n = 4 + rng.IntN(96)
		}
		for i := 0; i < min(n, 200); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
		}
		if _, v := Stream(b[:n], flows.Initiator); v == parsers.Yes {
			stream++
		}
		if _, v := Datagram(b[:n], flows.Initiator); v == parsers.Yes {
			datagram++
		}
	}
	if stream > rounds/10_000 || datagram > rounds/5_000 {
		t.Errorf("of %d random payloads %d streams and %d datagrams have a name", rounds, stream, datagram)
	}
	for _, s := range []string{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"To be, or not to be, that is the question:\n", "{\"a\": 1}", "<?xml version=\"1.0\"?><html>", "OK\r\n", "200 OK\r\n", "+1\r\n", "* \r\n", "1234567890"} {
		if p, v := Stream([]byte(s), flows.Initiator); v != parsers.No {
			t.Errorf("%q: %v %v", s, p, v)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, tt := range []struct{ a, b, want Protocol }{
		{POP3, POP3, POP3}, {POP3, ftpOrPOP3, POP3}, {ftpOrPOP3, ftpOrSMTP, FTP}, {ftpOrSMTP, FTP, FTP}, {ftpOrSMTP, ftpOrSMTP, None},
		{None, POP3, None}, {RTP, RTP, RTP}, {NTP, NTP, None}, {QUIC, QUIC, None}, {QUIC, quicAnswer, None}, {quicAnswer, quicAnswer, None}, {TLS, TLS, TLS}, {LISP, LISP, None}, {WireGuard, WireGuard, WireGuard}, {Modbus, POP3, None}, {ftpOrSMTP, POP3, None}, {MQTT, MQTT, MQTT},
		{quits, FTP, FTP}, {quits, POP3, POP3}, {quits, ftpOrSMTP, None}, {quits, quits, None}, {quits, IMAP, None}, {quits, None, None},
	} {
		if got := Join(tt.a, tt.b); got != tt.want || Join(tt.b, tt.a) != tt.want {
			t.Errorf("%d with %d: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
	if !Fits(ftpOrSMTP, SMTP) || Fits(ftpOrSMTP, POP3) || !Fits(NTP, NTP) || Fits(None, NTP) || Fits(None, None) || Fits(NTP, None) ||
		!Fits(quits, FTP) || Fits(quits, SSH) {
		t.Error("Fits")
	}
}

func TestSuits(t *testing.T) {
	for _, tt := range []struct {
		p, a, b Protocol
		both    bool
		want    bool
	}{
		{NTP, NTP, None, true, true}, {NTP, None, NTP, false, true}, {NTP, None, None, true, false}, {SMTP, ftpOrSMTP, None, true, true},
		{QUIC, QUIC, None, false, true}, {QUIC, QUIC, None, true, false}, {QUIC, QUIC, QUIC, true, true}, {QUIC, quicAnswer, QUIC, true, true},
		{QUIC, quicAnswer, quicAnswer, true, false}, {QUIC, quicAnswer, None, false, false}, {QUIC, NTP, QUIC, true, false},
	} {
		if got := Suits(tt.p, tt.a, tt.b, tt.both); got != tt.want {
			t.Errorf("%v of %d and %d, both %v: %v", tt.p, tt.a, tt.b, tt.both, got)
		}
	}
}

func TestPort(t *testing.T) {
	for _, tt := range []struct {
		proto  uint8
		port   uint16
		want   Protocol
		looked bool
	}{
		{flows.ProtoTCP, 22, SSH, true}, {flows.ProtoUDP, 22, None, false}, {flows.ProtoTCP, 43, Whois, false}, {flows.ProtoTCP, 20, FTPData, false}, {flows.ProtoUDP, 443, QUIC, true}, {flows.ProtoUDP, 123, NTP, true}, {1, 22, None, false},
	} {
		if p, looked := Port(tt.proto, tt.port); p != tt.want || looked != tt.looked {
			t.Errorf("%d/%d: %v %v", tt.proto, tt.port, p, looked)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	var s, d [][]byte
	for _, x := range streams() {
		s = append(s, []byte(x.data))
	}
	for _, x := range datagrams() {
		d = append(d, []byte(x.data))
	}
	if n := testing.AllocsPerRun(10, func() {
		for _, b := range s {
			Stream(b, flows.Initiator)
		}
		for _, b := range d {
			Datagram(b, flows.Initiator)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzStream(f *testing.F) {
	for _, x := range streams() {
		f.Add([]byte(x.data))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, v := Stream(b, flows.Initiator)
		if (p == None) != (v == parsers.No) || v == parsers.Yes && p.String() == "" {
			t.Errorf("%v %v", p, v)
		}
	})
}

func FuzzDatagram(f *testing.F) {
	for _, x := range datagrams() {
		f.Add([]byte(x.data))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, v := Datagram(b, flows.Initiator)
		if (p == None) != (v == parsers.No) || v == parsers.Yes && p.String() == "" {
			t.Errorf("%v %v", p, v)
		}
	})
}

func BenchmarkDatagram(b *testing.B) {
	data := []byte(strings.Repeat("\x9c\x11\x42", 100))
	b.ReportAllocs()
	for b.Loop() {
		Datagram(data, flows.Initiator)
	}
}

func BenchmarkStream(b *testing.B) {
	data := []byte(strings.Repeat("\x9c\x11\x42", 100))
	b.ReportAllocs()
	for b.Loop() {
		Stream(data, flows.Initiator)
	}
}
