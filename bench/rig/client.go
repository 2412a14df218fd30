package rig

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// A Client is what an agent has: a key, connections of its own, and the generated clients.
type Client struct {
	// Tenant is whose key it holds.
	Tenant string
	// Sessions, Python, Files, Processes, Tools and Calls are the services.
	Sessions  sandgatev1connect.SessionServiceClient
	Python    sandgatev1connect.PythonServiceClient
	Files     sandgatev1connect.FileServiceClient
	Processes sandgatev1connect.ProcessServiceClient
	Tools     sandgatev1connect.ToolServiceClient
	Calls     sandgatev1connect.CallServiceClient

	http *http.Client
}

// Client returns a client that shares nothing with others. Close it.
func (g *Gateway) Client(tenant, key string) *Client {
	c := newHTTP(key)
	return &Client{
		Tenant:    tenant,
		Sessions:  sandgatev1connect.NewSessionServiceClient(c, g.URL),
		Python:    sandgatev1connect.NewPythonServiceClient(c, g.URL),
		Files:     sandgatev1connect.NewFileServiceClient(c, g.URL),
		Processes: sandgatev1connect.NewProcessServiceClient(c, g.URL),
		Tools:     sandgatev1connect.NewToolServiceClient(c, g.URL),
		Calls:     sandgatev1connect.NewCallServiceClient(c, g.URL),
		http:      c,
	}
}

// Close drops the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// newHTTP returns a client that speaks HTTP/2 without TLS and shows a key.
func newHTTP(key string) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: bearer{&http.Transport{Protocols: protocols}, "Bearer " + key}}
}

// bearer shows a key with each request.
type bearer struct {
	*http.Transport
	value string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", b.value)
	return b.Transport.RoundTrip(r)
}

// NewKey makes a key of a tenant with the command line, with failpoints armed where points is not
// empty. The error of a command that did not end well holds what it said.
func (g *Gateway) NewKey(points, tenant string) (string, error) {
	out, err := run(g.command(points, "key", "create", "--tenant", tenant))
	return strings.TrimSpace(out), err
}

// Keys is the list of keys, as the command line shows it.
func (g *Gateway) Keys() (string, error) { return run(g.command("", "key", "list")) }

func run(cmd *exec.Cmd) (string, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[1:3], " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Small are the limits of a session of which several fit on a small machine.
func Small() *sandgatev1.Limits {
	return &sandgatev1.Limits{MemoryBytes: 256 << 20, WorkspaceBytes: 64 << 20}
}

// Running returns the sessions of the client's tenant, by whether they are lost.
func (c *Client) Running(ctx context.Context) (running, lost []*sandgatev1.Session, err error) {
	token := ""
	for {
		reply, err := c.Sessions.ListSessions(ctx, &sandgatev1.ListSessionsRequest{PageToken: token, PageSize: 1000})
		if err != nil {
			return nil, nil, fmt.Errorf("list the sessions: %w", err)
		}
		for _, session := range reply.GetSessions() {
			if session.GetState() == sandgatev1.SessionState_SESSION_STATE_LOST {
				lost = append(lost, session)
			} else {
				running = append(running, session)
			}
		}
		if token = reply.GetNextPageToken(); token == "" {
			return running, lost, nil
		}
	}
}

// Arguments are those of a tool, from pairs of a name and a text.
func Arguments(pairs ...string) *structpb.Struct {
	fields := map[string]*structpb.Value{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
	}
	return &structpb.Struct{Fields: fields}
}
