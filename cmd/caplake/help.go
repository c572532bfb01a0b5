package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

func helpText() string {
	return `caplake converts packet captures to tables: one row per flow, HTTP exchange,
TLS handshake, certificate and DNS transaction, in Parquet or Arrow files.

Usage:
  caplake convert [flags] PATH... -o OUT   convert captures
  caplake schema [TABLE]                   print the tables and their columns
  caplake version                          print the version
  caplake help [COMMAND]                   print this, or a command's help

Examples:
  caplake convert traffic.pcap -o out
  caplake convert /var/captures 'more/*.pcapng.gz' -o out
  caplake schema dns

` + exitCodes
}

const exitCodes = `Exit codes:
  0    done
  1    failed; no dataset was written
  2    the command line is wrong
  3    done, but an input was damaged: what came before the damage is in the
       tables, and the table captures says where it is
  130  interrupted; no dataset was written
`

func convertHelp() string {
	var o options
	var b strings.Builder
	b.WriteString(`Converts captures to a dataset: a directory with a folder per table.

Usage:
  caplake convert [flags] PATH... -o OUT

PATH is a capture (pcap or pcapng, also compressed with gzip or zstd, told by
its content), a directory (searched through), a pattern in quotes, or - for
standard input. All of them together are one conversion: a flow that spans
several files is one flow.

Examples:
  caplake convert traffic.pcap -o out
  caplake convert --format arrow --headers captures/ -o out
  tcpdump -i eth0 -w - | caplake convert - -o out
`)
	for _, g := range o.groups() {
		fmt.Fprintf(&b, "\n%s:\n", g.title)
		g.flags.VisitAll(func(f *pflag.Flag) { writeFlag(&b, f) })
	}
	b.WriteString("\n" + exitCodes)
	return b.String()
}

// writeFlag writes a flag's part of the help: what it is called in the left
// column, what it does and its default in the right one.
func writeFlag(b *strings.Builder, f *pflag.Flag) {
	const left, width = 33, 79
	name := "      --" + f.Name
	if f.Shorthand != "" {
		name = "  -" + f.Shorthand + ", --" + f.Name
	}
	placeholder, text := pflag.UnquoteUsage(f)
	if placeholder != "" {
		name += " " + placeholder
	}
	if f.Value.Type() != "bool" && f.DefValue != "" && f.DefValue != "0" {
		text += " (default " + f.DefValue + ")"
	}
	line := fmt.Sprintf("%-*s", left-1, name)
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", left-1)
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
