package conformance

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"text/tabwriter"

	"github.com/parquet-go/parquet-go"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

// Loss measures what is left of the rows when packets are missing. Every
// capture is converted as it is and then again with packets left out by a
// seeded rule, and each row of the first dataset is looked for in the second.
//
// Only rows of flows without gaps count: the capture was whole. A row is
// wholly present if, from its first packet to its last, no packet of its flow was left
// out; such a row should be there again with the same content.
type Loss struct {
	Percent float64
	Seeds   int
	Convert func(path, out string, drop Drop) error
}

// Drop says of a packet whether to leave it out; nil: never.
type Drop func(p *flows.Packet) bool

// LossLine is what became of one table's rows.
type LossLine struct {
	Table                string
	Rows, Equal, Found   int // of all rows: found again with the same content, found at all
	Whole                int // wholly present rows
	WholeEqual, WholeHit int
	AfterGap             int // rows after damage that say so
}

// LostRow is a wholly present row that was not found with the same content.
type LostRow struct {
	Capture string
	Seed    int
	Table   string
	First   int64 // its first packet
	Last    int64
	Want    string
	Got     string   // what is there instead; empty: nothing
	Dropped []uint64 // packets of the flow that were left out
}

// tuple is a flow's, with its ends in order.
type tuple struct {
	a, b  string
	p, q  int32
	proto int32
}

func tupleOf(src, dst string, sport, dport, proto int32) tuple {
	if src > dst || src == dst && sport > dport {
		src, dst, sport, dport = dst, src, dport, sport
	}
	return tuple{src, dst, sport, dport, proto}
}

// lossRow is a row of any table.
type lossRow struct {
	table       string
	flow        int64
	at          tuple
	first, last int64
	content     string
	afterGap    bool
}

// Run measures over the captures of c.
func (l *Loss) Run(ctx context.Context, c *Corpus) ([]LossLine, []LostRow, error) {
	tmp, err := os.MkdirTemp("", "loss")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(tmp)
	lines := map[string]*LossLine{}
	var lost []LostRow
	for i := range c.Captures {
		k := &c.Captures[i]
		if k.Scope != InScope {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		out := filepath.Join(tmp, "out")
		if l.Convert(k.Path, out, nil) != nil {
			continue // what cannot be converted is another measurement's
		}
		rows, clean, err := lossRows(out)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", k.ID(), err)
		}
		rows = slices.DeleteFunc(rows, func(r lossRow) bool { return !clean[r.flow] })
		if len(rows) == 0 {
			continue
		}
		for seed := range l.Seeds {
			dropped := map[tuple][]uint64{}
			drop := func(p *flows.Packet) bool {
				if !l.drops(uint64(seed), p.Pos.Packet()) {
					return false
				}
				v6 := p.Flags&flows.IPv6 != 0
				sport, dport := p.SrcPort, p.DstPort
				if p.Flags&flows.HasPorts == 0 {
					sport, dport = 0, 0
				}
				t := tupleOf(string(schema.AppendAddr(nil, &p.Src, v6)), string(schema.AppendAddr(nil, &p.Dst, v6)), int32(sport), int32(dport), int32(p.Proto))
				dropped[t] = append(dropped[t], p.Pos.Packet())
				return true
			}
			if err := l.Convert(k.Path, out, drop); err != nil {
				return nil, nil, fmt.Errorf("%s with packets missing: %w", k.ID(), err)
			}
			left, _, err := lossRows(out)
			if err != nil {
				return nil, nil, err
			}
			lost = compareLoss(lines, lost, k.ID(), seed, rows, left, dropped)
		}
	}
	var out []LossLine
	for _, t := range []string{"flows", "http", "tls", "dns"} {
		if lines[t] != nil {
			out = append(out, *lines[t])
		}
	}
	return out, lost, nil
}

// drops says whether a packet is left out. It is a rule over its number, so that nothing else
// decides.
func (l *Loss) drops(seed, packet uint64) bool {
	x := packet*0x9e3779b97f4a7c15 + (seed+1)*0xbf58476d1ce4e5b9
	x ^= x >> 31
	x *= 0x94d049bb133111eb
	x ^= x >> 29
	return float64(x>>11)/(1<<53)*100 < l.Percent
}

func compareLoss(lines map[string]*LossLine, lost []LostRow, capture string, seed int, rows, left []lossRow, dropped map[tuple][]uint64) []LostRow {
	type place struct {
		table string
		at    tuple
	}
	index := map[place][]lossRow{}
	for _, r := range left {
		p := place{r.table, r.at}
		index[p] = append(index[p], r)
	}
	for _, r := range rows {
		line := lines[r.table]
		if line == nil {
			line = &LossLine{Table: r.table}
			lines[r.table] = line
		}
		whole := true
		for _, n := range dropped[r.at] {
			whole = whole && (int64(n) < r.first || int64(n) > r.last)
		}
		equal, hit, got := false, false, ""
		for _, c := range index[place{r.table, r.at}] {
			if c.first > r.last || c.last < r.first {
				continue
			}
			hit = true
			if got == "" || c.content == r.content {
				got = c.content
			}
			equal = equal || c.content == r.content
		}
		count := func(v *int, ok bool) {
			if ok {
				*v++
			}
		}
		line.Rows++
		count(&line.Equal, equal)
		count(&line.Found, hit)
		count(&line.Whole, whole)
		count(&line.WholeEqual, whole && equal)
		count(&line.WholeHit, whole && hit)
		if whole && !equal {
			lost = append(lost, LostRow{capture, seed, r.table, r.first, r.last, r.content, got, dropped[r.at]})
		}
	}
	for _, r := range left {
		if line := lines[r.table]; line != nil && r.afterGap {
			line.AfterGap++
		}
	}
	return lost
}

