package tls_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/parsers/tls"
)

// TestCorpus compares the handshakes of real captures with what tshark reads
// in them, hello by hello. The reassembly here is the test's own and simple,
// so that a difference is the parser's.
func TestCorpus(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	truths, err := filepath.Glob(filepath.Join(root, "truth", "*", "*.tls.tsv"))
	if err != nil || len(truths) == 0 {
		t.Fatal("no truth in ", root, err)
	}
	verbose := os.Getenv("CAPLAKE_CORPUS_VERBOSE") != ""
	var total, equal [3]int
	differ := map[string]int{}
	for _, truth := range truths {
		want := readTruth(t, truth)
		if len(want) == 0 {
			continue
		}
		rel, _ := filepath.Rel(filepath.Join(root, "truth"), strings.TrimSuffix(truth, ".tls.tsv"))
		got, err := readCapture(filepath.Join(root, "captures", rel))
		if err != nil && verbose {
			t.Logf("%s: %v", rel, err)
		}
		used := map[string]int{}
		for _, w := range want {
			kind := slices.Index([]string{"CH", "SH", "CERT"}, w["kind"])
			total[kind]++
			key := w["src"] + " " + w["sport"] + " " + w["dst"] + " " + w["dport"]
			hellos := got[w["kind"]+" "+key]
			n := used[w["kind"]+key]
			used[w["kind"]+key]++
			if n >= len(hellos) {
				differ[w["kind"]+" missing"]++
				if verbose {
					t.Logf("%s frame %s: %s %s missing (%d seen)", rel, w["frame"], w["kind"], key, len(hellos))
				}
				continue
			}
			ok := true
			for column, g := range hellos[n] {
				if g != w[column] {
					ok = false
					differ[w["kind"]+" "+column]++
					if verbose {
						t.Logf("%s frame %s: %s %s: %q, want %q", rel, w["frame"], w["kind"], column, g, w[column])
					}
				}
			}
			if ok {
				equal[kind]++
			}
		}
	}
	// What is missing is behind a plain beginning (STARTTLS, CONNECT), in other
	// protocols, or the second hello after a retry.
	for i, kind := range []string{"CH", "SH", "CERT"} {
		missing := differ[kind+" missing"]
		t.Logf("%s: %d, equal %d, not found %d", kind, total[i], equal[i], missing)
		if total[i] == 0 || missing > total[i]/10 || total[i]-missing-equal[i] > 6 { // two retries; four drafts whose hellos have no session id
			t.Errorf("%s: of %d only %d equal", kind, total[i], equal[i])
		}
	}
	t.Log(differ)
}

