package tabulate_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/ingest"
	"github.com/caplake/caplake/parsers"
	"github.com/caplake/caplake/schema"
	"github.com/caplake/caplake/schema/tabulate"
	"github.com/caplake/caplake/writers"
)

// The rows of all tables, in memory.
func ExampleBatches() {
	for batch, err := range tabulate.Batches(ingest.Packets("../../testdata/captures/http-keepalive.pcap"), tabulate.Config{}) {
		if err != nil {
			log.Fatal(err)
		}
		for _, row := range batch.Flows {
			fmt.Println("flow", row.SrcIP, row.AppProto, row.HTTPRows)
		}
		fmt.Println("exchanges", len(batch.HTTP))
	}
	// Output:
	// flow 10.77.0.1 http 9
	// flow 10.77.0.1 http 3
	// exchanges 12
}

// banner is a message of a protocol of your own: what each side says first.
type banner struct {
	side flows.Side
	at   flows.Stamp
	text []byte
}

// banners is its parser.
type banners struct {
	parsers.Defaults[banner]
	begun [2][]byte
	told  [2]bool
}

func (p *banners) Feed(dst []banner, side flows.Side, at flows.Stamp, data []byte) []banner {
	if p.told[side] {
		return dst
	}
	b := append(p.begun[side], data[:min(len(data), 40-len(p.begun[side]))]...) // data is lent
	text, _, ended := bytes.Cut(b, []byte("\r\n"))
	p.begun[side], p.told[side] = b, ended || len(b) == 40
	if !p.told[side] {
		return dst
	}
	return append(dst, banner{side, at, text})
}

func (p *banners) Done() bool { return p.told[0] && p.told[1] }
func (p *banners) Reset()     { *p = banners{} }

// Banner is a row of its table.
type Banner struct {
	FlowID int64  `parquet:"flow_id" id:"1" doc:"flow that it is of (table flows)"`
	TS     int64  `parquet:"ts,timestamp(nanosecond:local)" id:"2" doc:"time of its packet"`
	SrcIP  string `parquet:"src_ip,dict" id:"3" doc:"address of the flow's initiator"`
	Side   string `parquet:"side,dict" id:"4" doc:"initiator or responder"`
	Text   string `parquet:"text,optional" id:"5" doc:"first line, up to 40 bytes"`
}

func appendBanner(dst []Banner, m *banner, s *schema.Session, a *schema.Arena) []Banner {
	return append(dst, Banner{s.FlowID, m.at.Time, s.SrcIP, m.side.String(), a.String(m.text)})
}

// A protocol of your own fills a table of its own, next to the shipped ones, in one pass over
// one flow table; and all of them are Arrow record batches.
func Example_ownTable() {
	mine := parsers.Protocol[banner]{
		Name:   "banners",
		Stream: func() parsers.SessionParser[banner] { return new(banners) },
		Probe: parsers.ByPayload(func(data []byte, _ flows.Side) parsers.Verdict {
			if bytes.HasPrefix(data, []byte("HELO ")) || bytes.HasPrefix(data, []byte("220 ")) {
				return parsers.Yes
			}
			return parsers.No
		}),
	}
	cfg := tabulate.Config{Own: []schema.OwnTable{schema.TableOf(mine, appendBanner, "One row per side of a flow that says hello.")}}

	all, err := tabulate.All(greeting(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	for _, row := range tabulate.Rows[Banner](all, "banners") {
		fmt.Printf("%s %q\n", row.Side, row.Text)
	}
	for record, err := range writers.Records(tabulate.Batches(greeting(), cfg)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(record.NumRows(), "rows of", record.Table)
	}
	// Output:
	// initiator "220 mail.example.test"
	// responder "HELO me.example.test"
	// 1 rows of flows
	// 2 rows of banners
}

// greeting is packets of your own: here an exchange without its handshake, as frames of raw IP.
func greeting() flows.Source {
	segment := func(src, dst byte, srcPort, dstPort uint16, seq byte, text string) []byte {
		n := 40 + len(text)
		b := []byte{0x45, 0, 0, byte(n), 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, src, 10, 0, 0, dst,
			byte(srcPort >> 8), byte(srcPort), byte(dstPort >> 8), byte(dstPort), 0, 0, 0, seq, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0}
		return append(b, text...)
	}
	const raw = 101 // LINKTYPE_RAW
	return ingest.Decode(ingest.Config{}, ingest.Frames(
		ingest.Frame{Time: 1e9, Link: raw, Data: segment(2, 1, 25, 1000, 1, "220 mail.example.test\r\n")},
		ingest.Frame{Time: 2e9, Link: raw, Data: segment(1, 2, 1000, 25, 1, "HELO me.example.test\r\n")},
	))
}
