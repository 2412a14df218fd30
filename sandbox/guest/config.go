// Package guest is the daemon that runs as PID 1 in every sandbox. It starts programs and Python
// kernels for the sandbox's user, works on the user's files, and carries TCP connections of the
// sandbox's loopback. All of it is served over one byte stream, see package channel.
//
// The daemon is the container's root with the capabilities SETUID, SETGID and KILL and nothing
// else; whatever it starts for the user runs as another uid with none. It trusts nothing that the
// user's processes say: their sizes are bounded, their frames checked, their clocks not believed.
package guest

import "time"

// Config says how a guest runs. The zero value is not usable; fields say what theirs means.
type Config struct {
	// UID is the user and group id under which everything of the user's runs. Zero means that of
	// the guest itself, with nothing dropped: for tests, never in a sandbox.
	UID int
	// Home is the workspace: the user's home and the directory that relative paths start from.
	Home string
	// Template names what kernels start with, see [Config.Kernel].
	Template string
	// MemoryBytes is what the user's processes may use together. Zero means that the guest does
	// not watch memory.
	MemoryBytes int64
	// MaxFiles is how many files may exist in each place that the user can write to, where the
	// runtime does not bound them itself. Zero means that the guest does not watch them.
	MaxFiles int64
	// Kernel is the command line of the kernels' zygote, without the template. Empty means that
	// there is no Python here.
	Kernel []string
	// Spares is how many kernels are kept in reserve, for new contexts. Zero means none.
	Spares int
	// Version is reported by Check.
	Version string
	// Init tells whether the guest is PID 1 and reaps orphans. False: it reaps its own children
	// only.
	Init bool
	// Env is the environment of everything that is started, before a call's own.
	Env []string
}

// The bounds of one guest. They bound what one sandbox can make the guest hold in memory; the
// sandbox's own limits come on top.
const (
	defaultInline    = 1 << 20          // bytes of each stream that a call returns
	spoolLimit       = 64 << 20         // bytes of a stream that are kept in a file
	ringSize         = 1 << 20          // bytes of each stream that a program's readers find
	maxPrograms      = 128              // programs of Start, ended ones included
	maxShells        = 32               // commands of Shell at once
	maxContexts      = 16               // kernels
	maxWaiting       = 64               // calls that wait for one kernel
	keepEnded        = 10 * time.Minute // how long an ended program answers
	defaultCell      = 300 * time.Second
	defaultShell     = 60 * time.Second
	inlineBudget     = 32 << 20 // bytes that all calls together may return beyond the default
	inputLimit       = 30 * time.Second
	interruptGrace   = 2 * time.Second
	closeGrace       = 100 * time.Millisecond // for what a dead kernel has still sent
	interruptAgain   = 250 * time.Millisecond
	kernelStart      = 25 * time.Second
	enterLimit       = 2 * time.Second // for a held kernel to become somebody's
	reapLimit        = 5 * time.Second // for a kernel to wait for its ended children
	lateLimit        = time.Second     // for the rest of a message that an ended cell began
	maxLateMessages  = 1024            // of an ended cell, before the next one
	maxKernelMessage = 16 << 20
	maxDisplays      = 1000     // displays of one cell
	maxDisplayBytes  = 32 << 20 // bytes of all displays of one cell
	maxLate          = 16 << 10 // bytes of late output that are kept
	maxErrorText     = 64 << 10
)

// chunkSize is how much is read or sent at once.
const chunkSize = 32 << 10

// environ returns the environment for a new program.
func (c *Config) environ(extra map[string]string) []string {
	env := make([]string, 0, len(c.Env)+len(extra))
	env = append(env, c.Env...)
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	return env
}
