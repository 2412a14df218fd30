package docker

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// goodFacts are of a host on which there is nothing to say.
func goodFacts() facts {
	return facts{
		options: InspectOptions{Image: "sandgate/sandbox:x"},
		info: system.Info{
			ServerVersion: "28.5.2", OSType: "linux", Architecture: "x86_64", KernelVersion: "6.18.44-1",
			MemoryLimit: true, PidsLimit: true, CPUCfsQuota: true, SwapLimit: true,
			CgroupVersion: "2", CgroupDriver: "systemd", DockerRootDir: "/var/lib/docker", LiveRestoreEnabled: true,
			SecurityOptions: []string{"name=apparmor", "name=seccomp,profile=builtin", "name=userns"},
			Runtimes:        map[string]system.RuntimeWithStatus{"runc": {}, "runsc": {}},
		},
		api: "1.51", runc: "1.4.3", local: true,
		image: &image.InspectResponse{ID: "sha256:1", Config: new(dockerspec.DockerOCIImageConfig)},
		runsc: "runsc version VERSION_MISSING", runscBuild: "v0.0.0-20260905035102-160fafc42237",
		socketMode: 0o660, freeBytes: 100 << 30, freeInodes: 1 << 20, allInodes: 1 << 21,
		sysctls: map[string]string{
			"kernel/io_uring_disabled": "2", "kernel/unprivileged_bpf_disabled": "2", "vm/unprivileged_userfaultfd": "0",
			"kernel/dmesg_restrict": "1", "kernel/core_pattern": "core",
		},
	}
}

func TestJudge(t *testing.T) {
	drop := func(f *facts, name string) {
		f.info.SecurityOptions = slices.DeleteFunc(f.info.SecurityOptions, func(o string) bool { return strings.HasPrefix(o, "name="+name) })
	}
	for _, test := range []struct {
		name   string
		change func(*facts)
		id     string
		state  State
		value  string // part of the finding's value
	}{
		{"no engine", func(f *facts) { f.engineErr = errors.New("refused") }, "engine", StateFail, "refused"},
		{"windows", func(f *facts) { f.info.OSType = "windows" }, "engine", StateFail, "windows"},
		{"old api", func(f *facts) { f.api = "1.40" }, "api", StateFail, "1.40"},
		{"least api", func(f *facts) { f.api = "1.41" }, "api", StateOK, "1.41"},
		{"no runc", func(f *facts) { delete(f.info.Runtimes, "runc") }, "runc-holes", StateOK, "not used"},
		{"unknown runc", func(f *facts) { f.runc = "" }, "runc-holes", StateWarn, "not known"},
		{"ancient runc", func(f *facts) { f.runc = "1.0.0-rc6" }, "runc-holes", StateFail, "CVE-2019-5736"},
		{"leaky runc", func(f *facts) { f.runc = "1.1.11" }, "runc-holes", StateFail, "CVE-2024-21626"},
		{"patched runc", func(f *facts) { f.runc = "1.1.5+ds1 1.1.5+ds1-1+deb12u1" }, "runc-holes", StateWarn, "CVE-2025-31133"},
		{"change log", func(f *facts) {
			f.runc = "1.1.5+ds1-1+deb12u9"
			f.runcChangelog = "CVE-2025-31133 CVE-2025-52565 CVE-2025-52881 CVE-2026-41579"
		}, "runc-holes", StateOK, "none"},
		{"change log of another runc", func(f *facts) {
			f.runc, f.runcChangelog = "1.1.11", "CVE-2024-21626"
		}, "runc-holes", StateFail, "CVE-2024-21626"},
		{"no runsc", func(f *facts) { delete(f.info.Runtimes, "runsc") }, "runsc", StateWarn, "not registered"},
		{"no runsc, tenants", func(f *facts) {
			delete(f.info.Runtimes, "runsc")
			f.options.RequireSentry = true
		}, "runsc", StateFail, "not registered"},
		{"broken runsc", func(f *facts) { f.runscErr = errors.New("exec format") }, "runsc", StateFail, "exec format"},
		{"old runsc", func(f *facts) { f.runscBuild = "v0.0.0-20260224225140-573d5e7127a8" }, "runsc", StateWarn, "CVE-2026-96812"},
		{"old released runsc", func(f *facts) { f.runscBuild, f.runsc = "", "runsc version release-20221219.0" }, "runsc", StateWarn, "CVE-2026-96812"},
		{"released runsc", func(f *facts) { f.runscBuild, f.runsc = "", "runsc version release-20261005.0" }, "runsc", StateOK, "release"},
		{"odd runsc", func(f *facts) { f.runscBuild = "(devel)" }, "runsc", StateWarn, "age is not known"},
		{"no seccomp", func(f *facts) { drop(f, "seccomp") }, "seccomp", StateFail, "not supported"},
		{"no memory limit", func(f *facts) { f.info.MemoryLimit = false }, "limits", StateFail, "memory"},
		{"no swap limit", func(f *facts) { f.info.SwapLimit = false }, "limits", StateWarn, "swap"},
		{"cgroup 1", func(f *facts) { f.info.CgroupVersion = "1" }, "cgroup", StateWarn, "1"},
		{"no image", func(f *facts) { f.image, f.imageErr = nil, errors.New("No such image") }, "image", StateFail, "No such image"},
		{"volumes", func(f *facts) { f.image.Config.Volumes = map[string]struct{}{"/x": {}} }, "image-config", StateFail, "volumes"},
		{"variables", func(f *facts) {
			f.image.Config.ImageConfig = ocispec.ImageConfig{Env: []string{"PATH=/bin", "TOKEN=1"}}
		}, "image-config", StateFail, "variable TOKEN"},
		{"little disk", func(f *facts) { f.freeBytes = 3 << 30 }, "disk", StateWarn, "3.0 GiB"},
		{"no disk", func(f *facts) { f.freeBytes = 1 << 20 }, "disk", StateFail, "0.0 GiB"},
		{"no inodes", func(f *facts) { f.freeInodes = 10 }, "disk", StateFail, "10 inodes"},
		{"old kernel", func(f *facts) { f.info.KernelVersion = "6.1.0-40-amd64" }, "kernel", StateWarn, "6.1.0"},
		{"no LSM", func(f *facts) { drop(f, "apparmor") }, "lsm", StateWarn, "absent"},
		{"no userns", func(f *facts) { drop(f, "userns") }, "userns", StateWarn, "not remapped"},
		{"no live restore", func(f *facts) { f.info.LiveRestoreEnabled = false }, "live-restore", StateWarn, "off"},
		{"open socket", func(f *facts) { f.socketMode = 0o666 }, "socket", StateFail, "rw-rw-rw-"},
		{"remote", func(f *facts) { f.local = false }, "disk", StateWarn, "remote"},
		{"io_uring", func(f *facts) { f.sysctls["kernel/io_uring_disabled"] = "0" }, "sysctl-kernel.io_uring_disabled", StateWarn, "0"},
		{"core pipe", func(f *facts) { f.sysctls["kernel/core_pattern"] = "|/bin/x" }, "core-pattern", StateWarn, "|/bin/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := goodFacts()
			test.change(&f)
			posture := judge(f)
			at := slices.IndexFunc(posture.Findings, func(f Finding) bool { return f.ID == test.id })
			if at < 0 {
				t.Fatalf("no finding %s", test.id)
			}
			got := posture.Findings[at]
			if got.State != test.state || !strings.Contains(got.Value, test.value) {
				t.Errorf("got %s %q, want %s %q", got.State, got.Value, test.state, test.value)
			}
			if (got.Remedy == "") != (got.State == StateOK) {
				t.Errorf("a %s finding has the remedy %q", got.State, got.Remedy)
			}
			if posture.Serve() == (test.state == StateFail) {
				t.Errorf("Serve = %v", posture.Serve())
			}
		})
	}
}

