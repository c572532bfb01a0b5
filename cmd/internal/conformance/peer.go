package conformance

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A peer is another program whose answers a corpus holds. It is asked of each
// capture in scope, from several goroutines at once.
type peer interface {
	// tables names what the peer is compared in, in the order of the report. A
	// table of several peers has a name for each, as in "zeek conn".
	tables() []string

	// views says how the capture has to be converted for the peer's answers, and
	// how the dataset is brought to records beside them. None where the peer says
	// nothing of the capture.
	views(c *Capture) []view
}

// view is one comparison of one capture with one peer.
type view struct {
	options Options // of the conversion
	records func(d *Dataset) ([]recordSet, error)
}

// recordSet is what one comparison is made of. A table may have several: its
// kinds of messages (kind.Name), and what is counted apart.
type recordSet struct {
	table       string // one of the peer's tables
	name        string // of the line in the report; empty: the table
	kind        *Kind
	apart       bool // counted apart: does not count towards the table's minimum
	partial     bool // the peer's list is not complete: what it lacks says nothing
	truth, ours []Record
}

// peers returns every peer, in the order of the report. A corpus need not have
// the files of each.
func peers(dir string, disputed map[string][]string) ([]peer, error) {
	z, err := openZeek(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, err
	}
	n, err := openNDPI(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, err
	}
	a, err := openArkime(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, err
	}
	j, err := openJA4(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, err
	}
	c, err := openCommunityID(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, err
	}
	s, err := openSuricata(filepath.Join(dir, "peer"))
	if err != nil {
		return nil, err
	}
	return []peer{tshark{disputed}, z, a, n, j, c, s}, nil
}

// optionalTSV reads a file of the corpus that need not be there.
func optionalTSV(p string) ([]map[string]string, error) {
	rows, err := readTSV(p)
	if os.IsNotExist(err) {
		return nil, nil
	}
	return rows, err
}

// Options are what a conversion depends on. The zero value is how the program
// converts by default.
type Options struct {
	NoChecksums bool `json:"no_checksums,omitempty"` // do not verify them
	NoTimeouts  bool `json:"no_timeouts,omitempty"`  // flows do not end by time
}

// Dataset is what a conversion wrote, its tables read when asked for. The zero
// value has no rows.
type Dataset struct {
	dir     string
	capture string // path of what was converted
	tables  map[string]*Table
	sha1    map[string]string // of certificates, by their SHA-256; nil: not read yet
}

// NewDataset returns a dataset of these tables, and of no others.
func NewDataset(tables map[string]*Table) *Dataset { return &Dataset{tables: tables} }

// sha1Of returns the SHA-1 of the certificate with a SHA-256, as hexadecimal
// bytes divided by colons; empty where there is none.
func (d *Dataset) sha1Of(sha256 string) string {
	if d.sha1 == nil {
		d.sha1 = map[string]string{}
		t, _ := d.Table("certificates")
		for i := range t.Len() {
			var b strings.Builder
			for k, c := range t.Get(i, "fingerprint_sha1") {
				if k > 0 && k%2 == 0 {
					b.WriteByte(':')
				}
				b.WriteRune(c)
			}
			d.sha1[t.Get(i, "fingerprint_sha256")] = b.String()
		}
	}
	return d.sha1[sha256]
}

// Table returns the table. One that cannot be read has no rows, and why.
func (d *Dataset) Table(name string) (*Table, error) {
	if t := d.tables[name]; t != nil {
		return t, nil
	}
	t := NewTable(nil, nil)
	var err error
	if d.dir != "" {
		var u *Table
		if u, err = ReadTable(d.dir, name); err == nil {
			t = u
		}
	}
	if d.tables == nil {
		d.tables = map[string]*Table{}
	}
	d.tables[name] = t
	return t, err
}

// tunnels returns the encapsulations of the flows, sorted.
func (d *Dataset) tunnels() []string {
	t, err := d.Table("flows")
	if err != nil {
		return []string{}
	}
	seen := map[string]bool{}
	for _, column := range t.Columns {
		if column != "tunnel" && !strings.HasPrefix(column, "tunnel.") {
			continue
		}
		for i := range t.Len() {
			for _, name := range strings.Split(t.Get(i, column), "\x1f") {
				seen[name] = name != ""
			}
		}
	}
	delete(seen, "")
	return slices.Sorted(maps.Keys(seen))
}
