package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// fetchScript is `fetch METHOD FILE [BODY]`: it sends a request to the address that a file holds, and fails
// where the reply says so.
func fetchScript(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: fetch METHOD FILE [BODY]")
	}
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(ts.ReadFile(args[2]))
	}
	req, err := http.NewRequest(args[0], strings.TrimSpace(ts.ReadFile(args[1])), body)
	ts.Check(err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	ts.Check(err)
	defer func() { _ = res.Body.Close() }()
	var text bytes.Buffer
	_, err = text.ReadFrom(res.Body)
	ts.Check(err)
	failed := res.StatusCode >= http.StatusBadRequest
	if failed {
		_, _ = ts.Stderr().Write([]byte(res.Status + " " + text.String()))
	} else {
		_, _ = ts.Stdout().Write(text.Bytes())
	}
	if failed != neg {
		ts.Fatalf("%s: %s %s", args[0], res.Status, text.String())
	}
}

// TestURLsOfTheVouchedFor makes addresses with a token of an issuer and with a certificate. Whoever has
// one needs neither.
func TestURLsOfTheVouchedFor(t *testing.T) {
	s := newSecured(t)
	issued := s.authority.Issue(t, time.Hour, "spiffe://example.org/agent/7")
	nobody := s.client(t, nil, "")
	for who, client := range map[string]*http.Client{
		"token": s.client(t, nil, s.issuer.token(t, nil)), "certificate": s.client(t, &issued, ""),
	} {
		own := newClientOver(client, s.url)
		made, err := own.sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
		if err != nil {
			t.Fatal(who, err)
		}
		session := made.GetSession().GetId()
		for _, use := range []sandgatev1.FileURLUse{sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD, sandgatev1.FileURLUse_FILE_URL_USE_DOWNLOAD} {
			res, err := own.files.CreateFileURL(t.Context(), &sandgatev1.CreateFileURLRequest{SessionId: session, Path: "f", Use: use})
			if err != nil {
				t.Fatal(who, err)
			}
			method, want := http.MethodGet, http.StatusOK
			if use == sandgatev1.FileURLUse_FILE_URL_USE_UPLOAD {
				method, want = http.MethodPut, http.StatusCreated
			}
			req, err := http.NewRequestWithContext(t.Context(), method, s.url+res.GetPath(), strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			reply, err := nobody.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(reply.Body)
			_ = reply.Body.Close()
			if err != nil || reply.StatusCode != want || method == http.MethodGet && string(text) != "hello" {
				t.Errorf("%s, %s: %d %s, %v", who, method, reply.StatusCode, text, err)
			}
		}
	}
}
