package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// openAudit opens a real log in a folder of the test's.
func openAudit(tb testing.TB) (log *audit.Log, dir string) {
	tb.Helper()
	dir = filepath.Join(tb.TempDir(), "audit")
	log, err := audit.Open(tb.Context(), audit.Options{Dir: dir, Logger: quiet()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = log.Close(context.Background()) })
	return log, dir
}

// audited closes a log, verifies it and returns its records without the first.
func audited(t *testing.T, log *audit.Log, dir string) []audit.Record {
	t.Helper()
	if err := log.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := audit.Verify(t.Context(), dir, nil); err != nil {
		t.Error(err)
	}
	var records []audit.Record
	if err := audit.Tail(t.Context(), dir, 10_000, false, func(line []byte) error {
		record, err := audit.ParseRecord(line)
		records = append(records, record)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return records[1:]
}

// doorkeeper lets in whoever names one of its principals.
type doorkeeper map[string]*identity.Principal

func (doorkeeper) Open() bool { return false }

func (p doorkeeper) Authenticate(r *http.Request) (*identity.Principal, error) {
	if found := p[r.Header.Get("Authorization")]; found != nil {
		return found, nil
	}
	return nil, identity.ErrNone
}

func (doorkeeper) Onward(r *http.Request, _ *identity.Principal) (string, error) {
	return r.Header.Get("Authorization"), nil
}

// TestCallsAreAudited makes calls of each kind, and looks for each of them, and for what must not be
// there, in the folder of the log.
func TestCallsAreAudited(t *testing.T) {
	log, dir := openAudit(t)
	g := newRig(t, func(o *Options) { o.Audit = log })
	id := g.session(t)
	const secret = "SECRET-of-the-caller"
	if _, err := g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{
		SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"`+secret+`"}`),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.tools().CallTool(t.Context(), &sandgatev1.CallToolRequest{
		SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"fails"}`),
	}); err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"session_id":"` + id + `","path":"` + secret + `"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+sandgatev1connect.FileServiceReadProcedure, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(RequestIDHeader, "my-request")
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	stream, err := sandgatev1connect.NewPythonServiceClient(g.client, g.url).Run(t.Context(), &sandgatev1.RunRequest{SessionId: id, Code: "fails"})
	if err != nil {
		t.Fatal(err)
	}
	for stream.Receive() {
	}
	_ = stream.Close()
	if _, err := g.tools().ListTools(t.Context(), &sandgatev1.ListToolsRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err = sandgatev1connect.NewFileServiceClient(g.client, g.url).Read(t.Context(), &sandgatev1.ReadRequest{SessionId: "ses_" + secret, Path: "f"})
	wantError(t, err, connect.CodeNotFound, ReasonSessionNotFound)

	records := audited(t, log, dir)
	if len(records) != 5 {
		t.Fatalf("%+v", records)
	}
	first, failed, read, typed, lost := records[0], records[1], records[2], records[3], records[4]
	if first.Kind != audit.Call || first.Procedure != sandgatev1connect.ToolServiceCallToolProcedure || first.Tool != "python_run" ||
		first.Tenant != identity.DefaultTenant || first.Session != shown(id) || first.Code != "ok" || first.Status != "STATUS_OK" ||
		first.Bytes == 0 || len(first.SHA256) != 64 {
		t.Errorf("%+v", first)
	}
	if failed.Status != "STATUS_ERROR" || failed.Code != "ok" || failed.SHA256 == first.SHA256 {
		t.Errorf("%+v", failed)
	}
	if typed.Tool != "python_run" || typed.Status != "STATUS_ERROR" {
		t.Errorf("%+v", typed)
	}
	sum := sha256.Sum256(body)
	if read.Tool != "file_read" || read.Request != "my-request" || read.SHA256 != hex.EncodeToString(sum[:]) || read.Bytes != int64(len(body)) {
		t.Errorf("%+v", read)
	}
	if lost.Code != "not_found" || lost.Reason != ReasonSessionNotFound {
		t.Errorf("%+v", lost)
	}
	if found := grep(t, dir, secret, id); len(found) > 0 {
		t.Errorf("%q in the log", found)
	}
}

// grep returns those texts that are anywhere in a folder.
func grep(t *testing.T, dir string, texts ...string) []string {
	t.Helper()
	var found []string
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		raw, readErr := os.ReadFile(filepath.Join(dir, entry.Name()))
		err = errors.Join(err, readErr)
		for _, text := range texts {
			if bytes.Contains(raw, []byte(text)) {
				found = append(found, text)
			}
		}
	}
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	return found
}

