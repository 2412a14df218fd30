package piece_test

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// messages are one of each kind whose only content is a piece, beside an empty one of its kind.
func messages(data []byte) map[proto.Message]proto.Message {
	return map[proto.Message]proto.Message{
		&sandgatev1.DownloadResponse{Data: data}:                                    &sandgatev1.DownloadResponse{},
		&sandgatev1.ExportResponse{Data: data}:                                      &sandgatev1.ExportResponse{},
		&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Data{Data: data}}: &sandgatev1.UploadRequest{},
		&sandgatev1.ImportRequest{Part: &sandgatev1.ImportRequest_Data{Data: data}}: &sandgatev1.ImportRequest{},
	}
}

func TestPiecesAreReadIntoMemoryOfTheirOwn(t *testing.T) {
	for _, size := range []int{32 << 10, 100_000, piece.Bytes, 256 << 10} {
		for message, empty := range messages(bytes.Repeat([]byte("x"), size)) {
			wire, err := proto.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			if !piece.Decode(wire, empty) || !proto.Equal(empty, message) {
				t.Errorf("%T of %d bytes was not read as it is", message, size)
			}
			clear(wire)
			if !proto.Equal(empty, message) {
				t.Errorf("%T of %d bytes is what it was read from", message, size)
			}
		}
	}
}

// What is anything else is left to whoever reads messages of all kinds.
func TestOtherMessagesAreLeftAlone(t *testing.T) {
	header := &sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "x"}}}
	first := &sandgatev1.DownloadResponse{Data: []byte("x"), TotalSize: 9}
	large := &sandgatev1.ExportResponse{Data: make([]byte, 256<<10+1)}
	small := &sandgatev1.ExportResponse{Data: make([]byte, 32<<10-1)}
	for _, message := range []proto.Message{header, first, large, small, &sandgatev1.ReadResponse{NextOffset: 1}, &sandgatev1.DownloadResponse{}} {
		wire, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		empty := message.ProtoReflect().New().Interface()
		if piece.Decode(wire, empty) || proto.Size(empty) != 0 {
			t.Errorf("%T was read: %v", message, empty)
		}
	}
	piece.Free(nil)
	piece.Free(make([]byte, 10))
}

// What is given back comes again, and costs no memory.
func TestFreedPiecesComeAgain(t *testing.T) {
	wire, err := proto.Marshal(&sandgatev1.DownloadResponse{Data: make([]byte, 100<<10)})
	if err != nil {
		t.Fatal(err)
	}
	message := &sandgatev1.DownloadResponse{}
	if n := testing.AllocsPerRun(100, func() {
		piece.Decode(wire, message)
		piece.Free(message.GetData())
	}); n > 1 { // the collector may take one away
		t.Errorf("%v allocations a piece", n)
	}
}

// FuzzDecode: whatever it reads, it reads as the library does.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x0a\x80\x80\x02"), []byte(""))
	f.Add([]byte("\x12\x80\x80\x02"), []byte(""))
	f.Add([]byte("\x0a\x80\x80\x02"), []byte("\x10\x09"))
	f.Add([]byte("\x8a\x00\x80\x80\x02"), []byte("x"))
	f.Fuzz(func(t *testing.T, before, behind []byte) {
		wire := slices.Concat(before, make([]byte, 32<<10), behind)
		for _, empty := range messages(nil) {
			if !piece.Decode(wire, empty) {
				continue
			}
			want := empty.ProtoReflect().New().Interface()
			if err := proto.Unmarshal(wire, want); err != nil || !proto.Equal(empty, want) {
				t.Errorf("%x and %x: %T differs (%v)", before, behind, empty, err)
			}
		}
	})
}
