// Command office writes the captures that the notebooks look at: an hour of an
// office that never was. Two dozen desks read pages and mail, watch films, talk,
// type and send files; one of them has an implant that asks for orders, one
// sends data out in DNS questions, one asks for names that a generator made.
// Ten minutes are there in three damaged forms too: as an overloaded mirror
// port passed them on, cut to 96 bytes a packet, and torn in the middle.
//
// The same seed gives the same bytes. labels.csv says of each flow what it is,
// for those who train models, and for those who check an answer.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("o", "", "`folder` to write to")
	seed := flag.Uint64("seed", 1, "what the randomness begins with")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	w := hour(*seed)
	w.inOrder()
	err := w.write(func(name string, b []byte) error {
		name = filepath.Join(*out, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		return os.WriteFile(name, b, 0o666)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "office:", err)
		os.Exit(1)
	}
	fmt.Printf("%d packets of %d flows in %s\n", len(w.packets), len(w.labels), *out)
}
