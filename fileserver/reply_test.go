package fileserver

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// TestRepliesAreBelievedNothing gives out what a reader says that a document has made its own.
func TestRepliesAreBelievedNothing(t *testing.T) {
	wanted := document.Request{Limit: 1000}
	long := strings.Repeat("long\x00\x1b[31m\n", 200)
	evil := &document.Reply{
		Format: long, Text: "\xff\xfe text", Next: 1 << 62, Total: -5, Unlisted: -1, Error: long, Properties: map[string]string{},
	}
	for i := range 10_000 {
		evil.Parts = append(evil.Parts, document.Listed{Location: long, Title: "\xff", Offset: -1, Size: -1})
		evil.Properties[fmt.Sprintf("%d%s", i, long)] = long
	}
	res, err := responseOf(wanted, evil)
	if err != nil {
		t.Fatal(err)
	}
	if size := proto.Size(res); size > 300_000 || len(res.GetParts()) != maxParts || len(res.GetProperties()) != maxProperties {
		t.Errorf("%d bytes, %d parts, %d properties", size, len(res.GetParts()), len(res.GetProperties()))
	}
	if !utf8.ValidString(res.GetText()) || res.GetTotalSize() != 0 || res.GetNextOffset() != 0 || res.GetUnlistedParts() != 9_800 {
		t.Errorf("%q, %d, %d, %d", res.GetText(), res.GetTotalSize(), res.GetNextOffset(), res.GetUnlistedParts())
	}
	if strings.ContainsAny(res.GetFormat()+res.GetProblem()+res.GetParts()[0].GetLocation(), "\x00\x1b\n") {
		t.Error("a line is none")
	}
	back := &document.Reply{Text: "some text", Next: 3, Total: 5000, Unlisted: 1 << 62}
	if res, err := responseOf(document.Request{Limit: 1000, Offset: 1000}, back); err != nil || res.GetNextOffset() != 1009 || res.GetUnlistedParts() > 5000 {
		t.Errorf("a text that goes on at %d, %d parts, %v", res.GetNextOffset(), res.GetUnlistedParts(), err)
	}
	if _, err := responseOf(wanted, &document.Reply{Text: strings.Repeat("x", 1001)}); err == nil {
		t.Error("more text than was asked for is given out")
	}
	if _, err := responseOf(wanted, &document.Reply{Error: long, Reason: "another"}); err == nil || len(err.Error()) > 2*maxLineBytes {
		t.Errorf("%v", err)
	}
}
