package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"

	"github.com/sandgate/sandgate/sandbox"
)

// These tests need a Docker engine. Where there is none they fail, unless SANDGATE_TEST_NO_DOCKER=1
// says that this is known. SANDGATE_TEST_IMAGE names the image to put the test's guest into; without it
// the newest sandbox image is taken, or else the base image.

const bareImage = "sandgate-base:dev"

// testImage is the run's own, so that runs side by side do not remove each other's.
func testImage() string { return fmt.Sprintf("sandgate/docker-test:%d", os.Getpid()) }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	os.Exit(testMain(m))
}

// testMain makes the test image, runs the tests, removes the image and looks for leaked goroutines.
func testMain(m *testing.M) int {
	ctx := context.Background()
	engine, err := connect("")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := engine.Ping(ctx); err == nil { // each test says what it needs if there is none
		if err := buildTestImage(ctx, engine); err != nil {
			fmt.Fprintln(os.Stderr, "test image:", err)
			return 1
		}
		defer func() {
			_, _ = engine.ImageRemove(ctx, testImage(), image.RemoveOptions{Force: true, PruneChildren: true})
		}()
	}
	code := m.Run()
	if err := errors.Join(engine.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "leaked:", err)
		code = 1
	}
	return code
}

// testEngine returns a client of the engine that the tests need.
func testEngine(t *testing.T) *client.Client {
	t.Helper()
	engine, err := connect("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	if _, err := engine.Ping(t.Context()); err != nil {
		if os.Getenv("SANDGATE_TEST_NO_DOCKER") == "1" {
			t.Skip("SANDGATE_TEST_NO_DOCKER=1 and no Docker engine answers")
		}
		t.Fatalf("these tests need a Docker engine (or SANDGATE_TEST_NO_DOCKER=1): %v", err)
	}
	return engine
}

func baseImage(ctx context.Context, engine *client.Client) (string, error) {
	if name := os.Getenv("SANDGATE_TEST_IMAGE"); name != "" {
		return name, nil
	}
	found, err := engine.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "sandgate/sandbox"))})
	newest, name := int64(0), bareImage
	for _, each := range found {
		if each.Created > newest && len(each.RepoTags) > 0 {
			newest, name = each.Created, each.RepoTags[0]
		}
	}
	return name, err
}

// buildTestImage adds the test's guest to the base image.
func buildTestImage(ctx context.Context, engine *client.Client) error {
	base, err := baseImage(ctx, engine)
	if err != nil {
		return err
	}
	guest, err := compileTestGuest(ctx)
	if err != nil {
		return err
	}
	dockerfile := "FROM " + base + "\n"
	if base == bareImage { // the sandbox image has done this already
		dockerfile += "RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +\n"
	}
	dockerfile += "COPY guestd " + guestPath + "\n"
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	for name, body := range map[string][]byte{"Dockerfile": []byte(dockerfile), "guestd": guest} {
		// A fixed time keeps the engine's cache valid.
		header := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(body)), ModTime: time.Unix(1, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(body); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	built, err := engine.ImageBuild(ctx, &files, build.ImageBuildOptions{
		Tags: []string{testImage()}, Remove: true, ForceRemove: true, NetworkMode: "none",
	})
	if err != nil {
		return err
	}
	defer func() { _ = built.Body.Close() }()
	log, err := io.ReadAll(built.Body)
	if err == nil && bytes.Contains(log, []byte(`"errorDetail"`)) {
		err = fmt.Errorf("build: %s", log)
	}
	return err
}

func compileTestGuest(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "sandgate-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "guestd")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./testdata/guest")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the test's guest: %w\n%s", err, out)
	}
	return os.ReadFile(binary)
}

// newTestDriver returns a driver with an owner of its own, whose containers are removed with the test.
func newTestDriver(t *testing.T, adjust func(*Options)) *Driver {
	t.Helper()
	engine := testEngine(t)
	options := Options{Image: testImage(), Owner: "test-" + newName()}
	if adjust != nil {
		adjust(&options)
	}
	driver, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
		removeOwned(t, engine, driver.options.Owner)
	})
	return driver
}

// removeOwned removes what is left of an owner and fails the test if the engine does not say how.
func removeOwned(t *testing.T, engine *client.Client, owner string) {
	t.Helper()
	cleaner := &Driver{options: Options{Owner: owner}, engine: engine, uids: newSlots()}
	left, err := cleaner.list(context.Background())
	if err != nil {
		t.Error(err)
	}
	for _, each := range left {
		if err := cleaner.removeContainer(context.Background(), each.ID); err != nil {
			t.Error(err)
		}
	}
}

func owned(t *testing.T, driver *Driver) []string {
	t.Helper()
	lister := &Driver{options: driver.options, engine: driver.engine}
	found, err := lister.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, each := range found {
		ids = append(ids, each.ID)
	}
	return ids
}

func testSpec(runtime string) sandbox.Spec {
	return sandbox.Spec{Template: "python", Runtime: runtime, Limits: sandbox.Limits{MemoryBytes: 256 * sandbox.MiB}}
}

func forRuntimes(t *testing.T, test func(t *testing.T, runtime string)) {
	t.Helper()
	for _, runtime := range []string{"runc", "runsc"} {
		t.Run(runtime, func(t *testing.T) { test(t, runtime) })
	}
}

func create(t *testing.T, driver *Driver, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made, err := driver.Create(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// post sends body to a path of the guest.
func post(ctx context.Context, transport http.RoundTripper, path, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, sandbox.GuestURL+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the guest answers %s: %s", response.Status, answer)
	}
	return string(answer), err
}

type execReply struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	Code   int    `json:"code"`
}

// run runs a command in the sandbox, as the user or as the guest's root, stdin given.
func run(t *testing.T, transport http.RoundTripper, root bool, stdin string, argv ...string) execReply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"argv": argv, "root": root, "stdin": stdin})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	answer, err := post(ctx, transport, "/exec", string(body))
	if err != nil {
		t.Fatal(err)
	}
	var reply execReply
	if err := json.Unmarshal([]byte(answer), &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}
