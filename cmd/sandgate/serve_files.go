package main

import (
	"log/slog"

	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/gateway/fileurl"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

// mountFiles serves the addresses of files on a gateway's port, as a client of the gateway itself.
func mountFiles(server *gateway.Server, keys *keyParts, log *slog.Logger) {
	own := newClientOver(&loopback.Client{Handler: server.Handler(), From: identity.Inside}, "http://localhost")
	handler := fileurl.New(fileurl.Options{Sealer: keys.urls, Files: own.files, Authenticate: server.Admit, Logger: log})
	server.MountBearing(fileurl.Prefix, handler, handler.Authorization)
}
