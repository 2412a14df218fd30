package store

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSuite runs what a guest's files have to pass. The shell of a real guest makes the files that the cases are
// about in the very directory of the workspace, so that also what no caller can bring there is tried.
func TestSuite(t *testing.T) {
	except := []string{
		"files/remove deep",   // nothing in a workspace lies deeper than maxDepth
		"files/a locked home", // nothing changes the mode of its home
	}
	if os.Getuid() == 0 {
		// Root's guest cannot end the program that is raced with, whose user is not another. TestStorm races.
		except = append(except, "files/remove against a racer")
	}
	sandboxtest.Suite{Driver: withShell{t}, Spec: sandbox.Spec{Template: "python"}}.RunFiles(t, except...)
}

// withShell makes workspaces with the shell of a guest beside them.
type withShell struct{ t *testing.T }

func (d withShell) Create(_ context.Context, _ sandbox.Spec) (sandbox.Sandbox, error) {
	dir, err := filepath.EvalSymlinks(d.t.TempDir())
	if err != nil {
		return nil, err
	}
	home := filepath.Join(dir, treeName)
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	w, err := Open(dir, Limits{})
	if err != nil {
		return nil, err
	}
	w.home = home // as the shell knows it
	g, err := guest.New(guest.Config{
		Home: home, Template: "python", Version: "store", Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "LANG=C.UTF-8"},
	})
	if err != nil {
		return nil, err
	}
	d.t.Cleanup(func() {
		if err := errors.Join(g.Close(), w.Close()); err != nil {
			d.t.Error(err)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/", g.Handler())
	mux.Handle(sandgatev1connect.NewFileServiceHandler(w, connect.WithCompression("gzip", nil, nil)))
	return sandboxtest.Serve(d.t, mux), nil
}
