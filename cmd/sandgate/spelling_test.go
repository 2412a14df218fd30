package main

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sandgate/sandgate/gateway/identity"
)

// TestNoSpellingSkipsTheKey asks for every RPC without a key under paths that something may take for its
// own, on the wire. Nothing but a refusal comes back, and it is the same for what is there and what not.
func TestNoSpellingSkipsTheKey(t *testing.T) {
	w := newWired(t)
	w.key(t, identity.Grant{Tenant: "acme"}) // from now on keys are asked for
	server := httptest.NewServer(w.server.Handler())
	t.Cleanup(server.Close)
	for _, m := range methods() {
		path := procedureOf(m)
		service, name := path[1:strings.LastIndex(path, "/")], string(m.Name())
		for _, spelling := range []string{
			path, "/" + path, path + "/", path + "//", "/." + path, "/x/.." + path, "/" + service + "/./" + name, "/" + service + "//" + name, "/" + service + "%2f" + name, "/" + service + "/%2e/" + name,
			"%2f" + service + "/" + name, strings.ToLower(path), strings.ToUpper(path), path + ";x", path + "?x", path + "%00", path + "%20", path + "#x", path + ".json", "\\" + service + "\\" + name,
			"/grpc.health.v1.Health/Check/.." + path, "/livez/.." + path, "/livez;" + path, "/grpc.health.v1.Health/Check;" + path, path + "/livez", "http://localhost" + path, "http://localhost/livez/.." + path,
		} {
			for _, verb := range []string{"POST", "GET", "PUT", "post", "OPTIONS"} {
				if got := ask(t, server.Listener.Addr().String(), verb+" "+spelling+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"); got != 401 && got != 400 {
					t.Errorf("%s %s: %d", verb, spelling, got)
				}
			}
		}
	}
}

// ask sends a request as it is and returns the reply's status.
func ask(t *testing.T, address, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestOneKeyARequest: a request with two of them is let in by neither.
func TestOneKeyARequest(t *testing.T) {
	w := newWired(t)
	_, key := w.key(t, identity.Grant{Tenant: "acme"})
	server := httptest.NewServer(w.server.Handler())
	t.Cleanup(server.Close)
	for headers, want := range map[string]int{
		"Authorization: Bearer " + key + "\r\n":                                         200,
		"authorization: bearer " + key + "\r\n":                                         200,
		"Authorization: Bearer " + key + "\r\nAuthorization: Bearer " + key + "\r\n":    401,
		"Authorization: Bearer " + key + "\r\nAuthorization: Bearer x\r\n":              401,
		"Authorization: Bearer x\r\nAuthorization: Bearer " + key + "\r\n":              401,
		"Authorization: Basic " + key + "\r\n":                                          401,
		"Authorization: Bearer " + key + ", Bearer x\r\n":                               401,
		"Authorization: " + key + "\r\n":                                                401,
		"Authorization: Bearer " + strings.ToUpper(key) + "\r\n":                        401,
		"Authorization: Bearer " + key + key + "\r\n":                                   401,
		"Authorization: Bearer \t\r\n":                                                  401,
		"Proxy-Authorization: Bearer " + key + "\r\n":                                   401,
		"X-Forwarded-User: acme\r\nX-Real-IP: 127.0.0.1\r\nX-Tenant: acme\r\n":          401,
		"Cookie: authorization=Bearer " + key + "\r\n":                                  401,
		"Connection: Authorization\r\nX-Original-Authorization: Bearer " + key + "\r\n": 401,
	} {
		got := ask(t, server.Listener.Addr().String(), "POST /sandgate.v1.ToolService/ListTools HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"+headers+"\r\n{}")
		if got != want {
			t.Errorf("%s: %d, want %d", strings.ReplaceAll(headers, key, "KEY"), got, want)
		}
	}
}
