package docker

import (
	"cmp"
	"os"
	"testing"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// TestSuite runs the behaviour suite of package sandboxtest over real containers, under each runtime.
func TestSuite(t *testing.T) {
	testEngine(t)
	image := cmp.Or(os.Getenv("SANDGATE_TEST_IMAGE"), "sandgate/sandbox:latest")
	for _, runtime := range []string{"runc", "runsc"} {
		t.Run(runtime, func(t *testing.T) {
			driver := newTestDriver(t, func(o *Options) { o.Image = image })
			sandboxtest.Suite{
				Driver: driver,
				Spec: sandbox.Spec{
					Template: "python",
					Runtime:  runtime,
					Limits:   sandbox.Limits{WorkspaceBytes: 64 * sandbox.MiB},
				},
				Python:   true,
				Isolated: true,
			}.Run(t)
		})
	}
}
