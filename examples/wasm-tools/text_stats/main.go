// The program text_stats is a tool of an operator's own, in Go: it counts the lines, words and letters of text files. Its
// arguments come as JSON on stdin, with the files that they name at the paths that stand there; what it writes to stdout
// is its result, and what it writes to stderr, with an exit code that is not 0, is why there is none.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// arguments are what text_stats.json says of them.
type arguments struct {
	Paths []string `json:"paths"`
	Words int      `json:"words"` // how many of the most frequent ones are shown
}

// stats are what is found in one file.
type stats struct {
	Path    string   `json:"path"`
	Lines   int      `json:"lines"`
	Words   int      `json:"words"`
	Letters int      `json:"letters"`
	Often   []string `json:"often,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var args arguments
	if err := json.NewDecoder(os.Stdin).Decode(&args); err != nil {
		return err
	}
	found := make([]stats, 0, len(args.Paths))
	for _, path := range args.Paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !utf8.Valid(text) {
			return fmt.Errorf("%s is no text", path)
		}
		found = append(found, count(path, string(text), args.Words))
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// count counts what is in a text, and names the words that are in it most often.
func count(path, text string, most int) stats {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	times := map[string]int{}
	for _, word := range words {
		times[word]++
	}
	often := make([]string, 0, len(times))
	for word := range times {
		often = append(often, word)
	}
	slices.SortFunc(often, func(a, b string) int {
		if times[a] != times[b] {
			return times[b] - times[a]
		}
		return strings.Compare(a, b)
	})
	return stats{
		Path: path, Lines: strings.Count(text, "\n"), Words: len(words), Letters: utf8.RuneCountInString(text),
		Often: often[:min(max(most, 0), len(often))],
	}
}
