package guest

import (
	"context"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/workspace"
)

const (
	// maxDiffReply bounds the piece of a diff that a reply holds.
	maxDiffReply = 256 << 10
	diffContext  = 3
)

// Diff compares two texts.
func (s *fileService) Diff(ctx context.Context, req *sandgatev1.DiffRequest) (*sandgatev1.DiffResponse, error) {
	path, before, err := s.load(ctx, req.GetPath())
	if err != nil {
		return nil, err
	}
	other, after := path, req.GetText()
	if _, ok := req.GetOther().(*sandgatev1.DiffRequest_OtherPath); ok {
		if other, after, err = s.load(ctx, req.GetOtherPath()); err != nil {
			return nil, err
		}
	}
	switch {
	case before == after:
		return &sandgatev1.DiffResponse{Equal: true}, nil
	case notText(before) || notText(after):
		return &sandgatev1.DiffResponse{Binary: true}, nil
	}
	context := diffContext
	if req.ContextLines != nil {
		context = int(max(req.GetContextLines(), 0))
	}
	d, err := workspace.Diff(before, after, validText(path), validText(other), context)
	if err != nil {
		return nil, textError(path, err)
	}
	res := &sandgatev1.DiffResponse{Added: int64(d.Added), Removed: int64(d.Removed), TotalSize: int64(len(d.Unified))}
	from := min(max(req.GetOffset(), 0), res.GetTotalSize())
	for from < res.GetTotalSize() && !utf8.RuneStart(d.Unified[from]) {
		from++
	}
	res.Diff = wholeLines(d.Unified[from:], maxDiffReply)
	res.NextOffset = from + int64(len(res.GetDiff()))
	return res, nil
}

// notText reports whether a file is no text that a message can hold.
func notText(content string) bool {
	return workspace.IsBinary([]byte(content)) || !utf8.ValidString(content)
}

// wholeLines returns the beginning of a text, cut behind a line if there is one, else before a character.
func wholeLines(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	if end := strings.LastIndexByte(text[:limit], '\n'); end >= 0 {
		return text[:end+1]
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// load returns a whole text, and the path in its absolute form.
func (s *fileService) load(ctx context.Context, name string) (path, content string, err error) {
	path, err = s.guest.checked(name)
	if err != nil {
		return "", "", err
	}
	file, _, err := s.open(ctx, path)
	if err != nil {
		return "", "", fileError(path, err)
	}
	defer closeAll(file)
	data, err := io.ReadAll(io.LimitReader(file, workspace.MaxTextBytes+1))
	if err == nil && len(data) > workspace.MaxTextBytes {
		return "", "", textError(path, workspace.ErrTooLarge)
	}
	if err != nil {
		return "", "", fileError(path, err)
	}
	return path, string(data), nil
}

// textError says of a path what is wrong with its text.
func textError(path string, err error) error {
	if errors.Is(err, workspace.ErrTooLarge) {
		return fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "use a program, such as diff or patch", "%q: %v", path, err)
	}
	return fileError(path, err)
}
