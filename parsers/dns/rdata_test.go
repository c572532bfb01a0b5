package dns

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// wireName returns the uncompressed wire form of a name without escapes.
func wireName(s string) string {
	if s == "." {
		return "\x00"
	}
	var b strings.Builder
	for _, label := range strings.Split(s, ".") {
		b.WriteByte(byte(len(label)))
		b.WriteString(label)
	}
	b.WriteByte(0)
	return b.String()
}

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func un64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// charString returns a character-string.
func charString(s string) string { return string([]byte{byte(len(s))}) + s }

const (
	rsaKey = "AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==" // RFC 4025 section 3.2
	hipKey = "AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D"
)

// rdataTests has each type of the registry at least once, with the values of
// its RFC's examples where there are any.
var rdataTests = []struct {
	typ  string
	wire string
	want string
}{
	{"A", unhex("c0000201"), "192.0.2.1"},
	{"NS", wireName("venera.isi.edu"), "venera.isi.edu"},
	{"NS", wireName("."), "."},
	{"MD", wireName("md.example"), "md.example"},
	{"MF", wireName("mf.example"), "mf.example"},
	{"CNAME", wireName("Dotted-Case.Example"), "Dotted-Case.Example"},
	{"SOA", wireName("venera.isi.edu") + "\x0eaction.domains\x03isi\x03edu\x00" + unhex("00000014 00001c20 00000258 0036ee80 0000003c"),
		`venera.isi.edu action\.domains.isi.edu 20 7200 600 3600000 60`}, // RFC 1035 section 5.3
	{"MB", wireName("mb.example"), "mb.example"},
	{"MG", wireName("mg.example"), "mg.example"},
	{"MR", wireName("mr.example"), "mr.example"},
	{"NULL", "\x01\xff", `\# 2 01FF`},
	{"NULL", "", `\# 0`},
	{"WKS", unhex("0a000001 06 00000040"), "10.0.0.1 6 25"}, // RFC 1035 section 3.4.2
	{"PTR", "\x0bLiving Room\x08_airplay\x04_tcp\x05local\x00", `Living\032Room._airplay._tcp.local`},
	{"PTR", "\x08" + `"$().;@\` + "\x03\x00\x7f\xff\x00", `\"\$\(\)\.\;\@\\.\000\127\255`},
	{"HINFO", charString("DEC-2060") + charString("TOPS20"), `"DEC-2060" "TOPS20"`},
	{"MINFO", wireName("r.example") + wireName("e.example"), "r.example e.example"},
	{"MX", "\x00\x0a" + wireName("venera.isi.edu"), "10 venera.isi.edu"},
	{"TXT", charString("color=blue"), `"color=blue"`}, // RFC 1464
	{"TXT", charString(`a "b" \ `) + charString("") + charString("\x00\x1f\x7f\x80\xff"), `"a \"b\" \\ " "" "\000\031\127\128\255"`},
	{"RP", wireName("louie.trantor.umd.edu") + wireName("lam1.people.umd.edu"), "louie.trantor.umd.edu lam1.people.umd.edu"}, // RFC 1183
	{"AFSDB", "\x00\x01" + wireName("bigbird.toaster.com"), "1 bigbird.toaster.com"},
	{"X25", charString("311061700956"), `"311061700956"`},
	{"ISDN", charString("150862028003217") + charString("004"), `"150862028003217" "004"`},
	{"ISDN", charString("150862028003217"), `"150862028003217"`},
	{"RT", "\x00\x02" + wireName("relay.prime.com"), "2 relay.prime.com"},
	{"NSAP", unhex("47000580005a0000000001e133ffffff00016100"), "0x47000580005A0000000001E133FFFFFF00016100"}, // RFC 1706
	{"NSAP-PTR", wireName("foo.example"), "foo.example"},
	{"SIG", unhex("0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52") + wireName("example.com") + un64("oJB1W6WNGv+ldvQ3WDG0MQ=="),
		"A 5 3 86400 20030322173103 20030220173103 2642 example.com oJB1W6WNGv+ldvQ3WDG0MQ=="},
	{"KEY", unhex("0100 03 05") + un64("AQPSKmynfzW4kyBv015MUG2DeIQ3"), "256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3"},
	{"KEY", unhex("c000 03 05"), "49152 3 5"},
	{"PX", "\x00\x32" + wireName("it") + wireName("ADMD-garr.C-it"), "50 it ADMD-garr.C-it"},                       // RFC 2163
	{"GPOS", charString("-32.6882") + charString("116.8652") + charString("10.0"), `"-32.6882" "116.8652" "10.0"`}, // RFC 1712
	{"AAAA", unhex("43210000000100020003000405670089"), "4321:0:1:2:3:4:567:89"},
	{"AAAA", unhex("00000000000000000000ffffc0000201"), "::ffff:192.0.2.1"},
	{"LOC", unhex("00 33 16 13 89172dd0 70be15f0 00988d20"), "42 21 54.000 N 71 6 18.000 W -24.00m 30m 10000m 10m"}, // RFC 1876
	{"LOC", unhex("00 20 00 59 80000000 80000001 00989691"), "0 0 0.000 N 0 0 0.001 E 0.17m 0.02m 0.00m 50000000m"}, // extremes of the sizes
	{"LOC", unhex("01 33"), `\# 2 0133`},                                                                            // no other version has a format
	{"NXT", wireName("medium.foo.nil") + unhex("400100 82"), "medium.foo.nil A MX SIG NXT"},                         // RFC 2535 section 5.3
	{"EID", unhex("e32c6f78163a9348"), "E32C6F78163A9348"},                                                          // draft-ietf-nimrod-dns
	{"NIMLOC", unhex("75234159eac457800920"), "75234159EAC457800920"},                                               // draft-ietf-nimrod-dns
	{"SRV", unhex("0000 0001 0009") + wireName("old-slow-box.example.com"), "0 1 9 old-slow-box.example.com"},       // RFC 2782
	{"ATMA", "\x01" + "61200123", "+61200123"},                                                                      // af-saa-0069
	{"ATMA", unhex("00 39246f000e7c9c0312000100010000123456780000"), "39246F000E7C9C0312000100010000123456780000"},  // af-saa-0069
	{"NAPTR", unhex("0064 0032") + charString("s") + charString("http+I2L+I2C+I2R") + charString("") + wireName("_http._tcp.gatech.edu"),
		`100 50 "s" "http+I2L+I2C+I2R" "" _http._tcp.gatech.edu`}, // RFC 2915
	{"KX", "\x00\x02" + wireName("rt1.example.org"), "2 rt1.example.org"}, // RFC 2230
	{"CERT", unhex("0001 fffe 08") + un64("MxFcby9k/yvedMfQgKzhH5er0Mu/vILz45IkskceFGgi"), "PKIX 65534 8 MxFcby9k/yvedMfQgKzhH5er0Mu/vILz45IkskceFGgi"},
	{"CERT", unhex("0009 0000 00 01"), "9 0 0 AQ=="},
	{"A6", unhex("00 234500c1ca110001123456789abcdef0"), "0 2345:c1:ca11:1:1234:5678:9abc:def0"}, // RFC 2874
	{"A6", unhex("40 123456789abcdef0") + wireName("subnet-1.ip6.example.com"), "64 ::1234:5678:9abc:def0 subnet-1.ip6.example.com"},
	{"A6", unhex("80") + wireName("x.example"), "128 x.example"},
	{"DNAME", wireName("frobozz-division.acme.example"), "frobozz-division.acme.example"},
	{"SINK", unhex("01 02 03 ff"), "1 2 3 /w=="},
	{"APL", unhex("0001 15 03 c0a820 0001 1c 84 c0a82600"), "1:192.168.32.0/21 !1:192.168.38.0/28"}, // RFC 3123
	{"APL", unhex("0001 04 01 e0 0002 08 01 ff"), "1:224.0.0.0/4 2:ff00::/8"},
	{"APL", "", ""},
	{"DS", unhex("ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118"), "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"}, // RFC 4034 section 5.4
	{"SSHFP", unhex("02 01 123456789abcdef67890123456789abcdef67890"), "2 1 123456789ABCDEF67890123456789ABCDEF67890"},         // RFC 4255
	{"IPSECKEY", unhex("0a 01 02 c0000226") + un64(rsaKey), "10 1 2 192.0.2.38 " + rsaKey},                                     // RFC 4025
	{"IPSECKEY", unhex("0a 00 02") + un64(rsaKey), "10 0 2 . " + rsaKey},
	{"IPSECKEY", unhex("0a 02 02 20010db8000080020000000020000001") + un64(rsaKey), "10 2 2 2001:db8:0:8002::2000:1 " + rsaKey},
	{"IPSECKEY", unhex("0a 03 02") + wireName("mygateway.example.com") + un64(rsaKey), "10 3 2 mygateway.example.com " + rsaKey},
	{"RRSIG", unhex("0001 05 03 00015180 3e7c9dd7 3e5510d7 0a52") + wireName("example.com") + un64("oJB1W6WNGv+ldvQ3WDG0MQ=="),
		"A 5 3 86400 20030322173103 20030220173103 2642 example.com oJB1W6WNGv+ldvQ3WDG0MQ=="}, // RFC 4034 section 3.3
	{"NSEC", wireName("host.example.com") + unhex("0006400100000003 041b 000000000000000000000000000000000000000000000000000020"),
		"host.example.com A MX RRSIG NSEC TYPE1234"}, // RFC 4034 section 4.3
	{"DNSKEY", unhex("0100 03 05") + un64("AQPSKmynfzW4kyBv015MUG2DeIQ3"), "256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3"},
	{"DHCID", un64("AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="), "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="}, // RFC 4701
	{"NSEC3", unhex("01 01 000c 04 aabbccdd 14 174eb2409fe28bcb4887a1836f957f0a8425e27b 0007 2201000000 0290"),
		"1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR NS SOA MX RRSIG DNSKEY NSEC3PARAM"}, // RFC 5155 appendix A
	{"NSEC3", unhex("01 00 0000 00 01 00"), "1 0 0 - 00"},
	{"NSEC3PARAM", unhex("01 00 000c 04 aabbccdd"), "1 0 12 AABBCCDD"},
	{"TLSA", unhex("00 00 01 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
		"0 0 1 D2ABDE240D7CD3EE6B4B28C54DF034B97983A1D16E8A410E4561CB106618E971"}, // RFC 6698
	{"SMIMEA", unhex("03 00 00 0102"), "3 0 0 0102"},
	{"HIP", unhex("10 02 0084 200100107b1a74df365639cc39f1d578") + un64(hipKey) + wireName("rvs1.example.com") + wireName("rvs2.example.com"),
		"2 200100107B1A74DF365639CC39F1D578 " + hipKey + " rvs1.example.com rvs2.example.com"}, // RFC 8005
	{"NINFO", charString("zone status"), `"zone status"`},
	{"RKEY", unhex("0000 01 01") + un64("qrvM"), "0 1 1 qrvM"},
	{"TALINK", wireName("h0.example") + wireName("h2.example"), "h0.example h2.example"},
	{"CDS", unhex("0000 00 00 00"), "0 0 0 00"},       // RFC 8078
	{"CDNSKEY", unhex("0000 03 00 00"), "0 3 0 AA=="}, // RFC 8078
	{"OPENPGPKEY", un64("mQENBFVHm5sBCACr"), "mQENBFVHm5sBCACr"},
	{"CSYNC", unhex("00000042 0003 0004 60000008"), "66 3 A NS AAAA"}, // RFC 7477
	{"ZONEMD", unhex("7848b78c 01 01 c68090d90a7aed716bc459f9340e3d7c"), "2018031500 1 1 C68090D90A7AED716BC459F9340E3D7C"},
	// RFC 9460 appendix D.
	{"HTTPS", unhex("0000") + wireName("foo.example.com"), "0 foo.example.com"},
	{"SVCB", unhex("0001 00"), "1 ."},
	{"SVCB", unhex("0010") + wireName("foo.example.com") + unhex("0003 0002 0035"), "16 foo.example.com port=53"},
	{"SVCB", unhex("0001") + wireName("foo.example.com") + unhex("029b 0005 68656c6c6f"), `1 foo.example.com key667="hello"`},
	{"SVCB", unhex("0001") + wireName("foo.example.com") + unhex("029b 0009 68656c6c6fd2716f6f"), `1 foo.example.com key667="hello\210qoo"`},
	{"SVCB", unhex("0001") + wireName("foo.example.com") + unhex("0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001"),
		"1 foo.example.com ipv6hint=2001:db8::1,2001:db8::53:1"},
	{"SVCB", unhex("0010") + wireName("foo.example.org") + unhex("0000 0004 00010004 0001 0009 02 6832 05 68332d3139 0004 0004 c0000201"),
		`16 foo.example.org mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1`},
	{"SVCB", unhex("0010") + wireName("foo.example.org") + unhex("0001 000c 08 665c6f6f2c626172 02 6832"), `16 foo.example.org alpn="f\\\\oo\\,bar,h2"`},
	{"HTTPS", unhex("0001 00 0002 0000 0005 0003 aabbcc 0007 0010") + "/dns-query{?dns}" + unhex("0008 0000 0009 0004 001d0017"),
		`1 . no-default-alpn ech=qrvM dohpath="/dns-query{?dns}" ohttp tls-supported-groups=29,23`},
	{"DSYNC", unhex("003b 01 14ef") + wireName("cds-scanner.example.net"), "CDS NOTIFY 5359 cds-scanner.example.net"}, // RFC 9859
	{"DSYNC", unhex("003b 80 14ef 00"), "CDS 128 5359 ."},
	{"HHIT", "\x01\x02", "AQI="},
	{"BRID", "\x01\x02", "AQI="},
	{"SPF", charString("v=spf1 +all"), `"v=spf1 +all"`},
	{"UINFO", "\x01", `\# 1 01`},
	{"UID", "\x01", `\# 1 01`},
	{"GID", "\x01", `\# 1 01`},
	{"UNSPEC", "\x01", `\# 1 01`},
	{"NID", unhex("000a 00144fffff20ee64"), "10 0014:4fff:ff20:ee64"}, // RFC 6742
	{"L32", unhex("000a 0a010200"), "10 10.1.2.0"},
	{"L64", unhex("000a 20010db811401000"), "10 2001:0db8:1140:1000"},
	{"LP", unhex("000a") + wireName("l64-subnet1.example.com"), "10 l64-subnet1.example.com"},
	{"EUI48", unhex("00005e00532a"), "00-00-5e-00-53-2a"}, // RFC 7043
	{"EUI64", unhex("00005eef1000002a"), "00-00-5e-ef-10-00-00-2a"},
	{"TKEY", wireName("gss-tsig") + unhex("3e5510d7 3e7c9dd7 0003 0012 0002 abcd 0000"), "gss-tsig 1045762263 1048354263 3 BADTIME 2 q80= 0"},
	{"TSIG", wireName("hmac-md5.sig-alg.reg.int") + unhex("00003d635e3b 012c 0003 aabbcc 1234 0010 0000"), "hmac-md5.sig-alg.reg.int 1029922363 300 3 qrvM 4660 BADSIG 0"},
	{"URI", unhex("000a 0001") + "ftp://ftp1.example.com/public", `10 1 "ftp://ftp1.example.com/public"`},                  // RFC 7553
	{"CAA", "\x00" + charString("issue") + "ca1.example.net; account=230123", `0 issue "ca1.example.net; account=230123"`}, // RFC 8659
	{"CAA", "\x80" + charString("tbs") + "Unknown", `128 tbs "Unknown"`},
	{"AVC", charString("app-name:WOLFGANG|app-class:OAM"), `"app-name:WOLFGANG|app-class:OAM"`},
	{"DOA", unhex("499602d2 00000001 02") + charString("") + "hello", `1234567890 1 2 "" aGVsbG8=`}, // draft-durand-doa-over-dns
	{"DOA", unhex("00000000 00000001 02") + charString("text/plain"), `0 1 2 "text/plain" -`},
	{"AMTRELAY", unhex("0a 01 cb00710f"), "10 0 1 203.0.113.15"}, // RFC 8777
	{"AMTRELAY", unhex("0a 02 20010db8000000000000000000000015"), "10 0 2 2001:db8::15"},
	{"AMTRELAY", unhex("80 83") + wireName("amtrelays.example.com"), "128 1 3 amtrelays.example.com"},
	{"AMTRELAY", unhex("0a 00"), "10 0 0 ."},
	{"RESINFO", charString("qnamemin") + charString("exterr=15-17"), `"qnamemin" "exterr=15-17"`}, // RFC 9606
	{"WALLET", charString("ETH") + charString("0x1234"), `"ETH" "0x1234"`},
	{"CLA", charString("TCP-v4-v6"), `"TCP-v4-v6"`},
	{"IPN", unhex("0000000200000001"), "8589934593"},
	{"TA", unhex("ec45 05 01 2bb1"), "60485 5 1 2BB1"},
	{"DLV", unhex("ec45 05 01 2bb1"), "60485 5 1 2BB1"},
	{"TYPE731", unhex("abcdef012345"), `\# 6 ABCDEF012345`}, // RFC 3597 section 5
}

func typeNumber(t *testing.T, name string) uint16 {
	for n := range 1 << 16 {
		if string(AppendType(nil, uint16(n))) == name {
			return uint16(n)
		}
	}
	t.Fatalf("no type is called %s", name)
	return 0
}

func TestRdata(t *testing.T) {
	for _, tt := range rdataTests {
		// In the middle of something, so that an overrun is seen.
		msg := append(make([]byte, headerLen), tt.wire...)
		msg = append(msg, "\x01x\x00\xff\xff"...)
		got, ok := appendRdata([]byte("before "), msg, headerLen, headerLen+len(tt.wire), typeNumber(t, tt.typ), classIN)
		if string(got) != "before "+tt.want || !ok {
			t.Errorf("%s %x\ngot  %s %v\nwant before %s true", tt.typ, tt.wire, got, ok, tt.want)
		}
	}
}

// TestRdataOfEveryType holds the table above to the registry.
func TestRdataOfEveryType(t *testing.T) {
	seen := map[string]bool{"OPT": true, "NXNAME": true, "IXFR": true, "AXFR": true, "MAILB": true, "MAILA": true, "ANY": true}
	for _, tt := range rdataTests {
		seen[tt.typ] = true
	}
	for n := range 1 << 16 {
		if name := TypeName(uint16(n)); name != "" && !seen[name] {
			t.Errorf("no test of %s", name)
		}
	}
}

// TestRdataCut gives each record's data cut short and lengthened: it is in
// its format still, or in the unknown form; and never reads behind its end.
func TestRdataCut(t *testing.T) {
	for _, tt := range rdataTests {
		typ := typeNumber(t, tt.typ)
		for n := range len(tt.wire) + 2 {
			wire := (tt.wire + "\x00")[:n]
			msg := append(make([]byte, headerLen), wire...)
			a, okA := appendRdata(nil, msg, headerLen, len(msg), typ, classIN)
			msg = append(msg, "\x01x\x00\xc0\x0c\xff\xff\xff\xff\xff\xff\xff\xff"...)
			b, okB := appendRdata(nil, msg, headerLen, headerLen+n, typ, classIN)
			if string(a) != string(b) || okA != okB {
				t.Errorf("%s %x: what follows changes the text from %s to %s", tt.typ, wire, a, b)
			}
			if !okA && string(a) != string(appendUnknown(nil, []byte(wire))) {
				t.Errorf("%s %x: %s is not the unknown form", tt.typ, wire, a)
			}
		}
	}
}

func TestMalformedRdata(t *testing.T) {
	for _, tt := range []struct {
		typ, wire string
	}{
		{"A", ""}, {"A", "abc"}, {"A", "abcde"}, {"AAAA", "abc"},
		{"NS", ""}, {"NS", "\x01"}, {"NS", "\x01a\x00x"}, {"NS", "\x40a\x00"}, {"NS", "\xc0\x20"},
		{"TXT", ""}, {"TXT", "\x02a"},
		{"HINFO", "\x01a"}, {"HINFO", "\x01a\x01b\x00"}, {"ISDN", "\x01a\x01b\x01c"},
		{"NSEC", "\x00\x00\x00"}, {"NSEC", "\x00\x01\x01\x40\x00\x01\x40"}, {"NSEC", "\x00\x00\x21" + strings.Repeat("\xff", 33)},
		{"LOC", unhex("00 a3 16 13 89172dd0 70be15f0 00988d20")}, {"LOC", unhex("00 33 16 13 ffffffff 70be15f0 00988d20")},
		{"CAA", "\x00\x00x"}, {"CAA", "\x00\x02a-x"},
		{"HIP", unhex("01 02 0001 01 01 c000")}, {"HIP", unhex("01 02 0001 01 01 01 41 c00c")},
		{"SVCB", unhex("0001 00 0003 0003 003500")}, {"SVCB", unhex("0001 00 0003 0002 0035 0003 0002 0035")},
		{"SVCB", unhex("0001 00 0001 0003 04 6832")}, {"SVCB", unhex("0001 00 0001 0000")}, {"SVCB", unhex("0001 00 0002 0001 00")},
		{"SVCB", unhex("0001 00 0001 0002 00 00")}, {"SVCB", unhex("0001 00 0004 0003 c00002")}, {"SVCB", unhex("0001 00 0004 0000")},
		{"IPSECKEY", unhex("0a 04 02")}, {"APL", unhex("0001 21 01 c0")}, {"APL", unhex("0001 20 05 c000020101")},
		{"A6", "\x81"}, {"ATMA", "\x01x"}, {"NXNAME", ""}, {"NXNAME", "x"}, {"NXT", "\x00" + strings.Repeat("\xff", 17)},
	} {
		msg := append(make([]byte, headerLen), tt.wire...)
		got, ok := appendRdata(nil, msg, headerLen, len(msg), typeNumber(t, tt.typ), classIN)
		if want := string(appendUnknown(nil, []byte(tt.wire))); string(got) != want || ok {
			t.Errorf("%s %x: got %s %v, want %s false", tt.typ, tt.wire, got, ok, want)
		}
	}
}

func TestRdataByClass(t *testing.T) {
	msg := append(make([]byte, headerLen), "\x02ch\x00\x01\xff"...)
	if got, ok := appendRdata(nil, msg, headerLen, len(msg), typeA, classCH); string(got) != "ch 777" || !ok {
		t.Errorf("A in CH: %s %v", got, ok)
	}
	for _, class := range []uint16{classAny, classNone} {
		if got, ok := appendRdata(nil, msg, headerLen, headerLen, typeA, class); len(got) != 0 || !ok {
			t.Errorf("no data in class %d: %s %v", class, got, ok)
		}
	}
}

// TestRdataBudget: no data's text is beyond its budget and the unknown form.
func TestRdataBudget(t *testing.T) {
	var bits strings.Builder
	bits.WriteByte(0)
	for window := range 256 {
		bits.WriteByte(byte(window))
		bits.WriteByte(32)
		bits.WriteString(strings.Repeat("\xff", 32))
	}
	for typ, wire := range map[uint16]string{
		typeNSEC: bits.String(),
		typeWKS:  "\x01\x02\x03\x04\x06" + strings.Repeat("\xff", 8<<10),
		typeHIP:  "\x01\x02\x00\x01\x01\x01" + strings.Repeat("\x01a\x00", 8<<10),
		typeTXT:  strings.Repeat("\xff"+strings.Repeat("\x00", 255), 200),
	} {
		msg := append(make([]byte, headerLen), wire...)
		got, ok := appendRdata(nil, msg, headerLen, len(msg), typ, classIN)
		if !ok {
			t.Errorf("type %d is malformed", typ)
		}
		if len(got) > textBudget(len(wire)) {
			t.Errorf("type %d: %d bytes became %d", typ, len(wire), len(got))
		}
	}
}

func TestDates(t *testing.T) {
	for _, tt := range []struct {
		at   uint32
		want string
	}{
		{0, "19700101000000"}, {951782399, "20000228235959"}, {951782400, "20000229000000"}, {951868800, "20000301000000"},
		{1e9, "20010909014640"}, {1<<31 - 1, "20380119031407"}, {1<<32 - 1, "21060207062815"}, {4107542399, "21000228235959"}, {4107542400, "21000301000000"},
	} {
		if got := string(appendDate(nil, tt.at)); got != tt.want {
			t.Errorf("%d: got %s, want %s", tt.at, got, tt.want)
		}
	}
}
