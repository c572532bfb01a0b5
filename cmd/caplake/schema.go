package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/caplake/caplake/schema"
)

// schemaOptions are the flags of schema.
type schemaOptions struct {
	format string
	json   bool
}

func (o *schemaOptions) groups() (groups []group) {
	fs := newGroup(&groups, "Flags")
	fs.StringVar(&o.format, "format", "text", "`FORMAT`: text, markdown or json")
	note(fs, "format", noteValues, "text", "markdown", "json")
	fs.BoolVar(&o.json, "json", false, "same as --format json")
	return groups
}

func (c *command) schema(args []string) int {
	var o schemaOptions
	fs := flagsOf("schema", o.groups())
	help, err := parse(fs, args)
	if help {
		return c.commandHelp("schema")
	}
	if err != nil {
		return c.usage("schema", err)
	}
	if o.json {
		if fs.Changed("format") && o.format != "json" {
			return c.usage("schema", fmt.Errorf("--json and --format %s contradict each other", o.format))
		}
		o.format = "json"
	}

	tables := schema.Tables()
	if fs.NArg() > 1 {
		return c.usage("schema", fmt.Errorf("one table at a time, got %q", fs.Args()))
	}
	name := fs.Arg(0)
	if name != "" {
		var names []string
		for i := range tables {
			names = append(names, tables[i].Name)
		}
		i := indexOf(names, name)
		if i < 0 {
			msg := fmt.Errorf("no table %q; there are %s", name, strings.Join(names, ", "))
			return c.usage("schema", msg)
		}
		tables = tables[i : i+1]
	}

	var b bytes.Buffer
	switch o.format {
	case "text":
		for i := range tables {
			if i > 0 {
				b.WriteString("\n")
			}
			schemaText(&b, &tables[i])
		}
	case "markdown":
		b.Write(markdown(name))
	case "json":
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(schemaJSON(tables)); err != nil {
			return c.failed(err)
		}
	default:
		return c.usage("schema", fmt.Errorf("--format %q: must be text, markdown or json", o.format))
	}
	return c.print(b.String())
}

func indexOf(list []string, s string) int {
	for i := range list {
		if list[i] == s {
			return i
		}
	}
	return -1
}

func schemaText(b *bytes.Buffer, t *schema.Table) {
	fmt.Fprintf(b, "%s: %s\n\n", t.Name, t.Doc)
	var rows [][]string
	for i := range t.Columns {
		col := &t.Columns[i]
		null := ""
		if col.Nullable {
			null = "NULL"
		}
		typ := col.TypeName()
		if col.Kind == schema.List && col.Elem.Kind == schema.Struct {
			typ = "LIST<STRUCT>" // its fields follow
		}
		rows = append(rows, []string{"  " + col.Name, typ, null, col.Doc})
		if col.Elem != nil {
			for j := range col.Elem.Fields {
				f := &col.Elem.Fields[j]
				rows = append(rows, []string{"    ." + f.Name, f.TypeName(), "", f.Doc})
			}
		}
	}
	writeTable(b, rows, "llll")
}

// markdown returns the generated document, or one table's section of it.
func markdown(table string) []byte {
	all := schema.Markdown()
	if table == "" {
		return all
	}
	i := bytes.Index(all, []byte("\n## "+table+"\n"))
	if i < 0 {
		return nil
	}
	section := all[i+1:]
	if end := bytes.Index(section, []byte("\n## ")); end >= 0 {
		section = section[:end]
	}
	return section
}

type jsonTable struct {
	Name    string       `json:"name"`
	Doc     string       `json:"doc"`
	Columns []jsonColumn `json:"columns"`
}

type jsonColumn struct {
	Name     string       `json:"name"`
	ID       int          `json:"id"`
	Type     string       `json:"type"`
	Nullable bool         `json:"nullable"`
	Bloom    bool         `json:"bloom,omitempty"`
	Doc      string       `json:"doc"`
	Fields   []jsonColumn `json:"fields,omitempty"` // of the structs in a list
}

func schemaJSON(tables []schema.Table) any {
	var columns func([]schema.Column) []jsonColumn
	columns = func(in []schema.Column) (out []jsonColumn) {
		for i := range in {
			c := &in[i]
			j := jsonColumn{c.Name, c.ID, c.TypeName(), c.Nullable, c.Bloom, c.Doc, nil}
			if c.Elem != nil {
				j.Fields = columns(c.Elem.Fields)
			}
			out = append(out, j)
		}
		return out
	}
	list := make([]jsonTable, len(tables))
	for i, t := range tables {
		list[i] = jsonTable{t.Name, t.Doc, columns(t.Columns)}
	}
	return struct {
		Version string      `json:"version"`
		Tables  []jsonTable `json:"tables"`
	}{schema.Version, list}
}
