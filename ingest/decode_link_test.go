package ingest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
)

func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }

func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// snap is an 802.2 header for an EtherType.
func snap(typ int, payload []byte) []byte { return cat(unhex("aaaa03000000"), be16(typ), payload) }

// dot11 is an 802.11 frame: frame control, four bytes less than what is left of the header, the sequence control
// zero.
func dot11(control, flags byte, payload []byte) []byte {
	h := cat([]byte{control, flags}, unhex("0000 02000000000a 02000000000b 02000000000c 0000"))
	if flags&3 == 3 {
		h = cat(h, unhex("02000000000d"))
	}
	return cat(h, payload)
}

// moreDecodeTests are decodeTests of the less usual links and tunnels.
func moreDecodeTests() []decodeTest {
	q4, q6 := ip4(17, udp(false, []byte(hello))), ip6(17, udp(true, []byte(hello)))
	s4 := snap(0x0800, q4)
	radio := func(present uint32, fields, frame []byte) []byte {
		return cat([]byte{0, 0}, le16(8+len(fields)), le32(int(present)), fields, frame)
	}
	fcs := unhex("deadbeef")
	ppi := func(fields []byte, link int, frame []byte) []byte {
		return cat([]byte{0, 0}, le16(8+len(fields)), le32(link), fields, frame)
	}
	pktap := func(next, link int, frame []byte) []byte {
		return cat(le32(108), le32(next), le32(link), make([]byte, 96), frame)
	}
	attr := func(order appender, typ int, value []byte) []byte {
		b := order.AppendUint16(nil, uint16(4+len(value)))
		b = order.AppendUint16(b, uint16(typ))
		return pad(cat(b, value), -len(value)&3)
	}
	nflog := func(family byte, attrs ...[]byte) []byte { return cat([]byte{family, 0, 0, 5}, cat(attrs...)) }
	le, be := binary.LittleEndian, binary.BigEndian
	juniper := func(flags byte, rest []byte) []byte { return cat([]byte("MGC"), []byte{flags}, rest) }
	docsis := func(control byte, headers, frame []byte) []byte {
		return cat([]byte{control, byte(len(headers))}, be16(len(headers)+len(frame)), headers, be16(0), frame)
	}
	erf := func(typ byte, rest []byte) []byte {
		return cat(make([]byte, 8), []byte{typ, 4}, be16(16+len(rest)), be16(0), be16(len(rest)), rest)
	}
	u := func(dst int, payload []byte) []byte { return ip4(17, udpPorts(false, 40000, dst, payload)) }
	gre := func(flags, typ int, rest []byte) []byte { return ip4(47, cat(be16(flags), be16(typ), rest)) }
	tagless := func(dst int, n int) string { // of the carrier itself
		return fmt.Sprintf("10.0.0.1.40000 > 10.0.0.2.%d proto 17 ttl 64 tos 40 ip 0+%d transport 20 payload 28+%d/%d ports", dst, n, n-28, n-28)
	}
	// at4 and at6 are the UDP datagrams above at an offset.
	at4 := func(n int) string { return u4 + fmt.Sprintf(" ip %d+33 transport %d payload %d+5/5", n, n+20, n+28) }
	at6 := func(n int) string { return u6 + fmt.Sprintf(" ip %d+53 transport %d payload %d+5/5", n, n+40, n+48) }
	const outer = "[10.0.0.1 > 10.0.0.2]"

	return []decodeTest{
		// IEEE 802.11.
		{"wlan within", 105, dot11(0x08, 0, s4), at4(32) + " eth 4 ports"},
		{"wlan to", 105, dot11(0x08, 1, s4), at4(32) + " tods 4 ports"},
		{"wlan from", 105, dot11(0x08, 2, s4), at4(32) + " fromds 4 ports"},
		{"wlan four addresses", 105, dot11(0x08, 3, s4), at4(38) + " wds 4 ports"},
		{"wlan ipv6", 105, dot11(0x08, 1, snap(0x86dd, q6)), at6(32) + " tods 4 ports"},
		{"wlan qos", 105, dot11(0x88, 1, cat(be16(0), s4)), at4(34) + " tods 4 ports"},
		{"wlan qos four addresses", 105, dot11(0x88, 3, cat(be16(0), s4)), at4(40) + " wds 4 ports"},
		{"wlan qos high throughput", 105, dot11(0x88, 0x81, cat(be16(0), be32(7), s4)), at4(38) + " tods 4 ports"},
		{"wlan a-msdu", 105, dot11(0x88, 2, cat(unhex("8000"), eth(len(s4), s4), pad(eth(len(s4), s4), 3))), at4(48) + " eth 26 ports"},
		{"wlan a-msdu short", 105, dot11(0x88, 2, cat(unhex("8000"), unhex("02000000"))), "malformed_link"},
		{"wlan mesh", 105, dot11(0x88, 3, cat(unhex("0001 0011 00000001"), s4)), at4(46) + " wds 4 ports"},
		{"wlan mesh address extension", 105, dot11(0x88, 3, cat(unhex("0001 0211 00000001 020000000001 020000000002"), s4)), at4(58) + " wds 4 ports"},
		{"wlan bit of mesh means else", 105, dot11(0x88, 2, cat(unhex("0001"), s4)), at4(34) + " fromds 4 ports"},
		{"wlan protected", 105, dot11(0x08, 0x41, s4), "not_ip"},
		{"wlan null", 105, dot11(0x48, 1, nil), "not_ip"},
		{"wlan beacon", 105, dot11(0x80, 0, make([]byte, 30)), "not_ip"},
		{"wlan acknowledgement", 105, unhex("d400 0000 020000000001"), "not_ip"},
		{"wlan version", 105, dot11(0x09, 0, s4), "malformed_link"},
		{"wlan in parts", 105, dot11(0x08, 0x05, s4), "fragment_incomplete"},
		{"wlan last part", 105, edit(dot11(0x08, 0x01, s4), 22, 1), "fragment_incomplete"},
		{"wlan too short", 105, dot11(0x08, 1, nil)[:23], "malformed_link"},
		{"wlan empty", 105, nil, "malformed_link"},
		{"wlan arp", 105, dot11(0x08, 1, snap(0x0806, make([]byte, 28))), "not_ip"},
		{"radiotap", 127, radio(0, nil, dot11(0x08, 1, s4)), at4(40) + " tods 12 ports"},
		{"radiotap check sequence", 127, radio(2, unhex("10"), cat(dot11(0x08, 1, s4), fcs)), at4(41) + " tods 13 ports"},
		{"radiotap time, flags", 127, radio(3, cat(make([]byte, 8), unhex("30")), cat(dot11(0x88, 1, cat(unhex("0000 0000"), s4)), fcs)), at4(53) + " tods 21 ports"},
		{"radiotap more words", 127, radio(1<<31|3, cat(le32(1<<31), le32(0), make([]byte, 8), unhex("10")), cat(dot11(0x08, 1, s4), fcs)), at4(57) + " tods 29 ports"},
		{"radiotap words without end", 127, radio(1<<31|3, bytesOf(0xff, 20), dot11(0x08, 1, s4)), "malformed_link"},
		{"radiotap too short", 127, radio(0, nil, nil)[:7], "malformed_link"},
		{"radiotap length", 127, cat(unhex("0000 0700 00000000"), dot11(0x08, 1, s4)), "malformed_link"},
		{"radiotap version", 127, edit(radio(0, nil, dot11(0x08, 1, s4)), 0, 1), "malformed_link"},
		{"prism", 119, cat(le32(0x44), le32(144), make([]byte, 136), dot11(0x08, 2, s4)), at4(176) + " fromds 148 ports"},
		{"prism big endian", 119, cat(be32(0x44), be32(144), make([]byte, 136), dot11(0x08, 2, s4)), at4(176) + " fromds 148 ports"},
		{"prism of AVS", 119, cat(be32(0x80211001), be32(64), make([]byte, 56), dot11(0x08, 2, s4)), at4(96) + " fromds 68 ports"},
		{"avs", 163, cat(be32(0x80211001), be32(64), make([]byte, 56), dot11(0x08, 2, s4)), at4(96) + " fromds 68 ports"},
		{"avs length", 163, cat(be32(0x80211001), be32(4), make([]byte, 56), dot11(0x08, 2, s4)), "malformed_link"},
		{"ppi", 192, ppi(nil, 105, dot11(0x08, 1, s4)), at4(40) + " tods 12 ports"},
		{"ppi check sequence", 192, ppi(cat(le16(2), le16(20), make([]byte, 8), le16(1), make([]byte, 10)), 105, cat(dot11(0x08, 1, s4), fcs)), at4(64) + " tods 36 ports"},
		{"ppi ethernet", 192, ppi(nil, 1, eth(0x0800, q4)), at4(22) + " eth 8 ports"},
		{"ppi in ppi", 192, ppi(nil, 192, ppi(nil, 1, eth(0x0800, q4))), "unsupported_link"},
		{"ppi of usb", 192, ppi(nil, 189, eth(0x0800, q4)), "unsupported_link"},
		{"ppi length", 192, edit(ppi(nil, 1, nil), 2, 7), "malformed_link"},
		{"cooked radiotap", 113, cat(be16(0), be16(803), make([]byte, 10), be16(4), radio(0, nil, dot11(0x08, 1, s4))), at4(56) + " tods 28 ports"},
		{"cooked 802.11", 113, cat(be16(0), be16(801), make([]byte, 10), be16(4), dot11(0x08, 1, s4)), at4(48) + " tods 20 ports"},
		{"cooked prism", 276, cat(be16(4), make([]byte, 6), be16(802), make([]byte, 10), le32(0x44), le32(144), make([]byte, 136), dot11(0x08, 2, s4)), at4(196) + " fromds 168 ports"},
		{"cooked netlink", 113, cat(be16(0), be16(824), make([]byte, 10), be16(0x0800), q4), "not_ip"},
		{"cooked frame relay", 113, cat(be16(0), be16(770), make([]byte, 10), be16(0), unhex("1841 03cc"), q4), at4(20) + " ports"},

		// Point to point.
		{"ppp pppd", 166, cat(unhex("0103 0021"), q4), at4(4) + " ports"},
		{"ppp multilink whole", 9, cat(unhex("ff03 003d c0000001 0021"), q4), at4(10) + " ports"},
		{"ppp multilink part", 9, cat(unhex("ff03 003d 80000001 0021"), q4), "fragment_incomplete"},
		{"ppp bridged", 9, cat(unhex("ff03 0031 0001"), eth(0x0800, q4)), at4(20) + " eth 6 ports"},
		{"ppp bridged token ring", 9, cat(unhex("ff03 0031 0003"), eth(0x0800, q4)), "not_ip"},
		{"ppp mpls", 9, cat(unhex("ff03 0281"), be32(17<<12|0x100|64), q4), at4(8) + " ports in mpls(17)"},
		{"ppp in ethernet", 51, cat(unhex("1100 0007"), be16(2+33), be16(0x0021), q4), at4(8) + " ports in pppoe(7)"},
		{"hdlc direction", 205, cat(unhex("01 0f00 0800"), q4), at4(5) + " ports"},
		{"hdlc slarp", 104, unhex("8f00 8035 00000002 00000001 00000000 ffff"), "not_ip"},
		{"hdlc too short", 104, unhex("0f00 08"), "malformed_link"},
		{"frame relay", 107, cat(unhex("1841 03cc"), q4), at4(4) + " ports"},
		{"frame relay pad", 107, cat(unhex("1841 0300 8e"), q6), at6(5) + " ports"},
		{"frame relay snap", 107, cat(unhex("1841 0300 80 000000 0800"), q4), at4(10) + " ports"},
		{"frame relay bridged", 107, cat(unhex("1841 0300 80 0080c2 0007"), eth(0x0800, q4)), at4(24) + " eth 10 ports"},
		{"frame relay ppp", 107, cat(unhex("1841 03cf 0021"), q4), at4(6) + " ports"},
		{"frame relay cisco", 107, cat(unhex("1841 0800"), q4), at4(4) + " ports"},
		{"frame relay long address", 107, cat(unhex("18400601 0800"), q4), at4(6) + " ports"},
		{"frame relay endless address", 107, cat(unhex("1840060006 0800"), q4), "malformed_link"},
		{"frame relay q.933", 107, unhex("0001 0308 00 75 9501 0101"), "not_ip"},
		{"frame relay address of one byte", 107, unhex("0103 cc45"), "malformed_link"},
		{"frame relay direction", 206, cat(unhex("00 1841 03cc"), q4), at4(5) + " ports"},
		{"multilink frame relay", 182, cat(unhex("c001 1841 03cc"), q4), at4(6) + " ports"},
		{"multilink frame relay part", 182, cat(unhex("8001 1841 03cc"), q4), "fragment_incomplete"},
		{"multilink frame relay control", 182, unhex("e100 0101"), "not_ip"},
		{"slip", 8, cat(make([]byte, 16), q4), at4(16) + " ports"},

		// Rings, cells and other networks.
		{"token ring", 6, cat(unhex("1040 020000000002 020000000001"), s4), at4(22) + " ports"},
		{"token ring route", 6, cat(unhex("1040 020000000002 820000000001 0630 0011 0020"), s4), at4(28) + " ports"},
		{"token ring route too short", 6, cat(unhex("1040 020000000002 820000000001 0130"), s4), "malformed_link"},
		{"token ring control", 6, cat(unhex("1000 020000000002 020000000001"), s4), "not_ip"},
		{"arcnet linux 1051", 129, cat(unhex("be50 ab08 f0"), q4), at4(5) + " ports"},
		{"arcnet linux 1201", 129, cat(unhex("be50 a8e7 d4 00 0166"), q4), at4(8) + " ports"},
		{"arcnet linux ipv6", 129, cat(unhex("be50 a8e7 c4 00 0166"), q6), at6(8) + " ports"},
		{"arcnet linux exception", 129, cat(unhex("be50 a8e7 d4 ff ffff d4 00 0166"), q4), at4(12) + " ports"},
		{"arcnet linux part", 129, cat(unhex("be50 a8e7 d4 01 0166"), q4), "fragment_incomplete"},
		{"arcnet bsd", 7, cat(unhex("be50 d4 00 0166"), q4), at4(6) + " ports"},
		{"arcnet arp", 7, cat(unhex("be50 d5 00 0166"), q4), "not_ip"},
		{"ip over fibre channel", 122, cat(make([]byte, 16), s4), at4(24) + " ports"},
		{"atm", 100, s4, at4(8) + " ports"},
		{"atm 11", 11, s4, at4(8) + " ports"},
		{"atm bridged", 100, cat(unhex("aaaa03 0080c2 0007 0000"), eth(0x0800, q4)), at4(24) + " eth 10 ports"},
		{"atm iso", 100, cat(unhex("fefe03 cc"), q4), at4(4) + " ports"},
		{"atm is-is", 100, cat(unhex("fefe03 83"), q4), "not_ip"},
		{"classical ip", 106, s4, at4(8) + " ports"},
		{"classical ip without header", 106, q4, at4(0) + " ports"},
		{"sun atm", 123, cat(unhex("0200 0064"), s4), at4(12) + " ports"},
		{"sun atm lane", 123, cat(unhex("0100 0064 0007"), eth(0x0800, q4)), at4(20) + " eth 6 ports"},
		{"sun atm lane control", 123, cat(unhex("0100 0064 ff00"), make([]byte, 106)), "not_ip"},
		{"sun atm signalling", 123, cat(unhex("0600 0005"), s4), "not_ip"},
		{"firewire", 138, cat(make([]byte, 16), be16(0x0800), q4), at4(18) + " ports"},
		{"infiniband", 242, cat(make([]byte, 40), be16(0x0800), be16(0), q4), at4(44) + " ports"},
		{"symantec", 99, cat(make([]byte, 6), be16(0x0800), make([]byte, 36), q4), at4(44) + " ports"},
		{"mpls link", 219, cat(be32(17<<12|0x100|64), q4), at4(4) + " ports in mpls(17)"},
		{"cable modem", 143, docsis(0, nil, eth(0x0800, q4)), at4(20) + " eth 6 ports"},
		{"cable modem extended header", 143, docsis(1, unhex("64 1000 0001"), eth(0x0800, q4)), at4(25) + " eth 11 ports"},
		{"cable modem privacy", 143, docsis(1, unhex("34 1080 0001"), eth(0x0800, q4)), "not_ip"},
		{"cable modem management", 143, docsis(0xc2, nil, eth(0x0800, q4)), "not_ip"},
		{"epon", 259, cat(unhex("5555d55555000100"), eth(0x0800, q4)), at4(22) + " eth 8 ports"},
		{"mpacket express", 274, cat(unhex("55555555555555d5"), eth(0x0800, q4), fcs), at4(22) + " eth 8 ports"},
		{"mpacket continued", 274, cat(unhex("5555555555556152"), eth(0x0800, q4), fcs), "not_ip"},
		{"netanalyzer", 240, cat(make([]byte, 4), eth(0x0800, q4), fcs), at4(18) + " eth 4 ports"},
		{"netanalyzer transparent", 241, cat(make([]byte, 4), unhex("55555555555555d5"), eth(0x0800, q4), fcs), at4(26) + " eth 12 ports"},
		{"broadcom", 281, cat(eth(0x0800, nil)[:12], unhex("2c000080"), be16(0x0800), q4), at4(18) + " eth 0 ports"},
		{"broadcom before", 282, cat(unhex("20000020"), eth(0x0800, q4)), at4(18) + " eth 4 ports"},
		{"dsa", 284, cat(eth(0, nil)[:12], unhex("c00a0000"), be16(0x0800), q4), at4(18) + " eth 0 ports"},
		{"dsa of vlan", 284, cat(eth(0, nil)[:12], unhex("e00a0064"), be16(0x0800), q4), at4(18) + " vlan 100 eth 0 ports"},
		{"dsa with type", 285, cat(eth(0xdada, unhex("0000 c0100539")), be16(0x86dd), q6), at6(22) + " eth 0 ports"},
		{"dsa too short", 284, cat(eth(0, nil)[:12], unhex("c00a")), "malformed_link"},
		{"erf ethernet", 197, erf(2, cat(be16(0), eth(0x0800, q4), fcs)), at4(32) + " eth 18 ports"},
		{"erf extensions", 197, erf(0x82, cat(unhex("8000000000000000 0100000000000000"), be16(0), eth(0x0800, q4))), at4(48) + " eth 34 ports"},
		{"erf extensions without end", 197, erf(0x82, unhex("8000000000000000")), "malformed_link"},
		{"erf ip", 197, erf(22, q4), at4(16) + " ports"},
		{"erf hdlc", 197, erf(1, cat(unhex("ff03 0021"), q4)), at4(20) + " ports"},
		{"erf infiniband", 197, erf(21, q4), "not_ip"},
		{"tzsp link", 128, cat(unhex("01 00 0001 00 0a02ffff 01"), eth(0x0800, q4)), at4(24) + " eth 10 ports"},
		{"tzsp without end", 128, unhex("01 00 0001 00 0aff"), "malformed_link"},

		// Of the network layer, of filters and interfaces.
		{"enc", 109, cat(unhex("02000000"), make([]byte, 8), q4), at4(12) + " ports"},
		{"enc of nothing known", 109, cat(unhex("07000000"), make([]byte, 8), q4), "not_ip"},
		{"pflog", 117, cat(unhex("3d 02"), make([]byte, 62), q4), at4(64) + " ports"},
		{"pflog ipv6", 117, cat(unhex("64 18"), make([]byte, 98), q6), at6(100) + " ports"},
		{"pflog too short", 117, cat(unhex("10 02"), make([]byte, 62), q4), "malformed_link"},
		{"pflog other", 117, cat(unhex("3d 07"), make([]byte, 62), q4), "not_ip"},
		{"ipnet", 226, cat(unhex("0102"), make([]byte, 22), q4), at4(24) + " ports"},
		{"ipnet ipv6", 226, cat(unhex("011a"), make([]byte, 22), q6), at6(24) + " ports"},
		{"ipnet version", 226, cat(unhex("0302"), make([]byte, 22), q4), "malformed_link"},
		{"nflog", 239, nflog(2, attr(le, 1, make([]byte, 4)), attr(le, 10, unhex("00")), attr(le, 9, q4)), at4(24) + " ports"},
		{"nflog big endian", 239, nflog(10, attr(be, 1, make([]byte, 4)), attr(be, 9, q6)), at6(16) + " ports"},
		{"nflog with frame's header", 239, nflog(2, attr(le, 16, eth(0x0800, nil)), attr(le, 9, q4)), at4(28) + " eth 8 ports"},
		{"nflog bridge", 239, nflog(7, attr(le, 9, q4)), at4(8) + " ports"},
		{"nflog arp", 239, nflog(7, attr(le, 9, make([]byte, 28))), "not_ip"},
		{"nflog without datagram", 239, nflog(2, attr(le, 1, make([]byte, 4))), "not_ip"},
		{"nflog attribute too short", 239, nflog(2, le16(3), le16(1), q4), "malformed_link"},
		{"nflog attribute too long", 239, nflog(2, le16(300), le16(1), q4), "malformed_link"},
		{"nflog version", 239, edit(nflog(2, attr(le, 9, q4)), 1, 1), "malformed_link"},
		{"pktap", 258, pktap(1, 1, eth(0x0800, q4)), at4(122) + " eth 108 ports"},
		{"pktap raw", 258, pktap(1, 12, q6), at6(108) + " ports"},
		{"pktap of no packet", 258, pktap(0, 1, nil), "not_ip"},
		{"pktap in pktap", 258, pktap(1, 258, pktap(1, 1, eth(0x0800, q4))), "unsupported_link"},
		{"pktap length", 258, cat(le32(4), le32(1), le32(1), eth(0x0800, q4)), "malformed_link"},
		{"pktap as user2", 149, pktap(1, 1, eth(0x0800, q4)), at4(122) + " eth 108 ports"},
		{"user2", 149, eth(0x0800, q4), "unsupported_link"},
		{"juniper ethernet", 178, juniper(0x01, eth(0x0800, q4)), at4(18) + " eth 4 ports"},
		{"juniper extensions", 178, juniper(0x81, cat(be16(3), unhex("030101"), eth(0x0800, q4))), at4(23) + " eth 9 ports"},
		{"juniper without link", 178, juniper(0x03, cat(make([]byte, 4), q4)), at4(8) + " ports"},
		{"juniper ppp", 179, juniper(0, cat(unhex("ff03 0021"), q4)), at4(8) + " ports"},
		{"juniper frame relay", 180, juniper(0, cat(unhex("1841 03cc"), q4)), at4(8) + " ports"},
		{"juniper hdlc", 181, juniper(0, cat(unhex("0f00 0800"), q4)), at4(8) + " ports"},
		{"juniper pppoe over atm", 168, juniper(0, cat(be16(0x8864), unhex("1100 0007"), be16(2+33), be16(0x0021), q4)), at4(14) + " ports in pppoe(7)"},
		{"juniper atm1", 137, juniper(0, cat(be32(0), s4)), at4(16) + " ports"},
		{"juniper atm2", 135, juniper(0, cat(make([]byte, 8), q4)), at4(12) + " ports"},
		{"juniper monitor", 164, juniper(0, cat(make([]byte, 8), q4)), at4(12) + " ports"},
		{"juniper monitor of nothing", 164, juniper(0, make([]byte, 20)), "not_ip"},
		{"juniper magic", 178, cat([]byte("MGB"), eth(0x0800, q4)), "malformed_link"},
		{"juniper extensions too long", 178, juniper(0x81, cat(be16(300), eth(0x0800, q4))), "malformed_link"},
		{"juniper es", 132, juniper(0, q4), "unsupported_link"},

		// Tags.
		{"trill", 1, eth(0x22f3, cat(be16(1<<6|5), be32(7), be32(0), eth(0x0800, q4))), at4(38) + " eth 24 ports"},
		{"redundancy tag", 1, eth(0x892f, cat(be32(9), be16(0x0800), q4)), at4(20) + " eth 0 ports"},
		{"e-tag", 1, eth(0x893f, cat(make([]byte, 6), be16(0x0800), q4)), at4(22) + " eth 0 ports"},
		{"service header in service header", 1, eth(0x894f, cat(unhex("0002 0104 00000309 0002 0101 00000409"), q4)), at4(30) + " eth 0 ports in nsh(3) in nsh(4)"},
		{"provider backbone in vlan", 1, eth(0x88a8, cat(be16(5), be16(0x88e7), be32(9), eth(0x8100, cat(be16(6), be16(0x0800), q4)))), at4(40) + " vlan 5 inner 6 eth 22 ports in pbb(9)"},

		// Tunnels.
		{"gre aruba", 101, gre(0, 0x8200, dot11(0x88, 1, cat(be16(0), s4))), at4(58) + " tods 28 ports in gre" + outer},
		{"gre aruba a-msdu", 101, gre(0, 0x8240, dot11(0x88, 2, cat(unhex("8000"), eth(len(s4), s4)))), at4(72) + " eth 50 ports in gre" + outer},
		{"gre aruba of beacon", 101, gre(0, 0x8200, dot11(0x80, 0, make([]byte, 30))), "10.0.0.1.0 > 10.0.0.2.0 proto 47 ttl 64 tos 40 ip 0+78 transport 20 payload 20+58/58"},
		{"nvgre", 101, gre(0x2000, 0x6558, cat(be32(5<<8|1), eth(0x0800, q4))), at4(42) + " eth 28 ports in gre(1281)" + outer},
		{"gre in udp", 101, u(4754, cat(be32(0x0800), q4)), at4(32) + " ports in gre" + outer},
		{"mpls in udp", 101, u(6635, cat(be32(17<<12|0x100|64), q4)), at4(32) + " ports in mpls(17)" + outer},
		{"vxlan linux", 101, u(8472, cat(be32(0x08000000), be32(5<<8), eth(0x0800, q4))), at4(50) + " eth 36 ports in vxlan(5)" + outer},
		{"vxlan generic", 101, u(4790, cat(unhex("0c000001"), be32(5<<8), q4)), at4(36) + " ports in vxlan(5)" + outer},
		{"vxlan generic ethernet", 101, u(4790, cat(unhex("0c000003"), be32(5<<8), eth(0x0800, q4))), at4(50) + " eth 36 ports in vxlan(5)" + outer},
		{"vxlan generic service header", 101, u(4790, cat(unhex("0c000004"), be32(5<<8), unhex("0002 0101 00000309"), q4)), at4(44) + " ports in vxlan(5)" + outer + " in nsh(3)"},
		{"vxlan generic of nothing", 101, u(4790, cat(unhex("0c000009"), be32(5<<8), q4)), tagless(4790, 69)},
		{"ayiya", 101, u(5072, cat(unhex("4152 1129 4af64bfd"), make([]byte, 36), q6)), at6(72) + " ports in ayiya" + outer},
		{"ayiya answer", 101, ip4(17, udpPorts(false, 5072, 40000, cat(unhex("4152 1129 4af64bfd"), make([]byte, 36), q6))), at6(72) + " ports in ayiya" + outer},
		{"ayiya echo", 101, u(5072, cat(unhex("4152 123b 4af64bfd"), make([]byte, 36), q6)), tagless(5072, 125)},
		{"capwap ethernet", 101, u(5247, cat(unhex("0010 0000 00000000"), eth(0x0800, q4))), at4(50) + " eth 36 ports in capwap" + outer},
		{"capwap wlan", 101, u(5247, cat(unhex("0010 0300 00000000"), dot11(0x08, 1, s4))), at4(68) + " tods 40 ports in capwap" + outer},
		{"capwap wlan swapped", 101, u(5247, cat(unhex("0010 0300 00000000"), edit(dot11(0x11, 0x88, cat(be16(0), s4)), 22, 0x76, 0x30))), at4(70) + " tods 40 ports in capwap" + outer},
		{"capwap keepalive", 101, u(5247, cat(unhex("0010 0008 00000000"), eth(0x0800, q4))), tagless(5247, 83)},
		{"capwap encrypted", 101, u(5247, cat(unhex("0100 0000 00000000"), eth(0x0800, q4))), tagless(5247, 83)},
		{"lwapp", 101, u(12222, cat(unhex("00 00 0041 0000"), edit(dot11(0x08, 1, s4), 0, 1, 8))), at4(66) + " tods 38 ports in lwapp" + outer},
		{"lwapp control", 101, u(12222, cat(unhex("04 00 0041 0000"), dot11(0x08, 1, s4))), tagless(12222, 99)},
		{"lwapp part", 101, u(12222, cat(unhex("02 00 0041 0000"), dot11(0x08, 1, s4))), tagless(12222, 99)},
		{"gue", 101, u(6080, cat(unhex("00 04 0000"), q4)), at4(32) + " ports in gue" + outer},
		{"gue options", 101, u(6080, cat(unhex("02 04 0000 0000000000000000"), q4)), at4(40) + " ports in gue" + outer},
		{"gue version 1", 101, u(6080, q4), at4(28) + " ports in gue" + outer},
		{"gue with gre", 101, u(6080, cat(unhex("00 2f 0000 0000 0800"), q4)), at4(36) + " ports in gue" + outer + " in gre" + outer},
		{"gue control", 101, u(6080, cat(unhex("20 04 0000"), q4)), tagless(6080, 65)},
		{"isl", 1, cat(unhex("01000c0000 00 000102030405 0048 aaaa03 000102 0006 0000 0000"), eth(0x0800, q4), unhex("deadbeef")), "10.0.0.1.1000 > 10.0.0.2.53 proto 17 ttl 64 tos 40 ip 40+33 transport 60 payload 68+5/5 eth 26 ports in isl(3)"},
		{"isl other", 1, cat(unhex("01000c0000 10 000102030405 0048 aaaa03 000102 0006 0000 0000"), eth(0x0800, q4)), "not_ip"},
		{"lisp", 101, u(4341, cat(unhex("88000001 00000501"), q4)), at4(36) + " ports in lisp(5)" + outer},
		{"tzsp", 101, u(37008, cat(unhex("01 00 0001 01"), eth(0x0800, q4))), at4(47) + " eth 33 ports in tzsp" + outer},
		{"ethernet in ip", 101, ip4(97, cat(unhex("3000"), eth(0x0800, q4))), at4(36) + " eth 22 ports in etherip" + outer},
		{"ethernet in ip of another version", 101, ip4(97, cat(unhex("4000"), eth(0x0800, q4))), "10.0.0.1.0 > 10.0.0.2.0 proto 97 ttl 64 tos 40 ip 0+69 transport 20 payload 20+49/49"},
		{"l2tp 3", 101, ip4(115, cat(be32(7), eth(0x0800, q4))), at4(38) + " eth 24 ports in l2tp(7)" + outer},
		{"l2tp 3 cookie and sublayer", 101, ip4(115, cat(be32(7), bytesOf(0xee, 12), eth(0x86dd, q6))), at6(50) + " eth 36 ports in l2tp(7)" + outer},
		{"l2tp 3 ppp", 101, ip4(115, cat(be32(7), unhex("ff03 0021"), q4)), at4(28) + " ports in l2tp(7)" + outer},
		{"l2tp 3 ip", 101, ip4(115, cat(be32(7), be32(99), q4)), at4(28) + " ports in l2tp(7)" + outer},
		{"l2tp 3 udp", 101, u(1701, cat(unhex("0003 0000"), be32(7), eth(0x0800, q4))), at4(50) + " eth 36 ports in l2tp(7)" + outer},
		{"l2tp 3 control", 101, ip4(115, cat(be32(0), eth(0x0800, q4))), "10.0.0.1.0 > 10.0.0.2.0 proto 115 ttl 64 tos 40 ip 0+71 transport 20 payload 20+51/51"},
		{"compressed payload", 101, ip4(108, cat(unhex("11 00 0002"), make([]byte, 20))), "10.0.0.1.0 > 10.0.0.2.0 proto 108 ttl 64 tos 40 ip 0+44 transport 20 payload 20+24/24"},
		{"encrypted payload", 101, ip4(50, make([]byte, 40)), "10.0.0.1.0 > 10.0.0.2.0 proto 50 ttl 64 tos 40 ip 0+60 transport 20 payload 20+40/40"},
	}
}

