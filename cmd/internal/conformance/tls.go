package conformance

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// TLS: the truth has handshake messages, our rows are handshakes, which come
// apart into client hello, server hello and certificate messages.
var (
	clientHelloKind = Kind{
		Name: "client hello",
		Main: []string{"sni", "ja3", "ja4", "client_version"},
		More: []string{"alpn_offered", "client_ciphers", "client_extensions", "supported_versions", "client_session_id", "ja3_string", "ja4_r"},
		// Of a second client hello, after a retry, our row has no columns of its
		// own: that it was there is what can be compared, and its name.
		Same: func(column, t, ours string, _, o *Record) bool {
			if column == "sni" || column == "alpn_offered" {
				if t == tsharkText(ours) { // bytes that are not ASCII
					return true
				}
			}
			return o.again && column != "sni"
		},
	}
	serverHelloKind = Kind{Name: "server hello", Main: []string{"version", "cipher"}, More: []string{"cipher_name", "ja3s", "server_extensions", "server_session_id", "ja3s_string"}}
	certificateKind = Kind{Name: "certificate", Main: []string{"cert_fingerprints"}}
)

var tlsColumns = []string{
	"sni", "ja3", "ja4", "ja3s", "client_version", "version", "cipher", "cipher_id", "alpn_offered", "hello_retry", "ts",
	"cert_fingerprints", "client_cert_fingerprints",
}

func tlsRecords(truth []map[string]string, t *Table) ([]recordSet, error) {
	// DTLS and QUIC are counted apart: there is little of either to have a minimum of.
	layers := []string{"tls", "dtls", "quic"}
	sets := make([]recordSet, 0, 3*len(layers))
	for _, l := range layers {
		name, certificates, apart := "tls", "tls (certificate messages)", false
		if l != "tls" {
			name, certificates, apart = "tls ("+l+")", "tls ("+l+")", true
		}
		sets = append(sets,
			recordSet{name: name, kind: &clientHelloKind, apart: apart},
			recordSet{name: name, kind: &serverHelloKind, apart: apart},
			recordSet{name: certificates, kind: &certificateKind, apart: true})
	}
	layer := func(name string) []recordSet {
		for i, l := range layers {
			if l == name {
				return sets[3*i : 3*i+3]
			}
		}
		return nil
	}
	for _, r := range truth {
		s := layer(r["layer"])
		if s == nil {
			return sets, fmt.Errorf("the truth has TLS over %q", r["layer"])
		}
		rec := Record{Group: truthPair(r), Time: nanoseconds(r["time"]), Label: truthLabel(r, r["kind"]), Raw: r}
		switch r["kind"] {
		case "CH":
			ja4, raw := unless(r["ja4"], Unknown), unless(r["ja4_r"], Unknown)
			if len(ja4) > 2 && ja4[0] >= '0' && ja4[0] <= '9' {
				ja4, raw = Unknown, Unknown // tshark leaves the first letter out where the hello is in OpenVPN over UDP
			}
			rec.Main = []string{r["sni"], unless(r["ja3"], Unknown), ja4, r["hs_version"]}
			rec.More = []string{r["alpn"], r["ciphers"], r["extensions"], r["supported_versions"], unless(r["session_id_len"], "0"), unless(r["ja3_full"], Unknown), raw}
			s[0].truth = append(s[0].truth, rec)
		case "SH":
			version := r["hs_version"]
			if r["supported_versions"] != "" {
				version = r["supported_versions"]
			}
			rec.Main = []string{version, r["ciphers"]}
			rec.More = []string{cipherName(r["ciphers"]), unless(r["ja3"], Unknown), r["extensions"], unless(r["session_id_len"], "0"), unless(r["ja3_full"], Unknown)}
			s[1].truth = append(s[1].truth, rec)
		case "CERT":
			if r["cert_sha256"] != "" {
				rec.Main = []string{strings.ReplaceAll(r["cert_sha256"], ";", " ")}
				s[2].truth = append(s[2].truth, rec)
			}
		default:
			return sets, fmt.Errorf("the truth has a TLS message %q", r["kind"])
		}
	}
	if t.Len() == 0 {
		return sets, nil
	}
	if m := t.Missing(tlsColumns...); m != nil {
		return sets, fmt.Errorf("tls lacks columns %v", m)
	}
	for i := range t.Len() {
		l := "tls"
		switch tr := t.Get(i, "transport"); tr {
		case "", "tcp", "udp": // udp: the records of TLS in OpenVPN
		default:
			l = tr
		}
		s := layer(l)
		if s == nil {
			return sets, fmt.Errorf("tls has transport %q", t.Get(i, "transport"))
		}
		rec := Record{Group: ourPair(t, i), Time: t.Int(i, "ts"), Label: ourLabel(t, i, "row"), Row: i}
		retry := t.Get(i, "hello_retry") == "true"
		if v := t.Get(i, "client_version"); v != "" {
			ch := rec
			ch.Main = []string{t.Get(i, "sni"), t.Get(i, "ja3"), t.Get(i, "ja4"), versionNumber(v)}
			ch.More = t.more(i, clientHelloKind.More)
			for c, name := range clientHelloKind.More {
				ch.More[c] = hellosText(name, ch.More[c])
			}
			s[0].ours = append(s[0].ours, ch)
			ch.Time, ch.again, ch.More = 0, true, slices.Repeat([]string{Unknown}, len(clientHelloKind.More))
			for range hellos(t, i, "client_hellos", retry) - 1 {
				s[0].ours = append(s[0].ours, ch)
			}
		}
		if v := t.Get(i, "version"); v != "" && t.Get(i, "cipher_id") != "" {
			sh := rec
			sh.Main = []string{versionNumber(v), t.Get(i, "cipher_id")}
			sh.More = t.more(i, serverHelloKind.More)
			sh.More[0] = t.Get(i, "cipher")
			for c, name := range serverHelloKind.More {
				sh.More[c] = hellosText(name, sh.More[c])
			}
			s[1].ours = append(s[1].ours, sh)
			sh.More = slices.Repeat([]string{Unknown}, len(serverHelloKind.More))
			sh.More[0] = t.Get(i, "cipher")
			for range hellos(t, i, "server_hellos", retry) - 1 {
				s[1].ours = append(s[1].ours, sh)
			}
		}
		for _, c := range []string{"cert_fingerprints", "client_cert_fingerprints"} {
			if v := t.Get(i, c); v != "" {
				cert := rec
				cert.Main = []string{strings.ReplaceAll(v, "\x1f", " ")}
				s[2].ours = append(s[2].ours, cert)
			}
		}
	}
	return sets, nil
}

