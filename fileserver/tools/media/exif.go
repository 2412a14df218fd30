package media

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxEntries bounds the entries of a directory of EXIF or TIFF, and maxPages the directories of TIFF.
	maxEntries = 1_000
	maxPages   = 2_000
)

// An ifd is a directory of TIFF or EXIF: values by their tags.
type ifd struct {
	tiff   view
	values map[int]ifdValue
	next   int // where the next directory is, zero for none
}

// An ifdValue is a value: its type (TIFF 6.0, section 2), how many of it, and its bytes.
type ifdValue struct {
	kind, count int
	view        view
}

// tiffView returns a view of TIFF data in its order of bytes, and where its first directory is.
func tiffView(data []byte) (view, int, bool) {
	var v view
	switch {
	case bytes.HasPrefix(data, []byte("II*\x00")):
		v = little(data)
	case bytes.HasPrefix(data, []byte("MM\x00*")):
		v = big(data)
	default:
		return view{}, 0, false
	}
	return v, v.u32(4), true
}

// readIFD reads the directory at a position.
func readIFD(v view, at int) ifd {
	d := ifd{tiff: v, values: make(map[int]ifdValue)}
	entries := v.u16(at)
	for i := range min(entries, maxEntries) {
		entry := at + 2 + 12*i
		if !v.has(entry, 12) {
			break
		}
		value := ifdValue{kind: v.u16(entry + 2), count: v.u32(entry + 4)}
		from, size := entry+8, value.count*ifdSize(value.kind)
		if size > 4 {
			from = v.u32(entry + 8)
		}
		value.view = view{data: v.bytes(from, size), order: v.order}
		d.values[v.u16(entry)] = value
	}
	d.next = v.u32(at + 2 + 12*entries)
	return d
}

// ifdSize returns the bytes of one value of a type.
func ifdSize(kind int) int {
	switch kind {
	case 3, 8:
		return 2
	case 4, 9, 11, 13:
		return 4
	case 5, 10, 12:
		return 8
	default:
		return 1
	}
}

// number returns the first whole number of a tag, zero for none.
func (d ifd) number(tag int) int {
	switch v := d.values[tag]; v.kind {
	case 3:
		return v.view.u16(0)
	case 4, 13:
		return v.view.u32(0)
	case 1:
		return v.view.u8(0)
	}
	return 0
}

// ratio returns the nth fraction of a tag, zero for none.
func (d ifd) ratio(tag, n int) float64 {
	v := d.values[tag]
	below := v.view.u32(8*n + 4)
	switch {
	case v.kind == 5 && below != 0:
		return float64(v.view.u32(8*n)) / float64(below)
	case v.kind == 10 && below != 0:
		return float64(int32(v.view.u32(8*n))) / float64(int32(below))
	}
	return 0
}

func (d ifd) text(tag int) string { return anyText(d.values[tag].view.data) }

// readEXIF notes what EXIF data tells (CIPA DC-008), which may have its own head before it.
func readEXIF(data []byte, found *facts) {
	v, first, ok := tiffView(bytes.TrimPrefix(data, []byte("Exif\x00\x00")))
	if ok {
		noteEXIF(readIFD(v, first), found)
	}
}

// noteEXIF notes what the first directory tells, and those of the camera and of the place.
func noteEXIF(d ifd, found *facts) {
	camera := d.text(0x10f)
	if model := d.text(0x110); strings.HasPrefix(model, camera) {
		camera = model
	} else {
		camera += " " + model
	}
	found.add("camera", camera)
	found.add("orientation", orientation(d.number(0x112)))
	found.add("software", d.text(0x131))
	found.add("modified", exifTime(d.text(0x132)))
	found.add("artist", d.text(0x13b))
	found.add("copyright", d.text(0x8298))
	found.add("description", d.text(0x10e))
	if at := d.number(0x8769); at != 0 {
		noteCamera(readIFD(d.tiff, at), found)
	}
	if at := d.number(0x8825); at != 0 {
		notePlace(readIFD(d.tiff, at), found)
	}
}

