package media

import (
	"fmt"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readBMP reads the heads of a bitmap of Windows: that of the file, and BITMAPCOREHEADER or BITMAPINFOHEADER.
func readBMP(data []byte, found *facts) error {
	v := little(data)
	head := v.u32(14)
	if !v.has(14, head) || head < 12 {
		return document.Damaged("the BMP file has no sound head")
	}
	found.add("format", "BMP")
	if head == 12 {
		found.size(v.u16(18), v.u16(20))
		found.number("bit_depth", v.u16(24))
		return nil
	}
	height := int(int32(v.u32(22))) // negative: from the top
	found.size(int(int32(v.u32(18))), max(height, -height))
	found.number("bit_depth", v.u16(28))
	switch compression := v.u32(30); compression {
	case 0:
		found.add("compression", "none")
	case 1, 2:
		found.add("compression", "run lengths")
	case 3, 6:
		found.add("compression", "none, with masks")
	default:
		found.add("compression", fmt.Sprintf("type %d", compression))
	}
	return nil
}
