package gateway

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// jsonCodec reads and writes JSON like Connect's own, except that it refuses fields that a message
// does not have: a limit with a letter missing would otherwise be no limit, and nobody would know. It
// bounds the values of what it reads.
type jsonCodec struct {
	name  string // Connect knows the codec under two
	turns turns
}

// Name returns the name under which the protocol knows the codec.
func (c jsonCodec) Name() string { return c.name }

// Marshal encodes a message.
func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend encodes a message behind dst.
func (jsonCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	msg, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return protojson.MarshalOptions{}.MarshalAppend(dst, msg)
}

// Unmarshal decodes a request. Its error says what would be right.
func (c jsonCodec) Unmarshal(data []byte, message any) error {
	msg, ok := message.(proto.Message)
	switch {
	case !ok:
		return fmt.Errorf("%T is no message", message)
	case len(data) == 0:
		return errors.New("it is empty; the least is {}")
	}
	return c.turns.decode(len(data),
		func() (int, error) { return jsonValues(data) },
		func() error {
			if err := protojson.Unmarshal(data, msg); err != nil {
				return errors.New(explainJSON(msg.ProtoReflect().Descriptor(), err))
			}
			return nil
		})
}

// explainJSON says what is wrong with a JSON text. A decoder's text begins with its own name.
func explainJSON(wanted protoreflect.MessageDescriptor, err error) string {
	problem := cut(withoutPrefix(err.Error()))
	switch {
	case strings.Contains(problem, "unknown field") && wanted.Fields().Len() > 0:
		names := make([]string, 0, wanted.Fields().Len())
		for i := range wanted.Fields().Len() {
			names = append(names, string(wanted.Fields().Get(i).Name()))
		}
		problem += fmt.Sprintf("; %s has: %s", wanted.Name(), strings.Join(names, ", "))
	case strings.Contains(problem, "google.protobuf.Duration"):
		problem += `; a length of time is written in seconds, such as "600s"`
	}
	return problem
}

// withoutPrefix takes the decoder's name off an error. It is followed by a space, or by one that does
// not break, as the package chooses.
func withoutPrefix(problem string) string {
	problem, ok := strings.CutPrefix(problem, "proto:")
	if !ok {
		return problem
	}
	return strings.TrimPrefix(strings.TrimLeft(problem, " \t\u00a0"), "syntax error ")
}
