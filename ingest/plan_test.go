package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func at(sec uint32) []byte {
	return pcapFile(binary.LittleEndian, pcapMagicMicro, packetSpec{sec: sec, data: udpFrame(1, 1)})
}

func names(p *Plan) []string {
	var s []string
	for _, in := range p.Inputs {
		s = append(s, in.Name)
	}
	return s
}

func TestPlanOrderAndNames(t *testing.T) {
	le := binary.LittleEndian
	// Blocks that are no packets, and one without a time, come before the first time.
	ng := append(ngSection(le), ngIDB(le, 1, 0, nil)...)
	ng = append(ng, ngBlock(le, 0x0bad, make([]byte, 100_000))...)
	ng = append(ng, ngSPB(le, packetSpec{data: udpFrame(1, 1)})...)
	ng = append(ng, ngEPB(le, 0, 25e6, packetSpec{data: udpFrame(1, 1)})...)
	dir := writeFiles(t, map[string][]byte{
		"d/late.pcap":     at(50),
		"d/sub/early.txt": at(10),
		"d/sub/b":         at(30),
		"d/a":             at(30),
		"d/empty.pcap":    pcapHeader(le, pcapMagicMicro, 4, 65535, 1),
		"d/z.gz":          gzipped(t, at(20)),
		"d/y":             zstandard(t, at(15)),
		"d/ng":            ng,
		"d/README":        []byte("not a capture"),
		"d/sub/other.gz":  gzipped(t, []byte("not a capture either")),
		"d/nothing":       nil,
		"e/one":           at(1),
		"e/readme":        []byte("no"),
	})
	d := filepath.Join(dir, "d")
	if err := os.Symlink(filepath.Join(dir, "e", "one"), filepath.Join(d, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "e"), filepath.Join(d, "dirlink")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(d, "a"), filepath.Join(d, "same")); err != nil {
		t.Fatal(err)
	}

	p := planOf(t, d)
	if want := []string{"empty.pcap", "link", "sub/early.txt", "y", "z.gz", "ng", "a", "sub/b", "late.pcap"}; !reflect.DeepEqual(names(p), want) {
		t.Errorf("inputs %q\nwant   %q", names(p), want)
	}
	if want := []string{"README", "dirlink", "nothing", "sub/other.gz"}; !reflect.DeepEqual(p.Skipped, want) {
		t.Errorf("skipped %q\nwant    %q", p.Skipped, want)
	}
	for _, in := range p.Inputs {
		if in.HasTime != (in.Name != "empty.pcap") {
			t.Errorf("%s: HasTime is %v", in.Name, in.HasTime)
		}
	}
	if in := p.Inputs[5]; in.FirstTime != 25e9 {
		t.Errorf("first time %d", in.FirstTime)
	}

	// The ledger agrees with the plan.
	for i, c := range readAll(t, p, Config{}).captures {
		if in := p.Inputs[i]; c.Name != in.Name || c.FirstTime != in.FirstTime || c.HasTime != in.HasTime || c.Bytes != in.Size || c.Damaged() {
			t.Errorf("plan %+v\nledger %+v", in, c)
		}
	}

	// Files named by themselves, in any order, twice, by pattern.
	t.Chdir(dir)
	for _, c := range []struct {
		args, want []string
	}{
		{[]string{"d/late.pcap", "e/one", "./d/a"}, []string{"e/one", "d/a", "d/late.pcap"}},
		{[]string{"d/late.pcap", "d/../d/late.pcap", d + "/late.pcap"}, []string{"d/late.pcap"}},
		{[]string{filepath.Join(d, "a")}, []string{"a"}},
		{[]string{"../" + filepath.Base(dir) + "/d/a"}, []string{"a"}},
		{[]string{"d/[al]*"}, []string{"d/link", "d/a", "d/late.pcap"}},
		{[]string{"e", "e/one"}, []string{"one"}},
		{[]string{"e/readme"}, []string{"e/readme"}},
		{[]string{"d/dirlink"}, []string{"one"}},
		{[]string{"-", "e", "-"}, []string{"one", "-"}},
	} {
		for range 2 {
			p, err := NewPlan(context.Background(), Config{}, c.args, bytes.NewReader(at(5)))
			if err != nil {
				t.Fatal(err)
			}
			if got := names(p); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%q: %q, want %q", c.args, got, c.want)
			}
		}
	}
}

func TestPlanErrors(t *testing.T) {
	dir := writeFiles(t, map[string][]byte{"a": at(1)})
	for _, args := range [][]string{{filepath.Join(dir, "missing")}, {filepath.Join(dir, "*.none")}, {filepath.Join(dir, "[")}, {"-"}} {
		if _, err := NewPlan(context.Background(), Config{}, args, nil); err == nil || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := NewPlan(context.Background(), Config{MaxBlocks: 1}, nil, nil); err == nil {
		t.Error("a bad Config is taken")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewPlan(ctx, Config{}, []string{dir}, nil); err == nil {
		t.Error("a plan is made after the context is done")
	}
}

// What planning reads of standard input is not lost to the run.
func TestPlanKeepsStandardInput(t *testing.T) {
	data := pcapFile(binary.BigEndian, pcapMagicMicro, mixedPackets()...)
	for name, stored := range map[string][]byte{"plain": data, "gzip": gzipped(t, data), "zstd": zstandard(t, data), "short": data[:3], "empty": nil} {
		p, err := NewPlan(context.Background(), Config{}, []string{"-"}, bytes.NewReader(stored))
		if err != nil {
			t.Fatal(err)
		}
		r := readAll(t, p, Config{})
		if want := len(mixedPackets()); len(stored) > 3 && len(r.packets) != want || r.captures[0].SHA256 != hashOf(stored) {
			t.Errorf("%s: %d packets, %+v", name, len(r.packets), r.captures[0])
		}
	}
}
