// Package openapi describes the API as an OpenAPI 3.1 document, for clients and tools that know
// neither Connect nor protobuf. Everything in it comes from the catalogue; it holds no state.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sandgate/sandgate/gateway/catalog"
)

// object is a JSON object whose order does not matter: encoding/json sorts it.
type object = map[string]any

// document is an OpenAPI document, in the order in which people read one.
type document struct {
	OpenAPI    string                `json:"openapi"`
	Info       info                  `json:"info"`
	Tags       []object              `json:"tags"`
	Paths      map[string]pathItem   `json:"paths"`
	Components map[string]components `json:"components"`
}

type info struct {
	Title       string            `json:"title"`
	Version     string            `json:"version"`
	Description string            `json:"description"`
	License     map[string]string `json:"license"`
}

type components map[string]any

type pathItem struct {
	Get  *operation `json:"get,omitempty"`
	Post *operation `json:"post"`
}

type operation struct {
	OperationID string                `json:"operationId"`
	Tags        []string              `json:"tags"`
	Summary     string                `json:"summary"`
	Description string                `json:"description"`
	Security    []map[string][]string `json:"security"`
	Parameters  []object              `json:"parameters,omitempty"`
	RequestBody object                `json:"requestBody,omitempty"`
	Responses   object                `json:"responses"`
}

// Document returns the OpenAPI document of the API as indented JSON. The same API makes the same
// bytes. It fails for an API with a message of which no JSON Schema is known.
func Document(c *catalog.Catalog) ([]byte, error) {
	messages := c.Components("#/components/schemas/")
	doc := document{
		OpenAPI:    "3.1.0",
		Info:       info{Title: "Sandgate", Version: "v1", License: map[string]string{"name": "Apache License 2.0", "identifier": "Apache-2.0"}},
		Paths:      map[string]pathItem{},
		Components: map[string]components{"securitySchemes": securitySchemes(), "headers": headers(), "responses": responses()},
	}
	procedures := c.Procedures()
	slices.Sort(procedures)
	services := map[protoreflect.FullName]bool{}
	var streams []string
	for _, procedure := range procedures {
		method := c.Method(procedure)
		if method.IsStreamingClient() || method.IsStreamingServer() {
			streams = append(streams, procedure)
			continue
		}
		item, err := path(c, method, messages)
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", procedure, err)
		}
		doc.Paths[procedure] = item
		if service := method.Parent(); !services[service.FullName()] {
			services[service.FullName()] = true
			doc.Tags = append(doc.Tags, object{"name": string(service.Name()), "description": c.Comment(service)})
		}
	}
	schemas := components(messages.Schemas())
	if err := addErrors(messages, schemas); err != nil {
		return nil, err
	}
	doc.Components["schemas"] = schemas
	doc.Info.Description = fmt.Sprintf(introduction, strings.Join(streams, "`, `"))
	return encode(doc)
}

// introduction is what the whole API has in common. The streaming RPCs go into it.
const introduction = "A gateway that runs untrusted code of agents in sandboxes. Each RPC is a POST with a JSON object; " +
	"those without side effects may also be a GET with that object in the URL, which has room for 64 KiB together with the headers.\n\n" +
	"Requests are read as proto3 JSON: besides what the schemas say, a field may be written as in the .proto (`session_id`), " +
	"a number as text, an enum by its number, and null stands for an absent field. A field that does not exist is refused. " +
	"Replies leave out fields that are empty, zero or false, and write 64-bit integers as text and bytes as base64.\n\n" +
	"An RPC that could not be run answers with an HTTP status of 400 or more and a `connect.Error`. That code which was run " +
	"failed is no error, but a status in an ordinary reply.\n\n" +
	"OpenAPI has no words for the RPCs that stream messages, which need a Connect, gRPC or gRPC-Web client: `%s`. " +
	"The tools among them can be called to their end with `/sandgate.v1.ToolService/CallTool`."

// path describes the RPC of a path.
func path(c *catalog.Catalog, method protoreflect.MethodDescriptor, messages *catalog.Components) (pathItem, error) {
	request, err := messages.Request(method.Input())
	if err != nil {
		return pathItem{}, err
	}
	reply, err := messages.Reply(method.Output())
	if err != nil {
		return pathItem{}, err
	}
	note := c.Comment(method)
	operation := func(suffix string) *operation {
		return &operation{
			OperationID: fmt.Sprintf("%s_%s%s", method.Parent().Name(), method.Name(), suffix),
			Tags:        []string{string(method.Parent().Name())},
			Summary:     firstSentence(note),
			Description: note,
			Security:    security(method),
			Responses: object{
				"200":     object{"description": c.Comment(method.Output()), "headers": requestIDHeader(), "content": jsonContent(reply)},
				"default": object{"$ref": "#/components/responses/Error"},
			},
		}
	}
	post := operation("")
	post.RequestBody = object{"required": true, "content": jsonContent(request)}
	if !gettable(method) {
		return pathItem{Post: post}, nil
	}
	get := operation("_Get")
	get.Parameters = []object{
		{"name": "encoding", "in": "query", "required": true, "schema": object{"type": "string", "const": "json"}, "description": "How the message is written."},
		{"name": "message", "in": "query", "required": true, "content": jsonContent(request), "description": "The request."},
	}
	return pathItem{Get: get, Post: post}, nil
}

// gettable tells whether an RPC may be called with GET.
func gettable(method protoreflect.MethodDescriptor) bool {
	options, ok := method.Options().(*descriptorpb.MethodOptions)
	return ok && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func jsonContent(schema object) object {
	return object{"application/json": object{"schema": schema}}
}

func firstSentence(text string) string {
	if before, _, found := strings.Cut(text, ". "); found {
		return before + "."
	}
	return text
}

func encode(doc document) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return out.Bytes(), nil
}
