package gateway

import (
	"net/http"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// impatient is a client that says how long a call may take and then waits for the gateway to end it.
type impatient struct{ http.RoundTripper }

func (i impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Connect-Timeout-Ms", "50")
	r.Header.Set("Grpc-Timeout", "50m")
	return i.RoundTripper.RoundTrip(r)
}

func TestDeadlineOfTheClient(t *testing.T) {
	g := newRig(t, nil)
	id := g.session(t)
	client := &http.Client{Transport: impatient{g.client.Transport}}
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			_, err := sandgatev1connect.NewToolServiceClient(client, g.url, options...).CallTool(t.Context(),
				&sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"wait"}`)})
			if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
				t.Errorf("unary: %v", err)
			}
			stream, err := sandgatev1connect.NewPythonServiceClient(client, g.url, options...).Run(t.Context(),
				&sandgatev1.RunRequest{SessionId: id, Code: "wait"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stream.Close() }()
			if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeDeadlineExceeded {
				t.Errorf("stream: %v", stream.Err())
			}
		})
	}
}
