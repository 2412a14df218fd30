package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeWriter is the reply side of a connection whose request body is a pipe.
type pipeWriter struct {
	*httptest.ResponseRecorder

	body   *io.PipeWriter
	writes []time.Time // the deadlines for writing that were set
}

func (p *pipeWriter) SetReadDeadline(time.Time) error {
	return p.body.CloseWithError(os.ErrDeadlineExceeded)
}

func (p *pipeWriter) SetWriteDeadline(at time.Time) error {
	p.writes = append(p.writes, at)
	return nil
}

func TestSlowBodies(t *testing.T) {
	for name, test := range map[string]struct {
		streams bool
		every   time.Duration // a byte comes
		within  bool          // the reader waits for it inside the bounds
	}{
		"steady":          {false, time.Second, true},
		"stalled":         {false, bodyIdle + time.Second, false},
		"trickle":         {false, bodyIdle - time.Second, false}, // in time each, too long together
		"stalled stream":  {true, bodyIdle + time.Second, false},
		"trickled stream": {true, bodyIdle - time.Second, true}, // an upload may take its time
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reader, writer := io.Pipe()
				b := newBody(&pipeWriter{ResponseRecorder: httptest.NewRecorder(), body: writer}, httptest.NewRequest(http.MethodPost, "/", reader), test.streams)
				var sender sync.WaitGroup
				defer sender.Wait()
				sender.Go(func() {
					for range 10 {
						pass(test.every)
						if _, err := writer.Write([]byte("x")); err != nil {
							return
						}
					}
					_ = writer.Close()
				})
				got, err := io.ReadAll(b)
				if test.within && (err != nil || len(got) != 10 || b.count != 10) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if !test.within && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				b.stop()
				_ = b.Close()
			})
		})
	}
}

func TestTimeOfASlowHandlerIsNotTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		b := newBody(&pipeWriter{ResponseRecorder: httptest.NewRecorder(), body: writer}, httptest.NewRequest(http.MethodPost, "/", reader), false)
		go func() {
			for range 10 {
				_, _ = writer.Write([]byte("x"))
			}
			_ = writer.Close()
		}()
		one := make([]byte, 1)
		for range 10 {
			pass(time.Hour)
			if _, err := b.Read(one); err != nil {
				t.Fatal(err)
			}
		}
		b.stop()
	})
}

func TestDeadlineIsNotTouchedAfterTheRequest(t *testing.T) {
	reader, writer := io.Pipe()
	b := newBody(&pipeWriter{ResponseRecorder: httptest.NewRecorder(), body: writer}, httptest.NewRequest(http.MethodPost, "/", reader), false)
	b.stop()
	b.expire() // as a timer would that had fired already
	go func() { _, _ = writer.Write([]byte("x")) }()
	if n, err := reader.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the connection of the next request was cut: %v", err)
	}
}

func TestReplyDeadlines(t *testing.T) {
	for proto, want := range map[int]int{1: 4, 2: 0} {
		w := &pipeWriter{ResponseRecorder: httptest.NewRecorder()}
		reply := newReplyWriter(w, &http.Request{ProtoMajor: proto}, &call{})
		reply.WriteHeader(http.StatusAccepted)
		for range 2 {
			if _, err := reply.Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
		reply.Flush()
		if len(w.writes) != want {
			t.Errorf("HTTP/%d: %d deadlines, want %d", proto, len(w.writes), want)
		}
		if reply.count != 6 || reply.status != http.StatusAccepted || !w.Flushed {
			t.Errorf("HTTP/%d: %d bytes, status %d, flushed %v", proto, reply.count, reply.status, w.Flushed)
		}
	}
}

func TestLastMessageIsNotFlushedAlone(t *testing.T) {
	w := httptest.NewRecorder()
	c := &call{}
	reply := newReplyWriter(w, &http.Request{ProtoMajor: 2}, c)
	c.noteLast()
	reply.Flush()
	if w.Flushed {
		t.Error("it was")
	}
}
