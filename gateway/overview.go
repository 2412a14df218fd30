package gateway

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// PoolFill is how full a pool is for one template.
type PoolFill struct {
	// Template is the template.
	Template string
	// Ready sandboxes wait for a session, and so many are Wanted.
	Ready, Wanted int
}

// overview says what goes on. What was counted before is nil for the first one of a stream.
func (s *Server) overview(ctx context.Context, now, before *tally, req *sandgatev1.WatchOverviewRequest) *sandgatev1.Overview {
	_, checks := s.ready.state(ctx)
	out := &sandgatev1.Overview{
		At: timestamppb.New(now.at), Version: s.opts.Version, StartedAt: timestamppb.New(s.started), Draining: s.admission.isDraining(),
		RpcsRunning: int32(s.admission.calls()), RpcsMax: int32(s.admission.most),
		Running: s.opts.Registry.running(), Rates: now.rates(before),
	}
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		out.Checks = append(out.Checks, &sandgatev1.ReadyCheck{Name: name, Passed: checks[name]})
	}
	if s.opts.Pool != nil {
		for _, fill := range s.opts.Pool() {
			out.Pool = append(out.Pool, &sandgatev1.PoolFill{Template: fill.Template, Ready: int32(fill.Ready), Wanted: int32(fill.Wanted)})
		}
	}
	tenants := map[string]*sandgatev1.TenantActivity{}
	if s.opts.Sessions != nil {
		out.Runtime = s.opts.Sessions.opts.Runtime
		out.MostActive, tenants = s.opts.Sessions.activity(cmp.Or(int(req.GetMaxSessions()), defaultShown))
		counts := s.opts.Sessions.Counts()
		out.Sessions = &sandgatev1.SessionTotals{
			Running: int32(counts.Running), Creating: int32(counts.Creating), Lost: int32(counts.Lost),
			Max: int32(s.opts.Sessions.opts.MaxSessions), Tenants: int32(len(tenants)),
		}
	}
	out.Tenants = busiest(now, before, tenants, cmp.Or(int(req.GetMaxTenants()), defaultShown))
	return out
}

// running counts the calls that run and work in sessions, by what they do.
func (r *Registry) running() []*sandgatev1.RunningCalls {
	var out []*sandgatev1.RunningCalls
	add := func(e *rpc) {
		if n := e.running.Load(); n > 0 {
			out = append(out, &sandgatev1.RunningCalls{Name: cmp.Or(e.tool, strings.TrimPrefix(e.procedure, "/sandgate.v1.")), Count: n})
		}
	}
	for _, e := range r.rpcs {
		add(e)
	}
	r.own.rpcs.Range(func(_, e any) bool {
		if served, ok := e.(*rpc); ok {
			add(served)
		}
		return true
	})
	slices.SortFunc(out, func(a, b *sandgatev1.RunningCalls) int {
		return cmp.Or(cmp.Compare(b.GetCount(), a.GetCount()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return out
}

// rates says what ended since another tally, nil where there is none.
func (t *tally) rates(before *tally) *sandgatev1.CallRates {
	if before == nil {
		return nil
	}
	window := t.at.Sub(before.at)
	out := &sandgatev1.CallRates{Window: durationpb.New(window)}
	out.CallsPerSecond, out.ErrorsPerSecond = t.all.since(before.all).perSecond(window)
	if half := t.quantile(before, 0.5); half > 0 {
		out.P50, out.P99 = durationpb.New(half), durationpb.New(t.quantile(before, 0.99))
	}
	return out
}

// busiest adds what calls were made to the tenants that have sessions, and returns the most active.
func busiest(now, before *tally, tenants map[string]*sandgatev1.TenantActivity, most int) []*sandgatev1.TenantActivity {
	if before != nil {
		window := now.at.Sub(before.at)
		for name, counted := range now.tenants {
			fresh := counted.since(before.tenants[name])
			if fresh.ended == 0 {
				continue
			}
			if tenants[name] == nil {
				tenants[name] = &sandgatev1.TenantActivity{Tenant: name}
			}
			tenants[name].CallsPerSecond, tenants[name].ErrorsPerSecond = fresh.perSecond(window)
		}
	}
	all := slices.SortedFunc(maps.Values(tenants), func(a, b *sandgatev1.TenantActivity) int {
		return cmp.Or(cmp.Compare(b.GetRunningCalls(), a.GetRunningCalls()), cmp.Compare(b.GetCallsPerSecond(), a.GetCallsPerSecond()),
			cmp.Compare(b.GetSessions(), a.GetSessions()), cmp.Compare(a.GetTenant(), b.GetTenant()))
	})
	return all[:min(most, len(all))]
}

// activity is a session with what changes while it is looked at.
type activity struct {
	*session

	active  int32
	renewed int64
}

// activity returns the most active sessions, and every tenant that has one.
func (s *Sessions) activity(most int) ([]*sandgatev1.SessionActivity, map[string]*sandgatev1.TenantActivity) {
	all, tenants := s.activities()
	slices.SortFunc(all, func(a, b activity) int {
		return cmp.Or(cmp.Compare(b.active, a.active), cmp.Compare(b.renewed, a.renewed), placeOf(a.session).compare(placeOf(b.session)))
	})
	var out []*sandgatev1.SessionActivity
	for _, a := range all[:min(most, len(all))] {
		out = append(out, s.describeActivity(a))
	}
	return out, tenants
}

func (s *Sessions) activities() ([]activity, map[string]*sandgatev1.TenantActivity) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]activity, 0, len(s.all))
	tenants := map[string]*sandgatev1.TenantActivity{}
	for _, sess := range s.all {
		if sess.ending {
			continue
		}
		a := activity{sess, sess.active.Load(), sess.renewed.Load()}
		all = append(all, a)
		if tenants[sess.tenant] == nil {
			tenants[sess.tenant] = &sandgatev1.TenantActivity{Tenant: sess.tenant}
		}
		tenants[sess.tenant].Sessions++
		tenants[sess.tenant].RunningCalls += a.active
	}
	return all, tenants
}

func (s *Sessions) describeActivity(a activity) *sandgatev1.SessionActivity {
	out := &sandgatev1.SessionActivity{
		ShownId: shown(a.id), Tenant: a.tenant, Template: a.spec.Template, State: sandgatev1.SessionState_SESSION_STATE_RUNNING,
		CreatedAt: timestamppb.New(a.created), Calls: a.calls.Load(), RunningCalls: a.active, MemoryLimitBytes: a.spec.Limits.MemoryBytes,
		UsedAt: timestamppb.New(s.base.Add(time.Duration(a.renewed))),
	}
	if a.lost.Load() != nil {
		out.State = sandgatev1.SessionState_SESSION_STATE_LOST
	}
	if a.active > 0 {
		out.UsedAt = timestamppb.Now()
	}
	return out
}
