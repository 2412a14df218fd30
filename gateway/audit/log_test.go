package audit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestChainGoesOnOverRestarts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	for i := range 3 {
		l := open(t, Options{Dir: dir})
		l.Note(Event{Kind: Call, Tool: "python_run", Tenant: "acme", Code: "ok"})
		if err := l.Record(t.Context(), Event{Kind: KeyCreate, Key: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		shut(t, l)
	}
	report, records := intact(t, dir)
	if report.Records != 7 || report.Segments != 1 || report.First != 1 {
		t.Errorf("%+v", report)
	}
	if records[0].Kind != SegmentStart || records[0].Segment.First != 1 || records[1].Tool != "python_run" || records[6].Key != "2" {
		t.Errorf("%+v", records)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	file, err := os.Stat(filepath.Join(dir, newSegment(1).name))
	if err != nil || file.Mode().Perm() != 0o600 {
		t.Error(file.Mode(), err)
	}
	for _, r := range records {
		if at, err := time.Parse(time.RFC3339Nano, r.Time); err != nil || time.Since(at) > time.Hour || at.Location() != time.UTC {
			t.Error(r.Time, err)
		}
	}
}

func TestHeadIsThatOfVerify(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	if err := l.Record(t.Context(), Event{Kind: Call}); err != nil {
		t.Fatal(err)
	}
	sequence, hash := l.Head()
	report, err := Verify(t.Context(), l.opts.Dir, &Anchor{sequence, hash})
	if err != nil || report.Last != sequence || report.Head != hash {
		t.Errorf("%d %s, and %+v: %v", sequence, hash, report, err)
	}
}

func TestTextsAreBoundedAndHarmless(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	hostile := "\x1b[2J\u009b31m\u202ereversed\n{\"seq\":9}\xff"
	l.Note(Event{Kind: Call, CallID: hostile, Detail: strings.Repeat("<é>", 1000)})
	shut(t, l)
	_, records := intact(t, l.opts.Dir)
	raw, err := os.ReadFile(filepath.Join(l.opts.Dir, newSegment(1).name))
	if err != nil || strings.ContainsAny(string(raw), "\x1b\u009b\u202e") || !utf8.Valid(raw) || strings.Count(string(raw), "\n") != 2 {
		t.Errorf("%q %v", raw, err)
	}
	if got := records[1].CallID; !strings.Contains(got, "reversed") {
		t.Error(got)
	}
	if got := len(records[1].Detail); got > maxField+3 {
		t.Error(got)
	}
}

func TestSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	l := open(t, Options{MaxBytes: MinBytes})
	detail := strings.Repeat("x", maxField)
	for sent := 0; sent < 3*MinBytes; sent += maxField {
		for l.waiting.Load() > maxWaiting/2 {
			<-time.After(time.Millisecond)
		}
		l.Note(Event{Kind: Call, Detail: detail})
	}
	shut(t, l)
	report, records := intact(t, l.opts.Dir)
	var size int64
	entries, err := os.ReadDir(l.opts.Dir)
	for _, entry := range entries {
		info, statErr := entry.Info()
		if statErr != nil {
			t.Fatal(statErr)
		}
		size += info.Size()
	}
	if err != nil || size > MinBytes || size < MinBytes/2 || report.Segments < 10 {
		t.Errorf("%d bytes, %+v %v", size, report, err)
	}
	if report.First == 1 || records[0].Kind != SegmentStart || kinds(records)[Missed] != 0 {
		t.Errorf("%+v %v", report, kinds(records))
	}
	// One segment less than the log has removed itself.
	if err := os.Remove(filepath.Join(l.opts.Dir, entries[0].Name())); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), l.opts.Dir, nil); err == nil || !strings.Contains(err.Error(), "missing before") {
		t.Error(err)
	}
}

