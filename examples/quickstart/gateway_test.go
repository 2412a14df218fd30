package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWithoutSettings(t *testing.T) {
	t.Parallel()
	got := withoutSettings([]string{"PATH=/bin", "SANDGATE_DATABASE=postgres://db/x", "SANDGATE_RUNTIME=runc", "SANDGATE_TLS_CERT=c", "DOCKER_HOST=unix:///d"})
	if want := []string{"PATH=/bin", "SANDGATE_RUNTIME=runc", "DOCKER_HOST=unix:///d"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestNamedGateway uses the gateway that the environment names, and shows it the key.
func TestNamedGateway(t *testing.T) {
	var shown []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			shown = append(shown, r.URL.Path+" "+r.Header.Get("Authorization"))
			w.WriteHeader(http.StatusNotImplemented)
		}
	}))
	defer server.Close()
	t.Setenv("SANDGATE_SERVER", server.URL+"/")
	t.Setenv("SANDGATE_KEY", "sgk_one")
	var out bytes.Buffer
	s := &story{out: &out, began: time.Now()}
	g, err := findGateway(t.Context(), s)
	if err != nil || g.process != nil || !strings.Contains(out.String(), "Using the gateway at "+server.URL+".") {
		t.Fatal(g, err, out.String())
	}
	a := newAPI(g.url, g.key)
	if _, err := a.run(t.Context(), "s", "1"); err == nil {
		t.Error("it ran")
	}
	if _, err := a.upload(t.Context(), "s", "f", io.LimitReader(nil, 0)); err == nil {
		t.Error("it was uploaded")
	}
	want := []string{"/sandgate.v1.PythonService/Run Bearer sgk_one", "/sandgate.v1.FileService/Upload Bearer sgk_one"}
	if !slices.Equal(shown, want) {
		t.Errorf("%q, want %q", shown, want)
	}
}

// TestNoGatewayIsTaken leaves alone what the environment does not name, and says what is missing.
func TestNoGatewayIsTaken(t *testing.T) {
	t.Setenv("SANDGATE_SERVER", "")
	t.Chdir(t.TempDir())
	if _, err := findGateway(t.Context(), &story{out: io.Discard}); err == nil || !strings.Contains(err.Error(), "bin/sandgate") {
		t.Error(err)
	}
	t.Setenv("SANDGATE_SERVER", "http://127.0.0.1:1") // nobody serves port 1
	if _, err := findGateway(t.Context(), &story{out: io.Discard}); err == nil || !strings.Contains(err.Error(), "SANDGATE_SERVER=http://127.0.0.1:1") {
		t.Error(err)
	}
}
