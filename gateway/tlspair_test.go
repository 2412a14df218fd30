package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// issued is a certificate for the loopback address, with its key.
type issued struct {
	serial    int64
	cert, key []byte // PEM
}

func issue(t *testing.T, serial int64) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Duration(serial) * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{
		serial,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}
}

// TestCertificatesAreReplaced replaces the files of a server while clients connect to it: every
// connection gets a whole pair, the newest one soon, and none fails.
func TestCertificatesAreReplaced(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(name string, data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(name string, data []byte) { // as tools that renew certificates do
		write(name+".new", data)
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := issue(t, 1), issue(t, 2), issue(t, 3)
	roots := x509.NewCertPool()
	for _, each := range []issued{first, second, third} {
		roots.AppendCertsFromPEM(each.cert)
	}
	write(certFile, first.cert)
	write(keyFile, first.key)
	log := &logBuffer{}
	server, err := NewServer(Options{Registry: NewRegistry(), Logger: slog.New(slog.NewJSONHandler(log, nil)), CertFile: certFile, KeyFile: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	server.pair.every = time.Millisecond
	listener, err := Listen(t.Context(), "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	clients := connecting(t, listener.Addr().String(), roots)

	clients.wait(first.serial)
	rename(certFile, second.cert)
	rename(keyFile, second.key)
	clients.wait(second.serial)

	// Somebody writes what is no pair: a key of another, half a file, nothing.
	for _, broken := range [][]byte{third.key, second.key[:40], nil} {
		told := strings.Count(log.String(), "is not used")
		write(keyFile, broken)
		for strings.Count(log.String(), "is not used") == told {
		}
		clients.wait(second.serial)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	write(certFile, third.cert)
	write(keyFile, third.key)
	clients.wait(third.serial)
	clients.end(t)

	if err := errors.Join(server.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
	if got := server.pair.expiry(); got != float64(server.pair.current.Load().Leaf.NotAfter.Unix()) || got < float64(time.Now().Add(2*time.Hour).Unix()) {
		t.Errorf("the certificate runs out at %f", got)
	}
	if n := strings.Count(log.String(), "another TLS certificate is served"); n != 2 {
		t.Errorf("%d replacements are in the log:\n%s", n, log)
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("the log holds a key")
	}
}

// clients connect again and again.
type clients struct {
	serial  atomic.Int64 // of the certificate that was seen last
	connect atomic.Int64 // connections that were made
	stop    chan struct{}
	all     sync.WaitGroup
	mu      sync.Mutex
	failed  error // guarded by mu
}

func connecting(t *testing.T, address string, roots *x509.CertPool) *clients {
	t.Helper()
	c := &clients{stop: make(chan struct{})}
	for range 4 {
		c.all.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				if err := c.once(address, roots); err != nil {
					c.mu.Lock()
					c.failed = errors.Join(c.failed, err)
					c.mu.Unlock()
					return
				}
			}
		})
	}
	return c
}

// once makes one connection and one request on it.
func (c *clients) once(address string, roots *x509.CertPool) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("https://" + address + "/livez")
	if err != nil {
		return err
	}
	c.serial.Store(res.TLS.PeerCertificates[0].SerialNumber.Int64())
	c.connect.Add(1)
	return res.Body.Close()
}

// wait returns when ten connections more were made, and the last of them saw a certificate, or one failed.
func (c *clients) wait(serial int64) {
	least := c.connect.Load() + 10
	for (c.serial.Load() != serial || c.connect.Load() < least) && c.err() == nil {
	}
}

func (c *clients) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func (c *clients) end(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.all.Wait()
	if err := c.err(); err != nil {
		t.Error(err)
	}
	t.Logf("%d connections", c.connect.Load())
}
