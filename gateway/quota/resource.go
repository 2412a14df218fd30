package quota

import (
	"fmt"
	"time"
)

// Level is something that is reserved and given back.
type Level int

// The levels.
const (
	// Sessions counts running sessions, those being made included.
	Sessions Level = iota
	// Memory is their memory limits together, in bytes.
	Memory
	// Stored is the bytes that are kept for a tenant.
	Stored
	levels
)

// String is the level's name in errors and headers.
func (l Level) String() string { return [...]string{"sessions", "memory_bytes", "stored_bytes"}[l] }

func (l Level) limit(of *Limits) int64 {
	return [...]int64{of.Sessions, of.MemoryBytes, of.StoredBytes}[l]
}

// Resource is something that is used up and counted by the hour.
type Resource int

// The resources.
const (
	// Calls counts calls. Tenants have no limit of it, tokens may.
	Calls Resource = iota
	// CPU is processor time, in milliseconds.
	CPU
	// MemoryTime is memory over time, in MiB for milliseconds.
	MemoryTime
	// Output is the bytes of replies.
	Output
	// Egress is the bytes that sandboxes exchange with the world.
	Egress
	resources
)

// memoryUnit is how many of the units of MemoryTime are a GiB for a second.
const memoryUnit = 1024 * 1000

// String is the resource's name in errors and headers.
func (r Resource) String() string {
	return [...]string{"calls", "cpu_seconds", "memory_gib_seconds", "output_bytes", "egress_bytes"}[r]
}

// unit is how many of what is counted are one of what limits say.
func (r Resource) unit() int64 { return [...]int64{1, 1000, memoryUnit, 1, 1}[r] }

func (r Resource) limit(of *Limits) int64 {
	return [...]int64{0, of.CPUSeconds, of.MemorySeconds, of.OutputBytes, of.EgressBytes}[r]
}

// Resources returns every resource, in the order in which they are shown.
func Resources() []Resource { return []Resource{Calls, CPU, MemoryTime, Output, Egress} }

// GiBSeconds returns an amount of MemoryTime in GiB for seconds.
func GiBSeconds(amount int64) float64 { return float64(amount) / memoryUnit }

// Amounts are how much was used of each resource, in the units in which it is counted.
type Amounts [resources]int64

// In returns an amount in the unit of limits, rounded down.
func (a Amounts) In(r Resource) int64 { return a[r] / r.unit() }

// Exceeded is the error of whoever would use more than is allowed.
type Exceeded struct {
	// What is the name of the limit.
	What string
	// Limit is the limit, Used what is in use, both in the limit's unit.
	Limit, Used int64
	// Retry is when asking again may help, from now. Zero: when something was given back.
	Retry time.Duration
	// Token tells that the limit is that of the caller's token and not of the tenant.
	Token bool
}

// Error says whose limit it is.
func (e *Exceeded) Error() string {
	whose := "this tenant"
	if e.Token {
		whose = "this token"
	}
	return fmt.Sprintf("%s is at its limit of %d %s", whose, e.Limit, e.What)
}
