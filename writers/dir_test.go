package writers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caplake/caplake/schema"
)

// readDir returns the content of every file below out, but for the temporary folder.
func readDir(t testing.TB, out string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(out, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			if err == nil && e.Name() == tmpName {
				return filepath.SkipDir
			}
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(out, path)
		files[filepath.ToSlash(name)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// whole reports whether out has a dataset whose every file is as its manifest says.
func whole(t testing.TB, out string) bool {
	t.Helper()
	files := readDir(t, out)
	text, ok := files[manifestName]
	if !ok {
		return false
	}
	var m Manifest
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("manifest: %v", err)
	}
	for _, table := range m.Tables {
		for _, f := range table.Files {
			sum := sha256.Sum256([]byte(files[f.Name]))
			if hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(files[f.Name])) != f.Bytes {
				t.Errorf("%s is not what the manifest says", f.Name)
			}
			delete(files, f.Name)
		}
	}
	for _, f := range m.Files {
		sum := sha256.Sum256([]byte(files[f.Name]))
		if hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(files[f.Name])) != f.Bytes {
			t.Errorf("%s is not what the manifest says", f.Name)
		}
		delete(files, f.Name)
	}
	if len(files) != 1 {
		t.Errorf("the manifest does not know %d files", len(files)-1)
	}
	return true
}

// convert writes a small dataset of two tables and a file beside them.
func convert(fs fsys, out string, o Options, rows []narrow) (err error) {
	d, err := newDir(fs, out, o)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.Abort()
		}
	}()
	a, err := NewTable[narrow, narrow](d, "a", nil)
	if err != nil {
		return err
	}
	if _, err := NewTable[narrow, narrow](d, "empty", nil); err != nil {
		return err
	}
	if err := a.Append(rows); err != nil {
		return err
	}
	if err := d.Attach("note.txt", func(m Manifest) []byte { return fmt.Append(nil, m.Tables[0].Rows) }); err != nil {
		return err
	}
	_, err = d.Commit()
	return err
}

func TestSameBytesAtAnyWorkerCount(t *testing.T) {
	src := flowSources(3000)
	rows := kindsRows(3000)
	for _, format := range []Format{Parquet, Arrow} {
		if format == Arrow && !haveArrow {
			continue
		}
		var want map[string]string
		for _, workers := range []int{1, 2, 5} {
			out := t.TempDir()
			d := mustDir(t, out, Options{Format: format, Workers: workers, RowGroupRows: 257, Config: map[string]string{"z": "1", "a": "2", "m": "3"}})
			flows := mustTable(t, d, "flows", schema.FillFlow)
			kinds := mustTable[kinds, kinds](t, d, "kinds", nil)
			done := make(chan struct{})
			go func() {
				defer close(done)
				appendAll(t, flows, src)
			}()
			appendAll(t, kinds, rows)
			<-done
			if _, err := d.Commit(); err != nil {
				t.Fatal(err)
			}
			if !whole(t, out) {
				t.Fatal("no manifest")
			}
			got := readDir(t, out)
			if want == nil {
				want = got
			}
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s, %d workers: %s differs", format, workers, name)
				}
			}
		}
	}
}

// TestRowGroupBytes: row groups end early where rows are large, and no row is lost.
func TestRowGroupBytes(t *testing.T) {
	rows := kindsRows(100)
	for i := range rows {
		rows[i].OptText = strings.Repeat("x", 10_000)
	}
	out := t.TempDir()
	d := mustDir(t, out, Options{RowGroupBytes: 100_000})
	appendAll(t, mustTable[kinds, kinds](t, d, "kinds", nil), rows)
	if _, err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	content := readDir(t, out)["kinds/part-00000.parquet"]
	meta, err := readFooter([]byte(content))
	if err != nil || len(meta.RowGroups) < 9 || len(meta.RowGroups) > 12 || meta.NumRows != 100 {
		t.Errorf("%d row groups, %d rows, %v", len(meta.RowGroups), meta.NumRows, err)
	}
}

// faultFS fails, or ends the world, at operation number at.
type faultFS struct {
	fsys
	n, at int
	crash bool // nothing after the fault happens either
	err   error
}

func (f *faultFS) step() error {
	f.n++
	if f.n == f.at || f.crash && f.n > f.at {
		return f.err
	}
	return nil
}

func (f *faultFS) MkdirAll(path string) error {
	return errors.Join(f.step(), f.do(func() error { return f.fsys.MkdirAll(path) }))
}
func (f *faultFS) Rename(from, to string) error {
	return errors.Join(f.step(), f.do(func() error { return f.fsys.Rename(from, to) }))
}
func (f *faultFS) Remove(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.fsys.Remove(path)
}
func (f *faultFS) RemoveAll(path string) error {
	return errors.Join(f.step(), f.do(func() error { return f.fsys.RemoveAll(path) }))
}
func (f *faultFS) SyncDir(path string) error {
	return errors.Join(f.step(), f.do(func() error { return f.fsys.SyncDir(path) }))
}
func (f *faultFS) Create(path string) (file, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	w, err := f.fsys.Create(path)
	return &faultFile{w, f}, err
}

