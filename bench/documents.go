package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// The rows about documents: B9, and a PDF of a hundred pages.

const (
	documentBudget = 5.0     // ms
	pdfBudget      = 1_000.0 // ms
	pdfPages       = 100
	documentPause  = 30 * time.Millisecond // an agent reads one, and then thinks
)

// measureDocuments is B9. Its floor is reading the bytes of the same document.
func measureDocuments(ctx context.Context, r *rig) (_ []row, err error) {
	s, err := r.session(ctx, "python")
	if err != nil {
		return nil, err
	}
	documents := map[string][]byte{"small.csv": []byte("region;units\nNorth;12\nSouth;7\n"), "long.pdf": longPDF()}
	for path, content := range documents {
		if _, err := s.files.Write(ctx, &sandgatev1.WriteRequest{SessionId: s.id, Path: path, Content: &sandgatev1.WriteRequest_Data{Data: content}}); err != nil {
			return nil, err
		}
	}
	raw := func(path string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.files.Read(ctx, &sandgatev1.ReadRequest{SessionId: s.id, Path: path})
			return err
		}
	}
	read := func(path, want string) func(context.Context) error {
		return func(ctx context.Context) error {
			res, err := s.files.ReadDocument(ctx, &sandgatev1.ReadDocumentRequest{SessionId: s.id, Path: path, MaxTokens: 100_000})
			if err == nil && !strings.Contains(res.GetText(), want) {
				err = errors.New("a document was read without what is in it")
			}
			return err
		}
	}
	small, long := read("small.csv", "| North | 12 |"), read("long.pdf", "line 40 of page 100")
	if err := errors.Join(small(ctx), long(ctx)); err != nil { // which compiles the readers
		return nil, err
	}
	floor, value, err := r.apart(ctx, raw("small.csv"), small)
	if err != nil {
		return nil, err
	}
	got, err := compare(ctx, 5, 1, raw("long.pdf"), long)
	if err != nil {
		return nil, err
	}
	return []row{
		row{What: "read a small CSV file as a document, p50", Unit: "ms", Value: value}.against(floor).atMost(documentBudget),
		row{What: fmt.Sprintf("read a PDF of %d pages, p50", pdfPages), Unit: "ms", Value: got[1]}.against(got[0]).atMost(pdfBudget),
	}, nil
}

// apart returns the median times of a floor and of what stands on it, each call after a pause.
func (r *rig) apart(ctx context.Context, floor, do func(context.Context) error) (low, value float64, err error) {
	var lows, values []float64
	for range r.scale.creations {
		for _, each := range []struct {
			do    func(context.Context) error
			times *[]float64
		}{{floor, &lows}, {do, &values}} {
			if err := pause(ctx, documentPause); err != nil {
				return 0, 0, err
			}
			took, err := timed(ctx, each.do)
			if err != nil {
				return 0, 0, err
			}
			*each.times = append(*each.times, took)
		}
	}
	return percentile(lows, 50), percentile(values, 50), nil
}

// longPDF makes a PDF with forty lines of text on each page.
func longPDF() []byte {
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"}
	var kids strings.Builder
	for page := range pdfPages {
		var text strings.Builder
		text.WriteString("BT /F 10 Tf 12 TL 60 780 Td\n")
		for line := range 40 {
			fmt.Fprintf(&text, "(What stands on line %d of page %d is the text that is to be read from it.) Tj T*\n", line+1, page+1)
		}
		text.WriteString("ET")
		fmt.Fprintf(&kids, "%d 0 R ", len(objects)+1)
		objects = append(objects,
			fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F 3 0 R >> >> >>", len(objects)+2),
			fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", text.Len(), text.String()))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", kids.String(), pdfPages)
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var table strings.Builder
	for i, object := range objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table.String(), len(objects)+1, at)
	return b.Bytes()
}
