package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/caplake/caplake/cmd/internal/views"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
	"github.com/caplake/caplake/writers"
)

// Progress is how far a run has come. It may be read at any time, by anybody.
type Progress struct{ plan atomic.Pointer[ingest.Plan] }

// Snapshot returns the bytes of the captures read so far, as stored, those to be read in
// all (0: not known), and the packets read so far.
func (p *Progress) Snapshot() (bytesDone, bytesTotal, packets int64) {
	plan := p.plan.Load()
	if plan == nil {
		return 0, 0, 0
	}
	q := plan.Progress()
	total, known := q.Total()
	if !known {
		total = 0
	}
	return q.Bytes(), total, q.Packets()
}

// tables are the dataset's tables in the making.
type tables struct {
	dir          *writers.Dir
	flows        *writers.Table[schema.FlowSource, schema.Flow]
	http         *writers.Table[schema.HTTP, schema.HTTP]
	tls          *writers.Table[schema.TLS, schema.TLS]
	certificates *writers.Table[schema.Certificate, schema.Certificate]
	dns          *writers.Table[schema.DNS, schema.DNS]
	own          []func(parts []*tabulate.Output) error // writes the rows of Output.Own
	config       tabulate.Config
	captures     *writers.Table[schema.Capture, schema.Capture]
}

func newTables(dir *writers.Dir, c *Config) (*tables, error) {
	t := &tables{dir: dir, config: c.tabulate()}
	errs := make([]error, 6)
	t.flows, errs[0] = writers.NewTable[schema.FlowSource, schema.Flow](dir, "flows", schema.FillFlow)
	t.http, errs[1] = writers.NewTable[schema.HTTP, schema.HTTP](dir, "http", nil)
	t.tls, errs[2] = writers.NewTable[schema.TLS, schema.TLS](dir, "tls", nil)
	t.certificates, errs[3] = writers.NewTable[schema.Certificate, schema.Certificate](dir, "certificates", nil)
	t.dns, errs[4] = writers.NewTable[schema.DNS, schema.DNS](dir, "dns", nil)
	for place, own := range schema.Own() {
		merge, err := openOwn(dir, own, place)
		t.own, errs = append(t.own, merge), append(errs, err)
	}
	t.captures, errs[5] = writers.NewTable[schema.Capture, schema.Capture](dir, "captures", nil)
	return t, errors.Join(errs...)
}

// Convert runs a whole conversion. progress may be nil. On an error, and when
// ctx is cancelled, nothing that a reader takes for a dataset is left behind.
// A damaged input is no error: the report names it, and what came before the
// damage is in the tables.
func Convert(ctx context.Context, cfg Config, progress *Progress) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := cfg.vacant(); err != nil {
		return nil, err
	}
	began := time.Now()
	cfg = cfg.withDefaults()

	plan, err := ingest.NewPlan(ctx, cfg.ingest(), cfg.Inputs, cfg.Stdin)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	if progress != nil {
		progress.plan.Store(plan)
	}
	if len(plan.Inputs) == 0 {
		return nil, fmt.Errorf("no captures found in %s", strings.Join(cfg.Inputs, ", "))
	}
	cfg.Logger.Info("planned", "inputs", len(plan.Inputs), "skipped", len(plan.Skipped))
	for i, in := range plan.Inputs {
		cfg.Logger.Debug("input", "number", i+1, "file", in.Name, "bytes", in.Size)
	}
	for _, name := range plan.Skipped {
		cfg.Logger.Debug("skipped, being no capture", "file", name)
	}

	options := writers.Options{
		Format:        writers.Format(cfg.Format),
		Workers:       cfg.Workers,
		RowGroupRows:  cfg.RowGroupRows,
		RowGroupBytes: cfg.RowGroupBytes,
		FileBytes:     cfg.FileSize,
		PartitionBy:   writers.Partition(cfg.PartitionBy),
		ZstdLevel:     cfg.ZstdLevel,
		Version:       cfg.Version,
		Config:        cfg.effective(),
		Overwrite:     cfg.Overwrite,
	}
	var dir *writers.Dir
	if cfg.Out == Pipe {
		dir, err = writers.NewPipe(cfg.Stdout, cfg.Table, options)
	} else {
		dir, err = writers.NewDir(cfg.Out, options)
	}
	if err != nil {
		return nil, err
	}
	defer dir.Abort() // nothing to undo once committed
	t, err := newTables(dir, &cfg)
	if err != nil {
		return nil, err
	}

	if cfg.Format != string(writers.NDJSON) { // whose columns a reader has to guess
		if err := dir.Attach(views.File, func(m writers.Manifest) []byte {
			return views.SQL(string(m.FileFormat), func(table string) bool {
				return slices.ContainsFunc(m.Tables, func(t writers.TableInfo) bool { return t.Name == table && len(t.Files) > 0 })
			})
		}); err != nil {
			return nil, err
		}
	}

	report := &Report{Out: cfg.Out, Skipped: plan.Skipped, Damaged: []Damage{}, Warnings: []string{}}
	if report.Skipped == nil {
		report.Skipped = []string{} // JSON is to have lists that are empty
	}
	if err := track(ctx, &cfg, plan, t, report); err != nil {
		return nil, err
	}

	manifest, err := dir.Commit()
	if err != nil {
		return nil, err
	}
	for _, table := range manifest.Tables {
		r := TableReport{Name: table.Name, Rows: table.Rows}
		for _, f := range table.Files {
			r.File = f.Name
			r.Bytes += f.Bytes
			r.Files++
		}
		if r.Files > 1 {
			r.File = table.Name + "/"
		}
		report.Tables = append(report.Tables, r)
	}
	report.warn()
	report.Duration = time.Since(began).Seconds()
	report.PeakMemory = peakMemory()
	return report, nil
}