// do does what an operation does unless it is the one that fails.
func (f *faultFS) do(op func() error) error {
	if f.n == f.at || f.crash && f.n > f.at {
		return nil
	}
	return op()
}

type faultFile struct {
	file
	fs *faultFS
}

// Write writes half of what it is given when it fails, as a full disk does.
func (f *faultFile) Write(b []byte) (int, error) {
	if err := f.fs.step(); err != nil {
		n := 0
		if f.fs.n == f.fs.at {
			n, _ = f.file.Write(b[:len(b)/2])
		}
		return n, err
	}
	return f.file.Write(b)
}
func (f *faultFile) Sync() error {
	return errors.Join(f.fs.step(), f.fs.do(f.file.Sync))
}

// quickFS leaves out what only a power failure would miss.
type quickFS struct{ osFS }

func (quickFS) SyncDir(string) error { return nil }
func (f quickFS) Create(path string) (file, error) {
	w, err := f.osFS.Create(path)
	return quickFile{w}, err
}

type quickFile struct{ file }

func (quickFile) Sync() error { return nil }

// TestFaults fails and kills a run at every step. What is left must be no
// dataset, the old one or the new one, each whole; what a failed run clears
// away it clears all; and the next run gives the whole result.
func TestFaults(t *testing.T) {
	oldRows, rows := narrowRows(10), narrowRows(40)
	options := Options{Workers: 1, RowGroupRows: 16, Overwrite: true}
	clean := t.TempDir()
	if err := convert(quickFS{}, clean, options, rows); err != nil {
		t.Fatal(err)
	}
	want := readDir(t, clean)
	for _, crash := range []bool{false, true} {
		for _, replace := range []bool{false, true} {
			seen := map[bool]int{}
			for at := 1; ; at++ {
				out := filepath.Join(t.TempDir(), "out")
				if replace { // in the other format where there is one, so that no file has the name of another
					old := options
					if haveArrow {
						old.Format = Arrow
					}
					if err := convert(quickFS{}, out, old, oldRows); err != nil {
						t.Fatal(err)
					}
				}
				before := readDir(t, out)
				faulty := &faultFS{fsys: quickFS{}, at: at, crash: crash, err: syscall.ENOSPC}
				err := convert(faulty, out, options, rows)
				name := fmt.Sprintf("crash %v, replace %v, step %d", crash, replace, at)
				if err != nil && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("%s: %v", name, err)
				}
				got := readDir(t, out)
				if crash {
					faulty.fsys = nil // a dead process does nothing more
				}
				isWhole := got[manifestName] != "" && whole(t, out)
				seen[isWhole]++
				switch {
				case err == nil && !equal(got, want):
					t.Errorf("%s: no error, and no whole dataset", name)
				case isWhole && !equal(got, want) && !equal(got, before):
					t.Errorf("%s: a whole dataset, neither the new nor the old", name)
				case !crash && !isWhole && len(got) > 0:
					t.Errorf("%s: a failed run leaves %v", name, keys(got))
				case !crash && !replace && err != nil && len(got) > 0 && !equal(got, want):
					t.Errorf("%s: a failed run leaves %v", name, keys(got))
				}
				again := options
				if err := convert(quickFS{}, out, again, rows); err != nil {
					t.Fatalf("%s: the next run: %v", name, err)
				}
				if got := readDir(t, out); !equal(got, want) || !whole(t, out) {
					t.Errorf("%s: the next run leaves %v", name, keys(got))
				}
				if _, err := os.Lstat(filepath.Join(out, tmpName)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: the next run leaves its temporary folder", name)
				}
				if faulty.n < at {
					if at < 20 || seen[false] < 10 {
						t.Errorf("%s: that is all? %v", name, seen)
					}
					break
				}
			}
		}
	}
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

