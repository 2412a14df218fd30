package docker

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// An oracle looks at a report and says what is wrong with it. The ids name the classes of the attack
// suite. Where the host can be asked, the oracle believes the host and not the sandbox.
type oracle struct {
	id         string
	violations func(*report) []string
}

func oracles(runtime string) []oracle {
	all := []oracle{
		{"PO02 capabilities", capabilities(runtime)},
		{"PO02 no new privileges", noNewPrivileges},
		{"PO02 user", user},
		{"PO03 descriptors", descriptors},
		{"PO03 the guest's secrets", secrets},
		{"PO05 mounts", mounts},
		{"PO06 environment", environmentExact},
		{"PO08 socket families", socketFamilies(runtime)},
		{"PO09 writable paths", writable},
		{"PO10 setuid files", setuid},
		{"NW network", network},
		{"NW resolver", resolver},
		{"RX limits", limits},
	}
	if runtime == "runc" {
		all = append(all,
			oracle{"PO02 seccomp", seccompMode},
			oracle{"PO04 namespaces", namespaces},
			oracle{"PO05 masked paths", masked},
			oracle{"PO07 system calls", systemCalls})
	}
	return all
}

func differ(what, got, want string) []string {
	if got == want {
		return nil
	}
	return []string{fmt.Sprintf("%s is %q, want %q", what, got, want)}
}

// capabilities: the user has none, and nothing to gain but KILL, SETGID and SETUID (bits 5, 6, 7), which
// no-new-privileges keeps out of reach.
func capabilities(runtime string) func(*report) []string {
	return func(r *report) []string {
		var found []string
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			found = append(found, differ(set+" of the user", r.Status[set], "0000000000000000")...)
		}
		found = append(found, differ("CapBnd of the user", r.Status["CapBnd"], "00000000000000e0")...)
		if runtime == "runc" && r.hostStatus != nil {
			for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
				found = append(found, differ(set+" of PID 1, says the host", r.hostStatus[set], "00000000000000e0")...)
			}
		}
		return found
	}
}

func noNewPrivileges(r *report) []string {
	return differ("NoNewPrivs", r.Status["NoNewPrivs"], "1")
}

func seccompMode(r *report) []string {
	found := differ("Seccomp", r.Status["Seccomp"], "2")
	if r.hostStatus != nil {
		found = append(found, differ("Seccomp of PID 1, says the host", r.hostStatus["Seccomp"], "2")...)
	}
	return found
}

func user(r *report) []string {
	id := itoa(r.uid)
	four := strings.Join([]string{id, id, id, id}, "\t")
	return slices.Concat(differ("Uid", r.Status["Uid"], four), differ("Gid", r.Status["Gid"], four), differ("Groups", r.Status["Groups"], ""))
}

// descriptors: what the user's program inherits is its three streams, by pipes.
func descriptors(r *report) []string {
	return differ("descriptors", strings.Join(r.FDs, " "), "pipe#0 pipe#1 pipe#2")
}

func secrets(r *report) []string {
	found := differ("descriptors of PID 1", fmt.Sprint(r.FDsOf1), "EACCES")
	found = append(found, differ("signal to PID 1", r.Kill1, "EPERM")...)
	return append(found, differ("readable of PID 1", strings.Join(r.Readable, " "), "")...)
}

// namespaces: none is the host's, the user namespace apart, which only the daemon can remap.
func namespaces(r *report) []string {
	if r.hostStatus == nil {
		return nil // the engine is on another host
	}
	var found []string
	for _, name := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		host, err := os.Readlink("/proc/self/ns/" + name)
		switch inside := r.hostNamespaces[name]; {
		case err != nil || inside == "":
			found = append(found, name+" cannot be read")
		case inside == host:
			found = append(found, name+" is the host's")
		}
	}
	return found
}

// mounts: only file systems of the kernel's own and the engine's three files.
func mounts(r *report) []string {
	kinds := strings.Fields("overlay proc tmpfs devpts sysfs cgroup cgroup2 mqueue 9p dev")
	var found []string
	for _, each := range r.Mounts {
		path, kind, _ := strings.Cut(each, " ")
		if kind == "9p" && path == "/" || slices.Contains([]string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}, path) {
			continue
		}
		if !slices.Contains(kinds, kind) || kind == "9p" || kind == "overlay" && path != "/" {
			found = append(found, "mounted: "+each)
		}
	}
	return found
}

