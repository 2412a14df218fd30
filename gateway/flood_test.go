package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/quota"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// named lets everybody in as the tenant that they say they are.
type named struct{}

func (named) Authenticate(r *http.Request) (*identity.Principal, error) {
	return &identity.Principal{Tenant: r.Header.Get("Tenant"), ID: "key"}, nil
}

func (named) Onward(r *http.Request, _ *identity.Principal) (string, error) {
	return r.Header.Get("Authorization"), nil
}

func (named) Open() bool { return true }

// TestFloodOfOneTenant has a tenant send as many calls as it can, none of which it finishes sending.
func TestFloodOfOneTenant(t *testing.T) {
	tenants := func(o *Options) {
		o.Authenticator, o.Shared, o.MaxCalls = named{}, func() bool { return true }, 20
	}
	overPipes(t, tenants, func(g *piped) {
		t := g.t
		r := g.http2(t, false)
		for i := range uint32(100) {
			if err := r.open(2*i+1, false, "tenant", "hog"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := g.server.admission.calls(); n != 10 {
			t.Errorf("it has %d of 20 calls", n)
		}
		g.serves(t)
		_ = r.Close()
		synctest.Wait()
		if a := g.server.admission; a.unsettled() != 0 || len(a.own) != 0 {
			t.Errorf("%d calls are left, %v", a.unsettled(), a.own)
		}
	})
}

// TestFloodOfHealthChecks has somebody without a key send more of them than the gateway serves calls.
func TestFloodOfHealthChecks(t *testing.T) {
	overPipes(t, func(o *Options) { o.MaxCalls = 2 }, func(g *piped) {
		t := g.t
		for range 2 {
			r := g.http2(t, false)
			for i := range uint32(200) {
				block := r.fields("/grpc.health.v1.Health/Check")
				if err := r.WriteHeaders(headersOf(2*i+1, block)); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		g.serves(t)
		if calls, all := g.server.admission.calls(), g.server.admission.unsettled(); calls != 0 || all != maxProbes {
			t.Errorf("%d calls and %d checks are there", calls, all)
		}
		<-time.After(bodyTotal)
		synctest.Wait()
		if n := g.server.admission.unsettled(); n != 0 {
			t.Errorf("%d checks are left", n)
		}
	})
}

// TestQueueFlood has a tenant fill its queue of code that never ends. Another one's code runs at once.
func TestQueueFlood(t *testing.T) {
	tenants := func(o *Options) {
		o.Authenticator, o.Shared, o.Places.Run = named{}, func() bool { return true }, 4
	}
	overPipes(t, tenants, func(g *piped) {
		t := g.t
		ctx, leave := context.WithCancel(t.Context())
		call := func(ctx context.Context, tenant, code string) error {
			ctx, info := connect.NewClientContext(ctx)
			info.RequestHeader().Set("Tenant", tenant)
			session, err := sandgatev1connect.NewSessionServiceClient(g.client, g.url).CreateSession(ctx, &sandgatev1.CreateSessionRequest{})
			if err != nil {
				return err
			}
			ctx, info = connect.NewClientContext(ctx)
			info.RequestHeader().Set("Tenant", tenant)
			_, err = g.tools().CallTool(ctx, &sandgatev1.CallToolRequest{
				SessionId: session.GetSession().GetId(), Name: "python_run", Arguments: arguments(t, fmt.Sprintf(`{"code":%q}`, code)),
			})
			return err
		}
		ended := make(chan error, 10)
		for range 10 {
			go func() { ended <- call(ctx, "hog", "wait") }()
		}
		synctest.Wait()
		if running, waiting := g.server.gate.turns.Counts(quota.Run); running != 2 || waiting != 8 {
			t.Errorf("%d run and %d wait", running, waiting)
		}
		start := time.Now()
		if err := call(t.Context(), "quiet", "1+1"); err != nil || time.Since(start) > 0 {
			t.Errorf("the other one's: %v after %s", err, time.Since(start))
		}
		leave()
		for range 10 {
			if err := <-ended; connect.CodeOf(err) != connect.CodeCanceled {
				t.Error(err)
			}
		}
		synctest.Wait()
		if running, waiting := g.server.gate.turns.Counts(quota.Run); running != 0 || waiting != 0 {
			t.Errorf("afterwards %d run and %d wait", running, waiting)
		}
	})
}

// TestImpatientCallsDoNotWait: a call that would wait beyond its deadline ends at it, as what it is,
// whichever way and in whichever unit its client says so.
func TestImpatientCallsDoNotWait(t *testing.T) {
	overPipes(t, func(o *Options) { o.Places.Run = 1 }, func(g *piped) {
		t := g.t
		id := g.session(t)
		python := sandgatev1connect.NewPythonServiceClient(g.client, g.url)
		ctx, leave := context.WithCancel(t.Context())
		running, err := python.Run(ctx, &sandgatev1.RunRequest{SessionId: id, Code: "flood"})
		if err != nil {
			t.Fatal(err)
		}
		<-g.runs
		for _, header := range [][2]string{
			{"Connect-Timeout-Ms", "50"}, {"Connect-Timeout-Ms", "0"}, {"Grpc-Timeout", "50m"}, {"Grpc-Timeout", "50000000n"}, {"Grpc-Timeout", "9000000u"}, {"Grpc-Timeout", "1n"},
		} {
			kind := "application/connect+json"
			if header[0] == "Grpc-Timeout" {
				kind = "application/grpc+json"
			}
			start := time.Now()
			res := g.post(t, sandgatev1connect.PythonServiceRunProcedure, kind, envelope(0, []byte(`{"sessionId":"`+id+`","code":"1"}`)), header[0], header[1])
			if res.code != connect.CodeDeadlineExceeded || time.Since(start) > 10*time.Second {
				t.Errorf("%s: %v after %s", header, res, time.Since(start))
			}
		}
		leave()
		_ = running.Close()
	})
}

// wireReply is how a request ended, in whichever protocol it was.
type wireReply struct {
	status int
	code   connect.Code // zero: it went well
	body   string
}

// post sends a body with headers, as they are.
func (g *rig) post(t *testing.T, path, kind string, body []byte, headers ...string) wireReply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+path, readerOf(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return wireReply{res.StatusCode, codeOf(res, string(text)), string(text)}
}
