package media

import (
	"bytes"
	"strings"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// maxPacket bounds the first two packets of a stream, which tell about it. Covers are in the second.
	maxPacket = 16 << 20
	oggHead   = 27
)

// readOgg reads the first packets of the first stream of an Ogg file (RFC 3533), and where it ends.
func readOgg(data []byte, found *facts) error {
	v := little(data)
	serial := v.u32(14)
	packets, whole := oggPackets(v, serial)
	if len(packets) == 0 {
		return document.Damaged("the Ogg file has no packet")
	}
	rate, skip := 0, 0
	first := little(packets[0])
	switch {
	case first.text(0, 7) == "\x01vorbis":
		found.add("format", "Ogg Vorbis")
		rate = first.u32(12)
		found.number("channels", first.u8(11))
		found.number("sample_rate", rate)
	case first.text(0, 8) == "OpusHead":
		found.add("format", "Ogg Opus")
		rate, skip = 48_000, first.u16(10) // RFC 7845: positions are of this rate, whatever the input's
		found.number("channels", first.u8(9))
		found.number("sample_rate", rate)
		found.number("input_sample_rate", first.u32(12))
	case first.text(0, 5) == "\x7fFLAC":
		found.add("format", "Ogg FLAC")
		readFLACBlock(0, big(first.bytes(17, len(first.data))), found)
	case first.text(0, 8) == "Speex   ":
		found.add("format", "Ogg Speex")
		rate = first.u32(36)
		found.number("channels", first.u32(48))
		found.number("sample_rate", rate)
	default:
		found.add("format", "Ogg")
		found.add("codec", strings.ToValidUTF8(first.text(0, 8), "?"))
	}
	if len(packets) > 1 {
		readOggComments(packets[1], found)
	}
	if rate > 0 {
		found.duration(float64(lastGranule(v, serial)-skip) / float64(rate))
	}
	if !whole {
		return document.Damaged("the Ogg file ends before the sound")
	}
	return nil
}

func readOggComments(packet []byte, found *facts) {
	for _, head := range []string{"\x03vorbis", "OpusTags"} {
		if rest, ok := bytes.CutPrefix(packet, []byte(head)); ok {
			readComments(rest, found)
			return
		}
	}
	if len(packet) > 4 && packet[0]&0x7f == 4 { // a block of FLAC
		readComments(packet[4:], found)
	}
}

// oggPackets returns the first two packets of a stream, and whether they are whole.
func oggPackets(v view, serial int) (packets [][]byte, whole bool) {
	var packet []byte
	for at := 0; v.text(at, 4) == "OggS"; {
		segments := v.bytes(at+oggHead, v.u8(at+26))
		at += oggHead + len(segments)
		mine := v.u32(at-len(segments)-oggHead+14) == serial
		for _, size := range segments {
			if mine {
				packet = append(packet, v.bytes(at, int(size))...)
			}
			at += int(size)
			if mine && size < 255 {
				if packets, packet = append(packets, packet), nil; len(packets) == 2 {
					return packets, true
				}
			}
			if len(packet) > maxPacket {
				return packets, false
			}
		}
	}
	return packets, false
}

// lastGranule returns the position of the last page of a stream that has one.
func lastGranule(v view, serial int) int {
	for end := len(v.data); end > 0; {
		at := bytes.LastIndex(v.data[:end], []byte("OggS"))
		if at < 0 {
			return 0
		}
		if granule := v.u64(at + 6); granule >= 0 && v.u32(at+14) == serial && v.has(at, oggHead) {
			return granule
		}
		end = at
	}
	return 0
}
