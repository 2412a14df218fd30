package gateway

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// UsageHistory tells what tenants used. *quota.Ledger is one.
type UsageHistory interface {
	// History returns what a tenant used by the hour since a time, oldest first.
	History(ctx context.Context, tenant string, since time.Time) ([]store.Usage, error)
}

// RegisterUsage adds UsageService to a registry.
func RegisterUsage(r *Registry, history UsageHistory) {
	u := &usages{registry: r, history: history}
	Unary(r, sandgatev1connect.UsageServiceGetUsageProcedure, u.get)
}

type usages struct {
	registry *Registry
	history  UsageHistory
}

func (u *usages) get(ctx context.Context, req *sandgatev1.GetUsageRequest) (*sandgatev1.GetUsageResponse, error) {
	paying := callFrom(ctx).payer()
	account := paying.account
	limits := account.Limits()
	running, waiting := u.registry.gate.turns.Count(account.Name())
	reset := time.Now().Add(account.Reset())
	out := &sandgatev1.GetUsageResponse{Tenant: account.Name(), ResetsAt: timestamppb.New(reset.Round(time.Second)), Weight: max(1, limits.Weight)}
	for _, level := range []quota.Level{quota.Sessions, quota.Memory, quota.Stored} {
		out.Quotas = append(out.Quotas, &sandgatev1.Quota{Name: level.String(), Used: account.Level(level), Limit: account.LevelLimit(level)})
	}
	out.Quotas = append(out.Quotas,
		&sandgatev1.Quota{Name: "running_calls", Used: running, Limit: limits.Calls},
		&sandgatev1.Quota{Name: "waiting_calls", Used: waiting, Limit: limits.QueueLimit()})
	out.Quotas = append(out.Quotas, spentOf(account, true)...)
	for _, token := range paying.tokens {
		out.Tokens = append(out.Tokens, &sandgatev1.TokenUsage{Id: token.TokenID(), Quotas: spentOf(token, false)})
	}
	if req.GetPastHours() > 0 {
		began := reset.Add(-quota.Window)
		hours, err := u.history.History(ctx, account.Name(), began.Add(-time.Duration(req.GetPastHours())*time.Hour))
		if err != nil {
			return nil, err
		}
		out.Past = hoursOf(slices.DeleteFunc(hours, func(h store.Usage) bool { return !h.Window.Before(began.Truncate(time.Second)) }))
	}
	return out, nil
}

// spentOf returns what was used up.
func spentOf(account *quota.Account, hourly bool) []*sandgatev1.Quota {
	var all []*sandgatev1.Quota
	used := account.Used()
	for _, resource := range quota.Resources() {
		all = append(all, &sandgatev1.Quota{Name: resource.String(), Used: used.In(resource), Limit: account.ResourceLimit(resource), Hourly: hourly})
	}
	return all
}

func hoursOf(hours []store.Usage) []*sandgatev1.UsageHour {
	var all []*sandgatev1.UsageHour
	for _, hour := range hours {
		used := quota.Amounts(hour.Amounts)
		all = append(all, &sandgatev1.UsageHour{
			BeganAt: timestamppb.New(hour.Window), Calls: used[quota.Calls], Cpu: durationpb.New(time.Duration(used[quota.CPU]) * time.Millisecond),
			MemoryGibSeconds: quota.GiBSeconds(used[quota.MemoryTime]), OutputBytes: used[quota.Output], EgressBytes: used[quota.Egress],
		})
	}
	return all
}