func masked(r *report) []string {
	return differ("shown", strings.Join(r.Shown, " "), "")
}

func environmentExact(r *report) []string {
	want := map[string]bool{"HOSTNAME=sandbox": true}
	for _, each := range environment() {
		want[each] = true
	}
	// The C library's start-up adds its own.
	var found []string
	for key, value := range r.Env {
		if !want[key+"="+value] && key != "LC_CTYPE" && key != "PWD" {
			found = append(found, "environment: "+key+"="+value)
		}
	}
	return found
}

// newCalls are newer than any that the profile names. runc answers ENOSYS for such calls.
func newCalls() []string {
	return []string{"listmount", "statmount", "lsm_get_self_attr", "map_shadow_stack"}
}

func systemCalls(r *report) []string {
	var found []string
	for name, got := range r.Denied {
		want := []string{"EPERM"}
		switch name {
		case "clone3":
			want = []string{"ENOSYS"}
		case "int 0x80 getpid", "x32 getpid":
			// Another ABI ends the caller, or does not exist in the kernel or in the filter.
			want = []string{"SIGSYS", "SIGSEGV", "ENOSYS"}
		}
		if slices.Contains(newCalls(), name) {
			want = append(want, "ENOSYS")
		}
		if !slices.Contains(want, got) {
			found = append(found, name+": "+got)
		}
	}
	for name, got := range r.Allowed {
		if got == "EPERM" || got == "ENOSYS" {
			found = append(found, "ordinary call "+name+": "+got)
		}
	}
	return found
}

// socketFamilies: 1 is AF_UNIX, 2 AF_INET, 10 AF_INET6; 16, AF_NETLINK, is the Sentry's own under gVisor.
func socketFamilies(runtime string) func(*report) []string {
	return func(r *report) []string {
		var found []string
		for _, each := range r.Sockets {
			family, kind, _ := strings.Cut(each, "/")
			known := slices.Contains([]string{"1", "2", "10"}, family) || runtime == "runsc" && family == "16"
			if each == "icmp" && runtime == "runsc" {
				known = true // the Sentry's own, and there is nobody to ping
			}
			if !known || kind == "3" && family != "16" && family != "1" {
				found = append(found, "socket opened: "+each)
			}
		}
		return found
	}
}

func writable(r *report) []string {
	var found []string
	for _, path := range r.Writable {
		known := slices.Contains([]string{
			"/dev/full", "/dev/null", "/dev/ptmx", "/dev/pts/ptmx", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero",
			"/dev/shm", "/dev/mqueue", "/tmp", homePath,
			"/dev/fuse", "/dev/net/tun", // the last two are the Sentry's own
		}, path)
		if !known && !strings.HasPrefix(path, "/tmp/") {
			found = append(found, "writable: "+path)
		}
	}
	return found
}

func setuid(r *report) []string { return differ("setuid files", strings.Join(r.Raised, " "), "") }

func network(r *report) []string {
	found := differ("interfaces", strings.Join(r.Interfaces, " "), "lo")
	if !r.Loopback {
		found = append(found, "no loopback")
	}
	return found
}

func resolver(r *report) []string {
	var found []string
	for line := range strings.Lines(r.Resolv) {
		line = strings.TrimSpace(line)
		if line != "" && line != "nameserver 127.0.0.1" && !strings.HasPrefix(line, "#") && line != "search ." {
			found = append(found, "resolv.conf: "+line)
		}
	}
	return found
}

// limits asks the engine what it has applied, not what it was asked for.
func limits(r *report) []string {
	var found []string
	host := r.inspected.HostConfig
	if host.Memory == 0 || host.MemorySwap != host.Memory {
		found = append(found, "memory is unbounded")
	}
	if host.PidsLimit == nil || *host.PidsLimit <= 0 {
		found = append(found, "processes are unbounded")
	}
	if host.NanoCPUs == 0 {
		found = append(found, "processor time is unbounded")
	}
	if len(host.Ulimits) == 0 {
		found = append(found, "no ulimits")
	}
	return append(found, differ("log driver", host.LogConfig.Type, "none")...)
}
