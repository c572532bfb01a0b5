package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caplake/caplake/cmd/internal/run"
)

// writeSummary writes what a run did, for people.
func writeSummary(w io.Writer, r *run.Report) error {
	var b bytes.Buffer
	seconds := max(r.Duration, 1e-9)
	fmt.Fprintf(&b, "%s, %s in %s: %s/s", plural(r.Inputs, "capture"), humanBytes(r.Bytes),
		humanDuration(time.Duration(r.Duration*float64(time.Second))), humanBytes(int64(float64(r.Bytes)/seconds)))
	if r.PeakMemory > 0 {
		fmt.Fprintf(&b, ", %s of memory", humanBytes(r.PeakMemory))
	}
	b.WriteString("\n\n")

	t := [][]string{{"table", "rows", "size", "file"}}
	for _, x := range r.Tables {
		file := x.File
		if x.Files > 1 {
			file = fmt.Sprintf("%s (%d files)", file, x.Files)
		}
		t = append(t, []string{x.Name, humanCount(x.Rows), humanBytes(x.Bytes), file})
	}
	writeTable(&b, t, "lrrl")

	t = [][]string{{"packets", humanCount(r.Packets), ""}}
	for _, x := range r.Outcomes {
		if x.N > 0 {
			t = append(t, []string{"  " + words(x.Name), humanCount(x.N), fmt.Sprintf("%.1f%%", 100*float64(x.N)/float64(r.Packets))})
		}
	}
	for i, x := range r.Flags {
		if i == 0 {
			t = append(t, []string{"counted beside", "", ""})
		}
		t = append(t, []string{"  " + words(x.Name), humanCount(x.N), ""})
	}
	b.WriteString("\n")
	writeTable(&b, t, "lrr")

	if n := len(r.Skipped); n > 0 {
		fmt.Fprintf(&b, "\n%s skipped, being no capture\n", plural(int64(n), "file"))
	}
	if n := len(r.Damaged); n > 0 {
		fmt.Fprintf(&b, "\n%s damaged: what came before the damage was kept\n", plural(int64(n), "capture"))
	}
	if r.Out != run.Pipe {
		fmt.Fprintf(&b, "\ndataset in %s\n", r.Out)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// words turns a name of the report into the words of the summary.
func words(name string) string {
	return strings.NewReplacer("_", " ", "ip", "IP").Replace(name)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanCount(n) + " " + what + "s"
}

// writeTable writes rows in aligned columns; align has l or r for each.
func writeTable(b *bytes.Buffer, rows [][]string, align string) {
	width := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if align[i] == 'r' {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
