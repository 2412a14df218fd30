package sandboxtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFake runs the suite over the fake, so that what is tested on the fake holds for real drivers.
func TestFake(t *testing.T) {
	sandboxtest.Suite{Driver: &sandboxtest.Fake{}, Spec: sandbox.Spec{Template: "python", Runtime: "runc"}}.Run(t)
}
