// Package snapshot keeps copies of the files of sessions: workspaces, which outlive them and which others begin with,
// and checkpoints, which tell what has changed since and take it back. A copy is the tar archive that the session's
// own file server made of its files, as it came: the host opens no path that is written in one, and to bring it back
// is to have the session's file server unpack it.
package snapshot

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/sandgate/sandgate/fileserver/store"
)

const (
	// maxWorkspaces bounds those of a tenant, as all are known in memory.
	maxWorkspaces = 10_000
	// maxCheckpoints is how many of a session are kept.
	maxCheckpoints = 16
	// checkpointPrefix begins the id of a checkpoint, a number follows.
	checkpointPrefix = "cp"
)

// Room is where tenants have room for what is kept. *gateway.Room is one. Its methods may be called by any number of
// goroutines.
type Room interface {
	// Take takes so many bytes more. Its error is for the caller.
	Take(tenant string, bytes int64) error
	// Hold takes so many bytes that are there already.
	Hold(tenant string, bytes int64)
	// Give gives them back.
	Give(tenant string, bytes int64)
}

// Options configure a [Store]. Folder and Room must be set.
type Options struct {
	// Folder holds the copies, and nothing else. It is made if there is none.
	Folder string
	// Room has what tenants may keep.
	Room Room
	// KeepFree is how many bytes of the folder's disk are left to others. Zero: none.
	KeepFree int64
	// Log receives what no caller is told. Nil means the default logger.
	Log *slog.Logger
}

// Store keeps copies in a folder of the host, and what is said of each in memory too. Its methods may be called by
// any number of goroutines. Their errors are for callers.
type Store struct {
	opts     Options
	disk     store.Disk
	slots    *semaphore.Weighted
	compares *semaphore.Weighted

	mu    sync.Mutex
	all   map[group]map[string]*kept // by name; guarded by mu
	turns map[group]*turn            // of sessions and tenants that somebody works for; guarded by mu
}

// group is what names are unique in: the workspaces of a tenant, or the checkpoints of one session.
type group struct{ tenant, session string }

// kept is one copy. It is never changed.
type kept struct {
	record

	file string // the path of the archive
}

// New opens the folder. What a crash left unfinished is removed.
func New(opts Options) (*Store, error) {
	if opts.Folder == "" || opts.Room == nil {
		return nil, errors.New("snapshots need a folder, and room")
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	s := &Store{opts: opts, disk: store.Disk{Folder: opts.Folder, Free: opts.KeepFree}, slots: semaphore.NewWeighted(atOnce), compares: semaphore.NewWeighted(comparing), all: map[group]map[string]*kept{}, turns: map[group]*turn{}}
	if err := os.MkdirAll(opts.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of snapshots: %w", err)
	}
	entries, err := os.ReadDir(opts.Folder)
	if err != nil {
		return nil, fmt.Errorf("the folder of snapshots: %w", err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), recordSuffix) {
			s.load(entry.Name())
		}
	}
	return s, s.sweep(entries)
}

// load reads one record. A damaged one is left where it is, with its archive, for whoever can mend it.
func (s *Store) load(name string) {
	id := strings.TrimSuffix(name, recordSuffix)
	r, err := readRecord(filepath.Join(s.opts.Folder, name))
	if err == nil {
		var info os.FileInfo
		if info, err = os.Lstat(s.archive(id)); err == nil && (!info.Mode().IsRegular() || info.Size() != r.Bytes) {
			err = errors.New("its archive is not whole")
		}
	}
	if err != nil {
		s.opts.Log.Error("a copy of a session's files cannot be used", "record", name, "err", err)
		return
	}
	k := &kept{record: r, file: s.archive(id)}
	if other := s.all[k.group()][k.Name]; other != nil { // it was replaced, and the crash came before its end
		if other.Serial > k.Serial {
			_ = s.remove(k) // it is logged
			return
		}
		_ = s.remove(other) // likewise
		s.opts.Room.Give(other.Tenant, other.Bytes)
	}
	s.put(k)
	s.opts.Room.Hold(k.Tenant, k.Bytes)
}

// sweep removes archives that have no record.
func (s *Store) sweep(entries []os.DirEntry) error {
	has := map[string]bool{}
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), recordSuffix); ok {
			has[id] = true
		}
	}
	var errs []error
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), archiveSuffix)
		if ok && !has[id] || strings.HasSuffix(entry.Name(), newSuffix) {
			errs = append(errs, os.Remove(filepath.Join(s.opts.Folder, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// archive returns the path of an archive.
func (s *Store) archive(id string) string { return filepath.Join(s.opts.Folder, id+archiveSuffix) }

// put notes a copy. The caller holds mu, or is alone.
func (s *Store) put(k *kept) {
	if s.all[k.group()] == nil {
		s.all[k.group()] = map[string]*kept{}
	}
	s.all[k.group()][k.Name] = k
}

// drop forgets a copy and removes it. It does nothing where somebody else has, or another took its place.
func (s *Store) drop(k *kept) error {
	if !s.forget(k) {
		return notFound(k.record)
	}
	if err := s.remove(k); err != nil {
		s.restore(k)
		return err
	}
	s.opts.Room.Give(k.Tenant, k.Bytes)
	return nil
}

// restore notes a copy again that could not be removed, and so takes its room, unless another has its name.
func (s *Store) restore(k *kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k.group()][k.Name] == nil {
		s.put(k)
	}
}

// forget forgets a copy, and tells whether it was known.
func (s *Store) forget(k *kept) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k.group()][k.Name] != k {
		return false
	}
	delete(s.all[k.group()], k.Name)
	if len(s.all[k.group()]) == 0 {
		delete(s.all, k.group())
	}
	return true
}

// remove removes the files of a copy, the record first: a crash in between leaves an archive that the next start
// removes.
func (s *Store) remove(k *kept) error {
	record := strings.TrimSuffix(k.file, archiveSuffix) + recordSuffix
	if err := errors.Join(ignoreMissing(os.Remove(record)), ignoreMissing(os.Remove(k.file))); err != nil {
		s.opts.Log.Error("a copy of a session's files was not removed", "record", record, "err", err)
		return err
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// number returns that of a checkpoint.
func (k *kept) number() int {
	n, err := strconv.Atoi(strings.TrimPrefix(k.Name, checkpointPrefix))
	if err != nil {
		return 0
	}
	return n
}
