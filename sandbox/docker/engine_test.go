package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
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

const (
	testImage = "sandgate/docker-test:guest"
	bareImage = "sandgate-base:dev"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "leaked:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// testEngine returns a client and makes sure that the test image is there.
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
	buildTestImage(t, engine)
	return engine
}

func baseImage(t *testing.T, engine *client.Client) string {
	t.Helper()
	if name := os.Getenv("SANDGATE_TEST_IMAGE"); name != "" {
		return name
	}
	found, err := engine.ImageList(t.Context(), image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "sandgate/sandbox"))})
	if err != nil {
		t.Fatal(err)
	}
	newest, name := int64(0), bareImage
	for _, each := range found {
		if each.Created > newest && len(each.RepoTags) > 0 {
			newest, name = each.Created, each.RepoTags[0]
		}
	}
	return name
}

func testDockerfile(base string) string {
	file := "FROM " + base + "\n"
	if base == bareImage { // the sandbox image has done this already
		file += "RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +\n"
	}
	return file + "COPY guestd " + guestPath + "\n"
}

// buildTestImage adds the test's guest to the base image. The engine's cache makes it quick.
func buildTestImage(t *testing.T, engine *client.Client) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "guestd")
	compile := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./testdata/guest")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build the test's guest: %v\n%s", err, out)
	}
	guest, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	for _, file := range []struct {
		name string
		body []byte
	}{
		{"Dockerfile", []byte(testDockerfile(baseImage(t, engine)))},
		{"guestd", guest},
	} {
		// A fixed time keeps the engine's cache valid.
		header := &tar.Header{Name: file.name, Mode: 0o755, Size: int64(len(file.body)), ModTime: time.Unix(1, 0)}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(file.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	built, err := engine.ImageBuild(t.Context(), &files, build.ImageBuildOptions{
		Tags: []string{testImage}, Remove: true, ForceRemove: true, NetworkMode: "none",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer built.Body.Close()
	log, err := io.ReadAll(built.Body)
	if err != nil || bytes.Contains(log, []byte(`"errorDetail"`)) {
		t.Fatalf("build the test image: %v\n%s", err, log)
	}
}

// newTestDriver returns a driver with an owner of its own, whose containers are removed with the test.
func newTestDriver(t *testing.T, adjust func(*Options)) *Driver {
	t.Helper()
	engine := testEngine(t)
	options := Options{Image: testImage, Owner: "test-" + newName()}
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
	defer response.Body.Close()
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
