package ingest

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/caplake/caplake/flows"
)

// BenchmarkLayerDecode is a TCP segment's headers made a flows.Packet, hash included. See the benchmarks of package flows.
func BenchmarkLayerDecode(b *testing.B) {
	data := cat(eth(0x0800, ip4(6, cat(be16(1000), be16(80), make([]byte, 8), []byte{0x50, 0x10}, make([]byte, 6), make([]byte, 1000)))))
	r := Record{CapLen: uint32(len(data)), OrigLen: uint32(len(data))}
	var (
		d      Decoder
		p      flows.Packet
		encaps []flows.Encap
	)
	b.ReportAllocs()
	for b.Loop() {
		p = flows.Packet{WireLen: r.OrigLen}
		if d.Decode(1, data, r, &p, &encaps) != OutcomeFlow || p.DstPort != 80 {
			b.Fatal("no segment")
		}
	}
	b.ReportMetric(115, "published-ns")
}

// BenchmarkDecode decodes the packets of the little-endian pcap file that
// CAPLAKE_BENCH names, from memory.
func BenchmarkDecode(b *testing.B) {
	name := os.Getenv("CAPLAKE_BENCH")
	if name == "" {
		b.Skip("CAPLAKE_BENCH names no capture")
	}
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	var records []Record
	for o := 24; o+16 <= len(data); {
		h := data[o:]
		r := Record{Offset: uint32(o + 16), CapLen: binary.LittleEndian.Uint32(h[8:]), OrigLen: binary.LittleEndian.Uint32(h[12:])}
		if o += 16 + int(r.CapLen); o > len(data) {
			break
		}
		records = append(records, r)
	}
	for _, bench := range []struct {
		name string
		d    Decoder
	}{{"plain", Decoder{}}, {"checksums", Decoder{Checksums: true}}} {
		b.Run(bench.name, func(b *testing.B) {
			d := &bench.d
			packets := make([]flows.Packet, 4096)
			var encaps []flows.Encap
			n := 0
			for b.Loop() {
				for i := range records {
					p := &packets[i%len(packets)]
					*p = flows.Packet{Link: records[i].Offset, WireLen: records[i].OrigLen}
					if d.Decode(1, data, records[i], p, &encaps) == OutcomeFlow {
						n++
					}
				}
				encaps = encaps[:0]
			}
			if n == 0 {
				b.Fatal("no packet of a flow")
			}
			b.SetBytes(int64(len(data)))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/packet")
		})
	}
}
