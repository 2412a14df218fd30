"""Runs inside a sandbox and reports as JSON what the sandbox lets its caller do. It judges nothing."""
import ctypes, errno, json, mmap, os, signal, socket, stat, sys

libc = ctypes.CDLL(None, use_errno=True)

# x86-64 numbers. The arguments are such that a call that gets through does no harm.
SYSCALLS = {
    "acct": (163, [1]), "add_key": (248, [0, 0, 0, 0, 0]), "adjtimex": (159, [0]), "bpf": (321, [0, 0, 0]),
    "cachestat": (451, [-1, 0, 0, 0]), "chroot": (161, [0]), "clock_adjtime": (305, [0, 0]), "clock_settime": (227, [0, 0]),
    "clone3": (435, [0, 0]), "clone(NEWUSER)": (56, [0x10000000 | 17, 0, 0, 0, 0]), "clone(NEWNET)": (56, [0x40000000 | 17, 0, 0, 0, 0]),
    "delete_module": (176, [0, 0]), "fanotify_init": (300, [0, 0]), "fanotify_mark": (301, [-1, 0, 0, 0, 0]),
    "finit_module": (313, [-1, 0, 0]), "fsconfig": (431, [-1, 0, 0, 0, 0]), "fsmount": (432, [-1, 0, 0]), "fsopen": (430, [0, 0]),
    "fspick": (433, [-1, 0, 0]), "get_mempolicy": (239, [0, 0, 0, 0, 0]), "init_module": (175, [0, 0, 0]),
    "io_setup": (206, [0, 0]), "io_uring_enter": (426, [-1, 0, 0, 0, 0, 0]), "io_uring_register": (427, [-1, 0, 0, 0]),
    "io_uring_setup": (425, [1, 0]), "ioperm": (173, [0, 0, 0]), "iopl": (172, [0]), "kcmp": (312, [1, 1, 0, 0, 0]),
    "kexec_file_load": (320, [-1, -1, 0, 0, 0]), "kexec_load": (246, [0, 0, 0, 0]), "keyctl": (250, [0, -3, 0]),
    "landlock_add_rule": (445, [-1, 0, 0, 0]), "landlock_create_ruleset": (444, [0, 0, 1]), "landlock_restrict_self": (446, [-1, 0]),
    "listmount": (458, [0, 0, 0, 0]), "lookup_dcookie": (212, [0, 0, 0]), "lsm_get_self_attr": (459, [0, 0, 0, 0]),
    "map_shadow_stack": (453, [0, 0, 0]), "mbind": (237, [0, 0, 0, 0, 0, 0]), "memfd_secret": (447, [0]), "migrate_pages": (256, [0, 0, 0, 0]),
    "mknod(char)": (133, [b"/tmp/null", 0o020666, 0x103]), "mknodat(block)": (259, [-100, b"/tmp/blk", 0o060666, 0x700]),
    "modify_ldt": (154, [0, 0, 0]), "mount": (165, [0, 0, 0, 0, 0]), "mount_setattr": (442, [-1, 0, 0, 0, 0]),
    "move_mount": (429, [-1, 0, -1, 0, 0]), "move_pages": (279, [0, 0, 0, 0, 0, 0]), "mq_open": (240, [0, 0, 0, 0]),
    "msgget": (68, [0x1234, 0]), "name_to_handle_at": (303, [-100, 0, 0, 0, 0]), "open_by_handle_at": (304, [-1, 0, 0]),
    "open_tree": (428, [-1, 0, 0]), "perf_event_open": (298, [0, 0, 0, -1, 0]), "personality(NO_RANDOMIZE)": (135, [0x0040000]),
    "pidfd_getfd": (438, [-1, 0, 0]), "pidfd_open": (434, [1, 0]), "pidfd_send_signal": (424, [-1, 0, 0, 0]), "pivot_root": (155, [0, 0]),
    "process_madvise": (440, [-1, 0, 0, 0, 0]), "process_mrelease": (448, [-1, 0]), "process_vm_readv": (310, [os.getpid(), 0, 0, 0, 0, 0]),
    "process_vm_writev": (311, [os.getpid(), 0, 0, 0, 0, 0]), "ptrace(TRACEME)": (101, [0, 0, 0, 0]), "quotactl": (179, [0, 0, 0, 0]),
    "quotactl_fd": (443, [-1, 0, 0, 0]), "reboot": (169, [0, 0, 0, 0]), "remap_file_pages": (216, [0, 0, 0, 0, 0]), "request_key": (249, [0, 0, 0, 0]),
    "seccomp": (317, [99, 0, 0]), "set_mempolicy": (238, [0, 0, 0]), "setdomainname": (171, [0, 0]), "sethostname": (170, [0, 0]),
    "setns": (308, [-1, 0]), "settimeofday": (164, [0, 0]), "statmount": (457, [0, 0, 0, 0]), "swapoff": (168, [0]), "swapon": (167, [0, 0]),
    "sync": (162, []), "syncfs": (306, [-1]), "sysfs": (139, [3]), "syslog": (103, [10, 0, 0]), "tee": (276, [-1, -1, 0, 0]),
    "umount2": (166, [0, 0]), "unshare": (272, [0]), "uselib": (134, [0]), "userfaultfd": (323, [1]), "ustat": (136, [0, 0]),
    "vhangup": (153, []), "vmsplice": (278, [-1, 0, 0, 0]),
}
# What ordinary programs need, to show that the probe tells the two apart.
ALLOWED = {
    "clone(plain)": (56, [17, 0, 0, 0, 0]), "copy_file_range": (326, [-1, 0, -1, 0, 0, 0]), "eventfd2": (290, [0, 0]), "futex": (202, [0, 1, 0, 0, 0, 0]),
    "getpid": (39, []), "memfd_create": (319, [b"x", 0]), "mknod(fifo)": (133, [b"/tmp/fifo", 0o010600, 0]), "personality(query)": (135, [0xffffffff]),
    "sched_getaffinity": (204, [0, 0, 0]), "setuid(self)": (105, [os.getuid()]),
    "splice": (275, [-1, 0, -1, 0, 0, 0]),
}


