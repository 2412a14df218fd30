package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how long a replaced certificate waits to be served.
	lookEvery   = 5 * time.Second
	maxPEMBytes = 1 << 20 // of a certificate with its chain, or of a key
)

// tlsPair is a TLS certificate and its key in files that may be replaced while it is served.
type tlsPair struct {
	certFile, keyFile string
	every             time.Duration
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	seen              string // names what was looked at last; one goroutine uses it
}

// loadTLSPair reads the pair for the first time, when it must be good.
func loadTLSPair(certFile, keyFile string, log *slog.Logger) (*tlsPair, error) {
	p := &tlsPair{certFile: certFile, keyFile: keyFile, every: lookEvery, log: log}
	cert, key, err := p.read()
	if err == nil {
		err = p.use(cert, key)
	}
	if err != nil {
		return nil, fmt.Errorf("load the TLS certificate: %w", err)
	}
	p.seen = nameOf(cert, key)
	return p, nil
}

// get is what a handshake asks.
func (p *tlsPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current.Load(), nil }

// expiry is when the certificate that is served runs out, in Unix seconds.
func (p *tlsPair) expiry() float64 { return float64(p.current.Load().Leaf.NotAfter.Unix()) }

// watch looks at the files until ctx ends.
func (p *tlsPair) watch(ctx context.Context) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			p.look()
		}
	}
}

// look serves a new pair once both files belong together. Between the writing of the one and of the
// other, and where somebody wrote nonsense, the old pair stays. The contents are compared and not
// their times: these are the same for a moment, and links and mounts have several.
func (p *tlsPair) look() {
	cert, key, err := p.read()
	name := nameOf(cert, key)
	if err != nil {
		name = err.Error()
	}
	if name == p.seen {
		return
	}
	p.seen = name
	if err == nil {
		err = p.use(cert, key)
	}
	if err != nil {
		p.log.Warn("the TLS certificate in the files is not used, the one before is served", "cert", p.certFile, "key", p.keyFile, "err", err)
		return
	}
	p.log.Info("another TLS certificate is served", "cert", p.certFile, "not_after", p.current.Load().Leaf.NotAfter)
}

// use serves a pair from now on.
func (p *tlsPair) use(cert, key []byte) error {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	p.current.Store(&pair)
	return nil
}

func (p *tlsPair) read() (cert, key []byte, err error) {
	cert, certErr := readPEM(p.certFile)
	key, keyErr := readPEM(p.keyFile)
	return cert, key, errors.Join(certErr, keyErr)
}

func readPEM(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return io.ReadAll(io.LimitReader(f, maxPEMBytes))
}

// nameOf names a pair without holding the key any longer.
func nameOf(cert, key []byte) string {
	certSum, keySum := sha256.Sum256(cert), sha256.Sum256(key)
	return string(certSum[:]) + string(keySum[:])
}
