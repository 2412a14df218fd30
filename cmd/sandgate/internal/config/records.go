package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sandgate/sandgate/gateway/identity/mtls"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
)

// maxRecords bounds a list of records.
const maxRecords = 1000

// A part is one setting of a record: its key, and where its value is, a *string, a *[]string or a
// *map[string][]string.
type part struct {
	key string
	at  any
}

// records makes a field of a list whose items have settings of their own. In a file it is written as
// YAML is; a flag and an environment variable take the same in one line, and it is shown as JSON.
func records[T any](key, doc string, at func(*Config) *[]T, parts func(*T) []part) Field {
	return Field{Key: key, Doc: doc, nested: true, value: func(c *Config) value { return recordsValue[T]{at(c), parts} }}
}

// issuerParts are the settings of an issuer.
func issuerParts(i *oidc.Issuer) []part {
	return []part{
		{"issuer", &i.URL},
		{"audience", &i.Audience},
		{"algorithms", &i.Algorithms},
		{"tenant", &i.Tenant},
		{"tenant_claim", &i.TenantClaim},
		{"tenants", &i.Tenants},
		{"scope_claim", &i.ScopeClaim},
		{"scope_map", &i.ScopeMap},
		{"default_scopes", &i.DefaultScopes},
		{"tools_claim", &i.ToolsClaim},
	}
}

// ruleParts are the settings of a rule about client certificates.
func ruleParts(r *mtls.Rule) []part {
	return []part{{"uri", &r.URI}, {"tenant", &r.Tenant}, {"scopes", &r.Scopes}, {"tools", &r.Tools}}
}

type recordsValue[T any] struct {
	at    *[]T
	parts func(*T) []part
}

func (v recordsValue[T]) String() string {
	if len(*v.at) == 0 {
		return ""
	}
	all := make([]map[string]any, len(*v.at))
	for i := range *v.at {
		all[i] = map[string]any{}
		for _, part := range v.parts(&(*v.at)[i]) {
			switch at := part.at.(type) {
			case *string:
				if *at != "" {
					all[i][part.key] = *at
				}
			case *[]string:
				if len(*at) > 0 {
					all[i][part.key] = *at
				}
			case *map[string][]string:
				if len(*at) > 0 {
					all[i][part.key] = *at
				}
			}
		}
	}
	text, _ := json.Marshal(all) // texts and lists of them always can be
	return string(text)
}

func (v recordsValue[T]) Set(text string) error {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return fmt.Errorf("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	*v.at = nil
	if root.Kind == 0 || root.Content[0].Tag == "!!null" {
		return nil
	}
	list := root.Content[0]
	if list.Kind != yaml.SequenceNode {
		return errors.New("must be a list, each item of which has settings of its own")
	}
	if len(list.Content) > maxRecords {
		return fmt.Errorf("has %d items; %d are allowed", len(list.Content), maxRecords)
	}
	read := make([]T, len(list.Content))
	for i, item := range list.Content {
		if err := readRecord(item, v.parts(&read[i])); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	*v.at = read
	return nil
}

// readRecord reads one item of a list into its parts.
func readRecord(item *yaml.Node, parts []part) error {
	if item.Kind != yaml.MappingNode {
		return errors.New("must be `setting: value` lines")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(item.Content); i += 2 {
		key := item.Content[i].Value
		at := slices.IndexFunc(parts, func(p part) bool { return p.key == key })
		if at < 0 {
			names := make([]string, len(parts))
			for i, part := range parts {
				names[i] = part.key
			}
			return fmt.Errorf("%q is not a setting of it; there are %s", key, strings.Join(names, ", "))
		}
		if seen[key] {
			return fmt.Errorf("%s is set twice", key)
		}
		seen[key] = true
		if err := readPart(item.Content[i+1], parts[at].at); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// readPart reads a value to where it belongs.
func readPart(node *yaml.Node, at any) (err error) {
	switch at := at.(type) {
	case *string:
		if node.Kind != yaml.ScalarNode {
			return errors.New("must be one plain value")
		}
		*at, err = scalar(node)
	case *[]string:
		*at, err = words(node)
	case *map[string][]string:
		if node.Kind != yaml.MappingNode {
			return errors.New("must be `word: [scope, …]` lines")
		}
		*at = map[string][]string{}
		for i := 0; i+1 < len(node.Content) && err == nil; i += 2 {
			(*at)[node.Content[i].Value], err = words(node.Content[i+1])
		}
	}
	return err
}

// words reads a list of plain values, or one.
func words(node *yaml.Node) ([]string, error) {
	if node.Kind == yaml.ScalarNode {
		text, err := scalar(node)
		if text == "" {
			return nil, err
		}
		return []string{text}, err
	}
	if node.Kind != yaml.SequenceNode {
		return nil, errors.New("must be a list of plain values")
	}
	var all []string
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode {
			return nil, errors.New("may only hold plain values")
		}
		all = append(all, item.Value)
	}
	return all, nil
}
