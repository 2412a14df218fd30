package docker

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sandgate/sandgate/sandbox"
)

// golden compares got with a file of testdata, or writes it with -update.
func golden(t *testing.T, name string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	path := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s differs; if that is meant, run with -update (-want +got):\n%s", path, diff)
	}
}

func testPlan(runtime string) plan {
	return plan{
		spec:          sandbox.Spec{Template: "data", Runtime: runtime, Limits: sandbox.DefaultLimits()},
		uid:           20001,
		image:         "sandgate/sandbox:hash",
		labels:        map[string]string{labelOwner: "test"},
		cgroupV1:      true,
		seccomp:       "{}",
		orphanTimeout: time.Minute,
	}
}

// PO01: every field of what the engine is asked for, per runtime.
func TestHostConfigGolden(t *testing.T) {
	for _, runtime := range []string{"runc", "runsc"} {
		wanted := testPlan(runtime)
		golden(t, "hostconfig-"+runtime+".json", map[string]any{
			"Config": wanted.containerConfig(), "HostConfig": wanted.hostConfig(),
		})
	}
}

// Every field is either among those that are set on purpose or empty, so that a field which a new
// version of the client adds is noticed once it is not empty, and one of ours cannot be lost.
func TestOtherFieldsAreEmpty(t *testing.T) {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`Runtime NetworkMode IpcMode CgroupnsMode RestartPolicy LogConfig CapDrop CapAdd
		SecurityOpt ReadonlyRootfs Tmpfs ShmSize MaskedPaths ReadonlyPaths DNS DNSSearch Sysctls OomScoreAdj Init
		Memory MemorySwap MemorySwappiness NanoCPUs PidsLimit Ulimits`) {
		set[name] = true
	}
	mustBeEmpty := map[string]bool{}
	for name := range strings.FieldsSeq(`Binds ContainerIDFile PortBindings AutoRemove VolumeDriver VolumesFrom ConsoleSize
		Annotations DNSOptions ExtraHosts GroupAdd Cgroup Links PidMode Privileged PublishAllPorts StorageOpt UTSMode
		UsernsMode Isolation Mounts CPUShares CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps
		BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CPUPeriod CPUQuota CPURealtimePeriod
		CPURealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory KernelMemoryTCP
		MemoryReservation OomKillDisable CPUCount CPUPercent IOMaximumIOps IOMaximumBandwidth`) {
		mustBeEmpty[name] = true
	}
	for _, runtime := range []string{"runc", "runsc"} {
		check := func(value reflect.Value) {
			for i := range value.NumField() {
				name, field := value.Type().Field(i).Name, value.Field(i)
				switch {
				case name == "Resources":
				case set[name] && field.IsZero():
					t.Errorf("%s: %s is empty", runtime, name)
				case !set[name] && !field.IsZero():
					t.Errorf("%s: %s is %v, must be empty", runtime, name, field)
				case !set[name] && !mustBeEmpty[name]:
					t.Errorf("%s: the client has the field %s, which nobody has judged", runtime, name)
				}
			}
		}
		host := testPlan(runtime).hostConfig()
		check(reflect.ValueOf(*host))
		check(reflect.ValueOf(host.Resources))
	}
}

func TestPlanFollowsHostAndLimits(t *testing.T) {
	wanted := testPlan("runc")
	wanted.cgroupV1, wanted.appArmor, wanted.cgroupParent = false, true, "/sandgate"
	host := wanted.hostConfig()
	if host.MemorySwappiness != nil {
		t.Error("cgroup v2 has no swappiness")
	}
	if host.CgroupParent != "/sandgate" || host.SecurityOpt[2] != "apparmor=docker-default" {
		t.Errorf("options of the host are lost: %q %q", host.CgroupParent, host.SecurityOpt)
	}
	for _, test := range []struct {
		name    string
		memory  int64
		tmp     string
		runtime string
		room    int64 // the least beside the user's
	}{
		{"small runc", 128 * sandbox.MiB, "size=16777216", "runc", guestMemory},
		{"small runsc", 128 * sandbox.MiB, "size=16777216", "runsc", sentryMemory},
		{"large runc", 8 * sandbox.GiB, "size=134217728", "runc", guestMemory},
	} {
		t.Run(test.name, func(t *testing.T) {
			wanted := testPlan(test.runtime)
			wanted.spec.Limits.MemoryBytes = test.memory
			host := wanted.hostConfig()
			if !strings.Contains(host.Tmpfs["/tmp"], test.tmp) {
				t.Errorf("/tmp is %s, want %s", host.Tmpfs["/tmp"], test.tmp)
			}
			if host.Memory < test.memory+test.room || host.MemorySwap != host.Memory {
				t.Errorf("memory %d, with swap %d, want the user's %d and %d", host.Memory, host.MemorySwap, test.memory, test.room)
			}
		})
	}
}

// The guest's root is not exempt from nproc in the Sentry.
func TestSmallestProcessLimit(t *testing.T) {
	wanted := testPlan("runsc")
	wanted.spec.Limits.MaxProcesses = 16
	for _, limit := range wanted.hostConfig().Ulimits {
		if limit.Name == "nproc" && limit.Hard < guestPids {
			t.Errorf("nproc is %d", limit.Hard)
		}
	}
}
