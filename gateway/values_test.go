package gateway

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func TestJSONValues(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		count int // 0: it is refused
	}{
		"nothing":               {`{}`, 2},
		"a field":               {`{"a":1}`, 3},
		"two":                   {`{"a":1,"b":[]}`, 6},
		"exactly":               {"[" + strings.Repeat("0,", maxValues-2) + "0]", maxValues},
		"one beyond":            {"[" + strings.Repeat("0,", maxValues-1) + "0]", 0},
		"names beyond":          {"{" + strings.Repeat(`"":0,`, maxValues/2) + `"":0}`, 0},
		"empty lists beyond":    {"[" + strings.Repeat("[],", maxValues/2) + "[]]", 0},
		"a string of commas":    {`{"a":"` + strings.Repeat(",:[{", maxValues) + `"}`, 3},
		"escaped quotes":        {`{"a":"` + strings.Repeat(`\",`, maxValues) + `"}`, 3},
		"escaped backslashes":   {`["` + strings.Repeat(`\\`, maxValues) + `",0]`, 3},
		"a backslash and quote": {`["\\\"` + strings.Repeat(`,`, maxValues) + `"]`, 2},
		"after an odd string":   {`["\\",` + strings.Repeat("0,", maxValues) + "0]", 0},
		"unended string":        {`["` + strings.Repeat(",", maxValues), 2},
		"deep":                  {strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), maxDepth + 1},
		"too deep":              {strings.Repeat(`{"a":`, maxDepth+1), 0},
		"beside one another":    {"[" + strings.Repeat("[],", 2*maxDepth) + "[]]", 2 + 4*maxDepth + 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := jsonValues([]byte(test.text))
			if (err == nil) != (test.count > 0) || err == nil && got != test.count {
				t.Errorf("%d, %v; want %d", got, err, test.count)
			}
		})
	}
}

// nested is a list in a list, so often.
func nested(levels int) *structpb.Value {
	value := structpb.NewNullValue()
	for range levels {
		value = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{value}})
	}
	return value
}

func TestWireValues(t *testing.T) {
	many := func(n int) []*structpb.Value { return slices.Repeat([]*structpb.Value{{}}, n) }
	packed := protowire.AppendTag(nil, 7, protowire.BytesType) // the outliers of a box
	numbers := func(n int) []byte { return protowire.AppendBytes(packed, make([]byte, 8*n)) }
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)
	for name, test := range map[string]struct {
		message proto.Message // what data is to be
		data    []byte        // nil: it is that
		count   int           // 0: it is refused
	}{
		"fields":           {&sandgatev1.RunRequest{SessionId: "s", Code: strings.Repeat(",", 1<<20)}, nil, 2},
		"a map":            {&sandgatev1.RunRequest{Env: map[string]string{"A": "b", "C": "d"}}, nil, 6},
		"exactly":          {&structpb.ListValue{Values: many(maxValues)}, nil, maxValues},
		"one beyond":       {&structpb.ListValue{Values: many(maxValues + 1)}, nil, 0},
		"beyond, below":    {&structpb.Value{Kind: &structpb.Value_ListValue{ListValue: &structpb.ListValue{Values: many(maxValues)}}}, nil, 0},
		"packed, exactly":  {&sandgatev1.ChartBox{}, numbers(maxValues - 1), maxValues},
		"packed, beyond":   {&sandgatev1.ChartBox{}, numbers(maxValues), 0},
		"varints":          {&descriptorpb.SourceCodeInfo_Location{Path: []int32{1, 300, 70000}}, nil, 4},
		"unknown":          {&sandgatev1.RunRequest{}, slices.Repeat(unknown, 3), 3},
		"unknown, beyond":  {&sandgatev1.RunRequest{}, slices.Repeat(unknown, maxValues+1), 0},
		"deep":             {nested(maxWireDepth/2 - 1), nil, maxWireDepth - 1},
		"too deep":         {nested(maxWireDepth / 2), nil, 0},
		"cut short":        {&sandgatev1.RunRequest{}, []byte{0x0a, 5, 'x'}, 0},
		"no field":         {&sandgatev1.RunRequest{}, []byte{0}, 0},
		"cut short, below": {&sandgatev1.CallToolRequest{}, []byte{0x1a, 2, 0x0a, 9}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			data := test.data
			if data == nil {
				var err error
				if data, err = proto.Marshal(test.message); err != nil {
					t.Fatal(err)
				}
			}
			got, err := wireValues(data, test.message.ProtoReflect().Descriptor())
			if (err == nil) != (test.count > 0) || err == nil && got != test.count {
				t.Errorf("%d, %v; want %d", got, err, test.count)
			}
		})
	}
}

