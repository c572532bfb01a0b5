// Command caplake-query answers SQL on a dataset that caplake wrote, with an
// embedded DuckDB: a program of its own, so that caplake itself needs neither
// DuckDB nor cgo. "caplake query" runs it and converts captures for it first.
//
//	caplake-query [flags] DATASET [SQL]
//
// Without SQL it reads that from standard input, or prompts for it on a
// terminal. It never writes to a dataset, and asks nothing of the network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// Exit codes, as caplake has them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// options are what the command line says.
type options struct {
	csv, json, table, echo bool
	parquet, file          string
	maxRows                int
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var o options
	fs := flag.NewFlagSet("caplake-query", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), "usage: caplake-query [flags] DATASET [SQL]")
		fs.PrintDefaults()
	}
	fs.BoolVar(&o.csv, "csv", false, "print CSV (default: where the output is no terminal)")
	fs.BoolVar(&o.json, "json", false, "print JSON, one object a line")
	fs.BoolVar(&o.table, "table", false, "print tables (default: on a terminal)")
	fs.BoolVar(&o.echo, "echo", false, "print each query above its answer")
	fs.StringVar(&o.parquet, "parquet", "", "write the answer to this Parquet `FILE`")
	fs.StringVar(&o.file, "f", "", "read SQL from `FILE`")
	fs.IntVar(&o.maxRows, "max-rows", 40, "rows of an answer that a table shows; 0: all")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if fs.NArg() < 1 || fs.NArg() > 2 {
		fs.Usage()
		return exitUsage
	}
	form, err := o.form(term.IsTerminal(int(os.Stdout.Fd())))
	if err != nil {
		return fail(err, exitUsage)
	}

	text, prompt := fs.Arg(1), false
	switch {
	case fs.NArg() == 2 && o.file != "":
		return fail(errors.New("SQL on the command line and -f contradict each other"), exitUsage)
	case o.file != "" && o.file != "-":
		b, err := os.ReadFile(o.file)
		if err != nil {
			return fail(err, exitFailed)
		}
		text = string(b)
	case fs.NArg() == 1 && o.file == "" && term.IsTerminal(int(os.Stdin.Fd())):
		prompt = true
	case fs.NArg() == 1:
		b, err := io.ReadAll(os.Stdin)
		if err != nil {
			return fail(err, exitFailed)
		}
		text = string(b)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	documented := prompt || strings.Contains(strings.ToLower(text), "comment")
	s, err := open(ctx, fs.Arg(0), documented)
	if err != nil {
		return failed(ctx, err)
	}
	defer s.close()
	out := &output{session: s, w: os.Stdout, form: form, parquet: o.parquet, maxRows: o.maxRows, width: width, echo: o.echo}
	if prompt {
		stop() // an interrupt is one of the query that runs
		err = newPrompt(s, out).run()
	} else {
		err = out.answer(ctx, text)
	}
	if err != nil {
		return failed(ctx, err)
	}
	return exitOK
}

// form says in which form answers are wanted.
func (o *options) form(terminal bool) (form, error) {
	wanted := []form{}
	for _, f := range []struct {
		given bool
		form  form
	}{{o.csv, formCSV}, {o.json, formJSON}, {o.table, formTable}, {o.parquet != "", formParquet}} {
		if f.given {
			wanted = append(wanted, f.form)
		}
	}
	switch {
	case len(wanted) > 1:
		return 0, errors.New("of --csv, --json, --table and --parquet one at most")
	case len(wanted) == 1:
		return wanted[0], nil
	case terminal:
		return formTable, nil
	}
	return formCSV, nil
}

func fail(err error, code int) int {
	fmt.Fprintf(os.Stderr, "caplake-query: %s\n", strings.TrimRight(err.Error(), "\n"))
	return code
}

func failed(ctx context.Context, err error) int {
	if ctx.Err() != nil {
		return fail(errors.New("interrupted"), exitInterrupted)
	}
	return fail(err, exitFailed)
}

// width is the width of the terminal; 0: there is none.
func width() int {
	w, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return w
}