func TestJudgeGoodHost(t *testing.T) {
	seen := map[string]bool{}
	for _, finding := range judge(goodFacts()).Findings {
		if finding.State != StateOK {
			t.Errorf("%s is %s: %s", finding.ID, finding.State, finding.Value)
		}
		if finding.Title == "" || finding.Meaning == "" || seen[finding.ID] {
			t.Errorf("incomplete or repeated: %+v", finding)
		}
		seen[finding.ID] = true
	}
}

func TestVersions(t *testing.T) {
	ordered := []string{"1.0.0-rc6", "1.0.0~rc93+ds1-5", "v1.0.0", "1.1.5+ds1-1+deb12u1", "1.1.12", "1.4.0-rc.3", "1.4.0", "2.0"}
	for i, text := range ordered {
		got, known := parseVersion(text)
		if !known {
			t.Fatalf("%q has no version", text)
		}
		for j, other := range ordered {
			want, _ := parseVersion(other)
			if cmp := got.compare(want); (cmp < 0) != (i < j) || (cmp > 0) != (i > j) {
				t.Errorf("compare(%s, %s) = %d", text, other, cmp)
			}
		}
	}
	if _, known := parseVersion("devel"); known {
		t.Error("devel is a version")
	}
	fixes := []string{"1.2.8", "1.3.3", "1.4.0-rc.3"}
	for text, want := range map[string]bool{
		"1.1.15": false, "1.2.7": false, "1.2.8": true, "1.3.2": false, "1.3.4": true, "1.4.0-rc.2": false, "1.4.0": true, "1.5.0": true,
	} {
		if got, _ := parseVersion(text); got.fixedSince(fixes...) != want {
			t.Errorf("fixedSince(%s) = %v", text, !want)
		}
	}
}

// What is found on the test's own host depends on it, but never that sandboxes, which these tests make,
// could not be made.
func TestInspectThisHost(t *testing.T) {
	driver := newTestDriver(t, nil)
	posture, err := driver.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range posture.Findings {
		t.Logf("%-5s %-22s %s", finding.State, finding.ID, finding.Value)
	}
	if !posture.Serve() {
		t.Error("Sandgate would refuse to serve here")
	}
}

func TestInspectWithoutEngine(t *testing.T) {
	posture, err := Inspect(t.Context(), InspectOptions{Host: "unix:///nonexistent.sock"})
	if err != nil || posture.Serve() {
		t.Errorf("Inspect = %+v, %v; want a failed finding", posture, err)
	}
	if _, err := Inspect(t.Context(), InspectOptions{Host: "nonsense"}); err == nil {
		t.Error("a host that makes no sense was accepted")
	}
}
