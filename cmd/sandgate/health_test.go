package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		says   string
		code   int
		text   string
	}{
		"ready":      {200, `{"ready":true,"checks":{"engine":true}}`, 0, "ready"},
		"not ready":  {503, `{"ready":false,"checks":{"pool":false,"engine":true,"accepting":false}}`, exitFailed, "not ready: accepting, pool"},
		"a liar":     {503, `{"ready":true}`, exitFailed, "503"},
		"refused":    {403, `{"code":"permission_denied"}`, exitFailed, "403"},
		"no gateway": {200, `<html>`, exitNotRun, "does not say how it is"},
		"endless":    {200, `{"ready":true,"checks":{"` + strings.Repeat("x", maxHealthBytes), exitNotRun, "does not say how it is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/readyz" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.says))
			}))
			defer server.Close()
			var out strings.Builder
			code := run(t.Context(), []string{"health"}, stdio{out: &out, err: &out}, []string{"SANDGATE_SERVER=" + server.URL})
			if code != test.code || !strings.Contains(out.String(), test.text) {
				t.Errorf("exit code %d, want %d: %s", code, test.code, out.String())
			}
		})
	}
}
