// Package health asks a sandbox's guest whether it can be used.
package health

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
	"github.com/sandgate/sandgate/proto/sandgate/guest/v1/guestv1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// maxReply bounds what a guest may answer.
const maxReply = 4 << 10

// Check returns when the sandbox's guest answers, its default kernel can run code, and it has the
// template that was asked for.
func Check(ctx context.Context, s sandbox.Sandbox) error {
	client := guestv1connect.NewGuestServiceClient(noRedirects{s.Transport()}, sandbox.GuestURL,
		connect.WithReadMaxBytes(maxReply), connect.WithAcceptCompression("gzip", nil, nil))
	reply, err := client.Check(ctx, &guestv1.CheckRequest{})
	if err != nil {
		return fmt.Errorf("check the guest: %w", err)
	}
	if got, want := reply.GetTemplate(), s.Spec().Template; got != want {
		return fmt.Errorf("check the guest: it has the template %q, not %q", got, want)
	}
	return nil
}

// noRedirects is an HTTP client that follows no redirect, as a guest could send some.
type noRedirects struct{ transport http.RoundTripper }

// Do sends one request.
func (c noRedirects) Do(req *http.Request) (*http.Response, error) { return c.transport.RoundTrip(req) }
