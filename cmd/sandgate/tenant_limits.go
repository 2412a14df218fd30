package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/gateway/quota"
	"github.com/sandgate/sandgate/gateway/store"
)

// limitFlags binds a flag to every limit.
func limitFlags(flags *pflag.FlagSet, l *quota.Limits) {
	for _, f := range []struct {
		name, doc string
		value     *int64
	}{
		{"weight", "share where calls wait for one another, 1 to 100 (0: 1)", &l.Weight},
		{"sessions", "running sessions", &l.Sessions},
		{"calls", "calls served at once", &l.Calls},
		{"queue", "calls that wait to be served (0: 64)", &l.Queue},
		{"cpu-seconds", "processor time in an hour", &l.CPUSeconds},
		{"memory-gib-seconds", "memory over time in an hour: 2 GiB for an hour are 7200", &l.MemorySeconds},
	} {
		flags.Int64Var(f.value, f.name, *f.value, f.doc)
	}
	for _, f := range []struct {
		name, doc string
		value     *int64
	}{
		{"memory-bytes", "memory limits of running sessions together, such as 8GiB", &l.MemoryBytes},
		{"stored-bytes", "workspaces of running sessions and kept results together", &l.StoredBytes},
		{"output-bytes", "bytes of replies in an hour", &l.OutputBytes},
		{"egress-bytes", "bytes between sandboxes and the world in an hour", &l.EgressBytes},
	} {
		flags.Var(&sizeFlag{f.value}, f.name, f.doc)
	}
}

// sizeFlag is a number of bytes, written with its unit or without.
type sizeFlag struct{ bytes *int64 }

func (f *sizeFlag) String() string {
	if f.bytes == nil || *f.bytes == 0 {
		return ""
	}
	return config.FormatSize(*f.bytes)
}

func (f *sizeFlag) Set(text string) (err error) {
	*f.bytes, err = config.ParseSize(text)
	return err
}

func (*sizeFlag) Type() string { return "size" }

// tenantLimits returns what is set for a tenant: no limits where nothing is.
func tenantLimits(ctx context.Context, db *store.DB, name string) (quota.Limits, error) {
	all, err := db.Tenants(ctx)
	if err != nil {
		return quota.Limits{}, err
	}
	for _, tenant := range all {
		if tenant.Name == name {
			return quota.ParseLimits(tenant.Settings)
		}
	}
	return quota.Limits{}, nil
}

// limitText shows limits on a line.
func limitText(l quota.Limits) string {
	var flags pflag.FlagSet
	limitFlags(&flags, &l)
	var set []string
	flags.VisitAll(func(f *pflag.Flag) {
		if text := f.Value.String(); text != "" && text != "0" {
			set = append(set, f.Name+" "+text)
		}
	})
	if len(set) == 0 {
		return "no limits"
	}
	return strings.Join(set, ", ")
}
