package docker

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
	"github.com/sandgate/sandgate/sandbox/guest/channel"
)

// report is what testdata/probe.py says of the place it ran in.
type report struct {
	Status     map[string]string `json:"status"`
	Env        map[string]string `json:"env"`
	FDs        []string          `json:"fds"`
	FDsOf1     any               `json:"fds_of_1"`
	Mounts     []string          `json:"mounts"`
	Namespaces map[string]string `json:"namespaces"`
	Interfaces []string          `json:"interfaces"`
	Loopback   bool              `json:"loopback"`
	Resolv     string            `json:"resolv"`
	Hostname   string            `json:"hostname"`
	Cgroup     string            `json:"cgroup"`
	Shown      []string          `json:"shown"`
	Readable   []string          `json:"readable"`
	Kill1      string            `json:"kill_1"`
	Denied     map[string]string `json:"denied"`
	Allowed    map[string]string `json:"allowed"`
	Sockets    []string          `json:"sockets"`
	Writable   []string          `json:"writable"`
	Raised     []string          `json:"raised"`

	// What the host says, which the sandbox cannot forge. Empty where the engine is elsewhere.
	hostStatus     map[string]string
	hostNamespaces map[string]string
	inspected      container.InspectResponse
	uid            int
}

type probing struct{ syscalls, walk bool }

func probe(t *testing.T, transport http.RoundTripper, what probing) *report {
	t.Helper()
	script, err := os.ReadFile("testdata/probe.py")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := json.Marshal(map[string]any{"hidden": maskedPaths(), "syscalls": what.syscalls, "walk": what.walk})
	if err != nil {
		t.Fatal(err)
	}
	reply := run(t, transport, false, string(script), "python3", "-", string(asked))
	got := new(report)
	if err := json.Unmarshal([]byte(reply.Stdout), got); err != nil {
		t.Fatalf("the probe said %q and %q: %v", reply.Stdout, reply.Stderr, err)
	}
	return got
}

// launch starts a container like a sandbox's, but with the configuration weakened, and returns its guest.
func launch(t *testing.T, driver *Driver, wanted plan, weaken func(*container.Config, *container.HostConfig)) (string, http.RoundTripper) {
	t.Helper()
	config, host := wanted.containerConfig(), wanted.hostConfig()
	if weaken != nil {
		weaken(config, host)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	created, err := driver.engine.ContainerCreate(ctx, config, host, nil, nil, newName())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.removeContainer(context.Background(), created.ID); err != nil {
			t.Error(err)
		}
	})
	stream, err := attach(ctx, driver.engine, created.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := driver.engine.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	link, err := channel.Dial(ctx, stream, driver.options.Epoch)
	if err != nil {
		t.Fatalf("%v; %s", err, stream.tail)
	}
	t.Cleanup(func() { _ = link.Close() })
	return created.ID, link
}

// livePlan is the plan of a real sandbox, as Create makes it.
func livePlan(driver *Driver, runtime string) plan {
	spec := testSpec(runtime)
	spec.Limits = spec.Limits.WithDefaults()
	return plan{
		spec: spec, uid: firstUID + 4242, image: testImage(), labels: map[string]string{labelOwner: driver.options.Owner},
		cgroupV1: driver.cgroupV1, appArmor: driver.appArmor, seccomp: driver.seccomp, orphanTimeout: time.Minute,
	}
}

// observe launches, probes from inside, and looks from the host.
func observe(t *testing.T, runtime string, what probing, weaken func(*container.Config, *container.HostConfig)) *report {
	t.Helper()
	driver := newTestDriver(t, nil)
	wanted := livePlan(driver, runtime)
	id, transport := launch(t, driver, wanted, weaken)
	got := probe(t, transport, what)
	got.uid = wanted.uid
	inspected, err := driver.engine.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	got.inspected = inspected
	got.lookFromHost(inspected.State.Pid)
	return got
}

// lookFromHost reads what the host's kernel says of PID 1, where the engine is on this host.
func (r *report) lookFromHost(pid int) {
	dir := "/proc/" + itoa(pid)
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return
	}
	r.hostStatus, r.hostNamespaces = map[string]string{}, map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found {
			r.hostStatus[key] = strings.TrimSpace(value)
		}
	}
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		if link, err := os.Readlink(dir + "/ns/" + name); err == nil {
			r.hostNamespaces[name] = link
		}
	}
}

