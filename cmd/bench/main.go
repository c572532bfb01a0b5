// Command bench measures caplake on synthetic captures and checks the rows
// against what the generator says it put into them.
//
//	go run ./cmd/bench [-profiles enterprise,small] [-size 1] [-keep DIR] [-runs 1] [-workers 1,2]
//
// Captures come from a generator outside the repository (-pcapgen DIR), which
// is run by "go run ." in its folder. Each conversion is a process of its own,
// so that its peak memory is its own. Captures are read once before the first
// run: what is measured is not the disk. The exit code is 1 where rows are
// missing, 2 where nothing could be measured.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// sizes are the profiles' bytes at -size 1.
func sizeOf(profile string) int64 {
	switch profile {
	case "enterprise":
		return 1_500_000_000
	case "http", "elephant":
		return 500_000_000
	}
	return 1_000_000_000
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := bench(ctx, os.Args[1:], os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func bench(ctx context.Context, args []string, w io.Writer) (bool, error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	pcapgen := flags.String("pcapgen", filepath.Join("..", "shared", "bench", "pcapgen"), "folder of the generator, relative to the module's root")
	profiles := flags.String("profiles", "enterprise,small", "profiles, separated by commas")
	scale := flags.Float64("size", 1, "scale of the captures' sizes (enterprise 1.5 GB, small 1 GB, others 0.5 GB)")
	keep := flags.String("keep", "", "keep the captures in this folder, and use those that are there")
	runs := flags.Int("runs", 1, "conversions of each kind; the fastest counts")
	workerList := flags.String("workers", "1,2", "numbers of workers, separated by commas")
	binary := flags.String("caplake", "", "measure this program instead of building ./cmd/caplake")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	if flags.NArg() > 0 || *runs < 1 || *scale <= 0 {
		return false, errors.New("unexpected arguments; see -help")
	}
	var workers []int
	for s := range strings.SplitSeq(*workerList, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return false, fmt.Errorf("-workers %q: not a list of positive numbers", *workerList)
		}
		workers = append(workers, n)
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return false, err
	}
	if !filepath.IsAbs(*pcapgen) {
		*pcapgen = filepath.Join(root, *pcapgen)
	}
	if _, err := os.Stat(filepath.Join(*pcapgen, "go.mod")); err != nil {
		return false, fmt.Errorf("there is no generator in %s: name its folder with -pcapgen", *pcapgen)
	}
	tmp, err := os.MkdirTemp("", "caplake-bench")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)
	dir := tmp
	if *keep != "" {
		if dir, err = filepath.Abs(*keep); err != nil {
			return false, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, err
		}
	}
	if *binary == "" {
		*binary = filepath.Join(tmp, "caplake")
		if err := command(ctx, root, "go", "build", "-o", *binary, "./cmd/caplake"); err != nil {
			return false, err
		}
	}

	var results []Measurement
	ok := true
	for profile := range strings.SplitSeq(*profiles, ",") {
		c, err := prepare(ctx, *pcapgen, dir, profile, int64(*scale*float64(sizeOf(profile))))
		if err != nil {
			return false, err
		}
		for _, n := range workers {
			m := Measurement{Profile: profile, Workers: n, Bytes: c.size, Packets: c.truth.Packets}
			for range *runs {
				one, err := convert(ctx, *binary, c.path, filepath.Join(tmp, "out"), n)
				if err != nil {
					return false, err
				}
				m.PeakBytes = max(m.PeakBytes, one.PeakBytes)
				if m.Seconds == 0 || one.Seconds < m.Seconds {
					m.Seconds, m.CPU = one.Seconds, one.CPU
				}
			}
			counts, err := countRows(filepath.Join(tmp, "out"))
			if err != nil {
				return false, err
			}
			m.Rows = counts.tables
			m.Mismatches = check(&c.truth, &c.reference, counts)
			ok = ok && len(m.Mismatches) == 0
			results = append(results, m)
			os.RemoveAll(filepath.Join(tmp, "out"))
		}
		if *keep == "" {
			os.Remove(c.path)
		}
	}
	if *asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return ok, e.Encode(results)
	}
	return ok, printTable(w, results)
}

// Measurement is one line of the table.
type Measurement struct {
	Profile    string   `json:"profile"`
	Bytes      int64    `json:"bytes"`
	Packets    int64    `json:"packets"`
	Workers    int      `json:"workers"`
	Seconds    float64  `json:"seconds"`    // the fastest run
	CPU        float64  `json:"cpu_s"`      // its processor time, which other programs on the machine change less
	PeakBytes  int64    `json:"peak_bytes"` // resident, of the run that had most
	Rows       []Rows   `json:"rows"`
	Mismatches []string `json:"mismatches,omitempty"`
}

// Rows is a table's number of rows.
type Rows struct {
	Table string `json:"table"`
	N     int64  `json:"n"`
}

func printTable(w io.Writer, ms []Measurement) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "profile\tMB\tpackets\tworkers\ts\tCPU s\tMB/s\tpackets/s\tpeak MiB\t rows\t")
	for _, m := range ms {
		var rows []string
		for _, r := range m.Rows {
			rows = append(rows, fmt.Sprintf("%s %d", r.Table, r.N))
		}
		fmt.Fprintf(tw, "%s\t%.0f\t%d\t%d\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t %s\t\n", m.Profile, float64(m.Bytes)/1e6, m.Packets, m.Workers, m.Seconds, m.CPU,
			float64(m.Bytes)/1e6/m.Seconds, float64(m.Packets)/m.Seconds, float64(m.PeakBytes)/(1<<20), strings.Join(rows, ", "))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, m := range ms {
		for _, s := range m.Mismatches {
			if _, err := fmt.Fprintf(w, "MISMATCH %s, %d workers: %s\n", m.Profile, m.Workers, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	b, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("bench runs within the module: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// capture is a generated capture with what is known of it.
type capture struct {
	path      string
	size      int64
	truth     Truth
	reference Reference
}

// prepare makes the capture unless it is there, and reads it into the page cache.
func prepare(ctx context.Context, pcapgen, dir, profile string, size int64) (*capture, error) {
	base := filepath.Join(dir, fmt.Sprintf("%s-%d", profile, size))
	c := &capture{path: base + ".pcap"}
	// -drain finishes the flows that are alive at the end: the truth is exact.
	// The truth is written last, so that its presence says that all is there.
	if _, err := os.Stat(base + ".json"); err != nil {
		err := command(ctx, pcapgen, "go", "run", ".", "-profile", profile, "-size", strconv.FormatInt(size, 10), "-drain",
			"-o", c.path, "-truth", base+".json")
		if err != nil {
			return nil, err
		}
	}
	b, err := os.ReadFile(base + ".json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &c.truth); err != nil {
		return nil, fmt.Errorf("%s.json: %w", base, err)
	}
	f, err := os.Open(c.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c.size = st.Size()
	ref, err := readReference(f) // reads it all: the page cache is warm
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	c.reference = *ref
	return c, nil
}

// convert runs caplake in a process of its own.
func convert(ctx context.Context, binary, path, out string, workers int) (Measurement, error) {
	if err := os.RemoveAll(out); err != nil {
		return Measurement{}, err
	}
	cmd := exec.CommandContext(ctx, binary, "convert", "--workers", strconv.Itoa(workers), "-o", out, path)
	start := time.Now()
	b, err := cmd.CombinedOutput()
	m := Measurement{Seconds: time.Since(start).Seconds()}
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, b)
	}
	m.PeakBytes = peakMemory(cmd.ProcessState)
	m.CPU = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return m, nil
}
