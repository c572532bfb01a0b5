package writers

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

// kinds is a row with every kind of column, in and out of lists.
type kinds struct {
	ID       int64    `parquet:"id,uncompressed" id:"1" doc:"d" bloom:"yes"`
	TS       int64    `parquet:"ts,timestamp(nanosecond:local),delta" id:"2" doc:"d"`
	OptTS    *int64   `parquet:"opt_ts,timestamp(nanosecond:local),optional" id:"3" doc:"d"`
	Text     string   `parquet:"text,dict" id:"4" doc:"d" bloom:"yes"`
	OptText  string   `parquet:"opt_text,optional" id:"5" doc:"d"`
	Int32    int32    `parquet:"int32,dict" id:"6" doc:"d"`
	OptInt32 *int32   `parquet:"opt_int32,optional,dict" id:"7" doc:"d"`
	OptInt64 *int64   `parquet:"opt_int64,optional" id:"8" doc:"d"`
	Float    float64  `parquet:"float" id:"9" doc:"d"`
	OptFloat *float64 `parquet:"opt_float,optional" id:"10" doc:"d"`
	Bool     bool     `parquet:"bool" id:"11" doc:"d"`
	OptBool  *bool    `parquet:"opt_bool,optional" id:"12" doc:"d"`
	Bytes    []byte   `parquet:"bytes,optional" id:"13" doc:"d"`
	embedded
	Numbers []int32  `parquet:"numbers,optional,list" id:"15" doc:"d"`
	Strings []string `parquet:"strings,optional,list,dict" id:"16" doc:"d" bloom:"yes"`
	Pairs   []pair   `parquet:"pairs,optional,list" id:"17" doc:"d"`
	Longs   []int64  `parquet:"longs,list,delta" id:"18" doc:"d"`
}

type embedded struct {
	Inner string `parquet:"inner,delta" id:"14" doc:"d"`
}

type pair struct {
	Name  string   `parquet:"name,dict" id:"1" doc:"d"`
	Value string   `parquet:"value,optional" id:"2" doc:"d"`
	TTL   *int64   `parquet:"ttl,optional,delta" id:"3" doc:"d"`
	Deep  []string `parquet:"deep,optional,list" id:"4" doc:"d"`
}

func ptr[T any](v T) *T { return &v }

// kindsRows returns n rows in which NULL, zero, empty and full meet in all
// ways; the first rows are the corner cases by hand.
func kindsRows(n int) []kinds {
	rows := []kinds{
		{Text: "all that may be is NULL", Longs: []int64{}},
		{ID: math.MinInt64, TS: math.MaxInt64, OptTS: ptr[int64](0), Text: "zeros", OptInt32: ptr[int32](0), OptInt64: ptr[int64](0), OptFloat: ptr(0.0),
			OptBool: ptr(false), Numbers: []int32{0}, Strings: []string{""}, Pairs: []pair{{}}, Longs: []int64{0}},
		{ID: 2, TS: 1_700_000_000_123_456_789, OptTS: ptr[int64](-1), Text: "é\x00\xff", OptText: "x", Int32: math.MinInt32, OptInt32: ptr[int32](math.MaxInt32),
			OptInt64: ptr[int64](math.MinInt64), Float: math.Inf(-1), OptFloat: ptr(math.SmallestNonzeroFloat64), Bool: true, OptBool: ptr(true), Bytes: []byte{0, 255},
			embedded: embedded{Inner: "embedded"}, Numbers: []int32{1, -2, 3}, Strings: []string{"a", "", "c"},
			Pairs: []pair{{Name: "n", Value: "v", TTL: ptr[int64](0), Deep: []string{"d", ""}}, {Name: "n2"}, {Deep: []string{"e"}}}, Longs: []int64{1, 2, math.MaxInt64}},
	}
	r := rand.New(rand.NewPCG(7, 7))
	maybe := func() bool { return r.IntN(3) > 0 }
	for len(rows) < n {
		i := int64(len(rows))
		k := kinds{ID: r.Int64(), TS: 1_700_000_000_000_000_000 + i*1001, Text: fmt.Sprint("host", r.IntN(200)), Int32: int32(r.IntN(9)), Float: r.Float64(), Bool: maybe(),
			embedded: embedded{Inner: fmt.Sprint(i)}, Longs: []int64{}}
		if maybe() {
			k.OptTS, k.OptInt32, k.OptText = ptr(i), ptr(int32(r.IntN(5))), fmt.Sprint("opt", i)
		}
		if maybe() {
			k.OptInt64, k.OptFloat, k.OptBool, k.Bytes = ptr(r.Int64N(1000)), ptr(r.NormFloat64()), ptr(maybe()), []byte(fmt.Sprint(i))
		}
		for maybe() {
			k.Numbers = append(k.Numbers, int32(r.IntN(100)))
			k.Strings = append(k.Strings, fmt.Sprint("s", r.IntN(20)))
		}
		for r.IntN(2) == 0 {
			p := pair{Name: fmt.Sprint("h", r.IntN(10))}
			if maybe() {
				p.Value, p.TTL = "value", ptr(i)
			}
			for r.IntN(2) == 0 {
				p.Deep = append(p.Deep, fmt.Sprint(i))
			}
			k.Pairs = append(k.Pairs, p)
			k.Longs = append(k.Longs, i, i*i)
		}
		rows = append(rows, k)
	}
	return rows[:n]
}

