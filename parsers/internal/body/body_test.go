package body

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// TestSniff: the standard library is the oracle, on beginnings of all kinds and on what is near them.
func TestSniff(t *testing.T) {
	check := func(b []byte) {
		t.Helper()
		want, _, _ := strings.Cut(http.DetectContentType(b), ";")
		if got := Sniff(b); got != want {
			t.Fatalf("Sniff(%q) = %s, want %s", b, got, want)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	seeds := []string{"", "hello", " \r\n<?xml version", "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "\x00\x00\x00\x14ftypisommp41mp41", "{\"a\": 1}"}
	for _, p := range patterns() {
		seeds = append(seeds, p.text, p.text+">", " "+strings.ToLower(p.text)+" x", p.text+"\x00\x01")
	}
	for _, s := range seeds {
		check([]byte(s))
		for range 200 {
			b := []byte(s + strings.Repeat(" text", rnd.IntN(3)))
			if len(b) > 0 {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
			check(b[:rnd.IntN(len(b)+1)])
			check(b)
		}
	}
	check([]byte(strings.Repeat(" ", 600) + "\x00"))
}

func TestBody(t *testing.T) {
	text := strings.Repeat("<html> body ", 100)
	whole := sha256.Sum256([]byte(text))
	for _, tt := range []struct {
		name      string
		gapAt     int // -1: none
		upTo      int
		complete  bool
		hash, typ bool
	}{
		{"whole", -1, len(text), true, true, true},
		{"cut", -1, len(text), false, false, true},
		{"cut early", -1, 100, false, false, false},
		{"gap", 600, len(text), true, false, true},
		{"early gap", 100, len(text), true, false, false},
		{"empty", -1, 0, true, false, false},
	} {
		b := Config{Hash: true, Type: true}.New()
		b.Write([]byte("stale"))
		b.Gap()
		b.Reset()
		for i := 0; i < tt.upTo; i += 7 {
			if tt.gapAt >= 0 && i >= tt.gapAt && i < tt.gapAt+7 {
				b.Gap()
				continue
			}
			b.Write([]byte(text[i:min(i+7, tt.upTo)]))
		}
		sum, typ := b.End(tt.complete)
		if want := hex.EncodeToString(whole[:]); sum != "" && sum != want || (sum != "") != tt.hash {
			t.Errorf("%s: sum %q", tt.name, sum)
		}
		if typ != "" && typ != "text/html" || (typ != "") != tt.typ {
			t.Errorf("%s: type %q", tt.name, typ)
		}
	}
	var none *Body
	none.Write([]byte("x"))
	if s, m := none.End(true); s != "" || m != "" {
		t.Error("a nil body says something")
	}
}
