// Package layers holds the project to its layering: data goes one way through
// it, so imports go the other.
package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/caplake/caplake"

// rule says what the packages of a layer may import, tests aside. A pattern
// is an import path, one ending in "/..." (that and all below it), or one
// whose last element is "*" (all directly below); ours are relative to the
// module. A package's own internal packages are always allowed.
type rule struct {
	packages string   // pattern
	imports  []string // of ours and of others
	not      []string // of the standard library, all of which is allowed otherwise
}

// What has no effect and asks nothing of the machine it runs on: no files, no
// network, no clock.
func pure() []string {
	return []string{"os/...", "time", "net", "net/http/...", "io/fs", "syscall", "log/...", "bufio", "math/rand/...", "context"}
}

// rules is the table of layers. The first rule that matches a package counts;
// a package that none matches is an error.
func rules() []rule {
	const (
		arrow   = "github.com/apache/arrow/..."
		parquet = "github.com/parquet-go/..."
		codecs  = "github.com/klauspost/compress/..."
		sys     = "golang.org/x/sys/..."
		sync    = "golang.org/x/sync/..."
		packets = "github.com/gopacket/gopacket/..."
	)
	return []rule{
		{"flows", nil, append(pure(), "io", "encoding/json")},
		{"parsers", []string{"flows"}, pure()}, // io for io.Reader, which a Conversation's sides are
		{"parsers/http2", []string{"flows", "parsers", "parsers/internal/*", "golang.org/x/net/http2/hpack"}, append(pure(), "io")},
		// What two protocols need beneath both, and is of neither, hides under parsers.
		{"parsers/*", []string{"flows", "parsers", "parsers/internal/*"}, append(pure(), "io")},
		{"schema", []string{"flows", "parsers", "parsers/*"}, append(pure(), "io", "sync/...")},
		{"schema/tabulate", []string{"flows", "parsers", "parsers/*", "schema"}, append(pure(), "io", "sync/...")},
		{"ingest/...", []string{"flows", packets, "golang.org/x/net/bpf", codecs, sync, sys, "github.com/ulikunitz/xz/...", "github.com/pierrec/lz4/..."}, []string{"net", "net/http/...", "os/exec"}},
		{"writers/...", []string{"schema", arrow, parquet, codecs, sync, sys}, []string{"net", "net/http/...", "os/exec"}},
		{"cmd/internal/conformance", []string{"...", parquet, codecs, "github.com/ulikunitz/xz/..."}, nil},
		{"cmd/internal/...", []string{"...", sync, sys, parquet, arrow, codecs}, nil},
		{"cmd/caplake", []string{"cmd/internal/run", "cmd/internal/filter", "cmd/internal/compare", "schema", "github.com/spf13/pflag", "golang.org/x/term", "github.com/BurntSushi/toml"}, nil},
		{"cmd/*", []string{"cmd/internal/...", "schema", parquet, arrow}, nil}, // tools of the project
	}
}

type pkg struct {
	ImportPath string
	Imports    []string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	Standard   bool
}

// list runs go list at the root of the module.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Dir,GoFiles,CgoFiles,Standard"}, args...)...)
	cmd.Dir = filepath.Join("..", "..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // so that what could use cgo shows
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestLayers(t *testing.T) {
	for _, p := range list(t, "./...") {
		for _, fault := range faults(p.ImportPath, p.Imports) {
			t.Error(fault)
		}
	}
}

// faults returns what a package imports and may not.
func faults(path string, imports []string) (out []string) {
	own, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return []string{path + " is not in the module's folders"}
	}
	all := rules()
	i := slices.IndexFunc(all, func(r rule) bool { return match(r.packages, withoutInternal(own)) })
	if i < 0 {
		return []string{own + " has no rule: give it its place in the table of layers"}
	}
	r := all[i]
	for _, imported := range imports {
		name, ours := strings.CutPrefix(imported, module+"/")
		switch {
		case ours && strings.Contains("/"+name+"/", "/internal/") && strings.HasPrefix(name, withoutInternal(own)+"/internal/"):
			continue
		case !ours && !strings.Contains(strings.Split(imported, "/")[0], "."):
			if slices.ContainsFunc(r.not, func(p string) bool { return match(p, imported) }) {
				out = append(out, own+" imports "+imported+", which its layer may not")
			}
			continue
		}
		if !slices.ContainsFunc(r.imports, func(p string) bool { return match(p, name) && (ours || p != "...") }) {
			out = append(out, own+" imports "+name+", which its layer may not")
		}
	}
	return out
}

