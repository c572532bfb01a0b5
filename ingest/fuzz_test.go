package ingest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// Whatever the bytes, a run ends, the ledger adds up, and the result is
// the same with blocks of another size, reads of another size and more workers.
func FuzzRun(f *testing.F) {
	le, be := binary.LittleEndian, binary.BigEndian
	few := mixedPackets()[:5]
	first, last := fragmentFrames(1)
	f.Add(pcapFile(le, pcapMagicMicro, few...))
	f.Add(pcapFile(be, pcapMagicNano, packetSpec{data: first}, packetSpec{data: last}))
	s4 := snap(0x0800, ip4(17, udp(false, []byte(hello))))
	f.Add(pcapRecord(le, pcapHeader(le, pcapMagicMicro, 4, 65535, linkWLAN), packetSpec{data: amsdu(s4, s4, s4)}))
	f.Add(mixedNG(le)[:2000])
	f.Add(mixedNG(be)[:2000])
	f.Add(append(append(ngSection(be), ngIDB(be, 1, 9, ngOption(be, nil, ngOptionTSResol, []byte{0xff}))...), ngSPB(be, few[0])...))
	f.Add(gzipped(f, pcapFile(le, pcapMagicMicro, few...)))
	f.Add(zstandard(f, mixedNG(le)))
	for _, v := range []pcapFlavour{
		{magic: pcapMagicModified, minor: 4, link: 1, inRecord: 8},
		{magic: pcapMagicModified, minor: 4, link: 1, inRecord: 12},
		{magic: pcapMagicMicro, minor: 4, link: 1, inRecord: 4},
		{magic: pcapMagicIxiaHW, minor: 4, link: 1, afterHeader: 4},
		{magic: pcapMagicMicro, minor: 2, link: 6, swapped: true},
	} {
		f.Add(v.file(le, few...))
		f.Add(v.file(be, few...))
	}
	f.Add(snoopFile(4, few...))
	var erf []byte
	for i, p := range few {
		erf = erfRecord(erf, erfEthernet, 4, 1, uint64(1_700_000_000+i)<<32, len(p.data), append([]byte{0, 0}, p.data...), uint64(i))
	}
	f.Add(erf)
	f.Add(append(append(ngSection(le), ngIDB(le, 1, 0, nil)...), ngBlock(le, ngStatistics, append(make([]byte, 12), ngOption(le, nil, ngOptionIfDropped, le.AppendUint64(nil, 7))...))...))
	for _, b := range [][]byte{lz4ed(f, erf), xzed(f, xz.CRC64, erf), bzip2ed(f)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		run := func(cfg Config, workers int, shape func(io.Reader) io.Reader) result {
			p := &Plan{Inputs: []Input{{Name: "x", Size: int64(len(data)), open: func() (io.ReadCloser, error) {
				return io.NopCloser(shape(bytes.NewReader(data))), nil
			}}}}
			r, err := tryReadAll(p, cfg, workers)
			if err != nil {
				t.Fatal(err)
			}
			if c := r.captures[0]; c.Packets != uint64(len(r.packets)) || c.Damaged() != (c.Err != "") || c.Damaged() && (c.ErrPacket != c.Packets+1 || c.ErrOffset < 0) {
				t.Fatalf("ledger %+v", c)
			}
			r.cuts, r.epochs, r.maxTimes = nil, nil, nil
			for i := range r.packets {
				r.packets[i].offset = 0
			}
			return r
		}
		small := Config{MaxRecordBytes: 1 << 16}
		a := run(small, 1, shapes["whole"])
		small.BlockBytes, small.MaxBlocks, small.EpochPackets = 100, 3, 2
		if b := run(small, 2, shapes["half"]); !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v\n%+v", a, b)
		}
	})
}

// Planning looks at the beginning of anything.
func FuzzPlan(f *testing.F) {
	f.Add(pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()[:2]...))
	f.Add(gzipped(f, mixedNG(binary.BigEndian)))
	f.Add(zstandard(f, mixedNG(binary.LittleEndian)))
	f.Add(tarred(f, tar.FormatPAX, file{"a.pcap", at(1)}, file{"b", nil}))
	f.Add(zipped(f, zip.Deflate, file{"a.pcap", at(1)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := NewPlan(context.Background(), Config{}, []string{"-"}, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if len(p.Inputs) != 1 || p.Inputs[0].member != nil {
			for _, in := range p.Inputs { // of an archive, or no capture of one
				if !strings.HasPrefix(in.Name, "-/") && in.fault == nil {
					t.Fatalf("input %q", in.Name)
				}
			}
			return
		}
		in := p.Inputs[0]
		r := readAll(t, p, Config{NoHash: true})
		first := int64(0)
		timed := false
		for _, s := range r.packets {
			if s.flags&NoTime == 0 {
				first, timed = s.time, true
				break
			}
		}
		if in.HasTime != timed || in.FirstTime != first {
			t.Fatalf("planned %v %d, read %v %d", in.HasTime, in.FirstTime, timed, first)
		}
	})
}
