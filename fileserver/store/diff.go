package store

import (
	"context"
	"errors"
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
func (w *Workspace) Diff(_ context.Context, req *sandgatev1.DiffRequest) (*sandgatev1.DiffResponse, error) {
	path, before, err := w.text(req.GetPath())
	if err != nil {
		return nil, err
	}
	other, after := path, req.GetText()
	if _, ok := req.GetOther().(*sandgatev1.DiffRequest_OtherPath); ok {
		if other, after, err = w.text(req.GetOtherPath()); err != nil {
			return nil, err
		}
	}
	switch {
	case before == after:
		return &sandgatev1.DiffResponse{Equal: true}, nil
	case notText(before) || notText(after):
		return &sandgatev1.DiffResponse{Binary: true}, nil
	}
	lines := diffContext
	if req.ContextLines != nil {
		lines = int(max(req.GetContextLines(), 0))
	}
	d, err := workspace.Diff(before, after, validText(path), validText(other), lines)
	if err != nil {
		return nil, textError(path, err)
	}
	total := int64(len(d.Unified))
	from := min(max(req.GetOffset(), 0), total)
	for from < total && !utf8.RuneStart(d.Unified[from]) {
		from++
	}
	shown := beginning(d.Unified[from:], maxDiffReply)
	return &sandgatev1.DiffResponse{
		Diff: shown, Added: int64(d.Added), Removed: int64(d.Removed), TotalSize: total, NextOffset: from + int64(len(shown)),
	}, nil
}

// notText reports whether a file is no text that a message can hold.
func notText(content string) bool {
	return workspace.IsBinary([]byte(content)) || !utf8.ValidString(content)
}

// beginning returns the beginning of a text, cut behind a line if there is one, else before a character.
func beginning(text string, limit int) string {
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

// text returns a whole text, and its path in the absolute form.
func (w *Workspace) text(name string) (path, content string, err error) {
	content, err = on(w, name, func(v *view, absolute string) (string, error) {
		path = absolute
		return v.text(absolute)
	})
	return path, content, err
}

func (v *view) text(path string) (string, error) {
	data, err := v.load(path, workspace.MaxTextBytes)
	if err == nil && len(data) > workspace.MaxTextBytes {
		err = textError(path, workspace.ErrTooLarge)
	}
	return string(data), err
}

// textError says of a path what is wrong with its text.
func textError(path string, err error) error {
	if errors.Is(err, workspace.ErrTooLarge) {
		return fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "use a program, such as diff or patch", "%q: %v", path, err)
	}
	return fileError(path, err)
}
