package run_test

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/cmd/internal/filter"
	"github.com/caplake/caplake/cmd/internal/run"
)

// inputs are our own captures and, where they are, some of the corpus.
func inputs(t *testing.T) []string {
	t.Helper()
	own, err := filepath.Glob("../../../testdata/captures/*.pcap*")
	if err != nil || len(own) == 0 {
		t.Fatal("no captures")
	}
	if os.Getenv("CAPLAKE_CORPUS") != "" {
		own = append(own, corpus(t)...)
	}
	return own
}

func filtered(t *testing.T, f filter.Filter, workers int, paths ...string) map[string][]string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	cfg := run.Config{Inputs: paths, Out: out, Workers: workers, Shards: 16, Filter: f}
	if _, err := run.Convert(context.Background(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	m := rows(t, out, provenance...)
	delete(m, ledger)
	return m
}

// A filter on time gives the rows of the captures cut to that time.
func TestTimeFilterIsACut(t *testing.T) {
	for _, path := range inputs(t) {
		c := readCapture(t, path)
		var times []int64
		for _, r := range c.records {
			times = append(times, r.time)
		}
		slices.Sort(times)
		after, before := times[len(times)/4], times[len(times)*3/4]
		if after == before {
			continue
		}
		var kept []record
		for _, r := range c.records {
			if after <= r.time && r.time < before {
				kept = append(kept, r)
			}
		}
		cut := filepath.Join(t.TempDir(), "cut.pcap")
		write(t, cut, c.file(kept))
		want := filtered(t, filter.Filter{}, 1, cut)
		for _, workers := range []int{1, 3} {
			got := filtered(t, filter.Filter{After: &after, Before: &before}, workers, path)
			sameRows(t, filepath.Base(path), got, want)
		}
	}
}

// A filter on addresses, ports or protocols gives the rows that a question
// for them would find in those of the whole run; beside them only ICMP errors
// about such packets.
func TestFilterIsAQuestion(t *testing.T) {
	for _, path := range inputs(t) {
		whole := filtered(t, filter.Filter{}, 2, path)
		if len(whole["flows"]) == 0 {
			continue
		}
		// The flow in the middle gives an address and a port to look for.
		flow := whole["flows"][len(whole["flows"])/2]
		addr, port := value(flow, "dst_ip"), value(flow, "dst_port")
		host, err := netip.ParseAddr(addr)
		if err != nil {
			t.Fatalf("%s: %v in %s", path, err, flow)
		}
		net, err := host.Prefix(host.BitLen())
		if err != nil {
			t.Fatal(err)
		}
		either := func(column, v string) func(string) bool {
			return func(row string) bool { return value(row, "src_"+column) == v || value(row, "dst_"+column) == v }
		}
		type question struct {
			name   string
			filter filter.Filter
			fits   func(row string) bool
		}
		questions := []question{
			{"host", filter.Filter{Match: filter.Match{Hosts: []netip.Addr{host}}}, either("ip", addr)},
			{"net", filter.Filter{Match: filter.Match{Nets: []netip.Prefix{net}}}, either("ip", addr)},
			{"nothing", filter.Filter{Match: filter.Match{Protos: []uint8{255}}}, func(string) bool { return false }},
		}
		if proto := value(flow, "proto"); proto == "tcp" || proto == "udp" {
			p, err := filter.ParsePorts(port)
			if err != nil {
				t.Fatal(err)
			}
			questions = append(questions, question{"port", filter.Filter{Match: filter.Match{Ports: []filter.Ports{p}}}, either("port", port)})
		}
		for _, q := range questions {
			got := filtered(t, q.filter, 2, path)
			for _, table := range []string{"flows", "http", "tls", "dns"} {
				var want, found []string
				for _, row := range whole[table] {
					if q.fits(row) {
						want = append(want, row)
					}
				}
				for _, row := range got[table] {
					switch {
					case q.fits(row):
						found = append(found, row)
					case !strings.Contains(value(row, "proto"), "icmp"):
						t.Errorf("%s, %s: %s has a row that is not asked for: %s", path, q.name, table, row)
					}
				}
				// An ICMP flow has its type where others have ports.
				if q.name == "port" && table == "flows" {
					want = slices.DeleteFunc(want, func(row string) bool { return strings.Contains(value(row, "proto"), "icmp") })
					found = slices.DeleteFunc(found, func(row string) bool { return strings.Contains(value(row, "proto"), "icmp") })
				}
				sameRows(t, filepath.Base(path)+" by "+q.name, map[string][]string{table: found}, map[string][]string{table: want})
			}
		}
	}
}

// value returns a column of a row as Lines writes it.
func value(row, column string) string {
	b := []byte(" " + row)
	_, rest, ok := bytes.Cut(b, []byte(" "+column+"=\""))
	if !ok {
		return ""
	}
	v, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(v)
}
