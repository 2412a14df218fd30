package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func yes() bool { return true }
func no() bool  { return false }

// enter takes a place or fails the test.
func enter(t *testing.T, turns *Turns, a *Account, kind Kind) Place {
	t.Helper()
	p, err := turns.Enter(t.Context(), a, kind)
	if err != nil {
		t.Fatalf("%s: %v", a.Name(), err)
	}
	return p
}

func tenant(name string, l Limits) *Account { return newAccount(name, &l) }

func TestTurnsLeaveRoomForOthers(t *testing.T) {
	for _, test := range []struct {
		weight int64
		shared func() bool
		want   int
	}{{1, yes, 50}, {3, yes, 75}, {1, no, 100}} {
		t.Run(fmt.Sprintf("weight %d, %d of 100", test.weight, test.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := NewTurns(1, 100, 1, 1, test.shared)
				hog := tenant("hog", Limits{Weight: test.weight})
				var got []Place
				var all sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				var mu sync.Mutex
				for range 120 {
					all.Go(func() {
						if p, err := turns.Enter(ctx, hog, Run); err == nil {
							mu.Lock()
							got = append(got, p)
							mu.Unlock()
						}
					})
				}
				synctest.Wait()
				if len(got) != test.want {
					t.Errorf("it has %d of 100 places", len(got))
				}
				if test.want < 100 {
					enter(t, turns, tenant("quiet", Limits{}), Run).Leave()
				}
				enter(t, turns, hog, Files).Leave() // other kinds have places of their own
				cancel()
				all.Wait()
				for _, p := range got {
					p.Leave()
				}
				if len(turns.tenants) != 0 {
					t.Errorf("tenants without calls are kept: %v", turns.tenants)
				}
			})
		})
	}
}

// TestTurnsGoAround has three tenants wait for the only places: what becomes free goes to them by
// their weights, and not by how many wait.
func TestTurnsGoAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1, 4, 1, 1, no)
		first := make([]Place, 4)
		for i := range first {
			first[i] = enter(t, turns, tenant("first", Limits{}), Run)
		}
		var mu sync.Mutex
		served := map[string]int{}
		total := 0
		var all sync.WaitGroup
		for name, queue := range map[string]struct{ weight, calls int }{"many": {1, 60}, "few": {1, 15}, "heavy": {2, 30}} {
			a := tenant(name, Limits{Weight: int64(queue.weight)})
			for range queue.calls {
				all.Go(func() {
					p, err := turns.Enter(t.Context(), a, Run)
					if err != nil {
						t.Error(err)
						return
					}
					<-time.After(time.Millisecond)
					mu.Lock()
					if total < 60 {
						served[name]++
						total++
					}
					mu.Unlock()
					p.Leave()
				})
			}
		}
		synctest.Wait()
		for _, p := range first {
			p.Leave()
		}
		all.Wait()
		for name, want := range map[string]int{"many": 15, "few": 15, "heavy": 30} {
			if got := served[name]; got < want-4 || got > want+4 {
				t.Errorf("of the first 60 calls %s had %d, want about %d", name, got, want)
			}
		}
	})
}

func TestTurnsRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1, 1, 1, 1, no)
		a := tenant("a", Limits{Queue: 2})
		for range minSamples { // it learns that a call takes 2 s
			p := enter(t, turns, a, Run)
			<-time.After(2 * time.Second)
			p.Leave()
		}
		held := enter(t, turns, a, Run)
		hurry, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := turns.Enter(hurry, a, Run)
		full, ok := errors.AsType[*Full](err)
		if !ok || full.Retry < time.Second || time.Since(began) > 0 {
			t.Errorf("a call that has less time than it would wait: %v after %s", err, time.Since(began))
		}
		waits := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := turns.Enter(t.Context(), a, Run)
				waits <- err
			}()
		}
		synctest.Wait()
		if _, err = turns.Enter(t.Context(), a, Run); err == nil || !errors.As(err, &full) {
			t.Errorf("a full queue: %v", err)
		}
		if running, waiting := turns.Count("a"); running != 1 || waiting != 2 {
			t.Errorf("%d run, %d wait", running, waiting)
		}
		<-time.After(maxWait + time.Second)
		for range 2 {
			if err := <-waits; !errors.As(err, &full) {
				t.Errorf("after half a minute: %v", err)
			}
		}
		held.Leave()
		enter(t, turns, a, Run).Leave() // nothing was left behind
	})
}

func TestTurnsOwnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(9, 9, 9, 9, no)
		a, b := tenant("a", Limits{Calls: 2}), tenant("b", Limits{})
		first, second := enter(t, turns, a, Run), enter(t, turns, a, Files)
		got := make(chan Place)
		go func() {
			p, _ := turns.Enter(t.Context(), a, Run)
			got <- p
		}()
		synctest.Wait()
		select {
		case <-got:
			t.Error("a third call had its turn")
		default:
		}
		enter(t, turns, b, Run).Leave()
		enter(t, turns, a, Control).Leave() // what shows and ends calls is not held up by them
		second.Leave()                      // a place of one kind lets a call of another in
		(<-got).Leave()
		first.Leave()
	})
}

func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := NewTurns(1, 1, 1, 1, no)
		a := tenant("a", Limits{})
		held := enter(t, turns, a, Run)
		ended := make(chan error, 2)
		ctx, leave := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{ctx, t.Context()} {
			go func() {
				_, err := turns.Enter(ctx, a, Run)
				ended <- err
			}()
			synctest.Wait()
		}
		leave()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that left: %v", err)
		}
		turns.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("a call that waits when all ends: %v", err)
		}
		held.Leave()
		if _, err := turns.Enter(t.Context(), a, Run); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
		if len(turns.tenants) != 0 {
			t.Errorf("kept: %v", turns.tenants)
		}
	})
}

// TestTurnsAtOnce has many callers come and leave at random: no place is lost and none is given twice.
func TestTurnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 5
		turns := NewTurns(1, places, 1, 1, yes)
		var mu sync.Mutex
		inside, most := 0, 0
		var all sync.WaitGroup
		for i := range 300 {
			a := tenant(fmt.Sprint(i%7), Limits{Weight: int64(i % 3), Calls: int64(i % 4)})
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%11)*10*time.Millisecond)
				defer cancel()
				p, err := turns.Enter(ctx, a, Run)
				if err != nil {
					return
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				<-time.After(time.Duration(i%5) * time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				p.Leave()
			})
		}
		all.Wait()
		if most > places || most == 0 {
			t.Errorf("%d were inside at once", most)
		}
		if running, waiting := turns.Counts(Run); running != 0 || waiting != 0 || len(turns.tenants) != 0 {
			t.Errorf("%d run, %d wait, %v", running, waiting, turns.tenants)
		}
	})
}
