// Package gateway is Sandgate's front door: one port that speaks Connect, gRPC and gRPC-Web, the
// sessions behind it, and the catalogue of tools. It knows what a sandbox is but not what runs in
// one: the packages that serve Python, processes and files are registered by the command that
// joins everything.
//
// A [Registry] holds every RPC, [Sessions] owns the sandboxes, and a [Server] puts both on a
// listener. A call passes the walls of the HTTP layer (Host, Origin, sizes, admission), then the
// RPC's own protocol, then one wrapper that recovers, validates and dispatches; CallTool enters at
// that last point, so a tool does the same whichever way it is called.
package gateway
