package gateway

import (
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/catalog"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxProblem bounds how much of a decoder's text is sent back, as it quotes the arguments.
const maxProblem = 512

// decodeArguments turns the arguments of a call into the request of the RPC behind the tool, the
// session set. It does not validate: the RPC does. Every error is InvalidArgument and names what
// is wrong.
func decodeArguments(tool *catalog.Tool, target *rpc, req *sandgatev1.CallToolRequest) (proto.Message, error) {
	if target.own { // which has no fields of its own
		return req, nil
	}
	message := target.newRequest()
	fields := message.ProtoReflect().Descriptor().Fields()
	if err := checkNames(tool, fields, req.GetArguments()); err != nil {
		return nil, err
	}
	if !setSimple(message.ProtoReflect(), req.GetArguments()) {
		text, err := protojson.Marshal(req.GetArguments())
		if err != nil {
			return nil, argumentError(tool, err.Error()) // NaN, or a value of no kind
		}
		if err := protojson.Unmarshal(text, message); err != nil {
			return nil, argumentError(tool, wrongArgument(message.ProtoReflect().Type(), req.GetArguments(), err.Error()))
		}
	}
	if field := fields.ByName(catalog.SessionField); field != nil {
		message.ProtoReflect().Set(field, protoreflect.ValueOfString(req.GetSessionId()))
	}
	return message, nil
}

// setSimple sets the fields of a request where every argument is a text or a truth value for a field
// of just that type, as in most calls, and reports whether it did. Where it did not, nothing is set.
func setSimple(message protoreflect.Message, arguments *structpb.Struct) bool {
	fields := message.Descriptor().Fields()
	values := make(map[protoreflect.FieldDescriptor]protoreflect.Value, len(arguments.GetFields()))
	for name, argument := range arguments.GetFields() {
		field := fields.ByName(protoreflect.Name(name))
		if field == nil || field.IsList() || field.ContainingOneof() != nil {
			return false // two names of one field, or two fields of which one may be set, are the decoder's to refuse
		}
		switch kind := argument.GetKind().(type) {
		case *structpb.Value_StringValue:
			if field.Kind() != protoreflect.StringKind {
				return false
			}
			values[field] = protoreflect.ValueOfString(kind.StringValue)
		case *structpb.Value_BoolValue:
			if field.Kind() != protoreflect.BoolKind {
				return false
			}
			values[field] = protoreflect.ValueOfBool(kind.BoolValue)
		default:
			return false
		}
	}
	for field, value := range values {
		message.Set(field, value)
	}
	return true
}

// checkNames refuses arguments that the tool does not have, with the list of those it has. The
// session is not among them: it is a field of the call.
func checkNames(tool *catalog.Tool, fields protoreflect.FieldDescriptors, arguments *structpb.Struct) error {
	for name := range arguments.GetFields() {
		field := fields.ByName(protoreflect.Name(name))
		if field == nil {
			field = fields.ByJSONName(name)
		}
		switch {
		case field == nil:
			return argumentError(tool, fmt.Sprintf("unknown argument %q", name))
		case field.Name() == catalog.SessionField:
			return argumentError(tool, fmt.Sprintf("%q is a field of the call, beside the arguments", name))
		}
	}
	return nil
}

// ownNames writes the names of fields as the schema does; the decoder knows them by their JSON names.
func ownNames(fields protoreflect.FieldDescriptors, problem string) string {
	for i := range fields.Len() {
		field := fields.Get(i)
		problem = strings.Replace(problem, "field "+field.JSONName()+":", "field "+string(field.Name())+":", 1)
	}
	return problem
}

// argumentError says what is wrong with the arguments of a call. A decoder's text begins with its
// own name and a position in a text that the caller has never seen; both are cut off.
func argumentError(tool *catalog.Tool, problem string) error {
	problem = withoutPosition(withoutPrefix(problem))
	if len(problem) > maxProblem {
		problem = problem[:maxProblem] + "…"
	}
	problem = strings.ToValidUTF8(problem, "\uFFFD")
	hint := tool.Proto.GetName() + " takes no arguments."
	if len(tool.Arguments) > 0 {
		hint = tool.Proto.GetName() + " takes: " + strings.Join(tool.Arguments, ", ") + ". ListTools has the schema."
	}
	return Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument, hint, "arguments: %s", problem)
}

// withoutPosition takes a position, such as "(line 1:2): ", off the beginning of a text.
func withoutPosition(problem string) string {
	behind, ok := strings.CutPrefix(problem, "(line ")
	if !ok {
		return problem
	}
	position, text, ok := strings.Cut(behind, "):")
	if !ok || strings.Trim(position, "0123456789:") != "" {
		return problem
	}
	return strings.TrimLeft(text, " \t\u00a0")
}
