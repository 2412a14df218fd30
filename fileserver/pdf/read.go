package pdf

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// Bounds of the outline.
const (
	maxEntries = 2_000
	maxDepth   = 12
)

// Read gives out the pages of a document that are wanted, as text. Errors: those of [document.Reader],
// ctx's, and of the instance ([wasm.ErrMemory], [*wasm.ExitError]).
func (r *Reader) Read(ctx context.Context, in *document.Input, out *document.Output) error {
	return r.with(ctx, in.Data, func(f *file) error {
		for _, key := range []string{"Title", "Author", "Subject", "Keywords", "CreationDate", "ModDate", "Producer"} {
			out.Property(strings.ToLower(key), f.meta(key))
		}
		out.Property("pages", strconv.Itoa(f.pages))
		titles := make(map[int]string)
		if outline := f.outline(titles); outline != "" && in.Parts.Wants(0, "outline") {
			if err := out.Add(document.Part{Location: "outline", Text: outline}); err != nil {
				return err
			}
		}
		last := in.Parts.Last()
		for page := range f.pages {
			if last > 0 && page >= last {
				break
			}
			if !in.Parts.Wants(page+1, "") {
				continue
			}
			text := f.text(page)
			if f.failed != nil {
				return f.failed
			}
			if strings.TrimSpace(text) == "" {
				text = "(no text on this page; ask for page_images to see it)"
			}
			if err := out.Add(document.Part{Location: fmt.Sprintf("page %d", page+1), Title: titles[page], Text: text}); err != nil {
				return err
			}
		}
		return f.failed
	})
}

// outline returns the document's table of contents as a list, and notes the titles of pages.
func (f *file) outline(titles map[int]string) string {
	var b strings.Builder
	entries := 0
	var walk func(parent uint64, depth int)
	walk = func(parent uint64, depth int) {
		for mark := f.call("FPDFBookmark_GetFirstChild", f.handle, parent); mark != 0; mark = f.call("FPDFBookmark_GetNextSibling", f.handle, mark) {
			if entries++; entries > maxEntries || depth > maxDepth {
				return // also where bookmarks go round in circles
			}
			title := strings.Join(strings.Fields(f.wide(func(buffer, size uint64) uint64 {
				return f.call("FPDFBookmark_GetTitle", mark, buffer, size)
			})), " ")
			fmt.Fprintf(&b, "%s- %s", strings.Repeat("  ", depth), title)
			if dest := f.call("FPDFBookmark_GetDest", f.handle, mark); dest != 0 {
				page := int(int32(f.call("FPDFDest_GetDestPageIndex", f.handle, dest))) //nolint:gosec // a C int
				if page >= 0 && page < f.pages {
					fmt.Fprintf(&b, " (page %d)", page+1)
					if titles[page] == "" {
						titles[page] = title
					}
				}
			}
			b.WriteByte('\n')
			walk(mark, depth+1)
		}
	}
	walk(0, 0)
	return b.String()
}

// text returns what stands on a page, counted from 0.
func (f *file) text(page int) string {
	handle := f.call("FPDF_LoadPage", f.handle, uint64(page))
	if handle == 0 {
		return ""
	}
	defer f.call("FPDF_ClosePage", handle)
	text := f.call("FPDFText_LoadPage", handle)
	if text == 0 {
		return ""
	}
	defer f.call("FPDFText_ClosePage", text)
	return layOut(f.words(text))
}
