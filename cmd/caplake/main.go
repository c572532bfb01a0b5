// Command caplake converts packet captures to tables in Parquet or Arrow.
// "caplake help" says how.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	keepMemoryLow(ctx)
	terminal := term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb"
	c := command{
		stdin:    os.Stdin,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		terminal: terminal,

		stdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),

		color:  terminal && os.Getenv("NO_COLOR") == "", // https://no-color.org
		getenv: os.Getenv,
	}
	code := c.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
