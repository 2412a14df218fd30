package gateway

import (
	"testing"
	"time"

	"github.com/sandgate/sandgate/gateway/store"
)

// TestFromRowAfterClockJumps reads a session that has lived for two of its ten hours, under a clock
// that was set while no gateway ran.
func TestFromRowAfterClockJumps(t *testing.T) {
	t.Parallel()
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for _, test := range []struct {
		name       string
		jump       time.Duration
		hard, idle time.Duration // left of them
	}{
		{"none", 0, 8 * time.Hour, 4 * time.Minute},
		{"an hour on", time.Hour, 7 * time.Hour, 4*time.Minute - time.Hour},
		{"an hour back", -time.Hour, 9 * time.Hour, 10 * time.Minute},
		{"a year on", year, 8*time.Hour - year, 4*time.Minute - year},
		{"a year back", -year, 10 * time.Hour, 10 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := &Sessions{base: time.Now()}
			created := time.Now().Round(0).Add(-day)
			row := store.Session{
				ID: "ses_a", Spec: []byte(`{}`), CreatedAt: created, HardExpiresAt: created.Add(10 * time.Hour),
				IdleTimeout: 10 * time.Minute, IdleExpiresAt: created.Add(2*time.Hour + 4*time.Minute),
			}
			now := s.base.Add(2*time.Hour - day + test.jump) // what the clock says when the row is read
			sess, err := s.fromRow(row, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := sess.hardExpiry.Sub(now); !near(got, test.hard) {
				t.Errorf("%s of its life are left, want %s", got, test.hard)
			}
			if got := s.idleExpiry(sess, now).Sub(now); !near(got, test.idle) {
				t.Errorf("%s of its lease are left, want %s", got, test.idle)
			}
		})
	}
}

// near tells whether two spans differ by no more than a test takes.
func near(a, b time.Duration) bool { return (a - b).Abs() < time.Minute }

// TestExpiryIgnoresTheWallClock holds a session's ends against one clock with two readings: taking the
// wall's away, or setting it, changes nothing.
func TestExpiryIgnoresTheWallClock(t *testing.T) {
	t.Parallel()
	s := &Sessions{base: time.Now()}
	now := time.Now()
	sess, err := s.fromRow(store.Session{
		Spec: []byte(`{}`), CreatedAt: now.Round(0), HardExpiresAt: now.Round(0).Add(time.Hour),
		IdleTimeout: time.Minute, IdleExpiresAt: now.Round(0).Add(time.Minute),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	for what, end := range map[string]time.Time{"life": sess.hardExpiry, "lease": s.idleExpiry(sess, now)} {
		if end.Round(0) == end { //nolint:staticcheck // whether it has a monotonic reading is the question
			t.Errorf("the end of its %s is on the wall clock", what)
		}
	}
}
