package store

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox/sandboxtest"
)

// TestRoundTrip exports a workspace, imports that into another, and exports it again: not a byte differs.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	when := time.Date(2001, 2, 3, 4, 5, 6, 789, time.UTC)
	archive := pack(t,
		tar.Header{Name: "run.sh", Mode: 0o6755, Size: 5, ModTime: when, Format: tar.FormatPAX}, tar.Header{Name: "empty"},
		tar.Header{Name: "dir/", Mode: 0o500, ModTime: when, Format: tar.FormatPAX}, tar.Header{Name: "dir/secret", Mode: 0o1, Size: 200_000},
		tar.Header{Name: "dir/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd", ModTime: when, Format: tar.FormatPAX}, tar.Header{Name: "up", Typeflag: tar.TypeSymlink, Linkname: "../.."},
		tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "run.sh"}, tar.Header{Name: strings.Repeat("long/", 60) + "é\n", Size: 1},
		tar.Header{Name: "shut/", Mode: 0o1},
	)
	res, err := h.unpack("", archive)
	h.must(err)
	if res.GetFiles() != 7 || res.GetDirectories() != 2 || res.GetBytes() != 200_006 {
		t.Errorf("%v", res)
	}
	exported, err := h.export("")
	h.must(err)
	want := []string{
		"dir/ 500 2001", "dir/link 777 2001 -> /etc/passwd", "dir/secret 1", "empty 755", "hard 755 2001",
		"long/…é\n 755", "run.sh 755 2001 = hard", "shut/ 1", "up 777 -> ../..",
	}
	if diff := cmp.Diff(want, h.table(exported)); diff != "" {
		t.Error(diff)
	}
	other := newHouse(t, Limits{})
	_, err = other.unpack("", exported)
	h.must(err)
	again, err := other.export("/home/user")
	h.must(err)
	if got := other.table(again); !cmp.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if h.w.Usage() != other.w.Usage() {
		t.Errorf("%+v became %+v", h.w.Usage(), other.w.Usage())
	}
	h.must(h.remove("shut")) // which the count of the test may not read
	h.must(other.remove("shut"))
	h.settled()
	other.settled()
	alone, err := h.export("dir/secret")
	h.must(err)
	if got := h.table(alone); !cmp.Equal(got, []string{"secret 1"}) {
		t.Errorf("%q", got)
	}
	for path, want := range map[string]connect.Code{"nothing": connect.CodeNotFound, "up": connect.CodePermissionDenied, "empty/x": connect.CodeFailedPrecondition} {
		if _, err := h.export(path); connect.CodeOf(err) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// table tells what is in an archive, and checks that it says nothing of the host.
func (h *house) table(archive []byte) []string {
	h.Helper()
	var table []string
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return table
		}
		h.must(err)
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Gname != "" {
			h.Errorf("%+v", header)
		}
		line := strings.Replace(header.Name, strings.Repeat("long/", 60), "long/…", 1)
		if strings.HasPrefix(line, "long/") && header.Typeflag == tar.TypeDir {
			continue
		}
		line += fmt.Sprintf(" %o", header.Mode)
		if header.ModTime.Year() == 2001 {
			line += " 2001"
			if header.ModTime.Nanosecond() != 789 {
				h.Errorf("%s changed at %v", line, header.ModTime)
			}
		}
		switch header.Typeflag {
		case tar.TypeSymlink:
			line += " -> " + header.Linkname
		case tar.TypeLink:
			line += " = " + header.Linkname
		}
		table = append(table, line)
	}
}

