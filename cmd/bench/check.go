package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"github.com/parquet-go/parquet-go"
)

// Truth is what the generator says it put into a capture.
type Truth struct {
	Packets, Bytes            int64
	Flows                     map[string]int64
	HTTPRequests, HTTPReplies int64
	TLSClientHellos           int64
	TLSServerHellos           int64
	DNSQueries, DNSReplies    int64
	NeverSeen                 int64 // segments that the capture lost
	MidStreamStarts           int64 // connections that lack their first packets
}

// rowCounts is what a dataset holds.
type rowCounts struct {
	tables                       []Rows
	httpRequests, httpResponses  int64
	dnsQueries, dnsResponses     int64
	dnsRetransmits, tlsHandshake int64
	flows, packets               int64
}

// lossShare is the share of the HTTP and TLS messages that may be missing where
// the generator left segments out of the capture: it does not say which
// messages they belonged to. At its rates 0.6 % of the hellos are hit.
const lossShare = 0.01

// check compares a dataset with the generator's truth and returns what differs.
// DNS messages and packets are exact. Flows are exact but for TCP connections
// that use a tuple again. HTTP and TLS are exact but for what was lost.
func check(t *Truth, r *Reference, c *rowCounts) []string {
	var bad []string
	within := func(what string, got, least, most int64) {
		switch {
		case got >= least && got <= most:
		case least == most:
			bad = append(bad, fmt.Sprintf("%s: %d, generated %d", what, got, least))
		default:
			bad = append(bad, fmt.Sprintf("%s: %d, generated %d to %d", what, got, least, most))
		}
	}
	if r.Packets != t.Packets {
		bad = append(bad, fmt.Sprintf("the capture has %d packets, the generator wrote %d: it is not whole", r.Packets, t.Packets))
	}
	within("packets", c.packets, t.Packets, t.Packets)
	within("flows", c.flows, r.FlowsLeast, r.FlowsMost)
	within("dns queries", c.dnsQueries+c.dnsRetransmits, t.DNSQueries, t.DNSQueries)
	within("dns responses", c.dnsResponses, t.DNSReplies, t.DNSReplies)
	lossy := func(what string, got, n int64) {
		lost := int64(0)
		if t.NeverSeen+t.MidStreamStarts > 0 {
			lost = int64(float64(n)*lossShare) + 2
		}
		within(what, got, n-lost, n)
	}
	lossy("http requests", c.httpRequests, t.HTTPRequests)
	lossy("http responses", c.httpResponses, t.HTTPReplies)
	lossy("tls handshakes", c.tlsHandshake, t.TLSClientHellos)
	return bad
}

// countRows counts the rows of every table of a dataset, and the values of the
// columns that check needs, without reading more than it must.
func countRows(dir string) (*rowCounts, error) {
	c := &rowCounts{}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.parquet"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no tables", dir)
	}
	sort.Strings(files)
	for _, path := range files {
		if err := c.add(filepath.Base(filepath.Dir(path)), path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return c, nil
}

func (c *rowCounts) add(table, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	pf, err := parquet.OpenFile(f, st.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	if n := len(c.tables); n == 0 || c.tables[n-1].Table != table {
		c.tables = append(c.tables, Rows{Table: table})
	}
	c.tables[len(c.tables)-1].N += pf.NumRows()
	column := func(name string, sum bool) (n int64) {
		if err == nil {
			n, err = columnCount(pf, name, sum)
		}
		return n
	}
	switch table {
	case "flows":
		c.flows += pf.NumRows()
	case "captures":
		c.packets += column("packets", true)
	case "http":
		c.httpRequests += column("request_ts", false)
		c.httpResponses += column("response_ts", false)
	case "tls":
		c.tlsHandshake += pf.NumRows()
	case "dns":
		c.dnsQueries += column("query_ts", false)
		c.dnsResponses += column("response_ts", false)
		c.dnsRetransmits += column("query_retransmits", true)
	}
	return err
}

// columnCount returns the number of values of a column that are not NULL, or
// their sum.
func columnCount(f *parquet.File, name string, sum bool) (int64, error) {
	leaf, ok := f.Schema().Lookup(name)
	if !ok {
		return 0, fmt.Errorf("no column %s", name)
	}
	var n int64
	buf := make([]parquet.Value, 1024)
	for _, g := range f.RowGroups() {
		pages := g.ColumnChunks()[leaf.ColumnIndex].Pages()
		for {
			p, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				pages.Close()
				return 0, err
			}
			if !sum {
				n += p.NumValues() - p.NumNulls()
				parquet.Release(p)
				continue
			}
			values := p.Values()
			for {
				k, err := values.ReadValues(buf)
				for _, v := range buf[:k] {
					if v.IsNull() {
						continue
					}
					if v.Kind() == parquet.Int32 {
						n += int64(v.Int32())
					} else {
						n += v.Int64()
					}
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					pages.Close()
					return 0, err
				}
			}
			parquet.Release(p)
		}
		if err := pages.Close(); err != nil {
			return 0, err
		}
	}
	return n, nil
}
