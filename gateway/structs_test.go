package gateway

import (
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Every message of the API, filled with all sorts of values, becomes the same object as by way of
// protojson's text.
func TestStructOfSaysWhatProtoJSONSays(t *testing.T) {
	registry := NewRegistry()
	random := rand.New(rand.NewPCG(1, 2))
	for _, procedure := range registry.catalog.Procedures() {
		method := registry.catalog.Method(procedure)
		for _, descriptor := range []protoreflect.MessageDescriptor{method.Input(), method.Output()} {
			for range 20 {
				kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
				if err != nil {
					t.Fatal(err)
				}
				message := kind.New()
				fill(random, message, 4)
				got, err := structOf(message.Interface())
				if err != nil {
					t.Fatalf("%s: %v", descriptor.FullName(), err)
				}
				if want := textually(t, message.Interface()); !proto.Equal(got, want) {
					t.Fatalf("%s: got\n%v\nwant\n%v", descriptor.FullName(), got, want)
				}
			}
		}
	}
}

// textually is structOf by way of text.
func textually(t *testing.T, message proto.Message) *structpb.Struct {
	t.Helper()
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	out := &structpb.Struct{}
	if err := protojson.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// fill sets about half of the fields of a message, of messages inside down to a depth.
func fill(random *rand.Rand, message protoreflect.Message, depth int) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case random.IntN(2) == 0 || depth == 0:
		case field.IsList():
			list := message.Mutable(field).List()
			for range random.IntN(3) {
				list.Append(anyValue(random, field, list.NewElement, depth))
			}
		case field.IsMap():
			entries := message.Mutable(field).Map()
			if field.MapKey().Kind() == protoreflect.StringKind {
				entries.Set(protoreflect.ValueOfString("key").MapKey(), anyValue(random, field.MapValue(), entries.NewValue, depth))
			}
		default:
			message.Set(field, anyValue(random, field, func() protoreflect.Value { return message.NewField(field) }, depth))
		}
	}
}

// anyValue returns some value that a field may have.
func anyValue(random *rand.Rand, field protoreflect.FieldDescriptor, empty func() protoreflect.Value, depth int) protoreflect.Value {
	pick := random.IntN(4)
	switch field.Kind() { //nolint:exhaustive // the API uses no others but messages, which come below
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(pick > 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString([]string{"", "a", "\u2028<ü>\x00", "\"\\"}[pick])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([][]byte{nil, {0}, {0xff, 0xfe}, []byte("text")}[pick])
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum([]protoreflect.EnumNumber{0, 1, 2, 4711}[pick])
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32([]int32{0, 7, math.MinInt32, math.MaxInt32}[pick])
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64([]int64{0, 7, math.MinInt64, math.MaxInt64}[pick])
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32([]uint32{0, 7, 8, math.MaxUint32}[pick])
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64([]uint64{0, 7, 8, math.MaxUint64}[pick])
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64([]float64{0, 0.1, math.Inf(-1), math.NaN()}[pick])
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32([]float32{0, 0.1, float32(math.Inf(1)), float32(math.NaN())}[pick])
	}
	value := empty()
	switch known := value.Message().Interface().(type) {
	case *timestamppb.Timestamp:
		known.Seconds, known.Nanos = int64(pick)*1e9, int32(pick)*1000
	case *durationpb.Duration:
		known.Seconds, known.Nanos = int64(pick), int32(pick)
	case *structpb.Struct:
		known.Fields = map[string]*structpb.Value{"n": structpb.NewNumberValue(float64(pick))}
	case *structpb.Value:
		known.Kind = &structpb.Value_BoolValue{BoolValue: true}
	default:
		fill(random, value.Message(), depth-1)
	}
	return value
}
