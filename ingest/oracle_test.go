package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/gzip"
	"github.com/ulikunitz/xz"
)

// The corpus is read by pcapgo too, packet by packet. It differs from what the
// formats say in these ways, each of which the comparison knows:
//
//   - pcap: a fraction of more than 4.29 million microseconds, which is
//     nonsense but has a meaning, overflows 32 bits;
//   - pcap: versions before 2.4, the modified format, and packets that have more bytes
//     captured than they had on the wire are refused;
//   - pcapng: simple packet blocks get no time.
func TestCorpusAgainstPcapgo(t *testing.T) {
	root := os.Getenv("CAPLAKE_CORPUS")
	if root == "" {
		t.Skip("CAPLAKE_CORPUS names no folder of captures")
	}
	if d := filepath.Join(root, "captures"); isDir(d) {
		root = d
	}
	plan := planOf(t, root)
	if len(plan.Inputs) == 0 {
		t.Fatal("no captures")
	}
	var captures []Capture
	packets := make(map[string][]seen)
	var r result
	if err := plan.Run(context.Background(), Config{}, 2, func(w int, b *Batch) error {
		if w == 0 {
			r.packets = r.packets[:0]
			r.add(b)
			name := plan.Inputs[b.Input-1].Name
			packets[name] = append(packets[name], r.packets...)
		}
		return nil
	}, func(_ uint32, c *Capture) { captures = append(captures, *c) }); err != nil {
		t.Fatal(err)
	}
	var compared, more, undecided int
	kinds := map[DamageKind]int{}
	for _, c := range captures {
		kinds[c.ErrKind]++
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(c.Name)))
		if err != nil {
			t.Fatal(err)
		}
		if c.SHA256 != hashOf(data) {
			t.Errorf("%s: hash differs", c.Name)
		}
		if uint64(len(packets[c.Name])) != c.Packets {
			t.Errorf("%s: %d packets were handed out of %d", c.Name, len(packets[c.Name]), c.Packets)
		}
		n, err := comparePcapgo(data, c, packets[c.Name])
		switch {
		case errors.Is(err, errOracle):
			undecided++
			t.Logf("%s: %d packets here, pcapgo stops at %d: %v; ledger: %s", c.Name, c.Packets, n, err, c.Err)
		case err != nil:
			t.Errorf("%s: %v; ledger: %s", c.Name, err, c.Err)
		}
		compared += n
		if int(c.Packets) > n {
			more += int(c.Packets) - n
		}
	}
	t.Logf("%d captures (%d skipped, damage %v), %d packets equal, %d more here; pcapgo gave up on %d captures",
		len(captures), len(plan.Skipped), kinds, compared, more, undecided)
	for _, s := range plan.Skipped {
		t.Logf("skipped: %s", s)
	}
	if compared < 10*len(captures) {
		t.Errorf("only %d packets were compared", compared)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeDir != 0
}

// errOracle marks what pcapgo cannot read.
var errOracle = errors.New("pcapgo")

// comparePcapgo returns the number of packets that are equal.
func comparePcapgo(data []byte, c Capture, got []seen) (n int, err error) {
	var in io.Reader = bytes.NewReader(data)
	switch c.Compression {
	case compressionGzip:
		if in, err = gzip.NewReader(in); err != nil {
			return 0, err
		}
	case compressionXZ: // by that library's own reading of the container
		if in, err = xz.NewReader(in); err != nil {
			return 0, err
		}
	}
	var next func() ([]byte, gopacket.CaptureInfo, error)
	switch c.Format {
	case "pcap":
		r, err := pcapgo.NewReader(in)
		if err != nil {
			return 0, oracleError(err, len(got) == 0)
		}
		next = r.ReadPacketData
	case "pcapng":
		r, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return 0, oracleError(err, len(got) == 0)
		}
		next = r.ReadPacketData
	}
	for n = 0; ; n++ {
		d, ci, err := next()
		if err != nil {
			return n, oracleError(err, n == len(got))
		}
		if n == len(got) {
			return n, fmt.Errorf("pcapgo has more than %d packets", n)
		}
		s := got[n]
		if s.data != string(d) || int(s.orig) != ci.Length || len(s.data) != ci.CaptureLength {
			return n, fmt.Errorf("packet %d: %d of %d bytes here, pcapgo has %d of %d", n+1, len(s.data), s.orig, ci.CaptureLength, ci.Length)
		}
		off := s.time - ci.Timestamp.UnixNano()
		if overflow := c.TimestampResolution == "1us" && c.Format == "pcap" && off > 0 && off%(1<<32) == 0; off != 0 && !overflow && s.flags&NoTime == 0 {
			return n, fmt.Errorf("packet %d: time %d here, pcapgo has %d", n+1, s.time, ci.Timestamp.UnixNano())
		}
	}
}

// oracleError judges an error of pcapgo: at the end of the packets it is right;
// before, it is one of those that are known, or a difference.
func oracleError(err error, atEnd bool) error {
	if atEnd {
		return nil
	}
	for _, known := range [...]string{"Unknown minor version", "Unknown magic a1b2cd34", "capture length exceeds original packet length"} {
		if strings.Contains(err.Error(), known) {
			return fmt.Errorf("%w: %w", errOracle, err)
		}
	}
	return err
}
