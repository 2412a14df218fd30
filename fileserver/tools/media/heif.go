package media

import (
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readHEIF reads the boxes of a HEIC or AVIF file (ISO 23008-12).
func readHEIF(data []byte, found *facts) error {
	file := big(data)
	switch brand := file.text(8, 4); {
	case strings.HasPrefix(brand, "avi"):
		found.add("format", "AVIF")
	case strings.HasPrefix(brand, "he"):
		found.add("format", "HEIC")
	default:
		found.add("format", "HEIF")
	}
	meta := child(file, "meta").after(4) // a version is before its boxes
	properties := itemProperties(meta)
	width, height := 0, 0
	for _, index := range propertiesOf(meta, primaryItem(meta)) {
		if index < 1 || index > len(properties) {
			continue
		}
		property := properties[index-1]
		switch box := property.box; property.kind {
		case "ispe":
			width, height = box.u32(4), box.u32(8)
		case "clap": // what is shown of it
			width, height = box.u32(0)/max(box.u32(4), 1), box.u32(8)/max(box.u32(12), 1)
		case "pixi":
			found.number("channels", box.u8(4))
			found.number("bit_depth", box.u8(5))
		case "irot":
			if turns := box.u8(0) & 3; turns > 0 {
				found.addf("rotation", "%d degrees to the left", 90*turns)
			}
		}
	}
	if width > 0 {
		found.size(width, height)
	}
	readEXIF(exifItem(file, meta), found)
	if len(properties) == 0 {
		return document.Damaged("the file has no properties of a picture")
	}
	return nil
}

type itemProperty struct {
	kind string
	box  view
}

// itemProperties returns the properties that items may have.
func itemProperties(meta view) []itemProperty {
	var properties []itemProperty
	eachBox(child(meta, "iprp", "ipco"), func(kind string, box view) {
		properties = append(properties, itemProperty{kind: kind, box: box})
	})
	return properties
}

// primaryItem returns the number of the item that the file shows.
func primaryItem(meta view) int {
	box := child(meta, "pitm")
	if box.u8(0) == 0 {
		return box.u16(4)
	}
	return box.u32(4)
}

// propertiesOf returns which properties, counted from 1, an item has.
func propertiesOf(meta view, item int) []int {
	box := child(meta, "iprp", "ipma")
	version, wide := box.u8(0), box.u8(3)&1 == 1
	at := 8
	for range box.u32(4) {
		id := box.u16(at)
		at += 2
		if version > 0 {
			id = box.u32(at - 2)
			at += 2
		}
		if !box.has(at, 1) {
			return nil
		}
		count := box.u8(at)
		at++
		var properties []int
		for range count {
			if wide {
				properties = append(properties, box.u16(at)&0x7fff)
				at += 2
			} else {
				properties = append(properties, box.u8(at)&0x7f)
				at++
			}
		}
		if id == item {
			return properties
		}
	}
	return nil
}

// exifItem returns the EXIF data of a file, empty for none.
func exifItem(file, meta view) []byte {
	number := 0
	eachBox(child(meta, "iinf").after(6), func(kind string, box view) {
		if kind == "infe" && box.u8(0) == 2 && box.text(8, 4) == "Exif" {
			number = box.u16(4)
		}
	})
	if number == 0 {
		return nil
	}
	start, length := itemPlace(child(meta, "iloc"), number)
	item := big(file.bytes(start, length))
	return item.after(4 + item.u32(0)).data // the number says what is before the TIFF data
}

// itemPlace returns where the first extent of an item is in the file.
func itemPlace(box view, item int) (start, length int) {
	version := box.u8(0)
	field := func(at, size int) int {
		switch size {
		case 4:
			return box.u32(at)
		case 8:
			return box.u64(at)
		}
		return 0
	}
	offsetSize, lengthSize, baseSize, indexSize := box.u8(4)>>4, box.u8(4)&15, box.u8(5)>>4, box.u8(5)&15
	if version > 1 {
		return 0, 0
	}
	if version == 0 {
		indexSize = 0
	}
	at := 8
	for range box.u16(6) {
		id := box.u16(at)
		at += 4 + 2*version
		base := field(at, baseSize)
		at += baseSize
		extents := box.u16(at)
		at += 2
		if id == item {
			at += indexSize
			return base + field(at, offsetSize), field(at+offsetSize, lengthSize)
		}
		at += extents * (indexSize + offsetSize + lengthSize)
	}
	return 0, 0
}
