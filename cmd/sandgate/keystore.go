package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/fileurl"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/store"
)

// pepperFile is where the pepper is in a state folder.
const pepperFile = "pepper"

// keyParts are the store and what is needed to make and check keys, and who lets callers in besides.
type keyParts struct {
	cfg      *config.Config
	db       *store.DB
	pepper   identity.Pepper
	ring     *identity.Keyring
	vouchers vouchers
	gate     *identity.Gate
	urls     *fileurl.Sealer
	audit    *keyAudit
	fresh    bool // the state folder had no database before
}

// where is the place of the keys, for people.
func (k *keyParts) where() string {
	if k.cfg.Database != "" {
		return "the database of the settings" // whose address may hold a password
	}
	return k.cfg.StateDir
}

// openKeys opens the store of a gateway, whether that runs or not. Close it.
func openKeys(ctx context.Context, cfg *config.Config, owner string) (*keyParts, error) {
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	file := cfg.PepperFile
	if file == "" {
		file = filepath.Join(cfg.StateDir, pepperFile)
	}
	pepper, err := loadPepper(file)
	if err != nil {
		return nil, err
	}
	urls, err := fileurl.NewSealer(pepper)
	if err != nil {
		return nil, err
	}
	source, fresh := cfg.Database, false
	if source == "" {
		source = filepath.Join(cfg.StateDir, databaseFile)
		_, err := os.Stat(source)
		fresh = errors.Is(err, fs.ErrNotExist)
	}
	db, err := store.Open(ctx, store.Options{Source: source, Owner: owner})
	if err != nil {
		return nil, err
	}
	return &keyParts{cfg: cfg, db: db, pepper: pepper, urls: urls, audit: &keyAudit{cfg: cfg}, fresh: fresh}, nil
}

// watch reads the keys, and from now on every change of them, and opens the gate.
func (k *keyParts) watch(ctx context.Context, log *slog.Logger) (err error) {
	if k.ring, err = identity.NewKeyring(ctx, k.db, k.pepper, log); err != nil {
		return err
	}
	if k.vouchers, err = openVouchers(k.cfg, log); err != nil {
		return err
	}
	k.gate = identity.NewGate(k.ring, k.vouchers.verifiers()...)
	return nil
}

// Close leaves the store.
func (k *keyParts) Close() error {
	if k.ring != nil {
		k.ring.Close()
	}
	k.vouchers.Close()
	return errors.Join(k.audit.Close(), k.db.Close())
}

// loadPepper reads a pepper, or makes one where there is no file. Of several processes that make one
// at once, all get the same.
func loadPepper(file string) (identity.Pepper, error) {
	pepper, err := readPepper(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return pepper, err
	}
	partial, err := os.CreateTemp(filepath.Dir(file), pepperFile+".new-") // with mode 0600
	if err != nil {
		return nil, fmt.Errorf("make the pepper: %w", err)
	}
	defer func() { _ = os.Remove(partial.Name()) }()
	_, err = partial.WriteString(hex.EncodeToString(identity.NewPepper()) + "\n")
	if err == nil {
		err = partial.Sync()
	}
	if err = errors.Join(err, partial.Close()); err != nil {
		return nil, fmt.Errorf("write the pepper: %w", err)
	}
	// A link is made whole or not at all, and never over what is there.
	if err := os.Link(partial.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("write the pepper: %w", err)
	}
	return readPepper(file)
}

func readPepper(file string) (identity.Pepper, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, hintError{err: fmt.Errorf("the pepper %s may be read by others (mode %o)", file, info.Mode().Perm()), hint: "run chmod 600 on it"}
	}
	raw, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, fmt.Errorf("read the pepper: %w", err)
	}
	pepper, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(pepper) < 32 {
		return nil, hintError{
			err:  fmt.Errorf("%s does not hold a pepper of 32 bytes or more in hex", file),
			hint: "bring back the right file: with another one no key fits any more",
		}
	}
	return pepper, nil
}
