// Package health asks a sandbox's guest whether it can be used.
package health

import (
	"context"
	"fmt"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
	"github.com/sandgate/sandgate/proto/sandgate/guest/v1/guestv1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// maxReply bounds what a guest may answer.
const maxReply = 4 << 10

// A Checker asks guests. One is made for all checks, as making it is a fifth of the work of a check. Its
// method may be called by any number of goroutines.
type Checker struct {
	guest guestv1connect.GuestServiceClient
}

// New returns a Checker for all sandboxes.
func New() Checker {
	return Checker{guestv1connect.NewGuestServiceClient(guestrpc.HTTPClient{}, sandbox.GuestURL, guestrpc.Options(maxReply)...)}
}

// Check returns when the sandbox's guest answers, its default kernel can run code, and it has the
// template that was asked for.
func (c Checker) Check(ctx context.Context, s sandbox.Sandbox) error {
	reply, err := c.guest.Check(guestrpc.WithSandbox(ctx, s), &guestv1.CheckRequest{})
	if err != nil {
		return fmt.Errorf("check the guest: %w", err)
	}
	if got, want := reply.GetTemplate(), s.Spec().Template; got != want {
		return fmt.Errorf("check the guest: it has the template %q, not %q", got, want)
	}
	return nil
}
