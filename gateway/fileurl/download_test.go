package fileurl_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/identity"
)

// safe are the headers that every reply must have.
func safe(t *testing.T, what string, header http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "private, no-store",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Ratelimit": "", "Ratelimit-Policy": "", "Www-Authenticate": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %s is %q", what, name, got)
		}
	}
}

// TestDownload downloads over every way in which a client may come.
func TestDownload(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	content := strings.Repeat("0123456789abcdef", 1<<14) // 256 KiB
	g.put(session, "/data/Bericht \"€\".csv", content)
	address := g.address(t, key, session, "/data/Bericht \"€\".csv", false)
	if !strings.HasSuffix(address, "/Bericht%20%22%E2%82%AC%22.csv") {
		t.Errorf("the address ends otherwise: %s", address)
	}
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	old := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	for name, way := range map[string]struct {
		client *http.Client
		url    string
	}{
		"HTTP/1.1":      {&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, g.url},
		"HTTP/2":        {&http.Client{Transport: h2c}, g.url},
		"HTTP/1.1, TLS": {&http.Client{Transport: old}, g.tls.URL},
		"HTTP/2, TLS":   {g.tls.Client(), g.tls.URL},
	} {
		t.Run(name, func(t *testing.T) {
			for method, want := range map[string]string{http.MethodGet: content, http.MethodHead: ""} {
				got := fetch(t, way.client, method, way.url+address, nil)
				if got.status != http.StatusOK || got.err != nil || got.body != want {
					t.Errorf("%s: %d, %d bytes, %v", method, got.status, len(got.body), got.err)
				}
				safe(t, method, got.header)
				for header, want := range map[string]string{
					"Content-Length": "262144", "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
					"Content-Disposition": `attachment; filename="Bericht ___.csv"; filename*=UTF-8''Bericht%20%22%E2%82%AC%22.csv`,
				} {
					if got.header.Get(header) != want {
						t.Errorf("%s: %s is %q", method, header, got.header.Get(header))
					}
				}
			}
			got := fetch(t, way.client, http.MethodGet, way.url+address, nil, "Range", "bytes=16-18")
			if got.status != http.StatusPartialContent || got.body != "012" || got.header.Get("Content-Range") != "bytes 16-18/262144" {
				t.Errorf("a range: %+v", got)
			}
		})
	}
	if strings.Contains(g.log.String(), `"level":"ERROR"`) {
		t.Error(g.log)
	}
}