// TestJA4Peer compares with what the fingerprint's own authors compute.
func TestJA4Peer(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	data, err := os.ReadFile(filepath.Join(root, "peer", "ja4.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	captures := map[string]map[string][]map[string]string{}
	rows, equal := 0, 0
	for _, line := range strings.Split(string(data), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) < 11 || !strings.HasPrefix(f[9], "t") {
			continue
		}
		if captures[f[0]] == nil {
			captures[f[0]], _ = readCapture(filepath.Join(root, "captures", f[0]))
		}
		hellos := captures[f[0]]["CH "+strings.Join(f[4:8], " ")]
		if len(hellos) == 0 {
			t.Logf("%s %v: not found", f[0], f[4:8]) // behind CONNECT
			continue
		}
		rows++
		found := false
		for _, row := range hellos {
			found = found || row["ja4"] == f[9] && (f[10] == "" || row["ja4_r"] == f[10])
		}
		if found {
			equal++
		} else {
			t.Logf("%s %v: want %s %s, have %v", f[0], f[4:8], f[9], f[10], hellos)
		}
	}
	if t.Logf("%d of %d equal", equal, rows); rows < 10 || equal < rows {
		t.Error("fingerprints differ")
	}
}

// TestCorpusCertificates compares the certificates of real captures with what
// crypto/x509 reads in them, and says what it has against others.
func TestCorpusCertificates(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	captures, err := filepath.Glob(filepath.Join(root, "captures", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	malformed := map[string]int{}
	for _, path := range captures {
		got, _ := readCapture(path)
		for _, row := range got["DER"] {
			der := row[""]
			if seen[der] {
				continue
			}
			seen[der] = true
			tls.Agree(t, []byte(der))
			if c := tls.ParseCertificate([]byte(der)); c.Malformed != "" {
				malformed[c.Malformed]++
				if c.Subject == "" && c.Issuer == "" || c.KeyType == "" {
					t.Logf("%s: %+v", path, c)
				}
			}
		}
	}
	if t.Logf("%d distinct, malformed: %v", len(seen), malformed); len(seen) == 0 {
		t.Error("no certificates")
	}
}

func readTruth(t *testing.T, path string) (rows []map[string]string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, v := range strings.Split(line, "\t") {
			row[names[i]] = v
		}
		if row["layer"] == "tls" && row["transport"] == "tcp" && row["in_icmp"] == "0" {
			rows = append(rows, row)
		}
	}
	return rows
}

type segment struct {
	seq  uint32
	at   flows.Stamp
	data []byte
}

type stream struct {
	src, dst string
	sides    [2]struct {
		begun bool
		next  uint32
		held  []segment
		first []byte
	}
	parser       tls.Parser
	verdict      parsers.Verdict
	certificates []string // DER
	clones       []func(map[string][]map[string]string)
}

func (s *stream) deliver(side flows.Side, at flows.Stamp, data []byte) {
	half := &s.sides[side]
	if s.verdict == parsers.Maybe {
		half.first = append(half.first, data...)
		s.verdict = tls.Probe(half.first, side)
		if s.verdict == parsers.Maybe {
			return
		}
		for i := range s.sides { // what waited, this side's last
			o := flows.Side(i)
			if o != side && len(s.sides[o].first) > 0 && s.verdict == parsers.Yes {
				s.collect(s.parser.Feed(nil, o, at, s.sides[o].first))
			}
		}
		data = half.first
	}
	if s.verdict == parsers.Yes && !s.parser.Done() {
		s.collect(s.parser.Feed(nil, side, at, data))
	}
}

// collect takes what it needs of a message before the parser's next call.
func (s *stream) collect(messages []tls.Handshake) {
	for i := range messages {
		m := &messages[i]
		rows := map[string]map[string]string{}
		if m.Client.Seen {
			c := &m.Client
			row := map[string]string{
				"hs_version": strconv.Itoa(int(c.Version)), "sni": string(tls.AppendText(nil, c.SNI)),
				"supported_versions": numbers(c.SupportedVersions), "ciphers": numbers(c.Ciphers), "extensions": numbers(c.Extensions),
				"session_id_len": strconv.Itoa(len(c.SessionID)),
			}
			var names []string
			for _, p := range c.ALPN {
				names = append(names, string(p))
			}
			row["alpn"] = strings.Join(names, ",")
			if c.Fingerprinted() {
				row["ja3"], row["ja3_full"] = string(c.AppendJA3(nil)), string(c.AppendJA3String(nil))
				row["ja4"], row["ja4_r"] = string(c.AppendJA4(nil, tls.TCP)), string(c.AppendJA4R(nil, tls.TCP))
			}
			rows["CH"] = row
		}
		if m.Server.Seen {
			c := &m.Server
			row := map[string]string{
				"hs_version": strconv.Itoa(int(c.Version)), "ciphers": strconv.Itoa(int(c.Cipher)), "extensions": numbers(c.Extensions),
				"session_id_len": strconv.Itoa(len(c.SessionID)), "alpn": string(c.ALPN),
			}
			if c.SelectedVersion != 0 {
				row["supported_versions"] = strconv.Itoa(int(c.SelectedVersion))
			}
			if c.Fingerprinted() {
				row["ja3"], row["ja3_full"] = string(c.AppendJA3S(nil)), string(c.AppendJA3SString(nil))
			}
			rows["SH"] = row
		}
		client := m.ClientSide
		for i, chain := range [2][]tls.RawCertificate{m.ClientChain, m.ServerChain} {
			if len(chain) == 0 {
				continue
			}
			var sums []string
			for _, c := range chain {
				sums = append(sums, hex.EncodeToString(c.SHA256[:]))
				s.certificates = append(s.certificates, string(c.DER))
			}
			rows["CERT"+strconv.Itoa(i)] = map[string]string{"cert_sha256": strings.Join(sums, ";")}
		}
		rows["ZEEK"] = zeekRow(m)
		s.clones = append(s.clones, func(got map[string][]map[string]string) {
			key := [2]string{s.src + " " + s.dst, s.dst + " " + s.src}
			for kind, row := range rows {
				k := key[client]
				if kind == "SH" || kind == "CERT1" {
					k = key[client.Other()]
				}
				kind = strings.TrimRight(kind, "01")
				got[kind+" "+k] = append(got[kind+" "+k], row)
			}
		})
	}
}

func numbers(v []uint16) string {
	var b []byte
	for i, n := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return string(b)
}

// zeekRow is a message in the words of Zeek's ssl.log.
func zeekRow(m *tls.Handshake) map[string]string {
	set := func(ok bool, text string) string {
		if !ok || text == "" {
			return "-"
		}
		return text
	}
	tf := func(a tls.Answer) string { return [...]string{"F", "F", "T"}[a] }
	row := map[string]string{
		"cipher":      set(m.Server.HasCipher(), tls.CipherName(m.Server.Cipher)),
		"server_name": set(true, string(m.Client.SNI)),
		"resumed":     tf(m.Resumed), "established": tf(m.Established),
		"next_protocol": set(true, string(m.Server.ALPN)),
	}
	if m.Server.Group != 0 {
		row["curve"] = tls.GroupName(m.Server.Group)
	}
	for i, chain := range [2][]tls.RawCertificate{m.ServerChain, m.ClientChain} {
		var sums []string
		for _, c := range chain {
			sums = append(sums, hex.EncodeToString(c.SHA256[:]))
		}
		row[[...]string{"cert_chain_fps", "client_cert_chain_fps"}[i]] = strings.Join(sums, ",")
	}
	if len(m.ServerChain) > 0 && len(m.Client.SNI) > 0 {
		c := tls.ParseCertificate(m.ServerChain[0].DER)
		row["sni_matches_cert"] = map[bool]string{false: "F", true: "T"}[c.MatchesName(string(m.Client.SNI))]
	}
	return row
}

// TestZeek compares handshakes with the ssl.log that Zeek expects of the same
// captures, where the session begins with TLS.
func TestZeek(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	data, err := os.ReadFile(filepath.Join(root, "peer", "zeek-map.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, equal := 0, 0
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 6 || f[3] != "ssl" || f[5] != "full" {
			continue
		}
		log, err := os.ReadFile(filepath.Join(root, "peer", "zeek", f[2], "ssl.log"))
		if err != nil {
			continue
		}
		got, _ := readCapture(filepath.Join(root, "captures", f[0]))
		var names []string
		used := map[string]int{}
		for _, l := range strings.Split(string(log), "\n") {
			if rest, ok := strings.CutPrefix(l, "#fields\t"); ok {
				names = strings.Split(rest, "\t")
			}
			v := strings.Split(l, "\t")
			if strings.HasPrefix(l, "#") || len(v) != len(names) {
				continue
			}
			w := map[string]string{}
			for i, n := range names {
				w[n] = v[i]
			}
			key := "ZEEK " + w["id.orig_h"] + " " + w["id.orig_p"] + " " + w["id.resp_h"] + " " + w["id.resp_p"]
			if used[key] >= len(got[key]) {
				t.Logf("%s: no session %s", f[0], key)
				continue
			}
			g := got[key][used[key]]
			used[key]++
			rows++
			ok := true
			for n, want := range w {
				have, compared := g[n]
				if strings.HasSuffix(n, "_fps") && (want == "-" || want == "(empty)") {
					want = ""
				}
				if compared && have != want {
					ok = false
					t.Logf("%s %s: %s is %q, Zeek has %q", f[0], key, n, have, want)
				}
			}
			if ok {
				equal++
			}
		}
	}
	// Zeek takes the repeated session id of TLS 1.3 for a resumption in one,
	// and one has a certificate beyond the default bound.
	if rows == 0 || rows-equal > 2 {
		t.Errorf("%d of %d equal", equal, rows)
	}
}

// segmentIn takes the data of one segment, first come first kept.
func (s *stream) segmentIn(side flows.Side, at flows.Stamp, seq uint32, syn bool, data []byte) {
	h := &s.sides[side]
	if syn {
		if !h.begun {
			h.begun, h.next = true, seq+1
		}
		seq++
	}
	if len(data) == 0 {
		return
	}
	if !h.begun {
		h.begun, h.next = true, seq
	}
	h.held = append(h.held, segment{seq, at, bytes.Clone(data)})
	for again := true; again; {
		again = false
		for i, g := range h.held {
			if int32(g.seq-h.next) > 0 {
				continue
			}
			h.held = slices.Delete(h.held, i, i+1)
			if old := h.next - g.seq; old < uint32(len(g.data)) {
				h.next = g.seq + uint32(len(g.data))
				s.deliver(side, at, g.data[old:])
			}
			again = true
			break
		}
	}
}

// end delivers what waits behind gaps.
func (s *stream) end() {
	for side := range s.sides {
		h := &s.sides[side]
		slices.SortStableFunc(h.held, func(a, b segment) int { return int(int32(a.seq - b.seq)) })
		for _, g := range h.held {
			if gap := int32(g.seq - h.next); gap > 0 {
				if s.verdict == parsers.Yes {
					s.collect(s.parser.Gap(nil, flows.Side(side), g.at, int64(gap)))
				}
				h.next = g.seq
			}
			if old := h.next - g.seq; old < uint32(len(g.data)) {
				h.next = g.seq + uint32(len(g.data))
				s.deliver(flows.Side(side), g.at, g.data[old:])
			}
		}
	}
	if s.verdict == parsers.Yes {
		s.collect(s.parser.End(nil))
	}
}

// capturedPackets calls yield for every packet of a capture file, as far as it is whole.
func capturedPackets(b []byte, yield func(link layers.LinkType, ns int64, data []byte)) error {
	errCut := fmt.Errorf("cut off")
	if len(b) < 24 {
		return errCut
	}
	var order binary.ByteOrder = binary.LittleEndian
	if string(b[:4]) != "\x0a\x0d\x0d\x0a" {
		perTick := int64(1000)
		switch magic := binary.LittleEndian.Uint32(b); magic {
		case 0xa1b2c3d4:
		case 0xa1b23c4d:
			perTick = 1
		case 0xd4c3b2a1, 0x4d3cb2a1:
			order = binary.BigEndian
			if magic == 0x4d3cb2a1 {
				perTick = 1
			}
		default:
			return fmt.Errorf("magic %08x", magic)
		}
		link := layers.LinkType(order.Uint32(b[20:]) & 0xffff)
		for b = b[24:]; len(b) >= 16; {
			ns := int64(order.Uint32(b))*1e9 + int64(order.Uint32(b[4:]))*perTick
			n := int(order.Uint32(b[8:]))
			if n > len(b)-16 {
				return errCut
			}
			yield(link, ns, b[16:16+n])
			b = b[16+n:]
		}
		return nil
	}
	var links []layers.LinkType // times do not matter here: microseconds are assumed
	for len(b) >= 12 {
		typ := order.Uint32(b)
		if string(b[:4]) == "\x0a\x0d\x0d\x0a" {
			order = binary.LittleEndian
			if string(b[8:12]) == "\x1a\x2b\x3c\x4d" {
				order = binary.BigEndian
			}
			links = nil
		}
		n := int(order.Uint32(b[4:]))
		if n < 12 || n > len(b) {
			return errCut
		}
		body := b[8 : n-4]
		switch typ {
		case 1:
			links = append(links, layers.LinkType(order.Uint16(body)))
		case 3:
			if len(links) > 0 && len(body) >= 4 {
				yield(links[0], 0, body[4:min(len(body), 4+int(order.Uint32(body)))])
			}
		case 6:
			if len(body) < 20 || int(order.Uint32(body)) >= len(links) || int(order.Uint32(body[12:])) > len(body)-20 {
				return errCut
			}
			ns := int64(uint64(order.Uint32(body[4:]))<<32|uint64(order.Uint32(body[8:]))) * 1000
			yield(links[order.Uint32(body)], ns, body[20:20+order.Uint32(body[12:])])
		}
		b = b[n:]
	}
	return nil
}

// readCapture returns the hellos of a capture by kind and directed tuple.
func readCapture(path string) (map[string][]map[string]string, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(file) > 2 && string(file[:2]) == "\x1f\x8b" {
		r, err := gzip.NewReader(bytes.NewReader(file))
		if err != nil {
			return nil, err
		}
		file, _ = io.ReadAll(r)
	}
	var order []*stream
	live := map[string]*stream{}
	n := uint64(0)
	err = capturedPackets(file, func(link layers.LinkType, ns int64, data []byte) {
		n++
		if link == layers.LinkTypeEthernet && len(data) > 22 && data[12] == 0x89 && data[13] == 0x09 {
			data = slices.Concat(data[:12], data[20:]) // Cisco's tag, which gopacket does not know
		}
		p := gopacket.NewPacket(data, link, gopacket.DecodeOptions{NoCopy: true})
		var src, dst string
		for _, l := range p.Layers() {
			switch l := l.(type) {
			case *layers.IPv4:
				src, dst = l.SrcIP.String(), l.DstIP.String()
			case *layers.IPv6:
				src, dst = l.SrcIP.String(), l.DstIP.String()
			case *layers.TCP:
				a, b := fmt.Sprintf("%s %d", src, l.SrcPort), fmt.Sprintf("%s %d", dst, l.DstPort)
				s, side := live[a+" "+b], flows.Initiator
				if s == nil {
					if s = live[b+" "+a]; s != nil {
						side = flows.Responder
					}
				}
				if s == nil || l.SYN && !l.ACK && s.sides[side].begun && l.Seq+1 != s.sides[side].next && len(s.sides[side.Other()].held) == 0 {
					delete(live, b+" "+a)
					s, side = &stream{src: a, dst: b, verdict: parsers.Maybe}, flows.Initiator
					live[a+" "+b] = s
					order = append(order, s)
				}
				at := flows.Stamp{Time: ns, Pos: flows.NewPosition(1, n)}
				s.segmentIn(side, at, l.Seq, l.SYN, l.LayerPayload())
			}
		}
	})
	got := map[string][]map[string]string{}
	for _, s := range order {
		s.end()
		for _, f := range s.clones {
			f(got)
		}
		for _, der := range s.certificates {
			got["DER"] = append(got["DER"], map[string]string{"": der})
		}
	}
	return got, err
}
