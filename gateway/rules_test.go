package gateway

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// TestNothingWithANulReachesAProgram gives every text that the system takes as one of C's: a NUL byte
// would end it, or keep the program from starting.
func TestNothingWithANulReachesAProgram(t *testing.T) {
	const bad = "a\x00b"
	env, names := map[string]string{"A": bad}, map[string]string{bad: "c"}
	for field, request := range map[string]proto.Message{
		"run env":        &sandgatev1.RunRequest{Code: "1", Env: env},
		"run env names":  &sandgatev1.RunRequest{Code: "1", Env: names},
		"context cwd":    &sandgatev1.CreateContextRequest{Cwd: bad},
		"shell command":  &sandgatev1.ShellRequest{Command: bad},
		"shell cwd":      &sandgatev1.ShellRequest{Command: "a", Cwd: bad},
		"shell env":      &sandgatev1.ShellRequest{Command: "a", Env: env},
		"start command":  &sandgatev1.StartRequest{Command: bad},
		"start args":     &sandgatev1.StartRequest{Command: "a", Args: []string{"b", bad}},
		"start cwd":      &sandgatev1.StartRequest{Command: "a", Cwd: bad},
		"start env":      &sandgatev1.StartRequest{Command: "a", Env: env},
		"start env name": &sandgatev1.StartRequest{Command: "a", Env: map[string]string{"A=B": "c"}},
	} {
		name := strings.Fields(field)[1]
		if err := validationError(protovalidate.Validate(request)); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\x00") {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := protovalidate.Validate(&sandgatev1.ShellRequest{Command: "a\nb\t", Cwd: "c d", Env: map[string]string{"A": "b=\nc"}}); err != nil {
		t.Error(err)
	}
}
