package document_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// give gives out three parts.
func give(t *testing.T, request document.Request) *document.Reply {
	t.Helper()
	out := document.NewOutput(request)
	out.Property("title", "a\n title")
	out.Property("empty", " ")
	for _, part := range []document.Part{
		{Location: "page 1", Title: "Ünïcödé", Text: "\nfirst\n\n"},
		{Location: "page\n2", Text: "second \xff"},
		{Location: "page 3", Title: strings.Repeat("long ", 1000), Text: "third"},
	} {
		if err := out.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	return out.Reply("text", nil)
}

// TestOutput gives out all of it: one line for each part's place, and lists where each begins.
func TestOutput(t *testing.T) {
	t.Parallel()
	reply := give(t, document.Request{Limit: 10_000})
	if !strings.HasPrefix(reply.Text, "[page 1] Ünïcödé\n\nfirst\n\n[page 2]\n\nsecond \uFFFD\n\n[page 3] long long") {
		t.Errorf("%q", reply.Text)
	}
	if reply.Next != reply.Total || reply.Total != int64(len(reply.Text)) || len(reply.Properties) != 1 || reply.Properties["title"] != "a title" {
		t.Errorf("%+v", reply)
	}
	for i, part := range reply.Parts {
		if !strings.HasPrefix(reply.Text[part.Offset:part.Offset+part.Size], "["+part.Location+"]") || len(part.Title) > 500 {
			t.Errorf("part %d: %+v", i, part)
		}
	}
}

// TestOutputInPieces: whatever the limit, the pieces are the whole, and none ends within a character.
func TestOutputInPieces(t *testing.T) {
	t.Parallel()
	whole := give(t, document.Request{Limit: 10_000})
	for limit := int64(4); limit < 60; limit++ {
		var all strings.Builder
		for offset := int64(0); offset < whole.Total; {
			reply := give(t, document.Request{Limit: limit, Offset: offset})
			if reply.Next <= offset || reply.Total != whole.Total {
				t.Fatalf("limit %d, offset %d: %+v", limit, offset, reply)
			}
			all.WriteString(reply.Text)
			offset = reply.Next
		}
		if all.String() != whole.Text {
			t.Errorf("limit %d: the pieces are not the whole", limit)
		}
	}
}

// TestOutputSearches in titles and texts, whatever the case.
func TestOutputSearches(t *testing.T) {
	t.Parallel()
	for search, want := range map[string]int{"": 3, "SECOND": 1, "ünïCÖDÉ": 1, "nothing": 0, "\n  SeCond\t": 1} {
		if reply := give(t, document.Request{Limit: 100, Search: search}); len(reply.Parts) != want {
			t.Errorf("%q: %d parts, want %d", search, len(reply.Parts), want)
		}
	}
}

// TestFailure: the error of a reply is what the reader's was.
func TestFailure(t *testing.T) {
	t.Parallel()
	for _, err := range []error{document.ErrFormat, document.ErrUnknown, document.ErrSelection} {
		reply := document.NewOutput(document.Request{}).Reply("text", err)
		if !errors.Is(reply.Failure(), err) || reply.Failure().Error() != err.Error() {
			t.Errorf("%v became %v", err, reply.Failure())
		}
	}
	if reply := document.NewOutput(document.Request{}).Reply("text", document.ErrEnough); reply.Error != "" {
		t.Error(reply.Error)
	}
}