func bytesOf(v byte, n int) []byte { return []byte(strings.Repeat(string([]byte{v}), n)) }

// Without decapsulation the carrier has the packet; what is below IP, and AH,
// are looked through.
func TestDecodeNoDecap(t *testing.T) {
	q4 := ip4(17, udp(false, []byte(hello)))
	for _, test := range []struct {
		name  string
		link  uint32
		frame []byte
		want  string
	}{
		{"ip in ip", 101, ip4(4, q4), "10.0.0.1.0 > 10.0.0.2.0 proto 4 ttl 64 tos 40 ip 0+53 transport 20 payload 20+33/33"},
		{"gre", 101, ip4(47, cat(be32(0x0800), q4)), "10.0.0.1.0 > 10.0.0.2.0 proto 47 ttl 64 tos 40 ip 0+57 transport 20 payload 20+37/37"},
		{"vxlan", 101, ip4(17, vxlan(4096, eth(0x0800, q4))), "10.0.0.1.40000 > 10.0.0.2.4789 proto 17 ttl 64 tos 40 ip 0+83 transport 20 payload 28+55/55 ports"},
		{"mpls", 1, eth(0x8847, cat(be32(17<<12|0x100|64), q4)), u4 + " ip 18+33 transport 38 payload 46+5/5 eth 0 ports in mpls(17)"},
		{"ah", 101, ip4(51, cat([]byte{17, 4, 0, 0}, be32(9), make([]byte, 16), udp(false, []byte(hello)))), u4 + " ip 0+57 transport 44 payload 52+5/5 ports in ah(9)"},
	} {
		o, p, encaps, _ := decodeAt(&Decoder{NoDecap: true, Checksums: true}, test.link, test.frame, len(test.frame))
		q := shift(p, 3)
		if got := text(&q, encaps); o != OutcomeFlow || normal(got) != normal(test.want) {
			t.Errorf("%s: %s %s\nwant %s", test.name, o, got, test.want)
		}
	}
}

