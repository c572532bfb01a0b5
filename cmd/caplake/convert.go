package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/caplake/caplake/cmd/internal/filter"
	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/schema"
)

// options are the flags of convert.
type options struct {
	out, format, table      string
	overwrite               bool
	rowGroupRows, zstdLevel count
	fileSize                size
	partitionBy             string
	headers, fingerprints   bool
	certificateDER          bool
	noChecksums, noHash     bool
	noDecap, dedup, entropy bool
	overlap                 string
	bodyHash, bodyMIME      bool
	splt, firstBytes        count
	tcpIdle, udpIdle        timeout
	icmpIdle, otherIdle     timeout
	attempt, linger, active timeout
	maxFlows                count
	maxHeldPerSide, maxHeld size
	maxFragments            size
	maxHeldSegments         count
	maxFragmented           count
	fragmentTimeout         timeout
	maxParsers              size
	maxPending              count
	maxRecord               size
	buffers, rowGroupBytes  size
	maxCertificates         size
	readAhead               natural
	readAheadBytes          size
	workers, shards         count
	filter                  filter.Filter
	dryRun, json            bool
	quiet, verbose          bool
	logFormat, configFile   string
}

// groups declares the flags, with the defaults of the wiring, and sets o to them.
func (o *options) groups() []group {
	d := run.Default()
	var groups []group
	add := func(title string) *pflag.FlagSet { return newGroup(&groups, title) }
	value := func(fs *pflag.FlagSet, v pflag.Value, name, usage string) { fs.Var(v, name, usage) }
	duration := func(fs *pflag.FlagSet, v *timeout, name string, d time.Duration, usage string) {
		*v = timeout(d)
		value(fs, v, name, usage)
	}
	bytes := func(fs *pflag.FlagSet, v *size, name string, d int64, usage string) {
		*v = size(d)
		value(fs, v, name, usage)
	}
	number := func(fs *pflag.FlagSet, v *count, name string, d int, usage string) {
		*v = count(d)
		value(fs, v, name, usage)
	}

	fs := add("Output")
	fs.StringVarP(&o.out, "out", "o", "", "write the dataset to the directory `DIR`; - writes one table to standard output")
	fs.StringVar(&o.format, "format", d.Format, "`FORMAT` of the files: parquet, arrow, or ndjson (JSON lines)")
	fs.StringVar(&o.table, "table", "", "with -o -: the `TABLE` that goes to standard output, as one Parquet file, Arrow stream or JSON lines")
	note(fs, "out", notePath, "dir")
	note(fs, "format", noteValues, "parquet", "arrow", "ndjson")
	note(fs, "table", noteValues, tableNames()...)
	fs.BoolVar(&o.overwrite, "overwrite", false, "replace a dataset that is in DIR already")
	number(fs, &o.rowGroupRows, "row-group-rows", d.RowGroupRows, "rows of a row group (Parquet) or record batch (Arrow)")
	bytes(fs, &o.fileSize, "file-size", d.FileSize, "a file of a table ends at this size, and a further one begins; whole row groups only")
	fs.StringVar(&o.partitionBy, "partition-by", "", "folders by the `PERIOD` of ts, UTC, in every table that has ts: date (date=2024-01-31) or hour (…/hour=05)")
	note(fs, "partition-by", noteValues, "date", "hour")
	number(fs, &o.zstdLevel, "zstd-level", d.ZstdLevel, "compression of Parquet files, 1 to 22; more is smaller and slower, in steps at 3, 6 and 10")

	fs = add("What the rows say")
	fs.BoolVar(&o.headers, "headers", false, "write the headers of HTTP requests and responses as lists")
	fs.BoolVar(&o.fingerprints, "fingerprints", false, "write the strings that JA3, JA3S and JA4 are made from")
	fs.BoolVar(&o.certificateDER, "certificate-der", false, "write the bytes of each certificate to certificates.der")
	fs.BoolVar(&o.noChecksums, "no-checksums", false, "do not verify checksums of IP, TCP and UDP")
	fs.BoolVar(&o.noHash, "no-hash", false, "do not compute the SHA-256 of the captures")
	fs.BoolVar(&o.noDecap, "no-decap", false, "do not look into tunnels: what is in one belongs to the flow of its carrier")

	fs.BoolVar(&o.bodyHash, "body-hash", false, "compute the SHA-256 of the bodies of HTTP messages")
	fs.BoolVar(&o.bodyMIME, "body-mime", false, "tell the media type of the bodies of HTTP messages by their content")
	fs.BoolVar(&o.dedup, "dedup", false, "leave out packets that were captured before; they are counted as duplicates only")
	fs.StringVar(&o.overlap, "overlap", "", "of bytes of a TCP side that differ and wait behind a hole, `WHICH` stand: those that came first or last (default: first)")
	note(fs, "overlap", noteValues, "first", "last")
	number(fs, &o.splt, "splt", d.SPLT, "list size, direction and time of so many first packets of a flow, at most 255")
	number(fs, &o.firstBytes, "first-bytes", d.FirstBytes, "write so many first bytes of each side's payload, at most 65535")
	fs.BoolVar(&o.entropy, "payload-entropy", false, "compute the entropy of each side's payload")

	fs = add("Which packets (others are counted as filtered and left out)")
	value(fs, moment{&o.filter.After}, "after", "packets at this time or later: 2024-05-06T07:08:09.5Z, 2024-05-06, or seconds since 1970; UTC where no zone is given")
	value(fs, moment{&o.filter.Before}, "before", "packets earlier than this time")
	match := func(m *filter.Match, not string, host, net, port, proto string) {
		value(fs, &many[netip.Addr]{&m.Hosts, filter.ParseHost, "ADDR"}, not+"host", host)
		value(fs, &many[netip.Prefix]{&m.Nets, filter.ParseNet, "NET"}, not+"net", net)
		value(fs, &many[filter.Ports]{&m.Ports, filter.ParsePorts, "PORT"}, not+"port", port)
		value(fs, &many[uint8]{&m.Protos, filter.ParseProto, "PROTO"}, not+"proto", proto)
		for _, name := range []string{"host", "net", "port", "proto"} {
			note(fs, not+name, noteMany)
		}
		note(fs, not+"proto", noteValues, "tcp", "udp", "icmp", "icmp6", "sctp", "gre", "esp")
	}
	match(&o.filter.Match, "", "packets from or to this address", "packets from or to this network, such as 192.0.2.0/24",
		"packets from or to this port, or one in a range such as 8000-8999",
		"packets of this protocol over IP: tcp, udp, icmp, icmp6, sctp, … or its number")
	match(&o.filter.Not, "not-", "no packets from or to this address", "no packets from or to this network",
		"no packets from or to this port or range", "no packets of this protocol")

	fs = add("When a flow ends (times of packets, not of the clock)")
	duration(fs, &o.tcpIdle, "tcp-idle", d.TCPIdle, "an open TCP flow without packets ends after this time")
	duration(fs, &o.udpIdle, "udp-idle", d.UDPIdle, "same for UDP")
	duration(fs, &o.icmpIdle, "icmp-idle", d.ICMPIdle, "same for ICMP")
	duration(fs, &o.otherIdle, "other-idle", d.OtherIdle, "same for other protocols")
	duration(fs, &o.attempt, "attempt", d.Attempt, "same for TCP as long as only one side has sent")
	duration(fs, &o.linger, "close-linger", d.CloseLinger, "a closed TCP flow takes late packets for this time")
	duration(fs, &o.active, "active", d.Active, "a flow of this age ends and goes on as a new one")

	fs = add("Bounds of memory (what a bound cuts is counted and reported)")
	number(fs, &o.maxFlows, "max-flows", d.MaxFlows, "live flows; beyond it the oldest are ended")
	bytes(fs, &o.maxHeld, "max-held", d.MaxHeld, "bytes held for the reassembly of TCP in all")
	bytes(fs, &o.maxHeldPerSide, "max-held-per-side", int64(d.MaxHeldPerSide), "same for one side of a flow")
	number(fs, &o.maxHeldSegments, "max-held-segments", d.MaxHeldSegments, "segments held for one side of a flow")
	bytes(fs, &o.maxFragments, "max-fragment-bytes", d.MaxFragmentBytes, "bytes of incomplete fragmented datagrams")
	number(fs, &o.maxFragmented, "max-fragmented", d.MaxFragmented, "incomplete fragmented datagrams")
	duration(fs, &o.fragmentTimeout, "fragment-timeout", d.FragmentTimeout, "fragments wait this long for the rest of their datagram")
	bytes(fs, &o.maxParsers, "max-parser-bytes", d.MaxParserBytes, "bytes held by parsers and by what is not yet known to be of a protocol; beyond it the oldest are ended")
	value(fs, &o.maxPending, "max-pending", "requests or queries of one flow that wait for their response (default: 32 for HTTP/1, 256 for HTTP/2 and DNS)")
	bytes(fs, &o.maxRecord, "max-record-bytes", d.MaxRecordBytes, "longest record of a capture; a longer one is taken for damage")

	fs = add("Bounds of memory (what is beyond waits or goes to disk, and nothing is lost)")
	bytes(fs, &o.buffers, "buffer-bytes", d.BufferBytes, "packets on their way from the captures")
	o.readAhead = natural(d.ReadAhead)
	value(fs, &o.readAhead, "read-ahead", "captures that are opened, and where compressed begin to be decompressed, before it is their turn; 0: none")
	bytes(fs, &o.readAheadBytes, "read-ahead-bytes", d.ReadAheadBytes, "bytes that these have ready beyond 1MiB each")
	bytes(fs, &o.rowGroupBytes, "row-group-bytes", d.RowGroupBytes, "rows of a table that wait to be written as one row group, if --row-group-rows are not reached before")
	bytes(fs, &o.maxCertificates, "max-certificate-bytes", d.MaxCertificateBytes, "certificates, each once, that wait for the end of the run; more are sorted on disk")

	fs = add("Running")
	o.workers = 0
	value(fs, &o.workers, "workers", "cores to use; changes nothing in the output (default: all)")
	number(fs, &o.shards, "shards", d.Shards, "partitions of the flows; bounds the use of cores")
	fs.BoolVarP(&o.dryRun, "dry-run", "n", false, "convert nothing; say which captures would be read, in which order, and about how many rows, bytes and seconds that makes, judging by a sample")
	fs.BoolVar(&o.json, "json", false, "print the report as JSON on standard output")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and damaged inputs only")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "log every input")
	fs.StringVar(&o.logFormat, "log-format", "", "log as `FORMAT` text or json to standard error, errors included (default: a line that moves on a terminal, text elsewhere)")
	note(fs, "log-format", noteValues, logText, logJSON)
	fs.StringVar(&o.configFile, "config", "", "take flags that are not given from `FILE`")
	note(fs, "config", notePath, "file")
	return groups
}

