package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// imageSaver keeps pictures as numbered files of a folder. It is not safe for concurrent use.
type imageSaver struct {
	dir   string // empty: pictures are told about and not kept
	count int
}

// save keeps a picture, or does not where there is no folder, and returns a line that tells of it.
func (s *imageSaver) save(mimeType string, data []byte) (string, error) {
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
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return "", fmt.Errorf("save a picture: %w", err)
	}
	return fmt.Sprintf("[%s, %d bytes: %s]", kind, len(data), name), nil
}
