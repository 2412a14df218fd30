package sandgate_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sandgate/sandgate"

// source is one Go file, as far as the rules look at it.
type source struct {
	folder    string // relative to the top, "." for the top itself
	name      string
	imports   []string
	test      bool
	generated bool
	comment   bool // whether it carries a package comment
}

func (s source) String() string { return path.Join(s.folder, s.name) }

// layer says what of ours the code of a folder, and of those below it that have no entry of their
// own, may import. A trailing slash stands for everything below; its own folder is always allowed.
type layer struct {
	folder string
	may    []string
	tests  []string // what its tests may import besides
}

// layers is the map of the house. The gateway holds sandboxes by their interface, so it may import
// the package that declares it, which knows no engine; everything else meets in cmd.
func layers() []layer {
	everything := []string{"proto/", "sandbox/", "pyrunner/", "browser/", "fileserver/", "gateway/", "agent/"}
	backend := []string{"sandbox", "sandbox/guestrpc", "sandbox/piece", "proto/"}
	return []layer{
		{folder: ".", tests: []string{"proto/"}},
		{folder: "proto"},
		{folder: "sandbox", tests: []string{"sandbox/"}},
		{folder: "sandbox/docker", may: []string{"sandbox/"}},
		{folder: "sandbox/egress", may: []string{"sandbox"}},
		{folder: "sandbox/gather"},
		{folder: "sandbox/loopback", tests: []string{"proto/"}},
		{folder: "sandbox/guest", may: []string{"sandbox", "sandbox/gather", "sandbox/guestrpc", "sandbox/piece", "sandbox/workspace", "proto/"}},
		{folder: "sandbox/guestrpc", may: []string{"sandbox", "sandbox/piece", "proto/"}, tests: []string{"sandbox/sandboxtest"}},
		{folder: "sandbox/piece", may: []string{"proto/"}},
		{folder: "sandbox/sandboxtest", may: []string{"sandbox", "sandbox/guest/", "proto/"}},
		{folder: "sandbox/workspace"},
		{folder: "pyrunner", may: backend, tests: []string{"sandbox/"}},
		{folder: "browser", may: append(backend, "sandbox/egress"), tests: []string{"sandbox/"}},
		{folder: "fileserver", may: append(backend, "sandbox/workspace"), tests: []string{"sandbox/"}},
		{folder: "fileserver/deferred", may: append([]string{"sandbox/loopback", "fileserver/store"}, backend...), tests: []string{"sandbox/", "fileserver/"}},
		{folder: "fileserver/store", may: []string{"sandbox/workspace", "proto/"}, tests: []string{"sandbox/"}},
		{folder: "fileserver/library", may: append([]string{"sandbox/loopback", "fileserver/store"}, backend...), tests: []string{"sandbox/", "fileserver"}},
		{folder: "fileserver/snapshot", may: append([]string{"fileserver", "fileserver/store", "sandbox/workspace"}, backend...), tests: []string{"sandbox/", "fileserver/"}},
		{folder: "fileserver/wasmtool", may: append([]string{"fileserver/", "sandbox/workspace"}, backend...), tests: []string{"sandbox/"}},
		{folder: "gateway", may: []string{"sandbox", "sandbox/gather", "sandbox/loopback", "sandbox/piece", "proto/"}, tests: []string{"sandbox/", "third_party/conformance/"}},
		{folder: "agent", may: []string{"proto/"}},
		{folder: "cmd", may: everything},
		{folder: "bench", may: everything},
		{folder: "examples", may: []string{"proto/"}},
		{folder: "images"},
	}
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		rule, ok := layerOf(file.folder)
		if !ok {
			t.Errorf("%s: the folder is in no layer; add it to layers if it belongs", file)
			continue
		}
		allowed := slices.Concat([]string{rule.folder + "/"}, rule.may)
		if file.test {
			allowed = append(allowed, rule.tests...)
		}
		for _, imported := range file.imports {
			target, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, target) }) {
				t.Errorf("%s imports %s; %s may import only %v", file, target, rule.folder, allowed)
			}
		}
	}
}

// TestSandboxIsPure keeps the package that everything stands on free of whatever moves.
func TestSandboxIsPure(t *testing.T) {
	t.Parallel()
	for _, file := range sources(t) {
		if file.folder != "sandbox" || file.test {
			continue
		}
		for _, imported := range file.imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s; the package has only the standard library", file, imported)
			}
		}
	}
}

// TestEngines keeps each engine behind one folder, tests included.
func TestEngines(t *testing.T) {
	t.Parallel()
	for _, engine := range []struct{ imported, folder string }{
		{"github.com/docker/docker/", "sandbox/docker"},
		{"github.com/moby/moby/", "sandbox/docker"},
		{"github.com/chromedp/", "browser"},
		{"github.com/tetratelabs/wazero/", "fileserver"},
		{"database/sql/", "gateway/store"},
		{"modernc.org/sqlite/", "gateway/store"},
		{"github.com/jackc/pgx/", "gateway/store"},
		{"github.com/pressly/goose/", "gateway/store"},
		{"github.com/coreos/go-oidc/", "gateway/identity/oidc"},
		{"go.opentelemetry.io/otel/sdk/", "cmd/sandgate/internal/telemetry"},
		{"go.opentelemetry.io/otel/exporters/", "cmd/sandgate/internal/telemetry"},
	} {
		for _, file := range sources(t) {
			if matches(engine.folder+"/", file.folder) {
				continue
			}
			for _, imported := range file.imports {
				if matches(engine.imported, imported) {
					t.Errorf("%s imports %s; only %s may", file, imported, engine.folder)
				}
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	comments := map[string][]string{}
	for _, file := range sources(t) {
		if file.test || file.generated {
			continue
		}
		names := comments[file.folder]
		if file.comment {
			names = append(names, file.name)
		}
		comments[file.folder] = names // also when there is none, so that the folder is looked at
	}
	for folder, files := range comments {
		if len(files) != 1 {
			t.Errorf("%s: package comments in %v, want exactly one", folder, files)
		}
	}
}

// layerOf returns the layer with the longest folder that holds the given one.
func layerOf(folder string) (layer, bool) {
	holding := slices.DeleteFunc(layers(), func(l layer) bool { return !matches(l.folder+"/", folder) })
	if len(holding) == 0 {
		return layer{}, false
	}
	return slices.MaxFunc(holding, func(a, b layer) int { return cmp.Compare(len(a.folder), len(b.folder)) }), true
}

// matches reports whether the pattern names the folder, or ends in a slash and names it or one
// above it.
func matches(pattern, folder string) bool {
	above, below := strings.CutSuffix(pattern, "/")
	return folder == above || below && strings.HasPrefix(folder, pattern)
}

// sources parses the head of every Go file of the module, whatever its build tags.
func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	top := os.DirFS(".") // tests run in the folder of their package, which is the top
	err := fs.WalkDir(top, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		content, err := fs.ReadFile(top, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, content, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		found = append(found, describe(name, file))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func describe(name string, file *ast.File) source {
	s := source{
		folder:    path.Dir(name),
		name:      path.Base(name),
		test:      strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(file),
		comment:   file.Doc != nil,
	}
	for _, spec := range file.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			s.imports = append(s.imports, imported)
		}
	}
	return s
}

// skipped reports whether a folder holds no code of this module.
func skipped(folder string) bool {
	base := path.Base(folder)
	return base == "testdata" || base == "third_party" || base == "node_modules" || base == "bin" ||
		len(base) > 1 && strings.HasPrefix(base, ".")
}
