package guest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/types/known/durationpb"

	guestv1 "github.com/sandgate/sandgate/proto/sandgate/guest/v1"
	"github.com/sandgate/sandgate/proto/sandgate/guest/v1/guestv1connect"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
	"github.com/sandgate/sandgate/sandbox/piece"
)

// Guest is the daemon of one sandbox. Whoever made it closes it.
type Guest struct {
	cfg     Config
	user    user
	home    home
	started time.Time
	reaper  *reaper
	markers markers
	memory  *memoryWatch
	maxDead int          // ended children that a kernel may have
	calls   atomic.Int64 // numbers the files of long outputs
	// inline is what may still be returned beyond the default, in bytes.
	inline *semaphore.Weighted

	python    *pythonService
	spares    *spares
	processes *processService
	files     *fileService
	tunnels   *tunnelService
	shelf     *shelf

	leftovers  atomic.Int32 // commands whose background processes are still read
	background sync.WaitGroup
	ctx        context.Context //nolint:containedctx // ends with the guest, bounds what outlives a call
	cancel     context.CancelFunc

	zygoteMu sync.Mutex
	zygote   *zygote // guarded by zygoteMu
}

// New starts a guest. Its kernels warm up in the background; Check waits for them.
func New(cfg Config) (*Guest, error) {
	home, err := openHome(cfg.Home)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Guest{
		cfg:     cfg,
		user:    user{cfg.UID, make(chan struct{}, maxThreads)},
		home:    home,
		started: time.Now(),
		reaper:  newReaper(cfg.Init),
		inline:  semaphore.NewWeighted(inlineBudget),
		ctx:     ctx,
		cancel:  cancel,
	}
	g.memory, g.maxDead = newMemoryWatch(cfg, g.user), maxDead()
	g.python, g.spares = newPythonService(g), &spares{guest: g}
	g.processes = newProcessService(g)
	g.files = newFileService(g)
	g.tunnels = newTunnelService()
	g.shelf = newShelf(ctx, &g.background)
	if len(cfg.Kernel) > 0 {
		g.background.Go(func() { _ = g.python.warm(g.ctx) })
	}
	return g, nil
}

// Handler returns the guest's services. They trust their caller, which is the gateway.
func (g *Guest) Handler() http.Handler {
	mux := http.NewServeMux()
	options := []connect.HandlerOption{
		connect.WithReadMaxBytes(8 << 20),
		connect.WithCompression("gzip", nil, nil),
		connect.WithCodec(piece.Codec{}),
	}
	mux.Handle(guestv1connect.NewGuestServiceHandler(g.tunnels.with(g), options...))
	mux.Handle(sandgatev1connect.NewProcessServiceHandler(g.processes, options...))
	mux.Handle(sandgatev1connect.NewFileServiceHandler(g.files, options...))
	if len(g.cfg.Kernel) > 0 {
		mux.Handle(sandgatev1connect.NewPythonServiceHandler(g.python, options...))
	}
	return g.shelf.around(holdFinal(mux))
}

// check answers when kernels can be used.
func (g *Guest) check(ctx context.Context) (*guestv1.CheckResponse, error) {
	if len(g.cfg.Kernel) > 0 {
		if err := g.python.warm(ctx); err != nil {
			return nil, err
		}
	}
	return &guestv1.CheckResponse{
		Version:  g.cfg.Version,
		Uptime:   durationpb.New(time.Since(g.started)),
		Template: g.cfg.Template,
	}, nil
}

// livingZygote returns the zygote, once it has imported its template, starting another if it died.
func (g *Guest) livingZygote(ctx context.Context) (*zygote, error) {
	z, err := g.someZygote()
	if err != nil {
		return nil, err
	}
	select {
	case <-z.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-z.dead:
		return nil, fmt.Errorf("%w while it started", errZygoteDied)
	default:
		return z, nil
	}
}

// someZygote returns a zygote that is not known to be dead.
func (g *Guest) someZygote() (*zygote, error) {
	g.zygoteMu.Lock()
	defer g.zygoteMu.Unlock()
	if len(g.cfg.Kernel) == 0 {
		return nil, errors.New("this sandbox has no Python")
	}
	if g.ctx.Err() != nil {
		return nil, g.ctx.Err()
	}
	if g.zygote != nil {
		select {
		case <-g.zygote.dead:
			g.zygote.close()
			g.zygote = nil
		default:
			return g.zygote, nil
		}
	}
	z, err := startZygote(g)
	if err == nil {
		g.zygote = z
	}
	return z, err
}

// Close kills everything that was started for the user, and returns when it is gone.
func (g *Guest) Close() error {
	g.cancel()
	g.python.close()
	g.spares.close()
	g.processes.close()
	g.tunnels.close()
	g.zygoteMu.Lock()
	if g.zygote != nil {
		g.zygote.close()
		g.zygote = nil
	}
	g.zygoteMu.Unlock()
	g.memory.close()
	g.background.Wait()
	g.reaper.close()
	g.home.close()
	return nil
}
