package catalog

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// durationPattern is proto3 JSON's form of a duration, the sign left out.
const durationPattern = `[0-9]+(\.[0-9]{1,9})?s$`

// errNoSchema says that a type has no JSON Schema here, so that a new one is not shown as anything.
var errNoSchema = errors.New("no JSON Schema is known for the type")

func rulesOf(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, ok := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if !ok {
		return nil
	}
	return rules
}

// isRequired tells whether a request without the field is always refused.
func isRequired(field protoreflect.FieldDescriptor) bool {
	rules := rulesOf(field)
	if rules.GetRequired() {
		return true
	}
	if field.HasPresence() {
		return false // rules hold only for a value that is set
	}
	return rules.GetString().GetMinLen() > 0 || rules.GetString().GetMinBytes() > 0 ||
		rules.GetBytes().GetMinLen() > 0 || rules.GetRepeated().GetMinItems() > 0 ||
		rules.GetMap().GetMinPairs() > 0
}

func stringRules(out schema, rules *validate.StringRules) {
	bound(out, "minLength", rules.GetMinLen(), rules.HasMinLen())
	bound(out, "maxLength", rules.GetMaxLen(), rules.HasMaxLen())
	if !rules.HasMaxLen() {
		// A text of so many bytes has at most so many characters.
		bound(out, "maxLength", rules.GetMaxBytes(), rules.HasMaxBytes())
	}
	if rules.HasPattern() {
		out["pattern"] = rules.GetPattern()
	}
}

// number derives the schema of a numeric field. Proto3 JSON writes 64-bit integers as strings and
// reads them either way.
func (d *deriver) number(kind protoreflect.Kind, rules *validate.FieldRules) schema {
	switch kind {
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		if d.input {
			return schema{"type": "number"}
		}
		return schema{"anyOf": []any{
			schema{"type": "number"},
			schema{"enum": []any{"NaN", "Infinity", "-Infinity"}},
		}}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if !d.input {
			return schema{"type": "string", "pattern": "^-?[0-9]+$"}
		}
	default:
	}
	out := schema{"type": "integer"}
	if kind == protoreflect.Uint32Kind || kind == protoreflect.Uint64Kind ||
		kind == protoreflect.Fixed32Kind || kind == protoreflect.Fixed64Kind {
		out["minimum"] = float64(0)
	}
	if d.input {
		integerRules(out, rules)
	}
	return out
}

// integerRules takes the bounds of whichever integer rules are set. The names of the rules are the
// same for all integer types, which is why they are read by name.
func integerRules(out schema, rules *validate.FieldRules) {
	if rules == nil {
		return
	}
	message := rules.ProtoReflect()
	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("type"))
	if kind == nil {
		return
	}
	typed := message.Get(kind).Message()
	for rule, keyword := range map[protoreflect.Name]string{
		"gte": "minimum", "gt": "exclusiveMinimum", "lte": "maximum", "lt": "exclusiveMaximum",
	} {
		field := typed.Descriptor().Fields().ByName(rule)
		if field == nil || !typed.Has(field) {
			continue
		}
		switch value := typed.Get(field).Interface().(type) {
		case int32:
			out[keyword] = float64(value)
		case int64:
			out[keyword] = float64(value)
		case uint32:
			out[keyword] = float64(value)
		case uint64:
			out[keyword] = float64(value)
		}
	}
}

// wellKnown derives the schema of a type that proto3 JSON writes in a form of its own.
func wellKnown(name protoreflect.FullName, rules *validate.FieldRules) (schema, error) {
	switch name {
	case "google.protobuf.Duration":
		sign := "^-?"
		if d := rules.GetDuration(); (d.HasGt() && d.GetGt().AsDuration() >= 0) || (d.HasGte() && d.GetGte().AsDuration() >= 0) {
			sign = "^"
		}
		out := schema{"type": "string", "pattern": sign + durationPattern, "examples": []any{"60s"}}
		if text := durationBounds(rules.GetDuration()); text != "" {
			out["description"] = text
		}
		return out, nil
	case "google.protobuf.Timestamp":
		return schema{"type": "string", "format": "date-time"}, nil
	case "google.protobuf.Struct":
		return schema{"type": "object"}, nil
	case "google.protobuf.ListValue":
		return schema{"type": "array"}, nil
	case "google.protobuf.Value":
		return schema{}, nil
	default:
		return nil, fmt.Errorf("%s: %w", name, errNoSchema)
	}
}

// durationBounds says in words what JSON Schema cannot: how long a duration may be.
func durationBounds(rules *validate.DurationRules) string {
	var parts []string
	add := func(word string, has bool, bound *durationpb.Duration) {
		if has {
			parts = append(parts, word+" "+seconds(bound.AsDuration()))
		}
	}
	add("more than", rules.HasGt(), rules.GetGt())
	add("at least", rules.HasGte(), rules.GetGte())
	add("less than", rules.HasLt(), rules.GetLt())
	add("at most", rules.HasLte(), rules.GetLte())
	if len(parts) == 0 {
		return ""
	}
	text := strings.Join(parts, ", ")
	return "Written as seconds and an s: " + text + "."
}

func seconds(d time.Duration) string {
	if whole := d.Seconds(); whole == math.Trunc(whole) {
		return fmt.Sprintf("%ds", int64(whole))
	}
	return fmt.Sprintf("%gs", d.Seconds())
}

// bound adds a keyword with a number if its rule is set.
func bound(out schema, keyword string, value uint64, set bool) {
	if set {
		out[keyword] = float64(value)
	}
}
