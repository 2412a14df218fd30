package mtls

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how long a replaced file waits to be used.
	lookEvery = 5 * time.Second
	maxBytes  = 1 << 20 // of the file
)

// authorities are those whose certificates are believed, in a file that may be replaced.
type authorities struct {
	file    string
	every   time.Duration
	log     *slog.Logger
	current atomic.Pointer[authority]
	seen    []byte // what was looked at last; one goroutine uses it
	failed  string // why the file was not used, as the log was told; one goroutine uses it
}

// authority is what a file held. It never changes.
type authority struct {
	pool *x509.CertPool
	all  []*x509.Certificate
}

// has tells whether a certificate is one of them.
func (a *authority) has(cert *x509.Certificate) bool {
	for _, one := range a.all {
		if one.Equal(cert) {
			return true
		}
	}
	return false
}

// loadAuthorities reads the file for the first time, when it must be good.
func loadAuthorities(file string, log *slog.Logger) (*authorities, error) {
	a := &authorities{file: file, every: lookEvery, log: log}
	if err := a.look(); err != nil {
		return nil, err
	}
	return a, nil
}

// watch looks at the file until ctx ends. While what is in it is no use, what was in it before is used.
func (a *authorities) watch(ctx context.Context) {
	ticker := time.NewTicker(a.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := a.look()
		if err != nil && err.Error() != a.failed {
			a.log.Warn("the client authorities in the file are not used, those before are", "file", a.file, "err", err)
		}
		a.failed = ""
		if err != nil {
			a.failed = err.Error()
		}
	}
}

// look uses what is in the file, if that is new.
func (a *authorities) look() error {
	raw, err := readFile(a.file)
	if err != nil {
		return fmt.Errorf("read the client authorities: %w", err)
	}
	if bytes.Equal(raw, a.seen) {
		return nil
	}
	fresh, err := parse(raw)
	if err != nil {
		return fmt.Errorf("read the client authorities in %s: %w", a.file, err)
	}
	if a.seen != nil {
		a.log.Info("other client authorities are used", "file", a.file, "certificates", len(fresh.all))
	}
	a.seen = raw
	a.current.Store(fresh)
	return nil
}

// parse reads certificates of authorities. Anything else in a file is an error.
func parse(raw []byte) (*authority, error) {
	read := &authority{pool: x509.NewCertPool()}
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %q in it; it is for certificates alone", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if !cert.IsCA {
			return nil, fmt.Errorf("the certificate of %q is no authority's", cert.Subject)
		}
		read.pool.AddCert(cert)
		read.all = append(read.all, cert)
	}
	if len(read.all) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return read, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	raw, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err == nil && len(raw) > maxBytes {
		err = fmt.Errorf("%s has more than %d bytes", name, maxBytes)
	}
	return raw, err
}
