package writers

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/caplake/caplake/schema"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// A column of a row group is
//
//	a dictionary page, if there is a dictionary: header, values
//	data pages: header, repetition levels, definition levels, values
//
// Headers are Thrift structs in the compact protocol; they are put together
// here by hand because there are hundreds in each row group. Of the data only
// the values are compressed (data pages of version 2), and only where that
// makes them smaller. Bounds are in the column index and not in the headers,
// where nobody would find them without reading the page.
// https://parquet.apache.org/docs/file-format/

const (
	// pageRows is the number of rows of a page, the same in all columns so
	// that a reader that skips pages in one skips the same rows in the others.
	pageRows = 1 << 14
	// pageBytes makes pages of long values shorter.
	pageBytes = 1 << 20
	// boundBytes is where bounds of texts are cut, which leaves bounds.
	boundBytes = 64
	// bloomBits is the number of bits of Bloom filter for each value: one false
	// positive in a hundred.
	bloomBits = 10
)

// pager makes pages of columns, one after another.
type pager struct {
	pageRows int
	scratch  scratch
	codec    format.CompressionCodec
	zstd     *zstd.Encoder
	snappy   snappy.Codec

	out    []byte // the row group so far
	rep    []byte // encoded
	def    []byte
	packed []byte
	zeros  []byte
	hashes []uint64
	levels rle.Encoding
}

// column appends the pages of l, which has rows rows. places are where they
// are, index is the column index, encoded, or nil.
func (w *pager) column(l *leaf, rows int) (meta format.ColumnMetaData, places []format.PageLocation, index []byte) {
	encoding := l.values.settle(&w.scratch)
	codec := w.codec
	if l.column.Random {
		codec = format.Uncompressed
	}
	meta = format.ColumnMetaData{
		Type:         physicalType(l.column.Kind),
		Encoding:     []format.Encoding{encoding},
		PathInSchema: l.path,
		Codec:        codec,
	}
	if l.maxDef > 0 {
		meta.Encoding = append(meta.Encoding, format.RLE)
	}
	if text, n := l.values.dictionary(w.scratch.page[:0]); n > 0 {
		w.scratch.page = text
		meta.DictionaryPageOffset = int64(len(w.out))
		w.dictionaryPage(&meta, text, n, codec)
		meta.Encoding = append(meta.Encoding, format.Plain)
		meta.EncodingStats = append(meta.EncodingStats, format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
	}
	meta.DataPageOffset = int64(len(w.out))

	per := w.pageRows
	if size := l.values.size(); size == 0 && len(l.def) == 0 {
		per = rows // nothing but NULLs
	} else if size > 0 {
		per = min(per, int(max(1, int64(rows)*pageBytes/int64(size))))
	}
	def, rep := l.def, l.rep
	if l.maxDef > 0 && len(def) == 0 {
		w.zeros = appendRepeated(w.zeros[:0], 0, l.nulls)
		def = w.zeros
		if l.maxRep > 0 {
			rep = w.zeros
		}
	}
	bounds := bounds{less: lessFunc(l.column.Kind)}
	value := 0
	for row := 0; row < rows; row += per {
		page := format.DataPageHeaderV2{NumRows: int32(min(per, rows-row)), Encoding: encoding}
		entries := int(page.NumRows)
		if l.maxRep > 0 {
			entries = entriesOf(rep, entries)
		}
		present := entries
		w.def, w.rep = w.def[:0], w.rep[:0]
		if l.maxDef > 0 {
			present = bytes.Count(def[:entries], []byte{l.maxDef})
			w.def = w.encodeLevels(w.def, def[:entries], l.maxDef)
			def = def[entries:]
		}
		if l.maxRep > 0 {
			w.rep = w.encodeLevels(w.rep, rep[:entries], l.maxRep)
			rep = rep[entries:]
		}
		page.NumValues, page.NumNulls = int32(entries), int32(entries-present)
		var text []byte
		// Of no values there is still an encoding, but for plain: readers expect its head.
		if present > 0 || encoding != format.Plain {
			text = l.values.page(value, value+present, &w.scratch)
		}
		offset := len(w.out)
		w.dataPage(&meta, &page, text, codec)
		places = append(places, format.PageLocation{Offset: int64(offset), CompressedPageSize: int32(len(w.out) - offset), FirstRowIndex: int64(row)})
		low, high, ok := l.values.bounds(value, value+present)
		if ok && physicalType(l.column.Kind) == format.ByteArray {
			low, high = cutBounds(low, high, l.column.Kind == schema.String)
		}
		bounds.add(low, high, ok, int64(page.NumNulls))
		bounds.unknown = bounds.unknown || !ok && present > 0
		value += present
		meta.NumValues += int64(entries)
		meta.Statistics.NullCount += int64(page.NumNulls)
	}
	if len(places) > 0 {
		meta.EncodingStats = append(meta.EncodingStats, format.PageEncodingStats{PageType: format.DataPageV2, Encoding: encoding, Count: int32(len(places))})
	}
	meta.Statistics.MinValue, meta.Statistics.MaxValue = bounds.low, bounds.high
	meta.TotalCompressedSize = int64(len(w.out)) - meta.DataPageOffset
	if meta.DictionaryPageOffset > 0 {
		meta.TotalCompressedSize = int64(len(w.out)) - meta.DictionaryPageOffset
	}
	if !bounds.unknown {
		index = bounds.appendIndex(nil)
	}
	return meta, places, index
}

// entriesOf returns how many levels the first rows rows have.
func entriesOf(rep []byte, rows int) int {
	for i, r := range rep {
		if r == 0 {
			if rows == 0 {
				return i
			}
			rows--
		}
	}
	return len(rep)
}

func (w *pager) encodeLevels(dst, levels []byte, most byte) []byte {
	w.levels.BitWidth = bits.Len8(most)
	dst, _ = w.levels.EncodeLevels(dst, levels) // whose errors are of widths that there are not
	return dst
}

// compress returns text compressed.
func (w *pager) compress(text []byte, codec format.CompressionCodec) []byte {
	switch codec {
	case format.Zstd:
		w.packed = w.zstd.EncodeAll(text, w.packed[:0])
	case format.Snappy:
		w.packed, _ = w.snappy.Encode(w.packed[:0], text) // has no errors
	default:
		return text
	}
	return w.packed
}

// A Thrift struct in the compact protocol: each field has a byte of the
// difference of its number to the one before and, in the lower half, its type;
// integers are zigzag varints; a struct ends with a zero.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftI32    = 5
	thriftI64    = 6
	thriftBinary = 8
	thriftList   = 9
	thriftStruct = 12
)

