package writers

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// TestPagesOfNULLs: a page of NULLs in a column that has values elsewhere has the head of
// its encoding, without which readers take it for cut.
func TestPagesOfNULLs(t *testing.T) {
	const pageRows = 300
	rows := make([]kinds, 3*pageRows)
	full := kindsRows(3)[2]
	for i := range rows {
		rows[i].Longs = []int64{}
		switch {
		case i/pageRows == 0: // all the same: a dictionary of one
			rows[i] = full
		case i/pageRows == 2:
			rows[i] = full
			rows[i].OptInt64, rows[i].OptTS = ptr(int64(i)), ptr(int64(i*i))
			rows[i].OptInt32, rows[i].OptText, rows[i].OptFloat = ptr(int32(i%7)), fmt.Sprint(i%100), ptr(float64(i%9))
			rows[i].Bytes = fmt.Append(nil, i)
		}
	}
	file := sameFile(t, rows, Options{Workers: 1, pageRows: pageRows})
	meta, err := readFooter(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	encodings := map[format.Encoding]int{}
	for i, c := range meta.RowGroups[0].Columns {
		for _, place := range f.OffsetIndexes()[i].PageLocations {
			var h format.PageHeader
			r := new(thrift.CompactProtocol).NewReader(bytes.NewReader(file[place.Offset:]))
			if err := thrift.NewDecoder(r).Decode(&h); err != nil {
				t.Fatal(err)
			}
			v := h.DataPageHeaderV2.V
			data := h.UncompressedPageSize - v.DefinitionLevelsByteLength - v.RepetitionLevelsByteLength
			if v.NumNulls == v.NumValues {
				encodings[v.Encoding]++
				if (data == 0) != (v.Encoding == format.Plain) {
					t.Errorf("%v: a page of NULLs in %v has %d bytes", c.MetaData.PathInSchema, v.Encoding, data)
				}
			}
		}
	}
	if len(encodings) < 3 {
		t.Errorf("encodings %v", encodings)
	}
}
