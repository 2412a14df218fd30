package gateway

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// structOf returns a message as a JSON object: field names as in the .proto, zeros written out,
// 64-bit integers as strings, bytes as base64. It is what protojson writes with UseProtoNames and
// EmitDefaultValues, without the text in between, which cost more than the rest of a call of a tool.
func structOf(message proto.Message) (*structpb.Struct, error) {
	return structFrom(message.ProtoReflect())
}

func structFrom(message protoreflect.Message) (*structpb.Struct, error) {
	fields := message.Descriptor().Fields()
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, fields.Len())}
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.HasPresence() && !message.Has(field) {
			continue
		}
		value, err := valueFrom(field, message.Get(field))
		if err != nil {
			return nil, fmt.Errorf("write a reply as JSON: %s: %w", field.Name(), err)
		}
		out.Fields[string(field.Name())] = value
	}
	return out, nil
}

// valueFrom returns the value of a field.
func valueFrom(field protoreflect.FieldDescriptor, value protoreflect.Value) (*structpb.Value, error) {
	switch {
	case field.IsList():
		return listFrom(field, value.List())
	case field.IsMap():
		return mapFrom(field, value.Map())
	default:
		return singleFrom(field, value)
	}
}

func listFrom(field protoreflect.FieldDescriptor, list protoreflect.List) (*structpb.Value, error) {
	values := make([]*structpb.Value, 0, list.Len())
	for i := range list.Len() {
		value, err := singleFrom(field, list.Get(i))
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return structpb.NewListValue(&structpb.ListValue{Values: values}), nil
}

func mapFrom(field protoreflect.FieldDescriptor, entries protoreflect.Map) (*structpb.Value, error) {
	out := &structpb.Struct{Fields: make(map[string]*structpb.Value, entries.Len())}
	var err error
	entries.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		out.Fields[key.String()], err = singleFrom(field.MapValue(), value)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	return structpb.NewStructValue(out), nil
}

// singleFrom returns one value: that of a field without label, or an element. The forms are those of
// https://protobuf.dev/programming-guides/json/.
func singleFrom(field protoreflect.FieldDescriptor, value protoreflect.Value) (*structpb.Value, error) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return structpb.NewBoolValue(value.Bool()), nil
	case protoreflect.StringKind:
		return structpb.NewStringValue(value.String()), nil
	case protoreflect.BytesKind:
		return structpb.NewStringValue(base64.StdEncoding.EncodeToString(value.Bytes())), nil
	case protoreflect.EnumKind:
		return enumFrom(field.Enum(), value.Enum()), nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return structpb.NewNumberValue(float64(value.Int())), nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return structpb.NewNumberValue(float64(value.Uint())), nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return structpb.NewStringValue(strconv.FormatInt(value.Int(), 10)), nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return structpb.NewStringValue(strconv.FormatUint(value.Uint(), 10)), nil
	case protoreflect.FloatKind:
		shortest, err := strconv.ParseFloat(strconv.FormatFloat(value.Float(), 'g', -1, 32), 64)
		return floatFrom(shortest), err
	case protoreflect.DoubleKind:
		return floatFrom(value.Float()), nil
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return messageFrom(value.Message())
	default:
		return nil, fmt.Errorf("a field of the unknown kind %s", field.Kind())
	}
}

// enumFrom returns the name of a value, and the number of one without a name.
func enumFrom(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) *structpb.Value {
	if value := enum.Values().ByNumber(number); value != nil {
		return structpb.NewStringValue(string(value.Name()))
	}
	return structpb.NewNumberValue(float64(number))
}

// floatFrom returns a number, and the name of what is none.
func floatFrom(value float64) *structpb.Value {
	switch {
	case math.IsNaN(value):
		return structpb.NewStringValue("NaN")
	case math.IsInf(value, 1):
		return structpb.NewStringValue("Infinity")
	case math.IsInf(value, -1):
		return structpb.NewStringValue("-Infinity")
	default:
		return structpb.NewNumberValue(value)
	}
}

// messageFrom returns a message as an object, and a well-known one in the form that JSON has for it.
func messageFrom(message protoreflect.Message) (*structpb.Value, error) {
	if !strings.HasPrefix(string(message.Descriptor().FullName()), "google.protobuf.") {
		object, err := structFrom(message)
		if err != nil {
			return nil, err
		}
		return structpb.NewStructValue(object), nil
	}
	text, err := protojson.Marshal(message.Interface())
	if err != nil {
		return nil, err
	}
	out := &structpb.Value{}
	return out, protojson.Unmarshal(text, out)
}
