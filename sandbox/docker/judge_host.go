package docker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sandgate/sandgate/sandbox"
)

const (
	leastFreeDisk  = 1 * uint64(sandbox.GiB)
	modestFreeDisk = 5 * uint64(sandbox.GiB)
	remoteValue    = "not visible: the engine is remote"
)

func judgeLimits(f facts) Finding {
	finding := Finding{
		ID: "limits", Title: "Resource limits",
		Meaning: "without them one sandbox can take the whole host",
	}
	var missing, unsafe []string
	for _, each := range []struct {
		name    string
		has     bool
		crucial bool
	}{
		{"memory", f.info.MemoryLimit, true},
		{"pids", f.info.PidsLimit, true},
		{"CPU quota", f.info.CPUCfsQuota, true},
		{"swap", f.info.SwapLimit, false},
	} {
		if each.has {
			continue
		}
		missing = append(missing, each.name)
		if each.crucial {
			unsafe = append(unsafe, each.name)
		}
	}
	switch {
	case len(unsafe) > 0:
		return finding.verdict(StateFail, "missing: "+strings.Join(missing, ", "), "enable these cgroup controllers")
	case len(missing) > 0:
		return finding.verdict(StateWarn, "missing: "+strings.Join(missing, ", "), "boot with swapaccount=1, or turn swap off")
	}
	return finding.verdict(StateOK, "memory, swap, pids, CPU", "")
}

func judgeCgroup(f facts) Finding {
	finding := Finding{
		ID: "cgroup", Title: "Cgroup version",
		Meaning: "version 1 kills single processes when memory runs out, the guest perhaps among them",
	}
	value := fmt.Sprintf("%s (%s)", f.info.CgroupVersion, f.info.CgroupDriver)
	if f.info.CgroupVersion != "2" {
		return finding.verdict(StateWarn, value, "boot with systemd.unified_cgroup_hierarchy=1")
	}
	return finding.verdict(StateOK, value, "")
}

func judgeImage(f facts) Finding {
	finding := Finding{ID: "image", Title: "Sandbox image", Meaning: "every sandbox starts from it"}
	switch {
	case f.options.Image == "":
		return finding.verdict(StateOK, "not asked for", "")
	case f.image == nil:
		return finding.verdict(StateFail, fmt.Sprintf("%s: %v", f.options.Image, f.imageErr), "`make setup` builds it")
	}
	var value strings.Builder
	value.WriteString(f.options.Image + " " + f.image.ID)
	if f.image.Config != nil {
		for _, key := range sortedKeys(f.image.Config.Labels) {
			fmt.Fprintf(&value, " %s=%s", key, f.image.Config.Labels[key])
		}
	}
	return finding.verdict(StateOK, value.String(), "")
}

// judgeImageConfig looks for what an image adds to each of its containers whatever they are asked to be.
func judgeImageConfig(f facts) Finding {
	finding := Finding{
		ID: "image-config", Title: "Sandbox image's settings",
		Meaning: "volumes, ports and variables of the image would be given to every sandbox",
	}
	config := f.image.Config
	if config == nil {
		return finding.verdict(StateOK, "none", "")
	}
	var odd []string
	if len(config.Volumes) > 0 {
		odd = append(odd, "volumes")
	}
	if len(config.ExposedPorts) > 0 {
		odd = append(odd, "ports")
	}
	for _, variable := range config.Env {
		name, _, _ := strings.Cut(variable, "=")
		known := func(own string) bool { return strings.HasPrefix(own, name+"=") }
		if !slices.ContainsFunc(environment(), known) {
			odd = append(odd, "variable "+name)
		}
	}
	if len(odd) > 0 {
		return finding.verdict(StateFail, strings.Join(odd, ", "), "build the image without them, as `make setup` does")
	}
	return finding.verdict(StateOK, "none", "")
}

func judgeDisk(f facts) Finding {
	finding := Finding{
		ID: "disk", Title: "Free disk under the engine's data",
		Meaning: "sandboxes write to memory only, but the engine needs room for each",
	}
	if !f.local || f.allInodes == 0 && f.freeBytes == 0 {
		return finding.verdict(StateWarn, notVisible(f), "look on the engine's host")
	}
	value := fmt.Sprintf("%.1f GiB in %s", float64(f.freeBytes)/float64(sandbox.GiB), f.info.DockerRootDir)
	fewInodes := f.allInodes > 0 && f.freeInodes < 10_000
	switch {
	case f.freeBytes < leastFreeDisk || fewInodes:
		return finding.verdict(StateFail, fmt.Sprintf("%s, %d inodes", value, f.freeInodes), "free some")
	case f.freeBytes < modestFreeDisk:
		return finding.verdict(StateWarn, value, "free some")
	}
	return finding.verdict(StateOK, value, "")
}

