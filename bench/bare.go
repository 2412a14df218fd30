package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bare is the floor's program in a container of the sandbox image: the same runtime, no network, no
// capability, the processor and memory bounds that a session has by default.
type bare struct {
	engine *engine
	id     string
	conn   *attached
	client *http.Client
}

// startBare starts a bare guest and waits until its Python answers.
func (e *engine) startBare(ctx context.Context, runtime string) (_ *bare, err error) {
	b, err := e.startFloor(ctx, runtime)
	if err != nil {
		return nil, err
	}
	b.client = newClientOver(b.conn)
	if err := b.eval(ctx); err != nil {
		return nil, errors.Join(err, b.Close(ctx))
	}
	return b, nil
}

// startFloor starts the floor's program with arguments.
func (e *engine) startFloor(ctx context.Context, runtime string, args ...string) (_ *bare, err error) {
	id, err := e.docker(ctx, append([]string{
		"create", "-i", "--runtime", runtime, "--network", "none",
		"--label", ownerLabel + "=" + e.owner, "--log-driver", "none", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--cpus", "1", "--memory", "1g", "--pids-limit", "1024",
		"--entrypoint", "/floor", e.image,
	}, args...)...)
	if err != nil {
		return nil, err
	}
	b := &bare{engine: e, id: id}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close(ctx))
		}
	}()
	if _, err := e.docker(ctx, "cp", e.floor, id+":/floor"); err != nil {
		return nil, err
	}
	if b.conn, err = attach(ctx, e.socket, id); err != nil {
		return nil, err
	}
	_, err = e.docker(ctx, "start", id)
	return b, err
}

// timedStream is how long it takes to send so many bytes into a container ("sink"), or to get them out of
// one ("source"), over its attached streams and with nothing in between.
func (e *engine) timedStream(ctx context.Context, runtime, way string, size int64) (_ time.Duration, err error) {
	b, err := e.startFloor(ctx, runtime, way, strconv.FormatInt(size, 10))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.Close(ctx)) }()
	stop := context.AfterFunc(ctx, func() { _ = b.conn.Close() })
	defer stop()
	one := make([]byte, 1)
	if _, err := io.ReadFull(b.conn, one); err != nil { // it has begun
		return 0, err
	}
	start := time.Now()
	if way == "source" {
		_, err = io.CopyBuffer(io.Discard, struct{ io.Reader }{io.LimitReader(b.conn, size)}, make([]byte, floorPiece))
		return time.Since(start), err
	}
	piece := make([]byte, floorPiece)
	for sent := int64(0); sent < size; sent += floorPiece {
		if _, err := b.conn.Write(piece); err != nil {
			return 0, err
		}
	}
	_, err = io.ReadFull(b.conn, one) // it has all
	return time.Since(start), err
}

// floorPiece is how much a bare stream carries at once.
const floorPiece = 64 << 10

// newClientOver returns a client that speaks HTTP/2 over one connection, and never makes another.
func newClientOver(conn net.Conn) *http.Client {
	conns := make(chan net.Conn, 1)
	conns <- conn
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		Protocols: protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case conn := <-conns:
				return conn, nil
			default:
				return nil, errors.New("the connection has ended")
			}
		},
	}}
}

// startBares starts n bare guests. On failure none is left.
func (e *engine) startBares(ctx context.Context, runtime string, n int) ([]*bare, error) {
	var mu sync.Mutex
	var started []*bare
	err := together(ctx, n, atOnce, func(ctx context.Context, _ int) error {
		b, err := e.startBare(ctx, runtime)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		started = append(started, b)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, closeBares(ctx, started))
	}
	return started, nil
}

// closeBares ends bare guests, whichever of them fail to.
func closeBares(ctx context.Context, guests []*bare) error {
	errs := make([]error, len(guests)+1)
	errs[len(guests)] = together(context.WithoutCancel(ctx), len(guests), atOnce, func(ctx context.Context, i int) error {
		errs[i] = guests[i].Close(ctx)
		return nil
	})
	return errors.Join(errs...)
}

// eval asks the guest's Python for 1+1.
func (b *bare) eval(ctx context.Context) error {
	answer, err := b.post(ctx, "/eval", []byte("1+1"))
	if err == nil && string(answer) != "2\n" {
		err = fmt.Errorf("a bare guest answered %.100q", answer)
	}
	return err
}

// echo sends a body through the guest and back.
func (b *bare) echo(ctx context.Context, body []byte) error {
	answer, err := b.post(ctx, "/echo", body)
	if err == nil && !bytes.Equal(answer, body) {
		err = errors.New("a bare guest echoed something else")
	}
	return err
}

func (b *bare) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://floor"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := b.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask a bare guest: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("a bare guest answered %s: %.200s", response.Status, strings.TrimSpace(string(answer)))
	}
	return answer, err
}

// Close ends and removes the container.
func (b *bare) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	_, err := b.engine.docker(ctx, "rm", "-f", b.id)
	if b.conn != nil {
		err = errors.Join(err, ignoreClosed(b.conn.Close()))
	}
	return err
}
