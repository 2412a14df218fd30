package docker

import (
	"encoding/binary"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandgate/sandgate/sandbox"
)

// TestUsage burns a second of processor time and holds 200 MiB: both ways of counting see it.
func TestUsage(t *testing.T) {
	testEngine(t)
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		driver := newTestDriver(t, func(o *Options) { o.Image = "sandgate/sandbox:latest" })
		made, err := driver.Create(t.Context(), sandbox.Spec{Template: "python", Runtime: runtime})
		if err != nil {
			t.Fatal(err)
		}
		box, ok := made.(*instance)
		if !ok {
			t.Fatalf("%T", made)
		}
		before, err := box.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if box.counters.weight == "" {
			t.Error("the kernel's own files were not found")
		}
		code := `{"code": "import time; held = bytearray(b'x') * (200 << 20)\nwhile time.process_time() < 1.5: pass"}`
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, sandbox.GuestURL+"/sandgate.v1.PythonService/Run",
			strings.NewReader(string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(code))))+code))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/connect+json")
		response, err := box.Transport().RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(response.Body)
		if _ = response.Body.Close(); err != nil || !strings.Contains(string(said), "STATUS_OK") {
			t.Fatalf("%s, %v", said, err)
		}
		for what, look := range map[string]func() (sandbox.Usage, error){
			"the kernel": func() (sandbox.Usage, error) { return box.Usage(t.Context()) },
			"the engine": func() (sandbox.Usage, error) { return box.askUsage(t.Context()) },
		} {
			after, err := look()
			if cpu, memory := after.CPU-before.CPU, after.MemoryBytes-before.MemoryBytes; err != nil || cpu < time.Second || cpu > time.Minute || memory < 150*sandbox.MiB {
				t.Errorf("%s counts %s and %d MiB, %v", what, cpu, memory/sandbox.MiB, err)
			}
		}
		for _, aside := range []bool{true, false, true} {
			if err := box.SetCPUShare(sandbox.CPUShare{Weight: 64, Aside: aside}); err != nil {
				t.Error(err)
			}
			if had, has := processorsOf(t, filepath.Dir(filepath.Dir(box.counters.cpus))), processorsOf(t, filepath.Dir(box.counters.cpus)); len(had) > 1 && (len(has) < len(had)) != aside {
				t.Errorf("aside %t: it may run on %v of %v", aside, has, had)
			}
		}
		if told, err := os.ReadFile(box.counters.weight); err != nil || strings.TrimSpace(string(told)) != map[bool]string{true: "64", false: "3"}[strings.HasSuffix(box.counters.weight, "shares")] {
			t.Errorf("the host has %s, %v", told, err)
		}
		if err := box.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := box.Usage(t.Context()); err == nil || box.SetCPUShare(sandbox.CPUShare{Weight: 64}) == nil {
			t.Error("a sandbox that is gone uses something, or takes a weight")
		}
	})
}

// processorsOf returns the processors of a cgroup.
func processorsOf(t *testing.T, cgroup string) []int {
	t.Helper()
	for _, name := range []string{"cpuset.effective_cpus", "cpuset.cpus.effective"} {
		if list, err := os.ReadFile(filepath.Join(cgroup, name)); err == nil {
			all, err := parseProcessors(strings.TrimSpace(string(list)))
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
	}
	return nil
}

func TestProcessors(t *testing.T) {
	for list, want := range map[string]string{
		"0": "0", "0-3": "0,1,2,3", "0-1,4,6-7": "0,1,4,6,7", "2,1,2": "1,2",
		"": "", "-": "", "1-": "", "3-1": "", "-1": "", "0-9999999": "", "0 1": "",
	} {
		all, err := parseProcessors(list)
		if got := formatProcessors(all); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", list, got, err, want)
		}
	}
}

func TestCgroupsOf(t *testing.T) {
	const id = "0123abcd"
	got := cgroupsOf("12:cpu,cpuacct:/docker/"+id+"\n5:memory:/docker/"+id+"\n3:pids:/system.slice\n0::/../../etc/"+id+"\nnonsense\n", id)
	for controller, want := range map[string]string{"cpuacct": "/docker/" + id, "cpu": "/docker/" + id, "memory": "/docker/" + id, "pids": "", "": "/etc/" + id} {
		if got[controller] != want {
			t.Errorf("%q is at %q, want %q", controller, got[controller], want)
		}
	}
}