// The addresses of each layout are where the decoder says.
func TestDecodeMACs(t *testing.T) {
	s4 := snap(0x0800, ip4(17, udp(false, []byte(hello))))
	for _, test := range []struct {
		name     string
		frame    []byte
		dst, src byte // the addresses' last bytes
	}{
		{"within", dot11(0x08, 0, s4), 0x0a, 0x0b},
		{"to", dot11(0x08, 1, s4), 0x0c, 0x0b},
		{"from", dot11(0x08, 2, s4), 0x0a, 0x0c},
		{"four", dot11(0x08, 3, s4), 0x0c, 0x0d},
		{"a-msdu", dot11(0x88, 2, cat(unhex("8000"), eth(len(s4), s4))), 2, 1},
	} {
		o, p, _, data := decodeAt(&Decoder{}, linkWLAN, test.frame, len(test.frame))
		dst, src := p.MACs.Offsets()
		if at := data[p.Link:]; o != OutcomeFlow || p.Flags&flows.HasEthernet == 0 || at[dst+5] != test.dst || at[src+5] != test.src || at[dst] != 2 || at[src] != 2 {
			t.Errorf("%s: %s, % x, % x", test.name, o, at[dst:dst+6], at[src:src+6])
		}
	}
}

// Every link type with a name is decoded or counted as unsupported, and the
// decoder and Decodes say the same of it.
func TestDecodes(t *testing.T) {
	decoded := 0
	for link := range uint16(400) {
		if !Decodes(link) {
			continue
		}
		decoded++
		if name := LinkTypeName(link); strings.HasPrefix(name, "linktype_") {
			t.Errorf("link type %d is decoded and has no name", link)
		}
	}
	for _, link := range []uint16{1, 9, 105, 127, 192, 226, 239, 258, 284} {
		if !Decodes(link) {
			t.Errorf("link type %d is not decoded", link)
		}
	}
	for _, link := range []uint16{linkUSBLinux, 195, 201, 227, 271, 65535} {
		if Decodes(link) {
			t.Errorf("link type %d is decoded", link)
		}
	}
	if decoded < 60 {
		t.Errorf("%d link types", decoded)
	}
}
