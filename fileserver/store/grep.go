package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

const (
	defaultMatches = 100
	// maxGrepBytes bounds the lines of a page, with their paths, so that a model can be shown all of it.
	maxGrepBytes = 40 << 10
)

// Grep searches files. The page token says in which file to go on, and where in it. A guest goes on with it.
func (w *Workspace) Grep(ctx context.Context, req *sandgatev1.GrepRequest) (*sandgatev1.GrepResponse, error) {
	if _, err := w.checked(req.GetPath()); err != nil {
		return nil, err
	}
	g, err := newGrep(req)
	if err != nil {
		return nil, err
	}
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.GrepResponse, error) {
		return g.res, g.run(ctx, v, path)
	})
}

// grep is one search.
type grep struct {
	filter workspace.Filter
	hidden bool
	search *workspace.Search
	budget *workspace.Budget
	from   grepPlace
	res    *sandgatev1.GrepResponse
}

func newGrep(req *sandgatev1.GrepRequest) (*grep, error) {
	query, err := workspace.NewQuery(req.GetPattern(), req.GetLiteral(), req.GetIgnoreCase())
	if err != nil {
		return nil, errPattern(err)
	}
	filter, err := workspace.NewFilter(req.GetInclude(), req.GetExclude())
	if err != nil {
		return nil, errPattern(err)
	}
	from, err := parseGrepPlace(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	budget := &workspace.Budget{Matches: int(req.GetMaxMatches()), Bytes: maxGrepBytes, Deadline: time.Now().Add(searchTime)}
	if budget.Matches <= 0 {
		budget.Matches = defaultMatches
	}
	return &grep{
		filter: filter, hidden: req.GetIncludeHidden(), from: from, budget: budget,
		search: workspace.NewSearch(query, int(req.GetContextLines()), budget), res: &sandgatev1.GrepResponse{},
	}, nil
}

// run searches a file, or what is in a directory.
func (g *grep) run(ctx context.Context, v *view, path string) error {
	w := &walk{view: v, root: path, after: g.from.path, and: g.from.Offset != behind}
	err := w.each(ctx, func(e entry) (bool, error) { return g.visit(ctx, w, e) })
	g.res.Unreadable += w.unreadable
	if !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	file, _, err := v.open(path)
	if err == nil {
		_, err = g.read(ctx, file, path)
	}
	return err
}

// visit searches a file, or enters a directory, if that is wanted.
func (g *grep) visit(ctx context.Context, w *walk, e entry) (bool, error) {
	switch {
	case !g.hidden && strings.HasPrefix(e.name, "."):
	case e.is(unix.S_IFDIR):
		if g.filter.Directory(e.rel) {
			if err := w.enter(e); err != nil {
				return false, err
			}
		}
	case !w.fresh(e) || !g.filter.File(e.rel):
	case e.err != nil:
		g.res.Unreadable++
	case e.is(unix.S_IFREG):
		file, _, err := e.in.file(e.name, unix.O_RDONLY, ownerRead)
		if err == nil {
			if on, err := g.read(ctx, file, e.path); !on || err != nil {
				return on, err
			}
			break
		}
		if !errors.Is(err, unix.ENOENT) {
			g.res.Unreadable++
		}
		if err := exhausted(err); err != nil {
			return false, err
		}
	}
	if !time.Now().Before(g.budget.Deadline) {
		g.res.NextPageToken = grepPlace{e.path, workspace.Place{Offset: behind}}.token()
		return false, nil
	}
	return true, nil
}

// read searches an open file and closes it. It reports whether the search goes on.
func (g *grep) read(ctx context.Context, file *os.File, path string) (bool, error) {
	defer func() { _ = file.Close() }()
	var from workspace.Place
	if path == g.from.path {
		from = g.from.Place
		if _, err := file.Seek(from.Offset, io.SeekStart); err != nil {
			return false, err
		}
	}
	lines, place, err := g.search.File(ctx, file, from)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, workspace.ErrBinary):
		g.res.Binary++
		return true, nil
	case err != nil:
		g.res.Unreadable++
		return true, nil
	}
	g.res.Searched++
	g.add(path, lines)
	if place != nil {
		g.res.NextPageToken = grepPlace{path, *place}.token()
		return false, nil
	}
	return true, nil
}

// add adds the lines found in a file.
func (g *grep) add(path string, lines []workspace.Line) {
	if len(lines) == 0 {
		return
	}
	file := &sandgatev1.GrepFile{Path: validText(path)}
	for _, line := range lines {
		if !line.Context {
			g.res.Matches++
		}
		file.Lines = append(file.Lines, &sandgatev1.GrepLine{
			Number: line.Number, Text: line.Text, Context: line.Context, Clipped: line.Clipped,
		})
	}
	g.res.Files = append(g.res.Files, file)
	g.budget.Bytes -= len(path)
}

// behind is the offset of a place that is behind the file.
const behind = -1

// grepPlace is where a search goes on.
type grepPlace struct {
	path string
	workspace.Place
}

func (p grepPlace) token() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %s", p.Offset, p.Line, p.path))
}

func parseGrepPlace(token string) (grepPlace, error) {
	var p grepPlace
	if token == "" {
		return p, nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(token)
	numbers, path, _ := strings.Cut(string(decoded), "/")
	if err == nil {
		_, err = fmt.Sscanf(numbers, "%d %d ", &p.Offset, &p.Line)
	}
	if err != nil || p.Offset < behind || p.Line < 0 {
		return p, errPageToken(token)
	}
	p.path = "/" + path
	return p, nil
}
