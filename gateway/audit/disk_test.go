package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// disk is where files are whose writes can be made to fail.
type disk struct {
	fault atomic.Pointer[fault]
}

// fault is what is wrong with a disk.
type fault struct {
	write, sync, cut error
	read             error
	half             bool          // of what is written arrives
	hangs            chan struct{} // no sync returns before it is closed; nil: they do
}

func (d *disk) open(name string, flag int, mode fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag, mode)
	return &diskFile{f, d}, err
}

type diskFile struct {
	*os.File

	disk *disk
}

func (f *diskFile) WriteAt(data []byte, at int64) (int, error) {
	if wrong := f.disk.fault.Load(); wrong != nil && wrong.write != nil {
		if wrong.half {
			_, _ = f.File.WriteAt(data[:len(data)/2], at)
		}
		return 0, wrong.write
	}
	return f.File.WriteAt(data, at)
}

func (f *diskFile) ReadAt(into []byte, at int64) (int, error) {
	if wrong := f.disk.fault.Load(); wrong != nil && wrong.read != nil {
		return 0, wrong.read
	}
	return f.File.ReadAt(into, at)
}

func (f *diskFile) Sync() error {
	if wrong := f.disk.fault.Load(); wrong != nil {
		if wrong.hangs != nil {
			<-wrong.hangs
		}
		if wrong.sync != nil {
			return wrong.sync
		}
	}
	return f.File.Sync()
}

func (f *diskFile) Truncate(size int64) error {
	if wrong := f.disk.fault.Load(); wrong != nil && wrong.cut != nil {
		return wrong.cut
	}
	return f.File.Truncate(size)
}

func TestFaultyDisk(t *testing.T) {
	t.Parallel()
	full := syscall.ENOSPC
	for name, wrong := range map[string]fault{
		"full":                       {write: full},
		"full in the middle":         {write: full, half: true},
		"full, and nothing goes":     {write: full, half: true, cut: syscall.EIO},
		"it does not sync":           {sync: syscall.EIO},
		"it does not sync or forget": {sync: syscall.EIO, cut: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &disk{}
			l := open(t, Options{open: d.open})
			if err := l.Record(t.Context(), Event{Kind: Call, Detail: "before"}); err != nil {
				t.Fatal(err)
			}
			d.fault.Store(&wrong)
			if err := l.Record(t.Context(), Event{Kind: KeyCreate}); !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
			if err := l.Err(); !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
			l.Note(Event{Kind: Call, Detail: "that ran"})
			if err := l.Record(t.Context(), Event{Kind: KeyCreate}); !errors.Is(err, ErrUnavailable) {
				t.Error("it waits for a disk that is full: ", err)
			}
			d.fault.Store(nil)
			within(t, "it can be written again", func() bool { return l.Err() == nil })
			if err := l.Record(t.Context(), Event{Kind: Call, Detail: "after"}); err != nil {
				t.Error(err)
			}
			shut(t, l)
			_, records := intact(t, l.opts.Dir)
			got := kinds(records)
			if got[Resumed] == 0 || wrong.cut == nil && (got[Resumed] != 1 || got[KeyCreate] != 0) {
				t.Errorf("%v", got)
			}
			there := map[string]bool{}
			for _, r := range records {
				there[r.Detail] = true
			}
			if !there["before"] || !there["that ran"] || !there["after"] {
				t.Errorf("%+v", records)
			}
		})
	}
}

// TestUnreadableDisk has the log look at its end, which cannot be read. That is no change of it.
func TestUnreadableDisk(t *testing.T) {
	t.Parallel()
	d := &disk{}
	l := open(t, Options{open: d.open})
	if err := l.Record(t.Context(), Event{Kind: Call}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(l.opts.Dir, newSegment(1).name), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	d.fault.Store(&fault{read: syscall.EIO})
	if err := l.Record(t.Context(), Event{Kind: Call}); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	d.fault.Store(nil)
	within(t, "it can be written again", func() bool { return l.Err() == nil })
	shut(t, l)
	if report, _ := intact(t, l.opts.Dir); report.Segments != 1 {
		t.Errorf("%+v", report)
	}
}

func TestDiskThatHangs(t *testing.T) {
	t.Parallel()
	d, released := &disk{}, make(chan struct{})
	l := open(t, Options{open: d.open})
	d.fault.Store(&fault{hangs: released})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Record(ctx, Event{Kind: Call}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	for range maxWaiting {
		l.Note(Event{Kind: Call})
	}
	if err := l.Err(); !errors.Is(err, ErrUnavailable) {
		t.Error("the queue is full: ", err)
	}
	for range maxQueued {
		l.Note(Event{Kind: Call})
	}
	if err := l.Close(ctx); !errors.Is(err, ErrUnavailable) {
		t.Error("nothing was written: ", err)
	}
	d.fault.Store(nil)
	close(released)
	<-l.done
	_, records := intact(t, l.opts.Dir)
	var missed int64
	for _, r := range records {
		if r.Kind == Missed {
			missed += r.Count
		}
	}
	if got := int64(kinds(records)[Call]); got+missed != maxQueued+maxWaiting+1 || missed == 0 {
		t.Errorf("%d written, %d missed", got, missed)
	}
}

func TestStalledDiskIsToldByTime(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	l.base = l.base.Add(-time.Hour)
	l.begun.Store(int64(time.Minute))
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
	l.begun.Store(0)
	if err := l.Err(); err != nil {
		t.Error(err)
	}
}

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=512k,mode=700"); err != nil {
		t.Skip("a file system cannot be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := open(t, Options{Dir: filepath.Join(mount, "audit"), MaxBytes: MinBytes})
	if err := l.Record(t.Context(), Event{Kind: Call}); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(mount, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 400<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	notes := 0
	for deadline := time.Now().Add(20 * time.Second); l.Err() == nil; notes++ {
		l.Note(Event{Kind: Call, Detail: strings.Repeat("z", maxField)})
		if notes%100 == 0 {
			_ = l.Record(t.Context(), Event{Kind: KeyCreate}) // until it is full
		}
		if time.Now().After(deadline) {
			t.Fatal("the disk is never full")
		}
	}
	if err := l.Err(); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	within(t, "it can be written again", func() bool { return l.Err() == nil })
	shut(t, l)
	_, records := intact(t, l.opts.Dir)
	if got := kinds(records); got[Call] != notes+1 || got[Resumed] != 1 || got[Missed] != 0 {
		t.Errorf("%d noted, %v", notes, got)
	}
}

func BenchmarkNote(b *testing.B) {
	l := open(b, Options{})
	event := Event{Kind: Call, Tenant: "acme", Key: "jf6zq2lm5wd3t7ra", Procedure: "/sandgate.v1.ToolService/CallTool", Code: "ok"}
	b.ReportAllocs()
	for b.Loop() {
		if l.Err() == nil {
			l.Note(event)
		}
	}
}
