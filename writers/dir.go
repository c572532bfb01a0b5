package writers

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/caplake/caplake/schema"
)

const (
	manifestName = "manifest.json"
	tmpName      = ".caplake-tmp"
	journalName  = "journal.json"
	lockName     = "lock"
)

var errLocked = errors.New("another run is writing there")

// Manifest is the content of manifest.json: what belongs to a dataset. It is
// the same for the same input and configuration.
type Manifest struct {
	Format        string            `json:"format"` // "caplake dataset"
	SchemaVersion string            `json:"schema_version"`
	ToolVersion   string            `json:"tool_version"`
	FileFormat    Format            `json:"file_format"`
	Config        map[string]string `json:"config,omitempty"`
	Tables        []TableInfo       `json:"tables"`
	Files         []Attachment      `json:"files,omitempty"` // beside the tables
}

const manifestFormat = "caplake dataset"

// TableInfo is one table of a dataset.
type TableInfo struct {
	Name  string     `json:"name"`
	Rows  int64      `json:"rows"`
	Files []FileInfo `json:"files"`
}

// FileInfo is one file of a dataset.
type FileInfo struct {
	Name   string `json:"name"` // relative to the dataset, with forward slashes
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Attachment is a file of a dataset that is no table's.
type Attachment struct {
	Name   string `json:"name"` // in the folder of the dataset
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Dir is a dataset in the making. Its methods are not safe for concurrent
// use; those of its tables are, each table by one goroutine at a time.
type Dir struct {
	fs      fsys
	out     string
	opts    Options
	old     *Manifest // of the dataset that is to be replaced
	created bool      // the folder was not there
	lock    *os.File
	pool    *pool
	tables  []closer
	beside  []attachment
	done    bool

	pipe io.Writer // where table only goes, instead of all this; nil: none
	only string
}

// attachment is a file beside the tables.
type attachment struct {
	name    string
	content func(Manifest) []byte
}

// closer is a Table of any type.
type closer interface {
	Close() (TableInfo, error)
	abort()
}

// NewDir begins a dataset in folder out, which is made where it is missing.
// Where out has a dataset, it fails unless o.Overwrite is set, and leaves the
// old dataset in place until Commit. What a killed run left is cleared away.
func NewDir(out string, o Options) (*Dir, error) {
	return newDir(osFS{}, out, o)
}

// NewPipe returns a Dir that has no folder: the table of name only is written to w as
// it comes about, in one piece, and the rows of all others are dropped. Its
// manifest, which is in no file, has that table alone.
func NewPipe(w io.Writer, only string, o Options) (*Dir, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.PartitionBy != ByNothing {
		return nil, errors.New("a pipe has no folders, so there is nothing to partition by")
	}
	d := &Dir{opts: o.withDefaults(), pipe: w, only: only}
	d.opts.FileBytes = math.MaxInt64
	d.pool = newPool(d.opts.Workers)
	return d, nil
}

func newDir(fs fsys, out string, o Options) (_ *Dir, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	d := &Dir{fs: fs, out: out, opts: o.withDefaults()}
	d.pool = newPool(d.opts.Workers)
	exists, err := fs.Exists(out)
	if err != nil {
		return nil, err
	}
	d.created = !exists

	manifest, err := fs.ReadFile(d.path(manifestName))
	switch {
	case err == nil && !o.Overwrite:
		return nil, fmt.Errorf("%s has a dataset already; overwriting must be asked for", out)
	case err == nil:
		d.old = new(Manifest)
		if err := json.Unmarshal(manifest, d.old); err != nil || d.old.Format != manifestFormat {
			return nil, fmt.Errorf("%s is not a manifest of ours, so what would be overwritten is not known", d.path(manifestName))
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}

	if err := fs.MkdirAll(d.path(tmpName)); err != nil {
		return nil, err
	}
	if d.lock, err = lockFile(d.path(tmpName, lockName)); err != nil {
		return nil, fmt.Errorf("%s: %w", out, err)
	}
	defer func() {
		if err != nil {
			d.unlock()
		}
	}()
	if err := d.recover(); err != nil {
		return nil, err
	}
	return d, nil
}

// recover clears away what a killed run left: its temporary files, and the
// files that it had renamed into place when no manifest came to say so.
func (d *Dir) recover() error {
	if d.old == nil {
		if journal, err := d.fs.ReadFile(d.path(tmpName, journalName)); err == nil {
			var names []string
			if json.Unmarshal(journal, &names) == nil {
				if err := d.removeFiles(names); err != nil {
					return err
				}
			}
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return d.clear()
}

// clear empties the temporary folder except for the lock.
func (d *Dir) clear() error {
	for _, name := range []string{"tables", manifestName, journalName + ".new", journalName} { // the journal last: it is what a next attempt goes by
		if err := d.fs.RemoveAll(d.path(tmpName, name)); err != nil {
			return err
		}
	}
	return nil
}

// removeFiles removes files of the dataset, and folders that this leaves empty.
func (d *Dir) removeFiles(names []string) error {
	for _, name := range names {
		local := filepath.FromSlash(name)
		if !filepath.IsLocal(local) || strings.HasPrefix(name, ".") || name == manifestName {
			return fmt.Errorf("%s: a manifest or journal names %q, which is no file of a dataset", d.out, name)
		}
		if err := d.fs.Remove(d.path(local)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for folder := filepath.Dir(local); folder != "."; folder = filepath.Dir(folder) {
			d.fs.Remove(d.path(folder)) // fails where other files are left, which is fine
		}
	}
	return nil
}

// Scratch returns a new file for what does not fit in memory, on the disk
// where the dataset goes. It is the caller's to close and remove; what a killed
// run left of it the next one clears away.
func (d *Dir) Scratch() (*os.File, error) {
	f, err := os.CreateTemp(d.path(tmpName, "tables"), "scratch-")
	if err == nil {
		os.Remove(f.Name()) // where the system lets go of a name before its file is closed
	}
	return f, err
}

func (d *Dir) path(elem ...string) string {
	return filepath.Join(append([]string{d.out}, elem...)...)
}

// metadata returns what each file of a table says of itself, sorted by key.
func (d *Dir) metadata(table string) [][2]string {
	config, err := json.Marshal(d.opts.Config) // sorts
	if err != nil {
		panic(err) // strings alone
	}
	return [][2]string{
		{"caplake.config", string(config)},
		{"caplake.schema_version", schema.Version},
		{"caplake.table", table},
		{"caplake.version", d.opts.Version},
	}
}

// Attach adds a file to the dataset, in its folder itself. Commit asks for its
// content when the manifest has all tables; it must follow from that alone.
func (d *Dir) Attach(name string, content func(Manifest) []byte) error {
	if d.pipe != nil {
		return nil
	}
	if err := d.vacant(name); err != nil {
		return err
	}
	d.beside = append(d.beside, attachment{name, content})
	return nil
}

// attach writes the files beside the tables to where those of the tables wait.
func (d *Dir) attach(m *Manifest) error {
	for _, a := range d.beside {
		if err := d.fs.MkdirAll(d.path(tmpName, "tables")); err != nil {
			return err
		}
		content := a.content(*m)
		path := d.path(tmpName, "tables", a.name)
		if err := d.writeFile(path+".new", path, content); err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		m.Files = append(m.Files, Attachment{Name: a.name, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	}
	return nil
}

// vacant fails where a file of this name is and is not known to be ours to replace.
func (d *Dir) vacant(name string) error {
	path := d.path(filepath.FromSlash(name))
	if exists, err := d.fs.Exists(path); err != nil {
		return err
	} else if exists && !d.opts.Overwrite {
		return fmt.Errorf("%s is there already, without a manifest; overwriting must be asked for", path)
	}
	return nil
}

// Commit closes the tables and publishes the dataset: after it returned nil,
// all of it is there for good; after an error, the folder has no dataset or
// still the old one, and Abort must follow.
func (d *Dir) Commit() (Manifest, error) {
	m := Manifest{
		Format:        manifestFormat,
		SchemaVersion: schema.Version,
		ToolVersion:   d.opts.Version,
		FileFormat:    d.opts.Format,
		Config:        d.opts.Config,
		Tables:        []TableInfo{},
	}
	if d.done {
		return m, errors.New("writers: Commit after Commit or Abort")
	}
	var names []string
	for _, t := range d.tables {
		info, err := t.Close()
		if err != nil {
			return m, err
		}
		m.Tables = append(m.Tables, info)
		for _, f := range info.Files {
			names = append(names, f.Name)
		}
	}
	if d.pipe != nil {
		d.done = true
		return m, nil
	}
	if err := d.attach(&m); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	if err := d.publish(&m, names); err != nil {
		return m, err
	}
	d.done = true
	d.removeTmp() // the dataset is whole: what cannot be removed now is not its fault
	return m, nil
}

func (d *Dir) publish(m *Manifest, names []string) error {
	// The journal names every file that the steps below add or remove. While
	// there is no manifest, whoever comes next removes them all.
	var oldNames []string
	if d.old != nil {
		for _, t := range d.old.Tables {
			for _, f := range t.Files {
				oldNames = append(oldNames, f.Name)
			}
		}
		for _, f := range d.old.Files {
			oldNames = append(oldNames, f.Name)
		}
	}
	journal, err := json.Marshal(append(oldNames[:len(oldNames):len(oldNames)], names...))
	if err != nil {
		return err
	}
	if err := d.writeFile(d.path(tmpName, journalName+".new"), d.path(tmpName, journalName), journal); err != nil {
		return err
	}
	if d.old != nil {
		if err := d.fs.Remove(d.path(manifestName)); err != nil {
			return err
		}
		if err := d.fs.SyncDir(d.out); err != nil {
			return err
		}
		d.old = nil
		if err := d.removeFiles(oldNames); err != nil {
			return err
		}
	}
	for _, name := range names {
		local := filepath.FromSlash(name)
		if err := d.fs.MkdirAll(filepath.Dir(d.path(local))); err != nil {
			return err
		}
		if err := d.fs.Rename(d.path(tmpName, "tables", local), d.path(local)); err != nil {
			return err
		}
	}
	for _, folder := range foldersOf(names) {
		if err := d.fs.SyncDir(d.path(folder)); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return err
	}
	return d.writeFile(d.path(tmpName, manifestName), d.path(manifestName), text.Bytes())
}

// foldersOf returns every folder that names files and folders of names, the
// inner ones first, the dataset's own as ".".
func foldersOf(names []string) (folders []string) {
	for _, name := range names {
		for folder := filepath.Dir(filepath.FromSlash(name)); ; folder = filepath.Dir(folder) {
			folders = append(folders, folder)
			if folder == "." {
				break
			}
		}
	}
	slices.SortFunc(folders, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(folders)
}

// writeFile makes a file under a temporary name, and durable, before it is at path.
func (d *Dir) writeFile(tmp, path string, content []byte) error {
	f, err := d.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := d.fs.Rename(tmp, path); err != nil {
		return err
	}
	return d.fs.SyncDir(filepath.Dir(path))
}

// Abort gives up the dataset and removes what was written of it. The old
// dataset stays, unless Commit had begun to replace it. After Commit returned
// nil it does nothing, so that it can be deferred.
func (d *Dir) Abort() error {
	if d.done {
		return nil
	}
	d.done = true
	for _, t := range d.tables {
		t.abort()
	}
	if d.pipe != nil {
		return nil
	}
	var err error
	if exists, eerr := d.fs.Exists(d.path(manifestName)); eerr == nil && !exists {
		d.old = nil
		err = d.recover() // files that were renamed, but never committed
	}
	if rerr := d.removeTmp(); err == nil {
		err = rerr
	}
	if d.created {
		d.fs.Remove(d.out) // fails where someone else's files are, which is fine
	}
	return err
}

func (d *Dir) removeTmp() error {
	err := d.clear()
	if err == nil {
		err = d.fs.RemoveAll(d.path(tmpName))
	}
	d.unlock()
	return err
}

func (d *Dir) unlock() {
	if d.lock != nil {
		d.lock.Close()
		d.lock = nil
	}
}

// create opens a file of a table.
func (d *Dir) create(name string) (*outFile, error) {
	if d.pipe != nil {
		return newOutFile(name, pipeFile{d.pipe}), nil
	}
	local := filepath.FromSlash(name)
	if err := d.vacant(name); err != nil {
		return nil, err
	}
	path := d.path(tmpName, "tables", local)
	if err := d.fs.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := d.fs.Create(path)
	if err != nil {
		return nil, err
	}
	return newOutFile(name, f), nil
}

// pipeFile is what is written to that is no file of ours.
type pipeFile struct{ io.Writer }

func (pipeFile) Sync() error  { return nil }
func (pipeFile) Close() error { return nil }

// outFile is a file that is written from its beginning to its end, counted and
// hashed on the way.
type outFile struct {
	name   string
	f      file
	w      *bufio.Writer
	hashed hashedWriter
	sum    hash.Hash
	offset int64 // bytes given to Write
}

func newOutFile(name string, f file) *outFile {
	o := &outFile{name: name, f: f, sum: sha256.New()}
	o.w = bufio.NewWriterSize(&o.hashed, 256<<10)
	o.hashed.o = o
	return o
}

type hashedWriter struct{ o *outFile }

func (h *hashedWriter) Write(b []byte) (int, error) {
	n, err := h.o.f.Write(b)
	h.o.sum.Write(b[:n])
	return n, err
}

func (o *outFile) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	o.offset += int64(n)
	return n, err
}

// Seek answers where the end is, which is all that may be asked.
func (o *outFile) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.ErrUnsupported
	}
	return o.offset, nil
}

// finish makes the file durable and closes it.
func (o *outFile) finish(rows int64) (FileInfo, error) {
	err := o.w.Flush()
	if err == nil {
		err = o.f.Sync()
	}
	if cerr := o.f.Close(); err == nil {
		err = cerr
	}
	return FileInfo{Name: o.name, Rows: rows, Bytes: o.offset, SHA256: hex.EncodeToString(o.sum.Sum(nil))}, err
}

// pool bounds what all tables of a Dir do at a time.
type pool struct {
	encoders chan struct{} // row groups being encoded
	groups   chan struct{} // row groups full and not yet written
	wg       sync.WaitGroup
}

func newPool(workers int) *pool {
	return &pool{
		encoders: make(chan struct{}, workers),
		groups:   make(chan struct{}, workers+1),
	}
}
