package ingest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

func lz4ed(t testing.TB, frames ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, f := range frames {
		w := lz4.NewWriter(&b)
		if _, err := w.Write(f); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func xzed(t testing.TB, check byte, streams ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, s := range streams {
		w, err := xz.WriterConfig{CheckSum: check, BlockSize: 5000, DictCap: 1 << 16}.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(s); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// bzip2ed is a pcap file of two packets, by the reference program's library.
func bzip2ed(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString("425a6839314159265359be63b289000026c01effc120001000080004000000a0005453000024846400e0c15898323225cf42114c82c6dc5436ee39a39df4cef0bb9229c28485f31d9448")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Any number of members, frames and streams; what follows them is left, with a
// warning; what is damaged is damage.
func TestCompressions(t *testing.T) {
	data := pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...)
	half := len(data) / 2
	a, b := data[:half], data[half:]
	n := len(mixedPackets())
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0}, "hello"...)
	bz := bzip2ed(t)
	for name, c := range map[string]struct {
		compression string
		data        []byte
		packets     int
	}{
		"gzip":             {"gzip", gzipped(t, a, nil, b), n},
		"zstd":             {"zstd", cat(skippable, zstandard(t, a), skippable, zstandard(t, b)), n},
		"lz4":              {"lz4", cat(lz4ed(t, a, nil, b), skippable), n},
		"xz crc64":         {"xz", xzed(t, xz.CRC64, a, nil, b), n},
		"xz crc32":         {"xz", xzed(t, xz.CRC32, data), n},
		"xz sha256":        {"xz", xzed(t, xz.SHA256, data), n},
		"xz with padding":  {"xz", cat(xzed(t, xz.CRC64, a), make([]byte, 8), xzed(t, xz.CRC64, b), make([]byte, 4)), n},
		"bzip2":            {"bzip2", bz, 2},
		"bzip2, two":       {"bzip2", cat(bz, bz), 4}, // a second file header is no record
		"bzip2 and others": {"bzip2", cat(bz, []byte("xx")), 2},
	} {
		for what, tail := range map[string][]byte{"": nil, "text": []byte("some text that is long enough"), "zeros": make([]byte, 1026)} {
			stored := cat(c.data, tail)
			for _, cfg := range []Config{{}, {BlockBytes: 256, MaxBlocks: 2, ReadAhead: -1}} {
				r := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"x": stored})), cfg)
				l := r.captures[0]
				if len(r.packets) != c.packets || l.Compression != c.compression || l.SHA256 != hashOf(stored) {
					t.Errorf("%s %s: %d packets, %+v", name, what, len(r.packets), l)
					continue
				}
				if strings.HasPrefix(name, "bzip2,") {
					continue
				}
				want := what != "" || name == "bzip2 and others"
				if l.Damaged() || (l.Warning != "") != want {
					t.Errorf("%s %s: %q %q", name, what, l.Err, l.Warning)
				}
			}
		}
		// Every byte that is changed or missing is noticed, or does no harm.
		for i := 0; i < len(c.data); i += 1 + len(c.data)/60 {
			for _, damaged := range [][]byte{c.data[:i], cat(c.data[:i], []byte{c.data[i] ^ 0x41}, c.data[i+1:])} {
				p := &Plan{Inputs: []Input{{Name: "x", Size: int64(len(damaged)), open: func() (io.ReadCloser, error) {
					return io.NopCloser(bytes.NewReader(damaged)), nil
				}}}}
				r := readAll(t, p, Config{})
				if l := r.captures[0]; len(r.packets) < c.packets && l.Err == "" && l.Warning == "" {
					t.Errorf("%s, byte %d of %d: %d packets, and not a word", name, i, len(c.data), len(r.packets))
				}
			}
		}
	}
}

