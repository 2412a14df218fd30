package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// wrongArgument says which argument it is that a decoder refused, and what would be right: the decoder
// itself names the field of some errors only. It decodes each argument by itself, which together costs
// what decoding them all did. Where none is wrong by itself, the decoder's own text stays.
func wrongArgument(wanted protoreflect.MessageType, arguments *structpb.Struct, problem string) string {
	fields := wanted.Descriptor().Fields()
	for _, name := range slices.Sorted(maps.Keys(arguments.GetFields())) {
		field := fields.ByName(protoreflect.Name(name))
		if field == nil {
			field = fields.ByJSONName(name)
		}
		text, err := protojson.Marshal(&structpb.Struct{Fields: map[string]*structpb.Value{name: arguments.GetFields()[name]}})
		if field == nil || err != nil {
			continue // is refused elsewhere
		}
		if err := protojson.Unmarshal(text, wanted.New().Interface()); err != nil {
			own := withoutPosition(withoutPrefix(ownNames(fields, err.Error())))
			return fmt.Sprintf("%s: must be %s (%s)", name, rightValue(field), own)
		}
	}
	return ownNames(fields, problem)
}

// rightValue says in words what the JSON value of a field is.
func rightValue(field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsMap():
		return "an object, each value " + rightSingle(field.MapValue())
	case field.IsList():
		return "a list, each element " + rightSingle(field)
	default:
		return rightSingle(field)
	}
}

// rightSingle is rightValue for one value: that of a field without label, or an element.
func rightSingle(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a text"
	case protoreflect.BytesKind:
		return "a text, the bytes in base64"
	case protoreflect.EnumKind:
		names := make([]string, 0, field.Enum().Values().Len())
		for i := range field.Enum().Values().Len() {
			names = append(names, string(field.Enum().Values().Get(i).Name()))
		}
		return "one of " + strings.Join(names, ", ")
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	case protoreflect.MessageKind, protoreflect.GroupKind:
		switch field.Message().FullName() {
		case "google.protobuf.Duration":
			return `a number of seconds and an s, such as "60s"`
		case "google.protobuf.Timestamp":
			return `a point in time, such as "2006-01-02T15:04:05Z"`
		case "google.protobuf.Value":
			return "any value"
		}
		return "an object"
	default:
		return "a whole number"
	}
}
