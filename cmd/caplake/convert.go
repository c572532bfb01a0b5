package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/caplake/caplake/cmd/internal/run"
)

// options are the flags of convert.
type options struct {
	out, format             string
	overwrite               bool
	rowGroupRows            count
	headers, fingerprints   bool
	noChecksums, noHash     bool
	tcpIdle, udpIdle        timeout
	icmpIdle, otherIdle     timeout
	attempt, linger, active timeout
	maxFlows                count
	maxHeldPerSide, maxHeld size
	maxFragments            size
	workers, shards         count
	json, quiet             bool
}

// group is a section of the help.
type group struct {
	title string
	flags *pflag.FlagSet
}

// groups declares the flags, with the defaults of the wiring, and sets o to them.
func (o *options) groups() []group {
	d := run.Default()
	var groups []group
	add := func(title string) *pflag.FlagSet {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		fs.SortFlags = false
		groups = append(groups, group{title, fs})
		return fs
	}
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
	fs.StringVarP(&o.out, "out", "o", "", "write the dataset to the directory `DIR`")
	fs.StringVar(&o.format, "format", d.Format, "`FORMAT` of the files: parquet or arrow")
	fs.BoolVar(&o.overwrite, "overwrite", false, "replace a dataset that is in DIR already")
	number(fs, &o.rowGroupRows, "row-group-rows", d.RowGroupRows, "rows of a row group (Parquet) or record batch (Arrow)")

	fs = add("What the rows say")
	fs.BoolVar(&o.headers, "headers", false, "write the headers of HTTP requests and responses as lists")
	fs.BoolVar(&o.fingerprints, "fingerprints", false, "write the strings that JA3, JA3S and JA4 are made from")
	fs.BoolVar(&o.noChecksums, "no-checksums", false, "do not verify checksums of IP, TCP and UDP")
	fs.BoolVar(&o.noHash, "no-hash", false, "do not compute the SHA-256 of the captures")

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
	bytes(fs, &o.maxHeldPerSide, "max-held-per-side", int64(d.MaxHeldPerSide), "bytes held for reassembly for one side of a flow")
	bytes(fs, &o.maxHeld, "max-held", d.MaxHeld, "bytes held for reassembly in all")
	bytes(fs, &o.maxFragments, "max-fragment-bytes", d.MaxFragmentBytes, "bytes of incomplete fragmented datagrams")

	fs = add("Running")
	o.workers = 0
	value(fs, &o.workers, "workers", "cores to use; changes nothing in the output (default: all)")
	number(fs, &o.shards, "shards", d.Shards, "partitions of the flows; bounds the use of cores")
	fs.BoolVar(&o.json, "json", false, "print the report as JSON on standard output")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "print errors and damaged inputs only")
	return groups
}

func (o *options) config() run.Config {
	return run.Config{
		Out: o.out, Format: o.format, Overwrite: o.overwrite, RowGroupRows: int(o.rowGroupRows),
		Headers: o.headers, Fingerprints: o.fingerprints, NoChecksums: o.noChecksums, NoHash: o.noHash,
		TCPIdle: time.Duration(o.tcpIdle), UDPIdle: time.Duration(o.udpIdle),
		ICMPIdle: time.Duration(o.icmpIdle), OtherIdle: time.Duration(o.otherIdle),
		Attempt: time.Duration(o.attempt), CloseLinger: time.Duration(o.linger), Active: time.Duration(o.active),
		MaxFlows: int(o.maxFlows), MaxHeldPerSide: int(o.maxHeldPerSide), MaxHeld: int64(o.maxHeld),
		MaxFragmentBytes: int64(o.maxFragments),
		Workers:          int(o.workers), Shards: int(o.shards),
		Version: version,
	}
}

func (c *command) convert(ctx context.Context, args []string) int {
	var o options
	fs := pflag.NewFlagSet("convert", pflag.ContinueOnError)
	fs.Usage = func() {}
	for _, g := range o.groups() {
		fs.AddFlagSet(g.flags)
	}
	help, err := parse(fs, args)
	if help {
		return c.print(convertHelp())
	}
	if err != nil {
		return c.usage("convert", err)
	}
	cfg := o.config()
	cfg.Inputs, cfg.Stdin = fs.Args(), c.stdin
	if err := cfg.Validate(); err != nil {
		return c.usage("convert", err)
	}

	report, err := c.watch(ctx, cfg, o.quiet)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		c.errorf("interrupted; no dataset was written")
		return exitInterrupted
	case err != nil:
		return c.failed(err)
	}
	switch {
	case o.json:
		e := json.NewEncoder(c.stdout)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	case !o.quiet:
		err = writeSummary(c.stdout, report)
	}
	if err != nil {
		return c.failed(err)
	}
	if !o.quiet {
		for _, w := range report.Warnings {
			c.errorf("warning: %s", w)
		}
	}
	for _, d := range report.Damaged {
		c.errorf("%s", damageText(d))
	}
	if len(report.Damaged) > 0 {
		return exitDamaged
	}
	return exitOK
}

func damageText(d run.Damage) string {
	if strings.HasPrefix(d.Error, d.File+": ") {
		return d.Error // it says where
	}
	return fmt.Sprintf("%s: packet %d at byte %d: %s", d.File, d.Packet, d.Offset, d.Error)
}

// watch converts and shows how far it is: on a terminal as a line that moves,
// elsewhere as a log.
func (c *command) watch(ctx context.Context, cfg run.Config, quiet bool) (*run.Report, error) {
	if quiet {
		return run.Convert(ctx, cfg, nil)
	}
	if !c.terminal {
		log := slog.New(slog.NewTextHandler(c.stderr, nil))
		cfg.Logger = log
		log.Info("started", "out", cfg.Out, "format", cfg.Format, "version", version)
		report, err := run.Convert(ctx, cfg, nil)
		if err == nil {
			log.Info("finished", "inputs", report.Inputs, "damaged", len(report.Damaged), "packets", report.Packets,
				"bytes", report.Bytes, "seconds", report.Duration, "peak_memory", report.PeakMemory)
		}
		return report, err
	}
	var progress run.Progress
	line := progressLine{w: c.stderr, began: time.Now()}
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				read, total, packets := progress.Snapshot()
				line.show(now, read, total, packets)
			}
		}
	})
	report, err := run.Convert(ctx, cfg, &progress)
	close(done)
	shown.Wait()
	line.clear()
	return report, err
}
