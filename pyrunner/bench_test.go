package pyrunner_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/pyrunner"
	"github.com/sandgate/sandgate/sandbox"
)

// answerOne is a guest that answers every cell with a value and a result at once.
func answerOne(_ context.Context, _ *sandgatev1.RunRequest, send func(*sandgatev1.RunResponse) error) error {
	return errors.Join(
		send(display(&sandgatev1.Display{IsResult: true, Text: "2"})),
		send(result(&sandgatev1.RunResult{Status: sandgatev1.Status_STATUS_OK, ExecutionCount: 1})),
	)
}

// BenchmarkRun is one cell through this package, over pipes in memory.
func BenchmarkRun(b *testing.B) {
	p := pyrunner.NewPython(boxWith(b, &guest{run: answerOne}))
	req := &sandgatev1.RunRequest{SessionId: "s", Code: "1+1"}
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Run(b.Context(), req, func(*sandgatev1.RunResponse) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFloor is the same cell with the generated client alone, which is what BenchmarkRun
// should be compared with.
func BenchmarkFloor(b *testing.B) {
	box := boxWith(b, &guest{run: answerOne})
	client := sandgatev1connect.NewPythonServiceClient(&http.Client{Transport: box.Transport()}, sandbox.GuestURL)
	req := &sandgatev1.RunRequest{Code: "1+1"}
	b.ReportAllocs()
	for b.Loop() {
		stream, err := client.Run(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		for stream.Receive() {
		}
		if err := errors.Join(stream.Err(), stream.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
