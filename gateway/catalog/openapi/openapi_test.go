package openapi_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/catalog/openapi"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden file")
	goleak.VerifyTestMain(m)
}

func document(t *testing.T) []byte {
	t.Helper()
	c, err := catalog.New()
	if err != nil {
		t.Fatal(err)
	}
	out, err := openapi.Document(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGolden(t *testing.T) {
	got := document(t)
	for range 10 {
		if !bytes.Equal(got, document(t)) {
			t.Fatal("the same API made two documents")
		}
	}
	path := filepath.Join("testdata", "openapi.json")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run with -update", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s has changed (-want +got), run with -update if it should:\n%s", path, diff)
	}
}

// read returns a JSON document as the validator takes it.
func read(t *testing.T, raw []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return value
}
