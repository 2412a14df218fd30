package guest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
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
func (s *fileService) Edit(ctx context.Context, req *sandgatev1.EditRequest) (*sandgatev1.EditResponse, error) {
	path, err := s.guest.checked(req.GetPath())
	if err != nil {
		return nil, err
	}
	file, size, err := s.open(ctx, path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer closeAll(file)
	if size > maxEdit {
		return nil, fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "edit it with a program",
			"%q has %d bytes; at most %d can be edited", path, size, maxEdit)
	}
	old, err := io.ReadAll(io.LimitReader(file, maxEdit+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if !utf8.Valid(old) {
		return nil, fail(connect.CodeFailedPrecondition, "NOT_TEXT", "edit it with a program", "%q is not UTF-8 text", path)
	}
	edited, count, err := edit(old, req)
	if err != nil {
		return nil, err
	}
	if len(edited) > maxEdit {
		return nil, fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "edit it with a program",
			"%q would have %d bytes; at most %d can be edited", path, len(edited), maxEdit)
	}
	info, err := s.replace(ctx, path, 0, func(file *os.File) error {
		_, err := file.Write(edited)
		return err
	})
	if err != nil {
		return nil, fileError(path, err)
	}
	return &sandgatev1.EditResponse{File: info, Replaced: int32(count), Preview: preview(old, req)}, nil
}

// edit returns the edited text.
func edit(old []byte, req *sandgatev1.EditRequest) (edited []byte, count int, err error) {
	want := max(int(req.GetExpectedCount()), 1)
	piece := []byte(req.GetOldText())
	count = bytes.Count(old, piece)
	if count == want {
		if grown := len(old) + count*(len(req.GetNewText())-len(piece)); grown > maxEdit {
			return nil, 0, fail(connect.CodeFailedPrecondition, "FILE_TOO_LARGE", "edit it with a program",
				"the file would have %d bytes; at most %d can be edited", grown, maxEdit)
		}
		return bytes.ReplaceAll(old, piece, []byte(req.GetNewText())), count, nil
	}
	if count > 0 {
		return nil, 0, fail(connect.CodeFailedPrecondition, "TEXT_NOT_UNIQUE",
			"give more of the text around it, or set expected_count",
			"the text occurs %d times, not %d; the file is unchanged", count, want)
	}
	hint := "read the file and copy the text exactly"
	if bytes.Contains(old, bytes.ReplaceAll(piece, []byte("\n"), []byte("\r\n"))) {
		hint = `the file's lines end in \r\n: give them so`
	} else if strings.Contains(squeeze(string(old)), squeeze(req.GetOldText())) {
		hint = "it occurs with other white space: copy the indentation exactly"
	}
	return nil, 0, fail(connect.CodeFailedPrecondition, "TEXT_NOT_FOUND", hint, "the text does not occur; the file is unchanged")
}

// squeeze makes all white space alike, to tell a near miss.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// preview shows the changed lines with some around them, numbered as they are now.
func preview(old []byte, req *sandgatev1.EditRequest) string {
	var out strings.Builder
	rest, line := string(old), 1
	for {
		before, after, found := strings.Cut(rest, req.GetOldText())
		if !found || out.Len() >= maxPreview {
			break
		}
		if out.Len() > 0 {
			out.WriteString("...\n")
		}
		line += strings.Count(before, "\n")
		head := lastLines(before, around)
		tail, _, _ := cutLines(after, around+1)
		first := line - strings.Count(head, "\n")
		for i, text := range strings.Split(head+req.GetNewText()+tail, "\n") {
			fmt.Fprintf(&out, "%6d\t%s\n", first+i, strings.TrimSuffix(text, "\r"))
		}
		line += strings.Count(req.GetNewText(), "\n")
		rest = after
	}
	return clip(out.String(), maxPreview)
}

// lastLines returns the end of a text from n line breaks before its end.
func lastLines(s string, n int) string {
	at := len(s)
	for range n + 1 {
		next := strings.LastIndexByte(s[:at], '\n')
		if next < 0 {
			return s
		}
		at = next
	}
	return s[at+1:]
}

// cutLines returns the beginning of a text up to the nth line break, without that.
func cutLines(s string, n int) (head, tail string, found bool) {
	at := 0
	for range n {
		next := strings.IndexByte(s[at:], '\n')
		if next < 0 {
			return s, "", false
		}
		at += next + 1
	}
	return s[:at-1], s[at:], true
}
