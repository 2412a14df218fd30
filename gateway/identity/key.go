package identity

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

// Bounds of what an operator may say of a key.
const (
	maxName  = 100
	maxItems = 100
)

// tenantName is what a tenant may be called: what is safe in a log, a metric and a label.
var tenantName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckTenant returns an error that says what would be right, for a name that a tenant cannot have.
func CheckTenant(name string) error {
	if !tenantName.MatchString(name) {
		return fmt.Errorf("%q is no name for a tenant: it has 1 to 63 letters a to z, digits and dashes, with no dash at its ends", name)
	}
	return nil
}

// A Grant says what a new key is for.
type Grant struct {
	// Tenant is whom the key lets in.
	Tenant string
	// Name is the operator's note. At most 100 bytes.
	Name string
	// Scopes are what it may be used for. Empty: everything that a tenant may do.
	Scopes []string
	// Tools are the tools it may be used for. Empty: all.
	Tools []string
	// Addresses are the networks it may be used from, `10.0.0.0/8` or `192.0.2.7`. Empty: anywhere.
	Addresses []string
	// ExpiresAt is when it ends. Zero: never.
	ExpiresAt time.Time
}

// Known are the scopes and tools that there are, to tell a misspelt one.
type Known struct {
	// Scopes and Tools list them.
	Scopes, Tools []string
}

// NewKey makes a key. text is what its holder gets; nothing else in the world knows it afterwards.
func NewKey(pepper Pepper, grant Grant, known Known, now time.Time) (key store.Key, text string, err error) {
	addresses, err := checkGrant(grant, known, now)
	if err != nil {
		return store.Key{}, "", err
	}
	id, secret, text := newSecret()
	return store.Key{
		ID: id, Tenant: grant.Tenant, Name: grant.Name, Hash: pepper.hash(id, secret), Scopes: grant.Scopes, Tools: grant.Tools,
		Addresses: addresses, CreatedAt: now, ExpiresAt: grant.ExpiresAt,
	}, text, nil
}

// Rotate makes a key with the same grant as another, for its holder to change over to.
func Rotate(pepper Pepper, old store.Key, now time.Time) (key store.Key, text string) {
	id, secret, text := newSecret()
	key = old
	key.ID, key.Hash, key.CreatedAt, key.RevokedAt, key.LastUsedAt = id, pepper.hash(id, secret), now, time.Time{}, time.Time{}
	return key, text
}

func checkGrant(grant Grant, known Known, now time.Time) (addresses []string, err error) {
	errs := []error{CheckTenant(grant.Tenant)}
	if len(grant.Name) > maxName {
		errs = append(errs, fmt.Errorf("the name has %d bytes and may have %d", len(grant.Name), maxName))
	}
	if !grant.ExpiresAt.IsZero() && !grant.ExpiresAt.After(now) {
		errs = append(errs, errors.New("it would have expired already"))
	}
	errs = append(errs, checkKnown("scope", grant.Scopes, known.Scopes), checkKnown("tool", grant.Tools, known.Tools))
	if len(grant.Addresses) > maxItems {
		errs = append(errs, fmt.Errorf("%d networks are too many: %d at most", len(grant.Addresses), maxItems))
	}
	for _, text := range grant.Addresses {
		network, err := parseNetwork(text)
		errs = append(errs, err)
		addresses = append(addresses, network.String())
	}
	return addresses, errors.Join(errs...)
}

func checkKnown(kind string, wanted, known []string) error {
	for _, one := range wanted {
		if !slices.Contains(known, one) {
			return fmt.Errorf("there is no %s %q; there are %v", kind, one, known)
		}
	}
	return nil
}

// parseNetwork reads a network, or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil || network.Masked() != network {
		return netip.Prefix{}, fmt.Errorf("%q is no network: it looks like 10.0.0.0/8 or 192.0.2.7", text)
	}
	return network, nil
}
