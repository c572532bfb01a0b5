package writers

import (
	"fmt"
	"math/rand/v2"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caplake/caplake/schema"
)

// stamped are rows nearly in order of time, over some days around 1970, with a few far off.
func stamped(n int) []narrow {
	r := rand.New(rand.NewPCG(5, 5))
	rows := narrowRows(n)
	now := -30 * time.Hour
	for i := range rows {
		now += time.Duration(r.Int64N(int64(200 * time.Hour / time.Duration(n))))
		rows[i].TS = int64(now + time.Duration(r.Int64N(int64(time.Hour))))
		if r.IntN(100) == 0 {
			rows[i].TS = int64(r.Uint64N(1<<63)) - r.Int64N(1<<62)
		}
	}
	return rows
}

// TestPartitions: each row is in the folder of its time and in its order there, whatever the
// number of workers; the bytes are the same.
func TestPartitions(t *testing.T) {
	rows := stamped(2000)
	want := map[string][]string{}
	for i := range rows {
		folder := time.Unix(0, rows[i].TS).UTC().Format("date=2006-01-02/hour=15")
		want[folder] = append(want[folder], rowText(&rows[i]))
	}
	var first map[string]string
	for _, workers := range []int{1, 3} {
		out := t.TempDir()
		d := mustDir(t, out, Options{Workers: workers, RowGroupRows: 10, PartitionBy: ByHour, FileBytes: 1})
		table := mustTable[narrow, narrow](t, d, "narrow", nil)
		mustTable[narrow, narrow](t, d, "empty", nil)
		mustTable[sparseRow, sparseRow](t, d, "timeless", nil)
		appendAll(t, table, rows)
		m, err := d.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if !whole(t, out) {
			t.Fatal("not whole")
		}
		files := readDir(t, out)
		if first == nil {
			first = files
		}
		if len(files) != len(first) {
			t.Fatalf("%d workers: %d files instead of %d", workers, len(files), len(first))
		}
		for name := range first {
			if first[name] != files[name] {
				t.Errorf("%d workers: %s differs", workers, name)
			}
		}
		if m.Tables[0].Rows != int64(len(rows)) {
			t.Errorf("the manifest counts %d rows of %d", m.Tables[0].Rows, len(rows))
		}
		for _, table := range m.Tables[1:] {
			if len(table.Files) != 1 || table.Files[0].Name != table.Name+"/part-00000.parquet" {
				t.Errorf("%s has %v", table.Name, table.Files)
			}
		}
		got, several := map[string][]string{}, 0
		for _, f := range m.Tables[0].Files {
			folder := strings.TrimPrefix(path.Dir(f.Name), "narrow/")
			if len(got[folder]) > 0 {
				several++
			}
			for _, row := range readParquet[narrow](t, filepath.Join(out, filepath.FromSlash(f.Name))) {
				got[folder] = append(got[folder], rowText(&row))
			}
		}
		for folder := range want {
			if !slices.Equal(got[folder], want[folder]) {
				t.Errorf("%s has %d rows, not its %d", folder, len(got[folder]), len(want[folder]))
			}
		}
		if len(got) != len(want) || several == 0 {
			t.Errorf("%d folders of %d, %d with several files", len(got), len(want), several)
		}
	}
}

// TestFileBytes: files end at the row group that reaches the size, in the order of rows.
func TestFileBytes(t *testing.T) {
	for _, format := range []Format{Parquet, Arrow} {
		if format == Arrow && !haveArrow {
			continue
		}
		out := t.TempDir()
		rows := narrowRows(1000)
		d := mustDir(t, out, Options{Workers: 3, Format: format, RowGroupRows: 100, FileBytes: 4000})
		appendAll(t, mustTable[narrow, narrow](t, d, "narrow", nil), rows)
		m, err := d.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if !whole(t, out) {
			t.Fatal("not whole")
		}
		files := m.Tables[0].Files
		if len(files) < 3 || m.Tables[0].Rows != 1000 {
			t.Fatalf("%s: files %v", format, files)
		}
		i := 0
		for n, f := range files {
			if f.Name != fmt.Sprintf("narrow/part-%05d.%s", n, format) || f.Rows%100 != 0 {
				t.Errorf("file %d is %v", n, f)
			}
			if format == Arrow {
				continue
			}
			for _, row := range readParquet[narrow](t, filepath.Join(out, filepath.FromSlash(f.Name))) {
				if g, w := rowText(&row), rowText(&rows[i]); g != w {
					t.Fatalf("row %d: %s, want %s", i, g, w)
				}
				i++
			}
		}
	}
}

// TestPartitionsOverwrite: folders of the dataset that was there go when they are empty.
func TestPartitionsOverwrite(t *testing.T) {
	out := t.TempDir()
	for _, by := range []Partition{ByHour, ByNothing, ByDate} {
		if err := convert(osFS{}, out, Options{PartitionBy: by, Overwrite: true}, stamped(300)); err != nil {
			t.Fatal(err)
		}
		if !whole(t, out) {
			t.Errorf("by %q: not whole", by)
		}
		folders, err := filepath.Glob(filepath.Join(out, "a", "*"))
		if err != nil {
			t.Fatal(err)
		}
		pattern := map[Partition]string{ByNothing: `part-\d{5}.parquet`, ByDate: `date=\d{4}-\d\d-\d\d`, ByHour: `date=\d{4}-\d\d-\d\d`}[by]
		for _, f := range folders {
			if ok, _ := regexp.MatchString("^"+pattern+"$", filepath.Base(f)); !ok {
				t.Errorf("by %q: %s is left", by, f)
			}
		}
	}
}

// TestWildTimes: a capture in which every row has a time of its own does not
// fill the disk with folders.
func TestWildTimes(t *testing.T) {
	d := mustDir(t, t.TempDir(), Options{PartitionBy: ByHour})
	table := mustTable[bare, bare](t, d, "bare", nil)
	table.maxFiles = 20
	var err error
	for i := int64(0); err == nil && i < 100; i++ {
		err = table.Append([]bare{{TS: i * int64(time.Hour)}})
	}
	if err == nil || !strings.Contains(err.Error(), "hour") {
		t.Errorf("error %v", err)
	}
}

type bare struct {
	TS int64 `parquet:"ts,timestamp(nanosecond:local),delta" id:"1" doc:"d"`
}

// TestTimeOfSource: where rows wait as something else, that tells their time.
func TestTimeOfSource(t *testing.T) {
	src := flowSources(100)
	for i := range src {
		src[i].Flow.FirstTime = src[i].Flow.First.Time
	}
	out := t.TempDir()
	d := mustDir(t, out, Options{PartitionBy: ByDate})
	if err := mustTable(t, d, "flows", schema.FillFlow).Append(src); err != nil {
		t.Fatal(err)
	}
	m, err := d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if want := "flows/" + time.Unix(0, src[0].Flow.FirstTime).UTC().Format("date=2006-01-02") + "/part-00000.parquet"; m.Tables[0].Files[0].Name != want {
		t.Errorf("%v, want %s", m.Tables[0].Files, want)
	}
}
