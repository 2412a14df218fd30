package openapi

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sandgate/sandgate/gateway/catalog"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// bearer is the name of the security scheme.
const bearer = "bearer"

func securitySchemes() components {
	return components{bearer: object{
		"type": "http", "scheme": "bearer",
		"description": "A key with the scopes that the operation names. A gateway without keys listens on loopback only and asks for none.",
	}}
}

// security asks for a key with the scopes of an RPC, or for none.
func security(method protoreflect.MethodDescriptor) []map[string][]string {
	return []map[string][]string{{bearer: catalog.Options(method).GetScopes()}, {}}
}

func headers() components {
	return components{"RequestID": object{
		"description": "The name of the call in the gateway's log. A request may bring one of up to 64 letters, digits, `-`, `_` and `.`.",
		"schema":      object{"type": "string"},
	}}
}

func requestIDHeader() object {
	return object{"Sandgate-Request-Id": object{"$ref": "#/components/headers/RequestID"}}
}

func responses() components {
	return components{"Error": object{
		"description": "The RPC could not be run.",
		"headers":     requestIDHeader(),
		"content":     jsonContent(object{"$ref": "#/components/schemas/connect.Error"}),
	}}
}

// addErrors adds the schemas of an error as Connect writes it.
func addErrors(messages *catalog.Components, schemas components) error {
	detail, err := messages.Reply((*sandgatev1.ErrorDetail)(nil).ProtoReflect().Descriptor())
	if err != nil {
		return fmt.Errorf("describe errors: %w", err)
	}
	var codes []any
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		codes = append(codes, code.String())
	}
	schemas["connect.Error"] = object{
		"type":        "object",
		"description": "Why an RPC could not be run.",
		"required":    []any{"code"},
		"properties": object{
			"code":    object{"type": "string", "enum": codes, "description": "The kind of error. The HTTP status follows from it."},
			"message": object{"type": "string", "description": "What is wrong, for a person."},
			"details": object{"type": "array", "items": object{"$ref": "#/components/schemas/connect.ErrorDetail"}},
		},
	}
	schemas["connect.ErrorDetail"] = object{
		"type":        "object",
		"description": "A `sandgate.v1.ErrorDetail` around an error of Sandgate's.",
		"required":    []any{"type", "value"},
		"properties": object{
			"type":  object{"type": "string", "description": "The full name of the message in `value`."},
			"value": object{"type": "string", "pattern": "^[A-Za-z0-9+/]*$", "description": "The message in protobuf's binary form, as base64 without padding."},
			"debug": detail,
		},
	}
	return nil
}
