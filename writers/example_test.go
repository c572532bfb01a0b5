package writers_test

import (
	"fmt"
	"log"
	"os"

	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema/tabulate"
	"github.com/caplake/caplake/writers"
)

// write writes the rows of one table. Their type says which columns it has.
func write[R any](dir *writers.Dir, name string, rows []R) {
	table, err := writers.NewTable[R, R](dir, name, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := table.Append(rows); err != nil {
		log.Fatal(err)
	}
}

// Two tables as Parquet files. That of a protocol of your own is written likewise, with what tabulate.Rows returns.
func ExampleNewTable() {
	out, err := os.MkdirTemp("", "dataset")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(out)
	all, err := tabulate.All(ingest.Packets("../testdata/captures/dns-udp.pcap"), tabulate.Config{})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := writers.NewDir(out, writers.Options{Format: writers.Parquet})
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Abort() // does nothing after Commit
	write(dir, "flows", all.Flows)
	write(dir, "dns", all.DNS)
	manifest, err := dir.Commit()
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range manifest.Tables {
		for _, f := range t.Files {
			fmt.Println(f.Name, f.Rows, "rows")
		}
	}
	// Output:
	// flows/part-00000.parquet 44 rows
	// dns/part-00000.parquet 43 rows
}
