package docker

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

type seccompRule struct {
	Names    []string `json:"names"`
	Action   string   `json:"action"`
	ErrnoRet *int     `json:"errnoRet"`
	Args     []any    `json:"args"`
	Comment  string   `json:"comment"`
	Includes any      `json:"includes"`
	Excludes any      `json:"excludes"`
}

// The rules are those of reference profiles (moby/profiles, seccomp/default.json) less what seccomp.go
// lists; the classes of the attack suite that a name belongs to are beside it.
func TestSeccompProfile(t *testing.T) {
	text, err := seccompProfile()
	if err != nil {
		t.Fatal(err)
	}
	var profile struct {
		DefaultAction   string `json:"defaultAction"`
		DefaultErrnoRet int    `json:"defaultErrnoRet"`
		ArchMap         []struct {
			Architecture     string   `json:"architecture"`
			SubArchitectures []string `json:"subArchitectures"`
		} `json:"archMap"`
		Syscalls []seccompRule `json:"syscalls"`
	}
	if err := json.Unmarshal([]byte(text), &profile); err != nil {
		t.Fatal(err)
	}
	if profile.DefaultAction != "SCMP_ACT_ERRNO" || profile.DefaultErrnoRet != 1 {
		t.Errorf("the default is %s %d, want EPERM", profile.DefaultAction, profile.DefaultErrnoRet)
	}
	for _, arch := range profile.ArchMap {
		if len(arch.SubArchitectures) != 0 {
			t.Errorf("%s lets in %v", arch.Architecture, arch.SubArchitectures) // ES22
		}
	}
	free := map[string]bool{}
	for _, rule := range profile.Syscalls {
		if !slices.IsSorted(rule.Names) || len(slices.Compact(slices.Clone(rule.Names))) != len(rule.Names) {
			t.Errorf("not sorted or not unique: %v", rule.Names)
		}
		if rule.Includes != nil || rule.Excludes != nil || rule.Comment == "" {
			t.Errorf("the rule for %v is conditional or without a comment", rule.Names)
		}
		allow := rule.Action == "SCMP_ACT_ALLOW"
		if !allow && (rule.Names[0] != "clone3" || rule.ErrnoRet == nil || *rule.ErrnoRet != 38) {
			t.Errorf("the rule for %v is %s", rule.Names, rule.Action)
		}
		for _, name := range rule.Names {
			free[name] = allow && len(rule.Args) == 0
		}
	}
	for name := range strings.FieldsSeq(`
		acct add_key adjtimex bpf cachestat chroot clock_adjtime clock_settime delete_module fanotify_init fanotify_mark
		finit_module fsconfig fsmount fsopen fspick get_mempolicy init_module io_cancel io_destroy io_getevents
		io_pgetevents io_setup io_submit io_uring_enter io_uring_register io_uring_setup ioperm iopl ipc kcmp
		kexec_file_load kexec_load keyctl landlock_add_rule landlock_create_ruleset landlock_restrict_self listmount
		lookup_dcookie map_shadow_stack mbind memfd_secret migrate_pages modify_ldt mount mount_setattr move_mount
		move_pages mq_open msgget name_to_handle_at open_by_handle_at open_tree perf_event_open pidfd_getfd pidfd_open
		pidfd_send_signal pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace quotactl
		quotactl_fd reboot remap_file_pages request_key seccomp set_mempolicy sethostname setns settimeofday socketcall
		statmount swapoff swapon sync syncfs syslog tee umount umount2 unshare userfaultfd vhangup vmsplice
		clone clone3 mknod mknodat personality socket socketpair`) {
		if free[name] {
			t.Errorf("%s is allowed with any argument", name)
		}
	}
	for name := range strings.FieldsSeq("execve futex kill read setgid setgroups setresgid setresuid setuid write") {
		if !free[name] {
			t.Errorf("%s, which the guest needs, is not allowed", name)
		}
	}
}

// What data scientists do goes on under the profile, and under gVisor.
func TestOrdinaryProgramsWork(t *testing.T) {
	script, err := os.ReadFile("testdata/workload.py")
	if err != nil {
		t.Fatal(err)
	}
	forRuntimes(t, func(t *testing.T, runtime string) {
		t.Helper()
		driver := newTestDriver(t, nil)
		spec := testSpec(runtime)
		spec.Limits.MemoryBytes = 1 << 30
		made := create(t, driver, spec)
		// Pools of other start methods import the main module, so that it must be a file.
		run(t, made.Transport(), false, string(script), "sh", "-c", "cat > /home/user/workload.py")
		reply := run(t, made.Transport(), false, "", "python3", "/home/user/workload.py")
		var done map[string]string
		if err := json.Unmarshal([]byte(reply.Stdout), &done); err != nil {
			t.Fatalf("the workload said %q and %q: %v", reply.Stdout, reply.Stderr, err)
		}
		for name, outcome := range done {
			if outcome != "fine" {
				t.Errorf("%s: %s", name, outcome)
			}
		}
		if len(done) < 12 {
			t.Errorf("only %d kinds of work ran", len(done))
		}
	})
}