// A dictionary that nobody needs is refused before it is made.
func TestXZDictionaryIsBounded(t *testing.T) {
	stored := xzed(t, xz.CRC64, at(1))
	// 12 bytes of stream header; size, flags, filter, properties' size, dictionary.
	h := stored[12:]
	h[4] = 40
	n := (int(h[0])+1)*4 - 4
	binary.LittleEndian.PutUint32(h[n:], crc32.ChecksumIEEE(h[:n]))
	l := readAll(t, planOf(t, writeFiles(t, map[string][]byte{"x.pcap.xz": stored})), Config{}).captures[0]
	if l.ErrKind != DamageCompression || !strings.Contains(l.Err, "dictionary of 4294967295 bytes") {
		t.Errorf("%+v", l)
	}
}

type file struct {
	name string
	data []byte
}

func tarred(t testing.TB, format tar.Format, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o644, Format: format}
		if strings.HasSuffix(f.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, method uint16, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		m, err := w.CreateHeader(&zip.FileHeader{Name: f.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The captures of an archive give what they give in a directory, in the order of their
// packets, whatever theirs in the archive.
func TestArchives(t *testing.T) {
	files := []file{
		{"late.pcap", at(50)},
		{"sub/", nil},
		{"sub/early.pcap.gz", gzipped(t, at(10))},
		{"README", []byte("no capture")},
		{"sub/middle", pcapFile(binary.BigEndian, pcapMagicMicro, packetSpec{sec: 30, data: udpFrame(1, 9)}, packetSpec{sec: 31, data: udpFrame(1, 3000)})},
		{"empty.pcap", nil},
		{"inner.tar", tarred(t, tar.FormatUSTAR, file{"a", at(1)})},
		{"../../leads/out", at(20)},
		{"big.zst", zstandard(t, pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...))},
		{"cut.pcap", at(40)[:60]},
	}
	names := []string{"cut.pcap", "empty.pcap", "sub/early.pcap.gz", "leads/out", "sub/middle", "late.pcap", "big.zst"}
	plain := map[string][]byte{}
	for _, f := range files {
		if !strings.HasSuffix(f.name, "/") && f.name != "inner.tar" { // which in a directory is one more
			plain[strings.ReplaceAll(f.name, "../", "")] = f.data
		}
	}
	want := readAll(t, planOf(t, writeFiles(t, plain)), Config{})
	for archive, data := range map[string][]byte{
		"a.tar":       tarred(t, tar.FormatUSTAR, files...),
		"gnu.tar":     tarred(t, tar.FormatGNU, files...),
		"pax.tar":     tarred(t, tar.FormatPAX, files...),
		"a.tar.gz":    gzipped(t, tarred(t, tar.FormatPAX, files...)),
		"a.tar.zst":   zstandard(t, tarred(t, tar.FormatGNU, files...)),
		"a.tar.lz4":   lz4ed(t, tarred(t, tar.FormatGNU, files...)),
		"a.tar.xz":    xzed(t, xz.CRC32, tarred(t, tar.FormatGNU, files...)),
		"store.zip":   zipped(t, zip.Store, files...),
		"deflate.zip": zipped(t, zip.Deflate, files...),
	} {
		dir := writeFiles(t, map[string][]byte{archive: data})
		for _, arg := range []string{dir, filepath.Join(dir, archive)} {
			for _, ahead := range []int{-1, 1, 5} {
				for _, workers := range []int{1, 2} {
					p := planOf(t, arg)
					if skipped := []string{archive + "/README", archive + "/inner.tar"}; !reflect.DeepEqual(p.Skipped, skipped) {
						t.Errorf("%s: skipped %q", archive, p.Skipped)
					}
					for range 2 { // a plan can be run again
						got, err := tryReadAll(p, Config{ReadAhead: ahead}, workers)
						if err != nil {
							t.Fatal(err)
						}
						if len(got.captures) != len(names) {
							t.Fatalf("%s: %d captures", archive, len(got.captures))
						}
						for i := range got.captures {
							c := &got.captures[i]
							if c.Name != archive+"/"+names[i] {
								t.Errorf("%s: input %d is %s, want %s", archive, i+1, c.Name, names[i])
							}
							c.Err = strings.TrimPrefix(c.Err, archive+"/")
							c.Name = strings.TrimPrefix(c.Name, archive+"/")
						}
						if !reflect.DeepEqual(got, want) {
							for i := range want.captures {
								if !reflect.DeepEqual(got.captures[i], want.captures[i]) {
									t.Errorf("%+v\nwant %+v", got.captures[i], want.captures[i])
								}
							}
							t.Fatalf("%s, %d workers, %d ahead: differs from the directory", archive, workers, ahead)
						}
					}
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
}

// What can be read of a damaged archive is, and the archive itself is in the
// ledger.
func TestDamagedArchives(t *testing.T) {
	files := []file{{"a.pcap", at(1)}, {"b.pcap", at(2)}, {"c.pcap", at(3)}}
	plain := tarred(t, tar.FormatUSTAR, files...)
	z := zipped(t, zip.Deflate, files...)
	encrypted := bytes.Clone(z)
	for _, magic := range []string{"PK\x03\x04", "PK\x01\x02"} {
		i := bytes.Index(encrypted, []byte(magic))
		encrypted[i+6+2*(strings.Index("\x03\x01", magic[2:3]))] |= 1
	}
	crc := bytes.Clone(z)
	crc[bytes.Index(crc, []byte("PK\x01\x02"))+16] ^= 1
	header := bytes.Clone(plain)
	header[1024+0] ^= 1 // the name of the second: its checksum is wrong
	gz := gzipped(t, plain)
	for name, c := range map[string]struct {
		data    []byte
		packets []uint64 // of each input
		damaged []DamageKind
	}{
		"tar cut":      {plain[:1024+512+30], []uint64{0, 0, 1}, []DamageKind{DamageTruncated, DamageTruncated, ""}},
		"tar header":   {header, []uint64{0, 1}, []DamageKind{DamageMalformed, ""}},
		"tar.gz cut":   {gz[:len(gz)-len(gz)/3], nil, nil},
		"zip cut":      {z[:len(z)-30], []uint64{0}, []DamageKind{DamageMalformed}},
		"zip locked":   {encrypted, []uint64{0, 1, 1}, []DamageKind{DamageCompression, "", ""}},
		"zip checksum": {crc, []uint64{1, 1, 1}, []DamageKind{DamageCompression, "", ""}},
	} {
		for _, named := range []bool{true, false} {
			dir := writeFiles(t, map[string][]byte{"x": c.data})
			if named {
				dir = filepath.Join(dir, "x")
			}
			r := readAll(t, planOf(t, dir), Config{})
			if c.packets == nil {
				if len(r.captures) == 0 || !r.captures[0].Damaged() {
					t.Errorf("%s: %+v", name, r.captures)
				}
				continue
			}
			if len(r.captures) != len(c.packets) {
				t.Errorf("%s: %d captures: %+v", name, len(r.captures), r.captures)
				continue
			}
			for i, l := range r.captures {
				if l.Packets != c.packets[i] || l.ErrKind != c.damaged[i] {
					t.Errorf("%s: %s: %d packets, %q %s", name, l.Name, l.Packets, l.ErrKind, l.Err)
				}
			}
		}
	}
}

// Files of nothing are in the ledger where a capture was to be.
func TestEmptyFiles(t *testing.T) {
	dir := writeFiles(t, map[string][]byte{"a.pcap": nil, "b.PCAPNG.gz": nil, "c.cap": []byte("text"), "notes": nil, "d.erf": {0}})
	p := planOf(t, dir)
	if want := []string{"a.pcap", "b.PCAPNG.gz", "c.cap", "d.erf"}; !reflect.DeepEqual(names(p), want) || !reflect.DeepEqual(p.Skipped, []string{"notes"}) {
		t.Fatalf("inputs %q, skipped %q", names(p), p.Skipped)
	}
	for _, c := range readAll(t, p, Config{}).captures {
		if c.ErrKind != DamageNotCapture || c.Packets != 0 || c.SHA256 == "" || c.ErrPacket != 1 {
			t.Errorf("%+v", c)
		}
	}
}

func TestFIFO(t *testing.T) {
	data := pcapFile(binary.LittleEndian, pcapMagicMicro, mixedPackets()...)
	for name, stored := range map[string][]byte{"plain": data, "xz": xzed(t, xz.CRC64, data)} {
		path := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skip(err)
		}
		want := hashOf(stored)
		go func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return
			}
			defer f.Close()
			for len(stored) > 0 {
				n := min(1000, len(stored))
				f.Write(stored[:n])
				stored = stored[n:]
			}
		}()
		p := planOf(t, path)
		r := readAll(t, p, Config{})
		if len(r.packets) != len(mixedPackets()) || r.captures[0].SHA256 != want || r.captures[0].Name != "pipe" {
			t.Errorf("%s: %d packets, %+v", name, len(r.packets), r.captures[0])
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}

	// One that nobody writes to holds nothing up for ever.
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := NewPlan(ctx, Config{}, []string{path}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil { // lets the reader go
		f.Close()
	}
}

// Many inputs of all kinds, read ahead or not, give the same batches.
func TestReadAhead(t *testing.T) {
	var le appender = binary.LittleEndian
	files := map[string][]byte{}
	for i := range 40 {
		var s []packetSpec
		for k := range 50 {
			s = append(s, packetSpec{sec: uint32(1000*(i*7%40) + k), data: udpFrame(byte(i), 40*k)})
		}
		data := pcapFile(le, pcapMagicMicro, s...)
		stored := data
		switch i % 4 {
		case 1:
			stored = gzipped(t, data)
		case 2:
			stored = zstandard(t, data)
		case 3:
			stored = lz4ed(t, data)
		}
		files["f"+string(rune('A'+i))] = stored
	}
	dir := writeFiles(t, files)
	base := Config{BlockBytes: 4096, MaxBlocks: 3, EpochPackets: 77}
	base.ReadAhead, base.ReadAheadBytes = -1, -1
	want := readAll(t, planOf(t, dir), base)
	if len(want.packets) != 2000 {
		t.Fatalf("%d packets", len(want.packets))
	}
	for _, c := range []Config{{}, {ReadAhead: 100, ReadAheadBytes: 1 << 20}, {ReadAhead: 2, ReadAheadBytes: -1}} {
		c.BlockBytes, c.MaxBlocks, c.EpochPackets = base.BlockBytes, base.MaxBlocks, base.EpochPackets
		for _, workers := range []int{1, 3} {
			got, err := tryReadAll(planOf(t, dir), c, workers)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, %d workers: differs; %v", c, workers, err)
			}
		}
	}
}

// However far decompression gets ahead, it takes no more chunks than there
// are, and gives all of them back.
func TestPumpIsBounded(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 64*pumpChunk/16)
	store := newChunkStore(5)
	taken := func() int { return cap(store.free) - len(store.free) }
	ctx := context.Background()
	first := newPump(ctx, bytes.NewReader(data), store, func() {})
	first.begin()
	second := newPump(ctx, bytes.NewReader(data), store, func() {})
	for deadline := time.Now().Add(5 * time.Second); taken() < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d chunks were taken", taken())
		}
	}
	if n := len(second.full); n > pumpChunks+5 {
		t.Errorf("%d chunks are full", n)
	}
	second.begin()
	buf := make([]byte, len(data))
	if n, err := second.fill(ctx, buf); n != len(data) || err != nil || !bytes.Equal(buf, data) {
		t.Errorf("read %d of %d, %v", n, len(data), err)
	}
	second.finish(ctx)
	first.finish(ctx)
	if taken() > 0 {
		t.Errorf("%d chunks were not given back", taken())
	}
}

func FuzzArchive(f *testing.F) {
	files := []file{{"a.pcap", at(1)}, {"b.gz", gzipped(f, at(2))}, {"c", []byte("no")}}
	f.Add(tarred(f, tar.FormatPAX, files...))
	f.Add(gzipped(f, tarred(f, tar.FormatGNU, files...)))
	f.Add(zipped(f, zip.Deflate, files...))
	f.Add(zipped(f, zip.Store, files...))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "x")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		p := planOf(t, path)
		for _, in := range p.Inputs {
			if !filepath.IsLocal(in.Name) {
				t.Errorf("name %q", in.Name)
			}
		}
		a := readAll(t, p, Config{ReadAhead: -1})
		b, err := tryReadAll(p, Config{}, 2)
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%v\n%+v\n%+v", err, a.captures, b.captures)
		}
	})
}

