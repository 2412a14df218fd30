package store

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
)

// outside plants a secret beside the workspace and returns a check that it is as it was.
func (h *house) outside() (secret string, check func()) {
	h.Helper()
	dir := filepath.Join(filepath.Dir(h.dir), "outside")
	h.must(os.MkdirAll(dir, 0o755))
	secret = filepath.Join(dir, "secret")
	h.must(os.WriteFile(secret, []byte("s3cret"), 0o600))
	return secret, func() {
		h.Helper()
		data, err := os.ReadFile(secret)
		left, listErr := os.ReadDir(dir)
		if string(data) != "s3cret" || err != nil || len(left) != 1 || listErr != nil {
			h.Errorf("outside there is %q and %v, %v, %v", data, left, err, listErr)
		}
	}
}

// links puts symbolic links into the workspace, as an archive may bring them.
func (h *house) links(links map[string]string) {
	h.Helper()
	for name, target := range links {
		_, err := h.unpack("", pack(h, tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}))
		h.must(err)
	}
}

// TestHostilePaths gives every call paths that lead elsewhere.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	secret, check := h.outside()
	h.put("d/f", "inside")
	up := strings.Repeat("../", 30)
	h.links(map[string]string{
		"abs": secret, "climb": up + strings.TrimPrefix(secret, "/"), "beside": "../new", "up": "..", "self": "self", "a": "b", "b": "a",
		"dir": filepath.Dir(secret), "host": h.dir, "slash": "/", "deep/link": "../../user/../../etc", "many": strings.Repeat("d/../", 800) + "d/f",
		"proc": "/proc/self/root", "tmp": "/tmp",
	})
	denied, invalid := connect.CodePermissionDenied, connect.CodeInvalidArgument
	elsewhere := denied
	if within(secret, "/tmp") { // which is said to come
		elsewhere = connect.CodeFailedPrecondition
	}
	for path, want := range map[string]connect.Code{
		secret:        elsewhere,
		"/etc/passwd": denied, "../../../etc/passwd": denied, "/home/user/../root/x": denied, "/home/user2/x": denied, "/home/userx": denied,
		"//etc//passwd": denied, "d/../../../../etc/passwd": denied, "./../x": denied, "/proc/self/root" + secret: denied, "/dev/null": denied,
		"/tmp/x": connect.CodeFailedPrecondition, "a\x00b": invalid, "\x00": invalid, strings.Repeat("n", 256): invalid,
		"/home/user/" + strings.Repeat("n/", 2043) + "nn": invalid,
		"climb": elsewhere, "abs": elsewhere,
		"dir/secret": elsewhere, "host/home/d/f": elsewhere, "beside/x": denied, "up/x": denied, "up/root/x": denied,
		"self": invalid, "self/x": invalid, "a": invalid, "b/x": invalid, "deep/link/passwd": denied, "proc/etc/passwd": denied, "tmp/x": connect.CodeFailedPrecondition,
		"slash/etc/passwd": denied,
	} {
		h.refused(path, want)
		check()
	}
	for _, path := range []string{"up/user/d/f", "slash/home/user/d/f", "/home/user//d/./f", "d/../d/f", "many"} {
		if got, err := h.text(path); got != "inside" {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
	for _, root := range []string{"", "up/user", "/home/user", "slash/home/user", "/", "/home"} {
		if err := h.remove(root + "/."); connect.CodeOf(err) != denied && root != "" {
			t.Errorf("removing %q: %v", root, err)
		}
	}
	for _, link := range []string{"abs", "climb", "self", "dir", "up"} { // as themselves they are fine
		res, err := h.Stat(t.Context(), &sandgatev1.StatRequest{Path: link})
		if err != nil || res.GetFile().GetType() != sandgatev1.FileType_FILE_TYPE_SYMLINK {
			t.Errorf("%q: %v, %v", link, res, err)
		}
		h.must(h.remove(link))
	}
	check()
	h.settled()
}

// refused has each call refuse a path.
func (h *house) refused(path string, want connect.Code) {
	h.Helper()
	ctx := h.Context()
	below := path + "/new"
	calls := map[string]error{"write": h.write(path, "x"), "upload": h.upload(path, "x"), "append": appendTo(h, path, "x"), "mkdir": h.makeDir(below), "move to": moved(h, "d/f", below)}
	_, calls["read"] = h.Read(ctx, &sandgatev1.ReadRequest{Path: path})
	_, calls["edit"] = h.Edit(ctx, &sandgatev1.EditRequest{Path: path, OldText: "s", NewText: "x"})
	_, calls["list"] = h.ListFiles(ctx, &sandgatev1.ListFilesRequest{Path: path})
	_, calls["glob"] = h.Glob(ctx, &sandgatev1.GlobRequest{Path: path, Pattern: "*"})
	_, calls["grep"] = h.Grep(ctx, &sandgatev1.GrepRequest{Path: path, Pattern: "s"})
	_, calls["tree"] = h.Tree(ctx, &sandgatev1.TreeRequest{Path: path})
	_, calls["hash"] = h.Hash(ctx, &sandgatev1.HashRequest{Paths: []string{path}})
	_, calls["diff"] = h.Diff(ctx, &sandgatev1.DiffRequest{Path: path, Other: &sandgatev1.DiffRequest_Text{}})
	_, calls["export"] = h.export(path)
	_, calls["stat"] = h.Stat(ctx, &sandgatev1.StatRequest{Path: below})
	_, calls["copy to"] = h.Copy(ctx, &sandgatev1.CopyRequest{Source: "d", Destination: below})
	_, calls["import"] = h.unpack(below, pack(h, tar.Header{Name: "f"}))
	calls["remove"] = h.remove(below)
	if path != "/dev/null" && !strings.Contains(path, "\x00") { // which mean something else in a patch
		_, calls["patch"] = h.Patch(ctx, &sandgatev1.PatchRequest{Patch: fmt.Sprintf("--- %s\n+++ %s\n@@ -1 +1 @@\n-s\n+x\n", path, path)})
	}
	for call, got := range calls {
		if connect.CodeOf(got) != want {
			h.Errorf("%s of %.60q: %v, want %v", call, path, got, want)
		}
		if got != nil && strings.Contains(got.Error(), h.dir) && !strings.Contains(path, h.dir) && path != "host/home/d/f" {
			h.Errorf("%s of %q tells where the files are: %v", call, path, got)
		}
	}
}

// TestNames keeps names as the bytes that they are.
func TestNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	names := []string{"a", "A", "é", "e\u0301", "…", " ", "a b", "new\nline", `back\slash`, "-rf", "~", "*", "\u202e", "con", ".sandgate-X", "new", "home"}
	for _, name := range names {
		h.put(name, name)
	}
	_, err := h.unpack("", pack(t, tar.Header{Name: "\xff\xfe", Format: tar.FormatGNU}))
	h.must(err)
	for _, name := range names {
		if got, err := h.text(name); got != name {
			t.Errorf("%q holds %q, %v", name, got, err)
		}
	}
	res, err := h.ListFiles(t.Context(), &sandgatev1.ListFilesRequest{})
	h.must(err)
	if got := len(res.GetFiles()); got != len(names)+1 {
		t.Errorf("%d names, want %d", got, len(names)+1)
	}
	h.settled()
}

