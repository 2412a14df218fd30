package gateway

import (
	"sync/atomic"

	"connectrpc.com/connect"
)

// maxHeldBytes bounds the request bodies that all calls hold together. A buffer that grows may be
// twice as large as what is in it, and what is decoded lies beside it, so that the gateway's memory
// may be up to four times this.
const maxHeldBytes = 256 << 20

// maxReplyBytes bounds the messages to clients that are being written, all calls together, the first replyFree bytes
// of each not counted. A client that does not read keeps what it is sent in memory until writeTimeout. What
// a call holds besides, of buffers, does not grow with its messages: 2.3 MiB, with MaxCalls of them at most.
const (
	maxReplyBytes = 256 << 20
	replyFree     = 64 << 10
)

// budget bounds how many bytes all calls hold together.
type budget struct {
	of   string // what they are of, for errors
	most int64
	used atomic.Int64
}

// share is what one call has of a budget. One goroutine uses it.
type share struct {
	budget *budget // nil: there is no bound
	taken  int64
}

// grow makes the share at least so large, or says that the budget is used up.
func (s *share) grow(to int64) error {
	lacking := to - s.taken
	if s.budget == nil || lacking <= 0 {
		return nil
	}
	if s.budget.used.Add(lacking) > s.budget.most {
		s.budget.used.Add(-lacking)
		return Errorf(connect.CodeResourceExhausted, ReasonOverloaded,
			"Try again in a moment, with fewer large "+s.budget.of+" at once.", "the gateway holds %d MiB of %s already", s.budget.most>>20, s.budget.of)
	}
	s.taken = to
	return nil
}

// shrink gives back what is more than so much.
func (s *share) shrink(to int64) {
	if s.budget != nil && s.taken > to {
		s.budget.used.Add(to - s.taken)
		s.taken = to
	}
}
