package docker

import (
	"context"
	"slices"
)

// A State says how much a finding matters.
type State string

// The states of a finding.
const (
	// StateOK is as it should be.
	StateOK State = "ok"
	// StateWarn works, and could be safer or is not known.
	StateWarn State = "warn"
	// StateFail is unsafe or does not work: Sandgate refuses to serve.
	StateFail State = "fail"
)

// A Finding is one thing that was looked at.
type Finding struct {
	// ID names it. It is stable, so that programs may rely on it.
	ID string `json:"id"`
	// Title names it for people.
	Title string `json:"title"`
	// State is the verdict.
	State State `json:"state"`
	// Value is what was found.
	Value string `json:"value"`
	// Meaning says why it matters.
	Meaning string `json:"meaning"`
	// Remedy says what to do. It is empty when nothing is to be done.
	Remedy string `json:"remedy,omitempty"`
}

// Posture is how safe a host is to run sandboxes on.
type Posture struct {
	// Findings are in the order in which one would mend them.
	Findings []Finding `json:"findings"`
}

// Serve reports whether Sandgate may serve: no finding is StateFail.
func (p Posture) Serve() bool {
	return !slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.State == StateFail })
}

// InspectOptions say what to look at.
type InspectOptions struct {
	// Host is the engine's address; see [Options].
	Host string
	// Image is the sandbox image that should be there. Empty means that none is looked for.
	Image string
	// RequireSentry says that runsc is not optional: more than one tenant is served.
	RequireSentry bool
}

// Inspect looks at the engine and, where that is local, at its host. It changes nothing. An engine that
// does not answer is a finding, not an error; the error is that of a Host that makes no sense.
func Inspect(ctx context.Context, options InspectOptions) (Posture, error) {
	engine, err := connect(options.Host)
	if err != nil {
		return Posture{}, err
	}
	defer func() { _ = engine.Close() }()
	return judge(collect(ctx, engine, options)), nil
}

// Inspect looks at the driver's own engine and image. It may be called at any time before Close.
func (d *Driver) Inspect(ctx context.Context) (Posture, error) {
	return judge(collect(ctx, d.engine, InspectOptions{Image: d.options.Image})), nil
}
