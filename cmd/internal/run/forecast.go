package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caplake/caplake/ingest"
)

// Forecast is what a conversion would do.
type Forecast struct {
	Inputs   []PlannedInput `json:"inputs"` // in the order in which they would be read
	Bytes    int64          `json:"bytes"`  // of all inputs whose size is known, as stored
	Skipped  []string       `json:"skipped"`
	Estimate *Estimate      `json:"estimate,omitempty"` // none where no input can be read twice
}

// PlannedInput is one capture that would be read.
type PlannedInput struct {
	File      string `json:"file"`
	Bytes     int64  `json:"bytes"`                // -1: not known before the end
	FirstTime *int64 `json:"first_time,omitempty"` // of its first packet, nanoseconds since 1970
}

// vacant returns an error if a dataset is where c would write one and is not to
// be replaced. Asked early, it spares a look at all inputs.
func (c *Config) vacant() error {
	if c.Out == Pipe {
		return nil
	}
	if _, err := os.Stat(filepath.Join(c.Out, "manifest.json")); err == nil && !c.Overwrite {
		return fmt.Errorf("%s has a dataset already; --overwrite replaces it", c.Out)
	}
	return nil
}

// Estimate is what converting a sample of the inputs says of all of them.
// Flows longer than the sample make it say more rows than there will be.
type Estimate struct {
	SampleBytes int64         `json:"sample_bytes"` // of the inputs, as stored
	Packets     int64         `json:"packets"`
	Rows        int64         `json:"rows"`         // of all tables
	OutputBytes int64         `json:"output_bytes"` // of all tables
	Seconds     float64       `json:"duration_s"`
	Tables      []TableReport `json:"tables"` // File is empty
}

// A sample takes the beginning of a few inputs, evenly spread; or all, where
// they are small.
const (
	sampleInputs = 8
	sampleBytes  = 64 << 20
)

// Predict plans a conversion without making it: it finds the inputs, and
// converts a sample of them in a temporary directory to say how large the
// whole will be and how long it will take. cfg.Out may be empty; what would
// keep a conversion from writing there is an error.
func Predict(ctx context.Context, cfg Config) (*Forecast, error) {
	out := cfg.Out
	if out == "" {
		cfg.Out = "." // not written to
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if out != "" {
		if err := cfg.vacant(); err != nil {
			return nil, err
		}
	}
	cfg = cfg.withDefaults()
	plan, err := ingest.NewPlan(ctx, cfg.ingest(), cfg.Inputs, cfg.Stdin)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	if len(plan.Inputs) == 0 {
		return nil, fmt.Errorf("no captures found in %s", strings.Join(cfg.Inputs, ", "))
	}
	f := &Forecast{Skipped: plan.Skipped}
	var readable []ingest.Input
	for _, in := range plan.Inputs {
		p := PlannedInput{File: in.Name, Bytes: in.Size}
		if in.HasTime {
			p.FirstTime = pointer(in.FirstTime)
		}
		f.Inputs = append(f.Inputs, p)
		if in.Size > 0 {
			f.Bytes += in.Size
			readable = append(readable, in)
		}
	}
	if len(readable) > 0 {
		if f.Estimate, err = estimate(ctx, cfg, readable, f.Bytes); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func estimate(ctx context.Context, cfg Config, inputs []ingest.Input, total int64) (_ *Estimate, err error) {
	dir, err := os.MkdirTemp("", "caplake-dry-run-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sample := filepath.Join(dir, "in")
	if err := os.Mkdir(sample, 0o700); err != nil {
		return nil, err
	}
	n := min(sampleInputs, len(inputs))
	share := int64(sampleBytes / n)
	if total <= sampleBytes && len(inputs) <= 1000 {
		n, share = len(inputs), sampleBytes
	}
	e := &Estimate{}
	for i := range n {
		from := inputs[i*len(inputs)/n].Path
		copied, err := copyStart(filepath.Join(sample, fmt.Sprint(i)), from, share)
		if err != nil {
			continue // of one that cannot be read there is nothing to learn
		}
		e.SampleBytes += copied
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	cfg.Inputs, cfg.Out, cfg.Table, cfg.Overwrite, cfg.Logger = []string{sample}, filepath.Join(dir, "out"), "", false, nil
	r, err := Convert(ctx, cfg, nil)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil || e.SampleBytes == 0 {
		return nil, nil // the sample has no capture in it; the conversion will say what is wrong
	}
	factor := float64(total) / float64(e.SampleBytes)
	scale := func(n int64) int64 { return int64(float64(n)*factor + 0.5) }
	e.Packets, e.Seconds = scale(r.Packets), r.Duration*factor
	for _, t := range r.Tables {
		if t.Name == "captures" {
			t.Rows = int64(len(inputs)) // known
		} else {
			t.Rows, t.Bytes = scale(t.Rows), scale(t.Bytes)
		}
		t.File = ""
		e.Tables = append(e.Tables, t)
		e.Rows += t.Rows
		e.OutputBytes += t.Bytes
	}
	return e, nil
}

// copyStart copies the first n bytes of a file.
func copyStart(to, from string, n int64) (copied int64, err error) {
	r, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return io.Copy(w, io.LimitReader(r, n))
}
