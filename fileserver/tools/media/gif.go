package media

import "github.com/sandgate/sandgate/fileserver/tools/document"

// maxFrames bounds the frames that are counted.
const maxFrames = 100_000

// A gifReader goes over the blocks of a GIF file (GIF89a specification).
type gifReader struct {
	view

	at     int
	frames int
	delay  int // of all frames together, in hundredths of a second
}

func readGIF(data []byte, found *facts) error {
	r := &gifReader{view: little(data), at: 13}
	found.add("format", r.text(0, 6))
	found.size(r.u16(6), r.u16(8))
	found.add("color", "palette")
	if flags := r.u8(10); flags&0x80 != 0 {
		found.addf("colors", "%d", 2<<(flags&7))
	}
	r.skipPalette(r.u8(10))
	err := r.blocks(found)
	found.number("frames", r.frames)
	if r.frames > 1 {
		found.duration(float64(r.delay) / 100)
	}
	return err
}

// skipPalette goes over the colours that a byte of flags announces.
func (r *gifReader) skipPalette(flags int) {
	if flags&0x80 != 0 {
		r.at += 3 << (flags&7 + 1)
	}
}

func (r *gifReader) blocks(found *facts) error {
	for r.frames < maxFrames {
		switch at := r.at; r.u8(at) {
		case 0x3b:
			return nil
		case 0x2c: // a frame
			r.frames++
			r.at += 10
			r.skipPalette(r.u8(at + 9))
			r.at++ // the size of codes
			r.subBlocks(nil)
			continue
		case 0x21: // an extension
			r.at += 2
			r.extension(r.u8(at+1), found)
			continue
		}
		return document.Damaged("the GIF file has no block at byte %d", r.at)
	}
	found.add("note", "not all frames are counted")
	return nil
}

// extension reads an extension of a kind.
func (r *gifReader) extension(kind int, found *facts) {
	switch kind {
	case 0xf9: // before a frame
		r.delay += r.u16(r.at + 2)
		r.subBlocks(nil)
	case 0xfe:
		var comment []byte
		r.subBlocks(&comment)
		found.add("comment", anyText(comment))
	case 0xff:
		if r.text(r.at+1, 11) == "NETSCAPE2.0" && r.u8(r.at+13) == 1 {
			if loops := r.u16(r.at + 14); loops > 0 {
				found.addf("loops", "%d", loops)
			} else {
				found.add("loops", "for ever")
			}
		}
		r.subBlocks(nil)
	default:
		r.subBlocks(nil)
	}
}

// subBlocks goes over blocks of data, and keeps their content where it is wanted.
func (r *gifReader) subBlocks(keep *[]byte) {
	for {
		size := r.u8(r.at)
		if keep != nil && len(*keep) <= maxText {
			*keep = append(*keep, r.bytes(r.at+1, size)...)
		}
		r.at += 1 + size
		if size == 0 {
			return
		}
	}
}
