package workspace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/sandbox/workspace"
)

func BenchmarkSearch(b *testing.B) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "func handler%d(w http.ResponseWriter, r *http.Request) error { return nil }\n", i)
	}
	file := text.String()
	for _, pattern := range []string{"handler199", "(?i)HANDLER199", `\w+199\(`, "[a-z]+ [xyz]"} {
		b.Run(pattern, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			search := workspace.NewSearch(newQuery(b, pattern, false, false), 0, budget(1<<30))
			for b.Loop() {
				if _, _, err := search.File(b.Context(), strings.NewReader(file), workspace.Place{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
