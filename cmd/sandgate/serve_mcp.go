package main

import (
	"slices"

	"github.com/sandgate/sandgate/gateway/catalog"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/mcp"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

// mcpPath is where MCP clients find the gateway.
const mcpPath = "/mcp"

// mountMCP puts the MCP façade on the gateway's port, as a client of the gateway itself.
func (g *gatewayParts) mountMCP() error {
	known, err := catalog.New()
	if err != nil {
		return err
	}
	scopes := slices.DeleteFunc(known.Scopes(), func(scope string) bool { return scope == identity.ScopeOperator }) // no client of tools needs it
	own := newClientOver(&loopback.Client{Handler: g.server.Handler(), From: identity.Inside}, "http://localhost")
	facade, err := mcp.New(mcp.Options{
		Tools: own.tools, Sessions: own.sessions,
		Authenticate: g.server.Admit, Scopes: scopes, AuthorizationServers: g.keys.vouchers.issuers(),
		Templates: templates(), Version: buildVersion(), Logger: g.log,
	})
	if err != nil {
		return err
	}
	g.server.Mount(mcpPath, facade)
	g.server.Mount(mcp.MetadataPath, facade.Metadata())
	g.server.Mount(mcp.MetadataPath+mcpPath, facade.Metadata())
	g.server.OnDrain(facade.Drain)
	g.undo.add("end the MCP sessions", facade.Close)
	return nil
}
