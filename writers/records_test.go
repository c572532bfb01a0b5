package writers_test

import (
	"errors"
	"iter"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
	"github.com/caplake/caplake/writers"
)

// TestRecords: record batches hold the rows, table by table, without files.
func TestRecords(t *testing.T) {
	src := ingest.Packets("../testdata/captures")
	all, err := tabulate.All(src, tabulate.Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"flows": len(all.Flows), "http": len(all.HTTP), "tls": len(all.TLS), "certificates": len(all.Certificates), "dns": len(all.DNS)}
	got := make(map[string]int)
	at := 0
	for r, err := range writers.Records(tabulate.Batches(src, tabulate.Config{BatchRows: 20})) {
		if err != nil {
			t.Fatal(err)
		}
		got[r.Table] += int(r.NumRows())
		if r.Table != "flows" {
			continue
		}
		ids := r.Column(r.Schema().FieldIndices("flow_id")[0]).(*array.Int64)
		ends := r.Column(r.Schema().FieldIndices("dst_ip")[0]).(*array.String)
		ports := r.Column(r.Schema().FieldIndices("src_mss_bytes")[0]).(*array.Int32)
		for i := range int(r.NumRows()) {
			f := &all.Flows[at]
			at++
			if ids.Value(i) != f.FlowID || ends.Value(i) != f.DstIP || ports.IsNull(i) != (f.FlowSrc.MSS == nil) {
				t.Fatalf("flow %d: %d %s, want %d %s", at, ids.Value(i), ends.Value(i), f.FlowID, f.DstIP)
			}
		}
	}
	for table, n := range want {
		if n == 0 || got[table] != n {
			t.Errorf("%s: %d rows, want %d", table, got[table], n)
		}
	}
	n := 0
	for range writers.Records(tabulate.Batches(src, tabulate.Config{})) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d after a break", n)
	}
}

type badBatch struct{ rows any }

func (b badBatch) Tables() iter.Seq2[schema.Table, any] {
	return func(yield func(schema.Table, any) bool) { yield(schema.Table{Name: "bad"}, b.rows) }
}

func TestRecordErrors(t *testing.T) {
	for _, rows := range []any{nil, 1, []int{1}, []struct{ A int32 }{{1}}} {
		n := 0
		for _, err := range writers.Records(func(yield func(badBatch, error) bool) { yield(badBatch{rows}, nil) }) {
			n++
			if err == nil {
				t.Errorf("%T: no error", rows)
			}
		}
		if n != 1 {
			t.Errorf("%T: %d turns", rows, n)
		}
	}
	bad := errors.New("bad")
	for _, err := range writers.Records(func(yield func(badBatch, error) bool) { yield(badBatch{}, bad) }) {
		if err != bad {
			t.Error(err)
		}
	}
}
