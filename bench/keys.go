package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
)

// The tenants of a gateway that is measured: who is measured, and who is in the way.
const (
	measured = "measured"
	noisy    = "noisy"
)

// makeKey makes a key for a tenant, as an operator does. Gateways are measured with keys, quotas and
// journals on, as they are used.
func (g *gateway) makeKey(ctx context.Context, binary, tenant string) (string, error) {
	out, err := g.command(ctx, binary, "key", "create", "--tenant", tenant)
	return strings.TrimSpace(out), err
}

// command runs one of the operator's commands on the gateway's state.
func (g *gateway) command(ctx context.Context, binary string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, binary, append(args, "--config", g.configFile(), "--state-dir", g.stateDir())...)
	cmd.Env = withoutSettings(cmd.Environ())
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("sandgate %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// keyed sends a key with every request.
type keyed struct {
	*http.Transport

	key string
}

// RoundTrip adds the key.
func (k keyed) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+k.key)
	return k.Transport.RoundTrip(request)
}
