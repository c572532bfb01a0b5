package ingest

import (
	"context"
	"os"
	"testing"

	"github.com/caplake/caplake/flows"
)

// Benchmarks read the capture that CAPLAKE_BENCH names, several hundred
// megabytes of it for figures that mean something.
func benchPlan(b *testing.B) *Plan {
	path := os.Getenv("CAPLAKE_BENCH")
	if path == "" {
		b.Skip("CAPLAKE_BENCH names no capture")
	}
	p := planOf(b, path)
	b.SetBytes(p.Inputs[0].Size)
	return p
}

// Reading and walking records' headers alone.
func BenchmarkRead(b *testing.B) {
	p := benchPlan(b)
	for b.Loop() {
		var r *reader
		r = newReader(Config{}.WithDefaults(), nil, func(b *Batch) error { r.recycle(b, false); return nil })
		r.cfg.NoHash = true
		src, err := openSource(context.Background(), &p.Inputs[0], sourceOptions{})
		if err := r.read(context.Background(), &p.Inputs[0], 1, src, err); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkRun(b *testing.B, cfg Config, workers int) {
	p := benchPlan(b)
	for b.Loop() {
		sums := make([]struct {
			n uint64
			_ [56]byte
		}, workers)
		err := p.Run(context.Background(), cfg, workers, func(w int, b *Batch) error {
			for i := range b.Packets {
				if b.Packets[i].Hash%uint64(workers) == uint64(w) && b.Packets[i].Flags&flows.HasPorts != 0 {
					sums[w].n++
				}
			}
			return nil
		}, nil)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(p.Progress().Packets())*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpackets/s")
}

func BenchmarkRun1(b *testing.B)       { benchmarkRun(b, Config{}, 1) }
func BenchmarkRun1NoHash(b *testing.B) { benchmarkRun(b, Config{NoHash: true}, 1) }
func BenchmarkRun2(b *testing.B)       { benchmarkRun(b, Config{}, 2) }
func BenchmarkRun2NoHash(b *testing.B) { benchmarkRun(b, Config{NoHash: true}, 2) }
