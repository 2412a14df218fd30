package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/pflag"
)

// The environment variables of a client's TLS. A flag is stronger.
const (
	caVariable      = "SANDGATE_CA"
	certVariable    = "SANDGATE_CERT"
	certKeyVariable = "SANDGATE_CERT_KEY"
)

// maxPEMBytes bounds each file of certificates and keys.
const maxPEMBytes = 1 << 20

// tlsFiles are the files that a client's TLS is made of, each of which may be empty.
type tlsFiles struct {
	ca, cert, certKey string
}

// add gives a command the flags of its TLS.
func (f *tlsFiles) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.ca, "ca", "", "PEM certificates of who vouches for the gateway (default $"+caVariable+" or the system's)")
	flags.StringVar(&f.cert, "cert", "", "PEM certificate to show the gateway (default $"+certVariable+")")
	flags.StringVar(&f.certKey, "cert-key", "", "PEM key of --cert (default $"+certKeyVariable+")")
}

// clientTLS returns how a gateway is spoken to over TLS, nil where nothing was said of it.
func (a *app) clientTLS() (*tls.Config, error) {
	ca := cmp.Or(a.tls.ca, a.env.Get(caVariable))
	cert, key := cmp.Or(a.tls.cert, a.env.Get(certVariable)), cmp.Or(a.tls.certKey, a.env.Get(certKeyVariable))
	if (cert == "") != (key == "") {
		return nil, usagef("--cert and --cert-key go together, as do %s and %s", certVariable, certKeyVariable)
	}
	if ca == "" && cert == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		raw, err := readPEM(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(raw) {
			return nil, usagef("%s holds no PEM certificate", ca)
		}
	}
	if cert != "" {
		pair, err := readPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// readPair reads a certificate and its key.
func readPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readPEM(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readPEM(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, usagef("%s and %s are no certificate and its key: %w", certFile, keyFile, err)
	}
	return pair, nil
}

func readPEM(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{err: err}
	}
	defer func() { _ = f.Close() }() // only read from
	raw, err := io.ReadAll(io.LimitReader(f, maxPEMBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(raw) > maxPEMBytes {
		return nil, usagef("%s has more than %d bytes", name, maxPEMBytes)
	}
	return raw, nil
}

// newTransport returns what carries requests to a gateway, over TLS in a way of its own unless that is
// nil.
func newTransport(secured *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: secured,
		// A connection that died without a word is noticed, also while a call says nothing for long.
		HTTP2: &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence, MaxReadFrameSize: maxFrame},
	}
}
