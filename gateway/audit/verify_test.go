package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// small makes a log of two segments and twelve records, and returns its folder and files.
func small(t *testing.T) (dir string, files []string) {
	t.Helper()
	l := open(t, Options{})
	note := func(n int) {
		for range n {
			if err := l.Record(t.Context(), Event{Kind: Call, Tool: "python_run", Code: "ok"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	note(5)
	l.chain.segment = 1 // so that the next record begins a segment; the writer waits
	note(1)
	l.chain.segment = maxSegment
	note(4)
	shut(t, l)
	report, _ := intact(t, l.opts.Dir)
	if report.Records != 12 || report.Segments != 2 {
		t.Fatalf("%+v", report)
	}
	segments, err := list(l.opts.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		files = append(files, filepath.Join(l.opts.Dir, s.name))
	}
	return l.opts.Dir, files
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(raw)))
}

func rewrite(t *testing.T, file string, lines []string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// cutLines removes lines from the end of a file.
func cutLines(t *testing.T, file string, n int) {
	t.Helper()
	all := lines(t, file)
	rewrite(t, file, all[:len(all)+n])
}

func flock(t *testing.T, f *os.File) {
	t.Helper()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestTampering(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tamper func(t *testing.T, files []string)
		file   int    // in which it is found
		line   int    // at which it is found
		want   string // in the text
	}{
		"a line edited": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			all[2] = strings.Replace(all[2], `"ok"`, `"no"`, 1)
			rewrite(t, files[0], all)
		}, 0, 4, "record 3 was changed, or record 4"},
		"white space added": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			all[2] = strings.Replace(all[2], `,`, `, `, 1)
			rewrite(t, files[0], all)
		}, 0, 4, "was changed"},
		"the last line of a segment edited": {func(t *testing.T, files []string) {
			t.Helper()
			edit(t, files[0], `"ok"`, `"no"`)
		}, 1, 1, "record 6 was changed, or record 7"},
		"a line removed": {func(t *testing.T, files []string) {
			t.Helper()
			rewrite(t, files[1], slices.Delete(lines(t, files[1]), 2, 3))
		}, 1, 3, "records are missing: 10 follows 8"},
		"lines swapped": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			all[2], all[3] = all[3], all[2]
			rewrite(t, files[0], all)
		}, 0, 3, "records are missing: 4 follows 2"},
		"a line twice": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			rewrite(t, files[0], slices.Insert(all, 3, all[2]))
		}, 0, 4, "added or moved: 3 follows 3"},
		"a line made up": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			made, err := Record{Sequence: 4, Time: "2026-11-23T00:00:00.000000Z", Previous: sumOf([]byte(all[2])).String(), Event: Event{Kind: Call}}.encode()
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, files[0], slices.Insert(all, 3, string(made)))
		}, 0, 4, "was changed"},
		"an empty line": {func(t *testing.T, files []string) {
			t.Helper()
			rewrite(t, files[0], slices.Insert(lines(t, files[0]), 3, "\n"))
		}, 0, 4, "no record"},
		"a segment cut at a line": {func(t *testing.T, files []string) {
			t.Helper()
			cutLines(t, files[0], -2)
		}, 1, 1, "records are missing: 7 follows 4"},
		"a segment cut in a line": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			all[5] = all[5][:20]
			rewrite(t, files[0], all)
		}, 0, 6, "no end"},
		"the end cut in a line": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[1])
			all[5] = all[5][:20]
			rewrite(t, files[1], all)
		}, 1, 6, "no end"},
		"a segment emptied": {func(t *testing.T, files []string) {
			t.Helper()
			rewrite(t, files[0], nil)
		}, 0, 1, "no end"},
		"the first segment removed": {func(t *testing.T, files []string) {
			t.Helper()
			if err := os.Remove(files[0]); err != nil {
				t.Fatal(err)
			}
		}, 1, 0, "missing before 7: the log was to keep them from 1 on"},
		"a segment renamed": {func(t *testing.T, files []string) {
			t.Helper()
			if err := os.Rename(files[0], filepath.Join(filepath.Dir(files[0]), newSegment(5).name)); err != nil {
				t.Fatal(err)
			}
		}, -1, 1, "begins with record 1, and its name says 5"},
		"a segment without its first line": {func(t *testing.T, files []string) {
			t.Helper()
			rewrite(t, files[1], lines(t, files[1])[1:])
		}, 1, 1, "does not begin"},
		"a line too long": {func(t *testing.T, files []string) {
			t.Helper()
			rewrite(t, files[0], slices.Insert(lines(t, files[0]), 1, strings.Repeat("x", maxLine+2)+"\n"))
		}, 0, 2, "too long"},
		"another beginning": {func(t *testing.T, files []string) {
			t.Helper()
			all := lines(t, files[0])
			all[0] = strings.Replace(all[0], `"prev":"0`, `"prev":"1`, 1)
			rewrite(t, files[0], all)
		}, 0, 1, "names one before it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, files := small(t)
			test.tamper(t, files)
			_, err := Verify(t.Context(), dir, nil)
			broken, ok := errors.AsType[*Break](err)
			if !ok {
				t.Fatalf("not found: %v", err)
			}
			want := newSegment(5).name
			if test.file >= 0 {
				want = filepath.Base(files[test.file])
			}
			if broken.File != want || broken.Line != test.line || !strings.Contains(broken.What, test.want) {
				t.Errorf("found at %v", broken)
			}
		})
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	dir, files := small(t)
	hash := func(sequence int) string {
		all := slices.Concat(lines(t, files[0]), lines(t, files[1]))
		return sumOf(bytes.TrimSpace([]byte(all[sequence-1]))).String()
	}
	good := map[int]string{}
	for i := 1; i <= 12; i++ {
		good[i] = hash(i)
		if _, err := Verify(t.Context(), dir, &Anchor{uint64(i), good[i]}); err != nil {
			t.Error(i, err)
		}
	}
	if _, err := Verify(t.Context(), dir, &Anchor{5, good[6]}); err == nil || !strings.Contains(err.Error(), "not the one that was noted") {
		t.Error(err)
	}
	// The end that was cut off cannot be seen without an anchor, nor can a last line that was edited.
	edit(t, files[1], `"ok"`, `"no"`)
	if _, err := Verify(t.Context(), dir, nil); err != nil {
		t.Error(err)
	}
	if _, err := Verify(t.Context(), dir, &Anchor{12, good[12]}); err == nil {
		t.Error("an edited last line")
	}
	cutLines(t, files[1], -2)
	if report, err := Verify(t.Context(), dir, nil); err != nil || report.Last != 10 {
		t.Error(report, err)
	}
	if _, err := Verify(t.Context(), dir, &Anchor{12, good[12]}); err == nil || !strings.Contains(err.Error(), "the end is missing") {
		t.Error(err)
	}
}

