package gateway

import (
	"crypto/tls"
	"crypto/x509"
)

// newTLSConfig returns how TLS is served: with a pair that may be replaced and, where there are
// authorities, with a request for a client's certificate. A client may have none; one that is none of
// theirs ends the handshake.
func newTLSConfig(pair *tlsPair, authorities func() *x509.CertPool) *tls.Config {
	config := &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12}
	if authorities == nil {
		return config
	}
	config.NextProtos = []string{"h2", "http/1.1"} // those of a handshake's own configuration are not filled in
	config.ClientAuth = tls.VerifyClientCertIfGiven
	config.SessionTicketsDisabled = true // a certificate is looked at anew with each connection
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := config.Clone()
		now.GetConfigForClient = nil
		now.ClientCAs = authorities()
		return now, nil
	}
	return config
}