// TestHostileArchives imports what must not be unpacked. What came before it stays, and is told.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	raw := func(change func([]byte)) []byte {
		archive := pack(t, tar.Header{Name: "f", Size: 3})
		change(archive)
		return archive
	}
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
	}
	const invalid = connect.CodeInvalidArgument
	for name, c := range map[string]struct {
		archive []byte
		want    connect.Code
		reason  string
	}{
		"climbs":               {pack(t, tar.Header{Name: "../x"}), invalid, "ENTRY_REFUSED"},
		"climbs inside":        {pack(t, tar.Header{Name: "a/../../x"}), invalid, "ENTRY_REFUSED"},
		"absolute":             {pack(t, tar.Header{Name: "/home/user/x"}), invalid, "ENTRY_REFUSED"},
		"climbing directory":   {pack(t, tar.Header{Name: "../", Typeflag: tar.TypeDir}), invalid, "ENTRY_REFUSED"},
		"itself":               {pack(t, tar.Header{Name: "."}), invalid, "ENTRY_REFUSED"},
		"FIFO":                 {pack(t, tar.Header{Name: "f", Typeflag: tar.TypeFifo}), invalid, "ENTRY_REFUSED"},
		"device":               {pack(t, tar.Header{Name: "f", Typeflag: tar.TypeBlock, Devmajor: 8}), invalid, "ENTRY_REFUSED"},
		"character device":     {pack(t, tar.Header{Name: "f", Typeflag: tar.TypeChar, Devmajor: 1}), invalid, "ENTRY_REFUSED"},
		"link and through":     {pack(t, link("a", ".."), tar.Header{Name: "a/x"}), invalid, "ENTRY_REFUSED"},
		"link, deeper through": {pack(t, link("a", "/etc"), tar.Header{Name: "a/b/c/x"}), invalid, "ENTRY_REFUSED"},
		"directory for a link": {pack(t, link("a", "/etc"), tar.Header{Name: "a/"}), invalid, "ENTRY_REFUSED"},
		"link inside, through": {pack(t, tar.Header{Name: "d/"}, link("a", "d"), tar.Header{Name: "a/x"}), invalid, "ENTRY_REFUSED"},
		"hard link elsewhere":  {pack(t, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "../there"}), invalid, "ENTRY_REFUSED"},
		"hard link, absolute":  {pack(t, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), invalid, "ENTRY_REFUSED"},
		"hard link to nothing": {pack(t, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "no"}), connect.CodeNotFound, "FILE_NOT_FOUND"},
		"hard link to a link":  {pack(t, link("a", "/etc/passwd"), tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "a"}), invalid, "ENTRY_REFUSED"},
		"hard link through":    {pack(t, link("a", ".."), tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "a/there"}), invalid, "ENTRY_REFUSED"},
		"long name":            {pack(t, tar.Header{Name: strings.Repeat("n", 300)}), invalid, "BAD_PATH"},
		"long path":            {pack(t, tar.Header{Name: strings.Repeat("n/", 2100)}), invalid, "BAD_PATH"},
		"long target":          {pack(t, link("a", strings.Repeat("n/", 2100))), invalid, "ENTRY_REFUSED"},
		"file over directory":  {pack(t, tar.Header{Name: "d/"}, tar.Header{Name: "d"}), connect.CodeFailedPrecondition, "IS_A_DIRECTORY"},
		"directory over file":  {pack(t, tar.Header{Name: "f"}, tar.Header{Name: "f/x"}), connect.CodeFailedPrecondition, "NOT_A_DIRECTORY"},
		"larger than there is": {pack(t, tar.Header{Name: "f", Size: 1 << 20}), connect.CodeResourceExhausted, "WORKSPACE_FULL"},
		"no archive":           {bytes.Repeat([]byte("no archive "), 1000), invalid, "BAD_ARCHIVE"},
		"cut":                  {pack(t, tar.Header{Name: "f", Size: 600})[:900], invalid, "BAD_ARCHIVE"},
		"bad checksum":         {raw(func(a []byte) { a[0] = 'g' }), invalid, "BAD_ARCHIVE"},
		"huge size":            {sparse(t, "9223372036854775807"), connect.CodeResourceExhausted, "WORKSPACE_FULL"},
		"sparse":               {sparse(t, "1000000"), connect.CodeResourceExhausted, "WORKSPACE_FULL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, Limits{Bytes: 500_000, Files: 100})
			_, check := h.outside()
			h.put("there", "before")
			_, err := h.unpack("in", append(pack(t, tar.Header{Name: "first", Size: 5})[:1024:1024], c.archive...))
			sandboxtest.WantError(t, err, c.want, c.reason)
			if !strings.Contains(err.Error(), "were unpacked before") {
				t.Errorf("%v", err)
			}
			if res, err := h.Stat(t.Context(), &sandgatev1.StatRequest{Path: "in/first"}); res.GetFile().GetSize() != 5 {
				t.Errorf("%v, %v", res, err)
			}
			if got, err := h.text("there"); got != "before" {
				t.Errorf("%q, %v", got, err)
			}
			check()
			h.settled()
		})
	}
}

