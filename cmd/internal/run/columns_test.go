package run_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// corpusCapture returns the path of a capture of the corpus.
func corpusCapture(t *testing.T, name string) string {
	t.Helper()
	c := os.Getenv("CAPLAKE_CORPUS")
	if c == "" {
		t.Skip("CAPLAKE_CORPUS names no corpus")
	}
	path := filepath.Join(c, "captures", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	return path
}

// TestRealDuplicates: what was captured at two points, or twice at one, as tshark's fields show it: packets of the same
// addresses, identification, length, sequence and acknowledgement numbers, flags and UDP checksum at most 100 ms apart.
func TestRealDuplicates(t *testing.T) {
	for name, want := range map[string]int64{
		"gopacket+gopacket/cip.pcap":                         10841, // both sides of a router
		"nfstream+nfstream/aimini-http.pcap":                 66,    // likewise, and the checksums of one side are offloaded
		"ntop+nDPI/s7comm-plus.pcap":                         27,    // a port mirror that copies one direction twice
		"ntop+nDPI/wow.pcap":                                 33,
		"OISF+suricata-verify/detect-bypass-udp__input.pcap": 33, // UDP, all of it
		"the-tcpdump-group+tcpdump/pptp.pcap":                8,
		"arkime+arkime/m3ua_synthetic.pcap":                  0, // a generator, whose identification is always 1
	} {
		path := corpusCapture(t, name)
		_, raw := dataset(t, run.Config{Inputs: []string{path}})
		_, once := dataset(t, run.Config{Inputs: []string{path}, Dedup: true})
		sum := func(out string) (packets, duplicates, bytes, again int64) {
			rows := read[schema.Flow](t, out, "flows")
			for i := range rows {
				for _, s := range []*schema.FlowSrc{&rows[i].FlowSrc, (*schema.FlowSrc)(&rows[i].FlowDst)} {
					packets, duplicates, bytes = packets+s.Packets, duplicates+s.Duplicates, bytes+s.Bytes
					if s.Retransmits != nil {
						again += *s.Retransmits
					}
				}
			}
			return
		}
		packets, duplicates, _, again := sum(raw)
		kept, left, _, againOnce := sum(once)
		ledger := read[schema.Capture](t, raw, "captures")[0].Duplicates
		if duplicates != want || left != want || ledger != want || kept != packets-want || again != againOnce {
			t.Errorf("%s: %d duplicates of %d packets (%d in the ledger); without them %d packets; want %d. Retransmitted: %d, %d",
				name, duplicates, packets, ledger, kept, want, again, againOnce)
		}
	}
}

// TestRealOffload: a capture on the host that sent, whose UDP checksums are all the pseudo-header's sum.
func TestRealOffload(t *testing.T) {
	_, out := dataset(t, run.Config{Inputs: []string{corpusCapture(t, "OISF+suricata-verify/detect-bypass-udp__input.pcap")}})
	f, c := read[schema.Flow](t, out, "flows")[0], read[schema.Capture](t, out, "captures")[0]
	if n := f.FlowSrc.OffloadChecksums + f.FlowDst.OffloadChecksums; n != 66 || c.OffloadChecksums != 66 || f.FlowSrc.BadChecksums+f.FlowDst.BadChecksums != 0 {
		t.Errorf("%d and %d checksums are offloaded, %d bad; want 66, 66, 0", n, c.OffloadChecksums, f.FlowSrc.BadChecksums+f.FlowDst.BadChecksums)
	}
	want := []string{f.SrcIP, f.DstIP}
	if f.FlowDst.OffloadChecksums == 0 {
		want = want[:1]
	} else if f.FlowSrc.OffloadChecksums == 0 {
		want = want[1:]
	}
	if !slices.Equal(c.OffloadIPs, want) {
		t.Errorf("offload_ips %q, want %q", c.OffloadIPs, want)
	}
}

// TestRealRewritten: captures that were made anonymous, whose checksums are those of other addresses; and one whose
// zeroed packets are wrong in their own way.
func TestRealRewritten(t *testing.T) {
	for name, want := range map[string][4]int64{ // bad, of these rewritten, left to the card, flows with only rewritten ones among the bad
		"arkime+arkime/mysql-tls.pcap":               {10, 10, 0, 1},
		"arkime+arkime/openssl-tls1_2.pcap":          {20, 20, 3, 1}, // both rewritten and left to the card
		"zeek+zeek/chksums__ip4-tcp-bad-chksum.pcap": {1, 0, 0, 0},
	} {
		_, out := dataset(t, run.Config{Inputs: []string{corpusCapture(t, name)}})
		c := read[schema.Capture](t, out, "captures")[0]
		var bad, rewritten, left, whole int64
		for _, f := range read[schema.Flow](t, out, "flows") {
			b, r := f.FlowSrc.BadChecksums+f.FlowDst.BadChecksums, f.FlowSrc.RewrittenSums+f.FlowDst.RewrittenSums
			bad, rewritten, left = bad+b, rewritten+r, left+f.FlowSrc.OffloadChecksums+f.FlowDst.OffloadChecksums
			if b > 0 && b == r {
				whole++
			}
		}
		if got := [4]int64{bad, rewritten, left, whole}; got != want || c.BadChecksums != bad || c.RewrittenChecksums != rewritten || c.OffloadChecksums != left {
			t.Errorf("%s: %d, want %d; the ledger has %d, %d, %d", name, got, want, c.BadChecksums, c.RewrittenChecksums, c.OffloadChecksums)
		}
	}
}

// TestRealDisorder: a response that was captured before its query by the file's order, and 36 ms after it by their times.
func TestRealDisorder(t *testing.T) {
	_, out := dataset(t, run.Config{Inputs: []string{corpusCapture(t, "arkime+arkime/dns-flags0110.pcap")}})
	f, d := read[schema.Flow](t, out, "flows")[0], read[schema.DNS](t, out, "dns")
	if f.SrcIP != "10.0.0.1" || f.Basis != "earliest_packet" || f.State != "SF" || f.History != "^cdCD" {
		t.Errorf("the flow is of %s, by %s: %s %s", f.SrcIP, f.Basis, f.State, f.History)
	}
	if len(d) != 1 || d[0].SrcIP != f.SrcIP || d[0].Querier != "src" || d[0].Outcome != "answered" || *d[0].RTT != f.Duration {
		t.Errorf("%d transactions, %+v", len(d), d)
	}
}

// TestRealBodies: the 40 files that tshark exports from a capture, by their SHA-256.
func TestRealBodies(t *testing.T) {
	_, out := dataset(t, run.Config{Inputs: []string{corpusCapture(t, "OISF+suricata-verify/http-range-multiflows__input.pcap")}, BodyHash: true, BodyMIME: true})
	sums, first, last := map[string]bool{}, "f", ""
	for _, r := range read[schema.HTTP](t, out, "http") {
		if r.ResponseBodySHA256 != "" {
			sums[r.ResponseBodySHA256] = true
			first, last = min(first, r.ResponseBodySHA256), max(last, r.ResponseBodySHA256)
			if r.ResponseBodyMIME == "" {
				t.Errorf("a body without a type: %s", r.Target)
			}
		}
	}
	if len(sums) != 40 || first != "056659242da1a8fc126982360b8818bd6326c22bc8614f11632dc6ce295ff660" || last != "f98a1ad20a3241f31e97fb645a5dd7bb82e52820e5a6954b5ad84d8fb5912bc9" {
		t.Errorf("%d bodies from %s to %s", len(sums), first, last)
	}
}

// TestDisorder: a capture whose packets are shuffled, with their times, has the flows of the one that is in order, and its
// transactions of DNS.
func TestDisorder(t *testing.T) {
	for _, name := range []string{"http-keepalive.pcap", "dns-tcp.pcap", "dns-udp.pcap", "misc.pcap", "tls12.pcap", "ipv6-loopback.pcap"} {
		file, err := os.ReadFile(filepath.Join(captures, name))
		if err != nil {
			t.Fatal(err)
		}
		rowsOf := func(path string) (rows []string) {
			_, out := dataset(t, run.Config{Inputs: []string{path}, SPLT: 250})
			for _, f := range read[schema.Flow](t, out, "flows") {
				rows = append(rows, fmt.Sprintln("flow", f.CommunityID, f.SrcIP, f.TS, f.EndTS, f.Duration, f.FlowSrc.Packets, f.FlowSrc.Bytes, f.FlowDst.Packets, f.FlowDst.Bytes, f.SPLTDirection[0]))
			}
			for _, d := range read[schema.DNS](t, out, "dns") {
				rtt := int64(-1)
				if d.RTT != nil {
					rtt = *d.RTT
				}
				rows = append(rows, fmt.Sprintln("dns", d.SrcIP, d.SrcPort, d.TS, d.Outcome, d.Querier, d.QName, d.QType, d.Rcode, rtt))
			}
			slices.Sort(rows)
			return rows
		}
		want := rowsOf(filepath.Join(captures, name))
		rnd := rand.New(rand.NewPCG(1, 1))
		for _, window := range []int{2, 2, 8, 32, 1000, 1000} {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, shuffled(t, file, window, rnd), 0o600); err != nil {
				t.Fatal(err)
			}
			got := rowsOf(path)
			for _, w := range want {
				if i := slices.Index(got, w); i >= 0 {
					got = slices.Delete(got, i, i+1)
				} else {
					t.Errorf("%s, %d packets shuffled: no %s", name, window, w)
				}
			}
			for _, g := range got {
				t.Errorf("%s, %d packets shuffled: there is %s", name, window, g)
			}
		}
	}
}

