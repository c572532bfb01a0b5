// Package run wires a whole conversion: captures in, a dataset out. It is
// the only place that knows every other package.
package run

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caplake/caplake/cmd/internal/filter"
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
)

// Config says what to convert and how. The zero value of a field is its
// default, which Default spells out. What the rows say depends on the fields
// up to Filter alone; the rest says where and how fast.
type Config struct {
	Shards         int    // fixed partitions of the flows; default 64
	Format         string // "parquet" (default), "arrow" or "ndjson"
	RowGroupRows   int    // rows of a row group or record batch; default 65536
	FileSize       int64  // bytes at which a file of a table ends, at whole row groups; default 512 MiB
	PartitionBy    string // "date" or "hour": folders by ts; default: none
	ZstdLevel      int    // compression of Parquet pages, 1 to 22; default 1
	Headers        bool   // write HTTP header lists
	Fingerprints   bool   // write the strings behind ja3, ja3s and ja4
	CertificateDER bool   // write the bytes of certificates
	NoChecksums    bool   // leave IP, TCP and UDP checksums unverified
	NoHash         bool   // leave captures unhashed
	NoDecap        bool   // --no-decap: leave datagrams in tunnels over IP to the flow of their carrier
	Dedup          bool   // leave out packets that were captured before
	Overlap        string // "first" (default) or "last": which of held bytes that differ stand; see flows.Overlap
	SPLT           int    // list so many of a flow's first packets; at most 255
	FirstBytes     int    // keep so many bytes of each side's first payload; at most 65535
	Entropy        bool   // compute the entropy of payload
	BodyHash       bool   // compute the SHA-256 of HTTP bodies
	BodyMIME       bool   // tell the type of HTTP bodies by their content

	// Times of packets after which a flow is over; negative means never.
	// Their defaults are those of flows.Config.
	TCPIdle, UDPIdle, ICMPIdle, OtherIdle time.Duration
	Attempt, CloseLinger, Active          time.Duration

	// Bounds on memory, for the whole run. A shard has its equal part.
	MaxFlows         int   // live flows; default 2^21
	MaxHeldPerSide   int   // bytes of one side held for reassembly; default 1 MiB
	MaxHeld          int64 // bytes held for reassembly in all; default 256 MiB
	MaxHeldSegments  int   // segments of one side held for reassembly; default 1024
	MaxFragmentBytes int64 // bytes of incomplete fragmented datagrams; default 16 MiB
	MaxFragmented    int   // incomplete fragmented datagrams; default 4096
	MaxParserBytes   int64 // bytes that parsers hold, and what is held until one is found; default 1 GiB
	MaxPending       int   // requests or queries of one flow that wait for their response; default 32 for HTTP/1, 256 for HTTP/2 and DNS

	// Bounds beyond which something waits, or goes to disk: nothing is given up.
	MaxCertificateBytes int64 // distinct certificates in memory, the others sorted on disk; default 64 MiB
	BufferBytes         int64 // packets on their way, as read from captures; default 4 MiB
	ReadAhead           int   // captures that are opened and decompressed before their turn, 0: default 3; negative: none
	ReadAheadBytes      int64 // what these take beyond a MiB each; default 32 MiB
	RowGroupBytes       int64 // bytes in memory of a row group's rows; default 128 MiB

	FragmentTimeout time.Duration // how long fragments wait, in times of packets; default 30 s
	MaxRecordBytes  int64         // of a packet's record in a capture, more is damage; default 16 MiB

	Filter filter.Filter // which packets are looked at; the others are counted and left out

	// Drop, if not nil, says of a packet that it is to be left out like one that Filter leaves out. It
	// must depend on the packet alone. It is for measuring what loss does.
	Drop func(p *flows.Packet) bool `json:"-"`

	Inputs    []string  // files, directories, globs, "-"
	Stdin     io.Reader // what "-" reads
	Out       string    // directory of the dataset; "-": Table goes to Stdout
	Table     string    // where Out is "-"
	Stdout    io.Writer // where Out is "-"
	Overwrite bool      // replace a dataset that is there
	Workers   int       // default: one per processor
	Version   string    // of the program, for the manifest
	Logger    *slog.Logger
}

