package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func create(t testing.TB, template *x509.Certificate, public, private any) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// sample is a certificate with about everything.
func sample(t testing.TB) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return create(t, &x509.Certificate{
		SerialNumber: big.NewInt(0x0100fe),
		Subject: pkix.Name{CommonName: "www.example.com", Organization: []string{`Ex, "ample" + Co`}, Country: []string{"SE"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: "x"}}},
		NotBefore: time.Date(2024, 2, 29, 12, 34, 56, 0, time.UTC), NotAfter: time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC),
		DNSNames: []string{"www.example.com", "*.example.net"}, EmailAddresses: []string{"root@example.com"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7), net.ParseIP("2001:db8::1")}, URIs: []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/a"}},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageDecipherOnly,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999}},
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 3,
	}, &key.PublicKey, key)
}

func TestParseCertificate(t *testing.T) {
	got := ParseCertificate(sample(t))
	want := Certificate{
		Version: 3, Serial: "0100FE",
		Subject: `1.2.3.4=#130178,CN=www.example.com,O=Ex\, \"ample\" \+ Co,C=SE`, Issuer: `1.2.3.4=#130178,CN=www.example.com,O=Ex\, \"ample\" \+ Co,C=SE`,
		CommonName: "www.example.com",
		NotBefore:  1709210096 * 1e9, NotAfter: 2524607999 * 1e9, HasNotBefore: true, HasNotAfter: true,
		KeyType: "ec", KeyBits: 256, Curve: "secp256r1", SignatureAlgorithm: "ecdsa-with-SHA256",
		HasSAN: true, DNS: []string{"www.example.com", "*.example.net"}, IPs: []string{"192.0.2.7", "2001:db8::1"},
		Emails: []string{"root@example.com"}, URIs: []string{"spiffe://example.org/a"},
		HasBasicConstraints: true, IsCA: true, HasIsCA: true, PathLen: 3,
		KeyUsage: []string{"digital_signature", "key_cert_sign", "decipher_only"}, ExtKeyUsage: []string{"server_auth", "1.3.6.1.4.1.99999"},
		SelfSigned: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

func TestKeys(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := ParseCertificate(create(t, template, &rsaKey.PublicKey, rsaKey))
	if c.KeyType != "rsa" || c.KeyBits != 2048 || c.SignatureAlgorithm != "sha256WithRSAEncryption" || c.Malformed != "" {
		t.Errorf("%+v", c)
	}
	if !c.HasNotBefore || c.NotBefore != 0 || c.HasNotAfter {
		t.Errorf("validity %+v", c)
	}
	c = ParseCertificate(create(t, template, edKey.Public(), edKey))
	if c.KeyType != "ed25519" || c.KeyBits != 256 || c.SignatureAlgorithm != "Ed25519" {
		t.Errorf("%+v", c)
	}
}

// TestBrokenCertificate: what is wrong costs its own field alone.
func TestBrokenCertificate(t *testing.T) {
	good := sample(t)
	replace := func(old, new string) []byte {
		if len(old) != len(new) || !bytes.Contains(good, []byte(old)) {
			t.Fatalf("%q to %q", old, new)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	whole := ParseCertificate(good)
	for _, c := range []struct {
		name  string
		der   []byte
		check func(c *Certificate) bool
	}{
		{"negative serial", replace("\x02\x03\x01\x00\xfe", "\x02\x03\xff\x00\xfe"), func(c *Certificate) bool { return c.Serial == "-FF02" && c.Subject == whole.Subject }},
		{"date", replace("240229123456Z", "241329123456Z"), func(c *Certificate) bool { return !c.HasNotBefore && c.HasNotAfter && slices.Equal(c.DNS, whole.DNS) }},
		{"no zone", replace("240229123456Z", "2402291234567"), func(c *Certificate) bool { return !c.HasNotBefore && c.HasNotAfter }},
		{"ip of three bytes", replace("\x87\x04\xc0\x00\x02\x07\x87\x10", "\x87\x03\xc0\x00\x02\x88\x00\x10"), func(c *Certificate) bool { return len(c.DNS) == 2 && c.KeyType == "ec" }},
		{"name with a zero", replace("www.example.com", "www\x00example.com"), func(c *Certificate) bool { return strings.Contains(c.Issuer, `CN=www\00example.com`) }},
		{"bytes after it", append(bytes.Clone(good), 0), func(c *Certificate) bool { return c.Subject == whole.Subject && c.KeyBits == 256 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ParseCertificate(c.der)
			if got.Malformed == "" || !c.check(&got) {
				t.Errorf("%+v", got)
			}
		})
	}
	for n := range good {
		c := ParseCertificate(good[:n])
		if c.Malformed == "" {
			t.Fatalf("the first %d bytes are a certificate", n)
		}
	}
}

func TestSerial(t *testing.T) {
	for in, want := range map[string]string{"\x00": "00", "\x05": "05", "\x00\x80": "80", "\xff": "-01", "\x80": "-80", "\x80\x00": "-8000", "\x01\x00": "0100", "": ""} {
		if got := serialText([]byte(in)); got != want {
			t.Errorf("%x: %s, want %s", in, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		tag   byte
		text  string
		want  string // RFC 3339; "" for none
		valid bool
	}{
		{tagUTCTime, "700101000000Z", "1970-01-01T00:00:00Z", true},
		{tagUTCTime, "491231235959Z", "2049-12-31T23:59:59Z", true},
		{tagUTCTime, "500101000000Z", "1950-01-01T00:00:00Z", true},
		{tagUTCTime, "0002291200Z", "2000-02-29T12:00:00Z", true},
		{tagUTCTime, "000229120000+0130", "2000-02-29T10:30:00Z", true},
		{tagUTCTime, "010229120000Z", "", false},
		{tagUTCTime, "", "", false},
		{tagUTCTime, "700101000000", "", false},
		{tagGeneralizedTime, "20500101000000Z", "2050-01-01T00:00:00Z", true},
		{tagGeneralizedTime, "20500101000000.123Z", "2050-01-01T00:00:00Z", true},
		{tagGeneralizedTime, "16800101000000Z", "1680-01-01T00:00:00Z", true},
		{tagGeneralizedTime, "99991231235959Z", "", true},
		{tagGeneralizedTime, "00000101000000Z", "", true},
		{tagGeneralizedTime, "20501301000000Z", "", false},
		{tagIA5String, "700101000000Z", "", false},
	} {
		ns, valid, ok := derTime(c.tag, []byte(c.text))
		if valid != c.valid || ok != (c.want != "") || ok && time.Unix(0, ns).UTC().Format(time.RFC3339) != c.want {
			t.Errorf("%q: %s %v %v", c.text, time.Unix(0, ns).UTC(), valid, ok)
		}
	}
	for day := int64(-100000); day < 100000; day += 13 {
		y, m, d := time.Unix(day*86400, 0).UTC().Date()
		if got := daysSinceEpoch(y, int(m), d); got != day {
			t.Fatalf("%d-%d-%d: %d, want %d", y, m, d, got, day)
		}
	}
}

func TestMatchesName(t *testing.T) {
	c := Certificate{HasSAN: true, DNS: []string{"example.com", "*.example.net"}, IPs: []string{"192.0.2.1", "2001:db8::1"}, CommonName: "other.com"}
	for name, want := range map[string]bool{
		"example.com": true, "EXAMPLE.com": true, "example.com.": true, "www.example.com": false, "a.example.net": true, "a.b.example.net": false,
		"example.net": false, "192.0.2.1": true, "192.0.2.2": false, "2001:DB8:0::1": true, "other.com": false, "": false, ".example.net": false,
	} {
		if c.MatchesName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if c = (Certificate{CommonName: "other.com"}); !c.MatchesName("other.com") {
		t.Error("common name without alternative names")
	}
}

// agree checks a certificate against crypto/x509, where that reads it.
func agree(t *testing.T, der []byte) {
	t.Helper()
	c := ParseCertificate(der)
	for _, s := range []string{c.Subject, c.Issuer, c.CommonName, c.Serial, c.Malformed, c.KeyType, strings.Join(c.DNS, ""), strings.Join(c.URIs, ""), strings.Join(c.Emails, "")} {
		if !utf8.ValidString(s) {
			t.Fatalf("%q is no text", s)
		}
	}
	x, err := x509.ParseCertificate(der)
	if err != nil {
		if c.Malformed == "" {
			t.Fatal("refused by crypto/x509 alone: ", err)
		}
		return
	}
	if c.Version != x.Version || c.SelfSigned && !bytes.Equal(x.RawIssuer, x.RawSubject) {
		t.Errorf("version %d, self-signed %v", c.Version, c.SelfSigned)
	}
	if n, ok := new(big.Int).SetString(c.Serial, 16); !ok || n.Cmp(x.SerialNumber) != 0 {
		t.Errorf("serial %s, want %x", c.Serial, x.SerialNumber)
	}
	if c.HasNotBefore && c.NotBefore != x.NotBefore.UnixNano() || c.HasNotAfter && c.NotAfter != x.NotAfter.UnixNano() {
		t.Errorf("validity %d to %d, want %v to %v", c.NotBefore, c.NotAfter, x.NotBefore, x.NotAfter)
	}
	if c.HasNotAfter != (x.NotAfter.Year() < 2262 && x.NotAfter.Year() > 1677) {
		t.Errorf("not_after known: %v, %v", c.HasNotAfter, x.NotAfter)
	}
	clean := func(list []string) (out []string) {
		for _, s := range list {
			out = append(out, cleanText(s))
		}
		return out
	}
	if c.HasSAN && c.Malformed == "" && (!slices.Equal(c.DNS, clean(x.DNSNames)) || !slices.Equal(c.Emails, clean(x.EmailAddresses)) || len(c.IPs) != len(x.IPAddresses) || len(c.URIs) != len(x.URIs)) {
		t.Errorf("names %q %q %q %q, want %q %q %q %q", c.DNS, c.Emails, c.IPs, c.URIs, x.DNSNames, x.EmailAddresses, x.IPAddresses, x.URIs)
	}
	if c.Malformed == "" && x.BasicConstraintsValid && (c.IsCA != x.IsCA || x.IsCA && c.PathLen != x.MaxPathLen && !(x.MaxPathLen == 0 && !x.MaxPathLenZero)) {
		t.Errorf("ca %v %d, want %v %d", c.IsCA, c.PathLen, x.IsCA, x.MaxPathLen)
	}
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		if c.KeyType != "rsa" || c.KeyBits != k.N.BitLen() {
			t.Errorf("key %s %d", c.KeyType, c.KeyBits)
		}
	case *ecdsa.PublicKey:
		if c.KeyType != "ec" || c.KeyBits != k.Curve.Params().BitSize {
			t.Errorf("key %s %d", c.KeyType, c.KeyBits)
		}
	}
	if c.CommonName != cleanText(x.Subject.CommonName) && strings.Count(c.Subject, "CN=") == 1 {
		t.Errorf("common name %q, want %q", c.CommonName, x.Subject.CommonName)
	}
}

// What a certificate says of being an authority's, by version and extensions.
func TestIsCA(t *testing.T) {
	item := func(tag byte, parts ...string) string {
		s := strings.Join(parts, "")
		if len(s) > 127 {
			return string([]byte{tag, 0x81, byte(len(s))}) + s
		}
		return string([]byte{tag, byte(len(s))}) + s
	}
	const (
		name  = "\x30\x00"
		alg   = "\x30\x05\x06\x03\x2b\x65\x70"
		valid = "\x30\x1e\x17\x0d240101000000Z\x17\x0d250101000000Z"
		oid   = "\x06\x03\x55\x1d\x13"
	)
	v2, v3 := item(0xa0, "\x02\x01\x01"), item(0xa0, "\x02\x01\x02")
	ext := func(content string) string { return item(0xa3, item(0x30, content)) }
	basic := func(value string) string { return ext(item(0x30, oid, item(0x04, value))) }
	for _, tt := range []struct {
		name, version, extensions string
		is, has                   bool
	}{
		{"version 1", "", "", false, false},
		{"version 2", v2, "", false, false},
		{"version 3 without extensions", v3, "", false, true},
		{"version 3 with another extension", v3, ext(item(0x30, "\x06\x03\x55\x1d\x0e", "\x04\x03\x04\x01x")), false, true},
		{"an authority's", v3, basic("\x30\x03\x01\x01\xff"), true, true},
		{"by default it is none", v3, basic("\x30\x00"), false, true},
		{"version 1, with what it cannot have", "", basic("\x30\x03\x01\x01\xff"), true, true},
		{"damaged basic constraints", v3, basic("\x31\x00"), false, false},
		{"damaged extensions", v3, ext("\x30\x70"), false, false},
		{"damage behind the basic constraints", v3, ext(item(0x30, oid, item(0x04, "\x30\x03\x01\x01\xff")) + "\x30\x70"), true, true},
	} {
		key := item(0x30, alg, item(0x03, "\x00"+strings.Repeat("k", 32)))
		tbs := item(0x30, tt.version, "\x02\x01\x01", alg, name, valid, name, key, tt.extensions)
		c := ParseCertificate([]byte(item(0x30, tbs, alg, "\x03\x01\x00")))
		if c.KeyType != "ed25519" || c.IsCA != tt.is || c.HasIsCA != tt.has {
			t.Errorf("%s: key %q, is %v, has %v (%s)", tt.name, c.KeyType, c.IsCA, c.HasIsCA, c.Malformed)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte("\x30\x80\x00\x00"))
	f.Fuzz(func(t *testing.T, der []byte) { agree(t, der) })
}
