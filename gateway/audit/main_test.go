package audit

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// writerVariable has the test binary write to the log in the folder that it names.
const writerVariable = "SANDGATE_TEST_AUDIT_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		os.Exit(writeForEver(dir))
	}
	goleak.VerifyTestMain(m)
}

// writeForEver records events, and prints the name of each once it is durable, until it is killed.
func writeForEver(dir string) int {
	l, err := Open(context.Background(), Options{Dir: dir, MaxBytes: MinBytes})
	for i := 0; err == nil; i++ {
		l.Note(Event{Kind: Call, Tool: "noted"})
		name := fmt.Sprintf("%d-%d", os.Getpid(), i)
		if err = l.Record(context.Background(), Event{Kind: KeyCreate, Detail: name}); err == nil {
			_, err = fmt.Fprintln(os.Stdout, name)
		}
	}
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

// writer is another process that writes to a log.
type writer struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner // what is durable
}

func startWriter(t *testing.T, dir string) *writer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), writerVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &writer{cmd, bufio.NewScanner(out)}
}

// kill ends the process at any moment, after it has written at least so much, and returns what it had
// said to be durable.
func (w *writer) kill(t *testing.T, after int) (durable []string) {
	t.Helper()
	for w.lines.Scan() {
		durable = append(durable, w.lines.Text())
		if len(durable) == after {
			if err := w.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = w.cmd.Wait() // killed
	if len(durable) < after {
		t.Fatalf("the writer ended by itself after %d events", len(durable))
	}
	return durable
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open opens a log that is closed at the end of the test.
func open(tb testing.TB, opts Options) *Log {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = filepath.Join(tb.TempDir(), "audit")
	}
	if opts.Logger == nil {
		opts.Logger = quiet()
	}
	l, err := Open(tb.Context(), opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// shut closes a log that must have lost nothing.
func shut(tb testing.TB, l *Log) {
	tb.Helper()
	if err := l.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// intact verifies a log and returns what is in it.
func intact(tb testing.TB, dir string) (Report, []Record) {
	tb.Helper()
	report, err := Verify(tb.Context(), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	var records []Record
	err = Tail(tb.Context(), dir, 1<<20, false, func(line []byte) error {
		record, err := ParseRecord(line)
		records = append(records, record)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(records) != report.Records || report.Last-report.First+1 != uint64(report.Records) {
		tb.Errorf("%d records were read, and %+v", len(records), report)
	}
	return report, records
}

// kinds counts records by what happened.
func kinds(records []Record) map[Kind]int {
	out := map[Kind]int{}
	for _, r := range records {
		out[r.Kind]++
	}
	return out
}

// within waits for what another goroutine does.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
	}
}