// Default returns the configuration that a zero Config stands for.
func Default() Config {
	f := flows.Config{}.WithDefaults()
	in := ingest.Config{}.WithDefaults()
	return Config{
		Shards:           64,
		Format:           "parquet",
		RowGroupRows:     1 << 16,
		FileSize:         512 << 20,
		ZstdLevel:        1,
		TCPIdle:          time.Duration(f.TCPIdle),
		UDPIdle:          time.Duration(f.UDPIdle),
		ICMPIdle:         time.Duration(f.ICMPIdle),
		OtherIdle:        time.Duration(f.OtherIdle),
		Attempt:          time.Duration(f.Attempt),
		CloseLinger:      time.Duration(f.CloseLinger),
		Active:           -1,
		MaxFlows:         1 << 21,
		MaxHeldPerSide:   f.MaxHeldPerSide,
		MaxHeld:          256 << 20,
		MaxHeldSegments:  f.MaxHeldSegments,
		MaxFragmentBytes: int64(in.MaxFragmentBytes),
		MaxFragmented:    in.MaxFragmentDatagrams,
		MaxParserBytes:   1 << 30,

		MaxCertificateBytes: 64 << 20,
		BufferBytes:         int64(in.BlockBytes * in.MaxBlocks),
		ReadAhead:           in.ReadAhead,
		ReadAheadBytes:      int64(in.ReadAheadBytes),
		RowGroupBytes:       128 << 20,
		FragmentTimeout:     time.Duration(in.FragmentTimeout),
		MaxRecordBytes:      int64(in.MaxRecordBytes),

		Workers: runtime.GOMAXPROCS(0),
		Version: "dev",
	}
}

// Pipe is the Out that stands for standard output.
const Pipe = "-"

// maxShards keeps a shard's tables worth their overhead.
const maxShards = 4096

