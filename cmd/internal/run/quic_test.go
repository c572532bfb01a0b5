package run_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// zeekLog returns the rows of one of Zeek's logs, whole or cut to some columns.
func zeekLog(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Split(line, "\t")
		switch {
		case fields[0] == "#fields":
			columns = fields[1:]
		case line == "" || line[0] == '#':
		case columns == nil: // cut logs name their columns in the first row
			columns = fields
		default:
			row := map[string]string{}
			for i, c := range columns {
				row[c] = fields[i]
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// TestHandshakesOfPeers compares the rows of QUIC and DTLS with Zeek's logs and
// with the fingerprints that the authors of JA4 compute. Zeek begins a row of
// its own after a Retry; ours has the first connection id and the last server.
func TestHandshakesOfPeers(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS does not name a corpus")
	}
	rowsOf := func(name string) map[string][]schema.TLS {
		_, out := dataset(t, run.Config{Inputs: []string{filepath.Join(root, "captures", filepath.FromSlash(name))}})
		rows := map[string][]schema.TLS{}
		for _, r := range read[schema.TLS](t, out, "tls") {
			if r.Transport == "tcp" {
				continue
			}
			key := fmt.Sprint(r.SrcIP, " ", r.SrcPort, " ", r.DstIP, " ", r.DstPort)
			rows[key] = append(rows[key], r)
		}
		return rows
	}
	compare := func(what, got, want string) {
		if got != want && !(want == "-" || want == "(empty)") {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	mapping, err := os.ReadFile(filepath.Join(root, "peer", "zeek-map.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	compared := map[string]int{}
	for _, line := range strings.Split(string(mapping), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 5 || f[3] != "quic" && !(f[3] == "ssl" && strings.Contains(f[2], "dtls")) {
			continue
		}
		ours := rowsOf(f[0])
		seen := map[string]map[string]string{}
		for _, z := range zeekLog(t, filepath.Join(root, "peer", "zeek", f[2], f[4])) {
			if z["id.orig_p"] == "" {
				continue
			}
			key := strings.Join([]string{z["id.orig_h"], z["id.orig_p"], z["id.resp_h"], z["id.resp_p"]}, " ")
			if f[3] == "ssl" && len(ours[key]) == 0 {
				t.Logf("%s %s: no row; the log is of several captures", f[0], key)
				continue
			}
			if len(ours[key]) != 1 {
				t.Errorf("%s %s: %d rows", f[0], key, len(ours[key]))
				continue
			}
			r := ours[key][0]
			compared[f[3]]++
			if f[3] == "ssl" {
				if z["version"] != "-" {
					compare(key+" version", "DTLSv"+strings.ReplaceAll(strings.TrimPrefix(r.Version, "DTLSv"), ".", ""), z["version"])
				}
				compare(key+" cipher", r.Cipher, z["cipher"])
				compare(key+" curve", r.SelectedGroup, z["curve"])
				if z["established"] == "T" {
					compare(key+" outcome", r.Outcome, "established")
				}
				if c := z["cert_chain_fps"]; c != "" {
					compare(key+" certificates", strings.Join(r.CertFingerprints, ","), c)
				}
				continue
			}
			if first := seen[z["uid"]]; first != nil {
				compare(key+" retry", strconv.FormatBool(*r.QUICRetry), "true")
			} else {
				seen[z["uid"]] = z
				compare(key+" dcid", r.DCID, z["client_initial_dcid"])
			}
			version := strings.TrimPrefix(z["version"], "quicv")
			compare(key+" version", r.QUICVersion, version)
			compare(key+" scid", r.SCID, z["client_scid"])
			compare(key+" server_scid", r.ServerSCID, z["server_scid"])
			if len(r.ALPNOffered) > 0 {
				compare(key+" alpn", r.ALPNOffered[0], z["client_protocol"])
			}
			if name, _, _ := strings.Cut(r.SNI, "\x00"); z["server_name"] != "" {
				compare(key+" sni", name, z["server_name"])
			}
		}
	}
	peers, err := os.ReadFile(filepath.Join(root, "peer", "ja4.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]map[string][]schema.TLS{}
	for _, line := range strings.Split(string(peers), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 10 || f[9] == "" || f[9][0] != 'q' && f[9][0] != 'd' {
			continue
		}
		if rows[f[0]] == nil {
			rows[f[0]] = rowsOf(f[0])
		}
		key := strings.Join(f[4:8], " ")
		if !slices.ContainsFunc(rows[f[0]][key], func(r schema.TLS) bool { return r.JA4 == f[9] }) {
			t.Errorf("%s %s: no row has ja4 %s", f[0], key, f[9])
		}
		compared["ja4"]++
	}
	if t.Log(compared); compared["quic"] < 8 || compared["ssl"] < 7 || compared["ja4"] < 5 {
		t.Errorf("little to compare with: %v", compared)
	}
}
