package docker

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
)

const (
	commandTimeout  = 10 * time.Second
	maxChangelog    = 4 << 20
	runcChangelog   = "/usr/share/doc/runc/changelog.Debian.gz"
	unreadableValue = "not readable"
)

// facts are what was found, before anybody judges it.
type facts struct {
	options   InspectOptions
	engineErr error // why the engine does not answer
	info      system.Info
	api       string // the version that client and engine agree on
	runc      string // version

	image    *image.InspectResponse // nil when missing
	imageErr error

	local         bool // the engine is on this host, so that what follows is known
	runsc         string
	runscBuild    string // pseudo-version of the gVisor module
	runscErr      error
	runcChangelog string
	sysctls       map[string]string
	socketMode    fs.FileMode // zero when there is no socket file
	freeBytes     uint64
	freeInodes    uint64
	allInodes     uint64
}

// collect asks the engine and reads the host. What cannot be learnt stays empty, and judge says so.
func collect(ctx context.Context, engine *client.Client, options InspectOptions) facts {
	found := facts{options: options}
	asking, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if found.info, found.engineErr = engine.Info(asking); found.engineErr != nil {
		return found
	}
	found.api = engine.ClientVersion()
	if version, err := engine.ServerVersion(asking); err == nil {
		for _, part := range version.Components {
			if part.Name == "runc" {
				found.runc = part.Version + " " + part.Details["GitCommit"]
			}
		}
	}
	if options.Image != "" {
		got, err := engine.ImageInspect(asking, options.Image)
		if err == nil {
			found.image = &got
		}
		found.imageErr = err
	}
	socket, local := strings.CutPrefix(engine.DaemonHost(), "unix://")
	if found.local = local; local {
		found.readHost(ctx, socket)
	}
	return found
}

func (f *facts) readHost(ctx context.Context, socket string) {
	if runtime, exists := f.info.Runtimes["runsc"]; exists {
		f.runsc, f.runscBuild, f.runscErr = runscVersion(ctx, runtime.Path)
	}
	f.runcChangelog = readGzip(runcChangelog)
	f.sysctls = map[string]string{}
	for _, path := range []string{
		"kernel/io_uring_disabled", "kernel/unprivileged_bpf_disabled", "vm/unprivileged_userfaultfd",
		"kernel/dmesg_restrict", "kernel/kptr_restrict", "kernel/core_pattern", "kernel/perf_event_paranoid",
	} {
		if text, err := os.ReadFile("/proc/sys/" + path); err == nil {
			f.sysctls[path] = strings.TrimSpace(string(text))
		}
	}
	if stat, err := os.Stat(socket); err == nil {
		f.socketMode = stat.Mode()
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(f.info.DockerRootDir, &stat); err == nil {
		f.freeBytes = stat.Bavail * uint64(stat.Bsize)
		f.freeInodes, f.allInodes = stat.Ffree, stat.Files
	}
}

// runscVersion runs the program that the engine would run and reads what it was built from.
func runscVersion(ctx context.Context, path string) (text, build string, err error) {
	if path == "" {
		return "", "", errors.New("the engine does not say where it is")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", "", err
	}
	text, _, _ = strings.Cut(string(out), "\n")
	if resolved, err := exec.LookPath(path); err == nil {
		path = resolved
	}
	if built, err := buildinfo.ReadFile(path); err == nil {
		build = gvisorVersion(built)
	}
	return strings.TrimSpace(text), build, nil
}

func gvisorVersion(built *buildinfo.BuildInfo) string {
	if built.Main.Path == "gvisor.dev/gvisor" {
		return built.Main.Version
	}
	for _, module := range built.Deps {
		if module.Path == "gvisor.dev/gvisor" {
			return module.Version
		}
	}
	return ""
}

// readGzip returns the text of a compressed file, or nothing.
func readGzip(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return ""
	}
	var text bytes.Buffer
	if _, err := io.Copy(&text, io.LimitReader(unpacked, maxChangelog)); err != nil {
		return ""
	}
	return text.String()
}
