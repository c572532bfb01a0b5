package writers

import (
	"testing"

	"github.com/caplake/caplake/schema"
)

func benchmarkRows[S, T any](b *testing.B, format Format, rows []S, fill func(*T, *S, *schema.Arena)) {
	b.ReportAllocs()
	var bytes int64
	for b.Loop() {
		d := mustDir(b, b.TempDir(), Options{Format: format, Workers: 1})
		t := mustTable(b, d, "bench", fill)
		for range 2 { // two full row groups
			if err := t.Append(rows); err != nil {
				b.Fatal(err)
			}
		}
		m, err := d.Commit()
		if err != nil {
			b.Fatal(err)
		}
		bytes = m.Tables[0].Files[0].Bytes
	}
	n := float64(2 * len(rows))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
	b.ReportMetric(float64(bytes)/n, "B/row")
}

func BenchmarkFlowsParquet(b *testing.B) {
	benchmarkRows(b, Parquet, flowSources(65536), schema.FillFlow)
}

// narrow is a row of few columns, as tables of messages without lists are.
type narrow struct {
	FlowID  int64  `parquet:"flow_id,uncompressed" id:"1" doc:"d" bloom:"yes"`
	TS      int64  `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"d"`
	SrcIP   string `parquet:"src_ip,dict" id:"3" doc:"d" bloom:"yes"`
	SrcPort int32  `parquet:"src_port,delta" id:"4" doc:"d"`
	Name    string `parquet:"name,optional" id:"5" doc:"d" bloom:"yes"`
	Code    *int32 `parquet:"code,optional,dict" id:"6" doc:"d"`
	Bytes   int64  `parquet:"bytes,delta" id:"7" doc:"d"`
	Packet  int64  `parquet:"packet,delta" id:"8" doc:"d"`
}

func narrowRows(n int) []narrow {
	rows := make([]narrow, n)
	for i, k := range kindsRows(n) {
		rows[i] = narrow{k.ID, k.TS, k.Text, k.Int32 * 1000, k.OptText, k.OptInt32, int64(i % 1500), int64(i)}
	}
	return rows
}

func BenchmarkFlowsArrow(b *testing.B) {
	if !haveArrow {
		b.Skip("built without Arrow")
	}
	benchmarkRows(b, Arrow, flowSources(65536), schema.FillFlow)
}

func BenchmarkNarrowParquet(b *testing.B) {
	benchmarkRows[narrow, narrow](b, Parquet, narrowRows(65536), nil)
}
