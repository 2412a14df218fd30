package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
)

const (
	maxConnections = 256 // of programs inside, waiting or carried
	acceptLimit    = 10 * time.Second
)

// tunnelService carries connections of the sandbox's loopback.
type tunnelService struct {
	mu      sync.Mutex
	waiting map[string]net.Conn // announced and not yet fetched; guarded by mu
	open    int                 // all that Listen announced and that are not closed; guarded by mu
}

func newTunnelService() *tunnelService { return &tunnelService{waiting: map[string]net.Conn{}} }

// guestService is the tunnel service with Check.
type guestService struct {
	*tunnelService
	guest *Guest
}

func (t *tunnelService) with(g *Guest) guestService { return guestService{t, g} }

// Check answers when the guest is well.
func (s guestService) Check(ctx context.Context, _ *guestv1.CheckRequest) (*guestv1.CheckResponse, error) {
	return s.guest.check(ctx)
}

func loopback(port uint32) (string, error) {
	if port == 0 || port > 65535 {
		return "", fail(connect.CodeInvalidArgument, "BAD_PORT", "give a port from 1 to 65535", "port %d", port)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))), nil
}

// Dial connects to a port inside.
func (t *tunnelService) Dial(ctx context.Context, stream *connect.BidiStream[guestv1.DialRequest, guestv1.DialResponse]) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	address, err := loopback(first.GetPort())
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fail(connect.CodeUnavailable, "NO_LISTENER", "start a server on that port inside the sandbox", "connect to %s: %v", address, errnoText(err))
	}
	if err := stream.Send(&guestv1.DialResponse{}); err != nil {
		return errors.Join(err, conn.Close())
	}
	return carry(ctx, conn,
		func() ([]byte, error) {
			req, err := stream.Receive()
			return req.GetData(), err
		},
		func(p []byte) error { return stream.Send(&guestv1.DialResponse{Data: p}) })
}

// Listen announces connections to a port inside.
func (t *tunnelService) Listen(ctx context.Context, req *guestv1.ListenRequest, stream *connect.ServerStream[guestv1.ListenResponse]) error {
	address, err := loopback(req.GetPort())
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return fail(connect.CodeAlreadyExists, "PORT_IN_USE", "choose another port", "listen on %s: %v", address, errnoText(err))
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	defer func() { _ = listener.Close() }()
	if err := stream.Send(&guestv1.ListenResponse{}); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		id, ok := t.announce(conn)
		if !ok {
			_ = conn.Close()
			continue
		}
		if err := stream.Send(&guestv1.ListenResponse{ConnectionId: id}); err != nil {
			t.expire(id)
			return err
		}
	}
}

// announce keeps a connection for whoever will accept it.
func (t *tunnelService) announce(conn net.Conn) (id string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open >= maxConnections {
		return "", false
	}
	t.open++
	id = rand.Text()
	t.waiting[id] = conn
	time.AfterFunc(acceptLimit, func() { t.expire(id) })
	return id, true
}

// take returns a connection, once.
func (t *tunnelService) take(id string) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	conn := t.waiting[id]
	delete(t.waiting, id)
	return conn
}

// expire closes a connection that nobody fetched.
func (t *tunnelService) expire(id string) {
	if conn := t.take(id); conn != nil {
		_ = conn.Close()
		t.closed()
	}
}

func (t *tunnelService) closed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
}

// Accept carries an announced connection.
func (t *tunnelService) Accept(ctx context.Context, stream *connect.BidiStream[guestv1.AcceptRequest, guestv1.AcceptResponse]) error {
	first, err := stream.Receive()
	if err != nil {
		return err
	}
	conn := t.take(first.GetConnectionId())
	if conn == nil {
		return fail(connect.CodeNotFound, "CONNECTION_GONE", "accept it sooner", "no such connection")
	}
	defer t.closed()
	return carry(ctx, conn,
		func() ([]byte, error) {
			req, err := stream.Receive()
			return req.GetData(), err
		},
		func(p []byte) error { return stream.Send(&guestv1.AcceptResponse{Data: p}) })
}

// carry moves bytes both ways until the program inside has ended its side, and the caller its own or
// ten seconds have passed. Then it closes the connection.
func carry(ctx context.Context, conn net.Conn, receive func() ([]byte, error), send func([]byte) error) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			data, err := receive()
			if err != nil {
				if half, ok := conn.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
					_ = half.CloseWrite()
					return
				}
				_ = conn.Close()
				return
			}
			if _, err := conn.Write(data); err != nil {
				_ = conn.Close()
				return
			}
		}
	}()
	buf := make([]byte, chunkSize)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if sendErr := send(buf[:n]); sendErr != nil {
				return sendErr
			}
		}
		if errors.Is(err, io.EOF) {
			select {
			case <-sent:
			case <-ctx.Done():
			case <-time.After(acceptLimit):
			}
			return nil
		}
		if err != nil {
			return errors.Join(ctx.Err(), fail(connect.CodeAborted, "CONNECTION_LOST", "connect again", "%v", errnoText(err)))
		}
	}
}

// close closes what nobody fetched.
func (t *tunnelService) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, conn := range t.waiting {
		_ = conn.Close()
		delete(t.waiting, id)
	}
}
