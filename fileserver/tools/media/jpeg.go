package media

import (
	"bytes"
	"fmt"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readJPEG reads the segments of a JPEG file (ITU-T T.81, annex B) up to the pixels.
func readJPEG(data []byte, found *facts) error {
	found.add("format", "JPEG")
	v := big(data)
	for at := 2; ; {
		for v.u8(at) == 0xff && v.u8(at+1) == 0xff { // fill bytes
			at++
		}
		marker := v.u8(at + 1)
		switch {
		case v.u8(at) != 0xff:
			return document.Damaged("the JPEG file has no segment at byte %d", at)
		case marker == 0xda || marker == 0xd9: // the pixels, or the end
			return nil
		case 0xd0 <= marker && marker <= 0xd8 || marker == 1: // of no length
			at += 2
			continue
		}
		length := v.u16(at + 2)
		if length < 2 || !v.has(at+2, length) {
			return document.Damaged("the JPEG file ends in the midst of a segment, at byte %d", at)
		}
		readSegment(marker, big(v.bytes(at+4, length-2)), found)
		at += 2 + length
	}
}

// readSegment notes what a segment tells.
func readSegment(marker int, v view, found *facts) {
	switch {
	case isFrame(marker):
		found.size(v.u16(3), v.u16(1))
		found.add("color", jpegColor(v.u8(5)))
		found.addf("bit_depth", "%d", v.u8(0))
		if marker&3 == 2 {
			found.add("progressive", "yes")
		}
	case marker == 0xe0 && v.text(0, 5) == "JFIF\x00" && v.u8(7) == 1:
		found.addf("resolution", "%dx%d dpi", v.u16(8), v.u16(10))
	case marker == 0xe1 && v.text(0, 6) == "Exif\x00\x00":
		readEXIF(v.data[6:], found)
	case marker == 0xe1 && bytes.HasPrefix(v.data, []byte(xmpHead)):
		readXMP(v.data[len(xmpHead):], found)
	case marker == 0xfe:
		found.add("comment", anyText(v.data))
	}
}

// isFrame tells the markers that begin a frame from those between them, which define tables.
func isFrame(marker int) bool {
	return 0xc0 <= marker && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
}

func jpegColor(components int) string {
	switch components {
	case 1:
		return "grayscale"
	case 3:
		return "YCbCr"
	case 4:
		return "CMYK"
	default:
		return fmt.Sprintf("%d components", components)
	}
}

// xmpHead is before an XMP packet in JPEG.
const xmpHead = "http://ns.adobe.com/xap/1.0/\x00"

// readXMP notes an XMP packet, which is XML, as it is.
func readXMP(data []byte, found *facts) { found.add("xmp", string(data)) }

// anyText returns the text of bytes whose encoding is not said.
func anyText(data []byte) string {
	text, _ := document.UTF8(bytes.Trim(data, "\x00"))
	return text
}
