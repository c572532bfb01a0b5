package run

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/caplake/caplake/ingest"
)

// Inspection is what captures are and hold, without any flow tracked.
type Inspection struct {
	Captures []CaptureInfo `json:"captures"` // in the order in which a conversion reads them
	Skipped  []string      `json:"skipped"`  // files of directories that are no captures
}

// CaptureInfo is one capture. Times are nanoseconds since 1970.
type CaptureInfo struct {
	File        string   `json:"file"`
	Bytes       int64    `json:"bytes"` // as stored
	SHA256      string   `json:"sha256,omitempty"`
	Format      string   `json:"format,omitempty"`
	Compression string   `json:"compression,omitempty"`
	ByteOrder   string   `json:"byte_order,omitempty"`
	Resolution  string   `json:"timestamp_resolution,omitempty"`
	LinkTypes   []string `json:"link_types"`
	Snaplen     uint32   `json:"snaplen,omitempty"` // 0: none given

	Packets       int64 `json:"packets"`
	CapturedBytes int64 `json:"captured_bytes"` // of packets, as captured
	WireBytes     int64 `json:"wire_bytes"`     // of packets, as they were on the wire
	CutPackets    int64 `json:"cut_packets"`    // captured with less than they had
	SmallestWire  int64 `json:"smallest_packet"`
	LargestWire   int64 `json:"largest_packet"`

	FirstTime  *int64 `json:"first_time,omitempty"` // earliest
	LastTime   *int64 `json:"last_time,omitempty"`  // latest
	OutOfOrder int64  `json:"out_of_order"`         // earlier than a packet before them

	Outcomes     []Count `json:"outcomes"` // what a conversion makes of the packets; adds up to Packets
	BadChecksums int64   `json:"bad_checksums"`
	Damage       *Damage `json:"damage,omitempty"`
}

// Seconds returns the time from the first packet to the last.
func (c *CaptureInfo) Seconds() float64 {
	if c.FirstTime == nil {
		return 0
	}
	return float64(*c.LastTime)/1e9 - float64(*c.FirstTime)/1e9
}

// Inspect reads captures and says what they are. Of cfg it takes what
// concerns reading; no dataset is written. progress may be nil.
func Inspect(ctx context.Context, cfg Config, progress *Progress) (*Inspection, error) {
	cfg = cfg.withDefaults()
	plan, err := ingest.NewPlan(ctx, cfg.ingest(), cfg.Inputs, cfg.Stdin)
	if err != nil {
		return nil, err
	}
	defer plan.Close()
	if progress != nil {
		progress.plan.Store(plan)
	}
	result := &Inspection{Captures: make([]CaptureInfo, len(plan.Inputs)), Skipped: plan.Skipped}
	if len(plan.Inputs) == 0 {
		return nil, fmt.Errorf("no captures found in %s", strings.Join(cfg.Inputs, ", "))
	}
	for i := range result.Captures {
		result.Captures[i].SmallestWire = math.MaxInt64
	}
	// Every worker is handed every batch; the first one counts for all.
	handle := func(worker int, b *ingest.Batch) error {
		if worker == 0 {
			result.Captures[b.Input-1].count(b.Records)
		}
		return nil
	}
	done := func(input uint32, c *ingest.Capture) { result.Captures[input-1].describe(c) }
	if err := plan.Run(ctx, cfg.ingest(), cfg.Workers, handle, done); err != nil {
		return nil, err
	}
	return result, nil
}

func (i *CaptureInfo) count(records []ingest.Record) {
	for j := range records {
		r := &records[j]
		wire, captured := int64(r.OrigLen), int64(r.CapLen)
		i.WireBytes += wire
		i.CapturedBytes += captured
		i.SmallestWire = min(i.SmallestWire, wire)
		i.LargestWire = max(i.LargestWire, wire)
		if captured < wire {
			i.CutPackets++
		}
	}
}

func (i *CaptureInfo) describe(c *ingest.Capture) {
	i.File, i.Bytes, i.SHA256 = c.Name, c.Bytes, c.SHA256
	i.Format, i.Compression, i.ByteOrder, i.Resolution = c.Format, c.Compression, c.ByteOrder, c.TimestampResolution
	i.LinkTypes, i.Snaplen = c.LinkTypes, c.Snaplen
	i.Packets, i.OutOfOrder, i.BadChecksums = int64(c.Packets), int64(c.OutOfOrder), int64(c.BadChecksums)
	if i.LinkTypes == nil {
		i.LinkTypes = []string{}
	}
	if c.Packets == 0 {
		i.SmallestWire = 0
	}
	if c.HasTime {
		i.FirstTime, i.LastTime = pointer(c.FirstTime), pointer(c.LastTime)
	}
	var r Report
	r.add(c, acts{})
	i.Outcomes = r.Outcomes
	if len(r.Damaged) > 0 {
		i.Damage = &r.Damaged[0]
	}
}
