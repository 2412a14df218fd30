package journal

import (
	"context"
	"time"

	"github.com/sandgate/sandgate/gateway/failpoint"
	"github.com/sandgate/sandgate/gateway/store"
)

// Bounds of the calls that are noted after they have ended.
const (
	maxNotes  = 8192 // that wait to be written
	noteBatch = 512
	noteEvery = 250 * time.Millisecond
)

// notes are calls that carried no id of their callers', and wait to be written.
type notes struct {
	waiting chan store.Call
}

func newNotes() notes { return notes{waiting: make(chan store.Call, maxNotes)} }

// Note writes down, after a while, a call that has ended and carried no id of its caller's. Nobody
// waits for it: where more come than can be written, some are left out.
func (j *Journal) Note(call store.Call) {
	call.ID, call.CallID, call.State = NewID(), "", store.CallEnded
	select {
	case j.notes.waiting <- call:
	default:
	}
}

// keep writes notes and forgets old calls until the end.
func (j *Journal) keep() {
	write := time.NewTicker(noteEvery)
	defer write.Stop()
	begun, swept := time.Now(), time.Time{}
	var kept retention
	for {
		select {
		case <-j.stop:
			j.writeNotes()
			return
		case <-write.C:
		}
		j.writeNotes()
		if now := time.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			if before, ok := kept.cutoff(now.Round(0), now.Sub(begun)); ok {
				j.forgetCalls(before)
			}
		}
	}
}

// forgetCalls forgets what ended before a time.
func (j *Journal) forgetCalls(before time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := j.store.ForgetCalls(ctx, before); err != nil {
		j.log.Warn("old calls cannot be forgotten", "err", err)
	}
}

// writeNotes writes what waits.
func (j *Journal) writeNotes() {
	for {
		batch := j.notes.take()
		if len(batch) == 0 {
			return
		}
		failpoint.Reach(failpoint.CallNote)
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		err := j.store.RecordCalls(ctx, batch)
		cancel()
		if err != nil {
			j.log.Warn("calls cannot be noted", "calls", len(batch), "err", err)
			return
		}
	}
}

// take returns some of what waits.
func (n notes) take() []store.Call {
	var batch []store.Call
	for len(batch) < noteBatch {
		select {
		case call := <-n.waiting:
			batch = append(batch, call)
		default:
			return batch
		}
	}
	return batch
}
