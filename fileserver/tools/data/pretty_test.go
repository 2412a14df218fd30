package data

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// pretty writes a reply so that a golden file can be read.
func pretty(tb testing.TB, reply []byte) string {
	tb.Helper()
	var r document.Reply
	if err := json.Unmarshal(reply, &r); err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r.Properties)) {
		fmt.Fprintf(&b, "%s: %s\n", key, r.Properties[key])
	}
	fmt.Fprintf(&b, "error: %s\n\n%s", r.Error, r.Text)
	return b.String()
}
