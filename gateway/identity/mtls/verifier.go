// Package mtls accepts client certificates of TLS: those of the authorities in a file, by the one URI
// that they carry, such as a SPIFFE ID. A certificate alone lets nobody in; a rule of the operator's does.
package mtls

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandgate/sandgate/gateway/identity"
)

// idPrefix begins the names of those whom a certificate lets in.
const idPrefix = "mtls:"

// Options say what a verifier knows.
type Options struct {
	// AuthorityFile holds the certificates of the authorities, as PEM. It is looked at every few seconds
	// and what is new in it is used.
	AuthorityFile string
	// Rules say whom a certificate lets in. The first that fits decides.
	Rules []Rule
	// Known are the scopes and tools that there are.
	Known identity.Known
	// Logger gets what no caller is told. Nil means slog.Default.
	Logger *slog.Logger
}

// A Verifier accepts client certificates. It is an [identity.Verifier]. Its methods may be called by any
// number of goroutines. Close it.
type Verifier struct {
	rules       []Rule
	authorities *authorities
	stop        context.CancelFunc
	watching    sync.WaitGroup
}

// New reads the authorities and returns a verifier. It fails where they or the rules are no use.
func New(opts Options) (*Verifier, error) {
	if err := Check(opts.Rules, opts.Known); err != nil {
		return nil, err
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	authorities, err := loadAuthorities(opts.AuthorityFile, opts.Logger)
	if err != nil {
		return nil, err
	}
	return start(opts.Rules, authorities), nil
}

func start(rules []Rule, authorities *authorities) *Verifier {
	v := &Verifier{rules: slices.Clone(rules), authorities: authorities}
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	v.watching.Go(func() { authorities.watch(ctx) })
	return v
}

// CheckFile returns what is wrong with a file of authorities.
func CheckFile(name string) error {
	raw, err := readFile(name)
	if err == nil {
		_, err = parse(raw)
	}
	return err
}

// Close stops looking at the file.
func (v *Verifier) Close() {
	v.stop()
	v.watching.Wait()
}

// Authorities returns those of now, for a handshake.
func (v *Verifier) Authorities() *x509.CertPool { return v.authorities.current.Load().pool }

// Verify returns whom the certificate of a connection lets in, where no token decides; nil for nobody.
// What was believed when the connection began may have ended since, the certificate and its authority.
func (v *Verifier) Verify(r *http.Request, bearer string) (*identity.Principal, error) {
	if bearer != "" || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	expires, believed := v.believed(r.TLS.VerifiedChains, time.Now())
	leaf := r.TLS.PeerCertificates[0]
	if !believed || len(leaf.URIs) != 1 {
		return nil, nil
	}
	uri := leaf.URIs[0].String()
	rule := v.ruleFor(uri)
	if rule == nil {
		return nil, nil
	}
	p := &identity.Principal{
		Tenant: rule.Tenant, ID: idPrefix + uri, Subject: idPrefix + uri, Key: identity.Vouched,
		Scopes: slices.Clone(rule.Scopes), Expires: expires,
	}
	if len(rule.Tools) > 0 {
		p.Tools = slices.Clone(rule.Tools)
	}
	return p, nil
}

// believed tells whether a chain still leads to an authority, and when the first of its certificates
// runs out.
func (v *Verifier) believed(chains [][]*x509.Certificate, now time.Time) (until time.Time, ok bool) {
	authority := v.authorities.current.Load()
	for _, chain := range chains {
		if !authority.has(chain[len(chain)-1]) {
			continue
		}
		first := chain[0].NotAfter
		for _, cert := range chain {
			if cert.NotAfter.Before(first) {
				first = cert.NotAfter
			}
		}
		if now.Before(first) && first.After(until) {
			until, ok = first, true
		}
	}
	return until, ok
}

// ruleFor returns the first rule for a URI, nil for none.
func (v *Verifier) ruleFor(uri string) *Rule {
	if !plainURI(uri) {
		return nil
	}
	for i := range v.rules {
		if v.rules[i].matches(uri) {
			return &v.rules[i]
		}
	}
	return nil
}

// Vouches tells whether a rule still lets in whom a token goes back to.
func (v *Verifier) Vouches(p *identity.Principal) bool {
	uri, ours := strings.CutPrefix(p.Subject, idPrefix)
	if !ours {
		return false
	}
	rule := v.ruleFor(uri)
	return rule != nil && rule.Tenant == p.Tenant
}

// Tenants returns those that a certificate may let somebody in for.
func (v *Verifier) Tenants() (names []string, more bool) {
	for _, rule := range v.rules {
		names = append(names, rule.Tenant)
	}
	return names, false
}
