// Package failpoint names the steps of a gateway at which a crash test kills it. The calls do nothing,
// and are compiled to nothing, unless the program is built with the tag `failpoints`; then what
// happens at a point is said by the environment, before anything is served, and by nothing else.
package failpoint

// A Point is a step at which something can be made to go wrong.
type Point string

// The points, in the order in which a life passes them. Those with a name that begins alike are reached
// in the same way: `start` by a start, `call`, `session`, `delete`, `lease` and `commit` by work, `key`
// by a change of keys, `drain` by SIGTERM.
const (
	// StartFound is reached when the rows of the gateway before were read, and nothing was settled.
	StartFound Point = "start-found"
	// StartSettled is reached when its sandboxes were taken over or removed, and no row was changed.
	StartSettled Point = "start-settled"
	// StartJournal is reached when its running calls were settled, before the port is opened.
	StartJournal Point = "start-journal"

	// CallBegin is reached before a call is written down, CallBegun after that.
	CallBegin Point = "call-begin"
	// CallBegun is reached when a call is written down and nothing of it was run.
	CallBegun Point = "call-begun"
	// CallDispatched is reached when the guest has sent the first event of a call.
	CallDispatched Point = "call-dispatched"
	// CallRan is reached when the guest has sent its result and nothing of that was written.
	CallRan Point = "call-ran"
	// CallEnded is reached when the result is written and nobody was told.
	CallEnded Point = "call-ended"
	// CallNote is reached before calls that carry no call_id are written down.
	CallNote Point = "call-note"

	// SessionTaken is reached when a new session has its sandbox and nothing else.
	SessionTaken Point = "session-taken"
	// SessionKept is reached when a new session is written down and its caller was not told.
	SessionKept Point = "session-kept"
	// DeleteBegin is reached before a session's row is removed.
	DeleteBegin Point = "delete-begin"
	// DeleteForgotten is reached when the row is removed and the sandbox still runs.
	DeleteForgotten Point = "delete-forgotten"
	// DeleteClosed is reached when the sandbox is removed, too, and the caller was not told.
	DeleteClosed Point = "delete-closed"
	// LeaseFlush is reached before renewed leases are written, LeaseFlushed after that.
	LeaseFlush Point = "lease-flush"
	// LeaseFlushed is reached when renewed leases are written.
	LeaseFlushed Point = "lease-flushed"

	// CommitBegin is reached before any transaction of the store, Committed after it.
	CommitBegin Point = "commit-begin"
	// Committed is reached when a transaction is in the log and whoever waits for it was not told.
	Committed Point = "commit-done"

	// KeyChange is reached before a change of a key or tenant is written.
	KeyChange Point = "key-change"
	// KeyChanged is reached when a change of a key or tenant is written and nobody was told.
	KeyChanged Point = "key-changed"

	// Drain is reached when no new call is let in any more.
	Drain Point = "drain"
	// DrainCalls is reached when every call has ended and every session is still there.
	DrainCalls Point = "drain-calls"
	// DrainSessions is reached when every session has ended.
	DrainSessions Point = "drain-sessions"
)

// Points returns every point there is.
func Points() []Point {
	return []Point{
		StartFound, StartSettled, StartJournal,
		CallBegin, CallBegun, CallDispatched, CallRan, CallEnded, CallNote,
		SessionTaken, SessionKept, DeleteBegin, DeleteForgotten, DeleteClosed, LeaseFlush, LeaseFlushed,
		CommitBegin, Committed, KeyChange, KeyChanged,
		Drain, DrainCalls, DrainSessions,
	}
}

// fallible are the points where the code has an error to return. At the others `error` is refused.
func fallible() []Point { return []Point{CallBegin, StartFound, CommitBegin, KeyChange} }

// Env is the environment variable that arms points: `call-ran=kill@3 commit-begin=error%10`. Points are
// separated by spaces; what happens is `kill` (SIGKILL to this process), `sleep(50ms)` or `error`,
// each time, or `@3` the third time only, or `%10` in ten of a hundred at random.
const Env = "SANDGATE_FAILPOINTS"