// FuzzDecompress holds the readers of compressed data to reading the same at
// once and in pieces, and the xz container to what another reader of it says.
func FuzzDecompress(f *testing.F) {
	data := at(1)
	for _, b := range [][]byte{gzipped(f, data), zstandard(f, data), lz4ed(f, data), xzed(f, xz.CRC64, data), xzed(f, xz.SHA256, data, nil), bzip2ed(f)} {
		f.Add(b)
		f.Add(cat(b, []byte("more")))
		f.Add(cat(b, b))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := compressionOf(data)
		if c == compressionNone {
			return
		}
		const most = 1 << 20
		read := func(shape func(io.Reader) io.Reader) ([]byte, error, bool) {
			d := &decompressor{compression: c, raw: markedReader{shape(bytes.NewReader(data))}}
			defer d.close()
			b, err := io.ReadAll(io.LimitReader(d, most))
			return b, err, d.trailing
		}
		whole, err, trailing := read(shapes["whole"])
		pieces, err2, trailing2 := read(shapes["half"])
		if !bytes.Equal(whole, pieces) || (err == nil) != (err2 == nil) || trailing != trailing2 {
			t.Fatalf("%d bytes, %v, %v; in pieces %d, %v, %v", len(whole), err, trailing, len(pieces), err2, trailing2)
		}
		if c == compressionXZ && err == nil && !trailing && len(whole) < most {
			r, err := xz.NewReader(bytes.NewReader(data))
			if err == nil {
				var b []byte
				if b, err = io.ReadAll(r); err == nil && !bytes.Equal(b, whole) {
					t.Fatal("the container is read differently")
				}
			}
		}
	})
}