func noteCamera(d ifd, found *facts) {
	found.add("taken", exifTime(d.text(0x9003))+" "+d.text(0x9011))
	found.add("lens", d.text(0xa434))
	if seconds := d.ratio(0x829a, 0); seconds > 0 && seconds < 1 {
		found.addf("exposure", "1/%.0f s", 1/seconds)
	} else if seconds >= 1 {
		found.addf("exposure", "%.4g s", seconds)
	}
	if aperture := d.ratio(0x829d, 0); aperture > 0 {
		found.addf("aperture", "f/%.3g", aperture)
	}
	found.number("iso", d.number(0x8827))
	if length := d.ratio(0x920a, 0); length > 0 {
		found.addf("focal_length", "%.4g mm", length)
	}
	if comment := d.values[0x9286].view.data; bytes.HasPrefix(comment, []byte("ASCII\x00\x00\x00")) {
		found.add("user_comment", anyText(comment[8:]))
	}
}

// notePlace notes the place that GPS told, in degrees.
func notePlace(d ifd, found *facts) {
	degrees := func(tag int, negative string) float64 {
		sum := d.ratio(tag, 0) + d.ratio(tag, 1)/60 + d.ratio(tag, 2)/3600
		if strings.HasPrefix(d.text(tag-1), negative) {
			return -sum
		}
		return sum
	}
	if len(d.values[2].view.data) > 0 && len(d.values[4].view.data) > 0 {
		found.addf("gps", "%.6f, %.6f", degrees(2, "S"), degrees(4, "W"))
	}
	if len(d.values[6].view.data) > 0 {
		altitude := d.ratio(6, 0)
		if d.number(5) == 1 {
			altitude = -altitude
		}
		found.addf("gps_altitude", "%.1f m", altitude)
	}
	if date := d.text(0x1d); date != "" {
		found.addf("gps_time", "%s %02.0f:%02.0f:%02.0f UTC", strings.ReplaceAll(date, ":", "-"), d.ratio(7, 0), d.ratio(7, 1), d.ratio(7, 2))
	}
}

// exifTime writes the date of a time as usual: 2024:05:01 10:00:00 has colons in it.
func exifTime(text string) string {
	date, rest, _ := strings.Cut(text, " ")
	return strings.TrimSpace(strings.ReplaceAll(date, ":", "-") + " " + rest)
}

func orientation(n int) string {
	turns := []string{
		"", "1 (upright)", "2 (mirrored)", "3 (turned by 180 degrees)", "4 (mirrored, turned by 180 degrees)",
		"5 (mirrored, to be turned right by 270 degrees)", "6 (to be turned right by 90 degrees)",
		"7 (mirrored, to be turned right by 90 degrees)", "8 (to be turned right by 270 degrees)",
	}
	if n < 0 || n >= len(turns) {
		return fmt.Sprint(n)
	}
	return turns[n]
}

// readTIFF reads the directories of a TIFF file (TIFF 6.0), one for each page.
func readTIFF(data []byte, found *facts) error {
	v, at, _ := tiffView(data)
	pages, seen := 0, make(map[int]bool)
	for at != 0 && pages < maxPages {
		if seen[at] || !v.has(at, 2) {
			return document.Damaged("the TIFF file has no directory at byte %d", at)
		}
		seen[at] = true
		d := readIFD(v, at)
		if pages++; pages == 1 {
			noteTIFF(d, found)
			noteEXIF(d, found)
		}
		at = d.next
	}
	found.number("pages", pages)
	return nil
}

func noteTIFF(d ifd, found *facts) {
	found.size(d.number(0x100), d.number(0x101))
	colors := []string{"grayscale, white is zero", "grayscale", "RGB", "palette", "mask", "CMYK", "YCbCr", "", "Lab"}
	if kind := d.number(0x106); kind < len(colors) {
		found.add("color", colors[kind])
	}
	found.number("bit_depth", d.number(0x102))
	found.number("samples", d.number(0x115))
	kinds := map[int]string{1: "none", 2: "CCITT", 3: "CCITT G3", 4: "CCITT G4", 5: "LZW", 6: "JPEG", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate", 50000: "zstd", 50001: "WebP"}
	found.add("compression", kinds[d.number(0x103)])
	if d.number(0x128) == 2 {
		found.addf("resolution", "%.4gx%.4g dpi", d.ratio(0x11a, 0), d.ratio(0x11b, 0))
	}
}
