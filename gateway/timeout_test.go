package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func TestTimeoutOf(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        time.Duration
		ok          bool
	}{
		{"Connect-Timeout-Ms", "", 0, false},
		{"Connect-Timeout-Ms", "0", 0, true},
		{"Connect-Timeout-Ms", "1", time.Millisecond, true},
		{"Connect-Timeout-Ms", "9999999999", 9_999_999_999 * time.Millisecond, true},
		{"Connect-Timeout-Ms", "10000000000", 0, false},
		{"Connect-Timeout-Ms", "-1", 0, false},
		{"Connect-Timeout-Ms", "1e3", 0, false},
		{"Connect-Timeout-Ms", "1 ", 0, false},
		{"Grpc-Timeout", "n", 0, false},
		{"Grpc-Timeout", "1", 0, false},
		{"Grpc-Timeout", "1n", 1, true},
		{"Grpc-Timeout", "0S", 0, true},
		{"Grpc-Timeout", "50000000n", 50 * time.Millisecond, true},
		{"Grpc-Timeout", "99999999u", 99_999_999 * time.Microsecond, true},
		{"Grpc-Timeout", "99999999S", 99_999_999 * time.Second, true},
		{"Grpc-Timeout", "99999999M", 99_999_999 * time.Minute, true},
		{"Grpc-Timeout", "87600H", 87_600 * time.Hour, true},
		{"Grpc-Timeout", "99999999H", 0, false}, // for ever
		{"Grpc-Timeout", "100000000n", 0, false},
		{"Grpc-Timeout", "-1S", 0, false},
		{"Grpc-Timeout", "1s", 0, false},
	} {
		got, ok := timeoutOf(http.Header{c.name: {c.value}})
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s %q: %s, %v", c.name, c.value, got, ok)
		}
	}
}

// FuzzTimeoutOf: no timeout is negative, and none that the protocols cannot say is obeyed.
func FuzzTimeoutOf(f *testing.F) {
	f.Add("10", "1S")
	f.Add("", "99999999H")
	f.Fuzz(func(t *testing.T, connectText, grpcText string) {
		if got, ok := timeoutOf(http.Header{"Connect-Timeout-Ms": {connectText}, "Grpc-Timeout": {grpcText}}); ok && got < 0 {
			t.Errorf("%q %q: %s", connectText, grpcText, got)
		}
	})
}

// TestTimeoutsOnTheWire: what is malformed is refused, what is over is over, and what is long lasts.
func TestTimeoutsOnTheWire(t *testing.T) {
	g := newRig(t, nil)
	message := `{"sessionId":"` + g.session(t) + `","code":"1"}`
	const late, wrong, well = connect.CodeDeadlineExceeded, connect.CodeInvalidArgument, connect.Code(0)
	for kind, timeouts := range map[string]map[string]connect.Code{
		"application/connect+json Connect-Timeout-Ms": {
			"0": late, "-1": wrong, "x": wrong, "1.5": wrong, "99999999999": wrong, "315360000": well, "9999999999": well, "1,2": wrong,
		},
		"application/grpc+json Grpc-Timeout": {"0n": late, "1n": late, "-1S": wrong, "5": wrong, "S": wrong, "1x": wrong, "100000000S": wrong, "87600H": well, "99999999H": well},
	} {
		kind, header, _ := strings.Cut(kind, " ")
		for value, want := range timeouts {
			got := g.post(t, sandgatev1connect.PythonServiceRunProcedure, kind, envelope(0, []byte(message)), header, value)
			if got.code != want {
				t.Errorf("%s: %s: %v", header, value, got)
			}
		}
	}
	g.serves(t)
}