func TestSessionsAreAudited(t *testing.T) {
	log, dir := openAudit(t)
	h := newHouse(t, func(o *SessionOptions) { o.Audit = log })
	ctx := as(t.Context(), &identity.Principal{Tenant: "acme", ID: "k1"})
	made := make([]string, 3)
	for i := range made {
		res, err := h.createSession(ctx, &sandgatev1.CreateSessionRequest{})
		if err != nil {
			t.Fatal(err)
		}
		made[i] = res.GetSession().GetId()
	}
	h.engine.last().die(errBoom)
	wait(t, "it is lost", func() bool { return h.Counts().Lost == 1 })
	if _, err := h.deleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: made[0]}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range audited(t, log, dir) {
		if r.Tenant != "acme" || r.Key != "k1" && r.Kind == audit.SessionCreate {
			t.Errorf("%+v", r)
		}
		got = append(got, string(r.Kind)+" "+r.Reason+" "+r.Session)
	}
	want := []string{
		"session.create  " + shown(made[0]), "session.create  " + shown(made[1]), "session.create  " + shown(made[2]),
		"session.lost died " + shown(made[2]), "session.end deleted " + shown(made[0]),
		"session.end stopped " + shown(made[1]), "session.end stopped " + shown(made[2]),
	}
	slices.Sort(got[5:])
	slices.Sort(want[5:])
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestRefusalsAreAudited(t *testing.T) {
	log, dir := openAudit(t)
	g := newRig(t, func(o *Options) {
		o.Audit, o.Authenticator = log, doorkeeper{"Bearer reader": {Tenant: "acme", ID: "k2", Scopes: []string{"files"}}}
		o.AllowedHosts = []string{"gate"}
	})
	ctx, info := connect.NewClientContext(t.Context())
	info.RequestHeader().Set("Authorization", "Bearer reader")
	for range 20 {
		_, err := g.tools().ListTools(t.Context(), &sandgatev1.ListToolsRequest{})
		wantError(t, err, connect.CodeUnauthenticated, ReasonUnauthenticated)
		if _, err := g.server.Admit(&http.Request{RemoteAddr: "192.0.2.1:77", Header: http.Header{}, URL: &url.URL{Path: "/mcp"}}); err == nil {
			t.Error("let in")
		}
		_, err = sandgatev1connect.NewSessionServiceClient(g.client, g.url).CreateSession(ctx, &sandgatev1.CreateSessionRequest{})
		wantError(t, err, connect.CodePermissionDenied, ReasonScopeMissing)
		g.fetch(t, http.MethodGet, "/livez", http.Header{"Origin": {"https://evil.example"}})
	}
	counts := map[string]int64{}
	records := audited(t, log, dir)
	for _, r := range records {
		if r.Kind != audit.Refused {
			t.Errorf("%+v", r)
		}
		counts[r.Reason+" "+r.Tenant+" "+r.Key] += max(1, r.Count)
	}
	want := map[string]int64{"UNAUTHENTICATED  ": 40, "SCOPE_MISSING acme k2": 20, "ORIGIN_REFUSED  ": 20}
	for class, n := range want {
		if counts[class] != n {
			t.Errorf("%v", counts)
		}
	}
	if len(counts) != len(want) || len(records) != 2*len(want) {
		t.Errorf("%d records, %v", len(records), counts)
	}
	if first := records[0]; first.From != "127.0.0.1" || first.Procedure != sandgatev1connect.ToolServiceListToolsProcedure {
		t.Errorf("%+v", first)
	}
}

// brokenAudit is a log that cannot be written while it is set.
type brokenAudit struct {
	*audit.Log

	broken atomic.Bool
}

func (b *brokenAudit) Err() error {
	if b.broken.Load() {
		return audit.ErrUnavailable
	}
	return b.Log.Err()
}

