package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/sandgate/sandgate/gateway/mcp"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// mcpFlags are the flags of `sandgate mcp`.
type mcpFlags struct {
	at   place
	idle string
}

// mcpCommand is `sandgate mcp`.
func (a *app) mcpCommand() *cobra.Command {
	var flags mcpFlags
	cmd := &cobra.Command{
		Use:     "mcp",
		Short:   "Offer the gateway's tools to an MCP client, over stdin and stdout",
		GroupID: groupUse,
		Args:    noArguments,
		Long: `Speaks the Model Context Protocol on stdin and stdout, for a client that starts it: an
editor, a desktop assistant, an agent. Its tools are the gateway's, and all their calls
work in one sandbox, which the first call makes and the end of the client deletes. It
says on stderr what there is to say. At the end of stdin it answers what it has read,
for three seconds at most.

Register it with a client like this (the gateway must run):

  {
    "mcpServers": {
      "sandgate": {
        "command": "sandgate",
        "args": ["mcp", "--template", "data"],
        "env": {"SANDGATE_SERVER": "http://127.0.0.1:7777"}
      }
    }
  }

A client that speaks HTTP needs no command: the gateway itself answers at /mcp, such as
http://127.0.0.1:7777/mcp?template=data.`,
		Example: `  sandgate mcp
  sandgate mcp --template data --idle 2h
  sandgate mcp --session $id`,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			return a.mcp(ctx, &flags)
		}),
	}
	set := cmd.Flags()
	set.StringVar(&flags.at.session, "session", "", "work in this session and leave it there (default: one of its own)")
	set.StringVar(&flags.at.template, "template", "", "of its own session: python (default) or data")
	set.StringVar(&flags.idle, "idle", "", "end its own session when unused for this long (default 30m)")
	return cmd
}

// mcp serves the one client at the other end of stdin and stdout.
func (a *app) mcp(ctx context.Context, flags *mcpFlags) error {
	if flags.at.session != "" && (flags.at.template != "" || flags.idle != "") {
		return usagef("--template and --idle are for a new session, and --session names one that exists")
	}
	if name := flags.at.template; name != "" && !slices.Contains(templates(), name) {
		return usagef("--template %q: there is none of this name; there are: %s", name, strings.Join(templates(), ", "))
	}
	lease, err := flags.lease()
	if err != nil {
		return err
	}
	c, err := a.client()
	if err != nil {
		return err
	}
	if flags.at.session != "" { // a client would learn of a wrong one only from its first call
		if _, err := c.sessions.GetSession(ctx, &sandgatev1.GetSessionRequest{SessionId: flags.at.session}); err != nil {
			return aboutSession(flags.at.session, err)
		}
	} else {
		a.tellUnreachable(ctx, c)
	}
	facade, err := mcp.New(mcp.Options{
		Tools: c.tools, Sessions: c.sessions, Version: buildVersion(), Lease: lease, Hint: hintForClient,
		Logger: slog.New(slog.NewTextHandler(a.err, nil)),
	})
	if err != nil {
		return err
	}
	return facade.Serve(ctx, io.NopCloser(a.in), keepOpen{a.out}, mcp.Place{Session: flags.at.session, Template: flags.at.template})
}

// firstLook bounds how long a client waits because we look whether there is a gateway.
const firstLook = 2 * time.Second

// tellUnreachable says on standard error, where a client's people look first, that there is no gateway or
// that it does not let us in. It goes on all the same: the gateway may come, and the client is told too.
func (a *app) tellUnreachable(ctx context.Context, c *client) {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	_, err := c.tools.ListTools(ctx, &sandgatev1.ListToolsRequest{})
	if err == nil || connect.CodeOf(err) == connect.CodePermissionDenied { // the calls may be allowed
		return
	}
	message, hint := explain(err)
	if hint != "" {
		message += "; " + hint
	}
	a.notef("%s", message)
}

// hintForClient says what to do about an error of the gateway's, or of the way to it, to whoever reads an
// MCP client's messages.
func hintForClient(err error) string {
	if noneAnswers(err) {
		return "No gateway answers: " + hintStart + "."
	}
	_, hint := explain(err)
	return hint
}

// lease returns how long the session stays that nobody uses, zero for the default.
func (flags *mcpFlags) lease() (time.Duration, error) {
	if flags.idle == "" {
		return 0, nil
	}
	asked, err := parseDuration(flags.idle)
	if err != nil {
		return 0, usagef("--idle: %w", err)
	}
	lease := asked.AsDuration()
	if lease < time.Second || lease > maxLease {
		return 0, usagef("--idle: it must be from 1s to %v", maxLease)
	}
	return lease, nil
}

// maxLease is the longest lease that the API gives.
const maxLease = 24 * time.Hour

// keepOpen is a writer that is somebody else's to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }
