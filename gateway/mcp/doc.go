// Package mcp is the façade for clients of the Model Context Protocol: it shows the catalogue's tools
// to them, over HTTP in the gateway ([Facade.ServeHTTP]) and over a pair of streams in a command
// ([Facade.Serve]).
//
// It is a client of Sandgate's API and nothing else. Keys, quotas, bounds and the log are the API's,
// and so are names, schemas and texts of the tools: the façade keeps no list of its own. It never
// makes a call twice.
//
// Where the protocol has sessions (its revisions up to 2025-11-25) or a process of its own, one
// sandbox stands behind each of these, made by the first call that needs it. The revision 2026-07-28
// has none: there the caller makes a Sandgate session with the tool session_create and names it in
// each call.
package mcp
