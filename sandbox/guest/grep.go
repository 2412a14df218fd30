package guest

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
	// grepBatch is how many files a search opens before it reads them.
	grepBatch = 32
)

// Grep searches files. The page token says in which file to go on, and where in it.
func (s *fileService) Grep(ctx context.Context, req *sandgatev1.GrepRequest) (*sandgatev1.GrepResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	g, err := s.newGrep(req)
	if err != nil {
		return nil, err
	}
	if err := g.run(ctx, path); err != nil {
		return nil, fileError(path, err)
	}
	return g.res, nil
}

// grep is one search.
type grep struct {
	guest  *Guest
	filter workspace.Filter
	hidden bool
	search *workspace.Search
	budget *workspace.Budget
	from   grepPlace
	last   string // that the walk came by
	batch  []opened
	res    *sandgatev1.GrepResponse
}

// opened is a file that is to be searched.
type opened struct {
	*os.File
	path string
}

func (s *fileService) newGrep(req *sandgatev1.GrepRequest) (*grep, error) {
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
		guest: s.guest, filter: filter, hidden: req.GetIncludeHidden(),
		search: workspace.NewSearch(query, int(req.GetContextLines()), budget), budget: budget,
		from: from, res: &sandgatev1.GrepResponse{},
	}, nil
}

// run searches a file, or what is in a directory.
func (g *grep) run(ctx context.Context, path string) error {
	defer func() { g.drop() }()
	w := &walk{guest: g.guest, root: path, after: g.from.path, and: g.from.Offset != behind}
	err := w.run(ctx, func(e walked) (step, error) { return g.visit(w, e) }, func() (step, error) { return g.read(ctx) })
	g.res.Unreadable += w.unreadable
	if !errors.Is(err, unix.ENOTDIR) {
		return err
	}
	err = g.guest.asUser(ctx, func() error {
		file, _, err := g.guest.openRegular(path, os.O_RDONLY, 0)
		if err == nil {
			g.batch = append(g.batch, opened{file, path})
		}
		return err
	})
	if err == nil {
		_, err = g.read(ctx)
	}
	return err
}

// visit opens a file, or enters a directory, if it is to be searched.
func (g *grep) visit(w *walk, e walked) (step, error) {
	g.last = e.path
	switch {
	case !g.hidden && strings.HasPrefix(e.name, "."):
	case e.mode() == unix.S_IFDIR && g.filter.Directory(e.rel):
		return walkOn, w.enter(e)
	case !w.fresh(e):
	case e.err != nil && g.filter.File(e.rel):
		g.res.Unreadable++
	case e.mode() == unix.S_IFREG && g.filter.File(e.rel):
		if err := g.open(e); err != nil {
			return walkEnd, err
		}
		if len(g.batch) >= grepBatch {
			return walkRest, nil
		}
	}
	return walkOn, nil
}

// open opens a file where the walk is.
func (g *grep) open(e walked) error {
	file, err := e.open()
	switch {
	case err == nil:
		g.batch = append(g.batch, opened{file, e.path})
	case !errors.Is(err, unix.ENOENT):
		g.res.Unreadable++
	}
	return exhausted(err)
}

// drop closes the files that are not searched.
func (g *grep) drop() {
	for _, file := range g.batch {
		closeAll(file.File)
	}
	g.batch = g.batch[:0]
}

// read searches the open files.
func (g *grep) read(ctx context.Context) (step, error) {
	defer g.drop()
	for _, file := range g.batch {
		var from workspace.Place
		if file.path == g.from.path {
			from = g.from.Place
			if _, err := file.Seek(from.Offset, io.SeekStart); err != nil {
				return walkEnd, err
			}
		}
		lines, place, err := g.search.File(ctx, file, from)
		switch {
		case ctx.Err() != nil:
			return walkEnd, ctx.Err()
		case errors.Is(err, workspace.ErrBinary):
			g.res.Binary++
			continue
		case err != nil:
			g.res.Unreadable++
			continue
		}
		g.res.Searched++
		g.add(file.path, lines)
		if place != nil {
			g.res.NextPageToken = grepPlace{file.path, *place}.token()
			return walkEnd, nil
		}
	}
	if g.last != "" && !time.Now().Before(g.budget.Deadline) {
		g.res.NextPageToken = grepPlace{g.last, workspace.Place{Offset: behind}}.token()
		return walkEnd, nil
	}
	return walkOn, nil
}

// add adds the lines found in a file.
func (g *grep) add(path string, lines []workspace.Line) {
	if len(lines) == 0 {
		return
	}
	file := &sandgatev1.GrepFile{Path: validText(path), Lines: make([]*sandgatev1.GrepLine, 0, len(lines))}
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
	if err != nil {
		return p, errPageToken(token)
	}
	numbers, path, _ := strings.Cut(string(decoded), "/")
	if n, err := fmt.Sscanf(numbers, "%d %d ", &p.Offset, &p.Line); n != 2 || err != nil || p.Offset < behind || p.Line < 0 {
		return p, errPageToken(token)
	}
	p.path = "/" + path
	return p, nil
}
