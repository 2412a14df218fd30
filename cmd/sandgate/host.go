package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sandgate/sandgate/cmd/sandgate/internal/config"
	"github.com/sandgate/sandgate/sandbox/docker"
)

// hostReport is the judgement on a host: what `doctor` prints and `serve` obeys. As JSON it is
// stable: fields and ids of findings are added, not changed.
type hostReport struct {
	// Version is this program's.
	Version string `json:"version"`
	// Serve says whether `sandgate serve` would start.
	Serve bool `json:"serve"`
	// Runtime is what sandboxes would run on. Empty when there is no fit one.
	Runtime string `json:"runtime"`
	// Findings are what was looked at, in the order in which one would mend them.
	Findings []docker.Finding `json:"findings"`
}

// inspectHost judges the host for a configuration. The only thing by which an operator can change
// the judgement is the choice of the runtime.
func inspectHost(ctx context.Context, cfg *config.Config) (*hostReport, error) {
	inspect := func(requireRunsc bool) (docker.Posture, error) {
		return docker.Inspect(ctx, docker.InspectOptions{Image: cfg.Image, RequireSentry: requireRunsc})
	}
	requireRunsc := cfg.Runtime == config.RuntimeRunsc
	posture, err := inspect(requireRunsc)
	if err != nil {
		return nil, fmt.Errorf("inspect the host: %w", err)
	}
	runtime := chooseRuntime(cfg.Runtime, posture)
	if runtime == config.RuntimeRunsc && !requireRunsc {
		if posture, err = inspect(true); err != nil { // what only matters to runc weighs less now
			return nil, fmt.Errorf("inspect the host: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	report := &hostReport{Version: buildVersion(), Runtime: runtime, Findings: posture.Findings}
	if runtime != "" && !registered(posture, runtime) {
		report.Runtime = ""
	}
	report.Serve = report.Runtime != "" && len(report.blocking()) == 0
	return report, nil
}

// chooseRuntime is the runtime that was asked for; for auto it is runsc where the engine has it.
func chooseRuntime(asked string, posture docker.Posture) string {
	if asked != config.RuntimeAuto {
		return asked
	}
	if registered(posture, config.RuntimeRunsc) {
		return config.RuntimeRunsc
	}
	return config.RuntimeRunc
}

// registered reports whether the engine knows a runtime. A finding has the runtime's name.
func registered(posture docker.Posture, runtime string) bool {
	return slices.ContainsFunc(posture.Findings, func(f docker.Finding) bool {
		return f.ID == runtime && f.Value != "not registered"
	})
}

// blocking are the findings for which Sandgate refuses to serve. Holes of runc are none where no
// sandbox runs on it.
func (r *hostReport) blocking() []docker.Finding {
	var blocking []docker.Finding
	for _, f := range r.Findings {
		if f.State == docker.StateFail && (f.ID != "runc-holes" || r.Runtime != config.RuntimeRunsc) {
			blocking = append(blocking, f)
		}
	}
	return blocking
}

// refusal is the error with which serve does not start, nil when it may.
func (r *hostReport) refusal(asked string) error {
	const more = "; `sandgate doctor` shows everything"
	if r.Serve {
		return nil
	}
	var errs []error
	hint := ""
	for _, f := range r.blocking() {
		errs = append(errs, fmt.Errorf("%s: %s", f.Title, f.Value))
		if hint == "" {
			hint = f.Remedy
		}
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("the runtime %s is not registered with the engine", asked))
		hint = "`make setup` registers runsc; or choose another runtime"
	}
	return hintError{err: fmt.Errorf("this host is not fit to serve: %w", errors.Join(errs...)), hint: hint + more}
}