func TestTornLineIsCutOffAndSaidSo(t *testing.T) {
	t.Parallel()
	for name, torn := range map[string]string{
		"half a line": `{"seq":3,"time":"20`,
		"zeros":       strings.Repeat("\x00", 100_000),
		"a brace":     "{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, Options{})
			l.Note(Event{Kind: Call})
			shut(t, l)
			file := filepath.Join(l.opts.Dir, newSegment(1).name)
			add(t, file, torn)
			if _, err := Verify(t.Context(), l.opts.Dir, nil); err == nil {
				t.Error("a torn line is not told")
			}
			again := open(t, Options{Dir: l.opts.Dir})
			again.Note(Event{Kind: Call})
			shut(t, again)
			_, records := intact(t, l.opts.Dir)
			want := sumOf([]byte(torn)).String()
			if len(records) != 4 || records[2].Kind != Torn || records[2].Bytes != int64(len(torn)) || records[2].SHA256 != want {
				t.Errorf("%+v", records)
			}
		})
	}
}

// add appends to a file behind the log's back.
func add(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
}

func TestDamagedEndIsNotContinued(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	shut(t, l)
	add(t, filepath.Join(l.opts.Dir, newSegment(1).name), "rubbish\n")
	if _, err := Open(t.Context(), Options{Dir: l.opts.Dir}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

// TestChangesUnderARunningLogShow has somebody change the log while it is open. It goes on, and the
// break stays to be found.
func TestChangesUnderARunningLogShow(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, dir, file string){
		"end cut off": func(t *testing.T, _, file string) {
			t.Helper()
			cutLines(t, file, -1)
		},
		"last line edited": func(t *testing.T, _, file string) {
			t.Helper()
			edit(t, file, "last", "lost")
		},
		"rubbish": func(t *testing.T, _, file string) {
			t.Helper()
			add(t, file, "rubbish\n")
		},
		"all removed": func(t *testing.T, dir, _ string) {
			t.Helper()
			if os.RemoveAll(dir) != nil || os.Mkdir(dir, 0o700) != nil {
				t.Fatal("cannot remove the folder")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, Options{})
			for range 3 {
				if err := l.Record(t.Context(), Event{Kind: Call, Detail: "last"}); err != nil {
					t.Fatal(err)
				}
			}
			change(t, l.opts.Dir, filepath.Join(l.opts.Dir, newSegment(1).name))
			if err := l.Record(t.Context(), Event{Kind: Call, Detail: "goes on"}); err != nil {
				t.Fatal(err)
			}
			shut(t, l)
			if _, err := Verify(t.Context(), l.opts.Dir, nil); err == nil {
				t.Error("the change does not show")
			}
		})
	}
}