// withoutInternal returns the package that an internal package belongs to;
// cmd/internal belongs to nobody.
func withoutInternal(path string) string {
	if i := strings.Index(path, "/internal/"); i >= 0 && path[:i] != "cmd" {
		return path[:i]
	}
	return path
}

func match(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		rest, below := strings.CutPrefix(path, base+"/")
		return below && !strings.Contains(rest, "/")
	}
	return pattern == path
}

// TestRulesBite: the table forbids what it is there to forbid.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		path, imported string
		ok             bool
	}{
		{"flows", "encoding/binary", true},
		{"flows", "time", false},
		{"flows", "os", false},
		{"flows", module + "/parsers", false},
		{"flows", "github.com/gopacket/gopacket/layers", false},
		{"parsers", module + "/parsers/http", false},
		{"parsers/ssh", module + "/parsers", true},
		{"parsers/ssh", module + "/parsers/ssh/internal/kex", true},
		{"parsers/ssh/internal/kex", module + "/flows", true},
		{"parsers/ssh/internal/kex", "time", false},
		{"parsers/ssh", module + "/parsers/tls", false},
		{"parsers/ssh", "golang.org/x/net/http2/hpack", false},
		{"parsers/ssh", module + "/parsers/internal/pieces", true},
		{"parsers/internal/pieces", module + "/parsers/ssh", false},
		{"schema", module + "/parsers/internal/pieces", false},
		{"parsers/http2", module + "/parsers/http", false},
		{"parsers/ssh", module + "/schema", false},
		{"parsers/dns", "time", false},
		{"parsers/dns", "net/netip", true},
		{"schema", module + "/parsers/ssh", true},
		{"schema", "github.com/parquet-go/parquet-go", false},
		{"schema", "github.com/apache/arrow/go/v17/arrow", false},
		{"schema", "os", false},
		{"ingest", "github.com/gopacket/gopacket/pcapgo", true},
		{"ingest", module + "/parsers", false},
		{"schema/tabulate", module + "/flows", true},
		{"schema/tabulate", module + "/ingest", false},
		{"schema", module + "/schema/tabulate", false},
		{"writers", module + "/schema", true},
		{"writers", module + "/ingest", false},
		{"writers", module + "/parsers/http", false},
		{"cmd/internal/run", module + "/writers", true},
		{"cmd/internal/run", "github.com/spf13/pflag", false},
		{"cmd/caplake", module + "/writers", false},
		{"cmd/caplake", module + "/cmd/internal/run", true},
		{"plugins", "fmt", false},
	} {
		if got := faults(module+"/"+c.path, []string{c.imported}); (len(got) == 0) != c.ok {
			t.Errorf("%s imports %s: %v", c.path, c.imported, got)
		}
	}
}

// TestNoCgo: nothing but the standard library (which has pure-Go ways of all
// that it does with cgo) brings C into the program.
func TestNoCgo(t *testing.T) {
	for _, p := range list(t, "-deps", "./cmd/caplake") {
		if !p.Standard && len(p.CgoFiles) > 0 {
			t.Errorf("%s uses cgo", p.ImportPath)
		}
	}
}

// TestNoClock: writers knows dates, but not what time it is: that would get into the files.
func TestNoClock(t *testing.T) {
	for _, p := range list(t, "./writers/...") {
		for _, name := range p.GoFiles {
			if at, found := readsClock(t, filepath.Join(p.Dir, name), nil); found {
				t.Errorf("%s: %s reads the clock", p.ImportPath, at)
			}
		}
	}
	const late = "package p\nimport \"time\"\nvar t = time.Now()\n"
	if _, found := readsClock(t, "late.go", late); !found {
		t.Error("time.Now is not found")
	}
}

func readsClock(t *testing.T, path string, src any) (at token.Position, found bool) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Tick", "Local"}, s.Sel.Name) {
				at, found = set.Position(n.Pos()), true
			}
		}
		return !found
	})
	return at, found
}

// TestNoInit: no package of ours does anything by being imported.
func TestNoInit(t *testing.T) {
	for _, p := range list(t, "./...") {
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: %s has a func init", p.ImportPath, name)
				}
			}
		}
	}
}
