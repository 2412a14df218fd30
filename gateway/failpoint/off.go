//go:build !failpoints

package failpoint

import "errors"

// Built tells whether this program has failpoints.
const Built = false

// Arm refuses every text but the empty one: this program has no failpoints.
func Arm(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(Env + " is set, and this program was built without failpoints")
}

// Reach does what the point was armed for; here it is nothing.
func Reach(Point) {}

// Fail is Reach at a point with an error to return; here that is nil.
func Fail(Point) error { return nil }