// flowSources returns n flows of all sorts.
func flowSources(n int) []schema.FlowSource {
	r := rand.New(rand.NewPCG(3, 3))
	src := make([]schema.FlowSource, n)
	now := int64(1_700_000_000_000_000_000)
	for i := range src {
		f := &src[i].Flow
		now += r.Int64N(2_000_000)
		f.Src = flows.Addr{10: 0xff, 11: 0xff, 12: 10, 13: byte(r.IntN(2)), 14: byte(r.IntN(256)), 15: byte(r.IntN(256))}
		f.Dst = flows.Addr{10: 0xff, 11: 0xff, 12: 93, 13: 184, 14: byte(r.IntN(8)), 15: byte(r.IntN(256))}
		f.SrcPort, f.DstPort = uint16(32768+r.IntN(28000)), []uint16{80, 443, 443, 443, 53, 22}[r.IntN(6)]
		f.Proto, f.Flags = flows.ProtoTCP, flows.HasPorts|flows.HasEthernet
		f.SrcMAC, f.DstMAC = [6]byte{2, 0, 0, 0, 0, f.Src[15]}, [6]byte{2, 0, 0, 0, 1, 1}
		if f.DstPort == 53 {
			f.Proto = flows.ProtoUDP
		}
		f.Basis, f.State, f.End = flows.BySYN, flows.SF, flows.EndFIN
		f.NHistory = uint8(copy(f.HistoryBuf[:], "ShADadfF"))
		f.First = flows.Stamp{Time: now, Pos: flows.NewPosition(1, uint64(10*i+1))}
		f.LastTime = now + r.Int64N(1_000_000_000)
		f.Last = flows.Stamp{Time: f.LastTime, Pos: flows.NewPosition(1, uint64(10*i+9))}
		x := &src[i].TCP
		x.Handshake = flows.SeenSYN | flows.SeenSYNACK | flows.SeenHandshakeACK
		x.SYNTime, x.SYNACKTime, x.HandshakeACKTime = now, now+r.Int64N(50_000_000), now+50_000_000+r.Int64N(1_000_000)
		for s := range f.Sides {
			n := uint64(3 + r.IntN(20))
			t := &f.Sides[s]
			*t = flows.SideStats{Packets: n, Bytes: n * 400, PayloadBytes: n*400 - 52*n, WireBytes: n * 414, SizeMin: 52, SizeMax: 1500, SizeSumSquares: float64(n) * 400 * 700,
				FirstTime: now, LastTime: f.LastTime, IATMin: r.Int64N(1000), IATMax: r.Int64N(1e8), IATSumSquares: 1e16 * r.Float64(), TTLMin: 64, TTLMax: 64}
			if f.Proto == flows.ProtoTCP {
				x.Sides[s] = flows.TCPStats{FlagsSeen: 0x1b, FlagCounts: [9]uint32{1, 1, 0, uint32(n / 2), uint32(n - 1)}, Window: 64240, MSS: 1460, WindowScale: 7,
					Options: flows.OptMSS | flows.OptWindowScale | flows.OptSACKPermitted | flows.OptTimestamps | flows.OptSYNSeen}
			}
		}
		src[i].App = schema.AppInfo{Proto: "tls", Basis: schema.AppByPayload, TLS: 1}
		if i%1000 == 0 {
			src[i].Encaps = []flows.Encap{{Kind: flows.EncapGRE, HasOuter: true}}
		}
	}
	return src
}

func mustDir(t testing.TB, out string, o Options) *Dir {
	t.Helper()
	d, err := NewDir(out, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Abort() })
	return d
}

func mustTable[S, T any](t testing.TB, d *Dir, name string, fill func(*T, *S, *schema.Arena)) *Table[S, T] {
	t.Helper()
	table, err := NewTable(d, name, fill)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// appendAll appends rows in portions of all sizes.
func appendAll[S, T any](t testing.TB, table *Table[S, T], rows []S) {
	t.Helper()
	for step := 1; len(rows) > 0; step = step*3%1009 + 1 {
		n := min(step, len(rows))
		if err := table.Append(rows[:n]); err != nil {
			t.Fatal(err)
		}
		rows = rows[n:]
	}
}
