package media

import "github.com/sandgate/sandgate/fileserver/tools/document"

// riffHead is the length of what is before the chunks of a RIFF file.
const riffHead = 12

// eachChunk calls do for the chunks of a RIFF file from a position. It returns false where the file ends too
// early.
func eachChunk(v view, at int, do func(kind string, chunk view)) bool {
	for at+8 <= len(v.data) {
		length := v.u32(at + 4)
		do(v.text(at, 4), view{data: v.bytes(at+8, length), order: v.order})
		at += 8 + length + length&1
	}
	return at <= len(v.data)+1 // the last byte, which makes lengths even, is missing at times
}

// readWebP reads the chunks of a WebP file (RFC 9649).
func readWebP(data []byte, found *facts) error {
	found.add("format", "WebP")
	frames, duration := 0, 0
	whole := eachChunk(little(data), riffHead, func(kind string, v view) {
		switch kind {
		case "VP8X":
			found.size(v.u24(4)+1, v.u24(7)+1)
			if v.u8(0)&0x10 != 0 {
				found.add("color", "with alpha")
			}
		case "VP8 ":
			found.size(v.u16(6)&0x3fff, v.u16(8)&0x3fff)
			found.add("compression", "lossy")
		case "VP8L":
			bits := v.u32(1)
			found.size(bits&0x3fff+1, bits>>14&0x3fff+1)
			found.add("compression", "lossless")
		case "ANMF":
			frames++
			duration += v.u24(12)
		case "EXIF":
			readEXIF(v.data, found)
		case "XMP ":
			readXMP(v.data, found)
		}
	})
	found.number("frames", frames)
	found.duration(float64(duration) / 1000)
	if !whole {
		return document.Damaged("the WebP file ends too early")
	}
	return nil
}
