package media

import (
	"strconv"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// readMP4 reads the boxes of an MP4 file: what its tracks are, and the tags that iTunes made common.
func readMP4(data []byte, found *facts) error {
	file := big(data)
	found.add("format", "MP4")
	found.add("brand", file.text(8, 4))
	moov := child(file, "moov")
	if len(moov.data) == 0 {
		return document.Damaged("the MP4 file has no box of what is in it")
	}
	seconds, _ := mediaTime(child(moov, "mvhd"))
	found.duration(seconds)
	whole := eachBox(moov, func(kind string, box view) {
		if kind == "trak" {
			readTrack(box, found)
		}
	})
	tags := child(moov, "udta", "meta")
	eachBox(child(tags.after(4), "ilst"), func(kind string, box view) { noteTag(kind, box, found) })
	if !whole {
		return document.Damaged("the MP4 file ends too early")
	}
	return nil
}

// mediaTime returns the length that a head tells, in seconds, and how many units a second has.
func mediaTime(head view) (float64, int) {
	scale, length := head.u32(12), head.u32(16)
	if head.u8(0) == 1 {
		scale, length = head.u32(20), head.u64(24)
	}
	if scale == 0 || length < 0 {
		return 0, scale
	}
	return float64(length) / float64(scale), scale
}

// readTrack notes what a track is.
func readTrack(track view, found *facts) {
	media := child(track, "mdia")
	entries := child(media, "minf", "stbl", "stsd").after(8)
	codec := strings.TrimSpace(entries.text(4, 4))
	switch child(media, "hdlr").text(8, 4) {
	case "soun":
		_, scale := mediaTime(child(media, "mdhd"))
		found.add("codec", audioCodec(codec))
		found.number("channels", entries.u16(24))
		if rate := entries.u16(32); rate > 0 {
			scale = rate // a rate beyond 16 bits is told by the units alone
		}
		found.number("sample_rate", scale)
	case "vide":
		found.add("video_codec", codec)
		found.size(entries.u16(32), entries.u16(34))
	case "sbtl", "subt", "text":
		found.add("subtitles", codec)
	}
}

func audioCodec(codec string) string {
	switch codec {
	case "mp4a":
		return "AAC (mp4a)"
	case "alac":
		return "Apple Lossless (alac)"
	default:
		return codec
	}
}

// noteTag notes a tag, whose value is in a box of data after eight bytes of what type it is of.
func noteTag(kind string, box view, found *facts) {
	keys := map[string]string{
		"\xa9nam": "title", "\xa9ART": "artist", "aART": "album_artist", "\xa9alb": "album", "\xa9day": "date", "\xa9gen": "genre",
		"\xa9wrt": "composer", "\xa9cmt": "comment", "\xa9lyr": "lyrics", "\xa9too": "encoder", "cprt": "copyright", "desc": "description",
	}
	data := child(box, "data")
	switch {
	case keys[kind] != "":
		found.add(keys[kind], data.text(8, len(data.data)))
	case kind == "trkn" || kind == "disk":
		number := strconv.Itoa(data.u16(10))
		if of := data.u16(12); of > 0 {
			number += "/" + strconv.Itoa(of)
		}
		found.add(map[string]string{"trkn": "track", "disk": "disc"}[kind], number)
	case kind == "covr":
		found.addf("picture", "%d bytes", max(len(data.data)-8, 0))
	}
}
