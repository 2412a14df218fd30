package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// box is a sandbox without anything inside: a pool never looks.
type box struct {
	spec sandbox.Spec
	once sync.Once
	done chan struct{}
}

func (b *box) ID() string                   { return "box" }
func (b *box) Spec() sandbox.Spec           { return b.spec }
func (b *box) Transport() http.RoundTripper { return nil }
func (b *box) Done() <-chan struct{}        { return b.done }
func (b *box) Err() error                   { return nil }
func (b *box) Close(context.Context) error  { b.once.Do(func() { close(b.done) }); return nil }

// engine makes boxes, or fails.
type engine struct {
	mu    sync.Mutex
	live  []*box
	calls int
	fail  error
	slow  time.Duration
}

func (e *engine) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	select {
	case <-time.After(e.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	if e.fail != nil {
		return nil, e.fail
	}
	made := &box{spec: spec, done: make(chan struct{})}
	e.live = append(e.live, made)
	return made, nil
}

func (e *engine) open() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range e.live {
		select {
		case <-b.done:
		default:
			n++
		}
	}
	return n
}

func spec() sandbox.Spec {
	return sandbox.Spec{Template: "python", Runtime: "runc", Limits: sandbox.DefaultLimits()}
}

func TestPoolHandsOutEachOnceAndRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{slow: time.Second}
		pool := sandbox.NewPool(e, sandbox.PoolOptions{Ready: map[sandbox.Spec]int{spec(): 3}})
		time.Sleep(10 * time.Second) //nolint:forbidigo // of a fake clock
		seen := map[sandbox.Sandbox]bool{}
		for range 3 {
			start := time.Now()
			got, err := pool.Create(t.Context(), spec())
			if err != nil || seen[got] {
				t.Fatalf("%v, seen before: %v", err, seen[got])
			}
			if time.Since(start) > 0 {
				t.Error("a caller waited although one was ready")
			}
			seen[got] = true
		}
		start := time.Now()
		cold, err := pool.Create(t.Context(), spec())
		if err != nil || seen[cold] || time.Since(start) != e.slow {
			t.Errorf("cold: %v after %v", err, time.Since(start))
		}
		time.Sleep(20 * time.Second) //nolint:forbidigo // of a fake clock
		if ready, wanted := pool.Ready(); ready[spec()] != 3 || wanted[spec()] != 3 {
			t.Errorf("%v ready of %v", ready, wanted)
		}
		if err := pool.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := e.open(); left != 4 {
			t.Errorf("%d open after Close, want the 4 that were handed out", left)
		}
		if _, err := pool.Create(t.Context(), spec()); !errors.Is(err, sandbox.ErrUnavailable) {
			t.Errorf("a closed pool: %v", err)
		}
	})
}

func TestPoolDropsWhatIsNotWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(engine)
		sick := false
		pool := sandbox.NewPool(e, sandbox.PoolOptions{
			Ready: map[sandbox.Spec]int{spec(): 2},
			Check: func(context.Context, sandbox.Sandbox) error {
				if sick {
					return errors.New("sick")
				}
				return nil
			},
		})
		synctest.Wait()
		_ = e.live[0].Close(t.Context()) // dies waiting
		time.Sleep(time.Second)          //nolint:forbidigo // of a fake clock
		if ready, _ := pool.Ready(); ready[spec()] != 2 {
			t.Errorf("%v ready after one died", ready)
		}
		sick = true
		if got, err := pool.Create(t.Context(), spec()); err != nil || got == nil {
			t.Errorf("with a sick pool a caller gets a cold one: %v", err)
		}
		synctest.Wait()
		if ready, _ := pool.Ready(); ready[spec()] != 0 {
			t.Errorf("%v ready, all are sick", ready)
		}
		_ = pool.Close(t.Context())
	})
}

func TestPoolBacksOffWhileTheEngineFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{fail: sandbox.ErrUnavailable}
		pool := sandbox.NewPool(e, sandbox.PoolOptions{Ready: map[sandbox.Spec]int{spec(): 1}})
		time.Sleep(time.Minute) //nolint:forbidigo // of a fake clock
		e.mu.Lock()
		calls := e.calls
		e.fail = nil
		e.mu.Unlock()
		if calls > 20 || calls < 10 {
			t.Errorf("%d tries in a minute", calls)
		}
		time.Sleep(6 * time.Second) //nolint:forbidigo // of a fake clock
		if ready, _ := pool.Ready(); ready[spec()] != 1 {
			t.Error("not refilled when the engine came back")
		}
		_ = pool.Close(t.Context())
	})
}

func TestLimits(t *testing.T) {
	full := sandbox.Limits{}.WithDefaults()
	if err := full.Check(sandbox.Limits{}); err != nil || full != sandbox.DefaultLimits() {
		t.Errorf("%+v: %v", full, err)
	}
	small := sandbox.Limits{MemoryBytes: 256 * sandbox.MiB}.WithDefaults()
	if small.WorkspaceBytes != 128*sandbox.MiB {
		t.Errorf("workspace %d", small.WorkspaceBytes)
	}
	for name, l := range map[string]sandbox.Limits{
		"too little":           {MemoryBytes: 1},
		"negative":             {MaxProcesses: -1},
		"above the maximum":    {CPUMillis: 4001},
		"workspace over half":  {MemoryBytes: sandbox.GiB, WorkspaceBytes: 600 * sandbox.MiB},
		"few files":            {WorkspaceFiles: 1},
		"more memory than all": {MemoryBytes: 1 << 60},
	} {
		if err := l.WithDefaults().Check(sandbox.Limits{CPUMillis: 4000, MemoryBytes: 8 * sandbox.GiB}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSpecs(t *testing.T) {
	const told = "the template data needs at least 201326592"
	for name, test := range map[string]struct {
		template string
		memory   int64
		wants    []string // parts of the error; none: it is fine
	}{
		"python":             {"python", 128 * sandbox.MiB, nil},
		"data":               {"data", 192 * sandbox.MiB, nil},
		"data, a byte short": {"data", 192*sandbox.MiB - 1, []string{told}},
		"data, far too low":  {"data", 1 << 20, []string{told, "the least that works is 134217728"}},
		"python, too low":    {"python", 1 << 20, []string{"the least that works is 134217728"}},
	} {
		spec := sandbox.Spec{Template: test.template, Limits: sandbox.Limits{MemoryBytes: test.memory}.WithDefaults()}
		err := spec.Check(sandbox.Limits{})
		if (err == nil) != (len(test.wants) == 0) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range test.wants {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
	}
}
