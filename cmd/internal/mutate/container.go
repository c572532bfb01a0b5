package mutate

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"math"

	"github.com/klauspost/compress/zstd"
)

// containers are other files of the same packets.
func containers() []Relation {
	in := func(name, doc string, file func(p []Packet) []byte) Relation {
		return Relation{name, doc, func(in Input) *Case {
			b := file(in.Packets)
			if b == nil {
				return nil
			}
			return &Case{Files: [][]byte{b}, Expect: func(want, got Tables) {
				Tables.Forget(want, "error_offset")
				Tables.Forget(got, "error_offset")
			}}
		}}
	}
	fits := func(f func(p []Packet) []byte) func(p []Packet) []byte {
		return func(p []Packet) []byte {
			if !fitsPCAP(p) {
				return nil
			}
			return f(p)
		}
	}
	return []Relation{
		in("pcap-big", "a pcap in the other byte order: nothing changes", fits(func(p []Packet) []byte { return pcap(p, binary.BigEndian, 1) })),
		in("pcap-us", "a pcap of microseconds, where the times allow it: nothing changes", fits(func(p []Packet) []byte {
			for i := range p {
				if p[i].Time%1000 != 0 {
					return nil
				}
			}
			return pcap(p, binary.LittleEndian, 1000)
		})),
		in("pcapng", "a plain pcapng: nothing changes", func(p []Packet) []byte { return pcapng{}.file(p) }),
		in("pcapng-many", "a pcapng of five sections in turning byte orders, three interfaces a link type, of different resolutions, with options and blocks of no meaning: nothing changes",
			func(p []Packet) []byte {
				for i := range p {
					if d := p[i].Time - p[0].Time; d < -2<<56 || d > 2<<56 { // four years: 64 bits have no more of the finest ticks
						return nil
					}
				}
				return pcapng{5, 3, true}.file(p)
			}),
		in("erf", "an erf file of Ethernet frames: nothing changes. The format has no mark to be told by, so that times must be credible", func(p []Packet) []byte {
			var b []byte
			for i := range p {
				if d := p[i].Time - p[0].Time; d < -86400e9 || d > 30*86400e9 || p[i].Time < 1e18 || p[i].Link != 1 || p[i].Orig > math.MaxUint16 || len(p[i].Data) > math.MaxUint16-20 || p[i].Time/1e9 > math.MaxUint32 || len(p[i].Data) == 0 || p[i].Orig < len(p[i].Data) {
					return nil
				}
				le, be := binary.LittleEndian, binary.BigEndian
				fraction := (uint64(p[i].Time%1e9)<<32 + 999_999_999) / 1e9
				b = le.AppendUint64(b, uint64(p[i].Time/1e9)<<32|fraction)
				b = append(b, 2, 4) // Ethernet; records differ in length
				b = be.AppendUint16(b, uint16(18+len(p[i].Data)))
				b = append(b, 0, 0)
				b = be.AppendUint16(b, uint16(p[i].Orig))
				b = append(b, 0, 0)
				b = append(b, p[i].Data...)
			}
			return b
		}),
		in("gzip", "the file in two members of gzip: nothing changes", func(p []Packet) []byte {
			f := plain(p)
			var b bytes.Buffer
			for _, part := range [][]byte{f[:len(f)/2], f[len(f)/2:]} {
				z := gzip.NewWriter(&b)
				z.Write(part)
				z.Close()
			}
			return b.Bytes()
		}),
		in("zstd", "the file in zstd: nothing changes", func(p []Packet) []byte {
			var b bytes.Buffer
			z, err := zstd.NewWriter(&b)
			if err != nil {
				panic(err)
			}
			z.Write(plain(p))
			z.Close()
			return b.Bytes()
		}),
	}
}
