package media

import (
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readFLAC reads the blocks before the sound of a FLAC file (RFC 9639).
func readFLAC(data []byte, found *facts) error {
	found.add("format", "FLAC")
	v := big(data)
	for at := 4; ; {
		kind, length := v.u8(at), v.u24(at+1)
		if !v.has(at, 4+length) {
			return document.Damaged("the FLAC file ends in the midst of a block, at byte %d", at)
		}
		readFLACBlock(kind&0x7f, big(v.bytes(at+4, length)), found)
		if kind&0x80 != 0 {
			return nil
		}
		at += 4 + length
	}
}

func readFLACBlock(kind int, v view, found *facts) {
	switch kind {
	case 0:
		bits := v.u64(10) // 20 of the rate, 3 of the channels, 5 of the depth, 36 of the samples
		if !v.has(10, 8) {
			return
		}
		high := v.u32(10)
		rate := high >> 12
		found.number("sample_rate", rate)
		found.addf("channels", "%d", high>>9&7+1)
		found.addf("bit_depth", "%d", high>>4&31+1)
		if rate > 0 {
			found.duration(float64(bits&(1<<36-1)) / float64(rate))
		}
	case 4:
		readComments(v.data, found)
	case 6:
		kindLength := v.u32(4)
		found.addf("picture", "%s, %d bytes", v.text(8, min(kindLength, 100)), len(v.data))
	}
}

// readComments notes the comments that Vorbis, Opus and FLAC have in common: the encoder, and then texts such as
// "TITLE=...".
func readComments(data []byte, found *facts) {
	v := little(data)
	length := v.u32(0)
	found.add("encoder", v.text(4, length))
	at := 8 + length
	for range v.u32(4 + length) {
		length := v.u32(at)
		if !v.has(at, 4) {
			return
		}
		key, value, _ := strings.Cut(v.text(at+4, length), "=")
		noteComment(strings.ToLower(key), value, found)
		at += 4 + length
	}
}

func noteComment(key, value string, found *facts) {
	names := map[string]string{"tracknumber": "track", "discnumber": "disc", "albumartist": "album_artist", "description": "comment", "year": "date"}
	switch {
	case key == "metadata_block_picture" || key == "coverart":
		found.addf("picture", "%d bytes in base64", len(value))
	case names[key] != "":
		found.add(names[key], value)
	default:
		found.add(key, value)
	}
}
