package web

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxHeader bounds how many lines a header may have.
	maxHeader = 2000
	// maxField bounds a header's field that goes on over lines, in bytes.
	maxField = 64 << 10
)

// An entity is a message or a part of one.
type entity struct {
	header     map[string]string // the first of each name, in lower case
	body       []byte
	mediaType  string // in lower case
	parameters map[string]string
}

// parseEntity reads a header and what it says of the body. A header ends with an empty line, or before what is no field.
func parseEntity(data []byte, standard string) entity {
	e := entity{header: make(map[string]string), mediaType: standard}
	name := ""
	for count := 0; count < maxHeader && len(data) > 0; count++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			data = rest
			break
		}
		key, value, isField := bytes.Cut(line, []byte(":"))
		switch folded := line[0] == ' ' || line[0] == '\t'; {
		case folded && name != "":
			if len(e.header[name]) > maxField {
				break
			}
			e.header[name] += " " + string(bytes.TrimSpace(line))
		case isField && !bytes.ContainsAny(key, " \t") && len(key) > 0:
			name = strings.ToLower(string(key))
			if _, twice := e.header[name]; twice {
				name += " again" // which no field is called
			}
			e.header[name] = string(bytes.TrimSpace(value))
		case count == 0 && bytes.HasPrefix(line, []byte("From ")): // of a mailbox
		default:
			e.body = data
			e.contentType()
			return e
		}
		data = rest
	}
	e.body = data
	e.contentType()
	return e
}

// contentType reads the field of that name. One that is broken leaves what can be read of it.
func (e *entity) contentType() {
	kind, parameters, _ := mime.ParseMediaType(e.header["content-type"])
	if strings.Contains(kind, "/") {
		e.mediaType = kind
	}
	e.parameters = parameters
}

// decoded returns a field without the encoding of words in it (RFC 2047).
func (e *entity) decoded(name string) string {
	return decodeWords(e.header[strings.ToLower(name)])
}

func decodeWords(text string) string {
	decoder := mime.WordDecoder{CharsetReader: func(label string, input io.Reader) (io.Reader, error) {
		data, err := io.ReadAll(input)
		text, _ := decode(data, label)
		return strings.NewReader(text), err
	}}
	text, _ = decode([]byte(text), "") // some write bytes without encoding them
	if decoded, err := decoder.DecodeHeader(text); err == nil {
		return decoded
	}
	return text
}

// attached tells whether the entity is a file rather than a text of the message.
func (e *entity) attached() bool {
	disposition, _, _ := mime.ParseMediaType(e.header["content-disposition"])
	return disposition == "attachment" || e.mediaType != "text/plain" && e.mediaType != "text/html" && e.fileName() != ""
}

// isText tells whether the entity is a text to be read.
func (e *entity) isText() bool {
	return (strings.HasPrefix(e.mediaType, "text/") || e.mediaType == "message/delivery-status") && !e.attached()
}

// fileName returns the name that the entity's file has, empty for none.
func (e *entity) fileName() string {
	_, parameters, _ := mime.ParseMediaType(e.header["content-disposition"])
	return decodeWords(cmp.Or(parameters["filename"], e.parameters["name"]))
}

// describe tells a file in one line.
func (e *entity) describe() string {
	name := cmp.Or(e.fileName(), "without a name")
	return fmt.Sprintf("%s, %s, %d bytes", name, e.mediaType, len(e.decodedBody()))
}

// decodedBody returns the body without its transfer encoding. Of a damaged one it is what can be decoded.
func (e *entity) decodedBody() []byte {
	switch strings.ToLower(e.header["content-transfer-encoding"]) {
	case "base64":
		return unbase64(e.body)
	case "quoted-printable":
		return unquote(e.body)
	}
	return e.body
}

// unbase64 decodes Base64, whatever else is in it.
func unbase64(data []byte) []byte {
	data = bytes.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '+' || r == '/' {
			return r
		}
		return -1
	}, data)
	if len(data)%4 == 1 {
		data = data[:len(data)-1] // less than a byte
	}
	decoded, _ := base64.RawStdEncoding.AppendDecode(nil, data)
	return decoded
}

// unquote decodes the quoted-printable encoding (RFC 2045, 6.7). What is not encoded as it should be stays.
func unquote(data []byte) []byte {
	decoded := make([]byte, 0, len(data))
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, " \t\r\n")
		soft := bytes.HasSuffix(text, []byte("="))
		for text = bytes.TrimSuffix(text, []byte("=")); len(text) > 0; text = text[1:] {
			var one [1]byte
			if text[0] == '=' && len(text) >= 3 {
				if _, err := hex.Decode(one[:], text[1:3]); err == nil {
					decoded, text = append(decoded, one[0]), text[2:]
					continue
				}
			}
			decoded = append(decoded, text[0])
		}
		if !soft && bytes.HasSuffix(line, []byte("\n")) {
			decoded = append(decoded, '\n')
		}
	}
	return decoded
}

// text returns a text as Markdown.
func (e *entity) text() string {
	data := e.decodedBody()
	if e.mediaType == "text/html" {
		if label := e.parameters["charset"]; label != "" {
			text, _ := decode(data, label)
			return convert(text, false).text()
		}
		text, _ := decodeMarkup(data)
		return convert(text, false).text()
	}
	text, _ := decode(data, e.parameters["charset"])
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if e.mediaType != "text/plain" && e.mediaType != "text/markdown" {
		return document.Code("", text)
	}
	return text
}

// split returns the bodies between lines of a boundary (RFC 2046, 5.1.1). The last one ends with the text if it must.
func split(body []byte, boundary string) [][]byte {
	if boundary == "" {
		return nil
	}
	mark := []byte("--" + boundary)
	var bodies [][]byte
	begun := -1
	for at := 0; at < len(body); {
		end := len(body)
		if i := bytes.IndexByte(body[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		after, isMark := bytes.CutPrefix(bytes.TrimRight(body[at:end], " \t\r\n"), mark)
		if last := string(after) == "--"; isMark && (last || len(after) == 0) {
			if begun >= 0 {
				bodies = append(bodies, withoutLineEnd(body[begun:at]))
			}
			if begun = end; last {
				return bodies
			}
		}
		at = end
	}
	if begun >= 0 && begun < len(body) {
		bodies = append(bodies, body[begun:])
	}
	return bodies
}

// withoutLineEnd leaves out the end of the last line, which belongs to the boundary.
func withoutLineEnd(data []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
}
