package catalog

import (
	"fmt"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// schema is a JSON Schema, in the types that structpb takes.
type schema = map[string]any

// deriver turns messages into JSON Schemas. For tools, messages are written in place, because several
// models do not follow references; only one that contains itself is referred to.
type deriver struct {
	notes comments
	input bool
	root  protoreflect.MessageDescriptor
	open  []protoreflect.FullName // the messages being derived, outermost first
	defs  schema
	// shared holds the schemas of all messages and enums, which are then referred to. Nil: they are
	// written in place.
	shared *Components
}

// message derives the schema of a message with fields.
func (d *deriver) message(message protoreflect.MessageDescriptor) (schema, error) {
	d.open = append(d.open, message.FullName())
	defer func() { d.open = d.open[:len(d.open)-1] }()
	properties := schema{}
	var required []any
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if d.input && message == d.root && field.Name() == SessionField {
			continue
		}
		property, err := d.field(field)
		if err != nil {
			return nil, err
		}
		properties[d.name(field)] = property
		if d.input && (isRequired(field) || namesSession(field)) {
			required = append(required, d.name(field))
		}
	}
	out := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	if choices := d.oneofs(message); len(choices) > 0 {
		out["allOf"] = choices
	}
	return out, nil
}

// name returns what a field is called: as in the .proto for models, which is how comments speak of it,
// and as proto3 JSON writes it for programs.
func (d *deriver) name(field protoreflect.FieldDescriptor) string {
	if d.shared != nil {
		return field.JSONName()
	}
	return string(field.Name())
}

// field derives the schema of a field, its comment included.
func (d *deriver) field(field protoreflect.FieldDescriptor) (schema, error) {
	rules := rulesOf(field)
	out, err := d.anyValue(field, rules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field.FullName(), err)
	}
	if note := d.notes[field.FullName()]; note != "" {
		if own, ok := out["description"].(string); ok {
			note += " " + own
		}
		out["description"] = note
	}
	if d.input && namesSession(field) {
		out["minLength"] = float64(1)
	}
	return out, nil
}

// namesSession tells whether a field of a request names the session to work in. Without one there is
// nothing to work in, whatever else the rules say.
func namesSession(field protoreflect.FieldDescriptor) bool { return field.Name() == SessionField }

func (d *deriver) anyValue(field protoreflect.FieldDescriptor, rules *validate.FieldRules) (schema, error) {
	switch {
	case field.IsMap():
		return d.mapOf(field, rules.GetMap())
	case field.IsList():
		return d.listOf(field, rules.GetRepeated())
	default:
		return d.value(field, rules)
	}
}

func (d *deriver) mapOf(field protoreflect.FieldDescriptor, rules *validate.MapRules) (schema, error) {
	values, err := d.value(field.MapValue(), rules.GetValues())
	if err != nil {
		return nil, err
	}
	out := schema{"type": "object", "additionalProperties": values}
	if field.MapKey().Kind() == protoreflect.StringKind {
		names := schema{}
		stringRules(names, rules.GetKeys().GetString())
		if len(names) > 0 {
			out["propertyNames"] = names
		}
	}
	bound(out, "minProperties", rules.GetMinPairs(), rules.HasMinPairs())
	bound(out, "maxProperties", rules.GetMaxPairs(), rules.HasMaxPairs())
	return out, nil
}

func (d *deriver) listOf(field protoreflect.FieldDescriptor, rules *validate.RepeatedRules) (schema, error) {
	items, err := d.value(field, rules.GetItems())
	if err != nil {
		return nil, err
	}
	out := schema{"type": "array", "items": items}
	bound(out, "minItems", rules.GetMinItems(), rules.HasMinItems())
	bound(out, "maxItems", rules.GetMaxItems(), rules.HasMaxItems())
	if rules.GetUnique() {
		out["uniqueItems"] = true
	}
	return out, nil
}

// value derives the schema of one value of a field, whether or not the field holds many.
func (d *deriver) value(field protoreflect.FieldDescriptor, rules *validate.FieldRules) (schema, error) {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return d.nested(field.Message(), rules)
	case protoreflect.EnumKind:
		return d.enum(field.Enum()), nil
	case protoreflect.StringKind:
		out := schema{"type": "string"}
		stringRules(out, rules.GetString())
		return out, nil
	case protoreflect.BytesKind:
		out := schema{"type": "string", "contentEncoding": "base64"}
		if rules.GetBytes().HasMaxLen() {
			// Four characters for each three bytes begun.
			out["maxLength"] = float64((rules.GetBytes().GetMaxLen() + 2) / 3 * 4)
		}
		return out, nil
	case protoreflect.BoolKind:
		return schema{"type": "boolean"}, nil
	default:
		return d.number(field.Kind(), rules), nil
	}
}

// nested derives the schema of a message inside a message.
func (d *deriver) nested(message protoreflect.MessageDescriptor, rules *validate.FieldRules) (schema, error) {
	name := message.FullName()
	if strings.HasPrefix(string(name), "google.protobuf.") {
		return wellKnown(name, rules)
	}
	if d.shared != nil {
		return d.shared.message(message, d.input)
	}
	if slices.Contains(d.open, name) {
		return d.reference(message)
	}
	return d.message(message)
}

// reference points to a message that contains itself, and defines it once.
func (d *deriver) reference(message protoreflect.MessageDescriptor) (schema, error) {
	name := string(message.FullName())
	if _, ok := d.defs[name]; !ok {
		if d.defs == nil {
			d.defs = schema{}
		}
		d.defs[name] = schema{} // so that the way down ends here
		inner := &deriver{notes: d.notes, input: d.input, defs: d.defs}
		definition, err := inner.message(message)
		if err != nil {
			return nil, err
		}
		d.defs[name] = definition
	}
	return schema{"$ref": "#/$defs/" + name}, nil
}

func (d *deriver) enum(enum protoreflect.EnumDescriptor) schema {
	var names []any
	var notes []string
	values := enum.Values()
	for i := range values.Len() {
		value := values.Get(i)
		names = append(names, string(value.Name()))
		if note := d.notes[value.FullName()]; note != "" {
			notes = append(notes, fmt.Sprintf("%s: %s", value.Name(), note))
		}
	}
	out := schema{"type": "string", "enum": names}
	if len(notes) > 0 {
		out["description"] = strings.Join(notes, " ")
	}
	if d.shared != nil {
		return d.shared.enum(enum, out)
	}
	return out
}

// oneofs says of each group of fields that at most one may be set, or exactly one.
func (d *deriver) oneofs(message protoreflect.MessageDescriptor) []any {
	var out []any
	groups := message.Oneofs()
	for i := range groups.Len() {
		group := groups.Get(i)
		if group.IsSynthetic() {
			continue
		}
		var choices []any
		for j := range group.Fields().Len() {
			choices = append(choices, schema{"required": []any{d.name(group.Fields().Get(j))}})
		}
		rules, ok := proto.GetExtension(group.Options(), validate.E_Oneof).(*validate.OneofRules)
		if !ok || !rules.GetRequired() {
			choices = append(choices, schema{"not": schema{"anyOf": append([]any{}, choices...)}})
		}
		out = append(out, schema{"oneOf": choices})
	}
	return out
}
