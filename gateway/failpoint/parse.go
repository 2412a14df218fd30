package failpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of what may be asked for.
const (
	maxSpec  = 4 << 10 // bytes
	maxSleep = time.Minute
)

// errInjected is what a point returns that was told to fail.
var errInjected = errors.New("a failpoint was told to fail here")

// action is what happens at a point.
type action struct {
	kill  bool
	fail  bool
	sleep time.Duration
	// nth is the only time at which it happens. Zero: each time.
	nth int64
	// percent of times, at random, at which it happens. Zero: each time.
	percent int
}

// parse reads what [Env] describes. An empty text arms nothing.
func parse(text string) (map[Point]action, error) {
	if len(text) > maxSpec {
		return nil, fmt.Errorf("%s is longer than %d bytes", Env, maxSpec)
	}
	armed := map[Point]action{}
	for part := range strings.FieldsSeq(text) {
		name, what, _ := strings.Cut(part, "=")
		point := Point(name)
		if !slices.Contains(Points(), point) {
			return nil, fmt.Errorf("%s: there is no failpoint %q", Env, name)
		}
		if _, twice := armed[point]; twice {
			return nil, fmt.Errorf("%s: %s is said twice", Env, name)
		}
		act, err := parseAction(what)
		if err == nil && act.fail && !slices.Contains(fallible(), point) {
			err = errors.New("nothing can fail there")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", Env, name, err)
		}
		armed[point] = act
	}
	return armed, nil
}

func parseAction(text string) (action, error) {
	var act action
	what, times := text, ""
	if i := strings.IndexAny(text, "@%"); i >= 0 {
		what, times = text[:i], text[i:]
	}
	switch inner, isSleep := strings.CutPrefix(what, "sleep("); {
	case what == "kill":
		act.kill = true
	case what == "error":
		act.fail = true
	case isSleep && strings.HasSuffix(inner, ")"):
		wait, err := time.ParseDuration(strings.TrimSuffix(inner, ")"))
		if err != nil || wait <= 0 || wait > maxSleep {
			return act, fmt.Errorf("%q is no duration up to %s", inner, maxSleep)
		}
		act.sleep = wait
	default:
		return act, fmt.Errorf("%q is neither kill, sleep(50ms) nor error", what)
	}
	if times == "" {
		return act, nil
	}
	n, err := strconv.Atoi(times[1:])
	switch {
	case err != nil || n < 1 || times[0] == '%' && n > 100:
		return act, fmt.Errorf("%q is neither @ and a count nor %% and a percentage", times)
	case times[0] == '%':
		act.percent = n
	default:
		act.nth = int64(n)
	}
	return act, nil
}
