package conformance

import (
	"fmt"
	"strings"
	"testing"
)

type tlsRow struct {
	TS            int64    `parquet:"ts"`
	SrcIP         string   `parquet:"src_ip"`
	SrcPort       int32    `parquet:"src_port"`
	DstIP         string   `parquet:"dst_ip"`
	DstPort       int32    `parquet:"dst_port"`
	Transport     string   `parquet:"transport"`
	SNI           string   `parquet:"sni,optional"`
	JA3           string   `parquet:"ja3,optional"`
	JA3S          string   `parquet:"ja3s,optional"`
	JA4           string   `parquet:"ja4,optional"`
	ClientVersion string   `parquet:"client_version,optional"`
	Version       string   `parquet:"version,optional"`
	Cipher        string   `parquet:"cipher,optional"`
	CipherID      *int32   `parquet:"cipher_id,optional"`
	ALPN          []string `parquet:"alpn_offered,optional,list"`
	HelloRetry    *bool    `parquet:"hello_retry,optional"`
	ClientHellos  *int32   `parquet:"client_hellos,optional"`
	ServerHellos  *int32   `parquet:"server_hellos,optional"`
	Certs         []string `parquet:"cert_fingerprints,optional,list"`
	ClientCerts   []string `parquet:"client_cert_fingerprints,optional,list"`
}

func tlsLine(frame int, layer, kind string, fields map[string]string) string {
	src, dst := "1.1.1.1\t5000", "2.2.2.2\t443"
	if kind != "CH" {
		src, dst = dst, src
	}
	row := []string{fmt.Sprint(frame), fmt.Sprint(frame, ".0"), "tcp\t0", src, dst, "0\t0", layer, kind}
	row[1] = fmt.Sprintf("%d.0", frame)
	for _, c := range strings.Split("hs_version supported_versions sni alpn ciphers extensions session_id_len ja3 ja3_full ja4 ja4_r cert_sha256", " ") {
		row = append(row, fields[c])
	}
	return strings.Join(row, "\t") + "\n"
}

