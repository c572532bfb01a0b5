package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/caplake/caplake/cmd/internal/run"
)

// inspectOptions are the flags of inspect.
type inspectOptions struct {
	json, quiet         bool
	noChecksums, noHash bool
	noDecap             bool
	workers             count
	maxFragments        size
	configFile          string
}

func (o *inspectOptions) groups() (groups []group) {
	fs := newGroup(&groups, "Flags")
	fs.BoolVar(&o.json, "json", false, "print JSON; times are nanoseconds since 1970")
	fs.BoolVar(&o.noChecksums, "no-checksums", false, "do not verify checksums of IP, TCP and UDP")
	fs.BoolVar(&o.noHash, "no-hash", false, "do not compute the SHA-256 of the captures")
	fs.BoolVar(&o.noDecap, "no-decap", false, "do not look into tunnels")
	o.maxFragments = size(run.Default().MaxFragmentBytes)
	fs.Var(&o.maxFragments, "max-fragment-bytes", "bytes of incomplete fragmented datagrams to hold")
	fs.Var(&o.workers, "workers", "cores to use (default: all)")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "do not show how far it is")
	fs.StringVar(&o.configFile, "config", "", "take flags that are not given from `FILE`")
	note(fs, "config", notePath, "file")
	return groups
}

func (c *command) inspect(ctx context.Context, args []string) int {
	var o inspectOptions
	fs := flagsOf("inspect", o.groups())
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("inspect")
	}
	if err == nil {
		err = settings(fs, c.env)
	}
	if err == nil && fs.NArg() == 0 {
		err = errors.New("no captures given")
	}
	if err != nil {
		return c.usage("inspect", err)
	}
	cfg := run.Config{
		Inputs: fs.Args(), Stdin: c.stdin, Workers: int(o.workers),
		NoChecksums: o.noChecksums, NoHash: o.noHash, NoDecap: o.noDecap, MaxFragmentBytes: int64(o.maxFragments),
	}
	var found *run.Inspection
	err = c.watch(o.quiet, func(p *run.Progress) (err error) {
		found, err = run.Inspect(ctx, cfg, p)
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		c.errorf("interrupted")
		return exitInterrupted
	case err != nil:
		return c.failed(err)
	}
	if o.json {
		err = c.printJSON(found)
	} else {
		err = writeInspection(c.stdout, found, !o.noChecksums)
	}
	if err != nil {
		return c.failed(err)
	}
	for i := range found.Captures {
		if found.Captures[i].Damage != nil {
			return exitDamaged
		}
	}
	return exitOK
}

// writeInspection writes a block of lines for each capture and, where there
// are several, one for all.
func writeInspection(w io.Writer, found *run.Inspection, checksums bool) error {
	var b bytes.Buffer
	for i := range found.Captures {
		if i > 0 {
			b.WriteString("\n")
		}
		captureText(&b, &found.Captures[i], checksums)
	}
	if n := len(found.Captures); n > 1 {
		b.WriteString("\n")
		totalText(&b, found.Captures)
	}
	if n := len(found.Skipped); n > 0 {
		fmt.Fprintf(&b, "\n%s skipped, being no capture\n", plural(int64(n), "file"))
	}
	_, err := w.Write(b.Bytes())
	return err
}

func captureText(b *bytes.Buffer, c *run.CaptureInfo, checksums bool) {
	var t [][]string
	line := func(name, format string, args ...any) { t = append(t, []string{name, fmt.Sprintf(format, args...)}) }
	line("file", "%s", c.File)
	stored := humanBytes(c.Bytes)
	if c.Compression != "" {
		stored += ", " + c.Compression
	}
	line("size", "%s", stored)
	if c.Format != "" {
		format := c.Format
		if c.ByteOrder != "" {
			format += ", " + c.ByteOrder + "-endian"
		}
		if c.Resolution != "" {
			format += ", ticks of " + c.Resolution
		}
		line("format", "%s", format)
		if len(c.LinkTypes) > 0 {
			line("links", "%s", strings.Join(c.LinkTypes, ", "))
		}
		if c.Snaplen > 0 {
			line("snaplen", "%s bytes", humanCount(int64(c.Snaplen)))
		}
		line("packets", "%s", humanCount(c.Packets))
	}
	if c.Packets > 0 {
		line("packet size", "%s to %s bytes, %s on average", humanCount(c.SmallestWire), humanCount(c.LargestWire), humanCount(c.WireBytes/c.Packets))
		captured := ""
		if c.CutPackets > 0 {
			captured = fmt.Sprintf(", %s captured (%s cut short)", humanBytes(c.CapturedBytes), plural(c.CutPackets, "packet"))
		}
		line("data", "%s%s", humanBytes(c.WireBytes), captured)
	}
	t = append(t, timeText(c.FirstTime, c.LastTime, c.Packets, c.WireBytes)...)
	if c.Packets > 0 {
		line("out of order", "%s", plural(c.OutOfOrder, "packet"))
		if checksums {
			line("bad checksums", "%s", plural(c.BadChecksums, "packet"))
		}
	}
	if c.SHA256 != "" {
		line("sha256", "%s", c.SHA256)
	}
	title := "outcomes"
	for _, o := range c.Outcomes {
		if o.N > 0 {
			line(title, "%s %s (%s)", humanCount(o.N), words(o.Name), percent(o.N, c.Packets))
			title = ""
		}
	}
	if c.Damage != nil {
		line("damage", "%s", strings.TrimPrefix(damageText(*c.Damage), c.File+": "))
	}
	writeTable(b, t, "ll")
}

func totalText(b *bytes.Buffer, captures []run.CaptureInfo) {
	var stored, packets, wire, damaged int64
	var first, last *int64
	for i := range captures {
		c := &captures[i]
		stored += c.Bytes
		packets += c.Packets
		wire += c.WireBytes
		if c.Damage != nil {
			damaged++
		}
		if c.FirstTime != nil {
			if first == nil || *c.FirstTime < *first {
				first = c.FirstTime
			}
			if last == nil || *c.LastTime > *last {
				last = c.LastTime
			}
		}
	}
	all := fmt.Sprintf("%s, %s", plural(int64(len(captures)), "capture"), humanBytes(stored))
	if damaged > 0 {
		all += fmt.Sprintf(", %s damaged", humanCount(damaged))
	}
	t := [][]string{{"total", all}, {"packets", humanCount(packets)}, {"data", humanBytes(wire)}}
	writeTable(b, append(t, timeText(first, last, packets, wire)...), "ll")
}

// timeText says when packets were captured and how fast they came.
func timeText(first, last *int64, packets, wire int64) (t [][]string) {
	if first == nil {
		return nil
	}
	// Not as a Duration, which is too short for the times that damage makes.
	seconds := float64(*last)/1e9 - float64(*first)/1e9
	t = append(t, []string{"first packet", humanTime(*first)}, []string{"last packet", humanTime(*last)}, []string{"span", humanSpan(*first, *last)})
	if float64(packets) >= 0.01*seconds && seconds > 0 {
		t = append(t, []string{"rate", fmt.Sprintf("%s packets/s, %s/s", humanRate(float64(packets)/seconds), humanBits(8*float64(wire)/seconds))})
	}
	return t
}

func percent(n, of int64) string { return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(max(of, 1))) }