// track reads the captures and follows their flows to the end.
func track(ctx context.Context, cfg *Config, plan *ingest.Plan, t *tables, report *Report) error {
	m := newMerger(cfg.Workers, t)
	workers := make([]*worker, cfg.Workers)
	seen := make([]*sightings, cfg.Workers)
	for i := range workers {
		workers[i] = newWorker(i, cfg, m)
		seen[i] = workers[i].sightings
		seen[i].scratch = t.dir.Scratch
		defer seen[i].close()
	}
	handle := func(number int, b *ingest.Batch) error { return workers[number].batch(b) }
	captures := make([]ingest.Capture, 0, len(plan.Inputs))
	done := func(_ uint32, c *ingest.Capture) {
		captures = append(captures, *c)
		cfg.Logger.Debug("read", "file", c.Name, "format", c.Format, "compression", c.Compression, "links", c.LinkTypes,
			"packets", c.Packets, "in_flow", c.InFlow, "not_ip", c.NotIP, "unsupported_link", c.UnsupportedLink,
			"malformed", c.MalformedLink+c.MalformedNetwork+c.MalformedTransport, "filtered", c.Filtered)
		if c.Damaged() {
			cfg.Logger.Warn("damaged input", "file", c.Name, "packet", c.ErrPacket, "offset", c.ErrOffset, "error", c.Err)
		}
	}
	if err := plan.Run(ctx, cfg.ingest(), cfg.Workers, handle, done); err != nil {
		return err
	}
	parallel := func(do func(*worker) error) error {
		var g errgroup.Group
		for _, w := range workers {
			g.Go(func() error { return do(w) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		return ctx.Err()
	}
	if err := end(workers, parallel); err != nil {
		return err
	}
	if err := mergeSightings(seen, t.certificates.Append); err != nil {
		return err
	}
	for i := range captures {
		var a acts
		duplicates := uint64(0)
		for _, w := range workers {
			a.add(w.acts[uint32(i+1)])
			if i < len(w.duplicates) {
				duplicates += w.duplicates[i]
			}
		}
		report.add(&captures[i], a)
		row := captureRow(uint32(i+1), &captures[i], a)
		row.Duplicates = int64(duplicates)
		if err := t.captures.Append([]schema.Capture{row}); err != nil {
			return err
		}
	}
	return nil
}

// captureRow makes a row of an input's ledger.
func captureRow(input uint32, c *ingest.Capture, a acts) schema.Capture {
	row := schema.Capture{
		CaptureID:            int32(input),
		Path:                 c.Name,
		Bytes:                c.Bytes,
		SHA256:               c.SHA256,
		Format:               c.Format,
		Compression:          c.Compression,
		ByteOrder:            c.ByteOrder,
		TimestampResolution:  c.TimestampResolution,
		LinkTypes:            c.LinkTypes,
		Packets:              int64(c.Packets),
		OutOfOrderPackets:    int64(c.OutOfOrder),
		FlowPackets:          int64(c.InFlow),
		NotIPPackets:         int64(c.NotIP),
		UnsupportedPackets:   int64(c.UnsupportedLink),
		MalformedLink:        int64(c.MalformedLink),
		MalformedNetwork:     int64(c.MalformedNetwork),
		MalformedTransport:   int64(c.MalformedTransport),
		CutPackets:           int64(c.CutBySnaplen),
		FragmentsReassembled: int64(c.FragmentReassembled),
		FragmentsIncomplete:  int64(c.FragmentIncomplete),
		FilteredPackets:      int64(c.Filtered),
		BadChecksums:         int64(c.BadChecksums),
		OffloadChecksums:     int64(c.Offloaded),
		RewrittenChecksums:   int64(c.Rewritten),
		FragmentOverlaps:     int64(c.FragmentOverlaps),
		LimitHits:            int64(c.LimitsHit + a.total()),
		FlowsEvicted:         int64(a.flows),
		HolesGivenUp:         int64(a.holes),
		DatagramsGivenUp:     int64(c.LimitsHit),
		ParsersGivenUp:       int64(a.parsers),
		PendingGivenUp:       int64(a.pending),
		Error:                c.Err,
		LinkErrorPackets:     int64(c.LinkErrors),
		Warning:              c.Warning,
	}
	for _, a := range c.Offloaders {
		row.OffloadIPs = append(row.OffloadIPs, netip.AddrFrom16(a).Unmap().String())
	}
	if c.HasReceived {
		row.ReceivedPackets = pointer(clamp(c.Received))
	}
	if c.HasDropped {
		row.DroppedPackets = pointer(clamp(c.Dropped))
	}
	if c.Snaplen != 0 {
		row.Snaplen = pointer(int64(c.Snaplen))
	}
	if c.HasTime {
		row.FirstTS, row.LastTS = pointer(c.FirstTime), pointer(c.LastTime)
	}
	if c.Damaged() {
		row.ErrorOffset, row.ErrorPacket = pointer(c.ErrOffset), pointer(int64(c.ErrPacket))
	}
	return row
}

func pointer[T any](v T) *T { return &v }

// clamp keeps what a capture claims within a column.
func clamp(v uint64) int64 { return int64(min(v, math.MaxInt64)) }
