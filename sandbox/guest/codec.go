package guest

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/sandbox/piece"
)

// codec is the binary codec, except that pieces of files are read into memory that is used again.
type codec struct{}

// Name returns the name under which the protocol knows the codec.
func (codec) Name() string { return "proto" }

// Marshal encodes a message.
func (c codec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend encodes a message behind dst.
func (codec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	msg, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, msg)
}

// Unmarshal decodes a message.
func (codec) Unmarshal(data []byte, message any) error {
	msg, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if piece.Decode(data, msg) {
		return nil
	}
	return proto.Unmarshal(data, msg)
}
