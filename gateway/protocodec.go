package gateway

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/sandgate/sandgate/sandbox/piece"
)

// protoCodec reads and writes binary messages like Connect's own, except that it bounds the values of
// what it reads.
type protoCodec struct{ turns turns }

// Name returns the name under which the protocols know the codec.
func (protoCodec) Name() string { return "proto" }

// IsBinary says that what it writes is no text.
func (protoCodec) IsBinary() bool { return true }

// Marshal encodes a message.
func (c protoCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend encodes a message behind dst.
func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	msg, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, msg)
}

// MarshalStable encodes equal messages equally.
func (protoCodec) MarshalStable(message any) ([]byte, error) {
	msg, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(msg)
}

// Unmarshal decodes a request.
func (c protoCodec) Unmarshal(data []byte, message any) error {
	msg, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	if piece.Decode(data, msg) {
		return nil
	}
	return c.turns.decode(len(data),
		func() (int, error) { return wireValues(data, msg.ProtoReflect().Descriptor()) },
		func() error {
			if err := proto.Unmarshal(data, msg); err != nil {
				return errors.New(cut(withoutPrefix(err.Error())))
			}
			return nil
		})
}
