package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// imageSaver keeps pictures as numbered files of a folder. It is not safe for concurrent use.
type imageSaver struct {
	dir   string // empty: pictures are told about and not kept
	count int    // the number of the last one
}

// save keeps a picture, or does not where there is no folder, and returns a line that tells of it.
func (s *imageSaver) save(mimeType string, data []byte) (string, error) {
	if s.count == 0 && s.dir != "" {
		s.count = lastImage(s.dir)
	}
	s.count++
	kind, extension := "picture", ".bin"
	switch mimeType {
	case "image/png":
		kind, extension = "PNG picture", ".png"
	case "image/jpeg":
		kind, extension = "JPEG picture", ".jpg"
	case "image/svg+xml":
		kind, extension = "SVG picture", ".svg"
	}
	if s.dir == "" {
		return fmt.Sprintf("[%s, %d bytes; --images DIR keeps it]", kind, len(data)), nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for pictures: %w", err)
	}
	name := filepath.Join(s.dir, fmt.Sprintf("image-%d%s", s.count, extension))
	// The bytes were made by untrusted code: the file is data, never executable.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return "", fmt.Errorf("save a picture: %w", err)
	}
	return fmt.Sprintf("[%s, %d bytes: %s]", kind, len(data), name), nil
}

// lastImage is the highest number that a picture in a folder has: those of earlier runs stay.
func lastImage(dir string) int {
	entries, _ := os.ReadDir(dir) // what cannot be read will not be written either, and says why
	last := 0
	for _, entry := range entries {
		rest, ours := strings.CutPrefix(entry.Name(), "image-")
		number, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(number); ours && err == nil {
			last = max(last, n)
		}
	}
	return last
}
