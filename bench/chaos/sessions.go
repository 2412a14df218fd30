package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/sandgate/sandgate/bench/rig"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// judge holds a session of a gateway that died against what its clients were told.
func (t *trial) judge(ctx context.Context, s *session, running, lost bool) {
	s.mu.Lock()
	ending, ended := s.ending, s.ended
	s.mu.Unlock()
	switch {
	case ended && (running || lost):
		t.figures.broken("session %s was deleted and is there", s.id)
	case !running && !lost && !ending:
		t.figures.broken("session %s has vanished", s.id)
	case lost:
		t.figures.count(func(f *figures) { f.sessionsLost++ })
	case running && !ending:
		t.readBack(ctx, s)
		return
	}
	t.ledger.gone(s)
	for _, place := range t.slots {
		place.forget(s)
	}
	if running || lost {
		t.remove(ctx, s.client, s.id)
	}
}

func (t *trial) remove(ctx context.Context, client *rig.Client, id string) {
	_, err := client.Sessions.DeleteSession(ctx, &sandgatev1.DeleteSessionRequest{SessionId: id})
	if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
		t.figures.broken("session %s cannot be deleted: %v", id, err)
	}
}

// unclaimed deletes sessions whose callers were never answered. They are nobody's fault: their lease
// would end them.
func (t *trial) unclaimed(ctx context.Context, client *rig.Client) {
	running, lost, err := client.Running(ctx)
	if err != nil {
		t.figures.broken("%v", err)
	}
	for _, session := range slices.Concat(running, lost) {
		if t.ledger.find(session.GetId()) == nil {
			t.figures.count(func(f *figures) { f.unclaimed++ })
			t.remove(ctx, client, session.GetId())
		}
	}
}

// readBack looks into a session: its kernel and files are as they were left, and nothing ran twice.
func (t *trial) readBack(ctx context.Context, s *session) {
	remembered, err := t.inside(ctx, s)
	if err != nil {
		t.figures.broken("session %s runs and cannot be used: %v", s.id, err)
		return
	}
	noted, err := readFile(ctx, s, runs)
	if err != nil {
		t.figures.broken("session %s: %v", s.id, err)
		return
	}
	s.mu.Lock()
	kernel, once, files := maps.Clone(s.kernel), maps.Clone(s.once), s.files
	s.files = map[string]string{}
	s.mu.Unlock()
	inKernel, inFile := tally(remembered), tally(noted)
	for id := range kernel {
		if inKernel[id] != 1 {
			t.figures.broken("session %s: its kernel remembers the cell %s %d times", s.id, id, inKernel[id])
		}
	}
	for id := range once {
		if inFile[id] == 0 {
			t.figures.broken("session %s: %s was acknowledged and left nothing", s.id, id)
		}
	}
	for id, n := range inFile {
		if n > 1 {
			t.figures.count(func(f *figures) { f.doubled++ })
			t.figures.broken("session %s: %s ran %d times", s.id, id, n)
		}
	}
	for path, want := range files {
		if got, err := readFile(ctx, s, path); err != nil || got != want {
			t.figures.broken("session %s: the file %s holds %q: %v", s.id, path, got, err)
		}
	}
}

// inside returns what the session's kernel remembers.
func (t *trial) inside(ctx context.Context, s *session) (string, error) {
	const code = `open("kernel", "w").write("\n".join(globals().get("ran", [])))`
	reply, err := s.client.Tools.CallTool(ctx, &sandgatev1.CallToolRequest{
		SessionId: s.id, Name: "python_run", Arguments: rig.Arguments("code", code),
	})
	if err != nil {
		return "", err
	}
	if reply.GetStatus() != sandgatev1.Status_STATUS_OK {
		return "", errNotWell
	}
	return readFile(ctx, s, "kernel")
}

// readFile returns a file of a session, nothing where there is none.
func readFile(ctx context.Context, s *session, path string) (string, error) {
	reply, err := s.client.Files.Read(ctx, &sandgatev1.ReadRequest{SessionId: s.id, Path: path, Length: 4 << 20})
	if connect.CodeOf(err) == connect.CodeNotFound {
		return "", nil
	}
	if err == nil && reply.GetNextOffset() < reply.GetTotalSize() {
		err = errors.New(path + " is larger than can be read at once")
	}
	return reply.GetText(), err
}

// tally counts the lines of a text.
func tally(text string) map[string]int {
	counts := map[string]int{}
	for id := range strings.FieldsSeq(text) {
		counts[id]++
	}
	return counts
}
