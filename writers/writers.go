// Package writers writes rows to Parquet and Arrow files, and commits a
// dataset: a folder of tables with a manifest.
//
//	dir, err := writers.NewDir(out, writers.Options{…})
//	flows, err := writers.NewTable(dir, "flows", schema.FillFlow)
//	err = flows.Append(rows)     // any number of times
//	err = dir.Commit()           // or dir.Abort()
//
// Both formats derive from the same struct tags (schema.ColumnsOf). Rows come
// in their final order. Full row groups are encoded side by side by a bounded
// number of encoders that all tables share, and are written in order; what a
// file holds depends on its rows and the Options alone, never on the number of
// encoders.
//
// A dataset is laid out as
//
//	OUT/manifest.json            what belongs to the dataset; its presence is the commit
//	OUT/TABLE/part-00000.parquet, or with Options.PartitionBy
//	OUT/TABLE/date=2024-01-31/hour=05/part-00000.parquet
//	OUT/.caplake-tmp/            a run in progress, or the rest of a killed one
//
// One table can go to a pipe instead (NewPipe).
//
// Files are written under the temporary folder, synced, and renamed. Killed at
// any moment, a run leaves no manifest or a whole dataset, and the next run
// clears away the rest.
package writers

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Format is the file format of a dataset.
type Format string

const (
	Parquet Format = "parquet"
	Arrow   Format = "arrow"  // Arrow IPC file format, also known as Feather 2; in a pipe its streaming format
	NDJSON  Format = "ndjson" // a JSON object a line
)

// Codec is the compression of Parquet pages. Arrow files are not compressed:
// whoever wants them wants to map them.
type Codec string

const (
	Zstd         Codec = "zstd" // at Options.ZstdLevel
	Snappy       Codec = "snappy"
	Uncompressed Codec = "none"
)

// Partition is a period of time that gets a folder of its own in every table, named
// as Hive does.
type Partition string

const (
	ByNothing Partition = ""
	ByDate    Partition = "date" // date=2024-01-31
	ByHour    Partition = "hour" // date=2024-01-31/hour=05
)

// period returns the time that a folder is for; 0: all.
func (p Partition) period() time.Duration {
	switch p {
	case ByDate:
		return 24 * time.Hour
	case ByHour:
		return time.Hour
	}
	return 0
}

// folder returns the name of the folder of the period that begins at ns.
func (p Partition) folder(ns int64) string {
	format := "date=2006-01-02"
	if p == ByHour {
		format += "/hour=15"
	}
	return time.Unix(0, ns).UTC().Format(format)
}

// Options configure a dataset. The zero value of a field is the default
// that its comment names.
type Options struct {
	Format Format // Parquet

	// Workers is the number of row groups that are encoded at a time. It
	// changes no byte of the output. 0: one for each core that the process may use.
	Workers int

	// RowGroupRows is the number of rows of a full row group (65,536).
	RowGroupRows int

	// RowGroupBytes ends a row group early when its rows take this much memory
	// (128 MiB): rows of headers of ten thousand lines exist. With up to
	// Workers+1 row groups in the works and one being filled for each table,
	// it bounds what waits here.
	RowGroupBytes int64

	Codec Codec // Zstd

	// ZstdLevel is that of zstd's own command, 1 to 22 (1), of which four
	// steps are told apart: from 1, 3, 6 and 10.
	ZstdLevel int

	// FileBytes ends a file of a table at the row group that reaches it (512 MiB).
	FileBytes int64

	// PartitionBy puts rows into folders by their ts, UTC. Tables without ts
	// are one folder always. Each folder's rows are in the order in which they came.
	PartitionBy Partition

	// Version is that of the tool, for the files' metadata.
	Version string

	// Config is the configuration that decided what the rows are, for the
	// files' metadata and the manifest. It must not name anything that may
	// differ between runs that are to give the same bytes.
	Config map[string]string

	// Overwrite allows a dataset that is there to be replaced.
	Overwrite bool

	pageRows int // pageRows; tests want many pages of few rows
}

// Validate reports every fault of o at once.
func (o Options) Validate() error {
	var faults []error
	if !slices.Contains([]Format{"", Parquet, Arrow, NDJSON}, o.Format) {
		faults = append(faults, fmt.Errorf("format %q is none of parquet, arrow, ndjson", o.Format))
	}
	if !slices.Contains([]Codec{"", Zstd, Snappy, Uncompressed}, o.Codec) {
		faults = append(faults, fmt.Errorf("codec %q is none of zstd, snappy, none", o.Codec))
	}
	if o.Workers < 0 {
		faults = append(faults, fmt.Errorf("number of workers %d is negative", o.Workers))
	}
	if o.RowGroupRows < 0 || o.RowGroupRows > 1<<24 {
		faults = append(faults, fmt.Errorf("rows of a row group: %d is not from 1 to %d", o.RowGroupRows, 1<<24))
	}
	if o.RowGroupBytes < 0 || o.RowGroupBytes > 1<<30 {
		faults = append(faults, fmt.Errorf("bytes of a row group: %d is not from 1 to %d", o.RowGroupBytes, 1<<30))
	}
	if o.ZstdLevel < 0 || o.ZstdLevel > 22 {
		faults = append(faults, fmt.Errorf("zstd level %d is not from 1 to 22", o.ZstdLevel))
	}
	if o.FileBytes < 0 {
		faults = append(faults, fmt.Errorf("bytes of a file: %d is negative", o.FileBytes))
	}
	if !slices.Contains([]Partition{ByNothing, ByDate, ByHour}, o.PartitionBy) {
		faults = append(faults, fmt.Errorf("partition by %q: must be date or hour", o.PartitionBy))
	}
	if strings.ContainsAny(o.Version, "\n()") {
		faults = append(faults, fmt.Errorf("version %q has characters that file metadata gives a meaning", o.Version))
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.Format == "" {
		o.Format = Parquet
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.RowGroupRows == 0 {
		o.RowGroupRows = 65536
	}
	if o.RowGroupBytes == 0 {
		o.RowGroupBytes = 128 << 20
	}
	if o.Codec == "" {
		o.Codec = Zstd
	}
	if o.ZstdLevel == 0 {
		o.ZstdLevel = 1
	}
	if o.pageRows == 0 {
		o.pageRows = pageRows
	}
	if o.FileBytes == 0 {
		o.FileBytes = 512 << 20
	}
	if o.Version == "" {
		o.Version = "0.0.0"
	}
	return o
}