func (o *options) config() run.Config {
	return run.Config{
		Out: o.out, Table: o.table, Format: o.format, Overwrite: o.overwrite, RowGroupRows: int(o.rowGroupRows),
		FileSize: int64(o.fileSize), PartitionBy: o.partitionBy, ZstdLevel: int(o.zstdLevel),
		Headers: o.headers, Fingerprints: o.fingerprints, CertificateDER: o.certificateDER, NoChecksums: o.noChecksums, NoHash: o.noHash, NoDecap: o.noDecap,
		Dedup: o.dedup, Overlap: o.overlap, SPLT: int(o.splt), FirstBytes: int(o.firstBytes), Entropy: o.entropy,
		BodyHash: o.bodyHash, BodyMIME: o.bodyMIME,
		TCPIdle: time.Duration(o.tcpIdle), UDPIdle: time.Duration(o.udpIdle),
		ICMPIdle: time.Duration(o.icmpIdle), OtherIdle: time.Duration(o.otherIdle),
		Attempt: time.Duration(o.attempt), CloseLinger: time.Duration(o.linger), Active: time.Duration(o.active),
		MaxFlows: int(o.maxFlows), MaxHeldPerSide: int(o.maxHeldPerSide), MaxHeld: int64(o.maxHeld),
		MaxFragmentBytes: int64(o.maxFragments),
		MaxHeldSegments:  int(o.maxHeldSegments), MaxFragmented: int(o.maxFragmented), FragmentTimeout: time.Duration(o.fragmentTimeout),
		MaxParserBytes: int64(o.maxParsers), MaxPending: int(o.maxPending), MaxRecordBytes: int64(o.maxRecord),
		BufferBytes: int64(o.buffers), RowGroupBytes: int64(o.rowGroupBytes), MaxCertificateBytes: int64(o.maxCertificates),
		ReadAhead: o.readAhead.orNone(), ReadAheadBytes: int64(o.readAheadBytes),
		Filter:  o.filter,
		Workers: int(o.workers), Shards: int(o.shards),
		Version: version,
	}
}

