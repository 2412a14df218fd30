package docker

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/docker/docker/client"
)

// connect makes a client that speaks the newest API version which both sides know. It does no I/O.
func connect(host string) (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		options = append(options, client.WithHost(host))
	}
	engine, err := client.NewClientWithOpts(append(options, cuttable)...)
	if err != nil {
		return nil, fmt.Errorf("docker client: %w", err)
	}
	return engine, nil
}

// cuttable is an option that lets an attachment in the making be cut, over unix sockets and plain TCP.
// The client itself stops heeding its context once it has dialled. Other transports stay as they are.
func cuttable(engine *client.Client) error {
	url, err := client.ParseHostURL(engine.DaemonHost())
	if err != nil {
		return err
	}
	var dialer net.Dialer
	dial := dialer.DialContext
	switch url.Scheme {
	case "unix":
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", url.Host)
		}
	case "tcp", "http":
	default:
		return nil
	}
	return client.WithDialContext(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if cutter, asked := ctx.Value(cutterKey{}).(*cutter); asked && err == nil {
			cutter.watch(conn)
		}
		return conn, err
	})(engine)
}

type cutterKey struct{}

// cutter closes a connection that is dialled with its context.
type cutter struct {
	mu   sync.Mutex
	cut  bool     // guarded by mu
	conn net.Conn // guarded by mu
}

func (c *cutter) watch(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if c.cut {
		_ = conn.Close()
	}
}

func (c *cutter) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	if c.conn != nil {
		_ = c.conn.Close()
	}
}
