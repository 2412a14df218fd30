package pyrunner

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

const (
	// maxText bounds the text that a model gets from one call, in bytes.
	maxText = 64 << 10
	// notesText is the part of it that is kept free for notes and headings.
	notesText = 8 << 10
)

// A keeper keeps the head and the tail of a text of any length. It holds at most three times
// maxText.
type keeper struct {
	head, tail []byte
	total      int64
}

// write adds to the text.
func (k *keeper) write(data []byte) {
	k.total += int64(len(data))
	room := min(maxText-len(k.head), len(data))
	k.head = append(k.head, data[:room]...)
	data = data[room:]
	if len(data) > maxText {
		data = data[len(data)-maxText:]
	}
	if len(k.tail)+len(data) > 2*maxText {
		k.tail = append(k.tail[:0], k.tail[len(k.tail)+len(data)-maxText:]...)
	}
	k.tail = append(k.tail, data...)
}

// line adds a text that ends in a line end.
func (k *keeper) line(text string) {
	k.write([]byte(text))
	if !strings.HasSuffix(text, "\n") {
		k.write([]byte{'\n'})
	}
}

// text returns the text in about budget bytes, at most maxText, and how many bytes were left out
// between its head and its tail.
func (k *keeper) text(budget int) (string, int64) {
	if k.total <= int64(budget) {
		return valid(slices.Concat(k.head, k.tail)), 0
	}
	whole := slices.Concat(k.head, k.tail)
	headSize := budget * 3 / 5
	head, tail := k.head[:headSize], whole[len(whole)-(budget-headSize):]
	if end := bytes.LastIndexByte(head, '\n'); end > headSize/2 {
		head = head[:end+1]
	}
	if start := bytes.IndexByte(tail, '\n'); start >= 0 && start < len(tail)/2 {
		tail = tail[start+1:]
	}
	cut := k.total - int64(len(head)+len(tail))
	return fmt.Sprintf("%s\n[… %d bytes left out here …]\n%s", strings.TrimSuffix(valid(head), "\n"), cut, valid(tail)), cut
}

// valid returns data as text, whatever it is, and never longer.
func valid(data []byte) string { return strings.ToValidUTF8(string(data), "?") }

// share divides a budget among texts so that short ones get all they want and long ones get the
// same.
func share(budget int, keepers ...*keeper) []int {
	order := make([]int, len(keepers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return int(min(keepers[a].total, maxText) - min(keepers[b].total, maxText)) })
	parts := make([]int, len(keepers))
	for n, i := range order {
		parts[i] = int(min(keepers[i].total, int64(budget/(len(keepers)-n))))
		budget -= parts[i]
	}
	return parts
}

// A page is the text for a model, section by section.
type page struct{ text strings.Builder }

// section adds a text under a heading. An empty text adds nothing, an empty heading is left out.
func (p *page) section(heading, text string) {
	if text == "" {
		return
	}
	p.endLine()
	if heading != "" {
		p.text.WriteString("[" + heading + "]\n")
	}
	p.text.WriteString(text)
}

// note adds a line in brackets.
func (p *page) note(format string, args ...any) {
	p.endLine()
	fmt.Fprintf(&p.text, "["+format+"]\n", args...)
}

// endLine sees to it that what follows begins a line.
func (p *page) endLine() {
	if text := p.text.String(); text != "" && !strings.HasSuffix(text, "\n") {
		p.text.WriteByte('\n')
	}
}

// content returns the page as a part of a reply, none if it is empty.
func (p *page) content() []*sandgatev1.Content {
	text := strings.TrimRight(p.text.String(), "\n")
	if text == "" {
		return nil
	}
	return []*sandgatev1.Content{{Part: &sandgatev1.Content_Text{Text: text}}}
}

// stream adds what a stream held, within budget.
func (p *page) stream(heading string, k *keeper, budget int) (cut int64) {
	text, cut := k.text(budget)
	p.section(heading, text)
	return cut
}

// cutNote says what of a stream is not on the page and how to get it. Cut is what the page itself
// left out.
func (p *page) cutNote(name string, cut int64, sum *sandgatev1.StreamSummary) {
	missing := sum.GetDroppedBytes() + cut
	switch {
	case missing == 0:
	case sum.GetFile() != "" && sum.GetFileBytes() < sum.GetTotalBytes():
		p.note("%s: %d of %d bytes are not shown; the first %d are in %s, read it in parts with file_read",
			name, missing, sum.GetTotalBytes(), sum.GetFileBytes(), oneLine(sum.GetFile()))
	case sum.GetFile() != "":
		p.note("%s: %d of %d bytes are not shown; the whole is in %s, read it in parts with file_read",
			name, missing, sum.GetTotalBytes(), oneLine(sum.GetFile()))
	default:
		p.note("%s: %d of %d bytes are not shown; to see them, print less at a time or write to a file and read it in parts",
			name, missing, sum.GetTotalBytes())
	}
}

// oneLine returns text without line ends, short enough for a note.
func oneLine(text string) string {
	text = guestrpc.Clip(text, notesText/8)
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// statusWord is a status as a model reads it.
func statusWord(status sandgatev1.Status) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(status.String(), "STATUS_")), "_", " ")
}
