package sandgate_test

import (
	"go/version"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func TestLicence(t *testing.T) {
	t.Parallel()
	text := read(t, "LICENSE")
	for _, want := range []string{"Apache License", "Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"} {
		if !strings.Contains(text, want) {
			t.Errorf("LICENSE does not say %q", want)
		}
	}
}

// TestToolchain keeps both module files on a Go that has the HTTP/2 fixes of 2026: 1.26.9, or
// 1.27.2 and later.
func TestToolchain(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^toolchain (\S+)$`)
	var first string
	for _, name := range []string{"go.mod", "tools.mod"} {
		found := line.FindStringSubmatch(read(t, name))
		if found == nil {
			t.Errorf("%s names no toolchain", name)
			continue
		}
		least := "go1.26.9"
		if version.Compare(found[1], "go1.27") >= 0 {
			least = "go1.27.2"
		}
		if version.Compare(found[1], least) < 0 {
			t.Errorf("%s names %s, which is older than %s", name, found[1], least)
		}
		if first == "" {
			first = found[1]
		}
		if found[1] != first {
			t.Errorf("%s names %s, another one than go.mod's %s", name, found[1], first)
		}
	}
	if strings.Contains(read(t, "go.mod"), "replace ") {
		t.Error("go.mod has a replace directive, which `go install` of this module would refuse")
	}
}

// TestEveryRPCIsAnnotated holds the rule that an RPC without a scope cannot be served.
func TestEveryRPCIsAnnotated(t *testing.T) {
	t.Parallel()
	toolName := regexp.MustCompile(`^[a-z]+(_[a-z]+)+$`)
	names := map[string]protoreflect.FullName{}
	count := 0
	for method := range methods() {
		count++
		options, ok := method.Options().(*descriptorpb.MethodOptions)
		if !ok || !proto.HasExtension(options, sandgatev1.E_Tool) {
			t.Errorf("%s has no (sandgate.v1.tool) option", method.FullName())
			continue
		}
		tool, ok := proto.GetExtension(options, sandgatev1.E_Tool).(*sandgatev1.ToolOptions)
		if !ok || len(tool.GetScopes()) == 0 {
			t.Errorf("%s has no scope", method.FullName())
			continue
		}
		free := options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
		if free && tool.GetSideEffects() {
			t.Errorf("%s says both that it has side effects and that it has none", method.FullName())
		}
		name := tool.GetName()
		if name == "" {
			continue
		}
		if !toolName.MatchString(name) {
			t.Errorf("%s: the tool name %q is not of the form noun_verb", method.FullName(), name)
		}
		if other, taken := names[name]; taken {
			t.Errorf("%s and %s are both the tool %s", other, method.FullName(), name)
		}
		names[name] = method.FullName()
	}
	if count == 0 || len(names) == 0 {
		t.Errorf("looked at %d RPCs with %d tools: the generated code is not linked in", count, len(names))
	}
}

// methods yields every RPC of sandgate.v1.
func methods() func(yield func(protoreflect.MethodDescriptor) bool) {
	return func(yield func(protoreflect.MethodDescriptor) bool) {
		protoregistry.GlobalFiles.RangeFilesByPackage("sandgate.v1", func(file protoreflect.FileDescriptor) bool {
			for i := range file.Services().Len() {
				list := file.Services().Get(i).Methods()
				for j := range list.Len() {
					if !yield(list.Get(j)) {
						return false
					}
				}
			}
			return true
		})
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
