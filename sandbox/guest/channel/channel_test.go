package channel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// duplex is one end of two operating-system pipes, as a container's attached stdio is: writes are
// buffered, and closing one end does not take back what was written.
type duplex struct {
	io.Reader
	io.Writer
	close func() error
}

func (d duplex) Close() error { return d.close() }

// stdio is a container's: the pipes live as long as the container, and an engine's pump hands its
// output to whoever is attached, or throws it away.
type stdio struct {
	inR, inW, outR, outW *os.File
	mu                   sync.Mutex
	attached             *io.PipeWriter
}

func newStdio(t *testing.T) *stdio {
	t.Helper()
	s := new(stdio)
	var err error
	if s.inR, s.inW, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	if s.outR, s.outW, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		s.pump()
	}()
	t.Cleanup(func() {
		for _, file := range []*os.File{s.inR, s.inW, s.outR, s.outW} {
			_ = file.Close()
		}
		s.attachTo(nil)
		<-pumped
	})
	return s
}

func (s *stdio) pump() {
	buf := make([]byte, 4096)
	for {
		n, err := s.outR.Read(buf)
		s.mu.Lock()
		to := s.attached
		s.mu.Unlock()
		if to != nil {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (s *stdio) attachTo(w *io.PipeWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attached != nil {
		_ = s.attached.Close()
	}
	s.attached = w
}

func (s *stdio) guest() duplex {
	return duplex{s.inR, s.outW, func() error { return errors.Join(s.inR.Close(), s.outW.Close()) }}
}

// attach returns a host's end, and takes the one before away without closing the pipes, as the
// death of a process does.
func (s *stdio) attach() duplex {
	r, w := io.Pipe()
	s.attachTo(w)
	return duplex{r, s.inW, func() error { s.attachTo(nil); return r.Close() }}
}

func serve(t *testing.T, s *stdio, handler http.Handler) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- Serve(context.Background(), s.guest(), handler, ServerOptions{}) }()
	t.Cleanup(func() {
		_ = s.inW.Close()
		if err := <-ended; !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
}

func roundTrip(client *Client, body string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, "http://guest/", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	return string(data), err
}

func TestCallsAreCarriedWhole(t *testing.T) {
	s := newStdio(t)
	serve(t, s, echo())
	host := s.attach()
	client, err := Dial(t.Context(), host, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for _, size := range []int{0, 1, 8<<10 - 1, 8<<10 + 1, maxPayload, 3*maxPayload + 7, 2 << 20} {
		want := strings.Repeat("x", size)
		got, err := roundTrip(client, want)
		if err != nil || got != want {
			t.Fatalf("%d bytes: got %d bytes, error %v", size, len(got), err)
		}
	}
}

// A gateway that dies leaves half a frame behind, and a call that nobody waits for. The next one
// gets a channel that works, and the old call's context ends.
func TestNewHolderTakesOverFromOneThatDiedInAWrite(t *testing.T) {
	s := newStdio(t)
	came, left := make(chan struct{}), make(chan struct{})
	serve(t, s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			close(came)
			<-r.Context().Done()
			close(left)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	host := s.attach()
	first, err := Dial(t.Context(), host, 10)
	if err != nil {
		t.Fatal(err)
	}
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		req, _ := http.NewRequest(http.MethodGet, "http://guest/hang", http.NoBody)
		res, err := first.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	<-came
	if got, err := roundTrip(first, "one"); got != "one" {
		t.Fatalf("first holder: %q, %v", got, err)
	}
	half := append(magic(), byte(kindData), 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 2, 3, 4, 'h', 'a', 'l', 'f')
	if _, err := s.inW.Write(half); err != nil {
		t.Fatal(err)
	}
	host = s.attach()
	second, err := Dial(t.Context(), host, 11)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	<-left
	if got, err := roundTrip(second, "two"); got != "two" {
		t.Fatalf("second holder: %q, %v", got, err)
	}
	_ = first.Close()
	<-hung
}

func TestOlderEpochIsNotAcknowledged(t *testing.T) {
	s := newStdio(t)
	serve(t, s, echo())
	host := s.attach()
	client, err := Dial(t.Context(), host, 10)
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	host = s.attach()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, host, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an older epoch got the channel: %v", err)
	}
}

// Two gateways may read the same output for a moment: the older one learns that it is out.
func TestOlderHolderLearnsThatItIsOut(t *testing.T) {
	s := newStdio(t)
	serve(t, s, echo())
	client, err := Dial(t.Context(), s.attach(), 10)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	other := newLink(duplex{nil, s.inW, nil})
	if err := other.write(kindSync, 11, make([]byte, nonceSize)); err != nil {
		t.Fatal(err)
	}
	<-client.Done()
	if !errors.Is(client.Err(), ErrSuperseded) {
		t.Errorf("the older holder ended with %v", client.Err())
	}
}

func TestOrphanedGuestEnds(t *testing.T) {
	host, guest := net.Pipe()
	defer func() { _ = host.Close() }()
	err := Serve(t.Context(), guest, echo(), ServerOptions{OrphanTimeout: 20 * time.Millisecond})
	if !errors.Is(err, ErrOrphaned) {
		t.Fatalf("Serve returned %v", err)
	}
}

func TestClientEndsWithItsStream(t *testing.T) {
	s := newStdio(t)
	serve(t, s, echo())
	host := s.attach()
	client, err := Dial(t.Context(), host, 1)
	if err != nil {
		t.Fatal(err)
	}
	_ = host.Close()
	<-client.Done()
	if client.Err() == nil {
		t.Error("no reason")
	}
	if _, err := roundTrip(client, "x"); err == nil {
		t.Error("a call on an ended channel succeeded")
	}
	_ = client.Close()
}

// memory is a stream that keeps what is written for its reader.
type memory struct{ *bytes.Buffer }

func (memory) Close() error { return nil }

// FuzzNext feeds garbage around a whole frame: reading never fails otherwise than by losing the
// framing or ending, and a frame that follows enough padding is always found.
func FuzzNext(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(append(magic(), 1, 0, 0, 0), uint8(3))
	f.Add(bytes.Repeat(magic(), 9), uint8(1))
	f.Fuzz(func(t *testing.T, junk []byte, cut uint8) {
		var wire bytes.Buffer
		sender := newLink(memory{&wire})
		wire.Write(sender.appendFrame(nil, kindData, 7, []byte("whole")))
		wire.Truncate(max(0, wire.Len()-int(cut)))
		wire.Write(junk)
		wire.Write(make([]byte, headerSize+maxPayload)) // what pad sends
		wire.Write(sender.appendFrame(nil, kindSync, 8, make([]byte, nonceSize)))
		reader := newLink(memory{&wire})
		for {
			got, err := reader.next()
			if err == nil && got.kind == kindSync && got.epoch == 8 {
				return
			}
			if err != nil && !errors.Is(err, errDesync) {
				t.Fatalf("the sync was not found: %v", err)
			}
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	host, guest := net.Pipe()
	go func() { _ = Serve(context.Background(), guest, echo(), ServerOptions{}) }()
	client, err := Dial(b.Context(), host, 1)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	body := fmt.Sprint(rand.Uint64())
	for b.Loop() {
		if _, err := roundTrip(client, body); err != nil {
			b.Fatal(err)
		}
	}
}
