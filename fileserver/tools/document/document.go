// Package document is the common form of what readers of documents make: pieces of Markdown, each with the
// place it came from. It is used inside the WASM program that runs the readers, so all that it is given is
// untrusted, and the program's memory, time and output are bounded by who runs it.
package document

import (
	"errors"
	"fmt"
)

// What is wrong with a document or a request.
var (
	// ErrFormat is wrapped by a reader's error where the file is damaged, or not of the reader's format.
	ErrFormat = errors.New("the file is damaged or of another format")
	// ErrUnknown is for a format that no reader knows.
	ErrUnknown = errors.New("no reader knows the format")
	// ErrSelection is for a selection that cannot be understood.
	ErrSelection = errors.New("this is no selection of parts")
)

// Damaged returns an error that wraps [ErrFormat] and says what is wrong.
func Damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrFormat, fmt.Errorf(format, args...))
}

// A Reader reads documents of one format. It gives out part by part, in the document's order, and returns
// the first error that out returns, as it is.
type Reader func(in *Input, out *Output) error

// An Input is a document.
type Input struct {
	Name  string // of the file, without its directory
	Data  []byte
	Parts Selection // what is wanted of it
}

// A Part is a piece of a document that can be cited: a page, a sheet, a slide, a chapter, a message's part.
type Part struct {
	// Location says where it is, in the words that a selection takes: "page 3", "slide 2", "Sales!A1:D20",
	// "chapter 4", "cell 7", "rows 1-500". It is one line and not empty.
	Location string
	// Title is what the document itself calls it, empty for nothing.
	Title string
	// Text is Markdown.
	Text string
}
