package main

import (
	"crypto/x509"
	"log/slog"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/identity/mtls"
	"github.com/sandgate/sandgate/gateway/identity/oidc"
)

// vouchers are those who vouch for callers in place of keys, nil where there are none.
type vouchers struct {
	tokens       *oidc.Verifier
	certificates *mtls.Verifier
}

// openVouchers makes the verifiers that the settings ask for. Nobody is asked anything yet. Close them.
func openVouchers(cfg *config.Config, log *slog.Logger) (v vouchers, err error) {
	known, err := cfg.Known()
	if err != nil {
		return v, err
	}
	if cfg.ClientCAFile != "" {
		v.certificates, err = mtls.New(mtls.Options{AuthorityFile: cfg.ClientCAFile, Rules: cfg.ClientCerts, Known: known, Logger: log})
		if err != nil {
			return v, err
		}
	}
	if len(cfg.OIDC) > 0 {
		if v.tokens, err = oidc.New(cfg.OIDC, oidc.Options{Known: known, Logger: log}); err != nil {
			v.Close()
			return vouchers{}, err
		}
	}
	return v, nil
}

// verifiers are those of the two that there are.
func (v vouchers) verifiers() []identity.Verifier {
	var all []identity.Verifier
	if v.tokens != nil {
		all = append(all, v.tokens)
	}
	if v.certificates != nil {
		all = append(all, v.certificates)
	}
	return all
}

// issuers are the URLs of those whose tokens are taken.
func (v vouchers) issuers() []string {
	if v.tokens == nil {
		return nil
	}
	return v.tokens.Issuers()
}

// Close ends both.
func (v vouchers) Close() {
	if v.tokens != nil {
		v.tokens.Close()
	}
	if v.certificates != nil {
		v.certificates.Close()
	}
}

// authorities are what handshakes ask for, nil where clients are asked for no certificate.
func (v vouchers) authorities() func() *x509.CertPool {
	if v.certificates == nil {
		return nil
	}
	return v.certificates.Authorities
}
