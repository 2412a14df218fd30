// Command floor is the least that a guest can be: HTTP/2 on its own stdin and stdout, and one bare
// Python process that is asked over a pipe. Run in a container like a sandbox's, it shows what the
// machine, the engine and the runtime cost before Sandgate has done anything.
//
// With the arguments sink or source and a number it only takes or gives so many bytes.
//
// It answers POST /eval with the repr of the expression in the body, and POST /echo with the body.
// It ends when its stdin does.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// maxBody bounds what one request may carry.
const maxBody = 64 << 10

// workerCode evaluates one line after another.
const workerCode = `
import sys
into, out = sys.stdin.buffer, sys.stdout.buffer
for line in into:
    out.write(repr(eval(line)).encode() + b"\n")
    out.flush()
`

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// run serves until stdin ends.
func run() error {
	if len(os.Args) == 3 {
		return stream(os.Args[1], os.Args[2])
	}
	w, err := startWorker()
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /eval", w.serve)
	routes.HandleFunc("POST /echo", echo)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: routes, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	if err := server.Serve(newOnlyConn()); !errors.Is(err, io.EOF) {
		return errors.Join(err, w.close())
	}
	return w.close()
}

// stream takes so many bytes from stdin, or gives them to stdout, after a byte that says that it has begun.
// Behind the last one that it takes it writes another.
func stream(way, size string) error {
	left, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
		return err
	}
	for piece := make([]byte, maxBody); left > 0 && err == nil; {
		n := 0
		if way == "source" {
			n, err = os.Stdout.Write(piece[:min(left, maxBody)])
		} else {
			n, err = os.Stdin.Read(piece[:min(left, maxBody)])
		}
		left -= int64(n)
	}
	if err == nil && way == "sink" {
		_, err = os.Stdout.Write([]byte{'.'})
	}
	return err
}

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = w.Write(body) // a caller that left needs no answer
}

// worker is the Python process.
type worker struct {
	process *exec.Cmd
	in      io.WriteCloser
	mu      sync.Mutex // held for one question and its answer
	out     *bufio.Reader
}

func startWorker() (*worker, error) {
	process := exec.Command("/usr/bin/python3", "-I", "-c", workerCode) //nolint:noctx // ends with its stdin
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("start Python: %w", err)
	}
	return &worker{process: process, in: in, out: bufio.NewReader(out)}, nil
}

// serve hands the body to Python and answers with what comes back.
func (k *worker) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := k.ask(append(body, '\n'))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer) // a caller that left needs no answer
}

func (k *worker) ask(line []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.in.Write(line); err != nil {
		return nil, fmt.Errorf("ask Python: %w", err)
	}
	answer, err := k.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("read Python's answer: %w", err)
	}
	return answer, nil
}

func (k *worker) close() error {
	return errors.Join(k.in.Close(), k.process.Wait())
}

// onlyConn is a listener to which one caller comes, over stdin and stdout.
type onlyConn struct {
	callers chan net.Conn
	gone    chan struct{} // closed when that caller has left
}

func newOnlyConn() *onlyConn {
	l := &onlyConn{callers: make(chan net.Conn, 1), gone: make(chan struct{})}
	l.callers <- &stdio{leave: sync.OnceFunc(func() { close(l.gone) })}
	return l
}

// Accept returns the caller, and io.EOF once it has left.
func (l *onlyConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.callers:
		return conn, nil
	case <-l.gone:
		return nil, io.EOF
	}
}

// Close does nothing: the caller stays.
func (l *onlyConn) Close() error { return nil }

// Addr is that of either end.
func (l *onlyConn) Addr() net.Addr { return address{} }

// stdio is stdin and stdout as the connection that HTTP/2 runs on.
type stdio struct{ leave func() }

func (*stdio) Read(p []byte) (int, error)  { return os.Stdin.Read(p) }
func (*stdio) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

// Close ends the connection. The streams stay open, as the process is about to end.
func (s *stdio) Close() error {
	s.leave()
	return nil
}

func (*stdio) LocalAddr() net.Addr              { return address{} }
func (*stdio) RemoteAddr() net.Addr             { return address{} }
func (*stdio) SetDeadline(time.Time) error      { return nil }
func (*stdio) SetReadDeadline(time.Time) error  { return nil }
func (*stdio) SetWriteDeadline(time.Time) error { return nil }

// address is that of either end.
type address struct{}

func (address) Network() string { return "stdio" }
func (address) String() string  { return "stdio" }