func TestTLS(t *testing.T) {
	id, yes := int32(0x1301), true
	good := tlsRow{1e9, "1.1.1.1", 5000, "2.2.2.2", 443, "tcp", "example.org", "aa", "bb", "t13", "TLSv1.2", "TLSv1.3", "TLS_AES_128_GCM_SHA256", &id,
		[]string{"h2", "http/1.1"}, nil, nil, nil, []string{"c1", "c2"}, nil}
	ch := map[string]string{"hs_version": "771", "supported_versions": "2570,772,771", "sni": "example.org", "alpn": "h2,http/1.1", "ja3": "aa", "ja4": "t13"}
	sh := map[string]string{"hs_version": "771", "supported_versions": "772", "ciphers": "4865", "ja3": "bb"}
	truth := tlsLine(1, "tls", "CH", ch) + tlsLine(2, "tls", "SH", sh) + tlsLine(3, "tls", "CERT", map[string]string{"cert_sha256": "c1;c2"})
	one, two := int32(1), int32(2)
	retried := tlsLine(4, "tls", "SH", sh) + tlsLine(5, "tls", "CH", map[string]string{"hs_version": "771", "sni": "example.org", "ja3": "other", "ja4": "other"})
	for _, tt := range []struct {
		name  string
		truth string
		edit  func(*tlsRow)
		want  string
	}{
		{"equal", truth, func(*tlsRow) {}, "3 0 0 0 map[]"},
		{"sni", truth, func(r *tlsRow) { r.SNI = "example.com" }, "2 1 0 0 map[sni:1]"},
		{"sni missing", truth, func(r *tlsRow) { r.SNI = "" }, "2 1 0 0 map[sni:1]"},
		{"ja3", truth, func(r *tlsRow) { r.JA3 = "ab" }, "2 1 0 0 map[ja3:1]"},
		{"ja4", truth, func(r *tlsRow) { r.JA4 = "t12" }, "2 1 0 0 map[ja4:1]"},
		{"client version", truth, func(r *tlsRow) { r.ClientVersion = "TLSv1.1" }, "2 1 0 0 map[client_version:1]"},
		{"version", truth, func(r *tlsRow) { r.Version = "TLSv1.2" }, "2 1 0 0 map[version:1]"},
		{"cipher", truth, func(r *tlsRow) { n := id + 1; r.CipherID = &n }, "2 1 0 0 map[cipher:1]"},
		{"no server hello", truth, func(r *tlsRow) { r.Version, r.CipherID = "", nil }, "2 0 1 0 map[]"},
		{"server hello alone", truth, func(r *tlsRow) { r.ClientVersion = "" }, "2 0 1 0 map[]"},
		{"certificate order", truth, func(r *tlsRow) { r.Certs = []string{"c2", "c1"} }, "2 1 0 0 map[cert_fingerprints:1]"},
		{"another flow", truth, func(r *tlsRow) { r.SrcPort++ }, "0 0 3 3 map[]"},
		{"retry", truth + retried, func(r *tlsRow) { r.HelloRetry = &yes }, "5 0 0 0 map[]"},
		{"retry not told", truth + retried, func(r *tlsRow) {}, "3 0 2 0 map[]"},
		{"retry to another name", truth + strings.ReplaceAll(retried, "example.org", "example.com"), func(r *tlsRow) { r.HelloRetry = &yes }, "4 1 0 0 map[sni:1]"},
		{"retry by the counts", truth + retried, func(r *tlsRow) { r.ClientHellos, r.ServerHellos = &two, &two }, "5 0 0 0 map[]"},
		{"cookie, which is no server hello", truth + tlsLine(5, "tls", "CH", ch), func(r *tlsRow) { r.HelloRetry, r.ClientHellos, r.ServerHellos = &yes, &two, &one }, "4 0 0 0 map[]"},
		{"QUIC", strings.ReplaceAll(truth, "tls\t", "quic\t"), func(r *tlsRow) { r.Transport = "quic" }, "3 0 0 0 map[]"},
		{"DTLS", strings.ReplaceAll(strings.ReplaceAll(truth, "tls\t", "dtls\t"), "771", "65277"),
			func(r *tlsRow) { r.Transport, r.ClientVersion = "dtls", "DTLSv1.2" }, "3 0 0 0 map[]"},
		{"QUIC told as TLS", strings.ReplaceAll(truth, "tls\t", "quic\t"), func(*tlsRow) {}, "0 0 3 3 map[]"},
		{"not seen over QUIC", tlsLine(1, "quic", "CH", ch), func(*tlsRow) {}, "0 0 1 3 map[]"},
	} {
		row := good
		tt.edit(&row)
		r := runCorpus(t, corpusOf(t, map[string]string{"tls": tt.truth}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "tls", row) }})
		if got := tallyText(r); got != tt.want {
			t.Errorf("%s: %s, want %s: %+v %v", tt.name, got, tt.want, r.Diffs, r.Failures)
		}
	}

	row := good
	row.Cipher, row.JA3S, row.ALPN = "TLS_AES_256_GCM_SHA384", "xx", nil
	r := runCorpus(t, corpusOf(t, map[string]string{"tls": truth}, nil), &writer{write: func(t *testing.T, out string) { writeRows(t, out, "tls", row) }})
	if got := fmt.Sprint(differing(&r.Lines[0].Tally, false)); got != "map[alpn_offered:1 cipher_name:1 ja3s:1]" {
		t.Errorf("secondary columns %s", got)
	}
}

func TestVersionNumber(t *testing.T) {
	for s, want := range map[string]string{"SSLv2": "2", "SSLv3": "768", "TLSv1.0": "769", "TLSv1.3": "772", "TLSv1.3-draft23": "32535", "DTLSv1.0": "65279", "DTLSv1.2": "65277", "DTLSv1.3": "65276", "0x7a7a": "31354", "what": "what"} {
		if got := versionNumber(s); got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
}
