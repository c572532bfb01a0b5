package run

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/filter"
)

// What inspecting says of captures agrees with what converting them says.
func TestInspectAgreesWithConvert(t *testing.T) {
	inputs := []string{"../../../testdata/captures"}
	for _, workers := range []int{1, 3} {
		got, err := Inspect(t.Context(), Config{Inputs: inputs, Workers: workers}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Convert(t.Context(), Config{Inputs: inputs, Out: filepath.Join(t.TempDir(), "out")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var packets, size, wire int64
		outcomes := map[string]int64{}
		for _, c := range got.Captures {
			packets += c.Packets
			size += c.Bytes
			wire += c.WireBytes
			for _, o := range c.Outcomes {
				outcomes[o.Name] += o.N
			}
			if c.SmallestWire < 14 || c.LargestWire < c.SmallestWire || c.CapturedBytes > c.WireBytes || c.Seconds() < 0 || len(c.SHA256) != 64 {
				t.Errorf("%+v", c)
			}
		}
		if int64(len(got.Captures)) != want.Inputs || packets != want.Packets || size != want.Bytes || wire == 0 {
			t.Errorf("%d captures, %d packets, %d bytes; converting says %+v", len(got.Captures), packets, size, want)
		}
		for _, o := range want.Outcomes {
			if outcomes[o.Name] != o.N {
				t.Errorf("%s: %d, converting says %d", o.Name, outcomes[o.Name], o.N)
			}
		}
	}
}

// Of inputs that fit into the sample the forecast is what comes.
func TestPredict(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	cfg := Config{Inputs: []string{"../../../testdata/captures/http-keepalive.pcap", "../../../testdata/captures/dns-udp.pcap"}, Out: filepath.Join(t.TempDir(), "out")}
	got, err := Predict(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := os.Stat(cfg.Out); err == nil {
		t.Error("the dataset's directory was made")
	}
	want, err := Convert(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Inputs) != 2 || *got.Inputs[0].FirstTime > *got.Inputs[1].FirstTime || got.Bytes != want.Bytes {
		t.Errorf("inputs %+v", got)
	}
	e := got.Estimate
	if e == nil || e.Packets != want.Packets || e.Seconds <= 0 || e.SampleBytes != want.Bytes {
		t.Fatalf("estimate %+v, want %+v", e, want)
	}
	for i, table := range e.Tables {
		if w := want.Tables[i]; table.Name != w.Name || table.Rows != w.Rows {
			t.Errorf("%+v, want %+v", table, w)
		}
	}
	if _, err := Predict(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("over a dataset: %v", err)
	}
	if f, err := Predict(t.Context(), Config{Inputs: []string{"-"}, Stdin: bytes.NewReader(nil)}); err != nil || f.Estimate != nil || f.Inputs[0].Bytes != -1 {
		t.Errorf("standard input: %+v, %v", f, err)
	}
}

// The rows of a filtered run are those of the whole one that the filter's
// question would find, and every packet is in the ledger.
func TestFilteredRun(t *testing.T) {
	inputs := []string{"../../../testdata/captures"}
	whole, err := Convert(t.Context(), Config{Inputs: inputs, Out: filepath.Join(t.TempDir(), "out")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := func(f filter.Filter) (*Report, map[string]int64) {
		r, err := Convert(t.Context(), Config{Inputs: inputs, Out: filepath.Join(t.TempDir(), "out"), Filter: f}, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int64{}
		for _, table := range r.Tables {
			n[table.Name] = table.Rows
		}
		var sum int64
		for _, o := range r.Outcomes {
			sum += o.N
			n[o.Name] = o.N
		}
		if sum != r.Packets || r.Packets != whole.Packets {
			t.Errorf("%+v: outcomes of %d, %d packets of %d", f, sum, r.Packets, whole.Packets)
		}
		return r, n
	}
	_, all := rows(filter.Filter{})
	_, udp := rows(filter.Filter{Match: filter.Match{Protos: []uint8{17}}})
	_, tcp := rows(filter.Filter{Match: filter.Match{Protos: []uint8{6}}})
	if udp["http"]+udp["tls"] != 0 || udp["dns"] == 0 || tcp["http"] != all["http"] || tcp["tls"] != all["tls"] || udp["dns"]+tcp["dns"] != all["dns"] ||
		udp["filtered"] == 0 || udp["in_flow"]+udp["filtered"] < all["in_flow"] {
		t.Errorf("all %v\nudp %v\ntcp %v", all, udp, tcp)
	}
	var never int64
	if _, none := rows(filter.Filter{Before: &never}); none["flows"] != 0 || none["filtered"] != whole.Packets || none["not_ip"] != 0 {
		t.Errorf("nothing: %v", none)
	}
}
