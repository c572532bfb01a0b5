package writers

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
)

type sparseRow struct {
	A string `parquet:"a,optional,dict" id:"1" doc:"d"`
	B string `parquet:"b,optional" id:"2" doc:"d"`
	C []byte `parquet:"c,optional" id:"3" doc:"d"`
}

// TestNULLs: what is NULL in a row is NULL in the file, whatever runs of NULLs
// and values there are. (Reading into Go structs would not tell: NULL and
// empty text are the same there.)
func TestNULLs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		rows := make([]sparseRow, n)
		var present [3]bool
		for i := range rows {
			for c := range present {
				if r.IntN(n+1) < 8 { // a run of values or of NULLs ends
					present[c] = !present[c]
				}
			}
			if present[0] {
				rows[i].A = "a"
			}
			if present[1] {
				rows[i].B = "b"
			}
			if present[2] {
				rows[i].C = []byte{}
			}
		}
		out := t.TempDir()
		d := mustDir(t, out, Options{Workers: 1, RowGroupRows: 200})
		appendAll(t, mustTable[sparseRow, sparseRow](t, d, "sparse", nil), rows)
		if _, err := d.Commit(); err != nil {
			t.Fatal(err)
		}
		for i, nulls := range readNULLs(t, filepath.Join(out, "sparse", "part-00000.parquet")) {
			if want := [3]bool{rows[i].A == "", rows[i].B == "", rows[i].C == nil}; nulls != want {
				t.Fatalf("%d rows: row %d: NULL %v, want %v", n, i, nulls, want)
			}
		}
	}
}

// readNULLs says of each row of a file which of its three columns are NULL.
func readNULLs(t *testing.T, path string) (out [][3]bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]parquet.Row, 64)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				out = append(out, [3]bool{row[0].IsNull(), row[1].IsNull(), row[2].IsNull()})
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		rows.Close()
	}
	return out
}