func TestNothingIsDoneUnaudited(t *testing.T) {
	working, _ := openAudit(t)
	log := &brokenAudit{Log: working}
	g := newRig(t, func(o *Options) { o.Audit = log })
	id := g.session(t)
	log.broken.Store(true)
	sessions := sandgatev1connect.NewSessionServiceClient(g.client, g.url)
	for name, options := range wires() {
		t.Run(name, func(t *testing.T) {
			_, err := g.tools(options...).CallTool(t.Context(), &sandgatev1.CallToolRequest{SessionId: id, Name: "python_run", Arguments: arguments(t, `{"code":"1"}`)})
			wantError(t, err, connect.CodeUnavailable, ReasonAuditUnavailable)
		})
	}
	_, err := sessions.CreateSession(t.Context(), &sandgatev1.CreateSessionRequest{})
	wantError(t, err, connect.CodeUnavailable, ReasonAuditUnavailable)
	if strings.Contains(err.Error(), audit.ErrUnavailable.Error()) {
		t.Errorf("%v tells the caller of the host", err)
	}
	if _, err := sessions.GetSession(t.Context(), &sandgatev1.GetSessionRequest{SessionId: id}); err != nil {
		t.Error("what changes nothing: ", err)
	}
	if len(g.sessions.engine.boxes) != 1 {
		t.Error("a session was made")
	}
	log.broken.Store(false)
	if _, err := sessions.DeleteSession(t.Context(), &sandgatev1.DeleteSessionRequest{SessionId: id}); err != nil {
		t.Error(err)
	}
}

// TestRunsAreAudited leaves a call that has a call_id, and joins it.
func TestRunsAreAudited(t *testing.T) {
	log, dir := openAudit(t)
	o := openOnceRig(t, filepath.Join(t.TempDir(), "calls.db"), func(opts *Options) { opts.Audit = log })
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := o.tools().CallTool(ctx, o.request("step-1", "wait"))
		left <- err
	}()
	<-o.runs
	leave()
	if err := <-left; err == nil {
		t.Error("the caller stayed")
	}
	if _, err := o.calls().CancelCall(t.Context(), &sandgatev1.CancelCallRequest{Id: "step-1"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := o.tools().CallTool(t.Context(), o.request("step-2", "1")); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, "the calls end", func() bool { return o.journal.Running() == 0 && o.server.admission.calls() == 0 })
	got := map[string]int{}
	for _, r := range audited(t, log, dir) {
		got[string(r.Kind)+" "+r.CallID+" "+r.Code]++
	}
	want := map[string]int{
		"call.run step-1 canceled": 1, "call step-1 canceled": 1, "call  ok": 1,
		"call.run step-2 ok": 1, "call step-2 ok": 2,
	}
	for line, n := range want {
		if got[line] != n {
			t.Errorf("%v", got)
		}
	}
}

// mint makes tokens of nothing.
type mint struct{}

func (mint) NewToken(*identity.Principal, identity.Narrow) (string, *identity.Principal, error) {
	return "sgt_SECRET", &identity.Principal{Tenant: "acme", ID: "t1"}, nil
}

func TestTokensAreAudited(t *testing.T) {
	log, dir := openAudit(t)
	s := &identities{minter: mint{}}
	ctx := withCall(t.Context(), &call{principal: &identity.Principal{Tenant: "acme", ID: "k1"}, audit: log, ended: true})
	res, err := s.createToken(ctx, &sandgatev1.CreateTokenRequest{})
	if err != nil || res.GetToken() == "" {
		t.Fatal(res, err)
	}
	records := audited(t, log, dir)
	if len(records) != 1 || records[0].Kind != audit.TokenCreate || records[0].Key != "t1" || records[0].Detail != "made by k1" {
		t.Errorf("%+v", records)
	}
	if found := grep(t, dir, "SECRET"); len(found) > 0 {
		t.Error("the token is in the log")
	}
	// A closed log takes nothing more, so no token leaves.
	_, err = s.createToken(ctx, &sandgatev1.CreateTokenRequest{})
	wantError(t, err, connect.CodeUnavailable, ReasonAuditUnavailable)
}

// BenchmarkAuditing is what a call pays for being written down: the check, the hash of a request of 200
// bytes, and the event.
func BenchmarkAuditing(b *testing.B) {
	log, _ := openAudit(b)
	g := newRig(b, func(o *Options) { o.Audit = log })
	request := make([]byte, 200)
	target := g.server.routes[sandgatev1connect.ToolServiceCallToolProcedure]
	c := &call{
		id: "A765HHB5MIUISFZGRUWAAH5RGR", procedure: target.procedure, audit: log, principal: identity.Anyone(),
		session: newSessionID(), tool: "python_run", status: sandgatev1.Status_STATUS_OK,
	}
	b.ReportAllocs()
	for b.Loop() {
		if g.server.auditable(target) != nil {
			continue // the disk is behind; a call would be refused
		}
		read := &body{digest: sha256.New()}
		_, _ = read.digest.Write(request)
		g.server.auditCall(c, summary{code: "ok", in: 200, hash: read.sum()})
	}
}
