package media

import (
	"bytes"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

// Image tells about a picture: PNG, JPEG, GIF, WebP, BMP, TIFF, HEIC and AVIF. No pixel is decoded.
func Image(in *document.Input, out *document.Output) error {
	found := &facts{}
	err := readImage(in.Data, found)
	if giveErr := found.give("image", in, out); giveErr != nil {
		return giveErr
	}
	return err
}

// readImage finds the reader of a picture by what the picture begins with.
func readImage(data []byte, found *facts) error {
	switch {
	case bytes.HasPrefix(data, []byte(pngSignature)):
		return readPNG(data, found)
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		return readJPEG(data, found)
	case bytes.HasPrefix(data, []byte("GIF8")):
		return readGIF(data, found)
	case bytes.HasPrefix(data, []byte("RIFF")) && len(data) > 12 && string(data[8:12]) == "WEBP":
		return readWebP(data, found)
	case bytes.HasPrefix(data, []byte("BM")):
		return readBMP(data, found)
	case bytes.HasPrefix(data, []byte("II*\x00")), bytes.HasPrefix(data, []byte("MM\x00*")):
		found.add("format", "TIFF")
		return readTIFF(data, found)
	case len(data) > 12 && string(data[4:8]) == "ftyp":
		return readHEIF(data, found)
	}
	return document.Damaged("no picture of a kind that is known: it begins with the bytes % x", data[:min(len(data), 16)])
}
