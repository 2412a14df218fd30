package gateway

import (
	"cmp"
	"context"
	"time"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// What an overview has where nobody says otherwise.
const (
	defaultWatchEvery = 2 * time.Second
	defaultShown      = 50 // sessions, and tenants
)

// RegisterOperator adds OperatorService to a registry. It shows the server that is made from it.
func RegisterOperator(r *Registry) {
	r.operator = &operator{ending: make(chan struct{})}
	Stream(r, sandgatev1connect.OperatorServiceWatchOverviewProcedure, r.operator.watch)
}

// operator serves OperatorService.
type operator struct {
	server *Server       // set by NewServer
	ending chan struct{} // closed when the server begins to end
}

// shows has the operator show a server, whose end does not wait for those who watch.
func (o *operator) shows(s *Server) {
	if o == nil {
		return
	}
	o.server = s
	s.OnDrain(func() { close(o.ending) })
}

func (o *operator) watch(ctx context.Context, req *sandgatev1.WatchOverviewRequest, send func(*sandgatev1.WatchOverviewResponse) error) error {
	ticker := time.NewTicker(cmp.Or(req.GetInterval().AsDuration(), defaultWatchEvery))
	defer ticker.Stop()
	var before *tally
	for {
		now := o.server.opts.Registry.traffic.read()
		overview := o.server.overview(ctx, now, before, req)
		if err := send(&sandgatev1.WatchOverviewResponse{Overview: overview}); err != nil || overview.GetDraining() {
			return err
		}
		before = now
		select {
		case <-ticker.C:
		case <-o.ending:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