// edit replaces the last occurrence of a word in a file by another of the same length.
func edit(t *testing.T, file, old, fresh string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(raw), old)
	if err := os.WriteFile(file, slices.Concat(raw[:at], []byte(fresh), raw[at+len(old):]), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestManyWriters has two processes, and two logs in this one, write at once.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	logs := []*Log{open(t, Options{Dir: dir, MaxBytes: MinBytes}), open(t, Options{Dir: dir, MaxBytes: MinBytes})}
	others := []*writer{startWriter(t, dir), startWriter(t, dir)}
	var all sync.WaitGroup
	for i, l := range logs {
		for j := range 50 {
			all.Go(func() {
				if err := l.Record(t.Context(), Event{Kind: KeyRevoke, Detail: fmt.Sprint(i, " ", j)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	var durable []string
	for _, w := range others {
		durable = append(durable, w.kill(t, 30)...)
	}
	all.Wait()
	for _, l := range logs {
		shut(t, l)
	}
	// A writer that was killed in a write is repaired by the next one.
	shut(t, open(t, Options{Dir: dir}))
	_, records := intact(t, dir)
	there := map[string]bool{}
	for _, r := range records {
		there[r.Detail] = true
	}
	for _, name := range durable {
		if !there[name] {
			t.Error("missing: ", name)
		}
	}
	if got := kinds(records)[KeyRevoke]; got != 100 {
		t.Errorf("%d of 100", got)
	}
}

// TestKilledWriters kills one writer after the other. What they said to be durable is there.
func TestKilledWriters(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	var durable []string
	for i := range 15 {
		durable = append(durable, startWriter(t, dir).kill(t, 1+i%7)...)
	}
	shut(t, open(t, Options{Dir: dir}))
	_, records := intact(t, dir)
	there := map[string]bool{}
	for _, r := range records {
		there[r.Detail] = true
	}
	for _, name := range durable {
		if !there[name] {
			t.Error("missing: ", name)
		}
	}
}

func TestLockThatIsHeldBlocksNobodyForEver(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	held, err := os.Open(l.opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	flock(t, held)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Record(ctx, Event{Kind: Call}); err == nil {
		t.Error("it was written under somebody else's lock")
	}
	if _, err := Open(ctx, Options{Dir: l.opts.Dir}); err == nil {
		t.Error("it was opened under somebody else's lock")
	}
	_ = held.Close()
	within(t, "it is written", func() bool { return l.Err() == nil && l.Record(t.Context(), Event{Kind: Call}) == nil })
}

func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	l := open(t, Options{countEvery: 200 * time.Millisecond})
	for i := range 5000 {
		l.Refuse(t.Context(), Event{Code: "unauthenticated", Reason: "UNAUTHENTICATED", From: fmt.Sprint("10.0.0.", i%250)})
		l.Refuse(t.Context(), Event{Tenant: "acme", Key: fmt.Sprint("k", i), Code: "permission_denied"})
	}
	shut(t, l)
	_, records := intact(t, l.opts.Dir)
	counted := map[string]int64{}
	for _, r := range records[1:] {
		if r.Kind != Refused {
			t.Errorf("%+v", r)
		}
		counted[r.Code] += max(1, r.Count)
	}
	if sum := counted["unauthenticated"] + counted["permission_denied"] + counted[""]; sum != 10_000 || counted["unauthenticated"] != 5000 {
		t.Errorf("%v", counted)
	}
	if len(records) > 1000 || records[1].From != "10.0.0.0" {
		t.Errorf("%d records, the first of them %+v", len(records), records[1])
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	l := open(t, Options{MaxBytes: MinBytes})
	for i := range 5 {
		if err := l.Record(t.Context(), Event{Kind: Call, Detail: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan Record, 10_000)
	ended := make(chan error, 1)
	go func() {
		ended <- Tail(ctx, l.opts.Dir, 2, true, func(line []byte) error {
			record, err := ParseRecord(line)
			got <- record
			return err
		})
	}()
	if a, b := <-got, <-got; a.Detail != "3" || b.Detail != "4" {
		t.Errorf("%+v %+v", a, b)
	}
	for range 2000 { // more than two segments
		l.Note(Event{Kind: Call, Detail: strings.Repeat("y", maxField)})
	}
	for want := uint64(7); want < 2007; want++ {
		if r := <-got; r.Sequence != want {
			t.Fatalf("%d after %d", r.Sequence, want-1)
		}
	}
	stop()
	if err := <-ended; err == nil {
		t.Error("it ended by itself")
	}
}

// TestFilesBelongToTheFoldersOwner writes as root to the log of another user's gateway.
func TestFilesBelongToTheFoldersOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const user = 65532
	state := t.TempDir()
	if err := os.Chown(state, user, user); err != nil {
		t.Fatal(err)
	}
	l := open(t, Options{Dir: filepath.Join(state, "audit")})
	for _, path := range []string{l.opts.Dir, filepath.Join(l.opts.Dir, newSegment(1).name)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != user || owner.Gid != user {
			t.Errorf("%s belongs to %+v", path, info.Sys())
		}
	}
}

func TestClosedLog(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	shut(t, l)
	shut(t, l)
	l.Note(Event{Kind: Call})
	if err := l.Record(t.Context(), Event{Kind: Call}); err == nil {
		t.Error("a closed log takes events")
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "no", "such")}); err == nil {
		t.Error("the folder above is missing")
	}
	if _, err := Verify(t.Context(), filepath.Join(t.TempDir(), "none"), nil); err == nil || !strings.Contains(err.Error(), "no audit log") {
		t.Error(err)
	}
	if _, err := Verify(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "no audit log") {
		t.Error(err)
	}
	if _, err := list(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Error(err, fs.ErrNotExist)
	}
}