// validate reports what contradicts itself. Of --quiet and --verbose the one
// on the command line wins over the one that is set elsewhere.
func (o *options) validate(fs *pflag.FlagSet) error {
	var errs []error
	if o.quiet && o.verbose {
		switch quiet, verbose := fs.Changed("quiet"), fs.Changed("verbose"); {
		case quiet == verbose:
			errs = append(errs, errors.New("--quiet and --verbose contradict each other"))
		default:
			o.quiet, o.verbose = quiet, verbose
		}
	}
	if o.logFormat != "" && o.logFormat != logText && o.logFormat != logJSON {
		errs = append(errs, fmt.Errorf("--log-format %q: must be text or json", o.logFormat))
	}
	return errors.Join(errs...)
}

func (c *command) convert(ctx context.Context, args []string) int {
	var o options
	fs := flagsOf("convert", o.groups())
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("convert")
	}
	if err == nil {
		err = settings(fs, c.env)
	}
	if err != nil {
		return c.usage("convert", err)
	}
	cfg := o.config()
	cfg.Inputs, cfg.Stdin, cfg.Stdout = fs.Args(), c.stdin, c.stdout
	wanted := cfg
	if o.dryRun && cfg.Out == "" {
		wanted.Out = "." // a dry run needs none
	}
	piped := o.out == run.Pipe && !o.dryRun
	if err := errors.Join(o.validate(fs), wanted.Validate()); err != nil {
		return c.usage("convert", err)
	}
	if piped && c.stdoutTerminal && cfg.Format != "ndjson" {
		return c.usage("convert", fmt.Errorf("standard output is a terminal, which cannot show %s: send it to a file or a program, or take --format ndjson", cfg.Format))
	}
	if o.logFormat == logJSON {
		c.log = c.logger(o.logFormat, slog.LevelInfo)
	}
	if o.dryRun {
		return c.dryRun(ctx, cfg, &o)
	}

	logging := !o.quiet && (!c.terminal || o.verbose || o.logFormat != "")
	var report *run.Report
	if logging {
		report, err = c.convertLogging(ctx, cfg, &o)
	} else {
		err = c.watch(o.quiet, func(p *run.Progress) (err error) {
			report, err = run.Convert(ctx, cfg, p)
			return err
		})
	}
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) && piped:
		c.errorf("interrupted; the output is not whole")
		return exitInterrupted
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return c.interrupted(cfg.Out)
	case piped && errors.Is(err, syscall.EPIPE): // who reads has enough
		return exitOK
	case err != nil:
		return c.failed(err)
	}
	about := c.stdout
	if piped {
		about = c.stderr
	}
	switch {
	case o.json:
		err = writeJSON(about, report)
	case !o.quiet:
		err = writeSummary(about, report)
	}
	if err != nil {
		return c.failed(err)
	}
	if !o.quiet {
		for _, w := range report.Warnings {
			c.warnf("%s", w)
		}
	}
	if !logging { // the log has them
		for _, d := range report.Damaged {
			c.errorf("%s", damageText(d))
		}
	}
	if len(report.Damaged) > 0 {
		return exitDamaged
	}
	return exitOK
}

