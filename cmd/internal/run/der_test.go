package run_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// TestCertificateDER: the bytes are those that the fingerprint is of, whether or not
// they went through the disk, and only on demand.
func TestCertificateDER(t *testing.T) {
	for _, tt := range []struct {
		name string
		run.Config
	}{
		{"off", run.Config{}},
		{"on", run.Config{CertificateDER: true}},
		{"spilled", run.Config{CertificateDER: true, MaxCertificateBytes: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.Inputs = []string{"../../../testdata/captures/tls12.pcap"}
			_, out := dataset(t, tt.Config)
			rows := read[schema.Certificate](t, out, "certificates")
			if len(rows) == 0 {
				t.Fatal("no certificates")
			}
			for _, c := range rows {
				sum := sha256.Sum256(c.DER)
				if got := hex.EncodeToString(sum[:]) == c.SHA256; got != tt.CertificateDER {
					t.Errorf("%s: %d bytes", c.SHA256, len(c.DER))
				}
				if !tt.CertificateDER && c.DER != nil {
					t.Errorf("%s: bytes that nobody asked for", c.SHA256)
				}
			}
		})
	}
}
