package gateway

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	registry := NewRegistry()
	server, err := NewServer(Options{Registry: registry, Logger: quiet(), CertFile: cert, KeyFile: key})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "localhost:0", true)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	for name, config := range map[string]struct {
		tls  *tls.Config
		want string
	}{
		"http/2":   {&tls.Config{InsecureSkipVerify: true}, "HTTP/2.0"},
		"http/1.1": {&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}, "HTTP/1.1"},
		"old TLS":  {&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: config.tls, ForceAttemptHTTP2: name != "http/1.1"}
			defer transport.CloseIdleConnections()
			res, err := (&http.Client{Transport: transport}).Get("https://" + listener.Addr().String() + "/livez")
			if config.want == "" {
				if err == nil {
					t.Errorf("got in with %s", res.Proto)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if res.Proto != config.want {
				t.Errorf("spoke %s", res.Proto)
			}
		})
	}
	if err := errors.Join(server.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}

// certificate writes a key and its certificate and returns their paths.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return writePair(t, server.TLS.Certificates[0])
}
