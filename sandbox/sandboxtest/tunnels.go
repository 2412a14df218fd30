package sandboxtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
	"github.com/sandgate/sandgate/proto/sandgate/guest/v1/guestv1connect"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// tunnels dials a server inside, and serves a program inside.
func (s *subject) tunnels() {
	ctx := s.Context()
	client := guestv1connect.NewGuestServiceClient(s.http, sandbox.GuestURL, connect.WithAcceptCompression("gzip", nil, nil))
	next := s.start(ctx, &sandgatev1.StartRequest{Command: "python3", Args: []string{
		"-u", "-c",
		"import http.server; s=http.server.HTTPServer(('127.0.0.1',0), http.server.SimpleHTTPRequestHandler); print(s.server_port); s.serve_forever()",
	}})
	var port uint32
	id, _, _, _ := s.follow(next, func(out []byte) bool {
		_, err := fmt.Sscan(string(out), &port)
		return err == nil && bytes.HasSuffix(out, []byte("\n"))
	})
	s.write("served.txt", "from inside")
	dial, err := client.Dial(ctx)
	s.must(err)
	s.must(dial.Send(&guestv1.DialRequest{Port: port}))
	_, err = dial.Receive()
	s.must(err)
	s.must(dial.Send(&guestv1.DialRequest{Data: []byte("GET /served.txt HTTP/1.0\r\n\r\n")}))
	var answer []byte
	for {
		res, err := dial.Receive()
		answer = append(answer, res.GetData()...)
		if errors.Is(err, io.EOF) {
			break
		}
		s.must(err)
	}
	_ = dial.CloseRequest()
	if !bytes.HasSuffix(answer, []byte("from inside")) {
		s.Errorf("%q", answer)
	}
	_, err = s.process.SendSignal(ctx, &sandgatev1.SendSignalRequest{ProcessId: id, Signal: sandgatev1.Signal_SIGNAL_KILL})
	s.must(err)
	s.reverseTunnel(client)
	s.sh("rm served.txt")
}

func (s *subject) reverseTunnel(client guestv1connect.GuestServiceClient) {
	// Below the ports that the system gives out: the fake's are this machine's, and other tests use those.
	listen, err := client.Listen(s.Context(), &guestv1.ListenRequest{Port: 23128})
	s.must(err)
	defer func() { _ = listen.Close() }()
	if !listen.Receive() {
		s.Fatal(listen.Err())
	}
	served := make(chan error, 1)
	go func() {
		if !listen.Receive() {
			served <- listen.Err()
			return
		}
		accept, err := client.Accept(s.Context())
		if err != nil {
			served <- err
			return
		}
		err = accept.Send(&guestv1.AcceptRequest{ConnectionId: listen.Msg().GetConnectionId()})
		if err == nil {
			_, err = accept.Receive()
		}
		if err == nil {
			err = accept.Send(&guestv1.AcceptRequest{Data: []byte("HTTP/1.0 200 OK\r\n\r\nfrom outside")})
		}
		_ = accept.CloseRequest()
		for err == nil { // until the caller inside has read all and closed
			if _, endErr := accept.Receive(); endErr != nil {
				break
			}
		}
		served <- errors.Join(err, accept.CloseResponse())
	}()
	run := s.sh("curl -s -m 10 http://127.0.0.1:23128/ || python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:23128/\", timeout=9).read().decode(), end=\"\")'")
	select {
	case err := <-served:
		s.must(err)
	case <-time.After(15 * time.Second):
		s.Fatal("nobody called")
	}
	if run.stdout != "from outside" {
		s.Errorf("%+v", run)
	}
}
