package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

const tagline = `caplake converts packet captures to tables: one row per flow, HTTP exchange,
TLS handshake, certificate and DNS transaction, in Parquet or Arrow files.
`

func helpText() string {
	var b strings.Builder
	b.WriteString(tagline + "\nUsage:\n")
	for _, s := range specs() {
		if !s.hidden {
			fmt.Fprintf(&b, "  %-40s %s\n", s.usage(), s.summary)
		}
	}
	b.WriteString(`
Examples:
  caplake convert traffic.pcap -o out
  caplake convert /var/captures 'more/*.pcapng.gz' -o out
  caplake inspect traffic.pcap
  caplake schema dns

"caplake completion bash|zsh|fish" prints a script that completes command
lines, "caplake man" the manual page.

`)
	b.WriteString(section("Exit codes", exitCodes))
	return b.String()
}

const exitCodes = `0    done
1    failed; no dataset was written
2    the command line is wrong
3    done, but an input was damaged: what came before the damage is in the
     tables, and the table captures says where it is
130  interrupted; no dataset was written
`

// origins says where flags come from besides the command line.
const origins = `The flag --max-flows, say, can also be set by the environment variable
CAPLAKE_MAX_FLOWS, or by a line max-flows = 1000 in the file that --config
names. That is TOML: "quotes" around words, [brackets] around lists. The
command line wins over the environment, which wins over the file.
`

// usage returns how the command is called.
func (s *spec) usage() string { return strings.TrimSpace("caplake " + s.name + " " + s.synopsis) }

// help returns the command's help.
func (s *spec) help() string {
	var b strings.Builder
	about, rest, _ := strings.Cut(s.about, "\n\n")
	b.WriteString(strings.TrimSpace(about) + "\n\nUsage:\n  " + s.usage() + "\n")
	if rest != "" {
		b.WriteString("\n" + rest)
	}
	if s.examples != "" {
		b.WriteString("\n" + section("Examples", wrapCommands(s.examples)))
	}
	if s.groups != nil {
		groups := s.groups()
		for _, g := range groups {
			fmt.Fprintf(&b, "\n%s:\n", g.title)
			g.flags.VisitAll(func(f *pflag.Flag) { writeFlag(&b, f) })
		}
		if flagsOf(s.name, groups).Lookup("config") != nil {
			b.WriteString("\n" + origins)
		}
	}
	b.WriteString("\n" + section("Exit codes", s.exitCodes()))
	return b.String()
}

func (s *spec) exitCodes() string {
	if s.exits != "" {
		return s.exits
	}
	return exitCodes
}

// section returns lines under a title, indented.
func section(title, lines string) string {
	var b strings.Builder
	b.WriteString(title + ":\n")
	for line := range strings.Lines(lines) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// wrapCommands breaks long commands as a shell lets them be broken.
func wrapCommands(commands string) string {
	const width = 75
	var b strings.Builder
	for command := range strings.Lines(commands) {
		line := ""
		for word := range strings.FieldsSeq(command) {
			if len(line)+1+len(word) > width {
				b.WriteString(line + " \\\n")
				line = "   "
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		b.WriteString(line + "\n")
	}
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
	placeholder, text := describe(f)
	if placeholder != "" {
		name += " " + placeholder
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

// describe returns what stands for a flag's value, empty if it takes none, and
// what the flag does, with its default.
func describe(f *pflag.Flag) (placeholder, text string) {
	placeholder, text = pflag.UnquoteUsage(f)
	if f.Value.Type() != "bool" && f.DefValue != "" && f.DefValue != "0" {
		text += " (default " + f.DefValue + ")"
	}
	return placeholder, text
}
