package schema

import (
	"bytes"
	"fmt"
)

//go:generate go test -run TestSchemaFile -update .

// Version is the version of the tables. Its first number changes when a reader
// of the tables must change, which additions do not ask for.
const Version = "1.0"

// Markdown returns the tables as SCHEMA.md has them.
func Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# The tables, version %s

Generated from the row structs of this folder: edit those, then run `+"`go generate ./schema`"+`.

- A column is NULL where the capture does not say. There are no sentinels.
- src_* is the flow's initiator, dst_* its responder, in every table.
- TIMESTAMP_NS is TIMESTAMP(NANOS, isAdjustedToUTC=false); all times are UTC. Durations are INT64, in nanoseconds.
- id is the column's field id, stable for good. The element of list n has the id 1000·n, field m of its struct 1000·n + m.
- B: the column has a Bloom filter.

`, Version)
	tables := Tables()
	for i := range tables {
		t := &tables[i]
		fmt.Fprintf(&b, "## %s\n%s\n\n| id | column | type | NULL | B | what it says |\n|---|---|---|---|---|---|\n", t.Name, t.Doc)
		for j := range t.Columns {
			writeColumn(&b, "", &t.Columns[j])
		}
		b.WriteString("\n")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func writeColumn(b *bytes.Buffer, prefix string, c *Column) {
	mark := func(v bool, text string) string {
		if v {
			return text
		}
		return ""
	}
	bloom := c.Bloom || c.Elem != nil && c.Elem.Bloom
	fmt.Fprintf(b, "| %d | %s%s | %s | %s | %s | %s |\n", c.ID, prefix, c.Name, c.shortTypeName(), mark(c.Nullable, "yes"), mark(bloom, "B"), c.Doc)
	if c.Elem != nil {
		for i := range c.Elem.Fields {
			writeColumn(b, prefix+c.Name+"[].", &c.Elem.Fields[i])
		}
	}
}

// shortTypeName leaves the fields of structs to their own lines.
func (c *Column) shortTypeName() string {
	if c.Kind == List && c.Elem.Kind == Struct {
		return "LIST<STRUCT>"
	}
	return c.TypeName()
}
