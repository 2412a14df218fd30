package guest

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseStatus(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want procInfo
	}{
		"linux":  {"Name:\tx\nState:\tS (sleeping)\nThreads:\t3\nGroups:\t60001 7 \nVmHWM:\t   20 kB\nVmRSS:\t   10 kB\n", procInfo{pid: 9, groups: []int{60001, 7}, threads: 3, rss: 10 << 10, peak: 20 << 10}},
		"gvisor": {"Name:\tx\nState:\tR (running)\nGroups:\t\nVmRSS:\t10 kB\n", procInfo{pid: 9, rss: 10 << 10}},
		"zombie": {"Name:\tx\nState:\tZ (zombie)\nGroups:\t60001\n", procInfo{pid: 9, groups: []int{60001}, zombie: true}},
		"lies":   {"Groups:\tx y\nVmRSS:\nState:\nThreads:\n:::\n", procInfo{pid: 9}},
	} {
		got := parseStatus(9, []byte(c.text))
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(procInfo{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParseStatIsNotFooledByNames(t *testing.T) {
	fields := parseStat([]byte("7 (a) R 1 (b)) S 1 2 3"))
	if diff := cmp.Diff([]string{"S", "1", "2", "3"}, fields); diff != "" {
		t.Error(diff)
	}
	if parseStat([]byte("nothing")) != nil {
		t.Error("fields of nothing")
	}
}

func TestOwnClockAndMemory(t *testing.T) {
	if cpuTime(os.Getpid()) <= 0 || peakMemory(os.Getpid()) <= 0 {
		t.Error("this process has no time or no memory")
	}
	if !startedSince(os.Getpid(), sinceBoot(time.Now().Add(-time.Hour))) {
		t.Error("this process began long ago")
	}
	if startedSince(os.Getpid(), sinceBoot(time.Now().Add(time.Hour))) {
		t.Error("this process has yet to begin")
	}
}

func TestAsText(t *testing.T) {
	for _, c := range []struct {
		data  string
		atEnd bool
		want  string
		ok    bool
	}{
		{"plain", false, "plain", true},
		{"h\xc3", false, "h", true},
		{"h\xc3", true, "", false},
		{"\xf0\x9f\x98", false, "", false},
		{"a\xf0\x9f\x98", false, "a", true},
		{"\xff\xfeabcd", false, "", false},
	} {
		got, ok := asText([]byte(c.data), c.atEnd)
		if ok != c.ok || (ok && string(got) != c.want) {
			t.Errorf("%q: %q, %v", c.data, got, ok)
		}
	}
}

func TestPreviewNumbersLines(t *testing.T) {
	old := "1\n2\n3\n4\nX\n6\n7\n8\n9\n"
	got := preview([]byte(old), &sandgatev1.EditRequest{OldText: "X", NewText: "five\nand more"})
	want := "     2\t2\n     3\t3\n     4\t4\n     5\tfive\n     6\tand more\n     7\t6\n     8\t7\n     9\t8\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzKernelWire feeds packets of a hostile kernel: reading ends, is bounded, and does not panic. Either
// all are whole messages, up to the last, or it is said that they are not.
func FuzzKernelWire(f *testing.F) {
	f.Add([]byte(`.{"op":"done","cell":1}`), []byte(`+{"op":"dis`), []byte("junk"))
	f.Add([]byte("+"), []byte("."), []byte{})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		ours, theirs, err := seqpacketPair()
		if err != nil {
			t.Fatal(err)
		}
		defer closeAll(ours, theirs)
		for _, packet := range [][]byte{a, b, c, []byte(`.{"op":"last"}`)} {
			if len(packet) > 0 { // an empty one is the end of the socket
				if err := unix.Send(int(theirs.Fd()), packet[:min(len(packet), packetSize)], unix.MSG_DONTWAIT); err != nil {
					t.Skip(err)
				}
			}
		}
		w := &kernelWire{conn: ours}
		for {
			message, err := w.receive()
			if err == errForged { //nolint:errorlint // never wrapped
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			newDisplay(message.Data, true)
			if message.Op == "last" {
				return
			}
		}
	})
}

func TestKernelWireBoundsMessages(t *testing.T) {
	ours, theirs, err := seqpacketPair()
	if err != nil {
		t.Fatal(err)
	}
	var writer sync.WaitGroup
	defer func() { writer.Wait(); closeAll(ours, theirs) }()
	writer.Go(func() {
		packet := []byte("+" + strings.Repeat("x", packetBody))
		for range maxKernelMessage/packetBody + 2 {
			_, _ = unix.Write(int(theirs.Fd()), packet)
		}
		_, _ = unix.Write(int(theirs.Fd()), []byte("."))
		_, _ = unix.Write(int(theirs.Fd()), []byte(`.{"op":"done"}`))
	})
	w := &kernelWire{conn: ours}
	if _, err := w.receive(); err != errForged { //nolint:errorlint // never wrapped
		t.Fatalf("error %v", err)
	}
	closeAll(ours) // the writer may stand in the middle
}

func TestKernelWireSendsInPackets(t *testing.T) {
	ours, theirs, err := seqpacketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(ours)
	peer, err := net.FileConn(theirs)
	closeAll(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	code := strings.Repeat("é\"\n", 100_000)
	go func() { _ = (&kernelWire{conn: ours}).send(cellOrder{Op: "run", Cell: 3, Code: code}) }()
	var whole []byte
	packet := make([]byte, packetSize)
	for {
		n, err := peer.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, packet[1:n]...)
		if packet[0] == packetFinal {
			break
		}
	}
	var got cellOrder
	if err := json.Unmarshal(whole, &got); err != nil || got.Code != code || got.Cell != 3 {
		t.Errorf("%v, cell %d, %d bytes of code", err, got.Cell, len(got.Code))
	}
}

func TestSurvey(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][2]int{
		`0`:                        {1, 0},
		`[0,0,0]`:                  {4, 1},
		`"a,b[c{d"`:                {1, 0},
		`["\"",",","\\"]`:          {4, 1},
		`{"a":{"b":[1,{"c":2}]}}`:  {6, 4},
		`[[[[[`:                    {6, 5},
		`]]]`:                      {1, 0},
		`{"application":"a,b","x"`: {3, 1},
	} {
		if values, deep := survey([]byte(raw)); values != want[0] || deep != want[1] {
			t.Errorf("%s: %d values, %d deep, want %v", raw, values, deep, want)
		}
	}
}