// Validate reports every fault of c at once, in the terms of the flags.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if len(c.Inputs) == 0 {
		bad("no captures given")
	}
	if c.Out == "" {
		bad("no output directory given (-o DIR)")
	}
	if c.Format != "" && c.Format != "parquet" && c.Format != "arrow" && c.Format != "ndjson" {
		bad("--format %q: must be parquet, arrow or ndjson", c.Format)
	}
	var names []string
	for _, t := range schema.Tables() {
		names = append(names, t.Name)
	}
	switch {
	case c.Out == Pipe && c.Table == "":
		bad("-o - writes one table to standard output: say with --table which (%s)", strings.Join(names, ", "))
	case c.Out == Pipe && !slices.Contains(names, c.Table):
		bad("--table %q: must be one of %s", c.Table, strings.Join(names, ", "))
	case c.Out != Pipe && c.Table != "":
		bad("--table %s is for standard output (-o -): a dataset has all tables", c.Table)
	}
	if c.Out == Pipe && c.PartitionBy != "" {
		bad("--partition-by makes folders, which standard output (-o -) has not")
	}
	if c.Shards < 0 || c.Shards > maxShards {
		bad("--shards %d: must be 1 to %d", c.Shards, maxShards)
	}
	if c.Workers < 0 || c.Workers > maxShards {
		bad("--workers %d: must be 1 to %d", c.Workers, maxShards)
	}
	if c.RowGroupRows < 0 {
		bad("--row-group-rows %d: must be positive", c.RowGroupRows)
	}
	if c.FileSize < 0 {
		bad("--file-size %d: must be positive", c.FileSize)
	}
	if c.Overlap != "" && c.Overlap != "first" && c.Overlap != "last" {
		bad("--overlap %q: must be first or last", c.Overlap)
	}
	if c.PartitionBy != "" && c.PartitionBy != "date" && c.PartitionBy != "hour" {
		bad("--partition-by %q: must be date or hour", c.PartitionBy)
	}
	if c.ZstdLevel < 0 || c.ZstdLevel > 22 {
		bad("--zstd-level %d: must be 1 to 22", c.ZstdLevel)
	}
	if c.MaxFlows < 0 || c.MaxHeldPerSide < 0 || c.MaxHeld < 0 || c.MaxHeldSegments < 0 || c.MaxFragmentBytes < 0 ||
		c.MaxFragmented < 0 || c.MaxParserBytes < 0 || c.MaxPending < 0 || c.MaxCertificateBytes < 0 || c.ReadAheadBytes < 0 ||
		c.RowGroupBytes < 0 {
		bad("a memory bound must be positive")
	}
	if c.SPLT < 0 || c.SPLT > flows.MaxShapePackets {
		bad("--splt %d: must be 0 to %d", c.SPLT, flows.MaxShapePackets)
	}
	if c.FirstBytes < 0 || c.FirstBytes > flows.MaxShapeBytes {
		bad("--first-bytes %d: must be 0 to %d", c.FirstBytes, flows.MaxShapeBytes)
	}
	if c.FragmentTimeout < 0 || c.FragmentTimeout > 24*time.Hour {
		bad("--fragment-timeout: must be at most 24h")
	}
	between := func(flag string, v, least, most int64) {
		if v != 0 && (v < least || v > most) {
			bad("--%s %d: must be %d to %d", flag, v, least, most)
		}
	}
	between("max-fragment-bytes", c.MaxFragmentBytes, 64<<10, 1<<40)
	between("max-fragmented", int64(c.MaxFragmented), 1, 1<<30)
	between("max-pending", int64(c.MaxPending), 1, 1<<16)
	between("buffer-bytes", c.BufferBytes, 512<<10, 1<<40)
	between("read-ahead", int64(c.ReadAhead), -1, 1<<10)
	between("max-record-bytes", c.MaxRecordBytes, 64<<10, 1<<30)
	if err := c.Filter.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	d := Default()
	or(&c.Shards, d.Shards)
	or(&c.Format, d.Format)
	or(&c.RowGroupRows, d.RowGroupRows)
	or(&c.FileSize, d.FileSize)
	or(&c.ZstdLevel, d.ZstdLevel)
	or(&c.TCPIdle, d.TCPIdle)
	or(&c.UDPIdle, d.UDPIdle)
	or(&c.ICMPIdle, d.ICMPIdle)
	or(&c.OtherIdle, d.OtherIdle)
	or(&c.Attempt, d.Attempt)
	or(&c.CloseLinger, d.CloseLinger)
	or(&c.Active, d.Active)
	or(&c.MaxFlows, d.MaxFlows)
	or(&c.MaxHeldPerSide, d.MaxHeldPerSide)
	or(&c.MaxHeld, d.MaxHeld)
	or(&c.MaxHeldSegments, d.MaxHeldSegments)
	or(&c.MaxFragmentBytes, d.MaxFragmentBytes)
	or(&c.MaxFragmented, d.MaxFragmented)
	or(&c.MaxParserBytes, d.MaxParserBytes)
	or(&c.MaxCertificateBytes, d.MaxCertificateBytes)
	or(&c.BufferBytes, d.BufferBytes)
	or(&c.ReadAhead, d.ReadAhead)
	or(&c.ReadAheadBytes, d.ReadAheadBytes)
	or(&c.RowGroupBytes, d.RowGroupBytes)
	or(&c.FragmentTimeout, d.FragmentTimeout)
	or(&c.MaxRecordBytes, d.MaxRecordBytes)
	or(&c.Workers, d.Workers)
	or(&c.Version, d.Version)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	// More workers than shards would find nothing to do.
	c.Workers = min(c.Workers, c.Shards)
	return c
}

