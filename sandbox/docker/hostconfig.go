package docker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	guestPath = "/opt/sandgate/guestd"
	homePath  = "/home/user"

	// guestPids is how many processes and threads the guest and its zygote may need beside the user's.
	guestPids = 64
	// guestMemory is what the guest and an idle zygote need beside the user's memory under runc.
	guestMemory = 16 * sandbox.MiB
	// sentryMemory is that, and what the Sentry and its gofer need, under runsc: the engine's memory
	// limit holds them too. There the guest keeps the user to its limit, since the engine could only
	// kill the whole sandbox; the engine's limit lies half as much again above, as room to act in.
	sentryMemory = 256 * sandbox.MiB
	// sentryPids is the least under which the Sentry's own host threads never hit the limit. If they do,
	// the whole sandbox dies, so that under runsc the user is bounded by the nproc ulimit instead.
	sentryPids = 1024

	// sparesMemory is from which memory limit on a sandbox can afford kernels in reserve.
	sparesMemory = 512 * sandbox.MiB

	guestInodes = 16 // what the template and the mount itself take of the workspace's inodes
)

// plan is everything that decides how a container is made. Equal plans make equal containers.
type plan struct {
	spec          sandbox.Spec // defaults filled in
	uid           int          // of the user inside; the gid is equal
	image         string
	labels        map[string]string
	cgroupParent  string
	cgroupV1      bool
	appArmor      bool // whether the host has it
	seccomp       string
	orphanTimeout time.Duration
}

// containerConfig says what runs in the container. The environment is exactly this list and HOSTNAME:
// nothing of the gateway's own goes in.
func (p plan) containerConfig() *container.Config {
	return &container.Config{
		Hostname:     "sandbox",
		User:         "0:0",
		Image:        p.image,
		Entrypoint:   []string{guestPath},
		Cmd:          p.guestFlags(),
		Env:          environment(),
		WorkingDir:   "/",
		AttachStdin:  true,
		AttachStdout: true,
		AttachStderr: true,
		// A gateway that takes a sandbox over attaches again, so stdin must outlive its first holder.
		OpenStdin:   true,
		StdinOnce:   false,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		Labels:      p.labels,
	}
}

func (p plan) guestFlags() []string {
	return []string{
		"--uid", strconv.Itoa(p.uid),
		"--template", p.spec.Template,
		"--memory", strconv.FormatInt(p.spec.Limits.MemoryBytes, 10),
		"--files", strconv.FormatInt(int64(p.spec.Limits.WorkspaceFiles), 10),
		"--spares", strconv.Itoa(p.spares()),
		"--orphan-timeout", p.orphanTimeout.String(),
	}
}

// spares is how many Python kernels the guest keeps in reserve for new contexts. A lean one is forked
// as fast as it is asked for. With numpy and pandas in memory a fork takes 5 ms and 3 MiB of its own
// on a shared kernel. gVisor copies 2 MiB wherever a fork writes, so that it takes 50 ms and 60 MiB.
func (p plan) spares() int {
	switch {
	case p.spec.Template != "data" || p.spec.Limits.MemoryBytes < sparesMemory:
		return 0
	case p.sentry():
		return 1
	default:
		return 5
	}
}

