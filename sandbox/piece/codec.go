package piece

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Codec is Connect's binary codec, except that it reads pieces of files by [Decode]. Its zero value is ready.
type Codec struct {
	// Options say how every other message is read.
	Options proto.UnmarshalOptions
}

// Name returns the name under which the protocols know the codec.
func (Codec) Name() string { return "proto" }

// Marshal encodes a message.
func (c Codec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend encodes a message behind dst, which spares its caller a buffer.
func (Codec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	msg, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, msg)
}

// Unmarshal decodes a message. Strings that are not UTF-8 are an error.
func (c Codec) Unmarshal(data []byte, message any) error {
	msg, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", message)
	}
	if Decode(data, msg) {
		return nil
	}
	return c.Options.Unmarshal(data, msg)
}
