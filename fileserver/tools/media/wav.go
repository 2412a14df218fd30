package media

import (
	"bytes"
	"fmt"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readWAV reads the chunks of a WAV file.
func readWAV(data []byte, found *facts) error {
	found.add("format", "WAV")
	perSecond, sound := 0, 0
	whole := eachChunk(little(data), riffHead, func(kind string, v view) {
		switch kind {
		case "fmt ":
			format := v.u16(0)
			if format == 0xfffe { // what it is stands in the extension
				format = v.u16(24)
			}
			found.add("codec", wavCodec(format))
			found.number("channels", v.u16(2))
			found.number("sample_rate", v.u32(4))
			found.number("bit_depth", v.u16(14))
			perSecond = v.u32(8)
		case "data":
			sound += len(v.data)
		case "LIST":
			if v.text(0, 4) == "INFO" {
				readInfo(v, found)
			}
		case "id3 ", "ID3 ":
			readID3(v.data, found)
		}
	})
	if perSecond > 0 {
		found.duration(float64(sound) / float64(perSecond))
	}
	if !whole {
		return document.Damaged("the WAV file ends too early")
	}
	return nil
}

// readInfo notes the texts of a list, which begins with its kind.
func readInfo(v view, found *facts) {
	keys := map[string]string{"INAM": "title", "IART": "artist", "IPRD": "album", "ICRD": "date", "IGNR": "genre", "ICMT": "comment", "ISFT": "encoder", "ICOP": "copyright", "ITRK": "track"}
	eachChunk(v, 4, func(kind string, text view) {
		if key := keys[kind]; key != "" {
			value, _, _ := bytes.Cut(text.data, []byte{0})
			found.add(key, anyText(value))
		}
	})
}

func wavCodec(format int) string {
	switch format {
	case 1:
		return "PCM"
	case 2:
		return "ADPCM"
	case 3:
		return "PCM, floating point"
	case 6:
		return "A-law"
	case 7:
		return "mu-law"
	case 0x55:
		return "MP3"
	default:
		return fmt.Sprintf("type %#x", format)
	}
}
