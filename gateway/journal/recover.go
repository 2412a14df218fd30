package journal

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sandgate/sandgate/gateway/store"
)

// Recover takes up the calls that ran when the gateway before died. It is called once, before the first
// call. resume returns what takes a call up where it is, which must not begin it anew, or nil for one
// that cannot be taken up: that one is lost. The calls go on behind Recover as any other call does: a
// repeat joins them, they can be followed and cancelled, and how they end is written down.
func (j *Journal) Recover(ctx context.Context, resume func(store.Call) Run) error {
	rows, err := j.store.RunningCalls(ctx)
	if err != nil {
		return fmt.Errorf("recover calls: %w", err)
	}
	if len(rows) > 0 {
		j.log.Info("calls were running when the gateway before died; they are looked for", "calls", len(rows))
	}
	for _, row := range rows {
		run := resume(row)
		if run == nil {
			run = lose
		}
		l := newLive(j, row)
		j.mu.Lock()
		j.list(l)
		j.mu.Unlock()
		go j.run(context.WithoutCancel(ctx), l, j.noting(run))
	}
	return nil
}

// lose is the end of a call that cannot be taken up.
func lose(context.Context, store.Call, func(int64, *structpb.Struct)) Outcome {
	return Outcome{Lost: true}
}

// noting has the log say what became of a call that was taken up.
func (j *Journal) noting(run Run) Run {
	return func(ctx context.Context, call store.Call, emit func(int64, *structpb.Struct)) Outcome {
		outcome := run(ctx, call, emit)
		if outcome.Lost {
			j.log.Warn("a call that ran when the gateway before died is lost", "call", call.ID, "tool", call.Tool)
		} else {
			j.log.Info("a call that ran when the gateway before died has ended", "call", call.ID, "tool", call.Tool)
		}
		return outcome
	}
}
