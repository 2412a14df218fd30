package fileserver

import (
	"context"
	"errors"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxGrepBytes bounds what a page of matches holds: an honest one has 40 KiB, and the lines around the last
	// match, and paths that may be three times as long when they are shown.
	maxGrepBytes = 256 << 10
	// lineCost is what a line takes of that besides its text.
	lineCost = 16
	// maxNameBytes bounds a name in a tree: 255 bytes as it is on disk.
	maxNameBytes = 3 * 255
	// What requests mean that say nothing.
	defaultMatches     = 100
	defaultTreeEntries = 200
	defaultTreeDepth   = 3
)

// errTooMuch says that a guest found more than it was asked for, or goes in circles.
var errTooMuch = errors.New("it found more than was asked for")

// Glob finds files by a pattern.
func (f *Files) Glob(ctx context.Context, req *sandgatev1.GlobRequest) (*sandgatev1.GlobResponse, error) {
	res, err := unary(ctx, f.at(globRoot(req)), req, f.guest.Glob)
	if err != nil {
		return nil, err
	}
	if len(res.GetFiles()) > orDefault(req.GetPageSize(), defaultPageSize) || !onward(res.GetNextPageToken(), req.GetPageToken()) {
		return nil, guestrpc.Broken(errTooMuch)
	}
	for i, info := range res.GetFiles() {
		res.Files[i] = cleanInfo(info)
	}
	res.Unreadable = max(res.GetUnreadable(), 0)
	return res, nil
}

// Grep searches files.
func (f *Files) Grep(ctx context.Context, req *sandgatev1.GrepRequest) (*sandgatev1.GrepResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.Grep)
	if err != nil {
		return nil, err
	}
	if !cleanGrep(res, req) {
		return nil, guestrpc.Broken(errTooMuch)
	}
	return res, nil
}

// Tree shows a directory as a tree.
func (f *Files) Tree(ctx context.Context, req *sandgatev1.TreeRequest) (*sandgatev1.TreeResponse, error) {
	res, err := unary(ctx, f.at(req.GetPath()), req, f.guest.Tree)
	if err != nil {
		return nil, err
	}
	if !cleanTree(res, req) {
		return nil, guestrpc.Broken(errTooMuch)
	}
	return res, nil
}

// orDefault returns what a request asks for, or what it means if it says nothing.
func orDefault(asked int32, otherwise int) int {
	if asked <= 0 {
		return otherwise
	}
	return int(asked)
}

// onward reports whether a token can be that of the page behind another. One that stands still would hold a
// reader forever.
func onward(token, before string) bool {
	return len(token) <= maxTokenBytes && (token == "" || token != before)
}

// cleanGrep mends a page of matches and reports whether it is no longer than was asked for.
func cleanGrep(res *sandgatev1.GrepResponse, req *sandgatev1.GrepRequest) bool {
	room, matches := maxGrepBytes, 0
	for _, file := range res.GetFiles() {
		room -= len(file.GetPath()) + lineCost
		for _, line := range file.GetLines() {
			room -= len(line.GetText()) + lineCost
			if line == nil {
				return false
			}
			line.Number = max(line.GetNumber(), 1)
			if !line.GetContext() {
				matches++
			}
		}
		if file == nil || room < 0 {
			return false
		}
		file.Path = guestrpc.Clip(file.GetPath(), maxPathBytes)
	}
	res.Matches = int32(matches)
	res.Searched, res.Binary, res.Unreadable = max(res.GetSearched(), 0), max(res.GetBinary(), 0), max(res.GetUnreadable(), 0)
	return room >= 0 && matches <= orDefault(req.GetMaxMatches(), defaultMatches) && onward(res.GetNextPageToken(), req.GetPageToken())
}

// cleanTree mends a tree and reports whether it is no larger than was asked for.
func cleanTree(res *sandgatev1.TreeResponse, req *sandgatev1.TreeRequest) bool {
	if len(res.GetEntries()) > orDefault(req.GetMaxEntries(), defaultTreeEntries) {
		return false
	}
	deepest := int32(orDefault(req.GetDepth(), defaultTreeDepth))
	before := int32(0)
	for _, entry := range res.GetEntries() {
		if entry == nil {
			return false
		}
		entry.Name = guestrpc.Clip(entry.GetName(), maxNameBytes)
		entry.SymlinkTarget = guestrpc.Clip(entry.GetSymlinkTarget(), maxPathBytes)
		entry.Type = cleanType(entry.GetType())
		entry.Size, entry.Unlisted = max(entry.GetSize(), 0), max(entry.GetUnlisted(), 0)
		entry.Depth = max(min(entry.GetDepth(), before+1, deepest), 1)
		before = entry.GetDepth()
	}
	res.Path = guestrpc.Clip(res.GetPath(), maxPathBytes)
	res.Unlisted = max(res.GetUnlisted(), 0)
	return true
}

// globRoot returns where a search begins: an absolute pattern says it.
func globRoot(req *sandgatev1.GlobRequest) string {
	if strings.HasPrefix(req.GetPattern(), "/") {
		return req.GetPattern()
	}
	return req.GetPath()
}
