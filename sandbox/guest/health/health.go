// Package health asks a sandbox's guest whether it can be used.
package health

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
	"github.com/sandgate/sandgate/proto/sandgate/guest/v1/guestv1connect"
	"github.com/sandgate/sandgate/sandbox"
)

// Check returns when the sandbox's guest answers and its default kernel can run code.
func Check(ctx context.Context, s sandbox.Sandbox) error {
	client := guestv1connect.NewGuestServiceClient(&http.Client{Transport: s.Transport()}, sandbox.GuestURL,
		connect.WithAcceptCompression("gzip", nil, nil))
	_, err := client.Check(ctx, &guestv1.CheckRequest{})
	return err
}