// TestDepth tries to make directories deeper than every walk goes, through each door.
func TestDepth(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	deep := strings.TrimSuffix(strings.Repeat("d/", maxDepth), "/")
	h.must(h.makeDir(deep))
	h.put("x/y/f", "x")
	_, copyErr := h.Copy(t.Context(), &sandgatev1.CopyRequest{Source: "x", Destination: deep + "/x"})
	_, half := h.Copy(t.Context(), &sandgatev1.CopyRequest{Source: "x", Destination: strings.TrimSuffix(deep, "/d") + "/x"})
	_, importErr := h.unpack(deep, pack(t, tar.Header{Name: "x/f"}))
	for door, err := range map[string]error{
		"make": h.makeDir(deep + "/d"), "write": h.write(deep+"/d/f", "x"), "upload": h.upload(deep+"/d/f", "x"), "copy": copyErr, "copy into": half,
		"import": importErr, "move": moved(h, "x", deep+"/x"), "move into": moved(h, "x", strings.TrimSuffix(deep, "/d")+"/x"), "move all": moved(h, "d", "x/y/d"),
	} {
		if connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Errorf("%s: %v", door, err)
		}
	}
	h.put(deep+"/f", "at the bottom")
	archive, err := h.export("")
	h.must(err)
	other := newHouse(t, Limits{})
	_, err = other.unpack("", archive)
	h.must(err)
	if got, err := other.text(deep + "/f"); got != "at the bottom" {
		t.Errorf("%q, %v", got, err)
	}
	h.settled()
	h.must(h.remove("d"))
	h.must(h.remove("x"))
	h.settled()
}