// TestRangesAreThoseOfNetHTTP compares with what the standard library does with a file, but where the RFC
// wants something else.
func TestRangesAreThoseOfNetHTTP(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	differs := map[string]int{ // what we answer where we differ
		"lines=0-1":      http.StatusOK,                           // an unknown unit is ignored
		"bytes":          http.StatusOK,                           // no range at all
		"bytes=-0":       http.StatusRequestedRangeNotSatisfiable, // net/http sends nothing, as 5-4/5
		"bytes=0-0,2-2":  http.StatusOK,                           // several are a server's to refuse
		"bytes=0-1, 3-4": http.StatusOK,
		"Bytes=0-1":      http.StatusPartialContent,               // a unit's case does not matter
		"bytes=+1-2":     http.StatusRequestedRangeNotSatisfiable, // a number has no sign
		"bytes=1-+2":     http.StatusRequestedRangeNotSatisfiable,
	}
	for _, content := range []string{"", "0", "01234"} {
		g.put(session, "f", content)
		address := g.address(t, key, session, "f", false)
		for _, header := range []string{
			"bytes=0-", "bytes=0-0", "bytes=0-1", "bytes=1-", "bytes=1-3", "bytes=4-4", "bytes=5-", "bytes=4-100", "bytes=5-6", "bytes=3-2",
			"bytes=-1", "bytes=-5", "bytes=-100", "bytes=--1", "bytes=-", "bytes=a-b", "bytes=1-b", "bytes=+1-2", "bytes=1-+2", "bytes= 1-2 ", "bytes=1 - 2",
			"bytes=0-9223372036854775807", "bytes=0-9223372036854775808", "bytes=9223372036854775808-", "bytes=-9223372036854775807", "bytes=1",
			"lines=0-1", "bytes", "bytes=-0", "bytes=0-0,2-2", "bytes=0-1, 3-4", "Bytes=0-1",
		} {
			t.Run(header+" of "+content, func(t *testing.T) {
				got := g.fetch(t, http.MethodGet, address, nil, "Range", header)
				recorder, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				r.Header.Set("Range", header)
				http.ServeContent(recorder, r, "f", time.Time{}, strings.NewReader(content))
				if content == "" { // net/http sends 206 for a suffix of nothing, as 0--1/0
					if got.status != http.StatusOK || got.body != "" {
						t.Errorf("%+v", got)
					}
					return
				}
				if status, ok := differs[header]; ok && content == "01234" {
					if got.status != status {
						t.Errorf("%d, want %d", got.status, status)
					}
					return
				} else if ok {
					return
				}
				want := recorder.Result()
				body, _ := io.ReadAll(want.Body)
				if want.StatusCode == http.StatusRequestedRangeNotSatisfiable {
					// It leaves the size out where the range is malformed.
					if !got.says(http.StatusRequestedRangeNotSatisfiable, "FILE_URL_RANGE") || !strings.HasPrefix(got.header.Get("Content-Range"), "bytes */") {
						t.Errorf("%+v", got)
					}
					return
				}
				if got.status != want.StatusCode || got.body != string(body) || got.header.Get("Content-Range") != want.Header.Get("Content-Range") ||
					got.header.Get("Content-Length") != want.Header.Get("Content-Length") {
					t.Errorf("%+v\nwant %d %q %v", got, want.StatusCode, body, want.Header)
				}
			})
		}
	}
	g.put(session, "f", "01234")
	address := g.address(t, key, session, "f", false)
	if got := g.fetch(t, http.MethodGet, address, nil, "Range", "bytes=1-2", "If-Range", `"x"`); got.status != http.StatusOK || got.body != "01234" {
		t.Errorf("If-Range: %+v", got)
	}
	if got := g.fetch(t, http.MethodHead, address, nil, "Range", "bytes=1-2"); got.status != http.StatusOK || got.header.Get("Content-Length") != "5" {
		t.Errorf("HEAD: %+v", got)
	}
}

// TestFileChangesWhileItIsSent wants no more bytes than were announced, and to be told of fewer.
func TestFileChangesWhileItIsSent(t *testing.T) {
	g := newRig(t, nil)
	_, key := g.key(t, identity.Grant{Tenant: "acme"})
	session := g.session(t, key)
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer h2c.CloseIdleConnections()
	content := strings.Repeat("x", 300_000)
	for name, client := range map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{DisableKeepAlives: true}}, "HTTP/2": {Transport: h2c},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"shrinks", "fails"} {
				g.put(session, file, content)
				got := fetch(t, client, http.MethodGet, g.url+g.address(t, key, session, file, false), nil)
				if got.status != http.StatusOK || got.err == nil || len(got.body) > len(content)/2 {
					t.Errorf("%s: %d, %d bytes, %v", file, got.status, len(got.body), got.err)
				}
			}
			g.put(session, "grows", content)
			address := g.url + g.address(t, key, session, "grows", false)
			if got := fetch(t, client, http.MethodGet, address, nil); got.err != nil || got.body != content {
				t.Errorf("grows: %d, %d bytes, %v", got.status, len(got.body), got.err)
			}
			if got := fetch(t, client, http.MethodGet, address, nil, "Range", "bytes=10-"); got.err != nil || len(got.body) != len(content)-10 {
				t.Errorf("grows, a range: %d, %d bytes, %v", got.status, len(got.body), got.err)
			}
			g.put(session, "shrank", content)
			address = g.url + g.address(t, key, session, "shrank", false)
			if got := fetch(t, client, http.MethodGet, address, nil, "Range", "bytes=10-"); !got.says(http.StatusRequestedRangeNotSatisfiable, "FILE_URL_RANGE") {
				t.Errorf("shrank: %+v", got)
			}
			got := fetch(t, client, http.MethodGet, address, nil, "Range", "bytes=1-5")
			if got.err != nil || got.body != "x" || got.header.Get("Content-Range") != "bytes 1-1/2" {
				t.Errorf("shrank: %+v", got)
			}
		})
	}
	log := g.log.String()
	if !strings.Contains(log, `"procedure":"/files/","code":"aborted"`) || strings.Contains(log, "in the protocol layer") {
		t.Error(log)
	}
}
