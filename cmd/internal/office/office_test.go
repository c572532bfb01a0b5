package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"maps"
	"testing"
)

// The notebooks quote what they find, so the captures must come out the same.
func TestTheSameEveryTime(t *testing.T) {
	var runs [2]map[string][32]byte
	for i := range runs {
		runs[i] = map[string][32]byte{}
		w := hour(1)
		w.inOrder()
		if err := w.write(func(name string, b []byte) error { runs[i][name] = sha256.Sum256(b); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(runs[0]) != 10 {
		t.Fatalf("%d files, want nine captures and the labels", len(runs[0]))
	}
	if !maps.Equal(runs[0], runs[1]) {
		t.Errorf("two runs differ:\n%x\n%x", runs[0], runs[1])
	}
}

// A mirror port passes on what it can carry, in order.
func TestMirror(t *testing.T) {
	var in []packet
	for i := range 100 {
		in = append(in, packet{1e18 + int64(i)*milli, make([]byte, 1000)}) // a megabyte a second
	}
	for _, c := range []struct {
		rate, buffer int64
		want         int
	}{{1e6, 1000, 100}, {2e6, 1000, 100}, {5e5, 1000, 50}, {5e5, 10000, 59}, {0, 5000, 5}} {
		if got := mirror(in, c.rate, c.buffer); len(got) != c.want {
			t.Errorf("rate %d, buffer %d: %d packets of 100, want %d", c.rate, c.buffer, len(got), c.want)
		}
	}
}

// The parts of a certificate chain that a reader checks hold.
func TestChain(t *testing.T) {
	ca := newAuthority("Test CA", nine().AddDate(-1, 0, 0), 5)
	chain := ca.leaf("a.example", []string{"a.example"}, nine(), nine().AddDate(1, 0, 0))
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.CheckSignatureFrom(ca.cert); err != nil {
		t.Error(err)
	}
	if n := binary.BigEndian.Uint16(chain[0][2:]); int(n)+4 != len(chain[0]) {
		t.Errorf("length %d of %d bytes", n, len(chain[0]))
	}
}
