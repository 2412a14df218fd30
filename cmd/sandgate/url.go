package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// maxURLLife is how long an address is good for at most, as the API has it.
const maxURLLife = 7 * 24 * time.Hour

// urlCommand is `sandgate url`.
func (a *app) urlCommand() *cobra.Command {
	var upload bool
	var lifetime string
	cmd := &cobra.Command{
		Use:     "url SESSION:PATH",
		Short:   "Make an address under which a file needs no key",
		GroupID: groupUse,
		Args:    cobra.ExactArgs(1),
		Long: `Prints an address, alone on stdout, under which a file of a session can be downloaded by
any HTTP client, or uploaded with --upload (PUT, as often as wanted). Whoever has the
address may use it, so treat it as a key. It ends when its time is over, with its
session, and with your key.

The address begins with the gateway's as it is known here: $SANDGATE_SERVER, or --server.`,
		Example: `  curl -OJ "$(sandgate url $id:report.html)"
  curl -T data.csv "$(sandgate url --upload --for 1h $id:data.csv)"`,
	}
	cmd.Flags().BoolVar(&upload, "upload", false, "make an address for an upload")
	cmd.Flags().StringVar(&lifetime, "for", "", "how long it is good for, at most 168h (default 15m)")
	cmd.RunE = interruptible(func(ctx context.Context, args []string) error {
		at := parseLocation(args[0])
		if !at.remote() || at.path == "" {
			return usagef("%q is not SESSION:PATH", args[0])
		}
		if err := checkText("the path in the session", at.path); err != nil {
			return err
		}
		req := &sandgatev1.CreateFileURLRequest{SessionId: at.session, Path: at.path, Use: sandgatev1.FileURLUse_FILE_URL_USE_DOWNLOAD}
		if upload {
			req.Use = sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD
		}
		if lifetime != "" {
			life, err := config.ParseSpan(lifetime)
			if err != nil || life < time.Second || life > maxURLLife {
				return usagef("--for %q is no length of time from 1s to 168h", lifetime)
			}
			req.Lifetime = durationpb.New(life)
		}
		return a.printURL(ctx, req)
	})
	return cmd
}

// printURL makes an address and prints it.
func (a *app) printURL(ctx context.Context, req *sandgatev1.CreateFileURLRequest) error {
	base, err := serverURL(a.server, a.env)
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	reply, err := c.files.CreateFileURL(ctx, req)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.err, "It ends at %s. Whoever has it may use it.\n", reply.GetExpiresAt().AsTime().Format(time.DateTime))
	_, err = fmt.Fprintln(a.out, base+strings.TrimSpace(printable(reply.GetPath())))
	return err
}
