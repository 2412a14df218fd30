package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/sandgate/sandgate/fileserver/deferred"
	"github.com/sandgate/sandgate/fileserver/snapshot"
	"github.com/sandgate/sandgate/gateway"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/docker"
)

// openSessions takes over what an earlier gateway left.
func (g *gatewayParts) openSessions(ctx context.Context) (err error) {
	if err := g.tenantsFit(""); err != nil {
		return err
	}
	homes, err := deferred.New(deferred.Options{
		Driver: sandbox.DriverFunc(g.make), Folder: filepath.Join(g.state.path, "workspaces"), KeepFree: minFreeBesidesFiles, Log: g.log,
	})
	if err != nil {
		return err
	}
	g.snapshots, err = snapshot.New(snapshot.Options{
		Folder: filepath.Join(g.state.path, "snapshots"), Room: gateway.NewRoom(g.ledger), KeepFree: minFreeBesidesFiles, Log: g.log,
	})
	if err != nil {
		return err
	}
	g.sessions, err = gateway.NewSessions(gateway.SessionOptions{
		Driver: sandbox.DriverFunc(func(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
			if spec.Deferred {
				return homes.Create(ctx, spec)
			}
			return g.make(ctx, spec)
		}),
		Store:       g.keys.db,
		Workspaces:  g.snapshots,
		Accounts:    g.ledger,
		Shared:      g.shared,
		Allow:       g.mayCreate,
		Audit:       g.audit,
		Runtime:     g.runtime,
		Templates:   templates(),
		Defaults:    g.cfg.DefaultLimits,
		Maximum:     g.cfg.MaxLimits,
		MaxSessions: g.cfg.MaxSessions,
		IdleTimeout: g.cfg.IdleTimeout,
		MaxLifetime: g.cfg.MaxLifetime,
		Logger:      g.log,
	})
	if err != nil {
		return err
	}
	g.undo.add("end the sessions", g.sessions.Close)
	start := time.Now()
	err = g.sessions.Recover(ctx, func(keep func(string) bool) ([]sandbox.Sandbox, error) {
		return homes.Reconcile(ctx, keep, func(keep func(string) bool) ([]sandbox.Sandbox, error) { return g.driver.Reconcile(ctx, keep) })
	})
	if err != nil {
		return err
	}
	counts := g.sessions.Counts()
	// Whoever uses a session that lives on waits for this gateway, and needs no warm sandbox.
	g.filled.Store(counts.Running > 0)
	if counts.Running+counts.Lost > 0 {
		g.log.Info("settled what an earlier gateway left", "taken_over", counts.Running, "lost", counts.Lost, "wall", time.Since(start))
	}
	reaper := docker.StartReaper(g.driver, 0)
	g.undo.add("stop the reaper", func(context.Context) error {
		reaper.Close()
		return nil
	})
	return nil
}

// make takes a sandbox from the pool, which must not exist before the sessions of an earlier gateway are
// settled: it would fill while strays still hold memory.
func (g *gatewayParts) make(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	pool := g.pool.Load()
	if pool == nil {
		return nil, sandbox.ErrUnavailable
	}
	return pool.Create(ctx, spec)
}
