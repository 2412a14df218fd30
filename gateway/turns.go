package gateway

// What is decoded in turn, as it takes long or makes much out of little.
const (
	largeMessage = 256 << 10 // bytes
	manyValues   = 5_000
)

// turns lets the large messages of a server be decoded one at a time, so that a flood of them costs
// everybody else one processor's slices now and then, and the memory of one. Small messages, which
// are nearly all, do not wait.
type turns chan struct{}

func newTurns() turns { return make(turns, 1) }

// decode counts the values of a message of so many bytes and decodes it where they are within bounds.
// Nothing that may block is done while a large one has its turn.
func (t turns) decode(size int, count func() (int, error), decode func() error) error {
	held := false
	take := func() {
		t <- struct{}{}
		held = true
	}
	defer func() {
		if held {
			<-t
		}
	}()
	if size > largeMessage {
		take()
	}
	values, err := count()
	if err != nil {
		return err
	}
	if values > manyValues && !held {
		take()
	}
	return decode()
}