// hellosText brings a secondary column of ours to the truth's form: lists divided
// by commas, of a session id, which is hexadecimal, its length.
func hellosText(column, s string) string {
	if strings.HasSuffix(column, "_session_id") && s != Unknown {
		return strconv.Itoa(len(s) / 2)
	}
	return strings.ReplaceAll(s, "\x1f", ",")
}

// hellos returns how many hellos a row of ours stands for. A dataset from
// before there was a count says only whether there was a retry.
func hellos(t *Table, row int, column string, retry bool) int64 {
	switch {
	case t.Get(row, column) != "":
		return t.Int(row, column)
	case retry:
		return 2
	}
	return 1
}

// versionNumber returns a version's number by its name.
func versionNumber(s string) string {
	switch s {
	case "SSLv2":
		return "2"
	case "SSLv3":
		return "768"
	}
	if n, ok := strings.CutPrefix(s, "TLSv1.3-draft"); ok {
		if d, err := strconv.Atoi(n); err == nil {
			return strconv.Itoa(0x7f00 | d)
		}
	}
	if n, ok := strings.CutPrefix(s, "DTLSv1."); ok {
		if d, err := strconv.Atoi(n); err == nil {
			return strconv.Itoa(0xfeff - d)
		}
	}
	if n, ok := strings.CutPrefix(s, "TLSv1."); ok {
		if d, err := strconv.Atoi(n); err == nil {
			return strconv.Itoa(0x0301 + d)
		}
	}
	if n, err := strconv.ParseUint(s, 0, 16); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return s
}

// cipherName names a cipher suite, where the standard library knows it.
func cipherName(number string) string {
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Unknown
	}
	name := tls.CipherSuiteName(uint16(n))
	if strings.HasPrefix(name, "0x") {
		return Unknown
	}
	return name
}
