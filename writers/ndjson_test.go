package writers

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caplake/caplake/schema"
)

// TestNDJSON: a line has what encoding/json makes of the row column by column, without
// what is NULL.
func TestNDJSON(t *testing.T) {
	rows := kindsRows(1500)
	columns, err := schema.ColumnsOf(reflect.TypeFor[kinds]())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	d, err := NewPipe(&out, "kinds", Options{Format: NDJSON, Workers: 3, RowGroupRows: 100})
	if err != nil {
		t.Fatal(err)
	}
	other := mustTable[kinds, kinds](t, d, "other", nil)
	appendAll(t, mustTable[kinds, kinds](t, d, "kinds", nil), rows)
	appendAll(t, other, rows)
	m, err := d.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Tables) != 1 || m.Tables[0].Rows != 1500 || m.Tables[0].Files[0].Bytes != int64(out.Len()) {
		t.Errorf("manifest %+v", m.Tables)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(rows) {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		want, err := json.Marshal(jsonOf(columns, reflect.ValueOf(&rows[i]).Elem()))
		if err != nil {
			t.Fatal(err)
		}
		var g, w any
		if err := json.Unmarshal([]byte(line), &g); err != nil {
			t.Fatalf("line %d: %v: %s", i, err, line)
		}
		json.Unmarshal(want, &w)
		if !reflect.DeepEqual(g, w) {
			t.Fatalf("line %d:\n got %s\nwant %s", i, line, want)
		}
	}
}

// jsonOf returns a struct as encoding/json takes it.
func jsonOf(columns []schema.Column, v reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range columns {
		c := &columns[i]
		f := fieldAt(v, c)
		if c.Nullable && f.IsZero() && (f.Kind() == reflect.Pointer || f.Kind() == reflect.String || f.Kind() == reflect.Slice) {
			continue
		}
		out[c.Name] = jsonValue(c, reflect.Indirect(f))
	}
	return out
}

func jsonValue(c *schema.Column, f reflect.Value) any {
	switch {
	case c.Kind == schema.Timestamp:
		return time.Unix(0, f.Int()).UTC().Format("2006-01-02T15:04:05.000000000Z")
	case c.Kind == schema.Bytes:
		return base64.StdEncoding.EncodeToString(f.Bytes())
	case c.Kind == schema.Float64 && (math.IsInf(f.Float(), 0) || math.IsNaN(f.Float())):
		return nil
	case c.Kind == schema.List:
		list := []any{}
		for i := range f.Len() {
			if c.Elem.Kind == schema.Struct {
				list = append(list, jsonOf(c.Elem.Fields, f.Index(i)))
			} else {
				list = append(list, jsonValue(c.Elem, f.Index(i)))
			}
		}
		return list
	}
	return f.Interface()
}

// fieldAt finds the field of a column by its tag, in embedded structs too.
func fieldAt(v reflect.Value, c *schema.Column) reflect.Value {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			if found := fieldAt(v.Field(i), c); found.IsValid() {
				return found
			}
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("parquet"), ","); name == c.Name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "a\"b\\c", "\x00\x1f\x7f\n\r\t", "é\xff日", "\xed\xa0\x80", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want || strings.Count(s, "\x00") != strings.Count(got, "\x00") {
			t.Errorf("%q became %q", s, got)
		}
	})
}
