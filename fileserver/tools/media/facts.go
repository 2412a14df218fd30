package media

import (
	"fmt"
	"strings"
	"time"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxFacts bounds what is told about one file.
	maxFacts = 500
	// maxSame bounds what is told under one key.
	maxSame = 50
	// maxText bounds one text of a file, in bytes. What is beyond is said to be left out.
	maxText = 256 << 10
)

// Facts are what is known about a file, in the order in which it was found.
type facts struct {
	list []fact
	seen map[string]string // values by key
}

type fact struct{ key, value string }

// add notes a fact. Empty values are left out, and the same value of the same key is noted once.
func (f *facts) add(key, value string) {
	value = strings.Trim(strings.ToValidUTF8(value, "\uFFFD"), "\x00 \r\n\t")
	if value == "" || len(f.list) >= maxFacts {
		return
	}
	if len(value) > maxText {
		value = strings.ToValidUTF8(value[:maxText], "") + fmt.Sprintf("... (%d bytes in all)", len(value))
	}
	same := key
	for n := 2; n <= maxSame; n++ {
		before, ok := f.seen[key]
		if ok && before == value {
			return
		}
		if !ok {
			break
		}
		key = fmt.Sprintf("%s %d", same, n)
	}
	if f.seen == nil {
		f.seen = make(map[string]string)
	}
	f.seen[key] = value
	f.list = append(f.list, fact{key: key, value: value})
}

// has tells that something was noted of a key.
func (f *facts) has(key string) bool { return f.seen[key] != "" }

// addf notes a fact that is made of values.
func (f *facts) addf(key, format string, args ...any) { f.add(key, fmt.Sprintf(format, args...)) }

// number notes a number that is not zero.
func (f *facts) number(key string, n int) {
	if n != 0 {
		f.addf(key, "%d", n)
	}
}

// size notes width and height in pixels.
func (f *facts) size(width, height int) { f.addf("size", "%dx%d", width, height) }

// duration notes a length in seconds.
func (f *facts) duration(seconds float64) {
	const longest = 1e9
	if seconds > 0 && seconds < longest {
		f.add("duration", time.Duration(seconds*float64(time.Second)).Round(time.Millisecond).String())
	}
}

// give gives the facts out: each as a property, and all as the one part that the file is.
func (f *facts) give(name string, in *document.Input, out *document.Output) error {
	var short, long strings.Builder
	for _, fact := range f.list {
		out.Property(fact.key, fact.value)
		if strings.ContainsAny(fact.value, "\n\r") {
			long.WriteString("\n" + fact.key + ":\n\n" + document.Code("", fact.value) + "\n")
			continue
		}
		short.WriteString("- " + fact.key + ": " + fact.value + "\n")
	}
	if !in.Parts.Wants(1, name) {
		return nil
	}
	return out.Add(document.Part{Location: name, Text: short.String() + long.String()})
}
