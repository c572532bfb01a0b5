package ingest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// differs is how a capture is read here and by tshark.
type differs struct {
	ours, theirs uint64 // packets
	why          string
}

// Reasons for a difference, each decided by the capture's bytes. In all of them
// the ledger is right.
const (
	customBlocks = "tshark lists custom blocks as packets of their own; they hold none"
	unknownLink  = "tshark refuses a file whose link type it does not know; the records are whole, and are read to the file's last byte"
	reservedBits = "tshark refuses a file header with reserved bits set; the file ends with that header, so there is nothing to lose"
)

// tsharkDiffers lists the captures of the corpus of which tshark reads another
// number of packets, or says that it could not read to the end where the
// ledger does not.
func tsharkDiffers() map[string]differs {
	return map[string]differs{
		"hadrielk+pcapng-test-generator/output_be__basic__test017.pcapng":     {0, 4, customBlocks},
		"hadrielk+pcapng-test-generator/output_le__basic__test017.pcapng":     {0, 4, customBlocks},
		"hadrielk+pcapng-test-generator/output_be__basic__test018.pcapng":     {4, 8, customBlocks},
		"hadrielk+pcapng-test-generator/output_le__basic__test018.pcapng":     {4, 8, customBlocks},
		"hadrielk+pcapng-test-generator/output_le__difficult__test202.pcapng": {8, 11, customBlocks},

		"the-tcpdump-group+libpcap/linktype-reserved-field-not-zero.pcap": {0, 0, reservedBits},

		"the-tcpdump-group+tcpdump/brcm-tag.pcap":                              {23, 0, unknownLink}, // 281
		"the-tcpdump-group+tcpdump/brcm-tag-prepend.pcap":                      {15, 0, unknownLink}, // 282
		"the-tcpdump-group+tcpdump/dsa.pcap":                                   {8, 0, unknownLink},  // 284
		"the-tcpdump-group+tcpdump/edsa-high-vid.pcap":                         {4, 0, unknownLink},  // 285
		"the-tcpdump-group+tcpdump/hoobr_juniper3.pcap":                        {1, 0, unknownLink},  // 132
		"the-tcpdump-group+tcpdump/juniper_monitor_invalid_cookie_length.pcap": {1, 0, unknownLink},  // 164
		"the-tcpdump-group+tcpdump/vtp_asan-2.pcap":                            {1, 0, unknownLink},  // 182
		"the-tcpdump-group+tcpdump/vtp_asan-3.pcap":                            {1, 0, unknownLink},  // 182
		"the-tcpdump-group+tcpdump/frf16_magic_ie-oobr.pcap":                   {1, 0, unknownLink},  // 182
	}
}

// Every capture of the corpus has an entry of the ledger that adds up, and as
// many packets as tshark read.
func TestCorpusLedger(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	captures, truth := filepath.Join(root, "captures"), filepath.Join(root, "truth")
	if !isDir(captures) || !isDir(truth) {
		t.Skip("CAPLAKE_CORPUS holds no captures with truth beside them")
	}
	plan := planOf(t, captures)
	for _, s := range plan.Skipped {
		t.Errorf("%s was skipped", s)
	}
	listed := tsharkDiffers()
	seen := 0
	handed := make([]uint64, len(plan.Inputs)+1)
	err := plan.Run(context.Background(), Config{NoHash: true}, 2, func(w int, b *Batch) error {
		if w == 0 {
			handed[b.Input] += uint64(len(b.Records))
		}
		return nil
	}, func(input uint32, c *Capture) {
		if err := c.Balanced(); err != nil {
			t.Error(err)
		}
		if c.Packets != handed[input] {
			t.Errorf("%s: %d packets, %d were handed out", c.Name, c.Packets, handed[input])
		}
		if info, err := os.Stat(filepath.Join(captures, filepath.FromSlash(c.Name))); err != nil || c.Bytes != info.Size() {
			t.Errorf("%s: %d bytes; %v", c.Name, c.Bytes, err)
		}
		if c.Damaged() != (c.Err != "") || c.Damaged() && (c.ErrPacket != c.Packets+1 || c.ErrOffset < 0 ||
			c.Compression == compressionNone && c.ErrOffset > c.Bytes) {
			t.Errorf("%s: %s at %d, packet %d of %d: %s", c.Name, c.ErrKind, c.ErrOffset, c.ErrPacket, c.Packets, c.Err)
		}
		text, err := os.ReadFile(filepath.Join(truth, filepath.FromSlash(c.Name)+".meta.json"))
		if err != nil {
			t.Error(err)
			return
		}
		var meta struct {
			Packets uint64 `json:"packets"`
			RC      int    `json:"rc1"`
			Stderr  []string
		}
		if err := json.Unmarshal(text, &meta); err != nil {
			t.Errorf("%s: %v", c.Name, err)
			return
		}
		seen++
		want, known := listed[c.Name]
		differs := c.Packets != meta.Packets || (meta.RC == 0) == c.Damaged()
		switch {
		case !known && differs:
			t.Errorf("%s: %d packets (%s), tshark %d (exit %d) %v", c.Name, c.Packets, c.Err, meta.Packets, meta.RC, meta.Stderr)
		case known && (c.Packets != want.ours || meta.Packets != want.theirs):
			t.Errorf("%s: %d packets, tshark %d; listed as %d and %d: %s", c.Name, c.Packets, meta.Packets, want.ours, want.theirs, want.why)
		case known && !differs:
			t.Errorf("%s is listed, but does not differ any more", c.Name)
		}
		delete(listed, c.Name)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range listed {
		t.Errorf("%s is listed, but is not in the corpus", name)
	}
	t.Logf("%d captures", seen)
}
