package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Exit codes. They are part of the interface: exitCodes documents them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDamaged     = 3
	exitDiffers     = 3 // of compare
	exitInterrupted = 130
)

// command is the program without the process around it.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	terminal       bool // stderr is a terminal: show progress
	stdoutTerminal bool
	color          bool                // and color errors
	getenv         func(string) string // nil: there is no environment
	log            *slog.Logger        // errors go here, unless it is nil
}

// run runs the command that args name and returns the exit code.
func (c *command) run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(c.stderr, helpText())
		return exitUsage
	}
	name, rest := args[0], args[1:]
	switch name {
	case "convert":
		return c.convert(ctx, rest)
	case "inspect":
		return c.inspect(ctx, rest)
	case "query":
		return c.query(ctx, rest)
	case "compare":
		return c.compare(ctx, rest)
	case "schema":
		return c.schema(rest)
	case "completion":
		return c.completion(rest)
	case "man":
		return c.man(rest)
	case "version", "--version", "-V":
		return c.version(rest)
	case "help", "--help", "-h":
		return c.help(rest)
	}
	if strings.HasPrefix(name, "-") {
		return c.usage("", fmt.Errorf("a command must come before %s", name))
	}
	msg := fmt.Sprintf("unknown command %q", name)
	var names []string
	for _, s := range specs() {
		names = append(names, s.name)
	}
	if near := nearest(name, names); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else if _, err := os.Stat(name); err == nil {
		msg += fmt.Sprintf("; to convert it: caplake convert %s -o OUT", name)
	}
	return c.usage("", errors.New(msg))
}

func (c *command) help(args []string) int {
	switch len(args) {
	case 0:
		return c.print(helpText())
	case 1:
		if _, ok := specOf(args[0]); ok {
			return c.commandHelp(args[0])
		}
		return c.usage("", fmt.Errorf("unknown command %q", args[0]))
	}
	return c.usage("", fmt.Errorf("help for one command at a time, got %q", args))
}

func (c *command) commandHelp(name string) int {
	s, _ := specOf(name)
	if name == "help" || name == "version" {
		return c.print(helpText())
	}
	return c.print(s.help())
}

// print writes what the user asked for to standard output.
func (c *command) print(s string) int {
	if _, err := io.WriteString(c.stdout, s); err != nil {
		return c.failed(err)
	}
	return exitOK
}

// failed reports an error of the run.
func (c *command) failed(err error) int {
	var p *fs.PathError
	if errors.As(err, &p) && error(p) == err && (p.Op == "stat" || p.Op == "open") {
		err = fmt.Errorf("%s: %w", p.Path, p.Err) // the system call is nobody's concern
	}
	c.errorf("%v", err)
	return exitFailed
}

// usage reports faults of the command line, each on a line, and where to
// read on: not the whole help, in which the fault would go unseen.
func (c *command) usage(sub string, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		c.errorf("%s", line)
	}
	help := "caplake help"
	if sub != "" {
		help = "caplake " + sub + " --help"
	}
	fmt.Fprintf(c.stderr, "Run %q for usage.\n", help)
	return exitUsage
}

func (c *command) printJSON(v any) error { return writeJSON(c.stdout, v) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (c *command) errorf(format string, args ...any) { c.say(slog.LevelError, format, args...) }
func (c *command) warnf(format string, args ...any)  { c.say(slog.LevelWarn, format, args...) }

// say reports something to the user.
func (c *command) say(level slog.Level, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.log != nil {
		c.log.Log(context.Background(), level, text)
		return
	}
	prefix, color := "caplake:", "31"
	if level == slog.LevelWarn {
		prefix, color = "caplake: warning:", "33"
	}
	if c.color {
		prefix = "\x1b[" + color + "m" + prefix + "\x1b[m"
	}
	fmt.Fprintf(c.stderr, "%s %s\n", prefix, text)
}

// Formats of the log.
const (
	logText = "text"
	logJSON = "json"
)

func (c *command) logger(format string, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == logJSON {
		return slog.New(slog.NewJSONHandler(c.stderr, o))
	}
	return slog.New(slog.NewTextHandler(c.stderr, o))
}

// env returns a variable of the environment.
func (c *command) env(name string) string {
	if c.getenv == nil {
		return ""
	}
	return c.getenv(name)
}

// parse parses flags, adding to the error of an unknown one the flag that was
// probably meant. help says that help was asked for.
func parse(fs *pflag.FlagSet, args []string) (help bool, err error) {
	err = fs.Parse(args)
	if errors.Is(err, pflag.ErrHelp) {
		return true, nil
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if name := unknown.GetSpecifiedName(); len(name) > 1 {
			var names []string
			fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			if near := nearest(name, names); near != "" {
				return false, fmt.Errorf("%w; did you mean --%s?", err, near)
			}
		}
	}
	return false, err
}

// nearest returns the candidate that is most like s, or "" where none is
// near enough to be what was meant.
func nearest(s string, candidates []string) string {
	best, bestDistance := "", len(s)/3+2
	for _, c := range candidates {
		d := distance(s, c)
		if strings.HasPrefix(c, s) {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], slices.Min([]int{row[j] + 1, row[j+1] + 1, diagonal + cost})
		}
	}
	return row[len(b)]
}