func appendField(dst []byte, delta byte, v int64) []byte {
	return binary.AppendVarint(append(dst, delta<<4|thriftI32), v)
}

func (w *pager) pageHeader(kind format.PageType, size, stored int, crc uint32) {
	w.out = appendField(w.out, 1, int64(kind))
	w.out = appendField(w.out, 1, int64(size))
	w.out = appendField(w.out, 1, int64(stored))
	w.out = appendField(w.out, 1, int64(int32(crc)))
}

func (w *pager) dictionaryPage(meta *format.ColumnMetaData, text []byte, entries int, codec format.CompressionCodec) {
	stored := w.compress(text, codec)
	offset := len(w.out)
	w.pageHeader(format.DictionaryPage, len(text), len(stored), crc32.ChecksumIEEE(stored))
	w.out = append(w.out, 3<<4|thriftStruct) // field 7
	w.out = appendField(w.out, 1, int64(entries))
	w.out = appendField(w.out, 1, int64(format.Plain))
	w.out = append(w.out, 0, 0)
	meta.TotalUncompressedSize += int64(len(w.out) - offset + len(text))
	w.out = append(w.out, stored...)
}

func (w *pager) dataPage(meta *format.ColumnMetaData, page *format.DataPageHeaderV2, text []byte, codec format.CompressionCodec) {
	const worthIt = 64 // bytes
	stored, compressed := text, byte(thriftFalse)
	if codec != format.Uncompressed && len(text) >= worthIt {
		if packed := w.compress(text, codec); len(packed) < len(text) {
			stored, compressed = packed, thriftTrue
		}
	}
	crc := crc32.ChecksumIEEE(w.rep)
	crc = crc32.Update(crc, crc32.IEEETable, w.def)
	crc = crc32.Update(crc, crc32.IEEETable, stored)
	levels := len(w.rep) + len(w.def)
	offset := len(w.out)
	w.pageHeader(format.DataPageV2, levels+len(text), levels+len(stored), crc)
	w.out = append(w.out, 4<<4|thriftStruct) // field 8
	w.out = appendField(w.out, 1, int64(page.NumValues))
	w.out = appendField(w.out, 1, int64(page.NumNulls))
	w.out = appendField(w.out, 1, int64(page.NumRows))
	w.out = appendField(w.out, 1, int64(page.Encoding))
	w.out = appendField(w.out, 1, int64(len(w.def)))
	w.out = appendField(w.out, 1, int64(len(w.rep)))
	w.out = append(w.out, 1<<4|compressed, 0, 0)
	meta.TotalUncompressedSize += int64(len(w.out) - offset + levels + len(text))
	w.out = append(w.out, w.rep...)
	w.out = append(w.out, w.def...)
	w.out = append(w.out, stored...)
}

