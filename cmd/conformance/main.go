// Command conformance converts every capture of a corpus alone and compares
// the tables, row by row, with what other programs say of the capture.
//
//	conformance -corpus DIR [-source GLOB] [-capture GLOB] [-v] [-by link] [-json] [-workers N]
//	conformance -coverage -corpus DIR [-json] [DIR...]
//	conformance -loss PERCENT -corpus DIR [-seeds N] [-v]
//	conformance -mutate GLOB -corpus DIR [-every N] [-keep DIR] [-v]
//
// The second form says which captures, of the corpus and of further directories,
// fill each column of each table. The third converts each capture again with packets left out, and
// counts the rows that survive. The fourth changes the captures in ways that the rows should not show, or only so:
// package mutate lists them, as does -mutate list. Its exit code is 1 where a row differs.
//
// DIR holds captures/SOURCE/NAME and truth/SOURCE/NAME.{flows,http,tls,dns}.tsv
// with NAME.meta.json, and may hold disputed.tsv and peer/ (logs of Zeek with
// zeek-map.tsv). The exit code is 0 where every goal is reached and nothing
// crashed, 1 where not, 2 where the command line or the corpus is at fault.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/caplake/caplake/cmd/internal/conformance"
	"github.com/caplake/caplake/cmd/internal/mutate"
	"github.com/caplake/caplake/cmd/internal/run"
)

func main() {
	os.Exit(mainCode())
}

func mainCode() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		return 2
	}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	corpus := flags.String("corpus", "", "directory of the corpus (required)")
	source := flags.String("source", "", "only sources that match this pattern")
	capture := flags.String("capture", "", "only captures whose name matches this pattern")
	verbose := flags.Bool("v", false, "print each row that is not equal")
	by := flags.String("by", "", "print the comparison by \"link\": link types and encapsulations")
	asJSON := flags.Bool("json", false, "print the result as JSON")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "captures converted at a time")
	timeout := flags.Duration("timeout", time.Minute, "time for one capture")
	covering := flags.Bool("coverage", false, "print which captures fill each column, instead of comparing; arguments are directories of further captures")
	loss := flags.Float64("loss", 0, "leave out this share of the packets, in percent, and count the rows that survive, instead of comparing")
	seeds := flags.Int("seeds", 3, "with -loss: how often, each time other packets")
	mutations := flags.String("mutate", "", "check the relations whose names match this pattern, instead of comparing; list: print them")
	keep := flags.String("keep", "", "with -mutate: folder for changed captures whose rows differ")
	every := flags.Int("every", 1, "with -mutate: only each so manieth capture")
	child := flags.Bool("child", false, "internal: convert what standard input names")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	if *child {
		how := convert
		if *covering {
			how = convertAll
		}
		if err := conformance.Serve(os.Stdin, os.Stdout, how); err != nil {
			return fail(err)
		}
		return 0
	}
	if *mutations == "list" {
		for _, r := range mutate.Relations() {
			fmt.Printf("%s: %s\n", r.Name, r.Doc)
		}
		return 0
	}
	if *corpus == "" || flags.NArg() > 0 && !*covering || *workers < 1 || *by != "" && *by != "link" {
		flags.Usage()
		return 2
	}
	c, err := conformance.OpenCorpus(*corpus, *source, *capture)
	if err != nil {
		return fail(err)
	}
	if len(c.Captures) == 0 {
		return fail(fmt.Errorf("no capture of %s matches", *corpus))
	}
	if *mutations != "" {
		broken, err := mutated(c, *mutations, *keep, *every, *verbose)
		if err != nil {
			return fail(err)
		}
		if broken {
			return 1
		}
		return 0
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *loss > 0 {
		l := conformance.Loss{Percent: *loss, Seeds: *seeds, Convert: convertWithLoss}
		lines, lost, err := l.Run(ctx, c)
		if err == nil {
			err = conformance.PrintLoss(os.Stdout, lines, lost, *verbose)
		}
		if err != nil {
			return fail(err)
		}
		return 0
	}
	var converters []conformance.Converter
	for range *workers {
		k := &conformance.Child{Command: []string{self, "-child", fmt.Sprint("-coverage=", *covering)}, Timeout: *timeout}
		defer k.Close()
		converters = append(converters, k)
	}
	if *covering {
		if err := coverage(ctx, c, flags.Args(), converters, *asJSON); err != nil {
			return fail(err)
		}
		return 0
	}
	r, err := conformance.Run(ctx, c, converters)
	if err != nil {
		return fail(err)
	}
	switch {
	case *by == "link":
		err = r.PrintGroups(os.Stdout)
	case *asJSON:
		if !*verbose {
			r.Diffs = nil
		}
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	default:
		err = r.Print(os.Stdout, conformance.Goals(), *verbose)
	}
	if err != nil {
		return fail(err)
	}
	if len(r.Failed(conformance.Goals())) > 0 {
		return 1
	}
	return 0
}

// mutated checks the relations whose names match pattern.
func mutated(c *conformance.Corpus, pattern, keep string, every int, verbose bool) (broken bool, err error) {
	relations, err := mutate.Named(pattern)
	if err != nil {
		return false, err
	}
	var names, paths []string
	for i := 0; i < len(c.Captures); i += max(every, 1) {
		names, paths = append(names, c.Captures[i].ID()), append(paths, c.Captures[i].Path)
	}
	lines, err := mutate.Run(relations, names, paths, keep, func(v mutate.Violation) {
		broken = true
		if verbose {
			fmt.Println(v)
		}
	})
	if err != nil {
		return false, err
	}
	return broken, mutate.Print(os.Stdout, lines)
}

// convertWithLoss converts one capture in one thread, without the packets that drop says.
func convertWithLoss(path, out string, drop conformance.Drop) error {
	cfg := run.Config{Inputs: []string{path}, Out: out, Overwrite: true, Workers: 1, Shards: 4, NoHash: true, Drop: drop}
	_, err := run.Convert(context.Background(), cfg, nil)
	return err
}

// convert converts one capture in one thread.
func convert(path, out string, o conformance.Options) conformance.Conversion {
	cfg := run.Default()
	cfg.Inputs = []string{path}
	cfg.Out = out
	cfg.Overwrite = true
	cfg.Workers = 1
	cfg.Shards = 4
	cfg.NoHash = true
	cfg.Fingerprints = true
	cfg.NoChecksums = o.NoChecksums
	if o.NoTimeouts {
		cfg.TCPIdle, cfg.UDPIdle, cfg.ICMPIdle, cfg.OtherIdle = -1, -1, -1, -1
		cfg.Attempt, cfg.CloseLinger, cfg.Active = -1, -1, -1
	}
	r, err := run.Convert(context.Background(), cfg, nil)
	var c conformance.Conversion
	if err != nil {
		c.Error = err.Error()
	}
	if r != nil {
		c.Packets = r.Packets
		for _, d := range r.Damaged {
			c.Damaged = append(c.Damaged, fmt.Sprintf("packet %d, offset %d: %s", d.Packet, d.Offset, d.Error))
		}
	}
	return c
}
