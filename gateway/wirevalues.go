package gateway

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wireValues counts the values of a binary message, or says that they are too many or too deep: every
// field that is there, in every message below as well, and every element of a packed list. A value of
// google.protobuf.Struct is three or four of these. It allocates nothing.
func wireValues(data []byte, message protoreflect.MessageDescriptor) (int, error) {
	return countMessage(data, message, 0, 1)
}

// countMessage adds the values of one message to those counted so far. What is no message at all is
// refused here: the decoder may not be trusted to stop at the same byte.
func countMessage(data []byte, message protoreflect.MessageDescriptor, values, depth int) (int, error) {
	if depth > maxWireDepth {
		return values, errTooDeep()
	}
	fields := message.Fields()
	for len(data) > 0 {
		number, wire, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return values, errMalformed(message)
		}
		size := protowire.ConsumeFieldValue(number, wire, data[tag:])
		if size < 0 {
			return values, errMalformed(message)
		}
		value := data[tag : tag+size]
		data = data[tag+size:]
		if values++; values > maxValues {
			return values, errTooManyValues()
		}
		field := fields.ByNumber(number)
		if field == nil || wire != protowire.BytesType {
			continue // unknown fields are kept as they are; groups, which the API does not have, are such
		}
		inner, _ := protowire.ConsumeBytes(value)
		if field.Kind() == protoreflect.MessageKind {
			var err error
			if values, err = countMessage(inner, field.Message(), values, depth+1); err != nil {
				return values, err
			}
		} else if field.IsList() {
			if values += packedValues(field.Kind(), inner); values > maxValues {
				return values, errTooManyValues()
			}
		}
	}
	return values, nil
}

// packedValues counts the elements of a packed list.
func packedValues(kind protoreflect.Kind, packed []byte) int {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind:
		return 0 // is never packed, and was counted as a field
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return len(packed) / 4
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return len(packed) / 8
	default:
		ends := 0
		for _, b := range packed {
			if b < 0x80 { // the last byte of a varint
				ends++
			}
		}
		return ends
	}
}

func errMalformed(message protoreflect.MessageDescriptor) error {
	return errors.New("it is no binary " + string(message.FullName()))
}