func environment() []string {
	return []string{
		"HOME=" + homePath,
		"LANG=C.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
}

// hostConfig says what the container may touch. Fields that are not set here stay empty on purpose: no
// bind, mount, volume, device, port, link, extra host, added group, shared namespace, restart or log.
func (p plan) hostConfig() *container.HostConfig {
	no := false
	return &container.HostConfig{
		Runtime: p.spec.Runtime,
		// Not Config.NetworkDisabled, which would leave gVisor without a loopback interface too.
		NetworkMode:   "none",
		IpcMode:       container.IPCModePrivate,
		CgroupnsMode:  container.CgroupnsModePrivate,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     container.LogConfig{Type: "none"},

		CapDrop: []string{"ALL"},
		// The guest becomes the user with the first two and ends the user's processes with the third.
		CapAdd:      []string{"SETUID", "SETGID", "KILL"},
		SecurityOpt: p.securityOptions(),

		ReadonlyRootfs: true,
		Tmpfs:          p.tmpfs(),
		ShmSize:        p.shmSize(),
		MaskedPaths:    maskedPaths(),
		ReadonlyPaths:  readonlyPaths(),

		// Without a network a resolver is no use. Left alone, the engine would copy the host's
		// resolv.conf and so tell the sandbox the names and addresses of its network.
		DNS:       []string{"127.0.0.1"},
		DNSSearch: []string{"."},
		Sysctls: map[string]string{
			"net.ipv4.ping_group_range":      "1 0",
			"net.ipv6.conf.all.disable_ipv6": "1",
		},

		OomScoreAdj: 500,
		Init:        &no, // the guest reaps
		Resources:   p.resources(),
	}
}

func (p plan) securityOptions() []string {
	options := []string{"no-new-privileges", "seccomp=" + p.seccomp}
	if p.appArmor {
		options = append(options, "apparmor=docker-default")
	}
	return options
}

func (p plan) resources() container.Resources {
	memory := p.spec.Limits.MemoryBytes + guestMemory
	pids := int64(p.spec.Limits.MaxProcesses) + guestPids
	if p.sentry() {
		memory = p.spec.Limits.MemoryBytes*3/2 + sentryMemory
		pids = max(sentryPids, 4*pids)
	}
	resources := container.Resources{
		CgroupParent: p.cgroupParent,
		Memory:       memory,
		MemorySwap:   memory, // memory and swap together: no swap
		NanoCPUs:     int64(p.spec.Limits.CPUMillis) * 1_000_000,
		PidsLimit:    &pids,
		Ulimits:      p.ulimits(),
	}
	if p.cgroupV1 {
		var none int64
		resources.MemorySwappiness = &none
	}
	return resources
}

// sentry reports whether gVisor's kernel takes part, which needs room of its own.
func (p plan) sentry() bool { return p.spec.Runtime != "runc" }

// ulimits bound each process. Those that count by user (nproc) count by the host's user too where user
// namespaces are not remapped, which is why each sandbox has a uid of its own.
func (p plan) ulimits() []*container.Ulimit {
	nproc := int64(p.spec.Limits.MaxProcesses) + int64(p.spares()) // which are not of the user's making
	if p.sentry() {
		// The Sentry counts root's threads like any other user's, and the guest has some.
		nproc = max(nproc, guestPids)
	}
	fileSize := max(p.spec.Limits.WorkspaceBytes, p.tmpSize(), p.shmSize())
	limit := func(name string, soft, hard int64) *container.Ulimit {
		return &container.Ulimit{Name: name, Soft: soft, Hard: hard}
	}
	limits := []*container.Ulimit{
		limit("core", 0, 0),
		limit("fsize", fileSize, fileSize),
		limit("memlock", 64*sandbox.KiB, 64*sandbox.KiB),
		limit("msgqueue", 0, 0),
		limit("nofile", 1024, 4096), // the guest holds descriptors of many processes
		limit("nproc", nproc, nproc),
		limit("stack", 8*sandbox.MiB, 8*sandbox.MiB),
	}
	if p.sentry() {
		// Under runc this would count what the host's own root has pending, and above it Go's runtime
		// waits for ever for a signal to its threads: there the guest sets it once it has started.
		limits = append(limits, limit("sigpending", 256, 256))
	}
	return limits
}

// tmpfs is all that can be written, /dev/shm and the guest's /run apart. Its pages count as memory.
// The workspace may hold programs, since user code builds and runs some.
// gVisor's runsc passes size, mode, uid and gid on, and drops nr_inodes; there the guest bounds the files.
func (p plan) tmpfs() map[string]string {
	mount := func(options ...string) string { return strings.Join(options, ",") }
	return map[string]string{
		homePath: mount("rw", "exec", "nosuid", "nodev", "mode=0755",
			fmt.Sprintf("uid=%d", p.uid), fmt.Sprintf("gid=%d", p.uid),
			fmt.Sprintf("size=%d", p.spec.Limits.WorkspaceBytes),
			fmt.Sprintf("nr_inodes=%d", int64(p.spec.Limits.WorkspaceFiles)+guestInodes)),
		"/run/sandgate": mount("rw", "noexec", "nosuid", "nodev", "mode=0755",
			fmt.Sprintf("size=%d", sandbox.MiB), "nr_inodes=256"),
		"/tmp": mount("rw", "noexec", "nosuid", "nodev", "mode=1777",
			fmt.Sprintf("size=%d", p.tmpSize()), "nr_inodes=16384"),
	}
}

func (p plan) tmpSize() int64 { return min(128*sandbox.MiB, p.spec.Limits.MemoryBytes/8) }

func (p plan) shmSize() int64 { return min(64*sandbox.MiB, p.spec.Limits.MemoryBytes/8) }

// maskedPaths are hidden: the engine's own list, which setting the field replaces, and what tells a
// sandbox about the host or its neighbours. runsc ignores the list and shows none of these.
func maskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/buddyinfo", "/proc/cmdline", "/proc/config.gz", "/proc/diskstats",
		"/proc/interrupts", "/proc/iomem", "/proc/ioports", "/proc/kallsyms", "/proc/kcore", "/proc/key-users",
		"/proc/keys", "/proc/latency_stats", "/proc/locks", "/proc/modules", "/proc/pagetypeinfo", "/proc/partitions",
		"/proc/sched_debug", "/proc/schedstat", "/proc/scsi", "/proc/softirqs", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/system/cpu", "/sys/devices/virtual/dmi", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
}

// readonlyPaths are the engine's own list, which setting the field replaces.
func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}