func TestPostureOfALiveSandbox(t *testing.T) {
	forRuntimes(t, func(t *testing.T, name string) {
		t.Helper()
		got := observe(t, name, probing{syscalls: runtime.GOARCH == "amd64", walk: true}, nil)
		for _, oracle := range oracles(name) {
			for _, found := range oracle.violations(got) {
				t.Errorf("%s: %s", oracle.id, found)
			}
		}
		if got.Denied != nil {
			for call, outcome := range got.Denied {
				if slices.Contains(newCalls(), call) && name == "runc" && outcome == "ENOSYS" {
					got.Denied[call] = "EPERM" // which of the two depends on runc's version
				}
			}
			golden(t, "syscalls-"+name+".json", map[string]any{
				"Denied": got.Denied, "Allowed": got.Allowed, "Sockets": got.Sockets,
			})
		}
	})
}

// The negative control: each oracle must see its own weakness, or its silence above means nothing.
func TestOraclesSeeWeakConfigurations(t *testing.T) {
	replace := func(options []string, prefix, with string) []string {
		var out []string
		for _, option := range options {
			if strings.HasPrefix(option, prefix) {
				option = with
			}
			if option != "" {
				out = append(out, option)
			}
		}
		return out
	}
	for _, test := range []struct {
		name, oracle string
		runtimes     string
		what         probing
		weaken       func(*container.Config, *container.HostConfig)
	}{
		// A host that lacks a capability itself refuses to start this under runc.
		{"privileged", "PO02 capabilities", "runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.Privileged, h.CapDrop, h.SecurityOpt = true, nil, nil
		}},
		{"CAP_SYS_ADMIN", "PO02 capabilities", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.CapAdd = append(h.CapAdd, "SYS_ADMIN")
		}},
		{"new privileges", "PO02 no new privileges", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = replace(h.SecurityOpt, "no-new-privileges", "")
		}},
		{"no seccomp", "PO02 seccomp", "runc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = replace(h.SecurityOpt, "seccomp=", "seccomp=unconfined")
		}},
		{"no seccomp, by calls", "PO07 system calls", "runc", probing{syscalls: true}, func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = replace(h.SecurityOpt, "seccomp=", "seccomp=unconfined")
		}},
		{"the engine's seccomp", "PO07 system calls", "runc", probing{syscalls: true}, func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = replace(h.SecurityOpt, "seccomp=", "")
		}},
		{"the engine's seccomp, by sockets", "PO08 socket families", "runc", probing{syscalls: true}, func(_ *container.Config, h *container.HostConfig) {
			h.SecurityOpt = replace(h.SecurityOpt, "seccomp=", "")
		}},
		{"host's network", "PO04 namespaces", "runc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.NetworkMode, h.Sysctls = "host", nil
		}},
		{"bridge", "NW network", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.NetworkMode = "bridge"
		}},
		{"host's pids", "PO04 namespaces", "runc", probing{}, func(_ *container.Config, h *container.HostConfig) { h.PidMode = "host" }},
		{"host's cgroups", "PO04 namespaces", "runc", probing{}, func(_ *container.Config, h *container.HostConfig) { h.CgroupnsMode = "host" }},
		{"writable root", "PO09 writable paths", "runc runsc", probing{walk: true}, func(_ *container.Config, h *container.HostConfig) {
			h.ReadonlyRootfs = false
			h.Tmpfs["/opt/sandgate/open"] = "rw,mode=1777"
		}},
		{"bind", "PO05 mounts", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) { h.Binds = []string{"/etc:/mnt:ro"} }},
		{"environment", "PO06 environment", "runc runsc", probing{}, func(c *container.Config, _ *container.HostConfig) {
			c.Env = append(c.Env, "SANDGATE_KEY=secret")
		}},
		{"host's resolver", "NW resolver", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.DNS, h.DNSSearch = []string{"192.0.2.53"}, []string{"corp.example"}
		}},
		{"nothing masked", "PO05 masked paths", "runc", probing{}, func(_ *container.Config, h *container.HostConfig) { h.MaskedPaths = []string{} }},
		{"same user as the guest", "PO03 the guest's secrets", "runc runsc", probing{}, func(c *container.Config, _ *container.HostConfig) {
			c.Cmd[1] = "0"
		}},
		{"no limits", "RX limits", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.Resources = container.Resources{}
		}},
		{"logs to disk", "RX limits", "runc runsc", probing{}, func(_ *container.Config, h *container.HostConfig) {
			h.LogConfig = container.LogConfig{Type: "json-file"}
		}},
	} {
		for name := range strings.FieldsSeq(test.runtimes) {
			t.Run(test.name+"/"+name, func(t *testing.T) {
				if test.what.syscalls && runtime.GOARCH != "amd64" {
					t.Skip("the probe knows the numbers of x86-64 only")
				}
				got := observe(t, name, test.what, test.weaken)
				for _, oracle := range oracles(name) {
					if oracle.id == test.oracle {
						if len(oracle.violations(got)) == 0 {
							t.Errorf("%s sees nothing", oracle.id)
						}
						return
					}
				}
				t.Fatalf("no oracle %q", test.oracle)
			})
		}
	}
}

var _ sandbox.Sandbox = (*instance)(nil)