// lossRows reads the rows of a dataset, and which flows are without gaps.
func lossRows(out string) (rows []lossRow, clean map[int64]bool, err error) {
	clean = map[int64]bool{}
	at := map[int64]tuple{}
	flowRows, err := parquet.ReadFile[schema.Flow](filepath.Join(out, "flows", "part-00000.parquet"))
	if err != nil {
		return nil, nil, err
	}
	number := func(p *int64) int64 {
		if p == nil {
			return 0
		}
		return *p
	}
	port := func(p *int32) int32 {
		if p == nil {
			return 0
		}
		return *p
	}
	for i := range flowRows {
		f := &flowRows[i]
		clean[f.FlowID] = number(f.FlowSrc.Gaps)+number(f.FlowDst.Gaps) == 0
		at[f.FlowID] = tupleOf(f.SrcIP, f.DstIP, port(f.SrcPort), port(f.DstPort), f.IPProto)
		rows = append(rows, lossRow{"flows", f.FlowID, at[f.FlowID], f.FirstPacket, f.LastPacket,
			fmt.Sprint(f.State, f.History, f.FlowSrc.Packets, f.FlowDst.Packets, f.FlowSrc.PayloadBytes, f.FlowDst.PayloadBytes, f.AppProto), false})
	}
	httpRows, err := parquet.ReadFile[schema.HTTP](filepath.Join(out, "http", "part-00000.parquet"))
	if err != nil {
		return nil, nil, err
	}
	for i := range httpRows {
		r := &httpRows[i]
		rows = append(rows, lossRow{"http", r.FlowID, at[r.FlowID], r.FirstPacket, r.LastPacket,
			fmt.Sprintf("%v", []any{r.Outcome, r.Method, r.Host, r.Target, port(r.Status), r.UserAgent, r.ResponseContentType, number(r.RequestBodyBytes), number(r.ResponseBodyBytes)}), r.AfterGap})
	}
	tlsRows, err := parquet.ReadFile[schema.TLS](filepath.Join(out, "tls", "part-00000.parquet"))
	if err != nil {
		return nil, nil, err
	}
	for i := range tlsRows {
		r := &tlsRows[i]
		rows = append(rows, lossRow{"tls", r.FlowID, at[r.FlowID], r.FirstPacket, r.LastPacket,
			fmt.Sprintf("%v", []any{r.Outcome, r.SNI, r.Version, r.Cipher, r.JA3, r.JA3S, r.JA4, r.CertFingerprints}), r.AfterGap})
	}
	dnsRows, err := parquet.ReadFile[schema.DNS](filepath.Join(out, "dns", "part-00000.parquet"))
	if err != nil {
		return nil, nil, err
	}
	for i := range dnsRows {
		r := &dnsRows[i]
		rows = append(rows, lossRow{"dns", r.FlowID, at[r.FlowID], r.FirstPacket, r.LastPacket,
			fmt.Sprintf("%v", []any{r.Outcome, port(r.ID), r.QName, r.QType, r.Rcode, len(r.Answers)}), r.AfterGap != nil && *r.AfterGap})
	}
	return rows, clean, nil
}

// PrintLoss writes the measurement for people; with verbose, the wholly present rows that were lost.
func PrintLoss(w io.Writer, lines []LossLine, lost []LostRow, verbose bool) error {
	share := func(n, of int) string {
		if of == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f %%", 100*float64(n)/float64(of))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "table\trows\tequal\tfound\twholly present\tequal\tfound\tafter_gap\t")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%s\t%s\t%d\t\n", l.Table, l.Rows, share(l.Equal, l.Rows), share(l.Found, l.Rows),
			l.Whole, share(l.WholeEqual, l.Whole), share(l.WholeHit, l.Whole), l.AfterGap)
	}
	if err := t.Flush(); err != nil || !verbose {
		return err
	}
	sort.SliceStable(lost, func(i, j int) bool { return lost[i].Table < lost[j].Table })
	for _, r := range lost {
		if _, err := fmt.Fprintf(w, "\n%s %s seed %d, packets %d to %d, without %v\n  want %s\n  got  %s\n",
			r.Table, r.Capture, r.Seed, r.First, r.Last, r.Dropped, r.Want, r.Got); err != nil {
			return err
		}
	}
	return nil
}