// shuffled shuffles each so many records of a pcap file of Ethernet frames: two at will, and more as several
// interfaces do, each of which has its own in order.
func shuffled(t *testing.T, file []byte, window int, rnd *rand.Rand) []byte {
	t.Helper()
	var order binary.ByteOrder = binary.LittleEndian
	if file[0] == 0xa1 {
		order = binary.BigEndian
	}
	var records [][]byte
	for b := file[24:]; len(b) >= 16; {
		n := 16 + int(order.Uint32(b[8:]))
		records = append(records, b[:n])
		b = b[n:]
	}
	sender := func(r []byte) string {
		switch r = r[16:]; binary.BigEndian.Uint16(r[12:]) {
		case 0x0800:
			return string(r[26:30])
		case 0x86dd:
			return string(r[22:38])
		}
		return ""
	}
	for w := range slices.Chunk(records, window) {
		of := map[string][][]byte{}
		for _, r := range w {
			of[sender(r)] = append(of[sender(r)], r)
		}
		rnd.Shuffle(len(w), func(i, j int) { w[i], w[j] = w[j], w[i] })
		if window == 2 {
			continue
		}
		for i := range w {
			s := sender(w[i])
			w[i], of[s] = of[s][0], of[s][1:]
		}
	}
	return append(bytes.Clone(file[:24]), bytes.Join(records, nil)...)
}
