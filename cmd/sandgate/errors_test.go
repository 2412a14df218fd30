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

// TestGatewayThatGoesAway is told as that, and what becomes of the sessions, where a connection ends
// inside of a message.
func TestGatewayThatGoesAway(t *testing.T) {
	t.Parallel()
	url := serveBoth(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/connect+proto")
		_, _ = w.Write([]byte{0, 0, 0, 0, 9, 1}) // one byte of nine
	}))
	stream, err := newClient(url, "", nil).python.Run(t.Context(), &sandgatev1.RunRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
		t.Error("there was an event")
	}
	err = stream.Err()
	_ = stream.Close() // it is broken
	message, hint := explain(err)
	if message != "the gateway went away while this ran" || hint != hintAway {
		t.Errorf("%v is told as %q, %q", err, message, hint)
	}
	if code := exitCode(err); code != exitNotRun { // Connect calls it an invalid argument
		t.Errorf("exit code %d", code)
	}
}

// TestServerThatIsNoGateway names the setting that is wrong.
func TestServerThatIsNoGateway(t *testing.T) {
	t.Parallel()
	url := serveBoth(t, http.NotFoundHandler())
	_, err := newClient(url, "", nil).tools.ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
	if message, hint := explain(err); !strings.Contains(hint, "no gateway") || !strings.Contains(hint, "SANDGATE_SERVER") {
		t.Errorf("%v is told as %q, %q", err, message, hint)
	}
}

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
