package main

import (
	"context"
	"fmt"
	"net/http"

	"connectrpc.com/connect"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
	"github.com/sandgate/sandgate/proto/sandgate/guest/v1/guestv1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// maxCheckBytes bounds what a guest may answer to a check.
const maxCheckBytes = 4 << 10

// checkGuest asks a sandbox's guest whether it and its kernels are well, and whether it is what was
// asked for.
func checkGuest(ctx context.Context, s sandbox.Sandbox) error {
	client := guestv1connect.NewGuestServiceClient(
		roundTripper{s.Transport()}, sandbox.GuestURL,
		connect.WithReadMaxBytes(maxCheckBytes), connect.WithAcceptCompression("gzip", nil, nil),
	)
	reply, err := client.Check(ctx, &guestv1.CheckRequest{})
	if err != nil {
		return fmt.Errorf("check the guest: %w", err)
	}
	if got, want := reply.GetTemplate(), s.Spec().Template; got != want {
		return fmt.Errorf("check the guest: it has the template %q, not %q", got, want)
	}
	return nil
}

// roundTripper is a client that follows no redirects, as a guest could send some.
type roundTripper struct{ transport http.RoundTripper }

// Do sends one request.
func (r roundTripper) Do(request *http.Request) (*http.Response, error) {
	return r.transport.RoundTrip(request)
}
