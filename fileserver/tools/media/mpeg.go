package media

import (
	"fmt"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// maxSkipped is how far the next frame of sound is looked for where there is none.
const maxSkipped = 64 << 10

// An mpegFrame is what the head of a frame of MPEG audio (ISO 11172-3, 13818-3) or AAC (ADTS) tells.
type mpegFrame struct {
	format   string
	size     int // bytes
	samples  int
	rate     int
	channels int
	bitrate  int // kbit/s, zero where it is not told
	side     int // bytes before a head of Xing
}

// frameAt reads the head of a frame. Its size is zero where there is none.
func frameAt(v view, at int) mpegFrame {
	head := v.u32(at)
	if head>>21 != 0x7ff {
		return mpegFrame{}
	}
	if head>>17&3 == 0 {
		return adtsAt(v, at)
	}
	version, layer := head>>19&3, 4-head>>17&3 // version: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5
	rates := []int{44_100, 48_000, 32_000}
	rate, bits := head>>10&3, head>>12&15
	if version == 1 || rate == 3 || bits == 0 || bits == 15 {
		return mpegFrame{}
	}
	f := mpegFrame{format: "MP" + fmt.Sprint(layer), rate: rates[rate], samples: 1152, channels: 2, side: 32}
	switch {
	case layer == 1:
		f.samples = 384
	case layer == 3 && version != 3:
		f.samples = 576
	}
	if version != 3 {
		f.rate, f.side = f.rate/2, 17
	}
	if version == 0 {
		f.rate /= 2
	}
	if head>>6&3 == 3 {
		f.channels = 1
		f.side = map[int]int{32: 17, 17: 9}[f.side]
	}
	f.bitrate = bitrate(version, layer, bits)
	padding := head >> 9 & 1
	if layer == 1 {
		padding *= 4
	}
	f.size = f.samples/8*f.bitrate*1000/f.rate + padding
	if layer == 1 {
		f.size -= f.size % 4
	}
	return f
}

// bitrate returns the kbit/s that an index means.
func bitrate(version, layer, index int) int {
	rows := [][]int{
		{32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		{32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		{8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
	switch {
	case version == 3:
		return rows[layer-1][index-1]
	case layer == 1:
		return rows[3][index-1]
	default:
		return rows[4][index-1]
	}
}

// adtsAt reads the head of a frame of AAC.
func adtsAt(v view, at int) mpegFrame {
	rates := []int{96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350}
	rate := v.u8(at+2) >> 2 & 15
	size := v.u8(at+3)&3<<11 | v.u8(at+4)<<3 | v.u8(at+5)>>5
	if v.u8(at+1)&0xf6 != 0xf0 || rate >= len(rates) || size < 7 {
		return mpegFrame{}
	}
	channels := v.u8(at+2)&1<<2 | v.u8(at+3)>>6
	return mpegFrame{format: "AAC", size: size, samples: 1024, rate: rates[rate], channels: channels}
}

// readMPEG finds the frames of a file, and tells its length by what the first one says of it, or by counting.
func readMPEG(data []byte, found *facts) error {
	v := big(readID3v1(data, found))
	at := firstFrame(v, 0)
	if at < 0 {
		return document.Damaged("no sound of a kind that is known: it begins with the bytes % x", data[:min(len(data), 16)])
	}
	first := frameAt(v, at)
	found.add("format", first.format)
	found.number("sample_rate", first.rate)
	found.number("channels", first.channels)
	frames := saidFrames(v, at, first)
	if frames == 0 {
		frames = countFrames(v, at, found)
	}
	seconds := float64(frames) * float64(first.samples) / float64(first.rate)
	found.duration(seconds)
	if seconds > 0 {
		found.addf("bitrate", "%.0f kbit/s", float64(len(v.data)-at)*8/seconds/1000)
	}
	return nil
}

// firstFrame finds a frame that another one comes after, or the end.
func firstFrame(v view, from int) int {
	for at := from; at < min(len(v.data), from+maxSkipped); at++ {
		if f := frameAt(v, at); f.size > 0 && (at+f.size >= len(v.data) || frameAt(v, at+f.size).size > 0) {
			return at
		}
	}
	return -1
}

// saidFrames returns how many frames a head of Xing or VBRI says that there are.
func saidFrames(v view, at int, first mpegFrame) int {
	switch xing := at + 4 + first.side; {
	case first.format != "MP3":
	case (v.text(xing, 4) == "Xing" || v.text(xing, 4) == "Info") && v.u32(xing+4)&1 == 1:
		return v.u32(xing + 8)
	case v.text(at+36, 4) == "VBRI":
		return v.u32(at + 50)
	}
	return 0
}

// countFrames counts the frames, and goes over what is between them.
func countFrames(v view, at int, found *facts) int {
	frames := 0
	for at < len(v.data) {
		f := frameAt(v, at)
		if f.size == 0 {
			next := firstFrame(v, at)
			if next < 0 {
				found.addf("note", "after byte %d there is no sound", at)
				break
			}
			at = next
			continue
		}
		frames++
		at += f.size
	}
	return frames
}