// filter appends the Bloom filter of l.
func (w *pager) filter(l *leaf, meta *format.ColumnMetaData) error {
	w.hashes = l.values.hashes(w.hashes[:0])
	f := make(bloom.SplitBlockFilter, max(1, bloom.NumSplitBlocksOf(int64(len(w.hashes)), bloomBits)))
	f.InsertBulk(w.hashes)
	header, err := thrift.Marshal(new(thrift.CompactProtocol), &format.BloomFilterHeader{
		NumBytes:    int32(len(f.Bytes())),
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	})
	if err != nil {
		return err
	}
	meta.BloomFilterOffset = int64(len(w.out))
	w.out = append(w.out, header...)
	w.out = append(w.out, f.Bytes()...)
	meta.BloomFilterLength = int32(int64(len(w.out)) - meta.BloomFilterOffset)
	return nil
}

// bounds are the bounds of the pages of a column, and of the whole.
type bounds struct {
	less      func(a, b []byte) bool
	lows      [][]byte // of each page
	highs     [][]byte
	has       []bool // false: the page has nothing but NULLs
	nulls     []int64
	low, high []byte // nil: none
	unknown   bool   // a page has values and no bounds (NaN), for which a column index has no words
}

func (b *bounds) add(low, high []byte, ok bool, nulls int64) {
	b.lows, b.highs, b.has, b.nulls = append(b.lows, low), append(b.highs, high), append(b.has, ok), append(b.nulls, nulls)
	if !ok {
		return
	}
	if b.low == nil || b.less(low, b.low) {
		b.low = append([]byte{}, low...)
	}
	if b.high == nil || b.less(b.high, high) {
		b.high = append([]byte{}, high...)
	}
}

func (b *bounds) order() format.BoundaryOrder {
	ascending, descending, last := true, true, -1
	for i, ok := range b.has {
		if !ok {
			continue
		}
		if last >= 0 {
			ascending = ascending && !b.less(b.lows[i], b.lows[last]) && !b.less(b.highs[i], b.highs[last])
			descending = descending && !b.less(b.lows[last], b.lows[i]) && !b.less(b.highs[last], b.highs[i])
		}
		last = i
	}
	switch {
	case ascending:
		return format.Ascending
	case descending:
		return format.Descending
	}
	return format.Unordered
}

