package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
)

const (
	// healthTimeout is how long a gateway may take to say how it is.
	healthTimeout = 5 * time.Second
	// maxHealthBytes bounds what it says.
	maxHealthBytes = 64 << 10
)

// healthCommand is `sandgate health`.
func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "health",
		Short:   "Say whether a gateway may be sent work",
		GroupID: groupRun,
		Args:    noArguments,
		Long: `Asks a gateway for /readyz. The exit code is 0 where it is ready, 1 where it says that it
is not, and 3 where it does not answer: a health check for what runs gateways, such as
Docker or Kubernetes, that needs no other program.`,
		Example: `  sandgate health
  SANDGATE_SERVER=https://localhost:7777 sandgate health`,
		RunE: interruptible(func(ctx context.Context, _ []string) error {
			base, err := serverURL(a.server, a.env)
			if err != nil {
				return err
			}
			secured, err := a.clientTLS()
			if err != nil {
				return err
			}
			failing, err := askHealth(ctx, &http.Client{Transport: newTransport(secured)}, base)
			if err != nil {
				return err
			}
			if len(failing) > 0 {
				return exitError{code: exitFailed, err: fmt.Errorf("not ready: %s", strings.Join(failing, ", "))}
			}
			_, err = fmt.Fprintln(a.out, "ready")
			return err
		}),
	}
}

// askHealth returns the checks that a gateway does not pass, none where it is ready.
func askHealth(ctx context.Context, client *http.Client, base string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, connect.NewError(connect.CodeUnavailable, err) // explained as for any other command
	}
	defer func() { _ = response.Body.Close() }() // only read from
	var said struct {
		Ready  bool            `json:"ready"`
		Checks map[string]bool `json:"checks"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxHealthBytes)).Decode(&said); err != nil {
		return nil, connect.NewError(connect.CodeUnknown, fmt.Errorf("%s does not say how it is: %s", base, response.Status))
	}
	if said.Ready && response.StatusCode == http.StatusOK {
		return nil, nil
	}
	failing := slices.DeleteFunc(slices.Sorted(maps.Keys(said.Checks)), func(check string) bool { return said.Checks[check] })
	return append(failing, "/readyz says "+response.Status), nil
}
