package wasmtool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sandgate/sandgate/fileserver/wasm"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	// maxModule bounds a program, in bytes.
	maxModule = 32 << 20
	// maxTools bounds the tools of a folder.
	maxTools = 64
	// maxEntries bounds what a folder holds besides.
	maxEntries = 1024
	// maxCache bounds what is kept of compiled programs, in bytes: the next gateway begins anew beyond it.
	maxCache = 512 << 20

	moduleSuffix, manifestSuffix = ".wasm", ".json"
)

// stamp tells one version of a file from another. The zero one is of no file.
type stamp struct {
	changed time.Time
	size    int64
}

// entry is what was found of one name.
type entry struct {
	module, manifest stamp
	tool             *tool // nil: there is none, for the reason err
	err              error
	pending          bool // it differed when it was looked at last, and is read when it has come to rest
}

func openFolder(folder string) (*os.Root, error) {
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the folder of tools: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("the folder of tools: %s is no folder", folder)
	case info.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("the folder of tools: everybody may write to %s, and whoever does adds tools; chmod o-w it", folder)
	}
	return os.OpenRoot(folder)
}

// boundCache removes what is kept of compiled programs where it has become too much.
func boundCache(dir string) error {
	if dir == "" {
		return nil
	}
	total := int64(0)
	err := filepath.WalkDir(dir, func(_ string, file fs.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		info, err := file.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && total > maxCache {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return fmt.Errorf("look at the cache of compiled tools: %w", err)
	}
	return nil
}

// look brings the set to what is in the folder. What has changed since the last look is read at the next one, when it
// still is the same, so that a file is not read while it is copied; at once where that is asked for.
func (s *Set) look(ctx context.Context, atOnce bool) {
	stamps, err := s.stamps()
	if err != nil {
		s.opts.Logger.Warn("the folder of tools cannot be read; its tools stay as they are", "folder", s.opts.Folder, "err", err)
		return
	}
	changed := false
	var old []*tool
	for name, found := range stamps {
		known, ok := s.seen[name]
		same := ok && known.module == found.module && known.manifest == found.manifest
		switch {
		case same && !known.pending:
			continue
		case !same && !atOnce:
			found.tool, found.err, found.pending = known.tool, known.err, true
			s.seen[name] = found
			continue
		}
		found.tool, found.err = s.load(ctx, name, found)
		if ctx.Err() != nil {
			return // the gateway ends
		}
		if known.tool != nil {
			old = append(old, known.tool)
		}
		s.seen[name], changed = found, true
		s.tell(name, found)
	}
	for name, known := range maps.Clone(s.seen) {
		if _, ok := stamps[name]; ok {
			continue
		}
		delete(s.seen, name)
		if changed = true; known.tool != nil {
			old = append(old, known.tool)
			s.opts.Logger.Info("a tool was taken away", "tool", name)
		}
	}
	if changed {
		s.swap()
	}
	for _, replaced := range old {
		replaced.retire()
	}
}

// tell logs what became of a tool.
func (s *Set) tell(name string, e entry) {
	if e.err != nil {
		s.opts.Logger.Warn("a tool was refused", "tool", name, "err", e.err)
		return
	}
	s.opts.Logger.Info("a tool was picked up", "tool", name)
}

// swap has calls see the tools that there are.
func (s *Set) swap() {
	next := &shelf{byName: map[string]*tool{}}
	for name, e := range s.seen {
		if e.tool != nil {
			next.byName[name] = e.tool
			next.sorted = append(next.sorted, e.tool.proto)
		}
	}
	slices.SortFunc(next.sorted, func(a, b *sandgatev1.Tool) int { return strings.Compare(a.GetName(), b.GetName()) })
	s.now.Store(next)
}

// stamps returns what is in the folder now, by the names of tools. Files that are of no tool are not looked at.
func (s *Set) stamps() (map[string]entry, error) {
	dir, err := s.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > maxEntries {
		return nil, fmt.Errorf("it holds more than %d files", maxEntries)
	}
	found := map[string]entry{}
	for _, file := range names {
		name, isModule := strings.CutSuffix(file, moduleSuffix)
		name, isManifest := strings.CutSuffix(name, manifestSuffix)
		if isModule == isManifest || strings.HasPrefix(file, ".") {
			continue
		}
		e, at := found[name], stamp{size: -1} // of what cannot be looked at, which load says
		if info, err := s.root.Stat(file); err == nil {
			at = stamp{info.ModTime(), info.Size()}
		}
		if isModule {
			e.module = at
		} else {
			e.manifest = at
		}
		found[name] = e
	}
	if len(found) > maxTools {
		return nil, fmt.Errorf("it holds more than %d tools", maxTools)
	}
	return found, nil
}

// load reads and compiles a tool, or says why it is none.
func (s *Set) load(ctx context.Context, name string, found entry) (_ *tool, err error) {
	defer func() {
		if value := recover(); value != nil { // of what reads schemas and modules: it must not take the gateway along
			err = fmt.Errorf("it cannot be read: %v", value)
		}
	}()
	switch {
	case found.module == stamp{}:
		return nil, fmt.Errorf("there is no %s%s beside its manifest", name, moduleSuffix)
	case found.manifest == stamp{}:
		return nil, fmt.Errorf("there is no manifest %s%s beside it", name, manifestSuffix)
	}
	if err := checkName(name, s.opts.Reserved); err != nil {
		return nil, err
	}
	manifest, err := s.read(name+manifestSuffix, maxManifest)
	if err != nil {
		return nil, err
	}
	module, err := s.read(name+moduleSuffix, maxModule)
	if err != nil {
		return nil, err
	}
	return newTool(ctx, s.host, name, manifest, module)
}

// newTool makes a tool of its two files.
func newTool(ctx context.Context, host *wasm.Host, name string, manifest, module []byte) (*tool, error) {
	terms, err := parseManifest(manifest)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", name, manifestSuffix, err)
	}
	made := &tool{terms: *terms, name: name}
	if made.proto, err = terms.describe(name); err != nil {
		return nil, fmt.Errorf("%s%s: %w", name, manifestSuffix, err)
	}
	if made.program, err = host.Compile(ctx, name+moduleSuffix, module); err != nil {
		return nil, err
	}
	if least, most := made.program.LeastMemory(), terms.manifest.Limits.MemoryMiB<<20; least > most {
		return nil, errors.Join(fmt.Errorf("%s%s begins with %d bytes of memory, and limits.memory_mib allows %d", name, moduleSuffix, least, most),
			made.program.Close(ctx))
	}
	return made, nil
}

// read returns a file of the folder. A link that leads out of it is refused.
func (s *Set) read(name string, most int64) ([]byte, error) {
	info, err := s.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, and may have %d", name, info.Size(), most)
	}
	file, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe by now
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return data, err
}
