package guest

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// MIME types of ours: a table and a chart as data, in the JSON form of the API's messages.
const (
	tableType = "application/vnd.sandgate.table+json"
	chartType = "application/vnd.sandgate.chart+json"
)

// maxForms bounds how many forms of one display are kept.
const maxForms = 32

// maxStructured bounds a form that becomes nested messages. Decoded they take some thirty times the
// memory of their text, here, in the gateway and in the caller.
const maxStructured = 512 << 10

// maxDepth bounds the nesting of such a form: decoders refuse what is deeper than some thousands.
const maxDepth = 200

// maxValues bounds the values in such forms of all displays of one cell. Each is a message of its own,
// of some hundred bytes, and they may all wait for a slow caller at once.
const maxValues = 200_000

// structured reports whether a form of this type becomes nested messages.
func structured(mime string) bool {
	return mime == "application/json" || mime == tableType || mime == chartType
}

// countValues returns about how many values the structured forms of a bundle hold.
func countValues(data map[string]json.RawMessage) int {
	count := 0
	for mime, raw := range data {
		if structured(mime) {
			values, _ := survey(raw)
			count += values
		}
	}
	return count
}

// survey returns how many values JSON holds, give or take the empty containers, and how deep it is
// nested at most.
func survey(raw []byte) (values, deepest int) {
	level, quoted := 0, false
	values = 1
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			values++
			level++
			deepest = max(deepest, level)
		case c == ',':
			values++
		case c == '}' || c == ']':
			level--
		}
	}
	return values, deepest
}

// newDisplay turns a MIME bundle from a kernel into a display. Forms that are not what their type
// says are left out; nil means that nothing is left.
func newDisplay(data map[string]json.RawMessage, isResult bool) *sandgatev1.Display {
	display := &sandgatev1.Display{IsResult: isResult}
	kept := false
	forms := 0
	for mime, raw := range data {
		if forms++; forms > maxForms {
			break
		}
		kept = addForm(display, mime, raw) || kept
	}
	if !kept {
		return nil
	}
	return display
}

func addForm(display *sandgatev1.Display, mime string, raw json.RawMessage) bool {
	if structured(mime) {
		if _, depth := survey(raw); len(raw) > maxStructured || depth > maxDepth {
			return false
		}
	}
	switch mime {
	case "application/json":
		value := new(structpb.Value)
		return unmarshal(raw, value) && set(&display.Json, value)
	case tableType:
		table := new(sandgatev1.Table)
		return unmarshal(raw, table) && set(&display.Table, table)
	case chartType:
		chart := new(sandgatev1.Chart)
		return unmarshal(raw, chart) && set(&display.Chart, chart)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || text == "" {
		return false
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	switch mime {
	case "text/plain":
		return set(&display.Text, text)
	case "text/html":
		return set(&display.Html, text)
	case "text/markdown":
		return set(&display.Markdown, text)
	case "image/svg+xml":
		return set(&display.Svg, text)
	case "text/latex":
		return set(&display.Latex, text)
	case "application/javascript", "text/javascript":
		return set(&display.Javascript, text)
	case "image/png":
		return decode(&display.Png, text)
	case "image/jpeg":
		return decode(&display.Jpeg, text)
	case "application/pdf":
		return decode(&display.Pdf, text)
	}
	if len(mime) > 256 {
		return false
	}
	if display.Extra == nil {
		display.Extra = map[string]string{}
	}
	display.Extra[strings.ToValidUTF8(mime, "\uFFFD")] = text
	return true
}

func set[T any](field *T, value T) bool {
	*field = value
	return true
}

func decode(field *[]byte, text string) bool {
	data, err := base64.StdEncoding.DecodeString(strings.Map(dropSpace, text))
	if err != nil || len(data) == 0 {
		return false
	}
	*field = data
	return true
}

// dropSpace removes the line breaks that encoders like to put in.
func dropSpace(r rune) rune {
	if r == '\n' || r == '\r' {
		return -1
	}
	return r
}

func unmarshal(raw json.RawMessage, message proto.Message) bool {
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, message) == nil
}