// gzip's own reader agrees on several members.
func TestGzipMembersAgree(t *testing.T) {
	stored := gzipped(t, []byte("a"), nil, []byte("b"))
	z, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(&decompressor{compression: compressionGzip, raw: bytes.NewReader(stored)}); err != nil || string(got) != string(want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// An archive on standard input or a pipe is read like any other, and its copy
// is gone with the plan.
func TestArchiveReadOnce(t *testing.T) {
	files := []file{{"late.pcap", at(9)}, {"sub/early.pcap.gz", gzipped(t, at(1))}, {"notes.txt", []byte("no capture")}, {"cut.pcap", at(5)[:60]}}
	for name, data := range map[string][]byte{
		"tar": tarred(t, tar.FormatUSTAR, files...), "tar.gz": gzipped(t, tarred(t, tar.FormatUSTAR, files...)), "tar.zst": zstandard(t, tarred(t, tar.FormatUSTAR, files...)), "zip": zipped(t, zip.Deflate, files...),
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			p, err := NewPlan(context.Background(), Config{}, []string{"-"}, iotest.HalfReader(bytes.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{"-/sub/early.pcap.gz", "-/cut.pcap", "-/late.pcap"}; !slices.Equal(slices.Sorted(slices.Values(names(p))), slices.Sorted(slices.Values(want))) {
				t.Errorf("inputs %q", names(p))
			}
			if want := []string{"-/notes.txt"}; !slices.Equal(p.Skipped, want) {
				t.Errorf("skipped %q", p.Skipped)
			}
			for range 2 { // a plan can be run again
				r := readAll(t, p, Config{})
				if len(r.packets) != 2 {
					t.Errorf("%d packets", len(r.packets))
				}
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if left, _ := os.ReadDir(tmp); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		data := tarred(t, tar.FormatUSTAR, files...)
		ctx, cancel := context.WithCancel(context.Background())
		r := io.MultiReader(bytes.NewReader(data[:4096]), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, io.EOF
		}))
		if _, err := NewPlan(ctx, Config{}, []string{"-"}, r); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			left, _ := os.ReadDir(tmp)
			if len(left) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("left: %v", left)
			}
		}
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
