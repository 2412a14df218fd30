package openapi_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sandgate/sandgate/gateway/catalog"
)

// withSchemas extends the meta-schema of OpenAPI documents, which takes anything for a schema, by that
// of JSON Schema.
const withSchemas = `{
	"$id": "https://sandgate.test/document",
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"$ref": "https://spec.openapis.org/oas/3.1/schema/2022-10-07",
	"$defs": {"schema": {"$dynamicAnchor": "meta", "$ref": "https://json-schema.org/draft/2020-12/schema"}}
}`

func metaSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile("../../../third_party/openapi/schema-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	for url, text := range map[string]string{
		"https://spec.openapis.org/oas/3.1/schema/2022-10-07": string(raw),
		"https://sandgate.test/document":                      withSchemas,
	} {
		if err := compiler.AddResource(url, read(t, []byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	compiled, err := compiler.Compile("https://sandgate.test/document")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestMetaSchema(t *testing.T) {
	meta := metaSchema(t)
	text := string(document(t))
	if err := meta.Validate(read(t, []byte(text))); err != nil {
		t.Error(err)
	}
	for _, broken := range [][2]string{
		{`"openapi": "3.1.0"`, `"openapi": "3.0.0"`},
		{`"title": "Sandgate"`, `"name": "Sandgate"`},
		{`"in": "query"`, `"in": "body"`},
		{`"type": "object"`, `"type": "struct"`},
		{`"maxLength": 64`, `"maxLength": "64"`},
	} {
		if !strings.Contains(text, broken[0]) {
			t.Errorf("the document does not say %s", broken[0])
		}
		if err := meta.Validate(read(t, []byte(strings.Replace(text, broken[0], broken[1], 1)))); err == nil {
			t.Errorf("%s passes", broken[1])
		}
	}
}

// at returns what lies at a path of keys, nil where nothing does.
func at(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// TestReferences follows every reference, and compiles every schema with what it refers to.
func TestReferences(t *testing.T) {
	doc := read(t, document(t))
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	schemas, _ := at(doc, "components", "schemas").(map[string]any)
	for name := range schemas {
		if _, err := compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
	used := map[string]bool{}
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, element := range value {
				walk(element)
			}
		case map[string]any:
			for _, element := range value {
				walk(element)
			}
			if target, ok := value["$ref"].(string); ok {
				used[target] = true
				if at(doc, strings.Split(strings.TrimPrefix(target, "#/"), "/")...) == nil {
					t.Errorf("nothing is at %s", target)
				}
			}
		}
	}
	walk(doc)
	for name := range schemas {
		if !used["#/components/schemas/"+name] {
			t.Errorf("nobody refers to %s", name)
		}
	}
}

// TestOperations compares the document with the API.
func TestOperations(t *testing.T) {
	doc := read(t, document(t))
	c, err := catalog.New()
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := at(doc, "paths").(map[string]any)
	introduction, _ := at(doc, "info", "description").(string)
	ids := map[any]bool{}
	for _, procedure := range c.Procedures() {
		method := c.Method(procedure)
		if method.IsStreamingClient() || method.IsStreamingServer() {
			if paths[procedure] != nil || !strings.Contains(introduction, "`"+procedure+"`") {
				t.Errorf("%s streams, and is not said to be left out", procedure)
			}
			continue
		}
		item := paths[procedure]
		delete(paths, procedure)
		wantGet := slices.Contains([]string{"WhoAmI", "GetUsage", "GetCall", "ListCalls", "GetSession", "ListSessions", "ListTools", "ListContexts", "ListProcesses", "Read", "ListFiles", "Stat", "ReadDocument", "Glob", "Grep", "Tree", "Hash", "Diff", "ListWorkspaces", "ListCheckpoints", "GetChanges"}, string(method.Name()))
		if got := at(item, "get") != nil; got != wantGet {
			t.Errorf("%s may be called with GET: %v", procedure, got)
		}
		for _, verb := range []string{"get", "post"} {
			operation := at(item, verb)
			if operation == nil {
				continue
			}
			if id := at(operation, "operationId"); id == nil || ids[id] {
				t.Errorf("%s %s: operationId %v", verb, procedure, id)
			} else {
				ids[id] = true
			}
			if at(operation, "description") == "" || at(operation, "summary") == "" {
				t.Errorf("%s %s is not described", verb, procedure)
			}
			security, _ := at(operation, "security").([]any)
			if len(security) != 2 || at(security[0], "bearer") == nil {
				t.Errorf("%s %s: security %v", verb, procedure, security)
			}
		}
	}
	for path := range paths {
		t.Errorf("%s is no RPC", path)
	}
	if len(ids) < 25 {
		t.Errorf("only %d operations", len(ids))
	}
}