func judgeKernel(f facts) Finding {
	finding := Finding{
		ID: "kernel", Title: "Kernel",
		Meaning: "CVE-2026-31431 (AF_ALG) was fixed in 6.18.22; sandboxes are refused AF_ALG in any case",
	}
	got, known := parseVersion(f.info.KernelVersion)
	if !known || !copyFailFixed(got) {
		return finding.verdict(StateWarn, f.info.KernelVersion, "make sure that your distribution has the fix")
	}
	return finding.verdict(StateOK, f.info.KernelVersion, "")
}

func judgeLSM(f facts) Finding {
	finding := Finding{
		ID: "lsm", Title: "AppArmor or SELinux",
		Meaning: "a second wall behind seccomp under runc",
	}
	for _, name := range []string{"apparmor", "selinux"} {
		if hasSecurityOption(f.info.SecurityOptions, name) {
			return finding.verdict(StateOK, name, "")
		}
	}
	return finding.verdict(StateWarn, "absent", "enable one, or use runsc")
}

func judgeUserns(f facts) Finding {
	finding := Finding{
		ID: "userns", Title: "User namespaces",
		Meaning: "with userns-remap or a rootless engine, root in a container is nobody on the host",
	}
	for _, name := range []string{"userns", "rootless"} {
		if hasSecurityOption(f.info.SecurityOptions, name) {
			return finding.verdict(StateOK, name, "")
		}
	}
	return finding.verdict(StateWarn, "not remapped",
		"on a host of its own set userns-remap in daemon.json; keep host uids 20000 to 59999 free of people either way")
}

func judgeLiveRestore(f facts) Finding {
	finding := Finding{
		ID: "live-restore", Title: "Live restore",
		Meaning: "without it every sandbox ends when the engine restarts",
	}
	if !f.info.LiveRestoreEnabled {
		return finding.verdict(StateWarn, "off", `set "live-restore": true in daemon.json`)
	}
	return finding.verdict(StateOK, "on", "")
}

func judgeSocket(f facts) Finding {
	finding := Finding{
		ID: "socket", Title: "Engine's socket",
		Meaning: "whoever can write to it is root on the host",
	}
	switch {
	case !f.local || f.socketMode == 0:
		return finding.verdict(StateWarn, notVisible(f), "let nobody but Sandgate reach the engine, by mutual TLS")
	case f.socketMode.Perm()&0o006 != 0:
		return finding.verdict(StateFail, f.socketMode.String(), "chmod o= the socket")
	}
	return finding.verdict(StateOK, f.socketMode.String(), "")
}

// judgeSysctls looks at settings that narrow what a sandbox that got past seccomp would find.
func judgeSysctls(f facts) []Finding {
	var findings []Finding
	for _, each := range []struct {
		path, meaning, want string
		good                []string
	}{
		{"kernel/io_uring_disabled", "io_uring has been a way into many kernels", "2", []string{"1", "2"}},
		{"kernel/unprivileged_bpf_disabled", "so has BPF", "1", []string{"1", "2"}},
		{"vm/unprivileged_userfaultfd", "userfaultfd makes races in the kernel easy to win", "0", []string{"0"}},
		{"kernel/dmesg_restrict", "the kernel's log tells addresses and neighbours", "1", []string{"1"}},
	} {
		name := strings.ReplaceAll(each.path, "/", ".")
		finding := Finding{ID: "sysctl-" + name, Title: name, Meaning: each.meaning}
		value, known := f.sysctls[each.path]
		switch {
		case !known:
			finding = finding.verdict(StateWarn, notVisible(f), "look on the engine's host")
		case slices.Contains(each.good, value):
			finding = finding.verdict(StateOK, value, "")
		default:
			finding = finding.verdict(StateWarn, value, fmt.Sprintf("sysctl -w %s=%s", name, each.want))
		}
		findings = append(findings, finding)
	}
	core := Finding{ID: "core-pattern", Title: "kernel.core_pattern", Meaning: "a pipe starts a program of the host's for every crash inside a sandbox"}
	switch pattern, known := f.sysctls["kernel/core_pattern"]; {
	case !known:
		core = core.verdict(StateWarn, notVisible(f), "look on the engine's host")
	case strings.HasPrefix(pattern, "|"):
		core = core.verdict(StateWarn, pattern, "sysctl -w kernel.core_pattern=core")
	default:
		core = core.verdict(StateOK, pattern, "")
	}
	return append(findings, core)
}

func notVisible(f facts) string {
	if !f.local {
		return remoteValue
	}
	return unreadableValue
}

func sortedKeys(labels map[string]string) []string {
	keys := make([]string, 0, len(labels))
	for key := range labels {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
