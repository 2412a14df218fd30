package main

import (
	"errors"
	"strings"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// TestNothingGoesOutEmpty sends what cannot be sent, in each way there is of sending.
func TestNothingGoesOutEmpty(t *testing.T) {
	t.Parallel()
	server := startFakeGateway(t)
	c := newClient(server, "", nil)
	_, unary := c.sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{Template: "\xff"})
	_, answered := c.processes.Shell(t.Context(), &sandgatev1.ShellRequest{Command: "\xff"})
	upload, err := c.files.Upload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	streamed := upload.Send(&sandgatev1.UploadRequest{Part: &sandgatev1.UploadRequest_Header{
		Header: &sandgatev1.UploadHeader{Path: "\xff"},
	}})
	for want, err := range map[string]error{"template": unary, "command": answered, "header.path": streamed} {
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want+" is not UTF-8") {
			t.Errorf("a bad %s gave %v", want, err)
		}
	}
	noSessions(t, server)
}

func TestDecodeSource(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"x = 'é'":                           "x = 'é'",
		"\uFEFFx = 1":                       "x = 1",
		"# -*- coding: latin-1 -*-\n'\xe9'": "# -*- coding: latin-1 -*-\n'é'",
		"#!/x\n# vim: set fileencoding=ISO-8859-1 :\n'\xe9'": "#!/x\n# vim: set fileencoding=ISO-8859-1 :\n'é'",
		"# coding: cp1252\nx = 1":                            "# coding: cp1252\nx = 1", // it makes no difference
	} {
		if got, err := decodeSource("f.py", raw); got != want || err != nil {
			t.Errorf("decodeSource(%q) = %q, %v", raw, got, err)
		}
	}
	for raw, want := range map[string]string{
		"x = '\xe9'":                          "f.py is not UTF-8 (byte 6)",
		"# coding: utf-8\n\xff":               "f.py is not UTF-8 (byte 17)",
		"x = 1\n# coding: latin-1\n'\xe9'":    "f.py is not UTF-8 (byte 26)", // too late: code came before
		"# coding: cp1252\n'\x80'":            `f.py says that its encoding is "cp1252"`,
		"\uFEFF# coding: latin-1\nx = '\xe9'": `f.py says that its encoding is "latin-1"`,
	} {
		if _, err := decodeSource("f.py", raw); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("decodeSource(%q): %v, want %q", raw, err, want)
		}
	}
}
