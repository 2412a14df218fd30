package docker

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// Uids of the users inside sandboxes lie in [firstUID, firstUID+uidCount). On a host without user
// namespaces they are uids of the host, so that they should belong to nobody there.
const (
	firstUID = 20_000
	uidCount = 40_000
)

var errNoUID = errors.New("every uid for sandboxes is in use")

// slots gives each container a uid that no other container has, as far as the engine's labels tell.
type slots struct {
	mu      sync.Mutex
	next    int
	owned   map[int]string   // uid to container name; guarded by mu
	foreign map[int]struct{} // uids of other gateways' containers; guarded by mu
}

// newSlots starts at a random uid, so that two gateways on one engine hardly ever meet.
func newSlots() *slots {
	start := rand.IntN(uidCount) //nolint:gosec // chosen to spread, not to hide
	return &slots{next: start, owned: map[int]string{}, foreign: map[int]struct{}{}}
}

// take reserves a uid for the container called name.
func (s *slots) take(name string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range uidCount {
		uid := firstUID + s.next
		s.next = (s.next + 1) % uidCount
		if _, taken := s.foreign[uid]; taken || s.owned[uid] != "" {
			continue
		}
		s.owned[uid] = name
		return uid, nil
	}
	return 0, errNoUID
}

// hold records that the container called name has uid already.
func (s *slots) hold(uid int, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[uid] = name
}

// release frees uid if the container called name has it.
func (s *slots) release(uid int, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owned[uid] == name {
		delete(s.owned, uid)
	}
}

// setForeign replaces what is known of other gateways' uids.
func (s *slots) setForeign(uids map[int]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign = uids
}
