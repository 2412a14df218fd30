package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/sandgate/sandgate/gateway/catalog/openapi"
)

// openAPIPath is where the OpenAPI document is served.
const openAPIPath = "/openapi.json"

// openAPI serves the API's OpenAPI document, which is the same as long as the process runs.
type openAPI struct {
	text []byte
	tag  string
}

// newOpenAPI writes the document of a registry that has no error.
func newOpenAPI(r *Registry) (*openAPI, error) {
	text, err := openapi.Document(r.catalog)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return &openAPI{text: text, tag: `"` + hex.EncodeToString(sum[:16]) + `"`}, nil
}

// ServeHTTP serves the document, or says that the caller has it already.
func (o *openAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-cache") // keep it, and ask whether it still holds
	header.Set("ETag", o.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.text))
}