def outcome(work):
    """What work does in a child of its own: ok, an errno's name, or the signal that killed it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    said = os.read(reader, 100).decode()
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return said


def call(number, args):
    def work():
        ctypes.set_errno(0)
        words = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in args]
        parent = os.getpid()
        got = libc.syscall(ctypes.c_long(number), *words)
        if os.getpid() != parent:
            os._exit(0)
        return "ok" if got != -1 else errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno()))
    return outcome(work)


def machine_code(code):
    def work():
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        got = run()
        return "ok" if got >= 0 else errno.errorcode.get(-got, str(got))
    return outcome(work)


def families():
    opened = []
    for family in range(46):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind, 0).close()
                opened.append(f"{family}/{int(kind)}")
            except OSError:
                pass
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
        opened.append("icmp")
    except OSError:
        pass
    return opened


def walk():
    writable, raised = [], []
    for top, dirs, files in os.walk("/"):
        if top == "/":
            dirs[:] = [d for d in dirs if d != "proc"]
        if top.startswith(("/sys/fs/cgroup", "/dev/pts")):
            dirs[:] = []
        for path in [top] + [os.path.join(top, f) for f in files]:
            try:
                mode = os.lstat(path).st_mode
                if not stat.S_ISLNK(mode) and os.access(path, os.W_OK):
                    writable.append(path)
                if stat.S_ISREG(mode) and mode & 0o6000:
                    raised.append(path)
            except OSError:
                pass
    for top, dirs, files in os.walk("/proc/sys"):
        writable += [p for p in [top] + [os.path.join(top, f) for f in files] if os.access(p, os.W_OK)]
    writable += [p for p in ("/proc/sysrq-trigger", "/proc/1/mem", "/proc/1/oom_score_adj") if os.access(p, os.W_OK)]
    return sorted(writable), sorted(raised)


def hidden(path):
    """Whether nothing is to be learnt from path."""
    try:
        if os.path.isdir(path):
            return not os.listdir(path)
        with open(path, "rb") as f:
            return not f.read(1)
    except OSError:
        return True


def readable(path):
    try:
        with open(path, "rb") as f:
            f.read(1)
        return True
    except OSError:
        return False


def fds(pid):
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError as e:
        return errno.errorcode[e.errno]
    found = []
    for n in sorted(numbers, key=int):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{n}").split(":")[0] + "#" + n)
        except OSError as e:
            if e.errno != errno.ENOENT:  # that was the listing's own
                found.append(errno.errorcode[e.errno] + "#" + n)
    return found


def interfaces():
    """From /proc, since the usual way asks netlink."""
    try:
        return sorted(line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:])
    except OSError as e:
        return [errno.errorcode[e.errno]]


def loopback():
    """Whether a program can serve another on 127.0.0.1, which the way out through a proxy needs."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
            return True
    except OSError:
        return False


def kill_errno():
    try:
        os.kill(1, 0)
        return "ok"
    except OSError as e:
        return errno.errorcode[e.errno]


asked = json.loads(sys.argv[1])
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
report = {
    "status": {k: status.get(k, "").strip() for k in ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")},
    "env": dict(os.environ), "fds": fds("self"), "fds_of_1": fds(1),
    "mounts": sorted({line.split()[4] + " " + line.split(" - ")[1].split()[0] for line in open("/proc/self/mountinfo")}),
    "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts") if os.path.islink("/proc/self/ns/" + n)},
    "interfaces": interfaces(), "loopback": loopback(),
    "resolv": open("/etc/resolv.conf").read() if os.path.exists("/etc/resolv.conf") else "",
    "hostname": socket.gethostname(), "cgroup": open("/proc/self/cgroup").read() if os.path.exists("/proc/self/cgroup") else "",
    "shown": [p for p in asked["hidden"] if not hidden(p)],
    "readable": [p for p in ("/proc/1/environ", "/proc/1/mem", "/proc/1/cwd", "/proc/1/maps") if readable(p)],
    "kill_1": kill_errno(),
}
if asked["syscalls"]:
    report["denied"] = {name: call(*what) for name, what in sorted(SYSCALLS.items())}
    report["allowed"] = {name: call(*what) for name, what in sorted(ALLOWED.items())}
    report["denied"]["int 0x80 getpid"] = machine_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    report["denied"]["x32 getpid"] = call(0x40000000 | 39, [])
    report["sockets"] = families()
if asked["walk"]:
    report["writable"], report["raised"] = walk()
json.dump(report, sys.stdout)
