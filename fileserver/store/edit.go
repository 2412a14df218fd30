package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const (
	maxEdit    = 16 << 20
	maxPreview = 16 << 10
	around     = 3 // lines shown before and behind a change
)

// Edit replaces a piece of a text file.
func (w *Workspace) Edit(_ context.Context, req *sandgatev1.EditRequest) (*sandgatev1.EditResponse, error) {
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.EditResponse, error) {
		old, err := v.load(path, maxEdit)
		switch {
		case err != nil:
			return nil, err
		case len(old) > maxEdit:
			return nil, errEditTooLarge("%q has more than %d bytes; no more can be edited", path, maxEdit)
		case !utf8.Valid(old):
			return nil, fail(connect.CodeFailedPrecondition, "NOT_TEXT", "edit it with a program", "%q is not UTF-8 text", path)
		}
		edited, count, err := edit(old, req)
		if err != nil {
			return nil, err
		}
		info, err := v.replaceWith(path, edited)
		if err != nil {
			return nil, err
		}
		return &sandgatev1.EditResponse{File: info, Replaced: int32(count), Preview: preview(string(old), req)}, nil
	})
}

func errEditTooLarge(format string, args ...any) error {
	return fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "edit it with a program", format, args...)
}

// edit returns the edited text.
func edit(old []byte, req *sandgatev1.EditRequest) (edited []byte, count int, err error) {
	want := max(int(req.GetExpectedCount()), 1)
	piece := []byte(req.GetOldText())
	switch count = bytes.Count(old, piece); {
	case count == want:
		if grown := len(old) + count*(len(req.GetNewText())-len(piece)); grown > maxEdit {
			return nil, 0, errEditTooLarge("the file would have %d bytes; at most %d can be edited", grown, maxEdit)
		}
		return bytes.ReplaceAll(old, piece, []byte(req.GetNewText())), count, nil
	case count > 0:
		return nil, 0, fail(connect.CodeFailedPrecondition, "TEXT_NOT_UNIQUE",
			"give more of the text around it, or set expected_count",
			"the text occurs %d times, not %d; the file is unchanged", count, want)
	}
	// A near miss is worth telling.
	squeezed := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	hint := "read the file and copy the text exactly"
	switch {
	case bytes.Contains(old, bytes.ReplaceAll(piece, []byte("\n"), []byte("\r\n"))):
		hint = `the file's lines end in \r\n: give them so`
	case strings.Contains(squeezed(string(old)), squeezed(req.GetOldText())):
		hint = "it occurs with other white space: copy the indentation exactly"
	}
	return nil, 0, fail(connect.CodeFailedPrecondition, "TEXT_NOT_FOUND", hint, "the text does not occur; the file is unchanged")
}

// preview shows the changed lines with some around them, numbered as they are now.
func preview(rest string, req *sandgatev1.EditRequest) string {
	var out strings.Builder
	for line := 1; out.Len() < maxPreview; {
		before, after, found := strings.Cut(rest, req.GetOldText())
		if !found {
			break
		}
		if out.Len() > 0 {
			out.WriteString("...\n")
		}
		line += strings.Count(before, "\n")
		head, tail := tailLines(before, around), headLines(after, around)
		number := line - strings.Count(head, "\n")
		for text := range strings.SplitSeq(head+req.GetNewText()+tail, "\n") {
			fmt.Fprintf(&out, "%6d\t%s\n", number, strings.TrimSuffix(text, "\r"))
			number++
		}
		line += strings.Count(req.GetNewText(), "\n")
		rest = after
	}
	return validText(out.String()[:min(out.Len(), maxPreview)])
}

// tailLines returns the end of a text: the last line, and n before it.
func tailLines(s string, n int) string {
	at := len(s)
	for ; n >= 0; n-- {
		if at = strings.LastIndexByte(s[:at], '\n'); at < 0 {
			return s
		}
	}
	return s[at+1:]
}

// headLines returns the beginning of a text: the first line, and n behind it, without the end of the last.
func headLines(s string, n int) string {
	at := -1
	for ; n >= 0; n-- {
		next := strings.IndexByte(s[at+1:], '\n')
		if next < 0 {
			return s
		}
		at += 1 + next
	}
	return s[:at]
}
