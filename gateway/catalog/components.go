package catalog

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Components are the JSON Schemas of messages as they travel, for a document that refers to them: a
// message is written once, refers to the messages in it, and has the field names of proto3 JSON. They
// are filled by one goroutine.
type Components struct {
	prefix   string
	notes    comments
	requests map[protoreflect.FullName]bool
	schemas  schema
}

// Components returns components that hold nothing yet. Prefix is what stands before the name of a
// schema in a reference to it, such as `#/components/schemas/`.
func (c *Catalog) Components(prefix string) *Components {
	requests := make(map[protoreflect.FullName]bool)
	for _, method := range c.methods {
		requests[method.Input().FullName()] = true
	}
	return &Components{prefix: prefix, notes: c.notes, requests: requests, schemas: schema{}}
}

// Request adds a message that callers send, and those in it, and returns a schema that refers to it.
// It fails for a message that holds a type of which no JSON Schema is known.
func (s *Components) Request(message protoreflect.MessageDescriptor) (map[string]any, error) {
	return s.message(message, true)
}

// Reply is Request for a message that the gateway sends.
func (s *Components) Reply(message protoreflect.MessageDescriptor) (map[string]any, error) {
	return s.message(message, false)
}

// Schemas returns all schemas by name, in the types that encoding/json makes of JSON. The map is the
// components' own: what is added to it is theirs.
func (s *Components) Schemas() map[string]any { return s.schemas }

// message refers to a message, and adds it if it is new. What may be sent and what is sent are two
// schemas, as requests have rules and replies write 64-bit integers as text. So a message inside
// requests has a name of its own; most messages are on one side only.
func (s *Components) message(message protoreflect.MessageDescriptor, input bool) (schema, error) {
	name := string(message.FullName())
	if input && !s.requests[message.FullName()] {
		name += "Input"
	}
	if _, ok := s.schemas[name]; !ok {
		s.schemas[name] = schema{} // so that a message that contains itself ends here
		d := &deriver{notes: s.notes, input: input, shared: s}
		out, err := d.message(message)
		if err != nil {
			return nil, err
		}
		if note := s.notes[message.FullName()]; note != "" {
			out["description"] = note
		}
		s.schemas[name] = out
	}
	return schema{"$ref": s.prefix + name}, nil
}

// enum refers to an enum, and adds it if it is new.
func (s *Components) enum(enum protoreflect.EnumDescriptor, values schema) schema {
	name := string(enum.FullName())
	if note := s.notes[enum.FullName()]; note != "" {
		if own, ok := values["description"].(string); ok {
			note += " " + own
		}
		values["description"] = note
	}
	s.schemas[name] = values
	return schema{"$ref": s.prefix + name}
}
