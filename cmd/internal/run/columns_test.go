package run_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// TestDisorder: a capture whose packets are shuffled, with their times, has the flows of the one that is in order.
func TestDisorder(t *testing.T) {
	for _, name := range []string{"http-keepalive.pcap", "dns-tcp.pcap", "misc.pcap", "tls12.pcap", "ipv6-loopback.pcap"} {
		file, err := os.ReadFile(filepath.Join(captures, name))
		if err != nil {
			t.Fatal(err)
		}
		type times struct{ ts, end, duration, packets int64 }
		flowsOf := func(path string) map[string]times {
			_, out := dataset(t, run.Config{Inputs: []string{path}})
			found := map[string]times{}
			for _, f := range read[schema.Flow](t, out, "flows") {
				if f.Basis == "first_packet" {
					continue // nothing but the order says whose the flow is
				}
				k := f.CommunityID + f.SrcIP
				if _, twice := found[k]; twice {
					t.Fatalf("%s: two flows of one tuple", name)
				}
				found[k] = times{f.TS, f.EndTS, f.Duration, f.FlowSrc.Packets + f.FlowDst.Packets}
			}
			return found
		}
		want := flowsOf(filepath.Join(captures, name))
		for seed := range uint64(3) {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, shuffled(t, file, seed), 0o600); err != nil {
				t.Fatal(err)
			}
			got := flowsOf(path)
			for k, w := range want {
				if g := got[k]; g != w {
					t.Errorf("%s, seed %d: %s is %+v, want %+v", name, seed, k, g, w)
				}
			}
		}
		if len(want) == 0 {
			t.Errorf("%s: no flow whose direction is certain", name)
		}
	}
}

// shuffled swaps neighbouring records of a pcap file.
func shuffled(t *testing.T, file []byte, seed uint64) []byte {
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
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := 0; i+1 < len(records); i += 2 {
		if rnd.IntN(2) == 0 {
			records[i], records[i+1] = records[i+1], records[i]
		}
	}
	return append(bytes.Clone(file[:24]), bytes.Join(records, nil)...)
}
