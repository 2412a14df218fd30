package docker

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

// seccompSource is the system-call profile of every runc sandbox. It is an allow-list: what is not
// named fails with EPERM. gVisor does not read it; there the Sentry takes the kernel's place.
//
// Where it departs from Docker's default profile (moby/profiles, seccomp/default.json):
//   - No 32-bit architecture beside the native one: a call by that ABI kills the caller.
//   - No rule that depends on a capability: a sandbox never gets one that would widen it.
//   - socket only for AF_UNIX, AF_INET and AF_INET6. AF_VSOCK reaches the hypervisor from any network
//     namespace, AF_ALG was CVE-2026-31431, AF_NETLINK and AF_PACKET are large and not needed.
//   - Not named: io_uring_*, io_* (kernel AIO), ptrace, process_vm_*, process_madvise, kcmp, pidfd_*,
//     keyctl and its kin, bpf, perf_event_open, userfaultfd, memfd_secret, the mount family, namespaces,
//     handles, landlock_*, seccomp, modify_ldt, map_shadow_stack, remap_file_pages, vmsplice, tee, POSIX
//     and System V message queues, memory policy, clocks, fanotify, cachestat, syslog.
//   - sync and syncfs are not named either: they would make the host write back everybody's files.
//   - mknod makes FIFOs and nothing else, personality only asks.
//
// The setuid and setgid families stay: the guest drops to the user with them, and the user, who has no
// capability, gains nothing by them. splice stays because Go's net package does not fall back from EPERM.
//
//go:embed seccomp.json
var seccompSource []byte

// seccompProfile returns the profile without insignificant space, as the engine takes it inline.
func seccompProfile() (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, seccompSource); err != nil {
		return "", fmt.Errorf("seccomp profile: %w", err)
	}
	return compact.String(), nil
}
