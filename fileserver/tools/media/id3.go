package media

import (
	"bytes"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readID3 notes what an ID3v2 tag tells (https://id3.org) if a file begins with one, and returns what is after it.
func readID3(data []byte, found *facts) []byte {
	v := big(data)
	if v.text(0, 3) != "ID3" {
		return data
	}
	version, flags, size := v.u8(3), v.u8(5), synchsafe(v, 6)
	tag := v.bytes(10, size)
	rest := v.after(10 + size + 10*(flags>>4&1)).data // a foot is as long as the head
	if flags&0x80 != 0 && version < 4 {
		tag = resync(tag)
	}
	found.addf("tag", "ID3v2.%d", version)
	body := big(tag)
	if flags&0x40 != 0 { // an extended head
		switch version {
		case 3:
			body = body.after(4 + body.u32(0))
		case 4:
			body = body.after(synchsafe(body, 0))
		}
	}
	if version == 2 {
		readFrames22(body, found)
	} else {
		readFrames(body, version, found)
	}
	return rest
}

// synchsafe reads a number of four bytes of seven bits.
func synchsafe(v view, at int) int {
	return v.u8(at)&0x7f<<21 | v.u8(at+1)&0x7f<<14 | v.u8(at+2)&0x7f<<7 | v.u8(at+3)&0x7f
}

// resync takes out the zeros that keep a tag from looking like sound.
func resync(data []byte) []byte { return bytes.ReplaceAll(data, []byte{0xff, 0}, []byte{0xff}) }

// readFrames reads the frames of versions 2.3 and 2.4.
func readFrames(v view, version int, found *facts) {
	for at := 0; v.has(at, 10) && v.u8(at) != 0; {
		size := v.u32(at + 4)
		if version == 4 {
			size = synchsafe(v, at+4)
		}
		frame, flags := v.bytes(at+10, size), v.u8(at+9)
		if version == 4 && flags&1 != 0 { // its length stands before it
			frame = frame[min(4, len(frame)):]
		}
		if version == 4 && flags&2 != 0 {
			frame = resync(frame)
		}
		const packed3, packed4 = 0xc0, 0x0c // compressed or encrypted
		if version == 3 && flags&packed3 == 0 || version == 4 && flags&packed4 == 0 {
			noteFrame(v.text(at, 4), frame, found)
		}
		at += 10 + size
	}
}

// readFrames22 reads the frames of version 2.2, whose names have three letters.
func readFrames22(v view, found *facts) {
	names := map[string]string{
		"TT2": "TIT2", "TP1": "TPE1", "TP2": "TPE2", "TAL": "TALB", "TRK": "TRCK", "TYE": "TYER", "TCO": "TCON", "TCM": "TCOM",
		"COM": "COMM", "ULT": "USLT",
	}
	for at := 0; v.has(at, 6) && v.u8(at) != 0; {
		size := v.u24(at + 3)
		noteFrame(names[v.text(at, 3)], v.bytes(at+6, size), found)
		at += 6 + size
	}
}

// noteFrame notes what a frame tells.
func noteFrame(name string, frame []byte, found *facts) {
	keys := map[string]string{
		"TIT2": "title", "TIT3": "subtitle", "TPE1": "artist", "TPE2": "album_artist", "TALB": "album", "TRCK": "track", "TPOS": "disc",
		"TYER": "date", "TDRC": "date", "TCON": "genre", "TCOM": "composer", "TCOP": "copyright", "TPUB": "publisher",
		"TENC": "encoded_by", "TSSE": "encoder", "TBPM": "bpm", "TSRC": "isrc", "TLAN": "language",
	}
	if len(frame) < 1 {
		return
	}
	encoding, text := frame[0], frame[1:]
	switch {
	case keys[name] != "":
		found.add(keys[name], strings.ReplaceAll(strings.Trim(id3Text(encoding, text), "\x00"), "\x00", "; "))
	case name == "COMM" || name == "USLT": // a language, a description, and the text
		if len(text) > 3 {
			_, content := cutID3(encoding, text[3:])
			found.add(map[string]string{"COMM": "comment", "USLT": "lyrics"}[name], id3Text(encoding, content))
		}
	case name == "TXXX":
		key, content := cutID3(encoding, text)
		found.add("text "+strings.TrimSpace(id3Text(encoding, key)), id3Text(encoding, content))
	case name == "APIC":
		kind, _, _ := bytes.Cut(text, []byte{0})
		found.addf("picture", "%s, %d bytes", latin1(kind), len(frame))
	}
}

// cutID3 cuts a text at its first zero.
func cutID3(encoding byte, text []byte) (before, after []byte) {
	if encoding != 1 && encoding != 2 {
		before, after, _ = bytes.Cut(text, []byte{0})
		return before, after
	}
	for i := 0; i+1 < len(text); i += 2 {
		if text[i] == 0 && text[i+1] == 0 {
			return text[:i], text[i+2:]
		}
	}
	return text, nil
}

// id3Text decodes a text.
func id3Text(encoding byte, text []byte) string {
	switch encoding {
	case 0:
		return latin1(text)
	case 1, 2:
		return utf16Text(text)
	default:
		return string(text)
	}
}

// utf16Text decodes UTF-16, whose high byte is first where no mark says otherwise.
func utf16Text(data []byte) string {
	if !bytes.HasPrefix(data, []byte{0xff, 0xfe}) && !bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		data = append([]byte{0xfe, 0xff}, data...)
	}
	text, _ := document.UTF8(data)
	return text
}

// readID3v1 notes what the tag at the end of a file tells, and returns what is before it.
func readID3v1(data []byte, found *facts) []byte {
	const size = 128
	if len(data) < size || string(data[len(data)-size:][:3]) != "TAG" {
		return data
	}
	tag := big(data[len(data)-size:])
	field := func(key string, at, length int) {
		text, _, _ := bytes.Cut(tag.bytes(at, length), []byte{0})
		if !found.has(key) {
			found.add(key, latin1(text))
		}
	}
	field("title", 3, 30)
	field("artist", 33, 30)
	field("album", 63, 30)
	field("date", 93, 4)
	field("comment", 97, 28)
	return data[:len(data)-size]
}
