package store

import (
	"context"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

const defaultRead = 1 << 20

// Read reads a range of a file, of bytes or of lines.
func (w *Workspace) Read(ctx context.Context, req *sandgatev1.ReadRequest) (*sandgatev1.ReadResponse, error) {
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.ReadResponse, error) {
		file, size, err := v.open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		length := req.GetLength()
		if length <= 0 {
			length = defaultRead
		}
		if req.GetStartLine() > 0 || req.GetLines() > 0 {
			return readLines(ctx, part{file, size}, req, length)
		}
		offset := min(max(req.GetOffset(), 0), size)
		data, err := part{file, size}.read(offset, length)
		if err != nil {
			return nil, err
		}
		return readResponse(data, offset, size), nil
	})
}

// open opens a regular file for reading.
func (v *view) open(path string) (*os.File, int64, error) {
	at, err := v.find(path, true)
	if err != nil {
		return nil, 0, err
	}
	defer at.close()
	file, stat, err := at.file(at.name, unix.O_RDONLY, ownerRead)
	return file, stat.Size, err
}

// load returns all of a file, of which no more than limit may be there: then it returns one byte more.
func (v *view) load(path string, limit int64) ([]byte, error) {
	file, _, err := v.open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, limit+1))
}

// readResponse holds a piece of a file that begins at an offset: as text, if it is some, without the character
// that the end of the range cut.
func readResponse(data []byte, offset, size int64) *sandgatev1.ReadResponse {
	res := &sandgatev1.ReadResponse{TotalSize: size}
	whole := data
	if offset+int64(len(data)) < size {
		whole = data[:len(data)-cutRune(data)]
	}
	if utf8.Valid(whole) && (len(whole) > 0 || len(data) == 0) {
		data = whole
		res.Content = &sandgatev1.ReadResponse_Text{Text: string(data)}
	} else {
		res.Content = &sandgatev1.ReadResponse_Data{Data: data}
	}
	res.NextOffset = offset + int64(len(data))
	return res
}

// cutRune returns how many bytes at the end are the beginning of a character.
func cutRune(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if tail := data[len(data)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Write replaces a file, or adds to it.
func (w *Workspace) Write(_ context.Context, req *sandgatev1.WriteRequest) (*sandgatev1.WriteResponse, error) {
	data := req.GetData()
	if _, ok := req.GetContent().(*sandgatev1.WriteRequest_Text); ok {
		data = []byte(req.GetText())
	}
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.WriteResponse, error) {
		var info *sandgatev1.FileInfo
		var err error
		if req.GetAppend() {
			info, err = v.appendTo(path, data)
		} else {
			info, err = v.replaceWith(path, data)
		}
		return &sandgatev1.WriteResponse{File: info}, err
	})
}

func (v *view) replaceWith(path string, data []byte) (*sandgatev1.FileInfo, error) {
	return v.replace(path, 0, func(s *staged) error {
		_, err := s.Write(data)
		return err
	})
}

// MakeDir makes a directory and those above it.
func (w *Workspace) MakeDir(_ context.Context, req *sandgatev1.MakeDirRequest) (*sandgatev1.MakeDirResponse, error) {
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.MakeDirResponse, error) {
		if err := v.change(func() error { return v.makeDirectories(path) }); err != nil {
			return nil, err
		}
		info, err := v.describe(path)
		return &sandgatev1.MakeDirResponse{File: info}, err
	})
}

// Move moves a file or directory.
func (w *Workspace) Move(ctx context.Context, req *sandgatev1.MoveRequest) (*sandgatev1.MoveResponse, error) {
	return on(w, req.GetSource(), func(v *view, source string) (*sandgatev1.MoveResponse, error) {
		at, err := v.movable(source)
		if err != nil {
			return nil, err
		}
		at.close()
		destination, err := w.checked(req.GetDestination())
		if err != nil {
			return nil, err
		}
		err = v.change(func() error { return v.move(ctx, source, destination, req.GetOverwrite()) })
		if err != nil {
			return nil, fileError(source+" -> "+destination, err)
		}
		info, err := v.describe(destination)
		if err != nil {
			return nil, fileError(destination, err)
		}
		return &sandgatev1.MoveResponse{File: info}, nil
	})
}

// movable finds what is at a path, unless that is the home, under whatever name.
func (v *view) movable(path string) (spot, error) {
	at, err := v.find(path, false)
	if err == nil && at.name == "." {
		at.close()
		return spot{}, errRoot(path)
	}
	return at, err
}

// Remove removes a file or directory.
func (w *Workspace) Remove(ctx context.Context, req *sandgatev1.RemoveRequest) (*sandgatev1.RemoveResponse, error) {
	return on(w, req.GetPath(), func(v *view, path string) (*sandgatev1.RemoveResponse, error) {
		return &sandgatev1.RemoveResponse{}, v.change(func() error {
			at, err := v.movable(path)
			if err != nil {
				return err
			}
			defer at.close()
			return v.remove(ctx, at, path, req.GetRecursive())
		})
	})
}
