package identity

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

// known is what a keyring has read. It never changes.
type known struct {
	generation int64
	keys       map[string]*entry
	tenants    map[string]store.Tenant
	named      []string // the tenants that have a key which lets them in, sorted
}

// entry is a key that may let somebody in.
type entry struct {
	key       store.Key
	addresses []netip.Prefix
	principal *Principal
}

// lets returns why a key lets nobody in at a time.
func (e *entry) lets(reaches func(*entry) bool, now time.Time) error {
	switch {
	case !e.key.RevokedAt.IsZero() && !now.Before(e.key.RevokedAt):
		return fmt.Errorf("%w: the key was revoked", ErrUnknown)
	case !e.key.ExpiresAt.IsZero() && !now.Before(e.key.ExpiresAt):
		return fmt.Errorf("%w: the key expired at %s", ErrUnknown, e.key.ExpiresAt.UTC().Format(time.RFC3339))
	case !reaches(e):
		return fmt.Errorf("%w: the key may not be used from this address", ErrUnknown)
	default:
		return nil
	}
}

// reaches tells whether a key may be used from an address.
func (e *entry) reaches(from netip.Addr) bool {
	return len(e.key.Addresses) == 0 ||
		slices.ContainsFunc(e.addresses, func(n netip.Prefix) bool { return n.Contains(from.Unmap()) })
}

// keep looks for changes until the end.
func (k *Keyring) keep(ctx context.Context) {
	looks := time.NewTicker(lookEvery)
	defer looks.Stop()
	touched, failed := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-looks.C:
		}
		err := k.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			k.log.Error("keys cannot be read; nobody is let in if that goes on", "after", blindAfter, "err", err)
		}
		failed = err != nil
		if time.Since(touched) >= touchEvery {
			k.touch(ctx)
			touched = time.Now()
		}
	}
}

// look reads the keys if they have changed.
func (k *Keyring) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	begun := time.Since(k.base)
	generation, err := k.store.IdentityGeneration(ctx)
	if err != nil {
		return err
	}
	if old := k.known.Load(); old == nil || old.generation != generation {
		fresh, err := k.read(ctx, generation)
		if err != nil {
			return err
		}
		k.known.Store(fresh)
	}
	k.looked.Store(int64(begun))
	return nil
}

// read reads every key. One that cannot be understood lets nobody in, and keeps no other from it.
func (k *Keyring) read(ctx context.Context, generation int64) (*known, error) {
	keys, err := k.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	tenants, err := k.store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	fresh := &known{generation: generation, keys: make(map[string]*entry, len(keys)), tenants: map[string]store.Tenant{}}
	for _, tenant := range tenants {
		fresh.tenants[tenant.Name] = tenant
	}
	named := map[string]bool{}
	now := time.Now()
	for _, key := range keys {
		e := &entry{key: key, principal: &Principal{
			Tenant: key.Tenant, ID: key.ID, Scopes: unrestricted(key.Scopes), Tools: unrestricted(key.Tools), Expires: key.ExpiresAt, Key: key.ID,
		}}
		for _, text := range key.Addresses {
			if network, err := netip.ParsePrefix(text); err == nil { // else it matches nothing
				e.addresses = append(e.addresses, network)
			}
		}
		fresh.keys[key.ID] = e
		ended := !key.RevokedAt.IsZero() && !key.RevokedAt.After(now) || !key.ExpiresAt.IsZero() && !key.ExpiresAt.After(now)
		onlyLooks := len(key.Scopes) == 1 && key.Scopes[0] == ScopeOperator // and has no sessions
		if !ended && !onlyLooks {
			named[key.Tenant] = true
		}
	}
	fresh.named = slices.Sorted(maps.Keys(named))
	return fresh, nil
}