// populated counts the values that are in a message.
func populated(message protoreflect.Message) int {
	count := 0
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		below := func(field protoreflect.FieldDescriptor, value protoreflect.Value) {
			if count++; field.Message() != nil {
				count += populated(value.Message())
			}
		}
		switch {
		case field.IsMap():
			value.Map().Range(func(_ protoreflect.MapKey, entry protoreflect.Value) bool {
				below(field.MapValue(), entry)
				return true
			})
		case field.IsList():
			for i := range value.List().Len() {
				below(field, value.List().Get(i))
			}
		default:
			below(field, value)
		}
		return true
	})
	return count
}

// What is decoded is never more than was counted, and what the count refuses as no message is none.
func FuzzWireValues(f *testing.F) {
	kinds := []proto.Message{
		&sandgatev1.CallToolRequest{}, &sandgatev1.RunRequest{}, &sandgatev1.CreateSessionRequest{},
		&sandgatev1.ChartBox{}, &sandgatev1.UploadRequest{}, &descriptorpb.SourceCodeInfo{},
	}
	for i, seed := range []proto.Message{
		&sandgatev1.CallToolRequest{Name: "n", Arguments: &structpb.Struct{Fields: map[string]*structpb.Value{"a": nested(3), "b": {}}}},
		&sandgatev1.RunRequest{Code: "1", Env: map[string]string{"A": "b", "": ""}},
		&sandgatev1.CreateSessionRequest{Limits: &sandgatev1.Limits{MemoryBytes: 1}, Metadata: map[string]string{"a": "b"}},
		&sandgatev1.ChartBox{Outliers: []float64{1, 2}},
		&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{Header: &sandgatev1.UploadHeader{Path: "p"}}},
		&descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{Path: []int32{1, 300}}}},
	} {
		data, err := proto.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), data)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		message := kinds[int(which)%len(kinds)].ProtoReflect().New()
		counted, err := wireValues(data, message.Descriptor())
		if err != nil {
			if strings.Contains(err.Error(), "no binary") && proto.Unmarshal(data, message.Interface()) == nil {
				t.Errorf("%x is a message: %v", data, err)
			}
			return
		}
		// What a decoder leaves behind where it fails counts too.
		_ = proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(data, message.Interface())
		if got := populated(message); got > counted {
			t.Errorf("%x: %d values, %d counted", data, got, counted)
		}
	})
}

// nodes counts the values of decoded JSON.
func nodes(value any) int {
	count := 1
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			count += nodes(element)
		}
	case map[string]any:
		for _, element := range value {
			count += nodes(element)
		}
	}
	return count
}

func FuzzJSONValues(f *testing.F) {
	for _, seed := range []string{`{}`, `[[],{"a":"\\"},"\",",0]`, `"\u0022,"`, `["a\\\"",1]`, "[\t1 ,\n2]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		counted, err := jsonValues(text)
		var value any
		if err != nil || json.Unmarshal(text, &value) != nil {
			return
		}
		if got := nodes(value); got > counted {
			t.Errorf("%s: %d values, %d counted", text, got, counted)
		}
	})
}

func TestCountingAllocatesNothing(t *testing.T) {
	message := &sandgatev1.CallToolRequest{Name: "n", Arguments: arguments(t, `{"code":"1+1","env":{"A":"b"},"list":[1,[2]]}`)}
	data, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"name":"n","arguments":{"code":"1+1","list":[1,[2]]}}`)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := wireValues(data, message.ProtoReflect().Descriptor()); err != nil {
			t.Fatal(err)
		}
		if _, err := jsonValues(text); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
