package gateway

import (
	"compress/gzip"
	"fmt"
	"io"

	"connectrpc.com/connect"
)

// withBoundedGzip replaces Connect's gzip by one that stops at the bound. Connect's own inflates an
// oversized message to its end only to tell its size, which is what a gzip bomb wants.
func withBoundedGzip(most int64) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &boundedGzip{most: most} },
		func() connect.Compressor {
			writer, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
			if err != nil {
				return gzip.NewWriter(io.Discard) // the level is a constant that exists
			}
			return writer
		})
}

// boundedGzip inflates at most so many bytes of each message.
type boundedGzip struct {
	gzip.Reader
	most, left int64
}

// Reset begins the next message.
func (b *boundedGzip) Reset(source io.Reader) error {
	b.left = b.most
	return b.Reader.Reset(source)
}

// Read fails once the message is larger than the bound.
func (b *boundedGzip) Read(into []byte) (int, error) {
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.Reader.Read(into)
	if b.left -= int64(n); b.left < 0 {
		return 0, connect.NewError(connect.CodeResourceExhausted,
			fmt.Errorf("the message is larger than %d bytes when decompressed", b.most))
	}
	return n, err
}
