package docker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// An engine that hangs ends what waits for it, is told of once, and is found again.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var hangs atomic.Bool
		back := make(chan struct{}, 1)
		p := startPulse(func(ctx context.Context) error {
			if hangs.Load() {
				<-ctx.Done()
			}
			return ctx.Err()
		}, func() { back <- struct{}{} }, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()
		hangs.Store(true)
		work, done := p.within(t.Context())
		defer done()
		<-work.Done() // or the test never ends
		if cause := context.Cause(work); !errors.Is(cause, sandbox.ErrUnavailable) {
			t.Errorf("work ended by %v", cause)
		}
		refused, refusedDone := p.within(t.Context())
		defer refusedDone()
		<-refused.Done()
		time.Sleep(time.Minute) //nolint:forbidigo // of a fake clock
		hangs.Store(false)
		<-back
		again, againDone := p.within(t.Context())
		synctest.Wait()
		if err := again.Err(); err != nil {
			t.Errorf("an engine that is back: %v", err)
		}
		againDone()
		if !errors.Is(context.Cause(again), context.Canceled) {
			t.Errorf("work that is over: %v", context.Cause(again))
		}
		p.close()
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("%d log lines, want one for the end and one for the return:\n%s", lines, log.String())
		}
	})
}

// A caller without any patience of its own is not held by an engine that hangs, and what the engine then
// does after all is undone.
func TestCreateLeavesAnEngineThatHangs(t *testing.T) {
	for _, call := range []string{"POST create", "POST attach", "POST start"} {
		t.Run(call, func(t *testing.T) {
			release := make(chan struct{})
			hang := func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-release:
				case <-r.Context().Done():
				}
				if r.Method == http.MethodPost {
					w.WriteHeader(http.StatusCreated)
					_, _ = w.Write([]byte(`{"Id":"c1"}`))
				}
			}
			driver, engine := faultyDriver(t, map[string]http.HandlerFunc{call: hang})
			engine.mu.Lock() // only now, as the driver has asked which version they both speak
			engine.faults["HEAD _ping"], engine.faults["GET _ping"] = hang, hang
			if call == "POST start" {
				engine.faults["POST attach"] = attachAndListen
			}
			engine.mu.Unlock()
			if _, err := driver.Create(t.Context(), testSpec("runc")); !errors.Is(err, sandbox.ErrUnavailable) {
				t.Errorf("Create = %v, want ErrUnavailable", err)
			}
			// All turns are taken or the engine is down: nobody waits for it.
			for range 2 * cap(driver.creating) {
				if _, err := driver.Create(t.Context(), testSpec("runc")); !errors.Is(err, sandbox.ErrUnavailable) {
					t.Errorf("Create = %v, want ErrUnavailable", err)
				}
			}
			close(release)
			driver.tasks.Wait()
			if made, removed := engine.count("POST create"), engine.count("DELETE"); removed < made {
				t.Errorf("%d made, %d removed", made, removed)
			}
			for range cap(driver.creating) { // every turn comes free, or this waits for ever
				driver.creating <- struct{}{}
			}
			if len(driver.uids.owned) != 0 || len(driver.names) != 0 {
				t.Errorf("the driver still holds %v %v", driver.uids.owned, driver.names)
			}
		})
	}
}
