package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/caplake/caplake/cmd/internal/run"
)

// dryRun says what convert would do.
func (c *command) dryRun(ctx context.Context, cfg run.Config, o *options) int {
	f, err := run.Predict(ctx, cfg)
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		c.errorf("interrupted")
		return exitInterrupted
	case err != nil:
		return c.failed(err)
	}
	if o.json {
		err = c.printJSON(f)
	} else if !o.quiet {
		err = writeForecast(c.stdout, f)
	}
	if err != nil {
		return c.failed(err)
	}
	return exitOK
}

func writeForecast(w io.Writer, f *run.Forecast) error {
	var b bytes.Buffer
	known, all := 0, humanBytes(f.Bytes)
	t := [][]string{{"", "first packet", "size", "file"}}
	for i, in := range f.Inputs {
		first, stored := "not known", "not known"
		if in.FirstTime != nil {
			first = humanTime(*in.FirstTime)
		}
		if in.Bytes >= 0 {
			stored = humanBytes(in.Bytes)
			known++
		}
		t = append(t, []string{strconv.Itoa(i + 1), first, stored, in.File})
	}
	switch {
	case known == 0:
		all = "of a size not known"
	case known < len(f.Inputs):
		all += " and what is not known"
	}
	fmt.Fprintf(&b, "%s, %s, in the order of their first packets:\n\n", plural(int64(len(f.Inputs)), "capture"), all)
	writeTable(&b, t, "rlrl")
	if n := len(f.Skipped); n > 0 {
		fmt.Fprintf(&b, "\n%s skipped, being no capture\n", plural(int64(n), "file"))
	}
	b.WriteString("\n")
	e := f.Estimate
	if e == nil {
		b.WriteString("No estimate: there is nothing to take a sample from.\n")
		_, err := w.Write(b.Bytes())
		return err
	}
	about := func(n int64) string { return "~" + humanCount(rounded(n)) }
	sample := "all of it"
	if e.SampleBytes < f.Bytes {
		sample = "a sample of " + humanBytes(e.SampleBytes)
	}
	fmt.Fprintf(&b, "Estimated by converting %s:\n\n", sample)
	t = [][]string{{"table", "rows", "size"}}
	for _, x := range e.Tables {
		t = append(t, []string{x.Name, about(x.Rows), "~" + humanBytes(rounded(x.Bytes))})
	}
	t = append(t, []string{"all", about(e.Rows), "~" + humanBytes(rounded(e.OutputBytes))})
	writeTable(&b, t, "lrr")
	fmt.Fprintf(&b, "\n%s packets, ~%s on this machine; nothing was written\n", about(e.Packets),
		humanDuration(time.Duration(rounded(int64(e.Seconds*1000)))*time.Millisecond))
	_, err := w.Write(b.Bytes())
	return err
}

// rounded returns n to two significant digits: an estimate has no more.
func rounded(n int64) int64 {
	unit := int64(1)
	for n/unit >= 100 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}
