package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

func TestMissing(t *testing.T) {
	r := NewRegistry()
	missing := r.Missing()
	if slices.Contains(missing, sandgatev1connect.ToolServiceCallToolProcedure) {
		t.Error("the registry serves ToolService itself")
	}
	if !slices.Contains(missing, sandgatev1connect.PythonServiceRunProcedure) || !slices.IsSorted(missing) {
		t.Errorf("missing: %v", missing)
	}
	before := len(missing)
	newHouse(t, nil).Register(r)
	if got := len(r.Missing()); got != before-6 {
		t.Errorf("%d missing after SessionService, %d before", got, before)
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

func TestRegistrationsAreChecked(t *testing.T) {
	get := func(context.Context, *sandgatev1.GetSessionRequest) (*sandgatev1.GetSessionResponse, error) {
		return nil, nil
	}
	for name, test := range map[string]struct {
		register func(r *Registry)
		text     string
	}{
		"no such RPC": {func(r *Registry) { Unary(r, "/sandgate.v1.X/Y", get) }, "no such RPC"},
		"twice": {func(r *Registry) {
			Unary(r, sandgatev1connect.SessionServiceGetSessionProcedure, get)
			Unary(r, sandgatev1connect.SessionServiceGetSessionProcedure, get)
		}, "registered already"},
		"other request": {func(r *Registry) { Unary(r, sandgatev1connect.SessionServiceDeleteSessionProcedure, get) }, "its request is"},
		"no message": {func(r *Registry) {
			Unary(r, sandgatev1connect.SessionServiceGetSessionProcedure, func(context.Context, *int) (*int, error) { return nil, nil })
		}, "must be messages"},
		"other kind": {func(r *Registry) {
			Unary(r, sandgatev1connect.PythonServiceRunProcedure, func(context.Context, *sandgatev1.RunRequest) (*sandgatev1.RunResponse, error) { return nil, nil })
		}, "streams otherwise"},
		"no such tool": {func(r *Registry) { r.Render("nope", nil) }, "no tool"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRegistry()
			test.register(r)
			if err := r.Err(); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v", err)
			}
			if _, err := NewServer(Options{Registry: r}); err == nil {
				t.Error("a server was made of it")
			}
		})
	}
}
