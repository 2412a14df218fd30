package docker

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

const privateImage = "sandgate-test:private"

// privateEngine is a dockerd of the test's own, which it may kill. It has no network and one image, which holds
// nothing but the test's guest.
type privateEngine struct {
	dir    string
	host   string
	client *client.Client
	cmd    *exec.Cmd
	log    bytes.Buffer
}

// startPrivateEngine starts an engine after what prepare does to its folder. It skips the test where no second engine can be had: without root, or without dockerd.
func startPrivateEngine(t *testing.T, prepare ...func(e *privateEngine)) *privateEngine {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an engine of its own")
	}
	if os.Getuid() != 0 {
		t.Skip("only root can start a second engine")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Skip("there is no dockerd here to start a second engine with")
	}
	dir, err := os.MkdirTemp("", "sgd") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	e := &privateEngine{dir: dir, host: "unix://" + filepath.Join(dir, "d.sock")}
	t.Cleanup(func() { e.remove(t) })
	settings, err := json.Marshal(map[string]any{"runtimes": registeredRuntimes()})
	if err == nil {
		err = os.WriteFile(e.path("daemon.json"), settings, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if e.client, err = connect(e.host); err != nil {
		t.Fatal(err)
	}
	for _, each := range prepare {
		each(e)
	}
	e.start(t)
	e.importGuest(t)
	return e
}

// registeredRuntimes are those that are installed besides runc.
func registeredRuntimes() map[string]any {
	if path, err := exec.LookPath("runsc"); err == nil {
		return map[string]any{"runsc": map[string]any{"path": path, "runtimeArgs": []string{"--platform=systrap"}}}
	}
	return map[string]any{}
}

func (e *privateEngine) path(name string) string { return filepath.Join(e.dir, name) }

// start starts the engine, for the first time or after its end.
func (e *privateEngine) start(t *testing.T) {
	t.Helper()
	for _, stale := range []string{"d.pid", "exec/containerd/containerd.pid"} {
		if err := os.Remove(e.path(stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	e.cmd = exec.Command("dockerd", "--data-root", e.path("data"), "--exec-root", e.path("exec"), "--host", e.host,
		"--pidfile", e.path("d.pid"), "--config-file", e.path("daemon.json"), "--bridge=none", "--iptables=false", "--ip-forward=false")
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	// A network of its own: an engine without a bridge removes the one that another engine has.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the private engine to answer", func() bool {
		_, err := e.client.Ping(t.Context())
		return err == nil
	})
}

// kill kills the engine, as kill -9 does, and waits until its containerd has followed it.
func (e *privateEngine) kill(t *testing.T, _ string) {
	t.Helper()
	containerd := e.containerd(t)
	if err := e.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = e.cmd.Wait() // it was killed, and says so
	_ = syscall.Kill(containerd, syscall.SIGKILL)
	eventually(t, "containerd to end", func() bool { return !runs(containerd) })
}

// stop makes the engine hang until goOn.
func (e *privateEngine) stop(t *testing.T, _ string) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func (e *privateEngine) goOn(t *testing.T) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// containerd returns the process id of the engine's own containerd.
func (e *privateEngine) containerd(t *testing.T) int {
	t.Helper()
	raw, err := os.ReadFile(e.path("exec/containerd/containerd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// guestOf returns the process id, on the host, of a container's first process.
func (e *privateEngine) guestOf(t *testing.T, id string) int {
	t.Helper()
	found, err := e.client.ContainerInspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return found.State.Pid
}

// importGuest makes the image: one file is enough for a guest that runs nothing.
func (e *privateEngine) importGuest(t *testing.T) {
	t.Helper()
	guest, err := compileTestGuest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	for _, dir := range []string{"opt/", "opt/sandgate/", "home/", "home/user/", "tmp/", "run/", "proc/", "sys/", "dev/"} {
		err = errors.Join(err, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}))
	}
	err = errors.Join(err, archive.WriteHeader(&tar.Header{Name: strings.TrimPrefix(guestPath, "/"), Mode: 0o755, Size: int64(len(guest))}))
	if err == nil {
		_, err = archive.Write(guest)
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		t.Fatal(err)
	}
	done, err := e.client.ImageImport(t.Context(), image.ImportSource{Source: &files, SourceName: "-"}, privateImage, image.ImportOptions{})
	if err == nil {
		_, err = new(bytes.Buffer).ReadFrom(done)
		err = errors.Join(err, done.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// remove ends the engine and everything that it has started, and its folder.
func (e *privateEngine) remove(t *testing.T) {
	t.Helper()
	if e.client != nil {
		_ = e.client.Close()
	}
	if e.cmd != nil && e.cmd.ProcessState == nil {
		_ = e.cmd.Process.Signal(syscall.SIGCONT)
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		_ = e.cmd.Wait()
	}
	// What a killed engine has left: shims and guests, which name the folder, and their mounts.
	eventually(t, "everything of the private engine to end", func() bool {
		left := namingPath(e.dir)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(left) == 0
	})
	if raw, err := os.ReadFile("/proc/self/mounts"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if fields := strings.Fields(line); strings.HasPrefix(fields[1], e.dir+"/") {
				_ = syscall.Unmount(fields[1], syscall.MNT_DETACH)
			}
		}
	}
	if err := os.RemoveAll(e.dir); err != nil {
		t.Errorf("%v; the engine said: %s", err, e.log.String())
	}
}

// namingPath returns the processes that have a path in their command line, as an engine's shims have its
// folder, and their children, which are the guests.
func namingPath(path string) []int {
	var found []int
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		line, lineErr := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if err != nil || lineErr != nil || pid == os.Getpid() || !strings.Contains(string(line), path+"/") {
			continue
		}
		children, _ := os.ReadFile("/proc/" + entry.Name() + "/task/" + entry.Name() + "/children")
		for child := range strings.FieldsSeq(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				found = append(found, pid)
			}
		}
		found = append(found, pid)
	}
	return found
}

// runs reports whether a process lives and is no zombie.
func runs(pid int) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, found := strings.Cut(string(raw), ") ")
	return err == nil && found && !strings.HasPrefix(rest, "Z")
}

// parentOf returns a process's parent, which for a guest is its container's shim.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	parent, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil {
		t.Fatal(err)
	}
	return parent
}

// eventually waits for something, for a minute at most.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // nobody tells
	}
}
