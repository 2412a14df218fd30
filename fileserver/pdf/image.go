package pdf

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"math"

	"github.com/sandgate/sandgate/fileserver/tools/document"
)

const (
	// pageDPI is the resolution of a picture of a page, unless that is too large.
	pageDPI = 110
	// maxPixels bounds a picture.
	maxPixels = 3_000_000
	// MaxImages is how many pages are drawn at once, at most.
	MaxImages = 4
)

// An Image is a picture of a page.
type Image struct {
	Location string // "page 3"
	PNG      []byte
}

// Images draws the pages of a document that are wanted, [MaxImages] of them at most. Errors are those of Read.
func (r *Reader) Images(ctx context.Context, data []byte, parts document.Selection) (images []Image, err error) {
	err = r.with(ctx, data, func(f *file) error {
		for page := 0; page < f.pages && len(images) < MaxImages; page++ {
			if !parts.Wants(page+1, "") {
				continue
			}
			picture, err := f.draw(page)
			if err != nil {
				return err
			}
			images = append(images, Image{Location: fmt.Sprintf("page %d", page+1), PNG: picture})
		}
		return nil
	})
	return images, err
}

// draw draws a page, counted from 0.
func (f *file) draw(page int) ([]byte, error) {
	handle := f.call("FPDF_LoadPage", f.handle, uint64(page))
	if handle == 0 {
		return nil, f.or(document.Damaged("page %d cannot be opened", page+1))
	}
	defer f.call("FPDF_ClosePage", handle)
	width, height := f.size(handle)
	bitmap := f.call("FPDFBitmap_Create", uint64(width), uint64(height), 0)
	if bitmap == 0 {
		return nil, f.or(document.Damaged("page %d cannot be drawn", page+1))
	}
	defer f.call("FPDFBitmap_Destroy", bitmap)
	const white, annotations = 0xffffffff, 1 // FPDF_ANNOT
	f.call("FPDFBitmap_FillRect", bitmap, 0, 0, uint64(width), uint64(height), white)
	f.call("FPDF_RenderPageBitmap", bitmap, handle, 0, 0, uint64(width), uint64(height), 0, annotations)
	stride := int(int32(f.call("FPDFBitmap_GetStride", bitmap))) //nolint:gosec // a C int
	if f.failed == nil && (stride < 4*width || stride > 4*width+64) {
		return nil, document.Damaged("page %d cannot be drawn", page+1)
	}
	pixels := f.read(uint32(f.call("FPDFBitmap_GetBuffer", bitmap)), stride*height) //nolint:gosec // an address
	if f.failed != nil {
		return nil, f.failed
	}
	return encode(pixels, width, height, stride)
}

// or returns why the calls before failed, otherwise if they did not.
func (f *file) or(otherwise error) error {
	if f.failed != nil {
		return f.failed
	}
	return otherwise
}

// size returns how many pixels a page's picture has.
func (f *file) size(page uint64) (width, height int) {
	points := func(function string) float64 {
		v := float64(math.Float32frombits(uint32(f.call(function, page)))) //nolint:gosec // a C float
		if !(v >= 1 && v <= 20_000) {
			return 612
		}
		return v
	}
	w, h := points("FPDF_GetPageWidthF")*pageDPI/72, points("FPDF_GetPageHeightF")*pageDPI/72
	if scale := math.Sqrt(maxPixels / (w * h)); scale < 1 {
		w, h = w*scale, h*scale
	}
	return max(1, int(w)), max(1, int(h))
}

// encode makes a PNG of pixels of four bytes: blue, green, red, and one unused.
func encode(pixels []byte, width, height, stride int) ([]byte, error) {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		from, to := pixels[y*stride:], picture.Pix[y*picture.Stride:]
		for x := range width {
			to[4*x], to[4*x+1], to[4*x+2], to[4*x+3] = from[4*x+2], from[4*x+1], from[4*x], 0xff
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("encode a page's picture: %w", err)
	}
	return b.Bytes(), nil
}
