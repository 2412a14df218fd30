// Package quota knows what each tenant uses and may use, and whose call is served next. Levels, such as
// running sessions, are reserved and released; what is used up, such as processor time, is charged and
// counted by the hour, in the store, so that a restart forgives nothing. It knows no RPC.
package quota

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Everyone is the name under which an operator keeps the limits of tenants that have none of their own.
// No tenant can have it.
const Everyone = "*"

// Bounds of what an operator may ask for.
const (
	maxWeight    = 100
	defaultQueue = 64
	maxQueue     = 4096
)

// Window is the time over which what is used up is counted. Windows begin at full hours, UTC.
const Window = time.Hour

// Limits are what a tenant may use. A zero field means that there is no limit but the gateway's own,
// except where it says otherwise.
type Limits struct {
	// Weight is the tenant's share where calls wait, 1 to 100. Zero means 1.
	Weight int64 `json:"weight,omitempty"`
	// Sessions bounds running sessions.
	Sessions int64 `json:"sessions,omitempty"`
	// Calls bounds the calls that are served at once.
	Calls int64 `json:"calls,omitempty"`
	// Queue bounds the calls that wait to be served, up to 4096. Zero means 64.
	Queue int64 `json:"queue,omitempty"`
	// MemoryBytes bounds the memory limits of running sessions together.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// StoredBytes bounds the workspaces of running sessions, by their size limits, and the results of
	// calls that are kept, together.
	StoredBytes int64 `json:"stored_bytes,omitempty"`
	// CPUSeconds bounds the processor time of sandboxes in an hour.
	CPUSeconds int64 `json:"cpu_seconds,omitempty"`
	// MemorySeconds bounds the memory of sandboxes in an hour, in GiB for seconds: 2 GiB for an hour
	// are 7200.
	MemorySeconds int64 `json:"memory_gib_seconds,omitempty"`
	// OutputBytes bounds the bytes of replies in an hour.
	OutputBytes int64 `json:"output_bytes,omitempty"`
	// EgressBytes bounds the bytes that sandboxes exchange with the world in an hour.
	EgressBytes int64 `json:"egress_bytes,omitempty"`

	unreadable bool // they were not understood
}

// ParseLimits reads what was kept of a tenant. Nothing at all means no limits; a field that is not
// known is an error, as a limit that is misspelt would bound nothing.
func ParseLimits(text []byte) (Limits, error) {
	var l Limits
	if len(bytes.TrimSpace(text)) == 0 {
		return l, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return Limits{}, fmt.Errorf("read limits: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Limits{}, errors.New("read limits: something stands behind them")
	}
	if err := l.Check(); err != nil {
		return Limits{}, err
	}
	return l, nil
}

// Check returns what is wrong with limits.
func (l Limits) Check() error {
	for _, limit := range l.all() {
		if limit.value < 0 {
			return fmt.Errorf("%s: %d is less than nothing; 0 is no limit", limit.name, limit.value)
		}
	}
	switch {
	case l.Weight > maxWeight:
		return fmt.Errorf("weight: %d is more than %d", l.Weight, maxWeight)
	case l.Queue > maxQueue:
		return fmt.Errorf("queue: %d is more than %d", l.Queue, maxQueue)
	}
	return nil
}

// field is one limit by its name.
type field struct {
	name  string
	value int64
}

func (l Limits) all() []field {
	return []field{
		{"weight", l.Weight},
		{"sessions", l.Sessions},
		{"calls", l.Calls},
		{"queue", l.Queue},
		{"memory_bytes", l.MemoryBytes},
		{"stored_bytes", l.StoredBytes},
		{"cpu_seconds", l.CPUSeconds},
		{"memory_gib_seconds", l.MemorySeconds},
		{"output_bytes", l.OutputBytes},
		{"egress_bytes", l.EgressBytes},
	}
}

// weight is the share with its default.
func (l Limits) weight() int64 { return max(1, l.Weight) }

// QueueLimit is how many calls may wait, with its default.
func (l Limits) QueueLimit() int64 {
	if l.Queue == 0 {
		return defaultQueue
	}
	return l.Queue
}
