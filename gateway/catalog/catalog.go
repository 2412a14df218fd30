// Package catalog derives the catalogue of tools from the API's descriptors: names and scopes from
// the method options, descriptions from the comments, JSON Schemas from the messages and their
// validation rules. It holds no state and calls nothing.
package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// apiPackage is the protobuf package whose RPCs are the API.
const apiPackage = "sandgate.v1"

// SessionField is the name of the request field that a tool call carries beside its arguments.
const SessionField = "session_id"

// ResultField is the name of the field that is set in the last message of a streaming tool.
const ResultField = "result"

// A Catalog is everything that can be known about the API without running it. It never changes and
// may be read by any number of goroutines; what it returns must not be changed.
type Catalog struct {
	methods map[string]protoreflect.MethodDescriptor // by procedure
	tools   map[string]*Tool                         // by name
	sorted  []*Tool
	notes   comments
}

// A Tool is an RPC that models may call.
type Tool struct {
	// Proto is the tool as ListTools returns it.
	Proto *sandgatev1.Tool
	// Method is the RPC behind it.
	Method protoreflect.MethodDescriptor
	// Arguments are the names of the arguments, in the order of the request message.
	Arguments []string
}

// New reads the catalogue from the descriptors that are linked into the program. It returns an
// error for an API that breaks its own rules: an RPC without scopes, a tool whose messages have no
// JSON Schema.
func New() (*Catalog, error) {
	notes, err := readComments()
	if err != nil {
		return nil, err
	}
	c := &Catalog{methods: make(map[string]protoreflect.MethodDescriptor), tools: make(map[string]*Tool), notes: notes}
	var errs []error
	protoregistry.GlobalFiles.RangeFilesByPackage(apiPackage, func(file protoreflect.FileDescriptor) bool {
		services := file.Services()
		for i := range services.Len() {
			errs = append(errs, c.addService(services.Get(i)))
		}
		return true
	})
	slices.SortFunc(c.sorted, func(a, b *Tool) int { return cmp.Compare(a.Proto.GetName(), b.Proto.GetName()) })
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	return c, nil
}

// Method returns the RPC of a procedure such as `/sandgate.v1.PythonService/Run`, nil for none.
func (c *Catalog) Method(procedure string) protoreflect.MethodDescriptor { return c.methods[procedure] }

// Procedures returns the procedures of all RPCs, in no order.
func (c *Catalog) Procedures() []string {
	procedures := make([]string, 0, len(c.methods))
	for procedure := range c.methods {
		procedures = append(procedures, procedure)
	}
	return procedures
}

// Scopes returns every scope that an RPC asks for, sorted.
func (c *Catalog) Scopes() []string {
	var scopes []string
	for _, method := range c.methods {
		scopes = append(scopes, Options(method).GetScopes()...)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// Tool returns the tool of a name, nil for none.
func (c *Catalog) Tool(name string) *Tool { return c.tools[name] }

// Tools returns all tools, sorted by name.
func (c *Catalog) Tools() []*Tool { return c.sorted }

// Comment returns what is written above a service, RPC, message, field or enum of the API, as one
// paragraph. Empty: nothing.
func (c *Catalog) Comment(of protoreflect.Descriptor) string { return c.notes[of.FullName()] }

// Options returns the tool option of an RPC, an empty one where it has none.
func Options(method protoreflect.MethodDescriptor) *sandgatev1.ToolOptions {
	options, ok := proto.GetExtension(method.Options(), sandgatev1.E_Tool).(*sandgatev1.ToolOptions)
	if !ok || options == nil {
		return &sandgatev1.ToolOptions{}
	}
	return options
}

// Procedure returns the path under which an RPC is served.
func Procedure(method protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
}

func (c *Catalog) addService(service protoreflect.ServiceDescriptor) error {
	var errs []error
	methods := service.Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		c.methods[Procedure(method)] = method
		options := Options(method)
		if len(options.GetScopes()) == 0 {
			errs = append(errs, fmt.Errorf("%s has no scopes", method.FullName()))
		}
		if options.GetName() == "" {
			continue
		}
		tool, err := newTool(method, options, c.notes)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", method.FullName(), err))
			continue
		}
		if c.tools[options.GetName()] != nil {
			errs = append(errs, fmt.Errorf("two RPCs are called %s", options.GetName()))
		}
		c.tools[options.GetName()] = tool
		c.sorted = append(c.sorted, tool)
	}
	return errors.Join(errs...)
}

func newTool(method protoreflect.MethodDescriptor, options *sandgatev1.ToolOptions, notes comments) (*Tool, error) {
	if method.IsStreamingClient() {
		return nil, errors.New("a tool cannot take a stream of requests")
	}
	reply := method.Output()
	if method.IsStreamingServer() {
		field := reply.Fields().ByName(ResultField)
		if field == nil || field.Message() == nil || field.IsList() || field.IsMap() {
			return nil, fmt.Errorf("a streaming tool needs a message called %s in its reply", ResultField)
		}
		reply = field.Message()
	}
	input, err := messageSchema(method.Input(), notes, true)
	if err != nil {
		return nil, err
	}
	output, err := messageSchema(reply, notes, false)
	if err != nil {
		return nil, err
	}
	return &Tool{
		Method:    method,
		Arguments: argumentNames(method.Input()),
		Proto: &sandgatev1.Tool{
			Name:         options.GetName(),
			Description:  notes[method.FullName()],
			InputSchema:  input,
			OutputSchema: output,
			SideEffects:  options.GetSideEffects(),
			Scopes:       options.GetScopes(),
			Procedure:    Procedure(method),
		},
	}, nil
}

func argumentNames(message protoreflect.MessageDescriptor) []string {
	var names []string
	fields := message.Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); name != SessionField {
			names = append(names, name)
		}
	}
	return names
}

// messageSchema derives the JSON Schema of a message, input or output of a tool.
func messageSchema(message protoreflect.MessageDescriptor, notes comments, input bool) (*structpb.Struct, error) {
	d := &deriver{notes: notes, input: input, root: message}
	schema, err := d.message(message)
	if err != nil {
		return nil, err
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	if len(d.defs) > 0 {
		schema["$defs"] = d.defs
	}
	out, err := structpb.NewStruct(schema)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", message.FullName(), err)
	}
	return out, nil
}
