package media

import (
	"bytes"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// Audio tells about sound: MP3, AAC, WAV, FLAC, Ogg, and MP4, which may be a video. No sound is decoded.
func Audio(in *document.Input, out *document.Output) error {
	found := &facts{}
	err := readAudio(in.Data, found)
	if giveErr := found.give("audio", in, out); giveErr != nil {
		return giveErr
	}
	return err
}

// readAudio finds the reader of a sound by what the file begins with, after a tag of ID3.
func readAudio(data []byte, found *facts) error {
	rest := readID3(data, found)
	switch {
	case bytes.HasPrefix(rest, []byte("RIFF")) && len(rest) > 12 && string(rest[8:12]) == "WAVE":
		return readWAV(rest, found)
	case bytes.HasPrefix(rest, []byte("fLaC")):
		return readFLAC(rest, found)
	case bytes.HasPrefix(rest, []byte("OggS")):
		return readOgg(rest, found)
	case len(rest) > 12 && string(rest[4:8]) == "ftyp":
		return readMP4(rest, found)
	}
	return readMPEG(rest, found)
}