// sparse makes an archive of a file that is one hole.
func sparse(tb testing.TB, size string) []byte {
	tb.Helper()
	archive := pack(tb, tar.Header{Name: "f", Format: tar.FormatPAX, PAXRecords: map[string]string{"COMMENT.x": strings.Repeat("x", 30)}})
	// Written by hand: the package writes no sparse files. The records are as long as those that they replace.
	record := archive[512:1024]
	clear(record)
	text := ""
	for _, field := range []string{"GNU.sparse.major=0", "GNU.sparse.minor=1", "GNU.sparse.numblocks=0", "GNU.sparse.map=", "GNU.sparse.size=" + size} {
		text += fmt.Sprintf("%d %s\n", len(field)+4, field) // all have two digits
	}
	copy(record, text)
	length := []byte("00000000000")
	for i, n := len(length)-1, len(text); n > 0; i, n = i-1, n/8 {
		length[i] = byte('0' + n%8)
	}
	copy(archive[124:135], length)
	sum := 8 * int(' ')
	for i, b := range archive[:512] {
		if i < 148 || i >= 156 {
			sum += int(b)
		}
	}
	copy(archive[148:156], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return archive
}

// TestImportOver imports twice over what is there, which is replaced where the archive says so.
func TestImportOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, Limits{})
	h.put("d/f", "old")
	h.put("d/stays", "stays")
	h.links(map[string]string{"d/l": "/etc/passwd"})
	archive := pack(t, tar.Header{Name: "./"}, tar.Header{Name: "./f", Size: 4}, tar.Header{Name: "l", Size: 1}, tar.Header{Name: "f2", Typeflag: tar.TypeLink, Linkname: "./f"},
		tar.Header{Name: "f", Typeflag: tar.TypeLink, Linkname: "f2"})
	for range 2 {
		_, err := h.unpack("d", append(archive, make([]byte, 10_000)...))
		h.must(err)
		h.settled()
	}
	if got, err := h.text("d/stays"); got != "stays" {
		t.Errorf("%q, %v", got, err)
	}
	if got := h.counted(); got != (Limits{Bytes: 10, Files: 5}) {
		t.Errorf("%+v", got)
	}
	_, err := h.unpack("d", append(archive, make([]byte, maxPadding+1)...))
	sandboxtest.WantError(t, err, connect.CodeInvalidArgument, "BAD_ARCHIVE")
	res, err := h.unpack("new/dir", nil)
	if err != nil || res.GetFiles() != 0 {
		t.Errorf("an empty stream: %v, %v", res, err)
	}
}

// FuzzImport unpacks what may be anything: nothing changes outside, and the books are right.
func FuzzImport(f *testing.F) {
	f.Add(pack(f, tar.Header{Name: "d/f", Size: 3}, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "l/x"}))
	f.Add(pack(f, tar.Header{Name: "f", Size: 600}, tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "f"}, tar.Header{Name: "f", Size: 1}))
	f.Add(sparse(f, "100"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		top := t.TempDir()
		h := &house{T: t, dir: filepath.Join(top, "w")}
		w, err := Open(h.dir, Limits{Bytes: 100_000, Files: 50})
		h.must(err)
		h.w = w
		v, err := w.view()
		h.must(err)
		_, err = v.unpack(t.Context(), "/home/user/in", bytes.NewReader(archive))
		v.close()
		if code := connect.CodeOf(err); err != nil && (code == connect.CodeUnknown || code == connect.CodeInternal) {
			t.Errorf("%v", err)
		}
		h.settled()
		if left, err := os.ReadDir(top); len(left) != 1 || err != nil {
			t.Errorf("outside: %v, %v", left, err)
		}
		h.must(w.Close())
		h.must(Remove(context.Background(), h.dir))
	})
}
