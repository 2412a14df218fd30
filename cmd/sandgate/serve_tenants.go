package main

import (
	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway"
)

// sharing is whether tenants share the gateway, as of a generation of its keys.
type sharing struct {
	generation int64
	yes        bool
}

// shared tells whether several tenants may come. Every call asks, so it is looked up anew only when keys
// have changed.
func (g *gatewayParts) shared() bool {
	generation := g.keys.ring.Generation()
	if known := g.sharing.Load(); known != nil && known.generation == generation {
		return known.yes
	}
	tenants, more := g.keys.gate.Tenants()
	known := &sharing{generation, len(tenants) > 1 || more}
	g.sharing.Store(known)
	return known.yes
}

// tenantsFit returns an error where there are several tenants and nothing but runc between them, which
// the operator has not accepted.
func (g *gatewayParts) tenantsFit(string) error {
	tenants, more := g.keys.gate.Tenants()
	if len(tenants) < 2 && !more || g.runtime == config.RuntimeRunsc || g.cfg.TenantRuntime == config.RuntimeAny {
		return nil
	}
	return gateway.Errorf(connect.CodeFailedPrecondition, gateway.ReasonTenantsNeedGVisor,
		"The operator runs `make setup` to register gVisor, or sets tenant_runtime to any.",
		"callers of several tenants may be let in, and sandboxes run on %s: one kernel is all that is between them", g.runtime)
}
