package main

import (
	"bufio"
	"errors"
	"flag"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	got, err := parseFlags([]string{"-runtime", "runsc", "-rows", "b1, FLOOD,", "-quick"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.runtimes, []string{"runsc"}) || !slices.Equal(got.rows, []string{"B1", "FLOOD"}) || !got.quick {
		t.Errorf("got %+v", got)
	}
	for _, wrong := range [][]string{
		{"-rows", "B7"}, {"-runtime", "kata"}, {"-runtime", ","}, {"more"}, {"-unknown"},
	} {
		if _, err := parseFlags(wrong); !errors.Is(err, errUsage) {
			t.Errorf("parseFlags(%q): %v", wrong, err)
		}
	}
	if _, err := parseFlags([]string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestEngineSocket(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"": "/var/run/docker.sock", "unix:///run/user/1/docker.sock": "/run/user/1/docker.sock",
		"tcp://host:2375": "", "unix://": "", "ssh://host": "",
	} {
		got, err := engineSocket(host)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("engineSocket(%q) = %q, %v", host, got, err)
		}
	}
}

func TestGauge(t *testing.T) {
	t.Parallel()
	const page = "# TYPE pool gauge\npool{template=\"data\"} 1\npool{template=\"python\"} 2.5e+01\npool_size 7\n"
	for series, want := range map[string]float64{
		`pool{template="python"}`: 25, `pool{template="data"}`: 1, "pool": 0, "absent": 0,
	} {
		if got := gauge(page, series); got != want {
			t.Errorf("gauge(%s) = %v, want %v", series, got, want)
		}
	}
}

func TestFieldBytes(t *testing.T) {
	t.Parallel()
	const content = "Name:\tVmRSS: 1 kB\nVmHWM:\t    2048 kB\nVmRSS:\t12 kB\nThreads:\tmany\n"
	if got, err := fieldBytes(content, "VmRSS"); err != nil || got != 12*1024 {
		t.Errorf("VmRSS is %v, %v", got, err)
	}
	for _, key := range []string{"VmSwap", "Threads"} {
		if got, err := fieldBytes(content, key); err == nil {
			t.Errorf("%s is %v", key, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const numbers = " S 1 2 3 0 -1 4194560 10 0 0 0 31 11 0 0 20 0 5 0 100"
	for name, test := range map[string]struct {
		line string
		want usage
		ok   bool
	}{
		"plain":          {"7 (python3)" + numbers, usage{"python3", 42}, true},
		"a hostile name": {"7 (a) S 1) (b" + ")" + numbers, usage{"a) S 1) (b", 42}, true},
		"cut short":      {"7 (python3) S 1 2", usage{}, false},
		"no name":        {"7 python3", usage{}, false},
		"backwards":      {"7 )python3(" + numbers, usage{}, false},
		"not numbers":    {"7 (x)" + strings.ReplaceAll(numbers, " 31 ", " many "), usage{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, ok := parseStat(test.line); got != test.want || ok != test.ok {
				t.Errorf("got %v, %v; want %v, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestSpent(t *testing.T) {
	t.Parallel()
	before := map[int]usage{1: {"a", 10}, 2: {"b", 5}, 3: {"old", 100}, 4: {"gone", 1}}
	after := map[int]usage{1: {"a", 13}, 2: {"b", 5}, 3: {"new", 2}, 5: {"a", 4}}
	if got, want := spent(before, after), map[string]int64{"a": 7, "new": 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWithoutSettings(t *testing.T) {
	t.Parallel()
	got := withoutSettings([]string{"PATH=/bin", "SANDGATE_POOL_PYTHON=9", "MY_SANDGATE_X=1"})
	if !slices.Equal(got, []string{"PATH=/bin", "MY_SANDGATE_X=1"}) {
		t.Errorf("kept %q", got)
	}
}

func TestAttachedReadsFrames(t *testing.T) {
	t.Parallel()
	const head = "\x01\x00\x00\x00\x00\x00\x00"
	for name, test := range map[string]struct {
		stream, want string
		failed       bool
	}{
		"frames":       {head + "\x03abc" + head + "\x00" + head + "\x02de", "abcde", false},
		"cut in body":  {head + "\x03ab", "ab", false},
		"cut in head":  {head + "\x01a" + head, "a", true},
		"other stream": {"\x02\x00\x00\x00\x00\x00\x00\x01x", "", true},
		"nothing":      {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &attached{in: bufio.NewReader(strings.NewReader(test.stream))}
			got, err := io.ReadAll(a)
			if string(got) != test.want || (err != nil) != test.failed {
				t.Errorf("read %q, %v; want %q", got, err, test.want)
			}
		})
	}
}
