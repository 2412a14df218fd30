package fileserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sandgate/sandgate/fileserver/pdf"
	"github.com/sandgate/sandgate/fileserver/tools"
	"github.com/sandgate/sandgate/fileserver/wasm"
	"github.com/sandgate/sandgate/sandbox/guestrpc"
)

// restartAfter is how long a start of the readers that failed is not tried again.
const restartAfter = time.Minute

// readers are the programs that read documents, compiled.
type readers struct {
	host   *wasm.Host
	reader *wasm.Program
	pdf    *pdf.Reader
}

// openReaders compiles the programs, or finds them in a folder of their version in cacheDir, where those of other
// versions are removed. A cache that cannot be used is emptied; where that does not help either, there is none.
func openReaders(ctx context.Context, cacheDir string) (*readers, error) {
	if cacheDir == "" {
		return compileReaders(ctx, "")
	}
	version := tools.Version()
	own := filepath.Join(cacheDir, version)
	if entries, err := os.ReadDir(cacheDir); err == nil {
		for _, entry := range entries {
			if entry.Name() != version {
				_ = os.RemoveAll(filepath.Join(cacheDir, entry.Name())) // what stays takes room, and no harm is done
			}
		}
	}
	r, err := compileReaders(ctx, own)
	if err == nil {
		return r, nil
	}
	if removeErr := os.RemoveAll(own); removeErr == nil {
		if r, err = compileReaders(ctx, own); err == nil {
			return r, nil
		}
	}
	r, again := compileReaders(ctx, "")
	if again != nil {
		return nil, fmt.Errorf("start the readers of documents: %w", errors.Join(err, again))
	}
	return r, nil
}

func compileReaders(ctx context.Context, cacheDir string) (_ *readers, err error) {
	r := new(readers)
	if r.host, err = wasm.NewHost(cacheDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.host.Close())
		}
	}()
	program, err := tools.Reader()
	if err != nil {
		return nil, err
	}
	if r.reader, err = r.host.Compile(ctx, "reader", program); err != nil {
		return nil, err
	}
	library, err := tools.PDFium()
	if err != nil {
		return nil, err
	}
	if r.pdf, err = pdf.NewReader(ctx, r.host, library); err != nil {
		return nil, err
	}
	r.reader.Warm()
	return r, nil
}

// launch starts the readers when they are first needed. Its methods may be called by any number of
// goroutines.
type launch struct {
	cacheDir string

	mu     sync.Mutex
	under  *attempt // nil before the first
	closed bool
	work   sync.WaitGroup
}

// attempt is one start. What it found is set before done is closed.
type attempt struct {
	at      time.Time
	done    chan struct{}
	readers *readers
	err     error
}

// get returns the readers, and waits for their start. Errors: wasm.ErrClosed after close, the caller's who
// left, and what is wrong with the start, which is the gateway's fault.
func (l *launch) get(ctx context.Context) (*readers, error) {
	a, err := l.attempt(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.readers, a.err
	case <-ctx.Done():
		return nil, guestrpc.CallerLeft(ctx.Err())
	}
}

// attempt returns the start that is under way or over, and begins one where there is none that may do.
func (l *launch) attempt(ctx context.Context) (*attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, wasm.ErrClosed
	}
	if a := l.under; a != nil && !a.failed() {
		return a, nil
	}
	a := &attempt{at: time.Now(), done: make(chan struct{})}
	l.under = a
	l.work.Go(func() {
		defer close(a.done)
		a.readers, a.err = openReaders(context.WithoutCancel(ctx), l.cacheDir) // for those who call later, too
	})
	return a, nil
}

// failed tells whether the start failed long enough ago to be tried again.
func (a *attempt) failed() bool {
	select {
	case <-a.done:
		return a.err != nil && time.Since(a.at) > restartAfter
	default:
		return false
	}
}

// close ends what is being read, and frees the programs.
func (l *launch) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.work.Wait()
	if l.under == nil || l.under.readers == nil {
		return nil
	}
	return l.under.readers.host.Close()
}
