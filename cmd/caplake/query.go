package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/caplake/caplake/cmd/internal/run"
)

// queryProgram has the database, which cannot be built without cgo, so that
// caplake itself can.
const queryProgram = "caplake-query"

const getQueryProgram = `caplake-query is not there, the program with the database. It is built with cgo, which needs a C compiler:
  CGO_ENABLED=1 go install -tags duckdb_arrow github.com/caplake/caplake/cmd/caplake-query@latest
or, in a clone of the repository: make query`

// queryOptions are the flags of query.
type queryOptions struct {
	csv, json, table, echo bool
	parquet, file          string
	maxRows                int
}

func (o *queryOptions) groups() (groups []group) {
	fs := newGroup(&groups, "Flags")
	fs.BoolVar(&o.csv, "csv", false, "print CSV with a line of names (default where the output is no terminal)")
	fs.BoolVar(&o.json, "json", false, "print JSON, one object a line")
	fs.BoolVar(&o.table, "table", false, "print tables (default on a terminal)")
	fs.StringVar(&o.parquet, "parquet", "", "write the answer to the Parquet `FILE`")
	fs.StringVarP(&o.file, "file", "f", "", "read SQL from `FILE`; - is standard input")
	fs.IntVar(&o.maxRows, "max-rows", 40, "rows that a table shows; 0: all")
	fs.BoolVar(&o.echo, "echo", false, "print each query above its answer")
	note(fs, "parquet", notePath, "file")
	note(fs, "file", notePath, "file")
	return groups
}

// args returns the flags as caplake-query takes them.
func (o *queryOptions) args() (args []string) {
	for _, f := range []struct {
		name  string
		given bool
	}{{"-csv", o.csv}, {"-json", o.json}, {"-table", o.table}, {"-echo", o.echo}} {
		if f.given {
			args = append(args, f.name)
		}
	}
	if o.parquet != "" {
		args = append(args, "-parquet", o.parquet)
	}
	if o.file != "" {
		args = append(args, "-f", o.file)
	}
	return append(args, "-max-rows", strconv.Itoa(o.maxRows))
}

func (c *command) query(ctx context.Context, args []string) int {
	var o queryOptions
	fs := flagsOf("query", o.groups())
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("query")
	}
	forms := 0
	for _, given := range []bool{o.csv, o.json, o.table, o.parquet != ""} {
		if given {
			forms++
		}
	}
	switch {
	case err != nil:
	case fs.NArg() == 0:
		err = errors.New("no dataset or capture given")
	case fs.NArg() > 2:
		err = fmt.Errorf("one PATH and one SQL, in quotes; got %q after them", fs.Arg(2))
	case fs.NArg() == 2 && o.file != "":
		err = errors.New("SQL on the command line and --file contradict each other")
	case forms > 1:
		err = errors.New("of --csv, --json, --table and --parquet one at most")
	case o.maxRows < 0:
		err = errors.New("--max-rows: must not be negative")
	case fs.Arg(0) == "-" && (fs.NArg() == 1 && o.file == "" || o.file == "-"):
		err = errors.New("where the capture is standard input, SQL must be on the command line or in a --file")
	}
	if err != nil {
		return c.usage("query", err)
	}
	program, err := c.findQueryProgram()
	if err != nil {
		return c.failed(err)
	}

	dataset := fs.Arg(0)
	if _, err := os.Stat(filepath.Join(dataset, "manifest.json")); err != nil {
		if dataset != "-" {
			if _, err := os.Stat(dataset); err != nil && !strings.ContainsAny(dataset, "*?[") {
				return c.failed(err)
			}
		}
		tmp, err := os.MkdirTemp("", "caplake-")
		if err != nil {
			return c.failed(err)
		}
		defer os.RemoveAll(tmp)
		if code := c.convertFor(ctx, dataset, filepath.Join(tmp, "dataset")); code != exitOK {
			return code
		}
		dataset = filepath.Join(tmp, "dataset")
	}
	stdin, ok := c.stdin.(*os.File)
	prompt := fs.NArg() == 1 && o.file == "" && ok && term.IsTerminal(int(stdin.Fd()))
	return c.runQuery(program, append(append(o.args(), "--", dataset), fs.Args()[1:]...), prompt)
}

// findQueryProgram looks beside this program first, so that two that were built
// together stay together.
func (c *command) findQueryProgram() (string, error) {
	name := queryProgram
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	return "", errors.New(getQueryProgram)
}

// convertFor converts captures to a dataset that is asked once and removed, with all
// that rows can say.
func (c *command) convertFor(ctx context.Context, path, out string) int {
	cfg := run.Config{Inputs: []string{path}, Stdin: c.stdin, Out: out, Headers: true, Fingerprints: true, NoHash: true, Version: version}
	var report *run.Report
	err := c.watch(false, func(p *run.Progress) (err error) {
		report, err = run.Convert(ctx, cfg, p)
		return err
	})
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		c.errorf("interrupted")
		return exitInterrupted
	case err != nil:
		return c.failed(err)
	}
	for _, d := range report.Damaged {
		c.warnf("%s", damageText(d))
	}
	return exitOK
}

// runQuery runs caplake-query to its end and returns its exit code. Meanwhile no
// signal ends this process, which may have a temporary dataset to remove.
func (c *command) runQuery(program string, args []string, prompt bool) int {
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout, c.stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return c.failed(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// A terminal sends an interrupt to both; at a prompt it cancels a query, and
			// a second one would be taken for the end.
			if s != os.Interrupt || !prompt {
				cmd.Process.Signal(s)
			}
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return c.failed(err)
			}
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return 128 + int(status.Signal()) // as a shell has it
			}
			return cmd.ProcessState.ExitCode()
		}
	}
}
