package run_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/caplake/caplake/cmd/internal/run"
	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
)

// TestLibraryRows: the rows that the library makes in memory are those that a run writes.
func TestLibraryRows(t *testing.T) {
	_, out := dataset(t, run.Config{Inputs: []string{captures}, Headers: true, Fingerprints: true, Workers: 2})
	cfg := tabulate.Config{Headers: true, Fingerprints: true}
	all, err := tabulate.All(ingest.Packets(captures), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all.Certificates {
		all.Certificates[i].Position = 0 // which is no column
	}
	sameTable(t, "flows", all.Flows, read[schema.Flow](t, out, "flows"))
	sameTable(t, "http", all.HTTP, read[schema.HTTP](t, out, "http"))
	sameTable(t, "tls", all.TLS, read[schema.TLS](t, out, "tls"))
	sameTable(t, "certificates", all.Certificates, read[schema.Certificate](t, out, "certificates"))
	sameTable(t, "dns", all.DNS, read[schema.DNS](t, out, "dns"))
	sameTable(t, "ssh", tabulate.Rows[schema.SSH](all, "ssh"), read[schema.SSH](t, out, "ssh"))

	// In batches they are the same, in the same order.
	for _, n := range []int{1, 7, 100} {
		cfg.BatchRows = n
		var got tabulate.Batch
		batches := 0
		for b, err := range tabulate.Batches(ingest.Packets(captures), cfg) {
			if err != nil {
				t.Fatal(err)
			}
			batches++
			got.Flows = append(got.Flows, b.Flows...)
			got.HTTP = append(got.HTTP, b.HTTP...)
			got.TLS = append(got.TLS, b.TLS...)
			got.DNS = append(got.DNS, b.DNS...)
			for _, c := range b.Certificates {
				c.Position = 0
				got.Certificates = append(got.Certificates, c)
			}
		}
		for _, pair := range [][2]any{{got.Flows, all.Flows}, {got.HTTP, all.HTTP}, {got.TLS, all.TLS}, {got.DNS, all.DNS}, {got.Certificates, all.Certificates}} {
			if a, b := asJSON(t, pair[0]), asJSON(t, pair[1]); a != b {
				t.Errorf("in batches of %d rows:\n%s\nwant\n%s", n, a, b)
			}
		}
		if batches < 2 {
			t.Errorf("%d batches", batches)
		}
	}

	// Breaking out is no error, and is obeyed.
	n := 0
	for range tabulate.Batches(ingest.Packets(captures), cfg) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d batches after a break", n)
	}
}

// TestLibraryError: rows of what came before an error, then the error, once.
func TestLibraryError(t *testing.T) {
	var source flows.Source = ingest.Packets(captures+"/dns-udp.pcap", "tabulate_test.go")
	rows, errs := 0, 0
	for b, err := range tabulate.Batches(source, tabulate.Config{BatchRows: 10}) {
		if err != nil {
			errs++
		} else {
			rows += len(b.DNS)
			if errs > 0 {
				t.Error("rows after the error")
			}
		}
	}
	if rows == 0 || errs != 1 {
		t.Errorf("%d rows, %d errors", rows, errs)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sameTable[R any](t *testing.T, table string, got, want []R) {
	t.Helper()
	lines := func(rows []R) (out []string) {
		for i := range rows {
			out = append(out, asJSON(t, &rows[i]))
		}
		slices.Sort(out)
		return out
	}
	a, b := lines(got), lines(want)
	if !slices.Equal(a, b) || len(a) == 0 && table != "ssh" {
		t.Errorf("%s: %d rows, want %d", table, len(a), len(b))
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Errorf("%s\nwant\n%s", a[i], b[i])
				break
			}
		}
	}
}
