package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/audit"
)

// auditFolder is where the audit log is in a state folder.
const auditFolder = "audit"

// auditEnd bounds the writing of the last events.
const auditEnd = 10 * time.Second

// openAudit opens the gateway's audit log, unless it is switched off, and writes down that the gateway
// begins, and with which settings.
func (g *gatewayParts) openAudit(ctx context.Context) error {
	if g.cfg.Audit == config.AuditOff {
		return nil
	}
	log, err := audit.Open(ctx, audit.Options{Dir: filepath.Join(g.cfg.StateDir, auditFolder), MaxBytes: g.cfg.AuditSize, Logger: g.log})
	if err != nil {
		return auditHint(err)
	}
	g.audit = log
	g.undo.add("close the audit log", func(ctx context.Context) error {
		log.Note(audit.Event{Kind: audit.GatewayStop})
		ctx, cancel := context.WithTimeout(ctx, auditEnd)
		defer cancel()
		err := log.Close(ctx)
		sequence, hash := log.Head()
		g.log.Info("audit log closed", "sequence", sequence, "head", hash)
		return err
	})
	sequence, hash := log.Head()
	g.log.Info("audit log opened", "sequence", sequence, "head", hash)
	return log.Record(ctx, audit.Event{Kind: audit.GatewayStart, SHA256: fingerprint(g.cfg), Detail: buildVersion()})
}

// auditHint says what to do about an audit log that cannot be opened.
func auditHint(err error) error {
	return hintError{err: err, hint: "`sandgate audit verify` shows what is wrong; move the folder " + auditFolder +
		" of the state folder away to begin a new log, or free some of the disk"}
}

// fingerprint is the hash of all settings, passwords left out.
func fingerprint(cfg *config.Config) string {
	hash := sha256.New()
	for _, field := range config.Fields() {
		_, _ = fmt.Fprintf(hash, "%s=%q\n", field.Key, field.Show(cfg)) // never fails
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// keyAudit writes down what is done to keys, beside the gateway that may run. It opens the log when
// there is something to write.
type keyAudit struct {
	cfg *config.Config
	log *audit.Log // nil: not opened yet
}

// record returns nil once an event is durable, or where the log is switched off.
func (k *keyAudit) record(ctx context.Context, event audit.Event) (err error) {
	if k.cfg.Audit == config.AuditOff {
		return nil
	}
	if k.log == nil {
		dir := filepath.Join(k.cfg.StateDir, auditFolder)
		opts := audit.Options{Dir: dir, MaxBytes: k.cfg.AuditSize, Logger: slog.New(slog.DiscardHandler)} // errors are told
		if k.log, err = audit.Open(ctx, opts); err != nil {
			return auditHint(err)
		}
	}
	event.Detail = strings.TrimSpace(fmt.Sprintf("%s by uid %d", event.Detail, os.Getuid()))
	return k.log.Record(ctx, event)
}

// before makes a change once it is durable that it will be made. One that fails is written down, too.
func (k *keyAudit) before(ctx context.Context, event audit.Event, change func() error) error {
	if err := k.record(ctx, event); err != nil {
		return fmt.Errorf("nothing was done: %w", err)
	}
	return k.failed(ctx, event, change())
}

// regardless makes a change that only takes rights away, whether it can be written down or not.
func (k *keyAudit) regardless(ctx context.Context, event audit.Event, change func() error) error {
	unwritten := k.record(ctx, event)
	err := change()
	switch {
	case unwritten == nil:
		return k.failed(ctx, event, err)
	case err != nil:
		return errors.Join(err, unwritten)
	default:
		return fmt.Errorf("it is done, but not in the audit log: %w", unwritten)
	}
}

// failed writes down that a change was not made, where it was not.
func (k *keyAudit) failed(ctx context.Context, event audit.Event, err error) error {
	if err == nil {
		return nil
	}
	event.Code = "failed"
	return errors.Join(err, k.record(context.WithoutCancel(ctx), event))
}

// Close writes what is left.
func (k *keyAudit) Close() error {
	if k.log == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), auditEnd)
	defer cancel()
	return k.log.Close(ctx)
}
