package run

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caplake/caplake/flows"
	"github.com/caplake/caplake/schema"
)

// TestSightings holds the merge of what was spilled against a map.
func TestSightings(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want := make(map[string]schema.Certificate)
	var all []*sightings
	for w := range 3 {
		s := newSightings(1<<40, true)
		s.scratch = func() (*os.File, error) { return os.Create(filepath.Join(t.TempDir(), "scratch")) }
		defer s.close()
		for i := range 1000 {
			c := randomCertificate(r, flows.NewPosition(1, 1+uint64(i*3+w)))
			if old, ok := s.certs[c.SHA256]; !ok || c.Before(&old) {
				s.certs[c.SHA256] = c
			}
			if old, ok := want[c.SHA256]; !ok || c.Before(&old) {
				want[c.SHA256] = c
			}
			if w > 0 && r.IntN(100) == 0 {
				if err := s.spill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		all = append(all, s)
	}
	var got []schema.Certificate
	if err := mergeSightings(all, func(rows []schema.Certificate) error {
		got = append(got, rows...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(got, func(a, b schema.Certificate) int { return strings.Compare(a.SHA256, b.SHA256) }) {
		t.Error("not by fingerprint")
	}
	if len(got) != len(want) || len(all[1].runs)+len(all[2].runs) < 10 {
		t.Fatalf("%d rows, want %d, of %d runs", len(got), len(want), len(all[1].runs)+len(all[2].runs))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[got[i].SHA256]) {
			t.Fatalf("got\n%+v\nwant\n%+v", got[i], want[got[i].SHA256])
		}
	}
}

// randomCertificate fills every field of a row, now and then with nothing.
func randomCertificate(r *rand.Rand, at flows.Position) schema.Certificate {
	var c schema.Certificate
	fillValue(r, reflect.ValueOf(&c).Elem())
	c.SHA256 = string([]byte{'a' + byte(r.IntN(26)), 'a' + byte(r.IntN(26))})
	c.Position = at
	return c
}

func fillValue(r *rand.Rand, v reflect.Value) {
	if r.IntN(4) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(r, v.Field(i))
		}
	case reflect.String:
		v.SetString(strings.Repeat("\xff\x00x", r.IntN(100)))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 3))
		for i := range v.Len() {
			fillValue(r, v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(r, v.Elem())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(int32(r.Uint32())))
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(uint8(r.Uint32())))
	default:
		panic(v.Kind())
	}
}

// TestSpilledBytes: what is no row is an error, never a panic.
func TestSpilledBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	c := randomCertificate(r, 1)
	b := appendValue(nil, reflect.ValueOf(&c).Elem())
	for n := range b {
		var d schema.Certificate
		if _, err := readValue(b[:n], reflect.ValueOf(&d).Elem()); err == nil {
			t.Fatalf("no error of %d of %d bytes", n, len(b))
		}
	}
}