func or[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// tracking returns the part of a shard's tracker in c.
func (c *Config) tracking() flows.Config {
	return flows.Config{
		TCPIdle:         int64(c.TCPIdle),
		UDPIdle:         int64(c.UDPIdle),
		ICMPIdle:        int64(c.ICMPIdle),
		OtherIdle:       int64(c.OtherIdle),
		Attempt:         int64(c.Attempt),
		CloseLinger:     int64(c.CloseLinger),
		Active:          int64(c.Active),
		MaxFlows:        max(1, c.MaxFlows/c.Shards),
		MaxHeldPerSide:  c.MaxHeldPerSide,
		MaxHeld:         max(1, int(c.MaxHeld/int64(c.Shards))),
		MaxHeldSegments: c.MaxHeldSegments,
		Dedup:           c.Dedup,
		Overlap:         c.overlap(),
		Packets:         c.SPLT,
		PayloadBytes:    c.FirstBytes,
		Entropy:         c.Entropy,
	}
}

func (c *Config) overlap() flows.Overlap {
	if c.Overlap == flows.OverlapLast.String() {
		return flows.OverlapLast
	}
	return flows.OverlapFirst
}

// tabulate returns what the rows hold.
func (c *Config) tabulate() tabulate.Config {
	return tabulate.Config{
		Headers:      c.Headers,
		Fingerprints: c.Fingerprints,
		DER:          c.CertificateDER,
		BodyHash:     c.BodyHash,
		BodyType:     c.BodyMIME,
		MaxPending:   c.MaxPending,
	}
}

func (c *Config) ingest() ingest.Config {
	i := ingest.Config{
		MaxFragmentBytes:     int(c.MaxFragmentBytes),
		MaxFragmentDatagrams: c.MaxFragmented,
		FragmentTimeout:      int64(c.FragmentTimeout),
		MaxRecordBytes:       int(c.MaxRecordBytes),
		ReadAhead:            c.ReadAhead,
		ReadAheadBytes:       int(c.ReadAheadBytes),
		MaxBlocks:            int(c.BufferBytes) / ingest.Config{}.WithDefaults().BlockBytes,
		Checksums:            !c.NoChecksums,
		NoHash:               c.NoHash,
		NoDecap:              c.NoDecap,
	}
	c.Filter.Apply(&i)
	if c.Drop != nil {
		keep := i.KeepPacket
		i.KeepPacket = func(p *flows.Packet, data []byte) bool {
			return (keep == nil || keep(p, data)) && !c.Drop(p)
		}
	}
	return i
}

// effective returns the configuration that decides what the rows say, for the
// metadata of every file.
func (c *Config) effective() map[string]string {
	dur := func(d time.Duration) string {
		if d < 0 {
			return "never"
		}
		return d.String()
	}
	settings := map[string]string{
		"shards":             strconv.Itoa(c.Shards),
		"row_group_rows":     strconv.Itoa(c.RowGroupRows),
		"file_size":          strconv.FormatInt(c.FileSize, 10),
		"partition_by":       c.PartitionBy,
		"zstd_level":         strconv.Itoa(c.ZstdLevel),
		"headers":            strconv.FormatBool(c.Headers),
		"fingerprints":       strconv.FormatBool(c.Fingerprints),
		"certificate_der":    strconv.FormatBool(c.CertificateDER),
		"checksums":          strconv.FormatBool(!c.NoChecksums),
		"hash":               strconv.FormatBool(!c.NoHash),
		"decap":              strconv.FormatBool(!c.NoDecap),
		"overlap":            c.overlap().String(),
		"dedup":              strconv.FormatBool(c.Dedup),
		"splt":               strconv.Itoa(c.SPLT),
		"first_bytes":        strconv.Itoa(c.FirstBytes),
		"payload_entropy":    strconv.FormatBool(c.Entropy),
		"body_hash":          strconv.FormatBool(c.BodyHash),
		"body_mime":          strconv.FormatBool(c.BodyMIME),
		"tcp_idle":           dur(c.TCPIdle),
		"udp_idle":           dur(c.UDPIdle),
		"icmp_idle":          dur(c.ICMPIdle),
		"other_idle":         dur(c.OtherIdle),
		"attempt":            dur(c.Attempt),
		"close_linger":       dur(c.CloseLinger),
		"active":             dur(c.Active),
		"max_flows":          strconv.Itoa(c.MaxFlows),
		"max_held_per_side":  strconv.Itoa(c.MaxHeldPerSide),
		"max_held_segments":  strconv.Itoa(c.MaxHeldSegments),
		"max_held":           strconv.FormatInt(c.MaxHeld, 10),
		"max_fragment_bytes": strconv.FormatInt(c.MaxFragmentBytes, 10),
		"max_fragmented":     strconv.Itoa(c.MaxFragmented),
		"fragment_timeout":   dur(c.FragmentTimeout),
		"max_parser_bytes":   strconv.FormatInt(c.MaxParserBytes, 10),
		"max_record_bytes":   strconv.FormatInt(c.MaxRecordBytes, 10),
		"row_group_bytes":    strconv.FormatInt(c.RowGroupBytes, 10),
	}
	if c.MaxPending != 0 {
		settings["max_pending"] = strconv.Itoa(c.MaxPending)
	}
	for name, value := range c.Filter.Settings() {
		settings["filter_"+name] = value
	}
	return settings
}