// appendIndex appends the column index: whether a page has nothing but NULLs,
// least and greatest values, their order over the pages, numbers of NULLs.
func (b *bounds) appendIndex(dst []byte) []byte {
	list := func(elem byte) {
		dst = append(dst, 1<<4|thriftList)
		if n := len(b.has); n < 15 {
			dst = append(dst, byte(n)<<4|elem)
		} else {
			dst = binary.AppendUvarint(append(dst, 0xf0|elem), uint64(n))
		}
	}
	list(thriftTrue)
	for _, ok := range b.has {
		if ok {
			dst = append(dst, thriftFalse)
		} else {
			dst = append(dst, thriftTrue)
		}
	}
	for _, texts := range [][][]byte{b.lows, b.highs} {
		list(thriftBinary)
		for _, t := range texts {
			dst = binary.AppendUvarint(dst, uint64(len(t)))
			dst = append(dst, t...)
		}
	}
	dst = appendField(dst, 1, int64(b.order()))
	list(thriftI64)
	for _, n := range b.nulls {
		dst = binary.AppendVarint(dst, n)
	}
	return append(dst, 0)
}

// appendOffsetIndex appends the offset index: where pages are, how long, and their
// first rows. The places are move bytes further on.
func appendOffsetIndex(dst []byte, places []format.PageLocation, move int64) []byte {
	dst = append(dst, 1<<4|thriftList)
	if n := len(places); n < 15 {
		dst = append(dst, byte(n)<<4|thriftStruct)
	} else {
		dst = binary.AppendUvarint(append(dst, 0xf0|thriftStruct), uint64(n))
	}
	for _, p := range places {
		dst = binary.AppendVarint(append(dst, 1<<4|thriftI64), p.Offset+move)
		dst = appendField(dst, 1, int64(p.CompressedPageSize))
		dst = binary.AppendVarint(append(dst, 1<<4|thriftI64), p.FirstRowIndex)
		dst = append(dst, 0)
	}
	return append(dst, 0)
}

// cutBounds returns bounds of at most about boundBytes bytes, which are text
// where isText: a prefix of low, and one of high whose last character that
// has a successor is replaced by it.
func cutBounds(low, high []byte, isText bool) ([]byte, []byte) {
	low = slices.Clone(cutText(low, isText))
	cut := cutText(high, isText)
	if len(cut) == len(high) {
		return low, slices.Clone(high)
	}
	for end := len(cut); end > 0; {
		if !isText {
			end--
			if cut[end] < 0xff {
				return low, append(slices.Clone(cut[:end]), cut[end]+1)
			}
			continue
		}
		r, size := utf8.DecodeLastRune(cut[:end])
		end -= size
		if r == utf8.RuneError { // not text at all: as it is
			break
		}
		if r++; r == 0xd800 {
			r = 0xe000
		}
		if r <= utf8.MaxRune {
			return low, utf8.AppendRune(slices.Clone(cut[:end]), r)
		}
	}
	return low, slices.Clone(high)
}

func cutText(b []byte, isText bool) []byte {
	if len(b) <= boundBytes {
		return b
	}
	end := boundBytes
	for isText && end > boundBytes-utf8.UTFMax && !utf8.RuneStart(b[end]) {
		end--
	}
	return b[:end]
}

// lessFunc returns the order of plain values of kind k.
func lessFunc(k schema.Kind) func(a, b []byte) bool {
	switch k {
	case schema.Int32:
		return func(a, b []byte) bool {
			return int32(binary.LittleEndian.Uint32(a)) < int32(binary.LittleEndian.Uint32(b))
		}
	case schema.Int64, schema.Timestamp:
		return func(a, b []byte) bool {
			return int64(binary.LittleEndian.Uint64(a)) < int64(binary.LittleEndian.Uint64(b))
		}
	case schema.Float64:
		return func(a, b []byte) bool {
			return math.Float64frombits(binary.LittleEndian.Uint64(a)) < math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	}
	return func(a, b []byte) bool { return bytes.Compare(a, b) < 0 }
}

func physicalType(k schema.Kind) format.Type {
	switch k {
	case schema.Bool:
		return format.Boolean
	case schema.Int32:
		return format.Int32
	case schema.Int64, schema.Timestamp:
		return format.Int64
	case schema.Float64:
		return format.Double
	}
	return format.ByteArray
}
