package deferred

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/sandgate/sandgate/fileserver/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/loopback"
)

// moveGrace is how long calls that run may hold up a move, so that nobody keeps a session from running by reading
// slowly.
const moveGrace = 2 * time.Second

// errMoving ends the calls that do. They can be made again a moment later.
var errMoving = fmt.Errorf("the files move into the session's sandbox: %w", sandbox.ErrUnavailable)

// errMoved says that the files are in the real sandbox now.
var errMoved = errors.New("the files have moved into the sandbox")

// local is the files of a box while they are in the store.
type local struct {
	handler http.Handler // of all boxes

	mu     sync.Mutex
	files  *store.Workspace // guarded by mu
	calls  int              // that read or change files now; guarded by mu
	idle   chan struct{}    // closed when there are none; nil: nobody waits for that. Guarded by mu
	moving chan struct{}    // closed when the move is over; nil: the files stay. Guarded by mu
	moved  bool             // guarded by mu

	calling context.Context         //nolint:containedctx // that of the calls, which ends when they are in the way; guarded by mu
	expel   context.CancelCauseFunc // ends it; guarded by mu
}

// expelled returns a context that ends when the calls that run now are in the way of a move.
func (l *local) expelled() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calling == nil {
		l.calling, l.expel = context.WithCancelCause(context.Background())
	}
	return l.calling
}

// enter counts a call, after the end of a move that goes on. It returns errMoved when the files are gone.
func (l *local) enter(ctx context.Context) error {
	for {
		l.mu.Lock()
		moving := l.moving
		if moving == nil {
			defer l.mu.Unlock()
			if l.moved {
				return errMoved
			}
			l.calls++
			return nil
		}
		l.mu.Unlock()
		select {
		case <-moving:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *local) exit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls--; l.calls == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// stop lets no call begin and waits for those that run, and ends them after a while. Exactly one of resume and
// leave must follow, but for an error.
func (l *local) stop(ctx context.Context) error {
	l.mu.Lock()
	l.moving = make(chan struct{})
	if l.calls == 0 {
		l.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	l.idle = idle
	l.mu.Unlock()
	grace := time.NewTimer(moveGrace)
	defer grace.Stop()
	for {
		select {
		case <-idle:
			return nil
		case <-grace.C:
			l.expelAll()
		case <-ctx.Done():
			l.resume()
			return context.Cause(ctx)
		}
	}
}

// expelAll ends the calls that run.
func (l *local) expelAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expel != nil {
		l.expel(errMoving)
		l.calling, l.expel = nil, nil
	}
}

// resume lets calls begin again: the files stay.
func (l *local) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.moving)
	l.moving, l.idle = nil, nil
}

// leave has calls go elsewhere: the files have moved.
func (l *local) leave() {
	l.mu.Lock()
	l.moved = true
	l.mu.Unlock()
	l.resume()
}

// back has calls come here again: the files have come back.
func (l *local) back(files *store.Workspace) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files, l.moved = files, false
}

func (l *local) workspace() *store.Workspace {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files
}

// roundTrip answers a request about the files, or returns errMoved and leaves its body alone. A watch is not
// waited for: it ends when the files move, which its caller is told.
func (l *local) roundTrip(req *http.Request) (*http.Response, error) {
	if err := l.enter(req.Context()); err != nil {
		return nil, err
	}
	over := l.exit
	if req.URL.Path == sandgatev1connect.FileServiceWatchProcedure {
		l.exit()
		over = func() {}
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(l.expelled(), func() { cancel(errMoving) })
	return l.answer(req.WithContext(ctx), func() {
		stop()
		over()
	})
}

// answer has the store answer a request. over is called when it has done all it does.
func (l *local) answer(req *http.Request, over func()) (*http.Response, error) {
	files := l.workspace()
	client := loopback.Client{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer over()
		l.handler.ServeHTTP(w, r.WithContext(withFiles(r.Context(), files)))
	})}
	return client.Do(req)
}

// export gives send the files as a tar archive, piece by piece. It is for whoever has stopped the calls.
func (l *local) export(ctx context.Context, send func([]byte) error) error {
	client := sandgatev1connect.NewFileServiceClient(direct{l}, "http://store")
	stream, err := client.Export(ctx, &sandgatev1.ExportRequest{})
	if err != nil {
		return err
	}
	for err == nil && stream.Receive() {
		err = send(stream.Msg().GetData())
	}
	return errors.Join(err, stream.Err(), stream.Close())
}

// direct sends requests to the files whether or not calls are stopped.
type direct struct{ *local }

func (d direct) Do(req *http.Request) (*http.Response, error) {
	return d.answer(req, func() {})
}
