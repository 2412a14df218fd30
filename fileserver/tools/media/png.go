package media

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// readPNG reads the chunks of a PNG file (https://www.w3.org/TR/png-3).
func readPNG(data []byte, found *facts) error {
	found.add("format", "PNG")
	v := big(data)
	for at := len(pngSignature); ; {
		length := v.u32(at)
		kind := v.text(at+4, 4)
		if !v.has(at+8, length+4) {
			return document.Damaged("the PNG file ends in the midst of a chunk, at byte %d", at)
		}
		readPNGChunk(kind, big(v.bytes(at+8, length)), found)
		if kind == "IEND" {
			return nil
		}
		at += 12 + length
	}
}

// readPNGChunk notes what a chunk tells.
func readPNGChunk(kind string, v view, found *facts) {
	switch kind {
	case "IHDR":
		found.size(v.u32(0), v.u32(4))
		found.add("color", pngColor(v.u8(9)))
		found.addf("bit_depth", "%d", v.u8(8))
		if v.u8(12) == 1 {
			found.add("interlaced", "yes")
		}
	case "acTL":
		found.number("frames", v.u32(0))
	case "pHYs":
		if v.u8(8) == 1 {
			found.addf("resolution", "%.0fx%.0f dpi", float64(v.u32(0))*0.0254, float64(v.u32(4))*0.0254)
		}
	case "tIME":
		found.addf("modified", "%04d-%02d-%02d %02d:%02d:%02d", v.u16(0), v.u8(2), v.u8(3), v.u8(4), v.u8(5), v.u8(6))
	case "iCCP":
		name, _, _ := bytes.Cut(v.data, []byte{0})
		found.add("color_profile", latin1(name))
	case "eXIf":
		readEXIF(v.data, found)
	case "tEXt":
		key, text, _ := bytes.Cut(v.data, []byte{0})
		found.add("text "+latin1(key), latin1(text))
	case "zTXt":
		key, rest, _ := bytes.Cut(v.data, []byte{0})
		found.add("text "+latin1(key), latin1(unpack(rest[min(1, len(rest)):])))
	case "iTXt":
		readPNGText(v.data, found)
	}
}

// readPNGText reads an international text: keyword, whether it is compressed, language, keyword in that
// language, text.
func readPNGText(data []byte, found *facts) {
	key, rest, _ := bytes.Cut(data, []byte{0})
	if len(rest) < 2 {
		return
	}
	compressed := rest[0] == 1
	_, rest, _ = bytes.Cut(rest[2:], []byte{0})
	_, text, _ := bytes.Cut(rest, []byte{0})
	if compressed {
		text = unpack(text)
	}
	found.add("text "+latin1(key), string(text))
}

func pngColor(kind int) string {
	switch kind {
	case 0:
		return "grayscale"
	case 2:
		return "RGB"
	case 3:
		return "palette"
	case 4:
		return "grayscale with alpha"
	case 6:
		return "RGB with alpha"
	default:
		return fmt.Sprintf("type %d", kind)
	}
}

// unpack decompresses a text, up to a bound.
func unpack(data []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(r, maxText+1)) // what there is of a damaged one
	return text
}

// latin1 returns the text that bytes of ISO 8859-1 are.
func latin1(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		b.WriteRune(rune(c))
	}
	return b.String()
}
