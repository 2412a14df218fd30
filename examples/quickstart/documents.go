package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// writing makes two documents of what was found: a workbook, and the chart as a PDF with a heading.
const writing = `
with pd.ExcelWriter("report.xlsx") as book:
    by_group.round(1).to_excel(book, sheet_name="Groups")
fig.suptitle(f"{len(df)} packages in {len(by_group)} groups", y=1.0)
fig.savefig("report.pdf")
`

// readDocuments has the gateway read what the sandbox wrote: in WebAssembly, where a document that lies can
// do nothing but be wrong.
func (s *story) readDocuments(ctx context.Context) error {
	if _, err := s.api.run(ctx, s.session, writing); err != nil {
		return err
	}
	if s.fresh {
		s.say("   (the first document has the gateway compile its readers, which takes seconds, once in a state folder)")
	}
	for _, document := range []struct {
		path, parts, want string
		shown             func(text string) string
	}{
		{"report.xlsx", "Groups!A1:D4", "total_mib", func(table string) string { return table }},
		{"report.pdf", "", "Where the disk goes", sentences},
	} {
		start := time.Now()
		got, err := s.api.files.ReadDocument(ctx, &sandgatev1.ReadDocumentRequest{
			SessionId: s.session, Path: document.path, Parts: document.parts, MaxTokens: 200,
		})
		if err != nil {
			return err
		}
		if !strings.Contains(got.GetText(), document.want) {
			return fmt.Errorf("%s was read without %q:\n%s", document.path, document.want, got.GetText())
		}
		s.say("   %s, read as %s (%s):", document.path, got.GetFormat(), since(start))
		s.show(document.shown(got.GetText()))
	}
	return nil
}

// sentences returns the lines of more than one word. Of a chart those are its labels and headings: the
// numbers at its axis stand in lines of their own.
func sentences(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if len(strings.Fields(line)) > 1 {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
