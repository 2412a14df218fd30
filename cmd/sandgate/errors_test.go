package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// TestCertificateThatNobodyTrusts calls a gateway that made its certificate itself.
func TestCertificateThatNobodyTrusts(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of our refusal
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := newClient(server.URL, "", nil).tools.ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
	message, hint := explain(err)
	if !strings.Contains(message, "certificate is not trusted: x509") || !strings.Contains(hint, "SSL_CERT_FILE") {
		t.Errorf("%v is told as %q, %q", err, message, hint)
	}
	if code := exitCode(err); code != exitNotRun {
		t.Errorf("exit code %d", code)
	}
}
