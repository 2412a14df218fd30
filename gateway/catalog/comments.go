package catalog

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	api "github.com/sandgate/sandgate/proto"
)

// comments are the leading comments of everything in the API, by full name, each as one paragraph.
// Generated code has no comments in its descriptors, which is why they come from a file of their
// own.
type comments map[protoreflect.FullName]string

func readComments() (comments, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(api.Descriptors(), &set); err != nil {
		return nil, fmt.Errorf("read the API's descriptors: %w", err)
	}
	notes := make(comments)
	for _, raw := range set.GetFile() {
		if raw.GetPackage() != apiPackage {
			continue
		}
		file, err := protodesc.NewFile(raw, protoregistry.GlobalFiles)
		if err != nil {
			return nil, fmt.Errorf("read the descriptor of %s: %w", raw.GetName(), err)
		}
		notes.addFile(file)
	}
	return notes, nil
}

func (c comments) addFile(file protoreflect.FileDescriptor) {
	c.addMessages(file.Messages())
	c.addEnums(file.Enums())
	services := file.Services()
	for i := range services.Len() {
		c.add(services.Get(i))
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			c.add(methods.Get(j))
		}
	}
}

func (c comments) addMessages(messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		message := messages.Get(i)
		c.add(message)
		for j := range message.Fields().Len() {
			c.add(message.Fields().Get(j))
		}
		c.addMessages(message.Messages())
		c.addEnums(message.Enums())
	}
}

func (c comments) addEnums(enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		c.add(enums.Get(i))
		for j := range enums.Get(i).Values().Len() {
			c.add(enums.Get(i).Values().Get(j))
		}
	}
}

func (c comments) add(d protoreflect.Descriptor) {
	text := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	c[d.FullName()] = strings.Join(strings.Fields(text), " ")
}
