package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func pcapHeader(o binary.ByteOrder, magic, link uint32) []byte {
	b := make([]byte, 24)
	o.PutUint32(b, magic)
	o.PutUint32(b[20:], link)
	return b
}

// block makes a pcapng block.
func block(o binary.ByteOrder, typ uint32, body []byte) []byte {
	b := make([]byte, 8, 12+len(body))
	n := uint32(12 + len(body))
	o.PutUint32(b, typ)
	o.PutUint32(b[4:], n)
	b = append(b, body...)
	b = append(b, 0, 0, 0, 0)
	o.PutUint32(b[len(b)-4:], n)
	return b
}

func pcapng(o binary.ByteOrder, links ...uint16) []byte {
	section := make([]byte, 16)
	o.PutUint32(section, 0x1a2b3c4d)
	b := block(o, 0x0a0d0d0a, section)
	for _, l := range links {
		body := make([]byte, 8)
		o.PutUint16(body, l)
		b = append(b, block(o, 1, body)...)
	}
	return b
}

func TestScope(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	zipped := func(b []byte) []byte {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		return z.Bytes()
	}
	for _, tt := range []struct {
		name   string
		b      []byte
		want   Scope
		detail string
	}{
		{"ethernet", pcapHeader(le, 0xa1b2c3d4, 1), InScope, ""},
		{"big endian, ns", pcapHeader(be, 0xa1b23c4d, 113), InScope, ""},
		{"FCS bits", pcapHeader(le, 0xa1b2c3d4, 0x24000001), InScope, ""},
		{"802.11", pcapHeader(le, 0xa1b2c3d4, 127), InScope, ""},
		{"USB", pcapHeader(le, 0xa1b2c3d4, 189), LinkType, "[189]"},
		{"USB gzip", zipped(pcapHeader(be, 0xa1b2c3d4, 189)), LinkType, "[189]"},
		{"modified", pcapHeader(le, 0xa1b2cd34, 1), InScope, ""},
		{"another magic", pcapHeader(le, 0xa1b2cd35, 1), FileFormat, "magic 0xa1b2cd35"},
		{"short", []byte("\xd4\xc3\xb2\xa1"), FileFormat, "too short"},
		{"pcapng", pcapng(le, 1, 101), InScope, ""},
		{"pcapng big endian", pcapng(be, 276), InScope, ""},
		{"second interface", pcapng(be, 1, 195), LinkType, "[195]"},
		{"second section", append(pcapng(le, 1), pcapng(be, 231, 227)...), LinkType, "[227 231]"},
		{"block cut", pcapng(le, 1, 195)[:60], InScope, ""},
	} {
		p := filepath.Join(t.TempDir(), "c")
		if err := os.WriteFile(p, tt.b, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, detail, _ := scopeOf(p); got != tt.want || detail != tt.detail {
			t.Errorf("%s: %s %q, want %s %q", tt.name, got, detail, tt.want, tt.detail)
		}
	}
}

func TestNanoseconds(t *testing.T) {
	for s, want := range map[string]int64{
		"1421154095.133213000": 1421154095133213000,
		"0.000000001":          1,
		"-1.5":                 -1500000000,
		"7":                    7000000000,
		"":                     0,
	} {
		if got := nanoseconds(s); got != want {
			t.Errorf("%s: %d, want %d", s, got, want)
		}
	}
}

func TestReadTSV(t *testing.T) {
	p := filepath.Join(t.TempDir(), "t.tsv")
	write := func(s string) {
		if err := os.WriteFile(p, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a\tb\n1\t\\t\\\\n\\n\n\t\"\r\n")
	rows, err := readTSV(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0]["a"] != "1" || rows[0]["b"] != "\t\\n\n" || rows[1]["b"] != "\"\r" {
		t.Errorf("%q", rows)
	}
	write("a\tb\n1\t2\t3\n")
	if _, err := readTSV(p); err == nil {
		t.Error("a field too many is no error")
	}
}