// TestAnchorsOlderThanTheLog verifies against a record that the log has removed itself.
func TestAnchorsOlderThanTheLog(t *testing.T) {
	t.Parallel()
	l := open(t, Options{})
	for range 5 {
		if err := l.Record(t.Context(), Event{Kind: Call}); err != nil {
			t.Fatal(err)
		}
	}
	before, hash := l.Head()
	l.chain.segment, l.chain.maxBytes = 1, 1 // only the newest segment stays
	if err := l.Record(t.Context(), Event{Kind: Call}); err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	report, _ := intact(t, l.opts.Dir)
	if report.First != before+1 || report.Segments != 1 {
		t.Errorf("%+v", report)
	}
	if _, err := Verify(t.Context(), l.opts.Dir, &Anchor{before, hash}); err != nil {
		t.Error("the last that was removed is named by the first that was kept: ", err)
	}
	if _, err := Verify(t.Context(), l.opts.Dir, &Anchor{before - 1, hash}); err == nil || !strings.Contains(err.Error(), "older than what is kept") {
		t.Error(err)
	}
}

func FuzzParseRecord(f *testing.F) {
	at := head{}
	for _, event := range []Event{{Kind: SegmentStart}, {Kind: Call, CallID: "a\"b", Bytes: 3, SHA256: "00"}, {Kind: Missed, Count: 7}} {
		line, err := at.next(event, &Segment{format, 1})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimSuffix(line, []byte("\n")))
	}
	f.Add([]byte(`{"seq":18446744073709551616}`))
	f.Add([]byte("{\"seq\":1,\"time\":\"2026-11-23T00:00:00.000000Z\",\"prev\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		record, err := ParseRecord(line)
		if err != nil {
			return
		}
		if record.Sequence == 0 || len(record.Previous) != 64 || record.Kind == "" || len(line) > maxLine {
			t.Errorf("%+v", record)
		}
		// What was read is written and read again as it is.
		again, err := record.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseRecord(bytes.TrimSuffix(again, []byte("\n")))
		if err != nil && len(again) <= maxLine {
			t.Errorf("%s: %v", again, err)
		}
		if second, err := back.encode(); err != nil || len(again) <= maxLine && !bytes.Equal(again, second) {
			t.Errorf("%s and %s: %v", again, second, err)
		}
	})
}

// FuzzVerify walks a log that is whatever it is: nothing but its own lines is accepted.
func FuzzVerify(f *testing.F) {
	at := head{}
	var whole []byte
	for i := range 4 {
		segment := &Segment{format, 1}
		if i > 0 {
			segment = nil
		}
		line, err := at.next(Event{Kind: Call}, segment)
		if err != nil {
			f.Fatal(err)
		}
		whole = append(whole, line...)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-5])
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, newSegment(1).name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(t.Context(), dir, nil)
		if err != nil {
			return
		}
		if report.Records != bytes.Count(content, []byte("\n")) || report.First != 1 {
			t.Errorf("%+v of %q", report, content)
		}
	})
}