func keys(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestKilledCommitWithoutOverwrite: the rest of a killed run is not a dataset,
// so that the next run needs no permission to replace it.
func TestKilledCommitWithoutOverwrite(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	o := Options{Workers: 1}
	for at := 1; ; at++ {
		faulty := &faultFS{fsys: quickFS{}, at: at, crash: true, err: syscall.EIO}
		if convert(faulty, out, o, narrowRows(5)) == nil {
			break
		}
		if _, err := os.Stat(filepath.Join(out, manifestName)); err == nil {
			break // killed after the commit
		}
	}
	if err := convert(quickFS{}, out, o, narrowRows(5)); err == nil || !strings.Contains(err.Error(), "overwriting must be asked for") {
		t.Errorf("a second dataset: %v", err)
	}
	if !whole(t, out) {
		t.Error("the dataset is gone")
	}
}

func TestRefusals(t *testing.T) {
	out := t.TempDir()
	o := Options{Workers: 1}
	if err := convert(osFS{}, out, o, narrowRows(5)); err != nil {
		t.Fatal(err)
	}
	before := readDir(t, out)
	if _, err := NewDir(out, o); err == nil || !strings.Contains(err.Error(), out) {
		t.Errorf("over a dataset: %v", err)
	}
	if !equal(before, readDir(t, out)) {
		t.Error("a refused run changed something")
	}

	// Files that no manifest speaks of are someone's.
	foreign := t.TempDir()
	os.MkdirAll(filepath.Join(foreign, "a"), 0o755)
	os.WriteFile(filepath.Join(foreign, "a", "part-00000.parquet"), []byte("precious"), 0o644)
	if err := convert(osFS{}, foreign, o, narrowRows(5)); err == nil {
		t.Error("a foreign file was overwritten")
	}
	if got := readDir(t, foreign); got["a/part-00000.parquet"] != "precious" || len(got) != 1 {
		t.Errorf("left %v", keys(got))
	}

	// A manifest that is not ours protects what it stands beside.
	os.WriteFile(filepath.Join(foreign, manifestName), []byte(`{"format":"other"}`), 0o644)
	o.Overwrite = true
	if _, err := NewDir(foreign, o); err == nil {
		t.Error("a foreign manifest was overwritten")
	}

	// A manifest must not lead out of the folder.
	evil := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	os.WriteFile(victim, []byte("x"), 0o644)
	rel, _ := filepath.Rel(evil, victim)
	os.WriteFile(filepath.Join(evil, manifestName), []byte(`{"format":"caplake dataset","tables":[{"name":"a","files":[{"name":"`+filepath.ToSlash(rel)+`"}]}]}`), 0o644)
	if err := convert(osFS{}, evil, o, narrowRows(5)); err == nil {
		t.Error("a manifest that names a file elsewhere was taken")
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error("a file elsewhere is gone")
	}
}

func TestLock(t *testing.T) {
	out := t.TempDir()
	mustDir(t, out, Options{})
	if _, err := NewDir(out, Options{}); err == nil {
		t.Skip("no locks on this system")
	} else if !errors.Is(err, errLocked) {
		t.Error(err)
	}
}

// TestAbort leaves nothing, not even a folder that was not there before.
func TestAbort(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new")
	d := mustDir(t, out, Options{Workers: 2, RowGroupRows: 10})
	table := mustTable[kinds, kinds](t, d, "kinds", nil)
	appendAll(t, table, kindsRows(95))
	if err := d.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Abort: %v", err)
	}
	if err := table.Append(kindsRows(1)); err == nil {
		t.Error("Append after Abort is no error")
	}
	if _, err := d.Commit(); err == nil {
		t.Error("Commit after Abort is no error")
	}
}

// TestWriteError: a full disk shows at the latest at Commit, with the path, and stays.
func TestWriteError(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	out := t.TempDir()
	d := mustDir(t, out, Options{Workers: 2, RowGroupRows: 10})
	table := mustTable[kinds, kinds](t, d, "kinds", nil)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	table.parts[0].file.out.f.Close()
	table.parts[0].file.out.f = full
	var first error
	for range 1000 {
		if first = table.Append(kindsRows(100)); first != nil {
			break
		}
	}
	if !errors.Is(first, syscall.ENOSPC) || !strings.Contains(first.Error(), "/dev/full") {
		t.Fatalf("error %v", first)
	}
	if err := table.Append(kindsRows(1000)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append after an error: %v", err)
	}
	if _, err := d.Commit(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Commit after an error: %v", err)
	}
	d.Abort()
	if got := readDir(t, out); len(got) > 0 {
		t.Errorf("left %v", keys(got))
	}
}

func TestManifest(t *testing.T) {
	out := t.TempDir()
	if err := convert(osFS{}, out, Options{Version: "1.2.3", Config: map[string]string{"filter": "a<b", "A": "1"}}, narrowRows(3)); err != nil {
		t.Fatal(err)
	}
	text := readDir(t, out)[manifestName]
	for _, want := range []string{`"format": "caplake dataset"`, `"tool_version": "1.2.3"`, `"filter": "a<b"`, `"name": "a/part-00000.parquet"`, `"name": "empty"`, `"rows": 3`, `"rows": 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if bytes.Contains([]byte(text), []byte(out)) {
		t.Error("the manifest names a path")
	}
}

func TestValidate(t *testing.T) {
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
	err := Options{Format: "csv", Codec: "lzma", Workers: -1, RowGroupRows: -1, RowGroupBytes: -1, ZstdLevel: 23, FileBytes: -1, PartitionBy: "week", Version: "1(x)"}.Validate()
	for _, want := range []string{"csv", "lzma", "workers", "rows", "bytes", "1(x)", "23", "file", "week"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}