func tableNames() (names []string) {
	for _, t := range schema.Tables() {
		names = append(names, t.Name)
	}
	return names
}

// interrupted says what an interrupted conversion left in out.
func (c *command) interrupted(out string) int {
	left := "; no dataset was written"
	if _, err := os.Stat(filepath.Join(out, "manifest.json")); err == nil {
		left = fmt.Sprintf("; the dataset that was in %s is as it was", out)
	} else if _, err := os.Stat(out); errors.Is(err, os.ErrNotExist) {
		left += ", nothing is left of it"
	}
	c.errorf("interrupted%s", left)
	return exitInterrupted
}

func damageText(d run.Damage) string {
	if strings.HasPrefix(d.Error, d.File+": ") {
		return d.Error // it says where
	}
	return fmt.Sprintf("%s: packet %d at byte %d: %s", d.File, d.Packet, d.Offset, d.Error)
}

// convertLogging converts and logs how far it is.
func (c *command) convertLogging(ctx context.Context, cfg run.Config, o *options) (*run.Report, error) {
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := c.logger(o.logFormat, level)
	cfg.Logger = log
	log.Info("started", "out", cfg.Out, "format", cfg.Format, "version", version)
	var progress run.Progress
	stop := every(30*time.Second, func(time.Time) {
		read, total, packets := progress.Snapshot()
		log.Info("progress", "bytes", read, "of", total, "packets", packets)
	})
	report, err := run.Convert(ctx, cfg, &progress)
	stop()
	if err == nil {
		log.Info("finished", "inputs", report.Inputs, "damaged", len(report.Damaged), "packets", report.Packets,
			"bytes", report.Bytes, "seconds", report.Duration, "peak_memory", report.PeakMemory)
	}
	return report, err
}
